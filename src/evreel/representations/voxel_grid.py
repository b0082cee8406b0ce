"""Polarities in temporal bins, each shared between the two bins next to its event."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation, Window, span_setting
from evreel.representations.channels import Legend, singles
from evreel.settings import optional, setting


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
    compat
        Another tool's rule: ``openeb_bilinear``, ``openeb_nearest`` or ``tonic``; see below.

    Notes
    -----
    The two weights of an event are multiples of 2⁻²³ that add up to exactly 1. Voxels are summed
    in float32 in the order of events, so that the bins of a pixel with n events add up to the sum
    of its polarities to within n² · 2⁻²³. No transcendental function is used: the values are the
    same on every processor. Where pixels were brought together, an event adds that much less.

    ``compat: openeb_bilinear`` and ``openeb_nearest`` are the modes of OpenEB's `event_volume`,
    with t* = B (t − t0)/(tN − t0) − ½; the left bin is ⌊t*⌋, or 0 before that. The nearest mode
    puts all of the polarity there, so that bin 0 covers 1½ bins and the last one half. The
    bilinear mode puts max(0, 1 − \|left − t*\|) there and the rest into the next bin, or into the
    last one; so of the first half bin, up to a half goes into bin 1. OpenEB takes t0 and tN from
    its caller, mostly as ``span: window``. It converts times to float32 before it subtracts t0,
    which rounds them to 2 µs from 16.8 s on; here they are exact. The weights are equal otherwise,
    bit for bit, but it adds all left ones before all right ones: n of them differ by up to n² ·
    2⁻²³. A span of 0, by which it divides, is 1 µs here.

    ``compat: tonic`` is Tonic's `ToVoxelGrid`, in float32 for its float64, with t* =
    B (t − t0)/(tN − t0). What is for bin B, such as all of the last event, is lost: it is the first
    B bins of the grid of B + 1 bins. Tonic has no numbers for a span of 0; here all is in bin 0.

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
    span: str = span_setting()
    compat: Literal["openeb_bilinear", "openeb_nearest", "tonic"] | None = optional(
        "Another tool's rule for which bins an event is between."
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
        if self.compat in ("openeb_bilinear", "openeb_nearest"):
            return _Centred(self, sensor, repairs)
        cells = math.prod(self.shape(sensor))
        by_tiles = MOST_CACHED < 4 * cells < MOST_ADDRESSED
        return (_Tiled if by_tiles else _Bilinear)(self, sensor, repairs)


MOST_CACHED = 1 << 22
"""Size of a frame, in bytes, above which its voxels are gone from cache when they are needed."""

MOST_ADDRESSED = 1 << 33
"""Size of a frame, in bytes, whose voxels can be numbered in 32 bits with one bin to spare."""

TILE = 1 << 19
"""Size of a tile of rows, in bytes, with all its bins."""

ENTRIES = 1 << 20
"""Most events that are sorted by tile at a time: 8 MB."""


class _Voxels(Accumulator):
    """Knows between which times the bins of a window are."""

    def __init__(self, grid: VoxelGrid, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        super().__init__(grid, sensor, repairs)
        self._covers = grid.span
        self._t0 = self._span = 0

    def begin(self, window: Window) -> None:
        super().begin(window)
        self._t0, last_us = window.covered(self._covers)
        self._span = last_us - self._t0


class _Centred(_Voxels):
    """Bins as OpenEB has them."""

    def __init__(self, grid: VoxelGrid, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.voxel_grid import add_centred

        super().__init__(grid, sensor, repairs)
        self._bilinear = grid.compat == "openeb_bilinear"
        self._add = add_centred

    def accumulate(self, events: Events) -> None:
        columns = (events.t, events.x, events.y, events.p)
        self._add(*columns, self._t0, self._span, self._bilinear, self.weight, self.frame)


class _Bilinear(_Voxels):
    """Bins as in the paper, or as Tonic has them."""

    def __init__(self, grid: VoxelGrid, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.voxel_grid import add_bilinear

        super().__init__(grid, sensor, repairs)
        self._steps = grid.bins if grid.compat == "tonic" else grid.bins - 1
        self._add = add_bilinear

    def accumulate(self, events: Events) -> None:
        columns = (events.t, events.x, events.y, events.p)
        self._add(*columns, self._t0, self._span, self._steps, self.weight, self.frame)


class _Tiled(_Bilinear):
    """The same for a frame that is larger than the cache, a tile of rows at a time."""

    def __init__(self, grid: VoxelGrid, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.voxel_grid import add_bilinear_by_tiles

        super().__init__(grid, sensor, repairs)
        height, width = sensor
        rows = max(TILE // (4 * grid.bins * width), 1)
        self._tiles = (np.arange(height) // rows).astype(np.uint16)
        self._entries = np.empty(ENTRIES, dtype=np.uint64)
        self._is_first = True
        self._add_by_tiles = add_bilinear_by_tiles

    def clear(self) -> None:
        self._is_first = True  # the tiles are cleared one by one, when their events are added

    def accumulate(self, events: Events) -> None:
        for low in range(0, len(events), ENTRIES):
            part = events[low : low + ENTRIES]
            self._add_by_tiles(
                part.t,
                part.x,
                part.y,
                part.p,
                self._t0,
                self._span,
                self._steps,
                self.weight,
                self._is_first,
                self._tiles,
                self._entries,
                self.frame,
            )
            self._is_first = False

    def finish(self) -> Frame:
        if self._is_first:
            self.frame.fill(0)
        return super().finish()
