"""Getting a recording from where it lies: a local file becomes a link, a url a file.

Either way its bytes are read once and their sums are taken; where one is given, nothing lands
unless it holds. A source that only a person can get, because it needs a login, is the path that
they put it at, behind ``manual:``. A recording in an archive is read out of it by name.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from evreel.acquire.archives import Archive, Limits, decompress, extract
from evreel.acquire.download import DOWNLOADS, Patience, downloaded
from evreel.acquire.local import link, still_to_get, verify
from evreel.acquire.sources import Source, in_archive, read_source
from evreel.acquire.sums import Received, Sums, check, check_md5, checked_sums
from evreel.errors import SourceError, UsageError
from evreel.outputs import Progress, silent

__all__ = [
    "DOWNLOADS",
    "Archive",
    "Limits",
    "Patience",
    "Received",
    "Source",
    "check_md5",
    "decompress",
    "fetch",
    "in_archive",
    "read_source",
]


def fetch(
    source: str | Path,
    destination: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    member_md5: str | None = None,
    page: str | None = None,
    final: str | Path | None = None,
    progress: Progress = silent,
    patience: Patience | None = None,
    limits: Limits | None = None,
) -> Received:
    """Put a source's bytes at `destination`, and nothing there unless they are the promised ones.

    Parameters
    ----------
    source
        As `read_source` takes it. A local file becomes a relative symbolic link, never a copy; a
        member of an archive becomes a file.
    destination
        The path to write, where nothing is yet.
    md5, sha256
        32 and 64 hexadecimal digits that the bytes at the source must have, so those of the
        archive where it is one; None where nobody knows them.
    size
        Bytes that the source must have. A server that states another is not downloaded from.
    member_md5
        32 hexadecimal digits that a member of an archive must have.
    page
        Web page where a person gets a manual source; the message says it where that is missing.
    final
        Where the caller will move `destination` to, if it will: a link is made to be right there,
        and what came of a download that fails is kept near there for the next run.
    progress
        Called as ``progress(done_bytes, total_bytes)``; the total is None where the server does
        not say it.
    patience
        How long to try; that of `Patience()` by default.
    limits
        What a member of an archive may be at most; those of `Limits()` by default.

    Returns
    -------
    The sums and the size of what is at `destination`.

    Raises
    ------
    SourceError
        Where the source can't be had, ends early, or has another sum or size.
    UsageError
        Where `source` is none, a sum can't be one, or the link would stand in the place of its
        own source.
    FileExistsError
        Where something is at `destination`.
    OSError
        Where nothing can be written there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "park.aedat4").write_bytes(b"events")
    >>> fetch(folder / "park.aedat4", folder / "link.aedat4").md5
    '16908b0605f2645dfcb4c3a8d248cef3'
    >>> print((folder / "link.aedat4").readlink())
    park.aedat4
    """
    parsed, destination = read_source(source), Path(destination)
    final = destination if final is None else Path(final)
    sums, of_member = checked_sums(md5, sha256), checked_sums(member_md5)
    limits = limits or Limits()
    if of_member and not parsed.members:
        raise UsageError(
            f"an MD5 of a member is given, but source {str(source)!r} names none",
            hint="Write archive.zip!folder/file, or give the MD5 as that of the source.",
        )
    if os.path.lexists(destination):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))

    if parsed.path is not None:
        _check_there(parsed, sums, page)
        if parsed.members:
            if sums or size is not None:
                verify(parsed.path, sums, size, progress)
            return _member(parsed.path, parsed, destination, of_member, limits, progress)
        received = verify(parsed.path, sums, size, progress)
        link(parsed.path, destination, final)
        return received
    with downloaded(
        parsed.urls,
        destination,
        final,
        shared=bool(parsed.members),
        sums=sums,
        size=size,
        progress=progress,
        patience=patience or Patience(),
    ) as (file, received):
        if parsed.members:
            return _member(file, parsed, destination, of_member, limits, progress)
        file.rename(destination)
    return received


def _check_there(source: Source, sums: Sums, page: str | None) -> None:
    """Raise where a local file is not there and more can be said about it than that."""
    if source.path is None or os.path.exists(source.path):  # noqa: PTH110 (never raises)
        return
    if source.manual:
        raise still_to_get(source.path, sums, page)
    if source.members:
        raise SourceError(
            "there is no such archive",
            place=str(source.path),
            hint="A ! stands between an archive and its member; one that belongs to a name is !!.",
        )


def _member(
    archive: Path,
    source: Source,
    destination: Path,
    sums: Sums,
    limits: Limits,
    progress: Progress,
) -> Received:
    """Write a source's member of an archive to `destination`, if it is the promised one."""
    try:
        received = extract(
            archive,
            source.members,
            destination,
            name=source.file_name,
            sums=sums,
            limits=limits,
            progress=progress,
        )
        check(received, "!".join([source.file_name, *source.members]), sums)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    return received
