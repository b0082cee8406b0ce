"""Building: a release is what was planned, the same bytes wherever it is built."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import __version__, steps
from evreel.errors import LayoutError, ReleaseError, UsageError
from evreel.layout import BOX_DTYPE
from evreel.outputs import atomic
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry, read_manifest
from evreel.release.verify import verify
from support import random_events, shared_file
from support.releases import DATA_SET, LABELS, feature_file, files_below, plan_in, release, store


def entry(path: str, folder: Path, **options) -> PlanEntry:
    (folder / "source").write_text("x")
    return PlanEntry(path, folder / "source", **options)


def test_build__makes_the_release_that_the_docs_describe(made):
    assert list(files_below(made)) == [
        "LICENSE.txt",
        "MD5SUMS",
        "README.md",
        "SHA256SUMS",
        "annotations/park.xml",
        "config.json",
        "croissant.json",
        "index/recordings/train.parquet",
        "index/recordings/val.parquet",
        "index.html",
        "index.parquet",
        "label_map_dictionary.json",
        "load_example.py",
        "manifest.json",
        "page/details-0001.js",
        "page/page.css",
        "page/page.js",
        "page/recordings-0001.js",
        "splits/test.txt",
        "splits/train.txt",
        "splits/val.txt",
        "train/events/park.h5",
        "train/histogram/label_map_dictionary.json",
        "train/histogram/park.h5",
        "train/histogram/park_bbox.npy",
        "val/histogram/label_map_dictionary.json",
        "val/histogram/town.h5",
        "val/histogram/town_bbox.npy",
        "versions.json",
    ]
    assert verify(made) == []


def test_build__writes_what_a_user_needs_beside_the_data(made):
    for folder in ("", "train/histogram", "val/histogram"):
        text = (made / folder / "label_map_dictionary.json").read_text(encoding="utf-8")
        assert json.loads(text) == {"0": "pedestrian", "1": "Straßenbahn"}
    splits = {path.stem: path.read_text() for path in (made / "splits").iterdir()}
    assert splits == {"train": "park\n", "val": "town\n", "test": ""}
    assert json.loads((made / "config.json").read_text()) == {"a": None, "b": [1]}
    versions = json.loads((made / "versions.json").read_text())
    assert versions["evreel"] == __version__
    assert versions["numpy"] == np.__version__
    assert versions["hdf5"] == h5py.version.hdf5_version
    assert {"python", "h5py", "numba", "hdf5plugin", "deflate"} <= versions.keys()
    assert "unknown" not in versions.values()
    licence = (made / "LICENSE.txt").read_text()
    assert "CC-BY-4.0" in licence
    assert "https://creativecommons.org/licenses/by/4.0/" in licence
    readme = (made / "README.md").read_text()
    assert readme.startswith("---\npretty_name:")
    assert "\n---\n\n# street 1.0\n" in readme
    for part in ("CC-BY-4.0", "md5sum --check", "evreel verify", "`train/histogram/`", "splits/"):
        assert part in readme


@pytest.mark.parametrize("compression", ["portable", "fast"])
def test_build__makes_the_same_bytes_in_another_folder(tmp_path, compression):
    one, two = (release(tmp_path / name, compression) for name in ("here", "there/and/deeper"))
    files = files_below(one)
    assert files.keys() == files_below(two).keys()
    for path, place in files.items():
        assert place.read_bytes() == (two / path).read_bytes(), path


def test_build__makes_the_same_bytes_whatever_the_order_of_the_plan(tmp_path, made):
    plan = plan_in(tmp_path / "built")
    random.Random(0).shuffle(plan)
    config = {"a": None, "b": [1]}
    labels = dict(reversed(LABELS.items()))
    build(plan, tmp_path / "release", **DATA_SET, labels=labels, config=config)
    for path, place in files_below(made).items():
        assert place.read_bytes() == (tmp_path / "release" / path).read_bytes(), path


def test_build__keeps_what_is_known_of_each_recording(tmp_path):
    known = {"town": {"split": "val", "meta.light": "night"}, "park": {"split": "train"}}
    folder = release(tmp_path, recordings=known)
    manifest = read_manifest(folder)
    assert manifest.recordings == known
    assert list(manifest.recordings) == ["park", "town"], "the order hangs on the caller's"
    assert verify(folder) == []


def test_manifest__says_of_which_recordings_only_a_crc32_is_known(tmp_path):
    rows = {"park": {"split": "train", "crc32": "0" * 8}, "town": {"split": "val"}}
    for better in ({}, {"md5": "0" * 32}, {"sha256": "0" * 64}, {"member_md5": "0" * 32}):
        known = {"park": rows["park"] | better, "town": {"split": "val", **better}}
        (tmp_path / f"{better}").mkdir()
        folder = release(tmp_path / f"{better}", recordings=known)
        told = read_manifest(folder).recordings
        weak = [id_ for id_, row in told.items() if row.get("source_checksum") == "crc32"]
        assert weak == ([] if better else ["park"])


@pytest.mark.parametrize(
    ("town", "problem"),
    [
        ({}, "recording 'town' is not in the table of recordings"),
        ({"town": {"split": "test"}}, "is in split 'val' here, but in 'test' in the table"),
    ],
)
def test_build__of_a_plan_of_other_recordings_is_refused(tmp_path, town, problem):
    with pytest.raises(ReleaseError, match=problem):
        release(tmp_path, recordings={"park": {}} | town)
    assert not (tmp_path / "street-1.0").exists()


def test_build__names_no_path_of_this_machine(made):
    for path, place in files_below(made).items():
        content = place.read_bytes()
        assert str(made.parent).encode() not in content, path


@pytest.mark.parametrize("compression", ["portable", "fast"])
def test_build__shares_the_files_that_keep_their_bytes_with_their_sources(tmp_path, compression):
    target = release(tmp_path, compression)
    for path, source, shared in (
        ("train/events/park.h5", "park_events.h5", compression == "fast"),  # portable: no plugin
        ("train/histogram/park.h5", "park_histogram.h5", compression == "fast"),
        ("train/histogram/park_bbox.npy", "park_bbox.npy", True),
        ("annotations/park.xml", "park.xml", False),  # people edit it
    ):
        assert (target / path).samefile(tmp_path / "built" / source) == shared, path
        assert not (target / path).is_symlink()
    assert (target / "annotations/park.xml").read_text() == "<annotations/>\n"


def test_portable__leaves_a_recording_unchanged(tmp_path):
    store(tmp_path / "park.h5", random_events(1000))
    plan = [PlanEntry("recordings/park.h5", tmp_path / "park.h5", "recording", "park")]
    build(plan, tmp_path / "release", **DATA_SET)
    assert (tmp_path / "release/recordings/park.h5").samefile(tmp_path / "park.h5")


def test_build__follows_links_to_their_files(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.xml").write_text("x")
    (tmp_path / "near").symlink_to("far")
    (tmp_path / "link.xml").symlink_to("near/real.xml")
    build([PlanEntry("a.xml", tmp_path / "link.xml")], tmp_path / "release", **DATA_SET)
    assert not (tmp_path / "release" / "a.xml").is_symlink()
    assert (tmp_path / "release" / "a.xml").samefile(tmp_path / "far" / "real.xml")


def test_build__copies_if_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    target = release(tmp_path)
    assert (target / "annotations/park.xml").read_text() == "<annotations/>\n"
    assert not (target / "annotations/park.xml").samefile(tmp_path / "built/park.xml")
    assert verify(target) == []


def test_sidecar__that_is_hdf5_is_a_copy_too(tmp_path):
    calibration = tmp_path / "calibration.h5"
    with h5py.File(calibration, "w") as file:
        file["matrix"] = np.eye(3)
    plan = [PlanEntry("sidecars/park.calibration.h5", calibration, "sidecars", "park", "train")]
    build(plan, tmp_path / "street-1.0", **DATA_SET)
    released = tmp_path / "street-1.0" / "sidecars" / "park.calibration.h5"
    assert released.read_bytes() == calibration.read_bytes()
    assert not released.samefile(calibration)


def test_build__appears_whole_through_a_scratch_folder(tmp_path):
    plan = plan_in(tmp_path / "built")
    for version in ("1.0", "1.1"):
        with atomic(tmp_path / "release") as (scratch,):
            build(plan, scratch, **DATA_SET | {"version": version}, labels=LABELS)
        assert verify(tmp_path / "release") == []
        assert read_manifest(tmp_path / "release").version == version


def test_build__reports_progress_up_to_the_whole(tmp_path):
    plan = plan_in(tmp_path / "built")
    reports = []
    build(plan, tmp_path / "r", **DATA_SET, labels=LABELS, progress=lambda *at: reports.append(at))
    total = sum(entry.source.stat().st_size for entry in plan)
    assert reports[0] == (0, total)
    assert reports[-1] == (total, total)
    assert reports == sorted(reports)
    assert len(reports) == len(plan) + 1


def test_build__without_splits_and_labels_writes_neither(tmp_path):
    build([entry("a.txt", tmp_path)], tmp_path / "r", **DATA_SET)
    assert "splits" not in {path.name for path in (tmp_path / "r").iterdir()}
    assert not list((tmp_path / "r").rglob("label_map*"))
    assert verify(tmp_path / "r") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": ""}, "name ''"),
        ({"version": "../1"}, "version '../1'"),
        ({"version": "1\n"}, "version"),
        ({"compression": "best"}, "compression 'best' is neither"),
        ({"labels": {"0": "car"}}, "label '0': 'car'"),
        ({"labels": {-1: "car"}}, "label -1"),
        ({"labels": {True: "car"}}, "label True"),
        ({"labels": {0: None}}, "label 0: None"),
        ({"config": {"a": Path("x")}}, "config has values that are not plain JSON"),
        ({"config": {"a": float("nan")}}, "config has values that are not plain JSON"),
    ],
)
def test_build__refuses_arguments_before_it_writes(tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        build([entry("a.txt", tmp_path)], tmp_path / "r", **DATA_SET | change)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no file"),
        ([("manifest.json", {})], "'manifest.json' is a file that evreel writes"),
        ([("MD5SUMS", {})], "'MD5SUMS' is a file that evreel writes"),
        ([("readme.md", {})], "'readme.md' differs from 'README.md' only in case"),
        ([("splits", {"id": "a", "split": "x"})], "'splits' is a file where 'splits' is a folder"),
        ([("LICENSE.txt/x", {})], "needs a folder where 'LICENSE.txt' is a file"),
        ([("README.md/x_bbox.npy", {})], "needs a folder where 'README.md' is a file"),
        (
            [("a/x_bbox.npy", {}), ("a/label_map_dictionary.json", {})],
            "is a file that evreel writes",
        ),
        ([("../x", {})], r"path '\.\./x' contains '\.\.'"),
        ([("a", {"id": "a\nb"})], "id 'a.nb' contains a control character"),
        ([("a", {"split": "train"})], "has split 'train' but no id"),
        ([("a", {"split": "a/b", "id": "x"})], "split 'a/b' must be letters"),
        (
            [("a", {"split": "train", "id": "x"}), ("b", {"split": "val", "id": "x"})],
            "'b': recording 'x' is in split 'val' here, but in 'train' at 'a'",
        ),
        ([("train/a", {"split": "val", "id": "x"})], "'train/a' is in folder train, but the"),
    ],
)
def test_build__refuses_a_plan_before_it_writes(tmp_path, rows, message):
    plan = [entry(path, tmp_path, **options) for path, options in rows]
    with pytest.raises(ReleaseError, match=message):
        build(plan, tmp_path / "r", **DATA_SET, labels=LABELS)
    assert not (tmp_path / "r").exists()


def test_build__refuses_boxes_whose_classes_have_no_names(tmp_path):
    with pytest.raises(ReleaseError, match="boxes in train/histogram, but no labels"):
        build([entry("train/histogram/a_bbox.npy", tmp_path)], tmp_path / "r", **DATA_SET)


def test_build__names_a_missing_source(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("missing", "cannot be read: No such file"),
        ("", "is not a file"),
        ("pipe", "is not a file"),
        ("circle", "cannot be read"),
    ):
        plan = [entry("a", tmp_path), PlanEntry("b", tmp_path / name, line=7)]
        with pytest.raises(ReleaseError, match=f"^line 7: source '.*{name}' {problem}"):
            build(plan, tmp_path / "r", **DATA_SET)
    assert not (tmp_path / "r").exists()


def test_build__fills_only_an_empty_folder(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine").write_text("mine")
    with pytest.raises(ReleaseError, match=r"^r: is not empty"):
        build([entry("a", tmp_path)], tmp_path / "r", **DATA_SET)
    assert list(files_below(tmp_path / "r")) == ["mine"]


@pytest.mark.parametrize("compression", ["portable", "fast"])
def test_build__refuses_hdf5_that_is_damaged_or_not_whole(tmp_path, compression):
    path = feature_file(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LayoutError, match=r"^a\.h5: cannot be opened as HDF5"):
        build([PlanEntry("a.h5", path)], tmp_path / "r", **DATA_SET, compression=compression)


READ = """
import sys, h5py
sums = {}
def look(name, node):
    if isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf":
        sums[name] = float(node[()].sum())
