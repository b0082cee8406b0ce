"""Events as Metavision's HDF5 event files have them, compressed by its codec ECF.

`evreel.recordings.hdf5.read` lists the data sets, `evreel.kernels.ecf` describes the codec. Of
``CD/indexes``, entry k + 1 is the first event at or after k times 2,000 µs since the first one: its
row, and its time since then; entry 0 is (0, −1). Each chunk is packed in the way that is shortest,
which Metavision's own codec does not always take.

Source: https://docs.prophesee.ai, HDF5 event file format.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.events import Events, FrameTimes, Imu, Triggers
from evreel.files import hdf5
from evreel.files.filters import ECF
from evreel.outputs import Progress, silent
from evreel.recordings.hdf5.ecf import EVENT
from evreel.recordings.open import Recording
from evreel.threads import Crew
from evreel.timebase import Int64Array

CHUNK_ROWS = 1 << 14
INDEX_US = 2_000
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


def write_metavision(
    recording: Recording, path: Path, *, crew: Crew | None = None, progress: Progress = silent
) -> dict[str, int]:
    """Write the events and triggers of a recording into a new file.

    Timestamps are those of the recording's own clock.

    Parameters
    ----------
    recording
        Read in one pass, in bounded memory.
    path
        The file to make.
    crew
        Threads that compress; None: the calling one. Bytes do not depend on it.
    progress
        Told of events.

    Returns
    -------
    What the layout cannot hold: sentence → how often.

    Raises
    ------
    RecordingError
        If the sensor has more than 2,048 rows or columns, or a time is before 0.
    """
    from evreel.kernels import ecf

    height, width = recording.sensor
    if max(height, width) > ecf.MOST_PIXELS:
        raise RecordingError(
            f"has a sensor of {width}x{height} px; Metavision's files hold up to 2048x2048",
            path=recording.path,
            hint="Export it in another layout.",
        )
    if recording.t_offset < 0:
        raise RecordingError(
            f"begins at t={recording.t_offset} µs; Metavision's files hold no times before 0",
            path=recording.path,
            hint="Decode it to an events store whose times count from its first event.",
        )
    crew = Crew() if crew is None else crew
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
        events = _data_set(file, "CD/events", EVENT, ecf=True)
        indexes = _data_set(file, "CD/indexes", _ENTRY)
        triggers = _data_set(file, "EXT_TRIGGER/events", _TRIGGER)
        _data_set(file, "EXT_TRIGGER/indexes", _ENTRY)
        index = _Index(indexes, recording.t_offset)

        def pieces() -> Iterator[Events]:
            for batch in recording.batches():
                if isinstance(batch, Events):
                    yield batch
                elif isinstance(batch, Triggers):
                    edges = batch.edge >= 0
                    lost[_NO_EDGES] += int(np.count_nonzero(~edges))
                    hdf5.append(triggers, _marks(batch, edges, recording.t_offset))
                else:
                    lost[_SIDES[type(batch)]] += len(batch)

        n = 0
        with closing(_together(pieces(), _TASK_CHUNKS * CHUNK_ROWS)) as tasks:
            for part, chunks in crew.ahead(lambda part: (part, _encoded(part, recording)), tasks):
                events.resize(n + len(part), axis=0)
                for k, chunk in enumerate(chunks):
                    events.id.write_direct_chunk((n + k * CHUNK_ROWS,), chunk)
                index.add(part.t)
                n += len(part)
                progress(n, None)
    return {what: n for what, n in lost.items() if n}


_SIDES = {Imu: "IMU samples", FrameTimes: "frame times"}
_NO_EDGES = "triggers that are neither a rising nor a falling edge"


def _data_set(file: h5py.File, name: str, dtype: np.dtype[Any], *, ecf: bool = False) -> Any:
    """Return a new growable data set; one of events is compressed by whoever writes it."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((CHUNK_ROWS,))
    properties.set_fill_time(h5py.h5d.FILL_TIME_IFSET)
    properties.set_obj_track_times(False)
    if ecf:
        properties.set_filter(ECF, h5py.h5z.FLAG_OPTIONAL, ())
    group = file.require_group(name.split("/")[0])
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
    h5py.h5d.create(group.id, name.split("/")[1].encode(), kind, space, properties)
    return file[name]


def _marks(batch: Triggers, kept: npt.NDArray[np.bool_], t_offset: int) -> npt.NDArray[np.void]:
    """Return the triggers that are kept as records."""
    marks = np.zeros(int(np.count_nonzero(kept)), _TRIGGER)
    marks["p"], marks["t"], marks["id"] = batch.edge[kept], batch.t[kept] + t_offset, batch.id[kept]
    return marks


def _together(pieces: Iterator[Events], rows: int) -> Generator[Events, None, None]:
    """Yield events, so many rows at a time; fewer at the end."""
    held: deque[Events] = deque()
    n = 0
    for piece in pieces:
        held.append(piece)
        n += len(piece)
        while n >= rows:
            yield _joined(held, rows)
            n -= rows
    if n:
        yield _joined(held, n)


def _joined(held: deque[Events], rows: int) -> Events:
    """Take the first rows of what is held."""
    parts: list[Events] = []
    while rows:
        first = held.popleft()
        if len(first) > rows:
            held.appendleft(first[rows:])
            first = first[:rows]
        parts.append(first)
        rows -= len(first)
    if len(parts) == 1:
        return parts[0]
    t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    return Events.trusted(t, x, y, p, parts[0].sensor)


def _encoded(events: Events, recording: Recording) -> list[bytes]:
    """Return the chunks of events."""
    from evreel.kernels import ecf

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

    def __init__(self, entries: h5py.Dataset, t_offset: int) -> None:
        self._entries, self._t_offset = entries, t_offset
        self._n = 0  # events so far
        self._first_us = self._next_us = 0
        hdf5.append(entries, np.array([(0, -1)], _ENTRY))
        entries.attrs["offset"] = str(-t_offset)

    def add(self, t: Int64Array) -> None:
        """Add the entries up to the last of the next timestamps."""
        if not self._n:  # a store that was cropped begins later than its recording
            self._first_us = int(t[0])
            self._entries.attrs["offset"] = str(-self._t_offset - self._first_us)
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
