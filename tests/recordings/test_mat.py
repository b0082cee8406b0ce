"""MATLAB's files as ASL-DVS has them: the columns as they are in the file."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Sensor
from evreel.recordings import mat, open_recording
from evreel.recordings.open import STRICT, Reading
from recordings.rows import read
from recordings.rows import refused as refused_file
from support.fuzz.columns import some_rows
from support.writers import columns as made

SENSOR = Sensor(180, 240)
ROWS = [(10, 1, 2, 1), (10, 239, 179, 0), (13, 0, 0, 1), (2_000_000, 3, 4, 0), (2_000_000, 5, 6, 1)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a_0001.mat"


def rows_of(path, content, reading=STRICT):
    path.write_bytes(content)
    return read(path, sensor=SENSOR, reading=reading)[0]


def refused(path, content, kind=RecordingError):
    path.write_bytes(content)
    return refused_file(path, kind, sensor=SENSOR)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_file__of_asl_dvs_is_read(path, compressed, order):
    content = made.asl(ROWS, compressed, order)
    assert rows_of(path, content) == ROWS
    with open_recording(path, sensor=SENSOR) as recording:
        assert recording.format == "mat"
        assert recording.header.startswith("MATLAB 5.0 MAT-file, Platform: GLNXA64")
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(path)


@pytest.mark.parametrize("stored", list(made.MI))
def test_numbers__are_read_in_every_type_they_are_stored_in(path, stored):
    small = [(k, 2 * k, k, k % 2) for k in range(20)]
    for kind in ("f8", "i4"):
        variables = [
            made.matrix(name, values, stored, kind)
            for name, values in zip(["ts", "x", "y", "pol"], zip(*small, strict=True), strict=True)
        ]
        assert rows_of(path, made.mat(variables)) == small


def test_row_vectors__are_read_and_other_variables_ignored(path):
    variables = [made.matrix("label", [3])]
    for name, values in zip(["ts", "x", "y", "pol"], zip(*ROWS, strict=True), strict=True):
        variables.append(made.matrix(name, values, "i4", "i4", shape=(1, len(values))))
    assert rows_of(path, made.mat(variables)) == ROWS
    message = refused(path, made.mat(variables[:-1]), UnknownFormatError)
    assert "has no column p among label, ts, x, y" in message


def test_polarity__may_be_minus_one_for_off(path):
    assert rows_of(path, made.mat(_named([(0, 0, 0, -1), (1, 0, 0, 1)], "i1"))) == [
        (0, 0, 0, 0),
        (1, 0, 0, 1),
    ]


def _named(rows, stored="i4"):
    return [
        made.matrix(name, values, stored)
        for name, values in zip(["ts", "x", "y", "pol"], zip(*rows, strict=True), strict=True)
    ]


def test_variables__that_are_not_numeric_vectors_are_reported(path):
    good = _named(ROWS)
    for bad, said in (
        (made.matrix("ts", range(4), "i4", shape=(2, 2)), "of size 2x2"),
        (made.matrix("ts", range(5), flags=0x800), "complex"),
        (made.matrix("ts", range(5)).replace(b"\x06\0\0\0\0\0\0\0", b"\x04" + bytes(7), 1), "text"),
    ):
        message = refused(path, made.mat([bad, *good[1:]]), UnknownFormatError)
        assert "variable ts" in message and said in message
    short = made.matrix("x", range(3), "i4")
    message = refused(path, made.mat([good[0], short, *good[2:]]))
    assert "variable x has 3 numbers, but ts has 5" in message
    assert "variable 'ts' is duplicated" in refused(path, made.mat([*good, good[0]]))


def test_version_7_3__says_what_to_do(path):
    content = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
    message = refused(path, content, UnknownFormatError)
    assert "version 7.3" in message and "-v7" in message


def test_file__that_is_too_large_is_refused(path, monkeypatch):
    content = made.asl(ROWS * 100)
    monkeypatch.setattr(mat, "FILE_BYTES", 100)
    assert "MATLAB files may have up to 100" in refused(path, content, UnknownFormatError)
    monkeypatch.setattr(mat, "FILE_BYTES", 10_000)
    bomb = made.mat([made.matrix("ts", np.zeros(10**6), "i1")])
    assert "exceed the limit of 10,000 bytes" in refused(path, bomb)
    # Each of its columns alone would fit.
    zeros = [(0, 0, 0, 0)] * 3000
    assert rows_of(path, made.mat(_named(zeros[:2400], "i1"))) == zeros[:2400]
    message = refused(path, made.mat(_named(zeros, "i1")))
    assert "its decompressed columns exceed the limit of 10,000 bytes" in message
    assert "Save them as npz" in message


def test_variables__of_other_names_are_not_decompressed(path):
    zeros = [made.matrix(f"other{k}", np.zeros(1 << 22), "i1", "i1") for k in range(6)]
    grid = made.matrix("ts", np.zeros(1 << 22), "i1", "i1", shape=(2, 1 << 21))
    for variables, names in (
        ([*zeros, *_named(ROWS)], None),
        ([*zeros, grid], "column x among other0, other1, other2, other3, other4, other5, ts"),
    ):
        rows_of(path, made.mat(_named(ROWS)))  # loads what is only loaded once
        content = made.mat(variables)
        tracemalloc.start()
        try:
            if names is None:
                assert rows_of(path, content) == ROWS
            else:
                assert names in refused(path, content, UnknownFormatError)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1 << 22, "a variable was decompressed"


def test_variables__in_any_number_are_skipped(path):
    others = [made.matrix("again", [k]) for k in range(3000)]
    assert rows_of(path, made.mat([*others, *_named(ROWS)])) == ROWS
    message = refused(path, made.mat(others), UnknownFormatError)
    assert message.count("again") == 20


def test_numbers__after_a_compressed_variable_may_be_at_any_byte(path):
    for length in range(1, 9):
        content = made.mat([made.matrix("a" * length, range(length), "u1")])
        content += made.mat(_named(ROWS), compressed=False)[128:]
        assert rows_of(path, content) == ROWS


def test_name__that_never_ends_is_damage(path):
    content = made.mat([made.matrix("x" * 5000, [1])])
    assert "an element of 5000 bytes extends beyond its end" in refused(path, content)


def test_file__that_is_cut_is_an_error_at_every_byte(path):
    # Cut between variables, or in the padding of the last, a file is valid but incomplete.
    for compressed in (False, True):
        content = made.asl(ROWS, compressed)
        assert rows_of(path, content) == ROWS
        for size in range(len(b"MATLAB 5.0 MAT-file"), len(content) - 8):
            assert "a_0001.mat: byte" in refused(path, content[:size])


def test_events__outside_the_sensor_are_an_error_or_dropped(path):
    rows = [*ROWS, (2_000_001, 240, 0, 1)]
    assert "outside the sensor of 240x180" in refused(path, made.asl(rows))
    assert rows_of(path, made.asl(rows), Reading(on_out_of_bounds="drop")) == ROWS


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("column", ["column", "row"])
def test_file__written_by_scipy_is_read(path, compressed, column):
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy, which writes such files too")
    rows = some_rows(2_000)
    columns = made.columns(rows, {"t": "i4", "x": "u1", "y": "f8", "p": "i8"})
    named = dict(zip(["ts", "x", "y", "pol"], columns.values(), strict=True))
    file = io.BytesIO()
    scipy_io.savemat(
        file,
        {"cell": np.array([1, "a"], object), "struct": {"a": 1}, "text": "abc", **named},
        do_compression=compressed,
        oned_as=column,
    )
    assert rows_of(path, file.getvalue()) == rows


def test_file__of_ours_is_read_by_scipy_alike(tmp_path):
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy, which reads such files too")
    for compressed in (False, True):
        for order in "<>":
            read = scipy_io.loadmat(io.BytesIO(made.asl(ROWS, compressed, order)))
            got = zip(
                *(read[name].ravel().tolist() for name in ("ts", "x", "y", "pol")), strict=True
            )
            assert [tuple(map(int, row)) for row in got] == ROWS
