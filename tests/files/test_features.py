"""Features files: what is on the disk is what is computed on the fly, and says where it is from."""

from __future__ import annotations

import json

import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel.errors import LayoutError, ParameterError
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.files.features import FeaturesFile, FeaturesWriter
from evreel.layout import EVENTS, FEATURES
from evreel.provenance import Provenance
from evreel.representations import Histogram, Representation, VoxelGrid, create, frames, tensor
from evreel.windows import Count, Division, Duration, Windows
from support import random_events
from support.hdf5 import edited

T_OFFSET = 1_600_000_000_000_000


def write_store(path, events: Events):
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, events.sensor, T_OFFSET, "test", "")
        writer.write(events)
        writer.finish()
    return path


def write_features(
    path, store: EventsStore, representation: Representation, division: Division, threads: int = 2
):
    """From an events store to a features file: the whole of the step, but for its scratch path."""
    windows = store.windows(division)
    repairs: dict[str, int] = {}
    parameters = {"name": representation.name, "parameters": representation.parameters}
    provenance = Provenance("features", parameters, {"events": "sha256:0"}, repairs)
    with hdf5.create(path, FEATURES, provenance) as file:
        writer = FeaturesWriter(
            file,
            windows,
            division,
            store.sensor,
            store.t_offset,
            shape=representation.shape(store.sensor),
            **representation.description,
            threads=threads,
        )
        for frame in frames(representation, store.read, windows, store.sensor, repairs=repairs):
            writer.write(frame)
        writer.finish()
    return path


def written(tmp_path, events=None, representation=None, division=None, name="f.h5", threads=2):
    """Write a features file of random events and return its path."""
    events = random_events(4_000) if events is None else events
    store_path = tmp_path / "store.h5"
    if not store_path.exists():
        write_store(store_path, events)
    with EventsStore(store_path) as store:
        return write_features(
            tmp_path / name,
            store,
            representation or Histogram("uint8"),
            division or Duration(10_000),
            threads,
        )


def writer_for(file, windows, division=None, shape=(2, 3, 4), dtype="uint8", parameters=None):
    return FeaturesWriter(
        file,
        windows,
        division or Duration(10),
        Sensor(3, 4),
        0,
        shape=shape,
        dtype=dtype,
        name="test",
        parameters=parameters or {},
        revision=1,
        reference="none",
        unit="1",
    )


def some_windows(n: int) -> Windows:
    start_us = np.arange(n) * 10
    return Windows(start_us, start_us + 10, start_us * 0, start_us * 0)


@pytest.fixture
def file(tmp_path):
    with hdf5.create(tmp_path / "new.h5", FEATURES, Provenance("features", {})) as file:
        yield file


@pytest.mark.parametrize(
    "division", [Duration(7_000), Duration(9_000, 4_000), Count(900), Count(1_000, 300, "drop")]
)
@pytest.mark.parametrize("representation", [Histogram(), VoxelGrid(3, "window")], ids=repr)
def test_file__holds_the_bits_that_are_computed_on_the_fly(tmp_path, representation, division):
    events = random_events(6_000)
    path = written(tmp_path, events, representation, division)
    with FeaturesFile(path) as file, EventsStore(tmp_path / "store.h5") as store:
        windows = store.windows(division)
        again = create(file.representation, file.parameters)
        assert again == representation
        live = tensor(again, store.read(), windows)
        assert file[:].tobytes() == live.tobytes()
        assert file.shape == live.shape
        assert file.dtype == live.dtype
        for name in ("start", "stop", "start_us", "stop_us"):
            np.testing.assert_array_equal(getattr(file.windows, name), getattr(windows, name))
        # A sequence of a training batch, computed from a few windows of the middle.
        part = frames(again, store.read, file.windows[2:4], file.sensor)
        np.testing.assert_array_equal(np.stack([frame.copy() for frame in part]), file[2:4])


def test_bytes__do_not_depend_on_the_number_of_threads(tmp_path):
    contents = {
        written(tmp_path, name=f"{threads}.h5", threads=threads).read_bytes()
        for threads in (1, 2, 5)
    }
    assert len(contents) == 1


