"""Chunks that gzip compresses are read as HDF5 reads them, damage aside, which HDF5 may not see."""

from __future__ import annotations

import itertools
import zlib
from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import LayoutError
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.files.gzip_chunks import Column, GzipChunks
from evreel.files.repack import repack
from evreel.files.slices import SlicesFile
from evreel.kernels.shuffle import BLOCK, unshuffle
from support.labelled import labelled
from support.own_files import said_by
from support.releases import labelled_release

GZIP = {"compression": "gzip", "compression_opts": 1}
KINDS = ("u1", "i1", "<u2", "<f2", "<i4", "<f4", "<i8", "<f8")


@pytest.fixture
def make(tmp_path):
    """Return a function that writes values into a data set of a new file, opened to read."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        yield lambda values, **options: file.create_dataset("a", data=values, **options)


def some(kind, n, seed=0):
    raw = np.random.default_rng(seed).bytes(n * np.dtype(kind).itemsize)
    return np.frombuffer(raw, kind)


def same(found, expected):
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", ["u2", "u4", "u8"])
@pytest.mark.parametrize("n", [1, 33, BLOCK, 2 * BLOCK + 3])
def test_unshuffle__equals_a_transposed_copy(kind, n):
    values = some(kind, n)
    planes = values.view("u1").reshape(n, -1).T.ravel()
    before = planes.copy()
    for first, stop in ((0, n), (0, 0), (n // 3, n), (n - 1, n), (n // 3, 2 * n // 3)):
        numbers = np.full(stop - first, 77, kind)
        unshuffle(planes, first, numbers)
        same(numbers, values[first:stop])
    same(planes, before)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks__of_every_type_are_read_as_hdf5_reads_them(make, kind, shuffle):
    values = some(kind, 5 * 2 * 3 * 7).reshape(5, 2, 3, 7)
    data = make(values, chunks=(1, 2, 3, 7), shuffle=shuffle, **GZIP)
    chunks = GzipChunks.of(data)
    for k in range(5):
        frame = np.empty((2, 3, 7), kind)
        chunks.read((k, 0, 0, 0)).fill(frame.reshape(-1))
        same(frame, data[k])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (10,)},
        {"chunks": (10,), **hdf5plugin.Zstd()},
        {"chunks": (10,), "fletcher32": True, "shuffle": True, **GZIP},
        {"chunks": (10,), "dtype": ">i4", **GZIP},
        {"chunks": (10,), "dtype": "?", **GZIP},
    ],
    ids=str,
)
def test_chunks__in_any_other_form_are_left_to_hdf5(make, options):
    data = make(np.arange(33), **options)
    assert GzipChunks.of(data) is None
    column = Column(data)
    same(column[4:31], data[4:31])
    assert [column[k] for k in (0, 17, -1)] == [data[k] for k in (0, 17, 32)]


@pytest.mark.parametrize("mask", [1, 2, 3])
def test_chunk__that_is_stored_without_a_filter_is_read(make, mask):
    values = some("<i4", 20)
    data = make(values, chunks=(10,), shuffle=True, **GZIP)
    raw = values[10:] if mask & 1 else values[10:].view("u1").reshape(10, 4).T
    stored = raw.tobytes() if mask & 2 else zlib.compress(raw.tobytes())
    data.id.write_direct_chunk((10,), stored, filter_mask=mask)
    same(Column(data)[5:20], values[5:20])
    same(data[5:20], values[5:20])


@given(
    n=st.integers(0, 60),
    spans=st.lists(st.tuples(st.integers(-70, 70), st.integers(-70, 70)), max_size=6),
)
@settings(max_examples=30, deadline=None)
def test_column__gives_the_rows_that_a_list_gives(n, spans):
    with h5py.File("c.h5", "w", driver="core", backing_store=False) as file:
        values = some("<i8", n)
        data = file.create_dataset(
            "a", data=values, chunks=(7,), maxshape=(None,), shuffle=True, **GZIP
        )
        column = Column(data)
        assert len(column) == n
        for start, stop in spans:
            same(column[start:stop], values[start:stop])
        same(column[:], values)
        assert [int(column[k]) for k in range(-n, n)] == [*values.tolist(), *values.tolist()]
        for beyond in (n, -n - 1):
            with pytest.raises(IndexError):
                column[beyond]


def test_column__gives_arrays_of_their_own(make):
    column = Column(make(np.arange(30), chunks=(10,), shuffle=True, **GZIP))
    column[:][...] = 5
    same(column[:], np.arange(30))


def test_column__is_read_by_several_threads(make):
    values = some("<i8", 5_000)
    column = Column(make(values, chunks=(100,), shuffle=True, **GZIP))

    def read(seed):
        for start in np.random.default_rng(seed).integers(0, 4_800, 200).tolist():
            same(column[start : start + 200], values[start : start + 200])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda chunk: chunk[:-1],
        lambda chunk: chunk[: len(chunk) // 2],
        lambda chunk: bytes(len(chunk)),
        lambda chunk: zlib.compress(bytes(79)),
        lambda chunk: zlib.compress(bytes(81)),
    ],
)
def test_chunk__that_is_damaged_is_refused(make, damage):
    data = make(np.arange(20), chunks=(10,), shuffle=True, **GZIP)
    data.id.write_direct_chunk((10,), damage(data.id.read_direct_chunk((10,))[1]))
    column = Column(data)
    same(column[0:10], np.arange(10))
    with pytest.raises((ValueError, OSError)):
        column[5:15]


def test_flipped_bits__never_become_other_values(make):
    values = np.arange(40) ** 2
    data = make(values, chunks=(40,), shuffle=True, **GZIP)
    whole = data.id.read_direct_chunk((0,))[1]
    refused = 0
    for k in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[k // 8] ^= 1 << k % 8
        data.id.write_direct_chunk((0,), bytes(flipped))
        try:
            same(Column(data)[:], values)
        except ValueError:
            refused += 1
    assert refused > 0.9 * 8 * len(whole)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a release, and of what it was built from, that no test changes."""
    folder = tmp_path_factory.mktemp("made")
    labelled_release(folder)
    return folder


