"""Describer of annotations, of any form that can be read."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from evreel.annotations.open import form_of, read_annotations
from evreel.contents.made import boxes
from evreel.video.picture import Picture

_NAMES = {"cvat": "CVAT XML", "coco": "COCO", "mot": "MOT", "yolo": "YOLO"}


def annotation(path: Path) -> dict[str, Any]:
    """Describe an annotation; what it has of unsupported kinds is counted, and no error."""
    form = form_of(path)
    if form == "event-bbox":
        return {"form": "EventBbox"} | boxes(path)
    is_mot = form == "mot"
    found = read_annotations(
        path,
        # YOLO's coordinates are shares of a picture whose size it does not state.
        picture=Picture((1, 1)) if form == "yolo" else None,
        # MOT's classes have names only where labels.txt is beside it.
        labels=_numbered(path) if is_mot else None,
        unsupported="skip",
        invalid="drop",
    )
    shapes: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for track in found.tracks:
        labels[track.label] += 1
        shapes.update(shape.name for shape in track.shapes if not shape.outside)
    height, width = found.picture_shape or (0, 0)
    is_known = found.picture_shape is not None and form != "yolo"
    frames = found.frames
    return {
        "form": _NAMES[form],
        "task": found.task_name,
        "task_id": found.task_id,
        "created": found.created,
        "video": found.video,
        "pictures": {"height": height, "width": width} if is_known else None,
        "frames": f"{frames[0]} to {frames[-1]}" if len(frames) else None,
        "objects": dict(sorted(labels.items())),
        "shapes": dict(sorted(shapes.items())),
        "tags": dict(sorted(Counter(tag.label for tag in found.tags).items())),
        "not_supported": dict(found.skipped),
        "not_valid": {name: n for name, n in found.repairs.items() if n},
        "doubts": list(found.doubts),
    }


def _numbered(path: Path) -> list[str] | None:
    """Return names for MOT's classes, None where the file itself has a list of them."""
    from evreel.annotations.forms.mot import LABELS
    from evreel.annotations.forms.packed import Packed

    if path.is_dir() or zipfile.is_zipfile(path):
        with Packed(path) as packed:
            if packed.named(LABELS):
                return None
    return [f"class {number}" for number in range(1, 1_000)]
