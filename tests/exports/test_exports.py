"""Slices, releases and annotations in the layouts of other tools, opened by their readers."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from evreel import steps
from evreel.annotations import read_annotations, write_coco
from evreel.annotations.forms.coco import Pictures
from evreel.annotations.shapes import Annotations, Box, Ellipse, FrameTag, Track
from evreel.cli import main
from evreel.cli.commands import COMMANDS
from evreel.errors import AnnotationError, ClockError, UsageError
from evreel.exports.aermanager import slice_files
from evreel.exports.layouts import EVENT_LAYOUTS
from evreel.exports.layouts import LAYOUTS as BY_NAME
from evreel.files.boxes import read_boxes
from evreel.files.clock import read_clock, write_clock
from evreel.files.slices import SlicesFile
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.annotations import box
from support.exports import GIVEN, LABELS, SHAPE, N, made_in, release_of, run_vendor

PICTURES = [f"{k:06d}_{10_000 * k}.png" for k in range(N)]
LAYOUTS = ("aermanager", "cvat", "coco", "mot", "yolo", "dsec-det", "prophesee")
"""All but rvt, which has settings: `test_rvt.py` tests it."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_in(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def release(made):
    return release_of(made, made.folder / "street-1.0")


def boxes_of(annotations: Annotations) -> list:
    """Return what each frame shows: frame, label, bounding box."""
    return sorted(
        (shape.frame, track.label, *np.round(shape.bounds, 3).tolist())
        for track in annotations.tracks
        for shape in track.shapes
        if not shape.outside
    )


def read_back(layout: str, folder: Path) -> Annotations:
    path = folder / "annotations" / "instances_train.json" if layout == "coco" else folder
    return read_annotations(path, picture=Picture(SHAPE))


# What is written


@pytest.mark.parametrize("layout", ["coco", "mot", "yolo"])
@pytest.mark.parametrize("source", ["slices", "rois"])
def test_export__holds_the_boxes_of_slices_and_annotations(made, tmp_path, layout, source):
    clock = {"clock": made.clock} if source == "rois" else {}
    steps.export(getattr(made, source), tmp_path / "out", layout, **clock)
    assert boxes_of(read_back(layout, tmp_path / "out")) == boxes_of(GIVEN)


def test_aermanager__has_its_names_and_dtypes_and_no_row_twice(made, tmp_path):
    lost = steps.export(made.slices, tmp_path / "out", "aermanager")
    files = slice_files(tmp_path / "out")
    assert [path.name for path in files] == ["0.h5", "1.h5", "2.h5", "3.h5", "4.h5"]
    dtypes = {
        "frame": "<u2",
        "frame_size": "<i8",
        "label": "|O",
        "spikes/x": "<u2",
        "spikes/y": "<u2",
        "spikes/t": "<u8",
        "spikes/p": "|b1",
        "spikes/id": "<f8",
        "bins/x": "<i8",
        "bins/y": "<i8",
        "labels_lut/id": "|O",
        "labels_lut/label": "<i8",
        "rois/id": "<i8",
        "rois/label": "|O",
    }
    with SlicesFile(made.slices) as slices:
        assert lost["further regions of events, beside the primary one"] == len(
            slices.overlaps.event
        )
        rows = 0
        for k, path in enumerate(files):
            events, roi = slices.slice(k)
            with h5py.File(path) as file:
                found: dict[str, str] = {}
                file.visititems(
                    lambda name, item, found=found: (
                        found.update({name: item.dtype.str})
                        if isinstance(item, h5py.Dataset)
                        else None
                    )
                )
                assert found == dtypes
                ids = file["spikes/id"][:]
                assert (np.isnan(ids) == (roi < 0)).all()
                assert (ids[roi >= 0] == np.array([3, 5])[roi[roi >= 0]]).all()
                assert (file["spikes/t"][:] == events.t + 1_600_000_000_000_000).all()
                assert file["frame"][:].sum() == len(events)
                assert file["frame"][1].sum() == events.p.sum()
                rows += len(ids)
        assert rows == slices.n_events
    with h5py.File(files[0]) as file:
        assert file["label"].asstr()[:].tolist() == ["car"]
    with h5py.File(files[1]) as file:
        assert file["label"].asstr()[:].tolist() == ["car", "Süd"]
        assert file["labels_lut/id"].asstr()[:].tolist() == ["__Empty_Default__", *LABELS]
        assert file["rois/label"].asstr()[:].tolist() == ["Süd", "car"]


