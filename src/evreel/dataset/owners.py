"""Whose a CVAT XML is: what it says of its origin, against the rows of the recordings table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evreel.dataset.dataset import DataSet
from evreel.text import nfc

if TYPE_CHECKING:
    from evreel.annotations.shapes import Annotations

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


_SHARES = (1, 1)
"""Size of pictures of which coordinates are shares, as YOLO has them."""


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
    of_project
        Which task of a project it is; empty if the file is not a project's.
    folders
        The folders that its pictures are in.
    called
        The words that all its pictures have in their names, unless CVAT chose these.
    size
        (height, width) of its pictures.
    by_number
        Whether its frames are those of the video by their numbers alone.
    """

    video: str = ""
    task: str = ""
    task_id: str = ""
    first: int = 0
    last: int = -1
    of_project: str = ""
    folders: tuple[str, ...] = ()
    called: str = ""
    size: tuple[int, ...] = ()
    by_number: bool = False


class Xml(NamedTuple):
    """An XML that the recordings table names: where, its digest, and its origin."""

    id: str
    line: int
    column: str
    path: str
    sha256: str
    origin: Origin


def origin_of(read: Annotations) -> Origin:
    """Return what a file says of its own origin."""
    from evreel.annotations.cvat import is_frame_of_video

    paths = [_FOLDER.split(name) for name in read.pictures.values()]
    files = [_words(Path(path[-1]).stem) for path in paths if not is_frame_of_video(path[-1])]
    common = [
        word
        for word in (files or [[]])[0]
        if not word.isdigit() and all(word in other for other in files)
    ]
    frames = read.task or read.frames or range(0)
    is_one = read.task_id and read.created
    return Origin(
        read.video or "",
        read.task_name or "",
        f"{read.task_id}, {read.task_name}, {read.created}" if is_one else "",
        frames[0] if frames else 0,
        frames[-1] if frames else -1,
        read.of_project,
        tuple(sorted({folder for path in paths for folder in path[:-1] if folder})),
        " ".join(common),
        () if read.picture_shape in (None, _SHARES) else tuple(read.picture_shape),
        not read.of_images and all(is_frame_of_video(name[-1]) for name in paths),
    )


def misplaced(xmls: Sequence[Xml], dataset: DataSet) -> tuple[list[tuple[int, str]], list[str]]:
    """Find XMLs of other recordings than their row's.

    Returns
    -------
    (line, problem) of each that is of another, or of two; and what cannot be decided.
    """
    others, doubts = _of_others(xmls, _Names(dataset))
    return [*_of_two_recordings(xmls), *others], doubts


def _of_two_recordings(xmls: Iterable[Xml]) -> Iterator[tuple[int, str]]:
    """Yield (line, problem) of an XML, or of two exports of a task, for two recordings."""
    first: dict[tuple[str, str], Xml] = {}
    of_task: dict[str, list[Xml]] = defaultdict(list)
    for xml in xmls:
        name, task = Path(xml.path).name, xml.origin.task_id
        # The export of a project has the tasks of several recordings.
        same = first.setdefault((xml.sha256, xml.origin.of_project), xml)
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
        for id_ in dataset.recordings:
            _, source = dataset.names(id_)
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
