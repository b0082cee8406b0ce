"""HDF5 files of events that others made: DSEC's and RVT's columns, and Metavision's records.

==================  ===============================================================================
columns             as DSEC has them, and RVT
events/t            (n,) µs; t_offset is added to it where there is one
events/x, y         (n,) column, row
events/p            (n,) 1 ON; 0 or else −1 OFF
t_offset            a whole number, µs; may be missing
events/height,      whole numbers, the sensor's size; may both be missing, as in DSEC (640x480)
events/width
ms_to_idx           not needed, not read
records             as Metavision has them
CD/events           (n,) records with fields x, y, p and t as above
EXT_TRIGGER/events  (m,) records with fields p (1 rising), t and id (channel); may be missing
geometry            attribute of the root, WIDTHxHEIGHT; may be missing
CD/indexes          not needed, not read
==================  ===============================================================================

A column may be of any whole numbers, with `columns` for what else is taken; it is contiguous,
compact, or chunked in chunks of at most `CHUNK_BYTES`. Of filters those of `chunks.FILTERS`
are undone; Metavision's own, ECF, is not. Links and data sets that lie in other files are not
followed: a file from elsewhere could point at any file here.

The file's structure is looked at by a program of its own (`probe`), because HDF5's library
may hang on one that is damaged, or end the process; that takes a third of a second. The data are
read and decompressed here.

Sources: https://dsec.ifi.uzh.ch/data-format; RVT (https://github.com/uzh-rpg/RVT), its reader of
event files; https://docs.prophesee.ai, HDF5 event file format.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, LayoutError, RecordingError, UnknownFormatError, UsageError
from evreel.events import Sensor, Triggers
from evreel.files.events_store import EventsStore
from evreel.files.hdf5 import open_hdf5
from evreel.files.hdf5 import reading as reading_hdf5
from evreel.recordings.columns import ColumnsRecording, Fault, Rows, is_number
from evreel.recordings.decoded import PIECE_ROWS, Piece, Side
from evreel.recordings.hdf5 import chunks, probe
from evreel.recordings.open import STRICT, Reading
from evreel.timebase import FARTHEST

MAGIC = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 1 << 28
"""Most bytes that a chunk may have, in the file or decompressed: it is read as a whole."""
LOOK_SECONDS = 120.0
"""How long it may take to look at a file's structure."""

_ORIGIN = "evreel-"  # layouts of evreel's own files begin so
_COLUMNS = tuple(f"events/{name}" for name in "txyp")
_SIZES = ("events/height", "events/width")
_RECORDS, _TRIGGERS = "CD/events", "EXT_TRIGGER/events"
_NAMES = (*_COLUMNS, *_SIZES, "t_offset", _RECORDS, _TRIGGERS)
_READABLE = (
    "Readable are events/t, x, y and p, as DSEC and RVT have them, Metavision's CD/events, and "
    "evreel's events stores."
)
_WHOLE_AGAIN = "Copy or download it again."


class Chunk(NamedTuple):
    """Where a part of a data set lies: its first row, byte and bytes, filters left out."""

    row: int
    offset: int
    size: int
    mask: int


@dataclass(frozen=True)
class Look:
    """What is known of an HDF5 file without its data.

    Parameters
    ----------
    attributes : attributes of the root that are texts, name → text or None.
    listed : what the root holds, in words.
    sets : data sets that were asked for and are there, name → what `probe` tells.
    tables : their chunks, in the order of their rows, (m, 4) int64 as `Chunk`.
    """

    attributes: dict[str, str | None]
    listed: list[str]
    sets: dict[str, dict[str, Any]]
    tables: dict[str, npt.NDArray[np.int64]]


