"""What is declared of a recording's columns: where t, x, y and p are, their unit, scale, offset.

A declaration is a list, with commas. In a text or an array of two dimensions, it may name the
columns in their order, ``-`` for one that is not needed; with the unit of t (s, ms, us, ns)::

    t[s], x, y, p
    -, x, y, p, t[us]

Or it says where each column is: a data set of HDF5, an array of an npz, a header's name::

    t[ns] = camera/stamps + camera/start, x = camera/xy[0], y = camera/xy[1], p = camera/on
    t[us] = timestamp, x = x / 32, y = y / 32, p = polarity

Brackets after a place say which column of an array of two dimensions, counted from 0, or which
field of records. ``*`` or ``/`` and a number scales, ``+`` or ``-`` and a number shifts after that,
with blanks around them; to t, a data set with one number may be added, in the unit of t.

Times become whole microseconds: the nearest for numbers with a fraction, the one before for whole
nanoseconds. Those that are declared to be microseconds must be whole. Scaled coordinates become the
pixel that they are in, which is the whole number below: pixel x covers [x, x + 1). Scaled
polarities must be whole.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import UsageError, did_you_mean
from evreel.events import Sensor
from evreel.timebase import FARTHEST

ROLES = "txyp"
UNITS = {"s": Fraction(10**6), "ms": Fraction(10**3), "us": Fraction(1), "ns": Fraction(1, 10**3)}
"""Units of time, and how many microseconds each is."""
MOST = 1 << 31
"""Limit of a coordinate that is kept, to be found outside the sensor."""
LONGEST = 1_000
"""Characters of a declaration."""
SAID = "columns in the config or the table, --columns of evreel events"
"""Where columns are declared."""

_MOST = 10**9  # of a scale's numbers
_MOST_DOWN = 1_000  # that a shift is divided by
_MOST_PRODUCT = 1 << 62
_ROLE = re.compile(r"(-|[txyp])\s*(?:\[\s*(\w{1,9})\s*\])?")
_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?")


class Column(NamedTuple):
    """Where a column is, and what makes whole numbers of it.

    Parameters
    ----------
    name : of a data set, an array or a header; empty where columns are in order.
    part : column of an array of two dimensions, or field of records; None for all of it.
    unit : of t, as declared; empty if it is not.
    scale : what numbers are multiplied with; for t, this gives microseconds.
    shift : what is added after that, microseconds or pixels.
    shift_name : the data set whose number, in the unit of t, is added; empty if there is none.
    """

    name: str = ""
    part: int | str | None = None
    unit: str = ""
    scale: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)
    shift_name: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are taken as they are, and must be whole."""
        return self.unit in ("", "us") and self.scale == 1 and not self.shift

    def said(self) -> str:
        """Return the place in words."""
        return self.name if self.part is None else f"{self.name}[{self.part}]"


@dataclass(frozen=True)
class Declaration:
    """What is declared of a recording's columns.

    Parameters
    ----------
    columns
        ``t``, ``x``, ``y`` and ``p``.
    order
        Their names in the order of the columns, ``-`` for others; none if each has a place.
    sensor
        The size that all such recordings have; None if they differ.
    """

    columns: Mapping[str, Column]
    order: tuple[str, ...] = ()
    sensor: Sensor | None = None


PRESETS: dict[str, tuple[str, Sensor | None]] = {
    "m3ed": (
        "t[us] = prophesee/left/t, x = prophesee/left/x, y = prophesee/left/y, "
        "p = prophesee/left/p",
        Sensor(720, 1280),
    ),
    "m3ed-right": (
        "t[us] = prophesee/right/t, x = prophesee/right/x, y = prophesee/right/y, "
        "p = prophesee/right/p",
        Sensor(720, 1280),
    ),
    "mvsec": (
        "t[s] = davis/left/events[2], x = davis/left/events[0], y = davis/left/events[1], "
        "p = davis/left/events[3]",
        Sensor(260, 346),
    ),
    "mvsec-right": (
        "t[s] = davis/right/events[2], x = davis/right/events[0], y = davis/right/events[1], "
        "p = davis/right/events[3]",
        Sensor(260, 346),
    ),
    "tum-vie": (
        "t[us] = events/t, x = events/x, y = events/y, p = events/p",
        Sensor(720, 1280),
    ),
    "ev-imo2": (
        "t[s] = dataset_events_t, x = dataset_events_xy[0], y = dataset_events_xy[1], "
        "p = dataset_events_p",
        Sensor(480, 640),
    ),
    "v2e": ("t[us] = events[0], x = events[1], y = events[2], p = events[3]", None),
    "bs-ergb": (
        "t[us] = timestamp, x = x / 32, y = y / 32, p = polarity",
        Sensor(625, 970),
    ),
    "eventaid": ("t[us], x, y, p", None),
    "rpg": ("t[s], x, y, p", None),
    "metavision-csv": ("x, y, p, t[us]", None),
}
"""Declarations by name, and the sensor's size where it is known.

Sources: the data sets' pages and code: https://m3ed.io, https://daniilidis-group.github.io/mvsec,
https://cvg.cit.tum.de/data/datasets/visual-inertial-event-dataset, https://better-flow.github.io/
evimo, https://github.com/SensorsINI/v2e, https://github.com/uzh-rpg/timelens-pp,
https://sites.google.com/view/eventaid-benchmark, https://rpg.ifi.uzh.ch/davis_data.html,
https://docs.prophesee.ai (metavision_file_to_csv).
"""


