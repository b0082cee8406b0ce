"""Counting events by polarity and pixel, and what else takes one number per pixel."""

# n events; c polarities, 2; h, w sensor rows, columns. Numbers of frames are whole, of any width,
# signed or not; `np.uint8(1)` keeps a uint64 whole, where the literal 1 would make it float64.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]


# Indexed by three unsigned numbers, so that no index can be negative: a flat address computed
# first, alone or for 2048 events ahead, took 1.1 to 3 times as long. Adding the result of the
# comparison instead of branching took 1.05 times as long, and leaving the comparison out 0.97.


# x, y (n,) uint16; p (n,) uint8; most the largest count; counts (c, h, w) whole numbers
@kernel
def count(
    x: UInt16Array, y: UInt16Array, p: UInt8Array, most: Any, counts: npt.NDArray[Any]
) -> int:
    """Count events until one does not fit; return how many did, n if all did."""
    n: int = x.shape[0]
    for i in range(n):
        before = counts[p[i], y[i], x[i]]
        if before == most:
            return i
        counts[p[i], y[i], x[i]] = before + np.uint8(1)
    return n


# x, y (n,) uint16; p (n,) uint8; most the largest count; counts (c, h, w) whole numbers
@kernel
def count_saturating(
    x: UInt16Array, y: UInt16Array, p: UInt8Array, most: Any, counts: npt.NDArray[Any]
) -> int:
    """Count events, at most `most` per pixel and polarity; return how many were left out."""
    lost = 0
    for i in range(x.shape[0]):
        before = counts[p[i], y[i], x[i]]
        if before == most:
            lost += 1
        else:
            counts[p[i], y[i], x[i]] = before + np.uint8(1)
    return lost


# x, y (n,) uint16; p (n,) uint8; least, most of a sum; sums (1, h, w) whole numbers
@kernel
def add_polarities(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    signed: bool,
    least: Any,
    most: Any,
    sums: npt.NDArray[Any],
) -> int:
    """Add 1 for each event, −1 for OFF if `signed`, until one does not fit; return how many did."""
    n: int = x.shape[0]
    for i in range(n):
        before = sums[0, y[i], x[i]]
        if signed and p[i] == 0:
            if before == least:
                return i
            sums[0, y[i], x[i]] = before - np.uint8(1)
        else:
            if before == most:
                return i
            sums[0, y[i], x[i]] = before + np.uint8(1)
    return n


# x, y (n,) uint16; p (n,) uint8; least, most of a sum; sums (1, h, w) whole numbers
@kernel
def add_polarities_saturating(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    signed: bool,
    least: Any,
    most: Any,
    sums: npt.NDArray[Any],
) -> int:
    """Add 1 for each event, −1 for OFF if `signed`; return how many would have left the range."""
    lost = 0
    for i in range(x.shape[0]):
        before = sums[0, y[i], x[i]]
        if signed and p[i] == 0:
            if before == least:
                lost += 1
            else:
                sums[0, y[i], x[i]] = before - np.uint8(1)
        elif before == most:
            lost += 1
        else:
            sums[0, y[i], x[i]] = before + np.uint8(1)
    return lost


# x, y (n,) uint16; p (n,) uint8; split 1: a channel per polarity, 0: one; marks (1 or c, h, w)
@kernel
def mark(x: UInt16Array, y: UInt16Array, p: UInt8Array, split: np.uint8, marks: UInt8Array) -> None:
    """Set the pixels of events to 1."""
    for i in range(x.shape[0]):
        marks[p[i] * split, y[i], x[i]] = 1
