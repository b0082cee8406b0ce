"""Checks of label times against the recording that they label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evreel.checks.events import Columns
from evreel.checks.finding import Located
from evreel.checks.registry import Threshold, checks_of
from evreel.checks.tally import Faults, PieceTally, distance
from evreel.text import counted
from evreel.timebase import Int64Array

error, _ = checks_of("boxes, slices")
_, warning = checks_of("events with labels")

ALONE_US = Threshold(
    "alone_us",
    100_000,
    "Taken as a frame's duration if there is only one label, and no shape that is longer.",
)


def usual_step(t_us: Int64Array) -> int:
    """Return the usual time from one label to the next; a threshold if there is only one.

    Examples
    --------
    >>> usual_step(np.array([10, 10, 20, 30, 90])), usual_step(np.array([10]))
    (10, 100000)
    """
    times = np.unique(t_us)
    return int(np.median(distance(times[1:], times[:-1]))) if len(times) > 1 else ALONE_US.value


@error(
    "beyond",
    "Labels before the recording's start, or beyond its end by more than a frame.",
    ALONE_US,
)
class Beyond(PieceTally):
    """Compare label times, µs since the recording's first event, with its end.

    Parameters
    ----------
    table
        What a row is called, for the place.
    t_stop_us
        The recording's end.
    window_us
        Duration of a frame: label times are ends of frames, so the last may be one frame beyond
        the end. By default, the usual time from one label to the next in the first piece.
    """

    what = "label"
    problem = (
        "outside the recording, which ends at t={t_stop_us} µs; do they belong to another one, or "
        "are times of another clock (annotate/time_offset_us, evreel align)?"
    )

    def __init__(self, table: str, t_stop_us: int, window_us: int | None = None) -> None:
        super().__init__()
        self._table = table
        self.t_stop_us = t_stop_us
        self._window_us = window_us

    def _faults(self, first: int, t_us: Int64Array) -> Faults:
        if self._window_us is None:
            self._window_us = usual_step(t_us)
        bad = (t_us < 0) | (t_us > self.t_stop_us + self._window_us)
        return bad, lambda k: (f"{self._table} {first + k}, t={t_us[k]} µs", "")


_LEAST_SHARE = Threshold(
    "least_share",
    0.5,
    "Less than half of the recording is more likely a task cut short than a choice.",
)


@warning(
    "label_span",
    "Labels that cover a small part of the recording: training sees the rest as empty.",
    _LEAST_SHARE,
)
class LabelSpan:
    """Compare the time that labels cover with the recording's, and count the events outside.

    Parameters
    ----------
    first_us, last_us
        Start and end of the labels, µs since the first event.
    """

    def __init__(self, first_us: int, last_us: int) -> None:
        self._labels = first_us, last_us
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
        if share < _LEAST_SHARE.value:
            yield (
                f"t={first} to {last} µs",
                f"labels cover {100 * share:.0f} % of {(stop - start) / 1e6:.3f} s; "
                f"{counted(self._before, 'event')} before and {self._after:,} after them; crop "
                "the recording, or label the rest",
            )
