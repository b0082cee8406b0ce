"""Sum of polarities, or number of events, in one channel."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.representations.base import Accumulator, Representation
from evreel.representations.channels import Legend, singles
from evreel.representations.histogram import WHOLE_DTYPES
from evreel.settings import Place, setting

LOST = "event_image_increments_lost"


@dataclass(frozen=True)
class EventImage(Representation):
    """Sum of a window's polarities, ±1, in each pixel; or its number of events.

    A sum never wraps. If it leaves the range of `dtype`, that is an error. With `saturate`, the
    event is left out instead, and ``event_image_increments_lost`` in `repairs` counts it: the sum
    stays at the limit until an event of the other polarity takes it back.

    Parameters
    ----------
    signed
        Whether an OFF event counts −1. If false, it counts 1, as an ON event does.
    dtype
        Type of a sum; one with negative numbers if `signed`.
    saturate
        Whether a sum stays at the limits of `dtype`, instead of an error.

    References
    ----------
    Gallego et al., "Event-based vision: a survey", TPAMI 2020, arXiv:1904.08405, section 3.1:
    event frame. OpenEB's ``event_image`` is the signed one in float32.

    Examples
    --------
    >>> from evreel.representations import tensor
    >>> from evreel.windows import Count
    >>> events = Events([0, 1, 2], [1, 1, 0], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> windows = Count(3).plan(3, lambda rows: events.t[rows])
    >>> tensor(EventImage(), events, windows).tolist()
    [[[[-1, 2]]]]
    >>> tensor(EventImage(signed=False), events, windows).tolist()
    [[[[1, 2]]]]
    """

    name: ClassVar[str] = "event_image"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Gallego et al. 2020, arXiv:1904.08405, section 3.1"
    unit: ClassVar[str] = "events"

    signed: bool = setting(True, "Whether an OFF event counts −1; if false, it counts 1.")
    dtype: str = setting("int16", "Type of a sum.", choices=WHOLE_DTYPES)
    saturate: bool = setting(
        False, "Whether a sum stays at the limits of its type; if false, leaving them is an error."
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) if the type has no negative numbers for a signed sum."""
        if self.signed and self.dtype.startswith("u"):
            yield (
                ("dtype",),
                f"{self.dtype} has no negative numbers; choose {self.dtype[1:]}, or signed: false",
            )

    @property
    def channels(self) -> int:
        """One for both polarities."""
        return 1

    @property
    def legend(self) -> Legend:
        """Polarities, added up; or both, counted."""
        return singles(signed=self.signed)

    def accumulator(self, sensor: Sensor, repairs: MutableMapping[str, int]) -> Accumulator:
        """Return what adds up, with its own frame."""
        return _Sums(self, sensor, repairs)


class _Sums(Accumulator):
    def __init__(
        self, image: EventImage, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> None:
        from evreel.kernels.histogram import add_polarities, add_polarities_saturating

        super().__init__(image, sensor, repairs)
        # By polarity: what an event adds, and where no more is added.
        limits = np.iinfo(image.dtype)
        steps, ends = [1, 1], [limits.max, limits.max]
        if image.signed:
            steps[0], ends[0] = -1, limits.min
        self._rule = (np.array(steps, image.dtype), np.array(ends, image.dtype), self.frame)
        self._saturate = image.saturate
        self._add, self._add_saturating = add_polarities, add_polarities_saturating
        if self._saturate:
            repairs[LOST] = repairs.get(LOST, 0)

    def accumulate(self, events: Events) -> None:
        columns = (events.x, events.y, events.p, *self._rule)
        if self._saturate:
            self.repairs[LOST] += self._add_saturating(*columns)
            return
        row = self._add(*columns)
        if row < len(events):
            raise ParameterError(
                f"the sum of pixel x={events.x[row]}, y={events.y[row]} leaves the range of "
                f"{self.frame.dtype} at {events.t[row]} µs",
                place=f"{self.name}, window {self.window.number}",
                hint="Choose a wider dtype, shorter windows, or saturate: true.",
            )