def test_data__is_read_by_plain_h5py_and_equals_what_the_plugin_writes(tmp_path):
    path = written(tmp_path)
    with h5py.File(path) as ours, h5py.File(tmp_path / "plugin.h5", "w") as theirs:
        data = ours["data"]
        theirs.create_dataset("data", data=data[:], chunks=data.chunks, **hdf5plugin.Zstd(clevel=1))
        np.testing.assert_array_equal(theirs["data"][:], data[:])
        assert data[:].any()
        assert data.chunks == (1, 2, 48, 64)
        for dataset in (data, theirs["data"]):
            filters = dataset.id.get_create_plist()
            assert filters.get_nfilters() == 1
            assert filters.get_filter(0)[0] == hdf5plugin.Zstd.filter_id
            assert filters.get_filter(0)[2] == (1,)
        # Each chunk is a little larger than the plugin's by its checksum of 4 bytes.
        sizes = [d.id.get_storage_size() for d in (data, theirs["data"])]
        assert sizes[0] <= sizes[1] + 4 * len(data) + 64


def test_attributes__of_data_are_metavisions(tmp_path):
    path = written(tmp_path, representation=VoxelGrid(4))
    with h5py.File(path) as file:
        attributes = file["data"].attrs
        assert attributes["events_to_tensor"] == b"voxel_grid"
        assert attributes["delta_t"] == 10_000
        assert attributes["delta_t"].dtype == np.uint32
        assert attributes["mode"] == "delta_t"
        assert attributes["n_events"] == 0
        assert attributes["event_input_width"] == 64
        assert attributes["event_input_height"] == 48
        assert attributes["shape"].tolist() == [4, 48, 64]
        assert attributes["bins"] == 4
        assert attributes["span"] == "events"
        assert "last_timestamps" not in file


def test_windows__of_equal_count_have_their_last_timestamps(tmp_path):
    events = random_events(4_000)
    path = written(tmp_path, events, division=Count(900))
    with h5py.File(path) as file:
        assert file["data"].attrs["mode"] == "n_events"
        assert file["data"].attrs["n_events"] == 900
        assert file["data"].attrs["delta_t"] == 0
        last = file["last_timestamps"]
        assert last.dtype == np.int64
        assert last[:].tolist() == events.t[[899, 1799, 2699, 3599, 3999]].tolist()


def test_file__says_what_it_is_and_how_it_was_made(tmp_path):
    grid = VoxelGrid()
    path = written(tmp_path, representation=grid)
    with FeaturesFile(path) as file:
        assert file.representation == "voxel_grid"
        assert file.parameters == {"bins": 5, "span": "events"}
        assert (file.revision, file.reference, file.unit) == (1, grid.reference, grid.unit)
        assert (file.mode, file.delta_t_us, file.n_events) == ("delta_t", 10_000, 0)
        assert file.sensor == Sensor(48, 64)
        assert file.t_offset == T_OFFSET
    with h5py.File(path) as file:
        assert json.loads(file.attrs["parameters"])["parameters"] == grid.parameters
        assert json.loads(file.attrs["inputs"]) == {"events": "sha256:0"}


def test_repairs__that_are_counted_while_writing_are_in_the_file(tmp_path):
    events = random_events(3_000, (1, 2))
    path = written(tmp_path, events, Histogram("uint8", saturate=True), Duration(100_000))
    off, on = (np.bincount(events.x[events.p == p], minlength=2) for p in (0, 1))
    lost = sum(int(n) - 255 for n in (*off, *on))
    assert lost > 0
    with h5py.File(path) as file:
        assert json.loads(file.attrs["repairs"]) == {"histogram_increments_lost": lost}


def test_recording__without_events_gives_a_file_without_frames(tmp_path):
    path = written(tmp_path, Events.empty(Sensor(48, 64)))
    with FeaturesFile(path) as file:
        assert len(file) == 0
        assert file.shape == (0, 2, 48, 64)
        assert file[:].shape == (0, 2, 48, 64)
        with pytest.raises(IndexError, match=r"f\.h5: no window 0; there are 0"):
            file.read(0)


