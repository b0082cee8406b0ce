"""Plan, manifest and sums: what is written is read again, and what cannot be is named."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import __version__
from evreel.errors import ReleaseError
from evreel.publish.build import build
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
    write_plan,
)
from support.releases import DATA_SET, LABELS, files_below, plan_in


def test_manifest__lists_every_file_except_itself_and_the_checksums(made):
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
    assert (manifest["layout"], manifest["layout_version"]) == ("evreel-release", 3)
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
def test_parse_manifest__describes_malformed_entries(change):
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


def test_plan__accepts_columns_in_any_order_and_usual_table_forms(tmp_path):
    table = "\ufeffsource\tid\tpath\r\na.h5\tä\tb.h5\r\n\r\nc\t\td\r\n"
    assert read_plan(plan_table(tmp_path, table)) == [
        PlanEntry("b.h5", Path("a.h5"), id="ä", line=2),
        PlanEntry("d", Path("c"), line=4),
    ]


def test_plan__finds_sources_from_the_working_directory(tmp_path, monkeypatch):
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
        ("..", "contains '..'"),
        ("a/../b", "contains '..'"),
        ("./a", "contains '.'"),
        ("a//b", "contains an empty folder name"),
        ("a/", "contains an empty folder name"),
        ("a\\b", "contains a backslash"),
        ("a\0b", "contains a control character"),
        ("a\x1bb", "contains a control character"),
        ("a\u2028b", "contains a control character"),
        ("ä" * 128, "contains a name longer than 255 bytes"),
        ("a/nul.txt", "contains 'nul.txt', which Windows cannot have as a name"),
        ("Aux/b.txt", "contains 'Aux', which Windows cannot have as a name"),
        ("a./b.txt", "contains 'a.', which Windows cannot have as a name"),
        ("other/A.txt", "is duplicated"),
        ("other/a.TXT", "differs from 'other/A.txt' only in case"),
        ("Other/b.txt", "differs from 'other' only in case"),
        ("other/A.txt/b", "needs a folder where 'other/A.txt' is a file"),
        ("other", "is a file where 'other' is a folder"),
        ("caf\u00e9", "differs from 'cafe\u0301' only in case or in the encoding of accents"),
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
        ("path,source\n", "line 1: column 'path,source' is unknown; columns are"),
        ("path\tsource\tsplits\n", "line 1: column 'splits' is unknown"),
        ("path\tsource\tpath\n", "line 1: column 'path' is duplicated"),
        ("path\tsource\na\n", "line 2: has 1 cells; the header has 2"),
        ("path\tsource\na\tb\tc\n", "line 2: has 3 cells; the header has 2"),
        ("path\tsource\na\t\n", "line 2: source is empty"),
        ("path\tsource\na\tb\0\n", "line 2: source 'b\\x00' contains a control character"),
        ('path\tsource\na\t"b\n', "line 2: "),
        (b"path\tsource\n\xff\tb\n", "is not UTF-8. Save it as UTF-8."),
    ],
)
def test_plan__refuses_a_table_of_another_form(tmp_path, table, problem):
    with pytest.raises(ReleaseError) as raised:
        read_plan(plan_table(tmp_path, table))
    assert str(raised.value).startswith(f"plan.tsv: {problem}")


def test_plan__that_is_missing_is_named(tmp_path):
    with pytest.raises(ReleaseError, match=r"^plan\.tsv: cannot be read: No such file"):
        read_plan(tmp_path / "plan.tsv")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("aAbß./\\ :é\u0301\0"), max_size=7), max_size=6))
def test_paths_taken__are_below_the_root_and_distinct(tmp_path_factory, paths):
    taken = PathsTaken()
    accepted = [path for path in paths if taken.add(path) is None]
    root = Path("/release")
    for path in accepted:
        assert os.path.normpath(root / path) == f"/release/{path}"
    lower = [path.casefold() for path in accepted]
    assert len(set(lower)) == len(lower)
    for one in lower:
        assert not any(other.startswith(one + "/") for other in lower)


def test_manifest__says_what_is_missing_and_only_then():
    missing = {"b": {"split": "test", "reason": "events: FormatError: bad"}}
    complete = Manifest("n", "1", "CC0-1.0", ())
    lacking = Manifest("n", "1", "CC0-1.0", (), {"a": {}}, missing=missing)
    assert b"missing" not in manifest_bytes(complete)
    assert (complete.lacks, lacking.lacks) == ("", "1 of 2 recordings: 'b'")
    read, problems = parse_manifest(manifest_bytes(lacking))
    assert (read, problems) == (lacking, [])
    damaged = manifest_bytes(lacking).replace(b'"events: FormatError: bad"', b"3")
    with pytest.raises(ReleaseError, match="missing is not a map id → column → text"):
        parse_manifest(damaged)
