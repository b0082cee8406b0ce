"""Real recordings through the whole chain; the same chain runs on simulated ones elsewhere."""

from __future__ import annotations

import hashlib

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.files.clock import read_clock
from evreel.files.slices import SlicesFile
from evreel.recordings import event_chunks, open_recording
from support import shared_file
from support.dataset import CONFIG, build, write_config, write_table

RECORDINGS = {
    "davis": ("aestream_davis.aedat4", (260, 346), 117_667),
    "dvxplorer": ("aermanager_class1_test.aedat4", (240, 320), 111_954),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both recordings, built: video of 10 ms, slices of 5000 events, both features."""
    rows = [("id", "source", "md5", "split")]
    for name, (file, _, _) in RECORDINGS.items():
        path = shared_file(f"recordings/{file}")
        rows.append((name, str(path), hashlib.md5(path.read_bytes()).hexdigest(), "train"))
    folder = tmp_path_factory.mktemp("real")
    write_table(folder, rows)
    change = {"slices": {"count": 5000}, "video": {"window_us": 10_000}}
    write_config(folder, CONFIG | change)
    build(folder, "--cores", "2")
    return folder


@pytest.mark.parametrize("name", RECORDINGS)
def test_chain__keeps_every_event_of_a_real_recording(built, name):
    file, sensor, n = RECORDINGS[name]
    with open_recording(shared_file(f"recordings/{file}")) as recording:
        events = list(event_chunks(recording))
        assert tuple(recording.sensor) == sensor
    assert sum(map(len, events)) == n
    x = np.concatenate([chunk.x for chunk in events])
    p = np.concatenate([chunk.p for chunk in events])
    results = built / "results"
    with SlicesFile(results / "slices" / f"{name}.h5") as slices:
        got, roi = slices.read()
        np.testing.assert_array_equal(got.x, x)
        np.testing.assert_array_equal(got.p, p)
        assert (roi == -1).all()
        assert slices.n == -(-n // 5000)
        assert slices.events_outside_slices == 0
    with h5py.File(results / "features" / "histogram" / f"{name}.h5") as file:
        sums = file["data"][:].sum(axis=(0, 2, 3))
    assert sums.tolist() == [np.count_nonzero(p == 0), np.count_nonzero(p)]
    clock, _, _ = read_clock(results / "video" / f"{name}.clock.tsv")
    assert len(clock) == -(-got.t_stop_us // 10_000)


def test_release__of_real_recordings_verifies(built):
    assert steps.verify(built / "results" / "release" / "tiny-1.0") == []


def test_store__carries_the_davis_side_streams(built):
    with h5py.File(built / "results" / "events" / "davis.h5") as file:
        assert len(file["frames/exposure_start_us"]) == 3
        assert (file["frames/exposure_stop_us"][:] > file["frames/exposure_start_us"][:]).all()
        assert len(file["imu/t"]) > 0
        assert len(file["triggers/t"]) > 0
