"""AEDAT 3.1: headers, packets, side streams, damage; compared with a slow reader."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError
from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
from evreel.recordings import aedat3, event_chunks, jumps, open_recording
from evreel.recordings.open import Reading
from recordings.rows import rows
from support.writers import aedat

SALVAGE = Reading(on_damage="salvage")
HEAD = aedat.header3("Source 1: DVS128")


def slow(body: bytes):
    """Return valid polarity events (t, x, y, p) and the number of invalid ones, event by event."""
    events, invalid, at = [], 0, 0
    while at < len(body):
        kind, _, size, _, overflow, capacity, number, _ = struct.unpack_from("<hhiiiiii", body, at)
        at += 28
        for k in range(number if kind == 1 else 0):
            data, stamp = struct.unpack_from("<Ii", body, at + k * size)
            bits = f"{data:032b}"[::-1]  # bit 0 first

            def field(low: int, high: int, bits: str = bits) -> int:
                return int(bits[low : high + 1][::-1], 2)

            if field(0, 0):
                events.append((overflow << 31 | stamp, field(17, 31), field(2, 16), field(1, 1)))
            else:
                invalid += 1
        at += capacity * size
    return events, invalid


def side(recording, kind):
    return [batch for batch in recording.batches() if isinstance(batch, kind)]


@pytest.fixture
def made(tmp_path):
    """Return a function from a file's bytes to the open recording."""
    opened = []

    def open_it(data: bytes, **options):
        path = tmp_path / f"{len(opened)}.aedat"
        path.write_bytes(data)
        opened.append(open_recording(path, **options))
        return opened[-1]

    yield open_it
    for recording in opened:
        recording.close()


def events(*stamps, x=3):
    return [aedat.polarity(t, x, t % 100, t & 1) for t in stamps]


def wanted(*stamps, overflow=0):
    return [(t + (overflow << 31), 3, t % 100, t & 1) for t in stamps]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_header__may_end_its_lines_either_way(made, end):
    head = aedat.header3("Source 1: DVS128", end=end)
    recording = made(head + aedat.packet(1, events(5, 9)))
    assert recording.header.encode() == head
    assert rows(recording) == wanted(5, 9)
    assert (recording.format, recording.sensor, recording.t_offset) == ("aedat3", (128, 128), 5)
    assert recording.repairs == {}


@pytest.mark.parametrize(
    ("sources", "sensor"),
    [
        (["Source 0: DVS128"], (128, 128)),
        (["Source 1: DAVIS240C"], (180, 240)),
        (["Source 1: DAVIS346B"], (260, 346)),
        (["Source 1: DAVIS346Cbsi"], (260, 346)),
        (["Source 1: File", "-Source 0: DAVIS640"], (480, 640)),
    ],
)
def test_sensor__is_the_one_of_the_headers_source(made, sources, sensor):
    assert made(aedat.header3(*sources)).sensor == sensor


@pytest.mark.parametrize("source", ["Source 0: File", f"Source {'9' * 5_000}: DVS128"])
def test_sensor__that_the_header_does_not_name_must_be_given(made, source):
    head = aedat.header3(source)
    with pytest.raises(RecordingError, match=r"aedat3 does not state the sensor's size.*sensor"):
        made(head)
    assert rows(made(head + aedat.packet(1, events(1)), sensor=Sensor(128, 128))) == wanted(1)


def test_event__is_laid_out_as_published(made):
    """Bit 0 valid, bit 1 polarity, bits 2 to 16 y, 17 to 31 x; pixel (0, 0) the upper left."""
    word = 1 | 1 << 1 | 77 << 2 | 120 << 17
    packet = struct.pack("<hhiiiiii", 1, 1, 8, 4, 2, 1, 1, 1) + struct.pack("<Ii", word, 10)
    recording = made(HEAD + packet)
    assert rows(recording) == [(2 * 2**31 + 10, 120, 77, 1)]
    assert recording.t_offset == 2 * 2**31 + 10


def test_time__continues_over_an_overflow(made):
    body = aedat.packet(1, events(2**31 - 1)) + aedat.packet(1, events(0, 4), overflow=1)
    assert rows(made(HEAD + body)) == wanted(2**31 - 1) + wanted(0, 4, overflow=1)


