"""What readers share: first timestamp, order, bounds, damage, and that each repair is counted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import RecordingError, UsageError
from evreel.events import Events, Sensor, Triggers
from evreel.filters import Orientation
from evreel.recordings import decoded, event_chunks
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.open import Reading
from evreel.recordings.pieces import Piece

SENSOR = Sensor(6, 8)


def reader(pieces, stated=SENSOR, damage=None):
    """Return a reader class whose file holds the given pieces of (t, x, y, p)."""

    class Made(DecodedRecording):
        format = "made"

        def _open(self):
            return stated

        def _pieces(self):
            for k, piece in enumerate(pieces):
                if isinstance(piece, Triggers):
                    yield piece
                    continue
                t, x, y, p = piece
                yield Piece(
                    np.array(t, np.int64), np.array(x), np.array(y), np.array(p, np.uint8), 10 * k
                )
            if damage is not None:
                self._fail("is cut short", damage)

    return Made


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "r.made"
    file.write_bytes(bytes(100))
    return file


def piece(*t, x=0, y=0):
    return t, [x] * len(t), [y] * len(t), [1] * len(t)


def stamps(recording, *span):
    return [t for chunk in event_chunks(recording, *span) for t in chunk.t.tolist()]


def test_times__count_from_the_first_event(path):
    marks = Triggers(np.array([990]), np.array([1], np.int8), np.array([0], np.int16))
    with reader([marks, piece(), piece(1000, 1003), piece(1010)])(path) as recording:
        assert recording.t_offset == 1000
        assert stamps(recording) == [0, 3, 10]
        assert stamps(recording, 3, 10) == [3]
        (side,) = (batch for batch in recording.batches() if isinstance(batch, Triggers))
        assert side.t.tolist() == [-10]
        assert recording.repairs == {}


def test_events__are_checked_columns_of_the_right_types(path):
    with reader([([5, 5], [7, 0], [5, 0], [1, 0])])(path) as recording:
        (events,) = event_chunks(recording)
    again = Events(events.t, events.x, events.y, events.p, SENSOR)
    assert [again.x.tolist(), again.y.tolist(), again.p.tolist()] == [[7, 0], [5, 0], [1, 0]]
    assert [c.dtype.str for c in (events.t, events.x, events.y, events.p)] == [
        "<i8",
        "<u2",
        "<u2",
        "|u1",
    ]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([piece(5, 9, 7)], r"byte 0: event t=7 µs, number 2 from here, is before t=9"),
        ([piece(5, 9), piece(8)], r"byte 10: event t=8 µs, number 0 from here, is before t=9"),
        ([piece(5, 6, x=8)], r"byte 0: event x=8, y=0, number 0 .* is outside the sensor of 8x6"),
        ([piece(5), piece(6, y=-1)], r"byte 10: event x=0, y=-1"),
    ],
)
def test_event__that_breaks_a_rule_is_an_error_with_its_byte(path, pieces, message):
    with reader(pieces)(path) as recording, pytest.raises(RecordingError, match=message):
        stamps(recording)


def test_disorder__is_sorted_and_counted_if_asked(path):
    made = reader([piece(5, 9, 7), piece(8, 9), piece(12)])
    with made(path, reading=Reading(on_disorder="sort")) as recording:
        assert stamps(recording) == [0, 2, 3, 4, 4, 7]
        assert recording.repairs == {"disordered_events": 2}
        assert stamps(recording) == [0, 2, 3, 4, 4, 7], "a second pass gives the same"
        assert recording.repairs == {"disordered_events": 2}


def test_disorder__of_the_first_events_moves_the_time_zero(path):
    with reader([piece(9, 5)])(path, reading=Reading(on_disorder="sort")) as recording:
        assert recording.t_offset == 5
        assert stamps(recording) == [0, 4]


def test_clamp__keeps_every_event_where_it_is_at_the_latest_time_so_far(path):
    made = reader([piece(5, 9, 7, x=1), piece(8, 9, x=2), piece(12, x=3)])
    with made(path, reading=Reading(on_disorder="clamp")) as recording:
        assert (recording.t_offset, stamps(recording)) == (5, [0, 4, 4, 4, 4, 7])
        assert recording.repairs == {"clamped_events": 2}
        assert [x for chunk in event_chunks(recording) for x in chunk.x.tolist()] == [
            *(1, 1, 1, 2, 2, 3)
        ]
        assert recording.repairs == {"clamped_events": 2}, "a second pass gives the same"


def test_clamp__of_the_first_events_leaves_the_time_zero_at_the_first(path):
    with reader([piece(9, 5, 7), piece(10)])(path, reading=Reading(on_disorder="clamp")) as read:
        assert (read.t_offset, stamps(read)) == (9, [0, 0, 0, 1])


@settings(deadline=None, max_examples=30)
@given(
    t=st.lists(st.integers(0, 40), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_clamp__equals_the_running_maximum_however_pieces_are_cut(tmp_path_factory, t, cuts):
    path = tmp_path_factory.mktemp("r") / "r.made"
    path.write_bytes(b"x")
    edges = sorted({0, len(t), *(cut for cut in cuts if cut < len(t))})
    pieces = [piece(*t[a:b]) for a, b in pairwise(edges)]
    with reader(pieces)(path, reading=Reading(on_disorder="clamp")) as recording:
        found = [t + recording.t_offset for t in stamps(recording)]
        clamped = recording.repairs["clamped_events"]
    running = np.maximum.accumulate(t)
    assert found == running.tolist()
    assert clamped == np.count_nonzero(running != t)


@settings(deadline=None, max_examples=60)
@given(
    t=st.lists(st.integers(0, 40), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_sort__equals_a_stable_sort_or_says_that_it_cannot(tmp_path_factory, t, cuts):
    path = tmp_path_factory.mktemp("r") / "r.made"
    path.write_bytes(b"x")
    edges = sorted({0, len(t), *(cut for cut in cuts if cut < len(t))})
    rows = np.arange(len(t)) % SENSOR.width
    pieces = [(t[a:b], rows[a:b], np.zeros(b - a, int), np.ones(b - a)) for a, b in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "SORT_ROWS", 8)
        recording = reader(pieces)(path, reading=Reading(on_disorder="sort"))
        try:
            chunks = list(event_chunks(recording))
        except RecordingError as error:
            assert "too late to be sorted" in str(error)
            highest = np.maximum.accumulate(t)
            late = [sum(a > b for a in t[:k]) for k, b in enumerate(t) if b < highest[k]]
            assert max(late) > 8
            return
        finally:
            recording.close()
    order = np.argsort(t, kind="stable")
    assert [e for chunk in chunks for e in chunk.x.tolist()] == rows[order].tolist()


def test_events_outside_the_sensor__are_dropped_and_counted_if_asked(path):
    made = reader([([1, 2, 3], [0, 8, 7], [0, 0, 6], [1, 1, 1]), piece(4)])
    with made(path, reading=Reading(on_out_of_bounds="drop")) as recording:
        assert stamps(recording) == [0, 3]
        assert recording.repairs == {"out_of_bounds_events": 2}


def test_damage__leaves_what_is_before_it_if_asked_and_counts_the_bytes(path):
    made = reader([piece(1, 2)], damage=30)
    with made(path) as recording:
        seen = []
        with pytest.raises(RecordingError, match=r"byte 30: is cut short.*on_damage: salvage"):
            seen.extend(event_chunks(recording))
    with made(path, reading=Reading(on_damage="salvage")) as recording:
        assert stamps(recording) == [0, 1]
        assert recording.repairs == {"damaged_bytes": 70}


def test_recording__that_ends_after_a_whole_event_too_early_says_so_when_salvaged(path):
    made = reader([piece(1, 2)], damage=100)
    with made(path, reading=Reading(on_damage="salvage")) as recording:
        assert stamps(recording) == [0, 1]
        assert recording.repairs == {"damaged_bytes": 0, "cut_off": 1}


def test_sensor__that_the_format_does_not_state_must_be_given(path):
    with pytest.raises(RecordingError, match=r"Give it: --sensor WIDTHxHEIGHT, or column"):
        reader([piece(1)], stated=None)(path)
    with reader([piece(1)], stated=None)(path, sensor=Sensor(3, 4)) as recording:
        assert recording.sensor == (3, 4)


def test_stream__is_refused_by_formats_with_one(path):
    with pytest.raises(UsageError, match="leave stream out"):
        reader([])(path, stream=0)


def test_recording__without_events_has_time_zero_0(path):
    with reader([])(path) as recording:
        assert recording.t_offset == 0
        assert stamps(recording) == []


def test_reading__with_an_unknown_word_is_refused():
    with pytest.raises(UsageError, match="on_damage: 'drop' is not one of fail, salvage"):
        Reading(on_damage="drop")


@pytest.mark.parametrize("swap_xy", [False, True])
@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("flip_y", [False, True])
def test_orientation__turns_a_picture_as_numpy_does(swap_xy, flip_x, flip_y):
    rng = np.random.default_rng(0)
    n = 30
    events = Events(
        np.arange(n),
        rng.integers(0, SENSOR.width, n),
        rng.integers(0, SENSOR.height, n),
        rng.integers(0, 2, n),
        SENSOR,
    )

    def picture(e):
        drawn = np.zeros(e.sensor, int)
        np.add.at(drawn, (e.y, e.x), 1 + e.p.astype(int))
        return drawn

    want = picture(events)
    want = want.T if swap_xy else want
    want = want[:, ::-1] if flip_x else want
    want = want[::-1] if flip_y else want
    turned = Orientation(swap_xy, flip_x, flip_y).apply(events)
    np.testing.assert_array_equal(picture(turned), want)
    Events(turned.t, turned.x, turned.y, turned.p, turned.sensor)
    inverted = Orientation(swap_xy, flip_x, flip_y, invert_polarity=True).apply(events)
    np.testing.assert_array_equal(inverted.p, 1 - events.p)
