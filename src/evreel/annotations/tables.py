"""Annotations on a recording's time line, without outlines: regions, tags, labelled spans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.timebase import Int64Array


class RoiTable(NamedTuple):
    """Regions of interest on the recording's time line, one row per track or loose shape.

    Parameters
    ----------
    track : (n,) int64, the annotation's own track number; −1 for a loose shape.
    label : (n,) int32, a row of the label names.
    start_us, stop_us : (n,) int64, µs: start of the first frame that it labels and stop of the
        last one; −1 where it labels none.
    """

    track: Int64Array
    label: npt.NDArray[np.int32]
    start_us: Int64Array
    stop_us: Int64Array


class TagTable(NamedTuple):
    """Frame tags on the recording's time line, one row per tag of a frame.

    Parameters
    ----------
    frame : (n,) int64, video frame number.
    label : (n,) int32, a row of the label names.
    start_us, stop_us : (n,) int64, µs: the frame stands for ``[start_us, stop_us)``.
    """

    frame: Int64Array
    label: npt.NDArray[np.int32]
    start_us: Int64Array
    stop_us: Int64Array


class Spans(NamedTuple):
    """Intervals ``[start_us, stop_us)`` in µs, (n,) int64 each, ascending and apart."""

    start_us: Int64Array
    stop_us: Int64Array


class LabelTables(NamedTuple):
    """All of an annotation except its outlines, on a recording's time line."""

    labels: tuple[str, ...]
    rois: RoiTable
    tags: TagTable
    labelled: Spans
