"""The file of boxes: `_bbox.npy`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import AnnotationError
from evreel.files.boxes import (
    boxes_of_windows,
    first_path,
    last_of_tracks,
    read_boxes,
    read_boxes_of_windows,
    read_published_boxes,
    write_boxes,
    write_boxes_of_windows,
)
from evreel.files.features import SampleWindows
from evreel.layout import BOX_DTYPE
from evreel.npy import array_head
from evreel.samples.samples import Samples
from evreel.windows import Windows
from support.fuzz.damage import damaged


def some_boxes(n=5):
    boxes = np.zeros(n, dtype=BOX_DTYPE)
    boxes["t"] = np.arange(n) // 2 * 10 + 2**33
    boxes["x"], boxes["w"] = 1.5, np.arange(n)
    boxes["track_id"] = np.arange(n)
    return boxes


def test_boxes__come_back_from_their_file(tmp_path):
    write_boxes(tmp_path / "a_bbox.npy", some_boxes())
    got = read_boxes(tmp_path / "a_bbox.npy")
    assert got.dtype == BOX_DTYPE
    assert got.dtype.itemsize == 40
    np.testing.assert_array_equal(got, some_boxes())
    np.testing.assert_array_equal(np.load(tmp_path / "a_bbox.npy"), some_boxes())
    write_boxes(tmp_path / "none.npy", some_boxes(0))
    assert len(read_boxes(tmp_path / "none.npy")) == 0


def test_boxes__of_equal_values_are_equal_bytes(tmp_path):
    boxes = some_boxes()
    dirty = np.frombuffer(bytearray([255]) * boxes.nbytes, dtype=BOX_DTYPE)
    for name in BOX_DTYPE.names:
        dirty[name] = boxes[name]
    assert dirty.tobytes() != boxes.tobytes(), "no padding to be cleaned"
    write_boxes(tmp_path / "a.npy", boxes)
    write_boxes(tmp_path / "b.npy", dirty)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_boxes__refuse_other_records_and_time_that_goes_back(tmp_path):
    with pytest.raises(AnnotationError, match="goes back in time"):
        write_boxes(tmp_path / "a.npy", some_boxes()[::-1])
    with pytest.raises(AnnotationError, match="holds records of int64 in 1 dimensions"):
        write_boxes(tmp_path / "a.npy", np.zeros(3, dtype=np.int64))
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(AnnotationError, match=r"^b\.npy: .*holds float64 in 1 dim"):
        read_boxes(tmp_path / "b.npy")


def test_boxes__refuse_a_damaged_file(tmp_path):
    path = tmp_path / "a.npy"
    write_boxes(path, some_boxes())
    whole = path.read_bytes()
    for broken in (b"", whole[:7], whole[:100], whole[:-1], b"\x00" + whole[1:]):
        path.write_bytes(broken)
        with pytest.raises(AnnotationError, match=r"^a\.npy: is not a complete \.npy file"):
            read_boxes(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(AnnotationError, match="holds object in 1 dimensions"):
        read_boxes(path)
    with pytest.raises(AnnotationError, match=r"^none\.npy: cannot be read"):
        read_boxes(tmp_path / "none.npy")


@pytest.mark.parametrize("read", [read_boxes, read_published_boxes])
def test_read__of_a_damaged_header_is_an_error_or_boxes(tmp_path, read):
    path = tmp_path / "a_bbox.npy"
    write_boxes(path, some_boxes(20))
    whole = path.read_bytes()
    end = array_head(whole).size
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        path.write_bytes(damaged(rng, whole[:end]) + whole[end:])
        try:
            assert read(path).dtype == BOX_DTYPE
        except AnnotationError as error:
            refused += 1
            assert str(error).startswith("a_bbox.npy: ") and "\n" not in str(error)
    assert refused > 120


def test_read__of_absurd_shapes_allocates_nothing(tmp_path):
    path = tmp_path / "a_bbox.npy"
    write_boxes(path, some_boxes(1))
    whole = path.read_bytes()
    assert whole.count(b"(1,), }            ") == 1
    for shape in (b"(1000000000000,)", b"(-1,)", b"(1, 1)", b"(True,)", b"(1e9,)", b"((((((((("):
        stated = b"%-16s }" % (shape + b",")
        path.write_bytes(whole.replace(b"(1,), }            ", stated + b" " * (19 - len(stated))))
        with pytest.raises(AnnotationError, match=r"^a_bbox\.npy: is not a complete"):
            read_boxes(path)


def test_read_published__of_fields_that_are_no_numbers_names_the_field(tmp_path):
    records = np.zeros(3, [("t", "<i8"), *((name, "<f4") for name in "xyw"), ("h", "U4")])
    np.save(tmp_path / "a.npy", records)
    with pytest.raises(AnnotationError, match="h is of <U4 in 1 dimensions; numbers"):
        read_published_boxes(tmp_path / "a.npy")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32), st.sampled_from(["all", "last"]))
def test_boxes_of_windows__are_those_that_a_search_finds(n, seed, keep):
    rng = np.random.default_rng(seed)
    boxes = np.zeros(n, dtype=BOX_DTYPE)
    boxes["t"] = np.sort(rng.integers(0, 60, n))
    boxes["track_id"] = rng.integers(0, 4, n)
    boxes["x"] = np.arange(n)
    start = np.arange(0, 50, 10)
    windows = Windows(start, start + rng.integers(5, 11), start, start)
    got, first = boxes_of_windows(boxes, windows, keep)
    assert len(first) == len(windows) + 1
    for k in range(len(windows)):
        inside = boxes[windows.of_label(boxes["t"]) == k]
        if keep == "last":
            tracks = inside["track_id"].tolist()
            inside = inside[[j for j, track in enumerate(tracks) if track not in tracks[j + 1 :]]]
        np.testing.assert_array_equal(got[first[k] : first[k + 1]], inside)


def test_last_of_tracks__of_all_boxes_are_the_last_that_windows_have():
    boxes, windows = some_boxes(30), Windows(*np.array([[0, 40], [40, 90], [0, 0], [0, 0]]))
    boxes["t"] -= 2**33
    boxes["track_id"] %= 3
    every = boxes_of_windows(boxes, windows, "all")
    for got, expected in zip(
        last_of_tracks(*every), boxes_of_windows(boxes, windows, "last"), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_boxes_of_windows__belong_to_the_first_that_holds_them_and_to_none_in_a_gap():
    boxes = np.zeros(7, dtype=BOX_DTYPE)
    boxes["t"] = [0, 10, 15, 20, 25, 30, 41]

    def times(start, size):
        start = np.array(start)
        got, first = boxes_of_windows(boxes, Windows(start, start + size, start, start))
        return [got["t"][low:high].tolist() for low, high in pairwise(first)]

    assert times([0, 20], 10) == [[0, 10], [25, 30]], "gaps"
    assert times([0, 10], 20) == [[0, 10, 15, 20], [25, 30]], "overlaps"
    assert times([], 20) == []


def samples_of(*intervals):
    """Return windows of 10 µs of samples, and which belong to which."""
    start_us, stop_us = np.array(intervals).reshape(-1, 2).T
    each = [np.arange(start, stop, 10) for start, stop in intervals]
    bounds = np.cumsum([0, *map(len, each)])
    start = np.concatenate(each)
    ids = tuple(map(str, range(len(intervals))))
    empty = ("",) * len(ids)
    samples = Samples(ids, empty, empty, start_us, stop_us, np.zeros_like(start_us))
    return Windows(start, start + 10, start, start), SampleWindows(samples, (), bounds)


def test_boxes_of_samples__are_of_each_sample_that_holds_them_and_none_beyond_its_end():
    boxes = np.zeros(8, dtype=BOX_DTYPE)
    boxes["t"] = [0, 5, 10, 14, 16, 20, 30, 31]
    windows, of = samples_of((0, 15), (5, 20), (20, 30))
    got, first = boxes_of_windows(boxes, windows, samples=of)
    found = [got["t"][low:high].tolist() for low, high in pairwise(first)]
    # 14 is within the sample that ends at 15; 16 is not, though its last window ends at 20.
    assert found == [[0, 5, 10], [14], [5, 10, 14], [16, 20], [20, 30]]
    none, first = boxes_of_windows(boxes[:0], windows, "last", samples=of)
    assert (len(none), first.tolist()) == (0, [0] * 6)


def test_boxes_of_windows__come_back_from_their_files_in_any_order_of_time(tmp_path):
    boxes, first = some_boxes()[::-1], np.array([0, 0, 3, 5])
    path = tmp_path / "a_bbox.npy"
    write_boxes_of_windows(path, first_path(path), boxes, first)
    for got, expected in zip(read_boxes_of_windows(path), (boxes, first), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "a_bbox_first.npy"), first)


@pytest.mark.parametrize(
    "first", [[], [0, 6], [1, 5], [0, 3, 2, 5], [[0, 5]], [0.0, 5.0], ["0", "5"], None, b"", b"x"]
)
def test_first_rows__that_do_not_divide_the_boxes_are_refused(tmp_path, first):
    path = tmp_path / "a_bbox.npy"
    write_boxes(path, some_boxes())
    if isinstance(first, bytes):
        first_path(path).write_bytes(first)
    elif first is not None:
        np.save(first_path(path), np.array(first))
    with pytest.raises(AnnotationError, match=r"a_bbox_first.npy: is not the first row of each"):
        read_boxes_of_windows(path)
