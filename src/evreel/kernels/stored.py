"""Values of frames as whole numbers from 0 to 255."""

# n values; scaled the value as a number of steps, before it is rounded.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]


# Both count, and clip, without a branch that leaves the loop: so it is vectorised.


# values (n,) float; factor a number of the same type; stored (n,) uint8
@kernel
def multiplied(values: npt.NDArray[Any], factor: Any, stored: UInt8Array) -> tuple[int, int]:
    """Store round(value · factor), half to even; return how many did not fit, how many were NaN."""
    saturated = 0
    no_number = 0
    for i in range(values.shape[0]):
        scaled = np.rint(values[i] * factor)
        saturated += (scaled < 0) | (scaled > 255)
        no_number += scaled != scaled
        stored[i] = np.uint8(min(max(scaled, 0), 255))
    return saturated, no_number


# values (n,) of any type of numbers; scale float64; stored (n,) uint8
@kernel
def divided(values: npt.NDArray[Any], scale: float, stored: UInt8Array) -> tuple[int, int]:
    """Store round(value / scale), half to even; return how many did not fit, how many were NaN."""
    saturated = 0
    no_number = 0
    for i in range(values.shape[0]):
        scaled = np.rint(np.float64(values[i]) / scale)
        saturated += (scaled < 0) | (scaled > 255)
        no_number += scaled != scaled
        stored[i] = np.uint8(min(max(scaled, 0), 255))
    return saturated, no_number
