"""Whether a pixel had an event."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import Legend, pairs, singles
from evreel.settings import setting


@dataclass(frozen=True)
class Binary(Representation):
    """1 for each pixel with an event in the window, 0 for all others.

    Parameters
    ----------
    per_polarity
        Whether there is a channel for each polarity, OFF and ON, instead of one for both.

    References
    ----------
    Barchid et al., "Bina-Rep event frames: a simple and effective representation for event-based
    cameras", ICIP 2022, arXiv:2202.13662: the binary event images that it starts from.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [1, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 3))
    >>> windows = Count(3).plan(3, lambda rows: events.t[rows])
    >>> tensor(Binary(), events, windows).tolist()
    [[[[1, 1, 0]]]]
    >>> tensor(Binary(per_polarity=True), events, windows).tolist()
    [[[[1, 0, 0]], [[0, 1, 0]]]]
    """

    name: ClassVar[str] = "binary"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Barchid et al. 2022, arXiv:2202.13662"
    unit: ClassVar[str] = "1"

    per_polarity: bool = setting(
        False, "Whether there is a channel for each polarity, OFF and ON, instead of one for both."
    )

    @property
    def channels(self) -> int:
        """1, or one per polarity: OFF, ON."""
        return 2 if self.per_polarity else 1

    @property
    def legend(self) -> Legend:
        """OFF, ON; or both."""
        return pairs() if self.per_polarity else singles()

    @property
    def dtype(self) -> str:
        """uint8: 0 or 1."""
        return "uint8"

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what marks pixels, with its own frame."""
        return _Marks(self, sensor, repairs)


class _Marks(Accumulator):
    def __init__(self, binary: Binary, sensor: Sensor, repairs: MutableMapping[str, int]) -> None:
        from evreel.kernels.histogram import mark

        super().__init__(binary, sensor, repairs)
        self._split = np.uint8(binary.per_polarity)
        self._mark = mark

    def accumulate(self, events: Events) -> None:
        self._mark(events.x, events.y, events.p, self._split, self.frame)
