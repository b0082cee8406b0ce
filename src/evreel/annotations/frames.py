"""Which frames of a clock an annotation file speaks of, and what it leaves open.

**Identity.** Of several statements about which frame a shape is in, the strongest decides: first
the names of pictures that state index and start, as evreel names them; then the frames of the
task, by its first frame and its frame filter; then the numbers in the file. Names of pictures are
checked against the clock. CVAT numbers the pictures of a task from 0, wherever they are in the
recording and however they are sorted, so names and numbers may differ; two pictures of one frame
may not.

**Gaps.** CVAT lists every frame in which an object is visible, but leaves out deleted frames
without a word. A script lists key frames, and means the frames between them. A file that lists a
frame between two key frames, or most frames, is of the first kind, and its gaps are not filled.
An images export of the same task lists each frame that was not deleted; without it, what all
tracks leave out is taken as not labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from evreel.annotations.compact import columns_of
from evreel.annotations.shapes import Annotations, Shape, Track, interpolate
from evreel.errors import AnnotationError
from evreel.text import listed
from evreel.timebase import FrameClock
from evreel.video.picture import frame_of_picture, frame_within_name, index_digits

Gaps = Literal["auto", "fill", "leave"]

_MOST_NAMED = 5
"""So many frames, or tracks, are named in a message; the others are counted."""

COUNTS = ("frames_maybe_deleted", "open_gaps", "unclosed_tracks")
"""What is counted of a file that leaves something open."""


@dataclass(frozen=True)
class Placed:
    """Annotations whose frame numbers are rows of a clock.

    Parameters
    ----------
    rois, tags
        As they were given.
    doubts
        What the files leave open, a sentence each.
    counts
        ``frames_maybe_deleted``: frames taken as not labelled, because all tracks leave them out;
        ``open_gaps``: gaps of tracks, in frames that others list, where the object is taken as
        away; ``unclosed_tracks``: tracks that end before their task does, and do not close.
    step
        Rows from one frame of the task of `rois` to the next; 0 if they are not equally far apart.
    """

    rois: Annotations | None
    tags: Annotations | None
    doubts: tuple[str, ...]
    counts: Mapping[str, int]
    step: int = 1


def place(
    rois: Annotations | None,
    tags: Annotations | None,
    clock: FrameClock,
    *,
    gaps: Gaps = "auto",
) -> Placed:
    """Find the rows of a clock that annotations are of, and which gaps of tracks can be filled.

    Parameters
    ----------
    rois, tags
        What is read from the files of one recording, each with the frame numbers of its file.
    clock
        The frames that were annotated.
    gaps
        Gaps of tracks between two listed shapes: ``fill`` all, ``leave`` all, or ``auto``: leave
        those of a file that lists the frames in which objects are visible.

    Returns
    -------
    Placed
        A shape before a gap that is not to be filled is alone. The task of a file whose pictures'
        names were checked against the clock is None.

    Raises
    ------
    AnnotationError
        If the name of a picture contradicts the clock, two pictures are of one frame, only some
        names state a frame, or `tags` does not name a picture that `rois` has shapes in.
    """
    doubts: list[str] = []
    counts = dict.fromkeys(COUNTS, 0)
    named = None if tags is None else _rows_by_name(tags, clock)
    step = 1 if rois is None or rois.task is None else rois.task.step
    if rois is not None and rois.lists_frames:
        rows = _rows_by_name(rois, clock)
        if rows is not None:
            rois, step = _renumbered(rois, rows), _step_of_rows(rows, step)
    elif rois is not None:
        partner = tags if tags is not None and _of_one_task(rois, tags) else None
        advice = _advice(rois, tags)
        rois, counts = _settled(rois, partner, len(clock), gaps, advice, doubts)
        if partner is not None and named is not None:
            unnamed = sorted(_shown(rois.tracks).difference(named))
            if unnamed:
                raise AnnotationError(
                    f"does not name {_frames(unnamed)}, in which {rois.source} has shapes",
                    path=partner.source or None,
                    hint="Export both again.",
                )
            rois = _renumbered(rois, named)
            step = _step_of_rows(named, step)
        elif partner is None and rois.of_images:
            doubts.append(
                f"{rois.source}: its task was made of images, whose names this export does not "
                f"say; they are taken for the frames of the video, in order. {advice} says them"
            )
    if tags is not None and named is not None:
        tags = _renumbered(tags, named)
    return Placed(rois, tags, tuple(doubts), counts, step)


# Identity


def _rows_by_name(part: Annotations, clock: FrameClock) -> dict[int, int] | None:
    """Return frame number → row of the clock, by the names of pictures; None if they state none."""
    n = len(clock)
    rows: dict[int, int] = {}
    other: int | None = None
    by_row: dict[int, int] = {}
    names = {k: part.pictures.get(k, "") for k in part.frames if part.lists_frames}
    for number, stated in _stated(names).items():
        name = names[number]
        # Names of dates and times look alike, but have longer first numbers.
        if stated is None or len(stated[0]) not in (6, index_digits(n)):
            other = number if other is None else other
            continue
        row, start_us = int(stated[0]), stated[1]
        if row >= n or int(clock.start_us[row]) != start_us:
            known = f"has {n} frames" if row >= n else f"says {clock.start_us[row]} µs of it"
            raise AnnotationError(
                f"picture {name!r} is frame {row} at {start_us} µs; the clock {known}",
                path=part.source or None,
                place=f"frame {number}",
                hint="The XML belongs to another recording, or to pictures made with another "
                "clock: give the XML or the clock that belongs here.",
            )
        if row in by_row:
            raise AnnotationError(
                f"pictures {part.pictures[by_row[row]]!r} and {name!r} are both frame {row}",
                path=part.source or None,
                place=f"frame {number}",
                hint="Export a task that has each picture once.",
            )
        rows[number], by_row[row] = row, number
    if rows and other is not None:
        raise AnnotationError(
            f"picture {part.pictures.get(other, '')!r} does not say which frame it is, but "
            f"{part.pictures[next(iter(rows))]!r} does",
            path=part.source or None,
            place=f"frame {other}",
            hint="Export a task that has only pictures of this recording.",
        )
    return rows or None


def _stated(names: Mapping[int, str]) -> dict[int, tuple[str, int] | None]:
    """Return the index and start that each name states.

    Names with something before or after that count only if time goes with the index in all.
    """
    stated = {number: frame_of_picture(name) for number, name in names.items()}
    within = [found for name in names.values() if (found := frame_within_name(name)) is not None]
    if len(within) < max(2, len(names)) or any(stated.values()):
        return stated
    in_order = sorted((int(index), start_us) for index, start_us in within)
    if any(a >= b or t >= u for (a, t), (b, u) in pairwise(in_order)):
        return stated
    return dict(zip(names, within, strict=True))


def _of_one_task(one: Annotations, other: Annotations) -> bool:
    """Return whether the images form `other` is certainly of the same task as `one`."""
    stated = [
        (mine, theirs)
        for mine, theirs in ((one.task_id, other.task_id), (one.task_name, other.task_name))
        if mine is not None and theirs is not None
    ]
    same = bool(stated) and all(mine == theirs for mine, theirs in stated)
    return same and other.lists_frames and one.task is not None and one.task == other.task


def _advice(rois: Annotations, tags: Annotations | None) -> str:
    """Return what to give as tags, and why what is given is not that."""
    export = "An export CVAT for images 1.1 of the same task, given as tags,"
    if tags is None:
        return export
    return (
        f"{tags.source} does not say it, because it is of {_task(tags)}, and {rois.source} of "
        f"{_task(rois)}. {export}"
    )


def _task(part: Annotations) -> str:
    said = [text for text in (part.task_id, part.task_name and repr(part.task_name)) if text]
    if not said:
        return "a task that it does not name"
    frames = f", frames {part.task[0]} to {part.task[-1]}" if part.task is not None else ""
    return " ".join(said) + frames


def _renumbered(part: Annotations, rows: Mapping[int, int]) -> Annotations:
    """Return annotations with the rows of a clock instead of the file's numbers."""
    move = _moved if _is_regular(rows) else _resorted
    return replace(
        part,
        tracks=tuple(move(track, rows) for track in part.tracks),
        tags=tuple(replace(tag, frame=rows[tag.frame]) for tag in part.tags),
        frames=tuple(sorted(rows[frame] for frame in part.frames if frame in rows)),
        pictures={rows[number]: name for number, name in part.pictures.items()},
        task=None,
    )


