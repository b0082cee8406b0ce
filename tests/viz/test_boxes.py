"""Boxes on a picture: where they are drawn, in which colour, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.boxes import EVENT_BBOX
from evreel.errors import EvreelError
from evreel.viz.boxes import draw_box_events

RED = (255, 0, 0)
GREY = np.full((60, 80, 3), 30, dtype=np.uint8)


def box(x, y, w, h, **more):
    found = np.zeros(1, dtype=EVENT_BBOX)
    for name, value in {"x": x, "y": y, "w": w, "h": h, "class_confidence": 1, **more}.items():
        found[name] = value
    return found


def test_draw_box_events__frames_exactly_the_pixels_of_a_box():
    drawn = draw_box_events(GREY, box(20, 30, 9, 7), [""], RED)
    red = (drawn == RED).all(axis=2)
    expected = np.zeros(red.shape, dtype=bool)
    expected[30:37, 20:29] = True
    expected[31:36, 21:28] = False
    np.testing.assert_array_equal(red[30:], expected[30:])
    assert red[14:30, 20:26].all() and not red[:14].any(), "the chip of the name is above it"
    thick = (draw_box_events(GREY, box(20, 30, 9, 7), [""], RED, thickness=3) == RED).all(axis=2)
    assert thick[30:37, 20:29].sum() == 9 * 7 - 3 * 1


def test_draw_box_events__leaves_the_callers_picture_alone():
    before = GREY.copy()
    drawn = draw_box_events(GREY, box(20, 30, 9, 7), ["car"])
    np.testing.assert_array_equal(GREY, before)
    assert not np.shares_memory(drawn, GREY) and (drawn != GREY).any()
    for none in ([], np.zeros(0, dtype=EVENT_BBOX)):
        same = draw_box_events(GREY, none, ["car"])
        np.testing.assert_array_equal(same, GREY)
        assert not np.shares_memory(same, GREY)


@given(st.tuples(*[st.integers(-90, 90)] * 2, *[st.integers(0, 120)] * 2), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_draw_box_events__cuts_off_what_is_outside(place, thickness):
    x, y, w, h = place
    drawn = draw_box_events(GREY, box(*place), [""], RED, thickness=thickness)
    row, column = np.indices(GREY.shape[:2])
    to_edge = np.minimum.reduce([column - x, x + w - 1 - column, row - y, y + h - 1 - row])
    lines = (to_edge >= 0) & (to_edge < thickness)
    red = (drawn == RED).all(axis=2)
    assert red[lines].all()
    assert (red & ~lines).sum() <= 16 * 6, "more than the chip of the name"
    np.testing.assert_array_equal(drawn[~red], GREY[~red])


@pytest.mark.parametrize("side", [np.nan, np.inf])
def test_draw_box_events__draws_no_box_that_is_nowhere(side):
    np.testing.assert_array_equal(draw_box_events(GREY, box(1, 1, side, 1), ["car"]), GREY)
    np.testing.assert_array_equal(draw_box_events(GREY, box(500, 1, 5, 1), ["car"]), GREY)


def test_draw_box_events__tells_classes_scores_and_tracks_apart():
    def drawn(labels=("car", "bus"), options=(), **more):
        return draw_box_events(GREY, box(20, 30, 9, 7, **more), labels, **dict(options)).tobytes()

    assert drawn() != drawn(class_id=1)
    assert drawn(class_id=1) == drawn({1: "bus"}, class_id=1) == drawn(("", "bus"), class_id=1)
    assert drawn(class_id=2) == drawn({2: "2"}, class_id=2), "one without a name has its number"
    assert drawn(class_confidence=0.5) != drawn()
    assert drawn(class_confidence=0.5, options={"draw_score": False}) == drawn()
    by_track = {"color_from": "track_id"}
    assert drawn(track_id=1, options=by_track) != drawn(options=by_track)
    assert drawn(track_id=1) == drawn()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((GREY[..., 0], box(1, 1, 1, 1), ["car"]), r"a frame is uint8 \(60, 80\); uint8 \(H, W, 3"),
        ((GREY * 1.0, [], ["car"]), r"a frame is float64 \(60, 80, 3\)"),
        ((GREY, np.zeros((2, 4)), ["car"]), "boxes of float64 have no field x"),
        ((GREY, box(1, 1, 1, 1), ["car"], (1, 2)), r"colour \(1, 2\) is not red"),
        ((GREY, box(1, 1, 1, 1), ["car"], None, True, 0), "thickness=0 is less than 1"),
    ],
)
def test_draw_box_events__says_what_is_no_picture_or_box(arguments, told):
    with pytest.raises(EvreelError, match=told):
        draw_box_events(*arguments)
