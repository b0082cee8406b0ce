"""What is declared of a recording's columns: where t, x, y and p are, their unit, scale, offset.

A declaration is a list, with commas. In a text or an array of two dimensions, it may name the
columns in their order, ``-`` for one that is not needed; with the unit of t (s, ms, us, ns)::

    t[s], x, y, p
    -, x, y, p, t[us]

Or it says where each column is: a data set of HDF5, an array of an npz, a header's name::

    t[ns] = camera/stamps + camera/start, x = camera/xy[0], y = camera/xy[1], p = camera/on
    t[us] = timestamp, x = x / 32, y = y / 32, p = polarity

Brackets after a place say which column of an array of two dimensions, counted from 0, or which
field of records. ``*`` or ``/`` and a number scales, ``+`` or ``-`` and a number shifts after that;
to t, a data set with one number may be added, in the unit of t.

Times become whole microseconds: the nearest for numbers with a fraction, the one before for whole
nanoseconds. Scaled coordinates become the pixel that they are in, which is the whole number below:
pixel x covers [x, x + 1).
"""

from __future__ import annotations

import functools
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
SAID = "columns in the config or the table, option --columns"
"""Where columns are declared."""

_MOST = 10**9  # of a scale's numbers, so that products stay below 2⁶³
_IN_ORDER = re.compile(r"(-|[txyp]) *(?:\[(\w+)\])?")
_AT_PLACE = re.compile(
    r"([txyp]) *(?:\[(\w+)\])? *= *"  # role, unit
    r"(\S[^\[\],]*?) *(?:\[ *([^\[\],]+?) *\])? *"  # place, column or field
    r"(?: ([*/]) +([0-9]+(?:\.[0-9]+)?))? *"  # scale
    r"(?: ([+-]) +(\S[^\[\],]*?))? *"  # shift
)


