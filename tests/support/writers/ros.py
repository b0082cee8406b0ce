"""ROS bags, written and serialized by rosbags; events in packets are packed here."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lz4.frame
import numpy as np
import zstandard
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

DVS = "dvs_msgs/msg/EventArray"
PROPHESEE = "prophesee_event_msgs/msg/EventArray"
PACKET = "event_camera_msgs/msg/EventPacket"
IMAGE, IMU = "sensor_msgs/msg/Image", "sensor_msgs/msg/Imu"
TIME, REFERENCE = "std_msgs/msg/Time", "sensor_msgs/msg/TimeReference"
EVENT = "uint16 x\nuint16 y\ntime ts\nbool polarity\n"
_SIZED = "std_msgs/Header header\nuint32 height\nuint32 width\n"
DEFINITIONS = {
    "dvs_msgs/msg/Event": EVENT,
    DVS: f"{_SIZED}Event[] events\n",
    "prophesee_event_msgs/msg/Event": EVENT,
    PROPHESEE: f"{_SIZED}Event[] events\n",
    PACKET: f"{_SIZED}uint64 seq\nuint64 time_base\nstring encoding\nbool is_bigendian\n"
    "uint8[] events\n",
    TIME: "time data\n",
}
MCAP = b"\x89MCAP0\r\n"
START_S = 1_500_000_000
"""Second of 1970 that bags begin with."""


class Said(NamedTuple):
    """A message: its topic, its type, and function of a store of types that returns it.

    In a ROS 1 bag, one of another caller is of another connection.
    """

    topic: str
    type: str
    make: Any
    caller: str | None = None


@functools.cache
def store(is_ros1: bool, definitions: tuple[tuple[str, str], ...] = ()):
    """Return types of ROS, and those of events."""
    types = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_HUMBLE)
    for name, text in {**DEFINITIONS, **dict(definitions)}.items():
        if name not in types.fielddefs or name in dict(definitions):
            if not is_ros1:
                text = text.replace("time ", "builtin_interfaces/Time ")
            types.register(get_types_from_msg(text, name))
    return types


def header(types, ns: int, frame: str = "dvs"):
    """Return a header with a stamp."""
    time = types.types["builtin_interfaces/msg/Time"](*divmod(ns, 10**9))
    kind = types.types["std_msgs/msg/Header"]
    seq = (7,) if "seq" in dict(kind.__dataclass_fields__) else ()
    return kind(*seq, time, frame)


def array(rows: Sequence, size=(8, 6), *, topic="/dvs/events", kind=DVS, frame="dvs", **fields):
    """Return a message of events, rows (t in ns, x, y, p)."""

    def make(types):
        event = types.types[kind.replace("EventArray", "Event")]
        time = types.types["builtin_interfaces/msg/Time"]
        events = [
            event(**{"x": x, "y": y, "ts": time(*divmod(t, 10**9)), "polarity": bool(p), **fields})
            for t, x, y, p in rows
        ]
        stamp = rows[0][0] if len(rows) else 0
        width, height = size
        return types.types[kind](header(types, stamp, frame), height, width, events)

    return Said(topic, kind, make)


def packet(
    content: bytes,
    stamp: int,
    size=(8, 6),
    *,
    encoding="evt3",
    time_base=0,
    topic="/event_camera/events",
    big=False,
    seq=3,
    frame="dvs",
):
    """Return a packet of events with a header's stamp in ns."""

    def make(types):
        width, height = size
        return types.types[PACKET](
            *(header(types, stamp, frame), height, width, seq, time_base, encoding, big),
            np.frombuffer(content, np.uint8),
        )

    return Said(topic, PACKET, make)


def image(stamp: int, topic="/dvs/image_raw"):
    """Return an image of 2 x 2 px."""
    data = np.arange(4, dtype=np.uint8)
    return Said(
        topic,
        IMAGE,
        lambda types: types.types[IMAGE](header(types, stamp), 2, 2, "mono8", 0, 2, data),
    )


def imu(stamp: int, rotation=(1.0, 2.0, 3.0), acceleration=(0.0, 9.80665, -1.0), topic="/dvs/imu"):
    """Return an IMU sample in rad/s and m/s²; None for what is not measured."""

    def make(types):
        vector = types.types["geometry_msgs/msg/Vector3"]
        turn = types.types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)

        def measured(given):
            covariance = np.zeros(9)
            covariance[0] = -1 if given is None else 0
            return vector(*(given or (0.0, 0.0, 0.0))), covariance

        return types.types[IMU](
            header(types, stamp), turn, np.zeros(9), *measured(rotation), *measured(acceleration)
        )

    return Said(topic, IMU, make)


def time(stamp: int, topic="/dvs/trigger"):
    """Return a time alone."""

    def make(types):
        return types.types[TIME](types.types["builtin_interfaces/msg/Time"](*divmod(stamp, 10**9)))

    return Said(topic, TIME, make)


