"""Boxes that come with a recording, on the time line of its events store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evreel.dataset.settings import BoxesSettings
from evreel.errors import AnnotationError
from evreel.outputs import atomic
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, Steady
from evreel.steps.events import Source, as_store


def boxes(
    store: Source,
    published: str | Path,
    output: str | Path,
    settings: BoxesSettings = BoxesSettings(),
    *,
    md5: str | None = None,
    published_sha256: str | None = None,
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
        The same boxes, in µs since the recording's first event. A ``.json`` of the same name says
        how they were made.
    settings
        What becomes of boxes that are not valid, or reach outside the sensor. The log and
        ``repairs`` in the ``.json`` count them.
    md5
        32 hexadecimal digits that they must have.
    published_sha256
        64 hexadecimal digits of the file that the workflow saw: another one is not read.
    labels
        Label names in the order of their numbers; None takes any number.

    Returns
    -------
    How many boxes there are.

    Raises
    ------
    AnnotationError
        If they cannot be read, have a class that is not listed, are not valid or reach outside
        the sensor; or the store is cropped, or has parts of several clocks.
    """
    from evreel.acquire import check_md5
    from evreel.checks.finding import counted
    from evreel.files.boxes import (
        boxes_within,
        check_classes,
        origin_path,
        read_published_boxes,
        valid_boxes,
        write_boxes,
        write_origin,
    )

    if md5 is not None:
        check_md5(published, md5)
    steady = Steady({"published": published}, {"published": published_sha256})
    found = read_published_boxes(published)
    if labels is not None:
        check_classes(found, published, len(labels))
    found, invalid = valid_boxes(found, published, drop=settings.invalid == "drop")
    with (
        as_store(store, beside=output) as opened,
        atomic(output, origin_path(output), inputs=[opened.path, published]) as (scratch, origin),
    ):
        if opened.origin != (0, 0):
            raise AnnotationError(
                "is for the whole sensor, but the events are cropped",
                path=published,
                hint="Make the store without events.crop.",
            )
        clipped = outside = 0
        if settings.outside != "keep":
            found, clipped, outside = boxes_within(
                found, published, opened.sensor, clip=settings.outside == "clip"
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
        repairs = {"invalid_boxes": invalid, "clipped_boxes": clipped, "outside_boxes": outside}
        inputs = {"store": sha256(opened.path), **steady.digests}
        parameters = {"labels": None if labels is None else list(labels), **settings.plain()}
        write_origin(origin, scratch, Provenance("boxes", parameters, inputs, repairs))
        steady.check()
    name = Path(output).name
    LOG.info("%s: %d boxes", name, len(found))
    for n, what in (
        (invalid, "not valid, left out"),
        (clipped, "that reached outside the sensor, clipped"),
        (outside, "all outside the sensor, left out"),
    ):
        if n:
            LOG.warning("%s: %s %s", name, counted(n, "box"), what)
    return len(found)
