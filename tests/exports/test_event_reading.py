"""What reading a recording needs is taken by an export of its events, as by decoding it."""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.cli import main
from evreel.errors import RecordingError, UsageError
from evreel.events import Events, Imu, Sensor, Triggers
from evreel.exports.one_file import NOTE
from evreel.provenance import sha256
from evreel.recordings import open_recording
from recordings.rows import marks
from support import random_events
from support.event_layouts import SUFFIX, exported, lines, read_back
from support.stores import store_of, write_store
from support.writers import aer40, columns, ros

ROWS = [(5_000 + 7 * k, k % 8, k % 6, k % 2) for k in range(50)]
LATE = [*ROWS[:20], ROWS[21], ROWS[20], *ROWS[22:]]
SIZE = "8x6"
BY_NAME = "t[ns] = cam/stamp + start_ns, x = cam/xy[0] / 32, y = cam/xy[1] / 32, p = cam/on"


def declared(folder: Path) -> Path:
    """Write an HDF5 file that needs its columns and its size."""
    t, x, y, p = np.array(ROWS).T
    return columns.save(
        folder / "rig.h5",
        **{"cam/stamp": (t - 5_000) * 1_000, "start_ns": 5_000_000},
        **{"cam/xy": np.stack([x, y], 1) * 32 + 31, "cam/on": p},
    )


def text(folder: Path) -> Path:
    """Write a text whose second column is t in seconds."""
    path = folder / "log.csv"
    path.write_text(
        "".join(f"{k},{t / 1e6:.6f},{x},{y},{p}\n" for k, (t, x, y, p) in enumerate(ROWS))
    )
    return path


def two_cameras(folder: Path) -> Path:
    """Write a bag with events of two cameras."""
    said = [
        ros.array([(ros.START_S * 10**9, 1, 1, 1)], topic="/left/events"),
        ros.array([(t * 1_000, x, y, p) for t, x, y, p in ROWS], topic="/right/events"),
    ]
    return ros.bag1(folder / "two.bag", said)


def disordered(folder: Path) -> Path:
    """Write a file with an event before the one that it follows."""
    return columns.dsec(folder / "late.h5", LATE, None, (8, 6), columns.RVT)


def npy_folder(folder: Path) -> Path:
    """Write a folder of npy files that are the columns of one recording."""
    path = folder / "sequence"
    path.mkdir()
    for name, values in columns.columns(ROWS).items():
        np.save(path / f"a_{name}.npy", values)
    return path


def without_suffix(folder: Path) -> Path:
    """Write 40-bit events under a name that does not say so."""
    path = folder / "sample"
    path.write_bytes(aer40.aer40(ROWS))
    return path


NPY = "t = a_t, x = a_x, y = a_y, p = a_p"
SOURCES = {
    declared: ["--columns", BY_NAME, "--sensor", SIZE],
    text: ["--columns", "-, t[s], x, y, p", "--sensor", SIZE],
    two_cameras: ["--stream", "/right/events"],
    disordered: ["--on-disorder", "sort"],
    npy_folder: ["--columns", NPY, "--sensor", SIZE],
    without_suffix: ["--format", "aer40", "--sensor", SIZE],
}


@pytest.mark.parametrize(
    ("made", "layout"),
    [*((made, "csv") for made in SOURCES), *((text, layout) for layout in SUFFIX)],
)
def test_export__takes_what_reading_the_recording_needs(made, layout, tmp_path):
    out = tmp_path / f"out{SUFFIX[layout]}"
    command = ["export", str(made(tmp_path)), "--layout", layout, "-o", str(out)]
    assert main([*command, *SOURCES[made]]) == 0
    assert read_back(out) == ROWS


@pytest.mark.parametrize("made", SOURCES)
def test_export__without_what_reading_needs_says_which_option(made, tmp_path, capsys):
    out = tmp_path / "out.npz"
    source = made(tmp_path)
    assert main(["export", str(source), "--layout", "npz", "-o", str(out)]) in (1, 2)
    said = capsys.readouterr().err
    assert f"Error: {source.name}: " in said
    assert SOURCES[made][0] in said.replace("on_disorder", "--on-disorder")
    assert list(tmp_path.iterdir()) == [source]


def test_npz__says_how_the_recording_was_read_and_what_that_changed(tmp_path, caplog):
    source = disordered(tmp_path)
    path = tmp_path / "out.npz"
    sorting = steps.Reading(on_disorder="sort")
    with caplog.at_level(logging.INFO, "evreel"):
        assert steps.export(source, path, "npz", sensor=SIZE, reading=sorting) == {}
    assert "late.h5: changed or left out (disordered_events 1)" in caplog.text
    with zipfile.ZipFile(path) as file:
        said = json.loads(file.comment)
    assert said["parameters"] == {"sensor": SIZE, "on_disorder": "sort"}
    assert said["repairs"] == {"disordered_events": 1}
    assert said["inputs"] == {"source": sha256(source)}


def test_hdf5__says_the_columns_and_the_sum_of_a_folder(tmp_path):
    source = npy_folder(tmp_path)
    reading = steps.Reading(columns=NPY)
    path = exported(source, tmp_path, "dsec", sensor=SIZE, reading=reading)
    with h5py.File(path) as file:
        said = json.loads(file.attrs[NOTE])
    assert said["parameters"] == {"sensor": SIZE, "columns": NPY}
    assert said["repairs"] == {}
    assert said["inputs"] == {"source": sha256(source)}


def test_salvage__exports_what_is_whole_before_the_damage(tmp_path):
    source = tmp_path / "sample.bin"
    source.write_bytes(aer40.aer40(ROWS)[:-2])
    reading = steps.Reading(on_damage="salvage")
    path = exported(source, tmp_path, "csv", sensor=SIZE, reading=reading)
    assert lines(path) == ROWS[:-1]


