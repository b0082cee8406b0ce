"""Boxes in the order of a feature's windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evreel.dataset.settings import FeatureBoxesSettings
from evreel.errors import UsageError
from evreel.outputs import atomic
from evreel.provenance import Provenance
from evreel.steps.common import LOG, Steady


def feature_boxes(
    features: str | Path,
    boxes: str | Path,
    output: str | Path,
    settings: FeatureBoxesSettings,
) -> dict[str, int]:
    """Put a recording's boxes in the order of a feature's windows.

    Parameters
    ----------
    features
        The feature file, of which only the windows and samples are read.
    boxes
        All boxes of its recording, by time, as `annotate` or `boxes` writes them; or as
        `precompute` does beside features of the same geometry.
    output
        ``<id>_bbox.npy``: boxes window by window, then by time. Beside it,
        ``<id>_bbox_first.npy`` has the first row of each window, int64, one more than windows;
        and ``<id>_bbox.json`` says how they were made.
    settings
        Which boxes: of each track the ``last`` in a window, or ``all``, also if nothing is said.

    Returns
    -------
    How many boxes are left out, as ``repairs`` in the ``.json`` have it: ``boxes_in_no_window``,
    and ``earlier_boxes``, which are not the last of their track in a window. If the feature has a
    geometry that changes coordinates, these are changed first; then it also says how many boxes
    were cut off at the edge of its crop, ``boxes_cut_by_crop``, or left out because they are all
    beyond it, ``boxes_outside_crop``.

    Raises
    ------
    UsageError
        If no boxes are asked for.
    AnnotationError
        If the boxes cannot be read, or are in the pixels of another feature's frames.
    LayoutError
        If the feature file cannot be read.
    """
    import numpy as np

    from evreel.files.boxes import (
        GEOMETRY,
        first_path,
        last_of_tracks,
        moved,
        origin_path,
        read_boxes,
        rows_of_windows,
        taken,
        write_boxes_of_windows,
        write_origin,
    )
    from evreel.files.features import FeaturesFile

    if settings.boxes == "none":
        raise UsageError("boxes is none: there is nothing to make; give last or all")
    keep = settings.boxes or "all"
    output = Path(output)
    beside = first_path(output), origin_path(output)
    steady = Steady({"features": features, "boxes": boxes})
    with (
        FeaturesFile(features) as file,
        atomic(output, *beside, inputs=[features, boxes]) as (scratch, first_scratch, origin),
    ):
        every, changed = moved(read_boxes(boxes), boxes, file.geometry, file.sensor)
        parameters: dict[str, Any] = {"boxes": keep}
        if file.geometry.moves:
            parameters[GEOMETRY] = file.geometry.plain()
        row, window = rows_of_windows(every["t"], file.windows, file.samples)
        found = taken(every, row)
        first = np.searchsorted(window, np.arange(len(file.windows) + 1))
        n = len(found)
        if keep == "last":
            found, first = last_of_tracks(found, first)
        repairs = {
            "boxes_in_no_window": len(every) - len(np.unique(row)),
            "earlier_boxes": n - len(found),
            **changed,
        }
        write_boxes_of_windows(scratch, first_scratch, found, first)
        made = Provenance("feature_boxes", parameters, steady.digests, repairs)
        write_origin(origin, scratch, made, first=first_scratch)
        steady.check()
    LOG.info("%s: %d boxes in %d windows", output.name, len(found), len(first) - 1)
    if repairs["boxes_in_no_window"]:
        LOG.warning(
            "%s: boxes in no window, left out: %d", output.name, repairs["boxes_in_no_window"]
        )
    return repairs
