"""The XML of an export: a file, or the only one in a folder, or in a zip that is not unpacked."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from evreel.errors import AnnotationError, foreign
from evreel.text import listed, size_text

_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED = 0x1
_MOST_MEMBERS = 1_000_000
_LARGEST_BYTES = 16 << 30
_LARGEST_RATIO = 300
_SMALL_BYTES = 64 << 20
"""An XML in a zip may have so many bytes whatever their number there; a larger one may be 300 times
as large as it is in the zip: real exports are 10 to 40 times as large, bombs 1000 times."""
_ELSEWHERE = re.compile(r"^([A-Za-z]:|[/\\])|(^|[/\\])\.\.([/\\]|$)")
_MOST_NAMED = 4


def is_zip(path: Path) -> bool:
    """Return whether a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


@contextmanager
def open_xml(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open the XML of an export.

    Parameters
    ----------
    path
        XML, or a zip or a folder with one XML and any number of pictures.

    Yields
    ------
    The XML to read, and its name in the zip or folder; an empty name if it is in none.

    Raises
    ------
    AnnotationError
        If the file cannot be read; if a folder or a zip has no XML or several; or if a zip is
        damaged or encrypted, names a member that is not within its folder, or has an XML that is
        far too large. Also if any of that is found while the XML is read.
    """
    try:
        if path.is_dir():
            names = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
            name = names[_only(path, "folder", names)]
            with (path / name).open("rb") as file:
                yield file, name
            return
        if not is_zip(path):
            with path.open("rb") as file:
                yield file, ""
            return
        with foreign(lambda why: _failed(path, f"is not a whole zip: {why}")):
            packed = zipfile.ZipFile(path)
        with packed:
            member = _only_xml(path, packed)
            with foreign(lambda why: _failed(path, f"is a zip that cannot be read: {why}")):
                inner = packed.open(member)
            with inner:
                yield cast(BinaryIO, inner), member.filename
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise _failed(path, f"is not a whole zip: {error or 'it is cut short'}") from error
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror or error}", path=path) from error


def _only_xml(path: Path, packed: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = packed.infolist()
    if len(members) > _MOST_MEMBERS:
        raise _failed(path, f"is a zip of {len(members)} files")
    for member in members:
        # Python shows / for what is another sign in the file, and ends a name at a zero.
        if _ELSEWHERE.search(member.filename) or _ELSEWHERE.search(member.orig_filename):
            raise _failed(path, f"has a member {member.filename!r}, which is not in its folder")
    member = members[_only(path, "zip", [member.filename for member in members])]
    if member.flag_bits & _ENCRYPTED:
        raise _failed(path, f"is encrypted: {member.filename}", "Unpack it, and name the XML.")
    size, packed_size = member.file_size, max(member.compress_size, 1)
    if size > _LARGEST_BYTES or (size > _SMALL_BYTES and size > _LARGEST_RATIO * packed_size):
        raise _failed(
            path,
            f"has an XML of {size_text(size)} in {size_text(packed_size)}, which no export "
            f"has: {member.filename}",
            "If you trust it, unpack it and name the XML.",
        )
    return member


def _only(path: Path, what: str, names: Sequence[str]) -> int:
    """Return which of the names is that of the only XML."""
    found = []
    for k, each in enumerate(names):
        folder, _, name = each.rpartition("/")
        hidden = name.startswith("._") or "__MACOSX" in folder.split("/")
        if name.lower().endswith(".xml") and not hidden:
            found.append(k)
    if not found:
        raise _failed(
            path,
            f"is a {what} without an XML"
            + (f": it has {listed(names, _MOST_NAMED)}" if names else ""),
            "Export CVAT for video 1.1, or CVAT for images 1.1.",
        )
    if len(found) > 1:
        xmls = listed((names[k] for k in found), _MOST_NAMED)
        raise _failed(
            path,
            f"is a {what} of {len(found)} XMLs, {xmls}; one is expected",
            (
                "Give the zip of one export, as CVAT makes it, or unpack it and name the XML; "
                if what == "zip"
                else "Name the XML; "
            )
            + "of several jobs, name each, or the folder with them, or export their task.",
        )
    return found[0]


def _failed(path: Path, problem: str, hint: str = "Export it from CVAT again.") -> AnnotationError:
    return AnnotationError(problem, path=path, hint=hint)
