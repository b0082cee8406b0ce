"""Recordings as sequences of frames with their boxes: what every loader delivers.

A source is a path, or a recording of a release, and says how to open it; it is small, and goes to
worker processes as it is. What it opens reads frames: from a features file, or computed live, which
gives the same bits.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations.tables import Spans
from evreel.closing import Closing
from evreel.dataset.settings import FeatureSettings
from evreel.errors import ParameterError, UsageError
from evreel.events import Sensor
from evreel.files.boxes import (
    boxes_of_windows,
    boxes_path,
    first_path,
    moved,
    read_boxes,
    read_boxes_of_windows,
)
from evreel.files.features import FeaturesFile, SampleWindows
from evreel.layout import BOX_DTYPE
from evreel.release.open import Release, ReleasedRecording, open_release
from evreel.representations import Frame, Run, frames_together
from evreel.steps.events import as_events
from evreel.steps.features import most_in_memory, slices_of
from evreel.timebase import Int64Array
from evreel.windows import Windows

if TYPE_CHECKING:
    from evreel.files.divided import Divided

Boxes = npt.NDArray[np.void]

Files = str | Path | Release | Sequence["str | Path | ReleasedRecording"]
"""A release or its folder, or recordings, stores or features files, one by one."""


class Metadata(NamedTuple):
    """What a batch says of the recording that is in a lane.

    Attributes
    ----------
    name : of the recording.
    path : the file that its frames come from.
    sensor : (height, width) of the events, px.
    shape : (C, H, W) of a frame.
    t_offset : first timestamp on the camera's own clock, µs.
    duration_us : where its last window ends, µs.
    delta_t_us : duration of a window; 0 if windows have none that is the same for all.
    """

    name: str
    path: Path
    sensor: Sensor
    shape: tuple[int, int, int]
    t_offset: int
    duration_us: int
    delta_t_us: int


class Frames(Closing):
    """The frames of one recording, open for reading: part of them at a time.

    Attributes
    ----------
    metadata : of the recording.
    windows : row k belongs to frame k.
    segments : (n, 2) int64: frames ``[start, stop)`` that follow each other in time. One, or one
        per sample if the recording is cut.
    samples : which windows belong to which sample; None if the recording is not cut.
    extra : name → (N, …) values that were added per window.
    n_labels_outside : boxes that are in no window.
    """

    metadata: Metadata
    windows: Windows
    segments: Int64Array
    samples: SampleWindows | None
    extra: Mapping[str, Any]

    def __init__(self, boxes: tuple[Boxes, Int64Array], n_boxes: int, labelled: Spans | None):
        self._boxes, self._first = boxes
        self._labelled = labelled
        self.n_labels_outside = max(n_boxes - len(self._boxes), 0)

    def __len__(self) -> int:
        return len(self.windows)

    @abstractmethod
    def read(self, start: int, stop: int, into: Frame) -> None:
        """Fill `into`, (stop − start, C, H, W), with the values of frames ``[start, stop)``."""

    def boxes(self, start: int, stop: int) -> list[Boxes]:
        """Return the boxes of each of frames ``[start, stop)``, t in µs since `t_offset`."""
        edge = self._first[start : stop + 1].tolist()
        return [self._boxes[low:high] for low, high in pairwise(edge)]

    def labelled(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return which of frames ``[start, stop)`` are labelled, also if without any box.

        A frame is labelled if annotators looked at a part of its window. Where nothing says where
        they looked, it is labelled if it has a box.
        """
        if self._labelled is None:
            found: npt.NDArray[np.bool_] = np.diff(self._first[start : stop + 1]) > 0
            return found
        spans, windows = self._labelled, self.windows
        k = np.searchsorted(spans.stop_us, windows.start_us[start:stop], side="right")
        begins = np.append(spans.start_us, np.iinfo(np.int64).max)[k]
        inside: npt.NDArray[np.bool_] = begins < windows.stop_us[start:stop]
        return inside


class Source(ABC):
    """A recording that can be opened as `Frames`, here or in a worker."""

    name: str

    @abstractmethod
    def open(self) -> Frames:
        """Open it.

        Raises
        ------
        EvreelError
            If a file is missing, damaged, or not what the source says.
        """


