"""CVAT XML of a task of 20 frames of 64×48 px, and what is annotated from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evreel import steps
from evreel.annotations.regions import Regions
from evreel.steps.annotate import read_annotations
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support import random_events
from support.stores import store_of

N = 20
STEP_US = 10_000


def box(frame: int, **attributes: object) -> str:
    """Return a box of a track that moves by a pixel a frame."""
    values = {
        "frame": frame,
        "keyframe": 1,
        "outside": 0,
        "occluded": 0,
        **corners(frame),
        "z_order": 0,
    } | attributes
    return element("box", values)


def corners(frame: int) -> dict[str, object]:
    """Return the corners of the box in a frame."""
    return {"xtl": frame, "ytl": 1, "xbr": frame + 9, "ybr": 9}


def element(kind: str, attributes: Mapping[str, object]) -> str:
    """Return an XML element; what is None is left out."""
    kept = (f'{name}="{value}"' for name, value in attributes.items() if value is not None)
    return f"<{kind} {' '.join(kept)}/>\n"


def unknown(frame: int, **attributes: object) -> str:
    """Return a shape of a kind that CVAT does not have."""
    return element("hexagon", {"frame": frame, "keyframe": 1, "outside": 0} | attributes)


def track(*shapes: str, number: int = 0) -> str:
    """Return a track of shapes."""
    return f'<track id="{number}" label="car">\n{"".join(shapes)}</track>\n'


def listed(frames: Iterable[int], **attributes: object) -> str:
    """Return boxes in some frames, as CVAT lists what is between two key frames."""
    frames = list(frames)
    return "".join(
        box(frame, **{"keyframe": int(frame in (frames[0], frames[-1]))} | attributes)
        for frame in frames
    )


def images(names: Mapping[int, str | None], shown: bool = True) -> str:
    """Return pictures, each with a box of its own place and a tag."""
    body = '<box label="car" xtl="{0}" ytl="1" xbr="{1}" ybr="9"/>' if shown else ""
    return "".join(
        f'<image id="{k}"{"" if name is None else f" name={name!r}"} width="64" height="48">'
        f'{body.format(k, k + 9)}<tag label="car"/></image>\n'
        for k, name in names.items()
    )


def frame_names(frames: Iterable[int]) -> dict[int, str]:
    """Return CVAT's own names of frames of a video."""
    return {frame: f"frame_{frame:06d}" for frame in frames}


def picture_names(rows: Iterable[int], form: str = "{:06d}_{}.png") -> dict[int, str]:
    """Return the names of a recording's pictures, in the order of a task."""
    return {k: form.format(row, row * STEP_US) for k, row in enumerate(rows)}


def task(
    body: str,
    frames: range = range(N),
    *,
    name: str | None = "rec",
    mode: str = "interpolation",
    number: int | None = 1,
) -> str:
    """Return a whole file."""
    step = f"step={frames.step}" if frames.step > 1 else ""
    return (
        "<annotations><version>1.1</version><meta><task>"
        + (f"<id>{number}</id>" if number is not None else "")
        + (f"<name>{name}</name>" if name is not None else "")
        + f"<size>{len(frames)}</size><mode>{mode}</mode>"
        f"<start_frame>{frames[0]}</start_frame><stop_frame>{frames[-1]}</stop_frame>"
        f"<frame_filter>{step}</frame_filter>"
        "<labels><label><name>car</name></label></labels></task></meta>\n"
        f"{body}</annotations>"
    )


class Annotated(NamedTuple):
    """What step annotate makes of XML: boxes, labelled and tagged times, counts, doubts."""

    boxes: np.ndarray
    labelled: list[tuple[int, int]]
    tagged: list[int]
    counts: dict[str, int]
    doubts: list[str]

    @property
    def at(self) -> dict[int, float]:
        """Frame → left edge of its box, where each frame has one box at most."""
        return {
            int(t) // STEP_US - 1: float(x)
            for t, x in zip(self.boxes["t"], self.boxes["x"], strict=True)
        }


class Recording:
    """A recording of 20 frames of 10 ms, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _paths(self, **files: object) -> dict[str, object]:
        for role, xml in files.items():
            if isinstance(xml, str):
                files[role] = self._path(role, xml)
            elif isinstance(xml, list):
                files[role] = [self._path(f"{role}_{k}", text) for k, text in enumerate(xml)]
        return files

    def _path(self, name: str, xml: str) -> Path:
        path = self.folder / f"{name}.xml"
        path.write_text(xml, encoding="utf-8")
        return path

    def annotate(
        self,
        rois: object = None,
        tags: object = None,
        labelled: str | None = None,
        **settings: object,
    ) -> Annotated:
        """Annotate by XML, its text or a path, or the texts of several, without events."""
        joined = read_annotations(
            **self._paths(rois=rois, tags=tags),
            labelled=labelled,
            frames=FrameClock.regular(N * STEP_US, STEP_US),
            settings=steps.AnnotateSettings(**settings),
        )
        regions = Regions(
            joined.annotations, FrameClock.regular(N * STEP_US, STEP_US), Picture((48, 64))
        )
        return Annotated(
            regions.boxes(),
            list(zip(*(column.tolist() for column in regions.tables.labelled), strict=True)),
            (regions.tables.tags.start_us // STEP_US).tolist(),
            regions.repairs | joined.counts,
            list(joined.doubts),
        )

    def run(
        self, rois: object = None, tags: object = None, **settings: object
    ) -> tuple[Path, dict[str, int]]:
        """Run step annotate on a store of random events; return the slices and the counts."""
        store, clock = self.folder / "rec.h5", self.folder / "rec.clock.tsv"
        if not store.exists():
            store_of(store, random_events(2_000, (48, 64), stop_us=N * STEP_US, seed=1))
            steps.clock(store, clock, steps.ClockSettings(window_us=STEP_US))
        slices = self.folder / "slices.h5"
        counts = steps.annotate(
            *(store, clock, slices, self.folder / "slices_bbox.npy"),
            steps.RegularWindows(window_us=50_000),
            steps.AnnotateSettings(**settings),
            **self._paths(rois=rois, tags=tags),
        )
        return slices, counts
