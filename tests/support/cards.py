"""What a release tells of itself, made up: no file of it exists."""

from __future__ import annotations

import hashlib
from typing import Any

from evreel.cards.told import Told
from evreel.release.facts import (
    BINS,
    SIZE_EDGES,
    ClassFacts,
    EventFacts,
    FrameFacts,
    RecordingFacts,
)
from evreel.release.manifest import ListedFile
from evreel.samples.tables import Assigned

STATED: dict[str, Any] = {
    "title": "Parks at Night",
    "description": "Streets and parks, seen by an event camera.",
    "page": "https://parks.example/data",
    "citation": "@misc{parks}",
    "creators": ["Ada Lovelace <https://orcid.org/0000>", "Bo Ek"],
    "organizations": ["University of Parks <https://parks.example>"],
    "keywords": ["driving"],
    "date_published": "2026-01-31",
    "derived_from": ["https://roads.example", "Trees <https://trees.example>"],
    "rai": {
        "data_collection": "By car.",
        "data_collection_timeframe": ["2025-12-01", "2025-12-24"],
        "data_annotation_protocol": "Outlines in CVAT.",
        "data_limitations": ["No rain.", "One city."],
        "data_biases": ["Few bicycles."],
        "personal_sensitive_information": ["None: faces cannot be recognized."],
        "data_use_cases": ["Training of detectors."],
        "data_social_impact": "None is known.",
        "has_synthetic_data": False,
    },
}
"""A config's group `dataset` that states all that venues ask for."""


def listed(path: str, kind: str, id_: str = "", split: str = "") -> ListedFile:
    data = path.encode(errors="surrogatepass")
    md5, sha256 = (hashlib.new(name, data).hexdigest() for name in ("md5", "sha256"))
    return ListedFile(path, len(data), md5, sha256, kind, id_, split)


def told(**changes: Any) -> Told:
    """Return what is told of two recordings, `park` with boxes and `town` cut into samples."""
    files = [
        listed("train/events/park.h5", "events", "park", "train"),
        listed("train/slices/park.h5", "slices", "park", "train"),
        listed("train/slices/park_bbox.npy", "slices", "park", "train"),
        listed("train/counts/park.h5", "features", "park", "train"),
        listed("train/counts/park_bbox.npy", "features", "park", "train"),
        listed("video/park.mp4", "video", "park"),
        listed("video/park.clock.tsv", "video", "park"),
        listed("annotations/park.rois.xml", "annotations", "park"),
        listed("mixed/events/town.h5", "events", "town", "mixed"),
        listed("mixed/samples/town.h5", "samples", "town", "mixed"),
        listed("samples.tsv", "samples"),
    ]
    sizes, over_time = (0,) * len(SIZE_EDGES), (0,) * BINS
    facts = [
        RecordingFacts(
            "park",
            "train",
            EventFacts(24, 32, 3_000, 1_500, 95_000, over_time),
            70_000,
            {
                "car": ClassFacts(30, 2, 20, sizes, over_time),
                "path": ClassFacts(5, 1, 5, sizes, over_time),
            },
            features={"counts": FrameFacts(10, (2, 24, 32), "uint8", "histogram")},
        ),
        RecordingFacts(
            "town",
            "mixed",
            EventFacts(24, 32, 2_000, 900, 90_000, over_time),
            samples={"train": {"car": 1}, "test": {"bicycle": 1}},
        ),
    ]
    labels = {0: "car", 1: "bicycle", 2: "path"}
    recordings = {
        "park": {"id": "park", "split": "train", "group": "night", "meta.light": "low"},
        "town": {"id": "town", "split": "mixed"},
    }
    samples = [
        Assigned("town", "a", "car", "", "train", 0, 20_000),
        Assigned("town", "b", "bicycle", "late", "test", 30_000, 50_000),
    ]
    given: dict[str, Any] = {
        **{"name": "parks", "version": "2.0.0", "licence": "CC-BY-4.0", "compression": "portable"},
        **{"files": files, "facts": facts, "labels": labels, "recordings": recordings},
        **{"dataset": STATED, "samples": samples},
    }
    return Told(**(given | changes))


SHOWN_SAMPLES = """\
train (2, 2, 24, 32) pedestrian
test (2, 2, 24, 32) Straßenbahn
train (3, 2, 24, 32) pedestrian
"""
SHOWN_EVENTS = "train 601 pedestrian\ntest 628 Straßenbahn\ntrain 986 pedestrian\n"
"""What lines that load samples print of `support.releases.labelled_release`."""