def segments_of(samples: SampleWindows | None, n: int, keep: Sequence[int] | None = None) -> Any:
    """Return (m, 2) ranges of frames that follow each other in time: of all samples, or of some."""
    bounds = np.array([0, n]) if samples is None else samples.bounds
    found = np.stack([bounds[:-1], bounds[1:]], axis=1)
    return found if keep is None or samples is None else found[np.asarray(keep, dtype=np.int64)]


@dataclass(frozen=True)
class FeatureSource(Source):
    """Frames of a features file.

    Parameters
    ----------
    name
        Of the recording.
    of
        Path of the file, whose boxes are those beside it; or a recording of a release.
    feature
        Name of the feature, of a recording of a release.
    split
        Which samples of a recording whose samples are in several splits; None for all.
    delta_t_us
        Duration that windows must have; None for any.
    """

    name: str
    of: Path | ReleasedRecording
    feature: str = ""
    split: str | None = None
    delta_t_us: int | None = None

    def open(self) -> Frames:
        """Open the features file."""
        if isinstance(self.of, Path):
            file = FeaturesFile(self.of)
            found = _FileFrames(file, *_boxes_beside(self.of, file), None, None, owned=True)
        else:
            file = self.of.features[self.feature]
            boxes = _NO_BOXES(len(file.windows))
            n = 0
            if "boxes" in self.of.kinds:
                boxes = self.of.boxes_of(self.feature)
                n = len(self.of.boxes)
            keep = _of_split(self.of, self.split)
            found = _FileFrames(file, boxes, n, _labelled(self.of), keep, owned=False)
        if self.delta_t_us not in (None, file.delta_t_us):
            raise UsageError(
                f"its windows are of {file.delta_t_us} µs; {self.delta_t_us} is asked for",
                path=file.path,
                hint=f"Ask for delta_t={file.delta_t_us}, or make the feature with other windows.",
            )
        return found


def _NO_BOXES(n: int) -> tuple[Boxes, Int64Array]:  # noqa: N802
    return np.zeros(0, dtype=BOX_DTYPE), np.zeros(n + 1, dtype=np.int64)


def _labelled(recording: ReleasedRecording) -> Spans | None:
    """Return where annotators looked at a recording, None if the release does not say it."""
    return recording.labelled if "slices" in recording.kinds else None


def _of_split(recording: ReleasedRecording, split: str | None) -> list[int] | None:
    """Return the samples of a split; None for all of them."""
    if split is None or recording.split == split or "samples" not in recording.kinds:
        return None
    return [k for k, name in enumerate(recording.samples.split) if name == split]


def _boxes_beside(path: Path, file: FeaturesFile) -> tuple[tuple[Boxes, Int64Array], int]:
    """Return boxes of the frames of a features file, and of how many in all, from beside it."""
    beside = boxes_path(path)
    if not beside.exists():
        return _NO_BOXES(len(file)), 0
    if first_path(beside).exists():
        boxes, first = read_boxes_of_windows(beside)
        if len(first) != len(file) + 1:
            raise UsageError(
                f"has boxes of {len(first) - 1} windows; the features have {len(file)}",
                path=beside,
                hint="Make the boxes of this feature again.",
            )
        return (boxes, first), len(boxes)
    boxes, _ = moved(read_boxes(beside), beside, file.geometry, file.sensor)
    return boxes_of_windows(boxes, file.windows, samples=file.samples), len(boxes)


class _FileFrames(Frames):
    """Frames of a features file."""

    def __init__(
        self,
        file: FeaturesFile,
        boxes: tuple[Boxes, Int64Array],
        n_boxes: int,
        labelled: Spans | None,
        keep: Sequence[int] | None,
        *,
        owned: bool,
    ) -> None:
        super().__init__(boxes, n_boxes, labelled)
        self._file, self._owned = file, owned
        self._values = (np.arange(256) * (file.scale or 1)).astype(np.float32)
        self.windows, self.samples, self.extra = file.windows, file.samples, file.extra
        self.segments = segments_of(file.samples, len(file), keep)
        self.metadata = Metadata(
            _stem(file.path),
            file.path,
            file.sensor,
            (file.shape[1], file.shape[2], file.shape[3]),
            file.t_offset,
            int(file.windows.stop_us.max(initial=0)),
            file.delta_t_us,
        )

    def read(self, start: int, stop: int, into: Frame) -> None:
        """Fill an array with frames of the file."""
        for row, k in enumerate(range(start, stop)):
            frame = self._file.read(k)
            into[row] = frame if self._file.scale is None else self._values[frame]

    def close(self) -> None:
        """Close the file, if nobody else has it open."""
        if self._owned:
            self._file.close()


