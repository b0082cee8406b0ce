"""HDF5 of DSEC, RVT and Metavision: their columns are read, and nothing from another file."""

from __future__ import annotations

import struct

import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Events, Sensor, Triggers
from evreel.files import inspection, probe
from evreel.recordings import event_chunks, open_recording
from evreel.recordings.hdf5 import chunks, data_sets
from evreel.recordings.hdf5.open import NAMES
from evreel.recordings.open import STRICT, Reading
from recordings.rows import read as read_rows
from recordings.rows import refused as refused_file
from support import random_events
from support.writers import columns as made

SENSOR = Sensor(6, 8)
ROWS = [(10, 1, 2, 1), (10, 7, 5, 0), (13, 0, 0, 1), (2_000_000, 3, 4, 0)]


def rows_of(path, sensor=None, reading=STRICT):
    return read_rows(path, sensor=sensor, reading=reading)[0]


def refused(path, sensor=SENSOR, kind=RecordingError):
    return refused_file(path, kind, sensor=sensor)


def rewritten(path, name, **options):
    """Replace a data set."""
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, **options)
    return path


def test_dsec__is_read_with_its_offset_and_the_size_given(tmp_path):
    path = made.dsec(tmp_path / "events.h5", ROWS, t_offset=55_609_000_000)
    assert rows_of(path, SENSOR) == [(t + 55_609_000_000, *row) for t, *row in ROWS]
    assert "does not state the sensor's size" in refused(path, None)


def test_dsec__needs_neither_offset_nor_index(tmp_path):
    assert rows_of(made.dsec(tmp_path / "e.h5", ROWS, t_offset=None), SENSOR) == ROWS


def test_rvt__states_its_size(tmp_path):
    path = made.dsec(tmp_path / "e.h5", ROWS, None, (8, 6), made.RVT)
    assert rows_of(path) == ROWS
    with open_recording(path) as recording:
        assert (recording.sensor, recording.format) == (SENSOR, "hdf5-columns")
    assert "8x6" in refused(path, Sensor(7, 8))
    with h5py.File(path, "a") as file:
        del file["events/height"]
    assert "only one of" in refused(path)


@pytest.mark.parametrize("types", [{"p": np.int8}, {"p": bool}, {"t": ">u8", "x": ">i4"}])
def test_columns__may_be_of_any_integer_type(tmp_path, types):
    path = made.dsec(tmp_path / "e.h5", ROWS, 5, types=made.DSEC | types)
    assert rows_of(path, SENSOR) == [(t + 5, *row) for t, *row in ROWS]


def test_columns__of_equal_rows_in_unequal_chunks_are_read(tmp_path):
    events = random_events(200_000, (6, 8), 10_000_000)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        for name, rows in zip("txyp", (5_000, 30_000, 200_000, 77), strict=True):
            values = getattr(events, name)
            file.create_dataset(f"events/{name}", data=values, chunks=(rows,), compression=1)
    with open_recording(tmp_path / "e.h5", sensor=SENSOR) as recording:
        got = Events.concatenate(event_chunks(recording), SENSOR)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(got, name), getattr(events, name))


def test_metavision__is_read_with_its_triggers(tmp_path):
    path = made.metavision(tmp_path / "m.hdf5", ROWS, [(5, 1, 0), (20, 0, 6)])
    assert rows_of(path) == ROWS
    with open_recording(path) as recording:
        (marks,) = (batch for batch in recording.batches() if isinstance(batch, Triggers))
        assert (recording.sensor, recording.format) == (SENSOR, "hdf5-records")
    columns = (marks.t.tolist(), marks.edge.tolist(), marks.id.tolist())
    assert columns == ([-5, 10], [1, 0], [0, 6])


def test_metavision__without_geometry_takes_the_size_given(tmp_path):
    path = made.metavision(tmp_path / "m.hdf5", ROWS, geometry=None)
    assert rows_of(path, SENSOR) == ROWS
    assert "'wide' is not a sensor size" in refused(
        made.metavision(tmp_path / "n.hdf5", ROWS, geometry="wide")
    )


