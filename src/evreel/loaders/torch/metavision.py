"""Metavision ML's loaders by their names, as `evreel.compat.metavision.data` has them.

What differs from Metavision's, on purpose:

- Every frame and every label is delivered once an epoch, whatever `padding` is: what is missing at
  the end of a recording or of a lane is zeros, of which no frame is labelled, and
  ``frame_is_padded`` says where. ``padding="drop"`` leaves incomplete batches out, and counts them.
- A label on the border of two batches is in the first of them.
- Precomputed frames are taken as they are. If they are not of the representation, duration or size
  that is asked for, that is an error; other values of its parameters are told in the log.
- Frames that are computed live are those of files, bit by bit, and inputs are float32.
- An order that is shuffled depends on `seed` and the recordings' names, neither on the clock nor on
  the number of workers. `state_dict` and `load_state_dict` go on in the middle of an epoch.
- A file that is damaged or missing is an error that names it, or, with ``on_damage="skip"``, is
  left out and counted in `counts`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from evreel.annotations.tables import Spans
from evreel.boxes import load_labels_stub
from evreel.errors import EvreelError, UsageError
from evreel.events import Sensor
from evreel.geometry import Geometry
from evreel.loaders import shown
from evreel.loaders.arguments import at_least
from evreel.loaders.lane import Batch, Info, Room
from evreel.loaders.sequential import LanesLoader
from evreel.loaders.shown import VizLabels
from evreel.loaders.sources import (
    FileFrames,
    Files,
    Frames,
    Look,
    Metadata,
    Source,
    are_features,
)
from evreel.loaders.streaming import Mode, PaddingMode
from evreel.loaders.torch.sequential import SequentialLoader
from evreel.loaders.torch.streaming import StreamLoader
from evreel.representations import REGISTRY, Representation
from evreel.representations.base import Frame
from evreel.steps.common import LOG
from evreel.video.labelled import Image
from evreel.viz import to_rgb


@dataclass(frozen=True)
class FileMetadata:
    """What a batch says of the recording in a lane, by Metavision's names.

    Attributes
    ----------
    path : the file that its frames come from; empty for a lane that never has a recording.
    duration : where its last window ends, µs.
    delta_t : duration of a window, µs; 0 if windows have none that is the same for all.
    num_tbins : frames of a lane in a batch.
    start_ts : where its first window starts, µs.
    padding : whether it only fills a lane that has no recording left.
    name, sensor, shape, t_offset, geometry, boxes, labelled, spans_us : as
        `evreel.loaders.sources.Metadata` has them; `evreel.boxes` reads them.
    """

    path: str
    duration: int
    delta_t: int
    num_tbins: int
    start_ts: int = 0
    padding: bool = False
    name: str = ""
    sensor: Sensor | None = None
    shape: tuple[int, int, int] = (0, 0, 0)
    t_offset: int = 0
    geometry: Geometry | None = None
    boxes: Path | None = None
    labelled: Spans | None = field(default=None, compare=False, repr=False)
    spans_us: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def of(cls, metadata: Metadata, num_tbins: int) -> FileMetadata:
        """Return what a loader of evreel's says, by these names."""
        return cls(
            str(metadata.path),
            metadata.duration_us,
            metadata.delta_t_us,
            num_tbins,
            metadata.start_ts,
            metadata.padding,
            metadata.name,
            metadata.sensor,
            metadata.shape,
            metadata.t_offset,
            metadata.geometry,
            metadata.boxes,
            metadata.labelled,
            metadata.spans_us,
        )


class VideoInfo(NamedTuple):
    """What is in a lane of a batch: the recording, and which part of it, in µs."""

    metadata: FileMetadata
    start_ts: int
    duration: int


@dataclass(frozen=True)
class _Told:
    """A function that loads labels, which is told of a recording by Metavision's names."""

    load_labels: Callable[..., Any]
    num_tbins: int

    def __call__(
        self, metadata: Any, start_us: int, duration_us: int, tensor: Any, /
    ) -> tuple[Sequence[Any], Any]:
        told = FileMetadata.of(metadata, self.num_tbins)
        labels, is_labelled = self.load_labels(told, start_us, duration_us, tensor)
        return labels, is_labelled


@dataclass(frozen=True)
class _Asked(Source):
    """A recording of which a part is taken, and which must be what is asked for.

    Parameters
    ----------
    source
        The recording.
    representation
        What its precomputed frames must be; None: anything, or they are computed.
    duration_us
        Windows that start at or after it are left out; None: none are.
    """

    source: Source
    representation: str | None
    duration_us: int | None

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.source.name

    @property
    def identity(self) -> str:
        return f"{self.source.identity} {self.duration_us}"

    def open(self) -> Frames:
        with contextlib.ExitStack() as stack:
            frames = stack.enter_context(self.source.open())
            made_by = frames.made_by if isinstance(frames, FileFrames) else None
            if self.representation not in (None, made_by):
                raise UsageError(
                    f"its frames are {made_by!r}; {self.representation!r} is asked for",
                    path=frames.metadata.path,
                    hint=f"Ask for {made_by!r}, or give the recordings themselves.",
                )
            if self.duration_us is not None:
                _leave_out(frames, self.duration_us)
            stack.pop_all()
        return frames

    def look(self) -> Look:
        return self.source.look()

    def shown_as(self) -> Representation | None:
        return self.source.shown_as()

    def labels(self) -> Mapping[int, str]:
        return self.source.labels()


