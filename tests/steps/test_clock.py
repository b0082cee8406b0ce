"""Clocks of every source, and what annotating through them gives each event."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.errors import ClockError, ParameterError, UsageError
from evreel.events import FrameTimes, Triggers
from evreel.files.clock import read_clock
from evreel.files.events_store import EventsStore
from evreel.files.slices import SlicesFile
from evreel.steps import ClockSettings
from evreel.timebase import FrameClock
from support import random_events
from support.cvat import box, images, task, track
from support.scenes import simulated
from support.stores import write_store

SIZE = (48, 64)
STOP_US = 200_000
FRAMES = FrameTimes(
    np.array([-500, 40_000, 90_000, 150_000]), np.array([7_000, 55_000, 90_500, 199_000])
)
EDGES = Triggers(
    np.array([-10, 1_000, 30_000, 33_000, 60_000, 70_000, 80_000, 199_000]),
    np.array([0, 1, 0, -1, 1, 1, 0, 1], np.int8),
    np.array([2, 2, 2, 2, 2, 9, 2, 2], np.int16),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with events, frames of the camera, and triggers of two channels."""
    events = random_events(4_000, SIZE, stop_us=STOP_US, seed=3)
    path = tmp_path_factory.mktemp("clock") / "rec.h5"
    return write_store(path, [events, FRAMES, EDGES], events.sensor, t_offset=5_000_000)


def made(store, folder: Path, table: str | None = None, **settings) -> FrameClock:
    """Return the clock that the step writes."""
    if table is not None:
        (folder / "table.tsv").write_text("frame\tstart_us\tstop_us\n" + table)
    steps.clock(
        *(store, folder / "c.tsv", ClockSettings(**settings)),
        table=None if table is None else folder / "table.tsv",
    )
    return read_clock(folder / "c.tsv")[0]


def rows(clock: FrameClock) -> list[tuple[int, int]]:
    return list(zip(clock.start_us.tolist(), clock.stop_us.tolist(), strict=True))


SOURCES = {
    "frames": {"clock": "frames"},
    "exposures": {"clock": "frames", "exposure_us": 60_000},
    "triggers": {"clock": "triggers", "trigger_id": 2},
    "edges": {"clock": "triggers", "trigger_id": 2, "exposure_us": 50_000},
    "falling": {"clock": "triggers", "trigger_id": 2, "trigger_edge": "falling"},
    "paced": {"rate_hz": 30, "window_us": 12_000, "start_us": -3_000},
    "overlapping": {"rate_hz": 50, "window_us": 30_000, "n_frames": 4},
    "table": {"table": "0\t500\t900\n1\t20000\t90000\n2\t90000\t500000\n"},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("frames", [(-500, 7_000), (40_000, 55_000), (90_000, 90_500), (150_000, 199_000)]),
        ("exposures", [(-500, 40_000), (40_000, 90_000), (90_000, 150_000), (150_000, 210_000)]),
        ("triggers", [(1_000, 30_000), (60_000, 80_000)]),
        ("edges", [(1_000, 51_000), (60_000, 110_000), (199_000, 249_000)]),
        ("falling", [(-10, 1_000), (30_000, 60_000), (80_000, 199_000)]),
        ("overlapping", [(0, 30_000), (30_000, 50_000), (50_000, 70_000), (70_000, 90_000)]),
        ("table", [(500, 900), (20_000, 90_000), (90_000, 500_000)]),
    ],
)
def test_clock__has_the_times_of_its_source(store, tmp_path, source, expected):
    assert rows(made(store, tmp_path, **SOURCES[source])) == expected


