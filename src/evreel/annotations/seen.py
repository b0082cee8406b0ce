"""What annotators looked at: the frames of a stepped task, and what they have finished.

In a task of every tenth frame, nobody saw the nine between two. Whether objects are labelled
there, and whether that counts as labelled, is one decision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from evreel.annotations.shapes import Annotations, Shape, Track
from evreel.errors import AnnotationError
from evreel.timebase import FrameClock, Int64Array

Between = Literal["leave", "interpolate"]

_TIMES, _FRAMES = ("start_us", "stop_us"), ("start_frame", "stop_frame")
STATES = ("new", "in progress", "rejected", "completed")
"""States of CVAT's jobs; the last counts as finished."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def between_seen(
    annotations: Annotations, step: int, between: Between
) -> tuple[Annotations, str | None]:
    """Label the frames between those that annotators saw, or nothing there.

    Parameters
    ----------
    annotations
        With rows of the clock as frame numbers.
    step
        Rows from one frame of the task to the next.
    between
        ``leave``: objects are labelled in the frames that were seen alone. ``interpolate``: they
        move from one frame of the task to the next, and the frames between count as labelled.

    Returns
    -------
    The annotations, and what cannot be done, if anything.
    """
    frames = annotations.frames
    if between == "interpolate":
        if annotations.lists_frames and all(track.id < 0 for track in annotations.tracks):
            apart = any(b - a > 1 for a, b in pairwise(frames))
            doubt = (
                f"{annotations.source}: shapes of images have no track, so nothing can be "
                "interpolated between them (annotate/between). Export CVAT for video 1.1"
            )
            return annotations, doubt if apart else None
        if step <= 1:
            return annotations, None
        filled = [
            frame for a, b in pairwise(frames) for frame in (range(a, b) if b - a == step else (a,))
        ]
        return replace(annotations, frames=(*filled, *frames[-1:])), None
    if not frames or frames[-1] - frames[0] + 1 == len(frames):
        return annotations, None
    seen = np.array(frames, dtype=np.int64)
    return replace(
        annotations, tracks=tuple(_only_seen(track, seen) for track in annotations.tracks)
    ), None


def _only_seen(track: Track, seen: Int64Array) -> Track:
    """Return a track that shows nothing between the frames that were seen."""
    shapes: list[Shape] = []
    for left, right in pairwise((*track.shapes, None)):
        assert left is not None
        shapes.append(left)
        if right is None or left.outside or left.alone or right.frame - left.frame == 1:
            continue
        low, high = np.searchsorted(seen, [left.frame + 1, right.frame])
        if high - low == right.frame - left.frame - 1:
            continue
        inner = [left.between(right, frame) for frame in seen[low:high].tolist()]
        shapes += inner
        for k, following in zip(
            range(-len(inner) - 1, 0), [*(s.frame for s in inner), right.frame], strict=True
        ):
            if following - shapes[k].frame > 1:
                shapes[k] = replace(shapes[k], alone=True)
    return replace(track, shapes=tuple(shapes))


@dataclass(frozen=True)
class Finished:
    """What annotators have finished.

    Parameters
    ----------
    start, stop
        (n,) of each interval: µs since the first event, or rows of the clock; stop is not in it.
    of_frames
        Whether they are rows of the clock.
    lines
        Line of the table of each.
    source
        Name of the table.
    """

    start: Int64Array
    stop: Int64Array
    of_frames: bool
    lines: tuple[int, ...]
    source: str


