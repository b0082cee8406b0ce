"""Members of archives: found by name, read alone, and refused where they are not safe."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import random
import shutil
import stat
import struct
import subprocess
import tarfile
import warnings
import zipfile
import zlib
from types import SimpleNamespace

import pytest

from evreel import cli
from evreel.acquire import DOWNLOADS, Archive, Limits, Patience, decompress, fetch, tar
from evreel.errors import SourceError, UsageError
from support.archives import packed
from support.webserver import CONTENT, MD5, PAGE, running

MEMBER = "monday/park.aedat4"
OTHERS = {"readme.txt": b"hello", "monday/street.aedat4": CONTENT[7:], "tuesday/park.aedat4": b"x"}
FORMATS = ("zip", "stored.zip", "tar", "tar.gz", "tar.xz", "tar.bz2")


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def refusal(out):
    """Fetch what is refused; return the message, and see that nothing is left."""

    def refused(source, error=SourceError, **options):
        with pytest.raises(error) as raised:
            fetch(source, out / "got", **options)
        assert list(out.iterdir()) == []
        return str(raised.value)

    return refused


# Finding and reading


@pytest.mark.parametrize("kind", FORMATS)
def test_member__alone_is_read_and_its_archive_verified(tmp_path, out, kind):
    archive = packed(tmp_path / f"day.{kind}", {**OTHERS, MEMBER: CONTENT, "last": b"y"})
    reports = []
    got = fetch(
        f"{archive}!{MEMBER}",
        out / "got",
        md5=hashlib.md5(archive.read_bytes()).hexdigest(),
        size=archive.stat().st_size,
        member_md5=MD5,
        progress=lambda *at: reports.append(at),
    )
    assert (got.md5, got.size) == (MD5, len(CONTENT))
    assert (out / "got").read_bytes() == CONTENT
    assert not (out / "got").is_symlink()
    assert [path.name for path in out.iterdir()] == ["got"]
    assert reports[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("kind", FORMATS)
def test_archive__is_recognized_by_its_content_not_its_name(tmp_path, out, kind):
    archive = packed(tmp_path / "day.bin", {MEMBER: CONTENT}, kind)
    assert fetch(f"{archive}!{MEMBER}", out / "got").md5 == MD5


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["short", "ä" * 40 + "/" + "b" * 90 + "/c", "./dotted"])
def test_tar__of_every_form_has_its_names_and_contents(tmp_path, out, form, name):
    path = tmp_path / "day.tar"
    with tarfile.open(path, "w", format=form) as archive:
        for k, each in enumerate(["first", "d" * 99, name, "last"]):
            info = tarfile.TarInfo(each)
            content = CONTENT[: 511 + k]
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for wanted in (name, name.removeprefix("./")):
        fetch(f"{path}!{wanted}", out / "got")
        assert (out / "got").read_bytes() == CONTENT[:513]
        (out / "got").unlink()


def test_tar__of_the_oldest_form_is_recognized_by_its_checksum(tmp_path, out):
    path = packed(tmp_path / "day.tar", {"first": b"x", MEMBER: CONTENT})
    content = bytearray(path.read_bytes())
    for at in (0, 1024):
        content[at + 257 : at + 345] = bytes(88)  # where later forms begin
        content[at + 148 : at + 156] = b" " * 8
        content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    path.write_bytes(content)
    assert fetch(f"{path}!{MEMBER}", out / "got").md5 == MD5


@pytest.mark.parametrize("form", ["gnu", "posix --sparse-version=0.1", "posix"])
def test_tar__goes_past_a_file_with_holes_and_refuses_it(tmp_path, out, refusal, form):
    if shutil.which("tar") is None:
        pytest.skip("needs the program tar")
    with (tmp_path / "holes").open("wb") as file:
        for k in range(40):  # more than one block of the map
            file.seek(k << 20)
            file.write(b"x")
    (tmp_path / "park").write_bytes(CONTENT)
    command = ["tar", "-S", *f"--format={form}".split(), "-cf", "day.tar", "holes", "park"]
    subprocess.run(command, cwd=tmp_path, check=True)
    if (tmp_path / "day.tar").stat().st_size > 10 << 20:
        pytest.skip("the file system keeps no holes")
    assert "is a file with holes, stored without them. Unpack it" in refusal(
        f"{tmp_path}/day.tar!holes"
    )
    assert fetch(f"{tmp_path}/day.tar!park", out / "got").md5 == MD5


def test_tar__agrees_with_pythons_own_reader(tmp_path, out):
    rng = random.Random(1)
    files = {
        f"{'x' * rng.randrange(1, 300)}/{k}": rng.randbytes(rng.randrange(3000)) for k in range(40)
    }
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), rng.random() * 1e9
                archive.addfile(info, io.BytesIO(content))
        with tarfile.open(path) as archive:
            for k, member in enumerate(archive):
                if not member.size:
                    continue
                fetch(f"{path}!{member.name}", out / f"{form}-{k}")
                assert (out / f"{form}-{k}").read_bytes() == archive.extractfile(member).read()


@pytest.mark.parametrize(
    "compress",
    [
        gzip.compress,
        lambda content: bz2.compress(content, 1),
        lambda content: lzma.compress(content, preset=1) + bytes(512),
    ],
)
def test_compressed__of_several_streams_is_read_through(tmp_path, out, compress):
    whole = packed(tmp_path / "day.tar", {**OTHERS, MEMBER: CONTENT}).read_bytes()
    path = tmp_path / "day"
    path.write_bytes(compress(whole[:1_000_001]) + compress(whole[1_000_001:]))
    assert fetch(f"{path}!{MEMBER}", out / "got").md5 == MD5


def test_plain_tar__with_padding_after_its_end_and_zip_after_a_program(tmp_path, out):
    tar = packed(tmp_path / "day.tar", {MEMBER: CONTENT})
    tar.write_bytes(tar.read_bytes() + bytes(100_000))
    assert fetch(f"{tar}!{MEMBER}", out / "1").md5 == MD5
    zipped = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    zipped.write_bytes(b"#!/bin/sh\nexit 1\n" + zipped.read_bytes())
    assert fetch(f"{zipped}!{MEMBER}", out / "2").md5 == MD5


def test_compressed_tar__is_read_up_to_the_member_only(tmp_path, out):
    archive = packed(tmp_path / "day.tar.gz", {MEMBER: CONTENT, "more": CONTENT * 3})
    archive.write_bytes(archive.read_bytes()[:-5000])
    assert fetch(f"{archive}!{MEMBER}", out / "got").md5 == MD5


@pytest.mark.parametrize("inner", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("outer", ["zip", "tar.gz"])
def test_nested__is_unpacked_one_member_at_a_time(tmp_path, out, inner, outer):
    inside = packed(tmp_path / f"monday.{inner}", {**OTHERS, MEMBER: CONTENT})
    archive = packed(tmp_path / f"week.{outer}", {f"a/{inside.name}": inside.read_bytes()})
    deeper = packed(tmp_path / "year.zip", {archive.name: archive.read_bytes()})
    for k, source in enumerate([f"{archive}", f"{deeper}!{archive.name}"]):
        got = fetch(f"{source}!a/{inside.name}!{MEMBER}", out / f"{k}", member_md5=MD5)
        assert got.md5 == MD5
    assert sorted(path.name for path in out.iterdir()) == ["0", "1"]


def test_empty_member__is_refused_like_an_empty_file(tmp_path, refusal):
    archive = packed(tmp_path / "day.zip", {MEMBER: b"", "page": PAGE})
    assert "day.zip!monday/park.aedat4: it is empty" in refusal(f"{archive}!{MEMBER}")
    assert "it is an HTML page" in refusal(f"{archive}!page")


# Names


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("member", "hint"),
    [
        ("park.aedat4", "Did you mean 'tuesday/park.aedat4' or 'monday/park.aedat4'?"),
        ("mondoy/park.aedat", "Did you mean 'monday/park.aedat4'"),
        ("zzz", "The archive has 4 members, such as 'readme.txt', 'monday/street.aedat4', 'tue"),
        ("tuesday", "is a folder. Name a file in it, such as 'tuesday/park.aedat4'."),
    ],
)
def test_name__that_is_missing_gets_a_suggestion(tmp_path, refusal, kind, member, hint):
    archive = packed(tmp_path / f"day.{kind}", {**OTHERS, MEMBER: CONTENT})
    message = refusal(f"{archive}!{member}")
    assert message.startswith(f"day.{kind}!{member}: is ")
    assert hint in message


def test_archive__that_is_empty_says_so(tmp_path, refusal):
    assert "The archive is empty." in refusal(f"{packed(tmp_path / 'day.zip', {})}!x")


def test_archive__that_is_missing_explains_the_exclamation_mark(tmp_path, refusal):
    message = refusal(f"{tmp_path}/wow!.aedat4")
    assert message.startswith(f"{tmp_path}/wow: there is no such archive. A ! separates")
    message = refusal(f"manual:{tmp_path}/later/day.zip!x", md5=MD5)
    assert f"Download day.zip (md5 {MD5}), put it into folder {tmp_path}/later and" in message


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "C:\\x", "a\\..\\x"])
def test_name__that_leads_out_is_refused_even_if_the_archive_has_it(tmp_path, refusal, name):
    archive = packed(tmp_path / "day.zip", {name: b"evil"})
    assert "leads out of its archive" in refusal(f"{archive}!{name}", UsageError)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_neighbours__that_lead_out_are_never_touched(tmp_path, out, kind):
    archive = packed(tmp_path / f"day.{kind}", {"../evil": b"e", "/evil": b"e", MEMBER: CONTENT})
    fetch(f"{archive}!{MEMBER}", out / "got", member_md5=MD5)
    assert [path.name for path in out.iterdir()] == ["got"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name, "out"]


def test_name__that_is_duplicated_is_refused(tmp_path, refusal):
    path = packed(tmp_path / "day.zip", {MEMBER: b"one", f"./{MEMBER}": b"two"})
    assert "is duplicated in the archive" in refusal(f"{path}!{MEMBER}")
    path = packed(tmp_path / "day.tar", {tarfile.TarInfo(MEMBER): b"one", MEMBER: b"two"})
    assert "is duplicated in the archive" in refusal(f"{path}!{MEMBER}")


# What is no file


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.SYMTYPE, "is a link, not a file"),
        (tarfile.LNKTYPE, "is a link, not a file"),
        (tarfile.CHRTYPE, "is a device, a pipe"),
        (tarfile.BLKTYPE, "is a device, a pipe"),
        (tarfile.FIFOTYPE, "is a device, a pipe"),
        (tarfile.DIRTYPE, "is a folder, not a file"),
        (b"S", "is a file with holes, stored without them"),
        (b"Z", "a device, a pipe or the like"),
    ],
)
@pytest.mark.parametrize("compression", ["tar", "tar.gz"])
def test_tar__member_that_is_not_a_file_is_refused(tmp_path, refusal, kind, says, compression):
    info = tarfile.TarInfo(MEMBER)
    info.type, info.linkname = kind, "/etc/passwd"
    archive = packed(tmp_path / f"day.{compression}", {info: b"", "after": b"good"})
    assert says in refusal(f"{archive}!{MEMBER}")


def test_tar__passes_over_members_that_are_not_files(tmp_path, out):
    odd = []
    for k, kind in enumerate([tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"Z", b"S"]):
        odd.append(tarfile.TarInfo(f"odd{k}"))
        odd[-1].type = kind
    archive = packed(tmp_path / "day.tar", {**dict.fromkeys(odd, b""), MEMBER: CONTENT})
    assert fetch(f"{archive}!{MEMBER}", out / "got").md5 == MD5


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_zip__member_that_is_not_a_file_is_refused(tmp_path, refusal, mode):
    info = zipfile.ZipInfo(MEMBER)
    info.external_attr = (mode | 0o777) << 16
    path = packed(tmp_path / "day.zip", {info: "/etc/passwd"})
    assert ", not a file. Name the file itself." in refusal(f"{path}!{MEMBER}")


@pytest.mark.parametrize(
    ("at", "change", "says"),
    [
        (6, lambda flags: flags | 1, f"day.zip!{MEMBER}: is encrypted. Unpack it by hand"),
        (8, lambda method: 9, "uses a compression that evreel cannot read"),
    ],
)
def test_zip__member_that_is_encrypted_or_strangely_packed_is_refused(
    tmp_path, refusal, at, change, says
):
    path = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    content = bytearray(path.read_bytes())
    for place in (at, content.index(b"PK\x01\x02") + at + 2):
        content[place] = change(content[place])
    path.write_bytes(content)
    assert says in refusal(f"{path}!{MEMBER}")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"7z\xbc\xaf\x27\x1c", "the archive has format 7z"),
        (b"Rar!\x1a\x07\x00", "the archive has format rar"),
        (b"\x28\xb5\x2f\xfd", "the archive has format zstd"),
        (b"#!AER-DAT4.0", "the archive is neither a zip nor a tar: it starts with b'#!AER-DAT4.0'"),
        (b"", "the archive is neither a zip nor a tar: it starts with b''"),
    ],
)
def test_archive__of_another_format_is_named(tmp_path, refusal, head, says):
    (tmp_path / "day").write_bytes(head + bytes(10) * bool(head))
    assert says in refusal(f"{tmp_path}/day!x")


# Bombs and damage


@pytest.mark.parametrize("kind", FORMATS)
def test_limit__of_size_holds_before_a_byte_is_written(tmp_path, refusal, kind):
    archive = packed(tmp_path / f"day.{kind}", {MEMBER: CONTENT})
    message = refusal(f"{archive}!{MEMBER}", limits=Limits(member_bytes=1000))
    assert "has a declared size of 2,304,000 bytes; the limit is 1,000. If the size" in message


@pytest.mark.parametrize(
    ("kind", "before"),
    [("zip", False), *((f"tar.{k}", before) for k in ("gz", "xz", "bz2") for before in (0, 1))],
)
def test_limit__of_ratio_holds_for_skipped_members_too(tmp_path, refusal, kind, before):
    zeros = bytes(3_000_000)
    files = {"bomb": zeros, MEMBER: b"x"} if before else {MEMBER: zeros}
    archive = packed(tmp_path / f"day.{kind}", files)
    limits = Limits(ratio=100, ratio_from_bytes=1_000_000)
    message = refusal(f"{archive}!{MEMBER}", limits=limits)
    assert "more than 100 to one" in message
    assert "do not trust this archive" in message


def test_limit__of_ratio_lets_small_and_plain_files_pass(tmp_path, out):
    archive = packed(tmp_path / "day.zip", {MEMBER: bytes(900_000)})
    limits = Limits(ratio=100, ratio_from_bytes=1_000_000)
    fetch(f"{archive}!{MEMBER}", out / "1", limits=limits)
    archive = packed(tmp_path / "day.tar", {MEMBER: bytes(3_000_000)})
    fetch(f"{archive}!{MEMBER}", out / "2", limits=limits)


def test_limits__hold_for_inner_archives(tmp_path, refusal):
    inside = packed(tmp_path / "in.zip", {MEMBER: b"x", "more": CONTENT})
    archive = packed(tmp_path / "day.zip", {"in.zip": inside.read_bytes()})
    limits = Limits(member_bytes=500)
    assert "day.zip!in.zip: has a declared size of" in refusal(
        f"{archive}!in.zip!{MEMBER}", limits=limits
    )


def test_zip__that_declares_less_or_more_than_it_holds_is_refused(tmp_path, refusal):
    path = packed(tmp_path / "day.stored.zip", {MEMBER: CONTENT})
    for change in (-1, +1):
        for kind in ("zip", "stored.zip"):
            content = bytearray(packed(path, {MEMBER: CONTENT}, kind).read_bytes())
            for at in (22, content.index(b"PK\x01\x02") + 24):
                struct.pack_into("<I", content, at, len(CONTENT) + change)
            path.write_bytes(content)
            assert "day.stored.zip!monday/park.aedat4: " in refusal(f"{path}!{MEMBER}")


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_archive__is_one_error(tmp_path, refusal, kind):
    archive = packed(tmp_path / f"day.{kind}", {"first": CONTENT, MEMBER: CONTENT[::-1]})
    whole = archive.read_bytes()
    for part in (0.01, 0.4, 0.9):
        archive.write_bytes(whole[: int(len(whole) * part)])
        assert refusal(f"{archive}!{MEMBER}").startswith(f"day.{kind}!{MEMBER}: ")


def test_tar__that_ends_within_a_member_is_one_error(tmp_path, refusal):
    archive = packed(tmp_path / "day.tar", {MEMBER: CONTENT})
    archive.write_bytes(archive.read_bytes()[:100_000])
    assert "day.tar is damaged, or not an archive: it ends early" in refusal(f"{archive}!{MEMBER}")


@pytest.mark.parametrize("kind", FORMATS)
def test_flipped_bits__give_the_right_bytes_or_one_error(tmp_path, out, kind):
    rng = random.Random(kind)
    content = rng.randbytes(3000) + bytes(2000)
    md5 = hashlib.md5(content).hexdigest()
    archive = packed(tmp_path / f"day.{kind}", {"first": b"x", MEMBER: content, "last": b"y"})
    whole = archive.read_bytes()
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        archive.write_bytes(damaged)
        try:
            fetch(f"{archive}!{MEMBER}", out / "got", member_md5=md5)
        except SourceError:
            refused += 1
            assert list(out.iterdir()) == []
        else:
            assert (out / "got").read_bytes() == content
            (out / "got").unlink()
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("L", 1 << 30, "claims 1,073,741,824 bytes, more than any name needs"),
        ("x", 1 << 30, "claims 1,073,741,824 bytes, more than any name needs"),
        ("x", 30, "a header of the tar archive is damaged: no key=value"),
    ],
)
def test_tar__with_an_absurd_header_is_refused(tmp_path, refusal, name, size, says):
    info = tarfile.TarInfo("header")
    info.type, info.size = name.encode(), size
    path = tmp_path / "day.tar"
    path.write_bytes(info.tobuf() + b"99999 nonsense".ljust(512, b"x") + bytes(1024))
    assert says in refusal(f"{path}!{MEMBER}")


def test_tar__with_a_malformed_extended_size_is_refused(tmp_path, refusal):
    for size in ("many", "-5"):
        info = tarfile.TarInfo(MEMBER)
        info.pax_headers = {"size": size}
        path = tmp_path / "day.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(info)
        assert "a header of the tar archive is damaged: " in refusal(f"{path}!{MEMBER}")


def test_xz__that_needs_much_memory_is_refused(tmp_path, refusal):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    path = tmp_path / "day.tar.xz"
    # The size of the dictionary stands in the block's header; to compress with it takes 10 GB.
    small = lzma.compress(b"x" * 1000, filters=[{**filters[0], "dict_size": 1 << 16}])
    at = small.index(b"\x21\x01") + 2
    header = bytearray(small[12 : 12 + (small[12] + 1) * 4])
    header[at - 12] = 36
    struct.pack_into("<I", header, len(header) - 4, zlib.crc32(header[:-4]))
    path.write_bytes(small[:12] + header + small[12 + len(header) :])
    assert "Memory usage limit exceeded" in refusal(f"{path}!x")


def test_disk__that_is_too_small_is_seen_before_anything_is_written(tmp_path, refusal, monkeypatch):
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    message = refusal(f"{archive}!{MEMBER}")
    assert f"day.zip!{MEMBER}: has 2,304,000 bytes, but the disk has only 1,000 free" in message


# Whole archives


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_archive__gives_its_members_one_by_one(tmp_path, folder, kind):
    files = {**OTHERS, f"./{MEMBER}": CONTENT}
    with Archive(packed(tmp_path / f"day.{kind}", files), folder) as archive:
        assert archive.names == tuple(sorted([*OTHERS, MEMBER]))
        for name, content in {**OTHERS, MEMBER: CONTENT}.items():
            archive.check(name)
            archive.unpack(name, folder / "member")
            assert (folder / "member").read_bytes() == content
        for look in (archive.check, lambda name: archive.unpack(name, folder / "member")):
            with pytest.raises(SourceError, match=r"!parc.aedat4: is not in the archive. Did you"):
                look("parc.aedat4")


def test_archive__lists_members_that_are_not_files_and_refuses_them(tmp_path, folder):
    kinds = {
        tarfile.LNKTYPE: "is a link, not a file",
        tarfile.SYMTYPE: "is a link, not a file",
        tarfile.FIFOTYPE: "is a device, a pipe or the like, not a file",
        b"S": "is a file with holes, stored without them",
    }
    odd = {}
    for k, kind in enumerate(kinds):
        info = tarfile.TarInfo(f"odd{k}")
        info.type, info.linkname = kind, MEMBER
        odd[info] = b""
    within = tarfile.TarInfo("monday")
    within.type = tarfile.DIRTYPE
    path = packed(tmp_path / "day.tar", {within: b"", MEMBER: CONTENT, **odd})
    with Archive(path, folder) as archive:
        assert archive.names == (MEMBER, "odd0", "odd1", "odd2", "odd3")
        archive.check(MEMBER)
        for name, says in zip(archive.names[1:], kinds.values(), strict=True):
            for look in (archive.check, lambda name: archive.unpack(name, folder / "member")):
                with pytest.raises(SourceError) as caught:
                    look(name)
                said = f"day.tar!{name}: {says}"
                assert str(caught.value).startswith(f"{said}. Pack the archive again, with plain")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_archive__refuses_only_requested_members(tmp_path, folder, kind):
    path = packed(tmp_path / f"day.{kind}", {"large": CONTENT, "README": b"a", "x": b"x"})
    method = {"stored.zip": 0}.get(kind, 8)
    if kind.endswith("zip"):
        with zipfile.ZipFile(path, "a", method) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.writestr("README", b"b")
    else:
        inside = tmp_path / "twice.tar"
        with tarfile.open(inside, "w") as file:
            for name, content in (("large", CONTENT), ("README", b"a"), ("x", b"x")) * 2:
                if (name, file.getnames().count(name)) not in [("large", 1), ("x", 1)]:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    file.addfile(info, io.BytesIO(content))
        pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress}
        path.write_bytes(pack.get(kind, lzma.compress)(inside.read_bytes()))
    with Archive(path, folder, Limits(member_bytes=1000, archive_bytes=1 << 30)) as archive:
        assert archive.names == ("README", "README", "large", "x")
        archive.unpack("x", folder / "member")
        assert (folder / "member").read_bytes() == b"x"
        for name, says in (
            ("README", "is duplicated in the archive. Pack the archive again"),
            ("large", "has a declared size of 2,304,000 bytes; the limit is 1,000"),
        ):
            for look in (archive.check, lambda name: archive.unpack(name, folder / "member")):
                with pytest.raises(SourceError, match=rf"day\.{kind}!{name}: {says}"):
                    look(name)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "tar.bz2"])
def test_whole_tar__has_a_total_limit(tmp_path, out, folder, kind):
    path = packed(tmp_path / f"day.{kind}", {"a": CONTENT, "b": CONTENT})
    small = Limits(member_bytes=10, archive_bytes=3_000_000)
    says = rf"day\.{kind}: decompresses to more than 3,000,000 bytes, which is the limit. If"
    with pytest.raises(SourceError, match=says):
        decompress(path, out / "plain.tar", limits=small)
    with pytest.raises(SourceError, match=says):
        Archive(path, folder, small)
    assert list(out.iterdir()) == list(folder.iterdir()) == []
    # A member alone may have as much as the limit of members says.
    for limits in (Limits(10, archive_bytes=5_000_000), Limits(5_000_000, archive_bytes=10)):
        assert decompress(path, out / "plain.tar", limits=limits)
        (out / "plain.tar").unlink()


def test_whole_tar__leaves_free_room_on_the_disk(tmp_path, out, folder, monkeypatch):
    path = packed(tmp_path / "day.tar.gz", {"a": CONTENT, "b": CONTENT})
    room = SimpleNamespace(free=0, total=0)

    def usage(place):
        written = sum(file.stat().st_size for file in place.iterdir())
        return SimpleNamespace(free=room.free - written, total=room.total)

    monkeypatch.setattr("shutil.disk_usage", usage)
    for room.total, reserve in ((20_000_000, 1_000_000), (10**12, 1 << 30)):
        room.free = reserve + 3_000_000
        says = r"day.tar.gz: decompresses to 4,194,304 bytes or more, but the disk has only"
        with pytest.raises(SourceError, match=says) as caught:
            decompress(path, out / "plain.tar", limits=Limits())
        assert f"Make room on the disk of {out}." in str(caught.value)
        with pytest.raises(SourceError, match=says):
            Archive(path, folder)
        assert list(out.iterdir()) == list(folder.iterdir()) == []
        room.free = reserve + 5_000_000
        assert decompress(path, out / "plain.tar", limits=Limits())
        (out / "plain.tar").unlink()


def test_whole_tar__never_overwrites(tmp_path, out):
    path = packed(tmp_path / "day.tar.gz", {"a": CONTENT})
    (out / "plain.tar").write_bytes(b"mine")
    with pytest.raises(SourceError, match="File exists"):
        decompress(path, out / "plain.tar", limits=Limits())
    assert (out / "plain.tar").read_bytes() == b"mine"


def test_member_of_many__is_not_begun_without_room(tmp_path, folder, monkeypatch):
    path = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000, total=10**9))
    with (
        Archive(path, folder) as archive,
        pytest.raises(SourceError, match="has 2,304,000 bytes, but the disk has only 1,000 free"),
    ):
        archive.unpack(MEMBER, folder / "member")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_header__of_a_plain_file_is_read_as_tarfile_reads_it(form):
    rng = random.Random(1)
    plain = 0
    for turn in range(400):
        info = tarfile.TarInfo("/".join("x" * rng.randrange(1, 50) for _ in range(turn % 4 + 1)))
        info.size, info.mtime, info.mode = rng.choice([0, 1, 512, 8**11 - 1]), turn, 0o644
        info.type = rng.choice([tarfile.REGTYPE] * 4 + [tarfile.AREGTYPE, b"1", b"2", b"5", b"7"])
        info.uname = rng.choice(["", "ann", "\xe4"])
        block = bytearray(info.tobuf(form)[-512:])
        if turn % 3 == 0:
            block[rng.randrange(512)] = rng.randrange(256)
        if turn % 6 == 0:
            total = sum(block) - sum(block[148:156]) + 256
            block[148:156] = b"%06o\0 " % total
        entry = tar._plain_file(bytes(block))
        if entry is None:
            continue
        plain += 1
        header = tarfile.TarInfo.frombuf(bytes(block), "utf-8", "surrogateescape")
        assert (header.name, header.size, header.isreg()) == (entry.name, entry.size, True)
    assert plain > 80


# Sums


def test_sum__of_the_archive_is_checked_before_it_is_opened(tmp_path, refusal):
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    message = refusal(f"{archive}!{MEMBER}", md5="0" * 32)
    assert message.startswith(f"{archive}: md5 is ")


def test_sum__of_the_member_is_checked(tmp_path, refusal):
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    message = refusal(f"{archive}!{MEMBER}", member_md5="0" * 32)
    assert message.startswith(f"day.zip!{MEMBER}: md5 is {MD5} (2,304,000 bytes), expected 0000")


def test_sum__of_a_member_is_refused_if_no_member_is_named(tmp_path, refusal):
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    message = refusal(str(archive), UsageError, member_md5=MD5)
    assert "an MD5 of a member is given, but source" in message


# From the web, and by hand


def test_downloaded_archive__is_kept_until_its_member_is_extracted(tmp_path, out, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT}).read_bytes()
    options = {"md5": hashlib.md5(archive).hexdigest(), "patience": Patience(sleep=lambda _: None)}
    with running() as server:
        server.contents["day.zip"] = archive
        server.script["day.zip"] = ["cut"] if len(archive) > 1_500_000 else ["503"]
        with pytest.raises(SourceError, match="Did you mean 'monday/park"):
            fetch(f"{server.url}/day.zip!park.aedat4", out / "got", **options)
        assert len(server.seen) == 2
        assert [path.name for path in out.iterdir()] == [DOWNLOADS]
        fetch(f"{server.url}/day.zip!{MEMBER}", out / "got", member_md5=MD5, **options)
        assert len(server.seen) == 2, "it was downloaded again"
    assert (out / "got").read_bytes() == CONTENT
    assert [path.name for path in out.iterdir()] == ["got"]


def test_command__takes_sums_size_member_and_limit(tmp_path, out, capsys):
    archive = packed(tmp_path / "day.zip", {MEMBER: CONTENT})
    whole = archive.read_bytes()
    command = ["acquire", f"{archive}!{MEMBER}", "-o", str(out / "got")]
    sums = ["--sha256", hashlib.sha256(whole).hexdigest(), "--member-md5", MD5]
    assert cli.main([*command, *sums, "--size-bytes", str(len(whole))]) == 0
    assert f"got: md5 {MD5}, 2.3 MB in " in capsys.readouterr().err
    assert (out / "got").read_bytes() == CONTENT
    assert cli.main([*command, "--size-bytes", "7"]) == 1
    assert "expected 7" in capsys.readouterr().err
    assert cli.main([*command, "--member-gib", "0.001"]) == 1
    assert "the limit is 1,073,741. If the size is right, raise" in capsys.readouterr().err
    assert cli.main([*command, "--sha256", "7"]) == 2
    assert (out / "got").read_bytes() == CONTENT, "a refusal took what was there"


@pytest.mark.parametrize("error", [IndexError("no name"), TypeError(), KeyError("x")])
def test_archive__on_which_a_library_fails_in_whatever_way_is_damaged(tmp_path, monkeypatch, error):
    path = packed(tmp_path / "day.zip", {MEMBER: CONTENT})

    def fail(_):
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "infolist", fail)
    with pytest.raises(SourceError, match=r"day\.zip is damaged, or not an archive"):
        Archive(path, tmp_path)
