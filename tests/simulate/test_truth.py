"""The ground truth: exact to the microsecond, in files and as annotations; the demo."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from evreel.annotations.cvat import read_cvat
from evreel.annotations.shapes import Box, Polygon
from evreel.events import Events, Sensor
from evreel.kernels import simulate as kernels
from evreel.recordings import open_recording
from evreel.recordings.open import event_chunks
from evreel.simulate import camera as simulate
from evreel.simulate.camera import Truth, simulate_objects, truth, write_recording
from evreel.simulate.scene import SUBPIXEL, load_scene, parse_scene
from evreel.video.picture import Picture
from support import ROOT
from support.annotations import label
from support.regions import covers
from support.simulate import (
    BOX,
    DEMO,
    FOLDERS,
    QUIET,
    all_events,
    area_inside,
    digest,
    full_scene,
    made,
    since_first,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The full scene's files, its truth, and what CVAT's form of it says."""
    folder = tmp_path_factory.mktemp("written")
    paths = write_recording(full_scene(), folder)
    assert [path.name for path in paths] == [
        f"corner.{kind}" for kind in ("aedat4", "rois.xml", "tags.xml", "truth.json")
    ]
    return paths, truth(full_scene()), read_cvat(paths[1])


def test_recording__holds_the_events_and_their_time(written):
    (path, *_), exact, _ = written
    events = all_events(full_scene())
    with open_recording(path) as recording:
        got = Events.concatenate(event_chunks(recording), recording.sensor)
        assert recording.t_offset == exact.t_offset
    assert exact.t_offset - simulate.T_OFFSET_US in range(1, 5000)
    assert digest(got) == digest(events)
    assert (exact.n_events, exact.t_stop_us) == (len(events), events.t_stop_us)


def test_outline__is_where_the_scene_puts_it():
    of = made({"motion": [[0, 3, 10], [40_000, 11, 10]]})
    exact = truth(of)
    middle = since_first(exact, 20_000)
    assert exact.outline(0, middle).tolist() == [[7, 10], [15, 10], [15, 16], [7, 16]]
    assert exact.outline(0, since_first(exact, 0))[0].tolist() == [3, 10]
    assert exact.outline(0, -9999)[0].tolist() == [3, 10]
    assert exact.outline(0, 50_000)[0].tolist() == [11, 10]
    assert exact.visible(0, middle)


def outline_from_document(thing, t_us):
    """Return an outline as the truth's file says that it is to be read."""
    rows = thing["motion"]
    if t_us <= rows[0][0]:
        origin = rows[0][1:]
    elif t_us >= rows[-1][0]:
        origin = rows[-1][1:]
    else:
        (t0, *before), (t1, *after) = next((a, b) for a, b in pairwise(rows) if a[0] <= t_us < b[0])
        share = Fraction(t_us - t0, t1 - t0)
        origin = [
            a + math.floor(1024 * Fraction(b - a) * share) / 1024
            for a, b in zip(before, after, strict=True)
        ]
    return [[origin[0] + x, origin[1] + y] for x, y in thing["outline_px"]]


def test_document__is_the_truth_to_the_microsecond(written):
    (*_, path), exact, _ = written
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document == exact.document()
    for t_us in (0, 1, 12_345, 44_999, 50_000, 77_777, 99_000):
        for index, thing in enumerate(document["objects"]):
            assert exact.outline(index, t_us).tolist() == outline_from_document(thing, t_us)


