"""Boxes that come with a recording, on the time line of its events store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evreel.errors import AnnotationError
from evreel.outputs import atomic
from evreel.steps.common import LOG
from evreel.steps.events import Source, as_store


def boxes(
    store: Source,
    published: str | Path,
    output: str | Path,
    *,
    md5: str | None = None,
    labels: Sequence[str] | None = None,
) -> int:
    """Put the boxes that come with a recording on the time line of its events store.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
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
        If they cannot be read, have a class that is not listed, or the store is cropped, or has
        parts of several clocks.
    """
    import numpy as np

    from evreel.acquire import check_md5
    from evreel.files.boxes import read_published_boxes, write_boxes

    if md5 is not None:
        check_md5(published, md5)
    found = read_published_boxes(published)
    known = len(labels) if labels is not None else None
    if known is not None and (found["class_id"] >= known).any():
        row = int(np.argmax(found["class_id"] >= known))
        raise AnnotationError(
            f"class_id is {found['class_id'][row]}, but there are {known} labels",
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
                "is for the whole sensor, but the events are cropped", path=published
            )
        if opened.clocks:
            raise AnnotationError(
                f"is on the camera's clock, which was reset: the events have {len(opened.clocks)} "
                "parts",
                path=published,
                hint="Decode one part, with on_reset: first or last.",
            )
        found["t"] -= opened.t_offset
        write_boxes(scratch, found)
    LOG.info("%s: %d boxes", Path(output).name, len(found))
    return len(found)
