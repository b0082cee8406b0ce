"""Write events to AEDAT 4, in DV's layout, so that dv-processing can open it."""

from __future__ import annotations

import struct
from array import array
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from xml.sax.saxutils import escape

import lz4.frame
import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import EventsError, UsageError
from evreel.events import Batch, Events, Imu, Sensor, Triggers, Waiting
from evreel.recordings.aedat4.flatbuffer import I64, tables_flatbuffer, vector_head
from evreel.recordings.aedat4.packets import (
    COMPRESSIONS,
    EVENT,
    MAGIC,
    PACKET_HEAD,
    PACKET_LIMIT,
    SENSOR_LIMIT,
    STAMP_LIMIT,
    Compression,
)
from evreel.recordings.aedat4.side import SIDE_ROWS, edges
from evreel.recordings.jumps import PAUSE_US
from evreel.threads import Crew, Task
from evreel.timebase import Int64Array

_HEADER_HEAD = struct.Struct("<II4s6x5HiiIqI")
_TABLE_AT_OFFSET = len(MAGIC) + 40  # where a header made here holds the position of the table
_TASK_BYTES = 1 << 20
"""Bytes of the packets that a task compresses: waking a thread takes as long as a small one."""
_MORE_AHEAD = 4  # tasks beside one per thread


