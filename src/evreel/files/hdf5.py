"""HDF5 by layout: the same content gives the same bytes, wherever a file is made."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p, h5s, h5t

from evreel.closing import Closing
from evreel.errors import EventsError, EvreelError, LayoutError
from evreel.events import Events, Sensor
from evreel.files.columns import Columns
from evreel.files.filters import check_filters
from evreel.files.gzip_chunks import Column
from evreel.files.inspection import InspectionError, check_structure, described
from evreel.files.seal import is_sealed, seal_of
from evreel.layout import GZIP_LEVEL, LAYOUTS, Array, Filter, Layout
from evreel.outputs import MAKE_ROOM
from evreel.provenance import Provenance
from evreel.system import CLOSED_IN_OTHERS, begin_storing, fill_at, write_at
from evreel.threads import Crew

try:
    import hdf5plugin
except ImportError as error:
    raise EvreelError(
        f"HDF5's plugins, which evreel's files are compressed with, cannot be imported: {error}",
        hint="Run: pip install hdf5plugin.",
    ) from error

ZSTD_LEVEL = 1
KEPT_BYTES = 1 << 23
"""Uncompressed bytes of chunks that HDF5 keeps of each data set that is written: its own default,
on which the order of chunks in the file depends."""
_STORED_BYTES = 1 << 25
"""So many bytes of a new file go to the disk together, while more are made."""
_HELD_BYTES = 1 << 20
"""So many bytes that follow each other are written together."""
REBUILD = "The file is damaged: build or download it again."


class Opened(Closing):
    """A file that is open for reading, until it is closed or its ``with`` block ends."""

    path: Path
    _file: h5py.File

    @contextlib.contextmanager
    def _opening(self, path: str | Path, what: str) -> Iterator[None]:
        """Open the file for a block that reads `what` of it; if that fails, close it again."""
        self.path = Path(path)
        self._file = open_hdf5(self.path)
        try:
            with reading(self.path, what):
                yield
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it can be read, because it is not closed yet."""
        return bool(self._file)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class NewFile(h5py.File):  # type: ignore[misc]
    """A file that is being made.

    Attributes
    ----------
    columns : its long columns, which a crew may compress.
    """

    columns: Columns


@contextlib.contextmanager
def create(
    path: Path, layout: Layout, provenance: Provenance, crew: Crew | None = None
) -> Iterator[NewFile]:
    """Give a new file that carries its layout's name and version and its provenance.

    It uses the file format of HDF5 1.10, whose own structures have checksums: in the earliest, a
    flipped bit may silently move a chunk or truncate a column. The bytes do not depend on the crew
    that compresses its columns; without one, HDF5 does.
    """
    with new_file(path, crew, libver=("v110", "v110"), track_order=False) as file:
        file.attrs["layout"] = layout.name
        file.attrs["layout_version"] = layout.version
        yield file
        set_attributes(file, provenance.attributes())


@contextlib.contextmanager
def new_file(path: Path, crew: Crew | None = None, **options: Any) -> Iterator[NewFile]:
    """Give a new HDF5 file, sealed in the end; if the disk refuses a write, raise one error then.

    Parameters
    ----------
    path
        The file to make; it must not exist.
    crew
        As `create` takes it.
    options
        As `h5py.File` takes them.

    Raises
    ------
    EvreelError
        If the disk is full, or fails; the file is useless then.
    """
    with _Disk(path) as disk:
        try:
            with NewFile(disk, "w", rdcc_nbytes=KEPT_BYTES, **options) as file:
                file.columns = Columns(crew or Crew(), KEPT_BYTES)
                yield file
                file.columns.finish()
        except Exception:
            disk.check()
            raise
        disk.check()
        disk.append(seal_of(path))
        disk.check()


