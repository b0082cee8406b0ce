"""Boxes around objects: their files, loading them for training, and what is done to them.

Boxes are EventBbox records, an array of `EVENT_BBOX`: `t` in µs, the top left corner `x`, `y` and
the size `w`, `h` in pixels, `class_id`, `track_id` and `class_confidence`. No function changes the
boxes that it is given.

A box at t belongs to the window with start < t <= stop; the first window of a recording also takes
t = start. So each box is in exactly one window, wherever a batch ends.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import numpy.typing as npt

from evreel.annotations.tables import Spans
from evreel.errors import AnnotationError, ParameterError, did_you_mean
from evreel.events import Sensor
from evreel.files.boxes import (
    BoxesByTime,
    Keep,
    as_boxes,
    boxes_path,
    label_map,
    last_in_each,
    moved,
    read_published_boxes,
    taken,
    write_boxes,
)
from evreel.geometry import clipped, corners, is_finite
from evreel.layout import BOX_DTYPE, LABEL_MAP
from evreel.outputs import atomic
from evreel.text import nfc
from evreel.timebase import Int64Array

EVENT_BBOX = BOX_DTYPE
"""An EventBbox record, 40 bytes, as Metavision's and RVT's tools have it."""

Boxes = npt.NDArray[np.void]
"""(n,) records of `EVENT_BBOX`."""

BoolArray = npt.NDArray[np.bool_]

NOT_LAST = "boxes_not_last"
"""Count of boxes that are left out because their window has a later one of the same track."""

_MOST_CLASSES = 1 << 16
"""Size limit of a class lookup; public data sets have up to a thousand classes."""

_MOST_OPEN = 256
"""Files of boxes that a process keeps open: more than it reads side by side, fewer than the 1024
files that a system lets it open."""

_MARKS = ("_td", "_cd", "_td.dat")
"""Ends of names of recordings that the name of their boxes does not have."""


class Metadata(Protocol):
    """What a function that loads labels is told of a recording.

    Beside `path` it may have the attributes below; what it does not have counts as its default.

    Attributes
    ----------
    path : the recording, or its file of features.
    boxes : its file of boxes; by default ``<name>_bbox.npy`` beside `path`.
    start_ts : where its first window starts, µs; 0.
    padding : whether it only fills a lane that has no recording left; False.
    sensor : (height, width) of the pixels that its boxes are in; None, the pixels of the tensor.
    geometry : of its features, a `Geometry`; None, that of the boxes.
    labelled : intervals that annotators looked at, as `ReleasedRecording.labelled`; None.
    delta_t_us : duration of its windows; 0 divides the part into as many as the tensor has frames.
        With it, a part may also be shorter than the tensor: the last frames are beyond its end.
    spans_us : (after, until) of each window of the part: labels with after < t <= until are its
        own. None, what follows from `delta_t_us`.
    """

    @property
    def path(self) -> str | Path:
        """The recording, or its file of features."""


class LoadLabels(Protocol):
    """A function that loads the labels of a recording's part, as `load_labels_stub` does."""

    def __call__(
        self, metadata: Any, start_us: int, duration_us: int, tensor: Any, /
    ) -> tuple[Sequence[Any], BoolArray]:
        """Return T labels, and (T,) which of the windows are labelled."""


def load_labels_stub(
    metadata: Metadata, start_us: int, duration_us: int, tensor: Any
) -> tuple[list[Any], BoolArray]:
    """Load no labels: a model of functions that load some, and what stands in for one.

    Parameters
    ----------
    metadata
        The recording.
    start_us, duration_us
        Which part of it, in µs. A label at t belongs to it if start < t <= start + duration, or
        at t = start too if the recording starts there.
    tensor
        (T, C, H, W) frames of the part: T windows of equal duration.

    Returns
    -------
    The labels of each window, here an empty list, T in all; and (T,) bool: which windows are
    labelled, and so have a loss.

    Examples
    --------
    >>> load_labels_stub(None, 0, 100_000, np.zeros((2, 1, 4, 4)))
    ([[], []], array([False, False]))
    """
    n = len(tensor)
    return [[] for _ in range(n)], np.zeros(n, dtype=np.bool_)


def read(path: str | Path) -> Boxes:
    """Read boxes of a file, ``.npy``, also as older tools wrote them.

    The fields ``ts`` and ``confidence`` are read as `t` and `class_confidence`; fields may have
    other widths and another order. Without tracks, `track_id` is 0; without confidences, these
    are 1.

    Raises
    ------
    AnnotationError
        If the file is not of this form, or boxes are not in order of time.
    """
    return read_published_boxes(path)


