"""Event Stream: read as published, and as other readers do."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Sensor
from evreel.kernels import event_stream as kernels
from evreel.recordings import event_stream, open_recording
from evreel.recordings.open import Reading
from recordings.rows import read, written
from support import run_oracle
from support.writers import event_stream as made
from support.writers.event_stream import ATIS, DVS

SIZE = (8, 6)  # width, height
HEAD_BYTES = 20
SALVAGE = Reading(on_damage="salvage")
ROWS = [  # y is upwards, as in the file
    (5, 0, 0, 1),
    (5, 7, 5, 0),
    (131, 1, 2, 1),
    (132 + 126, 3, 2, 0),
    (400, 7, 0, 1),
    (400 + 10 * 127, 6, 5, 0),
]


def turned(rows, height: int = SIZE[1]):
    """Return rows with y from the top."""
    return [(t, x, height - 1 - y, p) for t, x, y, p in rows]


def slow(content: bytes):
    """Return events with y upwards, threshold crossings and resets: the description's tables."""
    kind, rest = content[15], list(content[HEAD_BYTES:])
    events, crossings, resets, time = [], 0, 0, 0
    while rest:
        bits = f"{rest[0]:08b}"  # MSB first
        if kind == DVS and bits[:7] == "1111111":
            resets += bits[7] == "0"
            time += 0b1111111 * (bits[7] == "1")
            rest = rest[1:]
        elif kind == ATIS and bits[:6] == "111111":
            resets += bits[6:] == "00"
            time += 0b111111 * int(bits[6:], 2)
            rest = rest[1:]
        elif len(rest) < 5:
            break
        else:
            time += int(bits[:7] if kind == DVS else bits[:6], 2)
            x, y = rest[1] + 256 * rest[2], rest[3] + 256 * rest[4]
            if kind == DVS:
                events.append((time, x, y, int(bits[7])))
            elif bits[7] == "0":
                events.append((time, x, y, int(bits[6])))
            else:
                crossings += 1
            rest = rest[5:]
    return events, crossings, resets, len(content) - len(rest)


def file(tmp_path: Path, content: bytes, name: str = "r.es") -> Path:
    return written(tmp_path, name, content)


