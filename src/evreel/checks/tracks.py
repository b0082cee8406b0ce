"""Checks of tracks: regions whose shapes or events look as if something went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import FloatArray
from evreel.annotations.tables import Spans
from evreel.checks.boxes import Boxes, frozen_box, frozen_runs
from evreel.checks.finding import Finding, Located, first_of
from evreel.checks.registry import Threshold, check_of, checks_of, findings
from evreel.events import Events
from evreel.files.slices import Int32Array, SlicesFile
from evreel.text import nfc
from evreel.timebase import Int64Array

_, warning = checks_of("tracks")

READ_ROWS = 1 << 18
READ_OVERLAPS = READ_SHAPES = 1 << 17


class Tracks(NamedTuple):
    """The regions of a recording: where each is shown, and how many events are in it.

    Parameters
    ----------
    names : of each region, such as ``car 3``.
    label : (n,) label of each region.
    n_events : (n,) events inside of each region, also those that are primarily another's.
    last_us : (n,) timestamp of the last of them, −1 where there is none.
    roi, frame, start_us, stop_us : (m,) region, frame and its interval of each shape, by frame.
    left, top, right, bottom : (m,) float64, what the shape covers, sensor px.
    sensor : (height, width) px.
    labelled : intervals that annotators looked at.
    """

    names: Sequence[str]
    label: npt.NDArray[np.int32]
    n_events: Int64Array
    last_us: Int64Array
    roi: npt.NDArray[np.int32]
    frame: Int64Array
    start_us: Int64Array
    stop_us: Int64Array
    left: FloatArray
    top: FloatArray
    right: FloatArray
    bottom: FloatArray
    sensor: tuple[int, int]
    labelled: Spans


def read_tracks(
    slices: SlicesFile, see: Callable[[Events, Int32Array], None] | None = None
) -> Tracks:
    """Read the regions of a slices file, and count the events in each, primary or not.

    Parameters
    ----------
    slices
        The open file.
    see
        Called with each chunk of events and their primary regions; without it, only times and
        regions are read.
    """
    rois = slices.rois
    n = len(rois.label)
    inside, last = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)

    def add(region: Int32Array, t: Int64Array) -> None:
        nonlocal inside
        inside += np.bincount(region, minlength=n)
        np.maximum.at(last, region, t)

    for row in range(0, slices.n_events, READ_ROWS):
        if see is None:
            roi = slices.roi(row, row + READ_ROWS)
            t = slices.times(row, row + READ_ROWS)
        else:
            events, roi = slices.read(row, row + READ_ROWS)
            see(events, roi)
            t = events.t
        labelled = np.flatnonzero(roi >= 0)
        add(roi[labelled], t[labelled])
        for event, region in slices.overlaps_of(row, row + len(t), READ_OVERLAPS):
            add(region, t[event - row])
    names = ("roi", "frame", "start_us", "stop_us", "x", "y", "w", "h")
    parts = []
    for row in range(0, max(slices.n_shapes, 1), READ_SHAPES):
        part = slices.shapes(row, row + READ_SHAPES)
        parts.append([getattr(part, name) for name in names])
    shape_roi, frame, start, stop, x, y, w, h = map(np.concatenate, zip(*parts, strict=True))
    left, top = x.astype(np.float64), y.astype(np.float64)
    regions = zip(rois.label.tolist(), rois.track.tolist(), strict=True)
    return Tracks(
        [
            nfc(slices.labels[label]) + (f" {track}" if track >= 0 else "")
            for label, track in regions
        ],
        *(rois.label, inside, last, shape_roi, frame, start, stop),
        *(left, top, left + w, top + h, slices.sensor, slices.labelled),
    )


class Suspect(NamedTuple):
    """A region at which something looks wrong: its row, the place in the file, and what."""

    roi: int
    place: str
    problem: str


_JUMP_STEPS = Threshold(
    "usual_steps", 5.0, "Speeding up takes an object several frames; a jump takes one."
)
_JUMP_LEAST_PX = Threshold(
    "least_px", 5.0, "Boxes of a few pixels are drawn no more exactly than that."
)


def jumping(tracks: Tracks) -> Iterator[Suspect]:
    """Yield regions whose box is somewhere else in the next frame."""
    order = np.lexsort((tracks.frame, tracks.roi))
    roi, frame = tracks.roi[order], tracks.frame[order]
    left, top, right, bottom = (
        side[order] for side in (tracks.left, tracks.top, tracks.right, tracks.bottom)
    )
    # Annotators of a stepped task see every n-th frame.
    apart = np.diff(np.unique(frame)).min(initial=np.iinfo(np.int64).max)
    next_one = (roi[1:] == roi[:-1]) & (frame[1:] - frame[:-1] == apart)
    step = np.hypot(np.diff(left + right), np.diff(top + bottom)) / 2
    touch = (left[1:] < right[:-1]) & (left[:-1] < right[1:])
    touch &= (top[1:] < bottom[:-1]) & (top[:-1] < bottom[1:])
    far = next_one & ~touch & (step >= _JUMP_LEAST_PX.value)
    for one in np.unique(roi[1:][far]).tolist():
        first, last = np.searchsorted(roi[1:], [one, one + 1])
        mine = first + np.flatnonzero(next_one[first:last])
        usual = float(np.median(step[mine]))
        jumps = mine[far[mine] & (step[mine] > _JUMP_STEPS.value * usual)]
        if len(jumps):
            k = int(jumps[0])
            yield Suspect(
                one,
                f"{tracks.names[one]}, frame {frame[k + 1]}",
                f"is {step[k]:.0f} px from where it was in frame {frame[k]}; its usual step is "
                f"{usual:.1f} px{first_of(len(jumps), 'such jumps')}; is it another object?",
            )


def leaving(tracks: Tracks) -> Iterator[Suspect]:
    """Yield regions that are shown wholly outside the sensor."""
    height, width = tracks.sensor
    out = (tracks.right <= 0) | (tracks.bottom <= 0)
    out |= (tracks.left >= width) | (tracks.top >= height)
    for one, frames in _by_region(tracks, out):
        yield Suspect(
            one,
            f"{tracks.names[one]}, frame {frames[0]}",
            f"is outside the sensor of {width}x{height} in {len(frames):,} frames; close the track "
            "where the object leaves",
        )


_SILENT_LEAST_US = Threshold(
    "least_us", 100_000, "Within that time, noise alone makes an event in most boxes."
)


def silent(tracks: Tracks) -> Iterator[Suspect]:
    """Yield regions without any event."""
    shown_us = np.bincount(
        tracks.roi, tracks.stop_us - tracks.start_us, minlength=len(tracks.names)
    )
    none = (tracks.n_events == 0) & (shown_us >= _SILENT_LEAST_US.value)
    for one in np.flatnonzero(none).tolist():
        yield Suspect(
            one,
            tracks.names[one],
            f"has no event in the {shown_us[one] / 1e6:.3f} s in which it is shown; is it of this "
            "recording, and at its time?",
        )


_UNCLOSED_LEAST_US = Threshold(
    "least_us",
    1_000_000,
    "An object that is still there makes an event within a second, if only of noise.",
)


def unclosed(tracks: Tracks) -> Iterator[Suspect]:
    """Yield regions that are shown to the end of the labelled time, long after their last event."""
    stop = np.full(len(tracks.names), -1, dtype=np.int64)
    np.maximum.at(stop, tracks.roi, tracks.stop_us)
    quiet = np.where(tracks.n_events > 0, stop - tracks.last_us, 0)
    to_the_end = np.isin(stop, tracks.labelled.stop_us)
    for one in np.flatnonzero(to_the_end & (quiet >= _UNCLOSED_LEAST_US.value)).tolist():
        yield Suspect(
            one,
            f"{tracks.names[one]}, t={tracks.last_us[one]} µs",
            f"has no event in its last {quiet[one] / 1e6:.3f} s, to the end of the labelled time; "
            "close the track where the object leaves",
        )


def frozen(tracks: Tracks) -> Iterator[Suspect]:
    """Yield regions in a run of boxes that never change, as `frozen_box` finds them."""
    boxes = Boxes(
        *(tracks.start_us, tracks.left, tracks.top),
        *(tracks.right - tracks.left, tracks.bottom - tracks.top),
        tracks.label[tracks.roi].astype(np.int64),
        None,
    )
    seen: set[int] = set()
    for rows in frozen_runs(boxes):
        span = float(tracks.start_us[rows[-1]] - tracks.start_us[rows[0]]) / 1e6
        regions, n = np.unique(tracks.roi[rows], return_counts=True)
        # Of loose shapes, each of one frame, the first stands for all.
        followed = regions[n > 1] if (n > 1).any() else tracks.roi[rows[:1]]
        for one in followed.tolist():
            if one not in seen:
                seen.add(one)
                yield Suspect(
                    one,
                    f"{tracks.names[one]}, frame {tracks.frame[rows[0]]}",
                    f"the same box for {span:.3f} s; was its object abandoned?",
                )


def _by_region(
    tracks: Tracks, rows: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield each region that has some rows, and the frames of these."""
    if not rows.any():
        return
    order = np.flatnonzero(rows)
    order = order[np.argsort(tracks.roi[order], kind="stable")]
    regions, first = np.unique(tracks.roi[order], return_index=True)
    for one, part in zip(regions.tolist(), np.split(order, first[1:]), strict=True):
        yield one, tracks.frame[part]