@pytest.mark.parametrize("layout", SUFFIX)
def test_salvage__of_nothing_is_an_error_that_leaves_nothing(layout, tmp_path):
    source = tmp_path / "sample.bin"
    source.write_bytes(b"abcd")
    reading = steps.Reading(on_damage="salvage")
    with pytest.raises(RecordingError, match=r"no events are left \(damaged_bytes 4\)"):
        exported(source, tmp_path, layout, sensor=SIZE, reading=reading)
    assert list(tmp_path.iterdir()) == [source]


def test_clock_resets__that_are_split_are_counted_as_parts(tmp_path):
    again = [(t + 1_000_000_000, *rest) for t, *rest in ROWS] + ROWS
    source = columns.dsec(tmp_path / "r.h5", again, None, (8, 6), columns.RVT)
    splitting = steps.Reading(on_reset="split")
    told = steps.export(source, tmp_path / "o.csv", "csv", reading=splitting)
    assert [n for what, n in told.items() if "lie end to end" in what] == [2]
    assert len(lines(tmp_path / "o.csv")) == 100


# Refused


def test_store__takes_no_options_of_reading(tmp_path):
    source = store_of(tmp_path / "s.h5", random_events(9))
    for how, words in (
        ({"reading": steps.Reading(on_stray="drop")}, "is a store; on-stray is for recordings"),
        ({"reading": steps.Reading(columns="m3ed")}, "is an events store, whose columns are known"),
        ({"stream": 0}, "has only one stream"),
    ):
        with pytest.raises(UsageError, match=words):
            exported(source, tmp_path, "csv", **how)
    assert [each.name for each in tmp_path.iterdir()] == ["s.h5"]


def test_folder__that_is_no_recording_is_told_how_it_could_be_one(tmp_path):
    source = npy_folder(tmp_path)
    with pytest.raises(
        UsageError, match=r"sequence: is a folder; .* say where its columns are: --columns"
    ):
        exported(source, tmp_path, "csv")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--columns", "t, x"], "columns: "),
        (["--columns", "m3ed"], "columns is for reading a recording; the layout coco is not of"),
        (["--stream", "1", "--on-reset", "last"], "stream, on-reset is for reading a recording"),
    ],
)
def test_options_of_reading__that_do_not_fit_are_refused(options, words, tmp_path, capsys):
    source = text(tmp_path)
    command = ["export", str(source), "--layout", "coco", "-o", str(tmp_path / "out")]
    assert main([*command, *options]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


def test_settings_of_rvt__do_not_go_with_a_layout_of_events(tmp_path, capsys):
    command = ["export", str(text(tmp_path)), "--layout", "csv", "-o", str(tmp_path / "o.csv")]
    assert main([*command, "--bins", "3"]) == 2
    assert "rvt does not go with the layout csv" in capsys.readouterr().err


# Before 0


EARLY = Events([0, 400, 1_000, 1_007], [0, 1, 2, 3], [0, 1, 0, 1], [1, 0, 1, 0], Sensor(6, 8))
EARLY_ROWS = [
    (t - 1_000, x, y, p)
    for t, x, y, p in [(0, 0, 0, 1), (400, 1, 1, 0), (1_000, 2, 0, 1), (1_007, 3, 1, 0)]
]


@pytest.mark.parametrize("layout", ["dsec", "csv", "npz"])
def test_times_before_0__are_kept_by_layouts_that_hold_them(layout, tmp_path):
    path = exported(store_of(tmp_path / "s.h5", EARLY, -1_000), tmp_path, layout)
    assert read_back(path) == EARLY_ROWS
    with open_recording(path, sensor=Sensor(6, 8)) as recording:
        assert recording.t_offset == -1_000


@pytest.mark.parametrize("layout", ["metavision", "aedat4"])
def test_times_before_0__are_refused_with_what_helps(layout, tmp_path):
    source = columns.save(
        tmp_path / "r.h5", **{f"events/{k}": v for k, v in columns.columns(EARLY_ROWS).items()}
    )
    with pytest.raises(RecordingError, match="begins at t=-1000 µs") as caught:
        exported(source, tmp_path, layout, sensor=SIZE)
    assert "Export it as dsec, csv or npz, which do; or" in str(caught.value)
    assert "evreel events --start-us 1000 makes" in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]
    part = tmp_path / "part.h5"
    command = ["events", str(source), "-o", str(part), "--sensor", SIZE, "--start-us", "1000"]
    assert main(command) == 0
    assert read_back(exported(part, tmp_path, layout)) == EARLY_ROWS[2:]


@pytest.mark.parametrize("layout", ["metavision", "aedat4"])
def test_side_streams_before_0__are_left_out_and_counted(layout, tmp_path):
    t = np.array([-6, -5, 4])
    signals = Triggers(t, np.array([1, 0, 1], np.int8), np.zeros(3, np.int16))
    axes = np.arange(9, dtype=np.float32).reshape(3, 3)
    imu = Imu(t, axes, axes, axes, axes[0])
    events = Events([0], [0], [0], [1], Sensor(6, 8))
    source = write_store(tmp_path / "s.h5", [events, signals, imu], events.sensor, 5)
    path = tmp_path / f"out{SUFFIX[layout]}"
    told = steps.export(source, path, layout)
    assert told["triggers before time 0"] == 1
    with open_recording(path) as recording:
        assert [mark[:2] for mark in marks(recording)] == [(0, 0), (9, 1)]
        if layout == "aedat4":
            assert told["IMU samples before time 0"] == 1
            [found] = [batch for batch in recording.batches() if isinstance(batch, Imu)]
            np.testing.assert_array_equal(found.accelerometer, axes[1:])
