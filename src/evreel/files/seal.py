"""Seals of HDF5 files: checksums of their structure, verified before HDF5 sees it.

HDF5's library trusts a file's structure: where a sector of it is lost, it may search for ever, take
all memory or end the process. A seal is appended to a file when it is complete. It covers all bytes
but the values of the data sets: they are many, and their chunks have checksums of their own.

=======  ========================================================================================
ranges   20 bytes each: uint64 first byte, uint64 one past the last, uint32 CRC-32 of these bytes
end      32 bytes: uint64 size of the HDF5 file proper, where the ranges begin; uint32 number of
         ranges; uint32 CRC-32 of the ranges and the 12 bytes before; `MAGIC`
=======  ========================================================================================

All numbers are little-endian. HDF5 ignores what is beyond the size that its own superblock states,
so every HDF5 reader opens a sealed file. If one opens it for writing, it cuts the seal off, even
without a change: the file then counts as one of unknown origin. A seal finds damage; it does not
tell who wrote a file.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from pathlib import Path

import h5py
import numpy as np

from evreel.errors import LayoutError
from evreel.system import read_at

MAGIC = b"evreel seal v1\r\n"

_RANGE = struct.Struct("<QQI")
_END = struct.Struct("<QI")
_FOOT_BYTES = _END.size + 4 + len(MAGIC)
_PIECE_BYTES = 1 << 20


def seal_of(path: Path) -> bytes:
    """Return the seal of a complete HDF5 file that has none yet, to be appended to it."""
    with h5py.File(path, "r", locking=False) as file:
        values = _values(file)
    size = path.stat().st_size
    ranges, at = [], 0
    with path.open("rb") as file:
        for first, stop in zip(*_joined(values, size), strict=True):
            if at < first:
                ranges.append(_RANGE.pack(at, first, _checksum(file.fileno(), at, first)))
            at = stop
    table = b"".join(ranges) + _END.pack(size, len(ranges))
    return table + zlib.crc32(table).to_bytes(4, "little") + MAGIC


def seal_again(path: Path) -> None:
    """Seal a file that has lost its seal because h5py edited it."""
    with path.open("ab") as file:
        file.write(seal_of(path))


def is_sealed(path: Path) -> bool:
    """Return whether a file has a seal, which then matches.

    Raises
    ------
    OSError
        If it cannot be read.
    LayoutError
        If the seal does not match: the message names the bytes.
    """
    with path.open("rb") as file:
        descriptor = file.fileno()
        whole = os.fstat(descriptor).st_size
        foot = read_at(descriptor, _FOOT_BYTES, max(whole - _FOOT_BYTES, 0))
        if len(foot) < _FOOT_BYTES or not foot.endswith(MAGIC):
            return False
        size, n = _END.unpack_from(foot)
        if size + n * _RANGE.size + _FOOT_BYTES != whole:
            raise _broken(path, f"its seal is for {size:,} bytes, not {whole:,}")
        table = read_at(descriptor, n * _RANGE.size, size)
        if zlib.crc32(table + foot[: _END.size]).to_bytes(4, "little") != foot[_END.size :][:4]:
            raise _broken(path, "its seal is damaged", f"byte {size}")
        for first, stop, checksum in _RANGE.iter_unpack(table):
            if _checksum(descriptor, first, stop) != checksum:
                raise _broken(
                    path, "its structure is not what evreel wrote", f"bytes {first} to {stop}"
                )
    return True


def _broken(path: Path, problem: str, place: str | None = None) -> LayoutError:
    return LayoutError(
        problem,
        path=path,
        place=place,
        hint="The file is damaged, or was edited: build or download it again.",
    )


def _values(file: h5py.File) -> array[int]:
    """Return first byte, and one past the last, of all values that are no structure, end to end.

    Of text and all else of variable length, the values are pointers into the structure. A long
    recording has millions of chunks: 16 bytes each, where a pair of Python's numbers takes 120.
    """
    found = array("q")

    def add(_: str, node: h5py.HLObject) -> None:
        if not isinstance(node, h5py.Dataset) or node.dtype.hasobject:
            return
        layout = node.id.get_create_plist().get_layout()
        if layout == h5py.h5d.CHUNKED:
            node.id.chunk_iter(
                lambda chunk: found.extend((chunk.byte_offset, chunk.byte_offset + chunk.size))
            )
        elif layout == h5py.h5d.CONTIGUOUS and node.id.get_offset() is not None:
            first = node.id.get_offset()
            found.extend((first, first + node.id.get_storage_size()))

    file.visititems(add)
    return found


def _joined(values: array[int], size: int) -> tuple[list[int], list[int]]:
    """Return where ranges of values begin and end, in order and joined where they touch.

    The last one is empty, at the end of the file.
    """
    first, stop = np.array(values, dtype=np.int64).reshape(-1, 2).T
    order = np.argsort(first, kind="stable")
    first, stop = np.append(first[order], size), np.append(stop[order], size)
    apart = np.append(True, first[1:] != stop[:-1])
    return first[apart].tolist(), stop[np.append(apart[1:], True)].tolist()


def _checksum(file: int, first: int, stop: int) -> int:
    """Return the CRC-32 of bytes ``[first, stop)`` of a file, of fewer if it ends before."""
    checksum = 0
    while first < stop:
        piece = read_at(file, min(_PIECE_BYTES, stop - first), first)
        if not piece:
            break
        checksum = zlib.crc32(piece, checksum)
        first += len(piece)
    return checksum
