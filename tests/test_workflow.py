"""The workflow, run as a user runs it: real Snakemake on a tiny simulated data set."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time

import h5py
import pytest
from dataset import CONFIG, ROOT, command, make_data_set, snakemake, write_config, write_table

from evreel import steps


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of two recordings, built once."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"))
    run = snakemake(folder, "--cores", "2")
    assert run.returncode == 0, run.stdout
    return folder


@pytest.fixture
def copied(built, tmp_path):
    """A copy of the built data set, to be changed."""
    folder = tmp_path / "dataset"
    shutil.copytree(built, folder, symlinks=True)
    return folder


def planned(folder, *arguments):
    """Return the rule of each job that a dry run would run, sorted."""
    run = snakemake(folder, "-n", *arguments)
    assert run.returncode == 0, run.stdout
    lines = run.stdout.splitlines()
    return sorted(
        line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))
    )


def left_in_scratch(results):
    """Return what lies in the scratch folder beside the file that keeps the folder."""
    return [p.name for p in (results / ".evreel-tmp").iterdir() if p.name != "kept-by-workflow"]


def test_run__makes_every_file_that_the_design_names(built):
    results = built / "results"
    for name, split in (("one", "train"), ("two", "test")):
        for path in (
            f"recordings/{name}.aedat4",
            f"events/{name}.h5",
            f"video/{name}.mp4",
            f"video/{name}.clock.tsv",
            f"slices/{name}.h5",
            f"slices/{name}_bbox.npy",
            f"features/histogram/{name}.h5",
            f"features/voxels/{name}.h5",
            f"release/tiny-1.0/{split}/histogram/{name}.h5",
            f"release/tiny-1.0/{split}/histogram/{name}_bbox.npy",
            f"release/tiny-1.0/{split}/events/{name}.h5",
            f"release/tiny-1.0/{split}/slices/{name}.h5",
        ):
            assert (results / path).is_file(), path
    assert left_in_scratch(results) == []


def test_recording__is_a_relative_link_to_a_local_source(built):
    link = built / "results" / "recordings" / "one.aedat4"
    assert not link.readlink().is_absolute()
    assert link.resolve() == (built / "raw" / "one.aedat4").resolve()


def test_release__verifies_and_carries_its_config(built):
    release = built / "results" / "release" / "tiny-1.0"
    assert steps.verify(release) == []
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["name"] == "tiny"
    licence = (release / "LICENSE.txt").read_text(encoding="utf-8")
    assert "CC0 1.0 Universal" in licence
    assert "Affirmer" in licence, "the text itself is missing"
    config = json.loads((release / "config.json").read_text(encoding="utf-8"))
    assert config["recordings"]["one"]["source"] == "one.aedat4"
    assert config["video"]["style"] == "polarity", "defaults are part of the resolved config"
    assert {entry["split"] for entry in manifest["files"] if entry.get("split")} == {
        "train",
        "test",
    }


def test_release__features_are_those_of_the_events_in_it(built):
    release = built / "results" / "release" / "tiny-1.0" / "train"
    with (
        h5py.File(release / "events/one.h5") as events,
        h5py.File(release / "histogram/one.h5") as f,
    ):
        assert f["data"].shape[1:] == (2, 47, 63)
        assert int(f["data"][:].sum()) == len(events["events/t"])


def test_second_run__does_nothing(built):
    run = snakemake(built, "--cores", "2")
    assert run.returncode == 0, run.stdout
    assert "Nothing to be done" in run.stdout


def test_edited_xml__rebuilds_that_recordings_slices_and_the_release(copied):
    xml = copied / "raw" / "one.rois.xml"
    text = xml.read_text(encoding="utf-8")
    xml.write_text(text.replace("<name>one</name>", "<name>one again</name>"), encoding="utf-8")
    assert text != xml.read_text(encoding="utf-8")
    assert planned(copied) == ["all", "annotate", "release"]


def test_new_preset__encodes_the_videos_and_annotates_nothing(copied):
    write_config(copied, CONFIG | {"video": {"preset": "fast"}})
    assert planned(copied, "all_slices") == []
    assert planned(copied, "all_videos") == ["all_videos", "video", "video"]


def test_override__changes_one_recording(copied):
    table = (copied / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    lines = [table[0] + "\tslices/window_us", table[1] + "\t40000", table[2] + "\t"]
    (copied / "recordings.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert planned(copied, "all_slices") == ["all_slices", "annotate"]


def test_other_md5__is_one_error_and_leaves_nothing(copied):
    table = (copied / "recordings.tsv").read_text(encoding="utf-8")
    md5 = table.splitlines()[1].split("\t")[2]
    (copied / "recordings.tsv").write_text(table.replace(md5, "0" * 32), encoding="utf-8")
    shutil.rmtree(copied / "results")
    run = snakemake(copied, "--cores", "2", "all_events")
    assert run.returncode != 0
    assert md5 in run.stdout, "the message does not say what was got"
    assert "Traceback" not in run.stdout
    results = copied / "results"
    assert not (results / "recordings" / "one.aedat4").is_symlink()
    assert (results / "events" / "two.h5").is_file(), "one bad recording stopped the other"
    assert left_in_scratch(results) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": {"widow_us": 1}}, "video: unknown key 'widow_us'; did you mean 'window_us'?"),
        ({"slices": {}}, "slices: exactly one of window_us (µs) and count (events) is needed"),
        ({"slices": {"count": 0}}, "slices/count: 0 is less than the minimum of 1"),
        ({"recordings": "none.tsv"}, "none.tsv can't be read"),
        ({"results": ""}, "results: '' does not match"),
        ({"events": {"crop": [5, 5, 1, 1]}}, "events/crop: [5, 5, 1, 1] is empty"),
        ({"release": CONFIG["release"] | {"licence": "MIT"}}, "the text of licence 'MIT' is not"),
        (
            {"features": {"h": {"representation": "histogramm", "count": 5}}},
            "features/h: no representation is called 'histogramm'",
        ),
        (
            {"features": {"events": {"representation": "histogram", "count": 5}}},
            "features/events: a release has a folder of this name",
        ),
    ],
)
def test_config__with_a_mistake_is_refused_before_anything_runs(copied, change, message):
    write_config(copied, CONFIG | change)
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    assert message in run.stdout


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": "a b"}, "line 2: id: 'a b' does not match"),
        ({"id": "two"}, "line 3: id 'two' stands in the table twice"),
        ({"split": "trian"}, "line 2: split: 'trian' is not one of"),
        ({"video/fps": "fast"}, "line 2: video/fps: 'fast' is not of type 'integer'"),
        ({"colour": "red"}, "line 2: top level: unknown key 'colour'"),
        ({"it's": "red"}, 'line 2: top level: unknown key "it\'s"'),
        ({"video/container": "png-zip"}, "line 2: 'video/container' is nothing that a recording"),
        ({"features/none/count": "5"}, "line 2: 'features/none/count' is nothing that a recording"),
    ],
)
def test_table__with_a_mistake_is_refused_with_its_line(copied, cells, message):
    lines = (copied / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]
    rows[0] |= cells
    header += [name for name in cells if name not in header]
    write_table(copied, [header, *[[row.get(name, "") for name in header] for row in rows]])
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    assert message in run.stdout


def same_release(first, second):
    """Tell whether two builds released the same bytes: the lists name every file's digest."""
    names = ("manifest.json", "MD5SUMS", "SHA256SUMS")
    releases = [folder / "results" / "release" / "tiny-1.0" for folder in (first, second)]
    return all(len({(release / name).read_bytes() for release in releases}) == 1 for name in names)


def test_cores__do_not_show_in_the_release(built, tmp_path):
    folder = make_data_set(tmp_path / "again")
    run = snakemake(folder, "--cores", "1")
    assert run.returncode == 0, run.stdout
    assert same_release(built, folder)


@pytest.mark.parametrize("until", ["events/*.h5", "video/*.mp4"])
def test_killed_run__goes_on_to_the_bytes_of_an_undisturbed_one(built, copied, until):
    shutil.rmtree(copied / "results")
    process = subprocess.Popen(
        command(copied, "--cores", "2"),
        cwd=copied,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((copied / "results").glob(until)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (copied / "results/release/tiny-1.0/manifest.json").exists(), "killed too late"
    assert snakemake(copied, "--unlock").returncode == 0
    run = snakemake(copied, "--cores", "2")
    assert run.returncode == 0, run.stdout
    assert same_release(built, copied)
    assert steps.verify(copied / "results" / "release" / "tiny-1.0") == []
    assert left_in_scratch(copied / "results") == []


def test_demo_config__plans_every_step_of_three_recordings(tmp_path):
    for name in ("demo", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    jobs = planned(tmp_path)
    assert jobs.count("events") == jobs.count("annotate") == 3
    assert jobs.count("features") == 6
