"""Windows: time edges and event index ranges.

A window includes its start and excludes its stop, in time and in event indices. Window k of a
regular division is ``[k·w, (k+1)·w)`` from origin 0, or from `origin_us` on. An empty window is a
window. `tail` says what happens to the last, incomplete window: ``keep`` (the default; it keeps
its nominal edge in time) or ``drop``. If a recording is cut into samples, each sample is divided
on its own, from its own start, and no window holds events of two samples.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from itertools import repeat
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.settings import Place, Settings, optional, setting
from evreel.timebase import FARTHEST, Int64Array, frozen

Tail = Literal["keep", "drop"]
MOST_WINDOWS = 50_000_000
"""Limit of a recording's number of windows: 1.6 GB of edges and rows."""
_BLOCK_ROWS = 1 << 20
"""Timestamps that are held at a time where one window depends on the one before it: 8 MB."""

IndexOf = Callable[[Int64Array], Int64Array]
StampAt = Callable[[Int64Array], Int64Array]
Chosen = Callable[[int], slice]
"""Function of how many windows there are → those that are wanted, neighbours."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Time edges and event index ranges, one row per window.

    Parameters
    ----------
    start_us, stop_us
        (n,) int64, µs since `t_offset`: window k is ``[start_us[k], stop_us[k])``. Only a window
        without events may have no duration.
    start, stop
        (n,) int64 event rows: window k holds rows ``[start[k], stop[k])``.

    Raises
    ------
    ParameterError
        If a column does not hold whole numbers, columns differ in length, or a window stops
        before it starts, or where it starts and has events.

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
        least = (self.stop > self.start).astype(np.int64)
        for wrong, problem in (
            (self.stop_us - self.start_us < least, "start_us={0} is not before stop_us={1}"),
            ((self.stop < self.start) | (self.start < 0), "rows [{2}, {3}) are not a valid range"),
        ):
            if wrong.any():
                k = int(np.argmax(wrong))
                row = (self.start_us[k], self.stop_us[k], self.start[k], self.stop[k])
                raise ParameterError(problem.format(*row), place=f"window {k}")

    def __len__(self) -> int:
        return len(self.start_us)

    def __repr__(self) -> str:
        if not len(self):
            return "<no windows>"
        windows = "1 window" if len(self) == 1 else f"{len(self)} windows"
        time = f"[{self.start_us.min()}, {self.stop_us.max()}) µs"
        return f"<{windows} within {time}, rows [{self.start.min()}, {self.stop.max()})>"

    def __getitem__(self, rows: slice) -> Windows:
        """Return some neighbouring windows, such as those of one training sequence."""
        return Windows(self.start_us[rows], self.stop_us[rows], self.start[rows], self.stop[rows])

    def since(self, start_us: int) -> Windows:
        """Return the same windows with times that count from another one."""
        return Windows(self.start_us - start_us, self.stop_us - start_us, self.start, self.stop)

    def clipped(self, first: Int64Array, last: Int64Array) -> Windows:
        """Return the windows without rows outside of ``[first, last)``; edges stay in time."""
        start, stop = (np.clip(rows, first, last) for rows in (self.start, self.stop))
        return Windows(self.start_us, self.stop_us, start, stop)

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
    """Windows of equal duration: window k is ``[o + k·stride_us, o + k·stride_us + window_us)``.

    Parameters
    ----------
    window_us
        Duration, 1 µs or more.
    stride_us
        From one start to the next; None takes `window_us`.
    tail
        ``keep``: windows start until `t_stop_us` is covered, and none starts at or after it;
        ``drop``: only windows that end at or before it.
    origin_us
        o: where the first window starts, from the start of the recording or sample. What is before
        it is in no window.
    """

    window_us: int
    stride_us: int | None = None
    tail: Tail = "keep"
    origin_us: int = 0

    def __post_init__(self) -> None:
        _positive("window_us", self.window_us)
        _positive("stride_us", 1 if self.stride_us is None else self.stride_us)
        _known_tail(self.tail)
        _within("origin_us", self.origin_us, -FARTHEST)

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
        begin, end = np.array([[self.origin_us], [t_stop_us]], dtype=np.int64)
        first, last = index_of(begin), index_of(end)
        return _equal_durations(self, begin, end, first, last, index_of)[0]


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
    origin_us
        Rows count from the first event at or after this time, from the start of the recording or
        sample. Those before it are in no window.
    """

    count: int
    stride: int | None = None
    tail: Tail = "keep"
    origin_us: int = 0

    def __post_init__(self) -> None:
        _positive("count", self.count)
        _positive("stride", 1 if self.stride is None else self.stride)
        _known_tail(self.tail)
        _within("origin_us", self.origin_us, -FARTHEST)

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
        row = bisect_left(
            range(n_events), self.origin_us, key=lambda row: int(stamp_at(np.array([row]))[0])
        )
        first, last = np.array([[row], [n_events]], dtype=np.int64)
        return _equal_counts(self, first, last, stamp_at)[0]


