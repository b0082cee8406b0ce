"""Getting recordings: a link or a file with the promised bytes, or one error and nothing."""

from __future__ import annotations

import hashlib
import os
import urllib.parse
import zlib
from pathlib import Path

import pytest

from evreel import steps
from evreel.acquire import fetch, read_source
from evreel.acquire.sums import Sums, Tally
from evreel.errors import EvreelError, SourceError, UsageError
from evreel.outputs import SCRATCH, atomic, start_run
from support import shared_file
from support.webserver import CONTENT, MD5, PAGE, POINTER, SHA256

OTHER = "0" * 32
CRC32 = f"{zlib.crc32(CONTENT):08x}"


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "disk" / "park.aedat4"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def refusal(source, folder: Path, error=SourceError, **options) -> str:
    """Return the message of a refusal that leaves nothing, not even a part."""
    folder.mkdir(exist_ok=True)
    before = sorted(folder.iterdir())
    with pytest.raises(error) as raised:
        fetch(source, folder / "got.aedat4", **options)
    assert sorted(folder.iterdir()) == before
    assert type(raised.value) is error
    return str(raised.value)


# A local source


def test_local__becomes_a_relative_link_that_moves_with_the_project(tmp_path, recording):
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "disk").rename(project / "disk")
    link = project / "results" / "recordings" / "park.aedat4"
    link.parent.mkdir(parents=True)
    assert fetch(str(project / "disk" / "park.aedat4"), link, md5=MD5).md5 == MD5
    assert link.readlink() == Path("../../disk/park.aedat4")
    project.rename(tmp_path / "moved")
    assert (tmp_path / "moved/results/recordings/park.aedat4").read_bytes() == CONTENT


def test_local__of_a_path_relative_to_the_working_directory(tmp_path, recording, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for k, source in enumerate(("../disk/park.aedat4", Path("../disk/park.aedat4"))):
        link = tmp_path / "results" / f"{k}"
        fetch(source, link)
        assert link.readlink() == Path("../disk/park.aedat4")


def test_local__linked_in_a_scratch_folder_is_right_where_it_lands(tmp_path, recording):
    final = tmp_path / "results" / "recordings" / "park.aedat4"
    start_run(tmp_path / "results")
    with atomic(final) as (scratch,):
        assert scratch.parent.parent == tmp_path / "results" / SCRATCH
        fetch(recording, scratch, md5=MD5, final=final)
    assert final.readlink() == Path("../../disk/park.aedat4")
    assert final.read_bytes() == CONTENT


def test_local__is_found_if_the_results_are_reached_by_a_link(tmp_path, recording):
    (tmp_path / "far" / "away" / "results").mkdir(parents=True)
    (tmp_path / "results").symlink_to("far/away/results")
    link = tmp_path / "results" / "park.aedat4"
    fetch(recording, link)
    assert link.read_bytes() == CONTENT
    assert not link.readlink().is_absolute()


def test_local__keeps_links_on_the_way_to_the_source(tmp_path, recording):
    (tmp_path / "data").symlink_to("disk")
    (tmp_path / "annexed.aedat4").symlink_to("disk/park.aedat4")
    for source in (tmp_path / "data" / "park.aedat4", tmp_path / "annexed.aedat4"):
        link = tmp_path / f"link_{source.name}"
        fetch(source, link)
        assert link.readlink() == source.relative_to(tmp_path)
        assert link.read_bytes() == CONTENT


def test_local__with_dots_after_a_link_is_the_file_that_the_system_opens(tmp_path, recording):
    (tmp_path / "disk" / "inner").mkdir()
    (tmp_path / "data").symlink_to("disk/inner")
    source = tmp_path / "data" / ".." / "park.aedat4"
    assert source.read_bytes() == CONTENT
    fetch(source, tmp_path / "link")
    assert (tmp_path / "link").read_bytes() == CONTENT


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "FILE://"])
def test_local__may_be_a_file_url(tmp_path, prefix):
    source = tmp_path / "Straße 1#.aedat4"
    source.write_bytes(CONTENT)
    url = prefix + urllib.parse.quote(str(source))
    assert fetch(url, tmp_path / "link", md5=MD5.upper()).md5 == MD5
    assert (tmp_path / "link").readlink() == Path(source.name)


def test_local__without_a_known_md5_reports_it(tmp_path, recording):
    assert fetch(recording, tmp_path / "link").md5 == MD5


