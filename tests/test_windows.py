"""Windows: every stamp and row lands where a slow, obvious search says."""

from __future__ import annotations

import dataclasses
import json
from unittest import mock

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evreel import windows as module
from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import Histogram, tensor
from evreel.settings import mistakes, schema
from evreel.windows import (
    AnyWindows,
    Count,
    Duration,
    Ending,
    Mixed,
    Number,
    Windows,
    cut,
    division,
    ending_at,
    parts,
)
from support import shared_file

STAMPS = st.lists(st.integers(0, 120), max_size=30).map(sorted)
SIZES = st.integers(1, 50)
STRIDES = st.none() | st.integers(1, 70)
TAILS = st.sampled_from(["keep", "drop"])
ORIGINS = st.integers(-60, 130)
BY = st.sampled_from(["time", "count"])
INSTANTS = st.lists(st.integers(-40, 200), max_size=8).map(sorted)


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


def test_repr__of_windows_is_one_short_line():
    edges = np.arange(100_001) * 10
    windows = Windows(edges[:-1], edges[1:], edges[:-1] // 10, edges[1:] // 10)
    assert repr(windows) == "<100000 windows within [0, 1000000) µs, rows [0, 100000)>"
    assert repr(windows[:1]) == "<1 window within [0, 10) µs, rows [0, 1)>"
    assert repr(windows[:0]) == "<no windows>"


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
        (lambda: division(), "give window_us, count, both of them, or number; got none"),
        (lambda: division(10, number=4), "window_us=10 does not go with number"),
        (lambda: division(10, 10, number=4), "window_us=10 does not go with number"),
        (lambda: division(10, 10, stride_us=5), "stride_us=5 does not go with window_us and count"),
        (lambda: division(10, 10, stride=5), "stride=5 does not go with window_us and count"),
        (lambda: division(10, 10, by="time"), "by=time does not go with window_us and count"),
        (lambda: division(ending="labels"), "ending=labels needs window_us, the duration of"),
        (lambda: division(10, 5, ending="times"), "count=5 does not go with ending"),
        (lambda: division(10, ending="times", stride_us=5), "stride_us=5 does not go with ending"),
        (lambda: division(10, ending="times", tail="drop"), "tail=drop does not go with ending"),
        (lambda: division(10, ending="times", origin_us=0), "origin_us=0 does not go with ending"),
        (lambda: division(10, compat="rvt"), "compat=rvt of windows goes with ending only"),
        (lambda: Ending(10, compat="metavision"), "compat='metavision' is neither None nor 'rvt'"),
        (lambda: Ending(0), "window_us=0 is not within 1 to"),
        (lambda: Mixed(0, 5), "window_us=0 is not within 1 to"),
        (lambda: Mixed(5, 0), "count=0 is not within 1 to"),
        (lambda: Mixed(5, 5, "cut"), "tail='cut' is neither"),
        (lambda: Duration(10, origin_us=-(1 << 54)), "origin_us=-18014398509481984 is not within"),
        (lambda: Number(2, origin_us=0.5), "origin_us=0.5 is not a whole number"),
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
    assert division(10, 20, tail="drop", origin_us=-5) == Mixed(10, 20, "drop", -5)
    assert division(10, origin_us=5) == Duration(10, origin_us=5)
    assert division(count=10, origin_us=5) == Count(10, origin_us=5)
    assert division(number=10, origin_us=5) == Number(10, origin_us=5)
    assert division(10, ending="labels", compat="rvt") == Ending(10, "labels", "rvt")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(1, 50)
            for name in ("window_us", "count", "number", "stride_us", "stride", "origin_us")
        }
        | {"ending": st.sampled_from(["labels", "frames"]), "compat": st.just("rvt"), "by": BY},
    )
)
def test_settings__are_those_that_their_schema_and_their_division_take(values):
    found = list(mistakes(AnyWindows, values))
    assert jsonschema.Draft202012Validator(schema(AnyWindows)).is_valid(values) == (not found)
    try:
        asked = division(**values)
    except ParameterError:
        with pytest.raises(ParameterError):
            AnyWindows(**values)
        return
    assert AnyWindows(**values).division() == asked


