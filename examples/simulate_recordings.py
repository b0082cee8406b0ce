"""Make the recordings that the training examples learn from, as a lab would deliver them.

    python examples/simulate_recordings.py data/train

makes `traffic/`, 24 recordings of cars, people and balls that move, stop and go on, with what CVAT
exports of them and a list of what annotators have finished; and `gestures/`, 6 recordings of a
hand, with a table of which gesture is when. Each folder has a recordings table. The same seed makes
the same bytes. Each file appears when it is whole, and the tables last: after an interruption, run
it again.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from evreel.outputs import atomic, atomic_into
from evreel.simulate.camera import write_recording
from evreel.simulate.scene import parse_scene

Point = tuple[float, float]

HEIGHT, WIDTH = 64, 96
"""Size of the traffic camera's sensor, px."""

FRAME_US = 20_000
"""Duration of a frame that annotators see."""

SHAPES: dict[str, Sequence[Point]] = {
    "car": [(0, 5), (5, 4), (9, 0), (18, 0), (22, 4), (27, 6), (27, 12), (0, 12)],
    "person": [(2, 0), (6, 0), (7, 4), (8, 12), (6, 20), (2, 20), (0, 12), (1, 4)],
    "ball": [(3, 0), (7, 0), (10, 3), (10, 7), (7, 10), (3, 10), (0, 7), (0, 3)],
}
"""Outlines of what is in the traffic, px."""

SPEEDS = {"car": 120, "person": 45, "ball": 80}
"""How fast it moves, px/s."""

TRAFFIC = {"train": 16, "val": 2, "test": 6}
"""Recordings of each split."""

GESTURES = ("left", "right", "wave", "circle")
PEOPLE = {"train": 4, "test": 2}
"""Who make gestures, one recording each."""

REPEATS, GESTURE_US, REST_US, HAND_PX = 10, 300_000, 60_000, 32
"""How often a person makes each gesture, how long that and the rest after it take, and the size of
the sensor that films it."""


def traffic(name: str, seed: int) -> dict[str, Any]:
    """Return a scene of three or four things, of which each stands still for a while."""
    random = np.random.default_rng([1, seed])
    duration_us = int(random.choice([1_600_000, 2_000_000, 2_400_000]))
    kinds = [*SHAPES, *random.choice(list(SHAPES), int(random.integers(0, 2)))]
    return {
        "name": name,
        "duration_us": duration_us,
        "seed": seed,
        "step_us": 1000,
        "frame_us": FRAME_US,
        "sensor": {"height": HEIGHT, "width": WIDTH},
        "camera": {"noise_hz": 0.5, "hot_pixels": 2},
        "background": {"intensity": 0.4, "texture": "noise", "contrast": 0.1, "cell_px": 16},
        "object": [_thing(str(kind), duration_us, random) for kind in kinds],
    }


