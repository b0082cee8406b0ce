"""Write a data set with one of every fault that evreel's checks find, to audit it.

    python examples/plant_faults.py planted
    evreel audit planted

A file is named after its fault; faults between files have a folder. docs/checks.md shows the
audit's output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  the filters of evreel's files
import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.boxes import first_path, write_boxes
from evreel.files.events_store import EventsStoreWriter
from evreel.files.seal import seal_again
from evreel.geometry import Geometry
from evreel.layout import BOX_DTYPE, EVENTS
from evreel.provenance import Provenance
from evreel.publish.build import build
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


@dataclass(frozen=True)
class Bed:
    """The folder for the faulty files, and a folder of sound files to copy."""

    folder: Path
    sound: Path

    def copy(self, sound: str, path: str) -> Path:
        """Copy a sound file; return the copy."""
        copied = self.new(path)
        shutil.copyfile(self.sound / sound, copied)
        return copied

    def new(self, path: str) -> Path:
        """Return the path of a file to write."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        return self.folder / path


Plant = Callable[[Bed], None]

PLANTS: dict[str, Plant] = {}
"""Check → function that plants a fault for it to find."""

PATHS: dict[str, str] = {}
"""Check → the file in which it finds the fault."""


def plants(**paths: str) -> Callable[[Plant], Plant]:
    """Register a function that plants a fault for each check in the file given for it."""

    def enter(plant: Plant) -> Plant:
        PLANTS.update(dict.fromkeys(paths, plant))
        PATHS.update(paths)
        return plant

    return enter


