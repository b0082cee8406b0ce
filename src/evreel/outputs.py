"""An output appears under its name only when it is whole.

A file or folder is written under a unique name in ``.evreel-tmp/`` and renamed when done. That
folder is the nearest one that exists beside or above the output (a workflow makes one at the
root of its results); where there is none, one is made beside the output and removed after.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evreel.errors import EvreelError, UsageError

SCRATCH = ".evreel-tmp"

Progress = Callable[[int, int | None], None]
"""Called with what is done and the total, which is None where it is not known."""

_KEEP = "kept-by-workflow"
_ATTEMPTS = 100


def silent(done: int, total: int | None) -> None:
    """Show no progress."""


def scratch_folder(path: Path) -> Path:
    """Return the ``.evreel-tmp`` that serves `path`; it need not exist yet.

    Only folders on the same file system count, because a rename can't leave it, and only those
    that this user may write to: another user's may stand in a shared folder such as /tmp.
    """
    parent = path.absolute().parent
    device = parent.stat().st_dev
    for folder in (parent, *parent.parents):
        candidate = folder / SCRATCH
        with contextlib.suppress(OSError):
            status = candidate.stat()
            if (
                stat.S_ISDIR(status.st_mode)
                and status.st_dev == device
                and os.access(candidate, os.W_OK | os.X_OK)
            ):
                return candidate
    return parent / SCRATCH


def empty_scratch(root: Path) -> None:
    """Make ``root/.evreel-tmp`` a folder without leftovers of a run that died.

    It holds one empty file, so that no output's end takes the folder for its own and removes it.
    """
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    (root / SCRATCH).mkdir(parents=True, exist_ok=True)
    (root / SCRATCH / _KEEP).touch()


@contextlib.contextmanager
def atomic(
    *paths: str | Path, inputs: Iterable[str | Path | None] = ()
) -> Iterator[tuple[Path, ...]]:
    """Give a scratch path for each final path; rename all when the block ends without an error.

    Parameters
    ----------
    paths
        Final paths of files, folders or symbolic links. Their parent folders are made. What was
        there before stays until the rename, also when the block raises.
    inputs
        Files that are read meanwhile, none of which may be one of the paths.

    Yields
    ------
    One path a final path, not existing yet, with the same suffixes.

    Raises
    ------
    UsageError
        Where two paths are one, or a path is an input.
    EvreelError
        Where the block left one of its paths unwritten, or a folder stands where a file is to
        go (or a file where a folder is); then none of the paths is renamed.
    """
    finals = [Path(path) for path in paths]
    _check_apart(finals, [Path(path) for path in inputs if path is not None])
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(scratch_path(final)) for final in finals]
        yield tuple(temporary)
        for path, final in zip(temporary, finals, strict=True):
            _check(path, final)
            _sync(path)
        for path, final in zip(temporary, finals, strict=True):
            _replace(path, final)


def _check_apart(finals: list[Path], inputs: list[Path]) -> None:
    """Raise where an output would take the place of another, or of what it is made from."""
    places = [final.absolute() for final in finals]
    for k, final in enumerate(finals):
        if places[k] in places[:k]:
            raise UsageError("two outputs have this name", path=final)
        for path in inputs:
            if final.exists() and path.exists() and final.samefile(path):
                raise UsageError(
                    f"would be written over {path.name}, which it is made from",
                    path=final,
                    hint="Choose another name for the output.",
                )


@contextlib.contextmanager
def scratch_path(final: Path) -> Iterator[Path]:
    """Give a path of the same name in a folder of its own, and remove that folder after."""
    final.parent.mkdir(parents=True, exist_ok=True)
    for attempts_left in reversed(range(_ATTEMPTS)):
        own = scratch_folder(final) / uuid.uuid4().hex
        try:
            own.mkdir(parents=True)
            break
        except FileNotFoundError:
            # Another output's end may remove the scratch folder between its finding and its use.
            if not attempts_left:
                raise
    try:
        yield own / final.name
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: a workflow's, or others are under way
            own.parent.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _check(path: Path, final: Path) -> None:
    """Raise where the rename of `path` to `final` can't work."""
    if not os.path.lexists(path):
        raise EvreelError("was not written by the step that makes it", path=final)
    # One look: another run may move what stands there away meanwhile.
    try:
        standing = stat.S_ISDIR(final.lstat().st_mode)
    except FileNotFoundError:
        return
    if standing != _is_folder(path):
        stands, comes = ("file", "folder") if _is_folder(path) else ("folder", "file")
        raise EvreelError(
            f"a {stands} of this name stands where a {comes} is to be written",
            path=final,
            hint="Move it away, or choose another name for the output.",
        )


def _sync(path: Path) -> None:
    """Flush a file, or a folder and all below it, to the disk; links are left alone."""
    for entry in [*path.rglob("*"), path] if _is_folder(path) else [path]:
        if not entry.is_symlink():
            _sync_entry(entry)


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, final: Path) -> None:
    """Rename `path` to `final`; a folder that stands there is moved aside and removed after."""
    if _is_folder(path):
        _replace_folder(path, final)
    else:
        path.replace(final)
    _sync_entry(final.parent)


def _replace_folder(path: Path, final: Path) -> None:
    """Rename a folder; another run that lands at the same time costs a turn, not an error.

    A folder can't replace a full one in one call, so a kill between the two renames leaves
    nothing under the name.
    """
    while True:
        aside = path.parent / uuid.uuid4().hex  # goes with the scratch folder
        moved = False
        with contextlib.suppress(FileNotFoundError):
            final.rename(aside)
            moved = True
        try:
            path.rename(final)
        except OSError:
            if _is_folder(final):
                continue
            if moved:
                aside.rename(final)
            raise
        return


@contextlib.contextmanager
def atomic_into(folder: str | Path) -> Iterator[Path]:
    """Give a scratch folder; rename each file left in it into `folder` when the block ends.

    For a step whose files are not known beforehand. Files of other names stay.
    """
    folder = Path(folder)
    with scratch_path(folder / "files") as scratch:
        scratch.mkdir()
        yield scratch
        files = sorted(scratch.iterdir())
        for path in files:
            _check(path, folder / path.name)
            _sync(path)
        for path in files:
            _replace(path, folder / path.name)
