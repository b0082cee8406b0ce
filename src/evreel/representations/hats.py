"""Histograms of averaged time surfaces."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Sensor
from evreel.representations.base import Accumulator
from evreel.representations.cells import CellsAccumulator, OfCells, cell_setting, radius_setting
from evreel.settings import setting


@dataclass(frozen=True)
class Hats(OfCells):
    """Average of the local memory time surfaces of the events in each cell, by polarity.

    The surface of an event at time t is, at each offset (Δy, Δx) of up to r px, the sum of
    exp(−Δt/τ) over the events at that offset, Δt before t: those of its window, cell and polarity
    with 0 < Δt ≤ `memory_us`. The surfaces are added up by cell and polarity, and divided by the
    number of the cell's events of both polarities.

    A frame has one pixel per cell: its shape is (2 s², ⌈H/cell⌉, ⌈W/cell⌉) with s = 2r + 1. Channel
    (p·s + Δy + r)·s + Δx + r is the value of polarity p, 0 OFF and 1 ON, at offset (Δy, Δx); it is
    0 where a cell has no event. ``frame.reshape(2, s, s, rows, columns)`` takes the three apart.

    Parameters
    ----------
    cell_px
        K, the side of a cell; the last ones are cut off by the sensor's edge.
    radius_px
        r, at least 0.
    tau_us
        τ: time in which what an event adds falls to 1/e.
    memory_us
        Δt: how far back events count.

    Notes
    -----
    The sums are float64, made of sums and products alone: the same on every processor. Events
    before the window do not count: each window is a sample of its own, as in the paper.

    References
    ----------
    Sironi et al., "HATS: histograms of averaged time surfaces for robust event-based object
    classification", CVPR 2018, arXiv:1803.07913.

    Examples
    --------
    Two ON events in neighbouring pixels of one cell, 100 µs apart. The first one's surface is
    empty; the second one's is e⁻¹ to the left. Their average is half of that.

    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 100], [0, 1], [0, 0], [1, 1], Sensor(1, 2))
    >>> windows = Count(2).plan(2, lambda rows: events.t[rows])
    >>> (frame,) = tensor(Hats(radius_px=1, tau_us=100), events, windows)
    >>> frame.reshape(2, 3, 3)[1].astype(float).round(3).tolist()
    [[0.0, 0.0, 0.0], [0.184, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    name: ClassVar[str] = "hats"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Sironi et al. 2018, arXiv:1803.07913"
    unit: ClassVar[str] = "1"

    cell_px: int = cell_setting()
    radius_px: int = radius_setting(3)
    tau_us: float = setting(
        1e9, "Time in which what an event adds falls to 1/e.", unit="µs", minimum=1e-3, maximum=1e12
    )
    memory_us: int = setting(
        100_000, "How far back events count.", unit="µs", minimum=1, maximum=10**12
    )

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what sums up surfaces, with its own frame."""
        return CellsAccumulator(
            self,
            sensor,
            repairs,
            cell_px=self.cell_px,
            memory_us=self.memory_us,
            per_us=1 / self.tau_us,
            linear=False,
            own=False,
            shared="cell",
        )
