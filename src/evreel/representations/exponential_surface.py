"""Time surface: how recent the last event of each pixel is, fading exponentially."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Sensor
from evreel.representations.base import Accumulator, Frame, OfPolarities
from evreel.representations.stamps import OfStamps, StampsAccumulator, history_setting
from evreel.settings import setting

_FADED = 88
"""Time constants after which a surface is 0: e⁻⁸⁸ is below the smallest normal float32."""


@dataclass(frozen=True)
class ExponentialSurface(OfStamps, OfPolarities):
    """exp(−(t_ref − t_last)/τ) for each pixel, channel 0 OFF and channel 1 ON.

    t_ref is the window's stop, t_last the last timestamp of the pixel and polarity before it. A
    pixel without an event is 0. By default t_last may be as old as the recording, or as the
    sample: a surface fades from window to window, and does not begin anew with each.

    Parameters
    ----------
    tau_us
        τ: time in which a value falls to 1/e.
    history_us
        How far before the window's start an event may be to count; 0 for the window's own events
        alone.

    Notes
    -----
    A value differs from the exact one by half a float32 step and 1e-12 of itself: by 3e-8 at most.
    Below 2⁻¹²⁶, after 87 τ, it is 0. Each frame is computed anew from whole microseconds, by sums
    and products alone: it is the same on every processor, and wherever a run began.

    On windows of duration `dt` from the first event on, these are the values of Tonic's
    ToTimesurface and of evlib's time surface, which are float64 and end with the last whole window.

    References
    ----------
    Lagorce et al., "HOTS: a hierarchy of event-based time-surfaces for pattern recognition", IEEE
    TPAMI 39(7), 2017, doi:10.1109/TPAMI.2016.2574707.

    Examples
    --------
    At 10 µs, the pixel's ON event at 6 µs is 4 µs old: e⁻⁴ᐟ² for τ = 2 µs.

    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Duration
    >>> events = Events([0, 6, 12], [0, 0, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 1))
    >>> windows = Duration(10).plan(20, events.t.searchsorted)
    >>> first, second = tensor(ExponentialSurface(tau_us=2), events, windows)
    >>> f"{first[0, 0, 0]:.4f} {first[1, 0, 0]:.4f}"
    '0.0000 0.1353'
    """

    name: ClassVar[str] = "exponential_surface"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Lagorce et al. 2017, doi:10.1109/TPAMI.2016.2574707"
    unit: ClassVar[str] = "1"

    tau_us: float = setting(
        50_000.0, "Time in which a value falls to 1/e.", unit="µs", minimum=1e-3, maximum=1e12
    )
    history_us: int | None = history_setting()

    @property
    def dtype(self) -> str:
        """float32, from 0 to 1."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what carries the last timestamps, with its own frame."""
        return _Surface(self, sensor, repairs)


class _Surface(StampsAccumulator):
    def __init__(
        self, surface: ExponentialSurface, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.surfaces import LOG2_E, fade

        super().__init__(surface, sensor, repairs, reach_us=_FADED * surface.tau_us)
        self._per_us = LOG2_E / surface.tau_us
        self._fade = fade

    def finish(self) -> Frame:
        newest, frame = self.newest.reshape(-1), self.frame.reshape(-1)
        self._fade(newest, float(self.now), float(self.since), self._per_us, frame)
        return super().finish()
