"""Which pixels a feature has: crop, flip, size, and region of interest by label.

A `Geometry` says it once, and gives the maps of three things that have to agree: of events, before
they are added to a frame (`EventMap`); of finished frames (`FrameMap`); and of boxes (`of_boxes`).
The order is fixed: crop, flip, downsample, resize.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, LayoutError, UsageError
from evreel.events import Events, Sensor
from evreel.filters import Crop, Cropping
from evreel.settings import Place, setting
from evreel.timebase import Int64Array

Frame = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]
Column = npt.NDArray[np.floating[Any]]
Method = Literal["nearest", "bilinear", "area"]

Regions = Callable[[int, int], BoolArray]
"""Function of (start, stop) rows of the events store → (n,) which of them are in a region."""

SLACK_PX = 0.01
"""Boxes may reach this far beyond the sensor's edges."""


@dataclass(frozen=True, kw_only=True)
class Geometry(Cropping):
    """Which pixels of the sensor become which pixels of a feature, in this order.

    Sizes are (height, width). An event is at the centre of its pixel: scaled, it belongs to the
    pixel that its centre is in.

    Examples
    --------
    >>> events = Events([0, 1, 2], [0, 3, 5], [0, 1, 3], [1, 0, 1], Sensor(4, 6))
    >>> halved = Geometry(crop=(2, 0, 6, 4), flip_x=True, downsample=1).of_events(events.sensor)
    >>> seen, kept = halved.apply(events, 0)
    >>> tuple(seen.sensor), seen.x.tolist(), seen.y.tolist(), kept.tolist(), halved.weight
    ((2, 2), [1, 0], [0, 1], [1, 2], 0.25)
    """

    flip_x: bool = setting(False, "Column x becomes width - 1 - x, after the crop.")
    flip_y: bool = setting(False, "Row y becomes height - 1 - y, after the crop.")
    downsample: int = setting(
        0,
        "How many times the size of events is halved: (x, y) becomes (x >> n, y >> n). Sizes are "
        "rounded up, so that no event is lost. What counts in fractions counts an event as 1/4^n.",
        minimum=0,
        maximum=16,
    )
    resize: tuple[int, int] | None = setting(
        None,
        "[height, width] that a frame has in the end, whatever the sensor's. null: as it comes.",
        unit="px",
        minimum=1,
        maximum=65_536,
        metavar="HEIGHT,WIDTH",
    )
    of: Literal["events", "frame"] = setting(
        "events",
        "What resize applies to. events: an event goes to the pixel that its scaled centre is in; "
        "what counts in fractions counts it as the ratio of the areas; frame: the finished frame, "
        "by method.",
    )
    method: Method | None = setting(
        None,
        "How a finished frame is resized. nearest: the value at the centre, as RVT halves its "
        "frames; bilinear, area: as torch's interpolate does it. Whole numbers are rounded, half "
        "to even.",
    )
    labels: tuple[str, ...] | None = setting(
        None,
        "Count only events that lie in a region with one of these labels, drawn by annotators. "
        "null: all events.",
        least=1,
        unique=True,
        metavar="A,B,…",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        yield from super().contradictions()
        if self.downsample and self.resize is not None and self.of == "events":
            yield (
                ("downsample",),
                "goes with resize of: frame only; of events, resize says the size",
            )
        if self.of == "frame" and self.resize is None:
            yield ("of",), "frame goes with resize: [height, width]"
        if self.of == "frame" and self.resize is not None and self.method is None:
            yield ("method",), "is needed with of: frame; it is nearest, bilinear or area"
        if self.of == "events" and self.method is not None:
            yield ("method",), f"{self.method} goes with of: frame only"

    @property
    def moves(self) -> bool:
        """Whether pixels change, so that boxes in those of the sensor would be wrong."""
        return not self.has_pixels_of(Geometry())

    def has_pixels_of(self, other: Geometry) -> bool:
        """Return whether boxes have the same coordinates with another geometry."""
        return self is other or replace(self, labels=None) == replace(other, labels=None)

    @property
    def _changes_events(self) -> bool:
        resized = self.of == "events" and self.resize is not None
        turned = self.flip_x or self.flip_y or self.downsample > 0
        return resized or turned or self.crop is not None or self.labels is not None

    def of_events(self, sensor: Sensor, regions: Regions | None = None) -> EventMap | None:
        """Return what changes events of a sensor; None if they stay as they are.

        Parameters
        ----------
        sensor
            (height, width) of the events.
        regions
            Which rows of the store are in a region with one of `labels`; needed where these are
            given, and ignored where not.

        Raises
        ------
        ParameterError
            If the crop reaches outside the sensor.
        UsageError
            If there are labels, and no regions.
        """
        if self.labels is not None and regions is None:
            raise UsageError(
                f"only events in regions of {', '.join(self.labels)} are wanted, but nothing says "
                "which these are",
                hint="Give the recording's annotated slices, or leave out geometry: labels.",
            )
        if not self._changes_events:
            return None
        wanted = None if self.labels is None else regions
        return EventMap(self, Sensor.checked(*sensor), wanted)

    def of_frames(self, shape: tuple[int, int, int]) -> FrameMap | None:
        """Return what changes finished frames, (C, H, W); None if they stay as they are."""
        if self.of != "frame" or self.resize is None or self.resize == shape[1:]:
            return None
        assert self.method is not None
        return FrameMap(shape, self.resize, self.method)

    def sensor(self, sensor: Sensor) -> Sensor:
        """Return (height, width) of the coordinates of a feature, when all is done.

        Raises
        ------
        ParameterError
            If the crop reaches outside the sensor.
        """
        return self.events_sensor(sensor) if self.resize is None else Sensor(*self.resize)

    def events_sensor(self, sensor: Sensor) -> Sensor:
        """Return (height, width) of the events that are added to a frame; raises as `sensor`."""
        small = self.halved(self.cropped(sensor))
        return small if self.resize is None or self.of == "frame" else Sensor(*self.resize)

    def of_boxes(
        self, boxes: npt.NDArray[np.void], sensor: Sensor
    ) -> tuple[npt.NDArray[np.void], dict[str, int]]:
        """Return boxes in the coordinates of the feature's frames.

        Parameters
        ----------
        boxes
            (n,) records with x, y, w, h in pixels of the sensor. They do not change.
        sensor
            (height, width) of the events.

        Returns
        -------
        (m,) records in the same order, and how many were cut off at the crop's edge,
        ``boxes_cut_by_crop``, or left out because they are all beyond it, ``boxes_outside_crop``.
        """
        before, after = self.cropped(sensor), self.sensor(sensor)
        small = self.halved(before)
        boxes = boxes.copy()
        n_cut = n_outside = 0
        if self.crop is not None:
            for name, first in zip("xy", self.crop[:2], strict=True):
                boxes[name] = boxes[name].astype(np.float64) - first
            boxes, n_cut, n_outside = clipped(boxes, before)
        for axis, corner, extent, flip in ((1, "x", "w", self.flip_x), (0, "y", "h", self.flip_y)):
            start, size = (boxes[name].astype(np.float64) for name in (corner, extent))
            if flip:
                start = before[axis] - (start + size)
            pixels = small[axis] << self.downsample  # of which the last may be beyond the sensor
            boxes[corner], boxes[extent] = (n * after[axis] / pixels for n in (start, size))
        return boxes, {"boxes_cut_by_crop": n_cut, "boxes_outside_crop": n_outside}

    def cropped(self, sensor: Sensor) -> Sensor:
        """Return the size after the crop, or raise `ParameterError` if it is not in the sensor."""
        if self.crop is None:
            return sensor
        Crop(*self.crop).check(sensor)
        return Crop(*self.crop).sensor

    def halved(self, sensor: Sensor) -> Sensor:
        """Return the size after `downsample`, rounded up."""
        return Sensor(*(-(-size >> self.downsample) for size in sensor))


def to_size(sensor: Sensor, size: Sensor) -> Geometry:
    """Return what brings a sensor to a size as Metavision does: halvings of events, then a resize.

    Parameters
    ----------
    sensor, size
        (height, width) of the events, and of frames.

    Examples
    --------
    >>> to_size(Sensor(240, 304), Sensor(60, 76)).plain()["downsample"]
    2
    """
    halvings = 0
    while all(n >> (halvings + 1) >= wanted for n, wanted in zip(sensor, size, strict=True)):
        halvings += 1
    if tuple(-(-n // 2**halvings) for n in sensor) == tuple(size):
        return Geometry(downsample=halvings)
    height, width = size
    return Geometry(downsample=halvings, resize=(height, width), of="frame", method="bilinear")


class EventMap:
    """What changes the events of a sensor, piece by piece.

    Parameters
    ----------
    geometry
        What becomes of them.
    sensor
        (height, width) of the events to come.
    regions
        Which rows of the store are in a region with one of the geometry's labels; None takes all.

    Attributes
    ----------
    sensor : (height, width) of the events that it returns.
    weight : what one event counts as, where events are counted in fractions: by how much the area
        of the picture, in pixels, becomes smaller; 1/4^n for n halvings.
    left_out : under which name to count events that it leaves out, among ``repairs``; None if it
        keeps all.
    """

    def __init__(self, geometry: Geometry, sensor: Sensor, regions: Regions | None = None) -> None:
        from evreel.kernels.geometry import look_up, move

        self._look_up, self._move = look_up, move
        self._before = sensor
        self._regions = regions
        cropped = geometry.cropped(sensor)
        halved = geometry.halved(cropped)
        self.sensor = geometry.events_sensor(sensor)
        ratio = (self.sensor.height * self.sensor.width) / (halved.height * halved.width)
        self.weight = ratio / 4**geometry.downsample
        x0, y0 = (0, 0) if geometry.crop is None else geometry.crop[:2]
        halvings = geometry.downsample
        rows, columns = zip(sensor, cropped, halved, self.sensor, strict=True)
        self._rows = _places(rows, y0, geometry.flip_y, halvings)
        self._columns = _places(columns, x0, geometry.flip_x, halvings)
        said = ("crop",) * (geometry.crop is not None) + ("labels",) * (regions is not None)
        self.left_out = f"outside_{'_or_'.join(said)}" if said else None

    def apply(self, events: Events, first_row: int) -> tuple[Events, Int64Array | None]:
        """Return the events that are left, at their new places.

        Parameters
        ----------
        events
            n events of the sensor.
        first_row
            Row in the store of the first of them; the others follow it.

        Returns
        -------
        m events in the same order, and (m,) their positions among those given, ascending; None if
        all are left.

        Raises
        ------
        EventsError
            If they are of another sensor.
        """
        if events.sensor != self._before:
            raise EventsError(f"events of {events.sensor} are given; {self._before} is expected")
        n = len(events)
        x, y = np.empty(n, dtype=np.uint16), np.empty(n, dtype=np.uint16)
        if self.left_out is None:
            self._look_up(events.x, self._columns, x)
            self._look_up(events.y, self._rows, y)
            return Events.trusted(events.t, x, y, events.p, self.sensor), None
        wanted = _ALL if self._regions is None else self._regions(first_row, first_row + n)
        t, p = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.uint8)
        kept = np.empty(n, dtype=np.int64)
        m = self._move(
            *(events.t, events.x, events.y, events.p, self._columns, self._rows, wanted),
            *(t, x, y, p, kept),
        )
        left = Events.trusted(t[:m], x[:m], y[:m], p[:m], self.sensor)
        return left, None if m == n else kept[:m]


_ALL = np.zeros(0, dtype=np.bool_)


def _places(sizes: Sequence[int], first: int, flip: bool, halvings: int) -> Int32Array:
    """Return the new row of each of a sensor's rows, −1 outside; or of its columns.

    Parameters
    ----------
    sizes
        Numbers of rows: of the sensor, after the crop, after the halvings, and in the end.
    first
        First row of the crop.

    Examples
    --------
    >>> _places([6, 4, 4, 3], 1, True, 0).tolist()  # rows 1 to 4, mirrored, 4 to 3
    [-1, 2, 1, 1, 0, -1]
    """
    size, cropped, halved, new = sizes
    row = np.arange(cropped)[:: -1 if flip else 1] >> halvings
    places = np.full(size, -1, dtype=np.int32)
    places[first : first + cropped] = (2 * row + 1) * new // (2 * halved)
    return places


class FrameMap:
    """What resizes finished frames.

    Parameters
    ----------
    shape
        (C, H, W) of the frames to come.
    size
        (height, width) of those that it makes.
    method
        How. ``nearest``: row i is row ⌊(i + ½) H/H'⌋, as torch's ``nearest-exact`` computes it in
        float32: of two rows, or columns, the second, as RVT halves its frames. ``bilinear``:
        between the four values around (i + ½) H/H' − ½, without corners aligned and without
        smoothing; ``area``: the mean of all values that the new pixel touches.

    Attributes
    ----------
    shape : (C, H', W') of the frames that it makes.

    Notes
    -----
    Floating-point frames are computed in their own type by sums, products and divisions that are
    not fused, in the order in which torch does it. ``nearest`` and, unless one pixel is left,
    ``area`` give torch's values to the bit. ``bilinear`` does where torch does not fuse, as with
    sizes that are halved; torch's own values differ between processors in the last places. Whole
    numbers are computed in float64 and rounded, half to even; they stay of their type.

    Examples
    --------
    >>> frame = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    >>> [FrameMap((1, 2, 4), (1, 2), m).apply(frame).tolist() for m in ("nearest", "area")]
    [[[[5, 7]]], [[[2, 4]]]]
    """

    def __init__(self, shape: tuple[int, int, int], size: tuple[int, int], method: Method) -> None:
        from evreel.kernels.geometry import average, blend, pick

        self._before = shape
        self.shape = shape[0], *size
        self.method = method
        self._pick: Callable[..., None] = pick
        self._blend: Callable[..., None] = blend
        self._average: Callable[..., None] = average
        self._tables: dict[type[np.floating[Any]], list[npt.NDArray[Any]]] = {}

    def apply(self, frame: Frame, out: Frame | None = None) -> Frame:
        """Return a resized frame.

        Parameters
        ----------
        frame
            (C, H, W) of any type.
        out
            (C, H', W') of the same type, which is filled; None makes one.

        Raises
        ------
        LayoutError
            If a frame has another shape or type.
        """
        out = np.empty(self.shape, frame.dtype) if out is None else out
        if frame.shape != self._before or out.shape != self.shape or frame.dtype != out.dtype:
            raise LayoutError(
                f"a frame of {frame.dtype} {frame.shape} cannot become {out.dtype} {out.shape}; "
                f"{self._before} becomes {self.shape}, of the same type"
            )
        if self.method == "nearest":  # by their bits, since numba does not know every type
            bits = np.dtype(f"u{frame.dtype.itemsize}")
            self._pick(frame.view(bits), *self._table(np.float32), out.view(bits))
        elif frame.dtype in (np.float32, np.float64):
            self._interpolate(frame, out, False)
        elif frame.dtype.kind == "f":  # half as long, or with its bytes in the other order
            out[:] = self.apply(frame.astype(np.promote_types(frame.dtype, np.float32)))
        else:
            exact = np.empty(self.shape, dtype=np.float64)
            self._interpolate(frame.astype(np.float64), exact, True)
            out[:] = np.rint(exact, out=exact)
        return out

    def _interpolate(self, frame: Frame, out: Frame, is_whole: bool) -> None:
        table = self._table(frame.dtype.type)
        if self.method == "bilinear":
            self._blend(frame, *table, out)
        else:
            self._average(frame, *table, is_whole, out)

    def _table(self, kind: type[np.floating[Any]]) -> list[npt.NDArray[Any]]:
        """Return what a kernel needs to know of rows, then of columns, in a floating type."""
        if kind not in self._tables:
            of = {"nearest": nearest, "bilinear": _between, "area": _touched}[self.method]
            axes = zip(self._before[1:], self.shape[1:], strict=True)
            self._tables[kind] = [array for old, new in axes for array in of(old, new, kind)]
        return self._tables[kind]


def nearest(old: int, new: int, kind: type[np.floating[Any]]) -> tuple[Int64Array]:
    """Return which of `old` rows is each of `new` ones.

    Examples
    --------
    >>> [row.tolist() for old, new in ((7, 3), (2, 4)) for row in nearest(old, new, np.float32)]
    [[1, 3, 5], [0, 0, 1, 1]]
    """
    at = ((np.arange(new) + 0.5) * np.float64(kind(old) / kind(new))).astype(kind)
    return (np.minimum(np.floor(at).astype(np.int64), old - 1),)


def _between(
    old: int, new: int, kind: type[np.floating[Any]]
) -> tuple[Int64Array, Int64Array, npt.NDArray[Any]]:
    """Return the rows above and below each of `new` rows, and the weight of the one below.

    Examples
    --------
    >>> [column.tolist() for column in _between(2, 4, np.float32)]
    [[0, 0, 0, 1], [1, 1, 1, 1], [0.0, 0.25, 0.75, 0.25]]
    """
    half = kind(0.5)
    at = np.maximum((np.arange(new, dtype=kind) + half) * (kind(old) / kind(new)) - half, kind(0))
    above = np.minimum(at.astype(np.int64), old - 1)
    return above, np.minimum(above + 1, old - 1), np.minimum(at - above.astype(kind), kind(1))


def _touched(
    old: int, new: int, kind: type[np.floating[Any]]
) -> tuple[Int64Array, npt.NDArray[Any]]:
    """Return the first of the rows that each of `new` rows touches, and how many these are.

    Examples
    --------
    >>> [column.tolist() for column in _touched(5, 2, np.float32)]
    [[0, 2], [3.0, 3.0]]
    """
    row = np.arange(new)
    first = row * old // new
    return first, (-(-(row + 1) * old // new) - first).astype(kind)


def clipped(
    boxes: npt.NDArray[np.void], sensor: tuple[float, float]
) -> tuple[npt.NDArray[np.void], int, int]:
    """Return boxes within a sensor, how many were clipped, and how many were left out.

    Parameters
    ----------
    boxes
        (n,) records with x, y, w, h. They do not change.
    sensor
        (height, width) in pixels; either may be infinite.

    Returns
    -------
    Boxes that reach outside lose what is outside; those that are all outside are left out.
    """
    over = is_outside(corners(boxes), sensor)
    if not over.any():
        return boxes, 0, 0
    boxes = boxes.copy()
    height, width = sensor
    for corner, size, limit in (("x", "w", width), ("y", "h", height)):
        start = boxes[corner][over].astype(np.float64)
        start, stop = np.clip([start, start + boxes[size][over]], 0, limit)
        boxes[corner][over], boxes[size][over] = start, stop - start
    gone = over & is_empty(corners(boxes))
    n_gone = int(np.count_nonzero(gone))
    return boxes[~gone], int(np.count_nonzero(over)) - n_gone, n_gone


def corners(boxes: npt.NDArray[np.void]) -> list[Column]:
    """Return the columns x, y, w, h of boxes."""
    return [boxes[name] for name in "xywh"]


def is_outside(columns: Sequence[Column], sensor: tuple[float, float]) -> BoolArray:
    """Return which boxes, (n,) x, y, w, h, have a corner outside the sensor's (height, width)."""
    x, y, w, h = (column.astype(np.float64) for column in columns)
    height, width = sensor
    with np.errstate(invalid="ignore"):
        over = (x < -SLACK_PX) | (y < -SLACK_PX)
        over |= (x + w > width + SLACK_PX) | (y + h > height + SLACK_PX)
    return over & is_finite(columns)


def is_empty(columns: Sequence[Column]) -> BoolArray:
    """Return which boxes, (n,) x, y, w, h, all finite, have no area."""
    *_, w, h = columns
    return is_finite(columns) & ((w <= 0) | (h <= 0))


def is_finite(columns: Sequence[Column]) -> BoolArray:
    """Return which boxes, (n,) x, y, w, h, have neither NaN nor infinity in them."""
    finite: BoolArray = np.logical_and.reduce([np.isfinite(c) for c in columns])
    return finite