def test_writer__accepts_a_frame_that_is_filled_again_at_once(file):
    writer = writer_for(file, some_windows(40))
    frame = np.zeros((2, 3, 4), dtype=np.uint8)
    for k in range(40):
        frame[:] = k
        writer.write(frame)
    frame[:] = 255
    writer.finish()
    assert file["data"][:, 1, 2, 3].tolist() == list(range(40))


@pytest.mark.parametrize(("shape", "most"), [((2, 3, 4), 6), ((1, 4096, 4097), 2)])
def test_writer__holds_few_frames_and_fewer_that_are_large(file, shape, most):
    writer = writer_for(file, some_windows(9), shape=shape)
    held = []
    for _ in range(9):
        writer.write(np.zeros(shape, dtype=np.uint8))
        held.append(len(writer._frames._pending))
    writer.finish()
    assert max(held) == most


def test_writer__refuses_frames_of_another_shape_or_type(file):
    writer = writer_for(file, some_windows(1))
    with pytest.raises(LayoutError, match=r"a frame is uint8 \(2, 4, 3\); uint8 \(2, 3, 4\) is"):
        writer.write(np.zeros((2, 4, 3), dtype=np.uint8))
    with pytest.raises(LayoutError, match=r"a frame is float32 \(2, 3, 4\); uint8"):
        writer.write(np.zeros((2, 3, 4), dtype=np.float32))
    with pytest.raises(LayoutError, match="0 of 1 windows were written"):
        writer.finish()


def test_writer__refuses_more_frames_than_windows(file):
    writer = writer_for(file, some_windows(1))
    writer.write(np.zeros((2, 3, 4), dtype=np.uint8))
    with pytest.raises(LayoutError, match="a frame follows the last of 1 windows"):
        writer.write(np.zeros((2, 3, 4), dtype=np.uint8))
    writer.finish()


def test_writer__refuses_what_its_attributes_cannot_hold(file):
    with pytest.raises(ParameterError, match="window_us=4294967296 is more than 4294967295"):
        writer_for(file, some_windows(1), Duration(2**32))
    with pytest.raises(ParameterError, match="test: parameter 'mode' has the name of an attr"):
        writer_for(file, some_windows(1), parameters={"mode": 1})


def test_parameters__of_every_json_type_come_back(tmp_path):
    parameters = {"cap": None, "on": True, "sizes": [1, 2.5], "tau": 0.5, "word": "µ"}
    with hdf5.create(tmp_path / "f.h5", FEATURES, Provenance("features", {})) as file:
        writer_for(file, some_windows(0), parameters=parameters).finish()
        assert file["data"].attrs["cap"] == "null"
        assert file["data"].attrs["sizes"] == "[1, 2.5]"
        assert file["data"].attrs["tau"] == 0.5
    with FeaturesFile(tmp_path / "f.h5") as file:
        assert file.parameters == parameters


def test_frames__are_read_by_number_by_slice_and_in_a_loop(tmp_path):
    path = written(tmp_path)
    with h5py.File(path, locking=False) as plain, FeaturesFile(path) as file:
        data = plain["data"][:]
        assert len(file) == len(data) == 10
        np.testing.assert_array_equal(file.read(3), data[3])
        np.testing.assert_array_equal(file[np.int64(3)], data[3])
        np.testing.assert_array_equal(file[-1], data[-1])
        for rows in (slice(2, 5), slice(None, None, 3), slice(-2, None), slice(4, 2)):
            np.testing.assert_array_equal(file[rows], data[rows])
        np.testing.assert_array_equal(np.stack(list(file)), data)
        assert file.read(0).flags.writeable
        for k in (10, -1):
            with pytest.raises(IndexError, match=rf"f\.h5: no window {k}; there are 10"):
                file.read(k)
        with pytest.raises(IndexError, match="no window -1"):
            file[-11]


