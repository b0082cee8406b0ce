"""Features files of each compression hold the same, and say what to install where it is missing."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from evreel.errors import LayoutError, ReleaseError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.features import FeaturesFile, FeaturesWriter, SampleWindows
from evreel.files.filters import filters_of
from evreel.files.repack import needs_plugin, repack
from evreel.layout import FEATURES
from evreel.provenance import Provenance
from evreel.samples.samples import Samples
from evreel.windows import Count, Windows
from support.hdf5 import edited

SHAPE = (2, 30, 40)
N = 12


def frames(dtype):
    random = np.random.default_rng(5)
    values = np.where(random.random((N, *SHAPE)) < 0.1, random.normal(8, 3, (N, *SHAPE)), 0)
    return values.astype(dtype)


def written(path, compression, dtype="float32", threads=2):
    """Write a features file of windows of equal count, cut into two samples."""
    at = np.arange(N, dtype=np.int64)
    windows = Windows(at * 10, at * 10 + 10, at * 5, at * 5 + 5)
    of = Samples(
        ("a", "b"), ("x", ""), ("", ""), *(np.array(pair) for pair in ([0, 60], [60, 120], [0, 60]))
    )
    with hdf5.create(path, FEATURES, Provenance("features", {})) as file:
        writer = FeaturesWriter(
            file,
            windows,
            Count(5),
            Sensor(30, 40),
            0,
            shape=SHAPE,
            dtype=dtype,
            name="test",
            parameters={"bins": 2},
            revision=1,
            reference="none",
            unit="1",
            samples=SampleWindows(of, ("x",), np.array([0, 6, N])),
            compression=compression,
            threads=threads,
        )
        for frame in frames(dtype):
            writer.write(frame)
        writer.finish()
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_frames__are_the_same_in_each_compression(tmp_path, dtype):
    for compression in ("zstd", "gzip", "none"):
        with FeaturesFile(written(tmp_path / f"{compression}.h5", compression, dtype)) as file:
            assert file[:].tobytes() == frames(dtype).tobytes()
            assert file.rows_of("b") == slice(6, N)


WITHOUT_PLUGINS = """
import sys
sys.modules["hdf5plugin"] = None
import h5py
with h5py.File(sys.argv[1]) as file:
    read = {}
    file.visititems(lambda name, node: read.update({name: node[()]})
                    if isinstance(node, h5py.Dataset) else None)
    print(len(read), read["data"].shape, float(read["data"].sum(dtype="f8")), file["data"].chunks)
"""


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_file__is_read_by_plain_h5py_in_a_process_without_plugins(tmp_path, compression):
    path = written(tmp_path / "f.h5", compression)
    assert not needs_plugin(path)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PLUGINS, path],
        capture_output=True,
        text=True,
        check=False,
        env={"HDF5_PLUGIN_PATH": str(tmp_path)},
    )
    total = float(frames("float32").sum(dtype="f8"))
    assert done.stdout == f"15 {(N, *SHAPE)} {total} {(1, *SHAPE)}\n", done.stderr


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_gzip_chunks__are_what_h5pys_filter_writes_and_reads(tmp_path, dtype):
    path = written(tmp_path / "f.h5", "gzip", dtype)
    with h5py.File(path) as ours, h5py.File(tmp_path / "theirs.h5", "w") as theirs:
        data = ours["data"]
        assert (data.compression, data.compression_opts, data.shuffle) == ("gzip", 4, True)
        options = {"chunks": data.chunks, "compression": "gzip", "shuffle": True}
        again = theirs.create_dataset("data", data=data[:], **options)
        sizes = [dataset.id.get_storage_size() for dataset in (data, again)]
        assert sizes[0] < 1.1 * sizes[1]
        for k in range(N):  # each reads what the other wrote
            again.id.write_direct_chunk((k, 0, 0, 0), data.id.read_direct_chunk((k, 0, 0, 0))[1])
        np.testing.assert_array_equal(again[:], frames(dtype))


def test_bytes__do_not_depend_on_the_number_of_threads(tmp_path):
    for compression in ("gzip", "none"):
        contents = {
            written(
                tmp_path / f"{compression}{threads}.h5", compression, threads=threads
            ).read_bytes()
            for threads in (1, 3)
        }
        assert len(contents) == 1


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_flipped_bits__never_become_other_values(tmp_path, compression):
    path = written(tmp_path / "f.h5", compression)
    with h5py.File(path) as file:
        chunk = file["data"].id.get_chunk_info(3)
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + chunk.size // 2] ^= 0x10
    path.write_bytes(whole)
    with FeaturesFile(path) as file:
        assert file.read(2).tobytes() == frames("float32")[2].tobytes()
        with pytest.raises(LayoutError, match="window 3: cannot be decompressed"):
            file.read(3)


def with_filter(path, number):
    """Write `data` of a features file as if it were compressed by another filter."""
    with edited(path) as file:
        values, attributes = file["data"][:], dict(file["data"].attrs)
        del file["data"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, *values.shape[1:]))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        properties.set_obj_track_times(False)
        space = h5py.h5s.create_simple(values.shape)
        kind = h5py.h5t.py_create(values.dtype)
        data = h5py.Dataset(h5py.h5d.create(file.id, b"data", kind, space, properties))
        for k, frame in enumerate(values):
            data.id.write_direct_chunk((k, 0, 0, 0), frame.tobytes())
        for name, value in attributes.items():
            data.attrs[name] = value
    return path


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0x8ECF, r"filter 36559, ECF \(Prophesee\), which is not installed\. Install Prophesee's"),
        (32019, r"filter 32019, which is not installed\. Install the plugin that github\.com/HDFG"),
    ],
)
def test_missing_filter__is_named_with_what_to_install(tmp_path, number, message):
    if h5py.h5z.filter_avail(number):
        pytest.skip(f"HDF5's filter {number} is installed")
    path = with_filter(written(tmp_path / "f.h5", "zstd"), number)
    with pytest.raises(LayoutError, match=rf"^f\.h5: data set data is compressed by .*{message}"):
        FeaturesFile(path)
    with pytest.raises((LayoutError, ReleaseError), match="which is not installed"):
        repack(path, tmp_path / "copy.h5")


def test_missing_plugin__is_named_with_what_to_install(tmp_path, monkeypatch):
    path = written(tmp_path / "f.h5", "zstd")
    have = h5py.h5z.filter_avail
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number < 1000 and have(number))
    with pytest.raises(LayoutError, match=r"Zstandard, which is not installed\. Run: pip install"):
        FeaturesFile(path)
    monkeypatch.undo()
    with h5py.File(path) as file:
        assert filters_of(file["windows/start"]) == {32008: "bitshuffle", 3: "fletcher32"}
    code = "import sys; sys.modules['hdf5plugin'] = None; import evreel.files.hdf5"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "EvreelError: HDF5's plugins" in done.stderr
    assert "Run: pip install hdf5plugin" in done.stderr
