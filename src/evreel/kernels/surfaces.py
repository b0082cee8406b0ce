"""Newest timestamps of pixels, what they fade to, and sums of what faded; exp and log of their own.

exp and log are sums and products of float64 here: numpy's and the C library's differ between
processors. numba contracts none of them into one step (no fastmath), so the bits are the same on
every x86-64 processor.
"""

# n events; h, w sensor rows, columns; k stamps a pixel; s side of a surface; a, b rows, columns of
# cells; m events in memory.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
LEAST = 2.0**-126
"""The smallest normal float32. What is smaller is 0: a float32 below it takes 100 times as long."""

# Added to a float64 up to 2⁵¹ and subtracted again, it rounds to a whole number; meanwhile the low
# bits of the sum are that number.
_ROUND = 1.5 * 2.0**52
_ROUND_BITS = 0x4338000000000000
_SQRT_HALF = 0x3FE6A09E667F3BCD  # the bits of √½


@kernel
def power_of_two(q: float) -> float:
    """Return 2^q for -1022 ≤ q ≤ 1022, within 1e-12 of it; 2^0 is 1.

    The polynomial is the one of degree 8 with the least relative error, 9.4e-13, on [-½, ½] of
    those that are 1 at 0 and twice as much at ½ as at -½: no step where q is rounded to the next
    whole number. Degree 7 (5e-11) takes 0.95 of the time, 9 (2e-14) 1.1.
    """
    shifted = q + _ROUND
    part = q - (shifted - _ROUND)
    value = 1.3193383542782787e-06
    value = value * part + 1.5311114936627764e-05
    value = value * part + 0.00015403776406224274
    value = value * part + 0.001333344752076735
    value = value * part + 0.009618128655917586
    value = value * part + 0.05550410942816231
    value = value * part + 0.24022650698085887
    value = value * part + 0.6931471805464094
    value = value * part + 1.0
    scale = (np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52)
    return value * np.int64(scale).view(np.float64)


@kernel
def exp(x: float) -> float:
    """Return e^x for x ≤ 700, within 2e-12 of it; 0 below -700, and e^0 is 1."""
    return power_of_two(x * LOG2_E) if x >= -700.0 else 0.0


@kernel
def log(y: float) -> float:
    """Return the natural logarithm of a normal y > 0, within 1e-14 of it; log(1) is 0.

    y is m·2^e with m from √½ to √2, and log m = 2 artanh(u), u = (m - 1)/(m + 1), |u| < 0.172:
    its series to u¹⁷, whose rest is below 1e-15 of it. An operator would raise an error on a zero,
    and a loop that may raise one is not a vector's: np.divide takes a tenth of the time.
    """
    from_sqrt_half = np.float64(y).view(np.int64) - np.int64(_SQRT_HALF)
    exponent = from_sqrt_half >> np.int64(52)
    m = np.int64(from_sqrt_half - (exponent << np.int64(52)) + np.int64(_SQRT_HALF)).view(
        np.float64
    )
    e = np.int64(exponent + np.int64(_ROUND_BITS)).view(np.float64) - _ROUND
    u: float = np.divide(m - 1.0, m + 1.0)
    square = u * u
    value = 1.0 / 17.0
    value = value * square + 1.0 / 15.0
    value = value * square + 1.0 / 13.0
    value = value * square + 1.0 / 11.0
    value = value * square + 1.0 / 9.0
    value = value * square + 1.0 / 7.0
    value = value * square + 1.0 / 5.0
    value = value * square + 1.0 / 3.0
    value = value * square + 1.0
    return e * LN_2 + 2.0 * u * value


# t (n,) int64; x, y (n,) uint16; p (n,) uint8; newest (2, h, w) int32 or int64
@kernel
def remember(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    base: int,
    newest: npt.NDArray[Any],
) -> None:
    """Put t - base where each event is, in order: the newest stays."""
    for i in range(t.shape[0]):
        # Looking first takes 0.8 of the time: a processor looks ahead, but does not write ahead.
        if newest[p[i], y[i], x[i]] < t[i] - base:
            newest[p[i], y[i], x[i]] = t[i] - base


