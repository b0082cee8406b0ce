"""Scenes as their files' text, and what the simulator makes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evreel import steps
from support.once import copy_once


def annotated(
    folder: Path, slices: Path, boxes: Path, at: steps.AnnotateSettings | None = None
) -> tuple[Path, Path]:
    """Simulate a recording, ``park``, and annotate it; return its store and its clock."""
    recording, rois, *_ = steps.simulate(write_scene(folder, "park", seed=1), folder)
    store, clock = folder / "park.h5", folder / "park.clock.tsv"
    steps.events(recording, store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    windows = steps.RegularWindows(window_us=20_000)
    at = at or steps.AnnotateSettings()
    steps.annotate(store, clock, slices, boxes, windows, at, rois=rois)
    return store, clock


def car(duration_us: int) -> dict[str, object]:
    """Return a box that moves to the right."""
    motion = [[0, 4.0, 20.0], [duration_us, 44.0, 20.0]]
    return {"label": "car", "box": [14.0, 10.0], "intensity": 0.9, "motion": motion}


def sign(duration_us: int) -> dict[str, object]:
    """Return a triangle before the car."""
    corners = [[0.0, 0.0], [10.0, 0.0], [5.0, 9.0]]
    motion = [[0, 30.0, 24.0], [duration_us, 26.0, 20.0]]
    return {"label": "sign", "polygon": corners, "intensity": 0.1, "z_order": 1, "motion": motion}


def scene(
    name: str,
    seed: int = 0,
    *,
    duration_us: int = 120_000,
    objects: Sequence = (car, sign),
    tags: Sequence[str] = ("busy",),
    **changes: object,
) -> dict:
    """Return a scene as `evreel.simulate.scene.parse_scene` takes it.

    Tags are from 30 to 60 ms; `changes` are further keys, or stand for those here.
    """
    return {
        "name": name,
        "duration_us": duration_us,
        "seed": seed,
        "sensor": {"height": 47, "width": 63},
        "background": {"intensity": 0.4},
        "object": [of(duration_us) if callable(of) else of for of in objects],
        "tag": [{"label": label, "start_us": 30_000, "stop_us": 60_000} for label in tags],
        **changes,
    }


def toml(document: Mapping) -> str:
    """Return a document as TOML; its tables are of values."""
    keys, tables = [], []
    for key, value in document.items():
        if isinstance(value, Mapping):
            tables.append(f"[{key}]\n{toml(value)}")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            tables += [f"[[{key}]]\n{toml(entry)}" for entry in value]
        elif value != []:
            keys.append(f"{key} = {json.dumps(value)}\n")
    return "".join(keys + tables)


def write_scene(folder: Path, name: str, seed: int = 0, **changes: object) -> Path:
    """Write a scene to the file of its name."""
    path = folder / f"{name}.toml"
    path.write_text(toml(scene(name, seed, **changes)), encoding="utf-8")
    return path


def simulated(folder: Path, name: str, seed: int = 0, **changes: object) -> Path:
    """Simulate a scene into the folder ``raw``; return the recording.

    Each scene is simulated once, and copied: its files are the same in any folder.
    """
    scene = write_scene(folder, name, seed, **changes)
    of_scene = hashlib.sha256(scene.read_bytes()).hexdigest()[:16]
    copy_once(f"scene-{of_scene}", lambda shared: steps.simulate(scene, shared), folder / "raw")
    return folder / "raw" / f"{name}.aedat4"
