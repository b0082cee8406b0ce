"""Whole recordings in another coding: an error like no other, and nothing that is salvaged."""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel import steps
from evreel.checks.run import audit
from evreel.errors import CodingError, RecordingError
from evreel.events import Events, Sensor
from evreel.files.events_store import EventsStore
from evreel.recordings import open_recording
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.recordings.aedat4.packets import EVENT, MAGIC
from evreel.recordings.hdf5 import data_sets as foreign_hdf5
from evreel.recordings.open import Reading
from evreel.recordings.survey import DAMAGED_ROWS, Survey
from recordings.rows import read
from support.writers import aedat, event_stream, prophesee
from support.writers import columns as made

SENSOR = Sensor(40, 48)
N = 20_000
RNG = np.random.default_rng(0)
SOUND = {
    "t": np.arange(N),
    "x": RNG.integers(0, 48, N),
    "y": RNG.integers(0, 40, N),
    "p": np.where(np.arange(N) < 2_000, np.arange(N) % 2, RNG.integers(0, 4, N)),
}
TWO = SOUND | {"p": np.arange(N) % 2}


@pytest.fixture(autouse=True)
def looked_at_once(monkeypatch):
    """HDF5's structure, which takes a process, is looked at once for all ways of reading."""
    monkeypatch.setattr(foreign_hdf5, "look", functools.cache(foreign_hdf5.look))


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def hdf5(folder: Path, columns, **options) -> Path:
    path = folder / "r.h5"
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            options = {"chunks": (512,)} | options
            file.create_dataset(f"events/{name}", data=values, **options)
    return path


def npz(folder: Path, columns) -> Path:
    return written(folder, "r.npz", made.npz(**columns))


def npy(folder: Path, columns) -> Path:
    kinds = [(name, values.dtype) for name, values in columns.items()]
    records = np.empty(N, kinds)
    for name, values in columns.items():
        records[name] = values
    return written(folder, "r.npy", made.npy(records))


def bloscs(codec: str):
    return lambda folder: hdf5(folder, TWO, **hdf5plugin.Blosc(cname=codec))


def members(method: int):
    def write(folder: Path) -> Path:
        arrays = {f"{name}.npy": made.npy(values) for name, values in TWO.items()}
        return written(folder, "r.npz", made.zipped(arrays, method))

    return write


def encrypted(folder: Path) -> Path:
    content = bytearray(npz(folder, TWO).read_bytes())
    with zipfile.ZipFile(folder / "r.npz") as archive:
        start = archive.start_dir
    for at in (6, content.index(b"PK\x01\x02", start) + 8):
        content[at] |= 1
    return written(folder, "r.npz", bytes(content))


def dat(folder: Path) -> Path:
    rows = [(int(t), int(x), int(y), int(p)) for t, x, y, p in zip(*SOUND.values(), strict=True)]
    return written(folder, "r.dat", prophesee.dat(rows, (48, 40)))


def aedat4(folder: Path) -> Path:
    """Write four polarities into a file that was made with two."""
    path, events = folder / "r.aedat4", np.zeros(N, EVENT)
    two = SOUND | {"p": SOUND["p"] & 1}
    with Aedat4Writer(path, SENSOR, compression="none", events_per_packet=N) as writer:
        writer.write(Events(*two.values(), SENSOR))
    content = path.read_bytes()
    for columns in (two, SOUND):
        for name, values in columns.items():
            events[name] = values
        if columns is two:
            at = content.index(events.tobytes())
    return written(folder, path.name, content[:at] + events.tobytes() + content[at + 16 * N :])


def aedat4_of_another_codec(folder: Path) -> Path:
    content = bytearray(aedat4(folder).read_bytes())
    assert content[len(MAGIC) + 32] == 0
    content[len(MAGIC) + 32] = 9
    return written(folder, "r.aedat4", bytes(content))


def evt3_of_another_version(folder: Path) -> Path:
    words = [0x9000 + k % 7 if k % 5 == 4 else 0x8000 for k in range(9_000)]
    return written(folder, "r.raw", prophesee.raw("3.0", words, (48, 40)))


def another_camera(folder: Path) -> Path:
    words = b"".join(aedat.davis(t, t % 48, 3 + t % 30, 1) for t in range(9_000))
    return written(folder, "r.aedat", aedat.header2(aedat.DVS128) + words)


