"""A recording of 10 frames, with slices of everything that layouts hold; and others' pythons."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from evreel import steps
from evreel.annotations import Annotations, write_images_xml, write_video_xml
from evreel.annotations.shapes import FrameTag, Track
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from support import random_events
from support.annotations import box
from support.stores import store_of

N = 10
SHAPE = (48, 64)
LABELS = ("car", "Süd")
GIVEN = Annotations(
    LABELS,
    (
        Track(3, "Süd", tuple(box(k, left=k, right=k + 20.5, bottom=30) for k in range(2, 7))),
        Track(5, "car", tuple(box(k, left=15, right=60, bottom=40) for k in range(N))),
    ),
    tags=tuple(FrameTag(k, "car") for k in range(3)),
    frames=range(N),
    picture_shape=SHAPE,
)


@dataclass(frozen=True)
class Made:
    """Files of a recording."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "rec.h5"

    @property
    def clock(self) -> Path:
        return self.folder / "rec.clock.tsv"

    @property
    def slices(self) -> Path:
        return self.folder / "park.h5"

    @property
    def rois(self) -> Path:
        return self.folder / "park.rois.xml"

    @property
    def pictures(self) -> Path:
        return self.folder / "rec.zip"


def made_in(folder: Path, given: Annotations = GIVEN, name: str = "park") -> Made:
    """Make a recording, its clock, its pictures, its annotation and its slices."""
    made = Made(folder)
    more = {"name": name, "n_frames": N, "picture_shape": SHAPE}
    events = random_events(4_000, SHAPE, stop_us=N * 10_000, seed=1)
    store_of(made.store, events, t_offset=1_600_000_000_000_000)
    steps.clock(made.store, made.clock, steps.ClockSettings())
    write_video_xml(made.rois, given, **more)
    write_images_xml(folder / "park.tags.xml", given, **more)
    steps.annotate(
        *(made.store, made.clock, made.slices, folder / "park_bbox.npy"),
        steps.RegularWindows(window_us=20_000),
        rois=made.rois,
        tags=folder / "park.tags.xml",
        labels=LABELS,
    )
    return made


def release_of(made: Made, folder: Path) -> Path:
    """Build a release in which the recording is twice, for training and for testing."""
    plan = [
        PlanEntry(f"{split}/{kind}/{id_}.h5", path, kind=kind, id=id_, split=split)
        for id_, split in (("park", "train"), ("town", "test"))
        for kind, path in (("slices", made.slices), ("events", made.store))
    ]
    plan += [
        PlanEntry(f"video/{id_}.clock.tsv", made.clock, kind="video", id=id_)
        for id_ in ("park", "town")
    ]
    labels = dict(enumerate(LABELS))
    build(plan, folder, name="street", version="1.0", licence="CC0-1.0", labels=labels)
    return folder


def run_vendor(variable: str, script: str, *arguments: object) -> str:
    """Run a script of `support/oracles` by the Python that an environment variable names, or skip.

    Some tools can neither be dependencies of the project nor be installed beside it.
    """
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"needs {variable}: a Python in whose environment that tool is installed")
    oracle = Path(__file__).with_name("oracles") / script
    command = [python, "-I", str(oracle), *map(str, arguments)]
    env: Mapping[str, str] = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=dict(env)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
