"""What a release holds, counted: events, time, boxes, samples and frames of each recording.

Everything that tells people or programs about a release is made from these facts: its page, its
data card, its index, its metadata. They are plain numbers and names, so that they are kept as JSON
beside the file that they were counted in, and no file is read again to tell of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from evreel.timebase import Int64Array

if TYPE_CHECKING:
    from evreel.files.events_store import EventsStore
    from evreel.files.features import FeaturesFile
    from evreel.files.samples import SamplesFile
    from evreel.files.slices import SlicesFile

BINS = 60
"""Equal parts of a recording's time in which events and boxes are counted."""

SIZE_EDGES = (0, 8, 16, 32, 64, 128, 256, 512)
"""Sides of squares, px: boxes are counted by the side of the square that has their area, from one
edge to before the next; the last count has no upper edge."""


def edges_us(duration_us: int) -> Int64Array:
    """Return the edges of the `BINS` parts of a recording: (BINS + 1,) int64, µs.

    Examples
    --------
    >>> edges_us(6_000)[[0, 1, -1]].tolist()
    [0, 100, 6000]
    """
    return np.arange(BINS + 1, dtype=np.int64) * duration_us // BINS


@dataclass(frozen=True)
class EventFacts:
    """Events of a recording.

    Parameters
    ----------
    height, width
        Of the sensor, px.
    events, on
        How many events, and how many of them ON.
    duration_us
        `t_stop_us` of the recording: its last timestamp + 1.
    rate
        Events in each of `BINS` equal parts of that time.
    """

    height: int
    width: int
    events: int
    on: int
    duration_us: int
    rate: tuple[int, ...]

    @classmethod
    def of(cls, store: EventsStore) -> Self:
        """Count what an events store holds, in memory bounded by a chunk."""
        rows = store.index_of(edges_us(store.t_stop_us))
        p = store.columns[-1]
        rows_at_once = (p.chunks or (len(p),))[0]
        on = sum(
            int(np.count_nonzero(p[first : first + rows_at_once]))
            for first in range(0, len(p), rows_at_once)
        )
        rate = tuple(np.diff(rows).tolist())
        return cls(*store.sensor, len(store), on, store.t_stop_us, rate)


@dataclass(frozen=True)
class ClassFacts:
    """Boxes of one class in a recording.

    Parameters
    ----------
    boxes, tracks
        How many boxes, and of how many tracks.
    frames
        Different times that boxes have: how many frames show the class.
    sizes
        Boxes by size, as `SIZE_EDGES` divides them.
    over_time
        Boxes in each of `BINS` equal parts of the recording; without its events, of the time up to
        its last box. A box is spread over its frame, as `box_facts` finds it: parts have fractions
        of boxes, whose sum is `boxes`.
    """

    boxes: int
    tracks: int
    frames: int
    sizes: tuple[int, ...]
    over_time: tuple[float, ...]


@dataclass(frozen=True)
class FrameFacts:
    """Frames of one feature of a recording: how many, (C, H, W) of one, dtype, representation."""

    frames: int
    shape: tuple[int, int, int]
    dtype: str
    representation: str


@dataclass(frozen=True)
class RecordingFacts:
    """What a release holds of one recording.

    Parameters
    ----------
    events
        None if the release has no events of it.
    labelled_us
        For how long annotators looked at it, µs; None if it was not annotated.
    boxes
        Name of a class → its boxes; only classes that have any. None without a file of boxes.
    samples
        Split → class → samples; None if it is not cut into samples. A sample without a class is
        counted under an empty name.
    features
        Name of a feature → its frames.
    """

    id: str
    split: str
    events: EventFacts | None = None
    labelled_us: int | None = None
    boxes: Mapping[str, ClassFacts] | None = None
    samples: Mapping[str, Mapping[str, int]] | None = None
    features: Mapping[str, FrameFacts] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON, which `read` reads."""
        return asdict(self)

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Return what `plain` gave."""
        events, boxes = value["events"], value["boxes"]
        return cls(
            **dict(value)
            | {
                "events": None if events is None else EventFacts(**_with_tuples(events)),
                "boxes": None
                if boxes is None
                else {name: ClassFacts(**_with_tuples(of)) for name, of in boxes.items()},
                "features": {
                    name: FrameFacts(**_with_tuples(of)) for name, of in value["features"].items()
                },
            }
        )


def _with_tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(of) if isinstance(of, list) else of for name, of in value.items()}


