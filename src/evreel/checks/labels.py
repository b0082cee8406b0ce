"""Checks of labels against the recording that they label: their times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evreel.checks.events import Columns
from evreel.checks.finding import Located, counted, register
from evreel.checks.tally import Tally, distance
from evreel.timebase import Int64Array


def one_window(t_us: Int64Array, alone_us: int) -> int:
    """Return the usual time from one label to the next; `alone_us` where there is but one.

    Examples
    --------
    >>> one_window(np.array([10, 10, 20, 30, 90]), 5), one_window(np.array([10]), 5)
    (10, 5)
    """
    stamps = np.unique(t_us)
    return int(np.median(distance(stamps[1:], stamps[:-1]))) if len(stamps) > 1 else alone_us


@register("beyond", "error", "boxes, slices")
class Beyond(Tally):
    """Labels before the recording's start, or beyond its end by more than a frame.

    Parameters
    ----------
    what
        Of which table, for the place.
    t_stop_us
        The recording's end.
    window_us
        Label times are ends of frames, so the last may lie one frame beyond the end. Where it is
        not given: the usual time from one label to the next, among the first.
    alone_us
        Taken for a frame where one label alone tells none; frames of labels are shorter.
    """

    def __init__(
        self, what: str, t_stop_us: int, window_us: int | None = None, alone_us: int = 100_000
    ) -> None:
        super().__init__(
            "label",
            f"outside the recording, which ends at t={t_stop_us} µs; are they of another "
            "recording?",
        )
        self._table = what
        self._t_stop_us = t_stop_us
        self._window_us = window_us
        self._alone_us = alone_us

    def add(self, first: int, t_us: Int64Array) -> None:
        """Take times (µs since the recording's first event) from row `first` on."""
        if self._window_us is None:
            self._window_us = one_window(t_us, self._alone_us)
        self.count(
            (t_us < 0) | (t_us > self._t_stop_us + self._window_us),
            lambda k: (f"{self._table} {first + k}, t={t_us[k]} µs", ""),
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
