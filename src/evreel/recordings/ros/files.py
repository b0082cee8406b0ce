"""Which files a bag consists of, and files that Zstandard has compressed as a whole."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import zstandard

from evreel.errors import RecordingError, foreign
from evreel.folders import BAG_LISTING, bags_in
from evreel.recordings.ros.bags import ZSTD_START

_HEAD_BYTES = 64
_PIECE_BYTES = 1 << 20
_MOST_TIMES = 100
_SPARE_BYTES = 1 << 26
_LISTING_LIMIT = 1 << 22
_MOST_FILES = 1 << 16
_PATHS = re.compile(r"^(?P<indent>[ ]*)(?:- )?relative_file_paths[ ]*:(?P<rest>.*)$")
_COUNT = re.compile(r"[ ]*(?:- )?message_count[ ]*:[ ]*(\d{1,18})[ ]*(?:#.*)?$")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_NAME = re.compile(
    r"""\s*(?: "(?P<double>(?:[^"\\]|\\["\\/])*)" | '(?P<single>(?:[^']|'')*)'
    | (?P<plain>[^\s"'\[\]{},#&*!|>%@`?:-][^\[\]{},]*?) ) (?:\s+\#.*)? \s*$""",
    re.VERBOSE,
)
_REINDEX = "Run ros2 bag reindex, or give one file as the recording."
AGAIN = "Copy or download it again."
"""What to do with a file that is not whole."""
_ZSTD_SUFFIX = ".zstd"


class BagFiles(NamedTuple):
    """The files of a bag, in their order, and how many messages its listing states, if it does."""

    paths: list[Path]
    n_messages: int | None = None


def files_of_bag(path: Path) -> BagFiles:
    """Return the files of a bag: itself, or those that a folder's listing names.

    Raises
    ------
    RecordingError
        If the listing cannot be read or names none, a file is missing, or one is not listed.
    """
    if not path.is_dir():
        return BagFiles([path])
    listing = path / BAG_LISTING
    try:
        with listing.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LISTING_LIMIT + 1)
        beside = sorted(file.name for file in bags_in(path))
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=listing) from error
    if len(text) > _LISTING_LIMIT:
        raise RecordingError(
            f"is longer than {_LISTING_LIMIT} characters", path=listing, hint=_REINDEX
        )
    names, n_messages = _listed(text, listing)
    names = [Path(name).name for name in names]
    if not names or len(set(names)) < len(names):
        raise RecordingError(
            "names a file twice"
            if names
            else "names no file of a bag, such as bag_0.mcap or bag_0.db3",
            path=listing,
            hint=_REINDEX,
        )
    paths: list[Path] = []
    for name in names:
        packed = path / name
        plain = packed.with_suffix("") if packed.suffix == _ZSTD_SUFFIX else packed
        paths.append(plain if plain.is_file() else packed)
        if not paths[-1].is_file():
            raise RecordingError(
                f"names {name}, which is not there",
                path=listing,
                hint="Copy or download the whole folder again.",
            )
    known = {name.removesuffix(_ZSTD_SUFFIX) for name in names}
    for name in beside:
        if name.removesuffix(_ZSTD_SUFFIX) not in known:
            raise RecordingError(
                f"does not name {name}, which is beside it",
                path=listing,
                hint="If it belongs to this bag, run ros2 bag reindex; else move it elsewhere. Or "
                "give one file as the recording.",
            )
    return BagFiles(paths, n_messages)


