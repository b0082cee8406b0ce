"""HDF5 files as checks read them: column by column, in pieces, even if parts are damaged."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy.typing as npt

from evreel.checks.finding import DAMAGE, Finding, first_of
from evreel.checks.registry import finished, unreadable
from evreel.checks.tally import Accumulator
from evreel.errors import LayoutError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.layout import COLUMN_CHUNK, LAYOUTS, Array, Layout

EVENTS_COLUMNS = tuple(f"events/{name}" for name in "txyp")

MOST_UNREADABLE = 100
"""After this many unreadable pieces of a file, no more are tried."""

_MOST_CHUNKS = 16
"""Size limit of a chunk, in chunks of the layout: it is in memory as a whole."""


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[h5py.File]:
    """Give a file that follows its layout and whose arrays are complete."""
    if not path.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    layout = LAYOUTS[kind]
    with hdf5.open_hdf5(path) as h5:
        for array, dataset in hdf5.checked_arrays(h5, path, layout):
            if not is_whole(dataset):
                raise LayoutError(
                    f"part of {array.name} is missing; HDF5 would read zeros",
                    hint=hdf5.REBUILD,
                )
            rows = (dataset.chunks or (0,))[0]
            if array.chunk is not None and rows > _MOST_CHUNKS * array.chunk[0]:
                raise LayoutError(
                    f"{array.name} is in chunks of {rows:,} rows; {array.chunk[0]:,} are usual, "
                    f"at most {_MOST_CHUNKS * array.chunk[0]:,} are allowed",
                    hint="Write it in smaller chunks.",
                )
        for name in ("inputs", "repairs"):
            provenance(h5, name)
        yield h5


def arrays_in(h5: h5py.File, layout: Layout) -> list[Array]:
    """Return the arrays of a layout that a file has."""
    return layout.arrays_in(h5, lambda group: hdf5.members(h5, group))[0]


def is_whole(dataset: h5py.Dataset) -> bool:
    """Return whether all of a data set is stored: HDF5 reads missing parts as zeros."""
    if not dataset.size:
        return True
    if dataset.is_virtual or dataset.external:
        return False
    if dataset.chunks is None:
        return bool(dataset.id.get_storage_size())
    expected = math.prod(
        -(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)
    )
    return bool(dataset.id.get_num_chunks() == expected)


def provenance(h5: h5py.File, name: str) -> dict[str, Any]:
    """Return the attribute `inputs`, name → digest, or `repairs`, name → count.

    Raises
    ------
    LayoutError
        If it is missing, or not of that form.
    """
    try:
        value = json.loads(h5.attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        value = None
    counts = name == "repairs"
    if not isinstance(value, dict) or not all(
        type(cell) is int and cell >= 0 if counts else isinstance(cell, str)
        for cell in value.values()
    ):
        raise LayoutError(
            f"attribute {name} is not JSON that maps names to {'counts' if counts else 'digests'}",
            hint=hdf5.REBUILD,
        )
    return value


def sensor_of(h5: h5py.File) -> Sensor:
    """Return the sensor of a file with events."""
    return Sensor.checked(int(h5["events/height"][()]), int(h5["events/width"][()]))


class RawColumns:
    """Read columns piece by piece; an unreadable piece is counted and left out.

    Parameters
    ----------
    h5, path
        The file, and how findings name it.
    """

    def __init__(self, h5: h5py.File, path: str) -> None:
        self._h5 = h5
        self._path = path
        self._bad: dict[str, tuple[int, str, str]] = {}
        self._seen: set[str] = set()

    def piece(self, names: Sequence[str], first: int, stop: int) -> list[npt.NDArray[Any]] | None:
        """Return rows ``[first, stop)`` of data sets, None if one cannot be read."""
        pieces = []
        for name in names:
            n, place, problem = self._bad.get(name, (0, "", ""))
            try:
                if n > MOST_UNREADABLE:
                    return None
                pieces.append(self._h5[name][first:stop])
            except DAMAGE as error:
                if not n:
                    place, problem = f"{name}, rows {first} to {stop}", str(error)
                self._bad[name] = n + 1, place, problem
                return None
        return pieces

    def rows(self, *names: str) -> int:
        """Return how many rows a piece of some data sets has."""
        return max(COLUMN_CHUNK, *((self._h5[name].chunks or (1,))[0] for name in names))

    def pieces(
        self, *names: str, only: Collection[int] | None = None
    ) -> Iterator[tuple[int, list[npt.NDArray[Any]]]]:
        """Yield first row and columns of each piece of data sets of equal length.

        With `only`, yield those pieces alone that begin at one of these rows.
        """
        self._seen.update(names)
        n, rows = len(self._h5[names[0]]), self.rows(*names)
        for first in range(0, n, rows):
            if only is not None and first not in only:
                continue
            columns = self.piece(names, first, min(first + rows, n))
            if columns is not None:
                yield first, columns

    def through(self, check: Accumulator, *names: str) -> Iterator[Finding]:
        """Yield what a check finds in some columns."""
        for first, columns in self.pieces(*names):
            check.add(first, *columns)
        yield from finished(check, self._path)

    def problems(self) -> Iterator[Finding]:
        """Yield what could not be read; columns that no check has read are read first."""
        for array in arrays_in(self._h5, LAYOUTS[self._h5.attrs["layout"]]):
            is_column = len(array.dims) == 1 and array.dtype != "str"
            if is_column and array.name not in self._seen:
                for _ in self.pieces(array.name):
                    pass
        for n, place, problem in self._bad.values():
            said = f"cannot be read{first_of(n, 'such pieces')}: {problem}"
            yield unreadable(self._path, f"{said}; build or download it again", place)