def test_invalid_events__are_dropped_and_counted(made):
    mixed = [*events(1), aedat.polarity(0, 9_999, 9_999, 1, valid=0), *events(3)]
    body = aedat.packet(1, mixed) + aedat.packet(3, [aedat.imu(4, (0.0,) * 7, valid=0)])
    recording = made(HEAD + body)
    for _ in range(2):
        assert rows(recording) == wanted(1, 3)
        assert recording.repairs == {"skipped_invalid_events": 2}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_capacity__other_than_the_number_of_events_is_resolved_by_the_next_header(
    made, padded, last
):
    body = aedat.packet(1, events(1, 2), capacity=5, padded=padded)
    body += aedat.packet(0, [aedat.special(3, 2)], capacity=9, padded=padded)
    body += aedat.packet(1, events(4), capacity=7 if last else 1, padded=padded)
    recording = made(HEAD + body)
    assert rows(recording) == wanted(1, 2, 4)
    assert len(side(recording, Triggers)) == 1


def test_capacity__with_neither_end_at_a_header_is_damage(made):
    packet = aedat.packet(1, events(1, 2), capacity=3, padded=False)
    data = HEAD + aedat.packet(1, events(0)) + packet + b"\xff" * 60
    at = len(HEAD) + 36
    with pytest.raises(
        RecordingError, match=rf"byte {at}: the packet .* not followed by another header"
    ):
        rows(made(data))
    assert rows(made(data, reading=SALVAGE)) == wanted(0)


def test_special_events__are_triggers_and_marks_of_the_clock_are_counted(made):
    body = aedat.packet(0, [aedat.special(2**31 - 1, 1), aedat.special(4, 2)], overflow=0)
    body += aedat.packet(1, events(10))
    kinds = [3, 4, 12, 13, 14, 5, 0]
    body += aedat.packet(0, [aedat.special(20 + k, kind) for k, kind in enumerate(kinds)])
    recording = made(HEAD + body)
    (marks,) = side(recording, Triggers)
    assert marks.t.tolist() == [-6, 10, 11, 12, 13, 14]
    assert marks.id.tolist() == [2, 3, 4, 12, 13, 14]
    assert marks.edge.tolist() == [1, 0, -1, 1, 0, -1]
    assert recording.repairs == {
        "skipped_timestamp_resets": 1,
        "skipped_timestamp_wraps": 1,
        "skipped_row_only_events": 1,
    }


def test_imu__of_both_kinds_is_kept(made):
    nine = tuple(float(k) for k in range(1, 11))
    body = aedat.packet(1, events(10)) + aedat.packet(3, [aedat.imu(12, nine[:7])], overflow=1)
    body += aedat.packet(4, [aedat.imu(13, nine)], overflow=1)
    (samples,) = side(made(HEAD + body), Imu)
    assert samples.t.tolist() == [2**31 + 2, 2**31 + 3]
    assert samples.accelerometer.tolist() == [[1, 2, 3]] * 2
    assert samples.gyroscope.tolist() == [[4, 5, 6]] * 2
    assert samples.temperature.tolist() == [7, 7]
    assert samples.magnetometer.tolist() == [[0, 0, 0], [8, 9, 10]]


def test_frames__give_their_exposure_also_across_an_overflow(made):
    body = aedat.packet(1, events(10))
    frames = [aedat.aps_frame((11, 30, 14, 22), 4, 3), aedat.aps_frame((0,) * 4, 4, 3, valid=0)]
    body += aedat.packet(2, frames, stamp_at=8)
    late = aedat.aps_frame((2**31 - 9, 5, 2**31 - 4, 2), 4, 3)
    body += aedat.packet(2, [late], stamp_at=8, overflow=1)
    recording = made(HEAD + body)
    (frame,) = side(recording, FrameTimes)
    assert frame.exposure_start_us.tolist() == [4, 2**31 - 14]
    assert frame.exposure_stop_us.tolist() == [12, 2**31 - 8]
    assert recording.repairs == {"skipped_invalid_events": 1}


def test_other_packets__are_counted_by_type(made):
    config = [bytes([1, *range(9)])] * 2
    body = aedat.packet(7, config, stamp_at=6) + aedat.packet(1, events(1))
    body += aedat.packet(105, [bytes([1]) * 20], stamp_at=16) + aedat.packet(7, config, stamp_at=6)
    recording = made(HEAD + body)
    assert rows(recording) == wanted(1)
    assert recording.repairs == {"skipped_config_events": 4, "skipped_type_105_events": 1}


