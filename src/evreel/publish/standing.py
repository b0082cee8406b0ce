"""Whether files that were made ready for a release are still what their records say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from evreel.errors import EvreelError
from evreel.outputs import refused


def forget_changed(files: Iterable[str]) -> Iterator[str]:
    """Let Snakemake make files again that are gone, or were changed after they were made.

    The rule that links them does not have them as input: Snakemake would read each of them after
    each release. It has their records, and the record of a changed file is removed here.

    Parameters
    ----------
    files
        Files that were made ready; neither they nor their records need exist.

    Yields
    ------
    What is said of each changed file.

    Raises
    ------
    EvreelError
        If a record cannot be removed.
    """
    for name in files:
        file, record = Path(name), Path(name).with_suffix(".json")
        try:
            then = record.stat().st_mtime_ns
        except OSError:
            continue
        try:
            problem = "was changed after it was made" if file.stat().st_mtime_ns > then else ""
            if problem and _is_as_recorded(file):  # a copy has a time of its own
                os.utime(record)
                continue
        except OSError:
            problem = "is not there"
        if problem:
            try:
                record.unlink()
            except OSError as error:
                raise refused(record, error) from error
            yield f"{name}: {problem}; it will be made again"


def _is_as_recorded(file: Path) -> bool:
    from evreel.publish.record import Record

    try:
        return Record.beside(file) is not None
    except EvreelError:
        return False
