"""Writing CVAT XML, laid out byte for byte as CVAT does."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.sax.saxutils import escape, quoteattr

from evreel.annotations.cvat.elements import BY_CLASS, VERSION, write_vertices
from evreel.annotations.cvat.people import NOBODY
from evreel.annotations.shapes import Annotations, Attribute, FrameTag, Shape, Skeleton, Track
from evreel.errors import AnnotationError

# A task's dates, number and address say nothing about the annotation. They are fixed, so that
# equal annotations give equal bytes.
_DATE = "2020-01-01 00:00:00.000000+00:00"
_TASK = "1"
_URL = "http://localhost:8080/?id=1"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_video_xml(
    path: str | Path,
    annotations: Annotations,
    *,
    name: str,
    n_frames: int,
    picture_shape: tuple[int, int],
    step: int = 1,
) -> None:
    """Write tracks as "CVAT for video 1.1", just as CVAT exports them.

    Tags are left out, because this form has none; `write_images_xml` keeps them. Shapes are
    written as they are listed: nothing is interpolated. A loose shape (track id −1) becomes a
    track of its own, numbered after the others and closed one step later, except in the last
    frames, where CVAT leaves out the closing shape.

    Parameters
    ----------
    path
        File to write; equal annotations give equal bytes.
    annotations
        What to write. `frames` must be spaced by `step`; if it is empty, the task has every
        `step`-th frame.
    name
        The task's name; the video is called ``<name>.mp4``.
    n_frames
        Frames of the video, 1 or more.
    picture_shape
        (height, width) of a frame in pixels.
    step
        The task's frame filter: every `step`-th frame of the video was annotated.

    Raises
    ------
    AnnotationError
        If a shape is in a frame that the task does not have, or is alone; a label is not one of
        `labels`; two tracks have the same number; or a name cannot be written in XML.
    """
    path = Path(path)
    frames = _task_frames(path, annotations, n_frames, step)
    if annotations.frames and frames.step != step and len(frames) > 1:
        raise AnnotationError(
            f"annotated frames are {frames.step} apart; step={step} is expected", path=path
        )
    if len(annotations.frames) not in (0, len(frames)):
        raise AnnotationError(
            f"only {len(annotations.frames)} of {len(frames)} frames were annotated, which a "
            "video export cannot say",
            path=path,
            hint="Use the images form.",
        )
    frames = range(frames.start, frames.stop, step)
    _check_shapes(path, annotations, frames)
    numbers = [track.id for track in annotations.tracks if track.id >= 0]
    if len(set(numbers)) < len(numbers):
        raise AnnotationError("two tracks have the same number", path=path)
    loose = max(numbers, default=-1) + 1
    with _Writer(path) as xml:
        _write_meta(xml, annotations, name, frames, picture_shape, video=True)
        for track in annotations.tracks:
            shapes = list(track.shapes)
            number = track.id
            if number < 0:
                number, loose = loose, loose + 1
                shapes += [
                    replace(shape, frame=shape.frame + step, outside=True)
                    for shape in track.shapes[-1:]
                    if not shape.outside and shape.frame + step < frames[-1]
                ]
            group = _group(shapes[0]) if shapes else {}
            xml.open("track", id=str(number), label=track.label, source="manual", **group)
            for shape in shapes:
                if isinstance(shape, Skeleton):
                    first = {"frame": str(shape.frame), "keyframe": _bit(shape.keyframe)}
                    _write_skeleton(xml, shape, first, {"keyframe": _bit(shape.keyframe)}, {})
                    continue
                before = {
                    "frame": str(shape.frame),
                    "outside": _bit(shape.outside),
                    "occluded": _bit(shape.occluded),
                    "keyframe": _bit(shape.keyframe),
                }
                _write_shape(xml, shape, before, {})
            xml.close("track")


def write_images_xml(
    path: str | Path,
    annotations: Annotations,
    *,
    name: str,
    n_frames: int,
    picture_shape: tuple[int, int],
    frame_names: Sequence[str] | None = None,
) -> None:
    """Write shapes and tags as "CVAT for images 1.1", just as CVAT exports them.

    Tracks are flattened: every visible shape is put into its frame, without its track, its
    keyframe mark and the track's closing shape. Nothing is interpolated.

    Parameters
    ----------
    path
        File to write; equal annotations give equal bytes.
    annotations
        What to write. Each frame of `frames` is listed, with or without shapes; all `n_frames`
        if `frames` is empty.
    name
        The task's name; the video is called ``<name>.mp4``.
    n_frames
        Frames of the video, or number of images, 1 or more.
    picture_shape
        (height, width) of a frame in pixels.
    frame_names
        (n_frames,) names of the images, if the task was made from images. Frames of a video are
        called ``frame_000000`` and so on.

    Raises
    ------
    AnnotationError
        As `write_video_xml`, except for a shape that is alone; and if there are not `n_frames`
        names.
    """
    path = Path(path)
    if frame_names is not None and len(frame_names) != n_frames:
        raise AnnotationError(
            f"there are {len(frame_names)} names for {n_frames} frames", path=path
        )
    frames = _task_frames(path, annotations, n_frames, 1)
    listed = annotations.frames or frames
    _check_shapes(path, annotations, listed, images=True)
    height, width = picture_shape
    shapes: dict[int, list[tuple[Track, Shape]]] = {}
    for track in annotations.tracks:
        for shape in track.shapes:
            if not shape.outside:
                shapes.setdefault(shape.frame, []).append((track, shape))
    tags: dict[int, list[FrameTag]] = {}
    for tag in annotations.tags:
        tags.setdefault(tag.frame, []).append(tag)
    with _Writer(path) as xml:
        _write_meta(xml, annotations, name, frames, picture_shape, video=frame_names is None)
        for frame in listed:
            xml.open(
                "image",
                id=str(frame),
                name=f"frame_{frame:06d}" if frame_names is None else frame_names[frame],
                width=str(width),
                height=str(height),
            )
            # As CVAT orders them: what is on top comes last.
            for track, shape in sorted(shapes.get(frame, ()), key=lambda both: both[1].z_order):
                first = {"label": track.label}
                drawn = {"source": "manual"}
                if isinstance(shape, Skeleton):
                    _write_skeleton(xml, shape, first | drawn, drawn, _group(shape))
                    continue
                before = first | {"occluded": _bit(shape.occluded)} | drawn
                _write_shape(xml, shape, before, _group(shape))
            for tag in tags.get(frame, ()):
                xml.open("tag", label=tag.label, source="manual")
                _write_attributes(xml, tag.attributes)
                xml.close("tag")
            xml.close("image")


class _Writer:
    """Lines of XML as CVAT indents them; an element without content takes two lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._level = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", newline="\n")
        self._file.write('<?xml version="1.0" encoding="utf-8"?>\n')
        self.open("annotations")
        self.leaf("version", VERSION)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self.close("annotations")

    def open(self, element: str, **attributes: str) -> None:
        self._line(f"<{element}{self._attributes(attributes)}>")
        self._level += 1

    def close(self, element: str) -> None:
        self._level -= 1
        self._line(f"</{element}>")

    def leaf(self, element: str, text: str = "", **attributes: str) -> None:
        text = escape(self._checked(text), {"\r": "&#13;"})
        self._line(f"<{element}{self._attributes(attributes)}>{text}</{element}>")

    def _attributes(self, attributes: dict[str, str]) -> str:
        return "".join(
            f" {name}={quoteattr(self._checked(value))}" for name, value in attributes.items()
        )

    def _checked(self, text: str) -> str:
        bad = _NOT_XML.search(text)
        if bad:
            raise AnnotationError(
                f"the name {text!r} has {bad.group()!r} in it, which XML does not allow",
                path=self._path,
            )
        return text

    def _line(self, text: str) -> None:
        self._file.write("  " * self._level + text + "\n")