@contextlib.contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Give a file to edit, and seal it again: one without a seal takes longer to open."""
    with h5py.File(path, "r+") as file:
        yield file
    seal_again(path)


def edits(sound: str, path: str) -> Callable[[Callable[[h5py.File], None]], None]:
    """Register a function that plants a fault in a copy of a sound file, named after the fault."""

    def enter(edit: Callable[[h5py.File], None]) -> None:
        @plants(**{Path(path).stem: path})
        def plant(bed: Bed) -> None:
            with edited(bed.copy(sound, path)) as file:
                edit(file)

    return enter


def plant(folder: Path) -> None:
    """Fill a folder with faults."""
    scene, sound = folder / "street.toml", folder / "sound"
    folder.mkdir(parents=True)
    scene.write_text(SCENE, encoding="utf-8")
    steps.simulate(scene, sound)
    store, clock, rois = (sound / f"street.{end}" for end in ("h5", "clock.tsv", "rois.xml"))
    slices, boxes = sound / "slices.h5", sound / "slices_bbox.npy"
    steps.events(sound / "street.aedat4", store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    steps.annotate(store, clock, slices, boxes, steps.RegularWindows(window_us=20_000), rois=rois)
    steps.features(
        store, sound / "features.h5", steps.FeatureSettings(representation="voxel_grid", count=500)
    )
    cut = write_samples(store)[0]
    of_samples = sound / "sampled.h5"
    steps.features(
        store, of_samples, steps.FeatureSettings(representation="histogram", number=2), cut=cut
    )
    bed = Bed(folder, sound)
    for plant_one in dict.fromkeys(PLANTS.values()):
        plant_one(bed)
    shutil.rmtree(sound)
    scene.unlink()


def write_store(
    path: Path, t: np.ndarray, polarity: int | None = None, members: tuple[Member, ...] = ()
) -> None:
    """Write a store of events at these times, sound except perhaps for times and members."""
    k = np.arange(len(t))
    p = k % 2 if polarity is None else np.full(len(t), polarity)
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, SENSOR, 0, "made", "")
        writer.write(Events(t, k % SENSOR.width, k % SENSOR.height, p, SENSOR))
        writer.finish(members)


def write_samples(store: Path) -> tuple[Path, Path, Path]:
    """Cut a recording into three sound samples: return the cut, the table of all, the file."""
    intervals, cut, table, samples = (
        store.with_suffix(suffix) for suffix in (".csv", ".cut.tsv", ".samples.tsv", ".samples.h5")
    )
    intervals.write_text("class,start,stop\nclap,0,40\nwave,40,80\nclap,80,110\n", encoding="utf-8")
    columns = {"label": "class", "start": "start", "stop": "stop"}
    steps.cut(store, cut, steps.CutSettings(columns=columns, unit="ms"), intervals=str(intervals))
    steps.splits({store.stem: cut}, table, fixed={store.stem: "train"})
    labels = ["clap", "wave", "snap"]
    steps.samples(store, cut, table, samples, recording=store.stem, labels=labels)
    return cut, table, samples


@plants(readable="events/readable.h5")
def damaged(bed: Bed) -> None:
    """Damage a chunk of a store, and truncate a recording, as a full disk does."""
    path = bed.copy("street.h5", "events/readable.h5")
    with h5py.File(path) as file:
        chunk = file["events/y"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset + chunk.size // 2)
        raw.write(b"\xff\x00\xff")
    whole = (bed.sound / "street.aedat4").read_bytes()
    bed.new("recordings/readable.aedat4").write_bytes(whole[: len(whole) // 2])


@edits("street.h5", "events/order.h5")
def goes_back(file: h5py.File) -> None:
    """Put an event before the previous one."""
    file["events/t"][2_000] = file["events/t"][1_999] - 40


@plants(clock_jump="recordings/clock_jump.h5")
def left_over_events(bed: Bed) -> None:
    """Write a recording that begins with events from before the clock was reset, as DSEC would."""
    t = np.append(np.arange(50) + 2_000_000_000, np.arange(5_000) * 200)
    k = np.arange(len(t))
    with h5py.File(bed.new("recordings/clock_jump.h5"), "w") as file:
        columns = {"t": t, "x": k % SENSOR.width, "y": k % SENSOR.height, "p": k % 2}
        for name, values in (columns | SENSOR._asdict()).items():
            file[f"events/{name}"] = values


@edits("street.h5", "events/bounds.h5")
def beside_the_sensor(file: h5py.File) -> None:
    """Put events right of the sensor."""
    file["events/x"][700:703] = 64


@edits("street.h5", "events/polarity.h5")
def signed_polarity(file: h5py.File) -> None:
    """Write −1 for OFF, as it becomes in uint8."""
    file["events/p"][99] = 255


@plants(one_polarity="events/one_polarity.h5")
def lost_polarity(bed: Bed) -> None:
    """Write events that are all ON."""
    write_store(bed.new("events/one_polarity.h5"), np.arange(5_000) * 200, polarity=1)


@plants(quantum="events/quantum.h5")
def rounded_time(bed: Bed) -> None:
    """Write events at whole milliseconds."""
    write_store(bed.new("events/quantum.h5"), np.arange(5_000) // 5 * 1_000)


@plants(time_unit="events/time_unit.h5")
def frame_numbers(bed: Bed) -> None:
    """Write events whose timestamps are the numbers of frames."""
    write_store(bed.new("events/time_unit.h5"), np.arange(5_000) // 50)


@plants(gap="events/gap.h5")
def pause(bed: Bed) -> None:
    """Write events with a pause among them."""
    t = np.arange(5_000) * 200
    write_store(bed.new("events/gap.h5"), t + np.where(t < 400_000, 0, 700_000))


@plants(burst="events/burst.h5")
def flash(bed: Bed) -> None:
    """Write events, with many more at one moment."""
    t = np.append(np.arange(5_000) * 200, np.arange(2_000) + 504_000)
    write_store(bed.new("events/burst.h5"), np.sort(t))


@edits("street.h5", "events/index.h5")
def wrong_index(file: h5py.File) -> None:
    """Point a millisecond at the event after its first."""
    file["ms_to_idx"][5] += 1


@edits("street.h5", "events/time_zero.h5")
def wrong_end(file: h5py.File) -> None:
    """Let the recording end before its last event."""
    file.attrs["t_stop_us"] -= 1


@plants(members="events/members.h5")
def shared_millisecond(bed: Bed) -> None:
    """Let a member of an archive start within a millisecond."""
    members = (Member("a.bin", 0, 400_001, 0), Member("b.bin", 400_200, 999_801, 0))
    write_store(bed.new("events/members.h5"), np.arange(5_000) * 200, members=members)


@edits("slices.h5", "slices/label_span.h5")
def few_labels(file: h5py.File) -> None:
    """Let the labelled time end early."""
    file["labelled/stop_us"][:] = 30_000


@edits("slices.h5", "slices/slice_rows.h5")
def long_slice(file: h5py.File) -> None:
    """Let a slice reach beyond the last event."""
    file["slices/stop"][2] = file["events/t"].shape[0] + 10


@edits("slices.h5", "slices/slice_count.h5")
def wrong_count(file: h5py.File) -> None:
    """Count more events outside slices than there are."""
    file.attrs["events_outside_slices"] += 5


@edits("slices.h5", "slices/label_number.h5")
def unnamed_label(file: h5py.File) -> None:
    """Give a region a label without a name."""
    file["rois/label"][1] = 7


@edits("slices.h5", "slices/overlap_rows.h5")
def overlap_of_no_event(file: h5py.File) -> None:
    """Give an overlap an event before the first."""
    file["overlaps/event"][0] = -1


@edits("slices.h5", "slices/shape_rows.h5")
def lost_outline(file: h5py.File) -> None:
    """Let a shape's outline be beyond the vertices."""
    file["shapes/n_vertices"][-1] += 5