def write(path: str | Path, boxes: npt.ArrayLike) -> None:
    """Write boxes, or an empty list, to a file, ``.npy``, in place of one that is there.

    Raises
    ------
    AnnotationError
        If they are not boxes, or are not in order of time.
    """
    found = _records(boxes)
    with atomic(path) as (scratch,):
        write_boxes(scratch, found)


def load_box_events(
    metadata: Metadata, start_us: int, duration_us: int, *, first: bool | None = None
) -> Boxes:
    """Load the boxes of a recording's part: start < t <= start + duration.

    The file is opened and checked once in each process. Boxes are then found by binary search, and
    only those of the part are read.

    Parameters
    ----------
    metadata
        The recording.
    start_us, duration_us
        Which part of it, in µs.
    first
        Whether boxes at t = start belong to it; by default, if the recording starts there.

    Returns
    -------
    (n,) `EVENT_BBOX`, by time; a new array.

    Raises
    ------
    AnnotationError
        If there is no file of boxes, it is damaged, or its boxes are not in order of time.
    """
    if getattr(metadata, "padding", False):
        return np.zeros(0, dtype=EVENT_BBOX)
    start_us, duration_us = _whole("start_us", start_us), _whole("duration_us", duration_us, 0)
    is_first = _is_first(metadata, start_us) if first is None else first
    return _file_of(metadata).between(start_us, start_us + duration_us, with_start=is_first)


def split_boxes(
    boxes: Boxes,
    batch_start_time: int,
    delta_t: int,
    num_tbins: int,
    *,
    first: bool | None = None,
) -> list[Boxes]:
    """Divide boxes into windows of equal duration, (t, t + delta_t] each.

    Parameters
    ----------
    boxes
        In any order; those outside all windows are left out.
    batch_start_time
        Start of the first window, µs.
    delta_t
        Duration of a window, µs.
    num_tbins
        Number of windows.
    first
        Whether the first window also takes t = start, as that of a recording does; by default, if
        it starts at 0.

    Returns
    -------
    The boxes of each window, in the order in which they are given.

    Examples
    --------
    >>> boxes = np.zeros(5, dtype=EVENT_BBOX)
    >>> boxes["t"] = [0, 10, 20, 21, 40]
    >>> [part["t"].tolist() for part in split_boxes(boxes, 0, delta_t=10, num_tbins=2)]
    [[0, 10], [20]]
    >>> [part["t"].tolist() for part in split_boxes(boxes, 20, delta_t=10, num_tbins=2)]
    [[21], [40]]
    """
    n = _whole("num_tbins", num_tbins, 1)
    start = _whole("batch_start_time", batch_start_time)
    edges = start + _whole("delta_t", delta_t, 1) * np.arange(n + 1, dtype=np.int64)
    first = start == 0 if first is None else first
    return _divided(_records(boxes), edges[:-1], edges[1:], first)


