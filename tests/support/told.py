"""What a finished release tells of itself, counted from its files.

A release that evreel builds is told of from what was counted when its files were made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from evreel.cards.told import Told
from evreel.checks.finding import Finding
from evreel.release.facts import (
    EventFacts,
    RecordingFacts,
    box_facts,
    frame_facts,
    labelled_us,
    sample_facts,
)
from evreel.release.open import open_release


def facts_of_release(folder: str | Path) -> list[RecordingFacts]:
    """Count what is in a release's files, recording by recording in the order of their ids."""
    found = []
    with open_release(folder) as release:
        for recording in release.recordings.values():
            facts = RecordingFacts(recording.id, recording.split)
            kinds = recording.kinds
            if "events" in kinds:
                facts = replace(facts, events=EventFacts.of(recording.events))
            if "slices" in kinds:
                facts = replace(facts, labelled_us=labelled_us(recording.slices))
            if "samples" in kinds:
                facts = replace(facts, samples=sample_facts(recording.samples))
            if "boxes" in kinds:
                duration_us = None if facts.events is None else facts.events.duration_us
                boxes = box_facts(recording.boxes, release.labels, duration_us)
                facts = replace(facts, boxes=boxes)
            frames = {name: frame_facts(file) for name, file in recording.features.items()}
            found.append(replace(facts, features=frames))
    return sorted(found, key=lambda facts: facts.id)


def told_of(folder: str | Path, findings: Sequence[Finding] = ()) -> Told:
    """Return what a finished release tells of itself, counted from its files.

    Parameters
    ----------
    folder
        The release.
    findings
        What checks found in it.
    """
    with open_release(folder) as release:
        config = json.loads((release.path / "config.json").read_bytes())
        planned = [file for file in release.manifest.files if file.id or file.kind == "samples"]
        return Told(
            release.manifest.name,
            release.manifest.version,
            release.manifest.licence,
            (config.get("release") or {}).get("compression", "portable"),
            planned,
            facts_of_release(folder),
            release.labels,
            release.manifest.recordings,
            config.get("dataset") or {},
            config,
            findings,
            release.samples,
            release.manifest.missing,
        )
