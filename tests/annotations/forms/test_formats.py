"""Annotations in COCO, MOT, YOLO and EventBbox: read strictly, written back the same."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evreel.annotations import (
    form_of,
    read_annotations,
    read_coco,
    read_mot,
    read_yolo,
    write_coco,
    write_event_bbox,
    write_images_xml,
    write_mot,
    write_video_xml,
    write_yolo,
    write_yolo_config,
)
from evreel.annotations.forms.coco import Pictures
from evreel.annotations.forms.rle import (
    filled,
    mask_of_bitmap,
    mask_of_runs,
    picture_runs,
    runs_of_text,
)
from evreel.annotations.frames import place
from evreel.annotations.shapes import (
    Annotations,
    Box,
    Ellipse,
    FrameTag,
    Polyline,
    Skeleton,
    Track,
)
from evreel.errors import AnnotationError, EvreelError, UsageError
from evreel.layout import BOX_DTYPE
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.annotations import CLOCK, box, polygon

SHAPE = (48, 64)
PICTURE = Picture((24, 32), scale=2)
NAMES = {k: f"{k:06d}_{10 * k}.png" for k in range(10)}
BOXES = Annotations(
    labels=("car", "Süd"),
    tracks=(
        Track(7, "car", (box(2), box(3, left=1.25, occluded=True), box(6))),
        Track(0, "Süd", (box(0, right=4, bottom=3, left=0, top=0), box(1, keyframe=False))),
        Track(-1, "car", (box(9, left=50, right=64, top=40, bottom=48),)),
    ),
    frames=range(10),
    picture_shape=SHAPE,
)
"""Three objects in 10 frames; the first moves from frame 3 to frame 6."""


def seen(annotations: Annotations, digits: int = 6) -> list:
    """Return what each frame shows: frame, track, label, shape, and whether it is occluded."""
    return sorted(
        (
            shape.frame,
            track.id,
            track.label,
            shape.name,
            np.round(shape.points, digits).tolist(),
            shape.occluded,
        )
        for track in annotations.tracks
        for shape in track.shapes
        if not shape.outside
    )


def filled_in(annotations: Annotations) -> Annotations:
    """Return annotations that list every frame in which an object is."""
    from evreel.annotations.shapes import interpolate

    return replace(annotations, tracks=tuple(map(interpolate, annotations.tracks)))


def numbered(annotations: Annotations, number: int) -> Annotations:
    """Return annotations whose loose shapes are tracks from a number on."""
    tracks = [t if t.id >= 0 else replace(t, id=number) for t in annotations.tracks]
    return replace(annotations, tracks=tuple(tracks))


def zipped(folder: Path) -> Path:
    """Return a zip of a folder, beside it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for inner in sorted(folder.rglob("*")):
            file.write(inner, inner.relative_to(folder))
    return path


def npy(path: Path, *rows: tuple, dtype: np.dtype = BOX_DTYPE) -> Path:
    """Write boxes: t, x, y, w, h, class, track, confidence."""
    with path.open("wb") as file:
        np.save(file, np.array([row[: len(dtype.names)] for row in rows], dtype=dtype))
    return path


def coco(path: Path, *annotations: dict, **changed: object) -> Path:
    """Write a JSON of two pictures of 48×64 px, and categories car and person."""
    root = {
        "images": [
            {"id": k + 1, "file_name": NAMES[k], "width": 64, "height": 48} for k in range(2)
        ],
        "categories": [
            {"id": 4, "name": "car"},
            {"id": 9, "name": "person", "keypoints": ["head", "foot"]},
        ],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 4, "iscrowd": 0} | annotation
            for k, annotation in enumerate(annotations)
        ],
    }
    path.write_text(json.dumps(root | changed), encoding="utf-8")
    return path


BOX = {"bbox": [1, 2, 30, 20], "segmentation": []}


# Round trips


def test_mot__says_what_was_written(tmp_path):
    lost = write_mot(tmp_path / "a", BOXES, name="a", n_frames=10, picture_shape=SHAPE)
    for path in (tmp_path / "a", zipped(tmp_path / "a")):
        read = read_annotations(path)
        assert seen(read) == seen(numbered(filled_in(BOXES), 8))
        assert (read.labels, read.frames, read.picture_shape) == (BOXES.labels, range(10), SHAPE)
    assert lost["shapes without a track, each given a number"] == 1
    assert sum(lost.values()) == 1


