"""An anonymous release tells nobody who made it, shown by a search over every byte."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import hdf5plugin
import lz4.frame
import numpy as np
import pytest
import zstandard

from evreel import steps
from evreel.errors import ReleaseError
from evreel.files import hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance, sha256
from evreel.recordings.open import open_recording
from evreel.release import identity
from evreel.release.anonymous import clean_header, cleaned, described
from evreel.release.identity import Word
from evreel.release.manifest import read_manifest
from evreel.release.search import Unsearched, search
from support import random_events, shared_file
from support.releases import files_below

DATA_SET = {"name": "street", "version": "1.0", "licence": "CC0-1.0"}
RAW = """% Date 2024-05-01 10:00:00
% camera_integrator_name Prophesee
% geometry 1280x720
% sensor_generation 4.2
% serial_number 00001621
% system_ID 49
% evt 3.0
"""
AEDAT4 = """<dv version="2.0">
    <node name="outInfo" path="/mainloop/Recorder/outInfo/">
        <attr key="sizeX" type="int">346</attr>
        <attr key="source" type="string">DAVIS346_00000104</attr>
        <attr key="tsOffset" type="long">1633953629213182</attr>
        <attr key="hostname" type="string">lab-pc-7</attr>
        <attr key="file" type="string">/home/kim/runs/a b.aedat4</attr>
    </node>