def whole(asked, t, instants=None):
    """Divide all of some stamps."""
    t = np.array(t, dtype=np.int64)
    stop_us = t[-1] + 1 if len(t) else 0
    return cut(asked, [0], [stop_us], index_of(t), lambda rows: t[rows], instants)[0]


@given(STAMPS, SIZES, STRIDES, TAILS, ORIGINS)
def test_origin__of_equal_durations_is_where_the_first_window_starts(t, size, stride, tail, origin):
    asked = Duration(size, stride, tail, origin)
    t_stop_us = t[-1] + 1 if t else 0
    windows = asked.plan(t_stop_us, index_of(t))
    spans = slow_spans(t_stop_us - origin, size, stride or size, tail)
    assert edges(windows) == [(origin + start, origin + stop) for start, stop in spans]
    for (start_us, stop_us), (start, stop) in zip(edges(windows), rows(windows), strict=True):
        assert t[start:stop] == [stamp for stamp in t if start_us <= stamp < stop_us]
    assert rows(whole(asked, t)) == rows(windows)


@given(STAMPS, st.sampled_from([Count(3), Count(2, 5, "drop"), Number(3), Number(4, "count")]))
def test_origin__leaves_out_the_events_before_it(t, asked):
    for origin in (-7, 0, 1, 50, 119):
        late = dataclasses.replace(asked, origin_us=origin)
        windows, before = whole(late, t), sum(stamp < origin for stamp in t)
        left = whole(asked, t[before:])
        assert rows(windows) == [(a + before, b + before) for a, b in rows(left)]
        if before < len(t):
            assert edges(windows) == edges(left)
        if isinstance(late, Count):
            assert rows(late.plan(len(t), stamp_at(t))) == rows(windows)


def slow_mixed(t, end, size, count, tail, at=0):
    """Put events into windows one by one."""
    spans, held, row = [], [], sum(stamp < at for stamp in t)
    first = row
    while at < end:
        if row < len(t) and t[row] < at + size:
            held.append(t[row])
            row += 1
            if len(held) < count:
                continue
            spans.append((at, held[-1] + 1, first, row))
            at = held[-1] if t[row : row + 1] == held[-1:] else held[-1] + 1
        else:
            if tail == "drop" and at + size > end:
                break
            spans.append((at, at + size, first, row))
            at += size
        held, first = [], row
    return spans


@given(STAMPS, SIZES, st.integers(1, 8), TAILS, ORIGINS, st.integers(1, 5))
def test_whichever_comes_first__equals_its_slow_twin(t, size, count, tail, origin, block):
    with mock.patch.object(module, "_BLOCK_ROWS", block):
        windows = whole(Mixed(size, count, tail, origin), t)
    end = t[-1] + 1 if t else 0
    spans = slow_mixed(t, end, size, count, tail, origin)
    assert [(*edge, *row) for edge, row in zip(edges(windows), rows(windows), strict=True)] == spans
    windows.check_order()


def test_whichever_comes_first__ends_by_count_in_a_burst_and_by_time_in_a_pause():
    t = [0, 1, 2, 3, 50, 51, 51, 51]
    windows = whole(Mixed(10, 3), t)
    assert edges(windows) == [(0, 3), (3, 13), (13, 23), (23, 33), (33, 43), (43, 52), (51, 61)]
    assert rows(windows) == [(0, 3), (3, 4), (4, 4), (4, 4), (4, 4), (4, 7), (7, 8)]
    assert edges(whole(Mixed(10, 3, "drop"), t))[-1] == (43, 52)


