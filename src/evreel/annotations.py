"""Labels, tracks of shapes, frame tags and the frames that were looked at.

These types say what an annotation file says, in picture coordinates and video frame numbers.
Coordinates are continuous: pixel (column x, row y) covers ``[x, x+1) × [y, y+1)``. Filling the
gaps between listed shapes is a separate function, `interpolate`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError

Kind = Literal["box", "polygon"]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """An outline in one frame.

    Parameters
    ----------
    frame
        Video frame number, 0 or more.
    kind
        ``box`` or ``polygon``.
    points
        (n, 2) float64, x and y in picture pixels: for a box the top left and bottom right
        corner, for a polygon its vertices in order, 3 or more.
    outside
        The object has left the picture: this shape closes its track and labels nothing.
    occluded
        The annotator marked the object as partly hidden.
    keyframe
        Drawn by a person, not interpolated by the annotation tool.
    z_order
        Higher lies on top.
    attributes
        Name → value, as text.
    """

    frame: int
    kind: Kind
    points: FloatArray
    outside: bool = False
    occluded: bool = False
    keyframe: bool = True
    z_order: int = 0
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in picture pixels."""
        left, top = self.points.min(axis=0)
        right, bottom = self.points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


@dataclass(frozen=True)
class Track:
    """One object through a video: its shapes in frame order.

    `id` is the annotation file's own number, or −1 for a loose shape of an image export, which
    has no identity beyond its frame.
    """

    id: int
    label: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class FrameTag:
    """A label for a whole frame."""

    frame: int
    label: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotations:
    """What one or more annotation files say about one video.

    Parameters
    ----------
    labels
        Names in document order; a label's position is its number in the outputs.
    tracks, tags
        In document order.
    frames
        Video frame numbers that annotators looked at, ascending, so that "labelled and empty"
        differs from "not labelled".
    picture_shape
        (height, width) of the pictures that were annotated, or None where the file can't say.
    """

    labels: tuple[str, ...]
    tracks: tuple[Track, ...] = ()
    tags: tuple[FrameTag, ...] = ()
    frames: range | tuple[int, ...] = ()
    picture_shape: tuple[int, int] | None = None


def merge(parts: Iterable[Annotations]) -> Annotations:
    """Join annotations of the same video; labels meet by name, in order of first appearance.

    Raises
    ------
    AnnotationError
        Where two parts were drawn on pictures of different size.
    """
    listed = list(parts)
    labels = tuple(dict.fromkeys(label for part in listed for label in part.labels))
    shapes = {part.picture_shape for part in listed} - {None}
    if len(shapes) > 1:
        sizes = " and ".join(f"{w}x{h}" for h, w in sorted(s for s in shapes if s))
        raise AnnotationError(
            f"annotation files of one recording were drawn on pictures of {sizes}",
            hint="Export them from tasks on the same video.",
        )
    return Annotations(
        labels=labels,
        tracks=tuple(track for part in listed for track in part.tracks),
        tags=tuple(tag for part in listed for tag in part.tags),
        frames=tuple(sorted({frame for part in listed for frame in part.frames})),
        picture_shape=next(iter(shapes), None),
    )


def interpolate(track: Track) -> Track:
    """Fill the frames between listed shapes as CVAT does; listed shapes stay as they are.

    A box moves linearly from one listed shape to the next. A polygon between two listed shapes
    of equal vertex count keeps the earlier outline. Nothing is added after a shape that is
    `outside`, nor after the last listed shape.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [2.0, 2.0]])
    >>> track = Track(0, "car", (Shape(3, "box", corners), Shape(5, "box", corners + 4)))
    >>> [(s.frame, s.keyframe, s.points[0].tolist()) for s in interpolate(track).shapes]
    [(3, True, [0.0, 0.0]), (4, False, [2.0, 2.0]), (5, True, [4.0, 4.0])]
    """
    shapes: list[Shape] = []
    for left, right in zip(track.shapes, (*track.shapes[1:], None), strict=True):
        shapes.append(left)
        if right is None or left.outside:
            continue
        for frame in range(left.frame + 1, right.frame):
            share = (frame - left.frame) / (right.frame - left.frame)
            points = left.points
            if left.kind == right.kind == "box":
                points = left.points + share * (right.points - left.points)
            shapes.append(replace(left, frame=frame, points=points, keyframe=False))
    return replace(track, shapes=tuple(shapes))
