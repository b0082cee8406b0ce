"""Polarities of ever shorter parts of a window, each up to its end or from its start."""

from __future__ import annotations

import decimal
import functools
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation, Window
from evreel.representations.channels import Legend, singles
from evreel.settings import Place, setting

WRAPS = "mixed_density_stack_wraps"
_MOST_BINS = 32


@dataclass(frozen=True)
class MixedDensityStack(Representation):
    """Polarities of parts of a window, each half as long as the next, or as the one before.

    ``kind: rvt``, as RVT takes it: channel k of B holds the sum of the polarities, ±1, of the first
    2⁻⁽ᴮ⁻¹⁻ᵏ⁾ of the time from first to last event, so the last channel those of all events. With
    u = (t − t0)/(tN − t0), limited to [1e-6, 1 − 1e-6], an event is in bin ⌊B + log₂ u⌋, or 0 if
    that is less, and in all channels from its bin on. Sums wrap at ±128, and are limited to
    ±`count_cutoff` after that; ``mixed_density_stack_wraps`` in `repairs` says how often one did.

    ``kind: nam2022``, as it was first described: channel k holds, for each pixel, the polarity, ±1,
    of its last event among the last ⌊N/2ᵏ⌋ of a window's N events, and 0 if it had none.

    Parameters
    ----------
    bins
        B, 1 or more; 32 at most for ``rvt``.
    kind
        ``rvt`` or ``nam2022``.
    count_cutoff
        ``rvt``: largest absolute sum, 0 to 127; None does not limit.

    Notes
    -----
    ``rvt`` equals RVT's own code bit for bit. It takes the logarithm in float32, which for spans
    of 4 s and more puts a few events just before a border into the next bin. Here no logarithm is
    taken of an event: the share u at which that code begins each bin is computed once, exactly,
    with Python's decimal numbers.

    Nam et al.'s own code drops ⌊N/2⌋, ⌊N/4⌋, … events in turn, which leaves a few more than
    ⌊N/2ᵏ⌋ if N is not a power of two.

    References
    ----------
    Nam et al., "Stereo depth from events cameras: concentrate and focus on the future", CVPR 2022,
    section 3.1. Gehrig & Scaramuzza, "Recurrent vision transformers for object detection with
    event cameras", CVPR 2023, arXiv:2212.05598; https://github.com/uzh-rpg/RVT.

    Examples
    --------
    Three events in one pixel. For ``rvt``, that at 3 µs has u = 3/8, bin ⌊2 − 1.4⌋ = 0.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 3, 8], [0] * 3, [0] * 3, [1, 1, 0], Sensor(1, 1))
    >>> windows = Count(3).plan(3, lambda rows: events.t[rows])
    >>> tensor(MixedDensityStack(bins=2), events, windows)[0, :, 0, 0].tolist()
    [2, 1]
    >>> stack = MixedDensityStack(bins=3, kind="nam2022")
    >>> tensor(stack, events, windows)[0, :, 0, 0].tolist()
    [-1, -1, 0]
    """

    name: ClassVar[str] = "mixed_density_stack"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Nam et al. 2022, section 3.1; RVT, arXiv:2212.05598"
    unit: ClassVar[str] = "events"

    bins: int = setting(10, "Number of channels.", minimum=1, maximum=1000)
    kind: Literal["rvt", "nam2022"] = setting(
        "rvt",
        "rvt: sums over the first parts of the time; nam2022: last polarity among the last parts "
        "of the events.",
    )
    count_cutoff: int | None = setting(
        32,
        "rvt: largest absolute sum; null: not limited.",
        unit="events",
        minimum=0,
        maximum=127,
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) if RVT's rule has no place for the last events."""
        if self.kind == "rvt" and self.bins > _MOST_BINS:
            yield (
                ("bins",),
                f"{self.bins} is more than {_MOST_BINS}, from where on RVT's float32 puts the last "
                "events outside the last bin",
            )

    @property
    def channels(self) -> int:
        """One per bin."""
        return self.bins

    @property
    def legend(self) -> Legend:
        """Polarities of each part."""
        return singles(self.bins, signed=True)

    @property
    def dtype(self) -> str:
        """int8: sums within ±128, or a polarity."""
        return "int8"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up or sets polarities, with its own frame."""
        kind = _Sums if self.kind == "rvt" else _LastPolarities
        return kind(self, sensor, repairs)


class _Sums(Accumulator):
    def __init__(
        self, stack: MixedDensityStack, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.stacks import add_polarities_wrapping, add_up_wrapping, find_borders

        super().__init__(stack, sensor, repairs)
        most = 127 if stack.count_cutoff is None else stack.count_cutoff
        least = -128 if stack.count_cutoff is None else -most
        self._limits = (np.int8(least), np.int8(most))
        self._shares = first_shares(stack.bins)
        self._starts = np.zeros(stack.bins, dtype=np.int64)
        self._find_borders = find_borders
        self._add, self._add_up = add_polarities_wrapping, add_up_wrapping
        self._planes = self.frame.reshape(stack.bins, -1)
        repairs[WRAPS] = repairs.get(WRAPS, 0)

    def begin(self, window: Window) -> None:
        super().begin(window)
        span = max(window.last_us - window.first_us, 1)
        self._find_borders(self._shares, np.float32(1), span, self._starts)
        self._starts += window.first_us

    def accumulate(self, events: Events) -> None:
        columns = (events.t, events.x, events.y, events.p)
        self.repairs[WRAPS] += self._add(*columns, self._starts, self.frame)

    def finish(self) -> Frame:
        self.repairs[WRAPS] += self._add_up(self._planes, *self._limits)
        return super().finish()


class _LastPolarities(Accumulator):
    def __init__(
        self, stack: MixedDensityStack, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.stacks import overlay, set_polarities

        super().__init__(stack, sensor, repairs)
        self._halvings = np.arange(stack.bins).clip(max=62)
        self._set, self._overlay = set_polarities, overlay
        self._planes = self.frame.reshape(stack.bins, -1)
        self._firsts = np.zeros(stack.bins, dtype=np.int64)
        self._row = 0

    def begin(self, window: Window) -> None:
        super().begin(window)
        self._firsts = window.n - (window.n >> self._halvings)
        self._row = 0

    def accumulate(self, events: Events) -> None:
        self._set(events.x, events.y, events.p, self._row, self._firsts, self.frame)
        self._row += len(events)

    def finish(self) -> Frame:
        self._overlay(self._planes)
        return super().finish()


_LEAST, _MOST = np.float32(1e-6), np.float32(1 - 1e-6)
"""Limits of u in RVT's code."""

