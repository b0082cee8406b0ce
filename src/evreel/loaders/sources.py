"""Recordings as sequences of frames with their boxes: what every loader delivers.

A source is a path, or a recording of a release, and says how to open it; it is small, and goes to
worker processes as it is. What it opens reads frames: from a features file, or computed live, which
gives the same bits.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from evreel.annotations.tables import Spans
from evreel.boxes import Boxes
from evreel.closing import Closing
from evreel.dataset.settings import FeatureSettings
from evreel.errors import AnnotationError, LayoutError, ParameterError, UsageError, foreign
from evreel.events import Sensor
from evreel.files.boxes import (
    boxes_of_windows,
    boxes_path,
    first_path,
    label_map,
    moved,
    read_boxes_of_windows,
    read_published_boxes,
)
from evreel.files.features import FeaturesFile, SampleWindows
from evreel.files.metavision_features import MetavisionFile, is_features_file, is_metavision_file
from evreel.geometry import Geometry, to_size
from evreel.layout import BOX_DTYPE, BOXES_SUFFIX, LABEL_MAP, OF_BOXES
from evreel.recordings.open import open_recording
from evreel.release.open import Release, ReleasedRecording, given_release
from evreel.representations import Frame, Representation, Run, create, frames_together
from evreel.steps.events import as_events
from evreel.steps.features import most_in_memory, slices_of
from evreel.steps.many import files_of, without_marks
from evreel.timebase import Int64Array
from evreel.windows import Duration, Windows

if TYPE_CHECKING:
    from evreel.files.divided import Divided
    from evreel.representations.feature import Feature

Files: TypeAlias = "str | Path | Release | Sequence[str | Path | ReleasedRecording | Source]"
"""A release or its folder; or recordings, stores or features files, also by a wildcard or as a
folder of them; or a tree of RVT's; or sources, one by one."""

SensorSize: TypeAlias = "Sensor | tuple[int, int] | str"
"""(height, width), or text such as ``346x260``, width x height."""


class Metadata(NamedTuple):
    """What a batch says of the recording that is in a lane; `evreel.boxes` finds its boxes by it.

    Attributes
    ----------
    name : of the recording.
    path : the file that its frames come from.
    sensor : (height, width) of the events, px.
    shape : (C, H, W) of a frame.
    t_offset : first timestamp on the camera's own clock, µs.
    duration_us : where its last window ends, µs.
    delta_t_us : duration of a window; 0 if windows have none that is the same for all.
    geometry : which pixels of the sensor the frames are of.
    boxes : its file of boxes; None if it is to be looked for beside `path`.
    labelled : where annotators looked; None if nothing says it.
    start_ts : where the first window of the recording, or of the sample in the lane, starts, µs.
    padding : whether it only fills a lane that has no recording left.
    spans_us : where labels are loaded of windows that are not end to end with one duration: after
        and until which times labels are of each window, as `evreel.boxes.load_boxes` takes it.
    """

    name: str
    path: Path
    sensor: Sensor
    shape: tuple[int, int, int]
    t_offset: int
    duration_us: int
    delta_t_us: int
    geometry: Geometry = Geometry()
    boxes: Path | None = None
    labelled: Spans | None = None
    start_ts: int = 0
    padding: bool = False
    spans_us: tuple[tuple[int, int], ...] | None = None

    @property
    def delta_t(self) -> int:
        """`delta_t_us`, by the name that functions written for Metavision's loaders read."""
        return self.delta_t_us

    @property
    def _compared(self) -> tuple[Any, ...]:
        # Two arrays do not compare as a whole; they are of the recording that `boxes` are of.
        return tuple(self._replace(labelled=None))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and self._compared == other._compared

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._compared)


