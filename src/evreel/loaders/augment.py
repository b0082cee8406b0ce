"""Flips, zooms and shifts of sequences: the same for events, frames and boxes.

What is done is drawn once for a stream and once for a random sequence, from the loader's seed and
what the sequence is; it does not depend on workers, nor on any random state. The order is fixed:
flip, zoom, shift. What comes in from beyond an edge is empty.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.boxes import Boxes
from evreel.errors import UsageError
from evreel.events import Events, Sensor
from evreel.geometry import EventMap, Regions, clipped, nearest
from evreel.representations import Frame
from evreel.representations.feature import Feature
from evreel.settings import Place, Settings, setting
from evreel.timebase import Int64Array

Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Augment(Settings):
    """What is drawn, and how often. The defaults are RVT's for random sequences.

    Examples
    --------
    >>> Augment(flip_x=1, zoom=0).draw("", Sensor(4, 6)).flip_x
    True
    """

    flip_x: float = setting(0.5, "How often left and right change places.", minimum=0, maximum=1)
    flip_y: float = setting(0.0, "How often top and bottom change places.", minimum=0, maximum=1)
    zoom: float = setting(0.8, "How often a sequence is zoomed.", minimum=0, maximum=1)
    zoom_in_share: float = setting(
        0.8, "Which share of zooms goes in; the others go out.", minimum=0, maximum=1
    )
    zoom_in: tuple[float, ...] = setting(
        (1.0, 1.5), "Least and greatest factor of a zoom in.", minimum=1, maximum=100
    )
    zoom_out: tuple[float, ...] = setting(
        (1.0, 1.2), "Least and greatest factor of a zoom out.", minimum=1, maximum=100
    )
    shift_px: int = setting(
        0, "Farthest that a frame is shifted along x, and along y.", unit="px", minimum=0
    )
    of: Literal["frames", "events"] = setting(
        "frames",
        "What is moved. frames: finished ones, each pixel taken as it is (torch's nearest-exact); "
        "events: before frames are computed of them live, each to the pixel that its centre is in.",
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        for name in ("zoom_in", "zoom_out"):
            factors = getattr(self, name)
            if len(factors) != 2 or not factors[0] <= factors[1]:
                yield (name,), f"{factors} is not a least and a greatest factor"

    def draw(self, what: str, size: Sensor, boxes: Boxes | None = None) -> Change:
        """Return what is done to a sequence.

        Parameters
        ----------
        what
            Seed, and which sequence: the same text draws the same.
        size
            (height, width) of its frames.
        boxes
            Boxes of which one is drawn that a zoom in keeps in the picture, as far as it fits; None
            or none: it may go anywhere.
        """
        digest = hashlib.sha512(what.encode("utf-8", "surrogatepass")).digest()
        flip_x, flip_y, zoom, inward, factor, x, y, shift_x, shift_y, box, *_ = (
            np.frombuffer(digest, ">u4") / 2**32
        ).tolist()
        flips = flip_x < self.flip_x, flip_y < self.flip_y
        goes_in = inward < self.zoom_in_share
        least, most = self.zoom_in if goes_in else self.zoom_out
        by = least + factor * (most - least) if zoom < self.zoom else 1.0
        kept = [(0.0, 0.0)] * 2
        if goes_in and boxes is not None and len(boxes):
            one = boxes[int(box * len(boxes))]
            kept = [
                _turned((float(one[corner]), float(one[corner]) + float(one[extent])), flip, side)
                for corner, extent, flip, side in zip("xy", "wh", flips, size[::-1], strict=True)
            ]
        axes = []
        for side, flip, place, shift, edges in zip(
            size[::-1], flips, (x, y), (shift_x, shift_y), kept, strict=True
        ):
            small = max(int(side / by), 1)
            low, high = 0, side - small
            if edges[0] < edges[1] < math.inf and edges[0] > -math.inf:
                bounds = math.floor(edges[0]), math.ceil(edges[1]) - small
                low, high = sorted(min(max(bound, low), high) for bound in bounds)
            at = low + int(place * (high - low + 1))
            moved = int(shift * (2 * self.shift_px + 1)) - self.shift_px
            taken, placed = ((at, small), (0, side)) if goes_in else ((0, side), (at, small))
            axes.append(Axis(side, flip, *taken, placed[0] + moved, placed[1]))
        return Change(axes[1], axes[0], self.of)


RVT_RANDOM = Augment()
"""RVT's settings for random sequences."""
RVT_STREAMS = Augment(zoom=0.5, zoom_in_share=0.0)
"""RVT's settings for streams: a zoom in would soon have nothing but background in it."""


