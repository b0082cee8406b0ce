"""The layouts of other tools, by name: folders with annotations, and files of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from evreel.exports.aermanager import write_folders
from evreel.exports.cvat import write_cvat
from evreel.exports.dsec_det import write_dsec_det
from evreel.exports.exported import Exported
from evreel.exports.metavision import write_metavision
from evreel.exports.of_pictures import write_coco_folder, write_mot_folder, write_yolo_folder
from evreel.exports.prophesee import write_prophesee
from evreel.exports.rvt import write_rvt


class Layout(NamedTuple):
    """What writes recordings into a new folder.

    Parameters
    ----------
    write : takes recordings and the folder; returns what it cannot hold.
    of_slices : it writes slices, not annotations.
    of_boxes : it writes boxes and events, wherever they are from; it has settings of its own, and
        takes recordings one after the other.
    takes : what else it takes along: ``pictures``, ``store``, ``boxes``.
    """

    write: Callable[..., Mapping[str, int]]
    of_slices: bool = False
    of_boxes: bool = False
    takes: tuple[str, ...] = ()


LAYOUTS: dict[str, Layout] = {
    "aermanager": Layout(write_folders, of_slices=True),
    "cvat": Layout(write_cvat),
    "coco": Layout(write_coco_folder, takes=("pictures",)),
    "mot": Layout(write_mot_folder, takes=("pictures",)),
    "yolo": Layout(write_yolo_folder, takes=("pictures",)),
    "dsec-det": Layout(write_dsec_det, takes=("pictures", "store")),
    "prophesee": Layout(write_prophesee),
    "rvt": Layout(write_rvt, of_boxes=True, takes=("store", "boxes")),
}


EVENT_LAYOUTS: dict[str, Callable[..., Mapping[str, int]]] = {"metavision": write_metavision}
"""Layouts of one file with the events of one recording: what writes it takes an open recording, the
file, ``crew`` and ``progress``, and returns what it cannot hold."""


def usable(items: Sequence[Exported], layout: str) -> list[Exported]:
    """Return the recordings that a layout can be written of."""
    if LAYOUTS[layout].of_slices:
        return [item for item in items if item.slices is not None]

    def is_annotated(item: Exported) -> bool:
        return item.annotations is not None and item.clock is not None

    if LAYOUTS[layout].of_boxes:
        boxed = [item for item in items if item.boxes is not None or is_annotated(item)]
        return [item for item in boxed if item.store is not None]
    return [item for item in items if is_annotated(item)]
