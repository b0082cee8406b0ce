"""The simulator: events as the model says, truth to the microsecond, the same bytes everywhere."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.annotations.cvat import read_cvat
from evreel.errors import EvreelError
from evreel.events import Events, Sensor
from evreel.kernels import simulate as kernels
from evreel.recordings import open_recording
from evreel.recordings.open import event_chunks
from evreel.simulate import camera as simulate
from evreel.simulate import scene
from evreel.simulate.camera import Truth, simulate_events, truth, write_recording
from evreel.simulate.scene import FULL_SCALE, LOG_UNIT, SUBPIXEL, load_scene, parse_scene
from support import ROOT

# A car that leaves to the right and comes back, a sign before it, and all kinds of noise.
FULL_SCENE = """
name = "corner"
duration_us = 100_000
seed = 11
step_us = 500

[sensor]
height = 24
width = 32

[camera]
threshold_on = 0.2
threshold_off = 0.25
threshold_spread = 0.02
refractory_us = 400
noise_hz = 5.0
hot_pixels = 3
hot_pixel_hz = 300.0

[background]
intensity = 0.4
texture = "noise"
contrast = 0.2
cell_px = 4
drift_px_s = [30.0, -11.5]

[[object]]
label = "car"
box = [10.0, 6.5]
intensity = 0.9
texture = "checker"
contrast = 0.1
cell_px = 2
motion = [[0, 5.25, 8.0], [45_000, 40.0, 9.0], [55_000, 40.0, 9.0], [100_000, 20.0, 12.0]]

[[object]]
label = "sign"
polygon = [[0.0, 0.0], [12.0, 2.0], [5.0, 9.0]]
intensity = 0.1
z_order = 1
motion = [[0, 14.0, 12.0], [100_000, 12.0, 6.0]]
visible_us = [[0, 60_000], [70_000, 100_000]]

[[tag]]
label = "busy"
start_us = 20_000
stop_us = 45_000
"""

QUIET = {
    "name": "quiet",
    "duration_us": 50_000,
    "sensor": {"height": 32, "width": 32},
    "camera": {"noise_hz": 0.0, "threshold_spread": 0.0},
    "background": {"intensity": 0.3},
}
BOX = {
    "label": "box",
    "box": [8, 6],
    "intensity": 0.8,
    "motion": [[0, 3, 10.3], [50_000, 15.5, 14]],
}


def made(*things, **changes):
    """Return the quiet scene with these objects and changes; camera's are merged."""
    document = copy.deepcopy(QUIET)
    document["camera"] |= changes.pop("camera", {})
    return parse_scene(document | changes | {"object": [BOX | thing for thing in things]})


def full_scene():
    return parse_scene(tomllib.loads(FULL_SCENE))


def all_events(of):
    return Events.concatenate(simulate_events(of), of.sensor)


def since_first(exact, t_us):
    """Return an instant of the scene in µs since the first event."""
    return t_us + simulate.T_OFFSET_US - exact.t_offset


def digest(events):
    joined = b"".join(getattr(events, name).tobytes() for name in "txyp")
    return hashlib.sha256(joined).hexdigest()


# -- scene files


def test_scene_file__of_the_documentation_is_one(tmp_path):
    text = scene.__doc__.split(".. code-block:: toml\n\n")[1]
    path = tmp_path / "corner.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    read = load_scene(path)
    assert read.name == "corner"
    assert read.sensor == Sensor(64, 64)
    assert read.objects[0].annotate == "box"
    assert read.objects[0].visible_us == ((0, 500_000), (600_000, 1_010_000))
    assert read.background.cell_shift == 14
    assert read.drift == (5 * SUBPIXEL, 0)
    assert read.camera.threshold_on == LOG_UNIT // 4
    assert read.tags == (scene.SceneTag("busy", 200_000, 400_000),)


