"""Boxes that come with a recording, on the time line of its events store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from evreel.dataset.settings import BoxesSettings
from evreel.errors import AnnotationError
from evreel.outputs import atomic
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG, Steady
from evreel.steps.events import Source, as_store

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from evreel.files.divided import Divided
    from evreel.timebase import Int64Array


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
        EventBbox records, ``.npy``, by time: fields ``t`` (or ``ts``) in µs, ``x``, ``y``, ``w``,
        ``h`` in pixels, ``class_id``; also ``track_id`` and ``class_confidence`` (or
        ``confidence``) if there are any.
    output
        The same boxes, in µs since the recording's first event. A ``.json`` of the same name says
        how they were made.
    settings
        The clock of `published`, and what becomes of boxes that are not valid, or reach outside
        the sensor. The log and ``repairs`` in the ``.json`` count them.
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
        the sensor, or are all outside the recording's time; or the store is cropped, or has parts
        of several clocks.
    """
    from evreel.acquire import check_md5
    from evreel.files.boxes import origin_path, write_boxes, write_origin
    from evreel.text import counted

    if md5 is not None:
        check_md5(published, md5)
    steady = Steady({"published": published}, {"published": published_sha256})
    with (
        as_store(store, beside=output) as opened,
        atomic(output, origin_path(output), inputs=[opened.path, published]) as (scratch, origin),
    ):
        found, repairs = boxes_of_store(published, opened, settings, labels=labels)
        write_boxes(scratch, found)
        inputs = {"store": sha256(opened.path), **steady.digests}
        parameters = {"labels": None if labels is None else list(labels), **settings.plain()}
        write_origin(origin, scratch, Provenance("boxes", parameters, inputs, repairs))
        steady.check()
    name = Path(output).name
    LOG.info("%s: %d boxes", name, len(found))
    for count, what in (
        ("invalid_boxes", "not valid, left out"),
        ("clipped_boxes", "that reached outside the sensor, clipped"),
        ("outside_boxes", "all outside the sensor, left out"),
    ):
        if repairs[count]:
            LOG.warning("%s: %s %s", name, counted(repairs[count], "box"), what)
    return len(found)


def boxes_of_store(
    published: str | Path,
    store: Divided,
    settings: BoxesSettings,
    *,
    labels: Sequence[str] | None = None,
    zero_us: int = 0,
) -> tuple[npt.NDArray[np.void], dict[str, int]]:
    """Return boxes that come with a recording, on the time line of its open events store.

    Parameters
    ----------
    published, store, settings, labels
        As in `boxes`, which also says what is an error.
    zero_us
        Timestamp in the recording's file from which boxes count, if their clock is the ``source``.

    Returns
    -------
    (n,) records, by time, in µs since the recording's first event; and how many were changed or
    left out: ``invalid_boxes``, ``clipped_boxes``, ``outside_boxes``.
    """
    from evreel.files.boxes import boxes_within, check_classes, read_published_boxes, valid_boxes

    found = read_published_boxes(published)
    if labels is not None:
        check_classes(found, published, len(labels))
    found, invalid = valid_boxes(found, published, drop=settings.invalid == "drop")
    if store.origin != (0, 0):
        raise AnnotationError(
            "is for the whole sensor, but the events are cropped",
            path=published,
            hint="Make the store without events.crop.",
        )
    clipped = outside = 0
    if settings.outside != "keep":
        found, clipped, outside = boxes_within(
            found, published, store.sensor, clip=settings.outside == "clip"
        )
    if store.clocks:
        raise AnnotationError(
            f"is on the camera's clock, which was reset: the events have {len(store.clocks)} parts",
            path=published,
            hint="Decode one part, with on_reset: first or last.",
        )
    if settings.clock == "source":
        found["t"] -= store.t_offset - zero_us
    _check_times(found["t"], store, published, settings.clock)
    return found, {"invalid_boxes": invalid, "clipped_boxes": clipped, "outside_boxes": outside}


def _check_times(
    t: Int64Array, store: Divided, published: str | Path, clock: Literal["source", "recording"]
) -> None:
    """Raise if all boxes, in µs since the first event, are outside the recording."""
    stop_us = store.t_stop_us
    if not len(t) or (t[-1] >= 0 and t[0] <= stop_us):
        return
    other = t + store.t_offset if clock == "source" else t - store.t_offset
    hint = "Are they of this recording?"
    if other[-1] >= 0 and other[0] <= stop_us:
        right = {"source": "recording", "recording": "source"}[clock]
        counts = {"source": "the clock of the recording's file", "recording": "the first event"}
        hint = (
            f"They seem to count from {counts[right]}: set boxes.clock: {right} (--boxes-clock of "
            "evreel features)."
        )
    raise AnnotationError(
        f"is outside the recording, as all boxes: t={t[0]} µs since the first event; it ends at "
        f"{stop_us} µs",
        path=published,
        place="record 0",
        hint=hint,
    )
