"""ROS bags as recordings: which topics are read, and their messages as events and side streams."""

from __future__ import annotations

import contextlib
import functools
from bisect import bisect
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from evreel.errors import EventsError, RecordingError, UnknownFormatError, UsageError, hint_of
from evreel.events import Sensor
from evreel.folders import BAG_LISTING
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.prefetch import default_threads
from evreel.recordings.ros import bag1, db3, mcap
from evreel.recordings.ros.bags import (
    ZSTD_START,
    BagDamage,
    BagFile,
    Connection,
    Message,
    undone,
)
from evreel.recordings.ros.definitions import (
    Definitions,
    FieldError,
    Reader,
    Struct,
    check_installed,
)
from evreel.recordings.ros.fields import EventFields, Found
from evreel.recordings.ros.files import AGAIN, BagFiles, files_of_bag, head_of, unpacked
from evreel.recordings.ros.packets import (
    Decoder,
    EncodingError,
    check_fields,
    decoder_for,
)
from evreel.recordings.ros.side import (
    SideBatch,
    Topic,
    check_side,
    is_events,
    may_be_events,
    side_topics,
)

_EVENTS = "events"
_LISTED = 20
_ONE_FILE = "Of several files in a folder, one may be given as the recording."
_JITTER_US = 200_000  # drivers gather up to a tenth of a second, and two messages may change places
_MAGIC_BYTES = 9


class _Wanted(NamedTuple):
    """A connection whose messages are read: as what, their fields; of events, what reads these."""

    topic: str
    role: str
    of: Struct
    is_cdr: bool
    events: EventFields | None


class _File(NamedTuple):
    """A file of a bag: its places follow those of the files before it, which end at `base`."""

    bag: BagFile
    base: int
    wanted: dict[int, _Wanted]


