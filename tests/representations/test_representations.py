"""Representations equal their slow twins, keep every event, and do not see how they were read."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import representations
from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.recordings import event_chunks, open_recording
from evreel.representations import (
    REGISTRY,
    Accumulator,
    Histogram,
    Representation,
    VoxelGrid,
    create,
    frames,
    from_function,
    register,
    setting,
    tensor,
)
from evreel.windows import Count, Duration, Windows, ending_at
from support import random_events, shared_file
from support.small import SENSOR, Reads, one_pixel, small_events, whole

EVERY = [
    Histogram(),
    Histogram("uint8", saturate=True),
    Histogram("uint32"),
    VoxelGrid(),
    VoxelGrid(1),
    VoxelGrid(3, "window"),
]


def cut(events: Events, division: Duration | Count) -> Windows:
    if isinstance(division, Duration):
        return division.plan(events.t_stop_us, lambda at: np.searchsorted(events.t, at))
    return division.plan(len(events), lambda rows: events.t[rows])


def slow_histogram(events: Events):
    counts = np.zeros((2, *events.sensor), dtype=int)
    for x, y, p in zip(events.x, events.y, events.p, strict=True):
        counts[p, y, x] += 1
    return counts


def slow_voxels(events: Events, bins: int, t0: int, t_n: int):
    """Add event by event in float32, the upper weight to the nearest 2⁻²³."""
    voxels = np.zeros((bins, *events.sensor), dtype=np.float32)
    columns = (getattr(events, name).tolist() for name in "txyp")
    for t, x, y, p in zip(*columns, strict=True):
        position = (bins - 1) * (t - t0) / (t_n - t0) if t_n > t0 else 0.0
        below = int(position)
        upper = round((position - below) * 2**23) / 2**23
        sign = 1 if p else -1
        voxels[below, y, x] += np.float32(sign * (1 - upper))
        if upper:
            voxels[below + 1, y, x] += np.float32(sign * upper)
    return voxels


def paper_voxels(events: Events, bins: int, t0: int, t_n: int):
    """Equations 1 to 3 of Zhu et al. 2019, for every bin of every event, in float64."""
    voxels = np.zeros((bins, *events.sensor))
    for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True):
        at = (bins - 1) * (int(t) - t0) / (t_n - t0) if t_n > t0 else 0.0
        for b in range(bins):
            voxels[b, y, x] += (2 * int(p) - 1) * max(0.0, 1 - abs(b - at))
    return voxels


@settings(max_examples=40, deadline=None)
@given(small_events(), st.integers(1, 25), st.integers(1, 25))
def test_histogram__equals_its_slow_twin(events, window_us, stride_us):
    windows = cut(events, Duration(window_us, stride_us))
    for saturate in (False, True):
        made = tensor(Histogram("uint16", saturate), events, windows)
        assert made.dtype == np.uint16
        for frame, start, stop in zip(made, windows.start, windows.stop, strict=True):
            np.testing.assert_array_equal(frame, slow_histogram(events[start:stop]))


@settings(max_examples=40, deadline=None)
@given(small_events(), st.integers(1, 6), st.integers(1, 30))
def test_voxel_grid__equals_its_slow_twin_and_the_papers_equations(events, bins, window_us):
    windows = cut(events, Duration(window_us))
    for span in ("events", "window"):
        made = tensor(VoxelGrid(bins, span), events, windows)
        assert made.dtype == np.float32
        for k, (start, stop) in enumerate(zip(windows.start, windows.stop, strict=True)):
            part = events[start:stop]
            ends = (int(windows.start_us[k]), int(windows.stop_us[k]))
            if span == "events":
                ends = (int(part.t[0]), int(part.t[-1])) if len(part) else (0, 0)
            np.testing.assert_array_equal(made[k], slow_voxels(part, bins, *ends))
            paper = paper_voxels(part, bins, *ends)
            np.testing.assert_allclose(made[k], paper, rtol=0, atol=len(part) ** 2 * 2.0**-23)


def test_histogram__of_four_events_by_hand():
    events = Events([0, 1, 1, 9], [4, 4, 0, 4], [2, 2, 0, 2], [1, 1, 0, 0], SENSOR)
    (frame,) = tensor(Histogram(), events, whole(events))
    assert frame[1, 2, 4] == 2, "ON"
    assert frame[0, 2, 4] == 1, "OFF"
    assert frame[0, 0, 0] == 1, "OFF"
    assert frame.sum() == 4


def test_voxel_grid__of_three_events_by_hand():
    # t* = 4 (t − 100) / 16: 0, 0.75 and 4.
    events = one_pixel([100, 103, 116], [1, 0, 1])
    (voxels,) = tensor(VoxelGrid(), events, whole(events))
    assert voxels[:, 0, 0].tolist() == [0.75, -0.75, 0.0, 0.0, 1.0]
    # Edge to edge, [100, 117): t* = 4 · 16 / 17 for the last one, which is before the last bin.
    (voxels,) = tensor(VoxelGrid(5, "window"), events, whole(events))
    assert voxels[4, 0, 0] == pytest.approx(13 / 17, abs=2**-23)


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_window__that_is_empty_is_all_zeros_after_a_full_one(representation):
    events = one_pixel([0, 25], [1, 1])
    made = tensor(representation, events, cut(events, Duration(10)))
    assert made.shape == (3, *representation.shape(SENSOR))
    assert made[0].any()
    assert not made[1].any()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_recording__without_events_has_no_frames(representation):
    events = Events.empty(SENSOR)
    made = tensor(representation, events, cut(events, Duration(10)))
    assert made.shape == (0, *representation.shape(SENSOR))
    assert made.dtype == representation.dtype


@pytest.mark.parametrize("t", [[7], [7, 7, 7]])
def test_voxel_grid__of_one_time_puts_all_into_bin_0(t):
    events = one_pixel(t, [1] * len(t))
    for bins in (1, 5):
        (voxels,) = tensor(VoxelGrid(bins), events, whole(events))
        assert voxels[:, 0, 0].tolist() == [len(t)] + [0] * (bins - 1)
    assert np.isfinite(voxels).all()


def test_voxel_grid__of_one_bin_is_the_sum_of_polarities():
    events = random_events(3_000, (3, 5))
    (voxels,) = tensor(VoxelGrid(1), events, whole(events))
    counts = slow_histogram(events)
    np.testing.assert_array_equal(voxels[0], counts[1] - counts[0])


def test_histogram__keeps_every_event_of_its_window():
    events = random_events(20_000)
    windows = cut(events, Duration(7_777))
    counts = tensor(Histogram(), events, windows).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(counts, windows.stop - windows.start)
    assert counts.sum() == 20_000


@pytest.mark.parametrize("span", ["events", "window"])
def test_voxel_grid__keeps_every_polarity_within_its_bound(span):
    events = random_events(20_000, (4, 6))
    (voxels,) = tensor(VoxelGrid(7, span), events, whole(events))
    off, on = slow_histogram(events)
    error = np.abs(voxels.astype(np.float64).sum(axis=0) - (on - off))
    assert (error <= (on + off).astype(float) ** 2 * 2.0**-23).all()


@pytest.mark.parametrize("bins", [2, 3, 5, 10, 31])
def test_voxel_grid__splits_one_event_into_weights_that_add_up_to_exactly_1(bins):
    sensor = Sensor(1, 997)
    t = np.arange(997)
    events = Events(t, t, t * 0, np.ones(997, dtype=int), sensor)
    (voxels,) = tensor(VoxelGrid(bins), events, whole(events))
    assert (voxels.astype(np.float64).sum(axis=0) == 1).all()
    assert (voxels >= 0).all()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__reach_the_last_pixel_of_the_sensor(representation):
    events = one_pixel([0, 5], [1, 1], Sensor(48, 64), x=63, y=47)
    (frame,) = tensor(representation, events, whole(events))
    assert frame[..., 47, 63].sum() == 2
    assert np.count_nonzero(frame) == np.count_nonzero(frame[..., 47, 63])


@pytest.mark.parametrize("representation", EVERY, ids=repr)
@pytest.mark.parametrize("shift", [2**31 + 7, 2**45 + 7])
def test_frames__do_not_depend_on_how_late_the_window_is(representation, shift):
    events = random_events(500, stop_us=900)
    late = Events(events.t + shift, events.x, events.y, events.p, events.sensor)
    np.testing.assert_array_equal(
        tensor(representation, late, whole(late)), tensor(representation, events, whole(events))
    )


def test_voxel_grid__spans_windows_of_days():
    day = 24 * 3600 * 1_000_000
    events = one_pixel([0, 3 * day, 12 * day], [1, 1, 1])
    (voxels,) = tensor(VoxelGrid(5), events, whole(events))
    assert voxels[:, 0, 0].tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__leave_the_events_as_they_are(representation):
    events = random_events(1_000)
    before = [getattr(events, name).copy() for name in "txyp"]
    tensor(representation, events, cut(events, Duration(10_000)))
    for name, column in zip("txyp", before, strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)


@pytest.mark.parametrize("representation", EVERY, ids=repr)
@pytest.mark.parametrize("division", [Duration(9_000, 5_000), Duration(100_000), Count(700, 300)])
def test_frames__are_the_same_bits_however_rows_are_read(representation, division):
    events = random_events(6_000)
    windows = cut(events, division)
    expected = tensor(representation, events, windows)
    for rows in (1, 37, 1_024, 1_025, 100_000):
        read = frames(representation, lambda a, b: events[a:b], windows, events.sensor, rows=rows)
        made = np.stack([frame.copy() for frame in read])
        assert made.tobytes() == expected.tobytes()


def test_frames__are_one_array_that_is_read_only_and_filled_again():
    events = one_pixel([0, 15], [1, 0])
    made = list(frames(Histogram(), lambda a, b: events[a:b], cut(events, Duration(10)), SENSOR))
    assert made[0] is made[1]
    assert made[0][0, 0, 0] == 1, "the second window's"
    with pytest.raises(ValueError, match="read-only"):
        made[0][0, 0, 0] = 3


@pytest.mark.parametrize("division", [Duration(100), Duration(400, 100), Count(50, 25)])
def test_frames__read_many_small_windows_in_few_pieces(division):
    reads = Reads(random_events(20_000))
    windows = cut(reads.events, division)
    made = sum(1 for _ in frames(Histogram(), reads, windows, reads.events.sensor, rows=5_000))
    assert made == len(windows) > 200
    assert len(reads.asked) <= 5
    assert max(stop - start for start, stop in reads.asked) <= 5_000


def test_frames__do_not_read_wide_gaps_between_windows():
    reads = Reads(random_events(20_000))
    instants = [10_000, 10_050, 13_000, 50_000, 99_000]
    windows = ending_at(instants, 50, lambda at: np.searchsorted(reads.events.t, at))
    list(frames(VoxelGrid(), reads, windows, reads.events.sensor, rows=5_000))
    assert len(reads.asked) == 4, "the first two windows are read together"
    assert sum(stop - start for start, stop in reads.asked) == (windows.stop - windows.start).sum()


def test_frames__read_a_long_window_and_those_inside_it_once():
    reads = Reads(random_events(1_000, stop_us=10_000))
    start_us = np.array([0, 2_000, 4_000])
    stop_us = np.array([10_000, 3_000, 9_000])
    rows = [np.searchsorted(reads.events.t, edge) for edge in (start_us, stop_us)]
    windows = Windows(start_us, stop_us, *rows)
    list(frames(Histogram(), reads, windows, reads.events.sensor))
    assert reads.asked == [(0, 1_000)]


def test_frames__hold_no_more_rows_than_asked_of_a_long_window():
    reads = Reads(random_events(1_000))
    list(frames(VoxelGrid(), reads, whole(reads.events), reads.events.sensor, rows=300))
    assert max(stop - start for start, stop in reads.asked) <= 300
    with pytest.raises(ParameterError, match="rows=0 is not at least 1"):
        list(frames(VoxelGrid(), reads, whole(reads.events), reads.events.sensor, rows=0))


def test_frames__refuse_windows_of_another_recording():
    events = random_events(100)
    with pytest.raises(
        EventsError, match=r"window 0: of rows \[50, 150\), the recording returned 50"
    ):
        tensor(Histogram(), events, Windows([0], [10**6], [50], [150]))
    with pytest.raises(EventsError, match=r"window 0: its events run from 0 to .* are \[0, 5"):
        tensor(Histogram(), events, Windows([0], [5], [0], [100]))


def test_frames__refuse_events_of_another_sensor():
    events = random_events(100, (4, 6))
    source = frames(Histogram(), lambda a, b: events[a:b], whole(events), Sensor(4, 5))
    with pytest.raises(EventsError, match=r"width=6\) cannot go into a frame for .*width=5\)"):
        next(source)


def test_frames__refuse_events_outside_their_window():
    accumulator = VoxelGrid().accumulator(SENSOR, {})
    accumulator.begin(representations.Window(0, 0, 10, 2, 8, 2, 0))
    with pytest.raises(EventsError, match="events from 2 to 9 µs are not within"):
        accumulator.add(one_pixel([2, 9], [1, 1]))


def test_histogram__beyond_its_dtype_is_an_error_that_names_window_pixel_and_count():
    t = np.arange(600)
    events = one_pixel(t, t >= 40, x=3, y=2)
    windows = cut(events, Duration(300))
    message = (
        "histogram, window 0: pixel x=3, y=2 counts 256 ON events by 295 µs, but uint8 "
        "holds at most 255. Choose a wider dtype, shorter windows, or saturate: true."
    )
    for rows in (7, 1_000):
        with pytest.raises(ParameterError) as caught:
            list(frames(Histogram("uint8"), lambda a, b: events[a:b], windows, SENSOR, rows=rows))
        assert str(caught.value) == message
    assert tensor(Histogram("uint16"), events, windows)[:, 1, 2, 3].tolist() == [260, 300]


def test_histogram__that_saturates_counts_what_it_left_out():
    t = np.arange(600)
    events = one_pixel(t, t >= 40)
    repairs: dict[str, int] = {}
    made = tensor(Histogram("uint8", saturate=True), events, cut(events, Duration(300)), repairs)
    assert made[:, :, 0, 0].tolist() == [[40, 255], [0, 255]]
    assert repairs == {"histogram_increments_lost": 5 + 45}
    assert made.sum() + 50 == 600


def test_repairs__are_zero_if_nothing_was_lost_and_absent_if_nothing_can_be():
    events = random_events(50)
    for representation, expected in (
        (Histogram("uint8", saturate=True), {"histogram_increments_lost": 0}),
        (Histogram(), {}),
        (VoxelGrid(), {}),
    ):
        repairs: dict[str, int] = {}
        tensor(representation, events, whole(events), repairs)
        assert repairs == expected


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_count__never_wraps(dtype):
    from evreel.kernels.histogram import count, count_saturating

    events = one_pixel([0, 1, 2], [0, 1, 1])
    most = int(np.iinfo(dtype).max)
    counts = np.zeros((2, *SENSOR), dtype=dtype)
    counts[1, 0, 0] = most - 1
    assert count(events.x, events.y, events.p, most, counts) == 2
    assert counts[:, 0, 0].tolist() == [1, most]
    assert count_saturating(events.x, events.y, events.p, most, counts) == 2
    assert counts[:, 0, 0].tolist() == [2, most]


GOLDEN = {
    ("histogram", 1): "53952bb26a7d8dc5bc71d8d4634e66073e77d4f30859705ccc46c4a63872661b",
    ("binary", 1): "3d057647eb8ca357504dc26b24a457f67009f5f549c4af753bde401ec6be73b5",
    ("event_image", 1): "5bba29ecbdb0c64a24e38d1193a8b4efe832a7aed5ae88a7a94bd6c15c95c862",
    ("stacked_histogram", 1): "ceffc22f0e8c4eaabb6f4676874703f00f56d97efcea6280e00e2cd7a208bf07",
    ("mixed_density_stack", 1): "a71418023956a58b629782daaaaacb28d420cf0d33b6ba6f38f9d63dc3f8dac2",
    ("voxel_grid", 1): "541f91ad99573c5eac73363b378d17595c9e25ec97d09dbb121903abce3c5113",
    ("histo", 1): "81745033a3224809a334f255169b5dccc25a2c4b855dd2588133680b348810d5",
    ("diff", 1): "a625dceb6c07d5cbed42a58ab5043d975f054776771f44fc292b8cb732a6ab40",
    ("histo_quantized", 1): "5bf439bfd3b0bfc86f2d20392a0ba89ba8c1cdd84224596ad8f25c9abb89bdad",
    ("diff_quantized", 1): "a2434d512cb9117f8cd20fd46d310ecacd75563221da0c482c56723a542a9d94",
    ("timesurface", 1): "daa92c7fb43c53a900112a1d0a163e06f697356cd3b5f22602275a4575cd0df8",
    (
        "multi_channel_timesurface",
        1,
    ): "342d3b2f72245d916a422700fa028413d847479947b48ed927a560da6e31d44c",
    ("event_cube", 1): "0285257fbf71d8f91f580300fc4ad8882f8deace0edfd922da7db22205fa7cdd",
    ("event_cube_paper", 1): "ee067463c195c22660c21caa1fc7e027c98cec841196c90261596af773d9e501",
    ("exponential_surface", 1): "79cacd46250bb7e3488ccbaa9c364f93fe6eafd88995efc1fa9686d95c128a52",
    ("last_timestamp", 1): "f3fde992b4078d64cfc0303b72a5fe9d9b89bb9c631b11e95437c5d2f7aa0d17",
    ("tore", 1): "beb4216f2ef7ba339ef716dfc997c2883f2f89f65877608e94d388d3a6911d5a",
    ("hats", 1): "989360726d7cc22723c482e4c8a1e7412c0943206fc662dee043c81e9b4bf52d",
    ("averaged_timesurface", 1): "45b27d8ce7be38cce3de423eef43e6ca59b349249b3949c9c556d2d0a5d513d5",
    ("ergo12", 1): "c55f074abb16843b82ceafe29593299d55f230558435adc1e91a2181dc3bc536",
}


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_values__change_only_with_the_revision(name):
    events = random_events(30_000, seed=11)
    representation = create(name)
    made = tensor(representation, events, cut(events, Duration(12_345)))
    digest = hashlib.sha256(f"{made.shape} {made.dtype.str}".encode() + made.tobytes()).hexdigest()
    assert GOLDEN.get((name, representation.revision)) == digest, "raise the revision"


def test_registry__names_each_class_by_its_own_name_with_reference_and_unit():
    for name, kind in REGISTRY.items():
        assert kind.name == name
        assert kind.reference
        assert kind.unit
        assert kind.revision >= 1


def test_create__takes_defaults_and_returns_every_parameter():
    assert create("histogram").parameters == {"dtype": "uint16", "saturate": False}
    assert create("voxel_grid", {"bins": 9}) == VoxelGrid(9, "events")
    assert create("voxel_grid").shape(Sensor(260, 346)) == (5, 260, 346)
    assert create("histogram").shape(Sensor(260, 346)) == (2, 260, 346)
    assert create("voxel_grid").description == {
        "name": "voxel_grid",
        "parameters": {"bins": 5, "span": "events"},
        "revision": 1,
        "reference": VoxelGrid.reference,
        "unit": "events",
        "dtype": "float32",
    }


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (
            "histogramm",
            {},
            r"'histogramm'; available: histogram, .*voxel_grid.*\. Did you mean 'histogram'\?",
        ),
        ("x", {}, r"'x'; available: histogram, .*voxel_grid[^.]*$"),
        (
            "voxel_grid",
            {"bin": 5},
            r"voxel_grid: it has no parameter 'bin'; available: bins, span, compat\. Did you mean "
            r"'bins'\?",
        ),
        ("voxel_grid", {"bins": 0}, "voxel_grid: bins: 0 is less than 1"),
        ("voxel_grid", {"bins": 5.0}, "bins: 5.0 is not a whole number"),
        ("voxel_grid", {"bins": "5"}, "bins: '5' is not a whole number"),
        ("voxel_grid", {"bins": True}, "bins: true is not a whole number"),
        ("voxel_grid", {"bins": None}, "bins: null is not a whole number"),
        ("voxel_grid", {"span": "frame"}, "span: 'frame' is not one of events, window"),
        ("voxel_grid", {"span": 3}, "span: 3 is not a text"),
        ("histogram", {"saturate": 1}, "saturate: 1 is not true or false"),
        ("histogram", {"saturate": "no"}, "saturate: 'no' is not true or false"),
    ],
)
def test_create__refuses_an_unknown_name_and_suggests_the_nearest(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        create(name, parameters)


def test_parameters__are_plain_values():
    grid = VoxelGrid(bins=np.int16(4))
    assert type(grid.bins) is int
    assert type(Histogram(saturate=np.True_).saturate) is bool


@dataclass(frozen=True)
class Decay(Representation):
    name: ClassVar[str] = "decay"
    revision: ClassVar[int] = 3
    reference: ClassVar[str] = "here"
    unit: ClassVar[str] = "1"

    tau_us: float = setting(1e4, "Time constant, µs.", minimum=1, maximum=1e9)
    cap: int | None = setting(None, "Largest value; null: none.", minimum=1)

    @property
    def channels(self):
        return 1

    @property
    def dtype(self):
        return "float32"

    def accumulator(self, sensor, repairs):
        return DecayFrame(self, sensor, repairs)


class DecayFrame(Accumulator):
    def accumulate(self, events):
        self.frame[0, events.y, events.x] = 1


@pytest.fixture
def registry(monkeypatch):
    """Let a test register in a copy of the registry."""
    copy = dict(REGISTRY)
    monkeypatch.setattr(representations, "REGISTRY", copy)
    return copy


def test_register__makes_your_own_class_known_to_create(registry):
    assert register(Decay) is Decay
    assert register(Decay) is Decay, "once more is no conflict"
    assert create("decay", {"tau_us": 5}).parameters == {"tau_us": 5.0, "cap": None}
    assert create("decay", {"cap": 4}).parameters["cap"] == 4
    events = one_pixel([0], [1])
    assert tensor(create("decay"), events, whole(events))[0, 0, 0, 0] == 1
    for parameters, message in (
        ({"tau_us": 0.5}, "decay: tau_us: 0.5 is less than 1"),
        ({"tau_us": 1e10}, "tau_us: 10000000000.0 is more than 1,000,000,000"),
        ({"tau_us": float("nan")}, "tau_us: nan is not finite"),
        ({"tau_us": "1e4"}, "tau_us: '1e4' is not a number"),
        ({"cap": 0.5}, "decay: cap: 0.5 is not a whole number"),
    ):
        with pytest.raises(ParameterError, match=message):
            create("decay", parameters)


def test_register__refuses_a_taken_name_and_an_incomplete_class(registry):
    @dataclass(frozen=True)
    class Other(Decay):
        name: ClassVar[str] = "histogram"

    @dataclass(frozen=True)
    class Unwritten(Representation):
        name: ClassVar[str] = "unwritten"
        revision: ClassVar[int] = 1
        reference: ClassVar[str] = ""
        unit: ClassVar[str] = ""

    class Nameless(Representation):
        pass

    @dataclass(frozen=True)
    class Shaped(Decay):
        name: ClassVar[str] = "shaped"
        shape: int = 3

    @dataclass(frozen=True, kw_only=True)
    class Needy(Decay):
        name: ClassVar[str] = "needy"
        size: int

    for kind, message in (
        (Other, "a representation called 'histogram' already exists"),
        (Unwritten, "class Unwritten does not define accumulator, channels, dtype"),
        (Nameless, "class Nameless has no name"),
        (Shaped, "class Shaped has a parameter 'shape', which is a reserved name"),
    ):
        with pytest.raises(ParameterError, match=message):
            register(kind)
    register(Needy)
    with pytest.raises(ParameterError, match="needy: its parameter 'size' has no default"):
        create("needy")


def test_from_function__makes_a_representation_with_the_functions_parameters(registry):
    calls = Counter()

    def weighted(frame, events, window, *, gain: float = 1.0, rounds=2):
        calls[window.number] += 1
        np.add.at(frame[0], (events.y, events.x), gain * rounds)

    kind = register(
        from_function(
            weighted, name="weighted", channels=1, dtype="float32", unit="1", reference="a test"
        )
    )
    assert kind.revision == 1
    representation = create("weighted", {"gain": 3})
    assert representation.parameters == {"gain": 3.0, "rounds": 2}
    events = one_pixel([0, 1, 12], [1, 0, 1])
    made = tensor(representation, events, cut(events, Duration(10)))
    assert made[:, 0, 0, 0].tolist() == [12.0, 6.0]
    assert calls == {0: 1, 1: 1}
    with pytest.raises(ParameterError, match=r"weighted: rounds: 2\.5 is not a whole number"):
        create("weighted", {"rounds": 2.5})

    def bad(frame, events, window, *, gain):
        """Take a parameter without a default."""

    with pytest.raises(ParameterError, match="bad: its parameter 'gain' has no default"):
        from_function(bad, name="bad", channels=1, dtype="uint8", unit="", reference="")


def test_import__of_representations_does_not_wait_for_numba():
    code = "import sys, evreel.representations; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_real_recording__keeps_every_event():
    path = shared_file("recordings/aermanager_class1_test.aedat4")
    with open_recording(path) as recording:
        events = Events.concatenate(event_chunks(recording, 0, 300_000), recording.sensor)
    windows = cut(events, Duration(10_000))
    counts = tensor(Histogram(), events, windows)
    assert counts.sum() == len(events) > 1_000
    voxels = tensor(VoxelGrid(), events, windows).astype(np.float64).sum(axis=1)
    balance = counts[:, 1].astype(float) - counts[:, 0]
    bound = counts.sum(axis=1).astype(float) ** 2 * 2.0**-23
    assert (np.abs(voxels - balance) <= bound).all()
