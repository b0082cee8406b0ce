"""The events store: what goes in comes out, and every stamp is found."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from evreel.errors import EventsError, LayoutError, ParameterError, RecordingError
from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
from evreel.files.events_store import EventsStore
from evreel.recordings import event_chunks, open_recording
from evreel.windows import Count, Duration
from support import ROOT, random_events, stores
from support.hdf5 import edited
from support.stores import pieces

SENSOR = Sensor(48, 64)


T_OFFSET = 1_600_000_000_000_000


def write_store(path, batches, sensor=SENSOR, t_offset=T_OFFSET):
    return stores.write_store(path, batches, sensor, t_offset)


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


def test_index_of__equals_a_search_in_all_timestamps(tmp_path):
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


def test_time_index__has_an_entry_per_millisecond_and_ends_with_n(tmp_path):
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


def test_batches__are_within_the_requested_time(tmp_path):
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
    with pytest.raises(LayoutError, match=r"s\.h5: cannot be opened as HDF5"):
        EventsStore(path)


def content(path):
    """Return all that a store holds, read through every door."""
    with EventsStore(path) as store:
        events = store.read()
        store.index_of(np.arange(0, store.t_stop_us, 997))
        sides = [batch for batch in store.batches() if isinstance(batch, Triggers)]
        columns = [getattr(events, name).tobytes() for name in "txyp"]
        columns += [side.t.tobytes() for side in sides]
        return columns, store.sensor, store.t_offset, store.t_stop_us, store.origin


def test_store__with_any_bit_flipped_is_refused_or_the_same(tmp_path):
    events = random_events(20_000, stop_us=90_000_000)
    marks = Triggers(np.arange(9), np.ones(9, dtype=np.int8), np.ones(9, dtype=np.int16))
    path = write_store(tmp_path / "s.h5", [marks, events])
    whole, expected = path.read_bytes(), content(path)
    damaged = tmp_path / "damaged.h5"
    refused = 0
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 150).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        try:
            assert content(damaged) == expected, f"bit {bit} gives other values in silence"
        except LayoutError as error:
            assert error.path == damaged, f"bit {bit}"
            refused += 1
    assert refused > 112


def test_store__with_a_damaged_chunk_names_file_and_rows(tmp_path):
    path = write_store(tmp_path / "s.h5", [random_events(200_000)])
    with h5py.File(path) as file:
        chunk = file["events/x"].id.get_chunk_info(1)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff")
    with EventsStore(path) as store:
        assert len(store.read(0, 65_536)) == 65_536
        message = r"^s\.h5: rows 65000 to 70000 cannot be read: .*build or download it again\.$"
        with pytest.raises(LayoutError, match=message):
            store.read(65_000, 70_000)


@pytest.mark.parametrize(
    ("name", "row", "value", "message"),
    [
        ("events/t", 1_500, 0, "row 1500: t=0 is before"),
        ("events/x", 1_700, 64, r"row 1700: x=64 is not within \[0, 64\)"),
        ("ms_to_idx", 0, 1, "ms_to_idx begins with 1 and ends with 5000; 0 and 5000"),
        ("ms_to_idx", -1, 4_999, "ms_to_idx begins with 0 and ends with 4999"),
        ("ms_to_idx", 50, 0, "ms_to_idx goes back in row 50"),
        ("ms_to_idx", 50, 5_000, "ms_to_idx goes back in row 51"),
    ],
)
def test_store__that_contradicts_itself_names_file_and_row(tmp_path, name, row, value, message):
    path = write_store(tmp_path / "s.h5", [random_events(5_000)])
    with edited(path) as file:
        file[name][row] = value
    with pytest.raises(LayoutError, match=rf"^s\.h5: {message}"), EventsStore(path) as store:
        store.read(1_000, 2_000)
        store.index_of([50_500])


def test_index_of__reads_only_the_chunks_it_needs(tmp_path):
    t = np.arange(0, 400_000_000, 1_000)
    zeros = np.zeros(len(t), dtype=int)
    path = write_store(tmp_path / "s.h5", [Events(t, zeros, zeros, zeros, SENSOR)])
    with h5py.File(path) as file:
        damaged = [file[name].id.get_chunk_info(3) for name in ("events/t", "ms_to_idx")]
    with path.open("r+b") as raw:
        for chunk in damaged:
            raw.seek(chunk.byte_offset + chunk.size // 2)
            raw.write(b"\xff\x00\xff")
    with EventsStore(path) as store:
        assert store.index_of([399_000_500, 500, 1_000]).tolist() == [399_001, 1, 1]
        assert store.read_us(150_000_500, 150_002_500).t.tolist() == [150_001_000, 150_002_000]
        with pytest.raises(LayoutError, match=r"ms_to_idx, rows 196608 to 262144, cannot be read"):
            store.index_of([200_000_000])


def test_time_index__has_the_same_bytes_whatever_the_batches_and_spans_a_pause(tmp_path):
    rng = np.random.default_rng(4)
    t = np.sort(rng.integers(0, 200_000_000, 1_200_000))
    t[900_000:] += 3_600_000_000
    zeros = np.zeros(len(t), dtype=int)
    events = Events(t, zeros, zeros, zeros, SENSOR)
    for rows in (333_333, len(t)):
        path = write_store(tmp_path / f"{rows}.h5", pieces(events, rows))
    contents = {path.read_bytes() for path in tmp_path.glob("*.h5")}
    assert len(contents) == 1, "the size of the batches shows in the bytes"
    with h5py.File(path) as file:
        edges = np.arange(len(file["ms_to_idx"])) * 1000
        np.testing.assert_array_equal(file["ms_to_idx"][:], np.searchsorted(events.t, edges))
        assert file["ms_to_idx"].id.get_storage_size() < 1_000_000


def test_time_index__of_a_pause_of_hours_takes_bounded_memory(tmp_path):
    code = """
