"""How large recordings are, before they are decoded: what a job of each needs follows from that."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet
from evreel.errors import SourceError
from evreel.folders import is_folder, state_of
from evreel.threads import MOST_THREADS

THREAD_BYTES = 250_000_000
"""Bytes of a recording for each thread beyond the first: a second or two of one thread's work."""


def source_sizes(dataset: DataSet) -> Iterator[tuple[str, int]]:
    """Yield each recording and archive with its size in bytes.

    It is that of the file, or of all files of a folder, if it is there, else the stated one or 0.
    """
    for id_ in dataset.recordings:
        yield id_, recording_size(dataset, id_)
    for name in dataset.archives:
        yield name, archive_size(dataset, name)


def recording_size(dataset: DataSet, id_: str) -> int:
    """Return the size of a recording, as `source_sizes` does."""
    return _size(dataset.recording_file(id_), dataset.acquired(id_))


def archive_size(dataset: DataSet, name: str) -> int:
    """Return the size of an archive, as `source_sizes` does."""
    return _size(f"{dataset.results}/archives/{name}", dataset.acquired_archive(name))


@dataclass
class Sizes:
    """How much is read to make something, asked for again and again; 0 where it is not known.

    Parameters
    ----------
    dataset
        It has the recordings.
    fixed
        Nothing is acquired meanwhile, as in a dry run: what is not known is looked for once.
    """

    dataset: DataSet
    fixed: bool = False
    _known: dict[str, int] = field(default_factory=dict)

    def of_recording(self, id_: str) -> int:
        """Return the size of a recording; as long as a member is not there, of its archive."""
        if id_ not in self._known:
            size = recording_size(self.dataset, id_)
            is_there = bool(size)
            row = self.dataset.row(id_)
            if not size and read_source(row["source"]).members:
                size = self.of_archive(self.dataset.archive_of(row))
            if not (is_there or self.fixed):
                return size
            self._known[id_] = size
        return self._known[id_]

    def of_archive(self, name: str) -> int:
        """Return the size of an archive."""
        return archive_size(self.dataset, name)

    def of_all(self) -> int:
        """Return the size of all recordings and archives."""
        return sum(self._all) if self.fixed else sum(size for _, size in source_sizes(self.dataset))

    @property
    def largest(self) -> int:
        """The size of the largest recording or archive, as it is known at first."""
        return 0 if 0 in self._all else max(self._all)

    @functools.cached_property
    def _all(self) -> list[int]:
        return [size for _, size in source_sizes(self.dataset)]


def _size(path: str, row: Mapping[str, Any]) -> int:
    source = read_source(row["source"])
    there = Path(path) if source.members or source.path is None else source.path
    try:
        return state_of(there)[0] if is_folder(there) else there.stat().st_size
    except (OSError, SourceError):
        return row.get("size_bytes") or 0


def threads_for(n_bytes: int) -> int:
    """Return how many threads a job may use, by the size of its recording; 1 if it is not known.

    Short recordings are done side by side, each by one thread, which takes the least time in all.

    Examples
    --------
    >>> [threads_for(n_bytes) for n_bytes in (0, 80_000_000, 1_000_000_000, 300_000_000_000)]
    [1, 1, 5, 16]
    """
    return min(MOST_THREADS, 1 + n_bytes // THREAD_BYTES)
