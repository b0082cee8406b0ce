"""A corrected sum, size or count makes nothing again that has what is stated now."""

from __future__ import annotations

import base64
import hashlib
import os
import time
import zlib
from pathlib import Path

import pytest

from evreel.dataset import stated as module
from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.inputs import changed_source
from evreel.dataset.job_records import INCOMPLETE
from evreel.dataset.memory import Digests, Memory
from evreel.dataset.notes import ACQUIRED, Notes, Stated
from evreel.dataset.settings import Config
from evreel.dataset.stated import (
    as_recorded_now,
    restore_links,
    settled_count,
    settled_member,
    verified,
)
from evreel.settings import read
from support.dataset import CONFIG, write_table

DATA = b"events"
MD5, SHA256 = hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()
OTHER, CRC32 = "0" * 32, f"{zlib.crc32(DATA):08x}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.raw").write_bytes(DATA)
    return tmp_path


def of(stated, source="one.raw"):
    return {"source": source, **stated._asdict()}


def recorded(stated, **more):
    """Return parameters of a job as Snakemake records them."""
    return [
        "'one.raw'",
        "1",
        "None",
        repr({**stated.plain(), "changed": None, "again": False} | more),
    ]


@pytest.fixture(params=["a link", "a download"])
def acquired(request, folder):
    """A source that was acquired, and what says that its job ran with some statement."""
    if request.param == "a link":
        (folder / "got.raw").symlink_to("one.raw")
        source = "one.raw"
    else:
        (folder / "one.raw").rename(folder / "got.raw")
        source = "https://example.org/one.raw"

    def said(now, then, found=None, memory=None, known=lambda _: None):
        return verified(
            "got.raw",
            of(now, source),
            params=None if then is None else recorded(then),
            found=found,
            memory=memory or Memory(),
            known=known,
        )

    return said


def as_recorded(stated):
    return {**stated.plain(), "changed": None, "again": False}


TRUE = [
    (Stated(MD5, SHA256), Stated(sha256=SHA256)),
    (Stated(MD5), Stated(sha256=SHA256)),
    (Stated(sha256=SHA256), Stated(MD5)),
    (Stated(MD5), Stated(MD5, SHA256)),
    (Stated(MD5.upper()), Stated(MD5)),
    (Stated(MD5, size_bytes=6), Stated(MD5)),
    (Stated(MD5, size_bytes=6), Stated(MD5, size_bytes=6)),
]


@pytest.mark.parametrize("now, then", TRUE)
@pytest.mark.parametrize("found", [None, Stated(MD5, None, 6)])
def test_statement__that_is_true_of_the_file_stays_as_it_was_recorded(acquired, now, then, found):
    assert acquired(now, then, found) == as_recorded(then)


@pytest.mark.parametrize(
    "now, then",
    [
        (Stated(OTHER), Stated(MD5)),
        (Stated(OTHER, SHA256), Stated(sha256=SHA256)),
        (Stated(MD5, size_bytes=7), Stated(MD5)),
        (Stated(MD5), None),
    ],
)
@pytest.mark.parametrize("found", [None, Stated(MD5, None, 6)])
def test_statement__that_is_not_true_of_the_file_runs_its_job(acquired, now, then, found):
    said = acquired(now, then, found)
    assert Stated(said["md5"], said["sha256"], said["size_bytes"]) == now


def test_statement__that_was_wrong_in_the_last_run_too_runs_its_job_again(acquired, folder):
    """A failed job leaves no file, and the record of what it was asked for."""
    (folder / "got.raw").unlink()
    found = Stated(MD5, None, 6)
    once = acquired(Stated(OTHER), Stated(OTHER), found)
    assert once == {**as_recorded(Stated(OTHER)), "again": True}
    more = {"found": found, "memory": Memory()}
    wanted = {"source": "https://example.org/one.raw", "md5": OTHER}
    assert verified("got.raw", wanted, params=[repr(once)], **more) == as_recorded(Stated(OTHER))


