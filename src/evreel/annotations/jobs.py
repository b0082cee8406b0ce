"""Several exports as the annotation of one recording: the jobs that a task was divided into.

Each file says which frames it has. Jobs of one task may share frames at their border (CVAT's
*overlap*), which were then annotated twice: there, the job that begins later counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np

from evreel.annotations.compact import columns_of
from evreel.annotations.forms.packed import Packed
from evreel.annotations.joining import (
    LEAST_IOU,
    counted,
    follow,
    iou,
    n_until,
    spans_of,
    stitched,
    whole,
)
from evreel.annotations.open import Form, form_of
from evreel.annotations.shapes import Annotations, Bounds, Shape, Track, merge, sums
from evreel.errors import AnnotationError
from evreel.text import listed

_SUFFIXES = (".xml", ".zip")
_MOST_NAMED = 3


def files_of(path: str | Path) -> list[Path]:
    """Return the exports that a path names: those in a folder, or the path itself.

    Parameters
    ----------
    path
        File, or folder. The XMLs and zips in a folder, or in those in it, are exports of CVAT,
        unless the folder is one of YOLO or MOT. Hidden files do not count.

    Returns
    -------
    Paths, in the order of their names. The path itself if it is no such folder.
    """
    path = Path(path)
    if not path.is_dir() or _form_of_folder(path) not in (None, "cvat"):
        return [path]
    with Packed(path) as folder:
        found = [
            name
            for name in folder.names
            if name.lower().endswith(_SUFFIXES)
            and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
        ]
    return [path / name for name in found] or [path]


def _form_of_folder(path: Path) -> Form | None:
    """Return the form that a folder as a whole has; None if it is of none."""
    try:
        return form_of(path)
    except AnnotationError:
        return None


def read_jobs(
    paths: Sequence[str | Path],
    read: Callable[[Path], Annotations],
    *,
    stitch: bool = False,
    part_of_video: bool = False,
) -> Annotations:
    """Read the annotation of one recording from one export, or from several.

    Parameters
    ----------
    paths
        One file; or exports of CVAT, each of other frames.
    read
        What reads one of them.
    stitch
        Whether tracks that were cut where a job ends are made whole.
    part_of_video
        Whether frames between the files may be missing.

    Raises
    ------
    AnnotationError
        If a file cannot be read, or files are not of one task; with their names.
    """
    files = [Path(path) for path in paths]
    if len(files) == 1:
        only = read(files[0])
        return stitched(only) if stitch else only
    names = _names(files)
    parts = []
    for file, name in zip(files, names, strict=True):
        form = form_of(file)
        if form != "cvat":
            raise AnnotationError(
                f"is of the form {form}; of several files, each must be an export of CVAT",
                path=file,
                hint="Give one file, or a zip of what belongs together.",
            )
        try:
            parts.append(replace(read(file), source=name))
        except AnnotationError as error:
            if name == file.name:
                raise
            place = ", ".join(filter(None, (name, error.place)))
            raise AnnotationError(error.problem, place=place, hint=error.hint) from error
    return of_jobs(parts, stitch=stitch, part_of_video=part_of_video)


def _names(files: Sequence[Path]) -> list[str]:
    """Return what messages call files: their names, with as many folders as tell them apart."""
    seen: dict[Path, Path] = {}
    for file in files:
        if file.resolve() in seen:
            raise AnnotationError("is given twice for one recording", path=file)
        seen[file.resolve()] = file
    for depth in range(1, 1 + max(len(file.parts) for file in files)):
        names = ["/".join(file.parts[-depth:]) for file in files]
        if len(set(names)) == len(names):
            break
    return names


def of_jobs(
    parts: Sequence[Annotations], *, stitch: bool = False, part_of_video: bool = False
) -> Annotations:
    """Return the annotation that several exports of one task are together.

    Parameters
    ----------
    parts
        What the files say, in any order.
    stitch, part_of_video
        As `read_jobs` takes them.

    Returns
    -------
    Annotations
        Tracks in the order of the jobs. The first job's keep their numbers, those of the others go
        on from there. `frames` are those of all files. In a frame that two jobs have, the one that
        begins later counts; `repairs` has ``overlapping_shapes`` and ``overlapping_tags``: what the
        other one has there, and is left out. `doubts` says where the later one has nothing like it.
        With `stitch`, also what `evreel.annotations.joining.stitched` counts.

    Raises
    ------
    AnnotationError
        With the names of two files, if they are of other tasks, or of the same frames; with the
        frames, if some between them are in no file.
    """
    whole_parts = [stitched(part) for part in parts] if stitch else parts
    in_order = sorted(whole_parts, key=lambda part: (_extent(part)[0], _extent(part)[-1]))
    extents = [_extent(part) for part in in_order]
    for one, other in pairwise(in_order):
        _check_pair(one, other)
        if not part_of_video:
            _check_gap(one, other)
    for one, other in combinations(in_order, 2):
        _check_attributes(one, other)
    # From here on, the next job counts, or no one looked.
    limits = [min(job[0], extent[-1] + extent.step) for extent, job in pairwise(extents)]
    limits.append(extents[-1][-1] + 1 + extents[-1].step)
    numbered = list(_numbered(in_order))
    joined = merge(numbered)
    tracks = list(joined.tracks)
    rows = _rows(numbered)
    follower: dict[int, int] = {}
    cut: list[tuple[Track, int]] = []
    if stitch:
        spans = spans_of(tracks)
        for k, (extent, job) in enumerate(pairwise(extents)):
            if job[0] - job.step <= extent[-1]:
                before, after = (
                    {row: spans[row] for row in of if row in spans and spans[row][0] < limit}
                    for of, limit in zip(rows[k : k + 2], limits[k : k + 2], strict=True)
                )
                cut += follow(*(tracks, before, after, extent[-1], job, follower), to_the_end=True)
    left_out: list[list[Track]] = []
    for of, limit in zip(rows, limits, strict=True):
        found = []
        for row in of:
            if row in follower:
                continue
            tracks[row], rest = _until(tracks[row], limit, extents[0].step)
            if rest:
                found.append(replace(tracks[row], shapes=rest))
        left_out.append(found)
    n_shared = sum(len(track.shapes) for found in left_out for track in found)
    for row, after_it in follower.items():
        start = tracks[after_it].shapes[0].frame
        listed = columns_of(tracks[row].shapes)
        n_shared += int(np.count_nonzero((listed.frame >= start) & ~listed.outside))
    followed = frozenset(follower.values())
    made = replace(
        joined,
        tracks=tuple(
            track
            for row in range(len(tracks))
            if row not in followed and len((track := whole(tracks, row, follower)).shapes)
        ),
        tags=tuple(
            tag
            for part, limit in zip(in_order, limits, strict=True)
            for tag in part.tags
            if tag.frame < limit
        ),
        task=range(extents[0][0], extents[-1][-1] + 1, extents[0].step)
        if all(part.task is not None for part in in_order)
        else None,
        task_id=_task_id(in_order),
        video=next((part.video for part in in_order if part.video), None),
        of_images=in_order[0].of_images,
        lists_frames=in_order[0].lists_frames,
        pictures={frame: name for part in in_order for frame, name in part.pictures.items()},
        jobs=tuple(extents),
    )
    counts = {
        "overlapping_shapes": n_shared,
        "overlapping_tags": len(joined.tags) - len(made.tags),
    }
    made = replace(made, repairs=sums([made.repairs, counts]))
    if stitch:
        made = counted(made, len(follower), cut)
    doubts = [
        doubt
        for k, (one, other) in enumerate(pairwise(in_order))
        for doubt in _doubts(one, other, left_out[k], limits[k])
    ]
    return replace(made, doubts=(*made.doubts, *doubts))


def _extent(part: Annotations) -> range:
    """Return the frames of a file from its first to its last one, deleted ones included."""
    if part.task is not None:
        return part.task
    if part.lists_frames and len(part.frames):
        return range(part.frames[0], part.frames[-1] + 1)
    raise AnnotationError(
        f"{part.source} does not say which frames it has (start_frame and stop_frame in its meta)",
        hint="Only then can a recording have several files. Export it from CVAT again.",
    )


def _check_pair(one: Annotations, other: Annotations) -> None:
    """Raise unless two files are of one task, and `other` goes on after `one`."""

    def fail(what: str, hint: str = "Give the exports of one task's jobs.") -> NoReturn:
        raise AnnotationError(f"{one.source} and {other.source} {what}", hint=hint)

    for what, first, second in (
        ("pictures of different sizes", _size(one), _size(other)),
        ("different videos", one.video, other.video),
        ("different tasks", *_tasks(one, other)),
        ("tasks that were created at different times", *_created(one, other)),
    ):
        if first and second and first != second:
            fail(f"are of {what}: {first} and {second}")
    if one.lists_frames != other.lists_frames:
        forms = [f"for {'images' if part.lists_frames else 'video'} 1.1" for part in (one, other)]
        fail(
            f"are exports CVAT {forms[0]} and CVAT {forms[1]}",
            "Give all of one form; those for images may be given as tags.",
        )
    if one.of_images != other.of_images:
        fail("are of different tasks: one was made from images, one from a video")
    mine, theirs = _extent(one), _extent(other)
    if mine == theirs:
        which = f" of {one.task_id}" if one.task_id and one.task_id == other.task_id else ""
        fail(
            f"are both{which} of {_said(mine)}",
            "Give each job once, as it was exported last.",
        )
    if mine.step != theirs.step or (theirs[0] - mine[0]) % mine.step:
        fail(f"are of different tasks: {_said(mine)}, and {_said(theirs)}")
    if theirs[0] == mine[0] or theirs[-1] <= mine[-1]:
        fail(
            f"share frames, of which one has all: {_said(mine)}, and {_said(theirs)}",
            "Give the jobs, or the export of their task alone.",
        )
    named = [
        frame for frame, name in other.pictures.items() if one.pictures.get(frame, name) != name
    ]
    if named:
        frame = min(named)
        fail(
            f"are of different tasks: picture {frame} is {one.pictures[frame]!r}, and "
            f"{other.pictures[frame]!r}"
        )


def _size(part: Annotations) -> str:
    return "" if part.picture_shape is None else "{1}x{0}".format(*part.picture_shape)


def _tasks(one: Annotations, other: Annotations) -> tuple[str | None, str | None]:
    """Return what two files call their tasks: by name, else by number; jobs say neither."""
    if one.task_name and other.task_name:
        return repr(one.task_name), repr(other.task_name)
    first, second = (part.task_id or "" for part in (one, other))
    is_known = first.startswith("task ") and second.startswith("task ")
    return (first, second) if is_known else (None, None)


def _created(one: Annotations, other: Annotations) -> tuple[str | None, str | None]:
    """Return when the tasks of two files were created, if that differs; a job says it too.

    CVAT writes it in the time zone of its server, which may have been changed in between.
    """
    said = one.created, other.created
    try:
        first, second = (datetime.fromisoformat(text or "") for text in said)
        same = first == second
    except (TypeError, ValueError):
        same = said[0] == said[1]
    return (None, None) if same else said


def _said(frames: range) -> str:
    step = f" by {frames.step}" if frames.step > 1 else ""
    return f"frames {frames[0]} to {frames[-1]}{step}"


def _check_gap(one: Annotations, other: Annotations) -> None:
    mine, theirs = _extent(one), _extent(other)
    missing = range(mine[-1] + mine.step, theirs[0], mine.step)
    if missing:
        raise AnnotationError(
            f"no file has the {_said(missing)}, between {one.source} and {other.source}",
            hint="Add the job that has them. If they were not meant to be annotated, set "
            "annotate.part_of_video: true: they count as not labelled.",
        )


def _check_attributes(one: Annotations, other: Annotations) -> None:
    """Raise if two files say different things of one attribute of a label."""
    for label in sorted(one.attributes.keys() & other.attributes.keys()):
        specs = {spec.name: spec for spec in one.attributes[label]}
        for spec in other.attributes[label]:
            mine = specs.get(spec.name, spec)
            for name in ("kind", "values", "default", "mutable"):
                said = [getattr(each, name) for each in (mine, spec)]
                if said[0] != said[1]:
                    raise AnnotationError(
                        f"{one.source} and {other.source} contradict each other: {name} of "
                        f"attribute {spec.name!r} of label {label!r} is {said[0]!r}, and "
                        f"{said[1]!r}",
                        hint="Export both again, after the labels were last changed.",
                    )


def _task_id(parts: Sequence[Annotations]) -> str | None:
    said = [part.task_id for part in parts if part.task_id]
    if len(said) == len(parts) and all(text.startswith("job ") for text in said):
        return f"jobs {', '.join(text.removeprefix('job ') for text in said)}"
    return ", ".join(dict.fromkeys(said)) or None


def _numbered(parts: Iterable[Annotations]) -> Iterator[Annotations]:
    """Yield files whose tracks have numbers of their own: each counts them from 0."""
    free = 0
    for part in parts:
        largest = max((track.id for track in part.tracks), default=-1)
        if free and largest >= 0:
            tracks = [
                replace(track, id=track.id + free) if track.id >= 0 else track
                for track in part.tracks
            ]
            part = replace(part, tracks=tracks)
        free += largest + 1
        yield part


def _rows(parts: Iterable[Annotations]) -> list[range]:
    """Return the rows that each file's tracks have among those of all."""
    rows, first = [], 0
    for part in parts:
        rows.append(range(first, first + len(part.tracks)))
        first += len(part.tracks)
    return rows


