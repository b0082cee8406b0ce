"""The layouts of other tools, by name: folders with annotations, and files of events.

What writes them is imported when it is needed: the command line lists the names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from evreel.exports.exported import Exported

Writer = Callable[..., Mapping[str, int]]


class Layout(NamedTuple):
    """What writes recordings into a new folder.

    Parameters
    ----------
    module, function : what writes it, in `evreel.exports`.
    of_slices : it writes slices, not annotations.
    of_boxes : it writes boxes and events, wherever they are from; it has settings of its own, and
        takes recordings one after the other.
    takes : what else it takes along: ``pictures``, ``store``, ``boxes``.
    """

    module: str
    function: str
    of_slices: bool = False
    of_boxes: bool = False
    takes: tuple[str, ...] = ()

    @property
    def write(self) -> Writer:
        """The function that takes recordings and the folder; it returns what it cannot hold."""
        return _writer(self.module, self.function)


class EventLayout(NamedTuple):
    """What writes the events of one recording into a file, as `evreel.exports.one_file` says.

    Parameters
    ----------
    module, function : what writes it, in `evreel.exports`.
    noted : whether the file says what it was made from.
    """

    module: str
    function: str
    noted: bool = False

    @property
    def write(self) -> Writer:
        """The function that takes a recording and the file; it returns what it cannot hold."""
        return _writer(self.module, self.function)


def _writer(module: str, function: str) -> Writer:
    return cast(Writer, getattr(importlib.import_module(f"evreel.exports.{module}"), function))


LAYOUTS: dict[str, Layout] = {
    "aermanager": Layout("aermanager", "write_folders", of_slices=True),
    "cvat": Layout("cvat", "write_cvat"),
    "coco": Layout("of_pictures", "write_coco_folder", takes=("pictures",)),
    "mot": Layout("of_pictures", "write_mot_folder", takes=("pictures",)),
    "yolo": Layout("of_pictures", "write_yolo_folder", takes=("pictures",)),
    "dsec-det": Layout("dsec_det", "write_dsec_det", takes=("pictures", "store")),
    "prophesee": Layout("prophesee", "write_prophesee"),
    "rvt": Layout("rvt", "write_rvt", of_boxes=True, takes=("store", "boxes")),
}

EVENT_LAYOUTS: dict[str, EventLayout] = {
    "dsec": EventLayout("dsec", "write_dsec", noted=True),
    "metavision": EventLayout("metavision", "write_metavision", noted=True),
    "aedat4": EventLayout("aedat4", "write_aedat4"),
    "csv": EventLayout("csv", "write_csv"),
    "npz": EventLayout("npz", "write_npz", noted=True),
}


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
