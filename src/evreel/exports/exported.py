"""What is exported of a recording, and what is known of it when only its slices are there."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.annotations.shapes import (
    NO_ATTRIBUTES,
    Annotations,
    Box,
    FloatArray,
    FrameTag,
    Points,
    Polygon,
    Polyline,
    Shape,
    Track,
)
from evreel.annotations.tables import ShapeRows, TagTable
from evreel.errors import AnnotationError, UsageError
from evreel.files.slices import SlicesFile
from evreel.layout import SHAPE_KINDS
from evreel.timebase import FrameClock
from evreel.video.picture import Picture, picture_name


@dataclass(frozen=True)
class Exported:
    """A recording to export.

    Parameters
    ----------
    id
        Its name.
    split
        ``train``, ``val`` or ``test``.
    annotations
        What was annotated; frame numbers are rows of the clock. None if it is not known.
    clock
        The time that each frame stands for; None if it is not known.
    picture
        The annotated pictures.
    slices
        Its annotated slices; None if there are none.
    store
        Its events store; None if there is none.
    pictures
        Zip of its PNG frames; None if there is none.
    t_offset
        First timestamp on the camera's own clock, µs; 0 if it is not known.
    lost
        What is lost already: sentence → how often.
    video
        The clock of the video, by which its pictures are called; None if that is `clock`. It has
        the times before they were aligned with the events.
    boxes
        EventBbox records that come with the recording, by time; None if there are none.
    boxes_clock
        Whether they are on the clock of the recording's file, or count from its first event.
    """

    id: str
    split: str
    annotations: Annotations | None
    clock: FrameClock | None
    picture: Picture
    slices: Path | None = None
    store: Path | None = None
    pictures: Path | None = None
    t_offset: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    video: FrameClock | None = None
    boxes: npt.NDArray[np.void] | None = None
    boxes_clock: Literal["source", "recording"] = "recording"

    def labelled(self) -> tuple[Annotations, FrameClock]:
        """Return annotations and clock, which a layout of pictures needs."""
        if self.annotations is None or self.clock is None:
            raise UsageError("has no annotation that can be exported", place=self.id)
        return self.annotations, self.clock

    def picture_names(self, folder: str = "") -> dict[int, str]:
        """Return frame → file name of its picture, as evreel's PNG frames have it."""
        _, clock = self.labelled()
        clock = self.video or clock
        n, before = len(clock), f"{folder}/" if folder else ""
        return {
            k: f"{before}{picture_name(k, start, n)}.png"
            for k, start in enumerate(clock.start_us.tolist())
        }


def labels_of(items: Sequence[Exported]) -> tuple[str, ...]:
    """Return the labels that all recordings have.

    Raises
    ------
    AnnotationError
        If one has others, or the same in another order.
    """
    labels = items[0].labelled()[0].labels
    for item in items:
        if item.labelled()[0].labels != labels:
            raise AnnotationError(
                f"has other labels than {items[0].id}, or in another order",
                place=item.id,
                hint="Annotate both with the same list of labels.",
            )
    return labels


def of_slices(path: Path, id_: str, split: str, clock: FrameClock | None) -> Exported:
    """Return what slices say of a recording.

    Parameters
    ----------
    path
        Annotated slices.
    id_, split
        The recording.
    clock
        The clock of its frames; None takes regular ones, if shapes and tags are in such.
    """
    lost: Counter[str] = Counter()
    video = clock
    with SlicesFile(path) as file:
        rows = file.shapes()
        if clock is None:
            clock = _regular_clock((rows, file.tags), file.t_stop_us)
        else:
            clock = file.alignment.clock(clock)
        annotations = None
        if clock is not None:
            frames = _labelled_frames(file, clock)
            said = [file.tag_attribute(name) for name in file.attributes.name]
            tags = tuple(
                FrameTag(int(frame), file.labels[label], _said(file, said, row))
                for row, (frame, label) in enumerate(
                    zip(file.tags.frame, file.tags.label, strict=True)
                )
            )
            annotations = Annotations(
                labels=file.labels,
                tracks=_tracks(file, rows, lost),
                tags=tags,
                frames=tuple(frames),
                picture_shape=(file.sensor.height, file.sensor.width),
                source=path.name,
            )
        picture = Picture((file.sensor.height, file.sensor.width))
        offset = file.t_offset
    return Exported(
        *(id_, split, annotations, clock, picture, path),
        t_offset=offset,
        lost=dict(lost),
        video=video,
    )