def _turned(edges: tuple[float, float], flip: bool, side: int) -> tuple[float, float]:
    return (side - edges[1], side - edges[0]) if flip else edges


class Axis(NamedTuple):
    """What is done along one axis: a part of the pixels, maybe mirrored, becomes another part.

    Attributes
    ----------
    side : pixels along the axis.
    flip : whether pixel k becomes side − 1 − k first.
    taken, n_taken : first pixel that is taken, and how many are.
    placed, n_placed : first pixel that they become, which may be outside, and how many.
    """

    side: int
    flip: bool
    taken: int
    n_taken: int
    placed: int
    n_placed: int

    @property
    def is_moved(self) -> bool:
        """Whether pixels do not stay at their places, a flip aside."""
        return (self.taken, self.n_taken, self.placed, self.n_placed) != (0, self.side) * 2

    @property
    def inside(self) -> slice:
        """The new pixels that are filled."""
        return slice(max(self.placed, 0), max(min(self.placed + self.n_placed, self.side), 0))

    def sources(self) -> Int64Array:
        """Return which pixel each of those that are filled is.

        Examples
        --------
        >>> Axis(4, True, 0, 4, 1, 4).sources().tolist()  # mirrored, and one to the right
        [3, 2, 1]
        """
        inside = self.inside
        new = slice(inside.start - self.placed, max(inside.stop - self.placed, 0))
        at = self.taken + nearest(self.n_taken, self.n_placed, np.float32)[0][new]
        found: Int64Array = self.side - 1 - at if self.flip else at
        return found

    def places(self) -> Int32Array:
        """Return the new place of the centre of each pixel, −1 outside.

        Examples
        --------
        >>> Axis(4, True, 0, 4, 1, 4).places().tolist()
        [-1, 3, 2, 1]
        >>> Axis(4, False, 1, 2, 0, 4).places().tolist()  # two pixels become four
        [-1, 1, 3, -1]
        """
        at = np.arange(self.side)[:: -1 if self.flip else 1] - self.taken
        new = (2 * at + 1) * self.n_placed // (2 * self.n_taken) + self.placed
        is_in = (at >= 0) & (at < self.n_taken) & (new >= 0) & (new < self.side)
        return np.where(is_in, new, -1).astype(np.int32)

    def corners(
        self, start: npt.NDArray[np.float64], extent: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the new start and extent of boxes along the axis."""
        if self.flip:
            start = self.side - (start + extent)
        scale = self.n_placed / self.n_taken
        return (start - self.taken) * scale + self.placed, extent * scale


@dataclass(frozen=True)
class Change:
    """What is done to a sequence.

    Parameters
    ----------
    rows, columns
        Along each axis.
    of
        Whether it is done to ``frames`` or to ``events``.
    """

    rows: Axis
    columns: Axis
    of: Literal["frames", "events"] = "frames"

    @property
    def flip_x(self) -> bool:
        """Whether left and right change places."""
        return self.columns.flip

    @property
    def flip_y(self) -> bool:
        """Whether top and bottom change places."""
        return self.rows.flip

    @property
    def size(self) -> Sensor:
        """(height, width) of the frames."""
        return Sensor(self.rows.side, self.columns.side)

    def of_frames(self, frames: Frame) -> None:
        """Change frames, (T, C, H, W), in place."""
        if not (self.rows.is_moved or self.columns.is_moved):
            if self.flip_x or self.flip_y:
                frames[...] = frames[..., :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
            return
        from evreel.kernels.geometry import pick

        rows, columns = self.rows.sources(), self.columns.sources()
        # By their bits, as numba does not know every type.
        bits = np.dtype(f"u{frames.dtype.itemsize}")
        made = np.empty((frames.shape[1], len(rows), len(columns)), bits)
        for frame in frames:
            pick(np.ascontiguousarray(frame).view(bits), rows, columns, made)
            frame[...] = 0
            frame[:, self.rows.inside, self.columns.inside] = made.view(frames.dtype)

    def of_events(self, events: Events) -> tuple[Events, Int64Array]:
        """Return the events that are left, and which these are, ascending.

        Events and frames agree where pixels stay whole: with flips and shifts.
        """
        from evreel.kernels.geometry import move

        n = len(events)
        t, p = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.uint8)
        x, y = np.empty(n, dtype=np.uint16), np.empty(n, dtype=np.uint16)
        kept = np.empty(n, dtype=np.int64)
        tables = self.columns.places(), self.rows.places()
        m = move(events.t, events.x, events.y, events.p, *tables, _ALL, t, x, y, p, kept)
        return Events.trusted(t[:m], x[:m], y[:m], p[:m], events.sensor), kept[:m]

    def of_boxes(self, boxes: Boxes) -> tuple[Boxes, int, int]:
        """Return boxes within the frame, how many were clipped, and how many left out.

        Examples
        --------
        >>> from evreel.layout import BOX_DTYPE
        >>> boxes = np.zeros(1, BOX_DTYPE)
        >>> boxes["x"], boxes["w"], boxes["h"] = 1, 2, 4
        >>> Augment(flip_x=1, zoom=0).draw("", Sensor(4, 6)).of_boxes(boxes)[0]["x"].tolist()
        [3.0]
        """
        moved = boxes.copy()
        for axis, corner, extent in ((self.columns, "x", "w"), (self.rows, "y", "h")):
            edges = boxes[corner].astype(np.float64), boxes[extent].astype(np.float64)
            moved[corner], moved[extent] = axis.corners(*edges)
        return clipped(moved, self.size)

    def of_feature(self, feature: Feature) -> Feature:
        """Return a feature that is computed of events that are changed so.

        Raises
        ------
        UsageError
            If its finished frames are resized: events have other pixels then.
        """
        if feature.geometry.of == "frame" and feature.geometry.resize is not None:
            raise UsageError(
                "augment of events does not go with a geometry that resizes finished frames",
                hint="Resize events (geometry of: events), or augment frames.",
            )
        return _Changed(feature.representation, feature.geometry, feature.stored, self)


_ALL = np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True)
class _Changed(Feature):
    """A feature of changed events."""

    change: Change | None = None

    def of_events(self, sensor: Sensor, regions: Regions | None = None) -> EventMap | None:
        """Return what is done to events: first as for the feature, then the change."""
        assert self.change is not None
        first = super().of_events(sensor, regions)
        made: Any = _Moved(sensor, first, self.change)
        return made  # type: ignore[no-any-return]


class _Moved:
    """What an `EventMap` does, and a change after it."""

    left_out = "outside_augmented"

    def __init__(self, sensor: Sensor, first: EventMap | None, change: Change) -> None:
        self._first, self._change = first, change
        self.sensor = sensor if first is None else first.sensor
        self.weight = 1.0 if first is None else first.weight

    def apply(self, events: Events, first_row: int) -> tuple[Events, Int64Array | None]:
        """Return the events that are left, and which these are; None if all are."""
        before: Int64Array | None = None
        if self._first is not None:
            events, before = self._first.apply(events, first_row)
        n = len(events)
        left, kept = self._change.of_events(events)
        if before is not None:
            return left, before[kept]
        return left, None if len(left) == n else kept