def test_whichever_comes_first__passes_over_a_long_pause_at_once():
    day = 86_400_000_000
    windows = whole(Mixed(1_000_000, 5), [0, day])
    assert len(windows) == day // 1_000_000 + 1
    assert (windows.stop - windows.start).sum() == 2
    with pytest.raises(ParameterError, match=r"these are 8640000000\d windows or more; at most"):
        whole(Mixed(1, 5), [0, day])


@given(
    STAMPS,
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 40)), min_size=1, max_size=4),
    st.one_of(
        st.builds(Duration, SIZES, st.none(), st.just("keep")),
        st.builds(Count, SIZES, st.none(), st.just("keep")),
        st.builds(Mixed, SIZES, st.integers(1, 9), st.just("keep")),
        st.builds(Number, st.integers(1, 40), BY),
    ),
    st.integers(-60, 0),
)
def test_every_event__is_in_one_window_if_windows_follow_each_other(t, gaps, asked, origin):
    asked = dataclasses.replace(asked, origin_us=origin)
    windows = whole(asked, t)
    held = [row for start, stop in rows(windows) for row in range(start, stop)]
    assert held == list(range(len(t)))
    late = whole(dataclasses.replace(asked, origin_us=t[0] if t else 0), t)
    assert [row for start, stop in rows(late) for row in range(start, stop)] == held
    # of samples too, where they are apart
    start_us = np.cumsum([gap for gap, _ in gaps]) + np.cumsum([0, *(n for _, n in gaps[:-1])])
    stop_us = start_us + [n for _, n in gaps]
    stamps = np.array(t, dtype=np.int64)
    windows, bounds = cut(asked, start_us, stop_us, index_of(t), lambda rows: stamps[rows])
    for k, (low, high) in enumerate(zip(start_us.tolist(), stop_us.tolist(), strict=True)):
        of_sample = rows(windows[bounds[k] : bounds[k + 1]])
        held = [row for start, stop in of_sample for row in range(start, stop)]
        assert held == [row for row, stamp in enumerate(t) if low <= stamp < high]


@given(st.integers(1, 40), STAMPS)
def test_fixed_number__by_time_equals_its_slow_twin(n, t):
    windows = whole(Number(n, "time"), t)
    first, last = (t[0], t[-1]) if t else (0, -1)
    share = max(0, last - first) // n
    assert windows.start_us.tolist() == [first + k * share for k in range(n)]
    assert windows.stop_us.tolist() == [first + k * share for k in range(1, n)] + [last + 1]
    for (start_us, stop_us), (start, stop) in zip(edges(windows), rows(windows), strict=True):
        assert t[start:stop] == [stamp for stamp in t if start_us <= stamp < stop_us]


@given(st.integers(1, 40), STAMPS)
def test_fixed_number__by_count_equals_its_slow_twin(n, t):
    windows = whole(Number(n, "count"), t)
    share = len(t) // n
    spans = [(k * share, (k + 1) * share) for k in range(n - 1)] + [((n - 1) * share, len(t))]
    assert rows(windows) == spans
    first = t[0] if t else 0
    assert edges(windows) == [
        (t[start], t[stop - 1] + 1) if start < stop else (first, first) for start, stop in spans
    ]


@pytest.mark.parametrize("by", ["time", "count"])
def test_fixed_number__of_few_events_has_empty_windows_without_duration(by):
    windows = whole(Number(4, by), [7, 8, 9])
    assert edges(windows) == [(7, 7), (7, 7), (7, 7), (7, 10)]
    assert rows(windows) == [(0, 0), (0, 0), (0, 0), (0, 3)]
    assert windows.of_label([6, 7, 8, 10, 11]).tolist() == [-1, 0, 3, 3, -1]
    assert edges(whole(Number(2, by), [5])) == [(5, 5), (5, 6)]
    assert rows(whole(Number(2, by), [5, 5, 5])) == (
        [(0, 0), (0, 3)] if by == "time" else [(0, 1), (1, 3)]
    )
    assert edges(whole(Number(2, by), [])) == [(0, 0), (0, 0)]


