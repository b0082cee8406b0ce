"""Checks of events: accumulators that take a recording chunk by chunk.

They take raw columns, so that all faults are found and not only the first. Each keeps the place
of the first fault and a count, never the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from evreel.checks.finding import Located, counted, register
from evreel.timebase import Int64Array

MaskArray = npt.NDArray[np.bool_]


class Columns(NamedTuple):
    """The next events of a file, unchecked.

    Parameters
    ----------
    first : row in the file of the first of them; a piece that can't be read is left out.
    t, x, y, p : (n,) int64, n ≥ 1.
    """

    first: int
    t: Int64Array
    x: Int64Array
    y: Int64Array
    p: Int64Array


class EventCheck(Protocol):
    """A check that sees all events of a file in their order."""

    def add(self, events: Columns) -> None:
        """Take the next events."""
        ...

    def finish(self) -> Iterator[Located]:
        """Yield what was found. Call once, at the end."""
        ...


class Tally:
    """How many faults of a kind there are, and where the first is."""

    def __init__(self) -> None:
        self.n = 0
        self.place = ""
        self.got = ""

    def count(self, bad: MaskArray, say: Callable[[int], Located]) -> None:
        """Add the faults of a mask; `say` gives place and value of the first."""
        n = int(np.count_nonzero(bad))
        if n and not self.n:
            self.place, self.got = say(int(np.argmax(bad)))
        self.n += n


def at(events: Columns, row: int) -> str:
    """Return the place of an event, `row` counted from the first of these."""
    return f"event {events.first + row}, t={events.t[row]} µs"


class _Neighbours:
    """What crosses the edge between two pieces: the last stamp, where the pieces meet."""

    def __init__(self) -> None:
        self._next = 0
        self._last: int | None = None

    def steps(self, events: Columns) -> Int64Array:
        """Return (n,) µs from each event's predecessor to it; 0 where that is not known."""
        known = self._last is not None and events.first == self._next
        before = self._last if known and self._last is not None else int(events.t[0])
        self._next = events.first + len(events.t)
        self._last = int(events.t[-1])
        return np.diff(events.t, prepend=np.int64(before))


@register("order", "error", "events")
class Order:
    """Events with a stamp before that of the event above: a search in time goes wrong on them."""

    def __init__(self) -> None:
        self._neighbours = _Neighbours()
        self._tally = Tally()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        steps = self._neighbours.steps(events)
        self._tally.count(steps < 0, lambda k: (at(events, k), f"{-int(steps[k])} µs"))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'event')} before the event above, the first by "
                f"{self._tally.got}; sort the source, by name and counted",
            )


@register("bounds", "error", "events")
class Bounds:
    """Events outside the sensor."""

    def __init__(self, sensor: tuple[int, int]) -> None:
        self._height, self._width = sensor
        self._tally = Tally()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        x, y = events.x, events.y
        bad = (x < 0) | (x >= self._width) | (y < 0) | (y >= self._height)
        self._tally.count(bad, lambda k: (at(events, k), f"x={x[k]}, y={y[k]}"))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'event')} outside the sensor of {self._width}x"
                f"{self._height}, the first at {self._tally.got}; is the sensor's size right?",
            )


@register("polarity", "error", "events")
class Polarity:
    """Events with a polarity that is neither 0 (OFF) nor 1 (ON)."""

    def __init__(self) -> None:
        self._tally = Tally()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        p = events.p
        self._tally.count((p < 0) | (p > 1), lambda k: (at(events, k), f"p={p[k]}"))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'event')} with a polarity that is neither 0 nor 1, the "
                f"first with {self._tally.got}; write 0 for OFF",
            )


@register("one_polarity", "warning", "events")
class OnePolarity:
    """A recording all of whose events have one polarity: the other was probably lost on the way.

    Parameters
    ----------
    least_events
        Fewer events may well be of one polarity.
    """

    def __init__(self, least_events: int = 1_000) -> None:
        self._least = least_events
        self._n = 0
        self._low: int | None = None
        self._high: int | None = None

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._n += len(events.p)
        low, high = int(events.p.min()), int(events.p.max())
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._n >= self._least and self._low == self._high:
            yield "", f"all {self._n:,} events have p={self._low}; was the other polarity lost?"