def reference(stamp: int, topic="/dvs/trigger"):
    """Return a time by another clock."""

    def make(types):
        other = types.types["builtin_interfaces/msg/Time"](5, 6)
        return types.types[REFERENCE](header(types, stamp), other, "gps")

    return Said(topic, REFERENCE, make)


def bag1(
    path: Path, said: Iterable[Said], compression: str = "none", definitions=(), chunk=None
) -> Path:
    """Write a ROS 1 bag; messages are received a ms after each other."""
    types = store(True, tuple(definitions))
    writer = Writer1(path)
    if compression != "none":
        writer.set_compression(getattr(Writer1.CompressionFormat, compression.upper()))
    with writer:
        if chunk:
            writer.chunk_threshold = chunk
        connections: dict[tuple[str, str, str | None], Any] = {}
        for k, one in enumerate(said):
            key = one.topic, one.type, one.caller
            if key not in connections:
                connections[key] = writer.add_connection(
                    one.topic, one.type, typestore=types, callerid=one.caller
                )
            data = types.serialize_ros1(one.make(types), one.type)
            writer.write(connections[key], START_S * 10**9 + k * 10**6, bytes(data))
    return path


def bag2(
    folder: Path,
    said: Iterable[Said],
    storage: str = "mcap",
    compression: str = "none",
    definitions=(),
    version: int = 9,
) -> Path:
    """Write a ROS 2 bag; return its only file."""
    types = store(False, tuple(definitions))
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer2(folder, version=version, storage_plugin=plugin)
    if compression != "none":
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections: dict[tuple[str, str], Any] = {}
        for k, one in enumerate(said):
            key = one.topic, one.type
            if key not in connections:
                connections[key] = writer.add_connection(*key, typestore=types)
            data = types.serialize_cdr(one.make(types), one.type)
            writer.write(connections[key], START_S * 10**9 + k * 10**6, bytes(data))
    (file,) = (path for path in folder.iterdir() if path.suffix != ".yaml")
    return file


def mcap(
    path: Path,
    said: Iterable[Said],
    compression: str = "",
    *,
    is_ros1: bool = False,
    chunked: bool = True,
    summary: bool = True,
    checksums: bool = True,
    per_chunk: int = 1 << 30,
) -> Path:
    """Write an MCAP file record by record, with so many messages per chunk, as specified."""
    types = store(is_ros1)
    schemas: dict[str, int] = {}
    channels: dict[tuple[str, str], int] = {}
    described, body = b"", []
    messages = list(said)
    for one in messages:
        if one.type not in schemas:
            schemas[one.type] = number = len(schemas) + 1
            text = types.generate_msgdef(one.type, ros_version=1 if is_ros1 else 2)[0]
            form = "ros1msg" if is_ros1 else "ros2msg"
            record = number.to_bytes(2, "little") + _text(one.type) + _text(form) + _text(text)
            described += _record(3, record)
        key = one.topic, one.type
        if key not in channels:
            channels[key] = number = len(channels) + 1
            record = number.to_bytes(2, "little") + schemas[one.type].to_bytes(2, "little")
            record += _text(one.topic) + _text("ros1" if is_ros1 else "cdr") + _text("")
            described += _record(4, record)
        make = types.serialize_ros1 if is_ros1 else types.serialize_cdr
        record = channels[key].to_bytes(2, "little") + bytes(4) + bytes(16)
        body.append(_record(5, record + bytes(make(one.make(types), one.type))))
    content = MCAP + _record(1, _text("ros1" if is_ros1 else "ros2") + _text("tests"))
    if not chunked:
        content += described + b"".join(body)
    for first in range(0, max(1, len(body)) if chunked else 0, per_chunk):
        plain = b"".join([described, *body[first : first + per_chunk]])
        crc = zlib.crc32(plain) if checksums else 0
        packed = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstandard.compress}[compression](
            plain
        )
        head = bytes(16) + len(plain).to_bytes(8, "little") + crc.to_bytes(4, "little")
        content += _record(
            6, head + _text(compression) + len(packed).to_bytes(8, "little") + packed
        )
    content += _record(0xF, bytes(4))
    start = len(content) if summary else 0
    crc = 0
    if summary:
        statistics = len(messages).to_bytes(8, "little") + bytes(2 + 4 * 4 + 16 + 4)
        content += described + _record(0xB, statistics)
        footer = struct.pack("<BQQQ", 2, 20, start, 0)
        crc = zlib.crc32(content[start:] + footer) if checksums else 0
    path.write_bytes(content + _record(2, struct.pack("<QQI", start, 0, crc)) + MCAP)
    return path


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(4, "little") + text.encode()


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(content)) + content
