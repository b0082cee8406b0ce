"""Labels as RVT's preprocessing keeps them: each case equal to its script, or said why not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel.errors import AnnotationError, ParameterError
from evreel.events import Sensor
from evreel.exports.rvt_labels import (
    FILTERS,
    RVT_DTYPE,
    NoFramesError,
    RvtSettings,
    filtered,
    frames_of,
    in_rvt_type,
    plan,
    window_ends,
)
from evreel.layout import BOX_DTYPE
from support import shared_file

GEN1, GEN4 = RvtSettings(filter="gen1"), RvtSettings(filter="gen4")
STATED = {
    "g1_dup_within_2ms": "boxes up to 2,000 µs after a labelled frame",
    "g1_dup_2000us": "boxes up to 2,000 µs after a labelled frame",
    "g1_all_before_align": "without a box at or after 100,000 µs",
    "g1_all_filtered": "of which no box is left",
    "g1_empty": "without boxes",
    "g4_20hz": "come at 20 Hz, where gen4 has rules for 30 or 60 Hz; --label-step-us",
    "g4_one_label": "all boxes have one time",
}
"""What is said where RVT's script raises; the two other cases are refused by readers of boxes."""
READERS = {"g1_ts_names", "g1_unsorted"}


def boxes_at(times, *, w=60.0, class_id=0):
    boxes = np.zeros(len(times), RVT_DTYPE)
    boxes["t"], boxes["x"], boxes["y"] = times, 100, 100
    boxes["w"], boxes["h"], boxes["class_id"] = w, 60, class_id
    return boxes


def equal(found, wanted):
    """Tell whether records have the same fields of the same types, and the same bits."""
    names = wanted.dtype.names
    assert found.dtype == np.dtype([(name, wanted.dtype[name]) for name in names])
    return all(found[name].tobytes() == wanted[name].tobytes() for name in names)


def chosen(dataset, psee, faulty):
    return RvtSettings(
        filter=dataset,
        small_boxes="psee" if psee else "conservative",
        wide_boxes="drop" if faulty else "keep",
    )


# Equal to RVT's script


def test_frames_and_windows__equal_those_of_rvt_or_are_a_stated_outcome():
    oracle = np.load(shared_file("oracles/rvt_labels.npz"))
    cases = json.loads(shared_file("oracles/rvt_labels.json").read_text())["timestamps"]
    stated = set()
    for case in cases:
        name = case["name"]
        if name in READERS:
            continue
        rules = chosen(
            case["dataset"], case["apply_psee_bbox_filter"], case["apply_faulty_bbox_filter"]
        )
        of = {key.split("/")[2]: oracle[key] for key in oracle if key.startswith(f"ts/{name}/")}
        sensor = FILTERS[case["dataset"]].sensor
        if "error" in case:
            stated.add(name)
            try:
                lost = plan(of["labels_in"], sensor, case["split"], rules).lost
            except NoFramesError as error:
                lost = {error.problem: 1}
            assert any(STATED[name] in what for what in lost), (name, lost)
            continue
        found = plan(of["labels_in"], sensor, case["split"], rules)
        assert equal(found.labels, of["labels_out"]), name
        n_per_frame = np.diff([*found.first, len(found.labels)])
        for made, key in (
            (n_per_frame, "n_per_frame"),
            (found.frames_us, "frame_timestamps_us"),
            (found.ends_us, "repr_timestamps_us"),
            (found.window_of, "objframe_idx_2_repr_idx"),
        ):
            assert made.dtype == np.int64
            assert made.tolist() == of[key].tolist(), (name, key)
    assert stated == STATED.keys()


@pytest.mark.parametrize("dataset", ["gen1", "gen4"])
def test_filters__keep_the_boxes_that_rvt_keeps(dataset):
    oracle = np.load(shared_file("oracles/rvt_labels.npz"))
    boxes, sensor = oracle[f"filter/{dataset}/in"], FILTERS[dataset].sensor
    before = boxes.copy()
    for psee in (0, 1):
        for faulty in (0, 1):
            for split in ("train", "val", "test"):
                kept, lost = filtered(boxes, sensor, split, chosen(dataset, psee, faulty))
                wanted = oracle[f"filter/{dataset}/psee={psee}_faulty={faulty}_{split}"]
                assert equal(kept, wanted), (psee, faulty, split)
                assert len(kept) + sum(lost.values()) == len(boxes)
    assert (boxes == before).all(), "the boxes that are given stay as they are"


