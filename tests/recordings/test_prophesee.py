"""Prophesee's RAW and DAT: read as published, and as other readers do; damage is never taken for
events."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Events, Sensor
from evreel.recordings import evt, open_recording, prophesee
from evreel.recordings.open import Reading
from evreel.recordings.pieces import Piece
from recordings.rows import marks, rows, written
from support import run_oracle, shared_file
from support.writers import prophesee as made
from support.writers.prophesee import Evt2, Evt3

SIZE = (64, 48)  # width, height
SALVAGE = Reading(on_damage="salvage")
ROWS = [
    (5, 7, 0, 1),
    (5, 0, 5, 0),
    (70, 1, 5, 1),
    (70, 2, 5, 1),
    (70, 4, 5, 1),
    (71, 3, 1),  # a trigger: time, channel, edge
    (4_100, 7, 5, 0),
    (9_000, 0, 0),
    (9_000, 6, 1, 1),
]
EVENTS = [row for row in ROWS if len(row) == 4]
TRIGGERS = [(t, edge, channel) for t, channel, edge in (row for row in ROWS if len(row) == 3)]


def file(tmp_path: Path, content: bytes, name: str = "r.raw") -> Path:
    return written(tmp_path, name, content)


def read(path: Path, **options):
    """Return events and triggers on the file's own clock as rows, and the repairs."""
    with open_recording(path, **options) as recording:
        return rows(recording), marks(recording), dict(recording.repairs)


