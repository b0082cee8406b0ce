"""From annotations to labelled events and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evreel.errors import AnnotationError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG
from evreel.steps.decode import Source, as_store
from evreel.steps.picture import check_clock

if TYPE_CHECKING:
    from evreel.io.cvat import Unsupported
    from evreel.windows import Tail


def annotate(
    store: Source,
    clock: str | Path,
    slices: str | Path,
    boxes: str | Path,
    *,
    rois: str | Path | None = None,
    tags: str | Path | None = None,
    rois_md5: str | None = None,
    tags_md5: str | None = None,
    labels: Sequence[str] | None = None,
    window_us: int | None = None,
    count: int | None = None,
    tail: Tail = "keep",
    clip: bool = False,
    unsupported: Unsupported = "error",
    part_of_video: bool = False,
    progress: Progress = silent,
) -> dict[str, int]:
    """Join events, frame clock and CVAT XML into annotated slices and boxes.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    clock
        The clock of the video that was annotated.
    slices, boxes
        What is written: HDF5, and EventBbox records in ``.npy``.
    rois
        CVAT XML, for video or for images, with boxes and polygons; None where there is none.
    tags
        CVAT XML for images, of which only the frame tags are taken; then those of `rois` are
        not. None takes the tags of `rois`.
    rois_md5, tags_md5
        32 hexadecimal digits that the XML's bytes must have; None checks nothing.
    labels
        Label names in the order of their numbers, the same for all recordings of a data set;
        None takes the order of the files.
    window_us, count, tail
        How slices are cut, as `evreel.windows.division` takes them.
    clip
        Cut off what of a shape reaches outside the picture, and count it, instead of an error.
    unsupported
        What becomes of shapes that are no boxes or polygons: ``error``, or ``skip`` and count.
    part_of_video
        Whether the XML may be of a task that has only a part of the video's frames.

    Returns
    -------
    What was changed on the way: name → count. The slices carry it as ``repairs``.

    Raises
    ------
    AnnotationError
        Where an annotation is not sound or does not fit the recording's video.
    """
    from evreel import annotations
    from evreel.acquire import check_md5
    from evreel.io import hdf5
    from evreel.io.boxes import write_boxes
    from evreel.io.clock import read_clock
    from evreel.io.cvat import read_cvat
    from evreel.io.slices_file import SlicesWriter
    from evreel.layout import SLICES
    from evreel.slices import Annotator, Regions, check_task
    from evreel.timebase import Picture
    from evreel.windows import division

    for xml, md5 in ((rois, rois_md5), (tags, tags_md5)):
        if xml is not None and md5 is not None:
            check_md5(xml, md5)
    parts = []
    if rois is not None:
        drawn = read_cvat(rois, unsupported=unsupported)
        parts.append(drawn if tags is None else replace(drawn, tags=()))
    if tags is not None:
        tagged = read_cvat(tags, tags_only=True)
        # Where regions were drawn, only there did annotators look for them.
        parts.append(tagged if rois is None else replace(tagged, frames=()))
    if labels is not None:
        parts = [annotations.relabel(part, labels) for part in parts]
    annotated = annotations.merge(parts)
    if labels is not None:
        annotated = replace(annotated, labels=tuple(labels))
    cut = division(window_us=window_us, count=count, tail=tail)
    frames, picture, extra = read_clock(clock)
    for part in () if part_of_video else parts:
        check_task(part, frames)
    with as_store(store, beside=slices) as opened:
        check_clock(clock, extra, opened)
        regions = Regions(annotated, frames, picture or Picture(opened.sensor), clip=clip)
        inputs = {"store": opened.path, "clock": clock, "rois": rois, "tags": tags}
        made = Provenance(
            "annotate",
            {
                "labels": list(annotated.labels),
                **asdict(cut),
                "clip": clip,
                "unsupported": unsupported,
                "part_of_video": part_of_video,
            },
            {role: sha256(path) for role, path in inputs.items() if path is not None},
            regions.repairs,
        )
        with (
            atomic(slices, boxes, inputs=inputs.values()) as (slices_scratch, boxes_scratch),
            hdf5.create(slices_scratch, SLICES, made) as file,
        ):
            annotator = Annotator(regions)
            writer = SlicesWriter(
                file, opened.sensor, opened.t_offset, opened.windows(cut), regions.tables
            )
            for chunk in opened.chunks():
                writer.write(chunk, *annotator.label(chunk))
                progress(writer.n, opened.n)
            writer.finish()
            found = regions.boxes()
            write_boxes(boxes_scratch, found)
    LOG.info(
        "%s: %d events, %d of them in a region; %d boxes",
        *(Path(slices).name, writer.n, writer.n_labelled, len(found)),
    )
    return dict(regions.repairs)


def boxes(
    store: Source,
    published: str | Path,
    output: str | Path,
    *,
    md5: str | None = None,
    labels: Sequence[str] | None = None,
) -> int:
    """Carry along the boxes that come with a recording, on the time line of its events store.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    published
        EventBbox records, ``.npy``, on the recording's own clock.
    output
        The same boxes, in µs since the recording's first event.
    md5
        32 hexadecimal digits that they must have.
    labels
        Label names in the order of their numbers; None takes any number.

    Returns
    -------
    How many boxes there are.

    Raises
    ------
    AnnotationError
        Where they can't be read, are of a class that is not listed, or the store is cropped.
    """
    import numpy as np

    from evreel.acquire import check_md5
    from evreel.io.boxes import read_published_boxes, write_boxes

    if md5 is not None:
        check_md5(published, md5)
    found = read_published_boxes(published)
    known = len(labels) if labels is not None else None
    if known is not None and (found["class_id"] >= known).any():
        row = int(np.argmax(found["class_id"] >= known))
        raise AnnotationError(
            f"class_id is {found['class_id'][row]}; there are {known} labels",
            path=published,
            place=f"record {row}",
            hint="List all classes in labels, in the order of their numbers.",
        )
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, published]) as (scratch,),
    ):
        if opened.origin != (0, 0):
            raise AnnotationError(
                "are of the whole sensor, and the events are cropped", path=published
            )
        found["t"] -= opened.t_offset
        write_boxes(scratch, found)
    LOG.info("%s: %d boxes", Path(output).name, len(found))
    return len(found)
