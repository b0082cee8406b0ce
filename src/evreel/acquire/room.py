"""Whether a disk has room for what is to come."""

from __future__ import annotations

import shutil
from pathlib import Path

from evreel.errors import SourceError

_RESERVE_BYTES = 1 << 30
_RESERVE_PART = 20


def check_room(size: int, folder: Path, said: str, place: str | None = None) -> None:
    """Raise if a disk has no room for so many bytes; `said` begins the message."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise _no_room(free, folder, said, place)


def check_reserve(folder: Path, said: str, place: str | None = None) -> None:
    """Raise before bytes whose number nobody stated fill a disk.

    A twentieth of it stays free, or 1 GiB if that is less.
    """
    disk = shutil.disk_usage(folder)
    if disk.free < min(_RESERVE_BYTES, disk.total // _RESERVE_PART):
        raise _no_room(disk.free, folder, said, place)


def _no_room(free: int, folder: Path, said: str, place: str | None) -> SourceError:
    return SourceError(
        f"{said}, but the disk has only {free:,} free",
        place=place,
        hint=f"Make room on the disk of {folder.absolute()}.",
    )
