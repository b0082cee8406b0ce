"""Event counts by polarity, temporal bin and pixel."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation, Window, span_setting
from evreel.representations.channels import Legend, pairs
from evreel.settings import Place, optional, setting

LOST = "stacked_histogram_increments_lost"


@dataclass(frozen=True)
class StackedHistogram(Representation):
    """Number of a window's events by polarity, temporal bin and pixel, as RVT takes it.

    An event at t is in bin ⌊B (t − t0)/(tN − t0)⌋, and the one at tN in the last bin. If tN = t0
    (one event, or all at one time), all are in bin 0. The bins of OFF come first, then those of
    ON: channel = p B + bin. A count never wraps and never exceeds `count_cutoff`;
    ``stacked_histogram_increments_lost`` in `repairs` says how many events were left out.

    Parameters
    ----------
    bins
        B, 1 or more.
    count_cutoff
        Largest count; None, or a number above 255, is 255.
    span
        ``events``: t0 and tN are the timestamps of the window's first and last event, as in RVT.
        ``window``: they are the window's own start and stop.
    compat
        ``rvt``: the values of RVT's own code, bit for bit. It divides in float32, which puts a
        few events next to a border into the neighbouring bin (of 22 bins and more, or where B
        times the span exceeds 16 s). It lets counts wrap, and limits them after that.
    fastmode
        With ``compat: rvt``: whether counts wrap at 256, as in RVT by default (300 events are 44),
        instead of at 32,768.

    References
    ----------
    Gehrig & Scaramuzza, "Recurrent vision transformers for object detection with event cameras",
    CVPR 2023, arXiv:2212.05598, section 3.1; https://github.com/uzh-rpg/RVT.

    Examples
    --------
    Four ON events in one pixel. The one at 5 µs is in bin ⌊2 · 5/8⌋ = 1, as is the last.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 3, 5, 8], [0] * 4, [0] * 4, [1] * 4, Sensor(1, 1))
    >>> windows = Count(4).plan(4, lambda rows: events.t[rows])
    >>> tensor(StackedHistogram(bins=2), events, windows)[0, :, 0, 0].tolist()
    [0, 0, 2, 2]
    """

    name: ClassVar[str] = "stacked_histogram"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Gehrig & Scaramuzza 2023, arXiv:2212.05598, section 3.1"
    unit: ClassVar[str] = "events"

    bins: int = setting(10, "Number of temporal bins.", minimum=1, maximum=1000)
    count_cutoff: int | None = setting(
        10, "Largest count; null, or a number above 255: 255.", unit="events", minimum=1
    )
    span: str = span_setting()
    compat: Literal["rvt"] | None = optional(
        "Whose code to equal bit for bit, with its float32 division and wrapping counts."
    )
    fastmode: bool = setting(
        True, "With compat: rvt, whether counts wrap at 256, as in RVT by default, or at 32,768."
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) if an option of RVT's code is given without it."""
        if self.compat is None and not self.fastmode:
            yield ("fastmode",), "false belongs to compat: rvt; without it, no count wraps"

    @property
    def channels(self) -> int:
        """One per polarity and bin: OFF in order of time, then ON."""
        return 2 * self.bins

    @property
    def legend(self) -> Legend:
        """OFF of each bin, then ON of each."""
        return pairs(self.bins, polarity_major=True)

    @property
    def dtype(self) -> str:
        """uint8: a count is at most 255."""
        return "uint8"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what counts, with its own frame."""
        if self.compat == "rvt":
            return _Wrapping(self, sensor, repairs)
        return _Saturating(self, sensor, repairs)


class _Saturating(Accumulator):
    def __init__(
        self, stacked: StackedHistogram, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.stacks import count_saturating

        super().__init__(stacked, sensor, repairs)
        self._bins = np.arange(stacked.bins)
        self._covers = stacked.span
        self._most = np.uint8(min(stacked.count_cutoff or 255, 255))
        self._starts = np.zeros(stacked.bins, dtype=np.int64)
        self._count = count_saturating
        repairs[LOST] = repairs.get(LOST, 0)

    def begin(self, window: Window) -> None:
        super().begin(window)
        t0, last_us = window.covered(self._covers)
        np.add(t0, self._borders(max(last_us - t0, 1)), out=self._starts)

    def _borders(self, span: int) -> Frame:
        """Return (b,) the first µs of each bin: of bin k, k span/b rounded up."""
        n = len(self._bins)
        whole, rest = divmod(span, n)
        borders: Frame = self._bins * whole - -(self._bins * rest) // n
        return borders

    def accumulate(self, events: Events) -> None:
        columns = (events.t, events.x, events.y, events.p)
        self.repairs[LOST] += self._count(*columns, self._starts, self._most, self.frame)


class _Wrapping(_Saturating):
    """Counts as RVT does: in float32 bins, and in numbers that wrap before they are limited."""

    def __init__(
        self, stacked: StackedHistogram, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.stacks import count_beyond, find_borders, limit_wrapped

        super().__init__(stacked, sensor, repairs)
        # RVT counts in uint8 or int16. Most counts stay within the limit, and need neither.
        self._top, self._period = (255, 1 << 8) if stacked.fastmode else (32_767, 1 << 16)
        self._flat = self.frame.reshape(-1)
        # Memory is taken where these are used: of few counts, if few are full.
        self._beyond = np.zeros(self.frame.size, dtype=np.uint32)
        self._full = np.empty(self.frame.size, dtype=np.uint32)
        self._n_full = 0
        self._can_wrap = False
        self._count_beyond, self._limit = count_beyond, limit_wrapped
        self._find_borders = find_borders

    def begin(self, window: Window) -> None:
        super().begin(window)
        self._can_wrap = window.n > self._top

    def _borders(self, span: int) -> Frame:
        borders = np.zeros(len(self._bins), dtype=np.int64)
        shares = self._bins.astype(np.float32)
        self._find_borders(shares, np.float32(len(shares)), span, borders)
        return borders

    def accumulate(self, events: Events) -> None:
        if not self._can_wrap:
            super().accumulate(events)
            return
        self._n_full = self._count_beyond(
            events.t,
            events.x,
            events.y,
            events.p,
            self._starts,
            self._most,
            self.frame,
            self._beyond,
            self._full,
            self._n_full,
        )

    def finish(self) -> Frame:
        full, most = self._full[: self._n_full], int(self._most)
        self.repairs[LOST] += self._limit(
            full, most, self._top, self._period, self._beyond, self._flat
        )
        self._n_full = 0
        return super().finish()
