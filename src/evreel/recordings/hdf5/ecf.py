"""Metavision's HDF5 whose events its own codec, ECF, has compressed.

Each chunk is decoded by itself, several at a time by threads (`evreel.kernels.ecf` describes it).
The last one has only the events that are left. A chunk that the filter was skipped for, as its mask
says, has plain records.

A range of time is found by the first timestamps of chunks, in two binary searches; each read takes
48 bytes. Like AEDAT 4's table, that trusts a file to be in order: only a whole pass tells if it is
not. ``CD/indexes`` would say the same of every 2,000 µs, and is not needed.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import UsageError
from evreel.events import Sensor
from evreel.files.filters import ECF
from evreel.files.inspection import MAGIC
from evreel.recordings.columns import Fault
from evreel.recordings.decoded import PIECE_ROWS, in_order_and_inside
from evreel.recordings.hdf5.data_sets import CHUNK_BYTES, WHOLE_AGAIN, Chunk, Column, Look
from evreel.recordings.hdf5.read import Hdf5RecordsRecording
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.prefetch import Prefetch, default_threads
from evreel.system import keep_memory
from evreel.timebase import FARTHEST

EVENT = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)
"""A record of Metavision's events."""
_START_BYTES = 48  # of a chunk: its first timestamp ends within them
_Found = tuple[Piece | None, Fault | None]


