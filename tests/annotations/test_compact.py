"""Shapes in few bytes: what is taken in is given back."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from evreel.annotations import compact
from evreel.annotations.compact import (
    ALONE,
    KEYFRAME,
    OCCLUDED,
    OUTSIDE,
    CompactShapes,
    LooseTracks,
    ShapesBuilder,
    ShapesInARow,
)
from evreel.annotations.figures import Listed
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Box, Ellipse, Mask, Polygon, Track
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.annotations import moving_scene


def built(*rows):
    builder = ShapesBuilder()
    for row in rows:
        builder.add(*row)
    return builder.compact()


SAID = {"a": "1"}
ROWS = [
    (Box, 4, [1.0, 2.0, 3.0, 4.0], KEYFRAME, 0, SAID, 0, ()),
    (Polygon, 5, [1.0, 2.0, 3.0, 4.0, 0.0, 9.0], 0, -2, SAID, 7, ()),
    (Mask, 9, [0.0, 0.0, 2.0, 1.0], ALONE | OUTSIDE, 0, {}, 0, ((0, 2),)),
]


def said(shape):
    names = [field.name for field in fields(shape) if field.name != "points"]
    return (type(shape), shape.points.tolist(), *(getattr(shape, name) for name in names))


def test_shapes__are_given_back_one_by_one_in_a_loop_and_in_slices():
    shapes = built(*ROWS)
    listed = [said(shape) for shape in shapes]
    assert listed == [
        (Box, [[1, 2], [3, 4]], 4, False, False, True, 0, SAID, False, 0, 0.0),
        (Polygon, [[1, 2], [3, 4], [0, 9]], 5, False, False, False, -2, SAID, False, 7),
        (Mask, [[0, 0], [2, 1]], 9, True, False, False, 0, {}, True, 0, (0, 2)),
    ]
    assert [said(shapes[k]) for k in range(3)] == listed
    assert [said(shapes[k]) for k in (-3, -2, -1)] == listed
    for part in (slice(1, None), slice(None, None, -1), slice(0, 0), slice(-1, 9), slice(0, 3, 2)):
        assert [said(shape) for shape in shapes[part]] == listed[part]
    assert [(a.frame, b.frame) for a, b in pairwise(shapes)] == [(4, 5), (5, 9)]
    assert len(shapes) == 3
    with pytest.raises(IndexError):
        shapes[3]


def test_shapes__of_many_blocks_are_all_there():
    rows = [(Box, k, [k, 0.0, k + 1.0, 1.0], KEYFRAME, 0, {}, 0, ()) for k in range(2500)]
    shapes = built(*rows)
    assert [(s.frame, s.points[0, 0]) for s in shapes] == [(k, k) for k in range(2500)]
    assert list(built()) == []


def test_shapes__cannot_be_edited_in_place():
    shapes = built(*ROWS)
    with pytest.raises(ValueError, match="read-only"):
        shapes[0].points[0, 0] = 5


def test_loose_tracks__are_one_for_each_shape():
    tracks = LooseTracks(built(*ROWS), [1, 0, 1], ["bus", "car"])
    listed = [(t.id, t.label, [s.frame for s in t.shapes]) for t in tracks]
    assert listed == [(-1, "car", [4]), (-1, "bus", [5]), (-1, "car", [9])]
    assert [(t.id, t.label, [s.frame for s in t.shapes]) for t in tracks[1:]] == listed[1:]
    assert (tracks[-1].label, len(tracks)) == ("car", 3)
    with pytest.raises(IndexError):
        tracks[3]


def test_shapes__take_few_bytes():
    n = 20_000
    builder = ShapesBuilder()
    for k in range(n):
        builder.add(Box, k, [1.0, 2.0, 3.0, 4.0], KEYFRAME, 0, SAID, 0, ())
    rows = vars(builder.compact()._rows).values()
    assert sum(column.nbytes for column in rows if isinstance(column, np.ndarray)) <= 40 * n


@pytest.mark.parametrize("held", [0, 100])
def test_shapes_in_a_row__are_those_of_all_tracks(monkeypatch, held):
    monkeypatch.setattr(compact, "_MOST_HELD", held)
    shapes = built(*ROWS)
    listed = [said(shape) for shape in shapes]
    for tracks, sizes in (
        (LooseTracks(shapes, [1, 0, 1], ["bus", "car"]), [1, 1, 1]),
        ([Track(0, "car", shapes[:2]), Track(1, "car", ()), Track(2, "car", (shapes[2],))], None),
    ):
        row = ShapesInARow(tracks)
        assert [said(shape) for shape in row] == listed
        assert [said(row[k]) for k in (0, 1, 2)] == [said(row[k]) for k in (-3, -2, -1)] == listed
        assert [said(shape) for shape in row[1:]] == listed[1:]
        assert row.sizes.tolist() == (sizes or [2, 0, 1])
        with pytest.raises(IndexError):
            row[3]


def test_regions__are_the_same_whether_shapes_are_held_or_made(monkeypatch):
    def made():
        regions = Regions(scene, FrameClock.regular(100, 10), Picture((48, 64)), clip=True)
        columns = [
            getattr(rows, field.name)
            for rows in regions.shape_rows(5)
            for field in fields(rows)
            if field.name != "attributes"
        ]
        return [regions.boxes(), regions.boxes([7, 23, 41], at="event"), *columns]

    scene = moving_scene()
    held = made()
    monkeypatch.setattr(compact, "_MOST_HELD", 0)
    for one, other in zip(held, made(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_listed__asks_once_for_what_is_said_of_all_shapes(monkeypatch):
    asked, own = [], CompactShapes.attributes.fget
    monkeypatch.setattr(
        CompactShapes, "attributes", property(lambda shapes: (asked.append(1), own(shapes))[1])
    )
    shapes = built(*((Box, k, [0, 0, 1, 1], 0, 0, {"a": str(k)}, 0, ()) for k in range(50)))
    listed = Listed(ShapesInARow([Track(0, "car", shapes)]))
    assert [said["a"] for said in listed.attributes] == [str(k) for k in range(50)]
    assert len(asked) == 1, "a list of all for each shape takes hours where there are a million"


def test_listed__is_the_same_of_compact_shapes_and_of_objects():
    def row(k):
        numbers = np.arange(12.0) * (k + 1)
        kind, n, more = [
            (Box, 4, ()),
            (Box, 4, (30.0,)),
            (Ellipse, 4, (10.0,) if k % 8 else ()),
            (Polygon, 6 + 2 * (k % 3), ()),
        ][k % 4]
        bits = [0, OUTSIDE, KEYFRAME, OCCLUDED | ALONE, KEYFRAME][k % 5]
        said = [{}, {"a": "1"}, {"a": "2"}][k // 20 % 3]
        return kind, k, numbers[:n].tolist(), bits, k % 7 - 3, said, k % 2, more

    shapes = built(*(row(k) for k in range(100)))
    parts = [shapes[:45], shapes[45:47], built(*ROWS), shapes[47:]]
    found = []
    for as_objects in (False, True):
        tracks = [Track(0, "car", tuple(part) if as_objects else part) for part in parts]
        listed = Listed(ShapesInARow(tracks))
        found.append([*vars(listed).items()])
        said = [listed.attributes[k] for k in listed.said.tolist()]
        assert said == [shape.attributes for part in parts for shape in part]
    for (name, one), (_, other) in zip(*found, strict=True):
        if isinstance(one, np.ndarray) and name != "said":
            np.testing.assert_array_equal(one, other, err_msg=name)