</dv>
"""
JAER = """#!AER-DAT2.0\r
# created Wed Sep 16 12:09:08 CEST 2015\r
# HardwareInterface: DAVIS FX2 84010032\r
# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r
#  <entry key="biasBuffer.BitValueFine" value="254"/>\r
#  <entry key="lastFile" value="C:\\Users\\Kim Doe\\jAER\\park.aedat"/>\r
#  <entry key="operator" value="Kim Doe"/>\r
#  <entry key="UDPOutput.host" value="localhost"/>\r
# contact: kim@example.org, and 84010032 again\r
"""


@pytest.mark.parametrize(
    ("header", "gone", "stays", "counts"),
    [
        pytest.param(
            RAW,
            ["00001621", "2024-05-01", " 49"],
            [
                "geometry 1280x720",
                "evt 3.0",
                "sensor_generation 4.2",
                "% serial_number",
                "Prophesee",
            ],
            {"anonymous_dates": 1, "anonymous_serials": 2},
            id="raw",
        ),
        pytest.param(
            AEDAT4,
            ["00000104", "lab-pc-7", "kim", "runs"],
            ["DAVIS346_<", ">346<", ">1633953629213182<", 'path="/mainloop/Recorder/outInfo/"'],
            {"anonymous_hosts": 1, "anonymous_paths": 1, "anonymous_serials": 1},
            id="aedat4",
        ),
        pytest.param(
            JAER,
            ["84010032", "Kim", "Doe", "Sep 16", "kim@example.org", "park.aedat"],
            ["DAVIS FX2", "davis.DAVIS240C", 'value="254"', 'value="localhost"'],
            None,
            id="jaer",
        ),
        pytest.param(
            "MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Mon Sep 16 10:00:00 2024",
            ["Sep 16", "2024"],
            ["MATLAB 5.0 MAT-file, Platform: GLNXA64"],
            {"anonymous_dates": 1},
            id="mat",
        ),
        pytest.param("", [], [], {}, id="empty"),
        pytest.param("a header", [], ["a header"], {}, id="nothing"),
    ],
)
def test_header__loses_what_identifies_and_keeps_what_the_data_mean(header, gone, stays, counts):
    cleaned, left_out = clean_header(header)
    assert not [text for text in gone if text in cleaned]
    assert not [text for text in stays if text not in cleaned]
    assert cleaned.count("\n") == header.count("\n")
    assert sum(left_out.values()) >= len(gone) - 2
    assert counts is None or left_out == counts
    assert clean_header(cleaned) == (cleaned, {})


def test_real_header_of_jaer__loses_its_user_paths_and_serial_number_alone():
    with open_recording(shared_file("recordings/dvsflow16_IMU_rotDisk.aedat")) as recording:
        header = recording.header
    cleaned, left_out = clean_header(header)
    assert all(text in header for text in ("tobi", "84010032"))
    assert not any(text in cleaned for text in ("tobi", "84010032", "C:\\", "2015"))
    assert left_out == {"anonymous_dates": 1, "anonymous_paths": 11, "anonymous_serials": 1}
    assert cleaned.count("entry key") == header.count("entry key")


# -- the search

WORDS = (Word("Kim Doe", "the user's name"), Word("lab", "this machine's name"))


@pytest.mark.parametrize(
    "text",
    [
        *("by Ada Lovelace", "Lovelace, Ada", "A. Lovelace", "ada_lovelace.raw", "adalovelace"),
        *("0000-0001-2345-6789", "ada@parks.example", "Bo Ek", "Hopper, G. M.", "Alan Turing"),
        *("at https://parks.example/data", "see parks.example", "github.com/ada/parks"),
        *("J. Müller", "juergen, or Jurgen Muller", "LOVELACE et al. (2026)"),
        *("by Ada\n  Lovelace", "Ada\u00a0Lovelace"),
    ],
)
def test_search__finds_an_author_as_people_write_the_name(tmp_path, text):
    about = {
        "creators": [
            "Ada Lovelace <https://orcid.org/0000-0001-2345-6789>",
            "Bo Ek <ada@parks.example>",
            "Müller, Jürgen",
        ],
        "page": "https://www.parks.example/data/",
        "citation": "@misc{a, author={Grace M. Hopper and Turing, Alan}, "
        "url={https://github.com/ada/parks}}",
    }
    words = identity.words_of_dataset(about)
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert list(search([("a.txt", tmp_path / "a.txt")], words, stated=False))
    # What has parts of it is somebody else's.
    (tmp_path / "a.txt").write_text("https://github.com, a lovelace, parks, bo eko, Ada", "utf-8")
    assert not list(search([("a.txt", tmp_path / "a.txt")], words))


def hdf5_with(name: str, value, **options) -> bytes:
    path = Path(tempfile.mkdtemp(), "a.h5")
    with hdf5.new_file(path) as file:
        if name == "attribute":
            file.create_group("a").attrs["note"] = value
        elif name == "text":
            file["text"] = ["nothing", value]
        else:
            data = np.frombuffer(b"\0" * 997 + value.encode() + b"\0" * 4000, np.uint8)
            file.create_dataset("data", data=data, chunks=(500,), **options)
    data = path.read_bytes()
    shutil.rmtree(path.parent)
    return data


def zip_with(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("other.txt", "x" * 50)
        packed.writestr(name, data)
    return made.getvalue()


def tar_with(data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as packed:
        member = tarfile.TarInfo("inner.gz")
        member.size = len(data)
        packed.addfile(member, io.BytesIO(data))
    return made.getvalue()


def png_with(text: bytes) -> bytes:
    chunk = b"zTXt" + b"Author\0\0" + zlib.compress(text)
    return (
        b"\x89PNG\r\n\x1a\n"
        + (len(chunk) - 4).to_bytes(4, "big")
        + chunk
        + zlib.crc32(chunk).to_bytes(4, "big")
    )


def npy_with(text: str) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([text]))
    return made.getvalue()


TEXT = "made by kim doe."
CARRIERS = {
    "plain": TEXT.encode(),
    "upper case": TEXT.upper().encode(),
    "among bytes": b"\0\1\2" + TEXT.encode() + b"\xff\0",
    "across pieces": b"\0" * ((1 << 22) - 9) + TEXT.encode(),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16, odd": b"\1" + TEXT.encode("utf-16-be"),
    "latin-1": "Kim Doe, Zürich".encode("latin-1"),
    "json": json.dumps({"by": "Kim Doe"}).encode(),
    "url": b"https://a.org/?by=Kim%20Doe",
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "zstd": zstandard.compress(TEXT.encode()),
    "lz4": lz4.frame.compress(TEXT.encode()),
    "zip": zip_with("a.txt", TEXT.encode()),
    "zip in gzip": gzip.compress(zip_with("a.txt", TEXT.encode())),
    "zip of zstd": zip_with("a.zst", zstandard.compress(TEXT.encode())),
    "name in a zip": zip_with("Kim Doe/a.txt", b""),
    "tar of gzip": tar_with(gzip.compress(TEXT.encode())),
    "png": png_with(TEXT.encode()),
    "npy": npy_with(TEXT),
    "hdf5 attribute": hdf5_with("attribute", TEXT),
    "hdf5 text": hdf5_with("text", TEXT),
    "hdf5 gzip": hdf5_with("data", TEXT, compression="gzip", shuffle=True),
    "hdf5 zstd": hdf5_with("data", TEXT, **hdf5plugin.Zstd()),
    "hdf5 plain": hdf5_with("data", TEXT),
}


@pytest.mark.parametrize("data", CARRIERS.values(), ids=CARRIERS)
def test_search__finds_a_word_wherever_it_is(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    found = list(search([("a", tmp_path / "a")], WORDS))
    assert [(one.path, one.text, one.what) for one in found] == [
        ("a", "Kim Doe", "the user's name")
    ]
    assert list(search([("a", tmp_path / "a")], WORDS, ["kim doe"])) == []


def test_search__looks_at_names_of_files_too(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    (found,) = search([("lab/a", tmp_path / "a")], WORDS)
    assert (found.path, found.place, found.text) == ("lab/a", "", "lab")


@pytest.mark.parametrize(
    ("data", "n"),
    [
        pytest.param(b"the lab.", 1, id="a word"),
        pytest.param(b"labels of elab", 0, id="part of a word"),
        pytest.param(b"\x90\x01\x02 lab \x03\xfe", 0, id="by chance among numbers"),
        pytest.param(b"\x90\x01host name: lab\x00\xfe", 1, id="in text among numbers"),
    ],
)
def test_search__tells_a_short_word_from_chance(tmp_path, data, n):
    (tmp_path / "a").write_bytes(data)
    assert len(list(search([("a", tmp_path / "a")], WORDS))) == n


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"ask jane@uni.example.org", "an e-mail address"),
        (b"in /home/jane/data", "a path"),
        (b"file:///home/jane/data", "a path"),
        (rb"in C:\Users\jane\data", "a path"),
        (b"serial number: 00001621", "a serial number"),
        (b'{"cameraSerial": "DXB00010"}', "a serial number"),
        (b"\0\1\0\2serial_number 00001621\0\0", "a serial number"),
        (b'<attr key="serialNumber" type="string">00001621</attr>', "a serial number"),
    ],
)
def test_search__finds_what_states_itself(tmp_path, data, what):
    (tmp_path / "a").write_bytes(data)
    assert [one.what for one in search([("a", tmp_path / "a")], ())] == [what]
    assert list(search([("a", tmp_path / "a")], (), stated=False)) == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(TEXT.encode())[:-12], id="gzip that is cut short"),
        pytest.param(zip_with("a", b"b" * 99)[:-30], id="zip without its end"),
        pytest.param(hdf5_with("text", TEXT)[:900], id="hdf5 that is cut short"),
    ],
)
def test_search__says_what_it_cannot_look_into(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert any(isinstance(one, Unsearched) for one in search([("a", tmp_path / "a")], ()))


# -- the release


def store(path: Path, header: str, seed: int = 0) -> Path:
    events = random_events(600, stop_us=90_000, seed=seed)
    with hdf5.create(path, EVENTS, Provenance("events", {}, repairs={"stray_events": 2})) as file:
        writer = EventsStoreWriter(file, events.sensor, 1_633_953_629_213_182, "aedat4", header)
        writer.write(events)
        writer.finish()
    return path


PLANTED = (
    *("kimdoe", "Kim Doe", "boss@cvat.example", "lab-pc-7", "00000104", "84010032", "00001621"),
    *("Jo Roe", "Doe, K.", "streets.example.org", "cvat.example.net", "10.1.1.7"),
)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A data set in which everything identifies; the folder is the working directory."""
    folder = tmp_path / "kimdoe" / "streets"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(identity.getpass, "getuser", lambda: "kimdoe")
    monkeypatch.setattr(identity.socket, "gethostname", lambda: "lab-pc-7")
    for name, header in (("park", AEDAT4), ("town", JAER), ("sea", RAW)):
        store(folder / f"{name}.h5", header, seed=len(name))
    (folder / "park.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        "<name>park</name><segments><segment><id>1</id>"
        "<url>http://cvat.example.net:8080/api/jobs/1</url></segment></segments>"
        "<owner><username>Kim Doe</username><email>boss@cvat.example</email></owner>"
        "<assignee></assignee></task></meta></annotations>\n",
        encoding="utf-8",
    )
    (folder / "biases.txt").write_text("bias_diff_on 325\n", encoding="utf-8")
    rows = [
        {"path": f"train/events/{name}.h5", "source": f"{name}.h5", "kind": "events", "id": name}
        | {"split": "train"}
        for name in ("park", "town", "sea")
    ]
    rows.append(
        {"path": "annotations/park.rois.xml", "source": "park.xml", "kind": "annotations"}
        | {"id": "park", "split": "train"}
    )
    rows.append(
        {"path": "sidecars/park.biases.txt", "source": "biases.txt", "kind": "sidecars"}
        | {"id": "park", "split": "train"}
    )
    known = {"split": "train", "source": "https://streets.example.org/a.raw", "meta.light": "day"}
    known |= {"page": "https://streets.example.org", "meta.operator": "Jo Roe"}
    about = {"title": "Streets", "page": "https://streets.example.org", "citation": "Doe, K. 2024"}
    return {
        "rows": rows,
        "recordings": {name: dict(known) for name in ("park", "town", "sea")},
        "dataset": about,
        "config": {"dataset": about, "release": {"compression": "portable"}},
    }