def test_coco__says_what_was_written(tmp_path):
    shapes = (
        Box(1, np.array([[2.0, 3], [20, 9.5]]), rotation=30.0, occluded=True, z_order=2, group=3),
        polygon(2, (1, 1), (9.25, 1), (4, 7.01), attributes={"colour": "red"}),
        Box(4, np.array([[2.0, 3], [20, 9.5]])),
        replace(mask_of_bitmap(np.eye(5, dtype=bool), 3, 4), frame=5),
        Skeleton(
            6,
            np.array([[1.0, 2], [3, 4]]),
            joints=("head", "foot"),
            visible=(True, True),
            hidden=(False, True),
        ),
    )
    tracks = [Track(k, f"l{k}", (shape,)) for k, shape in enumerate(shapes)]
    given = replace(BOXES, labels=tuple(t.label for t in tracks), tracks=tuple(tracks))
    path = tmp_path / "i.json"
    assert not sum(write_coco(path, [Pictures(given, SHAPE, NAMES)]).values())
    read = read_annotations(path)
    assert seen(read) == seen(given)
    assert read.labels == given.labels
    assert read.frames == tuple(range(10))
    first, second, _, mask, skeleton = (track.shapes[0] for track in read.tracks)
    assert (first.rotation, first.z_order, first.group) == (30.0, 2, 3)
    assert dict(second.attributes) == {"colour": "red"}
    assert mask.bitmap.tolist() == np.eye(5, dtype=bool).tolist()
    assert (skeleton.joints, skeleton.hidden) == (("head", "foot"), (False, True))


def test_coco__counts_what_it_cannot_hold(tmp_path):
    line = Polyline(0, np.array([[0.0, 0], [9, 9]]))
    ellipse = Ellipse(1, np.array([[20.0, 20], [5, 3]]))
    given = replace(
        BOXES,
        tracks=(Track(0, "car", (line,)), Track(1, "car", (ellipse,))),
        tags=(FrameTag(0, "car"),),
    )
    lost = write_coco(tmp_path / "i.json", [Pictures(given, SHAPE, NAMES)])
    assert lost == {
        "frame tags": 1,
        "polylines, which COCO does not have": 1,
        "ellipses written as polygons": 1,
    }
    assert [shape.name for t in read_coco(tmp_path / "i.json").tracks for shape in t.shapes] == [
        "polygon",
        "polygon",
    ]


def test_mot__leaves_out_what_has_no_area_and_refuses_labels_of_two_lines(tmp_path):
    level = Polyline(0, np.array([[0.0, 5], [9, 5]]))
    more = {"name": "a", "n_frames": 10, "picture_shape": SHAPE}
    lost = write_mot(tmp_path / "a", replace(BOXES, tracks=(Track(0, "car", (level,)),)), **more)
    assert lost["shapes without area, left out"] == 1
    assert read_mot(tmp_path / "a").tracks == ()
    fails(lambda: write_mot(tmp_path / "b", replace(BOXES, labels=("a\nb",)), **more), "line break")


@pytest.mark.parametrize("outlines", [False, True])
def test_yolo__says_what_was_written(tmp_path, outlines):
    shapes = polygon(0, (1, 1), (9.25, 1), (4, 7.01)) if outlines else box(0)
    given = replace(BOXES, tracks=(Track(-1, "Süd", (shapes,)), Track(-1, "car", (shapes,))))
    write_yolo(
        tmp_path / "y", given, picture_shape=SHAPE, names=NAMES, subset="val", outlines=outlines
    )
    write_yolo_config(tmp_path / "y", given.labels)
    for path in (tmp_path / "y", zipped(tmp_path / "y")):
        assert form_of(path) == "yolo"
        read = read_yolo(path, SHAPE)
        assert seen(read) == seen(given)
        assert (read.labels, read.frames) == (given.labels, tuple(range(10)))
        assert read.pictures[3] == NAMES[3]


def test_event_bbox__says_what_was_written(tmp_path):
    given = numbered(BOXES, 8)
    path = tmp_path / "rec_bbox.npy"
    lost = write_event_bbox(path, given, CLOCK, PICTURE)
    assert lost["marks of occluded shapes"] == 3
    read = read_annotations(path, clock=CLOCK, picture=PICTURE, labels=given.labels)
    expected = [(*row[:5], False) for row in seen(filled_in(given))]
    assert seen(read) == expected
    assert read.frames == (0, 1, 2, 3, 4, 5, 6, 9)


