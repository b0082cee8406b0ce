"""CVAT XML 1.1, "for video" and "for images" ↔ `evreel.annotations.shapes.Annotations`.

Frame numbers in a file of a task or a job are the video's own: ``start_frame + k·step``. An
export lists every frame in which an object is visible, and closes a track by one shape that is
``outside``. Tags are only in the images form.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NoReturn, Self
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from lxml import etree

from evreel.annotations.shapes import NO_ATTRIBUTES, Annotations, FloatArray, FrameTag, Shape, Track
from evreel.errors import AnnotationError, UsageError

# A task's dates, number and address say nothing about the annotation: fixed, so that equal
# annotations are equal bytes.
_DATE = "2020-01-01 00:00:00.000000+00:00"
_TASK = "1"
_URL = "http://localhost:8080/?id=1"
_USER = "annotator"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Unsupported = Literal["error", "skip"]

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_FARTHEST_PX = 1e9  # far enough for any picture, near enough that products stay finite
_FRAME_FILTER = re.compile(r"\s*step\s*=\s*([0-9]{1,9})\s*", re.ASCII)


def read_cvat(
    path: str | Path, *, unsupported: Unsupported = "error", tags_only: bool = False
) -> Annotations:
    """Read CVAT XML 1.1 of a task or a job, "for video" or "for images".

    The file is read as a stream: memory holds what is returned, not the XML.

    Parameters
    ----------
    path
        The file, unpacked.
    unsupported
        What becomes of shapes that are neither boxes nor polygons, and of rotated boxes:
        ``error``, or ``skip`` them and count them in `Annotations.skipped`.
    tags_only
        Leave shapes unread. An images export repeats the shapes of the video export beside it;
        tags are only in the former.

    Returns
    -------
    Annotations
        Tracks as they are listed, gaps and all. A shape of an images export is a track of its
        own with the number −1. `frames` are the frames of the task or job by its first and last
        frame and its frame filter; in an images export those that are listed; in a video
        export without ``meta`` those in which a track is visible. Labels are in the order of
        ``meta``, or of their first appearance where the file lists none.

    Raises
    ------
    AnnotationError
        With the line, and the track and frame: where the file is not XML or cut short, has a
        document type (CVAT writes none), is of a project, holds a shape that is not supported or
        not sound, or a label or frame that its task does not have; or, where only tags are
        read, is of the video form, which has none.
    """
    if unsupported not in ("error", "skip"):
        raise UsageError(f"unsupported={unsupported!r} is neither 'error' nor 'skip'")
    path = Path(path)
    reader = _Reader(path, unsupported, tags_only)
    try:
        with path.open("rb") as file:
            reader.read(file)
    except OSError as error:
        raise AnnotationError(f"can't be read: {error.strerror}", path=path) from error
    except etree.XMLSyntaxError as error:
        line, _ = error.position
        raise AnnotationError(
            f"is not whole XML: {str(error.msg).split(', line ')[0]}",
            path=path,
            place=f"line {line}" if line else None,
            hint="It is a zip: unpack it."
            if _is_zip(path)
            else "Export it from CVAT again and unpack it.",
        ) from error
    return reader.result()


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


class _Reader:
    """One pass over a file; `read` fills it, `result` gives what was found."""

    def __init__(self, path: Path, unsupported: Unsupported, tags_only: bool) -> None:
        self._path = path
        self._skip = unsupported == "skip"
        self._tags_only = tags_only
        self._labels: dict[str, None] = {}
        self._labels_listed = False
        self._task_frames: range | None = None
        self._form: str | None = None
        self._tracks: list[Track] = []
        self._tags: list[FrameTag] = []
        self._picture: tuple[int, int] | None = None
        self._skipped: Counter[str] = Counter()
        self._seen_frames: set[int] = set()
        self._attributes: Mapping[str, str] = NO_ATTRIBUTES
        # What is open: a track or an image.
        self._track_id = -1
        self._label = ""
        self._frame = -1
        self._shapes: list[Shape] = []

    def read(self, file: BinaryIO) -> None:
        """Walk the file; what has been understood is taken off the tree at once."""
        depth = 0
        open_: str | None = None
        for event, element in etree.iterparse(
            file,
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            remove_comments=True,
            remove_pis=True,
        ):
            if event == "start":
                depth += 1
                if depth == 1:
                    self._check_root(element)
                elif depth == 2:
                    open_ = element.tag
                    self._begin(element)
                continue
            depth -= 1
            if depth == 2 and open_ == "track":
                self._track_child(element)
            elif depth == 2 and open_ == "image":
                self._image_child(element)
            elif depth == 1:
                self._end(element)
            if depth == 1 or (depth == 2 and open_ != "meta"):
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]

    def result(self) -> Annotations:
        frames: range | tuple[int, ...] | None = self._task_frames
        if self._form == "image" or frames is None:
            frames = tuple(sorted(self._seen_frames))
        return Annotations(
            labels=tuple(self._labels),
            tracks=tuple(self._tracks),
            tags=tuple(self._tags),
            frames=frames,
            picture_shape=self._picture,
            source=self._path.name,
            skipped=dict(sorted(self._skipped.items())),
            task=self._task_frames,
        )

    def _fail(
        self, problem: str, element: Any, what: str | None = None, hint: str | None = None
    ) -> NoReturn:
        place = f"line {element.sourceline}"
        raise AnnotationError(
            problem, path=self._path, place=f"{place}, {what}" if what else place, hint=hint
        )

    def _check_root(self, root: Any) -> None:
        if root.tag != "annotations":
            self._fail(
                f"starts with <{root.tag}>; <annotations> is expected",
                root,
                hint="Is this CVAT XML, or a page that a server sent instead?",
            )
        if root.getroottree().docinfo.doctype:
            self._fail("has a document type, which CVAT never writes", root)

    def _begin(self, element: Any) -> None:
        """Start a child of the root."""
        form = element.tag
        if form not in ("version", "meta", "track", "image"):
            self._fail(f"<{form}> is not known in CVAT XML 1.1", element)
        if form == "meta" and (self._form or self._labels_listed):
            self._fail("<meta> is expected once, before tracks and images", element)
        if form not in ("track", "image"):
            return
        if self._form not in (None, form):
            self._fail("holds both tracks and images; one of them is expected", element)
        self._form = form
        self._shapes = []
        if form == "track":
            if self._tags_only:
                self._fail(
                    "is of the form for video, which holds no tags",
                    element,
                    hint="Give it as rois; tags are in the export CVAT for images 1.1.",
                )
            self._track_id = self._whole(element, "id", "track", least=0)
            self._label = self._known_label(element, f"track {self._track_id}")
            return
        self._track_id = -1
        self._frame = self._whole(element, "id", "image", least=0)
        if self._frame in self._seen_frames:
            self._fail(
                "is listed twice",
                element,
                f"frame {self._frame}",
                hint="Export one task: several in one file can't be told apart.",
            )
        self._seen_frames.add(self._frame)
        if element.get("width") is not None or element.get("height") is not None:
            what = f"frame {self._frame}"
            self._one_size(
                self._whole(element, "height", what, least=1),
                self._whole(element, "width", what, least=1),
                element,
                what,
            )

    def _one_size(self, height: int, width: int, element: Any, what: str | None = None) -> None:
        if self._picture is None:
            self._picture = (height, width)
        elif self._picture != (height, width):
            self._fail(
                f"is {width}x{height}; pictures before it are "
                f"{self._picture[1]}x{self._picture[0]}",
                element,
                what,
                hint="Export a task whose pictures are of one size.",
            )

    def _end(self, element: Any) -> None:
        """Take in a whole child of the root."""
        if element.tag == "version" and (element.text or "").strip() != "1.1":
            self._fail(f"is of version {element.text!r}; 1.1 is read here", element)
        elif element.tag == "meta":
            self._meta(element)
        elif element.tag == "track" and self._shapes:
            self._tracks.append(Track(self._track_id, self._label, tuple(self._shapes)))

    def _meta(self, meta: Any) -> None:
        if meta.find("project") is not None:
            self._fail(
                "is the export of a project, whose frame numbers are not those of a video",
                meta.find("project"),
                hint="Export the task.",
            )
        task = meta.find("task")
        if task is None:
            task = meta.find("job")
        if task is None:
            return
        for label in task.iterfind("labels/label"):
            name = label.findtext("name")
            if not name:
                self._fail("a label has no name", label)
            self._labels[name] = None
        self._labels_listed = bool(self._labels)
        first, last = task.find("start_frame"), task.find("stop_frame")
        if first is not None and last is not None:
            start, stop = self._element_whole(first, 0), self._element_whole(last, 0)
            if stop < start:
                self._fail(f"stop_frame={stop} is before start_frame={start}", last)
            self._task_frames = range(start, stop + 1, self._step(task.find("frame_filter")))
        size = task.find("original_size")
        if size is None:
            size = meta.find("original_size")
        if size is not None:
            height, width = size.find("height"), size.find("width")
            if height is None or width is None:
                self._fail("original_size has no width or no height", size)
            self._one_size(self._element_whole(height, 1), self._element_whole(width, 1), size)

    def _step(self, element: Any) -> int:
        text = "" if element is None else element.text or ""
        if not text.strip():
            return 1
        match = _FRAME_FILTER.fullmatch(text)
        if not match or int(match[1]) < 1:
            self._fail(f"frame_filter {text!r} is not step=N", element)
        return int(match[1])

    def _track_child(self, element: Any) -> None:
        what = f"track {self._track_id} ({self._label!r})"
        # A skeleton of old files nests tracks, whose elements have no frame.
        frame = -1 if element.tag == "track" else self._whole(element, "frame", what, least=0)
        what = f"{what}, frame {frame}" if frame >= 0 else what
        if not self._supported(element, what):
            return
        outside = self._bit(element, "outside", what)
        if self._shapes and frame <= self._shapes[-1].frame:
            before = self._shapes[-1].frame
            self._fail(
                f"frame {frame} is listed {'twice' if frame == before else f'after {before}'}",
                element,
                what,
                hint="Mend the track in CVAT and export again.",
            )
        # A closing shape may lie behind the last frame, a visible one can't.
        if self._task_frames is not None and not outside and frame not in self._task_frames:
            task = self._task_frames
            step = f" by {task.step}" if task.step > 1 else ""
            self._fail(
                f"is not one of the task's frames {task[0]} to {task[-1]}{step}", element, what
            )
        if self._shapes and not self._shapes[-1].outside:
            self._seen_frames.update(range(self._shapes[-1].frame, frame))
        if not outside:
            self._seen_frames.add(frame)
        self._shapes.append(
            self._shape(
                element,
                what,
                frame,
                outside=outside,
                keyframe=self._bit(element, "keyframe", what, absent=True),
            )
        )

    def _image_child(self, element: Any) -> None:
        what = f"frame {self._frame}"
        if element.tag == "tag":
            label = self._known_label(element, what)
            self._tags.append(FrameTag(self._frame, label, self._read_attributes(element, what)))
        elif not self._tags_only and self._supported(element, what):
            label = self._known_label(element, what)
            shape = self._shape(element, f"{what}, label {label!r}", self._frame)
            self._tracks.append(Track(-1, label, (shape,)))

    def _supported(self, element: Any, what: str) -> bool:
        """Tell whether a shape can be taken in; raise where it can't and must not be skipped."""
        kind = str(element.tag)
        if kind == "box" and self._number(element.get("rotation", "0"), element, what) % 360:
            kind = "rotated box"
        elif kind in ("box", "polygon"):
            return True
        elif kind == "track":
            kind = "nested track"
        if not self._skip:
            self._fail(
                f"a shape of the kind {kind} is not supported yet",
                element,
                what,
                hint="Boxes and polygons are. To leave others out: annotate.unsupported: skip.",
            )
        self._skipped[kind] += 1
        return False

    def _shape(
        self,
        element: Any,
        what: str,
        frame: int,
        outside: bool = False,
        keyframe: bool = True,
    ) -> Shape:
        is_box = element.tag == "box"
        return Shape(
            frame,
            "box" if is_box else "polygon",
            self._corners(element, what) if is_box else self._vertices(element, what),
            outside,
            self._bit(element, "occluded", what),
            keyframe,
            self._whole(element, "z_order", what, absent=0),
            self._read_attributes(element, what),
        )

    def _corners(self, element: Any, what: str) -> FloatArray:
        left, top, right, bottom = (
            self._number(self._get(element, name, what), element, what, name)
            for name in ("xtl", "ytl", "xbr", "ybr")
        )
        if not left < right:
            self._fail(f"box xbr={right} is not right of xtl={left}", element, what)
        if not top < bottom:
            self._fail(f"box ybr={bottom} is not below ytl={top}", element, what)
        return np.array([[left, top], [right, bottom]])

    def _vertices(self, element: Any, what: str) -> FloatArray:
        text = self._get(element, "points", what)
        vertices = []
        for pair in text.split(";"):
            xy = pair.split(",")
            if len(xy) != 2:
                self._fail(f"polygon has {pair!r} among its points; x,y is expected", element, what)
            vertices.append([self._number(value, element, what, "points") for value in xy])
        if len(vertices) < 3:
            self._fail(f"polygon has {len(vertices)} points; 3 are expected", element, what)
        return np.array(vertices)

    def _read_attributes(self, element: Any, what: str) -> Mapping[str, str]:
        """Return a shape's attributes; shapes in a row that have the same share one mapping."""
        if not len(element):
            return NO_ATTRIBUTES
        attributes: dict[str, str] = {}
        for child in element:
            if child.tag != "attribute":
                self._fail(f"<{child.tag}> is not expected in <{element.tag}>", child, what)
            attributes[self._get(child, "name", what)] = child.text or ""
        if attributes != self._attributes:
            self._attributes = attributes
        return self._attributes

    def _known_label(self, element: Any, what: str) -> str:
        label = self._get(element, "label", what)
        if label not in self._labels:
            if self._labels_listed:
                self._fail(
                    f"label {label!r} is none of the task's: {', '.join(self._labels)}",
                    element,
                    what,
                )
            if not label:
                self._fail("its label has no name", element, what)
            self._labels[label] = None
        return sys.intern(label)

    def _get(self, element: Any, name: str, what: str) -> str:
        text = element.get(name)
        if text is None:
            self._fail(f"<{element.tag}> has no {name}", element, what)
        return str(text)

    def _whole(
        self,
        element: Any,
        name: str,
        what: str,
        least: int | None = None,
        absent: int | None = None,
    ) -> int:
        text = element.get(name)
        if text is None and absent is not None:
            return absent
        text = self._get(element, name, what)
        return self._as_whole(text, name, element, what, least)

    def _element_whole(self, element: Any, least: int) -> int:
        return self._as_whole((element.text or "").strip(), element.tag, element, None, least)

    def _as_whole(
        self, text: str, name: str, element: Any, what: str | None, least: int | None
    ) -> int:
        if not _WHOLE.fullmatch(text):
            self._fail(f"{name}={text!r} is not a whole number", element, what)
        value = int(text)
        if least is not None and value < least:
            self._fail(f"{name}={value} is not at least {least}", element, what)
        return value

    def _number(self, text: str, element: Any, what: str, name: str = "rotation") -> float:
        value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
        if not abs(value) < _FARTHEST_PX:
            self._fail(f"{name} holds {text!r}, which is not a number of pixels", element, what)
        return value

    def _bit(self, element: Any, name: str, what: str, absent: bool = False) -> bool:
        text = element.get(name)
        if text is None:
            return absent
        if text not in ("0", "1"):
            self._fail(f"{name}={text!r} is neither 0 nor 1", element, what)
        return bool(text == "1")


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
    track of its own, numbered after the others and closed one step later, but for the last
    frames, where CVAT leaves the closing shape out.

    Parameters
    ----------
    path
        File to write; equal annotations give equal bytes.
    annotations
        What to write. `frames` must be evenly spaced by `step`; where it is empty, the task is
        of every `step`-th frame.
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
        Where a shape is in a frame that the task does not have, a label is not one of `labels`,
        two tracks have one number, or a name can't be put into XML.
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
            "video export can't say",
            path=path,
            hint="Write the images form.",
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
            xml.open("track", id=str(number), label=track.label, source="manual")
            for shape in shapes:
                _write_shape(
                    xml,
                    shape,
                    {
                        "frame": str(shape.frame),
                        "outside": _bit(shape.outside),
                        "occluded": _bit(shape.occluded),
                        "keyframe": _bit(shape.keyframe),
                    },
                )
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

    Tracks are flattened: every visible shape is put into its frame and loses its track, its
    keyframe mark and what closes the track. Nothing is interpolated.

    Parameters
    ----------
    path
        File to write; equal annotations give equal bytes.
    annotations
        What to write. Each frame of `frames` is listed, shapes or none; all `n_frames` where
        `frames` is empty.
    name
        The task's name; the video is called ``<name>.mp4``.
    n_frames
        Frames of the video, or number of images, 1 or more.
    picture_shape
        (height, width) of a frame in pixels.
    frame_names
        (n_frames,) names of images, where the task was made of images instead of a video, whose
        frames are called ``frame_000000`` and so on.

    Raises
    ------
    AnnotationError
        As `write_video_xml`, and where there are not `n_frames` names.
    """
    path = Path(path)
    if frame_names is not None and len(frame_names) != n_frames:
        raise AnnotationError(f"{len(frame_names)} names for {n_frames} frames", path=path)
    frames = _task_frames(path, annotations, n_frames, 1)
    listed = annotations.frames or frames
    _check_shapes(path, annotations, listed)
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
            # As CVAT orders them: what lies on top comes last.
            for track, shape in sorted(shapes.get(frame, ()), key=lambda both: both[1].z_order):
                _write_shape(
                    xml,
                    shape,
                    {"label": track.label, "occluded": _bit(shape.occluded), "source": "manual"},
                )
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
        self.leaf("version", "1.1")
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
                f"the name {text!r} holds {bad.group()!r}, which XML can't", path=self._path
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
    """Write the block on the task: of a video, or of a set of images."""
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
    attributes = _attribute_names(annotations)
    for label in annotations.labels:
        xml.open("label")
        xml.leaf("name", label)
        xml.leaf("color", label_color(label))
        xml.open("attributes")
        for attribute in attributes[label]:
            xml.open("attribute")
            xml.leaf("name", attribute)
            xml.leaf("mutable", "True")
            xml.leaf("input_type", "text")
            xml.leaf("default_value")
            xml.leaf("values")
            xml.close("attribute")
        xml.close("attributes")
        xml.close("label")
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
    xml.leaf("username", _USER)
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
    """Return a label's colour as ``#rrggbb``: a function of its name alone.

    Examples
    --------
    >>> label_color("car") == label_color("car") != label_color("bus")
    True
    """
    return "#" + hashlib.sha256(label.encode()).hexdigest()[:6]


def _attribute_names(annotations: Annotations) -> dict[str, dict[str, None]]:
    """Return the names of each label's attributes, in order of appearance."""
    names: dict[str, dict[str, None]] = {label: {} for label in annotations.labels}
    for track in annotations.tracks:
        for shape in track.shapes:
            names[track.label].update(dict.fromkeys(shape.attributes))
    for tag in annotations.tags:
        names[tag.label].update(dict.fromkeys(tag.attributes))
    return names