def _leave_out(frames: Frames, duration_us: int) -> None:
    """Leave out the windows that start at or after a time."""
    n = int(np.searchsorted(frames.windows.start_us, duration_us))
    frames.segments = np.minimum(frames.segments, n)
    stop_us = int(frames.windows.stop_us[:n].max(initial=0))
    frames.metadata = frames.metadata._replace(duration_us=stop_us)


class _ByMetavision(LanesLoader):
    """What Metavision's loaders are beside what evreel's are: name it before a loader.

    Batches come from ``__next__``, so that a class which inherits from it may change what that
    returns. ``iter(loader)`` begins an epoch, and so does ``next(loader)``, if none is begun.

    Attributes
    ----------
    height, width : size of frames, px.
    num_tbins : T, frames of a lane in a batch.
    """

    _batches: Iterator[Batch] | None = None
    _device: Any = None

    def _begin(self, load_labels: Callable[..., Any] | None, sources: Sequence[Source]) -> None:
        """Take recordings, and let a function that reads `FileMetadata` load their labels."""
        num_tbins = self._lanes.num_tbins
        told = None if load_labels is None else _Told(load_labels, num_tbins)
        self._lanes = replace(self._lanes, load_labels=told, sources=sources)
        self.num_tbins = num_tbins
        _, self.height, self.width = self._lanes.shape

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch, or go on from a loaded state."""
        self._batches = None
        return _Iteration(self, super().__iter__())

    def __next__(self) -> Any:
        """Return the next batch of the epoch."""
        if self._batches is None:
            self._batches = super().__iter__()
        batch = next(self._batches)
        if self._device is not None:
            for name, value in batch.items():
                batch[name] = value.to(self._device) if hasattr(value, "to") else value
        return batch

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, "_batches": None}

    def to(self, device: Any) -> Any:
        """Deliver tensors on a device from now on; returns the loader."""
        self._device = device
        return self

    def cuda(self, device: Any = "cuda") -> Any:
        """Deliver tensors on a GPU from now on; returns the loader."""
        return self.to(device)

    def cpu(self) -> Any:
        """Leave tensors on the CPU from now on; returns the loader."""
        return self.to(None)

    def get_vis_func(self) -> Callable[[Frame], Image]:
        """Return what makes a picture, (H, W, 3) uint8, of a frame, (C, H, W)."""
        return functools.partial(to_rgb, of=self._lanes.sources[0].shown_as())

    def _delivered(self, room: Room) -> Batch:
        batch = super()._delivered(room)
        n = self._lanes.num_tbins
        batch["video_infos"] = [_info(info, n) for info in batch["video_infos"]]
        return batch


class _Iteration:
    """An iteration over a loader: batches as its ``__next__`` makes them.

    The loader does not hold it, so that an iteration that is broken off closes its files.
    """

    def __init__(self, loader: _ByMetavision, batches: Iterator[Batch]) -> None:
        self._loader, self._batches = loader, batches

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        before, self._loader._batches = self._loader._batches, self._batches
        try:
            return next(self._loader)
        finally:
            self._loader._batches = before


def _info(info: Info | None, num_tbins: int) -> VideoInfo:
    """Return what is in a lane, by Metavision's names."""
    if info is None:
        return VideoInfo(FileMetadata("", 0, 0, num_tbins, padding=True), 0, 0)
    return VideoInfo(FileMetadata.of(info.metadata, num_tbins), info.start_us, info.duration_us)


