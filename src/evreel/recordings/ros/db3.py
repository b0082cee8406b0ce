"""Files of ROS 2 bags in SQLite: tables ``topics``, ``messages``, and ``message_definitions``.

Messages are read by their number, which is the order in which they were stored. SQLite does not say
at which byte a row is, so a place in such a file is the number of a message.

Source: the tables as rosbag2's plugin ``sqlite3`` makes them, versions 1 to 4 of its schema.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import quote

from evreel.errors import words_of
from evreel.recordings.ros.bags import (
    CONNECTION_LIMIT,
    MESSAGE_LIMIT,
    BagDamage,
    BagFile,
    Connection,
    Message,
    read_text,
)
from evreel.recordings.ros.definitions import type_name

MAGIC = b"SQLite format 3\0"

_CODINGS = {"ros2msg": "msg", "ros2idl": "idl"}
_RECOVER = "Copy it again, or write what is whole into another one with sqlite3's .recover."


class Db3(BagFile):
    """A file of a ROS 2 bag in SQLite. It is never changed, and nothing is written beside it."""

    has_bytes = False
    cut_hint = _RECOVER

    def said(self, place: int) -> str:
        """Return a place as messages name it: the number of a message, or 0 before the first."""
        return f"message {place}" if place else "tables"

    def bytes_from(self, place: int) -> int:
        """Return the bytes of the file without those of the messages before one; 0 after all."""
        if place >= self.places:
            return 0
        query = f"SELECT ifnull(sum(length(data)), 0) FROM messages WHERE id < {place}"
        try:
            with self._connected() as base:
                (before,) = next(self._rows(base, query))
        except BagDamage:
            before = 0
        return self._size - int(before)

    def _open(self) -> None:
        for suffix in ("-wal", "-journal"):
            journal = self._source.resolve()
            journal = journal.with_name(journal.name + suffix)
            if journal.exists() and journal.stat().st_size:
                raise BagDamage(
                    f"its last messages are still in {journal.name}, beside it",
                    0,
                    f"Let SQLite bring them in: sqlite3 {journal.name.removesuffix(suffix)} "
                    '"PRAGMA wal_checkpoint(TRUNCATE)".',
                    is_whole=True,
                )
        with self._connected() as base:
            found = dict(
                self._rows(
                    base,
                    "SELECT name, rootpage > 0 FROM sqlite_master WHERE type = 'table' AND name "
                    "IN ('topics', 'messages', 'message_definitions')",
                )
            )
            if not (found.get(b"topics") and found.get(b"messages")):
                raise BagDamage(
                    "is an SQLite file without the tables of a ROS 2 bag, topics and messages",
                    0,
                    "Give a .db3 file that ros2 bag recorded. If this was one, copy it again.",
                    is_whole=True,
                )
            definitions: dict[bytes, tuple[str, str]] = {}
            if found.get(b"message_definitions"):
                definitions = {
                    name: (
                        _CODINGS.get(_text(coding).decode(errors="replace"), ""),
                        _text(text).decode(errors="replace"),
                    )
                    for name, coding, text in self._rows(
                        base,
                        "SELECT topic_type, encoding, encoded_message_definition FROM "
                        f"message_definitions LIMIT {CONNECTION_LIMIT}",
                    )
                }
            for number, topic, kind, form in self._rows(
                base,
                "SELECT id, name, type, serialization_format FROM topics ORDER BY id "
                f"LIMIT {CONNECTION_LIMIT + 1}",
            ):
                if len(self.connections) == CONNECTION_LIMIT:
                    raise BagDamage(f"there are more than {CONNECTION_LIMIT} topics", 0)
                if not isinstance(number, int):
                    raise BagDamage("the table of topics has a row without a number", 0)
                coding, text = definitions.get(kind, ("", ""))
                self.connections[number] = Connection(
                    read_text(_text(topic), "a topic", 0),
                    type_name(read_text(_text(kind), "a type", 0)),
                    coding if text else "",
                    text if coding else "",
                    is_cdr=_text(form) == b"cdr",
                )
            (last,) = next(self._rows(base, "SELECT max(id) FROM messages"))
            self.places = last + 1 if isinstance(last, int) else 1
            ((self.n_messages,),) = self._rows(base, "SELECT count(*) FROM messages")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # Immutable: no locks, and no files beside it.
        name = f"file:{quote(os.fsencode(self._source.absolute()))}?mode=ro&immutable=1"
        try:
            opened = sqlite3.connect(name, uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise BagDamage(
                f"SQLite cannot open it: {words_of(error)}",
                0,
                "It opens files whose path has up to some 500 bytes. Give a shorter one.",
                is_whole=True,
            ) from error
        with contextlib.closing(opened) as base:
            base.text_factory = bytes
            base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MESSAGE_LIMIT)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                list(self._rows(base, f"PRAGMA {pragma}"))
            yield base

    def _rows(
        self, base: sqlite3.Connection, query: str, values: tuple[int, ...] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        place = 0
        try:
            for row in base.execute(query, values):
                yield row
                if isinstance(row[0], int):
                    place = row[0]
        except Exception as error:  # its errors have texts of the file, which need not be UTF-8
            after = f" after message {place}" if "FROM messages" in query and place else ""
            raise BagDamage(
                f"SQLite cannot read it{after}: {words_of(error)}", place, _RECOVER
            ) from error

    def _messages(self, wanted: Collection[int] | None) -> Iterator[Message]:
        if not wanted:
            return
        marks = ", ".join("?" * len(wanted))
        # Also those of no topic, which nobody can have asked for.
        query = (
            f"SELECT id, topic_id, data FROM messages WHERE topic_id IN ({marks}) OR topic_id NOT "
            "IN (SELECT id FROM topics) ORDER BY id"
        )
        before = -(1 << 63)
        with self._connected() as base:
            for number, topic, data in self._rows(base, query, tuple(sorted(wanted))):
                if isinstance(number, int) and topic not in self.connections:
                    raise BagDamage("its topic is not in the table of topics", number, _RECOVER)
                if not isinstance(number, int) or number < before or topic not in wanted:
                    raise BagDamage(f"the message after {before} is out of order", before, _RECOVER)
                if not isinstance(data, bytes):
                    raise BagDamage("a message has no data", number, _RECOVER)
                before = number
                yield Message(topic, number, memoryview(data))


def _text(value: object) -> bytes:
    """Return a text of a row; anything else is an empty one."""
    return value if isinstance(value, bytes) else b""
