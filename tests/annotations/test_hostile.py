"""Odd and hostile geometry: what becomes of it, each stated."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Box, Ellipse, Mask, Points, Polyline, Track
from evreel.errors import AnnotationError
from evreel.events import Sensor
from evreel.video.picture import Picture
from support import random_events
from support.annotations import CLOCK, annotated, box, label, polygon, still
from support.regions import assert_labels, plain_labels

SENSOR = Sensor(24, 32)
PICTURE = Picture(tuple(SENSOR))
BOTH = pytest.mark.parametrize("at", ["frame", "event"])


def labelled(scene, at, **more):
    """Return how many of 2,000 random events are in a region."""
    events = random_events(2_000, SENSOR, stop_us=100, seed=3)
    return int((label(scene, events, at=at, clip=True, **more).roi >= 0).sum())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e10, 1e300])
@pytest.mark.parametrize(
    "shape",
    [
        box(2, 1, 1, 5, 5),
        polygon(2, (1, 1), (5, 1), (3, 5)),
        Ellipse(2, np.array([[5.0, 5], [2, 2]])),
        Points(2, np.array([[3.0, 3]])),
    ],
)
def test_coordinate__that_is_no_place_is_refused_even_if_shapes_may_be_clipped(shape, value):
    points = shape.points.copy()
    points[-1, -1] = value
    scene = annotated(Track(3, "car", (replace(shape, points=points),)), source="a.xml")
    message = rf"^a\.xml: track 3 \('car'\), frame 2: {shape.name} has the coordinate"
    with pytest.raises(AnnotationError, match=message):
        Regions(scene, CLOCK, PICTURE, clip=True)


def test_angle__that_is_no_number_is_refused():
    turned = Box(0, np.array([[1.0, 1], [5, 5]]), rotation=np.nan)
    with pytest.raises(AnnotationError, match="box has the coordinate nan"):
        Regions(annotated(still(turned, [0])), CLOCK, PICTURE)


@BOTH
def test_closing_shape__may_be_nowhere(at):
    """Of a shape that closes a track, only the frame matters."""
    for of in (box(0, 4, 4, 20, 20), polygon(0, (4, 4), (20, 4), (12, 20))):
        gone = replace(of, frame=4, points=of.points * np.nan, outside=True)
        stays = annotated(Track(0, "car", tuple(replace(of, frame=k) for k in range(4))))
        assert labelled(annotated(Track(0, "car", (of, gone))), at) == labelled(stays, at) > 0


@BOTH
def test_negative_coordinates__are_an_error_or_clipped(at):
    scene = annotated(still(box(0, -8, -9, 5, 6), range(10)))
    with pytest.raises(AnnotationError, match=r"reaches x=-8\.0, outside the 32 px wide picture"):
        Regions(scene, CLOCK, PICTURE)
    inside = annotated(still(box(0, 0, 0, 5, 6), range(10)))
    assert labelled(scene, at) == labelled(inside, at) > 0
    assert Regions(scene, CLOCK, PICTURE, clip=True).boxes()["w"].tolist() == [5] * 10


@BOTH
def test_shape__wholly_outside_labels_nothing_and_has_no_box_but_a_row(at):
    shapes = [
        box(0, -20, -20, -10, -10),
        box(0, 40, 1, 50, 9),
        polygon(0, (0, 90), (9, 90), (5, 99)),
        Ellipse(0, np.array([[-50.0, 5], [9, 9]])),
        Points(0, np.array([[500.0, 5]])),
        Mask(0, np.array([[40.0, 40], [42, 42]]), runs=(0, 4)),
    ]
    scene = annotated(*(still(shape, [0, 1], k) for k, shape in enumerate(shapes)))
    assert labelled(scene, at, margin_px=1.0) == 0
    regions = Regions(scene, CLOCK, PICTURE, clip=True)
    assert (len(regions.boxes()), regions.n_shapes) == (0, 12)
    assert regions.repairs["clipped_shapes"] == 12


@BOTH
def test_shape__without_area_labels_nothing_unless_it_has_a_margin(at):
    flat = [
        Box(0, np.array([[3.0, 3], [3, 20]])),
        polygon(0, (3, 3), (20, 3), (9, 3)),
        polygon(0, (5, 5), (5, 5), (5, 5)),
        Ellipse(0, np.array([[5.0, 5], [0, 4]])),
        Mask(0, np.array([[2.0, 2], [4, 4]]), runs=(4,)),
    ]
    for shape in flat:
        scene = annotated(still(shape, range(10)))
        assert labelled(scene, at) == 0, shape
    assert labelled(annotated(still(flat[1], range(10))), at, margin_px=1.0) > 0
    line = annotated(still(Polyline(0, np.array([[5.0, 5], [5, 5]])), range(10)))
    assert labelled(line, at) == labelled(
        annotated(still(Points(0, np.array([[5.0, 5]])), range(10))), at
    )


@BOTH
def test_polygon__that_crosses_itself_follows_the_even_odd_rule(at):
    star = [
        (16.0 + 11 * x, 12.0 + 11 * y)
        for x, y in np.array([[0, -1], [0.59, 0.81], [-0.95, -0.31], [0.95, -0.31], [-0.59, 0.81]])
    ]
    scene = annotated(still(polygon(0, *star), range(10)))
    events = random_events(800, SENSOR, stop_us=100, seed=1)
    got = label(scene, events, at=at)
    assert_labels(got, plain_labels(scene, events, CLOCK, PICTURE))
    middle = (np.abs(events.x + 0.5 - 16) < 2) & (np.abs(events.y + 0.5 - 12) < 2)
    assert middle.any()
    assert (got.roi[middle] == -1).all()


@BOTH
def test_ten_thousand_tracks__are_labelled_as_few_are(at):
    rng = np.random.default_rng(2)
    tracks = []
    for number, (x, y) in enumerate(rng.uniform(0, [30, 22], (10_000, 2)).tolist()):
        shapes = (box(0, x, y, x + 2, y + 2), box(1, x + 0.5, y, x + 2.5, y + 2))
        tracks.append(Track(number, "car", shapes))
    events = random_events(12, SENSOR, stop_us=20, seed=5)
    picture = Picture(tuple(SENSOR))
    got = label(annotated(*tracks), events, at=at, instant="stop", clip=True)
    if at == "frame":
        assert_labels(got, plain_labels(annotated(*tracks), events, CLOCK, picture))
    assert (got.roi >= 0).all()
    assert len(got.overlap_event) > 400


@BOTH
def test_mask__that_is_huge_needs_memory_for_the_sensor_alone(at):
    side = 16_384
    whole = Mask(0, np.array([[0.0, 0.0], [side, side]]), runs=(5, side * side - 5))
    stripes = Mask(0, np.array([[0.0, 0.0], [side, 2]]), runs=(1,) * (2 * side))
    scene = annotated(still(whole, range(2)), still(stripes, range(2), 1))
    events = random_events(3_000, SENSOR, stop_us=20, seed=5)
    label(scene, events, at=at, clip=True)
    tracemalloc.start()
    try:
        got = label(scene, events, at=at, clip=True)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    corner = (events.y == 0) & (events.x < 5) & (events.x % 2 == 0)
    np.testing.assert_array_equal(got.roi == -1, corner)
