"""Values that were added to a features file: an array per window, under a name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5d, h5p, h5s, h5t

from evreel.errors import UsageError, did_you_mean
from evreel.files import hdf5
from evreel.files.filters import deflated
from evreel.files.repack import copy_attributes
from evreel.layout import GZIP_LEVEL

GROUP = "extra"
_CHUNK_BYTES = 1 << 20
_MOST_ROWS = 65_536


class Extra:
    """Values of one name, read when they are asked for.

    Parameters
    ----------
    dataset, path
        Where they are.

    Attributes
    ----------
    shape : (N, …), a value or an array per window.
    dtype : of a value.
    sha256 : ``sha256:…`` of the file that they were taken from.
    """

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        self._dataset, self._path = dataset, path
        self._name = dataset.name[1:]
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        self.sha256 = str(dataset.attrs.get("sha256", ""))

    def __len__(self) -> int:
        return self.shape[0]

    def pieces(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield (first window, values) of pieces that are read at a time.

        Raises
        ------
        LayoutError
            If their bytes are damaged.
        """
        rows = (self._dataset.chunks or (_MOST_ROWS,))[0]
        for start in range(0, len(self), rows):
            yield start, self[start : start + rows]

    def __getitem__(self, rows: int | slice) -> Any:
        """Return the value of one window, or those of a slice.

        Raises
        ------
        IndexError
            If there is no such window.
        LayoutError
            If their bytes are damaged.
        """
        if not isinstance(rows, slice):
            rows = range(len(self))[rows]
        with hdf5.reading(self._path, self._name):
            return self._dataset[rows]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class Added(NamedTuple):
    """What is to be added: (N, …) numbers, and ``sha256:…`` of the file that they are from."""

    values: npt.NDArray[Any] | Extra
    sha256: str


def copy_with(source: Path, destination: Path, added: Mapping[str, Added]) -> None:
    """Copy a features file, with more values or others in place of those of the same name.

    Frames are copied as they are compressed. What was added before is written again, so that equal
    content gives equal bytes, in whatever order it was added.

    Parameters
    ----------
    source
        The file to read.
    destination
        The file to make; it must not exist.
    added
        Name → what is added.
    """
    with (
        hdf5.open_hdf5(source) as old,
        hdf5.new_file(destination, libver=("v110", "v110"), track_order=False) as new,
    ):
        copy_attributes(old["/"], new["/"], source)
        for name in old:
            if name != GROUP:
                with hdf5.reading(source, name):
                    old.copy(name, new)
        kept = extra_of(old, source)
        all_ = {name: Added(extra, extra.sha256) for name, extra in kept.items()} | dict(added)
        group = new.create_group(GROUP, track_order=False)
        for name in sorted(all_):
            _write(group, name, all_[name])


class _ByName(dict[str, Extra]):
    """What was added to a file, by name."""

    path: Path

    def __missing__(self, name: str) -> Extra:
        there = did_you_mean(name, self) or f"it has {', '.join(self) or 'none'}"
        raise UsageError(f"has no added values {name!r}; {there}", path=self.path)


def extra_of(file: h5py.File, path: Path) -> dict[str, Extra]:
    """Return what was added to an open features file, by name."""
    names = hdf5.members(file, GROUP) if GROUP in file else []
    found = _ByName({name: Extra(file[f"{GROUP}/{name}"], path) for name in names})
    found.path = path
    return found


def _write(group: h5py.Group, name: str, added: Added) -> None:
    """Write values as gzip's chunks, which every HDF5 reader has and which have a checksum."""
    values = added.values
    dtype = np.dtype(np.uint8 if values.dtype == np.bool_ else values.dtype.newbyteorder("<"))
    of_row = math.prod(values.shape[1:])
    row_bytes = max(dtype.itemsize * of_row, 1)
    rows = max(1, min(_CHUNK_BYTES // row_bytes, _MOST_ROWS, len(values)))
    chunk = (rows, *values.shape[1:])
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    if len(values) * of_row:
        properties.set_chunk(chunk)
        properties.set_shuffle()
        properties.set_deflate(GZIP_LEVEL)
    space = h5s.create_simple(values.shape)
    dataset = h5py.Dataset(
        h5d.create(group.id, name.encode(), h5t.py_create(dtype), space, properties)
    )
    for start in range(0, len(values) if of_row else 0, rows):
        block = np.zeros(chunk, dtype=dtype)
        part = values[start : start + rows]
        block[: len(part)] = part
        place = (start, *(0 for _ in values.shape[1:]))
        dataset.id.write_direct_chunk(place, deflated(block.tobytes(), dtype.itemsize, GZIP_LEVEL))
    hdf5.set_attributes(dataset, {"sha256": added.sha256})