class _Disk(io.RawIOBase):
    """A new file on which HDF5 never sees a write fail.

    HDF5 cannot close a file for which the disk has no room: it raises, and ends the process with a
    segmentation fault. So the first error is kept for `check`, and nothing is written after it.

    Writes that follow each other in the file are made together: each one of its own would let
    another thread go first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held, self._held_at = bytearray(), 0  # what is to be written, and where
        self._error: OSError | None = None
        self._file = -1
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | CLOSED_IN_OTHERS, 0o666)
        self._at = self._end = 0
        self._begun = 0  # bytes before it are on their way to the disk, or there

    def check(self) -> None:
        """Raise if a write has failed."""
        self._put()
        if self._error is not None:
            raise EvreelError(
                f"cannot be written: {self._error.strerror}",
                path=self._path,
                hint=MAKE_ROOM,
            ) from self._error

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.seek(0, os.SEEK_END)
        self.write(data)

    def close(self) -> None:
        """Close the file, once."""
        if not self.closed:
            self._put()
            if self._file >= 0:
                os.close(self._file)
        super().close()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._put()
        view = memoryview(buffer).cast("B")
        n = fill_at(self._file, view, self._at)
        view[n:] = bytes(len(view) - n)  # what a failed write left out
        self._at += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._at != self._held_at + len(self._held) or len(view) >= _HELD_BYTES:
            self._put()
        if len(view) >= _HELD_BYTES:
            self._store(view, self._at)
        else:
            self._held_at = self._held_at if self._held else self._at
            self._held += view
        self._at += len(view)
        self._end = max(self._end, self._at)
        if len(self._held) >= _HELD_BYTES:
            self._put()
        if self._end - self._begun >= _STORED_BYTES:
            self._put()
            begin_storing(self._file, self._begun, self._end)
            self._begun = self._end
        return len(view)

    def _put(self) -> None:
        """Write what is held."""
        held, self._held = self._held, bytearray()
        self._store(memoryview(held), self._held_at)

    def _store(self, view: memoryview, at: int) -> None:
        """Write bytes at a place, unless a write has failed."""
        done = 0
        while done < len(view) and self._error is None:
            try:
                done += write_at(self._file, view[done:], at + done)
            except OSError as error:
                self._error = error

    def truncate(self, size: int | None = None) -> int:
        self._put()
        self._end = self._at if size is None else size
        if self._error is None:
            try:
                os.ftruncate(self._file, self._end)
            except OSError as error:
                self._error = error
        return self._end


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, without a lock: nobody writes into a finished file.

    HDF5 sees it only if its structure is whole: by its seal, or else because a program of its own
    could read it (`evreel.files.inspection`).

    Raises
    ------
    LayoutError
        If it cannot be read, is no HDF5 file, or its structure is damaged.
    """
    with _naming(path):
        if is_sealed(path) or not h5py.is_hdf5(path):
            return _opened(path)
        rest = check_structure(path)
        file = _opened(path)
    if rest and _layout(file) is not None:
        file.close()
        raise LayoutError(
            f"its seal, the last {rest:,} bytes, is damaged or cut short", path=path, hint=REBUILD
        )
    return file


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # this process has it open already, with a lock


def layout_of(path: Path) -> str | None:
    """Return the name of the layout that an HDF5 file says it has, None if it is not evreel's.

    Raises
    ------
    LayoutError
        If it cannot be read, is no HDF5 file, or its structure is damaged.
    """
    with _naming(path):
        if not is_sealed(path):
            name: str | None = described(path)[0]["attributes"]["layout"]
            return name if name in LAYOUTS else None
        with _opened(path) as file:
            return _layout(file)


