"""Long columns of a new file, whose chunks several threads compress.

HDF5 keeps the newest chunks of each data set in memory, and gives a chunk its place in the file
when a later one needs the room, or at the end. Chunks get the same places here. So a file has the
same bytes whether HDF5 compresses it, as with one thread, or a crew does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.files import bitshuffle
from evreel.threads import Crew, Task

_TASK_BYTES = 1 << 20
"""Bytes of the chunks that a task compresses: waking a thread for each one takes as long as a small
one."""


class Columns:
    """The columns of a file that a crew compresses.

    Parameters
    ----------
    crew
        Who compresses. With one thread, HDF5 does, as also data sets of other filters.
    kept_bytes
        Uncompressed bytes of chunks that HDF5 keeps of each data set.
    """

    def __init__(self, crew: Crew, kept_bytes: int) -> None:
        self._crew = crew
        self._kept_bytes = kept_bytes
        self._columns: dict[str, _Column | None] = {}

    def append(self, dataset: h5py.Dataset, parts: Sequence[npt.NDArray[Any]]) -> None:
        """Add rows, in parts that nobody changes later, at the end of a growable data set.

        Those that are filled here must be the first data sets of their file.
        """
        size, more = dataset.shape[0], sum(map(len, parts))
        if not more:
            return
        dataset.resize(size + more, axis=0)
        name = dataset.name
        if name not in self._columns:
            by_crew = self._crew.threads > 1 and bitshuffle.is_ours(dataset)
            self._columns[name] = (
                _Column(dataset, self._crew, self._kept_bytes) if by_crew else None
            )
            if by_crew:  # HDF5 places its index now; the row goes when its chunk is written
                dataset[:1] = next(rows for rows in parts if len(rows))[:1]
        column = self._columns[name]
        if column is None:
            dataset[size:] = parts[0] if len(parts) == 1 else np.concatenate(parts)
            return
        for rows in parts:
            column.append(rows)

    def finish(self) -> None:
        """Write what is pending, at the end, when nothing but that is left to write."""
        columns = [column for column in self._columns.values() if column is not None]
        for column in columns:
            column.begin_last()
        for column in columns:
            column.write_all()


class _Column:
    def __init__(self, dataset: h5py.Dataset, crew: Crew, kept_bytes: int) -> None:
        self._dataset = dataset
        self._crew = crew
        (self._rows,) = dataset.chunks
        self._dtype = dataset.dtype
        chunk_bytes = self._rows * self._dtype.itemsize
        self._most = max(1, kept_bytes // chunk_bytes)
        self._at_once = max(1, _TASK_BYTES // chunk_bytes)
        self._begun: deque[Task[deque[bytes]]] = deque()  # each compresses some chunks
        self._made: deque[bytes] = deque()  # of the oldest task
        self._waiting: list[list[npt.NDArray[Any]]] = []  # parts of chunks, for the next task
        self._n_pending = 0  # chunks of all these
        self._newest: list[npt.NDArray[Any]] = []  # parts of a chunk that is not full yet
        self._n_newest = 0
        self._n_written = 0

    def append(self, rows: npt.NDArray[Any]) -> None:
        done = 0
        while done < len(rows):
            if not self._n_newest and self._n_pending == self._most:
                self._write()
            part = rows[done : done + self._rows - self._n_newest]
            self._newest.append(part)
            self._n_newest += len(part)
            done += len(part)
            if self._n_newest == self._rows:
                self._add_newest()

    def begin_last(self) -> None:
        """Begin to compress what is left."""
        if self._n_newest:
            self._newest.append(np.zeros(self._rows - self._n_newest, self._dtype))
            self._add_newest()
        if self._waiting:
            self._begin()

    def write_all(self) -> None:
        while self._n_pending:
            self._write()

    def _add_newest(self) -> None:
        self._waiting.append(self._newest)
        self._n_pending += 1
        self._newest, self._n_newest = [], 0
        if len(self._waiting) == self._at_once:
            self._begin()

    def _begin(self) -> None:
        self._begun.append(self._crew.begin(_compressed, self._waiting, self._dtype))
        self._waiting = []

    def _write(self) -> None:
        if not self._made:
            if not self._begun:
                self._begin()
            self._made = self._begun.popleft().result()
        place = self._n_written * self._rows
        self._dataset.id.write_direct_chunk((place,), self._made.popleft())
        self._n_written += 1
        self._n_pending -= 1


def _compressed(chunks: list[list[npt.NDArray[Any]]], dtype: np.dtype[Any]) -> deque[bytes]:
    parts = [part for chunk in chunks for part in chunk]
    values = np.concatenate(parts, dtype=dtype, casting="same_kind")
    return deque(bitshuffle.encode_each(values, len(values) // len(chunks)))
