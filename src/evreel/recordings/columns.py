"""Recordings that hold events as columns of numbers: from the numbers in a column to events.

A column may hold integers of any type, bools, or floating-point numbers without a fraction, if they
are exact: a float32 skips numbers from 2²⁴ on, and earlier rounding cannot be detected. Timestamps
are µs. Polarities are 1 for ON, and either 0 or −1 for OFF throughout a file.
"""

from __future__ import annotations

import itertools
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError, UsageError
from evreel.recordings.declared import (
    PRESETS,
    SAID,
    UNITS,
    Column,
    Declaration,
    coarse,
    converted,
    declaration,
    unreadable,
)
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.timebase import FARTHEST

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on"),
}
"""What a column may be called, in upper or lower case."""
NAMES_HINT = (
    "Name columns t (or ts, timestamp, timestamps; µs), x, y and p (or pol, polarity, polarities)."
)

_HINTS = {
    "t": "Timestamps must be whole microseconds, unless their unit is declared: s, ms or ns "
    f"instead of us in t[us] = …, x = …, y = …, p = … ({SAID}).",
    "x": "Coordinates must be whole pixels of the sensor. Those of undistorted pictures lie "
    "between pixels: save the ones from before that.",
    "p": "Are they colours, classes, or several polarities? Decide which of them are ON, and save "
    "p as 1 for these and 0 for the others.",
}
_HINTS["y"] = _HINTS["x"]
PIECE_BYTES = 1 << 23
"""Bytes that are read of a column, or of records, at a time, unless a row has more."""
_PAIRS = ("xy", "xys", "coords", "coordinates", "pixels", "positions")
_TIMES = ("t", "ts", "time", "times", "timestamp", "timestamps")
_UNIT = re.compile(
    r"(?P<name>.+?)[\s_\-]*[\[(_]?(?P<unit>us|µs|μs|usec|microseconds?|ns|nsec|nanoseconds?|ms|msec|"
    r"milliseconds?|s|sec|seconds?)[\])]?"
)
_MOST_LISTED = 40
_BYTE_HINT = "255 may be −1, or the brightest of 256: save p as 1 for ON and 0 for OFF."


class Fault(NamedTuple):
    """Where a file goes wrong.

    Parameters
    ----------
    problem : what is wrong there.
    offset : byte of the file.
    hint : what to do about it.
    whole : whether nothing is damaged there, only coded in a way that is not read here.
    """

    problem: str
    offset: int
    hint: str | None = None
    whole: bool = False


class Rows(NamedTuple):
    """Some rows as they are in a file.

    Parameters
    ----------
    columns : t, x, y and p, (n,) each, of any numeric type.
    offset : byte of the file where the first row is, or what holds it.
    row_bytes : bytes from row to row; 0 if a row's position is not known.
    fault : what is wrong after the last of these rows.
    line : of a text, where each row has one, the line of the first; 0 if that is not known.
    """

    columns: tuple[npt.NDArray[Any], ...]
    offset: int
    row_bytes: int = 0
    fault: Fault | None = None
    line: int = 0


def columns_by_name(names: Iterable[str]) -> dict[str, str] | str:
    """Return which of these names stand for t, x, y and p, or what is wrong.

    Examples
    --------
    >>> columns_by_name(["X", "y", "ts", "pol", "label"])
    {'t': 'ts', 'x': 'X', 'y': 'y', 'p': 'pol'}
    >>> columns_by_name(["x", "y", "t"])
    'has no column p'
    """
    listed = list(names)
    found = {}
    for column, known in NAMES.items():
        called = [name for name in listed if name.lower() in known]
        if len(called) > 1:
            return f"has more than one column {column}: {', '.join(called)}"
        if not called:
            return f"has no column {column}"
        found[column] = called[0]
    return found


class Held(NamedTuple):
    """Something that a file holds; all that it holds is a mapping of these, by name.

    Parameters
    ----------
    shape : of numbers or records.
    fields : of records.
    kind : of numbers, such as ``float64``.
    other : what it is instead of numbers.
    """

    shape: tuple[int, ...]
    fields: tuple[str, ...] = ()
    kind: str = ""
    other: str = ""

    @property
    def is_float(self) -> bool:
        """Whether numbers may have a fraction."""
        return self.kind.startswith("float")

    def said(self) -> str:
        """Return what it is, in words."""
        of = f" of {', '.join(self.fields)}" if self.fields else ""
        return f"({self.other})" if self.other else f"{self.shape} {self.kind}".rstrip() + of


