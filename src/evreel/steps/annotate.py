"""Events, frame clock and annotations joined into labelled slices and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evreel.dataset.settings import AnnotateSettings
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.clock import check_clock
from evreel.steps.common import LOG, Steady
from evreel.steps.events import Source, as_store
from evreel.text import nfc
from evreel.windows import RegularWindows

if TYPE_CHECKING:
    from evreel.annotations.shapes import Annotations
    from evreel.timebase import FrameClock, Int64Array
    from evreel.windows import Windows


class Joined(NamedTuple):
    """What the files of one recording say together.

    Parameters
    ----------
    annotations : their frame numbers are rows of the clock.
    doubts : what the files leave open, a sentence each.
    counts : what was left out, or is open: name → count.
    """

    annotations: Annotations
    doubts: tuple[str, ...]
    counts: dict[str, int]


def read_annotations(
    rois: str | Path | None,
    tags: str | Path | None,
    frames: FrameClock,
    settings: AnnotateSettings = AnnotateSettings(),
    labels: Sequence[str] | None = None,
) -> Joined:
    """Read the CVAT XML of one recording, for the frames of its clock.

    Parameters
    ----------
    rois, tags, settings, labels
        As `annotate` takes them.
    frames
        The clock of the annotated video.

    Raises
    ------
    AnnotationError
        If an annotation is not valid or does not fit the clock.
    """
    from evreel.annotations.cvat import read_cvat
    from evreel.annotations.frames import place
    from evreel.annotations.regions import check_task
    from evreel.annotations.shapes import merge, relabel

    placed = place(
        None
        if rois is None
        else read_cvat(rois, unsupported=settings.unsupported, invalid=settings.invalid),
        None if tags is None else read_cvat(tags, tags_only=True),
        frames,
        gaps=settings.gaps,
    )
    parts = []
    if placed.rois is not None:
        parts.append(placed.rois if tags is None else replace(placed.rois, tags=()))
    if placed.tags is not None:
        # Only the frames of the regions' file were searched for regions.
        parts.append(placed.tags if rois is None else replace(placed.tags, frames=()))
    if labels is not None:
        parts = [relabel(part, labels) for part in parts]
    for part in () if settings.part_of_video else parts:
        check_task(part, frames)
    annotated = merge(parts)
    if labels is not None:
        annotated = replace(annotated, labels=tuple(map(nfc, labels)))
    return Joined(annotated, placed.doubts, {**annotated.repairs, **placed.counts})


def _box_times(settings: AnnotateSettings, slices: Windows, t_stop_us: int) -> Int64Array | None:
    """Return when there are boxes; None for each frame of the video."""
    if settings.boxes == "slices":
        return np.unique(slices.stop_us)
    if settings.boxes_us is None:
        return None
    return np.arange(1, -(-t_stop_us // settings.boxes_us) + 1) * settings.boxes_us


def annotate(
    store: Source,
    clock: str | Path,
    slices: str | Path,
    boxes: str | Path,
    windows: RegularWindows,
    settings: AnnotateSettings = AnnotateSettings(),
    *,
    rois: str | Path | None = None,
    tags: str | Path | None = None,
    rois_md5: str | None = None,
    tags_md5: str | None = None,
    rois_sha256: str | None = None,
    tags_sha256: str | None = None,
    labels: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Join events, frame clock and CVAT XML into annotated slices and boxes.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    clock
        The clock of the annotated video.
    slices, boxes
        Files to write: HDF5, and EventBbox records in ``.npy``.
    windows
        How slices are cut.
    settings
        What is read from the XML, and how.
    rois
        CVAT XML, for video or for images, with boxes and polygons; None if there is none.
    tags
        CVAT XML for images. Only its frame tags are read, and those of `rois` are not. None
        takes the tags of `rois`.
    rois_md5, tags_md5
        32 hexadecimal digits that the XML's bytes must have; None checks nothing.
    rois_sha256, tags_sha256
        64 hexadecimal digits of the XML that the workflow saw: another one is not read.
    labels
        Label names in the order of their numbers, the same for all recordings of a data set;
        None takes the order of the files.

    Returns
    -------
    What was changed, or left open: name → count. The slices have it as ``repairs``, and as
    ``doubts`` what the files leave open.

    Raises
    ------
    AnnotationError
        If an annotation is not valid or does not fit the recording's video, or the name of a
        picture contradicts the clock.
    """
    from evreel.acquire import check_md5
    from evreel.annotations.regions import Annotator, Regions
    from evreel.files import hdf5
    from evreel.files.boxes import write_boxes
    from evreel.files.clock import read_clock
    from evreel.files.slices import SlicesWriter
    from evreel.layout import SLICES
    from evreel.video.picture import Picture

    for xml, md5 in ((rois, rois_md5), (tags, tags_md5)):
        if xml is not None and md5 is not None:
            check_md5(xml, md5)
    steady = Steady(
        {"clock": clock, "rois": rois, "tags": tags}, {"rois": rois_sha256, "tags": tags_sha256}
    )
    frames, picture, extra = read_clock(clock)
    joined = read_annotations(rois, tags, frames, settings, labels)
    cut = windows.division()
    with as_store(store, beside=slices) as opened:
        check_clock(clock, extra, opened)
        regions = Regions(
            joined.annotations,
            frames,
            picture or Picture(opened.sensor),
            clip=settings.clip,
            radius_px=settings.radius_px,
            margin_px=settings.margin_px,
            primary=settings.primary,
        )
        repairs = regions.repairs | joined.counts
        beside: dict[str, str] = {}
        made = Provenance(
            "annotate",
            {
                "labels": list(joined.annotations.labels),
                **asdict(cut),
                **settings.plain(),
            },
            {"store": sha256(opened.path), **steady.digests},
            repairs,
            beside,
        )
        with (
            atomic(slices, boxes, inputs=[opened.path, clock, rois, tags]) as (
                slices_scratch,
                boxes_scratch,
            ),
            hdf5.create(slices_scratch, SLICES, made) as file,
        ):
            slices_of = opened.windows(cut)
            annotator = Annotator(regions, at=settings.at, instant=settings.instant)
            writer = SlicesWriter(
                *(file, opened.sensor, opened.t_offset, slices_of, regions.tables),
                doubts=joined.doubts,
                shapes=regions.shape_rows(),
            )
            for chunk in opened.chunks():
                writer.write(chunk, *annotator.label(chunk))
                progress(writer.n, opened.n)
            writer.finish()
            times = _box_times(settings, slices_of, opened.t_stop_us)
            found = regions.boxes(times, at=settings.at, instant=settings.instant)
            write_boxes(boxes_scratch, found)
            if rois is not None:  # else boxes may have come with the recording
                beside["boxes"] = sha256(boxes_scratch)
            steady.check()
    LOG.info(
        "%s: %d events, %d of them in a region; %d boxes",
        *(Path(slices).name, writer.n, writer.n_labelled, len(found)),
    )
    for doubt in joined.doubts:
        LOG.warning("%s", doubt)
    return repairs
