"""NumPy's npy files, read without trust in what their headers say."""

from __future__ import annotations

import io
import os
import threading
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from evreel.errors import foreign

HEAD_BYTES = 1 << 16
"""Size limit of an array's header; NumPy itself reads up to 10,000 bytes."""


_LOCK = threading.Lock()
"""Held while NumPy parses a header: Python 3.11 fails where two threads parse at a time."""


def _renew_lock() -> None:
    """Let go of a lock that a thread of the parent process held."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_renew_lock)


class ArrayHead(NamedTuple):
    """What an npy file says about its array: shape, type, and size of the header in bytes.

    The shape is as stated, of any whole numbers. In Fortran's order, the first axis varies fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    fortran_order: bool = False


def array_head(start: bytes) -> ArrayHead:
    """Return what the first bytes of an npy file say about its array.

    Parameters
    ----------
    start
        The file's first `HEAD_BYTES`, or all of it.

    Raises
    ------
    ValueError
        If they are not a valid header.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.zeros(3, np.uint16))
    >>> array_head(file.getvalue())
    ArrayHead(shape=(3,), dtype=dtype('uint16'), size=128, fortran_order=False)
    """
    file = io.BytesIO(start)
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }

    def unreadable(why: str) -> ValueError:
        return ValueError(f"its header cannot be read: {why}")

    with _LOCK, foreign(unreadable), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about headers that Python 2 wrote
        version = npy_format.read_magic(file)
        if version not in readers:
            raise ValueError(f"it is of version {version[0]}.{version[1]}")
        shape, fortran_order, dtype = readers[version](file)
    if any(not isinstance(n, int) or isinstance(n, bool) for n in shape):
        raise ValueError(f"its header states a shape of {shape}")
    return ArrayHead(shape, dtype, file.tell(), fortran_order)


def whole_numbers(data: bytes) -> npt.NDArray[np.integer[Any]]:
    """Return the column of whole numbers that an npy file is, (n,), read-only.

    Raises
    ------
    ValueError
        If it is not one, or has more or fewer bytes than it states.

    Examples
    --------
    >>> file = io.BytesIO()
    >>> np.save(file, np.array([3, 5], np.uint16))
    >>> whole_numbers(file.getvalue()).tolist()
    [3, 5]
    """
    head = array_head(data[:HEAD_BYTES])
    if head.dtype.kind not in "iu" or len(head.shape) != 1:
        raise ValueError(f"it holds {head.dtype} in {len(head.shape)} dimensions")
    n, size = head.shape[0], len(data) - head.size
    if n < 0 or size != n * head.dtype.itemsize:
        raise ValueError(f"{size:,} bytes are not {n:,} numbers of {head.dtype}")
    return np.frombuffer(data, head.dtype, offset=head.size)
