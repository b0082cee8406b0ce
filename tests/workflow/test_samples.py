"""Recordings cut into samples by the workflow, as a user runs it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections import Counter

import pytest
import yaml

from evreel import steps
from evreel.files.features import FeaturesFile
from evreel.files.samples import SamplesFile
from evreel.samples.tables import read_samples_table
from support import random_events
from support.archives import packed
from support.dataset import build, planned, snakemake, write_config, write_table
from support.scenes import simulated
from support.writers.aer40 import aer40

CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["clap", "wave"],
    "samples": {
        "by": "intervals",
        "clock": "source",
        "columns": {"label": "class", "start": "startTime_usec", "stop": "endTime_usec"},
        "classes": {"1": "clap", "2": "wave"},
        "split": {"seed": 3, "shares": {"train": 0.5, "test": 0.5}},
        "counts": {"train": 7, "test": 7},
    },
    "features": {"h": {"representation": "histogram", "number": 4, "by": "count"}},
    "release": {"name": "cut", "version": "1", "licence": "CC0-1.0"},
}
INTERVALS = [(2, 1_000, 50_000), (1, 49_000, 119_000)]


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def intervals(offset, rows=INTERVALS):
    """Return a table as DVS128 Gesture has them, of times since an offset."""
    lines = [f"{c},{offset + start},{offset + stop}\n" for c, start, stop in rows]
    return "class,startTime_usec,endTime_usec\n" + "".join(lines)


def first_stamp(recording):
    return steps.info(recording)["t_offset"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Three units of work: a recording and its table, one in a tar.gz with its own, an archive."""
    folder = tmp_path_factory.mktemp("cut")
    one, two = (simulated(folder, name, seed) for seed, name in enumerate(("one", "two")))
    (folder / "raw" / "one.csv").write_text(intervals(first_stamp(one)), encoding="utf-8")
    table = intervals(first_stamp(two)).encode()
    members = {"trials/two.aedat4": two.read_bytes(), "trials/two_labels.csv": table}
    trials = packed(folder / "raw" / "trials.tar.gz", members)
    members = {}
    for label in "12":
        for k in range(5):
            events = random_events(300, (34, 34), 60_000, seed=10 * int(label) + k)
            columns = (events.t, events.x, events.y, events.p)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            members[f"Train/{label}/{k:05d}.bin"] = aer40(rows)
    many = packed(folder / "raw" / "many.zip", members)
    columns = ("id", "source", "md5", "split", "samples", "samples/by", "samples/members", "sensor")
    write_table(
        folder,
        [
            columns,
            ("one", "raw/one.aedat4", md5(one), "train", "raw/one.csv", "", "", ""),
            (
                *("two", "raw/trials.tar.gz!trials/two.aedat4", md5(trials), "test"),
                *("!trials/two_labels.csv", "", "", ""),
            ),
            (
                *("many", "raw/many.zip", md5(many), "mixed", ""),
                *("members", "*/{label}/*.bin", "34x34"),
            ),
        ],
    )
    write_config(folder, CONFIG)
    features = [f"results/features/h/{name}.h5" for name in ("one", "many")]
    build(folder, "--cores", "2", *features)
    # The rules that are for samples alone: no other test has them import all by themselves.
    build(folder, "--cores", "2", "results/events/two.h5")
    build(folder, "--cores", "2", "--", "all_samples", machine={})
    build(folder, "--cores", "2")
    return folder


def test_run__releases_samples_with_class_and_split(built):
    release = built / "results" / "release" / "cut-1"
    assert steps.verify(release) == []
    rows = read_samples_table(release / "samples.tsv")
    assert Counter(row.recording for row in rows) == {"one": 2, "two": 2, "many": 10}
    drawn = Counter((row.label, row.split) for row in rows if row.recording == "many")
    assert {label: drawn[label, "train"] + drawn[label, "test"] for label in CONFIG["labels"]} == {
        "clap": 5,
        "wave": 5,
    }
    assert all(2 <= n <= 3 for n in drawn.values())
    for split, name in (("train", "one"), ("test", "two"), ("mixed", "many")):
        with (
            SamplesFile(release / split / "samples" / f"{name}.h5") as samples,
            FeaturesFile(release / split / "h" / f"{name}.h5") as features,
        ):
            assert samples.samples.id == features.samples.samples.id
            assert features.samples.labels == ("clap", "wave")
            assert len(features) == 4 * len(samples)
            assert list(samples.split) == [row.split for row in rows if row.recording == name]
            if split != "mixed":
                assert samples.samples.label == ("wave", "clap")
                assert (samples.stop > samples.start).all()
    # Nothing is annotated here, so there is nothing to look at.
    assert not (built / "results" / "video").exists()