import resource, numpy as np
from pathlib import Path
from evreel.events import Events, Sensor
from support.stores import write_store
SENSOR = Sensor(48, 64)
write_store(Path("a.h5"), [Events([0], [0], [0], [0], SENSOR)], SENSOR)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_store(Path("b.h5"), [Events([0, 36_000_000_000], [0, 0], [0, 0], [0, 1], SENSOR)], SENSOR)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 40_000, "kilobytes for an index of 36 million rows, 288 MB"
    with EventsStore(tmp_path / "b.h5") as store:
        assert store.index_of([1, 35_999_999_999, 36_000_000_000]).tolist() == [1, 1, 1]


def test_windows__of_an_absurd_number_are_refused_with_their_number(tmp_path):
    t = np.array([0, 86_400_000_000])
    path = write_store(tmp_path / "s.h5", [Events(t, [0, 0], [0, 0], [0, 1], SENSOR)])
    with EventsStore(path) as store:
        with pytest.raises(ParameterError, match=r"into 86400000001 windows; at most 50000000 are"):
            store.windows(Duration(1))
        assert len(store.windows(Duration(3_600_000_000))) == 25
    with pytest.raises(ParameterError, match="into 60000000 windows"):
        Count(1).plan(60_000_000, lambda rows: rows)


def test_open_recording__of_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.aedat4")
    with pytest.raises(RecordingError, match=r"^pipe\.aedat4: is not a regular file"):
        open_recording(tmp_path / "pipe.aedat4")


def test_kernel__compiles_if_no_cache_can_be_written(tmp_path):
    """What a read-only install without a home meets: numba finds no place for its cache.

    Simulated by a numba that looks for no places, since permissions do not hold for root.
    """
    code = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []
import numba
try:
    numba.njit(cache=True)(lambda: 1)
except RuntimeError as error:
    assert "no locator available" in str(error)
else:
    raise SystemExit("the simulation does nothing")
from evreel.kernels import kernel
print(kernel(lambda a: a + 1)(41))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr
