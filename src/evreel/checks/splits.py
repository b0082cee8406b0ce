"""Lists and folders that are named after splits, and what two of them share."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from evreel.checks.dataset import Member, Stored, split_bytes, split_name, split_recording
from evreel.checks.finding import Finding
from evreel.checks.inventory import Entry, id_of
from evreel.checks.registry import findings, unreadable

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
LISTS = (".txt", ".csv", ".tsv")
_HEADERS = ("id", "name", "file", "filename", "path", "recording", "sequence", "sample")
PAPERS = ("", ".json", ".log", ".md", ".pdf", ".toml", ".txt", ".xml", ".yaml", ".yml")
"""Suffixes of files that accompany data, and may well be the same in two splits."""

_LEAST_TWIN_BYTES = 1024
"""Smaller files, such as empty lists, may be alike without harm."""

_LONGEST_LINE = 65_536


def split_of(name: str) -> tuple[str, str] | None:
    """Return the split that one word of a name names, and the other words; else None.

    Examples
    --------
    >>> split_of("train_day1"), split_of("dsec-Valid"), split_of("training2") is None
    (('train', '_day1'), ('val', 'dsec-'), True)
    """
    words = re.split(r"([._ -])", name)
    splits = [k for k, word in enumerate(words) if word.lower() in _SPLITS]
    if len(splits) != 1:
        return None
    split = _SPLITS[words.pop(splits[0]).lower()]
    return split, "".join(words)


def split_list(path: str) -> tuple[str, str] | None:
    """Return the split that a list is named after, and the rest of its path; else None.

    Examples
    --------
    >>> split_list("lists/train_day1.txt"), split_list("lists/valid-day1.txt")
    (('train', 'lists/_day1.txt'), ('val', 'lists/-day1.txt'))
    >>> split_list("training_log.md") is None, split_list("latest.txt") is None
    (True, True)
    """
    folder, _, name = path.rpartition("/")
    suffix = PurePosixPath(name).suffix
    named = split_of(name.removesuffix(suffix))
    if suffix.lower() not in LISTS or named is None:
        return None
    return named[0], f"{folder}/{named[1]}{suffix}"


def checked_lists(lists: Sequence[Entry]) -> Iterator[Finding]:
    """Yield names that are in the lists of two splits; only lists named alike belong together."""
    sets: dict[str, list[Member]] = {}
    for list_ in lists:
        named = split_list(list_.path)
        found: list[Finding] = []
        if named is not None:
            split, rest = named
            sets.setdefault(rest, []).extend(
                Member(list_.path, at, id_, split) for at, id_ in listed_names(list_, found)
            )
        yield from found
    for members in sets.values():
        yield from findings(split_recording, members)
        yield from findings(split_name, _by_stem(members))


def _by_stem(members: Sequence[Member]) -> Iterator[Member]:
    """Yield members whose name is in only one split, renamed without folder and suffix.

    A folder is kept unless another list names the recording without any.
    """
    splits: dict[str, set[str]] = {}
    for member in members:
        splits.setdefault(member.id, set()).add(member.split)
    bare = {id_of(member.id) for member in members if "/" not in member.id}
    for member in members:
        if len(splits[member.id]) == 1:
            *folders, name = member.id.split("/")
            stem = id_of(name)
            folders = [folder for folder in folders if folder != "." and not split_of(folder)]
            yield member._replace(id=stem if stem in bare else "/".join([*folders, stem]))


def listed_names(list_: Entry, found: list[Finding]) -> Iterator[tuple[str, str]]:
    """Yield line and name of each recording in a split's list."""
    comma = list_.location.suffix.lower() == ".csv"
    spaces = False
    try:
        with list_.location.open(encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise ValueError(f"line {number} has more than {_LONGEST_LINE} characters")
                cells = next(csv.reader([line]), [""]) if comma else line.split("\t")
                name = cells[0].strip() if cells else ""
                if number == 1 and re.fullmatch(
                    rf"({'|'.join(_HEADERS)})( +[a-z_]+)*", name.lower()
                ):
                    spaces = " " in name
                elif name and not name.startswith("#"):
                    yield f"line {number}", name.split()[0] if spaces else name
    except (OSError, ValueError, csv.Error) as error:
        problem = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        found.append(unreadable(list_.path, f"is not a list of names: {problem}"))


def checked_folders(files: Sequence[Entry]) -> Iterator[Finding]:
    """Yield files that are in the folders of two splits, by name or by bytes."""
    sets: dict[str, list[tuple[Entry, str, str]]] = {}
    for file in files:
        *folders, name = file.path.split("/")
        named = ((k, split_of(folder)) for k, folder in enumerate(folders))
        at, split = next((pair for pair in named if pair[1]), (0, None))
        if split is None or PurePosixPath(name).suffix.lower() in PAPERS:
            continue
        below = "/".join([*folders[at + 1 :], id_of(name)])
        key = "/".join([*folders[:at], split[1]])
        sets.setdefault(key, []).append((file, split[0], below))
    for of_one in sets.values():
        members = [Member(file.path, "", below, split) for file, split, below in of_one]
        yield from findings(split_name, members)
        yield from findings(split_bytes, _twins([(file, split) for file, split, _ in of_one]))


def _twins(files: Sequence[tuple[Entry, str]]) -> Iterator[Stored]:
    """Yield files with their digests, if another split has a file of the same size."""
    sizes = {file.path: file.size if file.is_file else 0 for file, _ in files}
    splits: dict[int, set[str]] = {}
    for file, split in files:
        splits.setdefault(sizes[file.path], set()).add(split)
    for file, split in files:
        size = sizes[file.path]
        if size >= _LEAST_TWIN_BYTES and len(splits[size]) > 1:
            try:
                with file.location.open("rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
            except OSError:
                continue  # the file's own findings say why, if it is one to read
            yield Stored(file.path, "", split, digest)
