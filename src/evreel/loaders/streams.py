"""Recordings as streams of frames, computed while they are decoded.

Memory does not grow with a recording: what is held are the events of the windows that come next,
and the piece that was decoded last.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from evreel.boxes import Boxes
from evreel.closing import Closing
from evreel.errors import EvreelError, UsageError
from evreel.events import Events
from evreel.files.boxes import boxes_of_windows
from evreel.files.divided import Divided, oldest_us_of
from evreel.geometry import Regions
from evreel.loaders.arriving import NO_WINDOWS, Arriving, Cutting
from evreel.loaders.damage import told_by_the_system
from evreel.loaders.pieces import Piece, pieces
from evreel.loaders.sources import (
    Frames,
    LiveSource,
    Look,
    Metadata,
    boxes_file_of,
    boxes_for,
    check_there,
    labelled_of,
    same_duration_of,
)
from evreel.recordings.open import STRICT, Reading, Recording, open_recording
from evreel.release.open import ReleasedRecording
from evreel.representations import Frame
from evreel.representations.running import Continued
from evreel.samples.samples import Member
from evreel.timebase import Int64Array
from evreel.windows import Count, Duration, Mixed, Windows


@dataclass(frozen=True)
class StreamSource(LiveSource):
    """A recording whose frames are computed while it is decoded.

    Parameters
    ----------
    max_duration_us
        What is at or after this time is left out; None: nothing is.
    format, reading
        Of a path: its format, and how events that break a rule are handled, as `evreel.open` takes
        them.
    """

    max_duration_us: int | None = None
    format: str | None = None
    reading: Reading = STRICT

    def __post_init__(self) -> None:
        if self.max_duration_us is not None and self._is_cut:
            raise UsageError(
                f"recording {self.name!r} is cut into samples: max_duration does not apply",
                hint="Leave it out, or cut shorter samples.",
            )

    @property
    def _is_cut(self) -> bool:
        return isinstance(self.of, ReleasedRecording) and "samples" in self.of.kinds

    @property
    def identity(self) -> str:
        """As `Source` has it."""
        return f"{super().identity} {self.max_duration_us} {self.reading}"

    def look(self) -> Look:
        """Return what its frames look like; nothing is decoded for it."""
        with contextlib.ExitStack() as stack:
            sensor = self.recording(stack).sensor
        return Look(self.settings_for(sensor).feature().shape(sensor), {})

    def streamed(self) -> Stream:
        """Open it for reading its frames in order."""
        return _OfSamples(self) if self._is_cut else _OfRecording(self)

    def recording(self, stack: contextlib.ExitStack) -> Recording:
        """Open its events; a stack closes what is opened for it."""
        if isinstance(self.of, ReleasedRecording):
            return self.of.events
        check_there(self.of)
        return stack.enter_context(
            open_recording(
                self.of,
                stream=self.stream,
                sensor=self.given_sensor,
                format=self.format,
                reading=self.reading,
            )
        )


class Stream(Closing):
    """The frames of one recording in order.

    Attributes
    ----------
    metadata : of the recording; `duration_us` is where the last window so far ends.
    has_boxes : whether there is a file of boxes.
    is_broken : whether frames could not be computed, so that none can follow.
    looks_back : whether frames depend on those before them.
    """

    metadata: Metadata
    has_boxes: bool
    is_broken = False
    looks_back = False

    @abstractmethod
    def pieces(self, num_tbins: int) -> Iterator[tuple[Frames, Piece]]:
        """Yield each piece of at most `num_tbins` frames, which must be read before the next."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """Return what was left out or changed, at the end."""


class _OfSamples(Stream):
    """A released recording that is cut into samples: they are in its store."""

    def __init__(self, source: StreamSource) -> None:
        self._frames = source.open()
        self.metadata, self.has_boxes = self._frames.metadata, self._frames.has_boxes

    def pieces(self, num_tbins: int) -> Iterator[tuple[Frames, Piece]]:
        for piece in pieces(self._frames.segments, num_tbins):
            yield self._frames, piece

    def counts(self) -> dict[str, int]:
        return {"labels_outside_windows": self._frames.n_labels_outside}

    def close(self) -> None:
        self._frames.close()


class _OfRecording(Stream):
    """A recording that is decoded while its frames are computed."""

    def __init__(self, source: StreamSource) -> None:
        with contextlib.ExitStack() as stack:
            self._open(source, stack)
            self._stack = stack.pop_all()

    def _open(self, source: StreamSource, stack: contextlib.ExitStack) -> None:
        self._recording = recording = source.recording(stack)
        sensor = recording.sensor
        self._settings = source.settings_for(sensor)
        feature = self._settings.feature()
        self._run = Continued(feature, sensor, _regions_of(source, feature.geometry.labels))
        self.looks_back = self._run.looks_back
        chunks = events_of(recording)
        stack.callback(chunks.close)  # type: ignore[attr-defined]
        on_disk = self._run.needs_all
        self._arriving = stack.enter_context(
            Arriving(chunks, sensor, source.max_duration_us, on_disk=on_disk)
        )
        self._members: list[Member] = list(getattr(recording, "members", ()))
        parts = recording.clocks if isinstance(recording, Divided) else self._members
        self._parts = [(part.start_us, part.stop_us) for part in parts]
        self._pending, self._taken = NO_WINDOWS, 0  # windows, and how many of them were yielded
        beside = boxes_file_of(source.of)
        self.has_boxes = beside is not None
        self._boxes = boxes_for(source.of, feature.geometry, sensor)
        labelled = labelled_of(source.of)
        self._n_labels = 0
        self._latest_us: int | None = None  # where the last window so far ends
        stored, computed = feature.stored, feature.representation.dtype
        scale = None if stored is None else stored.scale_of(computed)
        self._values = None if scale is None else (np.arange(256) * scale).astype(np.float32)
        self.metadata = Metadata(
            source.name,
            recording.path,
            sensor,
            feature.shape(sensor),
            recording.t_offset,
            0,
            same_duration_of(self._settings),
            feature.geometry,
            beside,
            labelled,
        )

    def pieces(self, num_tbins: int) -> Iterator[tuple[Frames, Piece]]:
        blocks = self._blocks()
        damage: EvreelError | None = None
        is_first = True
        while True:
            while len(self._pending) - self._taken < num_tbins and damage is None:
                try:
                    with told_by_the_system():
                        block = next(blocks, None)
                except EvreelError as error:
                    damage = error  # after the frames before it
                    break
                if block is None:
                    break
                self._pending = _end_to_end(self._pending[self._taken :], block)
                self._taken = 0
            windows = self._pending[self._taken : self._taken + num_tbins]
            self._taken += len(windows)
            if not len(windows):
                break
            yield self._part(windows), Piece(0, len(windows), is_first)
            is_first = False
        if damage is not None:
            raise damage

    def compute(self, windows: Windows, into: Frame) -> None:
        """Fill `into` with the frames of the next windows."""
        self.is_broken = True
        arriving = self._arriving
        oldest_us = oldest_us_of(self._members, windows.start_us)
        frames = self._run.frames(windows, arriving.read, arriving.index_of, oldest_us)
        for k, frame in enumerate(frames):
            into[k] = frame if self._values is None else self._values[frame]
        self.is_broken = False

    def counts(self) -> dict[str, int]:
        n_outside = len(self._boxes) - self._n_labels
        return {"labels_outside_windows": n_outside, **self._recording.repairs}

    def close(self) -> None:
        self._stack.close()

    def _blocks(self) -> Iterator[Windows]:
        """Yield windows as they become known, those of each part of the recording on its own."""
        arriving, division = self._arriving, self._settings.division()
        assert isinstance(division, Duration | Count | Mixed)
        starts = [start for start, _ in self._parts] or [0]
        for k, begin in enumerate(starts):
            origin = division.origin_us - begin
            cutting = Cutting(replace(division, origin_us=max(origin, 0) if k else origin), begin)
            while not cutting.is_done:
                windows = cutting.windows(arriving, self._end_of(k))
                if len(windows):
                    yield self._within(k, windows)
                elif not cutting.is_done:
                    self._let_go(cutting)
                    arriving.more()

    def _end_of(self, k: int) -> int | None:
        """Return where a part ends, None while it is not known that all its events have come."""
        arriving = self._arriving
        stop_us = self._parts[k][1] if self._parts else None
        if arriving.is_over:
            return arriving.t_stop_us if stop_us is None else min(stop_us, arriving.t_stop_us)
        return None if stop_us is None or arriving.last_us < stop_us else stop_us

    def _within(self, k: int, windows: Windows) -> Windows:
        """Return windows of a part, the last of which stops where the next part begins."""
        if k + 1 >= len(self._parts):
            return windows
        following = self._parts[k + 1][0]
        if self._arriving.is_over and following >= self._arriving.t_stop_us:
            return windows
        stop_us = np.minimum(windows.stop_us, following)
        return Windows(windows.start_us, stop_us, windows.start, windows.stop)

    def _let_go(self, cutting: Cutting) -> None:
        """Hold no longer the events that no window needs any more."""
        arriving, pending, k = self._arriving, self._pending, self._taken
        row, start_us = cutting.next_window(arriving)
        if k < len(pending):
            row, start_us = int(pending.start[k]), int(pending.start_us[k])
        oldest_us = int(oldest_us_of(self._members, np.array([start_us]))[0])
        arriving.let_go(self._run.first_needed(row, start_us, oldest_us, arriving.index_of))

    def _part(self, windows: Windows) -> _Part:
        latest_us = self._latest_us
        first_us = int(windows.start_us[0])
        t = self._boxes["t"]
        # The first window of all takes labels at its start too; others those after it.
        if latest_us is None:
            low = np.searchsorted(t, first_us)
            self.metadata = self.metadata._replace(start_ts=first_us)
        else:
            low = np.searchsorted(t, max(first_us, latest_us), side="right")
        self._latest_us = stop_us = max(int(windows.stop_us.max()), latest_us or 0)
        high = np.searchsorted(t, stop_us, side="right")
        boxes = boxes_of_windows(self._boxes[low:high], windows)
        self._n_labels += len(boxes[0])
        self.metadata = self.metadata._replace(duration_us=stop_us)
        return _Part(self, windows, boxes, latest_us)


class _Part(Frames):
    """Some windows of a stream, whose frames are read once, in order."""

    samples = None
    extra: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        stream: _OfRecording,
        windows: Windows,
        boxes: tuple[Boxes, Int64Array],
        before_us: int | None,
    ) -> None:
        self._stream, self.metadata, self.windows = stream, stream.metadata, windows
        n, labelled = len(boxes[0]), stream.metadata.labelled
        super().__init__(boxes, n, labelled, has_boxes=stream.has_boxes, before_us=before_us)
        self.segments = np.array([[0, len(windows)]])

    def read(self, start: int, stop: int, into: Frame) -> None:
        self._stream.compute(self.windows[start:stop], into)

    def close(self) -> None:
        """Leave the stream open for the parts after it."""


def _regions_of(source: StreamSource, labels: Sequence[str] | None) -> Regions | None:
    """Return where regions with some labels are, if a geometry asks for them."""
    if not labels:
        return None
    if isinstance(source.of, ReleasedRecording):
        return source.of.slices.regions_of(labels)
    raise UsageError(
        "a geometry with labels needs the slices that say where they are",
        path=source.of,
        hint="Stream a release that has slices.",
    )


def events_of(recording: Recording) -> Iterator[Events]:
    """Yield the events of a recording, chunk by chunk."""
    for batch in recording.batches(side=False):
        if isinstance(batch, Events):
            yield batch


def _end_to_end(windows: Windows, others: Windows) -> Windows:
    columns = ("start_us", "stop_us", "start", "stop")
    return Windows(*(np.append(getattr(windows, c), getattr(others, c)) for c in columns))