@pytest.mark.parametrize("now", [Stated(MD5), Stated(MD5, size_bytes=6)])
def test_statement__that_is_corrected_after_a_run_that_failed_makes_nothing_again(
    acquired, folder, now
):
    (folder / "got.raw").unlink()
    found = Stated(MD5, None, 6)
    assert acquired(now, Stated(OTHER), found) == as_recorded(Stated(OTHER))


@pytest.mark.parametrize(
    "why", ["", "never acquired", "wrong sum", "no store", "killed", "there", "changed"]
)
def test_link__that_a_failed_job_left_out_is_made_again_where_that_is_certain(folder, why):
    md5 = OTHER if why == "wrong sum" else MD5
    table = [("id", "source", "md5", "split"), ("one", "one.raw", md5, "train")]
    write_table(folder, [*table, ("web", "https://example.org/web.raw", MD5, "train")])
    dataset = DataSet(*read_config(CONFIG | {"samples": {"by": "none"}}, awaited=()))
    link, store = Path("results/recordings/one.raw"), Path("results/events/one.h5")
    if why != "never acquired":
        Notes(ACQUIRED).write(link, Stated(MD5, None, 6))
    for path in (store, Path("results/events/web.h5")):
        path.parent.mkdir(parents=True, exist_ok=True)
        if why != "no store":
            path.write_bytes(b"")
    if why == "killed":
        INCOMPLETE.mkdir(parents=True)
        (INCOMPLETE / base64.urlsafe_b64encode(bytes(link)).decode()).touch()
    if why == "changed":
        Path("one.raw").write_bytes(b"others")
    if why == "there":
        link.parent.mkdir()
        link.symlink_to("nowhere")
    said = [f"{link}: was not there; it is a link to one.raw again"]
    assert list(restore_links(dataset, Memory())) == (said if why == "" else [])
    assert link.exists() == (why == "")
    if why == "":
        assert link.read_bytes() == DATA
        assert link.lstat().st_mtime_ns <= store.stat().st_mtime_ns


def test_source__that_is_another_with_the_md5_that_is_stated_now_is_acquired(folder):
    (folder / "got.raw").symlink_to("one.raw")
    (folder / "one.raw").write_bytes(b"others")
    now = Stated(hashlib.md5(b"others").hexdigest())
    for then in (Stated(MD5), Stated(sha256=SHA256)):
        for found in (None, Stated(MD5, SHA256, 6)):
            more = {"found": found, "memory": Memory()}
            assert verified("got.raw", of(now), params=recorded(then), **more) != as_recorded(then)


def test_file__is_read_only_for_a_digest_that_no_job_knows(acquired, folder, monkeypatch):
    later = time.time_ns() + 10**10
    os.utime("got.raw", ns=(later, later), follow_symlinks=False)
    monkeypatch.setattr("evreel.dataset.memory._digests", lambda path: pytest.fail("is read"))
    then = Stated(sha256=SHA256)
    assert acquired(Stated(sha256=SHA256, size_bytes=6), then) == as_recorded(then)
    assert acquired(Stated(sha256="0" * 64), then)["sha256"] == "0" * 64
    assert acquired(Stated(MD5, SHA256), then, Stated(MD5, SHA256, 6)) == as_recorded(then)
    assert acquired(Stated(MD5), then, known=lambda _: Digests(MD5, SHA256)) == as_recorded(then)


@pytest.mark.parametrize("found", [None, Stated(MD5, None, 6), Stated(MD5, None, 6, CRC32)])
def test_crc32__is_a_statement_as_the_others_are(acquired, found):
    weak, wrong = Stated(crc32=CRC32), Stated(crc32="0" * 8)
    assert acquired(weak, weak, found) == as_recorded(weak)
    assert acquired(Stated(crc32=CRC32.upper()), weak, found) == as_recorded(weak)
    assert acquired(Stated(MD5, crc32=CRC32), weak, found) == as_recorded(weak)
    assert acquired(weak, Stated(MD5), found) == as_recorded(Stated(MD5)), "it is added"
    assert acquired(wrong, weak, found)["crc32"] == "0" * 8
    assert acquired(Stated(OTHER), weak, found)["md5"] == OTHER