# The same rules, one by one and slowly


def slow_filter(box, sensor, split, dataset):
    """Return a box as it is kept, or None, in float32 as RVT has it."""
    one, height, width = np.float32, *sensor
    if dataset == "gen4" and box["class_id"] > 2:
        return None
    left, top = one(box["x"]), one(box["y"])
    right, bottom = one(left + one(box["w"])), one(top + one(box["h"]))
    left, right = (min(max(each, one(0)), one(width - 1)) for each in (left, right))
    top, bottom = (min(max(each, one(0)), one(height - 1)) for each in (top, bottom))
    w, h = one(right - left), one(bottom - top)
    if not (w > 0 and h > 0):
        return None
    if dataset == "gen1" and (min(w, h) < 10 or one(one(w * w) + one(h * h)) < 900):
        return None
    if dataset == "gen4" and min(w, h) < 5:
        return None
    if split == "train" and w > 9 * width // 10:
        return None
    return left, top, w, h


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            *(st.one_of(st.integers(-80, 1400), st.floats(-80, 1400, width=32)) for _ in range(4)),
            st.integers(0, 6),
        ),
        max_size=20,
    ),
    st.sampled_from(["gen1", "gen4"]),
    st.sampled_from(["train", "val"]),
)
def test_filters__equal_a_rule_by_rule_loop(rows, dataset, split):
    boxes = np.zeros(len(rows), RVT_DTYPE)
    for row, (*box, class_id) in enumerate(rows):
        for name, value in zip("xywh", box, strict=True):
            boxes[name][row] = value
        boxes["class_id"][row], boxes["track_id"][row] = class_id, row
    sensor = FILTERS[dataset].sensor
    kept, lost = filtered(boxes, sensor, split, RvtSettings(filter=dataset))
    slow = {row: slow_filter(box, sensor, split, dataset) for row, box in enumerate(boxes)}
    wanted = {row: box for row, box in slow.items() if box is not None}
    found = {int(box["track_id"]): tuple(box[name] for name in "xywh") for box in kept}
    assert found == wanted
    assert len(kept) + sum(lost.values()) == len(boxes)


def test_boxes__are_cropped_to_one_pixel_less_than_the_sensor():
    boxes = boxes_at([0, 0], w=300)
    boxes["x"] = [-50, 100]
    kept, lost = filtered(boxes, Sensor(240, 304), "val", GEN1)
    assert kept[["x", "w"]].tolist() == [(0, 250), (100, 203)]
    assert lost == {}


def test_wide_boxes__are_left_out_of_train_alone_and_unless_they_are_wanted():
    boxes = boxes_at([0, 0], w=[273, 274])
    boxes["x"] = 5
    kept = {
        (split, wide): filtered(
            boxes, Sensor(240, 304), split, RvtSettings(filter="gen1", wide_boxes=wide)
        )[0]["w"].tolist()
        for split in ("train", "test")
        for wide in ("drop", "keep")
    }
    assert kept.pop(("train", "drop")) == [273]
    assert all(each == [273, 274] for each in kept.values())


# Frames and windows


def test_frames__are_within_2_ms_of_the_grid_that_begins_at_the_last_one():
    times = [99_999, 130_000, 380_000, 632_000, 633_000, 640_000, 1_384_000, 1_636_001]
    frames, steps, off_grid, too_close = frames_of(np.array(times), 250_000)
    assert frames.tolist() == [130_000, 380_000, 632_000, 1_384_000]
    assert steps.tolist() == [1, 1, 3]
    assert (off_grid, too_close) == ([640_000, 1_636_001], [633_000])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_windows__end_at_every_frame_and_never_go_back(data):
    n = data.draw(st.integers(1, 6))
    first = data.draw(st.integers(100_000, 400_000))
    apart = data.draw(st.lists(st.integers(98_000, 900_000), min_size=n - 1, max_size=n - 1))
    frames = first + np.cumsum([0, *apart])
    counts = np.array(data.draw(st.lists(st.integers(1, 8), min_size=n - 1, max_size=n - 1)), int)
    ends = window_ends(frames, counts, 50_000)
    assert (np.diff(ends) > 0).all()
    assert set(frames.tolist()) <= set(ends.tolist())
    assert len(ends[ends > first]) == counts.sum()
    before = ends[ends <= first]
    assert (np.diff(before) == 50_000).all()
    assert before[0] > 50_000 or len(before) == 1, "the earliest is left out"


