"""Getting a recording from its source: a local file becomes a link, a url a file.

Either way its bytes are read once and their checksums computed; if one is given, nothing is
written unless it matches. A source that needs a login is downloaded by hand: ``manual:`` and the
path where the file will be. A recording in an archive is extracted by name.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from evreel.acquire.archives import (
    Archive,
    FolderOfMembers,
    Limits,
    decompress,
    extract,
    is_archive,
)
from evreel.acquire.download import DOWNLOADS, Patience, downloaded
from evreel.acquire.local import link, still_to_get, verify, verify_folder
from evreel.acquire.sources import Source, in_archive, read_source
from evreel.acquire.sums import Received, Sums, check, check_md5, check_sums, checked_sums
from evreel.errors import SourceError, UsageError
from evreel.folders import SUFFIX as FOLDER_SUFFIX
from evreel.folders import is_folder
from evreel.outputs import Progress, silent

__all__ = [
    "DOWNLOADS",
    "Archive",
    "FolderOfMembers",
    "Limits",
    "Patience",
    "Received",
    "Source",
    "check_md5",
    "check_sums",
    "checked_sums",
    "decompress",
    "fetch",
    "in_archive",
    "is_archive",
    "link",
    "read_source",
    "still_to_get",
]


def fetch(
    source: str | Path,
    destination: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    crc32: str | None = None,
    size: int | None = None,
    member_md5: str | None = None,
    page: str | None = None,
    final: str | Path | None = None,
    progress: Progress = silent,
    patience: Patience | None = None,
    limits: Limits | None = None,
) -> Received:
    """Put a source's bytes at `destination`, but only if they are the expected ones.

    Parameters
    ----------
    source
        As `read_source` takes it. A local file becomes a relative symbolic link, never a copy; a
        member of an archive becomes a file.
    destination
        The path to write; it must not exist yet.
    md5, sha256
        The source's checksums, 32 and 64 hexadecimal digits; if the source is an archive, those of
        the archive. None if unknown.
    crc32
        The source's CRC-32, 8 hexadecimal digits. It is weak: it shows accidents, and no file that
        somebody changed. So alone, it does not allow a redirect from https to http.
    size
        Expected size of the source, bytes. A server that states another is not downloaded from.
    member_md5
        Expected MD5 of a member of an archive, 32 hexadecimal digits.
    page
        Web page of a manual source; the message names it if the file is missing.
    final
        Where the caller will move `destination`, if it will: a link is made to be right there, and
        the bytes of a failed download are kept near there for the next run.
    progress
        Called as ``progress(done_bytes, total_bytes)``; the total is None if the server does
        not state it.
    patience
        How long to try; `Patience()` by default.
    limits
        Size limits of a member of an archive; `Limits()` by default.

    Returns
    -------
    The checksums and the size of the file at `destination`.

    Raises
    ------
    SourceError
        If the source is not available, ends early, or has another checksum or size.
    UsageError
        If `source` is not a source, a checksum is malformed, or the link would replace its own
        source.
    FileExistsError
        If `destination` exists.
    OSError
        If nothing can be written there.

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
    sums, of_member = checked_sums(md5, sha256, crc32), checked_sums(member_md5)
    limits = limits or Limits()
    if of_member and not parsed.members:
        raise UsageError(
            f"an MD5 of a member is given, but source {str(source)!r} names no member",
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
        if final.suffix == FOLDER_SUFFIX and is_folder(parsed.path):
            return _folder(parsed.path, destination, final, sums, size)
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


def _folder(source: Path, destination: Path, final: Path, sums: Sums, size: int | None) -> Received:
    """Write the listing of a folder, with a link to the folder beside its final place."""
    found = verify_folder(source, sums, size)
    beside, made = final.with_suffix(""), destination.with_suffix(".link")
    if os.path.lexists(beside) and not beside.is_symlink():
        raise UsageError(
            "is there, and is not a link to a folder", path=beside, hint="Move it elsewhere."
        )
    link(source, made, beside)
    destination.write_bytes(os.fsencode(found.text))
    made.replace(beside)
    return Received(found.md5, found.sha256 if sums.sha256 else None, found.size, b"")


def _check_there(source: Source, sums: Sums, page: str | None) -> None:
    """Raise if a local file is missing and the message can say more than that."""
    if source.path is None or os.path.exists(source.path):  # noqa: PTH110 (never raises)
        return
    if source.manual:
        raise still_to_get(source.path, sums, page)
    if source.members:
        raise SourceError(
            "there is no such archive",
            place=str(source.path),
            hint="A ! separates an archive from its member; write !! for a ! in a name.",
        )


def _member(
    archive: Path,
    source: Source,
    destination: Path,
    sums: Sums,
    limits: Limits,
    progress: Progress,
) -> Received:
    """Write a source's member of an archive to `destination`, if it is the expected one."""
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