def test_every_form__becomes_an_xml_and_comes_back(tmp_path):
    write_mot(tmp_path / "a", BOXES, name="a", n_frames=10, picture_shape=SHAPE)
    mot = read_mot(tmp_path / "a")
    write_video_xml(tmp_path / "a.xml", mot, name="a", n_frames=10, picture_shape=SHAPE)
    assert seen(read_annotations(tmp_path / "a.xml"), 2) == seen(mot, 2)
    write_coco(tmp_path / "i.json", [Pictures(BOXES, SHAPE, NAMES)])
    of_coco = read_coco(tmp_path / "i.json")
    write_images_xml(tmp_path / "b.xml", of_coco, name="a", n_frames=10, picture_shape=SHAPE)
    loose = sorted((row[0], *row[2:5]) for row in seen(read_annotations(tmp_path / "b.xml"), 2))
    assert loose == sorted((row[0], *row[2:5]) for row in seen(of_coco, 2))


# What a form says


def test_mot__counts_frames_from_1_and_reads_visibility(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("3,1,0,0,5,5,1,2,0\n4,1,0,0,5,5,0,2,0.25\n6,1,0,0,5,5,1,2,1\n")
    (track,) = read_mot(path, labels=["a", "b"]).tracks
    assert track.label == "b"
    assert [(s.frame, s.outside, s.occluded, dict(s.attributes)) for s in track.shapes] == [
        (2, False, True, {}),
        (3, False, False, {"visibility": "0.25", "ignored": "true"}),
        (4, True, False, {"visibility": "0.25", "ignored": "true"}),
        (5, False, False, {}),
        (6, True, False, {}),
    ]


def test_mot__fills_gaps_on_request(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,5,5,1,1,1\n5,1,4,0,5,5,1,1,1\n")
    read = read_mot(path, labels=["a"], fill=True)
    assert [row[4][0][0] for row in seen(filled_in(read))] == [0, 1, 2, 3, 4]


def test_gaps__are_filled_only_as_far_as_memory_reaches(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,5,5,1,1,1\n900000000,1,4,0,5,5,1,1,1\n")
    read = read_mot(path, labels=["a"], fill=True)
    assert len(read.frames) == 900_000_000
    pictures = [
        {"id": k, "file_name": f"{frame:09d}.png", "width": 64, "height": 48}
        for k, frame in ((1, 0), (2, 900_000_000))
    ]
    more = [{**BOX, "image_id": k, "attributes": {"track_id": 3}} for k in (1, 2)]
    path = coco(tmp_path / "i.json", *more, images=pictures)
    assert read_coco(path).frames == (0, 900_000_000)
    fails(lambda: read_coco(path, fill=True), "i.json", "track 3", "to 900000000")


def test_coco__reads_masks_as_its_own_tools_write_them(tmp_path):
    pixels = np.zeros(SHAPE, dtype=bool)
    pixels[5:30, 7] = pixels[20, 7:40] = True
    runs = picture_runs(mask_of_bitmap(pixels, 0, 0), SHAPE)
    assert sum(runs[1::2]) == pixels.sum()
    size = list(SHAPE)
    path = coco(
        tmp_path / "i.json",
        {"bbox": [0, 0, 1, 1], "segmentation": {"size": size, "counts": runs}, "iscrowd": 1},
    )
    (track,) = read_coco(path).tracks
    mask = track.shapes[0]
    assert dict(mask.attributes) == {"is_crowd": "true"}
    back = np.zeros(SHAPE, dtype=bool)
    (left, top), (right, bottom) = mask.points.astype(int).tolist()
    back[top:bottom, left:right] = mask.bitmap
    assert (back == pixels).all()


def test_coco__reads_keypoints_and_joins_the_parts_of_a_polygon(tmp_path):
    square = [1, 1, 5, 1, 5, 5, 1, 5]
    path = coco(
        tmp_path / "i.json",
        {"category_id": 9, "keypoints": [1, 2, 2, 3, 4, 0], "bbox": [1, 2, 3, 4]},
        {"segmentation": [square, [number + 10 for number in square]]},
        {**BOX, "attributes": {"track_id": 3, "occluded": True, "keyframe": False, "n": 7}},
    )
    read = read_coco(path)
    skeleton, mask, boxed = (track.shapes[0] for track in read.tracks)
    assert (skeleton.joints, skeleton.visible) == (("head", "foot"), (True, False))
    assert mask.bitmap.sum() == 32
    assert read.repairs == {"dropped_shapes": 0, "polygons_as_masks": 1}
    assert (boxed.occluded, boxed.keyframe, dict(boxed.attributes)) == (True, False, {"n": "7"})
    assert read.tracks[2].id == 3


def test_frames__are_those_that_names_state(tmp_path):
    """Ids of pictures are in another order than the frames that their names state."""
    images = [
        {"id": 30 - k, "file_name": f"park/{NAMES[k]}", "width": 64, "height": 48} for k in (8, 3)
    ]
    path = coco(tmp_path / "i.json", {**BOX, "image_id": 27}, images=images)
    placed = place(read_coco(path), None, CLOCK).rois
    assert (placed.frames, placed.tracks[0].shapes[0].frame) == ((3, 8), 3)
    images[0]["file_name"] = "000008_90.png"
    path = coco(tmp_path / "j.json", {**BOX, "image_id": 27}, images=images)
    with pytest.raises(AnnotationError, match=r"frame 8 at 90 µs; the clock says 80"):
        place(read_coco(path), None, CLOCK)


@pytest.mark.parametrize(
    ("names", "ids", "frames"),
    [
        (["frame_000004.PNG", "frame_000002.PNG"], [1, 2], [4, 2]),
        (["a.png", "b.png"], [1, 3], [0, 2]),
        (["a.png", "b.png"], [0, 3], [0, 3]),
    ],
)
def test_coco__numbers_frames_by_names_else_by_ids(tmp_path, names, ids, frames):
    images = [
        {"id": id_, "file_name": name, "width": 64, "height": 48}
        for id_, name in zip(ids, names, strict=True)
    ]
    path = coco(tmp_path / "i.json", *({**BOX, "image_id": id_} for id_ in ids), images=images)
    read = read_coco(path)
    assert [track.shapes[0].frame for track in read.tracks] == frames
    assert read.frames == tuple(sorted(frames))


def test_yolo__reads_tracks_poses_and_empty_pictures(tmp_path):
    def folder(name: str, config: str, **texts: str) -> Path:
        (tmp_path / name / "labels" / "train").mkdir(parents=True)
        (tmp_path / name / "data.yaml").write_text(config)
        for picture, text in texts.items():
            (tmp_path / name / "labels" / "train" / f"{picture}.txt").write_text(text)
        return tmp_path / name

    path = folder("track", "names: [car]\ntrain: train.txt", frame_000002="0 .5 .5 .5 .5 17\n")
    (path / "train.txt").write_text("data/images/train/frame_000003.PNG\n")
    read = read_yolo(path, SHAPE)
    assert seen(read) == [(2, 17, "car", "box", [[16, 12], [48, 36]], False)]
    assert read.frames == (2, 3)
    pose = "0 .5 .5 .5 .5 .25 .25 2 .5 .5 0\n"
    path = folder("pose", "names: {0: car}\nkpt_shape: [2, 3]", frame_000000=pose)
    (track,) = read_yolo(path, SHAPE).tracks
    assert track.shapes[0].points.tolist() == [[16, 12], [32, 24]]
    assert track.shapes[0].visible == (True, False)
    unseen = folder("unseen", "names: [car]\nkpt_shape: [1, 3]", a1="0 .5 .5 .5 .5 0 0 0\n")
    assert seen(read_yolo(unseen, SHAPE)) == [(1, -1, "car", "box", [[16, 12], [48, 36]], False)], (
        "an object of which no point is seen has its box"
    )


def test_yolo__of_the_older_form_is_read_too(tmp_path):
    (tmp_path / "obj_train_data").mkdir()
    (tmp_path / "obj.names").write_text("bus\ncar\n")
    (tmp_path / "obj.data").write_text("classes = 2\nnames = data/obj.names\n")
    (tmp_path / "train.txt").write_text(
        "".join(f"data/obj_train_data/frame_{k:06d}.PNG\n" for k in range(3))
    )
    (tmp_path / "obj_train_data" / "frame_000001.txt").write_text("1 .5 .5 .5 .5\n")
    (tmp_path / "obj_train_data" / "frame_000002.txt").write_text("")
    read = read_annotations(zipped(tmp_path), picture=Picture(SHAPE))
    assert seen(read) == [(1, -1, "car", "box", [[16, 12], [48, 36]], False)]
    assert (read.labels, read.frames) == (("bus", "car"), (0, 1, 2))
    (tmp_path / "obj.names").write_text("bus\nbus\n")
    fails(lambda: read_yolo(tmp_path, SHAPE), "obj.names", "twice")


def test_yolo__takes_rounded_shares_at_the_edges(tmp_path):
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("names: [car]")
    text = "0 0.033334 0.500001 0.066668 1.000001\n"
    (tmp_path / "labels" / "train" / "000000_0.txt").write_text(text)
    (track,) = read_yolo(tmp_path, SHAPE).tracks
    left, top, _, bottom = track.shapes[0].bounds
    assert (left, bottom) == (0, 48)
    assert 0 <= top < 1e-4


def test_event_bbox__puts_a_box_into_the_frame_that_ends_with_it(tmp_path):
    rows = [(t, 1, 2, 3, 4, 0, 5, 1) for t in (0, 11, 30, 100)]
    read = read_annotations(
        npy(tmp_path / "b.npy", *rows), clock=CLOCK, picture=PICTURE, labels=["car"]
    )
    assert [row[0] for row in seen(read)] == [0, 1, 2, 9]
    assert seen(read)[0][4] == [[2, 4], [8, 12]]
    assert [s.frame for s in read.tracks[0].shapes if s.alone] == [2]


def test_event_bbox__without_tracks_is_loose(tmp_path):
    untracked = np.dtype([(name, BOX_DTYPE[name]) for name in ("t", "x", "y", "w", "h")])
    untracked = np.dtype([*untracked.descr, ("class_id", "<u4")])
    zeros = [(10, x, 2, 3, 4, 0, 0, 1) for x in (1, 9)]
    for name, dtype in (("a", untracked), ("b", BOX_DTYPE)):
        path = npy(tmp_path / f"{name}.npy", *zeros, dtype=dtype)
        read = read_annotations(path, clock=CLOCK, picture=PICTURE, labels=["car"])
        assert [track.id for track in read.tracks] == [-1, -1]


def test_polygons__are_filled_by_pixel_centres():
    triangle = np.array([[0.0, 0], [4, 0], [0, 4]])
    mask = filled([triangle], (5, 6))
    assert mask.bitmap.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
    ]
    assert filled([triangle / 100], (5, 6)) is None
    assert filled([triangle - 50], (5, 6)) is None


# Bad input


def fails(read, *words: str) -> str:
    with pytest.raises(AnnotationError) as told:
        read()
    text = str(told.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("1,1,0,0,5,5,1,1", "8 columns"),
        ("0,1,0,0,5,5,1,1,1", "frame 0"),
        ("99999999999999999999,1,0,0,5,5,1,1,1", "frame"),
        ("1.5,1,0,0,5,5,1,1,1", "whole number"),
        ("1,-1,0,0,5,5,1,1,1", "track -1"),
        ("1,1,nan,0,5,5,1,1,1", "not a number of pixels"),
        ("1,1,1e300,0,5,5,1,1,1", "not a number of pixels"),
        ("1,1,0,0,0,5,1,1,1", "box"),
        ("1,1,0,0,-5,5,1,1,1", "box"),
        ("1,1,0,0,5,5,0.7,1,1", "column 7"),
        ("1,1,0,0,5,5,1,3,1", "class 3"),
        ("1,1,0,0,5,5,1,0,1", "class 0"),
        ("1,1,0,0,5,5,1,1,2", "visibility"),
        ("1,1,0,0,5,5,1,1,1\n1,1,0,0,5,5,1,1,1", "repeats track 1"),
        ("1,1,0,0,5,5,1,1,1\n1,1,9,0,5,5,1,1,1", "second shape of track 1"),
        ("1,1,0,0,5,5,1,1,1\n2,1,9,0,5,5,1,2,1", "'b' here"),
    ],
)
def test_mot__says_what_is_wrong_and_where(tmp_path, row, word):
    path = tmp_path / "gt.txt"
    path.write_text(row + "\n")
    line = row.count("\n") + 1
    fails(lambda: read_mot(path, labels=["a", "b"]), "gt.txt", f"line {line}", word)


def test_mot__says_what_is_wrong_with_a_sequence(tmp_path):
    write_mot(tmp_path / "a", BOXES, name="a", n_frames=10, picture_shape=SHAPE)
    info = tmp_path / "a" / "seqinfo.ini"
    for text, word in (
        ("seqLength=9", "seqinfo.ini"),
        ("[Sequence]\nseqLength=many", "seqLength"),
        ("[Sequence]\nseqLength=5\n", "frame 6"),
        ("[Sequence]\nseqLength=10\nimWidth=x\nimHeight=4", "imWidth|imHeight"),
    ):
        info.write_text(text)
        told = fails(lambda: read_mot(tmp_path / "a"))
        assert any(part in told for part in word.split("|"))
    with pytest.raises(AnnotationError, match="without names"):
        read_mot(tmp_path / "a" / "gt" / "gt.txt")


NAN = float("nan")


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        ({"bbox": [1, 2, 3]}, "3 numbers"),
        ({"bbox": [1, 2, 0, 4]}, "box"),
        ({"bbox": [1, 2, "3", 4]}, "'3'"),
        ({"bbox": [1, 2, 10**400, 4]}, "not a number of pixels"),
        ({"bbox": None}, "bbox is missing"),
        ({"bbox": [1, 2, True, 4]}, "True"),
        ({**BOX, "image_id": 77}, "image_id 77"),
        ({**BOX, "category_id": 1}, "category_id 1"),
        ({**BOX, "category_id": "car"}, "category_id"),
        ({**BOX, "iscrowd": 2}, "iscrowd"),
        ({**BOX, "attributes": []}, "attributes"),
        ({**BOX, "attributes": {"a": "\ud800"}}, "attributes"),
        ({**BOX, "attributes": {"a\0b": 1}}, "attributes"),
        ({**BOX, "attributes": {"track_id": -1}}, "track_id"),
        ({**BOX, "attributes": {"occluded": "yes"}}, "occluded"),
        ({"segmentation": [[1, 2, 3]]}, "3 numbers"),
        ({"segmentation": [[1, 2, 3, 4]]}, "polygon has 2 points"),
        ({"segmentation": "x"}, "segmentation"),
        ({"segmentation": [5]}, "segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "size"),
        ({"segmentation": {"size": [48, 64], "counts": [3]}}, "3 pixels"),
        ({"segmentation": {"size": [48, 64], "counts": [-1, 3073]}}, "counts"),
        ({"segmentation": {"size": [48, 64], "counts": [3072]}}, "no pixel"),
        ({"segmentation": {"size": [48, 64], "counts": "~"}}, "character"),
        ({"segmentation": {"size": [48, 64], "counts": "oooooooooooo"}}, "too many"),
        ({"segmentation": {"size": [48, 64], "counts": "o"}}, "ends within"),
        ({"segmentation": {"size": [48, 64]}}, "counts"),
        ({"category_id": 9, "keypoints": [1, 2, 2]}, "keypoints"),
        ({"category_id": 9, "keypoints": [1, 2, 5, 3, 4, 0]}, "visibility"),
    ],
)
def test_coco__says_what_is_wrong_and_where(tmp_path, annotation, word):
    path = coco(tmp_path / "i.json", BOX, annotation)
    fails(lambda: read_coco(path), "i.json", "annotation 1 (id 1)", word)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("{", "JSON"),
        ('{"images": [], "annotations": [{"bbox": [NaN', "JSON"),
        ("[" * 100_000, "annotation"),
        ('{"images": ' + "[" * 100_000, "JSON"),
        ('{"images": [], "annotations": [' + "9" * 5000 + "]}", "JSON"),
        ("{}", "COCO"),
        ('{"images": {}, "annotations": [], "categories": []}', "images"),
        ('{"images": [], "annotations": []}', "categories"),
        ('{"images": [3], "annotations": [], "categories": []}', "image 0"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": ""}]}', "name"),
        (r'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\ud800"}]}', "name"),
        (
            r'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a\u0000"}]}',
            "name",
        ),
        (
            r'{"images": [{"id": 1, "file_name": "\ud800"}], "annotations": [], "categories": []}',
            "file_name",
        ),
    ],
)
def test_coco__says_what_is_not_coco(tmp_path, text, word):
    path = tmp_path / "i.json"
    path.write_text(text)
    fails(lambda: read_annotations(path), "i.json", word)


