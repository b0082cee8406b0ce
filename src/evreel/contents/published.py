"""Describers of what lies beside data: tables, JSON, checksums, pictures, texts."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from evreel.errors import LayoutError, foreign

SUM_LINE = re.compile(rb"^(?:[0-9a-f]{32}|[0-9a-f]{64})  \S[^\r\n]*$")
TEXTS = (".md", ".txt", ".log", ".html", ".css", ".js", ".py")
"""What names of texts end with, where nothing else tells that a file is one."""
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
PARQUET = b"PAR1"

_TITLE = re.compile(r"<title>([^<]*)</title>")
_NAMED = ("layout", "@type", "conformsTo", "name", "version")
_LONGEST = 200
"""Characters of a name or a first line that are shown."""
_AGAIN = "Copy it again, or make it again."


def parquet(path: Path) -> dict[str, Any]:
    """Describe a Parquet table by its foot."""
    from evreel.cards.index import head

    with foreign(lambda why: LayoutError(f"is damaged: {why}", path=path, hint=_AGAIN)):
        rows, columns = head(path)
    return {"rows": rows, "columns": columns}


def checksums(path: Path) -> dict[str, Any]:
    """Describe a list of checksums, as `md5sum` and `sha256sum` write it."""
    rows = path.read_bytes().splitlines()
    bad = next((k for k, row in enumerate(rows, 1) if not SUM_LINE.match(row)), None)
    return {
        "sums": "MD5" if rows[0].index(b" ") == 32 else "SHA-256",
        "files": len(rows),
        "problems": [] if bad is None else [f"line {bad}: is not a checksum and a file's name"],
    }


def picture(path: Path) -> dict[str, Any]:
    """Describe a PNG or JPEG picture by its head."""
    data = path.read_bytes()
    is_png = data.startswith(PNG)
    shape = _png_shape(data) if is_png else _jpeg_shape(data)
    end = b"IEND\xaeB`\x82" if is_png else b"\xff\xd9"
    return {
        "form": "PNG" if is_png else "JPEG",
        "pictures": dict(zip(("height", "width"), shape, strict=True)) if shape else None,
        "problems": []
        if data.endswith(end)
        else ["is cut short: its end is not that of a picture"],
    }


def _png_shape(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _jpeg_shape(data: bytes) -> tuple[int, int] | None:
    """Return the size that the first frame of a JPEG states."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        (size,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 2 + size
    return None


def json_file(path: Path) -> dict[str, Any]:
    """Describe JSON by its keys, and by what it says of itself."""
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"is not whole JSON: {error}", path=path, hint=_AGAIN) from error
    if not isinstance(value, dict):
        return {"entries": len(value)}
    said = {name.strip("@"): value[name] for name in _NAMED if isinstance(value.get(name), str)}
    return said | {"keys": list(value)}


def table(path: Path) -> dict[str, Any]:
    """Describe a table whose cells are separated by tabs."""
    rows = [row for row in _text(path).splitlines() if not row.startswith("#")]
    return {"rows": len(rows) - 1, "columns": rows[0].split("\t")}


def text(path: Path) -> dict[str, Any]:
    """Describe a text by its first line, or its title."""
    content = _text(path)
    rows = content.splitlines()
    title = _TITLE.search(content)
    return {
        "title": title[1].strip()[:_LONGEST] if title and path.suffix == ".html" else None,
        "lines": len(rows),
        "first": next((row.strip()[:_LONGEST] for row in rows if row.strip()), None),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LayoutError("is not UTF-8", path=path, hint=_AGAIN) from error