# t (n,) int64; x, y (n,) uint16; p (n,) uint8; newest (2, k, h, w) int32 or int64, newest first
@kernel
def remember_several(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    base: int,
    newest: npt.NDArray[Any],
) -> None:
    """Put t - base before the stamps of each event's pixel, and drop the oldest of them."""
    for i in range(t.shape[0]):
        stamp = t[i] - base
        for j in range(np.uint64(newest.shape[1])):
            before = np.int64(newest[p[i], j, y[i], x[i]])
            newest[p[i], j, y[i], x[i]] = stamp
            stamp = before


# newest (n,) int32
@kernel
def rebase(newest: npt.NDArray[np.int32], shift: int, never: int) -> None:
    """Subtract `shift` from each stamp that is not `never`; what falls to it becomes it."""
    for i in range(newest.shape[0]):
        newest[i] = never if newest[i] == never else max(newest[i] - shift, never)


# newest, frame (n,); newest int32 or int64
@kernel
def fade(
    newest: npt.NDArray[Any], now: float, since: float, per_us: float, frame: Float32Array
) -> None:
    """Fill `frame` with 2^((newest - now)·per_us); with 0 for what is before `since`.

    Branches are choices between two values, so that all pixels of a vector go on together.
    """
    for i in range(newest.shape[0]):
        then = np.float64(newest[i])
        value = power_of_two(max((then - now) * per_us, -200.0))
        frame[i] = np.float32(value if (then >= since) & (value >= LEAST) else 0.0)


# newest, frame (n,) int64
@kernel
def ages(newest: Int64Array, now: int, since: int, unseen: int, frame: Int64Array) -> None:
    """Fill `frame` with now - newest; with `unseen` for what is before `since`."""
    for i in range(newest.shape[0]):
        frame[i] = now - newest[i] if newest[i] >= since else unseen


# newest, frame (n,); newest int32 or int64
@kernel
def log_ages(
    newest: npt.NDArray[Any],
    now: float,
    since: float,
    most: float,
    least: float,
    frame: Float32Array,
) -> None:
    """Fill `frame` with log(age + 1) - least, at least 0.

    Ages are at most `most`, which is also the age of what is before `since`.
    """
    for i in range(newest.shape[0]):
        then = np.float64(newest[i])
        counts = (then >= since) & (now - then <= most)
        age = now - then if counts else most
        frame[i] = np.float32(max(log(age + 1.0) - least, 0.0))


# t (n,) int64; x, y (n,) uint16; p (n,) uint8; newest (2, h, w) int64; stamps, before (m,) int64;
# sums (a, b, 2, s, s) float64; counts (a, b, 2) int64
@kernel
def add_surfaces(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    number: int,
    oldest: int,
    base: int,
    newest: Int64Array,
    stamps: Int64Array,
    before: Int64Array,
    cell: int,
    memory_us: int,
    own: bool,
    linear: bool,
    per_us: float,
    sums: Float64Array,
    counts: Int64Array,
) -> None:
    """Add each event's surface to the sums of its cell and polarity.

    Events are numbered from `number`; those before `oldest` are of other windows. That of number k
    is at k - base in `stamps` and in `before`, which has the number of the one before it in its
    pixel and polarity. `newest` has the number of the newest of each pixel and polarity. So an
    event meets those that count, from new to old, and nothing is cleared between windows.

    A surface counts events of the same cell and polarity in the last `memory_us`. With `own`,
    those up to the event itself; else those before its timestamp.
    """
    h, w, side = newest.shape[1], newest.shape[2], sums.shape[3]
    radius = side // 2
    for i in range(t.shape[0]):
        k, now = number + i, t[i]
        row, column, c = np.int64(y[i]), np.int64(x[i]), np.int64(p[i])
        stamps[k - base] = now
        before[k - base] = newest[c, row, column]
        newest[c, row, column] = k
        a, b = row // cell, column // cell
        counts[a, b, c] += 1
        top, bottom = max(row - radius, a * cell), min(row + radius, a * cell + cell - 1, h - 1)
        left, right = (
            max(column - radius, b * cell),
            min(column + radius, b * cell + cell - 1, w - 1),
        )
        for v in range(top, bottom + 1):
            for u in range(left, right + 1):
                j = newest[c, v, u]
                value = 0.0
                while j >= oldest and stamps[j - base] >= now - memory_us:
                    age = now - stamps[j - base]
                    if own or age > 0:
                        if linear:
                            value += max(1.0 - age * per_us, 0.0)
                        else:
                            value += exp(-(age * per_us))
                    j = before[j - base]
                sums[a, b, c, v - row + radius, u - column + radius] += value
