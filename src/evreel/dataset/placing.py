"""Reads the annotation files of one recording, and places them on the frames of its clock.

The check before a run and the step itself do this alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evreel.dataset.settings import AnnotateSettings

if TYPE_CHECKING:
    from evreel.annotations.frames import Placed
    from evreel.annotations.shapes import Annotations
    from evreel.timebase import FrameClock
    from evreel.video.picture import Picture


def read_placed(
    rois: Sequence[str | Path],
    tags: Sequence[str | Path],
    frames: FrameClock,
    settings: AnnotateSettings,
    *,
    picture: Picture | None,
    labels: Sequence[str] | None,
    names: Sequence[str],
) -> Placed:
    """Return what annotation files say of the frames of a clock.

    Parameters
    ----------
    rois, tags
        The files, each the export of a whole task or of one of its jobs.
    frames
        The clock of the annotated video.
    settings
        What is read, and how.
    picture
        How the sensor's pixels map to the video's; YOLO and EventBbox need it.
    labels
        Names of labels, which EventBbox does not have.
    names
        What the recording is called: tells its task among several of a project.

    Raises
    ------
    AnnotationError
        If a file is not valid, or frames cannot be told.
    """
    from evreel.annotations.carried import carried_on
    from evreel.annotations.frames import place
    from evreel.annotations.jobs import read_jobs
    from evreel.annotations.joining import linked
    from evreel.annotations.open import read_annotations

    def drawn(path: Path) -> Annotations:
        found = read_annotations(
            path,
            clock=frames,
            picture=picture,
            labels=labels,
            unsupported=settings.unsupported,
            invalid=settings.invalid,
            fill=settings.gaps == "fill",
            shapes=settings.shapes,
            task=settings.task,
            names=names,
        )
        return linked(carried_on(found), settings.link)

    def tagged(path: Path) -> Annotations:
        return read_annotations(path, tags_only=True, task=settings.task, names=names)

    is_part = settings.part_of_video
    return place(
        read_jobs(rois, drawn, stitch=settings.stitch, part_of_video=is_part) if rois else None,
        read_jobs(tags, tagged, part_of_video=is_part) if tags else None,
        frames,
        gaps=settings.gaps,
    )
