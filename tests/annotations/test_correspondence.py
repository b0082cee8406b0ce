"""What an outline becomes on the way to the next one, by CVAT's rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evreel.annotations.correspondence import matched, moved, pair
from evreel.annotations.cvat import read_cvat
from evreel.annotations.shapes import Polygon, Polyline, Track
from support import shared_file

coordinate = st.integers(0, 400).map(lambda hundredths: hundredths / 4)
outlines = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9).map(
    lambda points: np.array(points, dtype=float)
)
SQUARE = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])


def twin_pairs(left, right):
    """Return the pairs of two open lines, from the definition, one vertex at a time."""

    def shares(line):
        along = [0.0]
        for one, other in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
            along.append(along[-1] + np.sqrt((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2))
        return [a / along[-1] if along[-1] else 0.0 for a in along]

    def nearest(value, others):
        return min(range(len(others)), key=lambda k: (abs(value - others[k]), k))

    of_left, of_right = shares(left), shares(right)
    found = [(row, nearest(share, of_right)) for row, share in enumerate(of_left)]
    lonely = set(range(len(right))) - {k for _, k in found}
    found += [(nearest(of_right[k], of_left), k) for k in lonely]
    return sorted(found)


@given(outlines, outlines)
def test_pairs__are_those_of_the_definition_and_leave_no_vertex_out(left, right):
    pairs = pair(left, right)
    assert list(zip(*pairs, strict=True)) == twin_pairs(left, right)
    assert set(pairs.left) == set(range(len(left)))
    assert set(pairs.right) == set(range(len(right)))


@given(outlines, outlines, st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_moved__has_only_vertices_on_the_straight_lines_of_pairs_or_means_of_two(
    left, right, closed, share
):
    start, stop = matched(left, right, closed=closed)
    lines = (start + share * (stop - start)).tolist()
    means = [[(a + c) / 2, (b + d) / 2] for a, b in lines for c, d in lines]
    got = moved(left, right, share, closed=closed)
    assert (3 if closed else 2) <= len(got) <= len(lines)
    assert all(vertex in lines or vertex in means for vertex in got.tolist())


@given(outlines, st.booleans())
def test_moved__to_an_outline_of_the_same_proportions_moves_each_vertex(outline, closed):
    got = moved(outline, outline + 8, 0.5, closed=closed)
    steps = np.diff(np.concatenate([outline, outline[:1]]) if closed else outline, axis=0)
    if (np.abs(steps).sum(axis=1) > 0).all():  # vertices in one place are at one share
        np.testing.assert_allclose(got, outline + 4)


def test_moved__adds_and_thins_vertices_as_worked_out_by_hand():
    # The top side gets a vertex in its middle: it grows out of the nearer of the corners.
    house = np.array([[0.0, 0], [2, -2], [4, 0], [4, 4], [0, 4]])
    _, stop = matched(SQUARE, house, closed=True)
    assert sorted(map(tuple, stop.tolist())) == sorted(map(tuple, house.tolist()))
    # Two vertices that meet in one. Their side is 2 long, so they are one vertex, half-way between
    # them, where they are closer than 2/(2·2).
    left = np.array([[0.0, 0], [9, 0], [11, 0], [20, 0]])
    right = np.array([[0.0, 0], [10, 0], [20, 0]])
    at = {share: moved(left, right, share, closed=False)[:, 0].tolist() for share in (0.5, 0.875)}
    assert at == {0.5: [0, 9.5, 10.5, 20], 0.875: [0, 10, 20]}


def test_moved__survives_outlines_without_length():
    point = np.full((4, 2), 3.0)
    for closed in (False, True):
        assert np.isfinite(moved(point, SQUARE, 0.5, closed=closed)).all()
        assert np.isfinite(moved(SQUARE, point, 0.5, closed=closed)).all()
        assert moved(point, point, 0.5, closed=closed).tolist()[0] == [3.0, 3.0]


@pytest.mark.parametrize("kind", [Polygon, Polyline])
def test_matched__of_shapes_is_what_moves_on_straight_lines(kind):
    left, right = kind(0, SQUARE), kind(4, np.concatenate([SQUARE, [[-1.0, 2.0]]]) + 3)
    start, stop = left.matched(right)
    assert len(start) == len(stop) >= 5
    held = left.between(kind(4, SQUARE + 8), 1)
    assert held.points.tolist() == (SQUARE + 2).tolist()
    other = (Polyline if kind is Polygon else Polygon)(4, SQUARE + 8)
    assert left.between(other, 1).points.tolist() == SQUARE.tolist(), "nothing tells how it moves"
    assert [points.tolist() for points in left.matched(other)] == [SQUARE.tolist()] * 2


def of_key_frames(track: Track):
    """Yield each listed shape that is not a key frame, and what the key frames say of it."""
    keys = [shape for shape in track.shapes if shape.keyframe]
    for shape in track.shapes:
        if not shape.keyframe:
            left = max((k for k in keys if k.frame < shape.frame), key=lambda k: k.frame)
            later = [k for k in keys if k.frame > shape.frame]
            yield shape, left.between(later[0], shape.frame) if later else left


def test_real_key_frames__say_again_what_the_export_lists_between_them():
    of_all = {}
    for name in ("four_obj_static_video", "volleyball_video_JOB_boxes_outside"):
        path = shared_file(f"annotations/{name}.xml")
        for track in read_cvat(path).tracks:
            for shape, again in of_key_frames(track):
                same = shape.points.shape == again.points.shape and bool(
                    (np.abs(shape.points - again.points) <= 0.02).all()
                )
                of_all.setdefault((name, shape.name), []).append(same)
    four = [same for (name, _), found in of_all.items() if "four" in name for same in found]
    assert np.mean(four) >= 0.995, f"{sum(four)} of {len(four)}"
    boxes = [same for (_, kind), found in of_all.items() if kind == "box" for same in found]
    assert np.mean(boxes) >= 0.999, f"{sum(boxes)} of {len(boxes)}"
