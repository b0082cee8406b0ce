"""The script that a release carries reads all of it, with h5py and NumPy alone."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evreel import open_release
from evreel.files.boxes import boxes_of_windows, write_boxes_of_windows
from evreel.files.features import FeaturesFile
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from support.exports import made_in
from support.releases import LABELS, labelled_release

ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in {*sys.stdlib_module_names, *ALLOWED}:
            raise ModuleNotFoundError(name)

ALLOWED = sys.argv.pop(1).split()
sys.meta_path.insert(0, Refuse())
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(script: Path, *arguments: str, allowed: str = "h5py numpy") -> str:
    """Return what a script prints whose imports of anything else fail."""
    command = [sys.executable, "-I", "-X", "utf8", "-c", ALONE, allowed, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=script.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return labelled_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def example(release):
    """The functions of a release's script."""
    return runpy.run_path(str(release / "load_example.py"))


def test_script__runs_with_h5py_and_numpy_alone_and_shows_every_kind(release):
    said = run_alone(release / "load_example.py")
    assert said.splitlines()[:3] == [
        "test: 1 recording, 1 sample",
        "train: 2 recordings, 2 samples",
        "val: 0 recordings, 0 samples",
    ]
    assert "events in the first 10 ms" in said
    assert "0 to 10000 µs: uint8 (2, 24, 32): ['Straßenbahn', 'pedestrian']" in said
    assert "slice 20000 to 40000 µs: 607 events: ['Straßenbahn']" in said
    assert "sample a: pedestrian, 601 events" in said
    assert "    60000 to 70000 µs: uint8 (2, 24, 32): []: pedestrian\n" in said
    assert "sample b" not in said
    assert "sample b: Straßenbahn, 628 events" in run_alone(release / "load_example.py", "test")


def test_script__of_a_fast_release_says_that_it_needs_the_plugin(tmp_path):
    script = labelled_release(tmp_path, "fast") / "load_example.py"
    assert "import hdf5plugin" in script.read_text(encoding="utf-8")
    assert "pip install hdf5plugin" in script.read_text(encoding="utf-8")
    assert "sample a" in run_alone(script, allowed="h5py numpy hdf5plugin")


def test_splits__list_recordings_also_those_of_several(example):
    assert example["splits"]() == {"train": ["park", "town"], "val": [], "test": ["town"]}


def test_frames__are_those_of_the_release_with_the_boxes_of_each(release, example):
    [path] = [p for p in example["files"]("park", "features") if p.parent.name == "counts"]
    found, low, high = example["boxes_of"](path)
    rows = list(example["frames"](path))
    with open_release(release) as opened:
        frames = opened.recordings["park"].features["counts"]
        boxes, first = opened.recordings["park"].boxes_of("counts")
        assert [row[0] for row in rows] == list(range(len(frames)))
        for k, values, start_us, stop_us in rows:
            np.testing.assert_array_equal(values, frames[k])
            assert (start_us, stop_us) == (frames.windows.start_us[k], frames.windows.stop_us[k])
            assert found[low[k] : high[k]].tolist() == boxes[first[k] : first[k + 1]].tolist()


def test_frames__of_samples_of_a_split_are_no_others(release, example):
    [path] = [p for p in example["files"]("town", "features") if p.parent.name == "counts"]
    found = [k for k, *_ in example["frames"](path, ["b"])]
    with open_release(release) as opened:
        rows = opened.recordings["town"].features["counts"].rows_of("b")
    assert found == list(range(rows.start, rows.stop))


def test_events__of_rows_and_of_a_time_are_those_of_the_release(release, example):
    [path] = example["files"]("park", "events")
    times = ((0, 10_000), (17, 18), (30_500, 94_999), (5, 200_000), (7, 7))
    found = [example["events"](path, *example["rows_of"](path, *time)) for time in times]
    with open_release(release) as opened:
        for time, columns in zip(times, found, strict=True):
            expected = opened.recordings["park"].events.read_us(*time)
            for name in "txyp":
                np.testing.assert_array_equal(columns[name], getattr(expected, name))


def test_slices__are_those_of_the_release(release, example):
    [path] = example["files"]("park", "slices")
    found = list(example["slices"](path))
    with open_release(release) as opened:
        slices = opened.recordings["park"].slices
        assert len(found) == slices.n
        for k, (start_us, stop_us, inside, labels) in enumerate(found):
            events, roi = slices.slice(k)
            assert (start_us, stop_us) == (slices.windows.start_us[k], slices.windows.stop_us[k])
            np.testing.assert_array_equal(inside["t"], events.t)
            numbers = slices.labels_of(roi).tolist()
            assert labels.tolist() == [None if n < 0 else slices.labels[n] for n in numbers]


