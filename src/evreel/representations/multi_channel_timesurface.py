"""Metavision's ``multi_channel_timesurface``: a time surface for each part of the window."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Sensor
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import Legend, pairs
from evreel.representations.timesurface import Times
from evreel.settings import setting


@dataclass(frozen=True)
class MultiChannelTimesurface(Representation):
    """Metavision's ``multi_channel_timesurface``: the `timesurface` of each third of the window.

    The window is divided into B bins of equal duration, which need not be whole numbers of µs.
    Channel 2 b + p has, of the last event of polarity p in bin b, the time since the bin's start,
    as a share of the bin's duration. A pixel without events is 0.

    Parameters
    ----------
    num_utbins
        B.
    normed
        Whether times are shares of the bin's duration; if not, they are µs since its start.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    Bins of 4 µs: 6 µs is halfway through the second.

    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([3, 6, 11], [0, 0, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 1))
    >>> windows = Duration(12).plan(12, lambda at: events.t.searchsorted(at))
    >>> tensor(MultiChannelTimesurface(), events, windows).ravel().tolist()
    [0.0, 0.75, 0.0, 0.5, 0.75, 0.0]
    """

    name: ClassVar[str] = "multi_channel_timesurface"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: multi_channel_timesurface"
    unit: ClassVar[str] = "share of the bin's duration, or µs"

    num_utbins: int = setting(3, "Number of bins of a window.", minimum=1, maximum=1000)
    normed: bool = setting(
        True, "Whether times are shares of the bin's duration; if not, they are µs."
    )

    @property
    def channels(self) -> int:
        """Two per bin, OFF and ON, in order of time."""
        return 2 * self.num_utbins

    @property
    def legend(self) -> Legend:
        """OFF, ON of each bin."""
        return pairs(self.num_utbins)

    @property
    def dtype(self) -> str:
        """float32."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what keeps times, with its own frame."""
        return Times(self, sensor, repairs, bins=self.num_utbins, normed=self.normed)
