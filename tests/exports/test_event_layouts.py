"""The events of one recording in a file of each layout: whole, bounded, counted, refused."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.cli import main
from evreel.errors import EvreelError, RecordingError, UsageError
from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
from evreel.exports import metavision, npz
from evreel.exports.layouts import EVENT_LAYOUTS
from evreel.exports.one_file import NOTE
from evreel.files import hdf5
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance, sha256
from evreel.recordings import open_recording
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.samples.samples import Member
from recordings.rows import marks
from support import random_events, shared_file
from support.event_layouts import (
    SUFFIX,
    T_OFFSET,
    Endless,
    assert_as,
    by,
    exported,
    lines,
    read_back,
)
from support.stores import store_of, write_store


@pytest.fixture(scope="module")
def events() -> Events:
    return random_events(150_000, (480, 640), 3_000_000)


@pytest.fixture(scope="module")
def store(events, tmp_path_factory) -> Path:
    return store_of(tmp_path_factory.mktemp("store") / "park.h5", events, T_OFFSET)


def test_layouts__are_all_tried_here():
    assert set(SUFFIX) == set(EVENT_LAYOUTS)


@pytest.mark.parametrize("layout", SUFFIX)
def test_export__keeps_every_event_and_its_bytes_do_not_depend_on_threads(
    layout, store, events, tmp_path
):
    path = exported(store, tmp_path, layout, threads=1)
    found = np.array(read_back(path)).T
    assert_as(dict(zip("txyp", found, strict=True)), events, T_OFFSET)
    written = path.read_bytes()
    path.unlink()
    assert exported(store, tmp_path, layout, threads=3).read_bytes() == written
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("layout", SUFFIX)
@pytest.mark.parametrize("n", [0, 1])
def test_export__of_one_event_or_none_is_read_back(layout, n, tmp_path):
    few = random_events(n, (2, 3))
    path = exported(store_of(tmp_path / "few.h5", few, 77), tmp_path, layout)
    assert read_back(path) == [(77, int(few.x[k]), int(few.y[k]), int(few.p[k])) for k in range(n)]
    if layout != "csv":
        with open_recording(path) as recording:
            assert recording.sensor == (2, 3)


@pytest.mark.parametrize("layout", SUFFIX)
def test_export__keeps_times_beyond_the_whole_numbers_of_float64(layout, tmp_path):
    t_offset = (1 << 53) + 1
    made = Events([0, 1, 2_000], [0, 1, 2], [1, 0, 1], [1, 0, 1], Sensor(2, 3))
    path = exported(store_of(tmp_path / "late.h5", made, t_offset), tmp_path, layout)
    if layout == "aedat4":  # other readers of ours take no such times
        found = [row[0] for row in read_back(path)]
    elif layout == "csv":
        found = [row[0] for row in lines(path)]
    elif layout == "npz":
        found = np.load(path)["t"].tolist()
    elif layout == "dsec":
        with h5py.File(path) as file:
            found = [int(t) + int(file["t_offset"][()]) for t in file["events/t"][:]]
    else:
        with h5py.File(path) as file:
            assert file["CD/indexes"].attrs["offset"] == str(-t_offset)
            data = file["CD/events"].id.read_direct_chunk((0,))[1]
        found = [int.from_bytes(data[4:12], "little") + since for since in (0, 1, 2_000)]
    assert found == [t_offset, t_offset + 1, t_offset + 2_000]


@pytest.mark.parametrize("layout", SUFFIX)
def test_broken_recording__is_an_error_that_leaves_nothing(layout, tmp_path, events):
    source = tmp_path / "cut.aedat4"
    with Aedat4Writer(source, events.sensor) as writer:
        writer.write(events)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match=r"cut\.aedat4"):
        exported(source, tmp_path, layout)
    assert [path.name for path in tmp_path.iterdir()] == ["cut.aedat4"]


@pytest.mark.parametrize("layout", ["dsec", "csv"])
def test_killed_export__leaves_nothing_under_the_name(layout, store, tmp_path):
    path = tmp_path / f"out{SUFFIX[layout]}"
    code = (
        "import os, signal, sys\n"
        "from evreel import steps\n"
        "def end(done, total):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "steps.export(sys.argv[1], sys.argv[2], sys.argv[3], progress=end)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, store, path, layout], check=False)
    assert done.returncode == -9
    assert not path.exists()
    exported(store, tmp_path, layout)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("layout", SUFFIX)
def test_export__takes_no_more_memory_for_a_longer_recording(layout, tmp_path):
    write = EVENT_LAYOUTS[layout].write
    write(Endless(1), tmp_path / f"warm{SUFFIX[layout]}")

    def peak(batches: int) -> int:
        tracemalloc.start()
        try:
            write(Endless(batches), tmp_path / f"{batches}{SUFFIX[layout]}")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(120) < 1.3 * peak(50) < 20e6


# What a file says of itself, and what it cannot hold


SIDE = [
    Triggers(np.array([5, 7, 9]), np.array([1, -1, 0], np.int8), np.array([0, 1, 2], np.int16)),
    FrameTimes(np.array([1, 2]), np.array([3, 4])),
    Imu(
        np.array([3, 6]),
        *(np.arange(6, dtype=np.float32).reshape(2, 3) + k for k in (0.5, 10, 20)),
        np.array([20.5, 21], np.float32),
    ),
]
NO_EDGE = "triggers that are neither a rising nor a falling edge"


@pytest.fixture(scope="module")
def with_sides(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sides") / "s.h5"
    return write_store(path, [random_events(50), *SIDE], Sensor(48, 64), t_offset=100)


@pytest.mark.parametrize(
    ("layout", "lost"),
    [
        ("dsec", {"triggers": 3, "frame times": 2, "IMU samples": 2}),
        ("metavision", {NO_EDGE: 1, "frame times": 2, "IMU samples": 2}),
        ("aedat4", {NO_EDGE: 1, "channels of triggers": 1, "frame times": 2}),
        (
            "csv",
            {"size of the sensor, 64x48 px": 1}
            | {"triggers": 3, "frame times": 2, "IMU samples": 2},
        ),
        ("npz", {"triggers": 3, "frame times": 2, "IMU samples": 2}),
    ],
)
def test_what_is_not_held__is_counted_and_said_in_the_file(
    layout, lost, with_sides, tmp_path, capsys
):
    path = tmp_path / f"out{SUFFIX[layout]}"
    assert not main(["export", f"{with_sides}", "--layout", layout, "-o", f"{path}"])
    said = capsys.readouterr().err
    for what, n in lost.items():
        assert f"{path.name}: does not hold: {n} {what}" in said
    if layout in ("dsec", "metavision"):
        with h5py.File(path) as file:
            note = file.attrs[NOTE]
    elif layout == "npz":
        with zipfile.ZipFile(path) as file:
            note = file.comment
            assert {member.date_time for member in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    else:
        assert not EVENT_LAYOUTS[layout].noted
        return
    record = json.loads(note)
    assert record["not_held"] == lost
    assert record["inputs"] == {"source": sha256(with_sides)}
    assert record["layout"] == layout
    assert EVENT_LAYOUTS[layout].noted


def test_aedat4__turns_edges_of_other_formats_into_external_signals(with_sides, tmp_path):
    path = exported(with_sides, tmp_path, "aedat4")
    with open_recording(path) as recording:
        assert marks(recording) == [(105, 1, 1), (109, 0, 2)]
        (imu,) = [batch for batch in recording.batches() if isinstance(batch, Imu)]
        assert (imu.t + recording.t_offset).tolist() == [103, 106]
        np.testing.assert_array_equal(imu.gyroscope, SIDE[2].gyroscope)
    found = by("dv", path, tmp_path / "dv.npz")
    assert found["trigger_t"].tolist() == [105, 109]
    assert found["trigger_id"].tolist() == [1, 2]


def test_parts_of_a_store__lose_their_names_and_that_is_counted(tmp_path):
    made = random_events(50)
    path = tmp_path / "s.h5"
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, made.sensor, 0, "made up", "")
        writer.write(made)
        half = int(made.t[25])
        writer.finish([Member("a", 0, half, 9), Member("b", half, made.t_stop_us, 3)])
    (told,) = steps.export(path, tmp_path / "o.npz", "npz").items()
    assert told == (
        "recordings or parts that lie end to end, of which names and own times are not kept",
        2,
    )


# Refused


def test_metavision__refuses_an_index_of_hours_without_events(tmp_path):
    source = shared_file("recordings/ecf/gaps_rows.hdf5.gz")
    path = tmp_path / "gaps.hdf5"
    path.write_bytes(gzip.decompress(source.read_bytes()))
    with pytest.raises(RecordingError, match=r"gaps\.hdf5: lasts \d+\.\d h; .* for up to 18\.6 h"):
        exported(path, tmp_path, "metavision")
    assert [each.name for each in tmp_path.iterdir()] == ["gaps.hdf5"]


def test_metavision__index_ends_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(metavision, "MOST_ENTRIES", 10)
    for last, fits in ((19_999, True), (20_000, False)):
        made = Events([0, last], [0, 0], [0, 0], [1, 1], Sensor(1, 1))
        source = store_of(tmp_path / f"{last}.h5", made)
        if fits:
            with h5py.File(exported(source, tmp_path, "metavision")) as file:
                assert len(file["CD/indexes"]) == 11
        else:
            with pytest.raises(RecordingError, match="Export parts of it"):
                steps.export(source, tmp_path / "n.hdf5", "metavision")


def test_npz__of_a_recording_that_has_become_longer_is_an_error(tmp_path):
    class Growing(Endless):
        def __iter__(self):
            return iter(list(self.batches())[:-1])

    with pytest.raises(RecordingError, match="had 5000 events when they were counted"):
        npz.write_npz(Growing(2), tmp_path / "o.npz")


@pytest.mark.parametrize(
    ("layout", "given", "words"),
    [
        ("aedat4", {"t_offset": -1}, "begins at t=-1 µs; AEDAT 4 files hold no times before 0"),
        ("metavision", {"t_offset": -1}, "Metavision's files hold no times before 0"),
        ("aedat4", {"sensor": Sensor(2, 40_000)}, "40000x2 px; AEDAT 4 files hold up to 32768"),
        ("metavision", {"sensor": Sensor(2, 4_000)}, "4000x2 px; Metavision's files hold up to"),
        ("aedat4", {"t": 10**6}, "cannot be written as AEDAT 4: 1000000 µs pass between"),
    ],
)
def test_recording__that_a_layout_cannot_hold_is_refused_and_named(
    layout, given, words, tmp_path, monkeypatch
):
    monkeypatch.setattr("evreel.recordings.aedat4.write.PAUSE_US", 1_000)
    t = [0, given.get("t", 1)]
    made = Events(t, [0, 1], [0, 1], [1, 0], given.get("sensor", Sensor(2, 2)))
    source = store_of(tmp_path / "s.h5", made, given.get("t_offset", 0))
    with pytest.raises(RecordingError, match=words) as caught:
        exported(source, tmp_path, layout)
    assert str(caught.value).startswith("s.h5: ")
    assert [each.name for each in tmp_path.iterdir()] == ["s.h5"]


def test_threads__go_with_layouts_of_events_alone(store, tmp_path):
    with pytest.raises(UsageError, match="threads go with dsec, metavision, aedat4, csv, npz"):
        steps.export(store, tmp_path / "o", "cvat", threads=2)
    with pytest.raises(UsageError, match="threads=0"):
        steps.export(store, tmp_path / "o.npz", "npz", threads=0)


def test_full_disk__is_an_error_that_names_the_output(store, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for module in ("csv", "npz"):
        monkeypatch.setattr(f"evreel.exports.{module}.made_of_parts", full)
        with pytest.raises(EvreelError, match=f"o.{module}: cannot be written: No space left"):
            steps.export(store, tmp_path / f"o.{module}", module)
    assert list(tmp_path.iterdir()) == []
