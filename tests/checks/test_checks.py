"""Checks find what is planted, where it is and how often, and nothing in sound data."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import runpy
import shutil
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.checks import (
    CHECKS,
    Finding,
    boxes,
    dataset,
    features,
    released,
    samples,
    slices,
)
from evreel.checks import (
    events as event,
)
from evreel.checks import (
    labels as label,
)
from evreel.checks.finding import Report
from evreel.checks.run import audit, check
from evreel.errors import UsageError
from evreel.files.features import SampleWindows
from evreel.files.samples import SamplesFile
from evreel.layout import BOX_DTYPE, LABEL_MAP
from evreel.release.build import build
from evreel.release.manifest import MANIFEST, PlanEntry, is_release
from evreel.samples.samples import Samples
from evreel.samples.tables import Assigned, read_samples_table, write_samples_table
from evreel.windows import Windows
from support import ROOT, random_events, shared_file
from support.dataset import SCENE

SENSOR = (48, 64)


def columns(t, x=None, y=None, p=None, first=0):
    t = np.asarray(t, dtype=np.int64)
    zeros = np.zeros(len(t), dtype=np.int64)
    alternating = np.arange(len(t)) % 2
    return event.Columns(
        first,
        t,
        zeros if x is None else np.asarray(x),
        zeros if y is None else np.asarray(y),
        alternating if p is None else np.asarray(p),
    )


def found(made, *chunks):
    for chunk in chunks:
        made.add(chunk)
    return list(made.finish())


def tables(made, *columns_, rows=None):
    """Return what a check finds in columns of a table, taken in pieces."""
    n = len(columns_[0])
    for first in range(0, n, rows or max(n, 1)):
        made.add(first, *(column[first : first + (rows or n)] for column in columns_))
    return list(made.finish())


def pieces(events, rows):
    """Return the same events in pieces."""
    return [
        event.Columns(first, *(column[first : first + rows] for column in events[1:]))
        for first in range(0, len(events.t), rows)
    ]


CLEAN = columns(np.arange(5_000) * 137 // 10, np.arange(5_000) % 64, np.arange(5_000) % 48)


# check, a column, rows and values there, expected place, a part of the problem
EVENT_FAULTS = [
    (event.Order, "t", {2_000: 0}, "event 2000, t=0 µs", "1 event before the event above"),
    (lambda: event.Bounds(SENSOR), "x", {7: 64, 9: -1}, "event 7, t=95 µs", "2 events outside"),
    (lambda: event.Bounds(SENSOR), "y", {4_999: 48}, "event 4999, t=68486 µs", "x=7, y=48"),
    (event.Polarity, "p", {3: 2, 4: -1, 6: 255}, "event 3, t=41 µs", "3 events with a polarity"),
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
def test_order__counts_each_event_before_the_one_above(stamps, rows):
    expected = sum(b < a for a, b in itertools.pairwise(stamps))
    result = found(event.Order(), *pieces(columns(stamps), rows))
    assert bool(result) == bool(expected)
    if expected:
        assert result[0][1].startswith(f"{expected} event")


def test_one_polarity__needs_enough_events():
    assert not found(event.OnePolarity(), CLEAN)
    assert not found(event.OnePolarity(), columns(range(999), p=[1] * 999))
    [(place, problem)] = found(
        event.OnePolarity(), *pieces(columns(range(1_000), p=[0] * 1_000), 9)
    )
    assert place == ""
    assert "all 1,000 events have p=0" in problem


@pytest.mark.parametrize("start", [0, 7])
def test_quantum__names_the_grid_also_of_a_clock_that_does_not_start_at_0(start):
    t = np.arange(2_000)
    assert not found(event.Quantum(), CLEAN)
    assert not found(event.Quantum(), columns(t * 500))
    assert not found(event.Quantum(), columns(t[:999] * 1_000))
    [(_, problem)] = found(event.Quantum(), *pieces(columns(t * 3_000 + start), 300))
    assert "grid of 3000 µs" in problem
    assert "one stamp" in found(event.Quantum(), columns(t * 0 + start))[0][1]


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_gap__says_where_how_long_and_how_many(rows):
    t = [0, 10, 500_009, 500_010, 1_000_010, 1_000_011, 3_000_011]
    assert not found(event.Gap(), *pieces(columns(t[:4]), rows))
    [(place, problem)] = found(event.Gap(), *pieces(columns(t), rows))
    assert place == "t=500010 µs"
    assert "no event for 0.500 s, the first of 2, the longest 2.000 s" in problem


def test_gap__is_none_where_a_piece_could_not_be_read():
    assert not found(event.Gap(), columns([0, 10]), columns([9_000_000], first=50))


@given(st.integers(1, 4_000), st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_burst__finds_the_bins_that_a_sort_finds(rows, usual):
    counts = [usual] * 30
    counts[11], counts[20] = 12 * usual + 1_100, 11 * usual + 1_100
    t = np.concatenate([k * 10_000 + np.arange(n) % 10_000 for k, n in enumerate(counts)])
    t.sort()
    [(place, problem)] = found(event.Burst(), *pieces(columns(t), rows))
    assert place == "t=110000 µs"
    assert problem.startswith(f"2 bins of 10 ms with up to {counts[11]:,} events")
    assert f"the median is {usual:,};" in problem
    quiet = t[(t // 10_000 != 11) & (t // 10_000 != 20)]
    assert not found(event.Burst(), *pieces(columns(quiet), rows))


FAR = 2**63


def test_event_checks__take_stamps_as_far_apart_as_int64_has_them():
    events = columns([-FAR, FAR - 1, 0, FAR - 1])
    [(place, problem)] = found(event.Order(), *pieces(events, 1))
    assert (place, problem[:54]) == (
        "event 2, t=0 µs",
        "1 event before the event above, the first by 922337203",
    )
    [(place, problem)] = found(event.Gap(), *pieces(events, 3))
    assert place == f"t={-FAR} µs"
    assert "the first of 2, the longest 18446744073709.551 s" in problem
    grid = columns(np.append(np.arange(-2_000, 0) * 1_000 - FAR // 2, FAR - 1))
    assert not found(event.Quantum(), grid), "the last is off it"
    found(event.Burst(), grid)


def test_box_checks__take_times_as_far_apart_as_int64_has_them():
    far = boxes_of(t={0: -FAR, 5: FAR - 1})
    assert boxes.since_start(far, -FAR).t[5] == FAR - 1, "what has no room stays as it is"
    [(place, problem)] = boxes.box_order(far)
    assert place == "record 6, t=70000 µs"
    assert f"the first by {FAR - 1 - 70_000} µs" in problem
    assert tables(label.Beyond("record", FAR - 1), far.t)[0][1].startswith("1 label outside")
    list(boxes.frozen_box(far))
    unsigned = np.zeros(2, [*((n, "f4") for n in "xywh"), ("t", "<u8"), ("class_id", "u1")])
    unsigned["t"][1] = FAR
    with pytest.raises(ValueError, match="'t' of record 1 is 9223372036854775808, which is more"):
        boxes.boxes_of(unsigned)


def index_of(t, entries, n=None):
    made = event.Index(lambda a, b: np.asarray(entries, np.uint64)[a:b], len(entries), n or len(t))
    return found(made, *pieces(columns(t), 3))


def test_index__of_the_store_is_held_to_column_t():
    t, right = [0, 999, 1_000, 3_500, 3_501], [0, 2, 3, 3, 5]
    assert not index_of(t, right)
    [(place, problem)] = index_of(t, [0, 2, 4, 2, 5])
    assert place == "ms_to_idx, row 2"
    assert problem.startswith("2 entries")
    assert "is 4, not 3" in problem
    assert index_of(t, [0, 2, 3, 3, 4])[0][0] == "ms_to_idx, row 4"
    assert "has 6 entries" in index_of(t, [*right, 5])[0][1]
    assert not index_of([0, 2_000, 10], [0, 9, 9]), "where stamps go back, nothing is known"
    assert not index_of(t, [0], n=9), "where events can't be read, nothing is known"


def test_index__of_a_long_pause_is_checked_in_pieces():
    t = [0, 400_000_000]
    entries = np.full(400_002, 1, dtype=np.uint64)
    entries[[0, -1]] = 0, 2
    assert not index_of(t, entries)
    entries[300_000] = 2
    assert index_of(t, entries)[0][0] == "ms_to_idx, row 300000"


def test_time_zero__is_the_first_stamp_unless_something_was_left_out():
    assert not found(event.TimeZero(11, False, 2), columns([0, 10]))
    assert not found(event.TimeZero(11, True, 2), columns([5, 10]))
    assert not found(event.TimeZero(0, False, 0))
    assert found(event.TimeZero(11, False, 2), columns([5, 10]))[0][0] == "event 0"
    assert found(event.TimeZero(11, True, 2), columns([-5, 10]))[0][0] == "event 0"
    [(place, problem)] = found(event.TimeZero(12, False, 2), columns([0, 10]))
    assert place == "attribute t_stop_us"
    assert "is 12; the last stamp + 1 is 11" in problem


def test_label_span__counts_the_events_before_and_after():
    t = np.arange(0, 1_000, 10)
    assert not found(label.LabelSpan(0, 500), *pieces(columns(t), 7))
    [(place, problem)] = found(label.LabelSpan(200, 400), *pieces(columns(t), 7))
    assert place == "t=200 to 400 µs"
    assert "cover 20 %" in problem
    assert "20 events before and 60 after" in problem


def test_same_events__are_compared_with_the_rows_they_come_from():
    t, x, y, p = (np.asarray(c) for c in CLEAN[1:])

    def read(first, stop):
        return [c[first:stop] for c in (t, x, y, p)]

    here = event.Columns(0, t[100:200], x[100:200], y[100:200], p[100:200])
    assert not found(slices.SameEvents(read, 100, 5_000), *pieces(here, 30))
    changed = x[100:200].copy()
    changed[[40, 70]] += 1
    result = found(slices.SameEvents(read, 100, 5_000), *pieces(here._replace(x=changed), 30))
    assert result[0][0].startswith("event 40, ")
    assert result[0][1].startswith("2 events not as in the events store, the first is row 140")
    assert found(slices.SameEvents(read, 100, 150), *pieces(here, 30))[0][1].startswith("50 events")


def boxes_of(n=12, **columns_):
    records = np.zeros(n, dtype=BOX_DTYPE)
    records["t"] = np.arange(1, n + 1) * 10_000
    records["x"] = np.arange(n)
    records["w"] = records["h"] = 8
    for name, values in columns_.items():
        for row, value in values.items():
            records[name][row] = value
    return boxes.boxes_of(records)


BOX_FAULTS = [
    (boxes.box_number, {"y": {3: np.nan, 5: np.inf}}, "record 3, t=40000 µs", "2 boxes"),
    (boxes.box_size, {"w": {4: 0}, "h": {6: -1}}, "record 4, t=50000 µs", "2 boxes"),
    (boxes.box_order, {"t": {6: 1}}, "record 6, t=1 µs", "1 box before"),
    (
        lambda b: boxes.box_outside(b, SENSOR),
        {"x": {2: -1, 3: 57}},
        "record 2, t=30000 µs",
        "2 box",
    ),
    (lambda b: boxes.box_class(b, {0, 1}), {"class_id": {7: 9}}, "record 7, t=80000 µs", "of 9"),
    (
        lambda b: tables(label.Beyond("record", 110_000), b.t),
        {"t": {10: 120_001, 11: 900_000}},
        "record 10, t=120001 µs",
        "2 labels outside",
    ),
]


@pytest.mark.parametrize(("find", "columns_", "place", "problem"), BOX_FAULTS)
def test_box_checks__find_place_and_count(find, columns_, place, problem):
    assert not list(find(boxes_of()))
    assert not list(find(boxes_of(0)))
    [(at, text)] = find(boxes_of(**columns_))
    assert at == place
    assert problem in text


def test_box_outside__bears_the_rounding_of_float32():
    edge = {"x": {0: np.float32(0.1)}, "w": {0: np.float32(63.9)}}
    assert not list(boxes.box_outside(boxes_of(**edge), SENSOR))


def test_beyond__takes_a_label_at_the_end_of_the_last_frame():
    t = np.array([10, 20, 30])
    assert not tables(label.Beyond("row", 20), t)
    assert tables(label.Beyond("row", 19), t)[0][0] == "row 2, t=30 µs"
    assert tables(label.Beyond("row", 19), np.array([-1, 10]))[0][0] == "row 0, t=-1 µs"
    assert tables(label.Beyond("row", 25, window_us=4), t, rows=1)[0][0] == "row 2, t=30 µs"


def test_frozen_box__is_one_track_of_equal_boxes_over_time():
    def frozen(n, step_us, track=lambda k: k * 0, x=lambda k: k * 0):
        k = np.arange(n)
        records = np.zeros(n, dtype=BOX_DTYPE)
        records["t"], records["track_id"], records["x"] = k * step_us, track(k), x(k)
        return list(boxes.frozen_box(boxes.boxes_of(records)))

    assert not frozen(9, 500_000), "too few"
    assert not frozen(100, 10_000), "too short: 0.99 s"
    assert not frozen(100, 50_000, x=lambda k: k), "it moves"
    assert not frozen(12, 100_000, track=lambda k: k), "each is another track"
    [(place, problem)] = frozen(101, 10_000)
    assert place == "record 0, track 0, t=0 µs"
    assert problem.startswith("the same box 101 times in 1.000 s;")
    [(place, problem)] = frozen(80, 50_000, track=lambda k: k % 2 + 3, x=lambda k: k // 40)
    assert place == "record 0, track 3, t=0 µs", "tracks that take turns are told apart"
    assert "the same box 20 times in 1.900 s, the first of 4 such runs" in problem


def test_boxes_of__takes_the_older_layout():
    older = np.array(
        [(5, 1, 2, 3, 4, 6, 7, 0.5)],
        dtype=[
            *(("ts", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")),
            *(("track_id", "<u4"), ("class_id", "u1"), ("confidence", "<f4")),
        ],
    )
    made_of = boxes.boxes_of(older)
    assert [column.tolist() for column in made_of] == [[5], [1], [2], [3], [4], [7], [6]]
    with pytest.raises(ValueError, match="no number 'class_id'"):
        boxes.boxes_of(older[["ts", "x", "y", "w", "h"]])


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_slice_checks__find_place_and_count_whatever_the_pieces(rows):
    start, stop = np.array([0, 4, 8]), np.array([4, 8, 9])
    us = np.array([0, 10, 20])

    def slice_rows(start, stop):
        return tables(slices.SliceRows(10), start, stop, us, us + 10, rows=rows)

    def slice_count(start, stop, outside, n=None):
        made = slices.SliceCount(n or len(start), 10, outside)
        return tables(made, np.array(start), np.array(stop), rows=rows)

    assert not slice_rows(start, stop)
    [(place, problem)] = slice_rows(start, np.array([4, 8, 11]))
    assert (place, problem.split(",")[0]) == ("slice 2", "1 slice of no range")
    [(place, _)] = slice_rows(start[[0, 2, 1]], stop[[0, 2, 1]])
    assert place == "slice 2"
    assert not slice_count(start, stop, 1)
    assert "is 0; the slices leave 1" in slice_count(start, stop, 0)[0][1]
    assert not slice_count([0, 2, 3], [6, 5, 7], 3)
    assert not slice_count([0, 4, 2], [4, 8, 4], 0), "out of order, it is not known"
    assert not slice_count(start, stop, 0, n=4), "nor where one can't be read"

    def label_number(*numbers):
        return tables(slices.LabelNumber("rois", 2), np.array(numbers), rows=rows)

    assert not label_number(0, 1)
    [(place, problem)] = label_number(0, 2, -1)
    assert (place, problem.split(",")[0]) == ("rois, row 1", "2 rows of no label")

    def overlap_rows(*events):
        return tables(slices.OverlapRows(10), np.array(events), rows=rows)

    assert not overlap_rows(0, 0, 9)
    [(place, problem)] = overlap_rows(0, 5, 4, 10)
    assert (place, problem[:6]) == ("overlaps/event, row 2", "2 rows")


def test_regions__are_rows_of_their_table():
    made = slices.Regions(2)
    made.add("events/roi", 100, np.array([-1, 0, 1, -1]), none=-1)
    assert not list(made.finish())
    made.add("events/roi", 200, np.array([0, 2, -2]), none=-1)
    made.add("overlaps/roi", 0, np.array([-1]))
    [(place, problem)] = made.finish()
    assert place == "events/roi, row 201"
    assert problem.startswith("3 rows of no region, the first is 2;")


def test_feature_checks__find_window_and_count():
    frames = [np.zeros((1, 2, 2), np.float32) for _ in range(5)]
    assert not list(features.feature_values(enumerate(frames)))
    assert not list(features.feature_values([(0, np.zeros(3, np.uint8))]))
    frames[2][0, 1, 1], frames[4][0, 0, 0] = np.nan, -np.inf
    [(place, problem)] = features.feature_values(enumerate(frames))
    assert (place, problem[:9]) == ("window 2", "2 windows")
    start, stop = np.array([0, 5]), np.array([5, 9])
    windows = Windows(start, stop, start, stop)
    assert not list(features.feature_windows(windows, 100, 9))
    assert next(features.feature_windows(windows, 100, 8))[0] == "window 1"
    assert next(features.feature_windows(windows, 5, 9))[0] == "window 1"


def samples_of(start_us, stop_us, label=None, group=None, id_="{}"):
    n = len(start_us)
    return Samples(
        tuple(id_.format(k) for k in range(n)),
        tuple(label or ["clap"] * n),
        tuple(group or [""] * n),
        *(np.asarray(column, np.int64) for column in (start_us, stop_us, start_us)),
    )


def cut_of(split, label=None, group=None, path="a.h5", labels=("clap", "wave")):
    start_us = np.arange(len(split)) * 10
    held = samples_of(start_us, start_us + 10, label, group)
    return samples.Cut(path, path.removesuffix(".h5"), held, tuple(split), labels)


STAMPS = st.lists(st.integers(0, 20), max_size=12).map(sorted)


@given(STAMPS, st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 22)), max_size=9))
@settings(max_examples=100, deadline=None)
def test_sample_rows__are_those_that_a_search_finds(stamps, asked):
    t = np.array(stamps, np.int64)
    rows, t_us = np.array(asked, np.int64).reshape(-1, 2).T
    bad = samples._misplaced(rows, t_us, len(t), lambda first, stop: t[first:stop])
    assert bad.tolist() == (rows != np.searchsorted(t, t_us)).tolist()


def test_sample_rows__reads_only_the_chunks_it_needs_and_bears_damage_there():
    t, asked = np.arange(1_000_000) * 3, []

    def read(first, stop):
        asked.append(first)
        return None if first == 9 * 65_536 else t[first:stop]

    at = np.array([10, 65_536, 600_000])
    held = samples_of(at * 3, at * 3 + 30)

    def found_(start):
        return list(samples.sample_rows(held, start, at + 10, 3_000_000, len(t), read))

    assert not found_(at)
    assert set(asked) == {0, 65_536, 9 * 65_536}
    assert not found_(at + np.array([0, 0, 5])), "what can't be read may be right"
    [(place, problem)] = found_(at + np.array([0, 1, 0]))
    assert (place, problem[:8]) == ("sample '1'", "1 sample")
    assert "rows 65537 to 65546 for t=196608 to 196638 µs" in problem


def test_sample_rows__of_an_unknown_store_are_held_to_the_recordings_end():
    held, rows = samples_of([-5, 0, 99, 100], [5, 90, 120, 130]), np.zeros(4, np.int64)
    [(place, problem)] = samples.sample_rows(held, rows, rows, 100)
    assert (place, problem[:9]) == ("sample '0'", "2 samples")
    assert "ends at t=100 µs; cut" in problem


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=9))
@settings(max_examples=60, deadline=None)
def test_sample_overlap__counts_samples_that_share_time_with_one_above(spans):
    spans = sorted((start, start + n) for start, n in spans)
    shared = [k for k, (start, _) in enumerate(spans) if any(stop > start for _, stop in spans[:k])]
    result = list(samples.sample_overlap(samples_of([a for a, _ in spans], [b for _, b in spans])))
    assert bool(result) == bool(shared)
    if shared:
        assert result[0][0] == f"sample '{shared[0]}'"
        assert result[0][1].startswith(f"{len(shared)} sample")


def test_sample_overlap__says_with_which_sample_how_long_and_of_which_class():
    held = samples_of([0, 10, 20], [50, 15, 60], ["clap", "wave", "clap"])
    [(place, problem)] = samples.sample_overlap(held)
    assert place == "sample '1'"
    assert "the first 5 µs with sample '0' of another class" in problem


def test_sample_empty__is_one_without_a_row():
    start, stop = np.array([0, 4, 4, 4]), np.array([4, 4, 4, 9])
    [(place, problem)] = samples.sample_empty(samples_of(start, stop + 5), start, stop)
    assert (place, problem[:9]) == ("sample '1'", "2 samples")


def test_sample_split__is_the_recordings_unless_that_is_mixed():
    cut = cut_of(["train", "val", "train"])
    assert not list(samples.sample_split(cut))
    assert not list(samples.sample_split(cut, "mixed"))
    [(place, problem)] = samples.sample_split(cut, "train")
    assert (place, problem.split(";")[0]) == (
        "sample '1'",
        "1 sample of a split other than train, the first 'val'",
    )
    [(place, problem)] = samples.sample_split(cut_of(["train", "x" * 999]), "mixed")
    assert place == "sample '1'"
    assert len(problem) < 200


def test_sample_group__is_in_one_split_within_a_file_and_across():
    groups = ["ann", "", "ben"]
    a, b = (cut_of(["train"] * 3, group=groups, path=path) for path in ("a.h5", "b.h5"))
    assert not list(samples.sample_group([a, b]))
    test = cut_of(["test"] * 3, group=groups, path="c.h5")
    [(path, place, problem)] = samples.sample_group([a, test, b])
    assert (path, place) == ("c.h5", "sample '0'")
    assert problem.startswith("2 groups in two splits, the first 'ann' is in test here, in train")
    within = cut_of(["train", "train", "test"], group=["ann"] * 3)
    assert [row[1] for row in samples.sample_group([within])] == ["sample '2'"]
    [(_, _, problem)] = samples.sample_group([a], {"ben": ("test", "recording 'r'")})
    assert "'ben' is in train here, in test by recording 'r'" in problem


def test_sample_class__is_trained_on_if_anything_is():
    train = cut_of(["train", "train"], ["clap", "wave"])
    test = cut_of(["test", "test"], ["clap", "wave"], path="b.h5")
    assert not list(samples.sample_class([train, test]))
    assert not list(samples.sample_class([test])), "a set of nothing but tests"
    assert not list(samples.sample_class([])), "no samples at all"
    only = cut_of(["train", "train"], ["clap", ""])
    [(path, place, problem)] = samples.sample_class([only, test])
    assert (path, place) == ("b.h5", "sample '1'")
    assert problem.startswith("1 class of test not in train, the first 'wave'")
    [(path, place, problem)] = samples.sample_class([only])
    assert (path, place) == ("a.h5", "labels/name")
    assert problem.startswith("1 label without a sample in the data set, the first 'wave'")


def test_sample_labels__are_numbered_alike_in_all_files():
    a, b = cut_of(["train"]), cut_of(["train"], path="b.h5")
    assert not list(samples.sample_labels([a, b]))
    other = a._replace(path="c.h5", labels=("wave", "clap"))
    assert [row[0] for row in samples.sample_labels([a, b, other])] == ["c.h5"]


def test_samples_table__says_of_each_sample_what_its_file_says():
    cut = cut_of(["train", "test"], group=["g", ""])
    rows = [
        Assigned("a", "0", "clap", "g", "train", 0, 10),
        Assigned("a", "1", "clap", "", "test", 10, 20),
    ]

    def found_(rows, unread=()):
        return list(samples.samples_table([cut], rows, "samples.tsv", unread))

    assert not found_(rows)
    assert not found_(rows[::-1]), "in whatever order"
    fields = {"label": "wave", "group": "h", "split": "val", "start_us": 9, "stop_us": 21}
    for field, value in fields.items():
        [(path, place, problem)] = found_([rows[0], rows[1]._replace(**{field: value})])
        assert (path, place) == ("a.h5", "sample '1'")
        assert "1 sample not as in samples.tsv, where the first is another in line 3" in problem
    [(path, place, problem)] = found_(rows[:1])
    assert (path, place) == ("a.h5", "sample '1'")
    assert "is not there" in problem
    [(path, place, problem)] = found_([*rows, rows[0]])
    assert (path, place) == ("samples.tsv", "line 4")
    assert problem.startswith("1 sample there twice, the first '0' of 'a'")
    [(path, place, problem)] = found_([*rows, rows[0]._replace(recording="b")])
    assert (path, place) == ("samples.tsv", "line 4")
    assert problem.startswith("1 sample in no samples file, the first '0' of 'b'")
    assert not found_([*rows, rows[0]._replace(recording="b")], unread={"b"})


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_members__lie_apart_from_whole_milliseconds_on(rows):
    start, stop = np.array([0, 2_000, 5_000]), np.array([1_500, 4_001, 5_001])

    def found_(start, stop, end=5_001):
        return tables(samples.Members(end), start, stop, rows=rows)

    assert not found_(start, stop)
    assert found_(start, stop, 5_000)[0][0] == "member 2"
    assert not found_(start, stop, None), "its last events may be left out"
    for k, begin in ((0, -1_000), (0, 500), (1, 1_000), (1, 2_001), (1, 5_000), (2, 4_000)):
        changed = start.copy()
        changed[k] = begin
        [(place, problem)] = found_(changed, stop)
        assert place == f"member {k}", begin
        assert problem.startswith("1 member out of place")


def test_feature_sample__holds_windows_to_the_time_and_rows_of_their_sample(made):
    with SamplesFile(made / "results" / "samples" / "one.h5") as cut:
        pass
    n = len(cut)
    start_us, start = np.repeat(cut.samples.start_us, 2), np.repeat(cut.start, 2)
    bounds = np.arange(n + 1) * 2
    of = SampleWindows(cut.samples, cut.labels, bounds)

    def found_(windows, of=of, cut=cut):
        return list(samples.feature_sample(windows, of, cut, "s.h5"))

    sound = Windows(start_us, start_us + 1, start, start)
    assert not found_(sound)
    late = start_us.copy()
    late[[1, 4]] = cut.samples.stop_us[0], cut.samples.start_us[2] - 1
    for known in (cut, None):
        [(place, problem)] = found_(Windows(late, late + 1, start, start), cut=known)
        assert (place, problem[:9]) == ("window 1", "2 windows")
    other = Windows(start_us, start_us + 1, start - (np.arange(2 * n) == 2), start)
    assert found_(other)[0][0] == "window 2"
    assert not found_(other, cut=None)
    assert found_(sound, of._replace(labels=cut.labels[::-1]))[0][0] == "labels/name"
    moved = dataclasses.replace(cut.samples, start_us=cut.samples.start_us - 1)
    [(place, problem)] = found_(sound, of._replace(samples=moved))
    assert place == "samples/start_us"
    renamed = dataclasses.replace(cut.samples, id=tuple("cab"))
    assert found_(sound, of._replace(samples=renamed))[0][0] == "samples/id"


def test_data_set_checks__find_what_splits_share():
    rows = {
        "a": {"split": "train", "group": "g"},
        "b": {"split": "train", "group": "g"},
        "c": {"split": "test", "group": "h"},
    }
    assert not list(dataset.split_group(rows, "m"))
    [(_, place, problem)] = dataset.split_group(rows | {"d": {"split": "val", "group": "g"}}, "m")
    assert place == "group 'g'"
    assert "train ('a'), val ('d')" in problem
    train = [
        dataset.Member("train.txt", f"line {k}", name, "train") for k, name in enumerate("abc")
    ]
    test = [dataset.Member("test.txt", f"line {k}", name, "test") for k, name in enumerate("bca")]
    assert not list(dataset.split_recording(train * 2))
    assert list(dataset.split_recording(train + test[:2])) == [
        (
            "test.txt",
            "line 0",
            "2 recordings of test also in train, the first 'b' (train.txt, line 1); leave each in "
            "one split",
        )
    ]
    stored = dataset.Stored
    assert not list(
        dataset.split_bytes([stored("a", "", "train", "1"), stored("b", "", "train", "1")])
    )
    [(path, _, problem)] = dataset.split_bytes(
        [stored("a", "", "train", "1"), stored("b", "", "test", "1"), stored("c", "", "test", "1")]
    )
    assert path == "b"
    assert "has the bytes of a, the first of 2 such pairs" in problem


def test_same_source__is_the_same_time_of_the_same_bytes_in_two_splits():
    def pairs(*rows):
        return list(dataset.same_source(dict(zip("abcd", rows, strict=False))))

    def row(split, start="", stop="", **columns_):
        return {"split": split, "events/start_us": start, "events/stop_us": stop, **columns_}

    assert pairs(row("train", md5="0F"), row("test", md5="0f")) == [("b", "a", "md5")]
    assert pairs(row("train", sha256="A"), row("test", sha256="a")) == [("b", "a", "sha256")]
    assert not pairs(row("train", md5="1"), row("test", md5="2"))
    assert not pairs(row("train", md5="1"), row("train", md5="1"))
    assert not pairs(row("train"), row("test")), "nothing is known of what they are made from"
    other = {"slices/count": "5", "events/max_pixel_hz": "9", "events/crop": "[0, 0, 9, 9]"}
    assert pairs(row("train", md5="1"), row("test", md5="1", **other)), "nothing else exempts"
    assert not pairs(row("train", "", "500", md5="1"), row("test", "500", "null", md5="1"))
    assert pairs(row("train", "null", "501", md5="1"), row("test", "500", md5="1"))
    assert pairs(row("train", "9" * 5_000, md5="1"), row("test", "soon", md5="1"))
    assert not pairs(row("train", "500", "500", md5="1"), row("test", md5="1")), "nothing is taken"


TIMES = st.tuples(st.integers(0, 6), st.integers(1, 4), st.sampled_from(["train", "val", "test"]))


@given(st.lists(TIMES, max_size=9))
@settings(max_examples=100, deadline=None)
def test_same_source__names_a_row_of_every_time_that_two_splits_share(parts):
    rows = {
        str(k): {
            "split": split,
            "md5": "0",
            "events/start_us": str(start),
            "events/stop_us": str(start + n),
        }
        for k, (start, n, split) in enumerate(parts)
    }

    def share(a, b):
        (start, n, split), (other_start, other_n, other_split) = parts[a], parts[b]
        apart = start + n <= other_start or other_start + other_n <= start
        return split != other_split and not apart

    pairs = [(int(a), int(b)) for a, b, _ in dataset.same_source(rows)]
    assert all(a > b and share(a, b) for a, b in pairs)
    at_fault = {k for k in range(len(parts)) if any(share(k, j) for j in range(len(parts)))}
    told = {k for pair in pairs for k in pair}
    assert bool(told) == bool(at_fault)
    # Without the rows that are named later, nothing is shared any more in what is left of two.
    for a, b in itertools.combinations(sorted(at_fault), 2):
        assert not share(a, b) or a in told or b in told


def test_release_checks__hold_files_and_table_together():
    forms = {"slices/<id>.h5": ["a", "b"], "events/<id>.h5": ["b"]}
    [(path, place, problem)] = dataset.missing_file(forms, ["a", "b"], "m")
    assert (path, place) == ("m", "recording 'a'")
    assert problem.startswith("has no events/<id>.h5;")
    files = [("f", "", "a"), ("g", "", "c"), ("h", "line 2", "c")]
    [(path, _, problem)] = dataset.unknown_id(files, ["a", "b"])
    assert path == "g"
    assert "'c'" in problem
    assert "the first of 2 places" in problem
    rows = {"a": {"n_events": "10"}, "b": {"n_events": "ten"}, "c": {}}
    assert not list(dataset.n_events(rows, {"a": ("a.h5", 8, 2), "c": ("c.h5", 1, 0)}))
    [(_, _, problem), (_, _, other)] = dataset.n_events(
        rows, {"a": ("a.h5", 8, 1), "b": ("b.h5", 8, 0)}
    )
    assert "holds 8 events, and 1 were left out; the table says 10" in problem
    assert "'ten', no whole number" in other
    held = {"a": ("a.h5", 8, 2)}
    assert not list(dataset.n_events({"a": {"n_events": "0010"}}, held))
    [(_, _, problem)] = dataset.n_events({"a": {"n_events": "9" * 5_000}}, held)
    assert "a number of 5000 digits" in problem


def test_made_from__tells_files_of_other_stores():
    files = [("s.h5", "1"), ("f.h5", "1"), ("g.h5", "2")]
    assert not list(dataset.made_from(files[:2], None))
    assert [row[0] for row in dataset.made_from(files, None)] == ["g.h5"]
    assert [row[0] for row in dataset.made_from(files, ("e.h5", "2"))] == ["s.h5", "f.h5"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks") / "planted"
    runpy.run_path(str(ROOT / "examples" / "plant_faults.py"))["plant"](folder)
    return folder, audit(folder)


def test_every_check__has_a_planted_fault_that_it_finds(planted):
    _, report = planted
    assert {finding.check for finding in report.findings} == set(CHECKS)


def test_planted_faults__are_what_their_files_are_called(planted):
    folder, report = planted
    found_in = {(finding.check, finding.path) for finding in report.findings}
    for path in folder.rglob("*"):
        name = path.name.removesuffix(path.suffix).removesuffix("_bbox")
        sound = path.parent.name == "stores" or (folder / f"boxes/{name}_bbox.npy").exists()
        if name in CHECKS and path.is_file() and (not sound or path.suffix == ".npy"):
            where = path.relative_to(folder).as_posix()
            twin = where.replace("/test/", "/train/")
            assert (name, where) in found_in or (name, twin) in found_in, where


def test_planted_faults__are_errors_first_and_each_of_its_checks_severity(planted):
    _, report = planted
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities)
    assert all(finding.severity == CHECKS[finding.check].severity for finding in report.findings)
    assert all(len(line) <= 100 for line in report.lines())
    assert list(report.lines())[-1] == report.summary


def test_check__finds_in_one_file_what_the_audit_finds_there(planted):
    folder, _ = planted
    for path in ("events/order.h5", "slices/roi.h5", "features/feature_values.h5"):
        name = path.split("/")[1].removesuffix(".h5")
        assert [f.check for f in check(folder / path).findings] == [name]
    report = check(folder / "boxes" / "box_class_bbox.npy")
    assert [f.check for f in report.findings] == ["box_class"], "the label map lies beside it"


COLUMNS = {name: name for name in ("label", "start", "stop")}


def cut_recording(results, name, split="train"):
    """Cut a recording into samples, two of one class, and compute two frames of each."""
    store, cut = results / "events" / f"{name}.h5", results / "cuts" / f"{name}.tsv"
    (results / "cuts").mkdir(exist_ok=True)
    table = cut.with_suffix(".csv")
    table.write_text("label,start,stop\nclap,1,40\nwave,40,80\nclap,85,140\n")
    steps.cut(store, cut, intervals=str(table), unit="ms", columns=COLUMNS)
    labels, all_ = ["clap", "wave"], results / "samples.tsv"
    steps.splits({name: cut}, all_, fixed={name: split})
    samples_ = results / "samples" / f"{name}.h5"
    steps.samples(store, cut, all_, samples_, recording=name, labels=labels)
    frames = results / "features" / "h" / f"{name}.h5"
    steps.features(store, frames, cut=cut, labels=labels, representation="histogram", number=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder of results like the workflow's, and a release of them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "one.toml").write_text(SCENE.format(name="one", seed=1), encoding="utf-8")
    steps.simulate(folder / "one.toml", folder / "raw")
    results = folder / "results"
    store, slices = results / "events" / "one.h5", results / "slices" / "one.h5"
    boxes, clock = slices.with_name("one_bbox.npy"), results / "video" / "one.clock.tsv"
    steps.events(folder / "raw" / "one.aedat4", store)
    steps.clock(store, clock, window_us=10_000)
    steps.annotate(
        *(store, clock, slices, boxes),
        rois=folder / "raw" / "one.rois.xml",
        tags=folder / "raw" / "one.tags.xml",
        window_us=20_000,
    )
    features = results / "features" / "voxels" / "one.h5"
    steps.features(store, features, representation="voxel_grid", count=500)
    cut_recording(results, "one")
    with h5py.File(store) as file:
        n = len(file["events/t"])
    plan = [
        PlanEntry("train/events/one.h5", store, "events", "one", "train"),
        PlanEntry("train/slices/one.h5", slices, "slices", "one", "train"),
        PlanEntry("train/slices/one_bbox.npy", boxes, "slices", "one", "train"),
        PlanEntry("train/voxels/one.h5", features, "features", "one", "train"),
        PlanEntry("train/voxels/one_bbox.npy", boxes, "features", "one", "train"),
        PlanEntry("train/samples/one.h5", results / "samples/one.h5", "samples", "one", "train"),
        PlanEntry("train/h/one.h5", results / "features/h/one.h5", "features", "one", "train"),
        PlanEntry("samples.tsv", results / "samples.tsv", "samples"),
    ]
    known = {"one": {"split": "train", "group": "g", "n_events": str(n)}}
    for compression in ("portable", "fast"):
        (results / "release").mkdir(exist_ok=True)
        build(
            plan,
            results / "release" / compression,
            name="tiny",
            version="1.0",
            licence="CC0-1.0",
            compression=compression,
            labels=dict(enumerate(["car", "sign", "busy"])),
            recordings=known,
        )
    return folder


def test_check__has_no_error_for_what_evreel_makes(made):
    report = check(made / "results")
    assert not report.errors, list(report.lines())
    assert report.looked_at > 12
    for path in ("events/one.h5", "slices/one_bbox.npy", "release/portable", "release/fast"):
        assert not check(made / "results" / path).findings
    assert not audit(made).errors


def test_check__of_a_release_finds_a_file_that_is_gone(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    (tmp_path / "r" / "train" / "slices" / "one.h5").unlink()
    [finding] = check(tmp_path / "r").findings
    assert finding.path == "train/slices/one.h5"
    assert (finding.severity, finding.check) == ("error", "readable")


def test_check__of_a_release_reads_what_is_left_of_its_manifest(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    manifest = tmp_path / "r" / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    value = json.loads(text)
    value["files"][0]["path"] = "../out"
    manifest.write_text(json.dumps(value), encoding="utf-8")
    assert any("'..'" in finding.problem for finding in check(tmp_path / "r").findings)
    manifest.write_text(text[: len(text) // 2], encoding="utf-8")
    [finding] = check(tmp_path / "r").findings
    assert finding.path == MANIFEST
    assert "is not JSON" in finding.problem


def test_check__tells_slices_of_another_store(made, tmp_path):
    shutil.copytree(made / "results" / "slices", tmp_path / "slices")
    shutil.copytree(made / "results" / "events", tmp_path / "events")
    with h5py.File(tmp_path / "events" / "one.h5", "r+") as file:
        file["events/x"][5] ^= 1
    names = {finding.check for finding in check(tmp_path).findings}
    assert names == {"other_events", "made_from"}


@pytest.fixture(scope="module")
def days(made, tmp_path_factory):
    """Return a folder of two days: recordings of one name, and what is made of them."""
    folder = tmp_path_factory.mktemp("days")
    (folder / "two.toml").write_text(SCENE.format(name="two", seed=2), encoding="utf-8")
    steps.simulate(folder / "two.toml", folder / "two")
    for name, raw in (("day1", made / "raw" / "one"), ("day2", folder / "two" / "two")):
        day, clock = folder / "days" / name, folder / f"{name}.tsv"
        store, slices_ = day / "events" / "rec.h5", day / "labels" / "rec.h5"
        (day / "raw").mkdir(parents=True)
        shutil.copyfile(raw.with_suffix(".aedat4"), day / "raw" / "rec.aedat4")
        steps.events(day / "raw" / "rec.aedat4", store)
        steps.clock(store, clock, window_us=10_000)
        boxes_, rois = slices_.with_name("rec_bbox.npy"), raw.with_suffix(".rois.xml")
        steps.annotate(store, clock, slices_, boxes_, rois=rois, window_us=20_000)
        features_ = day / "features" / "rec.h5"
        steps.features(store, features_, representation="voxel_grid", count=500)
    return folder / "days"


def test_check__knows_two_days_of_the_same_names_apart(days, tmp_path):
    for look in (check, audit):
        assert not look(days).errors, list(look(days).lines())
    shutil.copytree(days, tmp_path / "d")
    (tmp_path / "d" / "day1" / "events" / "rec.h5").unlink()
    assert not check(tmp_path / "d").errors, "day1 is not held to the store of day2"
    with h5py.File(tmp_path / "d" / "day2" / "features" / "rec.h5", "r+") as file:
        file["windows/stop"][-1] += 1_000
    with h5py.File(tmp_path / "d" / "day2" / "events" / "rec.h5", "r+") as file:
        file["events/p"][5] ^= 1
    errors = [(f.check, f.path) for f in check(tmp_path / "d").findings if f.severity == "error"]
    assert errors == [
        ("feature_windows", "day2/features/rec.h5"),
        ("made_from", "day2/features/rec.h5"),
        ("made_from", "day2/labels/rec.h5"),
        ("other_events", "day2/labels/rec.h5"),
    ]


def test_audit__holds_boxes_to_the_nearest_recording_of_their_name(made, tmp_path):
    records = np.zeros(3, dtype=BOX_DTYPE)
    records["w"] = records["h"] = 5
    records["t"] = 20_000, 50_000, 900_000
    for day in "ab":
        (tmp_path / day / "labels").mkdir(parents=True)
        shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / day / "rec.aedat4")
    np.save(tmp_path / "b" / "labels" / "rec_bbox.npy", records)
    np.save(tmp_path / "rec_bbox.npy", records)
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path) == ("beyond", "b/labels/rec_bbox.npy")


def test_check__of_a_release_whose_manifest_is_damaged_or_gone_says_so(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    manifest, store = tmp_path / "r" / MANIFEST, tmp_path / "r" / "train" / "events" / "one.h5"
    assert is_release(tmp_path / "r")
    manifest.write_text("[]")
    assert [f.path for f in check(tmp_path).findings] == [f"r/{MANIFEST}"]
    manifest.unlink()
    with h5py.File(store, "r+") as file:
        file["events/p"][5] = 7
    expected = [("polarity", "train/events/one.h5"), ("readable", MANIFEST)]
    assert {(f.check, f.path) for f in check(tmp_path / "r").findings} >= set(expected)
    manifest.mkdir()
    assert any(f.path == MANIFEST for f in check(tmp_path / "r").findings)
    shutil.rmtree(manifest)
    (tmp_path / "r" / "SHA256SUMS").unlink()
    assert not is_release(tmp_path / "r")
    assert not any(f.path == MANIFEST for f in check(tmp_path / "r").findings)


def test_check__of_a_release_looks_at_files_that_are_not_in_the_manifest(made, tmp_path):
    shutil.copytree(made / "results" / "release" / "fast", tmp_path / "r")
    whole = check(tmp_path / "r")
    stray = tmp_path / "r" / "train" / "events" / "stray.h5"
    shutil.copyfile(made / "results" / "events" / "one.h5", stray)
    (tmp_path / "r" / "notes.doc").write_bytes(b"x")
    report = check(tmp_path / "r")
    assert report == Report((), whole.looked_at + 1, whole.not_looked_at + 1)
    with h5py.File(stray, "r+") as file:
        file["events/x"][3] = 999
    [finding] = check(tmp_path / "r").findings
    assert (finding.check, finding.path) == ("bounds", "train/events/stray.h5")


@pytest.fixture(scope="module")
def cut_release(made, tmp_path_factory):
    """Return a release of one recording that is annotated, and one cut into two splits."""
    results, folder = made / "results", tmp_path_factory.mktemp("cut") / "release"
    rows = read_samples_table(results / "samples.tsv")
    of_two = [row._replace(recording="two", split=s) for row, s in zip(rows, SPLIT_OF, strict=True)]
    table, file = folder.with_name("samples.tsv"), folder.with_name("two.h5")
    write_samples_table(table, of_two)
    steps.samples(
        *(results / "events" / "one.h5", results / "cuts" / "one.tsv", table, file),
        recording="two",
        labels=["clap", "wave"],
    )
    mixed = {"id": "two", "split": "mixed"}
    plan = [
        PlanEntry("train/events/one.h5", results / "events/one.h5", "events", "one", "train"),
        PlanEntry("train/slices/one.h5", results / "slices/one.h5", "slices", "one", "train"),
        PlanEntry("video/one.clock.tsv", results / "video/one.clock.tsv", "video", "one", "train"),
        PlanEntry("mixed/events/two.h5", results / "events/one.h5", "events", **mixed),
        PlanEntry("mixed/samples/two.h5", file, "samples", **mixed),
        PlanEntry("samples.tsv", table, "samples"),
    ]
    known = {"one": {"split": "train", "group": "g"}, "two": {"split": "mixed", "group": "g"}}
    build(plan, folder, name="t", version="1", licence="CC0-1.0", recordings=known)
    return folder


SPLIT_OF = ("train", "train", "test")


def edited(path, name, rows, values):
    with h5py.File(path, "r+") as file:
        file[name][rows] = values


def of_samples(folder):
    """Return what is found but the equal bytes of the stores, which stand in for each other."""
    return [(f.check, f.path, f.place) for f in check(folder).findings if f.check != "split_bytes"]


def test_check__of_a_release_holds_samples_to_table_split_and_group(cut_release, tmp_path):
    root = tmp_path / "r"
    shutil.copytree(cut_release, root)
    assert not of_samples(root), "one that is cut needs no slices, and its group may be parted"
    path, file = "mixed/samples/two.h5", root / "mixed" / "samples" / "two.h5"
    edited(file, "samples/group", slice(0, 3), ["g", "", "g"])
    expected = [("sample_group", path, "sample '2'"), ("samples_table", path, "sample '0'")]
    assert of_samples(root) == expected
    edited(file, "samples/group", slice(0, 3), ["", "", ""])
    edited(file, "samples/split", 1, "val")
    assert ("samples_table", path, "sample '1'") in of_samples(root)
    assert ("sample_class", path, "sample '1'") in of_samples(root)
    edited(file, "samples/split", 1, "train")
    manifest = root / MANIFEST
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"mixed"', '"val"'), encoding="utf-8")
    expected = {("sample_split", path, "sample '0'"), ("split_group", MANIFEST, "group 'g'")}
    assert expected <= set(of_samples(root)), "a recording of one split has no sample of another"
    manifest.write_text(text, encoding="utf-8")
    file.write_bytes(file.read_bytes()[:900])
    assert of_samples(root) == [("readable", path, "")], "not that the table says otherwise, too"
    file.unlink()
    assert of_samples(root) == [("readable", path, "")]
    (root / "samples.tsv").write_text("recording\n")
    assert of_samples(root)[1:] == [("readable", "samples.tsv", "line 1")]


def test_check__tells_samples_of_another_store(made, tmp_path):
    for folder in ("events", "samples", "features"):
        shutil.copytree(made / "results" / folder, tmp_path / folder)
    with h5py.File(tmp_path / "events" / "one.h5", "r+") as file:
        file["events/t"][500:] += 3_000
        file.attrs["t_stop_us"] += 3_000
    wrong = {(f.check, f.path) for f in check(tmp_path).findings}
    assert wrong >= {("made_from", "samples/one.h5"), ("sample_rows", "samples/one.h5")}
    with h5py.File(tmp_path / "samples" / "one.h5", "r+") as file:
        file["samples/stop"][0] -= 100
    assert ("feature_sample", "features/h/one.h5") in {
        (f.check, f.path) for f in check(tmp_path).findings
    }
    assert [f.check for f in check(tmp_path / "samples" / "one.h5").findings] == []


def test_check__takes_windows_of_a_sample_that_reaches_beyond_the_recording(made, tmp_path):
    results = made / "results"
    shutil.copytree(results / "events", tmp_path / "events")
    frames = tmp_path / "features" / "one.h5"
    cut = results / "cuts" / "one.tsv"
    steps.features(
        *(results / "events" / "one.h5", frames),
        cut=cut,
        representation="histogram",
        window_us=10_000,
    )
    with h5py.File(frames) as file, h5py.File(results / "events" / "one.h5") as store:
        assert file["windows/start_us"][-1] > store.attrs["t_stop_us"]
    assert not check(tmp_path).errors


def test_check__of_a_release_finds_one_source_in_two_splits(made, tmp_path):
    splits = {"one": "train", "two": "test"}
    for stop, n_found in (("500", 0), ("501", 1)):
        rows = {id_: {"split": split, "md5": "AB" * 16} for id_, split in splits.items()}
        rows["one"]["events/stop_us"], rows["two"]["events/start_us"] = stop, "500"
        rows["two"]["md5"] = "ab" * 16
        store = made / "results" / "events" / "one.h5"
        plan = [
            PlanEntry(f"{split}/{id_}.h5", store, "annotations", id_, split)
            for id_, split in splits.items()
        ]
        folder = tmp_path / stop
        build(plan, folder, name="t", version="1", licence="CC0-1.0", recordings=rows)
        assert [f.check for f in check(folder).findings] == ["split_bytes"] * n_found


def test_check__of_a_table_of_any_length_takes_the_memory_of_a_piece(made, tmp_path):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "slices" / "one.h5", path)
    n = 8_000_000
    with h5py.File(path, "r+") as file:
        for name in ("overlaps/event", "overlaps/roi"):
            dtype = file[name].dtype
            del file[name]
            file.create_dataset(
                name, data=np.zeros(n, dtype), chunks=(1 << 16,), compression="gzip"
            )
    check(made / "results" / "slices" / "one.h5")
    tracemalloc.start()
    try:
        assert not check(path).errors
        assert tracemalloc.get_traced_memory()[1] < 8 * n / 4
    finally:
        tracemalloc.stop()


def test_check__of_chunks_that_memory_must_hold_whole_is_a_finding(made, tmp_path):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "slices" / "one.h5", path)
    with h5py.File(path, "r+") as file:
        del file["tags/frame"], file["tags/label"], file["tags/start_us"], file["tags/stop_us"]
        for name, dtype in (
            ("frame", "i8"),
            ("label", "i4"),
            ("start_us", "i8"),
            ("stop_us", "i8"),
        ):
            file.create_dataset(
                f"tags/{name}",
                data=np.zeros(2_000_000, dtype),
                chunks=True if name == "label" else (2_000_000,),
                compression="gzip",
            )
    [finding] = check(path).findings
    assert finding.problem.startswith("tags/frame is in chunks of 2,000,000 rows;")


@pytest.mark.parametrize("name", ["inputs", "repairs"])
@pytest.mark.parametrize(
    "value", ["", "[]", '{"store": [1]}', '{"outside_time": -3}', "[" * 99_999]
)
def test_check__finds_provenance_that_can_not_be(made, tmp_path, name, value):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "events" / "one.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value[:60_000]
    [finding] = check(path).findings
    assert finding.check == "readable"
    assert f"attribute {name} is not JSON" in finding.problem


def test_check__finds_links_that_lead_nowhere(tmp_path):
    for name in ("y.h5", "z_bbox.npy", "a.raw", "notes.md"):
        (tmp_path / name).symlink_to("nowhere")
    assert [f.path for f in check(tmp_path).findings] == ["y.h5", "z_bbox.npy"]
    assert [f.path for f in audit(tmp_path).findings] == ["a.raw", "y.h5", "z_bbox.npy"]


@pytest.mark.parametrize(
    "text", ['"012"', "[0, 1]", '{"0": 1}', '{"-5": "car"}', f'{{"{"9" * 30}": "car"}}', ""]
)
def test_check__takes_only_numbers_and_names_for_a_label_map(tmp_path, text):
    np.save(tmp_path / "a_bbox.npy", np.zeros(0, dtype=BOX_DTYPE))
    (tmp_path / LABEL_MAP).write_text(text)
    for path in (tmp_path, tmp_path / "a_bbox.npy"):
        [finding] = check(path).findings
        assert (finding.check, finding.path) == ("readable", LABEL_MAP)


def test_check__of_one_file_takes_the_label_map_above_it(tmp_path):
    records = np.zeros(1, dtype=BOX_DTYPE)
    records["w"] = records["h"] = 5
    records["class_id"] = 1
    (tmp_path / "train").mkdir()
    np.save(tmp_path / "train" / "a_bbox.npy", records)
    (tmp_path / LABEL_MAP).write_text('{"0": "car"}')
    assert [f.check for f in check(tmp_path / "train" / "a_bbox.npy").findings] == ["box_class"]
    (tmp_path / "train" / LABEL_MAP).write_text('{"1": "car"}')
    assert not check(tmp_path / "train" / "a_bbox.npy").findings, "the nearer one counts"


def test_check__goes_down_any_number_of_folders(tmp_path, monkeypatch):
    folders = ["d"] * 1_100
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        Path(folder).mkdir()
        os.chdir(folder)
    Path("a.h5").touch()
    try:
        for look in (check, audit):
            [finding] = look(tmp_path).findings
            assert finding.path == "/".join([*folders, "a.h5"])
    finally:  # shutil.rmtree, by which pytest tidies up, is recursive
        Path("a.h5").unlink()
        for folder in folders:
            os.chdir("..")
            Path(folder).rmdir()


def hostile(path, edit):
    with h5py.File(path, "r+") as file:
        edit(file)


def without(name):
    return lambda file: file.__delitem__(name)


def replaced(name, data):
    def edit(file):
        del file[name]
        file[name] = data

    return edit


def endless(name):
    """Claim more rows than there are, without storing any."""

    def edit(file):
        length, dtype = 1 << 40, file[name].dtype
        del file[name]
        file.create_dataset(name, shape=(length,), dtype=dtype, chunks=(65_536,))

    return edit


HOSTILE = [
    ("events", without("events/y")),
    ("events", replaced("events/t", np.zeros(4))),
    ("events", replaced("events/t", np.zeros((2, 2), np.int64))),
    ("events", endless("ms_to_idx")),
    ("events", lambda file: [endless(f"events/{name}")(file) for name in "txyp"]),
    ("events", replaced("events/height", np.int64(-3))),
    ("events", lambda file: file.attrs.__setitem__("t_stop_us", "soon")),
    ("events", lambda file: file.attrs.__setitem__("layout_version", 99)),
    ("slices", without("slices/start")),
    ("slices", replaced("labels/name", np.zeros(3))),
    ("slices", endless("overlaps/event")),
    ("slices", lambda file: file.attrs.__delitem__("events_outside_slices")),
    ("features/voxels", without("windows/stop")),
    ("features/voxels", lambda file: file["data"].attrs.__delitem__("shape")),
    ("features/voxels", lambda file: file["data"].resize(1 << 30, axis=0)),
    ("samples", without("samples/split")),
    ("samples", endless("samples/start")),
    ("samples", replaced("samples/label", np.array([0, 1, 2], "<i4"))),
    ("samples", replaced("samples/stop", np.array([9, 9, -9]))),
    ("samples", replaced("samples/start_us", np.array([0, 9, 5]))),
    ("samples", replaced("samples/id", ["a", "b", "a"])),
    ("samples", replaced("samples/id", np.array([b"a", b"b", b"\xff"], "O"))),
    ("samples", lambda file: file.attrs.__setitem__("t_stop_us", "soon")),
    ("features/h", replaced("samples/window_stop", np.array([2, 5, 6]))),
    ("features/h", replaced("samples/id", ["a", "b", "a"])),
    ("features/h", without("labels/name")),
    ("events", lambda file: file.__setitem__("members/name", ["a"])),
    ("events", lambda file: file.__setitem__("members/start_us", np.zeros(1, np.int64))),
]


@pytest.mark.parametrize(("folder", "edit"), HOSTILE)
def test_check__of_a_hostile_file_is_a_finding(made, tmp_path, folder, edit):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / folder / "one.h5", path)
    hostile(path, edit)
    for report in (check(path), check(tmp_path), audit(tmp_path)):
        assert report.errors, list(report.lines())
        assert all(finding.path == "one.h5" for finding in report.findings)


def chunks_of(path):
    """Return the (first, one past the last) bytes of every chunk of every data set."""
    spans = []

    def visit(_, node):
        if isinstance(node, h5py.Dataset) and node.chunks:
            for k in range(node.id.get_num_chunks()):
                chunk = node.id.get_chunk_info(k)
                spans.append((chunk.byte_offset, chunk.byte_offset + chunk.size))

    with h5py.File(path) as file:
        file.visititems(visit)
    return spans


@pytest.mark.parametrize("folder", ["events", "slices", "samples", "features/voxels"])
def test_check__finds_any_bit_flipped_in_a_chunk_and_any_cut(made, tmp_path, folder):
    whole = (made / "results" / folder / "one.h5").read_bytes()
    path = tmp_path / "one.h5"
    path.write_bytes(whole)
    chunks = chunks_of(path)
    assert len(chunks) >= 5
    rng = np.random.default_rng(1)

    def found_with(bit):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        return check(tmp_path)

    for first, stop in [chunks[k] for k in rng.integers(0, len(chunks), 40)] + chunks[:40]:
        assert found_with(int(rng.integers(8 * first, 8 * stop))).errors
    for bit in rng.integers(0, 8 * len(whole), 40).tolist():
        assert isinstance(found_with(bit), Report), "elsewhere: nothing is raised"
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert [f.check for f in check(path).findings] == ["readable"], length


def test_check__with_damage_in_one_chunk_still_sees_the_rest(tmp_path):
    from support.stores import write_store

    events = random_events(200_000)
    path = write_store(tmp_path / "s.h5", [events], events.sensor)
    with h5py.File(path, "r+") as file:
        file["events/p"][150_000] = 3
        chunk = file["events/x"].id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff")
    found_ = {finding.check: finding.place for finding in check(path).findings}
    assert set(found_) == {"readable", "polarity"}
    assert found_["readable"] == "events/x, rows 65536 to 131072"
    assert found_["polarity"].startswith("event 150000, ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff",
        b"not boxes",
        b"\x93NUMPY\x09\x00\x00\x00",
    ],
)
def test_boxes__that_are_none_are_a_finding(tmp_path, content):
    path = tmp_path / "a_bbox.npy"
    path.write_bytes(content)
    assert [finding.check for finding in check(path).findings] == ["readable"]


def test_boxes__of_huge_counts_objects_and_other_dtypes_are_a_finding(tmp_path):
    path = tmp_path / "a_bbox.npy"
    for count in (4, -1, 10**18):
        head = {"descr": BOX_DTYPE.descr, "fortran_order": False, "shape": (count,)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, head)
            file.write(bytes(3 * BOX_DTYPE.itemsize))
        [finding] = check(path).findings
        assert f"holds 3 of {count:,} records" in finding.problem
    for array in (np.zeros(3), np.zeros((2, 2), dtype=BOX_DTYPE), np.array([{}], dtype=object)):
        np.save(path, array, allow_pickle=True)
        assert [finding.check for finding in check(path).findings] == ["readable"]


def test_check__of_what_evreel_did_not_make_says_to_use_audit(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match="evreel audit"):
        check(tmp_path / "a.txt")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1]
    with pytest.raises(UsageError, match="evreel audit"):
        check(tmp_path / "other.h5")
    for look in (check, audit):
        with pytest.raises(UsageError, match="is not there"):
            look(tmp_path / "none")
    with pytest.raises(UsageError, match="no recording"):
        audit(tmp_path / "a.txt")
    assert check(tmp_path) == Report((), 0, 2)


def test_audit__counts_what_it_cannot_tell_and_follows_no_links_in_circles(made, tmp_path):
    shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / "odd name.bin")
    (tmp_path / "notes.doc").write_bytes(b"\x00\x01")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe_bbox.npy")
    os.mkfifo(tmp_path / "pipe")
    report = audit(tmp_path)
    assert report == Report((), 1, 5)
    assert report.summary == "0 errors, 0 warnings in 1 file; 5 files not looked at"


def test_audit__says_names_in_one_line(tmp_path):
    (tmp_path / "a\n\x1b[31m.bin").write_bytes(b"")
    [finding] = audit(tmp_path).findings
    assert finding.path == "a\\n\\x1b[31m.bin"


def test_audit__holds_boxes_to_the_recording_of_their_name(made, tmp_path):
    shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / "one_td.aedat4")
    records = np.zeros(3, dtype=BOX_DTYPE)
    records["w"] = records["h"] = 5
    records["t"] = 20_000, 50_000, 110_000
    np.save(tmp_path / "one_bbox.npy", records)
    assert not audit(tmp_path).findings
    records["t"] += 1_700_000_000_000_000
    np.save(tmp_path / "one_bbox.npy", records)
    assert not audit(tmp_path).findings, "the camera's clock is one that boxes may have"
    records["x"][1] = 60
    records["t"] = 20_000, 30_000, 40_000
    np.save(tmp_path / "one_bbox.npy", records)
    assert [finding.check for finding in audit(tmp_path).findings] == ["box_outside", "label_span"]
    records["t"] = 20_000, 30_000, 400_000
    np.save(tmp_path / "one_bbox.npy", records)
    assert "beyond" in [finding.check for finding in audit(tmp_path).findings]


def test_audit__holds_lists_together_that_are_named_alike(tmp_path):
    (tmp_path / "train_1.csv").write_text("file,label\na.dat,3\n\nb.dat,4\n")
    (tmp_path / "valid_1.csv").write_text("file,label\nc.dat,3\n# b.dat\nb.dat,3\n")
    (tmp_path / "test_2.csv").write_text("a.dat,1\n")
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path, finding.place) == (
        "split_recording",
        "valid_1.csv",
        "line 4",
    )
    (tmp_path / "valid_1.csv").write_bytes(b"\xff\xfe\x00")
    assert [finding.check for finding in audit(tmp_path).findings] == ["readable"]
    (tmp_path / "valid_1.csv").write_bytes(b"x" * 70_000)
    assert "more than 65536" in audit(tmp_path).findings[0].problem


def test_audit__asks_where_names_in_two_lists_differ_only_in_suffix_or_folder(tmp_path):
    def findings(train, test):
        (tmp_path / "train.txt").write_text(train)
        (tmp_path / "test.txt").write_text(test)
        return [(f.check, f.place) for f in audit(tmp_path).findings]

    assert findings("a\nb.h5\ndir/c.raw\n", "b\nc\n") == [("split_name", "line 2")]
    assert findings("train/a.h5\n", "test/a.h5\n") == [("split_name", "line 1")]
    assert not findings("day1/a.h5\n", "day2/a.h5\n"), "folders tell recordings apart"
    assert findings("day1/a.h5\n", "day1/a.raw\n") == [("split_name", "line 1")]
    assert findings("a\n", "a\n") == [("split_recording", "line 1")], "equal names are no question"
    assert not findings("name\na\n", "name\nb\n")
    assert not findings("name label\na 1\n", "name label\nb 1\n"), "no recording is called so"
    assert findings("name label\na 1\n", "name label\na 2\n") == [("split_recording", "line 2")]


def test_audit__takes_folders_for_splits_by_the_words_of_their_names(tmp_path):
    for folder in ("dsec_train", "dsec_test", "other_test", "latest"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.npz").write_bytes(b"k" * 5_000)
    assert [(f.check, f.path) for f in audit(tmp_path).findings] == [
        ("split_bytes", "dsec_train/x.npz"),
        ("split_name", "dsec_train/x.npz"),
    ]


def test_audit__leaves_papers_and_small_files_alike_in_splits_alone(tmp_path):
    for split in ("train", "Test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "README.md").write_bytes(b"z" * 5_000)
        (tmp_path / split / f"{split}.npy").write_bytes(b"z" * 500)
    assert not audit(tmp_path).findings
    for split in ("train", "Test"):
        (tmp_path / split / f"{split}.npy").write_bytes(b"z" * 5_000)
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path) == ("split_bytes", "train/train.npy")


def test_audit__of_a_damaged_recording_is_a_finding(made, tmp_path):
    whole = (made / "raw" / "one.aedat4").read_bytes()
    path = tmp_path / "one.aedat4"
    for length in (0, 5, 11, 300, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        if length == 5:
            with pytest.raises(UsageError):
                audit(path)
            continue
        assert [finding.check for finding in audit(path).findings] == ["readable"], length


def test_audit__of_real_recordings_finds_nothing():
    folder = shared_file("recordings")
    for name in ("aestream_davis.aedat4", "aermanager_class1_test.aedat4"):
        assert not audit(folder / name).findings


def test_registry__has_a_severity_a_sentence_and_a_reason_for_every_threshold():
    for name, check_ in CHECKS.items():
        assert check_.name == name
        assert check_.finds.endswith("."), name
        for threshold, (default, meaning) in check_.thresholds.items():
            assert default, (name, threshold)
            assert len(meaning) > 20, (name, threshold)


def test_finding__is_one_line_and_errors_sort_first():
    error = Finding("error", "order", "b.h5", "event 3, t=1 µs", "goes back")
    warning = dataclasses.replace(error, severity="warning", path="a.h5", place="")
    assert sorted([warning, error]) == [error, warning]
    assert str(error) == "error: order: b.h5: event 3, t=1 µs: goes back"
    assert str(warning) == "warning: order: a.h5: goes back"


def test_command__exits_1_for_errors_alone_and_prints_json(planted, tmp_path, capsys):
    from evreel.cli import main

    folder, _ = planted
    assert main(["check", str(folder / "events" / "order.h5")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 error, 0 warnings in 1 file"
    assert main(["audit", "--json", str(folder / "events" / "gap.h5")]) == 0
    [finding] = json.loads(capsys.readouterr().out)
    assert finding["check"] == "gap"
    assert set(finding) == {"severity", "check", "path", "place", "problem"}
    assert main(["check", str(tmp_path / "none")]) == 2


def test_missing_file__asks_boxes_of_no_recording_that_is_cut_instead():
    form = released._Form("slices/<id>_bbox.npy", "slices")
    nothing: dict[str, dict[str, str]] = {"drawn": {}, "cut": {}}
    assert released._who_needs(form, nothing, {"cut"}) == {"drawn"}
    told = {"drawn": {"rois": "a.xml"}, "bare": {}, "boxed": {"boxes": "b.npy"}, "cut": {}}
    assert released._who_needs(form, told, {"cut"}) == {"drawn", "boxed"}
    video = released._Form("video/<id>.mp4", "video")
    assert released._who_needs(video, told, {"cut"}) == {"drawn", "bare"}
    assert released._who_needs(released._Form("h/<id>.h5", "features"), told, {"cut"}) == {*told}