@dataclass(frozen=True)
class Mixed:
    """Windows that end after a duration or with an event count, whichever comes first.

    A window starts where the one before it ended, the first at `origin_us`. It has `count` events,
    and then ends 1 µs after the last of them, or fewer, and then ends `window_us` after its start.
    If equal timestamps are cut apart, the next window starts at them, 1 µs before this one's end.

    Parameters
    ----------
    window_us
        Longest duration, 1 µs or more.
    count
        Most events per window, 1 or more.
    tail
        ``keep``: windows follow until the end is covered, and the last keeps its nominal edge;
        ``drop``: it is left out if it reaches beyond the end.
    origin_us
        Where the first window starts, from the start of the recording or sample. What is before
        it is in no window.
    """

    window_us: int
    count: int
    tail: Tail = "keep"
    origin_us: int = 0

    def __post_init__(self) -> None:
        _positive("window_us", self.window_us)
        _positive("count", self.count)
        _known_tail(self.tail)
        _within("origin_us", self.origin_us, -FARTHEST)


@dataclass(frozen=True)
class Number:
    """A fixed number of windows, of equal duration or of equal count.

    The division starts at the first event. Each window but the last has the whole-number share
    (``(t_last − t_first) // number`` µs, or ``n // number`` events), which may be 0: then it is
    empty, and has no duration. The last window has all other events and ends 1 µs after the last
    of them. These are the frames of SpikingJelly's ``split_by``.

    Parameters
    ----------
    number
        Windows per recording, or per sample of it, 1 or more.
    by
        ``time``: windows of equal duration; ``count``: of equal event count.
    origin_us
        The first event is the first at or after this time, from the start of the recording or
        sample. Those before it are in no window.
    """

    number: int
    by: Literal["time", "count"] = "time"
    origin_us: int = 0

    def __post_init__(self) -> None:
        _positive("number", self.number)
        if self.by not in ("time", "count"):
            raise ParameterError(f"by={self.by!r} is neither 'time' nor 'count'")
        _within("origin_us", self.origin_us, -FARTHEST)


Instants = Literal["labels", "frames", "times"]
"""Where given instants are from: boxes, a clock's frames, a file of times."""


@dataclass(frozen=True)
class Ending:
    """Windows that end at given instants: ``[instant − window_us, instant)``.

    Parameters
    ----------
    window_us
        Duration, 1 µs or more.
    at
        Where the instants are from.
    compat
        ``rvt``: both ends are in the window, as in RVT: ``[instant − window_us, instant + 1)``.
    """

    window_us: int
    at: Instants = "times"
    compat: Literal["rvt"] | None = None

    def __post_init__(self) -> None:
        _positive("window_us", self.window_us)
        if self.compat not in (None, "rvt"):
            raise ParameterError(f"compat={self.compat!r} is neither None nor 'rvt'")


Division = Duration | Count | Mixed | Number | Ending