@register("quantum", "warning", "events")
class Quantum:
    """Stamps that are all multiples of a coarse unit: time was rounded, and order within it lost.

    Parameters
    ----------
    quantum_us
        Rounding to milliseconds is what converters do; cameras stamp to 1 µs, old ones to 20 µs.
    least_events
        Fewer events may fall on such stamps by chance.
    """

    def __init__(self, quantum_us: int = 1_000, least_events: int = 1_000) -> None:
        self._coarse = quantum_us
        self._least = least_events
        self._first: int | None = None
        self._quantum = 0
        self._n = 0

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._n += len(events.t)
        if self._first is None:
            self._first = int(events.t[0])
        if self._quantum % self._coarse == 0:
            # Without the first stamp, a clock that does not start at 0 tells its quantum too.
            shared = np.gcd.reduce(events.t - self._first, initial=self._quantum)
            self._quantum = int(abs(shared))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._n < self._least or self._quantum % self._coarse:
            return
        if self._quantum:
            problem = f"all {self._n:,} stamps are on a grid of {self._quantum} µs"
        else:
            problem = f"all {self._n:,} events have one stamp"
        yield "", f"{problem}: time was rounded; take it from the camera's own file"


@register("gap", "warning", "events")
class Gap:
    """Times without any event: the camera paused, or data were lost.

    Parameters
    ----------
    least_us
        A still scene makes noise events every few ms, so half a second without one is no scene.
    """

    def __init__(self, least_us: int = 500_000) -> None:
        self._least = least_us
        self._neighbours = _Neighbours()
        self._tally = Tally()
        self._longest = 0

    def add(self, events: Columns) -> None:
        """Take the next events."""
        steps = self._neighbours.steps(events)
        long = steps >= self._least
        if long.any():
            self._longest = max(self._longest, int(steps.max()))
            self._tally.count(
                long, lambda k: (f"t={events.t[k] - steps[k]} µs", f"{steps[k] / 1e6:.3f} s")
            )

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            more = ""
            if self._tally.n > 1:
                more = f", the first of {self._tally.n:,}, the longest {self._longest / 1e6:.3f} s"
            yield (
                self._tally.place,
                f"no event for {self._tally.got}{more}; was the camera paused, or were data lost?",
            )


_EXACT_BITS = 6
_CELLS = 64 << _EXACT_BITS