def released(planned, target="street-1.0", **options) -> Path:
    steps.release_plan(planned["rows"], "plan.tsv")
    given = {key: value for key, value in planned.items() if key != "rows"}
    settings = steps.ReleaseSettings(**DATA_SET, anonymous=True, **options)
    steps.release("plan.tsv", target, settings, **given)
    return Path(target)


def every_byte(path: Path) -> bytes:
    """A file as it is, and what HDF5 holds decompressed."""
    data = path.read_bytes()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            names = ["/"]
            file.visit(names.append)
            for name in names:
                data += repr(dict(file[name].attrs)).encode()
                if isinstance(file[name], h5py.Dataset):
                    data += repr(np.asarray(file[name])).encode()
                    data += np.asarray(file[name]).tobytes() if file[name].dtype != object else b""
    return data


@pytest.mark.parametrize("compression", ["portable", "fast"])
def test_anonymous_release__has_nothing_that_identifies_in_any_byte(planned, compression, tmp_path):
    release = released(planned, compression=compression)
    for name, place in files_below(release).items():
        data = every_byte(place).lower()
        left = [text for text in (*PLANTED, str(tmp_path)) if text.lower().encode() in data]
        assert not left, f"{name}: {left}"
    assert steps.verify(release) == []
    assert not steps.check(release).findings
    # What the data mean stays, and what was left out is counted.
    with EventsStore(release / "train/events/park.h5") as made, EventsStore("park.h5") as worked:
        for column in ("t", "x", "y", "p"):
            assert np.array_equal(getattr(made.read(), column), getattr(worked.read(), column))
        assert made.t_offset == worked.t_offset
        assert (made.sensor, ">346<" in made.header) == (worked.sensor, True)
    with h5py.File(release / "train/events/park.h5") as file:
        repairs = json.loads(file.attrs["repairs"])
    assert repairs == {
        "anonymous_hosts": 1,
        "anonymous_paths": 1,
        "anonymous_serials": 1,
        "stray_events": 2,
    }
    # Files that were made from the working file still say so.
    (file,) = (file for file in read_manifest(release).files if file.path.endswith("park.h5"))
    assert file.original == sha256("park.h5")
    row = read_manifest(release).recordings["park"]
    assert row == {"split": "train", "meta.light": "day"}
    assert json.loads((release / "config.json").read_bytes())["dataset"] == {"title": "Streets"}
    assert b"Anonymous authors" in (release / "croissant.json").read_bytes()


