"""Moments of a slices file as pictures: any frame, any slice, any time, or all frames in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from evreel.annotations.tables import ShapeRows
from evreel.errors import ClockError, UsageError
from evreel.events import Events
from evreel.files.clock import read_clock
from evreel.files.slices import Int32Array, SlicesFile
from evreel.layout import SHAPE_KINDS
from evreel.provenance import sha256
from evreel.timebase import FARTHEST, FrameClock
from evreel.video.labelled import Image, LabelledPictures, Moment, Outline, Showing

Piece = tuple[Events, Int32Array]

READ_ROWS = 1 << 20
"""Events that are read at a time."""

READ_SHAPES = 1 << 14
"""Shapes that are read at a time."""

WINDOW_US = 10_000
"""What a picture of a moment shows of the time before it, unless something else is asked for."""


def clock_of(slices: SlicesFile, path: str | Path) -> FrameClock:
    """Read the clock that slices were made with, in the recording's times.

    Raises
    ------
    ClockError
        If it cannot be read, or the slices name another one.
    """
    clock, _, _ = read_clock(path)
    named = slices.inputs.get("clock")
    if named is not None and named != sha256(path):
        raise ClockError(
            f"is not the clock that {slices.path.name} was made with",
            path=path,
            hint="Annotate again with this clock, or name the one that was used.",
        )
    return slices.alignment.clock(clock)


def given_clock(slices: SlicesFile, path: str | Path | None) -> FrameClock | None:
    """Read a clock if one is given, else the one that the slices were made with, if it is found.

    It is looked for beside them, and where a workflow and a release have it.
    """
    if path is not None:
        return clock_of(slices, path)
    name, folder = f"{slices.path.stem}.clock.tsv", slices.path.absolute().parent
    above = folder.parent, folder.parent.parent
    for place in (folder / name, *(up / "video" / name for up in above)):
        if place.is_file() and sha256(place) == slices.inputs.get("clock"):
            return slices.alignment.clock(read_clock(place)[0])
    return None


class Moments:
    """Pictures of what is labelled in a slices file.

    Parameters
    ----------
    slices
        The open file.
    look
        Magnification, theme and font.
    clock
        The time of each frame of the annotated video; None knows only the frames that show a
        region or have a tag.
    reduce, warn
        As `LabelledPictures` takes them.

    Attributes
    ----------
    pictures : what draws them.
    shape : (height, width) of each picture.
    """

    def __init__(
        self,
        slices: SlicesFile,
        look: Showing = Showing(),
        clock: FrameClock | None = None,
        *,
        reduce: int = 1,
        warn: bool = True,
    ) -> None:
        self._file = slices
        self._clock = clock
        tags = slices.tags
        order = np.argsort(tags.frame, kind="stable")
        self._tag_frame = tags.frame[order]
        self._tag_name = [slices.labels[label] for label in tags.label[order].tolist()]
        first = np.flatnonzero(np.diff(self._tag_frame, prepend=-1)).tolist()
        ends = [*first, len(order)][1:]
        # In the order of frames, each once: a long video has few that differ.
        every = dict.fromkeys(
            tuple(self._tag_name[low:high]) for low, high in zip(first, ends, strict=True)
        )
        self.pictures = LabelledPictures(
            *(slices.sensor, slices.labels, slices.rois.label, slices.rois.track, every, look),
            reduce=reduce,
            warn=warn,
        )
        self.shape = self.pictures.shape

    def frames(self) -> Iterator[Image]:
        """Draw every frame of the clock, in order, in memory bounded by a chunk of events.

        Raises
        ------
        UsageError
            If the clock is not known.
        """
        if self._clock is None:
            raise UsageError("the clock of the frames is not known")
        for pieces, moment in self.shown(self._clock, range(len(self._clock))):
            yield self.pictures.draw(pieces, moment)

    def shown(self, clock: FrameClock, frames: range) -> Iterator[tuple[Iterator[Piece], Moment]]:
        """Yield the events and all else that consecutive frames of the annotated video show.

        The events of a frame must be taken before the next frame is.
        """
        if not frames:
            return
        row, _ = self._file.rows(int(clock.start_us[frames[0]]), FARTHEST)
        shape = _first_shape(self._file, frames[0])
        events, shapes = _Events(self._file, row), _Shapes(self._file, shape)
        for k in frames:
            start, stop = int(clock.start_us[k]), int(clock.stop_us[k])
            moment = self._of_frame(k, start, stop, shapes.of_frame(k))
            yield events.within(start, stop), moment

    def frame(self, k: int) -> Image:
        """Draw a frame of the annotated video.

        Raises
        ------
        UsageError
            If there is no such frame, or its time is not known.
        """
        start, stop = self._interval(k)
        moment = self._of_frame(k, start, stop, self._shapes_of(k))
        return self.pictures.draw(self._within(start, stop), moment)

    def slice(self, k: int) -> Image:
        """Draw a slice: all of its events, and the outlines of the last frame in it.

        Raises
        ------
        UsageError
            If there is no such slice.
        """
        windows, n = self._file.windows, len(self._file)
        if not n:
            raise UsageError("has no slices", path=self._file.path)
        if not 0 <= k < n:
            raise UsageError(f"{self._file.path.name}: slice {k} is not in 0 to {n - 1}")
        moment = self._until(f"slice {k} of {n}", int(windows.start_us[k]), int(windows.stop_us[k]))
        return self.pictures.draw(self._rows(int(windows.start[k]), int(windows.stop[k])), moment)

    def at(self, time_us: int, window_us: int = WINDOW_US) -> Image:
        """Draw the events in ``[time_us − window_us, time_us)``, and the last frame's outlines.

        Raises
        ------
        UsageError
            If the window is empty, or the time is outside the recording.
        """
        if window_us < 1:
            raise UsageError(f"a window of {window_us} µs shows nothing")
        last = self._file.t_stop_us
        if not 0 < time_us <= max(last, 1) + window_us:
            raise UsageError(
                f"{time_us} µs is outside the recording",
                path=self._file.path,
                hint=f"It lasts from 0 to {last} µs.",
            )
        start = time_us - window_us
        moment = self._until(f"at {time_us / 1e6:.6f} s", start, time_us)
        return self.pictures.draw(self._within(start, time_us), moment)

    def _interval(self, k: int) -> tuple[int, int]:
        """Return the interval of a frame, by the clock, or by what the slices say of the frame."""
        name = self._file.path.name
        if self._clock is not None:
            n = len(self._clock)
            if not 0 <= k < n:
                raise UsageError(f"{name}: frame {k} is not in 0 to {n - 1}")
            return int(self._clock.start_us[k]), int(self._clock.stop_us[k])
        for table in (self._file.tags, self._shapes_of(k)):
            row = np.flatnonzero(table.frame == k)
            if row.size:
                return int(table.start_us[row[0]]), int(table.stop_us[row[0]])
        raise UsageError(
            f"{name}: the time of frame {k} is not known, as it has no region and no tag",
            hint="Name the clock of the video with --clock, or a time with --at-us.",
        )

    def _of_frame(self, k: int, start: int, stop: int, shapes: ShapeRows) -> Moment:
        n = "" if self._clock is None else f" of {len(self._clock)}"
        return Moment(
            *(f"frame {k}{n}", start, stop, _outlines(shapes, k), self._tags(k)),
            self._labelled(start, stop),
        )

    def _until(self, title: str, start: int, stop: int) -> Moment:
        """Return what is known of an interval: outlines and tags of the last frame that shows any.

        It must begin before the interval stops, and not stop before the interval starts.
        """
        shapes, tags = self._file.shapes_in(start, stop), self._file.tags
        tagged = tags.frame[(tags.start_us < stop) & (tags.stop_us > start)]
        frame = max(shapes.frame.max(initial=-1), tagged.max(initial=-1))
        labelled = self._labelled(max(start, 0), stop)
        if frame < 0:
            return Moment(title, start, stop, labelled=labelled)
        return Moment(
            *(f"{title}, frame {frame}", start, stop),
            *(_outlines(shapes, frame), self._tags(frame), labelled),
        )

    def _shapes_of(self, frame: int) -> ShapeRows:
        first, last = (_first_shape(self._file, number) for number in (frame, frame + 1))
        return self._file.shapes(first, last)

    def _tags(self, frame: int) -> list[str]:
        low, high = np.searchsorted(self._tag_frame, [frame, frame + 1])
        return self._tag_name[low:high]

    def _labelled(self, start: int, stop: int) -> bool:
        """Tell whether annotators looked at all of an interval that has events."""
        spans = self._file.labelled
        stop = min(stop, max(self._file.t_stop_us, start + 1))
        k = int(np.searchsorted(spans.start_us, start, side="right")) - 1
        return k >= 0 and int(spans.stop_us[k]) >= stop

    def _within(self, start: int, stop: int) -> Iterator[Piece]:
        return self._rows(*self._file.rows(start, stop))

    def _rows(self, first: int, last: int) -> Iterator[Piece]:
        for row in range(first, last, READ_ROWS):
            yield self._file.read(row, min(row + READ_ROWS, last))


def _first_shape(file: SlicesFile, frame: int) -> int:
    """Return the first row of the shapes of a frame, or of the next one that has any."""
    number: Callable[[int], int] = lambda row: int(file.shapes(row, row + 1).frame[0])  # noqa: E731
    return bisect_left(range(file.n_shapes), frame, key=number)


def _outlines(shapes: ShapeRows, frame: int) -> list[Outline]:
    low, high = np.searchsorted(shapes.frame, [frame, frame + 1]).tolist()
    return [
        Outline(
            int(shapes.roi[k]),
            shapes.outline(k).astype(np.float64),
            SHAPE_KINDS[int(shapes.kind[k])],
            bool(shapes.occluded[k]),
        )
        for k in range(low, high)
    ]


class _Shapes:
    """Reads the shapes of a file once from a row to its end."""

    def __init__(self, file: SlicesFile, first: int) -> None:
        self._file = file
        self._first = first
        self._held = file.shapes(first, first + READ_SHAPES)

    def of_frame(self, frame: int) -> ShapeRows:
        """Return rows that hold all shapes of a frame; the next frame asked for is a later one."""
        n = READ_SHAPES
        while self._held.frame.max(initial=-1) <= frame and (
            self._first + len(self._held) < self._file.n_shapes
        ):
            passed = int(np.searchsorted(self._held.frame, frame))
            self._first += passed
            n = READ_SHAPES if passed else 2 * n  # a frame with more shapes than that
            self._held = self._file.shapes(self._first, self._first + n)
        return self._held


class _Events:
    """Reads the events of a file once from a row to its end, as intervals ask for it."""

    def __init__(self, file: SlicesFile, row: int) -> None:
        self._file = file
        self._row = row
        self._held: Piece | None = None

    def within(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the events in ``[start, stop)``; no interval starts before the last one stops."""
        while True:
            if self._held is None or not len(self._held[0]):
                if self._row >= self._file.n_events:
                    return
                self._held = self._file.read(self._row, self._row + READ_ROWS)
                self._row += len(self._held[0])
            events, roi = self._held
            low, high = np.searchsorted(events.t, [start, stop]).tolist()
            self._held = events[high:], roi[high:]
            if high > low:
                yield events[low:high], roi[low:high]
            if high < len(events):
                return
