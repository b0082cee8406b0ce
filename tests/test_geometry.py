"""Geometry: events, finished frames and boxes end up in the same pixels, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import EventsError, LayoutError, ParameterError, UsageError
from evreel.events import Events, Sensor
from evreel.filters import Crop, Orientation
from evreel.geometry import EventMap, FrameMap, Geometry
from evreel.layout import BOX_DTYPE
from support import random_events, shared_file

SENSOR = Sensor(7, 11)
METHODS = ("nearest", "bilinear", "area")
SIZES = [((7, 9), (3, 4)), ((8, 10), (4, 5)), ((3, 5), (7, 11)), ((6, 4), (1, 4)), ((1, 1), (2, 3))]
DTYPES = [
    "float16",
    "float32",
    ">f4",
    "float64",
    "int8",
    "uint8",
    "uint16",
    "int32",
    "uint32",
    "bool",
]


def columns_of(events: Events) -> list:
    return [getattr(events, name).tolist() for name in "txyp"]


@st.composite
def geometries(draw, resized=True):
    x0, y0 = draw(st.integers(0, 8)), draw(st.integers(0, 5))
    crop = (x0, y0, draw(st.integers(x0 + 1, 11)), draw(st.integers(y0 + 1, 7)))
    sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
    resize = draw(st.none() | sizes) if resized else None
    return Geometry(
        crop=draw(st.sampled_from([None, crop])),
        flip_x=draw(st.booleans()),
        flip_y=draw(st.booleans()),
        downsample=draw(st.integers(0, 4)) if resize is None else 0,
        resize=resize,
    )


def slow_axis(at: int, first: int, size: int, flip: bool, halvings: int, new: int | None):
    """Return where a column goes, or a row; None outside."""
    at -= first
    if not 0 <= at < size:
        return None
    at = size - 1 - at if flip else at
    for _ in range(halvings):
        at, size = at // 2, (size + 1) // 2
    return at if new is None else int((at + Fraction(1, 2)) * Fraction(new, size))


def slow_events(geometry: Geometry, events: Events):
    """Return t, x, y, p and position of each event that is left, one by one."""
    height, width = events.sensor
    x0, y0, x1, y1 = geometry.crop or (0, 0, width, height)
    new_h, new_w = geometry.resize or (None, None)
    left = []
    for k, (t, x, y, p) in enumerate(zip(*columns_of(events), strict=True)):
        x = slow_axis(x, x0, x1 - x0, geometry.flip_x, geometry.downsample, new_w)
        y = slow_axis(y, y0, y1 - y0, geometry.flip_y, geometry.downsample, new_h)
        if x is not None and y is not None:
            left.append([t, x, y, p, k])
    return [list(column) for column in zip(*left, strict=True)] or [[]] * 5


@settings(max_examples=40, deadline=None)
@given(geometries(), st.integers(0, 60), st.integers(0, 99), st.integers(1, 70))
def test_event_map__equals_its_slow_twin_in_pieces_of_any_size(geometry, n, seed, rows):
    events = random_events(n, SENSOR, stop_us=100, seed=seed)
    found = geometry.of_events(SENSOR)
    if found is None:
        assert geometry == Geometry()
        return
    made, positions = [], []
    for low in range(0, n, rows):
        part, kept = found.apply(events[low : low + rows], low)
        made.append(part)
        positions += [low + k for k in (range(len(part)) if kept is None else kept.tolist())]
    *expected, at = slow_events(geometry, events)
    together = Events.concatenate(made, found.sensor)  # which checks that all are in the sensor
    assert columns_of(together) == expected
    assert positions == at
    assert found.sensor == geometry.sensor(SENSOR)
    assert found.left_out == ("outside_crop" if geometry.crop else None)


@settings(max_examples=30, deadline=None)
@given(geometries(resized=False), st.integers(0, 99))
def test_event_map__is_what_filters_do_beforehand(geometry, seed):
    events = random_events(50, SENSOR, stop_us=100, seed=seed)
    by_filters = Crop(*geometry.crop).apply(events) if geometry.crop else events
    by_filters = Orientation(flip_x=geometry.flip_x, flip_y=geometry.flip_y).apply(by_filters)
    found = geometry.of_events(SENSOR)
    got = events if found is None else found.apply(events, 0)[0]
    for axis in "xy":
        halved = getattr(by_filters, axis) >> geometry.downsample
        np.testing.assert_array_equal(getattr(got, axis), halved)
        assert getattr(got, axis).dtype == np.uint16
    for name in "tp":
        np.testing.assert_array_equal(getattr(got, name), getattr(by_filters, name))


def test_event_map__weighs_an_event_by_the_ratio_of_the_areas():
    weights = {
        (8, 12, 0, None): 1.0,
        (8, 12, 1, None): 0.25,
        (7, 11, 3, None): 1 / 64,  # also where sizes are rounded up
        (8, 12, 0, (4, 6)): 0.25,
        (8, 12, 0, (4, 4)): 1 / 6,
    }
    for (height, width, halvings, size), weight in weights.items():
        geometry = Geometry(flip_x=True, downsample=halvings, resize=size)
        assert geometry.of_events(Sensor(height, width)).weight == weight


def test_event_map__halves_sizes_upwards_so_that_no_event_is_lost():
    corner = Events([0], [10], [6], [1], SENSOR)
    for halvings, size, place in ((1, (4, 6), (3, 5)), (3, (1, 2), (0, 1)), (4, (1, 1), (0, 0))):
        found = Geometry(downsample=halvings).of_events(SENSOR)
        moved, kept = found.apply(corner, 0)
        assert kept is None
        assert (tuple(found.sensor), (moved.y[0], moved.x[0])) == (size, place)


def test_event_map__reaches_the_last_pixel_and_any_time():
    sensor = Sensor(65_536, 65_536)
    events = Events([2**40, 2**40], [0, 65_535], [65_535, 0], [0, 1], sensor)
    for geometry in (Geometry(flip_x=True), Geometry(flip_x=True, crop=(0, 0, 65_536, 65_536))):
        moved, kept = geometry.of_events(sensor).apply(events, 0)
        assert columns_of(moved) == [[2**40] * 2, [65_535, 0], [65_535, 0], [0, 1]]
        assert kept is None
    assert columns_of(events)[1:3] == [[0, 65_535], [65_535, 0]]


def test_event_map__refuses_events_of_another_sensor():
    with pytest.raises(EventsError, match=r"height=3, width=5.* is expected"):
        Geometry(flip_x=True).of_events(Sensor(3, 5)).apply(Events.empty(SENSOR), 0)


def test_event_map__counts_only_events_in_regions_of_the_labels():
    events = random_events(200, SENSOR, stop_us=100, seed=3)
    is_car = np.random.default_rng(1).random(1_000) < 0.3
    asked = []

    def regions(start, stop):
        asked.append((start, stop))
        return is_car[start:stop]

    found = Geometry(labels=("car",), crop=(0, 0, 5, 7)).of_events(SENSOR, regions)
    kept = found.apply(events[:120], 500)[1], found.apply(events[120:], 620)[1]
    assert asked == [(500, 620), (620, 700)]
    inside = events.x < 5
    of_cars = is_car[500:700]
    expected = np.flatnonzero(inside & of_cars)
    np.testing.assert_array_equal(np.concatenate([kept[0], kept[1] + 120]), expected)
    assert found.left_out == "outside_crop_or_labels"
    assert found.sensor == Sensor(7, 5)
    with pytest.raises(UsageError, match="only events in regions of car are wanted"):
        Geometry(labels=("car",)).of_events(SENSOR)
    assert Geometry(labels=("car",)).of_events(SENSOR, regions).left_out == "outside_labels"


def test_geometry__without_anything_to_change_has_no_maps():
    assert Geometry().of_events(SENSOR) is None
    assert Geometry().of_frames((2, *SENSOR)) is None
    assert Geometry(resize=(3, 4), of="frame", method="area").of_events(SENSOR) is None
    assert Geometry(resize=(3, 4)).of_frames((2, *SENSOR)) is None
    assert Geometry(resize=(7, 11), of="frame", method="area").of_frames((2, *SENSOR)) is None
    assert isinstance(Geometry(resize=(3, 4)).of_events(SENSOR), EventMap)
    assert Geometry(resize=(3, 4), of="frame", method="area").of_frames((2, 7, 11)).shape == (
        2,
        3,
        4,
    )
    assert [Geometry(**given).moves for given in ({}, {"labels": ("car",)}, {"flip_y": True})] == [
        *(False, False, True)
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"crop": (3, 0, 3, 4)}, r"crop: \[3, 0, 3, 4\] is empty; give \[x0, y0, x1, y1\]"),
        ({"crop": (0, 0, 4)}, "crop: .* has 3 items; 4 are needed"),
        ({"downsample": -1}, "downsample: -1 is less than 0"),
        ({"downsample": 17}, "downsample: 17 is more than 16"),
        ({"downsample": 1, "resize": (3, 4)}, "downsample: goes with resize of: frame only"),
        ({"resize": (0, 4)}, "resize/0: 0 is less than 1"),
        ({"of": "frame", "method": "area"}, "of: frame goes with resize"),
        ({"of": "frame", "resize": (3, 4)}, "method: is needed with of: frame"),
        ({"resize": (3, 4), "method": "area"}, "method: area goes with of: frame only"),
        ({"resize": (3, 4), "of": "frame", "method": "cubic"}, "'cubic' is not one of nearest"),
        ({"labels": ()}, "labels: the list has 0 items"),
    ],
)
def test_geometry__refuses_what_does_not_go_together(given, problem):
    with pytest.raises(ParameterError, match=problem):
        Geometry(**given)


def test_geometry__whose_crop_is_outside_the_sensor_is_refused():
    geometry = Geometry(crop=(0, 0, 12, 7))
    for ask in (
        lambda: geometry.of_events(SENSOR),
        lambda: geometry.sensor(SENSOR),
        lambda: geometry.of_boxes(np.zeros(0, BOX_DTYPE), SENSOR),
    ):
        with pytest.raises(ParameterError, match="reaches outside the 11x7 sensor"):
            ask()


def frame_of(shape: tuple[int, int, int], dtype: str = "float32", high: int = 100):
    values = np.random.default_rng(7).integers(0, high, shape)
    return (values / 7 if np.dtype(dtype).kind == "f" else values).astype(dtype)


def slow_resize(frame, size, method):
    """Resize in exact fractions, value by value."""
    _, height, width = frame.shape
    out = np.empty((len(frame), *size), dtype=object)
    for k, i, j in np.ndindex(*out.shape):
        row, column = (
            (at + Fraction(1, 2)) * Fraction(old, new)
            for at, old, new in ((i, height, size[0]), (j, width, size[1]))
        )
        if method == "nearest":
            out[k, i, j] = frame[k, int(row), int(column)].item()
        elif method == "area":
            rows = range(i * height // size[0], -(-(i + 1) * height // size[0]))
            columns = range(j * width // size[1], -(-(j + 1) * width // size[1]))
            values = [Fraction(float(frame[k, r, c])) for r in rows for c in columns]
            out[k, i, j] = sum(values) / len(values)
        else:
            row, column = (max(at - Fraction(1, 2), Fraction(0)) for at in (row, column))
            out[k, i, j] = sum(
                weight * side * Fraction(float(frame[k, min(r, height - 1), min(c, width - 1)]))
                for r, weight in ((int(row), 1 - row % 1), (int(row) + 1, row % 1))
                for c, side in ((int(column), 1 - column % 1), (int(column) + 1, column % 1))
            )
    return out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_frame_map__equals_its_slow_twin_for_every_type(old, new, method):
    for dtype in DTYPES:
        frame = frame_of((2, *old), dtype, high=2 if dtype == "bool" else 100)
        before = frame.copy()
        out = np.full((2, *new), 1, dtype=dtype)
        made = FrameMap(frame.shape, new, method)
        assert made.apply(frame, out) is out
        np.testing.assert_array_equal(frame, before)
        np.testing.assert_array_equal(made.apply(frame), out)
        exact = slow_resize(frame, new, method)
        if frame.dtype.kind == "f":
            within = {2: 1e-2, 4: 2e-5, 8: 1e-12}[frame.dtype.itemsize]
            assert np.abs(out.astype(float) - exact.astype(float)).max() <= within
        else:
            near = np.array([round(value) for value in exact.reshape(-1).tolist()])
            off = near != out.reshape(-1)
            # A third is no floating number: only sums that are nearly a half may go either way.
            assert all(abs(value % 1 - Fraction(1, 2)) < 1e-9 for value in exact.reshape(-1)[off])


def test_frame_map__rounds_whole_numbers_half_to_even():
    frame = np.array([[[0, 1, 2, 3], [0, 1, 2, 3]], [[254, 255, 255, 255], [254, 255, 255, 255]]])
    for method in ("bilinear", "area"):
        half = FrameMap((2, 2, 4), (1, 2), method)
        assert half.apply(frame.astype(np.uint8)).tolist() == [[[0, 2]], [[254, 255]]]
        assert half.apply(frame.astype(np.int16) - 256)[1].tolist() == [[-2, -1]]
    assert FrameMap((1, 1, 1), (2, 2), "bilinear").apply(
        np.full((1, 1, 1), 2**32 - 1, np.uint32)
    ).tolist() == [[[2**32 - 1] * 2] * 2]


def test_frame_map__nearest_is_rvts_halving():
    path = shared_file("oracles/rvt_labels.npz")
    with np.load(path) as found:
        names = sorted({name.split("/")[1] for name in found.files if name.startswith("down/")})
        assert len(names) == 3
        for name in names:
            frame, expected = (found[f"down/{name}/{part}"] for part in ("in", "out"))
            made = Geometry(resize=expected.shape[1:], of="frame", method="nearest")
            got = made.of_frames(frame.shape).apply(frame)
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)


def test_frame_map__nearest_keeps_odd_rows_and_columns_of_any_size_that_is_halved():
    for height, width in [(2, 3), (7, 9), (8, 10), (65, 34), (260, 347)]:
        frame = np.arange(height * width, dtype=np.int32).reshape(1, height, width)
        half = height // 2, width // 2
        got = FrameMap(frame.shape, half, "nearest").apply(frame)
        np.testing.assert_array_equal(got, frame[:, 1::2, 1::2][:, : half[0], : half[1]])


TORCH = {
    ("nearest", (2, 14, 41), (23, 2)): "37f77726c7ea1a34",
    ("nearest", (1, 260, 346), (224, 224)): "72d0bf4c8562ee92",
    ("area", (2, 7, 9), (3, 4)): "b752530a18ef5536",
    ("area", (2, 26, 34), (11, 7)): "af54c48f0ace66ec",
    ("area", (1, 240, 304), (100, 173)): "9cde13c1a766fda5",
    ("bilinear", (4, 240, 304), (120, 152)): "7956f50c05080b65",
}
"""Beginning of the SHA-256 of what torch 2.13's `interpolate` gives: nearest-exact, area, bilinear
without corners aligned."""


@pytest.mark.parametrize("case", TORCH, ids=str)
def test_frame_map__has_the_bits_of_torchs_interpolate(case):
    method, shape, size = case
    n = int(np.prod(shape))
    frame = ((np.arange(n) * 37 % 101).astype(np.float32) / np.float32(7)).reshape(shape)
    made = FrameMap(shape, size, method).apply(frame)
    assert hashlib.sha256(made.tobytes()).hexdigest()[:16] == TORCH[case]


def test_frame_map__bilinear_by_hand():
    frame = np.array([[[0, 4, 8], [4, 12, 0]]], dtype=np.float32)
    assert FrameMap((1, 2, 3), (4, 6), "bilinear").apply(frame).tolist() == [
        [
            [0, 1, 3, 5, 7, 8],
            [1, 2.25, 4.75, 6, 6, 6],
            [3, 4.75, 8.25, 8, 4, 2],
            [4, 6, 10, 9, 3, 0],
        ]
    ]


def test_frame_map__area_of_whole_factors_keeps_the_sum():
    frame = frame_of((3, 12, 20), "float64")
    small = FrameMap(frame.shape, (4, 5), "area").apply(frame)
    np.testing.assert_allclose(small.sum() * 12, frame.sum(), rtol=1e-12)


def test_frame_map__takes_a_read_only_frame_and_refuses_others():
    frame = frame_of((2, 8, 10))
    frame.flags.writeable = False
    for method in METHODS:
        made = FrameMap((2, 8, 10), (4, 5), method)
        assert made.apply(frame).shape == made.shape == (2, 4, 5)
        for wrong in (
            (frame[:1], None),
            (frame, np.empty((2, 4, 6), np.float32)),
            (frame, np.empty((2, 4, 5), np.float64)),
        ):
            with pytest.raises(LayoutError, match="becomes"):
                made.apply(*wrong)


def boxes_of(*rows: tuple[float, float, float, float]):
    boxes = np.zeros(len(rows), dtype=BOX_DTYPE)
    boxes["track_id"] = np.arange(len(rows))
    for row, values in enumerate(rows):
        for name, value in zip("xywh", values, strict=True):
            boxes[name][row] = value
    return boxes


def said(boxes) -> list:
    return [[float(boxes[name][k]) for name in "xywh"] for k in range(len(boxes))]


def test_of_boxes__follows_each_step_by_hand():
    boxes = boxes_of((2, 1, 4, 2), (0, 0, 11, 7))
    before = boxes.copy()
    cases = {
        Geometry(flip_x=True): [[5, 1, 4, 2], [0, 0, 11, 7]],
        Geometry(flip_y=True): [[2, 4, 4, 2], [0, 0, 11, 7]],
        Geometry(downsample=1): [[1, 0.5, 2, 1], [0, 0, 5.5, 3.5]],
        Geometry(resize=(14, 33)): [[6, 2, 12, 4], [0, 0, 33, 14]],
        Geometry(resize=(14, 33), of="frame", method="area"): [[6, 2, 12, 4], [0, 0, 33, 14]],
        Geometry(crop=(4, 1, 8, 7), flip_x=True): [[2, 0, 2, 2], [0, 0, 4, 6]],
        Geometry(downsample=1, resize=(8, 12), of="frame", method="nearest"): [
            [2, 1, 4, 2],
            [0, 0, 11, 7],
        ],
        Geometry(): [[2, 1, 4, 2], [0, 0, 11, 7]],
    }
    for geometry, expected in cases.items():
        assert said(geometry.of_boxes(boxes, SENSOR)[0]) == expected
    np.testing.assert_array_equal(boxes, before)


def test_of_boxes__at_the_crops_edge_are_clipped_or_left_out_and_counted():
    boxes = boxes_of((1, 1, 2, 2), (0, 0, 4, 4), (5, 5, 4, 2), (7, 0, 2, 2), (0.0, 0.0, 2, 1))
    kept, counts = Geometry(crop=(2, 1, 7, 6)).of_boxes(boxes, SENSOR)
    assert kept["track_id"].tolist() == [0, 1, 2]
    assert said(kept) == [[0, 0, 1, 2], [0, 0, 2, 3], [3, 4, 2, 1]]
    assert counts == {"boxes_cut_by_crop": 3, "boxes_outside_crop": 2}
    # Without a crop a box that reaches outside the sensor goes on reaching outside.
    wide = boxes_of((-1, 0, 3, 7))
    found, counts = Geometry(flip_x=True).of_boxes(wide, SENSOR)
    assert (said(found), counts) == (
        [[9, 0, 3, 7]],
        {"boxes_cut_by_crop": 0, "boxes_outside_crop": 0},
    )


@settings(max_examples=60, deadline=None)
@given(
    geometries(),
    st.tuples(*[st.floats(0, 7, width=16) for _ in range(4)]),
    st.integers(0, 99),
)
def test_of_boxes__hold_the_same_events_as_before(geometry, box, seed):
    """An event is in a box where its pixel's centre is; afterwards, where its pixel touches it."""
    x, y, w, h = box
    boxes = boxes_of((x, y, w + 0.5, h + 0.5))
    events = random_events(60, SENSOR, stop_us=100, seed=seed)
    found = geometry.of_events(SENSOR)
    moved, kept = (events, None) if found is None else found.apply(events, 0)
    rows = np.arange(60) if kept is None else kept
    after, _ = geometry.of_boxes(boxes, SENSOR)

    def inside(events, boxes, reach):
        if not len(boxes):
            return np.zeros(len(events), dtype=bool)
        [[x, y, w, h]] = said(boxes)
        column, row = events.x + 0.5, events.y + 0.5
        return (
            (column >= x - reach)
            & (column <= x + w + reach)
            & (row >= y - reach)
            & (row <= y + h + reach)
        )

    was = inside(events, boxes, 0)[rows]
    exact = geometry.downsample == 0 and geometry.resize is None
    now = inside(moved, after, 1e-5 if exact else 0.5 + 1e-5)
    assert now[was].all()
    if exact:
        np.testing.assert_array_equal(
            inside(moved, after, -1e-5), inside(events, boxes, -1e-5)[rows]
        )


def test_geometry__is_said_by_plain_values():
    geometry = Geometry(crop=(1, 2, 3, 4), resize=(5, 6), of="frame", method="area")
    said_as = json.loads(json.dumps(geometry.plain()))
    assert said_as["crop"] == [1, 2, 3, 4]
    assert Geometry(**said_as) == geometry