class Look(NamedTuple):
    """What frames of a recording look like, known before the first one is read.

    Attributes
    ----------
    shape : (C, H, W).
    extra : name → (dtype, shape) of values per window.
    dtype : name of the type of their values as they are stored or computed; float32 if these stand
        for others.
    """

    shape: tuple[int, int, int]
    extra: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]
    dtype: str = "float32"


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
    has_boxes : whether there is a file of boxes, if only with none in it.
    n_labels_outside : boxes that are in no window.
    """

    metadata: Metadata
    windows: Windows
    segments: Int64Array
    samples: SampleWindows | None
    extra: Mapping[str, Any]

    def __init__(
        self,
        boxes: tuple[Boxes, Int64Array],
        n_boxes: int,
        labelled: Spans | None,
        *,
        has_boxes: bool = True,
        before_us: int | None = None,
    ) -> None:
        self._boxes, self._first = boxes
        self._before_us = before_us  # where the window before the first of these stops
        self._labelled = labelled
        self.has_boxes = has_boxes
        self.n_labels_outside = max(n_boxes - len(self._boxes), 0)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def n_frames(self) -> int:
        """Number of frames in all segments."""
        return int((self.segments[:, 1] - self.segments[:, 0]).sum())

    @property
    def look(self) -> Look:
        """What its frames look like."""
        extra = {
            name: (np.dtype(values.dtype).newbyteorder("="), tuple(values.shape[1:]))
            for name, values in self.extra.items()
        }
        return Look(self.metadata.shape, extra, self.dtype)

    @property
    def dtype(self) -> str:
        """Name of the type of its values, as `Look` has it."""
        return "float32"

    def n_labels(self, start: int, stop: int) -> int:
        """Return how many boxes frames ``[start, stop)`` have."""
        return int(self._first[stop] - self._first[start])

    @abstractmethod
    def read(self, start: int, stop: int, into: Frame) -> None:
        """Fill `into`, (stop − start, C, H, W), with the values of frames ``[start, stop)``."""

    def read_part(
        self, start: int, stop: int, into: Frame, *, changed: OfEvents | None, alone: bool
    ) -> None:
        """Fill `into` as `read` does.

        Parameters
        ----------
        start, stop, into
            As `read` takes them.
        changed
            What is done to events before frames are computed of them.
        alone
            Whether other frames than those that follow will be asked for next.

        Raises
        ------
        UsageError
            If events should change, but frames are not computed here.
        """
        if changed is not None:
            raise UsageError(
                "its frames are computed already, so that events cannot be augmented",
                path=self.metadata.path,
                hint="Augment frames (of='frames'), or give recordings and a representation.",
            )
        self.read(start, stop, into)

    def boxes(self, start: int, stop: int) -> list[Boxes]:
        """Return the boxes of each of frames ``[start, stop)``, t in µs since `t_offset`."""
        edge = self._first[start : stop + 1].tolist()
        return [self._boxes[low:high] for low, high in pairwise(edge)]

    def first_with(self, k: int) -> int:
        """Return the first frame of the sample that frame k is of, or of the recording."""
        if self.samples is None:
            return 0
        bounds = self.samples.bounds
        return int(bounds[np.searchsorted(bounds, k, side="right") - 1])

    def spans(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        """Return after and until which times labels are of each of frames ``[start, stop)``.

        A label is of the first window that holds it: where windows overlap, one is after the stop
        of the one before.
        """
        windows = self.windows
        after, until = (each[start:stop].copy() for each in (windows.start_us, windows.stop_us))
        before = self._before_us if start == 0 else int(windows.stop_us[start - 1])
        if before is not None and (start == 0 or start > self.first_with(start)):
            after[0], until[0] = max(after[0], before), max(until[0], before)
        until = np.maximum.accumulate(until)
        after[1:] = np.maximum(after[1:], until[:-1])
        return tuple(zip(after.tolist(), until.tolist(), strict=True))

    def labelled(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return which of frames ``[start, stop)`` are labelled, also if without any box.

        A frame is labelled if annotators looked at a part of its window, or at its end if it has a
        box of then. Where nothing says where they looked, it is labelled if it has a box.
        """
        n_boxes = np.diff(self._first[start : stop + 1])
        if self._labelled is None:
            return n_boxes > 0
        windows = self.windows
        found = self._labelled.overlap(windows.start_us[start:stop], windows.stop_us[start:stop])
        t = self._boxes["t"][self._first[start] : self._first[stop]]
        found[np.repeat(np.arange(stop - start), n_boxes)[self._labelled.hold(t)]] = True
        return found