def of_oracle():
    """Yield (t, x, y, p, case, frames or None if it raises) of SpikingJelly, in order of time."""
    index = json.loads(shared_file("oracles/spikingjelly.json").read_text())
    with np.load(shared_file("oracles/spikingjelly.npz")) as arrays:
        for case in index["cases"]:
            columns = [arrays[f"in/{case['input']}/{name}"] for name in "txyp"]
            if "split_by" in case and (np.diff(columns[0]) >= 0).all():
                yield (*columns, case, None if "error" in case else arrays[f"out/{case['id']}"])


def test_fixed_number__makes_spikingjellys_frames_and_frames_where_it_raises():
    raised = 0
    for t, x, y, p, case, frames in of_oracle():
        events = Events(t, x, y, p != 0, Sensor(case["H"], case["W"]))
        windows = whole(
            Number(case["frames_num"], by=case["split_by"].replace("number", "count")), t
        )
        made = tensor(Histogram(), events, windows)
        if frames is None:
            raised += 1
            assert len(made) == case["frames_num"]
            assert made.sum() == len(t)
            continue
        np.testing.assert_array_equal(made, frames)
        assert windows.start.tolist() == case["j_l"]
        assert windows.stop.tolist() == case["j_r"]
    assert raised > 9


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 40)), max_size=6),
    STAMPS,
    st.one_of(
        st.builds(Duration, SIZES, st.none() | SIZES, st.sampled_from(["keep", "drop"])),
        st.builds(Count, SIZES, st.none() | SIZES, st.sampled_from(["keep", "drop"])),
        st.builds(Mixed, SIZES, st.integers(1, 9), TAILS),
        st.builds(Number, st.integers(1, 5), BY),
    ),
    ORIGINS,
)
def test_cut__divides_each_interval_as_a_recording_of_its_own(spans, t, asked, origin):
    asked = dataclasses.replace(asked, origin_us=origin)
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

    alone = [of_one(a, b) for a, b in zip(start_us, stop_us, strict=True)]
    windows, bounds = cut(asked, start_us, stop_us, index_of(all_t), lambda rows: all_t[rows])
    assert len(bounds) == len(spans) + 1 and bounds[-1] == len(windows)
    for k, own in enumerate(alone):
        of_k = windows[bounds[k] : bounds[k + 1]]
        first = sum(stamp < start_us[k] for stamp in t)
        assert (of_k.start_us - start_us[k]).tolist() == own.start_us.tolist()
        assert (of_k.stop_us - start_us[k]).tolist() == own.stop_us.tolist()
        assert (of_k.start - first).tolist() == own.start.tolist()
        assert (of_k.stop - first).tolist() == own.stop.tolist()


@given(STAMPS, INSTANTS, SIZES, st.sampled_from([None, "rvt"]))
def test_ending_at__equals_its_slow_twin(t, instants, window_us, compat):
    windows = ending_at(iter(instants), window_us, index_of(t), compat)
    more = 1 if compat else 0
    assert edges(windows) == [(instant - window_us, instant + more) for instant in instants]
    for (start_us, stop_us), (start, stop) in zip(edges(windows), rows(windows), strict=True):
        assert t[start:stop] == [stamp for stamp in t if start_us <= stamp < stop_us]
    assert rows(whole(Ending(window_us, "labels", compat), t, [0, 5])) == rows(
        ending_at(
            [i for i in (0, 5) if i <= (t[-1] + 1 if t else 0)], window_us, index_of(t), compat
        )
    )


def test_ending_at__of_rvt_has_the_events_at_both_ends_and_at_a_shared_border_in_both():
    windows = ending_at([10, 20], 10, index_of([0, 10, 20, 21]), "rvt")
    assert rows(windows) == [(0, 2), (1, 3)]
    assert rows(ending_at([10, 20], 10, index_of([0, 10, 20, 21]))) == [(0, 1), (1, 2)]