def division(
    window_us: int | None = None,
    count: int | None = None,
    stride_us: int | None = None,
    stride: int | None = None,
    tail: Tail = "keep",
    number: int | None = None,
    by: Literal["time", "count"] | None = None,
    origin_us: int | None = None,
    ending: Instants | None = None,
    compat: Literal["rvt"] | None = None,
) -> Division:
    """Return the division that `window_us`, `count`, both, `number` or `ending` asks for.

    Raises
    ------
    ParameterError
        If none is given, or what does not go together.
    """
    origin = 0 if origin_us is None else origin_us
    more = {"stride_us": stride_us, "stride": stride, "tail": None if tail == "keep" else tail}
    if ending is not None:
        others = {"count": count, "number": number, "by": by, **more, "origin_us": origin_us}
        _no_other("ending", others, "its windows end at given times, each window_us long")
        if window_us is None:
            raise ParameterError(f"ending={ending} needs window_us, the duration of its windows")
        return Ending(window_us, ending, compat)
    if compat is not None:
        raise ParameterError(f"compat={compat} of windows goes with ending only")
    if number is not None:
        others = {"window_us": window_us, "count": count, **more}
        _no_other(
            "number", others, "its windows follow each other, and the last ends with the events"
        )
        return Number(number, by or "time", origin)
    if window_us is not None and count is not None:
        others = {"stride_us": stride_us, "stride": stride, "by": by}
        _no_other("window_us and count", others, "each window starts where the last one ends")
        return Mixed(window_us, count, tail, origin)
    if window_us is not None:
        _no_other("window_us", {"stride": stride}, "use stride_us")
        _no_other("window_us", {"by": by}, "it belongs to number")
        return Duration(window_us, stride_us, tail, origin)
    if count is not None:
        _no_other("count", {"stride_us": stride_us}, "use stride")
        _no_other("count", {"by": by}, "it belongs to number")
        return Count(count, stride, tail, origin)
    raise ParameterError("give window_us, count, both of them, or number; got none of them")


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
        names = signature(division).parameters
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
    together: ClassVar[tuple[tuple[str, ...], ...]] = (("window_us", "count"),)

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
    origin_us: int | None = optional(
        "Where the division starts, from the start of the recording or sample; 0 if left out. "
        "Events before it are in no window, and counted.",
        unit="µs",
        minimum=-FARTHEST,
        maximum=FARTHEST,
    )
    ending: Instants | None = optional(
        "Windows of window_us that end at given instants. labels: the times of the recording's "
        "boxes; frames: the ends of the frames of its clock; times: those in the file that column "
        "times names."
    )
    compat: Literal["rvt"] | None = optional(
        "With ending: rvt has both ends in the window, as RVT does, so that an event at an instant "
        "is in the window that ends there."
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
    instants_us: npt.ArrayLike | None = None,
    chosen: Chosen | None = None,
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
    instants_us
        Where windows end, in order, for `Ending`. An interval has those with
        ``start_us <= instant <= stop_us``, as it has labels.
    chosen
        Which windows are wanted; None: all. Nothing is looked up for others, except for `Mixed`,
        where a window depends on the one before it.

    Returns
    -------
    windows
        The windows of the first interval, then those of the next, or those that are `chosen`. No
        window holds an event outside its interval, but its first and last window keep their
        nominal edges.
    bounds
        (m + 1,) int64: interval k has the windows ``[bounds[k], bounds[k + 1])``.

    Raises
    ------
    ParameterError
        If there would be more than `MOST_WINDOWS`, or instants are missing or out of order.

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
    if isinstance(division, Ending):
        if instants_us is None:
            raise ParameterError(f"windows that end at {division.at} need these instants")
        instants = _in_order(instants_us)
        low, high = np.searchsorted(instants, begin), np.searchsorted(instants, end, side="right")
        interval, k, bounds = _end_to_end(np.maximum(high - low, 0), chosen)
        ends = instants[low[interval] + k]
        windows = _ending(division.window_us, ends, index_of, division.compat)
        return windows.clipped(first[interval], last[interval]), bounds
    origin = begin + division.origin_us
    first = np.minimum(np.maximum(first, index_of(origin)), last)
    if isinstance(division, Duration):
        return _equal_durations(division, origin, end, first, last, index_of, chosen)
    if isinstance(division, Count):
        return _equal_counts(division, first, last, stamps, chosen)
    if isinstance(division, Mixed):
        windows, bounds = _whichever_first(division, origin, end, first, last, stamp_at)
        return (windows if chosen is None else windows[chosen(len(windows))]), bounds
    # Where no event is left, windows are still within the interval.
    origin = np.maximum(np.minimum(origin, end - 1), begin)
    return _equal_shares(division, origin, first, last, index_of, stamps, chosen)


def _equal_durations(
    division: Duration,
    begin: Int64Array,
    end: Int64Array,
    first: Int64Array,
    last: Int64Array,
    index_of: IndexOf,
    chosen: Chosen | None = None,
) -> tuple[Windows, Int64Array]:
    """Divide intervals ``[begin, end)`` µs, which have the rows ``[first, last)``."""
    size = division.window_us
    stride = size if division.stride_us is None else division.stride_us
    interval, k, bounds = _end_to_end(_how_many(end - begin, size, stride, division.tail), chosen)
    start_us = begin[interval] + k * stride
    stop_us = start_us + size
    windows = Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))
    return windows.clipped(first[interval], last[interval]), bounds