def _write_shape(xml: _Writer, shape: Shape, before: dict[str, str]) -> None:
    """Write a shape; `before` are the attributes that stand before its geometry."""
    if shape.kind == "box":
        (left, top), (right, bottom) = shape.points.tolist()
        geometry = {
            "xtl": _px(left),
            "ytl": _px(top),
            "xbr": _px(right),
            "ybr": _px(bottom),
        }
    else:
        geometry = {"points": ";".join(f"{_px(x)},{_px(y)}" for x, y in shape.points.tolist())}
    xml.open(shape.kind, **before, **geometry, z_order=str(shape.z_order))
    _write_attributes(xml, shape.attributes)
    xml.close(shape.kind)


def _write_attributes(xml: _Writer, attributes: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        xml.leaf("attribute", value, name=name)


def _px(value: float) -> str:
    """Return a coordinate with two decimals, without a minus before nought."""
    return f"{round(value, 2) + 0.0:.2f}"


def _bit(value: bool) -> str:
    return "1" if value else "0"


def _task_frames(path: Path, annotations: Annotations, n_frames: int, step: int) -> range:
    """Return the frames of the smallest task that has all annotated ones."""
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


def _check_shapes(path: Path, annotations: Annotations, frames: Iterable[int]) -> None:
    """Raise where a shape or tag is in a frame, or of a label, that the task does not have."""
    known = frames if isinstance(frames, range) else frozenset(frames)
    labels = frozenset(annotations.labels)
    for track in annotations.tracks:
        for shape in track.shapes:
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
                f"label {label!r} is none of {', '.join(annotations.labels)}", path=path
            )
