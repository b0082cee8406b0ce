"""Loops of the event-camera simulator: painting a picture, finding crossings, the dead time.

Whole numbers only: sums, products, shifts and floor divisions of int64, which are the same on
every processor. Lengths are in 1/1024 px, coverage in `FULL` parts of a pixel.
"""

# h, w picture rows, columns; v vertices; n events; q pixels, h·w of them, row by row.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

SUBPIXEL_SHIFT = 10
FULL_SHIFT = 2 * SUBPIXEL_SHIFT + 1
FULL = 1 << FULL_SHIFT
"""Coverage of a whole pixel: twice its area in (1/1024 px)², so that half areas are whole."""

LATTICE = 128
"""Side of a texture's table of values; the texture repeats after that many cells."""

Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]


# vertices (v, 2) x, y in 1/1024 px; cover (h, w + 1)
@kernel
def cover_polygon(vertices: Int64Array, cover: Int64Array) -> None:
    """Fill `cover[:, :w]` with how much of each pixel a simple polygon covers, 0 to `FULL`.

    In each row that it passes, every side leaves the signed area between itself and the picture's
    right edge. Adding these up from left to right gives the covered area. A side's shares of a row
    add up exactly, so that inside is `FULL` and outside is 0 with no remainder. Column w takes
    what falls off the right edge.
    """
    h, w = cover.shape[0], cover.shape[1] - 1
    cover[:, :] = 0
    one = 1 << SUBPIXEL_SHIFT
    for k in range(vertices.shape[0]):
        following = k + 1 if k + 1 < vertices.shape[0] else 0
        x0, y0 = vertices[k, 0], vertices[k, 1]
        x1, y1 = vertices[following, 0], vertices[following, 1]
        sign = 1
        if y0 > y1:
            x0, y0, x1, y1, sign = x1, y1, x0, y0, -1
        first = max(y0 >> SUBPIXEL_SHIFT, 0)
        last = min((y1 - 1) >> SUBPIXEL_SHIFT, h - 1)
        for row in range(first, last + 1):
            top = max(y0, row << SUBPIXEL_SHIFT)
            bottom = min(y1, (row + 1) << SUBPIXEL_SHIFT)
            if top >= bottom:
                continue
            at_top = x0 + (x1 - x0) * (top - y0) // (y1 - y0)
            at_bottom = x0 + (x1 - x0) * (bottom - y0) // (y1 - y0)
            left, right = min(at_top, at_bottom), max(at_top, at_bottom)
            rise = bottom - top
            done = 0
            x = left
            while done < rise:
                column = x >> SUBPIXEL_SHIFT
                # Everything left of the picture is one cell, and counts as its left edge.
                end = min(right, 0 if column < 0 else (column + 1) << SUBPIXEL_SHIFT)
                upto = rise if end == right else rise * (end - left) // (right - left)
                part = sign * (upto - done)
                if column < 0:
                    cover[row, 0] += part * 2 * one
                elif column < w:
                    beside = (x + end) - 2 * (column << SUBPIXEL_SHIFT)
                    cover[row, column] += part * (2 * one - beside)
                    cover[row, column + 1] += part * beside
                else:
                    break
                done = upto
                x = end
    for row in range(h):
        total = np.int64(0)
        for column in range(w):
            total += cover[row, column]
            cover[row, column] = abs(total)


# lattice (LATTICE, LATTICE) values; cell_shift log2 of a cell in 1/1024 px; origin in 1/1024 px;
# u, v from it to a pixel's centre
@kernel
def texture(lattice: Int64Array, cell_shift: int, u: int, v: int) -> int:
    """Return how bright a surface is at a point: linear between the lattice's values."""
    cell = 1 << cell_shift
    fu, fv = u & (cell - 1), v & (cell - 1)
    r0, c0 = (v >> cell_shift) & (LATTICE - 1), (u >> cell_shift) & (LATTICE - 1)
    r1, c1 = (r0 + 1) & (LATTICE - 1), (c0 + 1) & (LATTICE - 1)
    above = lattice[r0, c0] * (cell - fu) + lattice[r0, c1] * fu
    below = lattice[r1, c0] * (cell - fu) + lattice[r1, c1] * fu
    value: int = (above * (cell - fv) + below * fv) >> (2 * cell_shift)
    return value


