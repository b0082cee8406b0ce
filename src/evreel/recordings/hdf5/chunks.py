"""Chunks of HDF5 data sets, decompressed without HDF5's filter plugins.

The plugins trust what they decompress: with flipped bits in a chunk, some crash the process. Here a
chunk's bytes are read as they are in the file, and decompressed by libraries that check them.

=======  ==================================================================================
1        deflate (gzip): a zlib stream
2        shuffle: all first bytes of the elements, then all second ones, …
3        Fletcher-32, 4 bytes after the data
32000    LZF, h5py's own
32001    Blosc 1, with LZ4, LZ4HC, zlib or Zstandard inside: 16 bytes of header (version, version
         of the codec, flags, size of an element; uint32 size, size of a block, size in the file),
         offsets of the blocks (uint32), blocks. A block has one stream, or one per byte of an
         element: uint32 size, then a stream of the codec, or the plain bytes if that is their
         size. Flags: 1 bytes shuffled, 2 stored, 4 bits shuffled, 16 one stream per block; the
         three highest bits are the codec: 1 LZ4, 3 zlib, 4 Zstandard
32004    LZ4: big-endian uint64 size, uint32 size of a block; for each block uint32 size, then
         LZ4 or, if the size is the block's, the plain bytes
32015    Zstandard: a frame
=======  ==================================================================================

Sources: HDF5's User Guide on filters and its registry of filter plugins; Blosc's
README_CHUNK_FORMAT for version 1; HDF5's description of its LZ4 filter.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import lz4.block
import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import EvreelError
from evreel.files.filters import BLOSC, BLOSC_HEAD, LZF

Values = Sequence[int]

CHECKED = (1, 3)
"""Filters that verify a checksum."""

_MOST_STREAMS = 16  # a longer element is not split into streams
_LEAST_STREAM = 128  # nor is a block whose streams would be shorter than this


class ChunkError(EvreelError):
    """A chunk that does not decompress to what it should."""

    whole = False  # whether nothing is damaged, only coded in a way that is not read here

    @classmethod
    def of_size(cls, size: int, codec: str) -> Self:
        """Return the error for a chunk that has another size."""
        return cls(f"a chunk does not decompress to {size} bytes ({codec})")


class ChunkCodingError(ChunkError):
    """A chunk that is coded, as its data set says, in a way that is not read here."""

    whole = True


def decompressed(
    data: bytes, filters: Sequence[tuple[int, Values]], mask: int, size: int, element: int
) -> bytes:
    """Return a chunk's bytes.

    Parameters
    ----------
    data
        The chunk as it is in the file.
    filters
        (number, parameters) in the order in which they were applied; all in `FILTERS`.
    mask
        Bit k is set if filter k was left out for this chunk.
    size
        Size of the decompressed chunk, bytes.
    element
        Size of an element, bytes.

    Raises
    ------
    ChunkError
        If the chunk is damaged, or coded otherwise.
    """
    for k in reversed(range(len(filters))):
        if not mask >> k & 1:
            number, values = filters[k]
            # A checksum before a compression is compressed with the data.
            spare = 4 * sum(other == 3 for other, _ in filters[:k])
            data = FILTERS[number](data, values, size + spare, element)
    if len(data) != size:
        raise ChunkError(f"a chunk has {len(data)} bytes, not {size}")
    return data


def decompress_into(
    data: bytes,
    filters: Sequence[tuple[int, Values]],
    mask: int,
    to: npt.NDArray[np.uint8],
    element: int,
) -> None:
    """Fill an array, (n,), with a chunk's bytes; as `decompressed`, but Blosc's are not joined."""
    if mask or [number for number, _ in filters] != [BLOSC]:
        to[:] = np.frombuffer(decompressed(data, filters, mask, len(to), element), np.uint8)
        return
    at, view = 0, to.data  # which takes a small part in half of NumPy's time
    for part in _blosc_parts(data, filters[0][1], len(to)):
        view[at : at + len(part)] = part
        at += len(part)


def _inflate(data: bytes, size: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        out = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise ChunkError(f"a chunk is damaged (zlib): {error}") from error
    if not stream.eof or len(out) != size:
        raise ChunkError.of_size(size, "zlib")
    return out


def _zstd(data: bytes, size: int) -> bytes:
    try:
        # Otherwise the size that the frame states is trusted, whatever the limit.
        if zstandard.frame_content_size(data) not in (size, -1):
            raise ChunkError.of_size(size, "Zstandard")
        out = _own_zstd().decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ChunkError(f"a chunk is damaged (Zstandard): {error}") from error
    if len(out) != size:
        raise ChunkError.of_size(size, "Zstandard")
    return out


_OWN = threading.local()


def _own_zstd() -> zstandard.ZstdDecompressor:
    """Return the thread's decompressor: to make one takes as long as 15 kB of sparse counts."""
    try:
        made: zstandard.ZstdDecompressor = _OWN.zstd
    except AttributeError:
        made = _OWN.zstd = zstandard.ZstdDecompressor()
    return made


