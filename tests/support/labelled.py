"""A small slices file with every kind of thing to look at, and its clock."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Annotations, FrameTag, Track
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.clock import write_clock
from evreel.files.events_store import EventsStore
from evreel.files.slices import SlicesWriter
from evreel.layout import SLICES
from evreel.provenance import Provenance, sha256
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from evreel.windows import Duration
from support.annotations import box, polygon
from support.stores import store_of

SENSOR = Sensor(20, 30)
N_FRAMES = 10
LABELS = ("van", "車両", "busy", "nobody")


class Labelled(NamedTuple):
    """Files of one recording: events 0, 1, … are in pixels of known regions."""

    slices: Path
    clock: Path
    events: Events


def rows(*each: tuple[int, int, int, int]) -> Events:
    """Return events of (t, x, y, p) rows."""
    t, x, y, p = np.array(each, dtype=np.int64).reshape(-1, 4).T
    return Events(t, x, y, p, SENSOR)


def van(frames=range(N_FRAMES), **more) -> Track:
    """Return a box of 10 × 8 px that moves by 1 px a frame."""
    shapes = (box(k, 2 + k, 4, 12 + k, 12, **more) for k in frames)
    return Track(3, "van", tuple(shapes))


def sign(frames=(4,)) -> Track:
    """Return a triangle in some frames."""
    return Track(7, "車両", tuple(polygon(k, (20, 10), (28, 10), (24, 18)) for k in frames))


def labelled(
    folder: Path,
    *tracks: Track,
    events: Events | None = None,
    frames=range(N_FRAMES),
    window_us: int = 20_000,
) -> Labelled:
    """Write slices of some tracks, with one frame of 10 ms after the other."""
    if events is None:
        # In each frame: one in the van, one in the sign, one in neither.
        events = rows(
            *(
                (10_000 * k + t, x, y, p)
                for k in range(N_FRAMES)
                for t, x, y, p in ((100, 5 + k, 6, 1), (200, 24, 12, 0), (300, 1, 18, 1))
            )
        )
    clock = FrameClock.regular(N_FRAMES * 10_000, 10_000)
    write_clock(folder / "some.clock.tsv", clock, Picture(SENSOR), {})
    made_from = {"clock": sha256(folder / "some.clock.tsv")}
    annotations = Annotations(
        LABELS,
        tracks or (van(), sign()),
        tags=(FrameTag(4, "busy"), FrameTag(5, "busy")),
        frames=frames,
        picture_shape=tuple(SENSOR),
    )
    regions = Regions(annotations, clock, Picture(SENSOR), clip=True)
    slices = folder / "some.h5"
    with (
        EventsStore(store_of(folder / "events.h5", events)) as store,
        hdf5.create(slices, SLICES, Provenance("annotate", {}, made_from)) as file,
    ):
        windows = store.windows(Duration(window_us))
        annotator = Annotator(regions)
        writer = SlicesWriter(
            *(file, SENSOR, store.t_offset, windows, regions.tables), shapes=regions.shape_rows()
        )
        for chunk in store.chunks():
            writer.write(chunk, *annotator.label(chunk))
        writer.finish()
    return Labelled(slices, folder / "some.clock.tsv", events)