def box_facts(
    boxes: npt.NDArray[np.void], labels: Mapping[int, str], duration_us: int | None
) -> dict[str, ClassFacts]:
    """Count boxes by class.

    A box has the time at which its frame ends. The frame begins at the time before that any box of
    the recording has, or, if that is longer ago, as long before as is usual between such times.

    Parameters
    ----------
    boxes
        Records of EventBbox, in the sensor's pixels.
    labels
        Number of a class → its name; one that has none is counted under its number.
    duration_us
        Of the recording. None if that is not known: the time then ends with the last box.
    """
    found = {}
    if duration_us is None:
        duration_us = int(boxes["t"].max(initial=0))
    times_us, frame = np.unique(boxes["t"], return_inverse=True)
    frame_us = np.diff(times_us, prepend=0)
    usual_us = np.median(np.diff(times_us)) if len(times_us) > 1 else 1
    starts_us = times_us - np.clip(frame_us, 1, usual_us)
    area = boxes["w"].astype(np.float64) * boxes["h"].astype(np.float64)
    size = np.searchsorted(np.square(np.array(SIZE_EDGES[1:], np.float64)), area, side="right")
    for number in np.unique(boxes["class_id"]).tolist():
        mine = boxes["class_id"] == number
        in_frame = np.bincount(frame[mine], minlength=len(times_us))
        seen = in_frame > 0
        found[labels.get(number, str(number))] = ClassFacts(
            int(mine.sum()),
            len(np.unique(boxes["track_id"][mine])),
            int(np.count_nonzero(seen)),
            tuple(np.bincount(size[mine], minlength=len(SIZE_EDGES)).tolist()),
            spread(starts_us[seen], times_us[seen], duration_us, in_frame[seen]),
        )
    return found


def spread(
    start: npt.ArrayLike,
    stop: npt.ArrayLike,
    whole: float,
    counts: npt.ArrayLike = 1,
) -> tuple[float, ...]:
    """Count intervals in `BINS` equal parts of a whole, each spread evenly over its own length.

    Parameters
    ----------
    start, stop
        Of each interval, start < stop. What is before the whole or after it counts in its first or
        last part.
    whole
        How long the whole is, which starts at 0.
    counts
        How often each interval counts.

    Examples
    --------
    >>> spread([0, 50], [100, 100], 100)[:31]  # doctest: +ELLIPSIS
    (0.016667, 0.016667, ..., 0.05)
    >>> sum(spread([-5, 0], [5, 1], 0, [2, 1]))
    3.0
    """
    start, stop = np.asarray(start, np.float64), np.asarray(stop, np.float64)
    counts = np.broadcast_to(np.asarray(counts, np.float64), start.shape)
    at = np.concatenate((start, stop))
    slopes = np.concatenate((counts, -counts)) / np.tile(stop - start, 2)
    order = np.argsort(at, kind="stable")
    at = at[order]
    before = np.cumsum(slopes[order])[:-1] * np.diff(at)  # of the count, from each to the next
    inner = np.interp(
        np.arange(1, BINS) * whole / BINS, at, np.concatenate(([0.0], np.cumsum(before)))
    )
    edges = np.concatenate(([0.0], inner, [counts.sum()]))
    return tuple(np.maximum(np.diff(edges), 0).round(6).tolist())


def labelled_us(slices: SlicesFile) -> int:
    """Return for how long annotators looked at a recording, µs."""
    spans = slices.labelled
    stop = np.minimum(spans.stop_us, slices.t_stop_us)
    return int(np.maximum(stop - np.maximum(spans.start_us, 0), 0).sum())


def sample_facts(file: SamplesFile) -> dict[str, dict[str, int]]:
    """Count samples by split and class."""
    counts: dict[str, dict[str, int]] = {}
    for split, label in zip(file.split, file.samples.label, strict=True):
        of_split = counts.setdefault(split, {})
        of_split[label] = of_split.get(label, 0) + 1
    return counts


def frame_facts(file: FeaturesFile) -> FrameFacts:
    """Return what a features file says of its frames."""
    return FrameFacts(len(file), file.shape[1:], str(file.dtype), file.representation)


@dataclass(frozen=True)
class Totals:
    """Sums of some recordings.

    Parameters
    ----------
    recordings, events, duration_us, labelled_us
        Sums.
    boxes, tracks, samples
        Class → how many; only classes that have any.
    """

    recordings: int
    events: int
    duration_us: int
    labelled_us: int
    boxes: Mapping[str, int]
    tracks: Mapping[str, int]
    samples: Mapping[str, int]

    @classmethod
    def of(cls, facts: Sequence[RecordingFacts], split: str | None = None) -> Self:
        """Sum up the recordings of a split, or all.

        Samples are counted in their own split: a recording whose samples are of several splits is
        in split ``mixed``, and its events, time and boxes are counted there.
        """
        mine = [one for one in facts if split in (None, one.split)]
        boxes: dict[str, int] = {}
        tracks: dict[str, int] = {}
        samples: dict[str, int] = {}
        for one in mine:
            for name, of in (one.boxes or {}).items():
                boxes[name] = boxes.get(name, 0) + of.boxes
                tracks[name] = tracks.get(name, 0) + of.tracks
        for one in facts:
            for name_of_split, classes in (one.samples or {}).items():
                for name, n in classes.items() if split in (None, name_of_split) else ():
                    samples[name] = samples.get(name, 0) + n
        counted = [one.events for one in mine if one.events is not None]
        return cls(
            len(mine),
            sum(one.events for one in counted),
            sum(one.duration_us for one in counted),
            sum(one.labelled_us or 0 for one in mine),
            boxes,
            tracks,
            samples,
        )
