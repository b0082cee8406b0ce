"""Which regions each event is in.

An event belongs to the frame whose interval ``[start, stop)`` holds its timestamp, and to the
regions that are visible in that frame and hold the centre of its pixel, as that frame shows them or
as they are at its own time (`evreel.annotations.regions`). An event in no frame is in no region.

If several regions hold an event, its primary one has the highest z order; among equals, the
smallest shape in that frame, by area in picture pixels squared to five decimals; among those, the
later region. Another order may be chosen. Five decimals hold all that coordinates of two decimals
produce, and no arithmetic noise, so that regions of equal size keep their order from frame to
frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evreel.annotations.choices import At
from evreel.annotations.regions import Int32Array, Regions, ranges
from evreel.errors import AnnotationError
from evreel.timebase import Instant, Int64Array

if TYPE_CHECKING:
    from evreel.events import Events
    from evreel.kernels.regions import Ways

MOST_ROWS = 65_536
"""So many shapes of frames are handed to kernels at once."""

MOST_WORDS = 1 << 20
"""So many words of events and blocks of shapes are held at once: 8 MB."""

LEAST_ROOM = 65_536
"""Room for overlaps of a call of a kernel, at first; more if there are more events."""

DENSE = 0.05
"""Work of painting a pixel of a frame, where seeing that a shape does not have it is 1: measured
with 4 boxes and with 50 polygons."""


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
    """Labels events chunk by chunk.

    Parameters
    ----------
    regions
        The regions.
    first_row
        Row in the recording of the first event to come.
    at
        ``frame``: an event is compared with the shapes of the frame that holds it. ``event``: with
        the shapes at its own time, between the moments of two listed ones.
    instant
        Which moment of its frame a drawn shape is of, for ``at="event"``.
    """

    def __init__(
        self,
        regions: Regions,
        first_row: int = 0,
        *,
        at: At = "frame",
        instant: Instant = "middle",
    ) -> None:
        self._regions = regions
        self._row = first_row
        self._at = at
        self._instants = regions.clock.instants(instant)
        # What is painted: all 0 between calls of the kernel.
        self._sure, self._maybe = np.zeros((2, *regions.picture.sensor), dtype=np.int64)

    def label(self, events: Events) -> EventLabels:
        """Return the regions of the next chunk of events.

        Raises
        ------
        AnnotationError
            If the events' sensor is not the annotated video's.
        """
        found = self.label_at(self._row, events)
        self._row += len(events)
        return found

    def label_at(self, first_row: int, events: Events) -> EventLabels:
        """Return the regions of any chunk of events, the first of which is in a row.

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
        frames, low, high = self._frames_of(events.t)
        for begin, end in self._batches(frames):
            part = slice(begin, end)
            of = events, first_row
            if self._at == "frame":
                overlaps += self._by_frame(*of, frames[part], low[part], high[part], roi)
            else:
                overlaps += self._by_event(*of, frames[part], low[part], high[part], roi)
        return EventLabels(
            roi,
            np.concatenate([np.empty(0, np.int64), *(event for event, _ in overlaps)]),
            np.concatenate([np.empty(0, np.int32), *(region for _, region in overlaps)]),
        )

    def _batches(self, frames: Int64Array) -> Iterator[tuple[int, int]]:
        """Yield ranges of frames with at most `MOST_ROWS` shapes, or of a single frame."""
        shapes = np.diff(np.stack(self._regions.rows_of(frames)), axis=0)[0]
        done = np.cumsum(shapes)
        begin = 0
        while begin < len(frames):
            most = MOST_ROWS + (int(done[begin - 1]) if begin else 0)
            end = max(begin + 1, int(np.searchsorted(done, most, side="right")))
            yield begin, end
            begin = end

    def _frames_of(self, t: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return frames with regions and events: number, first row, last row + 1."""
        clock, frames = self._regions.clock, self._regions.frames
        if len(t):
            first = np.searchsorted(clock.stop_us, t[0], side="right")
            last = np.searchsorted(clock.start_us, t[-1], side="right")
            frames = frames[slice(*np.searchsorted(frames, [first, last]))]
        low = np.searchsorted(t, clock.start_us[frames])
        high = np.searchsorted(t, clock.stop_us[frames])
        held = low < high
        return frames[held], low[held], high[held]

    def _by_frame(
        self,
        events: Events,
        first_row: int,
        frames: Int64Array,
        low: Int64Array,
        high: Int64Array,
        roi: Int32Array,
    ) -> Iterator[tuple[Int64Array, Int32Array]]:
        """Fill `roi` by the shapes of frames; yield the overlaps."""
        rows, first = self._regions.in_order(frames)
        ways = self._regions.at_rest(rows)
        of = self._regions.region_of(rows)
        return self._by_ways(events, first_row, low, high, of, first, ways, roi)

    def _by_event(
        self,
        events: Events,
        first_row: int,
        frames: Int64Array,
        low: Int64Array,
        high: Int64Array,
        roi: Int32Array,
    ) -> Iterator[tuple[Int64Array, Int32Array]]:
        """Fill `roi` by the shapes at the time of each event; yield the overlaps."""
        regions = self._regions
        # Before the instant of a frame, its shapes come from the last one; then they go on.
        middle = np.clip(np.searchsorted(events.t, self._instants[frames]), low, high)
        low, high = np.stack([low, middle], axis=1).ravel(), np.stack([middle, high], 1).ravel()
        later = np.tile([False, True], len(frames))
        held = low < high
        frames, low, high, later = np.repeat(frames, 2)[held], low[held], high[held], later[held]
        rows, first = regions.in_order(frames)
        size = np.diff(first)
        # From the instant of a frame to that of the next, shapes mostly are on the same ways.
        one = np.flatnonzero(
            later[:-1] & ~later[1:] & (high[:-1] == low[1:]) & (size[:-1] == size[1:])
        )
        listed = np.stack(regions.listed_of(rows, np.repeat(later, size)))
        mine, begin = ranges(first[one], first[one + 1])
        same = (listed[:, mine] == listed[:, mine + np.repeat(size[one], size[one])]).all(axis=0)
        one = one[np.logical_and.reduceat(same, begin[:-1])] if len(one) else one
        high[one] = high[one + 1]
        kept = np.ones(len(low), dtype=np.bool_)
        kept[one + 1] = False
        rows, size, later = rows[np.repeat(kept, size)], size[kept], later[kept]
        first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(size)])
        ways = regions.ways(rows, np.repeat(later, size), self._instants)
        region_of = regions.region_of(rows)
        return self._by_ways(events, first_row, low[kept], high[kept], region_of, first, ways, roi)

    def _by_ways(
        self,
        events: Events,
        first_row: int,
        low: Int64Array,
        high: Int64Array,
        region_of: Int32Array,
        first: Int64Array,
        ways: Ways,
        roi: Int32Array,
    ) -> Iterator[tuple[Int64Array, Int32Array]]:
        """Fill `roi` of the events of spans, each with its shapes; yield the overlaps."""
        from evreel.kernels.regions import MOST_BITS, MOST_MORE, Measures, Overlaps, Space, label

        regions = self._regions
        most = int(np.diff(first).max(initial=0))
        largest = int(np.diff(ways.first).max(initial=0)) + MOST_MORE
        size = int(np.diff(ways.first[first]).max(initial=0)) + (most + 1) * MOST_MORE
        blocks, longest = max(1, -(-most // MOST_BITS)), int((high - low).max(initial=0))
        space = Space(
            form=np.empty(most + 2, dtype=np.int64),
            place=np.empty(most + 2, dtype=np.int64),
            pixels=np.empty((most + 2, 4), dtype=np.int64),
            work=np.empty(size),
            now=np.empty(2 * largest),
            crossings=np.empty((regions.picture.sensor[0], largest // 2 + 1), dtype=np.int32),
            word=np.empty((blocks, min(longest, MOST_WORDS // blocks + 1)), dtype=np.int64),
            sure=self._sure,
            maybe=self._maybe,
        )
        measures = Measures(regions.picture.scale, regions.radius, regions.margin)
        room = max(LEAST_ROOM, len(events), most)
        begin = 0
        while begin < len(low):
            overlaps = Overlaps(np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32))
            done, found = label(
                events.t,
                events.x,
                events.y,
                low,
                high,
                first,
                region_of,
                ways,
                measures,
                DENSE,
                space,
                begin,
                roi,
                first_row,
                overlaps,
            )
            yield overlaps.event[:found], overlaps.region[:found]
            room = 2 * room if done == begin else room
            begin = done