@functools.lru_cache(maxsize=64)
def declaration(said: str) -> Declaration:
    """Return what is declared, by the name of a preset or in full.

    Raises
    ------
    UsageError
        If it is neither; what is wrong, and what it may be.

    Examples
    --------
    >>> declaration("-, t[ns], x, y, p").order
    ('-', 't', 'x', 'y', 'p')
    >>> declaration("t = a, x = b / 32, y = c[1], p = d").columns["x"].scale
    Fraction(1, 32)
    >>> declaration("m3ed").columns["t"].name
    'prophesee/left/t'
    """
    name = said.strip().lower()
    text, sensor = PRESETS.get(name, (said, None))
    if len(text) > LONGEST:
        raise _wrong(said, f"has more than {LONGEST} characters")
    if not text.isprintable():
        raise _wrong(said, "has a character that is not printed")
    items = [item.strip() for item in text.split(",")]
    if "=" in text:
        columns = _at_places(said, items)
        return Declaration(columns, sensor=sensor)
    if len(items) == 1:  # maybe with blanks between
        items = text.replace(" [", "[").split()
    if len(items) < 2:
        problem = f"is not the name of a layout; {did_you_mean(name, PRESETS)}"
        raise _wrong(said, problem.rstrip("; "))
    return _in_order(said, items, sensor)


def _in_order(said: str, items: list[str], sensor: Sensor | None) -> Declaration:
    columns: dict[str, Column] = {}
    for item in items:
        role, unit = _role(said, item)
        if role in columns:
            raise _wrong(said, f"has {role} twice")
        if role != "-":
            columns[role] = Column(unit=unit, scale=UNITS[unit or "us"])
    missing = [role for role in ROLES if role not in columns]
    if missing:
        raise _wrong(said, f"lacks {' and '.join(missing)}")
    return Declaration(columns, tuple(_role(said, item)[0] for item in items), sensor)


