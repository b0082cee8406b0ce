"""The recordings table: read, checked, written."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from evreel.acquire import read_source
from evreel.dataset.settings import (
    FREE_COLUMNS,
    NEEDED_BESIDE,
    SECTIONS,
    Config,
    RecordingColumns,
    Split,
)
from evreel.errors import EvreelError, UsageError, nearest
from evreel.folders import is_folder
from evreel.settings import elsewhere, guess, settings_of, wrong
from evreel.text import nfc

Row = Mapping[str, str]
"""A row without its empty cells: column → text."""

NAMES = ("group",)
"""Columns whose texts are compared between rows."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_SEPARATORS = (
    ("commas", re.compile(r"\s*,\s*")),
    ("semicolons", re.compile(r"\s*;\s*")),
    ("|", re.compile(r"\s*\|\s*")),
    ("spaces", re.compile(r"\s+")),
)
_SUM_OR_FILE = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}|(?!meta\.).+\.[A-Za-z0-9]{1,8}")
_FREE = re.compile("|".join(f"(?:{form})" for form in FREE_COLUMNS))


def read_rows(
    path: str | Path, required: Sequence[str] = ("id",), *, strict: bool = False
) -> list[tuple[int, Row]]:
    """Return (line, row) of each row of a recordings table that is not empty.

    Parameters
    ----------
    path
        A TSV, UTF-8, whose first line names its columns. Quotes mean nothing in it.
    required
        Columns that it must have.
    strict
        Whether a column that has no meaning is an error.

    Raises
    ------
    UsageError
        With the line, where the table is not of that form.
    """
    # Spreadsheets begin a file with a byte order mark.
    line = 1
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns = [nfc(column) for column in next(reader, [])]
            rows = []
            for cells in reader:
                line = reader.line_num
                if cells:
                    rows.append((line, cells))
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8: save it as UTF-8", path=path) from error
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot be read: {problem}", path=path) from error
    except csv.Error as error:
        raise UsageError(str(error), path=path, place=f"line {line + 1}") from error
    problem = _header_problem(columns, required) or _columns_problem(columns, required, strict)
    if problem:
        raise UsageError(problem, path=path, place="line 1")
    for line, cells in rows:
        if cells == columns:
            raise UsageError("is the header again; remove it", path=path, place=f"line {line}")
        if len(cells) != len(columns):
            raise UsageError(
                f"has {len(cells)} cells; the header has {len(columns)}. Separate cells by tabs",
                path=path,
                place=f"line {line}",
            )
    filled = (
        (
            line,
            {
                column: nfc(cell) if column in NAMES else cell
                for column, cell in zip(columns, cells, strict=True)
                if cell
            },
        )
        for line, cells in rows
    )
    return [(line, row) for line, row in filled if row]


def _header_problem(columns: Sequence[str], required: Sequence[str]) -> str | None:
    """Return what is wrong with a first line that does not name columns, each after a tab."""
    if not any(columns):
        return f"has no tab in it, it is empty; name the columns there: {', '.join(required)}, …"
    known = {*settings_of(RecordingColumns), *required}
    for column in columns:
        for what, between in _SEPARATORS:
            parts = [part.strip('" ') for part in between.split(column)]
            if len(known & {*parts}) > 1:
                first = "has no tab in it" if len(columns) < 2 else f"has columns in {column!r}"
                return f"{first}; separate columns by tabs, not by {what}"
        if column != column.strip() and column.strip() in known:
            return f"column {column!r} begins or ends with a space"
    if not known & {*columns} and any(map(_is_of_a_recording, columns)):
        return (
            "names no column, but looks like a recording: the header is missing. Put a line above "
            f"it that names the columns, {', '.join(required)}, …, separated by tabs"
        )
    return None


def _is_of_a_recording(cell: str) -> bool:
    """Tell whether a cell is a checksum, a split or a file, and not a misspelt column."""
    is_path = "/" in cell and cell.partition("/")[0] not in SECTIONS
    return is_path or cell in get_args(Split) or _SUM_OR_FILE.fullmatch(cell) is not None


def _columns_problem(columns: Sequence[str], required: Sequence[str], strict: bool) -> str | None:
    if len(columns) < 2:
        return "has no tab in it; separate columns by tabs"
    for k, column in enumerate(columns):
        if column in columns[:k]:
            return f"column {column!r} is duplicated"
    for column in required:
        if column not in columns:
            return f"column {column!r} is missing{guess(column, columns)}"
    known = settings_of(RecordingColumns)
    for column in columns if strict else ():
        if column not in known and not _FREE.fullmatch(column):
            section, slash, below = column.partition("/")
            meant = nearest(section, SECTIONS) if slash else None
            moved = [] if slash else elsewhere(Config, column)
            if meant is not None:
                moved = [f"{meant}/{below}"]
            more = f"; did you mean {moved[0]!r}?" if len(moved) == 1 else guess(column, known)
            return f"unknown column {column!r}{more}"
    return None


