"""Surfaces of recent events equal their slow twins, Tonic's arrays, and themselves on any run."""

from __future__ import annotations

import json
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.kernels import surfaces
from evreel.representations import (
    AveragedTimesurface,
    Ergo12,
    ExponentialSurface,
    Hats,
    LastTimestamp,
    Tore,
    Window,
    create,
    frames,
    tensor,
)
from evreel.windows import Count, Duration, Windows
from support import PLAIN_PROCESSOR, random_events, run_python, shared_file
from support.small import SENSOR, one_pixel, small_events, whole
from support.surfaces import digests

CARRIED = [
    ExponentialSurface(tau_us=20),
    ExponentialSurface(tau_us=20, history_us=15),
    ExponentialSurface(tau_us=20, history_us=0),
    ExponentialSurface(tau_us=1e9),
    LastTimestamp(),
    LastTimestamp(history_us=15),
    Tore(newest=1),
    Tore(newest=3, history_us=40),
]
OWN = [
    Hats(cell_px=2, radius_px=1, tau_us=10, memory_us=20),
    AveragedTimesurface(cell_px=2, radius_px=1, tau_us=10, memory_us=20),
    AveragedTimesurface(cell_px=3, radius_px=2, tau_us=10, memory_us=20, decay="lin"),
    Ergo12(),
]


def by_duration(events: Events, *edges: int) -> Windows:
    return Duration(*edges).plan(events.t_stop_us, events.t.searchsorted)


def between(events: Events, spans) -> Windows:
    start_us = np.array([start for start, _ in spans])
    stop_us = start_us + [length for _, length in spans]
    return Windows(
        start_us, stop_us, events.t.searchsorted(start_us), events.t.searchsorted(stop_us)
    )


def late(events: Events, shift: int) -> Events:
    return Events(events.t + shift, events.x, events.y, events.p, events.sensor)


spans = st.lists(st.tuples(st.integers(0, 70), st.integers(1, 30)), min_size=1, max_size=6)


# exp and log


def exact(function: str, x: float) -> Decimal:
    with localcontext() as context:
        context.prec = 30
        return getattr(Decimal(x), function)()


def test_exp__is_within_its_bound_over_its_whole_range():
    rng = np.random.default_rng(0)
    points = [*rng.uniform(-700, 0, 700), *rng.uniform(-1, 0, 700), *rng.uniform(0, 700, 100)]
    points += [
        -700.0,
        700.0,
        *(-(2.0 ** rng.uniform(-60, 0, 100))),
        *(np.arange(-99, 99) / 2 * math.log(2)),
    ]
    worst = max(abs(Decimal(surfaces.exp(x)) / exact("exp", x) - 1) for x in map(float, points))
    assert worst < 2e-12
    assert surfaces.exp(0.0) == 1.0
    assert surfaces.exp(-700.1) == surfaces.exp(-1e300) == surfaces.exp(-math.inf) == 0.0


def test_log__is_within_its_bound_over_its_whole_range():
    rng = np.random.default_rng(0)
    points = [*10 ** rng.uniform(-307, 308, 700), *rng.uniform(0.5, 2, 700), *range(2, 300)]
    points += [5e8 + 1, 2.0**-1022, 1.7976931348623157e308, math.sqrt(0.5), math.sqrt(2)]
    worst = max(abs(Decimal(surfaces.log(y)) / exact("ln", y) - 1) for y in map(float, points))
    assert worst < 1e-14
    assert surfaces.log(1.0) == 0.0


def test_exp_and_log__are_the_plain_sums_and_products_with_none_contracted():
    rng = np.random.default_rng(0)
    for q in map(float, rng.uniform(-1022, 1022, 300)):
        assert surfaces.power_of_two(q) == surfaces.power_of_two.py_func(q)
    for y in map(float, 10 ** rng.uniform(-300, 300, 300)):
        assert surfaces.log(y) == surfaces.log.py_func(y)


