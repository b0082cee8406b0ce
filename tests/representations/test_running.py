"""Runs over windows: each piece is read once, and a frame does not depend on where a run began."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import (
    Accumulator,
    Feature,
    Histogram,
    Representation,
    Run,
    VoxelGrid,
    frames,
    frames_together,
    tensor,
)
from evreel.windows import Count, Duration, Windows, ending_at
from support import random_events
from support.small import Reads


@dataclass(frozen=True)
class Newest(Representation):
    """Newest timestamp of each pixel within its window and `history_us` before it, −1 for none."""

    name: ClassVar[str] = "newest"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "here"
    unit: ClassVar[str] = "µs"

    history_us: int | None = None

    @property
    def history(self) -> int | None:
        return self.history_us

    @property
    def channels(self) -> int:
        return 1

    @property
    def dtype(self) -> str:
        return "int64"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        return _Newest(self, sensor, repairs)


class _Newest(Accumulator):
    carries: ClassVar[bool] = True

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self._last = np.full(self.frame.shape, -1)

    def reset(self) -> None:
        self._last.fill(-1)

    def accumulate(self, events: Events) -> None:
        self._last[0, events.y, events.x] = events.t

    def finish(self):
        self.frame[:] = np.where(self._last >= self.window.since_us, self._last, -1)
        return super().finish()


def slow_newest(events: Events, windows: Windows, history: int | None, oldest) -> list:
    made = []
    for k in range(len(windows)):
        since = oldest[k]
        if history is not None:
            since = max(since, windows.start_us[k] - history)
        frame = np.full((1, *events.sensor), -1)
        for row in range(windows.stop[k]):
            if events.t[row] >= since:
                frame[0, events.y[row], events.x[row]] = events.t[row]
        made.append(frame)
    return made


def rows_of(events: Events, start_us, stop_us) -> Windows:
    rows = [np.searchsorted(events.t, edge) for edge in (start_us, stop_us)]
    return Windows(start_us, stop_us, *rows)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), min_size=1, max_size=8),
    st.sampled_from([None, 0, 1, 7, 40]),
    st.sampled_from([1, 5, 1_000]),
    st.integers(0, 60),
)
def test_history__is_that_of_each_window_wherever_the_run_began(spans, history, rows, oldest):
    events = random_events(120, (3, 5), stop_us=100)
    start_us = np.array([start for start, _ in spans])
    stop_us = start_us + [length for _, length in spans]
    windows = rows_of(events, start_us, stop_us)
    begins = np.where(start_us >= oldest, oldest, 0)
    expected = slow_newest(events, windows, history, begins)
    made = frames(
        Newest(history),
        lambda a, b: events[a:b],
        windows,
        events.sensor,
        index_of=lambda t: np.searchsorted(events.t, t),
        oldest_us=begins,
        rows=rows,
    )
    for frame, wanted in zip(made, expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)


def test_history__needs_a_way_to_find_rows():
    events = random_events(20)
    windows = Duration(10).plan(events.t_stop_us, lambda t: np.searchsorted(events.t, t))
    with pytest.raises(ParameterError, match="newest: looks further back than its windows"):
        next(frames(Newest(5), lambda a, b: events[a:b], windows, events.sensor))


RUNS = [
    (Histogram(), Duration(1_000)),
    (VoxelGrid(), Duration(40_000, 30_000)),
    (VoxelGrid(2, "window"), Count(700, 650)),
    (Newest(20_000), Duration(7_000)),
    (Newest(None), Count(3_000)),
]


@pytest.mark.parametrize("ahead", [False, True])
def test_runs__together_read_each_row_once_and_make_what_each_makes_alone(ahead):
    reads = Reads(random_events(20_000))
    events = reads.events
    runs = []
    for made_of, division in RUNS:
        if isinstance(division, Duration):
            windows = division.plan(events.t_stop_us, reads.index_of)
        else:
            windows = division.plan(len(events), lambda rows: events.t[rows])
        runs.append(Run(Feature(made_of), windows))
    made = [[] for _ in runs]
    for k, frame in frames_together(
        runs, reads, events.sensor, index_of=reads.index_of, rows=5_000, ahead=ahead
    ):
        made[k].append(frame.copy())
    for run, found in zip(runs, made, strict=True):
        alone = tensor(run.feature, events, run.windows)
        assert np.stack(found).tobytes() == alone.tobytes()
    whole_pieces = [asked for asked in reads.asked if asked[1] - asked[0] > 1]
    assert whole_pieces == [(k, k + 5_000) for k in range(0, 20_000, 5_000)]


def test_runs__with_windows_longer_than_a_piece_go_on_with_the_others():
    reads = Reads(random_events(20_000))
    short = Duration(500).plan(reads.events.t_stop_us, reads.index_of)
    long = Duration(10**9).plan(reads.events.t_stop_us, reads.index_of)
    runs = [Run(Feature(Histogram()), windows) for windows in (long, short)]
    order = [k for k, _ in frames_together(runs, reads, reads.events.sensor, rows=1_000)]
    assert order.count(0) == 1
    assert order.count(1) == len(short)
    whole_pieces = [asked for asked in reads.asked if asked[1] - asked[0] > 1]
    assert len(whole_pieces) == len(set(whole_pieces)) == 20


def test_runs__without_windows_or_without_events_end():
    events = random_events(0)
    none = Windows([], [], [], [])
    empty = ending_at([5, 9], 3, lambda t: np.zeros(len(t), np.int64))
    runs = [Run(Feature(Histogram()), none), Run(Feature(VoxelGrid()), empty)]
    made = [
        (k, frame.sum())
        for k, frame in frames_together(runs, lambda a, b: events[a:b], events.sensor)
    ]
    assert made == [(1, 0), (1, 0)]
    assert not list(frames_together([], lambda a, b: events[a:b], events.sensor))
