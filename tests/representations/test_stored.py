"""Stored values are the nearest ones of their type, and what does not fit is counted."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from evreel.errors import ParameterError
from evreel.representations.stored import Stored

FRAME = (2, 3, 4)


def applied(stored, frame):
    """Store a frame; return the values, and how many were saturated."""
    before = frame.tobytes()
    out = np.empty(frame.shape, dtype=stored.dtype)
    lost = stored.apply(frame, out)
    assert frame.tobytes() == before, "the frame is left as it is"
    assert type(lost) is int
    return out, lost


def half_to_even(value: Fraction) -> int:
    return round(value)  # Python rounds fractions half to even


def clipped(steps: int) -> int:
    return min(max(steps, 0), 255)


finite32 = st.floats(-3, 3, width=32)


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float32, FRAME, elements=finite32))
def test_uint8__is_255_times_the_value_in_its_own_type_rounded_half_to_even(frame):
    out, lost = applied(Stored("uint8"), frame)
    steps = [half_to_even(Fraction(float(np.float32(255) * v))) for v in frame.ravel()]
    assert out.ravel().tolist() == [clipped(step) for step in steps]
    assert lost == sum(step != clipped(step) for step in steps)
    np.testing.assert_array_equal(out, np.clip(np.around(frame * np.float32(255)), 0, 255))


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(np.float32, FRAME, elements=finite32), st.sampled_from([0.5, 0.1, 0.01, 7, 1e-9])
)
def test_uint8__with_a_scale_is_the_number_of_steps(frame, scale):
    out, lost = applied(Stored("uint8", scale), frame)
    steps = [half_to_even(Fraction(float(v) / scale)) for v in frame.ravel()]
    assert out.ravel().tolist() == [clipped(step) for step in steps]
    assert lost == sum(step != clipped(step) for step in steps)


def test_uint8__of_six_values_by_hand():
    frame = np.array([0, 1, 0.5, -0.001, 1.01, np.inf], dtype=np.float32)
    out, lost = applied(Stored("uint8"), frame)
    assert (out.tolist(), lost) == ([0, 255, 128, 0, 255, 255], 2)
    assert applied(Stored("uint8"), frame[:5].astype(np.float16))[0].tolist() == [
        0,
        255,
        128,
        0,
        255,
    ]
    # 0.5, 1.5 and 2.5 steps; −0.5 becomes 0 without loss of range
    frame = np.array([0.25, 0.75, 1.25, -0.25, -0.5, 127.75], dtype=np.float64)
    out, lost = applied(Stored("uint8", 0.5), frame)
    assert (out.tolist(), lost) == ([0, 2, 2, 0, 0, 255], 2)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int32", "int64"])
def test_uint8__of_whole_numbers_keeps_them_up_to_255(dtype):
    frame = np.array([0, 1, 100, 127], dtype=dtype)
    assert applied(Stored("uint8"), frame)[0].tolist() == [0, 1, 100, 127]
    if dtype != "uint8":
        frame = np.array([254, 255, 256, np.iinfo(dtype).max], dtype=dtype)
        out, lost = applied(Stored("uint8"), frame)
        assert (out.tolist(), lost) == ([254, 255, 255, 255], 2)


def test_uint8__refuses_what_is_no_number():
    frame = np.array([0, np.nan, np.nan], dtype=np.float32)
    for stored in (Stored("uint8"), Stored("uint8", 2)):
        with pytest.raises(ParameterError, match="2 values are NaN, which uint8 cannot hold"):
            applied(stored, frame)


@settings(deadline=None, max_examples=60)
@given(arrays.arrays(np.float32, FRAME, elements=st.floats(-1e5, 1e5, width=32)))
def test_float16__is_the_nearest_one_and_never_infinite(frame):
    out, lost = applied(Stored("float16"), frame)
    # 65,520 is half-way between the largest, 65,504, and the next power of two, the even one.
    beyond = np.abs(frame) >= 65520
    assert lost == beyond.sum()
    assert (out[beyond] == np.copysign(np.float16(65504), frame[beyond])).all()
    np.testing.assert_array_equal(out[~beyond], frame[~beyond].astype(np.float16))
    assert np.isfinite(out).all()


def test_float32__of_wider_types_is_the_nearest_one():
    frame = np.array([0.1, 1e300, -np.inf, 1.0], dtype=np.float64)
    out, lost = applied(Stored("float32"), frame)
    most = float(np.finfo(np.float32).max)
    assert (out.tolist(), lost) == ([float(np.float32(0.1)), most, -most, 1.0], 2)
    out, lost = applied(Stored("float32"), np.array([2**24 + 1, 7], dtype=np.uint32))
    assert (out.tolist(), lost) == ([2.0**24, 7.0], 0)


def test_scale__is_said_of_what_has_steps():
    assert Stored("uint8").attributes("float32") == {
        "computed_dtype": "float32",
        "store_scale": 1 / 255,
        "store_as_uint8": True,
    }
    assert Stored("uint8").attributes("uint16") == {"computed_dtype": "uint16", "store_scale": 1.0}
    assert Stored("uint8", 0.5).attributes("float32")["store_scale"] == 0.5
    assert "store_as_uint8" not in Stored("uint8", 0.5).attributes("float32")
    assert Stored("float16").attributes("float32") == {"computed_dtype": "float32"}


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (("int8",), "store='int8' is not one of float32, float16, uint8"),
        (("float16", 2.0), "scale=2.0 does not go with store: float16; it belongs to uint8"),
        (("uint8", 0.0), "scale=0.0 is not a positive number"),
        (("uint8", float("nan")), "scale=nan is not a positive number"),
        (("uint8", float("inf")), "scale=inf is not a positive number"),
    ],
)
def test_stored__refuses_what_cannot_be(given_, message):
    with pytest.raises(ParameterError, match=message):
        Stored(*given_)
