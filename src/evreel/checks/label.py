"""Checks of boxes, labels, slices and feature windows: functions of whole, small tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations import FloatArray
from evreel.checks.finding import Located, counted, register
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
        Where a field is missing, or not of one number a record.
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
        records[time].astype(np.int64),
        records["x"].astype(np.float64),
        records["y"].astype(np.float64),
        records["w"].astype(np.float64),
        records["h"].astype(np.float64),
        records["class_id"].astype(np.int64),
        records["track_id"].astype(np.int64) if tracked else None,
    )


def _first(bad: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return how many are bad, and which is the first."""
    return int(np.count_nonzero(bad)), int(np.argmax(bad)) if len(bad) else 0


def _at(boxes: Boxes, row: int) -> str:
    return f"record {row}, t={boxes.t[row]} µs"


def _corners(boxes: Boxes, row: int) -> str:
    return ", ".join(f"{name}={getattr(boxes, name)[row]:g}" for name in "xywh")


def _finite(boxes: Boxes) -> npt.NDArray[np.bool_]:
    return np.isfinite(boxes.x) & np.isfinite(boxes.y) & np.isfinite(boxes.w) & np.isfinite(boxes.h)


@register("box_number", "error", "boxes")
def box_number(boxes: Boxes) -> Iterator[Located]:
    """Find boxes with a coordinate or size that is NaN or infinite."""
    n, k = _first(~_finite(boxes))
    if n:
        yield (
            _at(boxes, k),
            f"{counted(n, 'box')} with a coordinate that is no number, the first "
            f"{_corners(boxes, k)}; leave such boxes out",
        )


@register("box_size", "error", "boxes")
def box_size(boxes: Boxes) -> Iterator[Located]:
    """Find boxes without width or height, or with a negative one."""
    n, k = _first(_finite(boxes) & ((boxes.w <= 0) | (boxes.h <= 0)))
    if n:
        yield (
            _at(boxes, k),
            f"{counted(n, 'box')} with nothing in it, the first {_corners(boxes, k)}; leave such "
            "boxes out",
        )


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
    n, k = _first(over & _finite(boxes))
    if n:
        yield (
            _at(boxes, k),
            f"{counted(n, 'box')} outside the sensor of {width}x{height}, the first "
            f"{_corners(boxes, k)}; clip them, by name and counted",
        )


@register("box_order", "error", "boxes")
def box_order(boxes: Boxes) -> Iterator[Located]:
    """Find boxes with a time before that of the box above, which loaders skip."""
    n, k = _first(np.diff(boxes.t) < 0)
    if n:
        yield (
            _at(boxes, k + 1),
            f"{counted(n, 'box')} before the box above, the first by "
            f"{int(boxes.t[k]) - int(boxes.t[k + 1])} µs; sort them by t",
        )


