"""Batches as pictures: all lanes side by side, with boxes and a mark where a memory is reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from evreel.errors import ParameterError
from evreel.geometry import FrameMap
from evreel.representations import Representation, create
from evreel.representations.base import Frame
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
    vis_func
        Function of a frame → its picture; None: `evreel.viz.to_rgb`.
    size
        (height, width) of a lane's picture; None: as it comes.

    Raises
    ------
    ParameterError
        If `viz_labels` is neither a function, nor True or None.
    """

    def __init__(
        self,
        of: Representation | None,
        viz_labels: VizLabels,
        label_map: Mapping[int, str],
        vis_func: Callable[[Frame], Image] | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        if not (viz_labels is None or viz_labels is True or callable(viz_labels)):
            raise ParameterError(f"viz_labels={viz_labels!r} is not a function, True or None")
        self._of, self._viz_labels, self._label_map = of, viz_labels, label_map
        self._vis_func, self._size = vis_func, size
        self._scale: Scale | None = None

    def pictures(self, batch: Mapping[str, Any]) -> Iterator[Image]:
        """Yield a picture of each time bin of a batch, (H', W', 3) uint8.

        The first batch that has events sets the scale of colours.
        """
        inputs = np.asarray(batch["inputs"])
        is_padded = np.asarray(batch["frame_is_padded"])
        keeps = np.asarray(batch["mask_keep_memory"]).reshape(-1)
        if self._vis_func is None and self._scale is None and inputs.any():
            self._scale = scale_of(inputs.reshape(-1, *inputs.shape[2:]), self._of)
        for t, labels in enumerate(batch["labels"]):
            drawn = (self._drawn(*lane) for lane in zip(inputs[t], labels, strict=True))
            lanes = [self._sized(picture) for picture in drawn]
            reset = (keeps == 0) & ~is_padded[t] & (t == 0)
            yield tiled(lanes, reset=reset.tolist())

    def _drawn(self, frame: Any, labels: Any) -> Image:
        if self._vis_func is None:
            picture = to_rgb(frame, self._of, scale=self._scale)
        else:
            picture = self._vis_func(frame)
        if self._viz_labels is None or not len(labels):
            return picture
        if self._viz_labels is True:
            return draw_box_events(picture, labels, self._label_map)
        found = self._viz_labels(picture, labels)
        return picture if found is None else found

    def _sized(self, picture: Image) -> Image:
        if self._size is None or picture.shape[:2] == self._size:
            return picture
        planes = np.ascontiguousarray(np.moveaxis(picture, 2, 0))
        changed = FrameMap((3, *picture.shape[:2]), self._size, "nearest")
        return np.moveaxis(changed.apply(planes), 0, 2)


def get_vis_func(
    representation: str,
    preprocess_kwargs: Mapping[str, Any] | None = None,
    *,
    limit: float | None = None,
) -> Callable[[Frame], Image]:
    """Return what makes a picture of a frame.

    Parameters
    ----------
    representation
        What the frame is.
    preprocess_kwargs
        Its parameters.
    limit
        Value at full colour; None: that of each frame by itself (`evreel.viz.to_rgb`).

    Returns
    -------
    Function of (C, H, W) → (H, W, 3) uint8.

    Examples
    --------
    >>> get_vis_func("histogram")(np.zeros((2, 4, 6))).shape
    (4, 6, 3)
    """
    return partial(to_rgb, of=create(representation, preprocess_kwargs or {}), limit=limit)


def show_dataloader(
    dataloader: Iterable[Mapping[str, Any]],
    height: int | None,
    width: int | None,
    vis_func: Callable[[Frame], Image],
    viz_labels: VizLabels = None,
) -> Iterator[Image]:
    """Yield a picture of each time bin of a loader's batches, all lanes side by side.

    Parameters
    ----------
    dataloader
        What yields batches, as loaders of this package do; arrays or tensors.
    height, width
        Size of a lane's picture, by nearest neighbour; None: that of the frame.
    vis_func
        Function of a frame → its picture, such as `get_vis_func` returns.
    viz_labels
        Function of (picture, labels) of a lane that returns a picture, or draws on the one that it
        is given, before its size changes; or True, for boxes with the numbers of their classes.

    Yields
    ------
    (H', W', 3) uint8. A lane whose memory is reset has a red corner.
    """
    if (height is None) != (width is None):
        raise ParameterError(f"height={height} and width={width}: give both, or none")
    size = None if height is None or width is None else (height, width)
    shown = Shown(None, viz_labels, {}, vis_func, size)
    for batch in dataloader:
        yield from shown.pictures(batch)
