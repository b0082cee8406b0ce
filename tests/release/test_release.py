"""Releases: what is built is what was planned, and verify finds every byte that differs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import deflate
import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import __version__, steps
from evreel.errors import LayoutError, ReleaseError, UsageError
from evreel.events import Events, Sensor, Triggers
from evreel.files import hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.files.repack import needs_plugin, repack
from evreel.layout import BOX_DTYPE, EVENTS
from evreel.outputs import atomic
from evreel.provenance import Provenance
from evreel.release.build import build
from evreel.release.verify import Difference, verify
from evreel.release.manifest import (
    MANIFEST,
    ListedFile,
    Manifest,
    PathsTaken,
    PlanEntry,
    manifest_bytes,
    parse_manifest,
    read_manifest,
    read_plan,
    read_recordings,
    write_plan,
)
from support import random_events, shared_file
from support.dataset import SCENE

DATA_SET = {"name": "street", "version": "1.0", "licence": "CC-BY-4.0"}
LABELS = {0: "pedestrian", 1: "Straßenbahn"}


# What goes in


def feature_file(path: Path, seed: int = 0) -> Path:
    counts = np.random.default_rng(seed).poisson(0.2, (7, 2, 24, 32)).astype("u1")
    with h5py.File(path, "w-") as file:
        data = file.create_dataset(
            "data",
            data=counts,
            chunks=(1, 2, 24, 32),
            maxshape=(None, 2, 24, 32),
            track_times=False,
            **hdf5plugin.Zstd(clevel=1),
        )
        data.attrs["events_to_tensor"] = np.bytes_("histo")
        data.attrs["delta_t"] = np.uint32(10_000)
        data.attrs["shape"] = np.array([2, 24, 32])
        file.attrs["layout"] = "evreel-features"
    return path


def store(path: Path, events: Events, batch: int = 30_000) -> Path:
    triggers = Triggers(np.array([3]), np.array([1], np.int8), np.array([0], np.int16))
    with hdf5.create(path, EVENTS, Provenance("events", {"crop": None})) as file:
        writer = EventsStoreWriter(file, events.sensor, 1_600_000_000_000_000, "test", "a header")
        writer.write(triggers)
        for k in range(0, len(events), batch):
            writer.write(events[k : k + batch])
        writer.finish()
    return path


def plan_in(folder: Path) -> list[PlanEntry]:
    """Make a small data set's files in `folder`, and return a plan of them."""
    folder.mkdir(parents=True)
    store(folder / "park_events.h5", random_events(70_000, stop_us=400_000))
    feature_file(folder / "park_histogram.h5")
    feature_file(folder / "town_histogram.h5", seed=1)
    for name, n in (("park", 3), ("town", 1)):
        np.save(folder / f"{name}_bbox.npy", np.zeros(n, dtype=BOX_DTYPE))
    (folder / "park.xml").write_text("<annotations/>\n")
    rows = (
        ("val/histogram/town.h5", "town_histogram.h5", "features", "town", "val"),
        ("val/histogram/town_bbox.npy", "town_bbox.npy", "boxes", "town", "val"),
        ("train/events/park.h5", "park_events.h5", "events", "park", "train"),
        ("train/histogram/park.h5", "park_histogram.h5", "features", "park", "train"),
        ("train/histogram/park_bbox.npy", "park_bbox.npy", "boxes", "park", "train"),
        ("annotations/park.xml", "park.xml", "annotations", "park", ""),
    )
    return [PlanEntry(path, folder / source, *rest) for path, source, *rest in rows]


