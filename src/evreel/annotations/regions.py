"""Annotations laid over a frame clock: regions, where each is in any frame or at any time, boxes.

A sensor pixel (column c, row r) has its centre at ((c + 0.5)·scale, (r + 0.5)·scale) of the
picture. `evreel.annotations.figures` says what each kind of shape covers, and
`evreel.annotations.labelling` which events are in a region.

**At its frame**, a region is where that frame shows it. **At a time**, its shape is on its way: a
drawn shape is of one instant of its frame, and between the instants of two shapes that are listed
one after the other, it moves from one to the other on a straight line in time. It rests before the
first instant of a visible part of its track and after the last, next to a shape that is alone, and
before one that closes the track in the next frame. Which regions there are is a matter of frames in
both cases: an object that closes in frame k exists until that frame starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.annotations.attributes import Coding
from evreel.annotations.choices import PRIMARY, RADIUS_PX, At, Priority
from evreel.annotations.compact import ShapesInARow
from evreel.annotations.figures import (
    COURSES,
    KIND,
    POOLED,
    STEADY,
    WIDE,
    Listed,
    Motion,
    figure,
    motion,
)
from evreel.annotations.shapes import Annotations, Box, FloatArray, Shape, Track
from evreel.annotations.tables import LabelTables, RoiTable, ShapeRows, Spans, TagTable
from evreel.errors import AnnotationError
from evreel.layout import BOX_DTYPE, COLUMN_CHUNK
from evreel.timebase import FrameClock, Instant, Int64Array
from evreel.video.picture import Picture

if TYPE_CHECKING:
    from evreel.kernels.regions import Ways

Int32Array = npt.NDArray[np.int32]

FARTHEST_PX = 1e9
"""Coordinates beyond this are refused: squares and fourth powers of others are in range."""


class Regions:
    """Annotations laid over a recording's frame clock and sensor.

    Each track, and each loose shape of an images export, is one region: a row of the tables.

    Parameters
    ----------
    annotations
        What annotators drew and looked at. `evreel.annotations.shapes.Shape.between` fills the
        frames between two listed shapes of a track.
    clock
        The time that each frame of the annotated video stands for.
    picture
        How the sensor maps to the annotated pictures.
    clip
        Cut off the parts of shapes outside the picture, instead of raising. `repairs` counts
        the shapes.
    radius_px
        Of points and lines, in sensor pixels.
    margin_px
        By how much what shapes cover grows, in sensor pixels, when events are labelled; boxes and
        tables have shapes as they were drawn. `evreel.annotations.figures` says how each kind does.
    primary
        What decides which of several regions an event has first.

    Attributes
    ----------
    tables : labels, regions, tags and labelled intervals, on the recording's time line.
    frames : (n,) int64, numbers of the frames that show a region, ascending.
    n_shapes : how many rows `shape_rows` yields: one per region and frame that shows it.
    radius, margin : in picture pixels.
    repairs : ``clipped_shapes``: listed shapes that reached outside the picture;
        ``skipped_shapes``: shapes that the reader left out.

    Raises
    ------
    AnnotationError
        If frames or picture sizes of the annotations are not the video's, or a shape reaches
        outside the picture.
    """

    def __init__(
        self,
        annotations: Annotations,
        clock: FrameClock,
        picture: Picture,
        *,
        clip: bool = False,
        radius_px: float = RADIUS_PX,
        margin_px: float = 0.0,
        primary: Sequence[Priority] = PRIMARY,
    ) -> None:
        self.clock = clock
        self.picture = picture
        self.radius = float(radius_px * picture.scale)
        self.margin = float(margin_px * picture.scale)
        self._primary = tuple(primary)
        self._source = annotations.source or None
        self._check_picture(annotations)
        self._numbers = {label: number for number, label in enumerate(annotations.labels)}

        # All listed shapes in one list, track by track; the track of shape k continues with shape
        # k + 1 if both are of the same region.
        self._shapes = ShapesInARow(annotations.tracks)
        sizes = self._shapes.sizes
        self._region = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        listed = Listed(self._shapes)
        self._frame, self._kind, self._z_order = listed.frame, listed.kind, listed.z_order
        self._group, self._first, self._pool = listed.group, listed.first, listed.pool
        self._alone, self._keyframe, self._occluded = listed.alone, listed.keyframe, listed.occluded
        outside = listed.outside
        self._check_frames(annotations, outside)
        self._nowhere = self._find_nowhere(annotations, outside)
        self._is_upright = self._kind == KIND[Box.name]
        rotation = self._pool[self._first[1:][self._is_upright] - 1]
        self._is_upright[self._is_upright] = rotation % 360 == 0
        self._bounds = self._bounds_as_listed()
        clipped = self._check_bounds(annotations, ~outside, clip)

        self._linked = self._find_links(outside)
        # One row per region and frame that shows it: the listed shape there, or the one before.
        self._row_frame, self._row_shape = self._lay_on_frames(outside)
        self.frames: Int64Array = np.unique(self._row_frame)
        self.n_shapes = len(self._row_frame)
        of_tags = [tag.attributes for tag in annotations.tags]
        coding = Coding(annotations.attributes, [*listed.attributes, *of_tags])
        self._said, self._attributes = listed.said, coding.columns(listed.attributes)
        self.tables = LabelTables(
            annotations.labels,
            self._roi_table(annotations, sizes),
            self._tag_table(annotations),
            self._labelled(annotations),
            coding.table,
            coding.columns(of_tags),
        )
        self.repairs = {
            "clipped_shapes": clipped,
            "skipped_shapes": sum(annotations.skipped.values()),
        }

    def shapes_of(self, frame: int) -> list[tuple[int, Shape]]:
        """Return the regions that a frame shows: (row of the region, shape), in order of rows."""
        low, high = np.searchsorted(self._row_frame, [frame, frame + 1])
        return [
            (int(self._region[k]), self._shape_in(frame, k))
            for k in self._row_shape[low:high].tolist()
        ]

    def _shape_in(self, frame: int, k: int) -> Shape:
        """Return the shape shown in a frame that listed shape k covers."""
        shape = self._shapes[k]
        if shape.frame == frame:
            return shape
        if self._nowhere[k + 1]:
            return shape.at(shape, 0.0, frame)
        return shape.between(self._shapes[k + 1], frame)

    def shape_rows(self, most: int = COLUMN_CHUNK) -> Iterator[ShapeRows]:
        """Yield all shapes as frames show them, at most so many rows at a time."""
        for start in range(0, self.n_shapes, most):
            rows = slice(start, start + most)
            yield self._as_rows(self._row_frame[rows], self._row_shape[rows])

    def _as_rows(self, frame: Int64Array, shape: Int64Array) -> ShapeRows:
        scale = self.picture.scale
        listed = self._frame[shape] == frame
        bounds = self._bounds_in(frame, shape) / scale
        is_upright = self._is_upright[shape]
        following = np.minimum(shape + 1, len(self._kind) - 1)
        turns = (self._kind[following] == KIND[Box.name]) & ~self._is_upright[following]
        is_upright &= listed | ~turns
        vertices, first = self._vertices(frame, shape, is_upright, bounds)
        left, top, right, bottom = bounds.T
        x, y, w, h, vertex_x, vertex_y = (
            column.astype(np.float32)
            for column in (left, top, right - left, bottom - top, *vertices.T)
        )
        return ShapeRows(
            frame=frame,
            roi=self._region[shape],
            start_us=self.clock.start_us[frame],
            stop_us=self.clock.stop_us[frame],
            kind=self._kind[shape],
            x=x,
            y=y,
            w=w,
            h=h,
            keyframe=self._keyframe[shape].astype(np.uint8) * listed,
            occluded=self._occluded[shape].astype(np.uint8),
            z_order=self._z_order[shape].astype(np.int32),
            group=self._group[shape],
            first_vertex=first[:-1],
            n_vertices=np.diff(first).astype(np.int32),
            vertex_x=vertex_x,
            vertex_y=vertex_y,
            attributes=tuple(column[self._said[shape]] for column in self._attributes),
        )

    def _vertices(
        self,
        frame: Int64Array,
        shape: Int64Array,
        is_upright: npt.NDArray[np.bool_],
        bounds: FloatArray,
    ) -> tuple[FloatArray, Int64Array]:
        """Return the vertices of outlines, (m, 2) in sensor pixels, and where each begins (n + 1).

        `bounds`, (n, 4), are of sensor pixels too.
        """
        from evreel.kernels.regions import gather

        scale = self.picture.scale
        is_pooled = np.isin(self._kind[shape], POOLED) & (self._frame[shape] == frame)
        count = np.where(is_pooled, np.diff(self._first)[shape] // 2, 4)
        own = {
            k: self._shape_in(int(frame[k]), int(shape[k])).outline / scale
            for k in np.flatnonzero(~is_pooled & ~is_upright).tolist()
        }
        count[list(own)] = [len(outline) for outline in own.values()]
        first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(count)])
        vertices: FloatArray = np.empty((first[-1], 2))
        gather(self._pool, np.where(is_pooled, self._first[shape], -1), 2 * first, vertices.ravel())
        vertices[np.repeat(is_pooled, count)] /= scale
        for corner, sides in enumerate(([0, 1], [2, 1], [2, 3], [0, 3])):
            vertices[first[:-1][is_upright] + corner] = bounds[is_upright][:, sides]
        for k, outline in own.items():
            vertices[first[k] : first[k + 1]] = outline
        return vertices, first

    def _bounds_in(self, frame: Int64Array, shape: Int64Array) -> FloatArray:
        """Return what shapes cover in frames, (n, 4), in picture pixels."""
        bounds = self._bounds[shape]
        way = frame - self._frame[shape]
        following = np.minimum(shape + 1, len(self._frame) - 1)
        straight = self._is_upright[shape] & self._is_upright[following] & ~self._nowhere[following]
        rows = np.flatnonzero((way > 0) & straight)
        left, right = shape[rows], following[rows]
        # As `Box.at` has it, a hundred times as fast.
        share = way[rows] / (self._frame[right] - self._frame[left])
        bounds[rows] += share[:, None] * (self._bounds[right] - self._bounds[left])
        for row in np.flatnonzero((way > 0) & ~straight).tolist():
            bounds[row] = self._shape_in(int(frame[row]), int(shape[row])).bounds
        reach = np.isin(self._kind[shape], WIDE) * self.radius
        return bounds + reach[:, None] * [-1, -1, 1, 1]

    def boxes(
        self,
        times: npt.ArrayLike | None = None,
        *,
        at: At = "frame",
        instant: Instant = "middle",
    ) -> npt.NDArray[np.void]:
        """Return one EventBbox record for each region and frame that shows it, or at given times.

        Parameters
        ----------
        times
            (m,) µs, ascending: one record for each region at each of them, instead of one for each
            frame. A time belongs to the frame with ``start < t <= stop``, because a label says what
            was before it.
        at, instant
            Where a region is at one of these times: where that frame shows it, or, with
            ``at="event"``, where it is at that very time, as `Annotator` takes it.

        Returns
        -------
        (n,) of `evreel.layout.BOX_DTYPE`, by time, then by region. `t` is the time, or the frame's
        `stop_us`, because a label is known when its frame is complete. `x`, `y`, `w`, `h`: the
        shape's bounding box in sensor pixels, cut off at the sensor's edges; without a record
        if it is all outside. `class_id` is a row of the labels, `track_id` a row of the regions
        (so that loose shapes have one too), `class_confidence` is 1.
        """
        if times is None:
            rows, t = np.arange(self.n_shapes), self.clock.stop_us[self._row_frame]
        else:
            rows, t = self._rows_at(np.asarray(times, dtype=np.int64))
        instants = None if times is None or at == "frame" else self.clock.instants(instant)
        records, n = np.zeros(len(rows), dtype=BOX_DTYPE), 0
        for start in range(0, len(rows), COLUMN_CHUNK):
            part = slice(start, start + COLUMN_CHUNK)
            made = self._records(rows[part], t[part], instants)
            records[n : n + len(made)] = made
            n += len(made)
        return records[:n]

    def _records(
        self, rows: Int64Array, t: Int64Array, instants: Int64Array | None
    ) -> npt.NDArray[np.void]:
        """Return a record for each row and its time, where any of it is on the sensor.

        Regions are where the frame shows them, or, with `instants`, where they are at that time.
        """
        shape_of = self._row_shape[rows]
        bounds = self._bounds_in(self._row_frame[rows], shape_of)
        if instants is not None:
            for k, (row, moment) in enumerate(zip(rows.tolist(), t.tolist(), strict=True)):
                bounds[k] = self._reached(self._shape_at(row, moment, instants))
        height, width = self.picture.sensor
        left, top, right, bottom = (
            np.clip(bounds[:, side] / self.picture.scale, 0, limit)
            for side, limit in enumerate((width, height, width, height))
        )
        region = self._region[shape_of]
        records = np.zeros(len(rows), dtype=BOX_DTYPE)
        records["t"] = t
        records["x"], records["y"] = left, top
        records["w"], records["h"] = right - left, bottom - top
        records["class_id"] = self.tables.rois.label[region]
        records["track_id"] = region
        records["class_confidence"] = 1
        kept: npt.NDArray[np.void] = records[(right > left) & (bottom > top)]
        return kept

    def _rows_at(self, times: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the rows of the shapes at each time, and the time of each row."""
        frame = np.searchsorted(self.clock.stop_us, times)
        inside = frame < len(self.clock)
        inside[inside] &= self.clock.start_us[frame[inside]] < times[inside]
        rows, first = ranges(*self.rows_of(frame[inside]))
        return rows, np.repeat(times[inside], np.diff(first))

    def _shape_at(self, row: int, t_us: int, instants: Int64Array) -> Shape:
        """Return the shape of a row at a time in its frame, on its way between two listed ones."""
        frame, left = int(self._row_frame[row]), int(self._row_shape[row])
        is_listed = frame == self._frame[left]
        if is_listed and t_us < instants[frame]:
            if not left or not self._linked[left - 1]:
                return self._shapes[left]
            left -= 1
        elif not self._linked[left]:
            return self._shape_in(frame, left)
        start, stop = self._instant_of(np.array([left, left + 1]), instants).tolist()
        share = (t_us - start) / (stop - start)
        one, other = self._shapes[left], self._shapes[left + 1]
        if self._kind[left] not in COURSES:
            return one.at(other, share, frame)
        points, following = one.matched(other)  # all vertices, as events are labelled by
        return replace(one, points=points + share * (following - points))

    def _reached(self, shape: Shape) -> list[float]:
        """Return what a shape covers, left, top, right and bottom, in picture pixels."""
        reach = self.radius if KIND[shape.name] in WIDE else 0.0
        return [
            side + sign * reach for side, sign in zip(shape.bounds, (-1, -1, 1, 1), strict=True)
        ]

    def rows_of(self, frames: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return first and last + 1 row of the shapes of each frame."""
        return (
            np.searchsorted(self._row_frame, frames),
            np.searchsorted(self._row_frame, frames, side="right"),
        )

    def region_of(self, rows: Int64Array) -> Int32Array:
        """Return the region of each row."""
        return self._region[self._row_shape[rows]]

    def in_order(self, frames: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the rows of frames, each from the lowest shape up, and where each frame begins."""
        from evreel.kernels.regions import areas

        rows, first = ranges(*self.rows_of(frames))
        kind, place, numbers = self.figures(rows)
        area = np.empty(len(rows))
        areas(kind, place, numbers, self.radius, area)
        shape = self._row_shape[rows]
        keys: dict[Priority, npt.NDArray[Any]] = {
            "z_order": self._z_order[shape],
            "area": -np.round(area, 5),
            "track": self._region[shape],
        }
        of_frame = np.repeat(np.arange(len(frames)), np.diff(first))
        order = [keys["track"], *(keys[name] for name in self._primary[::-1]), of_frame]
        return rows[np.lexsort(order)], first

    def figures(self, rows: Int64Array) -> tuple[npt.NDArray[np.int8], Int64Array, FloatArray]:
        """Return the shapes of rows: kind (n,), where numbers begin (n + 1,), and numbers."""
        from evreel.kernels.regions import gather, move_all

        shape = self._row_shape[rows]
        frame = self._row_frame[rows]
        way = frame - self._frame[shape]
        drawn = np.flatnonzero((way > 0) & ~np.isin(self._kind[shape], STEADY))
        own = {
            k: figure(self._shape_in(int(frame[k]), int(shape[k]))).numbers for k in drawn.tolist()
        }
        sizes = np.diff(self._first)[shape]
        sizes[drawn] = [len(own[k]) for k in drawn.tolist()]
        place = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
        begin = self._first[shape]
        begin[drawn] = -1
        start = np.empty(place[-1])
        gather(self._pool, begin, place, start)
        for k, numbers in own.items():
            start[place[k] : place[k + 1]] = numbers
        moved = (way > 0) & (begin >= 0) & self._is_steady(shape)
        if not moved.any():
            return self._kind[shape], place, start
        following = np.minimum(shape + 1, len(self._frame) - 1)
        stop, numbers = np.empty((2, len(start)))
        gather(self._pool, np.where(moved, self._first[following], begin), place, stop)
        share = np.where(moved, way, 0) / np.where(
            moved, self._frame[following] - self._frame[shape], 1
        )
        for k in drawn.tolist():
            stop[place[k] : place[k + 1]] = own[k]
        move_all(self._kind[shape], place, start, stop, share, numbers)
        return self._kind[shape], place, numbers

    def at_rest(self, rows: Int64Array) -> Ways:
        """Return the shapes of rows, none of which moves."""
        from evreel.kernels.regions import Ways

        kind, first, numbers = self.figures(rows)
        never = np.zeros(len(kind), dtype=np.int64)
        return Ways(kind, first, numbers, numbers, never, never)

    def listed_of(
        self, rows: Int64Array, later: npt.NDArray[np.bool_]
    ) -> tuple[Int64Array, Int64Array]:
        """Return between which two listed shapes those of rows are; twice the same if they rest."""
        shape = self._row_shape[rows]
        from_last = (self._row_frame[rows] == self._frame[shape]) & ~later
        left = np.where(from_last & self._linked[shape - 1] & (shape > 0), shape - 1, shape)
        moves = np.where(from_last, left < shape, self._linked[shape])
        return left, np.where(moves, left + 1, left)

    def ways(self, rows: Int64Array, later: npt.NDArray[np.bool_], instants: Int64Array) -> Ways:
        """Return the shapes of rows on their way from one listed shape to the next.

        Parameters
        ----------
        rows
            (n,) rows of shapes.
        later
            (n,) bool, whether the time after the frame's instant is meant; else that before it.
        instants
            The moment of each frame of the clock that its shapes are of.
        """
        from evreel.kernels.regions import Ways, gather

        left, right = self.listed_of(rows, later)
        moves = left < right
        steady = self._is_steady(left) & moves
        steady |= self._keeps_order(left, right, moves & ~steady)
        begin, end = self._first[left], np.where(steady, self._first[right], self._first[left])
        sizes = np.diff(self._first)[left]
        ways: dict[int, Motion] = {}
        found: dict[int, Motion | None] = {}  # each way is taken before and after an instant
        for k in np.flatnonzero(moves & ~steady).tolist():
            one, other = int(left[k]), int(right[k])
            if one not in found:
                found[one] = motion(self._shapes[one], self._shapes[other])
            way = found[one]
            if way is None:
                moves[k] = False
                continue
            ways[k] = way
            sizes[k] = len(way.start)
            begin[k] = end[k] = -1
        place = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
        start, stop = np.empty((2, int(place[-1])))
        gather(self._pool, begin, place, start)
        gather(self._pool, end, place, stop)
        for k, way in ways.items():
            start[place[k] : place[k + 1]] = way.start
            stop[place[k] : place[k + 1]] = way.stop
        from_us = self._instant_of(left, instants)
        to_us = np.where(moves, self._instant_of(right, instants), from_us)
        return Ways(self._kind[left], place, start, stop, from_us, to_us)

    def _instant_of(self, shape: Int64Array, instants: Int64Array) -> Int64Array:
        """Return when a listed shape is; frames beyond the clock are as long as its last."""
        frame = self._frame[shape]
        n = len(instants)
        beyond = np.maximum(frame - (n - 1), 0)
        length = self.clock.stop_us[-1] - self.clock.start_us[-1] if n else 0
        moment: Int64Array = instants[np.minimum(frame, n - 1)] + beyond * length
        return moment

    def _is_steady(self, shape: Int64Array) -> npt.NDArray[np.bool_]:
        """Return whether the numbers of shapes become those of the next, one by one."""
        following = np.minimum(shape + 1, len(self._kind) - 1)
        steady: npt.NDArray[np.bool_] = np.isin(self._kind[shape], STEADY)
        steady &= (self._kind[following] == self._kind[shape]) & ~self._nowhere[following]
        return steady

    def _keeps_order(
        self, left: Int64Array, right: Int64Array, asked: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Return which outlines become the next ones vertex by vertex; False unless asked."""
        from evreel.kernels.regions import keep_order

        sizes = np.diff(self._first)
        kind = self._kind[left]
        asked = asked & np.isin(kind, COURSES) & (kind == self._kind[right])
        asked &= (sizes[left] == sizes[right]) & ~self._nowhere[right]
        rows = np.flatnonzero(asked)
        same = np.zeros(len(rows), dtype=np.bool_)
        begin, end = self._first[left[rows]], self._first[right[rows]]
        closed = kind[rows] == KIND["polygon"]
        keep_order(self._pool, begin, end, sizes[left[rows]], closed, same)
        found = np.zeros(len(left), dtype=np.bool_)
        found[rows] = same
        return found

    def _find_links(self, outside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which shapes are on their way to the next one listed.

        One that closes its track in the next frame says only that the object is gone then.
        """
        linked = np.zeros(len(self._frame), dtype=np.bool_)
        linked[:-1] = self._region[1:] == self._region[:-1]
        linked[:-1] &= ~outside[:-1] & ~self._alone[:-1]
        linked[:-1] &= ~outside[1:] | (np.diff(self._frame) > 1)
        linked[:-1] &= ~self._nowhere[1:]
        return linked

    def _check_picture(self, annotations: Annotations) -> None:
        drawn, video = annotations.picture_shape, self.picture.shape
        if drawn is not None and drawn != video:
            raise AnnotationError(
                f"was drawn on {drawn[1]}x{drawn[0]} pictures; the video's are "
                f"{video[1]}x{video[0]}",
                path=self._source,
                hint="Was it made from another video?",
            )

    def _check_frames(self, annotations: Annotations, outside: npt.NDArray[np.bool_]) -> None:
        n = len(self.clock)
        beyond = [
            *annotations.frames[-1:],
            int(self._frame[~outside].max(initial=-1)),
            *(tag.frame for tag in annotations.tags),
        ]
        last = max(beyond, default=-1)
        if last >= n:
            raise AnnotationError(
                f"has frame {last}; the video has {n} frames, 0 to {n - 1}",
                path=self._source,
                hint="Was it made from another video?",
            )

    def _find_nowhere(
        self, annotations: Annotations, outside: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Return which shapes have no place; only one that closes its track may be such a one."""
        bad = ~(np.abs(self._pool) <= FARTHEST_PX)
        nowhere = np.zeros(len(self._shapes), dtype=np.bool_)
        nowhere[np.searchsorted(self._first, np.flatnonzero(bad), side="right") - 1] = True
        if (nowhere & ~outside).any():
            k = int(np.argmax(nowhere & ~outside))
            track, shape = annotations.tracks[self._region[k]], self._shapes[k]
            of_shape = self._pool[self._first[k] : self._first[k + 1]]
            number = of_shape[~(np.abs(of_shape) <= FARTHEST_PX)][0]
            raise AnnotationError(
                f"{shape.name} has the coordinate {number}, which is not a number within "
                f"{FARTHEST_PX:g} px",
                path=self._source,
                place=_place(track, shape),
                hint="Correct it in CVAT, and export again.",
            )
        self._pool[bad] = 0.0
        return nowhere

    def _bounds_as_listed(self) -> FloatArray:
        """Return left, top, right, bottom of each listed shape, (n, 4), in picture pixels."""
        from evreel.kernels.regions import bounds_of

        bounds: FloatArray = np.empty((len(self._kind), 4))
        bounds_of(self._kind, self._first, self._pool, bounds)
        for k in np.flatnonzero(np.isnan(bounds[:, 0]) & ~self._nowhere).tolist():
            bounds[k] = self._shapes[k].bounds
        bounds[self._nowhere] = 0.0
        return bounds

    def _check_bounds(
        self, annotations: Annotations, visible: npt.NDArray[np.bool_], clip: bool
    ) -> int:
        """Return how many shapes reach outside the picture; raise unless they may be clipped."""
        over = _over_edges(self._bounds, self.picture.shape) & visible[:, None]
        shapes = np.flatnonzero(over.any(axis=1))
        if shapes.size and not clip:
            k = int(shapes[0])
            track = annotations.tracks[self._region[k]]
            _fail_outside(annotations, track, self._shapes[k], self.picture.shape)
        return len(shapes)

    def _lay_on_frames(self, outside: npt.NDArray[np.bool_]) -> tuple[Int64Array, Int64Array]:
        """Return the frame and shape of each row, by frame, then by region.

        A shape covers its own frame and those up to the next listed shape of its track. The last
        shape, and one that is alone, cover only their own frame, a closing one none.
        """
        frame = self._frame
        stop = frame + 1
        goes_on = np.flatnonzero(self._region[1:] == self._region[:-1])
        back = goes_on[frame[goes_on + 1] <= frame[goes_on]]
        if back.size:
            k = int(back[0])
            raise AnnotationError(
                f"frame {frame[k + 1]} is listed after frame {frame[k]} of the same track",
                path=self._source,
                place=f"region {self._region[k]}",
            )
        goes_on = goes_on[~self._alone[goes_on]]
        stop[goes_on] = np.minimum(frame[goes_on + 1], len(self.clock))
        served = np.where(outside, 0, stop - frame)
        shape = np.repeat(np.arange(len(frame), dtype=np.int64), served)
        row_frame, _ = ranges(frame, frame + served)
        order = np.argsort(row_frame, kind="stable")
        return row_frame[order], shape[order]

    def _label_numbers(self, labels: list[str]) -> Int32Array:
        unknown = next((label for label in labels if label not in self._numbers), None)
        if unknown is not None:
            raise AnnotationError(
                f"label {unknown!r} is not one of {', '.join(self._numbers)}", path=self._source
            )
        return np.array([self._numbers[label] for label in labels], dtype=np.int32)

    def _roi_table(self, annotations: Annotations, sizes: Int64Array) -> RoiTable:
        n = len(annotations.tracks)
        first = np.full(n, np.iinfo(np.int64).max)
        last = np.full(n, -1, dtype=np.int64)
        region = self._region[self._row_shape]
        np.minimum.at(first, region, self._row_frame)
        np.maximum.at(last, region, self._row_frame)
        shown = last >= 0
        start_us, stop_us = np.full((2, n), -1, dtype=np.int64)
        start_us[shown] = self.clock.start_us[first[shown]]
        stop_us[shown] = self.clock.stop_us[last[shown]]
        has_shapes = sizes > 0
        first_shape = (np.cumsum(sizes) - sizes)[has_shapes]
        kind, group = np.full(n, -1, dtype=np.int8), np.zeros(n, dtype=np.int64)
        kind[has_shapes], group[has_shapes] = self._kind[first_shape], self._group[first_shape]
        return RoiTable(
            np.array([track.id for track in annotations.tracks], dtype=np.int64),
            self._label_numbers([track.label for track in annotations.tracks]),
            start_us,
            stop_us,
            kind,
            group,
        )

    def _tag_table(self, annotations: Annotations) -> TagTable:
        frame = np.array([tag.frame for tag in annotations.tags], dtype=np.int64)
        return TagTable(
            frame,
            self._label_numbers([tag.label for tag in annotations.tags]),
            self.clock.start_us[frame],
            self.clock.stop_us[frame],
        )

    def _labelled(self, annotations: Annotations) -> Spans:
        """Return the intervals of the frames that annotators looked at, neighbours joined."""
        frames = np.unique(np.array(annotations.frames, dtype=np.int64))
        start_us, stop_us = self.clock.start_us[frames], self.clock.stop_us[frames]
        apart = start_us[1:] != stop_us[:-1]
        return Spans(
            start_us[np.concatenate([np.ones(len(frames[:1]), bool), apart])],
            stop_us[np.concatenate([apart, np.ones(len(frames[:1]), bool)])],
        )


def _over_edges(
    bounds: npt.NDArray[np.float64], picture_shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return which sides of bounds, (n, 4), are outside a picture of (height, width)."""
    height, width = picture_shape
    over: npt.NDArray[np.bool_] = bounds * [1, 1, -1, -1] < [0, 0, -width, -height]
    return over


def _fail_outside(
    annotations: Annotations, track: Track, shape: Shape, picture_shape: tuple[int, int]
) -> NoReturn:
    height, width = picture_shape
    side = int(np.argmax(_over_edges(np.array([shape.bounds]), picture_shape)[0]))
    axis, limit, name = (("x", width, "wide"), ("y", height, "high"))[side % 2]
    raise AnnotationError(
        f"{shape.name} reaches {axis}={shape.bounds[side]}, outside the {limit} px {name} picture",
        path=annotations.source or None,
        place=_place(track, shape),
        hint="Export again from CVAT, or set annotate.clip: true.",
    )


def _place(track: Track, shape: Shape) -> str:
    who = f"track {track.id}" if track.id >= 0 else "loose shape"
    return f"{who} ({track.label!r}), frame {shape.frame}"


def check_within(annotations: Annotations) -> None:
    """Raise if a shape reaches outside the pictures, where their size is stated.

    Raises
    ------
    AnnotationError
        With the track and the frame.
    """
    if annotations.picture_shape is None:
        return
    height, width = annotations.picture_shape
    for track in annotations.tracks:
        for shape in track.shapes:
            if not shape.outside:
                left, top, right, bottom = shape.bounds
                if left < 0 or top < 0 or right > width or bottom > height:
                    _fail_outside(annotations, track, shape, annotations.picture_shape)


def ranges(start: Int64Array, stop: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the numbers of several ranges, one after the other, and where each begins (k + 1).

    Examples
    --------
    >>> [column.tolist() for column in ranges(np.array([3, 8]), np.array([5, 9]))]
    [[3, 4, 8], [0, 2, 3]]
    """
    sizes = stop - start
    first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
    return np.arange(first[-1]) + np.repeat(start - first[:-1], sizes), first
