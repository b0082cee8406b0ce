"""Shapes and scenes by a few numbers, and what annotations say as plain values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evreel.annotations.labelling import Annotator, EventLabels
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Annotations, Box, FrameTag, Polygon, Shape, Track
from evreel.events import Events, Sensor
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.stores import pieces

SENSOR = Sensor(6, 8)
CLOCK = FrameClock.regular(100, 10)


def box(frame, left=1.0, top=2.0, right=11.5, bottom=12.25, **more) -> Box:
    return Box(frame, np.array([[left, top], [right, bottom]], dtype=float), **more)


def polygon(frame, *points, **more) -> Polygon:
    return Polygon(frame, np.array(points, dtype=float), **more)


TASK = {"name": "park", "n_frames": 10, "picture_shape": (48, 64)}
CAR = Track(
    3,
    "car",
    (
        box(2, attributes={"colour": 'dark "red" & <blue>'}),
        box(3, left=1.5, keyframe=False, occluded=True),
        box(4, outside=True),
        box(8, z_order=-2),
    ),
)
BUSH = Track(
    5, "bush & tree", (polygon(0, (1, 1), (9.25, 1), (4, 7.01)), polygon(1, (0, 0), (2, 0), (1, 2)))
)
PARK = Annotations(
    labels=("bush & tree", "car", "Süd"),
    tracks=(CAR, BUSH),
    tags=(FrameTag(0, "Süd"), FrameTag(9, "car", {"why": "first\nand last"})),
    frames=range(10),
    picture_shape=(48, 64),
)


def still(shape: Shape, frames, number: int = 0, label: str = "car") -> Track:
    """Return a track of one shape that stands still."""
    return Track(number, label, tuple(replace(shape, frame=frame) for frame in frames))


def annotated(*tracks: Track, frames=range(10), **more) -> Annotations:
    """Return annotations with these tracks, of 10 frames that were all looked at."""
    labels = tuple(dict.fromkeys(["car", "bus", *(track.label for track in tracks)]))
    return Annotations(labels, tracks, frames=frames, **more)


def moving_scene(seed: int = 0, n: int = 6) -> Annotations:
    """Return random boxes and polygons on 48×64 px, each listed in 4 of 10 frames."""
    rng = np.random.default_rng(seed)
    tracks = []
    for number in range(n):
        listed: list[Shape] = []
        for frame in sorted(rng.choice(10, 4, replace=False).tolist()):
            more = {"z_order": int(rng.integers(2)), "outside": bool(rng.integers(4) == 0)}
            if number % 2:
                listed.append(polygon(frame, *rng.uniform(0, [64, 48], (5, 2)), **more))
            else:
                left, top = rng.uniform(0, [40, 30])
                listed.append(box(frame, left, top, left + 24, top + 17, **more))
        tracks.append(Track(number, ("car", "bus")[number % 2], tuple(listed)))
    return annotated(*tracks)


def label(
    annotations: Annotations,
    events: Events,
    clock: FrameClock = CLOCK,
    picture: Picture | None = None,
    rows: int | None = None,
    at: str = "frame",
    instant: str = "middle",
    **more,
) -> EventLabels:
    """Return the labels of events in one chunk, or in chunks of `rows`, joined."""
    picture = picture or Picture(tuple(events.sensor))
    regions = Regions(annotations, clock, picture, **more)
    annotator = Annotator(regions, at=at, instant=instant)
    parts = [annotator.label(part) for part in pieces(events, rows or max(len(events), 1))]
    return EventLabels(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def plain(shape: Shape) -> tuple:
    """Return all that a shape says."""
    return (
        shape.frame,
        shape.name,
        shape.points.tolist(),
        shape.outside,
        shape.occluded,
        shape.keyframe,
        shape.z_order,
        dict(shape.attributes),
    )


def by_frame(annotations: Annotations) -> dict[int, list]:
    """Return the visible shapes of each frame, without what the images form does not keep."""
    found: dict[int, list] = {}
    for track in annotations.tracks:
        for shape in track.shapes:
            if not shape.outside:
                entry = (track.label, shape.name, shape.points.tolist(), shape.z_order)
                found.setdefault(shape.frame, []).append(entry)
    return {frame: sorted(shapes) for frame, shapes in found.items()}