@register("box_class", "error", "boxes")
def box_class(boxes: Boxes, labels: Collection[int]) -> Iterator[Located]:
    """Find boxes of a class that the label map does not name."""
    n, k = _first(~np.isin(boxes.class_id, list(labels)))
    if n:
        yield (
            _at(boxes, k),
            f"{counted(n, 'box')} of a class without a name, the first of {boxes.class_id[k]}; "
            f"{counted(len(labels), 'class')} named; correct the label map",
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
    columns = (boxes.track_id, boxes.x, boxes.y, boxes.w, boxes.h)
    changes = np.zeros(len(order) - 1, dtype=np.bool_)
    for column in columns:
        changes |= column[order][1:] != column[order][:-1]
    starts = np.flatnonzero(np.concatenate([[True], changes]))
    lengths = np.diff(starts, append=len(order))
    t = boxes.t[order]
    spans = t[starts + lengths - 1] - t[starts]
    n, run = _first((lengths >= least_boxes) & (spans >= least_us))
    if n:
        row = int(order[starts[run]])
        more = f", the first of {n:,} such runs" if n > 1 else ""
        yield (
            f"record {row}, track {boxes.track_id[row]}, t={boxes.t[row]} µs",
            f"the same box {lengths[run]:,} times in {spans[run] / 1e6:.3f} s{more}; was its "
            "track left standing?",
        )


def one_window(t_us: Int64Array, alone_us: int) -> int:
    """Return the usual time from one label to the next; `alone_us` where there is but one.

    Examples
    --------
    >>> one_window(np.array([10, 10, 20, 30, 90]), 5), one_window(np.array([10]), 5)
    (10, 5)
    """
    stamps = np.unique(t_us)
    return int(np.median(np.diff(stamps))) if len(stamps) > 1 else alone_us


@register("beyond", "error", "boxes, slices")
def beyond(
    what: str,
    t_us: Int64Array,
    t_stop_us: int,
    window_us: int | None = None,
    alone_us: int = 100_000,
) -> Iterator[Located]:
    """Find labels before the recording's start, or beyond its end by more than a frame.

    Parameters
    ----------
    what
        Of which table, for the place.
    t_us
        (n,) the labels' times, µs since the recording's first event.
    t_stop_us
        The recording's end.
    window_us
        Label times are ends of frames, so the last may lie one frame beyond the end. Where it is
        not given: the usual time from one label to the next.
    alone_us
        Taken for a frame where one label alone tells none; frames of labels are shorter.
    """
    slack = one_window(t_us, alone_us) if window_us is None else window_us
    n, k = _first((t_us < 0) | (t_us > t_stop_us + slack))
    if n:
        yield (
            f"{what} {k}, t={t_us[k]} µs",
            f"{counted(n, 'label')} outside the recording, which ends at t={t_stop_us} µs; are "
            "they of another recording?",
        )


@register("slice_rows", "error", "slices")
def slice_rows(
    start: Int64Array, stop: Int64Array, start_us: Int64Array, stop_us: Int64Array, n_events: int
) -> Iterator[Located]:
    """Find slices that are no range of the file's events or of time, or are not in order."""
    n, k = _first((start < 0) | (stop < start) | (stop > n_events) | (stop_us <= start_us))
    if n:
        yield (
            f"slice {k}",
            f"{counted(n, 'slice')} of no range, the first of rows {start[k]} to {stop[k]}, t="
            f"{start_us[k]} to {stop_us[k]} µs; the file has {n_events:,} events; annotate again",
        )
    n, k = _first((np.diff(start) < 0) | (np.diff(start_us) < 0))
    if n:
        yield (
            f"slice {k + 1}",
            f"{counted(n, 'slice')} starting before the slice above; annotate again",
        )


@register("slice_count", "error", "slices")
def slice_count(
    start: Int64Array, stop: Int64Array, n_events: int, outside: int
) -> Iterator[Located]:
    """Find a count of events outside every slice that is not what the slices leave."""
    order = np.argsort(start, kind="stable")
    begin, end = np.clip(start[order], 0, n_events), np.clip(stop[order], 0, n_events)
    reached = np.concatenate([np.zeros(1, np.int64), np.maximum.accumulate(end)])[:-1]
    left = n_events - int(np.maximum(end - np.maximum(begin, reached), 0).sum())
    if left != outside:
        yield (
            "attribute events_outside_slices",
            f"is {outside:,}; the slices leave {left:,}; annotate again",
        )


@register("label_number", "error", "slices")
def label_number(what: str, label: npt.NDArray[Any], n_labels: int) -> Iterator[Located]:
    """Find regions or tags with a label that is no row of the names."""
    n, k = _first((label < 0) | (label >= n_labels))
    if n:
        yield (
            f"{what}, row {k}",
            f"{counted(n, 'row')} of no label, the first of {label[k]}; {n_labels} have names; "
            "annotate again",
        )


@register("overlap_rows", "error", "slices")
def overlap_rows(event: npt.NDArray[Any], n_events: int) -> Iterator[Located]:
    """Find overlaps of events that are not in the file, or that are not in order."""
    back = np.concatenate([np.zeros(len(event[:1]), np.bool_), event[1:] < event[:-1]])
    n, k = _first((event < 0) | (event >= n_events) | back)
    if n:
        yield (
            f"overlaps/event, row {k}",
            f"{counted(n, 'row')} out of order or of no event, the first of {event[k]}; the file "
            f"has {n_events:,}; annotate again",
        )


@register("feature_windows", "error", "features")
def feature_windows(
    start: Int64Array, stop: Int64Array, t_stop_us: int | None, start_us: Int64Array, n_events: int
) -> Iterator[Located]:
    """Find windows that hold events which the recording has not, or start after its end."""
    bad = stop > n_events
    if t_stop_us is not None:
        bad |= start_us >= max(t_stop_us, 1)
    n, k = _first(bad)
    if n:
        yield (
            f"window {k}",
            f"{counted(n, 'window')} beyond the recording, the first of rows {start[k]} to "
            f"{stop[k]}, t={start_us[k]} µs on; it has {n_events:,} events; compute again",
        )


@register("feature_values", "error", "features")
def feature_values(frames: Iterable[tuple[int, npt.NDArray[Any]]]) -> Iterator[Located]:
    """Find windows with a value that is NaN or infinite.

    Parameters
    ----------
    frames
        (window, its values), one at a time.
    """
    n, place = 0, ""
    for k, frame in frames:
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            place = place or f"window {k}"
            n += 1
    if n:
        yield place, f"{counted(n, 'window')} with NaN or infinite values; compute again"
