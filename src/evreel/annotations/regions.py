"""Joins events, a frame clock and annotations: the region of each event, and boxes.

An event belongs to the frame whose interval ``[start, stop)`` holds its timestamp, and to the
regions that are visible in that frame and hold the centre of its pixel. A sensor pixel (column c,
row r) has its centre at ((c + 0.5)·scale, (r + 0.5)·scale) of the picture. A box includes its left
and top edges and excludes its right and bottom edges. A polygon follows the even-odd rule and
treats edges the same way, so that two outlines with a common edge never share a pixel.

If several regions hold an event, its primary one has the highest z order; among equals, the
smallest outline in that frame, by area in picture pixels squared to five decimals; among those,
the lowest row of the regions. Five decimals hold all that coordinates of two decimals produce, and
no arithmetic noise, so that regions of equal size keep their order from frame to frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.annotations.attributes import Coding
from evreel.annotations.figures import KIND, WIDE
from evreel.annotations.shapes import Annotations, Box, FloatArray, Shape, Track
from evreel.annotations.tables import LabelTables, RoiTable, ShapeRows, Spans, TagTable
from evreel.errors import AnnotationError
from evreel.layout import BOX_DTYPE, COLUMN_CHUNK
from evreel.timebase import FrameClock, Int64Array
from evreel.video.picture import Picture

if TYPE_CHECKING:
    from evreel.events import Events

Int32Array = npt.NDArray[np.int32]

RADIUS_PX = 2.0
"""Radius of points and lines, sensor pixels: what annotators can aim at."""


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

    Attributes
    ----------
    tables : labels, regions, tags and labelled intervals, on the recording's time line.
    frames : (n,) int64, numbers of the frames that show a region, ascending.
    n_shapes : how many rows `shape_rows` yields: one per region and frame that shows it.
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
    ) -> None:
        self.clock = clock
        self.picture = picture
        self._radius = radius_px * picture.scale
        self._source = annotations.source or None
        self._check_picture(annotations)
        self._check_frames(annotations)
        self._numbers = {label: number for number, label in enumerate(annotations.labels)}

        # All listed shapes in one list, track by track; the track of shape k continues with shape
        # k + 1 if both are of the same region.
        self._shapes: list[Shape] = [s for track in annotations.tracks for s in track.shapes]
        sizes = [len(track.shapes) for track in annotations.tracks]
        self._region = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        n = len(self._shapes)
        # (n, 4): left, top, right, bottom of each, in picture pixels.
        self._bounds = np.fromiter((s.bounds for s in self._shapes), np.dtype("4f8"), n)
        self._frame = np.fromiter((s.frame for s in self._shapes), np.int64, n)
        self._kind = np.fromiter((KIND[s.name] for s in self._shapes), np.int8, n)
        outside = np.fromiter((s.outside for s in self._shapes), bool, n)
        clipped = self._check_bounds(annotations, ~outside, clip)

        # One row per region and frame that shows it: the listed shape there, or the one before.
        self._row_frame, self._row_shape = self._lay_on_frames(outside)
        self.frames: Int64Array = np.unique(self._row_frame)
        self.n_shapes = len(self._row_frame)
        coding = Coding(annotations)
        self._attributes = coding.columns([s.attributes for s in self._shapes])
        self.tables = LabelTables(
            annotations.labels,
            self._roi_table(annotations),
            self._tag_table(annotations),
            self._labelled(annotations),
            coding.table,
            coding.columns([tag.attributes for tag in annotations.tags]),
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
        return shape if shape.frame == frame else shape.between(self._shapes[k + 1], frame)

    def shape_rows(self, most: int = COLUMN_CHUNK) -> Iterator[ShapeRows]:
        """Yield all shapes as frames show them, at most so many rows at a time."""
        for start in range(0, self.n_shapes, most):
            rows = slice(start, start + most)
            yield self._as_rows(self._row_frame[rows], self._row_shape[rows])

    def _as_rows(self, frame: Int64Array, shape: Int64Array) -> ShapeRows:
        scale = self.picture.scale
        listed = self._frame[shape] == frame
        bounds = self._bounds_in(frame, shape) / scale
        outlines: list[FloatArray] = []
        for k, corners, number in zip(shape.tolist(), bounds.tolist(), frame.tolist(), strict=True):
            drawn = self._shapes[k]
            if isinstance(drawn, Box) and not drawn.rotation % 360:
                left, top, right, bottom = corners
                outlines.append(
                    np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
                )
            else:
                outlines.append(self._shape_in(number, k).outline / scale)
        vertices, first = _in_a_row(outlines)
        of_shapes = [self._shapes[k] for k in shape.tolist()]
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
            keyframe=np.array([s.keyframe for s in of_shapes], dtype=np.uint8) * listed,
            occluded=np.array([s.occluded for s in of_shapes], dtype=np.uint8),
            z_order=np.array([s.z_order for s in of_shapes], dtype=np.int32),
            group=np.array([s.group for s in of_shapes], dtype=np.int64),
            first_vertex=first[:-1],
            n_vertices=np.diff(first).astype(np.int32),
            vertex_x=vertex_x,
            vertex_y=vertex_y,
            attributes=tuple(column[shape] for column in self._attributes),
        )

    def _bounds_in(self, frame: Int64Array, shape: Int64Array) -> FloatArray:
        """Return what shapes cover in frames, (n, 4), in picture pixels."""
        bounds = self._bounds[shape]
        for row in np.flatnonzero(frame != self._frame[shape]).tolist():
            bounds[row] = self._shape_in(int(frame[row]), int(shape[row])).bounds
        reach = np.isin(self._kind[shape], WIDE) * self._radius
        return bounds + reach[:, None] * [-1, -1, 1, 1]

    def boxes(self) -> npt.NDArray[np.void]:
        """Return one EventBbox record for each region and frame that shows it.

        Returns
        -------
        (n,) of `evreel.layout.BOX_DTYPE`, by time, then by region. `t` is the frame's
        `stop_us`, because a label is known when its frame is complete. `x`, `y`, `w`, `h`: the
        outline's bounding box in sensor pixels, cut off at the sensor's edges; without a record
        if it is all outside. `class_id` is a row of the labels, `track_id` a row of the regions
        (so that loose shapes have one too), `class_confidence` is 1.
        """
        frame, shape = self._row_frame, self._row_shape
        bounds = self._bounds_in(frame, shape)
        height, width = self.picture.sensor
        left, top, right, bottom = (
            np.clip(bounds[:, side] / self.picture.scale, 0, limit)
            for side, limit in enumerate((width, height, width, height))
        )
        region = self._region[shape]
        records = np.zeros(len(shape), dtype=BOX_DTYPE)
        records["t"] = self.clock.stop_us[frame]
        records["x"], records["y"] = left, top
        records["w"], records["h"] = right - left, bottom - top
        records["class_id"] = self.tables.rois.label[region]
        records["track_id"] = region
        records["class_confidence"] = 1
        kept: npt.NDArray[np.void] = records[(right > left) & (bottom > top)]
        return kept

    def _check_picture(self, annotations: Annotations) -> None:
        drawn, video = annotations.picture_shape, self.picture.shape
        if drawn is not None and drawn != video:
            raise AnnotationError(
                f"was drawn on {drawn[1]}x{drawn[0]} pictures; the video's are "
                f"{video[1]}x{video[0]}",
                path=self._source,
                hint="Was it made from another video?",
            )

    def _check_frames(self, annotations: Annotations) -> None:
        n = len(self.clock)
        beyond = [
            *([max(annotations.frames)] if annotations.frames else []),
            *(s.frame for track in annotations.tracks for s in track.shapes if not s.outside),
            *(tag.frame for tag in annotations.tags),
        ]
        last = max(beyond, default=-1)
        if last >= n:
            raise AnnotationError(
                f"has frame {last}; the video has {n} frames, 0 to {n - 1}",
                path=self._source,
                hint="Was it made from another video?",
            )

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
        alone = np.fromiter((s.alone for s in self._shapes), bool, len(self._shapes))
        goes_on = np.flatnonzero(self._region[1:] == self._region[:-1])
        back = goes_on[frame[goes_on + 1] <= frame[goes_on]]
        if back.size:
            k = int(back[0])
            raise AnnotationError(
                f"frame {frame[k + 1]} is listed after frame {frame[k]} of the same track",
                path=self._source,
                place=f"region {self._region[k]}",
            )
        goes_on = goes_on[~alone[goes_on]]
        stop[goes_on] = np.minimum(frame[goes_on + 1], len(self.clock))
        served = np.where(outside, 0, stop - frame)
        shape = np.repeat(np.arange(len(frame), dtype=np.int64), served)
        offset = np.arange(len(shape)) - np.repeat(np.cumsum(served) - served, served)
        row_frame = frame[shape] + offset
        order = np.argsort(row_frame, kind="stable")
        return row_frame[order], shape[order]

    def _label_numbers(self, labels: list[str]) -> Int32Array:
        unknown = next((label for label in labels if label not in self._numbers), None)
        if unknown is not None:
            raise AnnotationError(
                f"label {unknown!r} is not one of {', '.join(self._numbers)}", path=self._source
            )
        return np.array([self._numbers[label] for label in labels], dtype=np.int32)

    def _roi_table(self, annotations: Annotations) -> RoiTable:
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
        firsts = [track.shapes[0] if track.shapes else None for track in annotations.tracks]
        return RoiTable(
            np.array([track.id for track in annotations.tracks], dtype=np.int64),
            self._label_numbers([track.label for track in annotations.tracks]),
            start_us,
            stop_us,
            np.array([KIND[s.name] if s else -1 for s in firsts], dtype=np.int8),
            np.array([s.group if s else 0 for s in firsts], dtype=np.int64),
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
    who = f"track {track.id}" if track.id >= 0 else "loose shape"
    raise AnnotationError(
        f"{shape.name} reaches {axis}={shape.bounds[side]}, outside the {limit} px {name} picture",
        path=annotations.source or None,
        place=f"{who} ({track.label!r}), frame {shape.frame}",
        hint="Export again from CVAT, or set annotate.clip: true.",
    )


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


def check_task(annotations: Annotations, clock: FrameClock) -> None:
    """Raise if annotations are of a task, or a job, that lacks frames of the video.

    Frame numbers alone fit any video that is long enough. With other windows, every label would
    land at the wrong time.

    Raises
    ------
    AnnotationError
        With the frames that each has.
    """
    task, n = annotations.task, len(clock)
    if task is None or (task[0] < task.step and task[-1] < n <= task[-1] + task.step):
        return
    raise AnnotationError(
        f"its task has the frames {task[0]} to {task[-1]}, the video 0 to {n - 1}",
        path=annotations.source or None,
        hint="Was it made from another video, with another window_us? If only part of this one "
        "was meant to be annotated, set annotate.part_of_video: true.",
    )


class EventLabels(NamedTuple):
    """The regions of a chunk of events.

    Parameters
    ----------
    roi : (n,) int32, each event's primary region, −1 none.
    overlap_event : (m,) int64, event row in the recording, one per additional region.
    overlap_roi : (m,) int32, that region. Rows are in order of events, then of priority.
    """

    roi: Int32Array
    overlap_event: Int64Array
    overlap_roi: Int32Array


class Annotator:
    """Labels events chunk by chunk; each frame is drawn once, when its first event comes.

    Parameters
    ----------
    regions
        The regions.
    first_row
        Row in the recording of the first event to come.
    """

    def __init__(self, regions: Regions, first_row: int = 0) -> None:
        from evreel.kernels import regions as kernels

        self._kernels = kernels
        self._regions = regions
        self._row = first_row
        self._drawn = -1
        sensor = regions.picture.sensor
        self._primary = np.full(sensor, -1, dtype=np.int32)
        self._head = np.full(sensor, -1, dtype=np.int32)
        self._spans = np.empty((0, 4), dtype=np.int32)
        self._node_roi, self._node_next = np.empty((2, 0), dtype=np.int32)
        self._filled = np.empty(sensor[0] + 1, dtype=np.int64)

    def label(self, events: Events) -> EventLabels:
        """Return the regions of the next chunk of events.

        Raises
        ------
        AnnotationError
            If the events' sensor is not the annotated video's.
        """
        if tuple(events.sensor) != tuple(self._regions.picture.sensor):
            height, width = self._regions.picture.sensor
            raise AnnotationError(
                f"the events' sensor is {events.sensor.width}x{events.sensor.height}; the "
                f"annotated video shows {width}x{height}",
                hint="Make the video from this recording, with its present crop.",
            )
        roi = np.full(len(events), -1, dtype=np.int32)
        overlaps: list[tuple[Int64Array, Int32Array]] = []
        for frame, low, high in self._frames_of(events.t):
            self._draw(frame)
            x, y = events.x[low:high], events.y[low:high]
            self._kernels.look_up(x, y, self._primary, roi[low:high])
            if len(self._node_roi):
                n = self._kernels.count_overlaps(x, y, self._head, self._node_next)
                overlap = (np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int32))
                self._kernels.list_overlaps(
                    x,
                    y,
                    self._head,
                    self._node_roi,
                    self._node_next,
                    self._row + low,
                    *overlap,
                )
                overlaps.append(overlap)
        self._row += len(events)
        return EventLabels(
            roi,
            np.concatenate([np.empty(0, np.int64), *(event for event, _ in overlaps)]),
            np.concatenate([np.empty(0, np.int32), *(region for _, region in overlaps)]),
        )

    def _frames_of(self, t: Int64Array) -> list[tuple[int, int, int]]:
        """Return (frame, first row, last row + 1) of frames with regions and events."""
        if not len(t):
            return []
        clock, frames = self._regions.clock, self._regions.frames
        first = np.searchsorted(clock.stop_us, t[0], side="right")
        last = np.searchsorted(clock.start_us, t[-1], side="right")
        frames = frames[slice(*np.searchsorted(frames, [first, last]))]
        low = np.searchsorted(t, clock.start_us[frames])
        high = np.searchsorted(t, clock.stop_us[frames])
        held = low < high
        columns = (frames[held], low[held], high[held])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _draw(self, frame: int) -> None:
        """Fill the sensor maps with a frame's regions, from bottom to top."""
        if frame == self._drawn:
            return
        self._kernels.erase(self._spans, self._primary, self._head)
        self._drawn = frame
        shown = self._regions.shapes_of(frame)
        outlines = [shape.outline for _, shape in shown]
        vertices, first = _in_a_row(outlines)
        area = np.empty(len(shown))
        self._kernels.areas(vertices, first, area)
        order = sorted(
            range(len(shown)),
            key=lambda k: (shown[k][1].z_order, -round(float(area[k]), 5), -shown[k][0]),
        )
        vertices, first = _in_a_row([outlines[k] for k in order])
        roi = np.array([shown[k][0] for k in order], dtype=np.int32)
        height, width = self._regions.picture.sensor
        scale = self._regions.picture.scale
        n = self._kernels.count_crossings(vertices, first, scale, height)
        spans = np.empty((n // 2, 4), dtype=np.int32)
        n = self._kernels.find_spans(
            vertices, first, scale, height, width, self._filled, np.empty(n), spans
        )
        self._spans = spans[:n]
        # At most, every pixel of all shapes but the largest is over another shape.
        lengths = self._spans[:, 3] - self._spans[:, 2]
        pixels = np.bincount(self._spans[:, 0], lengths, minlength=1)
        room = np.empty((2, int(pixels.sum() - pixels.max())), dtype=np.int32)
        n = self._kernels.paint(self._spans, roi, self._primary, self._head, *room)
        self._node_roi, self._node_next = room[:, :n]


def _in_a_row(outlines: list[FloatArray]) -> tuple[FloatArray, Int64Array]:
    """Return all vertices (m, 2), and the row where each outline begins (k + 1)."""
    first = np.cumsum([0, *(len(outline) for outline in outlines)], dtype=np.int64)
    return np.concatenate([np.empty((0, 2)), *outlines]), first