def _write_meta(
    xml: _Writer,
    annotations: Annotations,
    name: str,
    frames: range,
    picture_shape: tuple[int, int],
    video: bool,
) -> None:
    """Write the block about the task: of a video, or of a set of images."""
    xml.open("meta")
    xml.open("task")
    xml.leaf("id", _TASK)
    xml.leaf("name", name)
    xml.leaf("size", str(len(frames)))
    xml.leaf("mode", "interpolation" if video else "annotation")
    xml.leaf("overlap", "0")
    xml.leaf("bugtracker")
    xml.leaf("created", _DATE)
    xml.leaf("updated", _DATE)
    xml.leaf("start_frame", str(frames[0]))
    xml.leaf("stop_frame", str(frames[-1]))
    xml.leaf("frame_filter", f"step={frames.step}" if frames.step > 1 else "")
    xml.open("labels")
    for label, (attributes, joints) in said_of_labels(annotations).items():
        _write_label(xml, label, attributes, kind="skeleton" if joints else "")
        for joint, attributes_of_joint in joints.items():
            _write_label(xml, joint, attributes_of_joint, kind="points", parent=label)
    xml.close("labels")
    xml.open("segments")
    xml.open("segment")
    xml.leaf("id", _TASK)
    xml.leaf("start", "0")
    xml.leaf("stop", str(len(frames) - 1))
    xml.leaf("url", _URL)
    xml.close("segment")
    xml.close("segments")
    xml.open("owner")
    xml.leaf("username", NOBODY)
    xml.leaf("email")
    xml.close("owner")
    xml.leaf("assignee")
    if video:
        height, width = picture_shape
        xml.open("original_size")
        xml.leaf("width", str(width))
        xml.leaf("height", str(height))
        xml.close("original_size")
    xml.close("task")
    xml.leaf("dumped", _DATE)
    if video:
        xml.leaf("source", f"{name}.mp4")
    xml.close("meta")


