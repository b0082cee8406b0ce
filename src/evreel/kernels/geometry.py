"""Moving events to other pixels, and resizing frames."""

# n events, m of them kept; c channels; h, w rows, columns before; H, W rows, columns after

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt16Array = npt.NDArray[np.uint16]
UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
AnyArray = npt.NDArray[Any]


# at (n,) uint16; places (w,) int32, ≥ 0; moved (n,) uint16
@kernel
def look_up(at: UInt16Array, places: Int32Array, moved: UInt16Array) -> None:
    """Give each event its new column, or row."""
    for i in range(at.shape[0]):
        moved[i] = places[at[i]]


@kernel
def move(
    t: Int64Array,  # (n,)
    x: UInt16Array,  # (n,)
    y: UInt16Array,  # (n,)
    p: UInt8Array,  # (n,)
    columns: Int32Array,  # (w,), −1 outside
    rows: Int32Array,  # (h,), −1 outside
    wanted: BoolArray,  # (n,), or (0,) if all are
    new_t: Int64Array,  # (n,), of which m are filled, as of those below
    new_x: UInt16Array,
    new_y: UInt16Array,
    new_p: UInt8Array,
    kept: Int64Array,
) -> int:
    """Keep the wanted events that are not outside, at their new places; return m."""
    all_wanted = wanted.shape[0] == 0
    m = 0
    for i in range(t.shape[0]):
        column, row = columns[x[i]], rows[y[i]]
        # Written whether it is kept or not: where half are kept, a branch took 2.8 times as long.
        new_t[m] = t[i]
        new_x[m] = column
        new_y[m] = row
        new_p[m] = p[i]
        kept[m] = i
        is_wanted = all_wanted or wanted[i]
        m += ((column | row) >= 0) & is_wanted
    return m


# frame (c, h, w); rows (H,), columns (W,) int64; out (c, H, W), of the same type
@kernel
def pick(frame: AnyArray, rows: Int64Array, columns: Int64Array, out: AnyArray) -> None:
    """Take the values of some rows and columns."""
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            row = rows[i]
            for j in range(out.shape[2]):
                out[k, i, j] = frame[k, row, columns[j]]


@kernel
def blend(
    frame: AnyArray,  # (c, h, w)
    above: Int64Array,  # (H,): rows above and below, and the weight of the one below
    below: Int64Array,
    lower: AnyArray,
    left: Int64Array,  # (W,): columns left and right, and the weight of the right one
    right: Int64Array,
    outer: AnyArray,
    out: AnyArray,  # (c, H, W)
) -> None:
    """Weight the four values around each place: along the rows first, then between them."""
    one = lower.dtype.type(1)
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            top, bottom = frame[k, above[i]], frame[k, below[i]]
            share = lower[i]
            for j in range(out.shape[2]):
                near, far, part = left[j], right[j], outer[j]
                upper_value = top[near] * (one - part) + top[far] * part
                lower_value = bottom[near] * (one - part) + bottom[far] * part
                out[k, i, j] = upper_value * (one - share) + lower_value * share


@kernel
def average(
    frame: AnyArray,  # (c, h, w)
    first_row: Int64Array,  # (H,): first row of each mean, and how many it has
    tall: AnyArray,
    first_column: Int64Array,  # (W,)
    wide: AnyArray,
    at_once: bool,  # whether to divide once, so that a half is exact, or for each side
    out: AnyArray,  # (c, H, W)
) -> None:
    """Take the mean of each rectangle, added up row by row in the type of `tall` and `wide`."""
    zero = tall.dtype.type(0)
    for k in range(out.shape[0]):
        for i in range(out.shape[1]):
            stop_row = first_row[i] + np.int64(tall[i])
            for j in range(out.shape[2]):
                stop_column = first_column[j] + np.int64(wide[j])
                total = zero
                for row in range(first_row[i], stop_row):
                    for column in range(first_column[j], stop_column):
                        total += frame[k, row, column]
                if at_once:
                    out[k, i, j] = total / (tall[i] * wide[j])
                else:
                    out[k, i, j] = total / tall[i] / wide[j]
