"""The events store: one HDF5 file per recording, named and indexed like DSEC's files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, LayoutError
from evreel.events import Batch, Events, FrameTimes, Imu, Sensor, Triggers, Waiting
from evreel.files import hdf5
from evreel.files.divided import Divided
from evreel.files.gzip_chunks import Column
from evreel.layout import COLUMN_CHUNK, EVENTS
from evreel.provenance import counts_in, decoding, digests_in
from evreel.samples.samples import Member
from evreel.timebase import Int64Array

READ_ROWS = 16 * COLUMN_CHUNK

Side = TypeVar("Side", Triggers, Imu, FrameTimes)

_SIDE_STREAMS: Mapping[Any, tuple[str, str]] = {
    Triggers: ("triggers", "t edge id"),
    Imu: ("imu", "t accelerometer gyroscope magnetometer temperature"),
    FrameTimes: ("frames", "exposure_start_us exposure_stop_us"),
}
"""Side stream → its group in the file, and its columns."""


def _joined(parts: Sequence[Int64Array]) -> Int64Array:
    return np.concatenate([np.empty(0, np.int64), *parts])


class TimeIndex:
    """Makes DSEC's ``ms_to_idx``: for each millisecond the row of the first event at or after it.

    It has an entry per millisecond up to the last event's, then the number of events.

    Parameters
    ----------
    append
        Function that writes the next entries, uint64: `COLUMN_CHUNK` of them, fewer at the end.
        They may be overwritten afterwards.
    """

    def __init__(self, append: Callable[[npt.NDArray[np.uint64]], None]) -> None:
        self._append = append
        self._rows_at_ms = np.empty(COLUMN_CHUNK, dtype=np.uint64)
        self._ms = 0
        self._n = 0

    def add(self, t: Int64Array) -> None:
        """Add an entry for each millisecond up to the last of the next timestamps, at least one.

        Written in whole chunks: a pause of a day is 86.4 million entries.
        """
        stop = int(t[-1]) // 1000 + 1
        while self._ms < stop:
            filled = self._ms % COLUMN_CHUNK
            until = min(self._ms - filled + COLUMN_CHUNK, stop)
            edges = np.arange(self._ms, until, dtype=np.int64) * 1000
            rows = self._n + np.searchsorted(t, edges)
            self._rows_at_ms[filled : filled + len(rows)] = rows
            self._ms = until
            if until % COLUMN_CHUNK == 0:
                self._append(self._rows_at_ms)
        self._n += len(t)

    def finish(self) -> None:
        """Write what is left. Call once, at the end."""
        filled = self._ms % COLUMN_CHUNK
        self._rows_at_ms[filled] = self._n
        self._append(self._rows_at_ms[: filled + 1])


class EventsStoreWriter:
    """Write an events store batch by batch, in memory bounded by a few chunks.

    Parameters
    ----------
    file
        A new file, made by `evreel.files.hdf5.create` with the layout `EVENTS`.
    sensor
        (height, width) of the events that will come.
    t_offset
        First timestamp of the recording on the camera's own clock, µs.
    source_format, source_header
        Format and header of the recording.
    origin
        (row, column) of the sensor that became (0, 0): not (0, 0) after a crop.
    """

    def __init__(
        self,
        file: hdf5.NewFile,
        sensor: Sensor,
        t_offset: int,
        source_format: str,
        source_header: str,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self._file = file
        self._sensor = sensor
        self._columns = [hdf5.add(file, EVENTS[f"events/{name}"]) for name in "txyp"]
        self._pending = Waiting()
        self._side: dict[str, h5py.Dataset] = {}
        ms_to_idx = hdf5.add(file, EVENTS["ms_to_idx"])
        self._index = TimeIndex(lambda rows: hdf5.append(ms_to_idx, rows))
        self.n = 0
        self.n_on = 0
        self.t_stop_us = 0
        hdf5.add(file, EVENTS["events/height"], sensor.height)
        hdf5.add(file, EVENTS["events/width"], sensor.width)
        hdf5.add(file, EVENTS["t_offset"], t_offset)
        hdf5.add(file, EVENTS["source_header"], source_header)
        file.attrs["source_format"] = source_format
        file.attrs["origin_y_px"], file.attrs["origin_x_px"] = origin

    def write(self, batch: Batch) -> None:
        """Add events, which must not go back in time, or samples of a side stream."""
        if isinstance(batch, Events):
            self._write_events(batch)
        elif isinstance(batch, Triggers):
            self._write_side("triggers", t=batch.t, edge=batch.edge, id=batch.id)
        elif isinstance(batch, Imu):
            self._write_side(
                "imu",
                t=batch.t,
                accelerometer=batch.accelerometer,
                gyroscope=batch.gyroscope,
                magnetometer=batch.magnetometer,
                temperature=batch.temperature,
            )
        else:
            self._write_side(
                "frames",
                exposure_start_us=batch.exposure_start_us,
                exposure_stop_us=batch.exposure_stop_us,
            )

    def finish(self, members: Sequence[Member] = ()) -> None:
        """Write pending events, the time index and the end of time. Call once, at the end.

        Parameters
        ----------
        members
            What is end to end in the store: recordings of an archive, or the parts of one whose
            clock was reset; none for a single recording of one clock.
        """
        self._flush(self._pending.rows)
        self._index.finish()
        self._file.attrs["t_stop_us"] = self.t_stop_us
        for name in Member._fields if members else ():
            column = [getattr(member, name) for member in members]
            hdf5.add(self._file, EVENTS[f"members/{name}"], column)

    def _write_events(self, events: Events) -> None:
        if not len(events):
            return
        if events.sensor != self._sensor:
            raise EventsError(f"sensor {events.sensor} of a batch is not {self._sensor}")
        if events.t[0] < self.t_stop_us - 1:
            raise EventsError(f"t={events.t[0]} goes back behind t={self.t_stop_us - 1}")
        self.n += len(events)
        self.n_on += int(np.count_nonzero(events.p))
        self.t_stop_us = events.t_stop_us
        self._pending.add(events)
        while self._pending.rows >= READ_ROWS:  # fixed, so that bytes do not depend on batches
            self._flush(READ_ROWS)

    def _flush(self, rows: int) -> None:
        """Write the first `rows` pending events: whole chunks, except in the last call."""
        parts = self._pending.take(rows)
        for dataset, name in zip(self._columns, "txyp", strict=True):
            self._file.columns.append(dataset, [getattr(part, name) for part in parts])
            for part in parts if name == "t" else ():
                self._index.add(part.t)

    def _write_side(self, group: str, **columns: npt.NDArray[Any]) -> None:
        for name, rows in columns.items():
            path = f"{group}/{name}"
            if path not in self._side:
                self._side[path] = hdf5.add(self._file, EVENTS[path])
            hdf5.append(self._side[path], rows)


class EventsStore(Divided, hdf5.Opened):
    """An events store, opened for reading; also a `Recording`.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    n : number of events.
    t_stop_us : last timestamp + 1, µs since `t_offset`.
    origin : (row, column) of the sensor that became (0, 0).
    decoded_from : digests of what it was made from, role → digest.
    decoded_repairs : what was changed or left out when it was made, name → count.

    Raises
    ------
    LayoutError
        If the file is not an events store, or is damaged; reading may also raise it later.
    """

    format = "evreel-events"

    def __init__(self, path: str | Path) -> None:
        self.repairs: Mapping[str, int] = {}
        with self._opening(path, "its head"):
            self._read_head()

    def _read_head(self) -> None:
        hdf5.check_layout(self._file, self.path, EVENTS)
        self.sensor = Sensor.checked(
            int(self._file["events/height"][()]), int(self._file["events/width"][()])
        )
        self.t_offset = int(self._file["t_offset"][()])
        self.t_stop_us = int(self._file.attrs["t_stop_us"])
        self.origin = (
            int(self._file.attrs["origin_y_px"]),
            int(self._file.attrs["origin_x_px"]),
        )
        self.header = self._file["source_header"].asstr()[()]
        self.source_format = str(self._file.attrs["source_format"])
        self.decoded_from = digests_in(self._file.attrs.get("inputs"))
        self.decoded_repairs = counts_in(self._file.attrs.get("repairs"))
        self._columns = [Column(self._file[f"events/{name}"]) for name in "txyp"]
        self._ms_to_idx = Column(self._file["ms_to_idx"])
        self.n = self.n_expected = len(self._columns[0])
        self._n_ms = len(self._ms_to_idx)
        if self._n_ms != (self.t_stop_us + 999) // 1000 + 1:
            raise self._contradiction("ms_to_idx does not end where the recording ends")
        first, last = int(self._ms_to_idx[0]), int(self._ms_to_idx[-1])
        if (first, last) != (0, self.n):
            raise self._contradiction(
                f"ms_to_idx begins with {first} and ends with {last}; 0 and {self.n} are expected"
            )

    def _contradiction(self, problem: str) -> LayoutError:
        return LayoutError(problem, path=self.path, hint=hdf5.REBUILD)

    def __len__(self) -> int:
        return self.n

    @property
    def decoding(self) -> str | None:
        """What it was decoded from, and how, as `evreel.provenance.decoding`; None if unknown."""
        attributes = self._file.attrs
        recording = digests_in(attributes.get("inputs")).get("recording")
        if recording is None:
            return None
        with hdf5.reading(self.path, "its parameters"):
            parameters = json.loads(attributes["parameters"])
            return decoding(recording, parameters, int(attributes["step_revision"]))

    @property
    def columns(self) -> list[h5py.Dataset]:
        """t, x, y and p as they are in the file."""
        return [column.dataset for column in self._columns]

    @property
    def members(self) -> list[Member]:
        """What is end to end in here; none for a single recording of one clock.

        Recordings of an archive, or the parts of one whose clock was reset.
        """
        if "members/name" not in self._file:
            return []
        with hdf5.reading(self.path, "members"):
            names = self._file["members/name"].asstr()[:].tolist()
            times = (self._file[f"members/{column}"][:].tolist() for column in Member._fields[1:])
            return [Member(*row) for row in zip(names, *times, strict=True)]

    def read(self, start: int = 0, stop: int | None = None) -> Events:
        """Return rows ``[start, stop)``."""
        self.check_open()
        start, stop, _ = slice(start, stop).indices(self.n)
        return hdf5.read_events(self._columns, start, max(start, stop), self.sensor, self.path)

    def read_us(self, start_us: int, stop_us: int) -> Events:
        """Return the events with a timestamp in ``[start_us, stop_us)``."""
        self.check_open()
        start, stop = self.index_of(np.array([start_us, stop_us]))
        return self.read(int(start), max(int(start), int(stop)))

    def index_of(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the row of the first event at or after each timestamp; `n` if there is none.

        Parameters
        ----------
        t_us
            (m,) timestamps in µs since `t_offset`.

        Notes
        -----
        The millisecond index narrows a timestamp down to the events of one millisecond. Only the
        needed chunks of the index and of column t are read, each once.
        """
        t = np.asarray(t_us, dtype=np.int64)
        flat = np.clip(t.ravel(), 0, self.t_stop_us)
        order = np.argsort(flat, kind="stable")
        asked = flat[order]
        ms = np.minimum(asked // 1000, self._n_ms - 1)
        found = self._rows_at(ms)
        inner = np.flatnonzero((asked > ms * 1000) & (ms + 1 < self._n_ms))
        first, stamps = 0, np.empty(0, dtype=np.int64)
        for k, low, high in zip(inner, found[inner], self._rows_at(ms[inner] + 1), strict=True):
            if low == high:
                continue
            if not first <= low <= high <= first + len(stamps):
                first = int(low) // COLUMN_CHUNK * COLUMN_CHUNK
                stamps = self._stamps(first, -(-int(high) // COLUMN_CHUNK) * COLUMN_CHUNK)
            found[k] = low + np.searchsorted(stamps[low - first : high - first], asked[k])
        rows = np.empty_like(flat)
        rows[order] = found
        return rows.reshape(t.shape)

    def _rows_at(self, ms: Int64Array) -> Int64Array:
        """Return the entries of the time index for milliseconds in ascending order."""
        rows = np.empty_like(ms)
        done = 0
        while done < len(ms):
            first = int(ms[done]) // COLUMN_CHUNK * COLUMN_CHUNK
            last = min(first + COLUMN_CHUNK, self._n_ms)
            with hdf5.reading(self.path, f"ms_to_idx, rows {first} to {last},"):
                entries = self._ms_to_idx[first:last]
            back = entries[1:] < entries[:-1]
            if back.any():
                k = first + int(np.argmax(back)) + 1
                raise self._contradiction(f"ms_to_idx goes back in row {k}")
            if entries[-1] > self.n:
                raise self._contradiction(
                    f"ms_to_idx has row {entries[-1]}; the file has {self.n} events"
                )
            stop = int(np.searchsorted(ms, last))
            rows[done:stop] = entries[ms[done:stop] - first]
            done = stop
        if (rows[1:] < rows[:-1]).any():
            raise self._contradiction("ms_to_idx goes back between chunks")
        return rows

    def _stamps(self, first: int, last: int) -> Int64Array:
        last = min(last, self.n)
        with hdf5.reading(self.path, f"rows {first} to {last}"):
            stamps: Int64Array = self._columns[0][first:last]
        return stamps

    def stamp_at(self, rows: npt.ArrayLike) -> Int64Array:
        """Return the timestamps of rows in ascending order, µs since `t_offset`."""
        wanted = np.asarray(rows, dtype=np.int64)
        stamps = np.empty(wanted.shape, dtype=np.int64)
        for first in range(0, self.n, READ_ROWS):
            last = min(first + READ_ROWS, self.n)
            low, high = np.searchsorted(wanted, [first, last])
            if low < high:
                stamps[low:high] = self._stamps(first, last)[wanted[low:high] - first]
        return stamps

    @property
    def frame_times(self) -> FrameTimes:
        """Exposures of the camera's own frames, none if it has none."""
        parts = list(self._side_batches(FrameTimes))
        columns = ("exposure_start_us", "exposure_stop_us")
        return FrameTimes(*(_joined([getattr(part, c) for part in parts]) for c in columns))

    @property
    def triggers(self) -> Triggers:
        """Marks on the recording's time line, none if it has none."""
        parts = list(self._side_batches(Triggers))
        t = _joined([part.t for part in parts])
        return Triggers(
            t,
            np.concatenate([np.empty(0, np.int8), *(part.edge for part in parts)]),
            np.concatenate([np.empty(0, np.int16), *(part.id for part in parts)]),
        )

    def _side_batches(self, kind: type[Side]) -> Iterator[Side]:
        """Yield a side stream, a chunk at a time."""
        group, names = _SIDE_STREAMS[kind]
        if group not in self._file:
            return
        with hdf5.reading(self.path, group):
            columns = [self._file[f"{group}/{name}"] for name in names.split()]
        for first in range(0, len(columns[0]), COLUMN_CHUNK):
            last = min(first + COLUMN_CHUNK, len(columns[0]))
            with hdf5.reading(self.path, f"{group}, rows {first} to {last},"):
                rows = [column[first:last] for column in columns]
            yield kind(*rows)

    def chunks(
        self, start: int = 0, stop: int | None = None, rows: int = READ_ROWS
    ) -> Iterator[Events]:
        """Yield rows ``[start, stop)`` in pieces of at most `rows`, cut at multiples of `rows`."""
        stop = self.n if stop is None else stop
        while start < stop:
            last = min(start - start % rows + rows, stop)
            yield self.read(start, last)
            start = last

    def __iter__(self) -> Iterator[Events]:
        """Yield all events, chunk by chunk."""
        self.check_open()
        return self.chunks()

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield the side streams, then the events with a timestamp in ``[start_us, stop_us)``."""
        for kind in _SIDE_STREAMS if side else ():
            yield from self._side_batches(kind)
        low = 0 if start_us is None else int(self.index_of(start_us))
        high = self.n if stop_us is None else int(self.index_of(stop_us))
        yield from self.chunks(low, high)