def table_of(document, place):
    for key in place:
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("place", "key", "value", "message"),
    [
        ((), "speed", 3, r"speed=3: there is no such key\. Keys here are name, "),
        (("sensor",), "depth", 3, r"sensor: depth=3: there is no such key"),
        (("camera",), "treshold_on", 1, r"camera: treshold_on=1: there is no such key"),
        (("object", 0), "size", 1, r"object 1 \('car'\): size=1: there is no such key"),
        (("tag", 0), "colour", 1, r"tag 1 \('busy'\): colour=1: there is no such key"),
        (("object", 1), "contrast", 0.1, r"object 2 \('sign'\): contrast=0.1: there is no such"),
        ((), "name", "../up", r"name='../up' is not a name of letters"),
        ((), "duration_us", 0, r"duration_us=0 is not a whole number from 1"),
        ((), "duration_us", 1.5, r"duration_us=1.5 is not a whole number"),
        ((), "duration_us", 100_100, r"duration_us=100100 is not a multiple of step_us=500"),
        ((), "seed", True, r"seed=True is not a whole number"),
        ((), "step_us", 2000, r"step_us=2000 is not a whole number from 50 to 1000"),
        ((), "sensor", 5, r"sensor=5 is not a table \[sensor\]"),
        ((), "object", {}, r"object=\{\} is not tables \[\[object\]\]"),
        (("sensor",), "height", 4096, r"sensor: height=4096 is not a whole number from 1 to 2048"),
        (("camera",), "threshold_on", "0.2", r"threshold_on='0.2' is not a number from 0.02 to 2"),
        (("camera",), "threshold_on", math.nan, r"threshold_on=nan is not a number"),
        (("camera",), "threshold_spread", 0.05, r"threshold_spread=0.05 is not below a sixth"),
        (("camera",), "hot_pixels", 769, r"hot_pixels=769 is not a whole number from 0 to 768"),
        (("background",), "texture", "fur", r"texture='fur' is not one of plain, noise, stripes"),
        (("background",), "cell_px", 3, r"cell_px=3 is not one of 1, 2, 4, 8, 16, 32, 64"),
        (("background",), "drift_px_s", [1], r"drift_px_s=\[1\] is not two numbers"),
        (("object", 0), "contrast", 0.5, r"contrast=0.5 is not such that 0.9·\(1 \+ contrast\)"),
        (("object", 0), "intensity", 0, r"intensity=0 is not a number from 0.001 to 1"),
        (("object", 0), "label", " ", r"label=' ' is not a text"),
        (("object", 0), "box", [0.5, 4], r"box=\[0.5, 4\] is not two numbers from 1.0 to 16384"),
        (("object", 0), "polygon", [[0, 0]], r"box and polygon of box and polygon is given"),
        (("object", 0), "annotate", "oval", r"annotate='oval' is not one of box, polygon"),
        (("object", 0), "motion", [], r"motion=\[\] is not a list of keyframes"),
        (("object", 0), "motion", [[5, 0, 0], [5, 1, 1]], r"motion=\[5, 1, 1\] is not a keyframe"),
        (
            ("object", 0),
            "motion",
            [[5.0, 0, 0]],
            r"motion=\[5.0, 0, 0\] is not a keyframe with t_us",
        ),
        (("object", 0), "motion", [[0, 9e9, 0]], r"is not a keyframe \[t_us, x, y\] within ±16384"),
        (
            ("object", 1),
            "polygon",
            [[0, 0], [4, 4], [4, 0], [0, 4]],
            r"sides do not touch or cross",
        ),
        (("object", 1), "polygon", [[0, 0], [4, 0], [2, 0]], r"an outline with an area"),
        (("object", 1), "polygon", [[0, 0], [4, 0]], r"is not a list of 3 to 256 vertices"),
        (("object", 1), "polygon", [[0, 0], [4], [1, 1]], r"polygon=\[4\] is not a vertex"),
        (("object", 1), "visible_us", [[0, 9], [8, 12]], r"visible_us=.* in order, apart"),
        (("object", 1), "visible_us", [[0, 100_001]], r"within 0 to 100000"),
        (("tag", 0), "stop_us", 20_000, r"stop_us=20000 is not a whole number from 20001"),
    ],
)
def test_scene_file__with_a_fault_is_refused_by_file_key_and_value(place, key, value, message):
    document = tomllib.loads(FULL_SCENE)
    table_of(document, place)[key] = value
    with pytest.raises(EvreelError, match=message) as caught:
        parse_scene(document, "scenes/corner.toml")
    assert str(caught.value).startswith("corner.toml: ")


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ((), "name"),
        ((), "duration_us"),
        ((), "sensor"),
        ((), "background"),
        (("sensor",), "width"),
        (("object", 0), "motion"),
        (("object", 0), "label"),
        (("object", 0), "intensity"),
        (("tag", 0), "start_us"),
    ],
)
def test_scene_file__that_lacks_a_key_is_refused(place, key):
    document = tomllib.loads(FULL_SCENE)
    del table_of(document, place)[key]
    with pytest.raises(EvreelError, match=f"{key} is missing; it is required"):
        parse_scene(document, "corner.toml")


