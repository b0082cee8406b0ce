"""Digests of local files, remembered: a file that did not change is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evreel.errors import EvreelError, SourceError
from evreel.folders import folder_of, listing_of
from evreel.outputs import atomic
from evreel.provenance import state

_VERSION = 1
_PIECE_BYTES = 1 << 20
_SETTLED_NS = 2_000_000_000
"""Age at which a file's times show every later change: some file systems count whole seconds."""


class Digests(NamedTuple):
    """Checksums of a file's bytes, lowercase hexadecimal digits."""

    md5: str
    sha256: str


class Memory:
    """What was found out about local files, kept between runs.

    A file is known by its path, and taken as unchanged while its size, its inode, and the times of
    its last change have not changed. One of these times is set by the system at every change of
    content, and no program can set it back: a file that was unpacked, or copied with its old times,
    is read again.

    Parameters
    ----------
    path
        Where it is kept, JSON; None keeps nothing. A file that cannot be read counts as empty.

    Examples
    --------
    >>> import tempfile
    >>> park = Path(tempfile.mkdtemp()) / "park.xml"
    >>> _ = park.write_bytes(b"events")
    >>> Memory().digests(park).md5
    '16908b0605f2645dfcb4c3a8d248cef3'
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._old: Mapping[str, Any] = {}
        self._files: dict[str, list[Any]] = {}
        self._asked: dict[str, Digests] = {}
        self._facts: dict[str, Any] = {}
        if path is not None:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                self._old = _parsed(path.read_bytes())
        self._old_files: Mapping[str, Any] = self._old.get("files", {})
        self._old_facts: Mapping[str, Any] = self._old.get("facts", {})

    def digests(self, path: str | Path) -> Digests:
        """Return the checksums of a file or folder, read only if it may have changed.

        Raises
        ------
        SourceError
            If it cannot be read.
        """
        name = str(path)
        try:
            now = state(path)
            known: Any = self._files.get(name) or self._old_files.get(name)
            if _is_of(known, now):
                self._files[name] = known
                self._asked[name] = Digests(*known[-2:])
                return self._asked[name]
            digests = self._asked[name] = _digests(path)
            # The same time may stand for a change that is still to come.
            if state(path) == now and time.time_ns() - max(now[1:3]) > _SETTLED_NS:
                self._files[name] = [*now, *digests]
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", place=name) from error
        return digests

    def crc32(self, path: str | Path) -> str:
        """Return the CRC-32 of a file, 8 lowercase hexadecimal digits; each content is read once.

        Raises
        ------
        SourceError
            If it cannot be read.
        """
        key = f"crc32 of {self.digests(path).sha256}"
        known = self.fact(key)
        if known is None:
            crc32 = 0
            try:
                with Path(path).open("rb", buffering=0) as file:
                    while piece := file.read(_PIECE_BYTES):
                        crc32 = zlib.crc32(piece, crc32)
            except OSError as error:
                raise SourceError(f"cannot be read: {error.strerror}", place=str(path)) from error
            known = f"{crc32:08x}"
            self.learn(key, known)
        return str(known)

    def linked(self, path: str | Path, before: list[int]) -> None:
        """Know a file by its new times, after links to it were made or removed.

        Parameters
        ----------
        path
            A file whose checksums were asked for.
        before
            Its state then, as `evreel.provenance.state` returns it.
        """
        name = str(path)
        with contextlib.suppress(OSError):
            now = state(path)
            digests = self._asked.get(name)
            is_settled = time.time_ns() - now[1] > _SETTLED_NS
            if digests is not None and is_settled and _but_links(now) == _but_links(before):
                self._files[name] = [*now, *digests]

    def known(self, path: str | Path) -> Digests | None:
        """Return the checksums of a file if they are known, without reading it."""
        name = str(path)
        entry: Any = self._files.get(name) or self._old_files.get(name)
        try:
            return Digests(*entry[-2:]) if _is_of(entry, state(path)) else None
        except OSError:
            return None

    def fact(self, key: str) -> Any:
        """Return what `learn` was told under this key, None if nothing."""
        if key not in self._facts and key in self._old_facts:
            self._facts[key] = self._old_facts[key]
        return self._facts.get(key)

    def learn(self, key: str, fact: Any) -> None:
        """Keep a fact, plain JSON, that follows from a key alone."""
        self._facts[key] = fact

    def keep(self, path: str | Path) -> None:
        """Keep the checksums of a file that may not be asked for in this run."""
        name = str(path)
        if name in self._old_files:
            self._files.setdefault(name, self._old_files[name])

    def save(self) -> None:
        """Keep what was asked for since the memory was opened, and nothing else.

        Where nothing can be written, the next run finds out again.
        """
        new = {"version": _VERSION, "files": self._files, "facts": self._facts}
        if self._path is None or new == self._old:
            return
        with contextlib.suppress(OSError, EvreelError), atomic(self._path) as (scratch,):
            scratch.write_text(json.dumps(new), encoding="ascii", newline="\n")


def _parsed(data: bytes) -> Mapping[str, Any]:
    """Return a memory's content; an empty one if it is of another form."""
    value = json.loads(data)
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return {}
    parts = (value.get("files"), value.get("facts"))
    return value if all(isinstance(part, dict) for part in parts) else {}


def _but_links(state: list[int]) -> list[int]:
    """Return what of a file's state does not change with its links: all but the third."""
    return [*state[:2], *state[3:]]


def _is_of(known: Any, now: list[int]) -> bool:
    """Tell whether an entry of the memory is of a file in this state."""
    return (
        isinstance(known, list)
        and known[:-2] == now
        and all(isinstance(digest, str) for digest in known[-2:])
    )


def _digests(path: str | Path) -> Digests:
    folder = folder_of(path)
    if folder is not None:
        listed = listing_of(folder)
        return Digests(listed.md5, listed.sha256)
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            md5.update(piece)
            sha256.update(piece)
    return Digests(md5.hexdigest(), sha256.hexdigest())
