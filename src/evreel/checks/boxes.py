"""Checks of boxes: functions of the columns of one file, and what applies them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import FloatArray
from evreel.checks.finding import DAMAGE, Finding, Located, first_of
from evreel.checks.inventory import File, Known, is_file, kind_of
from evreel.checks.labels import Beyond
from evreel.checks.registry import Threshold, checks_of, findings, finished
from evreel.checks.tally import MaskArray, distance, located
from evreel.errors import EvreelError, LayoutError
from evreel.files.boxes import (
    geometry_of,
    read_boxes_of_windows,
    read_records,
)
from evreel.files.features import FeaturesFile
from evreel.geometry import SLACK_PX, Geometry, is_empty, is_finite, is_outside
from evreel.layout import FEATURES
from evreel.text import counted
from evreel.timebase import Int64Array
from evreel.windows import Windows

error, warning = checks_of("boxes")


class Boxes(NamedTuple):
    """Columns of boxes, (n,) each, as they are in the file.

    Parameters
    ----------
    t : int64, µs.
    x, y, w, h : float64, px: top left corner and size.
    class_id, track_id : int64; `track_id` is None if the file has no tracks.
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
        If a field is missing, is not one number per record, or has a number beyond int64.
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
    """Return boxes with times since the first event, if theirs are on the camera's clock.

    No data set says which clock its boxes use: if no box is before the recording's start on the
    camera's clock, they use that clock.
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


def _corners(boxes: Boxes) -> list[FloatArray]:
    return [boxes.x, boxes.y, boxes.w, boxes.h]


_DROP = "leave such boxes out, as boxes.invalid: drop does, and count them"


@error("box_number", "Boxes with a coordinate or size that is NaN or infinite.")
def box_number(boxes: Boxes) -> Iterator[Located]:
    """Find boxes whose numbers are not finite."""
    problem = f"with a coordinate that is not a number, the first {{got}}; {_DROP}"
    return _with_corners(boxes, ~is_finite(_corners(boxes)), problem)


@error("box_size", "Boxes without width or height, or with a negative one.")
def box_size(boxes: Boxes) -> Iterator[Located]:
    """Find boxes without area; boxes with numbers that are not finite are left to `box_number`."""
    return _with_corners(
        boxes, is_empty(_corners(boxes)), f"without area, the first {{got}}; {_DROP}"
    )


_SLACK_PX = Threshold(
    "slack_px", SLACK_PX, "float32 corner and size add up to the sensor's edge within 0.001 px."
)


@error("box_outside", "Boxes that reach outside the sensor.", _SLACK_PX)
def box_outside(boxes: Boxes, sensor: tuple[int, int]) -> Iterator[Located]:
    """Find boxes with a corner outside the sensor's (height, width)."""
    height, width = sensor
    problem = (
        f"outside the sensor of {width}x{height}, the first {{got}}; clip them, as boxes.outside: "
        "clip does, and count that"
    )
    return _with_corners(boxes, is_outside(_corners(boxes), sensor), problem)


@error(
    "box_geometry",
    "Boxes in other pixels than those of the frames beside them, whose feature has a geometry.",
)
def box_geometry(boxes: Geometry, frames: Geometry) -> Iterator[Located]:
    """Find boxes of which nothing says that the geometry of the frames moved them, too."""
    if not boxes.has_pixels_of(frames):
        yield (
            "",
            "is not in the pixels of the frames beside it: the feature has another geometry than "
            "its boxes; make them of the feature's windows, as features/<name>/boxes: all does",
        )


@error("box_order", "Boxes with a time before the previous box's, which loaders skip.")
def box_order(boxes: Boxes) -> Iterator[Located]:
    """Find boxes out of order."""
    t = boxes.t
    return located(
        t[1:] < t[:-1],
        lambda k: (_at(boxes, k + 1), f"{int(t[k]) - int(t[k + 1])} µs"),
        "box",
        "before the previous box, the first by {got}; sort them by t",
    )