def test_coco__names_pictures_as_evreel_does(made, release, tmp_path):
    steps.export(made.rois, tmp_path / "a", "coco", clock=made.clock, pictures=None)
    root = json.loads((tmp_path / "a/annotations/instances_train.json").read_text())
    assert [image["file_name"] for image in root["images"]] == PICTURES
    steps.export(release, tmp_path / "b", "coco")
    for split, id_ in (("train", "park"), ("test", "town")):
        root = json.loads((tmp_path / f"b/annotations/instances_{split}.json").read_text())
        assert root["images"][3]["file_name"] == f"{id_}/{PICTURES[3]}"
        assert len(root["annotations"]) == len(boxes_of(GIVEN))


@pytest.mark.parametrize("layout", ["cvat", "coco", "mot", "dsec-det", "prophesee"])
def test_tracks__have_their_own_numbers_but_in_boxes_a_row_of_the_slices_regions(
    made, tmp_path, layout
):
    steps.export(made.slices, tmp_path / "out", layout)
    if layout == "prophesee":
        found = np.load(tmp_path / "out/train/park_bbox.npy")["track_id"]
        with SlicesFile(made.slices) as slices:
            own = slices.rois.track[found]
            boxes = read_boxes(made.folder / "park_bbox.npy")
            assert slices.rois.track[boxes["track_id"]].tolist() == own.tolist()
        assert set(found.tolist()) == {0, 1}
    elif layout == "dsec-det":
        path = tmp_path / "out/train/park/object_detections/left/tracks.npy"
        own = np.load(path)["track_id"]
    else:
        folder = tmp_path / "out" / ("train/park.xml" if layout == "cvat" else "")
        own = np.array([track.id for track in read_back(layout, folder).tracks])
    assert set(own.tolist()) == {3, 5} == {track.id for track in GIVEN.tracks}


def test_dsec_det__has_boxes_at_the_instants_of_pictures(made, tmp_path):
    steps.export(made.slices, tmp_path / "out", "dsec-det", store=made.store)
    sequence = tmp_path / "out/train/park"
    tracks = np.load(sequence / "object_detections/left/tracks.npy")
    assert tracks.dtype.names == (*"txywh", "class_id", "class_confidence", "track_id")
    widths = [tracks.dtype[name].str for name in tracks.dtype.names]
    assert widths == ["<u8", *["<f8"] * 4, "|u1", "<f8", "<u8"]
    own = read_boxes(made.folder / "park_bbox.npy")
    assert (tracks["t"] == own["t"] + 1_600_000_000_000_000).all()
    for name in ("x", "y", "w", "h", "class_id"):
        assert (tracks[name] == own[name]).all()
    assert set(tracks["track_id"].tolist()) == {3, 5}
    stamps = np.genfromtxt(sequence / "images/timestamps.txt", dtype="int64")
    assert len(stamps) == N
    assert np.isin(tracks["t"], stamps).all()
    with h5py.File(sequence / "events/left/events.h5") as file:
        assert {"events", "ms_to_idx", "t_offset"} <= set(file)
        assert file["t_offset"][()] == 1_600_000_000_000_000


def test_dsec_det__takes_its_own_numbers_of_its_own_classes(made, tmp_path):
    renamed = {"names": ["car", "bus"], "nc": 2}
    folder = tmp_path / "y"
    (folder / "labels/train").mkdir(parents=True)
    (folder / "data.yaml").write_text(yaml.safe_dump(renamed))
    text = (folder / "labels/train" / PICTURES[4]).with_suffix(".txt")
    text.write_text("1 .5 .5 .5 .5\n0 .2 .2 .1 .1\n")
    steps.annotate(
        *(made.store, made.clock, tmp_path / "y.h5", tmp_path / "y_bbox.npy"),
        steps.RegularWindows(window_us=20_000),
        rois=folder,
    )
    steps.export(tmp_path / "y.h5", tmp_path / "out", "dsec-det")
    tracks = np.load(tmp_path / "out/train/y/object_detections/left/tracks.npy")
    assert sorted(tracks["class_id"].tolist()) == [2, 3]


