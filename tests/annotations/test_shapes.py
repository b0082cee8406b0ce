"""Labels, tracks and tags: merging, numbering, filling gaps; boxes in their file."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.annotations.shapes import (
    Annotations,
    FrameTag,
    Shape,
    Track,
    between,
    interpolate,
    merge,
    relabel,
)
from evreel.errors import AnnotationError
from evreel.files.boxes import read_boxes, write_boxes
from evreel.layout import BOX_DTYPE


def box(frame, left=0.0, **more):
    return Shape(frame, "box", np.array([[left, 1.0], [left + 4, 3.0]]), **more)


def polygon(frame, shift=0.0, **more):
    return Shape(frame, "polygon", np.array([[0.0, 0], [4, 0], [2, 3]]) + shift, **more)


def listed(track):
    return [(s.frame, float(s.points[0, 0])) for s in interpolate(track).shapes]


def test_interpolate__moves_a_box_linearly_and_holds_a_polygon():
    assert listed(Track(0, "a", (box(2, 0.0), box(5, 6.0)))) == [(2, 0), (3, 2), (4, 4), (5, 6)]
    assert listed(Track(0, "a", (polygon(2), polygon(4, 8.0)))) == [(2, 0), (3, 0), (4, 8)]
    assert listed(Track(0, "a", (box(2, 1.0), polygon(4, 8.0)))) == [(2, 1), (3, 1), (4, 8)]


def test_interpolate__ends_with_a_closing_shape_and_with_the_last_one():
    closed = Track(0, "a", (box(0), box(1, outside=True), box(4, 5.0)))
    assert [s.frame for s in interpolate(closed).shapes] == [0, 1, 4]
    away = Track(0, "a", (box(0), box(3, 3.0, outside=True)))
    assert [(s.frame, s.outside) for s in interpolate(away).shapes] == [
        (0, False),
        (1, False),
        (2, False),
        (3, True),
    ]
    assert interpolate(Track(0, "a", ())).shapes == ()


def test_between__keeps_all_but_the_outline_of_the_left_shape():
    left = box(2, z_order=3, occluded=True, attributes={"a": "b"})
    got = between(left, box(6, 4.0, z_order=9), 3)
    assert got.points.tolist() == [[1.0, 1.0], [5.0, 3.0]]
    assert (got.frame, got.keyframe, got.z_order, got.occluded) == (3, False, 3, True)
    assert got.attributes == {"a": "b"}
    assert left.points.tolist() == [[0.0, 1.0], [4.0, 3.0]], "the left shape was changed"


def test_merge__joins_labels_by_name_and_frames_by_number():
    rois = Annotations(
        ("dog", "cat"), (Track(0, "cat", (box(1),)),), (), range(4), (8, 9), "r.xml", {"mask": 2}
    )
    tags = Annotations(
        ("day", "cat"), (), (FrameTag(6, "cat"),), (5, 6), None, "t.xml", {"mask": 1, "cuboid": 1}
    )
    both = merge([rois, tags])
    assert both.labels == ("dog", "cat", "day")
    assert (both.tracks, both.tags) == (rois.tracks, tags.tags)
    assert both.frames == (0, 1, 2, 3, 5, 6)
    assert both.picture_shape == (8, 9)
    assert both.source == "r.xml, t.xml"
    assert both.skipped == {"mask": 3, "cuboid": 1}


def test_merge__refuses_pictures_of_two_sizes():
    one = Annotations((), picture_shape=(8, 9), source="one.xml")
    two = Annotations((), picture_shape=(8, 10), source="two.xml")
    with pytest.raises(AnnotationError, match=r"one\.xml, two\.xml: .* pictures of 9x8 and 10x8"):
        merge([one, two])


def test_relabel__numbers_as_asked_and_refuses_a_label_that_is_not_listed():
    given = Annotations(
        ("day", "cat", "unused"), (Track(0, "cat", ()),), (FrameTag(0, "day"),), source="a.xml"
    )
    got = relabel(given, ["cat", "dog", "day"])
    assert got.labels == ("cat", "dog", "day")
    assert (got.tracks, got.tags) == (given.tracks, given.tags)
    with pytest.raises(AnnotationError, match=r"a\.xml: label 'day' is none of cat, dog"):
        relabel(given, ["cat", "dog"])


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
    for damaged in (b"", whole[:7], whole[:100], whole[:-1], b"\x00" + whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(AnnotationError, match=r"^a\.npy: is no whole \.npy file"):
            read_boxes(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(AnnotationError, match="holds object in 1 dimensions"):
        read_boxes(path)
    with pytest.raises(AnnotationError, match=r"^none\.npy: can't be read"):
        read_boxes(tmp_path / "none.npy")
