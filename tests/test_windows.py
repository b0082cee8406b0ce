"""Windows: every stamp and row lands where a slow, obvious search says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evreel.errors import ParameterError
from evreel.windows import Count, Duration, Number, Windows, cut, division, ending_at

STAMPS = st.lists(st.integers(0, 120), max_size=30).map(sorted)
SIZES = st.integers(1, 50)
STRIDES = st.none() | st.integers(1, 70)
TAILS = st.sampled_from(["keep", "drop"])


def index_of(t):
    """First row at or after each stamp, by search in all of them."""
    return lambda at: np.searchsorted(np.asarray(t, dtype=np.int64), at)


def stamp_at(t):
    return lambda rows: np.asarray(t, dtype=np.int64)[rows]


def rows(windows: Windows):
    return list(zip(windows.start.tolist(), windows.stop.tolist(), strict=True))


def edges(windows: Windows):
    return list(zip(windows.start_us.tolist(), windows.stop_us.tolist(), strict=True))


def slow_spans(total, size, stride, tail):
    """Starts 0, stride, 2·stride … until what is divided is covered or at its end."""
    spans, start = [], 0
    while start < total and not (spans and spans[-1][1] >= total):
        if start + size > total and tail == "drop":
            break
        spans.append((start, start + size))
        start += stride
    return spans


@given(STAMPS, SIZES, STRIDES, TAILS)
def test_duration__equals_its_slow_twin(t, window_us, stride_us, tail):
    t_stop_us = t[-1] + 1 if t else 0
    windows = Duration(window_us, stride_us, tail).plan(t_stop_us, index_of(t))
    spans = slow_spans(t_stop_us, window_us, stride_us or window_us, tail)
    assert edges(windows) == spans
    for (start_us, stop_us), (start, stop) in zip(spans, rows(windows), strict=True):
        assert t[start:stop] == [stamp for stamp in t if start_us <= stamp < stop_us]


@given(STAMPS, SIZES, STRIDES, TAILS)
def test_count__equals_its_slow_twin(t, count, stride, tail):
    windows = Count(count, stride, tail).plan(len(t), stamp_at(t))
    spans = [
        (start, min(stop, len(t)))
        for start, stop in slow_spans(len(t), count, stride or count, tail)
    ]
    assert rows(windows) == spans
    assert edges(windows) == [(t[start], t[stop - 1] + 1) for start, stop in spans]


@given(STAMPS, SIZES)
def test_duration__without_a_stride_puts_every_event_into_one_window(t, window_us):
    windows = Duration(window_us).plan(t[-1] + 1 if t else 0, index_of(t))
    held = [row for start, stop in rows(windows) for row in range(start, stop)]
    assert held == list(range(len(t)))


def test_duration__with_gaps_starts_no_window_after_the_last_timestamp():
    assert edges(Duration(10, 30).plan(16, index_of([0, 15]))) == [(0, 10)]
    assert edges(Duration(10, 30).plan(31, index_of([0, 30]))) == [(0, 10), (30, 40)]


def test_count__with_gaps_starts_no_window_after_the_last_event():
    assert rows(Count(2, 5).plan(4, stamp_at([0, 1, 2, 3]))) == [(0, 2)]


def test_duration__keeps_empty_windows_and_the_nominal_edge_of_the_last():
    windows = Duration(10).plan(32, index_of([0, 31]))
    assert edges(windows) == [(0, 10), (10, 20), (20, 30), (30, 40)]
    assert rows(windows) == [(0, 1), (1, 1), (1, 1), (1, 2)]
    assert edges(Duration(10, tail="drop").plan(32, index_of([0, 31])))[-1] == (20, 30)


def test_duration__puts_an_event_on_an_edge_into_the_window_that_starts_there():
    assert rows(Duration(10).plan(11, index_of([0, 10]))) == [(0, 1), (1, 2)]


def test_duration__divides_beyond_2_to_the_31_microseconds():
    hour = 3_600_000_000
    windows = Duration(hour).plan(3 * hour + 1, index_of([0, hour, 3 * hour]))
    assert windows.start_us.tolist() == [0, hour, 2 * hour, 3 * hour]
    assert rows(windows) == [(0, 1), (1, 2), (2, 2), (2, 3)]


def test_count__that_cuts_equal_timestamps_apart_overlaps_by_1_us():
    windows = Count(2).plan(4, stamp_at([5, 7, 7, 9]))
    assert edges(windows) == [(5, 8), (7, 10)]


@pytest.mark.parametrize("tail", ["keep", "drop"])
def test_divisions__of_nothing_are_no_windows(tail):
    assert len(Duration(10, tail=tail).plan(0, index_of([]))) == 0
    assert len(Count(10, tail=tail).plan(0, stamp_at([]))) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Duration(0), "window_us=0 is not within 1 to"),
        (lambda: Duration(10, 0), "stride_us=0 is not within 1 to"),
        (lambda: Duration(10, tail="cut"), "tail='cut' is neither 'keep' nor 'drop'"),
        (lambda: Duration(1e4), "window_us=10000.0 is not a whole number"),
        (lambda: Duration("1e4"), "window_us='1e4' is not a whole number"),
        (lambda: Duration(True), "window_us=True is not a whole number"),
        (lambda: Count(-1), "count=-1 is not within 1 to"),
        (lambda: Count(1, 0), "stride=0 is not within 1 to"),
        (lambda: Count(1, tail=""), "tail='' is neither"),
        (lambda: division(), "give exactly one of window_us, count and number; got none"),
        (lambda: division(10, 10), "exactly one of .* got window_us=10, count=10"),
        (lambda: division(10, number=4), "exactly one of .* got window_us=10, number=4"),
        (lambda: division(10, by="time"), "by=time does not go with window_us"),
        (lambda: division(number=4, stride=2), "stride=2 does not go with number"),
        (lambda: division(number=4, tail="drop"), "tail=drop does not go with number"),
        (lambda: Number(2, "number"), "by='number' is neither 'time' nor 'count'"),
        (lambda: Number(0), "number=0 is not within 1 to"),
        (lambda: division(10, stride=5), "stride=5 does not go with window_us"),
        (lambda: division(count=10, stride_us=5), "stride_us=5 does not go with count"),
    ],
)
def test_divisions__refuse_what_divides_nothing(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_division__is_the_one_that_is_asked_for():
    assert division(10, stride_us=5, tail="drop") == Duration(10, 5, "drop")
    assert division(count=10, stride=5) == Count(10, 5, "keep")
    assert division(number=10, by="count") == Number(10, "count")


def whole(asked, t):
    """Divide all of some stamps."""
    t = np.array(t, dtype=np.int64)
    stop_us = t[-1] + 1 if len(t) else 0
    return cut(asked, [0], [stop_us], index_of(t), lambda rows: t[rows])[0]


@given(st.integers(1, 6), STAMPS.filter(bool))
def test_fixed_number__by_time_equals_its_slow_twin(n, t):
    span = t[-1] + 1 - t[0]
    if span < n:
        with pytest.raises(
            ParameterError,
            match=f"{span} µs from first to last event cannot be divided into {n} windows",
        ):
            whole(Number(n, "time"), t)
        return
    windows = whole(Number(n, "time"), t)
    share = span // n
    assert windows.start_us.tolist() == [t[0] + k * share for k in range(n)]
    assert windows.stop_us.tolist() == [t[0] + k * share for k in range(1, n)] + [t[-1] + 1]
    for (start_us, stop_us), (start, stop) in zip(edges(windows), rows(windows), strict=True):
        assert t[start:stop] == [stamp for stamp in t if start_us <= stamp < stop_us]
    assert sum(stop - start for start, stop in rows(windows)) == len(t)


@given(st.integers(1, 6), STAMPS)
def test_fixed_number__by_count_equals_its_slow_twin(n, t):
    if len(t) < n:
        with pytest.raises(ParameterError, match=f"{len(t)} events cannot be divided into {n}"):
            whole(Number(n, "count"), t)
        return
    windows = whole(Number(n, "count"), t)
    share = len(t) // n
    spans = [(k * share, (k + 1) * share) for k in range(n - 1)] + [((n - 1) * share, len(t))]
    assert rows(windows) == spans
    assert edges(windows) == [(t[start], t[stop - 1] + 1) for start, stop in spans]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 40)), max_size=6),
    STAMPS,
    st.one_of(
        st.builds(Duration, SIZES, st.none() | SIZES, st.sampled_from(["keep", "drop"])),
        st.builds(Count, SIZES, st.none() | SIZES, st.sampled_from(["keep", "drop"])),
        st.builds(Number, st.integers(1, 3), st.sampled_from(["time", "count"])),
    ),
)
def test_cut__divides_each_interval_as_a_recording_of_its_own(spans, t, asked):
    start_us, stop_us, at = [], [], 0
    for gap, length in spans:
        start_us.append(at + gap)
        at += gap + length
        stop_us.append(at)
    all_t = np.array(t, dtype=np.int64)

    def of_one(start, stop):
        own = [stamp - start for stamp in t if start <= stamp < stop]
        stamps = np.array(own, dtype=np.int64)
        # an interval lasts on after its last event
        return cut(asked, [0], [stop - start], index_of(stamps), lambda rows: stamps[rows])[0]

    try:
        alone = [of_one(a, b) for a, b in zip(start_us, stop_us, strict=True)]
    except ParameterError:
        with pytest.raises(ParameterError, match=r"interval \d"):
            cut(asked, start_us, stop_us, index_of(all_t), lambda rows: all_t[rows])
        return
    windows, bounds = cut(asked, start_us, stop_us, index_of(all_t), lambda rows: all_t[rows])
    assert len(bounds) == len(spans) + 1 and bounds[-1] == len(windows)
    for k, own in enumerate(alone):
        of_k = windows[bounds[k] : bounds[k + 1]]
        first = sum(stamp < start_us[k] for stamp in t)
        assert (of_k.start_us - start_us[k]).tolist() == own.start_us.tolist()
        assert (of_k.stop_us - start_us[k]).tolist() == own.stop_us.tolist()
        assert (of_k.start - first).tolist() == own.start.tolist()
        assert (of_k.stop - first).tolist() == own.stop.tolist()


@given(STAMPS, st.lists(st.integers(0, 200), max_size=8).map(sorted), SIZES)
def test_ending_at__equals_its_slow_twin(t, instants, window_us):
    windows = ending_at(iter(instants), window_us, index_of(t))
    assert edges(windows) == [(instant - window_us, instant) for instant in instants]
    for instant, (start, stop) in zip(instants, rows(windows), strict=True):
        assert t[start:stop] == [s for s in t if instant - window_us <= s < instant]


def test_ending_at__refuses_instants_that_go_back_or_are_not_whole_numbers():
    with pytest.raises(ParameterError, match="window 1: starts at -5 µs, before window 0 at 0 µs"):
        ending_at([10, 5], 10, index_of([0]))
    with pytest.raises(ParameterError, match="instants_us is float64; whole numbers"):
        ending_at([10.5], 10, index_of([0]))


def slow_of_label(windows: Windows, t):
    for k, (start, stop) in enumerate(edges(windows)):
        if start < t <= stop or (k == 0 and t == start):
            return k
    return -1


@given(
    st.lists(st.tuples(st.integers(-5, 40), st.integers(1, 30)), max_size=8).map(sorted),
    st.lists(st.integers(-10, 80), max_size=20),
)
def test_of_label__equals_its_slow_twin_also_where_windows_overlap(spans, labels):
    start_us = [start for start, _ in spans]
    zeros = [0] * len(spans)
    windows = Windows(start_us, [start + long for start, long in spans], zeros, zeros)
    expected = [slow_of_label(windows, t) for t in labels]
    assert windows.of_label(labels).tolist() == expected


@given(STAMPS, SIZES, st.none() | SIZES, st.lists(st.integers(-5, 250), max_size=20))
def test_of_label__of_a_regular_division_loses_no_label_within_it(t, window_us, stride_us, labels):
    stride_us = None if stride_us is None else min(stride_us, window_us)
    windows = Duration(window_us, stride_us).plan(t[-1] + 1 if t else 0, index_of(t))
    end = int(windows.stop_us[-1]) if t else -1
    for label, window in zip(labels, windows.of_label(labels).tolist(), strict=True):
        assert (window >= 0) == (0 <= label <= end)


def test_of_label__keeps_the_shape_it_is_asked_in():
    windows = Duration(10).plan(20, index_of([0, 19]))
    assert windows.of_label([[0, 20], [21, 5]]).tolist() == [[0, 1], [-1, 0]]
    assert int(windows.of_label(11)) == 1
    assert Windows([], [], [], []).of_label([3]).tolist() == [-1]
    with pytest.raises(ParameterError, match="t_us is float64; whole numbers are expected"):
        windows.of_label([0.5])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ([0, 5], [5], [0, 0], [1, 1]),
            r"stop_us of windows has shape \(1,\), start_us has \(2,\)",
        ),
        (([[0]], [[5]], [[0]], [[1]]), "one dimension and equal lengths"),
        (([0, 5], [5, 5], [0, 0], [1, 1]), "window 1: start_us=5 is not before stop_us=5"),
        (([0, 5], [5, 6], [0, 3], [1, 2]), r"window 1: rows \[3, 2\) are not a valid range"),
        (([0], [5], [-1], [2]), r"window 0: rows \[-1, 2\) are not a valid range"),
        (([0.5], [5], [0], [1]), "start_us is float64; whole numbers are expected"),
    ],
)
def test_windows__refuse_invalid_rows(columns, message):
    with pytest.raises(ParameterError, match=message):
        Windows(*columns)


def test_of_label__refuses_windows_that_are_not_in_order():
    windows = Windows([5, 4], [9, 9], [0, 0], [1, 1])
    with pytest.raises(ParameterError, match="window 1: starts at 4 µs, before window 0 at 5 µs"):
        windows.of_label([6])


def test_windows__are_read_only_and_leave_the_given_arrays_alone():
    start = np.array([0, 5])
    windows = Windows(start, start + 5, start, start + 1)
    with pytest.raises(ValueError, match="read-only"):
        windows.start_us[0] = 1
    assert start.flags.writeable


def test_windows__slices_are_neighbouring_windows():
    windows = Duration(10).plan(45, index_of([0, 12, 44]))
    assert edges(windows[1:3]) == [(10, 20), (20, 30)]
    assert rows(windows[1:3]) == [(1, 2), (2, 2)]
