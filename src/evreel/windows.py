"""Windows: time edges and event index ranges.

A window holds its start and not its stop, in time and in event indices. Window k of a regular
division is ``[k·w, (k+1)·w)`` from origin 0. An empty window is a window. `tail` says what
becomes of the last, incomplete window: ``keep`` (the default; it keeps its nominal edge in
time) or ``drop``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.timebase import FARTHEST, Int64Array, frozen

Tail = Literal["keep", "drop"]
MOST_WINDOWS = 50_000_000
"""Most windows that a recording is divided into: 1.6 GB of edges and rows."""

IndexOf = Callable[[Int64Array], Int64Array]
StampAt = Callable[[Int64Array], Int64Array]


@dataclass(frozen=True, eq=False)
class Windows:
    """Time edges and event index ranges, one row a window, in order of their start.

    Parameters
    ----------
    start_us, stop_us
        (n,) int64, µs since `t_offset`: window k is ``[start_us[k], stop_us[k])``.
    start, stop
        (n,) int64 event rows: window k holds rows ``[start[k], stop[k])``.

    Raises
    ------
    ParameterError
        Where a column is not of whole numbers, columns differ in length, a window stops before
        it starts, or starts before the window above it.

    Notes
    -----
    By time, the rows of a window are exactly those with a stamp in it. By count, the rows
    decide: `start_us` is the first row's stamp and `stop_us` the last row's stamp + 1, so two
    neighbours overlap by 1 µs where equal stamps are cut apart.
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
            ((self.stop < self.start) | (self.start < 0), "rows [{2}, {3}) are no range of rows"),
        ):
            if wrong.any():
                k = int(np.argmax(wrong))
                row = (self.start_us[k], self.stop_us[k], self.start[k], self.stop[k])
                raise ParameterError(problem.format(*row), place=f"window {k}")
        back = self.start_us[1:] < self.start_us[:-1]
        if back.any():
            k = int(np.argmax(back)) + 1
            raise ParameterError(
                f"starts at {self.start_us[k]} µs, before window {k - 1} at "
                f"{self.start_us[k - 1]} µs",
                place=f"window {k}",
                hint="Give windows in order of their start.",
            )

    def __len__(self) -> int:
        return len(self.start_us)

    def __getitem__(self, rows: slice) -> Windows:
        """Return some neighbouring windows, such as the ones of one training sequence."""
        return Windows(self.start_us[rows], self.stop_us[rows], self.start[rows], self.stop[rows])

    def of_label(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the window that a label at each stamp belongs to, −1 where there is none.

        A label at t belongs to the window with ``start < t <= stop``; the first window also
        takes ``t == start``. Windows that overlap give a label to the first that holds it.

        Examples
        --------
        >>> windows = Duration(10).plan(t_stop_us=30, index_of=lambda t: t)
        >>> windows.of_label([0, 1, 10, 11, 30, 31]).tolist()
        [0, 0, 0, 1, 2, -1]
        """
        t = _whole("t_us", t_us)
        if not len(self):
            return np.full(t.shape, -1, dtype=np.int64)
        # Where a long window holds shorter ones, stops go back. The running maximum does not,
        # and it first reaches t at the first window that stops at or after t.
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
        From one start to the next; `window_us` where None.
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
            Last stamp + 1.
        index_of
            Function of (n,) stamps → (n,) rows of the first event at or after each.

        Raises
        ------
        ParameterError
            Where they would be more than `MOST_WINDOWS`.

        Examples
        --------
        >>> t = np.array([0, 9, 10, 24])
        >>> windows = Duration(10).plan(25, lambda at: np.searchsorted(t, at))
        >>> windows.stop_us.tolist(), windows.start.tolist(), windows.stop.tolist()
        ([10, 20, 30], [0, 2, 3], [2, 3, 4])
        """
        stride = self.window_us if self.stride_us is None else self.stride_us
        n = _how_many(t_stop_us, self.window_us, stride, self.tail)
        start_us = np.arange(n, dtype=np.int64) * stride
        stop_us = start_us + self.window_us
        return Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))


