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
from evreel.checks.tally import Tally, distance
from evreel.timebase import Int64Array


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


def at(events: Columns, row: int) -> str:
    """Return the place of an event, `row` counted from the first of these."""
    return f"event {events.first + row}, t={events.t[row]} µs"


class _Neighbours:
    """What crosses the edge between two pieces: the last stamp, where the pieces meet."""

    def __init__(self) -> None:
        self._next = 0
        self._last: int | None = None

    def before(self, events: Columns) -> Int64Array:
        """Return (n,) the stamp before each event's; its own where that is not known."""
        known = self._last if events.first == self._next else None
        before = np.empty_like(events.t)
        before[1:] = events.t[:-1]
        before[0] = events.t[0] if known is None else known
        self._next = events.first + len(events.t)
        self._last = int(events.t[-1])
        return before


@register("order", "error", "events")
class Order(Tally):
    """Events with a stamp before that of the event above: a search in time goes wrong on them."""

    def __init__(self) -> None:
        super().__init__(
            "event",
            "before the event above, the first by {got}; sort the source, by name and counted",
        )
        self._neighbours = _Neighbours()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        t, before = events.t, self._neighbours.before(events)
        self.count(t < before, lambda k: (at(events, k), f"{int(before[k]) - int(t[k])} µs"))


@register("bounds", "error", "events")
class Bounds(Tally):
    """Events outside the sensor."""

    def __init__(self, sensor: tuple[int, int]) -> None:
        self._height, self._width = sensor
        super().__init__(
            "event",
            f"outside the sensor of {self._width}x{self._height}, the first at {{got}}; is the "
            "sensor's size right?",
        )

    def add(self, events: Columns) -> None:
        """Take the next events."""
        x, y = events.x, events.y
        bad = (x < 0) | (x >= self._width) | (y < 0) | (y >= self._height)
        self.count(bad, lambda k: (at(events, k), f"x={x[k]}, y={y[k]}"))


@register("polarity", "error", "events")
class Polarity(Tally):
    """Events with a polarity that is neither 0 (OFF) nor 1 (ON)."""

    def __init__(self) -> None:
        super().__init__(
            "event",
            "with a polarity that is neither 0 nor 1, the first with {got}; write 0 for OFF",
        )

    def add(self, events: Columns) -> None:
        """Take the next events."""
        p = events.p
        self.count((p < 0) | (p > 1), lambda k: (at(events, k), f"p={p[k]}"))


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
            steps = distance(events.t, self._first)
            self._quantum = int(np.gcd.reduce(steps, initial=np.uint64(self._quantum)))

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
        before = self._neighbours.before(events)
        # In uint64, which has room for any step forward.
        steps = events.t.view(np.uint64) - before.view(np.uint64)
        long = (events.t > before) & (steps >= self._least)
        if long.any():
            self._longest = max(self._longest, int(steps[long].max()))
            self._tally.count(long, lambda k: (f"t={before[k]} µs", f"{steps[k] / 1e6:.3f} s"))

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
    Of the bins, it keeps how many there are of each count: n events have no more than √2n counts.
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
        self._bins: dict[int, tuple[int, int]] = {}  # events in a bin → such bins, the first

    def add(self, events: Columns) -> None:
        """Take the next events."""
        bins = events.t // self._bin_us
        starts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
        counts = np.diff(starts, append=len(bins))
        for number, count in zip(bins[starts].tolist(), counts.tolist(), strict=True):
            before = 0
            if self._open is not None:
                if self._open[0] == number:
                    before = self._open[1]
                else:
                    self._close(*self._open)
            self._open = number, before + count

    def _close(self, number: int, count: int) -> None:
        n, first = self._bins.get(count, (0, number))
        self._bins[count] = n + 1, min(first, number)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._open is not None:
            self._close(*self._open)
        total = sum(n for n, _ in self._bins.values())
        if total < self._least_bins:
            return
        reached, median = 0, 0
        for count in sorted(self._bins):
            reached += self._bins[count][0]
            if reached >= (total + 1) // 2:
                median = count
                break
        least = max(self._times * median, self._least_events)
        much = {count: bins for count, bins in self._bins.items() if count >= least}
        if much:
            n, first = sum(n for n, _ in much.values()), min(first for _, first in much.values())
            yield (
                f"t={first * self._bin_us} µs",
                f"{counted(n, 'bin')} of {self._bin_us // 1000} ms with up to {max(much):,} "
                f"events; the median is {median:,}; did the light change, or do stamps pile up?",
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
        self._tally = Tally(
            "entry",
            "not the row of the first event of the millisecond, the first is {got}; build the "
            "store again",
        )
        self._ms = 0
        self._rows = 0
        self._last = -1
        self._blind = False

    def add(self, events: Columns) -> None:
        """Take the next events."""
        # What the index should say is not known where stamps go back or are missing.
        back = (events.t < self._neighbours.before(events)).any()
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
        yield from self._tally.finish()


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
