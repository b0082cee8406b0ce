"""The file of boxes: `_bbox.npy`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import AnnotationError
from evreel.files.boxes import boxes_of_windows, read_boxes, read_published_boxes, write_boxes
from evreel.layout import BOX_DTYPE
from evreel.npy import array_head
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