@edits("slices.h5", "slices/attribute_value.h5")
def unknown_value(file: h5py.File) -> None:
    """Give shapes a value that an attribute does not have."""
    for name, text in (("name", "colour"), ("kind", "select"), ("value", "red")):
        del file[f"attributes/{name}"]
        file.create_dataset(f"attributes/{name}", data=[text], dtype=h5py.string_dtype())
    for name, row in (("value_start", 0), ("value_stop", 1)):
        file[f"attributes/{name}"].resize((1,))
        file[f"attributes/{name}"][0] = row
    for table, number in (("shapes", 3), ("tags", 0)):
        values = np.full(len(file[f"{table}/frame"]), number, dtype="<i4")
        file.create_dataset(f"{table}/attributes/0", data=values)


@edits("slices.h5", "slices/roi.h5")
def unknown_region(file: h5py.File) -> None:
    """Put an event into a region that is not in the table."""
    file["events/roi"][50] = 9


@edits("slices.h5", "slices/doubt.h5")
def open_end(file: h5py.File) -> None:
    """Note what step annotate notes of a track that may go on."""
    text = "park.xml: 1 track is not closed at the last shape: track 0 ('car') in frame 10"
    file.create_dataset("doubts", data=[text], dtype=h5py.string_dtype())


@plants(other_events="slices/other_events.h5")
def changed_event(bed: Bed) -> None:
    """Flip the polarity of an event, but not in the store beside it."""
    bed.copy("street.h5", "stores/other_events.h5")
    with edited(bed.copy("slices.h5", "slices/other_events.h5")) as file:
        file["events/p"][60] ^= 1


@edits("slices.h5", "tracks/jumping_track.h5")
def swapped_object(file: h5py.File) -> None:
    """Move a box for one frame."""
    row = np.flatnonzero(file["shapes/roi"][:] == 0)[6]
    file["shapes/x"][row] += 25


@edits("slices.h5", "tracks/outside_track.h5")
def left_open(file: h5py.File) -> None:
    """Let a track go on where the sensor has ended."""
    rows = np.flatnonzero(file["shapes/roi"][:] == 1)[-3:]
    file["shapes/x"][rows] = SENSOR.width


PARKING = """
name = "parking"
duration_us = 1_500_000
seed = 1
[sensor]
height = 48
width = 64
[camera]
noise_hz = 0.0
[background]
intensity = 0.4
[[object]]
label = "car"
box = [16.0, 12.0]
intensity = 0.9
motion = [[0, 4.0, 18.0], [200_000, 40.0, 20.0], [1_500_000, 40.0, 20.0]]
[[object]]
label = "ghost"
box = [10.0, 8.0]
intensity = 0.4
motion = [[0, 30.0, 2.0], [1_500_000, 40.0, 2.0]]
[[object]]
label = "sign"
box = [6.0, 6.0]
intensity = 0.1
motion = [[0, 4.0, 40.0], [1_500_000, 50.0, 40.0]]
"""


