"""40-bit events (N-MNIST): the published bits are read; files of other formats are recognized."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError, UnknownFormatError, UsageError
from evreel.events import Events, Sensor
from evreel.recordings import aer40, jumps, open_recording
from evreel.recordings.open import Reading
from recordings.rows import read as read_rows
from recordings.rows import written
from support import shared_file
from support.writers import aer40 as made
from support.writers import prophesee as writers_prophesee

SENSOR = Sensor(34, 34)
SALVAGE = Reading(on_damage="salvage")
ROWS = [(5, 0, 33, 1), (5, 33, 0, 0), (700, 7, 9, 1), (8_388_607, 1, 2, 0)]


def slow(content: bytes):
    """Return events (t, x, y, p) and the number of overflows, bit by bit as on the page."""
    rows, overflows = [], 0
    for at in range(0, len(content) // 5 * 5, 5):
        bits = "".join(f"{byte:08b}" for byte in content[at : at + 5])  # bit 39 first
        x, y, p, t = (int(part, 2) for part in (bits[:8], bits[8:16], bits[16], bits[17:]))
        if y == 240:
            overflows += 1
        else:
            rows.append((t + 2**13 * overflows, x, y, p))
    return rows, overflows


def file(tmp_path: Path, content: bytes, name: str = "r.bin") -> Path:
    return written(tmp_path, name, content)


def read(path: Path, sensor: Sensor = SENSOR, **options):
    return read_rows(path, sensor=sensor, **options)


def test_event__worked_by_hand(tmp_path):
    # x 7, y 15, ON, 0x028e13 = 167,443 µs
    path = file(tmp_path, bytes([0x07, 0x0F, 0x82, 0x8E, 0x13]))
    assert read(path) == ([(167_443, 7, 15, 1)], {})


def test_events__keep_first_and_last_pixel_and_equal_and_latest_times(tmp_path):
    path = file(tmp_path, made.aer40(ROWS))
    assert read(path) == (ROWS, {})
    with open_recording(path, sensor=SENSOR) as recording:
        assert (recording.format, recording.t_offset, recording.header) == ("aer40", 5, "")
        (batch,) = recording.batches(695, 696)
        assert (batch.t.tolist(), batch.x.dtype, batch.y.dtype) == ([695], np.uint16, np.uint16)


def test_overflow__delays_what_follows_and_is_not_an_event(tmp_path):
    content = made.word(8_000, 1, 2, 1) + made.overflow(77, 3, 1) + made.word(0, 2, 2, 0)
    content += made.overflow() * 2 + made.word(8_191, 3, 3, 1)
    path = file(tmp_path, made.overflow() + content)
    want = [(8_000 + 8_192, 1, 2, 1), (2 * 8_192, 2, 2, 0), (5 * 8_192 - 1, 3, 3, 1)]
    for _ in range(2):
        assert read(path) == (want, {"skipped_overflow_words": 4})


def test_overflows__carry_times_beyond_32_bits_and_over_pieces(tmp_path):
    n = (1 << 32 >> 13) + 1  # more words than a piece has
    assert n > aer40.PIECE_ROWS
    path = file(tmp_path, made.word(3, 0, 0, 1) + made.overflow() * n + made.word(3, 1, 1, 0))
    assert read(path) == (
        [(3, 0, 0, 1), ((1 << 32) + 8_192 + 3, 1, 1, 0)],
        {"skipped_overflow_words": n},
    )


def test_overflows_alone__are_not_events(tmp_path):
    assert read(file(tmp_path, made.overflow() * 3)) == ([], {"skipped_overflow_words": 3})


@settings(deadline=None, max_examples=100)
@given(
    words=st.lists(
        st.tuples(
            st.integers(0, 2**23 - 1),
            st.integers(0, 255),
            st.integers(0, 255) | st.just(240),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=40,
    ),
    piece=st.integers(1, 7),
)
def test_reader__equals_the_slow_reading_in_pieces_of_any_size(tmp_path_factory, words, piece):
    content = b"".join(made.word(*word) for word in words)
    path = file(tmp_path_factory.mktemp("words"), content)
    events, overflows = slow(content)
    sensor = Sensor(200, 150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aer40, "PIECE_ROWS", piece)
        patch.setattr(jumps, "JITTER_US", 2**40)
        rows, repairs = read(path, sensor, reading=Reading("sort", "drop"))
    inside = [row for row in events if row[1] < 150 and row[2] < 200]
    assert rows == sorted(inside, key=lambda row: row[0])
    assert repairs.get("skipped_overflow_words", 0) == overflows
    assert repairs["out_of_bounds_events"] == len(events) - len(inside)
    assert path.read_bytes() == content


# Recognizing the format


def test_name__decides_if_no_format_has_the_first_bytes(tmp_path):
    content = made.aer40(ROWS)
    for name in ("r.bin", "r.BIN"):
        assert read(file(tmp_path, content, name))[0] == ROWS
    for name in ("r.raw", "r", "bin"):
        with pytest.raises(UnknownFormatError, match=r"40-bit events in a file named \.bin"):
            read(file(tmp_path, content, name))


def test_recording_of_another_format__is_read_as_such_under_this_name(tmp_path):
    rows = [(5_000, 1, 2, 1)]
    content = writers_prophesee.raw("3.0", writers_prophesee.Evt3.encode(rows), (34, 34))
    path = file(tmp_path, content)
    with open_recording(path) as recording:
        assert recording.format == "evt3"
    assert read(path)[0] == rows


@pytest.mark.parametrize("t", [0, 31 << 16, 1 << 21 - 1])
@pytest.mark.parametrize("p", [0, 1])
def test_first_event__may_have_the_bytes_of_prophesees_header(tmp_path, t, p):
    content = made.word(t, x=37, y=32, p=p)
    assert content.startswith(b"% ")
    assert read(file(tmp_path, content), Sensor(180, 240))[0] == [(t, 37, 32, p)]
    with pytest.raises(UnknownFormatError):
        open_recording(file(tmp_path, content, "r.raw"))


def test_first_event__that_looks_like_text_is_taken_for_text(tmp_path):
    content = made.word(ord("e") << 16 | ord("v") << 8 | ord("t"), x=37, y=32, p=0)
    assert content == b"% evt"
    with pytest.raises(RecordingError, match="header ends in the middle of a line"):
        open_recording(file(tmp_path, content), sensor=Sensor(180, 240))


def test_sensor__must_be_given(tmp_path):
    path = file(tmp_path, made.aer40(ROWS))
    # As for an unknown format, so that an audit takes no other .bin for a broken recording.
    with pytest.raises(UnknownFormatError, match=r"by its name, \.bin, .*34x34 for N-MNIST"):
        open_recording(path)
    with pytest.raises(UsageError, match="one stream"):
        open_recording(path, sensor=SENSOR, stream=0)


# Damage


def test_file__cut_at_every_byte_gives_the_whole_words_before(tmp_path):
    content = made.aer40([*ROWS, (9_000_000, 3, 3, 1)], most=1 << 22)[: 5 * 40]
    for stop in range(1, len(content) + 1):
        path = file(tmp_path, content[:stop])
        left = stop % 5
        events, repairs = read(path, reading=SALVAGE)
        assert events == slow(content[:stop])[0]
        assert repairs["damaged_bytes"] == left
        if left:
            with pytest.raises(RecordingError, match=f"ends after {left} of a word's 5") as caught:
                read(path)
            assert caught.value.offset == stop - left


def test_file__that_shrinks_while_it_is_read_is_damage(tmp_path):
    path = file(tmp_path, made.aer40(ROWS))
    with open_recording(path, sensor=SENSOR) as recording:
        path.write_bytes(made.aer40(ROWS[:2]))
        with pytest.raises(RecordingError, match="ends after 0 of a word's 5") as caught:
            list(recording.batches())
    assert caught.value.offset == 10


def test_event__outside_the_sensor_or_before_the_previous_one_is_reported_with_its_byte(tmp_path):
    content = made.overflow() + made.aer40(ROWS[:2]) + made.word(900, 34, 3, 1)
    path = file(tmp_path, content)
    with pytest.raises(
        RecordingError, match=r"x=34, y=3, number 2 from here, .*sensor of 34x34"
    ) as caught:
        read(path)
    assert caught.value.offset == 5
    rows, repairs = read(path, reading=Reading(on_out_of_bounds="drop"))
    assert (len(rows), repairs["out_of_bounds_events"]) == (2, 1)
    path = file(tmp_path, made.word(9, 1, 1, 1) + made.word(8, 2, 2, 0))
    with pytest.raises(RecordingError, match="t=8 µs, number 1 from here, is before t=9"):
        read(path)
    assert read(path, reading=Reading(on_disorder="sort"))[0] == [(8, 2, 2, 0), (9, 1, 1, 1)]


# A real one


def test_real_recording__equals_a_slow_reading_of_its_bits():
    path = shared_file("recordings/tonic_sample_nmnist.bin")
    want, overflows = slow(path.read_bytes())
    with open_recording(path, sensor=SENSOR) as recording:
        events = Events.concatenate(list(recording.batches()), SENSOR)
        assert (recording.t_offset, recording.repairs, overflows) == (654, {}, 0)
    assert len(events) == 4_325
    columns = (events.t + 654, events.x, events.y, events.p)
    for column, wanted in zip(columns, zip(*want, strict=True), strict=True):
        np.testing.assert_array_equal(column, wanted)
    digest = hashlib.sha256(b"".join(getattr(events, name).tobytes() for name in "txyp"))
    assert digest.hexdigest() == "bd3414666b9734f35b5e13dd0c979443c1c4fc4d637f9b611f7b5e2f180d7da5"