def test_scene_file__that_is_none_is_refused(tmp_path):
    path = tmp_path / "s.toml"
    with pytest.raises(EvreelError, match=r"s\.toml: can't be read: No such file"):
        load_scene(path)
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(EvreelError, match=r"s\.toml: is no TOML file"):
        load_scene(path)
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(EvreelError, match=r"s\.toml: is no TOML file"):
        load_scene(path)


# -- kernels and their twins


def area_inside(points, column, row):
    """Return the signed area of a polygon within one pixel, exactly; lengths in 1/1024 px."""
    points = [(Fraction(x), Fraction(y)) for x, y in points]
    edges = (
        (0, column * SUBPIXEL, 1),
        (0, (column + 1) * SUBPIXEL, -1),
        (1, row * SUBPIXEL, 1),
        (1, (row + 1) * SUBPIXEL, -1),
    )
    for axis, edge, side in edges:
        kept = []
        for k, here in enumerate(points):
            before = points[k - 1]
            if (side * (here[axis] - edge) < 0) != (side * (before[axis] - edge) < 0):
                share = (edge - before[axis]) / (here[axis] - before[axis])
                kept.append(tuple(b + share * (h - b) for b, h in zip(before, here, strict=True)))
            if side * (here[axis] - edge) >= 0:
                kept.append(here)
        points = kept
    return sum(
        points[k - 1][0] * points[k][1] - points[k][0] * points[k - 1][1]
        for k in range(len(points))
    )


def covered(vertices, sensor):
    cover = np.full((sensor[0], sensor[1] + 1), 77, dtype=np.int64)
    vertices = np.array(vertices, dtype=np.int64)
    kept = vertices.copy()
    kernels.cover_polygon(vertices, cover)
    np.testing.assert_array_equal(vertices, kept)
    return cover[:, :-1]


near = st.integers(-3 * SUBPIXEL, 9 * SUBPIXEL)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(near, near), min_size=3, max_size=3, unique=True))
def test_cover_polygon__is_the_area_within_each_pixel(vertices):
    cover = covered(vertices, (5, 6))
    for row in range(5):
        for column in range(6):
            exact = abs(area_inside(vertices, column, row))
            # A side's ends within a row are rounded down to 1/1024 px, three sides at most.
            assert abs(cover[row, column] - exact) <= 3 * 4 * SUBPIXEL


@settings(max_examples=40, deadline=None)
@given(near, near, st.integers(1, 9000), st.integers(1, 9000), st.booleans())
def test_cover_polygon__of_a_box_is_exact(x, y, width, height, backwards):
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    cover = covered(corners[::-1] if backwards else corners, (5, 6))
    across = [max(0, min(x + width, (c + 1) * SUBPIXEL) - max(x, c * SUBPIXEL)) for c in range(6)]
    down = [max(0, min(y + height, (r + 1) * SUBPIXEL) - max(y, r * SUBPIXEL)) for r in range(5)]
    np.testing.assert_array_equal(cover, 2 * np.outer(down, across))


