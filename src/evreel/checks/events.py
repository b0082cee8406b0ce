"""Checks of events: accumulators that take a recording piece by piece.

They take raw columns, so that all faults are found, not only the first. Each keeps the place of the
first fault and a count, never the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.checks.finding import DAMAGE, Finding, Located
from evreel.checks.registry import Threshold, check_of, checks_of, finished
from evreel.checks.tally import Accumulator, Faults, PieceTally, Tally, distance
from evreel.errors import EvreelError
from evreel.recordings import jumps
from evreel.text import counted
from evreel.timebase import Int64Array

error, warning = checks_of("events")

Pieces = Iterable[tuple[int, Sequence[npt.NDArray[Any]]]]
"""For each piece of a file: row of its first event, and its columns t, x, y, p, not empty."""


class Columns(NamedTuple):
    """The next events of a file, unchecked.

    Parameters
    ----------
    first : row of the first of them in the file; an unreadable piece is left out.
    t, x, y, p : (n,) int64, n ≥ 1.
    before : (n,) int64, the previous event's timestamp; the event's own if that is not known.
    """

    first: int
    t: Int64Array
    x: Int64Array
    y: Int64Array
    p: Int64Array
    before: Int64Array


def columns(pieces: Pieces) -> Iterator[Columns]:
    """Yield the events of each piece, with the previous timestamps, also across pieces."""
    row, last = 0, None
    for first, piece in pieces:
        t, x, y, p = (column.astype(np.int64) for column in piece)
        before = np.empty_like(t)
        before[1:] = t[:-1]
        before[0] = last if last is not None and first == row else t[0]
        yield Columns(first, t, x, y, p, before)
        row, last = first + len(t), t[-1]


def at(events: Columns, row: int) -> str:
    """Return the place of an event; `row` counts from the first of `events`."""
    return f"event {events.first + row}, t={events.t[row]} µs"


def event_checks(sensor: tuple[int, int]) -> list[Accumulator]:
    """Return the checks that fit any events."""
    return [
        *(Order(), ClockJump(), Bounds(sensor), Polarity(), OnePolarity()),
        *(Quantum(), TimeUnit(sensor), Gap(), Burst()),
    ]


def event_check_names() -> frozenset[str]:
    """Return the names of the checks that fit any events."""
    return frozenset(check_of(type(check)).name for check in event_checks((1, 1)))


def check_events(path: str, pieces: Pieces, checks: Sequence[Accumulator]) -> Iterator[Finding]:
    """Yield what checks find in events, in one pass; then raise what reading them raised."""
    failure: Exception | None = None
    try:
        for events in columns(pieces):
            for check in checks:
                check.add(events)
    except (EvreelError, *DAMAGE) as error:
        failure = error
    for check in checks:
        yield from finished(check, path)
    if failure is not None:
        raise failure


@error(
    "order",
    "Events with a timestamp before the previous event's: they break a search in time.",
)
class Order(PieceTally):
    """Compare each timestamp with the one before it."""

    what = "event"
    problem = "before the previous event, the first by {got}; sort the source and count that"

    def _faults(self, events: Columns) -> Faults:
        t, before = events.t, events.before
        return t < before, lambda k: (at(events, k), f"{int(before[k]) - int(t[k])} µs")


@error(
    "clock_jump",
    "Jumps of the clock: it was reset, or a few stray events are far off it.",
    Threshold(
        "jitter_us", jumps.JITTER_US, "Two packets of a camera, of 10 ms, may change places."
    ),
    Threshold("pause_us", jumps.PAUSE_US, "No camera pauses for more than a day."),
    Threshold("stray_events", jumps.STRAY_EVENTS, "A recording that goes on has more in a row."),
)
class ClockJump:
    """Follow the clock as readers do, from shortly before the first step that may be a jump on."""

    def __init__(self) -> None:
        self._clock: jumps.Clock | None = None
        self._last = np.empty(0, np.int64)  # as many as may turn out to be stray, and more
        self._rows = 0
        self._whole = True  # whether all pieces so far could be read

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._whole &= events.first == self._rows
        self._rows = events.first + len(events.t)
        if self._clock is None:
            t = np.concatenate([self._last, events.t])
            if (t[1:] >= t[:-1]).all() and (distance(t[1:], t[:-1]) <= jumps.PAUSE_US).all():
                self._last = t[-8 * jumps.STRAY_EVENTS :]
                return
            self._clock = jumps.Clock(events.first - len(self._last))
            self._clock.add(self._last)
        self._clock.add(events.t)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._clock is None:
            return
        self._clock.add(np.empty(0, np.int64), over=True)
        if self._clock.jumps:
            jump = self._clock.jumps[0]
            time = f"t={jump.after_us} µs"
            total = jumps.summed(self._clock.resets, self._clock.strays)
            yield (
                f"event {jump.row}, {time}" if self._whole else time,
                f"{total}, the first {jump.size} t={jump.before_us}; decode the recording with "
                "on_reset or on_stray",
            )


@error("bounds", "Events outside the sensor.")
class Bounds(PieceTally):
    """Compare x and y with the sensor's (height, width)."""

    what = "event"
    problem = (
        "outside the sensor of {width}x{height}, the first at {got}; is the sensor's size right?"
    )

    def __init__(self, sensor: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = sensor

    def _faults(self, events: Columns) -> Faults:
        x, y = events.x, events.y
        bad = (x < 0) | (x >= self.width) | (y < 0) | (y >= self.height)
        return bad, lambda k: (at(events, k), f"x={x[k]}, y={y[k]}")


@error("polarity", "Events with a polarity that is neither 0 (OFF) nor 1 (ON).")
class Polarity(PieceTally):
    """Compare p with 0 and 1."""

    what = "event"
    problem = "with a polarity that is neither 0 nor 1, the first with {got}; write 0 for OFF"

    def _faults(self, events: Columns) -> Faults:
        p = events.p
        return (p < 0) | (p > 1), lambda k: (at(events, k), f"p={p[k]}")


_ONE_POLARITY_LEAST = Threshold("least_events", 1_000, "Fewer events may well have one polarity.")


@warning(
    "one_polarity",
    "A recording whose events all have one polarity: the other was probably lost in conversion.",
    _ONE_POLARITY_LEAST,
)
class OnePolarity:
    """Keep the lowest and the highest p."""

    def __init__(self) -> None:
        self._n = 0
        self._values: tuple[int, ...] = ()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._n += len(events.p)
        values = (*self._values, int(events.p.min()), int(events.p.max()))
        self._values = min(values), max(values)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._n >= _ONE_POLARITY_LEAST.value and len(set(self._values)) == 1:
            p = self._values[0]
            yield "", f"all {self._n:,} events have p={p}; was the other polarity lost?"


_QUANTUM_US = Threshold(
    "quantum_us",
    1_000,
    "Converters round to milliseconds; cameras have timestamps of 1 µs, old ones of 20 µs.",
)
_QUANTUM_LEAST = Threshold(
    "least_events", 1_000, "Fewer events may have such timestamps by chance."
)


@warning(
    "quantum",
    "Timestamps that are all multiples of a coarse unit: time was rounded and order was lost.",
    _QUANTUM_US,
    _QUANTUM_LEAST,
)
class Quantum:
    """Keep the greatest common divisor of all times since the first."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._quantum = 0
        self._n = 0

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._n += len(events.t)
        if self._first is None:
            self._first = int(events.t[0])
        if self._quantum % _QUANTUM_US.value == 0:
            # Since the first timestamp, so that a clock need not start at 0 to show its quantum.
            steps = distance(events.t, self._first)
            self._quantum = int(np.gcd.reduce(steps, initial=np.uint64(self._quantum)))

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._n < _QUANTUM_LEAST.value or self._quantum % _QUANTUM_US.value:
            return
        if self._quantum:
            problem = f"all {self._n:,} timestamps are on a grid of {self._quantum} µs"
        else:
            problem = f"all {self._n:,} events have the same timestamp"
        yield (
            "",
            f"{problem}: time was rounded, or counts a finer unit, such as ns; take it from the "
            "camera's own file, or save it as µs",
        )


_UNIT_MOST_HZ = Threshold(
    "most_hz",
    1_000_000_000,
    "The fastest sensors read out some 10⁹ events per second at their peak.",
)
_UNIT_MOST_PIXEL_HZ = Threshold(
    "most_pixel_hz",
    1_000,
    "Of all pixels on average: real recordings have 1 to 20; flicker of all makes hundreds.",
)
_UNIT_FILLED_SHARE = Threshold(
    "filled_share", 0.9, "Of all µs: of real ones, many have no event; of ms, hardly any."
)
_UNIT_FILLED_PIXEL_HZ = Threshold(
    "filled_pixel_hz", 50, "Of all pixels on average, where nearly every µs has an event."
)
_UNIT_LEAST_US = Threshold("least_us", 10_000, "Nobody records for less than 10 ms.")
_UNIT_LEAST_HZ = Threshold("least_hz", 100, "Even the noise of a covered sensor makes more.")
_UNIT_STAMP_EVENTS = Threshold(
    "stamp_events", 20, "A camera gives few events the same µs; a frame gives it to all of its own."
)
_UNIT_STAMP_US = Threshold(
    "stamp_us", 1_000, "Cameras tell times of 1 to 20 µs apart; frames are at least 1 ms apart."
)
_UNIT_LEAST = Threshold("least_events", 1_000, "Fewer events tell nothing about their clock.")


@warning(
    "time_unit",
    "Timestamps that can hardly be µs: too many events for their time, or too few, or all at the "
    "times of frames.",
    _UNIT_MOST_HZ,
    _UNIT_MOST_PIXEL_HZ,
    _UNIT_FILLED_SHARE,
    _UNIT_FILLED_PIXEL_HZ,
    _UNIT_LEAST_US,
    _UNIT_LEAST_HZ,
    _UNIT_STAMP_EVENTS,
    _UNIT_STAMP_US,
    _UNIT_LEAST,
)
class TimeUnit:
    """Compare the number of events with their duration, and with their different timestamps.

    Parameters
    ----------
    sensor
        (height, width) in pixels.
    """

    def __init__(self, sensor: tuple[int, int]) -> None:
        self._pixels = max(sensor[0] * sensor[1], 1)
        self._n = 0
        self._stamps = 1
        self._ends: tuple[int, ...] = ()

    def add(self, events: Columns) -> None:
        """Take the next events."""
        self._n += len(events.t)
        self._stamps += int(np.count_nonzero(events.t != events.before))
        ends = (*self._ends, int(events.t.min()), int(events.t.max()))
        self._ends = min(ends), max(ends)

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        if self._n < _UNIT_LEAST.value:
            return
        span_us = self._ends[1] - self._ends[0] + 1
        hz = self._n * 1_000_000 / span_us
        rate = f"{self._n:,} events in {span_us:,} µs"
        is_filled = self._stamps >= _UNIT_FILLED_SHARE.value * span_us
        most_hz = _UNIT_FILLED_PIXEL_HZ.value if is_filled else _UNIT_MOST_PIXEL_HZ.value
        if (
            hz > _UNIT_MOST_HZ.value
            or hz > most_hz * self._pixels
            or span_us < _UNIT_LEAST_US.value
        ):
            yield (
                "",
                f"{rate} at {self._stamps:,} different timestamps, {hz / self._pixels:,.0f} per "
                "second and pixel: are they ms, s, or the numbers of frames? Declare the unit "
                "(events/columns), or save them as µs",
            )
        elif hz < _UNIT_LEAST_HZ.value:
            yield (
                "",
                f"{rate}, {hz:.3g} per second: are its timestamps ns? Declare that "
                "(events/columns), or save them as µs",
            )
        elif (
            self._n >= _UNIT_STAMP_EVENTS.value * self._stamps
            and span_us >= _UNIT_STAMP_US.value * self._stamps
        ):
            step_us = (span_us - 1) // max(self._stamps - 1, 1)
            yield (
                "",
                f"{self._n:,} events at {self._stamps:,} different timestamps, "
                f"{step_us:,} µs apart on average: are they the times of frames? "
                "Take them from the camera's own file",
            )


_GAP_LEAST_US = Threshold(
    "least_us",
    500_000,
    "A still scene makes noise events every few ms, so half a second without one is a fault.",
)


@warning("gap", "Times without any event: the camera paused, or data were lost.", _GAP_LEAST_US)
class Gap:
    """Keep the first and the longest step from one timestamp to the next."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._longest = 0

    def add(self, events: Columns) -> None:
        """Take the next events."""
        before = events.before
        # In uint64, which has room for any step forward.
        steps = events.t.view(np.uint64) - before.view(np.uint64)
        long = (events.t > before) & (steps >= _GAP_LEAST_US.value)
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


_BURST_BIN_US = Threshold(
    "bin_us", 10_000, "Not shorter than one flicker of mains light, 100 or 120 per second."
)
_BURST_TIMES = Threshold(
    "times", 10, "Multiple of the median of bins with events: motion seldom reaches ten."
)
_BURST_LEAST_EVENTS = Threshold(
    "least_events", 1_000, "In a quiet scene, a bin with fewer is not a burst."
)
_BURST_LEAST_BINS = Threshold("least_bins", 10, "Fewer bins with events give no useful median.")


@warning(
    "burst",
    "Time bins with many times the usual number of events: flashes, or timestamps that pile up.",
    _BURST_BIN_US,
    _BURST_TIMES,
    _BURST_LEAST_EVENTS,
    _BURST_LEAST_BINS,
)
class Burst:
    """Count the events of time bins, and compare the counts with their median.

    It keeps how many bins have each count: n events have at most √2n different counts.
    """

    def __init__(self) -> None:
        self._open: tuple[int, int] | None = None  # the last bin may continue in the next piece
        self._bins: dict[int, tuple[int, int]] = {}  # events in a bin → number of such bins, first

    def add(self, events: Columns) -> None:
        """Take the next events."""
        bins = events.t // _BURST_BIN_US.value
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
        if total < _BURST_LEAST_BINS.value:
            return
        reached, median = 0, 0
        for count in sorted(self._bins):
            reached += self._bins[count][0]
            if reached >= (total + 1) // 2:
                median = count
                break
        least = max(_BURST_TIMES.value * median, _BURST_LEAST_EVENTS.value)
        much = {count: bins for count, bins in self._bins.items() if count >= least}
        if much:
            n, first = sum(n for n, _ in much.values()), min(first for _, first in much.values())
            yield (
                f"t={first * _BURST_BIN_US.value} µs",
                f"{counted(n, 'bin')} of {_BURST_BIN_US.value // 1000} ms with up to "
                f"{max(much):,} events; the median is {median:,}; did the light change, or do "
                "timestamps pile up?",
            )
