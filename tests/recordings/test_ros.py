"""ROS bags: what rosbags wrote is read, whatever the storage, and damage is told."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.cli.main import main
from evreel.errors import CodingError, EvreelError, RecordingError, UnknownFormatError, UsageError
from evreel.events import FrameTimes, Imu, Sensor
from evreel.kernels import ros as kernels
from evreel.recordings import open_recording
from evreel.recordings.open import Reading
from evreel.recordings.ros import bags, definitions, files, packets
from recordings.rows import marks, read, refused, rows, written
from support import bound
from support.writers import prophesee
from support.writers import ros as made
from support.writers.ros import START_S

START = START_S * 10**9
SIZE = (8, 6)  # width, height
SALVAGE = Reading(on_damage="salvage")
EVENTS = [  # ns
    (START + 5_999, 0, 0, 1),
    (START + 6_000, 7, 5, 0),
    (START + 6_000, 1, 2, 1),
    (START + 10**9 - 1, 3, 2, 0),
    (START + 10**9, 7, 0, 1),
]
WANTED = [(t // 1_000, x, y, p) for t, x, y, p in EVENTS]
MESSAGES = [made.array(EVENTS[:2]), made.array([]), made.array(EVENTS[2:])]
SIDE = [made.image(START + 7_500), made.imu(START + 8_500), made.time(START + 9_999)]


def random_events(n: int, seed: int = 0) -> list[tuple[int, int, int, int]]:
    rng = np.random.default_rng(seed)
    t = START + np.sort(rng.integers(0, 10**8, n))
    return list(
        zip(t.tolist(), *(rng.integers(0, size, n).tolist() for size in (*SIZE, 2)), strict=True)
    )


def in_us(events) -> list[tuple[int, int, int, int]]:
    return [(t // 1_000, x, y, p) for t, x, y, p in events]


@pytest.mark.parametrize("compression", ["none", "bz2", "lz4"])
@pytest.mark.parametrize("kind", [made.DVS, made.PROPHESEE])
def test_ros1__gives_the_events_that_were_written(tmp_path, compression, kind):
    said = [made.array(EVENTS[:2], kind=kind), made.array(EVENTS[2:], kind=kind)]
    path = made.bag1(tmp_path / "r.bag", said, compression)
    assert read(path) == (WANTED, {})
    with open_recording(path, format="rosbag") as recording:
        assert (recording.format, recording.sensor) == ("rosbag1", (6, 8))
        assert recording.t_offset == WANTED[0][0]
        assert recording.header == f"/dvs/events {kind}\n"


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        *(("mcap", how) for how in ("none", "message", "storage", "file")),
        *(("sqlite3", how) for how in ("none", "message", "file")),
    ],
)
def test_ros2__gives_the_events_that_were_written(tmp_path, storage, compression, version):
    path = made.bag2(tmp_path / "r", MESSAGES, storage, compression, version=version)
    assert read(path) == (WANTED, {})
    assert read(path.parent) == (WANTED, {})
    with open_recording(path) as recording:
        assert recording.format == f"rosbag2-{storage}"
        kept = {Path(file.name) for file in recording._unpacked}
        assert len(kept) == (compression == "file")
    assert not any(place.exists() for place in kept)


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
@pytest.mark.parametrize("is_ros1", [False, True])
def test_mcap__of_either_ros_is_read_in_every_form(tmp_path, compression, is_ros1):
    for chunked, summary, checksums in itertools.product((True, False), repeat=3):
        form = {"chunked": chunked, "summary": summary, "checksums": checksums}
        path = made.mcap(
            tmp_path / "r.mcap", [*MESSAGES, *SIDE], compression, is_ros1=is_ros1, **form
        )
        assert read(path) == (WANTED, {}), form
        with open_recording(path) as recording:
            assert marks(recording) == [((START + 9_999) // 1_000, -1, 0)]


def test_events__are_found_by_the_fields_of_their_definition(tmp_path):
    for k, order in enumerate(itertools.permutations(made.EVENT.splitlines())):
        event = "\n".join(order)
        text = (("dvs_msgs/msg/Event", event), (made.DVS, made.DEFINITIONS[made.DVS]))
        frame = "dvs12345"[: k % 8]
        said = [made.array(EVENTS[:1], frame=frame), made.array(EVENTS[1:], frame=frame)]
        path = made.bag1(tmp_path / f"{k}.bag", said, definitions=text)
        assert read(path)[0] == WANTED, order
        path = made.bag2(tmp_path / f"{k}", said, definitions=text)
        assert read(path)[0] == WANTED, order


def test_events__may_have_more_fields(tmp_path):
    event = f"uint8 camera\n{made.EVENT}float64 weight\n"
    text = (("dvs_msgs/msg/Event", event), (made.DVS, made.DEFINITIONS[made.DVS]))
    said = [made.array(EVENTS, camera=3, weight=0.5)]
    assert read(made.bag1(tmp_path / "r.bag", said, definitions=text))[0] == WANTED
    assert read(made.bag2(tmp_path / "r", said, definitions=text))[0] == WANTED


def test_events__with_fields_of_another_meaning_are_refused(tmp_path):
    event = made.EVENT.replace("time ts", "uint64 ts")
    text = (("dvs_msgs/msg/Event", event), (made.DVS, made.DEFINITIONS[made.DVS]))

    def make(types):
        events = [types.types["dvs_msgs/msg/Event"](1, 2, 3, True)]
        return types.types[made.DVS](made.header(types, START), 6, 8, events)

    path = made.bag1(tmp_path / "r.bag", [made.Said("/e", made.DVS, make)], definitions=text)
    said = refused(path, CodingError)
    assert "topic /e has events with fields x, y, ts, polarity; x and y as uint16, ts as a" in said


SECONDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 2**31 - 1, 2**31, 2**32 - 1]))
NANOSECONDS = st.one_of(st.integers(0, 10**9 - 1), st.sampled_from([0, 999, 1_000, 10**9]))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), SECONDS, NANOSECONDS, st.integers(0, 2)),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
    st.permutations(range(5)),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_stamped__is_decoded_as_by_the_plain_twin(events, signed, order, gap, first_gap):
    forms = "HHIIB"
    places, others = [0] * 5, [0] * 5
    size, step = 0, gap
    for field in order:  # the first event has a gap behind it, all others in front
        places[field], others[field] = size, step
        size, step = (at + struct.calcsize(forms[field]) for at in (size, step))
    size += first_gap
    data = bytearray(size + step * (len(events) - 1))
    for k, event in enumerate(events):
        at = size + (k - 1) * step if k else 0
        for field, value in enumerate(event):
            place = at + (others if k else places)[field]
            struct.pack_into(f"<{forms[field]}", data, place, value)
    last = -(1 << 40)
    wanted, sound, before = [], True, last
    for x, y, s, ns, p in events:
        if p > 1 or ns >= 10**9:
            break
        t = (s - 2**32 if signed and s >= 2**31 else s) * 10**6 + ns // 1_000
        sound = sound and t >= before and x < 8 and y < 6
        wanted.append((t, x, y, p))
        before = t
    columns = [np.full(len(events), 7, kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    content = np.frombuffer(bytes(data), np.uint8)
    layout = size, step, np.array(places), np.array(others)
    done, is_sound = kernels.stamped(content, len(events), *layout, signed, 8, 6, last, *columns)
    assert (done, is_sound) == (len(wanted), sound)
    assert list(zip(*(column[:done].tolist() for column in columns), strict=True)) == wanted
    assert content.tobytes() == bytes(data)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 9), st.integers(0, 1)
        ),
        max_size=20,
    ),
    st.integers(-(2**40), 2**40),
    st.integers(0, 999),
)
def test_mono__is_decoded_as_by_the_plain_twin(events, base, rest):
    words = [ns | x << 32 | y << 48 | p << 63 for ns, x, y, p in events]
    wanted = [(base + (rest + ns) // 1_000, x, y, p) for ns, x, y, p in events]
    columns = [np.empty(len(words), kind) for kind in (np.int64, np.uint16, np.uint16, np.uint8)]
    sound = kernels.mono(np.array(words, np.uint64), base, rest, 8, 6, -(2**50), *columns)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == wanted
    t = [event[0] for event in wanted]
    assert sound == (t == sorted(t) and all(x < 8 and y < 6 for _, x, y, _ in wanted))


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_bags__give_what_was_written_over_messages_chunks_and_pieces(tmp_path_factory, data):
    events = random_events(data.draw(st.integers(1, 60)), data.draw(st.integers(0, 99)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=5)))
    # Names of other lengths move what follows; they do not come back, as those of cameras in turns.
    names = sorted(data.draw(st.integers(0, 5)) for _ in range(len(cuts) + 1))
    said = [
        made.array(events[a:b], SIZE, frame="f" * name)
        for a, b, name in zip([0, *cuts], [*cuts, len(events)], names, strict=True)
    ]
    folder = tmp_path_factory.mktemp("r")
    paths = [
        made.bag1(folder / "r.bag", said, chunk=data.draw(st.integers(100, 2_000))),
        made.mcap(folder / "r.mcap", said, chunked=data.draw(st.booleans())),
        made.bag2(folder / "r", said, "sqlite3"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "PIECE_ROWS", data.draw(st.integers(1, 20)))
        for path in paths:
            assert read(path) == (in_us(events), {})


def test_times__before_1970_and_after_2038_are_those_of_each_ros(tmp_path):
    # In ROS 1 seconds are unsigned, which rosbags writes as the signed number of the same bits.
    late = [((4_000_000_000 - 2**32) * 10**9 + 1_999, 1, 1, 1)]
    said = read(made.bag1(tmp_path / "r.bag", [made.array(late)]))[0]
    assert said == [(4_000_000_000_000_001, 1, 1, 1)]
    early = [(-2_000_000_001, 1, 1, 1), (-1, 2, 2, 0), (0, 1, 1, 1)]
    assert read(made.bag2(tmp_path / "r", [made.array(early)]))[0] == in_us(early)


def test_part__of_a_recording_is_what_lies_in_its_time(tmp_path):
    path = made.bag1(tmp_path / "r.bag", MESSAGES + SIDE)
    with open_recording(path) as recording:
        batches = list(recording.batches(1, 10_000, side=False))
        assert [batch.t.tolist() for batch in batches] == [[1, 1]]


def test_messages__out_of_order_are_sorted_if_asked(tmp_path):
    path = made.bag1(tmp_path / "r.bag", [made.array(EVENTS[1:3]), made.array(EVENTS[:1])])
    assert "is before t=" in refused(path)
    assert read(path, reading=Reading(on_disorder="sort")) == (WANTED[:3], {"disordered_events": 1})


@pytest.mark.parametrize("length", [33, 99])
def test_messages__of_many_ms_that_changed_places_are_out_of_order_only(tmp_path, length):
    parts = [
        [(START + (k * length + at) * 10**6, 1, 1, 1) for at in range(length)] for k in range(4)
    ]
    path = made.bag2(tmp_path / "r", [made.array(parts[k]) for k in (0, 2, 1, 3)])
    assert "set on_disorder: sort, drop or clamp" in refused(path)
    wanted = [event for part in parts for event in part]
    repairs = {"disordered_events": length}
    assert read(path, reading=Reading(on_disorder="sort")) == (in_us(wanted), repairs)
    dropped = [event for part in (parts[0], parts[2], parts[3]) for event in part]
    repairs = {"dropped_late_events": length}
    assert read(path, reading=Reading(on_disorder="drop")) == (in_us(dropped), repairs)


def test_messages__that_go_back_farther_are_those_of_a_clock_that_was_reset(tmp_path):
    parts = [[(START + (at + k) * 10**6, 1, 1, 1) for k in range(20)] for at in (400, 0)]
    path = made.bag2(tmp_path / "r", [made.array(part) for part in parts])
    assert "(a reset of the clock)" in refused(path)


# Packets


def packed(version: str, words) -> bytes:
    return prophesee.packed(version, words)


@pytest.mark.parametrize(("version", "name"), [("2.0", "evt2"), ("2.1", "evt21"), ("3.0", "evt3")])
def test_packets__keep_the_state_of_words_over_messages(tmp_path, version, name):
    events = [
        (3_000_000 + t, x, y, p) for t, x, y, p in [(5, 0, 1, 1), (5, 7, 1, 0), (900, 2, 5, 1)]
    ]
    words = prophesee.ENCODERS[version].encode([*events, (3_000_950, 2, 1)])
    size = prophesee.BYTES[version]
    content = packed(version, words)
    said = [
        made.packet(content[k : k + size], START + 7_000 + k * 10**6, encoding=name)
        for k in range(0, len(content), size)
    ]
    # The packet with the first event is the one by whose stamp all times are moved.
    first = next(k for k in range(len(words)) if len(decoded(version, words[: k + 1])))
    stamp = (START + 7_000 + first * size * 10**6) // 1_000
    wanted = [(t - events[0][0] + stamp, x, y, p) for t, x, y, p in events]
    for path in (made.bag1(tmp_path / "r.bag", said), made.bag2(tmp_path / "r", said)):
        assert read(path) == (wanted, {})
        with open_recording(path) as recording:
            assert marks(recording) == [(stamp + 945, 1, 2)]


def decoded(version: str, words) -> list:
    """Return the events of words, read as a RAW file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "r.raw", prophesee.raw(version, words))
        return read(path)[0]