@register("burst", "warning", "events")
class Burst:
    """Bins of time with many times the usual number of events: flashes, or stamps that pile up.

    Parameters
    ----------
    bin_us
        Not shorter than one flicker of mains light, 100 or 120 a second.
    times
        This many medians of the bins that have events: motion seldom makes ten.
    least_events
        Where little goes on, a bin with fewer is none.
    least_bins
        Fewer bins with events tell no median.

    Notes
    -----
    Of the bins, a histogram of their counts is kept: exact below 64 events, by 1/32 above.
    """

    def __init__(
        self,
        bin_us: int = 10_000,
        times: float = 10,
        least_events: int = 1_000,
        least_bins: int = 10,
    ) -> None:
        self._bin_us = bin_us
        self._times = times
        self._least_events = least_events
        self._least_bins = least_bins
        self._open: tuple[int, int] | None = None  # the last bin may go on in the next piece
        self._bins = np.zeros(_CELLS, dtype=np.int64)
        self._first = np.full(_CELLS, np.iinfo(np.int64).max)
        self._most = np.zeros(_CELLS, dtype=np.int64)

    def add(self, events: Columns) -> None:
        """Take the next events."""
        bins = events.t // self._bin_us
        starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
        numbers, counts = bins[starts], np.diff(starts, append=len(bins))
        if self._open is not None:
            if self._open[0] == numbers[0]:
                counts[0] += self._open[1]
            else:
                self._close(*(np.array([value]) for value in self._open))
        self._close(numbers[:-1], counts[:-1])
        self._open = int(numbers[-1]), int(counts[-1])

    def _close(self, numbers: Int64Array, counts: Int64Array) -> None:
        shift = np.maximum(np.frexp(counts)[1].astype(np.int64) - _EXACT_BITS, 0)
        cells = (shift << _EXACT_BITS) | (counts >> shift)
        np.add.at(self._bins, cells, 1)
        np.minimum.at(self._first, cells, numbers)
        np.maximum.at(self._most, cells, counts)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._open is not None:
            self._close(*(np.array([value]) for value in self._open))
        cells = np.arange(_CELLS)
        least = (cells & ((1 << _EXACT_BITS) - 1)) << (cells >> _EXACT_BITS)
        total = int(self._bins.sum())
        if total < self._least_bins:
            return
        by_count = np.argsort(least, kind="stable")
        middle = np.searchsorted(np.cumsum(self._bins[by_count]), (total + 1) // 2)
        median = int(least[by_count][middle])
        much = (self._bins > 0) & (least >= max(self._times * median, self._least_events))
        if much.any():
            n, first = int(self._bins[much].sum()), int(self._first[much].min())
            yield (
                f"t={first * self._bin_us} µs",
                f"{counted(n, 'bin')} of {self._bin_us // 1000} ms with up to "
                f"{int(self._most[much].max()):,} events; the median is {median:,}; did the light "
                "change, or do stamps pile up?",
            )


@register("index", "error", "events store")
class Index:
    """A time index `ms_to_idx` that is not that of column t: reading by time gives other events.

    Parameters
    ----------
    read
        Returns entries ``[first, stop)`` of the index, None where they can't be read.
    length
        Number of its entries.
    n_events
        Number of events in the file; where some can't be read, nothing is said.
    """

    def __init__(
        self, read: Callable[[int, int], npt.NDArray[Any] | None], length: int, n_events: int
    ) -> None:
        self._read = read
        self._length = length
        self._n_events = n_events
        self._neighbours = _Neighbours()
        self._tally = Tally()
        self._ms = 0
        self._rows = 0
        self._last = -1
        self._blind = False

    def add(self, events: Columns) -> None:
        """Take the next events."""
        # What the index should say is not known where stamps go back or are missing.
        back = (self._neighbours.steps(events) < 0).any()
        self._blind |= bool(back or events.t[0] < 0 or events.first != self._rows)
        self._rows = events.first + len(events.t)
        self._last = int(events.t[-1])
        if self._blind:
            return
        stop = min(self._last // 1000 + 1, self._length - 1)
        while self._ms < stop:
            until = min(self._ms + len(events.t) + 65_536, stop)
            edges = np.arange(self._ms, until, dtype=np.int64) * 1000
            self._compare(until, events.first + np.searchsorted(events.t, edges))

    def _compare(self, until: int, expected: Int64Array) -> None:
        first, self._ms = self._ms, until
        got = self._read(first, until)
        if got is None:
            return
        self._tally.count(
            got.astype(np.int64) != expected,
            lambda k: (f"ms_to_idx, row {first + k}", f"{got[k]}, not {expected[k]}"),
        )

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._blind or self._rows != self._n_events:
            return
        entries = 1 if self._last < 0 else self._last // 1000 + 2
        if entries != self._length:
            yield (
                "ms_to_idx",
                f"has {self._length:,} entries; a recording until t={self._last} µs has "
                f"{entries:,}; build the store again",
            )
        else:
            self._compare(entries, np.array([self._rows]))
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'entry')} not the row of the first event of the "
                f"millisecond, the first is {self._tally.got}; build the store again",
            )


