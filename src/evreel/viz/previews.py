"""A short stretch of a recording, to look at: where most is labelled, or most happens.

What it shows depends on what labels the recording: outlines that people drew, boxes that came with
it, samples that it is cut into, or nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.dataset.settings import PreviewSettings
from evreel.events import Events
from evreel.files.boxes import check_classes, read_boxes
from evreel.files.events_store import READ_ROWS, EventsStore
from evreel.files.slices import SlicesFile
from evreel.geometry import corners, is_finite
from evreel.samples.samples import Samples
from evreel.text import nfc
from evreel.timebase import FrameClock, Int64Array
from evreel.video.labelled import Image, LabelledPictures, Moment, Outline, Showing
from evreel.video.text import Font, shortened
from evreel.viz.moments import Moments, Piece

POSTER_PX = 400
"""Longer side of a poster, px; it is less where that is no whole number of sensor pixels."""

_NAME_PX = 240


class Shown(NamedTuple):
    """What a picture shows: its events, each with its region, and all else."""

    pieces: Sequence[Piece]
    moment: Moment

    @property
    def worth(self) -> tuple[int, int, int]:
        """How much there is to see: regions, their events, events."""
        inside = sum(int(np.count_nonzero(roi >= 0)) for _, roi in self.pieces)
        return len(self.moment.outlines), inside, sum(len(roi) for _, roi in self.pieces)


def sized(sensor: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Return by what a sensor is magnified, and by what it is reduced, to be at most so large.

    Examples
    --------
    >>> [sized(sensor, 720) for sensor in ((34, 34), (260, 346), (480, 640), (720, 1280))]
    [(21, 1), (2, 1), (1, 1), (1, 2)]
    """
    longest = max(sensor)
    return max(longest_px // longest, 1), -(-longest // longest_px)


def stretch(weight: npt.ArrayLike, most: int, second: npt.ArrayLike | None = None) -> range:
    """Return the stretch of at most so many neighbours that has most weight in all.

    Among several, it is the one that has most of `second`; then, the first.

    Examples
    --------
    >>> stretch([0, 1, 5, 0, 6, 0, 0], 3), stretch([1, 1, 1], 2, [0, 3, 4]), stretch([7], 3)
    (range(2, 5), range(1, 3), range(0, 1))
    """
    weights = np.asarray(weight, dtype=np.int64)
    n = len(weights)
    if n <= most:
        return range(n)
    sums = _sums(weights, most)
    best = np.flatnonzero(sums == sums.max())
    if second is not None:
        best = best[np.argmax(_sums(np.asarray(second, dtype=np.int64), most)[best])][None]
    start = int(best[0])
    return range(start, start + most)


def _sums(values: Int64Array, n: int) -> Int64Array:
    total: Int64Array = np.concatenate([[0], np.cumsum(values)])
    return total[n:] - total[:-n]


class Preview(ABC):
    """A short stretch of one recording: a picture of each of its frames, and one for all.

    Parameters
    ----------
    settings
        Length and size.
    font
        TrueType or OpenType file of names, None for the one that is built in.

    Attributes
    ----------
    shape : (height, width) of each picture.
    n : number of pictures.
    """

    n: int

    def __init__(self, settings: PreviewSettings, font: str | None) -> None:
        self._settings = settings
        self._font = font
        self._best: Shown | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of each picture."""
        return self._large.shape

    def frames(self) -> Iterator[Image]:
        """Draw the pictures of the stretch, in order, in memory bounded by one of them."""
        self._best, best = None, (-1, -1, -1)
        for shown in self._shown():
            if shown.worth > best:
                self._best, best = shown, shown.worth
            yield self._large.draw(shown.pieces, shown.moment)

    def poster(self) -> Image:
        """Draw the picture that stands for the recording: of those in `frames`, that with most.

        It is of the sensor alone, and smaller.
        """
        pictures = self._pictures(POSTER_PX)
        height, width = pictures.area
        if self._best is None:
            for _ in self.frames():
                pass
        best = self._best or Shown((), Moment("", 0, 1))
        return pictures.draw(best.pieces, best.moment)[:height, :width]

    @cached_property
    def _large(self) -> LabelledPictures:
        return self._pictures(self._settings.max_side_px, warn=True)

    def _look(self, sensor: tuple[int, int], longest_px: int) -> tuple[Showing, int]:
        magnify, reduce = sized(sensor, longest_px)
        return Showing(magnify, self._settings.theme, self._font), reduce

    @abstractmethod
    def _pictures(self, longest_px: int, warn: bool = False) -> LabelledPictures:
        """Return what draws pictures of which the sensor's longest side is at most so long."""

    @abstractmethod
    def _shown(self) -> Iterator[Shown]:
        """Yield what the pictures of the stretch show, in order."""


class OfSlices(Preview):
    """Of a recording that people annotate: frames of its clock, outlines and tags.

    Parameters
    ----------
    slices
        The open file.
    clock
        The clock that it was made with.
    store
        Its events, of which only the time index is read.
    settings, font
        As `Preview` takes them.
    """

    def __init__(
        self,
        slices: SlicesFile,
        clock: FrameClock,
        store: EventsStore,
        settings: PreviewSettings,
        font: str | None = None,
    ) -> None:
        super().__init__(settings, font)
        self._file, self._clock = slices, clock
        n = len(clock)
        frames = slices.frames_of_shapes() if slices.n_shapes else slices.tags.frame
        weight = np.bincount(frames[(frames >= 0) & (frames < n)], minlength=n)
        events = None
        if n > settings.max_frames:
            events = store.index_of(clock.stop_us) - store.index_of(clock.start_us)
        self._range = stretch(weight, settings.max_frames, events)
        self.n = len(self._range)

    def _moments(self, longest_px: int, warn: bool) -> Moments:
        look, reduce = self._look(self._file.sensor, longest_px)
        return Moments(self._file, look, self._clock, reduce=reduce, warn=warn)

    def _pictures(self, longest_px: int, warn: bool = False) -> LabelledPictures:
        return self._moments(longest_px, warn).pictures

    def _shown(self) -> Iterator[Shown]:
        moments = self._moments(self._settings.max_side_px, warn=False)
        for pieces, moment in moments.shown(self._clock, self._range):
            yield Shown(list(pieces), moment)


@dataclass
class _Regions:
    """Boxes as regions: a row for each class and track.

    Parameters
    ----------
    names
        Of the classes.
    label, track
        (n,) class, a position in `names`, and number of the track of each region.
    """

    names: Sequence[str] = ()
    label: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    track: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


class _OfStore(Preview):
    """Of a recording that people do not annotate: intervals of its events."""

    def __init__(self, store: EventsStore, settings: PreviewSettings, font: str | None) -> None:
        super().__init__(settings, font)
        self._store = store
        self._regions = _Regions()
        self._start_us: Int64Array = np.empty(0, dtype=np.int64)
        self._stop_us = self._start_us
        self._titles: list[str] = []

    def _pictures(self, longest_px: int, warn: bool = False) -> LabelledPictures:
        look, reduce = self._look(self._store.sensor, longest_px)
        regions = self._regions
        return LabelledPictures(
            *(self._store.sensor, regions.names, regions.label, regions.track, (), look),
            reduce=reduce,
            warn=warn,
        )

    def _take(self, start_us: npt.ArrayLike, stop_us: npt.ArrayLike, titles: list[str]) -> None:
        self._start_us = np.asarray(start_us, dtype=np.int64)
        self._stop_us = np.asarray(stop_us, dtype=np.int64)
        self._titles, self.n = titles, len(titles)

    def _shown(self) -> Iterator[Shown]:
        first, last = self._store.index_of([self._start_us, self._stop_us]).tolist()
        times = zip(self._start_us.tolist(), self._stop_us.tolist(), strict=True)
        rows = _rows(self._store, zip(first, last, strict=True))
        for title, (start, stop), pieces in zip(self._titles, times, rows, strict=True):
            yield self._moment(title, start, stop, pieces)

    def _moment(self, title: str, start: int, stop: int, pieces: Sequence[Events]) -> Shown:
        alone = [(events, np.full(len(events), -1, dtype=np.int32)) for events in pieces]
        return Shown(alone, Moment(title, start, stop, labelled=None))


class OfEvents(_OfStore):
    """Of a recording without labels: where most happens.

    Parameters
    ----------
    store
        Its events.
    settings, font
        As `Preview` takes them.
    """

    def __init__(
        self, store: EventsStore, settings: PreviewSettings, font: str | None = None
    ) -> None:
        super().__init__(store, settings, font)
        edges = _edges(store, settings.window_us)
        weight = np.diff(store.index_of(edges))
        self._take_windows(edges, stretch(self._weighed(edges), settings.max_frames, weight))

    def _weighed(self, edges: Int64Array) -> Int64Array:
        """Return how much of what labels the recording is in each window."""
        return np.zeros(len(edges) - 1, dtype=np.int64)

    def _take_windows(self, edges: Int64Array, which: range) -> None:
        n = len(edges) - 1
        low, high = which.start, which.stop
        titles = [f"window {k} of {n}" for k in which]
        self._take(edges[low:high], edges[low + 1 : high + 1], titles)


class OfBoxes(OfEvents):
    """Of a recording with boxes that were not drawn on frames of a video.

    A window shows the boxes in it, of each track the last; one that has none shows the last ones
    before it, for as long as it takes until the next ones usually come.

    Parameters
    ----------
    store
        Its events.
    boxes
        File of EventBbox records.
    labels
        Names of the classes in the order of their numbers; without any, they are named by number.
    settings, font
        As `Preview` takes them.

    Raises
    ------
    AnnotationError
        If a box has a class without a label, or the file cannot be read.
    """

    def __init__(
        self,
        store: EventsStore,
        boxes: str | Path,
        labels: Sequence[str],
        settings: PreviewSettings,
        font: str | None = None,
    ) -> None:
        found = read_boxes(boxes)
        self._boxes = found[is_finite(corners(found))]
        if labels:
            check_classes(self._boxes, boxes, len(labels))
        times = np.unique(self._boxes["t"])
        self._hold_us = int(np.median(np.diff(times))) if len(times) > 1 else 0
        super().__init__(store, settings, font)
        self._name(labels)

    def _weighed(self, edges: Int64Array) -> Int64Array:
        return np.diff(np.searchsorted(self._boxes["t"], edges, side="right"))

    def _name(self, labels: Sequence[str]) -> None:
        """Make regions of the boxes that are shown."""
        t = self._boxes["t"]
        low = int(np.searchsorted(t, self._start_us.min(initial=0) - self._hold_us))
        high = int(np.searchsorted(t, self._stop_us.max(initial=0), side="right"))
        self._boxes = self._boxes[low:high]
        columns = [self._boxes[name].astype(np.int64) for name in ("class_id", "track_id")]
        each, self._region = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        self._region = self._region.reshape(-1)
        names, label = list(labels), each[:, 0]
        if not names:
            numbers, label = np.unique(each[:, 0], return_inverse=True)
            names = [f"class {number}" for number in numbers.tolist()]
        self._regions = _Regions(names, label, each[:, 1])

    def _moment(self, title: str, start: int, stop: int, pieces: Sequence[Events]) -> Shown:
        rows = self._rows(start, stop)
        height, width = self._store.sensor
        inside = np.full((height, width), -1, dtype=np.int32)
        outlines = []
        x, y, w, h = (column.astype(np.float64) for column in corners(self._boxes[rows]))
        sides = np.stack([x, y, x + w, y + h], axis=1)
        # A pixel is inside where its centre is.
        pixels = np.clip(np.ceil(sides - 0.5), 0, [width, height] * 2).astype(np.int64)
        for row, side, pixel in zip(rows.tolist(), sides.tolist(), pixels.tolist(), strict=True):
            left, top, right, bottom = side
            lines, columns = slice(pixel[1], pixel[3]), slice(pixel[0], pixel[2])
            region = int(self._region[row])
            inside[lines, columns] = region
            vertices = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
            outlines.append(Outline(region, vertices, "box"))
        labelled = [(events, inside[events.y, events.x]) for events in pieces]
        return Shown(labelled, Moment(title, start, stop, outlines))

    def _rows(self, start: int, stop: int) -> Int64Array:
        """Return the boxes that a window shows: the largest first, so that others are on top."""
        t = self._boxes["t"]
        low, high = np.searchsorted(t, [start, stop], side="right").tolist()
        if low == high and high and stop - int(t[high - 1]) <= self._hold_us:
            low = int(np.searchsorted(t, t[high - 1]))
        rows = np.arange(low, high)
        _, last = np.unique(self._region[low:high][::-1], return_index=True)
        rows = rows[::-1][last]
        area = self._boxes["w"][rows] * self._boxes["h"][rows]
        return rows[np.lexsort((rows, -area))]


class OfSamples(_OfStore):
    """Of a recording that is cut into samples: the first ones, one after the other.

    A frame is a part of one sample, and names its class; time between samples is not shown.

    Parameters
    ----------
    store
        Its events.
    samples
        Where they are.
    settings, font
        As `Preview` takes them.
    """

    def __init__(
        self,
        store: EventsStore,
        samples: Samples,
        settings: PreviewSettings,
        font: str | None = None,
    ) -> None:
        super().__init__(store, settings, font)
        letters = Font.read(font)
        parts = (
            (k, edge, min(edge + settings.window_us, int(samples.stop_us[k])))
            for k in range(len(samples))
            for edge in range(int(samples.start_us[k]), int(samples.stop_us[k]), settings.window_us)
        )
        taken = list(islice(parts, settings.max_frames))
        names = {
            k: shortened(nfc(samples.label[k]) or "no class", _NAME_PX, letters)
            for k in {k for k, _, _ in taken}
        }
        titles = [f"{names[k]}: sample {k + 1} of {len(samples)}" for k, _, _ in taken]
        self._take([start for _, start, _ in taken], [stop for _, _, stop in taken], titles)


def _edges(store: EventsStore, window_us: int) -> Int64Array:
    """Return the edges of windows that hold all events of a store; there is at least one."""
    n = max(-(-store.t_stop_us // window_us), 1)
    return np.arange(n + 1, dtype=np.int64) * window_us


def _rows(store: EventsStore, spans: Iterable[tuple[int, int]]) -> Iterator[list[Events]]:
    """Yield the events of rows ``[first, last)`` of a store, reading neighbours once."""
    held, low = store.read(0, 0), 0
    for first, last in spans:
        pieces = []
        while first < last:
            if not low <= first < low + len(held):
                held, low = store.read(first, first + READ_ROWS), first
            taken = held[first - low : last - low]
            pieces.append(taken)
            first += len(taken)
        yield pieces
