"""Rectangles, lines and text on a picture; what lies outside of it is cut off."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from evreel.video.text import BUILT_IN, HEIGHT_PX, Font, text_mask

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

Theme = Literal["dark", "light"]


class Canvas:
    """A picture to draw on.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8, which are drawn on; a part of a picture is one too.
    font
        Of its text.
    """

    def __init__(self, pixels: npt.NDArray[np.uint8], font: Font = BUILT_IN) -> None:
        self.pixels = pixels
        self.font = font

    @classmethod
    def filled(cls, shape: tuple[int, int], colour: Colour, font: Font = BUILT_IN) -> Canvas:
        """Return a new canvas of (height, width) in one colour."""
        pixels = np.empty((*shape, 3), dtype=np.uint8)
        pixels[:1] = colour
        pixels[1:] = pixels[:1]  # by rows: 5 times as fast as by pixels
        return cls(pixels, font)

    def rectangle(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """Fill columns ``[left, right)`` of rows ``[top, bottom)``."""
        self.pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = colour

    def text(self, left: int, top: int, text: str, colour: Colour, scale: int = 1) -> int:
        """Write a line of text, `scale` times `HEIGHT_PX` high; return the column where it ends."""
        mask = text_mask(text, self.font, scale)
        height, width, _ = self.pixels.shape
        rows = slice(max(top, 0), max(min(top + mask.shape[0], height), 0))
        columns = slice(max(left, 0), max(min(left + mask.shape[1], width), 0))
        ink = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        if ink.size:
            share, paper = ink[:, :, None].astype(np.int32), self.pixels[rows, columns]
            paper[:] = (share * np.array(colour) + (255 - share) * paper + 127) // 255
        return left + int(mask.shape[1])

    def chip(self, left: int, top: int, text: str, colour: Colour) -> None:
        """Write text on a filled rectangle of `HEIGHT_PX`, black or white."""
        right = left + text_mask(text, self.font).shape[1] + 2 * CHIP_MARGIN_PX
        self.rectangle(left, top, right, top + HEIGHT_PX, colour)
        luma = (2126 * colour[0] + 7152 * colour[1] + 722 * colour[2]) // 10_000
        ink = (0, 0, 0) if luma > 110 else (255, 255, 255)
        self.text(left + CHIP_MARGIN_PX, top, text, ink)

    def line(
        self,
        points: npt.NDArray[np.float64],
        colour: Colour,
        *,
        width: int = 1,
        closed: bool = False,
        dashed: bool = False,
    ) -> None:
        """Draw straight lines through points.

        Parameters
        ----------
        points
            (n, 2) x and y, continuous: pixel (column x, row y) covers ``[x, x+1) × [y, y+1)``.
        colour, width
            Of the line; it is `width` px wide.
        closed
            Join the last point to the first.
        dashed
            Leave gaps.
        """
        ends = np.concatenate([points, points[:1]]) if closed else points
        height, columns, _ = self.pixels.shape
        start, stop = _within(ends[:-1], ends[1:], np.array([columns, height]) + width, -width)
        # Two steps a pixel: one would leave out pixels where numbers are rounded.
        steps = np.ceil(2 * np.abs(stop - start).max(axis=1, initial=0)).astype(np.int64) + 1
        piece = np.repeat(np.arange(len(steps)), steps)
        step = np.arange(len(piece)) - np.repeat(np.cumsum(steps) - steps, steps)
        share = step / np.maximum(steps - 1, 1)[piece]
        way = start[piece] + share[:, None] * (stop - start)[piece]
        if dashed:
            way = way[np.arange(len(way)) // (2 * _DASH_PX) % 2 == 0]
        corner = np.floor(way - (width - 1) / 2).astype(np.int64)
        offset = np.indices((width, width)).reshape(2, -1).T
        x, y = (corner[:, None] + offset).reshape(-1, 2).T
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < height)
        self.pixels[y[inside], x[inside]] = colour


CHIP_MARGIN_PX = 3
"""Room at the left and right of a chip's text."""

_DASH_PX = 6


def _within(
    start: npt.NDArray[np.float64],
    stop: npt.NDArray[np.float64],
    high: npt.NDArray[np.int64],
    low: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the parts of straight lines, (n, 2) each, within ``[low, high]`` on both axes."""
    way = stop - start
    with np.errstate(divide="ignore", invalid="ignore"):
        enter, leave = (low - start) / way, (high - start) / way
    along = way == 0  # no limit within, no part outside
    outside = along & ((start < low) | (start > high))
    first = np.where(along, -np.inf, np.minimum(enter, leave)).max(axis=1, initial=0)
    last = np.where(along, np.inf, np.maximum(enter, leave)).min(axis=1, initial=1)
    kept = (first <= last) & ~outside.any(axis=1)
    start, way = start[kept], way[kept]
    return start + first[kept, None] * way, start + last[kept, None] * way
