"""Boxes of a recording: how they were made, and whether they are valid and within the sensor."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.annotations.forms.records import (
    read_boxes,
    read_published_boxes,
    read_records,
    write_boxes,
)
from evreel.errors import AnnotationError
from evreel.provenance import Provenance, sha256
from evreel.timebase import Int64Array
from evreel.windows import Windows

__all__ = [
    "SLACK_PX",
    "boxes_of_windows",
    "boxes_within",
    "check_classes",
    "is_empty",
    "is_finite",
    "is_outside",
    "origin_path",
    "read_boxes",
    "read_origin",
    "read_published_boxes",
    "read_records",
    "valid_boxes",
    "write_boxes",
    "write_origin",
]

SLACK_PX = 0.01
"""Boxes may reach this far beyond the sensor's edges."""


def boxes_of_windows(
    boxes: npt.NDArray[np.void], windows: Windows, keep: Literal["last", "all"] = "all"
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

    Returns
    -------
    (m,) records, window by window, then by time; and (len(windows) + 1,) int64: window k has the
    rows ``[first[k], first[k + 1])``. A box belongs to a window as any label does
    (`Windows.of_label`).

    Examples
    --------
    >>> from evreel.layout import BOX_DTYPE
    >>> boxes = np.zeros(3, dtype=BOX_DTYPE)
    >>> boxes["t"] = [10, 20, 30]
    >>> windows = Windows(*np.array([[0, 20], [20, 40], [0, 0], [0, 0]]))
    >>> [boxes_of_windows(boxes, windows, keep)[1].tolist() for keep in ("all", "last")]
    [[0, 2, 3], [0, 1, 2]]
    """
    window = windows.of_label(boxes["t"])
    order = np.argsort(window, kind="stable")
    order = order[window[order] >= 0]
    if keep == "last":
        by_track = order[np.lexsort([boxes["t"][order], boxes["track_id"][order], window[order]])]
        same = window[by_track][1:] == window[by_track][:-1]
        same &= boxes["track_id"][by_track][1:] == boxes["track_id"][by_track][:-1]
        order = np.sort(by_track[np.append(~same, np.ones(len(by_track[:1]), dtype=bool))])
        order = order[np.argsort(window[order], kind="stable")]
    first = np.searchsorted(window[order], np.arange(len(windows) + 1))
    return boxes[order], first


def origin_path(path: str | Path) -> Path:
    """Return the file beside boxes that says how they were made: ``park_bbox.json``."""
    return Path(path).with_suffix(".json")


def write_origin(path: str | Path, boxes: str | Path, made: Provenance) -> None:
    """Write how boxes were made: a ``.npy`` file has no room for it.

    Parameters
    ----------
    path
        The file to write, JSON.
    boxes
        The boxes, as they were written.
    made
        What made them.
    """
    value = {**made.attributes(), "beside": {"boxes": sha256(boxes)}}
    for name in ("parameters", "inputs", "repairs"):
        value[name] = dict(getattr(made, name))
    Path(path).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


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


def is_outside(
    columns: Sequence[npt.NDArray[np.floating]], sensor: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Return which boxes, (n,) x, y, w, h, have a corner outside the sensor's (height, width)."""
    x, y, w, h = (column.astype(np.float64) for column in columns)
    height, width = sensor
    with np.errstate(invalid="ignore"):
        over = (x < -SLACK_PX) | (y < -SLACK_PX)
        over |= (x + w > width + SLACK_PX) | (y + h > height + SLACK_PX)
    return over & is_finite(columns)


def is_empty(columns: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.bool_]:
    """Return which boxes, (n,) x, y, w, h, all finite, have no area."""
    *_, w, h = columns
    return is_finite(columns) & ((w <= 0) | (h <= 0))


def is_finite(columns: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.bool_]:
    """Return which boxes, (n,) x, y, w, h, have neither NaN nor infinity in them."""
    finite: npt.NDArray[np.bool_] = np.logical_and.reduce([np.isfinite(c) for c in columns])
    return finite


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
    columns = _corners(boxes)
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
    over = is_outside(_corners(boxes), (height, width))
    if not over.any():
        return boxes, 0, 0
    if not clip:
        shown = f" of {width}x{height}" if sensor else ""
        _fail(
            *(boxes, over, path, f"reaches outside the sensor{shown}"),
            "Is it of this recording? If it is, set boxes.outside: clip.",
        )
    boxes = boxes.copy()
    for corner, size, limit in (("x", "w", width), ("y", "h", height)):
        start = boxes[corner][over].astype(np.float64)
        start, stop = np.clip([start, start + boxes[size][over]], 0, limit)
        boxes[corner][over], boxes[size][over] = start, stop - start
    gone = over & is_empty(_corners(boxes))
    n_gone = int(np.count_nonzero(gone))
    return boxes[~gone], int(np.count_nonzero(over)) - n_gone, n_gone


def _corners(boxes: npt.NDArray[np.void]) -> list[npt.NDArray[np.floating]]:
    return [boxes[name] for name in ("x", "y", "w", "h")]


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
