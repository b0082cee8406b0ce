"""Layouts of annotated pictures, COCO, MOT and YOLO; the pictures go along where there are any."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evreel.annotations.forms.coco import Pictures, write_coco
from evreel.annotations.forms.mot import write_mot
from evreel.annotations.forms.yolo import write_yolo, write_yolo_config
from evreel.errors import AnnotationError, foreign
from evreel.exports.exported import Exported, labels_of
from evreel.samples.splits import SPLITS


def write_coco_folder(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write ``annotations/instances_<split>.json``; return what they cannot hold."""
    lost: Counter[str] = Counter()
    labels_of(items)
    (folder / "annotations").mkdir()
    for split in _splits(items):
        parts = []
        for item in items:
            if item.split == split:
                names = item.picture_names(_below(item, items))
                annotations, _ = item.labelled()
                parts.append(Pictures(annotations, item.picture.shape, names))
                copy_pictures(item, folder / "images" / split, names)
        lost.update(write_coco(folder / "annotations" / f"instances_{split}.json", parts))
    return dict(lost)


def write_mot_folder(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write ``<split>/<recording>/gt/gt.txt``; return what they cannot hold."""
    lost: Counter[str] = Counter()
    for item in items:
        annotations, clock = item.labelled()
        sequence = folder / item.split / item.id
        lost.update(
            write_mot(
                sequence,
                annotations,
                name=item.id,
                n_frames=len(clock),
                picture_shape=item.picture.shape,
                clock=clock,
            )
        )
        numbered = {k: f"{k + 1:06d}.png" for k in range(len(clock))}
        copy_pictures(item, sequence / "img1", numbered)
    return dict(lost)


def write_yolo_folder(
    items: Sequence[Exported], folder: Path, *, outlines: bool = False
) -> dict[str, int]:
    """Write ``labels/<split>`` and ``data.yaml``; return what they cannot hold."""
    lost: Counter[str] = Counter()
    labels = labels_of(items)
    for item in items:
        annotations, _ = item.labelled()
        names = item.picture_names(_below(item, items))
        lost.update(
            write_yolo(
                folder,
                annotations,
                picture_shape=item.picture.shape,
                names=names,
                subset=item.split,
                outlines=outlines,
            )
        )
        copy_pictures(item, folder / "images" / item.split, names)
    write_yolo_config(folder, labels)
    return dict(lost)


def copy_pictures(item: Exported, folder: Path, names: Mapping[int, str]) -> int:
    """Unpack a recording's PNG frames under names; return how many, 0 if it has none.

    Raises
    ------
    AnnotationError
        If the zip lacks a picture of the clock.
    """
    if item.pictures is None:
        return 0
    own = item.picture_names()

    def damaged(why: str) -> AnnotationError:
        return AnnotationError(
            f"is not a zip of this recording's PNG frames: {why}",
            path=item.pictures,
            hint="Give the one that `evreel video` made with this clock.",
        )

    with foreign(damaged), zipfile.ZipFile(item.pictures) as file:
        for frame, name in names.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.read(own[frame]))
    return len(names)


def _below(item: Exported, items: Sequence[Exported]) -> str:
    """Return the folder that keeps a recording's pictures apart; empty if there is one alone."""
    return item.id if len(items) > 1 else ""


def _splits(items: Iterable[Exported]) -> list[str]:
    there = {item.split for item in items}
    return [split for split in SPLITS if split in there]
