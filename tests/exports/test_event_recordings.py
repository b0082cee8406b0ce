"""Real recordings in every layout of events, read again, also by others."""

from __future__ import annotations

import numpy as np
import pytest

from evreel import steps
from evreel.events import Events, Sensor
from evreel.recordings import open_recording
from recordings.rows import marks
from support import shared_file
from support.event_layouts import SUFFIX, assert_as, by, exported

REAL = {
    "aermanager_class1_test.aedat4": None,
    "aestream_davis.aedat4": None,
    "dvsflow16_IMU_rotDisk.aedat": None,
    "faery_evt2.raw": "640x480",
    "tonic_sample_ncars.dat": "120x100",
    "tonic_sample_nmnist.bin": "34x34",
}


@pytest.mark.parametrize("name", REAL)
def test_real_recording__is_the_same_in_every_layout(name, tmp_path):
    source, sensor = shared_file(f"recordings/{name}"), REAL[name]
    with open_recording(source, sensor=sensor and Sensor.parse(sensor)) as recording:
        expected = [batch for batch in recording.batches() if isinstance(batch, Events)]
        size, t_offset = recording.sensor, recording.t_offset
        triggers = marks(recording)
    whole = Events.concatenate(expected, size)
    for layout in SUFFIX:
        path = exported(source, tmp_path, layout, sensor=sensor)
        if layout == "csv" and len(whole) > 100_000:
            assert_as(by("faery", path, tmp_path / "o.npz"), whole, t_offset)
        with open_recording(path, sensor=size if layout == "csv" else None) as recording:
            got = [batch for batch in recording.batches() if isinstance(batch, Events)]
            assert (recording.sensor, recording.t_offset) == (size, t_offset)
            found = Events.concatenate(got, size)
            for column in "txyp":
                assert np.array_equal(getattr(found, column), getattr(whole, column)), layout
            if layout == "aedat4":
                assert marks(recording) == triggers
            elif layout == "metavision":
                assert marks(recording) == [mark for mark in triggers if mark[1] >= 0]


def test_aedat4__of_a_camera_keeps_its_triggers_and_imu_for_dv_processing(tmp_path):
    source = shared_file("recordings/aestream_davis.aedat4")
    theirs = by("dv", source, tmp_path / "theirs.npz")
    path = tmp_path / "ours.aedat4"
    assert steps.export(source, path, "aedat4") == {"frame times": len(theirs["frame_start"])}
    ours = by("dv", path, tmp_path / "ours.npz")
    for name in ("t", "x", "y", "p", "sensor", "trigger_t", "trigger_id", "imu_t", "imu"):
        np.testing.assert_array_equal(ours[name], theirs[name])