CODINGS = {
    "npz of four polarities": (lambda f: npz(f, SOUND), "events, .* have 2.*salvage.*ON"),
    "npz of one odd polarity": (
        lambda f: npz(f, TWO | {"p": np.where(np.arange(N) == 9_000, 7, np.arange(N) % 2)}),
        "polarity 7 is neither 1 nor 0: of 20,000 events, 1 has 7",
    ),
    "npy of four polarities": (lambda f: npy(f, SOUND), "polarity [23] is neither"),
    "hdf5 of four polarities": (lambda f: hdf5(f, SOUND), "polarity [23] is neither"),
    "mat of four polarities": (
        lambda f: written(
            f, "r.mat", made.asl(list(zip(*(v.tolist() for v in SOUND.values()), strict=True)))
        ),
        "polarity [23] is neither",
    ),
    "dat of four polarities": (dat, "polarity [23] is neither 0 nor 1: of 20,000 events"),
    "aedat4 of four polarities": (aedat4, r"p=[23], not within.*of 20,000 events"),
    "0 and 255": (
        lambda f: npz(f, TWO | {"p": (np.arange(N) % 2 * 255).astype(np.uint8)}),
        "10,000 have 255.*save p as 1 for ON",
    ),
    "0 and -1": (
        lambda f: npz(f, TWO | {"p": np.arange(N) % 3 - 1}),
        "OFF is -1 in an earlier row: of 20,000 events",
    ),
    "seconds": (
        lambda f: npz(f, TWO | {"t": np.arange(N) * 1e-6}),
        r"nor are 19,999 of 20,000 in all.*s, ms or ns",
    ),
    "seconds, npy": (lambda f: npy(f, TWO | {"t": np.arange(N) * 1e-6}), "is not a whole number"),
    "ns since 1970": (
        lambda f: npz(f, TWO | {"t": 1_700_000_000 * 10**9 + np.arange(N)}),
        "not within 285 years of 0, nor are .*ns instead of us",
    ),
    "float32 stamps": (
        lambda f: hdf5(f, TWO | {"t": np.arange(N, dtype=np.float32) * 4_000}),
        "holds exactly",
    ),
    "undistorted": (
        lambda f: npz(f, TWO | {"x": TWO["x"] + 0.25}),
        "x=.* is not a whole number, nor are 20,000 of 20,000 in all.*undistorted",
    ),
    "objects": (lambda f: npz(f, TWO | {"x": TWO["x"].astype(object)}), "pickle.*whole numbers"),
    "dates": (
        lambda f: npz(f, TWO | {"t": TWO["t"].astype("M8[us]")}),
        "datetime64.*whole numbers",
    ),
    "two dimensions": (lambda f: npz(f, TWO | {"t": np.zeros((N, 1))}), "one dimension"),
    "bloscLZ": (bloscs("blosclz"), "compressed by BloscLZ.*gzip"),
    "bzip2 in hdf5": (
        lambda f: hdf5(f, TWO, **hdf5plugin.BZip2()),
        "compressed by HDF5's filter 307, bzip2.*gzip",
    ),
    "blosc2": (lambda f: hdf5(f, TWO, **hdf5plugin.Blosc2()), "filter 32026, Blosc2"),
    "bzip2": (members(zipfile.ZIP_BZIP2), r"zip method 12 \(bzip2\)"),
    "lzma": (members(zipfile.ZIP_LZMA), r"zip method 14 \(LZMA\)"),
    "encrypted": (encrypted, "array t is encrypted"),
    "aedat4 of another codec": (aedat4_of_another_codec, "compression is 9"),
    "aedat3 compressed": (
        lambda f: written(
            f, "r.aedat", aedat.header3("Source 1: DVS128").replace(b"RAW", b"SerializedTS")
        ),
        "only RAW can be read",
    ),
    "evt4": (
        lambda f: written(f, "r.raw", b"% evt 4.0\n% geometry 48x40\n% end\n\0\0\0\0"),
        "EVT 4.0",
    ),
    "evt3 of new types": (evt3_of_another_version, "nor do 1,800 of 9,000 words"),
    "aedat2 of another camera": (another_camera, "and so have 9,000 of 9,000 words"),
    "es of version 3": (
        lambda f: written(f, "r.es", event_stream.stream(event_stream.DVS, [], version=(3, 0, 0))),
        "version 3.0.0",
    ),
}


@pytest.mark.parametrize("name", CODINGS)
def test_coding__that_is_not_read_is_one_error_however_it_is_read_and_nothing_is_written(
    tmp_path, name
):
    write, said = CODINGS[name]
    path = write(tmp_path)
    sensor = Sensor(128, 128) if name == "aedat2 of another camera" else SENSOR
    size = f"{sensor.width}x{sensor.height}"
    messages = set()
    for reading in (Reading(), Reading(on_damage="salvage"), Reading("sort", "drop", "salvage")):
        with pytest.raises(CodingError, match=said) as caught:
            read(path, sensor=sensor, reading=reading)
        messages.add(str(caught.value))
        assert "on_damage" not in str(caught.value)
    assert len(messages) == 1
    store = tmp_path / "s.h5"
    with pytest.raises(CodingError):
        steps.events(path, store, steps.EventsSettings(on_damage="salvage"), sensor=size)
    assert not store.exists()
    report = audit(path, sensor=sensor)
    assert {finding.check for finding in report.findings} >= {"readable"}


def test_snappy__is_refused_as_what_it_is(tmp_path):
    try:
        path = bloscs("snappy")(tmp_path)
    except (ValueError, OSError, RuntimeError):
        pytest.skip("hdf5plugin is built without Snappy")
    with pytest.raises(CodingError, match="Snappy"):
        read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))


