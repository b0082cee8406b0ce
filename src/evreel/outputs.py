"""An output appears under its name only when it is whole.

A file or folder is written under a unique name in ``.evreel-tmp/`` and renamed when done. That
folder is the nearest one that exists beside or above the output (a workflow makes one at the
root of its results); if there is none, one is made beside the output and removed afterwards. What
a command that was killed left there is removed by the next one that writes there: a lock on a file
beside each folder, which the system releases with the process, tells whether it is still in use.

Each run of a workflow has its own folder in there, named by the environment variable
``EVREEL_RUN``, which jobs inherit. When the next run starts, it takes that folder away by one
rename, and no job makes it again. So a job that outlives its killed workflow can no longer publish
anything: its renames start from a path that is gone. These gaps remain:

- A takeover exactly between two renames: of two outputs of one step only one may be new. Snakemake
  makes both again, because the job never ended.
- A kill while a folder is replaced where the system cannot exchange two folders in one call (other
  than Linux, some network disks): nothing is under its name until the next run puts the older one
  back.
- A takeover exactly between a job's check that its run is the newest and its next action outside
  the folder: the job may leave an empty folder above an output, or start a log again.
- Jobs that did not inherit the variable, parts of the results on another file system than their
  root, and results whose ``.evreel-tmp`` was removed by hand work as without a workflow: the last
  rename wins.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import re
import shutil
import signal
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from evreel.errors import EvreelError, UsageError
from evreel.system import lock

SCRATCH = ".evreel-tmp"
RUN = "EVREEL_RUN"
"""The environment variable with the name of a workflow run's folder in the scratch folder."""

Progress = Callable[[int, int | None], None]
"""Called with the amount done and the total, None if unknown."""

_KEEP = "kept-by-workflow"
_ASIDE, _ASIDE_OF = "aside", "aside-of"
"""A folder that was moved aside for a newer one, and the file that says where it was."""
_EXCHANGE = 2
"""RENAME_EXCHANGE of renameat2."""
_NO_FOLDER_IS_OPEN = -100
"""AT_FDCWD: paths start at the working directory."""
_ATTEMPTS = 100
_TRIES, _BETWEEN_S = 3, 0.05
"""How often a lock is tried that is held for a moment only, and the time between."""
_RUN_NAME = re.compile("[0-9a-f]{32}")


def silent(done: int, total: int | None) -> None:
    """Show no progress."""


def scratch_folder(path: Path) -> Path:
    """Return the ``.evreel-tmp`` that serves `path`; it need not exist yet.

    Only folders on the same file system count, because a rename cannot leave it, and only those
    that this user may write to: a shared folder such as /tmp may have another user's.
    """
    return next(_scratch_folders(path), path.absolute().parent / SCRATCH)