def test_released_files__say_what_the_working_files_say(made):
    for reader, built, released in (
        (EventsStore, "park", "train/events/park"),
        (SlicesFile, "park_slices", "train/slices/park"),
        (FeaturesFile, "park_counts", "train/counts/park"),
    ):
        paths = made / f"built/{built}.h5", made / f"parks-2.0/{released}.h5"
        working, published = (said_by(reader(path)) for path in paths)
        assert published == working


def test_searches__in_released_slices_find_what_they_find_in_working_ones(tmp_path):
    working = labelled(tmp_path).slices
    repack(working, tmp_path / "released.h5")
    with SlicesFile(working) as one, SlicesFile(tmp_path / "released.h5") as other:
        for start, stop in itertools.combinations(range(0, 110_000, 25_000), 2):
            assert other.rows(start, stop) == one.rows(start, stop)
            same(other.shapes_in(start, stop).frame, one.shapes_in(start, stop).frame)


@pytest.mark.parametrize(
    ("reader", "path", "column", "read", "message"),
    [
        (
            *(FeaturesFile, "train/counts/park", "data", lambda file: file.read(0)),
            "window 0: cannot be decompressed: its gzip stream is damaged, or is not of 1536 bytes",
        ),
        (
            *(EventsStore, "train/events/park", "events/x", lambda file: file.read(4, 9)),
            "rows 4 to 9 cannot be read: its gzip stream is damaged",
        ),
        (
            *(SlicesFile, "train/slices/park", "events/roi", lambda file: file.slice(0)),
            "events/roi, rows 0 to .* cannot be read: its gzip stream is damaged",
        ),
    ],
)
def test_damage__of_released_files_is_named(made, tmp_path, reader, path, column, read, message):
    content = bytearray((made / f"parks-2.0/{path}.h5").read_bytes())
    with h5py.File(made / f"parks-2.0/{path}.h5") as file:
        chunk = file[column].id.get_chunk_info(0)
    content[chunk.byte_offset + chunk.size // 2] ^= 0x10
    (tmp_path / "park.h5").write_bytes(content)
    with reader(tmp_path / "park.h5") as file, pytest.raises(LayoutError, match=message):
        read(file)
