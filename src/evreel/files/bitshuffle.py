"""Chunks of bitshuffle and LZ4 with HDF5's checksum, made and read outside HDF5.

HDF5 compresses one chunk at a time, whatever the number of threads. Here the same functions of the
same libraries are called without its lock, so that chunks have the bytes that HDF5 gives them. A
chunk is: bytes of its values (big-endian uint64), bytes of a block (big-endian uint32), the blocks,
and the Fletcher-32 checksum of all this (little-endian uint32).
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
import numpy.typing as npt

from evreel import system

_HEAD = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_SUM = struct.Struct("<I")
BITSHUFFLE, FLETCHER32 = 32008, 3
_LZ4 = 2
_FARTHEST = (1 << 62) - 1
"""No file has more bytes: an address beyond it is damage."""
_PLACES_PER_READ = 16
"""Chunks of which HDF5 says where they are in the time that it takes to read one."""
_PIECE_BYTES = 1 << 23
"""Bytes of values whose chunks are in memory at a time."""


class Codec(NamedTuple):
    """Functions of hdf5plugin's library of bitshuffle, and HDF5's checksum.

    Parameters
    ----------
    bound, compress, decompress, block : sizes are in values, results in bytes, but for `block`.
    checksum : of so many bytes.
    """

    bound: Callable[..., int]
    compress: Callable[..., int]
    decompress: Callable[..., int]
    block: Callable[..., int]
    checksum: Callable[..., int]


@functools.cache
def codec() -> Codec | None:
    """Return the functions; None where the libraries are built without them, and HDF5 must do."""
    import hdf5plugin

    size, place = ctypes.c_size_t, ctypes.c_void_p
    try:
        plugin = ctypes.CDLL(hdf5plugin.get_config().registered_filters["bshuf"])
        found = Codec(
            plugin.bshuf_compress_lz4_bound,
            plugin.bshuf_compress_lz4,
            plugin.bshuf_decompress_lz4,
            plugin.bshuf_default_block_size,
            ctypes.CDLL(h5py.h5z.__file__).H5_checksum_fletcher32,
        )
    except (KeyError, OSError, AttributeError):
        return None
    kinds: tuple[tuple[Any, list[Any]], ...] = (
        (size, [size, size, size]),
        (ctypes.c_int64, [place, place, size, size, size]),
        (ctypes.c_int64, [place, place, size, size, size]),
        (size, [size]),
        (ctypes.c_uint32, [place, size]),
    )
    for function, (result, arguments) in zip(found, kinds, strict=True):
        function.restype, function.argtypes = result, arguments  # type: ignore[attr-defined]
    return found


def is_ours(dataset: h5py.Dataset) -> bool:
    """Return whether the chunks of a data set are such ones, and can be made and read here."""
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(k) for k in range(properties.get_nfilters())]
    if dataset.chunks is None or dataset.ndim != 1 or codec() is None:
        return False
    if [number for number, *_ in filters] != [BITSHUFFLE, FLETCHER32]:
        return False
    kind, parameters = dataset.dtype, filters[0][2]
    # After two numbers of its version: bytes of a value, values of a block or 0, compressor.
    return kind.kind in "iuf" and kind.isnative and parameters[2:5] == (kind.itemsize, 0, _LZ4)


def encode(values: npt.NDArray[Any]) -> bytes:
    """Return a chunk of (n,) contiguous values.

    Raises
    ------
    ValueError
        If the library refuses them.
    """
    found = codec()
    assert found is not None
    n, size = len(values), values.itemsize
    head, block = _HEAD.size, found.block(size)
    chunk = np.empty(head + found.bound(n, size, block) + _SUM.size, np.uint8)
    place = chunk.ctypes.data
    _HEAD.pack_into(chunk.data, 0, values.nbytes, block * size)
    stop = head + found.compress(values.ctypes.data, place + head, n, size, block)
    if stop < head:
        raise ValueError(f"bitshuffle fails with {stop - head}")
    _SUM.pack_into(chunk.data, stop, found.checksum(place, stop))
    return chunk[: stop + _SUM.size].tobytes()


def decode(chunk: bytes, values: npt.NDArray[Any]) -> None:
    """Fill (n,) contiguous values from a chunk.

    Raises
    ------
    ValueError
        If it is damaged: by its checksum, which is compared first, because the library trusts what
        it is given.
    """
    found = codec()
    assert found is not None
    whole = np.frombuffer(chunk, np.uint8)
    place, stop = whole.ctypes.data, len(whole) - _SUM.size
    if stop < _HEAD.size:
        raise ValueError(f"a chunk has {len(whole)} bytes")
    if found.checksum(place, stop) != _SUM.unpack_from(chunk, stop)[0]:
        raise ValueError("the checksum of a chunk is another one")
    n, size = len(values), values.itemsize
    said, block = _HEAD.unpack_from(chunk)
    if said != values.nbytes or block % (8 * size):
        raise ValueError(f"a chunk says that it has {said} bytes in blocks of {block}")
    # The library follows the lengths of blocks wherever they lead.
    at, of_block = _HEAD.size, block // size or found.block(size)
    for _ in range(n // of_block + (n % of_block >= 8)):
        at += _LENGTH.size + (_LENGTH.unpack_from(chunk, at)[0] if at + 4 <= stop else stop)
    if at + n % 8 * size != stop:
        raise ValueError("the blocks of a chunk have other lengths than the chunk")
    read = found.decompress(place + _HEAD.size, values.ctypes.data, n, size, block // size)
    if read != stop - _HEAD.size:
        raise ValueError(f"bitshuffle reads {read} of {stop - _HEAD.size} bytes")


def encode_each(values: npt.NDArray[Any], n: int) -> list[bytes]:
    """Return k chunks of n values each, as `encode` makes them.

    Parameters
    ----------
    values
        (k · n,) contiguous values.

    Raises
    ------
    ValueError
        If the library refuses them.
    """
    kernels = _kernels()
    if kernels is None or len(values) == n:
        return [encode(values[first : first + n]) for first in range(0, len(values), n)]
    found = codec()
    assert found is not None
    size = values.itemsize
    block = found.block(size)
    room = _HEAD.size + found.bound(n, size, block) + _SUM.size
    stops = np.empty(len(values) // n, np.int64)
    chunks = np.empty(len(stops) * room, np.uint8)
    functions = _address(found.compress), _address(found.checksum)
    failed = kernels.encode(values.view(np.uint8), n, size, block, *functions, chunks, stops)
    if failed:
        raise ValueError(f"bitshuffle fails with {failed}")
    starts = [0, *stops[:-1].tolist()]
    return [chunks[slice(*ends)].tobytes() for ends in zip(starts, stops.tolist(), strict=True)]


def decode_each(
    chunks: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
) -> None:
    """Fill contiguous values from k chunks of n values each.

    Parameters
    ----------
    chunks
        Bytes that hold them.
    starts, stops
        (k,) where each begins and ends.
    values
        (k · n,).

    Raises
    ------
    ValueError
        If one is damaged, as in `decode`.
    """
    n = len(values) // len(starts)
    kernels, done = _kernels(), 0
    if kernels is not None and len(starts) > 1:
        found = codec()
        assert found is not None
        size = values.itemsize
        functions = _address(found.decompress), _address(found.checksum)
        done = kernels.decode(
            chunks, starts, stops, n, size, found.block(size), *functions, values.view(np.uint8)
        )
    for k in range(done, len(starts)):  # the first one says what is wrong
        decode(chunks[starts[k] : stops[k]].tobytes(), values[k * n : (k + 1) * n])


class Chunks:
    """The chunks of a data set of one dimension that bitshuffle compresses; `of` makes it.

    Their bytes are read past HDF5, which does one thing at a time for all threads, whether it reads
    this file or writes another. It serves several threads.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._rows: int = dataset.chunks[0]
        self._n = -(-len(dataset) // self._rows)
        self._n_read = 0
        file = dataset.file
        self._past_hdf5 = system.HAS_PLACES and file.driver == "sec2" and file.mode == "r"

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> Self | None:
        """Return what reads a data set's chunks; None if HDF5 itself must read them."""
        return cls(dataset) if is_ours(dataset) else None

    def read(self, first: int, last: int, values: npt.NDArray[Any]) -> None:
        """Fill contiguous values from the whole chunks ``[first, last)``.

        Raises
        ------
        ValueError
            If one is damaged.
        OSError, RuntimeError
            If there is none, or it cannot be read.
        """
        self._n_read += last - first
        at_once = max(1, _PIECE_BYTES // (self._rows * values.itemsize))
        for low in range(first, last, at_once):
            high = min(low + at_once, last)
            part = values[(low - first) * self._rows : (high - first) * self._rows]
            if not self._read_past_hdf5(low, high, part):
                self._read_by_hdf5(low, high, part)

    def _read_past_hdf5(self, first: int, last: int, values: npt.NDArray[Any]) -> bool:
        """Fill values if it is known where all these chunks are; return whether it is."""
        if not self._past_hdf5 or self._n_read * _PLACES_PER_READ <= self._n:
            return False
        starts, sizes = self._places[:, first:last]
        if not sizes.all():
            return False
        ends = np.cumsum(sizes)
        chunks = np.empty(ends[-1], np.uint8)
        self._fill(chunks, starts, sizes)
        decode_each(chunks, ends - sizes, ends, values)
        return True

    def _read_by_hdf5(self, first: int, last: int, values: npt.NDArray[Any]) -> None:
        for k in range(first, last):
            row = k * self._rows
            part = values[(k - first) * self._rows : (k - first + 1) * self._rows]
            skipped, data = self._dataset.id.read_direct_chunk((row,))
            if skipped:
                part[...] = self._dataset[row : row + self._rows]
            else:
                decode(data, part)

    @functools.cached_property
    def _places(self) -> npt.NDArray[np.int64]:
        """First byte in the file, and bytes, of each chunk; 0 if HDF5 must read it, (2, chunks)."""
        places = np.zeros((2, self._n), np.int64)
        most = 2 * self._rows * self._dataset.dtype.itemsize + _HEAD.size + _SUM.size

        def add(chunk: Any) -> None:
            if chunk.byte_offset is None or not 0 <= chunk.byte_offset <= _FARTHEST:
                return
            k = chunk.chunk_offset[0] // self._rows
            if k < self._n and not chunk.filter_mask and chunk.size <= most:
                places[:, k] = chunk.byte_offset, chunk.size

        self._dataset.id.chunk_iter(add)
        return places

    def _fill(
        self,
        chunks: npt.NDArray[np.uint8],
        starts: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
    ) -> None:
        """Read chunks at places of the file; those that touch, as most do, at once.

        Raises
        ------
        ValueError
            If the file ends before, or was closed meanwhile.
        """
        file = self._dataset.file.id.get_vfd_handle()
        room, done = chunks.data, 0
        apart = np.flatnonzero(starts[1:] != starts[:-1] + sizes[:-1]) + 1
        for run in np.split(np.arange(len(starts)), apart):
            at, stop = int(starts[run[0]]) - done, done + int(sizes[run].sum())
            while done < stop:
                n = system.fill_at(file, room[done:stop], at + done)
                if not n:
                    raise ValueError("the file ends before its last chunk")
                done += n
        # If another thread has closed it, the number may be that of another file by now.
        if not self._dataset:
            raise ValueError("the file was closed while it was read")


def _kernels() -> Any:
    """Return the kernels that do several chunks at a time; None if one at a time is better.

    That is so without numba, whose import takes as long as some 2,000 chunks.
    """
    if "numba" not in sys.modules or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    from evreel.kernels import bitshuffle

    return bitshuffle if hasattr(bitshuffle.encode, "py_func") else None  # it may not compile


def _address(function: Any) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value
