"""Counts, images, stacks and voxel grids equal their slow twins, to the last bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations import (
    Binary,
    EventImage,
    Histogram,
    MixedDensityStack,
    Representation,
    StackedHistogram,
    VoxelGrid,
    create,
    frames,
    tensor,
    voxel_grid,
)
from evreel.representations.mixed_density_stack import first_shares
from evreel.windows import Count, Duration, Windows
from support import random_events
from support.small import SENSOR, one_pixel, whole

EVERY: list[Representation] = [
    Histogram("uint64"),
    Histogram("int8", saturate=True),
    Binary(),
    Binary(per_polarity=True),
    EventImage(),
    EventImage(signed=False, dtype="uint32"),
    EventImage(dtype="int8", saturate=True),
    StackedHistogram(),
    StackedHistogram(3, None, "window"),
    StackedHistogram(7, 2, compat="rvt"),
    StackedHistogram(4, None, "window", compat="rvt", fastmode=False),
    MixedDensityStack(),
    MixedDensityStack(3, count_cutoff=None),
    MixedDensityStack(4, "nam2022"),
    VoxelGrid(4, compat="openeb_bilinear"),
    VoxelGrid(5, "window", "openeb_nearest"),
    VoxelGrid(3, compat="tonic"),
]
f32 = np.float32


def durations(events: Events, window_us: int) -> Windows:
    return Duration(window_us).plan(events.t_stop_us, lambda at: np.searchsorted(events.t, at))


@st.composite
def some_events(draw, longest: int = 60):
    """Draw a few events on few pixels: with equal stamps, gaps, and from none to many in one."""
    span = draw(st.integers(0, longest))
    first = draw(st.sampled_from([0, 3, 2**31 + 5]))
    stamps = st.integers(0, span) | st.sampled_from([0, span, span // 2])
    pixel = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 1))
    rows = draw(st.lists(st.tuples(stamps, pixel), max_size=40))
    rows.sort(key=lambda row: row[0])
    t = [first + t for t, _ in rows]
    x, y, p = ([pixel[k] for _, pixel in rows] for k in range(3))
    return Events(np.array(t, dtype=np.int64), x, y, p, SENSOR)


def listed(events: Events) -> list[tuple[int, int, int, int]]:
    """Return (t, x, y, p) of each event as Python's whole numbers."""
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def slow_binary(events: Events, per_polarity: bool):
    made = np.zeros((1 + per_polarity, *events.sensor), dtype=np.uint8)
    for _, x, y, p in listed(events):
        made[p if per_polarity else 0, y, x] = 1
    return made


def slow_image(events: Events, signed: bool, dtype: str):
    limits = np.iinfo(dtype)
    sums: dict[tuple[int, int], int] = {}
    for _, x, y, p in listed(events):
        after = sums.get((y, x), 0) + (-1 if signed and not p else 1)
        sums[y, x] = min(max(after, limits.min), limits.max)
    made = np.zeros((1, *events.sensor), dtype=dtype)
    for (y, x), value in sums.items():
        made[0, y, x] = value
    return made


