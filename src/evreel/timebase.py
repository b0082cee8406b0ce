"""Integer-microsecond instants, half-open intervals, and the clock of a video's frames.

Time is int64 µs since the recording's first event timestamp (`t_offset`). An interval holds its
start and not its stop: ``[start, stop)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import ClockError, ParameterError

ClockSource = Literal["events", "frames", "triggers", "external"]
CLOCK_SOURCES: tuple[ClockSource, ...] = ("events", "frames", "triggers", "external")

Instant = Literal["start", "middle", "stop"]
"""A moment of a frame's interval."""

Int64Array = npt.NDArray[np.int64]

FARTHEST = 1 << 53
"""Largest time (µs; 285 years) or count that is accepted: sums and products of it still fit."""

MOST_FRAMES = 50_000_000
"""Limit of a clock's frames: a day at 500 per second."""


def frozen(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return `array` as a read-only, contiguous view (a copy only if dtype or order require it)."""
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def next_whole_ms(stop_us: int) -> int:
    """Return where the next of recordings that lie end to end begins, after one that stops.

    Examples
    --------
    >>> next_whole_ms(1), next_whole_ms(1000), next_whole_ms(1001)
    (1000, 1000, 2000)
    """
    return (stop_us - 1) // 1000 * 1000 + 1000


@dataclass(frozen=True, eq=False)
class FrameClock:
    """The time that each frame of a video stands for, one row per frame.

    Parameters
    ----------
    start_us, stop_us
        (n,) int64, µs since `t_offset`. Frame k stands for ``[start_us[k], stop_us[k])``. Rows
        are in order and do not overlap; they may leave gaps and may differ in length.
    source
        Where the rows come from: ``events`` (regular windows), ``frames`` (APS exposure times),
        ``triggers``, or ``external`` (a table for any other camera).

    Raises
    ------
    ClockError
        If a row does not stop after it starts, starts before the previous one has stopped,
        or is not in whole microseconds.

    Examples
    --------
    >>> clock = FrameClock([0, 10, 30], [10, 20, 40])
    >>> clock.frame_of([0, 9, 10, 25, 39, 40]).tolist()
    [0, 0, 1, -1, 2, -1]
    """

    start_us: Int64Array
    stop_us: Int64Array
    source: ClockSource = "events"

    def __post_init__(self) -> None:
        for name in ("start_us", "stop_us"):
            given = np.asarray(getattr(self, name))
            if given.size and given.dtype.kind not in "iu":
                raise ClockError(f"{name} is {given.dtype}; whole microseconds are expected")
        start = frozen(self.start_us, np.int64)
        stop = frozen(self.stop_us, np.int64)
        object.__setattr__(self, "start_us", start)
        object.__setattr__(self, "stop_us", stop)
        if start.ndim != 1 or start.shape != stop.shape:
            raise ClockError(
                f"start_us has shape {start.shape} and stop_us {stop.shape}; "
                "one dimension and equal lengths are expected"
            )
        if self.source not in CLOCK_SOURCES:
            raise ClockError(f"source {self.source!r} is not one of {', '.join(CLOCK_SOURCES)}")
        empty = np.flatnonzero(stop <= start)
        if empty.size:
            k = int(empty[0])
            raise ClockError(
                f"start_us={start[k]} is not before stop_us={stop[k]}", place=f"frame {k}"
            )
        overlap = np.flatnonzero(start[1:] < stop[:-1])
        if overlap.size:
            k = int(overlap[0])
            raise ClockError(
                f"starts at {start[k + 1]} µs, before frame {k} stops at {stop[k]} µs",
                place=f"frame {k + 1}",
                hint="A time must belong to at most one frame.",
            )

    @classmethod
    def regular(cls, t_stop_us: int, window_us: int) -> FrameClock:
        """Return frames of `window_us` from 0 until `t_stop_us` is covered; the last is whole.

        Examples
        --------
        >>> FrameClock.regular(t_stop_us=25, window_us=10).stop_us.tolist()
        [10, 20, 30]
        """
        if not 1 <= window_us <= FARTHEST:
            raise ParameterError(f"window_us={window_us} is not within 1 to {FARTHEST} µs")
        start = np.arange(0, max(t_stop_us, 0), window_us, dtype=np.int64)
        return cls(start, start + window_us)

    @classmethod
    def paced(
        cls,
        t_stop_us: int,
        window_us: int,
        rate_hz: float | None = None,
        start_us: int = 0,
        n: int | None = None,
    ) -> FrameClock:
        """Return the frames of a video that shows a window of `window_us` in each picture.

        Picture k shows ``[s, s + window_us)``, where s is `start_us` + ⌊k·10⁶ / `rate_hz`⌋. Where
        pictures overlap, a frame stands for what the picture before it does not show.

        Parameters
        ----------
        t_stop_us
            Where the recording ends.
        window_us
            Time that a picture shows.
        rate_hz
            Pictures per second of the recording; None lets each begin where the last one ends.
        start_us
            Where the first picture begins.
        n
            Number of frames; None: as many as begin before the recording ends.

        Examples
        --------
        >>> clock = FrameClock.paced(100_000, window_us=10_000, rate_hz=30)
        >>> clock.start_us.tolist(), clock.stop_us.tolist()
        ([0, 33333, 66666], [10000, 43333, 76666])
        """
        if not 1 <= window_us <= FARTHEST:
            raise ParameterError(f"window_us={window_us} is not within 1 to {FARTHEST} µs")
        # 29.97 means 2997/100, not the nearest binary number.
        step = Fraction(window_us) if rate_hz is None else 1_000_000 / Fraction(str(rate_hz))
        if step < 1:
            raise ParameterError(f"rate_hz={rate_hz} is more than one frame per µs")
        if n is None:
            n = max(-(-(t_stop_us - start_us) * step.denominator // step.numerator), 0)
        if n > MOST_FRAMES or n * step > FARTHEST:
            raise ParameterError(
                f"{n} frames are more than a clock can have ({MOST_FRAMES})",
                hint="Choose longer windows, or fewer per second.",
            )
        k = range(n)
        start = start_us + np.fromiter(
            (i * step.numerator // step.denominator for i in k), np.int64
        )
        stop = start + window_us
        start[1:] = np.maximum(start[1:], stop[:-1])
        return cls(start, stop)

    @classmethod
    def of_exposures(
        cls,
        start_us: npt.ArrayLike,
        stop_us: npt.ArrayLike | None,
        exposure_us: int | None,
        source: ClockSource,
    ) -> FrameClock:
        """Return a frame for each exposure.

        Parameters
        ----------
        start_us
            (n,) when each begins.
        stop_us
            (n,) when each ends; not needed with `exposure_us`.
        exposure_us
            Duration of all of them instead, cut off where the next begins.
        source
            Where the times come from.

        Examples
        --------
        >>> FrameClock.of_exposures([0, 10, 40], None, 20, "triggers").stop_us.tolist()
        [10, 30, 60]
        """
        start = np.asarray(start_us, dtype=np.int64)
        if exposure_us is not None:
            stop = start + exposure_us
            following = start[1:]
            later = following > start[:-1]
            stop[:-1][later] = np.minimum(stop[:-1], following)[later]
            return cls(start, stop, source)
        return cls(start, np.asarray(stop_us, dtype=np.int64), source)

    def __len__(self) -> int:
        return len(self.start_us)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FrameClock)
            and self.source == other.source
            and np.array_equal(self.start_us, other.start_us)
            and np.array_equal(self.stop_us, other.stop_us)
        )

    __hash__ = None  # type: ignore[assignment]

    def instants(self, instant: Instant) -> Int64Array:
        """Return a moment of each frame, (n,) int64 µs; a middle is rounded down.

        Examples
        --------
        >>> FrameClock([0, 10], [9, 30]).instants("middle").tolist()
        [4, 20]
        """
        if instant == "middle":
            return self.start_us + (self.stop_us - self.start_us) // 2
        return self.start_us if instant == "start" else self.stop_us

    def frame_of(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the frame whose interval holds each timestamp, −1 where there is none.

        Parameters
        ----------
        t_us
            (m,) timestamps in µs since `t_offset`, in any order.

        Returns
        -------
        (m,) int64, −1 or in ``[0, n)``.
        """
        t = np.asarray(t_us, dtype=np.int64)
        if not len(self):
            return np.full(t.shape, -1, dtype=np.int64)
        frame = np.searchsorted(self.start_us, t, side="right") - 1
        outside = (frame < 0) | (t >= self.stop_us[np.maximum(frame, 0)])
        return np.where(outside, -1, frame).astype(np.int64)
