"""A first look at a path, which tells its kind: the start of a file, the names of a folder."""

from __future__ import annotations

import functools
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from evreel.annotations.forms.packed import Packed
from evreel.annotations.open import form_of
from evreel.checks.inventory import kind_of
from evreel.errors import EvreelError

START_BYTES = 1 << 16
"""How much of a file is looked at: a clock's comments and header are within it."""
_MARK = b"\xef\xbb\xbf"
_MOST_NAMES = 100_000


@dataclass(frozen=True)
class Look:
    """What is seen of a path before it is read.

    Parameters
    ----------
    path
        A file or a folder, which exists.
    """

    path: Path

    @functools.cached_property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.is_dir()

    @functools.cached_property
    def start(self) -> bytes:
        """The first bytes of a regular file; none of anything else, or where it cannot be read."""
        if not self.path.is_file():
            return b""
        try:
            with self.path.open("rb") as file:
                return file.read(START_BYTES)
        except OSError:
            return b""

    @functools.cached_property
    def header(self) -> tuple[str, ...]:
        """The cells of the first line that is no comment, of a text separated by tabs."""
        text = self.start.removeprefix(_MARK).decode("utf-8", "replace")
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        return tuple(next(lines, "").split("\t"))

    @functools.cached_property
    def made(self) -> str | None:
        """The kind of a file that evreel makes, as `evreel.checks.inventory.kind_of` tells it."""
        return None if self.is_folder else kind_of(self.path)

    @functools.cached_property
    def folders(self) -> frozenset[str]:
        """Names of the folders in a folder."""
        if not self.is_folder:
            return frozenset()
        try:
            with os.scandir(self.path) as entries:
                return frozenset(entry.name for entry in entries if Path(entry.path).is_dir())
        except OSError:
            return frozenset()

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the files in a zip; none of anything else."""
        if not self.start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return ()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return tuple(archive.namelist()[:_MOST_NAMES])
        except Exception:  # zipfile raises a dozen kinds on damaged bytes
            return ()

    @functools.cached_property
    def json_starts(self) -> tuple[bytes, ...]:
        """The first bytes of a file, or of each JSON file in a folder; all of one in a zip."""
        if not (self.is_folder or self.names):
            return (self.start,)
        try:
            with Packed(self.path) as packed:
                named = [name for name in packed.names if name.lower().endswith(".json")]
                if self.is_folder:
                    return tuple(Look(self.path / name).start for name in named)
                return tuple(packed.text(name).encode() for name in named)
        except EvreelError:
            return ()

    @functools.cached_property
    def form(self) -> str | None:
        """The form of an annotation, None of anything else."""
        if not (self.is_folder or self.path.is_file()):
            return None
        try:
            return form_of(self.path)
        except EvreelError:
            return None
