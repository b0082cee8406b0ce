"""Any form of annotation as that of a recording: the step, the checks before it, its messages."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from evreel import steps
from evreel.annotations import (
    Annotations,
    write_coco,
    write_event_bbox,
    write_images_xml,
    write_mot,
    write_yolo,
    write_yolo_config,
)
from evreel.annotations.forms.coco import Pictures
from evreel.annotations.open import form_of
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Track
from evreel.cli import main
from evreel.errors import AnnotationError
from evreel.files.boxes import read_boxes
from evreel.files.slices import SlicesFile
from evreel.steps.annotate import read_annotations
from evreel.timebase import FrameClock
from evreel.video.picture import Picture, picture_name
from support import random_events
from support.annotations import box
from support.stores import store_of

N = 10
SHAPE = (48, 64)
CLOCK = FrameClock.regular(N * 10_000, 10_000)
NAMES = {k: picture_name(k, k * 10_000, N) + ".png" for k in range(N)}
GIVEN = Annotations(
    ("car", "bus"),
    (
        Track(1, "bus", tuple(box(k, left=k, right=k + 20.5) for k in range(2, 7))),
        Track(2, "car", tuple(box(k, left=30, right=60) for k in range(N))),
    ),
    frames=range(N),
    picture_shape=SHAPE,
)
FORMS = ("cvat", "coco", "mot", "yolo", "event-bbox")


def write(form: str, folder: Path) -> Path:
    """Write the annotation in a form, as one file or a folder."""
    path = folder / form
    if form == "cvat":
        names = list(NAMES.values())
        more = {"name": "rec", "n_frames": N, "picture_shape": SHAPE, "frame_names": names}
        write_images_xml(path, GIVEN, **more)
    elif form == "coco":
        write_coco(path, [Pictures(GIVEN, SHAPE, NAMES)])
    elif form == "mot":
        write_mot(path, GIVEN, name="rec", n_frames=N, picture_shape=SHAPE)
    elif form == "yolo":
        write_yolo(path, GIVEN, picture_shape=SHAPE, names=NAMES)
        write_yolo_config(path, GIVEN.labels)
    else:
        write_event_bbox(path, GIVEN, CLOCK, Picture(SHAPE))
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    events = random_events(3_000, SHAPE, stop_us=N * 10_000, seed=1)
    store_of(folder / "rec.h5", events)
    steps.clock(folder / "rec.h5", folder / "rec.clock.tsv", steps.ClockSettings())
    return folder


def annotate(recording: Path, rois: Path, **more: object) -> tuple[list, list, list]:
    """Return the label of each event, the boxes without tracks, and the labelled times."""
    slices = rois.parent / f"{rois.name}_slices.h5"
    boxes = slices.with_suffix(".npy")
    steps.annotate(
        *(recording / "rec.h5", recording / "rec.clock.tsv", slices, boxes),
        steps.RegularWindows(window_us=50_000),
        rois=rois,
        labels=GIVEN.labels,
        **more,
    )
    with SlicesFile(slices) as file:
        _, roi = file.read()
        labels = np.append(file.rois.label, -1)[roi].tolist()
        labelled = [column.tolist() for column in file.labelled]
    found = read_boxes(boxes)
    rows = sorted(
        zip(*(np.round(found[n], 3).tolist() for n in ("t", "class_id", "x", "w")), strict=True)
    )
    return labels, rows, labelled


def test_annotate__labels_the_same_events_whatever_the_form(recording, tmp_path):
    found = {form: annotate(recording, write(form, tmp_path)) for form in FORMS}
    labels, rows, labelled = found["cvat"]
    assert {0, 1, -1} == set(labels)
    assert len(rows) == 15
    for form in FORMS:
        assert found[form] == (labels, rows, labelled), form


def inputs(path: Path) -> dict[str, str]:
    with h5py.File(path) as file:
        return json.loads(file.attrs["inputs"])


def test_annotate__names_the_digest_of_a_folder(recording, tmp_path):
    path = write("yolo", tmp_path)
    annotate(recording, path)
    before = inputs(tmp_path / "yolo_slices.h5")
    text = path / "labels" / "train" / NAMES[0].replace(".png", ".txt")
    text.write_text(text.read_text() + "\n")
    annotate(recording, path)
    after = inputs(tmp_path / "yolo_slices.h5")
    assert [role for role in before if before[role] != after[role]] == ["rois"]


@pytest.mark.parametrize("form", FORMS)
def test_annotate__refuses_labels_that_are_not_listed(recording, tmp_path, form, capsys):
    rois = write(form, tmp_path)
    options = ["--clock", recording / "rec.clock.tsv", "--rois", rois, "--labels", "car"]
    options += ["--window-us", 50_000, "-o", tmp_path / "s.h5"]
    assert main(["annotate", *map(str, [recording / "rec.h5", *options])]) == 1
    told = capsys.readouterr().err
    assert "AnnotationError" in told
    assert "bus" in told or "class 1" in told
    assert not (tmp_path / "s.h5").exists()


def test_annotate__of_a_sequence_of_another_length_is_refused(recording, tmp_path):
    longer = write("mot", tmp_path)
    info = longer / "seqinfo.ini"
    info.write_text(info.read_text().replace("seqLength=10", "seqLength=20"))
    with pytest.raises(AnnotationError, match=r"frames 0 to 19, the video 0 to 9"):
        annotate(recording, longer)


@pytest.mark.parametrize(
    ("between", "frames"), [("leave", [0, 4, 8]), ("interpolate", list(range(9)))]
)
def test_stepped_task__of_coco_is_filled_where_that_is_asked_for(tmp_path, between, frames):
    seen = range(0, N, 4)
    names = {k: f"frame_{k:06d}.PNG" for k in seen}
    boxes = tuple(box(k, left=k, right=k + 9) for k in seen)
    given = replace(GIVEN, tracks=(Track(1, "car", boxes),), frames=seen)
    write_coco(tmp_path / "i.json", [Pictures(given, SHAPE, names)])
    settings = steps.AnnotateSettings(between=between)
    joined = read_annotations(tmp_path / "i.json", None, CLOCK, settings)
    found = Regions(joined.annotations, CLOCK, Picture(SHAPE)).boxes()
    assert ((found["t"] - 1) // 10_000).tolist() == frames
    assert found["x"].tolist() == frames
    assert list(joined.annotations.frames) == frames


@pytest.mark.parametrize("name", ["a.xml", "a.zip", "a"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty\. Export or download it again\.$"),
        (b"\xef\xbb\xbf \r\n\n", r"is empty\. Export or download it again\.$"),
        (b"\n<!DOCTYPE html>\n<script>if (a<b&&c) {}</script>", "is a web page, .* log in, and"),
        (b"<html lang=en><title>Sign in</title><br>", "is a web page, not an annotation"),
        (gzip.compress(b"<annotations/>", mtime=0), r"is packed by gzip\. Unpack it, or pack it"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "is packed by 7-Zip"),
        (b"Rar!\x1a\x07\x01\0", "is packed by RAR"),
    ],
)
def test_file__that_is_no_annotation_is_told_by_its_content(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnnotationError, match=f"^{name}: {message}"):
        form_of(tmp_path / name)
