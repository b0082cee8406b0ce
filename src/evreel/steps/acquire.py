"""A recording, or an archive of some, from its source, verified."""

from __future__ import annotations

import time
from pathlib import Path

from evreel.outputs import Progress, atomic, silent
from evreel.steps.common import LOG


def acquire(
    source: str,
    output: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size_bytes: int | None = None,
    member_md5: str | None = None,
    member_gib: float | None = None,
    page: str | None = None,
    plain: bool = False,
    progress: Progress = silent,
) -> str:
    """Get a recording, or an archive of some, and check its sums.

    Parameters
    ----------
    source
        Path; or ``manual:`` and the path where a person puts what needs a login; or http(s) urls
        of the same bytes, set apart by ``|``. A local file becomes a relative link, never a copy.
        Behind it may stand ``!`` and the name of a member, where the file is an archive: that is
        unpacked alone.
    output
        Where it goes.
    md5, sha256
        32 and 64 hexadecimal digits that the bytes at the source must have, so those of an
        archive where it is one; None checks nothing.
    size_bytes
        What the source must have.
    member_md5
        32 hexadecimal digits that a member of an archive must have.
    member_gib
        The most that a member of an archive may have, 2**30 bytes; None takes 64. A tar that is
        decompressed as a whole (`plain`) may have 1024, or this where it is more.
    page
        Web page where a manual source is to be had, for the message.
    plain
        Decompress a tar that is compressed as a whole, once it is verified: in a plain one, each
        of many members is found at once, in a compressed one only behind all before it.

    Returns
    -------
    The MD5 of the recording's bytes.

    Raises
    ------
    SourceError
        Where the source can't be had, or its bytes are others. What came of a download is kept in
        ``.evreel-downloads``, where the next run goes on; else nothing is left.
    """
    from evreel.acquire import Limits, decompress, fetch, read_source

    limits = Limits.of_gib(member_gib)
    began = time.perf_counter()
    with atomic(output) as (scratch,):
        got = fetch(
            source,
            scratch,
            md5=md5,
            sha256=sha256,
            size=size_bytes,
            member_md5=member_md5,
            page=page,
            final=Path(output),
            progress=progress,
            limits=limits,
        )
        unpacked = scratch.with_name(f"{scratch.name}.plain")
        parsed = read_source(source)
        # A link is made for its final place; until then it leads nowhere.
        local = scratch if parsed.members else parsed.path or scratch
        if plain and decompress(local, unpacked, limits=limits, progress=progress):
            unpacked.replace(scratch)
    took_s = time.perf_counter() - began
    megabytes = got.size / 1e6
    LOG.info(
        "%s: md5 %s%s, %.1f MB in %.1f s, %.1f MB/s",
        Path(output).name,
        got.md5,
        f", sha256 {got.sha256}" if got.sha256 else "",
        megabytes,
        took_s,
        megabytes / max(took_s, 1e-3),
    )
    return got.md5