def test_release__becomes_one_folder_with_its_splits(release, tmp_path):
    for layout in LAYOUTS:
        held = steps.export(release, tmp_path / layout, layout)
        record = json.loads((tmp_path / layout / "export.json").read_text())
        assert record["not_held"] == held
        assert record["recordings"] == ["park", "town"]
    assert len(slice_files(tmp_path / "aermanager" / "town")) == 5
    assert (tmp_path / "mot/test/town/gt/gt.txt").is_file()
    assert (tmp_path / "yolo/labels/test/town" / PICTURES[0]).with_suffix(".txt").is_file()
    splits = yaml.safe_load((tmp_path / "dsec-det/train_val_test_split.yaml").read_text())
    assert splits == {"train": ["park"], "val": [], "test": ["town"]}
    assert (tmp_path / "dsec-det/test/town/events/left/events.h5").is_file()
    lost = steps.export(release, tmp_path / "aer", "aermanager")
    assert lost["splits, whose recordings lie side by side"] == 2


def test_pictures__go_along(made, tmp_path):
    steps.video(made.store, made.clock, made.pictures)
    steps.export(made.slices, tmp_path / "y", "yolo", pictures=made.pictures)
    images = sorted(path.name for path in (tmp_path / "y/images/train").iterdir())
    assert images == PICTURES
    assert (tmp_path / "y/images/train" / PICTURES[0]).read_bytes()[:4] == b"\x89PNG"
    steps.export(made.slices, tmp_path / "d", "dsec-det", pictures=made.pictures)
    assert len(list((tmp_path / "d").rglob("*.png"))) == N


def test_export__says_what_a_layout_cannot_hold(made, tmp_path, capsys):
    assert main(["export", str(made.slices), "--layout", "yolo", "-o", str(tmp_path / "y")]) == 0
    told = capsys.readouterr().err
    assert "y: does not hold: 15 shapes of tracks, without the track's number" in told
    assert "y: does not hold: 3 frame tags" in told


FULL = Annotations(
    LABELS,
    (
        Track(3, "Süd", (Ellipse(2, np.array([[12.0, 18], [7, 12]]), z_order=2, group=4),)),
        Track(5, "car", (replace(box(2), occluded=True, attributes={"a": "1"}),)),
    ),
    tags=(FrameTag(2, "car", {"why": "rain"}),),
    frames=range(N),
    picture_shape=SHAPE,
)


@pytest.mark.parametrize("layout", ["dsec-det", "prophesee"])
def test_boxes__say_all_that_they_cannot_hold(tmp_path, layout):
    made = made_in(tmp_path, FULL)
    lost = steps.export(made.rois, tmp_path / "out", layout, clock=made.clock)
    for what in (
        "shapes written as their bounding boxes",
        "marks of occluded shapes",
        "attributes",
        "z orders",
        "groups",
    ):
        assert lost[what] == 1, what
    renumbered = lost.get("tracks whose number is their position")
    assert renumbered == (2 if layout == "prophesee" else None)


@pytest.mark.parametrize("layout", ["cvat", "mot", "dsec-det"])
def test_loose_shapes__get_numbers_after_those_of_tracks(made, tmp_path, layout):
    shapes = (Track(-1, "car", (box(k),)) for k in range(2))
    given = replace(GIVEN, tracks=(*shapes, *GIVEN.tracks), tags=())
    path = tmp_path / "loose.json"
    write_coco(path, [Pictures(given, SHAPE, dict(enumerate(PICTURES)))])
    lost = steps.export(path, tmp_path / "out", layout, clock=made.clock)
    assert lost["shapes without a track, each given a number"] == 2
    assert not any("another number" in what for what in lost)
    if layout == "dsec-det":
        tracks = np.load(next((tmp_path / "out").rglob("tracks.npy")))
        assert np.unique(tracks["track_id"]).tolist() == [3, 5, 6, 7]
        assert (tracks["class_id"][tracks["track_id"] == 3] == LABELS.index("Süd")).all()
    else:
        read = read_back(
            layout, tmp_path / "out/train" / f"loose{'.xml' if layout == 'cvat' else ''}"
        )
        assert {track.id for track in read.tracks} == {3, 5, 6, 7}


def test_slices__keep_what_tags_say_and_count_what_became_an_outline(tmp_path):
    made = made_in(tmp_path, FULL)
    lost = steps.export(made.slices, tmp_path / "out", "cvat")
    assert lost["ellipses, of which slices have only the outline"] == 1
    read = read_annotations(tmp_path / "out/train/park.tags.xml", tags_only=True)
    assert [dict(tag.attributes) for tag in read.tags] == [{"why": "rain"}]


# Read by others


