"""Batches as pictures: all lanes side by side, with boxes and a mark where a memory is reset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from evreel.errors import ParameterError
from evreel.representations import Representation
from evreel.video.labelled import Image
from evreel.viz import draw_box_events, tiled, to_rgb
from evreel.viz.rgb import Scale, scale_of

VizLabels: TypeAlias = "Callable[[Image, Any], Image | None] | Literal[True] | None"
"""What draws labels: a function of (frame, labels) that returns a picture, or draws on the one that
it is given; True for `draw_box_events`; None for nothing."""


class Shown:
    """Makes pictures of batches.

    Parameters
    ----------
    of
        What the frames are; None: it is guessed from their channels.
    viz_labels
        What draws labels.
    label_map
        Class number → name, for `draw_box_events`.

    Raises
    ------
    ParameterError
        If `viz_labels` is neither a function, nor True or None.
    """

    def __init__(
        self, of: Representation | None, viz_labels: VizLabels, label_map: Mapping[int, str]
    ) -> None:
        if not (viz_labels is None or viz_labels is True or callable(viz_labels)):
            raise ParameterError(f"viz_labels={viz_labels!r} is not a function, True or None")
        self._of, self._viz_labels, self._label_map = of, viz_labels, label_map
        self._scale: Scale | None = None

    def pictures(self, batch: Mapping[str, Any]) -> Iterator[Image]:
        """Yield a picture of each time bin of a batch, (H', W', 3) uint8.

        The first batch that has events sets the scale of colours.
        """
        inputs = np.asarray(batch["inputs"])
        is_padded = np.asarray(batch["frame_is_padded"])
        keeps = np.asarray(batch["mask_keep_memory"]).reshape(-1)
        if self._scale is None and inputs.any():
            self._scale = scale_of(inputs.reshape(-1, *inputs.shape[2:]), self._of)
        for t, labels in enumerate(batch["labels"]):
            lanes = [self._drawn(*lane) for lane in zip(inputs[t], labels, strict=True)]
            reset = (keeps == 0) & ~is_padded[t] & (t == 0)
            yield tiled(lanes, reset=reset.tolist())

    def _drawn(self, frame: Any, labels: Any) -> Image:
        picture = to_rgb(frame, self._of, scale=self._scale)
        if self._viz_labels is None or not len(labels):
            return picture
        if self._viz_labels is True:
            return draw_box_events(picture, labels, self._label_map)
        found = self._viz_labels(picture, labels)
        return picture if found is None else found
