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


# Steps and limits are looked up: a branch on the polarity took 2 to 4 times as long, because it is
# guessed wrong for every other event.


# x, y (n,) uint16; p (n,) uint8; steps, limits (c,) and sums (1, h, w) whole numbers
@kernel
def add_polarities(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    steps: npt.NDArray[Any],
    limits: npt.NDArray[Any],
    sums: npt.NDArray[Any],
) -> int:
    """Add the step of each event's polarity, until a sum is at its limit; return how many did."""
    n: int = x.shape[0]
    for i in range(n):
        before = sums[0, y[i], x[i]]
        if before == limits[p[i]]:
            return i
        sums[0, y[i], x[i]] = before + steps[p[i]]
    return n


# x, y (n,) uint16; p (n,) uint8; steps, limits (c,) and sums (1, h, w) whole numbers
@kernel
def add_polarities_saturating(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    steps: npt.NDArray[Any],
    limits: npt.NDArray[Any],
    sums: npt.NDArray[Any],
) -> int:
    """Add the step of each event's polarity, up to its limit; return how many were left out."""
    lost = 0
    for i in range(x.shape[0]):
        before = sums[0, y[i], x[i]]
        if before == limits[p[i]]:
            lost += 1
        else:
            sums[0, y[i], x[i]] = before + steps[p[i]]
    return lost


# x, y (n,) uint16; p (n,) uint8; split 1: a channel per polarity, 0: one; marks (1 or c, h, w)
@kernel
def mark(x: UInt16Array, y: UInt16Array, p: UInt8Array, split: np.uint8, marks: UInt8Array) -> None:
    """Set the pixels of events to 1."""
    for i in range(x.shape[0]):
        marks[p[i] * split, y[i], x[i]] = 1