def _equal_counts(
    division: Count,
    first: Int64Array,
    last: Int64Array,
    stamp_at: StampAt,
    chosen: Chosen | None = None,
) -> tuple[Windows, Int64Array]:
    """Divide intervals of rows ``[first, last)``."""
    stride = division.count if division.stride is None else division.stride
    n = _how_many(last - first, division.count, stride, division.tail)
    interval, k, bounds = _end_to_end(n, chosen)
    start = first[interval] + k * stride
    stop = np.minimum(start + division.count, last[interval])
    return Windows(stamp_at(start), stamp_at(stop - 1) + 1, start, stop), bounds


class _Stamps:
    """Timestamps of rows, read in blocks.

    Parameters
    ----------
    stamp_at
        As in `cut`.
    n
        How many rows there are.
    """

    def __init__(self, stamp_at: StampAt, n: int) -> None:
        self._stamp_at = stamp_at
        self._n = n
        self._low = self._high = 0
        self._held: memoryview = np.empty(0, dtype=np.int64).data

    def at(self, row: int) -> int:
        """Return the timestamp of a row."""
        self._hold(row)
        stamp: int = self._held[row - self._low]
        return stamp

    def first_from(self, t_us: int, row: int, stop: int) -> int:
        """Return the first of the rows ``[row, stop)`` at or after a time, `stop` if none is."""
        while row < stop:
            self._hold(row)
            high = min(stop, self._high)
            found = bisect_left(self._held, t_us, row - self._low, high - self._low) + self._low
            if found < high:
                return found
            row = high
        return stop

    def _hold(self, row: int) -> None:
        if not self._low <= row < self._high:
            self._low, self._high = row, min(row + _BLOCK_ROWS, self._n)
            stamps = self._stamp_at(np.arange(self._low, self._high))
            self._held = np.ascontiguousarray(stamps, dtype=np.int64).data