def test_coco__refuses_what_is_listed_twice_and_other_sizes(tmp_path):
    image = {"id": 1, "file_name": "a1.png", "width": 64, "height": 48}
    for images, word in (
        ([image, image], "twice"),
        ([image, {**image, "id": 2, "width": 65}], "65x48"),
        ([{**image, "height": 10**9}], "height"),
    ):
        fails(lambda images=images: read_coco(coco(tmp_path / "i.json", images=images)), word)
    fails(lambda: read_coco(coco(tmp_path / "i.json", BOX, {**BOX, "id": 0})), "twice")
    same = [{"id": 1, "name": "car"}, {"id": 2, "name": "car"}]
    fails(lambda: read_coco(coco(tmp_path / "i.json", categories=same)), "twice")


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("0 .5 .5 .5", "4 columns"),
        ("x .5 .5 .5 .5", "class 'x'"),
        ("1 .5 .5 .5 .5", "class 1"),
        ("-1 .5 .5 .5 .5", "class -1"),
        ("0 .5 .5 nan .5", "share"),
        ("0 .5 .5 1.5 .5", "share"),
        ("0 32 24 10 10", "share"),
        ("0 .5 .5 0 .5", "box"),
        ("0 .5 .5 .5 .5 .93", "confidence"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "columns"),
        ("0 .1 .1 .2 .2 .3 9", "share"),
    ],
)
def test_yolo__says_what_is_wrong_and_where(tmp_path, row, word):
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("names: [car]")
    (tmp_path / "labels" / "train" / "000000_0.txt").write_text(f"\n{row}\n")
    fails(lambda: read_yolo(tmp_path, SHAPE), "labels/train/000000_0.txt, line 2", word)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("names: [", "YAML"),
        ("7", "names"),
        ("names: []", "names"),
        ("names: {0: a, 2: b}", "numbered"),
        ("names: [a, a]", "twice"),
        ("names: [[a]]", "not a name"),
        ('names: ["a\\0b"]', "not a name"),
        ("names: [a]\nnc: 2", "nc"),
        ("names: [a]\nkpt_shape: [x]", "kpt_shape"),
        ("names: !!python/object/apply:os.system [true]", "YAML"),
    ],
)
def test_yolo__says_what_is_wrong_with_its_config(tmp_path, config, word):
    (tmp_path / "data.yaml").write_text(config)
    fails(lambda: read_yolo(tmp_path, SHAPE), "data.yaml", word)


