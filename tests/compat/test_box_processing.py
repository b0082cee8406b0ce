"""Metavision's functions of boxes, by their names, without their faults."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from evreel.compat.metavision import box_processing as box_api
from evreel.errors import ParameterError
from evreel.viz.boxes import draw_box_events

DELTA_T = 50_000


def custom_load_boxes(metadata, batch_start_time, duration, tensor, **kwargs):
    """Load boxes as a user of Metavision writes it, class by class and frame by frame."""
    box_events = box_api.load_box_events(metadata, batch_start_time, duration)
    class_lookup = kwargs["class_lookup"]
    box_events["class_id"] = class_lookup[box_events["class_id"]]
    n = tensor.shape[0]
    return box_api.split_boxes(
        box_events, batch_start_time=batch_start_time, delta_t=duration // n, num_tbins=n
    ), np.ones(n, dtype=bool)


@pytest.fixture
def recording(tmp_path):
    """A recording with a label each 25 ms, on the borders of frames and of batches too."""
    names = {"0": "pedestrian", "1": "two wheeler", "2": "car"}
    (tmp_path / "label_map_dictionary.json").write_text(json.dumps(names))
    t = np.arange(0, 425_000, 25_000)
    sides = np.tile([10.0, 20, 90, 80], (len(t), 1))
    np.save(tmp_path / "a_bbox.npy", box_api.box_vectors_to_bboxes(sides, t // 25_000 % 3, ts=t))
    return SimpleNamespace(path=str(tmp_path / "a.h5"), padding=False, start_ts=0, sensor=(96, 128))


def test_box_processing__loses_no_label_on_the_border_of_batches(recording, tmp_path):
    lookup = box_api.create_class_lookup(tmp_path / "label_map_dictionary.json", ["car"])
    load, tensor = partial(custom_load_boxes, class_lookup=lookup), np.zeros((3, 2, 48, 64))
    theirs, ours = [], []
    for start in range(0, 450_000, 3 * DELTA_T):
        theirs += load(recording, start, 3 * DELTA_T, tensor)[0]
        ours += box_api.load_boxes(
            recording,
            batch_start_time=start,
            duration=3 * DELTA_T,
            tensor=tensor,
            class_lookup=lookup,
            num_tbins=3,
            min_box_diag_network=50,
        )[0]
    assert [len(part) for part in theirs] == [3] + 7 * [2] + [0]
    every = np.concatenate(theirs)
    assert every["t"].tolist() == list(range(0, 425_000, 25_000))
    cars = every[every["class_id"] == 1]
    np.testing.assert_array_equal(np.concatenate(ours)["t"], cars["t"])
    assert set(np.concatenate(ours)[["x", "y", "w", "h"]].tolist()) == {(5, 10, 40, 30)}
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    viz_labels = partial(draw_box_events, label_map=["background", "car"])
    assert (viz_labels(frame, ours[0]) != frame).any()


def test_box_processing__takes_widths_before_heights():
    boxes = box_api.box_vectors_to_bboxes([[2, 4, 30, 20]], [1], [0.5], [7], 9)
    before = boxes.copy()
    clipped = box_api.clip_boxes(boxes, 20, 10)
    assert box_api.bboxes_to_box_vectors(clipped).tolist() == [[2, 4, 20, 10, 1]]
    scaled = box_api.rescale_boxes(clipped, 20, 40, 10, 5)
    assert box_api.bboxes_to_box_vectors(scaled).tolist() == [[4, 2, 40, 5, 1]]
    assert scaled[["t", "track_id", "class_confidence"]].tolist() == [(9, 7, 0.5)]
    np.testing.assert_array_equal(boxes, before)


def test_nms_by_class__keeps_what_nms_deletes():
    boxes = box_api.box_vectors_to_bboxes([[0, 0, 5, 5]] * 3, [0, 1, 1])
    assert box_api.nms(boxes, [0.4, 0.9, 0.5]).tolist() == [1]
    assert box_api.nms_by_class(boxes, [0.4, 0.9, 0.5]).tolist() == [1, 0]


def test_box_vectors__may_be_none():
    none = box_api.box_vectors_to_bboxes([], [])
    assert none.dtype == box_api.EventBbox and not len(none)
    assert box_api.bboxes_to_box_vectors(none).shape == (0, 5)
    with pytest.raises(ParameterError, match=r"boxes are \(4,\); \(n, 4\) left, top"):
        box_api.box_vectors_to_bboxes([0, 0, 5, 5], [1])
