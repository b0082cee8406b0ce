"""A release's tables: the plan of what goes in, and the manifest and checksums of what is in.

The plan is a TSV that people and workflows write. ``manifest.json`` says what is known of each
recording, and lists every file of a release except itself and the two files of checksums, with
size, MD5 and SHA-256. ``MD5SUMS`` and ``SHA256SUMS`` list every file except themselves, so also the
manifest: ``md5sum -c`` and ``sha256sum -c`` check a release without evreel, and if the three
disagree, they show which one is wrong.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from evreel import __version__
from evreel.errors import ReleaseError
from evreel.layout import BOXES_SUFFIX
from evreel.text import counted, is_reserved, listed

MANIFEST = "manifest.json"
LAYOUT = "evreel-release"
LAYOUT_VERSION = 3
REASON = "reason"
"""Key that says why a recording is missing."""
PLAN_COLUMNS = ("path", "source", "kind", "id", "split")

Algorithm = Literal["md5", "sha256"]
SUMS: Mapping[Algorithm, str] = {"md5": "MD5SUMS", "sha256": "SHA256SUMS"}
_DIGEST = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_NAME_BYTES = 255
"""Longest name of a file that Linux's and macOS's file systems take."""


@dataclass(frozen=True)
class PlanEntry:
    """A file that goes into a release.

    Parameters
    ----------
    path
        Path in the release, with ``/`` between folders: ``train/histogram_10ms/street.h5``.
    source
        The file to put there; a relative path starts at the working directory, as in the table
        of recordings.
    kind
        What it is, such as ``events``, ``features``, ``recording``; empty if not stated.
    id
        The recording it belongs to, or empty.
    split
        The split that the recording is in, such as ``train``, or empty.
    line
        Line of the plan's table, for messages.
    """

    path: str
    source: Path
    kind: str = ""
    id: str = ""
    split: str = ""
    line: int | None = None

    @property
    def place(self) -> str:
        """Its place in the plan, as messages name it."""
        return repr(self.path) if self.line is None else f"line {self.line}"


@dataclass(frozen=True)
class ListedFile:
    """A file of a release.

    Parameters
    ----------
    path, size
        Its place, and its bytes.
    md5, sha256
        Digests, lowercase hexadecimal digits.
    kind, id, split
        As in `PlanEntry`.
    source_sha256
        Digest of the file that the plan named, which others may have been made from; empty if its
        bytes were kept.
    withheld
        Whether the release leaves it to others to make, as a recipe does.
    """

    path: str
    size: int
    md5: str
    sha256: str
    kind: str = ""
    id: str = ""
    split: str = ""
    source_sha256: str = ""
    withheld: bool = False

    @property
    def original(self) -> str:
        """The digest that files that were made from it state."""
        return f"sha256:{self.source_sha256 or self.sha256}"


def kind_of(file: PlanEntry | ListedFile) -> str:
    """Return the kind of a file that can be opened by name, empty for any other."""
    if file.path.endswith(BOXES_SUFFIX):
        return "boxes"
    if not file.path.endswith(".h5"):
        return ""
    # A plan written by hand need not state it; then the folder's name does.
    kind = file.kind or PurePosixPath(file.path).parent.name
    return kind if kind in ("events", "features", "samples", "slices") else ""


@dataclass(frozen=True)
class Manifest:
    """What a release is, and its files in the order of their paths.

    Parameters
    ----------
    name, version, licence
        Of the data set.
    files
        Every file except the manifest itself and the checksums.
    recordings
        What is known of each recording, id → column → text.
    evreel_version
        Version of evreel that built it.
    missing
        Recordings of the data set that it lacks, id → what is known of each: its ``split``, its
        ``group`` if it has one, and the ``reason``.
    """

    name: str
    version: str
    licence: str
    files: tuple[ListedFile, ...]
    recordings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    evreel_version: str = __version__
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def lacks(self) -> str:
        """Which recordings it lacks, in words; empty if it is complete."""
        return lacking(self.missing, len(self.missing) + len(self._ids))

    @property
    def _ids(self) -> set[str]:
        return {*self.recordings, *(file.id for file in self.files if file.id)}


_MOST_NAMED = 3


def lacking(missing: Iterable[str], n: int) -> str:
    """Return which of n recordings are missing, in words; empty if none.

    Examples
    --------
    >>> lacking(["b", "a"], 5), lacking([], 5)
    ("2 of 5 recordings: 'a', 'b'", '')
    """
    names = [repr(id_) for id_ in sorted(missing)]
    return f"{len(names):,} of {counted(n, 'recording')}: {listed(names, _MOST_NAMED)}" * bool(
        names
    )


class PathsTaken:
    """Paths used in a release, as a file system that ignores case sees them.

    Parameters
    ----------
    own
        Files that evreel writes itself.

    Examples
    --------
    >>> taken = PathsTaken()
    >>> taken.add("train/a.h5"), taken.add("train/A.h5")
    (None, "differs from 'train/a.h5' only in case or in the encoding of accents")
    >>> taken.add("train/a.h5/b.npy"), taken.add("../a.h5")
    ("needs a folder where 'train/a.h5' is a file", "contains '..'")
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._taken: dict[str, tuple[str, bool]] = {}
        self._own = tuple(own)
        for path in self._own:
            self.add(path)

    def add(self, path: str) -> str | None:
        """Take a path; return why it cannot be used, or None."""
        problem = _path_problem(path)
        if problem:
            return problem
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            spelled, is_file = "/".join(parts[:depth]), depth == len(parts)
            key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", spelled).casefold())
            if key not in self._taken:
                self._taken[key] = (spelled, is_file)
                continue
            other, other_is_file = self._taken[key]
            if other_is_file and not is_file:
                return f"needs a folder where {other!r} is a file"
            if is_file and not other_is_file:
                return f"is a file where {other!r} is a folder"
            if other != spelled:
                return f"differs from {other!r} only in case or in the encoding of accents"
            if is_file:
                return "is a file that evreel writes" if path in self._own else "is duplicated"
        return None


