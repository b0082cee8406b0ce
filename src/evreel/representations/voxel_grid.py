"""Polarities in temporal bins, each shared between the two bins next to its event."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation, Window
from evreel.representations.channels import Legend, singles
from evreel.settings import setting


@dataclass(frozen=True)
class VoxelGrid(Representation):
    r"""Sum of a window's polarities, ±1, in each pixel and temporal bin, bilinear in time.

    An event at t is at t* = (B − 1)(t − t0)/(tN − t0) between bin 0 and bin B − 1. It adds
    max(0, 1 − \|bin − t*\|) of its polarity to each bin. If tN = t0 (one event, or all at one
    time), all goes into bin 0.

    Parameters
    ----------
    bins
        B, 1 or more.
    span
        ``events``: t0 and tN are the timestamps of the window's first and last event, as in the
        paper. ``window``: they are the window's own start and stop, so that equal positions mean
        equal times in windows of equal duration.

    Notes
    -----
    The two weights of an event are multiples of 2⁻²³ that add up to exactly 1. Voxels are summed
    in float32 in the order of events, so that the bins of a pixel with n events add up to the sum
    of its polarities to within n² · 2⁻²³. No transcendental function is used: the values are the
    same on every processor.

    References
    ----------
    Zhu et al., "Unsupervised event-based learning of optical flow, depth, and egomotion",
    CVPR 2019, arXiv:1812.08156, equations 1 to 3.

    Examples
    --------
    Three events in one pixel; the one at 5 µs is at t* = 2 · 5/8 = 1.25.

    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 5, 8], [0, 0, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 1))
    >>> voxels = tensor(VoxelGrid(bins=3), events, Count(3).plan(3, lambda rows: events.t[rows]))
    >>> voxels[0, :, 0, 0].tolist()
    [1.0, 0.75, -0.75]
    """

    name: ClassVar[str] = "voxel_grid"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Zhu et al. 2019, arXiv:1812.08156, equations 1 to 3"
    unit: ClassVar[str] = "events"

    bins: int = setting(5, "Number of temporal bins.", minimum=1, maximum=1000)
    span: str = setting(
        "events",
        "What the bins cover: first to last event ('events'), or the whole window ('window').",
        choices=("events", "window"),
    )

    @property
    def channels(self) -> int:
        """One per bin, in order of time."""
        return self.bins

    @property
    def legend(self) -> Legend:
        """Polarities of each bin, added up."""
        return singles(self.bins, signed=True)

    @property
    def dtype(self) -> str:
        """float32: the weights are multiples of 2⁻²³."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up polarities, with its own frame."""
        return _Voxels(self, sensor, repairs)


class _Voxels(Accumulator):
    def __init__(self, grid: VoxelGrid, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.voxel_grid import add_bilinear

        super().__init__(grid, sensor, repairs)
        self._whole_window = grid.span == "window"
        self._add_bilinear = add_bilinear
        self._t0 = self._span = 0

    def begin(self, window: Window) -> None:
        super().begin(window)
        if self._whole_window:
            self._t0, self._span = window.start_us, window.stop_us - window.start_us
        else:
            self._t0, self._span = window.first_us, window.last_us - window.first_us

    def accumulate(self, events: Events) -> None:
        self._add_bilinear(events.t, events.x, events.y, events.p, self._t0, self._span, self.frame)