class OfEvents(Protocol):
    """What changes the events that frames are computed of."""

    def of_feature(self, feature: Feature) -> Feature:
        """Return a feature that is computed of events that are changed so."""


class OfRecording(Protocol):
    """What says of which recording it is."""

    metadata: Metadata


class Source(ABC):
    """A recording that can be opened as `Frames`, here or in a worker."""

    name: str

    @property
    def identity(self) -> str:
        """What it delivers, wherever its files are: a state is of sources of the same identity."""
        return self.name

    @abstractmethod
    def open(self) -> Frames:
        """Open it.

        Raises
        ------
        EvreelError
            If a file is missing, damaged, or not what the source says.
        """

    def boxes_beside(self) -> Path | None:
        """Return where a file of its boxes would be, None if that is not beside it."""
        return None

    def shown_as(self) -> Representation | None:
        """Return what its frames are, to show them as pictures; None if it is not known here."""
        return None

    def labels(self) -> Mapping[int, str]:
        """Return number of a class → its name; nothing if no file says it."""
        return {}

    def look(self) -> Look:
        """Return what its frames look like; raises as `open`."""
        with self.open() as frames:
            return frames.look


def _start_of(windows: Windows) -> int:
    """Return where the first window starts, µs."""
    return int(windows.start_us[0]) if len(windows) else 0


def same_duration_of(settings: FeatureSettings) -> int:
    """Return the duration of every window, µs; 0 if windows have none that is the same for all."""
    division = settings.division()
    return division.window_us if isinstance(division, Duration) else 0


def labelled_of(of: Path | ReleasedRecording) -> Spans | None:
    """Return where annotators looked at a recording, None if nothing says it."""
    if isinstance(of, ReleasedRecording) and "slices" in of.kinds:
        return of.labelled
    return None


def labels_of(of: Path | ReleasedRecording) -> Mapping[int, str]:
    """Return number of a class → its name, of a release or as the folder of a file says it."""
    if isinstance(of, ReleasedRecording):
        name, place = next(iter(of.files.items()))
        folder = place.parents[len(PurePosixPath(name).parts) - 1]
    else:
        folder = of.parent
    path = folder / LABEL_MAP
    if not path.exists():
        return {}
    with foreign(lambda why: AnnotationError(f"is not a map of classes: {why}", path=path)):
        return label_map(path.read_bytes())


def boxes_file_of(of: Path | ReleasedRecording) -> Path | None:
    """Return the file of a recording's boxes: a release's, or the one beside it; None if none."""
    if isinstance(of, ReleasedRecording):
        return of.boxes_file if "boxes" in of.kinds else None
    names = (boxes_path(of).name, f"{without_marks(of)}{BOXES_SUFFIX}")
    return next((path for name in names if (path := of.with_name(name)).exists()), None)


def boxes_for(of: Path | ReleasedRecording, geometry: Geometry, sensor: Sensor) -> Boxes:
    """Return the boxes of a recording in pixels of its frames: a release's, or those beside it.

    Parameters
    ----------
    of
        Path of a recording, an events store or a features file; or a recording of a release.
    geometry
        That of the frames.
    sensor
        (height, width) of the events.
    """
    beside = boxes_file_of(of)
    if beside is None:
        return np.zeros(0, dtype=BOX_DTYPE)
    boxes = of.boxes if isinstance(of, ReleasedRecording) else read_published_boxes(beside)
    return moved(boxes, beside, geometry, sensor)[0]


