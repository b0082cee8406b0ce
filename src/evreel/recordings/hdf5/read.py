"""Read HDF5 files of events that others made: DSEC's and RVT's columns, Metavision's records.

==================  ===============================================================================
columns             as DSEC has them, and RVT
events/t            (n,) µs; t_offset is added if there is one
events/x, y         (n,) column, row
events/p            (n,) 1 ON; 0 or else −1 OFF
t_offset            a whole number, µs; may be missing
events/height,      whole numbers, the sensor's size; both may be missing, as in DSEC (640x480)
events/width
ms_to_idx           not needed, not read
records             as Metavision has them
CD/events           (n,) records with fields x, y, p and t as above
EXT_TRIGGER/events  (m,) records with fields p (1 rising), t and id (channel); may be missing
geometry            attribute of the root, WIDTHxHEIGHT; may be missing
CD/indexes          not needed, not read
==================  ===============================================================================

`columns` says which numbers a column may hold. It is contiguous, compact, or in chunks of at most
`CHUNK_BYTES`. The filters in `chunks.FILTERS` are undone, and in ``ecf.py`` Metavision's own, ECF.
Links and data sets in other files are not followed: a file from elsewhere could point at any file
here.

A separate program (`evreel.files.probe`) inspects the file's structure, because a damaged one may
make HDF5's library hang or end the process; that takes a third of a second. The data are read and
decompressed here.

Sources: https://dsec.ifi.uzh.ch/data-format; RVT (https://github.com/uzh-rpg/RVT), its reader of
event files; https://docs.prophesee.ai, HDF5 event file format.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import (
    CodingError,
    EvreelError,
    RecordingError,
    UnknownFormatError,
    UsageError,
)
from evreel.events import Sensor, Triggers
from evreel.files import probe
from evreel.files.events_store import EventsStore
from evreel.files.filters import ECF, NAMES
from evreel.files.hdf5 import open_hdf5
from evreel.files.hdf5 import reading as reading_hdf5
from evreel.files.inspection import MAGIC, InspectionError, described
from evreel.files.seal import is_sealed
from evreel.recordings import declared
from evreel.recordings.columns import (
    ColumnsRecording,
    Fault,
    Held,
    Rows,
    is_number,
    listed,
    rows_at_a_time,
    shift_us,
    to_declare,
)
from evreel.recordings.decoded import PIECE_ROWS
from evreel.recordings.hdf5 import chunks
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.system import read_at
from evreel.timebase import FARTHEST

CHUNK_BYTES = 1 << 28
"""Size limit of a chunk, in the file or decompressed: it is read as a whole."""

_MOST_BESIDE = 64  # columns of a data set of two dimensions
_ORIGIN = "evreel-"  # layouts of evreel's own files begin so
_COLUMNS = tuple(f"events/{name}" for name in "txyp")
_SIZES = ("events/height", "events/width")
_RECORDS, _TRIGGERS = "CD/events", "EXT_TRIGGER/events"
_NAMES = (*_COLUMNS, *_SIZES, "t_offset", _RECORDS, _TRIGGERS)
_READABLE = (
    "evreel reads events/t, x, y and p as in DSEC and RVT, Metavision's CD/events, and its own "
    "events stores."
)
WHOLE_AGAIN = "Copy or download it again."
_OTHER_FILTER = WHOLE + (
    "Write it again with gzip: with h5py and "
    "hdf5plugin in Python, or with h5repack -f GZIP=4 IN OUT and HDF5_PLUGIN_PATH set to "
    "hdf5plugin.PLUGIN_PATH."
)


class Chunk(NamedTuple):
    """Where a part of a data set is: its first row, byte, size, and mask of filters left out."""

    row: int
    offset: int
    size: int
    mask: int


@dataclass(frozen=True)
class Look:
    """What is known about an HDF5 file without its data.

    Parameters
    ----------
    attributes : text attributes of the root, name → text or None.
    sets : the wanted data sets that exist, name → description by `probe`.
    tables : their chunks, in the order of their rows, (m, 4) int64 as in `Chunk`.
    held : all data sets by name, where they were asked for.
    """

    attributes: dict[str, str | None]
    sets: dict[str, dict[str, Any]]
    tables: dict[str, npt.NDArray[np.int64]]
    held: dict[str, Held]


def look(path: Path, *names: str) -> Look:
    """Return what is known about an HDF5 file without its data.

    Parameters
    ----------
    names
        Data sets that are wanted; those of the known layouts if none is named.

    Raises
    ------
    RecordingError
        If the structure is damaged, or inspecting it takes too long.
    """
    try:
        told, rest = described(path, *(names or _NAMES))
    except InspectionError as error:
        raise RecordingError(
            f"its structure cannot be read as HDF5: {error.problem}",
            path=path,
            offset=0,
            hint=WHOLE_AGAIN,
        ) from error
    tables, at = {}, 0
    for name, found in told["sets"].items():
        stop = at + 32 * found["chunks"]
        table = np.frombuffer(rest[at:stop], "<i8").reshape(-1, 4)
        tables[name], at = table[np.argsort(table[:, 0], kind="stable")], stop
    held = {name: _held(*found) for name, found in told.get("found", {}).items()}
    return Look(told["attributes"], told["sets"], tables, held)


class Column:
    """A data set, read from the file's bytes in ascending pieces of rows.

    It has one dimension; or two, and then its rows are records whose fields are called 0, 1, ….

    Parameters
    ----------
    path, file, file_size
        The file, its descriptor, and its size in bytes.
    name
        Name of the data set.
    look
        The file's structure.
    beside
        Whether it may have two dimensions.

    Raises
    ------
    RecordingError
        If it has another form, is in another file, or has filters that are not undone here.
    """

    _undone: Container[int] = chunks.FILTERS  # filters

    def __init__(
        self,
        path: Path,
        file: int,
        file_size: int,
        name: str,
        look: Look,
        *,
        beside: bool = False,
    ) -> None:
        self.path, self.name = path, name
        self._file, self._file_size = file, file_size
        told = look.sets.get(name)
        if told is None:
            raise RecordingError(f"has no data set {name}", path=path, offset=0, hint=_READABLE)
        if told.get("elsewhere"):
            raise CodingError(
                f"{name} is a link, or its data are elsewhere, maybe in another file; evreel does "
                "not follow it",
                path=path,
                offset=0,
                hint="Copy it to a file that holds its own data, for example with h5repack.",
            )
        shape, kind = told["shape"], told["type"]
        dtype = _dtype(kind)
        is_plain = beside and dtype is not None and not dtype.fields
        n_beside = int(shape[1]) if is_plain and len(shape) == 2 else 0
        if not (len(shape) == 1 or 0 < n_beside <= _MOST_BESIDE) or dtype is None:
            raise CodingError(
                f"data set {name} is of shape {tuple(shape)}"
                + ("" if dtype is not None else ", and does not hold numbers")
                + "; one dimension of numbers or records is expected",
                path=path,
                offset=0,
                hint=_READABLE,
            )
        self._element = dtype
        if n_beside:
            dtype = np.dtype([(str(k), dtype) for k in range(n_beside)])
        self.dtype, self.n = dtype, int(shape[0])
        self._across, self._wide = int(told.get("across", 1)), int(told.get("wide", 1))
        self._filters = [(int(number), values) for number, values in told.get("filters", [])]
        self._table = look.tables[name]
        self._chunk_rows = int(told.get("chunk", 0))
        self._held = -1, np.empty(0, dtype)
        self._values = bytes.fromhex(told["values"]) if "values" in told else None
        self.offset = self._table[0, 1].item() if len(self._table) else told.get("offset") or 0
        self._check(told)

    def _check(self, told: dict[str, Any]) -> None:
        for number, _ in self._filters:
            if number not in self._undone:
                name = NAMES.get(number, "an unknown one")
                hint = (
                    "It is read as the only filter of Metavision's CD/events. Use the recording's "
                    "own file."
                    if number == ECF
                    else _OTHER_FILTER
                )
                raise CodingError(
                    f"{self.name} is compressed by HDF5's filter {number}, {name}, which evreel "
                    "does not read",
                    path=self.path,
                    offset=0,
                    hint=hint,
                )
        row_bytes = max(self.dtype.itemsize, self._wide * self._element.itemsize)
        if told.get("many") or self._chunk_rows * row_bytes > CHUNK_BYTES:
            raise CodingError(
                f"{self.name} has chunks of {self._chunk_rows:,} rows; up to {probe.MOST_CHUNKS:,} "
                f"chunks of up to {CHUNK_BYTES >> 20} MiB are read",
                path=self.path,
                offset=0,
                hint="Write it again in other chunks: h5repack -l CHUNK=65536 IN OUT.",
            )

    @property
    def is_checked(self) -> bool:
        """Whether a checksum vouches for what is read."""
        return any(number in chunks.CHECKED for number, _ in self._filters)

    def read(self, start: int, stop: int) -> tuple[npt.NDArray[Any], Fault | None]:
        """Return rows from `start` up to `stop` or damage, and what the damage is, None if none."""
        parts: list[npt.NDArray[Any]] = []
        fault = None
        at = start
        while at < stop and fault is None:
            part, fault = self._part(at, stop)
            parts.append(part)
            at += len(part)
        return np.concatenate([*parts, np.empty(0, self.dtype)]), fault

    def place(self, row: int) -> int:
        """Return the byte of the file where a row is, or where its chunk begins."""
        if not self._chunk_rows:
            return min(self.offset + row * self.dtype.itemsize, self._file_size)
        return min(max(self._chunk(row).offset, 0), self._file_size)

    def _chunk(self, row: int) -> Chunk:
        return self._chunk_at(row * self._across)

    def _chunk_at(self, place: int) -> Chunk:
        """Return the chunk at a place of the table, or the last one before it."""
        k = int(np.searchsorted(self._table[:, 0], place, side="right")) - 1
        return Chunk(*self._table[k].tolist()) if k >= 0 else Chunk(0, 0, 0, 0)

    def _part(self, row: int, stop: int) -> tuple[npt.NDArray[Any], Fault | None]:
        """Return contiguous rows, at least one unless something is wrong."""
        none = np.empty(0, self.dtype)
        if self._values is not None:
            return np.frombuffer(self._values, self.dtype)[row:stop], None
        if not self._chunk_rows:
            size = self.dtype.itemsize
            data, fault = self._bytes(self.offset + row * size, (stop - row) * size)
            return np.frombuffer(data, self.dtype, len(data) // size), fault
        first = row - row % self._chunk_rows
        if self._held[0] != first:
            whole, fault = self._chunks_of(first)
            if fault is not None:
                return none, fault
            self._held = first, whole
        return self._held[1][row - first : stop - first], None

    def _chunks_of(self, first: int) -> tuple[npt.NDArray[Any], Fault | None]:
        """Return the rows of the chunks that begin at one, and what is wrong with them."""
        whole = np.empty(self._chunk_rows, self.dtype)
        beside = whole.view(self._element).reshape(self._chunk_rows, -1)
        wide = self._wide if self._across > 1 else beside.shape[1]
        for k in range(self._across):
            place = first * self._across + k
            chunk = self._chunk_at(place)
            if chunk.row != place or not chunk.size:
                problem = f"{self.name} has no data for row {first}"
                return whole, Fault(problem, self.place(first), WHOLE_AGAIN)
            data, fault = self._chunk_bytes(chunk)
            if fault is not None:
                return whole, fault
            size = self._chunk_rows * max(wide, self._wide) * self._element.itemsize
            try:
                plain = chunks.decompressed(
                    data, self._filters, chunk.mask, size, self._element.itemsize
                )
            except chunks.ChunkError as error:
                at = self.name if error.whole else f"{self.name}, row {first}:"
                hint = _OTHER_FILTER if error.whole else None
                return whole, Fault(f"{at} {error.problem}", chunk.offset, hint, error.whole)
            values = np.frombuffer(plain, self._element).reshape(self._chunk_rows, -1)
            if beside.shape[1] == values.shape[1]:
                return np.frombuffer(plain, self.dtype), None
            part = beside[:, k * wide : (k + 1) * wide]
            part[:] = values[:, : part.shape[1]]
        return whole, None

    def _chunk_bytes(self, chunk: Chunk) -> tuple[bytes, Fault | None]:
        """Return a chunk as it is in the file, and what is wrong if it is not there."""
        if chunk.size > CHUNK_BYTES:
            problem = f"{self.name} has a chunk of {chunk.size} bytes"
            return b"", Fault(problem, min(max(chunk.offset, 0), self._file_size), WHOLE_AGAIN)
        return self._bytes(chunk.offset, chunk.size)

    def _bytes(self, offset: int, size: int) -> tuple[bytes, Fault | None]:
        """Return bytes of the file, and what is wrong if there are fewer."""
        if offset < len(MAGIC):  # as the library says if nothing was ever written
            return b"", Fault(f"{self.name} has no data", 0, WHOLE_AGAIN)
        here = min(offset, self._file_size)
        try:
            data = read_at(self._file, min(size, self._file_size - here), here)
        except OSError as error:
            return b"", Fault(f"cannot be read: {error.strerror}", here)
        if len(data) < size:
            at = here + len(data)
            return data, Fault(f"{self.name} extends beyond the end of the file", at)
        return data, None


def _held(shape: list[int] | None, kind: Any) -> Held:
    """Return a data set of the list that `probe` makes."""
    if shape is None or kind is None:
        return Held((), other="a link" if shape is None else "no numbers")
    if isinstance(kind, str):
        return Held(tuple(shape), (), np.dtype(kind).kind == "f")
    return Held(tuple(shape), tuple(name for name, _, _ in kind["fields"]))


def _dtype(told: Any) -> np.dtype[Any] | None:
    """Return the type that `probe` describes, None if it is not numeric."""
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
    """An HDF5 file of events that others made; `open_foreign` chooses the class.

    Parameters
    ----------
    path, stream, reading
        As in `DecodedRecording`.
    sensor
        The sensor's size, if the file does not state it.
    looked
        The file's structure, if already known.

    Raises
    ------
    RecordingError
        If the structure is damaged, columns differ in length, or a filter is not known here.
    """

    _used: list[Column]  # the columns that are read row by row

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
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
                    f"{column.name} has {column.n} rows, but {self._used[0].name} has "
                    f"{self._used[0].n}",
                    0,
                    hint=WHOLE_AGAIN,
                )
        return stated

    @abstractmethod
    def _open_columns(self) -> Sensor | None:
        """Set `_used`; return the sensor's size, None if it is not stated."""

    @abstractmethod
    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        """Return t, x, y and p from the parts that were read."""

    def _rows(self) -> Iterator[Rows]:
        first = self._used[0]
        most = rows_at_a_time(max(column.dtype.itemsize for column in self._used))
        for start in range(0, first.n, most):
            parts, fault = self._read(start, min(start + most, first.n))
            yield Rows(self._split(parts), first.place(start), 0, fault)
            if fault is not None:
                return

    def _vouched(self, name: str) -> bool:
        return self._used["txyp".index(name) if len(self._used) > 1 else 0].is_checked

    def _column(self, name: str, *, beside: bool = False) -> Column:
        of = self.path, self._file.fileno(), self._size
        return Column(*of, name, self._look, beside=beside)

    def _read(self, start: int, stop: int) -> tuple[list[npt.NDArray[Any]], Fault | None]:
        """Return rows that all columns have, and what ends them early."""
        parts, fault = [], None
        for column in self._used:
            part, found = column.read(start, stop)
            if found is not None:
                fault, stop = found, start + len(part)
            parts.append(part)
        return [part[: stop - start] for part in parts], fault


