"""How far annotations are from their events, on scenes where that is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

from evreel import steps
from evreel.annotations import aligning
from evreel.annotations.aligning import AlignSettings, estimate
from evreel.annotations.cvat import read_cvat
from evreel.annotations.shapes import Mask, Track
from evreel.errors import AnnotationError
from evreel.files.clock import write_clock
from evreel.files.events_store import EventsStore
from evreel.kernels.aligning import add_scores, draw_distances
from evreel.steps.align import _in_yaml
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.annotations import annotated, box
from support.cvat import frame_names, images, task
from support.scenes import simulated

DURATION_US = 300_000
BACK = [[0, 14.0, 20.0], [100_000, 46.0, 28.0], [200_000, 30.0, 14.0], [300_000, 12.0, 30.0]]
EVEN = [[0, 14.0, 20.0], [300_000, 50.0, 20.0]]
DOWN = [[0, 48.0, 8.0], [300_000, 20.0, 40.0]]
STILL = [[0, 32.0, 24.0], [300_000, 32.0, 24.0]]
SEARCH = AlignSettings(max_offset_us=60_000, max_shift_px=5)


def thing(motion, label="car") -> dict:
    return {"label": label, "box": [12.0, 9.0], "intensity": 0.9, "motion": motion}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Store and exact annotation of some scenes."""
    found = {}
    for name, motions in {
        "back": [BACK],
        "even": [EVEN],
        "two": [EVEN, DOWN],
        "still": [STILL],
    }.items():
        folder = tmp_path_factory.mktemp(name)
        recording = simulated(
            *(folder, name, 3),
            duration_us=DURATION_US,
            objects=[thing(motion) for motion in motions],
            tags=(),
            camera={"noise_hz": 2.0, "threshold_spread": 0.03},
        )
        steps.events(recording, folder / f"{name}.h5")
        found[name] = folder / f"{name}.h5", recording.with_name(f"{name}.rois.xml")
    return found


def misplaced(scenes, name, offset_us, shift_px, search=SEARCH):
    """Return estimates of an annotation that is too early, and too far to the top left."""
    store, xml = scenes[name]
    exact = read_cvat(xml)
    tracks = tuple(
        replace(
            track,
            shapes=tuple(replace(s, points=s.points - np.array(shift_px)) for s in track.shapes),
        )
        for track in exact.tracks
    )
    with EventsStore(store) as opened:
        clock = FrameClock.regular(opened.t_stop_us, 10_000)
        early = FrameClock(clock.start_us - offset_us, clock.stop_us - offset_us)
        middle = early.start_us + 5_000
        return estimate(replace(exact, tracks=tracks), early, middle, 1, opened.chunks(), search)


@pytest.mark.parametrize(
    ("offset_us", "shift_px"), [(0, (0, 0)), (23_000, (2, -1)), (-31_000, (-2.5, 1.5))]
)
@pytest.mark.parametrize("name", ["back", "two"])
def test_estimate__finds_known_shifts_within_its_uncertainty(scenes, name, offset_us, shift_px):
    best = misplaced(scenes, name, offset_us, shift_px)[-1]
    assert abs(best.offset_us - offset_us) <= best.offset_pm_us < 12_000
    for found, pm, true in zip(best.shift_px, best.shift_pm_px, shift_px, strict=True):
        assert abs(found - true) <= pm < 1.5
    assert best.share_moved >= best.share - 0.01 > 0
    assert best.note == ""


def test_estimate__of_each_track_is_before_that_of_all(scenes):
    first, second, all_ = misplaced(scenes, "two", 23_000, (2, -1))
    assert (first.track, second.track, all_.track) == (0, 1, None)
    assert all_.n_events == first.n_events + second.n_events


def test_estimate__of_what_moves_evenly_says_that_time_and_place_are_one(scenes):
    [found] = misplaced(scenes, "even", 23_000, (2, -1))
    assert found.offset_pm_us == 2 * SEARCH.max_offset_us
    assert found.shift_pm_px[0] == 2 * SEARCH.max_shift_px > found.shift_pm_px[1]
    assert abs(found.offset_us - 23_000) <= found.offset_pm_us
    for shift, pm, true in zip(found.shift_px, found.shift_pm_px, (2, -1), strict=True):
        assert abs(shift - true) <= pm
    assert "moves evenly: time and place along its way cannot be told apart" in found.note