def look(path: Path) -> Look:
    """Return what is known of an HDF5 file without its data.

    Raises
    ------
    RecordingError
        Where the structure is damaged, or looking at it takes more than `LOOK_SECONDS`.
    """
    # By its path and with -P: it is to import nothing of what lies beside it or where we run.
    command = [sys.executable, "-P", probe.__file__, str(path.resolve()), *_NAMES]
    damaged = "its structure can't be read as HDF5"
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=LOOK_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise RecordingError(
            f"{damaged}: looking at it does not end within {LOOK_SECONDS:.0f} s",
            path=path,
            offset=0,
            hint=_WHOLE_AGAIN,
        ) from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said and done.returncode > 0 else f"signal {-done.returncode}"
        raise RecordingError(f"{damaged}: {why}", path=path, offset=0, hint=_WHOLE_AGAIN)
    line, _, rest = done.stdout.partition(b"\n")
    told = json.loads(line)
    tables, at = {}, 0
    for name, found in told["sets"].items():
        stop = at + 32 * found["chunks"]
        table = np.frombuffer(rest[at:stop], "<i8").reshape(-1, 4)
        tables[name], at = table[np.argsort(table[:, 0], kind="stable")], stop
    return Look(told["attributes"], told["listed"], told["sets"], tables)


