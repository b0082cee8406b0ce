"""Opening HDF5 files: as a recording that others made, or as an events store."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from evreel.errors import UsageError
from evreel.events import Sensor
from evreel.files.events_store import EventsStore
from evreel.files.filters import ECF
from evreel.files.hdf5 import open_hdf5
from evreel.files.hdf5 import reading as reading_hdf5
from evreel.files.seal import is_sealed
from evreel.recordings.hdf5 import data_sets
from evreel.recordings.hdf5.read import (
    COLUMNS,
    RECORDS,
    SIZES,
    TRIGGERS,
    Hdf5ColumnsRecording,
    Hdf5DeclaredRecording,
    Hdf5Recording,
    Hdf5RecordsRecording,
)
from evreel.recordings.open import STRICT, Reading

_ORIGIN = "evreel-"  # layouts of evreel's own files begin so
NAMES = (*COLUMNS, *SIZES, "t_offset", RECORDS, TRIGGERS)
"""Data sets of the layouts that are known."""


def _says_ours(path: Path) -> bool:
    """Return whether a file says that it is evreel's; only sealed files are opened for that."""
    try:
        if not is_sealed(path):
            return False
    except OSError:
        return False
    with open_hdf5(path) as opened, reading_hdf5(path, "its layout"):
        return str(opened.attrs.get("layout")).startswith(_ORIGIN)


def open_foreign(
    path: str | Path,
    *,
    stream: int | str | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
    threads: int | None = None,
) -> Hdf5Recording | EventsStore:
    """Open an HDF5 file as the recording that it holds, or as the events store that it is.

    Parameters
    ----------
    path, stream, sensor, reading, threads
        As `evreel.recordings.open_recording` takes them.

    Raises
    ------
    UnknownFormatError
        If it is neither.
    """
    path = Path(path)
    found = None if _says_ours(path) else data_sets.look(path, *NAMES)
    if found is None or (found.attributes["layout"] or "").startswith(_ORIGIN):
        if stream is not None:
            raise UsageError("has only one stream of events; leave stream out", path=path)
        if reading.columns is not None:
            raise UsageError("is an events store, whose columns are known: declare none", path=path)
        return EventsStore(path)
    kind: Callable[..., Hdf5Recording]
    if reading.columns is not None:
        kind = Hdf5DeclaredRecording
    elif any(name in found.sets for name in COLUMNS):
        kind = Hdf5ColumnsRecording
        for name in COLUMNS:
            if name not in found.sets:
                raise data_sets.unknown(path, f"has no data set {name}")
    elif [number for number, _ in found.sets.get(RECORDS, {}).get("filters", [])] == [ECF]:
        from evreel.recordings.hdf5.ecf import EcfRecording

        kind = functools.partial(EcfRecording, threads=threads)
    elif RECORDS in found.sets:
        kind = Hdf5RecordsRecording
    else:
        raise data_sets.unknown(path, "is an HDF5 file of no known layout")
    return kind(path, stream=stream, sensor=sensor, reading=reading, looked=found)
