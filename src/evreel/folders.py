"""A folder of recordings as one source: its files, their sums, and whether they have changed.

The sum of a folder is that of its listing: a line ``<sum>  <name>`` for each file, in the order of
the names' code points, as md5sum and sha256sum print it. Names have ``/`` between folders and
begin below the folder. Hidden files and folders, whose names begin with a dot, do not count.

When a folder is acquired, its listing by SHA-256 is written to a file ``<name>.folder``, and a
relative link ``<name>`` beside it leads to the folder; nothing is copied.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evreel.errors import SourceError

SUFFIX = ".folder"
"""Suffix of the listing of a folder that was acquired."""
BAG_LISTING = "metadata.yaml"
"""Name of the file that lists the others of a folder which is a bag of ROS 2: one recording."""
_BAG_SUFFIXES = (".mcap", ".db3")


class Listing(NamedTuple):
    """The sums of a folder's files.

    Parameters
    ----------
    md5, sha256 : of the folder, lowercase hexadecimal digits.
    text : a line per file, with its SHA-256.
    size : bytes of all files.
    """

    md5: str
    sha256: str
    text: str
    size: int


def is_folder(path: str | Path) -> bool:
    """Tell whether a path is that of a folder; a path that no file can have is not."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def folder_of(path: str | Path) -> Path | None:
    """Return the folder that a path is, or that an acquired listing is of; None for any other."""
    path = Path(path)
    if is_folder(path):
        return path
    if path.suffix != SUFFIX or not path.is_file():
        return None
    beside = path.with_suffix("")
    return beside if beside.is_symlink() else None


def bag_of(path: str | Path) -> Path | None:
    """Return the folder, as `folder_of` does, if it is a bag of ROS 2: one recording.

    Raises
    ------
    SourceError
        If the folder cannot be read.
    """
    folder = folder_of(path)
    try:
        if folder is None or not (folder / BAG_LISTING).is_file():
            return None
        return folder if bags_in(folder) else None
    except OSError as error:
        raise _unreadable(Path(path), error) from error


def hint_of_bag(folder: str | Path) -> str:
    """Return what to do with a folder that has files of bags of ROS 2, but does not list them.

    It is empty for any other folder.
    """
    try:
        if (Path(folder) / BAG_LISTING).exists() or not bags_in(Path(folder)):
            return ""
    except OSError:
        return ""
    return (
        f"A bag of ROS 2 has a {BAG_LISTING} there, which a recording that was killed lacks: run "
        "ros2 bag reindex, or give one file as the recording. "
    )


def bags_in(folder: Path) -> list[Path]:
    """Return the files of a folder, in any order, that are named as those of bags of ROS 2 are.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    return [
        file
        for file in folder.iterdir()
        if file.name.removesuffix(".zstd").endswith(_BAG_SUFFIXES) and not file.name.startswith(".")
    ]


def files_of(folder: str | Path) -> list[tuple[str, Path]]:
    """Return name and path of each file of a folder, in the order of the names.

    Raises
    ------
    SourceError
        If a folder cannot be read, or has a link or anything else that is not a plain file.
    """
    root = Path(folder)
    return sorted((path.relative_to(root).as_posix(), path) for path, _ in _walked(root))


def listing_of(folder: str | Path) -> Listing:
    """Return the sums of a folder's files, each of which is read once.

    Raises
    ------
    SourceError
        As `files_of`, or if a file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_bytes(b"events")
    >>> listing_of(folder).text.split()
    ['862417b9e7c3720bcb3263cd873b09892d787823b6f9a0f453e42824c5a4d4b6', 'a.txt']
    """
    md5s, sha256s, size = [], [], 0
    for name, path in files_of(folder):
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        try:
            with path.open("rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    md5.update(piece)
                    sha256.update(piece)
                    size += len(piece)
        except OSError as error:
            raise _unreadable(path, error) from error
        md5s.append(f"{md5.hexdigest()}  {name}\n")
        sha256s.append(f"{sha256.hexdigest()}  {name}\n")
    text, by_md5 = "".join(sha256s), os.fsencode("".join(md5s))
    md5_of_all = hashlib.md5(by_md5, usedforsecurity=False).hexdigest()
    return Listing(md5_of_all, hashlib.sha256(os.fsencode(text)).hexdigest(), text, size)


def state_of(folder: str | Path) -> list[int]:
    """Return what of a folder shows that its files may have changed, as a file's state does.

    Bytes of all files, the latest times, and a number that stands for all names and inodes.
    """
    root = Path(folder)
    size = latest = changed = 0
    names = hashlib.sha256()
    for path, status in sorted(_walked(root, folders=True), key=lambda found: str(found[0])):
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        latest, changed = max(latest, status.st_mtime_ns), max(changed, status.st_ctime_ns)
        one = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        names.update(os.fsencode(f"{path.relative_to(root).as_posix()}\0{one}\n"))
    return [size, latest, changed, int.from_bytes(names.digest()[:6], "big")]


def _walked(root: Path, *, folders: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder, in any order; also folders and whatever else if asked for."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            if folders:
                yield folder, folder.stat()
            with os.scandir(folder) as entries:
                found = [(entry, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            raise _unreadable(folder, error) from error
        for entry, status in found:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            elif stat.S_ISREG(status.st_mode) or folders:
                yield path, status
            else:
                kind = "a link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
                raise SourceError(
                    f"is {kind}, which a folder of recordings cannot have",
                    place=str(path),
                    hint="Put the file itself there, or move it out of the folder.",
                )


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"cannot be read: {error.strerror}", place=str(path))
