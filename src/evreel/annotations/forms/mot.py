"""MOT 1.1, as CVAT writes it and MOTChallenge's tools read it: boxes of tracks, frame by frame.

``gt/gt.txt`` has a line for each box: frame (from 1), track, left, top, width, height, whether it
counts (1 or 0), class (from 1), and how much of it is visible (0 to 1). ``gt/labels.txt`` names the
classes, a line each; ``seqinfo.ini`` has the number of frames and their size. CVAT's zip has the
first two at its root; in a folder of MOTChallenge, each sequence has a folder of its own.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from evreel.annotations.forms.listing import (
    UNNUMBERED,
    Invalid,
    Listing,
    checked_labels,
    class_label,
    is_upright_box,
    number_of,
    numbered,
    shown,
    whole_of,
)
from evreel.annotations.forms.packed import Packed
from evreel.annotations.shapes import NO_ATTRIBUTES, Annotations, Box
from evreel.errors import AnnotationError, foreign
from evreel.text import read_text
from evreel.timebase import FrameClock
from evreel.video.picture import LARGEST_PICTURE

GROUND_TRUTH, LABELS, SEQUENCE = "gt.txt", "labels.txt", "seqinfo.ini"

_COLUMNS = 9
_MOST_FRAMES = 10**9


def read_mot(
    path: str | Path,
    *,
    labels: Sequence[str] | None = None,
    invalid: Invalid = "error",
    fill: bool = False,
) -> Annotations:
    """Read boxes in the form MOT 1.1.

    Parameters
    ----------
    path
        A zip or folder of one sequence; or its ``gt.txt`` alone, without what is beside it.
    labels
        Names of the classes, in the order of their numbers, where the file has no ``labels.txt``.
    invalid, fill
        As `evreel.annotations.read_annotations` takes them.

    Returns
    -------
    Annotations
        Frames count from 0. Those of the sequence were looked at; without a ``seqinfo.ini``, those
        up to the last box. A track that a frame lacks is away in it. Boxes of visibility 0 are
        occluded; a visibility between 0 and 1 is the attribute ``visibility``, and a box that does
        not count has the attribute ``ignored``.

    Raises
    ------
    AnnotationError
        With the line, if it is not of this form.
    """
    path = Path(path)
    size: tuple[int | None, tuple[int, int] | None] = (None, None)
    if path.is_file() and not _is_zip(path):
        text = read_text(path)
    else:
        with Packed(path) as packed:
            name = _only(packed)
            text = packed.text(name)
            beside = str(PurePosixPath(name).with_name(LABELS))
            if beside in packed.names:
                listed = packed.text(beside).splitlines()
                labels = checked_labels([row for row in listed if row.strip()], path, LABELS)
            above = str(PurePosixPath(name).parent.parent / SEQUENCE)
            if above in packed.names:
                size = _sequence(packed.text(above), path)
    if labels is None:
        raise AnnotationError(
            "has numbers of classes without names",
            path=path,
            hint=f"Give labels, or a zip with {LABELS} beside {GROUND_TRUTH}.",
        )
    n_frames, picture_shape = size
    listing = Listing(path, invalid)
    for line, row in enumerate(text.splitlines(), start=1):
        if row.strip():
            _read_row(row, f"line {line}", listing, tuple(labels), n_frames)
    last = max(listing.frames, default=-1)
    frames = range(last + 1 if n_frames is None else n_frames)
    tracks = listing.tracks(frames, fill=fill)
    return Annotations(
        labels=tuple(labels),
        tracks=tracks,
        frames=frames,
        picture_shape=picture_shape,
        source=path.name,
        repairs=listing.repairs,
        task=None if n_frames is None else frames,
    )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _only(packed: Packed) -> str:
    found = packed.named(GROUND_TRUTH)
    if len(found) != 1:
        what = f"{found[0]} and {found[1]}" if found else f"no {GROUND_TRUTH}"
        raise AnnotationError(
            f"has {what}; one is expected", path=packed.path, hint="Give one sequence."
        )
    return found[0]


def _sequence(text: str, path: Path) -> tuple[int, tuple[int, int] | None]:
    """Return the number of frames that a sequence states, and their (height, width)."""

    def unreadable(why: str) -> AnnotationError:
        return AnnotationError(f"cannot be read: {why}", path=path, place=SEQUENCE)

    parser = configparser.ConfigParser(interpolation=None)
    with foreign(unreadable):
        parser.read_string(text)
        said = parser["Sequence"]

    def whole(name: str, most: int) -> int:
        value = whole_of(said.get(name, ""))
        if value is None or not 1 <= value <= most:
            raise AnnotationError(
                f"{name} is {said.get(name)!r}; a whole number of 1 or more is expected",
                path=path,
                place=SEQUENCE,
            )
        return value

    n_frames = whole("seqLength", _MOST_FRAMES)
    if "imWidth" not in said and "imHeight" not in said:
        return n_frames, None
    return n_frames, (whole("imHeight", LARGEST_PICTURE), whole("imWidth", LARGEST_PICTURE))


def _read_row(
    row: str, place: str, listing: Listing, labels: Sequence[str], n_frames: int | None
) -> None:
    cells = row.split(",")
    if len(cells) != _COLUMNS:
        listing.fail(
            f"has {len(cells)} columns; {_COLUMNS} are expected: frame, track, left, top, width, "
            "height, counts, class, visibility",
            place,
        )
    wholes = {}
    for name, cell in (("frame", cells[0]), ("track", cells[1]), ("class", cells[7])):
        value = whole_of(cell)
        if value is None:
            listing.fail(f"{name} {cell.strip()!r} is not a whole number", place)
        wholes[name] = value
    if not 1 <= wholes["frame"] <= (n_frames or _MOST_FRAMES):
        listing.fail(
            f"frame {wholes['frame']} is not within 1 to {n_frames or _MOST_FRAMES}", place
        )
    if wholes["track"] < 0:
        listing.fail(f"track {wholes['track']} is negative", place)
    label = class_label(wholes["class"], labels, 1, listing, place)
    left, top, width, height = (number_of(cell) for cell in cells[2:6])
    points = np.array([[left, top], [left + width, top + height]])
    counts, visibility = number_of(cells[6]), number_of(cells[8])
    if not 0 <= visibility <= 1:
        listing.fail(f"visibility {cells[8].strip()!r} is not within 0 to 1", place)
    if counts not in (0, 1):
        listing.fail(
            f"column 7 is {cells[6].strip()!r}; 1 (counts) or 0 is expected",
            place,
            "Are these detections, with their confidence?",
        )
    if not listing.takes(Box, points, place):
        return
    attributes = {
        **({"visibility": cells[8].strip()} if 0 < visibility < 1 else {}),
        **({} if counts else {"ignored": "true"}),
    }
    shape = Box(
        wholes["frame"] - 1,
        points,
        occluded=visibility == 0,
        attributes=attributes or NO_ATTRIBUTES,
    )
    listing.add(wholes["track"], label, shape, place)


def write_mot(
    folder: str | Path,
    annotations: Annotations,
    *,
    name: str,
    n_frames: int,
    picture_shape: tuple[int, int],
    clock: FrameClock | None = None,
) -> dict[str, int]:
    """Write a sequence in the form MOT 1.1: ``gt/gt.txt``, ``gt/labels.txt``, ``seqinfo.ini``.

    Shapes become their bounding boxes. Frames between listed shapes are filled as
    `evreel.annotations.shapes.interpolate` does.

    Parameters
    ----------
    folder
        The sequence's folder; it is made.
    annotations
        What to write; its frame numbers count from 0.
    name
        The sequence's name.
    n_frames
        Frames of the video.
    picture_shape
        (height, width) of a frame in pixels.
    clock
        The frames' clock, from which the frame rate follows; without one, it is 30 a second.

    Returns
    -------
    What the form cannot hold: sentence → how often.

    Raises
    ------
    AnnotationError
        If a label has a line break.
    """
    folder = Path(folder)
    _, found = shown(annotations)
    found, loose = numbered(found)
    numbers = {label: k for k, label in enumerate(annotations.labels, start=1)}
    broken = next((label for label in annotations.labels if len(label.splitlines()) > 1), None)
    if broken is not None:
        raise AnnotationError(
            f"label {broken!r} has a line break, which {LABELS} cannot hold",
            path=annotations.source or None,
        )
    rows, flat = [], 0
    for one in found:
        left, top, right, bottom = one.shape.bounds
        if not (left < right and top < bottom):
            flat += 1
            continue
        visibility = _visibility(one.shape.occluded, one.shape.attributes)
        counts = "0" if one.shape.attributes.get("ignored") == "true" else "1"
        box = ",".join(map(plain_number, (left, top, right - left, bottom - top)))
        rows.append(
            f"{one.frame + 1},{one.track},{box},{counts},{numbers[one.label]},{visibility}\n"
        )
    (folder / "gt").mkdir(parents=True)
    _write(folder / "gt" / GROUND_TRUTH, "".join(rows))
    _write(folder / "gt" / LABELS, "".join(f"{label}\n" for label in annotations.labels))
    height, width = picture_shape
    _write(
        folder / SEQUENCE,
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate={_frame_rate(clock)}\n"
        f"seqLength={n_frames}\nimWidth={width}\nimHeight={height}\nimExt=.png\n",
    )
    frames = range(n_frames)
    return {
        "shapes without area, left out": flat,
        "shapes written as their bounding boxes": sum(
            not is_upright_box(one.shape) for one in found
        ),
        UNNUMBERED: loose,
        "attributes": sum(
            len(one.shape.attributes.keys() - {"visibility", "ignored"}) for one in found
        ),
        "z orders": sum(one.shape.z_order != 0 for one in found),
        "groups": sum(one.shape.group != 0 for one in found),
        "frame tags": len(annotations.tags),
        "frames that were not looked at, which read as empty": len(
            set(frames).difference(annotations.frames or frames)
        ),
    }


def plain_number(value: float) -> str:
    """Return a coordinate with up to six decimals, and none that says nothing.

    Examples
    --------
    >>> plain_number(12.0), plain_number(1 / 3), plain_number(-0.0)
    ('12', '0.333333', '0')
    """
    return f"{round(value, 6) + 0.0:.6f}".rstrip("0").rstrip(".")


def _visibility(occluded: bool, attributes: Mapping[str, str]) -> str:
    if occluded:
        return "0"
    share = number_of(attributes.get("visibility", ""))
    return plain_number(share) if 0 < share < 1 else "1"


def _frame_rate(clock: FrameClock | None) -> str:
    if clock is None or len(clock) < 2:
        return "30"
    return plain_number(1e6 / float(np.median(np.diff(clock.start_us))))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
