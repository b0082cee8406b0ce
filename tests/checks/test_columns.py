"""Damaged and hostile files are findings, and what is left of them is still checked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from evreel.checks.finding import Report
from evreel.checks.run import audit, check
from support.hdf5 import edited
from support.own_files import chunks_of


@pytest.mark.parametrize("name", ["inputs", "repairs"])
@pytest.mark.parametrize(
    "value", ["", "[]", '{"store": [1]}', '{"outside_time": -3}', "[" * 99_999]
)
def test_check__finds_malformed_provenance(made, tmp_path, name, value):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / "events" / "one.h5", path)
    with edited(path) as file:
        file.attrs[name] = value[:60_000]
    [finding] = check(path).findings
    assert finding.check == "readable"
    assert f"attribute {name} is not JSON" in finding.problem


def hostile(path, edit):
    with edited(path) as file:
        edit(file)


def without(name):
    return lambda file: file.__delitem__(name)


def replaced(name, data):
    def edit(file):
        del file[name]
        file[name] = data

    return edit


def endless(name):
    """Claim more rows than there are, without storing any."""

    def edit(file):
        length, dtype = 1 << 40, file[name].dtype
        del file[name]
        file.create_dataset(name, shape=(length,), dtype=dtype, chunks=(65_536,))

    return edit


HOSTILE = [
    ("events", without("events/y")),
    ("events", replaced("events/t", np.zeros(4))),
    ("events", replaced("events/t", np.zeros((2, 2), np.int64))),
    ("events", endless("ms_to_idx")),
    ("events", lambda file: [endless(f"events/{name}")(file) for name in "txyp"]),
    ("events", replaced("events/height", np.int64(-3))),
    ("events", lambda file: file.attrs.__setitem__("t_stop_us", "soon")),
    ("events", lambda file: file.attrs.__setitem__("layout_version", 99)),
    ("slices", without("slices/start")),
    ("slices", replaced("labels/name", np.zeros(3))),
    ("slices", endless("overlaps/event")),
    ("slices", lambda file: file.attrs.__delitem__("events_outside_slices")),
    ("features/voxels", without("windows/stop")),
    ("features/voxels", lambda file: file["data"].attrs.__delitem__("shape")),
    ("features/voxels", lambda file: file["data"].resize(1 << 30, axis=0)),
    ("samples", without("samples/split")),
    ("samples", endless("samples/start")),
    ("samples", replaced("samples/label", np.array([0, 1, 2], "<i4"))),
    ("samples", replaced("samples/stop", np.array([9, 9, -9]))),
    ("samples", replaced("samples/start_us", np.array([0, 9, 5]))),
    ("samples", replaced("samples/id", ["a", "b", "a"])),
    ("samples", replaced("samples/id", np.array([b"a", b"b", b"\xff"], "O"))),
    ("samples", lambda file: file.attrs.__setitem__("t_stop_us", "soon")),
    ("features/h", replaced("samples/window_stop", np.array([2, 5, 6]))),
    ("features/h", replaced("samples/id", ["a", "b", "a"])),
    ("features/h", without("labels/name")),
    ("events", lambda file: file.__setitem__("members/name", ["a"])),
    ("events", lambda file: file.__setitem__("members/start_us", np.zeros(1, np.int64))),
]


@pytest.mark.parametrize(("folder", "edit"), HOSTILE)
def test_check__of_a_hostile_file_is_a_finding(made, tmp_path, folder, edit):
    path = tmp_path / "one.h5"
    shutil.copyfile(made / "results" / folder / "one.h5", path)
    hostile(path, edit)
    for report in (check(path), check(tmp_path), audit(tmp_path)):
        assert report.errors, list(report.lines())
        assert all(finding.path == "one.h5" for finding in report.findings)


@pytest.mark.parametrize("folder", ["events", "slices", "samples", "features/voxels"])
def test_check__finds_any_bit_flipped_in_a_chunk_and_any_cut(made, tmp_path, folder):
    whole = (made / "results" / folder / "one.h5").read_bytes()
    path = tmp_path / "one.h5"
    path.write_bytes(whole)
    chunks = chunks_of(path)
    assert len(chunks) >= 5
    rng = np.random.default_rng(1)

    def found_with(bit):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        return check(tmp_path)

    for first, stop in rng.permutation(chunks)[:8].tolist():
        assert found_with(int(rng.integers(8 * first, 8 * stop))).errors
    for bit in rng.integers(0, 8 * len(whole), 8).tolist():
        assert isinstance(found_with(bit), Report), "elsewhere: nothing is raised"
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert [f.check for f in check(path).findings] == ["readable"], length