def test_cover_polygon__loses_nothing_of_a_polygon_with_a_dent():
    dented = [(100, 3000), (4000, 150), (5900, 4900), (3000, 2100), (700, 4800)]
    area = sum(
        a[0] * b[1] - b[0] * a[1] for a, b in zip(dented, dented[1:] + dented[:1], strict=True)
    )
    cover = covered(dented, (5, 6))
    assert abs(int(cover.sum()) - abs(area)) < 40 * SUBPIXEL
    assert cover[0, 0] == 0
    assert covered([(-9000, -9000), (9000, -9000), (0, 90_000)], (2, 2)).tolist() == [
        [kernels.FULL] * 2,
        [kernels.FULL] * 2,
    ]
    assert not covered([(9000, 0), (9900, 0), (9000, 900)], (5, 6)).any()


def test_paint__equals_the_slow_twin():
    rng = np.random.default_rng(0)
    lattice = rng.integers(1, FULL_SCALE, (kernels.LATTICE,) * 2)
    cover = rng.integers(0, kernels.FULL + 1, (7, 10))
    cover[0, :3] = 0
    cover[6, 8] = kernels.FULL
    before = rng.integers(1, FULL_SCALE, (7, 9))
    for shift, x0, y0 in ((10, 0, 0), (13, -123_456, 777), (16, 5_000_000, -9_999_999)):
        picture = before.copy()
        kernels.paint(picture, cover, lattice, shift, x0, y0)
        for row in range(7):
            for column in range(9):
                u = Fraction((column * SUBPIXEL + SUBPIXEL // 2 - x0), 2**shift)
                v = Fraction((row * SUBPIXEL + SUBPIXEL // 2 - y0), 2**shift)
                c, r, fu, fv = math.floor(u), math.floor(v), u % 1, v % 1
                corner = {
                    (i, j): int(lattice[(r + i) % 128, (c + j) % 128])
                    for i in (0, 1)
                    for j in (0, 1)
                }
                above = corner[0, 0] * (1 - fu) + corner[0, 1] * fu
                below = corner[1, 0] * (1 - fu) + corner[1, 1] * fu
                value = math.floor(above * (1 - fv) + below * fv)
                share = Fraction(int(cover[row, column]), kernels.FULL)
                mixed = int(before[row, column]) * (1 - share) + value * share
                assert picture[row, column] == math.floor(mixed + Fraction(1, 2))


def crossings_twin(before, level, reference, on, off, start_us, step_us):
    rows, reference = [], list(reference)
    for k in range(len(level)):
        while level[k] >= reference[k] + on[k]:
            reference[k] += on[k]
            share = Fraction(reference[k] - before[k], level[k] - before[k])
            rows.append((start_us + math.ceil(share * step_us), k, 1))
        while level[k] <= reference[k] - off[k]:
            reference[k] -= off[k]
            share = Fraction(reference[k] - before[k], level[k] - before[k])
            rows.append((start_us + math.ceil(share * step_us), k, 0))
    return rows, reference


def crossings(picture, table, before, reference, on, off, start_us, step_us):
    level = np.empty_like(before)
    n = kernels.count_crossings(picture, table, level, reference, on, off)
    t, pixel, p = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.uint8)
    kernels.find_crossings(before, level, reference, on, off, start_us, step_us, t, pixel, p)
    return level, list(zip(t.tolist(), pixel.tolist(), p.tolist(), strict=True))


# A pixel's level stays between its reference and either threshold until the step begins.
pixels = st.tuples(
    st.integers(10, 90), st.integers(10, 90), st.integers(-9, 9), st.integers(0, 400)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(pixels, max_size=8), st.sampled_from([0, 2**40]), st.integers(1, 500))
def test_crossings__equal_the_slow_twin(drawn, start_us, step_us):
    on, off, offset, picture = (
        np.array([row[k] for row in drawn], dtype=np.int64) for k in range(4)
    )
    table = np.arange(0, 4010, 10)
    before = np.full(len(drawn), 2000, dtype=np.int64)
    reference = before + offset
    rows, after = crossings_twin(
        before.tolist(),
        table[picture].tolist(),
        reference.tolist(),
        on.tolist(),
        off.tolist(),
        start_us,
        step_us,
    )
    kept = [array.copy() for array in (picture, table, before, on, off)]
    level, found = crossings(picture, table, before, reference, on, off, start_us, step_us)
    assert found == rows
    assert reference.tolist() == after
    assert all(start_us < t <= start_us + step_us for t, _, _ in found)
    assert ((reference - off < level) & (level < reference + on)).all()
    for array, copied in zip((picture, table, before, on, off), kept, strict=True):
        np.testing.assert_array_equal(array, copied)


def test_crossings__by_hand():
    # From 0 to 50 in 100 µs: thresholds at 20 and 40 are reached after 40 and 80 µs.
    table = np.array([0, 50])
    before, reference = np.zeros(3, np.int64), np.array([0, 0, 31])
    on, off = np.full(3, 20), np.full(3, 20)
    picture = np.array([1, 0, 1])
    _, found = crossings(picture, table, before, reference, on, off, 1000, 100)
    assert found == [(1040, 0, 1), (1080, 0, 1)]
    assert reference.tolist() == [40, 0, 31]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), max_size=20),
    st.integers(0, 30),
    st.sampled_from([0, 2**40]),
)
def test_drop_refractory__equals_the_slow_twin(drawn, refractory_us, origin):
    drawn = sorted(drawn, key=lambda row: row[0])
    t = np.array([origin + t for t, _ in drawn], dtype=np.int64)
    pixel = np.array([k for _, k in drawn], dtype=np.int64)
    last = {}
    expected = []
    for row, (at, k) in enumerate(zip(t.tolist(), pixel.tolist(), strict=True)):
        if k not in last or at - last[k] >= refractory_us:
            last[k] = at
            expected.append(row)
    stamps, keep = np.full(3, -(2**62)), np.empty(len(t), dtype=np.bool_)
    assert kernels.drop_refractory(t, pixel, stamps, refractory_us, keep) == len(expected)
    assert np.flatnonzero(keep).tolist() == expected
    assert {k: int(v) for k, v in enumerate(stamps) if v > -(2**62)} == last


