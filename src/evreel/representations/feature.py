"""A feature: a representation, and what is done to events before it and to frames after it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evreel.events import Events, Sensor
from evreel.representations.base import Frame, Representation
from evreel.representations.stored import Stored


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
    stored
        Type of stored values; None: that in which they are computed.
    """

    representation: Representation
    stored: Stored | None = None

    @classmethod
    def of(cls, made_of: Representation | Feature) -> Feature:
        """Return a feature: the one given, or that of a representation with nothing around it."""
        return made_of if isinstance(made_of, Feature) else cls(made_of)

    @property
    def dtype(self) -> str:
        """Name of the numpy type of a value of its frames."""
        return self.representation.dtype if self.stored is None else self.stored.dtype

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it another one than others, as plain JSON values."""
        made_of = self.representation
        said: dict[str, Any] = {"representation": {made_of.name: made_of.parameters}}
        if made_of.sources:
            said["sources"] = dict(made_of.sources)
        if self.stored is not None:
            said |= {"store": self.stored.dtype, "scale": self.stored.scale}
        return said

    @property
    def description(self) -> dict[str, Any]:
        """What a features file says about it, as keywords of `FeaturesWriter`."""
        computed = self.representation.dtype
        stored = {} if self.stored is None else self.stored.attributes(computed)
        return {**self.representation.description, "dtype": self.dtype, "stored": stored}

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
        if self.stored is None:
            return lambda frame: frame
        return self.stored.each(self.shape(sensor), repairs)