def row_mistakes(row: Row) -> Iterator[str]:
    """Yield what is wrong with the cells of a row, each by itself."""
    known, accepted = settings_of(RecordingColumns), _accepted()
    for column, cell in row.items():
        if column in known and not accepted[column](cell):
            yield from (f"{column}: {problem}" for _, problem in wrong(known[column], cell, ()))
        if cell[0].isspace() or cell[-1].isspace():
            yield f"{column}: {cell!r} begins or ends with a space"
    for name in ("id", "source", "split"):
        if name not in row:
            yield f"{name} is missing ({known[name].facts.meaning})"
    if row.keys().isdisjoint(("md5", "sha256", "crc32")) and folder_in(row) is None:
        missing = _missing(row)
        more = "" if missing is None else f"; {str(missing)!r} does not exist: a folder needs none"
        yield f"md5, sha256 or crc32 of the source is needed; none is given{more}"
    for column, other in NEEDED_BESIDE.items():
        if column in row and other not in row:
            yield f"{column} is given without {other}"


@functools.cache
def _accepted() -> dict[str, Callable[[str], object]]:
    """Return a fast test of the cells of each column: tables may have tens of thousands of rows."""
    found: dict[str, Callable[[str], object]] = {}
    for name, known in settings_of(RecordingColumns).items():
        if known.choices:
            found[name] = known.choices.__contains__
        elif known.facts.pattern:
            found[name] = re.compile(known.facts.pattern).fullmatch
        else:
            found[name] = bool
    return found


def _missing(row: Row) -> Path | None:
    """Return the local path that the source of a row is, if there is nothing."""
    try:
        source = read_source(row.get("source", ""))
    except EvreelError:
        return None
    is_there = source.path is None or bool(source.members) or source.path.exists()
    return None if is_there else source.path


def folder_in(row: Row) -> Path | None:
    """Return the local folder that the source of a row is, None where it is anything else."""
    try:
        source = read_source(row.get("source", ""))
    except EvreelError:
        return None
    is_one = source.path is not None and not source.members and is_folder(source.path)
    return source.path if is_one else None


def write_rows(path: str | Path, rows: Sequence[Row]) -> None:
    """Write a recordings table, without the columns that are empty in all rows.

    Raises
    ------
    UsageError
        Where a cell has a tab or another control character in it.
    """
    columns = _filled(rows)
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(columns) + "\n")
        file.writelines(_line(row, columns) + "\n" for row in rows)


def add_rows(table: str | Path, path: str | Path, rows: Sequence[Row]) -> None:
    """Write a table with more rows, and the columns that they need; the others stay as they are.

    Parameters
    ----------
    table
        A table that `read_rows` takes.
    path
        What is written.
    rows
        The rows to be added.

    Raises
    ------
    UsageError
        As `write_rows`.
    """
    with Path(table).open(encoding="utf-8", newline="") as file:
        lines = re.findall(r"([^\r\n]*)(\r\n|\r|\n|\Z)", file.read())
    header, ending = lines[0][0], lines[0][1] or "\n"
    there = [nfc(column) for column in header.removeprefix("\ufeff").split("\t")]
    new = [column for column in _filled(rows) if column not in there]
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join((header, *new)) + ending)
        for text, end in lines[1:]:
            if text or end:
                file.write((text + "\t" * len(new) if text else "") + (end or ending))
        file.writelines(_line(row, [*there, *new]) + ending for row in rows)


def _filled(rows: Sequence[Row]) -> list[str]:
    return [column for column in rows[0] if any(row[column] for row in rows)]


def _line(row: Row, columns: Sequence[str]) -> str:
    for column in columns:
        if _CONTROL.search(row.get(column, "")):
            raise UsageError(
                f"{column} {row[column]!r} has a control character in it",
                hint="Rename the file.",
            )
    return "\t".join(row.get(column, "") for column in columns)


def read_known(path: str | Path) -> dict[str, Row]:
    """Return what a table says of each recording, by its id; all columns but `id` are free.

    Raises
    ------
    UsageError
        With the line, where the table is not of that form, or an id is missing or duplicated.
    """
    known: dict[str, Row] = {}
    for line, row in read_rows(path):
        id_ = row.get("id", "")
        if not id_ or id_ in known:
            problem = f"id {id_!r} is duplicated" if id_ else "id is missing"
            raise UsageError(problem, path=path, place=f"line {line}")
        known[id_] = row
    return known
