"""Labels, tracks of shapes, frame tags, and the frames that annotators looked at.

These types hold what an annotation file says, in picture coordinates and video frame numbers.
Coordinates are continuous: pixel (column x, row y) covers ``[x, x+1) × [y, y+1)``. Filling the
gaps between listed shapes is a separate function, `interpolate`.

A kind of shape is a class here, and a row of the table in `evreel.annotations.cvat.elements`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, did_you_mean
from evreel.text import nfc

FloatArray = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
"""One for all shapes without attributes: a long video has millions of shapes."""


@dataclass(frozen=True, eq=False, slots=True)
class Shape(ABC):
    """What an annotator drew in one frame; subclasses say what the points mean.

    Parameters
    ----------
    frame
        Video frame number, 0 or more.
    points
        (n, 2) float64, x and y in picture pixels.
    outside
        The object has left the picture: this shape closes its track and labels nothing.
    occluded
        The annotator marked the object as partly hidden.
    keyframe
        Drawn by a person, not interpolated by the annotation tool.
    z_order
        Higher is on top.
    attributes
        Name → value, as text.
    alone
        Nothing is known of the object from here to the next listed shape of its track, so that
        this shape labels only its own frame.

    Attributes
    ----------
    name, plural : what one shape of the class is called, and several.
    """

    frame: int
    points: FloatArray
    outside: bool = False
    occluded: bool = False
    keyframe: bool = True
    z_order: int = 0
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    alone: bool = False

    name: ClassVar[str]
    plural: ClassVar[str]

    @staticmethod
    @abstractmethod
    def fault(points: FloatArray) -> str | None:
        """Return what keeps points, (n, 2) in picture pixels, from being a shape; None if nothing.

        Shapes trust the points that they are given; readers of files call this first.
        """

    @property
    @abstractmethod
    def outline(self) -> FloatArray:
        """(n, 2) float64, the vertices in order, x and y in picture pixels."""

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom) in picture pixels."""
        x, y = zip(*self.outline.tolist(), strict=True)
        return min(x), min(y), max(x), max(y)

    def between(self, other: Shape, frame: int) -> Self:
        """Return what a track shows in a frame between this shape and the next listed one.

        It does not move unless its class says so. All but the points is as in this shape.
        """
        return self._moved(frame, self.points)

    def _moved(self, frame: int, points: FloatArray) -> Self:
        # Half the time of `dataclasses.replace`; a sparse task has millions of frames between.
        return type(self)(
            frame, points, self.outside, self.occluded, False, self.z_order, self.attributes
        )


@dataclass(frozen=True, eq=False, slots=True)
class Box(Shape):
    """An upright rectangle. Its two points are the top left and the bottom right corner."""

    name = "box"
    plural = "boxes"

    @staticmethod
    def fault(points: FloatArray) -> str | None:
        """Return which side is not before its opposite, with CVAT's names."""
        (left, top), (right, bottom) = points.tolist()
        if not left < right:
            return f"box xbr={right} is not right of xtl={left}"
        if not top < bottom:
            return f"box ybr={bottom} is not below ytl={top}"
        return None

    @property
    def outline(self) -> FloatArray:
        """(4, 2) float64, the corners, clockwise in the picture from the top left."""
        (left, top), (right, bottom) = self.points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom) in picture pixels."""
        (left, top), (right, bottom) = self.points.tolist()
        return left, top, right, bottom

    def between(self, other: Shape, frame: int) -> Self:
        """Return the box on a straight line to the next box; before another shape it stays.

        Examples
        --------
        >>> corners = np.array([[0.0, 0.0], [2.0, 2.0]])
        >>> Box(3, corners).between(Box(7, corners + 4), 4).points.tolist()
        [[1.0, 1.0], [3.0, 3.0]]
        """
        if not isinstance(other, Box):
            return self._moved(frame, self.points)
        share = (frame - self.frame) / (other.frame - self.frame)
        return self._moved(frame, self.points + share * (other.points - self.points))

    @staticmethod
    def around(outline: FloatArray) -> FloatArray:
        """Return the points of the smallest box that holds an outline, (n, 2) of 1 or more."""
        return np.stack([outline.min(axis=0), outline.max(axis=0)])


@dataclass(frozen=True, eq=False, slots=True)
class Polygon(Shape):
    """A closed outline of straight sides. Its points are the vertices in order, 3 or more.

    It does not move between two listed ones: nothing says which vertex would become which.
    """

    name = "polygon"
    plural = "polygons"

    @staticmethod
    def fault(points: FloatArray) -> str | None:
        """Return whether there are too few points for an outline."""
        if len(points) >= 3:
            return None
        return f"polygon has {len(points)} points; at least 3 are expected"

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the points."""
        return self.points

    @staticmethod
    def around(outline: FloatArray) -> FloatArray:
        """Return the points of the polygon that follows an outline, (n, 2): the same ones."""
        return outline


