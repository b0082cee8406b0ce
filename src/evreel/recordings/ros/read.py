"""ROS bags as recordings: which topics are read, and their messages as events and side streams."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from evreel.errors import EventsError, UnknownFormatError, UsageError
from evreel.events import Sensor
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
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
from evreel.recordings.ros.packets import Decoder, EncodingError, check_fields, decoder_for
from evreel.recordings.ros.side import SideBatch, Topic, check_side, is_events, side_topics

_EVENTS = "events"
_LISTED = 20


class _Wanted(NamedTuple):
    """A connection whose messages are read: as what, and their fields."""

    role: str
    of: Struct
    is_cdr: bool


class RosRecording(DecodedRecording):
    """A recording in a ROS bag: the events of one topic, and the side streams of its camera.

    Parameters
    ----------
    path
        The bag.
    stream
        Name of the topic of events; needed only if the bag has several.
    sensor
        Not needed: messages state it.
    reading
        How events and files that break a rule are handled.

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
    """

    _kind: type[BagFile]

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
    ) -> None:
        check_installed()
        self._asked_topic = stream
        super().__init__(path, sensor=sensor, reading=reading)

    def _open(self) -> Sensor | None:
        salvages = self.reading.on_damage == "salvage"
        try:
            self._bag = self._kind(self.path, salvages=salvages)
            self._size = self._bag.last_place
            self._definitions = Definitions(self.path, self._bag.is_ros1)
            self._choose()
            return self._stated_sensor()
        except BagDamage as damage:
            self._raise(damage)

    def _choose(self) -> None:
        """Choose the topics to read."""
        found = self._bag.connections
        topics = sorted({Topic(one.topic, one.type) for one in found.values()})
        self.header = "".join(f"{topic.name} {topic.type}\n" for topic in topics)
        events = self._chosen([topic for topic in topics if is_events(topic)], topics)
        roles = {events.name: _EVENTS, **side_topics(events, topics)}
        self._topic = events.name
        self._wanted: dict[int, _Wanted] = {}
        for number, one in found.items():
            role = roles.get(one.topic)
            if role is not None:
                self._wanted[number] = self._as(role, one)

    def _as(self, role: str, one: Connection) -> _Wanted:
        of = self._definitions.struct(one.type, one.coding, one.definition)
        try:
            check_fields(of) if role == _EVENTS else check_side(of, role)
        except EncodingError as error:
            self._recode(f"topic {one.topic}, of {one.type}, {error}")
        return _Wanted(role, of, one.is_cdr)

    def _chosen(self, events: list[Topic], topics: list[Topic]) -> Topic:
        """Return the topic of events that was asked for, or the only one."""
        if not events:
            raise UnknownFormatError(
                f"has no topic of events, only {_listed(topics)}",
                path=self.path,
                hint="Messages of type EventArray and EventPacket can be read.",
            )
        asked = self._asked_topic
        names = {topic.name for topic in events}
        if asked is not None:
            events = [topic for topic in events if topic.name.strip("/") == str(asked).strip("/")]
        if len({topic.name for topic in events}) != 1:
            raise UsageError(
                f"its topics of events are {', '.join(sorted(names))}; "
                + ("none is chosen" if asked is None else f"{asked} is not one of them"),
                path=self.path,
                hint="Give the name of one as stream.",
            )
        return events[0]

    def _stated_sensor(self) -> Sensor | None:
        """Return the size that the first message of events states, None if there is no message."""
        numbers = [number for number, one in self._wanted.items() if one.role == _EVENTS]
        messages = self._bag.messages(numbers)
        try:
            message = next(messages, None)
        finally:
            messages.close()
        if message is None:
            return self._given or Sensor(1, 1)
        try:
            found, _ = self._fields(message)
        except FieldError as error:
            raise BagDamage(f"the message that begins here {error}", message.place) from error
        self._height, self._width = found["height"], found["width"]
        try:
            return Sensor.checked(self._height, self._width)
        except EventsError as error:
            if self._given is not None:
                return None
            raise BagDamage(error.problem, message.place) from error

    def _fields(self, message: Message) -> tuple[dict[str, Any], Reader]:
        """Return the fields of a message of events, and its reader."""
        _, of, is_cdr = self._wanted[message.connection]
        reader = self._reader(message, is_cdr)
        return reader.fields(of), reader

    def _reader(self, message: Message, is_cdr: bool) -> Reader:
        data = message.data
        if is_cdr and data[:4] == ZSTD_START:  # rosbag2 compresses messages one by one, or files
            data = undone("zstd", data, message.place, "the message")
        return Reader(data, is_cdr)

    def _pieces(self) -> Iterator[Piece | Side]:
        return self._pieces_for(None, None, True)

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        wanted = {number for number, one in self._wanted.items() if side or one.role == _EVENTS}
        batches = {one.role: SideBatch(one.role) for one in self._wanted.values()}
        decoder: Decoder | None = None
        damage: BagDamage | None = None
        try:
            for message in self._bag.messages(wanted):
                role, of, is_cdr = self._wanted[message.connection]
                try:
                    reader = self._reader(message, is_cdr)
                    if role != _EVENTS:
                        yield from batches[role].add(of, reader)
                        continue
                    found = reader.fields(of)
                    if decoder is None:
                        decoder = decoder_for(of, found, self.sensor)
                    self._check_size(found)
                    yield from decoder.add(found, reader, message.place)
                except FieldError as error:
                    problem = f"the message that begins here {error}"
                    raise BagDamage(problem, message.place) from error
                except EncodingError as error:
                    problem = f"topic {self._topic} {error}"
                    raise BagDamage(problem, message.place, is_whole=True) from error
        except BagDamage as found_damage:
            damage = found_damage
        if decoder is not None:
            self.repairs.update(decoder.skipped())
            yield decoder.rest()
        for batch in batches.values():
            yield from batch.flush()
        if damage is not None:
            self._raise(damage)

    def _check_size(self, found: dict[str, Any]) -> None:
        if (found["height"], found["width"]) != (self._height, self._width):
            raise FieldError(
                f"states a sensor of {found['width']}x{found['height']} px, but the first one "
                f"{self._width}x{self._height}"
            )

    def _raise(self, damage: BagDamage) -> NoReturn:
        """Raise for damage of the bag's file."""
        if damage.is_whole:
            self._recode(damage.problem, damage.place, damage.hint)
        self._fail(damage.problem, damage.place, damage.hint)


class Bag1Recording(RosRecording):
    """A ROS 1 bag; all else as in `RosRecording`."""

    format = "rosbag1"
    _kind = bag1.Bag1


class McapRecording(RosRecording):
    """A ROS 2 bag in MCAP; all else as in `RosRecording`."""

    format = "rosbag2-mcap"
    _kind = mcap.Mcap


class Db3Recording(RosRecording):
    """A ROS 2 bag in SQLite; all else as in `RosRecording`."""

    format = "rosbag2-sqlite3"
    _kind = db3.Db3


def _listed(topics: Collection[Topic]) -> str:
    said = [f"{topic.name} ({topic.type})" for topic in topics][:_LISTED]
    more = len(topics) - len(said)
    return (", ".join(said) or "none at all") + (f" and {more} more" if more else "")
