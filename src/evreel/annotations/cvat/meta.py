"""What the head of a CVAT XML says: its tasks, their frames, its labels.

A project numbers the frames of its tasks one after the other within each subset: to those of a task
it adds the sum of ``start_frame + step·size`` of the tasks of its subset that are listed before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from evreel.annotations.cvat.elements import LARGEST_FRAME, Element, File
from evreel.annotations.shapes import Attribute, AttributeKind
from evreel.errors import AnnotationError, did_you_mean
from evreel.text import listed, nfc

_FRAME_FILTER = re.compile(r"\s*step\s*=\s*([0-9]{1,9})\s*", re.ASCII)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_WORD = re.compile(r"[^\W_]+")
_MOST_NAMED = 60
"""So many tasks are named in a message."""


@dataclass(frozen=True)
class Task:
    """A task or a job, as the file describes it; what it does not say is None.

    Parameters
    ----------
    kind : ``task`` or ``job``.
    number, name, subset, created, video : as the file has them.
    of_images : whether it was made from images and not from a video.
    frames : the frames of the video that it has.
    size : how many frames these are.
    offset : what a project adds to the numbers of its frames.
    picture_shape : (height, width) of its pictures.
    jobs : the frames of each job of a task.
    """

    kind: str = "task"
    number: str | None = None
    name: str | None = None
    subset: str | None = None
    created: str | None = None
    video: str | None = None
    of_images: bool = False
    frames: range | None = None
    size: int = 0
    offset: int = 0
    picture_shape: tuple[int, int] | None = None
    jobs: tuple[range, ...] = ()

    @property
    def called(self) -> str:
        """What a message calls it."""
        said = self.number or "without a number"
        more = ", ".join(
            [*([repr(self.name)] if self.name else []), *([self.subset] if self.subset else [])]
        )
        return f"{said} ({more})" if more else said


@dataclass(frozen=True)
class Meta:
    """What the head says.

    Parameters
    ----------
    tasks : those of a project, or the one that the file is of; none if it does not say.
    labels : names of classes, in order.
    attributes : label → what annotators could say of its objects.
    joints : label of a skeleton → the names of its points, in order.
    of_project : whether the file is the export of a project.
    """

    tasks: tuple[Task, ...] = ()
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[Attribute, ...]] = field(default_factory=dict)
    joints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_project: bool = False


def read_meta(file: File, meta: Any) -> Meta:
    """Read the element ``meta``.

    Raises
    ------
    AnnotationError
        If a number, a size or a label is not valid.
    """

    def of(xml: Any) -> Element:
        return Element(file, xml)

    project = meta.find("project")
    if project is not None:
        tasks = [_task(of(xml), xml.find("source")) for xml in project.iterfind("tasks/task")]
        if not tasks:
            of(project).fail("has no tasks", hint="Export the task.")
        return Meta(tuple(_numbered_on(tasks)), *_labels(of, project), of_project=True)
    described = meta.find("task")
    if described is None:
        described = meta.find("job")
    # Files of 2020 have the source beside the task, jobs have the size there.
    source, size = meta.find("source"), meta.find("original_size")
    if described is None:
        video = _text(source)
        return Meta((Task(video=video),) if video or size is not None else ())
    if described.find("source") is not None:
        source = described.find("source")
    task = _task(of(described), source)
    if task.picture_shape is None and size is not None:
        task = replace(task, picture_shape=_size(of(size)))
    return Meta((task,), *_labels(of, described))


def _numbered_on(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks with the offset of each."""
    reached: dict[str | None, int] = {}
    made = []
    for task in tasks:
        offset = reached.get(task.subset, 0)
        made.append(replace(task, offset=offset))
        if task.frames is not None:
            own = task.frames.start + task.frames.step * task.size
            reached[task.subset] = offset + own
    return made


def _task(element: Element, source: Any) -> Task:
    xml = element.xml

    def said(name: str) -> str | None:
        return _text(xml.find(name))

    frames = _frames(element)
    shape, size = xml.find("original_size"), xml.find("size")
    n = 0 if frames is None else len(frames)
    return Task(
        str(xml.tag),
        said("id"),
        said("name"),
        said("subset"),
        said("created"),
        _text(source),
        said("mode") == "annotation",
        frames,
        n if size is None else Element(element.file, size).content(least=0),
        picture_shape=None if shape is None else _size(Element(element.file, shape)),
        jobs=tuple(_jobs(element, frames)) if frames is not None and xml.tag == "task" else (),
    )


def _jobs(element: Element, frames: range) -> Iterator[range]:
    """Yield the frames of each job; the file numbers those of a task from 0, without steps."""
    for segment in element.xml.iterfind("segments/segment"):
        rows = []
        for name in ("start", "stop"):
            xml = segment.find(name)
            if xml is not None:
                rows.append(Element(element.file, xml).content(least=0))
        if len(rows) == 2 and rows[0] <= rows[1] and rows[0] < len(frames):
            yield frames[rows[0] : rows[1] + 1]


def _frames(element: Element) -> range | None:
    first, last = (element.xml.find(name) for name in ("start_frame", "stop_frame"))
    if first is None or last is None:
        return None
    start = Element(element.file, first).content(least=0)
    stop = Element(element.file, last).content(least=0)
    if stop < start:
        Element(element.file, last).fail(f"stop_frame={stop} is before start_frame={start}")
    if stop > LARGEST_FRAME:
        Element(element.file, last).fail(
            f"stop_frame={stop} is beyond {LARGEST_FRAME}, which no video has"
        )
    return range(start, stop + 1, _step(element))