class Hdf5ColumnsRecording(Hdf5Recording):
    """An HDF5 file with the columns of DSEC and RVT; all else as in `Hdf5Recording`."""

    format = "hdf5-columns"

    def _open_columns(self) -> Sensor | None:
        self._used = [self._column(name) for name in _COLUMNS]
        for column in self._used:
            if not is_number(column.dtype):
                problem = f"{column.name} is of {column.dtype}; numbers are expected"
                self._recode(problem, 0, _READABLE)
        offset = self._number("t_offset")
        if abs(offset or 0) > FARTHEST:
            self._fail(f"t_offset={offset} µs is more than 285 years off", 0, hint=WHOLE_AGAIN)
        self._added_us = offset or 0
        return self._stated_size()

    def _stated_size(self) -> Sensor | None:
        """Return the sensor's size, None if it is not stated."""
        height, width = (self._number(name) for name in _SIZES)
        if height is None and width is None:
            return None
        if height is None or width is None:
            self._fail("states only one of events/height and events/width", 0)
        try:
            return Sensor.checked(height, width)
        except EvreelError as error:
            self._fail(f"events/height and events/width: {error.problem}", 0)

    def _number(self, name: str) -> int | None:
        """Return a data set's only number, None if there is no such data set."""
        told = self._look.sets.get(name)
        if told is None:
            return None
        if "value" in told:
            return int(told["value"])
        column = self._column(name) if told.get("shape") != [] else None
        if column is None or column.n != 1 or column.dtype.kind not in "iu":
            self._recode(f"{name} is not one whole number", 0, _READABLE)
        values, fault = column.read(0, 1)
        if fault is not None:
            self._raise(fault)
        return int(values[0])

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts)


