"""Event counts by polarity and pixel."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, OfPolarities
from evreel.settings import setting

LOST = "histogram_increments_lost"
WHOLE_DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Histogram(OfPolarities):
    """Number of a window's events in each pixel, channel 0 OFF and channel 1 ON.

    A count never wraps. If a count exceeds the largest value of `dtype`, that is an error. With
    `saturate`, it stays at the largest instead, and ``histogram_increments_lost`` in `repairs`
    says how many events were left out.

    Parameters
    ----------
    dtype
        ``uint8`` counts to 255, ``int8`` to 127, ``uint16`` to 65,535, ``int16`` to 32,767, and
        so on.
    saturate
        Whether a full count stays full, instead of an error.

    Notes
    -----
    SpikingJelly's frames and Tonic's `ToFrame` are these counts, as float32 and int16, over
    windows that each divides in its own way.

    References
    ----------
    Maqueda et al., "Event-based vision meets deep learning on steering prediction for
    self-driving cars", CVPR 2018, arXiv:1804.01310: one histogram per polarity.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [1, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> tensor(Histogram(), events, Count(3).plan(3, lambda rows: events.t[rows])).tolist()
    [[[[1, 0]], [[0, 2]]]]
    """

    name: ClassVar[str] = "histogram"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Maqueda et al. 2018, arXiv:1804.01310"
    unit: ClassVar[str] = "events"

    dtype: str = setting("uint16", "Type of a count.", choices=WHOLE_DTYPES)
    saturate: bool = setting(False, "Whether a full count stays full; if false, it is an error.")

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what counts, with its own frame."""
        return _Counts(self, sensor, repairs)


class _Counts(Accumulator):
    def __init__(
        self, histogram: Histogram, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.histogram import count, count_saturating

        super().__init__(histogram, sensor, repairs)
        self._most = self.frame.dtype.type(np.iinfo(histogram.dtype).max)
        self._saturate = histogram.saturate
        self._count, self._count_saturating = count, count_saturating
        if self._saturate:
            repairs[LOST] = repairs.get(LOST, 0)

    def accumulate(self, events: Events) -> None:
        columns = (events.x, events.y, events.p, self._most, self.frame)
        if self._saturate:
            self.repairs[LOST] += self._count_saturating(*columns)
            return
        row = self._count(*columns)
        if row < len(events):
            channel = "ON" if events.p[row] else "OFF"
            raise ParameterError(
                f"pixel x={events.x[row]}, y={events.y[row]} counts {int(self._most) + 1} "
                f"{channel} events by {events.t[row]} µs, but {self.frame.dtype} holds at most "
                f"{self._most}",
                place=f"{self.name}, window {self.window.number}",
                hint="Choose a wider dtype, shorter windows, or saturate: true.",
            )
