"""Which files a bag consists of, and files that Zstandard has compressed as a whole."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from evreel.errors import RecordingError, foreign
from evreel.folders import BAG_LISTING
from evreel.recordings.ros.bags import ZSTD_START

_HEAD_BYTES = 64
_PIECE_BYTES = 1 << 20
_MOST_TIMES = 100
_SPARE_BYTES = 1 << 26
_LISTING_LIMIT = 1 << 22
_LISTED = re.compile(r"""^\s*-\s*["']?([^"'\n]+\.(?:db3|mcap)(?:\.zstd)?)["']?\s*$""", re.MULTILINE)
_ZSTD_SUFFIX = ".zstd"


def files_of_bag(path: Path) -> list[Path]:
    """Return the files of a bag, in their order: itself, or those that a folder's listing names.

    Raises
    ------
    RecordingError
        If the listing cannot be read or names none, or a file is missing.
    """
    if not path.is_dir():
        return [path]
    listing = path / BAG_LISTING
    try:
        with listing.open(encoding="utf-8", errors="replace") as file:
            names = [Path(name).name for name in _LISTED.findall(file.read(_LISTING_LIMIT))]
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=listing) from error
    names = list(dict.fromkeys(names))  # it may list each once more, with its times
    if not names:
        raise RecordingError(
            "names no file of a bag, such as bag_0.mcap or bag_0.db3",
            path=listing,
            hint="Run ros2 bag reindex, or give one file as the recording.",
        )
    files: list[Path] = []
    for name in names:
        packed = path / name
        plain = packed.with_suffix("") if packed.suffix == _ZSTD_SUFFIX else packed
        files.append(plain if plain.is_file() else packed)
        if not files[-1].is_file():
            raise RecordingError(
                f"names {name}, which is not there",
                path=listing,
                hint="Copy or download the whole folder again.",
            )
    return files


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
        hint="Copy or download it again.",
    )