def _regular_clock(tables: Sequence[ShapeRows | TagTable], t_stop_us: int) -> FrameClock | None:
    """Return the clock of regular frames from 0, if shapes and tags are in such; None if not."""
    frame, start, stop = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("frame", "start_us", "stop_us")
    )
    if not len(frame):
        return None
    window_us = int(stop[0] - start[0])
    regular = (start == frame * window_us) & (stop == start + window_us)
    return FrameClock.regular(t_stop_us, window_us) if regular.all() else None


def _labelled_frames(file: SlicesFile, clock: FrameClock) -> list[int]:
    """Return the frames that were looked at."""
    start, stop = file.labelled
    span = np.searchsorted(start, clock.start_us, side="right") - 1
    inside = span >= 0
    if len(stop):
        inside &= clock.stop_us <= stop[np.maximum(span, 0)]
    return [int(frame) for frame in np.flatnonzero(inside)]


def _tracks(file: SlicesFile, rows: ShapeRows, lost: Counter[str]) -> tuple[Track, ...]:
    """Return the tracks of slices, each shape in its frame alone."""
    shapes: dict[int, list[Shape]] = {}
    said = [file.attribute(name) for name in file.attributes.name]
    for row in range(len(rows)):
        drawn = replace(
            _drawn(rows, row, lost),
            frame=int(rows.frame[row]),
            occluded=bool(rows.occluded[row]),
            keyframe=bool(rows.keyframe[row]),
            z_order=int(rows.z_order[row]),
            group=int(rows.group[row]),
            attributes=_said(file, said, row),
            alone=True,
        )
        shapes.setdefault(int(rows.roi[row]), []).append(drawn)
    return tuple(
        Track(int(file.rois.track[roi]), file.labels[file.rois.label[roi]], tuple(shapes[roi]))
        for roi in sorted(shapes)
    )


def _said(file: SlicesFile, columns: Sequence[npt.NDArray[Any]], row: int) -> Mapping[str, str]:
    """Return the attributes of a row, name → text."""
    found = {
        name: _text(column[row])
        for name, column in zip(file.attributes.name, columns, strict=True)
        if _is_said(column[row])
    }
    return found or NO_ATTRIBUTES


def _is_said(value: object) -> bool:
    """Return whether an attribute has a value: no NaN of numbers, no −1 of ticks, no None."""
    if isinstance(value, np.int8):
        return int(value) >= 0
    return value is not None and value == value  # NaN is not itself


def _text(value: object) -> str:
    if isinstance(value, np.int8):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _drawn(rows: ShapeRows, row: int, lost: Counter[str]) -> Shape:
    """Return a shape of slices, in frame 0."""
    outline = rows.outline(row).astype(np.float64)
    kind = SHAPE_KINDS[rows.kind[row]]
    if kind == "box":
        return _box(outline)
    if kind == "mask":
        lost["masks, of which slices have only the rectangle"] += 1
        return Box(0, Box.around(outline))
    if kind == "skeleton":
        lost["skeletons, of which slices have only points without names"] += 1
    if kind in ("ellipse", "cuboid"):
        lost[f"{kind}s, of which slices have only the outline"] += 1
    if kind in ("points", "skeleton"):
        return Points(0, outline)
    return Polyline(0, outline) if kind == "polyline" else Polygon(0, outline)


def _box(corners: FloatArray) -> Box:
    """Return the box of four corners, clockwise from its top left, which may be turned."""
    (ax, ay), (bx, by), (cx, cy), _ = corners.tolist()
    if ay == by and bx == cx and ax < bx and by < cy:
        return Box(0, np.array([[ax, ay], [cx, cy]]))
    half = np.array([math.dist((ax, ay), (bx, by)), math.dist((bx, by), (cx, cy))]) / 2
    centre = corners.mean(axis=0)
    rotation = math.degrees(math.atan2(by - ay, bx - ax)) % 360
    return Box(0, np.stack([centre - half, centre + half]), rotation=round(rotation, 4))