def _at_places(said: str, items: list[str]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for item in items:
        of, is_placed, place = item.partition("=")
        role, unit = _role(said, of)
        if not is_placed or role == "-":
            raise _wrong(said, f"has {item!r}, which is not a column and its place")
        if role in columns:
            raise _wrong(said, f"has {role} twice")
        columns[role] = _column(said, role, unit, place.split())
    missing = [role for role in ROLES if role not in columns]
    if missing:
        raise _wrong(said, f"does not say where {' and '.join(missing)} is")
    return columns


def _role(said: str, item: str) -> tuple[str, str]:
    """Return which column an item is about, and its unit."""
    found = _ROLE.fullmatch(item.strip())
    if found is None:
        raise _wrong(said, f"has {item.strip()!r}, which is none of t, x, y, p and -")
    role, unit = found[1], (found[2] or "").replace("µ", "u").replace("μ", "u")
    if unit and role != "t":
        raise _wrong(said, f"gives a unit for {role}; only t has one")
    if unit and unit not in UNITS:
        raise _wrong(said, f"has the unit {unit!r}, which is none of {', '.join(UNITS)}")
    return role, unit


def _column(said: str, role: str, unit: str, words: list[str]) -> Column:
    """Return a column by the words of its place."""
    scale = of_unit = UNITS[unit or "us"]
    shift, shift_name = Fraction(0), ""
    if len(words) > 2 and words[-2] in ("+", "-"):
        *words, sign, more = words
        if _NUMBER.fullmatch(more):
            shift = Fraction(f"{sign}{more}") * of_unit
        elif role == "t" and sign == "+":
            shift_name = _path(more)
        else:
            problem = f"has {more!r}, which is not a number; a data set may be added to t alone"
            raise _wrong(said, problem)
    if len(words) > 2 and words[-2] in ("*", "/"):
        *words, by, factor = words
        if not _NUMBER.fullmatch(factor) or not Fraction(factor):
            raise _wrong(said, f"scales {role} by {factor!r}, which is not a number above 0")
        scale *= 1 / Fraction(factor) if by == "/" else Fraction(factor)
    up, down = scale.numerator, scale.denominator
    product = up * down * (_MOST_DOWN if shift_name else shift.denominator)
    if max(up, down) > _MOST or shift.denominator > _MOST_DOWN or product > _MOST_PRODUCT:
        raise _wrong(said, f"scales or shifts {role} by numbers of too many digits")
    if abs(shift) > FARTHEST:
        raise _wrong(said, f"shifts {role} too far")
    place, part = " ".join(words), ""
    if place.endswith("]"):
        place, _, part = place[:-1].rpartition("[")
        part = part.strip() or "]"
    name = _path(place)
    if not name or any(bracket in name + part for bracket in "[]"):
        raise _wrong(said, f"has no place for {role}")
    is_number = part.isdecimal() and part.isascii() and len(part) < 6
    return Column(name, int(part) if is_number else part or None, unit, scale, shift, shift_name)


def _path(place: str) -> str:
    """Return the name of a data set or array, without what changes nothing."""
    return "/".join(part for part in place.strip().split("/") if part not in ("", "."))


def _wrong(said: str, problem: str) -> UsageError:
    return UsageError(
        f"columns {said[:60]!r} {problem}",
        hint="Write columns in their order, such as t[s], x, y, p; or where each is, such as "
        "t[us] = events/t, x = events/x, y = events/y, p = events/p; or one of "
        f"{', '.join(PRESETS)}.",
    )


def converted(
    role: str, values: npt.NDArray[Any], column: Column
) -> tuple[npt.NDArray[np.int64], int, str | None]:
    """Return the leading rows as whole numbers, how many, and what is wrong with the next.

    Parameters
    ----------
    role
        ``t``, ``x``, ``y`` or ``p``.
    values
        (n,) numbers as they are in the file.
    column
        What is declared of them.

    Examples
    --------
    >>> column = declaration("t[s], x, y, p").columns["t"]
    >>> converted("t", np.array([0.5, 1.0000004, np.nan]), column)
    (array([ 500000, 1000000]), 2, 't=nan is not a time')
    """
    up, down = column.scale.numerator, column.scale.denominator
    whole_shift = math.floor(column.shift)
    more, of = (column.shift - whole_shift).as_integer_ratio()  # what is left must not overflow
    bad = unreadable(role, values, column)
    rows = int(np.argmax(bad)) if bad.any() else len(values)
    if values.dtype.kind in "biu":
        kind = np.uint64 if values.dtype.kind == "u" else np.int64
        quotient, rest = np.divmod(values[:rows].astype(kind), kind(down))
        part = (rest.astype(np.int64) * up * of + more * down) // (down * of)
        whole = quotient.astype(np.int64) * up + part + whole_shift
    else:
        numbers = _scaled(values[:rows], column)
        if role == "t":  # the nearest, and of two the one that is farther from 0
            numbers = np.trunc(numbers + np.copysign(0.5, numbers))
        whole = np.floor(numbers).astype(np.int64)
    if rows == len(values):
        return whole, rows, None
    meaning = "a time" if role == "t" else "a pixel" if role in "xy" else "a polarity"
    return whole, rows, f"{role}={values[rows]} is not {meaning}"


def unreadable(role: str, values: npt.NDArray[Any], column: Column) -> npt.NDArray[np.bool_]:
    """Return which numbers of a column cannot be converted."""
    most = FARTHEST if role == "t" else MOST
    if values.dtype.kind not in "biu":
        numbers = _scaled(values, column)
        fine = np.abs(numbers) <= most  # not a number is not
        return ~(fine & (numbers == np.trunc(numbers)) if role == "p" else fine)
    low, high = ((end - column.shift) / column.scale for end in (-most, most))
    limits = np.iinfo(values.dtype if values.dtype.kind != "b" else np.uint8)
    fine = np.ones(len(values), np.bool_)
    if high < limits.max:
        fine &= values <= math.floor(high)
    if low > limits.min:
        fine &= values >= math.ceil(low)
    if role == "p" and column.scale.denominator * column.shift.denominator > 1:
        exact = [value * column.scale + column.shift for value in np.unique(values[fine]).tolist()]
        whole = [
            int((value - column.shift) / column.scale) for value in exact if value == int(value)
        ]
        fine &= np.isin(values, whole)
    return ~fine


def coarse(values: npt.NDArray[Any], column: Column) -> int:
    """Return how many times are floating-point numbers that skip microseconds."""
    if values.dtype.kind != "f":
        return 0
    with np.errstate(invalid="ignore"):
        apart = np.spacing(np.abs(values)).astype(np.float64)
        return int(np.count_nonzero(apart * column.scale.numerator > column.scale.denominator))


def _scaled(values: npt.NDArray[Any], column: Column) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = values.astype(np.float64) * column.scale.numerator
        return numbers / column.scale.denominator + float(column.shift)


def in_words(order: tuple[str, ...], unit: str) -> str:
    """Return a declaration of columns in order.

    Examples
    --------
    >>> in_words(("t", "x", "y", "p"), "s")
    't[s], x, y, p'
    """
    return ", ".join(f"t[{unit}]" if role == "t" else role for role in order)
