"""The local files of a data set: found to be what the table says, before anything runs."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from evreel import __version__
from evreel.acquire import check_md5, read_source
from evreel.dataset.config import FILES, stop_at
from evreel.dataset.dataset import DataSet
from evreel.dataset.memory import Memory
from evreel.errors import EvreelError, SourceError
from evreel.provenance import STEP_REVISIONS, canonical_json, state
from evreel.samples.cut import check_labels
from evreel.samples.intervals import read_intervals, read_shared_intervals
from evreel.text import nfc, read_list

XMLS = ("rois", "tags")
"""Columns with CVAT XML."""

_WORD = re.compile(r"[^\W_]+")
_FOLDER = re.compile(r"[/\\]")
_MOST_WORDS = 40
"""So many words of a name are compared with the names of recordings."""
_LEAST_TELLING = 3
"""A shorter id may be in any name by chance, as may one without letters."""
_USUAL = frozenset(
    ("train", "val", "test", "frame", "frames", "image", "images", "picture", "video", "task")
)
"""Words that names have for other reasons, though a recording may be called so, too."""


class Origin(NamedTuple):
    """What a CVAT XML says of its own origin; empty where it says nothing.

    Parameters
    ----------
    video, task
        Names of the video and of the task.
    task_id
        Distinguishes the task from all others: its number, and when it was created.
    first, last
        Its frames.
    folders
        The folders that its pictures are in.
    called
        The words that all its pictures have in their names, unless CVAT chose these.
    """

    video: str = ""
    task: str = ""
    task_id: str = ""
    first: int = 0
    last: int = -1
    folders: tuple[str, ...] = ()
    called: str = ""


class Xml(NamedTuple):
    """An XML that the recordings table names: where, its digest, and its origin."""

    id: str
    line: int
    column: str
    path: str
    sha256: str
    origin: Origin


def check_inputs(dataset: DataSet, memory: Memory) -> list[str]:
    """Check the local files that a data set names, and what they say of each other.

    Recordings are not read: the step that acquires them does that.

    Parameters
    ----------
    dataset
        What config and table say.
    memory
        What is known of the files: what did not change is not read again.

    Returns
    -------
    What cannot be decided, as warnings.

    Raises
    ------
    UsageError
        With a line for each mistake: a file that does not have the MD5 that the table states, or
        is not what its column takes; a label that is not listed; an XML, or boxes, of another
        recording, or of two.
    """
    told: list[tuple[int, str]] = []
    xmls: list[Xml] = []
    boxes: dict[str, list[str]] = defaultdict(list)
    for row in dataset.recordings.values():
        path = read_source(row["source"]).path
        if path is not None:  # `changed_source` asks for those that a job needs
            memory.keep(path)
            memory.fact(_seen(path))
    for id_, row in dataset.recordings.items():
        for column in FILES[1:]:
            if column not in row or row[column].startswith("!"):
                continue
            try:
                _check_md5(row, column, memory)
                if column in XMLS:
                    xmls.append(_checked_xml(dataset, memory, id_, column))
                elif column == "boxes":
                    if _check_boxes(dataset, memory, id_):
                        boxes[memory.digests(row[column]).sha256].append(id_)
                elif column == "samples":
                    _check_intervals(dataset, memory, id_)
            except EvreelError as error:
                told.append((dataset.lines[id_], f"{column}: {error}"))
    told += _of_two_recordings(xmls)
    others, doubts = _of_others(xmls, _Names(dataset))
    told += others
    doubts += _shared_boxes(dataset, boxes.values())
    table = dataset.config.recordings
    stop_at(
        [
            *(f"{table}: line {line}: {problem}" for line, problem in sorted(told)),
            *_shared_tables(dataset, memory),
            *_lists(dataset),
        ]
    )
    return [f"{table}: {doubt}" for doubt in doubts]


def changed_source(acquired: str | Path, wanted: Mapping[str, Any], memory: Memory) -> str | None:
    """Return the sums of a local source that is no longer what was verified, None if it is.

    Sources may be large: one is read again only if it changed after it was verified, or is another
    file than the last time. One that was moved or copied since then looks changed; it is read once.

    Parameters
    ----------
    acquired
        What was made of the source when it was verified.
    wanted
        Its `source`, `md5` and `sha256`, as `evreel.steps.acquire` takes them.
    memory
        What is known of files.
    """
    source = read_source(wanted["source"])
    if source.path is None or source.members:  # a download, or made by another job
        return None
    key = _seen(source.path)
    try:
        now = state(source.path)
        verified_ns = Path(acquired).lstat().st_mtime_ns if os.path.lexists(acquired) else None
        # A folder or link on the way may lead to another file that has been there for long.
        is_as_seen = memory.fact(key) in (None, now)
        if verified_ns is not None and not (is_as_seen and max(now[1:3]) < verified_ns):
            found = memory.digests(source.path)
            stated = [(wanted[name], getattr(found, name)) for name in ("md5", "sha256")]
            if any(digest and digest.lower() != is_now for digest, is_now in stated):
                return f"md5 {found.md5}, sha256 {found.sha256}"
    except (OSError, SourceError):  # the job says what is wrong
        return None
    memory.learn(key, now)
    return None


def _seen(path: Path) -> str:
    """Return the key of the state that a source was last seen in, while it was the right one."""
    return f"state of {path}"


def _check_md5(row: Mapping[str, str], column: str, memory: Memory) -> None:
    found, md5 = memory.digests(row[column]), row.get(f"{column}_md5")
    if md5 is not None and found.md5 != md5.lower():
        check_md5(row[column], md5)


def _known(memory: Memory, found: Callable[[], Any], *parts: Any) -> Any:
    """Return what follows from the parts alone: found once, then remembered."""
    made_by = [__version__, *STEP_REVISIONS.values()]
    key = hashlib.sha256(canonical_json([*made_by, *parts]).encode()).hexdigest()
    fact = memory.fact(key)
    if fact is None:
        fact = found()
        memory.learn(key, fact)
    return fact


def _checked_xml(dataset: DataSet, memory: Memory, id_: str, column: str) -> Xml:
    path, labels = dataset.recordings[id_][column], dataset.labels()
    sha256 = memory.digests(path).sha256
    settings = dataset.settings(id_).annotate
    has_tags = "tags" in dataset.recordings[id_]

    def found() -> tuple[Any, ...]:
        from evreel.annotations.cvat import is_frame_of_video, read_cvat
        from evreel.annotations.regions import check_within
        from evreel.annotations.shapes import relabel

        read = read_cvat(
            path,
            unsupported=settings.unsupported,
            invalid=settings.invalid,
            tags_only=column == "tags",
        )
        # As the step reads it: where there are tags, those of the regions' file do not count.
        relabel(replace(read, tags=()) if column == "rois" and has_tags else read, labels)
        if not settings.clip:
            check_within(read)
        paths = [_FOLDER.split(name) for name in read.pictures.values()]
        files = [_words(Path(path[-1]).stem) for path in paths if not is_frame_of_video(path[-1])]
        common = [
            word
            for word in (files or [[]])[0]
            if not word.isdigit() and all(word in other for other in files)
        ]
        frames = read.task or read.frames or range(0)
        return Origin(
            read.video or "",
            read.task_name or "",
            f"{read.task_id}, {read.task_name}, {read.created}"
            if read.task_id and read.created
            else "",
            min(frames, default=0),
            max(frames, default=-1),
            tuple(sorted({folder for path in paths for folder in path[:-1] if folder})),
            " ".join(common),
        )

    origin = _known(memory, found, column, has_tags, sha256, settings.plain(), labels)
    return Xml(id_, dataset.lines[id_], column, path, sha256, Origin(*origin))


def _check_boxes(dataset: DataSet, memory: Memory, id_: str) -> int:
    """Return how many boxes there are; raise if they are not valid."""
    row, labels = dataset.recordings[id_], dataset.labels()
    path, settings = row["boxes"], dataset.settings(id_).boxes

    def found() -> int:
        from evreel.events import Sensor
        from evreel.files.boxes import (
            boxes_within,
            check_classes,
            read_published_boxes,
            valid_boxes,
        )

        boxes = read_published_boxes(path)
        check_classes(boxes, path, len(labels))
        boxes, _ = valid_boxes(boxes, path, drop=settings.invalid == "drop")
        if settings.outside == "error":
            boxes_within(boxes, path, Sensor.parse(row["sensor"]) if "sensor" in row else None)
        return len(boxes)

    parts = (settings.plain(), row.get("sensor"), labels)
    n: int = _known(memory, found, "boxes", memory.digests(path).sha256, *parts)
    return n


def _check_intervals(dataset: DataSet, memory: Memory, id_: str) -> None:
    cutting, path = dataset.cutting(id_), dataset.recordings[id_]["samples"]
    if cutting is None:
        return
    recording = id_ if cutting.columns.recording is not None else None
    labels = dataset.labels()

    def found() -> int:
        rows = read_intervals(path, cutting.columns, unit=cutting.unit, recording=recording)
        check_labels(rows, cutting.classes, labels, path)
        return len(rows)

    _known(memory, found, memory.digests(path).sha256, cutting.plain(), recording, labels)


def _shared_tables(dataset: DataSet, memory: Memory) -> Iterator[str]:
    """Yield what is wrong with tables of intervals for several recordings, each read once."""
    ids: dict[str, list[str]] = defaultdict(list)
    for id_ in dataset.cut:
        cutting = dataset.cutting(id_)
        if cutting is not None and cutting.table is not None:
            ids[canonical_json(cutting.plain())].append(id_)
    labels = dataset.labels()
    for said, of_table in ids.items():
        cutting = dataset.cutting(of_table[0])
        assert cutting is not None and cutting.table is not None
        path = cutting.table

        def found(cutting: Any = cutting, of_table: list[str] = of_table) -> int:
            rows = read_shared_intervals(
                cutting.table, cutting.columns, of_table, unit=cutting.unit
            )
            for of_one in rows.values():
                check_labels(of_one, cutting.classes, labels, cutting.table)
            return len(rows)

        try:
            _known(memory, found, memory.digests(path).sha256, said, of_table, labels)
        except EvreelError as error:
            yield f"samples/table: {error}"


def _lists(dataset: DataSet) -> Iterator[str]:
    """Yield what is wrong with the lists of splits."""
    for split, file in dataset.split_lists.items():
        source = read_source(file)
        try:
            if source.path is not None and not source.members:
                read_list(source.path)
        except EvreelError as error:
            yield f"samples/split/files/{split}: {error}"


def _of_two_recordings(xmls: Iterable[Xml]) -> Iterator[tuple[int, str]]:
    """Yield (line, problem) of an XML, or of two exports of a task, for two recordings."""
    first: dict[str, Xml] = {}
    of_task: dict[str, list[Xml]] = defaultdict(list)
    for xml in xmls:
        same = first.setdefault(xml.sha256, xml)
        name, task = Path(xml.path).name, xml.origin.task_id
        if same.id != xml.id:
            yield (
                xml.line,
                f"{xml.column}: {name} has the same bytes as {same.column} of {same.id!r} in line "
                f"{same.line}; an XML belongs to one recording. Export that of {xml.id!r}",
            )
        elif task:
            for other in of_task[task]:
                overlap = xml.origin.first <= other.origin.last and (
                    other.origin.first <= xml.origin.last
                )
                if other.id != xml.id and overlap:
                    yield (
                        xml.line,
                        f"{xml.column}: {name} is an export of the same task ({xml.origin.task!r}) "
                        f"as {other.column} of {other.id!r} in line {other.line}, and of the same "
                        f"frames. Export the task of {xml.id!r}",
                    )
                    break
            of_task[task].append(xml)


def _shared_boxes(dataset: DataSet, sharing: Iterable[list[str]]) -> list[str]:
    """Return a doubt if the boxes of different recordings are equal."""
    rows = dataset.recordings
    found = [
        (ids[0], other)
        for ids in sharing
        for other in ids[1:]
        if _recording(rows[other]) != _recording(rows[ids[0]])
    ]
    if not found:
        return []
    first, other = found[0]
    more = f"; {len(found) - 1} more" if len(found) > 1 else ""
    return [
        f"line {dataset.lines[other]}: boxes: {Path(rows[other]['boxes']).name} has the same bytes "
        f"as boxes of {first!r} in line {dataset.lines[first]}: is it of {other!r}?{more}"
    ]


def _recording(row: Mapping[str, str]) -> tuple[str, str, tuple[str, ...]]:
    members = read_source(row["source"]).members
    return row.get("md5", "").lower(), row.get("sha256", "").lower(), members


class _Said(NamedTuple):
    """What an XML says of its recording.

    Parameters
    ----------
    ids : the recordings that it may mean.
    saying : where, and in which words.
    exact : whether these are a recording's name, and do not only contain it.
    telling : whether that name is seldom in a name by chance.
    """

    ids: frozenset[str]
    saying: str
    exact: bool
    telling: bool


class _Names:
    """Which recordings a name may mean: their ids, and the names of their files."""

    def __init__(self, dataset: DataSet) -> None:
        self.lines = dataset.lines
        self._ids: dict[str, set[str]] = defaultdict(set)
        self._sources: dict[str, set[str]] = defaultdict(set)
        self._joined: dict[str, set[str]] = defaultdict(set)
        for id_, row in dataset.recordings.items():
            source = Path(read_source(row["source"]).name).stem
            self._ids[_plain(id_)].add(id_)
            self._sources[_plain(source)].add(id_)
            for name in (id_, source):
                self._joined["".join(_words(name))].add(id_)
        self._joined.pop("", None)

    def said(self, xml: Xml) -> _Said | None:
        """Return what an XML says; None if it does not say one recording.

        The name of the video says more than that of the task, and a whole name more than a part of
        one; the names of pictures and their folders, which people choose freely, say least.
        """
        origin = xml.origin
        video = _FOLDER.split(origin.video)[-1]
        names = (("its video is", video, origin.video), ("its task is", origin.task, origin.task))
        for what, name, shown in names:
            ids = self._exactly(name)
            if ids and (xml.id not in ids or len(ids) == 1):
                return _Said(ids, f"{what} {shown!r}", exact=True, telling=True)
        parts = [*names]
        parts += [("its pictures are in folder", name, name) for name in origin.folders]
        parts.append(("its pictures are called", origin.called, f"…{origin.called}…"))
        found = [
            said._replace(saying=f"{what} {shown!r}")
            for what, name, shown in parts
            if (said := self._within(name, xml.id)) is not None
        ]
        own = next((said for said in found if said.ids == {xml.id}), None)
        return own or next(iter(found), None)

    def _exactly(self, name: str) -> frozenset[str]:
        """Return the recordings of a name, with or without its suffixes."""
        name = _plain(name)
        while name:
            ids = self._ids.get(name) or self._sources.get(name)
            if ids:
                return frozenset(ids)
            name = name.rpartition(".")[0]
        return frozenset()

    def _within(self, name: str, own: str) -> _Said | None:
        """Return the recording whose name is in another one; None if that is none, or several."""
        words = _words(name)[:_MOST_WORDS]
        spans = {
            (start, stop): joined
            for start in range(len(words))
            for stop in range(start + 1, len(words) + 1)
            if (joined := "".join(words[start:stop])) in self._joined
        }
        if not spans:
            return None
        (start, stop), longest = max(spans.items(), key=lambda item: len(item[1]))
        ids = self._joined[longest]
        elsewhere = any(
            own in self._joined[joined]
            for (first, last), joined in spans.items()
            if first < start or last > stop
        )
        if elsewhere or (own in ids and len(ids) > 1):
            return None
        telling = (
            len(longest) >= _LEAST_TELLING
            and not longest.isdigit()
            and longest not in _USUAL
            # A recording may be called park_1 in CVAT, and park_01 here.
            and not "".join(_words(own)).startswith(longest)
        )
        whole = telling and stop - start == len(words)
        return _Said(frozenset(ids), "", exact=whole, telling=telling)


def _of_others(xmls: Sequence[Xml], names: _Names) -> tuple[list[tuple[int, str]], list[str]]:
    """Return (line, problem) of each XML of another recording, and what cannot be decided.

    A name that only contains that of another recording is a mistake if it may belong there: if no
    XML of that recording says that it is its own.
    """
    said = [(xml, names.said(xml)) for xml in xmls]
    settled = {xml.id for xml, of in said if of is not None and of.ids == {xml.id}}
    told: list[tuple[int, str]] = []
    suspects: list[tuple[int, str]] = []
    silent: list[Xml] = []
    for xml, of in said:
        if of is None:
            silent.append(xml)
        elif xml.id not in of.ids:
            other = min(of.ids, key=lambda id_: names.lines[id_])
            place = f"{xml.column}: {Path(xml.path).name}: {of.saying}"
            named = f"recording {other!r} in line {names.lines[other]}"
            if of.exact or (of.telling and other not in settled):
                verb = "is" if of.exact else "names"
                told.append(
                    (
                        xml.line,
                        f"{place}, which {verb} {named}. Name the XML of this recording; are two "
                        "rows interchanged?",
                    )
                )
            else:
                suspects.append((xml.line, f"{place}, which may mean {named}, not {xml.id!r}"))
    doubts = [
        f"line {line}: {doubt}" + (f"; {len(suspects) - 1} more" if len(suspects) > 1 else "")
        for line, doubt in suspects[:1]
    ]
    return told, [*doubts, *([_doubt(silent)] if silent else [])]


def _plain(name: str) -> str:
    return nfc(nfc(name).casefold())


def _words(name: str) -> list[str]:
    return _WORD.findall(_plain(name))


def _doubt(xmls: list[Xml]) -> str:
    first = xmls[0]
    says = [f"video {first.origin.video!r}", f"task {first.origin.task!r}"]
    said = " and ".join(name for name in says if not name.endswith(" ''"))
    more = f"; {len(xmls) - 1} more" if len(xmls) > 1 else ""
    return (
        f"line {first.line}: {first.column}: {Path(first.path).name} does not say that it is of "
        f"{first.id!r}" + (f", but of {said}" if said else "") + more
    )