COMPRESSIONS = {
    "none": {},
    "gzip": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "zstd": dict(hdf5plugin.Zstd(), shuffle=True),
    "lz4": dict(hdf5plugin.LZ4(nbytes=1000)),
    "lzf": {"compression": "lzf", "shuffle": True},
}
for codec in ("zstd", "lz4", "lz4hc", "zlib"):
    for shuffle in (0, 1, 2):
        for level in (0, 5):
            COMPRESSIONS[f"blosc {codec} {shuffle} {level}"] = dict(
                hdf5plugin.Blosc(cname=codec, clevel=level, shuffle=shuffle)
            )


def test_chunks__decompress_as_hdf5_and_its_plugins_do(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "e.h5"
    columns = {
        "x": rng.integers(0, 640, 70_003).astype(np.uint16),
        "t": np.sort(rng.integers(0, 10**9, 70_003)),
        "noise": rng.integers(0, 256, 70_003).astype(np.uint8),
        "record": rng.bytes(14 * 5_000),
    }
    columns["record"] = np.frombuffer(columns["record"], made.RECORD)
    for options in COMPRESSIONS.values():
        for rows in (997, 32_768):
            with h5py.File(path, "w") as file:
                for name, values in columns.items():
                    size = min(rows, len(values))
                    file.create_dataset(name, data=values, chunks=(size,), **options)
            with h5py.File(path) as file:
                for name, values in columns.items():
                    assert_decompressed(file[name], values, path.read_bytes())


def assert_decompressed(data_set, values, content):
    plist = data_set.id.get_create_plist()
    filters = [plist.get_filter(k) for k in range(plist.get_nfilters())]
    filters = [(number, parameters) for number, _, parameters, _ in filters]
    for k in range(data_set.id.get_num_chunks()):
        chunk = data_set.id.get_chunk_info(k)
        data = content[chunk.byte_offset : chunk.byte_offset + chunk.size]
        size = data_set.chunks[0] * values.dtype.itemsize
        got = chunks.decompressed(data, filters, chunk.filter_mask, size, values.dtype.itemsize)
        filled = np.zeros(size, np.uint8)
        chunks.decompress_into(data, filters, chunk.filter_mask, filled, values.dtype.itemsize)
        assert filled.tobytes() == got
        at = chunk.chunk_offset[0]
        expected = values[at : at + data_set.chunks[0]].tobytes()
        assert got[: len(expected)] == expected


@pytest.mark.parametrize(
    "options",
    [hdf5plugin.Bitshuffle(), hdf5plugin.Blosc2(), hdf5plugin.BZip2()],
    ids=["bitshuffle", "Blosc2", "bzip2"],
)
def test_filters__that_are_not_undone_are_named(tmp_path, options, request):
    path = made.dsec(tmp_path / "e.h5", ROWS, chunks=(64,), **options)
    message = refused(path, kind=UnknownFormatError)
    assert request.node.callspec.id in message and "h5repack" in message


@pytest.mark.parametrize("codec", ["blosclz", "snappy"])
def test_blosc__with_a_codec_that_is_not_undone_names_it(tmp_path, codec):
    filters = hdf5plugin.Blosc(cname="blosclz", clevel=9)
    rows = [(0, 0, 0, 0)] * 2_000
    path = made.dsec(tmp_path / "e.h5", rows, chunks=(2_000,), **filters)
    if codec == "snappy":  # hdf5plugin cannot write it: mark the first chunk as such
        look = data_sets.look(path, *NAMES)
        content = bytearray(path.read_bytes())
        at = look.tables["events/t"][0, 1] + 2
        content[at] = content[at] & 0x1F | 2 << 5
        path.write_bytes(content)
    assert {"blosclz": "BloscLZ", "snappy": "Snappy"}[codec] in refused(path)


def test_damage__of_a_chunk_is_reported_with_its_byte_and_salvaged_up_to_it(tmp_path):
    events = random_events(300_000, (6, 8), 10_000_000)
    rows = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    options = dict(hdf5plugin.Blosc(cname="zstd", shuffle=1), chunks=(1_000,))
    path = made.dsec(tmp_path / "e.h5", rows, 0, **options)
    _, at, size, _ = data_sets.look(path, *NAMES).tables["events/x"][205].tolist()
    content = bytearray(path.read_bytes())
    content[at + 30 : at + size] = bytes(size - 30)
    path.write_bytes(content)
    message = refused(path)
    assert f"byte {at}: events/x, row 205000: a chunk" in message
    with open_recording(path, sensor=SENSOR, reading=Reading(on_damage="salvage")) as recording:
        got = Events.concatenate(event_chunks(recording), SENSOR)
        assert recording.repairs == {"damaged_bytes": len(content) - at}
    assert len(got) == 205_000
    np.testing.assert_array_equal(got.x, events.x[:205_000])


def test_chunks__that_were_never_written_are_not_taken_for_zeros(tmp_path):
    path = made.dsec(tmp_path / "e.h5", ROWS)
    rewritten(path, "events/y", shape=(4,), chunks=(4,), dtype=np.uint16)
    assert "events/y has no data for row 0" in refused(path)
    rewritten(path, "events/y", shape=(4,), dtype=np.uint16)
    assert "events/y has no data" in refused(path)


def test_values__that_are_not_an_event_are_reported(tmp_path):
    path = made.dsec(tmp_path / "e.h5", [(0, 0, 0, 1), (1, 0, 0, 2)])
    assert "polarity 2 is neither 1 nor 0 nor −1" in refused(path)
    path = made.dsec(tmp_path / "f.h5", [(0, 0, 0, -1), (1, 0, 0, 0)], types=made.RVT | {"p": "i1"})
    assert "polarity 0, but OFF is -1 in an earlier row" in refused(path)
    path = made.dsec(tmp_path / "g.h5", [(0, 8, 0, 1)])
    assert "x=8" in refused(path)
    path = made.dsec(tmp_path / "h.h5", ROWS, t_offset=2**60)
    assert "t_offset=1152921504606846976" in refused(path)
    path = made.dsec(tmp_path / "i.h5", [(2**53 - 1, 0, 0, 1)], t_offset=2, types=made.RVT)
    assert "285 years" in refused(path)


def test_columns__of_unequal_lengths_or_other_shapes_are_errors(tmp_path):
    path = made.dsec(tmp_path / "e.h5", ROWS)
    rewritten(path, "events/x", data=np.zeros(3, np.uint16))
    assert "events/x has 3 rows, but events/t has 4" in refused(path)
    rewritten(path, "events/x", data=np.zeros((4, 2), np.uint16))
    assert "shape (4, 2)" in refused(path)
    rewritten(path, "events/x", data=np.array([b"a"] * 4))
    assert "does not hold numbers" in refused(path)
    with h5py.File(path, "a") as file:
        del file["events/x"]
    assert "has no data set events/x" in refused(path)


def test_columns__stored_in_their_headers_are_read(tmp_path):
    path = made.dsec(tmp_path / "e.h5", ROWS)
    with h5py.File(path, "a") as file:
        del file["events/y"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple((4,)), h5py.h5t.py_create(np.dtype(">u2"))
        made_set = h5py.h5d.create(file["events"].id, b"y", kind, space, plist)
        h5py.Dataset(made_set)[:] = [row[2] for row in ROWS]
    assert rows_of(path, SENSOR) == ROWS


def test_chunks__that_are_too_large_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data_sets, "CHUNK_BYTES", 1000)
    path = made.dsec(tmp_path / "e.h5", ROWS * 100, chunks=(400,), compression="gzip")
    assert "chunks of 400 rows" in refused(path, kind=UnknownFormatError)


def elsewhere(kind, folder):
    """Return a file whose events/x is in another one."""
    path = made.dsec(folder / f"{kind}.h5", ROWS)
    secret = made.dsec(folder / "secret.h5", ROWS, chunks=(4,))
    raw = folder / "raw.bin"
    raw.write_bytes(np.zeros(4, np.uint16).tobytes())
    with h5py.File(path, "a") as file:
        del file["events/x"]
        if kind == "external link":
            file["events/x"] = h5py.ExternalLink(str(secret), "/events/x")
        elif kind == "soft link":
            file["events/x"] = h5py.SoftLink("/events/y")
        elif kind == "external storage":
            file.create_dataset("events/x", (4,), np.uint16, external=[(str(raw), 0, 8)])
        else:
            layout = h5py.VirtualLayout((4,), np.uint16)
            layout[:] = h5py.VirtualSource(str(secret), "events/x", (4,))
            file.create_virtual_dataset("events/x", layout)
    return path


@pytest.mark.parametrize(
    "kind", ["external link", "soft link", "external storage", "virtual data set"]
)
def test_data__in_other_files_are_not_followed(tmp_path, kind):
    assert "does not follow" in refused(elsewhere(kind, tmp_path), kind=UnknownFormatError)


def test_group__that_is_a_link_to_another_file_is_not_followed(tmp_path):
    secret = made.dsec(tmp_path / "secret.h5", ROWS)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["events"] = h5py.ExternalLink(str(secret), "/events")
    assert "does not follow" in refused(tmp_path / "e.h5", kind=UnknownFormatError)


def test_other_hdf5__is_reported_with_its_contents(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["data"] = np.zeros((3, 2))
        file["group/inner"] = 1
        file["away"] = h5py.ExternalLink("x.h5", "/")
    message = refused(tmp_path / "e.h5", kind=UnknownFormatError)
    assert "holds away (a link); data (3, 2) float64; group/inner () int64." in message
    assert "DSEC" in message and "Metavision" in message


@pytest.mark.parametrize("libver", [("earliest", "v110"), ("v110", "v110")])
def test_store__is_recognized_by_content(tmp_path, libver):
    path = tmp_path / "e.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file.attrs["layout"] = "evreel-features"
    with pytest.raises(Exception, match="its layout is 'evreel-features'"):
        open_recording(path)
    assert "holds nothing" in refused(_empty(tmp_path / "n.h5", libver), kind=UnknownFormatError)


def _empty(path, libver):
    with h5py.File(path, "w", libver=libver):
        return path


def test_newer_forms__of_hdf5_are_read(tmp_path):
    for libver in ("v108", "v110", "latest"):
        path = made.dsec(tmp_path / f"{libver}.h5", ROWS, libver=libver)
        assert rows_of(path, SENSOR) == ROWS


def test_structure__on_which_hdf5_hangs_or_dies_is_an_error(tmp_path, monkeypatch):
    path = made.dsec(tmp_path / "e.h5", ROWS)
    script = tmp_path / "probe.py"
    monkeypatch.setattr(probe, "__file__", str(script))
    monkeypatch.setattr(inspection, "WAIT_SECONDS", 0.5)
    script.write_text("import time; time.sleep(60)")
    assert "did not end within" in refused(path)
    monkeypatch.setattr(inspection, "WAIT_SECONDS", 30)
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "signal 11" in refused(path)


def test_file__that_is_cut_is_an_error_with_a_place(tmp_path):
    path = made.dsec(tmp_path / "e.h5", ROWS)
    content = path.read_bytes()
    for size in (9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert "byte 0: its structure cannot be read as HDF5" in refused(path)


def test_checksum__of_fletcher_is_verified(tmp_path):
    data = struct.pack("<4H", 1, 2, 3, 4)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("a", data=np.frombuffer(data, "<u2"), chunks=(4,), fletcher32=True)
        _, stored = file["a"].id.read_direct_chunk((0,))
    assert chunks.decompressed(stored, [(3, ())], 0, 8, 2) == data
    for k in range(len(stored)):
        wrong = stored[:k] + bytes([stored[k] ^ 4]) + stored[k + 1 :]
        with pytest.raises(chunks.ChunkError, match="checksum"):
            chunks.decompressed(wrong, [(3, ())], 0, 8, 2)
