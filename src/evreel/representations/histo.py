"""Metavision's ``histo``: event counts by polarity and pixel, as shares of a largest count."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, OfPolarities
from evreel.settings import setting


@dataclass(frozen=True)
class Histo(OfPolarities):
    """Metavision's ``histo``: v = min(v + k, 1) for each event of a pixel, channel 0 OFF, 1 ON.

    k = 1 / `max_incr_per_pixel`, so that so many events fill a pixel. Sums are rounded to float32
    event by event, as Metavision's are. Where 2^d × 2^d pixels are brought together, an event
    adds k / 4^d.

    Parameters
    ----------
    max_incr_per_pixel
        Events that fill a pixel; None: one.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [1, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> histo = Histo(max_incr_per_pixel=4)
    >>> tensor(histo, events, Count(3).plan(3, lambda rows: events.t[rows])).tolist()
    [[[[0.25, 0.0]], [[0.0, 0.5]]]]
    """

    name: ClassVar[str] = "histo"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: histo"
    unit: ClassVar[str] = "1"

    max_incr_per_pixel: float | None = setting(5.0, "Events that fill a pixel; null: one.", above=0)

    @property
    def dtype(self) -> str:
        """float32, from 0 to 1."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up events, with its own frame."""
        return _Sums(self, sensor, repairs)


class _Sums(Accumulator):
    def __init__(self, histo: Histo, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.metavision import add_up_to_1

        super().__init__(histo, sensor, repairs)
        self._share = 1 / (histo.max_incr_per_pixel or 1)
        self._add = add_up_to_1

    def accumulate(self, events: Events) -> None:
        step = np.float32(self._share * self.weight)
        self._add(events.x, events.y, events.p, step, self.frame)
