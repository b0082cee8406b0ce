"""The files of a folder, what each says of its recording, and which belong to one recording."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from evreel.checks.columns import RawColumns, is_whole, provenance, sensor_of
from evreel.checks.finding import DAMAGE, Finding
from evreel.checks.registry import unreadable
from evreel.checks.tally import Read
from evreel.errors import EvreelError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.boxes import first_path, label_map, read_origin
from evreel.files.inspection import MAGIC
from evreel.layout import (
    BOXES_SUFFIX,
    EVENTS,
    FEATURES,
    LABEL_MAP,
    LAYOUTS,
    LEFT_OUT,
    SAMPLES,
    SLICES,
)
from evreel.outputs import SCRATCH, Progress
from evreel.provenance import digests_in
from evreel.release.manifest import is_release

BOXES = "boxes"
BOXES_OF_WINDOWS = "boxes of windows"
RECORDING = "recording"
DAMAGED = "damaged"
"""A file that should be HDF5 of some layout, or boxes, but cannot be opened."""

_SOURCES = {EVENTS.name, RECORDING}
"""Kinds of files with all events of a recording."""


@dataclass(frozen=True)
class Entry:
    """A file: where it is, and how findings name it."""

    location: Path
    path: str

    @property
    def folder(self) -> str:
        """The folder that it is in, as findings name it."""
        return self.path.rpartition("/")[0]

    @property
    def is_file(self) -> bool:
        """Whether it is, or leads to, a regular file."""
        return is_file(self.location)

    @property
    def size(self) -> int:
        """Its size, bytes; 0 if it cannot be determined."""
        try:
            return self.location.stat().st_size
        except OSError:
            return 0


@dataclass(frozen=True)
class File(Entry):
    """A file to check.

    Parameters
    ----------
    location, path
        Where it is, and how findings name it.
    kind
        Name of its layout, `BOXES`, `BOXES_OF_WINDOWS`, `RECORDING` or `DAMAGED`.
    id
        Name of the recording it belongs to; several recordings may have it.
    """

    kind: str
    id: str


@dataclass(frozen=True)
class Head:
    """What a file says of its recording; None or 0 if it says nothing.

    Parameters
    ----------
    n, left_out
        How many events it has, if it has all of the recording, and how many were left out.
    n_labels
        How many labels have a name.
    inputs, beside
        Role → digest of the files that it was made from, and together with.
    """

    file: File
    sensor: Sensor | None = None
    t_offset: int | None = None
    t_stop_us: int | None = None
    n: int | None = None
    n_labels: int | None = None
    left_out: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict, hash=False)
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)


class Folder:
    """A folder and all files below it. Links to folders are counted, not followed.

    Parameters
    ----------
    root, prefix
        The folder, and the prefix of its files' names in findings.
    parts
        Whether releases in it are listed separately.
    kinds
        Path of a file, as findings name it → what `kind_of` returns, where that is known.

    Attributes
    ----------
    files
        Files of the kinds that evreel makes.
    maps
        Label maps.
    others
        All other files.
    releases
        Folders of releases, each with the prefix of its files.
    findings
        Folders that cannot be read.
    """

    def __init__(
        self,
        root: Path,
        prefix: str = "",
        *,
        parts: bool = True,
        kinds: Mapping[str, str | None] | None = None,
    ) -> None:
        self._kinds = kinds or {}
        self.files: list[File] = []
        self.maps: list[Entry] = []
        self.others: list[Entry] = []
        self.releases: list[tuple[Path, str]] = []
        self.findings: list[Finding] = []
        waiting = [(root, prefix)]
        while waiting:
            folder, at = waiting.pop()
            if parts and is_release(folder):
                self.releases.append((folder, at))
                continue
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self.findings.append(unreadable(at or ".", f"cannot be read: {error.strerror}"))
                continue
            for entry in entries:
                path = at + shown(entry.name)
                if not entry.is_dir(follow_symlinks=False):
                    self._take(Path(entry.path), path)
                elif entry.name != SCRATCH:
                    waiting.append((Path(entry.path), path + "/"))
        self.files.sort(key=lambda file: file.path)
        self.others.sort(key=lambda other: other.path)

    def _take(self, location: Path, path: str) -> None:
        kind = self._kinds[path] if path in self._kinds else kind_of(location)
        if kind is not None:
            self.files.append(File(location, path, kind, id_of(location.name)))
        elif location.name == LABEL_MAP and is_file(location):
            self.maps.append(Entry(location, path))
        else:
            self.others.append(Entry(location, path))


class Done:
    """Report progress by the sizes of the files."""

    def __init__(self, files: Iterable[Entry], progress: Progress) -> None:
        self._total = sum(file.size for file in files)
        self._done = 0
        self._progress = progress
        progress(0, self._total)

    def __call__(self, file: Entry) -> None:
        """Report that a file is done."""
        self._done += file.size
        self._progress(self._done, self._total)


class LabelMaps:
    """Label maps; the nearest one beside or above a file names its classes."""

    def __init__(self, maps: Iterable[Entry]) -> None:
        self._named: dict[str, Collection[int]] = {}
        self.findings: list[Finding] = []
        for file in maps:
            try:
                self._named[file.folder] = label_map(file.location.read_bytes()).keys()
            except (*DAMAGE, RecursionError):
                problem = 'is not a label map, such as {"0": "car", "1": "bus"}'
                self.findings.append(unreadable(file.path, problem))

    def of(self, file: File) -> Collection[int] | None:
        """Return the class numbers that are named for a file; None if none are."""
        folder = file.folder
        while folder and folder not in self._named:
            folder = folder.rpartition("/")[0]
        return self._named.get(folder)


class Known:
    """What is known of a file's recording from its other files.

    Files of the same folder take precedence; what the others contradict each other on is not known.

    Parameters
    ----------
    file
        The file.
    heads
        What the files of its recording say.
    labels
        The class numbers that are named for the file; None if none are.
    """

    def __init__(
        self, file: File, heads: Sequence[Head], labels: Collection[int] | None = None
    ) -> None:
        others = [head for head in heads if head.file != file]
        near = [head for head in others if head.file.folder == file.folder]
        stores = [head for head in others if head.file.kind == EVENTS.name]
        self._store = stores[0] if len(stores) == 1 else None
        self.n_store = None if self._store is None else self._store.n
        samples = [head.file for head in others if head.file.kind == SAMPLES.name]
        self.samples = samples[0] if len(samples) == 1 else None
        if self._store is not None and file.kind in (FEATURES.name, SAMPLES.name):
            near = [self._store]  # made from it, not from the recording beside them
        self.sensor = _only("sensor", near, others)
        self.t_stop_us = _only("t_stop_us", near, others)
        self.n = _only("n", near, others)
        n_labels = _only("n_labels", near, others)
        self.labels = range(n_labels) if labels is None and n_labels is not None else labels
        clocks = {head.t_offset for head in near or others if head.file.kind == RECORDING}
        self.camera_start_us = clocks.pop() if len(clocks) == 1 else None
        self._kind = file.kind

    def basis(self, digest: Callable[[File], str | None]) -> str | None:
        """Return what decides how a file with events or made from them fits its recording.

        Parameters
        ----------
        digest
            Function of a file → its digest; None where that is not known.

        Returns
        -------
        Equal texts for equal recordings; None if that cannot be told without a look at files.
        """
        of_store = None if self._store is None else digest(self._store.file)
        if self._kind == FEATURES.name and self.samples is not None:
            return None
        if self._store is not None and of_store is None:
            return None
        end = "" if self._kind == SLICES.name else f", {self.n} until {self.t_stop_us}"
        return f"{self.n_store} events of {of_store}{end}"

    @contextlib.contextmanager
    def rows_of_store(self, *names: str) -> Iterator[Read | None]:
        """Give a function that reads rows of the recording's store; None without a store."""
        if self._store is None or self._store.n is None:
            yield None
            return
        with hdf5.open_hdf5(self._store.file.location) as h5:
            yield partial(RawColumns(h5, self._store.file.path).piece, names)


