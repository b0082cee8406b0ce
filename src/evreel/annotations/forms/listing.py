"""What formats that list objects frame by frame have in common: from objects to tracks, and back.

COCO, MOT, YOLO and EventBbox have no key frames and no closing shapes: an object is where it is
listed. Of a frame that the file speaks of, it also says which objects are not there; of other
frames it says nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, zip_longest
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, NoReturn

import numpy as np

from evreel.annotations.shapes import Annotations, Box, FloatArray, Shape, Track, interpolate
from evreel.annotations.tables import roi_numbers
from evreel.errors import AnnotationError
from evreel.text import nfc
from evreel.timebase import Int64Array
from evreel.video.picture import frame_of_picture, frame_within_name

Invalid = Literal["error", "drop"]

FARTHEST_PX = 1e9
"""Far enough for any picture, near enough that products stay finite."""

MOST_FILLED = 5_000_000
"""Frames that gaps are filled in: two days of 30 a second."""

DROPPED = "dropped_shapes"
RENUMBERED = "tracks with another number, because not each had one of its own"
UNNUMBERED = "shapes without a track, each given a number"

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_LAST_DIGITS = re.compile(r"(?:.*[^0-9])?([0-9]{1,9})", re.ASCII)


class _Listed(NamedTuple):
    track: int
    label: str
    shape: Shape
    place: str


class Listing:
    """Collects the objects of a file, and joins them to tracks.

    Parameters
    ----------
    path
        The file, for messages.
    invalid
        How shapes without area, or with a number that is not one, and the second of two equal
        shapes of a track in one frame are handled: ``error``, or ``drop`` and count them.

    Attributes
    ----------
    repairs : what was left out, and how often.
    """

    def __init__(self, path: Path, invalid: Invalid) -> None:
        self.path = path
        self.repairs = {DROPPED: 0}
        self._drop = invalid == "drop"
        self._listed: list[_Listed] = []

    def fail(self, problem: str, place: str | None = None, hint: str | None = None) -> NoReturn:
        """Raise an AnnotationError that names the file and the place."""
        raise AnnotationError(problem, path=self.path, place=place, hint=hint)

    def unfit(self, problem: str, place: str) -> None:
        """Count a shape that is not valid; raise unless it may be dropped."""
        if not self._drop:
            self.fail(problem, place, "Correct or remove it, or set annotate.invalid: drop.")
        self.repairs[DROPPED] += 1

    def takes(self, kind: type[Shape], points: FloatArray, place: str) -> bool:
        """Return whether points, (n, 2), make a shape; if not, raise, or count it."""
        far = not (np.isfinite(points).all() and (np.abs(points) < FARTHEST_PX).all())
        problem = "has a coordinate that is not a number of pixels" if far else kind.fault(points)
        if problem is not None:
            self.unfit(problem, place)
        return problem is None

    def add(self, track: int, label: str, shape: Shape, place: str) -> None:
        """Take in a valid shape; a track of −1 is an object without one."""
        self._listed.append(_Listed(track, label, shape, place))

    @property
    def frames(self) -> set[int]:
        """The frames of all shapes."""
        return {listed.shape.frame for listed in self._listed}

    def tracks(
        self, known: Collection[int], *, step: int = 1, fill: bool = False
    ) -> tuple[Track, ...]:
        """Return the tracks, in the order in which they appear.

        Parameters
        ----------
        known
            The frames that the file speaks of: a track that one of them lacks is away in it.
        step
            How far apart the frames of the task are: between two neighbours, a track goes on.
        fill
            Take what is listed for key frames, between which objects move, whatever lies between.

        Raises
        ------
        AnnotationError
            If a track has two labels, or two shapes in one frame.
        """
        together: dict[int, list[_Listed]] = {}
        for k, listed in enumerate(self._listed):
            together.setdefault(listed.track if listed.track >= 0 else -1 - k, []).append(listed)
        return tuple(
            Track(number, of[0].label, tuple(self._joined(of, known, step, fill)))
            if number >= 0
            else Track(-1, of[0].label, (of[0].shape,))
            for number, of in together.items()
        )

    def _joined(
        self, listed: list[_Listed], known: Collection[int], step: int, fill: bool
    ) -> Iterator[Shape]:
        kept = self._distinct(sorted(listed, key=lambda one: one.shape.frame))
        for left, right in zip_longest(kept, kept[1:]):
            shape = left.shape
            after = shape.frame + 1
            adjacent = right is not None and (fill or right.shape.frame - shape.frame in (1, step))
            closes = right is None or (not adjacent and after in known)
            yield shape if adjacent or closes else replace(shape, alone=True)
            if closes:
                yield replace(shape, frame=after, outside=True)

    def _distinct(self, listed: list[_Listed]) -> list[_Listed]:
        kept = listed[:1]
        for left, right in pairwise(listed):
            if right.label != listed[0].label:
                self.fail(
                    f"track {right.track} is {right.label!r} here, and {listed[0].label!r} in "
                    f"{listed[0].place}",
                    right.place,
                    "Give each object a number of its own.",
                )
            if right.shape.frame > left.shape.frame:
                kept.append(right)
            elif _equal(left.shape, right.shape):
                self.unfit(f"repeats track {right.track} of {left.place}", right.place)
            else:
                self.fail(
                    f"is a second shape of track {right.track} in frame {right.shape.frame}; the "
                    f"first is {left.place}",
                    right.place,
                    "Give each object a number of its own.",
                )
        return kept


def _equal(one: Shape, other: Shape) -> bool:
    return type(one) is type(other) and np.array_equal(one.points, other.points)


def stated(value: object) -> str:
    """Return what a file has where something else is expected, in few words.

    A list is not written out: YAML's aliases make lists of more values than there is memory.

    Examples
    --------
    >>> stated(7), stated(None), stated([[1]])
    ('7', 'missing', 'a list')
    """
    if isinstance(value, (list, tuple, set, dict)):
        return "an object" if isinstance(value, dict) else "a list"
    return "missing" if value is None else repr(value)[:80]


def is_writable(text: str) -> bool:
    r"""Return whether UTF-8 and HDF5 can hold a text: no NUL, no half of a pair of surrogates.

    Examples
    --------
    >>> is_writable("車"), is_writable("a\0b"), is_writable("\ud800")
    (True, False, False)
    """
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def checked_labels(names: Iterable[object], path: Path, place: str) -> tuple[str, ...]:
    """Return names of labels as they are compared; raise if one is empty, or appears twice."""
    found: list[str] = []
    for name in names:
        label = nfc(name.strip()) if isinstance(name, str) else ""
        if not label or not is_writable(label):
            what = f"{stated(name)} is not a name of a label"
            raise AnnotationError(what, path=path, place=place)
        if label in found:
            raise AnnotationError(f"label {label!r} is listed twice", path=path, place=place)
        found.append(label)
    return tuple(found)


def class_label(
    number: int, labels: Sequence[str], first: int, listing: Listing, place: str
) -> str:
    """Return the label of a class's number; raise if there is none."""
    if not first <= number < first + len(labels):
        listing.fail(
            f"class {number} is unknown; there are {len(labels)} labels, numbered from {first}",
            place,
            "List all labels, in the order of their numbers.",
        )
    return labels[number - first]


