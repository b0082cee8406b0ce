"""The recordings that the training examples learn from: sound, and the same each time."""

from __future__ import annotations

import csv
import hashlib
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import evreel
from evreel.annotations.open import read_annotations
from evreel.dataset.settings import Config
from evreel.settings import mistakes
from evreel.simulate.scene import parse_scene
from support import ROOT

made = SimpleNamespace(**runpy.run_path(str(ROOT / "examples" / "simulate_recordings.py")))
CONFIGS = sorted(ROOT.glob("configs/*.yaml"))


def config(name):
    return yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_config__is_sound_and_its_header_says_how_to_run_it(path):
    text = path.read_text(encoding="utf-8")
    assert list(mistakes(Config, yaml.safe_load(text))) == []
    assert "python examples/simulate_recordings.py data/train" in text
    assert f"release --configfile configs/{path.name}" in text


def test_scenes__are_of_one_sensor_size_with_every_class_and_differ():
    labels = config("train")["labels"]
    documents = [made.traffic(f"t{k}", k) for k in range(1, sum(made.TRAFFIC.values()) + 1)]
    assert len(documents) == 24
    assert made.traffic("t3", 3) == documents[2]
    scenes = [parse_scene(document) for document in documents]
    assert {scene.sensor for scene in scenes} == {(64, 96)}
    assert len({str(scene.objects) for scene in scenes}) == 24
    for scene in scenes:
        assert {thing.label for thing in scene.objects} == set(labels)


def test_gestures__fill_their_recordings_and_every_person_makes_each_as_often():
    labels = config("train_gestures")["labels"]
    for k in range(1, sum(made.PEOPLE.values()) + 1):
        document, lines = made.gestures("person", k)
        scene = parse_scene(document)
        rows = list(csv.DictReader(lines))
        named = [row["gesture"] for row in rows]
        assert {label: named.count(label) for label in labels} == dict.fromkeys(labels, 10)
        edges = [(int(row["start_us"]), int(row["stop_us"])) for row in rows]
        assert all(stop - start == made.GESTURE_US for start, stop in edges)
        assert edges == sorted(edges) and edges[-1][1] <= scene.duration_us


def test_recording_of_traffic__comes_with_boxes_and_what_annotators_have_finished(tmp_path):
    row = made.film_traffic(tmp_path, 19, "val")
    assert row["md5"] == hashlib.md5((tmp_path / "traffic_19.aedat4").read_bytes()).hexdigest()
    assert (row["id"], row["split"]) == ("traffic_19", "val")
    duration_us = made.traffic("traffic_19", 19)["duration_us"]
    with evreel.open(row["source"]) as recording:
        assert recording.sensor == (64, 96)
    found = read_annotations(row["rois"])
    assert {track.label for track in found.tracks} == set(config("train")["labels"])
    finished = Path(row["labelled"]).read_text(encoding="utf-8").splitlines()
    spans = list(csv.DictReader(finished, delimiter="\t"))
    frames = [int(span[name]) for span in spans for name in ("start_frame", "stop_frame")]
    assert frames == sorted(frames) and frames[0] == 0
    assert frames[-1] == duration_us // made.FRAME_US - 1
    assert frames[2] - frames[1] > 5  # frames that nobody has finished


def test_interruption__leaves_no_file_that_is_not_whole(tmp_path, monkeypatch):
    def stopped(scene, folder):
        (Path(folder) / f"{scene.name}.aedat4").write_bytes(b"#!AER-DAT4.0\r\n")
        raise KeyboardInterrupt

    globals_of_it = made.film_gestures.__globals__
    with monkeypatch.context() as patched:
        patched.setitem(globals_of_it, "write_recording", stopped)
        for make in (made.film_gestures, made.film_traffic):
            with pytest.raises(KeyboardInterrupt):
                make(tmp_path / "made", 1, "train")
    assert list((tmp_path / "made").iterdir()) == []