def test_estimate__of_what_stands_still_or_has_no_events_says_so(scenes):
    [still] = misplaced(scenes, "still", 23_000, (2, -1))
    assert math.isnan(still.offset_us)
    assert still.note == "cannot be told: it stands still"
    clock = FrameClock.regular(100_000, 10_000)
    moving = annotated(Track(4, "car", tuple(box(k, k, 2, k + 9, 9) for k in range(8))))
    short = annotated(Track(4, "car", tuple(box(k, k, 2, k + 9, 9) for k in range(2))))
    with EventsStore(scenes["back"][0]) as opened:
        far = opened.chunks(0, 0)
        [empty] = estimate(moving, clock, clock.start_us, 1, far)
        assert empty.note == "cannot be told: no events near it"
        [brief] = estimate(short, clock, clock.start_us, 1, opened.chunks())
        assert brief.note == "cannot be told: shown in fewer than 4 frames"
        assert estimate(annotated(), clock, clock.start_us, 1, opened.chunks()) == []


def test_estimate__follows_the_pixels_of_masks_and_what_is_never_shown(scenes):
    store, xml = scenes["back"]
    exact = read_cvat(xml)

    def masked(shape):
        left, top, right, bottom = np.round(shape.bounds).astype(int).tolist()
        # A rectangle with much room around it.
        bitmap = np.zeros((bottom - top + 6, right - left + 6), bool)
        bitmap[3:-3, 3:-3] = True
        edges = np.flatnonzero(np.diff(bitmap.ravel().astype(int), prepend=0))
        runs = np.diff([0, *edges, bitmap.size])
        points = np.array([[left - 3, top - 3], [right + 3, bottom + 3]], dtype=float)
        return Mask(shape.frame, points, shape.outside, runs=tuple(runs.tolist()))

    masks = Track(3, "car", tuple(map(masked, exact.tracks[0].shapes)))
    gone = Track(4, "car", (box(0, outside=True),))
    with EventsStore(store) as opened:
        clock = FrameClock.regular(opened.t_stop_us, 10_000)
        early = FrameClock(clock.start_us - 8_000, clock.stop_us - 8_000)
        scene = replace(exact, tracks=(masks, gone))
        middle = early.start_us + 5_000
        found, never, _ = estimate(scene, early, middle, 1, opened.chunks(), SEARCH)
    assert abs(found.offset_us - 8_000) <= found.offset_pm_us
    assert found.share_moved > 0.6
    assert never.note == "cannot be told: it is never shown"


def test_large_outlines__are_taken_in_fewer_frames_and_coarser(monkeypatch, scenes):
    exact = misplaced(scenes, "back", 23_000, (2, -1))[-1]
    monkeypatch.setattr(aligning, "_MOST_CELLS", 30_000)
    monkeypatch.setattr(aligning, "_ENOUGH_FRAMES", 16)
    coarse = misplaced(scenes, "back", 23_000, (2, -1))[-1]
    assert abs(coarse.offset_us - 23_000) <= coarse.offset_pm_us
    assert coarse.offset_us != exact.offset_us


@pytest.mark.parametrize("name", ["back", "two"])
def test_tracks_with_many_events__are_estimated_from_every_ninth_as_from_all(
    monkeypatch, scenes, name
):
    exact = misplaced(scenes, name, 23_000, (2, -1))
    monkeypatch.setattr(aligning, "_MOST_EVENTS", 1_000)
    few = misplaced(scenes, name, 23_000, (2, -1))
    for one, other in zip(few, exact, strict=True):
        assert (one.n_events, one.every, other.every) == (other.n_events, 9, 1)
        assert abs(one.share_moved - other.share_moved) < 0.06
    best = few[-1]
    assert best.note == ""
    assert abs(best.offset_us - 23_000) <= best.offset_pm_us < 15_000
    for found, pm, true in zip(best.shift_px, best.shift_pm_px, (2, -1), strict=True):
        assert abs(found - true) <= pm < 3


def test_events_near_a_track__are_few_in_memory_whatever_their_chunks(monkeypatch, scenes):
    store, xml = scenes["back"]
    monkeypatch.setattr(aligning, "_MOST_EVENTS", 500)
    found, most = [], []
    concatenate = aligning.Events.concatenate

    def joined(parts, sensor):
        events = concatenate(parts, sensor)
        most[-1] = max(most[-1], len(events))
        return events

    monkeypatch.setattr(aligning.Events, "concatenate", joined)
    with EventsStore(store) as opened:
        clock = FrameClock.regular(opened.t_stop_us, 10_000)
        for rows in (1 << 20, 777, 50):
            most.append(0)
            chunks = opened.chunks(rows=rows)
            found.append(estimate(read_cvat(xml), clock, clock.start_us, 1, chunks, SEARCH))
    assert found[0] == found[1] == found[2]
    assert found[0][0].every == 27
    assert most[1] <= 500 + 777 and most[2] <= 550


