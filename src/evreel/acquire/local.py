"""A local source: its bytes are read once for their checksums, and a relative link leads to it."""

from __future__ import annotations

import os
from pathlib import Path

from evreel.acquire.sums import Received, Sums, check, pieces_of, receive
from evreel.errors import SourceError, UsageError
from evreel.folders import Listing, listing_of, state_of
from evreel.outputs import Progress


def verify(source: Path, sums: Sums, size: int | None, progress: Progress) -> Received:
    """Read a local file and raise if its bytes are not the expected ones.

    Raises
    ------
    SourceError
        If it cannot be read, has another size or checksum, or changes meanwhile.
    """
    try:
        if source.exists() and not (source.is_file() or source.is_dir()):
            raise SourceError(
                "is not a file", place=str(source), hint="Name a file with the events."
            )
        with source.open("rb") as file:
            before = os.fstat(file.fileno())
            total = before.st_size
            if size is not None and not source.is_dir() and total != size:
                raise SourceError(
                    f"has {total:,} bytes, expected {size:,}: it is another version, or was cut",
                    place=str(source),
                    hint="Copy or download it again, or correct the size.",
                )
            received = receive(pieces_of(file), sums, total, progress)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(source, error) from error
    check(received, str(source), sums)
    # Later, a source counts as verified if it did not change since.
    if (before.st_size, before.st_ctime_ns) != (after.st_size, after.st_ctime_ns):
        raise SourceError(
            "changed while it was read", place=str(source), hint="Run again when it is complete."
        )
    return received


def verify_folder(source: Path, sums: Sums, size: int | None) -> Listing:
    """Read the files of a local folder and raise if they are not the expected ones.

    Raises
    ------
    SourceError
        If it cannot be read, has another size or checksum, or changes meanwhile.
    """
    if sums.crc32 is not None:
        raise SourceError(
            "is a folder, for which a crc32 is given: only files have one",
            place=str(source),
            hint="Leave it out. A folder needs no sum: it is judged by its content.",
        )
    before = state_of(source)
    found = listing_of(source)
    for name, expected, got in (
        ("bytes", size, found.size),
        ("md5", sums.md5, found.md5),
        ("sha256", sums.sha256, found.sha256),
    ):
        if expected is not None and expected != got:
            of_what = "it has" if name == "bytes" else f"the {name} of its listing is"
            raise SourceError(
                f"{of_what} {got}{' bytes' * (name == 'bytes')}, expected {expected}",
                place=str(source),
                hint="A file in it was added, removed, renamed or edited, or the table is of "
                "another version. A folder needs no sum: it is judged by its content.",
            )
    if state_of(source) != before:
        raise SourceError(
            "changed while it was read", place=str(source), hint="Run again when it is complete."
        )
    return found


def _unreadable(source: Path, error: OSError) -> SourceError:
    hint = "A relative path starts at the working directory."
    if isinstance(error, FileNotFoundError) and source.is_symlink():
        hint = f"It is a link to {source.readlink()}, which is not there."
    elif isinstance(error, IsADirectoryError):
        hint = "Name one file in it."
    elif isinstance(error, PermissionError):
        hint = "Ask its owner for permission to read it."
    return SourceError(f"cannot be read: {error.strerror}", place=str(source), hint=hint)


def still_to_get(path: Path, sums: Sums, page: str | None) -> SourceError:
    """Return the error that tells a person what to download, and where to put it."""
    digest = f" ({sums})" if sums else ""
    origin = f" from {page}" if page else ""
    return SourceError(
        "is not there yet; it has to be downloaded by hand",
        place=str(path),
        hint=f"Download {path.name}{digest}{origin}, put it into folder {path.parent.absolute()} "
        "and run the same command again.",
    )


def link(source: Path, destination: Path, final: Path) -> None:
    """Make `destination` a relative link that leads to `source` once it is moved to `final`.

    Raises
    ------
    UsageError
        If the link would replace its own source.
    """
    here = Path(os.path.realpath(final.parent)) / final.name
    if _passes_through(source, here):
        raise UsageError(
            f"source {source} would be replaced by its own link",
            hint="Keep recordings outside the results folder.",
        )
    # As the user wrote it, so that links on the way are kept; only a ".." cannot be removed
    # without following them.
    if ".." in source.parts:
        source = Path(os.path.realpath(source.parent)) / source.name
    destination.symlink_to(os.path.relpath(source, here.parent))


def _passes_through(path: Path, place: Path) -> bool:
    """Return whether `place` is `path` or one of the links that lead from `path` to its file."""
    while True:
        path = Path(os.path.realpath(path.parent)) / path.name
        if path == place:
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
