"""Events in memory are found and divided as those of a store are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evreel.files import hdf5
from evreel.files.divided import EventsInMemory
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance
from evreel.samples.samples import Member
from evreel.windows import Count, Duration, Ending, Number
from support import random_events

DIVISIONS = [
    Duration(7_000),
    Duration(7_000, 3_000, "drop"),
    Count(70, 50),
    Number(7, "time"),
    Number(7, "count"),
    Ending(5_000),
]
MEMBERS = [Member("first", 0, 40_000, 0), Member("second", 41_000, 90_000, 5)]


@pytest.mark.parametrize("members", [[], MEMBERS], ids=len)
def test_memory__has_the_rows_times_and_windows_of_a_store(tmp_path, members):
    events = random_events(900, stop_us=90_000)
    path = tmp_path / "store.h5"
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, events.sensor, 7, "made up", "")
        writer.write(events)
        writer.finish(members)
    held = EventsInMemory(
        Path("park.dat"), events, t_offset=7, source_format="made up", members=members
    )
    with EventsStore(path) as store:
        for name in ("n", "sensor", "origin", "t_offset", "t_stop_us", "members", "clocks"):
            assert getattr(held, name) == getattr(store, name)
        rows, asked = np.array([0, 5, 5, 899]), np.array([-5, 0, 1, 44_444, 10**9, 3])
        np.testing.assert_array_equal(held.stamp_at(rows), store.stamp_at(rows))
        np.testing.assert_array_equal(held.index_of(asked), store.index_of(asked))
        np.testing.assert_array_equal(held.oldest_us(asked), store.oldest_us(asked))
        for start, stop in ((0, None), (3, 9), (9, 3), (880, 2_000)):
            assert held.read(start, stop).t.tolist() == store.read(start, stop).t.tolist()
        for division in DIVISIONS:
            ends = [100, 41_000, 60_000] if isinstance(division, Ending) else None
            own, stored = (of.windows(division, ends) for of in (held, store))
            for column in ("start_us", "stop_us", "start", "stop"):
                np.testing.assert_array_equal(getattr(own, column), getattr(stored, column))
