"""Whether an annotation fits a clock; if not, whose it seems to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from evreel.annotations.shapes import Annotations
from evreel.errors import AnnotationError
from evreel.text import listed
from evreel.timebase import FrameClock

_MOST_NAMED = 3
"""So many clocks that an annotation fits are named; the others are counted."""


class Video(NamedTuple):
    """What was annotated, or may have been.

    Parameters
    ----------
    name : of the recording, or of the clock's file; empty if there is none.
    clock : times of its frames.
    picture_shape : (height, width) of its pictures; None if that is not known, or need not fit.
    """

    name: str
    clock: FrameClock
    picture_shape: tuple[int, int] | None


Others = Mapping[str, Callable[[], Video | None]]
"""Name of another recording → what gives its video, None if that cannot be told."""


def check_belongs(
    annotations: Annotations,
    video: Video,
    others: Others = MappingProxyType({}),
    *,
    part_of_video: bool = False,
    by_name: bool = True,
) -> None:
    """Raise if an annotation has another size, other frames, or another recording's name.

    Parameters
    ----------
    annotations
        With rows of the clock as frame numbers.
    video
        What it should be of.
    others
        What else it may be of.
    part_of_video
        Whether its task may lack frames of the video.
    by_name
        Whether it is wrong if the name of its video is that of another one.

    Raises
    ------
    AnnotationError
        Which says what the task is called, and which of the others it fits.
    """
    error = _misfit(annotations, video, part_of_video=part_of_video)
    named = _stem(annotations.video or "")
    called = [name for name in others if named and name.casefold() == named]
    if by_name and called and named != video.name.casefold():
        error = error or AnnotationError(
            f"was made from video {annotations.video!r}, not from that of {video.name}"
        )
    elif error is None:
        return
    fits = called or [name for name, read in others.items() if _fits(annotations, read())]
    said = _said(annotations)
    where = listed(fits, _MOST_NAMED)
    raise AnnotationError(
        error.problem + (f"; it is of {said}" if said and said not in error.problem else ""),
        path=annotations.source or None,
        hint=f"It seems to belong to {where}. Give the XML that belongs here, or the clock of that."
        if fits
        else error.hint,
    )


def check_task(annotations: Annotations, clock: FrameClock) -> None:
    """Raise if annotations are of a task, or a job, that lacks frames of the video.

    Frame numbers alone fit any video that is long enough. With other windows, every label would
    land at the wrong time.

    Raises
    ------
    AnnotationError
        With the frames that each has.
    """
    task, n = annotations.task, len(clock)
    if task is None or (task[0] < task.step and task[-1] < n <= task[-1] + task.step):
        return
    raise AnnotationError(
        f"its task has the frames {task[0]} to {task[-1]}, the video 0 to {n - 1}",
        path=annotations.source or None,
        hint="Was it made from another video, with another window_us? If only part of this one "
        "was meant to be annotated, set annotate.part_of_video: true.",
    )


def _fits(annotations: Annotations, video: Video | None) -> bool:
    """Return whether size and frames are both stated, and those of a video."""
    if video is None or None in (video.picture_shape, annotations.picture_shape):
        return False
    known = annotations.task is not None
    return known and _misfit(annotations, video, part_of_video=False) is None


def other_size(
    drawn: tuple[int, ...] | None, shape: tuple[int, int] | None
) -> AnnotationError | None:
    """Return the error for shapes that were drawn on pictures of another size than the video's."""
    if drawn is None or shape is None or drawn == shape:
        return None
    times, rest = divmod(drawn[0], shape[0])
    is_magnified = rest == 0 and drawn[1] == times * shape[1]
    return AnnotationError(
        f"was drawn on {drawn[1]}x{drawn[0]} pictures; the video's are {shape[1]}x{shape[0]}",
        hint=f"If its video was magnified {times} times, make this one with video/scale, too."
        if is_magnified
        else "Was it made from another video? Pictures of another camera, or of another size, "
        "need annotate/homography.",
    )


def _misfit(
    annotations: Annotations, video: Video, *, part_of_video: bool
) -> AnnotationError | None:
    n = len(video.clock)
    if wrong := other_size(annotations.picture_shape, video.picture_shape):
        return wrong
    try:
        if not part_of_video:
            check_task(annotations, video.clock)
    except AnnotationError as error:
        task = annotations.task
        if (
            (annotations.task_id or "").startswith(("job ", "jobs "))
            and task is not None
            and task[-1] < n
        ):
            return AnnotationError(
                f"is an export of {annotations.task_id}, of the frames {task[0]} to {task[-1]}; "
                f"the video has 0 to {n - 1}",
                hint="Nothing in it shows that the whole task is of this video. If it is, set "
                "annotate.part_of_video: true; or export the task, or give its other jobs too.",
            )
        if task is not None and task[-1] + task.step == n - 1 and task[0] == 0:
            return AnnotationError(
                error.problem,
                hint=f"{error.hint} Some programs leave out the last, incomplete frame: then set "
                f"video/n_frames: {n - 1}.",
            )
        return error
    last = annotations.frames[-1] if annotations.frames else -1
    if last >= n:
        return AnnotationError(
            f"has frame {last}; the video has {n} frames, 0 to {n - 1}",
            hint="Was it made from another video?",
        )
    return None


def _stem(name: str) -> str:
    """Return the name of a video without folders and suffix, as it is compared."""
    name = name.replace("\\", "/").rpartition("/")[2].casefold()
    return name.rpartition(".")[0] or name


def _said(annotations: Annotations) -> str:
    """Return what an annotation says of its own origin, if anything."""
    task = " ".join(
        filter(None, (annotations.task_id, annotations.task_name and repr(annotations.task_name)))
    )
    video = f"made from {annotations.video!r}" if annotations.video else ""
    return ", ".join(filter(None, (task, video)))
