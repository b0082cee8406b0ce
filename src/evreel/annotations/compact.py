"""Shapes and tracks in few bytes each: an export has millions of them.

A box takes 40 bytes here, and about 400 as an object of its own. What is asked for is made when
it is asked for.
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import Shape, Track

OUTSIDE, OCCLUDED, KEYFRAME, ALONE = 1, 2, 4, 8
"""Bits of what is said of a shape."""

_N_NUMBERS = 7
"""Whole numbers of a shape: class, frame, bits, z order, group, attributes, coordinates."""

_BLOCK = 1024
"""Shapes that are made at a time by a loop over all."""

_MOST_HELD = 65_536
"""So many shapes may be objects: 30 MB. To make one takes a hundred times as long as to find it."""


Column = npt.NDArray[Any]


class Columns(NamedTuple):
    """What shapes say of frames: `frame`, `z_order`, `group` (n,) int64, the others (n,) bool."""

    frame: npt.NDArray[np.int64]
    z_order: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]
    outside: npt.NDArray[np.bool_]
    alone: npt.NDArray[np.bool_]
    keyframe: npt.NDArray[np.bool_]
    occluded: npt.NDArray[np.bool_]


def columns_of(shapes: Sequence[Shape]) -> Columns:
    """Return frames and marks of shapes, without an object for each where they are compact."""
    if isinstance(shapes, CompactShapes):
        return shapes.columns
    n = len(shapes)
    return Columns(
        np.fromiter((shape.frame for shape in shapes), np.int64, n),
        np.fromiter((shape.z_order for shape in shapes), np.int64, n),
        np.fromiter((shape.group for shape in shapes), np.int64, n),
        np.fromiter((shape.outside for shape in shapes), bool, n),
        np.fromiter((shape.alone for shape in shapes), bool, n),
        np.fromiter((shape.keyframe for shape in shapes), bool, n),
        np.fromiter((shape.occluded for shape in shapes), bool, n),
    )


class Points(NamedTuple):
    """The points of shapes, and what their classes add.

    Parameters
    ----------
    classes : different ones.
    of : (n,) each shape's row of `classes`.
    size : (n,) how many coordinates it has.
    coordinates : x and y of all points in a row.
    more : what the class of some shapes adds, by their rows.
    """

    classes: tuple[type[Shape], ...]
    of: Column
    size: npt.NDArray[np.int64]
    coordinates: npt.NDArray[np.float64]
    more: Mapping[int, tuple[Any, ...]]


class ShapesBuilder:
    """Takes in shapes one by one; `compact` gives them back."""

    def __init__(self) -> None:
        self._classes: dict[type[Shape], int] = {}
        self._mappings: list[Mapping[str, str]] = []
        self._numbers = array("i")
        self._coordinates = array("d")
        self._more: dict[int, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return len(self._numbers) // _N_NUMBERS

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
        if more:
            self._more[len(self)] = more
        number = self._classes.setdefault(kind, len(self._classes))
        mapping = len(self._mappings) - 1
        self._numbers.extend((number, frame, bits, z_order, group, mapping, len(coordinates)))
        self._coordinates.extend(coordinates)

    def leave_alone(self) -> None:
        """Mark the shape that came last as alone."""
        self._numbers[-_N_NUMBERS + 2] |= ALONE

    def compact(self) -> CompactShapes:
        """Return what was taken in."""
        numbers = np.frombuffer(self._numbers, "i4").reshape(-1, _N_NUMBERS)
        kind, frame, bits, z_order, group, mapping, length = map(_shortest, numbers.T)
        coordinates: npt.NDArray[np.float64] = np.frombuffer(self._coordinates, "f8")
        coordinates.setflags(write=False)
        stop = length if len(length) == 1 else np.cumsum(length, dtype=np.int64)
        rows = _Rows(
            *(tuple(self._classes), kind, frame, bits, z_order, group),
            *(self._mappings, mapping, coordinates, stop, self._more),
        )
        return CompactShapes(rows, range(len(numbers)))


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
        frame, z_order, group = (
            self._column(name).astype(np.int64) for name in ("frame", "z_order", "group")
        )
        outside, alone, keyframe, occluded = (
            (bits & bit).astype(bool) for bit in (OUTSIDE, ALONE, KEYFRAME, OCCLUDED)
        )
        return Columns(frame, z_order, group, outside, alone, keyframe, occluded)

    @property
    def points(self) -> Points:
        """The points of all shapes; of successive ones."""
        rows, which = self._rows, self._range
        if which.step != 1:
            raise ValueError("shapes are not successive")
        if len(rows.stop) == 1:
            stop = np.arange(which.start, which.stop + 1) * int(rows.stop[0])
        else:
            start = rows.stop[which.start - 1] if which.start else 0
            stop = np.append(start, rows.stop[which.start : which.stop])
        more = {row - which.start: added for row, added in rows.more.items() if row in which}
        coordinates = rows.coordinates[stop[0] : stop[-1]]
        return Points(rows.classes, self._column("kind"), np.diff(stop), coordinates, more)

    @property
    def said(self) -> Column:
        """Which of `attributes` each shape has, (n,)."""
        return self._column("mapping")

    @property
    def attributes(self) -> list[Mapping[str, str]]:
        """What is said of the object, in order, once for successive shapes that say the same."""
        return list(self._rows.mappings)

    def with_attributes(self, attributes: Sequence[Mapping[str, str]]) -> CompactShapes:
        """Return the same shapes, of which something else is said: one for each of `attributes`."""
        return CompactShapes(replace(self._rows, mappings=attributes), self._range)

    def _column(self, name: str) -> npt.NDArray[Any]:
        which = self._range
        column: Column = getattr(self._rows, name)
        if len(column) == 1:
            return np.broadcast_to(column, len(which))
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

    @property
    def shapes(self) -> CompactShapes:
        """The shape of each track."""
        return self._shapes

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


class ShapesInARow(Sequence[Shape]):
    """The shapes of tracks, one after the other; objects are held only where they are few.

    Parameters
    ----------
    tracks
        The tracks.

    Attributes
    ----------
    sizes : (n,) int64, how many shapes each track has.
    parts : the shapes, in several lists.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.parts: list[Sequence[Shape]]
        if isinstance(tracks, LooseTracks):
            self.parts = [tracks.shapes]
            self.sizes = np.ones(len(tracks), dtype=np.int64)
        else:
            self.parts = [track.shapes for track in tracks]
            self.sizes = np.fromiter(map(len, self.parts), np.int64, len(self.parts))
        self._first = [0, *itertools.accumulate(map(len, self.parts))]
        self._held: list[Shape] = []

    def __len__(self) -> int:
        return self._first[-1]

    @overload
    def __getitem__(self, key: int) -> Shape: ...

    @overload
    def __getitem__(self, key: slice) -> list[Shape]: ...

    def __getitem__(self, key: int | slice) -> Shape | list[Shape]:
        if isinstance(key, slice):
            return [self[k] for k in range(len(self))[key]]
        k = range(len(self))[key]
        if len(self) <= _MOST_HELD:
            self._held = self._held or list(self)
            return self._held[k]
        part = bisect_right(self._first, k) - 1
        return self.parts[part][k - self._first[part]]

    def __iter__(self) -> Iterator[Shape]:
        return itertools.chain.from_iterable(self.parts)