def test_compressed_tar__is_decompressed_once_where_several_members_are_wanted(built):
    archives = built / "results" / "archives"
    [kept] = (path for path in archives.iterdir() if path.is_symlink())
    assert kept.name.endswith("-trials.tar.gz")
    with tarfile.open(archives / "plain" / f"{kept.name}.tar", "r:") as archive:
        assert archive.getnames() == ["trials/two.aedat4", "trials/two_labels.csv"]


def test_second_run__does_nothing(built):
    assert planned(built) == []


def test_edited_intervals__cut_that_recording_again_and_no_other(copied):
    offset = first_stamp(copied / "raw" / "one.aedat4")
    table = intervals(offset, [(2, 1_000, 40_000), (1, 49_000, 119_000)])
    (copied / "raw" / "one.csv").write_text(table, encoding="utf-8")
    said = build(copied, "--cores", "2")
    ran = [line for line in said.splitlines() if line.startswith(("rule ", "localrule "))]
    rules = Counter(line.split()[1].rstrip(":") for line in ran)
    assert rules["cut"] == rules["features"] == 1 and not rules["events"]
    assert rules["splits"] == 1 and rules["samples"] == 3  # a split may have moved anywhere
    rows = read_samples_table(copied / "results" / "release" / "cut-1" / "samples.tsv")
    assert min(row.stop_us for row in rows if row.recording == "one") == 40_000


def test_edited_intervals__are_seen_where_snakemake_has_no_records(copied):
    shutil.rmtree(copied / ".snakemake")
    assert planned(copied) == []
    table = copied / "raw" / "one.csv"
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    os.utime(table, (1_000_000_000, 1_000_000_000))
    assert "cut" in planned(copied)


def test_new_seed__draws_splits_again_and_computes_no_feature(copied):
    config = yaml.safe_load((copied / "config.yaml").read_text(encoding="utf-8"))
    config["samples"]["split"]["seed"] = 4
    write_config(copied, config)
    assert planned(copied) == [
        *("all", *["publish_samples"] * 3, "release", *["samples"] * 3, "splits")
    ]


def test_other_counts_than_published__stop_before_the_release(copied):
    config = yaml.safe_load((copied / "config.yaml").read_text(encoding="utf-8"))
    config["samples"]["counts"] = {"train": 8, "test": 6}
    write_config(copied, config)
    run = snakemake(copied, "--cores", "1")
    assert run.returncode == 1
    assert "there are 7 in train, 7 in test; 8 in train, 6 in test are expected" in run.stdout, (
        run.stdout
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\tmixed\t", "\ttrain\t"), None),
        (("raw/one.csv", ""), "line 2: samples: is missing; it names the table of intervals"),
        (("raw/one.csv", "raw/won.csv"), "line 2: samples: 'raw/won.csv' does not exist; did you"),
        (("\tmembers\t", "\tnone\t"), "line 4: samples/members: does not go with by: none"),
        (
            ("raw/one.csv", "!one.csv"),
            "line 2: samples: source 'raw/one.aedat4' is not in an archive",
        ),
        (("{label}", "{klass}"), "line 4: samples/members: pattern .* has {klass} in it"),
    ],
)
def test_table__with_a_mistake_is_refused_before_anything_runs(copied, change, message):
    table = copied / "recordings.tsv"
    text = table.read_text(encoding="utf-8")
    assert change[0] in text
    table.write_text(text.replace(*change), encoding="utf-8")
    run = snakemake(copied, "-n")
    if message is None:
        assert run.returncode == 0, run.stdout
        return
    assert run.returncode == 1
    line = next(line for line in run.stdout.splitlines() if "recordings.tsv: line" in line)
    assert message.replace(".*", "") in line or all(part in line for part in message.split(".*"))
