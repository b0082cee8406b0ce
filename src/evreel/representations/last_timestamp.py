"""How long ago the last event of each pixel was, in whole microseconds."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Sensor
from evreel.representations.base import Accumulator, Frame, OfPolarities
from evreel.representations.channels import Legend, pairs
from evreel.representations.stamps import OfStamps, StampsAccumulator, history_setting

UNSEEN = -1
"""The age of a pixel without an event."""


@dataclass(frozen=True)
class LastTimestamp(OfStamps, OfPolarities):
    """Age of the last event of each pixel at the window's stop, channel 0 OFF and channel 1 ON.

    The age is ``stop_us − t_last`` in whole µs, 1 or more, so that ``stop_us`` less a value is the
    timestamp itself, at any time of a recording. A pixel without an event is −1.

    Parameters
    ----------
    history_us
        How far before the window's start an event may be to count; 0 for the window's own events
        alone.

    References
    ----------
    Benosman et al., "Event-based visual flow", IEEE TNNLS 25(2), 2014,
    doi:10.1109/TNNLS.2013.2273537: the surface of active events.

    Examples
    --------
    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([0, 6, 12], [0, 1, 1], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> windows = Duration(10).plan(20, events.t.searchsorted)
    >>> tensor(LastTimestamp(), events, windows).tolist()
    [[[[-1, -1]], [[10, 4]]], [[[-1, 8]], [[20, 14]]]]
    """

    name: ClassVar[str] = "last_timestamp"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Benosman et al. 2014, doi:10.1109/TNNLS.2013.2273537"
    unit: ClassVar[str] = "µs"

    history_us: int | None = history_setting()

    @property
    def legend(self) -> Legend:
        """OFF, ON."""
        return pairs(empty=UNSEEN)

    @property
    def dtype(self) -> str:
        """int64, which holds any age."""
        return "int64"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what carries the last timestamps, with its own frame."""
        return _Ages(self, sensor, repairs)


class _Ages(StampsAccumulator):
    def __init__(
        self, ages: LastTimestamp, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.surfaces import ages as fill

        super().__init__(ages, sensor, repairs)
        self._fill = fill

    def finish(self) -> Frame:
        newest, frame = self.newest.reshape(-1), self.frame.reshape(-1)
        self._fill(newest, self.now, self.since, UNSEEN, frame)
        return super().finish()