def test_coco__is_read_by_pycocotools(made, tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    steps.export(made.slices, tmp_path / "out", "coco")
    path = tmp_path / "out/annotations/instances_train.json"
    truth = coco.COCO(str(path))
    assert [each["name"] for each in truth.loadCats(truth.getCatIds())] == list(LABELS)
    found = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1}
        for a in truth.loadAnns(truth.getAnnIds())
    ]
    result = evaluation.COCOeval(truth, truth.loadRes(found), "bbox")
    result.evaluate()
    result.accumulate()
    result.summarize()
    assert result.stats[0] == pytest.approx(1)


def test_yolo__follows_the_documented_rules(made, tmp_path):
    """Class from 0; five columns; shares within 0 to 1; texts beside pictures; names in YAML."""
    steps.export(made.slices, tmp_path / "out", "yolo")
    config = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert config["names"] == dict(enumerate(LABELS))
    assert {"train", "val"} <= set(config)
    listed = (tmp_path / "out" / config["train"]).read_text().splitlines()
    assert len(listed) == N
    for image in listed:
        text = tmp_path / "out" / Path(image.replace("/images/", "/labels/")).with_suffix(".txt")
        for row in text.read_text().splitlines():
            number, *shares = row.split()
            assert int(number) in config["names"]
            assert len(shares) == 4
            x, y, w, h = map(float, shares)
            assert 0 <= x - w / 2 <= x + w / 2 <= 1
            assert 0 <= y - h / 2 <= y + h / 2 <= 1


def test_mot__follows_the_documented_rules(made, tmp_path):
    """Nine columns; frames and classes from 1; one box of a track in a frame."""
    steps.export(made.slices, tmp_path / "out", "mot")
    rows = np.loadtxt(tmp_path / "out/train/park/gt/gt.txt", delimiter=",")
    assert rows.shape == (15, 9)
    assert rows[:, 0].min() == 1
    assert rows[:, 0].max() == N
    assert set(rows[:, 7]) == {1, 2}
    assert len(np.unique(rows[:, :2], axis=0)) == 15


def test_mot__is_read_by_trackeval(made, tmp_path):
    steps.export(made.slices, tmp_path / "out", "mot")
    gt = tmp_path / "out/train/park/gt/gt.txt"
    gt.write_text(gt.read_text().replace(",1,2,1\n", ",1,1,1\n"))  # it knows pedestrians alone
    told = run_vendor(
        "EVREEL_TRACKEVAL", "trackeval_read.py", tmp_path / "out/train", "park", tmp_path / "work"
    )
    assert json.loads(told.splitlines()[-1]) == [15, 2, 1.0, N]


def test_aermanager__reads_its_layout(made, tmp_path):
    steps.export(made.slices, tmp_path / "out", "aermanager")
    path = tmp_path / "out/park/1.h5"
    told = run_vendor("EVREEL_AERMANAGER", "aermanager_read.py", path, tmp_path / "read.npz")
    labels, lut, rois, shape = json.loads(told)
    assert labels == ["car", "Süd"]
    assert lut == {"__Empty_Default__": 0, "car": 1, "Süd": 2}
    assert rois == {"3": "Süd", "5": "car"}
    assert shape == [2, *SHAPE]
    read = np.load(tmp_path / "read.npz")
    with SlicesFile(made.slices) as slices:
        events, roi = slices.slice(1)
    assert (read["x"] == events.x).all()
    assert (read["p"] == events.p).all()
    assert (np.isnan(read["id"]) == (roi < 0)).all()