@dataclass(frozen=True)
class Count:
    """Windows of equal event count: window k is rows ``[k·stride, k·stride + count)``.

    Parameters
    ----------
    count
        Events a window, 1 or more.
    stride
        Events from one start to the next; `count` where None.
    tail
        ``keep``: windows start until every event is covered, the last may hold fewer events;
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
            Function of (n,) rows → (n,) their stamps in µs.

        Raises
        ------
        ParameterError
            Where they would be more than `MOST_WINDOWS`.

        Examples
        --------
        >>> t = np.array([0, 9, 10, 24, 30])
        >>> windows = Count(2).plan(5, lambda rows: t[rows])
        >>> windows.start.tolist(), windows.stop.tolist(), windows.stop_us.tolist()
        ([0, 2, 4], [2, 4, 5], [10, 25, 31])
        """
        stride = self.count if self.stride is None else self.stride
        n = _how_many(n_events, self.count, stride, self.tail)
        start = np.arange(n, dtype=np.int64) * stride
        stop = np.minimum(start + self.count, n_events)
        return Windows(stamp_at(start), stamp_at(stop - 1) + 1, start, stop)


Division = Duration | Count


def division(
    window_us: int | None = None,
    count: int | None = None,
    stride_us: int | None = None,
    stride: int | None = None,
    tail: Tail = "keep",
) -> Division:
    """Return the division that exactly one of `window_us` and `count` asks for.

    Raises
    ------
    ParameterError
        Where both or neither are given, or a stride of the other kind.
    """
    if window_us is not None and count is None:
        if stride is not None:
            raise ParameterError(
                f"stride={stride} events does not go with window_us; use stride_us"
            )
        return Duration(window_us, stride_us, tail)
    if count is not None and window_us is None:
        if stride_us is not None:
            raise ParameterError(f"stride_us={stride_us} does not go with count; use stride")
        return Count(count, stride, tail)
    raise ParameterError(
        "exactly one of window_us and count divides a recording; "
        f"got window_us={window_us}, count={count}"
    )


def fixed_number(
    n_windows: int,
    by: Literal["time", "count"],
    t: Int64Array,
) -> Windows:
    """Divide (n,) stamps `t` into exactly `n_windows`, of equal duration or of equal count.

    The division starts at the first stamp. Each window but the last has the whole-number share
    (``span // n_windows`` µs, or ``n // n_windows`` events); the last ends with the recording.

    Raises
    ------
    ParameterError
        Where there is less than 1 µs or less than one event for each window.

    Examples
    --------
    >>> fixed_number(2, "time", np.array([10, 11, 12, 20])).stop_us.tolist()
    [15, 21]
    >>> fixed_number(2, "count", np.array([10, 11, 12, 20])).stop_us.tolist()
    [12, 21]
    """
    _positive("n_windows", n_windows)
    if by not in ("time", "count"):
        raise ParameterError(f"by={by!r} is neither 'time' nor 'count'")
    span = int(t[-1]) + 1 - int(t[0]) if by == "time" and len(t) else len(t)
    share = span // n_windows
    if share < 1:
        unit = "µs" if by == "time" else "events"
        raise ParameterError(f"{span} {unit} can't be divided into {n_windows} windows")
    edges = np.append(np.arange(n_windows, dtype=np.int64) * share, span)
    if by == "time":
        edges += t[0]
        rows = np.searchsorted(t, edges)
        return Windows(edges[:-1], edges[1:], rows[:-1], rows[1:])
    return Windows(t[edges[:-1]], t[edges[1:] - 1] + 1, edges[:-1], edges[1:])


def ending_at(instants_us: Iterable[int], window_us: int, index_of: IndexOf) -> Windows:
    """Return windows ``[instant − window_us, instant)``, one an instant.

    Parameters
    ----------
    instants_us
        µs since `t_offset`, in order; equal instants give equal windows.
    window_us
        Duration, 1 µs or more.
    index_of
        Function of (n,) stamps → (n,) rows of the first event at or after each.

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
    return Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))


def _how_many(total: int, size: int, stride: int, tail: Tail) -> int:
    """Return how many windows of `size`, one every `stride` from 0, divide ``[0, total)``."""
    if tail == "drop":
        n = max(0, (total - size) // stride + 1)
    else:
        to_cover = max(0, -(-(total - size) // stride)) + 1
        # A stride beyond the size leaves gaps: the end may lie in one, and no window is after it.
        n = min(to_cover, -(-total // stride))
    if n > MOST_WINDOWS:
        raise ParameterError(
            f"windows of {size}, one every {stride}, divide 0 to {total} into {n} windows; "
            f"{MOST_WINDOWS} is the most",
            hint="Choose longer windows or a longer stride, or a part of the recording.",
        )
    return n


def _whole(name: str, values: npt.ArrayLike) -> Int64Array:
    """Return whole numbers as int64; a fraction would be cut off in silence."""
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