def _step_of_rows(rows: Mapping[int, int], step: int) -> int:
    """Return how far apart the rows are of two neighbours of a task with this step."""
    if not _is_regular(rows) or len(rows) < 2:
        return 0
    a, b = sorted(rows)[:2]
    return (rows[b] - rows[a]) * step // (b - a)


def _is_regular(rows: Mapping[int, int]) -> bool:
    """Return whether rows go up by one step, so that frames between two shapes are between rows."""
    steps = [(rows[b] - rows[a], b - a) for a, b in pairwise(sorted(rows))]
    return all(up > 0 and up * steps[0][1] == steps[0][0] * apart for up, apart in steps)


def _moved(track: Track, rows: Mapping[int, int]) -> Track:
    """Return a track in the rows of a clock that go up as the file's numbers do."""
    shapes: list[Shape] = []
    end = max(rows)
    for shape in track.shapes:
        # What closes a track may be in a frame that has no picture: after the last, or deleted.
        row = rows[end] + 1 if shape.frame > end else rows.get(shape.frame)
        if row is not None:
            shapes.append(replace(shape, frame=row))
        elif shapes:
            shapes[-1] = replace(shapes[-1], alone=True)
    return replace(track, shapes=tuple(shapes))


def _resorted(track: Track, rows: Mapping[int, int]) -> Track:
    """Return a track in rows of a clock that do not go up as the file's numbers do.

    They come in another order, or in several runs. What is between two shapes in the file is not
    between them on the clock: each is alone.
    """
    shapes = [
        replace(shape, frame=rows[shape.frame], alone=True)
        for shape in interpolate(track).shapes
        if not shape.outside and shape.frame in rows
    ]
    return replace(track, shapes=tuple(sorted(shapes, key=lambda shape: shape.frame)))