class EcfColumn(Column):
    """The events of such a file; all else as in `Column`."""

    _undone = (ECF,)

    @property
    def n_chunks(self) -> int:
        """How many chunks it takes for all rows."""
        return -(-self.n // self._chunk_rows)

    @property
    def bundle(self) -> int:
        """How many chunks make a piece."""
        return max(1, 2 * PIECE_ROWS // self._chunk_rows)

    def first_us(self, k: int) -> int | None:
        """Return the first timestamp of a chunk, on the file's own clock; None if it is not clear.

        The time in a chunk's head need not be the first event's, although Metavision writes it so.
        """
        chunk = self._chunk(k * self._chunk_rows)
        size = max(_START_BYTES, self.dtype.itemsize)
        data, fault = self._bytes(chunk.offset, min(size, chunk.size))
        if fault is not None or chunk.row != k * self._chunk_rows:
            return None
        if chunk.mask & 1:
            whole = len(data) >= self.dtype.itemsize
            return int(np.frombuffer(data, self.dtype, 1)["t"][0]) if whole else None
        return _first_time(data)

    def chunks_between(self, start_us: int, stop_us: int) -> tuple[int, int]:
        """Return which chunks ``[first, stop)`` can have events of a range of the file's clock.

        All of them, where a chunk on the way cannot be read.
        """
        found = []
        for time_us in (start_us, stop_us):
            low, high = 0, self.n_chunks  # the first chunk that begins at this time or later
            while low < high:
                middle = (low + high) // 2
                begins = self.first_us(middle)
                if begins is None:
                    return 0, self.n_chunks
                low, high = (middle + 1, high) if begins < time_us else (low, middle)
            found.append(low)
        return max(0, found[0] - 1), found[1]

    def decoded(self, first: int, stop: int, sensor: Sensor) -> _Found:
        """Return the events of chunks ``[first, stop)`` up to damage, and what this is."""
        rows = self._chunk_rows
        room = (stop - first) * rows
        t, x, y = np.empty(room, np.int64), np.empty(room, np.uint16), np.empty(room, np.uint16)
        p = np.empty(room, np.uint8)
        done, sound, fault = 0, True, None
        regular = self._is_regular(first, stop)
        each = [(first, stop)] if regular else [(k, k + 1) for k in range(first, stop)]
        for begin, end in each:
            to = slice((begin - first) * rows, (end - first) * rows)
            n, fault, is_sound = self._fill(begin, end, sensor, (t[to], x[to], y[to], p[to]))
            done, sound = done + n, sound and is_sound
            if fault is not None:
                break
        if not done:
            return None, fault
        t, x, y, p = t[:done], x[:done], y[:done], p[:done]
        if len(each) > 1:
            sound = sound and in_order_and_inside(t, x, y, sensor)
        ends = (t[0], t[-1]) if sound else (t.min(), t.max())
        if max(map(abs, map(int, ends))) > FARTHEST:
            row = int(np.argmax((t > FARTHEST) | (t < -FARTHEST)))
            at = first * rows + row
            problem = f"{self.name}, row {at}: t={t[row]} µs is not within 285 years of 0"
            fault = Fault(problem, self.place(at), WHOLE_AGAIN)
            done = row - row % rows
            t, x, y, p = t[:done], x[:done], y[:done], p[:done]
        if not done:
            return None, fault
        return Piece(t, x, y, p, self.place(first * rows), sound), fault

    def _parts(self, first: int, stop: int) -> npt.NDArray[np.int64]:
        """Return what is known of the stored chunks among these, (m, 4), as `Chunk`."""
        low, high = np.searchsorted(self._table[:, 0], (first * self._chunk_rows, self._row(stop)))
        return self._table[low:high]

    def _row(self, k: int) -> int:
        """Return the first row of a chunk; the number of rows after the last one."""
        return min(k * self._chunk_rows, self.n)

    def _is_regular(self, first: int, stop: int) -> bool:
        """Return whether chunks are packed, and near each other in the file, in their order."""
        row, offset, size, mask = self._parts(first, stop).T
        if not np.array_equal(row, np.arange(first, stop) * self._chunk_rows) or (mask & 1).any():
            return False
        end, at = int(offset[-1] + size[-1]), int(offset[0])
        return (
            bool((size > 0).all() and (offset[1:] >= offset[:-1] + size[:-1]).all())
            and end - at <= min(2 * int(size.sum()), CHUNK_BYTES)
            and len(MAGIC) <= at < end <= self._file_size
        )

    def _fill(
        self, first: int, stop: int, sensor: Sensor, columns: tuple[Any, ...]
    ) -> tuple[int, Fault | None, bool]:
        """Fill columns with the events of regular chunks, or of any single one.

        Returns how many events there are, what is wrong after them, and whether all of these are
        in order and inside the sensor.
        """
        from evreel.kernels import ecf

        row = first * self._chunk_rows
        chunk = self._chunk(row)
        if chunk.row != row or not chunk.size:
            problem = f"{self.name} has no data for row {row}"
            return 0, Fault(problem, self.place(row), WHOLE_AGAIN), True
        begin, size = np.zeros(1, np.int64), np.array([chunk.size])
        if stop > first + 1:
            _, offset, size, _ = self._parts(first, stop).T
            begin = offset - chunk.offset
        data, fault = self._chunk_bytes(chunk._replace(size=int(begin[-1] + size[-1])))
        if fault is not None:
            return 0, fault, True
        wanted = np.array([self._row(k + 1) - self._row(k) for k in range(first, stop)])
        if chunk.mask & 1:
            fault = self._fill_plain(data, chunk, int(wanted[0]), columns)
            return 0 if fault else int(wanted[0]), fault, False
        of = np.frombuffer(data, np.uint8), begin, size, wanted
        done, n, wrong, at, sound = ecf.decode_each(
            *of, self._chunk_rows, sensor.width, sensor.height, *columns
        )
        if done == len(wanted):
            return int(wanted.sum()), None, sound
        problem = {
            ecf.WHOLE: f"has {n} events; {wanted[done]} are expected",
            ecf.ENDS: "ends before its events do",
            ecf.TOO_MANY: "counts more events than it has",
            ecf.TOO_LONG: "has a time of more than 64 bits",
        }[wrong]
        said = f"{self.name}, row {self._row(first + done)}: a chunk {problem} (ECF)"
        place = chunk.offset + int(begin[done]) + at
        return int(wanted[:done].sum()), Fault(said, place, WHOLE_AGAIN), sound

    def _fill_plain(
        self, data: bytes, chunk: Chunk, wanted: int, columns: tuple[Any, ...]
    ) -> Fault | None:
        if len(data) < wanted * self.dtype.itemsize:
            problem = f"{self.name}, row {chunk.row}: a chunk ends before its records do"
            return Fault(problem, chunk.offset + len(data), WHOLE_AGAIN)
        records = np.frombuffer(data, self.dtype, wanted)
        p = records["p"]
        odd = np.flatnonzero((p != 0) & (p != 1))
        if len(odd):
            row = int(odd[0])
            problem = f"{self.name}, row {chunk.row + row}: polarity {p[row]} is neither 0 nor 1"
            return Fault(problem, chunk.offset + row * self.dtype.itemsize, WHOLE_AGAIN)
        for name, column in zip("txyp", columns, strict=True):
            column[:wanted] = records[name]
        return None


def _first_time(data: bytes) -> int | None:
    """Return the first timestamp in the first bytes of a chunk; None if it is not in them."""
    time, at = int.from_bytes(data[4:12], "little"), 12
    while at < len(data):
        step, count = data[at] >> 4, data[at] & 15
        at += 1
        if step < 15:
            time += step
            if count == 15:
                count = int.from_bytes(data[at : at + 2], "little")
                at += 2
            if count:
                return (time + (1 << 63)) % (1 << 64) - (1 << 63) if at <= len(data) else None
            continue
        time += count
        for shift in range(4, 64, 4):
            if at == len(data) or data[at] >> 4 < 15:
                break
            time += (data[at] & 15) << shift
            at += 1
    return None


class EcfRecording(Hdf5RecordsRecording):
    """A file of Metavision whose events ECF has compressed; all else as `Hdf5RecordsRecording`.

    Parameters
    ----------
    path, stream, sensor, reading, looked
        As in `Hdf5Recording`.
    threads
        How many decode; None: one per core, at most `evreel.recordings.prefetch.THREADS`. Events
        do not depend on it.
    """

    _events: EcfColumn

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
        looked: Look,
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads={threads} is not 1 or more", path=path)
        self._threads = default_threads() if threads is None else threads
        self._passes: weakref.WeakSet[Prefetch[Any, Any]] = weakref.WeakSet()
        super().__init__(path, stream=stream, sensor=sensor, reading=reading, looked=looked)
        self.n_expected, self._counted = self._events.n, True

    def close(self) -> None:
        """Release the file, and end the threads that read it."""
        for reading_ahead in tuple(self._passes):
            reading_ahead.close()
        super().close()

    def _events_column(self, name: str) -> Column:
        self._events = EcfColumn(self.path, self._file.fileno(), self._size, name, self._look)
        found = self._events.dtype
        if dict(found.fields or {}) != dict(EVENT.fields or {}):
            problem = f"{name} has records {found}; ECF compresses those of Metavision"
            self._recode(problem, self._events.offset)
        return self._events

    def _first_stamp(self) -> int:
        piece = None
        if self._events.n and self.reading == STRICT:
            piece, _ = self._events.decoded(0, 1, self.sensor)
        return int(piece.t[0]) if piece is not None and piece.sound else super()._first_stamp()

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        self.check_open()
        first, stop = 0, self._events.n_chunks
        # Otherwise a late event, or damage before the range, may decide about it.
        if self.reading == STRICT and (start_us, stop_us) != (None, None):
            begin_us = -FARTHEST if start_us is None else start_us + self.t_offset
            end_us = FARTHEST if stop_us is None else stop_us + self.t_offset
            first, stop = self._events.chunks_between(begin_us, end_us)
        yield from self._decoded(first, stop)
        if side:
            yield from self._marks()

    def _decoded(self, first: int, stop: int) -> Iterator[Piece]:
        step = self._events.bundle
        bundles = ((begin, min(begin + step, stop)) for begin in range(first, stop, step))

        def work(bundle: tuple[int, int]) -> _Found:
            return self._events.decoded(*bundle, self.sensor)

        keep_memory()
        with Prefetch(work, bundles, self._threads) as ahead:
            self._passes.add(ahead)
            for piece, fault in ahead:
                if piece is not None:
                    yield piece
                if fault is not None:
                    self._raise(fault)