def test_paced_clock__has_frames_at_exact_fractions_of_a_second(store, tmp_path):
    clock = made(store, tmp_path, **SOURCES["paced"])
    exact = [-3_000 + k * 1_000_000 // 30 for k in range(7)]
    assert rows(clock) == [(start, start + 12_000) for start in exact]
    assert clock.start_us[-1] < STOP_US <= exact[-1] + 1_000_000 // 30
    many = FrameClock.paced(4_000_000_000, 1_000, rate_hz=29.97)
    assert many.start_us[100_000] == 100_000 * 100_000_000 // 2_997


@pytest.mark.parametrize("source", SOURCES)
def test_annotate__labels_each_event_through_its_clock(store, tmp_path, source):
    clock = made(store, tmp_path, **SOURCES[source])
    n = len(clock)
    body = track(*(box(frame) for frame in range(n - 1)), box(n - 1, outside=1))
    (tmp_path / "a.xml").write_text(task(body, range(n)))
    steps.annotate(
        *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        rois=tmp_path / "a.xml",
    )
    with EventsStore(store) as opened, SlicesFile(tmp_path / "s.h5") as slices:
        events, (_, roi) = opened.read(), slices.read()
        labelled = list(zip(*(column.tolist() for column in slices.labelled), strict=True))
    expected = []
    for t, x, y in zip(events.t.tolist(), events.x.tolist(), events.y.tolist(), strict=True):
        frame = next((k for k, (start, stop) in enumerate(rows(clock)) if start <= t < stop), None)
        inside = frame is not None and frame < n - 1
        inside = inside and frame <= x + 0.5 < frame + 9 and 1 <= y + 0.5 < 9
        expected.append(0 if inside else -1)
    assert roi.tolist() == expected
    assert expected.count(0) > 0
    # Nobody looked between two frames.
    assert sum(stop - start for start, stop in labelled) == sum(b - a for a, b in rows(clock))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"clock": "triggers"},
            "has edges of trigger channels 2, 9; which one is meant is not said",
        ),
        ({"clock": "triggers", "trigger_id": 3}, "channels 2, 9; 3 is not one"),
        ({"clock": "triggers", "trigger_id": 9}, "has no rising edge of a whole frame"),
        ({"clock": "external"}, "clock: external needs a table of times"),
        ({"clock": "frames", "table": "0\t0\t1\n"}, "clock: frames does not go with a table"),
        ({"table": "0\t0\t1\n", "n_frames": 1}, "n_frames is for clock: events; leave it out"),
        ({"table": "0\t5000000\t5010000\n"}, "no frame is within the recording, from 0 to"),
        ({"table": ""}, "its frames are none"),
    ],
)
def test_clock__that_the_recording_cannot_give_is_refused(store, tmp_path, settings, message):
    with pytest.raises((ClockError, UsageError), match=re.escape(message)):
        made(store, tmp_path, **settings)
    assert not (tmp_path / "c.tsv").exists()


def test_clock__of_frames_that_are_missing_or_empty_is_refused(tmp_path):
    events = random_events(10, SIZE, stop_us=1_000, seed=1)
    bare = write_store(tmp_path / "bare.h5", [events], events.sensor)
    with pytest.raises(ClockError, match="has no frames, whose exposures would be the clock"):
        made(bare, tmp_path, clock="frames")
    with pytest.raises(ClockError, match="has no edges of triggers, which would"):
        made(bare, tmp_path, clock="triggers")
    instants = FrameTimes(np.array([0, 500]), np.array([0, 500]))
    still = write_store(tmp_path / "still.h5", [events, instants], events.sensor)
    with pytest.raises(ClockError, match=r"frame 0: its exposure stops at 0 µs.*exposure_us"):
        made(still, tmp_path, clock="frames")
    assert rows(made(still, tmp_path, clock="frames", exposure_us=200)) == [(0, 200), (500, 700)]
    back = FrameTimes(np.array([300, 0]), np.array([400, 100]))
    mixed = write_store(tmp_path / "mixed.h5", [events, back], events.sensor)
    with pytest.raises(ClockError, match=r"mixed.h5: frame 1: starts at 0 µs, before frame 0"):
        made(mixed, tmp_path, clock="frames")


def test_clock__of_two_edges_of_one_kind_asks_for_the_exposure(tmp_path):
    events = random_events(10, SIZE, stop_us=1_000, seed=1)
    marks = Triggers(np.array([1, 5, 9]), np.ones(3, np.int8), np.zeros(3, np.int16))
    path = write_store(tmp_path / "s.h5", [events, marks], events.sensor)
    with pytest.raises(ClockError, match="two rising edges follow each other, at 1 and 5 µs"):
        made(path, tmp_path, clock="triggers")
    assert rows(made(path, tmp_path, clock="triggers", exposure_us=4)) == [(1, 5), (5, 9), (9, 13)]


def test_clock_settings__of_another_source_are_refused():
    with pytest.raises(ParameterError, match="trigger_id: goes with clock: triggers only"):
        ClockSettings(trigger_id=1)
    with pytest.raises(ParameterError, match="rate_hz: goes with clock: events only, not with fr"):
        ClockSettings(clock="frames", rate_hz=30)


