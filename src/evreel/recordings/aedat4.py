"""AEDAT 4, the format of iniVation's DV and dv-processing: read and written.

A file is the line ``#!AER-DAT4.0``, a header, packets, and a table of the packets. Header, table
and the content of each packet are flatbuffers with their size in front (uint32); all numbers are
little-endian.

======  ======================================================================================
header  ``IOHE``: compression, position of the table or −1, the streams as XML
packet  int32 stream, int32 bytes, then that many bytes, compressed: ``EVTS`` (an array of events
        of 16 bytes), ``TRIG`` or ``IMUS`` (a vector of tables), ``FRME`` (one table)
table   ``FTAB``, compressed, up to the end of the file: for each packet where it lies, its
        stream, its number of elements, first and last stamp
======  ======================================================================================

Known from files that DV and dv-processing 2.0.4 wrote. Packets of theirs carry no checksum unless
under ZSTD, so a reader finds only the damage that breaks a rule: every rule is checked here, and
nothing in a file is believed before it is.
"""

from __future__ import annotations

import os
import struct
import threading
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar
from xml.sax.saxutils import escape

import lz4.frame
import numpy as np
import numpy.typing as npt
import zstandard
from lxml import etree

from evreel.errors import EventsError, RecordingError, UsageError
from evreel.events import Batch, Events, FrameTimes, Imu, Sensor, Triggers
from evreel.filters import within
from evreel.recordings.decoded import DecodedRecording, Piece, Side
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.prefetch import Ahead, default_threads
from evreel.timebase import Int64Array

MAGIC = b"#!AER-DAT4.0\r\n"
HEADER_LIMIT = 1 << 22
"""Bytes that a header may have; DV's have a few thousand."""
PACKET_LIMIT = 1 << 28
"""Bytes that a packet may have, packed or unpacked: 16.7 million events. DV's hold 10 thousand."""
SENSOR_LIMIT = 1 << 15
"""Pixels along a side: the format's coordinates are int16."""
STAMP_LIMIT = 1 << 62
"""Stamps of events lie in ``[0, STAMP_LIMIT)`` µs: no difference of two then leaves int64."""
GAP_LIMIT_US = 86_400_000_000
"""Longest time between neighbouring events: a day. A flipped high bit of a stamp jumps further."""
BATCH_ROWS = 1 << 17
"""Events in a batch."""
SIDE_ROWS = 1 << 13
"""Samples in a batch of a side stream."""
BUNDLE_BYTES = 1 << 21
"""Packed bytes of packets that are decoded at once; a quarter of that where no table tells how
many events are in them."""
BUNDLE_PACKETS = 1 << 10
"""Packets that are decoded at once."""
AHEAD_BYTES = 1 << 24
"""Unpacked bytes at which a thread that decodes ahead leaves the rest to the caller's."""

Compression = Literal["none", "lz4", "zstd"]

_BATCHES_IN_PIECE = 4
_TO_SORT = "To put events in order: on_disorder: sort."
_TO_DROP = "Is the sensor's size right? To leave such events out: on_out_of_bounds: drop."
_PACKET_HEAD = struct.Struct("<ii")
_U16, _U32 = struct.Struct("<H"), struct.Struct("<I")
_I32, _I64 = struct.Struct("<i"), struct.Struct("<q")
_COMPRESSIONS = ("NONE", "LZ4", "LZ4_HIGH", "ZSTD", "ZSTD_HIGH")  # by the header's number
_SIDE_KINDS = ("TRIG", "IMUS", "FRME")
_TABLES_AT_ONCE = 4096  # some 100 bytes of index arrays for each field of each

# x and y are int16 in the format: read as uint16, a negative one is 2¹⁵ or more. Padding has a name
# because numpy copies fields only, and leaves in gaps what was in memory.
_EVENT = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("padding", "u1", 3)])
# Size, root, identifier, vtable, root table and length of a vector, as every builder lays them.
_VECTOR_HEAD = struct.Struct("<II4s2x3HiII")
_HEADER_HEAD = struct.Struct("<II4s6x5HiiIqI")
_TABLE_AT_OFFSET = len(MAGIC) + 40  # where a header made here holds the position of the table


class _DamageError(Exception):
    """What breaks a rule of the format, as the predicate of a sentence about header or packet."""


class _BudgetError(Exception):
    """More would be unpacked than a thread may hold ahead."""


class _Flatbuffer:
    """Bounds-checked reading of a flatbuffer; every method raises `_DamageError`.

    Parameters
    ----------
    data
        The flatbuffer, its size in front.
    identifier
        The four letters that it must carry.
    """

    def __init__(self, data: bytes | memoryview, identifier: str) -> None:
        self.data = data
        if len(data) < 12:
            raise _DamageError(f"has {len(data)} bytes, too few for a flatbuffer")
        size = self.number(_U32, 0) + 4
        if size != len(data):
            raise _DamageError(f"has {len(data)} bytes, and {size} by what stands in front of them")
        found = bytes(data[8:12])
        if found != identifier.encode():
            raise _DamageError(f"holds {found!r}; {identifier} is expected")
        self.root = 4 + self.number(_U32, 4)

    def number(self, kind: struct.Struct, at: int) -> int:
        """Return the number at a position."""
        if not 0 <= at <= len(self.data) - kind.size:
            raise _DamageError(f"has an offset to byte {at} of its {len(self.data)} bytes")
        value: int = kind.unpack_from(self.data, at)[0]
        return value

    def field(self, table: int, index: int, size: int) -> int | None:
        """Return where a table's field of `size` bytes lies; None where the table leaves it out."""
        vtable = table - self.number(_I32, table)
        vtable_size, table_size = self.number(_U16, vtable), self.number(_U16, vtable + 2)
        if vtable_size < 4 or max(vtable + vtable_size, table + table_size) > len(self.data):
            raise _DamageError("has a table that does not fit in it")
        slot = 4 + 2 * index
        offset = self.number(_U16, vtable + slot) if slot + 2 <= vtable_size else 0
        if not offset:
            return None
        if offset < 4 or offset + size > table_size:
            raise _DamageError("has a field that lies outside its table")
        return table + offset

    def value(self, table: int, index: int, kind: struct.Struct, default: int = 0) -> int:
        """Return a table's field."""
        at = self.field(table, index, kind.size)
        return default if at is None else self.number(kind, at)

    def vector(self, table: int, index: int, item_size: int) -> tuple[int, int]:
        """Return where a vector's items lie, and how many there are."""
        at = self.field(table, index, 4)
        if at is None:
            return 0, 0
        start = at + self.number(_U32, at)
        length = self.number(_U32, start)
        if start + 4 + length * item_size > len(self.data):
            raise _DamageError(f"has a vector of {length} items that does not fit in it")
        return start + 4, length

    def text(self, table: int, index: int) -> str:
        """Return a table's string."""
        start, length = self.vector(table, index, 1)
        try:
            return bytes(self.data[start : start + length]).decode()
        except UnicodeDecodeError as error:
            raise _DamageError(f"has text that is not UTF-8: {error}") from error

    def columns(self, *groups: tuple[str, Sequence[int]]) -> Iterator[list[npt.NDArray[Any]]]:
        """Yield fields of the tables of which the root table's first field is a vector.

        Parameters
        ----------
        groups
            A dtype, and the numbers of fields that have it. A field that is left out is 0.

        Yields
        ------
        For some thousand tables at a time: a (tables, fields) array a group.
        """
        data = np.frombuffer(self.data, np.uint8)
        start, length = self.vector(self.root, 0, 4)
        for first in range(0, length, _TABLES_AT_ONCE):
            entry = start + 4 * np.arange(first, min(first + _TABLES_AT_ONCE, length))
            table = entry + _gathered(data, entry, "<u4")
            vtable = table - _gathered(data, table, "<i4")
            vtable_size = _gathered(data, vtable, "<u2")
            table_size = _gathered(data, vtable + 2, "<u2")
            stop = np.maximum(vtable + vtable_size, table + table_size)
            if (vtable_size < 4).any() or stop.max() > len(data):
                raise _DamageError("has a table that does not fit in it")
            columns = []
            for dtype, fields in groups:
                slot = 4 + 2 * np.array(fields)
                listed = slot + 2 <= vtable_size[:, None]
                # Where a field is absent, byte 0 is read in its place and then masked.
                at = np.where(listed, vtable[:, None] + slot, 0)
                offset = np.where(listed, _gathered(data, at, "<u2"), 0)
                beyond = offset + np.dtype(dtype).itemsize > table_size[:, None]
                if ((offset != 0) & (beyond | (offset < 4))).any():
                    raise _DamageError("has a field that lies outside its table")
                at = np.where(offset != 0, table[:, None] + offset, 0)
                values = _gathered(data, at, dtype)
                columns.append(np.where(offset != 0, values, np.zeros(1, values.dtype)))
            yield columns