@plants(silent_track="tracks/silent_track.h5", unclosed_track="tracks/unclosed_track.h5")
def parked_car(bed: Bed) -> None:
    """Annotate an object that nobody sees, and one whose events end early."""
    scene, made = bed.new("sound/parking.toml"), bed.sound
    scene.write_text(PARKING, encoding="utf-8")
    steps.simulate(scene, made)
    store, clock, rois = (made / f"parking.{end}" for end in ("h5", "clock.tsv", "rois.xml"))
    steps.events(made / "parking.aedat4", store)
    steps.clock(store, clock, steps.ClockSettings(window_us=10_000))
    windows = steps.RegularWindows(window_us=500_000)
    for name in ("silent_track", "unclosed_track"):
        slices = bed.new(f"tracks/{name}.h5")
        boxes = bed.new(f"sound/{name}_bbox.npy")
        steps.annotate(store, clock, slices, boxes, windows, rois=rois)


@plants(sample_rows="samples/sample_rows.h5")
def misplaced_sample(bed: Bed) -> None:
    """Let a sample end some events after its time in the store beside it."""
    bed.copy("street.h5", "stores/sample_rows.h5")
    with edited(bed.copy("street.samples.h5", "samples/sample_rows.h5")) as file:
        file["samples/stop"][1] += 7


@edits("street.samples.h5", "samples/sample_empty.h5")
def empty_sample(file: h5py.File) -> None:
    """Remove the events of a sample."""
    file["samples/stop"][1] = file["samples/start"][1]


@edits("street.samples.h5", "samples/sample_overlap.h5")
def early_sample(file: h5py.File) -> None:
    """Let a sample start within the previous one."""
    file["samples/start_us"][1] -= 5_000


@edits("street.samples.h5", "samples/sample_split.h5")
def unknown_split(file: h5py.File) -> None:
    """Put a sample into an unknown split."""
    file["samples/split"][1] = "training"


@plants(feature_windows="features/feature_windows.h5")
def long_window(bed: Bed) -> None:
    """Let a window have more events than the store beside it."""
    bed.copy("street.h5", "stores/feature_windows.h5")
    with edited(bed.copy("features.h5", "features/feature_windows.h5")) as file:
        file["windows/stop"][-1] += 1_000


@edits("features.h5", "features/feature_values.h5")
def not_a_number(file: h5py.File) -> None:
    """Put NaN into a frame."""
    file["data"][3, 0, 10, 20] = np.nan


@plants(feature_extra="features/feature_extra.h5")
def no_confidence(bed: Bed) -> None:
    """Add a confidence per window, and leave one out."""
    path = bed.copy("features.h5", "features/feature_extra.h5")
    with h5py.File(path) as file:
        confidence = np.ones(len(file["data"]))
    confidence[2] = np.nan
    array = bed.new("confidence.npy")
    np.save(array, confidence)
    steps.enrich(path, {"confidence": array})
    array.unlink()


@edits("sampled.h5", "features/feature_sample.h5")
def early_window(file: h5py.File) -> None:
    """Let a window start before its sample."""
    file["windows/start_us"][4] -= 900


BOX_FAULTS: dict[str, tuple[str, int, float]] = {
    "box_number": ("x", 3, np.nan),
    "box_size": ("w", 4, -2),
    "box_outside": ("x", 5, 60),
    "box_order": ("t", 6, 15_000),
    "box_class": ("class_id", 7, 4),
    "beyond": ("t", 11, 900_000),
}
"""Check → the field and row of sound boxes, and the faulty value they get."""


@plants(**{name: f"boxes/{name}_bbox.npy" for name in BOX_FAULTS})
def wrong_boxes(bed: Bed) -> None:
    """Write boxes with one fault each; some need the label map or recording beside them."""
    names = {"0": "car", "1": "sign"}
    bed.new("boxes/label_map_dictionary.json").write_text(json.dumps(names), encoding="utf-8")
    for name, (field, row, value) in BOX_FAULTS.items():
        boxes = np.zeros(12, dtype=BOX_DTYPE)
        boxes["t"] = np.arange(1, 13) * 10_000
        boxes["x"] = boxes["y"] = np.arange(12)
        boxes["w"] = boxes["h"] = 8
        boxes[field][row] = value
        np.save(bed.new(f"boxes/{name}_bbox.npy"), boxes)
    for name in ("box_outside", "beyond"):
        bed.copy("street.aedat4", f"boxes/{name}.aedat4")