@kernel
def paint(
    picture: Int64Array,
    cover: Int64Array,
    lattice: Int64Array,
    cell_shift: int,
    origin_x: int,
    origin_y: int,
) -> None:
    """Lay a textured surface over an (h, w) picture, with the shares in `cover`.

    A pixel's value is the texture's at its centre.
    """
    h, w = picture.shape
    half = 1 << (SUBPIXEL_SHIFT - 1)
    for row in range(h):
        v = (row << SUBPIXEL_SHIFT) + half - origin_y
        for column in range(w):
            share = cover[row, column]
            if share == 0:
                continue
            u = (column << SUBPIXEL_SHIFT) + half - origin_x
            value = texture(lattice, cell_shift, u, v)
            mixed = picture[row, column] * (FULL - share) + value * share
            picture[row, column] = (mixed + FULL // 2) >> FULL_SHIFT


# layer (h, w): what the last picture has of an object, its share and brightness in one number, 0
# where it is not
@kernel
def own(
    layer: Int64Array,
    cover: Int64Array,
    lattice: Int64Array,
    cell_shift: int,
    origin_x: int,
    origin_y: int,
    number: int,
    owner: Any,
) -> None:
    """Put an object's number into `owner` (h, w) where it has changed, and bring `layer` up to now.

    Where it covers the whole pixel and has not changed, what is below it is not seen: −1.
    """
    h, w = layer.shape
    half = 1 << (SUBPIXEL_SHIFT - 1)
    for row in range(h):
        v = (row << SUBPIXEL_SHIFT) + half - origin_y
        for column in range(w):
            share = cover[row, column]
            now = np.int64(0)
            if share:
                u = (column << SUBPIXEL_SHIFT) + half - origin_x
                now = (share << 17) + texture(lattice, cell_shift, u, v)
            if now != layer[row, column]:
                owner[row, column] = number
                layer[row, column] = now
            elif share == FULL:
                owner[row, column] = -1


# picture, level, reference, on, off (q,); table maps an intensity to its level
@kernel
def count_crossings(
    picture: Int64Array,
    table: Int64Array,
    level: Int64Array,
    reference: Int64Array,
    on: Int64Array,
    off: Int64Array,
) -> int:
    """Fill `level` with the picture's log intensities; return how many crossings they make."""
    n = 0
    for k in range(picture.shape[0]):
        level[k] = table[picture[k]]
        change = level[k] - reference[k]
        if change >= on[k]:
            n += change // on[k]
        elif -change >= off[k]:
            n += -change // off[k]
    return n


# before, level, reference, on, off (q,); t, pixel, p (n,)
@kernel
def find_crossings(
    before: Int64Array,
    level: Int64Array,
    reference: Int64Array,
    on: Int64Array,
    off: Int64Array,
    start_us: int,
    step_us: int,
    t: Int64Array,
    pixel: Int64Array,
    p: UInt8Array,
) -> None:
    """Fill in the crossings that `count_crossings` counted, by pixel, and move the reference.

    Between `before` at `start_us` and `level` one step later, the log intensity is a straight
    line. A crossing's timestamp is rounded up, so it is in ``(start_us, start_us + step_us]``.
    """
    n = 0
    for k in range(level.shape[0]):
        change = level[k] - reference[k]
        if change >= on[k]:
            slope = level[k] - before[k]
            while level[k] - reference[k] >= on[k]:
                reference[k] += on[k]
                rise = (reference[k] - before[k]) * step_us
                t[n] = start_us + (rise + slope - 1) // slope
                pixel[n] = k
                p[n] = 1
                n += 1
        elif -change >= off[k]:
            slope = before[k] - level[k]
            while reference[k] - level[k] >= off[k]:
                reference[k] -= off[k]
                fall = (before[k] - reference[k]) * step_us
                t[n] = start_us + (fall + slope - 1) // slope
                pixel[n] = k
                p[n] = 0
                n += 1


# t, pixel, keep (n,) in order of time; last (q,)
@kernel
def drop_refractory(
    t: Int64Array, pixel: Int64Array, last: Int64Array, refractory_us: int, keep: Any
) -> int:
    """Mark the events that come `refractory_us` or more after their pixel's last; return how many.

    `last` holds each pixel's last timestamp and is updated.
    """
    n = 0
    for k in range(t.shape[0]):
        keep[k] = t[k] - last[pixel[k]] >= refractory_us
        if keep[k]:
            last[pixel[k]] = t[k]
            n += 1
    return n
