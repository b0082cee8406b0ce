"""Columns of events and of what else a recording holds.

`Events` is a struct of read-only arrays, checked once on construction. A slice of it is a view.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, UsageError
from evreel.timebase import Int64Array, frozen

UInt16Array = npt.NDArray[np.uint16]
UInt8Array = npt.NDArray[np.uint8]

_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")
_LAST_STAMP = np.iinfo(np.int64).max


class Sensor(NamedTuple):
    """Sensor size in pixels, (height, width), each 1 to 65536."""

    height: int
    width: int

    @classmethod
    def checked(cls, height: int, width: int) -> Sensor:
        """Return the size, or raise `EventsError` if a uint16 cannot address all its pixels."""
        for name, size in (("height", height), ("width", width)):
            if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
                raise EventsError(f"a sensor's {name} of {size!r} is not a whole number of pixels")
        if not (1 <= height <= 65536 and 1 <= width <= 65536):
            raise EventsError(
                f"a sensor of height {height} and width {width} is outside the range of "
                "1 to 65536 pixels"
            )
        return cls(int(height), int(width))

    @classmethod
    def parse(cls, text: str) -> Sensor:
        """Return the size that a text such as ``346x260`` (width x height, px) stands for.

        Raises
        ------
        UsageError
            If it does not have that form.

        Examples
        --------
        >>> Sensor.parse("346x260")
        Sensor(height=260, width=346)
        """
        size = _SIZE.fullmatch(text)
        if size is None:
            raise UsageError(
                f"sensor {text!r} is not WIDTHxHEIGHT", hint="Write it in pixels, such as 346x260."
            )
        return cls.checked(int(size[2]), int(size[1]))

    @classmethod
    def given(cls, sensor: object) -> Sensor:
        """Return a size that is given as ``(height, width)``, or as text as `parse` takes it.

        Raises
        ------
        UsageError
            If it is neither.
        """
        if isinstance(sensor, str):
            return cls.parse(sensor)
        if not isinstance(sensor, (tuple, list)) or len(sensor) != 2:
            raise UsageError(
                f"sensor={sensor!r} is not a size",
                hint="Give (height, width), or text such as '346x260', width x height.",
            )
        try:
            return cls.checked(*sensor)
        except EventsError as error:
            raise UsageError(error.problem) from error

    @property
    def text(self) -> str:
        """The size as `parse` takes it, width x height."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, eq=False, slots=True)
class Events:
    """Events of one camera in time order.

    Parameters
    ----------
    t : (n,) int64, µs since the recording's first event (`t_offset`), non-decreasing.
    x : (n,) uint16, column, in ``[0, sensor.width)``.
    y : (n,) uint16, row, in ``[0, sensor.height)``.
    p : (n,) uint8, polarity: 0 OFF (darker), 1 ON (brighter).
    sensor : (height, width) in pixels.

    Raises
    ------
    EventsError
        If columns differ in length or do not hold whole numbers, a timestamp goes back or does not
        fit int64, a coordinate is outside the sensor, or a polarity is neither 0 nor 1 (nor a
        bool). The message names the first row at fault.

    Notes
    -----
    A column with the right dtype is kept as a read-only view of the caller's array, which does
    not change. Any other column is copied.

    Examples
    --------
    >>> events = Events([0, 5, 5], [1, 2, 0], [0, 0, 3], [1, 0, 1], Sensor(4, 3))
    >>> len(events), events[1:].t.tolist(), events.t_stop_us
    (3, [5, 5], 6)
    """

    t: Int64Array
    x: UInt16Array
    y: UInt16Array
    p: UInt8Array
    sensor: Sensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "sensor", Sensor.checked(*self.sensor))
        size = np.shape(self.t)
        columns = (
            ("t", np.int64, None, "iu"),
            ("x", np.uint16, self.sensor.width, "iu"),
            ("y", np.uint16, self.sensor.height, "iu"),
            ("p", np.uint8, 2, "iub"),
        )
        for name, dtype, limit, kinds in columns:
            given = np.asarray(getattr(self, name))
            if given.ndim != 1 or given.shape != size:
                raise EventsError(
                    f"column {name} has shape {given.shape}, t has {size}; "
                    "one dimension and equal lengths are expected"
                )
            if given.dtype.kind not in kinds:
                if given.size:
                    raise EventsError(f"column {name} is {given.dtype}; whole numbers are expected")
                given = given.astype(dtype)
            if limit is not None and given.dtype.kind != "b":
                bad = given >= limit
                if given.dtype.kind == "i":
                    bad |= given < 0
                if bad.any():
                    row = int(np.argmax(bad))
                    raise EventsError(
                        f"{name}={given[row]} is not within [0, {limit})", place=f"row {row}"
                    )
            elif given.dtype.kind == "u" and given.size and given.max() > _LAST_STAMP:
                row = int(np.argmax(given > _LAST_STAMP))
                raise EventsError(f"{name}={given[row]} is beyond int64", place=f"row {row}")
            object.__setattr__(self, name, frozen(given, dtype))
        back = self.t[1:] < self.t[:-1]
        if back.any():
            row = int(np.argmax(back)) + 1
            raise EventsError(
                f"t={self.t[row]} is before t={self.t[row - 1]} of the previous row",
                place=f"row {row}",
            )

    @classmethod
    def trusted(
        cls,
        t: Int64Array,
        x: UInt16Array,
        y: UInt16Array,
        p: UInt8Array,
        sensor: Sensor,
    ) -> Events:
        """Wrap columns that have these dtypes and were checked elsewhere."""
        views = [column.view() for column in (t, x, y, p)]
        for view in views:
            view.flags.writeable = False
        return cls._of(*views, sensor)

    @classmethod
    def _of(cls, *fields: object) -> Events:
        """Wrap columns that are read-only, and the sensor."""
        events = object.__new__(cls)
        for name, value in zip(("t", "x", "y", "p", "sensor"), fields, strict=True):
            object.__setattr__(events, name, value)
        return events

    @classmethod
    def empty(cls, sensor: Sensor) -> Events:
        """Return no events, for a sensor."""
        none = np.empty(0, dtype=np.int64)
        return cls.trusted(
            none, none.astype(np.uint16), none.astype(np.uint16), none.astype(np.uint8), sensor
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Events], sensor: Sensor) -> Events:
        """Join parts of one sensor that follow each other in time, and check the result."""
        listed = list(parts)
        if not listed:
            return cls.empty(Sensor.checked(*sensor))
        for k, part in enumerate(listed):
            if part.sensor != sensor:
                raise EventsError(f"is for {part.sensor}; {sensor} is expected", place=f"part {k}")
        t, x, y, p = (np.concatenate([getattr(part, name) for part in listed]) for name in "txyp")
        return cls(t, x, y, p, sensor)

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_]) -> Events:
        """Return a slice (a view) or the rows of a mask (a copy), in the same order."""
        if isinstance(rows, slice):
            if (rows.step or 1) < 0:
                raise EventsError("a slice with a negative step would put events out of order")
            # Slices of read-only arrays are read-only; views of them would take twice as long.
            return Events._of(self.t[rows], self.x[rows], self.y[rows], self.p[rows], self.sensor)
        if np.asarray(rows).dtype != np.bool_:
            raise EventsError(
                f"rows must be chosen by a slice or a mask, which keep their order; got {rows!r}"
            )
        return Events.trusted(self.t[rows], self.x[rows], self.y[rows], self.p[rows], self.sensor)

    @property
    def t_stop_us(self) -> int:
        """Last timestamp + 1, in µs since `t_offset`; 0 if there are no events."""
        return int(self.t[-1]) + 1 if len(self) else 0


