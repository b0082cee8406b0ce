"""Changing events on purpose: axes, crop, time, hot pixels. Pure, named and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.events import Events, Sensor
from evreel.settings import Place, Settings, setting


@dataclass(frozen=True)
class Crop:
    """A rectangle of the sensor: columns ``[x0, x1)``, rows ``[y0, y1)``.

    Its corner (x0, y0) becomes pixel (0, 0).

    Examples
    --------
    >>> events = Events([0, 1, 2], [1, 5, 9], [1, 2, 3], [1, 0, 1], Sensor(4, 10))
    >>> kept = Crop(2, 1, 8, 4).apply(events)
    >>> kept.x.tolist(), kept.y.tolist(), tuple(kept.sensor)
    ([3], [1], (3, 6))
    """

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def sensor(self) -> Sensor:
        """Size of the rectangle."""
        return Sensor(self.y1 - self.y0, self.x1 - self.x0)

    def check(self, sensor: Sensor) -> None:
        """Raise `ParameterError` if the rectangle is empty or reaches outside the sensor."""
        if not (0 <= self.x0 < self.x1 <= sensor.width and 0 <= self.y0 < self.y1 <= sensor.height):
            raise ParameterError(
                f"crop {self.x0},{self.y0},{self.x1},{self.y1} (x0,y0,x1,y1) is empty or reaches "
                f"outside the {sensor.width}x{sensor.height} sensor (width x height)"
            )

    def apply(self, events: Events) -> Events:
        """Return the events inside, in the rectangle's own coordinates."""
        inside = (
            (events.x >= self.x0)
            & (events.x < self.x1)
            & (events.y >= self.y0)
            & (events.y < self.y1)
        )
        kept = events[inside]
        x = kept.x - np.uint16(self.x0)
        y = kept.y - np.uint16(self.y0)
        return Events.trusted(kept.t, x, y, kept.p, self.sensor)


@dataclass(frozen=True)
class Cropping(Settings):
    """Which rectangle of a sensor is kept."""

    crop: tuple[int, int, int, int] | None = setting(
        None,
        "[x0, y0, x1, y1]: keep columns x0 to x1 - 1 and rows y0 to y1 - 1; the corner becomes "
        "(0, 0). null keeps all.",
        unit="px",
        minimum=0,
        maximum=65_536,
        metavar="X0,Y0,X1,Y1",
        help="Keep columns X0 to X1 - 1 and rows Y0 to Y1 - 1; the corner becomes (0, 0).",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        yield from super().contradictions()
        crop = self.crop
        if crop is not None and not (crop[0] < crop[2] and crop[1] < crop[3]):
            yield ("crop",), f"{list(crop)} is empty; give [x0, y0, x1, y1]"


@dataclass(frozen=True)
class Orientation(Settings):
    """How a camera's axes and polarities become the picture's: first swapped, then flipped.

    A swap turns a (height, width) sensor into a (width, height) one.

    Examples
    --------
    >>> events = Events([0], [1], [2], [1], Sensor(4, 10))
    >>> turned = Orientation(swap_xy=True, flip_x=True).apply(events)
    >>> turned.x.tolist(), turned.y.tolist(), turned.p.tolist(), tuple(turned.sensor)
    ([1], [1], [1], (10, 4))
    """

    swap_xy: bool = setting(False, "Columns become rows and vice versa, before flips and crop.")
    flip_x: bool = setting(False, "Column x becomes width - 1 - x, before the crop.")
    flip_y: bool = setting(False, "Row y becomes height - 1 - y, before the crop.")
    invert_polarity: bool = setting(False, "ON becomes OFF and vice versa.")

    def sensor(self, sensor: Sensor) -> Sensor:
        """Return the size of a sensor after the swap."""
        return Sensor(sensor.width, sensor.height) if self.swap_xy else sensor

    def apply(self, events: Events) -> Events:
        """Return the events with their axes and polarities changed."""
        if self == Orientation():
            return events
        x, y = (events.y, events.x) if self.swap_xy else (events.x, events.y)
        height, width = self.sensor(events.sensor)
        if self.flip_x:
            x = np.uint16(width - 1) - x
        if self.flip_y:
            y = np.uint16(height - 1) - y
        p = np.uint8(1) - events.p if self.invert_polarity else events.p
        return Events.trusted(events.t, x, y, p, Sensor(height, width))


def within(events: Events, start_us: int | None, stop_us: int | None) -> Events:
    """Return the events with a timestamp in ``[start_us, stop_us)``, as a view."""
    low = 0 if start_us is None else int(np.searchsorted(events.t, start_us))
    high = len(events) if stop_us is None else int(np.searchsorted(events.t, stop_us))
    return events[low : max(low, high)]


def hot_pixels(
    chunks: Iterable[Events], sensor: Sensor, max_pixel_hz: float
) -> npt.NDArray[np.bool_]:
    """Return which pixels have more events per second than `max_pixel_hz`.

    Parameters
    ----------
    chunks
        All events of a recording; the time they cover is from the first timestamp to the last + 1.
    max_pixel_hz
        Highest rate of a healthy pixel, events per second, both polarities together.

    Returns
    -------
    (height, width) bool.

    Examples
    --------
    >>> t = np.arange(4) * 250_000
    >>> events = Events(t, [0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], Sensor(1, 3))
    >>> hot_pixels([events], Sensor(1, 3), max_pixel_hz=3).tolist()
    [[False, True, False]]
    """
    if not max_pixel_hz > 0:
        raise ParameterError(f"max_pixel_hz={max_pixel_hz} is not above 0")
    counts = np.zeros(sensor.height * sensor.width, dtype=np.int64)
    first, last = None, 0
    for events in chunks:
        if len(events):
            first = int(events.t[0]) if first is None else first
            last = events.t_stop_us
            address = events.y.astype(np.int64) * sensor.width + events.x
            counts += np.bincount(address, minlength=len(counts))
    allowed = max_pixel_hz * (last - (first or 0)) / 1e6
    return (counts > allowed).reshape(sensor)