def _only(name: str, *choices: Sequence[Head]) -> Any:
    for heads in choices:
        values = {getattr(head, name) for head in heads} - {None}
        if values:
            return values.pop() if len(values) == 1 else None
    return None


def shown(name: str) -> str:
    """Return a file's name as one printable line, whatever its bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_file(path: Path) -> bool:
    """Return whether a path leads to a regular file."""
    try:
        return path.is_file()
    except OSError:  # links in a circle
        return False


def id_of(name: str) -> str:
    """Return the recording's name that is in a file's name.

    Examples
    --------
    >>> id_of("street_bbox.npy"), id_of("street.h5"), id_of("17-04_td.dat")
    ('street', 'street', '17-04')
    """
    stem = name.removesuffix(BOXES_SUFFIX) if name.endswith(BOXES_SUFFIX) else Path(name).stem
    return stem.removesuffix("_td").removesuffix("_cd")


def kind_of(path: Path) -> str | None:
    """Return the kind of a file that evreel makes, by its content; None for any other."""
    named = path.suffix == ".h5" or path.name.endswith(BOXES_SUFFIX)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
            return None
        if path.name.endswith(BOXES_SUFFIX):
            return BOXES_OF_WINDOWS if is_file(first_path(path)) else BOXES
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError:
        return DAMAGED if named else None
    if magic != MAGIC:
        return DAMAGED if named else None
    try:
        return hdf5.layout_of(path)
    except (EvreelError, *DAMAGE):
        return DAMAGED


def read_head(file: File) -> Head:
    """Return what a file says of its recording, or nothing if it cannot be read."""
    if file.kind in (BOXES, BOXES_OF_WINDOWS):
        origin = read_origin(file.location)
        return Head(file, inputs=origin["inputs"], beside=origin["beside"])
    if file.kind not in LAYOUTS:
        return Head(file)
    try:
        with hdf5.open_hdf5(file.location) as h5:
            hdf5.check_layout(h5, file.location, LAYOUTS[file.kind])
            made: Any = {
                "inputs": provenance(h5, "inputs"),
                "beside": digests_in(h5.attrs.get("beside")),
            }
            if file.kind == SAMPLES.name:
                return Head(file, t_stop_us=int(h5.attrs["t_stop_us"]), **made)
            t_offset = int(h5["t_offset"][()])
            if file.kind == FEATURES.name:
                data = h5["data"].attrs
                size = int(data["event_input_height"]), int(data["event_input_width"])
                return Head(file, Sensor.checked(*size), t_offset, **made)
            sensor, t_stop_us = sensor_of(h5), int(h5.attrs["t_stop_us"])
            if file.kind == SLICES.name:
                names = h5["labels/name"]
                n_labels = len(names) if is_whole(names) else None
                return Head(file, sensor, t_offset, t_stop_us, n_labels=n_labels, **made)
            repairs = provenance(h5, "repairs")
            left_out = sum(repairs.get(name, 0) for name in LEFT_OUT)
            n = len(h5["events/t"])
            return Head(file, sensor, t_offset, t_stop_us, n, left_out=left_out, **made)
    except (EvreelError, *DAMAGE):
        return Head(file)


def of_one_recording(heads: Sequence[Head]) -> list[list[Head]]:
    """Divide the heads of recordings with the same name into groups of one recording each.

    Recordings of two days may have the same name. From the deepest folder upwards, files join the
    nearest group that has the events. If that has a file of their kind already, or two recordings
    are equally near, they stay on their own, and nothing is known of them.

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
        depth = folder.count("/") + 1 if folder else 0
        levels.setdefault(depth, {}).setdefault(folder, []).append([head])
    for depth in range(max(levels, default=0), 0, -1):
        for folder, groups in levels.pop(depth, {}).items():
            above = levels.setdefault(depth - 1, {}).setdefault(folder.rpartition("/")[0], [])
            above += _joined(groups)
    return _joined(levels.get(0, {}).get("", []))


def _joined(groups: list[list[Head]]) -> list[list[Head]]:
    """Return groups of one folder, joined if they can only be of one recording."""
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
    """Return whether no two groups share a kind of file."""
    return sum(len(_kinds([group])) for group in groups) == len(_kinds(groups))