class RosRecording(DecodedRecording):
    """A recording in a ROS bag: the events of one topic, and the side streams of its camera.

    Parameters
    ----------
    path
        The bag; or the folder that is one of ROS 2, of one or several files.
    stream
        Name of the topic of events; needed only if the bag has several.
    sensor
        Needed only if messages do not state it, but 0x0.
    reading
        How events and files that break a rule are handled.
    threads
        How many decompress chunks; None: one per core, at most
        `evreel.recordings.prefetch.THREADS`. Events do not depend on it.

    Raises
    ------
    UsageError
        If there are several topics of events and `stream` names none of them, or rosbags is not
        installed.
    RecordingError
        If the bag has no events, or is damaged before the first message.

    Notes
    -----
    Messages are read in the order of the file, which is that in which they were received. A time is
    µs since 1970, if the driver's clock was right.

    Side streams are one topic of each kind in the namespace of the topic of events (of
    ``/dvs/events``, all that begin with ``/dvs/``): images give the stamps of their headers as
    both start and stop of an exposure; IMU samples become g and degrees per second, with NaN for
    what is not measured; topics whose name has ``trigger`` and whose messages are times, or
    packets of triggers, give triggers. Packets in evt3 have triggers within, too.

    A place in SQLite is the number of a message, because it does not say at which byte one is.
    What is salvaged of it ends before a damaged message, and the bytes of its file without those
    of the messages before it count as damaged.
    """

    _jitter_us = _JITTER_US

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
        self._asked_topic = stream
        self._files: list[_File] = []
        self._unpacked: list[BinaryIO] = []
        self._damaged_at: int | None = None
        self._lost: BagDamage | None = None
        self._n_unknown = 0
        try:
            super().__init__(path, sensor=sensor, reading=reading)
        except BaseException:
            self._close_unpacked()
            raise

    def close(self) -> None:
        """Release the files, and end the threads that read them."""
        for file in self._files:
            file.bag.close()
        self._close_unpacked()
        super().close()

    def _close_unpacked(self) -> None:
        for file in self._unpacked:
            file.close()

    def _first_file(self) -> Path:
        return files_of_bag(self.path).paths[0]

    def _open(self) -> Sensor | None:
        check_installed()
        base = 0
        try:
            listed = files_of_bag(self.path)
            for path in listed.paths:
                bag = self._bag_of(path)
                self._files.append(_File(bag, base, {}))
                try:
                    bag.open()
                except BagDamage as damage:
                    damage.place += base
                    raise
                base += bag.places
            self._size = base
            self._check_messages(listed)
            self._choose()
            return self._stated_sensor()
        except BagDamage as damage:
            self._raise(damage)

    def _check_messages(self, listed: BagFiles) -> None:
        """Compare how many messages the files have, where they state it, with the listing."""
        counts = [file.bag.n_messages for file in self._files]
        found = sum(count or 0 for count in counts)
        if listed.n_messages is None or None in counts or found >= listed.n_messages:
            return
        each = ", ".join(
            f"{file.bag.path.name} {count}"
            for file, count in zip(self._files[:_LISTED], counts, strict=False)
        )
        self._lost = BagDamage(
            f"its files have {found} messages ({each}), but {BAG_LISTING} states "
            f"{listed.n_messages}",
            self._size,
            "Copy the folder again. If its recorder lost them, run ros2 bag reindex, or set "
            "on_damage: salvage to read what there is.",
        )
        if self.reading.on_damage != "salvage":
            raise self._lost

    def _bag_of(self, path: Path) -> BagFile:
        """Return a file of the bag, which is not opened yet."""
        salvages = self.reading.on_damage == "salvage"
        head = head_of(path)
        source = None
        if head.startswith(ZSTD_START):
            self._unpacked.append(unpacked(path))
            source = Path(self._unpacked[-1].name)
            head = head_of(source)
        kind = kind_of_file(head, path)
        return kind(path, source=source, salvages=salvages, threads=self._threads)

    def _choose(self) -> None:
        """Choose the topics to read."""
        connections = [one for file in self._files for one in file.bag.connections.values()]
        topics = sorted({Topic(one.topic, one.type) for one in connections})
        self.header = "".join(f"{topic.name} {topic.type}\n" for topic in topics)
        definitions = Definitions(self.path, self._files[0].bag.is_ros1)
        by_topic: dict[Topic, list[Connection]] = {}
        for one in connections:
            by_topic.setdefault(Topic(one.topic, one.type), []).append(one)

        @functools.cache
        def is_known(topic: Topic, role: str) -> bool:
            try:
                for one in by_topic[topic]:
                    self._as(role, one, definitions)
            except UnknownFormatError:
                self._n_unknown += role != _EVENTS
                return False
            return True

        events = self._chosen(topics, lambda topic: is_known(topic, _EVENTS))
        roles = {events.name: _EVENTS, **side_topics(events, topics, is_known)}
        self._topic = events.name
        self._roles = set(roles.values())
        for file in self._files:
            for number, one in file.bag.connections.items():
                role = roles.get(one.topic)
                if role == _EVENTS or (role and is_known(Topic(one.topic, one.type), role)):
                    file.wanted[number] = self._as(role, one, definitions)

    def _as(self, role: str, one: Connection, definitions: Definitions) -> _Wanted:
        of = definitions.struct(one.type, one.coding, one.definition)
        try:
            check_fields(of) if role == _EVENTS else check_side(of, role)
        except EncodingError as error:
            self._refuse(f"topic {one.topic}, of {one.type}, {error}")
        return _Wanted(
            one.topic, role, of, one.is_cdr, EventFields(of) if role == _EVENTS else None
        )

    def _chosen(self, topics: list[Topic], is_known: Callable[[Topic], bool]) -> Topic:
        """Return the topic of events that was asked for, or the only one."""
        events = [topic for topic in topics if is_events(topic)]
        asked = self._asked_topic
        if asked is not None:
            # A topic that is named has events, even if its name speaks of triggers.
            named = [topic for topic in topics if may_be_events(topic)]
            named.sort(key=lambda topic: topic.name != str(asked))
            for topic in named:
                if topic.name.strip("/") == str(asked).strip("/"):
                    return topic
        elif len(events) > 1:
            events = [topic for topic in events if is_known(topic)] or events
        if not events:
            for bag, base, _ in self._files:
                if bag.ended is not None:  # there may have been some after it
                    bag.ended.place += base
                    raise bag.ended
            self._refuse(
                f"has no topic of events, only {_listed(topics)}",
                hint="Messages of type EventArray and EventPacket can be read.",
            )
        names = sorted({topic.name for topic in events})
        if asked is not None or len(names) != 1:
            meant = None if asked is None else hint_of(asked, names)
            raise UsageError(
                f"its topics of events are {', '.join(names)}; "
                + ("none is chosen" if asked is None else f"{asked} is not one of them"),
                path=self.path,
                hint=f"{meant + ' ' if meant else ''}Give the name of one as stream (--stream, "
                "events/stream).",
            )
        return events[0]

    def _stated_sensor(self) -> Sensor | None:
        """Return the size that the first message of events states; None if it states none.

        A size of 0x0 is none. A message without events need not state it.
        """
        first = None
        with contextlib.closing(self._messages({_EVENTS})) as messages:
            for first, wanted in messages:
                assert wanted.events is not None
                try:
                    found = wanted.events.read(self._reader(first, wanted))
                except FieldError as error:
                    raise _damage(error, wanted.topic, first.place) from error
                if found.height or found.width:
                    try:
                        return Sensor.checked(found.height, found.width)
                    except EventsError as error:
                        raise BagDamage(error.problem, first.place) from error
                if found.events.n:
                    return None
        if first is None:
            self._refuse(f"has no messages of topic {self._topic}")
        return None

    def _messages(self, roles: Collection[str]) -> Generator[tuple[Message, _Wanted], None, None]:
        """Yield the messages of some roles, with places in the whole bag."""
        for bag, base, wanted in self._files:
            numbers = {number for number, one in wanted.items() if one.role in roles}
            with contextlib.closing(bag.messages(numbers)) as messages:
                try:
                    for message in messages:
                        if base:
                            message = message._replace(place=base + message.place)
                        yield message, wanted[message.connection]
                except BagDamage as damage:
                    damage.place += base
                    raise
        if self._lost is not None:
            raise self._lost

    def _reader(self, message: Message, wanted: _Wanted) -> Reader:
        data = message.data
        if wanted.is_cdr and data[:4] == ZSTD_START:  # rosbag2 may compress each message
            data = undone("zstd", data, message.place, "the message")
        return Reader(data, wanted.is_cdr)

    def _pieces(self) -> Iterator[Piece | Side]:
        return self._pieces_for(None, None, True)

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        self._damaged_at = None
        is_ros1 = self._files[0].bag.is_ros1
        roles = self._roles if side else {_EVENTS}
        batches = {role: SideBatch(role) for role in roles - {_EVENTS}}
        decoder: Decoder | None = None
        of: Struct | None = None
        damage: BagDamage | None = None
        bases = [one.base for one in self._files]
        n_files = 0  # up to that of the message before
        self._count("skipped_side_topics", self._n_unknown if side else 0)
        try:
            for message, wanted in self._messages(roles):
                try:
                    if wanted.events is None:
                        if decoder is not None:
                            yield from decoder.held()
                        yield from self._side(batches[wanted.role], message, wanted, decoder)
                        continue
                    reader = self._reader(message, wanted)
                    found = wanted.events.read(reader)
                    self._check_size(found)
                    if decoder is None:
                        decoder, of = decoder_for(wanted.of, found, self.sensor), wanted.of
                    elif wanted.of is not of:
                        raise EncodingError("has messages by several definitions")
                    decoder.check(found, message.connection if is_ros1 else 0)
                    if len(bases) > 1:
                        before, n_files = n_files, bisect(bases, message.place)
                        if n_files != before:  # no piece has events of two files
                            yield from decoder.held()
                            yield decoder.rest()
                    if not decoder.hold(found, reader, message.place):
                        yield from decoder.held()
                        yield from decoder.add(found, reader, message.place)
                except FieldError as error:
                    raise _damage(error, self._topic, message.place) from error
                except EncodingError as error:
                    problem = f"topic {self._topic} {error}"
                    raise BagDamage(problem, message.place, is_whole=True) from error
        except BagDamage as found_damage:
            damage = found_damage
        if decoder is not None:
            try:
                yield from decoder.held()
            except FieldError as error:  # it is before the other damage, if there is any
                damage = _damage(error, self._topic, 0)
            self.repairs.update(decoder.skipped())
            yield decoder.rest()
        for batch in batches.values():
            yield from batch.flush()
        if damage is not None:
            self._raise(damage)

    def _side(
        self, batch: SideBatch, message: Message, wanted: _Wanted, decoder: Decoder | None
    ) -> Iterator[Side]:
        """Take a message of a side topic; one that cannot be read is counted."""
        try:
            clock_ns = decoder.clock_ns if decoder else None
            yield from batch.add(wanted.of, self._reader(message, wanted), clock_ns)
        except FieldError:
            self._count("skipped_side_messages", 1)

    def _check_size(self, found: Found) -> None:
        height, width = size = found.height, found.width
        if size != self.sensor and size != (0, 0):
            raise FieldError(
                f"states a sensor of {width}x{height} px, but that of the recording is "
                f"{self.sensor.width}x{self.sensor.height}",
                "Record each camera, and each size, on a topic of its own; or set on_damage: "
                "salvage to read what is before.",
            )

    def _bytes_from(self, damage: RecordingError) -> int | None:
        at = self._damaged_at
        if at is None:  # it is no damage of the bag
            return None
        found: int | None = None
        for bag, base, _ in self._files:
            if found is not None:
                found += bag.bytes_from(0)
            elif base <= at <= base + bag.places:
                found = bag.bytes_from(at - base)
        return found

    def _located(self, offset: int | None) -> dict[str, Any]:
        if offset is None or not self._files:
            return {"offset": offset}
        before = [file for file in self._files if file.base <= offset]
        file = before[-1] if before else self._files[0]
        said = file.bag.said(offset - file.base)
        if self.path != file.bag.path:
            return {"place": f"{said} of {file.bag.path.name}"}
        return {"offset": offset} if file.bag.has_bytes else {"place": said}

    def _raise(self, damage: BagDamage) -> NoReturn:
        """Raise for damage of the bag."""
        self._damaged_at = damage.place
        if damage.is_whole:
            self._recode(damage.problem, damage.place, damage.hint)
        self._fail(damage.problem, damage.place, damage.hint)


