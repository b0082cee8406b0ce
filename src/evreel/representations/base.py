"""What a representation is, and the one driver that runs it over windows.

A `Representation` is a name and its parameters. Its `Accumulator` holds one frame, which is
cleared for each window, filled piece by piece as events are read, and passed on. Reusing it takes
a third to a fifth of the time of a tensor of all windows, and memory does not grow with the
recording. Files and loaders run the same driver, `frames`, so what is computed on the fly equals
what a file holds, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.representations.channels import Legend, guessed
from evreel.settings import Settings, settings_of
from evreel.windows import Windows

Frame = npt.NDArray[Any]
Read = Callable[[int, int], Events]
"""Function of (start, stop) rows → the events of rows ``[start, stop)``."""

READ_ROWS = 1 << 20
"""Most rows that `frames` holds at a time: 13 MB of events."""


class Window(NamedTuple):
    """What an accumulator knows about a window before its first event.

    Parameters
    ----------
    number : position among the windows of the run.
    start_us, stop_us : edges, µs since `t_offset`; stop is exclusive.
    first_us, last_us : timestamps of its first and last event; both `start_us` if it is empty.
    n : number of its events.
    """

    number: int
    start_us: int
    stop_us: int
    first_us: int
    last_us: int
    n: int


class Accumulator(ABC):
    """One run of a representation: a frame that is reused window by window.

    Call `begin`, then `add` for each piece of the window's events in order, then `finish`. A
    subclass defines `accumulate`, and extends `begin` and `finish` if setting the frame to zeros
    is not enough.

    Parameters
    ----------
    representation
        What to compute.
    sensor
        (height, width) of the events to come.
    repairs
        Counts of what was changed, by name; increased here.

    Attributes
    ----------
    frame : (C, H, W), the current frame.
    window : the current window.
    """

    window: Window

    def __init__(
        self, representation: Representation, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        self.name = representation.name
        self.sensor = Sensor.checked(*sensor)
        self.repairs = repairs
        self.frame: Frame = np.zeros(representation.shape(self.sensor), representation.dtype)
        self._finished = self.frame.view()
        self._finished.flags.writeable = False

    def begin(self, window: Window) -> None:
        """Clear the frame for a window.

        Raises
        ------
        EventsError
            If the window's events are not within its edges.
        """
        if window.n and not window.start_us <= window.first_us <= window.last_us < window.stop_us:
            raise EventsError(
                f"its events run from {window.first_us} to {window.last_us} µs, but its edges are "
                f"[{window.start_us}, {window.stop_us})",
                place=f"window {window.number}",
                hint="Windows and events must be of the same recording.",
            )
        self.window = window
        self.frame.fill(0)

    def add(self, events: Events) -> None:
        """Add the next piece of the window's events.

        Raises
        ------
        EventsError
            If they are from another sensor, or not within the window.
        """
        if events.sensor != self.sensor:
            raise EventsError(
                f"events of {events.sensor} cannot go into a frame for {self.sensor}",
                place=f"window {self.window.number}",
            )
        if not len(events):
            return
        first, last = int(events.t[0]), int(events.t[-1])
        if first < self.window.first_us or last > self.window.last_us:
            raise EventsError(
                f"events from {first} to {last} µs are not within its first and last timestamps, "
                f"{self.window.first_us} and {self.window.last_us}",
                place=f"window {self.window.number}",
            )
        self.accumulate(events)

    @abstractmethod
    def accumulate(self, events: Events) -> None:
        """Add one or more events, already checked to be this window's and this sensor's."""

    def finish(self) -> Frame:
        """Return the finished frame, read-only, valid until the next `begin`."""
        return self._finished


class Representation(Settings, ABC):
    """A kind of frame made from a window's events. Subclasses are frozen data classes.

    The fields of a subclass are its parameters; `evreel.settings.setting` gives each a default, a
    meaning and a range. Values are checked on construction.

    Attributes
    ----------
    name
        Its name in configs and files.
    revision
        Raised whenever its values change.
    reference
        Where it is defined.
    unit
        Unit of a value.

    Raises
    ------
    ParameterError
        If a parameter has the wrong type or is out of range.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    reference: ClassVar[str]
    unit: ClassVar[str]

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ParameterError as error:
            raise ParameterError(error.problem, place=self.name, hint=error.hint) from error
        for name, known in settings_of(type(self)).items():
            if known.type.base is float and isinstance(self.__dict__[name], int):
                self.__dict__[name] = float(self.__dict__[name])

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter by name, including defaults, as plain JSON values."""
        return self.plain()

    @property
    def description(self) -> dict[str, Any]:
        """What a features file says about it, as keywords of `FeaturesWriter`."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "revision": self.revision,
            "reference": self.reference,
            "unit": self.unit,
            "dtype": self.dtype,
        }

    @property
    @abstractmethod
    def channels(self) -> int:
        """Number of channels of a frame."""

    @property
    @abstractmethod
    def dtype(self) -> str:
        """Name of the numpy type of a value, such as ``float32``."""

    @property
    def legend(self) -> Legend:
        """What each channel holds, for whoever shows a frame; a guess unless a subclass says it."""
        return guessed(self.channels, self.dtype, self.parameters)

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of a frame for a sensor."""
        height, width = sensor
        return self.channels, height, width

    @abstractmethod
    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what computes it, with its own frame and the counts that it increases."""


