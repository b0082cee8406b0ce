"""Arrays in files that are mapped into memory: only what is asked for is read.

A mapped array is pickled as the place of its file, so that a worker process maps it for itself.
"""

from __future__ import annotations

import math
import mmap
import stat
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, foreign
from evreel.npy import HEAD_BYTES, array_head

_PLAIN = "biufcSUmMV"
"""Kinds of types whose values may be in the file itself."""

Order = Literal["C", "F"]


class MappedArray(np.memmap[Any, Any]):
    """An array in a file, mapped read-only; `map_npy` and `map_raw` make it.

    What is taken out of it by an index is an ordinary array, and so is what is computed with it.
    """

    def __getitem__(self, key: Any) -> Any:
        taken = super().__getitem__(key)
        return taken.view(np.ndarray) if isinstance(taken, np.memmap) else taken

    def __array_wrap__(
        self, array: npt.NDArray[Any], context: Any = None, return_scalar: bool = False
    ) -> Any:
        result = np.asarray(array)
        return result[()] if return_scalar else result

    def __reduce__(self) -> Any:
        owner: Any = self.base
        if not isinstance(owner, mmap.mmap):  # a part of it, or a result
            return np.asarray(self).__reduce__()
        order = "C" if self.flags.c_contiguous else "F"
        return _map, (Path(str(self.filename)), self.shape, self.dtype, self.offset, order)


def map_npy(path: str | Path) -> npt.NDArray[Any]:
    """Map the array of an npy file: its values are read when they are asked for.

    Parameters
    ----------
    path
        The file, as `numpy.save` makes it.

    Returns
    -------
    The array, read-only: a `MappedArray`, or an empty array.

    Raises
    ------
    EvreelError
        If it is not a file, not a valid npy file, holds Python objects, or has more or
        fewer bytes than its header states.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/t.npy", np.arange(12).reshape(4, 3))
    ...     mapped = map_npy(f"{folder}/t.npy")
    ...     type(mapped).__name__, mapped[2].tolist()
    ('MappedArray', [6, 7, 8])
    """
    path = Path(path)
    check_regular(path)
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
    try:
        head = array_head(start)
    except ValueError as error:
        raise EvreelError(
            f"is not an npy file: {error}", path=path, hint="Write it with numpy.save."
        ) from error
    return _map(path, head.shape, head.dtype, head.size, "F" if head.fortran_order else "C")


def map_raw(path: str | Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Map a file that holds nothing but the values of an array, the last axis varying fastest.

    Returns
    -------
    The array, as `map_npy` returns it.

    Raises
    ------
    EvreelError
        If it is not a file, the type is not one of plain values, or the file has more or
        fewer bytes than the array.
    """
    path = Path(path)
    check_regular(path)
    return _map(path, shape, dtype, 0, "C")


def check_regular(path: Path) -> None:
    """Raise if a path is not that of a file with bytes; opening a pipe would wait for ever."""
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise EvreelError(f"cannot be read: {why}", path=path) from error
    if not is_regular:
        raise EvreelError("is not a file", path=path)


def _map(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, order: Order
) -> npt.NDArray[Any]:
    if dtype.kind not in _PLAIN or dtype.hasobject or dtype.itemsize == 0:
        raise EvreelError(
            f"holds values of type {dtype}; plain values of a stated size are read",
            path=path,
        )
    if any(n < 0 for n in shape):
        raise EvreelError(f"states a shape of {shape}", path=path)
    size, needed = path.stat().st_size, offset + math.prod(shape) * dtype.itemsize
    if size != needed:
        raise EvreelError(
            f"has {size:,} bytes; an array of shape {shape} and type {dtype} needs {needed:,}",
            path=path,
            hint="Write it again; the copy may be incomplete.",
        )
    with foreign(lambda why: EvreelError(f"cannot be mapped: {why}", path=path)):
        if 0 in shape:  # there is nothing to be mapped
            empty = np.empty(shape, dtype, order)
            empty.flags.writeable = False
            return empty
        return np.memmap.__new__(
            MappedArray, path, dtype=dtype, mode="r", offset=offset, shape=shape, order=order
        )


def file_of(array: npt.NDArray[Any]) -> Path | None:
    """Return the file that an array is mapped from, None if it is in memory."""
    name = array.filename if isinstance(array, np.memmap) else None
    return None if name is None else Path(str(name))


def mapped_again(array: np.memmap[Any, Any]) -> npt.NDArray[Any]:
    """Return a caller's mapped array, that nobody writes to, as one that is pickled as its place.

    A part of a file's array is returned as it is.
    """
    owner: Any = array.base
    path = file_of(array)
    if isinstance(array, MappedArray) or path is None or not isinstance(owner, mmap.mmap):
        return array
    order: Order = "C" if array.flags.c_contiguous else "F"
    try:
        return _map(path, array.shape, array.dtype, array.offset, order)
    except EvreelError:  # more is in the file than the array
        return array
