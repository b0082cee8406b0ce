"""Tracks made of parts: masks in successive frames, and tracks that were cut where a job ends.

CVAT has no tracks of masks. An object that is shown where one job ends and the next begins may be
a track in each of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from evreel.annotations.shapes import Annotations, Bounds, Mask, Shape, Track, sums
from evreel.text import listed

Link = Literal["none", "group_id", "iou"]

LEAST_IOU = 0.5
"""What two shapes of one object in successive frames cover both, of what they cover together."""

_MOST_NAMED = 3


def linked(annotations: Annotations, link: Link) -> Annotations:
    """Return annotations in which masks of one object are one track.

    Parameters
    ----------
    annotations
        What a file lists: each mask is a track of its own there.
    link
        ``group_id``: masks of one label and group are one object, where no frame has two; ``iou``:
        of one label, those in successive annotated frames that overlap most, by `LEAST_IOU` or
        more. ``none`` changes nothing.

    Returns
    -------
    Annotations
        `repairs` counts ``linked_masks``: those that were put into the track of another. A track
        has the number of its first mask, or the next free one, and is at the first one's place. A
        mask labels no more than its own frame.
    """
    if link == "none":
        return annotations
    masks = [
        _Loose(row, track, shape)
        for row, track in enumerate(annotations.tracks)
        for shape in track.shapes
        if isinstance(shape, Mask) and not shape.outside
    ]
    order = sorted(masks, key=lambda mask: (mask.shape.frame, mask.row))
    chains = _by_group(order) if link == "group_id" else _by_overlap(order, annotations)
    into: dict[int, list[_Loose]] = {}
    taken: set[int] = set()
    for chain in chains:
        if len(chain) > 1 and all(len(_shown(mask.track)) == 1 for mask in chain):
            into[min(mask.row for mask in chain)] = chain
            taken.update(mask.row for mask in chain)
    number = max((track.id for track in annotations.tracks), default=-1)
    tracks: list[Track] = []
    for row, track in enumerate(annotations.tracks):
        if row in into:
            chain = into[row]
            if track.id < 0:
                number += 1
            shapes = tuple(replace(mask.shape, alone=True) for mask in chain)
            tracks.append(Track(track.id if track.id >= 0 else number, track.label, shapes))
        elif row not in taken:
            tracks.append(track)
    count = {"linked_masks": len(taken) - len(into)}
    return replace(annotations, tracks=tuple(tracks), repairs=sums([annotations.repairs, count]))


@dataclass(frozen=True)
class _Loose:
    """A mask, and the row of its track."""

    row: int
    track: Track
    shape: Mask


def _shown(track: Track) -> list[Shape]:
    return [shape for shape in track.shapes if not shape.outside]


def _by_group(masks: Iterable[_Loose]) -> list[list[_Loose]]:
    groups: dict[tuple[str, int], list[_Loose]] = {}
    for mask in masks:
        if mask.shape.group:
            groups.setdefault((mask.track.label, mask.shape.group), []).append(mask)
    return [
        chain
        for chain in groups.values()
        if all(one.shape.frame < other.shape.frame for one, other in pairwise(chain))
    ]


def _by_overlap(masks: Sequence[_Loose], annotations: Annotations) -> list[list[_Loose]]:
    frames = np.unique(
        np.array([*annotations.frames, *(mask.shape.frame for mask in masks)], dtype=np.int64)
    )
    place = {frame: k for k, frame in enumerate(frames.tolist())}
    by_place: dict[int, list[_Loose]] = {}
    for mask in masks:
        by_place.setdefault(place[mask.shape.frame], []).append(mask)
    chains: dict[int, list[_Loose]] = {}
    ends: dict[int, list[_Loose]] = {}
    for k, now in sorted(by_place.items()):
        pairs = [
            (-share, mask.row, before)
            for mask in now
            for before in by_place.get(k - 1, ())
            if before.track.label == mask.track.label
            and (share := _mask_iou(before.shape, mask.shape)) >= LEAST_IOU
        ]
        begun: dict[int, list[_Loose]] = {}
        rows = {mask.row: mask for mask in now}
        used: set[int] = set()
        for _, row, before in sorted(pairs, key=lambda pair: (pair[0], pair[1], pair[2].row)):
            if row in begun or before.row in used:
                continue
            used.add(before.row)
            begun[row] = ends[before.row]
            begun[row].append(rows[row])
        for mask in now:
            if mask.row not in begun:
                chains[mask.row] = begun[mask.row] = [mask]
        ends = begun
    return list(chains.values())


def _mask_iou(one: Mask, other: Mask) -> float:
    """Return how many pixels two masks share, of those that either has."""
    (left, top), (right, bottom) = (
        np.maximum(one.points[0], other.points[0]).astype(int).tolist(),
        np.minimum(one.points[1], other.points[1]).astype(int).tolist(),
    )
    if not (left < right and top < bottom):
        return 0.0
    parts = []
    for mask in (one, other):
        x, y = mask.points[0].astype(int).tolist()
        parts.append(mask.bitmap[top - y : bottom - y, left - x : right - x])
    both = int(np.count_nonzero(parts[0] & parts[1]))
    area = sum(sum(mask.runs[1::2]) for mask in (one, other))
    return both / (area - both) if area > both else 0.0


def stitched(annotations: Annotations) -> Annotations:
    """Return annotations in which tracks that were cut at the border of a job are whole.

    A track that is shown to the border, or to where the earlier job ends, goes on as one that
    begins with the next job, or a frame later: if both have one label, and their shapes of one
    frame, or of that and the next, overlap by `LEAST_IOU` or more of their bounds. Of several, the
    one that overlaps most. In frames that both list, the later one counts.

    Returns
    -------
    Annotations
        As given if they are not of several jobs. Else `repairs` counts ``stitched_tracks``: those
        that were put into the one before; and ``cut_tracks``: those that end where a job does,
        while others of their label begin there, but none overlaps. `doubts` names these.
    """
    if len(annotations.jobs) < 2:
        return annotations
    tracks = annotations.tracks
    follower: dict[int, int] = {}
    cut: list[tuple[Track, int]] = []
    spans = spans_of(tracks)
    for last, job in _borders(annotations.jobs):
        cut += follow(tracks, spans, spans, last, job, follower)
    made = counted(annotations, len(follower), cut)
    if follower:
        followed = frozenset(follower.values())
        made = replace(
            made,
            tracks=tuple(
                whole(tracks, row, follower) for row in range(len(tracks)) if row not in followed
            ),
        )
    return made


def counted(
    annotations: Annotations, n_stitched: int, cut: Sequence[tuple[Track, int]]
) -> Annotations:
    """Return annotations that say how many tracks were stitched, and which were cut."""
    counts = {"stitched_tracks": n_stitched, "cut_tracks": len(cut)}
    made = replace(annotations, repairs=sums([annotations.repairs, counts]))
    if not cut:
        return made
    named = listed(
        (f"track {track.id} ({track.label!r}) in frame {frame}" for track, frame in cut),
        _MOST_NAMED,
    )
    doubt = (
        f"{annotations.source}: {len(cut)} {'track ends' if len(cut) == 1 else 'tracks end'} "
        f"where a job does, and none that overlaps begins there: {named}. Join them in "
        "CVAT if they are of one object"
    )
    return replace(made, doubts=(*made.doubts, doubt))


def _borders(jobs: Iterable[range]) -> Iterator[tuple[int, range]]:
    """Yield the last frame of the jobs before each job, and the job."""
    in_order = sorted(jobs, key=lambda job: (job[0], job[-1]))
    last = in_order[0][-1]
    for job in in_order[1:]:
        # Jobs without a common border, as of validation, have their frames within others.
        if job[-1] > last and job[0] - job.step <= last:
            yield last, job
        last = max(last, job[-1])


def spans_of(tracks: Sequence[Track]) -> dict[int, tuple[int, int]]:
    """Return row → first and last frame that show it, of tracks that can go on as others."""
    return {
        row: (track.shapes[0].frame, _end(track))
        for row, track in enumerate(tracks)
        if track.id >= 0 and len(track.shapes)
    }


def follow(
    tracks: Sequence[Track],
    before: Mapping[int, tuple[int, int]],
    after: Mapping[int, tuple[int, int]],
    last: int,
    job: range,
    follower: dict[int, int],
    *,
    to_the_end: bool = False,
) -> list[tuple[Track, int]]:
    """Find which tracks go on in a job, and add them to `follower`: row → row.

    Parameters
    ----------
    tracks
        All tracks.
    before, after
        Row → first and last frame, as `spans_of` has it: of those that may go on, and of those that
        may be their continuations.
    last
        The last frame of the jobs before.
    job
        Frames of the job.
    follower
        What is found, added to what is known of other jobs.
    to_the_end
        Whether both are of files of their own. Then a continuation may end in a frame that the
        track before it is shown in, and what ends before `last` is not cut.

    Returns
    -------
    Tracks that are cut at the border, each with its last frame.
    """
    first, step = job[0], job.step
    taken = set(follower.values())
    beginning = [
        row
        for row, (begin, _) in after.items()
        if first <= begin <= first + step and row not in taken
    ]
    shares: list[tuple[float, int, int]] = []
    rivals: dict[int, int] = {}
    for row, (begin, end) in before.items():
        if begin >= first or not first - step <= end <= max(last, first - step):
            continue
        for other in beginning:
            if tracks[other].label != tracks[row].label:
                continue
            if after[other][1] <= end and not to_the_end:
                continue
            rivals[row] = end
            share = overlap(tracks[row], tracks[other], step)
            if share >= LEAST_IOU:
                shares.append((-share, row, other))
    for _, row, other in sorted(shares):
        if row not in follower and other not in taken:
            follower[row] = other
            taken.add(other)
    # In files of their own, an earlier job that goes on says what leaves within it.
    borders = (last,) if to_the_end else (last, first - step)
    return [
        (tracks[row], end) for row, end in rivals.items() if row not in follower and end in borders
    ]


def _end(track: Track) -> int:
    """Return the last frame that shows a track, as far as its shapes say."""
    shapes = track.shapes
    closed = len(shapes) > 1 and shapes[-1].outside
    return shapes[-2].frame if closed else shapes[-1].frame


def overlap(one: Track, other: Track, step: int) -> float:
    """Return how far a track overlaps a later one where that begins; 0 if they do not meet."""
    later = other.shapes[0]
    n = n_until(one, later.frame + 1)
    while n and one.shapes[n - 1].outside:
        n -= 1
    if later.outside or not n or later.frame - one.shapes[n - 1].frame > step:
        return 0.0
    return iou(one.shapes[n - 1].bounds, later.bounds)


def n_until(track: Track, frame: int) -> int:
    """Return how many of a track's shapes are before a frame."""
    return bisect_left(track.shapes, frame, key=lambda shape: shape.frame)


def iou(mine: Bounds, theirs: Bounds) -> float:
    """Return what two bounds cover both, of what either covers."""
    width = min(mine[2], theirs[2]) - max(mine[0], theirs[0])
    height = min(mine[3], theirs[3]) - max(mine[1], theirs[1])
    both = max(width, 0.0) * max(height, 0.0)
    either = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (mine, theirs)) - both
    return both / either if either > 0 else 0.0


def whole(tracks: Sequence[Track], row: int, follower: Mapping[int, int]) -> Track:
    """Return a track with all those that follow it; in frames that both list, the later counts."""
    track = tracks[row]
    while row in follower:
        row = follower[row]
        later = tracks[row].shapes
        earlier = track.shapes[: n_until(track, later[0].frame)]
        track = replace(track, shapes=(*earlier, *later))
    return track
