"""The simulator's kernels against their twins."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.kernels import simulate as kernels
from evreel.simulate.scene import FULL_SCALE, SUBPIXEL
from support.simulate import area_inside, crossings_twin


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
    rows, after = crossings_twin(before, table[picture], reference, on, off, start_us, step_us)
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
