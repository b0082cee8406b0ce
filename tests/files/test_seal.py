"""Seals: no damaged structure reaches HDF5's library, which may never come back."""

from __future__ import annotations

import subprocess
import sys
import time

import h5py
import hdf5plugin
import numpy as np
import pytest

from evreel.errors import EvreelError, LayoutError, RecordingError, UnknownFormatError
from evreel.files import hdf5, inspection, probe
from evreel.files.repack import repack
from evreel.files.seal import MAGIC, is_sealed, seal_of
from evreel.recordings import open_recording
from support import ROOT
from support.hdf5 import write
from support.own_files import chunks_of, own_files


@pytest.fixture
def sealed(tmp_path):
    return write(tmp_path / "x.h5")


def end_in(content):
    """Return where the HDF5 file proper ends, by the seal."""
    return int.from_bytes(content[-32:-24], "little")


def unsealed(path):
    """Cut the seal off, as opening it for writing does."""
    content = path.read_bytes()
    path.write_bytes(content[: end_in(content)])
    return path


def refused(path):
    with pytest.raises(LayoutError) as caught:
        hdf5.open_hdf5(path).close()
    return str(caught.value)


def test_reading__ends_whatever_sector_of_the_structure_is_lost(tmp_path):
    code = "import sys; from support.own_files import read_all_with_lost_sectors as read\n"
    done = subprocess.run(  # in a process of its own, so that a hang is a failure
        [sys.executable, "-c", code + "read(sys.argv[1])", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT / "tests",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    kinds = [file.kind for file in own_files() if file.name.endswith(".h5")]
    for kind in kinds:
        ends = [line for line in lines if line.startswith(f"{kind}: ")]
        assert sum("structure is not what evreel wrote" in line for line in ends) >= 10, kind
    assert [line for line in lines if "OTHER VALUES" in line] == []


def test_seal__covers_all_but_the_chunks(sealed):
    content = bytearray(own_files()[2].content)
    sealed.write_bytes(content)
    chunks = chunks_of(sealed)
    rng = np.random.default_rng(0)
    seen = {True: 0, False: 0}
    for at in rng.integers(0, len(content), 400).tolist():
        content[at] ^= 1 << at % 8
        sealed.write_bytes(content)
        in_chunk = any(first <= at < stop for first, stop in chunks)
        seen[in_chunk] += 1
        if in_chunk:
            assert is_sealed(sealed)
        elif at < len(content) - len(MAGIC):
            assert "or was edited" in refused(sealed)
        content[at] ^= 1 << at % 8
    assert min(seen.values()) > 20


def test_seal__covers_texts_which_have_no_checksum(sealed):
    content = sealed.read_bytes()
    assert content.count("Straße".encode()) == 1
    sealed.write_bytes(content.replace("Straße".encode(), b"Strase" + b"e"))
    assert "its structure is not what evreel wrote" in refused(sealed)


def test_seal__is_ignored_by_other_readers_and_cut_off_by_writers(sealed):
    assert sealed.read_bytes().endswith(MAGIC)
    with h5py.File(sealed) as file:
        assert file["size"][()] == 7
    assert is_sealed(sealed)
    with h5py.File(sealed, "r+") as file:
        file["size"][()] = 8
    assert not is_sealed(sealed)
    with hdf5.open_hdf5(sealed) as file:  # an edit by HDF5 is whole, if of unknown origin
        assert file["size"][()] == 8


def test_seal__is_that_of_a_file_without_chunks_too(tmp_path):
    path = tmp_path / "x.h5"
    with hdf5.new_file(path) as file:
        file["a"] = 5
    assert is_sealed(path)
    content = path.read_bytes()
    assert seal_of(unsealed(path)) == content[end_in(content) :]


def test_repack__seals_what_it_writes(sealed, tmp_path):
    repack(sealed, tmp_path / "y.h5")
    assert is_sealed(tmp_path / "y.h5")


@pytest.mark.parametrize("kept", [0, 1, 10, 31])
def test_store__whose_seal_is_cut_short_is_refused(tmp_path, kept):
    store = own_files()[0]
    path = tmp_path / store.name
    path.write_bytes(store.content)
    path.write_bytes(store.content[: end_in(store.content) + kept])
    if not kept:
        assert store.read(path)  # as written by an evreel without seals
        return
    with pytest.raises(LayoutError, match=f"its seal, the last {kept} bytes, is damaged"):
        store.read(path)


def test_open__of_a_good_file_costs_little(tmp_path):
    path = tmp_path / "x.h5"
    with hdf5.new_file(path, libver=("earliest", "v110")) as file:
        options = {"chunks": (1, 2, 4, 4), "maxshape": (None, 2, 4, 4), **hdf5plugin.Zstd()}
        data = file.create_dataset("data", shape=(10_000, 2, 4, 4), dtype="u1", **options)
        for k in range(10_000):
            data.id.write_direct_chunk((k, 0, 0, 0), b"x" * 100)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert is_sealed(path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05, "10 times what it takes"


@pytest.mark.parametrize("lost", [512, 1024])
def test_store__whose_end_is_lost_is_damaged_and_not_of_another_origin(tmp_path, lost):
    store = own_files()[0]
    path = tmp_path / store.name
    path.write_bytes(store.content[:-lost] + b"\xff" * lost)
    with pytest.raises(LayoutError, match="incorrect metadata checksum"):
        hdf5.layout_of(path)
    with pytest.raises(RecordingError, match="structure cannot be read") as caught:
        open_recording(path)
    assert not isinstance(caught.value, UnknownFormatError)


def hanging(path):
    """Leave the seal out and lose the sector on which HDF5 hangs."""
    content = bytearray(unsealed(path).read_bytes())
    content[512:1024] = bytes(512)
    path.write_bytes(content)


def test_open__of_a_file_without_seal_on_which_hdf5_hangs_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "CPU_SECONDS", 1)
    samples = next(file for file in own_files() if file.kind == "samples")
    path = tmp_path / samples.name
    path.write_bytes(samples.content)
    hanging(path)
    start = time.perf_counter()
    with pytest.raises(LayoutError, match=r"cannot be opened as HDF5: .*did not end within 1 s"):
        samples.read(path)
    assert time.perf_counter() - start < 30


def test_open__of_a_file_without_seal_inspects_it_once_until_it_changes(sealed, monkeypatch):
    unsealed(sealed)
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        inspection.subprocess, "run", lambda *args, **kw: started.append(args) or run(*args, **kw)
    )
    for _ in range(3):
        hdf5.open_hdf5(sealed).close()
    assert len(started) == 1
    with h5py.File(sealed, "r+") as file:
        file["size"][()] = 8
    hdf5.open_hdf5(sealed).close()
    assert len(started) == 2


def test_open__of_a_file_that_is_cut_short_starts_no_program(sealed, monkeypatch):
    monkeypatch.setattr(probe, "__file__", "nothing")
    content = sealed.read_bytes()
    for size in (100, 1000, end_in(content) - 1):
        sealed.write_bytes(content[:size])
        assert f"truncated file: it ends after {size:,} of" in refused(sealed)


def test_inspection__works_under_limits_that_are_lower(sealed):
    unsealed(sealed)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (50, 50))\n"
        "from evreel.files import hdf5\n"
        "inspection = sys.modules['evreel.files.inspection']; inspection.CPU_SECONDS = 100\n"
        "print(hdf5.open_hdf5(Path(sys.argv[1]))['size'][()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sealed)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "7\n", done.stderr


def test_hdf5__is_opened_in_one_place_only():
    found = {
        path.relative_to(ROOT / "src" / "evreel").as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if "h5py.File(" in path.read_text(encoding="utf-8")
    }
    # hdf5 opens what is sealed or inspected, seal what was just written; probe is a program;
    # example, loading and readme have Python for others.
    programs = {"files/probe.py", "release/example.py", "cards/loading.py", "cards/readme.py"}
    assert found == {"files/hdf5.py", "files/seal.py"} | programs


def test_error__of_a_seal_is_evreels(tmp_path):
    with pytest.raises(EvreelError, match=r"no\.h5: cannot be opened as HDF5"):
        hdf5.layout_of(tmp_path / "no.h5")
