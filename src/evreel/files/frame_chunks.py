"""Frames as chunks of an HDF5 data set, one each, compressed beside the thread that makes them."""

from __future__ import annotations

import math
import struct
import threading
from collections import deque
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import deflate
import h5py
import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import LayoutError
from evreel.files import hdf5
from evreel.files.filters import BLOSC, decompress_into, deflated
from evreel.geometry import Frame
from evreel.layout import GZIP_LEVEL, Compression
from evreel.threads import Crew, Task, results_held

_BLOSC_HEAD = struct.Struct("<BBBBIII")
_BLOSC_VERSION, _ZSTD_VERSION, _ZSTD = 2, 1, 4
_PLAIN, _ONE_STREAM = 2, 16
_OF_BLOCK = 8
"""Bytes of a block beside what is compressed: where it is, and its size."""
_BLOSC_ZSTD = 5
"""Zstandard's number as a parameter of the filter; a chunk has another one."""


def blosc_options() -> dict[str, Any]:
    """Return the keywords of `create_dataset` for frames that `FrameChunks` writes."""
    numbers = (0, 0, 0, 0, hdf5.ZSTD_LEVEL, 1, _BLOSC_ZSTD)
    return {"compression": BLOSC, "compression_opts": numbers}


def new_frames(
    file: h5py.File,
    name: str,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    compression: Compression,
) -> h5py.Dataset:
    """Create a data set for `FrameChunks` to write, (N, C, H, W)."""
    return file.create_dataset(
        name,
        shape=shape,
        dtype=np.dtype(dtype).newbyteorder("<"),
        chunks=(1, *shape[1:]),
        maxshape=(None, *shape[1:]),
        track_times=False,
        **hdf5.filter_options("fletcher32" if compression == "none" else compression),
    )


_Bytes = bytes | memoryview


class Chunk(NamedTuple):
    """A frame as `FrameChunks` stores it."""

    data: _Bytes


