"""How large recordings are, before they are decoded: what a job of each needs follows from that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
