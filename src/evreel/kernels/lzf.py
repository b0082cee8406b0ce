"""Chunks of h5py's filter LZF → their bytes.

A control byte c below 32 precedes c + 1 plain bytes. Any other repeats bytes: its highest three
bits are the length less 2, or 7, and then the next byte is added to the length; its low five bits
and the byte after that are how far back they begin, less 1. They may overlap what they make.

Source: Marc Lehmann's description of LZF, as h5py's documentation names it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]


# packed (n,) uint8; out (m,) uint8 is filled.
@kernel
def decompress(packed: UInt8Array, out: UInt8Array) -> int:
    """Return how many bytes were filled; -1 if the chunk is damaged."""
    n: int = packed.shape[0]
    m: int = out.shape[0]
    i: Any = 0
    filled = np.int64(0)
    while i < n:
        control = np.int64(packed[i])
        i += 1
        if control < 32:
            size = control + 1
            if i + size > n or filled + size > m:
                return -1
            for k in range(size):
                out[filled + k] = packed[i + k]
            i += size
        else:
            size = (control >> 5) + 2
            if size == 9:
                if i >= n:
                    return -1
                size += np.int64(packed[i])
                i += 1
            if i >= n:
                return -1
            back = filled - ((control & 31) << 8 | np.int64(packed[i])) - 1
            i += 1
            if back < 0 or filled + size > m:
                return -1
            for k in range(size):
                out[filled + k] = out[back + k]
        filled += size
    return int(filled)