# -- the event model


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
    events = all_events(of)
    expected = simulated_slowly(of)
    assert len(expected) > 300
    columns = (events.t, events.x, events.y, events.p)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


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

    def rows(events, shift=0):
        columns = (events.t + shift, events.x, events.y, events.p)
        return set(zip(*(column.tolist() for column in columns), strict=True))

    events = all_events(quiet)
    assert rows(events, shift) < rows(all_events(noisy))
    assert len(rows(events)) == len(events)


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
def test_events__of_a_moving_object_lie_at_its_outline(thing):
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


def test_scene__without_an_event_is_an_error(tmp_path):
    of = made({"motion": [[0, 5, 5]]})
    for attempt in (lambda: list(simulate_events(of)), lambda: truth(of)):
        with pytest.raises(EvreelError, match="scene 'quiet' makes no event"):
            attempt()
    with pytest.raises(EvreelError, match="makes no event"):
        write_recording(of, tmp_path)
    assert not list(tmp_path.iterdir())


# -- the same bytes everywhere

GOLDEN = "b51dfb8cedad1aa81efdc1dfbcd79ce5d92825035a4d683dee9050b0faa7ca60"
MASKED = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "NUMBA_CPU_NAME": "generic",
}


def test_simulate__makes_the_golden_events():
    assert digest(all_events(full_scene())) == GOLDEN


def test_simulate__makes_the_golden_events_on_a_plainer_processor():
    code = "import test_simulate as t; print(t.digest(t.all_events(t.full_scene())))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
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


