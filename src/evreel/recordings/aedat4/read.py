"""AEDAT 4 to events: header, table of packets, and packets that threads decode ahead."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from lxml import etree

from evreel.errors import RecordingError, UsageError
from evreel.events import Batch, Sensor
from evreel.recordings.aedat4.flatbuffer import I32, I64, U32, DamageError, Flatbuffer
from evreel.recordings.aedat4.packets import (
    COMPRESSIONS,
    EVENT,
    GAP_LIMIT_US,
    MAGIC,
    PACKET_HEAD,
    PACKET_LIMIT,
    SENSOR_LIMIT,
    STAMP_LIMIT,
    BudgetError,
    Unpacker,
)
from evreel.recordings.aedat4.side import KINDS, SideBatch
from evreel.recordings.decoded import DecodedRecording, Piece, Side, in_order_and_inside
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.prefetch import Prefetch, default_threads
from evreel.timebase import Int64Array

HEADER_LIMIT = 1 << 22
"""Bytes that a header may have; DV's have a few thousand."""
BATCH_ROWS = 1 << 17
"""Events in a batch."""
BUNDLE_BYTES = 1 << 21
"""Packed bytes of packets that are decoded at once; a quarter of that where no table tells how
many events are in them."""
BUNDLE_PACKETS = 1 << 10
"""Packets that are decoded at once."""
AHEAD_BYTES = 1 << 24
"""Unpacked bytes at which a thread that decodes ahead leaves the rest to the caller's."""

_BATCHES_IN_PIECE = 4


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
        return self.start + PACKET_HEAD.size + self.size