def _whichever_first(
    division: Mixed,
    begin: Int64Array,
    end: Int64Array,
    first: Int64Array,
    last: Int64Array,
    stamp_at: StampAt,
) -> tuple[Windows, Int64Array]:
    """Divide intervals ``[begin, end)`` µs, which have the rows ``[first, last)``."""
    stamps = _Stamps(stamp_at, int(last.max(initial=0)))
    columns = start_us, stop_us, start, stop = array("q"), array("q"), array("q"), array("q")
    bounds = [0]
    size = division.window_us
    for interval, at in enumerate(begin.tolist()):
        row, stop_row, end_us = int(first[interval]), int(last[interval]), int(end[interval])
        while at < end_us:
            following = stamps.at(row) if row < stop_row else end_us
            n = (following - at) // size  # windows without events, before it
            _check_number(len(start_us) + n + 1)
            if n:
                start_us.extend(range(at, at + n * size, size))
                stop_us.extend(range(at + size, at + (n + 1) * size, size))
                start.extend(repeat(row, n))
                stop.extend(repeat(row, n))
                at += n * size
                continue
            until = min(row + division.count, stop_row)
            found = stamps.first_from(at + size, row, until)
            if found - row == division.count:
                latest = stamps.at(found - 1)
                edge = latest + 1
                is_cut_apart = found < stop_row and stamps.at(found) == latest
                after = latest if is_cut_apart else edge
            else:
                after = edge = at + size
                if edge > end_us and division.tail == "drop":
                    break
            for column, value in zip(columns, (at, edge, row, found), strict=True):
                column.append(value)
            at, row = after, found
        bounds.append(len(start_us))
    return Windows(*map(np.array, columns)), np.array(bounds, dtype=np.int64)


def _equal_shares(
    division: Number,
    begin: Int64Array,
    first: Int64Array,
    last: Int64Array,
    index_of: IndexOf,
    stamp_at: StampAt,
    chosen: Chosen | None = None,
) -> tuple[Windows, Int64Array]:
    """Divide intervals of rows ``[first, last)``; windows of one without events are at `begin`."""
    _check_number(len(first) * division.number)
    some = last > first
    begin, end = begin.copy(), begin.copy()
    begin[some] = stamp_at(first[some])
    end[some] = stamp_at(last[some] - 1) + 1
    n = np.full(len(first), division.number, dtype=np.int64)
    interval, k, bounds = _end_to_end(n, chosen)
    is_last = k == division.number - 1
    if division.by == "time":
        share = np.maximum(end - 1 - begin, 0) // division.number
        low_us = begin[interval] + k * share[interval]
        high_us = np.where(is_last, end[interval], low_us + share[interval])
        windows = Windows(low_us, high_us, index_of(low_us), index_of(high_us))
        return windows.clipped(first[interval], last[interval]), bounds
    share = (last - first) // division.number
    low = first[interval] + k * share[interval]
    high = np.where(is_last, last[interval], low + share[interval])
    low_us, high_us = begin[interval], begin[interval]
    some = high > low
    low_us[some], high_us[some] = stamp_at(low[some]), stamp_at(high[some] - 1) + 1
    return Windows(low_us, high_us, low, high), bounds


