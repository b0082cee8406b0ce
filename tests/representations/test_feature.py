"""A feature with a geometry is that of events which were changed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError, UsageError
from evreel.events import Events, Sensor
from evreel.filters import Crop, Orientation
from evreel.geometry import FrameMap, Geometry
from evreel.representations import (
    REGISTRY,
    Accumulator,
    Feature,
    Histogram,
    Representation,
    Run,
    VoxelGrid,
    create,
    frames,
    frames_together,
    tensor,
)
from evreel.windows import Count, Duration, Windows
from support import random_events

SENSOR = Sensor(6, 10)
CROPS = [None, (0, 0, 10, 6), (2, 1, 7, 6), (9, 5, 10, 6)]


def whole_pixels(geometry: Geometry, events: Events) -> Events:
    """Return events as filters change them, then halved."""
    left = Crop(*geometry.crop).apply(events) if geometry.crop else events
    left = Orientation(flip_x=geometry.flip_x, flip_y=geometry.flip_y).apply(left)
    x, y = left.x >> geometry.downsample, left.y >> geometry.downsample
    return Events(left.t, x, y, left.p, geometry.sensor(events.sensor))


def kept_rows(geometry: Geometry, events: Events, windows: Windows) -> Windows:
    """Return windows with the same edges, in rows of the events that are left."""
    x0, y0, x1, y1 = geometry.crop or (0, 0, 10, 6)
    inside = (events.x >= x0) & (events.x < x1) & (events.y >= y0) & (events.y < y1)
    before = np.concatenate([[0], np.cumsum(inside)])
    return Windows(windows.start_us, windows.stop_us, before[windows.start], before[windows.stop])


def planned(events: Events, division: Duration | Count) -> Windows:
    if isinstance(division, Duration):
        return division.plan(events.t_stop_us, lambda at: np.searchsorted(events.t, at))
    return division.plan(len(events), lambda rows: events.t[rows])


def spans(events: Events, pairs) -> Windows:
    """Return windows of any start and duration, in any order."""
    start_us = np.array([start for start, _ in pairs])
    stop_us = start_us + [duration for _, duration in pairs]
    return Windows(
        start_us, stop_us, *(np.searchsorted(events.t, at) for at in (start_us, stop_us))
    )


def made(feature, events: Events, windows: Windows, rows: int = 1_000) -> tuple[bytes, dict]:
    """Return the bytes of all frames, and what was changed."""
    repairs: dict[str, int] = {}
    every = frames(
        *(feature, lambda a, b: events[a:b], windows, events.sensor),
        index_of=lambda at: np.searchsorted(events.t, at),
        rows=rows,
        repairs=repairs,
    )
    return b"".join(frame.tobytes() for frame in every), repairs


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CROPS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(-5, 70), st.integers(1, 30)), min_size=1, max_size=7),
    st.sampled_from([1, 4, 1_000]),
    st.integers(0, 50),
)
def test_feature__is_that_of_events_changed_beforehand(
    crop, flip_x, flip_y, halvings, pairs, rows, seed
):
    geometry = Geometry(crop=crop, flip_x=flip_x, flip_y=flip_y, downsample=halvings)
    events = random_events(90, SENSOR, stop_us=60, seed=seed)
    windows = spans(events, pairs)
    beforehand, then = whole_pixels(geometry, events), kept_rows(geometry, events, windows)
    for made_of in (Histogram(), VoxelGrid(3)) if halvings == 0 else (Histogram(),):
        expected, _ = made(made_of, beforehand, then)
        got, repairs = made(Feature(made_of, geometry), events, windows, rows)
        assert got == expected
        n_left_out = sum(windows.stop - windows.start) - sum(then.stop - then.start)
        assert repairs == ({} if crop is None else {"outside_crop": n_left_out})


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_representation__sees_only_the_events_that_are_left(name):
    sensor = Sensor(48, 64)
    geometry = Geometry(crop=(9, 4, 57, 44), flip_x=True, flip_y=True)
    events = random_events(3_000, sensor, seed=2)
    beforehand = Orientation(flip_x=True, flip_y=True).apply(Crop(9, 4, 57, 44).apply(events))
    made_of = create(name)
    pairs = [(0, 30_000), (20_000, 30_000), (60_000, 40_000)]
    expected, lost = made(made_of, beforehand, spans(beforehand, pairs))
    windows = spans(events, pairs)
    got, repairs = made(Feature(made_of, geometry), events, windows, rows=700)
    assert got == expected
    assert repairs.pop("outside_crop") > 0
    assert repairs == lost


@pytest.mark.parametrize("method", ["nearest", "bilinear", "area"])
def test_feature__whose_frames_are_resized_is_that_of_its_frames(method):
    events = random_events(500, SENSOR)
    windows = planned(events, Duration(10_000))
    geometry = Geometry(flip_y=True, resize=(4, 7), of="frame", method=method)
    for made_of in (Histogram("uint8"), VoxelGrid()):
        whole = tensor(Feature(made_of, Geometry(flip_y=True)), events, windows)
        small = tensor(Feature(made_of, geometry), events, windows)
        resize = FrameMap(whole.shape[1:], (4, 7), method)
        assert small.tobytes() == np.stack([resize.apply(frame) for frame in whole]).tobytes()
        assert small.dtype == whole.dtype
    frame = next(frames(Feature(made_of, geometry), lambda a, b: events[a:b], windows, SENSOR))
    with pytest.raises(ValueError, match="read-only"):
        frame[0, 0, 0] = 1


def test_feature__resized_in_event_space_has_every_event():
    events = random_events(500, SENSOR)
    windows = planned(events, Duration(10_000))
    for size in ((3, 3), (6, 10), (11, 27)):
        found = tensor(Feature(Histogram(), Geometry(resize=size)), events, windows)
        assert found.shape[2:] == size
        assert found.sum() == 500


class Weights(Accumulator):
    def accumulate(self, events: Events) -> None:
        np.add.at(self.frame, (0, events.y, events.x), self.weight)


@dataclass(frozen=True)
class Weighed(Representation):
    """Sum of what events count as."""

    name: ClassVar[str] = "weighed"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "here"
    unit: ClassVar[str] = "events"

    channels = 1
    dtype = "float64"

    def accumulator(self, sensor, repairs):
        return Weights(self, sensor, repairs)


def test_feature__of_fewer_pixels_counts_an_event_as_the_ratio_of_the_areas():
    events = random_events(400, SENSOR)
    windows = planned(events, Duration(10_000))
    for geometry, weight in (
        (Geometry(), 1),
        (Geometry(crop=(0, 0, 10, 6)), 1),
        (Geometry(downsample=2), 1 / 16),
        (Geometry(downsample=1, resize=(6, 10), of="frame", method="nearest"), 1 / 4 * 4),
        (Geometry(resize=(3, 10)), 1 / 2),
        (Geometry(resize=(12, 20)), 4),
    ):
        assert tensor(Feature(Weighed(), geometry), events, windows).sum() == 400 * weight


def test_feature__of_regions_counts_their_events_alone():
    events = random_events(3_000, SENSOR)
    windows = planned(events, Count(400))
    is_car = np.random.default_rng(5).random(3_000) < 0.2
    feature = Feature(Histogram(), Geometry(labels=("car",)))
    repairs = {}
    made = frames(
        *(feature, lambda a, b: events[a:b], windows, SENSOR),
        rows=250,
        repairs=repairs,
        regions=lambda start, stop: is_car[start:stop],
    )
    for k, frame in enumerate(made):
        part = slice(windows.start[k], windows.stop[k])
        expected = np.zeros((2, *SENSOR), int)
        np.add.at(expected, tuple(c[part][is_car[part]] for c in (events.p, events.y, events.x)), 1)
        np.testing.assert_array_equal(frame, expected)
    assert repairs == {"outside_labels": np.count_nonzero(~is_car)}
    with pytest.raises(UsageError, match="only events in regions of car are wanted"):
        tensor(feature, events, windows)


def test_features__of_several_geometries_are_made_together():
    events = random_events(5_000, SENSOR)
    windows = planned(events, Duration(9_000))
    wanted = [Geometry(), Geometry(crop=(0, 0, 3, 3)), Geometry(downsample=1, flip_x=True)]
    runs = [Run(Feature(Histogram(), geometry), windows) for geometry in wanted]
    made = [[] for _ in runs]
    for k, frame in frames_together(runs, lambda a, b: events[a:b], SENSOR, rows=700):
        made[k].append(frame.copy())
    for run, found in zip(runs, made, strict=True):
        assert np.stack(found).tobytes() == tensor(run.feature, events, windows).tobytes()
    n_outside = 5_000 - int(np.sum(made[1]))
    assert [run.repairs for run in runs] == [{}, {"outside_crop": n_outside}, {}]


def test_feature__whose_crop_is_outside_the_sensor_says_so():
    with pytest.raises(ParameterError, match="reaches outside the 10x6 sensor"):
        Feature(Histogram(), Geometry(crop=(0, 0, 11, 6))).shape(SENSOR)
