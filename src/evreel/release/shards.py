"""A release in a few tar files, for hosts and readers that do not want thousands of files.

Each shard is named as WebDataset expects it, ``<split>-000000.tar``, and has all files of some
recordings, one recording after the other: ``<recording>.<what>``, such as ``street.events.h5`` and
``street.histogram_10ms.h5``. Files of no recording stay as they are, beside the shards; those of
them that are in folders are also in ``rest.tar``, for hosts that have no folders.
``shards.tsv`` says where each file of the release lies, so that one can be read without the rest,
and so that `unpack` restores the release. Equal releases give equal shards.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from evreel.errors import ReleaseError
from evreel.outputs import Progress, if_full, silent
from evreel.release.digests import pieces
from evreel.release.manifest import (
    MANIFEST,
    SUMS,
    ListedFile,
    Manifest,
    PathsTaken,
    read_manifest,
)
from evreel.release.recipe import awaited
from evreel.settings import Settings, setting

SHARDS = "shards.tsv"
SUMS_OF_SHARDS = "SHARDS.sha256"
COLUMNS = ("path", "shard", "member", "offset", "size", "sha256")
REST = "rest.tar"
UNSPLIT = "data"
"""Begins the names of shards of recordings that are in no split."""

_PIECE_BYTES = 1 << 20
_END_BYTES = 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True)
class ShardSettings(Settings):
    """How a release is divided into shards."""

    size_gb: float = setting(
        1.0,
        "Size limit of a shard, GB (1000 MB). A recording is not divided: one that is larger has a "
        "shard of its own.",
        unit="GB",
        above=0,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class Member:
    """A file of a release in a shard, and its name there."""

    file: ListedFile
    name: str

    @cached_property
    def header(self) -> bytes:
        """What a tar file has before its bytes; it tells nothing of who packed it, nor when."""
        return self.info.tobuf(tarfile.PAX_FORMAT)

    @property
    def info(self) -> tarfile.TarInfo:
        """Its entry."""
        info = tarfile.TarInfo(self.name)
        info.size, info.mode = self.file.size, 0o644
        return info

    @property
    def packed_bytes(self) -> int:
        """What it takes in a shard."""
        blocks = -(-self.file.size // tarfile.BLOCKSIZE)
        return len(self.header) + blocks * tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Shard:
    """A tar file to write."""

    name: str
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Placed:
    """A line of ``shards.tsv``: where a file of the release lies.

    Parameters
    ----------
    path
        In the release.
    shard, member
        The shard, and the name in it.
    offset, size
        Where its bytes begin in the shard, and how many they are.
    sha256
        Of them.
    """

    path: str
    shard: str
    member: str
    offset: int
    size: int
    sha256: str


def plan_shards(manifest: Manifest, size_bytes: int) -> list[Shard]:
    """Return the shards of a release: by split, in the order of the recordings' names; the rest.

    Parameters
    ----------
    manifest
        Of the release.
    size_bytes
        Limit for a shard.
    """
    of_recording: dict[str, list[ListedFile]] = {}
    split_of = {id_: row.get("split", "") for id_, row in manifest.recordings.items()}
    for file in manifest.files:
        if file.id:
            of_recording.setdefault(file.id, []).append(file)
            split_of[file.id] = split_of.get(file.id) or file.split
    by_split: dict[str, list[tuple[Member, ...]]] = {}
    for id_ in sorted(of_recording):
        members = tuple(_members(id_, of_recording[id_]))
        by_split.setdefault(split_of[id_] or UNSPLIT, []).append(members)
    shards = [
        Shard(f"{quote(split, safe='')}-{number:06}.tar", members)
        for split in sorted(by_split)
        for number, members in enumerate(_divided(by_split[split], size_bytes))
    ]
    rest = tuple(Member(file, file.path) for file in manifest.files if _is_rest(file))
    return shards + [Shard(REST, rest)] * bool(rest)


def _is_rest(file: ListedFile) -> bool:
    return not file.id and "/" in file.path


def key_of(id_: str) -> str:
    """Return what stands before the first dot of a recording's files in a shard.

    Examples
    --------
    >>> key_of("street_1"), key_of("a/b.c")
    ('street_1', 'a%2Fb%2Ec')
    """
    return quote(id_, safe="").replace(".", "%2E")


def _members(id_: str, files: Iterable[ListedFile]) -> Iterator[Member]:
    taken: set[str] = set()
    for file in sorted(files, key=lambda file: file.path):
        path = PurePosixPath(file.path)
        rest = path.name.removeprefix(id_).lstrip("._-")
        what = f"{path.parent.name}.{rest}" if path.parent.name else rest
        # Readers compare these names without case.
        name, k = what, 1
        while name.lower() in taken:
            k += 1
            name = f"{k}.{what}"
        taken.add(name.lower())
        yield Member(file, f"{key_of(id_)}.{name}")


def _divided(
    recordings: Sequence[tuple[Member, ...]], size_bytes: int
) -> Iterator[tuple[Member, ...]]:
    """Yield the members of each shard: as many recordings as fit, at least one."""
    mine: list[Member] = []
    size = _END_BYTES
    for members in recordings:
        more = sum(member.packed_bytes for member in members)
        if mine and size + more > size_bytes:
            yield tuple(mine)
            mine, size = [], _END_BYTES
        mine += members
        size += more
    if mine:
        yield tuple(mine)


def write_shards(
    release: str | Path, folder: str | Path, size_bytes: int, *, progress: Progress = silent
) -> list[Shard]:
    """Pack a release; each file is compared with the manifest as it is read.

    Parameters
    ----------
    release
        The release.
    folder
        Where to write; it is made.
    size_bytes
        Limit for a shard.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Raises
    ------
    ReleaseError
        If a file is not as the manifest says, or is still to be made.
    """
    root, folder = Path(os.path.realpath(release)), Path(folder)
    manifest = read_manifest(root)
    left = len(awaited(manifest, lambda path: (root / path).exists()))
    if left:
        raise ReleaseError(
            f"is a recipe, of which {left} files are to be made",
            path=release,
            hint="Make them with evreel rebuild, or publish the recipe as it is: it is small.",
        )
    shards = plan_shards(manifest, size_bytes)
    alone = [file for file in manifest.files if not file.id]
    own = PathsTaken([SHARDS, SUMS_OF_SHARDS, *(shard.name for shard in shards)])
    for file in alone:
        problem = own.add(file.path)
        if problem:
            raise ReleaseError(f"file {file.path!r} {problem} beside shards", path=release)
    folder.mkdir(parents=True)
    done, total = 0, sum(file.size for file in manifest.files)
    progress(done, total)

    def counted(file: ListedFile) -> Iterator[bytes]:
        nonlocal done
        for piece in _as_listed(root, file):
            yield piece
            done += len(piece)
            progress(done, total)

    placed, sums = [], {}
    for shard in shards:
        with (folder / shard.name).open("wb") as target:
            digest = hashlib.sha256()
            for member in shard.members:
                offset = target.tell() + len(member.header)
                file = member.file
                placed.append(
                    Placed(file.path, shard.name, member.name, offset, file.size, file.sha256)
                )
                for piece in _packed(member, counted(file)):
                    target.write(piece)
                    digest.update(piece)
            end = bytes(_END_BYTES)
            target.write(end)
            digest.update(end)
            sums[shard.name] = digest.hexdigest()
    for file in alone:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / file.path).open("wb") as target:
            target.writelines(counted(file))
    for name in (MANIFEST, *SUMS.values()):
        shutil.copyfile(root / name, folder / name)
    _write_table(folder / SHARDS, placed)
    lines = [f"{sums[name]}  {name}\n" for name in sorted(sums)]
    (folder / SUMS_OF_SHARDS).write_text("".join(lines), encoding="utf-8", newline="\n")
    return shards


def _packed(member: Member, content: Iterable[bytes]) -> Iterator[bytes]:
    yield member.header
    yield from content
    yield bytes(-member.file.size % tarfile.BLOCKSIZE)


def _as_listed(root: Path, file: ListedFile) -> Iterator[bytes]:
    """Yield a file's bytes; raise at their end if they are not those of the manifest."""
    place = root / file.path
    digest, size = hashlib.sha256(), 0
    try:
        for piece in pieces(place):
            digest.update(piece)
            size += len(piece)
            if size > file.size:
                break
            yield piece
    except OSError as error:
        raise ReleaseError(
            f"cannot be read: {error.strerror}", path=root, place=repr(file.path)
        ) from error
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise ReleaseError(
            "is not as the manifest says",
            path=root,
            place=repr(file.path),
            hint="`evreel verify` lists all that differs.",
        )


