"""DSEC-Detection's folders: boxes at the instants of pictures, on the camera's own clock.

``<train or test>/<recording>/object_detections/left/tracks.npy`` has the boxes, and
``images/timestamps.txt`` the instant of each picture, which is the stop of its frame; beside them,
where they are known, ``events/left/events.h5`` and ``images/left/distorted/*.png``. As in that data
set, recordings for validation are in ``train``, and ``train_val_test_split.yaml`` names them.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evreel.annotations.forms.listing import not_in_boxes, numbers_of
from evreel.annotations.regions import Regions
from evreel.errors import AnnotationError
from evreel.exports.exported import Exported, labels_of
from evreel.exports.of_pictures import copy_pictures
from evreel.exports.prophesee import write_label_map
from evreel.samples.splits import SPLITS

CLASSES = ("pedestrian", "rider", "car", "bus", "truck", "bicycle", "motorcycle", "train")
"""Of DSEC-Detection, in the order of their numbers."""

TRACKS_DTYPE = np.dtype(
    [
        ("t", "<u8"),
        ("x", "<f8"),
        ("y", "<f8"),
        ("w", "<f8"),
        ("h", "<f8"),
        ("class_id", "u1"),
        ("class_confidence", "<f8"),
        ("track_id", "<u8"),
    ]
)


def write_dsec_det(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write recordings in this layout; return what it cannot hold."""
    lost: Counter[str] = Counter()
    labels = labels_of(items)
    is_theirs = set(labels) <= set(CLASSES)
    classes = CLASSES if is_theirs else labels
    if len(classes) > 256:
        raise AnnotationError(f"has {len(classes)} labels; 256 fit this layout")
    for item in items:
        annotations, clock = item.labelled()
        sequence = folder / ("test" if item.split == "test" else "train") / item.id
        for name in ("object_detections/left", "images/left/distorted", "events/left"):
            (sequence / name).mkdir(parents=True)
        boxes = Regions(annotations, clock, item.picture, clip=True).boxes()
        ids, other = numbers_of(annotations, 2**63 - 1)
        lost.update(other)
        tracks = np.zeros(len(boxes), dtype=TRACKS_DTYPE)
        for name in ("x", "y", "w", "h", "class_confidence"):
            tracks[name] = boxes[name]
        tracks["t"] = boxes["t"] + item.t_offset
        numbers = np.array([classes.index(label) for label in labels], dtype=np.uint8)
        if len(boxes):
            tracks["class_id"] = numbers[boxes["class_id"]]
            tracks["track_id"] = ids[boxes["track_id"]]
        with (sequence / "object_detections/left/tracks.npy").open("xb") as file:
            np.save(file, tracks, allow_pickle=False)
        stamps = "".join(f"{t}\n" for t in (clock.stop_us + item.t_offset).tolist())
        (sequence / "images/timestamps.txt").write_text(stamps, encoding="utf-8", newline="\n")
        if item.store is not None:
            shutil.copyfile(item.store, sequence / "events/left/events.h5")
        names = {frame: f"{frame:06d}.png" for frame in range(len(clock))}
        copied = copy_pictures(item, sequence / "images/left/distorted", names)
        lost.update(not_in_boxes(annotations))
        lost["recordings without events.h5, because no store was given"] += item.store is None
        lost["recordings without pictures, because no zip of PNG frames was given"] += not copied
    split = {name: [item.id for item in items if item.split == name] for name in SPLITS}
    text = json.dumps(split, indent=1, ensure_ascii=False) + "\n"  # JSON is YAML
    (folder / "train_val_test_split.yaml").write_text(text, encoding="utf-8", newline="\n")
    write_label_map(folder, classes)
    return dict(lost)