def _scratch_folders(path: Path) -> Iterator[Path]:
    """Yield the folders that could serve `path`, the nearest one first."""
    parent = path.absolute().parent
    standing = next(folder for folder in (parent, *parent.parents) if folder.exists())
    device = standing.stat().st_dev
    for folder in (standing, *standing.parents):
        candidate = folder / SCRATCH
        with contextlib.suppress(OSError):
            status = candidate.stat()
            if (
                stat.S_ISDIR(status.st_mode)
                and status.st_dev == device
                and os.access(candidate, os.W_OK | os.X_OK)
            ):
                yield candidate


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system calls it when a disk is full, or what a user may have of it."""
MAKE_ROOM = "Make room on the disk, and run again."
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def if_full(error: OSError) -> str | None:
    """Return `MAKE_ROOM` if an error says that a disk is full, for a hint; else None."""
    return MAKE_ROOM if error.errno in FULL else None


def refused(path: Path, error: OSError) -> EvreelError:
    """Return the error that says why the system lets nothing be written at `path`."""
    at = "" if error.filename in (None, str(path)) else f" ({error.filename})"
    hint = "Choose another place for the output."
    if error.errno in FULL:
        hint = MAKE_ROOM
    elif error.errno in _NO_FOLDER:
        hint = "A folder is needed there: move away the file or link of that name."
    elif error.errno in _CLOSED:
        hint = "Give yourself permission to write there, or choose another place for the output."
    problem = f"cannot be written: {error.strerror or type(error).__name__}{at}"
    return EvreelError(problem, place=str(path), hint=hint)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into an error that names the output."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from error


def check_folder(root: Path) -> None:
    """Raise if something in the way keeps `root` from being a folder, or becoming one.

    Raises
    ------
    EvreelError
        If it, or a folder above it, is a file, or a link that leads nowhere; or there is such a
        link in it, of a name without a suffix.
    """
    with _writing(root):
        inside = root.iterdir() if root.is_dir() else ()
        links = [place for place in inside if place.is_symlink() and not place.suffix]
        for place in (*(link for link in links if not link.exists()), root, *root.parents):
            if place.is_dir():
                return
            if os.path.lexists(place):
                code = errno.ENOTDIR
                raise NotADirectoryError(code, os.strerror(code), str(place))


def check_writable(folder: Path) -> None:
    """Raise if files cannot be made in a folder, or in the one that it would be made in.

    Raises
    ------
    EvreelError
        If the system forbids it.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    if not os.access(there, os.W_OK | os.X_OK):
        raise EvreelError(
            "cannot be written: no permission to make files there",
            place=str(there),
            hint="Give yourself permission to write there, or run in a copy of the folder.",
        )


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that nothing half-written stays.

    Signals that somebody handles or ignores already are left alone, as are those of a thread.
    """

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = signal.Signals.__members__.get(name)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # only the main thread may ask for it
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_running(root: Path) -> bool:
    """Tell whether a run of the workflow that is at work holds the results in `root`."""
    try:
        with (root / SCRATCH / _KEEP).open("r+b") as file:
            _lock(file)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def hold_run(root: Path) -> IO[bytes] | None:
    """Hold the results in `root` for the run of a workflow.

    Snakemake's own lock is of its working folder, is not there yet in the first moments of a run,
    and stays when a run is killed. This one the system releases with the process.

    Returns
    -------
    The file to keep open meanwhile; None where the system has no locks.

    Raises
    ------
    EvreelError
        If another run holds them, or nothing can be written there.
    """
    with _writing(root):
        (root / SCRATCH).mkdir(parents=True, exist_ok=True)
        file = (root / SCRATCH / _KEEP).open("ab")
    try:
        _lock_soon(file)
    except BlockingIOError as error:
        file.close()
        raise EvreelError(
            "another run is using this folder",
            place=str(root),
            hint="Wait until it has ended, then run the same command again.",
        ) from error
    except OSError:
        file.close()
        return None
    return file


def _lock_soon(file: IO[bytes]) -> None:
    """Lock a file, which `is_running` may have for a moment."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return _lock(file)
        time.sleep(_BETWEEN_S)
    return _lock(file)


def start_run(root: Path, *logs: Path, name: str | None = None) -> str:
    """Take over ``root/.evreel-tmp`` for a new run of a workflow.

    What earlier runs left there is removed; their jobs that still write lose their output.

    Parameters
    ----------
    logs
        Folders with a folder for each rule, in which files have to be written; they need not exist.
    name
        The run's name if it has taken over other results too, 32 hexadecimal digits; None makes a
        new one.

    Returns
    -------
    The run's name, which its jobs must find in the environment as ``EVREEL_RUN``.

    Raises
    ------
    EvreelError
        If nothing can be written there.
    """
    for folder in logs:
        with _writing(folder):
            inner = folder.iterdir() if folder.is_dir() else ()
            for place in (folder, *inner):
                if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    with _writing(root):
        return _start_run(root, name or uuid.uuid4().hex)


def end_run(root: Path) -> None:
    """Remove what jobs of this run left in its scratch folder that were killed; no job may run."""
    folder = root / SCRATCH / os.environ[RUN]
    with contextlib.suppress(OSError):
        for left in folder.iterdir():
            if left.name != _KEEP:
                shutil.rmtree(left, ignore_errors=True)


def _start_run(root: Path, run: str) -> str:
    scratch = root / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    # A file that stays in each folder: no finished output then removes the folder as its own, and
    # a folder of that name that a late job made again can be distinguished.
    (scratch / _KEEP).touch()
    (scratch / run).mkdir()
    (scratch / run / _KEEP).touch()
    for old in [path for path in scratch.iterdir() if path.name not in (_KEEP, run)]:
        # Rename first: while a tree is being removed, jobs could still publish files from it.
        gone = scratch / uuid.uuid4().hex
        _put_back(root, old)
        with contextlib.suppress(FileNotFoundError):  # its own output finished and removed it
            old.rename(gone)
            if _is_folder(gone):
                shutil.rmtree(gone, ignore_errors=True)
            else:
                gone.unlink()
    return run


def _put_back(root: Path, old: Path) -> None:
    """Put back the folders that an earlier run moved aside, if nothing came in their place."""
    for note in old.glob(f"*/{_ASIDE_OF}"):
        with contextlib.suppress(OSError, ValueError):
            final = root / note.read_text(encoding="utf-8")
            if not final.exists():
                (note.parent / _ASIDE).rename(final)