class Column:
    """A data set of one dimension, read from the file's bytes in ascending pieces of rows.

    Parameters
    ----------
    path, file, file_size
        The file, as it is open, and its bytes.
    name
        The data set's.
    look
        The file's structure.

    Raises
    ------
    RecordingError
        Where it is of another form, lies elsewhere, or has filters that are not undone here.
    """

    def __init__(self, path: Path, file: int, file_size: int, name: str, look: Look) -> None:
        self.path, self.name = path, name
        self._file, self._file_size = file, file_size
        told = look.sets.get(name)
        if told is None:
            raise RecordingError(f"has no data set {name}", path=path, offset=0, hint=_READABLE)
        if told.get("elsewhere"):
            raise UnknownFormatError(
                f"{name} is a link, or its data lie elsewhere, maybe in another file; that is not "
                "followed",
                path=path,
                hint="Copy it to a file that holds its own data, such as by h5repack.",
            )
        shape, kind = told["shape"], told["type"]
        dtype = _dtype(kind)
        if len(shape) != 1 or dtype is None:
            raise UnknownFormatError(
                f"data set {name} is of shape {tuple(shape)}"
                + ("" if dtype is not None else ", and not of numbers")
                + "; one dimension of numbers or records is expected",
                path=path,
                hint=_READABLE,
            )
        self.dtype, self.n = dtype, int(shape[0])
        self._filters = [(int(number), values) for number, values in told.get("filters", [])]
        self._table = look.tables[name]
        self._chunk_rows = int(told.get("chunk", 0))
        self._held = -1, np.empty(0, dtype)
        self._values = bytes.fromhex(told["values"]) if "values" in told else None
        self.offset = self._table[0, 1].item() if len(self._table) else told.get("offset") or 0
        self._check(told)

    def _check(self, told: dict[str, Any]) -> None:
        for number, _ in self._filters:
            if number not in chunks.FILTERS:
                name = chunks.NAMES.get(number, "of a name that is not known here")
                hint = (
                    "Take the recording's RAW file. Or, with Prophesee's hdf5_ecf plugin, write it "
                    "in another compression: h5repack -f GZIP=4 IN OUT."
                    if number == chunks.ECF
                    else "Write it again with gzip: h5repack -f GZIP=4 IN OUT."
                )
                raise UnknownFormatError(
                    f"{self.name} is compressed by HDF5's filter {number}, {name}, which is not "
                    "read here",
                    path=self.path,
                    hint=hint,
                )
        if told.get("many") or self._chunk_rows * self.dtype.itemsize > CHUNK_BYTES:
            raise UnknownFormatError(
                f"{self.name} has chunks of {self._chunk_rows:,} rows; up to {CHUNK_BYTES >> 20} "
                f"MiB each and {probe.MOST_CHUNKS:,} chunks are read",
                path=self.path,
                hint="Write it again in other chunks: h5repack -l CHUNK=65536 IN OUT.",
            )

    def read(self, start: int, stop: int) -> tuple[npt.NDArray[Any], Fault | None]:
        """Return rows from `start` on, up to `stop` or what is damaged, and that.

        Where the file is whole, so is what is returned.
        """
        parts: list[npt.NDArray[Any]] = []
        fault = None
        at = start
        while at < stop and fault is None:
            part, fault = self._part(at, stop)
            parts.append(part)
            at += len(part)
        return np.concatenate([*parts, np.empty(0, self.dtype)]), fault

    def place(self, row: int) -> int:
        """Return the byte of the file where a row lies, or the chunk that has it."""
        if not self._chunk_rows:
            return min(self.offset + row * self.dtype.itemsize, self._file_size)
        return min(max(self._chunk(row).offset, 0), self._file_size)

    def _chunk(self, row: int) -> Chunk:
        k = int(np.searchsorted(self._table[:, 0], row, side="right")) - 1
        return Chunk(*self._table[k].tolist()) if k >= 0 else Chunk(0, 0, 0, 0)

    def _part(self, row: int, stop: int) -> tuple[npt.NDArray[Any], Fault | None]:
        """Return rows that lie together, at least one where nothing is wrong."""
        if self._values is not None:
            return np.frombuffer(self._values, self.dtype)[row:stop], None
        if not self._chunk_rows:
            size = self.dtype.itemsize
            data, fault = self._bytes(self.offset + row * size, (stop - row) * size)
            return np.frombuffer(data, self.dtype, len(data) // size), fault
        first = row - row % self._chunk_rows
        if self._held[0] != first:
            chunk = self._chunk(row)
            if chunk.row != first or not chunk.size:
                return np.empty(0, self.dtype), Fault(
                    f"{self.name} has no data for row {row}", self.place(row), _WHOLE_AGAIN
                )
            if chunk.size > CHUNK_BYTES:
                return np.empty(0, self.dtype), Fault(
                    f"{self.name} has a chunk of {chunk.size} bytes", self.place(row), _WHOLE_AGAIN
                )
            data, fault = self._bytes(chunk.offset, chunk.size)
            if fault is not None:
                return np.empty(0, self.dtype), fault
            size = self._chunk_rows * self.dtype.itemsize
            try:
                whole = chunks.decompressed(
                    data, self._filters, chunk.mask, size, self.dtype.itemsize
                )
            except chunks.ChunkError as error:
                problem = f"{self.name}, row {first}: {error.problem}"
                return np.empty(0, self.dtype), Fault(problem, chunk.offset)
            self._held = first, np.frombuffer(whole, self.dtype)
        return self._held[1][row - first : stop - first], None

    def _bytes(self, offset: int, size: int) -> tuple[bytes, Fault | None]:
        """Return bytes of the file, and what is wrong where these are fewer."""
        if offset < len(MAGIC):  # told so where nothing was ever written
            return b"", Fault(f"{self.name} has no data", 0, _WHOLE_AGAIN)
        here = min(offset, self._file_size)
        try:
            data = os.pread(self._file, min(size, self._file_size - here), here)
        except OSError as error:
            return b"", Fault(f"can't be read: {error.strerror}", here)
        if len(data) < size:
            at = here + len(data)
            return data, Fault(f"{self.name} goes on beyond the end of the file", at)
        return data, None


def _dtype(told: Any) -> np.dtype[Any] | None:
    """Return the type that `probe` tells of, None where it is none of numbers."""
    if isinstance(told, str):
        return np.dtype(told)
    if told is None or not 0 < told["size"] <= 1 << 16:
        return None
    names, formats, offsets = zip(*told["fields"], strict=True) if told["fields"] else ((), (), ())
    try:
        return np.dtype(
            {"names": names, "formats": formats, "offsets": offsets, "itemsize": told["size"]}
        )
    except (ValueError, TypeError):
        return None


class Hdf5Recording(ColumnsRecording):
    """An HDF5 file of events that others made; `open_foreign` chooses the kind.

    Parameters
    ----------
    path, stream, reading
        As of `DecodedRecording`.
    sensor
        Its size, where the file does not state it.
    looked
        Its structure, where that is known already.

    Raises
    ------
    RecordingError
        Where the structure is damaged, columns differ in length, or a filter is not known here.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
        looked: Look | None = None,
    ) -> None:
        self._look = looked or look(Path(path))
        super().__init__(path, stream=stream, sensor=sensor, reading=reading)

    def _open(self) -> Sensor | None:
        stated = self._open_columns()
        for column in self._used:
            if column.n != self._used[0].n:
                self._fail(
                    f"{column.name} has {column.n} rows, {self._used[0].name} has "
                    f"{self._used[0].n}",
                    0,
                    hint=_WHOLE_AGAIN,
                )
        return stated

    @property
    @abstractmethod
    def _used(self) -> list[Column]:
        """The columns that are read row by row."""

    @abstractmethod
    def _open_columns(self) -> Sensor | None:
        """Set the columns; return the sensor's size where the file states it."""

    @abstractmethod
    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        """Return t, x, y and p of what was read of the columns."""

    def _rows(self) -> Iterator[Rows]:
        first = self._used[0]
        for start in range(0, first.n, PIECE_ROWS):
            parts, fault = self._read(start, min(start + PIECE_ROWS, first.n))
            yield Rows(self._split(parts), first.place(start), 0, fault)
            if fault is not None:
                return

    def _column(self, name: str) -> Column:
        return Column(self.path, self._file.fileno(), self._size, name, self._look)

    def _refuse(self, problem: str) -> NoReturn:
        raise UnknownFormatError(problem, path=self.path, offset=0, hint=_READABLE)

    def _read(self, start: int, stop: int) -> tuple[list[npt.NDArray[Any]], Fault | None]:
        """Return rows of all columns, as many as all have, and what ends them."""
        parts, fault = [], None
        for column in self._used:
            part, found = column.read(start, stop)
            if found is not None:
                fault, stop = found, start + len(part)
            parts.append(part)
        return [part[: stop - start] for part in parts], fault


class Hdf5ColumnsRecording(Hdf5Recording):
    """An HDF5 file with columns as DSEC and RVT have them; all else as `Hdf5Recording`."""

    format = "hdf5-columns"

    @property
    def _used(self) -> list[Column]:
        return self._columns

    def _open_columns(self) -> Sensor | None:
        self._columns = [self._column(name) for name in _COLUMNS]
        for column in self._columns:
            if not is_number(column.dtype):
                self._refuse(f"{column.name} is of {column.dtype}; numbers are expected")
        offset = self._number("t_offset")
        if abs(offset or 0) > FARTHEST:
            self._fail(f"t_offset={offset} µs is more than 285 years off", 0, hint=_WHOLE_AGAIN)
        self._added_us = offset or 0
        height, width = (self._number(name) for name in _SIZES)
        if height is None and width is None:
            return None
        if height is None or width is None:
            self._fail("states one of events/height and events/width, not both", 0)
        try:
            return Sensor.checked(height, width)
        except EvreelError as error:
            self._fail(f"events/height and events/width: {error.problem}", 0)

    def _number(self, name: str) -> int | None:
        """Return a data set's only number, None where there is no such data set."""
        told = self._look.sets.get(name)
        if told is None:
            return None
        if "value" in told:
            return int(told["value"])
        column = self._column(name) if told.get("shape") != [] else None
        if column is None or column.n != 1 or column.dtype.kind not in "iu":
            self._refuse(f"{name} is not one whole number")
        values, fault = column.read(0, 1)
        if fault is not None:
            self._fail(*fault)
        return int(values[0])

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts)


