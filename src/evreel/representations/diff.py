"""Metavision's ``diff``: ON events less OFF events of each pixel, as shares of a largest count."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import Legend, singles
from evreel.settings import setting


@dataclass(frozen=True)
class Diff(Representation):
    """Metavision's ``diff``: v = min(max(v ± k, −1), 1) for each event of a pixel.

    k = 1 / `max_incr_per_pixel`; it is added for an ON event and subtracted for an OFF event.
    Each event is clipped on its own: 7 ON and then 1 OFF are 1 − k. Sums are rounded to float32
    event by event, as Metavision's are. Where 2^d × 2^d pixels are brought together, an event
    adds k / 4^d.

    Parameters
    ----------
    max_incr_per_pixel
        Events of one polarity that fill a pixel; None: one.

    References
    ----------
    Metavision SDK ML, ``metavision_ml.preprocessing``,
    https://docs.prophesee.ai/stable/api/python/ml/preprocessing.html.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [1, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> diff = Diff(max_incr_per_pixel=4)
    >>> tensor(diff, events, Count(3).plan(3, lambda rows: events.t[rows])).tolist()
    [[[[-0.25, 0.5]]]]
    """

    name: ClassVar[str] = "diff"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: diff"
    unit: ClassVar[str] = "1"

    max_incr_per_pixel: float | None = setting(
        5.0, "Events of one polarity that fill a pixel; null: one.", above=0
    )

    @property
    def channels(self) -> int:
        """One."""
        return 1

    @property
    def legend(self) -> Legend:
        """Polarities, added up."""
        return singles(signed=True)

    @property
    def dtype(self) -> str:
        """float32, from −1 to 1."""
        return "float32"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up polarities, with its own frame."""
        return _Differences(self, sensor, repairs)


class _Differences(Accumulator):
    def __init__(self, diff: Diff, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.metavision import add_signed_up_to_1

        super().__init__(diff, sensor, repairs)
        self._share = 1 / (diff.max_incr_per_pixel or 1)
        self._add = add_signed_up_to_1

    def accumulate(self, events: Events) -> None:
        step = np.float32(self._share * self.weight)
        self._add(events.x, events.y, events.p, step, self.frame)