@dataclass(frozen=True)
class _Rows:
    """Columns of shapes. A column of equal values is one value.

    Parameters
    ----------
    stop : where the coordinates of each shape end; how many it has, if all have as many.
    """

    classes: tuple[type[Shape], ...]
    kind: Column
    frame: Column
    bits: Column
    z_order: Column
    group: Column
    mappings: Sequence[Mapping[str, str]]
    mapping: Column
    coordinates: npt.NDArray[np.float64]
    stop: Column
    more: Mapping[int, tuple[Any, ...]]

    def shapes(self, which: range) -> Iterator[Shape]:
        """Yield the shapes of some rows."""
        if not which:
            return
        low, high = min(which[0], which[-1]), max(which[0], which[-1]) + 1
        kind, frame, bits, z_order, group, mapping = (
            column[low:high].tolist() if len(column) > 1 else column.tolist() * (high - low)
            for column in (
                *(self.kind, self.frame, self.bits),
                *(self.z_order, self.group, self.mapping),
            )
        )
        if len(self.stop) == 1:
            each = int(self.stop[0])
            stop = list(range(low * each, high * each + 1, each or 1))
        else:
            stop = [int(self.stop[low - 1]) if low else 0, *self.stop[low:high].tolist()]
        for row in which:
            k = row - low
            said = bits[k]
            yield self.classes[kind[k]](
                frame[k],
                self.coordinates[stop[k] : stop[k + 1]].reshape(-1, 2),
                bool(said & OUTSIDE),
                bool(said & OCCLUDED),
                bool(said & KEYFRAME),
                z_order[k],
                self.mappings[mapping[k]],
                bool(said & ALONE),
                group[k],
                *self.more.get(row, ()),
            )


def _shortest(column: Column) -> Column:
    """Return a copy of a column; one value if all are equal."""
    if len(column) and (column == column[0]).all():
        return column[:1].copy()
    least, most = (0, 0) if not len(column) else (int(column.min()), int(column.max()))
    return column.astype(np.uint8 if least >= 0 and most < 256 else np.int32)
