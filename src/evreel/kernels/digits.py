"""Events as lines of decimal numbers."""

# n events; b bytes of room.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

LINE_BYTES = 35
"""Bytes of the longest line: a time of 20, two coordinates of 5, a polarity of 1, 3 commas, \n."""

_COMMA, _NEWLINE, _MINUS, _ZERO = 44, 10, 45, 48
_LOW = 100_000


# Numbers are written from their last digit on. The first digits of a time are those of the time
# before, nearly always: they are copied, which takes a third of the time of a division per digit.


@kernel
def _digits(value: np.uint64) -> int:
    """Return how many digits a number has."""
    n = 1
    while value >= np.uint64(10):
        value //= np.uint64(10)
        n += 1
    return n


@kernel
def _fill(value: np.uint64, out: npt.NDArray[np.uint8], at: int, n: int) -> None:
    """Write the last n digits of a number to out[at : at + n]."""
    for k in range(at + n - 1, at - 1, -1):
        rest = value // np.uint64(10)
        out[k] = np.uint8(value - rest * np.uint64(10) + np.uint64(_ZERO))
        value = rest


@kernel
def _small(value: Any, out: npt.NDArray[np.uint8], at: int) -> int:
    """Write a number below 100,000 to out[at:]; return where it ends."""
    n: int = 1 + (value >= 10) + (value >= 100) + (value >= 1_000) + (value >= 10_000)
    left = np.uint32(value)
    for k in range(at + n - 1, at - 1, -1):
        rest = left // np.uint32(10)
        out[k] = np.uint8(left - rest * np.uint32(10) + np.uint32(_ZERO))
        left = rest
    return at + n


# t (n,) int64; x, y (n,) uint16; p (n,) uint8; out (b,) uint8, b at least n · LINE_BYTES
@kernel
def lines(
    t: npt.NDArray[np.int64],
    x: npt.NDArray[np.uint16],
    y: npt.NDArray[np.uint16],
    p: npt.NDArray[np.uint8],
    out: npt.NDArray[Any],
) -> int:
    """Write ``t,x,y,p`` and a line feed for each event; return how many bytes that takes."""
    at = 0
    held_high = np.uint64(0)  # the first digits of a time, and where they were written
    held_at = held_n = 0
    for i in range(t.shape[0]):
        value = np.uint64(t[i])
        if t[i] < 0:
            out[at] = _MINUS
            at += 1
            value = np.uint64(0) - value
        if value < np.uint64(_LOW):
            at = _small(value, out, at)
        else:
            high = value // np.uint64(_LOW)
            if high == held_high:
                for k in range(held_n):
                    out[at + k] = out[held_at + k]
            else:
                held_high = high
                held_n = _digits(high)
                _fill(high, out, at, held_n)
            held_at = at
            at += held_n
            _fill(value - high * np.uint64(_LOW), out, at, 5)
            at += 5
        out[at] = _COMMA
        at = _small(x[i], out, at + 1)
        out[at] = _COMMA
        at = _small(y[i], out, at + 1)
        out[at] = _COMMA
        out[at + 1] = np.uint8(_ZERO) + p[i]
        out[at + 2] = _NEWLINE
        at += 3
    return at
