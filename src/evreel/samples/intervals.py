"""Tables of labelled intervals, as data sets ship them: CSV or TSV, columns by name."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from evreel.errors import AnnotationError, UsageError, did_you_mean
from evreel.settings import Settings, setting
from evreel.text import nfc, read_text
from evreel.timebase import FARTHEST

Unit = Literal["us", "ms", "s"]
_US = {"us": 1, "ms": 1_000, "s": 1_000_000}
_NUMBER = re.compile(r"[+-]?([0-9]{1,99}(\.[0-9]{0,99})?|\.[0-9]{1,99})([eE][+-]?[0-9]{1,2})?")
"""Bounded, so that each is computed exactly and quickly."""


@dataclass(frozen=True)
class Columns(Settings):
    """Names of the columns of a table of intervals; None if it has no such column."""

    label: str = setting("label", "Class.")
    start: str = setting("start_us", "Start of the sample.")
    stop: str = setting("stop_us", "Stop of the sample (exclusive).")
    id: str | None = setting(None, "Name of the sample; null numbers them by row: 0, 1, …")
    group: str | None = setting(
        None,
        "What stays together in one split; null takes column group of the recordings table, or "
        "else the recording itself.",
    )
    recording: str | None = setting(
        None, "Id of the recording, in a table for all recordings; null takes column recording."
    )


@dataclass(frozen=True)
class Interval:
    """A row: its line in the table, its cells, and its times in µs on the table's clock."""

    line: int
    id: str
    label: str
    group: str
    start_us: int
    stop_us: int


def read_intervals(
    path: str | Path, columns: Columns, *, unit: Unit = "us", recording: str | None = None
) -> list[Interval]:
    """Read a table of labelled intervals.

    Parameters
    ----------
    path
        The table: UTF-8, a header row, cells separated by tabs, semicolons or commas, whichever
        the header has.
    columns
        What its columns are called; others are ignored.
    unit
        Unit of its times, which may have decimals and an exponent: ``1.5``, ``1.5e3``.
    recording
        Take only the rows of this recording, if the table is for several.

    Returns
    -------
    The rows in the table's order; blank lines are skipped.

    Raises
    ------
    AnnotationError
        With the line, if a column is missing, a cell is not a time, a time is not a whole number
        of microseconds, or an interval does not stop after it starts.
    UsageError
        If `unit` is not an allowed value.
    """
    only = None if recording is None else [recording]
    return _rows_of(path, columns, unit, only)[recording or ""]


def read_shared_intervals(
    path: str | Path, columns: Columns, recordings: Collection[str], *, unit: Unit = "us"
) -> dict[str, list[Interval]]:
    """Read a table of intervals of several recordings once, as `read_intervals` does for each.

    Parameters
    ----------
    path, columns, unit
        As in `read_intervals`.
    recordings
        The recordings whose rows are taken.

    Returns
    -------
    Recording → its rows in the table's order.
    """
    return _rows_of(path, columns, unit, recordings)


def _rows_of(
    path: str | Path, columns: Columns, unit: Unit, recordings: Collection[str] | None
) -> dict[str, list[Interval]]:
    """Return the rows of each recording; those of a table of one recording under no name."""
    path = Path(path)
    if unit not in _US:
        raise UsageError(f"unit={unit!r} is not one of {', '.join(_US)}")
    lines = read_text(path).splitlines()
    if not lines:
        raise AnnotationError("is empty; a header row is expected", path=path)
    between = next((mark for mark in "\t;," if mark in lines[0]), ",")
    rows = csv.reader(lines, delimiter=between, skipinitialspace=True)
    found: dict[str, list[Interval]] = {
        name: [] for name in ([""] if recordings is None else recordings)
    }
    try:
        header = [nfc(cell.strip()) for cell in next(rows)]
        place = _places(path, header, columns, wanted=recordings is not None)
        for cells in rows:
            line = rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise _wrong(path, line, f"has {len(cells)} cells; the header has {len(header)}")
            row = {name: nfc(cells[at].strip()) for name, at in place.items()}
            of_one = found.get(row["recording"] if recordings is not None else "")
            if of_one is not None:
                of_one.append(_interval(path, line, row, _US[unit], str(len(of_one))))
    except csv.Error as error:
        raise _wrong(path, rows.line_num, str(error)) from error
    return found


def _places(path: Path, header: Sequence[str], columns: Columns, *, wanted: bool) -> dict[str, int]:
    """Return the position of each column, by its meaning."""
    place = {}
    for name in ("label", "start", "stop", "id", "group", *(["recording"] if wanted else [])):
        called = getattr(columns, name)
        if called is None and name == "recording":
            called = name
        if called is None:
            continue
        called = nfc(called)
        if header.count(called) != 1:
            guess = did_you_mean(called, header) or f"there are {', '.join(header)}"
            problem = "is duplicated" if called in header else f"is missing; {guess}"
            raise AnnotationError(
                f"column {called!r} {problem}",
                path=path,
                place="line 1",
                hint="Name the columns in samples.columns.",
            )
        place[name] = header.index(called)
    return place


def _interval(path: Path, line: int, row: dict[str, str], scale: int, number: str) -> Interval:
    start_us, stop_us = (_time(path, line, name, row[name], scale) for name in ("start", "stop"))
    if stop_us <= start_us:
        raise _wrong(path, line, f"stops at {row['stop']}, not after its start at {row['start']}")
    id_ = row.get("id", number)
    for what, cell in (("id", id_), ("class", row["label"])):
        if not cell:
            raise _wrong(path, line, f"has no {what}")
    return Interval(line, id_, row["label"], row.get("group", ""), start_us, stop_us)


def _time(path: Path, line: int, name: str, cell: str, scale: int) -> int:
    if not _NUMBER.fullmatch(cell):
        raise _wrong(path, line, f"{name} is {cell!r}; a time is expected, such as 1500 or 1.5")
    time = Fraction(cell) * scale
    if time.denominator != 1:
        raise AnnotationError(
            f"{name} is {cell!r}, which is not a whole number of µs",
            path=path,
            place=f"line {line}",
            hint="Are the times in another unit (samples.unit)?",
        )
    if abs(time) > FARTHEST:
        raise _wrong(path, line, f"{name} is {cell!r}, which is beyond {FARTHEST} µs")
    return int(time)


def _wrong(path: Path, line: int, problem: str) -> AnnotationError:
    return AnnotationError(problem, path=path, place=f"line {line}")
