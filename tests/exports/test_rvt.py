"""RVT's whole tree: every array as its own script writes it, and as its readers take it."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evreel import steps
from evreel.cli import main
from evreel.errors import AnnotationError, RecordingError, UsageError
from evreel.events import Events, Sensor
from evreel.exports import rvt
from evreel.exports.rvt_labels import RVT_DTYPE
from evreel.publish.build import build
from evreel.recordings.open import Reading
from evreel.release.manifest import PlanEntry
from evreel.representations import StackedHistogram, tensor
from evreel.windows import Windows
from support import random_events, shared_file
from support.exports import made_in
from support.rvt import Sequence, differences, histogram, read_tree, windows
from support.stores import store_of
from support.writers import columns

RUNS = {
    "gen1_stacked_fast": {},
    "gen1_stacked_slow": {"fastmode": False},
    "gen1_stacked_fast_nocut": {"no_cutoff": True},
    "gen1_stacked_slow_nocut": {"no_cutoff": True, "fastmode": False},
    "gen1_stacked_count5000": {"count": 5_000},
    "gen1_mixed": {"representation": "mixeddensity_stack"},
    "gen4_stacked_fast": {},
    "gen4_mixed": {"representation": "mixeddensity_stack"},
}
SENSOR = Sensor(240, 304)
GEN1 = steps.RvtSettings(filter="gen1")


def boxes_at(*times, dtype=RVT_DTYPE):
    boxes = np.zeros(len(times), dtype)
    boxes["t"], boxes["x"], boxes["y"] = times, 20, 30
    boxes["w"], boxes["h"], boxes["class_confidence"] = 60, 50, 0.5
    boxes["track_id"] = np.arange(len(times))
    return boxes


def events_of(n=3_000, stop_us=800_000, sensor=SENSOR, seed=3):
    """Return events, many of them in few pixels, and some on borders of windows."""
    events = random_events(n, sensor, stop_us, seed)
    t = events.t.copy()
    t[n // 10 : n // 2 : 7] = t[n // 10 : n // 2 : 7] // 50_000 * 50_000
    x, y = events.x.copy(), events.y.copy()
    x[::2], y[::2] = 17, 33
    return Events(np.sort(t), x, y, events.p, sensor)


def split_folder(folder: Path, **recordings) -> Path:
    """Write recordings into folders by split: name → (split, events, boxes)."""
    for name, (split, events, boxes) in recordings.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        store_of(folder / split / f"{name}.h5", events, t_offset=int(boxes.get("t_offset", 0)))
        np.save(folder / split / f"{name}_bbox.npy", boxes["boxes"])
    return folder


def one(folder: Path, events=None, times=(250_000, 500_000), split="val", t_offset=0) -> Path:
    """Write one recording and its boxes into a folder by split."""
    boxes = {"boxes": boxes_at(*times), "t_offset": t_offset}
    return split_folder(folder, park=(split, events or events_of(), boxes))


def told(out: Path) -> dict:
    return json.loads((out / rvt.RVT_RECORD).read_text())


# Equal to RVT's script


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """Return the oracle's inputs with a store for each recording, made without evreel's readers."""
    given = shared_file("oracles/rvt_in")
    folder = tmp_path_factory.mktemp("rvt_in")
    for boxes in given.rglob("*_bbox.npy"):
        place = folder / boxes.relative_to(given)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(boxes, place)
        [recording] = boxes.parent.glob(boxes.name.replace("_bbox.npy", "_td.*"))
        with h5py.File(recording) as file:
            t, x, y, p = (file[f"events/{name}"][:] for name in "txyp")
        t = np.maximum.accumulate(t.astype(np.int64))
        sensor = SENSOR if "gen1" in boxes.parts else Sensor(720, 1280)
        events = Events(t - t[0], x, y, (p > 0).astype(np.uint8), sensor)
        store_of(place.with_name(boxes.name.replace("_bbox.npy", ".h5")), events, int(t[0]))
    return folder


@pytest.fixture(scope="module")
def exported(decoded, tmp_path_factory):
    """Return a function of a run's name that exports it, once, and returns its folder."""
    folder = tmp_path_factory.mktemp("rvt")

    def made(run):
        if not (folder / run).exists():
            rules = steps.RvtSettings(filter=run[:4], **RUNS[run])
            steps.export(decoded / run[:4], folder / run, "rvt", rvt=rules)
        return folder / run

    return made


