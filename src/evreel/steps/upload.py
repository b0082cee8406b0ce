"""A release in an object store."""

from __future__ import annotations

from pathlib import Path

from evreel.errors import ReleaseError
from evreel.outputs import Progress, silent
from evreel.steps.common import LOG
from evreel.text import counted


def upload(release: str | Path, url: str, *, progress: Progress = silent) -> None:
    """Copy a release into an object store, so that whoever copies it back can verify it.

    Files that are there already, with the SHA-256 that the release lists, are not sent again: after
    an upload that was cut, the same call goes on. The manifest is sent last.

    Parameters
    ----------
    release
        The release; it is verified first.
    url
        Where it goes, as ``s3://bucket/folder``: the folder holds what the release holds.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Raises
    ------
    ReleaseError
        If a file is not as the manifest says, or the store's folder has others.
    SourceError
        If the store refuses, or cannot be reached.
    UsageError
        If `url` is not such an address.
    """
    from evreel.acquire.s3 import Folder
    from evreel.release.digests import digests_of, pieces
    from evreel.release.manifest import MANIFEST
    from evreel.release.verify import verify

    root = Path(release)
    folder = Folder(url)
    for difference in verify(root):
        raise ReleaseError(
            str(difference), path=root, hint="evreel verify tells all; build the release again."
        )
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    there = folder.sizes()
    others = sorted(there.keys() - set(paths))
    if others:
        raise ReleaseError(
            f"has {counted(len(others), 'object')} that the release does not have, such as "
            f"{others[0]!r}",
            place=folder.url,
            hint="Remove what is there, or name another folder.",
        )
    sizes = {path: (root / path).stat().st_size for path in paths}
    done, total, sent = 0, sum(sizes.values()), 0
    progress(done, total)
    for path in sorted(paths, key=lambda path: path == MANIFEST):
        _, sums = digests_of(pieces(root / path))
        if there.get(path) != sizes[path] or folder.sha256(path) != sums["sha256"]:
            folder.put(path, root / path, sums["md5"], sums["sha256"])
            sent += 1
        done += sizes[path]
        progress(done, total)
    now = folder.sizes()
    for path in paths:
        if now.get(path) != sizes[path]:
            raise ReleaseError(
                f"has {now.get(path, 0):,} bytes in the store, {sizes[path]:,} here",
                place=f"{folder.url}/{path}",
                hint="Run the same command again.",
            )
    LOG.info("%s: %s, %d of them sent now", folder.url, counted(len(paths), "file"), sent)