def read_finished(path: str | Path) -> Finished:
    """Read a table of what annotators have finished.

    Parameters
    ----------
    path
        TSV with the columns ``start_us`` and ``stop_us`` (not in the interval), or ``start_frame``
        and ``stop_frame`` (in it, as in CVAT's list of jobs). If there is a column ``state``, only
        rows with ``completed`` count. Other columns are free.

    Raises
    ------
    AnnotationError
        With the line, where the table is not of that form.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise AnnotationError("is not UTF-8 text", path=path, hint="Save it as UTF-8.") from error
    columns = lines[0].split("\t")
    names = next((pair for pair in (_TIMES, _FRAMES) if set(pair) <= set(columns)), None)
    if names is None or len(set(columns)) < len(columns):
        raise AnnotationError(
            f"header row is {lines[0]!r}; expected the columns start_us and stop_us, or "
            "start_frame and stop_frame, separated by tabs",
            path=path,
            place="line 1",
        )
    rows: list[tuple[int, int, int]] = []
    for number, line in enumerate(lines[1:], start=2):
        cells = dict(zip(columns, line.split("\t"), strict=False))
        if not line.strip():
            continue
        start, stop = (_whole(path, number, name, cells.get(name, "")) for name in names)
        stop += int(names == _FRAMES)
        if stop <= start or (names == _FRAMES and start < 0):
            raise AnnotationError(
                f"{names[1]}={cells[names[1]]} with {names[0]}={cells[names[0]]} is no interval",
                path=path,
                place=f"line {number}",
            )
        state = cells.get("state", STATES[-1]).strip().lower()
        if state not in STATES:
            raise AnnotationError(
                f"state is {state!r}; expected one of {', '.join(STATES)}",
                path=path,
                place=f"line {number}",
            )
        if state == STATES[-1]:
            rows.append((number, start, stop))
    at, start_, stop_ = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Finished(start_, stop_, names == _FRAMES, tuple(at.tolist()), path.name)


def _whole(path: Path, number: int, name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise AnnotationError(
            f"{name} is {text!r}; expected a whole number of at most 18 digits",
            path=path,
            place=f"line {number}",
        )
    return int(text)


def never_seen(
    finished: Finished, line: int, source: str, looked: tuple[int, int] | None
) -> AnnotationError:
    """Return the error for a line of which no frame was looked at; `looked` is from where to where.

    Parameters
    ----------
    finished, line
        The table, and the line in it.
    source
        Name of the annotation.
    looked
        From where to where frames were looked at, in the table's unit; None if none were.
    """
    k, unit = finished.lines.index(line), "frames" if finished.of_frames else "µs"
    seen = "none" if looked is None else f"{looked[0]} to {looked[1]}"
    return AnnotationError(
        f"no frame that {source or 'the annotation'} looked at is from {finished.start[k]} to "
        f"{finished.stop[k]}; its {unit} are {seen}",
        path=finished.source,
        place=f"line {line}",
        hint="Is the table of another recording?",
    )


def only_finished(
    annotations: Annotations, finished: Finished, clock: FrameClock
) -> tuple[Annotations, int]:
    """Count as labelled only what annotators have finished.

    A frame of which a part is finished counts as not labelled. Shapes in such frames stay.

    Parameters
    ----------
    annotations
        With rows of the clock as frame numbers.
    finished
        The table.
    clock
        Times of the frames, on the recording's clock.

    Returns
    -------
    The annotations, and how many listed shapes are in frames that are not finished.

    Raises
    ------
    AnnotationError
        If no frame that annotators looked at is in one of the intervals.
    """
    frames = np.array(annotations.frames, dtype=np.int64)
    frames = frames[frames < len(clock)]  # a frame beyond is an error, which is told later
    begin, end = frames, frames + 1
    if not finished.of_frames:
        begin, end = clock.start_us[frames], clock.stop_us[frames]
    done = np.zeros(len(frames), dtype=bool)
    for line, start, stop in zip(
        finished.lines, finished.start.tolist(), finished.stop.tolist(), strict=True
    ):
        low, high = np.searchsorted(begin, start), np.searchsorted(end, stop, side="right")
        if low >= high:
            looked = (int(begin[0]), int(end[-1])) if len(frames) else None
            raise never_seen(finished, line, annotations.source, looked)
        done[low:high] = True
    kept = frames[done].tolist()
    open_ = set(frames.tolist()).difference(kept)
    n = sum(s.frame in open_ and not s.outside for t in annotations.tracks for s in t.shapes)
    return replace(annotations, frames=tuple(kept)), n