def test_cameras__that_the_header_names_are_distinguished(made):
    head = aedat.header3("Source 1: DAVIS240C", "Source 2: DVS128")
    body = aedat.packet(1, events(9), source=2) + aedat.packet(1, events(5, 7), source=1)
    body += aedat.packet(3, [aedat.imu(12, (0.0,) * 7)], source=2)
    recording = made(head + body)
    assert recording.sensor == (180, 240)
    assert rows(recording) == wanted(5, 7)
    assert recording.repairs == {"skipped_events_of_source_2": 2}


def test_camera__that_the_header_does_not_name_is_damage(made):
    body = aedat.packet(1, events(1)) + aedat.packet(1, events(2), source=2)
    at = len(HEAD) + 36
    with pytest.raises(RecordingError, match=rf"byte {at}: events of source 2 are among .* 1"):
        rows(made(HEAD + body))
    assert rows(made(HEAD + body, reading=SALVAGE)) == wanted(1)


def test_header__without_its_last_line_or_of_another_form_is_refused(made):
    with pytest.raises(RecordingError, match=rf"byte {len(HEAD) - 14}: .* without .*END-HEADER"):
        made(HEAD[:-14] + aedat.packet(1, events(1)))
    with pytest.raises(RecordingError, match="have the format 'PNGFrames'; only RAW"):
        made(HEAD.replace(b"RAW", b"PNGFrames"))


@pytest.mark.parametrize("padded", [True, False])
def test_file__cut_at_every_byte_gives_the_whole_packets_before(made, padded):
    form = {"capacity": 3, "padded": padded}
    parts = [
        aedat.packet(1, events(1, 2), **form),
        aedat.packet(3, [aedat.imu(2, (0.0,) * 7)]),
        aedat.packet(1, events(4, 5), **form),
    ]
    body = b"".join(parts)
    padding = 8 if padded else 0
    ends = [0, *(len(b"".join(parts[:k])) for k in (1, 2, 3))]
    for stop in range(len(body) + 1):
        # A packet is whole with its last event: nothing says that padding should follow.
        whole = [k for k in range(4) if ends[k] - (0 if k in (0, 2) else padding) <= stop][-1]
        at = ends[whole] if ends[whole] <= stop else ends[whole] - padding
        recording = made(HEAD + body[:stop], reading=SALVAGE)
        assert rows(recording) == [[], wanted(1, 2), wanted(1, 2), wanted(1, 2, 4, 5)][whole]
        assert recording.repairs == {"damaged_bytes": stop - at}
        if stop > at:
            with pytest.raises(RecordingError, match=rf"byte {len(HEAD) + at}: the file ends"):
                rows(made(HEAD + body[:stop]))


def test_damage__leaves_what_is_before_it_in_the_same_piece(made):
    broken = bytearray(aedat.packet(1, events(7)))
    broken[1] = 255
    data = HEAD + aedat.packet(1, events(1, 2)) + bytes(broken)
    recording = made(data, reading=SALVAGE)
    broken[:] = aedat.packet(1, [aedat.polarity(-5, 0, 0, 1)])
    negative = made(HEAD + aedat.packet(1, events(1, 2)) + bytes(broken), reading=SALVAGE)
    for one in (recording, negative):
        assert rows(one) == wanted(1, 2)
        assert one.repairs["damaged_bytes"] in (36, 8)
    with pytest.raises(RecordingError, match="no packet header begins here"):
        rows(made(data))


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (aedat.packet(0, [aedat.special(-1, 2)]), "a negative timestamp"),
        (aedat.packet(3, [aedat.imu(-1, (0.0,) * 7)]), "a negative timestamp"),
        (
            aedat.packet(2, [aedat.aps_frame((1, 9, 8, 7), 1, 1)], stamp_at=8),
            "an exposure that ends before it starts",
        ),
    ],
)
def test_sample__without_a_valid_time_is_damage(made, packet, said):
    data = HEAD + aedat.packet(1, events(1)) + packet + aedat.packet(1, events(2))
    at = len(HEAD) + 36 + 28
    with pytest.raises(RecordingError, match=rf"byte {at}: the event that begins here has {said}"):
        rows(made(data))
    recording = made(data, reading=SALVAGE)
    assert rows(recording) == wanted(1)
    assert recording.repairs == {"damaged_bytes": len(data) - at}


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": 16},
        {"stamp_at": 5},
        {"overflow": 1 << 22},
        {"overflow": -1},
        {"capacity": 0},
        {"source": -1},
        {"valid": 2},
    ],
)
def test_packet__with_an_impossible_header_is_damage(made, change):
    data = HEAD + aedat.packet(1, events(1)) + aedat.packet(1, events(2), **change)
    at = len(HEAD) + 36
    with pytest.raises(RecordingError, match=rf"byte {at}: no packet header begins here"):
        rows(made(data))