class Column(NamedTuple):
    """Where a column is, and what makes whole numbers of it.

    Parameters
    ----------
    name : of a data set, an array or a header; empty where columns are in order.
    part : column of an array of two dimensions, or field of records; None for all of it.
    unit : of t, as declared; empty if it is not.
    scale : what numbers are multiplied with; for t, this gives microseconds.
    shift : what is added after that; for t, microseconds.
    shift_name : the data set whose number, in the unit of t, is added; empty if there is none.
    """

    name: str = ""
    part: int | str | None = None
    unit: str = ""
    scale: Fraction = Fraction(1)
    shift: int = 0
    shift_name: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are taken as they are."""
        return not self.unit and self.scale == 1 and not self.shift

    def said(self) -> str:
        """Return the place in words."""
        return self.name if self.part is None else f"{self.name}[{self.part}]"


@dataclass(frozen=True)
class Declaration:
    """What is declared of a recording's columns.

    Parameters
    ----------
    text
        The declaration, without the name of a preset.
    columns
        ``t``, ``x``, ``y`` and ``p``.
    order
        Their names in the order of the columns, ``-`` for others; none if each has a place.
    sensor
        The size that all such recordings have; None if they differ.
    """

    text: str
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
    text, sensor = PRESETS.get(name, (said.strip(), None))
    if len(text) > LONGEST:
        raise _wrong(said, f"has more than {LONGEST} characters")
    items = [item.strip() for item in text.split(",")]
    if "=" not in text:
        if len(items) == 1:  # maybe with blanks between
            items = text.split()
        if len(items) < 2:
            raise _wrong(said, f"is no preset; {did_you_mean(name, PRESETS)}".rstrip("; "))
        return _in_order(said, text, items, sensor)
    columns: dict[str, Column] = {}
    for item in items:
        found = _AT_PLACE.fullmatch(item)
        if found is None:
            raise _wrong(said, f"has {item!r}, which is no column and its place")
        role, unit, place, part, by, factor, sign, more = found.groups()
        if role in columns:
            raise _wrong(said, f"has {role} twice")
        columns[role] = _column(said, role, unit or "", place, part, (by, factor), (sign, more))
    missing = [role for role in ROLES if role not in columns]
    if missing:
        raise _wrong(said, f"does not say where {' and '.join(missing)} is")
    return Declaration(text, columns, sensor=sensor)


def _in_order(said: str, text: str, items: list[str], sensor: Sensor | None) -> Declaration:
    columns: dict[str, Column] = {}
    order = []
    for item in items:
        found = _IN_ORDER.fullmatch(item)
        if found is None:
            raise _wrong(said, f"has {item!r}, which is none of t, x, y, p and -")
        role, unit = found.groups()
        order.append(role)
        if role in columns:
            raise _wrong(said, f"has {role} twice")
        if role != "-":
            unit, scale = _unit(said, role, unit or "")
            columns[role] = Column(unit=unit, scale=scale)
    missing = [role for role in ROLES if role not in columns]
    if missing:
        raise _wrong(said, f"has no {' and no '.join(missing)}")
    return Declaration(text, columns, tuple(order), sensor)


def _column(
    said: str,
    role: str,
    unit: str,
    place: str,
    part: str | None,
    scaled: tuple[str | None, str | None],
    shifted: tuple[str | None, str | None],
) -> Column:
    unit, of_unit = _unit(said, role, unit)
    scale = of_unit
    shift, shift_name = Fraction(0), ""
    by, factor = scaled
    if factor is not None:
        number = Fraction(factor)
        if not number:
            raise _wrong(said, f"scales {role} by 0")
        scale *= 1 / number if by == "/" else number
    if max(scale.numerator, scale.denominator) > _MOST:
        raise _wrong(said, f"scales {role} by a number beyond {_MOST:,}")
    sign, more = shifted
    if more is not None:
        try:
            shift = Fraction(f"{sign}{more}") * of_unit
        except ValueError:
            if role != "t" or sign == "-":
                problem = f"has {more!r}, which is not a number; a data set may be added to t alone"
                raise _wrong(said, problem) from None
            shift_name = more.strip("/")
    if shift.denominator != 1 or abs(shift) > FARTHEST:
        unit_said = "microseconds within 285 years" if role == "t" else "pixels"
        raise _wrong(said, f"shifts {role} by {more}, which is no whole number of {unit_said}")
    name = place.strip("/")
    if not name:
        raise _wrong(said, f"has no place for {role}")
    number_or_field = int(part) if part is not None and part.isdecimal() else part
    return Column(name, number_or_field, unit, scale, int(shift), shift_name)


def _unit(said: str, role: str, unit: str) -> tuple[str, Fraction]:
    """Return a unit by its name here, and how many microseconds it is."""
    if unit and role != "t":
        raise _wrong(said, f"gives a unit for {role}; only t has one")
    unit = unit.replace("µ", "u").replace("μ", "u")
    if unit and unit not in UNITS:
        raise _wrong(said, f"has the unit {unit!r}, which is none of {', '.join(UNITS)}")
    return unit, UNITS[unit or "us"]


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
    fine = ~unreadable(role, values, column)
    rows = len(values) if fine.all() else int(np.argmin(fine))
    if values.dtype.kind in "biu":
        quotient, rest = np.divmod(values[:rows].astype(np.int64), down)
        whole = quotient * up + rest * up // down + column.shift
    else:
        rounded = np.rint if role == "t" else np.floor
        whole = rounded(_scaled(values[:rows], column)).astype(np.int64)
    if rows == len(values):
        return whole, rows, None
    meaning = "not a time" if role == "t" else "not a pixel" if role in "xy" else "no polarity"
    return whole, rows, f"{role}={values[rows]} is {meaning}"


def unreadable(role: str, values: npt.NDArray[Any], column: Column) -> npt.NDArray[np.bool_]:
    """Return which numbers of a column cannot be converted."""
    most = FARTHEST if role == "t" else MOST
    if values.dtype.kind in "biu":
        return ~_within(values, column, most)
    return ~(np.abs(_scaled(values, column)) <= most)  # not a number is not


def _scaled(values: npt.NDArray[Any], column: Column) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = values.astype(np.float64) * column.scale.numerator
        return numbers / column.scale.denominator + column.shift


def _within(values: npt.NDArray[Any], column: Column, most: int) -> npt.NDArray[np.bool_]:
    """Return which whole numbers are, scaled and shifted, at most `most` away from 0."""
    low, high = ((end - column.shift) / column.scale for end in (-most, most))
    of = np.iinfo(values.dtype if values.dtype.kind != "b" else np.uint8)
    fine = np.ones(len(values), np.bool_)
    if high < of.max:
        fine &= values <= int(high)
    if low > of.min:
        fine &= values >= int(low)
    return fine


def in_words(order: tuple[str, ...], unit: str) -> str:
    """Return a declaration of columns in order.

    Examples
    --------
    >>> in_words(("t", "x", "y", "p"), "s")
    't[s], x, y, p'
    """
    return ", ".join(f"t[{unit}]" if role == "t" else role for role in order)
