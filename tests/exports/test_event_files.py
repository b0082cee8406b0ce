"""The events of one recording in files of each layout, as other programs read them."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evreel
from evreel import steps
from evreel.errors import RecordingError, UsageError
from evreel.events import Events, Sensor
from evreel.exports import npz
from evreel.files.filters import BLOSC, blosc_parameters, blosc_zstd
from evreel.recordings import open_recording, read_events
from evreel.recordings.hdf5.chunks import decompressed
from support import random_events
from support.event_layouts import T_OFFSET, assert_as, by, exported, read_back
from support.stores import store_of


@pytest.fixture(scope="module")
def events() -> Events:
    return random_events(70_000, (480, 640), 1_400_000)


@pytest.fixture(scope="module")
def store(events, tmp_path_factory) -> Path:
    return store_of(tmp_path_factory.mktemp("store") / "park.h5", events, T_OFFSET)


# DSEC


def slow_slice(path: Path, start_us: int, stop_us: int) -> list[list[int]] | None:
    """Return the events in [start, stop) µs on the recording's clock as DSEC's readers find them.

    The index gives rows of the whole milliseconds around the interval; from these, events outside
    are dropped. A millisecond beyond the index is no answer.
    """
    with h5py.File(path) as file:
        t_offset = int(file["t_offset"][()])
        ms_to_idx = file["ms_to_idx"][:].tolist()
        low_ms, high_ms = (start_us - t_offset) // 1000, -(-(stop_us - t_offset) // 1000)
        if high_ms >= len(ms_to_idx):
            return None
        low, high = ms_to_idx[low_ms], ms_to_idx[high_ms]
        columns = [file[f"events/{name}"][low:high].tolist() for name in "txyp"]
    found = [[t + t_offset, *row] for t, *row in zip(*columns, strict=True)]
    return [row for row in found if start_us <= row[0] < stop_us]


def test_dsec__is_read_through_hdf5_by_its_plugin_and_sliced_by_its_index(store, events, tmp_path):
    path = exported(store, tmp_path, "dsec")
    with h5py.File(path) as file:
        assert {name: file[f"events/{name}"].dtype.str for name in "xypt"} == {
            "x": "<u2",
            "y": "<u2",
            "p": "|u1",
            "t": "<u4",
        }
        assert (file["ms_to_idx"].dtype, file["t_offset"].dtype) == (np.uint64, np.int64)
        assert_as({name: file[f"events/{name}"][:] for name in "txyp"}, events, 0)
        assert (file["events/height"][()], file["events/width"][()]) == (480, 640)
        t, ms_to_idx = events.t, file["ms_to_idx"][:].astype(int)
    assert len(ms_to_idx) == t[-1] // 1000 + 2
    assert ms_to_idx[-1] == len(t)
    for ms, row in enumerate(ms_to_idx[:-1].tolist()):
        assert t[row] >= ms * 1000
        assert row == 0 or t[row - 1] < ms * 1000
    rng = np.random.default_rng(0)
    last = int(t[-1])
    for start, stop in [(0, 1), (last, last + 1), *rng.integers(0, last, (20, 2)).tolist()]:
        start, stop = sorted((start, stop))
        rows_in = np.flatnonzero((t >= start) & (t < stop))
        expected = [
            [int(getattr(events, name)[row]) + (T_OFFSET if name == "t" else 0) for name in "txyp"]
            for row in rows_in[:50]
        ]
        found = slow_slice(path, start + T_OFFSET, stop + T_OFFSET)
        assert len(found) == len(rows_in)
        assert found[:50] == expected


def test_dsec__of_a_cropped_store_counts_from_its_first_event(tmp_path):
    made = random_events(100, stop_us=(1 << 32) + 10**9)
    whole = store_of(tmp_path / "long.h5", made, 1_000)
    with pytest.raises(
        RecordingError, match=r"long\.h5: has an event 5\d+ µs after .* 71 min 35 s"
    ):
        exported(whole, tmp_path, "dsec")
    part = store_of(tmp_path / "part.h5", made[made.t >= 10**9], 1_000)
    path = exported(part, tmp_path, "dsec")
    kept = made.t[made.t >= 10**9]
    with h5py.File(path) as file:
        assert file["t_offset"][()] == 1_000 + kept[0]
        np.testing.assert_array_equal(file["events/t"][:], kept - kept[0])
    assert [row[0] for row in read_back(path)] == (kept + 1_000).tolist()


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["u1", "<u2", "<u4", "<u8"]),
    st.binary(max_size=4_000) | st.integers(1, 4_000).map(bytes),
)
def test_blosc_chunk__is_read_by_blosc_and_by_our_reader(kind, data):
    size = np.dtype(kind).itemsize
    values = np.frombuffer(data[: len(data) // size * size], kind)
    if not len(values):
        values = np.zeros(1, kind)
    chunk = blosc_zstd(values)
    parameters = blosc_parameters(size, values.nbytes)
    assert decompressed(chunk, [(BLOSC, parameters)], 0, values.nbytes, size) == values.tobytes()
    assert len(chunk) <= values.nbytes + 16
    with h5py.File(io.BytesIO(), "w") as file:
        filters = hdf5plugin.Blosc("zstd", 1, hdf5plugin.Blosc.SHUFFLE)
        one = file.create_dataset("one", values.shape, kind, chunks=values.shape, **filters)
        stated = one.id.get_create_plist().get_filter(0)[2]
        assert stated[:6] == parameters[:6] or size == 1
        one.id.write_direct_chunk((0,), chunk)
        np.testing.assert_array_equal(one[:], values)


# AEDAT 4


def test_aedat4__is_what_dv_processing_and_faery_read(store, events, tmp_path):
    path = exported(store, tmp_path, "aedat4")
    found = by("dv", path, tmp_path / "dv.npz")
    assert_as(found, events, T_OFFSET)
    assert found["sensor"].tolist() == [480, 640]
    assert_as(by("faery", path, tmp_path / "faery.npz"), events, T_OFFSET)


def test_aedat4__without_side_streams_is_read_too(tmp_path):
    path = exported(store_of(tmp_path / "s.h5", random_events(9)), tmp_path, "aedat4")
    found = by("dv", path, tmp_path / "o.npz")
    assert len(found["t"]) == 9
    assert len(found["trigger_t"]) == len(found["imu_t"]) == 0


# csv and npz


def test_csv__is_what_numpy_and_faery_read_and_the_same_within_gzip(store, events, tmp_path):
    path = exported(store, tmp_path, "csv")
    t, x, y, p = np.loadtxt(path, np.int64, delimiter=",", skiprows=1, max_rows=20_000).T
    assert_as({"t": t, "x": x, "y": y, "p": p}, events[:20_000], T_OFFSET)
    assert_as(by("faery", path, tmp_path / "o.npz"), events, T_OFFSET)
    packed = tmp_path / "out.csv.gz"
    for threads in (1, 2):
        packed.unlink(missing_ok=True)
        steps.export(store, packed, "csv", threads=threads)
        assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
    for written in (path, packed):
        with open_recording(written, sensor=events.sensor) as recording:
            assert recording.t_offset == T_OFFSET
            found = read_events(recording)
        assert_as({name: getattr(found, name) for name in "txyp"}, events, 0)


def test_csv__has_a_line_for_each_event_after_that_of_names(tmp_path):
    made = Events([0, 7], [1, 2], [0, 3], [1, 0], Sensor(4, 3))
    path = exported(store_of(tmp_path / "s.h5", made, -5), tmp_path, "csv")
    assert path.read_bytes() == b"t,x,y,p\n-5,1,0,1\n2,2,3,0\n"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv__that_states_the_sensor_is_read_without_its_size(store, events, tmp_path, suffix):
    path = tmp_path / f"sized{suffix}"
    assert steps.export(store, path, "csv", sized=True) == {}
    read = evreel.read(path)
    assert read.sensor == events.sensor
    assert_as({name: getattr(read, name) for name in "txyp"}, events, 0)
    plain = exported(store, tmp_path, "csv").read_bytes()
    content = path.read_bytes() if suffix == ".csv" else gzip.decompress(path.read_bytes())
    assert content == f"# sensor {events.sensor.text}\n".encode() + plain
    with pytest.raises(RecordingError, match="states a sensor of"):
        evreel.read(path, sensor="8x6")
    with pytest.raises(UsageError, match="sized is a choice of the layout csv alone"):
        steps.export(store, tmp_path / "o.npz", "npz", sized=True)


def test_npz__is_what_numpy_loads_without_pickle(store, events, tmp_path):
    path = exported(store, tmp_path, "npz")
    with np.load(path, allow_pickle=False) as found:
        assert {name: found[name].dtype.str for name in found} == {
            **{"t": "<i8", "x": "<u2", "y": "<u2", "p": "|u1"},
            **{"height": "<i8", "width": "<i8"},
        }
        assert_as(found, events, T_OFFSET)
        assert (int(found["height"]), int(found["width"])) == (480, 640)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None


def test_npz__of_more_than_4_gb_is_listed_with_numbers_of_64_bits(tmp_path):
    n = 600_000_000
    columns, at = [], 0
    for name in ("t.npy", "x.npy"):
        columns.append(npz._Member(name, at, np.dtype("<i8"), (n,)))
        at = columns[-1].stop
    path = tmp_path / "large.npz"
    with path.open("wb") as file:  # all zeros, which take no room
        for column in columns:
            column.finish(file)
        file.seek(at)
        file.write(npz._listing(columns, at, b"note"))
    with zipfile.ZipFile(path) as file:
        assert file.comment == b"note"
        found = [(each.filename, each.file_size, each.header_offset) for each in file.infolist()]
        assert found == [(c.name, c.size, c.at) for c in columns]
        for name in ("t.npy", "x.npy"):
            with file.open(name) as member:
                assert np.lib.format.read_magic(member) == (1, 0)
                assert np.lib.format.read_array_header_1_0(member)[0] == (n,)
