"""A release in tar files, and back."""

from __future__ import annotations

from pathlib import Path

from evreel.errors import UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.release.shards import SHARDS, ShardSettings
from evreel.steps.common import LOG

_BYTES_PER_GB = 1_000_000_000


def shards(
    release: str | Path,
    folder: str | Path,
    settings: ShardSettings | None = None,
    *,
    progress: Progress = silent,
) -> None:
    """Pack a release into tar files that WebDataset reads.

    Parameters
    ----------
    release
        The release; each of its files is compared with its manifest.
    folder
        Where to write. Older shards there are replaced as a whole, any other folder is not.
    settings
        How large shards are.

    Raises
    ------
    ReleaseError
        If a file is not as the manifest says.
    """
    from evreel.release.shards import write_shards

    settings = settings or ShardSettings()
    if Path(folder).resolve().is_relative_to(Path(release).resolve()):
        raise UsageError(
            "is inside the release, which it would change",
            path=folder,
            hint="Name a folder elsewhere.",
        )
    _check_replaceable(Path(folder), SHARDS)
    size_bytes = int(settings.size_gb * _BYTES_PER_GB)
    with atomic(folder) as (scratch,):
        written = write_shards(release, scratch, size_bytes, progress=progress)
        large = [shard for shard in written if (scratch / shard.name).stat().st_size > size_bytes]
    if large:
        LOG.warning(
            "%s: larger than %g GB, because a recording is not divided%s",
            large[0].name,
            settings.size_gb,
            f"; so are {len(large) - 1} more" if len(large) > 1 else "",
        )
    LOG.info("%s: %d shards", Path(folder).name, len(written))


def unpack(folder: str | Path, release: str | Path, *, progress: Progress = silent) -> None:
    """Restore the release that shards were made of, byte for byte.

    Parameters
    ----------
    folder
        The shards, and what lies beside them.
    release
        The release to make: a new or empty folder.

    Raises
    ------
    ReleaseError
        If a shard is missing or has other bytes.
    """
    from evreel.release.shards import unpack as restore

    _check_replaceable(Path(release))
    with atomic(release) as (scratch,):
        restore(folder, scratch, progress=progress)


def _check_replaceable(folder: Path, mark: str | None = None) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if mark is None or not (folder / mark).is_file():
        raise UsageError(
            "is a folder that contains other files",
            path=folder,
            hint="Name a new or empty folder.",
        )
