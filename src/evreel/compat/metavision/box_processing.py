"""Boxes as ``metavision_ml.data.box_processing`` has them: its names and arguments.

What differs, on purpose:

- A label on the border of two batches is in the first of them; none vanishes, and none is in both.
  `load_box_events` and `split_boxes` both take (start, stop], and also t = start where a recording
  starts.
- A file of boxes is opened once in each process, and only the boxes of a batch are read from it.
- No function changes the boxes that it is given: use what it returns.
- Boxes whose time goes back, classes without a name, and missing files are errors that say where.
- In `load_boxes`, intervals that annotators looked at are labelled also where they are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel import boxes as box_api
from evreel.boxes import Boxes, Metadata, create_class_lookup, load_labels_stub, split_boxes
from evreel.errors import ParameterError
from evreel.layout import BOX_DTYPE
from evreel.timebase import Int64Array

__all__ = [
    "EventBbox",
    "bboxes_to_box_vectors",
    "box_vectors_to_bboxes",
    "clip_boxes",
    "create_class_lookup",
    "load_box_events",
    "load_boxes",
    "load_labels_stub",
    "nms",
    "nms_by_class",
    "rescale_boxes",
    "split_boxes",
]

EventBbox = BOX_DTYPE
"""The record of a box."""


def load_box_events(metadata: Metadata, batch_start_time: int, duration: int) -> Boxes:
    """Load the boxes of a part of a recording: `evreel.boxes.load_box_events`."""
    return box_api.load_box_events(metadata, batch_start_time, duration)


def load_boxes(
    metadata: Metadata, batch_start_time: int, duration: int, tensor: Any, **kwargs: Any
) -> tuple[list[Boxes], npt.NDArray[np.bool_]]:
    """Load the boxes of each frame, in its pixels: `evreel.boxes.load_boxes`.

    Parameters
    ----------
    metadata
        The recording.
    batch_start_time, duration
        Which part of it, in µs.
    tensor
        (T, C, H, W) frames of the part.
    kwargs
        ``class_lookup``, ``num_tbins``, ``min_box_diag_network``, as `evreel.boxes.load_boxes`
        takes them.
    """
    return box_api.load_boxes(metadata, batch_start_time, duration, tensor, **kwargs)


def clip_boxes(box_events: Boxes, width: int, height: int) -> Boxes:
    """Return boxes without what is outside a frame: `evreel.boxes.clip_boxes`."""
    return box_api.clip_boxes(box_events, (height, width))


def rescale_boxes(
    box_events: Boxes, width_orig: int, width_dst: int, height_orig: int, height_dst: int
) -> Boxes:
    """Return boxes of a frame that is resized: `evreel.boxes.rescale_boxes`."""
    return box_api.rescale_boxes(box_events, (height_orig, width_orig), (height_dst, width_dst))


def nms(box_events: Boxes, scores: npt.ArrayLike, iou_thresh: float = 0.5) -> Int64Array:
    """Return the rows of boxes that no better one overlaps, of whatever class.

    That deletes objects which overlap another: `nms_by_class` keeps them.
    """
    return box_api.nms(box_events, scores, iou_thresh, class_aware=False)


def nms_by_class(box_events: Boxes, scores: npt.ArrayLike, iou_thresh: float = 0.5) -> Int64Array:
    """Return the rows of boxes that no better one of their class overlaps: `evreel.boxes.nms`."""
    return box_api.nms(box_events, scores, iou_thresh)


def box_vectors_to_bboxes(
    boxes: npt.ArrayLike,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike | None = None,
    track_ids: npt.ArrayLike | None = None,
    ts: npt.ArrayLike = 0,
) -> Boxes:
    """Return boxes that are given by their sides as records.

    Parameters
    ----------
    boxes
        (n, 4) left, top, right, bottom, px.
    labels
        (n,) classes.
    scores, track_ids
        (n,) confidences and tracks; None: 1, and 0.
    ts
        Their time, µs: one or (n,).

    Examples
    --------
    >>> box_vectors_to_bboxes([[1, 2, 5, 9]], [3], ts=40)[["t", "x", "w", "h", "class_id"]].tolist()
    [(40, 1.0, 4.0, 7.0, 3)]
    """
    sides = np.asarray(boxes, dtype=np.float64)
    sides = sides.reshape(0, 4) if not sides.size else sides
    if sides.ndim != 2 or sides.shape[1] != 4:
        raise ParameterError(
            f"boxes are {sides.shape}; (n, 4) left, top, right, bottom is expected"
        )
    found = np.zeros(len(sides), dtype=EventBbox)
    found["x"], found["y"] = sides[:, 0], sides[:, 1]
    found["w"], found["h"] = sides[:, 2] - sides[:, 0], sides[:, 3] - sides[:, 1]
    columns = {"class_id": labels, "class_confidence": scores, "track_id": track_ids, "t": ts}
    found["class_confidence"] = 1
    for name, values in columns.items():
        if values is not None:
            found[name] = values
    return found


def bboxes_to_box_vectors(bboxes: Boxes | Sequence[Any]) -> npt.NDArray[np.float32]:
    """Return records of boxes as (n, 5) float32: left, top, right, bottom, class.

    Examples
    --------
    >>> bboxes_to_box_vectors(box_vectors_to_bboxes([[1, 2, 5, 9]], [3])).tolist()
    [[1.0, 2.0, 5.0, 9.0, 3.0]]
    """
    found = np.asarray(bboxes)
    if not found.size:
        return np.zeros((0, 5), dtype=np.float32)
    x, y, w, h = (found[name] for name in "xywh")
    return np.stack([x, y, x + w, y + h, found["class_id"]], axis=1).astype(np.float32)