def test_packets__of_many_events_come_in_pieces(tmp_path, monkeypatch):
    from evreel.recordings import evt

    monkeypatch.setattr(evt, "PIECE_ROWS", 50)
    events = [(t // 1_000 - START_S * 10**6, x, y, p) for t, x, y, p in random_events(400)]
    words = prophesee.ENCODERS["3.0"].encode(events)
    parts = [words[k : k + 100] for k in range(0, len(words), 100)]
    said = [made.packet(packed("3.0", part), START) for part in parts]
    wanted = [(t - events[0][0] + START // 1_000, x, y, p) for t, x, y, p in events]
    assert read(made.bag1(tmp_path / "r.bag", said)) == (wanted, {})


def test_packets__in_mono_count_from_their_time_base(tmp_path):
    words = [ns | x << 32 | y << 48 | p << 63 for ns, x, y, p in [(300, 1, 2, 1), (900, 7, 5, 0)]]
    content = b"".join(word.to_bytes(8, "little") for word in words)
    said = [
        made.packet(content, START + 400, encoding="mono", time_base=5_000_200),
        # The camera's clock counts, not the stamp of a later message.
        made.packet(content, START + 9 * 10**9, encoding="mono", time_base=5_003_200),
    ]
    wanted = [
        (START // 1_000 + t, x, y, p)
        for t, x, y, p in [(0, 1, 2, 1), (1, 7, 5, 0), (3, 1, 2, 1), (4, 7, 5, 0)]
    ]
    for path in (made.bag1(tmp_path / "r.bag", said), made.bag2(tmp_path / "r", said, "sqlite3")):
        assert read(path) == (wanted, {})


def test_packets__in_mono_are_moved_by_the_first_one_with_events(tmp_path):
    content = (300 | 1 << 32 | 2 << 48 | 1 << 63).to_bytes(8, "little")
    said = [
        made.packet(b"", START + 10**9, encoding="mono", time_base=0),
        made.packet(content, START, encoding="mono", time_base=5_000_000),
    ]
    assert read(made.bag2(tmp_path / "r", said)) == ([(START // 1_000, 1, 2, 1)], {})


@pytest.mark.parametrize("numbers", [(5, 6, 0), (0, 0, 0)])
def test_packets__in_mono_of_a_camera_started_again_are_at_their_stamps(tmp_path, numbers):
    content = (300 | 1 << 32 | 2 << 48 | 1 << 63).to_bytes(8, "little")
    times = [(0, 5 * 10**9), (10**6, 5 * 10**9 + 10**6), (10**8, 7_000)]
    said = [
        made.packet(content, START + stamp, encoding="mono", time_base=base, seq=seq)
        for (stamp, base), seq in zip(times, numbers, strict=True)
    ]
    wanted = [((START + stamp) // 1_000, 1, 2, 1) for stamp, _ in times]
    assert read(made.bag2(tmp_path / "r", said)) == (wanted, {"clock_restarts": 1})


@pytest.mark.parametrize("encoding", ["mono", "evt3"])
def test_packets__of_a_camera_started_again_may_first_be_empty(tmp_path, encoding):
    def content(t):
        if encoding == "evt3":
            return turning(t // 1_000)
        return (1 << 32 | 2 << 48).to_bytes(8, "little")

    times = [(0, 500_000, 5), (3 * 10**9, 0, 0), (3 * 10**9 + 10**6, 10**6, 1)]
    said = [
        made.packet(
            content(base) if k != 1 else b"",
            START + stamp,
            encoding=encoding,
            time_base=base,
            seq=seq,
        )
        for k, (stamp, base, seq) in enumerate(times)
    ]
    events, repairs = read(made.bag2(tmp_path / "r", said))
    assert repairs == {"clock_restarts": 1}
    per_packet = len(events) // 2
    assert [events[0][0], events[per_packet][0]] == [
        (START + stamp) // 1_000 for stamp in (0, 3 * 10**9 + 10**6)
    ]


@pytest.mark.parametrize("encoding", ["mono", "libcaer", "libcaer_cmp", "evt2", "evt21", "evt3"])
def test_packets__that_are_missing_are_counted_in_every_encoding(tmp_path, encoding):
    content = bytes(8) if encoding in ("mono", "libcaer") else b""
    said = [
        made.packet(content, START + k, encoding=encoding, seq=seq, time_base=START)
        for k, seq in enumerate((3, 4, 8, 9, 11))
    ]
    with open_recording(made.bag2(tmp_path / "r", said)) as recording:
        for _ in recording.batches():
            pass
        assert recording.repairs["lost_packets"] == 4


def test_packets__in_libcaer_may_have_late_events(tmp_path):
    def content(*times):
        return b"".join((1 | 1 << 1 | t << 32).to_bytes(8, "little") for t in times)

    sorting = Reading(on_disorder="sort")
    for name, times, wanted in (
        ("late", (50, 47, 60), (47, 50, 60)),
        ("wrap", (2**31 - 5, 1, 2**31 - 3, 4), (2**31 - 5, 2**31 - 3, 2**31 + 1, 2**31 + 4)),
    ):
        said = made.packet(content(*times), START, encoding="libcaer", time_base=START)
        path = made.bag2(tmp_path / name, [said])
        events, repairs = read(path, reading=sorting)
        assert [t - START // 1_000 for t, *_ in events] == list(wanted)
        assert repairs == {"disordered_events": 1}


def test_packets__in_libcaer_wrap_within_a_message(tmp_path):
    def word(t, x, y, p):
        return (1 | p << 1 | y << 2 | x << 17 | t << 32).to_bytes(8, "little")

    content = word(2**31 - 1, 1, 2, 1) + word(0, 7, 5, 0) + word(3, 0, 0, 1)
    path = made.bag1(
        tmp_path / "r.bag",
        [made.packet(content, START, encoding="libcaer", time_base=START + 500)],
    )
    first = START // 1_000 + 2**31 - 1
    assert read(path)[0] == [(first, 1, 2, 1), (first + 1, 7, 5, 0), (first + 4, 0, 0, 1)]


def by_libcaer(words, base: int):
    """Return the events of words of ``libcaer_cmp``, and the first that does not exist."""
    events, high, low, x, row, p = [], 0, 0, 0, 0, 0
    for k, word in enumerate(words):
        kind, bits = f"{word:016b}"[:4], f"{word:016b}"[4:]
        if kind == "0000":
            high = int(bits, 2)
        elif kind == "0001":
            low = int(bits, 2)
        elif kind == "0010":
            x = int(bits[1:], 2)
        elif kind == "0011":
            events.append((base + 4_096 * high + low, x, int(bits[1:], 2), int(bits[0])))
        elif kind == "0100":
            row, p = int(bits[1:], 2), int(bits[0])
        elif kind == "0101":
            for bit in range(8):
                if bits[11 - bit] == "1":
                    events.append((base + 4_096 * high + low, x, row + bit, p))
            row += 8
        else:
            return events, k
    return events, len(words)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda kind, low: kind << 12 | low, st.integers(0, 5), st.integers(0, 4095)),
            st.integers(0, 0xFFFF),
        ),
        max_size=30,
    ),
    st.integers(-(2**40), 2**40),
    st.integers(8, 30),
)
def test_libcaer_cmp__is_decoded_as_by_the_plain_twin(words, base, rows_at_once):
    wanted, whole = by_libcaer(words, base)
    given_words, state = np.array(words, np.uint16), np.zeros(kernels.STATE_SIZE, np.int64)
    kinds = (np.int64, np.uint16, np.uint16, np.uint8)
    found, done = [], 0
    while done < len(words) and not state[kernels.FAULT]:
        columns = [np.empty(rows_at_once, kind) for kind in kinds]
        done += kernels.libcaer(given_words[done:], base, state, *columns)
        n = state[kernels.ROWS]
        found += zip(*(column[:n].tolist() for column in columns), strict=True)
    assert (found, done) == (wanted, whole)
    assert given_words.tolist() == words


def test_packets__in_libcaer_cmp_take_memory_for_a_piece_of_their_events(tmp_path, monkeypatch):
    monkeypatch.setattr(packets, "PIECE_ROWS", 20)
    words = [0x0001, 0x2003, 0x4000] + [0x50FF, 0x4001] * 100
    content = struct.pack(f"<{len(words)}H", *words)
    said = made.packet(content, START, (8, 16), encoding="libcaer_cmp", time_base=START)
    with open_recording(made.bag2(tmp_path / "r", [said])) as recording:
        sizes = [len(batch.t) for batch in recording.batches()]
    assert (sum(sizes), max(sizes)) == (800, 16)
    wanted = [(START // 1_000 + 4_096, 3, k + (i > 0), 0) for i in range(100) for k in range(8)]
    assert read(tmp_path / "r") == (wanted, {})


def test_packets__in_libcaer_cmp_begin_anew_with_each_time_base(tmp_path):
    def content(*words):
        return b"".join(word.to_bytes(2, "little") for word in words)

    first = content(0x0001, 0x1002, 0x2003, 0x3804, 0x4000, 0x5022)
    second = content(0x1007, 0x3005)  # in the column of the message before
    said = [
        made.packet(first, START, encoding="libcaer_cmp", time_base=START + 999),
        made.packet(second, START, encoding="libcaer_cmp", time_base=START + 5_000_000),
        made.packet(content(0x9000), START, encoding="libcaer_cmp", time_base=START),
    ]
    wanted = [
        (START // 1_000 + t, x, y, p)
        for t, x, y, p in [(4_098, 3, 4, 1), (4_098, 3, 1, 0), (4_098, 3, 5, 0), (5_007, 3, 5, 0)]
    ]
    assert read(made.bag2(tmp_path / "r", said[:2])) == (wanted, {})
    path = made.bag2(tmp_path / "d", said)
    assert "has word 0x9000, number 0 of it, which does not exist" in refused(path)
    assert read(path, reading=SALVAGE)[0] == wanted


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"encoding": "evt4"}, "events in encoding 'evt4'; evt2, evt21, evt3, mono, libcaer, "),
        ({"big": True}, "has big-endian events"),
    ],
)
def test_packets__in_another_encoding_are_refused_by_every_reading(tmp_path, fields, said):
    path = made.bag2(tmp_path / "r", [made.packet(bytes(16), START, **fields)])
    for reading in (Reading(), SALVAGE):
        assert said in refused(path, CodingError, reading=reading)


def test_packets__with_half_a_word_or_an_unknown_one_are_damaged(tmp_path):
    good = made.packet(packed("3.0", prophesee.ENCODERS["3.0"].encode([(5, 1, 1, 1)])), START)
    for content, said in (
        (b"123", "has 3 bytes of events, which are words of 2 bytes"),
        (b"\x00\x90", "has word 0x9000, number 0 of it, which does not exist"),
    ):
        path = made.bag1(tmp_path / "r.bag", [good, made.packet(content, START)])
        assert said in refused(path)
        events, repairs = read(path, reading=SALVAGE)
        assert events == [(START // 1_000, 1, 1, 1)]
        assert 0 < repairs["damaged_bytes"] < path.stat().st_size
        path.unlink()


SECOND = 1_000_000


def turning(at: int, span: int = 1 << 24) -> bytes:
    """Return words of EVT 3.0 of three events, 10 µs apart, of a clock that began at 0 µs."""
    t = at % span
    return packed(
        "3.0", prophesee.ENCODERS["3.0"].encode([(t + 10 * k, k, 2, 1) for k in range(3)])
    )


def at_times(*starts: int) -> list:
    return [(START // 1_000 + at + 10 * k, k, 2, 1) for at in starts for k in range(3)]


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("pause", [0.3, 1, 1.06, 4, 6, 16.7, 16.8, 20, 60, 3_600])
def test_packets__keep_the_time_over_a_pause(tmp_path, pause, counts):
    begin = 16 * SECOND  # the clock of 16.78 s begins again soon
    pause = round(pause * SECOND)
    starts = [0, 300_000, 600_000, 600_000 + pause, 900_000 + pause]
    said = [
        made.packet(turning(begin + at), START + 1_000 * at + late, seq=number if counts else 0)
        for at, number, late in zip(starts, [0, 1, 2, 9, 10], [0, 4_000, 0, 7_000, 0], strict=True)
    ]
    path = made.bag2(tmp_path / "r", said)
    assert read(path) == (at_times(*starts), {"lost_packets": 6} if counts else {})


@pytest.mark.parametrize("counts", [True, False])
def test_packets__of_a_camera_started_again_are_at_their_stamps(tmp_path, counts):
    starts = [0, 1_000, 5 * SECOND, 5 * SECOND + 1_000]
    clock = [7 * SECOND, 7 * SECOND + 1_000, 20_000, 21_000]
    said = [
        made.packet(turning(t), START + 1_000 * at, seq=number if counts else 0)
        for at, t, number in zip(starts, clock, [40, 41, 0, 1], strict=True)
    ]
    assert read(made.bag2(tmp_path / "r", said)) == (at_times(*starts), {"clock_restarts": 1})


def test_packets__that_follow_keep_their_clock_when_the_other_is_set(tmp_path):
    said = [
        made.packet(turning(at), START + 1_000 * stamp, seq=k)
        for k, (at, stamp) in enumerate([(0, 0), (1_000, 1_000), (2_000, 5 * SECOND)])
    ]
    assert read(made.bag2(tmp_path / "r", said)) == (at_times(0, 1_000, 2_000), {})


def test_packets__after_missing_ones_wait_for_their_row_and_time(tmp_path):
    def content(*words):
        return struct.pack(f"<{len(words)}H", *words)

    first = content(0x8001, 0x6005, 3, 0x2003)
    second = content(0x6009, 5)  # a later time and another row
    third = content(0x2005, 0x3801, 0x4001)
    fourth = content(0x2006, 0x8001, 0x600A, 0x2007, 4, 0x2001)
    said = [
        made.packet(words, START + 4_000 * k, seq=k)
        for k, words in enumerate((first, second, third, fourth))
    ]
    one = (START // 1_000, 3, 3, 0)
    late = [(START // 1_000 + 4, 5, 5, 0), (START // 1_000 + 4, 1, 5, 1)]
    last = (START // 1_000 + 5, 1, 4, 0)
    same = [(late[0][0], 6, 5, 0), (last[0], 7, 5, 0), last]
    assert read(made.bag2(tmp_path / "r", said)) == ([one, *late, *same], {})
    said.pop(1)
    counts = {"lost_packets": 1, "skipped_unplaced_words": 4}
    assert read(made.bag2(tmp_path / "gap", said)) == ([one, last], counts)


@pytest.mark.parametrize("jitter", [0, 8_000])
def test_packets__that_come_late_are_not_lost(tmp_path, jitter):
    starts = [0, 1_000, 3_000, 2_000, 4_000]
    said = [
        made.packet(turning(at), START + 1_000 * (at + late), seq=at // 1_000)
        for at, late in zip(starts, [0, 0, 0, jitter, 0], strict=True)
    ]
    path = made.bag2(tmp_path / "r", said)
    assert read(path, reading=Reading(on_disorder="sort")) == (
        at_times(*sorted(starts)),
        {"disordered_events": 3},
    )


@pytest.mark.parametrize("number", [2**64 - 1, 2**63])
def test_packets__with_a_number_that_is_no_count_are_of_a_camera_started_again(tmp_path, number):
    said = [
        made.packet(turning(at), START + 1_000 * at, seq=seq) for at, seq in ((0, 0), (90, number))
    ]
    assert read(made.bag2(tmp_path / "r", said)) == (at_times(0, 90), {"clock_restarts": 1})


def test_packets__that_begin_with_damage_keep_the_events_before_it(tmp_path):
    said = [made.packet(turning(0) + b"\x00\x90" + turning(90), START)]
    path = made.bag1(tmp_path / "r.bag", said)
    assert "has word 0x9000, number" in refused(path)
    events, repairs = read(path, reading=SALVAGE)
    assert events == at_times(0)
    assert repairs["damaged_bytes"] > 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"encoding": "mono"}, "has events in encoding 'mono' after those in encoding 'evt3'"),
        ({"big": True}, "has events in encoding 'evt3', big-endian after those in encoding 'evt3'"),
    ],
)
def test_packets__that_change_their_encoding_are_refused(tmp_path, fields, said):
    later = made.packet(turning(0), START + 10**6, **fields)
    for path in (
        made.bag1(tmp_path / "r.bag", [made.packet(turning(0), START), later]),
        made.bag2(tmp_path / "r", [made.packet(turning(0), START), later]),
    ):
        for reading in (Reading(), SALVAGE):
            assert f"topic /event_camera/events {said}" in refused(
                path, CodingError, reading=reading
            )


def test_packets__with_a_wrong_event_are_named_by_their_own_message(tmp_path, monkeypatch):
    def packet(k, *rows):
        words = prophesee.ENCODERS["3.0"].encode([(10 * k, *row) for row in rows])
        return made.packet(packed("3.0", words), START + 10_000 * k, seq=k)

    good = [packet(k, (1, 1, 1), (2, 2, 0)) for k in range(4)]
    said = [*good, packet(4, (1, 1, 1), (2, 2, 1), (8, 1, 1)), packet(5, (1, 1, 1))]
    path = made.bag2(tmp_path / "r", said, "sqlite3")
    for small in (packets._SMALL_BYTES, -1):
        monkeypatch.setattr(packets, "_SMALL_BYTES", small)
        assert "message 5: event x=8, y=1, number 2 from here, is outside" in refused(path)
    late = [*good, packet(2, (1, 1, 1)), packet(5, (1, 1, 1))]
    said = refused(made.bag2(tmp_path / "l", late, "sqlite3"))
    assert "message 5: event t=" in said
    assert "number 0 from here, is before" in said


def random_messages(seed: int) -> list:
    """Return messages of one topic: in each, a fault of some kind is not likely."""
    rng = np.random.default_rng(seed)
    at, said, number = 0, [], 0
    is_array = seed % 3 == 0
    for _ in range(rng.integers(2, 30)):
        at += int(rng.choice([100, 2_000, 700_000, 20 * SECOND], p=[0.5, 0.4, 0.05, 0.05]))
        number += int(rng.choice([1, 1, 1, 3]))
        n = int(rng.integers(0, 9))
        t = np.sort(rng.integers(0, 100, n)).tolist()
        wrong = rng.random() < 0.03
        pixels = [(int(rng.integers(9 if wrong else 8)), int(rng.integers(6))) for _ in t]
        events = [
            (at + one, *pixel, k % 2) for k, (one, pixel) in enumerate(zip(t, pixels, strict=True))
        ]
        if is_array:
            frame = "dvs" if rng.random() < 0.98 else "other"
            said.append(
                made.array([(START + 1_000 * one[0], *one[1:]) for one in events], frame=frame)
            )
            continue
        span = 1 << 24
        words = [prophesee.ENCODERS["3.0"].encode([(one[0] % span, *one[1:])]) for one in events]
        words.append([0xA101] if rng.random() < 0.2 else [])
        content = b"".join(packed("3.0", part) for part in words)
        content += b"\x00\x90" if rng.random() < 0.02 else b"\0" * (rng.random() < 0.02)
        size = SIZE if rng.random() < 0.98 else (9, 9)
        said.append(made.packet(content, START + 1_000 * at, size, seq=number))
        if rng.random() < 0.1:
            said.append(made.imu(START + at, topic="/event_camera/imu"))
    return said


def outcome(path: Path, reading: Reading, threads: int | None = None):
    """Return all that reading a bag gives, or its error."""
    try:
        with open_recording(path, reading=reading, threads=threads) as recording:
            found, times = rows(recording), marks(recording)
            side = [len(batch) for batch in recording.batches() if isinstance(batch, Imu)]
            return found, times, side, dict(recording.repairs)
    except EvreelError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(24))
def test_messages__decoded_together_are_read_as_if_each_came_alone(tmp_path, monkeypatch, seed):
    path = made.bag1(tmp_path / "r.bag", random_messages(seed))
    readings = Reading(), Reading(on_damage="salvage", on_out_of_bounds="drop")
    monkeypatch.setattr(packets, "PIECE_ROWS", [1 << 17, 5, 30][seed // 3 % 3])
    together = [outcome(path, reading) for reading in readings]
    monkeypatch.setattr(packets, "_SMALL_BYTES", -1)
    assert together == [outcome(path, reading) for reading in readings]


@pytest.mark.parametrize("storage", ["bz2", "lz4", "mcap lz4", "mcap zstd"])
def test_chunks__are_read_alike_by_any_number_of_threads(tmp_path, monkeypatch, storage):
    said = [made.array([event]) for event in random_events(40)]
    if storage.startswith("mcap"):
        path = made.mcap(tmp_path / "r.mcap", said, storage[5:], per_chunk=2)
    else:
        path = made.bag1(tmp_path / "r.bag", said, storage, chunk=60)
    whole = outcome(path, Reading(), 1)
    assert len(whole[0]) == 40
    rng = np.random.default_rng(1)
    content = path.read_bytes()
    files = [path]
    for k in range(8):
        damaged = bytearray(content)
        damaged[rng.integers(len(content) // 4, len(content))] ^= 1 << rng.integers(8)
        stop = len(content) if k % 3 else rng.integers(len(content) // 4, len(content))
        files.append(written(tmp_path, f"d{k}{path.suffix}", bytes(damaged[:stop])))
    seen = set()
    for file, reading in itertools.product(files, (Reading(), SALVAGE)):
        alone = outcome(file, reading, 1)
        seen.add(alone if isinstance(alone, str) else len(alone[0]))
        for threads, most in ((2, bags.AHEAD_LIMIT), (3, 100)):
            with monkeypatch.context() as patched:
                patched.setattr(bags, "AHEAD_LIMIT", most)
                assert outcome(file, reading, threads) == alone
    assert len(seen) > 4
    assert {thread.name for thread in threading.enumerate()} == {"MainThread"}


def test_chunks__that_unpack_to_more_than_they_state_are_not_unpacked_ahead(tmp_path):
    huge = made.array([], frame="0" * (bags.AHEAD_LIMIT + 1))
    for path in (
        made.bag1(tmp_path / "r.bag", [*MESSAGES[:1], huge, *MESSAGES[1:]], "bz2", chunk=60),
        made.mcap(tmp_path / "r.mcap", [*MESSAGES[:1], huge, *MESSAGES[1:]], "zstd", per_chunk=1),
    ):
        with open_recording(path, threads=2) as recording:
            file = recording._files[0].bag
            kept: list[int] = []
            whole = file._content_of

            def content_of(chunk, most=None, whole=whole, kept=kept):
                content = whole(chunk, most)
                kept.append(len(content) if most else 0)
                return content

            file._content_of = content_of
            assert rows(recording) == WANTED
        assert kept
        assert max(kept) <= bags.AHEAD_LIMIT
        assert 0 in kept[1:]


def test_packets__that_change_to_no_encoding_are_damaged(tmp_path):
    damaged = made.packet(turning(0), START + 10**6, encoding="evu3")
    path = made.bag2(tmp_path / "r", [made.packet(turning(0), START), damaged])
    assert "has events in encoding 'evu3', which cannot be read" in refused(path)
    assert read(path, reading=SALVAGE)[0] == at_times(0)


# Topics


def two_cameras(tmp_path: Path) -> Path:
    said = []
    for k, name in enumerate(("/left", "/right")):
        said += [
            made.array([EVENTS[k]], topic=f"{name}/events"),
            made.imu(START + k, topic=f"{name}/imu"),
            made.image(START + 1_000 * k, topic=f"{name}/image_raw"),
        ]
    return made.bag1(tmp_path / "two.bag", said)


def in_turns(kind: str, name: str, turns: str) -> list:
    """Return messages of cameras, a letter for each, told apart by frame or by who sent them."""
    said = []
    for k, camera in enumerate(turns):
        frame = camera if name == "frame" else "dvs"
        at = START + 1_000_000 * k
        if kind == "array":
            one = made.array([(at, 1, 1, 1)], frame=frame)
        else:
            one = made.packet(turning(1_000 * k), at, frame=frame)
        said.append(one if name == "frame" else one._replace(caller=f"/{camera}"))
    return said


@pytest.mark.parametrize("name", ["frame", "caller"])
@pytest.mark.parametrize("kind", ["array", "packet"])
def test_topic__of_several_cameras_in_turns_is_refused(tmp_path, kind, name):
    path = made.bag1(tmp_path / "r.bag", in_turns(kind, name, "lrlr"))
    for reading in (Reading(), SALVAGE):
        said = refused(path, CodingError, reading=reading)
        assert "has messages of several cameras in turns, of 2 publishers and frames (" in said
    if name == "frame":
        assert "(l, r)" in refused(made.bag2(tmp_path / "r", in_turns(kind, name, "lrlr")))
    many = made.bag1(tmp_path / "many.bag", in_turns(kind, name, "abcdefghi"))
    assert "of 9 publishers and frames" in refused(many, CodingError)
    with open_recording(made.bag1(tmp_path / "again.bag", in_turns(kind, name, "llrr"))) as again:
        assert len(rows(again)) == (4 if kind == "array" else 12)


def test_several_topics__are_listed_unless_one_is_named(tmp_path):
    path = two_cameras(tmp_path)
    for stream, why in ((None, "none is chosen"), ("/up", "/up is not one"), (1, "1 is not one")):
        with pytest.raises(UsageError, match=f"events are /left/events, /right/events; {why}"):
            open_recording(path, stream=stream)
    for k, name in enumerate(("/left/events", "right/events")):
        assert read(path, stream=name)[0] == [WANTED[k]]


@pytest.mark.parametrize(
    ("stream", "meant"),
    [("/left/event", "/left/events"), ("rigth/events", "/right/events"), ("/imu", None)],
)
def test_topic__that_is_misspelt_is_guessed(tmp_path, stream, meant):
    with pytest.raises(UsageError) as told:
        open_recording(two_cameras(tmp_path), stream=stream)
    guess = f"Did you mean {meant!r}? " if meant else ""
    assert f"{stream} is not one of them. {guess}Give the name of one as stream" in str(told.value)


def test_side_streams__are_those_of_the_cameras_namespace(tmp_path):
    with open_recording(two_cameras(tmp_path), stream="/right/events") as recording:
        side = {type(batch): batch for batch in recording.batches()}
        frames = side[FrameTimes].exposure_start_us + recording.t_offset
        assert frames.tolist() == [START // 1_000 + 1]
        assert np.array_equal(side[FrameTimes].exposure_stop_us, side[FrameTimes].exposure_start_us)
        assert len(side[Imu]) == 1


@pytest.mark.parametrize("name", ["/", ""])
def test_side_streams__of_a_camera_without_a_namespace_may_have_any(tmp_path, name):
    said = [made.array(EVENTS, topic=f"{name}events"), made.imu(START, topic=f"{name}rig/imu")]
    with open_recording(made.bag1(tmp_path / "r.bag", said)) as recording:
        assert [type(batch) for batch in recording.batches()][1:] == [Imu]


def test_topics__of_a_camera_named_after_its_triggers_have_events(tmp_path):
    said = [made.array(EVENTS, topic="/trigger/events"), made.time(START + 3_999, "/trigger/t")]
    with open_recording(made.bag1(tmp_path / "r.bag", said)) as recording:
        assert rows(recording) == WANTED
        assert marks(recording) == [(START // 1_000 + 3, -1, 0)]


def test_events__that_are_late_or_outside_are_named_by_their_own_message(tmp_path, monkeypatch):
    first = [made.array(EVENTS[:2]), made.array(EVENTS[2:])]
    for k, t in enumerate((EVENTS[-1][0] - 9_000, EVENTS[0][0])):  # a late one, and a jump
        late = [*first, made.array([EVENTS[-1], (t, 0, 0, 1)])]
        path = made.bag2(tmp_path / f"l{k}", late, "sqlite3")
        for rows_of_a_piece in (1 << 17, 3):
            monkeypatch.setattr(packets, "PIECE_ROWS", rows_of_a_piece)
            said = refused(path)
            assert "l" + f"{k}.db3: message 3: " in said
            assert f"event t={t // 1_000} µs, number 1 from here, is " in said
    outside = [*first, made.array([*EVENTS[-1:], (EVENTS[-1][0], 8, 0, 1)])]
    path = made.bag2(tmp_path / "o", outside, "sqlite3")
    assert "message 3: event x=8, y=0, number 1 from here, is outside" in refused(path)


def test_topics__of_the_same_name_but_for_slashes_are_told_apart(tmp_path):
    said = [made.array(EVENTS[:2], topic="/events"), made.array(EVENTS[2:], topic="events")]
    path = made.bag1(tmp_path / "r.bag", said)
    assert read(path, stream="/events")[0] == WANTED[:2]
    assert read(path, stream="events")[0] == WANTED[2:]


def test_topics__with_trigger_in_their_name_have_events_if_they_are_asked_for(tmp_path):
    said = [made.array(EVENTS, topic="/dvs/triggered"), made.time(START + 3_999)]
    path = made.bag1(tmp_path / "r.bag", said)
    assert "has no topic of events" in refused(path)
    with open_recording(path, stream="dvs/triggered") as recording:
        assert rows(recording) == WANTED
        assert marks(recording) == [(START // 1_000 + 3, -1, 0)]


OTHER = "faults_msgs/msg/EventArray"


def fault(topic: str) -> made.Said:
    """Return a message whose type only has the name of one of events."""
    return made.Said(topic, OTHER, lambda types: types.types[OTHER](7, "hot"))


@pytest.mark.parametrize("topic", ["/robot/faults", "/dvs/faults", "/dvs/trigger_faults"])
def test_topics__of_another_type_of_that_name_are_left_out(tmp_path, topic):
    said = [fault(topic), *MESSAGES]
    text = [(OTHER, "uint8 code\nstring mode\n")]
    path = made.bag1(tmp_path / "r.bag", said, definitions=text)
    skipped = {"skipped_side_topics": 1} if "trigger" in topic else {}
    with open_recording(path) as recording:
        list(recording.batches())
        assert recording.repairs == skipped
        assert rows(recording) == WANTED
    only = made.bag1(tmp_path / "o.bag", said[:1], definitions=text)
    if "trigger" not in topic:
        assert "has fields code, mode, which are not those of events" in refused(only)


def test_side_streams__have_a_topic_that_can_be_read_rather_than_one_that_cannot(tmp_path):
    said = [fault("/dvs/trigger"), made.time(START + 3_999, "/dvs/z/trigger"), *MESSAGES]
    text = [(OTHER, "uint8 code\nstring mode\n")]
    with open_recording(made.bag1(tmp_path / "r.bag", said, definitions=text)) as recording:
        assert marks(recording) == [(START // 1_000 + 3, -1, 0)]
        assert recording.repairs == {"skipped_side_topics": 1}


def test_side_streams__leave_out_messages_that_cannot_be_read(tmp_path):
    path = made.bag2(tmp_path / "r", [*MESSAGES, *SIDE, SIDE[0]], "sqlite3")
    with sqlite3.connect(path) as base:
        ((data,),) = base.execute("SELECT data FROM messages WHERE id = 4").fetchall()
        for number, wrong in ((4, b"\0\0" + data[2:]), (5, data[:30])):
            base.execute("UPDATE messages SET data = ? WHERE id = ?", (wrong, number))
    with open_recording(path) as recording:
        kinds = [type(batch) for batch in recording.batches()]
        assert kinds.count(FrameTimes) == 1
        assert Imu not in kinds
        assert recording.repairs == {"skipped_side_messages": 2}
        assert rows(recording) == WANTED


def test_bag__without_a_message_of_its_events_says_so(tmp_path):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute("DELETE FROM messages")
    assert "has no messages of topic /dvs/events" in refused(path, UnknownFormatError)


def test_side_streams__of_one_kind_are_the_raw_images_nearest_to_the_events(tmp_path):
    names = ("/dvs/drawn", "/dvs/image_raw", "/dvs/a/image_raw")
    said = [
        made.image(START + t, name) for t, name in zip((1_000, 5_000, 9_000), names, strict=True)
    ]
    with open_recording(made.bag1(tmp_path / "r.bag", MESSAGES + said)) as recording:
        (frames,) = (batch for batch in recording.batches() if isinstance(batch, FrameTimes))
        assert (frames.exposure_start_us + recording.t_offset).tolist() == [START // 1_000 + 5]


def test_imu__is_in_g_and_degrees_and_nan_where_it_is_not_measured(tmp_path):
    said = [*MESSAGES, made.imu(START + 1_999), made.imu(START + 5_000, rotation=None)]
    for path in (made.bag1(tmp_path / "r.bag", said), made.bag2(tmp_path / "r", said)):
        with open_recording(path) as recording:
            (imu,) = (batch for batch in recording.batches() if isinstance(batch, Imu))
            assert (imu.t + recording.t_offset - START // 1_000).tolist() == [1, 5]
        assert imu.accelerometer[0].tolist() == pytest.approx([0, 1, -1 / 9.80665])
        assert imu.gyroscope[0].tolist() == pytest.approx([57.29578, 114.59156, 171.88734])
        assert np.isnan(imu.gyroscope[1]).all()
        assert np.isnan(imu.magnetometer).all()
        assert np.isnan(imu.temperature).all()


@pytest.mark.parametrize("kind", [made.time, made.reference])
def test_triggers__are_the_times_of_topics_of_that_name(tmp_path, kind):
    said = [*MESSAGES, kind(START + 3_999), kind(START + 8_000, "/dvs/reset")]
    for path in (made.bag1(tmp_path / "r.bag", said), made.mcap(tmp_path / "r.mcap", said)):
        with open_recording(path) as recording:
            assert marks(recording) == [(START // 1_000 + 3, -1, 0)]


def test_triggers__in_packets_of_their_own_are_by_the_clock_of_events_in_mono(tmp_path):
    def mono(at, late, *, encoding="mono", topic="/dvs/events", base=7_000_000):
        content = (500 | 1 << 32 | 2 << 48 | 1 << 63).to_bytes(8, "little")
        stamp = START + at + late
        return made.packet(content, stamp, encoding=encoding, topic=topic, time_base=base + at)

    trigger = {"encoding": "trigger", "topic": "/dvs/trigger"}
    said = [
        mono(0, 0),
        mono(10_000_000, 3_000_000, **trigger),
        mono(20_000_000, 1_000_000),
        mono(30_000_000, 4_000_000, **trigger, base=0),  # near enough
        mono(30_000_000, 4_000_000, **trigger, base=10**13),  # by another clock
    ]
    with open_recording(made.bag2(tmp_path / "r", said)) as recording:
        assert [t - START // 1_000 for t, *_ in rows(recording)] == [0, 20_000]
        assert [t - START // 1_000 for t, *_ in marks(recording)] == [10_000, 23_000, 34_000]


def test_triggers__in_packets_of_their_own_have_edges_and_channels(tmp_path):
    words = [(1_500 | 3 << 48 | 1 << 63), (2_500 | 3 << 48)]
    content = b"".join(word.to_bytes(8, "little") for word in words)
    trigger = made.packet(content, START + 600, encoding="trigger", topic="/dvs/trigger")
    with open_recording(made.bag2(tmp_path / "r", [*MESSAGES, trigger])) as recording:
        assert marks(recording) == [(START // 1_000 + 2, 1, 3), (START // 1_000 + 3, 0, 3)]


def test_bag__without_events_lists_its_topics(tmp_path):
    path = made.bag1(tmp_path / "r.bag", SIDE)
    said = refused(path, UnknownFormatError)
    assert "has no topic of events, only /dvs/image_raw (sensor_msgs/msg/Image), /dvs/imu" in said


# Definitions


def nested_types() -> str:
    """Return definitions of which each has the next one 20 times."""
    separated = "=" * 80 + "\nMSG: a_msgs/{}\n{}\n"
    inner = "\n".join(f"{{0}} x{k}" for k in range(20))
    return "".join(
        separated.format(name, inner.format(of)) for name, of in ("AB", "BC", ("C", "uint8"))
    )


SIZED = "std_msgs/Header header\nuint32 height\nuint32 width\n"
EVENT = f"{'=' * 80}\nMSG: dvs_msgs/Event\n{made.EVENT}".replace(
    "time ts", "builtin_interfaces/Time ts"
)


def without_definitions(path: Path) -> Path:
    with sqlite3.connect(path) as base:
        base.execute("DROP TABLE message_definitions")
    return path


@pytest.mark.parametrize("kind", [made.DVS, made.PROPHESEE])
def test_definitions__of_ros_and_of_events_need_not_be_in_the_bag(tmp_path, kind):
    said = [made.array(EVENTS, kind=kind), *SIDE[:2]]
    path = without_definitions(made.bag2(tmp_path / "r", said, "sqlite3"))
    assert read(path)[0] == WANTED
    word = (5 << 32 | 2 << 48).to_bytes(8, "little")
    packet = made.packet(word, START, encoding="mono")
    path = without_definitions(made.bag2(tmp_path / "p", [packet], "sqlite3"))
    assert read(path)[0] == [(START // 1_000, 5, 2, 0)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "uint32 height\nuint32 width\nlost_msgs/Event[] events",
            "type lost_msgs/msg/Event is not",
        ),
        ("uint8[ events", "cannot be understood: Could not parse"),
        ("dvs_msgs/EventArray again", "is within itself, or too deep"),
        (SIZED + "dvs_msgs/Event[] events\nuint8 events\n" + EVENT, "has a field twice"),
        (SIZED + "dvs_msgs/Event[] events\n" + EVENT + "string x2\n", "which are not those of"),
        (SIZED + "dvs_msgs/Event[4] events\n" + EVENT, "which are not those of events"),
        (
            "# " + "y" * definitions.DEFINITION_LIMIT,
            "has 262,146 characters; at most 262,144 can be",
        ),
        ("uint8 x\n" * 1_100, "is longer, or more involved, than those of ROS"),
        ("uint8 x", "has fields x, which are not those of events"),
        ("a_msgs/A a\n" * 2 + nested_types(), "has more than 1000 fields"),
    ],
)
def test_definitions__that_cannot_be_used_are_told(tmp_path, text, why):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE message_definitions SET encoded_message_definition = ?", (text,))
    assert why in refused(path, UnknownFormatError)


def test_definitions__in_idl_are_read(tmp_path):
    def module(package, body):
        return f"module {package} {{ module msg {{ {body} }}; }};\n"

    idl = {
        "dvs_msgs/msg/EventArray": '#include "std_msgs/msg/Header.idl"\n'
        + module(
            "dvs_msgs",
            "/* events */ module EventArray_Constants { const long MOST = ((1) + 2); "
            'const string<9> SAID = "a;(\\\\\\"b"; }; @verbatim (language="comment", text="1) (a)" '
            '"\\\\n") struct EventArray { std_msgs::msg::Header header; @unit (value="px") '
            "@key uint32 height; // px\n uint32 width; sequence<dvs_msgs::msg::Event> events; };",
        ),
        "dvs_msgs/msg/Event": module(
            "dvs_msgs",
            "struct Event { uint16 x; uint16 y; builtin_interfaces::msg::Time ts; boolean "
            "polarity; };",
        ),
    }
    text = "".join(f"{'=' * 80}\nIDL: {name}\n{body}" for name, body in idl.items())
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute(
            "UPDATE message_definitions SET encoding = 'ros2idl', encoded_message_definition = ?",
            (text,),
        )
    assert read(path)[0] == WANTED


@pytest.mark.parametrize(
    "body",
    [
        "const long X = ((((1))));" * 200,
        "struct A { " + "sequence<" * 40 + "uint8" + ">" * 40 + " x; };",
        "const " * 5_000,
        "/*" * 15_000,
        "@a(" * 10_000,
        '@a("' * 8_000,
        "[" * 30_000,
    ],
)
def test_definitions__that_would_take_a_parser_long_are_refused_at_once(tmp_path, body):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute(
            "UPDATE message_definitions SET encoding = 'ros2idl', encoded_message_definition = ?",
            (f"module a {{ {body} }};",),
        )
    begin = time.process_time()
    assert "its definition of message type" in refused(path, UnknownFormatError)
    assert time.process_time() - begin < 2


def test_missing_library__is_an_error_that_says_how_to_install_it(tmp_path, monkeypatch):
    path = made.bag1(tmp_path / "r.bag", MESSAGES)
    definitions._rosbags.cache_clear()
    monkeypatch.setitem(sys.modules, "rosbags.typesys", None)
    try:
        with pytest.raises(UsageError) as caught:
            open_recording(path)
    finally:
        definitions._rosbags.cache_clear()
    assert str(caught.value) == (
        "ROS bags need rosbags, which is not installed. Run pip install 'evreel[ros]'."
    )


# Damage


def index_of(content: bytes) -> int:
    return int.from_bytes(content[content.index(b"index_pos=") + 10 :][:8], "little")


def unindexed(content: bytes) -> bytes:
    """Return a ROS 1 bag as it is if its recording is killed between chunks."""
    at = content.index(b"index_pos=") + 10
    return content[:at] + bytes(8) + content[at + 8 : index_of(content)]


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_ros1__that_was_not_closed_is_read(tmp_path, compression):
    path = made.bag1(tmp_path / "r.bag", [*MESSAGES, *SIDE], compression)
    whole = unindexed(path.read_bytes())
    assert read(written(tmp_path, "killed.bag", whole)) == (WANTED, {})
    cut = written(tmp_path, "cut.bag", whole[:-40])
    assert "rosbag reindex" in refused(cut)
    assert read(cut, reading=SALVAGE)[0] == WANTED


def test_ros1__killed_within_a_chunk_is_read_up_to_its_last_whole_message(tmp_path):
    path = made.bag1(tmp_path / "r.bag", MESSAGES, chunk=10_000)
    content = unindexed(path.read_bytes())
    # The chunk's sizes are stated when it is finished, and no index of it follows before that.
    chunk = content.index(b"size=") + 5
    length = int.from_bytes(content[chunk : chunk + 4], "little")
    stated = content.rindex(length.to_bytes(4, "little"), 0, len(content) - length)
    killed = content[:chunk] + bytes(4) + content[chunk + 4 : stated] + bytes(4)
    killed += content[stated + 4 : stated + 4 + length]
    assert read(written(tmp_path, "killed.bag", killed)) == (WANTED, {})
    cut = written(tmp_path, "cut.bag", killed[:-3])
    assert read(cut, reading=SALVAGE)[0] == WANTED[:2]


def test_ros1__cut_off_says_where_its_index_should_be(tmp_path):
    path = made.bag1(tmp_path / "r.bag", MESSAGES, chunk=100)
    content = path.read_bytes()
    cut = written(tmp_path, "cut.bag", content[: index_of(content)][:-1])
    said = refused(cut)
    assert f"ends at byte {len(content[: index_of(content)]) - 1}, before its index" in said
    assert "rosbag reindex" in said
    assert read(cut, reading=SALVAGE)[0] == WANTED


def test_ros1__of_other_versions_or_encrypted_is_refused(tmp_path):
    path = made.bag1(tmp_path / "r.bag", MESSAGES)
    content = path.read_bytes()
    old = written(tmp_path, "old.bag", content.replace(b"V2.0", b"V1.2", 1))
    assert "Run rosbag fix" in refused(old, CodingError)
    known = written(tmp_path, "k.bag", content.replace(b"compression=none", b"compression=zip2"))
    assert "compressed by 'zip2'" in refused(known, CodingError)


def test_mcap__cut_off_is_salvaged_up_to_its_last_whole_message(tmp_path):
    path = made.mcap(tmp_path / "r.mcap", MESSAGES, chunked=False)
    content = path.read_bytes()
    last = content.rindex(struct.pack("<BQ", 0xF, 4))
    cut = written(tmp_path, "cut.mcap", content[:last])
    said = refused(cut)
    assert "the file does not end as MCAP does" in said
    assert "mcap recover" in said
    assert read(cut, reading=SALVAGE) == (WANTED, {"damaged_bytes": 0, "cut_off": 1})
    shorter = written(tmp_path, "shorter.mcap", content[: last - 1])
    assert read(shorter, reading=SALVAGE)[0] == WANTED[:2]


def test_mcap__with_a_wrong_checksum_is_damaged(tmp_path):
    path = made.mcap(tmp_path / "r.mcap", MESSAGES)
    content = bytearray(path.read_bytes())
    content[content.index(b"dvs", content.index(struct.pack("<I", 4) + b"dvs\0")) + 20] ^= 1
    damaged = written(tmp_path, "d.mcap", bytes(content))
    assert "the chunk does not have its checksum" in refused(damaged)


def test_mcap__with_a_damaged_summary_is_read_if_that_is_asked(tmp_path):
    path = made.mcap(tmp_path / "r.mcap", MESSAGES)
    content = bytearray(path.read_bytes())
    content[-45] ^= 1
    damaged = written(tmp_path, "d.mcap", bytes(content))
    assert "the summary that begins here does not have its checksum" in refused(damaged)
    assert read(damaged, reading=SALVAGE) == (WANTED, {"damaged_bytes": 0})


def test_ros1__with_a_connection_that_its_index_lacks_is_damaged(tmp_path):
    said = [*MESSAGES, made.array(EVENTS, topic="/other/events")]
    path = made.bag1(tmp_path / "r.bag", said, chunk=100)
    content = path.read_bytes()
    index = index_of(content)
    count = content.index(b"conn_count=") + 11
    # The second connection is the index's last one: the chunks' infos follow.
    (first, second) = (k for k in _heads(content, index) if _kind(content, k) == 7)
    assert b"/other/events" not in content[first:second]
    fewer = content[:count] + (1).to_bytes(4, "little") + content[count + 4 :]
    damaged = written(tmp_path, "d.bag", fewer)
    said = refused(damaged)
    assert "connection that begins here, 1 of topic /other/events, is not in the index" in said
    assert "rosbag reindex" in said
    assert read(damaged, reading=SALVAGE)[0] == WANTED


def _heads(content: bytes, at: int):
    """Yield where the records of a ROS 1 bag begin, from one on."""
    while at < len(content):
        yield at
        for _ in range(2):
            at += 4 + int.from_bytes(content[at : at + 4], "little")


def _kind(content: bytes, at: int) -> int:
    return content[content.index(b"op=", at) + 3]


def test_mcap__with_a_channel_that_its_summary_lacks_is_damaged(tmp_path):
    said = [*MESSAGES, made.array(EVENTS, topic="/other/events")]
    path = made.mcap(tmp_path / "r.mcap", said, checksums=False)
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<Q", content, len(content) - 28)
    # In the summary, the channel becomes a record that nobody reads.
    at = content.index(b"/other/events", start)
    content[at - 4 - 4 - 9] = 0xC
    damaged = written(tmp_path, "d.mcap", bytes(content))
    said = refused(damaged)
    assert "has channel 2 of topic /other/events, which is not in the summary" in said
    assert "mcap recover" in said


def test_sqlite__with_a_message_of_no_topic_is_damaged(tmp_path):
    path = made.bag2(tmp_path / "r", [*MESSAGES, made.array(EVENTS)], "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE messages SET topic_id = 77 WHERE id = 4")
    assert "message 4: its topic is not in the table of topics" in refused(path)
    assert read(path, reading=SALVAGE)[0] == WANTED


def test_sqlite__names_the_message_that_is_damaged(tmp_path):
    path = made.bag2(tmp_path / "r", [*MESSAGES, made.array(EVENTS[-1:])], "sqlite3")
    with sqlite3.connect(path) as base:
        (data,) = base.execute("SELECT data FROM messages WHERE id = 3").fetchone()
        base.execute("UPDATE messages SET data = ? WHERE id = 3", (data[:-1],))
    said = refused(path)
    assert "r.db3: message 3: the message of /dvs/events that begins here ends after" in said
    events, repairs = read(path, reading=SALVAGE)
    assert events == WANTED[:2]
    assert 0 < repairs["damaged_bytes"] < path.stat().st_size


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_sqlite__with_a_journal_beside_it_is_not_whole(tmp_path, suffix):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    path.with_name(path.name + suffix).write_bytes(b"x")
    said = refused(path)
    assert f"its last messages are still in r.db3{suffix}, beside it" in said
    path.with_name(path.name + suffix).write_bytes(b"")
    assert read(path)[0] == WANTED


def test_sqlite__with_a_name_that_is_not_utf8_is_read(tmp_path):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    odd = path.rename(tmp_path / os.fsdecode(b"ride?#%\xff.db3"))
    assert read(odd) == (WANTED, {})


def test_sqlite__with_a_path_that_is_too_long_for_it_says_so(tmp_path):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    folder = tmp_path.joinpath(*["f" * 200] * 3)
    folder.mkdir(parents=True)
    said = refused(path.rename(folder / "ride.db3"), CodingError)
    assert "SQLite cannot open it: unable to open database file" in said
    assert "Give a shorter one" in said


def test_sqlite__of_other_programs_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db3") as base:
        base.execute("CREATE TABLE topics (id INTEGER)")
        base.execute("CREATE VIEW messages AS SELECT 1 AS id, 1 AS topic_id, x'00' AS data")
    said = refused(tmp_path / "other.db3", CodingError)
    assert "is an SQLite file without the tables of a ROS 2 bag" in said
    assert "Give a .db3 file that ros2 bag recorded" in said


def test_file__that_disappears_while_it_is_read_is_an_error_of_every_reading(tmp_path):
    path = made.bag1(tmp_path / "r.bag", MESSAGES)
    for reading in (Reading(), SALVAGE):
        with open_recording(path, reading=reading) as recording:
            path.rename(tmp_path / "elsewhere.bag")
            with pytest.raises(RecordingError, match="cannot be read: No such file"):
                list(recording)
            (tmp_path / "elsewhere.bag").rename(path)


def test_sqlite__is_left_as_it_is(tmp_path):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    content, names = path.read_bytes(), sorted(file.name for file in path.parent.iterdir())
    path.chmod(0o444)
    assert read(path)[0] == WANTED
    assert path.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir()) == names


def test_sizes__that_are_too_large_are_told_with_the_limit(tmp_path):
    content = made.bag1(tmp_path / "r.bag", MESSAGES).read_bytes()
    at = content.index(b"\n") + 1
    large = content[:at] + struct.pack("<I", 70_000) + content[at + 4 :]
    said = refused(written(tmp_path, "large.bag", large))
    assert "has a header of 70,000 bytes; at most 65,536 can be read" in said


def test_sizes__of_what_is_packed_are_not_trusted(tmp_path, monkeypatch):
    from evreel.recordings.aedat4 import packets as aedat4
    from evreel.recordings.ros import bags

    events = [made.array(random_events(200))]
    for path in (
        made.bag1(tmp_path / "b.bag", events, "bz2"),
        made.bag1(tmp_path / "l.bag", events, "lz4"),
        made.mcap(tmp_path / "z.mcap", events, "zstd"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bags, "MESSAGE_LIMIT", 2_000)
            patch.setattr(aedat4, "PACKET_LIMIT", 2_000)
            assert "unpacks to" in refused(path)


def test_sensor__that_changes_is_damage_and_one_that_is_not_real_an_error(tmp_path):
    path = made.bag1(tmp_path / "r.bag", [made.array(EVENTS[:2]), made.array(EVENTS[2:], (9, 6))])
    said = refused(path)
    assert "states a sensor of 9x6 px, but that of the recording is 8x6" in said
    assert "Record each camera, and each size, on a topic of its own" in said
    assert read(path, reading=SALVAGE)[0] == WANTED[:2]
    zero = made.bag1(tmp_path / "z.bag", [made.array(EVENTS, (0, 6))])
    assert "a sensor of height 6 and width 0" in refused(zero)
    with pytest.raises(RecordingError, match="states a sensor of 8x6 px, but 9x9 was given"):
        open_recording(path, sensor=Sensor(9, 9))


def test_sensor__of_no_size_is_one_that_is_not_stated(tmp_path):
    said = [made.array([], (0, 0)), made.array(EVENTS[:2], (0, 0)), made.array(EVENTS[2:])]
    path = made.bag1(tmp_path / "r.bag", said)
    assert "rosbag1 does not state the sensor's size" in refused(path)
    assert "Give it: --sensor" in refused(path)
    assert read(path, sensor=Sensor(6, 8)) == (WANTED, {})
    assert "a sensor of 8x6 px, but that of the recording is 9x9" in refused(
        path, sensor=Sensor(9, 9)
    )
    path = made.bag1(tmp_path / "e.bag", [said[0], *MESSAGES])
    assert read(path) == (WANTED, {})
    path = made.bag1(tmp_path / "n.bag", said[:1])
    assert read(path, sensor=Sensor(6, 8)) == ([], {})


@pytest.mark.parametrize(("byte", "why"), [(0, "is in big-endian CDR"), (7, "another form of CDR")])
def test_messages__in_other_forms_of_cdr_are_whole(tmp_path, byte, why):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        ((data,),) = base.execute("SELECT data FROM messages WHERE id = 1").fetchall()
        other = data[:1] + bytes([byte]) + data[2:]
        base.execute("UPDATE messages SET data = ? WHERE id = 1", (other,))
    for reading in (Reading(), SALVAGE):
        said = refused(path, CodingError, reading=reading)
        assert "message 1: the message of /dvs/events that begins here begins with" in said
        assert why in said
        assert "download" not in said


def test_times__of_more_than_a_second_of_ns_say_what_can_be_done(tmp_path):
    stamp = START + 123_456_789
    packet = made.packet(bytes(8), stamp, encoding="mono")
    for k, said in enumerate((made.array([(stamp, 1, 1, 1)]), packet)):
        path = made.bag2(tmp_path / f"{k}", [said], "sqlite3")
        with sqlite3.connect(path) as base:
            ((data,),) = base.execute("SELECT data FROM messages").fetchall()
            wrong = data.replace(struct.pack("<I", 123_456_789), struct.pack("<I", 10**9))
            base.execute("UPDATE messages SET data = ?", (wrong,))
        assert "the driver wrote it so; set on_damage: salvage" in refused(path)


# Folders


def split(tmp_path: Path, storage: str) -> Path:
    """Return the folder of a bag of two files."""
    first = made.bag2(tmp_path / "ride", [*MESSAGES[:2], SIDE[0]], storage)
    second = made.bag2(tmp_path / "second", [SIDE[1], *MESSAGES[2:]], storage)
    other = first.with_name(f"ride_1{first.suffix}")
    second.rename(other)
    listing = first.parent / "metadata.yaml"
    text = listing.read_text().replace(f"- {first.name}\n", f"- {first.name}\n  - {other.name}\n")
    listing.write_text(text.replace("  message_count: 3\n  rel", "  message_count: 5\n  rel"))
    return first.parent


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_folder__is_read_file_by_file(tmp_path, storage):
    folder = split(tmp_path, storage)
    assert read(folder) == (WANTED, {})
    with open_recording(folder) as recording:
        assert recording.path == folder
        kinds = {type(batch) for batch in recording.batches()}
        assert {Imu, FrameTimes} <= kinds
    suffix = {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    assert read(folder / f"ride{suffix}")[0] == WANTED[:2]
    (folder / f"ride_1{suffix}").unlink()
    assert f"names ride_1{suffix}, which is not there" in refused(folder)


def listed_as(folder: Path, text: str) -> Path:
    """Return a folder whose listing of files becomes a text, after the name of its key."""
    listing = folder / "metadata.yaml"
    begin, _, rest = listing.read_text().partition("  relative_file_paths:\n")
    after = rest[rest.index("  ros_distro") :]
    listing.write_text(f"{begin}  relative_file_paths:{text}\n{after}")
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "\n    - ride.mcap  # the first\n\n    # another\n    - 'ride_1.mcap'  # and the last",
        ' [ride.mcap, "ride_1.mcap"]  # both',
        " # both\n  - ride.mcap\n  - rides/ride_1.mcap",
        " [ride.mcap, # the first\n    'ride_1.mcap',\n  ]",
    ],
)
def test_folder__may_list_its_files_in_any_style(tmp_path, text):
    assert read(listed_as(split(tmp_path, "mcap"), text)) == (WANTED, {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n    - ride.mcap\n    - &b ride_1.mcap", 1),
        ("\n    - ride.mcap\n    - {name: ride_1.mcap}", 1),
        ("\n    - ride.mcap\n    ride_1.mcap", 1),
        (" ride.mcap", -1),
        (" [ride.mcap, [ride_1.mcap]]", -1),
        (" [ride.mcap, ride_1.mcap", -1),
        (' ["ride.mcap", "ride_1\\u002emcap"]', -1),
    ],
)
def test_folder__whose_listing_is_not_understood_is_refused(tmp_path, text, line):
    folder = listed_as(split(tmp_path, "mcap"), text)
    lines = (folder / "metadata.yaml").read_text().splitlines()
    key = next(k for k, said in enumerate(lines) if "relative_file_paths" in said)
    said = refused(folder)
    assert f"metadata.yaml: line {key + 2 + line}: has a list of files" in said
    assert "ros2 bag reindex" in said


def test_folder__with_a_file_that_is_not_listed_or_listed_twice_is_refused(tmp_path):
    folder = split(tmp_path, "mcap")
    shutil.copy(folder / "ride.mcap", folder / "ride_2.mcap")
    said = refused(folder)
    assert "metadata.yaml: does not name ride_2.mcap, which is beside it" in said
    (folder / "ride_2.mcap").unlink()
    assert "names a file twice" in refused(listed_as(folder, " [ride.mcap, ride.mcap]"))
    (folder / "metadata.yaml").write_text("#" * (files._LISTING_LIMIT + 1))
    assert "is longer than 4194304 characters" in refused(folder)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_folder__with_fewer_messages_than_it_lists_is_damaged(tmp_path, storage):
    folder = split(tmp_path, storage)
    listing = folder / "metadata.yaml"
    listing.write_text(listing.read_text().replace("  message_count: 5\n", "  message_count: 6\n"))
    said = refused(folder)
    suffix = {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    assert f"its files have 5 messages (ride{suffix} 3, ride_1{suffix} 2), but metadata.y" in said
    assert read(folder, reading=SALVAGE) == (WANTED, {"damaged_bytes": 0, "cut_off": 1})


@pytest.mark.parametrize("mode", [0o311, 0o600])
def test_folder__that_may_not_be_read_is_an_error(tmp_path, mode):
    folder = split(tmp_path, "mcap")
    folder.chmod(mode)
    code = "import sys; from evreel.folders import bag_of; bag_of(sys.argv[1])"
    done = subprocess.run(
        [*bound(), sys.executable, "-c", code, str(folder)], capture_output=True, text=True
    )
    folder.chmod(0o700)
    last = done.stderr.splitlines()[-1]
    assert last == f"evreel.errors.SourceError: {folder}: cannot be read: Permission denied"


def test_folder__names_the_file_that_is_damaged(tmp_path):
    folder = split(tmp_path, "mcap")
    path = folder / "ride_1.mcap"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    said = refused(folder)
    assert said.startswith(f"ride: byte {len(content) - 1} of ride_1.mcap: ")
    assert read(folder, reading=SALVAGE) == (WANTED, {"damaged_bytes": 0})
    path.write_bytes(content[:600])
    events, repairs = read(folder, reading=SALVAGE)
    assert events == WANTED[:2]
    assert 0 < repairs["damaged_bytes"] < 600


def test_folder__names_the_file_that_a_late_event_is_in(tmp_path):
    folder = split(tmp_path, "sqlite3")
    with sqlite3.connect(folder / "ride_1.db3") as base, sqlite3.connect(folder / "ride.db3") as of:
        ((late,),) = of.execute("SELECT data FROM messages WHERE id = 1").fetchall()
        base.execute("UPDATE messages SET data = ? WHERE id = 2", (late,))
    assert refused(folder).startswith("ride: message 2 of ride_1.db3: event t=")


def test_folder__that_is_no_bag_is_no_recording(tmp_path):
    (tmp_path / "metadata.yaml").write_text("relative_file_paths: []\n")
    assert "Is a directory" in refused(tmp_path)
    shutil.copy(made.bag2(tmp_path / "r", MESSAGES), tmp_path / "r_0.mcap")
    assert "names no file of a bag" in refused(tmp_path)


def test_zstandard__of_something_else_or_damaged_is_refused(tmp_path, monkeypatch):
    import zstandard

    other = written(tmp_path, "x.zstd", zstandard.compress(b"something\0 else"))
    assert "not the start of a file of a ROS bag" in refused(other, UnknownFormatError)
    path = made.bag2(tmp_path / "r", MESSAGES, "mcap", "file")
    damaged = bytearray(path.read_bytes())
    damaged[4] ^= 0xFF  # of its frame's header
    said = refused(written(tmp_path, "d.mcap.zstd", bytes(damaged)))
    assert "cannot be decompressed by Zstandard" in said
    cut = written(tmp_path, "cut.mcap.zstd", path.read_bytes()[:-20])
    said = refused(cut)
    assert "cut.mcap.zstd: byte 0: has no bytes, or none that are whole" in said
    assert "Copy or download it again." in said
    monkeypatch.setattr(files, "_MOST_TIMES", 0)
    monkeypatch.setattr(files, "_SPARE_BYTES", 100)
    assert "it has more than 100 bytes then" in refused(path)


def test_zstandard__cut_off_before_a_topic_of_events_says_that_it_was_cut(tmp_path):
    import zstandard

    whole = made.mcap(tmp_path / "r.mcap", [*SIDE, *MESSAGES], chunked=False).read_bytes()
    cut = whole[: len(made.MCAP) + 40]
    path = written(tmp_path, "cut.mcap.zstd", zstandard.compress(cut))
    said = refused(path, reading=SALVAGE)
    assert "no topic" not in said
    assert f"bytes, but the file ends at byte {len(cut)}" in said


def test_folder__with_an_empty_file_says_so(tmp_path):
    folder = split(tmp_path, "mcap")
    (folder / "ride_1.mcap").write_bytes(b"")
    said = refused(folder)
    assert "ride_1.mcap: byte 0: has no bytes" in said
    assert "one may be given as the recording" in said


@pytest.mark.parametrize("form", ["folder", "bag"])
def test_previews__are_made_of_bags_that_are_not_decoded(tmp_path, form):
    said = [made.array(EVENTS, topic=f"/{name}/events") for name in ("left", "right")]
    bag = made.bag2(tmp_path / "r", said).parent
    if form == "bag":
        bag = made.bag1(tmp_path / "r.bag", said)
    video, poster = tmp_path / "p.mp4", tmp_path / "p.jpg"
    command = ["preview", str(bag), "-o", str(video), "--max-frames", "2"]
    assert main(command) == 2
    assert not video.exists()
    assert main([*command, "--stream", "/left/events"]) == 0
    steps.events(bag, tmp_path / "s.h5", steps.EventsSettings(stream="/left/events"))
    found = poster.read_bytes()
    steps.preview(tmp_path / "s.h5", video, poster, steps.PreviewSettings(max_frames=2))
    assert poster.read_bytes() == found
    assert not list(tmp_path.glob(".evreel-tmp"))


def test_folder__without_a_listing_says_how_to_make_one(tmp_path):
    folder = split(tmp_path, "mcap")
    (folder / "metadata.yaml").unlink()
    for reading_of in (
        lambda: open_recording(folder),
        lambda: steps.info(folder),
        lambda: steps.events(folder, tmp_path / "o.h5"),
    ):
        with pytest.raises(EvreelError, match="run ros2 bag reindex, or give one file as the rec"):
            reading_of()
    (folder / "ride.mcap").unlink()
    (folder / "ride_1.mcap").unlink()
    assert "ros2" not in refused(folder)


def test_sqlite__may_have_many_topics(tmp_path):
    path = made.bag2(tmp_path / "r", MESSAGES, "sqlite3")
    with sqlite3.connect(path) as base:
        base.execute("UPDATE topics SET id = 5000")
        base.execute("UPDATE messages SET topic_id = 5000")
        for k in range(1, 1_200):
            base.execute(
                "INSERT INTO topics (id, name, type, serialization_format, offered_qos_profiles, "
                "type_description_hash) VALUES (?, ?, 'std_msgs/msg/Header', 'cdr', '', '')",
                (k, f"/t{k}"),
            )
    assert read(path) == (WANTED, {})


def test_rows__of_a_bag_are_those_that_rosbags_reads(tmp_path):
    from rosbags.highlevel import AnyReader

    events = random_events(300)
    said = [made.array(events[k : k + 70]) for k in range(0, 300, 70)]
    path = made.bag2(tmp_path / "r", said)
    theirs = []
    with AnyReader([path.parent]) as reader:
        for connection, _, data in reader.messages():
            for e in reader.deserialize(data, connection.msgtype).events:
                t = e.ts.sec * 10**6 + e.ts.nanosec // 1_000
                theirs.append((t, e.x, e.y, int(e.polarity)))
    with open_recording(path) as recording:
        assert rows(recording) == theirs
