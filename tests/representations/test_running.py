"""Runs over windows: each piece is read once, and a frame does not depend on where a run began."""

from __future__ import annotations

import threading
import weakref
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.representations import (
    Accumulator,
    Feature,
    Histogram,
    HistoQuantized,
    Representation,
    Run,
    VoxelGrid,
    frames,
    frames_together,
    from_function,
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


def of_whole(division, events: Events) -> Windows:
    if isinstance(division, Duration):
        return division.plan(events.t_stop_us, lambda t: np.searchsorted(events.t, t))
    return division.plan(len(events), lambda rows: events.t[rows])


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
    runs = [Run(Feature(made_of), of_whole(division, events)) for made_of, division in RUNS]
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


THREADED = [
    *RUNS,
    (Histogram("uint8", saturate=True), Count(6_000)),
    (Histogram("uint8", saturate=True), Duration(5)),
    (HistoQuantized(), Duration(2_000, 500)),
]


@pytest.mark.parametrize(("rows", "threads"), [(300, 2), (100_000, 3)])
@pytest.mark.parametrize(("made_of", "division"), THREADED, ids=str)
def test_threads__make_the_same_frames_and_counts_in_order(made_of, division, rows, threads):
    events = random_events(7_000, (2, 3), stop_us=20_000)
    windows = of_whole(division, events)
    alone, together = dict[str, int](), dict[str, int]()
    reads = Reads(events)
    made = frames(
        made_of,
        reads,
        windows,
        events.sensor,
        index_of=reads.index_of,
        rows=rows,
        repairs=together,
        threads=threads,
    )
    expected = tensor(made_of, events, windows, alone)
    for frame, wanted in zip(made, expected, strict=True):
        assert frame.tobytes() == wanted.tobytes()
    assert together == alone


def test_threads__count_what_was_changed_in_the_frames_so_far():
    events = random_events(9_000, (1, 1))
    windows = of_whole(Count(1_000), events)
    counts = dict[str, int]()
    made = frames(
        Histogram("uint8", saturate=True),
        lambda a, b: events[a:b],
        windows,
        events.sensor,
        repairs=counts,
        threads=2,
    )
    left_out = [1_000 - int(next(made).sum()) for _ in range(3)]
    assert counts == {"histogram_increments_lost": sum(left_out)}
    assert min(left_out) > 0


def test_threads__raise_an_error_after_the_frames_before_it_and_return_none_after_it():
    events = Events(*np.repeat([[0], [0], [0], [0]], 3_000, axis=1), Sensor(1, 1))
    start = np.array([0, 10, 300, 20, 400, 1_000])
    size = np.array([5, 5, 300, 5, 400, 5])
    windows = Windows(0 * start, 0 * start + 1, start, start + size)
    made = frames(Histogram("uint8"), lambda a, b: events[a:b], windows, events.sensor, threads=2)
    assert [next(made).sum() for _ in range(2)] == [5, 5]
    with pytest.raises(ParameterError, match="histogram, window 2: pixel x=0, y=0 counts 256"):
        next(made)
    assert list(made) == []


@pytest.mark.parametrize("whole", [1_000, 0])
def test_threads__return_the_frames_before_a_piece_that_cannot_be_read(whole):
    events = random_events(2_000)
    windows = of_whole(Count(100), events)

    def read(start: int, stop: int) -> Events:
        return events[start : min(stop, whole)]

    made = frames(Histogram(), read, windows, events.sensor, rows=500, threads=2)
    assert [next(made).sum() for _ in range(whole // 100)] == [100] * (whole // 100)
    with pytest.raises(EventsError, match=rf"rows \[{whole}, {whole + 500}\)"):
        next(made)


def test_threads__leave_a_frame_as_it_is_until_the_next_and_end_with_the_loop():
    events = random_events(5_000)
    windows = of_whole(Count(100), events)
    made = frames(Histogram(), lambda a, b: events[a:b], windows, events.sensor, threads=2)
    for _ in range(7):
        frame = next(made)
        before = frame.copy()
        for thread in working():
            thread.join(0.001)
        np.testing.assert_array_equal(frame, before)
    assert 1 <= len(working()) <= 2
    made.close()
    assert working() == []


def test_threads__hold_few_pieces_of_a_window_of_many():
    events = random_events(40_000)
    pieces: list[weakref.ref[object]] = []
    most = 0

    def read(start: int, stop: int) -> Events:
        nonlocal most
        columns = [getattr(events, name)[start:stop].copy() for name in "txyp"]
        pieces.append(weakref.ref(columns[0]))
        most = max(most, sum(piece() is not None for piece in pieces))
        return Events.trusted(*columns, events.sensor)

    windows = of_whole(Count(20_000), events)
    made = frames(Histogram(), read, windows, events.sensor, rows=1_000, threads=2)
    assert [frame.sum() for frame in made] == [20_000, 20_000]
    assert most <= 8
    assert len(pieces) <= 44  # each once, and single rows for the edges of windows


def test_threads__are_not_for_what_a_function_makes():
    ran = set()

    def one(frame, events, window):
        ran.add(threading.get_ident())

    made_of = from_function(
        one, name="one", channels=1, dtype="uint8", unit="events", reference="here"
    )()
    events = random_events(900)
    windows = of_whole(Count(100), events)
    made = frames(made_of, lambda a, b: events[a:b], windows, events.sensor, threads=2)
    assert len(list(made)) == 9
    assert ran == {threading.get_ident()}


def test_threads__are_at_least_one():
    events = random_events(9)
    windows = of_whole(Count(3), events)
    with pytest.raises(ParameterError, match="threads=0 is not at least 1"):
        next(frames(Histogram(), lambda a, b: events[a:b], windows, events.sensor, threads=0))


def working() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "evreel-crew" in thread.name]
