"""Scenes of tests, what they make, and slow twins of the simulator's arithmetic.

When the demo's scenes or the simulator change on purpose, this makes the demo's files again:
PYTHONPATH=tests python -m support.simulate
"""

from __future__ import annotations

import copy
import hashlib
import math
import shutil
import tempfile
import tomllib
from fractions import Fraction
from pathlib import Path

import numpy as np

from evreel.events import Events
from evreel.simulate.camera import T_OFFSET_US, Truth, simulate_events, write_recording
from evreel.simulate.scene import SUBPIXEL, Scene, load_scene, parse_scene
from support import ROOT

DEMO = ROOT / "demo"
FOLDERS = {".aedat4": "recordings", ".xml": "annotations", ".json": "truth"}

# A car that leaves to the right and comes back, a sign before it, and all kinds of noise.
FULL_SCENE = """
name = "corner"
duration_us = 100_000
seed = 11
step_us = 500

[sensor]
height = 24
width = 32

[camera]
threshold_on = 0.2
threshold_off = 0.25
threshold_spread = 0.02
refractory_us = 400
noise_hz = 5.0
hot_pixels = 3
hot_pixel_hz = 300.0

[background]
intensity = 0.4
texture = "noise"
contrast = 0.2
cell_px = 4
drift_px_s = [30.0, -11.5]

[[object]]
label = "car"
box = [10.0, 6.5]
intensity = 0.9
texture = "checker"
contrast = 0.1
cell_px = 2
motion = [[0, 5.25, 8.0], [45_000, 40.0, 9.0], [55_000, 40.0, 9.0], [100_000, 20.0, 12.0]]

[[object]]
label = "sign"
polygon = [[0.0, 0.0], [12.0, 2.0], [5.0, 9.0]]
intensity = 0.1
z_order = 1
motion = [[0, 14.0, 12.0], [100_000, 12.0, 6.0]]
visible_us = [[0, 60_000], [70_000, 100_000]]

[[tag]]
label = "busy"
start_us = 20_000
stop_us = 45_000
"""

QUIET = {
    "name": "quiet",
    "duration_us": 50_000,
    "sensor": {"height": 32, "width": 32},
    "camera": {"noise_hz": 0.0, "threshold_spread": 0.0},
    "background": {"intensity": 0.3},
}
BOX = {
    "label": "box",
    "box": [8, 6],
    "intensity": 0.8,
    "motion": [[0, 3, 10.3], [50_000, 15.5, 14]],
}


def made(*things: dict, **changes) -> Scene:
    """Return the quiet scene with these objects and changes; camera's are merged."""
    document = copy.deepcopy(QUIET)
    document["camera"] |= changes.pop("camera", {})
    return parse_scene(document | changes | {"object": [BOX | thing for thing in things]})


def full_scene() -> Scene:
    return parse_scene(tomllib.loads(FULL_SCENE))


def all_events(of: Scene) -> Events:
    return Events.concatenate(simulate_events(of), of.sensor)


def since_first(exact: Truth, t_us: int) -> int:
    """Return an instant of the scene in µs since the first event."""
    return t_us + T_OFFSET_US - exact.t_offset


def rows_of(events: Events, shift_us: int = 0) -> list[tuple[int, int, int, int]]:
    """Return events as rows (t, x, y, p), `shift_us` later."""
    columns = (events.t + shift_us, events.x, events.y, events.p)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def digest(events: Events) -> str:
    """Return the SHA-256 of all columns."""
    joined = b"".join(getattr(events, name).tobytes() for name in "txyp")
    return hashlib.sha256(joined).hexdigest()


def area_inside(points, column: int, row: int) -> Fraction:
    """Return the signed area of a polygon within one pixel, exactly; lengths in 1/1024 px."""
    points = [(Fraction(x), Fraction(y)) for x, y in points]
    edges = (
        (0, column * SUBPIXEL, 1),
        (0, (column + 1) * SUBPIXEL, -1),
        (1, row * SUBPIXEL, 1),
        (1, (row + 1) * SUBPIXEL, -1),
    )
    for axis, edge, side in edges:
        kept = []
        for k, here in enumerate(points):
            before = points[k - 1]
            if (side * (here[axis] - edge) < 0) != (side * (before[axis] - edge) < 0):
                share = (edge - before[axis]) / (here[axis] - before[axis])
                kept.append(tuple(b + share * (h - b) for b, h in zip(before, here, strict=True)))
            if side * (here[axis] - edge) >= 0:
                kept.append(here)
        points = kept
    return sum(
        points[k - 1][0] * points[k][1] - points[k][0] * points[k - 1][1]
        for k in range(len(points))
    )


def crossings_twin(before, level, reference, on, off, start_us: int, step_us: int):
    """Return rows (t, pixel, p) of a step pixel by pixel, and the references thereafter."""
    columns = (before, level, reference, on, off)
    before, level, reference, on, off = (np.asarray(column).tolist() for column in columns)
    rows = []
    for k in range(len(level)):
        while level[k] >= reference[k] + on[k]:
            reference[k] += on[k]
            share = Fraction(reference[k] - before[k], level[k] - before[k])
            rows.append((start_us + math.ceil(share * step_us), k, 1))
        while level[k] <= reference[k] - off[k]:
            reference[k] -= off[k]
            share = Fraction(reference[k] - before[k], level[k] - before[k])
            rows.append((start_us + math.ceil(share * step_us), k, 0))
    return rows, reference


def make_demo(folder: Path) -> dict[str, list[Path]]:
    """Simulate each demo scene into a folder; return scene → files."""
    return {
        path.stem: write_recording(load_scene(path), folder)
        for path in sorted((DEMO / "scenes").iterdir())
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for made_files in make_demo(Path(scratch)).values():
            for made_file in made_files:
                shutil.copy(made_file, DEMO / FOLDERS[made_file.suffix])
