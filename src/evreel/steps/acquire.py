"""A recording, or an archive of recordings, from its source, verified."""

from __future__ import annotations

import time
from pathlib import Path

from evreel.dataset.notes import Notes, Stated
from evreel.outputs import Progress, atomic, silent
from evreel.steps.common import LOG, unverified_note
from evreel.text import size_text


def acquire(
    source: str,
    output: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    crc32: str | None = None,
    size_bytes: int | None = None,
    member_md5: str | None = None,
    member_gib: float | None = None,
    timeout_s: float | None = None,
    least_bytes_per_s: float | None = None,
    page: str | None = None,
    plain: bool = False,
    notes: str | Path | None = None,
    progress: Progress = silent,
) -> str:
    """Get a recording, or an archive of recordings, and check its sums.

    Parameters
    ----------
    source
        Path; or ``manual:`` and the path where a person puts a file that needs a login; or http(s)
        URLs and s3://bucket/key of the same bytes, separated by ``|``. A local file becomes a
        relative link, never a copy. For an archive, ``!`` and the name of a member may follow; then
        only that member is unpacked.
    output
        File to write.
    md5, sha256
        32 and 64 hexadecimal digits that the bytes at the source must have (for an archive, those
        of the archive); None checks nothing.
    crc32
        CRC-32 that they must have, 8 hexadecimal digits. It is weak: it shows accidents, and no
        file that somebody changed. Where it is alone, the log says so.
    size_bytes
        Size that the source must have.
    member_md5
        32 hexadecimal digits that a member of an archive must have.
    member_gib
        Size limit of a member of an archive, 2**30 bytes; None takes 64. The limit of a tar that
        is decompressed as a whole (`plain`) is 1024, or this if it is more.
    timeout_s, least_bytes_per_s
        Time limit for each phase of a request to a server, seconds, and lowest rate of a download;
        None takes the defaults of `evreel.acquire.Patience`.
    page
        Web page where a manual source is available, for the message.
    plain
        Decompress a compressed tar once it is verified. Each of many members is found at once in
        a plain tar, but in a compressed one only after reading all before it.
    notes
        Folder where a workflow keeps what was found out about the output; None keeps nothing.

    Returns
    -------
    The MD5 of the recording's bytes. If it is a download for which no checksum is given, a file
    ``<output>.unverified`` says so, and `events` enters it in the store.

    Raises
    ------
    SourceError
        If the source is not available, or its bytes are not the expected ones. What a failed
        download got is kept in ``.evreel-downloads``, and the next run continues it; nothing
        else is left.
    """
    from evreel.acquire import Limits, Patience, decompress, fetch, read_source

    limits = Limits.of_gib(member_gib)
    parsed = read_source(source)
    began = time.perf_counter()
    with atomic(output) as (scratch,):
        got = fetch(
            source,
            scratch,
            md5=md5,
            sha256=sha256,
            crc32=crc32,
            size=size_bytes,
            member_md5=member_md5,
            page=page,
            final=Path(output),
            progress=progress,
            patience=Patience.of(timeout_s, least_bytes_per_s),
            limits=limits,
        )
        unpacked = scratch.with_name(f"{scratch.name}.plain")
        # A link is made for its final place; until then it leads nowhere.
        local = scratch if parsed.members else parsed.path or scratch
        if plain and decompress(local, unpacked, limits=limits, progress=progress):
            unpacked.replace(scratch)
        note = unverified_note(output)
        is_verified = not parsed.urls or bool(md5 or sha256 or crc32 or member_md5)
        if not is_verified:
            told = "no md5 or sha256 was given for it: nothing shows that these are the right bytes"
            LOG.info("%s: %s", Path(output).name, told)
            with atomic(note) as (note_scratch,):  # before what it is about
                note_scratch.write_text(f"{told}\nmd5 {got.md5}\n", encoding="utf-8", newline="\n")
    if is_verified:
        note.unlink(missing_ok=True)
    if crc32 and not (md5 or sha256):
        LOG.info(
            "%s: verified by its CRC-32 alone, a weak sum: it shows damage, and no file that "
            "somebody changed",
            Path(output).name,
        )
    Notes(notes).write(output, Stated(got.md5, got.sha256, got.size, got.crc32))
    took_s = time.perf_counter() - began
    LOG.info(
        "%s: md5 %s%s, %s in %.1f s, %s/s",
        Path(output).name,
        got.md5,
        f", sha256 {got.sha256}" if got.sha256 else "",
        size_text(got.size),
        took_s,
        size_text(got.size / max(took_s, 1e-3)),
    )
    return got.md5
