"""Shapes, tracks and tags: what moves, filling gaps, merging, numbering."""

from __future__ import annotations

import pytest

from evreel.annotations.shapes import (
    Annotations,
    Attribute,
    FrameTag,
    Track,
    interpolate,
    merge,
    of_kinds,
    relabel,
)
from evreel.errors import AnnotationError
from support.annotations import box as any_box
from support.annotations import polygon as any_polygon


def box(frame, left=0.0, **more):
    return any_box(frame, left, 1.0, left + 4, 3.0, **more)


def polygon(frame, shift=0.0):
    return any_polygon(frame, (shift, shift), (shift + 4, shift), (shift + 2, shift + 3))


def listed(track):
    return [(s.frame, float(s.points[0, 0])) for s in interpolate(track).shapes]


def test_interpolate__moves_boxes_and_polygons_and_holds_what_changes_its_class():
    assert listed(Track(0, "a", (box(2, 0.0), box(5, 6.0)))) == [(2, 0), (3, 2), (4, 4), (5, 6)]
    assert listed(Track(0, "a", (polygon(2), polygon(4, 8.0)))) == [(2, 0), (3, 4), (4, 8)]
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
    got = left.between(box(6, 4.0, z_order=9), 3)
    assert got.points.tolist() == [[1.0, 1.0], [5.0, 3.0]]
    assert (got.frame, got.keyframe, got.z_order, got.occluded) == (3, False, 3, True)
    assert got.attributes == {"a": "b"}
    assert left.points.tolist() == [[0.0, 1.0], [4.0, 3.0]], "the left shape was changed"


@pytest.mark.parametrize("shape", [box(0, 1.5), polygon(0, -2.25)])
def test_bounds__are_those_of_the_outline(shape):
    low, high = shape.outline.min(axis=0), shape.outline.max(axis=0)
    assert shape.bounds == (*low.tolist(), *high.tolist())


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


def test_merge__takes_the_order_of_the_file_that_lists_its_labels_whichever_comes_first():
    listed = Annotations(("bus", "car"), lists_labels=True, source="v.xml")
    other = Annotations(("bus", "car", "day"), lists_labels=True, source="i.xml")
    unlisted = Annotations(("car", "day", "bus"), source="s.xml")
    for parts in ([listed, unlisted], [unlisted, listed], [other, listed], [unlisted, other]):
        assert merge(parts).labels == ("bus", "car", "day")


def test_merge__joins_what_can_be_said_of_labels():
    hue, age = Attribute("hue"), Attribute("age", "number")
    one = Annotations(("car",), attributes={"car": (hue,)}, lists_labels=True)
    two = Annotations(("car", "bus"), attributes={"car": (age, hue), "bus": (age,)})
    for parts in ([one, two], [two, one]):
        assert merge(parts).attributes == {"car": (hue, age), "bus": (age,)}


def test_of_kinds__skips_and_counts_the_others_and_bridges_nothing():
    scene = Annotations(
        ("a",), (Track(0, "a", (box(0), polygon(2), box(4))), Track(1, "a", (polygon(0),)))
    )
    assert of_kinds(scene, ["box", "polygon"]) is scene
    got = of_kinds(scene, ["box"])
    assert [(t.id, [(s.frame, s.alone) for s in t.shapes]) for t in got.tracks] == [
        (0, [(0, True), (4, False)])
    ]
    assert got.skipped == {"polygon": 2}


def test_merge__refuses_pictures_of_different_sizes():
    one = Annotations((), picture_shape=(8, 9), source="one.xml")
    two = Annotations((), picture_shape=(8, 10), source="two.xml")
    with pytest.raises(
        AnnotationError, match=r"one\.xml, two\.xml: .* pictures of different sizes: 9x8 and 10x8"
    ):
        merge([one, two])


def test_relabel__numbers_labels_as_listed_and_refuses_others():
    given = Annotations(
        ("day", "cat", "unused"), (Track(0, "cat", ()),), (FrameTag(0, "day"),), source="a.xml"
    )
    got = relabel(given, ["cat", "dog", "day"])
    assert got.labels == ("cat", "dog", "day")
    assert (got.tracks, got.tags) == (given.tracks, given.tags)
    with pytest.raises(AnnotationError, match=r"a\.xml: label 'day' is not one of cat, dog"):
        relabel(given, ["cat", "dog"])