def label_color(label: str) -> str:
    """Return a label's colour as ``#rrggbb``, which depends only on its name.

    Examples
    --------
    >>> label_color("car") == label_color("car") != label_color("bus")
    True
    """
    return "#" + hashlib.sha256(label.encode()).hexdigest()[:6]


def said_of_labels(
    annotations: Annotations,
) -> dict[str, tuple[list[Attribute], dict[str, list[Attribute]]]]:
    """Return the attributes of each label, and the points of its skeletons with theirs.

    What the annotations do not describe is taken as text, in order of appearance.
    """
    names: dict[str, dict[str, Attribute]] = {
        label: {attribute.name: attribute for attribute in annotations.attributes.get(label, ())}
        for label in annotations.labels
    }
    joints: dict[str, dict[str, None]] = {label: {} for label in annotations.labels}
    seen: Mapping[str, str] | None = None
    for track in annotations.tracks:
        for shape in track.shapes:
            if isinstance(shape, Skeleton):
                joints[track.label].update(dict.fromkeys(shape.joints))
            if shape.attributes is not seen:
                seen = shape.attributes
                for name in seen:
                    names[track.label].setdefault(name, Attribute(name))
    for tag in annotations.tags:
        for name in tag.attributes:
            names[tag.label].setdefault(name, Attribute(name))
    made: dict[str, tuple[list[Attribute], dict[str, list[Attribute]]]] = {}
    for label, of_label in names.items():
        own: list[Attribute] = []
        of_joints: dict[str, list[Attribute]] = {joint: [] for joint in joints[label]}
        for name, attribute in of_label.items():
            joint, rest = of_joint(name, of_joints)
            (of_joints[joint] if joint else own).append(replace(attribute, name=rest))
        made[label] = own, of_joints
    return made


def of_joint(name: str, joints: Iterable[str]) -> tuple[str, str]:
    """Return the point of a skeleton that an attribute is of, or none, and its own name."""
    for joint in joints:
        if name.startswith(f"{joint}."):
            return joint, name[len(joint) + 1 :]
    return "", name


def _write_label(
    xml: _Writer, name: str, attributes: Sequence[Attribute], *, kind: str, parent: str = ""
) -> None:
    xml.open("label")
    xml.leaf("name", name)
    xml.leaf("color", label_color(name))
    if kind:
        xml.leaf("type", kind)
    xml.open("attributes")
    for attribute in attributes:
        xml.open("attribute")
        xml.leaf("name", attribute.name)
        xml.leaf("mutable", str(attribute.mutable))
        xml.leaf("input_type", attribute.kind)
        xml.leaf("default_value", attribute.default)
        xml.leaf("values", "\n".join(attribute.values))
        xml.close("attribute")
    xml.close("attributes")
    if parent:
        xml.leaf("parent", parent)
    xml.close("label")


