"""Events of a recording on one time line, and the windows into which they are divided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, ParameterError
from evreel.events import Events, Sensor
from evreel.samples.samples import FARTHEST_STOP, Member, Samples
from evreel.timebase import Int64Array
from evreel.windows import Chosen, Division, Ending, Windows, cut

_FIRST, _LAST = -(1 << 62), 1 << 62
"""Times before and after all others, µs."""


class Divided(ABC):
    """Events that can be read by rows and found by time: those of a file, or in memory.

    Attributes
    ----------
    path : the file that they are from.
    n : number of events.
    sensor : (height, width) in pixels.
    origin : (row, column) of the camera's sensor that became (0, 0).
    t_offset : first timestamp on the camera's own clock, µs.
    t_stop_us : last timestamp + 1, µs since `t_offset`.
    source_format : format of the recording that they were decoded from.
    """

    path: Path
    n: int
    sensor: Sensor
    origin: tuple[int, int]
    t_offset: int
    t_stop_us: int
    source_format: str

    @property
    @abstractmethod
    def members(self) -> list[Member]:
        """What is end to end in here; none for a single recording of one clock.

        Recordings of an archive, or the parts of one whose clock was reset.
        """

    @property
    def decoding(self) -> str | None:
        """What they were decoded from, and how (`evreel.provenance.decoding`); None if unknown."""
        return None

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> Events:
        """Return rows ``[start, stop)``."""

    @abstractmethod
    def index_of(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the row of the first event at or after each timestamp; `n` if there is none.

        Parameters
        ----------
        t_us
            (m,) timestamps in µs since `t_offset`.
        """

    @abstractmethod
    def stamp_at(self, rows: npt.ArrayLike) -> Int64Array:
        """Return the timestamps of rows in ascending order, µs since `t_offset`."""

    @property
    def clocks(self) -> list[Member]:
        """The parts of a recording whose clock was reset; `t_offset` is that of the first."""
        return [] if self.source_format.startswith("archive of ") else self.members

    def windows(
        self,
        division: Division,
        instants_us: npt.ArrayLike | None = None,
        chosen: Chosen | None = None,
    ) -> Windows:
        """Return the windows into which `division` cuts the recording.

        Parts whose clock was reset in between are each divided on their own, and the last window of
        one stops where the next begins. A window that ends at a given instant is in one part too:
        it starts no earlier than that.

        Parameters
        ----------
        division
            How. Its origin is that of the recording; a later part is divided from its own start.
        instants_us
            Where windows end, in order, for `Ending`.
        chosen
            Which windows are wanted, as `evreel.windows.cut` takes it.
        """
        parts = [part for part in self.clocks if part.start_us < self.t_stop_us]
        start = [part.start_us for part in parts] or [0]
        if isinstance(division, Ending):
            ends, _ = self._cut(division, [_FIRST], [_LAST], instants_us, chosen)
            edge = np.array([_FIRST, *start[1:], _LAST])
            row, part = (
                self.index_of(edge),
                np.searchsorted(edge[1:-1], ends.start_us + division.window_us),
            )
            start_us = np.maximum(ends.start_us, edge[part])
            stop_us = np.minimum(ends.stop_us, edge[part + 1])
            windows = Windows(start_us, stop_us, ends.start, ends.stop)
            return windows.clipped(row[part], row[part + 1])
        alone = chosen if len(start) == 1 else None  # else all are needed, to be counted
        found = []
        for k, (begin, following) in enumerate(zip(start, [*start[1:], _LAST], strict=True)):
            origin = division.origin_us - begin if k == 0 else max(division.origin_us - begin, 0)
            stop = min(parts[k].stop_us if parts else _LAST, self.t_stop_us)
            if begin + origin < stop or following == _LAST:
                own = replace(division, origin_us=origin)
                windows, _ = self._cut(own, [begin], [stop], None, alone)
                stop_us = np.minimum(windows.stop_us, following)
                found.append((windows.start_us, stop_us, windows.start, windows.stop))
        every = Windows(*map(np.concatenate, zip(*found, strict=True)))
        return every if chosen is None or alone is not None else every[chosen(len(every))]

    def windows_of(
        self,
        samples: Samples,
        division: Division,
        instants_us: npt.ArrayLike | None = None,
        chosen: Chosen | None = None,
    ) -> tuple[Windows, Int64Array]:
        """Return the windows of each sample and their bounds, as `evreel.windows.cut` does.

        Raises
        ------
        AnnotationError
            If a sample is beyond the recording.
        """
        self.check_within(samples)
        return self._cut(division, samples.start_us, samples.stop_us, instants_us, chosen)

    def n_before_origin(self, division: Division, samples: Samples | None = None) -> int:
        """Return how many events of the recording, or of samples, are before an origin."""
        origin = getattr(division, "origin_us", 0)
        if origin <= 0:
            return 0
        start = np.array([0]) if samples is None else samples.start_us
        stop = np.array([self.t_stop_us]) if samples is None else samples.stop_us
        low, high = self.index_of(start), self.index_of(np.minimum(start + origin, stop))
        return int((high - low).sum())

    def oldest_us(self, start_us: Int64Array) -> Int64Array:
        """Return where the part or member that holds each time begins, 0 if there are none.

        What is before it was recorded on another clock.
        """
        return oldest_us_of(self.members, start_us)

    def _cut(
        self,
        division: Division,
        start_us: npt.ArrayLike,
        stop_us: npt.ArrayLike,
        instants_us: npt.ArrayLike | None = None,
        chosen: Chosen | None = None,
    ) -> tuple[Windows, Int64Array]:
        """Divide intervals; what is wrong is told with the file's name."""
        lookups = self.index_of, self.stamp_at
        try:
            return cut(division, start_us, stop_us, *lookups, instants_us, chosen)
        except ParameterError as error:
            raise ParameterError(
                error.problem, path=self.path, place=error.place, hint=error.hint
            ) from error

    def check_within(self, samples: Samples) -> None:
        """Raise `AnnotationError` if a sample begins outside the recording, or ends far beyond it.

        An archive ends with its last member, whose events may have been cropped.
        """
        end = max([self.t_stop_us, *(member.stop_us for member in self.members[-1:])])
        outside = (samples.start_us < 0) | (samples.start_us >= end)
        outside |= samples.stop_us > FARTHEST_STOP * end
        if outside.any():
            k = int(np.argmax(outside))
            raise AnnotationError(
                f"is from {samples.start_us[k]} to {samples.stop_us[k]} µs; the recording is from "
                f"0 to {end} µs",
                path=self.path,
                place=f"sample {samples.id[k]!r}",
                hint="Are its times since the first event, or on the file's own clock "
                "(samples.clock)? Does it belong to this recording?",
            )