@pytest.mark.parametrize("run", RUNS)
def test_rvt__equals_the_arrays_of_its_script(exported, run):
    wanted = read_tree(shared_file(f"oracles/rvt/{run}"))
    found = read_tree(exported(run))
    there = {"/".join(name.split("/")[:2]) for name in wanted}  # some runs were kept in part
    found = {name: each for name, each in found.items() if name.startswith(tuple(there))}
    assert len(wanted) == 8 * len(there)
    assert differences(found, wanted) == []


def test_rvt__takes_the_files_that_its_script_takes(tmp_path):
    given = shared_file("oracles/rvt_in/gen1")
    for path in (given / "train").glob("b_*"):
        (tmp_path / "in/train").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, tmp_path / "in/train" / path.name)
    with pytest.raises(RecordingError, match="on_disorder: sort, drop or clamp"):
        steps.export(tmp_path / "in", tmp_path / "out", "rvt", rvt=GEN1)
    assert not (tmp_path / "out").exists()
    options = ["--layout", "rvt", "--filter", "gen1", "--on-disorder", "clamp"]
    assert main(["export", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *options]) == 0
    wanted = read_tree(shared_file("oracles/rvt/gen1_stacked_fast"))
    wanted = {name: each for name, each in wanted.items() if name.startswith("train/b/")}
    assert differences(read_tree(tmp_path / "out"), wanted) == []
    assert told(tmp_path / "out")["recordings"]["train/b"]["repairs"]["clamped_events"] == 300
    remarks = json.loads((tmp_path / "out/export.json").read_text())["remarks"]
    assert remarks["recordings that do not state their size, taken as 304x240 px"] == 1


def test_rvt__leaves_out_a_recording_whose_boxes_are_all_filtered(exported):
    out = exported("gen1_stacked_fast")
    assert sorted(path.name for path in (out / "val").iterdir()) == ["c"]
    record = json.loads((out / "export.json").read_text())
    lost, listed = record["not_held"], record["recordings"]
    assert sorted(listed) == ["a", "b", "c", "e"]
    [what] = [what for what in lost if what.startswith("recordings")]
    assert (what[:41], lost[what]) == ("recordings of which no box is left after ", 1)
    assert told(out)["recordings"]["val/d"]["left_out"] in what


@pytest.mark.parametrize("run", ["gen1_stacked_fast", "gen4_stacked_fast"])
def test_rvt__is_read_as_its_readers_read_the_tree_of_its_script(exported, run):
    oracle = np.load(shared_file("oracles/rvt_reader.npz"))
    cases = json.loads(shared_file("oracles/rvt_reader.json").read_text())
    rules = steps.RvtSettings(filter=run[:4])
    seen = 0
    for place in sorted({key.rsplit("/", 1)[0] for key in oracle if key.startswith(run)}):
        folder = exported(run) / place.removeprefix(f"{run}/")
        sequence = Sequence(folder, rules.rules.sensor, rules.halves)
        for k in range(len(sequence.first)):
            assert sequence.labels_of(k).tolist() == oracle[f"{place}/frame{k}"].tolist()
            assert sequence.centres_of(k).tolist() == oracle[f"{place}/frame{k}_yolox"].tolist()
        assert f"{place}/frame{len(sequence.first)}" not in oracle
        for case in cases:
            if case["seq"] == place:
                wanted = {k: v for k, v in case.items() if k not in ("seq", "sequence_length")}
                assert sequence.chunks(case["sequence_length"]) == wanted
                seen += 1
    assert seen == 5 * {"gen1_stacked_fast": 4, "gen4_stacked_fast": 2}[run]


