"""Few key frames instead of many: which shapes of a track follow from those around them.

A detector, or a form without key frames, lists an object in every frame. In CVAT, each of these
would be a key frame, and moving the object would take as many corrections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evreel.annotations.shapes import Annotations, Mask, Shape, Skeleton, Track

TOLERANCE_PX = 0.5
"""How far a shape may be from where it would be interpolated: less than people can see."""

_LONGEST = 1000
"""Most frames between two key frames, so that the search for them ends soon."""


def sparse(annotations: Annotations, tolerance_px: float = TOLERANCE_PX) -> Annotations:
    """Mark as key frames only those that the shapes of a track cannot be interpolated without.

    All shapes stay listed, as in CVAT's own exports: CVAT takes the key frames, and what reads the
    listed shapes gets the same as before.

    Parameters
    ----------
    annotations
        What was annotated or detected.
    tolerance_px
        No coordinate of a shape that is not a key frame is farther from the interpolated one.

    Examples
    --------
    >>> from evreel.annotations.shapes import Box
    >>> corner = np.array([[0.0, 0.0], [4.0, 4.0]])
    >>> moved = [Box(k, corner + x) for k, x in enumerate([0, 1, 2, 3, 9, 9, 9])]
    >>> found = sparse(Annotations(("car",), (Track(0, "car", tuple(moved)),)))
    >>> [shape.frame for shape in found.tracks[0].shapes if shape.keyframe]
    [0, 3, 4, 6]
    """
    tracks = tuple(_sparse(track, tolerance_px) for track in annotations.tracks)
    return replace(annotations, tracks=tracks)


def _sparse(track: Track, tolerance_px: float) -> Track:
    shapes = list(track.shapes)
    last = len(shapes) - 1
    keys, start = {0, last}, 0
    while start < last:
        start = _next_key(shapes, start, tolerance_px)
        keys.add(start)
    kept = [replace(shape, keyframe=k in keys) for k, shape in enumerate(shapes)]
    return replace(track, shapes=tuple(kept))


def _next_key(shapes: Sequence[Shape], start: int, tolerance_px: float) -> int:
    """Return the position of the next key frame: in steps that double, then halve."""
    reached, step, grows = start + 1, 1, True
    while step:
        end = reached + step
        if end < len(shapes) and _follow(shapes[start : end + 1], tolerance_px):
            reached, step = end, step * 2 if grows else step // 2
        else:
            grows, step = False, step // 2
    return reached


def _follow(shapes: Sequence[Shape], tolerance_px: float) -> bool:
    """Return whether all shapes between the first and the last can be interpolated."""
    first, *inner, last = shapes
    n = len(shapes) - 1
    is_whole = (
        last.frame - first.frame == n <= _LONGEST
        and not any(shape.outside or shape.alone for shape in (first, *inner))
        and not last.outside  # some versions of CVAT hold the last shape before one
        and not isinstance(first, Mask)
        and type(first) is type(last)
    )
    return is_whole and all(
        _is_near(first.between(last, shape.frame), shape, tolerance_px) for shape in inner
    )


def _is_near(found: Shape, shape: Shape, tolerance_px: float) -> bool:
    if type(found) is not type(shape) or found.points.shape != shape.points.shape:
        return False
    if isinstance(found, Skeleton) and isinstance(shape, Skeleton):
        said = [(each.joints, each.visible, each.hidden) for each in (found, shape)]
        if said[0] != said[1]:
            return False
    turn = getattr(found, "rotation", 0.0) - getattr(shape, "rotation", 0.0)
    if abs((turn + 180) % 360 - 180) > tolerance_px:
        return False
    same = (found.occluded, found.z_order, found.group, dict(found.attributes)) == (
        shape.occluded,
        shape.z_order,
        shape.group,
        dict(shape.attributes),
    )
    return same and bool((np.abs(found.points - shape.points) <= tolerance_px).all())