class Hdf5RecordsRecording(Hdf5Recording):
    """An HDF5 file with records as Metavision has them; all else as `Hdf5Recording`.

    External triggers are kept: `edge` 1 where the signal rises and 0 where it falls, `id` its
    channel.
    """

    format = "hdf5-records"

    @property
    def _used(self) -> list[Column]:
        return [self._events]

    def _open_columns(self) -> Sensor | None:
        self._events = self._column(_RECORDS)
        self._need(self._events, "txyp")
        self._triggers = None
        if _TRIGGERS in self._look.sets:
            self._triggers = self._column(_TRIGGERS)
            self._need(self._triggers, ("t", "p", "id"))
        geometry = self._look.attributes["geometry"]
        if geometry is None:
            return None
        try:
            return Sensor.parse(geometry)
        except EvreelError:
            self._fail(f"geometry {geometry[:40]!r} is no size of a sensor, WIDTHxHEIGHT", 0)

    def _need(self, column: Column, names: Iterable[str]) -> None:
        """Raise where a column has no such fields of numbers."""
        fields: Mapping[str, Any] = column.dtype.fields or {}
        for name in names:
            if name not in fields or not is_number(fields[name][0]):
                self._refuse(
                    f"{column.name} has no field {name} of numbers among {', '.join(fields) or '-'}"
                )

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts[0][name] for name in "txyp")

    def _pieces(self) -> Iterator[Piece | Side]:
        yield from super()._pieces()
        if self._triggers is None:
            return
        for start in range(0, self._triggers.n, PIECE_ROWS):
            stop = min(start + PIECE_ROWS, self._triggers.n)
            marks, fault = self._triggers.read(start, stop)
            for name, most in (("t", FARTHEST), ("p", 1), ("id", np.iinfo(np.int16).max)):
                values = marks[name]
                least = -FARTHEST if name == "t" else 0
                fine = (values >= least) & (values <= most)
                if not fine.all():
                    row = int(np.argmin(fine))
                    self._fail(
                        f"trigger {start + row} has {name}={values[row]}",
                        self._triggers.place(start + row),
                    )
            yield Triggers(
                marks["t"].astype(np.int64),
                marks["p"].astype(np.int8),
                marks["id"].astype(np.int16),
            )
            if fault is not None:
                self._fail(*fault)


