"""A folder with any files is looked through, and what belongs together is told."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from evreel.checks.finding import Report
from evreel.checks.run import audit, check
from evreel.layout import LABEL_MAP
from support.checks import annotate, simulate, write_boxes, write_voxels
from support.hdf5 import edited


@pytest.fixture(scope="module")
def days(made, tmp_path_factory):
    """Return a folder of two days: recordings of one name, and what is made of them."""
    folder = tmp_path_factory.mktemp("days")
    for name, raw in (("day1", made / "raw" / "one"), ("day2", simulate(folder, "two", 2))):
        day, store = folder / "days" / name, folder / "days" / name / "events" / "rec.h5"
        annotate(raw, store, folder / f"{name}.tsv", day / "labels" / "rec.h5")
        write_voxels(store, day / "features" / "rec.h5")
        (day / "raw").mkdir()
        shutil.copyfile(raw.with_suffix(".aedat4"), day / "raw" / "rec.aedat4")
    return folder / "days"


def test_check__keeps_two_days_with_the_same_names_apart(days, tmp_path):
    for look in (check, audit):
        assert not look(days).errors, list(look(days).lines())
    shutil.copytree(days, tmp_path / "d")
    (tmp_path / "d" / "day1" / "events" / "rec.h5").unlink()
    assert not check(tmp_path / "d").errors, "day1 is not held to the store of day2"
    with edited(tmp_path / "d" / "day2" / "features" / "rec.h5") as file:
        file["windows/stop"][-1] += 1_000
    with edited(tmp_path / "d" / "day2" / "events" / "rec.h5") as file:
        file["events/p"][5] ^= 1
    errors = [(f.check, f.path) for f in check(tmp_path / "d").findings if f.severity == "error"]
    assert errors == [
        ("feature_windows", "day2/features/rec.h5"),
        ("made_from", "day2/features/rec.h5"),
        ("made_from", "day2/labels/rec.h5"),
        ("other_events", "day2/labels/rec.h5"),
    ]


def test_audit__compares_boxes_with_the_nearest_recording_of_their_name(made, tmp_path):
    times = 20_000, 50_000, 900_000
    for day in "ab":
        (tmp_path / day / "labels").mkdir(parents=True)
        shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / day / "rec.aedat4")
    write_boxes(tmp_path / "b" / "labels" / "rec_bbox.npy", times)
    write_boxes(tmp_path / "rec_bbox.npy", times)
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path) == ("beyond", "b/labels/rec_bbox.npy")


def test_check__finds_links_that_lead_nowhere(tmp_path):
    for name in ("y.h5", "z_bbox.npy", "a.raw", "notes.md"):
        (tmp_path / name).symlink_to("nowhere")
    assert [f.path for f in check(tmp_path).findings] == ["y.h5", "z_bbox.npy"]
    assert [f.path for f in audit(tmp_path).findings] == ["a.raw", "y.h5", "z_bbox.npy"]


@pytest.mark.parametrize(
    "text", ['"012"', "[0, 1]", '{"0": 1}', '{"-5": "car"}', f'{{"{"9" * 30}": "car"}}', ""]
)
def test_check__accepts_only_numbers_and_names_in_a_label_map(tmp_path, text):
    write_boxes(tmp_path / "a_bbox.npy", [])
    (tmp_path / LABEL_MAP).write_text(text)
    for path in (tmp_path, tmp_path / "a_bbox.npy"):
        [finding] = check(path).findings
        assert (finding.check, finding.path) == ("readable", LABEL_MAP)


def test_check__of_one_file_uses_the_label_map_above_it(tmp_path):
    (tmp_path / "train").mkdir()
    write_boxes(tmp_path / "train" / "a_bbox.npy", [0], class_id=1)
    (tmp_path / LABEL_MAP).write_text('{"0": "car"}')
    assert [f.check for f in check(tmp_path / "train" / "a_bbox.npy").findings] == ["box_class"]
    (tmp_path / "train" / LABEL_MAP).write_text('{"1": "car"}')
    assert not check(tmp_path / "train" / "a_bbox.npy").findings, "the nearer one counts"


def test_check__goes_down_any_number_of_folders(tmp_path, monkeypatch):
    folders = ["d"] * 1_100
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        Path(folder).mkdir()
        os.chdir(folder)
    Path("a.h5").touch()
    try:
        for look in (check, audit):
            [finding] = look(tmp_path).findings
            assert finding.path == "/".join([*folders, "a.h5"])
    finally:  # shutil.rmtree, by which pytest tidies up, is recursive
        Path("a.h5").unlink()
        for folder in folders:
            os.chdir("..")
            Path(folder).rmdir()


def test_audit__counts_unrecognized_files_and_follows_no_circular_links(made, tmp_path):
    shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / "odd name.bin")
    (tmp_path / "notes.doc").write_bytes(b"\x00\x01")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe_bbox.npy")
    os.mkfifo(tmp_path / "pipe")
    report = audit(tmp_path)
    assert report == Report((), 1, 5)
    assert report.summary == "0 errors, 0 warnings in 1 file; 5 files not looked at"


def test_audit__prints_names_in_one_line(tmp_path):
    (tmp_path / "a\n\x1b[31m.bin").write_bytes(b"")
    [finding] = audit(tmp_path).findings
    assert finding.path == "a\\n\\x1b[31m.bin"
