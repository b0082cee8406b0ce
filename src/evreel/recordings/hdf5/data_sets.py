"""Data sets of HDF5 files that others made: where they are, and their rows.

A data set is contiguous, compact, or in chunks of at most `CHUNK_BYTES`; the filters in
`chunks.FILTERS` are undone. Links and data sets in other files are not followed: a file from
elsewhere could point at any file here.

A separate program (`evreel.files.probe`) inspects the file's structure, because a damaged one may
make HDF5's library hang or end the process; that takes a third of a second. The data are read and
decompressed here.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import CodingError, RecordingError, UnknownFormatError
from evreel.files import probe
from evreel.files.filters import ECF, NAMES
from evreel.files.inspection import MAGIC, InspectionError, described
from evreel.recordings.columns import Fault, Held, listed, to_declare
from evreel.recordings.hdf5 import chunks
from evreel.recordings.survey import WHOLE
from evreel.system import read_at

CHUNK_BYTES = 1 << 28
"""Size limit of a chunk, in the file or decompressed: it is read as a whole."""
WHOLE_AGAIN = "Copy or download it again."
READABLE = (
    "evreel reads events/t, x, y and p as in DSEC and RVT, Metavision's CD/events, and its own "
    "events stores."
)

_MOST_BESIDE = 64  # columns of a data set of two dimensions
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
        Data sets that are wanted; `probe.ALL` for a list of them all.

    Raises
    ------
    RecordingError
        If the structure is damaged, or inspecting it takes too long.
    """
    try:
        told, rest = described(path, *names)
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
            raise RecordingError(f"has no data set {name}", path=path, offset=0, hint=READABLE)
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
                hint=READABLE,
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
        return Held(tuple(shape), (), np.dtype(kind).name)
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


def unknown(path: Path, problem: str) -> UnknownFormatError:
    """Return the error for a layout that is not known, with what to declare of it."""
    held = look(path, probe.ALL).held
    return UnknownFormatError(
        f"{problem}; it holds {listed(held)}",
        path=path,
        offset=0,
        hint=f"{READABLE} {to_declare(held)}",
    )
