"""Events as DSEC has them in ``events.h5``: columns of HDF5 with an index of milliseconds.

===============  ================================================================================
events/x, y      (n,) uint16, column, row
events/p         (n,) uint8, 1 ON, 0 OFF
events/t         (n,) uint32, µs since t_offset: the first is 0
ms_to_idx        (m,) uint64, row of the first event at or after each millisecond since t_offset,
                 then n: readers ask for the millisecond after the last event's too
t_offset         int64, µs
events/height,   int64, the sensor's size, which DSEC's own files do not state and RVT looks for
events/width
===============  ================================================================================

Columns are compressed by Zstandard in Blosc, as DSEC's are: readers need HDF5's filter Blosc.

Source: https://dsec.ifi.uzh.ch/data-format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.events import Events
from evreel.exports.one_file import (
    Note,
    counted,
    events_of,
    made_of_parts,
    new_column,
    write_note,
)
from evreel.files import hdf5
from evreel.files.events_store import TimeIndex
from evreel.files.filters import BLOSC, blosc_parameters, blosc_zstd
from evreel.layout import COLUMN_CHUNK, EVENTS
from evreel.outputs import Progress, silent
from evreel.recordings.open import Recording
from evreel.threads import Crew
from evreel.timebase import Int64Array

_TASK_CHUNKS = 2
_LAST_US = (1 << 32) - 1
_TYPES: Mapping[str, np.dtype[Any]] = {
    "x": np.dtype("<u2"),
    "y": np.dtype("<u2"),
    "p": np.dtype("u1"),
    "t": np.dtype("<u4"),
}
_INDEX = np.dtype("<u8")


def write_dsec(
    recording: Recording,
    path: Path,
    *,
    crew: Crew | None = None,
    progress: Progress = silent,
    note: Note | None = None,
) -> dict[str, int]:
    """Write the events of a recording into a new file, as `one_file` says.

    Raises
    ------
    RecordingError
        If an event is 2³² µs, 71 min 35 s, or more after the first one.
    """
    lost: Counter[str] = Counter()
    with hdf5.new_file(path, libver=("earliest", "v110"), track_order=False) as file:
        columns = {name: _Column(file, f"events/{name}", kind) for name, kind in _TYPES.items()}
        ms_to_idx = _Column(file, "ms_to_idx", _INDEX)
        index = TimeIndex(lambda rows: ms_to_idx.append(len(rows), _chunks(rows, _INDEX)))
        hdf5.add(file, EVENTS["events/height"], recording.sensor.height)
        hdf5.add(file, EVENTS["events/width"], recording.sensor.width)
        first_us: int | None = None  # a store that was cropped begins later than its recording

        def pieces() -> Iterator[Events]:
            nonlocal first_us
            for events in events_of(recording, lost):
                if first_us is None and len(events):
                    first_us = int(events.t[0])
                yield events

        def make(part: Events) -> tuple[Int64Array, dict[str, list[bytes]]]:
            assert first_us is not None
            t = part.t - first_us
            if t[-1] > _LAST_US:
                raise RecordingError(
                    f"has an event {t[-1]} µs after the first one; DSEC's files hold times of up "
                    f"to {_LAST_US} µs, 71 min 35 s",
                    path=recording.path,
                    hint="Export parts of it: evreel events --start-us … --stop-us … makes them.",
                )
            values: dict[str, npt.NDArray[Any]] = {"x": part.x, "y": part.y, "p": part.p, "t": t}
            return t, {name: _chunks(values[name], kind) for name, kind in _TYPES.items()}

        rows = _TASK_CHUNKS * COLUMN_CHUNK
        with closing(made_of_parts(pieces(), rows, make, crew, progress)) as parts:
            for part, (t, chunks) in parts:
                for name, column in columns.items():
                    column.append(len(part), chunks[name])
                index.add(t)
        index.finish()
        hdf5.add(file, EVENTS["t_offset"], recording.t_offset + (first_us or 0))
        write_note(file, note, lost)
    return counted(lost)


def _chunks(values: npt.NDArray[Any], kind: np.dtype[Any]) -> list[bytes]:
    """Return the chunks of a column's values; the last one is filled up with zeros."""
    chunks = []
    for begin in range(0, len(values), COLUMN_CHUNK):
        rows = values[begin : begin + COLUMN_CHUNK]
        whole = np.zeros(COLUMN_CHUNK, kind)
        whole[: len(rows)] = rows
        chunks.append(blosc_zstd(whole))
    return chunks


class _Column:
    """A data set that is written in whole chunks, of which only the last may lack rows."""

    def __init__(self, file: h5py.File, name: str, kind: np.dtype[Any]) -> None:
        size = COLUMN_CHUNK * kind.itemsize
        filter_ = BLOSC, blosc_parameters(kind.itemsize, size)
        self._dataset = new_column(file, name, kind, COLUMN_CHUNK, filter_)
        self._n = 0

    def append(self, rows: int, chunks: list[bytes]) -> None:
        """Add chunks, which have this many rows."""
        self._dataset.resize(self._n + rows, axis=0)
        for k, chunk in enumerate(chunks):
            self._dataset.id.write_direct_chunk((self._n + k * COLUMN_CHUNK,), chunk)
        self._n += rows