def _write_shape(xml: _Writer, shape: Shape, before: dict[str, str], after: dict[str, str]) -> None:
    """Write a shape; the attributes `before` and `after` are around its geometry."""
    geometry = BY_CLASS[type(shape)]
    drawn = geometry.attributes(shape)
    xml.open(geometry.element, **before, **drawn, z_order=str(shape.z_order), **after)
    _write_attributes(xml, shape.attributes)
    xml.close(geometry.element)


def _write_skeleton(
    xml: _Writer,
    skeleton: Skeleton,
    before: dict[str, str],
    of_points: dict[str, str],
    after: dict[str, str],
) -> None:
    """Write a skeleton with an element for each point, which has the attributes `of_points`."""
    own: dict[str, str] = {}
    of_joints: dict[str, dict[str, str]] = {joint: {} for joint in skeleton.joints}
    for name, value in skeleton.attributes.items():
        joint, rest = of_joint(name, of_joints)
        (of_joints[joint] if joint else own)[rest] = value
    z_order = str(skeleton.z_order)
    xml.open("skeleton", **before, z_order=z_order, **after)
    _write_attributes(xml, own)
    for k, joint in enumerate(skeleton.joints):
        xml.open(
            "points",
            label=joint,
            **of_points,
            outside=_bit(skeleton.outside or not skeleton.visible[k]),
            occluded=_bit(skeleton.hidden[k]),
            **write_vertices(skeleton.points[k : k + 1]),
            z_order=z_order,
        )
        _write_attributes(xml, of_joints[joint])
        xml.close("points")
    xml.close("skeleton")


def _group(shape: Shape) -> dict[str, str]:
    return {"group_id": str(shape.group)} if shape.group else {}


def _write_attributes(xml: _Writer, attributes: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        xml.leaf("attribute", value, name=name)


def _bit(value: bool) -> str:
    return "1" if value else "0"


def _task_frames(path: Path, annotations: Annotations, n_frames: int, step: int) -> range:
    """Return the frames of the smallest task with all annotated frames."""
    if n_frames < 1 or step < 1:
        raise AnnotationError(
            f"a task of n_frames={n_frames}, step={step} has no frames", path=path
        )
    if not annotations.frames:
        return range(0, n_frames, step)
    first, last = annotations.frames[0], annotations.frames[-1]
    if not 0 <= first <= last < n_frames:
        raise AnnotationError(
            f"annotated frames {first} to {last} are not within the video's 0 to {n_frames - 1}",
            path=path,
        )
    spacing = math.gcd(*(later - earlier for earlier, later in pairwise(annotations.frames)))
    return range(first, last + 1, spacing or step)


def _check_shapes(
    path: Path, annotations: Annotations, frames: Iterable[int], *, images: bool = False
) -> None:
    """Raise if a shape or tag has a frame or a label that the task does not have."""
    known = frames if isinstance(frames, range) else frozenset(frames)
    labels = frozenset(annotations.labels)
    for track in annotations.tracks:
        for shape in track.shapes:
            if shape.alone and not images:
                raise AnnotationError(
                    "what is unknown after it cannot be said in the video form",
                    path=path,
                    place=f"track {track.id} ({track.label!r}), frame {shape.frame}",
                    hint="Use the images form.",
                )
            if shape.frame not in known and not shape.outside:
                raise AnnotationError(
                    "the task has no such frame",
                    path=path,
                    place=f"track {track.id} ({track.label!r}), frame {shape.frame}",
                )
    for tag in annotations.tags:
        if tag.frame not in known:
            raise AnnotationError(
                "the task has no such frame",
                path=path,
                place=f"tag {tag.label!r}, frame {tag.frame}",
            )
    for label in (*(t.label for t in annotations.tracks), *(t.label for t in annotations.tags)):
        if label not in labels:
            raise AnnotationError(
                f"label {label!r} is not one of {', '.join(annotations.labels)}", path=path
            )
