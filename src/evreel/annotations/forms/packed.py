"""Files of a folder or a zip, by name, read without trust in their sizes."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path, PurePosixPath
from typing import Self

from evreel.errors import AnnotationError, foreign

MOST_FILES = 1_000_000
MOST_BYTES = 1 << 30
"""Of all texts that are read of one zip, unpacked; real ones have megabytes."""


class Packed:
    """The files of a folder or a zip, opened for reading.

    Parameters
    ----------
    path
        Folder or zip.

    Attributes
    ----------
    names : paths of all files in it, with ``/``, in order.

    Raises
    ------
    AnnotationError
        If it cannot be read, is damaged, encrypted, or larger than any annotation is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        self._room = MOST_BYTES
        if not self.path.exists():
            raise AnnotationError("cannot be read: there is no such file", path=self.path)
        if self.path.is_dir():
            files = (file for file in self.path.rglob("*") if file.is_file())
            few = itertools.islice(files, MOST_FILES + 1)
            names = [file.relative_to(self.path).as_posix() for file in few]
        else:
            with foreign(self._damaged):
                self._zip = zipfile.ZipFile(self.path)
                names = [entry.filename for entry in self._zip.infolist() if not entry.is_dir()]
        if len(names) > MOST_FILES:
            self.close()
            raise AnnotationError(f"has more than {MOST_FILES:,} files", path=self.path)
        self.names = tuple(sorted(set(names)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the zip."""
        if self._zip is not None:
            self._zip.close()

    def named(self, name: str) -> list[str]:
        """Return the paths of all files of a name, in whichever folder."""
        return [path for path in self.names if PurePosixPath(path).name == name]

    def text(self, name: str) -> str:
        """Return the text of a file in UTF-8, without a byte order mark.

        Raises
        ------
        AnnotationError
            If it cannot be read, is not UTF-8, or unpacks to more than it may.
        """
        try:
            return self._bytes(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise AnnotationError(
                "is not UTF-8", path=self.path, place=name, hint="Save it as UTF-8."
            ) from error

    def _bytes(self, name: str) -> bytes:
        if self._zip is None:
            try:
                size, data = (self.path / name).stat().st_size, b""
                if size <= self._room:
                    data = (self.path / name).read_bytes()
            except OSError as error:
                raise AnnotationError(
                    f"cannot be read: {error.strerror}", path=self.path, place=name
                ) from error
        else:
            entry = self._zip.getinfo(name)
            if entry.flag_bits & 1:
                raise AnnotationError("is encrypted", path=self.path, place=name)
            size, data = entry.file_size, b""
            if size <= self._room:
                with foreign(self._damaged), self._zip.open(entry) as file:
                    data = file.read()
        if max(size, len(data)) > self._room:
            raise AnnotationError(
                f"unpacks to {size:,} bytes, more than any annotation has",
                path=self.path,
                place=name,
            )
        self._room -= len(data)
        return data

    def _damaged(self, why: str) -> AnnotationError:
        return AnnotationError(
            f"is not a whole zip: {why}", path=self.path, hint="Export or download it again."
        )