@plants(box_window="windows/box_window_bbox.npy")
def box_of_the_next_window(bed: Bed) -> None:
    """Put the first box of a window into the one before it."""
    features = bed.new("windows/box_window.h5")
    by_time = steps.FeatureSettings(representation="histogram", window_us=20_000)
    steps.features(bed.sound / "street.h5", features, by_time)
    boxes = bed.new("windows/box_window_bbox.npy")
    every = steps.FeatureBoxesSettings(boxes="all")
    steps.feature_boxes(features, bed.sound / "slices_bbox.npy", boxes, every)
    first = np.load(first_path(boxes))
    first[np.flatnonzero(np.diff(first))[1]] += 1
    np.save(first_path(boxes), first)


@plants(box_geometry="windows/box_geometry_bbox.npy")
def boxes_of_the_sensor(bed: Bed) -> None:
    """Put boxes in the pixels of the sensor beside frames that are mirrored."""
    mirrored = steps.FeatureSettings(
        representation="histogram", window_us=20_000, geometry=Geometry(flip_x=True)
    )
    steps.features(bed.sound / "street.h5", bed.new("windows/box_geometry.h5"), mirrored)
    bed.copy("slices_bbox.npy", "windows/box_geometry_bbox.npy")


@plants(frozen_box="boxes/frozen_box_bbox.npy")
def forgotten_track(bed: Bed) -> None:
    """Write a box that never moves."""
    frozen = np.zeros(40, dtype=BOX_DTYPE)
    frozen["t"] = np.arange(40) * 50_000
    frozen["w"] = frozen["h"] = 8
    write_boxes(bed.new("boxes/frozen_box_bbox.npy"), frozen)


@plants(split_recording="splits/train.txt")
def listed_twice(bed: Bed) -> None:
    """List a recording in two splits."""
    bed.new("splits/train.txt").write_text("monday\ntuesday\nwednesday\n", encoding="utf-8")
    bed.new("splits/test.txt").write_text("thursday\ntuesday\n", encoding="utf-8")


@plants(split_bytes="folders/train/split_bytes.aedat4", split_name="folders/train/split_name.bin")
def shared_files(bed: Bed) -> None:
    """Put a recording into two splits' folders under two names, and two files with one name."""
    for split, name in (("train", "split_bytes"), ("test", "other_name")):
        bed.copy("street.aedat4", f"folders/{split}/{name}.aedat4")
        bed.new(f"folders/{split}/split_name.bin").write_bytes(split.encode())


@edits("street.samples.h5", "samples/sample_labels.h5")
def turned_labels(file: h5py.File) -> None:
    """Change the order of the classes that the other files have."""
    file["labels/name"][:] = ["wave", "clap", "snap"]


@edits("street.samples.h5", "samples/sample_group.h5")
def parted_group(file: h5py.File) -> None:
    """Put samples of one person into two splits."""
    file["samples/group"][:] = ["ann", "ben", "ann"]
    file["samples/split"][2] = "test"


@edits("street.samples.h5", "samples/sample_class.h5")
def untrained_class(file: h5py.File) -> None:
    """Put the only sample of a class into split test."""
    file["samples/label"][2] = 2
    file["samples/split"][2] = "test"


@plants(made_from="features/made_from.h5")
def other_store(bed: Bed) -> None:
    """Put another store beside features than the one they were made from."""
    bed.copy("features.h5", "features/made_from.h5")
    write_store(bed.new("stores/made_from.h5"), np.arange(8_000) * 15)


@plants(
    missing_file="release/manifest.json",
    unknown_id="release/test/events/tuesday.h5",
    n_events="release/train/events/monday.h5",
    split_group="release/manifest.json",
    samples_table="release/train/samples/monday.h5",
)
def wrong_table(bed: Bed) -> None:
    """Build a release whose tables of recordings and samples do not match its files."""
    rows = {
        "monday": {"split": "train", "group": "week 1", "n_events": "1"},
        "tuesday": {"split": "test", "group": "week 1"},
    }
    plan = []
    for id_, row in rows.items():
        store = bed.sound / f"{id_}.h5"
        write_store(store, np.arange(2_000 + len(id_)) * 150)
        path = f"{row['split']}/events/{id_}.h5"
        plan.append(PlanEntry(path, store, kind="events", id=id_, split=row["split"]))
    _, table, samples = write_samples(bed.sound / "monday.h5")
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("train", "test", 1), encoding="utf-8")
    plan.append(PlanEntry("samples.tsv", table, kind="samples"))
    path = "train/samples/monday.h5"
    plan.append(PlanEntry(path, samples, kind="samples", id="monday", split="train"))
    folder = bed.folder / "release"
    build(plan, folder, name="planted", version="1.0", licence="CC0-1.0", recordings=rows)
    manifest = folder / MANIFEST
    value = json.loads(manifest.read_bytes())
    value["recordings"]["sunday"] = value["recordings"].pop("tuesday")
    manifest.write_text(json.dumps(value, indent=1), encoding="utf-8")


