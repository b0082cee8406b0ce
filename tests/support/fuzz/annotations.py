"""Annotations in COCO, MOT, YOLO and EventBbox, as files and in zips.

- Reading ends by itself, in one of evreel's errors, of one line, or in annotations whose shapes
  have an area and finite coordinates.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evreel.annotations import (
    read_annotations,
    write_coco,
    write_event_bbox,
    write_mot,
    write_yolo,
    write_yolo_config,
)
from evreel.annotations.forms.coco import Pictures
from evreel.annotations.forms.rle import mask_of_bitmap
from evreel.annotations.shapes import Track
from evreel.errors import EvreelError
from evreel.video.picture import Picture, picture_name
from support.annotations import CLOCK, annotated, box, polygon
from support.fuzz.damage import damaged
from support.fuzz.target import hold

SHAPE = (48, 64)
WORDS = (b"NaN", b"1e999", b"-1", b"null", b"true", b"{}", b"[]", b"9" * 30, b"\xff", b",", b"\n")


@dataclass(frozen=True)
class File:
    """A file, damaged anywhere; of a zip, one of its files as often."""

    name: str
    content: bytes

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        if not self.content.startswith(b"PK") or rng.integers(3) == 0:
            return _changed(rng, self.content)
        made = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(self.content)) as old, zipfile.ZipFile(made, "w") as new:
            names = old.namelist()
            chosen = names[int(rng.integers(len(names)))]
            for name in names:
                content = old.read(name)
                new.writestr(name, _changed(rng, content) if name == chosen else content)
        return made.getvalue()

    def outcome(self, content: bytes, folder: Path) -> str:
        path = folder / "annotation"
        path.write_bytes(content)
        how = {"invalid": "drop", "fill": True} if len(content) % 2 else {}
        try:
            found = read_annotations(
                path, clock=CLOCK, picture=Picture(SHAPE), labels=("a", "b"), **how
            )
        except EvreelError as error:
            hold("\n" not in str(error), "a message has several lines")
            return "refused"
        for track in found.tracks:
            for shape in track.shapes:
                hold(bool(np.isfinite(shape.points).all()), "a coordinate is not finite")
                hold(shape.frame >= 0, "a frame is negative")
                hold(type(shape).fault(shape.points) is None, "a shape is not valid")
        return "read"


def _changed(rng: np.random.Generator, content: bytes) -> bytes:
    if rng.integers(2):
        return damaged(rng, content)
    at, more = (int(n) for n in rng.integers(0, [len(content) + 1, 6]))
    return content[:at] + WORDS[int(rng.integers(len(WORDS)))] + content[at + more :]


def targets() -> list[File]:
    boxes = annotated(*(Track(k, "car", tuple(map(box, range(k, 9)))) for k in range(3)))
    mask = replace(mask_of_bitmap(np.eye(9, dtype=bool), 3, 4), frame=3)
    more = (mask, polygon(4, (1, 1), (9, 1), (5, 9)))
    shapes = replace(
        boxes, tracks=(*boxes.tracks, *(Track(9 + k, "bus", (s,)) for k, s in enumerate(more)))
    )
    names = {k: f"{picture_name(k, 10 * k, 10)}.png" for k in range(10)}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_coco(folder / "coco", [Pictures(shapes, SHAPE, names)])
        write_mot(folder / "mot", boxes, name="a", n_frames=10, picture_shape=SHAPE)
        write_yolo(folder / "yolo", boxes, picture_shape=SHAPE, names=names)
        write_yolo_config(folder / "yolo", boxes.labels)
        write_event_bbox(folder / "bbox", boxes, CLOCK, Picture(SHAPE))
        files = [File(name, (folder / name).read_bytes()) for name in ("coco", "bbox")]
        files.append(File("gt", (folder / "mot" / "gt" / "gt.txt").read_bytes()))
        for name in ("mot", "yolo"):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
                for path in sorted(p for p in (folder / name).rglob("*") if p.is_file()):
                    file.write(path, path.relative_to(folder / name))
            files.append(File(name, packed.getvalue()))
    return files