def segments_of(
    samples: SampleWindows | None, n: int, keep: Sequence[int] | None = None
) -> Int64Array:
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

    @property
    def identity(self) -> str:
        """As `Source` has it."""
        return f"{self.name} {self.feature} {self.split} {self.delta_t_us}"

    def open(self) -> Frames:
        """Open the features file."""
        file: FeaturesFile | MetavisionFile
        if isinstance(self.of, Path):
            check_there(self.of)
            file = _features_at(self.of)
        else:
            file = self.of.features[self.feature]
        with contextlib.ExitStack() as stack:
            if isinstance(self.of, Path):
                stack.callback(file.close)
            if self.delta_t_us not in (None, file.delta_t_us):
                has = f"of {file.delta_t_us} µs" if file.delta_t_us else "not of one duration"
                raise UsageError(
                    f"its windows are {has}; {self.delta_t_us} µs are asked for",
                    path=file.path,
                    hint=f"Ask for delta_t={file.delta_t_us or None}, or make the feature with "
                    "other windows.",
                )
            frames = FileFrames(file, self)
            frames.closing = stack.pop_all()
        return frames

    def labels(self) -> Mapping[int, str]:
        """As `Source` has it."""
        return labels_of(self.of)

    def boxes_beside(self) -> Path | None:
        """As `Source` has it."""
        return boxes_path(self.of) if isinstance(self.of, Path) else None

    def shown_as(self) -> Representation | None:
        """Return the representation of the file, if it is one that is known here."""
        with self.open() as frames:
            assert isinstance(frames, FileFrames)
            with contextlib.suppress(UsageError):  # a class of a user's own, for one
                return frames.representation
        return None


def check_there(path: Path) -> None:
    """Raise `LayoutError` if a recording's file is missing: damage, which a loader may skip."""
    if not os.path.lexists(path):
        raise LayoutError("does not exist", path=path, hint=_WHAT_TO_GIVE)


def _features_at(path: Path) -> FeaturesFile | MetavisionFile:
    """Open a features file, evreel's or Metavision's own."""
    try:
        return FeaturesFile(path)
    except LayoutError:
        if is_metavision_file(path):
            return MetavisionFile(path)
        raise


def _of_split(recording: ReleasedRecording, split: str | None) -> list[int] | None:
    """Return the samples of a split; None for all of them."""
    if split is None or recording.split == split or "samples" not in recording.kinds:
        return None
    return [k for k, name in enumerate(recording.samples.split) if name == split]


