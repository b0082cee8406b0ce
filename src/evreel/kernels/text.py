"""Lines of text → columns of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]

DIGITS = 18
"""Digits of a number that are kept: as many as an int64 holds."""

# Problems of a line.
TOO_FEW, TOO_MANY, NO_NUMBER, FRACTION, TOO_FAR, NO_POLARITY, TOO_LONG = 1, 2, 3, 4, 5, 6, 7
# What becomes of a fraction that is left.
NONE, NEAREST, BELOW = 0, 1, 2

_TEN = np.int64(10)
_POWERS = _TEN ** np.arange(DIGITS + 1)
_MAX = np.int64(np.iinfo(np.int64).max)


# number (4) int64 is filled: digits without their point, power of ten, 1 if negative, and whether
# digits were left out that are not 0: 1 before the point, 2 after it.
@kernel
def _number(data: npt.NDArray[np.uint8], i: int, number: Int64Array) -> int:
    """Read a decimal number; return the byte after it, 0 if there is none."""
    negative = data[i] == 45
    if negative or data[i] == 43:
        i += 1
    digits, power, n, rest = np.int64(0), np.int64(0), 0, 0
    first = i
    while 48 <= data[i] <= 57:
        if n < DIGITS:
            digits = digits * _TEN + np.int64(data[i] - 48)
            n += digits != 0
        else:
            rest |= data[i] != 48
            power += 1
        i += 1
    any_digit = i > first
    if data[i] == 46:
        i += 1
        first = i
        while 48 <= data[i] <= 57 and n < DIGITS:
            digits = digits * _TEN + np.int64(data[i] - 48)
            n += digits != 0
            i += 1
        power -= i - first
        while 48 <= data[i] <= 57:
            if data[i] != 48:
                rest |= 2
            i += 1
        any_digit |= i > first
    if not any_digit:
        return 0
    if data[i] == 101 or data[i] == 69:
        i += 1
        down = data[i] == 45
        if down or data[i] == 43:
            i += 1
        if not 48 <= data[i] <= 57:
            return 0
        more = np.int64(0)
        while 48 <= data[i] <= 57:
            more = min(more * _TEN + np.int64(data[i] - 48), np.int64(9999))
            i += 1
        power += -more if down else more
    number[0], number[1], number[2], number[3] = digits, power, negative, rest
    return i


# value (1) int64 is filled. A number is multiplied with 10 to the power and up / down, and shifted.
# rounding: NONE is an error for what has a fraction then; NEAREST takes the nearest whole number if
# the number itself has a fraction, else the one below; BELOW takes the one below.
@kernel
def _whole(number: Int64Array, hows: Int64Array, role: int, value: Int64Array) -> int:
    """Make a whole number; return what is wrong with it, 0 if nothing."""
    # By their places: a row of hows would be an array of its own.
    power, up, down, shift = hows[role, 0], hows[role, 1], hows[role, 2], hows[role, 3]
    rounding, most = hows[role, 4], hows[role, 5]
    digits, own, negative, rest = number[0], number[1], number[2], number[3]
    power += own
    while power > 0:
        if digits > _MAX // _TEN:
            return TOO_FAR
        digits *= _TEN
        power -= 1
        if digits == 0:
            power = np.int64(0)
    if digits > _MAX // up:
        return TOO_LONG if power < 0 else TOO_FAR
    digits *= up
    if power >= -DIGITS:
        unit = _POWERS[-power]
        if unit > _MAX // down:
            return TOO_LONG
        unit *= down
        whole = digits // unit
        left = digits - whole * unit
    else:
        unit, whole, left = _MAX, np.int64(0), digits
    if rest & 1 and power >= 0:  # it has more digits than are kept before its point
        return TOO_FAR if down == 1 else TOO_LONG
    if left or rest:
        if rounding == NONE:
            return FRACTION
        has_fraction = rest >= 2 or (own < 0 and (own < -DIGITS or number[0] % _POWERS[-own] != 0))
        if rounding == NEAREST and has_fraction:
            whole += left >= unit - left
        elif negative:
            whole += 1  # the one below
    if whole > _MAX // 2:
        return TOO_FAR
    whole = (-whole if negative else whole) + shift
    if not -most <= whole <= most:
        return TOO_FAR
    value[0] = whole
    return 0


@kernel
def _small(data: npt.NDArray[np.uint8], i: int, value: Int64Array) -> int:
    """Read a number of up to nine digits; return the byte after it, 0 if it is none."""
    whole, start = np.int64(0), i
    while 48 <= data[i] <= 57 and i < start + 9:
        whole = whole * _TEN + np.int64(data[i] - 48)
        i += 1
    value[0] = whole
    is_end = data[i] <= 32 or data[i] == 44 or data[i] == 59
    return i if i > start and is_end else 0


@kernel
def _true_or_false(data: npt.NDArray[np.uint8], i: int, value: Int64Array) -> int:
    """Read True or False, in any case; return the byte after it, 0 if it is neither."""
    value[0] = data[i] | 32 == 116
    word = b"true" if value[0] else b"false"
    for letter in word:
        if data[i] | 32 != letter:
            return 0
        i += 1
    return i


# data (m) uint8: whole lines. roles (k): what column is t 0, x 1, y 2, p 3, or another -1. hows (4,
# 6) int64: for each role the power, up, down, shift and rounding of _whole, and the limit of what
# comes. separator: a comma, which stands for a semicolon too, a tab, or a blank for any of them.
# Filled, from their first element on: t, x, y (n) int64, p (n) int8; n is at least the number of
# lines. tally (4) int64: lines before what is returned; of a line with a problem, what it is, its
# byte and role.
@kernel
def parse(
    data: npt.NDArray[np.uint8],
    roles: npt.NDArray[np.int8],
    hows: Int64Array,
    separator: int,
    t: Int64Array,
    x: Int64Array,
    y: Int64Array,
    p: npt.NDArray[np.int8],
    tally: npt.NDArray[Any],
) -> int:
    """Read lines up to one with a problem; return the number of events."""
    size, k = data.shape[0], roles.shape[0]
    number, value = np.empty(4, np.int64), np.empty(1, np.int64)
    plain = np.empty(4, np.bool_)  # small numbers are taken as they are
    for role in range(4):
        is_own = hows[role, 1] == 1 and hows[role, 2] == 1
        plain[role] = is_own and hows[role, 0] == 0 and hows[role, 3] == 0
    i, n, lines = 0, 0, 0
    tally[1] = 0
    while i < size:
        start = i
        while data[i] == 32 or data[i] == 9 or data[i] == 13:
            i += 1
        c = data[i]
        if c == 10 or c == 35 or c == 37 or (c == 47 and data[i + 1] == 47):  # empty, #, %, //
            while data[i] != 10:
                i += 1
            i += 1
            lines += 1
            continue
        column, problem, role = 0, 0, -1
        while True:
            at = i
            role = roles[column] if column < k else -1
            if data[i] == 34:
                i += 1
            if data[i] == 44 or data[i] == 59 or data[i] == 10:  # an empty field
                if role >= 0:
                    problem = TOO_FEW if data[i] == 10 else NO_NUMBER
                    break
            elif role >= 0:
                after = _small(data, i, value) if plain[role] else 0
                if after == 0:
                    after = _number(data, i, number)
                    if after > 0:
                        problem = _whole(number, hows, role, value)
                    elif role == 3:
                        after = _true_or_false(data, i, value)
                elif value[0] > hows[role, 5]:
                    problem = TOO_FAR
                if after == 0:
                    problem = NO_NUMBER
                elif problem == TOO_FAR and role == 3:
                    problem = NO_POLARITY
                else:
                    i = after
                if problem:
                    break
                if role == 0:
                    t[n] = value[0]
                elif role == 1:
                    x[n] = value[0]
                elif role == 2:
                    y[n] = value[0]
                else:
                    p[n] = value[0]
                if data[i] == 34:
                    i += 1
            else:
                while data[i] != 10 and data[i] != 44 and data[i] != 59:
                    if separator != 44 and (data[i] == 9 or (data[i] == 32 and separator == 32)):
                        break
                    i += 1
            c = data[i]
            if not (c == 32 or c == 9 or c == 13 or c == 10 or c == 44 or c == 59):
                problem = NO_NUMBER
                break
            while data[i] == 32 or data[i] == 9 or data[i] == 13:
                i += 1
            if data[i] == 44 or data[i] == 59:
                i += 1
                while data[i] == 32 or data[i] == 9 or data[i] == 13:
                    i += 1
                if data[i] == 10 and column + 1 == k:  # a separator that ends the line
                    break
            elif data[i] == 10:
                break
            column += 1
            if column > 1 << 16:
                break
        if problem == 0 and column + 1 != k:
            problem = TOO_FEW if column + 1 < k else TOO_MANY
            at = start
        if problem:
            tally[0], tally[1], tally[2], tally[3] = lines, problem, at, role
            return n
        i += 1
        lines += 1
        n += 1
    tally[0] = lines
    return n