def test_local__that_is_another_version_says_expected_got_and_what_to_do(tmp_path, recording):
    message = refusal(recording, tmp_path / "out", md5=OTHER)
    assert message == (
        f"{recording}: md5 is {MD5} (2,304,000 bytes), expected {OTHER}: it is another version, "
        "or is damaged. Compare with the data set's page; if you want this version, write its "
        "md5 instead."
    )


def test_local__that_cannot_be_read_is_named_with_a_reason(tmp_path, recording, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert refusal("disk/pork.aedat4", out).startswith(
        "disk/pork.aedat4: cannot be read: No such file or directory. A relative path"
    )
    assert "Is a directory. Name one file in it." in refusal("disk", out)
    (tmp_path / "annexed.aedat4").symlink_to("objects/1234")
    assert "It is a link to objects/1234, which is not there." in refusal("annexed.aedat4", out)
    (tmp_path / "circle").symlink_to("circle")
    assert "circle: cannot be read: " in refusal("circle", out)
    assert "circle: cannot be read: " in refusal("disk/park.aedat4/deeper/circle", out)
    assert "cannot be read: File name too long" in refusal("x" * 300, out)


def test_local__without_permission_to_read_is_named(tmp_path, recording, monkeypatch):
    def refuse(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    message = refusal(recording, tmp_path / "out")
    assert "park.aedat4: cannot be read: Permission denied. Ask its owner" in message


def test_local__that_is_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: is not a file" in refusal(tmp_path / "pipe", tmp_path / "out")


def test_local__that_is_not_a_recording_is_refused_even_without_an_md5(tmp_path):
    for content, cause in ((b"", "is empty"), (PAGE, "HTML page"), (POINTER, "Git LFS pointer")):
        (tmp_path / "x").write_bytes(content)
        assert cause in refusal(tmp_path / "x", tmp_path / "out")
        assert cause in refusal(tmp_path / "x", tmp_path / "out", md5=OTHER)
        promised = hashlib.md5(content).hexdigest()
        fetch(tmp_path / "x", tmp_path / f"link_{promised}", md5=promised)


def test_local__is_never_replaced_by_a_link_to_itself(tmp_path, recording):
    elsewhere = tmp_path / "elsewhere.aedat4"
    elsewhere.symlink_to(recording)
    for source in (recording, elsewhere):
        for final in (recording, tmp_path / "disk" / ".." / "disk" / "park.aedat4"):
            message = refusal(source, tmp_path / "out", UsageError, final=final)
            assert "would be replaced by its own link" in message
    message = refusal(elsewhere, tmp_path / "out", UsageError, final=elsewhere)
    assert "would be replaced by its own link" in message
    assert recording.read_bytes() == CONTENT
    assert not recording.is_symlink()


# Progress, and calls that are wrong


def test_progress__counts_up_to_the_whole(tmp_path, recording):
    reports = []
    fetch(recording, tmp_path / "got", progress=lambda *report: reports.append(report))
    assert reports == [(done, len(CONTENT)) for done in (0, 1 << 20, 2 << 20, len(CONTENT))]


@pytest.mark.parametrize(
    ("md5", "looks"),
    [
        ("", ""),
        ("d41d8cd98f00b204e9800998ecf8427", ""),
        ("g" * 32, ""),
        (f" {OTHER}", ""),
        (f"{OTHER}\n", ""),
        ("a" * 40, "SHA-1"),
        ("a" * 64, "SHA-256"),
    ],
)
def test_md5__that_is_malformed_is_refused_before_anything_is_read(tmp_path, md5, looks):
    message = refusal(tmp_path / "none", tmp_path / "out", UsageError, md5=md5)
    assert f"md5 {md5!r} is not 32 hexadecimal digits" in message
    assert looks in message


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("ftp://example.org/x", "has scheme ftp; http, https, s3, file and plain paths"),
        ("data:text/plain,x", "has scheme data"),
        ("s3://bucket", "does not name an object. Write s3://bucket/folder/name."),
        ("s3://bucket/folder/", "does not name an object"),
        ("S3:bucket/x", "does not name an object"),
        ("s3://bucket/a\nb", "does not name an object"),
        ("s3://ann:secret@bucket/x", "does not name an object"),
        ("ssh+x://host/x", "has scheme ssh+x"),
        ("rec:1.aedat4", "write ./rec:1.aedat4 for a file of that name"),
        ("", "is neither a path nor a url"),
        ("a\0b", "is neither a path nor a url"),
        ("http:///x", "names no host"),
        ("https:x", "names no host"),
        ("http://[::1/x", "is not a valid url"),
        ("http://host:port/x", "is not a valid url"),
        ("http://" + "ä" * 70 + ".org/x", "names no valid host"),
        ("file://server/share/x", "is not a file on this machine"),
        ("file:x", "is not a file on this machine"),
        ("file:///a%00b", "is not a file on this machine"),
        ("file:///a#b", "contains a ? or #"),
        ("file:///a?b", "contains a ? or #"),
    ],
)
def test_source__of_another_kind_is_refused(tmp_path, source, problem):
    assert problem in refusal(source, tmp_path / "out", UsageError)


