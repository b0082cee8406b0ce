"""What lies in a folder: files that evreel made, releases, label maps, all others."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from evreel.checks.finding import Finding, unreadable
from evreel.checks.neighbours import DAMAGE, File, id_of, kind_of
from evreel.layout import LABEL_MAP
from evreel.outputs import SCRATCH, Progress
from evreel.release.manifest import is_release


class Place(NamedTuple):
    """A file, and how findings name it."""

    place: Path
    path: str


class Folder:
    """A folder with all below it. Links to folders are counted, and not followed.

    Parameters
    ----------
    root, prefix
        The folder, and how findings name what is in it.
    parts
        Whether releases in it are kept apart.

    Attributes
    ----------
    files
        Those that evreel makes.
    maps
        Label maps.
    others
        All others.
    releases
        Folders of releases, each with the prefix of its files.
    findings
        What can't be looked into.
    """

    def __init__(self, root: Path, prefix: str = "", *, parts: bool = True) -> None:
        self.files: list[File] = []
        self.maps: list[Place] = []
        self.others: list[Place] = []
        self.releases: list[tuple[Path, str]] = []
        self.findings: list[Finding] = []
        waiting = [(root, prefix)]
        while waiting:
            folder, at = waiting.pop()
            if parts and is_release(folder):
                self.releases.append((folder, at))
                continue
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self.findings.append(unreadable(at or ".", f"can't be read: {error.strerror}"))
                continue
            for entry in entries:
                path = at + shown(entry.name)
                if not entry.is_dir(follow_symlinks=False):
                    self._take(Place(Path(entry.path), path))
                elif entry.name != SCRATCH:
                    waiting.append((Path(entry.path), path + "/"))
        self.files.sort(key=lambda file: file.path)
        self.others.sort(key=lambda other: other.path)

    def _take(self, place: Place) -> None:
        kind = kind_of(place.place)
        if kind is not None:
            name = place.place.name
            self.files.append(File(place.place, place.path, kind, id_of(name)))
        elif place.place.name == LABEL_MAP and is_file(place.place):
            self.maps.append(place)
        else:
            self.others.append(place)


def shown(name: str) -> str:
    """Return a file's name as one line that can be printed, whatever its bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_file(place: Path) -> bool:
    """Tell whether a path leads to a regular file."""
    try:
        return place.is_file()
    except OSError:  # links in a circle
        return False


def size_of(place: Path) -> int:
    """Return a file's bytes; 0 where it can't be looked at."""
    try:
        return place.stat().st_size
    except OSError:
        return 0


class Done:
    """Tells progress by the sizes of the files."""

    def __init__(self, places: Iterable[Path], progress: Progress) -> None:
        self._total = sum(map(size_of, places))
        self._done = 0
        self._progress = progress
        progress(0, self._total)

    def __call__(self, file: File | Place) -> None:
        """Say that a file is done."""
        self._done += size_of(file.place)
        self._progress(self._done, self._total)


class LabelMaps:
    """Label maps, of which the nearest at or above a file names its classes."""

    def __init__(self, maps: Iterable[Place]) -> None:
        self._named: dict[str, Collection[int]] = {}
        self.findings: list[Finding] = []
        for place, path in maps:
            try:
                value = json.loads(place.read_bytes())
                self._named[path.rpartition("/")[0]] = _numbers(value)
            except (*DAMAGE, RecursionError):
                problem = 'is no label map; {"0": "car", "1": "bus"} is the form'
                self.findings.append(unreadable(path, problem))

    def of(self, file: File) -> Collection[int] | None:
        """Return the classes that are named where a file lies; None where none are."""
        folder = file.folder
        while folder and folder not in self._named:
            folder = folder.rpartition("/")[0]
        return self._named.get(folder)


def _numbers(value: object) -> set[int]:
    """Return the classes that a label map names, or raise `ValueError` where it is none."""
    if not isinstance(value, dict) or not all(
        re.fullmatch("[0-9]{1,18}", number) and isinstance(name, str)
        for number, name in value.items()
    ):
        raise ValueError("is no label map")
    return set(map(int, value))