def _lz4_block(data: bytes, size: int) -> bytes:
    try:
        out: bytes = lz4.block.decompress(data, uncompressed_size=size)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise ChunkError(f"a chunk is damaged (LZ4): {error}") from error
    if len(out) != size:
        raise ChunkError.of_size(size, "LZ4")
    return out


def _unshuffled(data: bytes, element: int) -> bytes:
    """Return elements whose first bytes, second bytes, … were stored together."""
    n = len(data) // element
    whole = n * element
    planes = np.frombuffer(data, np.uint8, whole).reshape(element, n)
    return planes.T.tobytes() + data[whole:]


def _bits_unshuffled(data: bytes, element: int) -> bytes:
    """Return elements whose first bits, second bits, … were stored together."""
    n = len(data) // element
    if n % 8:  # Blosc leaves such a block as it is
        return data
    whole = n * element
    planes = np.frombuffer(data, np.uint8, whole).reshape(element * 8, n // 8)
    bits = np.unpackbits(planes, axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little").tobytes() + data[whole:]


def _shuffle(data: bytes, values: Values, size: int, element: int) -> bytes:
    return _unshuffled(data, values[0] if values and values[0] else element)


def _fletcher(data: bytes, values: Values, size: int, element: int) -> bytes:
    body = data[:-4]
    if len(data) < 4:
        raise ChunkError("a chunk ends before its checksum")
    words = np.frombuffer(body + bytes(len(body) % 2), ">u2").astype(np.int64)
    weights = np.arange(len(words), 0, -1, dtype=np.int64) % 65535
    sums = int(words.sum()) % 65535, int((words * weights % 65535).sum()) % 65535
    stored = struct.unpack("<HH", data[-4:])
    if sums != tuple(part % 65535 for part in stored):
        raise ChunkError("a chunk's checksum does not match")
    return body


def _lzf(data: bytes, values: Values, size: int, element: int) -> bytes:
    from evreel.kernels.lzf import decompress

    out = np.empty(size, np.uint8)
    if decompress(np.frombuffer(data, np.uint8), out) != size:
        raise ChunkError.of_size(size, "LZF")
    return out.tobytes()


def _lz4(data: bytes, values: Values, size: int, element: int) -> bytes:
    if len(data) < 12:
        raise ChunkError("a chunk ends in its header (LZ4)")
    total, block = struct.unpack(">QI", data[:12])
    if total != size or block == 0:
        raise ChunkError.of_size(size, "LZ4")
    parts, at, left = [], 12, size
    while left:
        room = min(block, left)
        stored = int.from_bytes(data[at : at + 4], "big")
        part = data[at + 4 : at + 4 + stored]
        if len(part) < stored or not stored:
            raise ChunkError("a chunk ends in the middle of a block (LZ4)")
        parts.append(part if stored == room else _lz4_block(part, room))
        at, left = at + 4 + stored, left - room
    return b"".join(parts)


_BLOSC_CODECS: dict[int, Callable[[bytes, int], bytes]] = {1: _lz4_block, 3: _inflate, 4: _zstd}
_BLOSC_NAMES = {0: "BloscLZ", 2: "Snappy"}
_BLOSC_FORMATS = {2: 1, 3: 2, 4: 3, 5: 4}  # a data set's number of a codec → a chunk's
_BLOSC_VERSION = 2


def _blosc_parts(data: bytes, values: Values, size: int) -> Iterator[bytes]:
    """Yield the decompressed blocks of a chunk, `size` bytes in all."""
    if len(data) < BLOSC_HEAD.size:
        raise ChunkError("a chunk ends in its header (Blosc)")
    version, _, flags, width, total, block, stored = BLOSC_HEAD.unpack_from(data)
    if version != _BLOSC_VERSION and values[1:2] == [version]:
        raise ChunkCodingError(f"a chunk is in version {version} of Blosc's format; 2 is read")
    if version != _BLOSC_VERSION or total != size or stored != len(data) or not block or not width:
        raise ChunkError(
            f"a chunk's header does not fit {len(data)} bytes for {size} decompressed (Blosc)"
        )
    if flags & 2:
        if stored - BLOSC_HEAD.size != size:
            raise ChunkError.of_size(size, "Blosc")
        yield data[BLOSC_HEAD.size :]
        return
    codec = _BLOSC_CODECS.get(flags >> 5)
    if codec is None:
        said = values[6] if len(values) > 6 else 0
        name = _BLOSC_NAMES.get(flags >> 5, "an unknown codec")
        # A damaged header may name any codec: believed is the one that the data set names too.
        if _BLOSC_FORMATS.get(said, said) == flags >> 5:
            raise ChunkCodingError(f"is compressed by {name} (Blosc), which evreel does not read")
        raise ChunkError(f"a chunk names {name} as its compression (Blosc)")
    starts = data[BLOSC_HEAD.size : BLOSC_HEAD.size + 4 * -(-size // block)]
    if len(starts) < 4 * -(-size // block):
        raise ChunkError("a chunk ends before its blocks (Blosc)")
    for k, (at,) in enumerate(struct.iter_unpack("<I", starts)):
        room = min(block, size - k * block)
        split = (
            not flags & 16
            and width <= _MOST_STREAMS
            and room == block
            and block // width >= _LEAST_STREAM
            and block % width == 0
        )
        part = _blosc_block(data, at, width if split else 1, room, codec)
        if flags & 1 and width > 1:
            part = _unshuffled(part, width)
        elif flags & 4 and room >= width:
            part = _bits_unshuffled(part, width)
        yield part


def _blosc_block(
    data: bytes, at: int, streams: int, size: int, codec: Callable[[bytes, int], bytes]
) -> bytes:
    """Return the block that begins at a byte and has this many streams."""
    room = size // streams
    parts = []
    for _ in range(streams):
        stored = int.from_bytes(data[at : at + 4], "little")
        stream = data[at + 4 : at + 4 + stored]
        if len(stream) < stored or not stored:
            raise ChunkError("a chunk ends in the middle of a block (Blosc)")
        parts.append(stream if stored == room else codec(stream, room))
        at += 4 + stored
    return parts[0] if streams == 1 else b"".join(parts)


FILTERS: dict[int, Callable[[bytes, Values, int, int], bytes]] = {
    1: lambda data, values, size, element: _inflate(data, size),
    2: _shuffle,
    3: _fletcher,
    LZF: _lzf,
    BLOSC: lambda data, values, size, element: b"".join(_blosc_parts(data, values, size)),
    32004: _lz4,
    32015: lambda data, values, size, element: _zstd(data, size),
}
"""What undoes each filter that is read."""
