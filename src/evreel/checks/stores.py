"""Checks of events stores: index, attributes and members."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import h5py
import numpy as np

from evreel.checks.columns import EVENTS_COLUMNS, RawColumns, opened, provenance, sensor_of
from evreel.checks.events import Columns, check_events, event_checks
from evreel.checks.finding import Finding, Located
from evreel.checks.inventory import File
from evreel.checks.registry import as_findings, checks_of
from evreel.checks.tally import Faults, PieceTally, Read, Tally
from evreel.errors import LayoutError
from evreel.files import hdf5
from evreel.layout import LEFT_OUT
from evreel.samples.samples import Member
from evreel.timebase import Int64Array

error, _ = checks_of("events store")


@error(
    "index",
    "A time index `ms_to_idx` that does not match column t: reading by time gives other events.",
)
class Index:
    """Compare the index with the rows that a search in column t finds.

    Parameters
    ----------
    read
        Function that reads entries of the index.
    length
        Number of its entries.
    n_events
        Number of events in the file; if some cannot be read, nothing is found.
    """

    def __init__(self, read: Read, length: int, n_events: int) -> None:
        self._read = read
        self._length = length
        self._n_events = n_events
        self._tally = Tally(
            "entry",
            "that do not point at the first event of their millisecond, the first is {got}; build "
            "the store again",
        )
        self._ms = 0
        self._rows = 0
        self._last = -1
        self._blind = False

    def add(self, events: Columns) -> None:
        """Take the next events."""
        # If timestamps go back or are missing, the right index is not known.
        back = (events.t < events.before).any()
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
        read = self._read(first, until)
        if read is not None:
            got = read[0].astype(np.int64)
            self._tally.count(
                got != expected,
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


@error("time_zero", "A store whose first or last timestamp contradicts its attributes.")
class TimeZero:
    """Keep the first and the last timestamp.

    Parameters
    ----------
    t_stop_us
        What the store says: last timestamp + 1.
    changed
        Whether it says that events were left out. If not, t starts at 0.
    n_events
        Number of events in the file; if the end cannot be read, nothing is found there.
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
                f"t={first} µs; timestamps count from the recording's first event, and the store "
                "says that nothing was left out; build the store again",
            )
        if last is not None and self._t_stop_us != last + 1:
            yield (
                "attribute t_stop_us",
                f"is {self._t_stop_us}; the last timestamp + 1 is {last + 1}; build the store "
                "again",
            )


@error("members", "Members of an archive that overlap in its store, or do not start at a whole ms.")
class Members(PieceTally):
    """Compare each member's start with whole milliseconds and the previous member's end.

    Parameters
    ----------
    t_stop_us
        The recording's end; None if events of it were left out, so that it may be earlier.
    """

    what = "member"
    problem = (
        "out of place, the first t={got} µs; each starts at a whole millisecond, after the "
        "previous one{end}; build the store again"
    )

    def __init__(self, t_stop_us: int | None) -> None:
        super().__init__()
        self.end = "" if t_stop_us is None else f", and ends until t={t_stop_us} µs"
        self._t_stop_us = t_stop_us
        self._stop_us = 0

    def _faults(self, first: int, start_us: Int64Array, stop_us: Int64Array) -> Faults:
        bad = start_us < np.append(self._stop_us, stop_us[:-1])
        bad |= (stop_us <= start_us) | (start_us % 1000 != 0)
        if self._t_stop_us is not None:
            bad |= stop_us > self._t_stop_us
        self._stop_us = int(stop_us[-1])
        return bad, lambda k: (f"member {first + k}", f"{start_us[k]} to {stop_us[k]}")


def check_store(file: File) -> Iterator[Finding]:
    """Yield what is found in an events store."""
    with opened(file.location, file.kind) as h5:
        reader = RawColumns(h5, file.path)
        n, t_stop_us = len(h5["events/t"]), int(h5.attrs["t_stop_us"])
        changed = any(provenance(h5, "repairs").values())
        checks = [
            *event_checks(sensor_of(h5)),
            Index(partial(reader.piece, ["ms_to_idx"]), len(h5["ms_to_idx"]), n),
            TimeZero(t_stop_us, changed, n),
        ]
        yield from check_events(file.path, reader.pieces(*EVENTS_COLUMNS), checks)
        yield from as_findings(file.path, lambda: _check_members(h5, reader, t_stop_us))
        yield from reader.problems()


def _check_members(h5: h5py.File, reader: RawColumns, t_stop_us: int) -> Iterator[Finding]:
    """Yield what is wrong with the table of an archive's members, if a store has one."""
    names = [f"members/{name}" for name in Member._fields]
    gone = [name for name in names if name not in h5]
    if len(gone) == len(names):
        return
    if gone:
        raise LayoutError(f"data set {gone[0]} is missing", hint=hdf5.REBUILD)
    h5[names[0]].asstr()[:]  # the only column of text: raises if it cannot be read
    repairs = provenance(h5, "repairs")
    whole = not any(repairs.get(name) for name in LEFT_OUT)
    yield from reader.through(Members(t_stop_us if whole else None), *names[1:3])