@dataclass(frozen=True)
class Track:
    """One object through a video: its shapes in frame order.

    `id` is the annotation file's own number, or −1 for a loose shape of an images export, which
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
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)


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
        (height, width) of the annotated pictures; None if the file does not say.
    source
        Name of the file, for messages.
    skipped
        Unsupported kind → how many shapes of it were left out, if that was asked for.
    repairs
        What else was left out, and how often.
    task
        Frames of the file's whole task or job; None if it does not say.
    task_id, task_name
        What the file calls its task or job; None if it does not say.
    created
        When that task was created, as the file has it; None if it does not say.
    of_images
        Whether the task was made from images and not from a video.
    lists_frames
        Whether the file lists each frame of its task, with its picture: the images form.
    video
        Name of the video that the task was made from, as the file has it; None if it does not say.
    pictures
        Frame number → name of its picture, as an images export lists them.
    """

    labels: tuple[str, ...]
    tracks: tuple[Track, ...] = ()
    tags: tuple[FrameTag, ...] = ()
    frames: range | tuple[int, ...] = ()
    picture_shape: tuple[int, int] | None = None
    source: str = ""
    skipped: Mapping[str, int] = field(default_factory=dict)
    repairs: Mapping[str, int] = field(default_factory=dict)
    task: range | None = None
    task_id: str | None = None
    task_name: str | None = None
    created: str | None = None
    video: str | None = None
    of_images: bool = False
    lists_frames: bool = False
    pictures: Mapping[int, str] = field(default_factory=dict)


def merge(parts: Iterable[Annotations]) -> Annotations:
    """Join annotations of the same video; labels are matched by name, in order of appearance.

    Raises
    ------
    AnnotationError
        If two parts were drawn on pictures of different sizes.
    """
    listed = list(parts)
    sources = ", ".join(dict.fromkeys(part.source for part in listed if part.source))
    labels = tuple(dict.fromkeys(label for part in listed for label in part.labels))
    shapes = {part.picture_shape for part in listed} - {None}
    if len(shapes) > 1:
        sizes = " and ".join(f"{w}x{h}" for h, w in sorted(s for s in shapes if s))
        raise AnnotationError(
            f"annotation files of one recording were drawn on pictures of different sizes: {sizes}",
            path=sources or None,
            hint="Export them from tasks on the same video.",
        )
    return Annotations(
        labels=labels,
        tracks=tuple(track for part in listed for track in part.tracks),
        tags=tuple(tag for part in listed for tag in part.tags),
        frames=tuple(sorted({frame for part in listed for frame in part.frames})),
        picture_shape=next(iter(shapes), None),
        source=sources,
        skipped=dict(sum((Counter(part.skipped) for part in listed), Counter())),
        repairs=sums(part.repairs for part in listed),
    )


def sums(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of counts by name; zeros stay.

    Examples
    --------
    >>> sums([{"a": 1, "b": 0}, {"a": 2}])
    {'a': 3, 'b': 0}
    """
    total: dict[str, int] = {}
    for each in counts:
        for name, n in each.items():
            total[name] = total.get(name, 0) + n
    return total


def relabel(annotations: Annotations, labels: Iterable[str]) -> Annotations:
    """Return the same annotations with their labels numbered as in `labels`.

    Raises
    ------
    AnnotationError
        If a track or tag has a label that is not listed.

    Examples
    --------
    >>> relabel(Annotations(("bus", "car"), (Track(0, "car", ()),)), ["car", "bike"]).labels
    ('car', 'bike')
    """
    listed = tuple(map(nfc, labels))
    used = {track.label for track in annotations.tracks} | {tag.label for tag in annotations.tags}
    unknown = sorted(used - set(listed))
    if unknown:
        guess = did_you_mean(unknown[0], listed)
        raise AnnotationError(
            f"label {unknown[0]!r} is not one of {', '.join(listed)}"
            + (f"; {guess}" if guess else ""),
            path=annotations.source or None,
            hint="Correct the annotation, or add the label to the list.",
        )
    return replace(annotations, labels=listed)


def interpolate(track: Track) -> Track:
    """Fill the frames between listed shapes by `Shape.between`; listed shapes do not change.

    Nothing is added after a shape that is `outside` or `alone`, nor after the last listed shape: a
    file that lists every visible frame ends a track there, with or without a closing shape. Which
    gaps are not to be filled, `evreel.annotations.frames` tells.

    Examples
    --------
    >>> corners = np.array([[0.0, 0.0], [2.0, 2.0]])
    >>> track = Track(0, "car", (Box(3, corners), Box(5, corners + 4)))
    >>> [(s.frame, s.keyframe, s.points[0].tolist()) for s in interpolate(track).shapes]
    [(3, True, [0.0, 0.0]), (4, False, [2.0, 2.0]), (5, True, [4.0, 4.0])]
    """
    shapes: list[Shape] = []
    for left, right in zip_longest(track.shapes, track.shapes[1:]):
        shapes.append(left)
        if right is not None and not left.outside and not left.alone:
            shapes += (left.between(right, frame) for frame in range(left.frame + 1, right.frame))
    return replace(track, shapes=tuple(shapes))
