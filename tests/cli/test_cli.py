"""The command line: every step by hand, exit codes, messages, and a quick start."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from evreel.cli import main
from evreel.cli.main import _parser, _with_options
from evreel.files.clock import read_clock
from evreel.files.events_store import EventsStore
from evreel.files.slices import SlicesFile
from evreel.layout import BOX_DTYPE
from evreel.recordings.aedat4 import Aedat4Writer
from support import random_events, shared_file, warm
from support.hdf5 import everything
from support.labelled import labelled
from support.scenes import write_scene

COLD = (Path(sys.prefix) / "bin" / "evreel",)  # as it is installed


def evreel(*arguments, cwd=None, command=None):
    """Run the command in a process of its own; as `COLD`, it imports all it needs, as a user's."""
    return subprocess.run(
        [*(command or [warm.commands() / "evreel"]), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulated recording with its annotations, and its events store."""
    folder = tmp_path_factory.mktemp("made")
    assert evreel("simulate", write_scene(folder, "corner", seed=5), "-o", folder).returncode == 0
    run = evreel("events", folder / "corner.aedat4", "-o", folder / "corner.h5")
    assert run.returncode == 0, run.stderr
    return folder


def test_chain__by_hand_from_a_scene_to_a_verified_release(made, tmp_path):
    cold = functools.partial(evreel, command=COLD)
    video = cold("video", made / "corner.h5", "-o", tmp_path / "corner.mp4", "--window-us", 10_000)
    assert video.returncode == 0, video.stderr
    clock, picture, _ = read_clock(tmp_path / "corner.clock.tsv")
    assert picture.shape == (48, 64)
    run = cold(
        *("annotate", made / "corner.h5", "--clock", tmp_path / "corner.clock.tsv"),
        *("--rois", made / "corner.rois.xml", "--tags", made / "corner.tags.xml"),
        *("--labels", "car,sign,busy", "--count", 1000, "-o", tmp_path / "slices.h5"),
    )
    assert run.returncode == 0, run.stderr
    boxes = np.load(tmp_path / "slices_bbox.npy")
    assert boxes.dtype == BOX_DTYPE
    assert set(boxes["t"]) <= set(clock.stop_us.tolist())
    drawing = tmp_path / "frame.png"
    run = evreel("draw", tmp_path / "slices.h5", "--at-us", 60_000, "--magnify", 8, "-o", drawing)
    assert run.returncode == 0, run.stderr
    with Image.open(drawing) as picture:
        assert picture.size == (504, 8 * 47 + 72)
    run = evreel(
        *("features", made / "corner.aedat4", made / "corner.h5", "-o", tmp_path / "f"),
        *("--representation", "voxel_grid", "--window-us", 20_000, "--set", "bins=3"),
    )
    assert run.returncode == 2, "two inputs of one name overwrite each other"
    run = cold(
        *("features", made / "corner.aedat4", "-o", tmp_path / "features"),
        *("--representation", "voxel_grid", "--window-us", 20_000, "--set", "bins=3"),
    )
    assert run.returncode == 0, run.stderr
    with h5py.File(tmp_path / "features" / "corner.h5") as file:
        assert file["data"].shape == (6, 3, 47, 63)
    plan = "path\tsource\ntrain/voxels/corner.h5\tfeatures/corner.h5\n"
    (tmp_path / "plan.tsv").write_text(plan, encoding="utf-8")
    release = tmp_path / "release"
    run = cold("release", "--manifest", "plan.tsv", "-o", release, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert cold("verify", release).returncode == 0
    target = release / "train/voxels/corner.h5"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.chmod(0o644)
    target.write_bytes(data)
    run = evreel("verify", release)
    assert run.returncode == 1
    assert "train/voxels/corner.h5" in run.stdout


def test_features__of_a_recording_equal_those_of_its_store(made, tmp_path):
    for source, name in ((made / "corner.aedat4", "a"), (made / "corner.h5", "b")):
        run = evreel(
            *("features", source, "-o", tmp_path / name),
            *("--representation", "histogram", "--count", 700),
        )
        assert run.returncode == 0, run.stderr
    first, second = (everything(tmp_path / name / "corner.h5") for name in "ab")
    inputs = [sorted(json.loads(str(said.pop("inputs")))) for said in (first, second)]
    assert inputs == [["decoding", "recording"], ["store"]]
    assert first == second


def test_info__has_the_keys_that_scripts_rely_on(made):
    found = {}
    for name in ("corner.aedat4", "corner.h5"):
        run = evreel("info", made / name, "--json")
        assert run.returncode == 0, run.stderr
        found[name] = json.loads(run.stdout)
    first, second = found.values()
    assert list(first) == [
        *("format", "sensor", "events", "t_offset", "t_start_us", "t_stop_us"),
        *("on", "off", "triggers", "imu", "frames", "problems"),
    ]
    assert first["format"] == "aedat4"
    assert first["sensor"] == {"height": 47, "width": 63}
    assert first["on"] + first["off"] == first["events"] > 0
    assert first["t_start_us"] == first["t_offset"]
    assert {**first, "format": ""} == {**second, "format": ""}
    assert evreel("info", made / "corner.h5").stdout.count("\n") == 5


def test_error__that_tells_to_set_something_names_the_option_of_the_command(tmp_path, capsys):
    late, store = tmp_path / "late.csv", ["-o", str(tmp_path / "late.h5"), "--sensor", "8x6"]
    late.write_text("t,x,y,p\n70000,1,1,1\n69999,1,1,1\n")
    assert main(["events", str(late), *store]) == 1
    said = capsys.readouterr().err
    assert "set on_disorder (--on-disorder): sort, drop or clamp" in said
    assert main(["info", str(late), "--sensor", "8x6"]) == 1
    assert "set on_disorder: sort, drop" in capsys.readouterr().out, "info has no such option"
    late.write_text("t,x,y,p\n5,1,7,1\n")
    assert main(["events", str(late), *store]) == 1
    assert "set swap_xy (--swap-xy): true" in capsys.readouterr().err
    parser = _parser(["features"])._subparsers._group_actions[0].choices["features"]
    same = "set boxes.clock: source"
    assert _with_options(same, parser) == same, "--clock of features is another"


def test_info__names_the_first_and_the_last_timestamp(tmp_path, capsys):
    path = tmp_path / "two.csv"
    path.write_text("t,x,y,p\n70000,1,1,1\n70009,1,1,1\n")
    assert main(["info", str(path), "--sensor", "8x6"]) == 0
    shown = capsys.readouterr().out
    assert "time      70000 to 70009 µs, first and last, on the camera's clock" in shown
    assert main(["info", str(path), "--sensor", "8x6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["t_start_us"], found["t_stop_us"]) == (70_000, 70_010)


def test_info__of_a_damaged_recording_counts_what_was_read_before(tmp_path):
    events = random_events(600_000, stop_us=2_000_000)
    path = tmp_path / "damaged.aedat4"
    with Aedat4Writer(path, events.sensor) as writer:
        writer.write(events)
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 8] = bytes(8)
    path.write_bytes(data)
    run = evreel("info", path, "--json")
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert 0 < found["events"] < len(events)
    assert found["problems"][0].startswith("damaged.aedat4: byte ")
    path.write_bytes(data[: len(data) // 3])
    run = evreel("info", path, "--json")
    assert run.returncode == 1
    assert 0 < json.loads(run.stdout)["events"] < found["events"], "it was cut, and so is its table"
    path.write_bytes(data[:100])
    run = evreel("info", path)
    assert run.returncode == 1
    assert run.stderr.startswith("RecordingError: damaged.aedat4: ")


def test_events__options_are_counted_and_recorded(made, tmp_path):
    run = evreel(
        *("events", made / "corner.aedat4", "-o", tmp_path / "part.h5", "--crop", "8,4,60,44"),
        *("--start-us", 20_000, "--stop-us", 90_000, "--max-pixel-hz", 2000),
    )
    assert run.returncode == 0, run.stderr
    with EventsStore(made / "corner.h5") as store, EventsStore(tmp_path / "part.h5") as part:
        whole, kept = store.read(), part.read()
        assert part.t_offset == store.t_offset
        assert part.origin == (4, 8)
    in_time = (whole.t >= 20_000) & (whole.t < 90_000)
    inside = in_time & (whole.x >= 8) & (whole.x < 60) & (whole.y >= 4) & (whole.y < 44)
    with h5py.File(tmp_path / "part.h5") as file:
        repairs = json.loads(file.attrs["repairs"])
    assert repairs["outside_time"] == np.count_nonzero(~in_time)
    assert repairs["outside_crop"] == np.count_nonzero(in_time & ~inside)
    assert repairs["hot_pixel_events"] == np.count_nonzero(inside) - len(kept)
    x, y = whole.x[inside].astype(int) - 8, whole.y[inside].astype(int) - 4
    counts = np.zeros((40, 52), dtype=int)
    np.add.at(counts, (y, x), 1)
    span_s = (whole.t[inside][-1] + 1 - whole.t[inside][0]) / 1e6
    sound = counts[y, x] <= 2000 * span_s
    np.testing.assert_array_equal(kept.t, whole.t[inside][sound])
    np.testing.assert_array_equal(kept.x, x[sound])


def test_events__that_leave_nothing_are_an_error_and_no_file(made, tmp_path):
    store = tmp_path / "none.h5"
    run = evreel("events", made / "corner.aedat4", "-o", store, "--start-us", 10**9)
    assert run.returncode == 1
    assert "corner.aedat4: no events are left" in run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["events", "x.aedat4", "-o", "y.h5", "--crop", "1,2,3"],
        ["annotate", "x.h5", "--clock", "c.tsv", "-o", "y.h5"],
        [
            "features",
            "x.h5",
            "-o",
            "f",
            "--representation",
            "h",
            "--window-us",
            "1",
            "--number",
            "1",
        ],
        ["features", "x.h5", "-o", "f", "--representation", "h"],
        ["features", "x.h5", "-o", "f", "--representation", "h", "--count", "1", "--set", "bins"],
        ["splits", "a.tsv", "-o", "b.tsv", "--share", "train=abc"],
        ["splits", "a.tsv", "-o", "b.tsv", "--count", "train=1.5"],
        ["splits", "a.tsv", "-o", "b.tsv", "--fix", "a=train", "--fix", "a=test"],
        ["cut", "x.h5", "-o", "y.tsv", "--intervals", "i.csv", "--column", "lable=label"],
        ["frobnicate"],
    ],
)
def test_usage__that_is_wrong_exits_with_2(arguments, tmp_path):
    run = evreel(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert "usage: evreel" in run.stderr


def test_column__that_does_not_exist_names_those_that_do(tmp_path):
    cut = ["cut", "x.h5", "-o", "y.tsv", "--intervals", "i.csv", "--column"]
    for column, message in (
        ("lable=class", "'lable' is unknown; did you mean 'label'?"),
        ("x=y", "'x' is unknown; there are label, start, stop, id, group, recording"),
    ):
        assert message in evreel(*cut, column, cwd=tmp_path).stderr


@pytest.fixture
def two_cuts(made, tmp_path):
    """A folder with two tables of three samples each, a and b."""
    (tmp_path / "i.csv").write_text("label,start,stop\nx,0,20\ny,30,60\nx,70,90\n")
    md5 = hashlib.md5((tmp_path / "i.csv").read_bytes()).hexdigest()
    cut = ["cut", made / "corner.h5", "--intervals", "i.csv", "--unit", "ms", "--md5"]
    columns = ["--column", "start=start", "--column", "stop=stop"]
    for name in ("a", "b"):
        run = evreel(*cut, md5, *columns, "-o", f"{name}.tsv", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
    run = evreel(*cut, "0" * 32, *columns, "-o", "c.tsv", cwd=tmp_path)
    assert run.returncode == 1 and "md5 is" in run.stderr and not (tmp_path / "c.tsv").exists()
    return tmp_path


def test_splits__by_lists_of_files_and_counts_as_published(two_cuts):
    (two_cuts / "train.txt").write_text("trial_1.aedat\n")
    (two_cuts / "test.txt").write_text("trial_2.aedat\n")
    asked = ["splits", "a.tsv", "b.tsv", "-o", "all.tsv", "--list", "train=train.txt"]
    asked += ["--list", "test=test.txt", "--file-name", "a=trial_2.aedat"]
    asked += ["--file-name", "b=trial_1.aedat", "--count", "train=3", "--count"]
    run = evreel(*asked, "test=3", cwd=two_cuts)
    assert (run.returncode, run.stdout) == (0, "test\t3\ntrain\t3\n"), run.stderr
    run = evreel(*asked, "test=4", cwd=two_cuts)
    assert run.returncode == 1
    assert "there are 3 in test; 4 in test are expected" in run.stderr


def test_splits__refuses_what_it_would_have_to_ignore(two_cuts):
    (two_cuts / "more").mkdir()
    (two_cuts / "more" / "a.tsv").write_bytes((two_cuts / "a.tsv").read_bytes())
    drawn = ["--seed", 1, "--share", "train=1"]
    for arguments, message in (
        (["a.tsv", "more/a.tsv", *drawn], "two tables would both be recording 'a'"),
        (["a.tsv", "b.tsv", "--fix", "c=test", *drawn], "recording 'c' has no table of samples"),
        (["a.tsv", "b.tsv", "--fix", "a=tset", *drawn], "'tset' is not a split"),
        (["a.tsv", "--list", "train=i.csv", *drawn], "files and a seed exclude each other"),
    ):
        run = evreel("splits", *arguments, "-o", "all.tsv", cwd=two_cuts)
        assert run.returncode == 2
        assert message in run.stderr and "Traceback" not in run.stderr
        assert not (two_cuts / "all.tsv").exists()


def test_archive__by_hand_has_the_options_of_the_workflow(made, tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(made / "corner.aedat4", "x/corner.aedat4")
    run = evreel("acquire", "a.tar.gz", "--plain", "-o", "a.tar", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with tarfile.open(tmp_path / "a.tar", "r:") as archive:
        assert archive.getnames() == ["x/corner.aedat4"]
    events = ["events", "a.tar", "--members", "x/*", "-o", "a.h5", "--member-gib"]
    run = evreel(*events, "0.000001", cwd=tmp_path)
    assert run.returncode == 1
    assert "corner.aedat4" in run.stderr and not (tmp_path / "a.h5").exists()
    assert evreel(*events, "1", cwd=tmp_path).returncode == 0


def test_unknown_representation__names_those_that_exist(made, tmp_path):
    run = evreel(
        *("features", made / "corner.h5", "-o", tmp_path / "f"),
        *("--representation", "histograms", "--count", 10),
    )
    assert run.returncode == 2
    assert "histogram" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["video", "corner.h5", "-o", "x.avi", "--window-us", "9"], 2, "must end in .mp4 or .zip"),
        (
            ["video", "corner.h5", "-o", "x.mp4", "--window-us", "0"],
            2,
            "window_us: 0 is less than 1",
        ),
        (
            ["events", "corner.aedat4", "-o", "x", "--start-us", "9" * 30],
            2,
            "is more than 9,007,199,254,740,992",
        ),
        (["events", "corner.aedat4", "-o", "/proc/x.h5"], 1, "No such file or directory"),
        (["events", "corner.aedat4", "-o", "corner.toml/x.h5"], 1, "File exists"),
        (["events", "corner.aedat4", "-o", "corner.aedat4"], 2, "from which it is made"),
        (["events", "corner.h5", "-o", "x.h5"], 2, "is already an events store"),
        (
            ["video", "corner.h5", "-o", "x.mp4", "--window-us", "10000", "--preset", "typo"],
            2,
            "preset",
        ),
        (
            ["video", "corner.h5", "-o", "x.mp4", "--window-us", "9", "--scale", "9999"],
            2,
            "scale: 9999 is more than 16",
        ),
        (["info", "corner.truth.json"], 1, "is not the start of a known format"),
        (
            ["annotate", "corner.h5", "--clock", "corner.toml", "-o", "x", "--count", "1"],
            1,
            "line 1",
        ),
    ],
)
def test_bad_call__is_one_error_and_leaves_nothing(made, arguments, code, message):
    before = sorted(made.iterdir())
    run = evreel(*arguments, cwd=made)
    assert run.returncode == code
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(made.iterdir()) == before


def test_release__never_takes_the_place_of_another_folder(made, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    plan = f"path\tsource\ntrain/events/corner.h5\t{made / 'corner.h5'}\n"
    (tmp_path / "plan.tsv").write_text(plan, encoding="utf-8")
    run = evreel("release", "--manifest", tmp_path / "plan.tsv", "-o", tmp_path / "photos")
    assert run.returncode == 1
    assert "is a folder that contains other files" in run.stderr
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"x"
    for _ in range(2):  # a release does take the place of an older one, also without its manifest
        run = evreel("release", "--manifest", tmp_path / "plan.tsv", "-o", tmp_path / "release")
        assert run.returncode == 0, run.stderr
        assert evreel("verify", tmp_path / "release").returncode == 0
        (tmp_path / "release" / "manifest.json").unlink()


def test_video__that_fails_leaves_the_clock_of_the_one_before(made, tmp_path):
    video = ["video", made / "corner.h5", "-o", tmp_path / "v.mp4", "--window-us"]
    assert evreel(*video, 10_000).returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert evreel(*video, 20_000, "--preset", "typo").returncode == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_video__by_a_clock_that_exists_leaves_it_as_it_is(made, tmp_path):
    clock = tmp_path / "camera.tsv"
    clock.write_text("frame\tstart_us\tstop_us\n0\t5000\t9000\n1\t20000\t50000\n")
    before = clock.read_bytes()
    run = evreel("video", made / "corner.h5", "-o", tmp_path / "v.zip", "--clock", clock)
    assert run.returncode == 0, run.stderr
    assert clock.read_bytes() == before
    with zipfile.ZipFile(tmp_path / "v.zip") as archive:
        assert archive.namelist() == ["000000_5000.png", "000001_20000.png"]
        assert json.loads(archive.comment)["style"] == "polarity"


def test_video__by_the_frames_of_a_camera_takes_no_window(made, tmp_path, capsys):
    video = [str(n) for n in ("video", made / "corner.h5", "-o", tmp_path / "v.zip")]
    assert main([*video, "--clock", "frames", "--window-us", "5000"]) == 2
    problem = "--window-us is for regular windows, and does not go with --clock frames"
    assert problem in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_annotate__refuses_the_clock_of_another_crop(made, tmp_path):
    for name, crop in (("a", "0,0,50,40"), ("b", "10,0,60,40")):
        store = tmp_path / f"{name}.h5"
        evreel("events", made / "corner.aedat4", "-o", store, "--crop", crop)
        evreel("video", store, "-o", tmp_path / f"{name}.mp4", "--window-us", 10_000)
    run = evreel(
        *("annotate", tmp_path / "a.h5", "--clock", tmp_path / "b.clock.tsv"),
        *("-o", tmp_path / "slices.h5", "--count", 100),
    )
    assert run.returncode == 1
    assert "b.clock.tsv: origin_x_px is 10, but in a.h5 it is 0" in run.stderr


def test_tags__do_not_widen_where_regions_were_looked_for(made, tmp_path):
    rois = tmp_path / "half.xml"
    text = (made / "corner.rois.xml").read_text(encoding="utf-8")
    text = re.sub(r'    <(box|polygon) frame="([6-9]|1\d)".*?</\1>\n', "", text, flags=re.DOTALL)
    text = re.sub(r"<stop_frame>\d+</stop_frame>", "<stop_frame>5</stop_frame>", text)
    rois.write_text(text, encoding="utf-8")
    evreel("video", made / "corner.h5", "-o", tmp_path / "v.mp4", "--window-us", 10_000)
    run = evreel(
        *("annotate", made / "corner.h5", "--clock", tmp_path / "v.clock.tsv", "--rois", rois),
        *("--tags", made / "corner.tags.xml", "-o", tmp_path / "s.h5", "--count", 100),
        "--part-of-video",
    )
    assert run.returncode == 0, run.stderr
    with SlicesFile(tmp_path / "s.h5") as slices:
        assert slices.labelled.start_us.tolist() == [0]
        assert slices.labelled.stop_us.tolist() == [60_000]
        assert len(slices.tags.frame) > 0


def test_missing_file__is_one_line(tmp_path):
    run = evreel("info", tmp_path / "none.aedat4")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "none.aedat4: cannot be read: No such file or directory" in run.stderr


def test_output__that_a_reader_closes_is_no_error(made):
    command = [sys.executable, "-m", "evreel.cli", "info", str(made / "corner.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [("evreel.cli", {"numba", "h5py", "lxml", "imageio_ffmpeg", "tqdm", "zstandard", "PIL"})],
)
def test_start__imports_nothing_that_is_slow(module, heavy):
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not heavy & set(run.stdout.split())


def test_commands_without_kernels__do_not_import_numba(made, tmp_path):
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    for arguments in (
        ["info", str(made / "corner.aedat4")],
        ["events", str(made / "corner.aedat4"), "-o", str(tmp_path / "s.h5")],
    ):
        run = subprocess.run(
            [sys.executable, "-m", "evreel.cli", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert "numba" not in run.stderr
        assert "numpy" in run.stderr, "the list of imports is missing"


def test_real_recordings__are_described(tmp_path):
    path = shared_file("recordings/aestream_davis.aedat4")
    found = json.loads(evreel("info", path, "--json").stdout)
    assert found["sensor"] == {"height": 260, "width": 346}
    assert found["events"] == 117_667
    assert found["problems"] == []


def test_looking__by_hand_prints_and_writes_what_the_steps_make(tmp_path, capfd):
    made = labelled(tmp_path)
    slices, clock, video, table, plot, picture = map(
        str,
        (made.slices, made.clock, *(tmp_path / n for n in ("q.mp4", "s.tsv", "s.png", "k.png"))),
    )
    assert main(["qa", slices, "--clock", clock, "-o", video, "--magnify", "2"]) == 0
    assert "q.mp4: 10 frames of 480x112" in capfd.readouterr().err
    store, short = str(tmp_path / "events.h5"), str(tmp_path / "p.mp4")
    shown = ["--slices", slices, "--clock", clock]
    assert main(["preview", store, *shown, "-o", short, "--max-frames", "4"]) == 0
    assert "p.mp4: 4 frames of 720x552" in capfd.readouterr().err
    poster = (tmp_path / "p.jpg").read_bytes()
    other = str(tmp_path / "other.jpg")
    assert main(["preview", store, *shown, "-o", short, "--poster", other]) == 0
    assert (tmp_path / "other.jpg").read_bytes() == poster
    capfd.readouterr()
    assert main(["summary", slices, "--clock", clock, "-o", table, "--plot", plot]) == 0
    printed = capfd.readouterr().out.splitlines()
    written = (tmp_path / "s.tsv").read_text(encoding="utf-8").splitlines()
    assert "# frames_without_region\t0" in printed
    for short, line in zip(printed, written, strict=True):
        assert line.startswith(short)
    assert "track\tvan\t3\t0\t0\t90301\t10\t90301\t10\t0.3333\t110.7\t" in printed
    assert main(["show", slices, "--slice", "2", "--save", picture]) == 0
    drawn = (tmp_path / "k.png").read_bytes()
    assert main(["draw", slices, "--slice", "2", "-o", picture]) == 0
    assert (tmp_path / "k.png").read_bytes() == drawn
    assert main(["draw", slices, "--slice", "9", "-o", str(tmp_path / "no.png")]) == 2
    assert "slice 9 is not in 0 to 4" in capfd.readouterr().err
    assert not (tmp_path / "no.png").exists()


def test_align__of_slices_asks_for_the_clock_that_they_were_made_with(tmp_path, capsys):
    made = labelled(tmp_path)
    align = ["align", str(made.slices), "--rois", "a.xml", "--clock", "fps=30,window-us=10000"]
    assert main(align) == 2
    told = capsys.readouterr().err
    assert f"--clock: {made.slices.name} has slices, from which no clock can be made" in told
    assert "Name the table of the clock that they were made with" in told


def test_unknown_option__is_told_with_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "scene.toml", "-o", "out", "--objcts"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: evreel simulate")
    assert "unrecognized arguments: --objcts; did you mean '--objects'?" in told


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["tidy", "my/config.yaml"], "my/config.yaml; did you mean '--configfile my/config.yaml'?"),
        (["cvat", "pull", "--task", "17", "park"], "park; give 'park' before the options"),
        (["tidy", "results"], "results\n"),
    ],
)
def test_argument__that_a_command_does_not_take_there_is_told_with_where_it_goes(
    arguments, advice, capsys
):
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"unrecognized arguments: {advice}" in capsys.readouterr().err