def test_clock_table__of_another_recording_is_refused(store, tmp_path):
    comments = "# t_offset\t7\n"
    (tmp_path / "t.tsv").write_text(comments + "frame\tstart_us\tstop_us\n0\t0\t10\n")
    with pytest.raises(ClockError, match=r"t_offset is 7, but in rec\.h5 it is 5000000"):
        steps.clock(store, tmp_path / "c.tsv", table=tmp_path / "t.tsv")


def test_clock__says_what_it_was_made_from(store, tmp_path):
    made(store, tmp_path, **SOURCES["edges"])
    _, _, said = read_clock(tmp_path / "c.tsv")
    asked = ("trigger_id", "trigger_edge", "exposure_us")
    assert [said[name] for name in asked] == ["2", "rising", "50000"]
    made(store, tmp_path, **SOURCES["table"])
    clock, _, said = read_clock(tmp_path / "c.tsv")
    assert clock.source == "external"
    assert re.fullmatch("sha256:[0-9a-f]{64}", said["table"])


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("frames", {"clock": "frames"}),
        ("frames,exposure-us=5", {"clock": "frames", "exposure_us": 5}),
        (
            "triggers,id=1,edge=falling,exposure-us=9",
            {"clock": "triggers", "trigger_id": 1, "trigger_edge": "falling", "exposure_us": 9},
        ),
        ("window-us=10000,frames=916", {"clock": "events", "window_us": 10_000, "n_frames": 916}),
        ("fps=30,window-us=10000", {"clock": "events", "window_us": 10_000}),
        ("fps=30", {"clock": "events", "window_us": 33_334, "rate_hz": 30.0}),
        (
            "fps=30000/1001,window-us=5000,speed=0.5",
            {"clock": "events", "window_us": 5_000, "rate_hz": 60_000 / 1_001},
        ),
        ("park.clock.tsv", None),
    ],
)
def test_clock_by_hand__takes_words_and_values(text, settings):
    assert steps.clock_by_hand(text) == settings
    if settings is not None:
        ClockSettings(**settings)


def test_clock_by_hand__of_fps_alone_shows_all_of_the_time():
    settings = steps.clock_by_hand("fps=30")
    clock = FrameClock.paced(1_000_000, settings["window_us"], settings["rate_hz"])
    assert len(clock) == 30
    assert (clock.start_us[1:] == clock.stop_us[:-1]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fsp=30,window-us=1", "'fsp=30' is not known; did you mean 'fps'?"),
        ("fps=30,fps=25", "'fps=25' is duplicated"),
        ("fps=0", "fps: '0' is not a number above 0"),
        ("fps=1/0", "fps: '1/0' is not a number above 0"),
        ("fps=30,window-us=1e4", "window-us: '1e4' is not a whole number"),
        ("speed=2,window-us=5", "speed is given without fps"),
        ("frames,exposure", "'exposure' is not known"),
        ("frames,window-us=5", "window-us is for regular windows, and does not go with frames"),
        ("triggers,id=1,start-us=0", "start-us is for regular windows, and does not go with tr"),
        ("frames,fps=30", "fps is for regular windows, and does not go with frames"),
    ],
)
def test_clock_by_hand__that_is_wrong_is_refused(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        steps.clock_by_hand(text)


def test_video__draws_by_the_clock_that_events_are_labelled_by(store, tmp_path):
    clock = made(store, tmp_path, **SOURCES["edges"])
    assert steps.video(store, tmp_path / "c.tsv", tmp_path / "v.zip") == len(clock)


def test_simulated_scene__through_a_table_of_times_has_the_labels_of_its_pictures(tmp_path):
    """Pictures of a part of the time, drawn on and exported by name, in another order."""
    recording = simulated(tmp_path, "park")
    store = tmp_path / "park.h5"
    steps.events(recording, store)
    starts = [3_000, 20_000, 21_000, 70_000]
    table = "".join(f"{k}\t{start}\t{start + 900}\n" for k, start in enumerate(starts))
    made(store, tmp_path, table=table)
    order = [2, 0, 3, 1]
    names = {k: f"{row:06d}_{starts[row]}.png" for k, row in enumerate(order)}
    (tmp_path / "a.xml").write_text(task(images(names), range(4), mode="annotation"))
    steps.annotate(
        *(store, tmp_path / "c.tsv", tmp_path / "s.h5", tmp_path / "b.npy"),
        steps.RegularWindows(window_us=50_000),
        rois=tmp_path / "a.xml",
    )
    boxes = np.load(tmp_path / "b.npy")
    assert boxes["t"].tolist() == [start + 900 for start in starts]
    assert boxes["x"].tolist() == [order.index(row) for row in range(4)]