def _path_problem(path: str) -> str | None:
    """Return why a path cannot be used in a release, or None."""
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "contains a control character"
    if "\\" in path:
        return "contains a backslash; folders are separated by /"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "is absolute; it must start at the release's root"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"contains {part!r}" if part else "contains an empty folder name"
        if len(part.encode()) > _NAME_BYTES:
            return f"contains a name longer than {_NAME_BYTES} bytes"
        if is_reserved(part):
            return f"contains {part!r}, which Windows cannot have as a name"
    return None


def read_plan(path: str | Path) -> list[PlanEntry]:
    r"""Read a release's plan.

    Parameters
    ----------
    path
        A TSV, UTF-8, whose first line names its columns: `path` and `source`, and any of `kind`,
        `id` and `split` (see `PlanEntry`), in any order.

    Returns
    -------
    Its rows, in the table's order.

    Raises
    ------
    ReleaseError
        If the table has another form, or a path cannot be used in a release: absolute, with
        ``..``, ``\`` or control characters, duplicated (ignoring case), or a file where another row
        needs a folder. The message gives line and value.
    """
    path = Path(path)
    entries = []
    for line, row in _rows(path):
        if line == 1:
            _check_columns(list(row), path)
        else:
            entries.append(_plan_entry(row, line, path))
    check_entries(entries, path=path)
    return entries


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, column → cell) of a TSV: the header, with each cell under itself, then the rows.

    Empty lines are left out.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter="\t", strict=True)
            columns = next(reader, [])
            for column in columns:
                if columns.count(column) > 1:
                    raise ReleaseError(
                        f"column {column!r} is duplicated", path=path, place="line 1"
                    )
            yield 1, dict(zip(columns, columns, strict=True))
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise ReleaseError(
                        f"has {len(cells)} cells; the header has {len(columns)}",
                        path=path,
                        place=f"line {reader.line_num}",
                    )
                yield reader.line_num, dict(zip(columns, cells, strict=True))
    except OSError as error:
        raise ReleaseError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ReleaseError("is not UTF-8", path=path, hint="Save it as UTF-8.") from error
    except csv.Error as error:
        raise ReleaseError(str(error), path=path, place=f"line {reader.line_num}") from error