class Hdf5DeclaredRecording(Hdf5ColumnsRecording):
    """An HDF5 file whose columns are where `Reading.columns` says; all else as in `Hdf5Recording`.

    Raises
    ------
    UnknownFormatError
        If something is not there, with what is, and what to declare.
    """

    def _open_columns(self) -> Sensor | None:
        assert self._declared is not None
        columns = dict(self._declared.columns)
        if self._declared.order:
            columns = self._in_order(self._declared)
        more = columns["t"].shift_name
        names = list(dict.fromkeys(column.name for column in columns.values()))
        wanted = [*names, *([more] if more else [])]
        self._look = look(self.path, *wanted, *_SIZES)
        for name in wanted:
            if name not in self._look.sets:
                raise unknown(self.path, f"has no data set {name}")
        self._used = [self._column(name, beside=True) for name in names]
        self._places: dict[str, tuple[int, str | None]] = {}
        for role, column in columns.items():
            k = names.index(column.name)
            field = None if column.part is None else str(column.part)
            fields: Mapping[str, Any] = self._used[k].dtype.fields or {}
            if field is None and list(fields) == ["0"]:  # one column, of two dimensions
                field = "0"
            kind = fields.get(field, (None,))[0] if field is not None else self._used[k].dtype
            if kind is None or not is_number(kind):
                has = f"has {', '.join(fields)}" if fields else f"is of {self._used[k].dtype}"
                self._recode(f"{column.said()} is not a column: {column.name} {has}", 0)
            self._places[role] = k, field
        if more:
            try:
                self._shift_us = shift_us(self._declared_number(more), columns["t"])
            except ValueError as error:
                self._fail(f"{more}: {error}", 0)
        return self._stated_size() or (self._declared.sensor if self._given is None else None)

    def _in_order(self, said: declared.Declaration) -> dict[str, declared.Column]:
        """Return places for columns in order: those of DSEC, or of the only fitting data set."""
        order = said.order
        held = look(self.path, probe.ALL).held
        if all(name in held for name in _COLUMNS):
            return {
                role: column._replace(name=f"events/{role}")
                for role, column in said.columns.items()
            }
        fitting = [name for name, found in held.items() if found.shape[1:] == (len(order),)]
        if len(fitting) != 1:
            n = len(fitting) or "no"
            raise unknown(self.path, f"has {n} data sets with {len(order)} columns")
        return {
            role: column._replace(name=fitting[0], part=order.index(role))
            for role, column in said.columns.items()
        }

    def _declared_number(self, name: str) -> float:
        """Return the only number of a data set, whole or not."""
        told = self._look.sets[name]
        for kind in ("value", "number"):
            if kind in told:
                return float(told[kind]) if kind == "number" else int(told[kind])
        column = None if told.get("shape") == [] else self._column(name)
        if column is None or column.n != 1 or not is_number(column.dtype):
            self._recode(f"{name} is not one number", 0)
        values, fault = column.read(0, 1)
        if fault is not None:
            self._raise(fault)
        return float(values[0]) if column.dtype.kind == "f" else int(values[0])

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(
            parts[k] if field is None else parts[k][field]
            for k, field in (self._places[role] for role in declared.ROLES)
        )

    def _vouched(self, name: str) -> bool:
        return self._used[self._places[name][0]].is_checked