def test_shapes__hold_every_pixel_that_an_object_touched_in_a_frame(written):
    """Every painting of a frame, every pixel: its centre is in what is drawn if it was touched."""
    scene, (_, exact, annotations) = full_scene(), written
    assert annotations.labels == ("car", "sign", "busy")
    assert annotations.picture_shape == exact.sensor
    assert annotations.frames == range(len(exact.clock))
    assert len(exact.clock) == -(-exact.t_stop_us // 10_000)
    first = since_first(exact, 0)
    for index, track in enumerate(annotations.tracks):
        shapes = {shape.frame: shape for shape in track.shapes if not shape.outside}
        for frame, shape in shapes.items():
            touched = np.zeros(exact.sensor, dtype=bool)
            start, stop = frame * 10_000, min(frame * 10_000 + 10_000, exact.t_stop_us)
            for t_us in range(first, first + scene.duration_us + 500, 500):
                if t_us + 500 <= start or t_us - 500 >= stop - 1:
                    continue
                if exact.objects[index].shown(t_us):
                    cover = simulate._cover(exact.sensor)
                    kernels.cover_polygon(simulate._vertices(exact.objects[index], t_us), cover)
                    touched |= cover[:, :-1] > 0
            for row, column in np.argwhere(touched).tolist():
                # 0.01 px is what coordinates are rounded to.
                assert any(
                    covers(shape, column + 0.5 + dx, row + 0.5 + dy)
                    for dx in (0, 0.01, -0.01)
                    for dy in (0, 0.01, -0.01)
                ), (index, frame)
            if isinstance(shape, Box):  # and no more than the rectangle around them
                rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
                left, top, right, bottom = shape.bounds
                assert left >= columns[0] - 0.51
                assert top >= rows[0] - 0.51
                assert right <= columns[-1] + 1.51
                assert bottom <= rows[-1] + 1.51


def test_annotations__of_a_moment_have_the_object_itself(written):
    _, exact, _ = written
    for moment, shift in (("start", 0), ("middle", 5_000), ("stop", 10_000)):
        car, sign = exact.annotations(moment).tracks
        for shape in (shape for shape in car.shapes if not shape.outside):
            corners = np.clip(exact.outline(0, shape.frame * 10_000 + shift), 0, [32, 24])
            expected = [*corners.min(axis=0), *corners.max(axis=0)]
            assert shape.bounds == pytest.approx(expected, abs=0.0051)
        for shape in (shape for shape in sign.shapes if not shape.outside):
            assert isinstance(shape, Polygon)
            points = exact.outline(1, shape.frame * 10_000 + shift)
            np.testing.assert_allclose(shape.points, points, atol=0.0051)


def test_track__of_an_object_that_leaves_is_closed_once_and_continues_when_it_is_back(written):
    _, exact, annotations = written
    for index, track in enumerate(annotations.tracks):
        seen = [exact.accumulated(index, frame) is not None for frame in annotations.frames]
        assert seen.count(False) >= index ^ 1  # the sign is there in a part of each frame
        inside = [shape.frame for shape in track.shapes if not shape.outside]
        assert inside == np.flatnonzero(seen).tolist()
        if all(seen):
            continue
        away = seen.index(False)
        assert [shape.frame for shape in track.shapes if shape.outside] == [away]
        back = seen.index(True, away)
        keyframes = [shape.frame for shape in track.shapes if shape.keyframe]
        assert {0, away - 1, away, back} <= set(keyframes)
    # The car is out of the picture; the sign is not there.
    assert exact.annotated(0, 50_000) is None
    assert exact.outline(0, 50_000)[0, 0] == 40
    instants = [since_first(exact, t) for t in (59_999, 60_000, 69_999, 70_000)]
    assert [exact.visible(1, t) for t in instants] == [True, False, False, True]


def test_labels__equal_the_truth_at_frame_resolution_for_every_event(written):
    """What is in the XML, by the annotator's rule: each event once more, one at a time."""
    (_, xml, *_), exact, _ = written
    events = all_events(full_scene())
    got = label(read_cvat(xml), events, clock=exact.clock, picture=Picture.for_video(exact.sensor))
    drawn = {
        (index, frame): kind(frame, np.round(points, 2))
        for frame in range(len(exact.clock))
        for index, kind in ((0, Box), (1, Polygon))
        if (points := exact.accumulated(index, frame)) is not None
    }
    for row, (t, x, y) in enumerate(zip(events.t, events.x, events.y, strict=True)):
        frame = int(t) // 10_000
        held = [
            index
            for index in (0, 1)
            if (index, frame) in drawn and covers(drawn[index, frame], x + 0.5, y + 0.5)
        ]
        assert got.roi[row] == max(held, default=-1), f"event {row}"  # the sign is above the car


def test_keyframes__are_those_that_a_box_needs():
    of = made(
        {"motion": [[0, -9, 10], [100_000, 9, 10], [200_000, 9, 4], [300_000, 28, 4]]},
        duration_us=300_000,
        camera={"noise_hz": 1.0},
    )
    (track,) = truth(of).annotations().tracks
    keys = [shape for shape in track.shapes if shape.keyframe]
    assert 6 <= len(keys) <= 12
    frame = [shape.frame for shape in track.shapes]
    at = np.array([shape.points.ravel() for shape in track.shapes])
    for side in range(4):
        drawn = np.interp(
            frame, [key.frame for key in keys], [key.points.ravel()[side] for key in keys]
        )
        np.testing.assert_allclose(drawn, at[:, side], atol=0.03)


def test_annotations__of_a_last_frame_that_outlasts_the_scene_show_what_was_there():
    tag = {"label": "end", "start_us": 30_000, "stop_us": 52_000}
    of = made({}, duration_us=52_000, camera={"noise_hz": 50.0}, tag=[tag])
    exact = truth(of)
    assert 50_000 < exact.t_stop_us < 52_000
    annotations = exact.annotations()
    (track,) = annotations.tracks
    assert [shape.frame for shape in track.shapes if not shape.outside] == [0, 1, 2, 3, 4, 5]
    assert annotations.tags[-1].frame == 5


def test_occluded__is_what_is_under_another():
    over = {"motion": [[0, 6, 12], [50_000, 9, 12]], "z_order": 3}
    exact = truth(made({"motion": [[0, 10, 10]]}, over, {"motion": [[0, 0, 0]]}))
    assert [exact.occluded(k, 25_000) for k in range(3)] == [True, False, False]
    # Side by side, a shared edge is no overlap; a bounding box is not an outline.
    beside = truth(made({"motion": [[0, 0, 10], [50_000, 1, 10]]}, {"motion": [[0, 9, 10]]}))
    end = since_first(beside, 50_000)
    assert beside.outline(0, end)[1].tolist() == beside.outline(1, end)[0].tolist() == [9, 10]
    assert not beside.occluded(0, end)
    slope = {"label": "s", "polygon": [[0, 0], [9, 9], [0, 9]], "intensity": 0.9, "z_order": 1}
    document = QUIET | {
        "object": [
            BOX | {"box": [3, 3], "motion": [[0, 6, 1], [50_000, 6.5, 1]]},
            slope | {"motion": [[0, 1, 1]]},
        ]
    }
    assert not truth(parse_scene(document)).occluded(0, 10_000)


def test_annotate__as_a_box_gives_the_bounds_of_what_is_in_the_picture():
    thing = {
        "label": "wing",
        "polygon": [[0, 0], [10, 5], [0, 10]],
        "annotate": "box",
        "intensity": 0.9,
    }

    def at_the_end(x):
        motion = [[0, x - 0.5, 8], [50_000, x, 8]]
        document = QUIET | {"camera": {"noise_hz": 5.0}, "object": [thing | {"motion": motion}]}
        exact = truth(parse_scene(document))
        return exact.annotated(0, since_first(exact, 50_000))

    assert at_the_end(27.5).tolist() == [[27.5, 8], [32, 18]]
    assert at_the_end(-5).tolist() == [[0, 10.5], [5, 15.5]]
    assert at_the_end(-9).tolist() == [[0, 12.5], [1, 13.5]]
    assert at_the_end(-9.25) is None, "less than 1 px is not annotated"


def test_tags__are_those_of_the_middle_of_a_frame(written):
    (_, _, path, _), exact, _ = written
    start, stop = (since_first(exact, t) for t in (20_000, 45_000))
    expected = [frame for frame in range(10) if start <= frame * 10_000 + 5000 < stop]
    read = read_cvat(path)
    assert [(tag.frame, tag.label) for tag in read.tags] == [(frame, "busy") for frame in expected]
    assert {shape.name for track in read.tracks for shape in track.shapes} == {"box", "polygon"}


def test_recording__without_tags_has_no_tags_file(tmp_path):
    paths = write_recording(made({}), tmp_path)
    assert [path.suffix for path in paths] == [".aedat4", ".xml", ".json"]
    assert sorted(paths) == sorted(tmp_path.iterdir())


def test_cut__keeps_the_area_that_is_inside():
    rng = np.random.default_rng(4)
    for _ in range(50):
        outline = rng.integers(-6 * SUBPIXEL, 14 * SUBPIXEL, (3, 2))
        pixels = sum(area_inside(outline.tolist(), c, r) for r in range(6) for c in range(8))
        points = simulate._cut(outline / SUBPIXEL, Sensor(6, 8))
        x, y = points.T
        area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
        assert area == pytest.approx(float(pixels) / SUBPIXEL**2, abs=1e-9)
        if len(points):
            assert (points.min(axis=0) >= 0).all()
            assert (points.max(axis=0) <= [8, 6]).all()


def test_truth__is_a_value_of_its_scene():
    assert truth(full_scene()) == truth(full_scene())
    assert isinstance(truth(full_scene()), Truth)


# The demo


def test_demo__is_small_and_shows_what_it_is_for():
    """That the files are what the scenes make is shown in `workflow/test_demo.py`."""
    recordings = {path.stem: path for path in (DEMO / "recordings").iterdir()}
    assert set(recordings) == {"crossing", "desk", "street"}
    for name, recording in recordings.items():
        assert recording.stat().st_size < 3_000_000
        annotations = read_cvat(DEMO / FOLDERS[".xml"] / f"{name}.rois.xml")
        shapes = [shape for track in annotations.tracks for shape in track.shapes]
        assert {shape.name for shape in shapes} == {"box", "polygon"}, name
        assert any(shape.occluded for shape in shapes), name
        assert any(shape.outside for shape in shapes), name
    assert len(read_cvat(DEMO / FOLDERS[".xml"] / "desk.tags.xml").tags) > 100


@pytest.mark.parametrize("name", ["street", "desk", "crossing"])
def test_demo__holds_the_same_events_for_dv_processing(name, tmp_path):
    path = DEMO / "recordings" / f"{name}.aedat4"
    out = tmp_path / "read.npz"
    subprocess.run(
        [sys.executable, str(ROOT / "tests/support/oracles/dv_read.py"), str(path), str(out)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    theirs = np.load(out)
    with open_recording(path) as recording:
        ours = Events.concatenate(event_chunks(recording), recording.sensor)
        np.testing.assert_array_equal(theirs["t"], ours.t + recording.t_offset)
        assert tuple(theirs["sensor"]) == recording.sensor
    for column in "xyp":
        np.testing.assert_array_equal(theirs[column], getattr(ours, column))


def test_demo__labels_the_events_that_an_object_made():
    """With the default settings, at least 97 % of an object's own events are in its region."""
    of = load_scene(DEMO / "scenes" / "crossing.toml")
    of = replace(of, duration_us=100_000, objects=of.objects[:2])
    parts = list(simulate_objects(of))
    events = Events.concatenate([part for part, _ in parts], of.sensor)
    owner = np.concatenate([owners for _, owners in parts])
    exact = truth(of)
    scene = exact.annotations()
    got = label(scene, events, clock=exact.clock, picture=Picture.for_video(of.sensor))
    region = [track.id for track in scene.tracks].index(0)
    held = got.roi == region
    held[got.overlap_event[got.overlap_roi == region]] = True
    own = owner == 0
    assert own.sum() > 1_000
    assert held[own].mean() > 0.99
    assert held[owner == -1].mean() < 0.2
