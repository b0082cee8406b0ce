"""Events of a recording while it is decoded, and the windows that are known by then.

What is known of a window does not depend on what comes after it, so windows are those into which
the whole recording would be divided; only its last ones have to wait for its end.
"""

from __future__ import annotations

import mmap
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import EvreelError
from evreel.events import Events, Sensor
from evreel.timebase import FARTHEST, Int64Array
from evreel.windows import Count, Duration, IndexOf, Mixed, Windows, cut

BLOCK_ROWS = 1 << 16
"""Events that are decoded at a time, at least: 0.9 MB. Readers may yield single packets."""
_MOST_WINDOWS = 1 << 12
"""Windows that are divided at a time: a pause of a day has millions of them."""

NO_WINDOWS = Windows(*np.zeros((4, 0), dtype=np.int64))

Regular = Duration | Count | Mixed
"""Divisions that can be made while the end of a recording is not known."""


class Arriving(Closing):
    """Events as they come, of which those that are still needed are held.

    Parameters
    ----------
    chunks
        Events in the order of time.
    sensor
        (height, width) of all of them.
    max_duration_us
        Events at or after this time are left out, and nothing is decoded beyond; None: none are.
    on_disk
        Whether events are held in a temporary file, because all are needed to the end.

    Attributes
    ----------
    n : number of events so far.
    last_us : timestamp of the last of them, µs; all earlier ones have come.
    t_stop_us : where the recording ends, µs, as far as it is known.
    is_over : whether all have come.
    """

    def __init__(
        self,
        chunks: Iterator[Events],
        sensor: Sensor,
        max_duration_us: int | None = None,
        *,
        on_disk: bool = False,
    ) -> None:
        self._chunks, self._sensor, self._limit_us = chunks, sensor, max_duration_us
        self._held: list[Events] = []
        self._starts: list[int] = []
        self._error: Exception | None = None
        self._disk = _OnDisk() if on_disk else None
        self.n = 0
        self.last_us = -FARTHEST
        self.t_stop_us = 0
        self.is_over = False

    @property
    def held(self) -> int:
        """Number of events that are held."""
        return sum(map(len, self._held))

    def close(self) -> None:
        """Hold nothing any more."""
        self._held, self._starts = [], []
        if self._disk is not None:
            self._disk.close()

    def more(self) -> None:
        """Decode more events.

        Raises
        ------
        EvreelError, OSError
            If the recording is damaged. What came before the damage is there by then.
        """
        if self._error is not None:
            raise self._error
        found: list[Events] = []
        rows = 0
        while rows < BLOCK_ROWS and not self.is_over:
            try:
                chunk = next(self._chunks, None)
            except (EvreelError, OSError) as error:
                if not found:
                    raise
                self._error = error
                break
            if chunk is None:
                self.is_over = True
                break
            if self._limit_us is not None and len(chunk) and chunk.t[-1] >= self._limit_us:
                chunk = chunk[: int(np.searchsorted(chunk.t, self._limit_us))]
                self.is_over, self.t_stop_us = True, self._limit_us
            if len(chunk):
                found.append(chunk)
                rows += len(chunk)
        if found:
            events = _joined(found, self._sensor)
            self._held.append(events if self._disk is None else self._disk.put(events))
            self._starts.append(self.n)
            self.n += rows
            self.last_us = int(found[-1].t[-1])
            self.t_stop_us = max(self.t_stop_us, self.last_us + 1)

    def let_go(self, row: int) -> None:
        """Hold no longer what is before a row, as far as whole chunks are."""
        k = bisect_right(self._starts, row) - 1
        if k >= 0 and row >= self._starts[k] + len(self._held[k]):
            k += 1
        del self._held[: max(k, 0)], self._starts[: max(k, 0)]

    def read(self, start: int, stop: int) -> Events:
        """Return rows ``[start, stop)``, which are held."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        for begin, chunk in zip(self._starts[first:], self._held[first:], strict=True):
            if begin >= stop:
                break
            found.append(chunk[max(start - begin, 0) : stop - begin])
        return _joined(found, self._sensor)

    def index_of(self, t_us: npt.ArrayLike) -> Int64Array:
        """Return the row of the first event at or after each timestamp, of those that are held.

        It is `n` if there is none yet.
        """
        t = np.asarray(t_us, dtype=np.int64)
        flat, rows = t.ravel(), np.full(t.size, self.n, dtype=np.int64)
        latest = np.array([chunk.t[-1] for chunk in self._held], dtype=np.int64)
        chunk_of = np.searchsorted(latest, flat)
        for k in np.unique(chunk_of[chunk_of < len(latest)]).tolist():
            of = chunk_of == k
            rows[of] = self._starts[k] + np.searchsorted(self._held[k].t, flat[of])
        return rows.reshape(t.shape)

    def stamp_at(self, rows: npt.ArrayLike) -> Int64Array:
        """Return the timestamps of rows that are held."""
        wanted = np.asarray(rows, dtype=np.int64)
        stamps = np.empty(wanted.shape, dtype=np.int64)
        chunk_of = np.searchsorted(self._starts, wanted, side="right") - 1
        for k in np.unique(chunk_of).tolist():
            of = chunk_of == k
            stamps[of] = self._held[k].t[wanted[of] - self._starts[k]]
        return stamps


def _joined(chunks: list[Events], sensor: Sensor) -> Events:
    if len(chunks) == 1:
        return chunks[0]
    return Events.trusted(
        np.concatenate([np.zeros(0, np.int64), *(chunk.t for chunk in chunks)]),
        np.concatenate([np.zeros(0, np.uint16), *(chunk.x for chunk in chunks)]),
        np.concatenate([np.zeros(0, np.uint16), *(chunk.y for chunk in chunks)]),
        np.concatenate([np.zeros(0, np.uint8), *(chunk.p for chunk in chunks)]),
        sensor,
    )


class _OnDisk(Closing):
    """Events put into a temporary file, from which they are read when they are used."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="evreel-")  # noqa: SIM115
        self._end = 0

    def put(self, events: Events) -> Events:
        """Return events that take no memory while they are not used."""
        columns = (events.t, events.x, events.y, events.p)
        for column in columns:
            self._file.write(column.tobytes())
        size = sum(column.nbytes for column in columns)
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ, offset=self._end)
        place = 0
        found: list[npt.NDArray[Any]] = []
        for column in columns:
            found.append(np.frombuffer(mapped, column.dtype, len(column), place))
            place += column.nbytes
        self._end += -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._file.seek(self._end)
        t, x, y, p = found
        return Events.trusted(t, x, y, p, events.sensor)

    def close(self) -> None:
        """Remove the file; what was put into it can be used as long as it is held."""
        self._file.close()


