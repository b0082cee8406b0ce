"""Verify finds every byte of a release that differs, and follows nothing out of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ReleaseError
from evreel.release.manifest import MANIFEST, read_manifest
from evreel.release.verify import Difference, verify
from support.releases import edit_manifest, files_below

LISTS = (MANIFEST, "MD5SUMS", "SHA256SUMS")


def problems(folder: Path) -> dict[str, str]:
    """What verify finds, path → problem; each path may come once."""
    findings = verify(folder)
    assert findings == sorted(findings)
    assert len({finding.path for finding in findings}) == len(findings), findings
    return {finding.path: finding.problem for finding in findings}


def flipped(whole: bytes, position: int) -> bytes:
    spoiled = bytearray(whole)
    spoiled[position] ^= 1 << position % 8
    return bytes(spoiled)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda whole: flipped(whole, 0), id="first-byte"),
        pytest.param(lambda whole: flipped(whole, len(whole) - 1), id="last-byte"),
        pytest.param(lambda whole: flipped(whole, len(whole) * 2 // 3), id="a-byte"),
        pytest.param(lambda whole: whole[:-1], id="cut"),
        pytest.param(lambda whole: whole + b"\n", id="grown"),
        pytest.param(lambda whole: None, id="missing"),
    ],
)
def test_verify__names_exactly_the_changed_file(copied, spoil):
    for path, place in files_below(copied).items():
        whole = place.read_bytes()
        spoiled = spoil(whole) if whole else None
        if spoiled is None:
            place.unlink()
            assert problems(copied) == {path: "is missing"}
        else:
            place.write_bytes(spoiled)
            assert {finding.path for finding in verify(copied)} == {path}
        place.write_bytes(whole)
    assert verify(copied) == []


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(LISTS),
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
    assert f"expected {hashlib.sha256(b'<annotations/>' + bytes([10])).hexdigest()}" in problem


def test_verify__says_how_many_bytes_there_should_be(copied):
    (copied / "annotations/park.xml").write_text("")
    assert problems(copied) == {"annotations/park.xml": "has 0 bytes, expected 15"}
    (copied / "splits/test.txt").write_text("\n")
    assert problems(copied)["splits/test.txt"] == "has 1 bytes, expected 0"


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


def test_verify__lists_all_differences(copied):
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


@pytest.mark.parametrize(
    ("lists", "checked"),
    [((MANIFEST,), True), (("MD5SUMS", "SHA256SUMS"), True), (LISTS, False)],
)
def test_verify__without_some_of_its_lists_uses_the_others(copied, lists, checked):
    for name in lists:
        (copied / name).unlink()
    (copied / "train/events/park.h5").unlink()
    (copied / "annotations/park.xml").write_text("<Annotations/>\n")
    spoiled = {"train/events/park.h5", "annotations/park.xml"} if checked else set()
    found = problems(copied)
    assert found.keys() == {*lists, *spoiled}
    assert {found[name] for name in lists} == {"is missing"}


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
        MANIFEST: "was changed: MD5SUMS and SHA256SUMS have other checksums for it"
    }


def test_verify__of_an_edited_list_with_new_checksums_finds_the_files_that_differ(copied):
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
        ("../secret", "contains '..'"),
        ("/etc/passwd", "is absolute"),
        ("C:/Windows", "is absolute"),
        ("a/../../secret", "contains '..'"),
        ("train//x", "contains an empty folder name"),
        ("train\\x", "contains a backslash"),
        ("x\0y", "contains a control character"),
        ("x\ny", "contains a control character"),
        ("", "is empty"),
        ("readme.md", "differs from 'README.md' only in case"),
        ("README.md", "is duplicated"),
        ("README.md/x", "needs a folder where 'README.md' is a file"),
        ("train", "is a file where 'train' is a folder"),
        ("manifest.json", "is a file that evreel writes"),
        ("x" * 256, "contains a name longer than 255 bytes"),
    ],
)
def test_verify__reads_nothing_that_a_hostile_manifest_names(copied, path, problem, monkeypatch):
    (copied.parent / "secret").write_text("secret")
    file = {"size": 6, "md5": "0" * 32, "sha256": "0" * 64, "kind": "", "id": "", "split": ""}
    file["source_sha256"] = ""
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
        (b'{"layout": 1, "layout": 2}', "a key is duplicated"),
        (b"[]", "is not a manifest of a release"),
        (b'{"layout": "evreel-events"}', "is not a manifest of a release"),
        (b'{"layout": "evreel-release", "layout_version": 1}', "has version 1; this evreel"),
        (b'{"layout": "evreel-release", "layout_version": 3}', "name is None"),
        (
            b'{"layout": "evreel-release", "layout_version": 3, "name": "a", "version": "1",'
            b' "licence": "x", "evreel_version": "0", "recordings": {}, "files": {}}',
            "files is not a list",
        ),
        (
            b'{"layout": "evreel-release", "layout_version": 3, "name": "a", "version": "1",'
            b' "licence": "x", "evreel_version": "0", "recordings": {"a": {"b": 1}}}',
            "recordings is not a map id",
        ),
    ],
)
def test_verify__without_a_valid_manifest_uses_the_checksums(copied, content, problem):
    (copied / MANIFEST).write_bytes(content)
    (copied / "annotations/park.xml").unlink()
    findings = verify(copied)
    assert {finding.path for finding in findings} == {MANIFEST, "annotations/park.xml"}
    assert any(problem in finding.problem for finding in findings)
    with pytest.raises(ReleaseError, match=rf"^manifest\.json: .*{problem}"):
        read_manifest(copied)


def test_verify__does_not_follow_links_out_of_the_release(copied, monkeypatch):
    outside = copied.parent / "outside"
    shutil.copytree(copied / "train", outside / "train")
    shutil.rmtree(copied / "train")
    (copied / "train").symlink_to("../outside/train")
    (copied / "annotations/park.xml").rename(outside / "park.xml")
    (copied / "annotations/park.xml").symlink_to(outside / "park.xml")
    found = problems(copied)
    assert "is outside the release" in found.pop("train")
    assert "is outside the release" in found.pop("annotations/park.xml")
    assert set(found.values()) == {"is missing"}
    assert all(path.startswith("train/") for path in found)


def test_verify__follows_links_within_the_release(copied):
    (copied / "annotations/park.xml").rename(copied / "moved.xml")
    (copied / "annotations/park.xml").symlink_to("../moved.xml")
    assert problems(copied) == {"moved.xml": "does not belong: it is not listed"}


def test_verify__names_entries_that_are_not_files_without_opening_them(copied):
    (copied / "README.md").unlink()
    os.mkfifo(copied / "README.md")
    (copied / "dangling").symlink_to("nothing")
    (copied / "folder").symlink_to("train")
    (copied / "config.json").unlink()
    (copied / "config.json").mkdir()
    found = problems(copied)
    assert found == {
        "README.md": "is not a regular file",
        "dangling": "is a link to nothing, which is not a file",
        "folder": "is a link to train, which is not a file",
        "config.json": "is missing",
    }


def test_verify__of_a_manifest_that_links_outside_says_so_once(copied):
    (copied / MANIFEST).rename(copied.parent / "elsewhere.json")
    (copied / MANIFEST).symlink_to("../elsewhere.json")
    assert problems(copied) == {
        MANIFEST: "is a link to ../elsewhere.json, which is outside the release"
    }


def test_verify__names_files_that_cannot_be_read(copied, monkeypatch):
    plain_open = os.open

    def refuse(name, *rest, **options):
        if str(name).endswith(("park.xml", "MD5SUMS")):
            raise PermissionError(13, "Permission denied")
        return plain_open(name, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert problems(copied) == dict.fromkeys(
        ["MD5SUMS", "annotations/park.xml"], "cannot be read: Permission denied"
    )


def test_verify__follows_a_link_to_the_release(made, tmp_path):
    (tmp_path / "link").symlink_to(made)
    assert verify(tmp_path / "link") == []


def test_verify__of_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ReleaseError, match=r"^nothing: is not a folder"):
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
