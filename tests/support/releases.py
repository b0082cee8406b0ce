"""A small release, built from files at hand."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from evreel.events import Events, Triggers
from evreel.files import hdf5
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import BOX_DTYPE, EVENTS
from evreel.provenance import Provenance
from evreel.release.build import build
from evreel.release.manifest import (
    PlanEntry,
)
from support import random_events

DATA_SET = {"name": "street", "version": "1.0", "licence": "CC-BY-4.0"}


LABELS = {0: "pedestrian", 1: "Straßenbahn"}


def feature_file(path: Path, seed: int = 0) -> Path:
    counts = np.random.default_rng(seed).poisson(0.2, (7, 2, 24, 32)).astype("u1")
    with h5py.File(path, "w-") as file:
        data = file.create_dataset(
            "data",
            data=counts,
            chunks=(1, 2, 24, 32),
            maxshape=(None, 2, 24, 32),
            track_times=False,
            **hdf5plugin.Zstd(clevel=1),
        )
        data.attrs["events_to_tensor"] = np.bytes_("histo")
        data.attrs["delta_t"] = np.uint32(10_000)
        data.attrs["shape"] = np.array([2, 24, 32])
        file.attrs["layout"] = "evreel-features"
    return path


def store(path: Path, events: Events, batch: int = 30_000) -> Path:
    triggers = Triggers(np.array([3]), np.array([1], np.int8), np.array([0], np.int16))
    with hdf5.create(path, EVENTS, Provenance("events", {"crop": None})) as file:
        writer = EventsStoreWriter(file, events.sensor, 1_600_000_000_000_000, "test", "a header")
        writer.write(triggers)
        for k in range(0, len(events), batch):
            writer.write(events[k : k + batch])
        writer.finish()
    return path


def plan_in(folder: Path) -> list[PlanEntry]:
    """Make a small data set's files in `folder`, and return a plan of them."""
    folder.mkdir(parents=True)
    store(folder / "park_events.h5", random_events(70_000, stop_us=400_000))
    feature_file(folder / "park_histogram.h5")
    feature_file(folder / "town_histogram.h5", seed=1)
    for name, n in (("park", 3), ("town", 1)):
        np.save(folder / f"{name}_bbox.npy", np.zeros(n, dtype=BOX_DTYPE))
    (folder / "park.xml").write_text("<annotations/>\n")
    rows = (
        ("val/histogram/town.h5", "town_histogram.h5", "features", "town", "val"),
        ("val/histogram/town_bbox.npy", "town_bbox.npy", "boxes", "town", "val"),
        ("train/events/park.h5", "park_events.h5", "events", "park", "train"),
        ("train/histogram/park.h5", "park_histogram.h5", "features", "park", "train"),
        ("train/histogram/park_bbox.npy", "park_bbox.npy", "boxes", "park", "train"),
        ("annotations/park.xml", "park.xml", "annotations", "park", ""),
    )
    return [PlanEntry(path, folder / source, *rest) for path, source, *rest in rows]


def files_below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def release(folder: Path, compression: str = "portable", **options) -> Path:
    """Build a release of a small data set below `folder`."""
    plan = plan_in(folder / "built")
    target = folder / "street-1.0"
    arguments = DATA_SET | {"labels": LABELS, "config": {"b": [1], "a": None}} | options
    build(plan, target, compression=compression, **arguments)
    return target