def load_boxes(
    metadata: Metadata,
    start_us: int,
    duration_us: int,
    tensor: Any,
    *,
    class_lookup: npt.ArrayLike | None = None,
    min_box_diag_network: float = 0,
    num_tbins: int | None = None,
    keep: Keep = "all",
    repairs: MutableMapping[str, int] | None = None,
) -> tuple[list[Boxes], BoolArray]:
    """Load the boxes of each window in the pixels of the frames: a `LoadLabels`.

    Bind the last arguments with `functools.partial`, and hand it to a loader as ``load_labels``.

    Parameters
    ----------
    metadata
        The recording.
    start_us, duration_us
        Which part of it, in µs.
    tensor
        (T, C, H, W) frames of the part. Boxes are clipped to the sensor and scaled to H and W.
    class_lookup
        What becomes of each `class_id`, as `create_class_lookup` returns it; boxes that become −1
        are left out. None: classes stay as they are.
    min_box_diag_network
        Boxes with a shorter diagonal, in pixels of the frames, are left out.
    num_tbins
        Number of windows; None: that of frames in the tensor.
    keep
        ``all`` boxes of a window, or of each track its ``last`` one: where windows are longer than
        the time from one label of an object to the next, ``all`` has it several times.
    repairs
        Is told how many boxes were clipped or left out, and why.

    Returns
    -------
    The boxes of each window; and (T,) bool: which windows are labelled. These are those of which
    annotators looked at a part, or at the end if it has a box of then, where `metadata` says where
    they looked; else those in which the file has a box, also one that is left out here.

    Raises
    ------
    AnnotationError
        As `load_box_events` raises it, and if the lookup lacks a class, or a number of a box is not
        finite.
    ParameterError
        If an argument is not valid.
    """
    check_keep(keep)
    n = _whole("num_tbins", len(tensor) if num_tbins is None else num_tbins, 1)
    start_us, duration_us = _whole("start_us", start_us), _whole("duration_us", duration_us, 0)
    if getattr(metadata, "padding", False):
        return [np.zeros(0, dtype=EVENT_BBOX) for _ in range(n)], np.zeros(n, dtype=np.bool_)
    counts: MutableMapping[str, int] = {} if repairs is None else repairs
    after, until = _spans(metadata, start_us, duration_us, n)
    first = _is_first(metadata, start_us)
    file = _file_of(metadata)
    boxes = file.between(start_us, start_us + duration_us, with_start=first)
    bad = ~is_finite(corners(boxes))
    if bad.any():
        raise AnnotationError(
            "a number of a box is NaN or infinite",
            path=file.path,
            place=f"box at t={boxes['t'][bad.argmax()]}",
            hint="Leave it out of the file.",
        )
    window = _window_of(boxes["t"], after, until, first)
    boxes, window = taken(boxes, np.flatnonzero(window >= 0)), window[window >= 0]
    labelled = np.zeros(n, dtype=np.bool_)
    spans: Spans | None = getattr(metadata, "labelled", None)
    if spans is None:
        labelled[window] = True
    else:
        stop_us = start_us + duration_us
        inside = after < stop_us
        labelled[inside] = spans.overlap(after[inside], np.minimum(until[inside], stop_us))
        labelled[window[spans.hold(boxes["t"])]] = True
    boxes = _in_frames(boxes, metadata, file, Sensor(*tensor.shape[-2:]), counts)
    if keep == "last":
        last = np.concatenate(last_in_each(_divided(boxes, after, until, first)))
        _count(counts, NOT_LAST, len(boxes) - len(last))
        boxes = last
    if class_lookup is not None:
        boxes = _of_classes(boxes, _lookup(class_lookup), file.path, counts)
    rows = np.flatnonzero(~(np.hypot(boxes["w"], boxes["h"]) < min_box_diag_network))
    _count(counts, "boxes_too_small", len(boxes) - len(rows))
    return _divided(taken(boxes, rows), after, until, first), labelled


def check_keep(keep: Keep) -> None:
    """Raise `ParameterError` if it is none of the two that there are."""
    if keep not in get_args(Keep):
        raise ParameterError(f"keep={keep!r} is neither 'all' nor 'last'")


def create_class_lookup(
    path: str | Path | Mapping[int, str], wanted_keys: Sequence[str] | None = ()
) -> Int64Array:
    """Return what each class number becomes: 1 + its name's position among those that are wanted.

    0 is left for the background; −1 stands for classes that are not wanted.

    Parameters
    ----------
    path
        A ``label_map_dictionary.json``, the folder of one, or the labels of a release.
    wanted_keys
        Names of classes, in the order of their new numbers; empty or None: all, in the order of
        their numbers.

    Raises
    ------
    AnnotationError
        If the file is not a label map.
    ParameterError
        If a wanted name is not in it, or is given twice.

    Examples
    --------
    >>> create_class_lookup({0: "pedestrian", 1: "bus", 3: "car"}, ["car", "pedestrian"]).tolist()
    [2, -1, -1, 1]
    """
    labels = dict(path) if isinstance(path, Mapping) else _labels_in(Path(path))
    named = {_whole("class", number, 0): nfc(labels[number]) for number in sorted(labels)}
    if max(named, default=0) >= _MOST_CLASSES:
        raise ParameterError(f"class {max(named)} is too large a number for a class lookup")
    if isinstance(wanted_keys, str):
        raise ParameterError(
            f"wanted_keys={wanted_keys!r} is not a list of names",
            hint=f"Write [{wanted_keys!r}].",
        )
    given = () if wanted_keys is None else wanted_keys
    wanted = [nfc(name) for name in given] or list(dict.fromkeys(named.values()))
    for k, name in enumerate(wanted):
        if name not in named.values():
            guess = did_you_mean(name, named.values())
            raise ParameterError(
                f"wanted class {name!r} is not in the label map" + (f"; {guess}" if guess else ""),
                hint=f"It has: {', '.join(named.values()) or 'none'}.",
            )
        if name in wanted[:k]:
            raise ParameterError(f"wanted class {name!r} is given twice")
    lookup = np.full(max(named, default=-1) + 1, -1, dtype=np.int64)
    for number, name in named.items():
        lookup[number] = 1 + wanted.index(name) if name in wanted else -1
    return lookup


