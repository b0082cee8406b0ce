"""Exports of one task: whether two say the same, and how one is kept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import BinaryIO

from evreel.annotations.cvat.package import open_xml
from evreel.annotations.cvat.people import head_of
from evreel.errors import AnnotationError

_OF_EXPORT = re.compile(rb"<(dumped|updated)>[^<]*</\1>")
"""When it was exported, and when anything of the task was changed last."""
_PIECE_BYTES = 1 << 20


def says_the_same(one: Path, other: Path) -> bool:
    """Return whether two exports differ in nothing but the times that each states of itself.

    Parameters
    ----------
    one, other
        XMLs, or zips of one. A file that is not one says something else.
    """
    try:
        with open_xml(one) as (first, _), open_xml(other) as (second, _):
            heads = [head_of(file, path) for file, path in ((first, one), (second, other))]
            return _same(_timeless(heads[0]), _timeless(heads[1]), first, second)
    except (AnnotationError, OSError):
        return False


def _timeless(head: bytes) -> bytes:
    return _OF_EXPORT.sub(b"", head)


def _same(one: bytes, other: bytes, first: BinaryIO, second: BinaryIO) -> bool:
    """Return whether what was read, and what is still to be read, is the same."""
    while True:
        n = min(len(one), len(other))
        if one[:n] != other[:n]:
            return False
        one = one[n:] or first.read(_PIECE_BYTES)
        other = other[n:] or second.read(_PIECE_BYTES)
        if not (one and other):
            return one == other


def copy_export(export: Path, target: Path) -> None:
    """Write an export as its name wants it: the zip itself, or the XML in it."""
    if target.suffix.lower() == ".zip":
        shutil.copyfile(export, target)
        return
    with open_xml(export) as (xml, _), target.open("wb") as file:
        shutil.copyfileobj(xml, file)
