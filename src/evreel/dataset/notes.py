"""What jobs found out about the bytes that they acquired, kept for the runs that come."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evreel.dataset.memory import Digests, Memory
from evreel.errors import EvreelError, SourceError
from evreel.outputs import atomic

ACQUIRED = Path(".snakemake", "evreel", "acquired")
"""Where a workflow keeps notes, in its working directory."""
_DIGESTS = ("md5", "sha256")


class Stated(NamedTuple):
    """What is known of a source's bytes; None where nothing is."""

    md5: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    crc32: str | None = None

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Stated:
        """Return it from what `evreel.steps.acquire` takes: of a member, or of a whole source."""
        md5 = wanted.get("md5") or wanted.get("member_md5")
        return cls(md5, wanted.get("sha256"), wanted.get("size_bytes"), wanted.get("crc32"))

    def plain(self) -> dict[str, Any]:
        """Return it by name; without a CRC-32 it is as versions wrote it that knew of none."""
        plain = self._asdict()
        if self.crc32 is None:
            del plain["crc32"]
        return plain

    def lacks(self, digests: Digests) -> bool:
        """Tell whether a digest that is stated is another than that of a file."""
        pairs = ((getattr(self, name), getattr(digests, name)) for name in _DIGESTS)
        return any(digest and digest.lower() != found for digest, found in pairs)


class Notes:
    """What jobs found out about the files that they acquired, a small file for each.

    Parameters
    ----------
    folder
        Where they are; None keeps nothing.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = None if folder is None else Path(folder)

    def _of(self, path: str | Path) -> Path | None:
        key = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
        return None if self._folder is None else self._folder / f"{key}.json"

    def read(self, path: str | Path) -> Stated | None:
        """Return what the last job that acquired a file found; None if that is not known."""
        note = self._of(path)
        try:
            return None if note is None else Stated(**json.loads(note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: str | Path, found: Stated) -> None:
        """Keep what was found; where nothing can be written, a run finds out again."""
        note = self._of(path)
        if note is None:
            return
        with contextlib.suppress(OSError, EvreelError):
            note.unlink(missing_ok=True)
            with atomic(note) as (scratch,):
                scratch.write_text(json.dumps(found.plain()), encoding="ascii", newline="\n")


def is_archive_of(path: str | Path, stated: Stated, memory: Memory) -> bool:
    """Tell whether an archive that is there has what is stated, as far as it was acquired here."""
    found = Notes(ACQUIRED).read(path)
    return found is not None and agrees(Path(path), Path(path), stated, found, memory)


def agrees(
    path: Path,
    file: Path,
    stated: Stated,
    then: Stated,
    memory: Memory,
    known: Callable[[Path], Digests | None] = lambda path: None,
) -> bool:
    """Tell whether a file has what is stated, after what was found or stated of it then.

    Parameters
    ----------
    path
        What was acquired, and may be gone.
    file
        The bytes themselves: a link's source.
    """
    unknown = False
    for name in (*_DIGESTS, "crc32"):
        now, before = getattr(stated, name), getattr(then, name)
        if now and before and now.lower() != before.lower():
            return False
        unknown |= bool(now and not before)
    is_there = file.exists()
    size = file.stat().st_size if is_there else then.size_bytes
    if stated.size_bytes not in (None, size):
        return False
    if unknown or (is_there and not path.exists()):
        try:
            digests = known(path) or memory.digests(file)
            is_lacking = stated.crc32 and stated.crc32.lower() != memory.crc32(file)
        except SourceError:
            return False
        return not (is_lacking or stated.lacks(digests) or then.lacks(digests))
    return True
