"""A release is made of files that are ready for it; one that fails keeps the older one whole."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from evreel import steps
from evreel.errors import ReleaseError
from support.dataset import build, make_data_set, planned, snakemake, tree

RELEASE = Path("results", "release", "tiny-1.0")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of one recording, built once."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"), ["one"])
    build(folder, "--cores", "2")
    return folder


def test_release__links_the_files_that_were_made_ready(built):
    for kind, path in (
        ("events", "events"),
        ("slices", "slices"),
        ("features/voxels", "voxels"),
    ):
        ready = built / "results" / "published" / kind / "one.h5"
        assert ready.with_suffix(".json").is_file()
        assert ready.samefile(built / RELEASE / "train" / path / "one.h5")


def test_edited_xml__leaves_all_that_is_not_made_of_it_as_it_is(copied):
    xml = copied / "raw" / "one.rois.xml"
    xml.write_text(xml.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    before = tree(copied / RELEASE)
    kept = [
        copied / "results" / "published" / path
        for path in ("events/one.h5", "features/voxels/one.h5", "features/histogram/one.h5")
    ]
    inodes = [path.stat().st_ino for path in kept]
    said = build(copied, "--cores", "2")
    ran = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", said, re.MULTILINE)
    assert sorted(ran) == ["all", "annotate", "preview", "publish_slices", "release", "summary"]
    assert [path.stat().st_ino for path in kept] == inodes
    after = tree(copied / RELEASE)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {
        *("MD5SUMS", "SHA256SUMS", "manifest.json", "annotations/one.rois.xml"),
        "train/slices/one.h5",
        # What states the sums of these files.
        *("croissant.json", "index.parquet", "index/recordings/train.parquet"),
        "page/details-0001.js",
    }
    assert steps.verify(copied / RELEASE) == []


def test_release__that_fails_keeps_the_older_one_whole_and_is_tried_again(copied):
    before = tree(copied / RELEASE)
    boxes = copied / "results" / "slices" / "one_bbox.npy"
    sound = boxes.read_bytes()
    np.save(boxes, np.load(boxes)[:-1])
    for _ in range(2):
        run = snakemake(copied, "--cores", "2")
        assert run.returncode != 0
        assert "was made together with another file of boxes" in run.stdout
        assert tree(copied / RELEASE) == before
        assert steps.verify(copied / RELEASE) == []
    boxes.write_bytes(sound)
    assert planned(copied) == ["all", "release"]
    build(copied, "--cores", "2")
    assert tree(copied / RELEASE) == before
    assert planned(copied) == []


def test_release__that_somebody_removed_or_changed_is_built_again(copied):
    before = tree(copied / RELEASE)
    manifest = copied / RELEASE / "manifest.json"
    manifest.unlink()
    assert "manifest.json: is not there; the release will be built again" in build(copied, "-n")
    assert planned(copied) == ["all", "release"]
    build(copied, "--cores", "2", "release")
    assert tree(copied / RELEASE) == before
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    assert planned(copied) == ["all", "release"]
    shutil.rmtree(copied / RELEASE)
    assert planned(copied, "release") == ["release"]
    build(copied, "--cores", "2")
    assert tree(copied / RELEASE) == before


def test_ready_file__that_was_removed_or_changed_is_made_again_and_its_release_with_it(copied):
    before = tree(copied / RELEASE)
    ready = copied / "results" / "published"
    events, voxels = ready / "events" / "one.h5", ready / "features" / "voxels" / "one.h5"
    with events.open("r+b") as file:  # in place: the release has the same file
        file.write(b"\0")
    voxels.unlink()
    said = build(copied, "-n")
    assert "published/events/one.h5: was changed after it was made; it will be made again" in said
    assert "published/features/voxels/one.h5: is not there; it will be made again" in said
    build(copied, "--cores", "2")
    assert tree(copied / RELEASE) == before
    os.utime(events)  # as a copy of the results may have it
    assert planned(copied) == []


def test_ready_file__changed_since_the_run_began_is_an_error(copied, monkeypatch):
    events = copied / "results" / "published" / "events" / "one.h5"
    with events.open("r+b") as file:
        file.write(b"\0")
    plan = copied / "results" / "release" / "tiny-1.0.tsv"
    settings = steps.ReleaseSettings(name="tiny", version="1.0", licence="CC0-1.0")
    monkeypatch.chdir(copied)
    with pytest.raises(ReleaseError, match=r"events/one\.h5: was changed after it was made ready"):
        steps.release(plan, copied / "by_hand", settings, labels=["car", "sign", "busy"])
    assert not (copied / "by_hand").exists()