_NEAR = 256
"""How many float32 numbers from 2⁻ᵏ a border may be; of up to 32 bins, none is more than 24."""


@functools.cache
def first_shares(bins: int) -> npt.NDArray[np.float32]:
    """Return (bins,) the least u at which RVT's float32 rule puts an event into each bin.

    The rule: ⌊bins − ln u / ln ½⌋, where both logarithms, the quotient and the difference are
    float32, each rounded once. It never falls as u rises, so that a bisection finds where a bin
    begins. 0 is for bins that begin at the lower limit of u, or below.

    Examples
    --------
    The last of ten bins begins a little before one half.

    >>> float(first_shares(10)[-1])
    0.4999998211860657
    """
    # Patterns of the bits of positive float32 numbers are in the order of the numbers.
    low, high = int(_LEAST.view(np.int32)), int(_MOST.view(np.int32))
    shares = np.zeros(bins, dtype=np.float32)
    for b in range(1, bins):
        exact = int(np.float32(2.0 ** (b - bins)).view(np.int32))
        begin, end = max(low, exact - _NEAR), max(low, min(high, exact + _NEAR))
        while begin < end:
            middle = (begin + end) // 2
            if _bin(np.int32(middle).view(np.float32), bins) < b:
                begin = middle + 1
            else:
                end = middle
        shares[b] = np.int32(begin).view(np.float32) if begin > low else 0
    shares.flags.writeable = False
    return shares


def _bin(u: np.float32, bins: int) -> int:
    """Return the bin of a share by the rule of `first_shares`."""
    with decimal.localcontext(prec=30):
        logarithms = [np.float32(decimal.Decimal(float(one)).ln()) for one in (u, 0.5)]
    return int(max(np.float32(bins) - logarithms[0] / logarithms[1], np.float32(0)))
