"""Checking what evreel made, and auditing data sets that it did not make."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from evreel.checks import dataset, made
from evreel.checks.dataset import Member, Stored
from evreel.checks.event import Columns, LabelSpan
from evreel.checks.finding import Finding, Report, findings, placed, unreadable
from evreel.checks.made import BOXES, BOXES_SUFFIX, DAMAGE, LABEL_MAP, File, Head
from evreel.errors import EvreelError, LayoutError, ReleaseError, UnknownFormatError, UsageError
from evreel.io import event_chunks, open_recording
from evreel.io.manifest import LAYOUT, MANIFEST, Manifest, parse_manifest
from evreel.layout import EVENTS
from evreel.outputs import SCRATCH, Progress, silent

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_LISTS = (".txt", ".csv", ".tsv")
_HEADERS = ("id", "name", "file", "filename", "path", "recording", "sequence", "sample")
_PAPERS = ("", ".json", ".log", ".md", ".pdf", ".toml", ".txt", ".xml", ".yaml", ".yml")
"""Suffixes of what stands beside data, and may well be the same in two splits."""

_LEAST_TWIN_BYTES = 1024
"""Smaller files, such as lists without a line, are alike without harm."""

_MADE_KINDS = ("events", "features", "recording", "slices", "video")
"""Kinds of a release's files that every recording has; annotations and sidecars need not be."""

_LONGEST_LINE = 65_536
_PIECE_BYTES = 1 << 20


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check what evreel made.

    Parameters
    ----------
    path
        An events store, slices, a features file, boxes (``…_bbox.npy``), a release (told by its
        manifest), or any other folder, in which every such file and release is checked.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        Where the path is nothing that evreel made, or is not there.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=False)
    kind = made.kind_of(place)
    if kind is None:
        raise UsageError(
            "is no file that evreel made",
            path=place,
            hint="For recordings and data sets of others, use `evreel audit`.",
        )
    return _checked_file(place, kind, progress)