def unknown(path: Path, problem: str) -> UnknownFormatError:
    """Return the error for a layout that is not known, with what to declare of it."""
    held = look(path, probe.ALL).held
    return UnknownFormatError(
        f"{problem}; it holds {listed(held)}",
        path=path,
        offset=0,
        hint=f"{_READABLE} {to_declare(held)}",
    )


class Hdf5RecordsRecording(Hdf5Recording):
    """An HDF5 file with Metavision's records; all else as in `Hdf5Recording`.

    External triggers are kept: `edge` is 1 where the signal rises and 0 where it falls, `id` its
    channel.
    """

    format = "hdf5-records"

    def _open_columns(self) -> Sensor | None:
        self._used = [self._events_column(_RECORDS)]
        self._need(self._used[0], "txyp")
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
            self._fail(f"geometry {geometry[:40]!r} is not a sensor size, WIDTHxHEIGHT", 0)

    def _events_column(self, name: str) -> Column:
        return self._column(name)

    def _need(self, column: Column, names: Iterable[str]) -> None:
        """Raise if a column lacks one of these numeric fields."""
        fields: Mapping[str, Any] = column.dtype.fields or {}
        for name in names:
            if name not in fields or not is_number(fields[name][0]):
                listed = ", ".join(fields) or "-"
                problem = f"{column.name} has no numeric field {name} among {listed}"
                self._recode(problem, 0, _READABLE)

    def _split(self, parts: list[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], ...]:
        return tuple(parts[0][name] for name in "txyp")

    def _pieces(self) -> Iterator[Piece | Side]:
        yield from super()._pieces()
        yield from self._marks()

    def _marks(self) -> Iterator[Triggers]:
        """Yield the triggers."""
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
                    self._raise(self._judged_trigger(start + row, name, least, most))
            yield Triggers(
                marks["t"].astype(np.int64),
                marks["p"].astype(np.int8),
                marks["id"].astype(np.int16),
            )
            if fault is not None:
                self._raise(fault)

    def _judged_trigger(self, row: int, name: str, least: int, most: int) -> Fault:
        """Return what is wrong with a field of a trigger: damage, or another coding of them all."""
        triggers, survey = self._triggers, Survey()
        assert triggers is not None
        for start in range(0, triggers.n, PIECE_ROWS):
            part, _ = triggers.read(start, min(start + PIECE_ROWS, triggers.n))
            values = part[name]
            survey.add((values < least) | (values > most), values)
        value = triggers.read(row, row + 1)[0][name][0]
        problem, offset = f"trigger {row} has {name}={value}", triggers.place(row)
        if not triggers.is_checked and survey.is_damage():
            return Fault(problem, offset)
        hint = WHOLE + f"Save {name} as a whole number of {least} to {most}."
        return Fault(f"{problem}: {survey.said('triggers')}", offset, hint, whole=True)


