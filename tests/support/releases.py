"""A small release, built from files at hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from evreel.annotations.tables import LabelTables, RoiTable, Spans, TagTable
from evreel.events import Events, Sensor, Triggers
from evreel.files import hdf5
from evreel.files.boxes import write_boxes
from evreel.files.events_store import EventsStoreWriter
from evreel.files.features import FeaturesWriter, SampleWindows
from evreel.files.samples import write_samples
from evreel.files.slices import SlicesWriter
from evreel.layout import BOX_DTYPE, EVENTS, FEATURES, SAMPLES, SLICES
from evreel.provenance import Provenance
from evreel.publish.build import build
from evreel.release.manifest import MANIFEST, PlanEntry
from evreel.samples.samples import Samples
from evreel.samples.tables import Assigned, write_samples_table
from evreel.windows import Duration
from evreel.windows import cut as windows_of
from support import random_events
from support.once import copy_once
from support.stores import store_of

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


def edit_manifest(folder: Path, edit, keep_sums: bool = False) -> None:
    """Change a manifest; with `keep_sums` make the sums agree, as somebody hostile would."""
    value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(value)
    data = (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
    (folder / MANIFEST).write_bytes(data)
    if keep_sums:
        for algorithm, name in (("md5", "MD5SUMS"), ("sha256", "SHA256SUMS")):
            digests = {file["path"]: file[algorithm] for file in value["files"]}
            digests[MANIFEST] = hashlib.new(algorithm, data).hexdigest()
            lines = [f"{digests[path]}  {path}\n" for path in sorted(digests)]
            (folder / name).write_text("".join(lines), encoding="utf-8")


SENSOR = Sensor(24, 32)


def labelled_release(folder: Path, compression: str = "portable", table: bool = True) -> Path:
    """Return a release with a file of each kind, in a folder of its own, to be changed.

    `park` is annotated, `town` is cut into samples. A release does not depend on its folder
    (`tests/release/test_build.py`), so it is built once, and copied.
    """
    name = f"labelled-{compression}-{'with' if table else 'without'}-table"
    copy_once(name, lambda shared: _labelled_release(shared, compression, table), folder)
    return folder / "parks-2.0"


def _labelled_release(folder: Path, compression: str, table: bool) -> None:
    built = folder / "built"
    built.mkdir(parents=True)
    rows = []
    for name, split in (("park", "train"), ("town", "mixed")):
        events = random_events(3_000, SENSOR, stop_us=95_000, seed=len(rows))
        path = store_of(built / f"{name}.h5", events, t_offset=1_000)
        rows.append((f"{split}/events/{name}.h5", path, "events", name, split))
        for k, feature in enumerate(("counts", "sums")):
            path = _features(built / f"{name}_{feature}.h5", events, k, cut=name == "town")
            rows.append((f"{split}/{feature}/{name}.h5", path, "features", name, split))
        if name == "town":
            path = _samples(built / "town_samples.h5", events)
            rows.append(("mixed/samples/town.h5", path, "samples", name, split))
            continue
        path = _slices(built / "park_slices.h5", events)
        rows.append(("train/slices/park.h5", path, "slices", name, split))
        boxes = np.zeros(40, dtype=BOX_DTYPE)
        boxes["t"] = np.sort(np.random.default_rng(5).integers(1, 100_000, len(boxes)))
        boxes["class_id"] = np.arange(len(boxes)) % 2
        write_boxes(built / "park_bbox.npy", boxes)
        rows += [
            (f"train/{name}/park_bbox.npy", built / "park_bbox.npy", kind, "park", split)
            for name, kind in (("counts", "features"), ("slices", "slices"))
        ]
    (built / "biases.txt").write_text("low\n")
    rows.append(("sidecars/park.biases.txt", built / "biases.txt", "sidecars", "park", "train"))
    if table:
        cut = SAMPLES_OF_TOWN
        columns = (cut.id, cut.label, cut.group, SPLITS_OF_TOWN, cut.start_us, cut.stop_us)
        assigned = (Assigned("town", *row) for row in zip(*columns, strict=True))
        write_samples_table(built / "samples.tsv", assigned)
        rows.append(("samples.tsv", built / "samples.tsv", "samples", "", ""))
    known = {"park": {"id": "park", "split": "train", "meta.light": "day"}, "town": {"id": "town"}}
    target = folder / "parks-2.0"
    about = {"name": "parks", "version": "2.0", "licence": "CC0-1.0"}
    plan = [PlanEntry(*row) for row in rows]
    build(plan, target, compression=compression, labels=LABELS, recordings=known, **about)


SAMPLES_OF_TOWN = Samples(
    ("a", "b", "c"),
    ("pedestrian", "Straßenbahn", "pedestrian"),
    ("", "", "late"),
    np.array([0, 30_000, 60_000]),
    np.array([20_000, 50_000, 90_000]),
    np.array([0, 0, 5]),
)
SPLITS_OF_TOWN = ("train", "test", "train")


def _features(path: Path, events: Events, seed: int, cut: bool) -> Path:
    """Write random frames for windows of 10 ms, of the samples alone where it is cut."""
    at = SAMPLES_OF_TOWN if cut else None
    start_us, stop_us = (at.start_us, at.stop_us) if at else ([0], [events.t_stop_us])
    windows, bounds = windows_of(
        Duration(10_000), start_us, stop_us, lambda t: np.searchsorted(events.t, t), events.t.take
    )
    frames = np.random.default_rng(seed).poisson(0.3, (len(windows), 2, *SENSOR)).astype("u1")
    with hdf5.create(path, FEATURES, Provenance("features", {})) as file:
        writer = FeaturesWriter(
            file,
            windows,
            Duration(10_000),
            SENSOR,
            1_000,
            shape=(2, *SENSOR),
            dtype="u1",
            name="histogram",
            parameters={"seed": seed},
            revision=1,
            reference="",
            unit="events",
            samples=SampleWindows(at, tuple(LABELS.values()), bounds) if at else None,
        )
        for frame in frames:
            writer.write(frame)
        writer.finish()
    return path


def _samples(path: Path, events: Events) -> Path:
    of = SAMPLES_OF_TOWN
    start, stop = (np.searchsorted(events.t, edge) for edge in (of.start_us, of.stop_us))
    with hdf5.create(path, SAMPLES, Provenance("samples", {})) as file:
        write_samples(
            file,
            SAMPLES_OF_TOWN,
            tuple(LABELS.values()),
            SPLITS_OF_TOWN,
            start,
            stop,
            recording="town",
            t_stop_us=events.t_stop_us,
        )
    return path


def _slices(path: Path, events: Events) -> Path:
    windows = Duration(20_000).plan(events.t_stop_us, lambda t: np.searchsorted(events.t, t))
    track = np.array([3])
    tables = LabelTables(
        tuple(LABELS.values()),
        RoiTable(
            *(track, np.array([1], "i4"), np.array([0]), np.array([40_000])),
            *(np.array([0], "i1"), np.array([0])),
        ),
        TagTable(track, np.array([0], "i4"), np.array([30_000]), np.array([40_000])),
        Spans(np.array([0, 50_000]), np.array([40_000, 80_000])),
    )
    roi = np.random.default_rng(2).integers(-1, 1, len(events)).astype("i4")
    with hdf5.create(path, SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(file, SENSOR, 1_000, windows, tables)
        writer.write(events, roi, np.array([7]), np.array([0], "i4"))
        writer.finish()
    return path
