"""Events as Metavision's HDF5 event files have them, compressed by its codec ECF.

`evreel.recordings.hdf5.read` lists the data sets, `evreel.kernels.ecf` describes the codec. Of
``CD/indexes``, entry k + 1 is the first event at or after k times 2,000 µs since the first one: its
row, and its time since then; entry 0 is (0, −1). Each chunk is packed in the way that is shortest,
which Metavision's own codec does not always take.

Source: https://docs.prophesee.ai, HDF5 event file format.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.events import Events, Triggers
from evreel.exports.one_file import (
    NO_EDGES,
    Note,
    check_size,
    check_times,
    counted,
    events_of,
    made_of_parts,
    new_column,
    since_0,
    write_note,
)
from evreel.files import hdf5
from evreel.files.filters import ECF
from evreel.outputs import Progress, silent
from evreel.recordings.hdf5.ecf import EVENT
from evreel.recordings.open import Recording
from evreel.threads import Crew
from evreel.timebase import Int64Array

CHUNK_ROWS = 1 << 14
INDEX_US = 2_000
MOST_ENTRIES = 1 << 25
"""Limit of the index, whose entries have 16 bytes, also where nothing happens: 512 MiB, 18 h."""
_TASK_CHUNKS = 8
_ROOM = 32, 20  # bytes of the longest chunk: so many, and so many per event

_TRIGGER = np.dtype(
    {
        "names": ["p", "t", "id"],
        "formats": ["<i2", "<i8", "<i2"],
        "offsets": [0, 8, 16],
        "itemsize": 24,
    }
)
_ENTRY = np.dtype([("id", "<u8"), ("ts", "<i8")])
_WHOSE = "Metavision's files"


def write_metavision(
    recording: Recording,
    path: Path,
    *,
    crew: Crew | None = None,
    progress: Progress = silent,
    note: Note | None = None,
) -> dict[str, int]:
    """Write the events and triggers of a recording into a new file, as `one_file` says.

    Raises
    ------
    RecordingError
        If the sensor has more than 2,048 rows or columns, an event is before 0, or the index
        would have more than `MOST_ENTRIES`.
    """
    from evreel.kernels import ecf

    check_size(recording, ecf.MOST_PIXELS, _WHOSE)
    height, width = recording.sensor
    lost: Counter[str] = Counter()
    with hdf5.new_file(path, libver=("earliest", "v110"), track_order=False) as file:
        hdf5.set_attributes(
            file,
            {
                "format": f"EVT3;height={height};width={width}",
                "geometry": f"{width}x{height}",
                "version": "1.0",
            },
        )
        # Whoever writes chunks compresses them: this codec is no filter of the library's.
        events = new_column(file, "CD/events", EVENT, CHUNK_ROWS, (ECF, ()))
        indexes = new_column(file, "CD/indexes", _ENTRY, CHUNK_ROWS)
        triggers = new_column(file, "EXT_TRIGGER/events", _TRIGGER, CHUNK_ROWS)
        new_column(file, "EXT_TRIGGER/indexes", _ENTRY, CHUNK_ROWS)
        index = _Index(indexes, recording)

        def mark(batch: Triggers) -> None:
            batch = since_0(batch, recording, lost)
            edges = batch.edge >= 0
            lost[NO_EDGES] += int(np.count_nonzero(~edges))
            hdf5.append(triggers, _marks(batch, edges, recording.t_offset))

        n = 0
        pieces = events_of(recording, lost, {Triggers: mark})
        rows = _TASK_CHUNKS * CHUNK_ROWS
        with closing(
            made_of_parts(pieces, rows, lambda part: _encoded(part, recording), crew, progress)
        ) as made:
            for part, chunks in made:
                index.add(part.t)
                events.resize(n + len(part), axis=0)
                for k, chunk in enumerate(chunks):
                    events.id.write_direct_chunk((n + k * CHUNK_ROWS,), chunk)
                n += len(part)
        write_note(file, note, lost)
    return counted(lost)


def _marks(batch: Triggers, kept: npt.NDArray[np.bool_], t_offset: int) -> npt.NDArray[np.void]:
    """Return the triggers that are kept as records."""
    marks = np.zeros(int(np.count_nonzero(kept)), _TRIGGER)
    marks["p"], marks["t"], marks["id"] = batch.edge[kept], batch.t[kept] + t_offset, batch.id[kept]
    return marks


def _encoded(events: Events, recording: Recording) -> list[bytes]:
    """Return the chunks of events."""
    from evreel.kernels import ecf

    check_times(events, recording, _WHOSE)
    t = events.t + recording.t_offset
    least, per_event = _ROOM
    out = np.empty(least + per_event * CHUNK_ROWS, np.uint8)
    chunks = []
    for begin in range(0, len(events), CHUNK_ROWS):
        rows = slice(begin, begin + CHUNK_ROWS)
        size = ecf.encode(t[rows], events.x[rows], events.y[rows], events.p[rows], out)
        chunks.append(out[:size].tobytes())
    return chunks


class _Index:
    """The entries of ``CD/indexes``, written as events come."""

    def __init__(self, entries: h5py.Dataset, recording: Recording) -> None:
        self._entries, self._recording = entries, recording
        self._n = 0  # events so far
        self._first_us = self._next_us = 0
        hdf5.append(entries, np.array([(0, -1)], _ENTRY))
        self._count_from(0)

    def _count_from(self, first_us: int) -> None:
        self._first_us = first_us
        self._entries.attrs["offset"] = str(-self._recording.t_offset - first_us)

    def add(self, t: Int64Array) -> None:
        """Add the entries up to the last of the next timestamps."""
        if not self._n:  # a store that was cropped begins later than its recording
            self._count_from(int(t[0]))
        last_us = int(t[-1]) - self._first_us
        if last_us // INDEX_US >= MOST_ENTRIES:
            raise RecordingError(
                f"lasts {last_us / 3.6e9:,.1f} h; Metavision's files have an index with an entry "
                f"each {INDEX_US} µs, which is written for up to "
                f"{MOST_ENTRIES * INDEX_US / 3.6e9:,.1f} h",
                path=self._recording.path,
                hint="Export parts of it: evreel events --start-us … --stop-us … makes them.",
            )
        t = t - self._first_us
        while self._next_us <= t[-1]:  # in parts, because a pause of a day is 43 million entries
            stop = min(int(t[-1]) + 1, self._next_us + (INDEX_US << 16))
            times = np.arange(self._next_us, stop, INDEX_US)
            rows = np.searchsorted(t, times)
            entries = np.empty(len(times), _ENTRY)
            entries["id"], entries["ts"] = self._n + rows, t[rows]
            hdf5.append(self._entries, entries)
            self._next_us += INDEX_US * len(times)
        self._n += len(t)
