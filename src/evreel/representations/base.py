"""What a representation is.

A `Representation` is a name and its parameters. Its `Accumulator` holds one frame, which is
cleared for each window, filled piece by piece as events are read, and passed on. Reusing it takes
a third to a fifth of the time of a tensor of all windows, and memory does not grow with the
recording.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.representations.channels import Legend, pairs, probed
from evreel.settings import Settings, setting, settings_of

Frame = npt.NDArray[Any]
Viz = Callable[[Frame], Frame]
"""Function of a frame, (C, H, W) → a picture of it, (H, W, 3) uint8: red, green, blue."""


class Window(NamedTuple):
    """What an accumulator knows about a window before its first event.

    Parameters
    ----------
    number : position among the windows of the run.
    start_us, stop_us : edges, µs since `t_offset`; stop is exclusive.
    first_us, last_us : timestamps of its first and last event; both `start_us` if it is empty.
    n : number of its events.
    since_us : the oldest time that its frame may depend on: `start_us` less the representation's
        `history`, but not before its recording or sample begins.
    """

    number: int
    start_us: int
    stop_us: int
    first_us: int
    last_us: int
    n: int
    since_us: int

    def covered(self, span: str) -> tuple[int, int]:
        """Return from when to when bins go, as `span_setting` says it."""
        if span == "window":
            return self.start_us, self.stop_us
        return self.first_us, self.last_us


def span_setting() -> Any:
    """Return the field of `span`, which representations with temporal bins have."""
    return setting(
        "events",
        "What the bins cover: first to last event ('events'), or the whole window ('window').",
        choices=("events", "window"),
    )


class Accumulator(ABC):
    """One run of a representation: a frame that is reused window by window.

    Call `begin`, then `add` for each piece of the window's events in order, then `finish`. A
    subclass defines `accumulate`, and extends `begin` and `finish` if setting the frame to zeros
    is not enough.

    If a frame depends on events before its window too (`Representation.history`), a subclass
    `carries` what it knows from window to window. It is given each event once, also those between
    windows; `finish` leaves out what is older than ``window.since_us``, so that a frame is the same
    wherever a run began; and `reset` is called where windows go back.

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
    weight : what an event adds, where what it adds is not a whole number: less than 1 if pixels
        were brought together; set before the first window.
    carries : whether `begin` keeps what is known of earlier events.
    alone : whether it runs in the calling thread only; others run in several at a time.
    """

    carries: bool = False
    alone: bool = False
    window: Window
    weight: float = 1.0

    def __init__(
        self, representation: Representation, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        self.name = representation.name
        self.sensor = Sensor.checked(*sensor)
        self.repairs = repairs
        self.frame: Frame = np.zeros(representation.shape(self.sensor), representation.dtype)
        self._bytes = self.frame.reshape(-1).view(np.uint8)  # numpy sets bytes to zero the fastest
        self._finished = self.frame.view()
        self._finished.flags.writeable = False

    def begin(self, window: Window) -> None:
        """Start a window, with a frame of zeros unless events are carried over.

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
        if not self.carries:
            self.clear()

    def clear(self) -> None:
        """Set the frame to zeros, for a window's first events."""
        self._bytes.fill(0)

    def reset(self) -> None:
        """Forget all events; only called of what carries them from window to window."""
        self._bytes.fill(0)

    def add(self, events: Events) -> None:
        """Add the next piece of the window's events, or of those before it.

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
        earliest = self.window.since_us if self.carries else self.window.first_us
        if first < earliest or last > self.window.last_us:
            raise EventsError(
                f"events from {first} to {last} µs are not within its first and last timestamps, "
                f"{earliest} and {self.window.last_us}",
                place=f"window {self.window.number}",
            )
        self.accumulate(events)

    @abstractmethod
    def accumulate(self, events: Events) -> None:
        """Add one or more events, already checked to be of this window and this sensor."""

    def finish(self) -> Frame:
        """Return the finished frame, read-only, valid until the next `begin`."""
        return self._finished


class Gathering(Accumulator):
    """Keeps the pieces of a window, for what is computed of all of them at its end.

    A subclass defines `finish`, which begins with `taken`.
    """

    def __init__(
        self, representation: Representation, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        super().__init__(representation, sensor, repairs)
        self._pieces: list[Events] = []

    def begin(self, window: Window) -> None:
        """Start a window, without any piece."""
        super().begin(window)
        self._pieces = []

    def accumulate(self, events: Events) -> None:
        """Keep a piece."""
        self._pieces.append(events)

    def taken(self) -> list[Events]:
        """Return the pieces, and hold them no longer."""
        pieces, self._pieces = self._pieces, []
        return pieces


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
    viz
        How a frame is shown, if not as `evreel.viz` does it for all.
    sources
        Digests of the files that define it, where it is a user's own: role → ``sha256:…``.

    Raises
    ------
    ParameterError
        If a parameter has the wrong type or is out of range.
    """

    name: ClassVar[str]
    revision: ClassVar[int]
    reference: ClassVar[str]
    unit: ClassVar[str]
    viz: ClassVar[Viz | None] = None
    sources: ClassVar[Mapping[str, str]] = MappingProxyType({})

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
        """What each channel holds, for whoever shows a frame; if not overridden, a trial tells."""
        return probed(self)

    @property
    def history(self) -> int | None:
        """How far before its window a frame looks, µs; None: as far as there are events.

        0, the window's own events, unless a subclass says otherwise.
        """
        return 0

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of a frame for a sensor."""
        height, width = sensor
        return self.channels, height, width

    @abstractmethod
    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what computes it, with its own frame and the counts that it increases."""


class OfPolarities(Representation):
    """A representation with one channel per polarity."""

    @property
    def channels(self) -> int:
        """One per polarity: OFF, ON."""
        return 2

    @property
    def legend(self) -> Legend:
        """OFF, ON."""
        return pairs()


FACTS = ("name", "revision", "reference", "unit")
"""What a class of representations says of itself."""

RESERVED = (*FACTS, *(name for name in dir(Representation) if not name.startswith("_")))
"""Names that no parameter can have."""
