"""How large recordings are, before they are decoded: what a job of each needs follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evreel.acquire import read_source
from evreel.dataset.dataset import DataSet


def source_sizes(dataset: DataSet) -> Iterator[tuple[str, int]]:
    """Yield each recording and archive with its size in bytes.

    It is that of the file if it is there, else the stated one, else 0.
    """
    wanted = [
        (id_, dataset.recording_file(id_), dataset.acquired(id_)) for id_ in dataset.recordings
    ]
    wanted += [
        (name, f"{dataset.results}/archives/{name}", dataset.acquired_archive(name))
        for name in dataset.archives
    ]
    for about, path, row in wanted:
        source = read_source(row["source"])
        there = path if source.members or source.path is None else source.path
        try:
            yield about, Path(there).stat().st_size
        except OSError:
            yield about, row.get("size_bytes") or 0


def stated_sizes(dataset: DataSet) -> Iterator[tuple[str, int]]:
    """Yield each recording with its size in bytes, as far as it is known before anything is built.

    It is that of a local source, else the stated one, else 0; a recording in an archive has its
    share of that archive.
    """
    shares: dict[str, int] = {}
    for name, rows in dataset.rows_of_archives.items():
        shares[name] = _size_of(dataset.acquired_archive(name)) // len(rows)
    for id_, row in dataset.recordings.items():
        is_member = bool(read_source(row["source"]).members)
        yield id_, shares[dataset.archive_of(row)] if is_member else _size_of(dataset.acquired(id_))


def _size_of(acquired: Mapping[str, Any]) -> int:
    path = read_source(acquired["source"]).path
    if path is not None and path.is_file():
        return path.stat().st_size
    return acquired.get("size_bytes") or 0
