"""Labelled samples as events or as frames: a map-style data set, as PyTorch's loaders take it."""

from __future__ import annotations

import functools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError, RepresentationError, UsageError
from evreel.events import Events, Sensor
from evreel.loaders.arguments import at_least, check_on_damage, checked_index, one_of
from evreel.loaders.cached import ArrayCache
from evreel.loaders.code_digest import digest_of_function
from evreel.loaders.damage import OnDamage
from evreel.loaders.samples import LabelledSamples, SampleSource
from evreel.provenance import digest_of
from evreel.representations import Feature, Representation, create, frames
from evreel.representations.base import Frame
from evreel.representations.functions import Own
from evreel.representations.sources import telling
from evreel.text import size_text
from evreel.timebase import Int64Array
from evreel.windows import MOST_WINDOWS, Number, Windows, cut

EventArrays = dict[str, npt.NDArray[Any]]
"""Events of one sample: t int64 µs since the sample's start, x and y uint16, p uint8 {0, 1}."""

DataType = Literal["event", "frame"]
SplitBy = Literal["number", "time"]

Integrate = Callable[[EventArrays, int, int], Any]
"""Function of (events, height, width) → frames of one sample, first dimension time."""

STRUCTURED = np.dtype([("x", "<i8"), ("y", "<i8"), ("t", "<i8"), ("p", "<i8")])
"""Events in one array: signed and wide, so that no sum or difference of a transform wraps."""

_REVISION = 1
"""Raised when frames of the same samples and parameters change; kept ones are then made again."""