class Waiting:
    """Events that come in pieces of any size and go in pieces of a wanted number of rows.

    Attributes
    ----------
    rows : how many events wait.

    Examples
    --------
    >>> waiting = Waiting()
    >>> for t in (0, 3, 7):
    ...     waiting.add(Events([t], [0], [0], [1], Sensor(1, 1)))
    >>> [piece.t.tolist() for piece in waiting.take(2)], waiting.rows
    ([[0], [3]], 1)
    """

    def __init__(self) -> None:
        self._pieces: deque[Events] = deque()
        self.rows = 0

    def add(self, events: Events) -> None:
        """Add the next events."""
        self._pieces.append(events)
        self.rows += len(events)

    def take(self, rows: int) -> list[Events]:
        """Return the first rows, of at least as many, in the pieces that they came in: views."""
        self.rows -= rows
        taken: list[Events] = []
        while rows:
            first = self._pieces.popleft()
            if len(first) > rows:
                self._pieces.appendleft(first[rows:])
                first = first[:rows]
            taken.append(first)
            rows -= len(first)
        return taken


def in_parts(pieces: Iterable[Events], rows: int) -> Generator[Events, None, None]:
    """Yield the events of pieces that follow each other, `rows` at a time; fewer at the end."""
    waiting = Waiting()
    for piece in pieces:
        waiting.add(piece)
        while waiting.rows >= rows:
            yield _joined(waiting.take(rows))
    if waiting.rows:
        yield _joined(waiting.take(waiting.rows))


def _joined(parts: list[Events]) -> Events:
    """Return parts that follow each other as one; they were checked before."""
    if len(parts) == 1:
        return parts[0]
    t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    return Events.trusted(t, x, y, p, parts[0].sensor)


@dataclass(frozen=True, eq=False, slots=True)
class Triggers:
    """Marks on the recording's time line: external signals, resets, frame signals.

    Parameters
    ----------
    t : (n,) int64, µs since `t_offset`; may be negative before the first event.
    edge : (n,) int8: 1 rising, 0 falling, −1 where the mark is not an edge.
    id : (n,) int16: channel or type, with the numbers of the recording's format.
    """

    t: Int64Array
    edge: npt.NDArray[np.int8]
    id: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True, eq=False, slots=True)
class Imu:
    """Samples of an inertial measurement unit.

    Parameters
    ----------
    t : (n,) int64, µs since `t_offset`; may be negative before the first event.
    accelerometer : (n, 3) float32, g.
    gyroscope : (n, 3) float32, degrees per second.
    magnetometer : (n, 3) float32, µT.
    temperature : (n,) float32, °C.
    """

    t: Int64Array
    accelerometer: npt.NDArray[np.float32]
    gyroscope: npt.NDArray[np.float32]
    magnetometer: npt.NDArray[np.float32]
    temperature: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True, eq=False, slots=True)
class FrameTimes:
    """When the frames of a frame sensor were exposed, one row per frame.

    Parameters
    ----------
    exposure_start_us, exposure_stop_us : (n,) int64, µs since `t_offset`; may be negative.
    """

    exposure_start_us: Int64Array
    exposure_stop_us: Int64Array

    def __len__(self) -> int:
        return len(self.exposure_start_us)


Batch = Events | Triggers | Imu | FrameTimes
