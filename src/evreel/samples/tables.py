"""Tables of samples: the cut of one recording, and all samples of a data set with their splits.

Both are TSV, UTF-8, with a header row. A cut has one row per sample, in order of time, after the
digests of the files that it was made from, if any::

    # intervals  sha256:…
    id  label  group  start_us  stop_us  t_offset

and the table of a data set one per sample of every recording::

    recording  sample  label  group  split  start_us  stop_us
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evreel.errors import AnnotationError
from evreel.samples.samples import Samples
from evreel.text import read_text

CUT_COLUMNS = ("id", "label", "group", "start_us", "stop_us", "t_offset")
TABLE_COLUMNS = ("recording", "sample", "label", "group", "split", "start_us", "stop_us")

_COMMENT = "# "
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


class Assigned(NamedTuple):
    """A sample of a data set and the split it belongs to; times in µs since `t_offset`."""

    recording: str
    sample: str
    label: str
    group: str
    split: str
    start_us: int
    stop_us: int


def fits_a_cell(text: str) -> bool:
    r"""Return whether a table can hold a text: printable characters, no blank at either end.

    Examples
    --------
    >>> fits_a_cell("user1/hand wave"), fits_a_cell(""), fits_a_cell("a\tb"), fits_a_cell("a ")
    (True, True, False, False)
    """
    return text.isprintable() and text == text.strip()


def write_cut(path: str | Path, samples: Samples, inputs: Mapping[str, str] | None = None) -> None:
    """Write the samples of one recording as `read_cut` reads them.

    Parameters
    ----------
    path
        The file to write.
    samples
        The samples.
    inputs
        Role → digest of the files that they were made from, for `inputs_of_cut`.

    Raises
    ------
    AnnotationError
        If a name has a tab or a control character in it.
    """
    columns = (
        samples.id,
        samples.label,
        samples.group,
        samples.start_us.tolist(),
        samples.stop_us.tolist(),
        samples.t_offset.tolist(),
    )
    _write(Path(path), CUT_COLUMNS, zip(*columns, strict=True), inputs)


def read_cut(path: str | Path) -> Samples:
    """Read the samples of one recording.

    Raises
    ------
    AnnotationError
        With the line, if the file is not such a table, or its samples are not valid.
    """
    path = Path(path)
    rows = [
        (*row[:3], *(_whole(path, line, cell) for cell in row[3:]))
        for line, row in _rows(path, CUT_COLUMNS)
    ]
    id_, label, group, *times = zip(*rows, strict=True) if rows else [()] * len(CUT_COLUMNS)
    start_us, stop_us, t_offset = (np.array(column, dtype=np.int64) for column in times)
    try:
        return Samples(id_, label, group, start_us, stop_us, t_offset)
    except AnnotationError as error:
        raise AnnotationError(error.problem, path=path, place=error.place) from error


def inputs_of_cut(path: str | Path) -> dict[str, str]:
    """Return role → digest of the files that the samples of a recording were made from."""
    lines = read_text(path).splitlines()
    said = (line[2:].split("\t") for line in lines if line.startswith(_COMMENT))
    return {cells[0]: cells[1] for cells in said if len(cells) == 2}


def write_samples_table(path: str | Path, rows: Iterable[Assigned]) -> None:
    """Write the samples of a data set as `read_samples_table` reads them."""
    _write(Path(path), TABLE_COLUMNS, rows)


def read_samples_table(path: str | Path) -> list[Assigned]:
    """Read the samples of a data set.

    Raises
    ------
    AnnotationError
        With the line, if the file is not such a table.
    """
    path = Path(path)
    rows = []
    for line, (recording, sample, label, group, split, *times) in _rows(path, TABLE_COLUMNS):
        start_us, stop_us = (_whole(path, line, time) for time in times)
        rows.append(Assigned(recording, sample, label, group, split, start_us, stop_us))
    return rows


def splits_of(path: str | Path, recording: str) -> Mapping[str, str]:
    """Return the splits of one recording's samples, sample → split."""
    return {row.sample: row.split for row in read_samples_table(path) if row.recording == recording}


def _write(
    path: Path,
    header: tuple[str, ...],
    rows: Iterable[Iterable[object]],
    inputs: Mapping[str, str] | None = None,
) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{_COMMENT}{role}\t{digest}\n" for role, digest in (inputs or {}).items())
        file.write("\t".join(header) + "\n")
        for row in rows:
            cells = [str(cell) for cell in row]
            for name, cell in zip(header, cells, strict=True):
                if not fits_a_cell(cell):
                    raise AnnotationError(
                        f"{name} {cell!r} does not fit into a table",
                        hint="Remove tabs, line feeds, and blanks at the ends.",
                    )
            file.write("\t".join(cells) + "\n")


def _rows(path: Path, header: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    # A number that is cut short is a number too, so the last line must be complete.
    *lines, rest = read_text(path).replace("\r\n", "\n").split("\n")
    if rest or not lines:
        raise AnnotationError(
            "its last line is not complete", path=path, hint="If it was cut short, make it again."
        )
    first = next((k for k, row in enumerate(lines) if not row.startswith(_COMMENT)), 0)
    if lines[first].split("\t") != list(header):
        raise AnnotationError(
            f"its header is {lines[first]!r}; {' '.join(header)}, separated by tabs, is expected",
            path=path,
            place=f"line {first + 1}",
        )
    for line, row in enumerate(lines[first + 1 :], start=first + 2):
        cells = row.split("\t")
        if len(cells) != len(header):
            raise AnnotationError(
                f"has {len(cells)} cells; {len(header)} are expected",
                path=path,
                place=f"line {line}",
            )
        yield line, cells


def _whole(path: Path, line: int, cell: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(cell):
        raise AnnotationError(
            f"{cell!r} is not a time; a whole number is expected", path=path, place=f"line {line}"
        )
    return int(cell)
