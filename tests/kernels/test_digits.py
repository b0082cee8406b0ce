"""Events as lines of text: the digits of every number, and the signs of times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.kernels import digits

TIMES = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-1_000_000, 1_000_000),
    st.sampled_from([10**k + d for k in range(19) for d in (-1, 0, 1)]),
)
LINE = st.tuples(TIMES, st.integers(0, 65_535), st.integers(0, 65_535), st.integers(0, 1))


def by_hand(rows) -> bytes:
    """Return the same in plain Python."""
    return "".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows).encode()


def by_kernel(rows) -> bytes:
    columns = zip(*rows, strict=True) if rows else ((),) * 4
    kinds = (np.int64, np.uint16, np.uint16, np.uint8)
    t, x, y, p = (np.array(c, kind) for c, kind in zip(columns, kinds, strict=True))
    out = np.full(len(rows) * digits.LINE_BYTES + 8, 7, np.uint8)
    size = digits.lines(t, x, y, p, out)
    assert (out[len(rows) * digits.LINE_BYTES :] == 7).all()
    return out[:size].tobytes()


@settings(deadline=None, max_examples=60)
@given(st.lists(LINE, max_size=40))
def test_lines__are_those_of_plain_python(rows):
    assert by_kernel(rows) == by_hand(rows)


@settings(deadline=None, max_examples=60)
@given(st.lists(LINE, min_size=1, max_size=40))
def test_lines__are_those_of_plain_python_where_times_go_on(rows):
    first = min(max(rows[0][0], -(1 << 62)), 1 << 62)
    near = [(first + 7 * k, *row[1:]) for k, row in enumerate(rows)]
    assert by_kernel(near) == by_hand(near)


@pytest.mark.parametrize("t", [-(1 << 63), (1 << 63) - 1])
def test_longest_line__has_the_bytes_that_there_is_room_for(t):
    line = by_kernel([(t, 65_535, 65_535, 1)])
    assert len(line) <= digits.LINE_BYTES
    assert len(line) == digits.LINE_BYTES or t > 0


def test_lines__worked_by_hand():
    rows = [(-5, 0, 9, 1), (0, 10, 99, 0), (99_999, 100, 1, 1), (100_000, 7, 12_345, 0)]
    assert by_kernel(rows) == b"-5,0,9,1\n0,10,99,0\n99999,100,1,1\n100000,7,12345,0\n"
    assert by_kernel([]) == b""