def listed(held: Mapping[str, Held]) -> str:
    """Return what a file holds, in words.

    Examples
    --------
    >>> listed({"a/t": Held((9,)), "a/e": Held((9,), ("x", "y"))})
    'a/t (9,); a/e (9,) of x, y'
    """
    said = [f"{name} {one.said()}" for name, one in itertools.islice(held.items(), _MOST_LISTED)]
    more = ["…"] if len(held) > _MOST_LISTED else []
    return "; ".join(said + more) or "nothing"


def to_declare(held: Mapping[str, Held]) -> str:
    """Return what to declare of a file of no known layout, as a sentence.

    Examples
    --------
    >>> to_declare({"prophesee/left/" + name: Held((9,)) for name in "txyp"}).split(" (")[0]
    'Declare its columns: m3ed'
    >>> held = {f"cam/{name}": Held((9,)) for name in ("xs", "ys", "pol")}
    >>> held["cam/ts"] = Held((9,), kind="float64")
    >>> to_declare(held).split(" (")[0]
    'Declare its columns: t[s] = cam/ts, x = cam/xs, y = cam/ys, p = cam/pol'
    """
    line = next((line for line in _lines(held) if _is_valid(line)), None)
    where = f"({SAID}; the unit of t is s, ms, us or ns)"
    if line is None:
        example = "t[UNIT] = NAME, x = NAME[0], y = NAME[1], p = NAME"
        return f"Declare where its columns are: {example} {where}."
    sure = "" if "[0]" not in line else " if they are in this order"
    return f"Declare its columns{sure}: {line} {where}."


def _is_valid(line: str) -> bool:
    """Return whether a name in a line does not change what it says."""
    try:
        return bool(declaration(line))
    except UsageError:
        return False


def _lines(held: Mapping[str, Held]) -> Iterator[str]:
    """Yield declarations that may fit, the likeliest first."""
    for preset in PRESETS:
        columns = declaration(preset).columns.values()
        if all(column.name in held and _fits(column, held[column.name]) for column in columns):
            yield preset
    groups: dict[str, list[str]] = {}
    for name in held:
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    for group, names in groups.items():
        places = {}
        for name in names:
            one, leaf = held[name], name.removeprefix(group).lstrip("/")
            if len(one.shape) == 1 and not one.fields and not one.other:
                places[leaf] = name
            if one.shape[1:] == (2,) and leaf.lower() in _PAIRS:
                places |= {"x": f"{name}[0]", "y": f"{name}[1]"}
        yield from _line(places, held)
    for name, one in held.items():
        if len(one.shape) == 1 and one.fields:
            yield from _line({field: f"{name}[{field}]" for field in one.fields}, held)
        if len(one.shape) == 2 and one.shape[1] == 4:
            yield from _line({role: f"{name}[{k}]" for k, role in enumerate("txyp")}, held)


def _line(places: Mapping[str, str], held: Mapping[str, Held]) -> Iterator[str]:
    """Yield a declaration of places by what they are called, if they are called so."""
    units = {name: time_unit(name) for name in places}
    of_time = [name for name, unit in units.items() if unit is not None]
    found = columns_by_name("t" if name in of_time else name for name in places)
    if not isinstance(found, dict):
        return
    t = of_time[0]
    is_float = (one := held.get(places[t].partition("[")[0])) is not None and one.is_float
    unit = units[t] or ("s" if is_float else "us")
    of = {role: places[t] if role == "t" else places[name] for role, name in found.items()}
    yield ", ".join(f"{f't[{unit}]' if role == 't' else role} = {of[role]}" for role in "txyp")


def time_unit(name: str) -> str | None:
    """Return the unit that the name of a column of times gives, empty if none; None if of others.

    Examples
    --------
    >>> time_unit("timestamp [us]"), time_unit("t_ns"), time_unit("ts"), time_unit("x")
    ('us', 'ns', '', None)
    """
    plain = name.strip().lower()
    if plain in _TIMES:
        return ""
    found = _UNIT.fullmatch(plain)
    if found is None or found["name"] not in _TIMES:
        return None
    start = found["unit"].replace("µ", "u").replace("μ", "u").replace("icro", "u")
    return {"u": "us", "n": "ns", "s": "s"}.get(start[0], "us" if start.startswith("mu") else "ms")


