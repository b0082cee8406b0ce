"""CVAT's XML, to correct by hand what was annotated, or detected, elsewhere.

``<split>/<recording>.xml`` is of the video form, with few key frames; where there are tags,
``<recording>.tags.xml`` beside it is of the images form, which alone has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from evreel.annotations.cvat import write_images_xml, write_video_xml
from evreel.annotations.forms.listing import RENUMBERED, UNNUMBERED
from evreel.annotations.keyframes import sparse
from evreel.annotations.shapes import Annotations, Shape, Track
from evreel.exports.exported import Exported


def write_cvat(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write recordings in this form; return what it cannot hold."""
    lost: Counter[str] = Counter()
    for item in items:
        annotations, clock = item.labelled()
        n = len(clock)
        unseen = n - len(annotations.frames) if annotations.frames else 0
        lost["frames that were not looked at, which read as empty"] += unseen
        whole = replace(_closed(annotations, lost), frames=(), pictures={})
        (folder / item.split).mkdir(exist_ok=True)
        more = {"name": item.id, "n_frames": n, "picture_shape": item.picture.shape}
        path = folder / item.split / f"{item.id}.xml"
        write_video_xml(path, sparse(whole), **more)  # type: ignore[arg-type]
        if annotations.tags:
            tags = replace(whole, tracks=())
            write_images_xml(path.with_suffix(".tags.xml"), tags, **more)  # type: ignore[arg-type]
    return dict(lost)


def _closed(annotations: Annotations, lost: Counter[str]) -> Annotations:
    """Return tracks with numbers of their own, closed where nothing is known of them."""
    ids = [track.id for track in annotations.tracks if track.id >= 0]
    lost[UNNUMBERED] += len(annotations.tracks) - len(ids)
    if len(set(ids)) < len(ids):
        lost[RENUMBERED] += len(ids)
    tracks = []
    for number, track in enumerate(annotations.tracks):
        id_ = number if len(set(ids)) < len(ids) else track.id
        tracks.append(Track(id_, track.label, tuple(none_alone(track.shapes, lost))))
    return replace(annotations, tracks=tuple(tracks))


def none_alone(shapes: Sequence[Shape], lost: Counter[str]) -> list[Shape]:
    """Return shapes of which none is alone: the next frame has a shape, or closes the track."""
    found: list[Shape] = []
    for left, right in zip_longest(shapes, shapes[1:]):
        found.append(replace(left, alone=False) if left.alone else left)
        after = left.frame + 1
        if left.alone and (right is None or right.frame > after):
            found.append(replace(left, frame=after, outside=True, alone=False))
            lost["gaps of which nothing is known, written as absences"] += right is not None
    return found
