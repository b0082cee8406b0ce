"""Where a shape is at an event's own time: between the instants of two listed ones."""

from __future__ import annotations

import itertools
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.annotations import correspondence
from evreel.annotations.figures import motion
from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    Points,
    Polygon,
    Polyline,
    Skeleton,
    Track,
)
from evreel.events import Events, Sensor
from evreel.kernels.regions import MOST_BITS, keep_order
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events
from support.annotations import CLOCK, annotated, box, label, polygon
from support.regions import assert_labels, plain_labels
from support.stores import pieces

SENSOR = Sensor(6, 40)


def instant_of(clock, frame, instant):
    beyond = max(frame - (len(clock) - 1), 0)
    k = min(frame, len(clock) - 1)
    start, stop = int(clock.start_us[k]), int(clock.stop_us[k])
    at = {"start": start, "middle": start + (stop - start) // 2, "stop": stop}[instant]
    return at + beyond * int(clock.stop_us[-1] - clock.start_us[-1])


def plainly(clock, instant):
    """Return the slow twin: what a track shows at a time in a frame."""

    def shown_at(track, of_frame, frame, t):
        for left, right in itertools.pairwise(track.shapes):
            start, stop = (instant_of(clock, s.frame, instant) for s in (left, right))
            rests = left.outside or left.alone
            closes = right.outside and right.frame == left.frame + 1
            if rests or closes or not left.frame <= frame <= right.frame:
                continue
            if start <= t < stop:
                if type(left) is type(right) and isinstance(left, Polygon | Polyline):
                    one, other = left.matched(right)
                    return replace(left, points=one + (t - start) / (stop - start) * (other - one))
                return left.at(right, (t - start) / (stop - start), frame)
        # It rests: at the shape of the frame, which is listed then.
        return next(s for s in track.shapes if s.frame == frame)

    return shown_at


def one_row(t, at="event", instant="middle", scene=None, clock=CLOCK):
    """Return which columns of the first row are in a region, for an event in each at time t."""
    n = SENSOR.width
    events = Events(np.full(n, t), np.arange(n), np.zeros(n, int), np.zeros(n, int), SENSOR)
    got = label(scene, events, clock=clock, at=at, instant=instant, clip=True)
    return np.flatnonzero(got.roi == 0).tolist()


# A box of 4 px that moves by 10 px from frame 1 to frame 2, and closes in frame 3.
MOVES = annotated(
    Track(
        0,
        "car",
        (box(1, 0, 0, 4, 6), box(2, 10, 0, 14, 6), box(3, 10, 0, 14, 6, outside=True)),
    )
)


@pytest.mark.parametrize(
    ("instant", "left_edges"),
    [
        # From 15 to 25 µs, a px a µs; at rest before and after, in the frames that show it.
        ("middle", {9: None, 10: 0, 14: 0, 15: 0, 17: 2, 24: 9, 25: 10, 29: 10, 30: None}),
        ("start", {10: 0, 12: 2, 19: 9, 20: 10, 29: 10, 30: None}),
        ("stop", {9: None, 10: 0, 19: 0, 20: 0, 22: 2, 29: 9, 30: None}),
    ],
)
def test_box__is_on_its_way_between_the_instants_of_two_frames(instant, left_edges):
    for t, left in left_edges.items():
        expected = [] if left is None else list(range(left, left + 4))
        assert one_row(t, instant=instant, scene=MOVES) == expected, f"t={t}"
        at_frame = {1: [0, 1, 2, 3], 2: [10, 11, 12, 13]}.get(t // 10, [])
        assert one_row(t, at="frame", instant=instant, scene=MOVES) == at_frame, f"t={t}"


def test_box__rests_beside_what_is_alone_or_closes():
    first, second = box(1, 0, 0, 4, 6), box(2, 10, 0, 14, 6)
    for shapes in (
        (replace(first, alone=True), second),
        (first, replace(second, points=first.points + 30, outside=True)),
    ):
        scene = annotated(Track(0, "car", shapes))
        assert one_row(19, scene=scene) == [0, 1, 2, 3]
    away = annotated(Track(0, "car", (replace(first, outside=True), second)))
    assert (one_row(19, scene=away), one_row(20, scene=away)) == ([], [10, 11, 12, 13])


def test_gap__is_crossed_in_time_until_the_frame_that_closes_it():
    """Frames of 10 and 30 µs: half of the way is a matter of time, not of numbers."""
    clock = FrameClock([0, 10, 40, 50], [10, 40, 50, 60])
    four = {"frames": range(4)}
    scene = annotated(Track(0, "car", (box(0, 0, 0, 4, 6), box(2, 20, 0, 24, 6))), **four)
    assert one_row(25, scene=scene, clock=clock) == [10, 11, 12, 13]  # from 5 to 45 µs
    last = box(2, 20, 0, 24, 6, outside=True)
    closes = annotated(Track(0, "car", (box(0, 0, 0, 4, 6), last)), **four)
    assert one_row(25, scene=closes, clock=clock) == [10, 11, 12, 13]
    assert one_row(39, scene=closes, clock=clock) == [17, 18, 19, 20]
    assert one_row(40, scene=closes, clock=clock) == []


def test_time_between_frames__is_in_no_region():
    clock = FrameClock([0, 20], [10, 30], source="frames")
    scene = annotated(Track(0, "car", (box(0, 0, 0, 4, 6), box(1, 20, 0, 24, 6))), frames=(0, 1))
    assert [bool(one_row(t, scene=scene, clock=clock)) for t in (9, 10, 19, 20)] == [
        *(True, False, False, True)
    ]


def test_closing_frame__may_lie_beyond_the_clock():
    scene = annotated(Track(0, "car", (box(8, 0, 0, 4, 6), box(10, 20, 0, 24, 6, outside=True))))
    assert one_row(95, scene=scene) == [10, 11, 12, 13]


@pytest.mark.parametrize("kind", ["box", "ellipse", "polygon", "skeleton", "points"])
def test_motion__is_that_of_the_shapes(kind):
    rng = np.random.default_rng(3)
    shown = {"joints": ("a", "b"), "visible": (True, False), "hidden": (False, False)}
    for share in (0.25, 0.7):
        one, other = rng.uniform(1, 9, (2, 3, 2))
        left, right = {
            "box": (Box(0, one[:2], rotation=350.0), Box(1, other[:2], rotation=30.0)),
            "ellipse": (Ellipse(0, one[:2], rotation=10.0), Ellipse(1, other[:2])),
            "polygon": (Polygon(0, one), Polygon(1, other)),
            "skeleton": (Skeleton(0, one[:2], **shown), Skeleton(1, other[:2], **shown)),
            "points": (Points(0, one[:1]), Points(1, other[:1])),
        }[kind]
        way, there = motion(left, right), left.at(right, share, 0)
        moved = way.start + share * (way.stop - way.start)
        n = 2 if kind == "skeleton" else there.points.size
        np.testing.assert_array_equal(moved[:n], there.points.ravel()[:n])
    assert motion(Points(0, one), Points(1, other)) is None
    assert motion(Box(0, one[:2]), Polygon(1, other)) is None
    assert motion(left, replace(right, joints=("a", "c"))) is None if kind == "skeleton" else True


@st.composite
def tracks(draw):
    """Draw tracks of boxes, ellipses and triangles that turn, close, come back and stand alone."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        frames = sorted(draw(st.sets(st.integers(0, 9), min_size=1, max_size=5)))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        kind = draw(st.sampled_from([Box, Ellipse, Polygon]))
        shapes = []
        for frame in frames:
            more = {
                "outside": bool(rng.integers(5) == 0),
                "alone": bool(rng.integers(5) == 0),
                "z_order": int(rng.integers(2)),
            }
            x, y, w, h = rng.integers(0, [100, 16, 48, 24]) / 4
            if kind is Polygon:
                corners = rng.integers(0, [160, 24], (3, 2)) / 4
                shapes.append(Polygon(frame, corners, **more))
                continue
            rotation = float(rng.choice([0.0, 0.0, 30.0, 340.0]))
            corners = [(x, y), (x + w + 1, y + h + 1)] if kind is Box else [(x, y), (w + 1, h + 1)]
            shapes.append(kind(frame, np.array(corners), rotation=rotation, **more))
        found.append(Track(number, "car", tuple(shapes)))
    return annotated(*found)


@settings(max_examples=60, deadline=None)
@given(
    tracks(),
    st.sampled_from(["start", "middle", "stop"]),
    st.sampled_from([0.0, 0.75]),
    st.integers(1, 2),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1e9]),
)
def test_labels__equal_a_search_at_the_time_of_every_event(
    scene, instant, margin, scale, seed, dense
):
    events = random_events(250, SENSOR, stop_us=110, seed=seed % 1000)
    picture = Picture(tuple(SENSOR), scale)
    for clock in (CLOCK, FrameClock(np.arange(0, 100, 10), np.arange(7, 107, 10), "frames")):
        with mock.patch("evreel.annotations.labelling.DENSE", dense):
            got = label(
                *(scene, events, clock, picture),
                **{"at": "event", "instant": instant, "margin_px": margin, "clip": True},
            )
        twin = plainly(clock, instant)
        assert_labels(
            got, plain_labels(scene, events, clock, picture, margin_px=margin, shown_at=twin)
        )


@pytest.mark.parametrize("scale", [1, 3])
def test_labels__are_the_same_whether_frames_are_painted_first_or_not(scale, monkeypatch):
    rng = np.random.default_rng(8)
    names = {"joints": ("a", "b"), "visible": (True, True), "hidden": (False, False)}
    ways = []
    for number in range(24):
        of = (Box, Ellipse, Polygon, Polyline, Cuboid, Points, Skeleton, Box)[number % 8]
        shapes = []
        for frame in range(0, 10, 1 + number % 3):
            x, y = rng.uniform(0, [30 * scale, 4 * scale])
            corners = {Polygon: 5, Polyline: 4, Cuboid: 8, Points: 1}.get(of, 2)
            drawn = np.array([x, y]) + rng.uniform(0, [12 * scale, 5 * scale], (corners, 2))
            more = names if of is Skeleton else {}
            if of is Box:
                drawn = np.array([[x, y], [x + 9 * scale, y + 2 * scale]])
                more = {"rotation": float(frame * (number % 16))}
            elif of is Ellipse:
                drawn[1] = [5 * scale, 1.5 * scale]
            shapes.append(of(frame, drawn, **more))
        ways.append(Track(number, "car", tuple(shapes)))
    events = random_events(6_000, SENSOR, stop_us=100, seed=4)
    how = {"at": "event", "clip": True, "picture": Picture(tuple(SENSOR), scale), "margin_px": 0.3}
    found = []
    for dense in (0.0, 1e9):
        monkeypatch.setattr("evreel.annotations.labelling.DENSE", dense)
        found.append(label(annotated(*ways), events, **how))
    assert len(found[0].overlap_event) > 5_000
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_labels__leave_nothing_painted_for_the_next_events(monkeypatch):
    monkeypatch.setattr("evreel.annotations.labelling.DENSE", 0.0)
    rng = np.random.default_rng(6)
    ways = []
    for number, of in enumerate((Box, Box, Ellipse, Polygon, Polyline, Cuboid, Points)):
        n = {Polygon: 5, Polyline: 4, Cuboid: 8, Points: 1}.get(of, 2)
        shapes = []
        for frame in range(0, 10, 3):
            drawn = rng.uniform([5, 0], [30, 3]) + rng.uniform(0, [9, 3], (n, 2))
            if of is Box:
                drawn = np.sort(drawn, axis=0) + np.array([[0], [1]])
            more = {"rotation": 20.0 * frame} if number == 1 else {}
            shapes.append(of(frame, drawn, **more))
        ways.append(Track(number, "car", tuple(shapes)))
    regions = Regions(annotated(*ways), CLOCK, Picture(tuple(SENSOR)), clip=True, margin_px=0.3)
    annotator = Annotator(regions, at="event")
    for part in pieces(random_events(600, SENSOR, stop_us=100, seed=1), 60):
        annotator.label(part)
        assert not annotator._sure.any()
        assert not annotator._maybe.any()


@pytest.mark.parametrize("n", [40, MOST_BITS, MOST_BITS + 1, 130])
def test_labels__do_not_depend_on_chunks_nor_room_nor_on_what_is_painted(n, monkeypatch):
    rng = np.random.default_rng(5)
    crowd = []
    for number in range(n):
        x, y = rng.uniform(0, [20, 2])
        shapes = (box(0, x, y, x + 15, y + 3), box(9, x + 5, y, x + 20, y + 4))
        crowd.append(Track(number, "car", shapes))
    events = random_events(2_000 if n < 100 else 500, SENSOR, stop_us=100, seed=2)
    for at in ("frame", "event"):
        whole = label(annotated(*crowd), events, at=at)
        assert len(whole.overlap_event) > 10_000
        if at == "frame":
            few = Events(*(getattr(events, c)[:40] for c in "txyp"), SENSOR)
            twin = plain_labels(annotated(*crowd), few, CLOCK, Picture(tuple(SENSOR)))
            assert_labels(label(annotated(*crowd), few), twin)
        monkeypatch.setattr("evreel.annotations.labelling.LEAST_ROOM", 1)
        monkeypatch.setattr("evreel.annotations.labelling.MOST_ROWS", 70)
        monkeypatch.setattr("evreel.annotations.labelling.MOST_WORDS", 50)
        for rows, dense in ((None, 1e9), (7, 0.0), (300, 0.0), (300, 1e9)):
            monkeypatch.setattr("evreel.annotations.labelling.DENSE", dense)
            got = label(annotated(*crowd), events, rows=rows, at=at)
            for column, expected in zip(got, whole, strict=True):
                np.testing.assert_array_equal(column, expected)
        monkeypatch.undo()


def test_event_mode__labels_what_stands_still_as_frame_mode_does():
    still = annotated(Track(0, "car", tuple(polygon(k, (1, 1), (30, 2), (9, 5)) for k in range(9))))
    events = random_events(3_000, SENSOR, stop_us=110, seed=3)
    for one, other in zip(
        label(still, events), label(still, events, at="event", instant="stop"), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 7), st.booleans(), st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 9.0]))
def test_vertices__that_keep_their_order_are_those_of_the_correspondence(n, closed, seed, spread):
    rng = np.random.default_rng(seed)
    left = rng.uniform(0, 20, (n, 2))
    right = left + rng.normal(0, spread, (n, 2))
    same = np.empty(1, dtype=bool)
    pool = np.concatenate([left.ravel(), right.ravel()])
    sizes = np.array([2 * n])
    keep_order(pool, np.array([0]), sizes, sizes, np.array([closed]), same)
    one, other = correspondence.matched(left, right, closed=closed)
    if same[0]:
        assert (one.tolist(), other.tolist()) == (left.tolist(), right.tolist())
    moved = np.empty(1, dtype=bool)
    pool = np.concatenate([left.ravel(), left.ravel() + 3.0])
    keep_order(pool, np.array([0]), sizes, sizes, np.array([closed]), moved)
    assert moved[0], "it only moved"


# Boxes


def test_boxes__at_given_times_are_those_of_the_frame_before_or_of_that_very_time():
    regions = Regions(MOVES, CLOCK, Picture(tuple(SENSOR)))
    times = [10, 11, 15, 20, 25, 30, 31, 500]
    found = regions.boxes(times)
    assert list(zip(found["t"].tolist(), found["x"].tolist(), strict=True)) == [
        *((11, 0), (15, 0), (20, 0), (25, 10), (30, 10)),
    ]
    found = regions.boxes(times, at="event")
    assert list(zip(found["t"].tolist(), found["x"].tolist(), strict=True)) == [
        *((11, 0), (15, 0), (20, 5), (25, 10), (30, 10)),
    ]
    wide = Track(0, "car", (Points(0, np.array([[3.0, 3]])), Points(4, np.array([[11.0, 3]]))))
    found = Regions(annotated(wide), CLOCK, Picture(tuple(SENSOR))).boxes([25], at="event")
    assert (found["x"].tolist(), found["w"].tolist()) == ([5], [4])


@pytest.mark.parametrize("of", [Polygon, Polyline])
def test_boxes__of_an_outline_hold_what_labels_events_at_that_time(of):
    """Also where vertices come so close that a picture between key frames has fewer of them."""
    corners = np.array([[2.0, 1], [9, 1], [9, 3], [10, 3], [12, 5], [2, 5]])
    left, right = of(0, corners), of(4, corners[[0, 1, 4, 5]] + [9, 0])
    regions = Regions(annotated(Track(0, "car", (left, right))), CLOCK, Picture(tuple(SENSOR)))
    points, following = left.matched(right)
    for t in range(6, 45):
        [found] = regions.boxes([t], at="event")
        there = points + (t - 5) / 40 * (following - points)
        reach = 2.0 if of is Polyline else 0.0
        low, high = np.maximum(there.min(axis=0) - reach, 0), there.max(axis=0) + reach
        size = np.minimum(high, [40, 6]) - low
        got = [found[name] for name in ("x", "y", "w", "h")]
        np.testing.assert_allclose(got, [*low, *size], atol=1e-5)


def test_boxes__at_the_ends_of_frames_are_those_of_the_frames():
    regions = Regions(MOVES, CLOCK, Picture(tuple(SENSOR)))
    np.testing.assert_array_equal(regions.boxes(CLOCK.stop_us), regions.boxes())