class Aedat4Writer:
    """Write a recording in AEDAT 4, which dv-processing opens too.

    A context manager: leaving the block writes the remaining events, the table of packets, and its
    position in the header. A block that raises leaves a file without a table. Packets are cut by
    their number of events alone, whatever the batches.

    Parameters
    ----------
    path
        The file; an existing one is overwritten.
    sensor
        (height, width) of the events to come.
    compression
        ``none``, ``lz4`` or ``zstd`` (level 3, with checksums).
    t_offset
        Time of the batches' t = 0 on the camera's clock, µs. Readers use the first event's
        timestamp as their own.
    source
        Name of the camera, which identifies streams of the same camera.
    events_per_packet
        Events in each packet but the last.
    side
        Which side streams the header announces: `Triggers`, `Imu` or both.
    crew
        Threads that compress; None: the calling one. Bytes do not depend on it.

    Raises
    ------
    UsageError
        If a parameter is out of range, or a batch is of a kind that was not announced.
    EventsError
        If events are of another sensor or go back in time, or a value does not fit the format.

    Examples
    --------
    >>> import tempfile
    >>> from evreel.recordings.aedat4 import Aedat4Recording
    >>> events = Events([0, 5, 9], [1, 2, 0], [0, 3, 3], [1, 0, 1], Sensor(4, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "three.aedat4"
    ...     with Aedat4Writer(path, events.sensor, t_offset=1_000) as writer:
    ...         writer.write(events)
    ...     with Aedat4Recording(path) as recording:
    ...         [batch] = recording.batches(5, 9)
    >>> recording.t_offset, recording.sensor, batch.t.tolist(), batch.y.tolist()
    (1000, Sensor(height=4, width=3), [5], [3])
    """

    def __init__(
        self,
        path: str | Path,
        sensor: Sensor,
        *,
        compression: Compression = "lz4",
        t_offset: int = 0,
        source: str = "evreel",
        events_per_packet: int = 10_000,
        side: Collection[type[Triggers] | type[Imu]] = (),
        crew: Crew | None = None,
    ) -> None:
        if compression not in ("none", "lz4", "zstd"):
            raise UsageError(f"compression {compression!r} is not one of none, lz4, zstd")
        most = PACKET_LIMIT // EVENT.itemsize - 2
        if not 1 <= events_per_packet <= most:
            raise UsageError(f"events_per_packet is {events_per_packet}; 1 to {most} are possible")
        if not all(1 <= length <= SENSOR_LIMIT for length in sensor):
            raise UsageError(f"sensor is {tuple(sensor)}; sides may have 1 to {SENSOR_LIMIT} px")
        if not source.isprintable():
            raise UsageError(f"source {source!r} has unprintable characters")
        self._sensor = Sensor(*sensor)
        self._t_offset = t_offset
        self._events_per_packet = events_per_packet
        self._compression = COMPRESSIONS.index(compression.upper())
        self._crew = Crew() if crew is None else crew
        self._begun: deque[Task[list[_Packet]]] = deque()
        self._streams: dict[type[Batch], _WrittenStream] = {
            kind: stream for kind, stream in _WRITTEN.items() if kind in (Events, *side)
        }
        self._pending = Waiting()
        self._last: int | None = None
        self._rows = array("q")  # five numbers a packet: an hour may have millions of these
        self.path = Path(path)
        self._file = self.path.open("wb")
        self._file.write(MAGIC + _header_flatbuffer(self._compression, self._xml(source)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()

    def write(self, batch: Batch) -> None:
        """Add events, which must not go back in time, or samples of an announced side stream."""
        if type(batch) not in self._streams:
            names = ", ".join(kind.__name__ for kind in self._streams)
            raise UsageError(f"a batch of {type(batch).__name__} is not announced; {names} are")
        if isinstance(batch, Events):
            self._write_events(batch)
        elif isinstance(batch, Triggers):
            if not np.array_equal(edges(batch.id), batch.edge):
                raise EventsError("a trigger's edge is not the one that its id has in AEDAT 4")
            if ((batch.id < 0) | (batch.id > 127)).any():
                raise EventsError("a trigger's id is not within [0, 127]")
            self._write_samples(Triggers, batch.t, [batch.id.astype(np.int8)])
        elif isinstance(batch, Imu):
            axes = batch.accelerometer, batch.gyroscope, batch.magnetometer
            values = [batch.temperature, *np.concatenate(axes, axis=1).T]
            self._write_samples(Imu, batch.t, [value.astype("<f4") for value in values])

    def _write_events(self, events: Events) -> None:
        if events.sensor != self._sensor:
            raise EventsError(f"a batch has sensor {events.sensor}, not {self._sensor}")
        if not len(events):
            return
        t = self._stamps(events.t)
        if self._last is not None and t[0] < self._last:
            raise EventsError(f"t={events.t[0]} goes back before t={self._last - self._t_offset}")
        gap = int(np.diff(t, prepend=t[0] if self._last is None else self._last).max())
        if gap > PAUSE_US:
            raise EventsError(f"{gap} µs pass between two events; the limit is {PAUSE_US}")
        self._last = int(t[-1])
        self._pending.add(events)
        whole = self._pending.rows - self._pending.rows % self._events_per_packet
        at_once = max(1, _TASK_BYTES // (EVENT.itemsize * self._events_per_packet))
        while whole:
            rows = min(whole, at_once * self._events_per_packet)
            self._begin(self._event_packets, self._pending.take(rows))
            whole -= rows

    def _event_packets(self, parts: list[Events]) -> list[_Packet]:
        """Return the packets of events, the last of which may have fewer."""
        rows = np.zeros(sum(map(len, parts)), EVENT)
        at = 0
        for part in parts:
            new = rows[at : at + len(part)]
            new["t"] = part.t + self._t_offset
            new["x"], new["y"], new["p"] = part.x, part.y, part.p
            at += len(part)
        packets = []
        for first in range(0, len(rows), self._events_per_packet):
            cut = rows[first : first + self._events_per_packet]
            content = vector_head("EVTS", len(cut), cut.nbytes) + cut.tobytes()
            packets.append(self._packet(Events, content, cut["t"]))
        return packets

    def _write_samples(
        self, kind: type[Batch], t_us: Int64Array, fields: list[npt.NDArray[Any]]
    ) -> None:
        t = self._stamps(t_us)
        for first in range(0, len(t), SIDE_ROWS):
            cut = slice(first, first + SIDE_ROWS)
            columns = [t[cut], *(field[cut] for field in fields)]
            content = tables_flatbuffer(self._streams[kind].kind, columns)
            self._begin(lambda *packet: [self._packet(*packet)], kind, content, t[cut])

    def _stamps(self, t_us: Int64Array) -> Int64Array:
        """Return timestamps on the camera's clock."""
        low, high = -self._t_offset, STAMP_LIMIT - self._t_offset
        if len(t_us) and not low <= int(t_us.min()) <= int(t_us.max()) < high:
            raise EventsError(f"a timestamp is not within [{low}, {high}) µs")
        return t_us + self._t_offset

    def _begin(self, make: Callable[..., list[_Packet]], *arguments: Any) -> None:
        """Let the crew make the next packets, and write the first ones that it was given."""
        self._begun.append(self._crew.begin(make, *arguments))
        self._write_begun(0 if self._crew.threads == 1 else self._crew.threads + _MORE_AHEAD)

    def _packet(self, kind: type[Batch], content: bytes, t: Int64Array) -> _Packet:
        number = self._streams[kind].number
        return _Packet(number, self._packed(content), len(t), int(t[0]), int(t[-1]))

    def _packed(self, content: bytes) -> bytes:
        method = COMPRESSIONS[self._compression]
        if method == "LZ4":
            packed: bytes = lz4.frame.compress(content)
            return packed
        if method == "ZSTD":  # one each, because threads cannot share one
            return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(content)
        return content

    def _write_begun(self, left: int) -> None:
        """Write packets in order until this many tasks are left."""
        while len(self._begun) > left:
            for packet in self._begun.popleft().result():
                size = len(packet.packed)
                self._file.write(PACKET_HEAD.pack(packet.stream, size))
                # Stream and size are a struct of two int32, written here as one number.
                place = self._file.tell(), packet.stream | size << 32
                self._rows.extend((*place, packet.rows, packet.first_us, packet.last_us))
                self._file.write(packet.packed)

    def _finish(self) -> None:
        if self._pending.rows:
            self._begin(self._event_packets, self._pending.take(self._pending.rows))
        self._write_begun(0)
        table_at = self._file.tell()
        columns = np.array(self._rows, np.int64).reshape(-1, 5).T
        self._file.write(self._packed(tables_flatbuffer("FTAB", list(columns))))
        self._file.seek(_TABLE_AT_OFFSET)
        self._file.write(I64.pack(table_at))

    def _xml(self, source: str) -> str:
        """Return the streams as DV describes them."""
        lines = ['<dv version="2.0">', '    <node name="outInfo" path="/outInfo/">']
        for stream in self._streams.values():
            path = f"/outInfo/{stream.number}/"
            size = [("sizeX", "int", self._sensor.width), ("sizeY", "int", self._sensor.height)]
            lines += [
                f'        <node name="{stream.number}" path="{path}">',
                *_attributes(
                    12,
                    ("compression", "string", COMPRESSIONS[self._compression]),
                    ("originalModuleName", "string", "evreel"),
                    ("originalOutputName", "string", stream.name),
                    ("typeDescription", "string", stream.description),
                    ("typeIdentifier", "string", stream.kind),
                ),
                f'            <node name="info" path="{path}info/">',
                *_attributes(
                    16,
                    *(size if stream.kind == "EVTS" else []),
                    ("source", "string", escape(source)),
                ),
                "            </node>",
                "        </node>",
            ]
        return "\n".join([*lines, "    </node>", "</dv>", ""])


class _Packet(NamedTuple):
    """A packet to be written: its stream and bytes, its rows, and their times on the clock, µs."""

    stream: int
    packed: bytes
    rows: int
    first_us: int
    last_us: int


@dataclass(frozen=True)
class _WrittenStream:
    """What a header says of a stream, numbered as DV does."""

    number: int
    kind: str
    name: str
    description: str


_WRITTEN: dict[type[Batch], _WrittenStream] = {
    Events: _WrittenStream(0, "EVTS", "events", "Array of events (polarity ON/OFF)."),
    Imu: _WrittenStream(2, "IMUS", "imu", "Inertial measurement unit samples."),
    Triggers: _WrittenStream(3, "TRIG", "triggers", "External triggers and special signals."),
}


def _attributes(indent: int, *lines: tuple[str, str, object]) -> list[str]:
    return [
        f'{" " * indent}<attr key="{key}" type="{type_}">{value}</attr>'
        for key, type_, value in lines
    ]


def _header_flatbuffer(compression: int, xml: str) -> bytes:
    """Return the header, with −1 as the table's position."""
    text = xml.encode()
    tail = text + bytes(4 - len(text) % 4)  # one zero ends a string, others align it
    head = (_HEADER_HEAD.size - 4 + len(tail), 24, b"IOHE", 10, 20, 4, 12, 8, 10)
    return _HEADER_HEAD.pack(*head, compression, 12, -1, len(text)) + tail
