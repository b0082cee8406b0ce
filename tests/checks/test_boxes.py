"""Checks of boxes find what is wrong, where and how often, and files that hold none."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.checks import boxes, labels
from evreel.checks.run import check
from evreel.layout import BOX_DTYPE
from evreel.windows import Windows
from support.checks import FAR, SENSOR, boxes_of, tables

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
        lambda b: tables(labels.Beyond("record", 110_000), b.t),
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


def test_box_checks__accept_times_as_far_apart_as_int64_allows():
    far = boxes_of(t={0: -FAR, 5: FAR - 1})
    assert boxes.since_start(far, -FAR).t[5] == FAR - 1, "what has no room stays as it is"
    [(place, problem)] = boxes.box_order(far)
    assert place == "record 6, t=70000 µs"
    assert f"the first by {FAR - 1 - 70_000} µs" in problem
    assert tables(labels.Beyond("record", FAR - 1), far.t)[0][1].startswith("1 label outside")
    list(boxes.frozen_box(far))
    unsigned = np.zeros(2, [*((n, "f4") for n in "xywh"), ("t", "<u8"), ("class_id", "u1")])
    unsigned["t"][1] = FAR
    with pytest.raises(ValueError, match="'t' of record 1 is 9223372036854775808, which is more"):
        boxes.boxes_of(unsigned)


def test_box_outside__tolerates_the_rounding_of_float32():
    edge = {"x": {0: np.float32(0.1)}, "w": {0: np.float32(63.9)}}
    assert not list(boxes.box_outside(boxes_of(**edge), SENSOR))


def frozen(n, step_us, **columns):
    """Return what is found in n boxes that are equal, but for columns as functions of their row."""
    k = np.arange(n)
    records = np.zeros(n, dtype=BOX_DTYPE)
    records["t"], records["w"] = k * step_us, 8
    for name, column in columns.items():
        records[name] = column(k)
    return list(boxes.frozen_box(boxes.boxes_of(records)))


def test_frozen_box__is_one_box_that_stays_equal_over_time():
    assert not frozen(9, 500_000), "too few"
    assert not frozen(100, 10_000), "too short: 0.99 s"
    assert not frozen(100, 50_000, x=lambda k: k), "it moves"
    assert not frozen(100, 50_000, x=lambda k: k * 37 % 100 / 1000), "it trembles"
    assert not frozen(12, 2_000_001), "too far apart"
    assert not frozen(12, 100_000, class_id=lambda k: k % 2), "two objects"
    assert not frozen(18, 100_000, t=lambda k: k // 2 * 200_000), "nine moments"
    assert not frozen(40, 100_000, x=lambda k: np.full(len(k), np.nan)), "box_number finds it"
    [(place, problem)] = frozen(101, 10_000)
    assert place == "record 0, track 0, t=0 µs"
    assert problem.startswith("the same box 101 times in 1.000 s; was its object abandoned?")
    [(place, problem)] = frozen(80, 50_000, x=lambda k: 5 - k // 40)
    assert place == "record 0, track 0, t=0 µs", "the first in the file"
    assert "the same box 40 times in 1.950 s, the first of 2 such runs" in problem


@pytest.mark.parametrize(
    ("n", "step_us", "track", "n_tracks"),
    [
        (80, 250_000, lambda k: k // 4, 20),
        (12, 1_000_000, lambda k: k, 12),
        (80, 50_000, lambda k: k % 2 + 3, 2),
    ],
)
def test_frozen_box__is_found_whatever_the_numbers_of_its_tracks(n, step_us, track, n_tracks):
    [(place, problem)] = frozen(n, step_us, track_id=track)
    assert place.startswith("record 0, track ")
    seconds = (n - 1) * step_us / 1e6
    assert f"the same box {n} times in {seconds:.3f} s under {n_tracks} track numbers" in problem
    # Others move meanwhile, at the same times.
    [(_, problem)] = frozen(
        2 * n,
        step_us,
        t=lambda k: k // 2 * step_us,
        x=lambda k: np.where(k % 2, k, 0),
        track_id=lambda k: track(k // 2),
    )
    assert f"the same box {n} times" in problem


def test_frozen_box__needs_no_tracks():
    records = np.zeros(20, dtype=BOX_DTYPE)
    records["t"] = np.arange(20) * 100_000
    without = [name for name in BOX_DTYPE.names if name != "track_id"]
    [(place, _)] = boxes.frozen_box(boxes.boxes_of(records[without]))
    assert place == "record 0, t=0 µs"


def test_boxes_of__accepts_the_older_layout():
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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff",
        b"not boxes",
        b"\x93NUMPY\x09\x00\x00\x00",
        b"\x93NUMPY\x01\x00\x09\x00{'descr':",
    ],
)
def test_boxes__that_are_not_boxes_are_a_finding(tmp_path, content):
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


def test_box_window__finds_boxes_outside_their_window_and_another_number_of_windows():
    windows = Windows(*np.array([[0, 20, 40], [20, 40, 60], [0, 0, 0], [0, 0, 0]]))

    def found(t, first, starts=None):
        columns_ = boxes_of(len(t))._replace(t=np.array(t, dtype=np.int64))
        return list(boxes.box_window(columns_, np.array(first), windows, starts))

    assert not found([0, 20, 21, 40, 60], [0, 2, 4, 5])
    assert not found([], [0, 0, 0, 0])
    for t, place in (
        ([0, 20, 20, 40, 60], "record 2, t=20 µs"),
        ([0, 21, 22, 40, 60], "record 1, t=21 µs"),
        ([20, 19, 22, 40, 60], "record 1, t=19 µs"),
        ([-1, 20, 22, 40, 60], "record 0, t=-1 µs"),
    ):
        [(at, problem)] = found(t, [0, 2, 4, 5])
        assert at == place
        assert problem.startswith("1 box not in its window")
    assert not found([0, 20, 20, 40, 60], [0, 2, 4, 5], np.array([0, 1])), "a sample begins at 20"
    [(_, problem)] = found([0, 20, 40], [0, 2, 3])
    assert problem == "has boxes of 2 windows; the feature has 3; make them again"
