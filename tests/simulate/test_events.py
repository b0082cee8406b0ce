"""Simulated events: as the model says, and the same bytes everywhere."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tomllib
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from evreel.errors import EvreelError
from evreel.events import Events
from evreel.kernels import simulate as kernels
from evreel.simulate import camera as simulate
from evreel.simulate.camera import simulate_events, simulate_objects, truth, write_recording
from evreel.simulate.scene import FULL_SCALE, LOG_UNIT, SUBPIXEL, parse_scene
from support import ROOT
from support.simulate import (
    BOX,
    FULL_SCENE,
    QUIET,
    all_events,
    crossings_twin,
    digest,
    full_scene,
    made,
    rows_of,
)


def simulated_slowly(of):
    """Return (t, x, y, p) of a scene of plain boxes without noise or spread, in plain Python."""
    height, width = of.sensor
    ordered = sorted(of.objects, key=lambda thing: thing.z_order)
    unit = 2 * SUBPIXEL**2

    def level(t_us, row, column):
        value = of.background.intensity
        for thing in ordered:
            (x0, y0), _, (x1, y1), _ = thing.vertices(t_us)
            across = min(x1, (column + 1) * SUBPIXEL) - max(x0, column * SUBPIXEL)
            down = min(y1, (row + 1) * SUBPIXEL) - max(y0, row * SUBPIXEL)
            share = Fraction(2 * max(0, across) * max(0, down), unit)
            mixed = value * (1 - share) + thing.surface.intensity * share
            value = math.floor(mixed + Fraction(1, 2))
        return round(math.log(value / FULL_SCALE) * LOG_UNIT)

    rows = []
    on, off = of.camera.threshold_on, of.camera.threshold_off
    for row in range(height):
        for column in range(width):
            before = reference = level(0, row, column)
            last = None
            for start_us in range(0, of.duration_us, of.step_us):
                now = level(start_us + of.step_us, row, column)
                found, (reference,) = crossings_twin(
                    [before], [now], [reference], [on], [off], start_us, of.step_us
                )
                for t, _, p in found:
                    if last is None or t - last >= of.camera.refractory_us:
                        rows.append((t, row, column, p))
                        last = t
                before = now
    rows.sort()
    return [(t - rows[0][0], column, row, p) for t, row, column, p in rows]


def test_simulate__equals_the_slow_twin_event_by_event():
    of = made(
        {"motion": [[0, -3, 2.3], [20_000, 7.7, 4]]},
        {"box": [3, 20], "intensity": 0.05, "z_order": -1, "motion": [[5000, 9, -5], [9000, 4, 1]]},
        sensor={"height": 9, "width": 12},
        duration_us=20_000,
        camera={"threshold_off": 0.21, "refractory_us": 700},
    )
    expected = simulated_slowly(of)
    assert len(expected) > 300
    assert rows_of(all_events(of)) == expected


def test_simulate__yields_chunks_in_time_order_from_zero_within_the_sensor():
    of = full_scene()
    chunks = list(simulate_events(of))
    events = Events.concatenate(chunks, of.sensor)  # checks order, sensor and polarity
    assert len(chunks) == 10
    assert all(chunk.t[-1] - chunk.t[0] < simulate.CHUNK_US for chunk in chunks)
    assert events.t[0] == 0
    assert events.t_stop_us <= of.duration_us
    assert len(events) > 1000
    # Every pixel can fire, the last one too.
    assert (events.x.max(), events.y.max()) == (31, 23)


def test_simulate__never_breaks_the_refractory_period():
    of = full_scene()
    events = all_events(of)
    pixel = events.y.astype(np.int64) * 32 + events.x
    order = np.lexsort((events.t, pixel))
    gap = np.diff(events.t[order])[np.diff(pixel[order]) == 0]
    assert len(gap) > 500
    assert gap.min() >= 400
    free = all_events(parse_scene(tomllib.loads(FULL_SCENE.replace("= 400", "= 0"))))
    assert len(free) > len(events)


def test_simulate__makes_shot_noise_at_the_rate_asked_for():
    of = made(camera={"noise_hz": 20.0, "refractory_us": 0}, duration_us=1_000_000)
    events = all_events(of)
    expected = 20 * 32 * 32
    assert abs(len(events) - expected) < 5 * math.sqrt(expected)
    assert abs(int(events.p.sum()) - len(events) / 2) < 5 * math.sqrt(len(events) / 4)
    # A count's variance is its mean, in space and in time.
    of_pixel = np.bincount(events.y.astype(int) * 32 + events.x, minlength=1024)
    of_ms = np.bincount(events.t // 1000, minlength=1000)
    for counts in (of_pixel, of_ms):
        assert abs(counts.var() / counts.mean() - 1) < 5 * math.sqrt(2 / 1000)


def test_simulate__fires_hot_pixels_at_their_rate():
    of = made(
        camera={"hot_pixels": 4, "hot_pixel_hz": 500.0, "refractory_us": 0}, duration_us=10**6
    )
    events = all_events(of)
    counts = np.bincount(events.y.astype(int) * 32 + events.x)
    counts = counts[counts > 0]
    assert len(counts) == 4
    assert (abs(counts - 500) < 5 * math.sqrt(500)).all()
    assert events.p.all()


def test_poisson_table__has_the_counts_mean_and_variance():
    for mean in (Decimal("0.01"), Decimal(3), Decimal(1500)):
        table = simulate._poisson_table(mean)
        share = np.diff(table, prepend=0) / 2**62
        count = np.arange(len(table))
        found = (share * count).sum()
        assert found == pytest.approx(float(mean), rel=1e-9)
        assert (share * (count - found) ** 2).sum() == pytest.approx(float(mean), rel=1e-9)
        assert (np.diff(table) >= 0).all()
        assert 2**62 - table[-1] < 2**12


def test_noise__leaves_the_events_of_the_scene_as_they_are():
    quiet = made({}, camera={"refractory_us": 0})
    noisy = made({}, camera={"refractory_us": 0, "noise_hz": 50.0, "hot_pixels": 2})
    shift = truth(quiet).t_offset - truth(noisy).t_offset
    events = all_events(quiet)
    assert set(rows_of(events, shift)) < set(rows_of(all_events(noisy)))
    assert len(set(rows_of(events))) == len(events)


def test_thresholds__spread_as_asked_and_stay_above_zero():
    of = made(
        sensor={"height": 100, "width": 200},
        camera={"threshold_on": 0.3, "threshold_off": 0.2, "threshold_spread": 0.03},
    )
    on, off = simulate._thresholds(of)
    for thresholds, mean in ((on, 0.3), (off, 0.2)):
        assert thresholds.min() > 0
        assert thresholds.mean() / LOG_UNIT == pytest.approx(mean, abs=0.03 * 5 / math.sqrt(20_000))
        assert thresholds.std() / LOG_UNIT == pytest.approx(0.03, rel=5 / math.sqrt(40_000))
    assert abs(np.corrcoef(on, off)[0, 1]) < 5 / math.sqrt(20_000)


def distance(points, outline):
    """Return how far (n, 2) points are from the nearest side of an outline."""
    nearest = np.full(len(points), np.inf)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        along = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(points - a - along[:, None] * (b - a)).T))
    return nearest


@pytest.mark.parametrize(
    "thing",
    [
        {"motion": [[0, 3, 10.3], [50_000, 15.5, 14]]},
        {"motion": [[0, 3, 10.3], [50_000, 3.9, 10.1]]},
        {"box": None, "polygon": [[0, 0], [11, 4], [4, 12]]},
    ],
    ids=["box", "slow box", "polygon"],
)
def test_events__of_a_moving_object_are_at_its_outline(thing):
    thing = {key: value for key, value in (BOX | thing).items() if value is not None}
    of = parse_scene(QUIET | {"object": [thing]})
    events, exact = all_events(of), truth(of)
    far = 0
    for t in np.unique(events.t):
        at = events[events.t == t]
        centres = np.stack([at.x, at.y], axis=1) + 0.5
        far += int((distance(centres, exact.outline(0, int(t))) > 1.5).sum())
    assert len(events) > 20
    assert far <= 0.05 * len(events)


def test_events__of_a_bright_box_are_on_ahead_and_off_behind():
    of = made({"motion": [[0, 3, 10], [50_000, 15.5, 10]]})
    events, exact = all_events(of), truth(of)
    middle = np.array([exact.outline(0, int(t))[:, 0].mean() for t in events.t])
    np.testing.assert_array_equal(events.p == 1, events.x + 0.5 > middle)
    # ln(0.8 / 0.3) = 3.9 · 0.25: each edge passes 12 columns of 6 rows and makes 3 events a pixel.
    # Half of a 13th: ln(0.55 / 0.3) = 2.4 · 0.25 ahead; behind, 2.4 is not 1 below the reference
    # at 3.
    assert int(events.p.sum()) == 12 * 6 * 3 + 6 * 2
    assert int((events.p == 0).sum()) == 12 * 6 * 3


def test_scene__without_events_is_an_error(tmp_path):
    of = made({"motion": [[0, 5, 5]]})
    for attempt in (lambda: list(simulate_events(of)), lambda: truth(of)):
        with pytest.raises(EvreelError, match="scene 'quiet' makes no event"):
            attempt()
    with pytest.raises(EvreelError, match="makes no event"):
        write_recording(of, tmp_path)
    assert not list(tmp_path.iterdir())


# The same bytes everywhere

GOLDEN = "b51dfb8cedad1aa81efdc1dfbcd79ce5d92825035a4d683dee9050b0faa7ca60"
MASKED = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "NUMBA_CPU_NAME": "generic",
}


def test_simulate__makes_the_golden_events():
    assert digest(all_events(full_scene())) == GOLDEN


def test_simulate__makes_the_golden_events_on_a_plainer_processor():
    code = "from support import simulate as s; print(s.digest(s.all_events(s.full_scene())))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | MASKED | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.strip() == GOLDEN


def test_simulate__differs_by_seed():
    other = parse_scene(tomllib.loads(FULL_SCENE.replace("seed = 11", "seed = 12")))
    assert digest(all_events(other)) != GOLDEN


def test_log_table__rounds_nothing_that_a_libm_could_turn():
    table = simulate.log_table()
    with localcontext(prec=24):
        whole = Decimal(FULL_SCALE).ln()
        exact = [(Decimal(i).ln() - whole) * LOG_UNIT for i in range(1, FULL_SCALE + 1)]
        off = [abs(level - int(entry)) for level, entry in zip(exact, table[1:], strict=True)]
    assert max(off) < Decimal("0.499999")


# Which object an event is of


def owned(of):
    """Return all events and the object of each."""
    parts = list(simulate_objects(of))
    events = Events.concatenate([part for part, _ in parts], of.sensor)
    return events, np.concatenate([owners for _, owners in parts])


def test_objects__change_no_event_and_noise_is_of_none():
    events, owner = owned(full_scene())
    assert digest(events) == digest(all_events(full_scene()))
    assert owner.dtype == np.int32
    assert set(owner.tolist()) == {-1, 0, 1}
    quiet, of = owned(made({}))
    assert len(quiet) > 100
    assert (of == 0).all(), "without noise and drift, all is of the box"
    noisy, of = owned(made({}, camera={"noise_hz": 50.0}))
    near = (noisy.x < 26) & (noisy.y >= 9) & (noisy.y < 21)
    assert (of[~near] == -1).all()
    assert 0.5 < (of == 0).sum() / len(quiet) <= 1


def test_objects__are_those_whose_share_or_brightness_changes():
    """A still box over a moving one: behind it, nothing is seen, and beside it the moving one."""
    still = {"motion": [[0, 10, 8]], "box": [8, 20], "z_order": 1, "intensity": 0.5}
    events, owner = owned(made({}, still))
    assert (owner == 0).all()
    behind = (events.x >= 10) & (events.x < 18) & (events.y >= 8) & (events.y < 28)
    assert not behind.any()
    # Another that moves over it is the cause, also where it uncovers what is below.
    over = {"motion": [[0, 2, 9], [50_000, 20, 9]], "z_order": 2, "intensity": 0.1}
    events, owner = owned(made({"motion": [[0, 10, 10]]}, over))
    assert (owner == 1).all()


def test_objects__are_written_beside_on_request(tmp_path):
    paths = write_recording(made({}), tmp_path, objects=True)
    [path] = [path for path in paths if path.suffix == ".npy"]
    assert path.name == "quiet.objects.npy"
    np.testing.assert_array_equal(np.load(path), owned(made({}))[1])


def test_owner__is_the_highest_whose_layer_changed_pixel_by_pixel():
    rng = np.random.default_rng(4)
    lattice = rng.integers(1, 9, (kernels.LATTICE, kernels.LATTICE))
    layers = np.zeros((2, 3, 4), dtype=np.int64)
    owner = np.full((3, 4), -1, dtype=np.int32)
    before = [[[0] * 4 for _ in range(3)] for _ in range(2)]
    for step in range(6):
        owner[:] = -1
        expected = np.full((3, 4), -1)
        for index in range(2):
            cover = rng.choice([0, 0, kernels.FULL, 700], (3, 5)).astype(np.int64)
            if step % 2:
                cover[:] = [kernels.FULL, 0, 0, 700, 0]
            kernels.own(layers[index], cover, lattice, 10, step * 512, 0, index, owner)
            for row, column in np.ndindex(3, 4):
                share = int(cover[row, column])
                picture = np.zeros((3, 4), dtype=np.int64)
                whole = np.full_like(cover, kernels.FULL)
                kernels.paint(picture, whole, lattice, 10, step * 512, 0)
                now = (share, int(picture[row, column])) if share else 0
                if now != before[index][row][column]:
                    expected[row, column] = index
                elif share == kernels.FULL:
                    expected[row, column] = -1
                before[index][row][column] = now
        np.testing.assert_array_equal(owner, expected)
