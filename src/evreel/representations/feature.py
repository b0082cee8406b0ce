"""A feature: a representation, and what is done to events before it and to frames after it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evreel.events import Events, Sensor
from evreel.representations.base import Frame, Representation


class EventMap(Protocol):
    """What is done to events before a representation sees them."""

    @property
    def sensor(self) -> Sensor:
        """(height, width) of the events afterwards."""

    @property
    def weight(self) -> float:
        """What an event adds afterwards, as `Accumulator.weight`."""

    def apply(self, events: Events, first_row: int) -> tuple[Events, npt.NDArray[np.int64] | None]:
        """Return the events that are left, and their positions among those given.

        Parameters
        ----------
        events
            Some neighbouring events of a recording.
        first_row
            Row of the first one.

        Returns
        -------
        The events, and (m,) int64 ascending, None if all are left.
        """


@dataclass(frozen=True)
class Feature:
    """What a features file holds, or a loader computes: a representation with all around it.

    Parameters
    ----------
    representation
        What is computed.
    """

    representation: Representation

    @classmethod
    def of(cls, made_of: Representation | Feature) -> Feature:
        """Return a feature: the one given, or that of a representation with nothing around it."""
        return made_of if isinstance(made_of, Feature) else cls(made_of)

    @property
    def dtype(self) -> str:
        """Name of the numpy type of a value of its frames."""
        return self.representation.dtype

    @property
    def description(self) -> dict[str, Any]:
        """What a features file says about it, as keywords of `FeaturesWriter`."""
        return {**self.representation.description, "dtype": self.dtype}

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of a frame for the sensor of a recording."""
        return self.representation.shape(sensor)

    def of_events(self, sensor: Sensor) -> EventMap | None:
        """Return what is done to events of a sensor, None for nothing."""
        return None

    def of_frames(
        self, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> Callable[[Frame], Frame]:
        """Return what is done to each finished frame; it may return one array again and again."""
        return lambda frame: frame
