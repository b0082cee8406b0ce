"""Read AEDAT 4: header, table of packets, and packets, which threads decode ahead."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from lxml import etree

from evreel.errors import CodingError, RecordingError, UsageError, foreign
from evreel.events import Batch, Sensor
from evreel.recordings.aedat4 import gather
from evreel.recordings.aedat4.flatbuffer import I32, I64, U32, DamageError, Flatbuffer
from evreel.recordings.aedat4.gather import (
    EventBatch,
    Gathered,
    Memory,
    check_polarities,
    check_stamps,
    event_rows,
    impossible,
)
from evreel.recordings.aedat4.packets import (
    COMPRESSIONS,
    MAGIC,
    PACKET_HEAD,
    PACKET_LIMIT,
    SENSOR_LIMIT,
    STAMP_LIMIT,
    BudgetError,
    Packet,
    TooLargeError,
    Unpacker,
)
from evreel.recordings.aedat4.side import KINDS, SideBatch
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.prefetch import Prefetch, default_threads
from evreel.recordings.survey import WHOLE, Survey
from evreel.system import keep_memory, read_at
from evreel.timebase import Int64Array

_COPY_AGAIN = "The file is damaged or incomplete: copy or download it again"
_OR_SALVAGE = ", or set on_damage: salvage to read what is whole."

HEADER_LIMIT = 1 << 22
"""Size limit of a header, bytes; DV's have a few thousand."""
BUNDLE_BYTES = 1 << 21
"""Packed bytes of packets to decode at once; a quarter of that without a table, which says how many
events are in them."""
BUNDLE_PACKETS = 1 << 10
"""Packets to decode at once."""
AHEAD_BYTES = 1 << 24
"""Unpacked bytes after which a thread that decodes ahead leaves the rest to the caller's thread."""


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


@dataclass(frozen=True, eq=False)
class _Table:
    """The table of packets: (n,) int64, one row per packet, whose content begins at `offset`."""

    offset: Int64Array
    stream: Int64Array
    size: Int64Array
    count: Int64Array
    first_us: Int64Array
    last_us: Int64Array


