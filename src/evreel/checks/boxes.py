"""Checks of boxes: functions of the columns of one file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import FloatArray
from evreel.checks.finding import Located, counted, register
from evreel.checks.tally import MaskArray, distance, located
from evreel.timebase import Int64Array


class Boxes(NamedTuple):
    """Columns of boxes, (n,) each, as they are in the file.

    Parameters
    ----------
    t : int64, µs.
    x, y, w, h : float64, px: top left corner and size.
    class_id, track_id : int64; `track_id` is None where the file has no tracks.
    """

    t: Int64Array
    x: FloatArray
    y: FloatArray
    w: FloatArray
    h: FloatArray
    class_id: Int64Array
    track_id: Int64Array | None


def boxes_of(records: npt.NDArray[np.void]) -> Boxes:
    """Return the columns of records in any of Metavision's layouts: `t` or `ts`.

    Raises
    ------
    ValueError
        Where a field is missing, not of one number a record, or has one beyond int64.
    """
    names = records.dtype.names or ()
    time = next((name for name in ("t", "ts") if name in names), "t")
    for name in (time, "x", "y", "w", "h", "class_id"):
        if name not in names or records.dtype[name].kind not in "iuf":
            raise ValueError(f"records of {records.dtype} have no number {name!r}")
    for name in (time, "class_id"):
        if records.dtype[name].kind == "f":
            raise ValueError(f"{name!r} is {records.dtype[name]}; whole numbers are expected")
    tracked = "track_id" in names and records.dtype["track_id"].kind in "iu"
    return Boxes(
        _whole(records, time),
        records["x"].astype(np.float64),
        records["y"].astype(np.float64),
        records["w"].astype(np.float64),
        records["h"].astype(np.float64),
        _whole(records, "class_id"),
        _whole(records, "track_id") if tracked else None,
    )


def _whole(records: npt.NDArray[np.void], name: str) -> Int64Array:
    column: npt.NDArray[Any] = records[name]
    beyond = column > np.iinfo(np.int64).max
    if beyond.any():
        k = int(np.argmax(beyond))
        raise ValueError(f"{name!r} of record {k} is {column[k]}, which is more than 2**63 - 1")
    return column.astype(np.int64)


def since_start(boxes: Boxes, camera_start_us: int) -> Boxes:
    """Return boxes with times since the first event, where theirs are on the camera's clock.

    A data set says nowhere which clock its boxes have: where none is before the recording's
    start on the camera's clock, it is that.
    """
    if not len(boxes.t) or int(boxes.t.min()) < camera_start_us:
        return boxes
    if int(boxes.t.max()) - camera_start_us > np.iinfo(np.int64).max:
        return boxes
    return boxes._replace(t=boxes.t - camera_start_us)


def _at(boxes: Boxes, row: int) -> str:
    return f"record {row}, t={boxes.t[row]} µs"


def _with_corners(boxes: Boxes, bad: MaskArray, problem: str) -> Iterator[Located]:
    def say(row: int) -> Located:
        values = (f"{name}={getattr(boxes, name)[row]:g}" for name in "xywh")
        return _at(boxes, row), ", ".join(values)

    return located(bad, say, "box", problem)


def _finite(boxes: Boxes) -> MaskArray:
    return np.isfinite(boxes.x) & np.isfinite(boxes.y) & np.isfinite(boxes.w) & np.isfinite(boxes.h)


@register("box_number", "error", "boxes")
def box_number(boxes: Boxes) -> Iterator[Located]:
    """Find boxes with a coordinate or size that is NaN or infinite."""
    problem = "with a coordinate that is no number, the first {got}; leave such boxes out"
    return _with_corners(boxes, ~_finite(boxes), problem)


@register("box_size", "error", "boxes")
def box_size(boxes: Boxes) -> Iterator[Located]:
    """Find boxes without width or height, or with a negative one."""
    empty = _finite(boxes) & ((boxes.w <= 0) | (boxes.h <= 0))
    return _with_corners(boxes, empty, "with nothing in it, the first {got}; leave such boxes out")


@register("box_outside", "error", "boxes")
def box_outside(boxes: Boxes, sensor: tuple[int, int], slack_px: float = 0.01) -> Iterator[Located]:
    """Find boxes that reach outside the sensor.

    Parameters
    ----------
    boxes
        The boxes.
    sensor
        (height, width) in pixels.
    slack_px
        float32 corner and size add up to the sensor's edge within 0.001 px.
    """
    height, width = sensor
    with np.errstate(invalid="ignore"):
        right, bottom = boxes.x + boxes.w, boxes.y + boxes.h
        over = (boxes.x < -slack_px) | (boxes.y < -slack_px)
        over |= (right > width + slack_px) | (bottom > height + slack_px)
    problem = f"outside the sensor of {width}x{height}, the first {{got}}; clip them, by name and "
    return _with_corners(boxes, over & _finite(boxes), problem + "counted")


@register("box_order", "error", "boxes")
def box_order(boxes: Boxes) -> Iterator[Located]:
    """Find boxes with a time before that of the box above, which loaders skip."""
    t = boxes.t
    return located(
        t[1:] < t[:-1],
        lambda k: (_at(boxes, k + 1), f"{int(t[k]) - int(t[k + 1])} µs"),
        "box",
        "before the box above, the first by {got}; sort them by t",
    )


@register("box_class", "error", "boxes")
def box_class(boxes: Boxes, labels: Collection[int]) -> Iterator[Located]:
    """Find boxes of a class that the label map does not name."""
    return located(
        ~np.isin(boxes.class_id, np.fromiter(labels, np.int64)),
        lambda k: (_at(boxes, k), f"{boxes.class_id[k]}"),
        "box",
        f"of a class without a name, the first of {{got}}; {counted(len(labels), 'class')} named; "
        "correct the label map",
    )


@register("frozen_box", "warning", "boxes")
def frozen_box(boxes: Boxes, least_us: int = 1_000_000, least_boxes: int = 10) -> Iterator[Located]:
    """Find tracks whose box stays as it is: one that nobody followed, or a thing at rest.

    Parameters
    ----------
    boxes
        The boxes.
    least_us
        Things that make events for a second seldom stay within a thousandth of a pixel.
    least_boxes
        Fewer equal boxes may be those of a label rate of a few Hz.
    """
    if boxes.track_id is None or not len(boxes.t):
        return
    order = np.lexsort((np.arange(len(boxes.t)), boxes.t, boxes.track_id))
    changes = np.zeros(len(order) - 1, dtype=np.bool_)
    for column in (boxes.track_id, boxes.x, boxes.y, boxes.w, boxes.h):
        changes |= column[order][1:] != column[order][:-1]
    starts = np.flatnonzero(np.concatenate([[True], changes]))
    lengths = np.diff(starts, append=len(order))
    t = boxes.t[order]
    spans = distance(t[starts + lengths - 1], t[starts])
    long = np.flatnonzero((lengths >= least_boxes) & (spans >= least_us))
    if len(long):
        row = int(order[starts[long[0]]])
        more = f", the first of {len(long):,} such runs" if len(long) > 1 else ""
        yield (
            f"record {row}, track {boxes.track_id[row]}, t={boxes.t[row]} µs",
            f"the same box {lengths[long[0]]:,} times in {spans[long[0]] / 1e6:.3f} s{more}; was "
            "its track left standing?",
        )
