"""Windows of a recording that is still being decoded are those of the whole one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError
from evreel.events import Events, Sensor
from evreel.loaders import arriving as module
from evreel.loaders.arriving import Arriving, Cutting
from evreel.windows import Count, Duration, Mixed, cut

SENSOR = Sensor(1, 1)
COLUMNS = ("start_us", "stop_us", "start", "stop")


def events_at(times) -> Events:
    zeros = np.zeros(len(times), dtype=np.int64)
    return Events(times, zeros, zeros, zeros, SENSOR)


@st.composite
def divisions(draw):
    some = st.integers(1, 12)
    tail, origin = draw(st.sampled_from(["keep", "drop"])), draw(st.integers(-12, 12))
    stride = draw(st.none() | some)
    return draw(
        st.sampled_from(
            [
                Duration(draw(some), stride, tail, origin),
                Count(draw(some), stride, tail, origin),
                Mixed(draw(some), draw(some), tail, origin),
            ]
        )
    )


@settings(max_examples=100, deadline=None)
@given(
    division=divisions(),
    times=st.lists(st.integers(0, 40), max_size=25).map(sorted),
    most_us=st.none() | st.integers(1, 50),
    sizes=st.lists(st.integers(0, 9), max_size=5),
)
def test_windows__as_events_come_are_those_of_the_whole(division, times, most_us, sizes):
    events = events_at(times)
    edges = np.minimum([0, *np.cumsum(sizes), len(times)], len(times)).astype(int)
    edges = [*edges[:-1], len(times)]
    chunks = [events[low:high] for low, high in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ROWS", 4)
        patch.setattr(module, "_MOST_WINDOWS", 3)
        arriving, cutting, found = Arriving(iter(chunks), SENSOR, most_us), Cutting(division, 0), []
        while not cutting.is_done:
            windows = cutting.windows(arriving, arriving.t_stop_us if arriving.is_over else None)
            if len(windows):
                found.append(windows)
                last = windows.stop[-1]
                rows = arriving.read(int(windows.start[-1]), int(last))
                assert rows.t.tolist() == times[windows.start[-1] : last]
            elif not cutting.is_done:
                arriving.let_go(cutting.next_window(arriving)[0])
                arriving.more()
    t = np.array(times, dtype=np.int64)
    stop_us = t[-1] + 1 if times else 0
    if most_us is not None:
        stop_us = min(stop_us, most_us)
    whole, _ = cut(division, [0], [stop_us], lambda at: np.searchsorted(t, at), lambda k: t[k])
    for column in COLUMNS:
        got = [value for windows in found for value in getattr(windows, column).tolist()]
        assert got == getattr(whole, column).tolist()


def test_events__that_no_window_needs_are_not_held(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 100)
    events = events_at(np.arange(5_000))
    arriving = Arriving((events[k : k + 10] for k in range(0, 5_000, 10)), SENSOR)
    cutting, most, n = Cutting(Duration(50), 0), 0, 0
    while not cutting.is_done:
        windows = cutting.windows(arriving, arriving.t_stop_us if arriving.is_over else None)
        n += len(windows)
        if not len(windows) and not cutting.is_done:
            arriving.let_go(cutting.next_window(arriving)[0])
            most = max(most, arriving.held)
            arriving.more()
    assert n == 100 and most <= 200


def test_events__on_disk_are_the_same():
    events = Events([0, 5, 5, 9], [0, 1, 2, 3], [0, 1, 0, 1], [1, 0, 1, 1], Sensor(2, 4))
    chunks = iter([events[:1], events[1:3], events[3:]])
    with Arriving(chunks, events.sensor, on_disk=True) as arriving:
        while not arriving.is_over:
            arriving.more()
        found = arriving.read(0, 4)
    for name in "txyp":
        column, expected = getattr(found, name), getattr(events, name)
        assert column.tolist() == expected.tolist() and column.dtype == expected.dtype


def test_damage__comes_after_what_is_before_it():
    def chunks():
        yield events_at([0, 1])
        raise RecordingError("is damaged")

    arriving = Arriving(chunks(), SENSOR)
    arriving.more()
    assert arriving.n == 2 and not arriving.is_over
    with pytest.raises(RecordingError, match="is damaged"):
        arriving.more()