def _fits(column: Column, one: Held) -> bool:
    """Return whether what a file holds may be a column of a preset."""
    if column.unit and one.is_float != (column.unit == "s"):
        return False
    if isinstance(column.part, int):
        return len(one.shape) == 2 and column.part < one.shape[1]
    return len(one.shape) == 1 or one.shape[1:] == (1,)


class ColumnsRecording(DecodedRecording):
    """A `DecodedRecording` of columns, which a subclass yields in `_rows`.

    A value that cannot be read is damage or another coding, as `evreel.recordings.survey` says.
    """

    _added_us = 0  # added to each timestamp to get the file's own clock
    _shift_us = Fraction(0)  # as declared, the number of a data set, before times become whole

    @property
    def _declared(self) -> Declaration | None:
        """What is declared of the columns."""
        columns = self.reading.columns
        return None if columns is None else declaration(columns)

    @abstractmethod
    def _rows(self) -> Iterator[Rows]:
        """Yield all rows of the file, up to `PIECE_ROWS` at a time."""

    @abstractmethod
    def _vouched(self, name: str) -> bool:
        """Return whether a checksum, which a pass verifies, vouches for column t, x, y or p."""

    def _pieces(self) -> Iterator[Piece | Side]:
        off: int | None = None  # which number stands for OFF
        for rows in self._rows():
            fault, columns = rows.fault, []
            odd: tuple[str, int, str] | None = None  # column, row and problem of a value
            size = len(rows.columns[0])
            for name, values in zip("txyp", rows.columns, strict=True):
                column, row, problem = self._whole_numbers(name, values[:size])
                if problem is None and name == "t":
                    row, problem = _far(column)
                    column = column[:row]
                if name == "t" and self._added_us:
                    column = column.astype(np.int64) + self._added_us
                    far_row, far = _far(column)
                    row, problem = (far_row, far) if far is not None else (row, problem)
                if problem is None and name == "p":
                    off, row, problem = _polarities(column, off)
                if problem is not None:
                    size = row
                    odd = name, row, f"line {rows.line + row}: {problem}" if rows.line else problem
                columns.append(column)
            t, x, y, p = (column[:size] for column in columns)
            yield Piece(
                t.astype(np.int64, copy=False),
                x,
                y,
                (p > 0).astype(np.uint8),
                rows.offset,
                line=rows.line,
            )
            if odd is not None:
                name, row, problem = odd
                fault = self._judged(name, problem, self._offset_of(rows, row), off)
            if fault is not None:
                self._raise(fault)

    def _offset_of(self, rows: Rows, row: int) -> int:
        """Return the byte of the file where a row is, or what holds it."""
        return rows.offset + row * rows.row_bytes

    def _whole_numbers(
        self, name: str, values: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.integer[Any]], int, str | None]:
        """Return what `whole_numbers` does of a column, as it is declared."""
        column = self._said(name)
        if column is None:
            return whole_numbers(name, values)
        if name == "t":
            self._count("coarse_times", coarse(values, column))
        return converted(name, values, column)

    def _said(self, name: str) -> Column | None:
        """Return what is declared of a column, None if its numbers are taken as they are."""
        said = self._declared
        if said is None:
            return None
        column = said.columns[name]
        if name == "t" and self._shift_us:
            column = column._replace(shift=column.shift + self._shift_us)
        return None if column.is_plain else column

    def _raise(self, fault: Fault) -> NoReturn:
        if fault.whole:
            self._recode(fault.problem, fault.offset, fault.hint)
        self._fail(fault.problem, fault.offset, fault.hint)

    def _judged(self, name: str, problem: str, offset: int, off: int | None) -> Fault:
        """Return what is wrong with a value of a column: damage, or another coding of them all."""
        survey, k = Survey(), "txyp".index(name)
        damage = Fault(problem, offset)
        try:
            for rows in self._rows():
                values = rows.columns[k]
                survey.add(self._unread(name, values, off), values)
                if rows.fault is not None:
                    return damage
        except RecordingError:
            return damage  # of a checksum
        if not self._vouched(name) and survey.is_damage():
            return damage
        if name == "p":
            problem += f": {survey.said('events')}"
        else:
            problem += f", nor are {survey.bad:,} of {survey.n:,} in all" if survey.bad > 1 else ""
        hint = _BYTE_HINT if problem.startswith("polarity 255 ") else _HINTS[name]
        return Fault(problem, offset, WHOLE + hint, whole=True)

    def _unread(
        self, name: str, values: npt.NDArray[Any], off: int | None
    ) -> npt.NDArray[np.bool_]:
        """Return which values of a column cannot be read."""
        column = self._said(name)
        if column is not None:
            bad = unreadable(name, values, column)
            if name == "p":
                scaled = converted(name, np.where(bad, values.dtype.type(0), values), column)[0]
                bad |= (scaled != 1) & (scaled != (0 if off is None else off))
            return bad
        bad = np.zeros(len(values), np.bool_)
        if values.dtype.kind == "f":
            bad = ~_whole(values)[1]
        with np.errstate(invalid="ignore"):
            if name == "t":
                bad |= (values > FARTHEST) | (values < -FARTHEST)
                bad |= np.abs(values.astype(np.int64) + self._added_us) > FARTHEST
            if name == "p":
                bad |= (values != 1) & (values != (0 if off is None else off))
        return bad


