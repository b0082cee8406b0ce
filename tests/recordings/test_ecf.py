"""Metavision's HDF5 in its own compression, ECF: read, searched by time, and written."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.cli import main
from evreel.errors import CodingError, RecordingError, UsageError
from evreel.events import FrameTimes, Sensor, Triggers
from evreel.exports import metavision
from evreel.exports.metavision import write_metavision
from evreel.kernels import ecf as kernels
from evreel.recordings import open_recording, read_events
from evreel.recordings.hdf5.ecf import EcfRecording
from evreel.recordings.hdf5.ecf import _first_time as first_time
from evreel.recordings.open import Reading
from recordings.rows import marks, refused, rows
from support import random_events, shared_file
from support.stores import store_of, write_store
from support.writers import ecf

TRIGGERS = [(100_005, 1, 0), (100_030, 0, 6)]
LARGEST = (1 << 11) - 1


def some_rows(n: int, seed: int = 0) -> list[tuple[int, int, int, int]]:
    """Return rows on a sensor of 8x6, some at one time, some far apart."""
    rng = np.random.default_rng(seed)
    steps_us = rng.choice([0, 0, 0, 1, 14, 15, 300, 70_000], n)
    t = 100_000 + np.cumsum(steps_us)
    x, y, p = (np.sort(rng.integers(0, size, (-(-n // 40), 40)), 1).ravel() for size in (8, 6, 2))
    return list(zip(*(c[:n].tolist() for c in (t, x, y, p)), strict=True))


def decode(data: bytes, room: int) -> tuple[list, tuple[int, int, int]]:
    """Return what the kernel makes of a chunk: rows, and what it says."""
    columns = [np.zeros(room, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    said = kernels.decode(np.frombuffer(data, np.uint8), *columns)
    return list(zip(*(column[: said[0]].tolist() for column in columns), strict=True)), said


def encode(given) -> bytes:
    t, x, y, p = (
        np.array(column, kind)
        for column, kind in zip(
            zip(*given, strict=True), (np.int64, np.uint16, np.uint16, np.uint8), strict=True
        )
    )
    out = np.zeros(32 + 20 * len(given), np.uint8)
    return out[: kernels.encode(t, x, y, p, out)].tobytes()


EVENT = st.tuples(
    st.sampled_from([0, 0, 0, 1, 14, 15, 16, 255, 1 << 34]),
    st.integers(0, LARGEST) | st.integers(0, 7),
    st.integers(0, LARGEST) | st.integers(0, 1),
    st.integers(0, 1),
)


@st.composite
def events_of_chunk(draw):
    """Draw rows of a chunk; each event may be repeated, so that runs are long."""
    found, t = [], draw(st.integers(0, 1 << 40))
    for step, x, y, p in draw(st.lists(EVENT, min_size=1, max_size=60)):
        t += step
        for k in range(draw(st.sampled_from([1, 1, 1, 2, 30, 31, 127, 128]))):
            found.append((t, min(LARGEST, x + k % 3), y, p))
    return found


@settings(deadline=None)
@given(events_of_chunk(), st.sampled_from(ecf.WAYS))
def test_chunk__is_decoded_as_in_plain_python_in_each_way_of_packing(given, way):
    data = ecf.chunk(given, way)
    assert ecf.decoded(data) == given
    assert decode(data, len(given)) == (given, (len(given), kernels.WHOLE, len(data)))


@settings(deadline=None)
@given(events_of_chunk())
def test_chunk__is_encoded_in_the_shortest_of_its_ways(given):
    data = encode(given)
    assert ecf.decoded(data) == given
    assert len(data) == min(len(ecf.chunk(given, way)) for way in ecf.WAYS)


@settings(deadline=None)
@given(events_of_chunk(), st.sampled_from(ecf.WAYS), st.data())
def test_chunk__that_is_cut_or_changed_is_never_read_beyond_its_end(given, way, data):
    whole = ecf.chunk(given, way)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert decode(cut, len(given))[1][1] != kernels.WHOLE
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    # Room for fewer events than a head may state; NumPy would not notice a write beyond it.
    guarded = [np.full(len(given) + 64, 77, kind) for kind in (np.int64, "u2", "u2", "u1")]
    inside = [column[: len(given)] for column in guarded]
    n, wrong, at = kernels.decode(np.frombuffer(bytes(changed), np.uint8), *inside)
    assert all((column[len(given) :] == 77).all() for column in guarded)
    assert 0 <= at <= len(whole)
    assert wrong != kernels.WHOLE or n <= len(given)


def test_times__may_go_back_by_a_step_of_64_bits_but_are_no_longer():
    back = [(50, 1, 2, 0), (20, 3, 4, 1)]
    assert decode(ecf.chunk(back, "columns"), 2)[0] == back
    too_long = bytes([4, 0, 0, 0]) + bytes(8) + b"\xff" * 17 + b"\x01"
    assert decode(too_long, 1)[1] == (1, kernels.TOO_LONG, 28)


@pytest.mark.parametrize("threads", [1, 3])
def test_file__is_read_with_its_triggers_a_short_last_chunk_and_chunks_without_the_filter(
    tmp_path, threads
):
    made = some_rows(64 * 7 + 11)
    path = ecf.metavision(tmp_path / "m.hdf5", made, TRIGGERS, skipped={3, 7})
    with open_recording(path, threads=threads) as recording:
        assert isinstance(recording, EcfRecording)
        assert (recording.sensor, recording.format) == (Sensor(6, 8), "hdf5-records")
        assert (recording.t_offset, recording.n_expected) == (made[0][0], len(made))
        assert rows(recording) == made
        assert marks(recording) == TRIGGERS
        assert len(rows(recording)) == len(made)  # again, from the beginning


def test_last_chunk__may_be_written_whole(tmp_path):
    made = some_rows(64 + 5)
    filled = made[64:] + [made[-1]] * 59
    path = ecf.metavision(
        tmp_path / "m.hdf5", made, edit=lambda k, data: ecf.chunk(filled, "columns") if k else data
    )
    with open_recording(path) as recording:
        assert rows(recording) == made


@pytest.mark.parametrize("skipped", [(), {4, 9}])
def test_range_of_time__reads_the_chunks_that_it_is_in_alone(tmp_path, monkeypatch, skipped):
    made = some_rows(64 * 20 + 3)
    path = ecf.metavision(tmp_path / "m.hdf5", made, TRIGGERS, skipped=skipped)
    with open_recording(path, threads=1) as recording:
        read = []
        decoded = recording._events.decoded
        monkeypatch.setattr(
            recording._events,
            "decoded",
            lambda first, stop, sensor: read.append((first, stop)) or decoded(first, stop, sensor),
        )
        since = [t - recording.t_offset for t, *_ in made]
        edges = sorted(
            {0, 1, since[-1], since[-1] + 1, *since[::97], *(since[k] for k in range(0, 1283, 64))}
        )
        for start in edges[::3]:
            for stop in edges[::4]:
                read.clear()
                got = read_events(recording, start, stop, threads=1)
                assert len(got) == sum(start <= t < stop for t in since)
                for first, last in read:
                    lowest, highest = since[first * 64], since[min(last * 64, len(since)) - 1]
                    assert highest >= start or last * 64 >= len(since) or since[last * 64] >= start
                    assert lowest < stop
        assert len(read_events(recording, None, since[200], threads=1)) == since.index(since[200])


def counting_from_0(k: int, data: bytes) -> bytes:
    """Return a chunk that says its first time as a step from 0."""
    first = int.from_bytes(data[4:12], "little")
    nibbles = bytes(0xF0 | first >> shift & 15 for shift in range(0, 64, 4))
    return data[:4] + bytes(8) + nibbles + b"\x00" * (k % 3) + data[12:]


def test_range_of_time__is_found_where_chunks_count_from_another_time(tmp_path):
    made = some_rows(64 * 20 + 3)
    path = ecf.metavision(tmp_path / "m.hdf5", made, edit=counting_from_0)
    with open_recording(path) as recording:
        assert rows(recording) == made
        since = [t - recording.t_offset for t, *_ in made]
        for start, stop in ((since[300], since[500]), (since[64], since[65] + 1), (0, since[-1])):
            got = read_events(recording, start, stop)
            assert len(got) == sum(start <= t < stop for t in since)
        assert [recording._events.first_us(k) for k in range(21)] == [t for t, *_ in made[::64]]


def test_reading__that_mends_is_that_of_a_whole_pass_in_a_range_too(tmp_path):
    made = [(100_000 + 10 * k, k % 8, k % 6, k % 2) for k in range(192)]
    late = made.copy()
    late[64:66] = (99_950, 0, 0, 1), (99_960, 1, 1, 0)
    path = ecf.metavision(tmp_path / "late.hdf5", late)
    with open_recording(path, reading=Reading(on_disorder="sort")) as recording:
        assert recording.t_offset == 99_950
        assert rows(recording) == sorted(late, key=lambda row: row[0])
    path = ecf.metavision(
        tmp_path / "cut.hdf5", made, edit=lambda k, data: data[:20] if k == 1 else data
    )
    with open_recording(path, reading=Reading(on_damage="salvage")) as recording:
        assert len(rows(recording)) == 64
        assert len(read_events(recording, 500, 1_500)) == 14
        assert recording.repairs["damaged_bytes"] > 0
    far = ecf.metavision(
        tmp_path / "far.hdf5",
        made,
        edit=lambda k, data: data[:4] + (1 << 62).to_bytes(8, "little") + data[12:],
    )
    assert "row 0: t=4611686018427387904" in refused(far)


def test_pass__that_begins_after_closing_and_records_of_other_types_are_refused(tmp_path):
    path = ecf.metavision(tmp_path / "m.hdf5", some_rows(70))
    with open_recording(path) as recording:
        batches = recording.batches()
    with pytest.raises(UsageError, match="is closed"):
        next(batches)
    other = tmp_path / "n.hdf5"
    with h5py.File(other, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(ecf.ECF, h5py.h5z.FLAG_OPTIONAL, ())
        wide = np.dtype([("x", "<i4"), ("y", "<i4"), ("p", "<i2"), ("t", "<i8")])
        space, kind = h5py.h5s.create_simple((4,)), h5py.h5t.py_create(wide)
        h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, plist)
    assert "ECF compresses those of Metavision" in refused(other, CodingError, sensor=Sensor(6, 8))


@given(events_of_chunk())
@settings(deadline=None)
def test_first_time__of_a_chunk_is_that_of_its_first_event(given):
    data = ecf.chunk(given, "columns")
    assert first_time(data[:48]) == given[0][0]
    assert first_time(counting_from_0(1, data)[:48]) == given[0][0]
    assert first_time(data[:12]) is None


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda data: data[:-3], "ends before its events do"),
        (lambda data: data[:5], "ends before its events do"),
        (lambda data: bytes([255, 255]) + data[2:], "counts more events than it has"),
        (lambda data: ecf.chunk(some_rows(63), "columns"), "has 63 events; 64 are expected"),
        (lambda data: data[:12] + b"\xff" * 40, "has a time of more than 64 bits"),
        (
            lambda data: data[:4] + (1 << 62).to_bytes(8, "little") + data[12:],
            "is not within 285 years of 0",
        ),
    ],
)
def test_damage__of_a_chunk_is_an_error_with_its_byte_and_salvaged_up_to_it(
    tmp_path, edit, problem
):
    made = some_rows(64 * 6)
    path = ecf.metavision(
        tmp_path / "m.hdf5", made, edit=lambda k, data: edit(data) if k == 4 else data
    )
    said = refused(path)
    assert problem in said and "CD/events, row 256" in said and "m.hdf5: byte " in said
    with open_recording(path, reading=Reading(on_damage="salvage")) as recording:
        assert rows(recording) == made[:256]
        assert recording.repairs["damaged_bytes"] > 0


def test_plain_chunk__that_is_cut_or_has_another_polarity_is_an_error(tmp_path):
    made = some_rows(130)
    cut = ecf.metavision(
        *(tmp_path / "cut.hdf5", made), skipped={1}, edit=lambda k, data: data[: 40 if k else None]
    )
    assert "row 64: a chunk ends before its records do" in refused(cut)

    def odd(k, data):
        records = np.frombuffer(data, ecf.RECORD).copy() if k == 1 else None
        if records is None:
            return data
        records["p"][6] = 2
        return records.tobytes()

    path = ecf.metavision(tmp_path / "odd.hdf5", made, skipped={1}, edit=odd)
    assert "row 70: polarity 2 is neither 0 nor 1" in refused(path)


def test_events_outside_or_going_back__are_handled_as_in_other_formats(tmp_path):
    outside = [*some_rows(100), (10**9, 8, 0, 1)]
    path = ecf.metavision(tmp_path / "m.hdf5", outside)
    assert "event x=8, y=0, number 100 from here, is outside the sensor" in refused(path)
    with open_recording(path, reading=Reading(on_out_of_bounds="drop")) as recording:
        assert rows(recording) == outside[:-1]
        assert recording.repairs == {"out_of_bounds_events": 1}
    late = [(100_000 + 5 * k, k % 8, k % 6, k % 2) for k in range(128)]
    late[70:73] = late[72], late[70], late[71]
    path = ecf.metavision(tmp_path / "n.hdf5", late)
    assert "is before t=" in refused(path)
    with open_recording(path, reading=Reading(on_disorder="sort")) as recording:
        assert rows(recording) == sorted(late, key=lambda row: row[0])


def test_chunk__that_is_missing_or_under_another_filter_too_is_an_error(tmp_path):
    made = some_rows(128)
    path = ecf.metavision(tmp_path / "m.hdf5", made)
    with h5py.File(path, "a") as file:
        file["CD/events"].resize(256, 0)
    assert "CD/events has no data for row 128" in refused(path)
    other = tmp_path / "n.hdf5"
    with h5py.File(other, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(ecf.ECF, h5py.h5z.FLAG_OPTIONAL, ())
        plist.set_shuffle()
        space, kind = h5py.h5s.create_simple((4,)), h5py.h5t.py_create(ecf.RECORD)
        h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, plist)
    said = refused(other, CodingError, sensor=Sensor(6, 8))
    assert "filter 36559, ECF (Prophesee)" in said and "as the only filter" in said


def test_recording__that_is_closed_in_the_middle_ends_its_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.recordings.hdf5.ecf.PIECE_ROWS", 64)
    path = ecf.metavision(tmp_path / "m.hdf5", some_rows(64 * 30))
    recording = open_recording(path, threads=3)
    events = iter(recording)
    assert len(next(events)) == 128
    recording.close()
    with pytest.raises(ValueError, match="closed"):
        next(events)
    with pytest.raises(UsageError, match="threads=0"):
        open_recording(path, threads=0)


NAMES = (
    *("dense_rows", "dense_rows_randx", "equal_rows_onepol", "full_chunk", "gaps_rows"),
    *("one", "real_evt2_100k", "sparse_random"),
)


@pytest.mark.parametrize("name", NAMES)
def test_files_of_the_vendors_codec__are_read_and_written_no_larger(tmp_path, name):
    packed = name != "real_evt2_100k"
    source = shared_file(f"recordings/ecf/{name}.hdf5{'.gz' * packed}")
    path = tmp_path / f"{name}.hdf5"
    path.write_bytes(gzip.decompress(source.read_bytes()) if packed else source.read_bytes())
    with np.load(shared_file("recordings/ecf/truth.npz")) as truth:
        expected = [truth[f"{name}/{column}"] for column in "txyp"]
    with open_recording(path) as recording:
        got = read_events(recording)
        assert np.array_equal(got.t + recording.t_offset, expected[0])
        for column, values in zip("xyp", expected[1:], strict=True):
            assert np.array_equal(getattr(got, column), values)
        if name == "gaps_rows":  # refused: its index would have millions of entries
            return
        written = tmp_path / "written.hdf5"
        write_metavision(recording, written)
    assert written.stat().st_size <= path.stat().st_size
    with h5py.File(path) as theirs, h5py.File(written) as ours:
        same_layout(theirs, ours)
        n = len(theirs["CD/indexes"])
        assert (ours["CD/indexes"][:n] == theirs["CD/indexes"][:]).all()
        assert (ours["EXT_TRIGGER/events"][:] == theirs["EXT_TRIGGER/events"][:]).all()
        assert ours["CD/indexes"].attrs["offset"] == theirs["CD/indexes"].attrs["offset"]
        assert ours.attrs["geometry"] == theirs.attrs["geometry"]


def same_layout(theirs: h5py.File, ours: h5py.File) -> None:
    for name in ("CD/events", "CD/indexes", "EXT_TRIGGER/events", "EXT_TRIGGER/indexes"):
        one, other = (file[name].id for file in (theirs, ours))
        assert one.get_type() == other.get_type(), name
        assert theirs[name].chunks == ours[name].chunks
        assert theirs[name].maxshape == ours[name].maxshape
        filters = [
            [
                each.get_create_plist().get_filter(k)[0]
                for k in range(each.get_create_plist().get_nfilters())
            ]
            for each in (one, other)
        ]
        assert filters[0] == filters[1]


# Written


def test_export__is_the_same_whatever_the_batches_and_threads_and_read_back(tmp_path):
    events = random_events(70_000, (480, 640), 3_000_000)
    store = store_of(tmp_path / "events.h5", events, t_offset=7_000)
    assert not main(["export", f"{store}", "--layout", "metavision", "-o", f"{tmp_path}/a.hdf5"])
    steps.export(store, tmp_path / "b.hdf5", "metavision", threads=3)
    written = (tmp_path / "a.hdf5").read_bytes()
    assert written == (tmp_path / "b.hdf5").read_bytes()
    with open_recording(tmp_path / "a.hdf5") as recording:
        got = read_events(recording)
        assert recording.sensor == events.sensor
        assert recording.t_offset == 7_000
    for name in "txyp":
        assert np.array_equal(getattr(got, name), getattr(events, name))
    with h5py.File(tmp_path / "a.hdf5") as file:
        index = file["CD/indexes"][:]
        t = got.t
    assert index[0].tolist() == (0, -1)
    for k, (row, ts) in enumerate(index[1:].tolist()):
        assert row == np.searchsorted(t, 2_000 * k) and ts == t[row]
    assert len(index) == t[-1] // 2_000 + 2
    cropped = store_of(tmp_path / "cropped.h5", events[500:], t_offset=7_000)
    steps.export(cropped, tmp_path / "c.hdf5", "metavision")
    with h5py.File(tmp_path / "c.hdf5") as file:
        first = 7_000 + int(events.t[500])
        assert file["CD/indexes"].attrs["offset"] == str(-first)
        assert file["CD/indexes"][:2].tolist() == [(0, -1), (0, 0)]


def test_export__keeps_triggers_and_says_what_it_cannot_hold(tmp_path):
    path = ecf.metavision(tmp_path / "m.hdf5", some_rows(200), TRIGGERS)
    assert steps.export(path, tmp_path / "n.hdf5", "metavision") == {}
    with open_recording(tmp_path / "n.hdf5") as recording:
        assert rows(recording) == some_rows(200)
        assert marks(recording) == TRIGGERS
    side = [
        Triggers(np.array([5, 7, 9]), np.array([1, -1, 0], np.int8), np.array([0, 1, 2], np.int16)),
        FrameTimes(np.array([1, 2]), np.array([3, 4])),
    ]
    store = write_store(tmp_path / "s.h5", [random_events(50), *side], Sensor(48, 64), t_offset=100)
    assert steps.export(store, tmp_path / "s.hdf5", "metavision") == {
        "triggers that are neither a rising nor a falling edge": 1,
        "frame times": 2,
    }
    with open_recording(tmp_path / "s.hdf5") as recording:
        assert marks(recording) == [(105, 1, 0), (109, 0, 2)]


def test_export__refuses_what_it_cannot_hold_and_leaves_nothing(tmp_path):
    wide = random_events(10, (4, 4_000))
    np.savez(tmp_path / "wide.npz", **{name: getattr(wide, name) for name in "txyp"})
    for layout, source, options, words in (
        ("metavision", "wide.npz", {"sensor": "4000x4"}, "hold up to 2048x2048"),
        ("metavision", ".", {}, "is a folder"),
        ("metavision", "wide.npz", {"clock": "c.tsv"}, "clock does not go with"),
    ):
        with pytest.raises((UsageError, RecordingError), match=words):
            steps.export(tmp_path / source, tmp_path / "out.hdf5", layout, **options)
    early = tmp_path / "early.npz"
    np.savez(early, t=[-5, 3], x=[0, 1], y=[0, 1], p=[0, 1])
    with pytest.raises(RecordingError, match="no times before 0"):
        steps.export(early, tmp_path / "out.hdf5", "metavision", sensor="2x2")
    (tmp_path / "out.hdf5").write_bytes(b"there")
    with pytest.raises(UsageError, match="already exists"):
        steps.export(early, tmp_path / "out.hdf5", "metavision", sensor="2x2")
    assert {path.name for path in tmp_path.iterdir()} == {"wide.npz", "early.npz", "out.hdf5"}


def test_index__goes_on_over_long_pauses(tmp_path, monkeypatch):
    monkeypatch.setattr(metavision, "INDEX_US", 2)
    made = [(100_000, 1, 1, 0), (400_000, 2, 1, 1), (400_001, 2, 1, 1)]
    path = ecf.metavision(tmp_path / "m.hdf5", made)
    with open_recording(path) as recording:
        write_metavision(recording, tmp_path / "n.hdf5")
    with h5py.File(tmp_path / "n.hdf5") as file:
        index = file["CD/indexes"][:].tolist()
    assert index == [(0, -1), (0, 0), *[(1, 300_000)] * 150_000]