def _thing(kind: str, duration_us: int, random: np.random.Generator) -> dict[str, Any]:
    scale = int(random.integers(80, 126)) / 100
    outline = [[x * scale, y * scale] for x, y in SHAPES[kind]]
    width, height = np.max(outline, axis=0)
    # It comes from beyond one side or stands there at the start, and stops once on its way.
    sign = int(random.choice([-1, 1]))
    x = float(random.integers(0, WIDTH) - width / 2)
    y = float(random.integers(2, HEIGHT - int(height) - 2))
    stop_us = int(random.integers(duration_us // 4, duration_us // 2))
    go_us = stop_us + int(random.integers(200_000, 500_000))
    before, after = SPEEDS[kind] * stop_us / 1e6, SPEEDS[kind] * (duration_us - go_us) / 1e6
    drift = 0 if kind == "car" else int(random.integers(-8, 9))
    return {
        "label": kind,
        "polygon": outline,
        "annotate": "box",
        "intensity": float(random.choice([0.1, 0.15, 0.75, 0.85])),
        "z_order": int(random.integers(0, 5)),
        "motion": [
            [0, x - sign * before, y],
            [stop_us, x, y],
            [go_us, x, y],
            [duration_us, x + sign * after, y + drift],
        ],
    }


def gestures(name: str, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Return a scene of a hand that makes each gesture some times, and which is when, as CSV."""
    random = np.random.default_rng([2, seed])
    order = random.permutation(np.repeat(GESTURES, REPEATS)).tolist()
    size = int(random.integers(7, 11))
    motion: list[list[float]] = []
    table = ["gesture,start_us,stop_us"]
    for k, gesture in enumerate(order):
        start_us = k * (GESTURE_US + REST_US)
        middle = (HAND_PX - size) / 2 + random.integers(-4, 5, 2)
        reach = int(random.integers(7, 12))
        for share, (dx, dy) in zip(*_path(gesture, random), strict=True):
            at_us = start_us + int(share * GESTURE_US)
            motion.append([at_us, float(middle[0] + reach * dx), float(middle[1] + reach * dy)])
        table.append(f"{gesture},{start_us},{start_us + GESTURE_US}")
    scene = {
        "name": name,
        "duration_us": len(order) * (GESTURE_US + REST_US),
        "seed": seed,
        "step_us": 1000,
        "sensor": {"height": HAND_PX, "width": HAND_PX},
        "camera": {"noise_hz": 0.5},
        "background": {"intensity": 0.4},
        "object": [
            {
                "label": "hand",
                "box": [size, size + 2],
                "intensity": float(random.choice([0.15, 0.8])),
                "motion": motion,
            }
        ],
    }
    return scene, table


def _path(gesture: str, random: np.random.Generator) -> tuple[Sequence[float], Sequence[Point]]:
    """Return where a hand is at which share of a gesture, within 1 of its middle."""
    if gesture == "circle":
        share = np.linspace(0, 1, 13)
        angle = 2 * np.pi * (share + random.integers(0, 4) / 4)
        # Rounded: the last place of a sine differs between processors.
        points = np.round(np.stack([np.cos(angle), np.sin(angle)], axis=1), 6)
        return share.tolist(), points.tolist()
    x = {"left": (1, -1), "right": (-1, 1), "wave": (1, -1, 1, -1)}[gesture]
    return np.linspace(0, 1, len(x)).tolist(), [(place, 0.0) for place in x]


def film_traffic(folder: Path, k: int, split: str) -> dict[str, str]:
    """Make a recording of traffic; return its row of the table."""
    scene = traffic(f"traffic_{k:02}", k)
    # Annotators have left out a stretch of every recording: its frames count as not labelled.
    first = int(scene["duration_us"]) * 3 // 5 // FRAME_US
    last = int(scene["duration_us"]) // FRAME_US
    spans = f"start_frame\tstop_frame\n0\t{first - 1}\n{first + 10}\t{last - 1}\n"
    recording, rois, finished = _film(scene, folder, ".finished.tsv", spans)
    return _row(recording, split) | {"rois": str(rois), "labelled": str(finished)}


def film_gestures(folder: Path, k: int, split: str) -> dict[str, str]:
    """Make a recording of gestures; return its row of the table."""
    scene, table = gestures(f"person_{k:02}", k)
    recording, _, intervals = _film(scene, folder, ".csv", "\n".join(table) + "\n")
    return _row(recording, split) | {"samples": str(intervals)}


def _film(scene: dict[str, Any], folder: Path, suffix: str, table: str) -> tuple[Path, Path, Path]:
    """Make a recording, its CVAT XML, and a table beside them with that suffix."""
    with atomic_into(folder) as scratch:
        recording, rois, *_ = write_recording(parse_scene(scene), scratch)
        beside = recording.with_suffix(suffix)
        beside.write_text(table, encoding="utf-8")
    return folder / recording.name, folder / rois.name, folder / beside.name


def _row(recording: Path, split: str) -> dict[str, str]:
    md5 = hashlib.md5(recording.read_bytes()).hexdigest()
    return {"id": recording.stem, "source": str(recording), "md5": md5, "split": split}


def film(
    make: Callable[[Path, int, str], dict[str, str]], folder: Path, shares: dict[str, int]
) -> None:
    """Make the recordings of all splits, two at a time, and their table."""
    splits = [split for split, n in shares.items() for _ in range(n)]
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(make, [folder] * len(splits), range(1, len(splits) + 1), splits))
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    with atomic(folder / "recordings.tsv") as (table,):
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Make both sets of recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="gets traffic/ and gestures/")
    folder = parser.parse_args().folder
    film(film_traffic, folder / "traffic", TRAFFIC)
    film(film_gestures, folder / "gestures", PEOPLE)


if __name__ == "__main__":
    main()
