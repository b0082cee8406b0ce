"""The newest timestamps of each pixel and polarity."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation, Window
from evreel.settings import setting
from evreel.timebase import FARTHEST, Int64Array

_NARROW = 1 << 31
_REACH = 1 << 30
_WIDE_NEVER = -(1 << 62)


def history_setting() -> Any:
    """Return the field of `history_us`, which such a representation has."""
    return setting(
        None,
        "How far before its window an event may be to count; null: as far as there are events.",
        unit="µs",
        minimum=0,
        maximum=FARTHEST,
    )


class OfStamps(Representation):
    """A representation of the newest timestamps; subclasses have the field `history_us`."""

    history_us: int | None

    @property
    def history(self) -> int | None:
        """`history_us`."""
        return self.history_us


class StampsAccumulator(Accumulator):
    """Knows the newest timestamps of each pixel and polarity.

    They are carried from window to window, unless the representation looks at a window's own events
    alone: those of another window may have its first timestamp.

    They are int32, relative to a base that moves on with time, if no age above 2³⁰ µs, 18 minutes,
    makes a difference; what is left behind then is as if never seen. Else they are int64, which
    takes 1.2 to 1.6 times as long. Ages are the same to the last bit, whatever the base.

    Parameters
    ----------
    representation, sensor, repairs
        As in `Accumulator`.
    reach_us
        Events of this age and older make no difference; None: all do.
    several
        How many timestamps of each pixel and polarity, newest first; None for the newest alone,
        without an axis of its own.

    Attributes
    ----------
    newest : (2, H, W) or (2, several, H, W), µs since `base`; `never` or less than `since` if
        there was no event.
    base : µs since `t_offset`.
    """

    def __init__(
        self,
        representation: Representation,
        sensor: Sensor,
        repairs: MutableMapping[str, int],
        reach_us: float | None = None,
        several: int | None = None,
    ) -> None:
        from evreel.kernels.surfaces import rebase, remember, remember_several

        super().__init__(representation, sensor, repairs)
        self.carries = representation.history != 0
        narrow = reach_us is not None and reach_us <= _REACH
        self.never = -_NARROW if narrow else _WIDE_NEVER
        each = () if several is None else (several,)
        self.newest = np.full(
            (2, *each, *self.sensor), self.never, dtype=np.int32 if narrow else np.int64
        )
        self.base = 0
        self._remember = remember if several is None else remember_several
        self._rebase = rebase

    @property
    def now(self) -> int:
        """The window's stop, relative to `base`."""
        return self.window.stop_us - self.base

    @property
    def since(self) -> int:
        """The oldest timestamp that the window's frame may depend on, relative to `base`."""
        return max(self.window.since_us - self.base, self.never + 1)

    def begin(self, window: Window) -> None:
        """Start a window, with no timestamps unless they are carried over."""
        super().begin(window)
        if not self.carries:
            self.newest.fill(self.never)

    def reset(self) -> None:
        """Forget all timestamps."""
        super().reset()
        self.newest.fill(self.never)

    def accumulate(self, events: Events) -> None:
        """Put the events' timestamps where they belong."""
        for rows in self._that_fit(events.t):
            part = events[rows]
            self._remember(part.t, part.x, part.y, part.p, self.base, self.newest)

    def _that_fit(self, t: Int64Array) -> Iterator[slice]:
        """Yield rows whose timestamps fit beside the base, which moves on before each."""
        if self.newest.dtype == np.int64:
            yield slice(0, len(t))
            return
        low = 0
        while low < len(t):
            first = int(t[low])
            if not 0 <= first - self.base < _NARROW:
                self._rebase(self.newest.reshape(-1), first - _REACH - self.base, self.never)
                self.base = first - _REACH
            high = int(np.searchsorted(t, self.base + _NARROW))
            yield slice(low, high)
            low = high