def write_plan(path: str | Path, entries: Iterable[PlanEntry]) -> None:
    """Write a release's plan as `read_plan` reads it."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(PLAN_COLUMNS)
        for entry in entries:
            writer.writerow([getattr(entry, column) for column in PLAN_COLUMNS])


def check_entries(
    entries: Iterable[PlanEntry], taken: PathsTaken | None = None, path: Path | None = None
) -> None:
    """Raise `ReleaseError` for the first entry that cannot be a file of a release.

    Parameters
    ----------
    entries
        Rows of a plan.
    taken
        Paths that are already used.
    path
        The plan's table, for the message.
    """
    taken = taken or PathsTaken()
    for entry in entries:
        problem = taken.add(entry.path)
        if problem:
            raise ReleaseError(f"path {entry.path!r} {problem}", path=path, place=entry.place)
        for name in ("source", "kind", "id", "split"):
            cell = str(getattr(entry, name))
            if _CONTROL.search(cell):
                raise ReleaseError(
                    f"{name} {cell!r} contains a control character", path=path, place=entry.place
                )


def _check_columns(columns: list[str], path: Path) -> None:
    known = ", ".join(PLAN_COLUMNS)
    for column in columns:
        if column not in PLAN_COLUMNS:
            raise ReleaseError(
                f"column {column!r} is unknown; columns are {known}, separated by tabs",
                path=path,
                place="line 1",
            )
    for column in ("path", "source"):
        if column not in columns:
            raise ReleaseError(
                f"column {column!r} is missing; columns are {known}", path=path, place="line 1"
            )


def _plan_entry(row: Mapping[str, str], line: int, path: Path) -> PlanEntry:
    if not row["source"]:
        raise ReleaseError("source is empty", path=path, place=f"line {line}")
    optional = {name: row.get(name, "") for name in ("kind", "id", "split")}
    return PlanEntry(row["path"], Path(row["source"]), **optional, line=line)


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return ``manifest.json``: equal manifests give equal bytes."""
    value = {
        "layout": LAYOUT,
        "layout_version": LAYOUT_VERSION,
        "evreel_version": manifest.evreel_version,
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "recordings": _by_id(manifest.recordings),
        **({"missing": _by_id(manifest.missing)} if manifest.missing else {}),
        "files": [
            {key: fact for key, fact in asdict(file).items() if fact or key != "withheld"}
            for file in sorted(manifest.files, key=lambda file: file.path)
        ],
    }
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _by_id(rows: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {id_: dict(sorted(row.items())) for id_, row in sorted(rows.items())}


def parse_manifest(data: bytes) -> tuple[Manifest, list[str]]:
    """Return what ``manifest.json`` says, and what is wrong with its entries.

    Malformed entries, and entries whose path leads out of the release, are left out of the manifest
    and described in the list.

    Raises
    ------
    ReleaseError
        If it is not a manifest, or of a version that this evreel does not read.
    """
    try:
        value = json.loads(data, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError) as error:
        raise ReleaseError(f"is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("layout") != LAYOUT:
        raise ReleaseError(f"is not a manifest of a release: its layout is not {LAYOUT!r}")
    if value.get("layout_version") != LAYOUT_VERSION:
        raise ReleaseError(
            f"has version {value.get('layout_version')!r}; this evreel reads version "
            f"{LAYOUT_VERSION}",
            hint="Use the evreel version that the manifest names.",
        )
    texts: dict[str, str] = {}
    for name in ("name", "version", "licence", "evreel_version"):
        if not isinstance(value.get(name), str):
            raise ReleaseError(f"{name} is {value.get(name)!r}; text is expected")
        texts[name] = value[name]
    known: dict[str, dict[str, dict[str, str]]] = {}
    for name, rows in (
        ("recordings", value.get("recordings")),
        ("missing", value.get("missing", {})),
    ):
        if not isinstance(rows, dict) or not all(
            isinstance(row, dict) and all(isinstance(cell, str) for cell in row.values())
            for row in rows.values()
        ):
            raise ReleaseError(f"{name} is not a map id → column → text")
        known[name] = rows
    if not isinstance(value.get("files"), list):
        raise ReleaseError("files is not a list")
    taken = PathsTaken((MANIFEST, *SUMS.values()))
    files, problems = [], []
    for number, entry in enumerate(value["files"]):
        problem = _entry_problem(entry) or taken.add(entry["path"])
        if problem:
            shown = entry.get("path") if isinstance(entry, dict) else entry
            problems.append(f"entry {number}, {shown!r}: {problem}")
        else:
            files.append(ListedFile(**entry))
    return Manifest(
        files=tuple(files), **texts, recordings=known["recordings"], missing=known["missing"]
    ), problems


def is_release(folder: Path) -> bool:
    """Return whether a folder is a release: it has a manifest, or checksums that name one.

    The checksums show it if the manifest is damaged, or a workflow removed it to build again.
    """
    for name, told in ((MANIFEST, f'"{LAYOUT}"'), (SUMS["sha256"], f"  {MANIFEST}\n")):
        try:
            if (folder / name).is_file() and told.encode() in (folder / name).read_bytes():
                return True
        except OSError:
            continue
    return False


def read_manifest(folder: str | Path) -> Manifest:
    """Return the manifest of a release.

    Raises
    ------
    ReleaseError
        If it is missing or faulty.
    """
    path, where = Path(folder) / MANIFEST, f" (in folder {folder})"
    try:
        manifest, problems = parse_manifest(path.read_bytes())
    except OSError as error:
        raise ReleaseError(
            f"cannot be read: {error.strerror}{where}",
            path=path,
            hint="Is this the folder of a release?",
        ) from error
    except ReleaseError as error:
        raise ReleaseError(f"{error.problem}{where}", path=path, hint=error.hint) from error
    if problems:
        raise ReleaseError(f"{problems[0]}{where}", path=path)
    return manifest


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key is duplicated in one object")
    return value


def _entry_problem(entry: Any) -> str | None:
    """Return what is wrong with the form of a manifest's entry, or None."""
    *names, may_have = ListedFile.__dataclass_fields__
    if not isinstance(entry, dict) or sorted({*entry} - {may_have}) != sorted(names):
        return f"its keys are not {', '.join(names)}"
    if entry.get(may_have, True) is not True:
        return f"its {may_have} is not true"
    for name in names:
        if name != "size" and not isinstance(entry[name], str):
            return f"its {name} is not text"
    if type(entry["size"]) is not int or entry["size"] < 0:
        return "its size is not a number of bytes"
    for algorithm, pattern in _DIGEST.items():
        if not pattern.fullmatch(entry[algorithm]):
            return f"its {algorithm} is not valid in lowercase hexadecimal digits"
    if entry["source_sha256"] and not _DIGEST["sha256"].fullmatch(entry["source_sha256"]):
        return "its source_sha256 is not valid in lowercase hexadecimal digits"
    return None


def sums_bytes(digests: Mapping[str, str]) -> bytes:
    """Return a file of checksums, path → digest, in the form of ``md5sum`` and ``sha256sum``."""
    return "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()


def parse_sums(data: bytes, algorithm: Algorithm) -> tuple[dict[str, str], list[str]]:
    """Return path → digest of a file of checksums, and what is wrong with it, line by line."""
    digests: dict[str, str] = {}
    problems = []
    taken = PathsTaken()
    for number, line in enumerate(data.decode("utf-8", "backslashreplace").split("\n"), 1):
        digest, _, path = line.partition("  ")
        if not line:
            continue
        if not _DIGEST[algorithm].fullmatch(digest):
            problems.append(f"line {number}: {digest[:80]!r} is not an {algorithm.upper()} sum")
            continue
        problem = taken.add(path)
        if problem:
            problems.append(f"line {number}: path {path!r} {problem}")
        else:
            digests[path] = digest
    return digests, problems