class FileFrames(Frames):
    """Frames of a features file.

    Attributes
    ----------
    closing : closes what was opened for it.
    """

    closing: contextlib.ExitStack

    def __init__(self, file: FeaturesFile | MetavisionFile, source: FeatureSource) -> None:
        self._file = file
        self.windows, self.samples, self.extra = file.windows, file.samples, file.extra
        keep, labelled, beside = None, labelled_of(source.of), boxes_file_of(source.of)
        if not isinstance(source.of, Path):
            keep = _of_split(source.of, source.split)
        boxes, n = self._boxes_of(source, beside)
        super().__init__(boxes, n, labelled, has_boxes=beside is not None)
        self.segments = segments_of(file.samples, len(file), keep)
        self.metadata = Metadata(
            source.name,
            file.path,
            file.sensor,
            (file.shape[1], file.shape[2], file.shape[3]),
            file.t_offset,
            int(file.windows.stop_us.max(initial=0)),
            file.delta_t_us,
            file.geometry,
            beside,
            labelled,
            _start_of(file.windows),
        )

    @property
    def dtype(self) -> str:
        """As `Look` has it."""
        if isinstance(self._file, FeaturesFile) and self._file.scale is None:
            return self._file.dtype.name
        return "float32"

    @property
    def representation(self) -> Representation:
        """What the frames are; raises `UsageError` if it is not known here."""
        return create(self.made_by, self.parameters)

    @property
    def made_by(self) -> str:
        """The name of their representation, also if it is not known here."""
        return self._file.representation

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters of their representation."""
        return self._file.parameters

    def _boxes_of(
        self, source: FeatureSource, beside: Path | None
    ) -> tuple[tuple[Boxes, Int64Array], int]:
        """Return the boxes of each frame, and how many there are in all."""
        file, of = self._file, source.of
        if beside is not None and isinstance(of, ReleasedRecording):
            return of.boxes_of(source.feature), len(of.boxes)
        if beside is not None and first_path(beside).exists():
            boxes, first = read_boxes_of_windows(beside)
            if len(first) != len(file) + 1:
                raise UsageError(
                    f"has boxes of {len(first) - 1} windows; the features have {len(file)}",
                    path=beside,
                    hint="Make the boxes of this feature again.",
                )
            return (boxes, first), len(boxes)
        boxes = boxes_for(of, file.geometry, file.sensor)
        return boxes_of_windows(boxes, file.windows, samples=file.samples), len(boxes)

    def read(self, start: int, stop: int, into: Frame) -> None:
        """Fill an array with frames of the file."""
        for row, k in enumerate(range(start, stop)):
            self._file.read_into(k, into[row])

    def close(self) -> None:
        """Close the file, if nobody else has it open."""
        self.closing.close()


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
    size
        (height, width) of frames; None: as the settings' geometry says.
    stream, sensor
        Of a path: which event stream, and the sensor's size if the recording does not state it.
    """

    name: str
    of: Path | ReleasedRecording
    settings: FeatureSettings
    split: str | None = None
    slices: Path | None = None
    size: Sensor | None = None
    stream: int | str | None = None
    sensor: SensorSize | None = None

    @property
    def identity(self) -> str:
        """As `Source` has it."""
        read_as = f"{self.stream} {self.given_sensor}"
        return f"{self.name} {self.settings} {self.split} {self.size} {read_as}"

    def open(self) -> Frames:
        """Open the events; a recording that is not a store is decoded."""
        if isinstance(self.of, Path):
            check_there(self.of)
        return _LiveFrames(self)

    def look(self) -> Look:
        """Return what its frames look like; nothing is decoded for it."""
        if isinstance(self.of, ReleasedRecording):
            sensor = self.of.events.sensor
        else:
            check_there(self.of)
            with open_recording(self.of, stream=self.stream, sensor=self.given_sensor) as recording:
                sensor = recording.sensor
        feature = self.settings_for(sensor).feature()
        return Look(feature.shape(sensor), {}, _dtype_of(feature))

    def labels(self) -> Mapping[int, str]:
        """As `Source` has it."""
        return labels_of(self.of)

    def boxes_beside(self) -> Path | None:
        """As `Source` has it."""
        return boxes_path(self.of) if isinstance(self.of, Path) else None

    def shown_as(self) -> Representation | None:
        """Return the representation."""
        return self.settings.feature().representation

    @property
    def given_sensor(self) -> Sensor | None:
        """The sensor's size, if it is given."""
        return None if self.sensor is None else Sensor.given(self.sensor)

    def settings_for(self, sensor: Sensor) -> FeatureSettings:
        """Return the settings for a recording of a sensor."""
        if self.size is None:
            return self.settings
        return replace(self.settings, geometry=to_size(sensor, self.size))


_NOWHERE = -1, None

_WHAT_TO_GIVE = "Give the folder that holds the release's manifest.json, or files that are there."


def _dtype_of(feature: Feature) -> str:
    """Return the type of the frames of a feature, as `Look` has it."""
    computed = feature.representation.dtype
    has_values = feature.stored is None or feature.stored.scale_of(computed) is None
    return feature.dtype if has_values else "float32"