def _first(suspects: Iterable[Suspect]) -> Iterator[Located]:
    """Yield the first of what was found, and how many there are."""
    found = list(suspects)
    for suspect in found[:1]:
        yield suspect.place, suspect.problem + first_of(len(found), "such tracks")


@warning(
    "jumping_track",
    "Tracks that are elsewhere in the next frame, without touching where they were.",
    _JUMP_STEPS,
    _JUMP_LEAST_PX,
)
def jumping_track(tracks: Tracks) -> Iterator[Located]:
    """Find tracks that jump."""
    return _first(jumping(tracks))


@warning("outside_track", "Tracks that are shown where the sensor is not.")
def outside_track(tracks: Tracks) -> Iterator[Located]:
    """Find tracks that leave the sensor and go on."""
    return _first(leaving(tracks))


@warning("silent_track", "Tracks without an event inside.", _SILENT_LEAST_US)
def silent_track(tracks: Tracks) -> Iterator[Located]:
    """Find tracks without events."""
    return _first(silent(tracks))


@warning(
    "unclosed_track",
    "Tracks that go on to the end of the labelled time, though their events have ended.",
    _UNCLOSED_LEAST_US,
)
def unclosed_track(tracks: Tracks) -> Iterator[Located]:
    """Find tracks that nobody closed."""
    return _first(unclosed(tracks))


SUSPICIONS: Mapping[str, Callable[[Tracks], Iterator[Suspect]]] = {
    check_of(check).name: find
    for check, find in (
        (frozen_box, frozen),
        (jumping_track, jumping),
        (outside_track, leaving),
        (silent_track, silent),
        (unclosed_track, unclosed),
    )
}
"""Name of each check of tracks → what finds all that it concerns."""


def check_tracks(path: str, slices: SlicesFile) -> Iterator[Finding]:
    """Yield what is found in the regions of a slices file."""
    tracks = read_tracks(slices)
    for check in (jumping_track, outside_track, silent_track, unclosed_track):
        yield from findings(check, tracks, path=path)