def random_rows(n: int, seed: int, size=SIZE, stop: int = 200_000):
    """Return rows with equal times and gaps among them."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, stop, n))
    t[rng.random(n) < 0.5] = t[0]
    t.sort()
    columns = [t, *(rng.integers(0, limit, n) for limit in (*size, 2))]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_dvs__worked_by_hand(tmp_path):
    head = b"Event Stream\x02\x00\x00\x01\x40\x01\xf0\x00"  # 320 by 240
    # 3 µs, ON, x 319, y 0; then 2 overflows and 1 µs later OFF, x 0, y 239
    body = bytes([3 << 1 | 1, 0x3F, 0x01, 0, 0]) + bytes([0xFF, 0xFF, 1 << 1, 0, 0, 0xEF, 0])
    path = file(tmp_path, head + body)
    assert read(path) == ([(3, 319, 239, 1), (3 + 2 * 127 + 1, 0, 0, 0)], {})
    with open_recording(path) as recording:
        assert (recording.format, recording.sensor) == ("event_stream", Sensor(240, 320))
        assert (recording.t_offset, recording.header) == (3, "")


def test_atis__worked_by_hand(tmp_path):
    head = b"Event Stream\x02\x00\x00\x02\x40\x01\xf0\x00"
    # 3 µs, ON; then 5 overflows and a threshold crossing; 62 µs later OFF
    body = bytes([3 << 2 | 2, 0x3F, 0x01, 0, 0]) + bytes([0xFF, 0xFE, 0 << 2 | 1, 9, 0, 9, 0])
    body += bytes([62 << 2, 0, 0, 0xEF, 0])
    path = file(tmp_path, head + body)
    for _ in range(2):
        assert read(path) == (
            [(3, 319, 239, 1), (3 + 5 * 63 + 62, 0, 0, 0)],
            {"skipped_threshold_crossings": 1},
        )


def test_y__counts_from_the_bottom_in_the_file_and_from_the_top_here(tmp_path):
    path = file(tmp_path, made.stream(DVS, [(1, 0, 0, 1), (2, 0, 5, 1)]))
    assert [y for _, _, y, _ in read(path)[0]] == [5, 0]


@pytest.mark.parametrize("kind", [DVS, ATIS])
def test_writer__and_reader_agree_on_times_around_overflows(tmp_path, kind):
    longest = {DVS: 127, ATIS: 63}[kind]
    steps = [0, 0, 1, longest - 1, longest, longest + 1, 3 * longest - 1, 3 * longest, 2**20]
    rows = [(int(t), 1, 2, 1) for t in np.cumsum(steps)]
    assert read(file(tmp_path, made.stream(kind, rows))) == (turned(rows), {})


def test_times__go_beyond_31_bits_over_pieces_without_events(tmp_path):
    # Written as overflows: more bytes than are read at a time
    rows = [(7, 1, 2, 0), (7 + 3 * 63 * 12_000_000, 2, 3, 1)]
    assert rows[1][0] > 1 << 31
    assert read(file(tmp_path, made.stream(ATIS, rows))) == (turned(rows), {})


def test_resets__between_events_are_left_out_and_counted(tmp_path):
    for kind, reset in ((DVS, b"\xfe"), (ATIS, b"\xfc")):
        content = made.stream(kind, ROWS)
        at = HEAD_BYTES + 10
        path = file(tmp_path, content[:at] + reset * 5 + content[at:] + reset)
        assert read(path) == (turned(ROWS), {"skipped_reset_bytes": 6})


def test_stream__without_events_is_read(tmp_path):
    for kind in (DVS, ATIS):
        assert read(file(tmp_path, made.head(kind))) == ([], {})
        assert read(file(tmp_path, made.head(kind) + b"\xff" * 9)) == ([], {})


@settings(deadline=None, max_examples=150)
@given(
    body=st.lists(
        st.one_of(
            st.builds(
                lambda first, x, y: struct.pack("<BHH", first, x, y),
                st.integers(0, 0xFB),
                st.integers(0, 9) | st.just(65_535),
                st.integers(0, 7) | st.just(65_535),
            ),
            st.integers(0xFC, 0xFF).map(lambda byte: bytes([byte])),
        ),
        max_size=30,
    ).map(b"".join),
    kind=st.sampled_from([DVS, ATIS]),
    piece=st.integers(1, 5),
)
def test_reader__equals_the_slow_reading_in_pieces_of_any_size(tmp_path_factory, body, kind, piece):
    content = made.head(kind) + body
    path = file(tmp_path_factory.mktemp("bytes"), content)
    events, crossings, resets, stop = slow(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_stream, "PIECE_ROWS", piece)
        rows, repairs = read(path, reading=Reading("fail", "drop", "salvage"))
    inside = [row for row in events if row[1] < SIZE[0] and row[2] < SIZE[1]]
    assert rows == turned(inside)
    assert repairs == {
        "out_of_bounds_events": len(events) - len(inside),
        "damaged_bytes": len(content) - stop,
        **({"skipped_threshold_crossings": crossings} if crossings else {}),
        **({"skipped_reset_bytes": resets} if resets else {}),
    }


def test_kernel__of_no_bytes_gives_none():
    clock, tally = np.array([5]), np.zeros(5, np.int64)
    room = [np.empty(0, kind) for kind in ("i8", "u2", "u2", "u1")]
    for flags in (1, 2):
        assert kernels.decode(np.empty(0, np.uint8), flags, 8, 6, clock, *room, tally) == 0
        assert (clock.tolist(), tally.tolist()) == ([5], [0, 0, 0, 0, 1])


def test_kernel__leaves_its_bytes_and_stops_before_a_part_of_an_event():
    data = np.frombuffer(b"\xfe\xff" + made.stream(DVS, ROWS)[HEAD_BYTES:-1], np.uint8).copy()
    before = data.copy()
    clock, tally = np.zeros(1, np.int64), np.zeros(5, np.int64)
    room = [np.empty(len(data) // 5, kind) for kind in ("i8", "u2", "u2", "u1")]
    done = kernels.decode(data, 1, *SIZE, clock, *room, tally)
    assert done == len(data) - 4
    assert tally.tolist() == [len(ROWS) - 1, 0, 1, 2, 1]
    # The overflows of the cut event have been counted.
    assert clock[0] == 127 + 400 + 10 * 127
    np.testing.assert_array_equal(data, before)


# Headers


@pytest.mark.parametrize("version", [(2, 0, 0), (2, 0, 9), (2, 1, 0)])
def test_version_2__is_read(tmp_path, version):
    assert read(file(tmp_path, made.stream(DVS, ROWS, version=version)))[0] == turned(ROWS)


@pytest.mark.parametrize("version", [(1, 0, 0), (3, 1, 2)])
def test_other_version__is_an_error_that_names_it(tmp_path, version):
    path = file(tmp_path, made.head(DVS, version=version))
    with pytest.raises(UnknownFormatError, match=r"version {}\.{}\.{} of".format(*version)):
        open_recording(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(0, "generic"), (3, "display"), (4, "color"), (5, r"unknown \(5\)"), (255, r"unknown \(255")],
)
def test_other_kind_of_events__is_an_error_that_names_it(tmp_path, kind, name):
    # A generic stream has no size in its header; the rest of a file may be short.
    for content in (made.head(kind)[:16], made.head(kind) + b"\x00" * 20):
        with pytest.raises(UnknownFormatError, match=f"of the kind {name}.*DVS and ATIS") as caught:
            open_recording(file(tmp_path, content))
        assert caught.value.offset == 15


@pytest.mark.parametrize("size", [(0, 6), (8, 0)])
def test_sensor__without_pixels_is_damage(tmp_path, size):
    with pytest.raises(RecordingError, match="states a sensor of {}x{} px".format(*size)) as caught:
        open_recording(file(tmp_path, made.head(DVS, size)))
    assert caught.value.offset == 16


def test_sensor__other_than_the_given_one_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match="states a sensor of 8x6 px, but 9x6 was given"):
        open_recording(file(tmp_path, made.head(DVS)), sensor=Sensor(6, 9))


def test_class__refuses_another_format(tmp_path):
    with pytest.raises(RecordingError, match="b'Event Stream' is expected"):
        event_stream.EventStreamRecording(file(tmp_path, b"% evt 3.0\n"))


# Damage


@pytest.mark.parametrize("kind", [DVS, ATIS])
def test_file__cut_at_every_byte_gives_the_whole_events_before(tmp_path, kind):
    content = made.stream(kind, ROWS)
    for stop in range(1, len(content) + 1):
        path = file(tmp_path, content[:stop])
        if stop < HEAD_BYTES:
            with pytest.raises(RecordingError) as caught:
                open_recording(path)
            assert caught.value.offset == 0
            assert ("header's 20 bytes" in str(caught.value)) == (stop >= 12)
            continue
        events, _, _, whole = slow(content[:stop])
        assert read(path, reading=SALVAGE) == (turned(events), {"damaged_bytes": stop - whole})
        if stop > whole:
            with pytest.raises(RecordingError, match="of an event's 5 bytes") as caught:
                read(path)
            assert caught.value.offset == whole
    assert len(events) == len(ROWS)


def test_file__that_shrinks_while_it_is_read_is_damage(tmp_path):
    path = file(tmp_path, made.stream(DVS, ROWS))
    with open_recording(path) as recording:
        path.write_bytes(made.stream(DVS, ROWS[:2]))
        with pytest.raises(RecordingError, match="ends after 0 of an event's 5") as caught:
            list(recording.batches())
    assert caught.value.offset == HEAD_BYTES + 10


@pytest.mark.parametrize(
    ("x", "y", "said"), [(8, 2, "x=8, y=3"), (3, 6, "x=3, y=-1"), (3, 65_535, "x=3, y=-65530")]
)
def test_event__outside_the_sensor_is_reported_with_its_byte_or_dropped(tmp_path, x, y, said):
    content = made.stream(DVS, [(400, 1, 1, 1), (401, x, y, 1), (402, 2, 2, 0)])
    path = file(tmp_path, content)
    with pytest.raises(RecordingError, match=f"{said}, number 1 .*sensor of 8x6") as caught:
        read(path)
    assert caught.value.offset == HEAD_BYTES + 3  # after three overflows
    assert read(path, reading=Reading(on_out_of_bounds="drop")) == (
        turned([(400, 1, 1, 1), (402, 2, 2, 0)]),
        {"out_of_bounds_events": 1},
    )


def test_threshold_crossing__outside_the_sensor_is_left_out_like_any(tmp_path):
    rows = [(1, 1, 1, 1, 0), (2, 90, 90, 0, 1)]
    path = file(tmp_path, made.stream(ATIS, rows))
    assert read(path) == (turned([rows[0][:4]]), {"skipped_threshold_crossings": 1})


# Another reader and writer, in their own processes


def by_faery(script: str, *arguments: object) -> None:
    if importlib.util.find_spec("faery") is None:
        pytest.skip("needs faery (uv sync)")
    run_oracle(f"faery_{script}.py", *arguments)


@pytest.mark.parametrize("kind", [DVS, ATIS])
def test_stream__is_read_as_faery_does(tmp_path, kind):
    size = (320, 240)
    rows = random_rows(4_000, 5, size, stop=3_000_000)
    content = made.stream(kind, rows, size)
    if kind == ATIS:
        content = made.stream(ATIS, [(*row, k % 3 == 0) for k, row in enumerate(rows)], size)
        rows = [row for k, row in enumerate(rows) if k % 3]
    path = file(tmp_path, content)
    events, _ = read(path)
    assert events == turned(rows, size[1])
    by_faery("read", path, tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as columns:
        for k, name in enumerate("txyp"):
            assert columns[name].tolist() == [row[k] for row in events], name


def test_stream__that_faery_wrote_has_its_events(tmp_path):
    size = (320, 240)
    rows = random_rows(4_000, 6, size, stop=3_000_000)
    columns = dict(
        zip("txyp", (np.array(column) for column in zip(*rows, strict=True)), strict=True)
    )
    np.savez(tmp_path / "in.npz", **columns)
    by_faery("write", tmp_path / "in.npz", tmp_path / "r.es", *size)
    assert read(tmp_path / "r.es") == (rows, {})