def test_estimate__of_noise_alone_finds_nothing(scenes):
    from support import random_events

    events = random_events(8_000, (48, 64), stop_us=100_000, seed=5)
    clock = FrameClock.regular(100_000, 10_000)
    zigzag = [3, 9, 15, 21, 15, 9, 3, 9, 15, 21]
    moving = annotated(
        Track(0, "car", tuple(box(k, x, 9, x + 20, 30) for k, x in enumerate(zigzag)))
    )
    [found] = estimate(moving, clock, clock.start_us + 5_000, 1, [events], SEARCH)
    assert found.note
    assert math.isnan(found.offset_us) or found.offset_pm_us > 30_000


@pytest.mark.parametrize("name", ["back", "two", "even"])
@pytest.mark.parametrize(
    ("offset_us", "shift_px", "near", "limit"),
    [
        (23_000, (0, 0), {"max_offset_us": 10_000}, "10000 µs"),
        (-23_000, (0, 0), {"max_offset_us": 9_999, "max_shift_px": 1}, "9999 µs"),
        (0, (4, 0), {"max_shift_px": 2}, "2 px in x"),
        (0, (0, -4), {"max_shift_px": 2, "max_offset_us": 1_000}, "2 px in y"),
    ],
)
def test_estimate__at_the_limit_of_the_search_is_no_result(
    scenes, name, offset_us, shift_px, near, limit
):
    search = replace(SEARCH, **near)
    for found in misplaced(scenes, name, offset_us, shift_px, search):
        if name != "even":  # what moves evenly may be as much farther along its way
            assert found.note.startswith("cannot be told: at the limit of the search, ")
            assert math.isnan(found.offset_us)
        if name == "back":
            assert limit in found.note
        for value, most in (
            (found.offset_us, search.max_offset_us),
            *((shift, search.max_shift_px) for shift in found.shift_px),
        ):
            assert math.isnan(value) or abs(value) < most


def test_estimate__near_the_limit_of_the_search_is_a_result(scenes):
    search = AlignSettings(max_offset_us=32_000, max_shift_px=3)
    best = misplaced(scenes, "back", 23_000, (2, -1), search)[-1]
    assert abs(best.offset_us - 23_000) <= best.offset_pm_us
    assert "limit" not in best.note


def test_estimate__does_not_depend_on_chunks(scenes):
    store, xml = scenes["back"]
    with EventsStore(store) as opened:
        clock = FrameClock.regular(opened.t_stop_us, 10_000)
        found = [
            estimate(read_cvat(xml), clock, clock.start_us, 1, opened.chunks(rows=rows), SEARCH)
            for rows in (1 << 20, 777)
        ]
    assert found[0] == found[1]


# By hand


def test_align__prints_the_columns_that_put_it_right(scenes, tmp_path):
    store, xml = scenes["back"]
    with EventsStore(store) as opened:
        t_stop_us = opened.t_stop_us
    clock = FrameClock.regular(t_stop_us, 10_000)
    early = FrameClock(clock.start_us - 23_000, clock.stop_us - 23_000)
    write_clock(tmp_path / "c.tsv", early, Picture.for_video((47, 63)))
    found = steps.align(
        *(store, tmp_path / "c.tsv", xml),
        output=tmp_path / "t.tsv",
        plot=tmp_path / "p.svg",
        search=SEARCH,
    )
    names, cells = found.columns.split("\n")
    assert names == "annotate/time_offset_us"
    assert abs(int(cells) - 23_000) <= found.estimates[-1].offset_pm_us
    header, row = (tmp_path / "t.tsv").read_text().splitlines()
    assert header.startswith("track\tlabel\tevents\ton_outline\t")
    assert row.split("\t")[:2] == ["0", "car"]
    assert (tmp_path / "p.svg").read_text().startswith("<svg ")
    again = steps.align(
        *(store, tmp_path / "c.tsv", xml, steps.AnnotateSettings(time_offset_us=int(cells))),
        search=SEARCH,
    )
    assert again.columns is None
    moved = (1, 0, -3, 0, 1, 2, 0, 0, 1)
    settings = steps.AnnotateSettings(time_offset_us=23_000, homography=moved, clip=True)
    shifted = steps.align(store, tmp_path / "c.tsv", xml, settings, SEARCH)
    names, cells = shifted.columns.split("\n")
    assert names == "annotate/homography"
    matrix = np.array(json.loads(cells)).reshape(3, 3)
    assert np.abs(matrix - np.eye(3)).max() < 0.75


