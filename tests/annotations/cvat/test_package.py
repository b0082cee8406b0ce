"""An export as CVAT packs it: read from the zip, and refused where it is not one."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from evreel.annotations.cvat import read_cvat, write_images_xml
from evreel.annotations.cvat.package import open_xml
from evreel.annotations.open import read_annotations
from evreel.errors import AnnotationError
from support.annotations import PARK, TASK, by_frame


@pytest.fixture
def xml(tmp_path):
    write_images_xml(tmp_path / "a.xml", PARK, **TASK)
    return tmp_path / "a.xml"


def zipped(path, members, **more):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **more) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


@pytest.mark.parametrize("read", [read_cvat, read_annotations])
def test_folder__is_read_as_its_only_xml(tmp_path, xml, read):
    export = tmp_path / "export"
    (export / "images").mkdir(parents=True)
    (export / "images" / "000000_0.png").write_bytes(b"\x89PNG")
    (export / "annotations.xml").write_bytes(xml.read_bytes())
    got = read(export)
    assert (by_frame(got), got.source) == (by_frame(PARK), "export")
    (export / "job_2.xml").write_text("<annotations><hexagon/></annotations>")
    with pytest.raises(AnnotationError, match=r"a folder of 2 XMLs, .*export their task"):
        read(export)
    (export / "annotations.xml").unlink()
    with pytest.raises(AnnotationError, match=r"export: job_2\.xml, line 1: <hexagon>"):
        read(export)


@pytest.mark.parametrize("read", [read_cvat, read_annotations])
@pytest.mark.parametrize("name", ["annotations.xml", "export/annotations.xml", "Park.XML"])
def test_zip__is_read_as_its_xml_and_nothing_is_unpacked(tmp_path, xml, read, name):
    members = {
        "images/000000_0.png": b"\x89PNG",
        name: xml.read_bytes(),
        "__MACOSX/._annotations.xml": b"\x00",
    }
    path = zipped(tmp_path / "export.zip", members)
    before = sorted(tmp_path.iterdir())
    got = read(path)
    assert by_frame(got) == by_frame(PARK)
    assert (got.tags, got.source) == (PARK.tags, "export.zip")
    assert sorted(tmp_path.iterdir()) == before


def test_zip__whose_xml_is_wrong_says_the_place_in_it(tmp_path, xml):
    text = xml.read_text().replace('xtl="1.00"', 'xtl="one"')
    path = zipped(tmp_path / "a.zip", {"annotations.xml": text})
    message = r"^a\.zip: annotations\.xml, line \d+, frame 2, label 'car': xtl has 'one'"
    with pytest.raises(AnnotationError, match=message):
        read_cvat(path)
    path = zipped(tmp_path / "a.zip", {"annotations.xml": xml.read_text()[:-40]})
    with pytest.raises(AnnotationError, match=r"^a\.zip: annotations\.xml, line \d+: is not whole"):
        read_cvat(path)


ANY = "<annotations/>"
BAD = {
    "several": ({"a.xml": ANY, "b/a.xml": ANY}, r"is a zip of 2 XMLs, a\.xml, b/a\.xml; one is"),
    "none": ({"readme.txt": "", "x.json": ""}, r"is a zip without an XML: it has readme\.txt, x"),
    "above": ({"../annotations.xml": ANY}, r"has a member '\.\./annotations\.xml', which is not"),
    "root": ({"/etc/annotations.xml": ANY}, "which is not in its folder"),
    "drive": ({"C:\\annotations.xml": ANY}, "which is not in its folder"),
    "beside": ({"annotations.xml": ANY, "images/../../x.png": ""}, "which is not in its folder"),
    "zip": ({"annotations.zip": "PK"}, r"is a zip without an XML: it has annotations\.zip"),
    "bomb": (
        {"annotations.xml": b"<annotations>" + b" " * (2 << 20)},
        r"2\.1 MB in 2\.\d kB, which no export has",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_zip__that_is_no_export_is_one_error(tmp_path, name, monkeypatch):
    monkeypatch.setattr("evreel.annotations.cvat.package._SMALL_BYTES", 1 << 20)
    members, message = BAD[name]
    path = zipped(tmp_path / "a.zip", members)
    with pytest.raises(AnnotationError, match=rf"^a\.zip: .*{message}"):
        read_cvat(path)


def test_zip__that_is_encrypted_is_one_error(tmp_path, xml):
    path = zipped(tmp_path / "a.zip", {"annotations.xml": xml.read_bytes()})
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + at] |= 1
    path.write_bytes(raw)
    for read in (read_cvat, read_annotations):
        with pytest.raises(AnnotationError, match=r"^a\.zip: is encrypted: annotations\.xml"):
            read(path)


def test_zip__cut_anywhere_or_damaged_is_one_error(tmp_path, xml):
    path = zipped(tmp_path / "a.zip", {"annotations.xml": xml.read_bytes()})
    whole = path.read_bytes()
    for length in range(4, len(whole), 53):
        path.write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match=r"^a\.zip: .*is not a whole zip"):
            read_cvat(path)
    for at in range(40, len(whole) - 200, 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(AnnotationError, match=r"^a\.zip: "):
            read_cvat(path)


def test_zip__that_understates_the_size_of_its_xml_is_not_read_beyond_it(tmp_path):
    path = zipped(tmp_path / "a.zip", {"annotations.xml": b"<annotations>" + b" " * 100_000})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, 50)
    path.write_bytes(raw)
    with pytest.raises(AnnotationError, match=r"^a\.zip: "):
        read_cvat(path)


def test_file__is_closed_whatever_happens(tmp_path, xml):
    path = zipped(tmp_path / "a.zip", {"annotations.xml": xml.read_bytes()})
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for file in (xml, path):
        with open_xml(file) as (opened, _):
            opened.read(10)
        with pytest.raises(KeyError), open_xml(file):
            raise KeyError
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