@pytest.mark.parametrize("row", ["images", "data/images/", "/"])
def test_yolo__says_which_row_of_a_list_names_no_picture(tmp_path, row):
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: train.txt")
    (tmp_path / "train.txt").write_text(f"{row}\n")
    fails(lambda: read_yolo(tmp_path, SHAPE), "train.txt", "not the name of a picture")


@pytest.mark.parametrize("key", ["names", "nc", "kpt_shape", "train"])
def test_yolo__names_no_list_of_more_values_than_there_is_memory(tmp_path, key):
    """Aliases of aliases: 2 to the 60 values."""
    rows = ["names: [x]", "a0: &a0 [x]"]
    rows += [f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 60)]
    (tmp_path / "data.yaml").write_text("\n".join([*rows, f"{key}: *a59"]))
    if key == "train":  # a list of pictures, which is no name of one
        assert read_yolo(tmp_path, SHAPE).labels == ("x",)
    else:
        fails(lambda: read_yolo(tmp_path, SHAPE), "data.yaml", "a list")


def test_yolo__refuses_names_that_say_no_frame(tmp_path):
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("names: [car]")
    for name in ("dog", "cat"):
        (tmp_path / "labels" / "train" / f"{name}.txt").touch()
    fails(lambda: read_yolo(tmp_path, SHAPE), "'cat'", "which frames")


