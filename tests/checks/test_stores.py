"""Checks of events stores hold the index, the attributes and the members to the events."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.checks import stores
from evreel.checks.run import check
from support import random_events
from support.checks import columns, found, pieces, tables
from support.hdf5 import edited
from support.stores import store_of


def index_of(t, entries, n=None):
    made = stores.Index(
        lambda a, b: [np.asarray(entries, np.uint64)[a:b]], len(entries), n or len(t)
    )
    return found(made, *pieces(columns(t), 3))


def test_index__of_the_store_is_compared_with_column_t():
    t, right = [0, 999, 1_000, 3_500, 3_501], [0, 2, 3, 3, 5]
    assert not index_of(t, right)
    [(place, problem)] = index_of(t, [0, 2, 4, 2, 5])
    assert place == "ms_to_idx, row 2"
    assert problem.startswith("2 entries")
    assert "is 4, not 3" in problem
    assert index_of(t, [0, 2, 3, 3, 4])[0][0] == "ms_to_idx, row 4"
    assert "has 6 entries" in index_of(t, [*right, 5])[0][1]
    assert not index_of([0, 2_000, 10], [0, 9, 9]), "where timestamps go back, nothing is known"
    assert not index_of(t, [0], n=9), "where events cannot be read, nothing is known"


def test_index__of_a_long_pause_is_checked_in_pieces():
    t = [0, 400_000_000]
    entries = np.full(400_002, 1, dtype=np.uint64)
    entries[[0, -1]] = 0, 2
    assert not index_of(t, entries)
    entries[300_000] = 2
    assert index_of(t, entries)[0][0] == "ms_to_idx, row 300000"


def test_time_zero__is_the_first_timestamp_unless_something_was_left_out():
    assert not found(stores.TimeZero(11, False, 2), columns([0, 10]))
    assert not found(stores.TimeZero(11, True, 2), columns([5, 10]))
    assert not found(stores.TimeZero(0, False, 0))
    assert found(stores.TimeZero(11, False, 2), columns([5, 10]))[0][0] == "event 0"
    assert found(stores.TimeZero(11, True, 2), columns([-5, 10]))[0][0] == "event 0"
    [(place, problem)] = found(stores.TimeZero(12, False, 2), columns([0, 10]))
    assert place == "attribute t_stop_us"
    assert "is 12; the last timestamp + 1 is 11" in problem


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_members__are_apart_and_start_at_whole_milliseconds(rows):
    start, stop = np.array([0, 2_000, 5_000]), np.array([1_500, 4_001, 5_001])

    def found_(start, stop, end=5_001):
        return tables(stores.Members(end), start, stop, rows=rows)

    assert not found_(start, stop)
    assert found_(start, stop, 5_000)[0][0] == "member 2"
    assert not found_(start, stop, None), "its last events may be left out"
    for k, begin in ((0, -1_000), (0, 500), (1, 1_000), (1, 2_001), (1, 5_000), (2, 4_000)):
        changed = start.copy()
        changed[k] = begin
        [(place, problem)] = found_(changed, stop)
        assert place == f"member {k}", begin
        assert problem.startswith("1 member out of place")


def test_check__with_damage_in_one_chunk_still_sees_the_rest(tmp_path):
    path = store_of(tmp_path / "s.h5", random_events(200_000))
    with edited(path) as file:
        file["events/p"][150_000] = 3
        chunk = file["events/x"].id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff")
    found_ = {finding.check: finding.place for finding in check(path).findings}
    assert set(found_) == {"readable", "polarity"}
    assert found_["readable"] == "events/x, rows 65536 to 131072"
    assert found_["polarity"].startswith("event 150000, ")