def number_of(text: str) -> float:
    """Return a number as it is written in a text; NaN if it is not one.

    Examples
    --------
    >>> number_of(" 1.5e2 "), number_of("1_0"), number_of("inf")
    (150.0, nan, nan)
    """
    return float(text) if _NUMBER.fullmatch(text.strip()) else math.nan


def whole_of(text: str) -> int | None:
    """Return a whole number as it is written in a text; None if it is not one.

    Examples
    --------
    >>> whole_of("-3"), whole_of("3.0"), whole_of("9" * 99)
    (-3, None, None)
    """
    return int(text) if _WHOLE.fullmatch(text.strip()) else None


def frames_by_name(names: Sequence[str]) -> list[int] | None:
    """Return the number of the frame that each picture's name states, None if they do not.

    That is the index, if names have index and time as evreel's pictures do; else the digits at
    the end of each name.

    Examples
    --------
    >>> frames_by_name(["000012_120000.png", "park/000013_130000.png"])
    [12, 13]
    >>> frames_by_name(["frame_000000.PNG", "frame_000007.PNG"]), frames_by_name(["a.png"])
    ([0, 7], None)
    """
    stated = [frame_of_picture(name) or frame_within_name(name) for name in names]
    found = [int(each[0]) for each in stated if each is not None]
    if found and (len(found) < len(names) or len(set(found)) < len(found)):
        return list(range(len(names)))  # which of them contradict each other, the clock tells
    if not found:
        ends = [_LAST_DIGITS.fullmatch(PurePosixPath(name).stem) for name in names]
        found = [int(end[1]) for end in ends if end is not None]
    return found if len(set(found)) == len(names) else None


