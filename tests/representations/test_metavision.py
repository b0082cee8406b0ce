"""Metavision's representations equal their rules, event by event, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.geometry import Geometry
from evreel.representations import (
    Diff,
    DiffQuantized,
    EventCube,
    EventCubePaper,
    Feature,
    Histo,
    HistoQuantized,
    MultiChannelTimesurface,
    Representation,
    Timesurface,
    create,
    frames,
    tensor,
)
from evreel.windows import Count, Division, Duration, Windows, cut
from support import random_events

SENSOR = Sensor(3, 5)
EVERY = [
    Histo(),
    Histo(3),
    Histo(None),
    Diff(),
    Diff(None),
    Diff(7.5),
    HistoQuantized(),
    HistoQuantized(1, 8),
    HistoQuantized(2, 5, normalization=True),
    DiffQuantized(),
    DiffQuantized(2),
    DiffQuantized(3, normalization=True),
    Timesurface(),
    Timesurface(normed=False),
    MultiChannelTimesurface(),
    MultiChannelTimesurface(7, normed=False),
    EventCube(),
    EventCube(1.5, 4, split_polarity=False),
    EventCube(None, 1),
    EventCubePaper(),
    EventCubePaper(split_polarity=False),
]
Rows = list[tuple[int, int, int, int]]
f32 = np.float32


def windows_of(events: Events, division: Division) -> Windows:
    return cut(
        division,
        [0],
        [max(events.t_stop_us, 1)],
        lambda at: np.searchsorted(events.t, at),
        lambda rows: events.t[rows],
    )[0]


def rows_of(events: Events) -> Rows:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def slow_histo(of: Histo, rows: Rows, frame, start: int, stop: int, weight: float) -> None:
    k = f32(weight / (of.max_incr_per_pixel or 1))
    for _, x, y, p in rows:
        frame[p, y, x] = min(f32(frame[p, y, x] + k), f32(1))


def slow_diff(of: Diff, rows: Rows, frame, start: int, stop: int, weight: float) -> None:
    k = f32(weight / (of.max_incr_per_pixel or 1))
    for _, x, y, p in rows:
        v = frame[0, y, x]
        frame[0, y, x] = min(max(f32(v + k) if p else f32(v - k), f32(-1)), f32(1))


def slow_histo_quantized(
    of: HistoQuantized, rows: Rows, frame, start: int, stop: int, weight: float
) -> None:
    off = of.negative_bit_length
    caps = [2**off - 1, 2 ** (of.total_bit_length - off) - 1]
    counts = np.zeros(frame.shape)
    for _, x, y, p in rows:
        counts[p, y, x] = min(counts[p, y, x] + (weight if of.normalization else 1), caps[p])
    frame[:] = counts / max(caps) if of.normalization else counts


def slow_diff_quantized(
    of: DiffQuantized, rows: Rows, frame, start: int, stop: int, weight: float
) -> None:
    cap = 2 ** (of.negative_bit_length - 1)
    counts = np.zeros(frame.shape)
    for _, x, y, p in rows:
        step = (weight if of.normalization else 1) * (1 if p else -1)
        counts[0, y, x] = min(max(counts[0, y, x] + step, -cap), cap - 1)
    frame[:] = counts / cap if of.normalization else counts


def slow_times(of: Representation, rows: Rows, frame, start: int, stop: int, _: float) -> None:
    bins, duration = len(frame) // 2, stop - start
    for t, x, y, p in rows:
        at = (t - start) * bins // duration
        since = (t - start) * bins - at * duration  # in bins-ths of a microsecond
        frame[2 * at + p, y, x] = since / (duration if of.parameters["normed"] else bins)


def slow_cube(of: EventCube, rows: Rows, frame, start: int, stop: int, weight: float) -> None:
    k = weight / (of.max_incr_per_pixel or 1)
    for t, x, y, p in rows:
        at = (t - start) * of.num_utbins / (stop - start) - 0.5
        lower = math.floor(at)
        for b, share in ((lower, 1 - (at - lower)), (lower + 1, at - lower)):
            if 0 <= b < of.num_utbins:
                channel = 2 * b + p if of.split_polarity else b
                signed = k * share * (1 if p or of.split_polarity else -1)
                value = f32(frame[channel, y, x] + f32(signed))
                frame[channel, y, x] = min(max(value, f32(-1)), f32(1))


SLOW: dict[type[Representation], Callable[..., None]] = {
    Histo: slow_histo,
    Diff: slow_diff,
    HistoQuantized: slow_histo_quantized,
    DiffQuantized: slow_diff_quantized,
    Timesurface: slow_times,
    MultiChannelTimesurface: slow_times,
    EventCube: slow_cube,
    EventCubePaper: slow_cube,
}


def slow(of: Representation, events: Events, windows: Windows, weight: float = 1.0):
    made = np.zeros((len(windows), *of.shape(events.sensor)), dtype=of.dtype)
    for k, frame in enumerate(made):
        rows = rows_of(events[windows.start[k] : windows.stop[k]])
        edges = int(windows.start_us[k]), int(windows.stop_us[k])
        SLOW[type(of)](of, rows, frame, *edges, weight)
    return made


@st.composite
def small_events(draw, stop=60):
    columns = [
        draw(st.lists(st.integers(0, most), min_size=40, max_size=40)) for most in (stop, 4, 2, 1)
    ]
    columns[0].sort()
    n = draw(st.integers(0, 40))
    return Events(*(np.array(column[:n], dtype=np.int64) for column in columns), SENSOR)


def test_every_name__is_metavisions_with_its_channels_type_and_defaults():
    expected = {
        "histo": (2, "float32", {"max_incr_per_pixel": 5.0}),
        "diff": (1, "float32", {"max_incr_per_pixel": 5.0}),
        "histo_quantized": (
            2,
            "uint8",
            {"negative_bit_length": 4, "total_bit_length": 8, "normalization": False},
        ),
        "diff_quantized": (1, "int8", {"negative_bit_length": 8, "normalization": False}),
        "timesurface": (2, "float32", {"normed": True}),
        "multi_channel_timesurface": (6, "float32", {"num_utbins": 3, "normed": True}),
        "event_cube": (
            6,
            "float32",
            {"max_incr_per_pixel": 5.0, "num_utbins": 3, "split_polarity": True},
        ),
        "event_cube_paper": (
            10,
            "float32",
            {"max_incr_per_pixel": 63.75, "num_utbins": 5, "split_polarity": True},
        ),
    }
    for name, (channels, dtype, parameters) in expected.items():
        made = create(name)
        assert (made.channels, made.dtype, made.parameters) == (channels, dtype, parameters)
    assert create("event_cube", {"split_polarity": False}).channels == 3
    assert create("histo", {"max_incr_per_pixel": None}).parameters == {"max_incr_per_pixel": None}


@pytest.mark.parametrize("of", EVERY, ids=repr)
@settings(max_examples=8, deadline=None)
@given(small_events(), st.integers(1, 40), st.sampled_from([Duration, Count]))
def test_every_frame__equals_its_slow_twin(of, events, size, divide):
    windows = windows_of(events, divide(size))
    made = tensor(of, events, windows)
    assert made.dtype == of.dtype
    np.testing.assert_array_equal(made, slow(of, events, windows))


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_many_events_of_few_pixels__saturate_as_the_slow_twin_does(of):
    events = random_events(400, (1, 2), stop_us=6_000)
    windows = windows_of(events, Duration(3_700))
    expected = slow(of, events, windows)
    np.testing.assert_array_equal(tensor(of, events, windows), expected)
    assert expected.any()


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_pixels_brought_together__add_a_quarter_per_event(of):
    events = random_events(700, (4, 6))
    windows = windows_of(events, Duration(30_000))
    halved = Events(events.t, events.x // 2, events.y // 2, events.p, Sensor(2, 3))
    expected = slow(of, halved, windows, weight=0.25)
    feature = Feature(of, Geometry(downsample=1))
    np.testing.assert_array_equal(tensor(feature, events, windows), expected)


@pytest.mark.parametrize("of", EVERY, ids=repr)
@pytest.mark.parametrize("division", [Duration(9_000, 5_000), Count(170, 80)])
def test_frames__are_the_same_bits_however_rows_are_read(of, division):
    events = random_events(500)
    windows = windows_of(events, division)
    expected = tensor(of, events, windows)
    for rows in (1, 137):
        read = frames(of, lambda a, b: events[a:b], windows, events.sensor, rows=rows)
        assert np.stack([frame.copy() for frame in read]).tobytes() == expected.tobytes()


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_frames__depend_on_their_own_window_alone(of):
    events = random_events(2_000)
    windows = windows_of(events, Duration(9_000))
    expected = tensor(of, events, windows)
    for k in (7, 2):
        assert tensor(of, events, windows[k : k + 1]).tobytes() == expected[k].tobytes()


@pytest.mark.parametrize("of", EVERY, ids=repr)
@pytest.mark.parametrize("shift", [2**31 + 7, 2**45 + 7])
def test_frames__do_not_depend_on_how_late_the_window_is(of, shift):
    events = random_events(500, stop_us=900)
    late = Events(events.t + shift, events.x, events.y, events.p, events.sensor)
    rows = [[0], [500]]
    made = tensor(of, events, Windows([0], [901], *rows))
    np.testing.assert_array_equal(tensor(of, late, Windows([shift], [shift + 901], *rows)), made)


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_empty_window__is_all_zeros_after_a_full_one(of):
    events = Events([3, 4, 25], [0, 0, 0], [0, 0, 0], [1, 1, 1], SENSOR)
    made = tensor(of, events, windows_of(events, Duration(10)))
    assert made.shape == (3, *of.shape(SENSOR))
    assert made[0].any()
    assert not made[1].any()
    none = Events.empty(SENSOR)
    assert tensor(of, none, Duration(10).plan(0, lambda at: at)).shape == (0, *of.shape(SENSOR))


@pytest.mark.parametrize("of", EVERY, ids=repr)
@pytest.mark.parametrize("t", [[7], [7, 7, 7]])
def test_window_of_one_time__divides_by_no_zero(of, t):
    events = Events(t, [4] * len(t), [2] * len(t), [1] * len(t), SENSOR)
    windows = windows_of(events, Count(3))
    (frame,) = tensor(of, events, windows)
    assert np.isfinite(frame).all()
    np.testing.assert_array_equal(frame, slow(of, events, windows)[0])


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_frames__reach_the_last_pixel_and_no_other(of):
    events = Events([1, 6, 8], [63] * 3, [47] * 3, [1, 0, 1], Sensor(48, 64))
    (frame,) = tensor(of, events, windows_of(events, Duration(10)))
    assert frame[..., 47, 63].any()
    assert np.count_nonzero(frame) == np.count_nonzero(frame[..., 47, 63])


@pytest.mark.parametrize("of", EVERY, ids=repr)
def test_frames__leave_the_events_as_they_are(of):
    events = random_events(300)
    before = [getattr(events, name).copy() for name in "txyp"]
    tensor(of, events, windows_of(events, Duration(10_000)))
    for name, column in zip("txyp", before, strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)


def one_pixel(t, p) -> Events:
    return Events(t, [0] * len(t), [0] * len(t), p, Sensor(1, 1))


def values(of: Representation, events: Events, stop: int) -> list[float]:
    (frame,) = tensor(of, events, Windows([0], [stop], [0], [len(events)]))
    return frame.ravel().tolist()


def test_diff__is_clipped_at_each_event_and_not_at_the_end():
    seven_then_two = one_pixel(range(9), [1] * 7 + [0] * 2)
    assert values(Diff(4), seven_then_two, 9) == [0.5]
    assert values(Diff(4), one_pixel(range(9), [0] * 2 + [1] * 7), 9) == [1.0]
    assert values(Histo(4), seven_then_two, 9) == [0.5, 1.0]


def test_histo__rounds_each_sum_to_float32():
    total = f32(0)
    for _ in range(7):
        total = f32(total + f32(0.1))
    assert values(Histo(10), one_pixel(range(7), [1] * 7), 7) == [0, float(total)]
    assert total != f32(0.7)


def test_quantized__saturate_at_what_their_bits_hold():
    many = one_pixel(range(600), [0] * 300 + [1] * 300)
    assert values(HistoQuantized(), many, 600) == [15, 15]
    assert values(HistoQuantized(2, 10), many, 600) == [3, 255]
    assert values(HistoQuantized(8, 9), many, 600) == [255, 1]
    assert values(HistoQuantized(2, 5, normalization=True), many, 600) == [float(f32(3 / 7)), 1.0]
    assert values(DiffQuantized(), many, 600) == [127]
    assert values(DiffQuantized(), one_pixel(range(300), [0] * 300), 300) == [-128]
    assert values(DiffQuantized(1), many, 600) == [0]
    assert values(DiffQuantized(3, normalization=True), many, 600) == [0.75]


def test_timesurface__keeps_the_newest_event_of_a_window_of_a_number_of_events():
    events = one_pixel([10, 13, 17], [1, 1, 1])
    (made,) = tensor(Timesurface(), events, windows_of(events, Count(3)))
    assert made.ravel().tolist() == [0.0, 7 / 8]
    assert values(Timesurface(normed=False), events, 20) == [0.0, 17.0]


def test_timesurface__takes_the_last_of_equal_timestamps():
    events = Events([5, 5], [0, 0], [0, 0], [0, 1], Sensor(1, 1))
    assert values(Timesurface(), events, 10) == [0.5, 0.5]


def test_multi_channel_timesurface__has_bins_of_a_third_of_any_duration():
    # 10 µs: bins of 10/3 µs begin at 0, 3.33 and 6.67.
    events = one_pixel([3, 4, 6, 9], [1, 1, 0, 1])
    made = values(MultiChannelTimesurface(), events, 10)
    assert made == [float(f32(n)) for n in (0, 0.9, 0.8, 0.2, 0, 0.7)]
    made = values(MultiChannelTimesurface(normed=False), events, 10)
    assert made == [float(f32(n)) for n in (0, 3, 8 / 3, 2 / 3, 0, 7 / 3)]


def test_event_cube__leaves_out_what_is_beyond_its_first_and_last_bin():
    # Bins of 4 µs, whose middles are at 2, 6 and 10 µs.
    first, last = one_pixel([0], [1]), one_pixel([11], [1])
    assert values(EventCube(1), first, 12) == [0, 0.5, 0, 0, 0, 0]
    assert values(EventCube(1), last, 12) == [0, 0, 0, 0, 0, 0.75]
    assert values(EventCube(2, split_polarity=False), one_pixel([3, 6], [0, 1]), 12) == [
        -0.375,
        0.375,
        0,
    ]


@settings(max_examples=30, deadline=None)
@given(small_events(stop=99), st.integers(2, 9))
def test_event_cube__keeps_the_weight_of_every_event_between_the_middles_of_its_ends(events, bins):
    half = 100 / bins / 2
    inside = events[
        int(np.searchsorted(events.t, half)) : int(np.searchsorted(events.t, 100 - half))
    ]
    windows = Windows([0], [100], [0], [len(inside)])
    (frame,) = tensor(EventCube(64, bins), inside, windows)
    for p in (0, 1):
        total = frame[p::2].astype(np.float64).sum()
        assert total == pytest.approx((inside.p == p).sum() / 64, abs=len(inside) * 2.0**-24)


@pytest.mark.parametrize("most", [64.0, 4096.0])
def test_histo_and_diff__keep_every_event_that_does_not_fill_its_pixel(most):
    events = random_events(1_000, (8, 8))
    windows = windows_of(events, Duration(60_000))
    counts = tensor(create("histogram"), events, windows).astype(np.int64)
    np.testing.assert_array_equal(tensor(Histo(most), events, windows) * most, counts)
    difference = (counts[:, 1] - counts[:, 0])[:, None]
    np.testing.assert_array_equal(tensor(Diff(most), events, windows) * most, difference)


@pytest.mark.parametrize("name", ["histo", "event_cube"])
def test_windows__are_the_bins_of_a_call_of_several(name):
    events = random_events(2_000)
    bins = tensor(create(name), events, windows_of(events, Duration(10_000)))
    assert len(bins) == 10
    for k in range(10):
        part = (events.t >= 10_000 * k) & (events.t < 10_000 * (k + 1))
        columns = (getattr(events, column)[part] for column in "xyp")
        alone = Events(events.t[part] - 10_000 * k, *columns, events.sensor)
        made = tensor(create(name), alone, Windows([0], [10_000], [0], [len(alone)]))
        assert made[0].tobytes() == bins[k].tobytes()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("histo", {"max_incr_per_pixel": 0}, "max_incr_per_pixel: 0 is not more than 0"),
        ("diff", {"max_incr_per_pixel": -1.0}, "max_incr_per_pixel: -1.0 is not more than 0"),
        ("histo_quantized", {"negative_bit_length": 0}, "0 is less than 1"),
        ("histo_quantized", {"negative_bit_length": 8}, "leave 0 bits for the count of ON events"),
        ("histo_quantized", {"total_bit_length": 13}, "leave 9 bits for the count of ON events"),
        ("diff_quantized", {"negative_bit_length": 9}, "9 is more than 8"),
        ("event_cube", {"num_utbins": 0}, "num_utbins: 0 is less than 1"),
        ("event_cube", {"num_utbin": 3}, "no parameter 'num_utbin'.*Did you mean 'num_utbins'"),
    ],
)
def test_parameter_out_of_range__is_named(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        create(name, parameters)
