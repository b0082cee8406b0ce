"""Windows: time edges and event index ranges.

A window includes its start and excludes its stop, in time and in event indices. Window k of a
regular division is ``[k·w, (k+1)·w)`` from origin 0. An empty window is a window. `tail` says what
happens to the last, incomplete window: ``keep`` (the default; it keeps its nominal edge in
time) or ``drop``. If a recording is cut into samples, each sample is divided on its own, from its
own start, and no window holds events of two samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.settings import Place, Settings, optional, setting
from evreel.timebase import FARTHEST, Int64Array, frozen

Tail = Literal["keep", "drop"]
MOST_WINDOWS = 50_000_000
"""Limit of a recording's number of windows: 1.6 GB of edges and rows."""

IndexOf = Callable[[Int64Array], Int64Array]
StampAt = Callable[[Int64Array], Int64Array]


@dataclass(frozen=True, eq=False)
class Windows:
    """Time edges and event index ranges, one row per window.

    Parameters
    ----------
    start_us, stop_us
        (n,) int64, µs since `t_offset`: window k is ``[start_us[k], stop_us[k])``.
    start, stop
        (n,) int64 event rows: window k holds rows ``[start[k], stop[k])``.

    Raises
    ------
    ParameterError
        If a column does not hold whole numbers, columns differ in length, or a window stops
        before it starts.

    Notes
    -----
    By time, the rows of a window are exactly those with a timestamp in it. By count, the rows
    decide: `start_us` is the first timestamp and `stop_us` the last one + 1, so two neighbours
    overlap by 1 µs where equal timestamps are cut apart.
    """

    start_us: Int64Array
    stop_us: Int64Array
    start: Int64Array
    stop: Int64Array

    def __post_init__(self) -> None:
        for name in ("start_us", "stop_us", "start", "stop"):
            column = _whole(name, getattr(self, name))
            object.__setattr__(self, name, frozen(column, np.int64))
            shape = getattr(self, name).shape
            if len(shape) != 1 or shape != self.start_us.shape:
                raise ParameterError(
                    f"{name} of windows has shape {shape}, start_us has {self.start_us.shape}; "
                    "one dimension and equal lengths are expected"
                )
        for wrong, problem in (
            (self.stop_us <= self.start_us, "start_us={0} is not before stop_us={1}"),
            ((self.stop < self.start) | (self.start < 0), "rows [{2}, {3}) are not a valid range"),
        ):
            if wrong.any():
                k = int(np.argmax(wrong))
                row = (self.start_us[k], self.stop_us[k], self.start[k], self.stop[k])
                raise ParameterError(problem.format(*row), place=f"window {k}")

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, rows: slice) -> Windows:
        """Return some neighbouring windows, such as those of one training sequence."""
        return Windows(self.start_us[rows], self.stop_us[rows], self.start[rows], self.stop[rows])

    def since(self, start_us: int) -> Windows:
        """Return the same windows with times that count from another one."""
        return Windows(self.start_us - start_us, self.stop_us - start_us, self.start, self.stop)

    def check_order(self) -> None:
        """Raise `ParameterError` if a window starts before the previous one."""
        back = self.start_us[1:] < self.start_us[:-1]
        if back.any():
            k = int(np.argmax(back)) + 1
            raise ParameterError(
                f"starts at {self.start_us[k]} µs, before window {k - 1} at "
                f"{self.start_us[k - 1]} µs",
                place=f"window {k}",
                hint="Give windows in order of their starts.",
            )

    def of_label(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the window that a label at each timestamp belongs to, −1 where there is none.

        A label at t belongs to the window with ``start < t <= stop``; the first window also
        takes ``t == start``. If windows overlap, a label belongs to the first that holds it.

        Raises
        ------
        ParameterError
            If windows are not in order of their starts, as with samples that overlap.

        Examples
        --------
        >>> windows = Duration(10).plan(t_stop_us=30, index_of=lambda t: t)
        >>> windows.of_label([0, 1, 10, 11, 30, 31]).tolist()
        [0, 0, 0, 1, 2, -1]
        """
        t = _whole("t_us", t_us)
        if not len(self):
            return np.full(t.shape, -1, dtype=np.int64)
        self.check_order()
        # If a long window holds shorter ones, stops go back. The running maximum does not, and it
        # first reaches t at the first window that stops at or after t.
        window = np.searchsorted(np.maximum.accumulate(self.stop_us), t, side="left")
        last = np.minimum(window, len(self) - 1)
        first = (t == self.start_us[0]) & (last == 0)
        inside = (window < len(self)) & ((self.start_us[last] < t) | first)
        return np.where(inside, window, -1).astype(np.int64)


@dataclass(frozen=True)
class Duration:
    """Windows of equal duration: window k is ``[k·stride_us, k·stride_us + window_us)``.

    Parameters
    ----------
    window_us
        Duration, 1 µs or more.
    stride_us
        From one start to the next; None takes `window_us`.
    tail
        ``keep``: windows start until `t_stop_us` is covered, and none starts at or after it;
        ``drop``: only windows that end at or before it.
    """

    window_us: int
    stride_us: int | None = None
    tail: Tail = "keep"

    def __post_init__(self) -> None:
        _positive("window_us", self.window_us)
        _positive("stride_us", 1 if self.stride_us is None else self.stride_us)
        _known_tail(self.tail)

    def plan(self, t_stop_us: int, index_of: IndexOf) -> Windows:
        """Return the windows of a recording.

        Parameters
        ----------
        t_stop_us
            Last timestamp + 1.
        index_of
            Function of (n,) timestamps → (n,) rows of the first event at or after each.

        Raises
        ------
        ParameterError
            If there would be more than `MOST_WINDOWS`.

        Examples
        --------
        >>> t = np.array([0, 9, 10, 24])
        >>> windows = Duration(10).plan(25, lambda at: np.searchsorted(t, at))
        >>> windows.stop_us.tolist(), windows.start.tolist(), windows.stop.tolist()
        ([10, 20, 30], [0, 2, 3], [2, 3, 4])
        """
        begin, end = np.zeros(1, dtype=np.int64), np.array([t_stop_us], dtype=np.int64)
        return _equal_durations(self, begin, end, index_of(end), index_of)[0]


@dataclass(frozen=True)
class Count:
    """Windows of equal event count: window k is rows ``[k·stride, k·stride + count)``.

    Parameters
    ----------
    count
        Events per window, 1 or more.
    stride
        Events from one start to the next; None takes `count`.
    tail
        ``keep``: windows start until every event is covered; the last may hold fewer events;
        ``drop``: only windows of `count` events.
    """

    count: int
    stride: int | None = None
    tail: Tail = "keep"

    def __post_init__(self) -> None:
        _positive("count", self.count)
        _positive("stride", 1 if self.stride is None else self.stride)
        _known_tail(self.tail)

    def plan(self, n_events: int, stamp_at: StampAt) -> Windows:
        """Return the windows of a recording.

        Parameters
        ----------
        n_events
            How many events the recording holds.
        stamp_at
            Function of (n,) rows → (n,) their timestamps in µs.

        Raises
        ------
        ParameterError
            If there would be more than `MOST_WINDOWS`.

        Examples
        --------
        >>> t = np.array([0, 9, 10, 24, 30])
        >>> windows = Count(2).plan(5, lambda rows: t[rows])
        >>> windows.start.tolist(), windows.stop.tolist(), windows.stop_us.tolist()
        ([0, 2, 4], [2, 4, 5], [10, 25, 31])
        """
        first, last = np.zeros(1, dtype=np.int64), np.array([n_events], dtype=np.int64)
        return _equal_counts(self, first, last, stamp_at)[0]


@dataclass(frozen=True)
class Number:
    """A fixed number of windows, of equal duration or of equal count.

    The division starts at the first event. Each window but the last has the whole-number share
    (``span // number`` µs, or ``n // number`` events); the last ends with the last event.

    Parameters
    ----------
    number
        Windows per recording, or per sample of it, 1 or more.
    by
        ``time``: windows of equal duration; ``count``: of equal event count.
    """

    number: int
    by: Literal["time", "count"] = "time"

    def __post_init__(self) -> None:
        _positive("number", self.number)
        if self.by not in ("time", "count"):
            raise ParameterError(f"by={self.by!r} is neither 'time' nor 'count'")


Division = Duration | Count | Number


def division(
    window_us: int | None = None,
    count: int | None = None,
    stride_us: int | None = None,
    stride: int | None = None,
    tail: Tail = "keep",
    number: int | None = None,
    by: Literal["time", "count"] | None = None,
) -> Division:
    """Return the division that exactly one of `window_us`, `count` and `number` asks for.

    Raises
    ------
    ParameterError
        If none or several are given, or an option of another one.
    """
    asked = {"window_us": window_us, "count": count, "number": number}
    if sum(value is not None for value in asked.values()) != 1:
        raise ParameterError(
            "give exactly one of window_us, count and number; got "
            + (", ".join(f"{k}={v}" for k, v in asked.items() if v is not None) or "none")
        )
    if window_us is not None:
        _no_other("window_us", {"stride": stride}, "use stride_us")
        _no_other("window_us", {"by": by}, "it belongs to number")
        return Duration(window_us, stride_us, tail)
    if count is not None:
        _no_other("count", {"stride_us": stride_us}, "use stride")
        _no_other("count", {"by": by}, "it belongs to number")
        return Count(count, stride, tail)
    others = {"stride_us": stride_us, "stride": stride, "tail": "drop" if tail == "drop" else None}
    _no_other("number", others, "its windows follow each other, and the last ends with the events")
    return Number(0 if number is None else number, by or "time")


@dataclass(frozen=True, kw_only=True)
class RegularWindows(Settings):
    """How a recording is divided into windows of equal duration or of equal event count."""

    one_of: ClassVar[tuple[str, ...]] = ("window_us", "count")

    window_us: int | None = optional(
        "Duration of a window.", unit="µs", minimum=1, maximum=FARTHEST
    )
    count: int | None = optional("Events per window.", unit="events", minimum=1, maximum=FARTHEST)
    tail: Tail = setting(
        "keep",
        "What happens to the last, incomplete window. keep: it is a window (in time it keeps its "
        "nominal edge); drop: it is left out.",
    )

    def division(self) -> Division:
        """Return the division that these settings ask for."""
        names = ("window_us", "count", "stride_us", "stride", "tail", "number", "by")
        return division(**{name: getattr(self, name) for name in names if hasattr(self, name)})

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) for values that do not go together."""
        try:
            self.division()
        except ParameterError as error:
            yield (), str(error)


@dataclass(frozen=True, kw_only=True)
class AnyWindows(RegularWindows):
    """How a recording, or each of its samples, is divided into windows of any kind."""

    one_of: ClassVar[tuple[str, ...]] = ("window_us", "count", "number")

    stride_us: int | None = optional(
        "From one window's start to the next; window_us if left out.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
    )
    stride: int | None = optional(
        "From one window's first event to the next one's; count if left out.",
        unit="events",
        minimum=1,
        maximum=FARTHEST,
    )
    number: int | None = optional(
        "Windows per sample, or per recording that is not cut into samples.",
        unit="windows",
        minimum=1,
        maximum=FARTHEST,
    )
    by: Literal["time", "count"] | None = optional(
        "With number: windows of equal duration (time; the default), or of equal event count "
        "(count). What is divided runs from the first event of a sample to its last."
    )


def _no_other(name: str, others: Mapping[str, object], instead: str) -> None:
    for other, value in others.items():
        if value is not None:
            raise ParameterError(f"{other}={value} does not go with {name}; {instead}")


def cut(
    division: Division,
    start_us: npt.ArrayLike,
    stop_us: npt.ArrayLike,
    index_of: IndexOf,
    stamp_at: StampAt,
) -> tuple[Windows, Int64Array]:
    """Divide each of some intervals of a recording on its own.

    Parameters
    ----------
    division
        How.
    start_us, stop_us
        (m,) int64, µs since `t_offset`: intervals ``[start_us, stop_us)``; they may overlap.
    index_of
        Function of (n,) timestamps → (n,) rows of the first event at or after each.
    stamp_at
        Function of (n,) rows, ascending → (n,) their timestamps in µs.

    Returns
    -------
    windows
        The windows of the first interval, then those of the next. No window holds an event outside
        its interval, but the last one of an interval keeps its nominal edge.
    bounds
        (m + 1,) int64: interval k has the windows ``[bounds[k], bounds[k + 1])``.

    Raises
    ------
    ParameterError
        If an interval has less than 1 µs or one event for each of a fixed number of windows
        (the place is ``interval k``), or if there would be more than `MOST_WINDOWS`.

    Examples
    --------
    >>> t = np.array([0, 9, 10, 24, 50, 51])
    >>> windows, bounds = cut(
    ...     Duration(10), [0, 50], [25, 52], lambda at: np.searchsorted(t, at), lambda rows: t[rows]
    ... )
    >>> windows.start_us.tolist(), windows.stop.tolist(), bounds.tolist()
    ([0, 10, 20, 50], [2, 3, 4, 6], [0, 3, 4])
    """

    def stamps(rows: Int64Array) -> Int64Array:
        order = np.argsort(rows, kind="stable")  # windows of intervals that overlap go back
        found = np.empty(len(rows), dtype=np.int64)
        found[order] = stamp_at(rows[order])
        return found

    begin, end = _whole("start_us", start_us), _whole("stop_us", stop_us)
    first, last = index_of(begin), index_of(end)
    if isinstance(division, Duration):
        return _equal_durations(division, begin, end, last, index_of)
    if isinstance(division, Count):
        return _equal_counts(division, first, last, stamps)
    return _equal_shares(division, first, last, index_of, stamps)


def _equal_durations(
    division: Duration, begin: Int64Array, end: Int64Array, last: Int64Array, index_of: IndexOf
) -> tuple[Windows, Int64Array]:
    """Divide intervals ``[begin, end)`` µs, whose rows end at `last`."""
    size = division.window_us
    stride = size if division.stride_us is None else division.stride_us
    interval, k, bounds = _end_to_end(_how_many(end - begin, size, stride, division.tail))
    start_us = begin[interval] + k * stride
    stop_us = start_us + size
    stop = np.minimum(index_of(stop_us), last[interval])
    return Windows(start_us, stop_us, index_of(start_us), stop), bounds


def _equal_counts(
    division: Count, first: Int64Array, last: Int64Array, stamp_at: StampAt
) -> tuple[Windows, Int64Array]:
    """Divide intervals of rows ``[first, last)``."""
    stride = division.count if division.stride is None else division.stride
    n = _how_many(last - first, division.count, stride, division.tail)
    interval, k, bounds = _end_to_end(n)
    start = first[interval] + k * stride
    stop = np.minimum(start + division.count, last[interval])
    return Windows(stamp_at(start), stamp_at(stop - 1) + 1, start, stop), bounds


def _equal_shares(
    division: Number, first: Int64Array, last: Int64Array, index_of: IndexOf, stamp_at: StampAt
) -> tuple[Windows, Int64Array]:
    """Divide intervals of rows ``[first, last)`` into a fixed number of windows each."""
    by_time = division.by == "time"
    begin, span = first, last - first
    some = span > 0
    if by_time:
        begin, span = np.zeros_like(first), np.zeros_like(first)
        begin[some] = stamp_at(first[some])
        span[some] = stamp_at(last[some] - 1) + 1 - begin[some]
    short = np.flatnonzero(span < division.number)
    if short.size:
        unit = "µs" if by_time else "events"
        raise ParameterError(
            f"{span[short[0]]} {unit} {'from first to last event ' if by_time else ''}cannot be "
            f"divided into {division.number} windows",
            place=f"interval {short[0]}",
        )
    n = np.full(len(first), division.number, dtype=np.int64)
    if len(n) * division.number > MOST_WINDOWS:
        raise ParameterError(
            f"these are {len(n) * division.number} windows; at most {MOST_WINDOWS} are allowed"
        )
    interval, k, bounds = _end_to_end(n)
    share = span // division.number
    low = begin[interval] + k * share[interval]
    high = np.where(k == division.number - 1, (begin + span)[interval], low + share[interval])
    if by_time:
        return Windows(low, high, index_of(low), index_of(high)), bounds
    return Windows(stamp_at(low), stamp_at(high - 1) + 1, low, high), bounds


def _end_to_end(n: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return each window's interval and position in it, and the bounds; n windows per interval."""
    bounds = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    interval = np.repeat(np.arange(len(n)), n)
    return interval, np.arange(bounds[-1]) - bounds[interval], bounds


def ending_at(instants_us: Iterable[int], window_us: int, index_of: IndexOf) -> Windows:
    """Return windows ``[instant − window_us, instant)``, one an instant.

    Parameters
    ----------
    instants_us
        µs since `t_offset`, in order; equal instants give equal windows.
    window_us
        Duration, 1 µs or more.
    index_of
        Function of (n,) timestamps → (n,) rows of the first event at or after each.

    Examples
    --------
    >>> t = np.array([0, 9, 10, 24])
    >>> windows = ending_at([10, 25], 15, lambda at: np.searchsorted(t, at))
    >>> windows.start_us.tolist(), windows.start.tolist(), windows.stop.tolist()
    ([-5, 10], [0, 2], [2, 4])
    """
    _positive("window_us", window_us)
    stop_us = _whole("instants_us", list(instants_us))
    start_us = stop_us - window_us
    windows = Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))
    windows.check_order()
    return windows


def _how_many(total: Int64Array, size: int, stride: int, tail: Tail) -> Int64Array:
    """Return how many windows of `size`, one every `stride` from 0, divide each ``[0, total)``."""
    if tail == "drop":
        n = np.maximum(0, (total - size) // stride + 1)
    else:
        to_cover = np.maximum(0, -(-(total - size) // stride)) + 1
        # A stride above the size leaves gaps: the end may be in one, and no window follows it.
        n = np.minimum(to_cover, -(-total // stride))
    wanted = sum(n.tolist())  # as Python's numbers, which do not wrap
    if wanted > MOST_WINDOWS:
        raise ParameterError(
            f"windows of {size}, one every {stride}, divide 0 to {sum(total.tolist())} into "
            f"{wanted} windows; at most {MOST_WINDOWS} are allowed",
            hint="Choose longer windows, a longer stride, or a part of the recording.",
        )
    return n


def _whole(name: str, values: npt.ArrayLike) -> Int64Array:
    """Return whole numbers as int64; refuse fractions, which would be cut off silently."""
    given = np.asarray(values)
    if given.size and given.dtype.kind not in "iu":
        raise ParameterError(f"{name} is {given.dtype}; whole numbers are expected")
    return given.astype(np.int64, copy=False)


def _positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ParameterError(f"{name}={value!r} is not a whole number")
    if not 1 <= value <= FARTHEST:
        raise ParameterError(f"{name}={value} is not within 1 to {FARTHEST}")


def _known_tail(tail: str) -> None:
    if tail not in ("keep", "drop"):
        raise ParameterError(f"tail={tail!r} is neither 'keep' nor 'drop'")
