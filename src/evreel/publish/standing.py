"""Whether files that were made ready for a release are still what their records say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from evreel.errors import EvreelError
from evreel.outputs import refused


def forget_changed(files: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Let Snakemake make files again that are gone, or were changed after they were made.

    The rule that links them does not have them as input: Snakemake would read each of them after
    each release. It has their records, and the record of a changed file is removed here.

    Parameters
    ----------
    files
        Each file that was made ready, and the one of the results that it was made from; neither
        they nor their records need exist. Where both are one file, of which a link was enough, a
        change is in both: that file is removed too.

    Yields
    ------
    What is said of each changed file.

    Raises
    ------
    EvreelError
        If a record cannot be removed.
    """
    for name, of in files:
        file, record = Path(name), Path(name).with_suffix(".json")
        try:
            then = record.stat().st_mtime_ns
        except OSError:
            continue
        try:
            problem = "was changed after it was made" if file.stat().st_mtime_ns > then else ""
        except OSError:
            problem = "is not there"
        if problem and _is_as_recorded(file):  # a copy has a time of its own
            with contextlib.suppress(OSError):  # where nothing may be written, it is read again
                os.utime(record)
            continue
        if problem:
            again = "it will be made again"
            if _is_one_file(file, Path(of)):
                again = f"it and {of}, which is the same file, will be made again"
                _remove(Path(of))
            _remove(record)
            yield f"{name}: {problem}; {again}"


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise refused(path, error) from error


def _is_one_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_as_recorded(file: Path) -> bool:
    from evreel.publish.record import Record

    try:
        return Record.beside(file) is not None
    except EvreelError:
        return False
