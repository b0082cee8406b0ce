"""What a release counts of its recordings, against counts by hand."""

import numpy as np
import pytest

from evreel.layout import BOX_DTYPE
from evreel.release.facts import BINS, box_facts, spread

LABELS = {0: "car", 1: "bicycle"}


def boxes_at(*times_us: int, class_id: int = 0):
    boxes = np.zeros(len(times_us), dtype=BOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["track_id"] = times_us, class_id, class_id
    return boxes


def test_boxes_in_every_frame_of_a_short_recording__fill_all_of_it():
    ends_us = range(10_000, 140_000, 10_000)
    boxes = np.concatenate([boxes_at(*ends_us, class_id=k) for k in (0, 1)])
    found = box_facts(boxes, LABELS, 130_000)
    assert {name: (of.boxes, of.frames) for name, of in found.items()} == {
        "car": (13, 13),
        "bicycle": (13, 13),
    }
    for of in found.values():
        assert of.over_time == pytest.approx([13 / BINS] * BINS, abs=1e-5)


def test_boxes_of_one_frame__are_one_frame_of_each_class():
    boxes = np.concatenate([boxes_at(5_000, 5_000, 9_000), boxes_at(9_000, class_id=1)])
    found = box_facts(boxes, LABELS, 12_000)
    assert [(of.boxes, of.frames) for of in found.values()] == [(3, 2), (1, 1)]


@pytest.mark.parametrize("duration_us", [6_000, 61_000, 3_000_000])
def test_boxes_over_time__are_spread_over_their_frames(duration_us):
    ends_us = np.sort(np.random.default_rng(1).choice(duration_us, 12, replace=False)) + 1
    gaps_us = np.diff(ends_us)
    lengths_us = np.minimum(np.diff(ends_us, prepend=0), np.median(gaps_us))
    expected = np.zeros(BINS)
    for stop_us, length_us in zip(ends_us, lengths_us, strict=True):
        for k in range(BINS):
            low, high = k * duration_us / BINS, (k + 1) * duration_us / BINS
            inside = min(high, stop_us) - max(low, stop_us - length_us)
            expected[k] += max(inside, 0) / length_us
    (of,) = box_facts(boxes_at(*ends_us), LABELS, duration_us).values()
    assert of.over_time == pytest.approx(expected, abs=1e-5)
    assert sum(of.over_time) == pytest.approx(12, abs=1e-3)


def test_few_boxes__are_where_they_are():
    (first,) = box_facts(boxes_at(0), LABELS, 6_000).values()
    (last,) = box_facts(boxes_at(6_000, 6_000), LABELS, 6_000).values()
    (late,) = box_facts(boxes_at(7_000), LABELS, 6_000).values()
    (alone,) = box_facts(boxes_at(3_050), LABELS, None).values()
    for of, part, n in ((first, 0, 1), (last, -1, 2), (late, -1, 1), (alone, -1, 1)):
        assert (of.frames, of.over_time[part], sum(of.over_time)) == (1, n, n)


def test_sparse_boxes__are_not_spread_over_time_without_any():
    ends_us = [10_000, 20_000, 30_000, 590_000, 600_000]
    (of,) = box_facts(boxes_at(*ends_us), LABELS, 600_000).values()
    assert np.flatnonzero(of.over_time).tolist() == [0, 1, 2, 58, 59]


def test_intervals_that_overlap__add_up():
    assert spread([0, 0], [60, 30], 60) == pytest.approx([3 / 60] * 30 + [1 / 60] * 30, abs=1e-5)