def clip_boxes(
    boxes: Boxes, sensor: tuple[int, int], repairs: MutableMapping[str, int] | None = None
) -> Boxes:
    """Cut off what of boxes is outside a sensor, and leave out boxes that are all outside.

    Parameters
    ----------
    boxes
        Any.
    sensor
        (height, width), px.
    repairs
        Is told how many were ``boxes_clipped``, or left out as ``boxes_outside``.

    Examples
    --------
    >>> boxes = np.zeros(2, dtype=EVENT_BBOX)
    >>> boxes["x"], boxes["w"], boxes["h"] = [-2, 9], 5, 3
    >>> counts = {}
    >>> clip_boxes(boxes, (6, 8), counts)[["x", "w"]].tolist(), counts
    ([(0.0, 3.0)], {'boxes_clipped': 1, 'boxes_outside': 1})
    """
    found, n_clipped, n_outside = clipped(_records(boxes), _size(sensor))
    counts: MutableMapping[str, int] = {} if repairs is None else repairs
    _count(counts, "boxes_clipped", n_clipped)
    _count(counts, "boxes_outside", n_outside)
    return found.copy() if found is boxes else found


def rescale_boxes(boxes: Boxes, before: tuple[int, int], after: tuple[int, int]) -> Boxes:
    """Return boxes in the pixels of a picture that was resized.

    Parameters
    ----------
    boxes
        In the pixels of the picture as it was.
    before, after
        (height, width) of the picture, px.

    Examples
    --------
    >>> boxes = np.zeros(1, dtype=EVENT_BBOX)
    >>> boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 8, 6, 4, 2
    >>> rescale_boxes(boxes, (720, 1280), (360, 320))[["x", "y", "w", "h"]].tolist()
    [(2.0, 3.0, 1.0, 1.0)]
    """
    found = taken(_records(boxes), np.arange(len(boxes)))
    for names, old, new in zip(("yh", "xw"), _size(before), _size(after), strict=True):
        for name in names:
            found[name] = found[name].astype(np.float64) * new / old
    return found


