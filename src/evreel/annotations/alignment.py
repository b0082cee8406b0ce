"""From the clock and the pictures of another camera to those of the event camera.

An annotation of another camera's pictures has its times and coordinates. Both are carried over
once, before anything is looked up: frames of the clock are moved in time, shapes in space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import (
    Annotations,
    Box,
    Ellipse,
    FloatArray,
    Mask,
    Polygon,
    Polyline,
    Shape,
    Track,
    interpolate,
)
from evreel.errors import AnnotationError, ClockError
from evreel.settings import Place, Settings, setting, settings_of
from evreel.timebase import FARTHEST, FrameClock
from evreel.video.picture import LARGEST_PICTURE

Matrix = tuple[float, float, float, float, float, float, float, float, float]
"""A 3×3 matrix, row by row."""

_NONE: Matrix = (1, 0, 0, 0, 1, 0, 0, 0, 1)

_LEAST_DETERMINANT = 1e-12
"""Of a homography whose largest number is 1: below this, it puts all points on a line."""

_PIXELS_AT_ONCE = 1 << 20
"""So many pixels of a mask are carried over at once; a mask may become much larger."""


@dataclass(frozen=True)
class Alignment(Settings):
    """How times and coordinates of an annotation become those of the recording.

    Examples
    --------
    >>> alignment = Alignment(time_offset_us=500, drift_ppm=20)
    >>> alignment.clock(FrameClock([0, 1_000_000], [9, 1_000_009])).start_us.tolist()
    [500, 1000520]
    >>> Alignment(homography=(2, 0, 1, 0, 2, 0, 0, 0, 1)).points(np.array([[3.0, 4.0]])).tolist()
    [[7.0, 8.0]]
    """

    time_offset_us: int = setting(
        0,
        "What to add to the clock's times to get the recording's, where annotations are of another "
        "camera: what is drawn at 0 is then at this time.",
        unit="µs",
        minimum=-FARTHEST,
        maximum=FARTHEST,
    )
    drift_ppm: float = setting(
        0.0,
        "How much the recording's clock gains on the frames' clock: µs to add for each second of "
        "the clock, beside time_offset_us.",
        unit="µs/s",
        minimum=-100_000,
        maximum=100_000,
    )
    homography: Matrix | None = setting(
        None,
        "3×3 matrix, row by row, that takes coordinates (x, y, 1) of the annotated picture to "
        "those of the sensor, both in px from the outer corner of the first pixel. null: the "
        "picture is the video's.",
        metavar="A,B,C,D,E,F,G,H,I",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if self.homography is not None:
            largest = max(map(abs, self.homography))
            scaled = [number / largest for number in self.homography] if largest else [0.0] * 9
            if abs(_determinant(scaled)) < _LEAST_DETERMINANT:
                yield ("homography",), "has no inverse: it puts all points on a line"

    @classmethod
    def recorded(cls, parameters: Mapping[str, Any]) -> Alignment:
        """Return what the parameters of slices say of how their annotation was aligned."""
        return cls(**{name: parameters[name] for name in settings_of(cls) if name in parameters})

    @property
    def inverse(self) -> Alignment:
        """From the recording to the annotation, its times to 1 µs."""
        slower = 1 + self.drift_ppm * 1e-6
        matrix = None if self.homography is None else _inverted(self._matrix)
        return Alignment(
            round(-self.time_offset_us / slower), -self.drift_ppm / slower or 0.0, matrix
        )

    @property
    def _matrix(self) -> Matrix:
        """The homography, or none, with a sign by which points of the picture have w above 0."""
        numbers = self.homography or _NONE
        if numbers[8] >= 0:
            return numbers
        return tuple(-number for number in numbers)  # type: ignore[return-value]

    def times(self, t_us: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the recording's time of times on the clock of the frames, (n,) int64 µs."""
        t = np.asarray(t_us, dtype=np.int64)
        gained = np.floor(t * self.drift_ppm / 1e6 + 0.5).astype(np.int64)
        moved: npt.NDArray[np.int64] = t + self.time_offset_us + gained
        return moved

    def clock(self, clock: FrameClock) -> FrameClock:
        """Return the clock with the recording's times.

        Raises
        ------
        ClockError
            If a frame would have no duration.
        """
        if not (self.time_offset_us or self.drift_ppm):
            return clock
        try:
            return FrameClock(self.times(clock.start_us), self.times(clock.stop_us), clock.source)
        except ClockError as error:
            raise ClockError(
                f"with annotate/drift_ppm: {self.drift_ppm}: {error.problem}", place=error.place
            ) from error

    def points(self, points: FloatArray) -> FloatArray:
        """Return points of a picture, (n, 2) px, on the sensor.

        Raises
        ------
        AnnotationError
            If one has no place there: it is on the homography's horizon, or behind it.
        """
        if self.homography is None:
            return points
        found, w = _projected(self._matrix, points)
        if not (w > 0).all():
            raise AnnotationError(
                f"point {points[int(np.argmin(w))].tolist()} has no place on the sensor by "
                "annotate/homography",
                hint="Is its direction from the picture to the sensor, and the order row by row?",
            )
        return found

    def annotations(self, annotations: Annotations, sensor: tuple[int, int]) -> Annotations:
        """Return annotations in coordinates of the sensor, (height, width) px.

        A box, or an ellipse, that the homography only moves and stretches stays one. Otherwise its
        outline becomes a polygon, whose bounds are the box that is written. Where shapes would go
        another way on the sensor than in the picture that people drew on, gaps of their track are
        filled before that, in the picture. A shape that closes its track need have no place.
        """
        if self.homography is None:
            return annotations
        moved = []
        for track in annotations.tracks:
            if not all(self._keeps_way(shape) for shape in track.shapes):
                track = interpolate(track)
            shapes = []
            for shape in track.shapes:
                try:
                    shapes.append(self._moved(shape))
                except AnnotationError as error:
                    if shape.outside:
                        shapes.append(shape)
                        continue
                    raise AnnotationError(
                        error.problem,
                        path=annotations.source or None,
                        place=f"track {track.id} ({track.label!r}), frame {shape.frame}",
                        hint=error.hint,
                    ) from error
            moved.append(Track(track.id, track.label, tuple(shapes)))
        return replace(annotations, tracks=tuple(moved), picture_shape=sensor)

    def _keeps(self, shape: Shape) -> bool:
        """Return whether a shape keeps its class."""
        if not isinstance(shape, Box | Ellipse):
            return True
        a, b, _, d, e, _, g, h, i = self._matrix
        if (b, d, g, h) != (0, 0, 0, 0) or a / i <= 0 or e / i <= 0:
            return False
        return shape.rotation % 360 == 0 or a == e

    def _keeps_way(self, shape: Shape) -> bool:
        """Return whether a shape goes to the next one on the sensor as it does in the picture.

        Straight ways stay straight and even unless the picture is tilted. Which vertices of
        outlines become each other is a matter of lengths: all must grow alike. Masks do not move.
        """
        a, b, _, d, e, _, g, h, _ = self._matrix
        if isinstance(shape, Polygon | Polyline):
            return (b, d, g, h) == (0, 0, 0, 0) and a == e
        return isinstance(shape, Mask) or ((g, h) == (0, 0) and self._keeps(shape))

    def _moved(self, shape: Shape) -> Shape:
        if isinstance(shape, Mask):
            return self._moved_mask(shape)
        if isinstance(shape, Ellipse) and self._keeps(shape):
            centre, radii = shape.points
            ends = self.points(np.stack([centre, centre + radii]))
            return replace(shape, points=np.stack([ends[0], ends[1] - ends[0]]))
        if self._keeps(shape):
            return replace(shape, points=self.points(shape.points))
        common = {field.name: getattr(shape, field.name) for field in fields(Shape)}
        return Polygon(**{**common, "points": self.points(shape.outline)})

    def _moved_mask(self, mask: Mask) -> Mask:
        """Return the pixels of the sensor whose centres the mask holds."""
        outline = self.points(mask.outline)
        left, top = np.floor(outline.min(axis=0)).astype(int)
        right, bottom = np.maximum(np.ceil(outline.max(axis=0)), [left + 1, top + 1]).astype(int)
        if max(right - left, bottom - top) > LARGEST_PICTURE:
            raise AnnotationError(
                f"mask would be {right - left}x{bottom - top} px by annotate/homography; "
                f"{LARGEST_PICTURE} is the limit of a side"
            )
        width = int(right - left)
        height_at_once = max(_PIXELS_AT_ONCE // width, 1)
        ends: list[npt.NDArray[np.int64]] = []
        was_held = False
        for first in range(top, bottom, height_at_once):
            held = self._held(mask, (left, right), (first, min(first + height_at_once, bottom)))
            edges = np.flatnonzero(np.diff(held, prepend=was_held))
            ends.append(edges + (first - top) * width)
            was_held = bool(held[-1])
        n = int(bottom - top) * width
        runs = np.diff(np.concatenate([[0], *ends, [n]]))
        points = np.array([[left, top], [right, bottom]], dtype=float)
        return replace(mask, points=points, runs=tuple(runs.tolist()))

    def _held(
        self, mask: Mask, columns: tuple[int, int], rows: tuple[int, int]
    ) -> npt.NDArray[np.bool_]:
        """Return which pixels of the sensor have their centre in a mask, row by row."""
        y, x = np.mgrid[slice(*rows), slice(*columns)] + 0.5
        drawn, w = _projected(_inverted(self._matrix), np.stack([x.ravel(), y.ravel()], axis=1))
        height, width = mask.shape
        x, y = (drawn - mask.points[0]).T
        held: npt.NDArray[np.bool_] = (w > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        column, row = (np.where(held, at, 0).astype(int) for at in (x, y))
        held[held] = mask.bitmap[row[held], column[held]]
        return held


def _projected(matrix: Matrix, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return points (n, 2) by a matrix, and w, (n,); by sums that are the same everywhere."""
    x, y = points.T
    u, v, w = (matrix[k] * x + matrix[k + 1] * y + matrix[k + 2] for k in (0, 3, 6))
    safe = np.where(w == 0, 1, w)
    return np.stack([u / safe, v / safe], axis=1), w


def _determinant(m: Sequence[float]) -> float:
    a, b, c, d, e, f, g, h, i = m
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _inverted(m: Matrix) -> Matrix:
    """Return the inverse up to a factor above 0."""
    a, b, c, d, e, f, g, h, i = m
    adjugate = (
        *(e * i - f * h, c * h - b * i, b * f - c * e),
        *(f * g - d * i, a * i - c * g, c * d - a * f),
        *(d * h - e * g, b * g - a * h, a * e - b * d),
    )
    factor = (1 if _determinant(m) > 0 else -1) / max(map(abs, adjugate))
    return tuple(number * factor for number in adjugate)  # type: ignore[return-value]