def check_wanted(path: Path) -> None:
    """Raise if a newer run of the workflow has started than this job's.

    Parameters
    ----------
    path
        Path to write below the results of the workflow; other paths are always wanted.

    Raises
    ------
    EvreelError
        If a newer run has started.
    """
    run = _run_folder(path)
    if run is not None:
        _check_newest(run, path)


def _run_folder(path: Path) -> Path | None:
    """Return the folder of this job's run that serves `path`, even if it no longer exists."""
    if not _RUN_NAME.fullmatch(os.environ.get(RUN, "")):
        return None
    kept = (folder for folder in _scratch_folders(path) if (folder / _KEEP).exists())
    return next((folder / os.environ[RUN] for folder in kept), None)


def _check_newest(folder: Path, path: Path) -> None:
    """Raise if `folder` is the one of this job's run, and was taken away."""
    if folder.name == os.environ.get(RUN) and not (folder / _KEEP).exists():
        raise EvreelError(
            f"another run has started in {folder.parent.parent}; this job's output is no longer "
            "wanted",
            path=path,
        )


@contextlib.contextmanager
def atomic(
    *paths: str | Path, inputs: Iterable[str | Path | None] = ()
) -> Iterator[tuple[Path, ...]]:
    """Give a scratch path for each final path; rename all when the block ends without an error.

    Parameters
    ----------
    paths
        Final paths of files, folders or symbolic links. Their parent folders are made. What was
        there before stays until the rename, even if the block raises.
    inputs
        Files that the block reads; none of them may be one of the paths.

    Yields
    ------
    One path per final path, not existing yet, with the same suffixes.

    Raises
    ------
    UsageError
        If two paths are the same, or a path is an input.
    EvreelError
        If the system lets nothing be written there; the block left one of its paths unwritten, a
        folder is in the place of a file (or a file
        in the place of a folder), or a newer run of the workflow has started; then none of the
        paths is renamed.
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
            # A writer that makes the folders above its path may have made the run's again.
            _check_newest(path.parent.parent, final)
        for path, final in zip(temporary, finals, strict=True):
            _replace(path, final)


def _check_apart(finals: list[Path], inputs: list[Path]) -> None:
    """Raise if an output would overwrite another, or its own input."""
    places = [final.absolute() for final in finals]
    for k, final in enumerate(finals):
        if places[k] in places[:k]:
            raise UsageError("two outputs have this name", path=final)
        for path in inputs:
            if final.exists() and path.exists() and final.samefile(path):
                raise UsageError(
                    f"would overwrite {path.name}, from which it is made",
                    path=final,
                    hint="Choose another name for the output.",
                )


@contextlib.contextmanager
def scratch_path(final: Path) -> Iterator[Path]:
    """Give a path of the same name in a folder of its own, and remove that folder afterwards.

    Raises
    ------
    EvreelError
        If no file can be made beside `final`, or a newer run of the workflow has started; the
        latter also replaces any error that it caused in the block.
    """
    with _writing(final):
        check_wanted(final)
        final.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise EvreelError(
            "cannot be written: no permission to make files in its folder",
            path=final,
            hint="Choose another folder for the output.",
        )
    with _writing(final):
        run = _run_folder(final)
        own, held = _own_folder(final) if run is None else (run / uuid.uuid4().hex, None)
    try:
        if run is not None:
            with _writing(final):
                own.mkdir()  # and not the run's folder
        yield own / final.name
    except Exception:
        _check_newest(own.parent, final)
        raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: a workflow's, or used by other outputs
            if held is not None:
                Path(held.name).unlink(missing_ok=True)
                held.close()
            own.parent.rmdir()


def _own_folder(final: Path) -> tuple[Path, IO[bytes] | None]:
    """Make a folder in the scratch folder that serves `final`, and that one if there is none.

    Returns
    -------
    The folder, and the open file that tells others that it is in use.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        own = scratch_folder(final) / uuid.uuid4().hex
        try:
            own.parent.mkdir(parents=True, exist_ok=True)
            held = _hold(own)
            own.mkdir()
            break
        except (FileNotFoundError, FileExistsError):
            # Another output may finish and remove the scratch folder before it is used here. Where
            # that comes while it is made, `mkdir` says that it exists, and finds no folder.
            if not attempts_left:
                raise
    _remove_dead(own.parent)
    return own, held


