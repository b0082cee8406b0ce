"""Steps refuse files that change while they are in use."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.annotations import cvat
from evreel.errors import SourceError
from evreel.files import boxes
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import BOX_DTYPE
from evreel.samples import intervals
from evreel.samples import splits as split_lists
from evreel.steps.common import Steady
from support.scenes import write_scene

events_step = importlib.import_module("evreel.steps.events")
WINDOWS = steps.RegularWindows(window_us=20_000)
LABELS = ["car", "sign", "busy"]


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    recording, rois, *_ = steps.simulate(write_scene(folder, "park", seed=1), folder)
    steps.events(recording, folder / "park.h5")
    steps.clock(
        folder / "park.h5", folder / "park.clock.tsv", steps.ClockSettings(window_us=10_000)
    )
    return folder, recording, rois


def edited_after(monkeypatch, module, name, path):
    """Let a file be edited just after a function has read it, with its old time."""
    read = getattr(module, name)

    def then_edited(*arguments, **options):
        found = read(*arguments, **options)
        times = path.stat()
        data = path.read_bytes()
        path.write_bytes(data.replace(b"\n", b" ", 1) if b"\n" in data else data + b"\0")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return found

    monkeypatch.setattr(module, name, then_edited)


def annotate(made, folder, rois, **options):
    store, clock = made[0] / "park.h5", made[0] / "park.clock.tsv"
    outputs = folder / "slices.h5", folder / "park_bbox.npy"
    steps.annotate(store, clock, *outputs, WINDOWS, rois=rois, labels=LABELS, **options)
    return outputs


def test_xml__that_is_edited_after_it_was_read_makes_no_slices(made, tmp_path, monkeypatch):
    rois = tmp_path / "park.rois.xml"
    rois.write_bytes(made[2].read_bytes())
    edited_after(monkeypatch, cvat, "read_cvat", rois)
    with pytest.raises(SourceError, match="was changed while it was in use"):
        annotate(made, tmp_path, rois)
    assert [path.name for path in tmp_path.iterdir()] == [rois.name]


def test_xml__other_than_the_workflow_saw_is_not_read(made, tmp_path):
    assert all(
        path.exists() for path in annotate(made, tmp_path, made[2], rois_sha256=sha256(made[2]))
    )
    with pytest.raises(SourceError, match=r"in use\. Run the same command again\."):
        annotate(made, tmp_path, made[2], rois_sha256="0" * 64)


def test_boxes__that_are_edited_after_they_were_read_are_refused(made, tmp_path, monkeypatch):
    published = tmp_path / "published_bbox.npy"
    np.save(published, np.array([(10, 1, 1, 5, 5, 0, 1, 1.0)], BOX_DTYPE))
    output = tmp_path / "park_bbox.npy"
    with pytest.raises(SourceError, match="was changed"):
        steps.boxes(made[0] / "park.h5", published, output, published_sha256="0" * 64)
    edited_after(monkeypatch, boxes, "read_published_boxes", published)
    with pytest.raises(SourceError, match="was changed"):
        steps.boxes(made[0] / "park.h5", published, output, steps.BoxesSettings(clock="recording"))
    assert not output.exists()


def test_intervals_and_lists__that_are_edited_after_they_were_read_are_refused(
    made, tmp_path, monkeypatch
):
    table, listed = tmp_path / "park.csv", tmp_path / "train.txt"
    table.write_text("label,start_us,stop_us\ncar,0,1000\n")
    listed.write_text("park\n")
    cut, out = tmp_path / "cut.tsv", tmp_path / "samples.tsv"
    store, options = made[0] / "park.h5", {"intervals": str(table), "recording": "park"}
    with pytest.raises(SourceError, match="was changed"):
        steps.cut(store, cut, **options, intervals_sha256="0" * 64)
    steps.cut(store, cut, **options, intervals_sha256=sha256(table))
    lists = {"lists": {"train": str(listed)}}
    with pytest.raises(SourceError, match="was changed"):
        steps.splits({"park": cut}, out, **lists, lists_sha256={"train": "0" * 64})
    edited_after(monkeypatch, split_lists, "by_lists", listed)
    with pytest.raises(SourceError, match="was changed"):
        steps.splits({"park": cut}, out, **lists)
    cut.unlink()
    edited_after(monkeypatch, intervals, "read_intervals", table)
    with pytest.raises(SourceError, match="was changed"):
        steps.cut(store, cut, **options)
    assert not cut.exists()
    assert not out.exists()


def recording_of(path, seed):
    """Write a recording, in place and with times of long ago."""
    at, random = np.arange(1000), np.random.default_rng(seed)
    with path.open("wb") as file:
        np.savez(file, t=at, x=at % 64, y=at % 48, p=random.integers(0, 2, 1000))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def test_recording__that_is_edited_while_it_is_decoded_makes_no_store(tmp_path, monkeypatch):
    recording = recording_of(tmp_path / "park.npz", 1)
    write = EventsStoreWriter.write

    def write_and_edit(self, batch):
        write(self, batch)
        recording_of(recording, 2)

    monkeypatch.setattr(EventsStoreWriter, "write", write_and_edit)
    for threads in (1, 2):
        with pytest.raises(SourceError, match="was changed while it was in use"):
            steps.events(recording, tmp_path / "park.h5", sensor="64x48", threads=threads)
        assert not (tmp_path / "park.h5").exists()


def test_recording__that_was_edited_after_it_was_acquired_makes_no_store(tmp_path):
    recording, link = recording_of(tmp_path / "park.npz", 1), tmp_path / "link.npz"
    sums = {"md5": hashlib.md5(recording.read_bytes()).hexdigest(), "sha256": None}
    steps.acquire(str(recording), link, md5=sums["md5"])
    steps.events(link, tmp_path / "one.h5", sensor="64x48", sums=sums)
    recording_of(recording, 2)
    with pytest.raises(SourceError, match="md5 is"):
        steps.events(link, tmp_path / "two.h5", sensor="64x48", sums=sums)
    assert not (tmp_path / "two.h5").exists()


def test_file__of_which_only_the_times_change_is_the_same(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"a")
    steady = Steady({"rois": path, "tags": None}, {"rois": sha256(path), "tags": None})
    path.touch()
    (tmp_path / "b.xml").hardlink_to(path)
    steady.check()
    assert steady.digests == {"rois": f"sha256:{sha256(path)}"}
