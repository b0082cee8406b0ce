"""AEDAT 2.0: words, cameras, headers, damage; compared with a slow reader of the format."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError
from evreel.events import Events, Sensor, Triggers
from evreel.kernels import aedat2 as kernels
from evreel.recordings import aedat2, event_chunks, jumps, open_recording
from evreel.recordings.open import Reading
from recordings.rows import rows
from support import shared_file
from support.writers import aedat

SALVAGE = Reading(on_damage="salvage")
DAVIS240, DVS128 = Sensor(180, 240), Sensor(128, 128)


def slow(body: bytes, sensor: Sensor):
    """Return events (t, x, y, p), signals (t, id) and other words as in iniVation's page.

    In plain Python, from the page's tables; of jAER is only that a DAVIS's x is from the right.
    """
    events, signals, others = [], [], {"aps": 0, "imu": 0, "unknown": 0}
    time = before = None
    for at in range(0, len(body), 8):
        address, stamp = struct.unpack_from(">II", body, at)
        bits = f"{address:032b}"  # bit 31 first

        def field(high: int, low: int, bits: str = bits) -> int:
            return int(bits[31 - high : 32 - low], 2)

        if sensor != DVS128 and field(31, 31) == 1:
            kind = {0: "aps", 1: "aps", 2: "unknown", 3: "imu"}[field(11, 10)]
            others[kind] += 1
            continue
        if time is None:
            time = stamp
        else:
            step = stamp - before
            if abs(step) >= 2**32 - 5_000_000:  # over the end of the range
                step -= 2**32 if step > 0 else -(2**32)
            time += step
        before = stamp
        if sensor == DVS128:
            if field(15, 15):
                signals.append((time, field(14, 0)))
            else:
                events.append((time, field(7, 1), field(14, 8), field(0, 0)))
        elif field(10, 10):
            signals.append((time, field(9, 0)))
        else:
            x = sensor.width - 1 - field(21, 12)
            events.append((time, x, field(30, 22), field(11, 11)))
    return events, signals, others


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


def test_real_recording__equals_a_slow_reading_of_its_words():
    path = shared_file("recordings/dvsflow16_IMU_rotDisk.aedat")
    mark = b"#End of Preferences for this AEChip\r\n"
    whole = path.read_bytes()
    head = whole.index(mark) + len(mark)
    events, signals, others = slow(whole[head:], DAVIS240)
    with open_recording(path) as recording:
        chunks = list(event_chunks(recording))
        assert (recording.format, recording.sensor) == ("aedat2", DAVIS240)
        assert recording.header.encode() == whole[:head]
        assert recording.t_offset == events[0][0] == 341_678
        assert recording.repairs == {"skipped_imu_words": 51_688}
    got = Events.concatenate(chunks, DAVIS240)
    want = np.array(events)
    assert len(got) == 374_296
    assert got.t_stop_us == 3_508_437 - 341_678 + 1
    for column, wanted in zip((got.t + 341_678, got.x, got.y, got.p), want.T, strict=True):
        np.testing.assert_array_equal(column, wanted)
    assert not signals
    assert others == {"aps": 0, "imu": 51_688, "unknown": 0}
    digest = hashlib.sha256()
    for column in (got.t, got.x, got.y, got.p):
        digest.update(column.tobytes())
    assert digest.hexdigest() == (
        "aad47681cc2d5d3c7fb4c05f212808f10cff6a7b23110409122275f7a98b211c"
    )


def test_davis__counts_columns_from_the_right(made):
    body = aedat.davis(5, x=0, y=179, p=1) + aedat.davis(9, x=239, y=0, p=0)
    recording = made(aedat.header2(aedat.DAVIS240) + body)
    assert rows(recording) == [(5, 239, 179, 1), (9, 0, 0, 0)]
    assert (recording.sensor, recording.t_offset, recording.repairs) == (DAVIS240, 5, {})


def test_dvs128__keeps_coordinates_as_published(made):
    body = aedat.dvs128(5, x=0, y=127, p=1) + aedat.dvs128(5, x=127, y=3, p=0)
    recording = made(aedat.header2(aedat.DVS128) + body)
    assert rows(recording) == [(5, 0, 127, 1), (5, 127, 3, 0)]
    assert recording.sensor == DVS128


@pytest.mark.parametrize(
    ("chip", "sensor"),
    [
        ("eu.seebetter.ini.chips.davis.DAVIS240C", (180, 240)),
        ("eu.seebetter.ini.chips.davis.Davis346blue", (260, 346)),
        ("DAVI346", (260, 346)),
        ("eu.seebetter.ini.chips.sbret10.SBret10", (180, 240)),
        ("eu.seebetter.ini.chips.davis.Davis640", (480, 640)),
        ("ch.unizh.ini.jaer.chip.retina.DVS128", (128, 128)),
        ("ch.unizh.ini.jaer.chip.retina.Tmpdiff128", (128, 128)),
    ],
)
def test_camera__is_the_one_that_the_header_names(made, chip, sensor):
    assert made(aedat.header2(chip)).sensor == sensor


def test_camera__may_be_named_only_by_the_hardware_interface(made):
    head = aedat.header2(None) + b"# HardwareInterface: DVS128 SN 0012\r\n"
    assert made(head).sensor == DVS128


@pytest.mark.parametrize("chip", [None, "ch.unizh.ini.jaer.chip.cochlea.CochleaAMS1c"])
def test_camera__that_is_not_known_asks_for_the_sensor(made, chip):
    head = aedat.header2(chip)
    named = "no camera" if chip is None else "the camera 'ch.unizh.*CochleaAMS1c'"
    with pytest.raises(RecordingError, match=rf"names {named}.*column sensor .*128x128 for a DVS"):
        made(head)
    with pytest.raises(RecordingError, match="sensor 64x32 is given"):
        made(head, sensor=Sensor(32, 64))
    event = made(head + aedat.dvs128(1, 2, 3, 1), sensor=DVS128)
    assert rows(event) == [(1, 2, 3, 1)]
    event = made(head + aedat.davis(1, 2, 3, 1), sensor=Sensor(260, 346))
    assert rows(event) == [(1, 343, 3, 1)]


def test_sensor__other_than_the_cameras_is_refused(made):
    with pytest.raises(RecordingError, match="a sensor of 240x180 px, but 346x260 was given"):
        made(aedat.header2(aedat.DAVIS240), sensor=Sensor(260, 346))


def test_samples_of_other_kinds__are_left_out_and_counted(made):
    body = aedat.davis_sample(1, kind=0, value=1023, x=3, y=4)
    body += aedat.davis(5, 1, 2, 1)
    body += aedat.davis_imu(6, (1, -1, 2, -2, 3, -3, 4))
    body += aedat.davis_sample(7, kind=1) + aedat.word(1 << 31 | 2 << 10, 8)
    recording = made(aedat.header2(aedat.DAVIS240) + body)
    for _ in range(2):
        assert rows(recording) == [(5, 238, 2, 1)]
        assert recording.repairs == {
            "skipped_aps_words": 2,
            "skipped_imu_words": 7,
            "skipped_unknown_words": 1,
        }


@pytest.mark.parametrize(
    ("chip", "event", "signals"),
    [
        (aedat.DAVIS240, aedat.davis(9, 0, 0, 1), [1 << 10 | 3, 3 << 10]),
        (aedat.DVS128, aedat.dvs128(9, 0, 0, 1), [1 << 15 | 3, 0xFFFF8000]),
    ],
)
def test_external_signals__are_triggers(made, chip, event, signals):
    body = aedat.word(signals[0], 4) + event + aedat.word(signals[1], 11)
    recording = made(aedat.header2(chip) + body)
    (marks,) = (batch for batch in recording.batches() if isinstance(batch, Triggers))
    assert marks.t.tolist() == [-5, 2]
    assert marks.id.tolist() == [3, 0]
    assert marks.edge.tolist() == [-1, -1]
    assert sum(map(len, event_chunks(recording))) == 1


def test_timestamps__wrap_and_may_be_signed(made):
    stamps = [2**31 - 2, 2**31 + 1, 2**32 - 1, 0, 2**31 - 1, -(2**31), -1, 7]
    body = b"".join(aedat.davis(t, 0, 0, 1) for t in stamps)
    recording = made(aedat.header2(aedat.DAVIS240) + body)
    want = [2**31 - 2, 2**31 + 1, 2**32 - 1, 2**32, 3 * 2**31 - 1, 3 * 2**31]
    assert [t for t, *_ in rows(recording)] == [*want, 2**33 - 1, 2**33 + 7]


def test_timestamp__that_goes_back_a_little_is_not_a_wrap(made):
    body = aedat.davis(50, 0, 0, 1) + aedat.davis(49, 1, 0, 0)
    with pytest.raises(RecordingError, match="event t=49 µs, number 1 from here, is before t=50"):
        rows(made(aedat.header2(aedat.DAVIS240) + body))
    recording = made(aedat.header2(aedat.DAVIS240) + body, reading=Reading(on_disorder="sort"))
    assert rows(recording) == [(49, 238, 0, 0), (50, 239, 0, 1)]


def test_timestamps__beyond_285_years_are_damage():
    clock = np.array([2**53 - 1, 0])
    words = np.array([[0, 1], [0, 2]], np.uint32)
    room = [np.empty(2, kind) for kind in ("i8", "i2", "i2", "u1", "i8", "i2")]
    tally = np.zeros(7, np.int64)
    assert kernels.davis(words, 240, 180, 2**53, clock, *room, tally) == 1
    assert (room[0][0], tally[0]) == (2**53, 1)


@pytest.mark.parametrize("y", [140, 141, 142, 143])
@pytest.mark.parametrize("t", [0, 0x20202020, 0x0D0A0D0A])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_first_event__may_begin_with_the_byte_of_a_header_line(made, y, t, end):
    event = aedat.davis(t, 0x15, y, 1)
    assert event[:1] == b"#"
    recording = made(aedat.header2(aedat.DAVIS240, end) + event)
    assert recording.header.encode() == aedat.header2(aedat.DAVIS240, end)
    assert rows(recording) == [(t, 239 - 0x15, y, 1)]


@pytest.mark.parametrize("fill", [*range(65_430, 65_445), 131_000, 700_000])
def test_header__of_any_length_is_read_to_its_end(made, fill):
    lines = aedat.header2(aedat.DAVIS240)
    head = lines + b"#" + b"a" * (fill - len(lines)) + b"\r\n# \xfcber\r\n"
    recording = made(head + aedat.davis(1, 2, 143, 1))
    assert recording.header.encode("latin-1") == head
    assert rows(recording) == [(1, 237, 143, 1)]


def test_header__ends_at_the_line_that_says_so(made):
    head = aedat.header2(aedat.DAVIS240) + b"# End of ASCII Header\r\n"
    event = b"#abc\r\n\x20\x20"  # which would be a line if the header had not ended
    recording = made(head + event, reading=Reading(on_out_of_bounds="drop"))
    assert recording.header.encode() == head
    assert slow(event, DAVIS240)[0][0][2] == 141
    assert list(recording.batches()) == []
    assert recording.repairs == {"out_of_bounds_events": 1}


def test_header__that_is_cut_is_damage(made):
    whole = aedat.header2(aedat.DAVIS240)
    starts = [0, *(k + 2 for k in range(len(whole)) if whole[k : k + 2] == b"\r\n")]
    for stop in set(range(12, len(whole))) - set(starts):  # a line ends there
        at = max(start for start in starts if start < stop)
        with pytest.raises(RecordingError, match=rf"byte {at}: the header ends in the middle"):
            made(whole[:stop], sensor=DAVIS240)


def test_file__cut_at_every_byte_gives_the_whole_words_before(made):
    head = aedat.header2(aedat.DVS128)
    body = b"".join(aedat.dvs128(t, t, 2, 1) for t in range(4))
    for stop in range(len(body) + 1):
        recording = made(head + body[:stop], reading=SALVAGE)
        assert rows(recording) == [(t, t, 2, 1) for t in range(stop // 8)]
        assert recording.repairs == {"damaged_bytes": stop % 8}
        if stop % 8:
            at = len(head) + stop // 8 * 8
            with pytest.raises(RecordingError, match=rf"byte {at}: the file ends after {stop % 8}"):
                rows(made(head + body[:stop]))


def test_word__of_another_camera_is_damage_at_its_byte(made):
    head = aedat.header2(aedat.DVS128)
    data = head + aedat.dvs128(1, 2, 3, 1) + aedat.davis(2, 2, 3, 1) + aedat.dvs128(3, 2, 3, 1)
    with pytest.raises(
        RecordingError, match=rf"byte {len(head) + 8}: .* word with address 0x00c02"
    ):
        rows(made(data))
    recording = made(data, reading=SALVAGE)
    assert rows(recording) == [(1, 2, 3, 1)]
    assert recording.repairs == {"damaged_bytes": 16}


@pytest.mark.parametrize(("x", "y", "said"), [(3, 180, "x=236, y=180"), (240, 3, "x=-1, y=3")])
def test_event__outside_the_sensor_is_an_error_with_its_byte(made, x, y, said):
    head = aedat.header2(aedat.DAVIS240)
    data = head + aedat.davis_sample(0, 0) + aedat.davis(1, 0, 0, 1) + aedat.davis(2, x, y, 1)
    at = len(head) + 8
    with pytest.raises(RecordingError, match=rf"byte {at}: event {said}, number 1 from here"):
        rows(made(data))
    recording = made(data, reading=Reading(on_out_of_bounds="drop"))
    assert rows(recording) == [(1, 239, 0, 1)]


ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1),
    st.builds(
        lambda y, x, p: y << 22 | x << 12 | p << 10, *(st.integers(0, n) for n in (179, 239, 3))
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    words=st.lists(st.tuples(ADDRESSES, st.integers(0, 2**32 - 1)), max_size=30),
    dvs128=st.booleans(),
    piece=st.integers(1, 7),
)
def test_reader__equals_the_slow_reading_in_pieces_of_any_size(
    tmp_path_factory, words, dvs128, piece
):
    sensor = DVS128 if dvs128 else DAVIS240
    if dvs128:
        words = [(address & 0xFFFF, stamp) for address, stamp in words]
    body = b"".join(aedat.word(*one) for one in words)
    assume(not body.startswith(b"#"))  # which no event does that could be a header line
    path = tmp_path_factory.mktemp("words") / "r.aedat"
    path.write_bytes(aedat.header2(aedat.DVS128 if dvs128 else aedat.DAVIS240) + body)
    events, signals, others = slow(body, sensor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aedat2, "PIECE_ROWS", piece)
        patch.setattr(jumps, "JITTER_US", 2**40)
        with open_recording(path, reading=Reading("sort", "drop")) as recording:
            got = rows(recording)
            marks = [b for b in recording.batches() if isinstance(b, Triggers)]
            repairs, offset = dict(recording.repairs), recording.t_offset
    inside = [e for e in events if 0 <= e[1] < sensor.width and e[2] < sensor.height]
    assert got == sorted(inside, key=lambda event: event[0])
    assert [(t + offset, k) for m in marks for t, k in zip(m.t, m.id, strict=True)] == signals
    assert repairs.pop("out_of_bounds_events") == len(events) - len(inside)
    repairs.pop("disordered_events")
    assert repairs == {f"skipped_{name}_words": n for name, n in others.items() if n}


@pytest.mark.parametrize("camera", ["davis", "dvs128"])
def test_kernel__of_no_words_gives_none(camera):
    room = [np.empty(0, kind) for kind in ("i8", "i2", "i2", "u1", "i8", "i2")]
    clock, tally = np.array([2**31, 2**31]), np.zeros(7, np.int64)
    decode = getattr(kernels, camera)
    assert decode(np.empty((0, 2), np.uint32), 128, 128, 2**53, clock, *room, tally) == 0
    assert tally.tolist() == [0, 0, 0, 0, 0, 0, 1]