# -- the truth


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The full scene's files, its truth, and what CVAT's form of it says."""
    folder = tmp_path_factory.mktemp("written")
    paths = write_recording(full_scene(), folder)
    assert [path.name for path in paths] == [
        f"corner.{kind}" for kind in ("aedat4", "rois.xml", "tags.xml", "truth.json")
    ]
    return paths, truth(full_scene()), read_cvat(paths[1])


def test_recording__holds_the_events_and_their_time(written):
    (path, *_), exact, _ = written
    events = all_events(full_scene())
    with open_recording(path) as recording:
        got = Events.concatenate(event_chunks(recording), recording.sensor)
        assert recording.t_offset == exact.t_offset
    assert exact.t_offset - simulate.T_OFFSET_US in range(1, 5000)
    assert digest(got) == digest(events)
    assert (exact.n_events, exact.t_stop_us) == (len(events), events.t_stop_us)


def test_outline__is_where_the_scene_puts_it():
    of = made({"motion": [[0, 3, 10], [40_000, 11, 10]]})
    exact = truth(of)
    middle = since_first(exact, 20_000)
    assert exact.outline(0, middle).tolist() == [[7, 10], [15, 10], [15, 16], [7, 16]]
    assert exact.outline(0, since_first(exact, 0))[0].tolist() == [3, 10]
    assert exact.outline(0, -9999)[0].tolist() == [3, 10]
    assert exact.outline(0, 50_000)[0].tolist() == [11, 10]
    assert exact.visible(0, middle)


def outline_from_document(thing, t_us):
    """Return an outline as the truth's file says that it is to be read."""
    rows = thing["motion"]
    if t_us <= rows[0][0]:
        origin = rows[0][1:]
    elif t_us >= rows[-1][0]:
        origin = rows[-1][1:]
    else:
        (t0, *before), (t1, *after) = next((a, b) for a, b in pairwise(rows) if a[0] <= t_us < b[0])
        share = Fraction(t_us - t0, t1 - t0)
        origin = [
            a + math.floor(1024 * Fraction(b - a) * share) / 1024
            for a, b in zip(before, after, strict=True)
        ]
    return [[origin[0] + x, origin[1] + y] for x, y in thing["outline_px"]]


def test_document__is_the_truth_to_the_microsecond(written):
    (*_, path), exact, _ = written
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document == exact.document()
    for t_us in (0, 1, 12_345, 44_999, 50_000, 77_777, 99_000):
        for index, thing in enumerate(document["objects"]):
            assert exact.outline(index, t_us).tolist() == outline_from_document(thing, t_us)


