"""Jumps of a clock: what is a reset, what a stray, what only late; in every format, by name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.checks.run import check
from evreel.errors import (
    AnnotationError,
    JumpError,
    RecordingError,
    UsageError,
)
from evreel.events import Sensor
from evreel.files.events_store import EventsStore
from evreel.layout import BOX_DTYPE
from evreel.recordings import decoded, jumps, open_recording
from evreel.recordings.jumps import Clock
from evreel.recordings.open import Reading
from evreel.timebase import FrameClock
from evreel.windows import Count, Duration, Ending, Mixed, Number
from recordings.rows import read
from support.writers import aedat, prophesee
from support.writers import columns as made

SENSOR = Sensor(40, 48)
J, PAUSE = jumps.JITTER_US, jumps.PAUSE_US
S = 1_000_000  # a second, µs
COLUMNS = ("label", "start", "stop")


def slow(t: list[int]) -> tuple[list[int], int]:
    """Return each event's part, −1 for a stray, and the number of resets: all of a file at once."""
    part: list[int] = [-1] * len(t)
    number, i, resets = 0, 0, 0
    while i < len(t):
        own = [k for k in range(i) if part[k] == number]
        latest = max((t[k] for k in own), default=t[i])
        if latest - J <= t[i] <= latest + PAUSE:
            part[i] = number
            i += 1
            continue
        near = own[-jumps.STRAY_EVENTS - 1 :]
        ahead = [k for k in near if t[k] > t[i] + J]
        if len(ahead) == len(near) or 2 * len(ahead) > len(own):
            ahead = []
        most = min(jumps.STRAY_EVENTS, len(own))
        stop = i
        while stop < len(t) and stop - i <= most and not latest - J <= t[stop] <= latest + PAUSE:
            stop += 1
        n = stop - i
        fits = n <= most
        ended = fits and stop == len(t)
        back = fits and not ended
        if back and abs(t[stop] - max(t[i:stop])) > J and (not ahead or n <= len(ahead)):
            i = stop
        elif ahead and (len(ahead) <= n or not ended):
            for k in ahead:
                part[k] = -1
        elif ended and n == 1 and len(own) > 1:
            i = stop
        else:
            number, resets = number + 1, resets + 1
            part[i] = number
            i += 1
    return part, resets


STEPS = st.sampled_from([0, 1, 500, J, J + 1, 3 * J, S, -1, -J, -J - 1, -S, -9 * S, PAUSE + 1])


