"""Repacking: all that an HDF5 file holds stays, but its compression."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deflate
import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel.errors import ReleaseError
from evreel.events import Events, Sensor
from evreel.files.events_store import EventsStore
from evreel.files.repack import needs_plugin, repack
from evreel.layout import GZIP_LEVEL
from support import random_events
from support.releases import feature_file, store


def tree(file: h5py.File) -> dict[str, object]:
    """Everything in an HDF5 file that a reader sees, in a form that compares."""

    def plain(value):
        if isinstance(value, h5py.Empty):
            return ("empty", str(value.dtype))
        value = np.asarray(value)
        kept = [x.tolist() if isinstance(x, np.ndarray) else x for x in value.ravel()]
        raw = kept if value.dtype.hasobject else value.tobytes()
        return (str(value.dtype), value.shape, raw)

    seen: dict[str, object] = {}

    def look(name, node):
        seen[name] = {key: plain(value) for key, value in node.attrs.items()}
        if isinstance(node, h5py.Dataset):
            seen[f"{name} ="] = (
                plain(node[()] if node.shape is not None else h5py.Empty(node.dtype)),
                node.shape,
                node.maxshape,
                node.chunks,
                node.dtype,
                None if node.dtype.hasobject or node.shape is None else plain(node.fillvalue),
            )

    look("/", file)
    file.visititems(look)
    return seen


def compression(path: Path) -> dict[str, tuple[object, ...]]:
    found = {}

    def look(name, node):
        if isinstance(node, h5py.Dataset):
            found[name] = (node.compression, node.compression_opts, node.shuffle)

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def test_repack__of_an_events_store_keeps_all_but_the_compression(tmp_path):
    events = random_events(200_000, stop_us=3_000_000)
    path = store(tmp_path / "a.h5", events)
    repack(path, tmp_path / "b.h5")
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
    with EventsStore(tmp_path / "b.h5") as opened:
        got = opened.read()
        for name in "txyp":
            np.testing.assert_array_equal(getattr(got, name), getattr(events, name))
    before, after = compression(path), compression(tmp_path / "b.h5")
    assert before.keys() == after.keys()
    for name in ("events/t", "events/x", "events/y", "events/p", "ms_to_idx", "triggers/t"):
        assert after[name] == ("gzip", GZIP_LEVEL, True)
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert old["events/t"].fletcher32
        assert not new["events/t"].fletcher32
        _, chunk = new["events/t"].id.read_direct_chunk((0,))
        shuffled = new["events/t"][:65_536].view("u1").reshape(-1, 8).T.tobytes()
        assert chunk == deflate.zlib_compress(shuffled, GZIP_LEVEL), (
            "the bytes are not the system's zlib's"
        )
    for name in ("events/height", "t_offset", "source_header"):
        assert after[name] == (None, None, False)


def test_repack__of_a_feature_file_keeps_metavisions_attributes(tmp_path):
    path = feature_file(tmp_path / "a.h5")
    repack(path, tmp_path / "b.h5")
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
        assert new["data"].chunks == (1, 2, 24, 32)
        assert new["data"].attrs["events_to_tensor"] == b"histo"
        assert new["data"].attrs["delta_t"].dtype == np.uint32


def test_repack__of_an_empty_store_and_of_the_last_pixel(tmp_path):
    sensor = Sensor(65536, 65536)
    edge = Events([2**31 + 5], [65535], [65535], [1], sensor)
    for name, events in (("none", Events.empty(sensor)), ("one", edge)):
        path = store(tmp_path / f"{name}.h5", events)
        repack(path, tmp_path / f"{name}_out.h5")
        with h5py.File(path) as old, h5py.File(tmp_path / f"{name}_out.h5") as new:
            assert tree(new) == tree(old)


def everything(path: Path) -> Path:
    """Write an HDF5 file with all that HDF5 files hold, and a plugin's compression."""
    zstd = dict(hdf5plugin.Zstd(clevel=1))
    rng = np.random.default_rng(0)
    record = np.dtype([("a", "<i8"), ("b", "<f4", (2,)), ("s", "S3")])
    with h5py.File(path, "w-") as file:
        add = file.create_dataset
        add("g/edge", data=rng.integers(0, 9, (130, 7)), chunks=(50, 3), maxshape=(None, 7), **zstd)
        add("g/lzf", data=np.arange(130.0), compression="lzf", chunks=(30,), fletcher32=True)
        add("gzip9", data=np.arange(1200), compression="gzip", compression_opts=9, chunks=(100,))
        add("contiguous", data=rng.random((300, 2_000)).astype(">f4"))
        add("scalar", data=3.5)
        add("texts", data=["a", "ä", ""], dtype=h5py.string_dtype(), chunks=(2,), **zstd)
        add("text", data="header\nä", dtype=h5py.string_dtype())
        add("fixed", data=np.array([b"ab", b"c"]))
        add("empty", data=h5py.Empty("f4"))
        add("growable", shape=(0, 3), maxshape=(None, 3), chunks=(10, 3), dtype="u2", **zstd)
        sparse = add("sparse", shape=(10_000,), chunks=(100,), dtype="i4", fillvalue=-7, **zstd)
        sparse[250] = 4
        add("never_written", shape=(50,), dtype="i4", fillvalue=9)
        add("bool", data=np.array([True, False]), chunks=(1,), **zstd)
        add("complex", data=np.array([1 + 2j, np.nan]), chunks=(2,), **zstd)
        add("record", data=np.frombuffer(rng.bytes(19 * 5), dtype=record), chunks=(2,), **zstd)
        add("enum", data=np.array([1, 0]), dtype=h5py.enum_dtype({"A": 0, "B": 1}, "u1"))
        vlen = add("vlen", shape=(3,), dtype=h5py.vlen_dtype("i4"), chunks=(2,), **zstd)
        vlen[0], vlen[2] = [1, 2], [5]
        file["twice"] = file["g/edge"]
        file["g/loop"] = file["/"]
        file["g_twice"] = file["g"]
        file["soft"] = h5py.SoftLink("/g/edge")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["Straße"] = 1
        file.attrs["text"] = "ä"
        file.attrs["number"] = np.int64(4)
        file.attrs["numbers"] = np.arange(3, dtype="u2")
        file.attrs["nothing"] = h5py.Empty("i4")
        file.attrs["bytes"] = np.bytes_("xy")
        file.attrs["texts"] = ["a", "bb"]
        file.attrs["flag"] = True
        file.attrs["Länge"] = 1
        file["g"].attrs["of_group"] = 1
        file["g/edge"].attrs["record"] = np.zeros(2, dtype=record)
        file["g/edge"].attrs.create("vectors", np.ones((2, 3)), dtype="(3,)f8")
    return path