def test_fade__of_many_pixels_is_that_of_each_and_never_rises_with_age():
    for per_us in (1 / 7, 1 / 5_000.3, 1 / 123_456):
        ages = np.arange(0, int(127 / per_us), max(1, int(127 / per_us) // 50_000))
        frame = np.empty(len(ages), np.float32)
        surfaces.fade((-ages).astype(np.int32), 0.0, -(2.0**31), per_us, frame)
        assert (np.diff(frame) <= 0).all()
        assert frame[0] == 1
        assert frame[-1] == 0, "older than 126 halvings"
        assert frame[frame > 0].min() >= 2.0**-126
        for k in range(0, len(ages), 501):
            value = np.float32(surfaces.power_of_two(-float(ages[k]) * per_us))
            assert frame[k] == (value if value >= 2.0**-126 else 0)


def test_log_ages__never_fall_with_age():
    newest = -np.arange(1, 300_001, dtype=np.int32)
    frame = np.empty(len(newest), np.float32)
    surfaces.log_ages(newest, 0.0, -(2.0**31), 5e8, surfaces.log(151.0), frame)
    assert (np.diff(frame) >= 0).all()
    assert (frame[:150] == 0).all()
    assert frame[150] > 0
    exact_values = np.log(np.arange(1, 300_001) + 1.0) - math.log(151)
    np.testing.assert_allclose(frame, np.maximum(exact_values, 0), rtol=2**-23, atol=1e-9)


def test_frames__are_the_same_bytes_on_a_processor_without_avx():
    code = "import support.surfaces; print(*support.surfaces.digests())"
    assert run_python(code, env=PLAIN_PROCESSOR).stdout.split() == digests()


# Slow twins


def stamps(events: Events, windows: Windows, k: int, history: int | None):
    """Return the timestamps that window k may see, by polarity, row and column, newest first."""
    since = -(10**30) if history is None else int(windows.start_us[k]) - history
    seen: dict[tuple[int, int, int], list[int]] = {}
    for row in range(windows.stop[k]):
        if events.t[row] >= since:
            place = int(events.p[row]), int(events.y[row]), int(events.x[row])
            seen.setdefault(place, []).insert(0, int(events.t[row]))
    return seen


def slow_carried(representation, events: Events, windows: Windows, k: int):
    seen = stamps(events, windows, k, representation.history)
    frame = np.zeros(representation.shape(events.sensor), representation.dtype)
    stop = int(windows.stop_us[k])
    for c, y, x in np.ndindex(2, *events.sensor):
        times = seen.get((c, y, x), [])
        if isinstance(representation, ExponentialSurface):
            if times:
                q = (times[0] - stop) * (surfaces.LOG2_E / representation.tau_us)
                value = surfaces.power_of_two.py_func(q) if q > -200 else 0
                frame[c, y, x] = value if value >= 2.0**-126 else 0
        elif isinstance(representation, LastTimestamp):
            frame[c, y, x] = stop - times[0] if times else -1
        else:
            n = representation.newest
            for j in range(n):
                age = min(stop - times[j], 5 * 10**8) if j < len(times) else 5 * 10**8
                value = surfaces.log.py_func(age + 1.0) - surfaces.log.py_func(151.0)
                frame[c * n + j, y, x] = max(value, 0)
    return frame


@settings(max_examples=40, deadline=None)
@given(small_events(), spans, st.sampled_from([1, 4, 1_000]))
def test_carried__equal_their_slow_twins_for_any_windows_read_in_any_pieces(events, spans, rows):
    windows = between(events, spans)
    for representation in CARRIED:
        made = frames(
            representation,
            lambda a, b: events[a:b],
            windows,
            SENSOR,
            index_of=events.t.searchsorted,
            oldest_us=-100,
            rows=rows,
        )
        for k, frame in enumerate(made):
            assert frame.tobytes() == slow_carried(representation, events, windows, k).tobytes()


@settings(max_examples=25, deadline=None)
@given(small_events(20), st.booleans(), st.integers(1, 12), st.integers(1, 15), st.integers(0, 15))
def test_carried__are_the_same_from_wherever_a_run_begins(events, timed, size, stride, sample_us):
    if timed:
        windows = by_duration(events, size, stride)
    else:
        windows = Count(size, stride).plan(len(events), lambda rows: events.t[rows])
    oldest_us = np.where(windows.start_us >= sample_us, sample_us, 0)
    for representation in CARRIED:
        together = frames_of(representation, events, windows, oldest_us)
        for k in range(len(windows)):
            alone = frames_of(representation, events, windows[k : k + 1], oldest_us[k])
            assert together[k].tobytes() == alone[0].tobytes()


def test_history__of_0_leaves_out_what_is_at_a_windows_start_but_in_the_one_before():
    events = one_pixel([5, 5, 5], [1, 0, 0])
    windows = Count(1).plan(3, lambda rows: events.t[rows])
    for representation in (LastTimestamp(history_us=0), ExponentialSurface(history_us=0)):
        made = tensor(representation, events, windows)
        assert (made[:, :, 0, 0] > 0).tolist() == [[False, True], [True, False], [True, False]]


def frames_of(representation, events, windows, oldest_us):
    made = frames(
        representation,
        lambda a, b: events[a:b],
        windows,
        events.sensor,
        index_of=events.t.searchsorted,
        oldest_us=oldest_us,
    )
    return [frame.copy() for frame in made]


def slow_cells(representation, events: Events):
    """Meet every pair of events, in the order in which the kernel adds."""
    hats = isinstance(representation, Hats)
    linear = not hats and representation.decay == "lin"
    cell, radius = representation.cell_px, representation.radius_px
    channels, rows, columns = representation.shape(events.sensor)
    side = 2 * radius + 1
    sums = np.zeros((2, side, side, rows, columns))
    counts = np.zeros((2, rows, columns))
    listed = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    tau = representation.tau_us
    for k, (t, x, y, p) in enumerate(listed):
        surface = np.zeros((side, side))
        for s, u, v, q in reversed(listed[: k if hats else k + 1]):
            near = abs(u - x) <= radius and abs(v - y) <= radius
            same = q == p and (u // cell, v // cell) == (x // cell, y // cell)
            if near and same and s >= t - representation.memory_us and not (hats and s == t):
                left = (
                    max(0.0, 1 - (t - s) * (1 / (3 * tau)))
                    if linear
                    else surfaces.exp(-((t - s) * (1 / tau)))
                )
                surface[v - y + radius, u - x + radius] += left
        sums[p, :, :, y // cell, x // cell] += surface
        counts[p, y // cell, x // cell] += 1
    if hats:
        counts[:] = counts.sum(axis=0)
    averages = sums / np.maximum(counts, 1)[:, np.newaxis, np.newaxis]
    return averages.reshape(channels, rows, columns).astype(np.float32)


def slow_ergo12(events: Events):
    """The table of the docstring, row by row, with plain lists."""
    n = len(events)
    half, quarter = n // 2, n // 2 // 2
    third = n // 3
    parts = [
        range(n),
        range(third),
        range(third, 2 * third),
        range(2 * third, 3 * third),
        range(half, n),
        range(half + quarter, n),
        range(half + quarter + quarter // 2, n),
    ]
    table = [
        (0, "polarity", None, "variance"),
        (3, "time", 0, "variance"),
        (2, "count", 0, "mean"),
        (6, "polarity", None, "sum"),
        (5, "count", 1, "mean"),
        (6, "count", None, "sum"),
        (2, "time", 1, "mean"),
        (5, "count", 0, "mean"),
        (1, "time", 0, "max"),
        (0, "time", 1, "max"),
        (4, "time", None, "max"),
        (1, "count", None, "mean"),
    ]
    summary = {"variance": np.var, "mean": np.mean, "sum": np.sum, "max": np.max}
    first, span = (int(events.t[0]), int(events.t[-1] - events.t[0])) if n else (0, 0)
    frame = np.zeros((12, *events.sensor))
    for channel, (part, measure, polarity, name) in enumerate(table):
        found: dict[tuple[int, int], list[float]] = {}
        for row in parts[part]:
            p = int(events.p[row])
            if polarity in (None, p):
                time = (int(events.t[row]) - first) / span if span else 0.0
                value = {"polarity": 2 * p - 1, "time": time, "count": 1}[measure]
                found.setdefault((int(events.y[row]), int(events.x[row])), []).append(value)
        for (y, x), values in found.items():
            frame[channel, y, x] = summary[name](values)
    return frame


@settings(max_examples=40, deadline=None)
@given(small_events(), st.integers(1, 40), st.sampled_from([1, 4, 1_000]))
def test_cells__equal_their_slow_twins_read_in_any_pieces(events, window_us, rows):
    windows = by_duration(events, window_us, max(1, window_us // 2))
    for representation in OWN[:3]:
        made = frames(representation, lambda a, b: events[a:b], windows, SENSOR, rows=rows)
        for frame, start, stop in zip(made, windows.start, windows.stop, strict=True):
            assert frame.tobytes() == slow_cells(representation, events[start:stop]).tobytes()


@settings(max_examples=60, deadline=None)
@given(small_events(), st.integers(1, 70), st.sampled_from([1, 4, 1_000]))
def test_ergo12__equals_its_slow_twin_read_in_any_pieces(events, window_us, rows):
    windows = by_duration(events, window_us)
    made = frames(Ergo12(), lambda a, b: events[a:b], windows, SENSOR, rows=rows)
    for frame, start, stop in zip(made, windows.start, windows.stop, strict=True):
        twin = slow_ergo12(events[start:stop])
        np.testing.assert_allclose(frame, twin, rtol=2**-23, atol=1e-15)


# Examples by hand, laws, edges


def test_exponential_surface__of_three_events_by_hand():
    events = one_pixel([0, 40, 41], [1, 1, 0])
    made = tensor(ExponentialSurface(tau_us=10), events, by_duration(events, 21))
    assert made.shape == (2, 2, *SENSOR)
    assert made[:, 1, 0, 0] == pytest.approx([math.exp(-2.1), math.exp(-0.2)], rel=1e-7)
    assert made[:, 0, 0, 0] == pytest.approx([0, math.exp(-0.1)], rel=1e-7)
    assert not made[:, :, 1:].any(), "never seen"
    own = tensor(
        ExponentialSurface(tau_us=10, history_us=0),
        one_pixel([0, 30], [1, 0]),
        between(one_pixel([0, 30], [1, 0]), [(0, 20), (20, 20)]),
    )
    assert own[1, 1].max() == 0, "the ON event was before the window"


def test_exponential_surface__is_0_rather_than_below_the_smallest_normal_float32():
    events = one_pixel([0], [1])
    made = tensor(
        ExponentialSurface(tau_us=1), events, between(events, [(0, k) for k in range(1, 130)])
    )
    values = made[:, 1, 0, 0]
    assert (values[:87] >= np.finfo(np.float32).tiny).all()
    assert (values[87:] == 0).all()


def test_last_timestamp__gives_back_every_timestamp():
    events = random_events(2_000, (4, 6))
    windows = by_duration(events, 7_777)
    made = tensor(LastTimestamp(), events, windows)
    assert made.dtype == np.int64
    for k, frame in enumerate(made):
        wanted = np.full((2, 4, 6), -1)
        for row in range(windows.stop[k]):
            wanted[events.p[row], events.y[row], events.x[row]] = events.t[row]
        seen = frame >= 0
        np.testing.assert_array_equal(seen, wanted >= 0)
        np.testing.assert_array_equal(windows.stop_us[k] - frame[seen], wanted[seen])


def test_tore__of_events_by_hand():
    events = one_pixel([0, 100, 849, 850], [1, 1, 1, 0])
    (frame,) = tensor(Tore(newest=2), events, between(events, [(0, 1_000)]))
    least = math.log(151)
    unseen = math.log(5e8 + 1) - least
    assert frame[:, 0, 0] == pytest.approx(
        [0, unseen, math.log(152) - least, math.log(901) - least]
    )
    assert (frame[:, 1:] == np.float32(unseen)).all()


def test_tore__counts_what_is_older_than_its_limit_as_unseen():
    events = one_pixel([0, 10**9], [1, 0])
    made = tensor(
        Tore(newest=1), events, between(events, [(0, 4 * 10**8), (0, 5 * 10**8), (10**9, 9)])
    )
    assert made[0, 1, 0, 0] < made[1, 1, 0, 0] == made[2, 1, 0, 0] == made[2, 1, 2, 2]


def test_hats__counts_pairs_if_nothing_fades():
    events = random_events(300, (4, 6), stop_us=1_000)
    (frame,) = tensor(
        Hats(cell_px=8, radius_px=8, tau_us=1e12, memory_us=10**6), events, whole(events)
    )
    pairs = sum(
        events.p[a] == events.p[b] and events.t[a] < events.t[b]
        for b in range(300)
        for a in range(b)
    )
    assert float(frame.astype(np.float64).sum()) * 300 == pytest.approx(pairs, rel=1e-5)


def test_cells__of_a_sensor_that_they_do_not_divide_have_the_stated_shape():
    assert Hats().shape(Sensor(260, 346)) == (98, 26, 35)
    assert AveragedTimesurface(7, 1).shape(Sensor(14, 15)) == (18, 2, 3)
    events = one_pixel([3], [1], Sensor(14, 15), x=14, y=13)
    (frame,) = tensor(AveragedTimesurface(7, 1), events, whole(events))
    assert np.argwhere(frame).tolist() == [[13, 1, 2]], "the middle of ON, in the last cell"


def test_cells__hold_no_more_than_what_still_counts():
    events = random_events(20_000, (4, 6))
    accumulator = Hats(cell_px=2, memory_us=1_000).accumulator(events.sensor, {})
    made = frames(
        Hats(cell_px=2, memory_us=1_000), lambda a, b: events[a:b], whole(events), events.sensor
    )
    expected = next(made)
    accumulator.begin(Window(0, 0, 100_000, 0, int(events.t[-1]), 20_000, 0))
    for low in range(0, 20_000, 100):
        accumulator.add(events[low : low + 100])
    assert accumulator.finish().tobytes() == expected.tobytes()
    assert len(accumulator._stamps) < 1_000


def test_ergo12__counts_each_event_of_a_part():
    events = random_events(1_003, (4, 6))
    (frame,) = tensor(Ergo12(), events, whole(events))
    assert frame[5].sum() == 1_003 - 501 - 250 - 125
    assert frame[10].max() == 1
    for channel in (2, 4, 7, 11):
        assert set(np.unique(frame[channel])) <= {0, 1}
    assert ((frame[0] >= 0) & (frame[0] <= 1)).all()


EVERY = [*CARRIED, *OWN]


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_windows__without_events_are_finite(representation):
    none = Events.empty(SENSOR)
    (frame,) = tensor(representation, none, Windows([5], [9], [0], [0]))
    unseen = {LastTimestamp: -1, Tore: np.float32(math.log(5e8 + 1) - math.log(151))}
    assert (frame == unseen.get(type(representation), 0)).all()
    assert len(tensor(representation, none, Windows([], [], [], []))) == 0


@pytest.mark.parametrize("representation", EVERY, ids=repr)
@pytest.mark.parametrize("t", [[7], [7, 7, 7]])
def test_windows__of_one_time_are_finite(representation, t):
    events = one_pixel(t, [1, 0, 1][: len(t)], x=4, y=2)
    (frame,) = tensor(representation, events, whole(events))
    assert np.isfinite(frame).all()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
@pytest.mark.parametrize("shift", [2**31 - 300, 2**31 + 7, 2**45 + 7])
def test_frames__do_not_depend_on_how_late_the_recording_is(representation, shift):
    events = random_events(400, (3, 5), stop_us=900)
    windows = between(events, [(0, 300), (300, 300), (600, 300)])
    shifted = Windows(
        windows.start_us + shift, windows.stop_us + shift, windows.start, windows.stop
    )
    made = tensor(representation, late(events, shift), shifted)
    assert made.tobytes() == tensor(representation, events, windows).tobytes()


@pytest.mark.parametrize(
    "representation",
    [ExponentialSurface(1e7), ExponentialSurface(2e7), LastTimestamp(), Tore(2)],
    ids=repr,
)
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_carried__are_exact_over_hours_of_sparse_events(representation, rows):
    minute = 60_000_000
    t = [0, 7, minute, 18 * minute, 36 * minute - 1, 36 * minute, 72 * minute, 72 * minute + 5]
    t += [73 * minute, 500 * minute, 500 * minute + 9, 535 * minute, 571 * minute]
    events = Events(t, [k % 3 for k in range(13)], [0] * 13, [1] * 13, SENSOR)
    edges = [1, 19, 36, 37, 71, 73, 400, 501, 536, 537, 572]
    windows = between(
        events, [((edge - 1) * minute, minute) for edge in edges] + [(0, 571 * minute)]
    )
    made = frames(
        representation,
        lambda a, b: events[a:b],
        windows,
        SENSOR,
        index_of=events.t.searchsorted,
        rows=rows,
    )
    for k, frame in enumerate(made):
        assert frame.tobytes() == slow_carried(representation, events, windows, k).tobytes()


@pytest.mark.parametrize("representation", EVERY, ids=repr)
def test_frames__leave_the_events_as_they_are(representation):
    events = random_events(500, (3, 5))
    before = [getattr(events, name).copy() for name in "txyp"]
    tensor(representation, events, by_duration(events, 30_000))
    for name, column in zip("txyp", before, strict=True):
        np.testing.assert_array_equal(getattr(events, name), column)


def test_parameters__say_that_no_history_is_given():
    assert create("exponential_surface").parameters == {"tau_us": 50_000.0, "history_us": None}
    assert create("tore", {"history_us": 0}).parameters == {"newest": 3, "history_us": 0}
    assert create("last_timestamp").parameters == {"history_us": None}


def test_parameters__out_of_range_are_refused():
    for name, parameters, message in (
        ("exponential_surface", {"tau_us": 0}, "tau_us: 0 is less than 0.001"),
        ("exponential_surface", {"history_us": -1}, "history_us: -1 is less than 0"),
        ("tore", {"history_us": 2**63}, "history_us: .* is more than 9,007,199,254,740,992"),
        ("tore", {"newest": 0}, "newest: 0 is less than 1"),
        ("hats", {"cell_px": 0}, "cell_px: 0 is less than 1"),
        ("averaged_timesurface", {"decay": "linear"}, "decay: 'linear' is not one of exp, lin"),
    ):
        with pytest.raises(ParameterError, match=message):
            create(name, parameters)


# Arrays that other tools made


def oracle(name: str):
    index = json.loads(shared_file(f"oracles/{name}.json").read_text(encoding="utf-8"))
    return index, np.load(shared_file(f"oracles/{name}.npz"))


def of_tonic(structured, on) -> tuple[Events, int]:
    """Return events, their times from the first on, which is where Tonic's slices begin."""
    t = structured["t"].astype(np.int64)
    first = int(t[0]) if len(t) else 0
    return Events(t - first, structured["x"], structured["y"], on, Sensor(10, 14)), first


def test_exponential_surface__equals_tonics():
    index, arrays = oracle("tonic")
    cases = [c for c in index if c["transform"] == "ToTimesurface" and "error" not in c]
    assert len(cases) == 16
    for case in cases:
        structured = arrays[f"in/{case['input']}"]
        events, _ = of_tonic(structured, structured["p"] != 0)  # -1 counts as ON in Tonic
        made = tensor(ExponentialSurface(case["tau"]), events, by_duration(events, case["dt"]))
        theirs = arrays[f"out/{case['id']}"]
        assert len(theirs) <= len(made) <= len(theirs) + 1, "it leaves out the incomplete last one"
        made = made[: len(theirs)]
        assert (np.abs(made - theirs) <= theirs * (2.0**-24 + 2e-12) + 1e-15).all()


def test_exponential_surface__equals_evlibs():
    index, arrays = oracle("evlib")
    cases = [c for c in index["representations"] if c["fn"].startswith("create_time_surface")]
    assert len(cases) == 8
    for case in cases:
        t, x, y, p = (arrays[f"in/{case['input']}/{name}"] for name in "txyp")
        events = Events(t - t[0], x, y, p, Sensor(10, 14))
        theirs = arrays[f"out/{case['id']}/dense"]
        windows = by_duration(events, int(case["dt"]))[: len(theirs)]
        made = tensor(ExponentialSurface(case["tau"]), events, windows)
        assert (np.abs(made - theirs) <= theirs * (2.0**-24 + 2e-12) + 1e-15).all()


def test_averaged_timesurface__equals_tonics_but_where_it_wraps():
    index, arrays = oracle("tonic")
    cases = [c for c in index if c["transform"] == "ToAveragedTimesurface"]
    assert len(cases) == 16
    for case in cases:
        structured = arrays[f"in/{case['input']}"]
        events, _ = of_tonic(structured, structured["p"] > 0)
        side = case["surface_size"]
        representation = AveragedTimesurface(
            cell_px=case["cell_size"],
            radius_px=side // 2,
            memory_us=int(case["time_window"]),
            tau_us=case["tau"],
            decay=case["decay"],
        )
        (frame,) = tensor(representation, events, whole(events)) if len(events) else [np.zeros(1)]
        theirs = arrays[f"out/{case['id']}"]
        if not len(events):
            assert not theirs.any()
            continue
        ours = frame.reshape(2, side, side, -1).transpose(3, 0, 1, 2)
        if case["input"] == "u8p":  # unsigned differences: nothing to the left or above
            assert np.abs(ours - theirs).max() > 0.1
            middle = side // 2
            ours, theirs = (part[:, :, middle + 1 :, middle + 1 :] for part in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