def test_event_bbox__says_what_is_wrong_and_where(tmp_path):
    good = (10, 1, 2, 3, 4, 0, 5, 1)

    def read(*rows: tuple, **more: object) -> Annotations:
        path = npy(tmp_path / "b.npy", *rows)
        return read_annotations(path, clock=CLOCK, picture=PICTURE, labels=["car"], **more)

    for bad, word in (
        ((20, 1, 2, 3, 4, 1, 5, 1), "class 1"),
        ((20, 1, 2, 0, 4, 0, 5, 1), "box"),
        ((20, np.nan, 2, 3, 4, 0, 5, 1), "not a number of pixels"),
        ((1000, 1, 2, 3, 4, 0, 5, 1), "in no frame"),
    ):
        fails(lambda bad=bad: read(good, bad), "b.npy", "record 1", word)
    fails(lambda: read(good, good), "record 0", "not the last box of track 5")
    dropped = read(good, good, (1000, *good[1:]), invalid="drop")
    assert dropped.repairs == {"dropped_shapes": 2}
    whole = (tmp_path / "b.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(whole[:-9])
    fails(
        lambda: read_annotations(tmp_path / "b.npy", clock=CLOCK, picture=PICTURE, labels=["car"]),
        "complete",
    )


def test_invalid__drops_and_counts(tmp_path):
    path = coco(tmp_path / "i.json", BOX, {"bbox": [1, 2, 0, 4]})
    read = read_annotations(path, invalid="drop")
    assert (len(read.tracks), read.repairs["dropped_shapes"]) == (1, 1)
    path = tmp_path / "gt.txt"
    path.write_text("1,1,0,0,0,5,1,1,1\n2,1,0,0,5,5,1,1,1\n")
    read = read_annotations(path, labels=["a"], invalid="drop")
    assert (len(seen(read)), read.repairs["dropped_shapes"]) == (1, 1)


# Which form


def test_form__is_told_by_content_and_not_by_name(tmp_path):
    coco(tmp_path / "a.xml", BOX)
    assert form_of(tmp_path / "a.xml") == "coco"
    npy(tmp_path / "b.json", (10, 1, 2, 3, 4, 0, 5, 1))
    assert form_of(tmp_path / "b.json") == "event-bbox"
    (tmp_path / "c.npy").write_text("\ufeff<annotations/>", encoding="utf-8")
    assert form_of(tmp_path / "c.npy") == "cvat"
    (tmp_path / "d").write_text("1,1,0,0,5,5,1,1,1\n")
    assert form_of(tmp_path / "d") == "mot"
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as file:
        file.writestr("annotations.xml", "<annotations/>")
    assert form_of(tmp_path / "e.zip") == "cvat"
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as file:
        file.write(tmp_path / "a.xml", "annotations/instances_default.json")
        file.writestr("images/a.png", b"")
    assert form_of(tmp_path / "f.zip") == "coco"
    assert len(read_annotations(tmp_path / "f.zip").tracks) == 1


def test_folder__of_too_many_files_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("evreel.annotations.forms.packed.MOST_FILES", 3)
    for k in range(9):
        (tmp_path / f"{k}.txt").touch()
    looked_at = []
    there = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: looked_at.append(path) or there(path))
    fails(lambda: read_annotations(tmp_path), "more than 3 files")
    assert len(looked_at) == 4