def _write_table(path: Path, rows: Iterable[Placed]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(row, column) for column in COLUMNS] for row in rows)


def read_table(path: str | Path) -> list[Placed]:
    """Read ``shards.tsv``.

    Raises
    ------
    ReleaseError
        With the line, if it is no such table, or names a place outside the release or its shard.
    """
    path = Path(path)
    taken = PathsTaken()
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ReleaseError(
            f"cannot be read: {error.strerror}", path=path, hint="Is this a folder of shards?"
        ) from error
    except UnicodeDecodeError as error:
        raise ReleaseError("is not UTF-8", path=path) from error
    if not lines or tuple(lines[0].split("\t")) != COLUMNS:
        raise ReleaseError(f"its first line is not {' '.join(COLUMNS)}", path=path)
    for number, line in enumerate(lines[1:], 2):
        cells = next(csv.reader([line], delimiter="\t"), [])
        problem = _problem_of(cells) or taken.add(cells[0])
        if problem:
            raise ReleaseError(problem, path=path, place=f"line {number}")
        name, shard, member, offset, size, sha256 = cells
        rows.append(Placed(name, shard, member, int(offset), int(size), sha256))
    return rows


def _problem_of(cells: Sequence[str]) -> str | None:
    if len(cells) != len(COLUMNS):
        return f"has {len(cells)} cells; the header has {len(COLUMNS)}"
    if not re.fullmatch(r"[^/\\\x00]+\.tar", cells[1]):
        return f"shard {cells[1]!r} is not the name of a tar file beside the table"
    for name, cell in zip(COLUMNS[3:5], cells[3:5], strict=True):
        if not re.fullmatch("[0-9]{1,18}", cell):
            return f"{name} {cell!r} is not a whole number"
    return None