def test_source__with_a_password_is_refused_without_showing_it(tmp_path):
    message = refusal("https://ann:secret@example.org/x", tmp_path / "out", UsageError)
    assert "the url at example.org contains a user name" in message
    assert "secret" not in message


def test_errors__of_every_kind_are_evreel_errors(tmp_path):
    assert issubclass(SourceError, EvreelError)
    assert (SourceError.exit_code, UsageError.exit_code) == (1, 2)


def test_real_recording__is_linked_with_the_md5_of_its_bytes(tmp_path):
    source = shared_file("recordings/aestream_davis.aedat4")
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    assert fetch(str(source), tmp_path / "link", md5=md5).md5 == md5
    assert (tmp_path / "link").resolve() == source.resolve()


# Sums and sizes


def test_sums__must_both_match_if_both_are_given(tmp_path, recording):
    got = fetch(recording, tmp_path / "link", md5=MD5, sha256=SHA256.upper(), size=len(CONTENT))
    assert (got.md5, got.sha256, got.size) == (MD5, SHA256, len(CONTENT))
    out = tmp_path / "out"
    message = refusal(recording, out, sha256="0" * 64)
    assert f"sha256 is {SHA256} (2,304,000 bytes), expected {'0' * 64}: it is another" in message
    message = refusal(recording, out, md5=MD5, sha256="0" * 64)
    assert "expected 0000" in message
    assert "its md5 is right, so the two given belong to different files" in message
    message = refusal(recording, out, md5=OTHER, sha256="0" * 64)
    assert f"md5 is {MD5}" in message
    assert "is right" not in message


def test_sha256__that_is_malformed_is_refused(tmp_path, recording):
    message = refusal(recording, tmp_path / "out", UsageError, sha256=MD5)
    assert f"sha256 {MD5!r} is not 64 hexadecimal digits; it looks like an MD5" in message


def test_crc32__is_that_of_zip_and_gzip():
    """The published check value of CRC-32/ISO-HDLC; of no bytes; and with a leading zero."""
    for data, crc32 in ((b"123456789", "cbf43926"), (b"", "00000000"), (b"g", "01d41b76")):
        tally = Tally(Sums(crc32=crc32))
        for k in range(len(data)):
            tally.update(data[k : k + 1])
        assert tally.received().crc32 == crc32
    assert Tally(Sums(md5=MD5)).received().crc32 is None


def test_crc32__must_match_alone_and_beside_others(tmp_path, recording):
    got = fetch(recording, tmp_path / "link", crc32=CRC32.upper(), md5=MD5, sha256=SHA256)
    assert (got.md5, got.sha256, got.crc32) == (MD5, SHA256, CRC32)
    fetch(recording, tmp_path / "again", crc32=CRC32)
    out = tmp_path / "out"
    said = f"crc32 is {CRC32} (2,304,000 bytes), expected 00000000: it is another version"
    assert said in refusal(recording, out, crc32="00000000")
    message = refusal(recording, out, md5=MD5, crc32="00000000")
    assert "its md5 is right, so the two given belong to different files" in message
    message = refusal(recording, out, UsageError, crc32=MD5)
    assert f"crc32 {MD5!r} is not 8 hexadecimal digits; it looks like an MD5" in message
    assert "from the program crc32, or leave it out" in message
    message = refusal(recording, out, UsageError, md5=CRC32)
    assert "it looks like a CRC-32" in message


def test_crc32__alone_is_weak_and_beside_a_better_sum_is_not():
    assert [Sums(crc32=CRC32).are_weak, Sums(MD5, crc32=CRC32).are_weak] == [True, False]
    assert [Sums().are_weak, Sums(sha256=SHA256).are_weak] == [False, False]
    assert [bool(Sums()), bool(Sums(crc32=CRC32))] == [False, True]