def test_anonymous_release__is_refused_if_anything_is_left(planned, caplog):
    left = {
        "made by Kim Doe": "a name in an annotation, 'Kim Doe'",
        "bias file of 84010032": "the serial number in a recording's header, '84010032'",
        "held by J. Roe": "column meta.operator, 'J. Roe'",
        "from lab-pc-7": "the host name in a recording's header, 'lab-pc-7'",
        "of kimdoe": "a name in an annotation, 'kimdoe'",
        "or kim": "the name of a user in a recording's header, 'kim'",
        "see https://streets.example.org": "column page, 'https://streets.example.org'",
        "or streets.example.org": "dataset/page, 'streets.example.org'",
        "write to a@b.example.org": "an e-mail address, 'a@b.example.org'",
    }
    Path("biases.txt").write_text("\n".join(left), encoding="utf-8")
    start = "identifying: sidecars/park.biases.txt: byte 0: has "
    with pytest.raises(ReleaseError, match=rf"checks found 9 errors, the first: error: {start}"):
        released(planned)
    for what in left.values():
        assert f"{start}{what}; remove it" in caplog.text
    assert "or name it in release.anonymous_keep" in caplog.text
    assert not Path("street-1.0").exists()


def test_anonymous_release__has_a_word_that_is_named_and_the_same_bytes_each_time(planned):
    Path("biases.txt").write_text("of kimdoe\n", encoding="utf-8")
    first, second = (released(planned, name, anonymous_keep=("kimdoe",)) for name in "ab")
    assert {name: place.read_bytes() for name, place in files_below(first).items()} == {
        name: place.read_bytes() for name, place in files_below(second).items()
    }
    with pytest.raises(Exception, match="anonymous_keep: has an effect only with anonymous: true"):
        steps.ReleaseSettings(**DATA_SET, anonymous_keep=("kimdoe",))


