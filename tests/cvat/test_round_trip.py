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
from support.annotations import PARK, box, plain, polygon
from support.cvat_data import LABELS, SHAPE, N

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