# Gaps


def _settled(
    rois: Annotations,
    partner: Annotations | None,
    n_frames: int,
    gaps: Gaps,
    advice: str,
    doubts: list[str],
) -> tuple[Annotations, dict[str, int]]:
    """Return tracks whose gaps are marked, and the counts; add to the doubts."""
    deleted = _deleted(rois, partner, doubts)
    tracks, maybe, away = _without_gaps(rois, gaps, deleted or frozenset())
    if deleted is None and maybe:
        doubts.append(
            f"{rois.source}: no track lists {_frames(sorted(maybe))}, though some go on after "
            "that: were these frames deleted in CVAT? They count as not labelled, and have no "
            f"boxes. {advice} settles it; if the objects were there, set annotate.gaps: fill"
        )
    left_out = maybe if deleted is None else deleted
    if away:
        doubts.append(
            f"{rois.source}: {len(away)} {'gap' if len(away) == 1 else 'gaps'} in frames that "
            f"other tracks list: {_tracks(away)}. The object is taken as away until it is listed "
            "again; if it was there, set annotate.gaps: fill"
        )
    task = range(n_frames) if rois.task is None else rois.task
    unseen = deleted or frozenset()
    if len(rois.jobs) > 1 and rois.task is not None:
        unseen |= frozenset(task).difference(rois.frames)  # between the files of two jobs
    last = next((frame for frame in reversed(task) if frame not in unseen), -1)
    unclosed = [
        (track, track.shapes[-1].frame)
        for track in rois.tracks
        if _is_unclosed(track, last, task.step, unseen)
    ]
    if unclosed:
        doubts.append(
            f"{rois.source}: {len(unclosed)} "
            f"{'track is' if len(unclosed) == 1 else 'tracks are'} not closed at the last shape: "
            f"{_tracks(unclosed)}, but the {'video' if rois.task is None else 'task'} goes on to "
            f"frame {last}. The object may stay longer than it is labelled; if it does not, close "
            "it in CVAT and export again"
        )
    counts = (len(maybe) if deleted is None else 0, len(away), len(unclosed))
    frames = rois.frames
    if left_out:
        frames = tuple(frame for frame in frames if frame not in left_out)
    settled = replace(rois, tracks=tracks, frames=frames)
    return settled, dict(zip(COUNTS, counts, strict=True))


def _deleted(rois: Annotations, partner: Annotations | None, doubts: list[str]) -> Set[int] | None:
    """Return the frames that were deleted, as the images export of a task says; None if unknown."""
    if partner is None or rois.task is None:
        return None
    deleted = frozenset(rois.task).difference(partner.frames)
    shown = sorted(deleted & _shown(rois.tracks))
    if not shown:
        return deleted
    doubts.append(
        f"{partner.source}: lacks {_frames(shown)} of its task, in which {rois.source} has shapes: "
        "it does not tell which frames were deleted. Export both again"
    )
    return None


