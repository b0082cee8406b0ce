"""The twelve channels of ERGO-12: times, polarities and counts of seven parts of a window."""

# n events; h, w sensor rows, columns.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]


# t (n,) int64 within [t0, t0 + span]; x, y (n,) uint16; p (n,) uint8; frame (12, h, w) float32;
# counts (4, h, w) int32: OFF, ON, OFF of the last third, ON of the middle third; sums (3, h, w)
# float64: mean time and sum of squares about it of the third of these, sum of times of the fourth
@kernel
def add_twelve(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    number: int,
    total: int,
    t0: int,
    span: int,
    frame: Float32Array,
    counts: Int32Array,
    sums: Float64Array,
) -> None:
    """Add events `number`, `number` + 1, … of a window's `total`; `finish_twelve` does the rest."""
    third, half = total // 3, total // 2
    quarter = half // 2
    after_half = half
    after_quarter = half + quarter
    after_eighth = half + quarter + quarter // 2
    inverse = 1.0 / max(span, 1)
    for i in range(t.shape[0]):
        k = number + i
        on = p[i] == 1
        row, column = y[i], x[i]
        time = min(np.float64(t[i] - t0) * inverse, 1.0)
        counts[p[i], row, column] += 1
        if on:
            frame[9, row, column] = time
        if k < third:
            frame[11, row, column] = 1
            if not on:
                frame[8, row, column] = time
        elif k < 2 * third:
            if on:
                counts[3, row, column] += 1
                sums[2, row, column] += time
            else:
                frame[2, row, column] = 1
        elif k < 3 * third and not on:
            counts[2, row, column] += 1
            away = time - sums[0, row, column]
            sums[0, row, column] += away / counts[2, row, column]
            sums[1, row, column] += away * (time - sums[0, row, column])
        if k >= after_half:
            frame[10, row, column] = time
        if k >= after_quarter:
            frame[4 if on else 7, row, column] = 1
        if k >= after_eighth:
            frame[3, row, column] += 1 if on else -1
            frame[5, row, column] += 1


# frame (12, h, w) float32; counts (4, h, w) int32; sums (3, h, w) float64; as above
@kernel
def finish_twelve(frame: Float32Array, counts: Int32Array, sums: Float64Array) -> None:
    """Fill the channels of means and variances.

    Of n polarities ±1, of which a are -1 and b are 1, the variance is 4ab/n².
    """
    for row in range(frame.shape[1]):
        for column in range(frame.shape[2]):
            off = np.float64(counts[0, row, column])
            on = np.float64(counts[1, row, column])
            n = off + on
            frame[0, row, column] = 4.0 * off * on / max(n * n, 1.0)
            frame[1, row, column] = sums[1, row, column] / max(counts[2, row, column], 1)
            frame[6, row, column] = sums[2, row, column] / max(counts[3, row, column], 1)
