"""Events, frame clock and annotations joined into labelled slices and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from evreel.dataset.settings import AnnotateSettings
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.clock import check_clock
from evreel.steps.common import LOG
from evreel.steps.events import Source, as_store
from evreel.windows import RegularWindows


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
    labels
        Label names in the order of their numbers, the same for all recordings of a data set;
        None takes the order of the files.

    Returns
    -------
    What was changed: name → count. The slices have it as ``repairs``.

    Raises
    ------
    AnnotationError
        If an annotation is not valid or does not fit the recording's video.
    """
    from evreel.acquire import check_md5
    from evreel.annotations import shapes as annotations
    from evreel.annotations.cvat import read_cvat
    from evreel.annotations.regions import Annotator, Regions, check_task
    from evreel.files import hdf5
    from evreel.files.boxes import write_boxes
    from evreel.files.clock import read_clock
    from evreel.files.slices import SlicesWriter
    from evreel.layout import SLICES
    from evreel.text import nfc
    from evreel.video.picture import Picture

    for xml, md5 in ((rois, rois_md5), (tags, tags_md5)):
        if xml is not None and md5 is not None:
            check_md5(xml, md5)
    parts = []
    if rois is not None:
        drawn = read_cvat(rois, unsupported=settings.unsupported)
        parts.append(drawn if tags is None else replace(drawn, tags=()))
    if tags is not None:
        tagged = read_cvat(tags, tags_only=True)
        # Only the frames of the regions' file were searched for regions.
        parts.append(tagged if rois is None else replace(tagged, frames=()))
    if labels is not None:
        parts = [annotations.relabel(part, labels) for part in parts]
    annotated = annotations.merge(parts)
    if labels is not None:
        annotated = replace(annotated, labels=tuple(map(nfc, labels)))
    cut = windows.division()
    frames, picture, extra = read_clock(clock)
    for part in () if settings.part_of_video else parts:
        check_task(part, frames)
    with as_store(store, beside=slices) as opened:
        check_clock(clock, extra, opened)
        regions = Regions(annotated, frames, picture or Picture(opened.sensor), clip=settings.clip)
        inputs = {"store": opened.path, "clock": clock, "rois": rois, "tags": tags}
        made = Provenance(
            "annotate",
            {
                "labels": list(annotated.labels),
                **asdict(cut),
                **settings.plain(),
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
