"""Surfaces around events, averaged over square cells of the sensor."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Literal

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Frame, Representation, Window
from evreel.representations.channels import Legend, pairs
from evreel.settings import setting
from evreel.timebase import Int64Array


def cell_setting() -> Any:
    """Return the field of `cell_px`."""
    return setting(10, "Side of a cell.", unit="px", minimum=1, maximum=65536)


def radius_setting(default: int) -> Any:
    """Return the field of `radius_px`."""
    return setting(
        default,
        "How far from an event others count; a surface is twice this + 1 wide.",
        unit="px",
        minimum=0,
        maximum=100,
    )


class OfCells(Representation):
    """A representation with one pixel per cell; subclasses have `cell_px` and `radius_px`."""

    cell_px: int
    radius_px: int

    @property
    def channels(self) -> int:
        """s² for OFF, then s² for ON, each row by row; s = 2 `radius_px` + 1."""
        return 2 * (2 * self.radius_px + 1) ** 2

    @property
    def legend(self) -> Legend:
        """OFF of each offset, then ON of each."""
        return pairs((2 * self.radius_px + 1) ** 2, polarity_major=True)

    @property
    def dtype(self) -> str:
        """float32."""
        return "float32"

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (2 s², rows of cells, columns of cells); cells cover the sensor."""
        height, width = sensor
        return self.channels, -(-height // self.cell_px), -(-width // self.cell_px)


class CellsAccumulator(Accumulator):
    """Averages, over the events of each cell, what faded around each of them.

    It holds the timestamps of the window's last `memory_us` and of one piece of its events.

    Parameters
    ----------
    representation, sensor, repairs
        As in `Accumulator`.
    cell_px
        Side of a cell.
    memory_us
        How far back events count.
    per_us
        What fading takes off in a µs: of the exponent, or of the value itself if `linear`.
    linear
        Whether events fade by a straight line to 0.
    own
        Whether an event's surface counts the event itself, and others at its time before it.
    shared
        What a sum is divided by: the number of events of the cell's ``"polarity"``, or of the
        whole ``"cell"``.
    """

    def __init__(
        self,
        representation: Representation,
        sensor: Sensor,
        repairs: MutableMapping[str, int],
        *,
        cell_px: int,
        memory_us: int,
        per_us: float,
        linear: bool,
        own: bool,
        shared: Literal["polarity", "cell"],
    ) -> None:
        from evreel.kernels.surfaces import add_surfaces

        super().__init__(representation, sensor, repairs)
        channels, rows, columns = self.frame.shape
        side = round((channels // 2) ** 0.5)
        self._sums = np.zeros((rows, columns, 2, side, side))
        self._counts = np.zeros((rows, columns, 2), dtype=np.int64)
        self._newest = np.full((2, *self.sensor), -1, dtype=np.int64)
        self._stamps = np.empty(0, dtype=np.int64)
        self._before = np.empty(0, dtype=np.int64)
        self._memory_us = memory_us
        self._rule = (cell_px, memory_us, own, linear, per_us)
        self._shared = shared
        self._add = add_surfaces
        # Events are numbered through all windows: `_first` is the window's first, `_base` the
        # first in memory, `_number` the next.
        self._first = self._base = self._number = 0

    def begin(self, window: Window) -> None:
        """Start a window with sums of 0."""
        super().begin(window)
        self._sums.fill(0)
        self._counts.fill(0)
        self._first = self._base = self._number

    def accumulate(self, events: Events) -> None:
        """Add the surfaces of events."""
        self._make_room(int(events.t[0]), len(events))
        self._add(
            events.t,
            events.x,
            events.y,
            events.p,
            self._number,
            max(self._first, self._base),
            self._base,
            self._newest,
            self._stamps,
            self._before,
            *self._rule,
            self._sums,
            self._counts,
        )
        self._number += len(events)

    def finish(self) -> Frame:
        """Return the averages."""
        counts = self._counts
        if self._shared == "cell":
            counts = counts.sum(axis=2, keepdims=True)
        averages = self._sums / np.maximum(counts, 1)[..., np.newaxis, np.newaxis]
        self.frame.reshape(*averages.shape[2:], *averages.shape[:2])[:] = averages.transpose(
            2, 3, 4, 0, 1
        )
        return super().finish()

    def _make_room(self, first_us: int, n: int) -> None:
        """Make place for n more events, from `first_us` on; forget what is too old for them."""
        held = self._number - self._base
        if held + n <= len(self._stamps):
            return
        old = int(np.searchsorted(self._stamps[:held], first_us - self._memory_us))
        size = max(len(self._stamps), 2 * (held - old + n))
        self._stamps = _moved(self._stamps[old:held], size)
        self._before = _moved(self._before[old:held], size)
        self._base += old


def _moved(kept: Int64Array, size: int) -> Int64Array:
    """Return an array of `size` that begins with `kept`."""
    moved = np.empty(size, dtype=np.int64)
    moved[: len(kept)] = kept
    return moved