def unpack(folder: str | Path, release: str | Path, *, progress: Progress = silent) -> None:
    """Restore the release that shards were made of.

    Parameters
    ----------
    folder
        The shards, with ``shards.tsv`` and what lies beside them.
    release
        The release; it is made.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Raises
    ------
    ReleaseError
        If a shard is missing, or has other bytes than the table says.
    """
    folder, release = Path(folder), Path(release)
    rows = read_table(folder / SHARDS)
    done, total = 0, sum(row.size for row in rows)
    progress(done, total)
    by_shard: dict[str, list[Placed]] = {}
    for row in rows:
        by_shard.setdefault(row.shard, []).append(row)
    release.mkdir(parents=True)
    for name, mine in by_shard.items():
        try:
            shard = (folder / name).open("rb")
        except OSError as error:
            raise ReleaseError(
                f"shard {name} cannot be read: {error.strerror}",
                path=folder,
                hint="Download it.",
            ) from error
        with shard:
            for row in mine:
                _restore(shard, row, release / row.path)
                done += row.size
                progress(done, total)
    restored = {row.path for row in rows}
    beside = [file.path for file in read_manifest(folder).files if not file.id]
    for path in (*beside, MANIFEST, *SUMS.values()):
        if path not in restored:
            _copy(folder / path, release / path)


def _restore(shard: BinaryIO, row: Placed, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), row.size
    shard.seek(row.offset)
    with place.open("xb") as target:
        while left and (piece := shard.read(min(left, _PIECE_BYTES))):
            digest.update(piece)
            target.write(piece)
            left -= len(piece)
    if left or digest.hexdigest() != row.sha256:
        raise ReleaseError(
            f"has other bytes of {row.path!r} than {SHARDS} says",
            path=Path(shard.name),
            hint=f"Download it again; `sha256sum -c {SUMS_OF_SHARDS}` checks all shards.",
        )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ReleaseError(
            f"cannot be copied: {error.strerror}", path=source, hint=if_full(error)
        ) from error
