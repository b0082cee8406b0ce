"""Checking a path finds nothing in sound data, and says what it can not look at."""

from __future__ import annotations

import json

import h5py
import pytest

from evreel.checks.finding import Report
from evreel.checks.run import audit, check
from evreel.cli import main
from evreel.errors import UsageError
from support.checks import write_boxes


def test_check__has_no_error_for_what_evreel_makes(made):
    report = check(made / "results")
    assert not report.errors, list(report.lines())
    assert report.looked_at > 12
    for path in ("events/one.h5", "slices/one_bbox.npy", "release/portable", "release/fast"):
        assert not check(made / "results" / path).findings
    assert not audit(made).errors


def test_check__finds_in_one_file_what_the_audit_finds_there(planted):
    for path in ("events/order.h5", "slices/roi.h5", "features/feature_values.h5"):
        name = path.split("/")[1].removesuffix(".h5")
        assert [f.check for f in check(planted.folder / path).findings] == [name]
    report = check(planted.folder / "boxes" / "box_class_bbox.npy")
    assert [f.check for f in report.findings] == ["box_class"], "the label map lies beside it"


def test_finding__in_copies_of_one_file_is_one_that_names_them_all(tmp_path, capsys):
    places = ("features/h/park_bbox.npy", "slices/park_bbox.npy", "voxels/park_bbox.npy")
    for place in (*places, "other/park_bbox.npy"):
        (tmp_path / place).parent.mkdir(parents=True)
        write_boxes(tmp_path / place, [20, 10])
    # The same is found in it, and it is another file.
    write_boxes(tmp_path / "other" / "park_bbox.npy", [20, 10], x=3)
    (tmp_path / places[2]).unlink()
    (tmp_path / places[2]).symlink_to(tmp_path / places[0])
    other, copied = (f for f in check(tmp_path).findings if f.check == "box_order")
    if other.path != "other/park_bbox.npy":
        other, copied = copied, other
    assert (other.path, other.copies) == ("other/park_bbox.npy", ())
    assert (copied.path, copied.copies) == (places[0], places[1:])
    assert str(copied).endswith(f"(also in 2 copies of it: {places[1]}, {places[2]})")
    assert main(["check", str(tmp_path), "--json"]) == 1
    found = [f for f in json.loads(capsys.readouterr().out) if f["check"] == "box_order"]
    assert sorted(f.get("copies", []) for f in found) == [[], list(places[1:])]
    [alone] = (f for f in check(tmp_path / places[1]).findings if f.check == "box_order")
    assert (alone.copies, alone.problem) == ((), copied.problem)


def test_check__of_what_evreel_did_not_make_says_to_use_audit(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match="evreel audit"):
        check(tmp_path / "a.txt")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1]
    with pytest.raises(UsageError, match="evreel audit"):
        check(tmp_path / "other.h5")
    for look in (check, audit):
        with pytest.raises(UsageError, match="does not exist"):
            look(tmp_path / "none")
    with pytest.raises(UsageError, match="is not a recording"):
        audit(tmp_path / "a.txt")
    assert check(tmp_path) == Report((), 0, 2)


def test_command__exits_1_only_for_errors_and_prints_json(planted, tmp_path, capsys):
    assert main(["check", str(planted.folder / "events" / "order.h5")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 error, 0 warnings in 1 file"
    assert main(["audit", "--json", str(planted.folder / "events" / "gap.h5")]) == 0
    [finding] = json.loads(capsys.readouterr().out)
    assert finding["check"] == "gap"
    assert set(finding) == {"severity", "check", "path", "place", "problem"}
    assert main(["check", str(tmp_path / "none")]) == 2