def test_folder__with_one_xml_is_read_as_its_zip_is(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    write_video_xml(folder / "a.xml", BOXES, name="a", n_frames=10, picture_shape=SHAPE)
    assert read_annotations(folder).labels == BOXES.labels
    (folder / "b.XML").write_text("<annotations/>")
    fails(lambda: read_annotations(folder), "export", "a.xml, b.XML")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 99, b"PK\x03\x04broken", b"[]"])
def test_form__of_anything_else_is_an_error(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    fails(lambda: read_annotations(tmp_path / "x"), "x")
    fails(lambda: read_annotations(tmp_path / "y"), "cannot be read")
    (tmp_path / "empty").mkdir()
    fails(lambda: read_annotations(tmp_path / "empty"), "no annotation")


def test_what_a_file_does_not_state__is_asked_for(tmp_path):
    path = npy(tmp_path / "b.npy", (10, 1, 2, 3, 4, 0, 5, 1))
    with pytest.raises(UsageError, match="clock"):
        read_annotations(path, picture=PICTURE, labels=["car"])
    with pytest.raises(UsageError, match="labels"):
        read_annotations(path, picture=PICTURE, clock=CLOCK)
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "data.yaml").write_text("names: [car]")
    with pytest.raises(UsageError, match="size of the pictures"):
        read_annotations(tmp_path / "y")
    with pytest.raises(AnnotationError, match="no tags"):
        read_annotations(path, tags_only=True)


