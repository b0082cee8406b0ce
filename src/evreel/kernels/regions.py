"""Which regions each event lies in: by painting what shapes cover, or event by event.

A pixel is in a shape if its centre is a point of it. A point on an edge is in the shape that is to
the right of it or, on a level edge, below it. So a pixel whose centre is on the common edge of two
shapes is in exactly one of them. Painting and the test of a single point use the same arithmetic,
and agree to the last bit. Sums, products, quotients and square roots only: they are the same on
every processor.
"""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
UInt16Array = npt.NDArray[np.uint16]
Int8Array = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]

# What a shape is: its kind and numbers, as `evreel.annotations.figures` lists them.
BOX, ELLIPSE, POLYGON, POLYLINE, POINTS, CUBOID, MASK, SKELETON = range(8)

# What is tested: a form and numbers, (n,) float64 from `at` on in an array, of picture pixels.
# RECT left, top, right, bottom; CONIC x, y, rx, ry, cosine, sine; OUTLINE and TURNED x, y of
# vertices, even-odd, with a margin and without; LINE and DISCS x, y, with a reach; PIXELS left,
# top, right, bottom, then how many pixels there are after each run.
RECT, CONIC, OUTLINE, TURNED, LINE, DISCS, PIXELS = range(7)

START, UPRIGHT, CORNERS = (cast(int, np.int64(number)) for number in (0, RECT, 4))
"""The first place of an array, the form of an upright box and how many numbers it has.

For a literal in their places, numba would compile a helper and all that it calls once more.
"""

MOST_MORE = 32
"""A form has at most so many numbers more than its kind."""

SLACK = 1e-6
"""Picture pixels beyond a shape's edge: more than arithmetic can be wrong by."""

# scale: picture pixels a sensor pixel; h, w sensor rows, columns; radius of points and lines and
# margin of all shapes, in picture pixels.


@kernel
def cos_sin(degrees: float) -> tuple[float, float]:
    """Return cosine and sine, the same as `evreel.annotations.shapes.cos_sin`."""
    quarter = math.floor((degrees % 360 + 45) / 90)
    x = (degrees % 360 - 90 * quarter) * (math.pi / 180)
    square = x * x
    cosine, sine = 1.0, x
    term_c, term_s = 1.0, x
    for k in range(1, 11):
        term_c *= -square / ((2 * k - 1) * 2 * k)
        term_s *= -square / (2 * k * (2 * k + 1))
        cosine += term_c
        sine += term_s
    turn = quarter % 4
    if turn == 1:
        cosine, sine = -sine, cosine
    elif turn == 2:
        cosine, sine = -cosine, -sine
    elif turn == 3:
        cosine, sine = sine, -cosine
    return cosine + 0.0, sine + 0.0


