"""Labels of a base data set, taken through arrays of indices when they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.mixins import NDArrayOperatorsMixin

from evreel.errors import EvreelError, UsageError, foreign
from evreel.loaders.views.mapped import file_of
from evreel.loaders.views.nested import Place, name_of

BLOCK_VALUES = 1 << 20
"""Values that are read at a time."""
CHECKED_AT_ONCE = 1 << 24
"""Indices of a file that are checked when it is opened; of more, each when it is used."""


class Indices:
    """An array of indices of examples of a base data set.

    Parameters
    ----------
    array
        (M, …), whole numbers.
    place
        What it is called.
    n
        Number of examples of the base.

    Attributes
    ----------
    array, n : as given.
    name : for messages.

    Raises
    ------
    EvreelError
        If its values are not whole numbers in [0, n), or it has no axis. Of a mapped array of more
        than `CHECKED_AT_ONCE` values, those that are used, and all by `check_all`.
    """

    def __init__(self, array: npt.NDArray[Any], place: Place, n: int) -> None:
        self.array = array
        self.n = n
        self.name = name_of(place, "indices")
        self._is_checked = False
        if array.dtype.kind not in "iu":
            raise self.error(f"{_not_whole(array)} of type {array.dtype}; an index is an integer")
        if array.ndim == 0:
            raise self.error(f"is the single number {array}; it needs a row for each example")
        if not isinstance(array, np.memmap):
            self.check_all()
            self._is_checked = True
        elif array.size <= CHECKED_AT_ONCE:
            self.check_all()

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    def check_all(self) -> None:
        """Raise if any index is not of an example of the base; the array is read in blocks."""
        for start, block in self.blocks():
            self._check(block, start)

    def rows(self, key: Any) -> npt.NDArray[np.int64]:
        """Return a part of the array, checked where that was not done before."""
        rows = np.asarray(self.array[key])
        if not self._is_checked:
            self._check(rows, key if isinstance(key, int) else None)
        return rows.astype(np.int64, copy=False)

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield the array in blocks of whole rows, each behind the number of its first row."""
        step = max(1, BLOCK_VALUES // max(1, self.array[:1].size))
        for start in range(0, len(self.array), step):
            yield start, np.asarray(self.array[start : start + step])

    def digest(self) -> str:
        """Return the SHA-256 of shape and values, whatever their type and the file's order."""
        found = hashlib.sha256(repr(self.shape).encode())
        for _, block in self.blocks():
            found.update(np.ascontiguousarray(block, "<i8").tobytes())
        return found.hexdigest()

    def error(self, problem: str) -> EvreelError:
        """Return an error about the array, in its file if it has one."""
        path = file_of(self.array)
        if path is None:
            return UsageError(problem, place=self.name)
        return EvreelError(problem, path=path, place=self.name)

    def _check(self, rows: npt.NDArray[Any], start: int | None) -> None:
        if not rows.size or (rows.min() >= 0 and rows.max() < self.n):
            return
        at = np.argwhere((rows < 0) | (rows >= self.n))[0].tolist()
        value = rows[tuple(at)]
        if start is not None:
            at = [start, *at] if rows.ndim < self.array.ndim else [start + at[0], *at[1:]]
        said = _said(at, value) if start is not None else f"has index {value}"
        allowed = f"0 to {self.n - 1}" if self.n else "none, because the base is empty"
        raise self.error(f"{said}; allowed are {allowed}")


def _said(at: list[int], value: Any) -> str:
    return f"position {at[0] if len(at) == 1 else at} is {value}"


def _not_whole(array: npt.NDArray[Any]) -> str:
    """Return what is said of an array of other values than integers: where the first one is."""
    if not array.size or not array.ndim:
        return "is" if array.size else "is empty,"
    start = np.asarray(array[: max(1, BLOCK_VALUES // array[:1].size)])
    with np.errstate(invalid="ignore"):  # of infinity
        found = np.argwhere(start % 1 != 0) if start.dtype.kind == "f" else np.empty((0, 0))
    at = found[0].tolist() if len(found) else [0] * array.ndim
    return _said(at, start[tuple(at)])


class Gathered(NDArrayOperatorsMixin):
    """A label of the base, taken through an array of indices; nothing is copied until it is used.

    It is indexed, computed with and made an array like one of NumPy; `shape` is that of the indices
    and then that of the label of one example.

    Parameters
    ----------
    label
        (n, …), the label of every example of the base.
    indices
        (M, …).

    Examples
    --------
    >>> pairs = Indices(np.array([[0, 1], [2, 0]]), (), 3)
    >>> t = Gathered(np.array([5, 6, 7]), pairs)
    >>> t.shape, t[1].tolist(), np.asarray(t).tolist(), (t == 5).sum()
    ((2, 2), [7, 5], [[5, 6], [7, 5]], np.int64(2))
    """

    def __init__(self, label: npt.NDArray[Any] | Gathered, indices: Indices) -> None:
        self._label = label
        self._indices = indices
        self.shape: tuple[int, ...] = (*indices.shape, *label.shape[1:])
        self.dtype: np.dtype[Any] = label.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<label of shape {self.shape}, {self.dtype}>"

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) and key else (key,)
        is_one = isinstance(first, (int, np.integer)) and not isinstance(first, bool)
        if is_one or (isinstance(first, slice) and rest):
            taken = self._label[self._indices.rows(int(first) if is_one else first)]
            return taken[tuple(rest) if is_one else (slice(None), *rest)] if rest else taken
        if rest or first is None or first is Ellipsis:
            return np.asarray(self)[key]
        return self._label[self._indices.rows(first)]

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a gathered label is made when it is used, so it is always a copy")
        made = np.asarray(self._label[self._indices.rows(slice(None))])
        return made if dtype is None else made.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(x) if isinstance(x, Gathered) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def tolist(self) -> list[Any]:
        """Return all values, as lists of lists."""
        values: list[Any] = np.asarray(self).tolist()
        return values

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the label in blocks of whole rows."""
        width = max(1, int(np.prod(self.shape[1:], dtype=np.int64)))
        step = max(1, BLOCK_VALUES // width)
        for start in range(0, len(self), step):
            yield np.asarray(self[start : start + step])


def label_of(label: Any, name: str, n: int) -> npt.NDArray[Any] | Gathered:
    """Return a label of a base of n examples as an array.

    Raises
    ------
    UsageError
        If it cannot be one, or has another length.
    """
    place = f"label {name!r}"
    with foreign(lambda why: UsageError(f"cannot be made an array: {why}", place=place)):
        array = label if isinstance(label, (np.ndarray, Gathered)) else np.asarray(label)
    if array.ndim == 0 or len(array) != n:
        found = f"has {len(array):,} values" if array.ndim else "is a single value"
        raise UsageError(f"{found}; the base has {n:,} examples", place=place)
    return array
