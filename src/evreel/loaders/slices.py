"""Annotated slices for training: any of them by its number, without reading those around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.boxes import Boxes
from evreel.closing import Closing
from evreel.errors import EventsError, EvreelError, LayoutError, UsageError
from evreel.events import Sensor
from evreel.exports.aermanager import NOTHING, read_slice, slice_files, times_of
from evreel.files import hdf5
from evreel.files.boxes import boxes_path, read_boxes
from evreel.files.opened import OpenFiles
from evreel.files.slices import SlicesFile
from evreel.layout import BOX_DTYPE
from evreel.loaders.arguments import check_on_damage, checked_index
from evreel.loaders.code_digest import digest_of_function
from evreel.loaders.damage import OnDamage, is_left_out
from evreel.provenance import digest_of, sha256
from evreel.release.open import Release, ReleasedRecording, given_release
from evreel.text import nfc
from evreel.timebase import FARTHEST

SlicesSource = str | Path | Release | Sequence["str | Path | ReleasedRecording"]
"""A release or its folder; slices files, one or several; or a folder of them, or aermanager's."""

Item = dict[str, Any]

RECORDS = np.dtype(
    [("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "i1"), ("roi", "<i4"), ("label", "<i4")]
)
"""Events as transforms of records take them: with a sign, because some subtract in place. Field
`label` has what an item without such a transform has as `event_labels`."""


class SlicesDataset:
    """Annotated slices of recordings, by number: a data set as `torch.utils.data` takes it.

    Only the rows of a slice are read. It goes to worker processes as it is, each of which opens
    files of its own, and serves several threads.

    Parameters
    ----------
    source
        A release or its folder; the path of a slices file, or several paths; a folder of slices
        files; aermanager's folder, or the folder of several of these; or recordings of a release.
    split
        Which recordings of a release; None for all. Those whose samples are of several splits are
        in ``mixed``.
    labels
        Names of all labels, in the order of their numbers; None takes those of the release, or of
        the files as they are found.
    transform
        Function of an item, whose result is delivered in place of it.
    events_transform
        Function of the events of a slice, (n,) records of `RECORDS`, such as a transform of Tonic.
        Its result is in the item as ``events``, in place of the columns and of `event_labels`:
        each record has its own label, which stays with it where the transform reorders or drops
        events.
    on_damage
        ``fail``, or ``skip``: a recording whose slices cannot be opened is left out and counted in
        `counts`. A slice whose rows are damaged is an error even so: a number must not get another
        slice.

    Attributes
    ----------
    label_names : names of all labels, in the order of their numbers.
    labels : what is known of each slice without its events, for views (`evreel.loaders.views`):
        name → (n,) array of `recording`, `slice`, `start_us` and `stop_us`. Of aermanager's folder,
        each file is opened.
    digest : ``sha256:…`` of all that items follow from: files, names of labels, transforms' code.
    counts : ``skipped_recordings``, how many were left out.

    Raises
    ------
    UsageError
        If there are no slices, or not what is asked for.
    LayoutError
        If a file is damaged, is not of slices, or has a label that the argument
        `labels` does not list.

    Notes
    -----
    An item has, by name:

    ================  ==============================================================================
    t, x, y, p        (n,) int64, uint16, uint16, uint8: events; t in µs since the recording's first
    roi               (n,) int32: each event's primary region, a row of the recording's `rois`;
                      −1 none
    event_labels      (n,) int32: the label of that region; −1 none
    labels            (k,) int64, ascending: labels of all that is in the slice, which are the
                      regions of its events, further ones too, and the tags of its time
    label_names       their names
    tags              (m,) int64, ascending: labels of the tags of frames with a part of the slice
    boxes             (b,) records of `evreel.layout.BOX_DTYPE` with ``start_us < t <= stop_us``;
                      the first slice also has those at its start
    is_labelled       whether annotators looked at a part of the slice: one without labels is empty
                      then, and else unknown
    start_us stop_us  the slice is ``[start_us, stop_us)``
    recording, slice  name of the recording, and the slice's number in it
    sensor            (height, width), px
    ================  ==============================================================================

    aermanager's files do not tell everything. Times are on the camera's own clock; where they do
    not state the slice, it is from the first event to the last. Tags are among the labels, but not
    in `tags`; there are no boxes; and a slice counts as labelled if it has a label.

    Examples
    --------
    ::

        slices = SlicesDataset("demo-1.0", split="train")
        item = slices[0]
        print(item["recording"], item["label_names"], len(item["t"]))
    """

    def __init__(
        self,
        source: SlicesSource,
        *,
        split: str | None = None,
        labels: Sequence[str] | None = None,
        transform: Callable[[Item], Any] | None = None,
        events_transform: Callable[[npt.NDArray[np.void]], Any] | None = None,
        on_damage: OnDamage = "fail",
    ) -> None:
        check_on_damage(on_damage)
        if isinstance(labels, str) or not all(isinstance(name, str) for name in labels or ()):
            raise UsageError(f"labels={labels!r} is not a list of names")
        self._asked = {"split": split, "labels": None if labels is None else list(labels)}
        self._transform = transform
        self._events_transform = events_transform
        self._kept = OpenFiles()
        self.counts = {"skipped_recordings": 0}
        found: list[_Recording] = []
        said: dict[str, None] = dict.fromkeys(map(nfc, labels or ()))
        stop: list[int] = []
        self._release = given_release(source)
        recordings, names = _recordings_of(self._release or source, split)
        for recording in recordings:
            try:
                n, listed = recording.look()
            except EvreelError as error:
                if not is_left_out(error, on_damage):
                    raise
                self.counts["skipped_recordings"] += 1
                continue
            found.append(recording)
            stop.append(n + (stop[-1] if stop else 0))
            if labels is None:
                said |= dict.fromkeys((*names, *listed))
        self._recordings = found
        self._stop = stop
        self.label_names = tuple(said)
        self._number_of = {name: number for number, name in enumerate(self.label_names)}

    def __len__(self) -> int:
        return self._stop[-1] if self._stop else 0

    def __repr__(self) -> str:
        return f"<{len(self)} slices of {len(self._recordings)} recordings>"

    def __getitem__(self, k: int) -> Any:
        """Return slice k of all; a negative number counts from the end.

        Raises
        ------
        NoSuchExampleError
            If there is no slice k; it is also an `IndexError`.
        LayoutError
            If it is damaged.
        """
        row, number = self._place(k)
        opened = self._open(row)
        item = {"recording": self._recordings[row].name, "slice": number, **opened.item(number)}
        self._label(item, opened)
        if self._events_transform is not None:
            item["events"] = self._events_transform(_records(item))
        return item if self._transform is None else self._transform(item)

    def label_of_roi(self, k: int) -> npt.NDArray[np.int32]:
        """Return the label of each region that `roi` of slice k may name, and −1 in the end.

        So ``slices.label_of_roi(k)[roi]`` is right for −1, too: no region, no label.

        Raises
        ------
        IndexError
            If there is no slice k.
        LayoutError
            If its file is damaged.
        """
        row, number = self._place(k)
        opened = self._open(row)
        found: npt.NDArray[np.int64] = opened.numbers(self._number_of)
        return found[opened.labels_of_regions(number)].astype(np.int32)

    def _place(self, k: int) -> tuple[int, int]:
        """Return the recording that slice k of all is of, and its number there."""
        place = checked_index(k, len(self), "slice", from_end=True)
        row = bisect_right(self._stop, place)
        return row, place - (self._stop[row - 1] if row else 0)

    def _open(self, row: int) -> _Open:
        return self._kept.get(row, self._recordings[row].open)

    @cached_property
    def labels(self) -> Mapping[str, npt.NDArray[Any]]:
        """What is known of each slice: name → (n,) array.

        Raises
        ------
        LayoutError
            If a file of aermanager's folder is damaged.
        """
        n = np.diff(self._stop, prepend=0)
        rows = range(len(self._recordings))
        times = [np.zeros((2, 0), dtype=np.int64), *(self._open(row).times() for row in rows)]
        names = np.array([each.name for each in self._recordings], dtype=np.str_)
        numbers = np.arange(len(self)) - np.repeat(np.cumsum(n) - n, n)
        start_us, stop_us = np.concatenate(times, axis=1)
        return {
            "recording": np.repeat(names, n),
            "slice": numbers.astype(np.int64),
            "start_us": start_us,
            "stop_us": stop_us,
        }

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` of all that items follow from; the files of a release have theirs listed.

        Raises
        ------
        ParameterError
            If a transform has no digest.
        """
        transforms = (self._transform, self._events_transform)
        says = [
            "slices",
            [[each.name, *each.content()] for each in self._recordings],
            self.label_names,
            [None if function is None else digest_of_function(function) for function in transforms],
        ]
        return digest_of(says)

    @property
    def declared(self) -> dict[str, Any] | None:
        """How ``view.yaml`` names it; None if it is not of a release, or has a transform."""
        if self._release is None or self._transform or self._events_transform:
            return None
        arguments = {name: value for name, value in self._asked.items() if value is not None}
        if self.counts["skipped_recordings"]:
            arguments["on_damage"] = "skip"
        return {"loader": "slices", "release": str(self._release.path), "arguments": arguments}

    def _label(self, item: Item, opened: _Open) -> None:
        """Turn the numbers of a recording's labels into those of the data set."""
        numbers = opened.numbers(self._number_of)
        item["event_labels"] = numbers[item["event_labels"]].astype(np.int32)
        for name in ("labels", "tags"):
            item[name] = np.unique(numbers[item[name]])
        item["label_names"] = tuple(self.label_names[n] for n in item["labels"])
        item["boxes"] = opened.numbered(item["boxes"], self._number_of)

    def close(self) -> None:
        """Close every file that was opened; a slice that is asked for after that opens it again."""
        self._kept.close()


def _records(item: Item) -> npt.NDArray[np.void]:
    """Return the events of an item as records, and take their columns out of it."""
    records = np.empty(len(item["t"]), dtype=RECORDS)
    for name in RECORDS.names or ():
        records[name] = item.pop("event_labels" if name == "label" else name)
    return records


class _Open(Closing):
    """The slices of one recording, open for reading.

    Attributes
    ----------
    path : where they are.
    listed : names of its labels, in the order of its own numbers.
    listed_in_boxes : number → name of the classes of its boxes.
    """

    path: Path
    listed: tuple[str, ...]
    listed_in_boxes: Mapping[int, str]
    _numbers: npt.NDArray[np.int64] | None = None

    @abstractmethod
    def item(self, k: int) -> Item:
        """Return slice k, with the recording's own numbers of labels; `event_labels` −1 none."""

    @abstractmethod
    def labels_of_regions(self, k: int) -> npt.NDArray[np.int32]:
        """Return the recording's own label of each region of slice k, and −1 in the end."""

    @abstractmethod
    def times(self) -> npt.NDArray[np.int64]:
        """Return start and stop of each slice, µs: (2, n)."""

    def numbers(self, number_of: Mapping[str, int]) -> npt.NDArray[np.int64]:
        """Return the data set's number of each own label, and −1 in the end, for none."""
        if self._numbers is None:
            found = [self._number(name, number_of) for name in self.listed]
            self._numbers = np.array([*found, -1], dtype=np.int64)
        return self._numbers

    def numbered(self, boxes: Boxes, number_of: Mapping[str, int]) -> Boxes:
        """Return boxes with the data set's numbers as classes; they may change in place."""
        own = boxes["class_id"].tolist()
        for number in own:
            if number not in self.listed_in_boxes:
                raise LayoutError(
                    f"a box is of class {number}, which has no name; there are "
                    f"{', '.join(self.listed_in_boxes.values()) or 'none'}",
                    path=self.path,
                )
        names = map(self.listed_in_boxes.__getitem__, own)
        boxes["class_id"] = [self._number(name, number_of) for name in names]
        return boxes

    def _number(self, name: str, number_of: Mapping[str, int]) -> int:
        if name not in number_of:
            there = ", ".join(number_of) or "none"
            raise LayoutError(
                f"has label {name!r}, which is not listed; there are {there}",
                path=self.path,
                hint="List all labels in labels=, in the order of their numbers.",
            )
        return number_of[name]


class _Recording(ABC):
    """A recording whose slices can be opened, here or in a worker.

    Attributes
    ----------
    name : of the recording.
    """

    name: str

    @abstractmethod
    def look(self) -> tuple[int, tuple[str, ...]]:
        """Return the number of slices, and the names of labels."""

    @abstractmethod
    def open(self) -> _Open:
        """Open them."""

    @abstractmethod
    def content(self) -> list[str]:
        """Return the SHA-256 of each file that is read."""


class _Own(_Recording):
    """Slices of evreel: a file with boxes beside it, or a recording of a release."""

    def __init__(self, of: Path | ReleasedRecording, names: Mapping[int, str] | None) -> None:
        self._of = of
        self._names = names
        self.name = of.stem if isinstance(of, Path) else of.id

    def look(self) -> tuple[int, tuple[str, ...]]:
        with self.open() as opened:
            return opened.n, opened.listed

    def content(self) -> list[str]:
        if isinstance(self._of, Path):
            beside = boxes_path(self._of)
            return [
                sha256(path) for path in (self._of, beside) if path == self._of or path.exists()
            ]
        boxes = [sha256(self._of.boxes_file)] if "boxes" in self._of.kinds else []
        return [self._of.digest_of("slices"), *boxes]

    def open(self) -> _OwnOpen:
        boxes = np.zeros(0, dtype=BOX_DTYPE)
        if isinstance(self._of, Path):
            beside = boxes_path(self._of)
            if beside.exists():
                boxes = read_boxes(beside)
            return _OwnOpen(SlicesFile(self._of), boxes, self._names, owned=True)
        if "boxes" in self._of.kinds:
            boxes = self._of.boxes
        return _OwnOpen(self._of.slices, boxes, self._names, owned=False)


class _OwnOpen(_Open):
    """An open slices file, and its boxes."""

    def __init__(
        self, file: SlicesFile, boxes: Boxes, names: Mapping[int, str] | None, *, owned: bool
    ) -> None:
        self._file, self._boxes, self._owned = file, boxes, owned
        self.path, self.n, self.listed = file.path, file.n, file.labels
        self.listed_in_boxes = dict(enumerate(file.labels)) if names is None else names
        self._label_of_region = np.append(file.rois.label, np.int32(-1))

    @property
    def is_open(self) -> bool:
        return self._file.is_open

    def close(self) -> None:
        if self._owned:  # else the release keeps it open
            self._file.close()

    def labels_of_regions(self, k: int) -> npt.NDArray[np.int32]:
        return self._label_of_region

    def times(self) -> npt.NDArray[np.int64]:
        return np.stack([self._file.windows.start_us, self._file.windows.stop_us])

    def item(self, k: int) -> Item:
        file = self._file
        events, roi = file.slice(k)
        start_us, stop_us = int(file.windows.start_us[k]), int(file.windows.stop_us[k])
        tags = file.tags_in(k)
        labels = self._label_of_region[file.regions_in(k, roi)]
        low, high = np.searchsorted(
            self._boxes["t"], [start_us - 1 if k == 0 else start_us, stop_us], side="right"
        )
        spans = file.labelled
        looked = int(np.searchsorted(spans.stop_us, start_us, side="right"))
        return {
            # Arrays of their own: those of events cannot be written to, of which torch warns.
            **{name: getattr(events, name).copy() for name in "txyp"},
            "roi": roi,
            "event_labels": self._label_of_region[roi],
            "labels": np.union1d(labels, tags),
            "tags": tags,
            "boxes": self._boxes[low:high].copy(),
            "is_labelled": looked < len(spans.start_us) and int(spans.start_us[looked]) < stop_us,
            "start_us": start_us,
            "stop_us": stop_us,
            "sensor": tuple(file.sensor),
        }


class _Aermanager(_Recording):
    """A folder of aermanager's, with a file for each slice."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self.name = folder.name
        self._files = tuple(files)

    def look(self) -> tuple[int, tuple[str, ...]]:
        return len(self._files), self.open().listed

    def content(self) -> list[str]:
        return [sha256(path) for path in self._files]

    def open(self) -> _AermanagerOpen:
        names, numbers = read_slice(self._files[0], "labels_lut/id", "labels_lut/label")
        in_order = [names[place] for place in np.argsort(numbers, kind="stable")]
        return _AermanagerOpen(self._files, tuple(n for n in in_order if n != NOTHING))


class _AermanagerOpen(_Open):
    """Files of aermanager's, each of which is opened when it is read."""

    def __init__(self, files: Sequence[Path], listed: tuple[str, ...]) -> None:
        self._files = files
        self.path, self.listed = files[0].parent, listed
        self.listed_in_boxes = {}

    def close(self) -> None:
        """Nothing is open."""

    def labels_of_regions(self, k: int) -> npt.NDArray[np.int32]:
        [names] = read_slice(self._files[k], "rois/label", absent=True)
        return self._own_labels(names, k)

    def times(self) -> npt.NDArray[np.int64]:
        found = [_slice_of(path, *read_slice(path, "spikes/t")) for path in self._files]
        return np.array(found, dtype=np.int64).reshape(-1, 2).T

    def item(self, k: int) -> Item:
        path = self._files[k]
        columns = [f"spikes/{name}" for name in ("t", "x", "y", "p", "id")]
        *events, ids, names, shape = read_slice(path, *columns, "label", "frame_size")
        regions, of_region = read_slice(path, "rois/id", "rois/label", absent=True)
        t, x, y, p = events
        roi = _rows_of(ids, regions, path)
        numbers = self._own_labels(of_region, k)
        labels = np.array(sorted({self._own(name, path) for name in names}), dtype=np.int64)
        start_us, stop_us = _slice_of(path, t)
        if len(shape) != 3:
            raise LayoutError(f"its frame_size has {len(shape)} numbers; 3 are expected", path=path)
        try:
            sensor = Sensor.checked(*shape[1:].tolist())
        except EventsError as error:
            raise LayoutError(f"frame_size: {error}", path=path) from error
        columns_of = {
            "t": _whole("t", t, np.int64, FARTHEST, path),
            "x": _whole("x", x, np.uint16, sensor.width - 1, path),
            "y": _whole("y", y, np.uint16, sensor.height - 1, path),
            "p": _whole("p", p, np.uint8, 1, path),
        }
        return {
            **columns_of,
            "roi": roi,
            "event_labels": numbers[roi],
            "labels": labels,
            "tags": np.zeros(0, dtype=np.int64),
            "boxes": np.zeros(0, dtype=BOX_DTYPE),
            "is_labelled": len(labels) > 0,
            "start_us": start_us,
            "stop_us": stop_us,
            "sensor": tuple(sensor),
        }

    def _own_labels(self, names: Iterable[str], k: int) -> npt.NDArray[np.int32]:
        path = self._files[k]
        return np.array([*(self._own(name, path) for name in names), -1], dtype=np.int32)

    def _own(self, name: str, path: Path) -> int:
        """Return the number of a label, which the recording's first slice must list, too."""
        if name not in self.listed:
            raise LayoutError(
                f"has label {name!r}, which {self._files[0].name} does not list", path=path
            )
        return self.listed.index(name)


def _slice_of(path: Path, t: npt.NDArray[Any]) -> tuple[int, int]:
    """Return start and stop of a slice, µs: as its file states them, or else by its events."""
    return times_of(path) or ((int(t.min()), int(t.max()) + 1) if len(t) else (0, 0))


def _whole(
    name: str, values: npt.NDArray[Any], kind: type[np.integer[Any]], most: int, path: Path
) -> npt.NDArray[Any]:
    """Return a column of events as whole numbers of a type, of 0 to `most`."""
    bad = ~((values >= 0) & (values <= most)) | (values % 1 != 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise LayoutError(
            f"spikes/{name} is {values[row]} in row {row}; 0 to {most} are allowed", path=path
        )
    return values.astype(kind)


def _rows_of(ids: npt.NDArray[Any], regions: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int32]:
    """Return the row of each event's region, by its number; −1 where it is NaN."""
    rows = np.full(len(ids), -1, dtype=np.int32)
    inside = ~np.isnan(ids.astype(np.float64))
    order = np.argsort(regions, kind="stable")
    place = np.searchsorted(regions, ids[inside], sorter=order)
    unknown = place == len(regions)
    unknown[~unknown] = regions[order[place[~unknown]]] != ids[inside][~unknown]
    if unknown.any():
        number = ids[inside][np.argmax(unknown)]
        raise LayoutError(f"an event is in region {number:g}, which rois/id lacks", path=path)
    rows[inside] = order[place]
    return rows


def _recordings_of(
    source: SlicesSource, split: str | None
) -> tuple[list[_Recording], tuple[str, ...]]:
    """Return what a data set is made of, and the names of a release's labels, in order."""
    release = given_release(source)
    if release is not None:
        every: Iterable[ReleasedRecording] = (
            release.recordings.values() if split is None else release.splits[split]
        )
        there = [_Own(each, release.labels or None) for each in every if "slices" in each.kinds]
        if not there:
            which = "" if split is None else f" in split {split!r}"
            raise UsageError(f"has no recording with slices{which}", path=release.path)
        return list(there), tuple(release.labels.values())
    assert not isinstance(source, Release)
    if not hasattr(source, "__iter__") and not isinstance(source, Path):
        raise UsageError(f"slices are of a release, of files or of a folder, not of {source!r}")
    if split is not None:
        if isinstance(source, (str, Path)) and not Path(source).exists():
            raise UsageError("does not exist", path=source)
        raise UsageError(f"split={split!r} is for a release; files have none")
    found: list[_Recording] = []
    for each in [source] if isinstance(source, (str, Path)) else source:
        if isinstance(each, ReleasedRecording):
            found.append(_Own(each, None))
        else:
            found += _in_path(Path(each))
    if not found:
        raise UsageError("there are no slices", hint="Give at least one file.")
    return found, ()


def _in_path(path: Path) -> list[_Recording]:
    """Return the recordings whose slices a path has: a file, a folder of files, or aermanager's."""
    path = path.absolute()  # the working directory may change
    if not path.is_dir():
        if path.stem.isdigit() and path.exists() and _layout_of(path) is None:
            raise UsageError(
                "is one slice of aermanager's, without those beside it",
                path=path,
                hint=f"Give its folder, {path.parent}.",
            )
        return [_Own(path, None)]
    numbered = slice_files(path)
    layouts = (layout for file in numbered if (layout := _layout_of(file)) != _UNKNOWN)
    if numbered and next(layouts, None) is None:
        folders: dict[Path, list[Path]] = {}
        for file in numbered:
            folders.setdefault(file.parent, []).append(file)
        return [_Aermanager(folder, files) for folder, files in folders.items()]
    files = sorted(path.glob("*.h5"))
    if not files:
        raise UsageError(
            "has no slices",
            path=path,
            hint="Give a release's folder, a folder of slices files, or aermanager's.",
        )
    return [_Own(file, None) for file in files]


_UNKNOWN = "unknown"


def _layout_of(path: Path) -> str | None:
    """Return the layout that a file has, None if it is not evreel's; of damage, `_UNKNOWN`."""
    try:
        return hdf5.layout_of(path)
    except EvreelError:
        return _UNKNOWN