@dataclass(frozen=True)
class LiveSource(Source):
    """Frames computed live from the events of a recording, the same bits as in a features file.

    Parameters
    ----------
    name
        Of the recording.
    of
        Path of a recording or an events store, whose boxes are those beside it; or a recording of
        a release.
    settings
        The representation and its windows, as those of a feature in `config.yaml`.
    split
        As in `FeatureSource`.
    slices
        Annotated slices of a path, for a geometry with labels.
    """

    name: str
    of: Path | ReleasedRecording
    settings: FeatureSettings
    split: str | None = None
    slices: Path | None = None

    def open(self) -> Frames:
        """Open the events; a recording that is not a store is decoded."""
        return _LiveFrames(self)


class _LiveFrames(Frames):
    """Frames that are computed when they are read."""

    def __init__(self, source: LiveSource) -> None:
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._open(source, stack)
            self._stack = stack.pop_all()

    def _open(self, source: LiveSource, stack: contextlib.ExitStack) -> None:
        settings = source.settings
        self._feature = settings.feature()
        division, geometry = settings.division(), self._feature.geometry
        released = source.of if isinstance(source.of, ReleasedRecording) else None
        events: Divided
        if isinstance(source.of, Path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evreel-"))
            most = most_in_memory(source.slices if geometry.labels else None)
            beside = Path(folder, "features.h5")
            events = stack.enter_context(as_events(source.of, beside=beside, most=most)).events
        else:
            events = source.of.events
        self._events = events
        keep, self.samples = None, None
        if released is not None and "samples" in released.kinds:
            of = released.samples
            self.windows, bounds = events.windows_of(of.samples, division)
            self.samples = SampleWindows(of.samples, of.labels, bounds)
            self._oldest_us = np.repeat(of.samples.start_us, np.diff(bounds))
            keep = _of_split(released, source.split)
        else:
            self.windows = events.windows(division)
            self._oldest_us = events.oldest_us(self.windows.start_us)
        self._regions = self._regions_of(source, geometry.labels or (), stack)
        boxes, n = self._boxes_of(source)
        super().__init__(boxes, n, None if released is None else _labelled(released))
        self.extra = MappingProxyType({})
        self.segments = segments_of(self.samples, len(self.windows), keep)
        self._lock = threading.Lock()
        self._next = -1
        self._frames: Iterator[Frame] = iter(())
        stored, computed = self._feature.stored, self._feature.representation.dtype
        scale = None if stored is None else stored.scale_of(computed)
        self._values = None if scale is None else (np.arange(256) * scale).astype(np.float32)
        self.metadata = Metadata(
            source.name,
            events.path,
            events.sensor,
            self._feature.shape(events.sensor),
            events.t_offset,
            int(self.windows.stop_us.max(initial=0)),
            settings.window_us or 0,
        )

    def _regions_of(
        self, source: LiveSource, labels: Sequence[str], stack: contextlib.ExitStack
    ) -> Any:
        if not labels:
            return None
        if isinstance(source.of, ReleasedRecording):
            return source.of.slices.regions_of(labels)
        if source.slices is None:
            raise UsageError(
                "a geometry with labels needs the slices that say where they are", path=source.of
            )
        return stack.enter_context(slices_of(source.slices, self._events)).regions_of(labels)

    def _boxes_of(self, source: LiveSource) -> tuple[tuple[Boxes, Int64Array], int]:
        geometry, sensor = self._feature.geometry, self._events.sensor
        if isinstance(source.of, ReleasedRecording):
            if "boxes" not in source.of.kinds:
                return _NO_BOXES(len(self.windows)), 0
            boxes, beside = source.of.boxes, source.of.boxes_file
        else:
            beside = boxes_path(source.of)
            if not beside.exists():
                return _NO_BOXES(len(self.windows)), 0
            boxes = read_boxes(beside)
        boxes, _ = moved(boxes, beside, geometry, sensor)
        return boxes_of_windows(boxes, self.windows, samples=self.samples), len(boxes)

    def read(self, start: int, stop: int, into: Frame) -> None:
        """Compute frames; those that follow the last ones go on where these ended."""
        with self._lock:
            if self._next != start:
                self._frames = self._from(start)
            self._next = -1  # an error leaves no place to go on from
            for row in range(stop - start):
                frame = next(self._frames)
                into[row] = frame if self._values is None else self._values[frame]
            self._next = stop

    def _from(self, start: int) -> Iterator[Frame]:
        windows = self.windows[start:]
        run = Run(self._feature, windows, self._oldest_us[start:], regions=self._regions)
        events = self._events
        together = frames_together([run], events.read, events.sensor, index_of=events.index_of)
        return (frame for _, frame in together)

    def close(self) -> None:
        """Close what was opened for it."""
        self._frames = iter(())
        self._stack.close()


def _stem(path: Path) -> str:
    return path.name.removesuffix(".h5")


def sources_of(
    files: Files,
    settings: FeatureSettings | None = None,
    *,
    feature: str | None = None,
    split: str | None = None,
    delta_t_us: int | None = None,
) -> list[Source]:
    """Return what a loader is given as sources, in the order given; a release's by their ids.

    Parameters
    ----------
    files
        A release or its folder; or paths of features files, of recordings or stores, or recordings
        of a release, one by one.
    settings
        What to compute live; None for precomputed features.
    feature
        Name of a release's feature; needed if it has several and nothing is computed live.
    split
        Which recordings and samples of a release; None for all.
    delta_t_us
        Duration that precomputed windows must have; None for any.

    Raises
    ------
    UsageError
        If there is nothing, or not what is asked for.
    """
    release = _release_of(files)
    each: Sequence[str | Path | ReleasedRecording]
    if release is not None:
        if feature is None and settings is None:
            feature = _only_feature(release)
        each = _members(release, split)
    elif isinstance(files, (str, Path, Release)):
        each = [Path(str(files))]
    else:
        each = list(files)
        if split is not None and not any(isinstance(one, ReleasedRecording) for one in each):
            raise UsageError(f"split={split!r} is for a release; files have none")
    if not each:
        raise UsageError(
            "there is no recording" + (f" in split {split!r}" if split else ""),
            hint="Give files, or a split that has recordings.",
        )
    found: list[Source] = []
    for one in each:
        of = one if isinstance(one, ReleasedRecording) else Path(one)
        name = of.id if isinstance(of, ReleasedRecording) else _stem(of)
        if settings is not None:
            found.append(LiveSource(name, of, settings, split))
        elif isinstance(of, ReleasedRecording) and feature is None:
            raise UsageError(
                f"which feature of recording {name!r}?",
                hint=f"Give feature=; there are {', '.join(of.features) or 'none'}.",
            )
        else:
            found.append(FeatureSource(name, of, feature or "", split, delta_t_us))
    return found


def _release_of(files: Files) -> Release | None:
    if isinstance(files, Release):
        return files
    if isinstance(files, (str, os.PathLike)) and Path(files).is_dir():
        return open_release(files)
    return None


def _only_feature(release: Release) -> str:
    if len(release.features) != 1:
        raise UsageError(
            f"{release.path.name}: which of its features? There are "
            f"{', '.join(release.features) or 'none'}",
            hint="Give feature=, or a representation to compute live.",
        )
    return release.features[0]


def _members(release: Release, split: str | None) -> list[ReleasedRecording]:
    """Return the recordings of a split, also those with some of their samples in it."""
    if split is None:
        return list(release.recordings.values())
    members = release.splits[split]
    mixed = [one for one in release.recordings.values() if one.split == "mixed"]
    return sorted([*members, *mixed], key=lambda one: one.id) if mixed else list(members)


def check_shapes(frames: Frames, shape: tuple[int, ...]) -> None:
    """Raise `ParameterError` if frames have another shape than a batch has room for."""
    if frames.metadata.shape != tuple(shape):
        raise ParameterError(
            f"its frames are {frames.metadata.shape}; {tuple(shape)} is expected (C, H, W)",
            path=frames.metadata.path,
            hint="Recordings of a batch must have one shape: give a geometry, or other array_dim.",
        )
