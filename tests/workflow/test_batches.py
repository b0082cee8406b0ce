"""Recordings that share jobs: the same bytes, and each is made again on its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from evreel.dataset.dataset import DataSet
from evreel.dataset.leftovers import leftovers
from evreel.files.events_store import EventsStore

from support.dataset import CONFIG, build, make_data_set, planned, snakemake, tree, write_config
from support.dataset import write_table

NAMES = ("one", "two", "three", "four", "five")
OF_JOBS = ("logs/", "benchmarks/", "batches/")


def sharing(folder, most):
    """Let so many recordings share a job."""
    write_config(folder, CONFIG | {"batches": {"recordings": most}})
    return folder


def made(folder):
    """Return what a workflow made, but what it says of its jobs."""
    found = tree(folder / "results")
    return {name: digest for name, digest in found.items() if not name.startswith(OF_JOBS)}


def times(folder):
    """Return when each file was written that belongs to a recording."""
    return {
        path: path.stat().st_mtime_ns
        for part in ("events", "video", "slices", "features", "previews", "published")
        for path in sorted((folder / "results" / part).rglob("*"))
        if path.is_file()
    }


def in_an_archive(folder):
    """Put two recordings of the data set into an archive."""
    lines = (folder / "recordings.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    archive = folder / "two.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for row in rows[1:3]:
            made.write(folder / row[1], Path(row[1]).name)
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    for row in rows[1:3]:
        row[1:3] = f"two.zip!{Path(row[1]).name}", md5
    write_table(folder, rows)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = in_an_archive(make_data_set(tmp_path_factory.mktemp("batches") / "shared", NAMES))
    build(sharing(folder, 3), "--cores", "2")
    return folder


def test_batches__make_the_bytes_of_single_jobs_and_are_done_once(built, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(built, alone, ignore=shutil.ignore_patterns("results", ".snakemake"))
    build(sharing(alone, 1), "--cores", "2")
    assert made(built) == made(alone)
    assert len(made(built)) > 100
    assert planned(built) == []
    before = times(alone)
    build(sharing(alone, 3), "--cores", "2")  # what single jobs made stays, too
    assert times(alone) == before
    sharing(alone, 1)
    assert {*planned(alone, "--forceall")} == {
        name.removesuffix("_of_batch") for name in planned(built, "--forceall")
    }


def test_batches__of_another_size_make_nothing_new(copied, monkeypatch):
    before = times(copied)
    build(sharing(copied, 2), "--cores", "2")
    assert times(copied) == before
    build(sharing(copied, 5), "--cores", "2")
    assert times(copied) == before
    monkeypatch.chdir(copied)
    found = leftovers("results", [DataSet.of_files(["config.yaml"])])
    assert found.unknown == ()
    assert {path.stem for path in found.files} == {"three", "four"}  # batches that are no more
    assert {path.parts[1] for path in found.files} == {"batches", "logs", "benchmarks"}
    build(sharing(copied, 1), "--cores", "2")
    assert times(copied) == before
    changed = CONFIG | {"preview": {"crf": 30}, "batches": {"recordings": 1}}
    write_config(copied, changed)
    assert planned(copied) == ["all", *["preview"] * 5, "release"]


def test_edited_annotation__makes_its_own_recording_again(copied):
    before = times(copied)
    xml = copied / "raw" / "four.rois.xml"
    xml.write_text(xml.read_text().replace(".50", ".75", 3))
    said = build(copied, "--cores", "2")
    changed = {path for path, time in times(copied).items() if before[path] != time}
    assert changed and {path.name.split(".")[0].removesuffix("_bbox") for path in changed} == {
        "four"
    }
    assert not any("events" in path.parts for path in changed)
    assert "events_of_batch" not in said
    assert planned(copied) == []


def test_lost_output__is_made_again_alone(copied):
    before, bytes_before = times(copied), made(copied)
    lost = copied / "results" / "features" / "histogram" / "two.h5"
    lost.unlink()
    assert "histogram/two.h5" in build(copied, "--cores", "2")
    assert made(copied) == bytes_before
    changed = {path for path, time in times(copied).items() if before[path] != time}
    assert {path.name for path in changed} <= {"two", "two.h5", "two.json"}


def test_row__that_is_removed_makes_nothing_again_but_the_release(copied):
    before = times(copied)
    lines = (copied / "recordings.tsv").read_text().splitlines()
    (copied / "recordings.tsv").write_text("\n".join([*lines[:2], *lines[3:]]) + "\n")
    build(copied, "--cores", "2")
    assert times(copied) == before


def test_failed_recording__does_not_stop_the_others_and_is_named(copied):
    raw = copied / "raw" / "five.aedat4"
    whole = raw.read_bytes()
    raw.write_bytes(whole[:-200])
    lines = (copied / "recordings.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    rows[5][2] = hashlib.md5(raw.read_bytes()).hexdigest()
    write_table(copied, rows)
    config = CONFIG | {"features": {"other": {"representation": "histogram", "number": 3}}}
    write_config(copied, config | {"batches": {"recordings": 3}})
    run = snakemake(copied, "--cores", "2")
    assert run.returncode == 1
    assert "events: five" in run.stdout and "results/logs/events/five.log" in run.stdout
    features = copied / "results" / "features" / "other"
    assert {path.name for path in features.iterdir()} == {
        f"{name}.h5" for name in NAMES if name != "five"
    }
    assert not (copied / "results" / "events" / "five.h5").exists()
    allowed = {**config, "release": {**CONFIG["release"], "incomplete": "allow"}}
    write_config(copied, allowed | {"batches": {"recordings": 3}})
    again = snakemake(copied, "--cores", "2")
    assert again.returncode == 1 and "events: five" in again.stdout
    assert "The release lacks 1 of 5 recordings: 'five'." in again.stdout
    raw.write_bytes(whole)
    rows[5][2] = hashlib.md5(whole).hexdigest()
    write_table(copied, rows)
    build(copied, "--cores", "2")
    assert (features / "five.h5").exists()
    assert planned(copied) == []


def test_stated_sums__that_are_right_and_removed_rows_make_nothing_again(copied):
    rows = [line.split("\t") for line in (copied / "recordings.tsv").read_text().splitlines()]
    stated = [[*row, "", ""] for row in rows]
    stated[0][-2:] = "sha256", "n_events"
    raw, store = copied / rows[4][1], copied / "results" / "events" / f"{rows[4][0]}.h5"
    with EventsStore(store) as events:
        stated[4][-2:] = hashlib.sha256(raw.read_bytes()).hexdigest(), str(len(events))
    write_table(copied, stated)
    assert planned(copied) == ["all", "release"]
    write_table(copied, [row for row in rows if row[0] != "two"])
    said = snakemake(copied, "-n")
    assert said.returncode == 0 and "events_of_batch" not in said.stdout


def test_lost_records__let_an_edit_be_seen_and_only_what_depends_on_it_made_again(copied):
    before = times(copied)
    xml = copied / "raw" / "four.rois.xml"
    xml.write_text(xml.read_text().replace(".50", ".75", 3))
    os.utime(xml, (0, 0))
    shutil.rmtree(copied / ".snakemake")
    build(copied, "--cores", "2")
    changed = {path for path, time in times(copied).items() if before[path] != time}
    assert copied / "results" / "slices" / "four.h5" in changed
    assert {path.name.split(".")[0].removesuffix("_bbox") for path in changed} == {"four"}
    assert planned(copied) == []
