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
from collections.abc import Callable
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

_HEAD = struct.Struct(">QI")
_SUM = struct.Struct("<I")
BITSHUFFLE, FLETCHER32 = 32008, 3
_LZ4 = 2


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
    read = found.decompress(place + _HEAD.size, values.ctypes.data, n, size, block // size)
    if read != stop - _HEAD.size:
        raise ValueError(f"bitshuffle reads {read} of {stop - _HEAD.size} bytes")