class FramesDataset:
    """The samples of a release, or of plain files, as ``(events, label)`` or ``(frames, label)``.

    It is map-style: ``dataset[k]`` reads the rows of sample k and nothing else. It can be pickled,
    and shared by threads and by worker processes, each of which opens files for itself.

    Parameters
    ----------
    source
        A release or its folder; or plain files: a list of pairs, each an events store (or a
        features file) and the samples file of the same recording.
    split
        ``train``, ``val`` or ``test``; None takes the samples of all splits.
    data_type
        ``event``: items have events; ``frame``: frames. None takes frames if any argument says how
        they are made, or the files hold them, and else events.
    frames_number
        How many frames a sample is divided into, by `split_by`. Frames begin at the sample's first
        event; each has the whole-number share of the events or of the time, the last all the rest.
    split_by
        ``number``: equally many events per frame; ``time``: frames of equal duration. None is
        ``number``.
    duration
        Duration of each frame, µs, instead of `frames_number`. Frames begin at the sample's first
        event, and there are ⌈(t_last − t_first) / duration⌉, but at least one. An event exactly at
        the end of the last is in it.
    custom_integrate_function
        Function of ``(events, H, W)`` → frames, first dimension time, instead of both. Its events
        are a dict of arrays, as items have them. Frames become float32.
    representation
        What frames are made of, with `frames_number` or `duration`: a name, a representation, or a
        feature with a geometry. None counts events by polarity (channel 0 OFF, 1 ON), as float32.
    feature
        Name of a feature of the release: items have the frames of the sample's windows, as the
        features file holds them; where values are stored in steps, as the float32 they stand for.
    transform
        Function of an item's events or frames.
    target_transform
        Function of a label. `targets` are the labels without it.
    cache
        Folder in which computed frames are kept before `transform`, by content of the sample,
        parameters and code of the function, so that they are never those of anything else. It may
        be shared by processes and by data sets. None keeps nothing. Events, and frames of features
        files, are always read from the files themselves.
    structured
        Whether events are one structured array ``x, y, t, p``, all int64, as Tonic's transforms
        take them, and not a dict of arrays.
    on_damage
        ``fail``: a damaged or missing file is an error when a sample of it is asked for; ``skip``:
        every sample is read once at the start, and those that cannot be are left out and counted.

    Attributes
    ----------
    classes : names of the classes in the order of their numbers.
    class_to_idx : name of a class → its number.
    targets : (n,) int64, read-only: class number of each sample, −1 none. No sample is read.
    samples : (n,) recording, sample, label, group, split and times of each.
    labels : name → (n,) array of what is known of each sample, for views (`evreel.loaders.views`).
    digest : ``sha256:…`` of all that items follow from.
    counts : ``skipped_recordings``, of which no sample could be read because a file cannot be
        opened; ``skipped_samples``, theirs included; ``damaged_in_cache``, frames that this process
        made again.

    Raises
    ------
    UsageError
        If arguments contradict each other, or the source has no such split or feature.
    EvreelError
        If what says which samples there are is damaged. Asking for a sample raises it if its file
        is.

    Examples
    --------
    ::

        train = FramesDataset("gestures-1.0", "train", frames_number=16, cache="frames")
        frames, label = train[0]      # (16, 2, 128, 128) float32, 3
        train.classes[label]          # 'arm_roll'
    """

    def __init__(
        self,
        source: SampleSource,
        split: str | None = None,
        *,
        data_type: DataType | None = None,
        frames_number: int | None = None,
        split_by: SplitBy | None = None,
        duration: int | None = None,
        custom_integrate_function: Integrate | None = None,
        representation: str | Representation | Feature | None = None,
        feature: str | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        cache: str | os.PathLike[str] | None = None,
        structured: bool = False,
        on_damage: OnDamage = "fail",
    ) -> None:
        one_of("data_type", data_type, (None, *get_args(DataType)))
        check_on_damage(on_damage)
        self._integration = _integration(
            frames_number, split_by, duration, custom_integrate_function, representation, feature
        )
        self._samples = LabelledSamples(source, split, feature, on_damage)
        are_frames = self._samples.of_frames or self._integration is not None
        if data_type == "event" and are_frames:
            raise UsageError(
                "data_type='event' contradicts what says how frames are made",
                hint="Leave out data_type, or what is about frames.",
            )
        if data_type == "frame" and not are_frames:
            raise UsageError(
                "data_type='frame' does not say which frames",
                hint="Give frames_number, duration, custom_integrate_function or feature.",
            )
        if self._samples.of_frames and self._integration is not None:
            raise UsageError(
                "frames of a features file are not integrated again",
                hint="Give events stores, or leave out what says how frames are made.",
            )
        if structured and are_frames:
            raise UsageError("structured=True is about events, but frames are asked for")
        if cache is not None and not (isinstance(cache, (str, os.PathLike)) and os.fspath(cache)):
            raise UsageError(f"cache={cache!r} is not a folder", hint="Give its path, or None.")
        self._structured = structured
        self._cache = None if cache is None else ArrayCache(cache)
        if self._cache is not None and self._integration is not None:
            _ = self._integration.identity  # an error of it need not wait for the first item
            self._seen_as = digest_of_function(type(self).arrays_of)
        self.transform = transform
        self.target_transform = target_transform
        labels = self._samples.labels
        self.classes = tuple(labels[number] for number in sorted(labels))
        self.class_to_idx: Mapping[str, int] = {name: number for number, name in labels.items()}
        self.targets: Int64Array = self._samples.numbers
        self.samples = self._samples.rows

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._samples)

    def __repr__(self) -> str:
        what = "frames" if self._samples.of_frames or self._integration else "events"
        return f"<{what} of {len(self)} samples, {len(self.classes)} classes>"

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return a sample's events or frames, and its class number; negative ones from the end.

        Raises
        ------
        NoSuchExampleError
            If there is no such sample; it is also an `IndexError`.
        EvreelError
            If it cannot be read, or its frames cannot be made.
        """
        k = checked_index(index, len(self), "sample", from_end=True)
        item = self._item(k)
        label: Any = int(self.targets[k])
        if self.transform is not None:
            item = self.transform(item)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return item, label

    @property
    def counts(self) -> dict[str, int]:
        """What was left out, and what was made again."""
        return {
            "skipped_recordings": self._samples.skipped_recordings,
            "skipped_samples": self._samples.skipped_samples,
            "damaged_in_cache": 0 if self._cache is None else self._cache.damaged,
        }

    @property
    def labels(self) -> Mapping[str, npt.NDArray[Any]]:
        """What is known of each sample without reading it: name → (n,) array.

        `label` is the class number; `recording`, `sample`, `group` and `split` are text;
        `start_us` and `stop_us` are times in its recording.
        """
        names = ("recording", "sample", "group", "split", "start_us", "stop_us")
        columns = {name: [getattr(row, name) for row in self.samples] for name in names}
        return {"label": self.targets} | {
            name: np.array(column, dtype=np.int64 if name.endswith("_us") else np.str_)
            for name, column in columns.items()
        }

    @property
    def digest(self) -> str:
        """``sha256:…`` of all that the items follow from: samples, parameters, transforms' code.

        Raises
        ------
        ParameterError
            If a function has no digest.
        """
        made_by, own = self._integration, (self.transform, self.target_transform)
        says = [
            _REVISION,
            self._structured,
            None if made_by is None else made_by.identity,
            [None if function is None else digest_of_function(function) for function in own],
            self.targets.tolist(),
            [self._samples.content(k) for k in range(len(self))],
        ]
        return digest_of(says)

    @property
    def sensor_size(self) -> tuple[int, int, int]:
        """(W, H, 2) of the first sample's sensor, as Tonic's transforms take it.

        Raises
        ------
        UsageError
            If there is no sample.
        """
        if not len(self):
            raise UsageError("there is no sample, and so no sensor")
        height, width = self._samples.sensor(0)
        return width, height, 2

    def _item(self, k: int) -> Any:
        if self._samples.of_frames:
            return self._samples.frames(k)
        made_by = self._integration
        if made_by is None:
            events = self._samples.events(k)
            return structured(events) if self._structured else self.arrays_of(k, events)
        if isinstance(made_by, _ByFunction):
            made_by = replace(made_by, as_arrays=functools.partial(self.arrays_of, k))
        place = f"recording {self.samples[k].recording!r}, sample {self.samples[k].sample!r}"
        if self._cache is None:
            return made_by.frames(self._samples.events(k), place)
        content = self._samples.content(k) + self._samples.written(k)
        depends_on = [_REVISION, content, self._seen_as, made_by.identity]
        return self._cache.get(depends_on, lambda: made_by.frames(self._samples.events(k), place))

    def arrays_of(self, k: int, events: Events) -> EventArrays:
        """Return the events of sample k as items have them, and as functions get them.

        A subclass may have other types or times: what it returns follows from the sample alone.
        """
        return arrays(events)


def arrays(events: Events) -> EventArrays:
    """Return events as a dict of the columns t, x, y and p, which the caller may change."""
    return {name: getattr(events, name).copy() for name in "txyp"}


def structured(events: Events) -> npt.NDArray[np.void]:
    """Return events as one structured array x, y, t, p, as Tonic has them.

    Examples
    --------
    >>> from evreel.events import Sensor
    >>> structured(Events([5], [1], [0], [1], Sensor(1, 2))).tolist()
    [(1, 0, 5, 1)]
    """
    made = np.empty(len(events), dtype=STRUCTURED)
    for name in "xytp":
        made[name] = getattr(events, name)
    return made


class _Integration(ABC):
    """How the events of a sample become frames."""

    @property
    @abstractmethod
    def identity(self) -> Any:
        """What makes the frames other ones than others of the same events, plain JSON."""

    @abstractmethod
    def frames(self, events: Events, place: str) -> Frame:
        """Return the frames of a sample, which errors call by its `place`."""


@dataclass(frozen=True)
class _ByFunction(_Integration):
    """Frames by a function of the caller, which gets events as `as_arrays` returns them."""

    function: Integrate
    as_arrays: Callable[[Events], EventArrays] = arrays

    @property
    def identity(self) -> Any:
        return digest_of_function(self.function)

    def frames(self, events: Events, place: str) -> Frame:
        code = getattr(self.function, "__code__", None)
        files = {code.co_filename} if code else set()
        with telling(place, files, RepresentationError):
            made = np.asarray(self.function(self.as_arrays(events), *events.sensor))
        if made.ndim == 0 or made.dtype.kind not in "biuf":
            raise RepresentationError(
                f"custom_integrate_function returned {made.dtype} {made.shape}; an array of "
                "numbers is expected, first dimension time",
                place=place,
            )
        return made.astype(np.float32)


@dataclass(frozen=True)
class _ByWindows(_Integration):
    """Frames of windows: a number of them, or of a duration in µs; the other one is None."""

    number: Number | None
    duration: int | None

    @property
    def identity(self) -> Any:
        windows = [self.duration] if self.number is None else [self.number.number, self.number.by]
        return [windows, self._of_a_frame]

    def frames(self, events: Events, place: str) -> Frame:
        windows = self._windows(events, place)
        frame, dtype = self._form(events.sensor)
        try:
            made = np.empty((len(windows), *frame), dtype)
        except MemoryError:
            size = len(windows) * math.prod(frame) * np.dtype(dtype).itemsize
            raise UsageError(
                f"its {len(windows)} frames of {frame} take {size_text(size)}",
                place=place,
                hint="Choose fewer frames, or a longer duration.",
            ) from None
        self._fill(made, events, windows)
        return made

    @property
    @abstractmethod
    def _of_a_frame(self) -> Any:
        """What makes a frame of the same events another one, plain JSON."""

    @abstractmethod
    def _form(self, sensor: Sensor) -> tuple[tuple[int, int, int], str]:
        """Return (C, H, W) of a frame, and its type."""

    @abstractmethod
    def _fill(self, made: Frame, events: Events, windows: Windows) -> None:
        """Set the frame of each window."""

    def _windows(self, events: Events, place: str) -> Windows:
        def index_of(t: npt.ArrayLike) -> Int64Array:
            return np.searchsorted(events.t, t)

        if self.number is not None:
            end = max(events.t_stop_us, 1)
            return cut(self.number, [0], [end], index_of, events.t.take)[0]
        assert self.duration is not None
        first, last = (int(events.t[0]), int(events.t[-1])) if len(events) else (0, 0)
        n = max(-(-(last - first) // self.duration), 1)
        if n > MOST_WINDOWS:
            raise ParameterError(
                f"duration={self.duration} divides {last - first} µs into {n} frames",
                place=place,
                hint="Choose a longer duration.",
            )
        start_us = first + np.arange(n) * self.duration
        stop_us = start_us + self.duration
        stop_us[-1] = max(stop_us[-1], last + 1)  # an event at the end of the last is in it
        return Windows(start_us, stop_us, index_of(start_us), index_of(stop_us))


class _Counted(_ByWindows):
    """Events by polarity and pixel.

    NumPy counts them: the histogram's kernel is faster for frames of 100,000 events, but takes a
    second to load, in every worker process, and its driver 0.3 ms per sample.
    """

    @property
    def _of_a_frame(self) -> Any:
        return "counts"

    def _form(self, sensor: Sensor) -> tuple[tuple[int, int, int], str]:
        return (2, *sensor), "float32"

    def _fill(self, made: Frame, events: Events, windows: Windows) -> None:
        _, channels, height, width = made.shape
        pixel = (events.p.astype(np.int64) * height + events.y) * width + events.x
        rows = zip(windows.start.tolist(), windows.stop.tolist(), strict=True)
        for frame, (start, stop) in zip(made, rows, strict=True):
            counts = np.bincount(pixel[start:stop], minlength=channels * height * width)
            frame[...] = counts.reshape(frame.shape)


@dataclass(frozen=True)
class _Represented(_ByWindows):
    """Frames of a feature."""

    feature: Feature

    @property
    def _of_a_frame(self) -> Any:
        made_of = self.feature.representation
        # A user's own is known by its code: its name may stand for another one tomorrow.
        own = made_of.call.function if isinstance(made_of, Own) else type(made_of)
        return [self.feature.identity, made_of.revision, digest_of_function(own)]

    def _form(self, sensor: Sensor) -> tuple[tuple[int, int, int], str]:
        return self.feature.shape(sensor), self.feature.dtype

    def _fill(self, made: Frame, events: Events, windows: Windows) -> None:
        computed = frames(
            self.feature,
            lambda start, stop: events[start:stop],
            windows,
            events.sensor,
            index_of=lambda t: np.searchsorted(events.t, t),
            oldest_us=0,
        )
        for k, frame in enumerate(computed):
            made[k] = frame


def _integration(
    frames_number: int | None,
    split_by: str | None,
    duration: int | None,
    function: Integrate | None,
    representation: str | Representation | Feature | None,
    feature: str | None,
) -> _Integration | None:
    """Return how frames are made, None for events or frames that are read."""
    ways = {
        "frames_number": frames_number,
        "duration": duration,
        "custom_integrate_function": function,
        "feature": feature,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} each say which frames; give one of them")
    if split_by is not None and frames_number is None:
        raise UsageError(f"split_by={split_by!r} goes with frames_number")
    if representation is not None and frames_number is None and duration is None:
        raise UsageError("representation goes with frames_number or duration")
    if feature is not None or not given:
        return None
    if function is not None:
        if not callable(function):
            raise UsageError(
                f"custom_integrate_function is {type(function).__name__}, not a function",
                hint="Give a function of (events, H, W) that returns frames.",
            )
        return _ByFunction(function)
    number = None
    if frames_number is not None:
        one_of("split_by", split_by, (None, *get_args(SplitBy)))
        n = at_least("frames_number", frames_number, 1)
        number = Number(n, "time" if split_by == "time" else "count")
    windows = number, None if duration is None else at_least("duration", duration, 1)
    if representation is None:
        return _Counted(*windows)
    if isinstance(representation, str):
        representation = create(representation)
    if not isinstance(representation, (Representation, Feature)):
        raise UsageError(
            f"representation is {type(representation).__name__}",
            hint="Give its name, an instance, or a Feature of evreel.representations.",
        )
    whole = Feature.of(representation)
    if whole.geometry.labels:
        raise UsageError("a geometry with labels needs slices, which samples have not")
    return _Represented(*windows, whole)