def random_rows(n: int, seed: int, size=SIZE, stop: int = 200_000):
    """Return rows of events, with equal times and runs along a row of pixels, and triggers."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, stop, n))
    t[rng.random(n) < 0.5] = t[0]
    t.sort()
    rows = []
    for k in range(n):
        x, y, p = (int(rng.integers(0, limit)) for limit in (*size, 2))
        run = int(rng.integers(1, 12)) if rng.random() < 0.2 else 1
        rows += [(int(t[k]), x + j, y, p) for j in range(min(run, size[0] - x))]
        if rng.random() < 0.05:
            rows.append((int(t[k]), int(rng.integers(0, 16)), int(rng.integers(0, 2))))
    return rows


# What each word means, in plain Python: the slow twins of the kernels.


class Twin:
    """Decodes words; a subclass's `word` adds to events and marks."""

    bits, unit = 28, 64

    def __init__(self, words):
        self.events, self.marks = [], []
        self.repairs = {}
        self.turns, self.high, self.time = 0, None, None
        self.fault = None
        self.begin()
        for k, word in enumerate(words):
            if self.word(word) is False:
                self.fault = k
                break

    def begin(self):
        pass

    def skip(self, kind):
        name = f"skipped_{kind}_words"
        self.repairs[name] = self.repairs.get(name, 0) + 1

    def set_high(self, high):
        if self.high is not None:
            span, step = 1 << self.bits, high - self.high
            most = min(5_000_000 // self.unit, span // 16)
            if step < 0 and span + step <= most:
                self.turns += 1
            elif step > 0 and span - step <= most and self.turns:
                self.turns -= 1
        self.high = high
        self.time = (self.turns << self.bits | high) * self.unit


class Twin2(Twin):
    imu = (0xD,)

    def word(self, word, valid=1):
        kind = word >> 28
        if kind == 8:
            self.set_high(word & 0xFFFFFFF)
        elif kind in (0, 1, 0xA):
            if self.time is None:
                return self.skip("unplaced")
            t = self.time + (word >> 22 & 63)
            if kind == 0xA:
                self.marks.append((t, word & 1, word >> 8 & 31))
            else:
                x, y = word >> 11 & 2047, word & 2047
                self.events += [(t, x + k, y, kind) for k in range(32) if valid >> k & 1]
        elif kind in (0xE, 0xF, *self.imu):
            self.skip("other")
        else:
            return False
        return None


class Twin21(Twin2):
    imu = ()

    def word(self, word, valid=1):
        return super().word(word >> 32, word & 0xFFFFFFFF)


class Twin3(Twin):
    bits, unit = 12, 4096

    def begin(self):
        self.low, self.y, self.base, self.p = 0, None, None, None

    def word(self, word):
        kind, low = word >> 12, word & 2047
        t = None if self.time is None else self.time + self.low
        if kind == 0:
            self.y = low
        elif kind == 1:
            self.y = None
            self.skip("other")
        elif kind == 2:
            if t is None or self.y is None:
                self.skip("unplaced")
            else:
                self.events.append((t, low, self.y, word >> 11 & 1))
        elif kind == 3:
            self.base, self.p = low, word >> 11 & 1
        elif kind in (4, 5):
            n = 12 if kind == 4 else 8
            if t is None or self.y is None or self.base is None:
                self.skip("unplaced")
            else:
                x = self.base
                self.events += [(t, x + k, self.y, self.p) for k in range(n) if word >> k & 1]
                self.base += n
        elif kind == 6:
            self.low = word & 0xFFF
        elif kind == 8:
            if word & 0xFFF != self.high:
                self.low = 0
                self.set_high(word & 0xFFF)
        elif kind == 0xA:
            if t is None:
                self.skip("unplaced")
            else:
                self.marks.append((t, word & 1, word >> 8 & 15))
        elif kind in (7, 0xD, 0xE, 0xF):
            self.skip("other")
        else:
            return False
        return None


TWINS = {"2.0": Twin2, "2.1": Twin21, "3.0": Twin3}


def decoded(path: Path):
    """Return what a reader decodes, before order and bounds are checked."""
    events, marks, error = [], [], None
    with open_recording(path, reading=SALVAGE) as recording:
        recording.repairs.clear()
        try:
            for piece in recording._pieces():
                if isinstance(piece, Piece):
                    columns = [c.tolist() for c in piece[:4]]
                    rows = list(zip(*columns, strict=True))
                    in_order = rows == sorted(rows, key=lambda row: row[0])
                    height, width = recording.sensor
                    inside = all(x < width and y < height for _, x, y, _ in rows)
                    assert piece.sound == (in_order and inside)
                    assert 0 <= piece.offset <= path.stat().st_size
                    events += rows
                else:
                    columns = [c.tolist() for c in (piece.t, piece.edge, piece.id)]
                    marks += list(zip(*columns, strict=True))
        except RecordingError as caught:
            error = caught
        return events, marks, dict(recording.repairs), error


def words_of(version: str):
    """Return a strategy of words, most of them of types with a meaning."""
    bits = 8 * made.BYTES[version]
    kinds = {
        "2.0": [0, 1, 1, 8, 8, 0xA, 0xD, 0xE],
        "2.1": [0, 1, 1, 8, 8, 0xA, 0xE],
        "3.0": [0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 8, 0xA, 0xD, 0xE, 0xF],
    }[version]
    kind = st.one_of(*[st.sampled_from(kinds)] * 8, st.integers(0, 15))
    content = st.one_of(
        st.integers(0, 2**bits // 16 - 1),
        st.integers(0, 90).map(lambda n: n << (bits - 32 if bits == 64 else 0)),
        st.just(2**bits // 16 - 1),
        st.integers(0, 255).map(lambda n: n * (2**bits // 16 // 256)),
    )
    word = st.builds(lambda kind, content: kind << bits - 4 | content, kind, content)
    return st.lists(word, max_size=60)


@pytest.mark.parametrize("version", ["2.0", "2.1", "3.0"])
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_words__are_decoded_as_by_the_plain_twin(tmp_path_factory, version, data):
    words = data.draw(words_of(version))
    legacy = version == "2.1" and data.draw(st.booleans())
    content = made.raw(version, words, SIZE, legacy)
    path = file(tmp_path_factory.mktemp("r"), content)
    twin = TWINS[version](words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evt, "PIECE_ROWS", data.draw(st.integers(1, 20)))
        patch.setattr(prophesee, "_READ_BYTES", 8 * data.draw(st.integers(1, 20)))
        patch.setattr(evt, "MARK_ROWS", data.draw(st.integers(1, 4)))
        events, marks, repairs, error = decoded(path)
    assert events == twin.events
    assert marks == twin.marks
    assert repairs == twin.repairs
    size = made.BYTES[version]
    start = len(content) - size * len(words)
    assert (error and error.offset) == (None if twin.fault is None else start + size * twin.fault)


@pytest.mark.parametrize("version", [1, 2])
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_records_of_dat__are_decoded_as_by_the_plain_twin(tmp_path_factory, version, data):
    times = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 50), st.just(2**32 - 1))
    row = st.tuples(times, st.integers(0, 70), st.integers(0, 50), st.sampled_from([0, 1, 1, 0]))
    rows = data.draw(st.lists(row, max_size=40))
    path = file(tmp_path_factory.mktemp("r"), made.dat(rows, SIZE, version))
    expected, turns = [], 0
    for k, (t, *rest) in enumerate(rows):
        step = t - rows[k - 1][0] if k else 0
        if step <= 5_000_000 - 2**32:
            turns += 1
        elif step >= 2**32 - 5_000_000 and turns:
            turns -= 1
        expected.append((t + (turns << 32), *rest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prophesee, "PIECE_ROWS", data.draw(st.integers(1, 20)))
        events, marks, repairs, error = decoded(path)
    assert (events, marks, repairs, error) == (expected, [], {}, None)


# Whole files


@pytest.mark.parametrize(
    ("version", "legacy"), [("2.0", False), ("2.1", False), ("2.1", True), ("3.0", False)]
)
def test_raw__gives_the_events_and_triggers_that_were_written(tmp_path, version, legacy):
    words = made.ENCODERS[version].encode(ROWS)
    path = file(tmp_path, made.raw(version, words, legacy=legacy))
    assert read(path) == (EVENTS, TRIGGERS, {})
    with open_recording(path) as recording:
        assert recording.format == {"2.0": "evt2", "2.1": "evt2.1", "3.0": "evt3"}[version]
        assert recording.sensor == (6, 8)
        assert recording.t_offset == 5
        assert (
            recording.header == path.read_bytes()[: path.read_bytes().index(b"end\n") + 4].decode()
        )


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", [0x00, 0x0C])
def test_dat__gives_the_events_that_were_written(tmp_path, version, kind):
    path = file(tmp_path, made.dat(EVENTS, version=version, kind=kind), "r.dat")
    assert read(path) == (EVENTS, [], {})
    with open_recording(path) as recording:
        assert (recording.format, recording.sensor) == ("dat", (6, 8))
        assert recording.header.endswith("% Height 6\n")


@pytest.mark.parametrize("version", ["2.0", "2.1", "3.0"])
def test_many_events__are_all_kept_over_pieces_and_reads(tmp_path, version, monkeypatch):
    monkeypatch.setattr(evt, "PIECE_ROWS", 500)
    monkeypatch.setattr(prophesee, "_READ_BYTES", 1 << 10)
    monkeypatch.setattr(evt, "MARK_ROWS", 3)
    rows = random_rows(3_000, 1)
    path = file(tmp_path, made.raw(version, made.ENCODERS[version].encode(rows), SIZE))
    events, marks, repairs = read(path)
    assert events == [row for row in rows if len(row) == 4]
    assert marks == [(t, edge, channel) for t, channel, edge in (r for r in rows if len(r) == 3)]
    assert repairs == {}


def test_recording__without_events_has_time_zero_0(tmp_path):
    for content in (made.raw("3.0", []), made.dat([])):
        assert read(file(tmp_path, content)) == ([], [], {})


# Time


@pytest.mark.parametrize(("version", "bits"), [("2.0", 34), ("2.1", 34), ("3.0", 24)])
def test_time_high__that_wraps_is_counted_on(tmp_path, version, bits):
    rows = [((k << bits) + t, 1, 2, 1) for k in range(3) for t in (5, (1 << bits) - 3)]
    # A step over half the range needs time highs on the way.
    rows = sorted(rows + [((k << bits) + (1 << bits - 1), 2, 2, 0) for k in range(3)])
    path = file(tmp_path, made.raw(version, made.ENCODERS[version].encode(rows)))
    assert read(path)[0] == rows


def test_dat_timestamps__that_wrap_are_counted_on(tmp_path):
    stamps = (t << 30 for t in range(14))
    rows = [(t + late, 1, 2, 1) for t in stamps for late in (-5, 5) if t + late >= 0]
    assert read(file(tmp_path, made.dat(rows)))[0] == rows


def test_late_timestamp__after_a_wrap_is_out_of_order_and_not_a_range_ahead(tmp_path):
    rows = [(2**32 - 9, 0, 0, 0), (2**32 + 1, 1, 0, 0), (2**32 - 2, 2, 0, 0), (2**32 + 3, 3, 0, 0)]
    path = file(tmp_path, made.dat(rows))
    with pytest.raises(RecordingError, match="is before t=4294967297"):
        read(path)
    events, _, repairs = read(path, reading=Reading(on_disorder="sort"))
    assert (events, repairs) == (sorted(rows), {"disordered_events": 1})


def test_time_low__holds_while_the_same_time_high_is_repeated(tmp_path):
    # Time highs are repeated every 16 µs "to resynchronize faster in case of data loss". evt3
    # 0.4.1 takes a repeated one as low time 0, so that time goes back; faery and OpenEB do not.
    words = [Evt3.time_high(5 << 12), Evt3.time_low(100), Evt3.addr_y(1), Evt3.addr_x(2, 0)]
    words += [Evt3.time_high(5 << 12), Evt3.addr_x(3, 0)]
    words += [Evt3.time_high(6 << 12), Evt3.addr_x(4, 0)]
    events, _, _ = read(file(tmp_path, made.raw("3.0", words)))
    assert [row[0] for row in events] == [(5 << 12) + 100, (5 << 12) + 100, 6 << 12]


def test_times_beyond_the_limit__are_damage(tmp_path):
    words = [Evt2.time_high(0), Evt2.cd(1, 1, 1, 1)]
    turn = made.packed("2.0", [Evt2.time_high(t) for t in (0, 2 << 32, (4 << 32) - 64)])
    body = turn * ((1 << 53 - 34) + 1)
    path = file(tmp_path, made.raw("2.0", words) + body)
    with pytest.raises(RecordingError, match="time high exceeds 285 years") as caught:
        read(path)
    assert caught.value.offset == path.stat().st_size - len(turn)


# EVT 3.0: what holds until it is stated again


def test_vector_base__moves_on_by_the_length_of_each_vector(tmp_path):
    # A single event does not change it: "updates the X position" is said only of VECT_BASE_X and of
    # vectors, and evt3 and OpenEB do so. faery 0.7.1 continues from the single event.
    words = [Evt3.time_high(0), Evt3.addr_y(1), Evt3.vect_base_x(10, 1), Evt3.vect_12(0x801)]
    words += [Evt3.vect_12(1), Evt3.addr_x(3, 0), Evt3.vect_8(0x81), Evt3.vect_8(0xF01)]
    events, _, _ = read(file(tmp_path, made.raw("3.0", words, SIZE)))
    assert [row[1:] for row in events] == [
        (10, 1, 1),
        (21, 1, 1),
        (22, 1, 1),
        (3, 1, 0),
        (34, 1, 1),
        (41, 1, 1),
        (42, 1, 1),
    ]


def test_vectors__that_never_restate_their_base_leave_the_sensor_and_do_not_come_back(tmp_path):
    words = [Evt3.time_high(0), Evt3.addr_y(1), Evt3.vect_base_x(0, 1)]
    path = file(tmp_path, made.raw("3.0", words + [Evt3.vect_12(1)] * 20_000, SIZE))
    events, _, repairs = read(path, reading=Reading(on_out_of_bounds="drop"))
    assert [row[1] for row in events] == [0, 12, 24, 36, 48, 60]
    assert repairs == {"out_of_bounds_events": 20_000 - 6}


@pytest.mark.parametrize(
    ("words", "events", "skipped"),
    [
        # y and base are kept from before the first time high; events and triggers are not
        (
            [
                *[Evt3.addr_y(3), Evt3.addr_x(1, 1), Evt3.vect_base_x(4, 1)],
                *[Evt3.ext_trigger(0, 1), Evt3.time_low(9), Evt3.time_high(0)],
                *[Evt3.addr_x(2, 1), Evt3.vect_8(2)],
            ],
            [(0, 2, 3, 1), (0, 5, 3, 1)],
            2,
        ),
        # no y, no base
        (
            [
                *[Evt3.time_high(0), Evt3.addr_x(1, 1), Evt3.vect_12(1), Evt3.addr_y(0)],
                *[Evt3.vect_12(1), Evt3.addr_x(1, 1)],
            ],
            [(0, 1, 0, 1)],
            3,
        ),
    ],
)
def test_words__that_depend_on_what_is_not_stated_are_left_out_and_counted(
    tmp_path, words, events, skipped
):
    got = read(file(tmp_path, made.raw("3.0", words)))
    assert got == (events, [], {"skipped_unplaced_words": skipped})


def test_events_before_the_first_time_high__are_left_out_and_counted(tmp_path):
    words = [Evt2.cd(3, 1, 1, 1), Evt2.ext_trigger(3, 1, 1), *Evt2.encode(ROWS)]
    assert read(file(tmp_path, made.raw("2.0", words))) == (
        EVENTS,
        TRIGGERS,
        {"skipped_unplaced_words": 2},
    )


def test_words_of_other_kinds__are_left_out_and_counted(tmp_path):
    words = Evt2.encode(ROWS)
    others = [0xD << 28, 0xE << 28 | 0x14, 0xF << 28 | 5]
    got = read(file(tmp_path, made.raw("2.0", others + words + others)))
    assert got == (EVENTS, TRIGGERS, {"skipped_other_words": 6})
    words = Evt3.encode(ROWS)
    others = [0xE014, 0xF001, 0xF002, 0x7003, 0xD000]
    # and a y of other events than pixel changes, with such an event
    got = read(file(tmp_path, made.raw("3.0", words + others + [0x1003, Evt3.addr_x(1, 1)])))
    assert got == (EVENTS, TRIGGERS, {"skipped_other_words": 6, "skipped_unplaced_words": 1})


# Order and bounds


@pytest.mark.parametrize("x, y", [(8, 0), (0, 6)])
def test_event_outside_the_sensor__is_an_error_or_dropped_and_counted(tmp_path, x, y):
    rows = [(1, 0, 0, 1), (2, x, y, 1), (3, 7, 5, 1)]
    for content in [
        *(made.raw(v, made.ENCODERS[v].encode(rows)) for v in made.ENCODERS),
        made.dat(rows),
    ]:
        path = file(tmp_path, content)
        with pytest.raises(RecordingError, match=f"x={x}, y={y}, number 1 .* is outside the"):
            read(path)
        events, _, repairs = read(path, reading=Reading(on_out_of_bounds="drop"))
        assert (events, repairs) == ([rows[0], rows[2]], {"out_of_bounds_events": 1})


def test_event_that_goes_back_in_time__is_an_error_or_sorted_and_counted(tmp_path):
    rows = [(10, 0, 0, 1), (12, 1, 0, 1), (11, 2, 0, 1), (13, 3, 0, 1)]
    for content in [
        *(made.raw(v, made.ENCODERS[v].encode(rows)) for v in made.ENCODERS),
        made.dat(rows),
    ]:
        path = file(tmp_path, content)
        with pytest.raises(RecordingError, match="t=11 µs, number 2 from here, is before t=12"):
            read(path)
        events, _, repairs = read(path, reading=Reading(on_disorder="sort"))
        assert (events, repairs) == (sorted(rows), {"disordered_events": 1})


# The header


@pytest.mark.parametrize(
    "lines",
    [
        ["evt 3.0", "geometry 8x6"],
        ["format EVT3;height=6;width=8"],
        ["format EVT3;width=8;height=6;endianness=little", "evt 3.0", "geometry 8x6"],
        ["evt 3.0", "evt 3.0", "date 2020-01-01 10:00:00", "geometry 8x6", "owner Zoë"],
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_header__of_each_age_is_understood(tmp_path, lines, end):
    words = made.packed("3.0", Evt3.encode(ROWS))
    assert read(file(tmp_path, made.head(*lines, end=end) + words)) == (EVENTS, TRIGGERS, {})


def test_header__may_have_windows_line_endings(tmp_path):
    head = made.head("evt 3.0", "geometry 8x6").replace(b"\n", b"\r\n")
    path = file(tmp_path, head + made.packed("3.0", Evt3.encode(ROWS)))
    assert read(path)[0] == EVENTS


def test_words__that_begin_like_a_line_are_words(tmp_path):
    # A time high whose low bytes are "% ", in a file of Gen3 cameras, which do not write an end.
    high = 0x8ABC2025
    assert high.to_bytes(4, "little")[:2] == b"% "
    body = made.packed("2.0", [high, Evt2.cd(1, 1, 2, 1)]) + b"\n"
    path = file(tmp_path, made.head("evt 2.0", "geometry 8x6", end=False) + body)
    assert read(path, reading=SALVAGE)[0] == [(0xABC2025 * 64 + 1, 1, 2, 1)]


def test_sensor__that_the_header_does_not_state_must_be_given(tmp_path):
    words = made.packed("3.0", Evt3.encode(ROWS))
    path = file(tmp_path, made.head("evt 3.0") + words)
    with pytest.raises(RecordingError, match="evt3 does not state the sensor's size"):
        read(path)
    assert read(path, sensor=Sensor(6, 8))[0] == EVENTS
    path = file(tmp_path, made.raw("3.0", []))
    with pytest.raises(RecordingError, match="states a sensor of 8x6 px, but 9x6 was given"):
        read(path, sensor=Sensor(6, 9))


@pytest.mark.parametrize(
    ("lines", "at", "message"),
    [
        (["evt 2.0", "format EVT3;height=6;width=8"], 1, "evt is '2.0', but format is 'EVT3'"),
        (["evt 2.0", "evt 3.0"], 1, "evt is '3.0', but '2.0' in an earlier line"),
        (["format EVT3;height=6;width=8", "geometry 8x7"], 1, "8x7 px, but 8x6 px in another line"),
        (["evt 3.0", "geometry 8 x 6"], 1, "'8 x 6' is not a sensor size"),
        (["evt 3.0", "geometry 0x6"], 1, "'0x6' is not a sensor size"),
        (["format EVT3;height=6"], 0, "'x6' is not a sensor size"),
        (["evt 3.0", "geometry 2049x6"], 1, "2049x6 px is too large for the format"),
        (["format EVT4;height=6;width=8"], 0, "in encoding 'EVT4'.*EVT 2.0, 2.1 and 3.0"),
        (["format HISTO3D;height=6;width=8"], 0, "in encoding 'HISTO3D'"),
        (["evt 4.0"], 0, "in encoding 'EVT 4.0'"),
        (["geometry 8x6"], 0, "does not name its event encoding"),
        (["format EVT3;height=6;width=8;endianness=big"], 0, "endianness 'big'"),
        (["Data file containing CD events"], 0, "does not state the Version of DAT"),
        (["Version 3"], 0, "states version '3' of DAT"),
        (["Version 2", "Width 8"], 1, "'8x' is not a sensor size"),
    ],
)
def test_header__that_contradicts_itself_or_names_what_is_not_read_says_so(
    tmp_path, lines, at, message
):
    dat = bytes([0x0C, 8]) if "Version" in lines[0] else b""
    path = file(tmp_path, made.head(*lines) + dat)
    with pytest.raises(RecordingError, match=message) as caught:
        open_recording(path)
    assert caught.value.offset == len(made.head(*lines[:at], end=False))


@pytest.mark.parametrize(
    ("kind", "message"),
    [(0x0E, r"type 0x0e \(external triggers\)"), (0x28, "type 0x28. Pixel events")],
)
def test_dat_of_other_events__is_an_error_that_names_them(tmp_path, kind, message):
    path = file(tmp_path, made.dat(EVENTS, kind=kind))
    with pytest.raises(UnknownFormatError, match=message):
        open_recording(path)


def test_dat_of_other_sizes_and_polarities__is_damage(tmp_path):
    whole = bytearray(made.dat(EVENTS))
    start = len(whole) - 8 * len(EVENTS)
    whole[-1] |= 0x20
    path = file(tmp_path, bytes(whole))
    with pytest.raises(RecordingError, match="polarity 3 is neither 0 nor 1") as caught:
        read(path)
    assert caught.value.offset == len(whole) - 8
    whole[start - 1] = 16
    with pytest.raises(RecordingError, match="an event has 16 bytes") as caught:
        open_recording(file(tmp_path, bytes(whole)))
    assert caught.value.offset == start - 1


def test_header__without_end_is_refused(tmp_path):
    for content in (b"% evt 3.0\n% geome", b"% evt 3.0\n% " + b"a" * prophesee.HEAD_LIMIT):
        with pytest.raises(RecordingError, match="ends in the middle of a line") as caught:
            open_recording(file(tmp_path, content))
        assert caught.value.offset == 10


def test_other_text__that_begins_alike_is_not_a_recording(tmp_path):
    with pytest.raises(UnknownFormatError, match="does not name its event encoding"):
        open_recording(file(tmp_path, b"% A paper\n\\documentclass{article}\n"))


def test_class__for_another_encoding_refuses(tmp_path):
    path = file(tmp_path, made.raw("2.0", []))
    with pytest.raises(UnknownFormatError, match="is in EVT2; EVT3 is expected"):
        prophesee.Evt3Recording(path)


# Damage


def small_files() -> dict[str, tuple[bytes, int, int]]:
    """Return files, where their words begin, and the size of a word."""
    files = {}
    for version, encoder in made.ENCODERS.items():
        for legacy in (False, True) if version == "2.1" else (False,):
            words = encoder.encode(ROWS)
            content = made.raw(version, words, legacy=legacy)
            size = made.BYTES[version]
            files[f"{version} {legacy}"] = content, len(content) - size * len(words), size
    content = made.dat(EVENTS)
    files["dat"] = content, len(content) - 8 * len(EVENTS), 8
    return files


@pytest.mark.parametrize("name", small_files())
def test_file__cut_at_any_byte_gives_the_words_before_and_reports_the_cut(tmp_path, name):
    content, start, size = small_files()[name]
    whole = read(file(tmp_path, content))
    seen = 0
    for cut in range(len(content)):
        path = file(tmp_path, content[:cut])
        left = (cut - start) % size
        if cut < start:
            # A header that ends with a line is whole, and words may be none; all else is refused.
            try:
                assert read(path) == ([], [], {})
            except RecordingError as error:
                assert error.offset is None or 0 <= error.offset <= cut
            continue
        if left:
            with pytest.raises(RecordingError, match=f"ends after {left} of") as caught:
                read(path)
            assert caught.value.offset == cut - left
        events, marks, repairs = read(path, reading=SALVAGE)
        assert events == whole[0][: len(events)]
        assert marks == whole[1][: len(marks)]
        assert len(events) >= seen
        seen = len(events)
        # Only damage is counted: salvaging a whole file leaves nothing out.
        assert repairs == {"damaged_bytes": left}
    assert seen == len(whole[0]) - 1


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2.0", [2, 3, 4, 5, 6, 7, 9, 0xB, 0xC]),
        ("2.1", [2, 3, 4, 5, 6, 7, 9, 0xB, 0xC, 0xD]),
        ("3.0", [9, 0xB, 0xC]),
    ],
)
def test_word__of_an_unknown_type_is_damage_with_its_byte(tmp_path, version, kinds):
    words, size = made.ENCODERS[version].encode(ROWS), made.BYTES[version]
    for kind in kinds:
        bad = kind << 8 * size - 4
        content = made.raw(version, [*words, bad, *words])
        path = file(tmp_path, content)
        name = made.NAMES[version]
        with pytest.raises(
            RecordingError, match=f"is of type {kind:X}, which does not exist in {name}"
        ) as caught:
            read(path)
        after = size * (len(words) + 1)
        assert caught.value.offset == len(content) - after
        assert read(path, reading=SALVAGE) == (EVENTS, TRIGGERS, {"damaged_bytes": after})


def test_file__that_shrinks_while_it_is_read_is_damage(tmp_path):
    path = file(tmp_path, made.raw("3.0", Evt3.encode(ROWS)))
    with open_recording(path) as recording:
        path.write_bytes(path.read_bytes()[:-4])
        with pytest.raises(RecordingError, match="became shorter"):
            list(recording.batches())


# Other readers, in their own processes


def by(oracle: str, path: Path, out: Path) -> dict[str, np.ndarray]:
    """Return the columns of another reader, or skip if it is not installed."""
    if importlib.util.find_spec(oracle) is None:
        pytest.skip(f"needs {oracle} (uv sync)")
    run_oracle(f"{oracle}_read.py", path, out)
    with np.load(out) as columns:
        return dict(columns)


def assert_as(columns: dict[str, np.ndarray], rows) -> None:
    for k, name in enumerate("txyp"):
        assert columns[name].tolist() == [row[k] for row in rows], name


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_raw__is_read_as_faery_does(tmp_path, version):
    # Times from 2¹² up, because faery ignores a first time high of 0.
    rows = [(row[0] + 5_000, *row[1:]) for row in random_rows(4_000, 2)]
    path = file(tmp_path, made.raw(version, made.ENCODERS[version].encode(rows), SIZE))
    events, _, _ = read(path)
    assert len(events) > 4_000
    assert_as(by("faery", path, tmp_path / "o.npz"), events)


def test_evt3__is_read_as_evt3_does_over_wraps_and_with_triggers(tmp_path):
    rows = random_rows(4_000, 3, stop=60_000_000)
    high = [(t, 0, 0, 0) for t in range(0, 60_000_000, 1 << 12)]  # as cameras do
    rows = sorted(rows + high, key=lambda row: row[0])
    path = file(tmp_path, made.raw("3.0", Evt3.encode(rows), SIZE))
    events, marks, _ = read(path)
    columns = by("evt3", path, tmp_path / "o.npz")
    assert_as(columns, events)
    names = ("trigger_t", "trigger_edge", "trigger_id")
    assert [columns[name].tolist() for name in names] == [list(c) for c in zip(*marks, strict=True)]
    assert events[-1][0] > 3 << 24


@pytest.mark.parametrize("version", [1, 2])
def test_dat__is_read_as_faery_does(tmp_path, version):
    rows = [row for row in random_rows(3_000, 4) if len(row) == 4]
    rows = [(row[0] + (k << 31) - 100_000, *row[1:]) for k in range(1, 5) for row in rows]
    path = file(tmp_path, made.dat(rows, SIZE, version), "r.dat")
    assert read(path)[0] == rows
    assert_as(by("faery", path, tmp_path / "o.npz"), rows)


REAL = {
    "recordings/faery_evt2.raw": (
        Sensor(480, 640),
        521_252,
        "36a95b2c09dfd5c7447808ff0d4ae1b79308aed4867656a2567b6cf6ccc0ccda",
    ),
    "recordings/tonic_sample_ncars.dat": (
        Sensor(100, 120),
        2_009,
        "46329bef9cd1e18a46d3e99523ef34b6d6a2b1aacb7b158215d56c381e17b22e",
    ),
}


def real(name: str) -> tuple[Path, Events, int]:
    path = shared_file(name)
    sensor = REAL[name][0]
    with open_recording(path, sensor=sensor) as recording:
        events = [batch for batch in recording.batches() if isinstance(batch, Events)]
        assert recording.repairs == {}
        return path, Events.concatenate(events, sensor), recording.t_offset


@pytest.mark.parametrize("name", REAL)
def test_real_recording__keeps_its_events(name):
    _, events, _ = real(name)
    _, n, digest = REAL[name]
    assert len(events) == n
    columns = b"".join(getattr(events, column).tobytes() for column in "txyp")
    assert hashlib.sha256(columns).hexdigest() == digest


@pytest.mark.parametrize("name", REAL)
def test_real_recording__is_read_as_faery_does(tmp_path, name):
    path, events, t_offset = real(name)
    if path.suffix == ".dat":
        # faery does not read events of type 0x00, which have the layout of 0x0c.
        content = path.read_bytes()
        at = content.index(b"\n\x00\x08") + 1
        path = file(tmp_path, content[:at] + b"\x0c" + content[at + 1 :], "r.dat")
    columns = by("faery", path, tmp_path / "o.npz")
    np.testing.assert_array_equal(columns["t"], events.t + t_offset)
    for name in "xyp":
        np.testing.assert_array_equal(columns[name], getattr(events, name))