class Aedat4Recording(DecodedRecording):
    """A recording in AEDAT 4, from a DVS, DAVIS or DVXplorer camera.

    Every time is relative to the first event's timestamp of the chosen stream. Packets are gathered
    into batches of up to `gather.BATCH_ROWS` events, and `side.SIDE_ROWS` samples of a side stream
    (triggers, IMU, frame times), which are yielded when they are full, and at the end.

    Parameters
    ----------
    path
        The file.
    stream
        Number of the event stream; needed only if the file holds several.
    sensor
        Not needed: the header states it.
    reading
        How events and files that break a rule are handled. Any choice but `STRICT` reads the
        file from its start, whatever the range of time.
    threads
        How many unpack packets, the caller's included; by default one per core that the process
        may use, at most `evreel.recordings.prefetch.THREADS`. The result does not depend on it.

    Attributes
    ----------
    path, format, sensor, t_offset, header, repairs
        As in `evreel.recordings.open.Recording`; the header is the XML.
    indexed
        Whether the file has a consistent table of its packets, so that a range of time is found
        without reading what precedes it.

    Raises
    ------
    UsageError
        If there are several event streams and `stream` names none of them.
    RecordingError
        If the header, the table or the first packet of events is damaged.

    Notes
    -----
    One side stream of each kind is read: the lowest number with the event stream's `source`. A
    stream that names no source matches any.

    Triggers: `id` is the format's type, `edge` is 1 for rising edges (types 1 and 4), 0 for
    falling ones (2 and 5), and −1 for a reset (0), a pulse (3), and the frame sensor's signals
    (6 to 9: start and end of a frame, start and end of its exposure).

    Frame times are the start and the end of exposure. For a frame without them, they are
    `timestamp` and `timestamp` + `exposure`; failing that, start and end of its readout; failing
    that, `timestamp` twice, which in DV is the middle of the exposure and in dv-processing its
    start.

    The table is never trusted unchecked. One that cannot be decoded is an error, because nothing
    else says where the packets end. One whose rows leave gaps between the first packet and the
    table, name unknown streams, or go back in time is ignored, as is one of more than
    `PACKET_LIMIT` bytes where there are more of packets: the packets are then found one by one, and
    `indexed` is false. If it is used, each packet that is read must match its row. With a
    range of time, neighbouring packets whose events could be in it are read too, so that a row
    with wrong timestamps is an error and never a missing event.

    Salvaging reads packet by packet up to the first damaged one. A table that cannot be decoded, or
    that the header places where it cannot be, then counts as damage after the last packet: a
    recording that was cut off while it was written, or only partly copied, is read up to its last
    whole packet.
    """

    format = "aedat4"

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
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
        """Yield events with a timestamp in ``[start_us, stop_us)``, and whole side streams.

        With ``side=False``, packets of side streams are not unpacked, except when salvaging, which
        ends at the first damage in either.

        Raises
        ------
        RecordingError
            If the file is cut, a packet is damaged, or an event is outside the sensor or goes back
            in time, unless `reading` says otherwise; `offset` is where that packet begins.
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
        memory = Memory()
        end: RecordingError | None = None

        def asked() -> Iterator[Packet]:
            for packet in self._packets(start_us, stop_us, self._side if side else frozenset()):
                past = (
                    latest is not None and stop_us is not None and latest >= stop_us + self.t_offset
                )
                if packet.stream != self._events.number or not past:
                    yield packet
                elif not side:
                    return

        def decoded(bundle: deque[Packet], budget: int | None) -> Iterator[Gathered | _Content]:
            return self._gathered(self._contents(bundle, budget), span, memory)

        try:
            for found in self._ahead(decoded, asked()):
                if isinstance(found, Gathered):
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

    def _of_batch(self, batch: Gathered, latest: int | None) -> Iterator[Piece]:
        """Yield a batch as one piece, or packet by packet if one of them may be at fault.

        Parameters
        ----------
        latest
            The latest timestamp before the batch, None if it is the first.
        """
        t, x, y, p, parts, _, sound = batch
        if self.reading == STRICT and latest is None and t[0] < self.t_offset:
            raise self.damaged(
                parts[0][1],
                f"has an event at t={t[0]} µs, before the recording's first, t={self.t_offset} µs",
            )
        if sound:
            yield Piece(t, x, y, p, parts[0][1].start, sound=True)
            return
        stops = [*(begin for begin, _ in parts[1:]), len(t)]
        for (begin, packet), stop in zip(parts, stops, strict=True):
            first = max(begin, 0)
            rows = slice(first, stop)
            if first == stop:
                continue
            try:
                check_stamps(t[rows], first - begin)
                check_polarities(p[rows], first - begin)
            except DamageError as damage:
                self._judge_polarities(packet, damage)
                raise self.damaged(packet, damage) from damage
            signed = x[rows].view(np.int16), y[rows].view(np.int16)
            yield Piece(t[rows], *signed, p[rows], packet.start, row=first - begin)

    def _judge_polarities(self, packet: Packet, damage: DamageError) -> None:
        """Raise `CodingError` if polarities of the whole recording are coded otherwise."""
        survey, unpacked = Survey(), Unpacker(self._compression)
        try:
            for each in self._packets(None, None):
                rows = event_rows(self._content(each, unpacked))
                survey.add(rows["p"] > 1, rows["p"])
        except (RecordingError, DamageError):
            return
        if survey.bad and not survey.is_damage():
            self._recode(
                f"the packet that begins here {damage}: {survey.said('events')}",
                packet.start,
                f"{WHOLE}Write p as 1 for ON and 0 for OFF.",
            )

    def _ahead(
        self,
        decoded: Callable[[deque[Packet], int | None], Iterator[_Found]],
        packets: Iterable[Packet],
    ) -> Iterator[_Found]:
        """Yield the decoded content of packets, in order, from threads that work ahead.

        Parameters
        ----------
        decoded
            Takes packets off a bundle and yields their content; packets beyond the budget of
            unpacked bytes stay in the bundle.
        packets
            The packets to decode.
        """
        keep_memory()
        bundles = self._bundles(packets)
        if self._threads == 1:
            for bundle in bundles:
                yield from decoded(bundle, None)
            return

        def work(
            bundle: deque[Packet],
        ) -> tuple[list[_Found], RecordingError | None, deque[Packet]]:
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

    def _bundles(self, packets: Iterable[Packet]) -> Iterator[deque[Packet]]:
        """Yield packets in bundles that make a batch; then raise the error that ended them."""
        bundle: deque[Packet] = deque()
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
                    or rows + count > gather.BATCH_ROWS
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

    def _contents(self, bundle: deque[Packet], budget: int | None) -> Iterator[_Content]:
        """Take packets off a bundle; yield them with their content."""
        unpacked = Unpacker(self._compression, budget)
        while bundle:
            packet = bundle[0]
            try:
                content = self._content(packet, unpacked)
            except BudgetError:
                return
            bundle.popleft()
            yield packet, content

    def _content(self, packet: Packet, unpacked: Unpacker) -> Flatbuffer:
        """Read, unpack and check a packet."""
        data = self._read(packet.start, PACKET_HEAD.size + packet.size, "a packet")
        kind = self._streams[packet.stream].kind
        head = PACKET_HEAD.unpack_from(data)
        try:
            if head != (packet.stream, packet.size):
                raise DamageError(
                    f"is of stream {head[0]} and has {head[1]} bytes; "
                    f"the table of packets says stream {packet.stream} and {packet.size} bytes"
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
        memory: Memory,
    ) -> Iterator[Gathered | _Content]:
        """Yield events in batches, and content of side streams as it is; then raise for damage.

        Parameters
        ----------
        contents
            Packets with their content, in order.
        span
            Range of time of the events to yield; None for all.
        memory
            Memory for the batches of the same pass.
        """
        batch = EventBatch(self.sensor, memory)
        parts: list[tuple[Packet, npt.NDArray[Any]]] = []
        end: RecordingError | None = None
        try:
            for packet, content in contents:
                if packet.stream != self._events.number:
                    if self.reading != STRICT:  # salvaging yields everything before the damage
                        yield from batch.add_all(parts)
                        yield from batch.flush()
                        parts = []
                    yield packet, content
                    continue
                try:
                    rows = event_rows(content)
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
        """Return whether the table says that a packet's events are outside a range of time."""
        if self._table is None:
            return False
        start_us, stop_us = (None if t is None else t + self.t_offset for t in span)
        before = start_us is not None and int(self._table.last_us[row]) < start_us
        return before or (stop_us is not None and int(self._table.first_us[row]) >= stop_us)

    def _open(self) -> Sensor:
        table_at = self._read_header()
        if COMPRESSIONS[self._compression] == "NONE":
            self._threads = 1  # handing over what is only copied costs more than it saves
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
            hint = _COPY_AGAIN + (_OR_SALVAGE if self._streams else ".")
        return RecordingError(problem, path=self.path, offset=offset, hint=hint)

    def damaged(
        self, packet: Packet, damage: DamageError | str, hint: str | None = None
    ) -> RecordingError:
        """Return the error for a packet; `damage` is the predicate of a sentence about it."""
        return self._error(f"the packet that begins here {damage}", packet.start, hint)

    def _read(self, offset: int, size: int, what: str) -> bytes:
        """Return `size` bytes from `offset`."""
        try:
            data = read_at(self._file.fileno(), size, offset)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}", offset) from error
        if len(data) < size:
            raise self._error(f"the file ends in the middle of {what}", offset + len(data))
        return data

    def _read_header(self) -> int:
        """Read compression and XML; return where the table begins, −1 if there is none."""
        magic = self._read(0, min(len(MAGIC), self._size), "its first line")
        if magic != MAGIC:
            raise self._error(f"the file starts with {magic!r}; {MAGIC!r} is expected", 0)
        at = len(MAGIC)
        (size,) = U32.unpack(self._read(at, U32.size, "its header"))
        if size > HEADER_LIMIT:
            raise self._error(f"the header has {size} bytes; the limit is {HEADER_LIMIT}", at)
        try:
            flat = Flatbuffer(self._read(at, U32.size + size, "its header"), "IOHE")
            self._compression = flat.value(flat.root, 0, I32)
            table_at = flat.value(flat.root, 1, I64, default=-1)
            self.header = flat.text(flat.root, 2)
        except DamageError as damage:
            raise self._error(f"the header {damage}", at) from damage
        if not 0 <= self._compression < len(COMPRESSIONS):
            self._recode(
                f"the header's compression is {self._compression}; "
                f"0 to {len(COMPRESSIONS) - 1} are known",
                at,
                "Was it written by a newer program? Write it again uncompressed, or in LZ4. "
                "Otherwise it is damaged: copy or download it again.",
            )
        self._packets_start = at + U32.size + size
        if table_at != -1 and not self._packets_start <= table_at < self._size:
            if self.reading.on_damage == "salvage":
                return -1
            raise self._error(
                f"the header says that the table of packets begins at byte {table_at}, but packets "
                f"begin at byte {self._packets_start}, and the file has {self._size} bytes",
                at,
                _COPY_AGAIN + _OR_SALVAGE,
            )
        return table_at

    def _read_streams(self) -> dict[int, _Stream]:
        """Return the streams that the XML lists, by their number."""
        at = len(MAGIC)
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        with foreign(lambda why: self._error(f"the header's XML cannot be read: {why}", at)):
            root = etree.fromstring(self.header.encode(), parser)
        listed = root.find(".//node[@name='outInfo']")
        streams: dict[int, _Stream] = {}
        for node in () if listed is None else listed.findall("node"):
            own = {attr.get("key"): attr.text for attr in node.findall("attr")}
            info = {attr.get("key"): attr.text for attr in node.findall("node[@name='info']/attr")}
            try:
                number = int(node.get("name", ""))
                if not -(1 << 31) <= number < 1 << 31:
                    raise ValueError("is not an int32")
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
                raise self._error(f"stream {number} is duplicated in the header's XML", at)
            streams[number] = _Stream(
                number,
                own.get("typeIdentifier") or "",
                own.get("originalOutputName") or "",
                info.get("source") or "",
                size,
            )
        return streams

    def _chosen_stream(self, asked: int | str | None) -> _Stream:
        """Return the event stream that was asked for, or the only one."""
        listed = [stream for stream in self._streams.values() if stream.kind == "EVTS"]
        if not listed:
            kinds = ", ".join(stream.kind for stream in self._streams.values()) or "none"
            raise RecordingError(
                f"there is no event stream (EVTS) among its streams: {kinds}",
                path=self.path,
                offset=len(MAGIC),
                hint="Was it recorded with another kind of sensor?",
            )
        chosen = [stream for stream in listed if asked in (None, stream.number)]
        if len(chosen) != 1:
            raise UsageError(
                f"its event streams are {', '.join(map(str, listed))}; "
                + ("none is chosen" if asked is None else f"stream {asked} is not one of them"),
                path=self.path,
                hint="Give the number of one as stream.",
            )
        return chosen[0]

    def _side_streams(self) -> frozenset[int]:
        """Return the side streams to read: one per kind, of the event stream's source."""
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
        """Return the table of packets; None if they have to be found one by one."""
        try:
            return self._read_table(table_at)
        except RecordingError as error:
            if self.reading.on_damage == "fail" or isinstance(error, CodingError):
                raise
            # The packets then end before the first thing that is not a packet.
            self._packets_stop = self._size
            return None

    def _read_table(self, table_at: int) -> _Table | None:
        """Return the table of packets; None if it is too large, or its rows contradict each other.

        Packets have to be as long as the limit in all, for a table that is too large to be right.
        """
        size = self._size - table_at
        try:
            if size > PACKET_LIMIT:
                raise TooLargeError(f"has {size} bytes; the limit is {PACKET_LIMIT}")
            packed = self._read(table_at, size, "its table of packets")
            flat = Flatbuffer(Unpacker(self._compression)(memoryview(packed)), "FTAB")
            parts = [part for (part,) in flat.columns(("<i8", range(5)))]
        except DamageError as damage:
            is_long = table_at - self._packets_start > PACKET_LIMIT
            if is_long and isinstance(damage, TooLargeError):
                return None
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
        """Return whether packets are end to end, of known streams, and events in time order."""
        bounds = (  # within them, sums cannot overflow
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
        """Return the first event's timestamp, 0 if there is none."""
        if self.reading != STRICT:
            return super()._first_stamp()
        unpacked = Unpacker(self._compression)
        for packet in self._packets(None, None):
            content = self._content(packet, unpacked)
            try:
                rows = event_rows(content)
                if len(rows):
                    first = int(rows["t"][0])
                    if not 0 <= first < STAMP_LIMIT:
                        raise DamageError(f"has an event {impossible(first)}")
                    return first
            except DamageError as damage:
                raise self.damaged(packet, damage) from damage
        return 0

    def _packets(
        self, start_us: int | None, stop_us: int | None, side: frozenset[int] = frozenset()
    ) -> Iterator[Packet]:
        """Yield the packets to read for a range of time, of events and of side streams."""
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
                yield Packet(start, stream, int(self._table.size[row]), row)

    def _rows(
        self, table: _Table, start_us: int | None, stop_us: int | None, side: frozenset[int]
    ) -> Sequence[int]:
        """Return the rows to read for a range: of events within and beside it, and of side streams.

        A packet beside the range is read if a wrong timestamp in its row could hide an event of the
        range. It could not if a packet within, whose timestamps are compared, begins before the
        range or ends after it.
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

    def _head(self, at: int) -> Packet:
        """Read a packet's head; check that its stream is known and where it ends."""
        end = "the file ends" if self._packets_stop == self._size else "the table of packets begins"
        if at + PACKET_HEAD.size > self._packets_stop:
            raise self._error(
                f"{end} at byte {self._packets_stop}, in the middle of a packet's head", at
            )
        head = self._read(at, PACKET_HEAD.size, "a packet")
        stream, size = PACKET_HEAD.unpack(head)
        packet = Packet(at, stream, size, None)
        if packet.stream not in self._streams:
            numbers = ", ".join(map(str, sorted(self._streams)))
            raise self._error(
                f"the packet that begins here is of stream {packet.stream}, but "
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
                f"the packet that begins here has {packet.size} bytes, but "
                f"{end} at byte {self._packets_stop}, in the middle of it",
                at,
            )
        return packet

    def _check_count(self, row: int, content: Flatbuffer) -> None:
        """Check the length of a packet's vector against the table."""
        _, found = content.vector(content.root, 0, 1)
        if self._table is not None and found != self._table.count[row]:
            raise DamageError(
                f"has {found} elements, but the table of packets says {self._table.count[row]}"
            )

    def _check_stamps(self, row: int, t: Int64Array) -> None:
        """Check a packet's first and last timestamp against the table, by which it was found."""
        if self._table is not None and len(t):
            said = self._table.first_us[row], self._table.last_us[row]
            if said != (t[0], t[-1]):
                raise DamageError(
                    f"has timestamps {t[0]} to {t[-1]} µs, but "
                    f"the table of packets says {said[0]} to {said[1]}"
                )


_Content = tuple[Packet, Flatbuffer]
_Found = TypeVar("_Found")


def _as_int64(value: int) -> int:
    """Return the nearest int64, which compares with any timestamp as `value` does."""
    return min(max(value, -(1 << 63)), (1 << 63) - 1)