def test_boxes__in_the_order_of_windows_are_read_as_they_are(release, tmp_path):
    features = release.parent / "built/park_counts.h5"
    boxes = np.load(release.parent / "built/park_bbox.npy")
    with FeaturesFile(features) as file:
        ordered, first = boxes_of_windows(boxes, file.windows, "last")
    names = [tmp_path / f"park_bbox{end}.npy" for end in ("", "_first")]
    write_boxes_of_windows(*names, ordered, first)
    plan = [PlanEntry("train/counts/park.h5", features, "features", "park", "train")]
    plan += [PlanEntry(f"train/counts/{p.name}", p, "features", "park", "train") for p in names]
    about = {"name": "r", "version": "1", "licence": "CC0-1.0", "labels": LABELS}
    build(plan, tmp_path / "r", **about)
    example = runpy.run_path(str(tmp_path / "r/load_example.py"))
    found, low, high = example["boxes_of"](tmp_path / "r/train/counts/park.h5")
    assert found.tolist() == ordered.tolist()
    assert [*low, high[-1]] == first.tolist()


def test_script__has_only_what_the_release_has(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["load_example.py"])
    made = made_in(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    rows = {
        "slices": PlanEntry("train/slices/park.h5", made.slices, "slices", "park", "train"),
        "events": PlanEntry("events/park.h5", made.store, "", "park"),
        "notes": PlanEntry("notes.txt", tmp_path / "notes.txt"),
    }
    for name, functions in (("slices", {"slices"}), ("events", {"events"}), ("notes", set())):
        about = {"name": name, "version": "1", "licence": "CC0-1.0"}
        build([rows[name]], tmp_path / name, **about)
        script = tmp_path / name / "load_example.py"
        runpy.run_path(str(script), run_name="__main__")
        text = script.read_text(encoding="utf-8")
        every = ("events", "frames", "boxes_of", "samples", "slices")
        assert {each for each in every if f"def {each}(" in text} == functions
        assert ("LABELS" in text, "hdf5plugin" in text) == (False, False)
        assert ("import h5py" in text) == (name != "notes")


def test_boxes__without_frames_are_shown(release, tmp_path):
    path = release.parent / "built/park_bbox.npy"
    plan = [PlanEntry(f"train/slices/{name}_bbox.npy", path, "slices", name) for name in "ab"]
    about = {"name": "r", "version": "1", "licence": "CC0-1.0", "labels": LABELS}
    build(plan, tmp_path / "r", **about)
    script = tmp_path / "r/load_example.py"
    assert "a:\n  40 boxes: ['Straßenbahn', 'pedestrian']\nb:\n" in run_alone(script)
    boxes = runpy.run_path(str(script))["boxes"]
    assert boxes("a").tolist() == np.load(path).tolist() and boxes("c") is None


def test_script__runs_where_names_cannot_be_shown(release):
    command = [sys.executable, str(release / "load_example.py")]
    shown = {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | shown)
    assert done.returncode == 0, done.stderr
    assert r"20000 \xb5s: uint8 (2, 24, 32): ['Stra\xdfenbahn', 'pedestrian']" in done.stdout


def test_script__of_samples_alone_shows_the_class_of_their_frames(release, tmp_path):
    built = release.parent / "built"
    rows = [
        ("mixed/events/town.h5", "town.h5", "events", "town", "mixed"),
        ("mixed/counts/town.h5", "town_counts.h5", "features", "town", "mixed"),
        ("mixed/samples/town.h5", "town_samples.h5", "samples", "town", "mixed"),
    ]
    table = ("samples.tsv", "samples.tsv", "samples", "", "")
    about = {"name": "r", "version": "1", "licence": "CC0-1.0", "labels": LABELS}
    for name, given in (("bare", rows), ("listed", [*rows, table])):
        plan = [PlanEntry(path, built / source, *rest) for path, source, *rest in given]
        build(plan, tmp_path / name, **about)
        said = run_alone(tmp_path / name / "load_example.py", "test")
        assert "val: 0 recordings, 0 samples\n" in said
        assert "    30000 to 40000 µs: uint8 (2, 24, 32): Straßenbahn\n" in said


def test_script__refuses_a_split_that_is_not_there(example):
    main = example["main"]
    with pytest.raises(SystemExit, match="there is no split 'trian'; there are test, train, val"):
        main("trian")
