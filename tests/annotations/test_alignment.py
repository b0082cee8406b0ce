"""Annotations of another camera, carried over to the recording's times and the sensor's pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel import steps
from evreel.annotations.alignment import Alignment
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Skeleton,
    Track,
    turned,
)
from evreel.errors import AnnotationError, ClockError, ParameterError
from evreel.exports.exported import of_slices
from evreel.files.clock import read_clock
from evreel.files.slices import SlicesFile
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from evreel.viz.moments import clock_of
from support import random_events
from support.annotations import annotated, box, polygon
from support.cvat import STEP_US, N, task, track
from support.cvat import box as element
from support.stores import store_of

TILTED = (0.6, 0.05, -4.0, -0.03, 0.55, 3.0, 2e-4, -1e-4, 1.0)
STRETCHED = (0.5, 0, 3.0, 0, 0.25, -1.0, 0, 0, 1)
SENSOR = (48, 64)


def by_matrix(matrix, points) -> np.ndarray:
    """Return points by a homography, one at a time."""
    out = []
    for x, y in np.asarray(points).tolist():
        u, v, w = np.array(matrix).reshape(3, 3) @ [x, y, 1.0]
        out.append([u / w, v / w])
    return np.array(out)


def test_times__gain_offset_and_drift():
    alignment = Alignment(time_offset_us=-23_000, drift_ppm=12.5)
    t = np.array([0, 1_000_000, 40_000, 3_600_000_000])
    assert alignment.times(t).tolist() == [
        -23_000,
        977_013,
        17_001,
        3_600_000_000 - 23_000 + 45_000,
    ]
    assert Alignment().times(t).tolist() == t.tolist()


def test_clock__keeps_neighbours_together_and_gaps_apart():
    clock = FrameClock([0, 333, 70_000], [333, 999, 80_000], "external")
    moved = Alignment(time_offset_us=5, drift_ppm=-40_000).clock(clock)
    assert moved.source == "external"
    assert moved.start_us.tolist() == [5, 325, 67_205]
    assert moved.start_us[1] == moved.stop_us[0]
    with pytest.raises(ClockError, match=r"frame 0: with annotate/drift_ppm: -90000"):
        Alignment(drift_ppm=-90_000).clock(FrameClock([5], [6]))


@pytest.mark.parametrize("matrix", [TILTED, STRETCHED, tuple(-n for n in TILTED)])
def test_points__go_from_the_picture_to_the_sensor_and_back(matrix):
    points = np.random.default_rng(1).uniform(0, 100, (50, 2))
    alignment = Alignment(homography=matrix)
    on_sensor = alignment.points(points)
    np.testing.assert_allclose(on_sensor, by_matrix(matrix, points), atol=1e-9)
    np.testing.assert_allclose(alignment.inverse.points(on_sensor), points, atol=1e-7)


@pytest.mark.parametrize("drift", [0.0, 35.0, -250.5])
def test_inverse__gives_times_back_to_a_microsecond(drift):
    alignment = Alignment(time_offset_us=123_456, drift_ppm=drift)
    t = np.random.default_rng(0).integers(-(10**6), 10**10, 1_000)
    assert np.abs(alignment.inverse.times(alignment.times(t)) - t).max() <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"homography": (1, 2, 3, 2, 4, 6, 0, 0, 1)}, "homography: has no inverse"),
        ({"homography": (0,) * 9}, "homography: has no inverse"),
        ({"homography": (1, 0, 0, 0, 1)}, "9 are needed"),
        ({"homography": (float("nan"),) * 9}, "homography"),
        ({"drift_ppm": 2e5}, "drift_ppm"),
    ],
)
def test_alignment__that_cannot_be_is_refused(settings, message):
    for of in (Alignment, steps.AnnotateSettings):
        with pytest.raises(ParameterError, match=message):
            of(**settings)


def moved(shape, matrix):
    """Return what a shape becomes."""
    scene = annotated(Track(0, "car", (shape,)), picture_shape=(100, 100))
    found = Alignment(homography=matrix).annotations(scene, SENSOR)
    assert found.picture_shape == SENSOR
    return found.tracks[0].shapes[0]


def test_shapes__keep_their_points_in_place():
    corners = [(10, 20), (50, 22), (40, 60)]
    hull = np.random.default_rng(2).uniform(10, 60, (8, 2))
    for shape in (
        polygon(0, *corners, z_order=3, occluded=True),
        Polyline(0, np.array(corners, float)),
        Points(0, np.array(corners, float)),
        Cuboid(0, hull),
        Skeleton(0, np.array(corners, float), joints=("a", "b", "c"), visible=(True,) * 3),
    ):
        found = moved(shape, TILTED)
        assert type(found) is type(shape)
        assert (found.z_order, found.occluded) == (shape.z_order, shape.occluded)
        np.testing.assert_allclose(found.points, by_matrix(TILTED, shape.points), atol=1e-9)


def test_box__becomes_the_polygon_of_its_corners_unless_it_stays_one():
    drawn = box(0, 10, 20, 50, 40)
    found = moved(drawn, TILTED)
    assert isinstance(found, Polygon)
    np.testing.assert_allclose(found.points, by_matrix(TILTED, drawn.outline), atol=1e-9)
    stays = moved(drawn, STRETCHED)
    assert isinstance(stays, Box)
    assert stays.points.tolist() == [[8.0, 4.0], [28.0, 9.0]]
    tipped = moved(box(0, 10, 20, 50, 40, rotation=30.0), STRETCHED)
    assert isinstance(tipped, Polygon)
    doubled = moved(box(0, 10, 20, 50, 40, rotation=30.0), (2, 0, 0, 0, 2, 0, 0, 0, 1))
    assert isinstance(doubled, Box)
    assert doubled.rotation == 30.0


def test_ellipse__follows_its_outline():
    drawn = Ellipse(0, np.array([[40.0, 30.0], [10.0, 6.0]]), rotation=20.0)
    outline = moved(drawn, TILTED).outline
    np.testing.assert_allclose(outline, by_matrix(TILTED, drawn.outline), atol=1e-9)
    kept = moved(Ellipse(0, drawn.points), STRETCHED)
    assert isinstance(kept, Ellipse)
    assert kept.points.tolist() == [[23.0, 6.5], [5.0, 1.5]]


def test_mask__holds_the_sensor_pixels_whose_centres_are_in_it():
    bitmap = np.random.default_rng(4).random((20, 30)) < 0.5
    edges = np.flatnonzero(np.diff(bitmap.ravel().astype(int), prepend=0))
    runs = np.diff([0, *edges, bitmap.size])
    drawn = Mask(0, np.array([[10.0, 20.0], [40.0, 40.0]]), runs=tuple(runs.tolist()))
    assert (drawn.bitmap == bitmap).all()
    found = moved(drawn, TILTED)
    left, top = found.points[0].astype(int)
    inverse = np.linalg.inv(np.array(TILTED).reshape(3, 3)).ravel()
    for row, column in np.ndindex(*found.shape):
        [(x, y)] = by_matrix(inverse, [(left + column + 0.5, top + row + 0.5)])
        column_drawn, row_drawn = int(np.floor(x - 10)), int(np.floor(y - 20))
        inside = 0 <= column_drawn < 30 and 0 <= row_drawn < 20
        expected = bool(inside and bitmap[row_drawn, column_drawn])
        assert found.bitmap[row, column] == expected
    same = moved(drawn, (1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert (same.bitmap == bitmap).all()


def test_gaps__are_filled_in_the_picture_that_people_drew_on():
    turning = Track(
        0, "car", (box(0, 10, 10, 30, 20, rotation=0.0), box(4, 50, 40, 70, 50, rotation=80.0))
    )
    found = Alignment(homography=TILTED).annotations(annotated(turning), SENSOR).tracks[0]
    assert [shape.frame for shape in found.shapes] == [0, 1, 2, 3, 4]
    between = turned(box(2, 30, 25, 50, 35).outline, np.array([40.0, 30.0]), 40.0)
    np.testing.assert_allclose(found.shapes[2].points, by_matrix(TILTED, between), atol=1e-9)


@pytest.mark.parametrize("matrix", [STRETCHED, TILTED, (2, 0, 1, 0, 2, 0, 0, 0, 1)])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("of", ["box", "polygon", "cuboid", "ellipse", "points"])
def test_what_a_frame_shows__is_what_it_showed_in_the_picture(of, closes, matrix):
    """Also on the way to a shape that closes the track, and on a way that the tilt bends."""
    left = {
        "box": box(0, 10, 10, 30, 20),
        "polygon": polygon(0, (10, 10), (30, 12), (28, 40), (11, 35)),
        "cuboid": Cuboid(0, np.random.default_rng(1).uniform(10, 30, (8, 2))),
        "ellipse": Ellipse(0, np.array([[30.0, 20.0], [9.0, 5.0]])),
        "points": Points(0, np.array([[20.0, 10.0]])),
    }[of]
    right = replace(left, frame=4, outside=closes, points=left.points * [1.5, 1.75] + 1)
    scene = annotated(Track(0, "car", (left, right)))
    found = Alignment(homography=matrix).annotations(scene, SENSOR)
    on_sensor = Regions(found, FrameClock.regular(100, 10), Picture(SENSOR), clip=True)
    for frame in range(4 if closes else 5):
        [(_, shown)] = on_sensor.shapes_of(frame)
        drawn = moved(left.at(right, frame / 4, frame), matrix)
        np.testing.assert_allclose(shown.points, drawn.points, atol=1e-9)
    assert on_sensor.shapes_of(5) == []


def test_shape__that_closes_a_track_need_not_have_a_place_on_the_sensor():
    beyond = replace(box(1, 10, 20, 200, 40), outside=True)
    scene = annotated(Track(0, "car", (box(0, 10, 20, 30, 40), beyond)))
    found = Alignment(homography=(1, 0, 0, 0, 1, 0, -0.01, 0, 1)).annotations(scene, SENSOR)
    assert [(shape.frame, shape.outside) for shape in found.tracks[0].shapes][-1] == (1, True)


def test_mask__that_becomes_large_is_carried_over_piece_by_piece(monkeypatch):
    drawn = Mask(0, np.array([[1.0, 2.0], [4.0, 4.0]]), runs=(1, 2, 2, 1))
    large = moved(drawn, (400, 30, 0, -20, 300, 0, 0, 0, 1))
    monkeypatch.setattr("evreel.annotations.alignment._PIXELS_AT_ONCE", 5_000)
    again = moved(drawn, (400, 30, 0, -20, 300, 0, 0, 0, 1))
    assert large.runs == again.runs
    assert (large.points == again.points).all()
    assert large.bitmap.sum() == pytest.approx(3 * (400 * 300 + 20 * 30), rel=0.01)


def test_mask__between_two_that_are_listed_is_carried_over_once():
    drawn = Mask(0, np.array([[10.0, 20.0], [13.0, 22.0]]), runs=(0, 6))
    scene = annotated(Track(0, "car", (drawn, replace(drawn, frame=9))))
    [track] = Alignment(homography=TILTED).annotations(scene, SENSOR).tracks
    assert [shape.frame for shape in track.shapes] == [0, 9]


def test_point__on_the_horizon_is_refused():
    with pytest.raises(AnnotationError, match=r"track 0 \('car'\), frame 0: point .* has no place"):
        moved(box(0, 10, 20, 200, 40), (1, 0, 0, 0, 1, 0, -0.01, 0, 1))


def test_boxes__are_the_bounds_of_the_corners():
    scene = annotated(Track(0, "car", (box(0, 10, 20, 50, 40),)))
    alignment = Alignment(homography=TILTED)
    clock = FrameClock.regular(100, 10)
    [record] = Regions(alignment.annotations(scene, SENSOR), clock, Picture(SENSOR)).boxes()
    corners = by_matrix(TILTED, box(0, 10, 20, 50, 40).outline)
    np.testing.assert_allclose([record["x"], record["y"]], corners.min(axis=0), rtol=1e-6)
    size = corners.max(axis=0) - corners.min(axis=0)
    np.testing.assert_allclose([record["w"], record["h"]], size, rtol=1e-6)


def test_annotate__applies_an_alignment_once(tmp_path):
    """Each event against the moved frame and the moved corners, one by one."""
    settings = {"time_offset_us": 23_000, "drift_ppm": -5_000.0, "homography": TILTED}
    events = random_events(5_000, SENSOR, stop_us=N * STEP_US, seed=1)
    store = store_of(tmp_path / "rec.h5", events)
    table = "".join(f"{k}\t{k * STEP_US}\t{k * STEP_US + 7_000}\n" for k in range(N))
    (tmp_path / "c.tsv").write_text("frame\tstart_us\tstop_us\n" + table)
    grown = {"xbr": 60, "ybr": 40}
    body = track(*(element(frame, **grown) for frame in range(N)))
    (tmp_path / "a.xml").write_text(task(body))
    steps.annotate(
        *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        steps.AnnotateSettings(clip=True, **settings),
        rois=tmp_path / "a.xml",
    )
    alignment = Alignment(**settings)
    clock = read_clock(tmp_path / "c.tsv")[0]
    aligned = alignment.clock(clock)
    exported = of_slices(tmp_path / "s.h5", "rec", "train", clock)
    assert exported.clock == aligned
    assert list(exported.annotations.frames) == list(range(N))
    with SlicesFile(tmp_path / "s.h5") as slices:
        _, roi = slices.read()
        assert slices.alignment == alignment
        assert clock_of(slices, tmp_path / "c.tsv") == aligned
    expected = []
    for t, x, y in zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        found = -1
        for k in range(N):
            start, stop = k * STEP_US, k * STEP_US + 7_000
            start += 23_000 + int(np.floor(start * -0.005 + 0.5))
            stop += 23_000 + int(np.floor(stop * -0.005 + 0.5))
            if start <= t < stop:
                [(u, v)] = alignment.inverse.points(np.array([[x + 0.5, y + 0.5]]))
                found = 0 if k <= u < 60 and 1 <= v < 40 else -1
        expected.append(found)
    assert roi.tolist() == expected
    assert 0 < expected.count(0) < len(expected)
    boxes = np.load(tmp_path / "b.npy")
    assert (
        boxes["t"].tolist()
        == alignment.times(np.arange(N, dtype=np.int64) * STEP_US + 7_000).tolist()
    )


def test_annotate__with_an_offset_beyond_the_recording_is_refused(tmp_path):
    store = store_of(tmp_path / "rec.h5", random_events(10, SENSOR, stop_us=1_000, seed=1))
    (tmp_path / "c.tsv").write_text("frame\tstart_us\tstop_us\n0\t0\t1000\n")
    with pytest.raises(ClockError, match="no frame is within the recording"):
        steps.annotate(
            *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
            steps.RegularWindows(window_us=50_000),
            steps.AnnotateSettings(time_offset_us=5_000),
        )