class Bag1Recording(RosRecording):
    """A ROS 1 bag; all else as in `RosRecording`."""

    format = "rosbag1"


class McapRecording(RosRecording):
    """A ROS 2 bag in MCAP; all else as in `RosRecording`."""

    format = "rosbag2-mcap"


class Db3Recording(RosRecording):
    """A ROS 2 bag in SQLite; all else as in `RosRecording`."""

    format = "rosbag2-sqlite3"


_KINDS: dict[bytes, tuple[type[BagFile], type[RosRecording]]] = {
    bag1.MAGIC: (bag1.Bag1, Bag1Recording),
    mcap.MAGIC: (mcap.Mcap, McapRecording),
    db3.MAGIC: (db3.Db3, Db3Recording),
}


def kind_of_file(head: bytes, path: Path) -> type[BagFile]:
    """Return what reads a file of a bag that begins with these bytes."""
    return _kinds(head, path)[0]


def _kinds(head: bytes, path: Path) -> tuple[type[BagFile], type[RosRecording]]:
    for magic, kinds in _KINDS.items():
        if head.startswith(magic[:_MAGIC_BYTES]):
            return kinds
    if not head:
        raise RecordingError(
            "has no bytes, or none that are whole", path=path, offset=0, hint=f"{AGAIN} {_ONE_FILE}"
        )
    raise UnknownFormatError(
        f"starts with {head[:16]!r}, which is not the start of a file of a ROS bag",
        path=path,
        offset=0,
    )


def is_bag(head: bytes) -> bool:
    """Return whether a file of a bag begins with these bytes."""
    return any(head.startswith(magic[:_MAGIC_BYTES]) for magic in _KINDS)


def open_bag(
    path: str | Path,
    *,
    stream: int | str | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
    threads: int | None = None,
) -> RosRecording:
    """Return a recording of the class for the files that a bag is made of.

    Parameters
    ----------
    path, stream, sensor, reading, threads
        As `RosRecording` takes them.
    """
    first = files_of_bag(Path(path)).paths[0]
    kind = _kinds(head_of(first, plain=True), first)[1]
    return kind(path, stream=stream, sensor=sensor, reading=reading, threads=threads)


def _damage(error: FieldError, topic: str, place: int) -> BagDamage:
    """Return what a message is that cannot be read: the one that the error names, or this one."""
    problem = f"the message of {topic} that begins here {error}"
    place = place if error.place is None else error.place
    return BagDamage(problem, place, error.hint, is_whole=error.is_whole)


def _listed(topics: Collection[Topic]) -> str:
    said = [f"{topic.name} ({topic.type})" for topic in topics][:_LISTED]
    more = len(topics) - len(said)
    return (", ".join(said) or "none at all") + (f" and {more} more" if more else "")
