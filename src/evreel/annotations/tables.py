"""Annotations on a recording's time line, without outlines: regions, tags, labelled spans."""

from __future__ import annotations

from dataclasses import dataclass
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
    kind : (n,) int8, place in `evreel.layout.SHAPE_KINDS` of its first shape; −1 if it has none.
    group : (n,) int64, group of its first shape; 0 is none.
    """

    track: Int64Array
    label: npt.NDArray[np.int32]
    start_us: Int64Array
    stop_us: Int64Array
    kind: npt.NDArray[np.int8]
    group: Int64Array


def roi_numbers(track: Int64Array) -> Int64Array:
    """Return a number of its own for each region: its track's, if these are all different.

    Examples
    --------
    >>> roi_numbers(np.array([3, 5, -1, -1])).tolist(), roi_numbers(np.array([3, 3])).tolist()
    ([3, 5, 6, 7], [0, 1])
    """
    real = track[track >= 0]
    if len(np.unique(real)) < len(real):
        return np.arange(len(track), dtype=np.int64)
    numbers = track.astype(np.int64)
    loose = numbers < 0
    free = int(real.max()) + 1 if len(real) else 0
    numbers[loose] = free + np.arange(np.count_nonzero(loose))
    return numbers


AttributeColumn = npt.NDArray[np.float64] | npt.NDArray[np.int32] | npt.NDArray[np.int8]


class AttributeTable(NamedTuple):
    """What annotators could say about objects, one row per name.

    Parameters
    ----------
    name : of each attribute.
    kind : ``number``, ``checkbox``, ``select``, ``radio`` or ``text``.
    values : the texts that a column of the last three kinds counts from; else none.
    """

    name: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    values: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class ShapeRows:
    """Shapes as frames show them, one row per frame and region, by frame, then by region.

    Parameters
    ----------
    frame : (n,) int64, video frame number.
    roi : (n,) int32, a row of the regions.
    start_us, stop_us : (n,) int64, µs: the frame stands for ``[start_us, stop_us)``.
    kind : (n,) int8, place in `evreel.layout.SHAPE_KINDS`.
    x, y, w, h : (n,) float32, sensor px: bounding box of what it covers, as drawn. It may be
        outside the sensor. Points and lines are as wide as their radius says.
    keyframe, occluded : (n,) uint8, 1 if so.
    z_order : (n,) int32, higher is on top.
    group : (n,) int64, number of what belongs together; 0 is none.
    first_vertex, n_vertices : (n,) int64 and int32, rows of its outline in `vertex_x`.
    vertex_x, vertex_y : (m,) float32, sensor px: outlines, to draw shapes by.
    attributes : one (n,) column per row of an `AttributeTable`.
    """

    frame: Int64Array
    roi: npt.NDArray[np.int32]
    start_us: Int64Array
    stop_us: Int64Array
    kind: npt.NDArray[np.int8]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    w: npt.NDArray[np.float32]
    h: npt.NDArray[np.float32]
    keyframe: npt.NDArray[np.uint8]
    occluded: npt.NDArray[np.uint8]
    z_order: npt.NDArray[np.int32]
    group: Int64Array
    first_vertex: Int64Array
    n_vertices: npt.NDArray[np.int32]
    vertex_x: npt.NDArray[np.float32]
    vertex_y: npt.NDArray[np.float32]
    attributes: tuple[AttributeColumn, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def outline(self, row: int) -> npt.NDArray[np.float32]:
        """Return the vertices of a row's outline, (n, 2) float32, x and y in sensor pixels."""
        first = int(self.first_vertex[row])
        rows = slice(first, first + int(self.n_vertices[row]))
        return np.stack([self.vertex_x[rows], self.vertex_y[rows]], axis=1)


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

    def overlap(self, start_us: Int64Array, stop_us: Int64Array) -> npt.NDArray[np.bool_]:
        """Return which intervals ``[start, stop)``, none of them empty, overlap one of these.

        Examples
        --------
        >>> spans = Spans(np.array([0, 50]), np.array([20, 60]))
        >>> spans.overlap(np.array([10, 20, 40]), np.array([30, 50, 51])).tolist()
        [True, False, True]
        """
        after = np.searchsorted(self.stop_us, start_us, side="right")
        begins = np.append(self.start_us, np.iinfo(np.int64).max)[after]
        found: npt.NDArray[np.bool_] = begins < stop_us
        return found

    def hold(self, t_us: Int64Array) -> npt.NDArray[np.bool_]:
        """Return which times are in one of these.

        Examples
        --------
        >>> Spans(np.array([0, 50]), np.array([20, 60])).hold(np.array([0, 20, 50])).tolist()
        [True, False, True]
        """
        return self.overlap(t_us, t_us + 1)


class LabelTables(NamedTuple):
    """All of an annotation except its outlines, on a recording's time line."""

    labels: tuple[str, ...]
    rois: RoiTable
    tags: TagTable
    labelled: Spans
    attributes: AttributeTable = AttributeTable()
    tag_attributes: tuple[AttributeColumn, ...] = ()
