"""Instants where windows end are read from boxes, clocks and columns of times."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.errors import AnnotationError, EvreelError
from evreel.files.instants import read_instants, read_times
from support.checks import write_boxes


def test_instants__of_labels_are_the_times_of_boxes_each_once(tmp_path):
    write_boxes(tmp_path / "b.npy", [10, 10, 25, 3_000_000_000])
    assert read_instants("labels", tmp_path / "b.npy").tolist() == [10, 25, 3_000_000_000]
    write_boxes(tmp_path / "b.npy", [])
    assert read_instants("labels", tmp_path / "b.npy").tolist() == []


def test_instants__of_frames_are_where_they_stop(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("frame\tstart_us\tstop_us\n0\t-5\t10\n1\t10\t15\n2\t30\t31\n")
    assert read_instants("frames", path).tolist() == [10, 15, 31]


@pytest.mark.parametrize(
    "text", ["-3\n\n# a comment\n5\n5\n 7 \n", "\ufeff-3\r\n5\r\n5\r\n7", "-3\n+5\n05\n7\n"]
)
def test_times__of_a_text_are_a_number_in_each_line(tmp_path, text):
    (tmp_path / "t.txt").write_bytes(text.encode())
    assert read_instants("times", tmp_path / "t.txt").tolist() == [-3, 5, 5, 7]


@pytest.mark.parametrize("dtype", ["int64", "uint32", ">i4", "int16"])
def test_times__of_an_npy_file_may_be_of_any_whole_numbers(tmp_path, dtype):
    np.save(tmp_path / "t.npy", np.array([0, 5, 5, 700], dtype=dtype))
    times = read_times((tmp_path / "t.npy").rename(tmp_path / "t.txt"))  # the content tells
    assert times.tolist() == [0, 5, 5, 700]
    assert times.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n2.5\n", "t: line 2: '2.5' is not a whole number of at most 18 digits. Give whole µs"),
        ("# t\n\n7\n3\n", "t: line 4: 3 µs is before the time above it. Sort them"),
        ("9" * 18, "t: line 1: 999999999999999999 µs is not within 9007199254740992 of 0"),
        ("1\t2\n", r"t: line 1: '1\\t2' is not a whole number"),
        (np.array([1.0, 2.0]), "t: is not a column of times: it holds float64 in 1 dimensions"),
        (np.array([[1, 2]]), "t: is not a column of times: it holds int64 in 2 dimensions"),
        (np.array([5, 4]), "t: row 1: 4 µs is before the time above it"),
        (np.array([0, (1 << 64) - 5], np.uint64), "t: row 1: 9007199254740993 µs is not within"),
        (b"\x93NUMPY\x01\x00", "t: is not a column of times: its header cannot be read"),
        (b"\xff\xfe1", "t: is not UTF-8"),
    ],
)
def test_times__that_are_no_column_of_times_are_refused_with_their_place(
    tmp_path, content, message
):
    path = tmp_path / "t"
    if isinstance(content, np.ndarray):
        with path.open("wb") as file:
            np.save(file, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AnnotationError, match=message):
        read_times(path)


def test_times__of_an_npy_file_that_is_cut_short_or_not_there_are_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(9))
    (tmp_path / "t.npy").write_bytes((tmp_path / "t.npy").read_bytes()[:-3])
    with pytest.raises(AnnotationError, match="69 bytes are not 9 numbers of int64"):
        read_times(tmp_path / "t.npy")
    for at in ("times", "labels", "frames"):
        with pytest.raises(EvreelError, match=r"none\.x: cannot be read"):
            read_instants(at, tmp_path / "none.x")