def files_below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def release(folder: Path, compression: str = "portable", **options) -> Path:
    """Build a release of a small data set below `folder`."""
    plan = plan_in(folder / "built")
    target = folder / "street-1.0"
    arguments = DATA_SET | {"labels": LABELS, "config": {"b": [1], "a": None}} | options
    build(plan, target, compression=compression, **arguments)
    return target


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A release that no test changes."""
    return release(tmp_path_factory.mktemp("made"))


@pytest.fixture
def copied(made, tmp_path):
    """A release to spoil."""
    return Path(shutil.copytree(made, tmp_path / "street-1.0"))


def problems(folder: Path) -> dict[str, str]:
    """What verify finds, path → problem; each path may come once."""
    findings = verify(folder)
    assert findings == sorted(findings)
    assert len({finding.path for finding in findings}) == len(findings), findings
    return {finding.path: finding.problem for finding in findings}


# Build


def test_build__makes_the_release_that_the_docs_describe(made):
    assert list(files_below(made)) == [
        "LICENSE.txt",
        "MD5SUMS",
        "README.md",
        "SHA256SUMS",
        "annotations/park.xml",
        "config.json",
        "label_map_dictionary.json",
        "manifest.json",
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
    assert readme.startswith("# street 1.0\n")
    for part in ("CC-BY-4.0", "md5sum --check", "evreel verify", "`train/histogram/`", "splits/"):
        assert part in readme


def test_manifest__lists_every_file_but_itself_and_the_sums(made):
    manifest = json.loads((made / MANIFEST).read_text())
    assert list(manifest) == [
        "layout",
        "layout_version",
        "evreel_version",
        "name",
        "version",
        "licence",
        "recordings",
        "files",
    ]
    assert (manifest["layout"], manifest["layout_version"]) == ("evreel-release", 2)
    assert {name: manifest[name] for name in DATA_SET} == DATA_SET
    listed = [file["path"] for file in manifest["files"]]
    assert listed == sorted(listed)
    assert {*listed, MANIFEST, "MD5SUMS", "SHA256SUMS"} == files_below(made).keys()
    for file in manifest["files"]:
        content = (made / file["path"]).read_bytes()
        assert file["size"] == len(content)
        assert file["md5"] == hashlib.md5(content).hexdigest()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
    told = {file["path"]: (file["kind"], file["id"], file["split"]) for file in manifest["files"]}
    assert told["train/histogram/park_bbox.npy"] == ("boxes", "park", "train")
    assert told["annotations/park.xml"] == ("annotations", "park", "")
    assert told["splits/val.txt"] == ("split", "", "")


def test_manifest__reads_back_as_it_was_built(tmp_path):
    plan = plan_in(tmp_path / "built")
    manifest = build(plan, tmp_path / "release", **DATA_SET, labels=LABELS)
    assert read_manifest(tmp_path / "release") == manifest
    assert manifest.evreel_version == __version__


@pytest.mark.parametrize("program", ["md5sum", "sha256sum"])
def test_sums__are_checked_without_evreel(made, program):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    sums = {"md5sum": "MD5SUMS", "sha256sum": "SHA256SUMS"}[program]
    done = subprocess.run(
        [program, "--check", "--strict", sums], cwd=made, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": OK\n") == len(files_below(made)) - 2
    assert "manifest.json: OK" in done.stdout


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


@pytest.mark.parametrize(
    ("recordings", "problem"),
    [
        ({"park": {}}, "recording 'town' is not in the table of recordings"),
        (
            {"park": {}, "town": {"split": "test"}},
            "recording 'town' is in split 'val' here, in 'test' in the table of recordings",
        ),
    ],
)
def test_build__of_a_plan_that_is_not_of_these_recordings_is_refused(tmp_path, recordings, problem):
    with pytest.raises(ReleaseError, match=problem):
        release(tmp_path, recordings=recordings)
    assert not (tmp_path / "street-1.0").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tsplit\na\ttrain\n", "line 1: there is no column 'id'"),
        ("id\tid\n", "line 1: column 'id' stands there twice"),
        ("id\tmeta.a\na\tx\na\ty\n", "line 3: id 'a' is there twice"),
        ("id\tmeta.a\n\tx\n", "line 2: its id is empty"),
        ("id\tmeta.a\na\n", "line 2: has 1 cells; the header has 2"),
    ],
)
def test_recordings_table__of_another_form_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "recordings.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(ReleaseError) as caught:
        read_recordings(tmp_path / "recordings.tsv")
    assert f"recordings.tsv: {message}" in str(caught.value)


def test_recordings_table__is_read_without_its_empty_cells(tmp_path):
    text = 'id\tmeta.a\tmeta.b\none\t"x\t\n\ntwo\t\ty\n'
    (tmp_path / "recordings.tsv").write_text(text, encoding="utf-8")
    assert read_recordings(tmp_path / "recordings.tsv") == {
        "one": {"id": "one", "meta.a": '"x'},
        "two": {"id": "two", "meta.b": "y"},
    }


def test_build__names_no_place_of_this_machine(made):
    for path, place in files_below(made).items():
        content = place.read_bytes()
        assert str(made.parent).encode() not in content, path


def test_fast__shares_the_files_with_their_sources(tmp_path):
    target = release(tmp_path, "fast")
    for path, source in (
        ("train/events/park.h5", "park_events.h5"),
        ("train/histogram/park.h5", "park_histogram.h5"),
        ("train/histogram/park_bbox.npy", "park_bbox.npy"),
    ):
        assert (target / path).samefile(tmp_path / "built" / source), path
        assert not (target / path).is_symlink()
    edited_by_people = target / "annotations/park.xml"
    assert not edited_by_people.samefile(tmp_path / "built" / "park.xml")
    assert edited_by_people.read_bytes() == (tmp_path / "built" / "park.xml").read_bytes()


def test_portable__writes_anew_only_what_needs_a_plugin(tmp_path):
    target = release(tmp_path)
    assert not (target / "train/events/park.h5").samefile(tmp_path / "built/park_events.h5")
    assert not (target / "train/histogram/park.h5").samefile(tmp_path / "built/park_histogram.h5")


def test_portable__leaves_a_recording_as_it_came(tmp_path):
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


def test_build__copies_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    target = release(tmp_path)
    assert (target / "annotations/park.xml").read_text() == "<annotations/>\n"
    assert not (target / "annotations/park.xml").samefile(tmp_path / "built/park.xml")
    assert verify(target) == []


def test_build__lands_whole_through_a_scratch_folder(tmp_path):
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
    (tmp_path / "a.txt").write_text("a")
    build([PlanEntry("a.txt", tmp_path / "a.txt")], tmp_path / "r", **DATA_SET)
    assert "splits" not in {path.name for path in (tmp_path / "r").iterdir()}
    assert not list((tmp_path / "r").rglob("label_map*"))
    assert verify(tmp_path / "r") == []


def test_build__takes_a_licence_with_its_text(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    plan = [PlanEntry("a.txt", tmp_path / "a.txt")]
    arguments = DATA_SET | {"licence": "LicenseRef-ours"}
    with pytest.raises(UsageError, match=r"text of licence 'LicenseRef-ours' is not given.*CC0"):
        build(plan, tmp_path / "r", **arguments)
    build(plan, tmp_path / "r", **arguments, licence_text="Ask us.")
    assert (tmp_path / "r" / "LICENSE.txt").read_text() == "Ask us.\n"


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
        ({"config": {"a": Path("x")}}, "config is not made of plain JSON"),
        ({"config": {"a": float("nan")}}, "config is not made of plain JSON"),
    ],
)
def test_build__refuses_arguments_before_it_writes(tmp_path, change, message):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UsageError, match=message):
        build([PlanEntry("a.txt", tmp_path / "a.txt")], tmp_path / "r", **DATA_SET | change)
    assert not (tmp_path / "r").exists()


def entry(path: str, folder: Path, **options) -> PlanEntry:
    (folder / "source").write_text("x")
    return PlanEntry(path, folder / "source", **options)


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
        ([("../x", {})], r"path '\.\./x' has '\.\.' in it"),
        ([("a", {"id": "a\nb"})], "id 'a.nb' has a control character"),
        ([("a", {"split": "train"})], "has split 'train' and no id"),
        ([("a", {"split": "a/b", "id": "x"})], "split 'a/b' is not made of"),
        (
            [("a", {"split": "train", "id": "x"}), ("b", {"split": "val", "id": "x"})],
            "'b': recording 'x' is in split 'val' here and in 'train' at 'a'",
        ),
        ([("train/a", {"split": "val", "id": "x"})], "'train/a' is in folder train, the recordin"),
    ],
)
def test_build__refuses_a_plan_before_it_writes(tmp_path, rows, message):
    plan = [entry(path, tmp_path, **options) for path, options in rows]
    with pytest.raises(ReleaseError, match=message):
        build(plan, tmp_path / "r", **DATA_SET, labels=LABELS)
    assert not (tmp_path / "r").exists()


def test_build__refuses_boxes_whose_classes_have_no_names(tmp_path):
    with pytest.raises(ReleaseError, match="boxes in train/histogram, and no labels"):
        build([entry("train/histogram/a_bbox.npy", tmp_path)], tmp_path / "r", **DATA_SET)


def test_build__names_a_source_that_is_not_there(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("missing", "can't be read: No such file"),
        ("", "is no file"),
        ("pipe", "is no file"),
        ("circle", "can't be read"),
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
    with pytest.raises(LayoutError, match=r"^a\.h5: can't be opened as HDF5"):
        build([PlanEntry("a.h5", path)], tmp_path / "r", **DATA_SET, compression=compression)


# Verify


def test_verify__names_exactly_the_file_with_a_flipped_byte(copied):
    rng = random.Random(1)
    for path, place in files_below(copied).items():
        whole = place.read_bytes()
        for position in {0, len(whole) - 1, rng.randrange(max(1, len(whole)))} if whole else ():
            spoiled = bytearray(whole)
            spoiled[position] ^= 1 << rng.randrange(8)
            place.write_bytes(spoiled)
            assert {finding.path for finding in verify(copied)} == {path}, position
        place.write_bytes(whole)
    assert verify(copied) == []


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from([MANIFEST, "MD5SUMS", "SHA256SUMS"]),
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_verify__finds_every_flipped_bit_in_its_own_lists(made, name, where, bit):
    place = made / name
    whole = place.read_bytes()
    spoiled = bytearray(whole)
    spoiled[int(where * len(whole))] ^= 1 << bit
    try:
        place.write_bytes(spoiled)
        assert {finding.path for finding in verify(made)} == {name}
    finally:
        place.write_bytes(whole)


def test_verify__says_what_each_file_is_and_should_be(copied):
    place = copied / "annotations/park.xml"
    place.write_text("<Annotations/>\n")
    (problem,) = problems(copied).values()
    assert f"md5 is {hashlib.md5(place.read_bytes()).hexdigest()}" in problem
    assert f"{hashlib.sha256(b'<annotations/>' + bytes([10])).hexdigest()} is expected" in problem


def test_verify__names_exactly_the_file_that_is_missing(copied):
    for path, place in files_below(copied).items():
        whole = place.read_bytes()
        place.unlink()
        assert problems(copied) == {path: "is missing"}
        place.write_bytes(whole)


def test_verify__names_exactly_the_file_that_is_cut_or_grown(copied):
    for path, place in files_below(copied).items():
        whole = place.read_bytes()
        for content in (whole[:-1], whole + b"\n"):
            if content != whole:
                place.write_bytes(content)
                assert {finding.path for finding in verify(copied)} == {path}
        place.write_bytes(whole)
    (copied / "annotations/park.xml").write_text("")
    assert problems(copied) == {"annotations/park.xml": "has 0 bytes, 15 are expected"}


def test_verify__names_every_file_that_does_not_belong(copied):
    extras = [
        ".DS_Store",
        ".snakemake_timestamp",
        "train/.DS_Store",
        "train/histogram/park (1).h5",
        "new/deep/file",
        "manifest.json~",
        "splits/line\nbreak",
    ]
    for path in extras:
        (copied / path).parent.mkdir(parents=True, exist_ok=True)
        (copied / path).write_text("")
    assert problems(copied) == dict.fromkeys(extras, "does not belong: it is not listed")


def test_verify__says_all_that_differs(copied):
    (copied / "train/events/park.h5").unlink()
    (copied / "annotations/park.xml").write_text("")
    (copied / "extra").write_text("")
    with (copied / "val/histogram/town.h5").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    (copied / "SHA256SUMS").unlink()
    assert problems(copied).keys() == {
        "SHA256SUMS",
        "annotations/park.xml",
        "extra",
        "train/events/park.h5",
        "val/histogram/town.h5",
    }


@pytest.mark.skipif(sys.platform == "darwin", reason="names there are always UTF-8")
def test_verify__prints_a_name_that_is_not_utf8(copied):
    (copied / os.fsdecode(b"caf\xe9")).write_text("")
    (finding,) = verify(copied)
    assert str(finding) == "caf\\xe9: does not belong: it is not listed"


def test_verify__without_its_manifest_still_checks_every_file(copied):
    (copied / MANIFEST).unlink()
    (copied / "train/events/park.h5").unlink()
    (copied / "annotations/park.xml").write_text("<Annotations/>\n")
    found = problems(copied)
    assert found.keys() == {MANIFEST, "train/events/park.h5", "annotations/park.xml"}


def test_verify__with_nothing_but_data_says_what_is_missing(copied):
    for name in (MANIFEST, "MD5SUMS", "SHA256SUMS"):
        (copied / name).unlink()
    assert problems(copied) == dict.fromkeys((MANIFEST, "MD5SUMS", "SHA256SUMS"), "is missing")


def test_verify__without_sums_goes_by_the_manifest(copied):
    for name in ("MD5SUMS", "SHA256SUMS"):
        (copied / name).unlink()
    (copied / "annotations/park.xml").write_text("")
    assert problems(copied).keys() == {"MD5SUMS", "SHA256SUMS", "annotations/park.xml"}


def edit_manifest(folder: Path, edit, keep_sums: bool = False) -> None:
    """Change a manifest; with `keep_sums` make the sums agree, as somebody hostile would."""
    value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(value)
    data = (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
    (folder / MANIFEST).write_bytes(data)
    if keep_sums:
        for algorithm, name in (("md5", "MD5SUMS"), ("sha256", "SHA256SUMS")):
            digests = {file["path"]: file[algorithm] for file in value["files"]}
            digests[MANIFEST] = hashlib.new(algorithm, data).hexdigest()
            lines = [f"{digests[path]}  {path}\n" for path in sorted(digests)]
            (folder / name).write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value.update(licence="CC0-1.0"),
        lambda value: value["files"].pop(),
        lambda value: value["files"][0].update(size=1),
        lambda value: value["files"][0].update(md5="0" * 32),
        lambda value: value["files"][3].update(path="LICENSE.md"),
        lambda value: value["files"][-1].update(split="test"),
    ],
)
def test_verify__names_only_a_manifest_that_was_edited(copied, edit):
    edit_manifest(copied, edit)
    assert problems(copied) == {
        MANIFEST: "was changed: MD5SUMS and SHA256SUMS have other sums for it"
    }


def test_verify__of_an_edited_list_with_new_sums_finds_the_files_that_differ(copied):
    def edit(value):
        value["files"] = [file for file in value["files"] if file["path"] != "versions.json"]
        value["files"][0]["sha256"] = "0" * 64

    edit_manifest(copied, edit, keep_sums=True)
    found = problems(copied)
    assert found.keys() == {"LICENSE.txt", "versions.json"}
    assert "sha256 is" in found["LICENSE.txt"]
    assert "md5" not in found["LICENSE.txt"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../secret", "has '..' in it"),
        ("/etc/passwd", "is absolute"),
        ("C:/Windows", "is absolute"),
        ("a/../../secret", "has '..' in it"),
        ("train//x", "has an empty folder name"),
        ("train\\x", "has a backslash"),
        ("x\0y", "has a control character"),
        ("x\ny", "has a control character"),
        ("", "is empty"),
        ("readme.md", "differs from 'README.md' only in case"),
        ("README.md", "is there twice"),
        ("README.md/x", "needs a folder where 'README.md' is a file"),
        ("train", "is a file where 'train' is a folder"),
        ("manifest.json", "is a file that evreel writes"),
        ("x" * 256, "has a name longer than 255 bytes"),
    ],
)
def test_verify__reads_nothing_that_a_hostile_manifest_names(copied, path, problem, monkeypatch):
    (copied.parent / "secret").write_text("secret")
    file = {"size": 6, "md5": "0" * 32, "sha256": "0" * 64, "kind": "", "id": "", "split": ""}
    edit_manifest(copied, lambda v: v["files"].append({"path": path} | file), keep_sums=True)
    opened = []
    plain_open = os.open

    def spy(name, *rest, **options):
        opened.append(os.path.realpath(name))
        return plain_open(name, *rest, **options)

    monkeypatch.setattr(os, "open", spy)
    findings = [finding for finding in verify(copied) if finding.path == MANIFEST]
    assert len(findings) == 1
    assert problem in findings[0].problem
    assert repr(path) in findings[0].problem
    root = os.path.realpath(copied)
    assert opened
    assert all(name.startswith(root + os.sep) for name in opened)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"layout": 1, "layout": 2}', "a key stands twice"),
        (b"[]", "is no manifest of a release"),
        (b'{"layout": "evreel-events"}', "is no manifest of a release"),
        (b'{"layout": "evreel-release", "layout_version": 1}', "is of version 1; version 2 is"),
        (b'{"layout": "evreel-release", "layout_version": 2}', "its name is None"),
        (
            b'{"layout": "evreel-release", "layout_version": 2, "name": "a", "version": "1",'
            b' "licence": "x", "evreel_version": "0", "recordings": {}, "files": {}}',
            "its files are not a list",
        ),
        (
            b'{"layout": "evreel-release", "layout_version": 2, "name": "a", "version": "1",'
            b' "licence": "x", "evreel_version": "0", "recordings": {"a": {"b": 1}}}',
            "its recordings are not id",
        ),
    ],
)
def test_verify__of_a_manifest_that_is_none_checks_by_the_sums(copied, content, problem):
    (copied / MANIFEST).write_bytes(content)
    (copied / "annotations/park.xml").unlink()
    findings = verify(copied)
    assert {finding.path for finding in findings} == {MANIFEST, "annotations/park.xml"}
    assert any(problem in finding.problem for finding in findings)
    with pytest.raises(ReleaseError, match=rf"^manifest\.json: .*{problem}"):
        read_manifest(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": True},
        {"size": 1.0},
        {"size": "1"},
        {"md5": "0" * 31},
        {"md5": "A" * 32},
        {"md5": None},
        {"sha256": "0" * 32},
        {"path": 5},
        {"kind": None},
        {"further": 1},
    ],
)
def test_parse_manifest__describes_entries_that_are_not_of_the_form(change):
    good = ListedFile("a", 1, "0" * 32, "1" * 64)
    value = json.loads(manifest_bytes(Manifest("n", "1", "x", (good, good))))
    value["files"][1]["path"] = "b"
    value["files"][0] |= change
    manifest, found = parse_manifest(json.dumps(value).encode())
    assert [file.path for file in manifest.files] == ["b"]
    assert len(found) == 1
    assert found[0].startswith("entry 0, ")


def test_parse_manifest__survives_entries_of_any_type():
    value = json.loads(manifest_bytes(Manifest("n", "1", "x", ())))
    value["files"] = [None, 1, "a", [], {}, {"path": ["a"]}, [{"path": "a"}]]
    manifest, found = parse_manifest(json.dumps(value).encode())
    assert manifest.files == ()
    assert len(found) == 7


def test_verify__does_not_follow_links_out_of_the_release(copied, monkeypatch):
    outside = copied.parent / "outside"
    shutil.copytree(copied / "train", outside / "train")
    shutil.rmtree(copied / "train")
    (copied / "train").symlink_to("../outside/train")
    (copied / "annotations/park.xml").rename(outside / "park.xml")
    (copied / "annotations/park.xml").symlink_to(outside / "park.xml")
    found = problems(copied)
    assert "is out of the release" in found.pop("train")
    assert "is out of the release" in found.pop("annotations/park.xml")
    assert set(found.values()) == {"is missing"}
    assert all(path.startswith("train/") for path in found)


def test_verify__follows_links_within_the_release(copied):
    (copied / "annotations/park.xml").rename(copied / "moved.xml")
    (copied / "annotations/park.xml").symlink_to("../moved.xml")
    assert problems(copied) == {"moved.xml": "does not belong: it is not listed"}


def test_verify__names_what_is_no_file_without_opening_it(copied):
    (copied / "README.md").unlink()
    os.mkfifo(copied / "README.md")
    (copied / "dangling").symlink_to("nothing")
    (copied / "folder").symlink_to("train")
    (copied / "config.json").unlink()
    (copied / "config.json").mkdir()
    found = problems(copied)
    assert found == {
        "README.md": "is no regular file",
        "dangling": "is a link to nothing, which is no file",
        "folder": "is a link to train, which is no file",
        "config.json": "is missing",
    }


def test_verify__where_the_manifest_is_a_link_out_says_so_once(copied):
    (copied / MANIFEST).rename(copied.parent / "elsewhere.json")
    (copied / MANIFEST).symlink_to("../elsewhere.json")
    assert problems(copied) == {
        MANIFEST: "is a link to ../elsewhere.json, which is out of the release"
    }


def test_verify__names_files_that_can_not_be_read(copied, monkeypatch):
    plain_open = os.open

    def refuse(name, *rest, **options):
        if str(name).endswith(("park.xml", "MD5SUMS")):
            raise PermissionError(13, "Permission denied")
        return plain_open(name, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert problems(copied) == dict.fromkeys(
        ["MD5SUMS", "annotations/park.xml"], "can't be read: Permission denied"
    )


def test_verify__of_a_release_reached_by_a_link_is_that_of_the_release(made, tmp_path):
    (tmp_path / "link").symlink_to(made)
    assert verify(tmp_path / "link") == []


def test_verify__of_no_folder_is_an_error(tmp_path):
    with pytest.raises(ReleaseError, match=r"^nothing: is no folder"):
        verify(tmp_path / "nothing")


def test_verify__reports_progress_up_to_the_whole(made):
    reports = []
    verify(made, progress=lambda *at: reports.append(at))
    listed = read_manifest(made).files
    total = sum(file.size for file in listed)
    assert reports[0] == (0, total)
    assert reports[-1] == (total, total)
    assert reports == sorted(reports)


def test_finding__prints_its_path_first():
    assert str(Difference("a/b.h5", "is missing")) == "a/b.h5: is missing"


# Repacking


def tree(file: h5py.File) -> dict[str, object]:
    """Everything in an HDF5 file that a reader sees, in a form that compares."""

    def plain(value):
        if isinstance(value, h5py.Empty):
            return ("empty", str(value.dtype))
        value = np.asarray(value)
        kept = [x.tolist() if isinstance(x, np.ndarray) else x for x in value.ravel()]
        raw = kept if value.dtype.hasobject else value.tobytes()
        return (str(value.dtype), value.shape, raw)

    seen: dict[str, object] = {}

    def look(name, node):
        seen[name] = {key: plain(value) for key, value in node.attrs.items()}
        if isinstance(node, h5py.Dataset):
            seen[f"{name} ="] = (
                plain(node[()] if node.shape is not None else h5py.Empty(node.dtype)),
                node.shape,
                node.maxshape,
                node.chunks,
                node.dtype,
                None if node.dtype.hasobject or node.shape is None else plain(node.fillvalue),
            )

    look("/", file)
    file.visititems(look)
    return seen


def compression(path: Path) -> dict[str, tuple[object, ...]]:
    found = {}

    def look(name, node):
        if isinstance(node, h5py.Dataset):
            found[name] = (node.compression, node.compression_opts, node.shuffle)

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def test_repack__of_an_events_store_keeps_all_but_the_compression(tmp_path):
    events = random_events(200_000, stop_us=3_000_000)
    path = store(tmp_path / "a.h5", events)
    repack(path, tmp_path / "b.h5")
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
    with EventsStore(tmp_path / "b.h5") as opened:
        got = opened.read()
        for name in "txyp":
            np.testing.assert_array_equal(getattr(got, name), getattr(events, name))
    before, after = compression(path), compression(tmp_path / "b.h5")
    assert before.keys() == after.keys()
    for name in ("events/t", "events/x", "events/y", "events/p", "ms_to_idx", "triggers/t"):
        assert after[name] == ("gzip", 6, True)
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert old["events/t"].fletcher32
        assert not new["events/t"].fletcher32
        _, chunk = new["events/t"].id.read_direct_chunk((0,))
        shuffled = new["events/t"][:65_536].view("u1").reshape(-1, 8).T.tobytes()
        assert chunk == deflate.zlib_compress(shuffled, 6), "the bytes are not the system's zlib's"
    for name in ("events/height", "t_offset", "source_header"):
        assert after[name] == (None, None, False)


def test_repack__of_a_feature_file_keeps_metavisions_attributes(tmp_path):
    path = feature_file(tmp_path / "a.h5")
    repack(path, tmp_path / "b.h5")
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
        assert new["data"].chunks == (1, 2, 24, 32)
        assert new["data"].attrs["events_to_tensor"] == b"histo"
        assert new["data"].attrs["delta_t"].dtype == np.uint32


def test_repack__of_an_empty_store_and_of_the_last_pixel(tmp_path):
    sensor = Sensor(65536, 65536)
    edge = Events([2**31 + 5], [65535], [65535], [1], sensor)
    for name, events in (("none", Events.empty(sensor)), ("one", edge)):
        path = store(tmp_path / f"{name}.h5", events)
        repack(path, tmp_path / f"{name}_out.h5")
        with h5py.File(path) as old, h5py.File(tmp_path / f"{name}_out.h5") as new:
            assert tree(new) == tree(old)


def everything(path: Path) -> Path:
    """Write an HDF5 file with all that HDF5 files hold, and a plugin's compression."""
    zstd = dict(hdf5plugin.Zstd(clevel=1))
    rng = np.random.default_rng(0)
    record = np.dtype([("a", "<i8"), ("b", "<f4", (2,)), ("s", "S3")])
    with h5py.File(path, "w-") as file:
        add = file.create_dataset
        add("g/edge", data=rng.integers(0, 9, (130, 7)), chunks=(50, 3), maxshape=(None, 7), **zstd)
        add("g/lzf", data=np.arange(130.0), compression="lzf", chunks=(30,), fletcher32=True)
        add("gzip9", data=np.arange(1200), compression="gzip", compression_opts=9, chunks=(100,))
        add("contiguous", data=rng.random((300, 2_000)).astype(">f4"))
        add("scalar", data=3.5)
        add("texts", data=["a", "ä", ""], dtype=h5py.string_dtype(), chunks=(2,), **zstd)
        add("text", data="header\nä", dtype=h5py.string_dtype())
        add("fixed", data=np.array([b"ab", b"c"]))
        add("empty", data=h5py.Empty("f4"))
        add("growable", shape=(0, 3), maxshape=(None, 3), chunks=(10, 3), dtype="u2", **zstd)
        sparse = add("sparse", shape=(10_000,), chunks=(100,), dtype="i4", fillvalue=-7, **zstd)
        sparse[250] = 4
        add("never_written", shape=(50,), dtype="i4", fillvalue=9)
        add("bool", data=np.array([True, False]), chunks=(1,), **zstd)
        add("complex", data=np.array([1 + 2j, np.nan]), chunks=(2,), **zstd)
        add("record", data=np.frombuffer(rng.bytes(19 * 5), dtype=record), chunks=(2,), **zstd)
        add("enum", data=np.array([1, 0]), dtype=h5py.enum_dtype({"A": 0, "B": 1}, "u1"))
        vlen = add("vlen", shape=(3,), dtype=h5py.vlen_dtype("i4"), chunks=(2,), **zstd)
        vlen[0], vlen[2] = [1, 2], [5]
        file["twice"] = file["g/edge"]
        file["g/loop"] = file["/"]
        file["g_twice"] = file["g"]
        file["soft"] = h5py.SoftLink("/g/edge")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["Straße"] = 1
        file.attrs["text"] = "ä"
        file.attrs["number"] = np.int64(4)
        file.attrs["numbers"] = np.arange(3, dtype="u2")
        file.attrs["nothing"] = h5py.Empty("i4")
        file.attrs["bytes"] = np.bytes_("xy")
        file.attrs["texts"] = ["a", "bb"]
        file.attrs["flag"] = True
        file.attrs["Länge"] = 1
        file["g"].attrs["of_group"] = 1
        file["g/edge"].attrs["record"] = np.zeros(2, dtype=record)
        file["g/edge"].attrs.create("vectors", np.ones((2, 3)), dtype="(3,)f8")
    return path