def audit(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, as far as checks apply.

    Parameters
    ----------
    path
        A file, or a folder: every recording that `evreel.io.open_recording` reads, boxes in
        ``…_bbox.npy``, lists of splits (``train.txt``, ``test_files.csv``, …: a name a line, or
        in the first column), folders ``train``, ``val`` and ``test``; and what evreel made.
        Links to folders are not followed.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first, and how many files could not be told.

    Raises
    ------
    UsageError
        Where the path is not there, or is a file that can't be told.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=True)
    kind = made.kind_of(place)
    if kind is not None:
        return _checked_file(place, kind, progress)
    walk = _Walk()
    walk.others.append(_Place(place, place.name))
    report = _checked_foreign(walk, progress)
    if not report.looked_at:
        raise UsageError(
            "is no recording that can be read, no boxes and no list of a split", path=place
        )
    return report


class _Place(NamedTuple):
    """A file, and how findings name it."""

    place: Path
    path: str


class _Walk:
    """What lies in a folder: files that evreel made, releases, all others."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.releases: list[tuple[Path, str, bytes]] = []
        self.others: list[_Place] = []
        self.findings: list[Finding] = []

    def enter(self, root: Path, prefix: str = "") -> None:
        """Take a folder with all below it. Links to folders are counted, and not followed."""
        manifest = _manifest_of(root)
        if manifest is not None:
            self.releases.append((root, prefix, manifest))
            return
        try:
            entries = sorted(os.scandir(root), key=lambda entry: entry.name)
        except OSError as error:
            self.findings += findings(
                "readable", prefix or ".", unreadable(f"can't be read: {error.strerror}")
            )
            return
        for entry in entries:
            path = prefix + _shown(entry.name)
            place = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if entry.name != SCRATCH:
                    self.enter(place, path + "/")
                continue
            kind = made.kind_of(place) if _is_file(place) else None
            if kind is None:
                self.others.append(_Place(place, path))
            else:
                self.files.append(File(place, path, kind, made.id_of(entry.name)))


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise UsageError("is not there", path=place)
    return place


def _shown(name: str) -> str:
    """Return a file's name as one line that can be printed, whatever its bytes."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:  # links in a circle
        return False


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:
        return 0


def _report(found: Iterable[Finding], looked_at: int, not_looked_at: int = 0) -> Report:
    return Report(tuple(sorted(set(found))), looked_at, not_looked_at)


def _checked_file(place: Path, kind: str, progress: Progress) -> Report:
    """Check one file that evreel made; those beside it say what is known of its recording."""
    file = File(place, place.name, kind, made.id_of(place.name))
    beside = place.with_name(f"{file.id}.h5")
    known = made.kind_of(beside) if beside != place and beside.exists() else None
    heads = [] if known is None else [made.read_head(File(beside, beside.name, known, file.id))]
    labels = _LabelMaps([_Place(place.with_name(LABEL_MAP), LABEL_MAP)])
    done = _Done([place], progress)
    found = list(made.check_files([file], heads, labels.of, lambda _: done(place)))
    # What is wrong with a neighbour is a finding of the neighbour.
    return _report([finding for finding in found if finding.path == file.path], 1)


class _Done:
    """Tells progress by the sizes of the files."""

    def __init__(self, places: Iterable[Path], progress: Progress) -> None:
        self._total = sum(map(_size, places))
        self._done = 0
        self._progress = progress
        progress(0, self._total)

    def __call__(self, place: Path) -> None:
        """Say that a file is done."""
        self._done += _size(place)
        self._progress(self._done, self._total)


class _LabelMaps:
    """The label maps of a folder: the nearest at or above a file names its classes."""

    def __init__(self, places: Iterable[_Place]) -> None:
        self._named: dict[str, Collection[int]] = {}
        self.findings: list[Finding] = []
        self.n = 0
        for place, path in places:
            if not _is_file(place):
                continue
            self.n += 1
            try:
                value = json.loads(place.read_bytes())
                self._named[path.rpartition("/")[0]] = {int(number) for number in value}
            except (*DAMAGE, RecursionError):
                problem = 'is no label map; {"0": "car", "1": "bus"} is the form'
                self.findings += findings("readable", path, unreadable(problem))

    def of(self, file: File) -> Collection[int] | None:
        """Return the classes that are named where a file lies; None where none are."""
        folder = file.folder
        while folder and folder not in self._named:
            folder = folder.rpartition("/")[0]
        return self._named.get(folder)


def _checked_folder(root: Path, progress: Progress, *, foreign: bool) -> Report:
    walk = _Walk()
    walk.enter(root)
    if foreign:
        return _checked_foreign(walk, progress)
    found = list(walk.findings)
    maps = _LabelMaps(other for other in walk.others if other.path.endswith(LABEL_MAP))
    releases = [_Release(*release) for release in walk.releases]
    done = _Done(_places(walk, releases), progress)
    found += made.check_files(walk.files, (), maps.of, lambda file: done(file.place))
    found += maps.findings
    for release in releases:
        found += release.check(done)
    looked_at = len(walk.files) + maps.n + sum(release.looked_at for release in releases)
    unknown = len(walk.others) - maps.n + sum(release.not_looked_at for release in releases)
    return _report(found, looked_at, unknown)


def _places(walk: _Walk, releases: Iterable[_Release]) -> list[Path]:
    files = [*walk.files, *(file for release in releases for file in release.files)]
    return [file.place for file in files]


def _manifest_of(root: Path) -> bytes | None:
    """Return a release's manifest, or what is left of it; None where a folder is no release."""
    try:
        data = (root / MANIFEST).read_bytes()
    except OSError:
        return None
    return data if f'"{LAYOUT}"'.encode() in data else None


class _Release:
    """A release's folder.

    Parameters
    ----------
    root, prefix
        The folder, and how findings name it.
    data
        Its manifest.
    """

    def __init__(self, root: Path, prefix: str, data: bytes) -> None:
        self._root = root
        self._prefix = prefix
        self._table = prefix + MANIFEST
        self._findings: list[Finding] = []
        self.files: list[File] = []
        self.looked_at = 1
        self.not_looked_at = 0
        manifest: Manifest | None = None
        try:
            manifest, problems = parse_manifest(data)
            for problem in problems:
                self._add("readable", self._table, problem)
        except (ReleaseError, *DAMAGE) as error:
            self._add("readable", self._table, *reversed(made.cut(error)))
        self._manifest = manifest or Manifest("", "", "", ())
        if manifest is None:
            return
        for listed in manifest.files:
            place, path = root / listed.path, prefix + listed.path
            name = PurePosixPath(listed.path).name
            if not _is_file(place):
                self.looked_at += 1
                self._add("readable", path, "is not there, and the manifest lists it")
                continue
            kind = made.kind_of(place)
            if kind is not None:
                self.files.append(File(place, path, kind, listed.id or made.id_of(name)))
            elif listed.kind in ("label_map", "split"):
                self.looked_at += 1
            else:
                self.not_looked_at += 1
        self.looked_at += len(self.files)

    def _add(self, name: str, path: str, problem: str, place: str = "") -> None:
        self._findings += findings(name, path, [(place, problem)])

    def check(self, done: _Done) -> list[Finding]:
        """Return all that is found in the release."""
        listed = self._manifest.files
        maps = _LabelMaps(
            _Place(self._root / file.path, self._prefix + file.path)
            for file in listed
            if file.kind == "label_map"
        )
        found = [*self._findings, *maps.findings]
        found += made.check_files(self.files, (), maps.of, lambda file: done(file.place))
        recordings = self._manifest.recordings
        lines = [
            Member(self._prefix + file.path, place, id_, PurePosixPath(file.path).stem)
            for file in listed
            if file.kind == "split"
            for place, id_ in _listed_names(self._root / file.path, found, file.path)
        ]
        members = [
            Member(self._table, f"recording {id_!r}", id_, row["split"])
            for id_, row in recordings.items()
            if row.get("split")
        ]
        members += lines
        members += [
            Member(self._prefix + file.path, "", file.id, file.split)
            for file in listed
            if file.id and file.split
        ]
        found += placed("split_recording", dataset.split_recording(members))
        found += placed("split_group", dataset.split_group(recordings, self._table))
        found += placed("split_bytes", dataset.split_bytes(self._stored()))
        ids = recordings or {file.id: {} for file in listed if file.id}
        found += placed("missing_file", dataset.missing_file(self._forms(), ids, self._table))
        named = [(self._prefix + file.path, "", file.id) for file in listed if file.id]
        named += [(line.path, line.place, line.id) for line in lines]
        found += placed("unknown_id", dataset.unknown_id(named, ids))
        found += placed("n_events", dataset.n_events(recordings, self._held()))
        return found

    def _stored(self) -> Iterator[Stored]:
        for id_, row in self._manifest.recordings.items():
            # One recording may serve two splits where each takes a time or a part of its own.
            whole = not any(key.startswith("events/") for key in row)
            if whole and row.get("md5") and row.get("split"):
                yield Stored(
                    self._table, f"recording {id_!r}", row["split"], f"md5:{row['md5'].lower()}"
                )
        for file in self._manifest.files:
            # Two recordings in which nothing is labelled have the same boxes.
            data = file.kind in _MADE_KINDS and not file.path.endswith(BOXES_SUFFIX)
            if data and file.split and file.kind != "video":
                yield Stored(self._prefix + file.path, "", file.split, file.sha256)

    def _forms(self) -> dict[str, set[str]]:
        forms: dict[str, set[str]] = {}
        for file in self._manifest.files:
            if file.kind in _MADE_KINDS and file.id:
                folder, _, name = file.path.rpartition("/")
                if file.split and folder.split("/")[0] == file.split:
                    folder = folder[len(file.split) + 1 :]
                suffix = name.removeprefix(file.id)
                if suffix != name:
                    form = f"{folder}/<id>{suffix}".lstrip("/")
                    forms.setdefault(form, set()).add(file.id)
        return forms

    def _held(self) -> dict[str, tuple[str, int, int]]:
        heads = (made.read_head(file) for file in self.files if file.kind == EVENTS.name)
        return {
            head.file.id: (head.file.path, head.n, head.left_out)
            for head in heads
            if head.n is not None
        }


def _checked_foreign(walk: _Walk, progress: Progress) -> Report:
    """Check a data set, whoever made it."""
    found = list(walk.findings)
    releases = [_Release(*release) for release in walk.releases]
    done = _Done([*_places(walk, releases), *(place for place, _ in walk.others)], progress)
    maps = _LabelMaps(other for other in walk.others if other.path.endswith(LABEL_MAP))
    found += maps.findings
    lists = [other for other in walk.others if _split_list(other.path)]
    told = {*lists, *(other for other in walk.others if other.path.endswith(LABEL_MAP))}
    found += _checked_lists(lists)

    heads: list[Head] = []
    unknown: list[_Place] = []
    boxes = [file for file in walk.files if file.kind == BOXES]
    for other in walk.others:
        if other not in told:
            head = _checked_recording(other, boxes, found)
            if head is None:
                unknown.append(other)
            else:
                heads.append(head)
        done(other.place)
    found += made.check_files(walk.files, heads, maps.of, lambda file: done(file.place))
    found += _checked_folders([*walk.others, *(_Place(f.place, f.path) for f in walk.files)])
    for release in releases:
        found += release.check(done)
    looked_at = len(walk.files) + len(walk.others) - len(unknown)
    looked_at += sum(release.looked_at for release in releases)
    not_looked_at = len(unknown) + sum(release.not_looked_at for release in releases)
    return _report(found, looked_at, not_looked_at)


def _checked_recording(other: _Place, boxes: Sequence[File], found: list[Finding]) -> Head | None:
    """Add what is found in a recording; return what it says of itself, None where it is none."""
    place, path = other
    file = File(place, path, "recording", made.id_of(place.name))
    if not _is_file(place):
        return None
    if not _size(place):
        if place.suffix in (*_PAPERS, *_LISTS):
            return None
        found += findings("readable", path, unreadable("is empty; copy or download it again"))
        return Head(file)
    try:
        recording = open_recording(place)
    except (UnknownFormatError, LayoutError):
        return None  # LayoutError: HDF5, and none of evreel's
    except (EvreelError, *DAMAGE) as error:
        found += findings("readable", path, unreadable(*reversed(made.cut(error))))
        return Head(file)
    rows = 0
    t_stop_us = 0

    def columns() -> Iterator[Columns]:
        nonlocal rows, t_stop_us
        for events in event_chunks(recording):
            if len(events):
                t, x, y, p = (getattr(events, name).astype("int64") for name in "txyp")
                yield Columns(rows, t, x, y, p)
                rows += len(events)
                t_stop_us = events.t_stop_us

    with recording:
        checks = made.event_checks(recording.sensor)
        checks |= _label_span(file, boxes, recording.t_offset)
        of_events = list(made.as_findings(path, lambda: made.run(path, columns(), checks)))
        damaged = any(finding.check == "readable" for finding in of_events)
        if not rows and not damaged:
            of_events += findings("readable", path, unreadable("holds no event"))
        found += of_events
        # Where the reader stopped at damage, the recording's end is not known.
        end = (None, None) if damaged else (t_stop_us, rows)
        return Head(file, recording.sensor, recording.t_offset, *end)


def _label_span(file: File, boxes: Sequence[File], t_offset: int) -> dict[str, LabelSpan]:
    """Return the check of how much of a recording its boxes cover, where it has any."""
    named = [other for other in boxes if other.id == file.id]
    near = [other for other in named if other.folder == file.folder] or named
    if len(near) != 1:
        return {}
    try:
        t = made.since_start(made.read_boxes(near[0].place), t_offset).t
    except EvreelError:
        return {}  # a finding of the boxes
    return {"label_span": LabelSpan(int(t.min()), int(t.max()))} if len(t) else {}


def _split_list(path: str) -> tuple[str, str] | None:
    """Return the split that a list is named after, and what else is in its path; None for others.

    Examples
    --------
    >>> _split_list("lists/train_day1.txt"), _split_list("lists/valid-day1.txt")
    (('train', 'lists/_day1.txt'), ('val', 'lists/-day1.txt'))
    >>> _split_list("training_log.md") is None, _split_list("latest.txt") is None
    (True, True)
    """
    folder, _, name = path.rpartition("/")
    suffix = PurePosixPath(name).suffix
    tokens = re.split(r"([._ -])", name.removesuffix(suffix))
    splits = [k for k, token in enumerate(tokens) if token.lower() in _SPLITS]
    if suffix.lower() not in _LISTS or len(splits) != 1:
        return None
    split = _SPLITS[tokens.pop(splits[0]).lower()]
    return split, f"{folder}/{''.join(tokens)}{suffix}"


def _checked_lists(lists: Sequence[_Place]) -> Iterator[Finding]:
    """Yield which names are in the lists of two splits; only lists named alike belong together."""
    sets: dict[str, list[Member]] = {}
    for place, path in lists:
        named = _split_list(path)
        found: list[Finding] = []
        if named is not None:
            split, rest = named
            sets.setdefault(rest, []).extend(
                Member(path, at, id_, split) for at, id_ in _listed_names(place, found, path)
            )
        yield from found
    for members in sets.values():
        yield from placed("split_recording", dataset.split_recording(members))


def _listed_names(place: Path, found: list[Finding], path: str) -> Iterator[tuple[str, str]]:
    """Yield line and name of each recording that a split's list names."""
    comma = place.suffix.lower() == ".csv"
    try:
        with place.open(encoding="utf-8-sig") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE:
                    raise ValueError(f"line {number} has more than {_LONGEST_LINE} characters")
                cells = next(csv.reader([line]), [""]) if comma else line.split("\t")
                name = cells[0].strip() if cells else ""
                header = number == 1 and name.lower() in _HEADERS
                if name and not header and not name.startswith("#"):
                    yield f"line {number}", name
    except (OSError, ValueError, csv.Error) as error:
        problem = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        found += findings("readable", path, unreadable(f"is no list of names: {problem}"))


def _checked_folders(places: Sequence[_Place]) -> Iterator[Finding]:
    """Yield which files are in the folders of two splits, by name or by bytes."""
    sets: dict[str, list[tuple[_Place, str, str]]] = {}
    for other in places:
        folders = other.path.split("/")[:-1]
        at = next((k for k, folder in enumerate(folders) if folder.lower() in _SPLITS), None)
        if at is None or Path(other.path).suffix.lower() in _PAPERS:
            continue
        below = "/".join([*folders[at + 1 :], made.id_of(other.place.name)])
        key = "/".join(folders[:at])
        sets.setdefault(key, []).append((other, _SPLITS[folders[at].lower()], below))
    for files in sets.values():
        names = [Member(other.path, "", below, split) for other, split, below in files]
        yield from placed("split_name", dataset.split_name(names))
        yield from placed("split_bytes", dataset.split_bytes(_twins(files)))


def _twins(files: Sequence[tuple[_Place, str, str]]) -> Iterator[Stored]:
    """Yield files with their digests, as far as another split has one of the same size."""
    splits: dict[int, set[str]] = {}
    sizes = {other.path: _size(other.place) for other, _, _ in files if _is_file(other.place)}
    for other, split, _ in files:
        splits.setdefault(sizes.get(other.path, 0), set()).add(split)
    for other, split, _ in files:
        size = sizes.get(other.path, 0)
        if size >= _LEAST_TWIN_BYTES and len(splits[size]) > 1:
            try:
                with other.place.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                continue  # a finding of the file itself, where it is one to read
            yield Stored(other.path, "", split, digest)