def oldest_us_of(members: Sequence[Member], start_us: Int64Array) -> Int64Array:
    """Return where the member that holds each time begins, 0 if there are none."""
    begins = np.array([0, *(member.start_us for member in members)], dtype=np.int64)
    return begins[np.searchsorted(begins, np.maximum(start_us, 0), side="right") - 1]


class EventsInMemory(Divided):
    """Events of a recording, decoded into memory.

    Parameters
    ----------
    path, t_offset, source_format, members
        As `Divided` has them.
    events
        All of them.
    """

    origin = (0, 0)

    def __init__(
        self,
        path: Path,
        events: Events,
        *,
        t_offset: int,
        source_format: str,
        members: Sequence[Member] = (),
    ) -> None:
        self.path = path
        self.n, self.sensor, self.t_stop_us = len(events), events.sensor, events.t_stop_us
        self.t_offset = t_offset
        self.source_format = source_format
        self._events = events
        self._members = list(members)

    @property
    def members(self) -> list[Member]:
        """What is end to end in here, as of `Divided`."""
        return self._members

    def read(self, start: int = 0, stop: int | None = None) -> Events:
        """Return rows ``[start, stop)``, a view."""
        return self._events[start:stop]

    def index_of(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the row of the first event at or after each timestamp."""
        return np.searchsorted(self._events.t, np.asarray(t_us, dtype=np.int64))

    def stamp_at(self, rows: npt.ArrayLike) -> Int64Array:
        """Return the timestamps of rows."""
        return self._events.t[np.asarray(rows, dtype=np.int64)]