class SequentialDataLoader(_ByMetavision, SequentialLoader):
    """Yield batches of sequences that go on from batch to batch.

    Parameters
    ----------
    files
        Features files, evreel's or Metavision's own; or recordings and events stores, of which
        frames are computed live. Also what else `SequentialLoader` takes.
    delta_t
        Duration of a frame, µs. That of precomputed frames must be the same; 0 or None: any.
    preprocess_function_name
        What frames are, or are to be; None: whatever precomputed frames are.
    array_dim
        (T, C, H, W).
    load_labels
        Function of (metadata, start_us, duration_us, tensor) → T labels, and (T,) which of them
        are labelled; it is told of the recording as a `FileMetadata`. None: the boxes of each
        frame.
    durations
        How much of each file is taken, µs; empty: all of it.
    batch_size, num_workers, preprocess_kwargs, shuffle, transforms
        As `SequentialLoader` has them; `transforms` is given a tensor.
    padding
        True and False both deliver every frame; ``drop``: as `SequentialLoader` has it.
    more
        What else `SequentialLoader` takes, by name.

    Raises
    ------
    UsageError
        If arguments are not valid, or contradict each other or the files.
    """

    def __init__(
        self,
        files: Files,
        delta_t: int | None,
        preprocess_function_name: str | None,
        array_dim: Sequence[int],
        load_labels: Callable[..., Any] | None = load_labels_stub,
        durations: Sequence[int] = (),
        batch_size: int = 8,
        num_workers: int = 2,
        preprocess_kwargs: Mapping[str, Any] = MappingProxyType({}),
        shuffle: bool = False,
        padding: bool | Literal["pad", "drop"] = False,
        transforms: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> None:
        name = preprocess_function_name
        is_live = not (name is None or "feature" in more or are_features(files))
        super().__init__(
            files,
            delta_t or None,
            name if is_live else None,
            array_dim,
            batch_size=batch_size,
            num_workers=num_workers,
            preprocess_kwargs=preprocess_kwargs if is_live else None,
            shuffle=shuffle,
            padding="pad" if padding is False else padding,
            transforms=transforms,
            **{**_context(name), **more},
        )
        sources = self._lanes.sources
        if len(durations) not in (0, len(sources)):
            raise UsageError(
                f"there are {len(sources)} files, but {len(durations)} durations",
                hint="Give a duration for each file, in their order, or none.",
            )
        expected = None if is_live else name
        parts = [at_least("durations", one, 1) for one in durations]
        asked = [
            _Asked(source, expected, part)
            for source, part in zip(sources, parts or repeat(None), strict=False)
        ]
        self._begin(load_labels, asked)
        if not is_live:
            _tell(asked, preprocess_kwargs)


def _tell(sources: Sequence[Source], parameters: Mapping[str, Any]) -> None:
    """Tell in the log which parameters of the first recording's frames are not those asked for."""
    for source in sources:
        with contextlib.suppress(EvreelError), source.open() as frames:
            if isinstance(frames, FileFrames):
                for name, value in parameters.items():
                    has = frames.parameters.get(name, value)
                    if has != value:
                        LOG.warning(
                            "%s: its frames were made with %s=%s, not %s, and are taken as they "
                            "are",
                            *(frames.metadata.path, name, has, value),
                        )
            return


def _context(representation: str | None) -> dict[str, Any]:
    """Return how worker processes start, if that matters.

    A representation that was registered in this process is known only to processes forked from it.
    """
    found = REGISTRY.get(representation or "")
    if found is None or found.__module__.startswith("evreel.representations."):
        return {}
    return {"multiprocessing_context": "fork"}


class CDProcessorDataLoader(_ByMetavision, StreamLoader):
    """Yield batches of sequences straight from recordings, while these are decoded.

    Parameters
    ----------
    files
        Recordings of any format.
    mode
        A frame's window: ``delta_t``: of that duration; ``n_events``: of so many events; ``mixed``:
        of both, whichever ends first. An argument that the mode does not need is ignored.
    delta_t, n_events
        Duration of a frame, µs, and number of its events.
    max_duration
        How much of each recording is taken, µs; None: all of it.
    preprocess_function_name
        What frames are.
    num_tbins, batch_size, num_workers, height, width, preprocess_kwargs, padding_mode, transforms
        As `StreamLoader` has them; `transforms` is given a tensor.
    load_labels
        As `SequentialDataLoader` has it; None: the boxes of each frame.
    more
        What else `StreamLoader` takes, by name.
    """

    def __init__(
        self,
        files: Files,
        mode: Mode,
        delta_t: int,
        n_events: int,
        max_duration: int | None,
        preprocess_function_name: str,
        num_tbins: int,
        batch_size: int,
        num_workers: int = 2,
        height: int | None = None,
        width: int | None = None,
        preprocess_kwargs: Mapping[str, Any] = MappingProxyType({}),
        load_labels: Callable[..., Any] | None = None,
        padding_mode: PaddingMode = "zeros",
        transforms: Callable[[Any], Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            files,
            mode,
            delta_t,
            n_events,
            max_duration,
            preprocess_function_name,
            num_tbins,
            batch_size,
            num_workers,
            height,
            width,
            preprocess_kwargs,
            padding_mode=padding_mode,
            transforms=transforms,
            **{**_context(preprocess_function_name), **more},
        )
        self._begin(load_labels, self._lanes.sources)


def show_dataloader(
    dataloader: Iterable[Mapping[str, Any]],
    height: int | None,
    width: int | None,
    batch_size: int,
    viz_function: Callable[[Frame], Image],
    viz_labels: VizLabels = None,
) -> Iterator[Image]:
    """Yield a picture of each time bin of a loader's batches: `evreel.loaders.shown`.

    Parameters
    ----------
    dataloader
        The loader.
    height, width
        Size of a lane's picture.
    batch_size
        Number of lanes; batches say it too.
    viz_function
        Function of a frame → its picture, such as ``dataloader.get_vis_func()``.
    viz_labels
        Function of (picture, labels) of a lane that returns a picture, or draws on the one that it
        is given; None: nothing is drawn.
    """
    if isinstance(dataloader, LanesLoader):
        if dataloader.batch_size != batch_size:
            raise UsageError(
                f"batch_size={batch_size}, but batches have {dataloader.batch_size} lanes"
            )
        dataloader = LanesLoader.__iter__(dataloader)
    return shown.show_dataloader(dataloader, height, width, viz_function, viz_labels)
