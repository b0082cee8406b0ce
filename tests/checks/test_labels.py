"""Checks of labels hold their times to those of the recording."""

from __future__ import annotations

import numpy as np

from evreel.checks import labels
from support.checks import columns, found, pieces, tables


def test_label_span__counts_the_events_before_and_after():
    t = np.arange(0, 1_000, 10)
    assert not found(labels.LabelSpan(0, 500), *pieces(columns(t), 7))
    [(place, problem)] = found(labels.LabelSpan(200, 400), *pieces(columns(t), 7))
    assert place == "t=200 to 400 µs"
    assert "cover 20 %" in problem
    assert "20 events before and 60 after" in problem


def test_beyond__takes_a_label_at_the_end_of_the_last_frame():
    t = np.array([10, 20, 30])
    assert not tables(labels.Beyond("row", 20), t)
    assert tables(labels.Beyond("row", 19), t)[0][0] == "row 2, t=30 µs"
    assert tables(labels.Beyond("row", 19), np.array([-1, 10]))[0][0] == "row 0, t=-1 µs"
    assert tables(labels.Beyond("row", 25, window_us=4), t, rows=1)[0][0] == "row 2, t=30 µs"