def test_ending_at__refuses_instants_that_go_back_or_are_not_whole_numbers():
    with pytest.raises(ParameterError, match="instant 1: is 5 µs, before instant 0 at 10 µs"):
        ending_at([10, 5], 10, index_of([0]))
    with pytest.raises(ParameterError, match="instants_us is float64; whole numbers"):
        ending_at([10.5], 10, index_of([0]))
    for far in (2**53 + 1, -(2**63), np.uint64(2**64 - 1)):  # in int64, edges of these wrap
        with pytest.raises(ParameterError, match=rf"instant 0: is {far} µs, not within"):
            ending_at(np.array([far]), 10, index_of([0]))
    with pytest.raises(ParameterError, match="windows that end at labels need these instants"):
        whole(Ending(10, "labels"), [0])


def test_instants__of_a_sample_are_those_that_its_labels_have():
    t = np.array([0, 9, 10, 11, 19, 20])
    asked = Ending(15), [0, 10, 40], [10, 20, 50], index_of(t), lambda rows: t[rows]
    windows, bounds = cut(*asked, [0, 5, 10, 20, 30])
    assert edges(windows) == [(-15, 0), (-10, 5), (-5, 10), (-5, 10), (5, 20)]
    assert rows(windows) == [(0, 0), (0, 1), (0, 2), (2, 2), (2, 5)]
    assert bounds.tolist() == [0, 3, 5, 5]


SPANS = st.lists(st.tuples(st.integers(-5, 60), st.integers(0, 20)), max_size=12).map(sorted)


def windows_of_spans(spans):
    start_us, first = [start for start, _ in spans], list(range(len(spans)))
    return Windows(start_us, [start + long for start, long in spans], first, first)


@given(SPANS, st.integers(20, 50))
def test_parts__have_every_window_once_and_none_lasts_too_long(spans, longest):
    windows = windows_of_spans(spans)
    found = parts(windows, longest)
    assert [k for part in found for k in range(part.rows.start, part.rows.stop)] == list(
        range(len(windows))
    )
    for k, part in enumerate(found):
        own = windows[part.rows]
        assert edges(part.windows) == [
            (a - part.start_us, b - part.start_us) for a, b in edges(own)
        ]
        assert rows(part.windows) == rows(own)
        assert part.stop_us - part.start_us <= longest
        if len(windows):
            assert part.windows.start_us[0] == 0
        if k + 1 < len(found):  # the next window would not have fitted
            assert windows.stop_us[part.rows.stop] > part.start_us + longest


def test_parts__of_regular_windows_are_of_equal_duration_and_the_last_is_shorter():
    windows = Duration(10).plan(95, index_of([0, 94]))
    assert [(part.start_us, part.stop_us) for part in parts(windows, 40)] == [
        (0, 40),
        (40, 80),
        (80, 100),
    ]
    assert [part.start_us for part in parts(windows, 45)] == [0, 40, 80]
    [only] = parts(Duration(10).plan(0, index_of([])), 40)
    assert (only.start_us, only.stop_us, len(only.windows)) == (0, 0, 0)
    with pytest.raises(
        ParameterError, match="window 0: lasts 10 µs, longer than max_duration_us=9"
    ):
        parts(windows, 9)
    with pytest.raises(ParameterError, match="max_duration_us=0 is not within 1"):
        parts(windows, 0)


def slow_of_label(windows: Windows, t):
    for k, (start, stop) in enumerate(edges(windows)):
        if start < t <= stop or (k == 0 and t == start):
            return k
    return -1


@given(
    st.lists(st.tuples(st.integers(-5, 40), st.integers(0, 30)), max_size=8).map(sorted),
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
        (([0, 5], [5, 4], [0, 0], [0, 0]), "window 1: start_us=5 is not before stop_us=4"),
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
