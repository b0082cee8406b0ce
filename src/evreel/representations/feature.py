"""A feature: a representation, and what is done to events before it and to frames after it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evreel.errors import RepresentationError
from evreel.events import Sensor
from evreel.geometry import EventMap, Geometry, Regions
from evreel.representations.base import Frame, Representation
from evreel.representations.stored import Stored


@dataclass(frozen=True)
class Feature:
    """What a features file holds, or a loader computes: a representation with all around it.

    Parameters
    ----------
    representation
        What is computed.
    geometry
        Which pixels of the sensor it is computed of, and of which size its frames are.
    stored
        Type of stored values; None: that in which they are computed.
    """

    representation: Representation
    geometry: Geometry = field(default_factory=Geometry)
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
        if self.geometry != Geometry():
            said["geometry"] = self.geometry.plain()
        if self.stored is not None:
            said |= {"store": self.stored.dtype, "scale": self.stored.scale}
        return said

    @property
    def description(self) -> dict[str, Any]:
        """What a features file says about it, as keywords of `FeaturesWriter`."""
        computed = self.representation.dtype
        changed = None if self.geometry == Geometry() else self.geometry
        stored = {} if self.stored is None else self.stored.attributes(computed)
        said = self.representation.description
        return {**said, "dtype": self.dtype, "geometry": changed, "stored": stored}

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
        """Return what is done to each finished frame; it may return one array again and again.

        It raises `RepresentationError` if a frame has not the shape and type of all.
        """
        resized = self._resizing(sensor)
        if self.stored is None:
            return resized
        stored = self.stored.each(self.shape(sensor), repairs)
        return lambda frame: stored(resized(frame))

    def _resizing(self, sensor: Sensor) -> Callable[[Frame], Frame]:
        """Return what gives finished frames their size."""
        shape, dtype = self._unfinished(sensor), np.dtype(self.representation.dtype)

        def checked(frame: Frame) -> Frame:
            if not isinstance(frame, np.ndarray) or frame.shape != shape or frame.dtype != dtype:
                is_array = isinstance(frame, np.ndarray)
                said = f"{frame.dtype} {frame.shape}" if is_array else f"a {type(frame).__name__}"
                raise RepresentationError(
                    f"its finished frame is {said}; {dtype} {shape} is expected",
                    place=self.representation.name,
                )
            return frame

        changed = self.geometry.of_frames(shape)
        if changed is None:
            return checked
        resized = np.empty(changed.shape, self.representation.dtype)
        finished = resized.view()
        finished.flags.writeable = False

        def finish(frame: Frame) -> Frame:
            changed.apply(checked(frame), resized)
            return finished

        return finish

    def _unfinished(self, sensor: Sensor) -> tuple[int, int, int]:
        """Return (C, H, W) of what the representation makes."""
        return self.representation.shape(self.geometry.events_sensor(sensor))
