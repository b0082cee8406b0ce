"""Files in MCAP, as ROS 2 writes them, or with messages of ROS 1.

After eight bytes of magic come records: a byte for the kind, uint64 and as many bytes. Texts have
uint32 and as many bytes. The file ends with a footer and the magic once more.

====  ============================================================================================
1     header: profile, library
2     footer: where the summary begins (0: there is none), and its sections'; CRC-32 of the summary
3     schema: uint16 number, name, encoding, the definition
4     channel: uint16 number, uint16 schema, topic, encoding of messages, metadata
5     message: uint16 channel, uint32 sequence, uint64 time of log, of publishing; the message
6     chunk: uint64 times of its first and last message, uint64 size when unpacked, its CRC-32 (0:
      none), compression; uint64 and as many bytes of records
B     statistics: uint64 messages in all, others
F     end of the data
====  ============================================================================================

The summary, after the data, lists all schemas and channels again. Records of other kinds are
skipped. Source: https://mcap.dev/spec
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Callable, Collection, Iterator

import deflate

from evreel.recordings.ros.bags import (
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

MAGIC = b"\x89MCAP0\r\n"

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 1, 2, 3, 4, 5, 6
_STATISTICS, _DATA_END = 0xB, 0xF
_KINDS = range(1, 0x10)
_HEAD = struct.Struct("<BQ")
_IN_MESSAGE = struct.Struct("<HIQQ")
_IN_CHUNK = struct.Struct("<QQQI")
_FOOTER_SIZE = 20
_SMALL_LIMIT = 1 << 24
"""Size limit of records that describe others, bytes."""
_CODINGS = {"ros1msg": "msg", "ros2msg": "msg", "ros2idl": "idl", "omgidl": "idl", "": ""}
_AGAIN = (
    "Copy it again; or, if its recording was killed, run mcap recover on it, or set on_damage: "
    "salvage to read what is whole."
)


class Mcap(ChunkedFile):
    """A file in MCAP."""

    cut_hint = _AGAIN

    def _open(self) -> None:
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._is_listed = False
        kind, begin, size = self._head(len(MAGIC))
        if kind != _HEADER:
            raise BagDamage(f"the first record is of kind {kind}, not a header", len(MAGIC))
        self._start = begin + size
        try:
            self._is_listed = self._read_summary()
            if not self._is_listed:
                self._scan()
        except BagDamage as damage:
            damage.hint = damage.hint or _AGAIN
            if damage.is_whole or not self.salvages:
                raise
            self.connections.clear()
            self._schemas.clear()
            self.n_messages = None
            self._scan()
        self.is_ros1 = any(not one.is_cdr for one in self.connections.values())

    def _read_summary(self) -> bool:
        """Take channels and schemas from the summary; return whether there is one."""
        end = self._size - len(MAGIC)
        at = end - _FOOTER_SIZE - _HEAD.size
        if at < self._start or self._read(len(MAGIC), end, "the magic") != MAGIC:
            raise BagDamage("the file does not end as MCAP does: it was cut", self._size, _AGAIN)
        kind, begin, size = self._head(at)
        if kind != _FOOTER or size != _FOOTER_SIZE:
            raise BagDamage("the file does not end with a footer", at, _AGAIN)
        summary, _, crc = struct.unpack("<QQI", self._read(size, begin, "the footer"))
        if not summary:
            return False
        if not self._start <= summary <= at:
            raise BagDamage(f"the footer says that the summary is at byte {summary}", at)
        if crc:
            self._check_summary(summary, begin + size - 4, crc)
        while summary < at:
            kind, begin, size = self._head(summary)
            if kind in (_SCHEMA, _CHANNEL, _STATISTICS):
                self._take(kind, memoryview(self._small(size, begin, summary)), summary)
            summary = begin + size
        return bool(self.connections)

    def _check_summary(self, begin: int, stop: int, crc: int) -> None:
        found = 0
        for at in range(begin, stop, _SMALL_LIMIT):
            part = self._read(min(_SMALL_LIMIT, stop - at), at, "the summary")
            found = zlib.crc32(part, found)
        if found != crc:
            raise BagDamage("the summary that begins here does not have its checksum", begin)

    def _head(self, at: int) -> tuple[int, int, int]:
        """Return a record's kind, where its content begins, and how many bytes it is."""
        kind, size = _HEAD.unpack(self._read(_HEAD.size, at, "a record's head"))
        _check_kind(kind, at)
        if size > self._size - at - _HEAD.size:
            raise BagDamage(
                f"the record that begins here has {size} bytes, but the file ends at byte "
                f"{self._size}",
                at,
                _AGAIN,
            )
        return kind, at + _HEAD.size, size

    def _small(self, size: int, begin: int, at: int) -> bytes:
        check_size(size, at, _SMALL_LIMIT)
        return self._read(size, begin, "a record")

    def _take(self, kind: int, data: memoryview, at: int) -> None:
        """Take what a schema, a channel or statistics say."""
        parts = _Parts(data, at)
        if kind == _STATISTICS:
            self.n_messages = parts.number(8)
            return
        number = parts.number(2)
        if kind == _SCHEMA:
            self._schemas[number] = (
                parts.text("a schema's name"),
                parts.text("a schema's encoding"),
                parts.part(4).decode(errors="replace"),
            )
            return
        if number in self.connections:
            return
        schema = parts.number(2)
        topic, encoding = parts.text("a topic"), parts.text("an encoding")
        if self._is_listed:  # the summary was read, by which messages are chosen
            raise BagDamage(
                f"the record that begins here has channel {number} of topic {topic}, which is not "
                "in the summary",
                at,
                _AGAIN,
            )
        name, coding, definition = self._schemas.get(schema, ("", "", ""))
        if coding not in _CODINGS:  # of another world than ROS
            name = definition = ""
        self.connections[number] = Connection(
            *(topic, type_name(name), _CODINGS.get(coding, ""), definition),
            is_cdr=encoding != "ros1",
        )

    def _messages(self, wanted: Collection[int] | None) -> Iterator[Message]:
        with self._unpacking() as content:
            yield from self._read_by(content, wanted)

    def _read_by(
        self, content: Callable[[Chunk], memoryview], wanted: Collection[int] | None
    ) -> Iterator[Message]:
        """Yield messages as `messages` does, of chunks that a function unpacks."""
        at, self._seen = self._start, 0
        while True:
            if at >= self._size:
                raise BagDamage("the file ends before its data do: it was cut", at, _AGAIN)
            kind, begin, size = self._head(at)
            if kind in (_DATA_END, _FOOTER):
                break
            if kind in (_SCHEMA, _CHANNEL):
                self._take(kind, memoryview(self._small(size, begin, at)), at)
            elif kind == _MESSAGE:
                check_size(size, at)
                number = self._channel(self._read(min(size, 2), begin, "a message"), at)
                if wanted is not None and number in wanted:
                    data = memoryview(self._read(size, begin, "a message"))
                    yield Message(number, at, _content(data, at))
            elif kind == _CHUNK:
                chunk = Chunk(at, begin, size, {})
                data = content(chunk) if self._is_packed(chunk) else self._content_of(chunk)
                yield from self._of_chunk(at, data, wanted)
            at = begin + size
        if self.n_messages not in (None, self._seen):
            raise BagDamage(
                f"there are {self._seen} messages before here; its statistics state "
                f"{self.n_messages}",
                at,
            )

    def _content_of(self, chunk: Chunk, most: int | None = None) -> memoryview:
        at = chunk.at
        check_size(chunk.size, at)
        parts = _Parts(memoryview(self._read(chunk.size, chunk.begin, "a chunk")), at)
        _, _, stated, crc = _IN_CHUNK.unpack(parts.fixed(_IN_CHUNK.size))
        packing = parts.text("a compression")
        data = undone(packing, parts.view(8), at, "the chunk", most)
        if len(data) != stated:
            raise BagDamage(f"the chunk has {len(data)} bytes, but states {stated}", at)
        # Four times as fast as zlib's.
        if crc and deflate.crc32(data) != crc:
            raise BagDamage("the chunk does not have its checksum", at)
        return data

    def _is_packed(self, chunk: Chunk) -> bool:
        """Return whether a chunk names a compression."""
        begin = chunk.begin + _IN_CHUNK.size
        return any(self._read(max(0, min(4, chunk.size - _IN_CHUNK.size)), begin, "a chunk"))

    def _chunks_from(self, at: int) -> Iterator[Chunk]:
        with contextlib.suppress(BagDamage):
            while at < self._size:
                kind, begin, size = self._head(at)
                if kind in (_DATA_END, _FOOTER):
                    return
                chunk = Chunk(at, begin, size, {})
                if kind == _CHUNK and self._is_packed(chunk):
                    yield chunk
                at = begin + size

    def _of_chunk(
        self, at: int, data: memoryview, wanted: Collection[int] | None
    ) -> Iterator[Message]:
        """Yield the messages of a chunk that holds these data, whose record begins at a byte."""
        place = 0
        while place < len(data):
            if place + _HEAD.size > len(data):
                raise BagDamage("the chunk ends in the middle of a record", at)
            kind, length = _HEAD.unpack_from(data, place)
            first = place + _HEAD.size
            place = first + length
            if place > len(data):
                raise BagDamage("the chunk ends in the middle of a record", at)
            if kind == _MESSAGE:
                number = self._channel(data[first : first + 2], at)
                if wanted is not None and number in wanted:
                    yield Message(number, at, _content(data[first:place], at))
            elif kind in (_SCHEMA, _CHANNEL):
                self._take(kind, data[first:place], at)
            else:
                raise BagDamage(f"a record of kind {kind} is in a chunk", at)

    def _channel(self, data: memoryview | bytes, at: int) -> int:
        """Return the channel of a message, from its first bytes."""
        self._seen += 1
        number = int.from_bytes(data, "little")
        if number not in self.connections:
            raise BagDamage(f"a message is of channel {number}, which is not known", at)
        return number


def _content(data: memoryview, at: int) -> memoryview:
    if len(data) < _IN_MESSAGE.size:
        raise BagDamage(f"a message's record has {len(data)} bytes", at)
    return data[_IN_MESSAGE.size :]


def _check_kind(kind: int, at: int) -> None:
    if kind not in _KINDS and kind < 0x80:  # those from 80 on are anybody's own
        raise BagDamage(f"the record that begins here is of kind {kind:#04x}", at)


class _Parts:
    """Reads a record, part by part."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at, self._place = data, at, 0

    def _next(self, size: int) -> memoryview:
        begin = self._place
        self._place += size
        if self._place > len(self._data):
            raise BagDamage("the record that begins here is too short for its content", self._at)
        return self._data[begin : self._place]

    def fixed(self, size: int) -> bytes:
        return bytes(self._next(size))

    def number(self, size: int) -> int:
        return int.from_bytes(self._next(size), "little")

    def view(self, size: int) -> memoryview:
        """Return bytes after their number, of so many bytes."""
        return self._next(self.number(size))

    def part(self, size: int) -> bytes:
        return bytes(self.view(size))

    def text(self, what: str) -> str:
        return read_text(self.part(4), what, self._at)