def _hold(own: Path) -> IO[bytes] | None:
    """Lock a file beside a folder to be made; None where there are no locks: it is then kept."""
    path = own.with_name(f"{own.name}{_held()}")
    file = path.open("xb")
    try:
        _lock(file)
        # Who saw it before it was locked may have removed it; the folder was not there then.
        if path.exists():
            return file
    except OSError:
        file.close()  # Windows removes no open file
        path.unlink(missing_ok=True)
        return None
    file.close()
    return None


def _held() -> str:
    """Return how the name of such a file ends: others tell of processes of this machine alone."""
    return f".{platform.node()}.in-use"


def _lock(file: IO[bytes]) -> None:
    """Lock a file for this process; `OSError` if another one has it, or there are no locks."""
    if not lock(file):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _remove_dead(scratch: Path) -> None:
    """Remove what commands left in a scratch folder that were killed on this machine."""
    for path in scratch.iterdir():
        own = path.with_name(path.name.removesuffix(_held()))
        if own != path:
            with contextlib.suppress(OSError), path.open("r+b") as file:
                _lock(file)
                shutil.rmtree(own, ignore_errors=True)
                path.unlink()


def remove_leftovers(final: Path) -> None:
    """Remove what killed commands left beside an output that is kept, as one that is made would."""
    scratch = scratch_folder(final)
    with contextlib.suppress(OSError):  # there is none, or it is a workflow's or used by others
        _remove_dead(scratch)
        scratch.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _check(path: Path, final: Path) -> None:
    """Raise if the rename of `path` to `final` cannot work."""
    if not os.path.lexists(path):
        raise EvreelError("was not written by the step that makes it", path=final)
    # One call: another run may move it away meanwhile.
    try:
        standing = stat.S_ISDIR(final.lstat().st_mode)
    except FileNotFoundError:
        return
    if standing != _is_folder(path):
        there, needed = ("file", "folder") if _is_folder(path) else ("folder", "file")
        raise EvreelError(
            f"a {there} of this name already exists; a {needed} is to be written",
            path=final,
            hint="Move it away, or choose another name for the output.",
        )


def _sync(path: Path) -> None:
    """Flush a file, or a folder and all below it, to the disk; links are left alone."""
    for entry in [*path.rglob("*"), path] if _is_folder(path) else [path]:
        if not entry.is_symlink():
            _sync_entry(entry)


def _sync_entry(path: Path) -> None:
    if os.name == "nt":  # it flushes no folder, and only a file that is open to be written
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, final: Path) -> None:
    """Rename `path` to `final`; a folder that is there is moved aside and removed afterwards."""
    if _is_folder(path):
        _replace_folder(path, final)
    else:
        path.replace(final)
    _sync_entry(final.parent)


def _replace_folder(path: Path, final: Path) -> None:
    """Exchange two folders; the older one is then removed with the scratch folder.

    Where the system cannot do that, rename both; if another run does so meanwhile, try again.
    """
    if _exchanged(path, final):
        return
    while True:
        aside = path.parent / _ASIDE
        moved = False
        with contextlib.suppress(FileNotFoundError):
            # Run, its folder for this output: the results' root is above the scratch folder.
            root = path.parents[3] if path.parents[2].name == SCRATCH else None
            if root is not None and final.absolute().is_relative_to(root.absolute()):
                place = final.absolute().relative_to(root.absolute())
                (path.parent / _ASIDE_OF).write_text(str(place), encoding="utf-8", newline="\n")
            final.rename(aside)
            moved = True
        try:
            path.rename(final)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another was faster
                continue
            if moved:
                aside.rename(final)
            raise
        return


def _exchanged(path: Path, final: Path) -> bool:
    """Exchange two folders in one call, if both are there and the system can."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):  # not Linux, or an old C library
        return False
    at = _NO_FOLDER_IS_OPEN
    failed = renameat2(at, os.fsencode(path), at, os.fsencode(final), _EXCHANGE)
    return bool(failed == 0)


@contextlib.contextmanager
def atomic_into(folder: str | Path) -> Iterator[Path]:
    """Give a scratch folder; rename each file left in it into `folder` when the block ends.

    For a step whose files are not known in advance. Files with other names stay.
    """
    folder = Path(folder)
    with scratch_path(folder / "files") as scratch:
        with _writing(folder):
            scratch.mkdir()
        yield scratch
        files = sorted(scratch.iterdir())
        for path in files:
            _check(path, folder / path.name)
            _sync(path)
        _check_newest(scratch.parent.parent, folder)
        for path in files:
            _replace(path, folder / path.name)
