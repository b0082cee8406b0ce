"""Which pixels each kind of shape covers: by one rule, however they are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.annotations.figures import KIND, figure
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
    convex_hull,
    cos_sin,
)
from evreel.events import Events, Sensor
from evreel.kernels import regions as kernels
from evreel.layout import SHAPE_KINDS
from evreel.video.picture import Picture
from support.annotations import CLOCK, annotated, box, label, polygon, still
from support.regions import area_of, assert_labels, plain_labels

SENSOR = Sensor(7, 9)
QUARTERS = st.integers(-8, 60).map(lambda n: n / 4)
POINT = st.tuples(QUARTERS, QUARTERS)
DEGREES = st.sampled_from([0.0, 0.0, 90.0, 45.0, 200.5, -30.0, 360.0])
SIZE = st.integers(1, 40).map(lambda n: n / 4)


def points(least, most):
    return st.lists(POINT, min_size=least, max_size=most).map(lambda rows: np.array(rows))


@st.composite
def shapes(draw, kinds=SHAPE_KINDS):
    """Draw a shape of any kind around a picture of 14 × 18 px."""
    kind = draw(st.sampled_from(kinds))
    more = {"z_order": draw(st.integers(0, 1))}
    if kind in ("box", "ellipse"):
        (x, y), w, h = draw(POINT), draw(SIZE), draw(SIZE)
        corners = [(x, y), (x + w, y + h)] if kind == "box" else [(x, y), (w, h)]
        of = Box if kind == "box" else Ellipse
        return of(0, np.array(corners), rotation=draw(DEGREES), **more)
    if kind == "mask":
        x, y = draw(st.tuples(st.integers(-2, 10), st.integers(-2, 10)))
        w, h = draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
        cuts = sorted(draw(st.lists(st.integers(0, w * h), max_size=6)))
        runs = np.diff([0, *cuts, w * h]).tolist()
        return Mask(0, np.array([[x, y], [x + w, y + h]], dtype=float), runs=tuple(runs), **more)
    if kind == "skeleton":
        drawn = draw(points(1, 4))
        shown = draw(st.lists(st.booleans(), min_size=len(drawn), max_size=len(drawn)))
        names = tuple(map(str, range(len(drawn))))
        return Skeleton(
            0, drawn, joints=names, visible=tuple(shown), hidden=(False,) * len(drawn), **more
        )
    if kind == "cuboid":
        drawn = draw(points(8, 8).filter(lambda rows: Cuboid.fault(rows) is None))
        return Cuboid(0, drawn, **more)
    of, least = {"polygon": (Polygon, 3), "polyline": (Polyline, 2), "points": (Points, 1)}[kind]
    return of(0, draw(points(least, 6)), **more)


def every_pixel(sensor=SENSOR, t=3):
    y, x = np.mgrid[: sensor.height, : sensor.width]
    n = sensor.height * sensor.width
    return Events(np.full(n, t), x.ravel(), y.ravel(), np.zeros(n, dtype=int), sensor)


def in_frame_0(*drawn):
    return annotated(*(still(shape, [0], k) for k, shape in enumerate(drawn)))


def pixels(*drawn, **more):
    """Return rows of text: which shape each pixel is in, one letter a pixel."""
    roi = label(in_frame_0(*drawn), every_pixel(), clip=True, **more).roi.reshape(SENSOR)
    return ["".join("." if k < 0 else "abcdefgh"[k] for k in row) for row in roi]


@settings(max_examples=120, deadline=None)
@given(
    st.lists(shapes(), max_size=4),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.0, 0.5, 1.25]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.sampled_from(["frame", "event"]),
    st.permutations(["z_order", "area", "track"]),
)
def test_labels__equal_a_search_of_every_shape_for_every_pixel(
    drawn, scale, margin, radius, at, primary
):
    scene, events, picture = in_frame_0(*drawn), every_pixel(), Picture(tuple(SENSOR), scale)
    how = {"radius_px": radius, "margin_px": margin, "primary": primary}
    got = label(scene, events, picture=picture, clip=True, at=at, **how)
    assert_labels(got, plain_labels(scene, events, CLOCK, picture, **how))


@settings(max_examples=60, deadline=None)
@given(st.lists(shapes(), min_size=1, max_size=3), st.sampled_from([0.0, 1.5]))
def test_areas__are_those_of_each_kind(drawn, radius):
    figures = [figure(shape) for shape in drawn]
    place = np.cumsum([0, *(len(one.numbers) for one in figures)])
    area = np.empty(len(drawn))
    kinds = np.array([one.kind for one in figures], dtype=np.int8)
    kernels.areas(kinds, place, np.concatenate([one.numbers for one in figures]), radius, area)
    np.testing.assert_allclose(area, [area_of(shape, radius) for shape in drawn], atol=1e-9)


def test_kinds__are_those_of_classes_layout_and_kernels():
    assert {shape.name for shape in Shape.__subclasses__()} == set(SHAPE_KINDS)
    for name, number in KIND.items():
        assert getattr(kernels, name.upper()) == number == SHAPE_KINDS.index(name)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1000, 1000), points(1, 8))
def test_kernels__turn_and_span_as_shapes_do(degrees, drawn):
    assert kernels.cos_sin(degrees) == cos_sin(degrees)
    out = np.empty(16 + kernels.MOST_MORE)
    n = kernels.hull(drawn.ravel(), 0, drawn.size, out, 0)
    assert out[:n].reshape(-1, 2).tolist() == convex_hull(drawn).tolist()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            Ellipse(0, np.array([[4.0, 3.0], [3.0, 2.0]])),
            "......... ..aaaa... .aaaaaa.. .aaaaaa.. ..aaaa... ......... .........",
        ),
        (
            # Its extreme points are centres: those at its left and its top are in it.
            Ellipse(0, np.array([[4.5, 3.5], [2.0, 2.0]])),
            "......... ....a.... ...aaa... ..aaaa... ...aaa... ......... .........",
        ),
        (
            Box(0, np.array([[1.0, 2.0], [7.0, 4.0]]), rotation=90.0),
            "...aa.... ...aa.... ...aa.... ...aa.... ...aa.... ...aa.... .........",
        ),
        (
            Points(0, np.array([[1.0, 1.0], [6.5, 4.5]])),
            "aaa...... aaa...... aa....a.. .....aaa. ....aaaa. .....aaa. .........",
        ),
        (
            Polyline(0, np.array([[2.5, 2.5], [5.5, 2.5]])),
            "......... ..aaaa... .aaaaa... ......... ......... ......... .........",
        ),
        (
            Skeleton(0, np.array([[1.0, 1.0], [7.0, 5.0]]), visible=(False, True)),
            "......... ......... ......... ......aa. .....aaaa .....aaaa ......aa.",
        ),
        (
            Mask(0, np.array([[2.0, 1.0], [5.0, 3.0]]), runs=(1, 1, 1, 3)),
            "......... ...a..... ..aaa.... ......... ......... ......... .........",
        ),
    ],
)
def test_pixels__of_each_kind_are_those_worked_out_by_hand(shape, expected):
    radius = 1.0 if isinstance(shape, Polyline) else 2.0
    for at in ("frame", "event"):
        assert pixels(shape, radius_px=radius, at=at) == expected.split()


def test_cuboid__covers_the_hull_of_its_corners():
    front = [(1, 2), (1, 5), (4, 2), (4, 5)]
    back = [(x + 3, y - 1) for x, y in front]
    corners = np.array([*front, *back], dtype=float)
    expected = pixels(polygon(0, *convex_hull(corners)))
    assert pixels(Cuboid(0, corners)) == expected
    assert sum(row.count("a") for row in expected) > 12


def test_mask__at_a_scale_labels_the_pixel_that_holds_a_centre():
    """At scale 2, the centre of a sensor pixel is a corner of four: the lower right one has it."""
    mask = Mask(0, np.array([[0.0, 0.0], [4.0, 2.0]]), runs=(5, 1, 2))
    assert pixels(mask, picture=Picture(tuple(SENSOR), 2))[0] == "a........"
    other = Mask(0, np.array([[0.0, 0.0], [4.0, 2.0]]), runs=(0, 5, 3))
    assert pixels(other, picture=Picture(tuple(SENSOR), 2))[0] == "." * 9


def test_margin__grows_each_kind_as_it_says():
    corner = box(0, 3, 2, 5, 4)
    grown = "......... ..aaaa... ..aaaa... ..aaaa... ..aaaa... ......... ........."
    assert pixels(corner, margin_px=1.0) == grown.split()
    sides = polygon(0, (3, 2), (5, 2), (5, 4), (3, 4))
    # A margin of 0.6 reaches the centres beside a side, and not those beside a corner.
    round_ = "......... ...aa.... ..aaaa... ..aaaa... ...aa.... ......... ........."
    assert pixels(sides, margin_px=0.6) == round_.split()
    mask = Mask(0, np.array([[3.0, 2.0], [5.0, 4.0]]), runs=(0, 4))
    assert pixels(mask, margin_px=0.6) == round_.split()
    point = Points(0, np.array([[4.5, 3.5]]))
    assert pixels(point, margin_px=1.0, radius_px=1.0) == pixels(point, radius_px=2.0)
    disc = Ellipse(0, np.array([[4.5, 3.5], [1.0, 1.0]]))
    assert pixels(disc, margin_px=1.0) == pixels(point, radius_px=2.0)


def test_radius_and_margin__are_sensor_pixels_at_any_scale():
    for shape in (Points(0, np.array([[4.0, 3.0]])), polygon(0, (2, 2), (6, 2), (4, 5))):
        large = type(shape)(0, shape.points * 3)
        how = {"radius_px": 1.5, "margin_px": 0.75}
        assert pixels(large, picture=Picture(tuple(SENSOR), 3), **how) == pixels(shape, **how)


def test_turned_boxes_with_a_common_side__share_no_pixel_and_lose_none():
    cosine, sine = cos_sin(30.0)
    left = Box(0, np.array([[2.0, 2.0], [4.0, 5.0]]), rotation=30.0)
    shift = np.array([2 * cosine, 2 * sine])
    right = Box(0, left.points + shift, rotation=30.0)
    both = Box(0, np.array([[2.0, 2.0], [6.0, 5.0]]) + (shift - [2, 0]) / 2, rotation=30.0)
    got = label(in_frame_0(left, right), every_pixel(), clip=True)
    assert not len(got.overlap_event)
    whole = label(in_frame_0(both), every_pixel(), clip=True)
    assert ((got.roi >= 0) == (whole.roi >= 0)).all()


def test_boxes__have_the_width_of_points_and_lines():
    scene = in_frame_0(Points(0, np.array([[4.0, 3.0]])), Polyline(0, np.array([[2.0, 6], [6, 6]])))
    found = Regions(scene, CLOCK, Picture(tuple(SENSOR)), radius_px=1.5).boxes()
    assert [found[name].tolist() for name in "xywh"] == [[2.5, 0.5], [1.5, 4.5], [3, 7], [3, 2.5]]