def test_anonymous_release__has_no_recording(planned):
    Path("park.raw").write_bytes(RAW.encode() + bytes(64))
    planned["rows"].append({"path": "park.raw", "source": "park.raw", "kind": "", "id": "park"})
    with pytest.raises(ReleaseError, match=r"park\.raw: is a recording: its header.*Leave record"):
        released(planned)


def test_annotations_in_json__lose_whom_they_name(tmp_path):
    source, made = tmp_path / "a.json", tmp_path / "b.json"
    info = {"contributor": 'Kim "K" Doe', "url": "https://a.org", "year": 2024}
    images = [{"id": 1, "file_name": "a.png", "coco_url": ""}]
    source.write_text(json.dumps({"info": info, "images": images}), encoding="utf-8")
    copy = cleaned(source, made, "anonymous_annotations", ())
    assert copy == (made, {"anonymous_names": 2})
    left = {"info": info | {"contributor": "", "url": ""}, "images": images}
    assert json.loads(made.read_bytes()) == left
    assert cleaned(made, tmp_path / "c.json", "anonymous_annotations", ()) is None
    assert not (tmp_path / "c.json").exists()


def test_described__leaves_out_authors_and_what_nobody_knows_of():
    config, rows, about = described(
        {"dataset": {"title": "a", "citation": "b", "creators": ["c"], "new": "d"}, "labels": []},
        {"x": {"source": "a", "page": "b", "md5": "0", "meta.light": "day"}},
        {"description": "e", "funding": "f"},
    )
    assert config == {"dataset": {"title": "a"}, "labels": [], "release": {"anonymous": True}}
    assert rows == {"x": {"md5": "0", "meta.light": "day"}}
    assert about == {"description": "e", "creators": ["Anonymous authors"]}