def test_repack__keeps_everything_that_an_hdf5_file_can_have(tmp_path):
    path = everything(tmp_path / "a.h5")
    before = path.read_bytes()
    repack(path, tmp_path / "b.h5")
    repack(path, tmp_path / "c.h5")
    assert path.read_bytes() == before
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()
    with h5py.File(path) as old, h5py.File(tmp_path / "b.h5") as new:
        assert tree(new) == tree(old)
        assert len(tree(new)) > 30
        assert list(new) == list(old)
        assert new["twice"] == new["g/edge"]
        assert new["g_twice"] == new["g"]
        assert new["g/loop"] == new["/"]
        for name in ("soft", "dangling"):
            link = new.get(name, getlink=True)
            assert link.path == old.get(name, getlink=True).path
        assert new["sparse"].id.get_num_chunks() == 1, "unwritten chunks take no space"
    used = compression(tmp_path / "b.h5")
    assert used["gzip9"] == ("gzip", 9, False), "what HDF5 reads by itself stays"
    with h5py.File(tmp_path / "b.h5") as new:
        assert not new["g/lzf"].fletcher32, "zlib's own checksum takes its place"
    assert used["g/lzf"] == used["sparse"] == used["texts"] == ("gzip", GZIP_LEVEL, True)
    assert used["contiguous"] == (None, None, False)


