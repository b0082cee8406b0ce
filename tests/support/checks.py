"""Arrays and data sets for the checks to look at, and what they find in them."""

from __future__ import annotations

import pickle
import runpy
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np

from evreel import steps
from evreel.checks import boxes, events, samples
from evreel.checks.run import audit
from evreel.layout import BOX_DTYPE
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from evreel.samples.samples import Samples
from support import ROOT
from support.once import once
from support.scenes import simulated

SENSOR = (48, 64)
FAR = 2**63


def columns(t, x=None, y=None, p=None, first=0):
    """Return events as checks take them; of what is not given, polarities alternate."""
    t = np.asarray(t, dtype=np.int64)
    zeros = np.zeros(len(t), dtype=np.int64)
    p = np.arange(len(t)) % 2 if p is None else np.asarray(p)
    x, y = (zeros if column is None else np.asarray(column) for column in (x, y))
    return next(events.columns([(first, [t, x, y, p])]))


CLEAN = columns(np.arange(5_000) * 137 // 10, np.arange(5_000) % 64, np.arange(5_000) % 48)


def pieces(whole, rows):
    """Return the same events in pieces."""
    return [
        events.Columns(first, *(column[first : first + rows] for column in whole[1:]))
        for first in range(0, len(whole.t), rows)
    ]


def found(check, *chunks):
    """Return what a check finds in pieces of events."""
    for piece in events.columns((chunk.first, chunk[1:5]) for chunk in chunks):
        check.add(piece)
    return list(check.finish())


def tables(check, *columns_, rows=None):
    """Return what a check finds in columns of a table, taken in pieces."""
    n = len(columns_[0])
    for first in range(0, n, rows or max(n, 1)):
        check.add(first, *(column[first : first + (rows or n)] for column in columns_))
    return list(check.finish())


def boxes_of(n=12, **columns_):
    """Return sound boxes, but for column → row → value."""
    records = np.zeros(n, dtype=BOX_DTYPE)
    records["t"] = np.arange(1, n + 1) * 10_000
    records["x"] = np.arange(n)
    records["w"] = records["h"] = 8
    for name, values in columns_.items():
        for row, value in values.items():
            records[name][row] = value
    return boxes.boxes_of(records)


def write_boxes(path, t, **columns_):
    """Write boxes of 5 by 5 px at these times."""
    records = np.zeros(len(t), dtype=BOX_DTYPE)
    records["w"] = records["h"] = 5
    records["t"] = t
    for name, values in columns_.items():
        records[name] = values
    np.save(path, records)


def samples_of(start_us, stop_us, label=None, group=None):
    """Return samples of these times, of one class and no group."""
    n = len(start_us)
    return Samples(
        tuple(map(str, range(n))),
        tuple(label or ["clap"] * n),
        tuple(group or [""] * n),
        *(np.asarray(column, np.int64) for column in (start_us, stop_us, start_us)),
    )


def cut_of(split, label=None, group=None, path="a.h5", labels=("clap", "wave")):
    """Return a recording that is cut into samples of these splits."""
    start_us = np.arange(len(split)) * 10
    held = samples_of(start_us, start_us + 10, label, group)
    return samples.Cut(path, path.removesuffix(".h5"), held, tuple(split), labels)


def simulate(folder, name, seed):
    """Simulate a recording into a folder."""
    return simulated(folder, name, seed).with_suffix("")


def annotate(raw, store, clock, slices):
    """Make a store, a clock, and slices with boxes, of a simulated recording."""
    steps.events(raw.with_suffix(".aedat4"), store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    labels = {kind: raw.with_suffix(f".{kind}.xml") for kind in ("rois", "tags")}
    boxes_ = slices.with_name(f"{slices.stem}_bbox.npy")
    steps.annotate(store, clock, slices, boxes_, steps.RegularWindows(window_us=20_000), **labels)


def write_voxels(store, output):
    """Compute features of a store."""
    steps.features(store, output, steps.FeatureSettings(representation="voxel_grid", count=500))


def write_histograms(store, output, cut, **windows):
    """Compute features of a store's samples."""
    labels = ["clap", "wave"]
    settings = steps.FeatureSettings(representation="histogram", **windows)
    steps.features(store, output, settings, cut=cut, labels=labels)


def cut_recording(results: Path, name: str, split: str = "train") -> None:
    """Cut a recording into samples, two of one class, and compute two frames of each."""
    store, cut = results / "events" / f"{name}.h5", results / "cuts" / f"{name}.tsv"
    cut.parent.mkdir(exist_ok=True)
    table = cut.with_suffix(".csv")
    table.write_text("label,start,stop\nclap,1,40\nwave,40,80\nclap,85,140\n")
    columns_ = {key: key for key in ("label", "start", "stop")}
    steps.cut(store, cut, steps.CutSettings(unit="ms", columns=columns_), intervals=str(table))
    labels, all_ = ["clap", "wave"], results / "samples.tsv"
    steps.splits({name: cut}, all_, fixed={name: split})
    of_samples = results / "samples" / f"{name}.h5"
    steps.samples(store, cut, all_, of_samples, recording=name, labels=labels)
    write_histograms(store, results / "features" / "h" / f"{name}.h5", cut, number=2)


def planted_faults() -> SimpleNamespace:
    """Return the folder of planted faults, what plants them and where, and what an audit finds."""
    plants = runpy.run_path(str(ROOT / "examples" / "plant_faults.py"))

    def make(shared: Path) -> None:
        plants["plant"](shared / "planted")
        (shared / "report").write_bytes(pickle.dumps(audit(shared / "planted")))

    shared = once("planted", make)
    return SimpleNamespace(
        folder=shared / "planted",
        plants=plants["PLANTS"],
        paths=plants["PATHS"],
        report=pickle.loads((shared / "report").read_bytes()),
    )


def build_results(folder: Path) -> None:
    """Fill a folder with results like the workflow's, and with releases of them."""
    results = folder / "results"
    store, slices = results / "events" / "one.h5", results / "slices" / "one.h5"
    annotate(simulate(folder, "one", 1), store, results / "video" / "one.clock.tsv", slices)
    voxels = results / "features" / "voxels" / "one.h5"
    write_voxels(store, voxels)
    cut_recording(results, "one")
    with h5py.File(store) as file:
        known = {"one": {"split": "train", "group": "g", "n_events": str(len(file["events/t"]))}}
    boxes_ = slices.with_name("one_bbox.npy")
    files = [
        ("events/one.h5", store, "events"),
        ("slices/one.h5", slices, "slices"),
        ("slices/one_bbox.npy", boxes_, "slices"),
        ("voxels/one.h5", voxels, "features"),
        ("voxels/one_bbox.npy", boxes_, "features"),
        ("samples/one.h5", results / "samples" / "one.h5", "samples"),
        ("h/one.h5", results / "features" / "h" / "one.h5", "features"),
    ]
    plan = [PlanEntry(f"train/{path}", file, kind, "one", "train") for path, file, kind in files]
    plan.append(PlanEntry("samples.tsv", results / "samples.tsv", "samples"))
    (results / "release").mkdir()
    for compression in ("portable", "fast"):
        build(
            plan,
            results / "release" / compression,
            name="tiny",
            version="1.0",
            licence="CC0-1.0",
            compression=compression,
            labels=dict(enumerate(["car", "sign", "busy"])),
            recordings=known,
        )
