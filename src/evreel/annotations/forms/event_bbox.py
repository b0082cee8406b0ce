"""EventBbox records ↔ annotations of a video: a box at t is in the frame with start < t ≤ stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.annotations.forms.listing import (
    Invalid,
    Listing,
    checked_labels,
    class_label,
    not_in_boxes,
    numbers_of,
    with_gaps,
)
from evreel.annotations.forms.records import read_published_boxes, read_records, write_boxes
from evreel.annotations.shapes import NO_ATTRIBUTES, Annotations, Box
from evreel.timebase import FrameClock, Int64Array
from evreel.video.picture import Picture


def read_event_bbox(
    path: str | Path,
    clock: FrameClock,
    picture: Picture,
    labels: Sequence[str],
    *,
    invalid: Invalid = "error",
    fill: bool = False,
) -> Annotations:
    """Read EventBbox records as annotations of a video.

    Parameters
    ----------
    path
        ``.npy`` with fields ``t``, ``x``, ``y``, ``w``, ``h``, ``class_id``, and maybe ``track_id``
        and ``class_confidence``; t in µs since the recording's first event, the rest in sensor
        pixels.
    clock
        The time that each frame stands for.
    picture
        How the sensor's pixels map to the pictures'.
    labels
        Names of the classes, in the order of their numbers.
    invalid, fill
        As `evreel.annotations.read_annotations` takes them. Boxes in no frame, and all but the last
        box of a track in one frame, are errors, or are dropped and counted.

    Returns
    -------
    Annotations
        The frames with a box were looked at; of others, such a file says nothing. Where there
        is no `track_id`, or all are 0, also two of one time, each box is loose. A confidence that
        is not 1 is the attribute ``confidence``.

    Raises
    ------
    AnnotationError
        With the record, if the file is not of this form, or does not fit clock and labels.
    """
    path = Path(path)
    boxes = read_published_boxes(path)
    listing = Listing(path, invalid)
    names = checked_labels(labels, path, "labels")
    frames = frame_at(boxes["t"], clock)
    tracks = boxes["track_id"].astype(np.int64)
    has_tracks = "track_id" in (read_records(path).dtype.names or ())
    if not has_tracks or (not tracks.any() and _repeats(boxes["t"], tracks)):
        tracks[:] = -1
    last = _last_of_frame(frames, tracks)
    corners = np.stack([boxes[name].astype(np.float64) for name in ("x", "y", "w", "h")], axis=1)
    corners[:, 2:] += corners[:, :2]
    corners *= picture.scale
    for k, (frame, track) in enumerate(zip(frames.tolist(), tracks.tolist(), strict=True)):
        place = f"record {k}"
        label = class_label(int(boxes["class_id"][k]), names, 0, listing, place)
        if frame < 0:
            listing.unfit(f"t={boxes['t'][k]} µs is in no frame of the clock", place)
        elif not last[k]:
            listing.unfit(
                f"is not the last box of track {track} in frame {frame}, which has several", place
            )
        elif listing.takes(Box, points := corners[k].reshape(2, 2), place):
            confidence = float(boxes["class_confidence"][k])
            attributes = {} if confidence == 1 else {"confidence": f"{confidence:g}"}
            shape = Box(frame, points, attributes=attributes or NO_ATTRIBUTES)
            listing.add(track, label, shape, place)
    known = listing.frames
    joined = listing.tracks(known, fill=fill)
    return Annotations(
        labels=names,
        tracks=joined,
        frames=with_gaps(known, joined, path) if fill else tuple(sorted(known)),
        picture_shape=picture.shape,
        source=path.name,
        repairs=listing.repairs,
    )


def write_event_bbox(
    path: str | Path, annotations: Annotations, clock: FrameClock, picture: Picture
) -> dict[str, int]:
    """Write a box for each region and frame that shows it, at the frame's stop.

    Shapes become their bounding boxes. `class_id` is a row of the labels; `track_id` is the track's
    number if each has one of its own, else its position; loose shapes get numbers after these.

    Parameters
    ----------
    path
        The file to write; equal annotations give equal bytes.
    annotations
        What to write; its frames are rows of the clock.
    clock, picture
        As `read_event_bbox` takes them.

    Returns
    -------
    What the form cannot hold: sentence → how often.
    """
    from evreel.annotations.regions import Regions

    boxes = Regions(annotations, clock, picture, clip=True).boxes()
    numbers, other = numbers_of(annotations, 2**32 - 1)
    if len(boxes):
        boxes["track_id"] = numbers[boxes["track_id"]]
    write_boxes(path, boxes)
    return not_in_boxes(annotations) | other


def check_event_bbox(path: str | Path, labels: Sequence[str], invalid: Invalid) -> None:
    """Raise if boxes cannot be annotations, as far as can be told without their clock.

    Raises
    ------
    AnnotationError
        With the record.
    """
    path = Path(path)
    boxes = read_published_boxes(path)
    listing = Listing(path, invalid)
    for k, box in enumerate(boxes):
        class_label(int(box["class_id"]), labels, 0, listing, f"record {k}")
        x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
        listing.takes(Box, np.array([[x, y], [x + w, y + h]]), f"record {k}")


def frame_at(t_us: Int64Array, clock: FrameClock) -> Int64Array:
    """Return the frame with start < t ≤ stop of each time, −1 where there is none.

    The first frame also has its start.

    Examples
    --------
    >>> clock = FrameClock([0, 10, 30], [10, 20, 40])
    >>> frame_at(np.array([0, 10, 11, 25, 40, 41]), clock).tolist()
    [0, 0, 1, -1, 2, -1]
    """
    frames = clock.frame_of(np.asarray(t_us) - 1)
    if len(clock):
        frames[np.asarray(t_us) == clock.start_us[0]] = 0
    return frames


def _repeats(t: Int64Array, ids: Int64Array) -> bool:
    """Return whether two boxes have the same time and number."""
    pairs = np.stack([t, ids], axis=1)
    return len(np.unique(pairs, axis=0)) < len(pairs)


def _last_of_frame(frames: Int64Array, tracks: Int64Array) -> npt.NDArray[np.bool_]:
    """Return which boxes, by time, are the last of their track in their frame."""
    last = np.ones(len(frames), dtype=bool)
    later: set[tuple[int, int]] = set()
    for k in range(len(frames) - 1, -1, -1):
        key = (int(frames[k]), int(tracks[k]))
        last[k] = key[1] < 0 or key not in later
        later.add(key)
    return last