def _listed(text: str, listing: Path) -> tuple[list[str], int | None]:
    """Return the names of files in a listing, and its number of messages.

    YAML is understood as far as rosbag2 and its like write these two: a list of names, a line each
    or in brackets, plain or quoted, with or without comments.
    """
    lines = text.splitlines()
    starts = [(k, found) for k, line in enumerate(lines) if (found := _PATHS.match(line))]
    if len(starts) != 1:
        if "relative_file_paths" in text:
            raise _not_understood(listing, starts[1][0] if starts else 0)
        return [], None
    (first, found) = starts[0]
    counts = [
        int(count[1])
        for line in lines
        if (count := _COUNT.match(line)) and _indent(line) == len(found["indent"])
        if not line.lstrip().startswith("- ")
    ]
    n_messages = counts[0] if len(counts) == 1 else None
    rest = _COMMENT.sub("", found["rest"]).strip()
    names: list[str] = []
    if rest:
        last = first
        while rest.startswith("[") and not rest.endswith("]"):
            last += 1
            if last == len(lines) or last > first + _MOST_FILES:
                raise _not_understood(listing, first)
            rest += f" {_COMMENT.sub('', lines[last]).strip()}"
        if not rest.startswith("["):
            raise _not_understood(listing, first)
        inner = rest[1:-1].strip().removesuffix(",")
        names = [_name(part, listing, first) for part in inner.split(",")] if inner.strip() else []
        return names, n_messages
    for k in range(first + 1, len(lines)):
        line = lines[k]
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        is_item = plain.startswith("- ") and _indent(line) >= len(found["indent"])
        if not is_item:
            if _indent(line) > len(found["indent"]):
                raise _not_understood(listing, k)
            break
        names.append(_name(plain[2:], listing, k))
    return names, n_messages


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _name(text: str, listing: Path, line: int) -> str:
    """Return the name that an item of a list is."""
    found = _NAME.match(text)
    if found is None:
        raise _not_understood(listing, line)
    if found["double"] is not None:
        return re.sub(r"\\(.)", r"\1", found["double"])
    return found["plain"] or (found["single"] or "").replace("''", "'")


def _not_understood(listing: Path, line: int) -> RecordingError:
    return RecordingError(
        "has a list of files (relative_file_paths) that is not understood",
        path=listing,
        place=f"line {line + 1}",
        hint=f"A name in a line, after a dash, is. {_REINDEX}",
    )


def head_of(path: Path, *, plain: bool = False) -> bytes:
    """Return the first bytes of a file; with `plain`, decompressed if it is compressed."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not (plain and head.startswith(ZSTD_START)):
                return head
            file.seek(0)
            with foreign(lambda why: _damaged(path, why)), _plain(file) as content:
                return content.read(_HEAD_BYTES)
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error


def unpacked(path: Path) -> BinaryIO:
    """Return a file decompressed: a temporary one, which is gone once it is closed.

    It has a name, because SQLite opens files by theirs.

    Raises
    ------
    RecordingError
        If it is damaged, or would be a hundred times as long, which no recording is.
    """
    room = cast(BinaryIO, tempfile.NamedTemporaryFile(prefix="evreel-"))  # noqa: SIM115
    try:
        with path.open("rb") as file, _plain(file) as content:
            most = _MOST_TIMES * path.stat().st_size + _SPARE_BYTES
            size = 0
            while piece := _piece(content, path):
                size += len(piece)
                if size > most:
                    raise _damaged(path, f"it has more than {most} bytes then")
                room.write(piece)
        room.flush()
    except BaseException as error:
        room.close()
        if isinstance(error, OSError):
            raise RecordingError(
                f"cannot be decompressed: {error.strerror}",
                path=path,
                hint=f"It is put into {tempfile.gettempdir()}; TMPDIR names another folder.",
            ) from error
        raise
    return room


def _piece(content: zstandard.ZstdDecompressionReader, path: Path) -> bytes:
    with foreign(lambda why: _damaged(path, why)):
        return content.read(_PIECE_BYTES)


def _plain(file: BinaryIO) -> zstandard.ZstdDecompressionReader:
    return zstandard.ZstdDecompressor().stream_reader(file, closefd=False)


def _damaged(path: Path, why: str) -> RecordingError:
    return RecordingError(
        f"cannot be decompressed by Zstandard: {why}",
        path=path,
        offset=0,
        hint=AGAIN,
    )