def test_boxes__agree_with_the_microsecond_truth_at_the_middle_of_each_frame(written):
    _, exact, annotations = written
    assert annotations.labels == ("car", "sign", "busy")
    assert annotations.picture_shape == exact.sensor
    assert annotations.frames == range(len(exact.clock))
    assert len(exact.clock) == -(-exact.t_stop_us // 10_000)
    car, sign = annotations.tracks
    for shape in car.shapes:
        if not shape.outside:
            corners = np.clip(exact.outline(0, shape.frame * 10_000 + 5000), 0, [32, 24])
            expected = [*corners.min(axis=0), *corners.max(axis=0)]
            assert shape.bounds == pytest.approx(expected, abs=0.0051)
    for shape in sign.shapes:
        if not shape.outside:
            assert shape.kind == "polygon"
            points = exact.outline(1, shape.frame * 10_000 + 5000)
            np.testing.assert_allclose(shape.points, points, atol=0.0051)


def test_track__of_an_object_that_leaves_is_closed_once_and_goes_on_when_it_is_back(written):
    _, exact, annotations = written
    for index, track in enumerate(annotations.tracks):
        seen = [exact.visible(index, frame * 10_000 + 5000) for frame in annotations.frames]
        assert seen.count(False) >= 1
        away = seen.index(False)
        assert [shape.frame for shape in track.shapes if shape.outside] == [away]
        inside = [shape.frame for shape in track.shapes if not shape.outside]
        assert inside == np.flatnonzero(seen).tolist()
        back = seen.index(True, away)
        keyframes = [shape.frame for shape in track.shapes if shape.keyframe]
        assert {0, away - 1, away, back} <= set(keyframes)
    # The car is out of the picture; the sign is not there.
    assert exact.annotated(0, 50_000) is None
    assert exact.outline(0, 50_000)[0, 0] == 40
    instants = [since_first(exact, t) for t in (59_999, 60_000, 69_999, 70_000)]
    assert [exact.visible(1, t) for t in instants] == [True, False, False, True]


def test_keyframes__are_those_that_a_box_needs():
    of = made(
        {"motion": [[0, -9, 10], [100_000, 9, 10], [200_000, 9, 4], [300_000, 28, 4]]},
        duration_us=300_000,
        camera={"noise_hz": 1.0},
    )
    (track,) = truth(of).annotations().tracks
    keys = [shape for shape in track.shapes if shape.keyframe]
    assert 6 <= len(keys) <= 12
    frame = [shape.frame for shape in track.shapes]
    at = np.array([shape.points.ravel() for shape in track.shapes])
    for side in range(4):
        drawn = np.interp(
            frame, [key.frame for key in keys], [key.points.ravel()[side] for key in keys]
        )
        np.testing.assert_allclose(drawn, at[:, side], atol=0.03)


def test_annotations__of_a_last_frame_that_outlasts_the_scene_show_what_was_there():
    tag = {"label": "end", "start_us": 30_000, "stop_us": 52_000}
    of = made({}, duration_us=52_000, camera={"noise_hz": 50.0}, tag=[tag])
    exact = truth(of)
    assert 50_000 < exact.t_stop_us < 52_000
    annotations = exact.annotations()
    (track,) = annotations.tracks
    assert [shape.frame for shape in track.shapes if not shape.outside] == [0, 1, 2, 3, 4, 5]
    assert annotations.tags[-1].frame == 5


def test_occluded__is_what_lies_under_another():
    over = {"motion": [[0, 6, 12], [50_000, 9, 12]], "z_order": 3}
    exact = truth(made({"motion": [[0, 10, 10]]}, over, {"motion": [[0, 0, 0]]}))
    assert [exact.occluded(k, 25_000) for k in range(3)] == [True, False, False]
    # Side by side, a shared edge is no overlap; a bounding box is not an outline.
    beside = truth(made({"motion": [[0, 0, 10], [50_000, 1, 10]]}, {"motion": [[0, 9, 10]]}))
    end = since_first(beside, 50_000)
    assert beside.outline(0, end)[1].tolist() == beside.outline(1, end)[0].tolist() == [9, 10]
    assert not beside.occluded(0, end)
    slope = {"label": "s", "polygon": [[0, 0], [9, 9], [0, 9]], "intensity": 0.9, "z_order": 1}
    document = QUIET | {
        "object": [
            BOX | {"box": [3, 3], "motion": [[0, 6, 1], [50_000, 6.5, 1]]},
            slope | {"motion": [[0, 1, 1]]},
        ]
    }
    assert not truth(parse_scene(document)).occluded(0, 10_000)


def test_annotate__as_a_box_gives_the_bounds_of_what_is_in_the_picture():
    thing = {
        "label": "wing",
        "polygon": [[0, 0], [10, 5], [0, 10]],
        "annotate": "box",
        "intensity": 0.9,
    }

    def at_the_end(x):
        motion = [[0, x - 0.5, 8], [50_000, x, 8]]
        document = QUIET | {"camera": {"noise_hz": 5.0}, "object": [thing | {"motion": motion}]}
        exact = truth(parse_scene(document))
        return exact.annotated(0, since_first(exact, 50_000))

    assert at_the_end(27.5).tolist() == [[27.5, 8], [32, 18]]
    assert at_the_end(-5).tolist() == [[0, 10.5], [5, 15.5]]
    assert at_the_end(-9).tolist() == [[0, 12.5], [1, 13.5]]
    assert at_the_end(-9.25) is None, "less than 1 px is not annotated"


def test_tags__are_those_of_the_middle_of_a_frame(written):
    (_, _, path, _), exact, _ = written
    start, stop = (since_first(exact, t) for t in (20_000, 45_000))
    expected = [frame for frame in range(10) if start <= frame * 10_000 + 5000 < stop]
    read = read_cvat(path)
    assert [(tag.frame, tag.label) for tag in read.tags] == [(frame, "busy") for frame in expected]
    assert {shape.kind for track in read.tracks for shape in track.shapes} == {"box", "polygon"}


def test_recording__without_tags_has_no_file_of_them(tmp_path):
    paths = write_recording(made({}), tmp_path)
    assert [path.suffix for path in paths] == [".aedat4", ".xml", ".json"]
    assert sorted(paths) == sorted(tmp_path.iterdir())


def test_cut__keeps_the_area_that_is_inside():
    rng = np.random.default_rng(4)
    for _ in range(50):
        outline = rng.integers(-6 * SUBPIXEL, 14 * SUBPIXEL, (3, 2))
        pixels = sum(area_inside(outline.tolist(), c, r) for r in range(6) for c in range(8))
        points = simulate._cut(outline / SUBPIXEL, Sensor(6, 8))
        x, y = points.T
        area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
        assert area == pytest.approx(float(pixels) / SUBPIXEL**2, abs=1e-9)
        if len(points):
            assert (points.min(axis=0) >= 0).all()
            assert (points.max(axis=0) <= [8, 6]).all()


# -- the demo

# When the demo's scenes or the simulator change on purpose:
# PYTHONPATH=tests python tests/simulate/test_simulate.py

DEMO = ROOT / "demo"
FOLDERS = {".aedat4": "recordings", ".xml": "annotations", ".json": "truth"}


def make_demo(folder):
    """Simulate each demo scene into a folder; return scene → files."""
    return {
        path.stem: write_recording(load_scene(path), folder)
        for path in sorted((DEMO / "scenes").iterdir())
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Each demo scene's files, made anew."""
    return make_demo(tmp_path_factory.mktemp("demo"))


def test_demo__is_what_its_scenes_make(demo):
    made_anew = {}
    for paths in demo.values():
        made_anew |= {path.name: path for path in paths}
    committed = {path.name: path for name in FOLDERS.values() for path in (DEMO / name).iterdir()}
    assert sorted(committed) == sorted(made_anew)
    for name, path in committed.items():
        assert path.parent.name == FOLDERS[path.suffix]
        assert path.read_bytes() == made_anew[name].read_bytes(), name


def test_demo__is_small_and_shows_what_it_is_for(demo):
    assert set(demo) == {"crossing", "desk", "street"}
    for name, paths in demo.items():
        assert paths[0].stat().st_size < 3_000_000
        annotations = read_cvat(paths[1])
        shapes = [shape for track in annotations.tracks for shape in track.shapes]
        assert {shape.kind for shape in shapes} == {"box", "polygon"}, name
        assert any(shape.occluded for shape in shapes), name
        assert any(shape.outside for shape in shapes), name
    assert len(read_cvat(demo["desk"][2]).tags) > 100


@pytest.mark.parametrize("name", ["street", "desk", "crossing"])
def test_demo__holds_the_same_events_for_dv_processing(name, tmp_path):
    path = DEMO / "recordings" / f"{name}.aedat4"
    out = tmp_path / "read.npz"
    subprocess.run(
        [sys.executable, str(ROOT / "tests/support/oracles/dv_read.py"), str(path), str(out)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    theirs = np.load(out)
    with open_recording(path) as recording:
        ours = Events.concatenate(event_chunks(recording), recording.sensor)
        np.testing.assert_array_equal(theirs["t"], ours.t + recording.t_offset)
        assert tuple(theirs["sensor"]) == recording.sensor
    for column in "xyp":
        np.testing.assert_array_equal(theirs[column], getattr(ours, column))


def test_truth__is_a_value_of_its_scene():
    assert truth(full_scene()) == truth(full_scene())
    assert isinstance(truth(full_scene()), Truth)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for made_files in make_demo(Path(scratch)).values():
            for made_file in made_files:
                shutil.copy(made_file, DEMO / FOLDERS[made_file.suffix])