def _layout(file: h5py.File) -> str | None:
    name = file.attrs.get("layout")
    return name if isinstance(name, str) and name in LAYOUTS else None


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what opening a file raises into an error that names it."""
    try:
        yield
    except (OSError, InspectionError) as error:
        raise LayoutError(
            f"cannot be opened as HDF5: {error}",
            path=path,
            hint="If a step was interrupted, run it again.",
        ) from error


def check_layout(file: h5py.File, path: Path, layout: Layout) -> None:
    """Raise `LayoutError` if the file has another layout or version, or lacks a part of it."""
    for _ in checked_arrays(file, path, layout):
        pass


def checked_arrays(
    file: h5py.File, path: Path, layout: Layout
) -> Iterator[tuple[Array, h5py.Dataset]]:
    """Yield each array that a file has, with its data set, and raise as `check_layout` does."""
    name, version = _plain(file.attrs.get("layout")), _plain(file.attrs.get("layout_version"))
    if name != layout.name:
        raise LayoutError(
            f"its layout is {name!r}; {layout.name!r} is expected",
            path=path,
            hint="Is this the file of another step?",
        )
    if version != layout.version:
        raise LayoutError(
            f"its layout is {layout.name} version {version}; this evreel reads version "
            f"{layout.version}",
            path=path,
            hint="Build the file again with this version of evreel.",
        )
    for attribute in layout.attributes:
        if attribute not in file.attrs:
            raise LayoutError(f"attribute {attribute} is missing", path=path)
    lengths: dict[str, tuple[int, str]] = {}
    arrays, missing = layout.arrays_in(file, lambda group: members(file, group))
    if missing:
        raise LayoutError(f"data set {missing[0]} is missing", path=path)
    for array in arrays:
        dataset = file[array.name]
        shape = dataset.shape if isinstance(dataset, h5py.Dataset) else None
        if shape is None:
            raise LayoutError(f"{array.name} is not a data set with values", path=path)
        dtype, dims = dataset.dtype, array.dims
        if dims[-1:] == ("…",):
            further = range(1, len(shape) - len(dims) + 2)
            dims = (*dims[:-1], *(f"dimension {k} of {array.name}" for k in further))
        if len(shape) != len(dims):
            raise LayoutError(
                f"data set {array.name} has {len(shape)} dimensions; "
                f"({', '.join(array.dims)}) is expected",
                path=path,
            )
        if array.dtype == "str":
            fits, expected = h5py.check_string_dtype(dtype) is not None, "text"
        else:
            fits = array.dtype == "any" or dtype == np.dtype(array.dtype)
            expected = array.dtype if array.dtype == "any" else np.dtype(array.dtype).str
        if not fits:
            raise LayoutError(
                f"data set {array.name} is {dtype.str}; {expected} is expected", path=path
            )
        for dim, length in zip(dims, shape, strict=True):
            known, by = lengths.setdefault(dim, (length, array.name))
            if known != length:
                raise LayoutError(
                    f"data set {array.name} has {length} of {dim}, but {by} has {known}", path=path
                )
        check_filters(dataset, path)
        yield array, dataset


def members(file: h5py.File, group: str) -> list[str]:
    """Return the names of what is in a group; none if it is something else."""
    node = file[group]
    return list(node) if isinstance(node, h5py.Group) else []


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever h5py, or a check of the values, raises on damage into `LayoutError`.

    Parameters
    ----------
    path
        The file.
    what
        What the block reads, such as ``"rows 0 to 65536"``; it begins the message.
    """
    try:
        yield
    except LayoutError:
        raise
    except Exception as error:
        raise LayoutError(f"{what} cannot be read: {error}", path=path, hint=REBUILD) from error


def read_events(
    columns: Iterable[Column], start: int, stop: int, sensor: Sensor, path: Path
) -> Events:
    """Return rows ``[start, stop)`` of the columns t, x, y and p.

    Raises
    ------
    LayoutError
        If they cannot be read, or are not events; the message names the row in the file.
    """
    with reading(path, f"rows {start} to {stop}"):
        t, x, y, p = (column[start:stop] for column in columns)
    try:
        return Events(t, x, y, p, sensor)
    except EventsError as error:
        place = error.place
        if place is not None:
            place = f"row {start + int(place.removeprefix('row '))}"
        raise LayoutError(error.problem, path=path, place=place, hint=REBUILD) from error


