"""The events store: what goes in comes out, and every stamp is found."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from conftest import random_events

from evreel.errors import EventsError, LayoutError
from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
from evreel.io import event_chunks, hdf5, open_recording
from evreel.io.events_store import EventsStore, EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance
from evreel.windows import Count, Duration

SENSOR = Sensor(48, 64)


def write_store(path, batches, sensor=SENSOR, t_offset=1_600_000_000_000_000):
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, sensor, t_offset, "test", "a header")
        for batch in batches:
            writer.write(batch)
        writer.finish()
    return path


def pieces(events: Events, rows: int):
    return [events[k : k + rows] for k in range(0, len(events), rows)]


def test_store__returns_the_events_that_went_in_whatever_the_batches(tmp_path):
    events = random_events(2_200_000, stop_us=3_000_000)
    for rows in (70_001, 700_000, 2_200_000):
        path = write_store(tmp_path / f"{rows}.h5", pieces(events, rows))
        with EventsStore(path) as store:
            got = store.read()
            assert len(store) == 2_200_000
            assert store.t_stop_us == events.t_stop_us
            for name in "txyp":
                np.testing.assert_array_equal(getattr(got, name), getattr(events, name))
    contents = {path.read_bytes() for path in tmp_path.glob("*.h5")}
    assert len(contents) == 1, "the size of the batches shows in the bytes"


def test_index_of__equals_a_search_in_all_stamps(tmp_path):
    events = random_events(50_000, stop_us=2_000_000, seed=1)
    events = Events(events.t // 700 * 700, events.x, events.y, events.p, events.sensor)
    path = write_store(tmp_path / "s.h5", pieces(events, 9_999))
    rng = np.random.default_rng(2)
    asked = np.concatenate(
        [rng.integers(-5_000, 2_010_000, 2_000), events.t[::97], events.t[-3:] + 1, [0, 1000]]
    )
    with EventsStore(path) as store:
        np.testing.assert_array_equal(store.index_of(asked), np.searchsorted(events.t, asked))
        slice_ = store.read_us(500_000, 510_000)
        inside = (events.t >= 500_000) & (events.t < 510_000)
        np.testing.assert_array_equal(slice_.t, events.t[inside])


def test_windows__of_a_store_equal_those_of_its_columns(tmp_path):
    events = random_events(30_000, stop_us=900_000, seed=3)
    path = write_store(tmp_path / "s.h5", [events])
    with EventsStore(path) as store:
        by_time = store.windows(Duration(10_000, 4_000))
        np.testing.assert_array_equal(by_time.start, np.searchsorted(events.t, by_time.start_us))
        np.testing.assert_array_equal(by_time.stop, np.searchsorted(events.t, by_time.stop_us))
        assert by_time.stop_us[-1] >= events.t_stop_us > by_time.stop_us[-2]
        by_count = store.windows(Count(7_000, 5_000))
        np.testing.assert_array_equal(by_count.start_us, events.t[by_count.start])
        np.testing.assert_array_equal(by_count.stop_us, events.t[by_count.stop - 1] + 1)


def test_time_index__has_an_entry_a_millisecond_and_ends_with_n(tmp_path):
    t = np.array([0, 999, 1000, 3500])
    zeros = np.zeros(4, dtype=int)
    path = write_store(tmp_path / "s.h5", [Events(t, zeros, zeros, zeros, Sensor(48, 64))])
    with h5py.File(path) as file:
        assert file["ms_to_idx"][:].tolist() == [0, 2, 3, 3, 4]
        assert file["ms_to_idx"].dtype == np.uint64


def test_store__without_events_is_a_store(tmp_path):
    path = write_store(tmp_path / "s.h5", [])
    with EventsStore(path) as store:
        assert len(store) == 0
        assert store.t_stop_us == 0
        assert len(store.read()) == 0
        assert len(store.windows(Duration(10))) == 0
        assert store.index_of([5]).tolist() == [0]


def test_side_streams__come_back_before_the_events(tmp_path):
    events = random_events(10)
    triggers = Triggers(
        np.array([-5, 7]), np.array([1, -1], dtype=np.int8), np.array([2, 0], dtype=np.int16)
    )
    axes = np.arange(3, dtype=np.float32).reshape(1, 3)
    imu = Imu(np.array([3]), axes, axes + 1, axes + 2, np.array([40.5], dtype=np.float32))
    frames = FrameTimes(np.array([-100, 50]), np.array([-20, 90]))
    path = write_store(tmp_path / "s.h5", [triggers, events, imu, frames])
    with open_recording(path) as recording:
        got = list(recording.batches())
    assert [type(batch) for batch in got] == [Triggers, Imu, FrameTimes, Events]
    for batch, expected in zip(got, (triggers, imu, frames, events), strict=True):
        for name in type(batch).__slots__:
            np.testing.assert_array_equal(getattr(batch, name), getattr(expected, name))


def test_batches__keep_to_the_time_asked_for(tmp_path):
    events = random_events(5_000, seed=5)
    path = write_store(tmp_path / "s.h5", [events])
    with open_recording(path) as recording:
        got = Events.concatenate(event_chunks(recording, 20_000, 30_000), recording.sensor)
    inside = (events.t >= 20_000) & (events.t < 30_000)
    np.testing.assert_array_equal(got.t, events.t[inside])


def test_writer__refuses_time_that_goes_back_between_batches(tmp_path):
    events = random_events(100)
    with pytest.raises(EventsError, match="goes back behind"):
        write_store(tmp_path / "s.h5", [events, events])


def test_store__of_another_kind_is_refused_with_its_name(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1]
    with pytest.raises(LayoutError, match=r"other\.h5: its layout is None; 'evreel-events'"):
        EventsStore(tmp_path / "other.h5")


def test_store__cut_short_is_refused(tmp_path):
    path = write_store(tmp_path / "s.h5", [random_events(5_000)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LayoutError, match=r"s\.h5: can't be opened as HDF5"):
        EventsStore(path)
