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

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
from evreel.layout import SHAPE_KINDS

KIND: dict[str, int] = {name: number for number, name in enumerate(SHAPE_KINDS)}
"""Name of a class of shapes → its number."""

STEADY = tuple(KIND[shape.name] for shape in (Box, Ellipse, Cuboid))
"""Kinds whose numbers become those of the next shape of the kind, one by one."""

COURSES = tuple(KIND[shape.name] for shape in (Polygon, Polyline))
"""Kinds whose vertices become those of the next shape by where they are along its course."""

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