def test_event__outside_the_sensor_or_back_in_time_is_an_error_with_its_byte(made):
    first = aedat.packet(0, [aedat.special(1, 2)])
    outside = first + aedat.packet(1, [*events(1), aedat.polarity(2, 128, 0, 1)])
    at = len(HEAD) + 36
    with pytest.raises(RecordingError, match=rf"byte {at}: event x=128, y=0, number 1 from here"):
        rows(made(HEAD + outside))
    assert rows(made(HEAD + outside, reading=Reading(on_out_of_bounds="drop"))) == wanted(1)
    back = first + aedat.packet(1, events(5)) + aedat.packet(1, events(4))
    with pytest.raises(RecordingError, match=rf"byte {at}: event t=4 µs, number 1 .* is before"):
        rows(made(HEAD + back))
    assert rows(made(HEAD + back, reading=Reading(on_disorder="sort"))) == wanted(4, 5)


EVENT = st.builds(
    aedat.polarity,
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**15 - 1),
    st.integers(0, 2**15 - 1),
    st.integers(0, 1),
    st.integers(0, 1),
)
PACKET = st.builds(
    lambda body, more, overflow: aedat.packet(
        1, body, overflow=overflow, capacity=len(body) + more
    ),
    st.lists(EVENT, max_size=6),
    st.integers(0, 3),
    st.integers(0, 3),
)
OTHER = st.builds(
    lambda n: aedat.packet(3, [aedat.imu(1, (0.0,) * 7)] * n, size=36), st.integers(0, 3)
)


@settings(deadline=None, max_examples=150)
@given(
    packets=st.lists(st.one_of(PACKET, OTHER), max_size=8),
    window=st.integers(1, 200),
    at_once=st.integers(1, 4),
)
def test_reader__equals_the_slow_reading_in_windows_of_any_size(
    tmp_path_factory, packets, window, at_once
):
    body = b"".join(packets)
    path = tmp_path_factory.mktemp("packets") / "r.aedat"
    path.write_bytes(aedat.header3() + body)
    valid, invalid = slow(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aedat3, "_WINDOW_BYTES", window)
        patch.setattr(aedat3, "_PACKETS_AT_ONCE", at_once)
        patch.setattr(jumps, "JITTER_US", 2**60)
        patch.setattr(jumps, "PAUSE_US", 2**60)
        reading = Reading(on_disorder="sort")
        with open_recording(path, sensor=Sensor(2**15, 2**15), reading=reading) as recording:
            got = rows(recording)
            assert recording.repairs.get("skipped_invalid_events", 0) == invalid
            samples = sum(len(batch) for batch in side(recording, Imu))
    assert got == sorted(valid, key=lambda event: event[0])
    assert samples == sum(p[20] for p in packets if p[0] == 3)


def test_file__of_many_pieces_is_read_whole(made):
    n = 300_000
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 2**31, n))
    x, y, p = rng.integers(0, 128, n), rng.integers(0, 128, n), rng.integers(0, 2, n)
    words = np.empty(n, [("data", "<u4"), ("t", "<i4")])
    words["data"], words["t"] = 1 | p << 1 | y << 2 | x << 17, t
    body, at = [], 0
    while at < n:
        size = int(rng.integers(1, 2_000))
        part = words[at : at + size]
        head = struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part))
        body += [head, part.tobytes()]
        at += size
    recording = made(HEAD + b"".join(body))
    got = Events.concatenate(list(event_chunks(recording)), recording.sensor)
    for column, want in zip(
        (got.t + recording.t_offset, got.x, got.y, got.p), (t, x, y, p), strict=True
    ):
        np.testing.assert_array_equal(column, want)