class _Gathered(NamedTuple):
    """Events of a bundle, on the file's own clock, and the packets that they are of.

    Parameters
    ----------
    t : (n,) int64, µs.
    x, y : (n,) uint16, as the file has them: what is negative there is 2¹⁵ or more.
    p : (n,) uint8.
    parts : packets, each with the row where it begins; the first may begin in the batch before.
    latest : the latest stamp.
    sound : whether no event breaks a rule, but for those of what lies before the batch.
    """

    t: Int64Array
    x: npt.NDArray[np.uint16]
    y: npt.NDArray[np.uint16]
    p: npt.NDArray[np.uint8]
    parts: list[tuple[int, _Packet]]
    latest: int
    sound: bool


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
        self._passes: weakref.WeakSet[Prefetch[Any, Any]] = weakref.WeakSet()
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
        return super().batches(start_us, stop_us, side=side)

    def _pieces(self) -> Iterator[Piece | Side]:
        return self._pieces_for(None, None, True)

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        if self.reading != STRICT:
            start_us, stop_us, side = None, None, True
        span = None if start_us is stop_us is None else (start_us, stop_us)
        samples = {kind: SideBatch(kind) for kind in KINDS}
        latest: int | None = None
        memory = _Memory()
        end: RecordingError | None = None

        def asked() -> Iterator[_Packet]:
            for packet in self._packets(start_us, stop_us, self._side if side else frozenset()):
                past = (
                    latest is not None and stop_us is not None and latest >= stop_us + self.t_offset
                )
                if packet.stream != self._events.number or not past:
                    yield packet
                elif not side:
                    return

        def decoded(bundle: deque[_Packet], budget: int | None) -> Iterator[_Gathered | _Content]:
            return self._gathered(self._contents(bundle, budget), span, memory)

        try:
            for found in self._ahead(decoded, asked()):
                if isinstance(found, _Gathered):
                    before = latest
                    latest = max(found.latest, found.latest if before is None else before)
                    yield from self._of_batch(found, before)
                    continue
                packet, content = found
                try:
                    yield from samples[self._streams[packet.stream].kind].add(content)
                except DamageError as damage:
                    raise self.damaged(packet, damage) from damage
        except RecordingError as error:
            end = error
        for held in samples.values():
            yield from held.flush()
        if end is not None:
            raise end

    def _of_batch(self, batch: _Gathered, latest: int | None) -> Iterator[Piece]:
        """Yield a batch as one piece; or by packets, where one of them may be at fault.

        Parameters
        ----------
        latest
            The latest stamp of those before.
        """
        t, x, y, p, parts, _, sound = batch
        if latest is None and t[0] < self.t_offset:
            raise self.damaged(
                parts[0][1],
                f"has an event at t={t[0]} µs, before t={self.t_offset} µs, the recording's first",
            )
        if sound and (latest is None or int(t[0]) - latest <= GAP_LIMIT_US):
            yield Piece(t, x, y, p, parts[0][1].start, sound=True)
            return
        stops = [*(begin for begin, _ in parts[1:]), len(t)]
        for (begin, packet), stop in zip(parts, stops, strict=True):
            first = max(begin, 0)
            rows = slice(first, stop)
            if first == stop:
                continue
            try:
                latest = _checked_stamps(t[rows], latest, first - begin)
                _check_polarities(p[rows], first - begin)
            except DamageError as damage:
                raise self.damaged(packet, damage) from damage
            signed = x[rows].view(np.int16), y[rows].view(np.int16)
            yield Piece(t[rows], *signed, p[rows], packet.start, row=first - begin)

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
        _keep_freed_memory()
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

        with Prefetch(work, bundles, self._threads) as ahead:
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
        unpacked = Unpacker(self._compression, budget)
        while bundle:
            packet = bundle[0]
            try:
                content = self._content(packet, unpacked)
            except BudgetError:
                return
            bundle.popleft()
            yield packet, content

    def _content(self, packet: _Packet, unpacked: Unpacker) -> Flatbuffer:
        """Read, unpack and check a packet."""
        data = self._read(packet.start, PACKET_HEAD.size + packet.size, "a packet")
        kind = self._streams[packet.stream].kind
        head = PACKET_HEAD.unpack_from(data)
        try:
            if head != (packet.stream, packet.size):
                raise DamageError(
                    f"is of stream {head[0]} and has {head[1]} bytes; "
                    f"the table of packets says stream {packet.stream} and {packet.size}"
                )
            content = Flatbuffer(unpacked(memoryview(data)[PACKET_HEAD.size :]), kind)
            if packet.row is not None and kind != "FRME":
                self._check_count(packet.row, content)
        except DamageError as damage:
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
        batch = _EventBatch(self.sensor, memory)
        parts: list[tuple[_Packet, npt.NDArray[Any]]] = []
        end: RecordingError | None = None
        try:
            for packet, content in contents:
                if packet.stream != self._events.number:
                    if self.reading != STRICT:  # to salvage is to yield all before the damage
                        yield from batch.add_all(parts)
                        yield from batch.flush()
                        parts = []
                    yield packet, content
                    continue
                try:
                    rows = _event_rows(content)
                    if packet.row is not None and span is not None and len(rows):
                        self._check_stamps(packet.row, rows["t"])
                        if self._beside(packet.row, span):
                            continue
                except DamageError as damage:
                    raise self.damaged(packet, damage) from damage
                if self._threads > 1:
                    parts.append((packet, rows))
                else:
                    yield from batch.add([(packet, len(rows))], rows)
        except RecordingError as error:
            end = error
        yield from batch.add_all(parts)
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

    def _open(self) -> Sensor:
        table_at = self._read_header()
        if COMPRESSIONS[self._compression] == "NONE":
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
            self.n_expected, self._counted = int(self._table.count[of_events].sum()), True
        return sensor

    def _error(self, problem: str, offset: int, hint: str | None = None) -> RecordingError:
        if hint is None:
            hint = "The file is damaged or incomplete: copy or download it again"
            hint += ", or read what is whole: on_damage: salvage." if self._streams else "."
        return RecordingError(problem, path=self.path, offset=offset, hint=hint)

    def damaged(
        self, packet: _Packet, damage: DamageError | str, hint: str | None = None
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
        (size,) = U32.unpack(self._read(at, U32.size, "its header"))
        if size > HEADER_LIMIT:
            raise self._error(f"the header has {size} bytes; {HEADER_LIMIT} at most are read", at)
        try:
            flat = Flatbuffer(self._read(at, U32.size + size, "its header"), "IOHE")
            self._compression = flat.value(flat.root, 0, I32)
            table_at = flat.value(flat.root, 1, I64, default=-1)
            self.header = flat.text(flat.root, 2)
        except DamageError as damage:
            raise self._error(f"the header {damage}", at) from damage
        if not 0 <= self._compression < len(COMPRESSIONS):
            raise self._error(
                f"the header's compression is {self._compression}; "
                f"0 to {len(COMPRESSIONS) - 1} are known",
                at,
            )
        self._packets_start = at + U32.size + size
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
            if stream.kind in KINDS and ("" in sources or len(sources) == 1):
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
                raise DamageError(f"has {size} bytes; {PACKET_LIMIT} at most are read")
            packed = self._read(table_at, size, "its table of packets")
            flat = Flatbuffer(Unpacker(self._compression)(memoryview(packed)), "FTAB")
            parts = [part for (part,) in flat.columns(("<i8", range(5)))]
        except DamageError as damage:
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
        starts = np.append(table.offset - PACKET_HEAD.size, self._packets_stop)
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
        unpacked = Unpacker(self._compression)
        for packet in self._packets(None, None):
            content = self._content(packet, unpacked)
            try:
                rows = _event_rows(content)
                if len(rows):
                    first = int(rows["t"][0])
                    if not 0 <= first < STAMP_LIMIT:
                        raise DamageError(f"has an event {_impossible(first)}")
                    return first
            except DamageError as damage:
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
                start = int(self._table.offset[row]) - PACKET_HEAD.size
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
        if at + PACKET_HEAD.size > self._packets_stop:
            raise self._error(
                f"{end} at byte {self._packets_stop}, in the middle of a packet's head", at
            )
        head = self._read(at, PACKET_HEAD.size, "a packet")
        stream, size = PACKET_HEAD.unpack(head)
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

    def _check_count(self, row: int, content: Flatbuffer) -> None:
        """Compare the length of a packet's vector with the table."""
        _, found = content.vector(content.root, 0, 1)
        if self._table is not None and found != self._table.count[row]:
            raise DamageError(
                f"has {found} elements; the table of packets says {self._table.count[row]}"
            )

    def _check_stamps(self, row: int, t: Int64Array) -> None:
        """Compare a packet's first and last stamp with the table, by which it was found."""
        if self._table is not None and len(t):
            said = self._table.first_us[row], self._table.last_us[row]
            if said != (t[0], t[-1]):
                raise DamageError(
                    f"has stamps {t[0]} to {t[-1]} µs; "
                    f"the table of packets says {said[0]} to {said[1]}"
                )


_Content = tuple[_Packet, Flatbuffer]
_Found = TypeVar("_Found")


def _as_int64(value: int) -> int:
    """Return the nearest int64, which compares with any stamp as `value` does."""
    return min(max(value, -(1 << 63)), (1 << 63) - 1)


def _impossible(t: int) -> str:
    return f"at t={t} µs, not within [0, {STAMP_LIMIT})"


def _event_rows(content: Flatbuffer) -> npt.NDArray[Any]:
    """Return (n,) events of a packet, unchecked, as a view of its bytes."""
    start, n = content.vector(content.root, 0, EVENT.itemsize)
    # All but the events takes 32 bytes, or a few more: a length one too small shows here.
    rest = len(content.data) - n * EVENT.itemsize
    if rest >= 3 * EVENT.itemsize:
        raise DamageError(f"says that it has {n} events, and has {rest} bytes beside them")
    return np.frombuffer(content.data, EVENT, n, start)


def _checked_stamps(t: Int64Array, latest: int | None, place: int) -> int:
    """Return the latest stamp so far; raise where one can't be, though in any order.

    Parameters
    ----------
    t
        (n,) stamps of a packet, n > 0.
    latest
        The latest stamp of those before.
    place
        Which of the packet's events the first of these is.
    """
    highest = int(t.max())
    if t.min() < 0 or highest >= STAMP_LIMIT:
        row = int(np.argmax((t < 0) | (t >= STAMP_LIMIT)))
        raise DamageError(f"has event {place + row} {_impossible(int(t[row]))}")
    before = int(t[0]) if latest is None else latest
    if highest - before > GAP_LIMIT_US:
        gap = np.diff(np.maximum.accumulate(np.concatenate([[before], t])))
        row = int(np.argmax(gap > GAP_LIMIT_US))
        if gap[row] > GAP_LIMIT_US:
            raise DamageError(
                f"has event {place + row} {gap[row]} µs after the one ahead; {GAP_LIMIT_US} µs "
                "(a day) at most are read"
            )
    return max(before, highest)


def _check_polarities(p: npt.NDArray[np.uint8], place: int) -> None:
    """Raise where a polarity is neither 0 nor 1; `place` is as of `_checked_stamps`."""
    if p.max() > 1:
        row = int(np.argmax(p > 1))
        raise DamageError(f"has event {place + row} with p={p[row]}, not within [0, 2)")


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


@functools.cache
def _keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next of its size, once a process.

    That begins with a piece of 16 MiB that is freed, untouched. Without it, each packet beyond
    128 KiB is unpacked into new pages: 40,000 page faults for 10 M events by two threads.
    """
    np.empty(1 << 24, np.uint8)


def _joined(parts: list[tuple[_Packet, npt.NDArray[Any]]]) -> npt.NDArray[Any]:
    """Return the events of packets as one array.

    Where threads share Python's lock, few calls on large arrays take half the time of many on
    small ones, though this is one copy more; a join beyond 1 MiB leaves them the lock, too.
    """
    if len(parts) == 1:
        return parts[0][1]
    content = b"".join([rows.data for _, rows in parts])
    return np.frombuffer(content, EVENT) if content else np.empty(0, EVENT)


class _EventBatch:
    """Gathers packets into batches, and looks whether all is well with each.

    That is done when it is full: many small calls of numpy cost more than their work.
    """

    def __init__(self, sensor: Sensor, memory: _Memory) -> None:
        self._memory = memory
        self._sensor = sensor
        self._n = 0
        self._parts: list[tuple[int, _Packet]] = []

    def add_all(self, parts: list[tuple[_Packet, npt.NDArray[Any]]]) -> Iterator[_Gathered]:
        """Take packets with their events; yield the batches that are full."""
        if parts:
            yield from self.add([(packet, len(rows)) for packet, rows in parts], _joined(parts))

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
            and t[-1] - t[0] <= GAP_LIMIT_US
        )
        stops = [*(begin for begin, _ in self._parts[1:]), self._n]
        listed = zip(self._parts, stops, strict=True)
        parts = [part for part, stop in listed if part[0] < self._n and stop > 0]
        # What is left of the last packet begins before the next batch does.
        self._parts = [(begin - self._n, packet) for begin, packet in self._parts]
        self._parts = self._parts[sum(begin <= 0 for begin, _ in self._parts[1:]) :]
        self._n = 0
        yield _Gathered(t, x, y, p, parts, int(t[-1] if sound else t.max()), bool(sound))
