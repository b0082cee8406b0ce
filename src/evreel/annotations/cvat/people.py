"""Whom an export of CVAT names: owners and assignees of tasks, with their e-mail addresses.

They are in its head, which is all that is read of it or changed in it. What CVAT shows of shapes
names nobody.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from evreel.annotations.cvat.package import is_zip, open_xml
from evreel.annotations.forms.packed import Packed
from evreel.errors import AnnotationError, foreign

NOBODY = "annotator"
"""Whom evreel's own files name, because a task has an owner."""
_PERSON = re.compile(rb"(<(owner|assignee)(?:\s[^<>]*)?(?<!/)>)(.*?)(</\2\s*>)", re.DOTALL)
_PERSON_OR_HOST = re.compile(_PERSON.pattern.replace(b"owner", b"owner|url"), re.DOTALL)
"""Tasks and their jobs also state the address of the CVAT that they are in."""
_TAG = re.compile(rb"<[^<>]*>")
_END_OF_HEAD = re.compile(rb"</meta\s*>|<(?:track|image)[\s>]")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
"""How a text in UTF-16 begins."""
_PIECE_BYTES = 1 << 20
_MOST_BYTES = 256 << 20


class People(NamedTuple):
    """Whom a file names, whoever is named twice once.

    Parameters
    ----------
    n : how many people.
    n_emails : how many of them with an e-mail address.
    """

    n: int
    n_emails: int


def people_in(path: str | Path) -> People:
    """Return whom an annotation names; nobody if it is no export of CVAT.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is in UTF-16.
    """
    said = _said(Path(path), _PERSON)
    return People(len(said), sum(b"@" in b" ".join(each) for each in said))


def names_in(path: str | Path) -> set[str]:
    """Return what names people and hosts in an annotation: names, e-mail addresses, urls."""
    said = _said(Path(path), _PERSON_OR_HOST)
    return {text.decode("utf-8", "replace") for each in said for text in each}


def _said(path: Path, pattern: re.Pattern[bytes]) -> set[tuple[bytes, ...]]:
    """Return the texts of each element that a pattern finds; nothing if it is no export of CVAT."""
    if not _may_be_xml(path):
        return set()
    with open_xml(path) as (file, _):
        head = head_of(file, path)
    found = set()
    for match in pattern.finditer(head):
        texts = (b" ".join(text.split()) for text in _TAG.split(match[3]))
        found.add(tuple(text for text in texts if text not in (b"", NOBODY.encode())))
    return found - {()}


def _may_be_xml(path: Path) -> bool:
    """Return whether a file begins as XML does, or is a zip with one."""
    if is_zip(path):
        with Packed(path) as packed:
            return any(name.lower().endswith(".xml") for name in packed.names)
    with path.open("rb") as file:
        start = file.read(64)
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<", *_WIDE))


def copy_without_people(source: str | Path, target: str | Path, *, hosts: bool = False) -> bool:
    """Copy an annotation without the names and e-mail addresses in it; return whether it had any.

    Lines stay where they are. In a zip, all but the XML is copied as it is.

    Parameters
    ----------
    source, target
        The annotation, and the copy to make.
    hosts
        Whether the addresses of the CVAT that it was made with are left out too.

    Raises
    ------
    AnnotationError
        If it cannot be read, or is in UTF-16.
    """
    source, target = Path(source), Path(target)
    pattern = _PERSON_OR_HOST if hosts else _PERSON
    if not _said(source, pattern):
        shutil.copyfile(source, target)
        return False
    if not is_zip(source):
        with source.open("rb") as file, target.open("wb") as made:
            _copy(file, cast(BinaryIO, made), pattern, source)
        return True
    with open_xml(source) as (_, name):
        pass

    def damaged(why: str) -> AnnotationError:
        return AnnotationError(
            f"is not a whole zip: {why}", path=source, hint="Export it from CVAT again."
        )

    with foreign(damaged), zipfile.ZipFile(source) as packed, zipfile.ZipFile(target, "w") as copy:
        for member in packed.infolist():
            large = member.file_size >= zipfile.ZIP64_LIMIT
            with (
                packed.open(member) as inner,
                copy.open(_as_in(member), "w", force_zip64=large) as outer,
            ):
                if member.filename == name:
                    _copy(cast(BinaryIO, inner), cast(BinaryIO, outer), pattern, source)
                else:
                    shutil.copyfileobj(inner, outer)
    return True


def _as_in(member: zipfile.ZipInfo) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(member.filename, member.date_time)
    made.compress_type, made.external_attr = member.compress_type, member.external_attr
    return made


def _copy(file: BinaryIO, made: BinaryIO, pattern: re.Pattern[bytes], path: Path) -> None:
    head = head_of(file, path)
    made.write(pattern.sub(lambda match: match[1] + b"\n" * match[3].count(b"\n") + match[4], head))
    shutil.copyfileobj(file, made)


def head_of(file: BinaryIO, path: Path) -> bytes:
    """Return what is read up to the end of the head, and perhaps a little more."""
    head = b""
    while piece := file.read(_PIECE_BYTES):
        begin = max(len(head) - 16, 0)
        head += piece
        if head.startswith(_WIDE):
            raise AnnotationError(
                "is in UTF-16, in which people's names are not looked for",
                path=path,
                hint="Save it as UTF-8.",
            )
        if _END_OF_HEAD.search(head, begin):
            break
        if len(head) > _MOST_BYTES:
            raise AnnotationError("has a head that does not end", path=path)
    return head
