"""Data sets that HDF5's own gzip compresses, read a chunk at a time without HDF5's filters.

Files of a portable release have them. A chunk's bytes are read as they are in the file, inflated
by libdeflate, which takes a third of the time of the zlib in HDF5, and their shuffle is undone in a
kernel. What is inflated is compared with its checksum.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import deflate
import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5z

from evreel.files import bitshuffle

_PIPELINES = ((h5z.FILTER_DEFLATE,), (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE))
_KEPT = 2
"""Chunks of a column that stay in memory: reads that overlap may each need two."""


class Chunk(NamedTuple):
    """A chunk in memory.

    Attributes
    ----------
    plain : (bytes,) uint8, what its values are made of.
    is_shuffled : whether these are all lowest bytes of values, then all second ones, …
    dtype : of a value.
    """

    plain: npt.NDArray[np.uint8]
    is_shuffled: bool
    dtype: np.dtype[Any]

    def value(self, place: int) -> Any:
        """Return one value."""
        if not self.is_shuffled:
            return self.plain.view(self.dtype)[place]
        step = len(self.plain) // self.dtype.itemsize
        return self.plain[place::step].copy().view(self.dtype)[0]

    def fill(self, to: npt.NDArray[Any], first: int = 0) -> None:
        """Fill an array, (n,) and contiguous, with the values from place `first` on."""
        if not self.is_shuffled:
            to[...] = self.plain.view(self.dtype)[first : first + len(to)]
            return
        from evreel.kernels.shuffle import unshuffle  # numba takes half a second

        unshuffle(self.plain, first, to.view(f"u{self.dtype.itemsize}"))


class GzipChunks:
    """The chunks of a data set that gzip compresses; `of` makes it. It serves several threads."""

    def __init__(self, dataset: h5py.Dataset, is_shuffled: bool) -> None:
        self._id = dataset.id
        self._dtype = dataset.dtype
        self._size = int(np.prod(dataset.chunks, dtype=np.int64)) * dataset.dtype.itemsize
        self._is_shuffled = is_shuffled
        self._deflate_bit = 2 if is_shuffled else 1

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> Self | None:
        """Return what reads a data set's chunks; None if HDF5 itself must read them.

        That is so if they are compressed in another way, or values are not numbers of up to 8 bytes
        in the processor's order.
        """
        properties = dataset.id.get_create_plist()
        filters = [properties.get_filter(k) for k in range(properties.get_nfilters())]
        kind = dataset.dtype
        if dataset.chunks is None or tuple(number for number, *_ in filters) not in _PIPELINES:
            return None
        if kind.kind not in "iuf" or not kind.isnative or kind.itemsize > 8:
            return None
        is_shuffled = len(filters) > 1
        if is_shuffled and filters[0][2][:1] != (kind.itemsize,):
            return None
        return cls(dataset, is_shuffled)

    def read(self, offset: tuple[int, ...]) -> Chunk:
        """Return the chunk that begins at an offset.

        Raises
        ------
        ValueError
            If it is damaged.
        OSError, RuntimeError
            If there is none, or it cannot be read.
        """
        skipped, data = self._id.read_direct_chunk(offset)
        if not skipped & self._deflate_bit:
            try:
                data = deflate.zlib_decompress(data, self._size)
            except deflate.DeflateError:
                raise ValueError(
                    f"its gzip stream is damaged, or is not of {self._size} bytes"
                ) from None
        if len(data) != self._size:
            raise ValueError(f"it has {len(data)} bytes; {self._size} are expected")
        is_shuffled = self._is_shuffled and self._dtype.itemsize > 1 and not skipped & 1
        return Chunk(np.frombuffer(data, np.uint8), is_shuffled, self._dtype)


class Column:
    """A column of a file, read by rows: past HDF5's filters where gzip compresses it.

    So are whole chunks of bitshuffle, which several threads then decompress at a time. HDF5 reads
    parts of such chunks, and keeps them.

    The chunks that were needed last stay in memory, so that a search, or reading a few rows at a
    time, does not decompress a chunk again each time. It serves several threads.

    Parameters
    ----------
    dataset
        A data set of one dimension.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self._n, self._dtype = len(dataset), dataset.dtype
        self._gzip = GzipChunks.of(dataset)
        self._bitshuffle = bitshuffle.Chunks.of(dataset)
        self._rows = dataset.chunks[0] if dataset.chunks else max(1, self._n)
        # Replaced as a whole, so that threads need no lock.
        self._kept: tuple[tuple[int, Chunk], ...] = ()

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, rows: int | slice) -> Any:
        """Return the value of a row, or the values of a slice without a step, (n,)."""
        if not isinstance(rows, slice):
            row = range(self._n)[rows]
            return self._chunk(row // self._rows).value(row % self._rows)
        start, stop, _ = rows.indices(self._n)
        if self._bitshuffle is not None and stop - start >= self._rows:
            return self._bitshuffled(self._bitshuffle, start, stop)
        if self._gzip is None:
            return self.dataset[rows]
        values = np.empty(max(0, stop - start), self._dtype)
        at = start
        while at < stop:
            k, first = divmod(at, self._rows)
            until = min(at - first + self._rows, stop)
            self._chunk(k).fill(values[at - start : until - start], first)
            at = until
        return values

    def _bitshuffled(self, chunks: bitshuffle.Chunks, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows ``[start, stop)``, those of whole chunks past HDF5's filters."""
        values = np.empty(stop - start, self._dtype)
        first = -(-start // self._rows) * self._rows
        last = max(first, stop // self._rows * self._rows)
        for low, high in ((start, min(first, stop)), (last, stop)):
            if low < high:
                values[low - start : high - start] = self.dataset[low:high]
        if first < last:
            whole = values[first - start : last - start]
            chunks.read(first // self._rows, last // self._rows, whole)
        return values

    def _chunk(self, k: int) -> Chunk:
        """Return a chunk by its number, from memory if it was needed lately."""
        kept = self._kept
        for number, chunk in kept:
            if number == k:
                return chunk
        first = k * self._rows
        if self._gzip is None:
            values = self.dataset[first : first + self._rows]
            chunk = Chunk(values.view(np.uint8), False, values.dtype)
        else:
            chunk = self._gzip.read((first,))
        self._kept = (*kept, (k, chunk))[-_KEPT:]
        return chunk