def test_gen1__has_two_windows_per_quarter_of_a_second_and_more_if_asked():
    boxes = boxes_at([250_000, 500_000])
    assert plan(boxes, Sensor(240, 304), "val", GEN1).ends_us[-3:].tolist() == [
        *(250_000, 375_000, 500_000)
    ]
    five = RvtSettings(filter="gen1", windows_per_step=5)
    ends = plan(boxes, Sensor(240, 304), "val", five).ends_us
    assert (np.diff(ends) == 50_000).all()


def test_labels__close_to_a_frame_or_off_the_grid_are_counted_with_what_to_do():
    boxes = boxes_at([90_000, 250_000, 251_000, 251_000, 400_000, 502_001, 750_000])
    made = plan(boxes, Sensor(240, 304), "val", GEN1)
    assert made.frames_us.tolist() == [250_000, 750_000]
    assert {what[:30]: n for what, n in made.lost.items()} == {
        "boxes before 100,000 µs": 1,
        "boxes up to 2,000 µs after a l": 2,
        "boxes that are more than 2,000": 2,
    }
    assert "--label-step-us" in "".join(made.lost)


def test_other_label_rates__are_taken_where_their_step_is_stated():
    boxes = boxes_at(np.arange(1, 20) * 50_000)
    sensor = Sensor(720, 1280)
    with pytest.raises(NoFramesError, match="come at 20 Hz"):
        plan(boxes, sensor, "val", GEN4)
    made = plan(boxes, sensor, "val", RvtSettings(filter="gen4", label_step_us=50_000))
    assert made.frames_us.tolist() == (np.arange(2, 20) * 50_000).tolist()
    assert any("RVT's script stops" in what for what in made.lost), "50 ms are less than 98 ms"
    one = RvtSettings(filter="gen4", label_step_us=100_000)
    assert len(plan(boxes[6:7], sensor, "val", one).frames_us) == 1


def test_labels__of_records_with_padding_come_out_packed():
    boxes = np.zeros(2, BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = [250_000, 500_000], 50, 50
    made = plan(boxes, Sensor(240, 304), "val", GEN1)
    assert made.labels.dtype.itemsize == 36
    assert made.labels.dtype.names == BOX_DTYPE.names
    ours = in_rvt_type(boxes, "park")
    assert (ours.dtype, ours.dtype.itemsize) == (RVT_DTYPE, 33)
    assert ours["t"].tolist() == [250_000, 500_000]
    boxes["class_id"][1] = 256
    with pytest.raises(AnnotationError, match="park, record 1: class_id is 256"):
        in_rvt_type(boxes, "park")


def test_settings__name_the_folder_as_rvt_does():
    mixed = {"filter": "gen1", "representation": "mixeddensity_stack"}
    assert [
        RvtSettings(filter="gen1", **more).folder
        for more in ({}, {"cutoff": 5}, {"count": 5_000}, {"window_us": 20_000, "bins": 3})
    ] == [
        "stacked_histogram_dt=50_nbins=10",
        "stacked_histogram_dt=50_nbins=10",
        "stacked_histogram_ne=5000_nbins=10",
        "stacked_histogram_dt=20_nbins=3",
    ]
    assert RvtSettings(**mixed).folder == "mixeddensity_stack_dt=50_nbins=10_cutoff=32"
    assert RvtSettings(**mixed, no_cutoff=True).folder == "mixeddensity_stack_dt=50_nbins=10"
    assert [each.file for each in (GEN1, GEN4)] == [
        "event_representations.h5",
        "event_representations_ds2_nearest.h5",
    ]
    with pytest.raises(ParameterError, match="exclude each other"):
        RvtSettings(filter="gen1", cutoff=3, no_cutoff=True)
    with pytest.raises(ParameterError, match="leaves nothing"):
        RvtSettings(filter="gen1", cutoff=0)
