"""A release of what exists: recordings of which a job fails are left out where that is allowed."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from evreel import open_release, steps
from evreel.checks.run import check
from evreel.release.manifest import read_manifest
from evreel.samples.tables import read_samples_table
from support.dataset import build, planned, snakemake, write_config, write_table
from support.scenes import simulated

CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["clap", "wave"],
    "samples": {
        "by": "intervals",
        "columns": {"label": "class", "start": "start", "stop": "stop"},
        "classes": {"1": "clap", "2": "wave"},
        "counts": {"train": 2, "test": 4},
    },
    "features": {"h": {"representation": "histogram", "window_us": 20_000}},
}
RELEASE = {
    "name": "part",
    "version": "1",
    "licence": "CC0-1.0",
    "include": ["events", "samples", "features"],
}
SPLITS = {"one": "train", "two": "test", "three": "test"}


def allow(folder, incomplete):
    write_config(folder, CONFIG | {"release": RELEASE | {"incomplete": incomplete}})


def ran(said):
    return sorted(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", said, re.MULTILINE))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A data set of three, one of them damaged; what the first run says of it, and the second."""
    folder = tmp_path_factory.mktemp("part")
    rows = [("id", "source", "md5", "split", "samples")]
    for k, (name, split) in enumerate(SPLITS.items()):
        md5 = hashlib.md5(simulated(folder, name, k).read_bytes()).hexdigest()
        table = folder / "raw" / f"{name}.csv"
        table.write_text("class,start,stop\n1,1000,40000\n2,50000,90000\n", encoding="utf-8")
        rows.append(
            (name, f"raw/{name}.aedat4", md5, split, f"raw/{name}.csv")
        )
    write_table(folder, rows)
    raw = folder / "raw" / "two.aedat4"
    sound = raw.read_bytes()
    raw.write_bytes(sound[:-9])
    allow(folder, "refuse")
    first = snakemake(folder, "--cores", "2")
    assert not (folder / "results" / "release" / "part-1").exists()
    allow(folder, "allow")
    second = build(folder, "--cores", "2", "release")
    return folder, sound, first, second


def test_incomplete_release__is_refused_with_what_is_missing_and_both_ways_out(told):
    _, _, first, _ = told
    assert first.returncode == 1
    assert "acquire: results/recordings/two.aedat4\n    SourceError: raw/two" in first.stdout
    assert "Fix these, then run the same command again" in first.stdout
    assert (
        "There is no new release: it would lack 1 of 3 recordings: 'two'. To release the others, "
        "set release/incomplete: allow, and run it again." in first.stdout
    )


def test_allowed__releases_what_exists_and_says_what_is_missing_and_why(told, capsys):
    folder, _, _, second = told
    release = folder / "results" / "release" / "part-1"
    assert "the release leaves out 1 of 3 recordings: 'two'" in second
    assert {"acquire", "events"}.isdisjoint(ran(second))
    assert steps.verify(release) == []
    manifest = read_manifest(release)
    assert [*manifest.recordings] == ["one", "three"]
    assert not [file.path for file in manifest.files if "two" in file.path]
    reason = manifest.missing["two"]["reason"]
    assert manifest.missing == {"two": {"split": "test", "reason": reason}}
    assert reason.startswith("acquire: SourceError: two.aedat4: md5 is ")
    rows = read_samples_table(release / "samples.tsv")
    assert {row.recording for row in rows} == {"one", "three"}
    with open_release(release) as opened:
        assert [one.id for one in opened.splits["test"]] == ["three"]
    lacks = "1 of 3 recordings: 'two'"
    readme = (release / "README.md").read_text(encoding="utf-8")
    assert f"**This release is incomplete.** It lacks {lacks}." in readme
    assert "| two | test | acquire: SourceError: two.aedat4: md5 is " in readme
    assert "Incomplete: it lacks 1 of 3 recordings" in (release / "index.html").read_text("utf-8")
    croissant = json.loads((release / "croissant.json").read_bytes())
    assert croissant["rai:dataCollectionMissingData"] == f"This release lacks {lacks}."
    facts = steps.info(release)
    assert (facts["lacks"], facts["missing"]) == (lacks, {"two": reason})
    found = [(one.check, one.place) for one in check(release).findings]
    assert ("incomplete", "recording 'two'") in found
    from evreel.cli import main

    assert main(["verify", str(release)]) == 0
    assert f"; the release is incomplete, it lacks {lacks}" in capsys.readouterr().out
    assert planned(folder, "release") == []


def test_missing_recording__is_tried_again_and_in_the_release_once_it_is_mended(told):
    folder, sound, _, _ = told
    release = folder / "results" / "release" / "part-1"
    before = read_manifest(release)
    again = snakemake(folder, "--cores", "2")
    assert again.returncode == 1
    assert "1 job failed; jobs that need it did not run:\n\nacquire: " in again.stdout
    assert "The release lacks 1 of 3 recordings: 'two'." in again.stdout
    assert read_manifest(release) == before
    stores = [folder / "results" / "events" / f"{name}.h5" for name in ("one", "three")]
    inodes = [store.stat().st_ino for store in stores]
    (folder / "raw" / "two.aedat4").write_bytes(sound)
    said = build(folder, "--cores", "2")
    made_for_each = {"acquire", "events", "cut", "features", "publish_events", "publish_features"}
    assert all(ran(said).count(rule) == 1 for rule in made_for_each)
    assert [store.stat().st_ino for store in stores] == inodes
    complete = read_manifest(release)
    assert [*complete.recordings] == sorted(SPLITS)
    assert (complete.missing, steps.verify(release)) == ({}, [])
    assert "incomplete" not in (release / "README.md").read_text(encoding="utf-8")
    assert "incomplete" not in (release / "config.json").read_text(encoding="utf-8")
    allow(folder, "refuse")
    assert planned(folder) == []
