"""Many recordings: found by wildcards, each with a name of its own, done by several workers."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evreel.errors import EvreelError, UsageError
from evreel.layout import BOXES_SUFFIX
from evreel.outputs import Progress, silent
from evreel.steps.common import memory_error, os_error
from evreel.text import nfc


@dataclass(frozen=True)
class Outcome:
    """What became of a recording.

    Parameters
    ----------
    path
        The recording.
    name
        What its files are called.
    state
        ``made``: at least one of its files is new; ``kept``: all were complete and the same;
        ``failed``.
    error
        Why it failed.
    """

    path: Path
    name: str
    state: Literal["made", "kept", "failed"]
    error: EvreelError | None = None


def files_of(patterns: Iterable[str | Path], *, but: str | None = None) -> list[Path]:
    """Return the files that names and wildcards stand for, each once.

    A file or folder whose own name has ``*``, ``?`` or ``[`` is that one. ``**`` stands for any
    folders. Wildcards leave out folders, and files whose names end with `but`.

    Raises
    ------
    UsageError
        If nothing fits a wildcard.
    """
    paths: dict[str, Path] = {}
    for given in patterns:
        pattern = os.fspath(given)
        here = [Path(pattern)]
        if glob.has_magic(pattern) and not os.path.lexists(pattern):
            every = map(Path, sorted(glob.glob(_literal(pattern), recursive=True)))  # noqa: PTH207 (any root)
            here = [path for path in every if path.is_file()]
            if but is not None:
                here = [path for path in here if not path.name.endswith(but)]
            if not here:
                raise UsageError(
                    "no file fits it", place=pattern, hint="Check the folder and the wildcard."
                )
        for path in here:
            paths.setdefault(os.path.abspath(path), path)  # noqa: PTH100 (a link is not its target)
    return list(paths.values())


def _literal(pattern: str) -> str:
    """Return a pattern whose first folders, as far as they are there, stand for themselves."""
    *folders, last = Path(pattern).parts
    here, n = Path(), 0
    while n < len(folders) and os.path.lexists(here / folders[n]):
        here, n = here / folders[n], n + 1
    return os.path.join(glob.escape(str(here)), *folders[n:], last)  # noqa: PTH118 (`**` stays)


def by_name(
    paths: Sequence[Path], name_of: Callable[[Path], str] = lambda path: path.stem
) -> dict[str, Path]:
    """Return name → recording: what the files made of each are called.

    Raises
    ------
    UsageError
        If two recordings have the same name.
    """
    names: dict[str, Path] = {}
    for path in paths:
        name = nfc(name_of(path))
        if name in names:
            raise UsageError(
                f"two files would both become {name}.h5: {names[name]} and {path}",
                hint="Give them to runs of their own, with other output folders, or rename one.",
            )
        names[name] = path
    return names


def without_marks(path: Path) -> str:
    """Return a recording's name as Metavision's tools take it: up to the first dot, no _td or _cd.

    Examples
    --------
    >>> without_marks(Path("day/17-04_13_td.dat")), without_marks(Path("a.b.raw"))
    ('17-04_13', 'a')
    """
    name = path.name.split(".")[0] or path.stem
    for mark in ("_td", "_cd"):
        if name != mark:
            name = name.removesuffix(mark)
    return name


def boxes_by_name(boxes: Sequence[Path], names: Mapping[str, Path]) -> dict[str, Path]:
    """Return name of a recording → its file of boxes.

    ``park_bbox.npy`` belongs to ``park.raw``, ``park_td.dat`` or ``park_cd.raw``. Of one recording
    and one file of boxes, each belongs to the other.

    Raises
    ------
    UsageError
        If a file of boxes belongs to no recording or to several, or two belong to one.
    """
    if len(boxes) == len(names) == 1:
        return dict(zip(names, boxes, strict=True))
    owners: dict[str, list[str]] = {}
    for name, path in names.items():
        for key in {name, nfc(path.stem), nfc(without_marks(path))}:
            owners.setdefault(key, []).append(name)
    given: dict[str, Path] = {}
    for path in boxes:
        key = nfc(path.name.removesuffix(".npy").removesuffix("_bbox"))
        of = owners.get(key, [])
        if len(of) != 1:
            problem = f"could belong to {' and '.join(of)}" if of else "belongs to no recording"
            raise UsageError(
                problem, path=path, hint=f"Boxes are found by name: <recording>{BOXES_SUFFIX}."
            )
        if of[0] in given:
            raise UsageError(f"{of[0]} has other boxes too: {given[of[0]]}", path=path)
        given[of[0]] = path
    return given


class StoppedError(Exception):
    """The run is over for all workers: one was interrupted, or has found a fault of ours."""


class _Meter:
    """Progress of several workers as one number: bytes of recordings that are done."""

    def __init__(self, sizes: Mapping[str, int], progress: Progress) -> None:
        self._sizes = sizes
        self._total = sum(sizes.values())
        self._done = dict.fromkeys(sizes, 0)
        self._in_all = 0
        self._progress = progress
        self._lock = threading.Lock()
        self._is_over = False

    def of(self, name: str) -> Progress:
        """Return the progress of one recording: how much of how much is done."""

        def progress(done: int, total: int | None) -> None:
            if self._is_over:
                raise StoppedError
            if total:
                self.set(name, done / total)

        return progress

    def set(self, name: str, share: float) -> None:
        """Say which share of a recording is done."""
        with self._lock:
            done = round(self._sizes[name] * min(share, 1))
            self._in_all += done - self._done[name]
            self._done[name] = done
            self._progress(self._in_all, self._total)

    def stop(self) -> None:
        """Let each worker end where it next says how far it is."""
        self._is_over = True


def each_on_its_own(
    names: Mapping[str, Path],
    make: Callable[[str, Path, Progress], bool],
    *,
    workers: int = 1,
    progress: Progress = silent,
) -> Iterator[Outcome]:
    """Yield what becomes of each recording, in the order in which they are done.

    An error of one recording is its own: the others go on.

    Parameters
    ----------
    names
        Name → recording.
    make
        Function of name, recording and progress, which returns whether it made anything; it is
        called in threads.
    workers
        Recordings at a time.
    progress
        Called with bytes of recordings.
    """
    sizes = {name: _size(path) for name, path in names.items()}
    meter = _Meter(sizes, progress)

    def run(name: str, path: Path) -> Outcome:
        of_this = meter.of(name)
        of_this(0, None)  # raises if the run is over
        try:
            made = make(name, path, of_this)
        except EvreelError as error:
            return Outcome(path, name, "failed", error)
        except OSError as error:
            return Outcome(path, name, "failed", EvreelError(os_error(error)))
        except MemoryError as error:
            return Outcome(path, name, "failed", EvreelError(memory_error(error)))
        except BaseException:
            meter.stop()
            raise
        return Outcome(path, name, "made" if made else "kept")

    with ThreadPoolExecutor(workers, "features") as pool:
        going: set[Future[Outcome]] = {pool.submit(run, *item) for item in names.items()}
        try:
            while going:
                done, going = wait(going, return_when=FIRST_COMPLETED)
                for future in done:
                    if isinstance(future.exception(), StoppedError):
                        continue  # because of the error of another one
                    outcome = future.result()
                    meter.set(outcome.name, 1)
                    yield outcome
        finally:
            meter.stop()
            pool.shutdown(wait=True, cancel_futures=True)


def _size(path: Path) -> int:
    try:
        return max(path.stat().st_size, 1)
    except OSError:
        return 1