def _says_ours(path: Path) -> bool:
    """Return whether a file in HDF5's newer form, whose structure has checksums, is evreel's."""
    with path.open("rb") as file:
        version = file.read(len(MAGIC) + 1)[len(MAGIC) :]
    if version < b"\x02":
        return False
    try:
        with open_hdf5(path) as opened, reading_hdf5(path, "its layout"):
            return str(opened.attrs.get("layout")).startswith(_ORIGIN)
    except LayoutError:
        return False


def open_foreign(
    path: str | Path,
    *,
    stream: int | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
) -> Hdf5Recording | EventsStore:
    """Return the recording of the kind that an HDF5 file holds, or the events store that it is.

    Raises
    ------
    UnknownFormatError
        Where it is none of these.
    """
    path = Path(path)
    found = None if _says_ours(path) else look(path)
    if found is None or (found.attributes["layout"] or "").startswith(_ORIGIN):
        if stream is not None:
            raise UsageError("an events store holds one event stream; leave stream out", path=path)
        return EventsStore(path)
    kind: type[Hdf5Recording]
    if any(name in found.sets for name in _COLUMNS):
        kind = Hdf5ColumnsRecording
    elif _RECORDS in found.sets:
        kind = Hdf5RecordsRecording
    else:
        holds = ", ".join(found.listed) or "nothing"
        raise UnknownFormatError(
            f"is an HDF5 file that holds {holds}", path=path, offset=0, hint=_READABLE
        )
    return kind(path, stream=stream, sensor=sensor, reading=reading, looked=found)
