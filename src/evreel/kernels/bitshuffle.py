"""Chunks of bitshuffle and LZ4 by the functions of the library, several without Python between.

Each time that a thread comes back to Python it may wait for others: for one chunk of 64 kB, that
takes as long as the chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]

HEAD, SUM = 12, 4
"""Bytes of a chunk before its blocks, and after them; ``files/bitshuffle.py`` says which."""


def _calls(result: Any, n: int) -> Any:
    """Return how to call a function of C at an address, with n numbers of 64 bits."""

    def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(context.get_value_type(result), [ir.IntType(64)] * n)
        function, *numbers = arguments
        return builder.call(builder.inttoptr(function, kind.as_pointer()), numbers)

    return result(types.int64, *[types.int64] * n), generated


def _coder(
    typing: Any, function: Any, source: Any, target: Any, n: Any, size: Any, block: Any
) -> Any:
    return _calls(types.int64, 5)


def _checksum(typing: Any, function: Any, data: Any, size: Any) -> Any:
    return _calls(types.uint32, 2)


call_coder: Any = intrinsic(_coder)
"""Call ``bshuf_compress_lz4`` or ``bshuf_decompress_lz4``."""
call_checksum: Any = intrinsic(_checksum)
"""Call ``H5_checksum_fletcher32``."""

# n values of `size` bytes in each of k chunks, values (k · n · size,); block: values of a block,
# and usual: those of one if a chunk does not say


@kernel
def encode(
    values: UInt8Array,
    n: int,
    size: int,
    block: int,
    compress: int,
    checksum: int,
    chunks: UInt8Array,
    stops: Int64Array,
) -> int:
    """Fill `chunks` with k chunks, end to end, and `stops` (k) with where each ends.

    Returns
    -------
    0, or the error of the library, which is less.
    """
    plain, at = n * size, 0
    for k in range(len(stops)):
        for i in range(8):
            chunks[at + i] = (plain >> (8 * (7 - i))) & 255
        for i in range(4):
            chunks[at + 8 + i] = ((block * size) >> (8 * (3 - i))) & 255
        source = values.ctypes.data + k * plain
        target = chunks.ctypes.data + at
        stored = call_coder(compress, source, target + HEAD, n, size, block)
        if stored < 0:
            return int(stored)
        found = np.int64(call_checksum(checksum, target, HEAD + stored))
        at += HEAD + stored
        for i in range(4):
            chunks[at + i] = (found >> (8 * i)) & 255
        at += SUM
        stops[k] = at
    return 0


@kernel
def decode(
    chunks: UInt8Array,
    starts: Int64Array,
    stops: Int64Array,
    n: int,
    size: int,
    usual: int,
    decompress: int,
    checksum: int,
    values: UInt8Array,
) -> int:
    """Fill `values` from k chunks, at ``[starts, stops)`` (k) of `chunks`.

    Returns
    -------
    How many were read: fewer than k if the next one is damaged.
    """
    plain = n * size
    for k in range(len(starts)):
        start, stop = starts[k], stops[k] - SUM
        if stop - start < HEAD:
            return k
        expected, said, block = np.int64(0), np.int64(0), np.int64(0)
        for i in range(4):
            expected |= np.int64(chunks[stop + i]) << (8 * i)
        for i in range(8):
            said = (said << 8) | np.int64(chunks[start + i])
        for i in range(4):
            block = (block << 8) | np.int64(chunks[start + 8 + i])
        source = chunks.ctypes.data + start
        if np.int64(call_checksum(checksum, source, stop - start)) != expected:
            return k
        if said != plain or block % (8 * size) != 0:
            return k
        # The library follows the lengths of blocks wherever they lead.
        of_block = block // size if block > 0 else usual
        at = start + HEAD
        for _ in range(n // of_block + (1 if n % of_block >= 8 else 0)):
            length = np.int64(stop)
            if at + 4 <= stop:
                length = np.int64(0)
                for i in range(4):
                    length = (length << 8) | np.int64(chunks[at + i])
            at += 4 + length
        if at + n % 8 * size != stop:
            return k
        target = values.ctypes.data + k * plain
        read = call_coder(decompress, source + HEAD, target, n, size, block // size)
        if read != stop - start - HEAD:
            return k
    return len(starts)