class _LiveFrames(Frames):
    """Frames that are computed when they are read."""

    def __init__(self, source: LiveSource) -> None:
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._open(source, stack)
            self._stack = stack.pop_all()

    def _open(self, source: LiveSource, stack: contextlib.ExitStack) -> None:
        released = source.of if isinstance(source.of, ReleasedRecording) else None
        events: Divided
        if isinstance(source.of, Path):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evreel-"))
            given = source.given_sensor
            events = stack.enter_context(
                as_events(
                    source.of,
                    beside=Path(folder, "features.h5"),
                    stream=source.stream,
                    sensor=None if given is None else given.text,
                    most=most_in_memory(source.slices),
                )
            ).events
        else:
            events = source.of.events
        settings = source.settings_for(events.sensor)
        self._feature = settings.feature()
        division, geometry = settings.division(), self._feature.geometry
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
        every, beside = boxes_for(source.of, geometry, events.sensor), boxes_file_of(source.of)
        boxes = boxes_of_windows(every, self.windows, samples=self.samples)
        labelled = labelled_of(source.of)
        super().__init__(boxes, len(every), labelled, has_boxes=beside is not None)
        self.extra = MappingProxyType({})
        self.segments = segments_of(self.samples, len(self.windows), keep)
        self._lock = threading.Lock()
        self._next: tuple[int, OfEvents | None] = _NOWHERE
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
            same_duration_of(settings),
            geometry,
            beside,
            labelled,
            _start_of(self.windows),
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

    @property
    def dtype(self) -> str:
        """As `Look` has it."""
        return _dtype_of(self._feature)

    def read(self, start: int, stop: int, into: Frame) -> None:
        """Compute frames; those that follow the last ones go on where these ended."""
        self.read_part(start, stop, into, changed=None, alone=False)

    def read_part(
        self, start: int, stop: int, into: Frame, *, changed: OfEvents | None, alone: bool
    ) -> None:
        """Compute frames, of changed events if asked for; alone: without events of later ones."""
        with self._lock:
            if alone or self._next != (start, changed):
                self._frames = self._from(slice(start, stop if alone else None), changed)
            self._next = _NOWHERE  # an error leaves no place to go on from
            for row in range(stop - start):
                frame = next(self._frames)
                into[row] = frame if self._values is None else self._values[frame]
            self._next = _NOWHERE if alone else (stop, changed)

    def _from(self, rows: slice, changed: OfEvents | None) -> Iterator[Frame]:
        feature = self._feature if changed is None else changed.of_feature(self._feature)
        run = Run(feature, self.windows[rows], self._oldest_us[rows], regions=self._regions)
        events = self._events
        together = frames_together([run], events.read, events.sensor, index_of=events.index_of)
        return (frame for _, frame in together)

    def close(self) -> None:
        """Close what was opened for it."""
        self._frames = iter(())
        self._stack.close()


def sources_of(
    files: Files,
    settings: FeatureSettings | None = None,
    *,
    feature: str | None = None,
    split: str | None = None,
    delta_t_us: int | None = None,
    size: Sensor | None = None,
    stream: int | str | None = None,
    sensor: SensorSize | None = None,
) -> list[Source]:
    """Return what a loader is given as sources, in the order given; a release's by their ids.

    Parameters
    ----------
    files
        A release or its folder; or paths of features files, of recordings or stores, also as
        wildcards or folders of them; or recordings of a release, one by one.
    settings
        What to compute live; None for precomputed features.
    feature
        Name of a release's feature; needed if it has several and nothing is computed live.
    split
        Which recordings and samples of a release; None for all.
    delta_t_us
        Duration that precomputed windows must have; None for any.
    size
        (height, width) of frames that are computed live; None: as their geometry says.
    stream, sensor
        Of recordings by their paths, as `LiveSource` takes them.

    Raises
    ------
    UsageError
        If there is nothing, or not what is asked for.
    """
    release = given_release(files)
    each: Sequence[Path | ReleasedRecording]
    if isinstance(files, (str, os.PathLike)):
        _check_existence(files)
    own = _own_sources(files, settings, feature, split, delta_t_us)
    if own:
        return own
    if settings is not None and feature is not None:
        raise UsageError(
            f"feature={feature!r} is precomputed, and a representation is to be computed live",
            hint="Give one of them.",
        )
    for name, value in (("stream", stream), ("sensor", sensor)):
        if settings is None and value is not None:
            raise UsageError(
                f"{name}={value!r} is of recordings, and frames are precomputed",
                hint=f"Leave {name} out, or give a representation to compute live.",
            )
    if release is not None:
        if feature is None and settings is None:
            feature = _only_feature(release)
        each = _members(release, split)
    else:
        assert not isinstance(files, Release)
        given: Iterable[Any] = [files]
        if isinstance(files, Iterable) and not isinstance(files, (str, os.PathLike)):
            given = files
        each = [
            found
            for one in given
            if not isinstance(one, Source)
            for found in _files_at(one, settings is not None)
        ]
        for name, value in (("split", split), ("feature", feature)):
            if value is not None and not any(isinstance(one, ReleasedRecording) for one in each):
                for one in each:
                    _check_existence(one)
                raise UsageError(f"{name}={value!r} is for a release; files have none")
    if not each:
        raise UsageError(
            "there is no recording" + (f" in split {split!r}" if split else ""),
            hint="Give files, or a split that has recordings.",
        )
    found: list[Source] = []
    for one in each:
        name = one.id if isinstance(one, ReleasedRecording) else one.name.removesuffix(".h5")
        if settings is not None:
            of_path = (None, None) if isinstance(one, ReleasedRecording) else (stream, sensor)
            found.append(LiveSource(name, one, settings, split, None, size, *of_path))
        elif isinstance(one, ReleasedRecording) and feature is None:
            raise UsageError(
                f"which feature of recording {name!r}?",
                hint=f"Give feature=; there are {', '.join(one.features) or 'none'}.",
            )
        else:
            found.append(FeatureSource(name, one, feature or "", split, delta_t_us))
    return found


