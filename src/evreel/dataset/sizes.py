"""How large recordings are, before they are decoded: what a job of each needs follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet
from evreel.threads import MOST

THREAD_BYTES = 250_000_000
"""Bytes of a recording for each thread beyond the first: a second or two of one thread's work."""


def source_sizes(dataset: DataSet) -> Iterator[tuple[str, int]]:
    """Yield each recording and archive with its size in bytes.

    It is that of the file if it is there, else the stated one, else 0.
    """
    for id_ in dataset.recordings:
        yield id_, recording_size(dataset, id_)
    for name in dataset.archives:
        path = f"{dataset.results}/archives/{name}"
        yield name, _size(path, dataset.acquired_archive(name))


def recording_size(dataset: DataSet, id_: str) -> int:
    """Return the size of a recording, as `source_sizes` does."""
    return _size(dataset.recording_file(id_), dataset.acquired(id_))


def _size(path: str, row: Mapping[str, Any]) -> int:
    source = read_source(row["source"])
    there = path if source.members or source.path is None else source.path
    try:
        return Path(there).stat().st_size
    except OSError:
        return row.get("size_bytes") or 0


def threads_for(n_bytes: int) -> int:
    """Return how many threads a job may use, by the size of its recording; 1 if it is not known.

    Short recordings are done side by side, each by one thread, which takes the least time in all.

    Examples
    --------
    >>> [threads_for(n_bytes) for n_bytes in (0, 80_000_000, 1_000_000_000, 300_000_000_000)]
    [1, 1, 5, 16]
    """
    return min(MOST, 1 + n_bytes // THREAD_BYTES)