def frames(
    representation: Representation,
    read: Read,
    windows: Windows,
    sensor: Sensor,
    *,
    rows: int = READ_ROWS,
    repairs: MutableMapping[str, int] | None = None,
) -> Iterator[Frame]:
    """Yield the frame of each window: one array, which is filled again for the next.

    Copy a frame (``frame.copy()``) to keep it beyond the next step of the loop.

    Parameters
    ----------
    representation
        What to compute.
    read
        Function of (start, stop) rows → their events, such as `EventsStore.read`. Neighbouring
        and overlapping windows are read together, `rows` at a time.
    windows
        Which rows make which frame.
    sensor
        (height, width) of the events.
    rows
        Most rows held at a time; the frames do not depend on it.
    repairs
        Counts of what was changed, by name; increased as frames are made. A zero says that
        there was nothing to change.

    Yields
    ------
    (C, H, W), read-only, valid until the next one.

    Raises
    ------
    EventsError
        If `read` returns other rows than asked for.

    Examples
    --------
    >>> from evreel.representations import Histogram
    >>> from evreel.windows import Duration
    >>> events = Events([0, 4, 12], [0, 0, 1], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> windows = Duration(10).plan(13, lambda at: np.searchsorted(events.t, at))
    >>> [f.tolist() for f in frames(Histogram(), lambda a, b: events[a:b], windows, Sensor(1, 2))]
    [[[[0, 0]], [[2, 0]]], [[[0, 1]], [[0, 0]]]]
    """
    accumulator = representation.accumulator(sensor, {} if repairs is None else repairs)
    source = _ReadAhead(read, windows, rows)
    for k in range(len(windows)):
        start, stop = source.start[k], source.stop[k]
        first_us = last_us = start_us = int(windows.start_us[k])
        if start < stop:
            if stop - start <= rows:
                source.hold(k)
            first_us = int(source.rows(k, start, start + 1).t[0])
            last_us = int(source.rows(k, stop - 1, stop).t[0])
        n, stop_us = stop - start, int(windows.stop_us[k])
        accumulator.begin(Window(k, start_us, stop_us, first_us, last_us, n))
        for low in range(start, stop, rows):
            accumulator.add(source.rows(k, low, min(low + rows, stop)))
        yield accumulator.finish()


def tensor(
    representation: Representation,
    events: Events,
    windows: Windows,
    repairs: MutableMapping[str, int] | None = None,
) -> Frame:
    """Return the frames of all windows of events in memory, (N, C, H, W).

    Parameters
    ----------
    representation
        What to compute.
    events
        The windows' rows count from its first event.
    windows
        Which rows make which frame.
    repairs
        As in `frames`.
    """
    shape = (len(windows), *representation.shape(events.sensor))
    made = np.empty(shape, dtype=representation.dtype)

    def read(start: int, stop: int) -> Events:
        return events[start:stop]

    source = frames(representation, read, windows, events.sensor, repairs=repairs)
    for k, frame in enumerate(source):
        made[k] = frame
    return made


class _ReadAhead:
    """Rows of events, read once for many windows that are close together."""

    def __init__(self, read: Read, windows: Windows, rows: int) -> None:
        if rows < 1:
            raise ParameterError(f"rows={rows} is not at least 1")
        self._read = read
        self._most = rows
        # A gap between windows is read too if that costs less than another read: a sixteenth of
        # what is held is one chunk of an events store.
        self._gap = rows // 16
        self._held: Events | None = None
        self._low = self._high = 0
        # Views whose items are Python's whole numbers: lists of them take 80 bytes per window.
        self.start: memoryview = windows.start.data
        self.stop: memoryview = windows.stop.data

    def hold(self, k: int) -> None:
        """Hold window k, and as many of the windows after it as fit."""
        low, high = self.start[k], self.stop[k]
        if self._low <= low and high <= self._high:
            return
        for following in range(k + 1, len(self.start)):
            start, stop = self.start[following], self.stop[following]
            if start < low or start > high + self._gap or stop - low > self._most:
                break
            high = max(high, stop)
        self._held = None  # freed before the next piece is read: one is held, never two
        self._held = self._checked(k, low, high)
        self._low, self._high = low, high

    def rows(self, k: int, start: int, stop: int) -> Events:
        """Return rows ``[start, stop)`` for window k: a view if they are held."""
        if self._held is not None and self._low <= start and stop <= self._high:
            return self._held[start - self._low : stop - self._low]
        return self._checked(k, start, stop)

    def _checked(self, k: int, start: int, stop: int) -> Events:
        events = self._read(start, stop)
        if len(events) != stop - start:
            raise EventsError(
                f"of rows [{start}, {stop}), the recording returned {len(events)}",
                place=f"window {k}",
                hint="Windows and events must be of the same recording.",
            )
        return events
