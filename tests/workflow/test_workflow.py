"""The workflow, run as a user runs it: real Snakemake on a tiny simulated data set."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.files.features import FeaturesFile
from evreel.files.slices import SlicesFile
from evreel.geometry import Geometry
from evreel.provenance import sha256
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.release.open import open_release
from support import ROOT, bound, random_events
from support.fonts import DEJAVU
from support.dataset import (
    command,
    CONFIG,
    build,
    make_data_set,
    planned,
    snakemake,
    write_config,
    write_table,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of two recordings, built once."""
    folder = make_data_set(tmp_path_factory.mktemp("dataset"))
    build(folder, "--cores", "2")
    return folder


def left_in_scratch(results):
    """Return what lies in the scratch folder beside the file that keeps the folder."""
    return [p.name for p in (results / ".evreel-tmp").glob("*/*") if p.name != "kept-by-workflow"]


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


def test_archive__is_verified_once_and_its_recordings_are_read_from_it(copied):
    shutil.rmtree(copied / "results")
    both = copied / "raw" / "both!.zip"
    with zipfile.ZipFile(both, "w") as archive:
        for name in ("one", "two"):
            archive.write(copied / "raw" / f"{name}.aedat4", f"day/{name}.aedat4")
    whole = both.read_bytes()
    rows = [
        line.split("\t") for line in (copied / "recordings.tsv").read_text("utf-8").splitlines()
    ]
    rows[0] += ["sha256", "member_md5"]
    for name, row in zip(("one", "two"), rows[1:], strict=True):
        row += [hashlib.sha256(whole).hexdigest(), row[2]]
        row[1:3] = [f"raw/both!!.zip!day/{name}.aedat4", hashlib.md5(whole).hexdigest()]
    write_table(copied, rows)
    build(copied, "--cores", "2", "all_events")
    results = copied / "results"
    (link,) = (results / "archives").iterdir()
    assert link.name == f"{hashlib.md5(whole).hexdigest()[:16]}-both_.zip"
    assert link.readlink() == Path("../../raw/both!.zip")
    for name in ("one", "two"):
        got = results / "recordings" / f"{name}.aedat4"
        assert not got.is_symlink()
        assert got.read_bytes() == (copied / "raw" / f"{name}.aedat4").read_bytes()
    assert planned(copied, "all_events") == []
    only_sha256 = [[cell for k, cell in enumerate(row) if k != 2] for row in rows]
    write_table(copied, only_sha256)
    assert planned(copied, "all_events") == [], "another digest of the same archive is stated"
    rows[2][-1] = "0" * 32
    write_table(copied, rows)
    assert planned(copied, "all_events") == ["acquire", "all_events", "events"]
    rows[1][-2] = "0" * 64
    write_table(copied, rows)
    assert planned(copied, "all_events").count("archive") == 1


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
    assert manifest["recordings"]["one"]["source"] == "one.aedat4", "the path went along"
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
    assert "Nothing to be done" in build(built, "--cores", "2")


def test_second_run__that_asks_a_cluster_for_more_does_nothing(built):
    asked = "--set-resources", "events:mem_mb=900000000", "features:runtime=9"
    assert "Nothing to be done" in build(built, "--cores", "2", *asked)


def test_edited_xml__rebuilds_that_recordings_slices_and_the_release(copied):
    xml = copied / "raw" / "one.rois.xml"
    text = xml.read_text(encoding="utf-8")
    xml.write_text(text.replace("<name>one</name>", "<name>one again</name>"), encoding="utf-8")
    assert text != xml.read_text(encoding="utf-8")
    assert planned(copied) == [
        *("all", "annotate", "preview", "publish_slices", "release", "summary")
    ]


