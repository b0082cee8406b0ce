"""HDF5 by layout: strict when read, the same bytes whenever and wherever written."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evreel import __version__
from evreel.errors import LayoutError
from evreel.files import hdf5
from evreel.provenance import STEP_REVISIONS
from support import ROOT
from support.hdf5 import LAYOUT, PROVENANCE, edited, write


@contextlib.contextmanager
def open_layout(path, layout):
    """Open a file that must be of a layout, as the readers do."""
    with hdf5.open_hdf5(path) as file:
        hdf5.check_layout(file, path, layout)
        yield file


def change(path, edit):
    """Apply an edit to a whole file."""
    with edited(path) as file:
        edit(file)
    return path


def test_create__writes_values_dtypes_and_provenance(tmp_path):
    with open_layout(write(tmp_path / "x.h5"), LAYOUT) as file:
        np.testing.assert_array_equal(file["a/t"][:], np.arange(250))
        np.testing.assert_array_equal(file["a/xyz"][:, 1], np.arange(250) / 2)
        assert file["a/t"].dtype == np.dtype("<i8")
        assert file["a/t"].chunks == (100,)
        assert file["a/xyz"].maxshape == (None, 3)
        assert file["size"][()] == 7
        assert file["names"].asstr()[:].tolist() == ["car", "Straße"]
        assert file["header"].asstr()[()] == "line 1\nline 2"
        assert dict(file.attrs) == {
            "layout": "test",
            "layout_version": 3,
            "unit": "px",
            "evreel_version": __version__,
            "step": "events",
            "step_revision": STEP_REVISIONS["events"],
            "parameters": '{"a": [2, null], "b": 1}',
            "inputs": '{"recording": "sha256:0"}',
            "repairs": '{"cut": 0}',
        }


def test_create__does_not_overwrite_a_file(tmp_path):
    write(tmp_path / "x.h5")
    with pytest.raises(FileExistsError):
        write(tmp_path / "x.h5")


def test_file__has_the_same_bytes_in_another_folder_process_and_second(tmp_path):
    (tmp_path / "other").mkdir()
    here = write(tmp_path / "x.h5").read_bytes()
    code = (
        "import sys, time; from pathlib import Path; from support.hdf5 import write\n"
        "started = int(time.time())\n"
        "while int(time.time()) == started: time.sleep(0.05)\n"
        "write(Path(sys.argv[1]))"
    )
    there = tmp_path / "other" / "y.h5"
    environment = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", code, str(there)], check=True, env=environment, cwd=ROOT / "tests"
    )
    assert there.read_bytes() == here


def test_file__has_the_same_bytes_whatever_the_batches(tmp_path):
    contents = {write(tmp_path / f"{k}.h5", batch=k).read_bytes() for k in (7, 100, 250)}
    assert len(contents) == 1


def test_add__checksums_the_bytes_that_the_plugin_gets(tmp_path):
    with h5py.File(write(tmp_path / "x.h5")) as file:
        filters = file["a/t"].id.get_create_plist()
        codes = [filters.get_filter(k)[0] for k in range(filters.get_nfilters())]
    assert codes == [hdf5plugin.Bitshuffle.filter_id, h5py.h5z.FILTER_FLETCHER32]


def test_add__covers_a_scalar_by_the_checksum_of_its_header(tmp_path):
    path = write(tmp_path / "x.h5")
    whole = path.read_bytes()
    with h5py.File(path) as file:
        assert file["size"].id.get_create_plist().get_layout() == h5py.h5d.COMPACT
    refused = 0
    for found in re.finditer(re.escape((7).to_bytes(8, "little")), whole):
        at = found.start()
        path.write_bytes(whole[:at] + bytes([6]) + whole[at + 1 :])
        try:
            with hdf5.open_hdf5(path) as file:
                assert file["size"][()] == 7, "another value went unseen"
        except (LayoutError, KeyError, RuntimeError, OSError):
            refused += 1
    assert refused


def test_reading__names_the_file_and_what_was_read(tmp_path):
    with (
        pytest.raises(LayoutError, match=r"^x\.h5: rows 1 to 5 cannot be read: bad\. .* again\.$"),
        hdf5.reading(tmp_path / "x.h5", "rows 1 to 5"),
    ):
        raise OSError("bad")


def holds_a_time(path, since):
    """Return whether a second between `since` and now stands in a file as HDF5 stores times."""
    content = path.read_bytes()
    return any(
        second.to_bytes(4, "little") in content for second in range(since, int(time.time()) + 1)
    )


def test_file__stores_no_times(tmp_path):
    since = int(time.time())
    path = write(tmp_path / "x.h5")
    assert not holds_a_time(path, since)

    change(path, lambda file: file.create_dataset("seen", data=1, track_times=True))
    assert holds_a_time(path, since), "the search finds no times at all"


def test_set_attributes__writes_the_same_bytes_in_any_order(tmp_path):
    pairs = {"b": 1, "a": "x", "c": 2.5}
    for name, attributes in (("x", pairs), ("y", dict(reversed(pairs.items())))):
        with h5py.File(tmp_path / name, "w") as file:
            hdf5.set_attributes(file, attributes)
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_append__of_nothing_changes_nothing(tmp_path):
    with hdf5.create(tmp_path / "x.h5", LAYOUT, PROVENANCE) as file:
        column = hdf5.add(file, LAYOUT["a/t"])
        hdf5.append(column, np.empty(0, dtype=np.int64))
        assert column.shape == (0,)
        hdf5.append(column, np.array([3, 4]))
        hdf5.append(column, np.array([5]))
        assert column[:].tolist() == [3, 4, 5]


def test_add__with_data_casts_to_the_layouts_dtype_and_can_grow(tmp_path):
    with hdf5.create(tmp_path / "x.h5", LAYOUT, PROVENANCE) as file:
        column = hdf5.add(file, LAYOUT["a/p"], [1, 0, 1])
        assert column.dtype == np.uint8
        assert (column.compression, column.compression_opts, column.shuffle) == ("gzip", 4, True)
        hdf5.append(column, np.array([0], dtype=np.uint8))
        assert column[:].tolist() == [1, 0, 1, 0]


def test_open_layout__accepts_a_file_without_its_optional_arrays(tmp_path):
    path = change(write(tmp_path / "x.h5"), lambda file: file.__delitem__("a/p"))
    with open_layout(path, LAYOUT) as file:
        assert "a/p" not in file


def replaced(name, **options):
    def edit(file):
        del file[name]
        file.create_dataset(name, **options)

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.attrs.__delitem__("layout"), "its layout is None; 'test' is expected"),
        (lambda f: f.attrs.__setitem__("layout", "else"), "its layout is 'else'"),
        (lambda f: f.attrs.__setitem__("layout", ["test", "x"]), r"its layout is \['test', 'x'\]"),
        (lambda f: f.attrs.__setitem__("layout_version", 4), "4; this evreel reads version 3"),
        (lambda f: f.attrs.__setitem__("layout_version", [3, 3]), r"version \[3, 3\]"),
        (lambda f: f.attrs.__delitem__("layout_version"), "version None"),
        (lambda f: f.attrs.__delitem__("unit"), "attribute unit is missing"),
        (lambda f: f.__delitem__("a/t"), "data set a/t is missing"),
        (lambda f: f.__delitem__("a"), "data set a/t is missing"),
        (replaced("size", data=h5py.Empty("i8")), "size is not a data set with values"),
        (replaced("size", data=[1, 2]), r"size has 1 dimensions; \(\) is expected"),
        (replaced("a/xyz", data=np.zeros(250, "f4")), r"xyz has 1 dimensions; \(row, axis\)"),
        (replaced("a/t", data=np.zeros(250, "i4")), "data set a/t is <i4; <i8 is expected"),
        (replaced("a/t", data=np.zeros(250, ">i8")), "data set a/t is >i8; <i8 is expected"),
        (replaced("header", data=5), "data set header is <i8; text is expected"),
        (replaced("a/p", data=np.zeros(249, "u1")), "a/p has 249 of row, but a/t has 250"),
    ],
)
def test_check_layout__names_the_first_difference(tmp_path, edit, message):
    path = change(write(tmp_path / "x.h5"), edit)
    with pytest.raises(LayoutError, match=r"^x\.h5: .*" + message), open_layout(path, LAYOUT):
        pass


def test_check_layout__refuses_a_group_in_place_of_a_data_set(tmp_path):
    def edit(file):
        del file["size"]
        file.create_group("size")

    path = change(write(tmp_path / "x.h5"), edit)
    with (
        pytest.raises(LayoutError, match="size is not a data set"),
        open_layout(path, LAYOUT),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", b"\x89HDF\r\n\x1a\n"])
def test_open__of_another_format_names_the_file(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(LayoutError, match=r"^x\.h5: cannot be opened as HDF5"):
        hdf5.open_hdf5(tmp_path / "x.h5")


def test_open__of_a_missing_file_names_the_file(tmp_path):
    with pytest.raises(LayoutError, match=r"^x\.h5: cannot be opened as HDF5"):
        hdf5.open_hdf5(tmp_path / "x.h5")


def test_open__of_a_file_that_the_same_process_has_open_by_h5py_alone(tmp_path):
    path = write(tmp_path / "x.h5")
    with h5py.File(path), hdf5.open_hdf5(path) as file:
        assert file["size"][()] == 7


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "seek", "read", "truncate"]),
        st.integers(0, 90),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_writes_that_are_held__leave_the_file_that_writing_each_would(operations):
    with tempfile.TemporaryDirectory() as folder, io.BytesIO() as plain:
        path = Path(folder) / "x"
        with pytest.MonkeyPatch.context() as patch, hdf5._Disk(path) as disk:
            patch.setattr(hdf5, "_HELD_BYTES", 50)
            patch.setattr(hdf5, "_STORED_BYTES", 300)
            for k, (what, n) in enumerate(operations):
                if what == "write":
                    assert disk.write(bytes([k]) * n) == plain.write(bytes([k]) * n)
                elif what == "seek":
                    assert disk.seek(n) == plain.seek(n)
                elif what == "truncate" and n <= len(plain.getbuffer()):
                    assert disk.truncate(n) == plain.truncate(n)
                elif what == "read":
                    buffer = bytearray(n)
                    disk.readinto(buffer)
                    assert bytes(buffer) == plain.read(n).ljust(n, b"\0")
                    plain.seek(disk.tell())
            disk.check()
        assert path.read_bytes() == plain.getvalue()


def test_create__on_a_full_disk_is_one_error_and_does_not_end_the_process(tmp_path):
    # A limit on the size of files is a disk of that size, without the right to mount one.
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from support.hdf5 import write\n"
        "from evreel.errors import EvreelError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: write(Path(sys.argv[1]))\n"
        "except EvreelError as error: print(error)\n"
    )
    size = write(tmp_path / "whole.h5").stat().st_size
    for limit in (0, 100, size // 2, size - 1):
        path = tmp_path / f"{limit}.h5"
        run = subprocess.run(
            [sys.executable, "-c", code, str(path), str(limit)],
            cwd=ROOT / "tests",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        assert run.stdout == (
            f"{limit}.h5: cannot be written: File too large. "
            "Make room on the disk, and run again.\n"
        )
        assert run.stderr == ""
