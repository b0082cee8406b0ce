"""Describers of videos: an MP4's head is read here, a zip of PNG files by its list and comment."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from evreel.errors import EvreelError, LayoutError, foreign
from evreel.files.clock import CLOCK_SUFFIX, read_clock
from evreel.provenance import sha256

_HEAD_BYTES = 64 << 20
"""Limit of an MP4's head: one of a million frames has 8 MB."""
_DAMAGED = "Copy it again, or make it again."


def mp4(path: Path) -> dict[str, Any]:
    """Describe an MP4 video, and its clock if one lies beside it."""
    with path.open("rb") as file:
        head, is_whole = _head(file, path)

    def broken(why: str) -> LayoutError:
        return LayoutError(f"its head cannot be read: {why}", path=path, hint=_DAMAGED)

    with foreign(broken):
        found = _of_head(head)
    metadata = found.pop("metadata")
    beside = _beside(path, found["frames"], metadata)
    if not is_whole:
        cut = "ends before its pictures do: it is cut short"
        beside["problems"] = [cut, *beside.get("problems", [])]
    return {"recording": path.stem, **found, "metadata": metadata} | beside


def png_zip(path: Path) -> dict[str, Any]:
    """Describe a zip of pictures."""
    with (
        foreign(lambda why: LayoutError(f"is damaged: {why}", path=path, hint=_DAMAGED)),
        zipfile.ZipFile(path) as archive,
    ):
        n, comment = len(archive.namelist()), archive.comment
    found: dict[str, Any] = {"recording": path.stem, "frames": n}
    try:
        metadata = json.loads(comment or b"{}")
    except (ValueError, RecursionError):
        # It ends the file; zipfile does not mind that a part of it is lost.
        return found | {"problems": ["its comment is not JSON: the file is cut short or damaged"]}
    metadata = metadata if isinstance(metadata, dict) else {}
    return found | {"metadata": metadata} | _beside(path, n, metadata)


def _beside(path: Path, frames: int | None, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what a clock beside a video says of it."""
    place = path.with_name(path.stem + CLOCK_SUFFIX)
    if not place.is_file():
        is_of_clock = "clock" in metadata
        return {"clock": f"{place.name} is not beside it"} if is_of_clock else {}
    problems = []
    told: dict[str, Any] = {"clock": place.name}
    try:
        rows = read_clock(place)[0]
        if len(rows):
            told["time_us"] = [int(rows.start_us[0]), int(rows.stop_us[-1])]
        if frames is not None and len(rows) != frames:
            problems.append(
                f"{place.name}: has {len(rows):,} rows; the video has {frames:,} frames"
            )
        if metadata.get("clock", digest := sha256(place)) != digest:
            problems.append(f"{place.name}: is not the clock that the video was made with")
    except EvreelError as error:
        problems.append(str(error))
    return told | {"problems": problems}


def _boxes(data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of each box of an MP4, one after the other."""
    data, at = memoryview(data), 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        size = size or len(data) - at
        if size < start - at or at + size > len(data):
            raise ValueError(f"box {kind!r} ends beyond what holds it")
        yield kind, data[start : at + size]
        at += size


def _head(file: BinaryIO, path: Path) -> tuple[bytes, bool]:
    """Return the content of box ``moov``, and whether the file is as long as its boxes say."""
    end = path.stat().st_size
    at, head = 0, None
    while at + 8 <= end:
        file.seek(at)
        start = file.read(16)
        size, kind = struct.unpack_from(">I4s", start)
        skip = 8
        if size == 1 and len(start) == 16:
            (size,), skip = struct.unpack_from(">Q", start, 8), 16
        size = size or end - at
        if size < skip or at + size > end:
            break
        if kind == b"moov" and head is None:
            if size > _HEAD_BYTES:
                raise LayoutError(f"its head has {size:,} bytes, which no video needs", path=path)
            file.seek(at + skip)
            head = file.read(size - skip)
        at += size
    if head is None:
        raise LayoutError(
            "is an MP4 without its head (moov): it is cut short or damaged",
            path=path,
            hint=_DAMAGED,
        )
    return head, at == end


def _of_head(head: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"pictures": None, "frames": None, "plays": None, "metadata": {}}
    for kind, content in _boxes(head):
        if kind == b"mvhd":
            wide = content[0] == 1
            scale, units = struct.unpack_from(">IQ" if wide else ">II", content, 20 if wide else 12)
            found["plays"] = f"{units / scale:.3f} s" if scale else None
        elif kind == b"trak" and found["frames"] is None:
            found |= _of_track(content)
        elif kind in (b"udta", b"meta"):
            found["metadata"] |= _tags(content, kind)
    return found


def _of_track(content: memoryview) -> dict[str, Any]:
    """Return size and frames of a track of pictures; nothing of any other."""
    parts = dict(_boxes(content))
    media = dict(_boxes(parts[b"mdia"]))
    if bytes(media[b"hdlr"][8:12]) != b"vide":
        return {}
    width, height = struct.unpack(">II", parts[b"tkhd"][-8:])
    table = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
    (frames,) = struct.unpack_from(">I", table[b"stsz"], 8)
    return {"pictures": {"height": height >> 16, "width": width >> 16}, "frames": frames}


def _tags(content: memoryview, kind: bytes) -> dict[str, str]:
    """Return the named texts of an MP4 (``keys`` and ``ilst``)."""
    if kind == b"udta":
        inner = dict(_boxes(content)).get(b"meta")
        return {} if inner is None else _tags(inner, b"meta")
    # In files of ISO's kind, a version stands before the boxes; in QuickTime's none does.
    boxes = dict(_boxes(content[4:] if bytes(content[:4]) == b"\0\0\0\0" else content))
    if b"keys" not in boxes or b"ilst" not in boxes:
        return {}
    names = [bytes(name).decode("utf-8", "replace") for _, name in _boxes(boxes[b"keys"][8:])]
    found = {}
    for place, item in _boxes(boxes[b"ilst"]):
        number, value = int.from_bytes(place, "big"), dict(_boxes(item)).get(b"data")
        if 1 <= number <= len(names) and value is not None:
            found[names[number - 1]] = bytes(value[8:]).decode("utf-8", "replace")
    return found
