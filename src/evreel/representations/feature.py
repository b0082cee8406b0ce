"""A feature: a representation, and what is done to events before it and to frames after it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evreel.events import Sensor
from evreel.geometry import EventMap, Geometry, Regions
from evreel.representations.base import Frame, Representation


@dataclass(frozen=True)
class Feature:
    """What a features file holds, or a loader computes: a representation with all around it.

    Parameters
    ----------
    representation
        What is computed.
    geometry
        Which pixels of the sensor it is computed of, and of which size its frames are.
    """

    representation: Representation
    geometry: Geometry = field(default_factory=Geometry)

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
        changed = None if self.geometry == Geometry() else self.geometry
        return {**self.representation.description, "dtype": self.dtype, "geometry": changed}

    def shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of a frame for the sensor of a recording.

        Raises
        ------
        ParameterError
            If the geometry's crop reaches outside the sensor.
        """
        shape = self._unfinished(sensor)
        changed = self.geometry.of_frames(shape)
        return shape if changed is None else changed.shape

    def of_events(self, sensor: Sensor, regions: Regions | None = None) -> EventMap | None:
        """Return what is done to events of a sensor, None for nothing; as `Geometry.of_events`."""
        return self.geometry.of_events(sensor, regions)

    def of_frames(
        self, sensor: Sensor, repairs: MutableMapping[str, int]
    ) -> Callable[[Frame], Frame]:
        """Return what is done to each finished frame; it may return one array again and again."""
        changed = self.geometry.of_frames(self._unfinished(sensor))
        if changed is None:
            return lambda frame: frame
        resized = np.empty(changed.shape, self.representation.dtype)
        finished = resized.view()
        finished.flags.writeable = False

        def finish(frame: Frame) -> Frame:
            changed.apply(frame, resized)
            return finished

        return finish

    def _unfinished(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of what the representation makes."""
        return self.representation.shape(self.geometry.events_sensor(sensor))