def whole_numbers(
    name: str, values: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.integer[Any]], int, str | None]:
    """Return the leading rows that are whole numbers, how many, and what is wrong with the next.

    Parameters
    ----------
    name
        What the message calls it.
    values
        (n,) bools, whole or floating-point numbers.

    Examples
    --------
    >>> whole_numbers("t", np.array([0.0, 7.0, 7.5]))
    (array([0, 7]), 2, 't=7.5 is not a whole number')
    """
    if values.dtype.kind == "b":
        return values.view(np.uint8), len(values), None
    if values.dtype.kind in "iu":
        # In this machine's byte order, whatever the file's is.
        return values.astype(values.dtype.newbyteorder("="), copy=False), len(values), None
    exact, fine = _whole(values)
    if fine.all():
        return values.astype(np.int64), len(values), None
    row = int(np.argmin(fine))
    value = values[row]
    problem = f"{name}={value} is not a whole number"
    if abs(value) > exact and np.isfinite(value):
        problem = (
            f"{name}={value} is beyond the whole numbers that {values.dtype.name} holds exactly"
        )
    return values[:row].astype(np.int64), row, problem


def _whole(values: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.bool_]]:
    """Return the largest number that floating-point values hold exactly, and which are whole."""
    exact = 1 << np.finfo(values.dtype).nmant + 1
    return exact, (np.abs(values) <= exact) & (values == np.trunc(values))  # NaN is neither


def shift_us(number: float, column: Column) -> Fraction:
    """Return a number in the unit of t as microseconds, to the next nanosecond.

    Raises
    ------
    ValueError
        If it is not a number, or more than 285 years.
    """
    if not np.isfinite(number):
        raise ValueError(f"{number} is not a number")
    us = Fraction(number) * UNITS[column.unit or "us"]
    if abs(us) > FARTHEST:
        raise ValueError(f"{number} is more than 285 years")
    return Fraction(round(us * 1000), 1000)


def rows_at_a_time(row_bytes: int) -> int:
    """Return how many rows are read at a time: up to `PIECE_ROWS`, and `PIECE_BYTES`."""
    return max(1, min(PIECE_ROWS, PIECE_BYTES // max(row_bytes, 1)))


def is_number(dtype: np.dtype[Any]) -> bool:
    """Return whether a column may have this type."""
    return dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8)


def _far(t: npt.NDArray[np.integer[Any]]) -> tuple[int, str | None]:
    """Return the row of the first timestamp that is too far off, and what is wrong with it."""
    far = t > FARTHEST
    if t.dtype.kind == "i":
        far |= t < -FARTHEST
    if not far.any():
        return len(t), None
    row = int(np.argmax(far))
    return row, f"t={t[row]} µs is not within 285 years of 0"


def _polarities(
    p: npt.NDArray[np.integer[Any]], off: int | None
) -> tuple[int | None, int, str | None]:
    """Return the number for OFF so far, the row of the first wrong one, and what is wrong."""
    others = np.flatnonzero(p != 1)
    if off is None and others.size and p[others[0]] in (0, -1):
        off = int(p[others[0]])
    wrong = others[p[others] != (0 if off is None else off)]
    if not wrong.size:
        return off, len(p), None
    row = int(wrong[0])
    if p[row] in (0, -1):
        return off, row, f"polarity {p[row]}, but OFF is {off} in an earlier row"
    return off, row, f"polarity {p[row]} is neither 1 nor {'0 nor −1' if off is None else off}"