def _plain(value: Any) -> Any:
    """Return an attribute's value as plain Python, so that arrays compare as a whole."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def add(
    file: h5py.File,
    array: Array,
    data: npt.ArrayLike | str | None = None,
    *,
    filter_: Filter | None = None,
) -> h5py.Dataset:
    """Create a layout's data set, with data or growable along its first dimension.

    Parameters
    ----------
    file
        A file made by `create`.
    array
        What to create.
    data
        Its values; None for a column that `append` fills.
    filter_
        How chunks are compressed, if not as the layout says.
    """
    options: dict[str, Any] = {"track_times": False}
    if array.dtype == "str":
        dtype: Any = h5py.string_dtype("utf-8")
        values = data if isinstance(data, str) else np.asarray(data, dtype=object)
        return file.create_dataset(array.name, data=values, dtype=dtype, **options)
    if not array.dims:
        return _add_scalar(file, array, data)
    if array.chunk is not None:
        options["chunks"] = array.chunk
        options["maxshape"] = (None, *array.chunk[1:])
        options |= filter_options(filter_ or array.filter)
    if data is None:
        shape = (0, *(array.chunk or ())[1:])
        return file.create_dataset(array.name, shape=shape, dtype=array.dtype, **options)
    return file.create_dataset(
        array.name, data=np.asarray(data, dtype=array.dtype), dtype=array.dtype, **options
    )


def _add_scalar(file: h5py.File, array: Array, value: npt.ArrayLike | None) -> h5py.Dataset:
    """Create a number in its object's header, whose checksum then covers it too."""
    folder, _, name = array.name.rpartition("/")
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_layout(h5d.COMPACT)
    properties.set_obj_track_times(False)
    dataset = h5py.Dataset(
        h5d.create(
            file.require_group(folder or "/").id,
            name.encode(),
            h5t.py_create(np.dtype(array.dtype)),
            h5s.create(h5s.SCALAR),
            properties,
        )
    )
    dataset[()] = value
    return dataset


def filter_options(filter_: Filter) -> dict[str, Any]:
    """Return the keywords of `create_dataset` for a filter."""
    if filter_ == "bitshuffle-lz4":
        # The plugin trusts its input: flipped bits crash it or give other values. HDF5 adds the
        # checksum after it, so that damage is found before the plugin sees it.
        return {**hdf5plugin.Bitshuffle(cname="lz4"), "fletcher32": True}
    if filter_ == "zstd":
        return dict(hdf5plugin.Zstd(clevel=ZSTD_LEVEL))
    if filter_ == "gzip":
        return {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": True}
    return {"fletcher32": True} if filter_ == "fletcher32" else {}


def append(dataset: h5py.Dataset, rows: npt.NDArray[Any]) -> None:
    """Add rows at the end of a growable data set."""
    if len(rows):
        size = dataset.shape[0]
        dataset.resize(size + len(rows), axis=0)
        dataset[size:] = rows


def copy_rows(source: h5py.Dataset, target: h5py.Dataset) -> bool:
    """Copy a column into a new one as it is compressed; return whether both are compressed alike.

    That takes a fifth of the time that `append` takes, and gives the same bytes.
    """
    if (source.dtype, source.chunks) != (target.dtype, target.chunks) or source.chunks is None:
        return False
    if pipeline(source) != pipeline(target) or not has_all_chunks(source):
        return False
    (rows,) = source.chunks
    target.resize(source.shape)
    for first in range(0, len(source), rows):
        mask, data = raw(source, first)
        target.id.write_direct_chunk((first,), data, mask)
    return True


def has_same_rows(one: h5py.Dataset, other: h5py.Dataset) -> bool:
    """Return whether two columns have the same bytes, chunk by chunk, as they are compressed.

    Then they have the same values; columns that are compressed otherwise may have them, too.
    """
    if (one.dtype, one.chunks, one.shape) != (other.dtype, other.chunks, other.shape):
        return False
    if one.chunks is None or pipeline(one) != pipeline(other):
        return False
    if not (has_all_chunks(one) and has_all_chunks(other)):
        return False
    starts = range(0, len(one), one.chunks[0])
    return all(raw(one, first) == raw(other, first) for first in starts)


def pipeline(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """Return the filters of a data set in their order: number and parameters of each."""
    properties = dataset.id.get_create_plist()
    found = (properties.get_filter(k) for k in range(properties.get_nfilters()))
    return [(number, tuple(values)) for number, _, values, _ in found]


def has_all_chunks(column: h5py.Dataset) -> bool:
    """Return whether all chunks of a column are stored; others would be read as fill values."""
    return bool(column.id.get_num_chunks() == -(-len(column) // column.chunks[0]))


def raw(column: h5py.Dataset, first: int) -> tuple[int, bytes]:
    """Return the stored chunk that begins at row `first`: which filters it skips, and its bytes."""
    mask, data = column.id.read_direct_chunk((first,))
    return mask, data


def set_attributes(node: h5py.Group | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Set attributes in the order of their names, so that equal content gives equal bytes."""
    for name in sorted(attributes):
        node.attrs[name] = attributes[name]
