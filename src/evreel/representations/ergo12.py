"""The twelve channels that were found best for detection: ERGO-12."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation, Window
from evreel.representations.channels import Channel, Holds, Legend

_HOLDS: tuple[Holds, ...] = (
    *("both", "OFF", "OFF", "both", "ON", "both"),
    *("ON", "OFF", "OFF", "ON", "both", "both"),
)
"""Events of which polarity each channel holds."""
_SIGNED = 3


@dataclass(frozen=True)
class Ergo12(Representation):
    """ERGO-12: twelve combinations of a part of the window, what is measured, how it is summed up.

    The seven parts of a window of N events, numbered from 0, are: part 0, all; parts 1, 2 and 3,
    the first, second and third ⌊N/3⌋; part 4, all from number h = ⌊N/2⌋ on; part 5, all from
    h + q on, with q = ⌊h/2⌋; and part 6, all from h + q + ⌊q/2⌋ on.

    | channel | part | measure | summary |
    |---|---|---|---|
    | 0 | 0 | polarity | variance |
    | 1 | 3 | time of OFF events | variance |
    | 2 | 2 | number of OFF events | mean |
    | 3 | 6 | polarity | sum |
    | 4 | 5 | number of ON events | mean |
    | 5 | 6 | number of events | sum |
    | 6 | 2 | time of ON events | mean |
    | 7 | 5 | number of OFF events | mean |
    | 8 | 1 | time of OFF events | maximum |
    | 9 | 0 | time of ON events | maximum |
    | 10 | 4 | time | maximum |
    | 11 | 1 | number of events | mean |

    A polarity is −1 or 1; a time is (t − t_first)/(t_last − t_first), 0 to 1 over the window's
    events, and 0 if all are at one time; each event counts 1, so that the mean of a number is 1
    where there is any event. A pixel without such events is 0. A variance is that of the events
    themselves, the mean of squares less the square of the mean.

    Notes
    -----
    These are the twelve of the paper's second search, which its code takes by default. Means and
    variances are summed up in float64, as there, and are float32 in the end. Where all events are
    at one time, its code has NaN; here a time is 0 then. Counts are exact up to 16,777,216.

    References
    ----------
    Zubić et al., "From chaos comes order: ordering event representations for object recognition
    and detection", ICCV 2023, arXiv:2304.13455, and its code,
    https://github.com/uzh-rpg/event_representation_study.

    Examples
    --------
    Six events in one pixel. Part 2 is an OFF and an ON event, the latter at 6/10 of the time; part
    6 is the last two, both ON: h = 3, q = 1.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 4, 6, 9, 10], [0] * 6, [0] * 6, [0, 1, 0, 1, 1, 1], Sensor(1, 1))
    >>> (frame,) = tensor(Ergo12(), events, Count(6).plan(6, lambda rows: events.t[rows]))
    >>> frame[:, 0, 0].astype(float).round(3).tolist()
    [0.889, 0.0, 1.0, 2.0, 1.0, 2.0, 0.6, 0.0, 0.0, 1.0, 1.0, 1.0]
    """

    name: ClassVar[str] = "ergo12"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Zubić et al. 2023, arXiv:2304.13455"
    unit: ClassVar[str] = "1"

    @property
    def channels(self) -> int:
        """Twelve."""
        return 12

    @property
    def legend(self) -> Legend:
        """What the table says; the sum of polarities alone has a sign."""
        return tuple(Channel(holds, k, k == _SIGNED) for k, holds in enumerate(_HOLDS))

    @property
    def dtype(self) -> str:
        """float32."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what measures and counts, with its own frame."""
        return _Twelve(self, sensor, repairs)


class _Twelve(Accumulator):
    def __init__(self, ergo12: Ergo12, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.ergo12 import add_twelve, finish_twelve

        super().__init__(ergo12, sensor, repairs)
        self._counts = np.zeros((4, *self.sensor), dtype=np.int32)
        self._sums = np.zeros((3, *self.sensor))
        self._number = 0
        self._add, self._finish = add_twelve, finish_twelve

    def begin(self, window: Window) -> None:
        super().begin(window)
        self._counts.fill(0)
        self._sums.fill(0)
        self._number = 0

    def accumulate(self, events: Events) -> None:
        window = self.window
        span = window.last_us - window.first_us
        columns = (events.t, events.x, events.y, events.p)
        part = (self._number, window.n, window.first_us, span)
        self._add(*columns, *part, self.frame, self._counts, self._sums)
        self._number += len(events)

    def finish(self) -> Frame:
        self._finish(self.frame, self._counts, self._sums)
        return super().finish()
