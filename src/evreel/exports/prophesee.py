"""Boxes as Prophesee's automotive dataset toolbox streams them: ``<split>/<recording>_bbox.npy``.

Its loader makes a type of its own from the names and types of fields, without the padding between
them. So it reads the 40 bytes of an EventBbox record, of which 4 are padding, at a stride of 36.
Here the records are packed. Functions that use `numpy.load` read both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evreel.annotations.forms.listing import not_in_boxes
from evreel.annotations.regions import Regions
from evreel.exports.exported import Exported, labels_of
from evreel.layout import BOX_DTYPE, BOXES_SUFFIX, LABEL_MAP

PACKED_DTYPE = np.dtype([(name, BOX_DTYPE[name]) for name in BOX_DTYPE.names or ()])


def write_prophesee(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write boxes in this layout; return what it cannot hold."""
    lost: Counter[str] = Counter()
    for item in items:
        annotations, clock = item.labelled()
        boxes = Regions(annotations, clock, item.picture, clip=True).boxes()
        (folder / item.split).mkdir(exist_ok=True)
        with (folder / item.split / f"{item.id}{BOXES_SUFFIX}").open("xb") as file:
            np.save(file, boxes.astype(PACKED_DTYPE), allow_pickle=False)
        lost.update(not_in_boxes(annotations))
        # As in the boxes of slices and releases, so that they can be compared.
        ids = [track.id for track in annotations.tracks]
        lost["tracks whose number is their position"] += ids != list(range(len(ids))) and len(ids)
    write_label_map(folder, labels_of(items))
    return dict(lost)


def write_label_map(folder: Path, labels: Sequence[str]) -> None:
    """Write the names of classes by their numbers."""
    value = {str(k): label for k, label in enumerate(labels)}
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    (folder / LABEL_MAP).write_text(text, encoding="utf-8", newline="\n")
