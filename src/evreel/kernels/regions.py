"""Outlines → pixels, and which region each event lies in.

A pixel is inside an outline if its centre is, by the even-odd rule. Edges include their top and
exclude their bottom, and a crossing counts for the centres at or right of it. So a pixel whose
centre is on the common edge of two outlines is in exactly one of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
UInt16Array = npt.NDArray[np.uint16]

# k shapes, from the bottom to the top; m vertices of all of them, x and y in picture pixels;
# first (k + 1): shape s has the vertices [first[s], first[s + 1]); scale: picture pixels a
# sensor pixel; h, w sensor rows, columns; roi (k): a number for each shape, 0 or more.
# A span is a run of pixels of one row: columns [start, stop).


@kernel
def areas(vertices: FloatArray, first: Int64Array, area: FloatArray) -> None:
    """Fill `area` (k) with the area of each outline, in picture pixels squared."""
    for s in range(len(first) - 1):
        doubled = 0.0
        for i in range(first[s], first[s + 1]):
            j = i + 1 if i + 1 < first[s + 1] else first[s]
            doubled += vertices[i, 0] * vertices[j, 1] - vertices[j, 0] * vertices[i, 1]
        area[s] = abs(doubled) / 2.0


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
def count_crossings(vertices: FloatArray, first: Int64Array, scale: int, height: int) -> int:
    """Return how often outlines cross the centre line of a row: two for each span at most."""
    n = 0
    for s in range(len(first) - 1):
        for i in range(first[s], first[s + 1]):
            j = i + 1 if i + 1 < first[s + 1] else first[s]
            low = first_centre(vertices[i, 1], scale, height)
            high = first_centre(vertices[j, 1], scale, height)
            n += abs(high - low)
    return n


@kernel
def find_spans(
    vertices: FloatArray,
    first: Int64Array,
    scale: int,
    height: int,
    width: int,
    filled: Int64Array,
    crossings: FloatArray,
    spans: Int32Array,
) -> int:
    """Fill `spans` (n, 4) with (shape, row, start, stop), shape by shape; return n.

    `filled` (h + 1) and `crossings` (as many as `count_crossings` says) are working space.
    """
    n = 0
    for s in range(len(first) - 1):
        filled[:] = 0
        # How many crossings each row has; then where they begin among all of them.
        for i in range(first[s], first[s + 1]):
            j = i + 1 if i + 1 < first[s + 1] else first[s]
            low = first_centre(vertices[i, 1], scale, height)
            high = first_centre(vertices[j, 1], scale, height)
            for row in range(min(low, high), max(low, high)):
                filled[row + 1] += 1
        for row in range(height):
            filled[row + 1] += filled[row]
        for i in range(first[s], first[s + 1]):
            # An edge is walked from its top, whichever outline it belongs to: the common edge
            # of two gives the same crossings, to the last bit.
            top, bottom = i, i + 1 if i + 1 < first[s + 1] else first[s]
            if vertices[top, 1] > vertices[bottom, 1]:
                top, bottom = bottom, top
            x, y = vertices[top, 0], vertices[top, 1]
            width_px, height_px = vertices[bottom, 0] - x, vertices[bottom, 1] - y
            low = first_centre(y, scale, height)
            for row in range(low, first_centre(vertices[bottom, 1], scale, height)):
                crossings[filled[row]] = x + ((row + 0.5) * scale - y) * width_px / height_px
                filled[row] += 1
        begin = 0
        for row in range(height):
            end = filled[row]
            for i in range(begin + 1, end):  # few per row: sorted by insertion
                at = crossings[i]
                j = i - 1
                while j >= begin and crossings[j] > at:
                    crossings[j + 1] = crossings[j]
                    j -= 1
                crossings[j + 1] = at
            for i in range(begin, end - 1, 2):
                start = first_centre(crossings[i], scale, width)
                stop = first_centre(crossings[i + 1], scale, width)
                if start < stop:
                    spans[n, 0] = s
                    spans[n, 1] = row
                    spans[n, 2] = start
                    spans[n, 3] = stop
                    n += 1
            begin = end
    return n


@kernel
def paint(
    spans: Int32Array,
    roi: Int32Array,
    primary: Int32Array,
    head: Int32Array,
    node_roi: Int32Array,
    node_next: Int32Array,
) -> int:
    """Draw spans over each other; return how many nodes were used.

    `primary` (h, w) starts at −1 and gets the roi of the topmost shape. Those below it are a list
    from top to bottom: `head` (h, w) is its first node or −1; a node has a roi and the next node
    or −1.
    """
    nodes = 0
    for i in range(len(spans)):
        number = roi[spans[i, 0]]
        row = spans[i, 1]
        for column in range(spans[i, 2], spans[i, 3]):
            below = primary[row, column]
            if below >= 0:
                node_roi[nodes] = below
                node_next[nodes] = head[row, column]
                head[row, column] = nodes
                nodes += 1
            primary[row, column] = number
    return nodes


@kernel
def erase(spans: Int32Array, primary: Int32Array, head: Int32Array) -> None:
    """Put −1 wherever spans were painted: cheaper than the whole sensor for each frame."""
    for i in range(len(spans)):
        row = spans[i, 1]
        for column in range(spans[i, 2], spans[i, 3]):
            primary[row, column] = -1
            head[row, column] = -1


# n events of one frame: x, y (n); out (n) their topmost roi, −1 none.


@kernel
def look_up(x: UInt16Array, y: UInt16Array, primary: Int32Array, out: Int32Array) -> None:
    """Fill `out` with the topmost roi at each event."""
    for i in range(len(x)):
        out[i] = primary[y[i], x[i]]


@kernel
def count_overlaps(x: UInt16Array, y: UInt16Array, head: Int32Array, node_next: Int32Array) -> int:
    """Return how many additional regions the events are in."""
    n = 0
    for i in range(len(x)):
        node = head[y[i], x[i]]
        while node >= 0:
            n += 1
            node = node_next[node]
    return n


@kernel
def list_overlaps(
    x: UInt16Array,
    y: UInt16Array,
    head: Int32Array,
    node_roi: Int32Array,
    node_next: Int32Array,
    first_row: int,
    event: Int64Array,
    roi: Int32Array,
) -> None:
    """Fill `event` and `roi` with one row per additional region, by event, from the top."""
    n = 0
    for i in range(len(x)):
        node = head[y[i], x[i]]
        while node >= 0:
            event[n] = first_row + i
            roi[n] = node_roi[node]
            n += 1
            node = node_next[node]
