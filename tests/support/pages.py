"""Releases of which a page tells: many recordings, and names that somebody hostile gave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from evreel.cards.page import page
from evreel.cards.told import Told
from evreel.checks.finding import Finding
from evreel.release.facts import BINS, SIZE_EDGES, ClassFacts, EventFacts, RecordingFacts
from support.cards import listed, told

HOSTILE = (
    "<script>document.title='taken'</script>",
    "</script><img src=x onerror=document.title='taken'>",
    "\"><b onclick='x'>&amp;",
    "שלום ‮abc",
    "line\nline\ttab",
    "n" * 600,
    "nul\x00half\ud800",
    "${title} %s {0}",
)
"""Texts that a page must show as they are."""


def hostile() -> Told:
    """Return a release whose every text is of somebody hostile."""
    labels = dict(enumerate(HOSTILE))
    of = ClassFacts(3, 1, 3, (1,) * len(SIZE_EDGES), (1,) * BINS)
    events = EventFacts(24, 32, 3_000, 1_500, 95_000, (50,) * BINS)
    boxes = dict.fromkeys(HOSTILE, of)
    facts = [
        RecordingFacts(name, "train", events, 70_000, boxes, {name: {name: 2}}) for name in HOSTILE
    ]
    about: dict[str, Any] = {
        "title": HOSTILE[0],
        "description": "".join(HOSTILE),
        "citation": HOSTILE[1],
        "page": "javascript:alert(1)",
        "creators": [*HOSTILE, "A <javascript:alert(1)>"],
        "rai": {"data_biases": HOSTILE, "data_collection": HOSTILE[0]},
    }
    return told(
        facts=facts,
        labels=labels,
        recordings={name: {"meta.of": name, "group": name} for name in HOSTILE},
        files=[listed(f"train/{name}", "events", name, "train") for name in HOSTILE],
        findings=[Finding("error", "order", f"train/{name}", name, name) for name in HOSTILE],
        dataset=about,
        licence=HOSTILE[0],
        samples=(),
    )


def many(n: int) -> Told:
    """Return a release of n recordings of 3 classes and 3 splits, each with a preview."""
    classes = ("car", "tram", "bicycle")
    facts, files, recordings = [], [], {}
    for k in range(n):
        id_, split = f"drive-{k:05d}", ("train", "train", "val", "test")[k % 4]
        label = classes[k % 3]
        over_time = tuple((k + part) % 7 for part in range(BINS))
        boxes = sum(over_time)
        of = ClassFacts(boxes, 1 + k % 5, boxes, (boxes, *(0,) * (len(SIZE_EDGES) - 1)), over_time)
        events = EventFacts(720, 1280, 6_000 + k, 3_000, 60_000_000 + k, (100,) * BINS)
        facts.append(RecordingFacts(id_, split, events, 60_000_000, {label: of}))
        recordings[id_] = {
            "split": split,
            "group": f"day {k // 50}",
            "meta.light": "dusk" * (k % 2),
        }
        files.append(listed(f"{split}/events/{id_}.h5", "events", id_, split))
        files += [listed(f"previews/{id_}.{of}", "previews", id_, split) for of in ("mp4", "jpg")]
    labels = dict(enumerate(classes))
    return told(facts=facts, files=files, recordings=recordings, labels=labels, samples=())


def written(folder: Path, of: Told) -> Path:
    """Write a page into a folder; return its path."""
    for path, data in page(of).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder / "index.html"


def with_previews(of: Told, ids: list[str]) -> Told:
    """Return a release that also has previews of some recordings."""
    names = [f"previews/{id_}.{suffix}" for id_ in ids for suffix in ("mp4", "jpg")]
    more = [listed(name, "previews", Path(name).stem) for name in names]
    return replace(of, files=[*of.files, *more])