def without_regions(file: h5py.File) -> None:
    """Take all regions from slices."""
    for name in ("rois", "shapes", "overlaps"):
        for column in list(file[name]):
            if isinstance(file[name][column], h5py.Dataset) and column != "vertices":
                file[name][column].resize(0, axis=0)
    file["events/roi"][:] = -1


edits("slices.h5", "slices/no_shape.h5")(without_regions)


@plants(split_label="labelled/manifest.json")
def unlabelled_split(bed: Bed) -> None:
    """Build a release whose split test has slices without regions."""
    plan = []
    for id_, split in (("friday", "train"), ("saturday", "test")):
        slices = bed.sound / f"{id_}.h5"
        shutil.copy(bed.sound / "slices.h5", slices)
        plan.append(PlanEntry(f"{split}/slices/{id_}.h5", slices, "slices", id_, split))
    with edited(bed.sound / "saturday.h5") as file:
        without_regions(file)
    rows = {entry.id: {"split": entry.split} for entry in plan}
    folder = bed.folder / "labelled"
    build(plan, folder, name="labelled", version="1.0", licence="CC0-1.0", recordings=rows)


@plants(incomplete="lacking/manifest.json", empty_split="lacking/manifest.json")
def lost_split(bed: Bed) -> None:
    """Build a release that lacks the only recording of its split test."""
    store = bed.sound / "thursday.h5"
    write_store(store, np.arange(2_000) * 150)
    plan = [PlanEntry("train/events/thursday.h5", store, "events", "thursday", "train")]
    missing = {
        "holiday": {"split": "test", "reason": "acquire: SourceError: holiday.raw: is empty"}
    }
    folder = bed.folder / "lacking"
    build(plan, folder, name="lacking", version="1.0", licence="CC0-1.0", missing=missing)


@plants(people="named/annotations/sunday.rois.xml")
def named_annotator(bed: Bed) -> None:
    """Build a release of an annotation that says whose task it was."""
    store, xml = bed.sound / "sunday.h5", bed.sound / "sunday.xml"
    write_store(store, np.arange(2_000) * 150)
    owner = "<owner><username>kim</username><email>kim@example.org</email></owner>"
    xml.write_text(
        f"<annotations><version>1.1</version><meta><task>{owner}</task></meta></annotations>",
        encoding="utf-8",
    )
    plan = [
        PlanEntry("train/events/sunday.h5", store, "events", "sunday", "train"),
        PlanEntry("annotations/sunday.rois.xml", xml, "annotations", "sunday", "train"),
    ]
    rows = {"sunday": {"split": "train"}}
    folder = bed.folder / "named"
    build(plan, folder, name="named", version="1.0", licence="CC0-1.0", recordings=rows)


@plants(identifying="anonymous/sidecars/monday.biases.txt")
def named_camera(bed: Bed) -> None:
    """Build an anonymous release with a sidecar that names the camera."""
    store, biases = bed.sound / "monday_1.h5", bed.sound / "biases.txt"
    write_store(store, np.arange(2_000) * 151)
    biases.write_text("bias_diff_on 325\nserial_number 00001621\n", encoding="utf-8")
    plan = [
        PlanEntry("train/events/monday.h5", store, "events", "monday", "train"),
        PlanEntry("sidecars/monday.biases.txt", biases, "sidecars", "monday", "train"),
    ]
    rows, config = {"monday": {"split": "train"}}, {"release": {"anonymous": True}}
    about = {"name": "anonymous", "version": "1.0", "licence": "CC0-1.0"}
    build(plan, bed.folder / "anonymous", recordings=rows, config=config, **about)


def main() -> None:
    """Read the argument and plant the faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    plant(parser.parse_args().folder)


if __name__ == "__main__":
    main()
