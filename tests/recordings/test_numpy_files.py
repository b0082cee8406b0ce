"""npz and npy: columns and records by name, in bounded memory, never objects."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Events, Sensor
from evreel.recordings import event_chunks, open_recording
from evreel.recordings.open import STRICT, Reading
from recordings.rows import read
from recordings.rows import refused as refused_file
from support import random_events
from support.writers import columns as made

SENSOR = Sensor(6, 8)
ROWS = [(10, 1, 2, 1), (10, 7, 5, 0), (13, 0, 0, 1), (2_000_000, 3, 4, 0)]


def rows_of(path, content, reading=STRICT):
    path.write_bytes(content)
    return read(path, sensor=SENSOR, reading=reading)[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "e.npz"


def refused(path, content, kind=RecordingError):
    path.write_bytes(content)
    return refused_file(path, kind, sensor=SENSOR)


def columns(**changed):
    return made.columns(ROWS) | changed


@pytest.mark.parametrize("compressed", [False, True])
def test_npz__of_spikingjelly_is_read(path, compressed):
    assert rows_of(path, made.npz(compressed, **columns())) == ROWS
    with open_recording(path, sensor=SENSOR) as recording:
        assert (recording.format, recording.t_offset) == ("npz", 10)
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(path)


@pytest.mark.parametrize("kind", ["<i8", ">u2", "u1"])
def test_npz__states_the_sensor_by_whole_numbers_height_and_width(path, kind):
    sizes = {"height": np.array(6, kind), "width": np.array([8], kind)}
    path.write_bytes(made.npz(**columns(), **sizes))
    with open_recording(path) as recording:
        assert recording.sensor == SENSOR
    with pytest.raises(RecordingError, match=r"states a sensor of 8x6 px, but 9x6 was given"):
        open_recording(path, sensor=Sensor(6, 9))


@pytest.mark.parametrize(
    "sizes",
    [
        {"height": np.array(6)},
        {"height": np.array(6), "width": np.array(8.0)},
        {"height": np.array([6, 7]), "width": np.array(8)},
        {"height": np.array("tall"), "width": np.array(8)},
    ],
)
def test_npz__with_other_arrays_height_and_width_states_no_sensor(path, sizes):
    assert rows_of(path, made.npz(**columns(), **sizes)) == ROWS
    with pytest.raises(RecordingError, match="does not state the sensor's size"):
        open_recording(path)


def test_npz__of_a_sensor_that_cannot_be_is_an_error(path):
    content = made.npz(**columns(), height=np.array(0), width=np.array(8))
    assert "a sensor of height 0 and width 8" in refused(path, content)
    content = made.npz(**columns(), height=np.array(6), width=np.array(8))
    at = content.index(b"width.npy") + content[content.index(b"width.npy") :].index(b"\n") + 1
    damaged = content[:at] + b"\x07" + content[at + 1 :]
    assert "array width: " in refused(path, damaged)


def test_names__may_be_other_known_ones_and_other_arrays_are_ignored(path):
    t, x, y, p = columns().values()
    content = made.npz(Timestamps=t, X=x, y=y, polarity=p, label=np.array("car"))
    assert rows_of(path, content) == ROWS
    message = refused(path, made.npz(t=t, x=x, y=y, q=p), UnknownFormatError)
    assert "has no column p; it holds t (4,) int64; x (4,) uint16; y (4,) uint16; q (4,)" in message
    assert "polarity" in message
    message = refused(path, made.npz(t=t, ts=t, x=x, y=y, p=p), UnknownFormatError)
    assert "more than one column t: t, ts" in message


@pytest.mark.parametrize("kind", ["<i4", ">i8", "<u8", "<f4", ">f8"])
def test_columns__may_be_of_any_type_with_whole_numbers(path, kind):
    given = {name: values.astype(kind) for name, values in columns().items()}
    assert rows_of(path, made.npz(**given)) == ROWS


@pytest.mark.parametrize("p", [[True, False, True, False], [1, -1, 1, -1], [1.0, -1.0, 1.0, -1.0]])
def test_polarity__may_be_bool_or_minus_one_for_off(path, p):
    assert rows_of(path, made.npz(**columns(p=np.array(p)))) == ROWS


def test_timestamps__in_seconds_say_what_to_do(path):
    message = refused(path, made.npz(**columns(t=np.array([0.0, 0.5, 1.0, 1.5]))))
    assert "t=0.5 is not a whole number" in message and "ns instead of us in t[us]" in message


def test_timestamps__beyond_float32s_exact_numbers_are_refused(path):
    t = np.array([0, 1, 2**24, 2**24 + 2], np.float32)
    assert "float32" in refused(path, made.npz(**columns(t=t)))
    assert "not a whole" in refused(path, made.npz(**columns(t=np.array([0, 1, np.nan, 3]))))
    assert "285 years" in refused(path, made.npz(**columns(t=np.array([0, 1, 2, 2**63 - 1]))))
    assert "285 years" in refused(
        path, made.npz(**columns(t=np.array([0, 1, 2, 2**64 - 1], np.uint64)))
    )


def test_polarity__of_other_numbers_is_refused(path):
    message = refused(path, made.npz(**columns(p=np.array([1, 2, 1, 0]))))
    assert "polarity 2 is neither 1 nor 0 nor −1" in message
    message = refused(path, made.npz(**columns(p=np.array([1, 0, 1, -1]))))
    assert "polarity -1, but OFF is 0 in an earlier row" in message


def test_objects__are_never_loaded(path, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    evil = np.array([Evil()] * 4, object)
    assert "pickle" in refused(path, made.npz(**columns(t=evil)), UnknownFormatError)
    record = np.array([(0, 0, 0, Evil())], [(name, object) for name in "txyp"])
    assert "pickle" in refused(path, made.npy(record), UnknownFormatError)
    assert not (tmp_path / "run").exists()


def test_columns__of_unequal_lengths_shapes_or_kinds_are_errors(path):
    message = refused(path, made.npz(**columns(x=np.zeros(3, int))))
    assert "array x has 3 rows, but t has 4" in message
    for x, said in (
        (np.zeros((4, 1), int), "shape (4, 1)"),
        (np.asfortranarray(np.zeros((2, 2), int)), "shape (2, 2)"),
        (np.array(4), "shape ()"),
        (np.array(["a"] * 4), "type <U1"),
        (np.zeros(4, complex), "complex128"),
    ):
        assert said in refused(path, made.npz(**columns(x=x)), UnknownFormatError)


def test_zip__of_other_things_says_how_to_extract_a_recording(path):
    message = refused(path, made.zipped({"park.aedat4": b"#!AER-DAT4.0"}), UnknownFormatError)
    assert "park.aedat4" in message and "e.npz!NAME" in message


def test_npz__of_bzip2_or_with_a_duplicated_array_is_refused(path):
    members = {f"{name}.npy": made.npy(values) for name, values in columns().items()}
    message = refused(path, made.zipped(members, zipfile.ZIP_BZIP2), UnknownFormatError)
    assert "not compressed with deflate" in message
    assert "array 't' is duplicated" in refused(path, made.zipped(members | {"t": b"0"}))


def test_npz__whose_headers_promise_other_sizes_is_refused(path):
    members = {f"{name}.npy": made.npy(values) for name, values in columns().items()}
    long = made.npy(np.zeros(10**6, np.int64))
    members["t.npy"] = long[:200]
    assert "its header asks for 8000128" in refused(path, made.zipped(members))


def test_npz__with_damage_gives_the_rows_before_it(path):
    events = random_events(400_000, (6, 8), 10_000_000)
    content = bytearray(
        made.npz(True, **{name: np.asarray(getattr(events, name)) for name in "txyp"})
    )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = archive.getinfo("x.npy").header_offset
        content[at + archive.getinfo("x.npy").compress_size - 5] ^= 255
    assert f"byte {at}: array x" in refused(path, bytes(content))
    rows = rows_of(path, bytes(content), Reading(on_damage="salvage"))
    expected = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    assert 200_000 < len(rows) <= 400_000
    assert [row[0] for row in rows] == [row[0] for row in expected[: len(rows)]]


def test_npz__whose_checksum_fails_is_an_error(path):
    content = bytearray(made.npz(**columns()))
    at = content.index(struct.pack("<q", 2_000_000))
    content[at] ^= 1
    assert "array t: Bad CRC-32" in refused(path, bytes(content))


def test_npz__is_read_in_bounded_memory(path):
    n = 3_000_000
    given = {name: np.zeros(n, np.int64) for name in "txyp"}
    path.write_bytes(made.npz(True, **given))
    del given
    tracemalloc.start()
    with open_recording(path, sensor=SENSOR) as recording:
        assert sum(len(chunk) for chunk in event_chunks(recording)) == n
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20  # the columns have 96 MB


@pytest.mark.parametrize("dtype", [made.RECORD, [(name, ">i8") for name in "pyxt"]])
def test_npy__of_records_is_read(path, dtype):
    assert rows_of(path, made.npy(made.records(ROWS, np.dtype(dtype)))) == ROWS
    names = [("x", "<u2"), ("y", "<u2"), ("polarity", "<i2"), ("ts", "<i8")]
    named = made.records(ROWS).view(names)
    assert rows_of(path, made.npy(named)) == ROWS


def test_npy__that_is_not_an_array_of_records_is_reported(path):
    message = refused(path, made.npy(np.zeros((10, 4))), UnknownFormatError)
    assert "shape (10, 4)" in message and "does not say which column is which" in message
    boxes = np.zeros(3, [("t", "<i8"), ("x", "<f4"), ("y", "<f4"), ("class_id", "<u4")])
    message = refused(path, made.npy(boxes), UnknownFormatError)
    assert "has no column p among its fields t, x, y, class_id" in message
    message = refused(path, made.npy(made.records(ROWS).reshape(2, 2)), UnknownFormatError)
    assert "shape (2, 2)" in message


def test_npy__that_is_cut_or_too_long_names_the_byte(path):
    content = made.npy(made.records(ROWS))
    head = len(content) - 4 * 14
    assert f"byte {head + 28}: the file ends after 2 of 4 events" in refused(path, content[:-20])
    assert rows_of(path, content[:-20], Reading(on_damage="salvage")) == ROWS[:2]
    assert f"byte {len(content)}: has 3 bytes after" in refused(path, content + b"abc")
    for size in range(6, head):
        assert "e.npz: byte 0:" in refused(path, content[:size])


def test_npy__names_the_byte_of_a_wrong_value(path):
    content = made.npy(made.records([*ROWS[:2], (11, 0, 0, 7), *ROWS[2:]]))
    assert f"byte {len(content) - 3 * 14}: polarity 7" in refused(path, content)


def test_npz__that_is_cut_is_an_error_at_every_byte(path):
    content = made.npz(**columns())
    for size in range(4, len(content)):
        assert "e.npz: byte" in refused(path, content[:size])


def test_events__from_npz_are_events(path):
    path.write_bytes(made.npz(**columns()))
    with open_recording(path, sensor=SENSOR) as recording:
        (chunk,) = event_chunks(recording)
    Events(chunk.t, chunk.x, chunk.y, chunk.p, SENSOR)
