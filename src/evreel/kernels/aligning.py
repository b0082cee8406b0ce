"""How many events lie on moving outlines, for each of many shifts in time and space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]
UInt16Array = npt.NDArray[np.uint16]
FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

# n events; f frames; m vertices; a map has h rows and w columns of cells, `fine` of them to a px.


@kernel
def draw_distances(
    vertices: FloatArray, closed: bool, reach: float, fine: int, distance: Float32Array
) -> None:
    """Lower `distance` (h, w) to that of each cell's centre from a line through `vertices` (m, 2).

    Vertices are in cells. Cells farther than `reach` px are not looked at.
    """
    h, w = distance.shape
    m = len(vertices)
    far = reach * fine
    for i in range(m if closed else m - 1):
        j = i + 1 if i + 1 < m else 0
        ax, ay = vertices[i, 0], vertices[i, 1]
        bx, by = vertices[j, 0], vertices[j, 1]
        dx, dy = bx - ax, by - ay
        length = dx * dx + dy * dy
        top = max(int(min(ay, by) - far), 0)
        bottom = min(int(max(ay, by) + far) + 2, h)
        left = max(int(min(ax, bx) - far), 0)
        right = min(int(max(ax, bx) + far) + 2, w)
        for row in range(top, bottom):
            for column in range(left, right):
                px, py = column + 0.5 - ax, row + 0.5 - ay
                share = 0.0
                if length > 0.0:
                    share = min(max((px * dx + py * dy) / length, 0.0), 1.0)
                ex, ey = px - share * dx, py - share * dy
                found = np.float32(np.sqrt(ex * ex + ey * ey) / fine)
                if found < distance[row, column]:
                    distance[row, column] = found


@kernel
def add_scores(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    instant: Int64Array,
    half: Int64Array,
    speed: FloatArray,
    corner: FloatArray,
    block: Int64Array,
    first: Int64Array,
    shape: Int64Array,
    weights: Float32Array,
    fine: int,
    offsets: Int64Array,
    shifts_x: FloatArray,
    shifts_y: FloatArray,
    score: FloatArray,
) -> None:
    """Add to `score` (blocks, offsets, shifts y, shifts x) the weights at which events lie.

    An event at t is of frame k if ``-half[k] <= t - offset - instant[k] < half[k]``. The map of
    weights of frame k is the cells from ``first[k]`` on, ``shape[k]`` (rows, columns), whose corner
    is at ``corner[k]`` px at the frame's instant and moves by ``speed[k]`` px/µs.
    """
    n = len(t)
    for a in range(len(offsets)):
        low = 0
        for k in range(len(instant)):
            begin = instant[k] + offsets[a] - half[k]
            end = instant[k] + offsets[a] + half[k]
            while low > 0 and t[low - 1] >= begin:
                low -= 1
            while low < n and t[low] < begin:
                low += 1
            rows, columns = shape[k, 0], shape[k, 1]
            e = low
            while e < n and t[e] < end:
                passed = float(t[e] - offsets[a] - instant[k])
                px = x[e] + 0.5 - corner[k, 0] - speed[k, 0] * passed
                py = y[e] + 0.5 - corner[k, 1] - speed[k, 1] * passed
                for j in range(len(shifts_y)):
                    row = int(np.floor((py - shifts_y[j]) * fine))
                    if 0 <= row < rows:
                        start = first[k] + row * columns
                        for i in range(len(shifts_x)):
                            column = int(np.floor((px - shifts_x[i]) * fine))
                            if 0 <= column < columns:
                                score[block[k], a, j, i] += weights[start + column]
                e += 1