def test_file__of_another_kind_or_cut_short_is_refused(tmp_path):
    path = written(tmp_path)
    with pytest.raises(LayoutError, match=r"store\.h5: its layout is 'evreel-events'"):
        FeaturesFile(tmp_path / "store.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LayoutError, match=r"f\.h5: cannot be opened as HDF5"):
        FeaturesFile(path)


def test_flipped_bits__never_become_other_values(tmp_path):
    path = written(tmp_path, random_events(40, (3, 4)), division=Duration(50_000))
    whole = path.read_bytes()
    with FeaturesFile(path) as file:
        expected = file.read(1)
        chunk = file._data.id.get_chunk_info(1)
    refused = 0
    for k in range(chunk.byte_offset, chunk.byte_offset + chunk.size):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0x10]) + whole[k + 1 :])
        with FeaturesFile(path) as file:
            try:
                np.testing.assert_array_equal(file.read(1), expected)
            except LayoutError as error:
                assert str(error).startswith("f.h5: window 1: cannot be decompressed")
                refused += 1
    assert refused > 0.9 * chunk.size


def rewritten(path, **options):
    """Write `data` again with other options of HDF5, as a published file has them."""
    with edited(path) as file:
        values, attributes = file["data"][:], dict(file["data"].attrs)
        del file["data"]
        data = file.create_dataset("data", data=values, **options)
        for name, value in attributes.items():
            data.attrs[name] = value
    return values


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (1, 2, 48, 64), "compression": "gzip", "shuffle": True},
        {"chunks": (3, 2, 20, 30), "compression": "gzip"},
        {"chunks": (2, 2, 48, 64), **hdf5plugin.Zstd(clevel=3)},
        {"chunks": (1, 2, 48, 64), **hdf5plugin.Zstd(clevel=3)},
        {},
    ],
)
def test_frames__are_read_whatever_the_chunks_and_the_filter(tmp_path, options):
    path = written(tmp_path)
    values = rewritten(path, **options)
    with FeaturesFile(path) as file:
        np.testing.assert_array_equal(file[:], values)
        np.testing.assert_array_equal(file.read(4), values[4])


def test_frames__are_read_if_a_chunk_is_stored_without_its_filter(tmp_path):
    path = written(tmp_path)
    with edited(path) as file:
        values = file["data"][:]
        file["data"].id.write_direct_chunk((4, 0, 0, 0), values[5].tobytes(), filter_mask=1)
    with FeaturesFile(path) as file:
        np.testing.assert_array_equal(file.read(4), values[5])


def test_flipped_bits__in_a_gzip_chunk_are_refused(tmp_path):
    path = written(tmp_path)
    rewritten(path, chunks=(1, 2, 48, 64), compression="gzip")
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(1)
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + chunk.size // 2] ^= 0x10
    path.write_bytes(whole)
    with FeaturesFile(path) as file, pytest.raises(LayoutError, match="window 1: cannot be decomp"):
        file.read(1)


def damaged(path, damage):
    with edited(path) as file:
        damage(file)
    return path


def drop_a_chunk(file):
    values = file["data"][:]
    attributes = dict(file["data"].attrs)
    del file["data"]
    data = file.create_dataset("data", values.shape, values.dtype, chunks=(1, *values.shape[1:]))
    data[:9] = values[:9]
    for name, value in attributes.items():
        data.attrs[name] = value


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_a_chunk, r"f\.h5: data has 9 of 10 chunks\. The step that wrote it did not finish"),
        (lambda f: f["data"].attrs.__delitem__("delta_t"), "data: attribute delta_t is missing"),
        (lambda f: f.attrs.__delitem__("unit"), r"f\.h5: attribute unit is missing"),
        (
            lambda f: f["data"].attrs.modify("shape", [2, 48, 65]),
            r"frames of \(2, 48, 64\), but its attribute shape says \(2, 48, 65\)",
        ),
        (
            lambda f: f["windows/stop_us"].__setitem__(3, 5),
            r"f\.h5: windows: window 3: start_us=30000 is not before stop_us=5",
        ),
        (lambda f: f["windows/start"].resize(9, axis=0), r"windows/start has 9 of window, but"),
        (
            lambda f: f.attrs.modify("representation_parameters", "{bins"),
            r"f\.h5: its attributes cannot be read",
        ),
        (lambda f: f["data"].attrs.__setitem__("n_events", "many"), "attributes cannot be read"),
    ],
)
def test_file__that_is_incomplete_is_refused_on_opening(tmp_path, damage, message):
    path = damaged(written(tmp_path), damage)
    with pytest.raises(LayoutError, match=message):
        FeaturesFile(path)