def _until(track: Track, limit: int, step: int) -> tuple[Track, list[Shape]]:
    """Return a track that closes at a frame, if it reaches it; and what it shows from there.

    Nobody can close a track behind the last frame of a job: it closes where the next job begins.
    """
    listed = columns_of(track.shapes)
    reached = limit if track.id < 0 else limit - step
    if not (~listed.outside & (listed.frame >= reached)).any():
        return track, []
    n = int(np.searchsorted(listed.frame, limit))
    kept, beyond = list(track.shapes[:n]), list(track.shapes[n:])
    if kept and not (kept[-1].outside or kept[-1].alone):
        goes_on = beyond and beyond[0].frame > limit
        at = kept[-1].between(beyond[0], limit) if goes_on else [*kept, *beyond[:1]][-1]
        kept.append(replace(at, frame=limit, outside=True))
    return replace(track, shapes=tuple(kept)), [shape for shape in beyond if not shape.outside]


def _doubts(
    one: Annotations, other: Annotations, left_out: Iterable[Track], limit: int
) -> Iterator[str]:
    """Yield what a job has in frames that it shares with a later one, which has nothing like it."""
    there: dict[tuple[int, str], list[Bounds]] = {}
    last = _extent(one)[-1]
    for track in other.tracks:
        for shape in track.shapes[: n_until(track, last + 1)]:
            if not shape.outside:
                there.setdefault((shape.frame, track.label), []).append(shape.bounds)
    lost = [
        (shape.frame, track.label)
        for track in left_out
        for shape in track.shapes
        if all(
            iou(shape.bounds, bounds) < LEAST_IOU
            for bounds in there.get((shape.frame, track.label), ())
        )
    ]
    yield from _lost(one, other, lost, "shape")
    tagged = {(tag.frame, tag.label) for tag in other.tags}
    tags = [(tag.frame, tag.label) for tag in one.tags if tag.frame >= limit]
    yield from _lost(one, other, [tag for tag in tags if tag not in tagged], "tag")


def _lost(
    one: Annotations, other: Annotations, lost: Sequence[tuple[int, str]], what: str
) -> Iterator[str]:
    if lost:
        named = listed((f"{label!r} in frame {frame}" for frame, label in lost), _MOST_NAMED)
        yield (
            f"{one.source}: {len(lost)} {what}{'' if len(lost) == 1 else 's'} in frames that "
            f"{other.source} has too, and nothing like it: {named}. The later job counts "
            "there; correct the one that is wrong in CVAT"
        )
