"""The frame clock and the picture: which stamp belongs to which frame, and where pixels lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ClockError, ParameterError
from evreel.timebase import FrameClock, frozen
from evreel.video.picture import Picture


@st.composite
def clocks(draw) -> FrameClock:
    """Rows in order, with gaps or without, of any length, from before zero to beyond 2**31."""
    at = draw(st.sampled_from([-50, 0, 2**31 - 20, 2**40]))
    start, stop = [], []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=8)):
        start.append(at + gap)
        at = at + gap + length
        stop.append(at)
    return FrameClock(np.array(start, dtype=np.int64), np.array(stop, dtype=np.int64))


def slow_frame_of(clock: FrameClock, t: int) -> int:
    for k in range(len(clock)):
        if clock.start_us[k] <= t < clock.stop_us[k]:
            return k
    return -1


@settings(max_examples=60, deadline=None)
@given(clocks(), st.lists(st.integers(-10, 250), max_size=20))
def test_frame_of__equals_a_search_row_by_row(clock, offsets):
    origin = int(clock.start_us[0]) if len(clock) else 0
    edges = [*clock.start_us.tolist(), *clock.stop_us.tolist(), *(clock.stop_us - 1).tolist()]
    t = np.array([*(origin + k for k in offsets), *edges], dtype=np.int64)
    got = clock.frame_of(t)
    assert got.dtype == np.int64
    assert got.tolist() == [slow_frame_of(clock, int(stamp)) for stamp in t]


@settings(max_examples=40, deadline=None)
@given(st.integers(-3, 500), st.integers(1, 60))
def test_regular__covers_every_time_once_and_starts_no_frame_after_the_last(t_stop_us, window_us):
    clock = FrameClock.regular(t_stop_us, window_us)
    stamps = np.arange(max(t_stop_us, 0))
    assert clock.frame_of(stamps).tolist() == (stamps // window_us).tolist()
    assert (clock.stop_us - clock.start_us == window_us).all()
    assert (clock.start_us < t_stop_us).all()
    assert clock.source == "events"


def test_regular__counts_frames_beyond_2_to_the_31_microseconds():
    clock = FrameClock.regular(2**33, 10**6)
    assert len(clock) == 8590
    assert clock.stop_us[-1] == 8_590_000_000
    assert clock.frame_of([2**33 - 1]).tolist() == [8589]


def test_frame_of__a_time_in_a_gap_or_at_a_stop_has_no_frame():
    clock = FrameClock([-10, 0, 7], [-5, 7, 8], source="frames")
    assert clock.frame_of([-11, -10, -6, -5, -1, 0, 6, 7, 8]).tolist() == [
        *(-1, 0, 0, -1, -1, 1, 1, 2, -1)
    ]
    assert clock.frame_of([[0, 7], [8, -10]]).tolist() == [[1, 2], [-1, 0]]


def test_frame_of__without_frames_is_none():
    assert FrameClock([], []).frame_of([0, 5]).tolist() == [-1, -1]
    assert FrameClock.regular(0, 10) == FrameClock([], [])


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        ([0, 10], [10, 10], r"frame 1: start_us=10 is not before stop_us=10"),
        ([0, 10], [10, 5], r"frame 1: start_us=10 is not before stop_us=5"),
        ([0, 9], [10, 20], r"frame 1: starts at 9 µs, before frame 0 stops at 10 µs"),
        ([10, 0], [20, 5], r"frame 1: starts at 0 µs"),
        ([0, 1], [1], r"start_us has shape \(2,\) and stop_us \(1,\)"),
        ([[0]], [[1]], r"one dimension"),
        ([0.5], [1.5], r"start_us is float64; whole microseconds are expected"),
    ],
)
def test_clock__refuses_rows_that_are_not_a_clock(start, stop, message):
    with pytest.raises(ClockError, match=message):
        FrameClock(np.array(start), np.array(stop))


def test_clock__refuses_an_unknown_source_and_an_empty_window():
    with pytest.raises(ClockError, match="source 'camera' is not one of events, frames, triggers"):
        FrameClock([0], [1], source="camera")
    with pytest.raises(ParameterError, match="window_us=0 is not within 1 to"):
        FrameClock.regular(100, 0)


def test_clock__is_read_only_and_leaves_its_input_writable():
    start = np.array([0, 10])
    clock = FrameClock(start, start + 10)
    with pytest.raises(ValueError, match="read-only"):
        clock.start_us[0] = 5
    start[0] = -1
    assert start.flags.writeable


def test_clock__equals_a_clock_with_the_same_rows_and_source():
    clock = FrameClock([0, 10], [10, 20])
    assert clock == FrameClock(np.array([0, 10], dtype=np.int32), [10, 20])
    assert clock != FrameClock([0, 10], [10, 21])
    assert clock != FrameClock([0], [10])
    assert clock != FrameClock([0, 10], [10, 20], source="triggers")
    assert clock != "clock"


def test_frozen__copies_only_what_has_another_dtype_or_order():
    column = np.arange(6, dtype=np.int64)
    assert np.shares_memory(frozen(column, np.int64), column)
    assert not np.shares_memory(frozen(column[::2], np.int64), column)
    assert frozen(column, np.int32).dtype == np.int32


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 5), st.integers(1, 17))
def test_for_video__pads_right_and_bottom_to_the_next_multiple(height, width, scale, multiple):
    picture = Picture.for_video((height, width), scale, multiple)
    assert picture.shape[0] % multiple == picture.shape[1] % multiple == 0
    assert 0 <= picture.pad_bottom < multiple
    assert 0 <= picture.pad_right < multiple
    assert picture.shape == (
        height * scale + picture.pad_bottom,
        width * scale + picture.pad_right,
    )


def test_for_video__leaves_an_even_sensor_as_it_is():
    assert Picture.for_video((260, 346)) == Picture((260, 346))
    assert Picture.for_video((261, 345)) == Picture((261, 345), 1, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4), 0), "scale=0 is not at least 1"),
        (((4, 4), 1, -1), "pad_bottom=-1 is negative"),
        (((4, 4), 1, 0, -2), "pad_right=-2 is negative"),
        (((0, 4),), r"a sensor of size \(0, 4\)"),
    ],
)
def test_picture__refuses_invalid_sizes(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Picture(*arguments)
    with pytest.raises(ParameterError, match="multiple=0"):
        Picture.for_video((4, 4), multiple=0)
