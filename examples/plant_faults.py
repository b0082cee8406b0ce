"""Write a data set with one of every fault that evreel's checks find, and audit it.

    python examples/plant_faults.py planted
    evreel audit planted

A file is named after its fault; faults between files have a folder. docs/checks.md shows what
the audit says.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  the filters of evreel's files
import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.boxes import write_boxes
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import BOX_DTYPE, EVENTS
from evreel.provenance import Provenance
from evreel.release.build import build
from evreel.release.manifest import MANIFEST, PlanEntry
from evreel.samples.samples import Member

SCENE = """
name = "street"
duration_us = 120_000
seed = 1
[sensor]
height = 48
width = 64
[background]
intensity = 0.4
[[object]]
label = "car"
box = [16.0, 12.0]
intensity = 0.9
motion = [[0, 4.0, 18.0], [120_000, 44.0, 20.0]]
[[object]]
label = "sign"
box = [10.0, 16.0]
intensity = 0.1
z_order = 1
motion = [[0, 30.0, 14.0], [120_000, 22.0, 16.0]]
"""
SENSOR = Sensor(48, 64)


def plant(folder: Path) -> None:
    """Fill a folder with faults."""
    (folder / "recordings").mkdir(parents=True)
    scene = folder / "street.toml"
    scene.write_text(SCENE, encoding="utf-8")
    base = folder / "base"
    steps.simulate(scene, base)
    steps.events(base / "street.aedat4", base / "street.h5")
    steps.clock(base / "street.h5", base / "street.clock.tsv", window_us=10_000)
    plant_events(folder / "events", base)
    plant_recordings(folder / "recordings", base)
    plant_slices(folder, base)
    plant_boxes(folder / "boxes", base)
    plant_features(folder, base)
    plant_samples(folder, base)
    plant_splits(folder / "splits", folder / "folders", base)
    plant_release(folder / "release", base)
    shutil.rmtree(base)
    scene.unlink()


def plant_events(folder: Path, base: Path) -> None:
    """Write stores that contradict themselves, and recordings that went wrong."""
    folder.mkdir()
    for name in ("order", "bounds", "polarity", "index", "time_zero", "readable"):
        shutil.copyfile(base / "street.h5", folder / f"{name}.h5")
    with h5py.File(folder / "order.h5", "r+") as file:
        file["events/t"][2_000] = file["events/t"][1_999] - 40
    with h5py.File(folder / "bounds.h5", "r+") as file:
        file["events/x"][700:703] = 64
    with h5py.File(folder / "polarity.h5", "r+") as file:
        file["events/p"][99] = 255
    with h5py.File(folder / "index.h5", "r+") as file:
        file["ms_to_idx"][5] += 1
    with h5py.File(folder / "time_zero.h5", "r+") as file:
        file.attrs["t_stop_us"] -= 1
    with h5py.File(folder / "readable.h5") as file:
        chunk = file["events/y"].id.get_chunk_info(0)
    with (folder / "readable.h5").open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff")

    t = np.arange(5_000) * 200
    write_store(folder / "one_polarity.h5", t, polarity=1)
    write_store(folder / "quantum.h5", t // 1_000 * 1_000)
    write_store(folder / "gap.h5", t + np.where(t < 400_000, 0, 700_000))
    write_store(folder / "burst.h5", np.sort(np.append(t, np.arange(2_000) + 504_000)))
    members = (Member("a.bin", 0, 400_001, 0), Member("b.bin", 400_200, 999_801, 0))
    write_store(folder / "members.h5", t, members=members)


def write_store(
    path: Path, t: np.ndarray, polarity: int | None = None, members: tuple[Member, ...] = ()
) -> None:
    """Write a store of events at these times, all else sound but perhaps the members."""
    k = np.arange(len(t))
    p = k % 2 if polarity is None else np.full(len(t), polarity)
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, SENSOR, 0, "made", "")
        writer.write(Events(t, k % SENSOR.width, k % SENSOR.height, p, SENSOR))
        writer.finish(members)


def plant_recordings(folder: Path, base: Path) -> None:
    """Cut a recording short, as a full disk does."""
    whole = (base / "street.aedat4").read_bytes()
    (folder / "readable.aedat4").write_bytes(whole[: len(whole) // 2])


def plant_slices(folder: Path, base: Path) -> None:
    """Write slices that contradict themselves, or the store they were made from."""
    clock, rois = base / "street.clock.tsv", base / "street.rois.xml"
    slices, boxes = base / "slices.h5", base / "slices_bbox.npy"
    steps.annotate(base / "street.h5", clock, slices, boxes, rois=rois, window_us=20_000)
    names = ("slice_rows", "slice_count", "roi", "label_number", "overlap_rows", "other_events")
    (folder / "slices").mkdir()
    for name in (*names, "label_span"):
        shutil.copyfile(slices, folder / "slices" / f"{name}.h5")

    def edit(name: str) -> h5py.File:
        return h5py.File(folder / "slices" / f"{name}.h5", "r+")

    with edit("slice_rows") as file:
        file["slices/stop"][2] = file["events/t"].shape[0] + 10
    with edit("slice_count") as file:
        file.attrs["events_outside_slices"] += 5
    with edit("roi") as file:
        file["events/roi"][50] = 9
    with edit("label_number") as file:
        file["rois/label"][1] = 7
    with edit("overlap_rows") as file:
        file["overlaps/event"][0] = -1
    with edit("label_span") as file:
        file["labelled/stop_us"][:] = 30_000
    with edit("other_events") as file:
        file["events/p"][60] ^= 1
    (folder / "stores").mkdir()
    shutil.copyfile(base / "street.h5", folder / "stores" / "other_events.h5")


def plant_boxes(folder: Path, base: Path) -> None:
    """Write boxes that no loader should meet; of some, the recording lies beside them."""
    folder.mkdir()
    names = {"0": "car", "1": "sign"}
    (folder / "label_map_dictionary.json").write_text(json.dumps(names), encoding="utf-8")
    sound = np.zeros(12, dtype=BOX_DTYPE)
    sound["t"] = np.arange(1, 13) * 10_000
    sound["x"] = sound["y"] = np.arange(12)
    sound["w"] = sound["h"] = 8
    faults: dict[str, tuple[str, int, float]] = {
        "box_number": ("x", 3, np.nan),
        "box_size": ("w", 4, -2),
        "box_outside": ("x", 5, 60),
        "box_order": ("t", 6, 15_000),
        "box_class": ("class_id", 7, 4),
        "beyond": ("t", 11, 900_000),
    }
    for name, (field, row, value) in faults.items():
        boxes = sound.copy()
        boxes[field][row] = value
        np.save(folder / f"{name}_bbox.npy", boxes)
    frozen = np.zeros(40, dtype=BOX_DTYPE)
    frozen["t"] = np.arange(40) * 50_000
    frozen["w"] = frozen["h"] = 8
    write_boxes(folder / "frozen_box_bbox.npy", frozen)
    for name in ("box_outside", "beyond"):
        shutil.copyfile(base / "street.aedat4", folder / f"{name}.aedat4")


def plant_features(folder: Path, base: Path) -> None:
    """Write features with NaN, of windows that are none, of another recording."""
    (folder / "features").mkdir()
    for name in ("feature_values", "feature_windows", "made_from"):
        output = folder / "features" / f"{name}.h5"
        steps.features(base / "street.h5", output, representation="voxel_grid", count=500)
    with h5py.File(folder / "features" / "feature_values.h5", "r+") as file:
        file["data"][3, 0, 10, 20] = np.nan
    with h5py.File(folder / "features" / "feature_windows.h5", "r+") as file:
        file["windows/stop"][-1] += 1_000
    shutil.copyfile(base / "street.h5", folder / "stores" / "feature_windows.h5")
    write_store(folder / "stores" / "made_from.h5", np.arange(8_000) * 15)


def write_samples(store: Path) -> tuple[Path, Path, Path]:
    """Cut a recording into three sound samples: return the cut, the table of all, the file."""
    intervals, cut, table, samples = (
        store.with_suffix(suffix) for suffix in (".csv", ".cut.tsv", ".samples.tsv", ".samples.h5")
    )
    intervals.write_text("class,start,stop\nclap,0,40\nwave,40,80\nclap,80,110\n", encoding="utf-8")
    columns = {"label": "class", "start": "start", "stop": "stop"}
    steps.cut(store, cut, intervals=str(intervals), columns=columns, unit="ms")
    steps.splits({store.stem: cut}, table, fixed={store.stem: "train"})
    labels = ["clap", "wave", "snap"]
    steps.samples(store, cut, table, samples, recording=store.stem, labels=labels)
    return cut, table, samples


def plant_samples(folder: Path, base: Path) -> None:
    """Write samples that contradict their store, their windows or each other."""
    cut, _, samples = write_samples(base / "street.h5")
    names = ("rows", "empty", "overlap", "split", "group", "class", "labels")
    (folder / "samples").mkdir()
    for name in names:
        shutil.copyfile(samples, folder / "samples" / f"sample_{name}.h5")

    def edit(name: str) -> h5py.File:
        return h5py.File(folder / "samples" / f"sample_{name}.h5", "r+")

    with edit("rows") as file:
        file["samples/stop"][1] += 7
    shutil.copyfile(base / "street.h5", folder / "stores" / "sample_rows.h5")
    with edit("empty") as file:
        file["samples/stop"][1] = file["samples/start"][1]
    with edit("overlap") as file:
        file["samples/start_us"][1] -= 5_000
    with edit("split") as file:
        file["samples/split"][1] = "training"
    with edit("group") as file:
        file["samples/group"][:] = ["ann", "ben", "ann"]
        file["samples/split"][2] = "test"
    with edit("class") as file:
        file["samples/label"][2] = 2
        file["samples/split"][2] = "test"
    with edit("labels") as file:
        file["labels/name"][:] = ["wave", "clap", "snap"]
    features = folder / "features" / "feature_sample.h5"
    steps.features(base / "street.h5", features, cut=cut, representation="histogram", number=2)
    with h5py.File(features, "r+") as file:
        file["windows/start_us"][4] -= 900


def plant_splits(lists: Path, folders: Path, base: Path) -> None:
    """Write lists and folders of splits that share a recording."""
    lists.mkdir()
    (lists / "train.txt").write_text("monday\ntuesday\nwednesday\n", encoding="utf-8")
    (lists / "test.txt").write_text("thursday\ntuesday\n", encoding="utf-8")
    for split, name in (("train", "split_bytes"), ("test", "other_name")):
        (folders / split).mkdir(parents=True)
        shutil.copyfile(base / "street.aedat4", folders / split / f"{name}.aedat4")
        (folders / split / "split_name.bin").write_bytes(split.encode())


def plant_release(folder: Path, base: Path) -> None:
    """Build a release whose table of recordings does not fit its files."""
    rows = {
        "monday": {"split": "train", "group": "week 1", "n_events": "1"},
        "tuesday": {"split": "test", "group": "week 1"},
    }
    plan = []
    for id_, row in rows.items():
        store = base / f"{id_}.h5"
        write_store(store, np.arange(2_000 + len(id_)) * 150)
        path = f"{row['split']}/events/{id_}.h5"
        plan.append(PlanEntry(path, store, kind="events", id=id_, split=row["split"]))
    _, table, samples = write_samples(base / "monday.h5")
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("train", "test", 1), encoding="utf-8")
    plan.append(PlanEntry("samples.tsv", table, kind="samples"))
    path = "train/samples/monday.h5"
    plan.append(PlanEntry(path, samples, kind="samples", id="monday", split="train"))
    build(plan, folder, name="planted", version="1.0", licence="CC0-1.0", recordings=rows)
    manifest = folder / MANIFEST
    value = json.loads(manifest.read_bytes())
    value["recordings"]["sunday"] = value["recordings"].pop("tuesday")
    manifest.write_text(json.dumps(value, indent=1), encoding="utf-8")


def main() -> None:
    """Read the argument, and plant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    plant(parser.parse_args().folder)


if __name__ == "__main__":
    main()