def slow_stacked(events: Events, bins: int, cutoff: int | None, ends: tuple[int, int]):
    """Take the bin as a whole-number quotient."""
    made = np.zeros((2 * bins, *events.sensor), dtype=int)
    t0, t_n = ends
    for t, x, y, p in listed(events):
        made[p * bins + min(bins * (t - t0) // max(t_n - t0, 1), bins - 1), y, x] += 1
    return made.clip(max=min(cutoff or 255, 255)).astype(np.uint8)


def slow_rvt_stacked(
    events: Events, bins: int, cutoff: int | None, fastmode: bool, ends: tuple[int, int]
):
    """Take the bin in float32; count in Python's numbers, and wrap at the end."""
    counts = np.zeros((2 * bins, *events.sensor), dtype=int)
    t0, t_n = ends
    for t, x, y, p in listed(events):
        position = f32(t - t0) / f32(max(t_n - t0, 1)) * f32(bins)
        counts[p * bins + min(int(position), bins - 1), y, x] += 1
    counts = counts % 256 if fastmode else (counts + 32768) % 65536 - 32768
    return counts.clip(0, min(cutoff or 255, 255)).astype(np.uint8)


def slow_rvt_mixed(events: Events, bins: int, cutoff: int | None):
    """Take the logarithm of each event in float32; add in Python's numbers, and wrap at the end."""
    sums = np.zeros((bins, *events.sensor), dtype=int)
    for t, x, y, p in listed(events):
        t0, t_n = int(events.t[0]), int(events.t[-1])
        u = min(max(f32(t - t0) / f32(max(t_n - t0, 1)), f32(1e-6)), f32(1 - 1e-6))
        halvings = f32(math.log(float(u))) / f32(math.log(0.5))
        sums[int(max(f32(bins) - halvings, f32(0))) :, y, x] += 2 * p - 1
    sums = (sums + 128) % 256 - 128
    limit = 128 if cutoff is None else cutoff
    return sums.clip(-limit, limit).astype(np.int8)


def slow_nam2022(events: Events, bins: int):
    made = np.zeros((bins, *events.sensor), dtype=np.int8)
    rows = listed(events)
    for k in range(bins):
        kept = len(rows) // 2**k
        for _, x, y, p in rows[len(rows) - kept :]:
            made[k, y, x] = 2 * p - 1
    return made


def slow_openeb(events: Events, bins: int, bilinear: bool, t0: int, t_n: int, weight: float = 1):
    voxels = np.zeros((bins, *events.sensor), dtype=np.float32)
    for t, x, y, p in listed(events):
        position = f32(t - t0) * f32(bins) / f32(max(t_n - t0, 1)) - f32(0.5)
        left = min(max(math.floor(position), 0), bins - 1)
        sign = f32(weight if p else -weight)
        share = max(f32(0), f32(1) - abs(f32(left) - position)) if bilinear else f32(1)
        voxels[left, y, x] += sign * share
        if bilinear:
            voxels[min(left + 1, bins - 1), y, x] += sign * (f32(1) - share)
    return voxels


def slow_tonic(events: Events, bins: int, t0: int, t_n: int):
    """Share each polarity between ⌊t*⌋ and the next bin, of those that there are, in float64."""
    voxels = np.zeros((bins, *events.sensor))
    for t, x, y, p in listed(events):
        position = bins * (t - t0) / max(t_n - t0, 1)
        below = math.floor(position)
        for b, share in ((below, 1 - (position - below)), (below + 1, position - below)):
            if b < bins:
                voxels[b, y, x] += share if p else -share
    return voxels


def ends_of(span: str, events: Events, windows: Windows, k: int) -> tuple[int, int]:
    """Return t0 and tN of window k, whose events are these."""
    if span == "window":
        return int(windows.start_us[k]), int(windows.stop_us[k])
    return (int(events.t[0]), int(events.t[-1])) if len(events) else (0, 0)


def each_window(events: Events, windows: Windows, made: Any):
    """Yield (frame, its events, window number)."""
    assert len(made) == len(windows)
    rows = zip(windows.start.tolist(), windows.stop.tolist(), strict=True)
    for k, (start, stop) in enumerate(rows):
        yield made[k], events[start:stop], k


def near(events: Events, n: int = 3) -> Windows:
    """Return windows of a few events, and one of all: in a recording that may start late."""
    if not len(events):
        return whole(events)
    plan = Count(max(len(events) // n, 1)).plan(len(events), lambda rows: events.t[rows])
    columns = (
        np.concatenate([getattr(plan, name), getattr(whole(events), name)])
        for name in ("start_us", "stop_us", "start", "stop")
    )
    return Windows(*columns)


def assert_equal(made: Any, twin: Any) -> None:
    assert made.dtype == twin.dtype
    assert made.tobytes() == twin.tobytes()


@settings(max_examples=30, deadline=None)
@given(some_events(), st.booleans(), st.sampled_from(["int8", "int64"]))
def test_binary_and_event_image__equal_their_slow_twins(events, flag, dtype):
    windows = near(events)
    for frame, part, _ in each_window(events, windows, tensor(Binary(flag), events, windows)):
        assert_equal(frame, slow_binary(part, flag))
    for saturate in (False, True):
        image = EventImage(flag, dtype, saturate)
        for frame, part, _ in each_window(events, windows, tensor(image, events, windows)):
            assert_equal(frame, slow_image(part, flag, dtype))


@settings(max_examples=40, deadline=None)
@given(
    some_events() | some_events(60_000_000),
    st.integers(1, 45),
    st.sampled_from([None, 1, 2, 300]),
    st.sampled_from(["events", "window"]),
)
def test_stacked_histogram__equals_its_slow_twins(events, bins, cutoff, span):
    windows = near(events)
    made = tensor(StackedHistogram(bins, cutoff, span), events, windows)
    for frame, part, k in each_window(events, windows, made):
        assert_equal(frame, slow_stacked(part, bins, cutoff, ends_of(span, part, windows, k)))
    for fastmode in (True, False):
        as_rvt = StackedHistogram(bins, cutoff, span, "rvt", fastmode)
        for frame, part, k in each_window(events, windows, tensor(as_rvt, events, windows)):
            ends = ends_of(span, part, windows, k)
            assert_equal(frame, slow_rvt_stacked(part, bins, cutoff, fastmode, ends))


@settings(max_examples=40, deadline=None)
@given(
    some_events() | some_events(60_000_000),
    st.integers(1, 32),
    st.sampled_from([None, 0, 1, 127]),
)
def test_mixed_density_stack__equals_its_slow_twins(events, bins, cutoff):
    windows = near(events)
    made = tensor(MixedDensityStack(bins, "rvt", cutoff), events, windows)
    for frame, part, _ in each_window(events, windows, made):
        assert_equal(frame, slow_rvt_mixed(part, bins, cutoff))
    made = tensor(MixedDensityStack(bins, "nam2022"), events, windows)
    for frame, part, _ in each_window(events, windows, made):
        assert_equal(frame, slow_nam2022(part, bins))


@settings(max_examples=40, deadline=None)
@given(some_events(), st.integers(1, 7), st.sampled_from(["events", "window"]))
def test_voxel_grid__of_openeb_and_tonic_equals_their_slow_twins(events, bins, span):
    windows = near(events)
    for mode in ("bilinear", "nearest"):
        made = tensor(VoxelGrid(bins, span, f"openeb_{mode}"), events, windows)
        for frame, part, k in each_window(events, windows, made):
            ends = ends_of(span, part, windows, k)
            assert_equal(frame, slow_openeb(part, bins, mode == "bilinear", *ends))
    made = tensor(VoxelGrid(bins, span, "tonic"), events, windows)
    for frame, part, k in each_window(events, windows, made):
        twin = slow_tonic(part, bins, *ends_of(span, part, windows, k))
        np.testing.assert_allclose(frame, twin, rtol=0, atol=max(len(part), 1) ** 2 * 2.0**-23)


def test_voxel_grid__of_tonic_is_the_first_bins_of_the_next_larger_one():
    events = random_events(2_000, (3, 5))
    windows = durations(events, 9_999)
    ours = tensor(VoxelGrid(6), events, windows)
    assert tensor(VoxelGrid(5, compat="tonic"), events, windows).tobytes() == ours[:, :5].tobytes()


@pytest.mark.parametrize("grid", [VoxelGrid(), VoxelGrid(1), VoxelGrid(3, "window", "tonic")])
def test_voxel_grid__by_tiles_is_the_same_to_the_last_bit(grid, monkeypatch):
    events = random_events(6_000, (7, 9))
    start_us, stop_us = np.array([[0, 70_000], [5_000, 5_001], [200_000, 200_001], [9, 99_999]]).T
    rows = (np.searchsorted(events.t, edges) for edges in (start_us, stop_us))
    windows = Windows(start_us, stop_us, *rows)
    assert (windows.stop - windows.start).min() == 0, "an empty window between full ones"
    expected = tensor(grid, events, windows)
    # A frame too large for the cache: tiles of one row, and 1,000 events at a time.
    for name, size in (("MOST_CACHED", 0), ("TILE", 1), ("ENTRIES", 1_000)):
        monkeypatch.setattr(voxel_grid, name, size)
    for tile in (1, 4 * 9 * grid.bins * 2, 1 << 19):
        monkeypatch.setattr(voxel_grid, "TILE", tile)
        assert tensor(grid, events, windows).tobytes() == expected.tobytes()


def test_voxel_grid__of_a_large_frame_is_the_sum_of_polarities_too():
    events = random_events(20_000, (720, 1280))
    (voxels,) = tensor(VoxelGrid(2), events, whole(events))
    (image,) = tensor(EventImage(), events, whole(events))
    np.testing.assert_allclose(voxels.sum(axis=0), image[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("compat", [None, "openeb_bilinear", "openeb_nearest", "tonic"])
def test_voxel_grid__adds_less_of_events_of_pixels_that_were_brought_together(compat):
    events = random_events(500, (3, 5))
    (full,) = tensor(VoxelGrid(4, compat=compat), events, whole(events))
    accumulator = VoxelGrid(4, compat=compat).accumulator(events.sensor, {})
    accumulator.weight = 1 / 16
    from evreel.representations import Window

    t = events.t
    accumulator.begin(Window(0, 0, int(t[-1]) + 1, int(t[0]), int(t[-1]), len(events), 0))
    accumulator.add(events)
    np.testing.assert_array_equal(accumulator.finish() * 16, full)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "uint64"])
def test_histogram__counts_in_whole_numbers_that_never_wrap(dtype):
    from evreel.kernels.histogram import count, count_saturating

    events = random_events(4_000, (4, 6))
    wide = tensor(Histogram("uint16"), events, whole(events))
    made = tensor(Histogram(dtype, saturate=True), events, whole(events))
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, wide.clip(max=np.iinfo(dtype).max))
    most = np.dtype(dtype).type(np.iinfo(dtype).max)
    counts = np.zeros((2, *SENSOR), dtype=dtype)
    counts[1, 0, 0] = most - most.dtype.type(1)
    three = one_pixel([0, 1, 2], [0, 1, 1])
    assert count(three.x, three.y, three.p, most, counts) == 2
    assert counts[:, 0, 0].tolist() == [1, int(most)], "to the last unit, also beyond 2⁵³"
    assert count_saturating(three.x, three.y, three.p, most, counts) == 2
    assert counts[:, 0, 0].tolist() == [2, int(most)]


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64"])
def test_event_image__sums_in_whole_numbers_that_never_wrap(dtype):
    from evreel.kernels.histogram import add_polarities, add_polarities_saturating

    limits = np.iinfo(dtype)
    off = (-1, limits.min) if limits.min else (1, limits.max)
    steps, ends = np.array([off, (1, limits.max)], dtype=dtype).T.copy()
    for p in (0, 1):
        three = one_pixel([0] * 3, [p] * 3)
        sums = np.full((1, *SENSOR), ends[p] - steps[p], dtype=dtype)
        for add, done in ((add_polarities, 1), (add_polarities_saturating, 3)):
            assert add(three.x, three.y, three.p, steps, ends, sums) == done
            assert int(sums[0, 0, 0]) == int(ends[p]), "to the last unit, also beyond 2⁵³"


def test_event_image__beyond_its_dtype_is_an_error_that_names_window_and_pixel():
    events = one_pixel(np.arange(300), np.zeros(300, dtype=int), x=3, y=2)
    with pytest.raises(ParameterError) as caught:
        tensor(EventImage(dtype="int8"), events, whole(events))
    assert str(caught.value) == (
        "event_image, window 0: the sum of pixel x=3, y=2 leaves the range of int8 at 128 µs. "
        "Choose a wider dtype, shorter windows, or saturate: true."
    )
    repairs: dict[str, int] = {}
    (made,) = tensor(EventImage(dtype="int8", saturate=True), events, whole(events), repairs)
    assert made[0, 2, 3] == -128
    assert repairs == {"event_image_increments_lost": 300 - 128}


def test_event_image__is_on_less_off_or_their_sum():
    events = random_events(5_000)
    (counts,) = tensor(Histogram(), events, whole(events)).astype(int)
    (signed,) = tensor(EventImage(), events, whole(events))
    np.testing.assert_array_equal(signed[0], counts[1] - counts[0])
    (unsigned,) = tensor(EventImage(signed=False), events, whole(events))
    np.testing.assert_array_equal(unsigned[0], counts.sum(axis=0))
    (marked,) = tensor(Binary(per_polarity=True), events, whole(events))
    np.testing.assert_array_equal(marked, counts > 0)


def test_stacked_histogram__of_five_events_by_hand():
    # t − t0: 0, 3, 4, 9, 12 of 12 µs; three bins: 0, 0, 1, 2, and the last event in bin 2.
    events = one_pixel([100, 103, 104, 109, 112], [1, 1, 0, 1, 0])
    (made,) = tensor(StackedHistogram(3), events, whole(events))
    assert made[:, 0, 0].tolist() == [0, 1, 1, 2, 0, 1]
    # Of the whole window [100, 113): 3 · 4 / 13 is still in bin 0.
    (made,) = tensor(StackedHistogram(3, span="window"), events, whole(events))
    assert made[:, 0, 0].tolist() == [1, 0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("options", "n", "count"),
    [
        ({}, 300, 10),
        ({"count_cutoff": None}, 300, 255),
        ({"count_cutoff": 1000}, 300, 255),
        ({"compat": "rvt"}, 300, 10),
        ({"compat": "rvt", "count_cutoff": None}, 300, 44),
        ({"compat": "rvt", "count_cutoff": None}, 256, 0),
        ({"compat": "rvt"}, 261, 5),
        ({"compat": "rvt", "fastmode": False}, 300, 10),
        ({"compat": "rvt", "fastmode": False, "count_cutoff": None}, 32_767, 255),
        ({"compat": "rvt", "fastmode": False, "count_cutoff": None}, 32_768, 0),
        ({"compat": "rvt", "fastmode": False, "count_cutoff": None}, 65_539, 3),
    ],
)
def test_stacked_histogram__counts_every_event_that_it_leaves_out(options, n, count):
    events = one_pixel([7] * n + [17] * n, [1] * 2 * n)
    repairs: dict[str, int] = {}
    stacked = StackedHistogram(2, **options)
    windows = durations(events, 10)
    read = frames(
        stacked, lambda a, b: events[a:b], windows, SENSOR, rows=n // 2 + 7, repairs=repairs
    )
    for frame in read:
        assert frame[:, 0, 0].tolist() == [0, 0, count, 0]
    assert repairs == {"stacked_histogram_increments_lost": 2 * (n - count)}


def test_stacked_histogram__keeps_every_event_of_its_window():
    events = random_events(20_000)
    windows = durations(events, 7_777)
    for options in ({}, {"span": "window"}, {"compat": "rvt"}):
        repairs: dict[str, int] = {}
        made = tensor(StackedHistogram(**options), events, windows, repairs)
        assert made.sum() + repairs["stacked_histogram_increments_lost"] == 20_000
        by_polarity = made.reshape(len(windows), 2, 10, *events.sensor).sum(axis=2)
        np.testing.assert_array_equal(by_polarity, tensor(Histogram(), events, windows))


def test_stacked_histogram__divides_windows_of_years_exactly():
    far = 2**52
    events = one_pixel([0, far // 3, far // 3 + 1, far], [1] * 4)
    (made,) = tensor(StackedHistogram(3), events, whole(events))
    # far = 3 · (far // 3) + 1: the border of bin 1 is the next whole µs.
    assert made[:, 0, 0].tolist() == [0, 0, 0, 2, 1, 1]


def test_mixed_density_stack__of_five_events_by_hand():
    # u: 0, 1/8, 1/4, 1/2 and 1, so the last bin begins at 1/2, the one before at 1/4.
    events = one_pixel([8, 9, 10, 12, 16], [1, 1, 0, 1, 1])
    (made,) = tensor(MixedDensityStack(3), events, whole(events))
    assert made[:, 0, 0].tolist() == [2, 1, 3]
    (made,) = tensor(MixedDensityStack(4, "nam2022"), events, whole(events))
    assert made[:, 0, 0].tolist() == [1, 1, 1, 0]


def test_mixed_density_stack__says_how_often_a_sum_wrapped():
    for n, value, wraps in ((127, 127, 0), (128, -128, 1), (300, 44, 1), (400, -112, 2)):
        repairs: dict[str, int] = {}
        events = one_pixel([5] * n, [1] * n)
        stack = MixedDensityStack(1, count_cutoff=None)
        assert tensor(stack, events, whole(events), repairs)[0, 0, 0, 0] == value
        assert repairs == {"mixed_density_stack_wraps": wraps}
    # 100 in the first half and 100 in the second: the sum of both wraps.
    events = one_pixel(np.arange(200), [1] * 200)
    repairs = {}
    (made,) = tensor(MixedDensityStack(2, count_cutoff=None), events, whole(events), repairs)
    assert made[:, 0, 0].tolist() == [100, 200 - 256]
    assert repairs == {"mixed_density_stack_wraps": 1}


@pytest.mark.parametrize("bins", [1, 2, 10, 21, 32])
def test_first_shares__are_where_the_float32_rule_goes_up(bins):
    shares = first_shares(bins)
    assert shares[0] == 0
    for b, share in enumerate(shares[1:], 1):
        least, most = f32(1e-6), f32(1 - 1e-6)
        for u, expected in ((share, True), (np.nextafter(share, f32(0)), False)):
            u = min(max(u, least), most)
            halvings = f32(math.log(float(u))) / f32(math.log(0.5))
            assert (f32(bins) - halvings >= b) == (expected or share == 0)
        assert share == 0 or abs(share * 2.0 ** (bins - b) - 1) < 2e-6


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_window__that_is_empty_is_all_zeros_after_a_full_one(representation):
    events = one_pixel([0, 1, 2, 25], [1, 1, 1, 1])
    made = tensor(representation, events, durations(events, 10))
    assert made.shape == (3, *representation.shape(SENSOR))
    assert made.dtype == representation.dtype
    assert made[0].any()
    assert not made[1].any()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_recording__without_events_has_no_frames(representation):
    events = Events.empty(SENSOR)
    made = tensor(representation, events, durations(events, 10))
    assert made.shape == (0, *representation.shape(SENSOR))


@pytest.mark.parametrize("representation", EVERY, ids=repr)
@pytest.mark.parametrize("t", [[7], [7, 7]])
def test_window__of_one_time_is_finite(representation, t):
    events = one_pixel(t, [1] * len(t))
    (frame,) = tensor(representation, events, whole(events))
    assert np.isfinite(frame).all()
    assert frame.any()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__reach_the_last_pixel_of_the_sensor_and_no_other(representation):
    events = one_pixel([0, 2, 3], [1, 1, 1], Sensor(48, 64), x=63, y=47)
    (frame,) = tensor(representation, events, whole(events))
    assert frame[..., 47, 63].any()
    assert np.count_nonzero(frame) == np.count_nonzero(frame[..., 47, 63])


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__do_not_depend_on_how_late_the_window_is(representation):
    events = random_events(500, stop_us=900)
    for shift in (2**31 + 7, 2**45 + 7):
        late = Events(events.t + shift, events.x, events.y, events.p, events.sensor)
        np.testing.assert_array_equal(
            tensor(representation, late, whole(late)),
            tensor(representation, events, whole(events)),
        )


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__are_the_same_bits_however_rows_are_read(representation):
    events = random_events(300, (3, 5), stop_us=2_000)
    before = [getattr(events, name).copy() for name in "txyp"]
    windows = Duration(900, 500).plan(2_000, lambda at: np.searchsorted(events.t, at))
    expected = tensor(representation, events, windows)
    for rows in (1, 37, 1_024):
        read = frames(representation, lambda a, b: events[a:b], windows, events.sensor, rows=rows)
        assert b"".join(frame.tobytes() for frame in read) == expected.tobytes()
    for name, column in zip("txyp", before, strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("histogram", {"dtype": "int24"}, "dtype: 'int24' is not one of uint8, uint16, uint32, "),
        ("histogram", {"dtype": "float32"}, "dtype: 'float32' is not one of"),
        ("event_image", {"dtype": "uint8"}, "event_image: dtype: uint8 has no negative numbers; "),
        ("stacked_histogram", {"bins": 0}, "stacked_histogram: bins: 0 is less than 1"),
        ("stacked_histogram", {"count_cutoff": 0}, "count_cutoff: 0 is less than 1"),
        ("stacked_histogram", {"compat": "RVT"}, "compat: 'RVT' is not one of rvt"),
        ("stacked_histogram", {"fastmode": False}, "fastmode: false belongs to compat: rvt"),
        ("mixed_density_stack", {"count_cutoff": 128}, "count_cutoff: 128 is more than 127"),
        ("mixed_density_stack", {"count_cutoff": -1}, "count_cutoff: -1 is less than 0"),
        ("mixed_density_stack", {"bins": 33}, "bins: 33 is more than 32, from where on RVT's"),
        ("mixed_density_stack", {"kind": "nam"}, "kind: 'nam' is not one of rvt, nam2022"),
        ("voxel_grid", {"compat": "openeb"}, "compat: 'openeb' is not one of openeb_bilinear, "),
    ],
)
def test_create__refuses_what_makes_no_frame(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        create(name, parameters)


def test_parameters__are_all_in_a_file_also_those_of_defaults():
    assert create("binary").parameters == {"per_polarity": False}
    assert create("event_image").parameters == {
        "signed": True,
        "dtype": "int16",
        "saturate": False,
    }
    assert create("stacked_histogram").parameters == {
        "bins": 10,
        "count_cutoff": 10,
        "span": "events",
        "fastmode": True,
    }
    assert create("mixed_density_stack").parameters == {
        "bins": 10,
        "kind": "rvt",
        "count_cutoff": 32,
    }
    assert create("mixed_density_stack", {"kind": "nam2022", "bins": 100}).channels == 100
    assert VoxelGrid(compat="tonic").parameters == {"bins": 5, "span": "events", "compat": "tonic"}
