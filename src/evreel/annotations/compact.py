"""Shapes and tracks in few bytes each: an export has millions of them.

A box takes 40 bytes here, and about 400 as an object of its own. What is asked for is made when
it is asked for.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import Shape, Track

OUTSIDE, OCCLUDED, KEYFRAME, ALONE = 1, 2, 4, 8
"""Bits of what is said of a shape."""

_BLOCK = 1024
"""Shapes that are made at a time by a loop over all."""


class Columns(NamedTuple):
    """Frames and marks of shapes: `frame` (n,) int64, the others (n,) bool."""

    frame: npt.NDArray[np.int64]
    outside: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]
    keyframe: npt.NDArray[np.bool_]


def columns_of(shapes: Sequence[Shape]) -> Columns:
    """Return frames and marks of shapes, without an object for each where they are compact."""
    if isinstance(shapes, CompactShapes):
        return shapes.columns
    n = len(shapes)
    return Columns(
        np.fromiter((shape.frame for shape in shapes), np.int64, n),
        np.fromiter((shape.outside for shape in shapes), bool, n),
        np.fromiter((shape.alone for shape in shapes), bool, n),
        np.fromiter((shape.keyframe for shape in shapes), bool, n),
    )


class ShapesBuilder:
    """Takes in shapes one by one; `compact` gives them back."""

    def __init__(self) -> None:
        self._classes: dict[type[Shape], int] = {}
        self._mappings: list[Mapping[str, str]] = []
        self._class = array("B")
        self._frame = array("i")
        self._bits = array("B")
        self._z_order = array("i")
        self._group = array("i")
        self._mapping = array("i")
        self._stop = array("q")
        self._coordinates = array("d")
        self._more: dict[int, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._frame)

    def add(
        self,
        kind: type[Shape],
        frame: int,
        coordinates: Sequence[float],
        bits: int,
        z_order: int,
        attributes: Mapping[str, str],
        group: int,
        more: tuple[Any, ...],
    ) -> None:
        """Take in a shape: x and y of its points in a row; `more` is what its class adds."""
        if not self._mappings or self._mappings[-1] is not attributes:
            self._mappings.append(attributes)
        self._class.append(self._classes.setdefault(kind, len(self._classes)))
        self._frame.append(frame)
        self._bits.append(bits)
        self._z_order.append(z_order)
        self._group.append(group)
        self._mapping.append(len(self._mappings) - 1)
        self._coordinates.extend(coordinates)
        self._stop.append(len(self._coordinates))
        if more:
            self._more[len(self._frame) - 1] = more

    def leave_alone(self) -> None:
        """Mark the shape that came last as alone."""
        self._bits[-1] |= ALONE

    def compact(self) -> CompactShapes:
        """Return what was taken in."""
        rows = _Rows(
            tuple(self._classes),
            _shortest(self._class, "u1"),
            np.frombuffer(self._frame, "i4"),
            np.frombuffer(self._bits, "u1"),
            _shortest(self._z_order, "i4"),
            _shortest(self._group, "i4"),
            self._mappings,
            _shortest(self._mapping, "i4"),
            np.frombuffer(self._coordinates, "f8"),
            _Stops(self._stop),
            self._more,
        )
        return CompactShapes(rows, range(len(self._frame)))


class CompactShapes(Sequence[Shape]):
    """Shapes in the order in which they were taken in; equal only to itself."""

    __slots__ = ("_range", "_rows")

    def __init__(self, rows: _Rows, which: range) -> None:
        self._rows = rows
        self._range = which

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, key: int) -> Shape: ...

    @overload
    def __getitem__(self, key: slice) -> CompactShapes: ...

    def __getitem__(self, key: int | slice) -> Shape | CompactShapes:
        if isinstance(key, slice):
            return CompactShapes(self._rows, self._range[key])
        k = self._range[key]
        return next(self._rows.shapes(range(k, k + 1)))

    def __iter__(self) -> Iterator[Shape]:
        for first in range(0, len(self._range), _BLOCK):
            yield from self._rows.shapes(self._range[first : first + _BLOCK])

    @property
    def columns(self) -> Columns:
        """Frames and marks of all shapes."""
        bits = self._column("bits")
        return Columns(
            self._column("frame").astype(np.int64),
            *((bits & bit).astype(bool) for bit in (OUTSIDE, ALONE, KEYFRAME)),
        )

    @property
    def attributes(self) -> list[Mapping[str, str]]:
        """What is said of the object, in order, once for successive shapes that say the same."""
        return list(self._rows.mappings)

    def with_attributes(self, attributes: Sequence[Mapping[str, str]]) -> CompactShapes:
        """Return the same shapes, of which something else is said: one for each of `attributes`."""
        return CompactShapes(self._rows.saying(attributes), self._range)

    def _column(self, name: str) -> npt.NDArray[Any]:
        which = self._range
        column: npt.NDArray[Any] = getattr(self._rows, name)
        return column[which.start : which.stop] if which.step == 1 else column[list(which)]


class LooseTracks(Sequence[Track]):
    """Tracks of one shape each, without a number: those of an images export.

    Parameters
    ----------
    shapes
        All shapes.
    labels
        The label of each: (n,) rows of `names`.
    names
        Names of labels.
    """

    __slots__ = ("_labels", "_names", "_shapes")

    def __init__(self, shapes: CompactShapes, labels: Sequence[int], names: Sequence[str]) -> None:
        self._shapes = shapes
        self._labels = labels
        self._names = names

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, key: int) -> Track: ...

    @overload
    def __getitem__(self, key: slice) -> LooseTracks: ...

    def __getitem__(self, key: int | slice) -> Track | LooseTracks:
        if isinstance(key, slice):
            return LooseTracks(self._shapes[key], self._labels[key], self._names)
        k = range(len(self))[key]
        return Track(-1, self._names[self._labels[k]], (self._shapes[k],))

    def __iter__(self) -> Iterator[Track]:
        for shape, label in zip(self._shapes, self._labels, strict=True):
            yield Track(-1, self._names[label], (shape,))


class _Stops:
    """Where the coordinates of each shape end; one number if all shapes have as many."""

    def __init__(self, stops: array[int]) -> None:
        column = np.frombuffer(stops, "i8")
        each = int(column[0]) if len(column) else 0
        is_even = bool((column == each * np.arange(1, len(column) + 1)).all())
        self._each = each if is_even else 0
        self._column = column[:0] if is_even else column

    def of(self, k: int) -> slice:
        """Return which coordinates are those of row k."""
        if self._each:
            return slice(k * self._each, (k + 1) * self._each)
        return slice(int(self._column[k - 1]) if k else 0, int(self._column[k]))


class _Rows:
    """Columns of shapes; a column of equal values is one value, spread."""

    __slots__ = (
        "bits",
        "classes",
        "coordinates",
        "frame",
        "group",
        "kind",
        "mapping",
        "mappings",
        "more",
        "stops",
        "z_order",
    )

    def __init__(
        self,
        classes: tuple[type[Shape], ...],
        kind: npt.NDArray[np.uint8],
        frame: npt.NDArray[np.int32],
        bits: npt.NDArray[np.uint8],
        z_order: npt.NDArray[np.int32],
        group: npt.NDArray[np.int32],
        mappings: Sequence[Mapping[str, str]],
        mapping: npt.NDArray[np.int32],
        coordinates: npt.NDArray[np.float64],
        stops: _Stops,
        more: Mapping[int, tuple[Any, ...]],
    ) -> None:
        self.classes = classes
        self.kind = kind
        self.frame = frame
        self.bits = bits
        self.z_order = z_order
        self.group = group
        self.mappings = mappings
        self.mapping = mapping
        self.coordinates = coordinates
        coordinates.setflags(write=False)
        self.stops = stops
        self.more = more

    def saying(self, mappings: Sequence[Mapping[str, str]]) -> _Rows:
        """Return the same columns with other attributes."""
        other = copy.copy(self)
        other.mappings = mappings
        return other

    def shapes(self, which: range) -> Iterator[Shape]:
        """Yield the shapes of some rows."""
        if not which:
            return
        low, high = min(which[0], which[-1]), max(which[0], which[-1]) + 1
        kind, frame, bits, z_order, group, mapping = (
            column[low:high].tolist()
            for column in (
                *(self.kind, self.frame, self.bits),
                *(self.z_order, self.group, self.mapping),
            )
        )
        for row in which:
            k = row - low
            said = bits[k]
            yield self.classes[kind[k]](
                frame[k],
                self.coordinates[self.stops.of(row)].reshape(-1, 2),
                bool(said & OUTSIDE),
                bool(said & OCCLUDED),
                bool(said & KEYFRAME),
                z_order[k],
                self.mappings[mapping[k]],
                bool(said & ALONE),
                group[k],
                *self.more.get(row, ()),
            )


def _shortest(values: array[int], dtype: str) -> npt.NDArray[Any]:
    """Return a column; one value, spread, if all are equal."""
    column: npt.NDArray[Any] = np.frombuffer(values, dtype)
    if len(column) and (column == column[0]).all():
        return np.broadcast_to(column[:1].copy(), column.shape)
    return column