def _says_ours(path: Path) -> bool:
    """Return whether a file says that it is evreel's; only sealed files are opened for that."""
    try:
        if not is_sealed(path):
            return False
    except OSError:
        return False
    with open_hdf5(path) as opened, reading_hdf5(path, "its layout"):
        return str(opened.attrs.get("layout")).startswith(_ORIGIN)


def open_foreign(
    path: str | Path,
    *,
    stream: int | str | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
    threads: int | None = None,
) -> Hdf5Recording | EventsStore:
    """Open an HDF5 file as the recording that it holds, or as the events store that it is.

    Parameters
    ----------
    path, stream, sensor, reading, threads
        As `evreel.recordings.open_recording` takes them.

    Raises
    ------
    UnknownFormatError
        If it is neither.
    """
    path = Path(path)
    found = None if _says_ours(path) else look(path)
    if found is None or (found.attributes["layout"] or "").startswith(_ORIGIN):
        if stream is not None:
            raise UsageError("has only one stream of events; leave stream out", path=path)
        if reading.columns is not None:
            raise UsageError("is an events store, whose columns are known: declare none", path=path)
        return EventsStore(path)
    kind: Callable[..., Hdf5Recording]
    if reading.columns is not None:
        kind = Hdf5DeclaredRecording
    elif any(name in found.sets for name in _COLUMNS):
        kind = Hdf5ColumnsRecording
        for name in _COLUMNS:
            if name not in found.sets:
                raise unknown(path, f"has no data set {name}")
    elif [number for number, _ in found.sets.get(_RECORDS, {}).get("filters", [])] == [ECF]:
        from evreel.recordings.hdf5.ecf import EcfRecording

        kind = functools.partial(EcfRecording, threads=threads)
    elif _RECORDS in found.sets:
        kind = Hdf5RecordsRecording
    else:
        raise unknown(path, "is an HDF5 file of no known layout")
    return kind(path, stream=stream, sensor=sensor, reading=reading, looked=found)
