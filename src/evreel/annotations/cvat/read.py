"""Reading CVAT XML as a stream."""

from __future__ import annotations

import itertools
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from lxml import etree

from evreel.annotations.compact import (
    ALONE,
    KEYFRAME,
    OCCLUDED,
    OUTSIDE,
    LooseTracks,
    ShapesBuilder,
)
from evreel.annotations.cvat.elements import (
    BY_ELEMENT,
    GEOMETRIES,
    LARGEST_FRAME,
    VERSION,
    Coordinates,
    Element,
    File,
    Geometry,
)
from evreel.annotations.cvat.meta import Meta, Task, choose, read_meta
from evreel.annotations.cvat.package import open_xml
from evreel.annotations.cvat.skeletons import Bodies, Joint, joint_name, point_of
from evreel.annotations.cvat.values import Values, read_attributes
from evreel.annotations.shapes import (
    NO_ATTRIBUTES,
    Annotations,
    FrameTag,
    Shape,
    Skeleton,
    Track,
)
from evreel.errors import AnnotationError, UsageError
from evreel.text import nfc
from evreel.video.picture import frame_of_picture

Unsupported = Literal["error", "skip"]
Invalid = Literal["error", "drop"]

_FRAME_NAME = "frame_"  # CVAT's own, of frames of a video


def read_cvat(
    path: str | Path,
    *,
    unsupported: Unsupported = "error",
    invalid: Invalid = "error",
    tags_only: bool = False,
    shapes: Collection[str] | None = None,
    task: str | None = None,
    names: Sequence[str] = (),
) -> Annotations:
    """Read CVAT XML 1.1 of a task, a job or a project, "for video" or "for images".

    The file is read as a stream: memory holds what is returned, not the XML, and that in few bytes
    per shape.

    Parameters
    ----------
    path
        The file: XML, or the zip that CVAT exports, with the XML in it.
    unsupported
        How elements that are none of CVAT's shapes are handled: ``error``, or ``skip`` them and
        count them in `Annotations.skipped`. The shape that is listed before one of them is alone:
        nothing is interpolated across what was left out.
    invalid
        How shapes without area, with too few points, or with a coordinate that is missing or not
        a number are handled, and the second of two equal shapes of one track in one frame:
        ``error``, or ``drop`` them, as if they were skipped, and count them.
    tags_only
        Do not read shapes. An images export repeats the shapes of the video export beside it;
        only the images export has tags.
    shapes
        Kinds of shapes that are read, by name; None takes all. Others are skipped, and counted.
    task
        Number or name of the task that is read; None takes the only one that the file has.
    names
        What the recording is called: tells its task among several of a project.

    Returns
    -------
    Annotations
        Tracks as they are listed, gaps included. Of a closing shape, only its frame matters: if
        its outline cannot be read, it has that of the shape before it. `repairs` counts
        ``dropped_shapes``, and ``doubled_closing_shapes``, which close what is closed already and
        are left out; in an images export also ``unseen_skeletons``, of which no point is in the
        picture, if there are such. A shape of an images export is a track of its own with the
        number −1. `frames` are the frames of the task or job, by its first and last frame and its
        frame filter; in an images export, the listed frames; in a video export
        without ``meta``, the frames in which a track is visible. A project's frame numbers are
        turned into those of the task. Labels are in the order of ``meta``, or of their first
        appearance if the file lists none.

    Raises
    ------
    AnnotationError
        With the line, the track and the frame: if the file is not XML, is cut short, or has a
        document type (CVAT writes none); if it has an unsupported or invalid
        shape, or a label or frame that its task does not have; if it is of several tasks, and it
        is not said of which; or if only tags are read and it is of the video form, which has none.
    """
    if unsupported not in ("error", "skip"):
        raise UsageError(f"unsupported={unsupported!r} is neither 'error' nor 'skip'")
    if invalid not in ("error", "drop"):
        raise UsageError(f"invalid={invalid!r} is neither 'error' nor 'drop'")
    known = [geometry.shape.name for geometry in GEOMETRIES]
    for kind in shapes or ():
        if kind not in known:
            raise UsageError(f"shapes: {kind!r} is not one of {', '.join(known)}")
    path = Path(path)
    with open_xml(path) as (file, member):
        reader = _Reader(File(path, member), unsupported, invalid, tags_only, shapes, task, names)
        try:
            reader.read(file)
        except etree.XMLSyntaxError as error:
            line, _ = error.position
            places = [member, f"line {line}" if line else ""]
            raise AnnotationError(
                f"is not whole XML: {str(error.msg).split(', line ')[0]}",
                path=path,
                place=", ".join(filter(None, places)) or None,
                hint="Export it from CVAT again.",
            ) from error
    return reader.result()


