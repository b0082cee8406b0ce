"""Labels, tracks of shapes, frame tags, and the frames that annotators looked at.

These types hold what an annotation file says, in picture coordinates and video frame numbers.
Coordinates are continuous: pixel (column x, row y) covers ``[x, x+1) × [y, y+1)``. Filling the
gaps between listed shapes is a separate function, `interpolate`.

A kind of shape is a class here, and a row of the table in `evreel.annotations.cvat.elements`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from evreel.annotations import correspondence
from evreel.errors import AnnotationError, meant_label
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
    group
        Number that the annotator gave to shapes that belong together; 0 is none.

    Attributes
    ----------
    name, plural : what one shape of the class is called, and several.
    least : so many points, or more, are always a shape; 0 if it depends on where they are.
    """

    frame: int
    points: FloatArray
    outside: bool = False
    occluded: bool = False
    keyframe: bool = True
    z_order: int = 0
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_ATTRIBUTES)
    alone: bool = False
    group: int = 0

    name: ClassVar[str]
    plural: ClassVar[str]
    least: ClassVar[int] = 0

    @classmethod
    def fault(cls, points: FloatArray) -> str | None:
        """Return what keeps points, (n, 2) in picture pixels, from being a shape; None if nothing.

        Shapes trust the points that they are given; readers of files call this first.
        """
        if len(points) >= cls.least:
            return None
        return (
            f"{cls.name} has {len(points)} point{'' if len(points) == 1 else 's'}; at least "
            f"{cls.least} {'is' if cls.least == 1 else 'are'} expected"
        )

    @property
    @abstractmethod
    def outline(self) -> FloatArray:
        """(n, 2) float64, vertices in order, x and y in picture pixels, to draw the shape by."""

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom) in picture pixels."""
        return _bounds(self.outline)

    def between(self, other: Shape, frame: int) -> Self:
        """Return what a track shows in a frame between this shape and the next listed one."""
        return self.at(other, (frame - self.frame) / (other.frame - self.frame), frame)

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return what a track shows on the way from this shape to the next listed one.

        It does not move unless its class says so, nor towards a shape of another class. All but
        the geometry is as in this shape.

        Parameters
        ----------
        other
            The next listed shape of the track.
        share
            How much of the way is done, 0 to 1.
        frame
            The frame of the shape that is returned.
        """
        return self._moved(frame, self.points)

    def matched(self, other: Shape) -> tuple[FloatArray, FloatArray]:
        """Return points of this shape, and what becomes of each on the way to the next one.

        Returns
        -------
        (n, 2) and (n, 2), in picture pixels. Each point moves on a straight line, so that what is
        `points` of `at` after a share of the way is ``a + share·(b − a)``, but for the vertices
        that `at` leaves out of a polygon or a polyline. A shape that does not move gives its
        points twice.
        """
        return self.points, self.at(other, 1.0, other.frame).points

    def _moved(self, frame: int, points: FloatArray, *more: Any) -> Self:
        # Half the time of `dataclasses.replace`; a sparse task has millions of frames between.
        return type(self)(
            *(frame, points, self.outside, self.occluded, False, self.z_order, self.attributes),
            *(False, self.group, *more),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Box(Shape):
    """A rectangle. Its two points are the top left and the bottom right corner, before it turns.

    `rotation` is in degrees about its centre, from the x axis towards the y axis: clockwise as
    the picture is seen.
    """

    rotation: float = 0.0

    name = "box"
    plural = "boxes"

    @classmethod
    def fault(cls, points: FloatArray) -> str | None:
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
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        return turned(corners, self.points.sum(axis=0) / 2, self.rotation)

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom) in picture pixels."""
        if self.rotation % 360:
            return _bounds(self.outline)
        (left, top), (right, bottom) = self.points.tolist()
        return left, top, right, bottom

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the box on a straight line to the next box, turning by the shorter way.

        Examples
        --------
        >>> corners = np.array([[0.0, 0.0], [2.0, 2.0]])
        >>> box = Box(3, corners, rotation=350.0).at(Box(7, corners + 4, rotation=10.0), 0.25, 4)
        >>> box.points.tolist(), box.rotation
        ([[1.0, 1.0], [3.0, 3.0]], 355.0)
        """
        if not isinstance(other, Box):
            return self._moved(frame, self.points, self.rotation)
        points = self.points + share * (other.points - self.points)
        return self._moved(frame, points, turning(self.rotation, other.rotation, share))

    @staticmethod
    def around(outline: FloatArray) -> FloatArray:
        """Return the points of the smallest box that holds an outline, (n, 2) of 1 or more."""
        return np.stack([outline.min(axis=0), outline.max(axis=0)])