def test_jobs_of_one_recording__are_released_and_each_is_judged_by_its_content(copied):
    whole = copied / "raw" / "one.rois.xml"
    text = whole.read_text(encoding="utf-8").replace("task>", "job>")
    body = re.findall(r"  <track .*?</track>\n", text, re.DOTALL)
    rest = text.replace("".join(body), "")
    (copied / "jobs").mkdir()
    for name, first, last in (("a", 0, 5), ("b", 6, 11)):
        shapes = [
            re.sub(
                r' *<(\w+) frame="(\d+)".*?</\1>\n',
                lambda shape, f=first, n=last: shape[0] if f <= int(shape[2]) <= n else "",
                track,
                flags=re.DOTALL,
            )
            for track in body
        ]
        kept = "".join(track for track in shapes if "frame=" in track)
        job = rest.replace("</annotations>", f"{kept}</annotations>")
        job = job.replace("<start_frame>0<", f"<start_frame>{first}<")
        job = job.replace("<stop_frame>11<", f"<stop_frame>{last}<")
        job = re.sub("<id>.*?</id>", f"<id>{first}</id>", job, count=1)
        (copied / "jobs" / f"{name}.xml").write_text(job, encoding="utf-8")
    with SlicesFile(copied / "results" / "slices" / "one.h5") as slices:
        want = slices.labelled, len(slices.shapes_in(0, 1 << 40))

    def in_jobs(rows):
        k = rows[0].index("rois")
        return [rows[0], [*rows[1][:k], "jobs", *rows[1][k + 1 :]], *rows[2:]]

    change_table(copied, in_jobs)
    assert planned(copied) == [
        *("all", "annotate", "preview", "publish_slices", "release", "release_plan", "summary")
    ]
    build(copied, "--cores", "2")
    with SlicesFile(copied / "results" / "slices" / "one.h5") as slices:
        np.testing.assert_array_equal(slices.labelled, want[0])
        assert len(slices.shapes_in(0, 1 << 40)) == want[1]
    release = copied / "results" / "release" / "tiny-1.0"
    for name, path in (("a", "one.rois.xml"), ("b", "one.rois.2.xml")):
        released = (release / "annotations" / path).read_bytes()
        assert released == (copied / "jobs" / f"{name}.xml").read_bytes()
    assert steps.verify(release) == []
    assert planned(copied) == []
    second = copied / "jobs" / "b.xml"
    second.write_text(second.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    os.utime(second, (1, 1))
    assert planned(copied) == [
        *("all", "annotate", "preview", "publish_slices", "release", "summary")
    ]


def test_times_of_another_camera_and_finished_frames__are_seen_by_their_content(copied):
    times = copied / "camera.tsv"
    shutil.copy(copied / "results" / "video" / "one.clock.tsv", times)
    (copied / "done.tsv").write_text("start_frame\tstop_frame\n0\t4\n")
    more = [["clock", "labelled"], ["camera.tsv", "done.tsv"], ["", ""]]
    change_table(copied, lambda rows: [row + added for row, added in zip(rows, more, strict=True)])
    build(copied, "--cores", "2", "all_slices")
    with SlicesFile(copied / "results" / "slices" / "one.h5") as slices:
        assert [column.tolist() for column in slices.labelled] == [[0], [50_000]]
    assert planned(copied, "all_slices") == []
    for file, rules in ((times, ["annotate", "clock"]), (copied / "done.tsv", ["annotate"])):
        before = file.read_bytes()
        file.write_bytes(before.replace(b"\t4\n", b"\t3\n").replace(b"# frames", b"# by hand\ta\n# frames"))
        os.utime(file, (1, 1))
        assert planned(copied, "all_slices") == sorted(["all_slices", *rules])
        file.write_bytes(before)
    times.write_text(times.read_text().replace("11\t110000\t120000\n", "").replace("frames\t12", "frames\t11"))
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    assert "clock: one.rois.xml: its task has the frames 0 to 11, the video 0 to 10" in run.stdout


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


def change_table(folder, change):
    """Rewrite the recordings table; `change` gets its rows as lists of cells."""
    lines = (folder / "recordings.tsv").read_text(encoding="utf-8").splitlines()
    write_table(folder, change([line.split("\t") for line in lines]))


def test_stated_sums__that_are_right_make_nothing_again_also_after_a_wrong_one(copied):
    def stated(wrong="", n_events=None):
        """State every sum there is; the MD5 of the first recording is this, if given."""
        table = [("id", "source", "md5", "split", "rois", "tags", *more)]
        for name, split in (("one", "train"), ("two", "test")):
            raw, rois, tags = (
                (copied / "raw" / f"{name}.{suffix}").read_bytes()
                for suffix in ("aedat4", "rois.xml", "tags.xml")
            )
            with h5py.File(copied / "results" / "events" / f"{name}.h5") as store:
                n = str(len(store["events/t"]))
            sums = hashlib.sha256(raw).hexdigest(), str(len(raw)), n_events or n
            md5s = (hashlib.md5(data).hexdigest() for data in (rois, tags))
            md5 = hashlib.md5(raw).hexdigest() if name == "two" or not wrong else wrong
            files = (f"raw/{name}.{kind}.xml" for kind in ("rois", "tags"))
            table.append((name, f"raw/{name}.aedat4", md5, split, *files, *sums, *md5s))
        write_table(copied, table)

    more = ("sha256", "size_bytes", "n_events", "rois_md5", "tags_md5")
    stated()
    assert planned(copied) == ["all", "release"], "more than what must say it is made again"
    stated(wrong="0" * 32)
    for _ in range(2):
        run = snakemake(copied, "--cores", "2", "all_slices")
        assert run.returncode != 0, "what failed before is taken as done"
        told = run.stdout.split("1 job failed")[1]
        assert "SourceError: raw/one.aedat4: md5 is" in told
        assert f"expected {'0' * 32}" in told
    stated()
    assert planned(copied, "all_slices") == []
    stated(n_events="7")
    assert planned(copied, "all_events") == ["acquire", "all_events", "events", "events"]
    stated()
    link = copied / "results" / "recordings" / "one.aedat4"
    assert not link.is_symlink(), "a dry run has made it"
    told = build(copied, "--cores", "2", "all_slices")
    assert "Nothing to be done" in told
    assert "one.aedat4: was not there; it is a link to raw/one.aedat4 again" in told
    assert link.resolve() == (copied / "raw" / "one.aedat4").resolve()
    assert planned(copied, "all_slices") == []
    assert "was not there" not in build(copied, "--cores", "2", "all_slices")


def test_failed_job__fails_again_in_the_next_run(copied):
    """Its file is gone, and all that was made of it before is there."""
    change_table(copied, lambda rows: [[*rows[0], "n_events"], *([*r, "7"] for r in rows[1:])])
    for _ in range(2):
        run = snakemake(copied, "--cores", "2", "all_slices")
        assert run.returncode != 0
        assert run.stdout.count("events; 7 are expected. Is it the right recording?") >= 2


def test_config__with_a_mistake_is_refused_before_anything_runs(copied):
    write_config(copied, CONFIG | {"video": {"widow_us": 1}})
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    lines = (copied / "config.yaml").read_text(encoding="utf-8").splitlines()
    line = 1 + lines.index("  widow_us: 1")
    assert f"config.yaml: line {line}: video: unknown key 'widow_us'" in run.stdout
    assert "Traceback" not in run.stdout


def test_table__with_a_mistake_is_refused_before_anything_runs(copied):
    change_table(copied, lambda rows: [rows[0], [*rows[1][:3], "trian", *rows[1][4:]], *rows[2:]])
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    assert "recordings.tsv: line 2: split: 'trian' is not one of" in run.stdout
    assert "did you mean 'train'?" in run.stdout


def test_touched_input_of_equal_content__rebuilds_nothing(copied):
    for path in (copied / "raw").iterdir():
        path.touch()
    assert planned(copied) == []


def test_touched_input_of_equal_content__rebuilds_nothing_where_it_is_above_1_mb(tmp_path):
    # Snakemake compares files up to 1 MB by content, larger ones only where the profile says so.
    folder = make_data_set(tmp_path / "large", ["one"])
    recording = folder / "raw" / "one.aedat4"
    events = random_events(100_000)
    with Aedat4Writer(recording, events.sensor, compression="none") as writer:
        writer.write(events)
    assert recording.stat().st_size > 1_500_000
    md5 = hashlib.md5(recording.read_bytes()).hexdigest()
    change_table(folder, lambda rows: [rows[0], [*rows[1][:2], md5, *rows[1][3:]]])
    assert snakemake(folder, "--cores", "2", "all_events").returncode == 0
    recording.touch()
    assert planned(folder, "all_events") == []


def test_tidy__removes_what_left_the_config_and_nothing_runs_after_it(copied, monkeypatch):
    change_table(copied, lambda rows: rows[:2])
    features = {"histogram": CONFIG["features"]["histogram"]}
    write_config(copied, CONFIG | {"features": features})
    build(copied, "--cores", "2")
    results = copied / "results"
    (results / "notes.txt").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(copied)

    def there():
        places = (path.relative_to(results) for path in results.rglob("*") if not path.is_dir())
        return {p for p in places if p.parts[0] not in (".evreel-tmp", "release")}

    before = there()
    steps.tidy(remove=True)
    assert before - there() == {p for p in before if p.stem[:3] == "two" or "voxels" in p.parts}
    assert (copied / "raw" / "two.aedat4").exists()
    assert planned(copied) == []
    assert steps.verify(results / "release" / "tiny-1.0") == []


def test_new_row__builds_only_it_and_the_release(copied):
    for part in ("rois", "tags"):
        text = (copied / "raw" / f"two.{part}.xml").read_text(encoding="utf-8")
        (copied / "raw" / f"three.{part}.xml").write_text(text.replace("two", "three"), "utf-8")
    xmls = ["raw/three.rois.xml", "raw/three.tags.xml"]
    change_table(copied, lambda rows: [*rows, ["three", *rows[2][1:4], *xmls]])
    run = snakemake(copied, "-n")
    made = re.findall(r"^    output: (.*)", run.stdout, re.MULTILINE)
    assert made
    assert all("three" in files or "release" in files for files in made), made
    assert planned(copied) == sorted(
        [
            "acquire",
            "all",
            "annotate",
            "clock",
            "events",
            "features",
            "preview",
            "publish_events",
            *["publish_features"] * 2,
            "publish_slices",
            "release",
            "release_plan",
            "summary",
            "video",
        ]
    )


def test_labels_of_some_recordings__are_released_and_none_are_made_up(copied):
    boxes = np.load(copied / "results" / "slices" / "one_bbox.npy")
    boxes["t"] += steps.info(copied / "raw" / "two.aedat4")["t_offset"]  # on the camera's clock
    boxes["x"][0] = -2
    np.save(copied / "raw" / "published.npy", boxes)
    table = copied / "recordings.tsv"
    one, two = table.read_text(encoding="utf-8").splitlines()[1:]
    cells = two.split("\t")
    rows = [
        "id\tsource\tmd5\tsplit\trois\ttags\tboxes\tboxes/outside",
        f"{one}\t\t",
        "\t".join(["tagged", *cells[1:4], "", cells[5], "", ""]),
        "\t".join(["bare", *cells[1:4], "", "", "", ""]),
        "\t".join(["boxed", *cells[1:4], "", "", "raw/published.npy", "clip"]),
    ]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    build(copied, "--cores", "2", "release")
    release = copied / "results" / "release" / "tiny-1.0"
    assert steps.verify(release) == []
    found = {path.relative_to(release).as_posix() for path in release.rglob("*_bbox.npy")}
    folders = ("slices", "histogram", "voxels")
    assert found == {
        *(f"train/{folder}/one_bbox.npy" for folder in folders),
        *(f"test/{folder}/boxed_bbox.npy" for folder in folders),
    }
    clipped = np.load(release / "test" / "slices" / "boxed_bbox.npy")
    assert (len(clipped), clipped["x"].min()) == (len(boxes), 0)
    log = (copied / "results" / "logs" / "boxes" / "boxed.log").read_text(encoding="utf-8")
    assert "boxed_bbox.npy: 1 box that reached outside the sensor, clipped" in log
    assert (release / "test" / "slices" / "bare.h5").exists()
    assert not (release / "test" / "slices" / "boxed.h5").exists()


def test_results__that_cannot_be_written_are_one_error(copied):
    results = copied / "results"
    shutil.rmtree(results)
    results.mkdir(mode=0o555)
    run = subprocess.run(
        [*bound(), *command(copied, "--cores", "1", "all_events")],
        cwd=copied,
        capture_output=True,
        text=True,
        check=False,
    )
    text = run.stdout + run.stderr
    assert run.returncode != 0
    assert "\nresults: cannot be written: Permission denied (results/.evreel-tmp). Give" in text
    assert "Traceback" not in text
    assert "pathlib" not in text
    results.rmdir()
    results.touch()
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    assert "\nresults: cannot be written: Not a directory. A folder is needed there" in run.stdout
    assert "Traceback" not in run.stdout


def test_folder__that_snakemake_cannot_write_its_records_to_is_one_error(copied):
    records = copied / ".snakemake"
    shutil.rmtree(records)
    records.mkdir(mode=0o555)
    run = subprocess.run(
        [*bound(), *command(copied, "-n")],
        cwd=copied,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    records.chmod(0o755)
    assert run.returncode != 0
    assert "\n.snakemake: cannot be written: no permission to make files there. Give" in run.stdout
    assert "Traceback" not in run.stdout


def test_settings_of_other_steps__rebuild_nothing(copied):
    config = {**CONFIG, "acquire": {"member_gib": 32, "timeout_s": 9}, "samples": {"by": "none"}}
    write_config(copied, config)
    assert set(planned(copied)) <= {"all", "release"}  # which carries the config
    write_config(copied, {**CONFIG, "labels": [*CONFIG["labels"], "bus"]})
    assert planned(copied) == [
        *("all", *["annotate"] * 2, *["preview"] * 2, *["publish_slices"] * 2, "release"),
        *["summary"] * 2,
    ]


def test_changed_feature_parameter__rebuilds_that_feature_and_the_release(copied):
    features = CONFIG["features"] | {"voxels": CONFIG["features"]["voxels"] | {"count": 400}}
    write_config(copied, CONFIG | {"features": features})
    assert planned(copied) == ["all", *["features"] * 2, *["publish_features"] * 4, "release"]
    files = {
        name: copied / "results" / "features" / name / "one.h5" for name in ("histogram", "voxels")
    }
    before = {name: (path.stat().st_ino, path.read_bytes()) for name, path in files.items()}
    build(copied, "--cores", "2", "all_features")
    after = {name: (path.stat().st_ino, path.read_bytes()) for name, path in files.items()}
    assert before["histogram"] == after["histogram"], "the job leaves what is as it should be"
    assert before["voxels"][1] != after["voxels"][1]
    log = (copied / "results" / "logs" / "features" / "one.log").read_text(encoding="utf-8")
    assert "histogram/one.h5: kept, it is complete and the same" in log
    assert planned(copied, "all_features") == []


def with_boxes(**more):
    """Return the config with boxes in the order of the windows of a feature."""
    features = CONFIG["features"]
    histogram = {**features["histogram"], "boxes": "last", **more}
    return {**CONFIG, "features": {**features, "histogram": histogram}}


def test_windows_that_end_at_labels_and_times__are_made_again_with_these(copied):
    one = {"representation": "histogram", "window_us": 15_000}
    write_config(
        copied, CONFIG | {"features": {at: one | {"ending": at} for at in ("labels", "times")}}
    )
    (copied / "t.txt").write_text("5000\n20000\n")
    more = [["times"], ["t.txt"], ["t.txt"]]
    change_table(copied, lambda rows: [row + added for row, added in zip(rows, more, strict=True)])
    build(copied, "--cores", "2")
    recording = open_release(copied / "results" / "release" / "tiny-1.0").recordings["one"]
    assert recording.features["times"].windows.stop_us.tolist() == [5_000, 20_000]
    ends = np.unique(recording.boxes["t"]).tolist()
    assert recording.features["labels"].windows.stop_us.tolist() == ends
    edited_long_ago(copied / "t.txt", lambda text: text + "30000\n")
    assert planned(copied, "all_features") == ["all_features", "features", "features"]
    (copied / "t.txt").write_text("5000\n20000\n")
    edited_long_ago(copied / "raw" / "one.rois.xml", lambda text: text + "\n")
    assert planned(copied, "all_features") == ["all_features", "annotate", "features"]


def test_boxes_by_windows__are_made_of_labels_and_windows_and_never_make_a_feature(copied):
    write_config(copied, with_boxes())
    jobs = ["all", "feature_boxes", "feature_boxes", "release", "release_plan"]
    assert planned(copied) == jobs
    build(copied, "--cores", "2")
    release = open_release(copied / "results" / "release" / "tiny-1.0")
    recording = release.recordings["one"]
    boxes, first = recording.boxes_of("histogram", "last")
    files = recording.files
    folder = "train/histogram/one_bbox"
    assert np.load(files[f"{folder}.npy"]).tobytes() == boxes.tobytes()
    assert np.load(files[f"{folder}_first.npy"]).tolist() == first.tolist()
    assert len(boxes) == first[-1] > 0
    assert f"{folder}.json" in files
    assert "train/voxels/one_bbox_first.npy" not in files, "which did not ask for it"
    assert planned(copied) == []
    xml = copied / "raw" / "one.rois.xml"
    text = xml.read_text(encoding="utf-8")
    xml.write_text(text + "\n", encoding="utf-8")
    assert planned(copied) == [
        *("all", "annotate", "feature_boxes", "preview", "publish_slices", "release", "summary")
    ]
    xml.write_text(text, encoding="utf-8")
    write_config(copied, with_boxes(window_us=20_000))
    assert planned(copied) == [
        *("all", *["feature_boxes"] * 2, *["features"] * 2, *["publish_features"] * 4, "release")
    ]
    write_config(copied, with_boxes(boxes="all"))
    assert planned(copied, "all_features") == ["all_features", "feature_boxes", "feature_boxes"]
    write_config(copied, with_boxes())
    shutil.rmtree(copied / ".snakemake")  # as where results were copied from elsewhere
    edited_long_ago(xml, lambda text: text + "\n")
    assert planned(copied) == [
        *("all", "annotate", "feature_boxes", "preview", "publish_slices", "release", "summary")
    ]
    (copied / "results" / "features" / "histogram" / "two_bbox_first.npy").unlink()
    assert planned(copied, "all_features").count("feature_boxes") == 2


def test_geometry__makes_a_feature_again_of_regions_with_boxes_that_fit(copied):
    features = CONFIG["features"]
    geometry = {"crop": [2, 1, 40, 31], "flip_x": True, "labels": ["car"]}
    voxels = {**features["voxels"], "geometry": geometry}
    write_config(copied, {**CONFIG, "features": {**features, "voxels": voxels}})
    jobs = ["all", *["feature_boxes"] * 2, *["features"] * 2, *["publish_features"] * 4]
    jobs += ["release", "release_plan"]
    assert planned(copied) == jobs
    folder = copied / "results" / "features" / "voxels"
    build(copied, "--cores", "2", "results/features/voxels/one_bbox.npy")
    with FeaturesFile(folder / "one.h5") as file:
        assert file.geometry.plain() == Geometry(**geometry).plain()
        assert file.shape[2:] == (30, 38)
        inputs = json.loads(file.provenance["inputs"])
    assert inputs["slices"] == sha256(copied / "results" / "slices" / "one.h5")
    boxes = np.load(folder / "one_bbox.npy")
    assert len(boxes) > 0
    assert (boxes["x"] + boxes["w"]).max() <= 38.01
    assert planned(copied, "results/features/voxels/one_bbox.npy") == []
    xml = copied / "raw" / "one.rois.xml"
    xml.write_text(xml.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    jobs = ["annotate", "feature_boxes", "features"]
    assert planned(copied, "results/features/voxels/one_bbox.npy") == jobs


def test_raised_revision__rebuilds_that_step(copied, tmp_path):
    house = tmp_path / "house"
    house.mkdir()
    for name in ("Snakefile", "workflow", "scripts", "envs", "profiles"):
        (house / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "src", house / "src", ignore=shutil.ignore_patterns("__pycache__"))
    same = planned(copied, house=house)
    assert same == [], "the copy of the house alone makes something run"
    provenance = house / "src" / "evreel" / "provenance.py"
    text = provenance.read_text(encoding="utf-8")
    raised = re.sub(r'"features": ([0-9]+)', lambda match: f'"features": {int(match[1]) + 1}', text)
    assert raised != text
    provenance.write_text(raised, encoding="utf-8")
    assert planned(copied, house=house) == ["all", *["features"] * 2, *["publish_features"] * 4, "release"]


def test_dry_run__says_why_each_job_runs(copied):
    write_config(copied, CONFIG | {"video": {"preset": "fast"}})
    (copied / "results" / "slices" / "one.h5").unlink()
    run = snakemake(copied, "-n")
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)+)", run.stdout, re.MULTILINE)
    why = {name: re.search(r"reason: (.*)", job)[1] for name, job in jobs}
    assert set(why) == {
        *("all", "annotate", "preview", "publish_slices", "release", "summary", "video")
    }
    assert "Missing output files: results/slices/one.h5" in why["annotate"]
    assert "Params have changed" in why["video"]
    assert "'ultrafast'" in why["video"]
    assert "'fast'" in why["video"]


def test_manual_source_not_there_yet__is_a_failure_that_says_what_to_get(copied):
    change_table(
        copied,
        lambda rows: [
            [*rows[0], "page"],
            [rows[1][0], "manual:later/one.aedat4", *rows[1][2:], "https://example.org/login"],
            [*rows[2], ""],
        ],
    )
    md5 = (copied / "recordings.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[2]
    shutil.rmtree(copied / "results")
    run = snakemake(copied, "--cores", "2", "all_events")
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    summary = run.stdout.split("1 job failed; jobs that need it did not run:")[1]
    assert "acquire: results/recordings/one.aedat4\n" in summary
    assert (
        "SourceError: later/one.aedat4: is not there yet; it has to be downloaded by hand. "
        f"Download one.aedat4 (md5 {md5}) from https://example.org/login, put it into folder "
        f"{copied / 'later'} and run the same command again."
    ) in summary
    assert (copied / "results" / "events" / "two.h5").is_file(), "the other one did not go on"

    (copied / "later").mkdir()
    (copied / "raw" / "one.aedat4").rename(copied / "later" / "one.aedat4")
    build(copied, "--cores", "2", "all_events")
    assert (copied / "results" / "events" / "one.h5").is_file()


def test_what_is_known_of_a_recording__goes_along_into_the_release(copied):
    (copied / "raw" / "lens.yaml").write_text("k1: 0.1\n", encoding="utf-8")
    more = {
        "group": "bench",
        "meta.lens": "6 mm",
        "meta.light_lux": "120",
        "time_offset_us": "-12",
        "calibration": "raw/lens.yaml",
        "sensor": "63x47",
        "rois_md5": hashlib.md5((copied / "raw" / "one.rois.xml").read_bytes()).hexdigest(),
    }
    change_table(
        copied,
        lambda rows: [
            [*rows[0], *more],
            [*rows[1], *more.values()],
            [*rows[2], *[""] * len(more)],
        ],
    )
    build(copied, "--cores", "2", "release")
    release = copied / "results" / "release" / "tiny-1.0"
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["recordings"]["one"].items() >= (more | {"calibration": "lens.yaml"}).items()
    assert "group" not in manifest["recordings"]["two"]
    assert (release / "sidecars/one.calibration.yaml").read_text(encoding="utf-8") == "k1: 0.1\n"
    assert steps.verify(release) == []


def test_what_is_known_of_a_recording__is_checked_where_given(copied):
    table = (copied / "recordings.tsv").read_text(encoding="utf-8")
    change_table(copied, lambda rows: [[*rows[0], "rois_md5"], *([*r, "0" * 32] for r in rows[1:])])
    run = snakemake(copied, "-n")
    assert run.returncode != 0
    for line, name in ((2, "one"), (3, "two")):
        told = f"recordings.tsv: line {line}: rois: raw/{name}.rois.xml: md5 is "
        assert told in run.stdout
    assert "expected 00000000000000000000000000000000" in run.stdout
    (copied / "recordings.tsv").write_text(table, encoding="utf-8")
    change_table(
        copied,
        lambda rows: [
            [*rows[0], "sensor", "n_events"],
            [*rows[1], "", ""],
            [*rows[2], "346x260", ""],
            ["three", *rows[2][1:4], "", "", "", "7"],
        ],
    )
    run = snakemake(copied, "--cores", "2", "all_slices")
    assert run.returncode != 0
    told = run.stdout.split("2 jobs failed; jobs that need them did not run:")[1]
    for output, message in (
        ("results/events/two.h5", "states a sensor of 63x47 px, but 346x260 was given"),
        ("results/events/three.h5", "events; 7 are expected. Is it the right recording?"),
    ):
        assert message in told.split(f": {output}")[1].split("\n\n")[0], told


def test_all_qa__shows_what_is_labelled_in_every_recording(copied):
    assert planned(copied, "all_qa") == ["all_qa", "qa", "qa"]  # the summaries are there


def test_font__is_judged_by_its_content_as_other_local_files_are(copied):
    font, plot = copied / "raw" / "f.ttf", "results/slices/one.summary.png"
    shutil.copy(DEJAVU, font)
    config = CONFIG | {"qa": {"font": "raw/f.ttf", "magnify": 2}}
    write_config(copied, config)
    build(copied, "--cores", "2", plot)
    assert planned(copied, plot) == []
    os.utime(font)
    assert planned(copied, plot) == [], "it is newer, and the same"
    shutil.copy(DEJAVU.with_name("DejaVuSans-Bold.ttf"), font)
    os.utime(font, (1_000_000_000, 1_000_000_000))
    assert planned(copied, plot) == ["summary"]
    font.write_bytes(b"no font")
    run = snakemake(copied, "-n", plot)
    assert run.returncode != 0
    assert "qa/font: f.ttf: is not a font that letters can be drawn from" in run.stdout


def test_demo_config__plans_every_step_of_three_recordings(tmp_path):
    for name in ("demo", "config.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    jobs = planned(tmp_path)
    assert jobs.count("events") == jobs.count("annotate") == 3
    assert jobs.count("features") == 3


def edited_long_ago(path, edit):
    """Change a file's text, and set its times to what they might be in an archive."""
    text = path.read_text(encoding="utf-8")
    assert edit(text) != text
    path.unlink()  # as a copy in its place does
    path.write_text(edit(text), encoding="utf-8")
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_edited_xml__is_seen_though_its_time_is_older_than_what_was_made_from_it(copied):
    edited_long_ago(copied / "raw" / "one.rois.xml", lambda text: text.replace("xtl", "xtl", 1) + "\n")
    assert planned(copied) == [
        *("all", "annotate", "preview", "publish_slices", "release", "summary")
    ]
    assert "before: {'rois': '" in build(copied, "-n", "all_slices")


def test_edited_xml__is_seen_where_snakemake_has_no_records(copied):
    shutil.rmtree(copied / ".snakemake")  # as where results were copied from elsewhere
    assert planned(copied) == []
    edited_long_ago(copied / "raw" / "one.rois.xml", lambda text: text + "\n")
    assert "slices/one.h5: was made from other files than there are now" in build(copied, "-n")
    assert planned(copied) == [
        *("all", "annotate", "preview", "publish_slices", "release", "summary")
    ]


def test_edited_recording__is_seen_though_its_time_and_size_are_the_same(copied):
    recording = copied / "raw" / "one.aedat4"
    times = recording.stat()
    data = bytearray(recording.read_bytes())
    data[-1] ^= 1
    recording.write_bytes(data)
    os.utime(recording, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert recording.stat().st_mtime_ns == times.st_mtime_ns
    assert "acquire" in planned(copied)


def test_release__is_refused_where_a_recording_is_not_the_one_that_was_decoded(copied):
    (copied / "results" / "release" / "tiny-1.0" / "manifest.json").unlink()
    recording = copied / "results" / "recordings" / "one.aedat4"
    data = recording.read_bytes() + b"\0"
    recording.unlink()
    recording.write_bytes(data)
    os.utime(recording, (1_000_000_000, 1_000_000_000))
    run = snakemake(copied, "--cores", "2", "release", "--rerun-triggers", "mtime")
    assert run.returncode != 0
    assert "'train/events/one.h5': was made from another recording than the file of 'one' now" in run.stdout
