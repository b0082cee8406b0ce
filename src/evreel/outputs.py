"""An output appears under its name only when it is whole.

A file or folder is written under a unique name in ``.evreel-tmp/`` and renamed when done. That
folder is the nearest one that exists beside or above the output (a workflow makes one at the
root of its results); where there is none, one is made beside the output and removed after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

SCRATCH = ".evreel-tmp"


def scratch_folder(path: Path) -> Path:
    """Return the ``.evreel-tmp`` that serves `path`; it need not exist yet.

    Only folders on the same file system count, because a rename can't leave it.
    """
    parent = path.absolute().parent
    device = parent.stat().st_dev
    for folder in (parent, *parent.parents):
        candidate = folder / SCRATCH
        if candidate.is_dir() and candidate.stat().st_dev == device:
            return candidate
    return parent / SCRATCH


def empty_scratch(root: Path) -> None:
    """Make ``root/.evreel-tmp`` an empty folder: what is in it was left by a run that died."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    (root / SCRATCH).mkdir(parents=True)


@contextlib.contextmanager
def atomic(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """Give a scratch path for each final path; rename all when the block ends without an error.

    Parameters
    ----------
    paths
        Final paths of files or folders. Their parent folders are made. What was there before
        stays until the rename, also when the block raises.

    Yields
    ------
    One path a final path, not existing yet, with the same suffixes.
    """
    finals = [Path(path) for path in paths]
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(_scratch_path(final)) for final in finals]
        yield tuple(temporary)
        for path in temporary:
            _sync(path)
        for path, final in zip(temporary, finals, strict=True):
            _replace(path, final)


@contextlib.contextmanager
def _scratch_path(final: Path) -> Iterator[Path]:
    """Give a path of the same name in a folder of its own, and remove that folder after."""
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(final)
    made_here = not scratch.exists()
    own = scratch / uuid.uuid4().hex
    own.mkdir(parents=True)
    try:
        yield own / final.name
    finally:
        shutil.rmtree(own, ignore_errors=True)
        if made_here:
            with contextlib.suppress(OSError):  # another output of this folder is under way
                scratch.rmdir()


def _sync(path: Path) -> None:
    """Flush a file, or every file below a folder, to the disk."""
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _replace(path: Path, final: Path) -> None:
    """Rename `path` to `final`; a folder that stands there is moved aside and removed after."""
    if path.is_dir() and final.is_dir():
        final.rename(path.with_name(path.name + ".replaced"))  # goes with the scratch folder
        path.rename(final)
    else:
        path.replace(final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
