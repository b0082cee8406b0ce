"""Compare the peak memory of each step on a long recording and on one of a tenth of its length.

The simulator films one scene for both: 346×260, a moving background and four objects that move
to and fro, two annotated as boxes and two as polygons, and frame tags. Each step runs in a process
of its own, after all have run once on a short recording, so that no process compiles kernels.

A step's peak is Linux's VmHWM, the most resident memory that the process ever had. Unlike
ru_maxrss, it does not begin with the memory of the process that started it. The script fails if a
peak grows to more than 1.2 times. It takes some minutes, and 3 GB of TMPDIR.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from evreel import steps
from evreel.recordings import open_recording
from evreel.simulate.camera import write_recording
from evreel.simulate.scene import parse_scene

LENGTHS = 10
"""How many times longer the long recording is."""

MOST = 1.2
"""Limit of a peak's growth."""

EVENTS_PER_SECOND = 1_097_000
"""What the scene makes, within some percent at any length of a second or more."""

WARM_UP_S = 0.3
FRAME_US = 10_000
ROUND_US = 5_000_000
"""Objects are back where they began after this time."""


def scene(seconds: float) -> dict[str, Any]:
    """Return the scene, which is the same at any time whatever its length."""
    duration_us = round(seconds * 1000) * 1000

    def to_and_fro(*corners: tuple[float, float]) -> list[list[float]]:
        n = duration_us // (ROUND_US // 2) + 1
        return [[k * ROUND_US // 2, *corners[k % 2]] for k in range(n)]

    def intervals() -> Iterator[dict[str, Any]]:
        for k, start_us in enumerate(range(0, duration_us, ROUND_US // 2)):
            stop_us = min(start_us + ROUND_US // 4, duration_us)
            yield {"label": ("busy", "calm")[k % 2], "start_us": start_us, "stop_us": stop_us}

    return {
        "name": "scene",
        "duration_us": duration_us,
        "step_us": 1000,
        "frame_us": FRAME_US,
        "sensor": {"height": 260, "width": 346},
        "camera": {"threshold_on": 0.2, "threshold_off": 0.2, "noise_hz": 1.0},
        "background": {
            "intensity": 0.4,
            "texture": "noise",
            "contrast": 0.9,
            "cell_px": 8,
            "drift_px_s": [40, 0],
        },
        "object": [
            {
                "label": "car",
                "box": [80, 50],
                "intensity": 0.9,
                "motion": to_and_fro((10, 20), (200, 60)),
            },
            {
                "label": "car",
                "box": [60, 40],
                "intensity": 0.1,
                "z_order": 2,
                "motion": to_and_fro((270, 40), (40, 30)),
            },
            {
                "label": "person",
                "polygon": [[10, 0], [20, 6], [18, 30], [22, 60], [0, 60], [4, 30], [2, 6]],
                "intensity": 0.7,
                "z_order": 1,
                "motion": to_and_fro((60, 120), (250, 160)),
            },
            {
                "label": "tree",
                "polygon": [[0, 0], [60, 10], [50, 70], [30, 90], [5, 60]],
                "intensity": 0.2,
                "motion": to_and_fro((250, 120), (60, 150)),
            },
        ],
        "tag": list(intervals()),
    }


def simulate(folder: Path, seconds: float) -> None:
    """Write a recording and its annotations."""
    write_recording(parse_scene(scene(seconds)), folder)


def events(folder: Path) -> None:
    steps.events(folder / "scene.aedat4", folder / "scene.h5")


def clock(folder: Path) -> None:
    steps.clock(
        folder / "scene.h5", folder / "scene.clock.tsv", steps.ClockSettings(window_us=FRAME_US)
    )


def video(folder: Path) -> None:
    steps.video(folder / "scene.h5", folder / "scene.clock.tsv", folder / "scene.mp4")


def annotate(folder: Path) -> None:
    steps.annotate(
        folder / "scene.h5",
        folder / "scene.clock.tsv",
        folder / "slices.h5",
        folder / "scene_bbox.npy",
        steps.RegularWindows(window_us=50_000),
        rois=folder / "scene.rois.xml",
        tags=folder / "scene.tags.xml",
    )


def histogram(folder: Path) -> None:
    steps.features(
        folder / "scene.h5",
        folder / "histogram.h5",
        steps.FeatureSettings(representation="histogram", window_us=10_000),
    )


def voxel_grid(folder: Path) -> None:
    steps.features(
        folder / "scene.h5",
        folder / "voxel_grid.h5",
        steps.FeatureSettings(representation="voxel_grid", parameters={"bins": 5}, count=50_000),
    )


def release(folder: Path) -> None:
    sources = {
        "train/events/scene.h5": "scene.h5",
        "train/slices/scene.h5": "slices.h5",
        "train/slices/scene_bbox.npy": "scene_bbox.npy",
        "train/histogram/scene.h5": "histogram.h5",
        "train/histogram/scene_bbox.npy": "scene_bbox.npy",
        "annotations/scene.xml": "scene.rois.xml",
    }
    rows = [
        {"path": path, "source": str(folder / name), "id": "scene", "split": "train"}
        for path, name in sources.items()
    ]
    steps.release_plan(rows, folder / "plan.tsv")
    steps.release(
        folder / "plan.tsv",
        folder / "release",
        steps.ReleaseSettings(name="scene", version="1.0", licence="CC0-1.0"),
        labels=["car", "person", "tree", "busy", "calm"],
    )


# In order, each with its inputs; the clock is measured too.
STEPS: dict[str, Callable[[Path], None]] = {
    "events": events,
    "clock": clock,
    "video": video,
    "annotate": annotate,
    "features, histogram by time": histogram,
    "features, voxel grid by count": voxel_grid,
    "release": release,
}


def peak_mb(process: str = "self") -> float:
    """Return the most resident memory that a process has had, MB; 0 if it is ending."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


class Ffmpeg:
    """Watches the ffmpeg that this process runs, whose numbers are gone once it has ended."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            for children in Path("/proc/self/task").glob("*/children"):
                with contextlib.suppress(OSError):  # a thread or process has ended meanwhile
                    for child in children.read_text(encoding="ascii").split():
                        if Path(f"/proc/{child}/exe").readlink().name.startswith("ffmpeg"):
                            self.peak_mb = max(self.peak_mb, peak_mb(child))


def measure(name: str, folder: Path) -> None:
    """Run a step in this process, and print its peaks and seconds as JSON."""
    begin = time.perf_counter()
    with Ffmpeg() as ffmpeg:
        STEPS[name](folder)
    seconds = time.perf_counter() - begin
    found = {name: [peak_mb(), seconds]}
    if ffmpeg.peak_mb:
        found[f"{name}: its ffmpeg"] = [ffmpeg.peak_mb, seconds]
    print(json.dumps(found))


def measured(folder: Path, seconds: float) -> tuple[int, dict[str, list[float]]]:
    """Make a recording and run all steps on it; return its events, and the peaks and seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        run("simulate", made, str(seconds))
        found: dict[str, list[float]] = {}
        for name in STEPS:
            found |= json.loads(run(name, made))
        with open_recording(Path(made) / "scene.h5") as store:
            return len(store), found


def run(*arguments: str) -> str:
    """Run this script with `arguments` in a new process, and return what it prints."""
    command = [sys.executable, __file__, "--run", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--events",
        type=int,
        default=100_000_000,
        help="of the long recording; from a tenth of 40 M on, steps take nearly all their memory",
    )
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, folder, *seconds = options.run
        if name == "simulate":
            simulate(Path(folder), float(seconds[0]))
        else:
            measure(name, Path(folder))
        return 0
    long_s = options.events / EVENTS_PER_SECOND
    with tempfile.TemporaryDirectory() as folder:
        measured(Path(folder), WARM_UP_S)
        (n_short, short), (n_long, long) = (
            measured(Path(folder), seconds) for seconds in (long_s / LENGTHS, long_s)
        )
    sizes = f"{n_short / 1e6:.1f} M", f"{n_long / 1e6:.1f} M"
    print(f"Recordings of {' and '.join(sizes)} events; peaks in MB, seconds of one run each\n")
    heads = (
        "step",
        *(f"MB at {n}" for n in sizes),
        "ratio",
        *(f"s at {n}" for n in sizes),
        "ratio",
    )
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    worst = 0.0
    for name, (peak, seconds) in short.items():
        long_peak, long_seconds = long[name]
        worst = max(worst, long_peak / peak)
        print(
            f"| {name} | {peak:.0f} | {long_peak:.0f} | {long_peak / peak:.2f} "
            f"| {seconds:.1f} | {long_seconds:.1f} | {long_seconds / seconds:.1f} |"
        )
    if worst > MOST:
        print(f"\nA peak grew to {worst:.2f} times; the limit is {MOST}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
