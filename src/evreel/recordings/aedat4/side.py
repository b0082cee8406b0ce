"""Side streams of an AEDAT 4 file: triggers, IMU samples, frame times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.events import FrameTimes, Imu, Triggers
from evreel.recordings.aedat4.flatbuffer import I64, DamageError, Flatbuffer
from evreel.recordings.aedat4.packets import STAMP_LIMIT
from evreel.recordings.pieces import Side
from evreel.timebase import Int64Array

SIDE_ROWS = 1 << 13
"""Samples in a batch of a side stream."""
KINDS = ("TRIG", "IMUS", "FRME")
"""Identifiers of the side streams that are read."""


class SideBatch:
    """Gathers packets of a side stream into batches, on the file's own clock."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._parts: list[tuple[npt.NDArray[Any], ...]] = []
        self._n = 0

    def add(self, content: Flatbuffer) -> Iterator[Side]:
        """Take the samples of a packet; yield batches that are full."""
        for part in self._columns(content):
            self._parts.append(part)
            self._n += len(part[0])
            if self._n >= SIDE_ROWS:
                yield from self.flush()

    def flush(self) -> Iterator[Side]:
        """Yield what has been gathered, if anything."""
        if not self._n:
            return
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        self._parts, self._n = [], 0
        if self._kind == "TRIG":
            t, kind = columns
            yield Triggers(t, edges(kind), kind.astype(np.int16))
        elif self._kind == "IMUS":
            t, values = columns
            acceleration, rotation, field = (values[:, k : k + 3].copy() for k in (1, 4, 7))
            yield Imu(t, acceleration, rotation, field, values[:, 0].copy())
        else:
            yield FrameTimes(*columns)

    def _columns(self, content: Flatbuffer) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        if self._kind == "TRIG":
            for t, kind in content.columns(("<i8", (0,)), ("|i1", (1,))):
                yield _possible(t[:, 0]), kind[:, 0]
        elif self._kind == "IMUS":
            for t, values in content.columns(("<i8", (0,)), ("<f4", range(1, 11))):
                yield _possible(t[:, 0]), values
        else:
            start, stop = _exposure(content)
            yield _possible(np.array([start])), _possible(np.array([stop]))


def _possible(t: Int64Array) -> Int64Array:
    """Return timestamps; raise if one is so far off that times relative to it overflow int64."""
    if ((t < -STAMP_LIMIT) | (t >= STAMP_LIMIT)).any():
        raise DamageError(f"has a timestamp that is not within ±{STAMP_LIMIT} µs")
    return t


def edges(kind: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return 1 for trigger types that rise, 0 for types that fall, −1 for others."""
    edge = np.full(len(kind), -1, np.int8)
    edge[np.isin(kind, (1, 4))] = 1
    edge[np.isin(kind, (2, 5))] = 0
    return edge


def _exposure(frame: Flatbuffer) -> tuple[int, int]:
    """Return start and stop of a frame's exposure, as precisely as the frame states them."""
    stamp, readout, readout_stop, start, stop = (
        frame.value(frame.root, index, I64) for index in range(5)
    )
    duration = frame.value(frame.root, 11, I64)
    if not stop:
        start, stop = stamp, stamp + duration
        if not duration and readout_stop:
            start, stop = readout, readout_stop
    if not -STAMP_LIMIT <= start <= stop < STAMP_LIMIT:
        raise DamageError(f"has a frame that is exposed from {start} to {stop} µs")
    return start, stop
