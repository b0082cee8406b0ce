"""Frames as colours: what zero, sign, polarity and outliers look like, of any type of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evreel
from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import REGISTRY, Feature, Histogram, VoxelGrid, create, tensor
from evreel.representations.channels import Channel, pairs, singles
from evreel.video.labelled import LOOKS, colour_of
from evreel.viz.rgb import GAP_PX, Scale, grid, places_of, scale_of, to_rgb
from evreel.windows import Duration
from support import random_events

SIGNED, UNSIGNED = singles(signed=True), singles(signed=False)
DARK = LOOKS["dark"].background
OFF, ON = colour_of(0, -1), colour_of(1, -1)
GREEN, YELLOW = colour_of(2, -1), colour_of(5, -1)


def frame_of(*channels) -> np.ndarray:
    return np.array(channels, dtype=np.float64)


def slow_limit(values) -> float:
    """Return the limit of values that are finite, by the rule of the module, in plain Python."""
    sizes = sorted(abs(value) for value in values if value and not math.isinf(value))
    return sizes[19 * (len(sizes) - 1) // 20] if sizes else 1.0


def slow_level(value: float, limit: float) -> int:
    return math.floor(min(abs(value) / limit, 1.0) * 255 + 0.5)


def slow_mix(low, high, level: int) -> tuple[int, ...]:
    return tuple((255 * a + level * (b - a) + 127) // 255 for a, b in zip(low, high, strict=True))


def slow_signed(value: float, limit: float) -> tuple[int, ...]:
    return slow_mix(DARK, OFF if value < 0 else ON, slow_level(value, limit))


def slow_unsigned(value: float, limit: float) -> tuple[int, ...]:
    # 511 steps over green, of which every other one is taken.
    step = 2 * slow_level(value, limit)
    return slow_mix(DARK, GREEN, step) if step < 255 else slow_mix(GREEN, YELLOW, step - 255)


def slow_pair(off: float, on: float, limit: float) -> tuple[int, ...]:
    levels = [slow_level(value, limit) for value in (off, on)]
    mixed = []
    for ground, blue, orange in zip(DARK, OFF, ON, strict=True):
        total = 255 * ground + levels[0] * (blue - ground) + levels[1] * (orange - ground)
        mixed.append(min(max((total + 127) // 255, 0), 255))
    return tuple(mixed)


values = st.lists(
    st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, math.inf, -math.inf])),
    min_size=2,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(values)
def test_to_rgb__of_one_channel_is_its_slow_twin(numbers):
    frame, limit = frame_of([numbers]), slow_limit(numbers)
    assert to_rgb(frame, SIGNED)[0].tolist() == [list(slow_signed(v, limit)) for v in numbers]
    assert to_rgb(frame, UNSIGNED)[0].tolist() == [list(slow_unsigned(v, limit)) for v in numbers]


@settings(max_examples=40, deadline=None)
@given(values)
def test_to_rgb__of_off_and_on_is_its_slow_twin(numbers):
    half = len(numbers) // 2
    off, on = numbers[:half], numbers[half : 2 * half]
    limit = slow_limit(off + on)
    made = to_rgb(frame_of([off], [on]), pairs())
    assert made[0].tolist() == [list(slow_pair(a, b, limit)) for a, b in zip(off, on, strict=True)]


def test_to_rgb__shows_off_blue_on_orange_and_zero_as_background():
    made = to_rgb(np.array([[[0, 3, 0, 3]], [[0, 0, 3, 3]]]), "histogram")
    assert [tuple(pixel) for pixel in made[0].tolist()] == [DARK, OFF, ON, (255, 255, 225)]
    made = to_rgb(np.array([[[0, -2, 2]]]), SIGNED)
    assert [tuple(pixel) for pixel in made[0].tolist()] == [DARK, OFF, ON]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("channels", ["sum", "montage"])
@pytest.mark.parametrize("name", REGISTRY)
def test_to_rgb__of_a_frame_without_events_is_background(name, channels, theme):
    sensor = Sensor(24, 32)
    made_of = create(name)
    shape = made_of.shape(sensor)
    windows = Duration(10).plan(10, lambda at: np.zeros_like(at))
    [frame] = tensor(made_of, Events.empty(sensor), windows)
    picture = to_rgb(frame, made_of, channels=channels, theme=theme)
    assert picture.dtype == np.uint8
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
    assert colours <= {LOOKS[theme].background, LOOKS[theme].footer}
    if channels == "sum":
        assert picture.shape == (*shape[1:], 3)
        assert colours == {LOOKS[theme].background}


@pytest.mark.parametrize("name", REGISTRY)
def test_to_rgb__shows_events_of_every_representation(name):
    events = random_events(3_000, (24, 32), stop_us=50_000)
    windows = Duration(50_000).plan(50_000, lambda at: np.searchsorted(events.t, at))
    made_of = create(name)
    [frame] = tensor(made_of, events, windows)
    before = frame.copy()
    for of in (made_of, Feature.of(made_of), name):
        picture = to_rgb(frame, of)
        assert picture.shape == (*frame.shape[1:], 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1
    np.testing.assert_array_equal(frame, before)


@pytest.mark.parametrize(
    "dtype",
    ["?", "i1", "u1", "<i2", ">i2", "u2", "i4", "u4", "i8", "u8", "f2", "<f4", ">f4", "f8", "g"],
)
def test_to_rgb__takes_any_type_of_numbers(dtype):
    numbers = np.array([[[0, 1, 1, 0]], [[1, 0, 0, 1]]])
    expected = to_rgb(numbers.astype("i4"), "histogram")
    assert (to_rgb(numbers.astype(dtype), "histogram") == expected).all()
    assert (to_rgb(numbers[0].astype(dtype)) == to_rgb(numbers[0].astype("u1"))).all()


@pytest.mark.parametrize("value", [np.iinfo("u8").max, np.iinfo("i8").min])
def test_to_rgb__takes_the_largest_numbers_of_a_type(value):
    frame = np.zeros((1, 2, 2), dtype="u8" if value > 0 else "i8")
    frame[0, 0, 0] = value
    [[colour, *_], _] = to_rgb(frame, SIGNED).tolist()
    assert tuple(colour) == (ON if value > 0 else OFF)


def test_to_rgb__takes_what_is_not_a_number_for_zero_and_infinity_for_full_colour():
    frame = frame_of([[np.nan, np.inf, -np.inf, 1.0, 2.0]])
    made = to_rgb(frame, SIGNED)[0].tolist()
    assert [tuple(made[k]) for k in (0, 1, 2)] == [DARK, ON, OFF]
    both = frame_of([[np.inf]], [[-np.inf]])
    assert tuple(to_rgb(both, singles(2, signed=True))[0, 0].tolist()) == DARK


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 200), st.integers(0, 2**31))
def test_to_rgb__is_not_darkened_by_outliers(n, seed):
    rng = np.random.default_rng(seed)
    frame = np.zeros((1, 1, 2 * n))
    frame[0, 0, :n] = rng.uniform(1, 2, n)
    hot = frame.copy()
    n_hot = max(n // 25, 1)
    hot[0, 0, rng.choice(n, n_hot, replace=False)] = 1e9
    kept = (hot == frame)[0, 0] & (frame[0, 0] > 0)
    level = to_rgb(hot, UNSIGNED)[0, kept].astype(int).sum(axis=1)
    # The limit is among the ordinary values, 1 to 2, so that all are at half of it or above.
    assert (level >= sum(slow_unsigned(1, 2))).all()


def test_limit__is_what_95_percent_are_below_and_one_value_its_own():
    frame = np.arange(201.0).reshape(1, 1, -1)  # 200 values that are not zero
    assert scale_of([frame]).limit == 190
    assert scale_of([frame[:, :, :2]]).limit == 1
    assert scale_of([frame[:, :, :3]]).limit == 1
    assert (to_rgb(frame) == to_rgb(frame, limit=190)).all()
    assert (to_rgb(frame) == to_rgb(3 * frame)).all()
    assert not (to_rgb(frame) == to_rgb(frame, limit=50)).all()


def test_scale_of__frames_is_not_that_of_an_outlying_or_empty_one():
    frames = [np.full((1, 2, 2), float(k)) for k in (0, 0, 3, 4, 4, 900)]
    assert scale_of(frames) == Scale(4.0, False)
    assert scale_of(frames[:2]) == Scale(1.0, False)
    assert scale_of([-frames[2], frames[3]]) == Scale(3.0, True)
    assert scale_of(iter(frames), UNSIGNED) == scale_of(frames, UNSIGNED)


def test_scale__gives_equal_values_one_colour_in_all_frames():
    scale = Scale(4.0, True)
    one, other = frame_of([[2.0, 4.0]]), frame_of([[2.0, -400.0]])
    assert (to_rgb(one, scale=scale)[0, 0] == to_rgb(other, scale=scale)[0, 0]).all()


def test_sum__adds_bins_up_with_polarities_apart_in_either_order():
    rng = np.random.default_rng(0)
    bins = rng.integers(0, 9, (3, 2, 4, 5))  # bin, polarity, y, x
    expected = to_rgb(bins.sum(axis=0), pairs())
    by_bin = bins.reshape(6, 4, 5)
    by_polarity = bins.transpose(1, 0, 2, 3).reshape(6, 4, 5)
    assert (to_rgb(by_bin, pairs(3)) == expected).all()
    assert (to_rgb(by_polarity, pairs(3, polarity_major=True)) == expected).all()
    signed = rng.integers(-9, 9, (3, 4, 5))
    made = to_rgb(signed, singles(3, signed=True))
    assert (made == to_rgb(signed.sum(axis=0), SIGNED)).all()


def test_sum__of_counts_does_not_wrap():
    full = np.full((4, 1, 1), 255, dtype=np.uint8)
    full[2:] = 0
    assert tuple(to_rgb(full, pairs(2, polarity_major=True), limit=510)[0, 0].tolist()) == OFF


@pytest.mark.parametrize("order", [False, True])
def test_montage__shows_each_part_by_itself(order):
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 9, (6, 4, 5))
    legend = pairs(3, polarity_major=order)
    made = to_rgb(frame, legend, channels="montage", limit=5)
    for part, (top, left) in enumerate(places_of(3, (4, 5))):
        rows = [part, part + 3] if order else [2 * part, 2 * part + 1]
        assert (made[top : top + 4, left : left + 5] == to_rgb(frame[rows], limit=5)).all()
    rows, columns = grid(3, (4, 5))
    assert made.shape == (rows * (4 + GAP_PX) - GAP_PX, columns * (5 + GAP_PX) - GAP_PX, 3)


def test_montage__has_one_limit_for_all_parts():
    frame = frame_of([[1.0, 1.0]], [[2.0, 2.0]])
    made = to_rgb(frame, singles(2, signed=True), channels="montage")
    assert tuple(made[0, 0].tolist()) == slow_signed(1.0, 2.0)


def test_sign__that_is_not_known_is_told_by_the_values():
    unknown = singles(signed=None)
    assert (
        to_rgb(frame_of([[1.0, 2.0]]), unknown) == to_rgb(frame_of([[1.0, 2.0]]), UNSIGNED)
    ).all()
    frame = frame_of([[1.0, -2.0]])
    assert (to_rgb(frame, unknown) == to_rgb(frame, SIGNED)).all()
    only_negative_infinity = frame_of([[-np.inf, 0.0]])
    assert tuple(to_rgb(only_negative_infinity, unknown)[0, 0].tolist()) == OFF


def test_background__is_what_a_pixel_without_events_has():
    legend = pairs(2, polarity_major=True, empty=15.013)
    frame = np.full((4, 1, 3), np.float32(15.013))
    assert (to_rgb(frame, legend) == DARK).all()
    frame[0, 0, 1] = 3  # OFF
    frame[3, 0, 2] = 3  # ON
    for dtype in ("f4", "f2", "f8", "u1"):
        made = to_rgb(frame.astype(dtype), legend)
        assert [tuple(pixel) for pixel in made[0].tolist()] == [DARK, OFF, ON], dtype
    ages = np.array([[[-1, 5, -1]], [[-1, -1, 5]]])
    made = to_rgb(ages, pairs(empty=-1))
    assert [tuple(pixel) for pixel in made[0].tolist()] == [DARK, OFF, ON]
    assert (
        to_rgb(np.array([[[7.0, 9.0, 5.0]]]), (Channel("both", 0, True, 7.0),))[0, 1:] == (ON, OFF)
    ).all()


def test_viz_of_a_representation__is_used_in_place_of_the_house_colours():
    class Shown(Histogram):
        viz = staticmethod(lambda frame: np.full((*frame.shape[1:], 3), frame.sum(), np.uint8))

    frame = np.ones((2, 3, 4))
    for of in (Shown(), Feature.of(Shown())):
        assert to_rgb(frame, of, channels="montage").tolist() == [[[24] * 3] * 4] * 3

    class Wrong(Histogram):
        viz = staticmethod(lambda frame: frame)

    with pytest.raises(ParameterError, match=r"its viz returned float64 of \(2, 3, 4\); "):
        to_rgb(frame, Wrong())


@pytest.mark.parametrize(
    ("frame", "of", "options", "message"),
    [
        (
            np.zeros((3, 4, 5)),
            "histogram",
            {},
            "histogram: a frame of 3 channels is given; 2 are expected",
        ),
        (
            np.zeros((4, 4, 5)),
            VoxelGrid(5),
            {},
            "voxel_grid: a frame of 4 channels is given; 5 are expected",
        ),
        (np.zeros((9, 3, 4, 5)), None, {}, r"shape \(9, 3, 4, 5\) is not a frame.*frames\[k\]"),
        (np.zeros(4), None, {}, r"shape \(4,\) is not a frame"),
        (np.zeros((0, 4, 5)), None, {}, r"shape \(0, 4, 5\) is not a frame"),
        (np.zeros((2, 4, 5), complex), None, {}, "complex128 cannot be shown"),
        (np.full((2, 4, 5), "a"), None, {}, "cannot be shown; it must hold numbers"),
        (np.zeros((2, 4, 5)), "histogramm", {}, "Did you mean 'histogram'"),
        (np.zeros((2, 4, 5)), None, {"channels": "max"}, "channels: 'max' is not one of sum, mont"),
        (np.zeros((2, 4, 5)), None, {"theme": "blue"}, "theme: 'blue' is not one of dark, light"),
        (np.zeros((2, 4, 5)), None, {"limit": 0}, "limit: 0 is not more than 0"),
        (np.zeros((2, 4, 5)), None, {"limit": np.nan}, "limit: nan is not finite"),
    ],
)
def test_to_rgb__refuses_what_is_no_frame_of_the_representation(frame, of, options, message):
    with pytest.raises(ParameterError, match=message):
        to_rgb(frame, of, **options)


def test_to_rgb__of_a_sensor_without_pixels_has_none():
    assert to_rgb(np.zeros((2, 0, 5))).shape == (0, 5, 3)


def test_front_door__has_it_without_another_import():
    events = Events([0, 1], [0, 1], [0, 0], [0, 1], Sensor(1, 2))
    windows = Duration(10).plan(2, lambda at: np.searchsorted(events.t, at))
    [frame] = tensor(create("histogram"), events, windows)
    assert [tuple(pixel) for pixel in evreel.viz.to_rgb(frame)[0].tolist()] == [OFF, ON]