for path in sys.argv[1:]:
    with h5py.File(path) as file:
        file.visititems(look)
assert not any("hdf5plugin" in name or "evreel" in name for name in sys.modules)
print(len(sums))
"""


def read_plainly(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Read files in a process that has only h5py, and no folder of plugins."""
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PATH"}
    return subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        env=environment | {"HDF5_PLUGIN_PATH": "/nowhere"},
        capture_output=True,
        text=True,
    )


def test_portable__is_read_by_h5py_alone(made, tmp_path):
    done = read_plainly(
        made / "train/events/park.h5",
        made / "train/histogram/park.h5",
        made / "val/histogram/town.h5",
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    working = read_plainly(feature_file(tmp_path / "a.h5"))
    assert working.returncode != 0
    assert "OSError" in working.stderr


def test_real_recording__is_released_with_its_own_bytes(tmp_path):
    source = shared_file("recordings/aermanager_class1_test.aedat4")
    plan = [PlanEntry("recordings/class1.aedat4", source, "recording", "class1")]
    manifest = build(plan, tmp_path / "r", **DATA_SET)
    (listed,) = (file for file in manifest.files if file.kind == "recording")
    assert listed.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert verify(tmp_path / "r") == []


def test_release__is_refused_if_a_check_finds_an_error_unless_it_is_tolerated(tmp_path, caplog):
    stored = store(tmp_path / "park.h5", random_events(1_000))
    late = np.zeros(1, dtype=BOX_DTYPE)
    late["t"], late["x"], late["w"], late["h"] = 5, 5_000, 5, 5
    np.save(tmp_path / "park_bbox.npy", late)
    rows = [
        {"path": f"train/events/{file.name}", "source": str(file), "id": "park"}
        for file in (stored, tmp_path / "park_bbox.npy")
    ]
    plan, folder = tmp_path / "plan.tsv", tmp_path / "park-1"
    steps.release_plan(rows, plan)
    about = {"name": "park", "version": "1", "licence": "CC0-1.0"}
    with pytest.raises(ReleaseError, match=r"checks found \d errors?, the first: error:") as caught:
        steps.release(plan, folder, steps.ReleaseSettings(**about), labels=["car"])
    assert "release.tolerate" in str(caught.value)
    assert not folder.exists()
    named = {
        record.message.split(": ")[1] for record in caplog.records if "error: " in record.message
    }
    assert named == {"box_outside"}
    steps.release(
        plan, folder, steps.ReleaseSettings(**about, tolerate=sorted(named)), labels=["car"]
    )
    assert verify(folder) == []
    with pytest.raises(UsageError, match="'others' is not the name of a check"):
        steps.ReleaseSettings(**about, tolerate=["others"])
