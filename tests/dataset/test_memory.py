"""What is remembered of files holds as long as they do not change, and no longer."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from evreel.dataset import memory
from evreel.dataset.memory import Memory
from evreel.errors import SourceError
from evreel.provenance import state


@pytest.fixture
def reads(monkeypatch):
    """Return the list of files that are read, and take every file as settled."""
    monkeypatch.setattr(memory, "_SETTLED_NS", -(10**18))
    found = []
    read = memory._digests

    def noted(path):
        found.append(path)
        return read(path)

    monkeypatch.setattr(memory, "_digests", noted)
    return found


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_file__is_read_once_and_not_again_in_the_next_run(tmp_path, reads):
    (tmp_path / "a.xml").write_bytes(b"one")
    first = Memory(tmp_path / "m" / "known.json")
    assert [first.digests(tmp_path / "a.xml").md5 for _ in range(2)] == [md5(b"one")] * 2
    first.save()
    second = Memory(tmp_path / "m" / "known.json")
    assert second.digests(tmp_path / "a.xml") == first.digests(tmp_path / "a.xml")
    assert len(reads) == 1
    assert second.digests(tmp_path / "a.xml").sha256 == hashlib.sha256(b"one").hexdigest()


def test_file__of_the_same_size_and_time_is_read_again_where_it_changed(tmp_path, reads):
    path = tmp_path / "a.xml"
    path.write_bytes(b"one")
    os.utime(path, (10**9, 10**9))
    known = Memory()
    known.digests(path)
    inode = path.stat().st_ino
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, (10**9, 10**9))
    assert (path.stat().st_ino, path.stat().st_mtime) == (inode, 10**9)
    assert known.digests(path).md5 == md5(b"two")


def test_file__that_has_just_changed_is_not_remembered(tmp_path):
    # A change within the same tick of the file system's clock would not show.
    path = tmp_path / "a.xml"
    path.write_bytes(b"one")
    known = Memory(tmp_path / "known.json")
    known.digests(path)
    known.save()
    assert json.loads((tmp_path / "known.json").read_text("ascii"))["files"] == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff{",
        b"[]",
        b'{"version": 0, "files": {}, "facts": {}}',
        b'{"version": 1, "files": []}',
        b'{"version": 1, "files": {"a.xml": [1]}, "facts": {}}',
        b'{"version": 1, "files": {"a.xml": 3}, "facts": {"k": {}}}',
        b"[" * 100_000,
    ],
)
def test_memory__that_is_damaged_is_an_empty_one(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.xml").write_bytes(b"one")
    (tmp_path / "known.json").write_bytes(content)
    assert Memory(tmp_path / "known.json").digests("a.xml").md5 == md5(b"one")


def test_memory__keeps_what_was_asked_for_and_forgets_the_rest(tmp_path, reads):
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    first = Memory(tmp_path / "known.json")
    for name in "ab":
        first.digests(tmp_path / name)
        first.learn(name, [name])
    first.save()
    second = Memory(tmp_path / "known.json")
    assert second.fact("a") == ["a"]
    assert second.fact("c") is None
    second.digests(tmp_path / "a")
    second.save()
    kept = json.loads((tmp_path / "known.json").read_text("ascii"))
    assert (list(kept["files"]), kept["facts"]) == ([str(tmp_path / "a")], {"a": ["a"]})


def test_linked_file__is_known_by_the_times_that_its_links_gave_it(tmp_path, reads):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"one")
    known = Memory(tmp_path / "known.json")
    known.digests(video)
    before = state(video)
    os.link(video, tmp_path / "released.mp4")
    assert state(video) != before
    known.linked(video, before)
    known.save()
    assert Memory(tmp_path / "known.json").digests(video).md5 == md5(b"one")
    assert len(reads) == 1


def test_linked_file__that_was_edited_meanwhile_is_read_again(tmp_path, reads):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"one")
    known = Memory(tmp_path / "known.json")
    known.digests(video)
    before = state(video)
    video.write_bytes(b"two")
    os.utime(video, (1, 1))
    known.linked(video, before)
    assert known.digests(video).md5 == md5(b"two")


def test_memory__that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    known = Memory(tmp_path / "file" / "known.json")
    known.learn("a", 1)
    known.save()
    assert (tmp_path / "file").read_bytes() == b""


def test_file__that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.xml: cannot be read: No such file"):
        Memory().digests(tmp_path / "gone.xml")