def test_statement__of_a_version_without_crc32_is_of_the_form_that_it_had():
    assert "crc32" not in Stated(MD5).plain()
    assert Stated(crc32=CRC32).plain()["crc32"] == CRC32


def test_source__that_is_another_with_the_same_crc32_is_acquired_again(folder):
    """Four bytes at the end give other content any CRC-32: it is weak."""
    forged = with_crc32(b"others", int(CRC32, 16))
    assert f"{zlib.crc32(forged):08x}" == CRC32
    (folder / "got.raw").symlink_to("one.raw")
    weak = Stated(crc32=CRC32)
    Notes(ACQUIRED).write("got.raw", Stated(MD5, None, 6, CRC32))
    later = time.time_ns() + 10**10
    for data, says in ((DATA, None), (forged, hashlib.md5(forged).hexdigest())):
        (folder / "one.raw").write_bytes(data)
        os.utime("one.raw", ns=(later, later))
        found = changed_source("got.raw", of(weak), Memory())
        assert found == (says and f"md5 {says}, sha256 {hashlib.sha256(data).hexdigest()}")


def with_crc32(data, crc32):
    """Return data with four bytes more, so that it has this CRC-32: its table, read backwards."""
    table = [zlib.crc32(bytes([k]), 0xFFFFFFFF) ^ 0xFFFFFFFF for k in range(256)]
    rows = {value >> 24: k for k, value in enumerate(table)}
    state, indices = crc32 ^ 0xFFFFFFFF, []
    for _ in range(4):
        k = rows[state >> 24]
        indices.append(k)
        state = (state ^ table[k]) << 8 & 0xFFFFFFFF
    now, more = zlib.crc32(data) ^ 0xFFFFFFFF, b""
    for k in reversed(indices):
        more += bytes([(now ^ k) & 0xFF])
        now = now >> 8 ^ table[k]
    return data + more


def test_note__is_of_its_file_alone_and_may_be_gone(folder):
    notes, found = Notes("notes"), Stated(MD5, None, 6)
    notes.write("a.raw", found)
    assert (notes.read("a.raw"), notes.read("b.raw")) == (found, None)
    for note in Path("notes").iterdir():
        note.write_text("{", encoding="utf-8")
    assert notes.read("a.raw") is None
    Notes(None).write("a.raw", found)
    assert Notes(None).read("a.raw") is None


def test_count__that_a_store_has_stays_as_it_was(folder, monkeypatch):
    monkeypatch.setattr(module, "_count", lambda store: 500)
    (folder / "one.h5").touch()
    assert settled_count("one.h5", 500, ["2", "None"], revision=2) is None
    assert settled_count("one.h5", 600, ["2", "None"], revision=2) == 600
    assert settled_count("one.h5", 500, ["2", "600"], revision=2) == 600
    assert settled_count("one.h5", None, ["2", "500"], revision=2) == 500
    assert settled_count("one.h5", 500, None, revision=2) == 500
    assert settled_count("missing.h5", 500, ["2", "None"], revision=2) == 500


def test_count__of_a_file_that_is_no_store_runs_the_job(folder):
    assert settled_count("one.raw", 500, ["2"], revision=2) == 500


def test_member__that_has_the_md5_stays_as_it_was():
    def found():
        return MD5

    assert settled_member(MD5, ["1", "None"], found) is None
    assert settled_member(MD5.upper(), ["1", f"'{MD5}'"], pytest.fail) == MD5
    assert settled_member(None, ["1", f"'{MD5}'"], pytest.fail) == MD5
    assert settled_member(OTHER, ["1", f"'{MD5}'"], pytest.fail) == OTHER
    assert settled_member(OTHER, ["1", "None"], found) == OTHER
    assert settled_member(MD5, None, pytest.fail) == MD5


