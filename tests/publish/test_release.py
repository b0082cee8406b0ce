"""A release is made from records and remembered checksums: no large file is read for it again."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from evreel import steps
from evreel.dataset import memory
from evreel.errors import ReleaseError
from evreel.files import hdf5
from support.dataset import tree
from support.scenes import annotated

SETTINGS = steps.ReleaseSettings(name="parks", version="1.0", licence="CC0-1.0")


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A recording's events and slices, made ready, a video, and the plan of their release."""
    folder = tmp_path_factory.mktemp("ready")
    store, _ = annotated(folder, folder / "slices.h5", folder / "slices_bbox.npy")
    events, slices = folder / "events" / "park.h5", folder / "slices" / "park.h5"
    publish = steps.PublishSettings()
    steps.publish(store, events, events.with_suffix(".json"), publish)
    beside = {"store": store, "published": events}
    steps.publish(folder / "slices.h5", slices, slices.with_suffix(".json"), publish, **beside)
    video = folder / "park.mp4"
    video.write_bytes(b"video" * 1000)
    os.utime(video, (1_000_000_000, 1_000_000_000))
    rows = [
        {"path": f"train/{kind}/park.h5", "source": str(path), "kind": kind}
        for kind, path in (("events", events), ("slices", slices))
    ]
    rows.append({"path": "video/park.mp4", "source": str(video), "kind": "video"})
    steps.release_plan([{"id": "park", "split": "train", **row} for row in rows], folder / "plan")
    return folder


def test_release__reads_nothing_that_it_knows(ready, tmp_path, monkeypatch):
    def release():
        steps.release(ready / "plan", tmp_path / "parks", SETTINGS, memory=tmp_path / "known.json")

    release()
    made = tree(tmp_path / "parks")

    def read(path):
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(memory, "_digests", read)
    monkeypatch.setattr(hdf5, "open_hdf5", read)
    for _ in range(2):  # the older one is removed, which sets times of the files that it shares
        release()
        assert tree(tmp_path / "parks") == made
    assert (tmp_path / "parks" / "video" / "park.mp4").samefile(ready / "park.mp4")


def test_release__of_an_edited_video_has_the_sums_of_the_new_one(ready, tmp_path):
    known = tmp_path / "known.json"
    steps.release(ready / "plan", tmp_path / "parks", SETTINGS, memory=known)
    video, sound = ready / "park.mp4", (ready / "park.mp4").read_bytes()
    video.unlink()
    video.write_bytes(b"VIDEO" * 1000)
    os.utime(video, (1_000_000_000, 1_000_000_000))
    steps.release(ready / "plan", tmp_path / "parks", SETTINGS, memory=known)
    assert steps.verify(tmp_path / "parks") == []
    assert (tmp_path / "parks" / "video" / "park.mp4").read_bytes() == b"VIDEO" * 1000
    video.write_bytes(sound)


def test_release__on_another_file_system_is_the_same(ready, tmp_path, monkeypatch):
    steps.release(ready / "plan", tmp_path / "linked", SETTINGS)

    def refuse(source, target):
        raise OSError("no hard links")

    monkeypatch.setattr(os, "link", refuse)
    steps.release(ready / "plan", tmp_path / "copied", SETTINGS)
    assert tree(tmp_path / "copied") == tree(tmp_path / "linked")
    copied = Path(tmp_path / "copied" / "train" / "events" / "park.h5")
    assert not copied.samefile(ready / "events" / "park.h5")


def test_release__says_how_many_files_stay_compressed_otherwise(ready, tmp_path, caplog):
    for change, said in (({}, False), ({"gzip_level": 9}, True), ({"compression": "fast"}, True)):
        caplog.clear()
        steps.release(ready / "plan", tmp_path / "parks", replace(SETTINGS, **change))
        assert ("compressed otherwise than asked for: 2. In the plan" in caplog.text) == said


def test_stamp__is_what_sha256sum_checks_the_manifest_by(ready, tmp_path):
    stamp = tmp_path / "parks.sha256"
    steps.release(ready / "plan", tmp_path / "parks", SETTINGS, stamp=stamp)
    digest, name = stamp.read_text(encoding="utf-8").split()
    assert name == "parks/manifest.json"
    sums = (tmp_path / "parks" / "SHA256SUMS").read_text(encoding="utf-8")
    assert f"{digest}  manifest.json" in sums


def test_release__with_findings_in_records_is_refused_as_one_of_files(ready, tmp_path):
    record = shutil.copy(ready / "slices" / "park.json", tmp_path / "park.json")
    shutil.copy2(ready / "slices" / "park.h5", tmp_path / "park.h5")
    text = Path(record).read_text(encoding="utf-8")
    found = '"alone": [["error", "slice_rows", "", "slice 1", "is wrong"]]'
    assert '"alone": []' in text
    Path(record).write_text(text.replace('"alone": []', found), encoding="utf-8")
    row = {"path": "train/slices/park.h5", "source": str(tmp_path / "park.h5"), "kind": "slices"}
    steps.release_plan([{"id": "park", "split": "train", **row}], tmp_path / "plan")
    with pytest.raises(ReleaseError, match=r"1 error, the first: error: slice_rows: .*park\.h5"):
        steps.release(tmp_path / "plan", tmp_path / "parks", SETTINGS)
    assert not (tmp_path / "parks").exists()
