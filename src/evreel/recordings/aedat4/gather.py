"""Events of AEDAT 4's packets, gathered into batches that are then checked as a whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.events import Sensor
from evreel.recordings.aedat4.flatbuffer import DamageError, Flatbuffer
from evreel.recordings.aedat4.packets import EVENT, STAMP_LIMIT, Packet
from evreel.recordings.decoded import in_order_and_inside
from evreel.recordings.jumps import PAUSE_US
from evreel.timebase import Int64Array

BATCH_ROWS = 1 << 17
"""Events in a batch."""

_BATCHES_IN_PIECE = 4


class Gathered(NamedTuple):
    """Events of a bundle, on the file's own clock, and the packets that they come from.

    Parameters
    ----------
    t : (n,) int64, µs.
    x, y : (n,) uint16, as in the file: a negative number there is 2¹⁵ or more here.
    p : (n,) uint8.
    parts : packets, each with the row where it begins; the first may begin in the batch before.
    latest : the latest timestamp.
    sound : whether no event breaks a rule within the batch; not compared with the batch before.
    """

    t: Int64Array
    x: npt.NDArray[np.uint16]
    y: npt.NDArray[np.uint16]
    p: npt.NDArray[np.uint8]
    parts: list[tuple[int, Packet]]
    latest: int
    sound: bool


def impossible(t: int) -> str:
    """Return what is wrong with a timestamp that is out of range."""
    return f"at t={t} µs, not within [0, {STAMP_LIMIT})"


def event_rows(content: Flatbuffer) -> npt.NDArray[Any]:
    """Return (n,) events of a packet, unchecked, as a view of its bytes."""
    start, n = content.vector(content.root, 0, EVENT.itemsize)
    # All but the events takes 32 bytes or a few more: a length that is one too small shows here.
    rest = len(content.data) - n * EVENT.itemsize
    if rest >= 3 * EVENT.itemsize:
        raise DamageError(f"says that it has {n} events, but has {rest} bytes besides them")
    return np.frombuffer(content.data, EVENT, n, start)


def check_stamps(t: Int64Array, place: int) -> None:
    """Raise at an impossible timestamp.

    Parameters
    ----------
    t
        (n,) timestamps of a packet, n > 0.
    place
        Index of the first of these among the packet's events.
    """
    if t.min() < 0 or t.max() >= STAMP_LIMIT:
        row = int(np.argmax((t < 0) | (t >= STAMP_LIMIT)))
        raise DamageError(f"has event {place + row} {impossible(int(t[row]))}")


def check_polarities(p: npt.NDArray[np.uint8], place: int) -> None:
    """Raise if a polarity is neither 0 nor 1; `place` is as in `check_stamps`."""
    if p.max() > 1:
        row = int(np.argmax(p > 1))
        raise DamageError(f"has event {place + row} with p={p[row]}, not within [0, 2)")


class Memory:
    """Memory for the batches of one pass, for several threads.

    If batches are kept, page faults take as long as everything else. So the columns of several
    batches share a piece of 6.8 MB, for which numpy asks for large pages, as it does from 4 MiB on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[tuple[npt.NDArray[Any], ...]] = []
        self._pieces = 0

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return t, x, y, p with `BATCH_ROWS` rows each."""
        with self._lock:
            if not self._free:
                self._take_piece()
            return self._free.pop()

    def _take_piece(self) -> None:
        batches = _BATCHES_IN_PIECE if self._pieces else 1  # the first is often the only one
        self._pieces += 1
        piece = np.empty(batches * BATCH_ROWS * 13, np.uint8)
        columns, done = [], 0
        for dtype in (np.int64, np.uint16, np.uint16, np.uint8):
            size = batches * BATCH_ROWS * np.dtype(dtype).itemsize
            columns.append(piece[done : done + size].view(dtype).reshape(batches, BATCH_ROWS))
            done += size
        self._free.extend(zip(*columns, strict=True))


def _joined(parts: list[tuple[Packet, npt.NDArray[Any]]]) -> npt.NDArray[Any]:
    """Return the events of packets as one array.

    While threads share Python's lock, few calls on large arrays take half the time of many on
    small ones, in spite of the extra copy; a join beyond 1 MiB also releases the lock.
    """
    if len(parts) == 1:
        return parts[0][1]
    content = b"".join([rows.data for _, rows in parts])
    return np.frombuffer(content, EVENT) if content else np.empty(0, EVENT)


class EventBatch:
    """Gathers packets into batches, and checks each batch when it is full.

    Checking packet by packet would cost more in numpy calls than in work.
    """

    def __init__(self, sensor: Sensor, memory: Memory) -> None:
        self._memory = memory
        self._sensor = sensor
        self._n = 0
        self._parts: list[tuple[int, Packet]] = []

    def add_all(self, parts: list[tuple[Packet, npt.NDArray[Any]]]) -> Iterator[Gathered]:
        """Take packets with their events; yield batches that are full."""
        if parts:
            yield from self.add([(packet, len(rows)) for packet, rows in parts], _joined(parts))

    def add(self, packets: list[tuple[Packet, int]], rows: npt.NDArray[Any]) -> Iterator[Gathered]:
        """Take packets, each with its number of events, and the events; yield full batches."""
        begin = self._n
        for packet, n in packets:
            self._parts.append((begin, packet))
            begin += n
        done = 0
        while done < len(rows):
            if not self._n:
                self._t, self._x, self._y, self._p = self._memory.columns()
            taken = rows[done : done + BATCH_ROWS - self._n]
            into = slice(self._n, self._n + len(taken))
            self._t[into] = taken["t"]
            self._x[into] = taken["x"]
            self._y[into] = taken["y"]
            self._p[into] = taken["p"]
            self._n += len(taken)
            done += len(taken)
            if self._n == BATCH_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[Gathered]:
        """Yield what has been gathered, if anything."""
        if not self._n:
            return
        whole = slice(self._n)
        t, x, y, p = self._t[whole], self._x[whole], self._y[whole], self._p[whole]
        sound = (
            p.max() <= 1
            and t[0] >= 0
            and t[-1] < STAMP_LIMIT
            and in_order_and_inside(t, x, y, self._sensor)
            and t[-1] - t[0] <= PAUSE_US
        )
        stops = [*(begin for begin, _ in self._parts[1:]), self._n]
        listed = zip(self._parts, stops, strict=True)
        parts = [part for part, stop in listed if part[0] < self._n and stop > 0]
        # What is left of the last packet began before the next batch.
        self._parts = [(begin - self._n, packet) for begin, packet in self._parts]
        self._parts = self._parts[sum(begin <= 0 for begin, _ in self._parts[1:]) :]
        self._n = 0
        yield Gathered(t, x, y, p, parts, int(t[-1] if sound else t.max()), bool(sound))