def archive_names(folder, cells, is_verified=lambda path, stated: False):
    """Return the archive of each row of a table with these sums."""
    (folder / "many.zip").write_bytes(DATA)
    rows = [("id", "source", "split", "rois", "md5", "sha256")]
    rows += [(f"r{k}", f"many.zip!{k}.raw", "train", "", *each) for k, each in enumerate(cells)]
    write_table(folder, rows)
    dataset = DataSet(*read_config(CONFIG | {"labels": ["car"]}), is_verified)
    return [dataset.archive_of(row) for row in dataset.recordings.values()]


def test_archive__stays_under_its_name_when_another_digest_of_it_is_stated(folder):
    of_md5, of_sha256 = f"{MD5[:16]}-many.zip", f"{SHA256[:16]}-many.zip"
    assert archive_names(folder, [(MD5, SHA256), ("", SHA256)]) == [of_md5, of_sha256]
    there = folder / "results" / "archives"
    there.mkdir(parents=True)
    (there / of_sha256).touch()
    assert archive_names(folder, [(MD5, SHA256), ("", SHA256)]) == [of_sha256, of_sha256]
    assert archive_names(folder, [(MD5, "")]) == [of_md5]
    found = archive_names(
        folder,
        [(MD5, "")],
        lambda path, stated: (stated.md5, path) == (MD5, f"results/archives/{of_sha256}"),
    )
    assert found == [of_sha256]


def test_archive__of_which_only_a_crc32_is_known_is_called_by_it(folder):
    cells = {"id": "a", "source": "many.zip!a.raw", "split": "train"}
    weak, better = cells | {"crc32": CRC32.upper()}, cells | {"crc32": CRC32, "md5": MD5}
    dataset = DataSet(read(Config, CONFIG), {"a": weak})
    assert dataset.archive_of(weak) == f"{CRC32}-many.zip"
    assert dataset.archive_of(better) == f"{MD5[:16]}-many.zip"
    there = folder / "results" / "archives" / f"{CRC32}-many.zip"
    there.parent.mkdir(parents=True)
    there.touch()
    known = DataSet(dataset.config, {"a": better})
    assert known.archive_of(better) == there.name, "it stays when a better sum is added"


def test_rows__that_state_different_sums_of_an_archive_are_a_doubt(folder):
    there = folder / "results" / "archives" / f"{SHA256[:16]}-many.zip"
    there.parent.mkdir(parents=True)
    there.touch()
    archive_names(folder, [(MD5, SHA256), (OTHER, SHA256)])
    dataset = DataSet.read(CONFIG | {"labels": ["car"]})
    assert list(dataset.contradictions_of_archives()) == [
        f"line 3: md5: is {OTHER}; line 2 states {MD5} of the same archive"
    ]
    [archive] = dataset.archives.values()
    assert archive["md5"] == MD5, "what the first row says counts"


EARLIER = [repr(value) for value in (MD5, "one.raw", 1, None, None)]


def test_parameters__of_an_earlier_version_are_those_of_now(folder):
    wanted = of(Stated(MD5))
    now = as_recorded_now("one.raw", wanted, EARLIER, "notes", 1)
    assert now is not None
    assert set(now) == {"'notes'", "'one.raw'", "1", repr(as_recorded(Stated(MD5)))}
    settled = verified("one.raw", wanted, params=now, found=None, memory=Memory())
    assert repr(settled) in now
    assert as_recorded_now("one.raw", wanted, now, "notes", 1) is None


@pytest.mark.parametrize(
    "path, stated, revision",
    [
        ("gone.raw", Stated(MD5), 1),
        ("one.raw", Stated(OTHER), 1),
        ("one.raw", Stated(MD5, SHA256), 1),
        ("one.raw", Stated(MD5), 2),
    ],
)
def test_parameters__of_an_earlier_version_and_something_else_are_left(
    folder, path, stated, revision
):
    assert as_recorded_now(path, of(stated), EARLIER, "notes", revision) is None
