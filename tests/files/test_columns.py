"""Columns that several threads compress: the bytes are those that HDF5 gives."""

from __future__ import annotations

import os
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from evreel import system
from evreel.events import Triggers
from evreel.files import bitshuffle, hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.files.gzip_chunks import Column
from evreel.layout import COLUMN_CHUNK, EVENTS
from evreel.provenance import Provenance
from evreel.threads import Crew
from support import random_events
from support.stores import pieces, store_of

needs_codec = pytest.mark.skipif(
    bitshuffle.codec() is None, reason="needs functions that hdf5plugin's library here lacks"
)
VALUES = {
    "rising": np.arange(COLUMN_CHUNK) * 3,
    "zeros": np.zeros(COLUMN_CHUNK, np.uint8),
    "coordinates": np.random.default_rng(0).integers(0, 346, COLUMN_CHUNK).astype("<u2"),
    "noise": np.random.default_rng(1).integers(-(1 << 63), (1 << 63) - 1, COLUMN_CHUNK),
    "float": np.random.default_rng(2).random(COLUMN_CHUNK, dtype="<f4"),
}


def by_hdf5(path, values) -> bytes:
    """Return the chunk that HDF5 makes of values."""
    with hdf5.new_file(path) as file:
        options = hdf5.filter_options("bitshuffle-lz4")
        file.create_dataset("a", data=values, chunks=values.shape, maxshape=(None,), **options)
    with h5py.File(path) as file:
        assert bitshuffle.is_ours(file["a"])
        return file["a"].id.read_direct_chunk((0,))[1]


@needs_codec
@pytest.mark.parametrize("name", VALUES)
def test_chunk__has_the_bytes_of_hdf5_and_is_read_back(tmp_path, name):
    values = VALUES[name]
    chunk = bitshuffle.encode(values)
    assert chunk == by_hdf5(tmp_path / "a.h5", values)
    found = np.empty_like(values)
    bitshuffle.decode(chunk, found)
    assert (found == values).all()


@needs_codec
def test_damaged_chunk__is_an_error_wherever_the_damage_is():
    values = VALUES["coordinates"]
    chunk = bitshuffle.encode(values)
    rng = np.random.default_rng(3)
    for at in [*range(16), *rng.integers(0, len(chunk), 200), len(chunk) - 1]:
        damaged = bytearray(chunk)
        damaged[at] ^= 1 << rng.integers(8)
        with pytest.raises(ValueError, match="checksum"):
            bitshuffle.decode(bytes(damaged), np.empty_like(values))
    for short in (b"", chunk[:15], chunk[:-1]):
        with pytest.raises(ValueError, match="chunk"):
            bitshuffle.decode(short, np.empty_like(values))
    with pytest.raises(ValueError, match="says that it has"):
        bitshuffle.decode(chunk, np.empty(5, "<u2"))


@pytest.fixture(params=["kernels", "one at a time"])
def each(request, monkeypatch):
    """Both ways of making and reading several chunks."""
    if request.param == "one at a time":
        monkeypatch.setattr(bitshuffle, "_kernels", lambda: None)
        return None
    from evreel.kernels import bitshuffle as kernels  # which are not used before numba is there

    if not hasattr(kernels.encode, "py_func"):
        pytest.skip("NUMBA_DISABLE_JIT")
    assert bitshuffle._kernels() is kernels
    found = []

    def decode(*arguments):
        found.append(kernels.decode(*arguments))
        return found[-1]

    seen = SimpleNamespace(encode=kernels.encode, decode=decode)
    monkeypatch.setattr(bitshuffle, "_kernels", lambda: seen)
    return found


@needs_codec
@pytest.mark.parametrize("name", VALUES)
def test_chunks_made_together__are_those_made_one_by_one(each, name):
    values = VALUES[name]
    n = len(values) // 4
    chunks = bitshuffle.encode_each(values, n)
    assert chunks == [bitshuffle.encode(values[k * n : (k + 1) * n]) for k in range(4)]
    ends = np.cumsum([len(chunk) for chunk in chunks])
    starts = ends - [len(chunk) for chunk in chunks]
    found = np.empty_like(values)
    bitshuffle.decode_each(np.frombuffer(b"".join(chunks), np.uint8), starts, ends, found)
    assert found.tobytes() == values.tobytes()
    assert each in (None, [4]), "a kernel reads all of them, or none is asked"


