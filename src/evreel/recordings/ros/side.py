"""Side streams of a camera in a bag: when images were taken, IMU samples, triggers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from evreel.events import FrameTimes, Imu, Triggers
from evreel.recordings.pieces import Side
from evreel.recordings.ros.definitions import NUMBERS, Many, Reader, Rows, Struct
from evreel.recordings.ros.packets import (
    EVENT_TYPES,
    EncodingError,
    check_fields,
    stamp_us,
    triggers_of,
)

SIDE_ROWS = 1 << 13
"""Samples in a batch of a side stream."""
FRAMES, IMU, TRIGGERS = "frames", "imu", "triggers"
_KINDS = {
    "sensor_msgs/msg/Image": FRAMES,
    "sensor_msgs/msg/CompressedImage": FRAMES,
    "sensor_msgs/msg/Imu": IMU,
}
_STAMPS = {
    "sensor_msgs/msg/Image": "header.stamp",
    "sensor_msgs/msg/CompressedImage": "header.stamp",
    "sensor_msgs/msg/TimeReference": "header.stamp",
    "std_msgs/msg/Header": "stamp",
    "std_msgs/msg/Time": "data",
}
"""Type → the field that has the time, where a message is a time alone."""
_VECTORS = ("linear_acceleration", "angular_velocity")
_RAW = "image_raw"
_GRAVITY = 9.80665
"""m/s² in g."""


class Topic(NamedTuple):
    """A topic of a bag, and the type of its messages."""

    name: str
    type: str

    @property
    def camera(self) -> str:
        """The topic's namespace: its name up to the last ``/``, with that."""
        return self.name[: self.name.rfind("/") + 1]


def may_be_events(topic: Topic) -> bool:
    """Tell whether a topic has messages of a type that events have."""
    return topic.type.rpartition("/")[2] in EVENT_TYPES


def is_events(topic: Topic) -> bool:
    """Tell whether a topic has events, by its type and its name."""
    return may_be_events(topic) and "trigger" not in topic.name.rpartition("/")[2]


def kind_of(topic: Topic) -> str | None:
    """Return the side stream that a topic is, None if it is none."""
    if topic.type in _KINDS:
        return _KINDS[topic.type]
    has_times = topic.type in _STAMPS or may_be_events(topic)
    is_named = "trigger" in topic.name and not is_events(topic)
    return TRIGGERS if has_times and is_named else None


def side_topics(
    events: Topic, topics: list[Topic], is_known: Callable[[Topic, str], bool]
) -> dict[str, str]:
    """Return the side topics of an event topic, name → kind: one of each kind, in its namespace.

    Of several that are known, it is one whose name has the fewest parts; of these, one that has
    ``image_raw`` in it, or else the first by name.

    Parameters
    ----------
    events : the topic of events.
    topics : all topics.
    is_known : function of a topic and its kind: whether its messages can be read.

    Examples
    --------
    >>> image = "sensor_msgs/msg/Image"
    >>> listed = [Topic(name, image) for name in ("/dvs/drawn", "/dvs/image_raw", "/rgb/image_raw")]
    >>> side_topics(Topic("/dvs/events", "dvs_msgs/msg/EventArray"), listed, lambda *_: True)
    {'/dvs/image_raw': 'frames'}
    """
    chosen: dict[str, str] = {}
    for topic in sorted(topics, key=_preference):
        kind = kind_of(topic)
        is_near = topic.name.startswith(events.camera) and topic.name != events.name
        if kind and is_near and kind not in chosen and is_known(topic, kind):
            chosen[kind] = topic.name
    return {name: kind for kind, name in chosen.items()}


def _preference(topic: Topic) -> tuple[int, bool, str]:
    return topic.name.count("/"), _RAW not in topic.name, topic.name


def check_side(of: Struct, kind: str) -> None:
    """Raise `EncodingError` if messages with such fields cannot be read."""
    if of.name in _STAMPS:
        is_known = of.is_time(_STAMPS[of.name])
    elif kind == IMU:
        is_known = of.is_time("header.stamp") and all(
            of.kind(f"{name}.{axis}") == NUMBERS["float64"]
            and of.kind(f"{name}_covariance") == Many(NUMBERS["float64"], 9)
            for name in _VECTORS
            for axis in "xyz"
        )
    else:
        check_fields(of)
        return
    if not is_known:
        listed = ", ".join(name for name, _ in of.fields)
        raise EncodingError(f"has fields {listed}, which are not those of {of.name}")


class SideBatch:
    """Gathers the messages of a side topic into batches, by the clock of the bag."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._rows: list[tuple[Any, ...]] = []

    def add(self, of: Struct, reader: Reader, clock_ns: int | None = None) -> Iterator[Side]:
        """Take a message with fields that `check_side` found to be right; yield a full batch.

        `clock_ns` is that of the camera's events, as `triggers_of` takes it.

        Raises
        ------
        FieldError
            If it is damaged.
        """
        if self._kind == IMU:
            found = reader.fields(of)
            vectors = [_vector(found, name, reader) for name in _VECTORS]
            self._rows.append((stamp_us(**found["header"]["stamp"]), *vectors))
        elif of.name in _STAMPS:
            first, *rest = _STAMPS[of.name].split(".")
            stamp = reader.fields(of, first)[first]
            self._rows.append((stamp_us(**(stamp[rest[0]] if rest else stamp)),))
        else:
            yield triggers_of(of, reader, clock_ns)
        if len(self._rows) >= SIDE_ROWS:
            yield from self.flush()

    def flush(self) -> Iterator[Side]:
        """Yield what has been gathered, if anything."""
        if not self._rows:
            return
        columns = [np.array(column) for column in zip(*self._rows, strict=True)]
        self._rows = []
        t, n = columns[0].astype(np.int64), len(columns[0])
        if self._kind == FRAMES:
            yield FrameTimes(t, t.copy())
        elif self._kind == TRIGGERS:
            yield Triggers(t, np.full(n, -1, np.int8), np.zeros(n, np.int16))
        else:
            unknown = np.full((n, 4), np.nan, np.float32)
            with np.errstate(over="ignore", invalid="ignore"):  # of damaged samples
                acceleration = (columns[1] / _GRAVITY).astype(np.float32)
                rotation = np.degrees(columns[2]).astype(np.float32)
            yield Imu(t, acceleration, rotation, unknown[:, :3].copy(), unknown[:, 3].copy())


def _vector(found: dict[str, Any], name: str, reader: Reader) -> tuple[float, float, float]:
    """Return a vector of an IMU; NaN where its covariance says, by −1, that it is not measured."""
    rows: Rows = found[f"{name}_covariance"]
    if np.frombuffer(reader.data, "<f8", 1, rows.at)[0] == -1:
        return (np.nan, np.nan, np.nan)
    vector = found[name]
    return vector["x"], vector["y"], vector["z"]