class FrameChunks:
    """Write frames into a data set, in memory bounded by a few of them.

    Threads compress, and the calling thread stores the chunks in order: the bytes do not depend on
    the number of threads. Who makes a frame can compress it (`compressed`), without a copy of it.

    Parameters
    ----------
    data
        A data set, (N, C, H, W), with chunks (1, C, H, W) and the filter of `compression`.
    compression
        As in features files; or ``blosc``, of bytes in a data set made with `blosc_options`.
    threads
        Number of compressing threads, the calling one included; in memory are one frame more, and
        some more if they are small.
    crew
        Whose threads these are; None: of its own.
    """

    def __init__(
        self,
        data: h5py.Dataset,
        compression: Compression | Literal["blosc"],
        threads: int = 2,
        crew: Crew | None = None,
    ) -> None:
        self._data = data
        self._compression = compression
        self._n, *shape = data.shape
        self._shape, self._dtype = tuple(shape), data.dtype
        self._own = threading.local()
        self._crew = Crew(threads) if crew is None else crew
        self._is_own = crew is None
        size = math.prod(shape) * data.dtype.itemsize
        self._most_pending = results_held(threads, size) if self._crew.threads > 1 else 1
        self._pending: deque[tuple[Task[_Bytes], Frame | None]] = deque()
        self._free: list[Frame] = []  # copies of frames that are not needed any more
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            if self._is_own:
                self._crew.close()

    def compressed(self, frame: Frame) -> Chunk:
        """Return what `write` stores of a frame, (C, H, W); any thread may call it.

        Raises
        ------
        LayoutError
            If the frame has another shape or type.
        """
        self._check(frame)
        if self._compression == "none":
            return Chunk(frame.tobytes())
        return Chunk(self._compress(np.ascontiguousarray(frame).data.cast("B")))

    def write(self, frame: Frame | Chunk) -> None:
        """Add the next frame, (C, H, W), or what `compressed` has made of it.

        The array may be used again at once.

        Raises
        ------
        LayoutError
            If it has another shape or type, or there are no more.
        """
        if self._written + len(self._pending) == self._n:
            raise LayoutError(f"a frame follows the last of {self._n} windows")
        if isinstance(frame, Chunk):
            while self._pending:
                self._store()
            self._put(frame.data)
            return
        self._check(frame)
        copy: Frame | None = None
        if self._crew.threads == 1 and self._compression != "none":  # it is compressed at once
            frame = np.ascontiguousarray(frame)
        else:  # new memory takes longer than that of an earlier copy
            copy = self._free.pop() if self._free else np.empty(self._shape, self._dtype)
            np.copyto(copy, frame)
            frame = copy
        task = self._crew.begin(self._compress, frame.data.cast("B"))
        self._add(task, copy)

    def copy(self, frames: h5py.Dataset) -> None:
        """Add frames of a data set that this class wrote for another file, as they are compressed.

        Raises
        ------
        LayoutError
            If they are compressed otherwise, or one is missing or damaged.
        """
        path = Path(frames.file.filename)
        if not hdf5.has_all_chunks(frames) or hdf5.pipeline(frames) != hdf5.pipeline(self._data):
            raise LayoutError(
                f"lacks frames of {frames.name}, or has them compressed in another way", path=path
            )
        for k in range(len(frames)):
            if self._compression == "none":
                with hdf5.reading(path, f"frame {k}"):
                    frame = frames[k]
                self.write(frame)
                continue
            _, chunk = frames.id.read_direct_chunk((k, 0, 0, 0))
            self._add(self._crew.begin(self._checked, chunk, path, k))

    def finish(self) -> None:
        """Write what is pending, after the last frame; the end of the ``with`` block does it, too.

        Raises
        ------
        LayoutError
            If frames are missing.
        """
        while self._pending:
            self._store()
        if self._is_own:
            self._crew.close()
        if self._written != self._n:
            raise LayoutError(f"only {self._written} of {self._n} windows were written")

    def _check(self, frame: Frame) -> None:
        if frame.shape != self._shape or frame.dtype != self._dtype:
            raise LayoutError(
                f"a frame is {frame.dtype} {frame.shape}; {self._dtype} {self._shape} is expected"
            )

    def _compress(self, raw: memoryview) -> _Bytes:
        if self._compression == "none":
            return raw
        if self._compression == "gzip":
            return deflated(raw, self._dtype.itemsize, GZIP_LEVEL)
        # A compressor serves one thread at a time. The checksum, 4 bytes per frame, makes reading
        # fail if bits flipped; without it, most flips would silently give other values.
        if not hasattr(self._own, "compressor"):
            self._own.compressor = zstandard.ZstdCompressor(
                level=hdf5.ZSTD_LEVEL, write_checksum=True
            )
        compressed: bytes = self._own.compressor.compress(raw)
        return blosc_chunk(raw, compressed) if self._compression == "blosc" else compressed

    def _checked(self, chunk: bytes, path: Path, k: int) -> bytes:
        """Return a chunk as it is; raise if it is not that of a frame, by its checksum too."""
        plain = np.empty(math.prod(self._shape) * self._dtype.itemsize, np.uint8)
        with hdf5.reading(path, f"frame {k}"):
            if self._compression == "gzip":
                deflate.zlib_decompress(chunk, len(plain))
            else:
                decompress_into(chunk, plain)
        return chunk

    def _add(self, task: Task[_Bytes], copy: Frame | None = None) -> None:
        self._pending.append((task, copy))
        if len(self._pending) > self._most_pending:
            self._store()

    def _store(self) -> None:
        task, copy = self._pending.popleft()
        self._put(task.result())
        if copy is not None:
            self._free.append(copy)

    def _put(self, chunk: _Bytes) -> None:
        if self._compression == "none":  # HDF5 adds a checksum
            self._data[self._written] = np.frombuffer(chunk, self._dtype).reshape(self._shape)
        else:
            self._data.id.write_direct_chunk((self._written, 0, 0, 0), chunk)
        self._written += 1


def blosc_chunk(raw: _Bytes, compressed: bytes) -> bytes:
    """Return bytes as Blosc 1 has them: with one block of Zstandard, or plain if that is shorter.

    Blosc itself would make blocks whose size depends on the processor's caches.
    ``recordings/hdf5/chunks.py`` describes the format.
    """
    size = len(raw)
    if len(compressed) + _OF_BLOCK >= size:
        return _blosc_head(_PLAIN, size, size) + raw
    block = struct.pack("<II", _BLOSC_HEAD.size + 4, len(compressed)) + compressed
    return _blosc_head(_ONE_STREAM, size, len(block)) + block


def _blosc_head(flags: int, size: int, stored: int) -> bytes:
    """Return the header of a chunk with elements of one byte, all in one block."""
    flags |= _ZSTD << 5
    stored += _BLOSC_HEAD.size
    return _BLOSC_HEAD.pack(_BLOSC_VERSION, _ZSTD_VERSION, flags, 1, size, size, stored)
