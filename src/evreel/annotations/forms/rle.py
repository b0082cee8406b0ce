"""Masks as COCO writes them: runs of pixels, column by column, of the whole picture.

An uncompressed mask lists its runs, background first. A compressed one has them as text: of each
run from the fourth on, the difference to the one two before; then five bits a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import FloatArray, Mask

Bitmap = npt.NDArray[np.bool_]

_FIRST, _LAST = 48, 48 + 63  # '0' and 'o'
_MOST_CHARACTERS = 7  # of a number: 35 bits


def runs_of_text(text: str) -> list[int]:
    """Return the runs of a compressed mask.

    Raises
    ------
    ValueError
        If it is not one.

    Examples
    --------
    >>> runs_of_text("52203")
    [5, 2, 2, 2, 5]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character)
        if not _FIRST <= code <= _LAST:
            raise ValueError(f"has the character {character!r}")
        code -= _FIRST
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            if shift >= 5 * _MOST_CHARACTERS:
                raise ValueError("has a number of too many characters")
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("ends within a number")
    return runs


def mask_of_runs(runs: Sequence[int], picture_shape: tuple[int, int]) -> Mask | None:
    """Return the mask, in frame 0, of column-wise runs of a whole picture; None if it is empty.

    Parameters
    ----------
    runs
        Lengths, background first; together (height·width) pixels.
    picture_shape
        (height, width) of the picture.

    Raises
    ------
    ValueError
        If they are not runs of that picture.

    Examples
    --------
    >>> mask = mask_of_runs([5, 2, 2, 2, 1], (3, 4))
    >>> mask.points.tolist(), mask.runs
    ([[1.0, 0.0], [4.0, 3.0]], (1, 2, 2, 2, 2))
    """
    height, width = picture_shape
    if any(run < 0 for run in runs):
        raise ValueError("has a run below 0")
    if sum(runs) != height * width:
        raise ValueError(f"has {sum(runs)} pixels; {width}x{height} are expected")
    edges = list(accumulate(runs, initial=0))
    inside = [(a, b) for a, b in zip(edges[1::2], edges[2::2], strict=False) if a < b]
    if not inside:
        return None
    left, right = inside[0][0] // height, (inside[-1][1] - 1) // height + 1
    columns = np.zeros((right - left) * height, dtype=bool)
    for a, b in inside:
        columns[a - left * height : b - left * height] = True
    return mask_of_bitmap(columns.reshape(-1, height).T, left, 0)


def mask_of_bitmap(bitmap: Bitmap, left: int, top: int) -> Mask | None:
    """Return the mask, in frame 0, of a bitmap whose first pixel is (left, top); None if empty."""
    rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
    if not rows.size:
        return None
    bitmap = bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = bitmap.shape
    corner = np.array([left + columns[0], top + rows[0]], dtype=np.float64)
    return Mask(
        0, np.stack([corner, corner + np.array([width, height])]), runs=runs_of(bitmap.ravel())
    )


def runs_of(pixels: Bitmap) -> tuple[int, ...]:
    """Return the lengths of runs of pixels, (n,), background first.

    Examples
    --------
    >>> runs_of(np.array([True, True, False])), runs_of(np.array([False]))
    ((0, 2, 1), (1,))
    """
    changes = np.flatnonzero(np.diff(pixels, prepend=False))
    return tuple(np.diff(changes, prepend=0, append=len(pixels)).tolist())


def picture_runs(mask: Mask, picture_shape: tuple[int, int]) -> list[int]:
    """Return a mask's column-wise runs of the whole picture; what is outside it is cut off."""
    height, width = picture_shape
    left, top = mask.points[0].astype(int).tolist()
    picture = np.zeros((height, width), dtype=bool)
    bitmap = mask.bitmap[max(-top, 0) :, max(-left, 0) :]
    left, top = max(left, 0), max(top, 0)
    part = picture[top : top + bitmap.shape[0], left : left + bitmap.shape[1]]
    part[:] = bitmap[: part.shape[0], : part.shape[1]]
    return list(runs_of(picture.ravel(order="F")))


def filled(outlines: Sequence[FloatArray], picture_shape: tuple[int, int]) -> Mask | None:
    """Return the mask, in frame 0, of the pixels with their centres in polygons; None if empty.

    Each polygon, (n, 2), follows the even-odd rule, and has its left and top edges but not its
    right and bottom ones.

    Examples
    --------
    >>> square = np.array([[1.0, 0.0], [3.0, 0.0], [3.0, 2.0], [1.0, 2.0]])
    >>> filled([square, square + [2, 0]], (3, 9)).points.tolist()
    [[1.0, 0.0], [5.0, 2.0]]
    """
    height, width = picture_shape
    picture = np.zeros(picture_shape, dtype=bool)
    centres = np.arange(width) + 0.5
    for outline in outlines:
        (x0, y0), (x1, y1) = outline.T, np.roll(outline, -1, axis=0).T
        top = max(int(np.floor(outline[:, 1].min())), 0)
        bottom = min(int(np.ceil(outline[:, 1].max())), height)
        for row in range(top, bottom):
            y = row + 0.5
            crossed = (y0 <= y) != (y1 <= y)
            share = (y - y0[crossed]) / (y1[crossed] - y0[crossed])
            x = np.sort(x0[crossed] + share * (x1[crossed] - x0[crossed]))
            picture[row] |= np.searchsorted(x, centres, side="right") % 2 == 1
    return mask_of_bitmap(picture, 0, 0)
