"""Checks of slices: accumulators that take its tables piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.checks.events import Columns, at
from evreel.checks.finding import Located, register
from evreel.checks.tally import Tally
from evreel.timebase import Int64Array


@register("slice_rows", "error", "slices")
class SliceRows:
    """Slices that are no range of the file's events or of time, or are not in order.

    Parameters
    ----------
    n_events
        Events in the file.
    """

    def __init__(self, n_events: int) -> None:
        self._n_events = n_events
        self._no_range = Tally(
            "slice",
            f"of no range, the first of rows {{got}}; the file has {n_events:,} events; annotate "
            "again",
        )
        self._back = Tally("slice", "starting before the slice above; annotate again")
        self._last: tuple[int, int] | None = None

    def add(
        self,
        first: int,
        start: Int64Array,
        stop: Int64Array,
        start_us: Int64Array,
        stop_us: Int64Array,
    ) -> None:
        """Take the slices from row `first` on."""
        self._no_range.count(
            (start < 0) | (stop < start) | (stop > self._n_events) | (stop_us <= start_us),
            lambda k: (
                f"slice {first + k}",
                f"{start[k]} to {stop[k]}, t={start_us[k]} to {stop_us[k]} µs",
            ),
        )
        row, time = self._last or (start[0], start_us[0])
        back = np.append(row, start[:-1]) > start
        back |= np.append(time, start_us[:-1]) > start_us
        self._back.count(back, lambda k: (f"slice {first + k}", ""))
        self._last = start[-1], start_us[-1]

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        yield from self._no_range.finish()
        yield from self._back.finish()


@register("slice_count", "error", "slices")
class SliceCount:
    """A count of events outside every slice that is not what the slices leave.

    Parameters
    ----------
    n_slices, n_events
        Slices and events in the file. Where not all slices can be read, or they are not in order,
        nothing is said.
    outside
        The count.
    """

    def __init__(self, n_slices: int, n_events: int, outside: int) -> None:
        self._n_slices = n_slices
        self._n_events = n_events
        self._outside = outside
        self._inside = 0
        self._rows = 0
        self._last = 0
        self._reached = 0

    def add(self, first: int, start: Int64Array, stop: Int64Array) -> None:
        """Take the slices from row `first` on."""
        begin, end = (np.clip(column, 0, self._n_events) for column in (start, stop))
        before = np.append(self._last, begin[:-1])
        if first != self._rows or (begin < before).any():
            return
        reached = np.maximum.accumulate(np.append(self._reached, end))
        self._inside += int(np.maximum(end - np.maximum(begin, reached[:-1]), 0).sum())
        self._rows += len(start)
        self._last, self._reached = int(begin[-1]), int(reached[-1])

    def finish(self) -> Iterator[Located]:
        """Yield what was found."""
        left = self._n_events - self._inside
        if self._rows == self._n_slices and left != self._outside:
            yield (
                "attribute events_outside_slices",
                f"is {self._outside:,}; the slices leave {left:,}; annotate again",
            )


@register("label_number", "error", "slices")
class LabelNumber(Tally):
    """Regions or tags with a label that is no row of the names.

    Parameters
    ----------
    what
        Their table.
    n_labels
        How many names there are.
    """

    def __init__(self, what: str, n_labels: int) -> None:
        super().__init__(
            "row",
            f"of no label, the first of {{got}}; {n_labels:,} have names; annotate again",
        )
        self._table = what
        self._n_labels = n_labels

    def add(self, first: int, label: npt.NDArray[Any]) -> None:
        """Take labels from row `first` on."""
        self.count(
            (label < 0) | (label >= self._n_labels),
            lambda k: (f"{self._table}, row {first + k}", f"{label[k]}"),
        )


@register("overlap_rows", "error", "slices")
class OverlapRows(Tally):
    """Overlaps of events that are not in the file, or that are not in order.

    Parameters
    ----------
    n_events
        Events in the file.
    """

    def __init__(self, n_events: int) -> None:
        super().__init__(
            "row",
            f"out of order or of no event, the first of {{got}}; the file has {n_events:,}; "
            "annotate again",
        )
        self._n_events = n_events
        self._last: int | None = None

    def add(self, first: int, event: Int64Array) -> None:
        """Take overlaps from row `first` on."""
        last = event[0] if self._last is None else self._last
        self.count(
            (event < 0) | (event >= self._n_events) | (event < np.append(last, event[:-1])),
            lambda k: (f"overlaps/event, row {first + k}", f"{event[k]}"),
        )
        self._last = event[-1]


@register("roi", "error", "slices")
class Regions(Tally):
    """Regions of events, or of overlaps, that are no row of the table of regions.

    Parameters
    ----------
    n_rois
        Rows of the table.
    """

    def __init__(self, n_rois: int) -> None:
        super().__init__(
            "row", f"of no region, the first is {{got}}; there are {n_rois:,}; annotate again"
        )
        self._n_rois = n_rois

    def add(self, name: str, first: int, roi: npt.NDArray[Any], none: int = 0) -> None:
        """Take regions from row `first` on of the data set `name`; `none` (−1) is no region."""
        self.count(
            (roi < none) | (roi >= self._n_rois),
            lambda k: (f"{name}, row {first + k}", f"{roi[k]}"),
        )


@register("other_events", "error", "slices")
class SameEvents(Tally):
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
        super().__init__(
            "event",
            "not as in the events store, the first is row {got} there; annotate again",
        )
        self._read = read
        self._first_row = first_row
        self._n_store = n_store

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
        self.count(other, lambda k: (at(events, k), str(first + k)))