def _step(element: Element) -> int:
    """Return the step of a frame filter; 1 if there is no such element, or it is blank."""
    xml = element.xml.find("frame_filter")
    text = "" if xml is None else xml.text or ""
    if not text.strip():
        return 1
    match = _FRAME_FILTER.fullmatch(text)
    if not match or int(match[1]) < 1:
        Element(element.file, xml).fail(f"frame_filter {text!r} does not have the form step=N")
    return int(match[1])


def _size(element: Element) -> tuple[int, int]:
    height, width = element.xml.find("height"), element.xml.find("width")
    if height is None or width is None:
        element.fail("original_size lacks a width or a height")
    return (
        Element(element.file, height).content(least=1),
        Element(element.file, width).content(least=1),
    )


def _labels(
    of: Any, described: Any
) -> tuple[tuple[str, ...], dict[str, tuple[Attribute, ...]], dict[str, tuple[str, ...]]]:
    """Return the labels, their attributes, and the points of skeletons.

    A label with a parent is a point of a skeleton, and not a class of its own. What can be said of
    it is an attribute of the skeleton, ``point.attribute``.
    """
    labels: dict[str, None] = {}
    attributes: dict[str, list[Attribute]] = {}
    joints: dict[str, list[str]] = {}
    for xml in described.iterfind("labels/label"):
        name = nfc(xml.findtext("name") or "")
        if not name:
            of(xml).fail("a label has no name")
        parent = nfc(_text(xml.find("parent")) or "")
        found = [_attribute(of(each)) for each in xml.iterfind("attributes/attribute")]
        if parent:
            joints.setdefault(parent, []).append(name)
            found = [replace(each, name=f"{name}.{each.name}") for each in found]
        else:
            labels[name] = None
        attributes.setdefault(parent or name, []).extend(found)
    return (
        tuple(labels),
        {name: tuple(found) for name, found in attributes.items() if found},
        {name: tuple(dict.fromkeys(names)) for name, names in joints.items()},
    )


def _attribute(element: Element) -> Attribute:
    def said(name: str) -> str:
        return element.xml.findtext(name) or ""

    name, kind = said("name"), said("input_type").strip() or "text"
    if not name:
        element.fail("an attribute has no name")
    known = get_args(AttributeKind)
    if kind not in known:
        element.fail(f"input_type {kind!r} of attribute {name!r} is not one of {', '.join(known)}")
    values = tuple(filter(None, said("values").split("\n")))
    mutable = said("mutable").strip().lower() != "false"
    return Attribute(name, kind, values, said("default_value"), mutable)  # type: ignore[arg-type]


def _text(xml: Any) -> str | None:
    """Return an element's text; None if there is no such element, or it is blank."""
    return None if xml is None else (xml.text or "").strip() or None


def choose(file: File, meta: Meta, wanted: str | None, names: Sequence[str]) -> Task:
    """Return the task that annotations are of.

    Parameters
    ----------
    file, meta
        The file and its head.
    wanted
        Number or name of the task, as a user gives it; None if not given.
    names
        What the recording is called: the task is the only one whose name, or whose video, is one
        of these, or has one of them in it.

    Raises
    ------
    AnnotationError
        If the file has no such task, or several; with those that it has.
    """
    tasks = meta.tasks
    if wanted is not None:
        named = nfc(wanted).strip()
        by_number = [task for task in tasks if task.number == named]
        by_name = [task for task in tasks if task.name is not None and nfc(task.name) == named]
        found = by_number or by_name
        is_silent = not meta.of_project and all(
            task.kind == "job" or (task.number is None and task.name is None) for task in tasks
        )
        if len(found) != 1 and not is_silent:
            guess = did_you_mean(named, [task.name for task in tasks if task.name])
            raise AnnotationError(
                (f"has {len(found)} tasks {named!r}" if found else f"has no task {named!r}")
                + f"; it has {_listed(tasks)}"
                + (f"; {guess}" if guess else ""),
                path=file.path,
                hint="Set annotate.task to the number of one of these.",
            )
        if found:
            return found[0]
    if not tasks:
        return Task()
    if len(tasks) == 1:
        return tasks[0]
    fitting = next(
        (
            of
            for fits in (_is_called, _has_in_it)
            if (of := [task for task in tasks if any(fits(task, name) for name in names)])
        ),
        [],
    )
    if len(fitting) == 1:
        return fitting[0]
    problem = (
        f"{len(fitting)} of its tasks may be of {names[0]!r}: {_listed(fitting)}"
        if fitting
        else f"is the export of a project of {len(tasks)} tasks, {_listed(tasks)}"
        + (f"; none is called {names[0]!r}" if names else "")
    )
    raise AnnotationError(
        problem,
        path=file.path,
        hint="Set annotate.task, or the column annotate/task, to the number of this recording's.",
    )


def _called(task: Task) -> list[str]:
    return [nfc(nfc(said).casefold()) for said in (task.name, task.video) if said]


def _is_called(task: Task, name: str) -> bool:
    wanted = nfc(nfc(name).casefold())
    for called in _called(task):
        shorter = called
        while shorter:
            if shorter == wanted:
                return True
            stem, dot, suffix = shorter.rpartition(".")
            shorter = stem if dot and _SUFFIX.fullmatch(dot + suffix) else ""
    return False


def _has_in_it(task: Task, name: str) -> bool:
    wanted = _WORD.findall(nfc(nfc(name).casefold()))
    n = len(wanted)
    for called in _called(task):
        words = _WORD.findall(called)
        if n and any(words[k : k + n] == wanted for k in range(len(words) - n + 1)):
            return True
    return False


def _listed(tasks: Sequence[Task]) -> str:
    return listed((task.called for task in tasks), _MOST_NAMED)