@settings(deadline=None, max_examples=200)
@given(st.lists(STEPS, max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_clock__equals_the_slow_one_in_pieces_of_any_size(steps_, cuts):
    t = np.cumsum([0, *steps_]).astype(np.int64)
    want, resets = slow(t.tolist())
    clock = Clock()
    got = [clock.add(part) for part in np.split(t, sorted(min(cut, len(t)) for cut in cuts))]
    got.append(clock.add(t[:0], over=True))
    assert np.concatenate(got).tolist() == want
    assert (clock.resets, clock.strays) == (resets, want.count(-1))
    rows = [jump.row for jump in clock.jumps]
    assert len(rows) == min(jumps.JUMPS_TOLD, len(rows))
    assert all((want[j.row] == -1) or j.kind == "reset" for j in clock.jumps)


FLOW = list(range(0, 3 * S, 1_000))


@pytest.mark.parametrize(
    ("t", "resets", "strays"),
    [
        (FLOW, 0, 0),
        ([*FLOW[:9], FLOW[9] - J, *FLOW[9:]], 0, 0),
        ([2_000 * S + k for k in range(50)] + FLOW, 1, 0),
        (FLOW + FLOW, 1, 0),
        (FLOW + FLOW[:30] + FLOW, 2, 0),
        ([*FLOW[:2_000], FLOW[2_000] - S, *FLOW[2_000:]], 0, 1),
        ([*FLOW[:9], 2_000 * S, *FLOW[9:]], 0, 1),
        ([*FLOW[:9], *[2_000 * S] * 8, *FLOW[9:]], 0, 8),
        ([*FLOW, FLOW[-1] - S], 0, 1),
        ([*FLOW, *(t + 30 * 365 * 86_400 * S for t in FLOW)], 1, 0),
        ([0, S, 2 * S, S, 3 * S, 4 * S], 0, 1),
        ([5, 4], 0, 0),
    ],
)
def test_clock__tells_resets_strays_and_lateness_apart(t, resets, strays):
    clock = Clock()
    clock.add(np.array(t, np.int64))
    clock.add(np.empty(0, np.int64), over=True)
    assert (clock.resets, clock.strays) == (resets, strays)


def rows_at(t) -> list[tuple[int, int, int, int]]:
    return [(int(at), k % 48, k % 40, k % 2) for k, at in enumerate(t)]


def npz(folder: Path, t) -> Path:
    path = folder / "r.npz"
    path.write_bytes(made.npz(**made.columns(rows_at(t))))
    return path


LEFT_OVER = [2_000 * S + k for k in range(50)]


def test_left_over_events__before_the_clock_restarts_are_a_reset_with_number_size_and_place(
    tmp_path,
):
    path = npz(tmp_path, LEFT_OVER + FLOW)
    for reading in (Reading(), Reading("sort"), Reading("drop"), Reading(on_damage="salvage")):
        with pytest.raises(JumpError) as caught:
            read(path, sensor=SENSOR, reading=reading)
        assert str(caught.value) == (
            "r.npz: byte 0: the clock jumps: event t=0 µs, number 50 from here, is 2000.000049 s "
            "before t=2000000049 of the one before it (a reset of the clock). To keep what is "
            "before the first reset, after the last, or all parts end to end, set on_reset: first, "
            "last or split."
        )


def test_jumps__are_listed_up_to_the_third_and_counted(tmp_path):
    t = FLOW + FLOW + [*FLOW[:9], 9 * S, *FLOW[9:]] + FLOW + FLOW
    with pytest.raises(JumpError) as caught:
        read(npz(tmp_path, t), sensor=SENSOR)
    said = str(caught.value)
    for part in (
        "event t=0 µs, number 3000 from here, is 2.999000 s before t=2999000",
        "event t=0 µs, number 6000 from here",
        "event t=9000000 µs, number 6009 from here, is 8.992000 s after t=8000 of the one before "
        "it (1 stray event); in all 4 resets and 1 stray event.",
        "on_reset: first, last or split. To drop stray events, set on_stray: drop.",
    ):
        assert part in said


def test_jumps__are_listed_even_if_damage_follows(tmp_path):
    path = tmp_path / "r.npy"
    path.write_bytes(made.npy(made.records(rows_at(LEFT_OVER + FLOW)))[:-5])
    with pytest.raises(JumpError, match="number 50 from here"):
        read(path, sensor=SENSOR)


@pytest.mark.parametrize(
    ("on_reset", "kept", "t_offset", "other"),
    [("first", LEFT_OVER, 2_000 * S, 3_000), ("last", FLOW, 0, 50)],
)
def test_part__before_or_after_a_reset_is_kept_and_the_other_counted(
    tmp_path, on_reset, kept, t_offset, other
):
    path = npz(tmp_path, LEFT_OVER + FLOW)
    store = tmp_path / "s.h5"
    repairs = steps.events(path, store, steps.EventsSettings(on_reset=on_reset), sensor="48x40")
    assert (repairs["clock_resets"], repairs["other_clock_events"]) == (1, other)
    with EventsStore(store) as opened:
        assert opened.t_offset == t_offset
        assert (opened.read().t + t_offset).tolist() == kept
        assert opened.members == []


def test_split__lays_parts_end_to_end_and_the_store_says_where(tmp_path):
    path = npz(tmp_path, [t + 7 for t in LEFT_OVER] + FLOW + [t + 3 for t in FLOW])
    store = tmp_path / "s.h5"
    repairs = steps.events(path, store, steps.EventsSettings(on_reset="split"), sensor="48x40")
    assert repairs["clock_resets"] == 2
    with EventsStore(store) as opened:
        assert opened.t_offset == 2_000 * S + 7
        assert [tuple(member) for member in opened.members] == [
            ("part 1", 0, 50, 2_000 * S + 7),
            ("part 2", 1_000, 3_000_001, 0),
            ("part 3", 3_001_000, 3_001_000 + 2_999_001, 3),
        ]
        assert len(opened) == 50 + 2 * len(FLOW)
        t = opened.read().t
        assert t[50:3_050].tolist() == [1_000 + at for at in FLOW]
        assert t[3_050:].tolist() == [3_001_000 + at for at in FLOW]
    assert check(store).findings == ()
    found = steps.info(store)
    assert [part["name"] for part in found["parts"]] == ["part 1", "part 2", "part 3"]


@pytest.mark.parametrize("on_reset", ["first", "last", "split"])
def test_recording__without_a_reset_is_the_same_whatever_the_choice(tmp_path, on_reset):
    path = npz(tmp_path, [t + 5 for t in FLOW])
    want, _ = read(path, sensor=SENSOR)
    reading = Reading(on_reset=on_reset, on_stray="drop", on_disorder="sort")
    with open_recording(path, sensor=SENSOR, reading=reading) as recording:
        assert recording.t_offset == 5
        assert recording.members == []
    got, repairs = read(path, sensor=SENSOR, reading=reading)
    assert got == want
    assert set(repairs.values()) == {0}


def test_strays__are_dropped_and_counted_and_do_not_move_the_time_zero(tmp_path):
    t = [S + at for at in FLOW]
    path = npz(tmp_path, [*t[:40], 0, *t[40:90], 2_000 * S, *t[90:]])
    for order in ("fail", "sort", "drop"):
        with pytest.raises(JumpError, match=r"2 stray events.*on_stray: drop"):
            read(path, sensor=SENSOR, reading=Reading(order, on_reset="last"))
        reading = Reading(order, on_stray="drop")
        rows, repairs = read(path, sensor=SENSOR, reading=reading)
        assert [row[0] for row in rows] == t
        assert repairs["stray_events"] == 2


def test_late_events__are_dropped_and_counted_if_asked(tmp_path):
    rows, repairs = read(npz(tmp_path, [5, 9, 7, 8, 9, 12]), sensor=SENSOR, reading=Reading("drop"))
    assert [row[0] for row in rows] == [5, 9, 9, 12]
    assert repairs == {"dropped_late_events": 2}


def test_late_events__are_sorted_within_each_part(tmp_path):
    path = npz(tmp_path, [S + 5, S + 2, S + 9, *[3, 1, 4, 9 * J], 7 * S])
    with open_recording(
        path, sensor=SENSOR, reading=Reading("sort", on_reset="split")
    ) as recording:
        t = np.concatenate([chunk.t for chunk in recording])
        assert t.tolist() == [0, 3, 7, 1_000, 1_002, 1_003, 1_000 + 9 * J - 1, 1_000 + 7 * S - 1]
        assert [tuple(m) for m in recording.members] == [
            ("part 1", 0, 8, S + 2),
            ("part 2", 1_000, 1_000 + 7 * S, 1),
        ]
        assert recording.repairs["disordered_events"] == 2


def test_side_streams__of_a_recording_with_resets_are_left_out_and_counted(tmp_path):
    head, path = aedat.header2(aedat.DAVIS240), tmp_path / "r.aedat"
    first = b"".join(aedat.davis(9 * S + t, 1, 1, 1) for t in range(40))
    signal = aedat.word(1 << 10 | 3, 0)
    path.write_bytes(head + first + signal + b"".join(aedat.davis(t, 1, 1, 1) for t in range(40)))
    with open_recording(path, reading=Reading(on_reset="last")) as recording:
        assert sum(map(len, recording.batches())) == 40
        assert recording.repairs == {
            "clock_resets": 1,
            "other_clock_events": 40,
            "side_rows": 1,
        }


def test_clock__that_is_reset_all_the_time_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded, "MOST_PARTS", 3)
    t = [*range(9 * S, 0, -S)]
    for on_reset in ("first", "last", "split"):
        with pytest.raises(RecordingError, match="is reset more than 3 times"):
            read(npz(tmp_path, t), sensor=SENSOR, reading=Reading(on_reset=on_reset))


def test_reset_of_aedat2__is_not_taken_for_a_wrap(tmp_path):
    path = tmp_path / "r.aedat"
    head = aedat.header2(aedat.DAVIS240)

    def stamped(stamps):
        path.write_bytes(head + b"".join(aedat.davis(t, 0, 0, 1) for t in stamps))
        return path

    with pytest.raises(JumpError, match=r"is 3000\.000009 s before t=3000000009"):
        read(stamped([3_000 * S + t for t in range(10)] + list(range(10))))
    wrapped, _ = read(stamped([2**32 - 5, 3]))
    assert [t for t, *_ in wrapped] == [2**32 - 5, 2**32 + 3]
    late, _ = read(stamped([2**32 - 5, 3, 2**32 - 1]), reading=Reading("sort"))
    assert [t for t, *_ in late] == [2**32 - 5, 2**32 - 1, 2**32 + 3]


@pytest.mark.parametrize(
    ("write", "stop_us"),
    [
        (lambda rows: prophesee.raw("3.0", prophesee.Evt3.encode(rows)), 12 * S),
        (lambda rows: prophesee.raw("2.0", prophesee.ENCODERS["2.0"].encode(rows)), 17_000 * S),
        (lambda rows: prophesee.raw("2.1", prophesee.ENCODERS["2.1"].encode(rows)), 17_000 * S),
        (prophesee.dat, 4_200 * S),
    ],
)
def test_reset_of_a_counter__near_its_range_is_not_taken_for_a_wrap(tmp_path, write, stop_us):
    path = tmp_path / "r"
    t = [stop_us + 5 * k for k in range(20)] + [5 * k for k in range(20)]
    path.write_bytes(write([(at, 1, 2, 1) for at in t]))
    with pytest.raises(JumpError, match=r"event t=0 µs, .*\(a reset of the clock\)\. To keep"):
        read(path)
    rows, repairs = read(path, reading=Reading(on_reset="last"))
    assert [at for at, *_ in rows] == t[20:]
    assert repairs == {"clock_resets": 1, "other_clock_events": 20}


def test_info__shows_the_jumps_of_a_recording_and_the_parts_of_a_store(tmp_path):
    path, store = npz(tmp_path, LEFT_OVER + FLOW), tmp_path / "s.h5"
    found = steps.info(path, sensor="48x40")
    [problem] = found["problems"]
    assert "number 50 from here, is 2000.000049 s before t=2000000049" in problem
    assert (found["events"], found["t_start_us"]) == (50, 2_000 * S)
    steps.events(path, store, steps.EventsSettings(on_reset="split"), sensor="48x40")
    lines = list(steps.describe(steps.info(store)))
    assert "parts     2 end to end, each with a clock of its own" in lines
    assert "          1000 to 3000000 µs: part 2, from t=0 µs" in lines


def test_windows_and_frames__hold_no_events_of_two_parts_and_do_not_overlap(tmp_path):
    t = [*range(0, 2_500, 10), *range(40_000, 41_300, 10)]
    path = npz(tmp_path, [S + at for at in t[:250]] + t[250:] + t[:250])
    store, clock = tmp_path / "s.h5", tmp_path / "c.tsv"
    settings = steps.EventsSettings(on_reset="split")
    steps.events(path, store, settings, sensor="48x40")
    frames, _ = steps.clock(store, clock, steps.ClockSettings(window_us=1_000))
    with EventsStore(store) as opened:
        by_time = opened.windows(Duration(1_000))
        assert by_time.start_us.tolist() == [k * 1_000 for k in range(8)]
        assert by_time.stop_us.tolist() == [k * 1_000 for k in range(1, 9)]
        longer = opened.windows(Duration(4_000))
        assert longer.start_us.tolist() == [0, 3_000, 5_000]
        assert longer.stop_us.tolist() == [3_000, 5_000, 9_000]
        assert longer.stop.tolist() == [250, 380, 630]
        by_count = opened.windows(Count(200))
        assert by_count.start.tolist() == [0, 200, 250, 380, 580]
        assert by_count.stop.tolist() == [200, 250, 380, 580, 630]
        shares = opened.windows(Number(200, "count"))
        assert shares.stop.tolist() == [
            *range(1, 200),
            250,
            *[250] * 199,
            380,
            *range(381, 580),
            630,
        ]
        both = opened.windows(Mixed(4_000, 200))
        assert both.start.tolist() == [0, 200, 250, 380, 580]
        assert both.stop_us.tolist() == [1_991, 3_000, 5_000, 6_991, 10_991]
        from_origin = opened.windows(Duration(1_000, origin_us=3_500))
        assert from_origin.start_us.tolist() == [3_500, 5_000, 6_000, 7_000]
        assert from_origin.stop_us.tolist() == [4_500, 6_000, 7_000, 8_000]
        assert from_origin.stop.tolist() == [380, 480, 580, 630]
        assert opened.n_before_origin(Duration(1_000, origin_us=3_500)) == 300
        assert opened.windows(Duration(4_000, origin_us=-500)).start_us.tolist() == [
            -500,
            3_000,
            5_000,
        ]
        assert len(opened.windows(Duration(1_000, origin_us=90_000))) == 0
        ends = opened.windows(Ending(2_000), [3_000, 3_001, 6_000, 9_500])
        assert ends.start.tolist() == [100, 250, 380, 630]
        assert ends.stop.tolist() == [250, 251, 480, 630]
        assert ends.start_us.tolist() == [1_000, 3_000, 5_000, 7_500]
        rvt = opened.windows(Ending(2_000, compat="rvt"), [3_000, 3_001])
        assert (rvt.stop_us.tolist(), rvt.stop.tolist()) == ([3_000, 3_002], [250, 251])
    assert frames == FrameClock(by_time.start_us, by_time.stop_us)
    short = steps.EventsSettings(on_reset="split", stop_us=4_000)
    steps.events(path, store, short, sensor="48x40")
    with EventsStore(store) as opened:
        assert opened.windows(Duration(2_000)).stop_us.tolist() == [2_000, 3_000, 5_000]
    assert check(store).findings == ()


def test_parts_of_several_clocks__have_no_time_of_the_cameras(tmp_path):
    store = tmp_path / "s.h5"
    settings = steps.EventsSettings(on_reset="split")
    steps.events(npz(tmp_path, LEFT_OVER + FLOW), store, settings, sensor="48x40")
    table, boxes = tmp_path / "i.csv", tmp_path / "b_bbox.npy"
    table.write_text("label,start,stop\na,0,40\n")
    cut = steps.CutSettings(clock="source", unit="ms", columns={k: k for k in COLUMNS})
    with pytest.raises(UsageError, match=r"2 parts.*on_reset: first or last"):
        steps.cut(store, tmp_path / "c.tsv", cut, intervals=str(table))
    with pytest.raises(UsageError, match="not as an archive"):
        steps.cut(store, tmp_path / "c.tsv", members="part *")
    np.save(boxes, np.array([(5, 1, 1, 5, 5, 0, 0, 1)], BOX_DTYPE))
    with pytest.raises(AnnotationError, match=r"which was reset.*on_reset: first or last"):
        steps.boxes(store, boxes, tmp_path / "o.npy")


def test_archive__names_the_member_whose_clock_jumps(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(npz(tmp_path, LEFT_OVER + FLOW), "one.npz")
    members = steps.MemberSettings(members="*.npz")
    for on_reset, kind, said in (
        ("fail", JumpError, "a.zip: one.npz: byte 0: the clock jumps"),
        ("split", UsageError, "on_reset=split is for one recording"),
    ):
        settings = steps.EventsSettings(on_reset=on_reset)
        with pytest.raises(kind, match=said):
            steps.events(
                tmp_path / "a.zip", tmp_path / "s.h5", settings, sensor="48x40", archive=members
            )