@kernel
def left_turn(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> float:
    """Return a number above 0 if a → b → c turns left."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@kernel
def hull(numbers: FloatArray, at: int, n: int, out: FloatArray, to: int) -> int:
    """Write the convex hull of 1 to 8 points, x and y in turn, as `convex_hull`; return numbers.

    The order of points is found behind the place of the hull.
    """
    points = n // 2
    base = to + 32  # two chains of up to 8 points come before it
    count = 0
    for i in range(points):  # sorted by insertion, each point once
        x, y = numbers[at + 2 * i], numbers[at + 2 * i + 1]
        j = 0
        while j < count and (
            out[base + 2 * j] < x or (out[base + 2 * j] == x and out[base + 2 * j + 1] < y)
        ):
            j += 1
        if j < count and out[base + 2 * j] == x and out[base + 2 * j + 1] == y:
            continue
        for k in range(2 * count - 1, 2 * j - 1, -1):
            out[base + k + 2] = out[base + k]
        out[base + 2 * j], out[base + 2 * j + 1] = x, y
        count += 1
    done = 0  # numbers of the sides that are finished
    for side in range(2):
        held = 0  # points of this side's chain
        for i in range(count):
            k = i if side == 0 else count - 1 - i
            x, y = out[base + 2 * k], out[base + 2 * k + 1]
            while held > 1:
                a, b = to + done + 2 * held - 4, to + done + 2 * held - 2
                if left_turn(out[a], out[a + 1], out[b], out[b + 1], x, y) > 0:
                    break
                held -= 1
            out[to + done + 2 * held], out[to + done + 2 * held + 1] = x, y
            held += 1
        if held == 1:
            return 2
        done += 2 * (held - 1)
    return done


@kernel
def settle(
    kind: int, numbers: FloatArray, at: int, n: int, out: FloatArray, to: int, margin: float
) -> tuple[int, int]:
    """Write the form of a shape into `out` from `to` on; return the form and how many numbers.

    There is room for n + `MOST_MORE`.
    """
    if kind == BOX:
        left, top = numbers[at] - margin, numbers[at + 1] - margin
        right, bottom = numbers[at + 2] + margin, numbers[at + 3] + margin
        degrees = numbers[at + 4]
        if degrees == 0 or degrees % 360 == 0:
            out[to], out[to + 1], out[to + 2], out[to + 3] = left, top, right, bottom
            return RECT, 4
        x, y = (numbers[at] + numbers[at + 2]) / 2, (numbers[at + 1] + numbers[at + 3]) / 2
        cosine, sine = cos_sin(degrees)
        for k in range(4):
            dx = (left if k == 0 or k == 3 else right) - x
            dy = (top if k < 2 else bottom) - y
            out[to + 2 * k] = x + (dx * cosine - dy * sine)
            out[to + 2 * k + 1] = y + (dx * sine + dy * cosine)
        return TURNED, 8
    if kind == ELLIPSE:
        out[to], out[to + 1] = numbers[at], numbers[at + 1]
        out[to + 2], out[to + 3] = numbers[at + 2] + margin, numbers[at + 3] + margin
        out[to + 4], out[to + 5] = cos_sin(numbers[at + 4])
        return CONIC, 6
    if kind == CUBOID:
        return OUTLINE, hull(numbers, at, n, out, to)
    for k in range(n):
        out[to + k] = numbers[at + k]
    if kind == POLYGON:
        return OUTLINE, n
    if kind == POLYLINE:
        return LINE, n
    return (PIXELS if kind == MASK else DISCS), n


@kernel
def is_near(dx: float, dy: float, reach: float) -> bool:
    """Return whether a point is within `reach` of the nearest point of a thing, dx and dy away."""
    square, limit = dx * dx + dy * dy, reach * reach
    if square != limit:
        return square < limit
    return dx < 0 or (dx == 0 and dy < 0)


@kernel
def is_near_piece(
    x: float, y: float, x0: float, y0: float, x1: float, y1: float, reach: float
) -> bool:
    """Return whether a point is within `reach` of a straight piece."""
    vx, vy = x1 - x0, y1 - y0
    length = vx * vx + vy * vy
    share = 0.0
    if length > 0:
        share = min(max(((x - x0) * vx + (y - y0) * vy) / length, 0.0), 1.0)
    return is_near(x - (x0 + share * vx), y - (y0 + share * vy), reach)


@kernel
def is_near_square(
    x: float, y: float, left: float, top: float, right: float, bottom: float, reach: float
) -> bool:
    """Return whether a point is within `reach` of an upright rectangle."""
    dx = x - left if x < left else (x - right if x > right else 0.0)
    dy = y - top if y < top else (y - bottom if y > bottom else 0.0)
    return is_near(dx, dy, reach)


@kernel
def is_in_conic(numbers: FloatArray, at: int, x: float, y: float) -> bool:
    """Return whether a point is in an ellipse."""
    dx, dy = x - numbers[at], y - numbers[at + 1]
    rx, ry = numbers[at + 2], numbers[at + 3]
    cosine, sine = numbers[at + 4], numbers[at + 5]
    u, v = dx * cosine + dy * sine, dy * cosine - dx * sine
    along, across = u * (ry * ry), v * (rx * rx)
    value, limit = u * along + v * across, (rx * rx) * (ry * ry)
    if value != limit:
        return bool(value < limit)
    out_x, out_y = along * cosine - across * sine, along * sine + across * cosine
    return bool(out_x < 0 or (out_x == 0 and out_y < 0))


@kernel
def downwards(numbers: FloatArray, i: int, j: int) -> tuple[float, float, float, float]:
    """Return x and y of two points, the upper one first.

    So a side is the same whichever outline it belongs to: two with a common side cross it at the
    same places, to the last bit.
    """
    if numbers[i + 1] > numbers[j + 1]:
        i, j = j, i
    return numbers[i], numbers[i + 1], numbers[j], numbers[j + 1]


@kernel
def is_odd(numbers: FloatArray, at: int, n: int, x: float, y: float) -> bool:
    """Return whether a point is in an outline by the even-odd rule."""
    odd = False
    for i in range(at, at + n, 2):
        x0, y0, x1, y1 = downwards(numbers, i, i + 2 if i + 2 < at + n else at)
        if y0 <= y < y1 and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            odd = not odd
    return odd


@kernel
def is_in_pixels(numbers: FloatArray, at: int, n: int, x: float, y: float, margin: float) -> bool:
    """Return whether a point is in a mask, or within `margin` of one of its pixels."""
    left, top, right, bottom = numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]
    width = right - left
    if left <= x < right and top <= y < bottom:
        pixel = (math.floor(y) - top) * width + (math.floor(x) - left)
        low, high = at + 4, at + n  # the first end beyond the pixel
        while low < high:
            middle = (low + high) // 2
            if numbers[middle] > pixel:
                high = middle
            else:
                low = middle + 1
        if low < at + n and (low - at - 4) % 2 == 1:
            return True
    if margin == 0:
        return False
    for k in range(at + 5, at + n, 2):
        begin, end = numbers[k - 1], numbers[k]
        while begin < end:
            row = math.floor(begin / width)
            stop = min(end, (row + 1) * width)
            x0, x1 = left + (begin - row * width), left + (stop - row * width)
            if is_near_square(x, y, x0, top + row, x1, top + row + 1, margin):
                return True
            begin = stop
    return False


@kernel
def is_inside(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    x: float,
    y: float,
    radius: float,
    margin: float,
) -> bool:
    """Return whether a point is in what a form covers."""
    if form == RECT:
        return bool(numbers[at] <= x < numbers[at + 2] and numbers[at + 1] <= y < numbers[at + 3])
    if form == TURNED:
        return is_odd(numbers, at, n, x, y)
    if form == OUTLINE:
        if is_odd(numbers, at, n, x, y):
            return True
        if margin == 0:
            return False
        for i in range(at, at + n, 2):
            j = i + 2 if i + 2 < at + n else at
            if is_near_piece(x, y, numbers[i], numbers[i + 1], numbers[j], numbers[j + 1], margin):
                return True
        return False
    if form == CONIC:
        return is_in_conic(numbers, at, x, y)
    if form == LINE:
        reach = radius + margin
        for i in range(at, at + n - 2, 2):
            if is_near_piece(
                x, y, numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3], reach
            ):
                return True
        return False
    if form == DISCS:
        for i in range(at, at + n, 2):
            if is_near(x - numbers[i], y - numbers[i + 1], radius + margin):
                return True
        return False
    return is_in_pixels(numbers, at, n, x, y, margin)


@kernel
def first_centre(at: float, scale: int, limit: int) -> int:
    """Return the first pixel of ``[0, limit]`` whose centre is at or beyond `at`."""
    if at <= 0.5 * scale:
        return 0
    if at > (limit - 0.5) * scale:
        return limit
    c = int(at / scale)
    while (c + 0.5) * scale < at:
        c += 1
    while c > 0 and (c - 0.5) * scale >= at:
        c -= 1
    return c


@kernel
def beyond_centre(at: float, scale: int, limit: int) -> int:
    """Return the first pixel of ``[0, limit]`` whose centre is beyond `at`."""
    c = first_centre(at, scale, limit)
    while c < limit and (c + 0.5) * scale <= at:
        c += 1
    return c


@kernel
def extent(
    form: int, numbers: FloatArray, at: int, n: int, radius: float, margin: float
) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of a rectangle that holds a form; empty if it has none."""
    if form in (RECT, PIXELS):
        reach = 0.0 if form == RECT else margin
        return (
            numbers[at] - reach,
            numbers[at + 1] - reach,
            numbers[at + 2] + reach,
            numbers[at + 3] + reach,
        )
    if form == CONIC:
        reach = max(numbers[at + 2], numbers[at + 3])
        x, y = numbers[at], numbers[at + 1]
        return x - reach, y - reach, x + reach, y + reach
    reach = 0.0
    if form == OUTLINE:
        reach = margin
    elif form != TURNED:
        reach = radius + margin
    left, top, right, bottom = math.inf, math.inf, -math.inf, -math.inf
    for i in range(at, at + n, 2):
        left, right = min(left, numbers[i]), max(right, numbers[i])
        top, bottom = min(top, numbers[i + 1]), max(bottom, numbers[i + 1])
    return left - reach, top - reach, right + reach, bottom + reach


# r rows, one a shape: kind, numbers in [first[i], first[i + 1])


@kernel
def areas(
    kind: Int8Array, first: Int64Array, numbers: FloatArray, radius: float, area: FloatArray
) -> None:
    """Fill `area` (r) with how much each shape covers, in picture pixels squared.

    Of points and lines, each disc and each piece counts, whether or not they overlap.
    """
    work = np.empty(16 + MOST_MORE)
    for i in range(len(kind)):
        at, n = first[i], first[i + 1] - first[i]
        disc = math.pi * radius * radius
        if kind[i] == BOX:
            area[i] = (numbers[at + 2] - numbers[at]) * (numbers[at + 3] - numbers[at + 1])
        elif kind[i] == ELLIPSE:
            area[i] = math.pi * numbers[at + 2] * numbers[at + 3]
        elif kind[i] == POLYGON:
            area[i] = area_within(numbers, at, n)
        elif kind[i] == CUBOID:
            area[i] = area_within(work, START, hull(numbers, at, n, work, START))
        elif kind[i] == POLYLINE:
            length = 0.0
            for k in range(at, at + n - 2, 2):
                dx, dy = numbers[k + 2] - numbers[k], numbers[k + 3] - numbers[k + 1]
                length += math.sqrt(dx * dx + dy * dy)
            area[i] = 2 * radius * length + disc
        elif kind[i] == MASK:
            pixels = 0.0
            for k in range(at + 5, at + n, 2):
                pixels += numbers[k] - numbers[k - 1]
            area[i] = pixels
        else:
            area[i] = disc * (n // 2)


@kernel
def bounds_of(kind: Int8Array, first: Int64Array, numbers: FloatArray, bounds: FloatArray) -> None:
    """Fill `bounds` (r, 4) with left, top, right, bottom of what was drawn.

    NaN if it takes more than comparing: of ellipses, turned boxes, and skeletons.
    """
    for i in range(len(kind)):
        at, n = first[i], first[i + 1] - first[i]
        left, top, right, bottom = math.inf, math.inf, -math.inf, -math.inf
        if kind[i] == ELLIPSE or kind[i] == SKELETON or (kind[i] == BOX and numbers[at + 4] % 360):
            left = math.nan
        elif kind[i] == BOX or kind[i] == MASK:
            left, top, right, bottom = (
                numbers[at],
                numbers[at + 1],
                numbers[at + 2],
                numbers[at + 3],
            )
        else:
            for k in range(at, at + n, 2):
                left, right = min(left, numbers[k]), max(right, numbers[k])
                top, bottom = min(top, numbers[k + 1]), max(bottom, numbers[k + 1])
        bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3] = left, top, right, bottom


@kernel
def area_within(numbers: FloatArray, at: int, n: int) -> float:
    """Return the area within an outline; parts that it goes round twice count twice."""
    doubled = 0.0
    for i in range(at, at + n, 2):
        j = i + 2 if i + 2 < at + n else at
        doubled += numbers[i] * numbers[j + 1] - numbers[j] * numbers[i + 1]
    return abs(doubled) / 2.0


@kernel
def turning(start: float, stop: float, share: float) -> float:
    """Return an angle after a share of the shorter way, as `evreel.annotations.shapes.turning`."""
    way = (stop - start + 180) % 360 - 180
    return (start + share * way) % 360


# start, stop: numbers of a shape and of the next one, in the same places; share of the way


@kernel
def move(
    kind: int,
    start: FloatArray,
    stop: FloatArray,
    at: int,
    n: int,
    share: float,
    out: FloatArray,
    to: int,
) -> None:
    """Write the numbers of a shape after a share of its way."""
    for k in range(n):
        out[to + k] = start[at + k] + share * (stop[at + k] - start[at + k])
    if kind in (BOX, ELLIPSE):
        begin, end = start[at + 4], stop[at + 4]
        out[to + 4] = begin if begin == end else turning(begin, end, share)


@kernel
def move_all(
    kind: Int8Array,
    first: Int64Array,
    start: FloatArray,
    stop: FloatArray,
    share: FloatArray,
    out: FloatArray,
) -> None:
    """Fill `out` with the numbers of each shape after its share of the way."""
    for i in range(len(kind)):
        at, n = first[i], first[i + 1] - first[i]
        move(kind[i], start, stop, at, n, share[i], out, at)


# pool: numbers of outlines; r pairs of them with as many vertices, x and y in turn: the first of
# pair i from left[i] on, the other from right[i] on, n[i] numbers each


@kernel
def keep_order(
    pool: FloatArray,
    left: Int64Array,
    right: Int64Array,
    n: Int64Array,
    closed: BoolArray,
    same: BoolArray,
) -> None:
    """Fill `same` with whether each vertex certainly becomes the one of its own number.

    That is so if it is nearest to it by its share of the outline's length, by far more than
    arithmetic can be wrong by. Others need `evreel.annotations.correspondence`.
    """
    most = 0
    for i in range(len(n)):
        most = max(most, n[i] // 2 + 1)
    along = np.empty((2, most))
    for i in range(len(n)):
        points = n[i] // 2
        count = points + 1 if closed[i] else points
        same[i] = True
        for side in range(2):
            at = left[i] if side == 0 else right[i]
            along[side, 0] = 0.0
            for k in range(1, count):
                here, before = at + 2 * (k % points), at + 2 * k - 2
                dx, dy = pool[here] - pool[before], pool[here + 1] - pool[before + 1]
                along[side, k] = along[side, k - 1] + math.sqrt(dx * dx + dy * dy)
            length = along[side, count - 1]
            if length <= 0:
                same[i] = False
                break
            for k in range(count):
                along[side, k] /= length
        for a in range(count if same[i] else 0):
            own = abs(along[0, a] - along[1, a])
            for b in range(count):
                if b != a and abs(along[0, a] - along[1, b]) <= own + 1e-9:
                    same[i] = False
                    break


# source: pool of numbers; gather copies r runs of it to be one after the other


@kernel
def gather(source: FloatArray, begin: Int64Array, first: Int64Array, out: FloatArray) -> None:
    """Fill `out[first[i]:first[i + 1]]` with `source` from `begin[i]` on; −1 leaves it."""
    for i in range(len(begin)):
        if begin[i] >= 0:
            for k in range(first[i + 1] - first[i]):
                out[first[i] + k] = source[begin[i] + k]


# Painting. A map, (h, w) int64, has the bits of the shapes that cover each pixel, of up to
# `MOST_BITS` at a time: the lowest bit is the highest shape's.

MOST_BITS = 63
"""So many shapes of a frame are painted together, a block of them."""

# Of a number whose only bit is bit k, this product has k's place in the table in its highest six
# bits: each run of six bits comes once in the number (de Bruijn, "A combinatorial problem", 1946).
DE_BRUIJN = 0x03F79D71B4CB0A89
PLACES = np.zeros(64, dtype=np.int64)
for _k in range(64):
    PLACES[((DE_BRUIJN << _k) & 0xFFFFFFFFFFFFFFFF) >> 58] = _k


@kernel
def lowest_bit(bits: int) -> int:
    """Return the number of the lowest bit that is set; 0 if none is."""
    alone = np.uint64(bits & -bits)
    return int(PLACES[(alone * np.uint64(DE_BRUIJN)) >> np.uint64(58)])


@kernel
def put_run(bits: Int64Array, row: int, start: int, stop: int, bit: int) -> None:
    """Paint columns ``[start, stop)`` of a row."""
    if start < stop:
        run = bits[row, start:stop]
        for k in range(len(run)):
            run[k] |= bit


@kernel
def wipe(bits: Int64Array, pixels: Int64Array, k: int, more: int) -> None:
    """Clear the columns and rows of `pixels[k]`, and so many more on each side."""
    height, width = bits.shape
    left, right = max(pixels[k, 0] - more, 0), min(pixels[k, 1] + more, width)
    for row in range(max(pixels[k, 2] - more, 0), min(pixels[k, 3] + more, height)):
        run = bits[row, left : max(left, right)]
        for column in range(len(run)):
            run[column] = 0


@kernel
def fill_outline(
    numbers: FloatArray,
    at: int,
    n: int,
    scale: int,
    bits: Int64Array,
    bit: int,
    crossings: Int32Array,
) -> None:
    """Paint an outline.

    Of each row of the map, `crossings` has how many sides cross it, then at which columns, in
    order; there is room for as many as there are sides. To go through the rows of each side takes
    half as long as to go through the sides of each row.
    """
    height, width = bits.shape
    low, high = math.inf, -math.inf
    for i in range(at + 1, at + n, 2):
        low, high = min(low, numbers[i]), max(high, numbers[i])
    above, below = first_centre(low, scale, height), first_centre(high, scale, height)
    for row in range(above, below):
        crossings[row, 0] = 0
    for i in range(at, at + n, 2):
        x0, y0, x1, y1 = downwards(numbers, i, i + 2 if i + 2 < at + n else at)
        dx, dy = x1 - x0, y1 - y0
        for row in range(first_centre(y0, scale, height), first_centre(y1, scale, height)):
            y = (row + 0.5) * scale
            column = first_centre(x0 + (y - y0) * dx / dy, scale, width)
            crossings[row, 0] += 1
            k = crossings[row, 0]
            while k > 1 and crossings[row, k - 1] > column:
                crossings[row, k] = crossings[row, k - 1]
                k -= 1
            crossings[row, k] = column
    for row in range(above, below):
        for k in range(1, crossings[row, 0], 2):
            put_run(bits, row, crossings[row, k], crossings[row, k + 1], bit)


@kernel
def fill_pieces(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    reach: float,
    scale: int,
    bits: Int64Array,
    bit: int,
) -> None:
    """Paint what is within `reach` of an outline's sides, of a line's pieces, or of points."""
    height, width = bits.shape
    last = at + n if form != LINE else at + n - 2
    for i in range(at, last, 2):
        j = i if form == DISCS else (i + 2 if i + 2 < at + n else at)
        x0, y0, x1, y1 = numbers[i], numbers[i + 1], numbers[j], numbers[j + 1]
        left = first_centre(min(x0, x1) - reach, scale, width)
        right = beyond_centre(max(x0, x1) + reach, scale, width)
        for row in range(
            first_centre(min(y0, y1) - reach, scale, height),
            beyond_centre(max(y0, y1) + reach, scale, height),
        ):
            y = (row + 0.5) * scale
            for column in range(left, right):
                x = (column + 0.5) * scale
                if form == DISCS:
                    inside = is_near(x - x0, y - y0, reach)
                else:
                    inside = is_near_piece(x, y, x0, y0, x1, y1, reach)
                if inside:
                    bits[row, column] |= bit


@kernel
def fill_pixels(
    numbers: FloatArray,
    at: int,
    n: int,
    margin: float,
    scale: int,
    bits: Int64Array,
    bit: int,
) -> None:
    """Paint a mask, run by run, and what is within `margin` of it."""
    height, width = bits.shape
    left, upper, columns = numbers[at], numbers[at + 1], numbers[at + 2] - numbers[at]
    for k in range(at + 5, at + n, 2):
        begin, end = numbers[k - 1], numbers[k]
        while begin < end:
            line = math.floor(begin / columns)
            stop = min(end, (line + 1) * columns)
            x0, x1 = left + (begin - line * columns), left + (stop - line * columns)
            y0, y1 = upper + line, upper + line + 1
            begin = stop
            start = first_centre(x0 - margin, scale, width)
            after = beyond_centre(x1 + margin, scale, width)
            for row in range(
                first_centre(y0 - margin, scale, height),
                beyond_centre(y1 + margin, scale, height),
            ):
                y = (row + 0.5) * scale
                for column in range(start, after):
                    x = (column + 0.5) * scale
                    if (x0 <= x < x1 and y0 <= y < y1) or (
                        margin > 0 and is_near_square(x, y, x0, y0, x1, y1, margin)
                    ):
                        bits[row, column] |= bit


@kernel
def fill(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    scale: int,
    radius: float,
    margin: float,
    bits: Int64Array,
    bit: int,
    crossings: Int32Array,
) -> None:
    """Paint what a form covers."""
    height, width = bits.shape
    if form == RECT:
        left = first_centre(numbers[at], scale, width)
        right = first_centre(numbers[at + 2], scale, width)
        bottom = first_centre(numbers[at + 3], scale, height)
        for row in range(first_centre(numbers[at + 1], scale, height), bottom):
            put_run(bits, row, left, right, bit)
    elif form == CONIC:
        x0, y0, x1, y1 = extent(form, numbers, at, n, radius, margin)
        left, right = first_centre(x0, scale, width), beyond_centre(x1, scale, width)
        for row in range(first_centre(y0, scale, height), beyond_centre(y1, scale, height)):
            y = (row + 0.5) * scale
            for column in range(left, right):
                if is_in_conic(numbers, at, (column + 0.5) * scale, y):
                    bits[row, column] |= bit
    elif form == PIXELS:
        fill_pixels(numbers, at, n, margin, scale, bits, bit)
    elif form in (LINE, DISCS):
        fill_pieces(form, numbers, at, n, radius + margin, scale, bits, bit)
    else:
        fill_outline(numbers, at, n, scale, bits, bit, crossings)
        if form == OUTLINE and margin > 0:
            fill_pieces(form, numbers, at, n, margin, scale, bits, bit)


class Ways(NamedTuple):
    """Shapes on their way: r rows.

    Parameters
    ----------
    kind : (r,)
    first : (r + 1,), shape i has the numbers ``[first[i], first[i + 1])``.
    start, stop : its numbers at the start and at the stop of its way.
    from_us, to_us : (r,), when that is; equal if it rests.
    """

    kind: Int8Array
    first: Int64Array
    start: FloatArray
    stop: FloatArray
    from_us: Int64Array
    to_us: Int64Array


@kernel
def bound(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    scale: int,
    radius: float,
    margin: float,
    shape: tuple[int, int],
    pixels: Int64Array,
    k: int,
) -> None:
    """Fill `pixels[k]` with the columns and rows that a form may have; more do no harm."""
    height, width = shape
    left, top, right, bottom = extent(form, numbers, at, n, radius, margin)
    pixels[k, 0] = first_centre(left - SLACK, scale, width)
    pixels[k, 1] = first_centre(right + SLACK, scale, width)
    pixels[k, 2] = first_centre(top - SLACK, scale, height)
    pixels[k, 3] = first_centre(bottom + SLACK, scale, height)


# now has room for two of the largest shape and its form; share of a way


# What is called for each event takes arrays, not tuples of them: to take an array out of a tuple
# counts its references, with which a test takes 505 ns instead of 330.


@kernel
def shape_at(
    kind: int,
    start: FloatArray,
    stop: FloatArray,
    at: int,
    n: int,
    share: float,
    now: FloatArray,
    margin: float,
) -> tuple[int, int]:
    """Write the form of a shape at a time into the second half of `now`, its numbers before."""
    move(kind, start, stop, at, n, share, now, START)
    return settle(kind, now, START, n, now, len(now) // 2, margin)


@kernel
def bound_turning(
    scale: int, margin: float, shape: tuple[int, int], now: FloatArray, pixels: Int64Array, k: int
) -> None:
    """Fill `pixels[k]` with what the box of `now` may have, however it is turned."""
    width, height = (now[2] - now[0]) / 2 + margin, (now[3] - now[1]) / 2 + margin
    reach = math.sqrt(width * width + height * height)
    x, y = (now[0] + now[2]) / 2, (now[1] + now[3]) / 2
    half = len(now) // 2
    now[half], now[half + 1], now[half + 2], now[half + 3] = (
        x - reach,
        y - reach,
        x + reach,
        y + reach,
    )
    bound(UPRIGHT, now, half, CORNERS, scale, 0.0, 0.0, shape, pixels, k)


@kernel
def distance(
    kind: int, start: FloatArray, stop: FloatArray, at: int, n: int, share: float
) -> float:
    """Return how far a point of a shape's edge may move in a share of its way; −1 if unknown."""
    farthest = 0.0
    if kind == BOX:
        if start[at + 4] != 0 or stop[at + 4] != 0:
            return -1.0
        for k in range(at, at + 4):
            farthest = max(farthest, abs(stop[k] - start[k]) * share)
        return farthest + SLACK
    if kind in (ELLIPSE, MASK):
        return -1.0
    for k in range(at, at + n, 2):
        dx, dy = (stop[k] - start[k]) * share, (stop[k + 1] - start[k + 1]) * share
        farthest = max(farthest, dx * dx + dy * dy)
    return math.sqrt(farthest) + SLACK


@kernel
def fill_ring(
    numbers: FloatArray, at: int, reach: float, scale: int, bits: Int64Array, bit: int
) -> None:
    """Paint what is within `reach` of the sides of an upright box, and corners of it."""
    height, width = bits.shape
    left = first_centre(numbers[at] - reach, scale, width)
    right = beyond_centre(numbers[at + 2] + reach, scale, width)
    left_in = beyond_centre(numbers[at] + reach, scale, width)
    right_in = first_centre(numbers[at + 2] - reach, scale, width)
    top_in = beyond_centre(numbers[at + 1] + reach, scale, height)
    bottom_in = first_centre(numbers[at + 3] - reach, scale, height)
    for row in range(
        first_centre(numbers[at + 1] - reach, scale, height),
        beyond_centre(numbers[at + 3] + reach, scale, height),
    ):
        if row < top_in or row >= bottom_in or left_in >= right_in:
            put_run(bits, row, left, right, bit)
        else:
            put_run(bits, row, left, left_in, bit)
            put_run(bits, row, right_in, right, bit)


@kernel
def fill_around(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    reach: float,
    scale: int,
    bits: Int64Array,
    bit: int,
) -> None:
    """Paint at least what is within `reach` of an outline's sides, a line's pieces, or points.

    In each row, this is one run for each piece: what of the piece is within `reach` of the row, and
    `reach` more on both sides. It may be a few pixels too long, but no pixel is tested.
    """
    height, width = bits.shape
    last = at + n if form != LINE else at + n - 2
    for i in range(at, last, 2):
        j = i if form == DISCS else (i + 2 if i + 2 < at + n else at)
        x0, y0, x1, y1 = downwards(numbers, i, j)
        far = reach + SLACK
        least, most = (min(x0, x1) - far) / scale, (max(x0, x1) + far) / scale
        # Of a piece, a row has what is between two lines, as far apart as the piece is steep.
        slope = (x1 - x0) / (y1 - y0) if y1 - y0 > SLACK else 0.0
        spread = (reach * abs(slope) + far) / scale if y1 - y0 > SLACK else math.inf
        for row in range(
            first_centre(y0 - reach, scale, height), beyond_centre(y1 + reach, scale, height)
        ):
            middle = (x0 + slope * ((row + 0.5) * scale - y0)) / scale
            left, right = max(middle - spread, least, 0.5), min(middle + spread, most, width)
            # Whole numbers up to the first centre, and beyond the last; both have slack.
            put_run(bits, row, int(left + 0.5 - SLACK), min(int(right + 0.5 + SLACK), width), bit)


@kernel
def fill_way(
    form: int,
    numbers: FloatArray,
    at: int,
    n: int,
    reach: float,
    scale: int,
    radius: float,
    margin: float,
    bits: Int64Array,
    bit: int,
    pixels: Int64Array,
    k: int,
) -> None:
    """Paint what an edge may cross that moves by `reach`; all of `pixels[k]` where it is −1."""
    if reach < 0:
        for row in range(pixels[k, 2], pixels[k, 3]):
            put_run(bits, row, pixels[k, 0], pixels[k, 1], bit)
    elif form == RECT:
        fill_ring(numbers, at, reach, scale, bits, bit)
    else:
        reach += margin if form == OUTLINE else radius + margin
        fill_around(form, numbers, at, n, reach, scale, bits, bit)


@kernel
def widen(pixels: Int64Array, k: int, more: int, shape: tuple[int, int]) -> None:
    """Let `pixels[k]` have so many more columns and rows on each side, within (height, width)."""
    height, width = shape
    pixels[k, 0] = max(pixels[k, 0] - more, 0)
    pixels[k, 1] = min(pixels[k, 1] + more, width)
    pixels[k, 2] = max(pixels[k, 2] - more, 0)
    pixels[k, 3] = min(pixels[k, 3] + more, height)


# n events t, x, y of a chunk; f spans of time, in which no shape comes to another listed one: they
# have events [low[j], high[j]) and shapes [rows[j], rows[j + 1]), from the lowest to the highest,
# with a roi each. A span is painted if it has so many events that this is less work than to compare
# each with all shapes. dense: the work of painting a pixel; to see that a shape does not have an
# event's pixel is 1.

TEST = 4
"""Work of testing an event without painting, on top of 1 for each shape."""

MOVING = 2
"""Painting takes so many times the work if a shape moves."""


class Measures(NamedTuple):
    """Picture pixels: a sensor pixel, the radius of points and lines, the margin of all shapes."""

    scale: int
    radius: float
    margin: float


class Space(NamedTuple):
    """Working space for the shapes and events of a span.

    Parameters
    ----------
    form : (k,), of each shape.
    place : (k + 1,), the numbers of a shape at rest are ``work[place[k] : place[k + 1]]``.
    pixels : (k, 4), first and last + 1 column, then row, that a shape may have.
    work : numbers of shapes at rest.
    now : room for two of the largest shape and its form.
    crossings : (h, …), of the rows of an outline.
    word : (blocks, m), of m events, the bits of the shapes of each block that they are in.
    sure : (h, w), bits of the shapes that a pixel is in at the first event.
    maybe : (h, w), bits of those whose edges may cross it until the last one. Both are all 0
        before and after.
    """

    form: Int64Array
    place: Int64Array
    pixels: Int64Array
    work: FloatArray
    now: FloatArray
    crossings: Int32Array
    word: Int64Array
    sure: Int64Array
    maybe: Int64Array


class Overlaps(NamedTuple):
    """Room for overlaps, (m,): rows of events, and regions."""

    event: Int64Array
    region: Int32Array


@kernel
def label(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    low: Int64Array,
    high: Int64Array,
    rows: Int64Array,
    roi: Int32Array,
    ways: Ways,
    measures: Measures,
    dense: float,
    space: Space,
    begin: int,
    out: Int32Array,
    first_row: int,
    overlaps: Overlaps,
) -> tuple[int, int]:
    """Fill `out` (n) with the highest roi at each event, for spans from `begin` on.

    Overlaps get one row per additional region of an event, by event, from the top.

    Returns
    -------
    The first span that is not done, because overlaps may not have room for its own; and how many
    overlaps there are until it.
    """
    found = START
    for j in range(begin, len(low)):
        before = found
        regions = roi[rows[j] : rows[j + 1]]
        shapes = len(regions)
        for first in range(low[j], high[j], space.word.shape[1]):
            stop = min(first + space.word.shape[1], high[j])
            events = t[first:stop], x[first:stop], y[first:stop]
            t0, t1 = t[first], t[stop - 1]
            moves, covered = lay_out(rows[j], shapes, t0, t1, ways, measures, space)
            work = (MOVING if moves else 1) * dense * covered
            painted = (stop - first) * (shapes + TEST) > work
            for block, top in enumerate(range(shapes, 0, -MOST_BITS)):
                bottom = max(top - MOST_BITS, 0)
                if painted:
                    paint(rows[j], bottom, top, t0, t1, ways, measures, space)
                word = space.word[block]
                find_words(
                    events, rows[j], bottom, top, ways, measures, space, painted, moves, word
                )
                for k in range(bottom, top if painted else bottom):
                    wipe(space.sure, space.pixels, k, 1)
                    if ways.from_us[rows[j] + k] != ways.to_us[rows[j] + k]:
                        wipe(space.maybe, space.pixels, k, 1)
            found = take_words(
                space.word, regions, out[first:stop], first_row + first, overlaps, found
            )
            if found < 0:
                return j, before
    return len(low), found


# begin: row of the first shape of a span; shapes: how many there are, of which a block has those
# from bottom on, below top


@kernel
def lay_out(
    begin: int, shapes: int, t0: int, t1: int, ways: Ways, measures: Measures, space: Space
) -> tuple[bool, int]:
    """Write the forms of the shapes that rest, and what pixels each may have from t0 to t1.

    Returns
    -------
    Whether one moves, and how many pixels they may have in all.
    """
    scale, radius, margin = measures
    form, place, pixels, work, now = (
        space.form,
        space.place,
        space.pixels,
        space.work,
        space.now,
    )
    size = space.sure.shape
    place[0] = 0
    moves, covered = False, 0
    for k in range(shapes):
        i = begin + k
        kind, at, n = ways.kind[i], ways.first[i], ways.first[i + 1] - ways.first[i]
        place[k + 1] = place[k]
        length = ways.to_us[i] - ways.from_us[i]
        if length == 0:
            form[k], m = settle(kind, ways.start, at, n, work, place[k], margin)
            place[k + 1] = place[k] + m
            bound(form[k], work, place[k], m, scale, radius, margin, size, pixels, k)
        else:
            # What it covers at the first and at the last event bounds what it covers between,
            # because its numbers move on straight lines; what turns is within a circle.
            moves = True
            turns = kind == BOX and ways.start[at + 4] != ways.stop[at + 4]
            for end in range(2):
                share = ((t0 if end == 0 else t1) - ways.from_us[i]) / length
                now_form, m = shape_at(kind, ways.start, ways.stop, at, n, share, now, margin)
                if turns:
                    bound_turning(scale, margin, size, now, pixels, k + end)
                else:
                    bound(
                        now_form,
                        now,
                        len(now) // 2,
                        m,
                        scale,
                        radius,
                        margin,
                        size,
                        pixels,
                        k + end,
                    )
            for side in range(4):
                one, other = pixels[k, side], pixels[k + 1, side]
                pixels[k, side] = min(one, other) if side % 2 == 0 else max(one, other)
        covered += (pixels[k, 1] - pixels[k, 0]) * (pixels[k, 3] - pixels[k, 2])
    return moves, covered


@kernel
def paint(
    begin: int,
    bottom: int,
    top: int,
    t0: int,
    t1: int,
    ways: Ways,
    measures: Measures,
    space: Space,
) -> None:
    """Paint the shapes of a block, from t0 to t1; widen their pixels by that."""
    scale, radius, margin = measures
    now, half = space.now, len(space.now) // 2
    for k in range(bottom, top):
        i = begin + k
        bit = 1 << (top - 1 - k)
        from_us, to_us = ways.from_us[i], ways.to_us[i]
        if from_us == to_us:
            at, m = space.place[k], space.place[k + 1] - space.place[k]
            fill(
                space.form[k],
                space.work,
                at,
                m,
                scale,
                radius,
                margin,
                space.sure,
                bit,
                space.crossings,
            )
            continue
        at, n, length = ways.first[i], ways.first[i + 1] - ways.first[i], to_us - from_us
        share = (t0 - from_us) / length
        kind, start, stop = ways.kind[i], ways.start, ways.stop
        form, m = shape_at(kind, start, stop, at, n, share, now, margin)
        fill(form, now, half, m, scale, radius, margin, space.sure, bit, space.crossings)
        reach = distance(kind, start, stop, at, n, (t1 - t0) / length)
        fill_way(
            form, now, half, m, reach, scale, radius, margin, space.maybe, bit, space.pixels, k
        )
        widen(space.pixels, k, int(max(reach, 0.0) / scale) + 2, space.maybe.shape)


@kernel
def covers(
    k: int,
    i: int,
    t: int,
    column: int,
    row: int,
    kind: Int8Array,
    first: Int64Array,
    start: FloatArray,
    stop: FloatArray,
    from_us: Int64Array,
    to_us: Int64Array,
    form: Int64Array,
    place: Int64Array,
    work: FloatArray,
    now: FloatArray,
    scale: int,
    radius: float,
    margin: float,
) -> bool:
    """Return whether shape k of a span, in row i, covers a pixel's centre at a time."""
    x, y = (column + 0.5) * scale, (row + 0.5) * scale
    if from_us[i] == to_us[i]:
        n = place[k + 1] - place[k]
        return is_inside(form[k], work, place[k], n, x, y, radius, margin)
    share = (t - from_us[i]) / (to_us[i] - from_us[i])
    at, n = first[i], first[i + 1] - first[i]
    now_form, n = shape_at(kind[i], start, stop, at, n, share, now, margin)
    return is_inside(now_form, now, len(now) // 2, n, x, y, radius, margin)


@kernel
def has_pixel(pixels: Int64Array, k: int, column: int, row: int) -> bool:
    """Return whether a shape may have a pixel."""
    return bool(pixels[k, 0] <= column < pixels[k, 1] and pixels[k, 2] <= row < pixels[k, 3])


@kernel
def find_words(
    events: tuple[Int64Array, UInt16Array, UInt16Array],
    begin: int,
    bottom: int,
    top: int,
    ways: Ways,
    measures: Measures,
    space: Space,
    painted: bool,
    moves: bool,
    word: Int64Array,
) -> None:
    """Fill `word` with the bits of the shapes of a block that cover each event: t, x and y."""
    t, x, y = events
    kind, first, start, stop, from_us, to_us = ways
    form, place, pixels, work, now = (
        space.form,
        space.place,
        space.pixels,
        space.work,
        space.now,
    )
    scale, radius, margin = measures
    sure, maybe = space.sure, space.maybe
    everything = 0 if painted else (1 << (top - bottom)) - 1
    if painted:
        for e in range(len(t)):
            word[e] = sure[y[e], x[e]]
    if painted and not moves:
        return
    for e in range(len(t)):
        rest = maybe[y[e], x[e]] | everything
        if rest == 0:
            continue
        here = sure[y[e], x[e]] & ~rest
        while rest:
            k = top - 1 - lowest_bit(rest)
            if has_pixel(pixels, k, x[e], y[e]) and covers(
                k,
                begin + k,
                t[e],
                x[e],
                y[e],
                kind,
                first,
                start,
                stop,
                from_us,
                to_us,
                form,
                place,
                work,
                now,
                scale,
                radius,
                margin,
            ):
                here |= rest & -rest
            rest &= rest - 1
        word[e] = here


@kernel
def take_words(
    word: Int64Array, roi: Int32Array, out: Int32Array, event: int, overlaps: Overlaps, found: int
) -> int:
    """Label events, of which the first is in row `event`, by their words of each block.

    Parameters
    ----------
    found
        How many overlaps there are already.

    Returns
    -------
    How many overlaps there are now; −1 if they may not have room.
    """
    out[:] = -1
    over = 0
    for block, top in enumerate(range(len(roi) - 1, -1, -MOST_BITS)):
        here = word[block]
        for e in range(len(out)):
            rest = here[e]
            is_first = out[e] < 0 and rest != 0
            out[e] = roi[top - lowest_bit(rest)] if is_first else out[e]
            rest = rest & (rest - 1) if is_first else rest
            here[e] = rest
            over |= rest
    if over == 0:
        return found
    for e in range(len(out)):
        if found + len(roi) > len(overlaps.event):
            return -1
        for block, top in enumerate(range(len(roi) - 1, -1, -MOST_BITS)):
            rest = word[block, e]
            # The first is written whether or not there is one: a branch that cannot be foreseen
            # costs more.
            overlaps.event[found] = event + e
            overlaps.region[found] = roi[top - lowest_bit(rest)]
            found += 1 if rest != 0 else 0
            rest &= rest - 1
            while rest:
                overlaps.event[found] = event + e
                overlaps.region[found] = roi[top - lowest_bit(rest)]
                found += 1
                rest &= rest - 1
    return found
