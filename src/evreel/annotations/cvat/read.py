"""Reading CVAT XML as a stream."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from lxml import etree

from evreel.annotations.cvat.elements import (
    BY_KIND,
    GEOMETRIES,
    VERSION,
    Element,
    Geometry,
    kind_of,
)
from evreel.annotations.shapes import (
    NO_ATTRIBUTES,
    Annotations,
    FloatArray,
    FrameTag,
    Shape,
    Track,
)
from evreel.errors import AnnotationError, UsageError
from evreel.text import nfc
from evreel.video.picture import frame_of_picture

Unsupported = Literal["error", "skip"]
Invalid = Literal["error", "drop"]

_FRAME_NAME = re.compile(r"frame_([0-9]{6,9})", re.ASCII)  # CVAT's own, of frames of a video
_FRAME_FILTER = re.compile(r"\s*step\s*=\s*([0-9]{1,9})\s*", re.ASCII)


def read_cvat(
    path: str | Path,
    *,
    unsupported: Unsupported = "error",
    invalid: Invalid = "error",
    tags_only: bool = False,
) -> Annotations:
    """Read CVAT XML 1.1 of a task or a job, "for video" or "for images".

    The file is read as a stream: memory holds what is returned, not the XML.

    Parameters
    ----------
    path
        The file, unpacked.
    unsupported
        How shapes that are neither boxes nor polygons, and rotated boxes, are handled:
        ``error``, or ``skip`` them and count them in `Annotations.skipped`. The shape that is
        listed before one of them is alone: nothing is interpolated across what was left out.
    invalid
        How shapes without area, with too few points, or with a coordinate that is missing or not
        a number are handled, and the second of two equal shapes of one track in one frame:
        ``error``, or ``drop`` them, as if they were skipped, and count them.
    tags_only
        Do not read shapes. An images export repeats the shapes of the video export beside it;
        only the images export has tags.

    Returns
    -------
    Annotations
        Tracks as they are listed, gaps included. Of a closing shape, only its frame matters: if
        its outline cannot be read, it has that of the shape before it. `repairs` counts
        ``dropped_shapes``, and ``doubled_closing_shapes``, which close what is closed already and
        are left out. A shape of an images export is a track of its own with the number −1.
        `frames` are the frames of the task or job, by its first and last
        frame and its frame filter; in an images export, the listed frames; in a video export
        without ``meta``, the frames in which a track is visible. Labels are in the order of
        ``meta``, or of their first appearance if the file lists none.

    Raises
    ------
    AnnotationError
        With the line, the track and the frame: if the file is not XML, is cut short, has a
        document type (CVAT writes none) or is of a project; if it has an unsupported or invalid
        shape, or a label or frame that its task does not have; or if only tags are read and it
        is of the video form, which has none.
    """
    if unsupported not in ("error", "skip"):
        raise UsageError(f"unsupported={unsupported!r} is neither 'error' nor 'skip'")
    if invalid not in ("error", "drop"):
        raise UsageError(f"invalid={invalid!r} is neither 'error' nor 'drop'")
    path = Path(path)
    reader = _Reader(path, unsupported, invalid, tags_only)
    try:
        with path.open("rb") as file:
            reader.read(file)
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
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


def is_frame_of_video(name: str) -> bool:
    """Return whether a picture's name is CVAT's own for a frame of a video.

    Examples
    --------
    >>> is_frame_of_video("frame_000012"), is_frame_of_video("000012_120000.png")
    (True, False)
    """
    return _FRAME_NAME.fullmatch(name) is not None


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


class _Reader:
    """One pass over a file; `read` fills it, `result` gives what was found."""

    def __init__(
        self, path: Path, unsupported: Unsupported, invalid: Invalid, tags_only: bool
    ) -> None:
        self._path = path
        self._skip = unsupported == "skip"
        self._drop = invalid == "drop"
        self._tags_only = tags_only
        self._labels: dict[str, None] = {}
        self._labels_listed = False
        self._task_frames: range | None = None
        self._task_id: str | None = None
        self._task_name: str | None = None
        self._created: str | None = None
        self._of_images = False
        self._video: str | None = None
        self._pictures: dict[int, str] = {}
        self._form: str | None = None
        self._tracks: list[Track] = []
        self._tags: list[FrameTag] = []
        self._picture: tuple[int, int] | None = None
        self._skipped: Counter[str] = Counter()
        self._repairs = {"dropped_shapes": 0, "doubled_closing_shapes": 0}
        self._seen_frames: set[int] = set()
        self._attributes: Mapping[str, str] = NO_ATTRIBUTES
        # The open track or image.
        self._what = ""
        self._track_id = -1
        self._label = ""
        self._frame = -1
        self._latest = -1
        self._shapes: list[Shape] = []

    def read(self, file: BinaryIO) -> None:
        """Walk the file; elements are removed from the tree as soon as they are read."""
        depth = 0
        open_: str | None = None
        for event, xml in etree.iterparse(
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
                    self._check_root(Element(self._path, xml))
                elif depth == 2:
                    open_ = xml.tag
                    self._begin(Element(self._path, xml))
                continue
            depth -= 1
            if depth == 2 and open_ == "track":
                self._track_child(Element(self._path, xml, self._what))
            elif depth == 2 and open_ == "image":
                self._image_child(Element(self._path, xml, self._what))
            elif depth == 1:
                self._end(Element(self._path, xml))
            if depth == 1 or (depth == 2 and open_ != "meta"):
                xml.clear()
                while xml.getprevious() is not None:
                    del xml.getparent()[0]

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
            repairs=self._repairs,
            task=self._task_frames,
            task_id=self._task_id,
            task_name=self._task_name,
            created=self._created,
            video=self._video,
            of_images=self._of_images,
            lists_frames=self._form == "image",
            pictures=self._pictures,
        )

    def _check_root(self, root: Element) -> None:
        if root.xml.tag != "annotations":
            root.fail(
                f"starts with <{root.xml.tag}>; <annotations> is expected",
                hint="Is this CVAT XML, or a page that a server sent instead?",
            )
        if root.xml.getroottree().docinfo.doctype:
            root.fail("has a document type, which CVAT never writes")

    def _begin(self, element: Element) -> None:
        """Start a child of the root."""
        form = element.xml.tag
        if form not in ("version", "meta", "track", "image"):
            element.fail(f"<{form}> is not known in CVAT XML {VERSION}")
        if form == "meta" and (self._form or self._labels_listed):
            element.fail("<meta> is expected once, before tracks and images")
        if form not in ("track", "image"):
            return
        if self._form not in (None, form):
            element.fail("has both tracks and images; only one of them is expected")
        self._form = form
        self._shapes = []
        self._latest = -1
        if form == "track":
            self._begin_track(element)
        else:
            self._begin_image(element)

    def _begin_track(self, element: Element) -> None:
        if self._tags_only:
            element.fail(
                "is of the video form, which has no tags",
                hint="Give it as rois; the export CVAT for images 1.1 has the tags.",
            )
        element.what = "track"
        self._track_id = element.whole("id", least=0)
        element.what = f"track {self._track_id}"
        self._label = self._known_label(element)
        self._what = f"track {self._track_id} ({self._label!r})"

    def _begin_image(self, element: Element) -> None:
        self._track_id = -1
        element.what = "image"
        self._frame = element.whole("id", least=0)
        element.what = self._what = f"frame {self._frame}"
        if self._frame in self._seen_frames:
            element.fail(
                "is listed twice",
                hint="Export one task: several in one file cannot be told apart.",
            )
        self._seen_frames.add(self._frame)
        self._name_picture(element, element.xml.get("name"))
        if element.xml.get("width") is not None or element.xml.get("height") is not None:
            height, width = element.whole("height", least=1), element.whole("width", least=1)
            self._one_size(height, width, element)

    def _name_picture(self, element: Element, name: str | None) -> None:
        """Take in what the picture is called; what its frame is by the name, `frames` tells."""
        if name is not None:
            self._pictures[self._frame] = name
            if frame_of_picture(name) is not None:
                return
            own = _FRAME_NAME.fullmatch(name)
            if own and int(own[1]) != self._frame:
                element.fail(
                    f"is called {name!r}, as CVAT calls frame {int(own[1])}",
                    hint="It was edited after its export: export it again.",
                )
        self._check_frame(element, self._frame)

    def _check_frame(self, element: Element, frame: int) -> None:
        task = self._task_frames
        if task is not None and frame not in task:
            step = f" by {task.step}" if task.step > 1 else ""
            element.fail(
                f"is not one of the task's frames {task[0]} to {task[-1]}{step}",
                hint="It was edited after its export: export it again.",
            )

    def _one_size(self, height: int, width: int, element: Element) -> None:
        if self._picture is None:
            self._picture = (height, width)
        elif self._picture != (height, width):
            element.fail(
                f"is {width}x{height}; the pictures before it are "
                f"{self._picture[1]}x{self._picture[0]}",
                hint="Export a task whose pictures all have one size.",
            )

    def _end(self, element: Element) -> None:
        """Take in a whole child of the root."""
        xml = element.xml
        if xml.tag == "version" and (xml.text or "").strip() != VERSION:
            element.fail(f"has version {xml.text!r}; only {VERSION} can be read")
        elif xml.tag == "meta":
            self._meta(xml)
        elif xml.tag == "track" and self._shapes:
            self._tracks.append(Track(self._track_id, self._label, tuple(self._shapes)))

    def _meta(self, meta: Any) -> None:
        def of(xml: Any) -> Element:
            return Element(self._path, xml)

        project = meta.find("project")
        if project is not None:
            of(project).fail(
                "is the export of a project, whose frame numbers are not a video's",
                hint="Export the task.",
            )
        # Files of 2020 have the source beside the task.
        self._video = _text(meta.find("task/source")) or _text(meta.find("source"))
        task = meta.find("task")
        if task is None:
            task = meta.find("job")
        if task is None:
            return
        number = _text(task.find("id"))
        self._task_id = number and f"{task.tag} {number}"
        self._task_name = _text(task.find("name"))
        self._created = _text(task.find("created"))
        self._of_images = _text(task.find("mode")) == "annotation"
        for label in task.iterfind("labels/label"):
            name = nfc(label.findtext("name") or "")
            if not name:
                of(label).fail("a label has no name")
            self._labels[name] = None
        self._labels_listed = bool(self._labels)
        first, last = task.find("start_frame"), task.find("stop_frame")
        if first is not None and last is not None:
            start, stop = of(first).content(least=0), of(last).content(least=0)
            if stop < start:
                of(last).fail(f"stop_frame={stop} is before start_frame={start}")
            self._task_frames = range(start, stop + 1, _step(of(task.find("frame_filter"))))
        size = task.find("original_size")
        if size is None:
            size = meta.find("original_size")
        if size is not None:
            height, width = size.find("height"), size.find("width")
            if height is None or width is None:
                of(size).fail("original_size lacks a width or a height")
            self._one_size(of(height).content(least=1), of(width).content(least=1), of(size))

    def _track_child(self, element: Element) -> None:
        # A skeleton of old files nests tracks, whose elements have no frame.
        frame = -1 if element.xml.tag == "track" else element.whole("frame", least=0)
        if frame >= 0:
            element.what = f"{self._what}, frame {frame}"
        outside = frame >= 0 and element.bit("outside")
        shape = (self._closing if outside else self._visible)(element, frame)
        if shape is not None or not outside:
            self._in_order(element, frame)
        if shape is None:
            if not outside:
                self._latest = max(frame, self._latest)
                if self._shapes:
                    self._shapes[-1] = replace(self._shapes[-1], alone=True)
            return
        last = self._shapes[-1] if self._shapes else None
        if last is not None and self._doubles(element, last, shape):
            return
        self._latest = frame
        # A closing shape may come after the last frame, a visible one cannot.
        if not outside:
            self._check_frame(element, frame)
            self._seen_frames.add(frame)
        if last is not None and not last.outside and not last.alone:
            self._seen_frames.update(range(last.frame, frame))
        self._shapes.append(shape)

    def _in_order(self, element: Element, frame: int) -> None:
        """Raise unless an element of a track, left out or not, is listed in the order of frames."""
        if 0 <= frame < self._latest:
            element.fail(
                f"frame {frame} is listed after {self._latest}",
                hint="Put the shapes of the track in the order of their frames.",
            )

    def _visible(self, element: Element, frame: int) -> Shape | None:
        """Return a shape of a track; None where it is left out."""
        geometry = self._geometry(element)
        points = geometry and self._points(element, geometry)
        if geometry is None or points is None:
            return None
        return self._shape(element, geometry, points, frame)

    def _closing(self, element: Element, frame: int) -> Shape | None:
        """Return the shape that closes a track, with or without an outline of its own.

        None where it has none and nothing is open.
        """
        try:
            kind = kind_of(element)
            geometry = BY_KIND.get(kind)
            points = geometry and geometry.read(element)
            if points is not None and geometry and not geometry.shape.fault(points):
                return self._shape(element, geometry, points, frame, outside=True)
        except AnnotationError:
            geometry = BY_KIND.get(element.xml.tag)
        last = self._shapes[-1] if self._shapes else None
        if last is not None and not last.outside and not last.alone:
            return replace(last, frame=frame, outside=True)
        if last is not None and last.outside:
            self._repairs["doubled_closing_shapes"] += 1
        elif geometry is None and self._skip:
            self._skipped[kind] += 1
        return None

    def _doubles(self, element: Element, last: Shape, shape: Shape) -> bool:
        """Return whether a shape says only what the one before it in its track has said.

        Raises
        ------
        AnnotationError
            If it contradicts the one before it.
        """
        frame = shape.frame
        if frame > last.frame and not (shape.outside and last.outside):
            return False
        equal = (
            type(shape) is type(last)
            and np.array_equal(shape.points, last.points)
            and shape.z_order == last.z_order
        )
        if shape.outside and last.outside and (equal or frame == last.frame):
            self._repairs["doubled_closing_shapes"] += 1
            return True
        if frame > last.frame:
            return False
        if shape.outside or last.outside or not equal:
            element.fail(
                f"frame {frame} is listed twice, and not with the same shape",
                hint="Delete one of the two from the XML.",
            )
        if not self._drop:
            element.fail(
                f"frame {frame} is listed twice, with the same shape",
                hint="To drop the second, set annotate.invalid: drop.",
            )
        self._repairs["dropped_shapes"] += 1
        return True

    def _image_child(self, element: Element) -> None:
        if element.xml.tag == "tag":
            label = self._known_label(element)
            self._tags.append(FrameTag(self._frame, label, self._read_attributes(element)))
            return
        if self._tags_only:
            return
        geometry = self._geometry(element)
        if geometry is not None:
            label = self._known_label(element)
            element.what = f"{self._what}, label {label!r}"
            points = self._points(element, geometry)
            if points is not None:
                shape = self._shape(element, geometry, points, self._frame)
                self._tracks.append(Track(-1, label, (shape,)))

    def _geometry(self, element: Element) -> Geometry | None:
        """Return how a shape is read; if it is not supported, raise, or None to skip it."""
        kind = kind_of(element)
        geometry = BY_KIND.get(kind)
        if geometry is None:
            if not self._skip:
                *most, last = (each.shape.plural for each in GEOMETRIES)
                known = f"{', '.join(most)} and {last}".capitalize()
                element.fail(
                    f"shapes of kind {kind} are not supported yet",
                    hint=f"{known} are. To skip others, set annotate.unsupported: skip.",
                )
            self._skipped[kind] += 1
        return geometry

    def _points(self, element: Element, geometry: Geometry) -> FloatArray | None:
        """Return a visible shape's points; if they are not valid, raise, or None to drop it."""
        try:
            points = geometry.read(element)
            fault = geometry.shape.fault(points)
            if fault is None:
                return points
            element.fail(fault)
        except AnnotationError as error:
            if not self._drop:
                element.fail(
                    error.problem,
                    hint="Correct or delete it in CVAT, or set annotate.invalid: drop.",
                )
        self._repairs["dropped_shapes"] += 1
        return None

    def _shape(
        self,
        element: Element,
        geometry: Geometry,
        points: FloatArray,
        frame: int,
        *,
        outside: bool = False,
    ) -> Shape:
        return geometry.shape(
            frame,
            points,
            outside,
            element.bit("occluded"),
            element.bit("keyframe", absent=True),
            element.whole("z_order", absent=0),
            self._read_attributes(element),
        )

    def _read_attributes(self, element: Element) -> Mapping[str, str]:
        """Return a shape's attributes; successive shapes with equal ones share one mapping."""
        if not len(element.xml):
            return NO_ATTRIBUTES
        attributes: dict[str, str] = {}
        for xml in element.xml:
            child = Element(self._path, xml, element.what)
            if xml.tag != "attribute":
                child.fail(f"<{xml.tag}> is not expected in <{element.xml.tag}>")
            attributes[child.text("name")] = xml.text or ""
        if attributes != self._attributes:
            self._attributes = attributes
        return self._attributes

    def _known_label(self, element: Element) -> str:
        label = nfc(element.text("label"))
        if label not in self._labels:
            if self._labels_listed:
                known = ", ".join(self._labels)
                element.fail(f"label {label!r} is not one of the task's: {known}")
            if not label:
                element.fail("its label is empty")
            self._labels[label] = None
        return sys.intern(label)


def _text(xml: Any) -> str | None:
    """Return an element's text; None if there is no such element, or it is blank."""
    return None if xml is None else (xml.text or "").strip() or None


def _step(element: Element) -> int:
    """Return the step of a frame filter; 1 if there is no such element, or it is blank."""
    text = "" if element.xml is None else element.xml.text or ""
    if not text.strip():
        return 1
    match = _FRAME_FILTER.fullmatch(text)
    if not match or int(match[1]) < 1:
        element.fail(f"frame_filter {text!r} does not have the form step=N")
    return int(match[1])
