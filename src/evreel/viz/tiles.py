"""Pictures of the lanes of a batch as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.video.canvas import Colour
from evreel.video.labelled import Image
from evreel.viz.boxes import checked_picture
from evreel.viz.rgb import arranged

RESET: Colour = (255, 64, 64)
"""Colour of the corner of a picture at which a memory was reset."""

_CORNER = 12
"""A corner's sides are this part of the picture's shorter side, and at least as many pixels as the
next number says."""
_LEAST_CORNER_PX = 4


def tiled(
    pictures: Sequence[Image] | npt.NDArray[np.uint8], reset: Iterable[bool] | None = None
) -> Image:
    """Return pictures of one size side by side in rows, about 4 : 3 as a whole.

    Parameters
    ----------
    pictures
        (N, H, W, 3) uint8, one for each lane; they do not change.
    reset
        (N,) whether a lane's memory is reset before it: its upper left corner becomes `RESET`.

    Returns
    -------
    (H', W', 3) uint8, a new picture.

    Raises
    ------
    ParameterError
        If there is no picture, they differ in size, or `reset` has another length.

    Examples
    --------
    >>> lanes = np.zeros((3, 48, 64, 3), dtype=np.uint8)
    >>> tiled(lanes).shape, tiled(lanes, reset=[True, False, False])[0, 0].tolist()
    ((98, 130, 3), [255, 64, 64])
    """
    found = [checked_picture(picture).copy() for picture in pictures]
    marked = [False] * len(found) if reset is None else [bool(each) for each in reset]
    sizes = {picture.shape for picture in found}
    if len(sizes) != 1:
        raise ParameterError(
            "there is no picture" if not sizes else f"pictures differ in size: {sorted(sizes)}"
        )
    if len(marked) != len(found):
        raise ParameterError(f"reset has {len(marked)} values for {len(found)} pictures")
    side = max(min(found[0].shape[:2]) // _CORNER, _LEAST_CORNER_PX)
    rows, columns = np.indices(found[0].shape[:2])
    corner = rows + columns < side
    for picture, is_marked in zip(found, marked, strict=True):
        if is_marked:
            picture[corner] = RESET
    return arranged(found)