def _without_gaps(
    rois: Annotations, gaps: Gaps, deleted: Set[int]
) -> tuple[Sequence[Track], Set[int], list[tuple[Track, int]]]:
    """Mark the shapes before gaps that are not filled.

    Returns
    -------
    The tracks; the frames of such gaps that no track lists and that are not known as deleted;
    (track, first frame) of gaps with frames that other tracks list.
    """
    step = rois.task.step if rois.task is not None else 1
    open_: dict[int, list[int]] = {}
    adjacent = apart = 0
    for number, track in enumerate(rois.tracks):
        listed = columns_of(track.shapes)
        goes_on = ~(listed.outside | listed.alone)[:-1]
        is_gap = goes_on & (np.diff(listed.frame) > step)
        is_shown = ~listed.outside[1:]
        apart += int((is_gap & is_shown).sum())
        adjacent += int((goes_on & ~is_gap & is_shown).sum())
        if is_gap.any():
            open_[number] = np.flatnonzero(is_gap).tolist()
    tracks = list(rois.tracks)
    if not open_:
        return rois.tracks, frozenset(), []
    lists_all = gaps == "leave" or (
        gaps == "auto" and (adjacent > apart or any(map(_is_between_keys, rois.tracks)))
    )
    if not lists_all:
        for number in open_ if deleted else ():
            tracks[number] = _left_out(tracks[number], deleted, step)
        return tuple(tracks), frozenset(), []
    shown = _shown(rois.tracks)
    unlisted: set[int] = set()
    away: list[tuple[Track, int]] = []
    for number, gaps_of in open_.items():
        shapes = list(tracks[number].shapes)
        for k in gaps_of:
            missing = range(shapes[k].frame + step, shapes[k + 1].frame, step)
            unlisted.update(frame for frame in missing if frame not in shown)
            first = next((frame for frame in missing if frame in shown), None)
            if first is not None:
                away.append((tracks[number], first))
            shapes[k] = replace(shapes[k], alone=True)
        tracks[number] = replace(tracks[number], shapes=tuple(shapes))
    return tuple(tracks), frozenset(unlisted) - deleted, away


def _shown(tracks: Sequence[Track]) -> set[int]:
    """Return the frames in which a track lists a shape that is visible."""
    shown: set[int] = set()
    for track in tracks:
        listed = columns_of(track.shapes)
        shown.update(listed.frame[~listed.outside].tolist())
    return shown


def _is_between_keys(track: Track) -> bool:
    return not columns_of(track.shapes).keyframe.all()


def _left_out(track: Track, frames: Set[int], step: int) -> Track:
    """Return a track whose gaps are filled, `step` apart, except in some frames."""
    listed = {shape.frame for shape in track.shapes}
    first = track.shapes[0].frame
    kept = [
        s
        for s in interpolate(track).shapes
        if s.outside
        or (s.frame not in frames and (s.frame in listed or (s.frame - first) % step == 0))
    ]
    for k, (left, right) in enumerate(pairwise(kept)):
        if not left.outside and right.frame > left.frame + step:
            kept[k] = replace(left, alone=True)
    return replace(track, shapes=tuple(kept))


def _is_unclosed(track: Track, last: int, step: int, unseen: Set[int]) -> bool:
    """Return whether a track stops before the last frame, and nothing says why.

    Nobody closes one where frames begin that were not seen. CVAT does not close what is drawn in
    one of the last two frames alone, and leaves out the shape that closes a track in a deleted
    frame.
    """
    if track.id < 0 or not track.shapes:
        return False
    shape = track.shapes[-1]
    if shape.outside or shape.alone or shape.frame >= last or shape.frame + step in unseen:
        return False
    return len(track.shapes) > 1 or shape.frame + step < last


def _frames(numbers: Sequence[int]) -> str:
    """Return frame numbers as a text.

    Examples
    --------
    >>> _frames([5]), _frames([5, 6, 7, 9]), _frames(range(0, 20, 2))
    ('frame 5', 'frames 5 to 7, 9', 'frames 0, 2, 4, 6, 8 and 5 more')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(a) if a == b else f"{a} to {b}" for a, b in runs]
    more = sum(b - a + 1 for a, b in runs[_MOST_NAMED:])
    shown = ", ".join(texts[:_MOST_NAMED]) + (f" and {more} more" if more else "")
    return f"frame{'s' if len(numbers) > 1 else ''} {shown}"


def _tracks(found: Sequence[tuple[Track, int]]) -> str:
    """Return tracks with a frame each as a text."""
    texts = (f"track {track.id} ({track.label!r}) in frame {frame}" for track, frame in found)
    return listed(texts, _MOST_NAMED)
