"""Metavision's ``event_cube``: events in temporal bins, each shared between the two next to it."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import Legend, pairs, singles
from evreel.settings import setting


@dataclass(frozen=True)
class EventCube(Representation):
    r"""Metavision's ``event_cube``: events of each pixel and temporal bin, bilinear in time.

    The window has B bins of equal duration, and an event at t is at
    t* = B (t − start) / duration − 1/2, so that the middle of bin l is at l. With l = floor(t*), it
    adds k (1 − \|t* − l\|) to bin l and the rest of k to bin l + 1, where
    k = 1 / `max_incr_per_pixel`. What would go to bin −1 or to bin B is left out. A value stays
    within −1 and 1, event by event.

    Channel 2 b + p has the events of polarity p in bin b. With `split_polarity` false, channel b
    has both: ON events add, OFF events subtract. Shares are rounded to float32, and so is each sum.
    Where 2^d × 2^d pixels are brought together, an event adds k / 4^d.

    Parameters
    ----------
    max_incr_per_pixel
        Events that fill a pixel's bin; None: one.
    num_utbins
        B.
    split_polarity
        Whether each polarity has channels of its own.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html;
    after Zhu et al. 2019, arXiv:1812.08156.

    Examples
    --------
    Bins of 4 µs, the first one's middle at 2 µs: half of the event at 4 µs is in bin 0.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([2, 4, 9], [0, 0, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 1))
    >>> windows = Duration(12).plan(10, lambda at: events.t.searchsorted(at))
    >>> tensor(EventCube(max_incr_per_pixel=4), events, windows).ravel().tolist()
    [0.0, 0.375, 0.0625, 0.125, 0.1875, 0.0]
    """

    name: ClassVar[str] = "event_cube"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: event_cube"
    unit: ClassVar[str] = "1"

    max_incr_per_pixel: float | None = setting(
        5.0, "Events that fill a pixel's bin; null: one.", above=0
    )
    num_utbins: int = setting(3, "Number of temporal bins.", minimum=1, maximum=1000)
    split_polarity: bool = setting(True, "Whether each polarity has channels of its own.")

    @property
    def channels(self) -> int:
        """Two per bin, OFF and ON, in order of time; one without `split_polarity`."""
        return self.num_utbins * (2 if self.split_polarity else 1)

    @property
    def legend(self) -> Legend:
        """OFF, ON of each bin; or polarities of each, added up."""
        return (
            pairs(self.num_utbins) if self.split_polarity else singles(self.num_utbins, signed=True)
        )

    @property
    def dtype(self) -> str:
        """float32, from 0 to 1; from −1 without `split_polarity`."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what shares out events, with its own frame."""
        return _Cube(self, sensor, repairs)


class _Cube(Accumulator):
    def __init__(self, cube: EventCube, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.metavision import add_to_cube

        super().__init__(cube, sensor, repairs)
        self._share = 1 / (cube.max_incr_per_pixel or 1)
        self._split = cube.split_polarity
        self._add = add_to_cube

    def accumulate(self, events: Events) -> None:
        start = self.window.start_us
        span, step = self.window.stop_us - start, self._share * self.weight
        columns = (events.t, events.x, events.y, events.p)
        self._add(*columns, start, span, step, self._split, self.frame)
