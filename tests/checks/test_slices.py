"""Checks of slices hold their tables and events to each other and to the store."""

from __future__ import annotations

import shutil
import tracemalloc

import numpy as np
import pytest

from evreel.checks import slices
from evreel.checks.run import check
from support.checks import CLEAN, columns, found, pieces, tables
from support.hdf5 import edited


def test_same_events__are_compared_with_the_rows_they_come_from():
    t, x, y, p = (np.asarray(c) for c in CLEAN[1:5])

    def read(first, stop):
        return [c[first:stop] for c in (t, x, y, p)]

    here = columns(*(column[100:200] for column in CLEAN[1:5]))
    assert not found(slices.SameEvents(read, 100, 5_000), *pieces(here, 30))
    changed = x[100:200].copy()
    changed[[40, 70]] += 1
    result = found(slices.SameEvents(read, 100, 5_000), *pieces(here._replace(x=changed), 30))
    assert result[0][0].startswith("event 40, ")
    assert result[0][1].startswith(
        "2 events that differ from the events store, the first is row 140"
    )
    assert found(slices.SameEvents(read, 100, 150), *pieces(here, 30))[0][1].startswith("50 events")


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
    assert (place, problem.split(",")[0]) == ("slice 2", "1 slice without a valid range")
    [(place, _)] = slice_rows(start[[0, 2, 1]], stop[[0, 2, 1]])
    assert place == "slice 2"
    assert not slice_count(start, stop, 1)
    assert "is 0; the slices leave 1" in slice_count(start, stop, 0)[0][1]
    assert not slice_count([0, 2, 3], [6, 5, 7], 3)
    assert not slice_count([0, 4, 2], [4, 8, 4], 0), "out of order, it is not known"
    assert not slice_count(start, stop, 0, n=4), "nor where one cannot be read"

    def label_number(*numbers):
        return tables(slices.LabelNumber("rois", 2), np.array(numbers), rows=rows)

    assert not label_number(0, 1)
    [(place, problem)] = label_number(0, 2, -1)
    assert (place, problem.split(",")[0]) == ("rois, row 1", "2 rows without a valid label")

    def overlap_rows(*events):
        return tables(slices.OverlapRows(10), np.array(events), rows=rows)

    assert not overlap_rows(0, 0, 9)
    [(place, problem)] = overlap_rows(0, 5, 4, 10)
    assert (place, problem[:6]) == ("overlaps/event, row 2", "2 rows")


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_shape_checks__find_place_and_count_whatever_the_pieces(rows):
    def in_order(frame, vertex, n, n_vertices=11):
        columns = (np.array(column) for column in (frame, vertex, n))
        return tables(slices.ShapesInOrder(n_vertices), *columns, rows=rows)

    assert not in_order([0, 2, 2], [0, 4, 8], [4, 4, 3])
    for frame, vertex, n, row in (
        ([0, 2, 1], [0, 4, 8], [4, 4, 3], 2),  # back in time
        ([0, 2, 2], [0, 3, 7], [4, 4, 3], 1),  # into another's outline
        ([0, 2, 2], [0, 4, 8], [4, 4, 4], 2),  # beyond the vertices
        ([0, 2, 2], [1, 5, 9], [4, 4, 2], 0),  # not from the first
    ):
        [(place, problem)] = in_order(frame, vertex, n)
        assert place == f"shapes, row {row}"
        assert problem.startswith("1 row out of order or without an outline")

    def value(*values):
        return tables(slices.AttributeValue("a", 2), np.array(values), rows=rows)

    assert not value(-1, 0, 1)
    [(place, problem)] = value(0, 2, -2)
    assert (place, problem.split(",")[0]) == ("a, row 1", "2 rows without a valid value")


def test_regions__are_rows_of_their_table():
    made = slices.Regions(2)
    made.add("events/roi", 100, np.array([-1, 0, 1, -1]), -1)
    assert not list(made.finish())
    made.add("events/roi", 200, np.array([0, 2, -2]), -1)
    made.add("overlaps/roi", 0, np.array([-1]), 0)
    [(place, problem)] = made.finish()
    assert place == "events/roi, row 201"
    assert problem.startswith("3 rows without a valid region, the first is 2;")


def test_check__finds_slices_of_another_store(made, tmp_path):
    shutil.copytree(made / "results" / "slices", tmp_path / "slices")
    shutil.copytree(made / "results" / "events", tmp_path / "events")
    with edited(tmp_path / "events" / "one.h5") as file:
        file["events/x"][5] ^= 1
    names = {finding.check for finding in check(tmp_path).findings}
    assert names == {"other_events", "made_from"}


def test_check__of_a_table_of_any_length_needs_memory_for_one_piece(made, tmp_path):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "slices" / "one.h5", path)
    n = 8_000_000
    with edited(path) as file:
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


def test_check__of_chunks_too_large_for_memory_is_a_finding(made, tmp_path):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "slices" / "one.h5", path)
    with edited(path) as file:
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
