"""Keeping the events of every second row and column."""

# n events; h, w sensor rows, columns.

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]
UInt16Array = npt.NDArray[np.uint16]
UInt8Array = npt.NDArray[np.uint8]


# Each event is written, and the next one over it if it is not kept: without a branch, which half of
# all events would mispredict.


# t (n,) int64; x, y (n,) uint16; p (n,) uint8; kept_… (n,) of the same types
@kernel
def keep_odd(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    kept_t: Int64Array,
    kept_x: UInt16Array,
    kept_y: UInt16Array,
    kept_p: UInt8Array,
) -> int:
    """Copy the events of odd rows and columns, coordinates halved; return how many there are."""
    kept = np.uint64(0)
    for i in range(t.shape[0]):
        kept_t[kept] = t[i]
        kept_x[kept] = x[i] >> np.uint16(1)
        kept_y[kept] = y[i] >> np.uint16(1)
        kept_p[kept] = p[i]
        kept += np.uint64(x[i] & y[i] & np.uint16(1))
    return np.int64(kept)  # type: ignore[return-value]