@error(
    "box_window",
    "Boxes in the order of a feature's windows that are not in their window, or not by time in it; "
    "or another number of windows than the feature has.",
)
def box_window(
    boxes: Boxes, first: Int64Array, windows: Windows, sample_start: Int64Array | None = None
) -> Iterator[Located]:
    """Find boxes outside their window.

    Parameters
    ----------
    boxes, first
        Boxes, of which window k has the rows ``[first[k], first[k + 1])``.
    windows
        The feature's windows.
    sample_start
        The first window of each sample, if the recording is cut: it also has boxes at its start.
    """
    n = len(first) - 1
    if n != len(windows):
        there = counted(n, "window")
        yield "", f"has boxes of {there}; the feature has {len(windows):,}; make them again"
        return
    window = np.repeat(np.arange(n), np.diff(first))
    begins = np.zeros(n + 1, dtype=bool)
    begins[0 if sample_start is None else sample_start] = True
    start, stop = windows.start_us[window], windows.stop_us[window]
    bad = (boxes.t < start) | (boxes.t > stop) | ((boxes.t == start) & ~begins[window])
    bad[1:] |= (window[1:] == window[:-1]) & (boxes.t[1:] < boxes.t[:-1])
    yield from located(
        bad,
        lambda k: (_at(boxes, k), f"window {window[k]}, {start[k]} to {stop[k]} µs"),
        "box",
        "not in its window, or not by time in it, the first in {got}; make them again",
    )


@error("box_class", "Boxes of a class that the label map does not name.")
def box_class(boxes: Boxes, labels: Collection[int]) -> Iterator[Located]:
    """Find boxes whose class is not a number in `labels`."""
    return located(
        ~np.isin(boxes.class_id, np.fromiter(labels, np.int64)),
        lambda k: (_at(boxes, k), f"{boxes.class_id[k]}"),
        "box",
        f"of a class without a name, the first of {{got}}; {counted(len(labels), 'class')} named; "
        "correct the label map",
    )


_FROZEN_LEAST_US = Threshold(
    "least_us",
    1_000_000,
    "An object that makes events for a second seldom stays within a thousandth of a pixel.",
)
_FROZEN_LEAST_BOXES = Threshold(
    "least_boxes", 10, "Fewer equal boxes may come from a label rate of a few Hz."
)
_FROZEN_GAP_US = Threshold(
    "gap_us",
    2_000_000,
    "Equal boxes at a label rate of 1 Hz, one missing, are still of one object; later ones need "
    "not be.",
)


@warning(
    "frozen_box",
    "Boxes that never change, of one track or of several in turn: nobody followed the object, or "
    "it is at rest. Equal means to the last bit, so a box that trembles is not found.",
    _FROZEN_LEAST_US,
    _FROZEN_LEAST_BOXES,
    _FROZEN_GAP_US,
)
def frozen_box(boxes: Boxes) -> Iterator[Located]:
    """Find runs of equal boxes of one class, whatever the numbers of their tracks are."""
    runs = frozen_runs(boxes)
    if not runs:
        return
    rows = min(runs, key=lambda run: int(run[0]))
    times = np.unique(boxes.t[rows])
    span = int(distance(times[-1:], times[:1])[0])
    place, tracks = f"record {rows[0]}, ", ""
    if boxes.track_id is not None:
        place += f"track {boxes.track_id[rows[0]]}, "
        n_tracks = len(np.unique(boxes.track_id[rows]))
        tracks = f" under {n_tracks:,} track numbers" if n_tracks > 1 else ""
    more = first_of(len(runs), "such runs")
    yield (
        f"{place}t={boxes.t[rows[0]]} µs",
        f"the same box {len(times):,} times in {span / 1e6:.3f} s{tracks}{more}; "
        "was its object abandoned?",
    )