def test_repack__keeps_the_order_of_a_file_that_tracks_it(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        for name in "zay":
            file.create_group(name, track_order=True).attrs.update({"b": 1, "a": 2})
            file[name]["d"], file[name]["c"] = 1, 2
    repack(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert list(file) == ["z", "a", "y"]
        assert list(file["z"]) == ["d", "c"]
        assert list(file["z"].attrs) == ["b", "a"]


def test_repack__changes_nothing_the_second_time(tmp_path):
    path = everything(tmp_path / "a.h5")
    assert needs_plugin(path)
    repack(path, tmp_path / "b.h5")
    assert not needs_plugin(tmp_path / "b.h5")
    repack(tmp_path / "b.h5", tmp_path / "c.h5")
    assert (tmp_path / "c.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_repack__refuses_what_would_not_survive(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]

    def refused(edit, message, **options):
        path = tmp_path / "a.h5"
        path.unlink(missing_ok=True)
        (tmp_path / "b.h5").unlink(missing_ok=True)
        with h5py.File(path, "w", **options) as file:
            edit(file)
        with pytest.raises(ReleaseError, match=r"^a\.h5: " + message):
            repack(path, tmp_path / "b.h5")
        return path

    external = refused(
        lambda f: f.__setitem__("l", h5py.ExternalLink("other.h5", "/x")),
        "/l is a link to another file",
    )
    with pytest.raises(ReleaseError, match="/l is a link to another file"):
        needs_plugin(external)

    def virtual(file):
        layout = h5py.VirtualLayout((1,), "i8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (1,))
        file.create_virtual_dataset("g/v", layout)

    path = refused(virtual, "data set /g/v has its values in other files")
    with pytest.raises(ReleaseError, match="data set /g/v has its values in other files"):
        needs_plugin(path)
    refused(
        lambda f: f.create_dataset("r", (1,), "i1", external=[(tmp_path / "raw", 0, 1)]),
        "data set /r has its values in other files",
    )

    def reference(file):
        file["x"] = 1
        file["r"] = np.array([file["x"].ref], dtype=h5py.ref_dtype)

    refused(reference, "/r holds references to objects, which would not survive a copy")

    def scale(file):
        file["x"] = [1.0]
        file["s"] = [1.0]
        file["s"].make_scale("s")
        file["x"].dims[0].attach_scale(file["s"])

    refused(scale, "attribute .* holds references")
    refused(lambda f: f.__setitem__("t", np.dtype("i4")), "/t is a named type")
    refused(lambda f: None, "has a user block of 512 bytes", userblock_size=512)


def test_repack__of_a_data_set_of_a_named_type_gives_it_the_type_itself(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t"] = np.dtype("<i2")
        file.create_dataset("x", data=[1, 2], dtype=file["t"])
        del file["t"]
    repack(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["x"].dtype == np.dtype("<i2")
        assert file["x"][:].tolist() == [1, 2]


def test_repack__names_a_file_with_a_damaged_chunk(tmp_path):
    path = feature_file(tmp_path / "a.h5")
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(3)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * chunk.size)
    with pytest.raises(ReleaseError, match=r"^a\.h5: cannot be read to its end"):
        repack(path, tmp_path / "b.h5")


def test_repack__of_a_real_recordings_size_stays_in_bounded_memory(tmp_path):
    code = """
import resource, sys, h5py, hdf5plugin, numpy as np
from evreel.files.repack import repack
rows = 65_536
with h5py.File("a.h5", "w") as file:
    t = file.create_dataset("t", (150 * rows,), "i8", chunks=(rows,), **hdf5plugin.Zstd())
    c = file.create_dataset("c", (40, 1_000_000), "i2")
    for k in range(150):
        t[k * rows:(k + 1) * rows] = np.arange(rows)
    for k in range(40):
        c[k] = k
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
repack("a.h5", "b.h5")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40_000, "kilobytes beyond those before a repack of 80 + 80 MB"
