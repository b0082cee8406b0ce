"""Checks of events find what is wrong, where and how often, whatever the pieces."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.checks import events
from support.checks import CLEAN, FAR, SENSOR, columns, found, pieces

# check, a column, rows and values there, expected place, a part of the problem
EVENT_FAULTS = [
    (events.Order, "t", {2_000: 0}, "event 2000, t=0 µs", "1 event before the previous event"),
    (lambda: events.Bounds(SENSOR), "x", {7: 64, 9: -1}, "event 7, t=95 µs", "2 events outside"),
    (lambda: events.Bounds(SENSOR), "y", {4_999: 48}, "event 4999, t=68486 µs", "x=7, y=48"),
    (events.Polarity, "p", {3: 2, 4: -1, 6: 255}, "event 3, t=41 µs", "3 events with a polarity"),
]


@pytest.mark.parametrize("rows", [1, 700, 5_000])
@pytest.mark.parametrize(("made", "column", "values", "place", "problem"), EVENT_FAULTS)
def test_event_checks__find_place_and_count_whatever_the_pieces(
    made, column, values, place, problem, rows
):
    assert not found(made(), *pieces(CLEAN, rows))
    planted = getattr(CLEAN, column).copy()
    planted[list(values)] = list(values.values())
    [(at, text)] = found(made(), *pieces(CLEAN._replace(**{column: planted}), rows))
    assert at == place
    assert problem in text


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_order__counts_each_event_before_the_previous_one(times, rows):
    expected = sum(b < a for a, b in itertools.pairwise(times))
    result = found(events.Order(), *pieces(columns(times), rows))
    assert bool(result) == bool(expected)
    if expected:
        assert result[0][1].startswith(f"{expected} event")


def test_one_polarity__needs_enough_events():
    assert not found(events.OnePolarity(), CLEAN)
    assert not found(events.OnePolarity(), columns(range(999), p=[1] * 999))
    [(place, problem)] = found(
        events.OnePolarity(), *pieces(columns(range(1_000), p=[0] * 1_000), 9)
    )
    assert place == ""
    assert "all 1,000 events have p=0" in problem


@pytest.mark.parametrize("start", [0, 7])
def test_quantum__names_the_grid_of_a_clock_that_does_not_start_at_0(start):
    t = np.arange(2_000)
    assert not found(events.Quantum(), CLEAN)
    assert not found(events.Quantum(), columns(t * 500))
    assert not found(events.Quantum(), columns(t[:999] * 1_000))
    [(_, problem)] = found(events.Quantum(), *pieces(columns(t * 3_000 + start), 300))
    assert "grid of 3000 µs" in problem
    assert "the same timestamp" in found(events.Quantum(), columns(t * 0 + start))[0][1]


DAVIS = (260, 346)
K = np.arange(20_000)


@pytest.mark.parametrize(
    ("t", "sensor", "said"),
    [
        (K * 50, DAVIS, None),
        (K // 7 * 50, DAVIS, None),  # a second
        (K // 200, DAVIS, "20,000 events in 100 µs at 100 different timestamps, .* frames"),
        (K * 2, (720, 1280), None),
        (K // 2_000, DAVIS, "in 10 µs at 10 different"),
        (K * 0 + 5, DAVIS, "in 1 µs at 1 different"),
        (K // 20_000 * 9, DAVIS, "in 1 µs"),
        (K * 10**6, DAVIS, "1 per second: are its timestamps ns"),
        (K // 200 * 33_333, DAVIS, "at 100 different timestamps, 33,333 µs apart .* of frames"),
        (K[:999] // 200, DAVIS, None),
    ],
)
@pytest.mark.parametrize("rows", [500, 20_000])
def test_time_unit__suspects_what_can_hardly_be_microseconds(t, sensor, said, rows):
    result = found(events.TimeUnit(sensor), *pieces(columns(t), rows))
    assert bool(result) == (said is not None)
    if said is not None:
        [(place, problem)] = result
        assert place == ""
        assert re.search(said, problem), problem


@pytest.mark.parametrize(
    ("n", "seconds", "sensor", "said"),
    [
        (600_000, 20, (128, 128), "1,831"),
        (100_000, 10, DAVIS, "111"),
        (300_000, 20, DAVIS, "167"),
        (50_000, 20, (48, 64), "814"),
        (3_000_000, 30, (720, 1280), "109"),
    ],
)
def test_time_unit__knows_milliseconds_of_a_longer_recording_by_the_rate_of_a_pixel(
    n, seconds, sensor, said
):
    t = np.sort(np.random.default_rng(0).integers(0, seconds * 1_000_000, n))
    [(_, problem)] = found(events.TimeUnit(sensor), *pieces(columns(t // 1_000), 1 << 20))
    assert f"{said} per second and pixel: are they ms" in problem
    assert not found(events.TimeUnit(sensor), *pieces(columns(t), 1 << 20))


@pytest.mark.parametrize(
    ("n", "us", "sensor"),
    [
        (1_000_000, 50_000, (720, 1280)),  # 20 events per µs, all over a large sensor
        (30_000, 30_000, (48, 64)),  # flicker of a small one
        (1_000_000, 100_000, (480, 640)),
    ],
)
def test_time_unit__accepts_as_many_events_as_cameras_make(n, us, sensor):
    t = np.sort(np.random.default_rng(0).integers(0, us, n))
    assert not found(events.TimeUnit(sensor), *pieces(columns(t), 1 << 20))


@pytest.mark.parametrize("rows", [90, 700, 5_000])
def test_clock_jump__says_how_many_and_where_the_first_is(rows):
    t = CLEAN.t.copy()
    t[2_000] -= 30_000
    t[4_000:] -= 60_000
    [(place, problem)] = found(events.ClockJump(), *pieces(CLEAN._replace(t=t), rows))
    assert place == f"event 2000, t={t[2_000]} µs"
    assert problem.startswith("1 reset and 1 stray event, the first 0.029986 s before t=27386;")
    assert not found(events.ClockJump(), *pieces(CLEAN, rows))
    late = columns([0, 9, 5, 7])
    assert not found(events.ClockJump(), late)


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_gap__says_where_how_long_and_how_many(rows):
    t = [0, 10, 500_009, 500_010, 1_000_010, 1_000_011, 3_000_011]
    assert not found(events.Gap(), *pieces(columns(t[:4]), rows))
    [(place, problem)] = found(events.Gap(), *pieces(columns(t), rows))
    assert place == "t=500010 µs"
    assert "no event for 0.500 s, the first of 2, the longest 2.000 s" in problem


def test_gap__is_not_found_where_a_piece_could_not_be_read():
    assert not found(events.Gap(), columns([0, 10]), columns([9_000_000], first=50))


@given(st.integers(1, 4_000), st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_burst__finds_the_bins_that_a_sort_finds(rows, usual):
    counts = [usual] * 30
    counts[11], counts[20] = 12 * usual + 1_100, 11 * usual + 1_100
    t = np.concatenate([k * 10_000 + np.arange(n) % 10_000 for k, n in enumerate(counts)])
    t.sort()
    [(place, problem)] = found(events.Burst(), *pieces(columns(t), rows))
    assert place == "t=110000 µs"
    assert problem.startswith(f"2 bins of 10 ms with up to {counts[11]:,} events")
    assert f"the median is {usual:,};" in problem
    quiet = t[(t // 10_000 != 11) & (t // 10_000 != 20)]
    assert not found(events.Burst(), *pieces(columns(quiet), rows))


def test_event_checks__accept_timestamps_as_far_apart_as_int64_allows():
    far = columns([-FAR, FAR - 1, 0, FAR - 1])
    [(place, problem)] = found(events.Order(), *pieces(far, 1))
    assert (place, problem[:57]) == (
        "event 2, t=0 µs",
        "1 event before the previous event, the first by 922337203",
    )
    [(place, problem)] = found(events.Gap(), *pieces(far, 3))
    assert place == f"t={-FAR} µs"
    assert "the first of 2, the longest 18446744073709.551 s" in problem
    grid = columns(np.append(np.arange(-2_000, 0) * 1_000 - FAR // 2, FAR - 1))
    assert not found(events.Quantum(), grid), "the last is off it"
    found(events.Burst(), grid)