@needs_codec
def test_damage_in_one_of_several__is_the_error_of_that_chunk(each):
    values = VALUES["coordinates"]
    chunks = bitshuffle.encode_each(values, len(values) // 4)
    sizes = np.array([len(chunk) for chunk in chunks])
    ends = np.cumsum(sizes)
    rng = np.random.default_rng(4)
    whole = np.frombuffer(b"".join(chunks), np.uint8)
    for at in rng.integers(0, len(whole), 100):
        damaged = whole.copy()
        damaged[at] ^= 1 << rng.integers(8)
        with pytest.raises(ValueError, match="checksum"):
            bitshuffle.decode_each(damaged, ends - sizes, ends, np.empty_like(values))
    short = ends.copy()
    short[2] = ends[1] + 15
    with pytest.raises(ValueError, match="a chunk has 15 bytes"):
        bitshuffle.decode_each(whole, ends - sizes, short, np.empty_like(values))
    with pytest.raises(ValueError, match="says that it has"):
        bitshuffle.decode_each(whole, ends - sizes, ends, np.empty(20, "<u2"))


def written(path, events, threads, rows=100_001) -> bytes:
    """Return the bytes of a store that so many threads make, with triggers in between."""
    with (
        Crew(threads) as crew,
        hdf5.create(path, EVENTS, Provenance("events", {}), crew) as file,
    ):
        writer = EventsStoreWriter(file, events.sensor, 5, "made up", "")
        for part in pieces(events, rows):
            writer.write(part)
            writer.write(Triggers(part.t[:1], np.zeros(1, np.int8), np.zeros(1, np.int16)))
        writer.finish()
    return path.read_bytes()


@needs_codec
@pytest.mark.parametrize("n", [1, COLUMN_CHUNK, 700_000])
def test_store__has_the_same_bytes_for_any_number_of_threads(tmp_path, monkeypatch, n):
    # Few chunks are kept, and few rows are written at a time: chunks get their places on the way.
    monkeypatch.setattr(hdf5, "KEPT_BYTES", 2 * 8 * COLUMN_CHUNK)
    monkeypatch.setattr("evreel.files.events_store.READ_ROWS", 2 * COLUMN_CHUNK)
    events = random_events(n, stop_us=n)
    one = written(tmp_path / "1.h5", events, 1)
    for threads in (2, 3, 16):
        assert written(tmp_path / f"{threads}.h5", events, threads) == one, threads
    with EventsStore(tmp_path / "3.h5") as store:
        got = store.read()
        assert all((getattr(got, name) == getattr(events, name)).all() for name in "txyp")


def test_store__is_the_same_where_the_libraries_lack_the_functions(tmp_path, monkeypatch):
    events = random_events(100_000)
    one = written(tmp_path / "1.h5", events, 2)
    monkeypatch.setattr(bitshuffle, "codec", lambda: None)
    assert written(tmp_path / "2.h5", events, 2) == one


@needs_codec
def test_kept_bytes__are_hdf5s_own_default():
    with h5py.File.in_memory() as file:
        assert file.id.get_access_plist().get_cache()[2] == hdf5.KEPT_BYTES


@pytest.mark.parametrize(
    "rows",
    [
        slice(0, 200_000),
        slice(1, 199_999),
        slice(COLUMN_CHUNK, 3 * COLUMN_CHUNK),
        slice(COLUMN_CHUNK - 1, 2 * COLUMN_CHUNK + 1),
        slice(5, 9),
        slice(9, 5),
    ],
)
def test_column__gives_the_rows_that_are_asked_for(tmp_path, rows):
    events = random_events(200_000)
    with h5py.File(store_of(tmp_path / "s.h5", events)) as file:
        for name in "txyp":
            column = Column(file[f"events/{name}"])
            assert (column[rows] == getattr(events, name)[rows]).all()


def with_sum(chunk: bytes) -> bytes:
    """Return a chunk without its checksum with the right one."""
    data = np.frombuffer(chunk, np.uint8)
    checksum = bitshuffle.codec().checksum(data.ctypes.data, len(data))
    return chunk + checksum.to_bytes(4, "little")


@needs_codec
@pytest.mark.parametrize("of", ["first", "last", "more", "cut", "tail"])
def test_lengths_of_blocks_that_lie__are_refused_before_the_library_follows_them(each, of):
    n = COLUMN_CHUNK // 4 - 3  # whose last values are in no block
    chunks = bitshuffle.encode_each(VALUES["coordinates"][: 4 * n], n)
    plain = bytearray(chunks[2][:-4])
    at = 12
    if of == "last":
        for _ in range(3):
            at += 4 + int.from_bytes(plain[at : at + 4])
    if of in ("first", "last"):
        plain[at : at + 4] = b"\xff\xff\xff\xf0"
    plain = {"more": plain + b"12", "cut": plain[:-40], "tail": plain[:-1]}.get(of, plain)
    chunks[2] = with_sum(bytes(plain))
    ends = np.cumsum([len(chunk) for chunk in chunks])
    starts = ends - [len(chunk) for chunk in chunks]
    with pytest.raises(ValueError, match="blocks of a chunk have other lengths"):
        whole = np.frombuffer(b"".join(chunks), np.uint8)
        bitshuffle.decode_each(whole, starts, ends, np.empty(4 * n, "<u2"))
    assert each in (None, [2])


@needs_codec
def test_blocks_of_the_usual_size__are_read_where_a_chunk_does_not_say_it(each):
    values = VALUES["rising"]
    chunks = bitshuffle.encode_each(values, len(values) // 4)
    chunks = [with_sum(chunk[:8] + bytes(4) + chunk[12:-4]) for chunk in chunks]
    ends = np.cumsum([len(chunk) for chunk in chunks])
    starts = ends - [len(chunk) for chunk in chunks]
    found = np.empty_like(values)
    bitshuffle.decode_each(np.frombuffer(b"".join(chunks), np.uint8), starts, ends, found)
    assert (found == values).all()
    assert each in (None, [4])


@needs_codec
def test_parts_of_a_chunk__are_those_of_the_kernel():
    from evreel.kernels import bitshuffle as kernels

    assert (bitshuffle._HEAD.size, bitshuffle._SUM.size) == (kernels.HEAD, kernels.SUM)


@needs_codec
def test_chunks__are_read_wherever_they_are_and_whichever_filters_they_skip(tmp_path):
    values = np.random.default_rng(5).integers(0, 346, 5_000).astype("<u2")
    with hdf5.new_file(tmp_path / "a.h5") as file:
        options = hdf5.filter_options("bitshuffle-lz4")
        data = file.create_dataset("a", shape=(5_000,), dtype="<u2", chunks=(1_000,), **options)
        for k in (3, 0, 1, 4):
            chunk = bitshuffle.encode(values[1_000 * k : 1_000 * (k + 1)])
            data.id.write_direct_chunk((1_000 * k,), chunk)
        data.id.write_direct_chunk((2_000,), values[2_000:3_000].tobytes(), filter_mask=3)
    with h5py.File(tmp_path / "a.h5") as file:
        column = Column(file["a"])
        for first, last in ((0, 5_000), (0, 2_000), (3_000, 5_000), (1, 4_999)):
            assert (column[first:last] == values[first:last]).all()


@pytest.fixture
def column_t(tmp_path):
    """Column t of a store, of more than three chunks, and its events."""
    events = random_events(200_000)
    with h5py.File(store_of(tmp_path / "s.h5", events), "r") as file:
        yield Column(file["events/t"]), events.t


@needs_codec
def test_chunks__are_read_past_hdf5_whatever_a_read_of_the_system_gives(column_t, monkeypatch):
    column, t = column_t
    asked = []

    def some(file, buffer, at):
        asked.append(len(buffer))
        return os.preadv(file, [buffer[:5_000]], at)

    monkeypatch.setattr(system, "fill_at", some)
    assert (column[:] == t).all()
    assert len(asked) > 3


@needs_codec
def test_chunks__of_a_file_that_was_cut_meanwhile_are_an_error(column_t, tmp_path):
    column, _ = column_t
    os.truncate(tmp_path / "s.h5", column.dataset.id.get_chunk_info(1).byte_offset + 100)
    with pytest.raises(ValueError, match="the file ends before its last chunk"):
        column[: 3 * COLUMN_CHUNK]


@needs_codec
def test_chunks__of_a_file_that_was_closed_meanwhile_are_an_error(column_t, monkeypatch):
    column, _ = column_t

    def closing(file, buffer, at):
        n = os.preadv(file, [buffer], at)
        column.dataset.file.close()
        return n

    monkeypatch.setattr(system, "fill_at", closing)
    with pytest.raises(ValueError, match="was closed while it was read"):
        column[:COLUMN_CHUNK]


@needs_codec
def test_few_chunks_of_many__are_read_without_asking_where_all_are(tmp_path, monkeypatch):
    values = np.arange(40_000)
    with hdf5.new_file(tmp_path / "a.h5") as file:
        options = hdf5.filter_options("bitshuffle-lz4")
        file.create_dataset("a", data=values, chunks=(1_000,), maxshape=(None,), **options)
    asked = []
    monkeypatch.setattr(
        bitshuffle.Chunks, "_fill", lambda *arguments: asked.append(len(arguments[2])) or 1 / 0
    )
    with h5py.File(tmp_path / "a.h5", "r") as file:
        column = Column(file["a"])
        assert (column[5_000:7_000] == values[5_000:7_000]).all()
        with pytest.raises(ZeroDivisionError):
            column[:]
    assert asked == [40]
    with h5py.File(tmp_path / "a.h5", "r+") as file:  # whose chunks may move
        assert (Column(file["a"])[:] == values).all()
