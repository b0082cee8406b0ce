"""Events: what breaks a rule is refused by row, and nothing of the caller's is touched."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evreel.errors import EventsError
from evreel.events import Events, Sensor, Waiting, in_parts
from support import random_events

SENSOR = Sensor(4, 6)
COLUMNS = {"t": [0, 1, 2, 3], "x": [0, 1, 2, 5], "y": [0, 1, 2, 3], "p": [0, 1, 0, 1]}


def events_with(**columns):
    return Events(**(COLUMNS | columns), sensor=SENSOR)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [0, 1, 6, 7]}, r"row 2: x=6 is not within \[0, 6\)"),
        ({"y": [0, 1, 2, 4]}, r"row 3: y=4 is not within \[0, 4\)"),
        ({"x": [0, -1, 2, 5]}, r"row 1: x=-1 is not within \[0, 6\)"),
        ({"y": np.array([0, 1, 2, -3], dtype=np.int8)}, "row 3: y=-3 is not within"),
        ({"p": [0, 2, 0, 1]}, r"row 1: p=2 is not within \[0, 2\)"),
        ({"p": [1, -1, 1, -1]}, "row 1: p=-1 is not within"),
        ({"t": [0, 5, 4, 3]}, "row 2: t=4 is before t=5 of the previous row"),
        ({"t": np.array([0, 1, 2**63, 2**63], dtype=np.uint64)}, f"row 2: t={2**63} is beyond"),
        ({"t": [0, 1, 2, 2**70]}, "column t is object; whole numbers"),
        ({"t": [0.0, 1.0, 2.0, 3.0]}, "column t is float64; whole numbers are expected"),
        ({"t": [False, True, True, True]}, "column t is bool; whole numbers"),
        ({"x": [0.0, 1.5, 2.0, 3.0]}, "column x is float64; whole numbers are expected"),
        ({"x": [False, True, True, True]}, "column x is bool; whole numbers"),
        ({"p": [0.0, 1.0, 0.0, 1.0]}, "column p is float64; whole numbers"),
        ({"x": [0, 1, 2]}, r"column x has shape \(3,\), t has \(4,\)"),
        ({"p": [[0, 1, 0, 1]]}, r"column p has shape \(1, 4\)"),
        ({"t": 3}, "one dimension and equal lengths"),
    ],
)
def test_events__that_break_a_rule_are_refused_with_the_row(columns, message):
    with pytest.raises(EventsError, match=message):
        events_with(**columns)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((0, 6), "height 0 and width 6 is outside the range of 1 to 65536"),
        ((4, 65_537), "width 65537 is outside"),
        ((4.5, 6), "height of 4.5 is not a whole number"),
        ((4, True), "width of True is not a whole number"),
    ],
)
def test_sensor__too_large_for_uint16_is_refused(size, message):
    with pytest.raises(EventsError, match=message):
        Sensor.checked(*size)


def test_events__have_their_dtypes_whatever_whole_numbers_come():
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, ">i4", ">u8"):
        events = events_with(**{name: np.array(rows, dtype) for name, rows in COLUMNS.items()})
        assert [getattr(events, name).dtype.str for name in "txyp"] == ["<i8", "<u2", "<u2", "|u1"]
        assert {name: getattr(events, name).tolist() for name in "txyp"} == COLUMNS


def test_events__take_bool_polarity_as_off_and_on():
    assert events_with(p=np.array([False, True, False, True])).p.tolist() == [0, 1, 0, 1]


def test_events__reach_the_last_pixel_of_the_largest_sensor():
    last = np.array([65_535], dtype=np.uint16)
    events = Events([0], last, last, [1], Sensor(65_536, 65_536))
    assert int(events.x[0]) == 65_535


def test_events__keep_timestamps_beyond_2_to_the_31():
    stamps = [2**31, 2**40, 2**62, 2**63 - 1]
    assert events_with(t=stamps).t.tolist() == stamps
    assert events_with(t=np.array(stamps, dtype=np.uint64)).t.tolist() == stamps


@pytest.mark.parametrize("columns", [([], [], [], []), tuple(np.empty((4, 0)))])
def test_events__may_be_empty(columns):
    events = Events(*columns, SENSOR)
    assert len(events) == 0
    assert events.t_stop_us == 0
    assert events.x.dtype == np.uint16
    assert len(Events.empty(SENSOR)) == 0


def test_columns__are_read_only_and_the_callers_arrays_stay_as_they_are():
    given = {
        "t": np.array([0, 1, 2, 3]),
        "x": np.array([0, 1, 2, 5], dtype=np.uint16),
        "y": np.array([0, 1, 2, 3], dtype=np.uint16),
        "p": np.array([0, 1, 0, 1], dtype=np.uint8),
    }
    before = {name: column.copy() for name, column in given.items()}
    for events in (Events(**given, sensor=SENSOR), Events.trusted(**given, sensor=SENSOR)):
        for name in "txyp":
            with pytest.raises(ValueError, match="read-only"):
                getattr(events, name)[0] = 1
            assert np.shares_memory(getattr(events, name), given[name])
            assert given[name].flags.writeable
            np.testing.assert_array_equal(given[name], before[name])
        with pytest.raises(AttributeError):
            events.t = given["t"]


def test_slices__are_views_and_masks_keep_the_order():
    events = random_events(100)
    part = events[10:20]
    assert np.shares_memory(part.t, events.t)
    assert not part.t.flags.writeable
    assert part.sensor == events.sensor
    on = events[events.p == 1]
    assert len(on) == np.count_nonzero(events.p)
    assert (on.p == 1).all()
    np.testing.assert_array_equal(on.t, events.t[events.p == 1])
    np.testing.assert_array_equal(events[::3].x, events.x[::3])


def test_rows__that_would_lose_the_order_are_refused():
    events = random_events(10)
    with pytest.raises(EventsError, match="negative step"):
        events[::-1]
    for rows in (3, np.array([5, 2])):
        with pytest.raises(EventsError, match="a slice or a mask"):
            events[rows]


def test_t_stop_us__is_the_last_timestamp_plus_one():
    assert events_with().t_stop_us == 4


def test_concatenate__joins_parts_in_their_order():
    events = random_events(50)
    joined = Events.concatenate([events[:20], events[20:20], events[20:]], events.sensor)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(joined, name), getattr(events, name))
    assert len(Events.concatenate([], SENSOR)) == 0


def test_concatenate__refuses_parts_out_of_order_or_of_another_sensor():
    events = events_with()
    with pytest.raises(EventsError, match="row 2: t=0 is before t=3 of the previous row"):
        Events.concatenate([events[2:], events[:2]], SENSOR)
    with pytest.raises(EventsError, match=r"part 1: is for Sensor\(height=4, width=6\)"):
        Events.concatenate([Events.empty(Sensor(5, 6)), events], Sensor(5, 6))


@pytest.mark.parametrize("rows", [1, 7, 30, 31, 100])
def test_in_parts__gives_the_same_events_so_many_at_a_time(rows):
    whole = random_events(30)
    cuts = [0, 0, 4, 5, 5, 19, 30, 30]
    pieces = [whole[a:b] for a, b in itertools.pairwise(cuts)]
    parts = list(in_parts(pieces, rows))
    assert [len(part) for part in parts] == [min(rows, 30 - first) for first in range(0, 30, rows)]
    for name in "txyp":
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert list(in_parts([whole[:0]], rows)) == []


def test_waiting__gives_views_of_what_was_added():
    whole = random_events(10)
    waiting = Waiting()
    waiting.add(whole[:6])
    waiting.add(whole[6:])
    first, second = waiting.take(8)
    assert (len(first), len(second), waiting.rows) == (6, 2, 2)
    assert np.shares_memory(second.t, whole.t)
    (last,) = waiting.take(2)
    assert last.t.tolist() == whole.t[8:].tolist()
