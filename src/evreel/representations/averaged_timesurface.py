"""Time surfaces around events, averaged by cell and polarity: Tonic's reading of HATS."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Sensor
from evreel.representations.base import Accumulator
from evreel.representations.cells import CellsAccumulator, OfCells, cell_setting, radius_setting
from evreel.settings import setting


@dataclass(frozen=True)
class AveragedTimesurface(OfCells):
    """Average of the time surfaces of the events in each cell and polarity, as Tonic has it.

    The surface of an event at time t is, at each offset (Δy, Δx) of up to r px, the sum of what is
    left at t of the events at that offset: those of its window, cell and polarity, from
    t − `memory_us` up to the event itself, which counts too. What is left after Δt is exp(−Δt/τ)
    with `exp`, and max(0, 1 − Δt/(3τ)) with `lin`.

    A frame has one pixel per cell: its shape is (2 s², ⌈H/cell⌉, ⌈W/cell⌉) with s = 2r + 1. Channel
    (p·s + Δy + r)·s + Δx + r is the average at offset (Δy, Δx) over the cell's events of polarity
    p, 0 OFF and 1 ON; it is 0 where there are none. ``frame.reshape(2, s, s, rows, columns)`` takes
    the three apart.

    Parameters
    ----------
    cell_px
        Side of a cell; the last ones are cut off by the sensor's edge.
    radius_px
        r, at least 0; Tonic's `surface_size` is 2r + 1.
    memory_us
        How far back events count; Tonic's `time_window`.
    tau_us
        τ, the time constant.
    decay
        ``exp`` or ``lin``.

    Notes
    -----
    The sums are float64, made of sums and products alone: the same on every processor. They equal
    Tonic's ToAveragedTimesurface within 1e-5, with two exceptions. If coordinates are unsigned,
    Tonic's differences between them wrap, so that it leaves out what is to the left or above. And
    its times are float32, which are whole µs only up to 16.8 s. Neither happens here.

    The paper's own rule is `hats`: a surface counts neither its event nor others at the same time,
    and sums are divided by the number of events of both polarities.

    References
    ----------
    Sironi et al., "HATS: histograms of averaged time surfaces for robust event-based object
    classification", CVPR 2018, arXiv:1803.07913; Tonic 1.7, ToAveragedTimesurface.

    Examples
    --------
    Two ON events in neighbouring pixels of one cell, 100 µs apart: the first one's surface is 1 in
    the middle, the second one's also e⁻¹ to the left.

    >>> from evreel.events import Events
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 100], [0, 1], [0, 0], [1, 1], Sensor(1, 2))
    >>> windows = Count(2).plan(2, lambda rows: events.t[rows])
    >>> (frame,) = tensor(AveragedTimesurface(radius_px=1), events, windows)
    >>> frame.reshape(2, 3, 3)[1].astype(float).round(3).tolist()
    [[0.0, 0.0, 0.0], [0.184, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    name: ClassVar[str] = "averaged_timesurface"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Tonic 1.7, after Sironi et al. 2018, arXiv:1803.07913"
    unit: ClassVar[str] = "1"

    cell_px: int = cell_setting()
    radius_px: int = radius_setting(2)
    memory_us: int = setting(
        1_000, "How far back events count.", unit="µs", minimum=0, maximum=10**12
    )
    tau_us: float = setting(
        100.0, "Time constant of the decay.", unit="µs", minimum=1e-3, maximum=1e12
    )
    decay: str = setting(
        "exp", "How events fade: 'exp' to 1/e in τ, or 'lin' to 0 in 3τ.", choices=("exp", "lin")
    )

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what sums up surfaces, with its own frame."""
        linear = self.decay == "lin"
        return CellsAccumulator(
            self,
            sensor,
            repairs,
            cell_px=self.cell_px,
            memory_us=self.memory_us,
            per_us=1 / (3 * self.tau_us) if linear else 1 / self.tau_us,
            linear=linear,
            own=True,
            shared="polarity",
        )
