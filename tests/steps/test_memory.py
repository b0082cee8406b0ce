"""Memory is bounded by chunk and frame: a longer recording takes no more of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.shapes import Annotations, Box, Polygon, Track
from evreel.events import Events, Sensor
from evreel.recordings.aedat4 import Aedat4Writer
from support import ROOT
from support.calls import with_settings

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads VmHWM, which only Linux has"
)

SENSOR = Sensor(48, 64)
SECOND = 1_000_000
FRAME_US = 100_000
SHORT_S, LONG_S = 4, 12  # below some millions of events, not all that is held at a time is there
MOST = 1.2
THREADS = {"threads": 2}  # however many cores there are: each holds a result of its own

ONE_ARENA = {"MALLOC_ARENA_MAX": "1"}
"""Environment in which all threads of a process take their memory from one place.

By itself, glibc gives each thread an arena of its own, which keeps what the thread once had. Which
thread makes which piece is luck, and so is then how much all arenas keep: of one annotation by two
threads, the peak varied by 10 %; with one arena by 4 %; by one thread by 1 %.
"""

RUN_STEP = """
import json, pathlib, sys
from evreel import steps
from support.calls import with_settings
with_settings(getattr(steps, sys.argv[1]), **json.loads(sys.argv[2]))
print(pathlib.Path("/proc/self/status").read_text())
"""


def peak_kb(step: str, **arguments) -> int:
    """Run a step in a process of its own, and return the most memory that it had.

    Not ru_maxrss: in a child, that begins with what its parent had.
    """
    run = subprocess.run(
        [sys.executable, "-c", RUN_STEP, step, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | ONE_ARENA | {"PYTHONPATH": str(ROOT / "tests")},
    )
    return int(re.search(r"^VmHWM:\s+(\d+) kB", run.stdout, re.MULTILINE)[1])


def write_inputs(folder: Path, seconds: float) -> None:
    """Write an event a microsecond, and a box and a polygon that overlap in each frame."""
    n, n_frames = round(seconds * SECOND), max(1, round(seconds * SECOND / FRAME_US))
    with Aedat4Writer(folder / "r.aedat4", SENSOR) as writer:
        for first in range(0, n, SECOND):
            t = np.arange(first, min(first + SECOND, n))
            x, y = t // 5 % SENSOR.width, t // 1_000 % SENSOR.height
            writer.write(Events(t, x, y, t % 2, SENSOR))
    corners, vertices = np.array([[8.0, 8], [40, 40]]), np.array([[20.0, 2], [60, 30], [10, 44]])
    tracks = (
        Track(0, "box", tuple(Box(k, corners) for k in range(n_frames))),
        Track(1, "tent", tuple(Polygon(k, vertices) for k in range(n_frames))),
    )
    write_video_xml(
        folder / "r.xml",
        Annotations(("box", "tent"), tracks),
        name="r",
        n_frames=n_frames,
        picture_shape=SENSOR,
    )


def peaks(seconds: float, run: Callable[..., Any]) -> dict[str, Any]:
    """Return what `run` says of each step on a recording, which is gone thereafter."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_inputs(folder, seconds)
        recording, store, clock = (f"{root}/r.{kind}" for kind in ("aedat4", "h5", "tsv"))
        found = {"events": run("events", recording=recording, output=store, **THREADS)}
        steps.clock(store, clock, steps.ClockSettings(window_us=FRAME_US))
        found["annotate"] = run(
            "annotate",
            store=store,
            clock=clock,
            slices=f"{root}/slices.h5",
            boxes=f"{root}/r_bbox.npy",
            rois=f"{root}/r.xml",
            window_us=50_000,
            **THREADS,
        )
        found["features"] = run(
            "features",
            store=store,
            output=f"{root}/histogram.h5",
            representation="histogram",
            window_us=10_000,
            **THREADS,
        )
        found["check"] = run("check", path=root)
        return found


@pytest.fixture(scope="module")
def short_and_long():
    # Here and now, the kernels are compiled, which takes more memory than any step.
    peaks(0.001, lambda step, **arguments: with_settings(getattr(steps, step), **arguments))
    return peaks(SHORT_S, peak_kb), peaks(LONG_S, peak_kb)


@pytest.mark.parametrize("step", ["events", "annotate", "features", "check"])
def test_peak__of_a_step_does_not_grow_with_the_recording(short_and_long, step):
    short, long = short_and_long
    assert long[step] <= MOST * short[step]