def _check_existence(given: str | Path | ReleasedRecording) -> None:
    """Raise `UsageError` if a path, which is no wildcard, leads nowhere."""
    if isinstance(given, (str, os.PathLike)) and not (
        os.path.lexists(given) or glob.has_magic(os.fspath(given))
    ):
        raise UsageError("does not exist", path=given, hint=_WHAT_TO_GIVE)


def _own_sources(
    files: Files,
    settings: FeatureSettings | None,
    feature: str | None,
    split: str | None,
    delta_t_us: int | None,
) -> list[Source]:
    """Return sources that are given as such, or by RVT's tree; nothing if it is something else."""
    from evreel.loaders.rvt_tree import is_rvt_tree, rvt_sources

    own: list[Source] = []
    if isinstance(files, (str, os.PathLike)):
        if is_rvt_tree(Path(files)):
            own = list(rvt_sources(files, split, feature=feature, delta_t_us=delta_t_us))
    elif isinstance(files, Sequence):
        own = [one for one in files if isinstance(one, Source)]
        if own and (len(own) < len(files) or split is not None):
            raise UsageError("sources go neither with files beside them nor with split=")
    if own and settings is not None:
        raise UsageError(
            "frames of RVT's tree, and of sources, are as they are: nothing is computed live",
            hint="Leave the representation and its settings out.",
        )
    return own


def _files_at(given: str | Path | ReleasedRecording, live: bool) -> list[Path | ReleasedRecording]:
    """Return the recordings, or features files, that a name, wildcard or folder stands for."""
    if isinstance(given, ReleasedRecording):
        return [given]
    if not isinstance(given, (str, os.PathLike)):
        raise UsageError(
            f"{given!r} is neither a file nor a recording of a release",
            hint="Give paths, a folder, a release or recordings of one.",
        )
    folder = Path(given)
    if not folder.is_dir():
        return list(files_of([given], but=BOXES_SUFFIX))
    beside = (*OF_BOXES, LABEL_MAP)
    files = [
        path
        for path in sorted(folder.glob("*" if live else "*.h5"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(beside)
    ]
    if not files:
        raise UsageError(
            f"has no {'recording' if live else 'features file, *.h5,'} in it",
            path=folder,
            hint="Give the folder that has the files themselves, or a wildcard.",
        )
    return list(files)


def are_features(files: Files) -> bool:
    """Tell whether the first file that is there holds frames; False for a release."""
    if isinstance(files, Release):
        return False
    for one in [files] if isinstance(files, (str, os.PathLike)) else files:
        if isinstance(one, (str, os.PathLike)):
            with contextlib.suppress(UsageError):
                for path in _files_at(one, live=False):
                    if isinstance(path, Path) and path.is_file():
                        return is_features_file(path)
    return False


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


def check_shapes(frames: OfRecording, shape: tuple[int, ...]) -> None:
    """Raise `ParameterError` if frames have another shape than a batch has room for."""
    if frames.metadata.shape != tuple(shape):
        raise ParameterError(
            f"its frames are {frames.metadata.shape}; {tuple(shape)} is expected (C, H, W)",
            path=frames.metadata.path,
            hint="Frames of a batch have one shape: make the feature in one size (in the config, "
            "features/<name>/geometry), or compute it live in one: representation= and "
            "array_dim=(T, C, H, W); for StreamLoader, height= and width=.",
        )