class Cutting:
    """Divides an interval of a recording while its events come: the windows are those of `cut`.

    Parameters
    ----------
    division
        How.
    begin_us
        Where the interval begins, µs.

    Attributes
    ----------
    is_done : whether all windows were returned.
    """

    def __init__(self, division: Regular, begin_us: int) -> None:
        self._division, self._begin_us = division, begin_us
        self._at_us = begin_us + division.origin_us  # where the next window starts, if that is told
        self._row = 0  # the least row that it may have
        self.is_done = False

    def windows(self, arriving: Arriving, stop_us: int | None) -> Windows:
        """Return windows that are known, and were not returned before; none if more must come.

        Parameters
        ----------
        arriving
            The events so far.
        stop_us
            Where the interval ends, if all its events have come; else None.
        """
        if self.is_done or (stop_us is None and arriving.last_us < self._begin_us):
            return NO_WINDOWS
        division, at_us = self._division, self._at_us
        end_us = max(arriving.last_us if stop_us is None else stop_us, self._begin_us)
        if isinstance(division, Duration):
            end_us = min(end_us, at_us + division.window_us + _MOST_WINDOWS * self._stride)
        elif isinstance(division, Mixed):
            end_us = min(end_us, at_us + _MOST_WINDOWS * division.window_us)
        self.is_done = stop_us is not None and end_us >= stop_us
        division = replace(
            division,
            origin_us=at_us - self._begin_us,
            tail=division.tail if self.is_done else "drop",
        )
        index_of = self._from_row(arriving)
        found, _ = cut(division, [self._begin_us], [end_us], index_of, arriving.stamp_at)
        if len(found) and not self.is_done:
            self._go_on(found, arriving)
        return found

    def next_window(self, arriving: Arriving) -> tuple[int, int]:
        """Return the least row, and the least start, of what was not returned yet."""
        first = self._from_row(arriving)(np.array([self._begin_us, self._at_us]))
        row = int(first.max())
        if not isinstance(self._division, Count):
            return row, self._at_us
        if row < arriving.n:
            return row, int(arriving.stamp_at(np.array([row]))[0])
        return row, max(arriving.last_us, self._begin_us)

    @property
    def _stride(self) -> int:
        division = self._division
        if isinstance(division, Duration):
            return division.window_us if division.stride_us is None else division.stride_us
        assert isinstance(division, Count)
        return division.count if division.stride is None else division.stride

    def _from_row(self, arriving: Arriving) -> IndexOf:
        if isinstance(self._division, Duration):
            return arriving.index_of
        return lambda t: np.maximum(arriving.index_of(t), self._row)

    def _go_on(self, found: Windows, arriving: Arriving) -> None:
        """Let the next window be the one after those that were found."""
        if isinstance(self._division, Duration):
            self._at_us = int(found.start_us[-1]) + self._stride
        elif isinstance(self._division, Count):
            self._row = int(found.start[-1]) + self._stride
        else:
            self._row, self._at_us = int(found.stop[-1]), int(found.stop_us[-1])
            if self._row < arriving.n:  # which is earlier if equal timestamps are cut apart
                following = int(arriving.stamp_at(np.array([self._row]))[0])
                self._at_us = min(self._at_us, following)
