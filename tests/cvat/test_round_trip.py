"""Videos become tasks, and what the tasks hold comes back: on a server that is not CVAT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evreel.annotations.carried import carried_on
from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
from evreel.annotations.shapes import (
    Annotations,
    Attribute,
    Cuboid,
    Ellipse,
    FrameTag,
    Points,
    Polyline,
    Skeleton,
    Track,
)
from evreel.cvat.labelled_data import KnownLabel, label_specs, labelled_data
from evreel.errors import AnnotationError
from support import shared_file
from support.annotations import PARK, annotated, box, moving_scene, plain, polygon
from support.cvat_data import LABELS, SHAPE, N
from support.cvat_server import CvatServer, ServedTask, as_annotations

MORE = {"name": "park", "n_frames": N, "picture_shape": SHAPE}


def points(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 2)


def key_frames(annotations: Annotations) -> list[tuple]:
    """Return what people have said of each track."""
    return [
        (
            track.label,
            [
                (
                    *plain(shape),
                    shape.group,
                    *(getattr(shape, name, None) for name in ("rotation", "visible", "hidden")),
                )
                for shape in track.shapes
                if shape.keyframe or shape.outside
            ],
        )
        for track in annotations.tracks
    ]


CUBOID = (10, 10, 10, 20, 20, 10, 20, 20, 12, 12, 12, 22, 22, 12, 22, 22)
BODY = {"joints": ("head", "left hand"), "visible": (True, True), "hidden": (False, True)}
EVERY_KIND = Annotations(
    tuple(LABELS),
    (
        Track(0, "car", (box(0, rotation=350.0), box(6, left=3.0, rotation=10.0, z_order=4))),
        Track(
            1,
            "car",
            (
                Ellipse(2, points(20, 20, 5, 4), rotation=30.0, attributes={"hue": "red"}),
                Ellipse(5, points(22, 20, 5, 4), occluded=True, attributes={"hue": "blue"}),
                Ellipse(7, points(22, 20, 5, 4), outside=True, attributes={"hue": "blue"}),
            ),
        ),
        Track(2, "bush & tree", (polygon(0, (1, 1), (9.25, 1), (4, 7.01)),)),
        Track(3, "Süd", (Polyline(1, points(1, 1, 5, 5, 9, 2), group=3),)),
        Track(4, "Süd", (Points(1, points(1, 1)), Points(4, points(4, 4), outside=True))),
        Track(5, "car", (Cuboid(3, points(*CUBOID)),)),
        Track(
            6,
            "person",
            (
                Skeleton(0, points(5, 5, 9, 9), **BODY, attributes={"head.hat": "yes"}),
                Skeleton(4, points(6, 6, 9, 9), **BODY | {"visible": (True, False)}),
            ),
        ),
    ),
    (FrameTag(0, "Süd"), FrameTag(9, "car", {"why": "first\nand last"})),
    frames=range(N),
    picture_shape=SHAPE,
    attributes={
        "car": (
            Attribute("hue", "select", ("red", "blue"), "red"),
            Attribute("why", "text", mutable=False),
        )
    },
)


def push_and_pull(data, annotations: Annotations) -> tuple[Annotations, Annotations]:
    """Push annotations, pull them; return what is read from both files."""
    write_video_xml(data.folder / "my/park.xml", annotations, **MORE)
    write_images_xml(data.folder / "my/park.tags.xml", replace(annotations, tracks=()), **MORE)
    before = read_cvat(data.folder / "my/park.xml")
    data.table(park={"rois": "my/park.xml", "tags": "my/park.tags.xml"})
    assert data.run("push", "park") == 0
    assert data.run("pull", "park") == 0
    return before, read_cvat(data.folder / "my/park.xml")


@pytest.mark.parametrize("annotations", [PARK, EVERY_KIND], ids=["park", "every kind"])
def test_round_trip__keeps_key_frames_flags_attributes_and_tags(data, annotations):
    annotations = replace(annotations, labels=tuple(LABELS))
    before, after = push_and_pull(data, annotations)
    assert len(before.tracks) == len(annotations.tracks)
    assert key_frames(after) == key_frames(carried_on(before))
    tags = read_cvat(data.folder / "my/park.tags.xml", tags_only=True).tags
    assert [(t.frame, t.label, dict(t.attributes)) for t in tags] == [
        (t.frame, t.label, dict(t.attributes)) for t in annotations.tags
    ]
    kinds = {spec.name: spec for spec in annotations.attributes.get("car", ())}
    assert {spec.name: spec for spec in after.attributes["car"] if spec.name in kinds} == kinds


def sent_and_exported(annotations: Annotations, n_frames: int) -> Annotations:
    """Return what the server exports of annotations that are sent to it, without a task."""
    with CvatServer() as server:
        labels = server.whole(label_specs(annotations))
    data = labelled_data(annotations, {label["name"]: known(label) for label in labels}, n_frames)
    now = server.now()
    return as_annotations(
        ServedTask(1, "park", now, now, labels, size=n_frames, shape=SHAPE, annotations=data)
    )


def known(label: dict) -> KnownLabel:
    return KnownLabel(
        label["id"],
        {each["name"]: (each["id"], each["mutable"]) for each in label["attributes"]},
        {point["name"]: known(point) for point in label.get("sublabels", [])},
    )


@pytest.mark.parametrize(
    ("name", "n_frames"),
    [
        ("datumaro_video_small.xml", 20),
        ("datumaro_video_start10_step3_skeleton_points_polyline.xml", 20),
        ("volleyball_video_JOB_boxes_outside.xml", 910),
    ],
)
def test_round_trip__of_a_real_export_keeps_its_key_frames(name, n_frames):
    found = carried_on(read_cvat(shared_file(f"annotations/{name}")))
    assert key_frames(sent_and_exported(found, n_frames)) == key_frames(found)


def test_round_trip__of_random_tracks_keeps_their_key_frames():
    for seed in range(5):
        found = moving_scene(seed)
        assert key_frames(sent_and_exported(found, N)) == key_frames(found)


def test_round_trip__keeps_a_track_that_begins_outside():
    track = Track(0, "car", (box(0, outside=True), box(4), box(7, outside=True)))
    found = annotated(track)
    assert key_frames(sent_and_exported(found, N)) == key_frames(found)


def test_round_trip__keeps_single_shapes_single():
    found = annotated(Track(-1, "car", (box(3, occluded=True, group=2),)))
    assert key_frames(sent_and_exported(found, N)) == key_frames(found)


def test_labels__of_skeletons_and_boxes_at_once_are_refused():
    skeleton = Skeleton(0, points(5, 5, 9, 9), **BODY)
    found = annotated(Track(0, "car", (skeleton,)), Track(1, "car", (box(0),)))
    with pytest.raises(AnnotationError, match="'car' is of skeletons and of other shapes"):
        label_specs(found)


def test_data__that_the_task_has_no_label_for_are_refused():
    found = annotated(Track(0, "car", (box(0, attributes={"hue": "red"}),)))
    with pytest.raises(AnnotationError, match="label 'car', which the task does not have"):
        labelled_data(found, {}, N)
    with pytest.raises(AnnotationError, match="attribute 'hue' of label 'car'"):
        labelled_data(found, {"car": KnownLabel(1, {}, {})}, N)