def is_frame_of_video(name: str) -> bool:
    """Return whether a picture's name is CVAT's own for a frame of a video.

    Examples
    --------
    >>> is_frame_of_video("frame_000012"), is_frame_of_video("000012_120000.png")
    (True, False)
    """
    return _number_of_frame(name) is not None


def _number_of_frame(name: str) -> int | None:
    digits = name.removeprefix(_FRAME_NAME)
    is_own = digits != name and digits.isascii() and digits.isdigit() and 6 <= len(digits) <= 9
    return int(digits) if is_own else None


class _Drawn(NamedTuple):
    """What an element says of a shape, beside its frame."""

    kind: type[Shape]
    coordinates: Coordinates
    more: tuple[Any, ...]
    attributes: Mapping[str, str]
    z_order: int


class _Last(NamedTuple):
    """The last shape of the open track."""

    drawn: _Drawn
    frame: int
    bits: int

    @property
    def is_open(self) -> bool:
        """Whether the track goes on after it."""
        return not self.bits & (OUTSIDE | ALONE)


class _Reader:
    """One pass over a file; `read` fills it, `result` gives what was found."""

    def __init__(
        self,
        file: File,
        unsupported: Unsupported,
        invalid: Invalid,
        tags_only: bool,
        shapes: Collection[str] | None,
        task: str | None,
        names: Sequence[str],
    ) -> None:
        self._file = file
        self._skip = unsupported == "skip"
        self._drop = invalid == "drop"
        self._tags_only = tags_only
        self._kinds = None if shapes is None else frozenset(shapes)
        self._wanted = task
        self._names = names
        # What the head says.
        self._meta = Meta()
        self._task = Task()
        self._task_frames: range | None = None
        self._labels: dict[str, int] = {}
        self._picture: tuple[int, int] | None = None
        self._bodies = Bodies({})
        self._values = Values({})
        # What was found.
        self._form: str | None = None
        self._pictures: dict[int, str] = {}
        self._tracks: list[Track] = []
        self._loose = ShapesBuilder()
        self._loose_labels = array("i")
        self._tags: list[FrameTag] = []
        self._skipped: Counter[str] = Counter()
        self._repairs = {"dropped_shapes": 0, "doubled_closing_shapes": 0}
        self._seen_frames: set[int] = set()
        # The open track or image.
        self._is_foreign = False
        self._what = ""
        self._track_id = -1
        self._label = ""
        self._group = 0
        self._frame = -1
        self._latest = -1
        self._builder = ShapesBuilder()
        self._last: _Last | None = None
        self._nested: dict[str, list[tuple[int, Joint]]] = {}

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
                    self._check_root(Element(self._file, xml))
                elif depth == 2:
                    open_ = xml.tag
                    self._begin(Element(self._file, xml))
                continue
            depth -= 1
            if depth == 2:
                if open_ == "track":
                    if not self._is_foreign:
                        self._track_child(Element(self._file, xml, self._what))
                elif open_ == "image":
                    if not self._is_foreign and not (self._tags_only and xml.tag != "tag"):
                        self._image_child(Element(self._file, xml, self._what))
                else:
                    continue
            elif depth == 1:
                self._end(Element(self._file, xml))
            else:
                continue
            parent = xml.getparent()
            xml.clear()
            while parent[0] is not xml:
                del parent[0]

    def result(self) -> Annotations:
        frames: range | tuple[int, ...] | None = self._task_frames
        if self._form == "image" or frames is None:
            frames = tuple(sorted(self._seen_frames))
        task = self._task
        tracks: Sequence[Track] = tuple(self._tracks)
        if len(self._loose):
            tracks = LooseTracks(self._loose.compact(), self._loose_labels, list(self._labels))
        return Annotations(
            labels=tuple(self._labels),
            tracks=tracks,
            tags=tuple(self._tags),
            frames=frames,
            picture_shape=self._picture,
            source=self._file.path.name,
            skipped=dict(sorted(self._skipped.items())),
            repairs=self._repairs,
            task=self._task_frames,
            task_id=task.number and f"{task.kind} {task.number}",
            task_name=task.name,
            created=task.created,
            video=task.video,
            of_project=task.called if self._meta.of_project else "",
            of_images=task.of_images,
            lists_frames=self._form == "image",
            pictures=self._pictures,
            attributes=self._meta.attributes,
            lists_labels=bool(self._meta.labels),
            jobs=task.jobs,
            doubts=tuple(self._values.doubts(self._file.path.name)),
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
        if form == "meta" and (self._form or self._meta.labels):
            element.fail("<meta> is expected once, before tracks and images")
        if form not in ("track", "image"):
            return
        if self._form not in (None, form):
            element.fail("has both tracks and images; only one of them is expected")
        self._form = form
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
        self._is_foreign = self._is_of_another_task(element)
        if self._is_foreign:
            return
        self._label = self._known_label(element)
        self._group = element.whole("group_id", absent=0)
        self._what = f"track {self._track_id} ({self._label!r})"
        self._builder = ShapesBuilder()
        self._last = None
        self._nested = {}
        self._bodies.start()

    def _begin_image(self, element: Element) -> None:
        self._track_id = -1
        element.what = "image"
        number = element.whole("id", least=0)
        element.what = f"frame {number}"
        self._is_foreign = self._is_of_another_task(element, number)
        if self._is_foreign:
            return
        self._frame = self._own_frame(element, number)
        element.what = self._what = f"frame {self._frame}"
        if self._frame in self._seen_frames:
            element.fail(
                "is listed twice",
                hint="Export one task: several in one file cannot be told apart.",
            )
        self._seen_frames.add(self._frame)
        self._name_picture(element, element.values.get("name"), number)
        if "width" in element.values or "height" in element.values:
            height, width = element.whole("height", least=1), element.whole("width", least=1)
            self._one_size(height, width, element)

    def _is_of_another_task(self, element: Element, frame: int | None = None) -> bool:
        """Return whether a track or an image of a project is not of the task that is read."""
        if not self._meta.of_project:
            return False
        number = element.values.get("task_id")
        if number is not None:
            if all(task.number != number for task in self._meta.tasks):
                element.fail(f"is of task {number!r}, which the project does not list")
            return number != self._task.number
        if len(self._meta.tasks) == 1:
            return False
        subset = element.values.get("subset")
        fitting = [
            task
            for task in self._meta.tasks
            if subset in (None, task.subset)
            and (frame is None or task.frames is None or frame - task.offset in task.frames)
        ]
        if len(fitting) != 1:
            element.fail(
                f"does not say of which of the project's {len(self._meta.tasks)} tasks it is",
                hint="Export the task.",
            )
        return fitting[0] is not self._task

    def _own_frame(self, element: Element, number: int) -> int:
        """Return a frame's number in its task; the file of a project counts on."""
        offset = self._task.offset
        if number < offset:
            element.fail(
                f"frame {number} is before those of its task, which begin at {offset} in the "
                "project",
                hint="It was edited after its export: export it again.",
            )
        if number - offset > LARGEST_FRAME:
            element.fail(f"frame {number - offset} is beyond {LARGEST_FRAME}, which no video has")
        return number - offset

    def _name_picture(self, element: Element, name: str | None, number: int) -> None:
        """Take in what the picture is called; what its frame is by the name, `frames` tells."""
        if name is not None:
            self._pictures[self._frame] = name
            if frame_of_picture(name) is not None:
                return
            own = _number_of_frame(name)
            if own not in (None, self._frame, number):
                element.fail(
                    f"is called {name!r}, as CVAT calls frame {own}",
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
            self._take_meta(read_meta(self._file, xml))
        elif xml.tag == "track" and not self._is_foreign:
            if self._nested:
                self._put_nested_in(element)
            if len(self._builder):
                self._tracks.append(Track(self._track_id, self._label, self._builder.compact()))

    def _take_meta(self, meta: Meta) -> None:
        self._meta = meta
        self._task = choose(self._file, meta, self._wanted, self._names)
        self._task_frames = self._task.frames
        self._picture = self._task.picture_shape
        self._labels = {label: number for number, label in enumerate(meta.labels)}
        self._bodies = Bodies(meta.joints)
        self._values = Values(meta.attributes)

    # Tracks

    def _track_child(self, element: Element) -> None:
        if element.xml.tag == "track":
            self._take_nested(element)
            return
        frame = self._own_frame(element, element.whole("frame", least=0))
        element.frame = frame
        outside = element.bit("outside") or _is_all_outside(element)
        drawn = (self._closing if outside else self._visible)(element)
        if drawn is not None or not outside:
            self._in_order(element, frame)
        last = self._last
        if drawn is None:
            if not outside:
                self._latest = max(frame, self._latest)
                if last is not None:
                    self._builder.leave_alone()
                    self._last = last._replace(bits=last.bits | ALONE)
            return
        if last is not None and self._doubles(element, last, drawn, frame, outside):
            return
        self._latest = frame
        # A closing shape may come after the last frame, a visible one cannot.
        if not outside:
            self._check_frame(element, frame)
        if self._task_frames is None:
            if not outside:
                self._seen_frames.add(frame)
            if last is not None and last.is_open:
                self._seen_frames.update(range(last.frame, frame))
        bits = self._bits(element, outside, drawn)
        self._last = _Last(drawn, frame, bits)
        self._builder.add(
            *(drawn.kind, frame, drawn.coordinates, bits),
            *(drawn.z_order, drawn.attributes, self._group, drawn.more),
        )

    def _bits(self, element: Element, outside: bool, drawn: _Drawn) -> int:
        occluded = element.bit("occluded")
        if drawn.kind is Skeleton and "occluded" not in element.values:
            _, visible, hidden = drawn.more
            occluded = any(visible) and all(itertools.compress(hidden, visible))
        return (
            (OUTSIDE if outside else 0)
            | (OCCLUDED if occluded else 0)
            | (KEYFRAME if element.bit("keyframe", absent=True) else 0)
        )

    def _in_order(self, element: Element, frame: int) -> None:
        """Raise unless an element of a track, left out or not, is listed in the order of frames."""
        if frame < self._latest:
            element.fail(
                f"frame {frame} is listed after {self._latest}",
                hint="Put the shapes of the track in the order of their frames.",
            )

    def _visible(self, element: Element) -> _Drawn | None:
        """Return a shape of a track; None where it is left out."""
        geometry = self._geometry(element)
        return geometry and self._drawn(element, geometry)

    def _closing(self, element: Element) -> _Drawn | None:
        """Return the shape that closes a track, with or without an outline of its own.

        None where it has none and nothing is open.
        """
        geometry = BY_ELEMENT.get(element.xml.tag)
        last = self._last
        if geometry is not None and self._is_wanted(geometry):
            try:
                drawn = self._read(element, geometry)
                if not geometry.fault(drawn.coordinates):
                    return drawn
            except AnnotationError:
                pass
        if last is not None and last.is_open:
            return last.drawn
        if last is not None and last.bits & OUTSIDE:
            self._repairs["doubled_closing_shapes"] += 1
        elif geometry is None and self._skip:
            self._skipped[element.xml.tag] += 1
        return None

    def _doubles(
        self, element: Element, last: _Last, drawn: _Drawn, frame: int, outside: bool
    ) -> bool:
        """Return whether a shape says only what the one before it in its track has said.

        Raises
        ------
        AnnotationError
            If it contradicts the one before it.
        """
        was_outside = bool(last.bits & OUTSIDE)
        if frame > last.frame and not (outside and was_outside):
            return False
        mine, theirs = drawn, last.drawn
        equal = (mine.kind, mine.coordinates, mine.more, mine.z_order) == (
            *(theirs.kind, theirs.coordinates, theirs.more, theirs.z_order),
        )
        if outside and was_outside and (equal or frame == last.frame):
            self._repairs["doubled_closing_shapes"] += 1
            return True
        if frame > last.frame:
            return False
        if outside or was_outside or not equal:
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

    # Skeletons of old files

    def _take_nested(self, element: Element) -> None:
        """Take in the track of one point of a skeleton."""
        if not self._is_wanted(BY_ELEMENT["skeleton"]):
            return
        element.what = f"{self._what}, nested track"
        name = joint_name(element)
        element.what = f"{self._what}, point {name!r}"
        listed: list[tuple[int, Joint]] = []
        for xml in element.xml:
            child = Element(self._file, xml, element.what)
            if xml.tag != "points":
                child.fail(f"<{xml.tag}> is not expected in the track of a skeleton's point")
            frame = child.frame = self._own_frame(child, child.whole("frame", least=0))
            if listed and frame <= listed[-1][0]:
                child.fail(f"frame {frame} is listed after {listed[-1][0]}")
            listed.append((frame, self._joint(child)))
        if name in self._nested:
            element.fail("is listed twice")
        self._nested[name] = listed

    def _put_nested_in(self, element: Element) -> None:
        """Let the nested tracks say which points of the open track's skeletons are visible."""
        element.what = self._what
        skeletons = self._builder.compact()
        frames = sorted({frame for listed in self._nested.values() for frame, _ in listed})
        if not all(issubclass(type(shape), Skeleton) for shape in skeletons):
            element.fail("has nested tracks, though it is not of skeletons")
        self._builder = ShapesBuilder()
        self._bodies.start()
        if not skeletons:
            for frame in frames:
                if self._task_frames is None:
                    self._seen_frames.add(frame)
                body = self._bodies.body(self._label, self._nested_at(frame, None))
                bits = KEYFRAME | (0 if any(body.visible) else OUTSIDE)
                self._builder.add(
                    *(Skeleton, frame, body.coordinates, bits, 0, body.attributes, self._group),
                    (body.joints, body.visible, body.hidden),
                )
        for shape in skeletons:
            body = self._bodies.body(
                self._label, self._nested_at(shape.frame, shape.points.tolist())
            )
            bits = (
                (OUTSIDE if shape.outside else 0)
                | (OCCLUDED if shape.occluded else 0)
                | (KEYFRAME if shape.keyframe else 0)
                | (ALONE if shape.alone else 0)
            )
            self._builder.add(
                *(Skeleton, shape.frame, body.coordinates, bits, shape.z_order),
                *({**shape.attributes, **body.attributes}, self._group),
                (body.joints, body.visible, body.hidden),
            )

    def _nested_at(self, frame: int, points: list[list[float]] | None) -> dict[str, Joint]:
        """Return the points of a frame: where the skeleton says, visible as their tracks say."""
        found = {}
        is_listed = points is not None and len(points) == len(self._nested)
        for k, (name, listed) in enumerate(self._nested.items()):
            row = bisect_right(listed, frame, key=lambda entry: entry[0]) - 1
            if row < 0 and not (is_listed and points):
                continue
            joint = listed[row][1] if row >= 0 else Joint(0.0, 0.0, True, False)
            if is_listed and points:
                joint = joint._replace(x=points[k][0], y=points[k][1])
            found[name] = joint
        return found

    # Images

    def _image_child(self, element: Element) -> None:
        if element.xml.tag == "tag":
            label = self._known_label(element)
            attributes = self._values.read(element, label)
            self._tags.append(FrameTag(self._frame, label, attributes))
            return
        geometry = self._geometry(element)
        if geometry is None:
            return
        self._label = self._known_label(element)
        if _is_all_outside(element):
            self._repairs["unseen_skeletons"] = self._repairs.get("unseen_skeletons", 0) + 1
            return
        element.what = f"{self._what}, label {self._label!r}"
        self._bodies.start()
        drawn = self._drawn(element, geometry)
        if drawn is not None:
            self._loose.add(
                *(drawn.kind, self._frame, drawn.coordinates, self._bits(element, False, drawn)),
                *(drawn.z_order, drawn.attributes, element.whole("group_id", absent=0)),
                drawn.more,
            )
            self._loose_labels.append(self._labels[self._label])

    # Shapes

    def _is_wanted(self, geometry: Geometry) -> bool:
        return self._kinds is None or geometry.shape.name in self._kinds

    def _geometry(self, element: Element) -> Geometry | None:
        """Return how a shape is read; if it is not supported, raise, or None to skip it."""
        geometry = BY_ELEMENT.get(element.xml.tag)
        if geometry is not None and self._is_wanted(geometry):
            return geometry
        if geometry is None and not self._skip:
            element.fail(
                f"shapes of kind {element.xml.tag} are not supported",
                hint="CVAT has none. To skip them, set annotate.unsupported: skip.",
            )
        self._skipped[element.xml.tag] += 1
        return None

    def _drawn(self, element: Element, geometry: Geometry) -> _Drawn | None:
        """Return a visible shape; if it is not valid, raise, or None to drop it."""
        try:
            drawn = self._read(element, geometry)
            fault = geometry.fault(drawn.coordinates)
            if fault is None:
                return drawn
            element.fail(fault)
        except AnnotationError as error:
            if not self._drop:
                element.fail(
                    error.problem,
                    hint="Correct or delete it in CVAT, or set annotate.invalid: drop.",
                )
        self._repairs["dropped_shapes"] += 1
        return None

    def _read(self, element: Element, geometry: Geometry) -> _Drawn:
        if geometry.shape is Skeleton:
            return self._read_skeleton(element, geometry)
        coordinates, more = geometry.read(element)
        attributes = NO_ATTRIBUTES
        if len(element.xml):
            attributes = self._values.read(element, self._label)
        z_order = element.whole("z_order", absent=0)
        return _Drawn(geometry.shape, coordinates, more, attributes, z_order)

    def _read_skeleton(self, element: Element, geometry: Geometry) -> _Drawn:
        own = read_attributes(element, beside="points")
        found: dict[str, Joint] = {}
        for xml in element.xml:
            if xml.tag == "points":
                child = Element(self._file, xml, element.what)
                child.frame = element.frame
                name = joint_name(child)
                if name in found:
                    child.fail(f"the skeleton's point {name!r} is listed twice")
                found[name] = self._joint(child)
        if not found and element.values.get("points"):
            coordinates, _ = geometry.read(element)
            xs, ys = coordinates[::2], coordinates[1::2]
            joints = (Joint(x, y, False, False) for x, y in zip(xs, ys, strict=True))
            names = self._bodies.names(self._label, len(xs))
            found = dict(zip(names, joints, strict=True))
        body = self._bodies.body(self._label, found)
        own.update(body.attributes)
        attributes = self._values.kept(self._label, own) if own else NO_ATTRIBUTES
        z_order = element.whole("z_order", absent=0)
        more = (body.joints, body.visible, body.hidden)
        return _Drawn(Skeleton, body.coordinates, more, attributes, z_order)

    def _joint(self, element: Element) -> Joint:
        return Joint(
            *point_of(element),
            element.bit("outside"),
            element.bit("occluded"),
            read_attributes(element) or NO_ATTRIBUTES,
        )

    def _known_label(self, element: Element) -> str:
        label = nfc(element.text("label"))
        if label not in self._labels:
            if self._meta.labels:
                known = ", ".join(self._meta.labels)
                element.fail(f"label {label!r} is not one of the task's: {known}")
            if not label:
                element.fail("its label is empty")
            self._labels[label] = len(self._labels)
        return sys.intern(label)


def _is_all_outside(element: Element) -> bool:
    """Return whether an element is a skeleton of which no point is in the picture."""
    if element.xml.tag != "skeleton":
        return False
    points = element.xml.findall("points")
    return bool(points) and all(point.get("outside") == "1" for point in points)