def streamed(path: Path) -> np.ndarray:
    """Return boxes as the toolbox's loader does: by a type of the fields' names and types alone."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        assert version == (1, 0)
        _, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        assert not fortran
        return np.fromfile(file, [(name, dtype[name].str) for name in dtype.names])


@pytest.mark.parametrize("source", ["slices", "rois"])
def test_cvat__has_few_key_frames_and_the_same_boxes(made, tmp_path, source):
    clock = {"clock": made.clock} if source == "rois" else {}
    steps.export(getattr(made, source), tmp_path / "out", "cvat", name="park", **clock)
    found = read_annotations(tmp_path / "out/train/park.xml")
    assert boxes_of(found) == boxes_of(GIVEN)
    assert [(track.id, track.label) for track in found.tracks] == [(3, "Süd"), (5, "car")]
    keys = [[s.frame for s in t.shapes if s.keyframe and not s.outside] for t in found.tracks]
    assert keys == [[2, 6], [0, 9]]
    tags = tmp_path / "out/train/park.tags.xml"
    assert tags.exists() == (source == "slices")
    if tags.exists():
        assert [tag.frame for tag in read_annotations(tags, tags_only=True).tags] == [0, 1, 2]


def test_prophesee__is_streamed_by_the_rules_of_its_toolbox(made, release, tmp_path):
    own = read_boxes(made.folder / "park_bbox.npy")
    steps.export(release, tmp_path / "out", "prophesee")
    for path in (tmp_path / "out/train/park_bbox.npy", tmp_path / "out/test/town_bbox.npy"):
        found = streamed(path)
        assert len(found) == len(own)
        for name in own.dtype.names:
            assert (found[name] == own[name]).all()
    labels = json.loads((tmp_path / "out/label_map_dictionary.json").read_text())
    assert labels == {str(k): label for k, label in enumerate(LABELS)}


def test_bbox__has_the_fields_that_the_toolbox_evaluates_by(made):
    """It loads the array whole, and takes it as it is if it has these two names."""
    boxes = np.load(made.folder / "park_bbox.npy")
    assert {"t", "class_confidence"} <= set(boxes.dtype.names)
    offsets = [boxes.dtype.fields[name][1] for name in boxes.dtype.names]
    assert offsets == [0, 8, 12, 16, 20, 24, 28, 32]
    assert boxes.dtype.itemsize == 40


def test_layouts__are_those_that_the_command_offers():
    parser = argparse.ArgumentParser()
    for add in COMMANDS["export"].options:
        add(parser)
    (offered,) = (a.choices for a in parser._actions if a.dest == "layout")
    assert tuple(BY_NAME) == (*LAYOUTS, "rvt")
    assert tuple(offered) == (*BY_NAME, *EVENT_LAYOUTS)


# Refused


def test_slices__of_other_frames_need_their_clock(made, tmp_path):
    clock = tmp_path / "c.tsv"
    head, *rows = made.clock.read_text().split("frame\tstart_us\tstop_us\n")
    times = [row.split("\t") for row in rows[0].splitlines()]
    late = "".join(f"{k}\t{int(start) + 5}\t{stop}\n" for k, start, stop in times)
    clock.write_text(f"{head}frame\tstart_us\tstop_us\n{late}")
    steps.annotate(
        *(made.store, clock, tmp_path / "s.h5", tmp_path / "s_bbox.npy"),
        steps.RegularWindows(window_us=20_000),
        rois=made.rois,
    )
    with pytest.raises(UsageError, match="when its frames are"):
        steps.export(tmp_path / "s.h5", tmp_path / "out", "coco")
    steps.export(tmp_path / "s.h5", tmp_path / "out", "coco", clock=clock)
    root = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())
    assert root["images"][2]["file_name"] == "000002_20005.png"
    assert boxes_of(read_back("coco", tmp_path / "out")) == boxes_of(GIVEN)


def test_slices__refuse_the_clock_of_another_video(made, tmp_path):
    times, picture, more = read_clock(made.clock)
    short = FrameClock(times.start_us[:3], times.stop_us[:3], times.source)
    write_clock(tmp_path / "c.tsv", short, picture, more)
    for layout in ("coco", "mot", "yolo", "cvat"):
        with pytest.raises(ClockError, match="is not the clock"):
            steps.export(made.slices, tmp_path / "out", layout, clock=tmp_path / "c.tsv")


NAMES = ("..", ".", "a/b", "/a", "a\\b", "a\0b", "a\nb", "\udcff", " ", "x" * 300)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_name__of_a_recording_stays_in_its_folder(made, tmp_path, layout):
    for name in NAMES:
        with pytest.raises(UsageError, match="name of a folder"):
            steps.export(made.slices, tmp_path / "out", layout, name=name)
    assert list(tmp_path.iterdir()) == []
    steps.export(made.slices, tmp_path / "out", layout, name="公園 2.b")
    assert any("公園 2.b" in str(path) for path in (tmp_path / "out").rglob("*")) or layout in (
        "coco",
        "yolo",
    )


def test_export__refuses_to_overwrite_and_leaves_nothing_behind(made, tmp_path):
    out = tmp_path / "out"
    steps.export(made.slices, out, "mot")
    before = sorted(out.rglob("*"))
    with pytest.raises(UsageError, match="already exists"):
        steps.export(made.slices, out, "coco")
    assert sorted(out.rglob("*")) == before
    for wrong, words in (
        ({"source": made.rois, "layout": "coco"}, "needs the clock"),
        ({"source": made.rois, "layout": "aermanager", "clock": made.clock}, "has no events"),
        ({"source": made.slices, "layout": "mot", "outlines": True}, "outlines"),
        ({"source": made.slices, "layout": "mot", "labels": ["a"]}, "labels"),
        ({"source": made.slices, "layout": "mot", "name": "../x"}, "name of a folder"),
        ({"source": made.slices, "layout": "zip"}, "not one of"),
        ({"source": made.slices, "layout": "cvat", "pictures": made.pictures}, "only with coco"),
        ({"source": made.slices, "layout": "coco", "store": made.store}, "only with dsec-det"),
    ):
        with pytest.raises(UsageError, match=words):
            steps.export(output=tmp_path / "new", **wrong)
    longer = tmp_path / "gt.txt"
    longer.write_text("11,1,0,0,5,5,1,1,1\n")
    with pytest.raises(AnnotationError, match="frame 10; the video has 10 frames"):
        steps.export(longer, tmp_path / "new", "yolo", clock=made.clock, labels=["car"])
    longer.unlink()
    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_pictures__are_called_as_in_the_video_where_times_were_aligned(made, tmp_path):
    steps.annotate(
        *(made.store, made.clock, tmp_path / "late.h5", tmp_path / "late_bbox.npy"),
        steps.RegularWindows(window_us=20_000),
        steps.AnnotateSettings(time_offset_us=-3_000),
        rois=made.rois,
        labels=LABELS,
    )
    steps.export(tmp_path / "late.h5", tmp_path / "out", "coco", clock=made.clock)
    root = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert [image["file_name"] for image in root["images"]] == PICTURES


def test_turned_box__is_in_its_place_for_readers_of_coco_that_know_no_rotation(tmp_path):
    upright = np.array([[10.0, 12.0], [30.0, 18.0]])
    turned = Box(0, upright, rotation=90.0)
    drawn = Annotations(("car",), (Track(0, "car", (turned,)),), frames=range(1))
    write_coco(tmp_path / "i.json", [Pictures(drawn, SHAPE, {0: PICTURES[0]})])
    [item] = json.loads((tmp_path / "i.json").read_text())["annotations"]
    assert item["bbox"] == pytest.approx([17, 5, 6, 20])
    assert item["area"] == pytest.approx(120)
    assert np.reshape(item["segmentation"], (4, 2))[0] == pytest.approx([23, 5])
    [track] = read_annotations(tmp_path / "i.json").tracks
    back = track.shapes[0]
    assert (type(back), back.rotation) == (Box, 90)
    np.testing.assert_allclose(back.points, upright, atol=1e-9)
    # As CVAT writes it: the box before it turns.
    item["bbox"], item["segmentation"] = [10, 12, 20, 6], []
    root = json.loads((tmp_path / "i.json").read_text()) | {"annotations": [item]}
    (tmp_path / "c.json").write_text(json.dumps(root))
    [track] = read_annotations(tmp_path / "c.json").tracks
    np.testing.assert_allclose(track.shapes[0].outline, turned.outline)


def test_export__of_a_project_takes_the_task_that_is_named(made, tmp_path):
    text = made.rois.read_text()
    task = text[text.index("<task>") : text.index("</task>") + len("</task>")]
    labels = task[task.index("<labels>") : task.index("</labels>") + len("</labels>")]
    other = task.replace("<id>1<", "<id>2<").replace(">park<", ">yard<")
    tasks = "".join(each.replace(labels, "<subset>a</subset>") for each in (task, other))
    project = f"<project><id>7</id><name>p</name><tasks>{tasks}</tasks>{labels}</project>"
    text = text.replace(task, project).replace("<track ", '<track task_id="1" subset="a" ')
    (tmp_path / "all.xml").write_text(text)
    with pytest.raises(AnnotationError, match="project of 2 tasks"):
        steps.export(tmp_path / "all.xml", tmp_path / "x", "coco", clock=made.clock)
    for more in ({"task": "1"}, {"task": "park"}, {"name": "park"}):
        out = tmp_path / next(iter(more.values()))
        steps.export(tmp_path / "all.xml", out, "mot", clock=made.clock, **more)
        assert boxes_of(read_back("mot", out))[:3] == boxes_of(GIVEN)[:3]
        (out / "export.json").unlink()
        out.rename(tmp_path / f"done-{next(iter(more))}-{out.name}")