@register("time_zero", "error", "events store")
class TimeZero:
    """A store whose first or last stamp is not what its attributes say.

    Parameters
    ----------
    t_stop_us
        What the store says: last stamp + 1.
    changed
        Whether it says that something was left out of the recording. If not, t starts at 0.
    n_events
        Number of events in the file; of an end that can't be read, nothing is said.
    """

    def __init__(self, t_stop_us: int, changed: bool, n_events: int) -> None:
        self._t_stop_us = t_stop_us
        self._changed = changed
        self._n_events = n_events
        self._first: int | None = None
        self._last: int | None = None if n_events else -1

    def add(self, events: Columns) -> None:
        """Take the next events."""
        if not events.first:
            self._first = int(events.t[0])
        if events.first + len(events.t) == self._n_events:
            self._last = int(events.t[-1])

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        first, last = self._first, self._last
        if first is not None and (first < 0 or (first and not self._changed)):
            yield (
                "event 0",
                f"t={first} µs; stamps count from the recording's first event, and none before "
                "it is said to be left out; build the store again",
            )
        if last is not None and self._t_stop_us != last + 1:
            yield (
                "attribute t_stop_us",
                f"is {self._t_stop_us}; the last stamp + 1 is {last + 1}; build the store again",
            )


@register("label_span", "warning", "events with labels")
class LabelSpan:
    """Labels that cover a small part of the recording: training sees the rest as empty.

    Parameters
    ----------
    first_us, last_us
        From where to where there are labels, µs since the first event.
    least_share
        Less than half of the recording's time is more likely a task cut short than a choice.
    """

    def __init__(self, first_us: int, last_us: int, least_share: float = 0.5) -> None:
        self._labels = first_us, last_us
        self._least = least_share
        self._ends: tuple[int, int] | None = None
        self._before = self._after = 0

    def add(self, events: Columns) -> None:
        """Take the next events."""
        first = int(events.t[0]) if self._ends is None else self._ends[0]
        self._ends = first, int(events.t[-1]) + 1
        self._before += int(np.count_nonzero(events.t < self._labels[0]))
        self._after += int(np.count_nonzero(events.t >= self._labels[1]))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._ends is None or self._ends[1] <= self._ends[0]:
            return
        start, stop = self._ends
        first, last = self._labels
        share = max(0, min(last, stop) - max(first, start)) / (stop - start)
        if share < self._least:
            yield (
                f"t={first} to {last} µs",
                f"labels cover {100 * share:.0f} % of {(stop - start) / 1e6:.3f} s; "
                f"{counted(self._before, 'event')} before and {self._after:,} after them; crop "
                "the recording, or label the rest",
            )


@register("other_events", "error", "slices")
class SameEvents:
    """Slices whose events are not those of the store beside them.

    Parameters
    ----------
    read
        Returns the columns t, x, y, p of rows ``[first, stop)`` of the store, None where they
        can't be read.
    first_row
        Row in the store of the first event here.
    n_store
        Events in the store.
    """

    def __init__(
        self,
        read: Callable[[int, int], list[npt.NDArray[Any]] | None],
        first_row: int,
        n_store: int,
    ) -> None:
        self._read = read
        self._first_row = first_row
        self._n_store = n_store
        self._tally = Tally()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        first = self._first_row + events.first
        n = len(events.t)
        known = max(0, min(n, self._n_store - first)) if first >= 0 else 0
        theirs = self._read(first, first + known) if known else []
        if theirs is None:
            return
        other = np.ones(n, dtype=np.bool_)
        if known:
            other[:known] = False
            for ours, column in zip(events[1:], theirs, strict=True):
                other[:known] |= ours[:known] != column
        self._tally.count(other, lambda k: (at(events, k), str(first + k)))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'event')} not as in the events store, the first is row "
                f"{self._tally.got} there; annotate again",
            )


@register("roi", "error", "slices")
class Regions:
    """Regions of events, or of overlaps, that are no row of the table of regions.

    Parameters
    ----------
    n_rois
        Rows of the table.
    """

    def __init__(self, n_rois: int) -> None:
        self._n_rois = n_rois
        self._tally = Tally()

    def add(self, name: str, first: int, roi: npt.NDArray[Any], none: int = 0) -> None:
        """Take regions from row `first` on of the data set `name`; `none` (−1) is no region."""
        self._tally.count(
            (roi < none) | (roi >= self._n_rois),
            lambda k: (f"{name}, row {first + k}", f"is {roi[k]}"),
        )

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._tally.n:
            yield (
                self._tally.place,
                f"{counted(self._tally.n, 'row')} of no region, the first {self._tally.got}; "
                f"there are {self._n_rois:,}; annotate again",
            )