@dataclass(frozen=True, eq=False, slots=True)
class Ellipse(Shape):
    """An ellipse. Its two points are the centre, and the radii along x and y before it turns.

    `rotation` is as that of a `Box`.
    """

    rotation: float = 0.0

    name = "ellipse"
    plural = "ellipses"

    @classmethod
    def fault(cls, points: FloatArray) -> str | None:
        """Return which radius is not above 0, with CVAT's names."""
        for name, radius in zip(("rx", "ry"), points[1].tolist(), strict=True):
            if not radius > 0:
                return f"ellipse {name}={radius} is not above 0"
        return None

    @property
    def outline(self) -> FloatArray:
        """(64, 2) float64, vertices on the ellipse."""
        centre, radii = self.points
        return turned(centre + radii * _CIRCLE, centre, self.rotation)

    @property
    def bounds(self) -> Bounds:
        """(left, top, right, bottom) in picture pixels."""
        (x, y), (rx, ry) = self.points.tolist()
        cosine, sine = cos_sin(self.rotation)
        half_x = math.sqrt((rx * cosine) ** 2 + (ry * sine) ** 2)
        half_y = math.sqrt((rx * sine) ** 2 + (ry * cosine) ** 2)
        return x - half_x, y - half_y, x + half_x, y + half_y

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the ellipse on a straight line to the next one, turning by the shorter way."""
        if not isinstance(other, Ellipse):
            return self._moved(frame, self.points, self.rotation)
        points = self.points + share * (other.points - self.points)
        return self._moved(frame, points, turning(self.rotation, other.rotation, share))


@dataclass(frozen=True, eq=False, slots=True)
class Polygon(Shape):
    """A closed outline of straight sides. Its points are the vertices in order, 3 or more."""

    name = "polygon"
    plural = "polygons"
    least = 3

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the points."""
        return self.points

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the polygon on the way to the next one, as `correspondence` tells it.

        Their first vertices become each other, so both have to be drawn from the same one on, and
        the same way round.
        """
        if not isinstance(other, Polygon):
            return self._moved(frame, self.points)
        points = correspondence.moved(self.points, other.points, share, closed=True)
        return self._moved(frame, points)

    def matched(self, other: Shape) -> tuple[FloatArray, FloatArray]:
        """Return the pairs of vertices that become each other, as many as the larger one has."""
        if not isinstance(other, Polygon):
            return self.points, self.points
        return correspondence.matched(self.points, other.points, closed=True)

    @staticmethod
    def around(outline: FloatArray) -> FloatArray:
        """Return the points of the polygon that follows an outline, (n, 2): the same ones."""
        return outline


@dataclass(frozen=True, eq=False, slots=True)
class Polyline(Shape):
    """A line of straight pieces through 2 or more points; as wide as a radius says."""

    name = "polyline"
    plural = "polylines"
    least = 2

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the points; the line does not return to the first."""
        return self.points

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the polyline on the way to the next one, as `correspondence` tells it."""
        if not isinstance(other, Polyline):
            return self._moved(frame, self.points)
        points = correspondence.moved(self.points, other.points, share, closed=False)
        return self._moved(frame, points)

    def matched(self, other: Shape) -> tuple[FloatArray, FloatArray]:
        """Return the pairs of vertices that become each other, as many as the larger one has."""
        if not isinstance(other, Polyline):
            return self.points, self.points
        return correspondence.matched(self.points, other.points, closed=False)


@dataclass(frozen=True, eq=False, slots=True)
class Points(Shape):
    """One or more points; each a disc, as wide as a radius says."""

    name = "points"
    plural = "points"
    least = 1

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the points, which no line joins."""
        return self.points

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return a single point on a straight line to the next one; several do not move."""
        if not (isinstance(other, Points) and len(self.points) == len(other.points) == 1):
            return self._moved(frame, self.points)
        return self._moved(frame, self.points + share * (other.points - self.points))


@dataclass(frozen=True, eq=False, slots=True)
class Cuboid(Shape):
    """A box in space as the picture shows it: the convex hull of its 8 corners.

    Its points are in CVAT's order: top left, bottom left, top right, bottom right of the front,
    then of the back.
    """

    name = "cuboid"
    plural = "cuboids"

    @classmethod
    def fault(cls, points: FloatArray) -> str | None:
        """Return whether all corners are on one line."""
        return None if len(convex_hull(points)) >= 3 else "cuboid has no area"

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the vertices of the hull, 3 to 8."""
        return convex_hull(self.points)

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the cuboid whose corners are on straight lines to the next one's."""
        if not isinstance(other, Cuboid):
            return self._moved(frame, self.points)
        return self._moved(frame, self.points + share * (other.points - self.points))


