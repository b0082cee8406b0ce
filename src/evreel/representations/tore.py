"""Time-ordered recent events: logarithms of the ages of each pixel's newest events."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Sensor
from evreel.representations.base import Accumulator, Frame
from evreel.representations.channels import Legend, pairs
from evreel.representations.stamps import OfStamps, StampsAccumulator, history_setting
from evreel.settings import setting

OLDEST_US = 500_000_000
"""The largest age, also that of an event that there is not."""

NEWEST_US = 150
"""Ages up to this are 0."""


@dataclass(frozen=True)
class Tore(OfStamps):
    """log(age + 1) − log(151) of the K newest events of each pixel, at least 0.

    The age is that at the window's stop, in µs, and at most 5·10⁸. A pixel that has fewer than K
    events has that age in place of each missing one: log(5·10⁸ + 1) − log(151) = 15.013. The value
    of an age up to 150 µs is 0.

    There are 2K channels: the K newest OFF events, newest first, then the K newest ON events.

    Parameters
    ----------
    newest
        K: how many events of each pixel and polarity.
    history_us
        How far before the window's start an event may be to count; 0 for the window's own events
        alone.

    Notes
    -----
    The logarithm is made of sums, products and one quotient of float64. A value differs from the
    exact one by half a float32 step and 1e-13, and is the same on every processor.

    References
    ----------
    Baldwin et al., "Time-ordered recent event (TORE) volumes for event cameras", IEEE TPAMI 45(2),
    2023, arXiv:2103.06108. It puts ON before OFF.

    Examples
    --------
    At 1000 µs the ages of the pixel's two ON events are 849 and 1000 µs.

    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([0, 151], [0, 0], [0, 0], [1, 1], Sensor(1, 1))
    >>> windows = Duration(1000).plan(1000, events.t.searchsorted)
    >>> tensor(Tore(newest=2), events, windows)[0, :, 0, 0].astype(float).round(3).tolist()
    [15.013, 15.013, 1.728, 1.891]
    """

    name: ClassVar[str] = "tore"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Baldwin et al. 2023, arXiv:2103.06108"
    unit: ClassVar[str] = "log(µs)"

    newest: int = setting(
        3, "How many of the newest events of each pixel and polarity.", minimum=1, maximum=100
    )
    history_us: int | None = history_setting()

    @property
    def channels(self) -> int:
        """K for OFF, newest first, then K for ON."""
        return 2 * self.newest

    @property
    def legend(self) -> Legend:
        """OFF of each of the newest, then ON."""
        unseen = float(np.float32(math.log((OLDEST_US + 1) / (NEWEST_US + 1))))
        return pairs(self.newest, polarity_major=True, empty=unseen)

    @property
    def dtype(self) -> str:
        """float32, 0 to 15.013."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what carries the newest timestamps, with its own frame."""
        return _Volume(self, sensor, repairs)


class _Volume(StampsAccumulator):
    def __init__(self, tore: Tore, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.surfaces import log, log_ages

        super().__init__(tore, sensor, repairs, reach_us=OLDEST_US, several=tore.newest)
        self._least = log(NEWEST_US + 1.0)
        self._log_ages = log_ages

    def finish(self) -> Frame:
        newest, frame = self.newest.reshape(-1), self.frame.reshape(-1)
        now, since = float(self.now), float(self.since)
        self._log_ages(newest, now, since, float(OLDEST_US), self._least, frame)
        return super().finish()
