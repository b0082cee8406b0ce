"""Shapes as kinds and numbers, which is what kernels take.

What a shape covers is a set of points of the plane; a pixel is labelled if its centre is one of
them. A point on an edge belongs to the shape if the shape is to the right of it, or, on a level
edge, below it: of two shapes with a common edge, exactly one has it. All kinds follow this rule:

========= ==================== ================================== ==============================
kind      numbers              covers                             a margin m
========= ==================== ================================== ==============================
box       left, top, right,    the rectangle, turned about its    moves each side outwards by m;
          bottom, degrees      centre                             corners stay corners
ellipse   x, y, rx, ry,        where its equation is below 1      makes both radii larger by m
          degrees
polygon   x, y of vertices     the even-odd rule                  adds what is within m of a side
cuboid    x, y of 8 corners    their convex hull                  adds what is within m of a side
polyline  x, y of vertices     what is within the radius r of a   makes r larger by m
                               piece
points    x, y of points       what is within r of a point        makes r larger by m
skeleton  x, y of the visible  what is within r of a point        makes r larger by m
          points
mask      left, top, right,    its pixels, as squares             adds what is within m of one
          bottom, then, after
          each run, how many
          pixels there are so
          far
========= ==================== ================================== ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations.compact import Columns, CompactShapes, ShapesInARow, columns_of
from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    FloatArray,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
)
from evreel.layout import COLUMN_CHUNK, SHAPE_KINDS

KIND: dict[str, int] = {name: number for number, name in enumerate(SHAPE_KINDS)}
"""Name of a class of shapes → its number."""

STEADY = tuple(KIND[shape.name] for shape in (Box, Ellipse, Cuboid))
"""Kinds whose numbers become those of the next shape of the kind, one by one."""

COURSES = tuple(KIND[shape.name] for shape in (Polygon, Polyline))
"""Kinds whose vertices become those of the next shape by where they are along its course."""

POOLED = tuple(KIND[shape.name] for shape in (Polygon, Polyline, Points))
"""Kinds whose numbers are the vertices of their outline."""

WIDE = tuple(KIND[shape.name] for shape in (Polyline, Points, Skeleton))
"""Kinds that are as wide as a radius says."""


class Figure(NamedTuple):
    """What a shape covers: its kind, and numbers, (n,) float64, of picture pixels and degrees."""

    kind: int
    numbers: FloatArray


class Motion(NamedTuple):
    """What a shape covers on its way to the next one of its track.

    After a share of the way, 0 to 1, it is the figure of the numbers ``a + share·(b − a)``, but
    degrees go the shorter way round.
    """

    kind: int
    start: FloatArray
    stop: FloatArray


def figure(shape: Shape) -> Figure:
    """Return what a shape covers."""
    return Figure(KIND[shape.name], _NUMBERS[type(shape)](shape, shape.points))


def motion(shape: Shape, other: Shape) -> Motion | None:
    """Return what a shape covers on its way to the next listed one; None if it does not move."""
    if type(shape) is not type(other) or isinstance(shape, Mask):
        return None
    start, stop, end = shape.points, other.points, other
    if isinstance(shape, Polygon | Polyline):
        start, stop = shape.matched(other)
    elif isinstance(shape, Points) and not len(start) == len(stop) == 1:
        return None
    elif isinstance(shape, Skeleton) and isinstance(other, Skeleton):
        if shape.joints != other.joints:
            return None
        end = shape  # what is visible stays so until the next one
    numbers = _NUMBERS[type(shape)]
    return Motion(KIND[shape.name], numbers(shape, start), numbers(end, stop))


def _of_corners(shape: Any, points: FloatArray) -> FloatArray:
    return np.append(points, shape.rotation)


def _of_points(shape: Shape, points: FloatArray) -> FloatArray:
    return points.ravel()


def _of_visible(shape: Any, points: FloatArray) -> FloatArray:
    numbers: FloatArray = points[np.array(shape.visible, dtype=bool)].ravel()
    return numbers


def _of_pixels(shape: Any, points: FloatArray) -> FloatArray:
    return np.append(points, np.cumsum(shape.runs, dtype=np.float64))


_NUMBERS: dict[type[Shape], Callable[[Any, FloatArray], FloatArray]] = {
    Box: _of_corners,
    Ellipse: _of_corners,
    Polygon: _of_points,
    Polyline: _of_points,
    Points: _of_points,
    Cuboid: _of_points,
    Mask: _of_pixels,
    Skeleton: _of_visible,
}


_FEW = 32
"""Compact shapes of a track that are as fast to take in one by one as in columns."""


class Listed:
    """Columns of listed shapes, made in one pass, so that no more than a block are objects.

    Parameters
    ----------
    shapes
        The shapes of all tracks.

    Attributes
    ----------
    frame, kind, z_order, group, outside, alone, keyframe, occluded : (n,) as shapes have them.
    first, pool : the numbers of figure k are ``pool[first[k] : first[k + 1]]``.
    attributes : what is said of shapes, in order, once for successive ones that say the same.
    said : (n,) which of `attributes` each shape has.
    """

    def __init__(self, shapes: ShapesInARow) -> None:
        n = len(shapes)
        self.frame, self.z_order, self.group = np.empty((3, n), dtype=np.int64)
        self.kind = np.empty(n, dtype=np.int8)
        self.outside, self.alone, self.keyframe, self.occluded = np.empty((4, n), dtype=np.bool_)
        self.attributes: list[Mapping[str, str]] = []
        self.said = np.empty(n, dtype=np.int32)
        self.first = np.zeros(n + 1, dtype=np.int64)
        self._pools = [np.empty(0)]
        self._row = 0
        for are_columns, parts in groupby(shapes.parts, _are_columns):
            if are_columns:
                for part in parts:
                    self._take_columns(part)
                continue
            remaining = chain.from_iterable(parts)
            while block := list(islice(remaining, COLUMN_CHUNK)):
                self._take(block)
        np.cumsum(self.first, out=self.first)
        self.pool: FloatArray = np.concatenate(self._pools)
        del self._pools

    def _take(self, shapes: Sequence[Shape]) -> None:
        numbers = [figure(shape).numbers for shape in shapes]
        kind = np.array([KIND[shape.name] for shape in shapes], dtype=np.int8)
        sizes = np.array([len(each) for each in numbers])
        said = np.empty(len(shapes), dtype=np.int32)
        attributes: list[Mapping[str, str]] = []
        for k, shape in enumerate(shapes):
            if not attributes or attributes[-1] is not shape.attributes:
                attributes.append(shape.attributes)
            said[k] = len(attributes) - 1
        self._add(columns_of(shapes), kind, sizes, np.concatenate(numbers), said, attributes)

    def _take_columns(self, shapes: Any) -> None:
        points = shapes.points
        kind = np.array([KIND[each.name] for each in points.classes], dtype=np.int8)[points.of]
        sizes, numbers = points.size, points.coordinates
        turns = np.isin(kind, _TURNED)
        if turns.any():
            rotation = np.zeros(len(kind))
            for row, (degrees,) in points.more.items():
                rotation[row] = degrees
            numbers = np.insert(numbers, np.cumsum(sizes)[turns], rotation[turns])
            sizes = sizes + turns
        used, said = np.unique(shapes.said, return_inverse=True)
        every = shapes.attributes
        attributes = [every[k] for k in used.tolist()]
        self._add(shapes.columns, kind, sizes, numbers, said, attributes)

    def _add(
        self,
        columns: Columns,
        kind: npt.NDArray[np.int8],
        sizes: npt.NDArray[np.int64],
        numbers: FloatArray,
        said: npt.NDArray[Any],
        attributes: Sequence[Mapping[str, str]],
    ) -> None:
        rows = slice(self._row, self._row + len(kind))
        for name, column in columns._asdict().items():
            getattr(self, name)[rows] = column
        self.kind[rows] = kind
        self.said[rows] = said + len(self.attributes)
        self.attributes += attributes
        self.first[rows.start + 1 : rows.stop + 1] = sizes
        self._pools.append(numbers)
        self._row = rows.stop


def _are_columns(shapes: Sequence[Shape]) -> bool:
    """Return whether shapes are many in few bytes, whose numbers are their coordinates."""
    return (
        isinstance(shapes, CompactShapes)
        and len(shapes) > _FEW
        and not {Mask, Skeleton} & {*shapes.points.classes}
    )


_TURNED = tuple(KIND[shape.name] for shape in (Box, Ellipse))
"""Kinds whose last number is an angle."""