def test_crc32__of_a_folder_is_refused(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.bin").write_bytes(b"a")
    with pytest.raises(SourceError, match="is a folder, for which a crc32 is given"):
        fetch(tmp_path / "raw", tmp_path / "got.folder", crc32=CRC32)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_crc32__alone_is_named_as_weak_in_the_log(tmp_path, recording, caplog):
    caplog.set_level("INFO", logger="evreel")
    said = "verified by its CRC-32 alone, a weak sum: it shows damage, and no file that somebody"
    for name, sums in (("a", {"crc32": CRC32}), ("b", {"crc32": CRC32, "md5": MD5}), ("c", {})):
        steps.acquire(str(recording), tmp_path / name, **sums)
        assert (f"{name}: {said}" in caplog.text) == (name == "a")


def test_size__that_differs_is_refused(tmp_path, recording):
    message = refusal(recording, tmp_path / "out", size=7)
    assert "has 2,304,000 bytes, expected 7: it is another version, or was cut" in message


def test_text__that_a_server_sends_instead_is_named(tmp_path):
    for text in (b'{"status": 404}', b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code>'):
        (tmp_path / "x").write_bytes(text)
        message = refusal(tmp_path / "x", tmp_path / "out", md5=OTHER)
        assert "it is a short text, probably a server's error message" in message


# What a source says


@pytest.mark.parametrize(
    ("text", "urls", "path", "members", "name", "public"),
    [
        ("raw/a b.aedat4", (), "raw/a b.aedat4", (), "a b.aedat4", "a b.aedat4"),
        ("raw/a|b.aedat4", (), "raw/a|b.aedat4", (), "a|b.aedat4", "a|b.aedat4"),
        ("raw/wow!!.raw", (), "raw/wow!.raw", (), "wow!.raw", "wow!!.raw"),
        ("raw/a.zip!b/c.raw", (), "raw/a.zip", ("b/c.raw",), "c.raw", "a.zip!b/c.raw"),
        ("a.zip!b.zip!c!!", (), "a.zip", ("b.zip", "c!"), "c!", "a.zip!b.zip!c!!"),
        ("manual:later/a.zip!c", (), "later/a.zip", ("c",), "c", "a.zip!c"),
        (
            "https://a.org/x%20y.raw?v=1#top",
            ("https://a.org/x%20y.raw?v=1#top",),
            None,
            (),
            "x y.raw",
            "https://a.org/x%20y.raw?v=1#top",
        ),
        (
            " https://a.org/1|HTTP://b.org/2  | https://c.org/3!in/d.raw"[1:],
            ("https://a.org/1", "HTTP://b.org/2", "https://c.org/3"),
            None,
            ("in/d.raw",),
            "d.raw",
            "https://a.org/1 | HTTP://b.org/2 | https://c.org/3!in/d.raw",
        ),
        ("https://a.org/wow%21.raw", ("https://a.org/wow%21.raw",), None, (), "wow!.raw", None),
    ],
)
def test_source__says_where_and_which_member(text, urls, path, members, name, public):
    source = read_source(text)
    assert source.urls == urls
    assert source.path == (path and Path(path))
    assert source.members == members
    assert source.name == name
    assert source.public == (public or text)
    assert source.manual == text.startswith("manual:")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("raw/x.raw | https://a.org/x.raw", "lists mirrors that are not all http"),
        ("https://a.org/x.raw | raw/x.raw", "lists mirrors that are not all http"),
        ("https://a.org/x!m | https://b.org/x!m", "a member before the last of its urls"),
        ("a.zip!", "names no member"),
        ("a.zip!folder/", "names no member"),
        ("a.zip!!!", "names no member"),
        ("!m", "is neither a path nor a url"),
        ("a.zip!/etc/passwd", "leads out of its archive"),
        ("a.zip!../x", "leads out of its archive"),
        ("a.zip!a/../x", "leads out of its archive"),
        ("a.zip!a/..", "leads out of its archive"),
        ("a.zip!..\\x", "leads out of its archive"),
        ("a.zip!C:\\x", "leads out of its archive"),
        ("a.zip!b.zip!../x", "leads out of its archive"),
    ],
)
def test_source__without_a_sensible_meaning_is_refused(text, problem):
    with pytest.raises(UsageError, match=problem):
        read_source(text)


def test_source__given_as_a_path_is_that_file(tmp_path):
    assert read_source(Path("a.zip!b")).path == Path("a.zip!b")


def test_local_source__that_changes_while_it_is_read_is_refused(tmp_path):
    source = tmp_path / "a.raw"
    source.write_bytes(b"events")

    def appended(done, total):
        if done:
            source.write_bytes(b"others")

    with pytest.raises(SourceError, match="changed while it was read"):
        fetch(source, tmp_path / "link.raw", progress=appended)
    assert not (tmp_path / "link.raw").is_symlink()