def test_repack__keeps_all_that_an_hdf5_file_can_hold(tmp_path):
    path = everything(tmp_path / "a.h5")
    before = path.read_bytes()
    repack(path, tmp_path / "b.h5")
    repack(path, tmp_path / "c.h5")
    assert path.read_bytes() == before
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
        assert len(tree(new)) > 30
        assert list(new) == list(old)
        assert new["twice"] == new["g/edge"]
        assert new["g_twice"] == new["g"]
        assert new["g/loop"] == new["/"]
        for name in ("soft", "dangling"):
            link = new.get(name, getlink=True)
            assert link.path == old.get(name, getlink=True).path
        assert new["sparse"].id.get_num_chunks() == 1, "unwritten chunks take no space"
    used = compression(tmp_path / "b.h5")
    assert used["gzip9"] == ("gzip", 9, False), "what HDF5 reads by itself stays"
    with h5py.File(tmp_path / "b.h5") as new:
        assert not new["g/lzf"].fletcher32, "zlib's own checksum takes its place"
    assert used["g/lzf"] == used["sparse"] == used["texts"] == ("gzip", 6, True)
    assert used["contiguous"] == (None, None, False)


def test_repack__keeps_the_order_of_a_file_that_has_one(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        for name in "zay":
            file.create_group(name, track_order=True).attrs.update({"b": 1, "a": 2})
            file[name]["d"], file[name]["c"] = 1, 2
    repack(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert list(file) == ["z", "a", "y"]
        assert list(file["z"]) == ["d", "c"]
        assert list(file["z"].attrs) == ["b", "a"]


def test_repack__changes_nothing_the_second_time(tmp_path):
    path = everything(tmp_path / "a.h5")
    assert needs_plugin(path)
    repack(path, tmp_path / "b.h5")
    assert not needs_plugin(tmp_path / "b.h5")
    repack(tmp_path / "b.h5", tmp_path / "c.h5")
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


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


def test_repack__refuses_what_would_not_survive(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]

    def refused(edit, message, **options):
        path = tmp_path / "a.h5"
        path.unlink(missing_ok=True)
        (tmp_path / "b.h5").unlink(missing_ok=True)
        with h5py.File(path, "w", **options) as file:
            edit(file)
        with pytest.raises(ReleaseError, match=r"^a\.h5: " + message):
            repack(path, tmp_path / "b.h5")
        return path

    external = refused(
        lambda f: f.__setitem__("l", h5py.ExternalLink("other.h5", "/x")),
        "/l is a link to another file",
    )
    with pytest.raises(ReleaseError, match="/l is a link to another file"):
        needs_plugin(external)

    def virtual(file):
        layout = h5py.VirtualLayout((1,), "i8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (1,))
        file.create_virtual_dataset("g/v", layout)

    path = refused(virtual, "data set /g/v has its values in other files")
    with pytest.raises(ReleaseError, match="data set /g/v has its values in other files"):
        needs_plugin(path)
    refused(
        lambda f: f.create_dataset("r", (1,), "i1", external=[(tmp_path / "raw", 0, 1)]),
        "data set /r has its values in other files",
    )

    def reference(file):
        file["x"] = 1
        file["r"] = np.array([file["x"].ref], dtype=h5py.ref_dtype)

    refused(reference, "/r holds references to objects, which would not survive a copy")

    def scale(file):
        file["x"] = [1.0]
        file["s"] = [1.0]
        file["s"].make_scale("s")
        file["x"].dims[0].attach_scale(file["s"])

    refused(scale, "attribute .* holds references")
    refused(lambda f: f.__setitem__("t", np.dtype("i4")), "/t is a named type")
    refused(lambda f: None, "has a user block of 512 bytes", userblock_size=512)


def test_repack__of_a_data_set_of_a_named_type_gives_it_the_type_itself(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t"] = np.dtype("<i2")
        file.create_dataset("x", data=[1, 2], dtype=file["t"])
        del file["t"]
    repack(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["x"].dtype == np.dtype("<i2")
        assert file["x"][:].tolist() == [1, 2]


def test_repack__names_a_file_with_a_damaged_chunk(tmp_path):
    path = feature_file(tmp_path / "a.h5")
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(3)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with pytest.raises(ReleaseError, match=r"^a\.h5: can't be read to its end"):
        repack(path, tmp_path / "b.h5")


def test_repack__of_a_real_recordings_size_stays_in_bounded_memory(tmp_path):
    code = """
import resource, sys, h5py, hdf5plugin, numpy as np
from evreel.files.repack import repack
rows = 65_536
with h5py.File("a.h5", "w") as file:
    t = file.create_dataset("t", (150 * rows,), "i8", chunks=(rows,), **hdf5plugin.Zstd())
    c = file.create_dataset("c", (40, 1_000_000), "i2")
    for k in range(150):
        t[k * rows:(k + 1) * rows] = np.arange(rows)
    for k in range(40):
        c[k] = k
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
repack("a.h5", "b.h5")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000, "kilobytes beyond those before a repack of 80 + 80 MB"


# The plan


def plan_table(folder: Path, text: str | bytes) -> Path:
    path = folder / "plan.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plan__reads_back_as_it_was_written(tmp_path):
    entries = [
        PlanEntry("train/a.h5", Path("results/a b.h5"), "events", "a", "train", line=2),
        PlanEntry("x/'quoted\".txt", Path('"x"/y'), line=3),
    ]
    write_plan(tmp_path / "plan.tsv", entries)
    assert read_plan(tmp_path / "plan.tsv") == entries
    first = (tmp_path / "plan.tsv").read_bytes().splitlines()[:2]
    assert first == [
        b"path\tsource\tkind\tid\tsplit",
        b"train/a.h5\tresults/a b.h5\tevents\ta\ttrain",
    ]


def test_plan__takes_its_columns_in_any_order_and_as_tables_come(tmp_path):
    table = "\ufeffsource\tid\tpath\r\na.h5\tä\tb.h5\r\n\r\nc\t\td\r\n"
    assert read_plan(plan_table(tmp_path, table)) == [
        PlanEntry("b.h5", Path("a.h5"), id="ä", line=2),
        PlanEntry("d", Path("c"), line=4),
    ]


def test_plan__takes_sources_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "project" / "data" / "a.txt").write_text("a")
    table = plan_table(tmp_path, "path\tsource\nb.txt\tdata/a.txt\n")
    monkeypatch.chdir(tmp_path / "project")
    build(read_plan(table), tmp_path / "r", **DATA_SET)
    assert (tmp_path / "r" / "b.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("c:/x", "is absolute"),
        ("..", "has '..' in it"),
        ("a/../b", "has '..' in it"),
        ("./a", "has '.' in it"),
        ("a//b", "has an empty folder name in it"),
        ("a/", "has an empty folder name in it"),
        ("a\\b", "has a backslash in it"),
        ("a\0b", "has a control character in it"),
        ("a\x1bb", "has a control character in it"),
        ("a\u2028b", "has a control character in it"),
        ("ä" * 128, "has a name longer than 255 bytes in it"),
        ("other/A.txt", "is there twice"),
        ("other/a.TXT", "differs from 'other/A.txt' only in case"),
        ("Other/b.txt", "differs from 'other' only in case"),
        ("other/A.txt/b", "needs a folder where 'other/A.txt' is a file"),
        ("other", "is a file where 'other' is a folder"),
        ("caf\u00e9", "differs from 'cafe\u0301' only in case or accents"),
    ],
)
def test_plan__refuses_hostile_paths_with_line_and_value(tmp_path, path, problem):
    table = f"path\tsource\nother/A.txt\ta\ncafe\u0301\tb\n{path}\tc\n"
    with pytest.raises(ReleaseError) as raised:
        read_plan(plan_table(tmp_path, table))
    assert str(raised.value).startswith(f"plan.tsv: line 4: path {path!r} {problem}")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("", "line 1: column 'path' is missing; columns are path, source, kind, id, split"),
        ("path\n", "line 1: column 'source' is missing"),
        ("path,source\n", "line 1: column 'path,source' is not known; columns are"),
        ("path\tsource\tsplits\n", "line 1: column 'splits' is not known"),
        ("path\tsource\tpath\n", "line 1: column 'path' stands there twice"),
        ("path\tsource\na\n", "line 2: has 1 cells; the header has 2"),
        ("path\tsource\na\tb\tc\n", "line 2: has 3 cells; the header has 2"),
        ("path\tsource\na\t\n", "line 2: source is empty"),
        ("path\tsource\na\tb\0\n", "line 2: source 'b\\x00' has a control character in it"),
        ('path\tsource\na\t"b\n', "line 2: "),
        (b"path\tsource\n\xff\tb\n", "is not UTF-8. Save it as UTF-8."),
    ],
)
def test_plan__refuses_a_table_of_another_form(tmp_path, table, problem):
    with pytest.raises(ReleaseError) as raised:
        read_plan(plan_table(tmp_path, table))
    assert str(raised.value).startswith(f"plan.tsv: {problem}")


def test_plan__that_is_not_there_is_named(tmp_path):
    with pytest.raises(ReleaseError, match=r"^plan\.tsv: can't be read: No such file"):
        read_plan(tmp_path / "plan.tsv")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("aAbß./\\ :é\u0301\0"), max_size=7), max_size=6))
def test_paths_taken__land_below_the_root_and_apart(tmp_path_factory, paths):
    taken = PathsTaken()
    accepted = [path for path in paths if taken.add(path) is None]
    root = Path("/release")
    for path in accepted:
        assert os.path.normpath(root / path) == f"/release/{path}"
    lower = [path.casefold() for path in accepted]
    assert len(set(lower)) == len(lower)
    for one in lower:
        assert not any(other.startswith(one + "/") for other in lower)


def test_real_recording__is_released_with_its_own_bytes(tmp_path):
    source = shared_file("recordings/aermanager_class1_test.aedat4")
    plan = [PlanEntry("recordings/class1.aedat4", source, "recording", "class1")]
    manifest = build(plan, tmp_path / "r", **DATA_SET)
    (listed,) = (file for file in manifest.files if file.kind == "recording")
    assert listed.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert verify(tmp_path / "r") == []


def test_release__is_refused_where_a_check_finds_an_error_unless_it_is_tolerated(tmp_path, caplog):
    scene = tmp_path / "park.toml"
    scene.write_text(SCENE.format(name="park", seed=1), encoding="utf-8")
    recording, rois, *_ = steps.simulate(scene, tmp_path)
    whole, cropped = tmp_path / "whole.h5", tmp_path / "cropped.h5"
    steps.events(recording, whole)
    steps.events(recording, cropped, crop=(0, 0, 30, 30))
    steps.clock(whole, tmp_path / "c.tsv", window_us=10_000)
    slices = tmp_path / "slices.h5"
    steps.annotate(
        whole, tmp_path / "c.tsv", slices, tmp_path / "b.npy", rois=rois, window_us=20_000
    )
    rows = [
        {"path": f"train/{kind}/park.h5", "source": file, "kind": kind, "id": "park"}
        for kind, file in (("events", str(cropped)), ("slices", str(slices)))
    ]
    plan, folder = tmp_path / "plan.tsv", tmp_path / "park-1"
    steps.release_plan(rows, plan)
    about = {"name": "park", "version": "1", "licence": "CC0-1.0"}
    with pytest.raises(ReleaseError, match=r"checks found \d in it, the first: error: ") as caught:
        steps.release(plan, folder, **about)
    assert "release.tolerate" in str(caught.value)
    assert not folder.exists()
    named = {
        record.message.split(": ")[1] for record in caplog.records if "error: " in record.message
    }
    assert "other_events" in named
    steps.release(plan, folder, **about, tolerate=sorted(named))
    assert verify(folder) == []
    with pytest.raises(UsageError, match="no check is called 'others'"):
        steps.release(plan, folder, **about, tolerate=["others"])
