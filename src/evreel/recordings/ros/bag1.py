"""Files of ROS 1 bags, version 2.0.

After the line ``#ROSBAG V2.0`` come records: uint32 and as many bytes of header, uint32 and as many
of data. A header is fields: uint32 and as many bytes ``name=value``. Field ``op`` is the kind.

====  ============================================================================================
2     message: ``conn``, ``time``; the data are the message
3     the bag: ``index_pos``, ``conn_count``, ``chunk_count``; all 0 until the bag is closed
4     index of a chunk: skipped
5     chunk: ``compression``, ``size`` when unpacked; the data are records 2 and 7. While the first
      unfinished chunk is written, its data are stated to have no bytes, and its records follow
6     what is in a chunk: skipped
7     connection: ``conn``, ``topic``; the data are fields ``type``, ``message_definition``
====  ============================================================================================

The index at ``index_pos`` lists all connections again. Source: http://wiki.ros.org/Bags/Format/2.0
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Collection, Iterator

from evreel.recordings.ros.bags import (
    CONNECTION_LIMIT,
    MESSAGE_LIMIT,
    BagDamage,
    Chunk,
    ChunkedFile,
    Connection,
    Message,
    check_size,
    read_text,
    undone,
)
from evreel.recordings.ros.definitions import type_name

MAGIC = b"#ROSBAG V2.0"

_MESSAGE, _BAG, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 4, 5, 6, 7
_KINDS = (_MESSAGE, _BAG, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION)
_HEADER_LIMIT = 1 << 16
_SIZE = struct.Struct("<I")
_REINDEX = (
    "Copy it again, or, if its recording was killed, run rosbag reindex on it; or set on_damage: "
    "salvage to read what is whole."
)


class Bag1(ChunkedFile):
    """A file of a ROS 1 bag.

    One that was not closed, because its recording was killed, has no index: it is read all the
    same, and is damaged only if it ends in the middle of a record.
    """

    is_ros1 = True
    cut_hint = _REINDEX

    def _open(self) -> None:
        line = self._read(len(MAGIC) + 1, 0, "the first line")
        if line != MAGIC + b"\n":
            raise BagDamage(
                f"begins with {line!r}",
                0,
                "Bags of version 2.0 can be read. Run rosbag fix on older ones.",
                is_whole=True,
            )
        self._start = len(line)
        kind, fields, *_ = self._head(self._start)
        if kind != _BAG:
            raise BagDamage(f"the first record is of kind {kind}, not that of a bag", self._start)
        if fields.get(b"encryptor"):
            name = fields[b"encryptor"][:40]
            raise BagDamage(
                f"is encrypted by {name!r}",
                self._start,
                "Bags that are not encrypted can be read.",
                is_whole=True,
            )
        index = int.from_bytes(_field(fields, b"index_pos", 8, self._start), "little")
        self._headers: dict[tuple[bytes, bytes], int] = {}
        self._n_chunks: int | None = None
        self._stop = self._size
        if index:
            try:
                self._read_index(index, fields)
                return
            except BagDamage as damage:
                damage.hint = _REINDEX
                if not self.salvages:
                    raise
                self.connections.clear()
        self._scan()

    def _read_index(self, index: int, fields: dict[bytes, bytes]) -> None:
        """Take the connections from the index."""
        if not self._start < index <= self._size:
            raise BagDamage(
                f"the file ends at byte {self._size}, before its index, which is at byte {index}",
                self._size,
            )
        count = int.from_bytes(_field(fields, b"conn_count", 4, self._start), "little")
        n_chunks = int.from_bytes(_field(fields, b"chunk_count", 4, self._start), "little")
        at = index
        for _ in range(count):
            kind, head, begin, size = self._head(at)
            if kind != _CONNECTION:
                raise BagDamage(f"the index has a record of kind {kind} for a connection", at)
            self._add(head, self._read(size, begin, "a connection"), at)
            at = begin + size
        self._stop, self._n_chunks = index, n_chunks

    def _head(self, at: int) -> tuple[int, dict[bytes, bytes], int, int]:
        """Return a record's kind, its fields, where its data begin, and how many bytes they are."""
        size = _SIZE.unpack(self._read(4, at, "a record's size"))[0]
        check_size(size, at, _HEADER_LIMIT, "a header of ")
        head = self._read(size + 4, at + 4, "a record's header")
        kind, fields = _fields(head[:-4], at)
        return kind, fields, at + 8 + size, _SIZE.unpack(head[-4:])[0]

    def _add(self, head: dict[bytes, bytes], data: bytes, at: int) -> None:
        """Take a connection, the first time that it comes."""
        number = int.from_bytes(_field(head, b"conn", 4, at), "little")
        if number in self.connections:
            return
        if len(self.connections) == CONNECTION_LIMIT:
            raise BagDamage(f"there are more than {CONNECTION_LIMIT} connections", at)
        said = _all_fields(data, at)
        topic = read_text(head.get(b"topic", b""), "a topic", at)
        if self._n_chunks is not None:  # the index was read, by which messages are chosen
            raise BagDamage(
                f"the connection that begins here, {number} of topic {topic}, is not in the index",
                at,
                _REINDEX,
            )
        self.connections[number] = Connection(
            topic,
            type_name(read_text(said.get(b"type", b""), "a type", at)),
            "msg",
            # Comments of a definition may be in any encoding.
            said.get(b"message_definition", b"").decode(errors="replace"),
            is_cdr=False,
        )

    def _messages(self, wanted: Collection[int] | None) -> Iterator[Message]:
        with self._unpacking() as content:
            yield from self._read_by(content, wanted)

    def _read_by(
        self, content: Callable[[Chunk], memoryview], wanted: Collection[int] | None
    ) -> Iterator[Message]:
        """Yield messages as `messages` does, of chunks that a function unpacks."""
        at, n_chunks = self._start, 0
        while at < self._stop:
            kind, fields, begin, size = self._head(at)
            end = begin + size
            if end > self._stop:
                limit = "the file ends" if self._stop == self._size else "the index begins"
                raise BagDamage(
                    f"the record that begins here ends at byte {end}, but {limit} at byte "
                    f"{self._stop}",
                    at,
                    _REINDEX,
                )
            if kind == _CHUNK:
                n_chunks += 1
                chunk = Chunk(at, begin, size, fields)
                is_plain = _packing(chunk) == "none"
                if is_plain and size > MESSAGE_LIMIT:
                    end = begin  # its records are read one by one
                elif size:
                    inside = self._content_of(chunk) if is_plain else content(chunk)
                    yield from self._of_chunk(chunk, inside, is_plain, wanted)
            elif kind == _CONNECTION:
                self._add(fields, self._read(size, begin, "a connection"), at)
            elif kind == _MESSAGE:
                number = self._number(fields, at)
                if wanted is not None and number in wanted:
                    check_size(size, at)
                    data = self._read(size, begin, "a message")
                    yield Message(number, at, memoryview(data))
            at = end
        if self._n_chunks not in (None, n_chunks):
            raise BagDamage(
                f"there are {n_chunks} chunks before the index, which states {self._n_chunks}", at
            )

    def _content_of(self, chunk: Chunk, most: int | None = None) -> memoryview:
        at, size = chunk.at, chunk.size
        check_size(size, at)
        packed = memoryview(self._read(size, chunk.begin, "a chunk"))
        data = undone(_packing(chunk), packed, at, "the chunk", most)
        stated = int.from_bytes(_field(chunk.fields, b"size", 4, at), "little")
        if len(data) != stated:
            raise BagDamage(f"the chunk has {len(data)} bytes, but states {stated}", at)
        return data

    def _chunks_from(self, at: int) -> Iterator[Chunk]:
        with contextlib.suppress(BagDamage):
            while at < self._stop:
                kind, fields, begin, size = self._head(at)
                chunk = Chunk(at, begin, size, fields)
                at = begin + size
                if kind == _CHUNK and size and at <= self._stop:
                    if _packing(chunk) != "none":
                        yield chunk
                    elif size > MESSAGE_LIMIT:
                        at = begin

    def _of_chunk(
        self, chunk: Chunk, data: memoryview, is_plain: bool, wanted: Collection[int] | None
    ) -> Iterator[Message]:
        """Yield the messages of a chunk that holds these data."""
        at, begin = chunk.at, chunk.begin
        place, stop = 0, len(data)
        while place < stop:
            where = begin + place if is_plain else at
            if place + 4 > stop:
                raise BagDamage("the chunk ends in the middle of a record", where)
            first = place + 4
            last = first + _SIZE.unpack_from(data, place)[0]
            if last + 4 > stop or last - first > _HEADER_LIMIT:
                raise BagDamage("the chunk ends in the middle of a record's header", where)
            number, kind, head = self._known(bytes(data[first:last]), where)
            end = last + 4 + _SIZE.unpack_from(data, last)[0]
            if end > stop:
                raise BagDamage("the chunk ends in the middle of a record", where)
            if kind == _MESSAGE:
                if wanted is not None and number in wanted:
                    yield Message(number, where, data[last + 4 : end])
            elif kind == _CONNECTION:
                self._add(head, bytes(data[last + 4 : end]), where)
            else:
                raise BagDamage(f"a record of kind {kind} is in a chunk", where)
            place = end

    def _known(self, header: bytes, at: int) -> tuple[int, int, dict[bytes, bytes]]:
        """Return the connection of a message (else −1), the record's kind, and its fields.

        A header that differs only by its time from one of a message before is one, too: its fields
        are not read.
        """
        time = header.find(b"time=") + 5
        key = header[:time], header[time + 8 :]
        number = self._headers.get(key, -1)
        if number >= 0:
            return number, _MESSAGE, {}
        kind, fields = _fields(header, at)
        if kind == _MESSAGE:
            number = self._number(fields, at)
            if time >= 5 and len(self._headers) < CONNECTION_LIMIT:
                self._headers[key] = number
        return number, kind, fields

    def _number(self, fields: dict[bytes, bytes], at: int) -> int:
        """Return the connection of a message."""
        number = int.from_bytes(_field(fields, b"conn", 4, at), "little")
        if number not in self.connections:
            raise BagDamage(f"a message is of connection {number}, which is not known", at)
        return number


def _packing(chunk: Chunk) -> str:
    return read_text(chunk.fields.get(b"compression", b""), "a compression", chunk.at)


def _fields(header: bytes, at: int) -> tuple[int, dict[bytes, bytes]]:
    """Return the kind of a record, and all fields of its header."""
    fields = _all_fields(header, at)
    kind = fields.get(b"op", b"")
    if len(kind) != 1 or kind[0] not in _KINDS:
        raise BagDamage(f"the record that begins here is of kind {kind[:8]!r}", at)
    return kind[0], fields


def _all_fields(header: bytes, at: int) -> dict[bytes, bytes]:
    fields = {}
    place = 0
    while place < len(header):
        end = place + 4 + int.from_bytes(header[place : place + 4], "little")
        name, equals, value = header[place + 4 : end].partition(b"=")
        if end > len(header) or not equals:
            raise BagDamage("the record that begins here has a damaged header", at)
        fields[name] = value
        place = end
    return fields


def _field(fields: dict[bytes, bytes], name: bytes, size: int, at: int) -> bytes:
    """Return a field of a fixed size."""
    value = fields.get(name, b"")
    if len(value) != size:
        raise BagDamage(f"the record that begins here has no {name.decode()} of {size} bytes", at)
    return value
