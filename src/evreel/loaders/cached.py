"""A folder of computed arrays, each under a digest of all that it depends on.

One file per array. It is compressed, in the smallest type that holds its values exactly, and has a
checksum: 16 frames of 128 × 128 pixels take 80 kB and 0.5 ms to read, a twentieth of what they take
as npz. A file appears when it is complete, so processes may share a folder, and one that is killed
leaves nothing behind that counts. A damaged file counts as missing.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import EvreelError, foreign
from evreel.files.filters import decompress_into
from evreel.outputs import atomic, refused
from evreel.provenance import digest_of

_MAGIC = b"evreel array v1\n"
_NARROW = (np.uint8, np.int8, np.uint16, np.int16)
"""Types that are tried in this order."""


class ArrayCache:
    """Arrays in a folder, by what they depend on.

    Parameters
    ----------
    folder
        Where they are; made when the first is kept. It may be shared.

    Attributes
    ----------
    damaged : how many arrays were made again because their file was damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).absolute()
        self.damaged = 0

    def get(self, depends_on: Any, make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return an array: the one that is kept, or else the one that is made, which is then kept.

        Parameters
        ----------
        depends_on
            All that the array depends on, plain JSON.
        make
            What makes it.

        Raises
        ------
        EvreelError
            If it cannot be kept.
        """
        key = digest_of(depends_on).removeprefix("sha256:")
        path = self._folder / key[:2] / f"{key[2:]}.array"
        try:
            return _unpacked(path.read_bytes(), key)
        except OSError:  # is not there
            pass
        except EvreelError:
            self.damaged += 1
        made = make()
        packed = _packed(made, key)
        try:
            with atomic(path) as (scratch,):
                scratch.write_bytes(packed)
        except OSError as error:
            raise refused(path, error) from error
        return made


def _packed(array: npt.NDArray[Any], key: str) -> bytes:
    """Return the content of an array's file."""
    stored = _narrowed(array)
    head = json.dumps(
        {
            "key": key,
            "shape": array.shape,
            "dtype": array.dtype.str,
            "stored": stored.dtype.str,
        }
    ).encode()
    packer = zstandard.ZstdCompressor(level=1, write_checksum=True)
    return b"".join([_MAGIC, _checksum(head), head, b"\n", packer.compress(stored.tobytes())])


def _checksum(head: bytes) -> bytes:
    return b"%08x " % zlib.crc32(head)


def _narrowed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the same values in the smallest type that holds them, to the bit."""
    for dtype in _NARROW:
        if not array.size or np.dtype(dtype).itemsize >= array.dtype.itemsize:
            break
        limits = np.iinfo(dtype)
        if array.min() >= limits.min and array.max() <= limits.max:
            narrow = array.astype(dtype)
            if narrow.astype(array.dtype).tobytes() == array.tobytes():
                return narrow
    return array


def _unpacked(content: bytes, key: str) -> npt.NDArray[Any]:
    """Return the array of a file; raise `EvreelError` if it is not whole, or of another key."""
    with foreign(EvreelError):
        begin = len(_MAGIC) + len(_checksum(b""))
        end = content.find(b"\n", begin)
        head, packed = content[begin:end], content[end + 1 :]
        if end < 0 or content[:begin] != _MAGIC + _checksum(head):
            raise ValueError("its head is damaged")
        said = json.loads(head)
        if said["key"] != key:
            raise ValueError("it is of something else")
        dtype = np.dtype(said["stored"])
        if math.prod(said["shape"]) * dtype.itemsize != zstandard.frame_content_size(packed):
            raise ValueError("its shape is not that of its values")
        stored = np.empty(said["shape"], dtype)
        decompress_into(packed, stored.reshape(-1).view(np.uint8))
        return stored.astype(np.dtype(said["dtype"]), copy=False)