def test_halved__keeps_the_rows_and_columns_that_rvt_keeps():
    oracle = np.load(shared_file("oracles/rvt_labels.npz"))
    for name in ("u8_8x10", "u8_7x9", "i8_8x10"):
        full, half = oracle[f"down/{name}/in"], oracle[f"down/{name}/out"]
        height, width = full.shape[-2:]
        rows, columns_ = (slice(1, 2 * (size // 2), 2) for size in (height, width))
        assert (full[..., rows, columns_] == half).all()


# The same, of events at hand


@pytest.mark.parametrize("fastmode", [True, False])
def test_tree__equals_a_loop_over_windows_and_events(tmp_path, fastmode):
    events, sensor = events_of(), SENSOR
    rules = steps.RvtSettings(filter="gen1", fastmode=fastmode, bins=3)
    steps.export(one(tmp_path / "in", events), tmp_path / "out", "rvt", rvt=rules)
    found = read_tree(tmp_path / "out/")
    frames = "val/park/event_representations_v2/stacked_histogram_dt=50_nbins=3"
    ends = [100_000, 150_000, 200_000, 250_000, 375_000, 500_000]
    data = found[f"{frames}/event_representations.h5"]
    assert found[f"{frames}/timestamps_us.npy"].tolist() == ends
    assert found[f"{frames}/objframe_idx_2_repr_idx.npy"].tolist() == [3, 5]
    assert found["val/park/labels_v2/timestamps_us.npy"].tolist() == [250_000, 500_000]
    assert found["val/park/labels_v2/labels.npz/objframe_idx_2_label_idx"].tolist() == [0, 1]
    on_borders = 0
    for frame, end, rows in zip(data, ends, windows(events.t, ends, 50_000), strict=True):
        columns_ = (getattr(events, name)[rows] for name in "txyp")
        wraps_at = 256 if fastmode else 1 << 16
        slow = histogram(*columns_, shape=sensor, bins=3, wraps_at=wraps_at)
        assert (frame == slow).all(), end
        on_borders += np.count_nonzero(np.isin(events.t[rows], [end - 50_000, end]))
    assert on_borders > 10


def test_tree__of_counts_has_the_last_events_up_to_each_end(tmp_path):
    events = events_of(400)
    rules = steps.RvtSettings(filter="gen1", count=150)
    steps.export(one(tmp_path / "in", events), tmp_path / "out", "rvt", rvt=rules)
    found = read_tree(tmp_path / "out")
    frames = "val/park/event_representations_v2/stacked_histogram_ne=150_nbins=10"
    data = found[f"{frames}/event_representations.h5"]
    for frame, end in zip(data, found[f"{frames}/timestamps_us.npy"].tolist(), strict=True):
        stop = int(np.count_nonzero(events.t <= end))
        part = events[max(stop - 150, 0) : stop]
        assert (frame == histogram(part.t, part.x, part.y, part.p, shape=SENSOR)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(0, 60), st.integers(0, 99))
def test_halved__equals_the_odd_rows_and_columns_of_the_full_frame(height, width, n, seed):
    sensor = Sensor(height, width)
    events = random_events(n, sensor, 100, seed)
    last = int(events.t[-1]) + 1 if n else 1
    one_window = Windows(*np.array([[0], [last], [0], [n]]))
    made_of = StackedHistogram(bins=3, compat="rvt")
    full = tensor(made_of, events, one_window)
    half = tensor(rvt.Halved(made_of), events, one_window)
    assert half.shape[2:] == (height // 2, width // 2)
    assert (half == full[..., 1::2, 1::2][..., : height // 2, : width // 2]).all()


def test_recordings__as_rvt_has_them_are_decoded_with_named_repairs(tmp_path):
    events = events_of(500)
    t = events.t + 7
    late = np.arange(50, 450, 40)
    t[late] -= 300
    rows = list(
        zip(t.tolist(), events.x.tolist(), events.y.tolist(), events.p.tolist(), strict=True)
    )
    (tmp_path / "in/train").mkdir(parents=True)
    columns.dsec(tmp_path / "in/train/a_td.dat.h5", rows, None, None, columns.RVT)
    np.save(tmp_path / "in/train/a_bbox.npy", boxes_at(250_000, 500_000))
    clamping = Reading(on_disorder="clamp")
    steps.export(tmp_path / "in", tmp_path / "out", "rvt", rvt=GEN1, reading=clamping)
    running = np.maximum.accumulate(t)
    clamped = Events(running, events.x, events.y, events.p, SENSOR)
    frames = "train/a/event_representations_v2/stacked_histogram_dt=50_nbins=10"
    data = read_tree(tmp_path / "out")[f"{frames}/event_representations.h5"]
    ends = [100_000, 150_000, 200_000, 250_000, 375_000, 500_000]
    for frame, each in zip(data, windows(running, ends, 50_000), strict=True):
        columns_ = (getattr(clamped, name)[each] for name in "txyp")
        assert (frame == histogram(*columns_, shape=SENSOR)).all()
    repairs = told(tmp_path / "out")["recordings"]["train/a"]["repairs"]
    assert repairs["clamped_events"] == np.count_nonzero(running != t)


def test_recording__of_declared_columns_is_read_as_they_say(tmp_path):
    events = events_of(500)
    np.savez(tmp_path / "a.npz", stamp=events.t * 1_000, x=events.x, y=events.y, p=events.p)
    np.savez(tmp_path / "b.npz", t=events.t, x=events.x, y=events.y, p=events.p)
    np.save(tmp_path / "boxes.npy", boxes_at(250_000, 500_000))
    declared = {"reading": Reading(columns="t[ns] = stamp, x = x, y = y, p = p")}
    trees = []
    for name, more in (("a", declared), ("b", {})):
        boxed = {"boxes": tmp_path / "boxes.npy", "name": "park", "rvt": GEN1}
        steps.export(tmp_path / f"{name}.npz", tmp_path / name, "rvt", **boxed, **more)
        trees.append(read_tree(tmp_path / name))
    assert trees[0]
    assert differences(*trees) == []


def test_tree__has_the_same_bytes_whenever_it_is_made(tmp_path):
    source = one(tmp_path / "in")
    for name in ("one", "two"):
        steps.export(source, tmp_path / name, "rvt", rvt=GEN1)
    paths = sorted(p for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(paths) == 7
    for path in paths:
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )


@pytest.mark.parametrize("dataset", ["gen1", "gen4"])
def test_tree__is_read_by_the_rules_of_rvts_readers(tmp_path, dataset):
    rules = steps.RvtSettings(
        filter=dataset, label_step_us=250_000, representation="mixeddensity_stack"
    )
    sensor = rules.rules.sensor
    steps.export(
        one(tmp_path / "in", events_of(400, 600_000, sensor)), tmp_path / "out", "rvt", rvt=rules
    )
    sequence = Sequence(tmp_path / "out/val/park", sensor, rules.halves)
    scale = 2 if rules.halves else 1
    box = [each / scale for each in (20, 30, 60, 50)]
    for k, t in enumerate((250_000, 500_000)):
        assert sequence.labels_of(k).tolist() == [[t, *box, 0, 0.5]]
    frames = sequence.frames(1, 4)
    assert (frames.dtype, frames.shape) == (
        np.float32,
        (3, 10, sensor.height // scale, sensor.width // scale),
    )
    assert frames.any()
    assert sequence.chunks(5)["train_ranges"] == [[[0, 5], [5, 6]]]


def test_splits__all_have_a_folder_without_anything_else_in_it(tmp_path):
    steps.export(one(tmp_path / "in"), tmp_path / "out", "rvt", rvt=GEN1)
    below = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").glob("*/*")}
    assert below == {"val/park"}
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"train", "val", "test"}


# Where boxes and events come from


def test_sources__of_a_recording_give_one_tree(tmp_path):
    """A folder of recordings, one with its boxes, and a release, whose clock is another."""
    events, offset = events_of(), 40_000
    source = one(tmp_path / "in", events, t_offset=offset)
    store, boxes = source / "val/park.h5", source / "val/park_bbox.npy"
    steps.export(source, tmp_path / "folder", "rvt", rvt=GEN1)
    steps.export(store, tmp_path / "one", "rvt", rvt=GEN1, boxes=boxes)
    (tmp_path / "one/train/park").rename(tmp_path / "one/val/park")
    steps.boxes(store, boxes, tmp_path / "park_bbox.npy", steps.BoxesSettings(clock="source"))
    steps.export(store, tmp_path / "ours", "rvt", rvt=GEN1, boxes=tmp_path / "park_bbox.npy")
    (tmp_path / "ours/train/park").rename(tmp_path / "ours/val/park")
    plan = [
        PlanEntry("val/events/park.h5", store, kind="events", id="park", split="val"),
        *(
            PlanEntry(f"val/boxes/park_bbox{end}", path, kind=kind, id="park", split="val")
            for end, kind in ((".npy", "boxes"), (".json", "boxes"))
            for path in [tmp_path / f"park_bbox{end}"]
        ),
    ]
    labels = {0: "car"}
    build(plan, tmp_path / "r", name="r", version="1", licence="CC0-1.0", labels=labels)
    steps.export(tmp_path / "r", tmp_path / "release", "rvt", rvt=GEN1)
    wanted = read_tree(tmp_path / "folder")
    assert wanted["val/park/labels_v2/timestamps_us.npy"].tolist() == [250_000, 500_000]
    for name in ("one", "ours", "release"):
        assert differences(read_tree(tmp_path / name), wanted) == [], name


def test_times__count_from_the_first_event_if_asked(tmp_path):
    source = one(tmp_path / "in", t_offset=40_000, times=(290_000, 540_000))
    since = replace(GEN1, times="recording")
    steps.export(source, tmp_path / "since", "rvt", rvt=since)
    steps.export(one(tmp_path / "zero"), tmp_path / "wanted", "rvt", rvt=GEN1)
    found, wanted = read_tree(tmp_path / "since"), read_tree(tmp_path / "wanted")
    assert differences(found, wanted) == []


def test_slices__give_the_boxes_of_their_regions_and_need_a_store(tmp_path):
    made = made_in(tmp_path)
    rules = steps.RvtSettings(filter="gen1", times="recording", small_boxes="conservative")
    with pytest.raises(UsageError, match="has no events with boxes"):
        steps.export(made.slices, tmp_path / "out", "rvt", rvt=rules)
    steps.export(made.slices, tmp_path / "out", "rvt", rvt=rules, store=made.store)
    found = read_tree(tmp_path / "out")["train/park/labels_v2/labels.npz/labels"]
    assert found.dtype == RVT_DTYPE
    assert set(found["t"].tolist()) == {100_000}
    with pytest.raises(UsageError, match=r"first labelled frame is at .*--times recording"):
        steps.export(
            *(made.slices, tmp_path / "date", "rvt"),
            rvt=replace(rules, times="camera"),
            store=made.store,
        )


def test_boxes__with_the_field_names_of_older_files_are_read(tmp_path):
    source = one(tmp_path / "in")
    path = source / "val/park_bbox.npy"
    boxes = np.load(path)
    steps.export(source, tmp_path / "wanted", "rvt", rvt=GEN1)
    names = {"t": "ts", "class_confidence": "confidence"}
    boxes.dtype.names = [names.get(name, name) for name in boxes.dtype.names]
    np.save(path, boxes)
    steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    labels = "val/park/labels_v2/labels.npz/labels"
    found, wanted = (read_tree(tmp_path / name)[labels] for name in ("out", "wanted"))
    for name in RVT_DTYPE.names:
        assert found[name].tolist() == wanted[name].tolist()
    np.save(path, boxes[::-1])
    with pytest.raises(AnnotationError, match="goes back in time"):
        steps.export(source, tmp_path / "back", "rvt", rvt=GEN1)


# Outcomes that are stated


def test_gaps__between_windows_are_counted_and_named_with_the_setting_that_closes_them(
    tmp_path, caplog
):
    events = events_of()
    source = one(tmp_path / "in", events)
    with caplog.at_level(logging.WARNING):
        lost = steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    inside = np.zeros(len(events), bool)
    ends = [100_000, 150_000, 200_000, 250_000, 375_000, 500_000]
    for rows in windows(events.t, ends, 50_000):
        inside |= rows
    counts = {what.split(":")[0]: n for what, n in lost.items()}
    assert counts == {
        "events before the first window": np.count_nonzero(events.t < 50_000),
        "events between windows": np.count_nonzero(
            ~inside & (events.t >= 50_000) & (events.t <= 500_000)
        ),
        "events after the last labelled frame": np.count_nonzero(events.t > 500_000),
    }
    assert "--windows-per-step 5 leaves no gap" in caplog.text
    closed = steps.export(source, tmp_path / "five", "rvt", rvt=replace(GEN1, windows_per_step=5))
    assert not any(what.startswith("events between") for what in closed)
    assert told(tmp_path / "five")["settings"]["windows_per_step"] == 5


def test_labels__before_the_first_event_have_frames_of_zeros_and_are_counted(tmp_path):
    source = one(tmp_path / "in", t_offset=400_000, times=(250_000, 500_000, 1_250_000, 1_500_000))
    steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    remarks = told(tmp_path / "out")["recordings"]["val/park"]["remarks"]
    assert remarks["labelled frames before the first event"] == 1
    assert remarks["labelled frames after the last event"] == 2
    assert remarks["windows without events"] == 4 + 4
    frames = "val/park/event_representations_v2/stacked_histogram_dt=50_nbins=10"
    data = read_tree(tmp_path / "out")[f"{frames}/event_representations.h5"]
    assert [bool(frame.any()) for frame in data].count(False) == 8


def test_nothing_left__of_any_recording_is_one_error_and_leaves_nothing_behind(tmp_path):
    source = one(tmp_path / "in", times=(30_000, 60_000))
    with pytest.raises(AnnotationError, match=r"nothing is left .*park, without a box at or after"):
        steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    gen4 = steps.RvtSettings(filter="gen4")
    rate = one(tmp_path / "rate", times=range(50_000, 800_000, 50_000))
    with pytest.raises(AnnotationError, match=r"come at 20 Hz.*--label-step-us"):
        steps.export(rate, tmp_path / "out", "rvt", rvt=gen4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "rate"]


def test_recording__that_is_given_alone_is_told_to_need_its_boxes(tmp_path):
    store = one(tmp_path / "in") / "val/park.h5"
    (tmp_path / "park.raw").write_bytes(b"% evt 2.0\n")
    for source in (store, tmp_path / "park.raw"):
        with pytest.raises(UsageError, match=r"needs its boxes too\. Give them with --boxes"):
            steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)


def test_recordings__without_boxes_beside_them_are_counted(tmp_path):
    source = one(tmp_path / "in")
    for split, name in (("val", "lost_td.h5"), ("train", "park.h5"), ("val", "park_td.h5")):
        (source / split).mkdir(exist_ok=True)
        shutil.copyfile(source / "val/park.h5", source / split / name)
    (source / "val/notes.txt").write_text("from the lab")
    (source / "train/more").mkdir()
    lost = steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    assert lost["recordings without boxes, left out"] == 2


def test_recordings__of_several_clocks_are_left_out(tmp_path):
    source = one(tmp_path / "in", events_of(200))
    rows = [(t, 1, 1, 1) for t in (900_000, 950_000, 10_000, 20_000, 30_000, 40_000, 50_000)]
    rows += [(t, 1, 1, 1) for t in range(60_000, 120_000, 5_000)]
    (source / "val/park.h5").unlink()
    columns.dsec(source / "val/park_td.h5", rows, None, (304, 240), columns.RVT)
    with pytest.raises(AnnotationError, match="of several parts, each with a clock of its own"):
        splitting = Reading(on_reset="split")
        steps.export(source, tmp_path / "out", "rvt", rvt=GEN1, reading=splitting)


def test_options__that_do_not_go_together_are_refused(tmp_path):
    source = one(tmp_path / "in")
    store, boxes = source / "val/park.h5", source / "val/park_bbox.npy"
    for more, words in (
        ({"layout": "rvt"}, "needs a filter"),
        ({"layout": "rvt", "rvt": steps.RvtSettings()}, "needs a filter"),
        ({"layout": "coco", "rvt": GEN1}, "do not go with coco"),
        ({"layout": "coco", "boxes": boxes}, "only with rvt"),
        ({"layout": "rvt", "rvt": GEN1, "clock": store}, "clock does not go with a recording"),
        ({"layout": "rvt", "rvt": GEN1, "boxes": boxes}, "is a folder"),
        ({"layout": "rvt", "rvt": GEN1, "name": "a"}, "several recordings"),
        (
            {"layout": "rvt", "rvt": GEN1, "reading": Reading(on_stray="drop")},
            "is a store; on-stray is for",
        ),
        ({"layout": "coco", "stream": 1}, "stream is for reading a recording"),
    ):
        with pytest.raises(UsageError, match=words):
            steps.export(source, tmp_path / "out", **more)
    arguments = ["export", str(source), "-o", str(tmp_path / "out"), "--layout", "mot"]
    assert main([*arguments, "--bins", "3"]) == 2
    shutil.copyfile(store, source / "val/park.hdf5")
    with pytest.raises(AnnotationError, match=r"there are park\.h5, park\.hdf5"):
        steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    for path in (store, source / "val/park.hdf5"):
        path.unlink()
    with pytest.raises(AnnotationError, match="there is none"):
        steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    boxes.unlink()
    with pytest.raises(UsageError, match="has no boxes"):
        steps.export(source, tmp_path / "out", "rvt", rvt=GEN1)
    assert not (tmp_path / "out").exists()
