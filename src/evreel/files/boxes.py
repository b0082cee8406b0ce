"""Boxes of a recording: how they were made, and whether they are valid and within the sensor."""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

import numpy as np
import numpy.typing as npt

from evreel.annotations.forms.records import (
    as_boxes,
    check_order,
    mapped_records,
    read_boxes,
    read_published_boxes,
    read_records,
    spelled,
    write_boxes,
)
from evreel.errors import AnnotationError, ParameterError
from evreel.events import Sensor
from evreel.geometry import Geometry, clipped, corners, is_empty, is_finite, is_outside
from evreel.layout import BOXES_SUFFIX, COLUMN_CHUNK
from evreel.npy import whole_numbers
from evreel.provenance import Provenance, sha256
from evreel.timebase import Int64Array
from evreel.windows import Windows

if TYPE_CHECKING:
    from evreel.files.features import SampleWindows

__all__ = [
    "GEOMETRY",
    "BoxesByTime",
    "Keep",
    "as_boxes",
    "boxes_of_windows",
    "boxes_path",
    "boxes_within",
    "check_classes",
    "first_path",
    "geometry_of",
    "kept",
    "label_map",
    "last_in_each",
    "last_of_tracks",
    "moved",
    "origin_path",
    "read_boxes",
    "read_boxes_of_windows",
    "read_origin",
    "read_published_boxes",
    "read_records",
    "rows_of_windows",
    "taken",
    "valid_boxes",
    "write_boxes",
    "write_boxes_of_windows",
    "write_origin",
]

GEOMETRY = "geometry"
"""Parameter of boxes: which geometry of a feature gave them their coordinates."""

Keep = Literal["last", "all"]
"""Which boxes of a window are wanted: of each track its last one, or all."""


