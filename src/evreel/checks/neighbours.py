"""What files say of the recording that they belong to, and which of them belong together."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from evreel.errors import EvreelError, LayoutError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.layout import BOXES_SUFFIX, EVENTS, FEATURES, LAYOUTS, LEFT_OUT, SAMPLES, SLICES

BOXES = "boxes"
RECORDING = "recording"
DAMAGED = "damaged"
"""What should be an HDF5 file of some layout, or boxes, and can't be opened."""

_SOURCES = {EVENTS.name, RECORDING}
"""Kinds of files with all events of a recording."""

_HDF5 = b"\x89HDF\r\n\x1a\n"

DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError, OverflowError)
"""What libraries raise on damaged bytes."""


@dataclass(frozen=True)
class File:
    """A file to check.

    Parameters
    ----------
    place, path
        Where it is, and how findings name it.
    kind
        Name of its layout, `BOXES`, `RECORDING` or `DAMAGED`.
    id
        The recording it belongs to, or another of the same name.
    """

    place: Path
    path: str
    kind: str
    id: str

    @property
    def folder(self) -> str:
        """Where it lies, as findings name it."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Head:
    """What a file says of its recording; None or 0 where it says nothing.

    Parameters
    ----------
    n, left_out
        Events that it has, of all of the recording's, and those that it says were left out.
    n_labels
        How many labels have a name.
    store
        Digest of the store that it was made from.
    """

    file: File
    sensor: Sensor | None = None
    t_offset: int | None = None
    t_stop_us: int | None = None
    n: int | None = None
    n_labels: int | None = None
    store: str | None = None
    left_out: int = 0


def id_of(name: str) -> str:
    """Return the recording that a file's name names.

    Examples
    --------
    >>> id_of("street_bbox.npy"), id_of("street.h5"), id_of("17-04_td.dat")
    ('street', 'street', '17-04')
    """
    stem = name.removesuffix(BOXES_SUFFIX) if name.endswith(BOXES_SUFFIX) else Path(name).stem
    return stem.removesuffix("_td").removesuffix("_cd")


def kind_of(place: Path) -> str | None:
    """Return the kind of a file that evreel makes, by its content; None for any other."""
    named = place.suffix == ".h5" or place.name.endswith(BOXES_SUFFIX)
    try:
        if not stat.S_ISREG(place.stat().st_mode):  # to open a pipe would wait for its other end
            return None
        if place.name.endswith(BOXES_SUFFIX):
            return BOXES
        with place.open("rb") as file:
            magic = file.read(len(_HDF5))
    except OSError:
        return DAMAGED if named else None
    if magic != _HDF5:
        return DAMAGED if named else None
    try:
        with h5py.File(place, "r", locking=False) as file:
            name = file.attrs.get("layout")
    except DAMAGE:
        return DAMAGED
    return name if isinstance(name, str) and name in LAYOUTS else None


def read_head(file: File) -> Head:
    """Return what a file says of its recording, as far as it can be read."""
    if file.kind not in LAYOUTS:
        return Head(file)
    try:
        with h5py.File(file.place, "r", locking=False) as h5:
            hdf5.check_layout(h5, file.place, LAYOUTS[file.kind])
            store = provenance(h5, "inputs").get("store")
            if file.kind == SAMPLES.name:
                return Head(file, t_stop_us=int(h5.attrs["t_stop_us"]), store=store)
            t_offset = int(h5["t_offset"][()])
            if file.kind == FEATURES.name:
                data = h5["data"].attrs
                size = int(data["event_input_height"]), int(data["event_input_width"])
                return Head(file, Sensor.checked(*size), t_offset, store=store)
            sensor, t_stop_us = sensor_of(h5), int(h5.attrs["t_stop_us"])
            if file.kind == SLICES.name:
                names = h5["labels/name"]
                n_labels = len(names) if is_whole(names) else None
                return Head(file, sensor, t_offset, t_stop_us, n_labels=n_labels, store=store)
            repairs = provenance(h5, "repairs")
            return Head(
                file,
                sensor,
                t_offset,
                t_stop_us,
                len(h5["events/t"]),
                store=store,
                left_out=sum(repairs.get(name, 0) for name in LEFT_OUT),
            )
    except (EvreelError, *DAMAGE):
        return Head(file)


def sensor_of(h5: h5py.File) -> Sensor:
    """Return the sensor of a file with events."""
    return Sensor.checked(int(h5["events/height"][()]), int(h5["events/width"][()]))


def provenance(h5: h5py.File, name: str) -> dict[str, Any]:
    """Return the attribute `inputs`, name → digest, or `repairs`, name → count.

    Raises
    ------
    LayoutError
        Where it is missing, or not of that form.
    """
    try:
        value = json.loads(h5.attrs[name])
    except (KeyError, TypeError, ValueError, RecursionError):
        value = None
    counts = name == "repairs"
    if not isinstance(value, dict) or not all(
        type(cell) is int and cell >= 0 if counts else isinstance(cell, str)
        for cell in value.values()
    ):
        raise LayoutError(
            f"attribute {name} is not JSON of names and {'counts' if counts else 'digests'}",
            hint=hdf5.REBUILD,
        )
    return value


def is_whole(dataset: h5py.Dataset) -> bool:
    """Tell whether all of a data set is stored: what is not, HDF5 reads as zeros."""
    if not dataset.size:
        return True
    if dataset.is_virtual or dataset.external:
        return False
    if dataset.chunks is None:
        return bool(dataset.id.get_storage_size())
    expected = math.prod(
        -(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)
    )
    return bool(dataset.id.get_num_chunks() == expected)


def of_one_recording(heads: Sequence[Head]) -> list[list[Head]]:
    """Part what is said of recordings of one name into what is said of one recording.

    Recordings of two days may have one name. Going up from the deepest folder, files join what
    is nearest to them and has the events; where that has a file of their kind already, or two
    recordings are equally near, they stay by themselves, and nothing is known of them.

    Examples
    --------
    >>> paths = ["one/events/r.h5", "one/boxes/r_bbox.npy", "two/events/r.h5", "r_bbox.npy"]
    >>> kinds = [EVENTS.name, BOXES, EVENTS.name, BOXES]
    >>> heads = [Head(File(Path(p), p, k, "r")) for p, k in zip(paths, kinds)]
    >>> [[head.file.path for head in group] for group in of_one_recording(heads)]
    [['r_bbox.npy'], ['one/events/r.h5', 'one/boxes/r_bbox.npy'], ['two/events/r.h5']]
    """
    levels: dict[int, dict[str, list[list[Head]]]] = {}
    for head in heads:
        folder = head.file.folder
        levels.setdefault(_depth(folder), {}).setdefault(folder, []).append([head])
    for depth in range(max(levels, default=0), 0, -1):
        for folder, groups in levels.pop(depth, {}).items():
            above = levels.setdefault(depth - 1, {}).setdefault(folder.rpartition("/")[0], [])
            above += _joined(groups)
    return _joined(levels.get(0, {}).get("", []))


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _joined(groups: list[list[Head]]) -> list[list[Head]]:
    """Return groups of one folder, joined as far as they can only be of one recording."""
    sources = [group for group in groups if _kinds([group]) & _SOURCES]
    others = [group for group in groups if not _kinds([group]) & _SOURCES]
    if not sources:
        return [_flat(groups)] if _differ(groups) else groups
    if not _differ(sources):
        return groups
    known = _kinds(sources)
    alone = [group for group in others if _kinds([group]) & known]
    fitting = [group for group in others if not _kinds([group]) & known]
    return [*alone, _flat(sources + fitting)]


def _flat(groups: Sequence[Sequence[Head]]) -> list[Head]:
    return [head for group in groups for head in group]


def _kinds(groups: Sequence[Sequence[Head]]) -> set[str]:
    return {head.file.kind for head in _flat(groups)}


def _differ(groups: Sequence[Sequence[Head]]) -> bool:
    """Tell whether no kind of file is in two groups."""
    return sum(len(_kinds([group])) for group in groups) == len(_kinds(groups))


class Known:
    """What is known of a file's recording from its other files.

    Those of the same folder are believed first; what the rest contradict each other on is not
    known.

    Parameters
    ----------
    file
        The file.
    heads
        What the files of its recording say.
    labels
        The class numbers that are named where the file lies; None where none are.
    """

    def __init__(
        self, file: File, heads: Sequence[Head], labels: Collection[int] | None = None
    ) -> None:
        others = [head for head in heads if head.file != file]
        near = [head for head in others if head.file.folder == file.folder]
        stores = [head for head in others if head.file.kind == EVENTS.name]
        self.store = stores[0] if len(stores) == 1 else None
        samples = [head.file for head in others if head.file.kind == SAMPLES.name]
        self.samples = samples[0] if len(samples) == 1 else None
        if self.store is not None and file.kind in (FEATURES.name, SAMPLES.name):
            near = [self.store]  # they are made from it, not from the recording beside them
        self.sensor = _only("sensor", near, others)
        self.t_stop_us = _only("t_stop_us", near, others)
        self.n = _only("n", near, others)
        n_labels = _only("n_labels", near, others)
        self.labels = range(n_labels) if labels is None and n_labels is not None else labels
        clocks = {head.t_offset for head in near or others if head.file.kind == RECORDING}
        self.camera_start_us = clocks.pop() if len(clocks) == 1 else None


def _only(name: str, *choices: Sequence[Head]) -> Any:
    for heads in choices:
        values = {getattr(head, name) for head in heads} - {None}
        if values:
            return values.pop() if len(values) == 1 else None
    return None