def frozen_runs(boxes: Boxes) -> list[Int64Array]:
    """Return the rows of each run of boxes that `frozen_box` finds, by time."""
    if not len(boxes.t):
        return []
    geometry = (boxes.h, boxes.w, boxes.y, boxes.x, boxes.class_id)
    order = np.lexsort((np.arange(len(boxes.t)), boxes.t, *geometry))
    t = boxes.t[order]
    apart = distance(t[1:], t[:-1])
    changes = apart > _FROZEN_GAP_US.value
    for column in geometry:
        changes |= column[order][1:] != column[order][:-1]
    starts = np.flatnonzero(np.concatenate([[True], changes]))
    last = np.append(starts[1:], len(order)) - 1
    # Boxes of one moment count once.
    moment = np.concatenate([[0], np.cumsum(apart > 0)])
    lengths = moment[last] - moment[starts] + 1
    spans = distance(t[last], t[starts])
    long = (lengths >= _FROZEN_LEAST_BOXES.value) & (spans >= _FROZEN_LEAST_US.value)
    return [order[first : end + 1] for first, end in zip(starts[long], last[long], strict=True)]


def read_boxes(file: File, camera_start_us: int | None) -> Boxes:
    """Return the boxes of a file, in µs since the start of their recording if that is known.

    Raises
    ------
    EvreelError
        If it cannot be read, or holds other records.
    """
    records = read_records(file.location)
    try:
        found = boxes_of(records)
    except ValueError as error:
        raise LayoutError(str(error), hint="Export or download it again.") from error
    return found if camera_start_us is None else since_start(found, camera_start_us)


def check_boxes(file: File, known: Known) -> Iterator[Finding]:
    """Yield what is found in a file of boxes."""
    boxes, path = read_boxes(file, known.camera_start_us), file.path
    yield from findings(box_order, boxes, path=path)
    with _feature_beside(file) as features:
        yield from _check_each(boxes, file, known, features)


def check_boxes_of_windows(file: File, known: Known) -> Iterator[Finding]:
    """Yield what is found in boxes in the order of a feature's windows."""
    records, first = read_boxes_of_windows(file.location)
    boxes = boxes_of(records)
    with _feature_beside(file) as features:
        if features is not None:
            samples = features.samples
            starts = None if samples is None else samples.bounds[:-1]
            looked_at = boxes, first, features.windows, starts
            yield from findings(box_window, *looked_at, path=file.path)
        yield from _check_each(boxes, file, known, features)


@contextmanager
def _feature_beside(file: File) -> Iterator[FeaturesFile | None]:
    """Give the feature file that boxes are beside, None if they are not beside any."""
    beside = file.location.with_name(f"{file.id}.h5")
    with ExitStack() as stack:
        features = None
        if is_file(beside) and kind_of(beside) == FEATURES.name:
            with suppress(EvreelError, *DAMAGE):  # its own findings say why
                features = stack.enter_context(FeaturesFile(beside))
        yield features


def _check_each(
    boxes: Boxes, file: File, known: Known, features: FeaturesFile | None
) -> Iterator[Finding]:
    """Yield what is found in boxes, whatever their order is; `features` is what they are beside."""
    path, geometry, sensor = file.path, geometry_of(file.location), known.sensor
    if features is not None:
        yield from findings(box_geometry, geometry, features.geometry, path=path)
        if geometry.has_pixels_of(features.geometry):
            sensor = features.geometry.sensor(features.sensor)
    for check in (box_number, box_size, frozen_box):
        yield from findings(check, boxes, path=path)
    if sensor is not None:
        yield from findings(box_outside, boxes, sensor, path=path)
    if known.labels is not None:
        yield from findings(box_class, boxes, known.labels, path=path)
    if known.t_stop_us is not None:
        beyond = Beyond("record", known.t_stop_us)
        beyond.add(0, boxes.t)
        yield from finished(beyond, path)