def test_align__says_which_part_of_the_events_was_taken(monkeypatch, caplog, scenes, tmp_path):
    store, xml = scenes["back"]
    steps.clock(store, tmp_path / "c.tsv")
    caplog.set_level("INFO", "evreel")
    monkeypatch.setattr(aligning, "_MOST_EVENTS", 3_000)
    found = steps.align(store, tmp_path / "c.tsv", xml, search=SEARCH)
    n = found.estimates[0].n_events
    assert f"track 0: one in 3 of the {n} events near it is taken" in caplog.messages


def test_align__takes_slices_as_it_takes_a_store(scenes, tmp_path):
    store, xml = scenes["back"]
    steps.clock(store, tmp_path / "c.tsv")
    steps.annotate(
        *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        rois=xml,
    )
    found = [
        steps.align(source, tmp_path / "c.tsv", xml, search=SEARCH).estimates
        for source in (store, tmp_path / "s.h5")
    ]
    assert found[0] == found[1]


def test_align__without_tracks_is_refused_and_columns_are_yaml(scenes, tmp_path):
    store, _ = scenes["back"]
    steps.clock(store, tmp_path / "c.tsv")
    (tmp_path / "a.xml").write_text(task(images(frame_names(range(30))), range(30)))
    with pytest.raises(AnnotationError, match="has no tracks, whose way could be held against"):
        steps.align(store, tmp_path / "c.tsv", tmp_path / "a.xml")
    for value in (1e-05, 1.5e-7, 0.25, -3.0, 1e12):
        assert yaml.safe_load(_in_yaml(value)) == value


# Kernels


def test_distances__are_those_of_the_nearest_point_of_a_line():
    outline = np.array([[6.0, 5.0], [30.5, 9.0], [17.0, 31.0]])
    for closed in (True, False):
        distance = np.full((36, 40), 99, np.float32)
        draw_distances(outline, closed, 4.5, 2, distance)
        ends = np.roll(outline, -1, axis=0)
        sides = list(zip(outline, ends, strict=True))[: 3 if closed else 2]
        for row, column in np.ndindex(36, 40):
            centre = np.array([column + 0.5, row + 0.5])
            exact = math.inf
            for a, b in sides:
                share = np.clip((centre - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
                exact = min(exact, float(np.hypot(*(centre - a - share * (b - a)))) / 2)
            if exact <= 4.5:
                assert abs(distance[row, column] - exact) < 1e-5
            else:
                assert distance[row, column] > 4.4


def test_scores__are_sums_of_weights_event_by_event():
    rng = np.random.default_rng(8)
    n, frames, fine = 200, 6, 4
    t = np.sort(rng.integers(0, 6_000, n))
    x, y = rng.integers(0, 20, (2, n)).astype(np.uint16)
    instant = np.arange(frames) * 1_000 + 500
    half = np.full(frames, 500)
    speed, corner = rng.normal(0, 2e-3, (frames, 2)), rng.uniform(-2, 8, (frames, 2))
    shape = rng.integers(20, 50, (frames, 2))
    sizes = shape.prod(axis=1)
    first = np.cumsum(sizes) - sizes
    weights = rng.normal(size=int(sizes.sum())).astype(np.float32)
    block = np.arange(frames) // 3
    offsets = np.array([-700, 0, 300])
    shifts_x, shifts_y = np.array([-1.0, 0.0, 0.25]), np.array([0.0, 2.5])
    score = np.zeros((2, 3, 2, 3))
    add_scores(
        *(t, x, y, instant, half, speed, corner, block, first, shape, weights, fine),
        *(offsets, shifts_x, shifts_y, score),
    )
    expected = np.zeros_like(score)
    for a, j, i in np.ndindex(3, 2, 3):
        for event in range(n):
            for k in range(frames):
                passed = int(t[event]) - int(offsets[a]) - int(instant[k])
                if not -500 <= passed < 500:
                    continue
                px = x[event] + 0.5 - corner[k, 0] - speed[k, 0] * passed - shifts_x[i]
                py = y[event] + 0.5 - corner[k, 1] - speed[k, 1] * passed - shifts_y[j]
                row, column = math.floor(py * fine), math.floor(px * fine)
                if 0 <= row < shape[k, 0] and 0 <= column < shape[k, 1]:
                    expected[block[k], a, j, i] += weights[first[k] + row * shape[k, 1] + column]
    np.testing.assert_allclose(score, expected, atol=1e-4)
    assert np.abs(expected).max() > 1