def task_of(frames: Sequence[int]) -> range | None:
    """Return the frames of the smallest task that has some frames; None if there are none."""
    if not frames:
        return None
    step = math.gcd(*(b - a for a, b in pairwise(frames))) or 1
    return range(frames[0], frames[-1] + 1, step)


def with_gaps(frames: Iterable[int], tracks: Iterable[Track], path: Path) -> tuple[int, ...]:
    """Return frames, and those between two shapes of a track where it goes on.

    Raises
    ------
    AnnotationError
        If that are more than `MOST_FILLED` frames.
    """
    found = set(frames)
    for track in tracks:
        for left, right in pairwise(track.shapes):
            if not left.outside and not left.alone:
                if right.frame - left.frame + len(found) > MOST_FILLED:
                    raise AnnotationError(
                        f"track {track.id} has a gap from frame {left.frame} to {right.frame}; "
                        f"{MOST_FILLED:,} frames can be filled",
                        path=path,
                        hint="Correct the frame's number, or set annotate.gaps: leave.",
                    )
                found.update(range(left.frame, right.frame))
    return tuple(sorted(found))


class Shown(NamedTuple):
    """A shape that a frame shows: its frame, its track's number, a label, and the shape."""

    frame: int
    track: int
    label: str
    shape: Shape


def shown(annotations: Annotations) -> tuple[list[int], list[Shown]]:
    """Return the frames that were looked at, and what they show, by frame.

    Gaps between listed shapes are filled as `evreel.annotations.shapes.interpolate` does. Without
    `frames`, those that show something count.
    """
    found = [
        Shown(shape.frame, track.id, track.label, shape)
        for track in annotations.tracks
        for shape in interpolate(track).shapes
        if not shape.outside
    ]
    frames = list(annotations.frames) or sorted({one.frame for one in found})
    looked_at = set(frames)
    kept = [one for one in found if one.frame in looked_at]
    return frames, sorted(kept, key=lambda one: one.frame)


def not_in_boxes(annotations: Annotations) -> dict[str, int]:
    """Return what boxes with class and track alone cannot hold: sentence → how often."""
    _, found = shown(annotations)
    shapes = [one.shape for one in found]
    return {
        "shapes written as their bounding boxes": sum(not is_upright_box(s) for s in shapes),
        "marks of occluded shapes": sum(shape.occluded for shape in shapes),
        "attributes": sum(len(shape.attributes) for shape in shapes),
        "z orders": sum(shape.z_order != 0 for shape in shapes),
        "groups": sum(shape.group != 0 for shape in shapes),
        "frame tags": len(annotations.tags),
    }


def numbers_of(annotations: Annotations, most: int) -> tuple[Int64Array, dict[str, int]]:
    """Return a number of its own for each track and loose shape, and how many are not its own.

    Numbers are 0 to `most`; if those of the tracks are not, each gets its position.
    """
    own = np.array([track.id for track in annotations.tracks], dtype=np.int64)
    numbers = roi_numbers(own)
    if numbers.max(initial=0) > most:
        numbers = np.arange(len(own), dtype=np.int64)
    loose = int(np.count_nonzero(own < 0))
    return numbers, {
        RENUMBERED: int(np.count_nonzero(numbers != own)) - loose,
        UNNUMBERED: loose,
    }


def is_upright_box(shape: object) -> bool:
    """Return whether a shape is a box that is not turned."""
    return isinstance(shape, Box) and not shape.rotation % 360


def numbered(found: Sequence[Shown]) -> tuple[list[Shown], int]:
    """Give each object without a track a number after all others; also return how many got one."""
    first = max((one.track for one in found), default=-1) + 1
    given, free = [], first
    for one in found:
        if one.track < 0:
            one, free = one._replace(track=free), free + 1
        given.append(one)
    return given, free - first