def _end_to_end(
    n: Int64Array, chosen: Chosen | None = None
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the interval of each chosen window and its position in it, and the bounds of all.

    There are n windows per interval.
    """
    bounds = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    window = np.arange(bounds[-1])
    if chosen is not None:
        window = window[chosen(len(window))]
    interval = np.searchsorted(bounds, window, side="right") - 1
    return interval, window - bounds[interval], bounds


def ending_at(
    instants_us: Iterable[int],
    window_us: int,
    index_of: IndexOf,
    compat: Literal["rvt"] | None = None,
) -> Windows:
    """Return windows ``[instant − window_us, instant)``, one an instant.

    Parameters
    ----------
    instants_us
        µs since `t_offset`, in order; equal instants give equal windows.
    window_us
        Duration, 1 µs or more.
    index_of
        Function of (n,) timestamps → (n,) rows of the first event at or after each.
    compat
        ``rvt``: ``[instant − window_us, instant + 1)``, so that both ends are in the window.

    Raises
    ------
    ParameterError
        If instants are out of order, or are not whole numbers.

    Examples
    --------
    >>> t = np.array([0, 9, 10, 24])
    >>> windows = ending_at([10, 25], 15, lambda at: np.searchsorted(t, at))
    >>> windows.start_us.tolist(), windows.start.tolist(), windows.stop.tolist()
    ([-5, 10], [0, 2], [2, 4])
    >>> ending_at([10, 25], 15, lambda at: np.searchsorted(t, at), "rvt").stop.tolist()
    [3, 4]
    """
    asked = Ending(window_us, compat=compat)
    return _ending(window_us, _in_order(list(instants_us)), index_of, asked.compat)


def _ending(
    window_us: int, instants: Int64Array, index_of: IndexOf, compat: Literal["rvt"] | None
) -> Windows:
    _check_number(len(instants))
    start_us, stop_us = instants - window_us, instants + (compat == "rvt")
    return Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))


def _in_order(instants_us: npt.ArrayLike) -> Int64Array:
    given = np.asarray(instants_us)
    instants = _whole("instants_us", given)
    far = (given > FARTHEST) | (given < -FARTHEST)
    if far.any():
        k = int(np.argmax(far))
        raise ParameterError(f"is {given[k]} µs, not within {FARTHEST} of 0", place=f"instant {k}")
    back = instants[1:] < instants[:-1]
    if back.any():
        k = int(np.argmax(back)) + 1
        raise ParameterError(
            f"is {instants[k]} µs, before instant {k - 1} at {instants[k - 1]} µs",
            place=f"instant {k}",
            hint="Give instants in order.",
        )
    return instants


class Part(NamedTuple):
    """Neighbouring windows that go into a file of their own, with times since their own start.

    Parameters
    ----------
    start_us, stop_us : start of its first window, and the latest stop, µs since `t_offset`.
    rows : which of all windows it has.
    windows : those windows; their times count from `start_us`, their rows are as they were.
    """

    start_us: int
    stop_us: int
    rows: slice
    windows: Windows


def parts(windows: Windows, max_duration_us: int) -> list[Part]:
    """Divide windows into parts of at most a duration; no window is in two.

    A part starts where its first window starts, and has as many windows as end within
    `max_duration_us` of that. Of windows of equal duration that divides `max_duration_us`, all
    parts but the last are so long. No windows are one part without any.

    Raises
    ------
    ParameterError
        If a window is longer than a part may be, or starts before the one above it.

    Examples
    --------
    >>> windows = Duration(10).plan(45, lambda t: t)
    >>> [(part.start_us, part.windows.stop_us.tolist()) for part in parts(windows, 20)]
    [(0, [10, 20]), (20, [10, 20]), (40, [10])]
    """
    _positive("max_duration_us", max_duration_us)
    windows.check_order()
    found: list[Part] = []
    first = 0
    while first < len(windows) or not found:
        start = int(windows.start_us[first]) if len(windows) else 0
        # What starts beyond the end of a part does not end within it.
        far = int(np.searchsorted(windows.start_us, start + max_duration_us, side="right"))
        over = windows.stop_us[first:far] > start + max_duration_us
        after = first + int(np.argmax(over)) if over.any() else far
        if after == first < len(windows):
            raise ParameterError(
                f"lasts {windows.stop_us[first] - start} µs, longer than "
                f"max_duration_us={max_duration_us}",
                place=f"window {first}",
                hint="Choose longer parts, or shorter windows.",
            )
        own = windows[first:after]
        stop = int(own.stop_us.max(initial=start))
        found.append(Part(start, stop, slice(first, after), own.since(start)))
        first = after
    return found


def _check_number(n: int) -> None:
    if n > MOST_WINDOWS:
        raise ParameterError(
            f"these are {n} windows or more; at most {MOST_WINDOWS} are allowed",
            hint="Choose longer windows, or a part of the recording.",
        )


def _how_many(total: Int64Array, size: int, stride: int, tail: Tail) -> Int64Array:
    """Return how many windows of `size`, one every `stride` from 0, divide each ``[0, total)``."""
    total = np.maximum(total, 0)
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
    _within(name, value, 1)


def _within(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ParameterError(f"{name}={value!r} is not a whole number")
    if not least <= value <= FARTHEST:
        raise ParameterError(f"{name}={value} is not within {least} to {FARTHEST}")


def _known_tail(tail: str) -> None:
    if tail not in ("keep", "drop"):
        raise ParameterError(f"tail={tail!r} is neither 'keep' nor 'drop'")
