"""What surrounds the flatbuffers of an AEDAT 4 file: first line, packets, compression."""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

import lz4.frame
import numpy as np
import zstandard

from evreel.recordings.aedat4.flatbuffer import DamageError

MAGIC = b"#!AER-DAT4.0\r\n"
PACKET_LIMIT = 1 << 28
"""Size limit of a packet, packed or unpacked: 16.7 million events. DV's hold 10 thousand."""
SENSOR_LIMIT = 1 << 15
"""Pixels along a side: the format's coordinates are int16."""
STAMP_LIMIT = 1 << 62
"""Timestamps of events are in ``[0, STAMP_LIMIT)`` µs, so no difference of two overflows int64."""
Compression = Literal["none", "lz4", "zstd"]
"""Compressions that are written."""
COMPRESSIONS = ("NONE", "LZ4", "LZ4_HIGH", "ZSTD", "ZSTD_HIGH")
"""Compressions that are read, by the header's number."""
PACKET_HEAD = struct.Struct("<ii")
"""Stream and size of a packet."""
# x and y are int16 in the format: read as uint16, a negative number is 2¹⁵ or more. Padding has a
# name because numpy copies only fields, and leaves in gaps whatever was in memory.
EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("padding", "u1", 3)])


class Packet(NamedTuple):
    """A packet: it begins at byte `start` of the file, and `size` bytes follow its head.

    `row` is its row in the table, if the table is used.
    """

    start: int
    stream: int
    size: int
    row: int | None

    @property
    def stop(self) -> int:
        """The byte after it."""
        return self.start + PACKET_HEAD.size + self.size


class BudgetError(Exception):
    """More would be unpacked than a thread may hold ahead."""


class TooLargeError(DamageError):
    """What is read is larger than is held at once."""


class Unpacker:
    """Undoes a file's compression, up to `PACKET_LIMIT` bytes; raises `DamageError`.

    It keeps state that two threads must not share. With a `budget`, it raises `BudgetError` before
    it unpacks more bytes than that in all.
    """

    def __init__(self, compression: int, budget: int | None = None) -> None:
        self._budget = budget
        self._method = COMPRESSIONS[compression].partition("_")[0]
        self._lz4 = lz4.frame.create_decompression_context()
        self._zstd = zstandard.ZstdDecompressor()

    def __call__(self, packed: memoryview) -> bytes | memoryview:
        """Return the unpacked bytes of one packet or table."""
        unpacked: bytes | memoryview = packed
        try:
            if self._method == "LZ4":
                unpacked = self._unlz4(packed)
            elif self._method == "ZSTD":
                unpacked = self._unzstd(packed)
        except (DamageError, BudgetError, MemoryError):
            raise
        except Exception as error:
            raise DamageError(f"cannot be unpacked: {error}") from error
        self._check(len(unpacked))
        if self._budget is not None:
            self._budget -= len(unpacked)
        return unpacked

    def _check(self, size: int) -> None:
        """Raise if a packet may not unpack to this many bytes."""
        if size > PACKET_LIMIT:
            raise TooLargeError(f"unpacks to {size} bytes or more; the limit is {PACKET_LIMIT}")
        if self._budget is not None and size > self._budget:
            raise BudgetError

    def _unlz4(self, packed: memoryview) -> bytes:
        """Unpack one frame. DV's do not state their size, and a stated one is not trusted."""
        parts: list[bytes] = []
        size, whole = 0, False
        # python-lz4 allocates as much as it may write; most packets shrink to a half.
        room = min(4 * len(packed) + 1024, PACKET_LIMIT + 1)
        while not whole:
            part, used, whole = lz4.frame.decompress_chunk(self._lz4, packed, max_length=room)
            packed = packed[used:]
            if not (part or used or whole):
                raise DamageError("cannot be unpacked: its LZ4 frame is cut short")
            parts.append(part)
            size += len(part)
            self._check(size)
            room = min(size + 1024, PACKET_LIMIT + 1)
        if len(packed):
            raise DamageError(f"has {len(packed)} bytes after the end of its LZ4 frame")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unzstd(self, packed: memoryview) -> bytes:
        size = zstandard.frame_content_size(packed)
        if size < 0:
            return self._unzstd_in_pieces(packed)
        self._check(size)
        # The size is allocated at once, so it must be possible: 3 bytes make up to 128 KiB.
        if size > (len(packed) // 3 + 1) << 17:
            raise DamageError(f"cannot be unpacked: {len(packed)} bytes cannot hold {size}")
        unpacked: bytes = self._zstd.decompress(packed, allow_extra_data=False)
        return unpacked

    def _unzstd_in_pieces(self, packed: memoryview) -> bytes:
        """Unpack a frame that does not state its size."""
        stream = self._zstd.decompressobj()
        parts: list[bytes] = []
        size = 0
        for at in range(0, len(packed), 1024):  # 1024 bytes unpack to 43 MiB at most
            parts.append(stream.decompress(packed[at : at + 1024]))
            size += len(parts[-1])
            self._check(size)
            if stream.eof:
                if stream.unused_data or at + 1024 < len(packed):
                    raise DamageError("has bytes after the end of its Zstandard frame")
                return b"".join(parts)
        raise DamageError("cannot be unpacked: its Zstandard frame is cut short")