@dataclass(frozen=True, eq=False, slots=True)
class Mask(Shape):
    """Single pixels of the picture.

    Its two points are the top left corner of the mask's rectangle and the corner opposite, whole
    numbers. `runs` are the lengths of runs of the rectangle's pixels, row by row: background
    first, then in turn, together its area.
    """

    runs: tuple[int, ...] = ()

    name = "mask"
    plural = "masks"

    @classmethod
    def fault(cls, points: FloatArray) -> str | None:
        """Return whether the rectangle has no pixel, or is not of whole pixels."""
        if (points != np.floor(points)).any():
            return "mask is not of whole pixels"
        return None if (points[1] > points[0]).all() else "mask has no pixel"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the rectangle."""
        width, height = (self.points[1] - self.points[0]).astype(int).tolist()
        return height, width

    @property
    def bitmap(self) -> npt.NDArray[np.bool_]:
        """(height, width) bool: which pixels of the rectangle are the object's."""
        inside: npt.NDArray[np.bool_] = np.arange(len(self.runs)) % 2 == 1
        bitmap: npt.NDArray[np.bool_] = np.repeat(inside, self.runs).reshape(self.shape)
        return bitmap

    @property
    def outline(self) -> FloatArray:
        """(4, 2) float64, the corners of the rectangle."""
        (left, top), (right, bottom) = self.points
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the mask as it is: nothing says which pixel would become which."""
        return self._moved(frame, self.points, self.runs)


@dataclass(frozen=True, eq=False, slots=True)
class Skeleton(Shape):
    """Named points, such as joints; each visible one a disc, as wide as a radius says.

    Its points are in the order of `joints`. `visible` tells which are in the picture, `hidden`
    which of these are covered.
    """

    joints: tuple[str, ...] = ()
    visible: tuple[bool, ...] = ()
    hidden: tuple[bool, ...] = ()

    name = "skeleton"
    plural = "skeletons"
    least = 1

    @property
    def outline(self) -> FloatArray:
        """(n, 2) float64, the visible points, which no line joins; all if none is visible."""
        shown: FloatArray = self.points[np.array(self.visible, dtype=bool)]
        return shown if len(shown) else self.points

    def at(self, other: Shape, share: float, frame: int) -> Self:
        """Return the skeleton whose points are on straight lines to those of the next one."""
        points = self.points
        if isinstance(other, Skeleton) and other.joints == self.joints:
            points = points + share * (other.points - points)
        return self._moved(frame, points, self.joints, self.visible, self.hidden)


def turned(points: FloatArray, centre: FloatArray, degrees: float) -> FloatArray:
    """Return points, (n, 2), turned about a centre, from the x axis towards the y axis.

    Examples
    --------
    >>> turned(np.array([[3.0, 1.0]]), np.array([1.0, 1.0]), 90.0).tolist()
    [[1.0, 3.0]]
    """
    if not degrees % 360:
        return points
    cosine, sine = cos_sin(degrees)
    x, y = (points - centre).T
    around: FloatArray = np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)
    return centre + around


def cos_sin(degrees: float) -> tuple[float, float]:
    """Return cosine and sine, from sums and products alone, so that they are the same everywhere.

    The C library's differ between processors in the last bit.

    Examples
    --------
    >>> cos_sin(180.0), cos_sin(-90.0)
    ((-1.0, 0.0), (0.0, -1.0))
    """
    quarter = math.floor((degrees % 360 + 45) / 90)
    x = (degrees % 360 - 90 * quarter) * (math.pi / 180)
    square = x * x
    cosine, sine = 1.0, x
    term_c, term_s = 1.0, x
    for k in range(1, 11):
        term_c *= -square / ((2 * k - 1) * 2 * k)
        term_s *= -square / (2 * k * (2 * k + 1))
        cosine += term_c
        sine += term_s
    turns = ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))
    cosine, sine = turns[quarter % 4]
    return cosine + 0.0, sine + 0.0  # no minus before zero


def turning(start: float, stop: float, share: float) -> float:
    """Return the angle after a share of the shorter way between two, in degrees, 0 to 360."""
    way = (stop - start + 180) % 360 - 180
    return (start + share * way) % 360


def convex_hull(points: FloatArray) -> FloatArray:
    """Return the vertices of the convex hull of points, (n, 2), in order; 1 or 2 on a line.

    By A. M. Andrew, "Another efficient algorithm for convex hulls in two dimensions", Information
    Processing Letters 9(5), 1979.

    Examples
    --------
    >>> convex_hull(np.array([[0.0, 0], [2, 0], [1, 1], [2, 2], [0, 2]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    """
    ordered = sorted(set(map(tuple, points.tolist())))
    hull: list[tuple[float, float]] = []
    for side in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for point in side:
            while len(chain) > 1 and _left_turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        hull += chain[:-1] or chain
    return np.array(list(dict.fromkeys(hull)))


def _left_turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _bounds(outline: FloatArray) -> Bounds:
    x, y = zip(*outline.tolist(), strict=True)
    return min(x), min(y), max(x), max(y)


_CIRCLE: FloatArray = np.array([cos_sin(360 * k / 64) for k in range(64)])


AttributeKind = Literal["text", "number", "checkbox", "select", "radio"]


@dataclass(frozen=True)
class Attribute:
    """What annotators could say about each object of a label.

    Parameters
    ----------
    name : unique within the label.
    kind : how CVAT asks for it; ``checkbox`` has the values true and false.
    values : those that it may have; none if any text, or any number, will do.
    default : the value of a new object.
    mutable : whether it may change from frame to frame.
    """

    name: str
    kind: AttributeKind = "text"
    values: tuple[str, ...] = ()
    default: str = ""
    mutable: bool = True


@dataclass(frozen=True)
class Track:
    """One object through a video: its shapes in frame order.

    `id` is the annotation file's own number, or −1 for a loose shape of an images export, which
    has no identity beyond its frame.
    """

    id: int
    label: str
    shapes: Sequence[Shape]


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
    attributes
        Label → what annotators could say about each of its objects, as the file states it.
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
    of_project
        Which task of a project it is; empty if the file is not the export of a project.
    of_images
        Whether the task was made from images and not from a video.
    lists_frames
        Whether the file lists each frame of its task, with its picture: the images form.
    video
        Name of the video that the task was made from, as the file has it; None if it does not say.
    pictures
        Frame number → name of its picture, as an images export lists them.
    lists_labels
        Whether the file itself lists its labels, in an order that people chose.
    jobs
        Frames of the jobs that the task was divided into, where the file says them.
    doubts
        What in the file contradicts itself, though it can be read; a sentence each.
    """

    labels: tuple[str, ...]
    tracks: Sequence[Track] = ()
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
    of_project: str = ""
    of_images: bool = False
    lists_frames: bool = False
    pictures: Mapping[int, str] = field(default_factory=dict)
    attributes: Mapping[str, tuple[Attribute, ...]] = field(default_factory=dict)
    lists_labels: bool = False
    jobs: tuple[range, ...] = ()
    doubts: tuple[str, ...] = ()


def merge(parts: Iterable[Annotations]) -> Annotations:
    """Join annotations of the same video; labels are matched by name.

    Their order is that of the parts that list them, then that of appearance in the others.

    Raises
    ------
    AnnotationError
        If two parts were drawn on pictures of different sizes.
    """
    listed = list(parts)
    # What lists its labels decides about their order, whichever file comes first.
    in_order = sorted(listed, key=lambda part: not part.lists_labels)
    sources = ", ".join(dict.fromkeys(part.source for part in listed if part.source))
    labels = tuple(dict.fromkeys(label for part in in_order for label in part.labels))
    shapes = {part.picture_shape for part in listed} - {None}
    if len(shapes) > 1:
        sizes = " and ".join(f"{w}x{h}" for h, w in sorted(s for s in shapes if s))
        raise AnnotationError(
            f"annotation files of one recording were drawn on pictures of different sizes: {sizes}",
            path=sources or None,
            hint="Export them from tasks on the same video.",
        )
    with_tracks = [part.tracks for part in listed if part.tracks]
    attributes: dict[str, tuple[Attribute, ...]] = {}
    for part in in_order:
        for label, of_label in part.attributes.items():
            known = {attribute.name for attribute in attributes.get(label, ())}
            more = (attribute for attribute in of_label if attribute.name not in known)
            attributes[label] = (*attributes.get(label, ()), *more)
    return Annotations(
        labels=labels,
        # One file's are not copied: it may have millions.
        tracks=with_tracks[0]
        if len(with_tracks) == 1
        else tuple(track for tracks in with_tracks for track in tracks),
        tags=tuple(tag for part in listed for tag in part.tags),
        frames=tuple(sorted({frame for part in listed for frame in part.frames})),
        picture_shape=next(iter(shapes), None),
        source=sources,
        skipped=dict(sum((Counter(part.skipped) for part in listed), Counter())),
        repairs=sums(part.repairs for part in listed),
        attributes=attributes,
        lists_labels=any(part.lists_labels for part in listed),
        jobs=tuple(
            dict.fromkeys(
                job
                for part in listed
                for job in part.jobs or ((part.task,) if part.task is not None else ())
            )
        ),
        doubts=tuple(doubt for part in listed for doubt in part.doubts),
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
        raise AnnotationError(
            f"label {unknown[0]!r} is not one of {', '.join(listed)}"
            f"{meant_label(unknown[0], listed)}",
            path=annotations.source or None,
            hint="Correct the annotation, or add the label to the list.",
        )
    return replace(annotations, labels=listed)


def of_kinds(annotations: Annotations, kinds: Iterable[str]) -> Annotations:
    """Return annotations with the shapes of some kinds, by their names; the others are skipped.

    The shape before one that is skipped is alone: nothing is interpolated across what is left out.
    """
    wanted = frozenset(kinds)
    skipped = Counter(
        shape.name
        for track in annotations.tracks
        for shape in track.shapes
        if shape.name not in wanted and not shape.outside
    )
    if not skipped:
        return annotations
    tracks = []
    for track in annotations.tracks:
        kept: list[Shape] = []
        for shape in track.shapes:
            if shape.name in wanted:
                kept.append(shape)
            elif kept:
                kept[-1] = replace(kept[-1], alone=True)
        if kept:
            tracks.append(replace(track, shapes=tuple(kept)))
    skipped.update(annotations.skipped)
    return replace(annotations, tracks=tuple(tracks), skipped=dict(sorted(skipped.items())))


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