def test_zip__that_unpacks_to_too_much_or_is_damaged_is_refused(tmp_path, monkeypatch):
    write_mot(tmp_path / "a", BOXES, name="a", n_frames=10, picture_shape=SHAPE)
    path = zipped(tmp_path / "a")
    monkeypatch.setattr("evreel.annotations.forms.packed.MOST_BYTES", 100)
    fails(lambda: read_annotations(path), "a.zip", "more than any annotation")
    monkeypatch.undo()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(lambda: read_annotations(path), "a.zip", "zip")
    spoiled = bytearray(whole)
    spoiled[60] ^= 0xFF
    path.write_bytes(spoiled)
    with pytest.raises(EvreelError):
        read_annotations(path)


def test_masks__come_back_from_any_runs():
    rng = np.random.default_rng(3)
    for _ in range(50):
        pixels = rng.random(SHAPE) < rng.random()
        mask = mask_of_bitmap(pixels, 0, 0)
        again = mask_of_runs(picture_runs(mask, SHAPE), SHAPE)
        assert again.points.tolist() == mask.points.tolist()
        assert again.runs == mask.runs
    assert mask_of_runs([48 * 64], SHAPE) is None
    assert runs_of_text("") == []


def test_masks__are_those_of_pycocotools():
    """Compressed and not; and what its polygons and ours have in common: whole pixels."""
    theirs = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    rng = np.random.default_rng(5)
    for _ in range(30):
        pixels = rng.random(SHAPE) < rng.random() ** 3
        pixels[3, 4] = True
        told = theirs.encode(np.asfortranarray(pixels.astype(np.uint8)))
        runs = runs_of_text(told["counts"].decode())
        assert runs == picture_runs(mask_of_bitmap(pixels, 0, 0), SHAPE)
    left, top = rng.integers(0, 20, 2).tolist()
    square = [left, top, left + 9, top, left + 9, top + 7, left, top + 7]
    (told,) = theirs.frPyObjects([square], *SHAPE)
    ours = filled([np.array(square, dtype=float).reshape(-1, 2)], SHAPE)
    assert picture_runs(ours, SHAPE) == runs_of_text(told["counts"].decode())


def test_frames__of_a_clock_with_gaps(tmp_path):
    clock = FrameClock([0, 20], [10, 30])
    path = npy(tmp_path / "b.npy", (15, 1, 2, 3, 4, 0, 5, 1))
    fails(
        lambda: read_annotations(path, clock=clock, picture=PICTURE, labels=["car"]),
        "t=15 µs is in no frame",
    )
