"""Recordings that hold events as columns of numbers: from the numbers in a column to events.

A column may hold integers of any type, bools, or floating-point numbers without a fraction, if they
are exact: a float32 skips numbers from 2²⁴ on, and earlier rounding cannot be detected. Timestamps
are µs. Polarities are 1 for ON, and either 0 or −1 for OFF throughout a file.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.timebase import FARTHEST

NAMES = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity", "polarities"),
}
"""What a column may be called, in upper or lower case."""
NAMES_HINT = (
    "Name columns t (or ts, timestamp, timestamps; µs), x, y and p (or pol, polarity, polarities)."
)

_HINTS = {
    "t": "Timestamps must be whole microseconds. If they are seconds, save them as "
    "np.round(t * 1e6).astype(np.int64), with 1e3 if they are milliseconds; if they are "
    "nanoseconds, as t // 1000.",
    "x": "Coordinates must be whole pixels of the sensor. Those of undistorted pictures lie "
    "between pixels: save the ones from before that.",
    "p": "Are they colours, classes, or several polarities? Decide which of them are ON, and save "
    "p as 1 for these and 0 for the others.",
}
_HINTS["y"] = _HINTS["x"]
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
    """

    columns: tuple[npt.NDArray[Any], ...]
    offset: int
    row_bytes: int = 0
    fault: Fault | None = None


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


class ColumnsRecording(DecodedRecording):
    """A `DecodedRecording` of columns, which a subclass yields in `_rows`.

    A value that cannot be read is damage or another coding, as `evreel.recordings.survey` says.
    """

    _added_us = 0  # added to each timestamp to get the file's own clock

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
                column, row, problem = whole_numbers(name, values[:size])
                if problem is None and name == "t":
                    row, problem = _far(column)
                    column = column[:row].astype(np.int64) + self._added_us
                    if problem is None and self._added_us:
                        row, problem = _far(column)
                if problem is None and name == "p":
                    off, row, problem = _polarities(column, off)
                if problem is not None:
                    size = row
                    odd = name, row, problem
                columns.append(column)
            t, x, y, p = (column[:size] for column in columns)
            yield Piece(t.astype(np.int64, copy=False), x, y, (p > 0).astype(np.uint8), rows.offset)
            if odd is not None:
                name, row, problem = odd
                fault = self._judged(name, problem, rows.offset + row * rows.row_bytes, off)
            if fault is not None:
                self._raise(fault)

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