def iou(boxes: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """Return by how much each of n boxes overlaps each of m others: intersection over union.

    Returns
    -------
    (n, m) float64, 0 to 1; 0 where both have no area.

    Examples
    --------
    >>> boxes = np.zeros(2, dtype=EVENT_BBOX)
    >>> boxes["x"], boxes["w"], boxes["h"] = [0, 2], 4, 1
    >>> iou(boxes, boxes[:1]).round(3).tolist()
    [[1.0], [0.333]]
    """
    return _iou(_sides(_records(boxes))[:, :, None], _sides(_records(others))[:, None, :])


def nms(
    boxes: Boxes,
    scores: npt.ArrayLike | None = None,
    iou_thresh: float = 0.5,
    *,
    class_aware: bool = True,
) -> Int64Array:
    """Return which boxes stay if of those that overlap only the one of the best score does.

    From the best score down, a box stays unless it overlaps one that stays by more than a limit:
    non-maximum suppression.

    Parameters
    ----------
    boxes
        (n,) of one frame.
    scores
        (n,) numbers; None: `class_confidence`. Of equal scores, the earlier row comes first.
    iou_thresh
        The limit, 0 to 1.
    class_aware
        Only boxes of the same class suppress each other. False: boxes of all classes do, so that of
        a rider and a horse one is lost.

    Returns
    -------
    (m,) rows that stay, from the best score down.

    Raises
    ------
    AnnotationError
        If a number of a box is NaN or infinite, or a score is NaN.
    ParameterError
        If the limit is not within 0 to 1, or the scores are not as many as boxes.

    Examples
    --------
    >>> boxes = np.zeros(3, dtype=EVENT_BBOX)
    >>> boxes["x"], boxes["w"], boxes["h"], boxes["class_id"] = [0, 1, 0], 9, 9, [0, 0, 1]
    >>> scores = [0.5, 0.9, 0.8]
    >>> nms(boxes, scores).tolist(), nms(boxes, scores, class_aware=False).tolist()
    ([1, 2], [1])
    """
    boxes = _records(boxes)
    given = boxes["class_confidence"] if scores is None else scores
    score = np.asarray(given, dtype=np.float64)
    if score.shape != (len(boxes),):
        raise ParameterError(f"scores of shape {score.shape} are given for {len(boxes)} boxes")
    if not 0 <= iou_thresh <= 1:
        raise ParameterError(f"iou_thresh={iou_thresh!r} is not within 0 to 1")
    sides = _sides(boxes)
    is_bad = ~np.isfinite(sides).all(axis=0) | np.isnan(score)
    if is_bad.any():
        raise AnnotationError(
            "has a score or a side that is no number", place=f"box {is_bad.argmax()}"
        )
    rows = np.argsort(-score, kind="stable")
    classes = boxes["class_id"] if class_aware else np.zeros(len(boxes), dtype=np.uint32)
    stays = np.zeros(len(boxes), dtype=np.bool_)
    for one in np.unique(classes):
        left = rows[classes[rows] == one]
        while left.size:
            best, left = left[0], left[1:]
            stays[best] = True
            left = left[_iou(sides[:, best, None], sides[:, left]) <= iou_thresh]
    return rows[stays[rows]]


def _iou(
    sides: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the overlap of boxes given as their left, top, right and bottom sides."""
    (left, top, right, bottom), (left_2, top_2, right_2, bottom_2) = sides, others
    width = np.minimum(right, right_2) - np.maximum(left, left_2)
    height = np.minimum(bottom, bottom_2) - np.maximum(top, top_2)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (right - left) * (bottom - top) + (right_2 - left_2) * (bottom_2 - top_2) - shared
    found: npt.NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=shared > 0
    )
    return found


def _sides(boxes: Boxes) -> npt.NDArray[np.float64]:
    """Return left, top, right and bottom of boxes, (4, n)."""
    x, y, w, h = (column.astype(np.float64) for column in corners(boxes))
    return np.stack([x, y, x + w, y + h])


def _divided(boxes: Boxes, after: Int64Array, until: Int64Array, first: bool) -> list[Boxes]:
    """Return the boxes of each window."""
    window = _window_of(boxes["t"], after, until, first)
    rows = np.argsort(window, kind="stable")
    bounds = np.searchsorted(window[rows], np.arange(len(after) + 1)).tolist()
    return [taken(boxes, rows[a:b]) for a, b in pairwise(bounds)]


def _window_of(t: Int64Array, after: Int64Array, until: Int64Array, first: bool) -> Int64Array:
    """Return the window of each time, after < t <= until, −1 where there is none.

    With `first`, the first window also takes the time that it is after.
    """
    window = np.searchsorted(until, t, side="left")
    begin = after[np.minimum(window, len(after) - 1)]
    window[(window == len(until)) | (t <= begin)] = -1
    if first:
        window[t == after[0]] = 0
    return window


def _spans(
    metadata: Metadata, start_us: int, duration_us: int, n: int
) -> tuple[Int64Array, Int64Array]:
    """Return after and until which times n windows have labels, (n,) each.

    They are as given, or windows are of a recording's duration, or equal parts.
    """
    given: Sequence[tuple[int, int]] | None = getattr(metadata, "spans_us", None)
    if given and len(given) <= n:
        until = given[-1][1]
        after, untils = np.array([*given, *[(until, until)] * (n - len(given))]).T
        return after, untils
    delta_t = int(getattr(metadata, "delta_t_us", 0) or getattr(metadata, "delta_t", 0))
    k = np.arange(n + 1, dtype=np.int64)
    edges = start_us + (k * delta_t if duration_us <= n * delta_t else k * duration_us // n)
    return edges[:-1], edges[1:]


def _in_frames(
    boxes: Boxes,
    metadata: Metadata,
    file: BoxesByTime,
    size: Sensor,
    counts: MutableMapping[str, int],
) -> Boxes:
    """Return boxes of a file in the pixels of frames of a size."""
    sensor, before = getattr(metadata, "sensor", None), size
    if sensor is not None:
        geometry = getattr(metadata, "geometry", None) or file.geometry
        boxes, changed = moved(boxes, file.path, geometry, Sensor(*sensor), file.geometry)
        for name, n in changed.items():
            _count(counts, name, n)
        before = geometry.sensor(Sensor(*sensor))
    return rescale_boxes(clip_boxes(boxes, before, counts), before, size)


def _lookup(given: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a class lookup as an array."""
    lookup = np.asarray(given)
    if lookup.ndim != 1 or (lookup.size and lookup.dtype.kind not in "iu"):
        raise ParameterError(
            f"class_lookup is {lookup.dtype} of shape {lookup.shape}; whole numbers in one "
            "dimension are expected",
            hint="Make it with evreel.boxes.create_class_lookup.",
        )
    return lookup


def _of_classes(
    boxes: Boxes, lookup: npt.NDArray[Any], path: Path, counts: MutableMapping[str, int]
) -> Boxes:
    """Return boxes with the classes of a lookup, without those that it leaves out."""
    unknown = boxes["class_id"] >= len(lookup)
    if unknown.any():
        box = boxes[unknown.argmax()]
        raise AnnotationError(
            f"class_id is {box['class_id']}, but the class lookup has {len(lookup)} classes",
            path=path,
            place=f"box at t={box['t']}",
            hint="Make the lookup from the label map of these boxes.",
        )
    classes = lookup[boxes["class_id"]]
    rows = np.flatnonzero(classes >= 0)
    _count(counts, "boxes_of_other_classes", len(boxes) - len(rows))
    found = taken(boxes, rows)
    found["class_id"] = classes[rows]
    return found


def _count(counts: MutableMapping[str, int], name: str, n: int | np.integer[Any]) -> None:
    counts[name] = counts.get(name, 0) + int(n)


def _is_first(metadata: Metadata, start_us: int) -> bool:
    """Return whether a recording starts where its part does."""
    return start_us <= int(getattr(metadata, "start_ts", 0))


def _file_of(metadata: Metadata) -> BoxesByTime:
    """Return the boxes of a recording; their file is opened again only if it has changed."""
    given = getattr(metadata, "boxes", None)
    recording = Path(metadata.path if given is None else given)
    beside = boxes_path(recording)
    names = [beside.name] + [beside.name.replace(f"{mark}_bbox", "_bbox") for mark in _MARKS]
    for place in [recording] if given is not None else [beside.with_name(name) for name in names]:
        try:
            found = place.stat()
        except OSError:
            continue
        return _opened(place, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    raise AnnotationError(
        "there is no such file of boxes" if given is not None else "has no boxes beside it",
        path=recording,
        hint=None if given is not None else f"Is {names[0]} missing, or are its labels elsewhere?",
    )


@functools.lru_cache(maxsize=_MOST_OPEN)
def _opened(path: Path, state: tuple[int, ...]) -> BoxesByTime:
    """Return the boxes of a file that is in a state: its place on the disk, size and time."""
    return BoxesByTime(path)


def _labels_in(path: Path) -> dict[int, str]:
    """Return number of a class → its name, as a label map says it."""
    path = path / LABEL_MAP if path.is_dir() else path
    try:
        return label_map(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f'is not a label map, such as {{"0": "car", "1": "bus"}}: {error}', path=path
        ) from error


def _records(boxes: npt.ArrayLike) -> Boxes:
    """Return boxes as `EVENT_BBOX`; a list without any is no box."""
    found = np.asarray(boxes)
    if found.dtype.names is None and not found.size:
        return np.zeros(0, dtype=EVENT_BBOX)
    if found.dtype.names is None or found.ndim != 1:
        raise AnnotationError(
            f"boxes are {found.dtype} in {found.ndim} dimensions; records of evreel.boxes."
            "EVENT_BBOX in one are expected"
        )
    return found if found.dtype == EVENT_BBOX else as_boxes(found)


def _size(given: tuple[int, int]) -> Sensor:
    """Return height and width of a picture, px."""
    try:
        height, width = given
        has_area = height >= 1 and width >= 1
    except (TypeError, ValueError):
        raise ParameterError(f"{given!r} is not (height, width) of a picture") from None
    if not has_area:
        raise ParameterError(f"a picture of {tuple(given)} px has no area")
    return Sensor(height, width)


def _whole(name: str, value: object, minimum: int | None = None) -> int:
    """Return a whole number, of at least a minimum."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ParameterError(f"{name}={value!r} is not a whole number") from None
    if minimum is not None and number < minimum:
        raise ParameterError(f"{name}={number} is less than {minimum}")
    return number
