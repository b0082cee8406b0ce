"""Shapes, tracks and tags on a video's frames; reading and writing them in any of five forms.

- `read_annotations` reads CVAT XML, COCO, MOT, YOLO or EventBbox; content tells which it is.
- `of_jobs` joins what several exports of one task's jobs say.
- ``write_…`` writes one of them, and returns what it could not hold.

`evreel.annotations.shapes` has the types; `evreel.annotations.frames.place` finds the rows of a
clock that annotations are of.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
    from evreel.annotations.forms.coco import read_coco, write_coco
    from evreel.annotations.forms.event_bbox import read_event_bbox, write_event_bbox
    from evreel.annotations.forms.mot import read_mot, write_mot
    from evreel.annotations.forms.yolo import read_yolo, write_yolo, write_yolo_config
    from evreel.annotations.jobs import of_jobs
    from evreel.annotations.keyframes import sparse
    from evreel.annotations.open import form_of, read_annotations
    from evreel.annotations.shapes import Annotations, FrameTag, Shape, Track

_LAZY = {
    "Annotations": "shapes",
    "FrameTag": "shapes",
    "Shape": "shapes",
    "Track": "shapes",
    "form_of": "open",
    "of_jobs": "jobs",
    "read_annotations": "open",
    "read_coco": "forms.coco",
    "read_cvat": "cvat",
    "read_event_bbox": "forms.event_bbox",
    "read_mot": "forms.mot",
    "read_yolo": "forms.yolo",
    "sparse": "keyframes",
    "write_coco": "forms.coco",
    "write_event_bbox": "forms.event_bbox",
    "write_images_xml": "cvat",
    "write_mot": "forms.mot",
    "write_video_xml": "cvat",
    "write_yolo": "forms.yolo",
    "write_yolo_config": "forms.yolo",
}
"""Name → the module that it is imported from when it is first used."""

__all__ = [
    "Annotations",
    "FrameTag",
    "Shape",
    "Track",
    "form_of",
    "of_jobs",
    "read_annotations",
    "read_coco",
    "read_cvat",
    "read_event_bbox",
    "read_mot",
    "read_yolo",
    "sparse",
    "write_coco",
    "write_event_bbox",
    "write_images_xml",
    "write_mot",
    "write_video_xml",
    "write_yolo",
    "write_yolo_config",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