class BoxesByTime:
    """Boxes of a file, found by their time; only those that are asked for are in memory.

    The file is read once when it is opened, to check it, and then where boxes are asked for. It may
    have the fields of any file that `read_published_boxes` takes.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    geometry : which geometry of a feature gave the boxes their coordinates.

    Raises
    ------
    AnnotationError
        If it cannot be read, a value does not fit, or boxes are not in order of time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.geometry = geometry_of(path)
        self._records = np.asarray(mapped_records(self.path))
        as_boxes(self._records[:0], self.path)  # its fields, also of a file without boxes
        self._t = self._records[spelled(self._records, "t")]
        for start in range(0, len(self._records), COLUMN_CHUNK):
            before = max(start - 1, 0)
            check_order(self._rows(before, start + COLUMN_CHUNK)["t"], self.path, before)

    def between(
        self, start_us: int, stop_us: int, *, with_start: bool = False
    ) -> npt.NDArray[np.void]:
        """Return the boxes with start < t <= stop as a new array, also t = start if asked for."""
        # Not numpy's search: it would first copy the times of all boxes.
        find = bisect.bisect_left if with_start else bisect.bisect_right
        return self._rows(find(self._t, start_us), bisect.bisect_right(self._t, stop_us))

    def _rows(self, start: int, stop: int) -> npt.NDArray[np.void]:
        return as_boxes(self._records[start:stop], self.path, start)


def boxes_of_windows(
    boxes: npt.NDArray[np.void],
    windows: Windows,
    keep: Keep = "all",
    *,
    samples: SampleWindows | None = None,
) -> tuple[npt.NDArray[np.void], Int64Array]:
    """Return the boxes of each window, so that a reader need not search for them.

    Parameters
    ----------
    boxes
        (n,) records, by time.
    windows
        Windows in order of their starts, such as those of features or of slices.
    keep
        ``all`` boxes of a window, or of each track its ``last``.
    samples
        Which windows belong to which sample, if the recording is cut into samples.

    Returns
    -------
    (m,) records, window by window, then by time; and (len(windows) + 1,) int64: window k has the
    rows ``[first[k], first[k + 1])``. A box belongs to a window as any label does
    (`Windows.of_label`): to the first one that holds it, if windows overlap, and to none, if it is
    in a gap between windows or beyond the last one. Samples are divided each on its own: a box is
    of each sample with ``start <= t <= stop``, and so more than once if samples overlap or touch.

    Examples
    --------
    >>> from evreel.layout import BOX_DTYPE
    >>> boxes = np.zeros(3, dtype=BOX_DTYPE)
    >>> boxes["t"] = [10, 20, 30]
    >>> windows = Windows(*np.array([[0, 20], [20, 40], [0, 0], [0, 0]]))
    >>> [boxes_of_windows(boxes, windows, keep)[1].tolist() for keep in ("all", "last")]
    [[0, 2, 3], [0, 1, 2]]
    """
    row, window = rows_of_windows(boxes["t"], windows, samples)
    first = np.searchsorted(window, np.arange(len(windows) + 1))
    return (taken(boxes, row), first) if keep == "all" else last_of_tracks(taken(boxes, row), first)


def rows_of_windows(
    t: Int64Array, windows: Windows, samples: SampleWindows | None = None
) -> tuple[Int64Array, Int64Array]:
    """Return the rows of labels that are in a window, (m,) each, and their windows, ascending."""
    if samples is None:
        window = windows.of_label(t)
        row = np.argsort(window, kind="stable")
        row = row[window[row] >= 0]
        return row, window[row]
    rows, found = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    low = np.searchsorted(t, samples.samples.start_us, side="left").tolist()
    high = np.searchsorted(t, samples.samples.stop_us, side="right").tolist()
    bounds = samples.bounds.tolist()
    for k in range(len(low)):
        if low[k] == high[k]:
            continue
        window = windows[bounds[k] : bounds[k + 1]].of_label(t[low[k] : high[k]])
        inside = np.flatnonzero(window >= 0)
        rows.append(inside + low[k])
        found.append(window[inside] + bounds[k])
    return np.concatenate(rows), np.concatenate(found)


def last_of_tracks(
    boxes: npt.NDArray[np.void], first: Int64Array
) -> tuple[npt.NDArray[np.void], Int64Array]:
    """Return the last box of each track in each window, of all boxes in the order of windows."""
    n = len(first) - 1
    window = np.repeat(np.arange(n), np.diff(first))
    order = np.lexsort([boxes["t"], boxes["track_id"], window])
    track = boxes["track_id"][order]
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (window[order][1:] != window[order][:-1]) | (track[1:] != track[:-1])
    rows = np.sort(order[is_last])
    return taken(boxes, rows), np.searchsorted(window[rows], np.arange(n + 1))


def last_in_each(each: Sequence[npt.NDArray[np.void]]) -> list[npt.NDArray[np.void]]:
    """Return the last box of each track in each window; `each` are the boxes of one window.

    Examples
    --------
    >>> from evreel.layout import BOX_DTYPE
    >>> boxes = np.zeros(3, dtype=BOX_DTYPE)
    >>> boxes["t"], boxes["track_id"] = [10, 20, 20], [1, 1, 2]
    >>> [window["t"].tolist() for window in last_in_each([boxes, boxes[:1], boxes[:0]])]
    [[20, 20], [10], []]
    """
    first = np.cumsum([0, *map(len, each)])
    if not first[-1]:
        return list(each)
    boxes, first = last_of_tracks(np.concatenate(each), first)
    return np.split(boxes, first[1:-1])


def taken(boxes: npt.NDArray[np.void], rows: Int64Array) -> npt.NDArray[np.void]:
    """Return some of the boxes; equal boxes give equal bytes.

    NumPy does not copy the padding between fields, and leaves there what was in memory.
    """
    found = np.zeros(len(rows), dtype=boxes.dtype)
    for name in boxes.dtype.names or ():
        found[name] = boxes[name][rows]
    return found


def boxes_path(path: str | Path) -> Path:
    """Return the file of boxes beside a file, such as one of features: ``park_bbox.npy``."""
    return Path(path).with_name(f"{Path(path).stem}{BOXES_SUFFIX}")


def first_path(path: str | Path) -> Path:
    """Return the file beside boxes of windows with the first row of each: ``park_bbox_first.npy``.

    Boxes without such a file are those of a recording, by time.
    """
    return Path(path).with_name(f"{Path(path).stem}_first.npy")


def write_boxes_of_windows(
    path: str | Path, first_path: str | Path, boxes: npt.NDArray[np.void], first: Int64Array
) -> None:
    """Write what `boxes_of_windows` returns to two new files."""
    # A box that is of two samples may be before the one above it.
    write_boxes(path, boxes, by_time=False)
    with Path(first_path).open("xb") as file:
        np.save(file, first.astype("<i8"), allow_pickle=False)


def read_boxes_of_windows(path: str | Path) -> tuple[npt.NDArray[np.void], Int64Array]:
    """Return boxes in the order of windows, and the first row of each window, as they were written.

    Raises
    ------
    AnnotationError
        If one of the two files cannot be read, or they do not fit together.
    """
    boxes, beside = read_boxes(path, by_time=False), first_path(path)
    try:
        rows = whole_numbers(beside.read_bytes())
        if rows.dtype != np.dtype("<i8") or not len(rows):
            raise ValueError(f"it holds {len(rows):,} numbers of {rows.dtype}")
        first = rows.astype(np.int64)
        if first[0] != 0 or first[-1] != len(boxes) or (np.diff(first) < 0).any():
            raise ValueError(f"its rows do not divide the {len(boxes):,} boxes")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise AnnotationError(
            f"is not the first row of each window: {why}",
            path=beside,
            hint="If a step was interrupted, run it again; else build or download it again.",
        ) from error
    return boxes, first


def origin_path(path: str | Path) -> Path:
    """Return the file beside boxes that says how they were made: ``park_bbox.json``."""
    return Path(path).with_suffix(".json")


def write_origin(
    path: str | Path, boxes: str | Path, made: Provenance, *, first: str | Path | None = None
) -> None:
    """Write how boxes were made: a ``.npy`` file has no room for it.

    Parameters
    ----------
    path
        The file to write, JSON.
    boxes
        The boxes, as they were written.
    made
        What made them.
    first
        The first row of each window, as it was written beside boxes of windows.
    """
    beside = {"boxes": boxes} if first is None else {"of_windows": boxes, "first": first}
    digests = {role: sha256(file) for role, file in beside.items()}
    value = {**made.attributes(), "beside": digests}
    for name in ("parameters", "inputs", "repairs"):
        value[name] = dict(getattr(made, name))
    Path(path).write_text(
        json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
    )


def read_origin(boxes: str | Path) -> dict[str, dict[str, Any]]:
    """Return ``inputs``, ``beside`` and ``repairs`` of boxes, empty ones if nothing says so."""
    try:
        value = json.loads(origin_path(boxes).read_bytes())
    except (OSError, ValueError, RecursionError):
        value = None
    said = value if isinstance(value, dict) else {}
    parts = {name: said.get(name) for name in ("inputs", "beside", "repairs")}
    kinds = {"repairs": int}
    return {
        name: part
        if isinstance(part, dict)
        and all(isinstance(value, kinds.get(name, str)) for value in part.values())
        else {}
        for name, part in parts.items()
    }


def kept(origin: bytes) -> Keep | None:
    """Return which boxes are in a file of boxes of windows, by its ``.json``; None if unknown."""
    try:
        said = json.loads(origin)["parameters"]["boxes"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    return said if said in get_args(Keep) else None


def geometry_of(boxes: str | Path) -> Geometry:
    """Return the geometry that gave boxes their coordinates, as the file beside them says it."""
    try:
        said = json.loads(origin_path(boxes).read_bytes())["parameters"][GEOMETRY]
        return Geometry(**said)
    except (OSError, LookupError, TypeError, ValueError, RecursionError, ParameterError):
        return Geometry()


def moved(
    boxes: npt.NDArray[np.void],
    path: str | Path,
    geometry: Geometry,
    sensor: Sensor,
    has: Geometry | None = None,
) -> tuple[npt.NDArray[np.void], dict[str, int]]:
    """Return boxes in the coordinates of a feature's frames, and what was changed.

    Parameters
    ----------
    boxes, path
        Boxes and their file: what is beside it says whether they have these coordinates already.
    geometry
        That of the feature.
    sensor
        (height, width) of the events.
    has
        What `geometry_of` says of the file, if that is known.

    Raises
    ------
    AnnotationError
        If the boxes are in the coordinates of another feature's frames.
    """
    has = geometry_of(path) if has is None else has
    if has.has_pixels_of(geometry):
        return boxes, {}
    if has.moves:
        raise AnnotationError(
            "is in the pixels of the frames of a feature with another geometry",
            path=path,
            hint="Give the boxes of the recording, in the pixels of the sensor.",
        )
    return geometry.of_boxes(boxes, sensor)


def label_map(content: bytes) -> dict[int, str]:
    """Return number of a class → its name, by number, of the content of a file that says so.

    Raises
    ------
    ValueError
        If it is of another form.

    Examples
    --------
    >>> label_map(b'{"1": "bus", "0": "car"}')
    {0: 'car', 1: 'bus'}
    """
    named = json.loads(content)
    if not isinstance(named, dict):
        raise ValueError("it is not an object of numbers and names")
    for number, name in named.items():
        if not re.fullmatch("[0-9]{1,18}", number):
            raise ValueError(f"{number!r} is not a number of a class")
        if not isinstance(name, str):
            raise ValueError(f"the name of {number} is not text")
    return {int(number): named[number] for number in sorted(named, key=int)}


def check_classes(boxes: npt.NDArray[np.void], path: str | Path, n_labels: int) -> None:
    """Raise `AnnotationError` if a box has a class without a label."""
    unknown = boxes["class_id"] >= n_labels
    if unknown.any():
        row = int(np.argmax(unknown))
        raise AnnotationError(
            f"class_id is {boxes['class_id'][row]}, but there are {n_labels} labels",
            path=path,
            place=f"record {row}",
            hint="List all classes in labels, in the order of their numbers.",
        )


def valid_boxes(
    boxes: npt.NDArray[np.void], path: str | Path, *, drop: bool = False
) -> tuple[npt.NDArray[np.void], int]:
    """Return the boxes that have an area and finite numbers, and how many were left out.

    Raises
    ------
    AnnotationError
        If there is another one, unless it may be dropped.
    """
    columns = corners(boxes)
    bad = ~is_finite(columns) | is_empty(columns)
    if bad.any() and not drop:
        _fail(
            *(boxes, bad, path, "has no area, or a number that is not finite"),
            "Leave it out of the file, or set boxes.invalid: drop.",
        )
    return boxes[~bad], int(np.count_nonzero(bad))


def boxes_within(
    boxes: npt.NDArray[np.void],
    path: str | Path,
    sensor: tuple[int, int] | None,
    *,
    clip: bool = False,
) -> tuple[npt.NDArray[np.void], int, int]:
    """Return boxes within the sensor, how many were clipped, and how many were left out.

    Parameters
    ----------
    boxes
        Valid ones. They do not change.
    path
        Their file, for messages.
    sensor
        (height, width) in pixels; None if not known yet, so that only its left and top edges are.
    clip
        Cut off the parts outside, and leave out the boxes that are all outside.

    Raises
    ------
    AnnotationError
        If a box reaches outside the sensor, unless it may be clipped.
    """
    height, width = sensor or (math.inf, math.inf)
    over = is_outside(corners(boxes), (height, width))
    if over.any() and not clip:
        shown = f" of {width}x{height}" if sensor else ""
        _fail(
            *(boxes, over, path, f"reaches outside the sensor{shown}"),
            "Is it of this recording? If it is, set boxes.outside: clip.",
        )
    return clipped(boxes, (height, width))


def _fail(
    boxes: npt.NDArray[np.void],
    bad: npt.NDArray[np.bool_],
    path: str | Path,
    problem: str,
    hint: str,
) -> NoReturn:
    row, n = int(np.argmax(bad)), int(np.count_nonzero(bad))
    values = ", ".join(f"{name}={boxes[name][row]:g}" for name in ("x", "y", "w", "h"))
    more = f", the first of {n:,} such boxes" if n > 1 else ""
    raise AnnotationError(
        f"box {values} {problem}{more}", path=path, place=f"record {row}", hint=hint
    )