def test_remedies__that_the_messages_name_do_read_every_event(tmp_path):
    path = npz(tmp_path, SOUND | {"p": (SOUND["p"] > 1).astype(int)})
    assert len(read(path, sensor=SENSOR)[0]) == N
    t = np.arange(N) * 1e-6
    path = npz(tmp_path, TWO | {"t": np.round(t * 1e6).astype(np.int64)})
    assert len(read(path, sensor=SENSOR)[0]) == N
    path = npz(tmp_path, TWO | {"t": (1_700_000_000 * 10**9 + np.arange(N) * 1_000) // 1_000})
    assert len(read(path, sensor=SENSOR)[0]) == N
    with h5py.File(bloscs("blosclz")(tmp_path)) as old, h5py.File(tmp_path / "n.h5", "w") as new:
        for name in "txyp":
            values = old[f"events/{name}"][:]
            new.create_dataset(f"events/{name}", data=values, compression="gzip")
    assert len(read(tmp_path / "n.h5", sensor=SENSOR)[0]) == N


def test_swapped_axes__are_named_and_the_remedy_reads_them(tmp_path):
    path = npz(tmp_path, TWO | {"x": TWO["y"], "y": TWO["x"]})
    with pytest.raises(RecordingError, match=r"as are .* up to x=39, y=47.*40x48.*swap_xy: true"):
        read(path, sensor=SENSOR)
    store = tmp_path / "s.h5"
    steps.events(path, store, steps.EventsSettings(swap_xy=True), sensor="40x48")
    with EventsStore(store) as opened:
        assert opened.sensor == SENSOR
        np.testing.assert_array_equal(opened.read().x, TWO["x"])


def test_flipped_bits__are_damage_where_nothing_says_otherwise(tmp_path):
    content = bytearray(npy(tmp_path, TWO).read_bytes())
    at = len(content) - 5_000 * 32 + 24
    content[at] ^= 2
    path = written(tmp_path, "r.npy", bytes(content))
    with pytest.raises(RecordingError, match=r"polarity .*on_damage: salvage") as caught:
        read(path, sensor=SENSOR)
    assert not isinstance(caught.value, CodingError)
    rows, repairs = read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert len(rows) == N - 5_000
    assert repairs == {"damaged_bytes": len(content) - at + 24}


def test_lost_sector__of_uncompressed_hdf5_is_damage(tmp_path):
    path = hdf5(tmp_path, TWO | {"p": TWO["p"].astype(np.uint8)}, chunks=None)
    with h5py.File(path) as file:
        at = file["events/p"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[at + 10_240 : at + 10_752] = RNG.bytes(512)
    path.write_bytes(content)
    rows, _ = read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert 10_240 <= len(rows) < 10_300


def test_header_of_a_chunk__that_names_another_codec_than_its_data_set_is_damage(tmp_path):
    path = hdf5(tmp_path, TWO, **hdf5plugin.Blosc(cname="lz4"))
    with h5py.File(path) as file:
        at = file["events/p"].id.get_chunk_info(30).byte_offset
    content = bytearray(path.read_bytes())
    content[at + 2] &= 0x1F  # the codec: BloscLZ
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="names BloscLZ"):
        read(path, sensor=SENSOR)
    rows, _ = read(path, sensor=SENSOR, reading=Reading(on_damage="salvage"))
    assert len(rows) == 30 * 512


@pytest.mark.parametrize(
    ("bad", "n", "shifts", "is_damage"),
    [
        ([5], 100, False, True),
        (range(10, 70), 100, False, False),
        (range(0, 3_000, 3), 3_000, False, False),  # three polarities in a short file
        (range(1_000, 1_512), 3_000, False, True),
        ([100, 2_900], 3_000, False, True),
        (range(10_000, 10_000 + DAMAGED_ROWS), 50_000, False, True),
        (range(0, 50_000, 20), 50_000, False, False),
        (range(25_000, 50_000, 3), 50_000, False, False),
        (range(25_000, 50_000, 3), 50_000, True, True),
        (range(0, 50_000, 3), 50_000, True, False),
    ],
)
def test_survey__tells_damage_from_a_coding_by_where_it_is(bad, n, shifts, is_damage):
    mask = np.zeros(n, np.bool_)
    mask[list(bad)] = True
    survey = Survey()
    for part in np.array_split(mask, 7):
        survey.add(part, part.astype(int))
    assert (survey.n, survey.bad) == (n, len(list(bad)))
    assert survey.is_damage(may_shift=shifts) == is_damage


def test_opening__that_fails_is_not_said_to_be_salvageable(tmp_path):
    path = written(tmp_path, "r.dat", prophesee.dat([], (48, 40))[:-1] + b"\x07")
    with pytest.raises(RecordingError, match="7 bytes, not 8") as caught:
        open_recording(path, reading=Reading(on_damage="salvage"))
    assert "salvage" not in str(caught.value)