def _gathered(data: npt.NDArray[np.uint8], at: Int64Array, dtype: str) -> npt.NDArray[Any]:
    """Return the numbers at positions of any alignment; sizes and offsets as int64."""
    size = np.dtype(dtype).itemsize
    if at.min() < 0 or at.max() > len(data) - size:
        raise _DamageError(f"has an offset that leads out of its {len(data)} bytes")
    values: npt.NDArray[Any] = data[at[..., None] + np.arange(size)].view(dtype)[..., 0]
    return values.astype(np.int64) if dtype in ("<u2", "<u4", "<i4") else values


class _Unpacker:
    """Undoes a file's compression, up to `PACKET_LIMIT` bytes; raises `_DamageError`.

    The state that it keeps is not for two threads. With a `budget` it raises `_BudgetError` where
    it would unpack more bytes than that in all.
    """

    def __init__(self, compression: int, budget: int | None = None) -> None:
        self._budget = budget
        self._method = _COMPRESSIONS[compression].partition("_")[0]
        self._lz4 = lz4.frame.create_decompression_context()
        self._zstd = zstandard.ZstdDecompressor()

    def __call__(self, packed: memoryview) -> bytes | memoryview:
        """Return the unpacked bytes of one packet or table."""
        unpacked: bytes | memoryview = packed
        try:
            if self._method == "LZ4":
                unpacked = self._unlz4(packed)
            elif self._method == "ZSTD":
                unpacked = self._unzstd(packed)
        except (RuntimeError, zstandard.ZstdError) as error:
            raise _DamageError(f"can't be unpacked: {error}") from error
        self._check(len(unpacked))
        if self._budget is not None:
            self._budget -= len(unpacked)
        return unpacked

    def _check(self, size: int) -> None:
        """Raise where a packet unpacks to so many bytes and that is too much."""
        if size > PACKET_LIMIT:
            raise _DamageError(f"unpacks to {size} bytes or more; {PACKET_LIMIT} at most are read")
        if self._budget is not None and size > self._budget:
            raise _BudgetError

    def _unlz4(self, packed: memoryview) -> bytes:
        """Unpack one frame. DV's don't tell their size, and no frame's word is taken for it."""
        parts: list[bytes] = []
        size, whole = 0, False
        # python-lz4 allocates as much as it may write; most packets shrink to a half.
        room = min(4 * len(packed) + 1024, PACKET_LIMIT + 1)
        while not whole:
            part, used, whole = lz4.frame.decompress_chunk(self._lz4, packed, max_length=room)
            packed = packed[used:]
            if not (part or used or whole):
                raise _DamageError("can't be unpacked: its LZ4 frame is cut short")
            parts.append(part)
            size += len(part)
            self._check(size)
            room = min(size + 1024, PACKET_LIMIT + 1)
        if len(packed):
            raise _DamageError(f"has {len(packed)} bytes after the end of its LZ4 frame")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unzstd(self, packed: memoryview) -> bytes:
        size = zstandard.frame_content_size(packed)
        if size < 0:
            return self._unzstd_in_pieces(packed)
        self._check(size)
        # The size is allocated at once, so it must be possible: blocks of 128 KiB from 3 bytes.
        if size > (len(packed) // 3 + 1) << 17:
            raise _DamageError(f"can't be unpacked: {len(packed)} bytes can't hold {size}")
        unpacked: bytes = self._zstd.decompress(packed, allow_extra_data=False)
        return unpacked

    def _unzstd_in_pieces(self, packed: memoryview) -> bytes:
        """Unpack a frame that does not tell its size."""
        stream = self._zstd.decompressobj()
        parts: list[bytes] = []
        size = 0
        for at in range(0, len(packed), 1024):  # which unpack to 43 MiB at most
            parts.append(stream.decompress(packed[at : at + 1024]))
            size += len(parts[-1])
            self._check(size)
            if stream.eof:
                if stream.unused_data or at + 1024 < len(packed):
                    raise _DamageError("has bytes after the end of its Zstandard frame")
                return b"".join(parts)
        raise _DamageError("can't be unpacked: its Zstandard frame is cut short")


@dataclass(frozen=True)
class _Stream:
    """A stream as the header's XML describes it; `size` is (height, width)."""

    number: int
    kind: str
    name: str
    source: str
    size: tuple[int, int] | None

    def __str__(self) -> str:
        size = "no size" if self.size is None else f"{self.size[1]}x{self.size[0]}"
        return f"{self.number} ({self.name} of {self.source}, {size})"


class _Packet(NamedTuple):
    """A packet: it begins at byte `start` of the file, `size` bytes follow its head.

    `row` is its row of the table, where that is used.
    """

    start: int
    stream: int
    size: int
    row: int | None

    @property
    def stop(self) -> int:
        return self.start + _PACKET_HEAD.size + self.size


class _Gathered(NamedTuple):
    """Events of a bundle: those of a range of time, and first and last stamp of all of them.

    The first of all is event `place` of `packet`.
    """

    events: Events
    first_us: int
    last_us: int
    packet: _Packet
    place: int


@dataclass(frozen=True, eq=False)
class _Table:
    """The table of packets: (n,) int64, one row a packet; its content begins at `offset`."""

    offset: Int64Array
    stream: Int64Array
    size: Int64Array
    count: Int64Array
    first_us: Int64Array
    last_us: Int64Array


class Aedat4Recording(DecodedRecording):
    """A recording in AEDAT 4, of a DVS, DAVIS or DVXplorer camera.

    Every time is relative to the first event's stamp of the chosen stream. Packets are gathered
    into batches of up to `BATCH_ROWS` events and `SIDE_ROWS` samples of a side stream (triggers,
    IMU, frame times), which come when they are full, and at the end.

    Parameters
    ----------
    path
        The file.
    stream
        Number of the event stream; needed only where the file holds several.
    sensor
        Not needed: the header states it.
    reading
        What becomes of events and files that break a rule. Any choice but `STRICT` reads the
        file from its start, whatever the range of time.
    threads
        How many unpack packets, the caller's among them; by default one for each core that the
        process may use, at most `evreel.recordings.prefetch.THREADS`.
        What is read does not depend on it.

    Attributes
    ----------
    path, format, sensor, t_offset, header, repairs
        As of `evreel.recordings.open.Recording`; the header is the XML.
    indexed
        The file has a table of its packets whose rows agree with each other, so that a range of
        time is found without reading what lies before it.

    Raises
    ------
    UsageError
        Where there are several event streams and `stream` names none of them.
    RecordingError
        Where the header, the table or the first packet of events is damaged.

    Notes
    -----
    Of each kind of side stream, the one with the lowest number is read that has the event
    stream's `source`, or where one of the two names none.

    Triggers: `id` is the format's type, `edge` is 1 for rising edges (types 1 and 4), 0 for
    falling ones (2 and 5), and −1 for a reset (0), a pulse (3), and the frame sensor's signals
    (6 to 9: start and end of a frame, start and end of its exposure).

    Frame times are the start and the end of exposure. A frame that lacks them has `timestamp` and
    `timestamp` + `exposure`; failing that, start and end of its readout; failing that, twice
    `timestamp`, which in DV is the middle of the exposure and in dv-processing its start.

    The table is never relied on unseen. One that can't be decoded is an error, since it is the
    only witness of where the packets end. One whose rows leave a byte between first packet and
    table unaccounted for, name unknown streams or run back in time is set aside: the packets are
    then found one by one, and `indexed` is false. Where it is used, each packet that is read must
    be what its row says. A range of time is read with the packets beside it where their events
    could lie in it, so that a row with wrong stamps is an error and never a missing event.

    To salvage is to read packet by packet up to the first that is damaged. A table that can't be
    decoded, or that the header puts where it can't be, is then damage behind the last packet: a
    recording that was cut off while it was written, or copied in part, is read to its last whole
    packet.
    """

    format = "aedat4"

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads={threads} is not 1 or more", path=path)
        self._threads = default_threads() if threads is None else threads
        self._passes: weakref.WeakSet[Ahead[Any, Any]] = weakref.WeakSet()
        self._asked_stream = stream
        self._streams: dict[int, _Stream] = {}
        super().__init__(path, sensor=sensor, reading=reading)

    def close(self) -> None:
        """Release the file, and end the threads that read it."""
        for reading_ahead in tuple(self._passes):
            reading_ahead.close()
        super().close()

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield events with a stamp in ``[start_us, stop_us)``, and the side streams whole.

        With ``side=False``, packets of side streams are not unpacked, unless damage in them
        counts: to salvage ends at the first damage of either.

        Raises
        ------
        RecordingError
            Where the file is cut, a packet is damaged, an event lies outside the sensor or goes
            back in time, unless `reading` says otherwise; `offset` is where that packet begins.
        """
        if self.reading != STRICT:
            yield from super().batches(start_us, stop_us, side=side)
            return
        samples = {kind: _SideBatch(kind, self.t_offset) for kind in _SIDE_KINDS}
        span = None if start_us is stop_us is None else (start_us, stop_us)
        last: int | None = None
        memory = _Memory()

        def asked() -> Iterator[_Packet]:
            for packet in self._packets(start_us, stop_us, self._side if side else frozenset()):
                past = last is not None and stop_us is not None and last >= stop_us + self.t_offset
                if packet.stream != self._events.number or not past:
                    yield packet
                elif not side:
                    return

        def decoded(bundle: deque[_Packet], budget: int | None) -> Iterator[_Gathered | _Content]:
            return self._gathered(self._contents(bundle, budget), span, memory)

        for found in self._ahead(decoded, asked()):
            if isinstance(found, _Gathered):
                self._check_follows(found, last)
                last = found.last_us
                if len(found.events):
                    yield found.events
                continue
            packet, content = found
            try:
                yield from samples[self._streams[packet.stream].kind].add(content)
            except _DamageError as damage:
                raise self.damaged(packet, damage) from damage
        for held in samples.values():
            yield from held.flush()

    def _pieces(self) -> Iterator[Piece | Side]:
        """Yield each packet's events as it has them, and the side streams."""
        latest: int | None = None
        samples = {kind: _SideBatch(kind, 0) for kind in _SIDE_KINDS}
        end: RecordingError | None = None
        try:
            for packet, content in self._ahead(
                self._contents, self._packets(None, None, self._side)
            ):
                kind = self._streams[packet.stream].kind
                try:
                    if kind != "EVTS":
                        yield from samples[kind].add(content)
                        continue
                    rows = _event_rows(content)
                    if len(rows):
                        latest = _checked_stamps(rows, latest)
                        yield _piece(rows, packet.start)
                except _DamageError as damage:
                    raise self.damaged(packet, damage) from damage
        except RecordingError as error:
            end = error
        for held in samples.values():
            yield from held.flush()
        if end is not None:
            raise end

    def _ahead(
        self,
        decoded: Callable[[deque[_Packet], int | None], Iterator[_Found]],
        packets: Iterable[_Packet],
    ) -> Iterator[_Found]:
        """Yield what is decoded of bundles of packets, in order, by threads that work ahead.

        Parameters
        ----------
        decoded
            Takes packets off a bundle and yields what is in them; with a budget of unpacked
            bytes it leaves in the bundle what is beyond that.
        packets
            Those to decode.
        """
        bundles = self._bundles(packets)
        if self._threads == 1:
            for bundle in bundles:
                yield from decoded(bundle, None)
            return

        def work(
            bundle: deque[_Packet],
        ) -> tuple[list[_Found], RecordingError | None, deque[_Packet]]:
            found: list[_Found] = []
            try:
                found.extend(decoded(bundle, AHEAD_BYTES))
            except RecordingError as error:
                return found, error, bundle
            return found, None, bundle

        with Ahead(work, bundles, self._threads) as ahead:
            self._passes.add(ahead)
            for found, error, left in ahead:
                yield from found
                if error is not None:
                    raise error
                yield from decoded(left, None)

    def _bundles(self, packets: Iterable[_Packet]) -> Iterator[deque[_Packet]]:
        """Yield packets by as many as make a batch; then raise what they raise."""
        bundle: deque[_Packet] = deque()
        size = rows = 0
        end: RecordingError | None = None
        most = BUNDLE_BYTES // 4 if self._table is None else BUNDLE_BYTES
        try:
            for packet in packets:
                count = 0
                if self._table is not None and packet.stream == self._events.number:
                    count = int(self._table.count[packet.row])
                if bundle and (
                    size + packet.size > most
                    or rows + count > BATCH_ROWS
                    or len(bundle) == BUNDLE_PACKETS
                ):
                    yield bundle
                    bundle, size, rows = deque(), 0, 0
                bundle.append(packet)
                size, rows = size + packet.size, rows + count
        except RecordingError as error:
            end = error
        if bundle:
            yield bundle
        if end is not None:
            raise end

    def _contents(self, bundle: deque[_Packet], budget: int | None) -> Iterator[_Content]:
        """Yield what is in packets, which leave their bundle."""
        unpacked = _Unpacker(self._compression, budget)
        while bundle:
            packet = bundle[0]
            try:
                content = self._content(packet, unpacked)
            except _BudgetError:
                return
            bundle.popleft()
            yield packet, content

    def _content(self, packet: _Packet, unpacked: _Unpacker) -> _Flatbuffer:
        """Read, unpack and check a packet."""
        data = self._read(packet.start, _PACKET_HEAD.size + packet.size, "a packet")
        kind = self._streams[packet.stream].kind
        head = _PACKET_HEAD.unpack_from(data)
        try:
            if head != (packet.stream, packet.size):
                raise _DamageError(
                    f"is of stream {head[0]} and has {head[1]} bytes; "
                    f"the table of packets says stream {packet.stream} and {packet.size}"
                )
            content = _Flatbuffer(unpacked(memoryview(data)[_PACKET_HEAD.size :]), kind)
            if packet.row is not None and kind != "FRME":
                self._check_count(packet.row, content)
        except _DamageError as damage:
            raise self.damaged(packet, damage) from damage
        return content

    def _gathered(
        self,
        contents: Iterator[_Content],
        span: tuple[int | None, int | None] | None,
        memory: _Memory,
    ) -> Iterator[_Gathered | _Content]:
        """Yield events of packets in batches, and side streams as they are; then raise for damage.

        Parameters
        ----------
        contents
            Of the packets, in order.
        span
            Range of time of the events to yield; None for all.
        memory
            Where batches of the same pass lie.
        """
        batch = _EventBatch(self, span, memory)
        parts: list[tuple[_Packet, npt.NDArray[Any]]] = []
        end: RecordingError | None = None
        try:
            for packet, content in contents:
                if packet.stream != self._events.number:
                    yield packet, content
                    continue
                try:
                    rows = _event_rows(content)
                    if packet.row is not None and span is not None and len(rows):
                        self._check_stamps(packet.row, rows["t"])
                        if self._beside(packet.row, span):
                            continue
                except _DamageError as damage:
                    raise self.damaged(packet, damage) from damage
                if self._threads > 1:
                    parts.append((packet, rows))
                else:
                    yield from batch.add([(packet, len(rows))], rows)
        except RecordingError as error:
            end = error
        if parts:
            yield from batch.add([(packet, len(rows)) for packet, rows in parts], _joined(parts))
        yield from batch.flush()
        if end is not None:
            raise end

    def _beside(self, row: int, span: tuple[int | None, int | None]) -> bool:
        """Whether by the table a packet's events lie outside a range of time."""
        if self._table is None:
            return False
        start_us, stop_us = (None if t is None else t + self.t_offset for t in span)
        before = start_us is not None and int(self._table.last_us[row]) < start_us
        return before or (stop_us is not None and int(self._table.first_us[row]) >= stop_us)

    def _check_follows(self, batch: _Gathered, last: int | None) -> None:
        """Raise where a batch begins before the one ahead ends, or long after."""
        before = self.t_offset if last is None else last
        leap = batch.first_us - before
        at = f"has event {batch.place}"
        if leap < 0:
            fault = f"{at} at t={batch.first_us} µs, before t={before} µs of the one ahead"
            raise self.damaged(batch.packet, fault, _TO_SORT)
        if leap > GAP_LIMIT_US and last is not None:
            raise self.damaged(batch.packet, f"{at} {_leap(leap)}")

    def _open(self) -> Sensor:
        table_at = self._read_header()
        if _COMPRESSIONS[self._compression] == "NONE":
            self._threads = 1  # to hand over what is only copied costs more than it saves
        self._packets_stop = self._size if table_at == -1 else table_at
        self._streams = self._read_streams()
        self._events = self._chosen_stream(self._asked_stream)
        self._side = self._side_streams()
        sensor = self._sensor_size()
        self._table = None if table_at == -1 else self._salvaged_table(table_at)
        self.indexed = self._table is not None
        if self._table is not None:
            of_events = self._table.stream == self._events.number
            self.n_expected = int(self._table.count[of_events].sum())
        return sensor

    def _error(self, problem: str, offset: int, hint: str | None = None) -> RecordingError:
        if hint is None:
            hint = "The file is damaged or incomplete: copy or download it again"
            hint += ", or read what is whole: on_damage: salvage." if self._streams else "."
        return RecordingError(problem, path=self.path, offset=offset, hint=hint)

    def damaged(
        self, packet: _Packet, damage: _DamageError | str, hint: str | None = None
    ) -> RecordingError:
        """Return the error for a packet, damage being the predicate of a sentence about it."""
        return self._error(f"the packet that begins here {damage}", packet.start, hint)

    def _read(self, offset: int, size: int, what: str) -> bytes:
        """Return `size` bytes from `offset`."""
        try:
            data = os.pread(self._file.fileno(), size, offset)
        except OSError as error:
            raise self._error(f"can't be read: {error.strerror}", offset) from error
        if len(data) < size:
            raise self._error(f"the file ends in the middle of {what}", offset + len(data))
        return data

    def _read_header(self) -> int:
        """Read compression and XML; return where the table begins, −1 where there is none."""
        magic = self._read(0, min(len(MAGIC), self._size), "its first line")
        if magic != MAGIC:
            raise self._error(f"the file starts with {magic!r}; {MAGIC!r} is expected", 0)
        at = len(MAGIC)
        (size,) = _U32.unpack(self._read(at, _U32.size, "its header"))
        if size > HEADER_LIMIT:
            raise self._error(f"the header has {size} bytes; {HEADER_LIMIT} at most are read", at)
        try:
            flat = _Flatbuffer(self._read(at, _U32.size + size, "its header"), "IOHE")
            self._compression = flat.value(flat.root, 0, _I32)
            table_at = flat.value(flat.root, 1, _I64, default=-1)
            self.header = flat.text(flat.root, 2)
        except _DamageError as damage:
            raise self._error(f"the header {damage}", at) from damage
        if not 0 <= self._compression < len(_COMPRESSIONS):
            raise self._error(
                f"the header's compression is {self._compression}; "
                f"0 to {len(_COMPRESSIONS) - 1} are known",
                at,
            )
        self._packets_start = at + _U32.size + size
        if table_at != -1 and not self._packets_start <= table_at < self._size:
            if self.reading.on_damage == "salvage":
                return -1
            raise self._error(
                f"the header says that the table of packets begins at byte {table_at}; the packets "
                f"begin at byte {self._packets_start}, and the file has {self._size} bytes",
                at,
            )
        return table_at

    def _read_streams(self) -> dict[int, _Stream]:
        """Return the streams that the XML lists, by their number."""
        at = len(MAGIC)
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        try:
            root = etree.fromstring(self.header.encode(), parser)
        except etree.XMLSyntaxError as error:
            raise self._error(f"the header's XML can't be read: {error}", at) from error
        listed = root.find(".//node[@name='outInfo']")
        streams: dict[int, _Stream] = {}
        for node in () if listed is None else listed.findall("node"):
            own = {attr.get("key"): attr.text for attr in node.findall("attr")}
            info = {attr.get("key"): attr.text for attr in node.findall("node[@name='info']/attr")}
            try:
                number = int(node.get("name", ""))
                if not -(1 << 31) <= number < 1 << 31:
                    raise ValueError("is no int32")
                size = None
                if "sizeX" in info or "sizeY" in info:
                    size = int(info.get("sizeY") or ""), int(info.get("sizeX") or "")
            except ValueError as error:
                raise self._error(
                    f"the header's XML has a stream {node.get('name')!r} with size "
                    f"{info.get('sizeX')} x {info.get('sizeY')}; int32 numbers are expected",
                    at,
                ) from error
            if number in streams:
                raise self._error(f"the header's XML lists stream {number} twice", at)
            streams[number] = _Stream(
                number,
                own.get("typeIdentifier") or "",
                own.get("originalOutputName") or "",
                info.get("source") or "",
                size,
            )
        return streams

    def _chosen_stream(self, asked: int | None) -> _Stream:
        """Return the event stream that was asked for, or the only one."""
        listed = [stream for stream in self._streams.values() if stream.kind == "EVTS"]
        if not listed:
            kinds = ", ".join(stream.kind for stream in self._streams.values()) or "none"
            raise RecordingError(
                f"there is no stream of events (EVTS) among its streams: {kinds}",
                path=self.path,
                offset=len(MAGIC),
                hint="Is this the recording of another sensor?",
            )
        chosen = [stream for stream in listed if asked in (None, stream.number)]
        if len(chosen) != 1:
            raise UsageError(
                f"its event streams are {', '.join(map(str, listed))}; "
                + ("none is chosen" if asked is None else f"stream {asked} is none of them"),
                path=self.path,
                hint="Name one by its number as stream.",
            )
        return chosen[0]

    def _side_streams(self) -> frozenset[int]:
        """Return the side streams to read: one a kind, of the event stream's source."""
        first: dict[str, int] = {}
        for number, stream in sorted(self._streams.items()):
            sources = {stream.source, self._events.source}
            if stream.kind in _SIDE_KINDS and ("" in sources or len(sources) == 1):
                first.setdefault(stream.kind, number)
        return frozenset(first.values())

    def _sensor_size(self) -> Sensor:
        size = self._events.size
        if size is None or not all(1 <= side <= SENSOR_LIMIT for side in size):
            raise self._error(
                f"the header's XML describes event stream {self._events}; "
                f"sides of 1 to {SENSOR_LIMIT} pixels are expected",
                len(MAGIC),
            )
        return Sensor(*size)

    def _salvaged_table(self, table_at: int) -> _Table | None:
        """Return the table of packets; None where they are to be found one by one."""
        try:
            return self._read_table(table_at)
        except RecordingError:
            if self.reading.on_damage == "fail":
                raise
            # Where the packets end is then told by the first thing that is none.
            self._packets_stop = self._size
            return None

    def _read_table(self, table_at: int) -> _Table | None:
        """Return the table of packets; None where its rows contradict each other."""
        size = self._size - table_at
        try:
            if size > PACKET_LIMIT:
                raise _DamageError(f"has {size} bytes; {PACKET_LIMIT} at most are read")
            packed = self._read(table_at, size, "its table of packets")
            flat = _Flatbuffer(_Unpacker(self._compression)(memoryview(packed)), "FTAB")
            parts = [part for (part,) in flat.columns(("<i8", range(5)))]
        except _DamageError as damage:
            raise self._error(f"the table of packets that begins here {damage}", table_at) from (
                damage
            )
        columns = np.concatenate([np.empty((0, 5), np.int64), *parts])
        # The second field is a struct of two int32.
        stream, packet_size = np.ascontiguousarray(columns[:, 1]).view("<i4").reshape(-1, 2).T
        offset, _, *rest = (np.ascontiguousarray(column) for column in columns.T)
        table = _Table(offset, stream.astype(np.int64), packet_size.astype(np.int64), *rest)
        return table if self._agrees(table) else None

    def _agrees(self, table: _Table) -> bool:
        """Whether packets lie end to end, of known streams, and events' stamps are in order."""
        bounds = (  # of what is within them, sums can't overflow
            (table.offset, self._packets_start, self._size),
            (table.size, 1, PACKET_LIMIT),
            (table.count, 0, PACKET_LIMIT),
        )
        if any(((column < low) | (column > high)).any() for column, low, high in bounds):
            return False
        starts = np.append(table.offset - _PACKET_HEAD.size, self._packets_stop)
        stops = np.append(self._packets_start, table.offset + table.size)
        rows = np.flatnonzero((table.stream == self._events.number) & (table.count > 0))
        spans = np.stack([table.first_us[rows], table.last_us[rows]])
        stamps = spans.T.ravel()
        self._event_packets, self._event_spans = rows, spans
        return bool(
            np.array_equal(starts, stops)
            and np.isin(table.stream, list(self._streams)).all()
            and (stamps[1:] >= stamps[:-1]).all()
        )

    def _first_stamp(self) -> int:
        """Return the first event's stamp, 0 where there is none."""
        if self.reading != STRICT:
            return super()._first_stamp()
        unpacked = _Unpacker(self._compression)
        for packet in self._packets(None, None):
            content = self._content(packet, unpacked)
            try:
                rows = _event_rows(content)
                if len(rows):
                    return _checked_stamp(int(rows["t"][0]))
            except _DamageError as damage:
                raise self.damaged(packet, damage) from damage
        return 0

    def _packets(
        self, start_us: int | None, stop_us: int | None, side: frozenset[int] = frozenset()
    ) -> Iterator[_Packet]:
        """Yield the packets to read for a range of time, of the events and of side streams."""
        wanted = {self._events.number, *side}
        if self._table is None:
            at = self._packets_start
            while at < self._packets_stop:
                packet = self._head(at)
                if packet.stream in wanted:
                    yield packet
                at = packet.stop
            return
        for row in self._rows(self._table, start_us, stop_us, side):
            stream = int(self._table.stream[row])
            if stream in wanted:
                start = int(self._table.offset[row]) - _PACKET_HEAD.size
                yield _Packet(start, stream, int(self._table.size[row]), row)

    def _rows(
        self, table: _Table, start_us: int | None, stop_us: int | None, side: frozenset[int]
    ) -> Sequence[int]:
        """Return the rows of a range: its packets of events, those beside it, and all side streams.

        A packet beside it is read where a wrong stamp in its row could hide an event of the range:
        unless one within, whose own stamps are compared, begins before the range or ends after it.
        """
        if start_us is None and stop_us is None:
            return range(len(table.offset))
        events = self._event_packets
        first_us, last_us = self._event_spans
        low, high = 0, len(events)
        if start_us is not None:
            low = int(np.searchsorted(last_us, _as_int64(start_us + self.t_offset)))
        if stop_us is not None:
            high = int(np.searchsorted(first_us, _as_int64(stop_us + self.t_offset)))
        some = low < high
        if start_us is not None and not (some and first_us[low] < start_us + self.t_offset):
            low = max(0, low - 1)
        if stop_us is not None and not (some and last_us[high - 1] >= stop_us + self.t_offset):
            high += 1
        found = events[low:high]
        if side:
            found = np.union1d(found, np.flatnonzero(np.isin(table.stream, list(side))))
        rows: list[int] = found.tolist()
        return rows

    def _head(self, at: int) -> _Packet:
        """Read a packet's head and check it: a known stream, and an end before the packets'."""
        end = "the file ends" if self._packets_stop == self._size else "the table of packets begins"
        if at + _PACKET_HEAD.size > self._packets_stop:
            raise self._error(
                f"{end} at byte {self._packets_stop}, in the middle of a packet's head", at
            )
        head = self._read(at, _PACKET_HEAD.size, "a packet")
        stream, size = _PACKET_HEAD.unpack(head)
        packet = _Packet(at, stream, size, None)
        if packet.stream not in self._streams:
            numbers = ", ".join(map(str, sorted(self._streams)))
            raise self._error(
                f"the packet that begins here is of stream {packet.stream}; "
                f"the header lists {numbers}",
                at,
            )
        if not 1 <= packet.size <= PACKET_LIMIT:
            raise self._error(
                f"the packet that begins here has {packet.size} bytes; "
                f"1 to {PACKET_LIMIT} are read",
                at,
            )
        if packet.stop > self._packets_stop:
            raise self._error(
                f"the packet that begins here has {packet.size} bytes; "
                f"{end} at byte {self._packets_stop}, in the middle of it",
                at,
            )
        return packet

    def _check_count(self, row: int, content: _Flatbuffer) -> None:
        """Compare the length of a packet's vector with the table."""
        _, found = content.vector(content.root, 0, 1)
        if self._table is not None and found != self._table.count[row]:
            raise _DamageError(
                f"has {found} elements; the table of packets says {self._table.count[row]}"
            )

    def _check_stamps(self, row: int, t: Int64Array) -> None:
        """Compare a packet's first and last stamp with the table, by which it was found."""
        if self._table is not None and len(t):
            said = self._table.first_us[row], self._table.last_us[row]
            if said != (t[0], t[-1]):
                raise _DamageError(
                    f"has stamps {t[0]} to {t[-1]} µs; "
                    f"the table of packets says {said[0]} to {said[1]}"
                )


_Content = tuple[_Packet, _Flatbuffer]
_Found = TypeVar("_Found")


def _as_int64(value: int) -> int:
    """Return the nearest int64, which compares with any stamp as `value` does."""
    return min(max(value, -(1 << 63)), (1 << 63) - 1)


def _checked_stamp(t: int) -> int:
    if not 0 <= t < STAMP_LIMIT:
        raise _DamageError(f"has an event {_impossible(t)}")
    return t


def _impossible(t: int) -> str:
    return f"at t={t} µs, not within [0, {STAMP_LIMIT})"


def _event_rows(content: _Flatbuffer) -> npt.NDArray[Any]:
    """Return (n,) events of a packet, unchecked, as a view of its bytes."""
    start, n = content.vector(content.root, 0, _EVENT.itemsize)
    # All but the events takes 32 bytes, or a few more: a length one too small shows here.
    rest = len(content.data) - n * _EVENT.itemsize
    if rest >= 3 * _EVENT.itemsize:
        raise _DamageError(f"says that it has {n} events, and has {rest} bytes beside them")
    return np.frombuffer(content.data, _EVENT, n, start)


def _checked_stamps(rows: npt.NDArray[Any], latest: int | None) -> int:
    """Return the latest stamp so far; raise where one can't be, though in any order.

    Parameters
    ----------
    rows
        (n,) events of a packet, n > 0.
    latest
        The latest stamp of those before.
    """
    t = rows["t"]
    _checked_stamp(int(t.min()))
    highest = _checked_stamp(int(t.max()))
    before = int(t[0]) if latest is None else latest
    if highest - before > GAP_LIMIT_US:
        so_far = np.maximum.accumulate(np.concatenate([[before], t]))
        for row, fault in _leaps(so_far):
            raise _DamageError(f"has event {row - 1} {fault}")
    return max(before, highest)


def _leaps(t: Int64Array) -> Iterator[tuple[int, str]]:
    """Yield the first row of stamps in order that leaps; nothing where none does."""
    gap = np.diff(t)
    row = int(np.argmax(gap > GAP_LIMIT_US))
    if gap[row] > GAP_LIMIT_US:
        yield row + 1, _leap(int(gap[row]))


def _leap(gap: int) -> str:
    return f"{gap} µs after the one ahead; {GAP_LIMIT_US} µs (a day) at most are read"


def _piece(rows: npt.NDArray[Any], offset: int) -> Piece:
    """Return events of a packet, with coordinates as the format has them."""
    p = rows["p"].astype(np.uint8)
    if p.max() > 1:
        row = int(np.argmax(p > 1))
        raise _DamageError(f"has event {row} with p={p[row]}, not within [0, 2)")
    x, y = (rows[name].astype(np.uint16).view(np.int16) for name in "xy")
    return Piece(rows["t"].astype(np.int64), x, y, p, offset)


class _Memory:
    """Gives memory for the batches of one pass, to several threads.

    Where batches are kept, page faults take as long as all else. So the columns of several lie in
    one piece of 6.8 MB, for which numpy asks for large pages, as it does from 4 MiB on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[tuple[npt.NDArray[Any], ...]] = []
        self._pieces = 0

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return t, x, y, p of `BATCH_ROWS` each."""
        with self._lock:
            if not self._free:
                self._take_piece()
            return self._free.pop()

    def _take_piece(self) -> None:
        batches = 1  # the first is often the only one
        if self._pieces:
            batches = _BATCHES_IN_PIECE
        self._pieces += 1
        piece = np.empty(batches * BATCH_ROWS * 13, np.uint8)
        columns, done = [], 0
        for dtype in (np.int64, np.uint16, np.uint16, np.uint8):
            size = batches * BATCH_ROWS * np.dtype(dtype).itemsize
            columns.append(piece[done : done + size].view(dtype).reshape(batches, BATCH_ROWS))
            done += size
        self._free.extend(zip(*columns, strict=True))


# A piece that is freed, untouched. From then on glibc keeps what is smaller for the next of its
# size; without it, each packet beyond 128 KiB was unpacked into new pages: 40,000 page faults for
# 10 M events by two threads.
np.empty(1 << 24, np.uint8)


def _joined(parts: list[tuple[_Packet, npt.NDArray[Any]]]) -> npt.NDArray[Any]:
    """Return the events of packets as one array.

    Where threads share Python's lock, few calls on large arrays take half the time of many on
    small ones, though this is one copy more; a join beyond 1 MiB leaves them the lock, too.
    """
    if len(parts) == 1:
        return parts[0][1]
    content = b"".join([rows.data for _, rows in parts])
    return np.frombuffer(content, _EVENT) if content else np.empty(0, _EVENT)


class _EventBatch:
    """Gathers packets into batches: checked, relative to `t_offset`, and cut to a range.

    A batch is checked when it is full: many small calls of numpy cost more than their work.
    """

    def __init__(
        self,
        recording: Aedat4Recording,
        span: tuple[int | None, int | None] | None,
        memory: _Memory,
    ) -> None:
        self._memory = memory
        self._sensor = recording.sensor
        self._t_offset = recording.t_offset
        self._damaged = recording.damaged
        self._span = span
        self._n = 0
        self._parts: list[tuple[int, _Packet]] = []

    def add(
        self, packets: list[tuple[_Packet, int]], rows: npt.NDArray[Any]
    ) -> Iterator[_Gathered]:
        """Take the events of packets, so many of each; yield the batches that are full."""
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

    def flush(self) -> Iterator[_Gathered]:
        """Yield what has been gathered, if anything.

        Raises
        ------
        RecordingError
            For the first event that is outside the sensor or out of order.
        """
        if not self._n:
            return
        whole = slice(self._n)
        t, x, y, p = self._t[whole], self._x[whole], self._y[whole], self._p[whole]
        self._check(t, x, y, p)
        first_us, last_us = int(t[0]), int(t[-1])
        t -= self._t_offset
        packet, place = self._place(0)
        # What is left of the last packet begins before the next batch does.
        self._parts = [(begin - self._n, packet) for begin, packet in self._parts]
        self._parts = self._parts[sum(begin <= 0 for begin, _ in self._parts[1:]) :]
        self._n = 0
        events = Events.trusted(t, x, y, p, self._sensor)
        if self._span is not None:
            events = within(events, *(None if t is None else _as_int64(t) for t in self._span))
        yield _Gathered(events, first_us, last_us, packet, place)

    def _check(
        self,
        t: Int64Array,
        x: npt.NDArray[np.uint16],
        y: npt.NDArray[np.uint16],
        p: npt.NDArray[np.uint8],
    ) -> None:
        """Raise for the first of the gathered events that can't be."""
        faults: list[tuple[int, str, str | None]] = []
        limited: tuple[tuple[str, npt.NDArray[Any], int, str | None], ...] = (
            ("x", x, self._sensor.width, _TO_DROP),
            ("y", y, self._sensor.height, _TO_DROP),
            ("p", p, 2, None),
        )
        for name, column, limit, hint in limited:
            if column.max() >= limit:
                row = int(np.argmax(column >= limit))
                value = int(column[row]) - (int(column[row]) >> 15 << 16)  # as int16
                faults.append((row, f"with {name}={value}, not within [0, {limit})", hint))
        faults.extend(_disorder(t))
        if faults:
            row, fault, hint = min(faults, key=lambda found: found[0])
            packet, place = self._place(row)
            raise self._damaged(packet, f"has event {place} {fault}", hint)

    def _place(self, row: int) -> tuple[_Packet, int]:
        """Return the packet of a row of the batch, and which of its events that is."""
        begin, packet = next(part for part in reversed(self._parts) if part[0] <= row)
        return packet, row - begin


def _disorder(t: Int64Array) -> Iterator[tuple[int, str, str | None]]:
    """Yield rows of stamps that go back, can't be, or leap, the last of them first."""
    back = t[1:] < t[:-1]
    if back.any():
        row = int(np.argmax(back)) + 1
        yield row, f"at t={t[row]} µs, before t={t[row - 1]} µs of the one ahead", _TO_SORT
        t = t[:row]
    if t[-1] >= STAMP_LIMIT:
        row = int(np.searchsorted(t, STAMP_LIMIT))
        yield row, _impossible(int(t[row])), None
        t = t[: max(row, 1)]
    if int(t[-1]) - int(t[0]) > GAP_LIMIT_US:
        for row, fault in _leaps(t):
            yield row, fault, None


class _SideBatch:
    """Gathers packets of a side stream into batches, relative to `t_offset`."""

    def __init__(self, kind: str, t_offset: int) -> None:
        self._kind = kind
        self._t_offset = t_offset
        self._parts: list[tuple[npt.NDArray[Any], ...]] = []
        self._n = 0

    def add(self, content: _Flatbuffer) -> Iterator[Side]:
        """Take the samples of a packet; yield the batches that are full."""
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
            yield Triggers(t, _edges(kind), kind.astype(np.int16))
        elif self._kind == "IMUS":
            t, values = columns
            acceleration, rotation, field = (values[:, k : k + 3].copy() for k in (1, 4, 7))
            yield Imu(t, acceleration, rotation, field, values[:, 0].copy())
        else:
            yield FrameTimes(*columns)

    def _columns(self, content: _Flatbuffer) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        if self._kind == "TRIG":
            for t, kind in content.columns(("<i8", (0,)), ("|i1", (1,))):
                yield self._relative(t[:, 0]), kind[:, 0]
        elif self._kind == "IMUS":
            for t, values in content.columns(("<i8", (0,)), ("<f4", range(1, 11))):
                yield self._relative(t[:, 0]), values
        else:
            start, stop = _exposure(content)
            yield self._relative(np.array([start])), self._relative(np.array([stop]))

    def _relative(self, t: Int64Array) -> Int64Array:
        if ((t < -STAMP_LIMIT) | (t >= STAMP_LIMIT)).any():
            raise _DamageError(f"has a stamp that is not within ±{STAMP_LIMIT} µs")
        return t - self._t_offset


def _edges(kind: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return 1 for a trigger's types that rise, 0 for those that fall, −1 for all others."""
    edge = np.full(len(kind), -1, np.int8)
    edge[np.isin(kind, (1, 4))] = 1
    edge[np.isin(kind, (2, 5))] = 0
    return edge


def _exposure(frame: _Flatbuffer) -> tuple[int, int]:
    """Return start and stop of a frame's exposure, as close as the frame tells them."""
    stamp, readout, readout_stop, start, stop = (
        frame.value(frame.root, index, _I64) for index in range(5)
    )
    duration = frame.value(frame.root, 11, _I64)
    if not stop:
        start, stop = stamp, stamp + duration
        if not duration and readout_stop:
            start, stop = readout, readout_stop
    if not -STAMP_LIMIT <= start <= stop < STAMP_LIMIT:
        raise _DamageError(f"has a frame that is exposed from {start} to {stop} µs")
    return start, stop


class Aedat4Writer:
    """Write a recording in AEDAT 4, which dv-processing opens too.

    A context manager: on leaving the block the rest is written, the table of packets, and its
    position in the header. A block that raises leaves a file without table. Where packets of
    events are cut depends on their number alone, not on the batches.

    Parameters
    ----------
    path
        The file; what is there is overwritten.
    sensor
        (height, width) of the events that will come.
    compression
        ``none``, ``lz4`` or ``zstd`` (level 3, with checksums).
    t_offset
        What t = 0 of the batches is on the camera's clock, µs. Readers take the first event's
        stamp as theirs.
    source
        Name of the camera, by which streams of one camera are known as such.
    events_per_packet
        Events in each packet but the last.
    side
        Which side streams the header announces: `Triggers`, `Imu` or both.

    Raises
    ------
    UsageError
        Where a parameter is out of its range, or a batch comes that was not announced.
    EventsError
        Where events are of another sensor, go back in time, or a value does not fit the format.

    Examples
    --------
    >>> import tempfile
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
    ) -> None:
        if compression not in ("none", "lz4", "zstd"):
            raise UsageError(f"compression is {compression!r}; none, lz4 and zstd are written")
        most = PACKET_LIMIT // _EVENT.itemsize - 2
        if not 1 <= events_per_packet <= most:
            raise UsageError(f"events_per_packet is {events_per_packet}; 1 to {most} are possible")
        if not all(1 <= length <= SENSOR_LIMIT for length in sensor):
            raise UsageError(f"sensor is {tuple(sensor)}; sides of 1 to {SENSOR_LIMIT} px fit")
        if not source.isprintable():
            raise UsageError(f"source {source!r} has characters that can't be printed")
        self._sensor = Sensor(*sensor)
        self._t_offset = t_offset
        self._events_per_packet = events_per_packet
        self._compression = _COMPRESSIONS.index(compression.upper())
        self._zstd = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self._streams: dict[type[Batch], _WrittenStream] = {
            kind: stream for kind, stream in _WRITTEN.items() if kind in (Events, *side)
        }
        self._pending = np.empty(0, _EVENT)
        self._last: int | None = None
        self._rows: list[tuple[int, int, int, int, int]] = []
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
            raise UsageError(f"a batch of {type(batch).__name__} came; {names} are announced")
        if isinstance(batch, Events):
            self._write_events(batch)
        elif isinstance(batch, Triggers):
            if not np.array_equal(_edges(batch.id), batch.edge):
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
            raise EventsError(f"sensor {events.sensor} of a batch is not {self._sensor}")
        if not len(events):
            return
        t = self._stamps(events.t)
        if self._last is not None and t[0] < self._last:
            raise EventsError(f"t={events.t[0]} goes back behind t={self._last - self._t_offset}")
        gap = int(np.diff(t, prepend=t[0] if self._last is None else self._last).max())
        if gap > GAP_LIMIT_US:
            raise EventsError(f"{gap} µs pass between two events; {GAP_LIMIT_US} at most are read")
        self._last = int(t[-1])
        new = np.zeros(len(events), _EVENT)
        new["t"], new["x"], new["y"], new["p"] = t, events.x, events.y, events.p
        rows = np.concatenate([self._pending, new])
        whole = len(rows) - len(rows) % self._events_per_packet
        for first in range(0, whole, self._events_per_packet):
            self._write_event_packet(rows[first : first + self._events_per_packet])
        self._pending = rows[whole:].copy()

    def _write_event_packet(self, rows: npt.NDArray[Any]) -> None:
        content = _vector_head("EVTS", len(rows), rows.nbytes) + rows.tobytes()
        self._write_packet(Events, content, rows["t"])

    def _write_samples(
        self, kind: type[Batch], t_us: Int64Array, fields: list[npt.NDArray[Any]]
    ) -> None:
        t = self._stamps(t_us)
        for first in range(0, len(t), SIDE_ROWS):
            cut = slice(first, first + SIDE_ROWS)
            columns = [t[cut], *(field[cut] for field in fields)]
            content = _tables_flatbuffer(self._streams[kind].kind, columns)
            self._write_packet(kind, content, t[cut])

    def _stamps(self, t_us: Int64Array) -> Int64Array:
        """Return stamps on the camera's clock."""
        low, high = -self._t_offset, STAMP_LIMIT - self._t_offset
        if len(t_us) and not low <= int(t_us.min()) <= int(t_us.max()) < high:
            raise EventsError(f"a stamp is not within [{low}, {high}) µs")
        return t_us + self._t_offset

    def _write_packet(self, kind: type[Batch], content: bytes, t: Int64Array) -> None:
        packed = self._packed(content)
        number = self._streams[kind].number
        self._file.write(_PACKET_HEAD.pack(number, len(packed)))
        # Stream and size are a struct of two int32, which is written as one number here.
        listed = self._file.tell(), number | len(packed) << 32, len(t), int(t[0]), int(t[-1])
        self._rows.append(listed)
        self._file.write(packed)

    def _packed(self, content: bytes) -> bytes:
        method = _COMPRESSIONS[self._compression]
        if method == "LZ4":
            packed: bytes = lz4.frame.compress(content)
            return packed
        return self._zstd.compress(content) if method == "ZSTD" else content

    def _finish(self) -> None:
        if len(self._pending):
            self._write_event_packet(self._pending)
        table_at = self._file.tell()
        columns = np.array(self._rows, np.int64).reshape(-1, 5).T
        self._file.write(self._packed(_tables_flatbuffer("FTAB", list(columns))))
        self._file.seek(_TABLE_AT_OFFSET)
        self._file.write(_I64.pack(table_at))

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
                    ("compression", "string", _COMPRESSIONS[self._compression]),
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
    """Return the header; the table's position in it is −1."""
    text = xml.encode()
    tail = text + bytes(4 - len(text) % 4)  # one zero ends a string, more align
    head = (_HEADER_HEAD.size - 4 + len(tail), 24, b"IOHE", 10, 20, 4, 12, 8, 10)
    return _HEADER_HEAD.pack(*head, compression, 12, -1, len(text)) + tail


def _vector_head(identifier: str, n: int, rest: int) -> bytes:
    """Return what stands before the items of a root table's only field, a vector.

    Parameters
    ----------
    n
        Items of the vector.
    rest
        Bytes that follow.
    """
    size = _VECTOR_HEAD.size - 4 + rest
    return _VECTOR_HEAD.pack(size, 16, identifier.encode(), 6, 8, 4, 6, 4, n)


def _tables_flatbuffer(identifier: str, fields: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return a flatbuffer with a vector of tables that share one vtable.

    Parameters
    ----------
    fields
        (n,) values of each field; those of 8 bytes come first.
    """
    n = len(fields[0])
    sizes = [4, *(field.dtype.itemsize for field in fields)]
    places = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    stride = -(-places[-1] // 8) * 8
    vtable = struct.pack(f"<{len(fields) + 2}H", 4 + 2 * len(fields), places[-1], *places[1:-1])
    vtable_at = _VECTOR_HEAD.size + 4 * n
    # A table begins 4 bytes before a multiple of 8, where its first field of 8 bytes then lies.
    tables_at = -(-(vtable_at + len(vtable) + 4) // 8) * 8 - 4
    table = tables_at + stride * np.arange(n)
    rows = np.zeros((n, stride), np.uint8)
    columns = [(table - vtable_at).astype(np.int32), *fields]
    for column, place, size in zip(columns, places[:-1], sizes, strict=True):
        little = column.astype(column.dtype.newbyteorder("<"))
        rows[:, place : place + size] = little[:, None].view(np.uint8)
    entries = (table - _VECTOR_HEAD.size - 4 * np.arange(n)).astype("<u4")
    gap = bytes(tables_at - vtable_at - len(vtable))
    body = entries.tobytes() + vtable + gap + rows.tobytes()
    return _vector_head(identifier, n, len(body)) + body
