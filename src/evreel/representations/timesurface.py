"""Metavision's ``timesurface``: when each pixel's last event was, within the window."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, OfPolarities, Representation
from evreel.settings import setting


@dataclass(frozen=True)
class Timesurface(OfPolarities):
    """Metavision's ``timesurface``: (t − start) / duration of each pixel's last event.

    Channel 0 is of OFF events, channel 1 of ON events. Of several events the last one counts, also
    if they have the same timestamp. A pixel without events is 0, as is one with an event at the
    window's very start. Windows of a number of events last from the first event to the last one +
    1 µs, so that the newest event is in its frame, and equal timestamps divide by 1.

    Parameters
    ----------
    normed
        Whether times are shares of the window's duration, from 0 to below 1 (rounded to float32,
        to 1 at most); if not, they are µs.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([0, 2, 3], [0, 1, 1], [0, 0, 0], [1, 1, 1], Sensor(1, 2))
    >>> windows = Duration(4).plan(4, lambda at: events.t.searchsorted(at))
    >>> tensor(Timesurface(), events, windows)[:, 1].tolist()
    [[[0.0, 0.75]]]
    """

    name: ClassVar[str] = "timesurface"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: timesurface"
    unit: ClassVar[str] = "share of the window's duration, or µs"

    normed: bool = setting(
        True, "Whether times are shares of the window's duration; if not, they are µs."
    )

    @property
    def dtype(self) -> str:
        """float32."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what keeps times, with its own frame."""
        return Times(self, sensor, repairs, bins=1, normed=self.normed)


class Times(Accumulator):
    """Keeps the time of each pixel's last event in each of some bins of a window."""

    def __init__(
        self,
        representation: Representation,
        sensor: Sensor,
        repairs: MutableMapping[str, int],
        *,
        bins: int,
        normed: bool,
    ) -> None:
        from evreel.kernels.metavision import set_times

        super().__init__(representation, sensor, repairs)
        self._bins, self._normed = bins, normed
        self._set = set_times

    def accumulate(self, events: Events) -> None:
        """Set the pixels of some events."""
        start = self.window.start_us
        span = self.window.stop_us - start
        divisor = span if self._normed else self._bins
        self._set(events.t, events.x, events.y, events.p, start, span, divisor, self.frame)
