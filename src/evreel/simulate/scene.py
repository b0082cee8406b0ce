"""Scene files: what `evreel.simulate.camera` films, as a TOML file and as types.

A scene is a flat world in front of a fixed camera: a background, and labelled objects that move
along straight lines between keyframes. The file is small and strict: an unknown key, a wrong type
or a number out of range is an error that names the key.

.. code-block:: toml

    name = "corner"             # letters, digits, - and _: the name of the recording
    duration_us = 1_000_000     # a multiple of step_us
    seed = 1                    # for textures, thresholds, noise; default 0
    step_us = 500               # of the simulation, 50 to 1000; default 500
    frame_us = 10_000           # of the video that the ground truth is for; default 10_000

    [sensor]
    height = 64                 # px, 1 to 2048
    width = 64

    [camera]                    # optional, as is each of its keys
    threshold_on = 0.25         # change of ln(intensity) that makes an ON event, 0.02 to 2
    threshold_off = 0.25
    threshold_spread = 0.02     # standard deviation from pixel to pixel, below threshold / 6
    refractory_us = 200         # shortest time between two events of a pixel, 0 to 100_000
    noise_hz = 0.1              # shot noise, events per second and pixel, 0 to 100
    hot_pixels = 2              # pixels that also fire ON on their own
    hot_pixel_hz = 100.0        # … at this rate each, 0 to 10_000

    [background]
    intensity = 0.4             # share of full scale, 0.001 to 1
    texture = "noise"           # plain (default), noise, stripes, checker
    contrast = 0.1              # unless plain: intensity · (1 ± contrast), 0 to 0.9; default 0.3;
                                # intensity · (1 + contrast) is at most 1
    cell_px = 16                # unless plain: size of a cell, 1, 2, 4, 8, 16, 32 or 64; default 8
    drift_px_s = [5.0, 0.0]     # motion of the background; default [0, 0]

    [[object]]
    label = "car"
    box = [20.0, 12.0]          # width, height; its origin is the top left corner
    # or: polygon = [[0, 0], [8, 3], [2, 9]], vertices from the object's origin, sides not crossing
    annotate = "box"            # how the ground truth outlines it: box or polygon, and nothing
                                # else; default: its own shape
    intensity = 0.9             # and texture … as for the background
    z_order = 1                 # higher is on top; of equals, the later in the file; default 0
    motion = [                  # µs, px of the origin; straight lines between, at rest outside
        [0, -20.0, 30.0],
        [1_000_000, 64.0, 30.0],
    ]
    visible_us = [[0, 500_000], [600_000, 1_000_000]]   # default: always

    [[tag]]                     # a label for the whole picture
    label = "busy"
    start_us = 200_000
    stop_us = 400_000
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from evreel.annotations.shapes import Box, Polygon
from evreel.errors import EvreelError
from evreel.events import Sensor

SUBPIXEL = 1024
"""Lengths are whole numbers of 1/1024 px: sums and products of them are exact everywhere."""

FULL_SCALE = 65_535
"""Intensities are whole numbers from 1 to this."""

LOG_UNIT = 65_536
"""Log intensities and thresholds are whole numbers of 1/65536 of a unit of ln."""

Texture = Literal["plain", "noise", "stripes", "checker"]
Point = tuple[int, int]
Drawn = Box | Polygon
"""Shapes that objects have, and that the ground truth draws around them."""

_DRAWN: dict[str, type[Drawn]] = {shape.name: shape for shape in (Box, Polygon)}

_TEXTURES = ("plain", "noise", "stripes", "checker")
_CELLS_PX = (1, 2, 4, 8, 16, 32, 64)
_LONGEST_US = 3_600_000_000
_FARTHEST_PX = 16_384
_MOST_VERTICES = 256


@dataclass(frozen=True)
class Surface:
    """How bright something is.

    Parameters
    ----------
    intensity : mean, 1 to `FULL_SCALE`.
    amplitude : of the texture around the mean; 0 is plain.
    texture : its pattern.
    cell_shift : log2 of the pattern's cell in 1/1024 px: 10 for a cell of 1 px.
    """

    intensity: int
    amplitude: int
    texture: Texture
    cell_shift: int


@dataclass(frozen=True)
class Keyframe:
    """Where an object's origin is at an instant: µs, and 1/1024 px."""

    t_us: int
    x: int
    y: int


@dataclass(frozen=True)
class SceneObject:
    """A labelled outline that moves without turning.

    Parameters
    ----------
    label : what it is.
    outline : vertices in order, from the object's origin, 1/1024 px; a box has its four corners.
    annotate : the shape that the ground truth draws around it.
    surface : its brightness; the texture moves along.
    z_order : higher is on top.
    motion : one or more keyframes, in order of time.
    visible_us : half-open intervals in order; outside them the object is not there.
    """

    label: str
    outline: tuple[Point, ...]
    annotate: type[Drawn]
    surface: Surface
    z_order: int
    motion: tuple[Keyframe, ...]
    visible_us: tuple[tuple[int, int], ...]

    def origin(self, t_us: int) -> Point:
        """Return where the origin is, in 1/1024 px, rounded down between keyframes.

        Examples
        --------
        >>> path = (Keyframe(0, 0, 0), Keyframe(10, 1024, -5))
        >>> thing = SceneObject("a", (), Box, Surface(9, 0, "plain", 10), 0, path, ())
        >>> thing.origin(-3), thing.origin(5), thing.origin(99)
        ((0, 0), (512, -3), (1024, -5))
        """
        before = self.motion[0]
        for after in self.motion:
            if t_us < after.t_us:
                past, span = t_us - before.t_us, after.t_us - before.t_us
                if past <= 0:
                    break
                return (
                    before.x + (after.x - before.x) * past // span,
                    before.y + (after.y - before.y) * past // span,
                )
            before = after
        return before.x, before.y

    def vertices(self, t_us: int) -> tuple[Point, ...]:
        """Return the outline's vertices in the picture, in 1/1024 px."""
        x, y = self.origin(t_us)
        return tuple((x + dx, y + dy) for dx, dy in self.outline)

    def shown(self, t_us: int) -> bool:
        """Return whether an instant is in a visible interval."""
        return any(start <= t_us < stop for start, stop in self.visible_us)


@dataclass(frozen=True)
class SceneTag:
    """A label for the whole picture in ``[start_us, stop_us)``."""

    label: str
    start_us: int
    stop_us: int


@dataclass(frozen=True)
class Camera:
    """The event camera's parameters.

    Parameters
    ----------
    threshold_on, threshold_off, threshold_spread : in 1/`LOG_UNIT`.
    refractory_us : shortest time between two events of a pixel.
    noise_hz : shot noise, events per second and pixel.
    hot_pixels : how many.
    hot_pixel_hz : events per second of each.
    """

    threshold_on: int
    threshold_off: int
    threshold_spread: int
    refractory_us: int
    noise_hz: float
    hot_pixels: int
    hot_pixel_hz: float


@dataclass(frozen=True)
class Scene:
    """A scene, checked; all its times are µs since the scene's start.

    What stops with the scene stops `frame_us` later here: the video's last frame may end after
    the scene, and shows what was there at its end.

    `drift` is the background's motion in 1/1024 px per second; the other parameters are as in
    the scene file.
    """

    name: str
    sensor: Sensor
    duration_us: int
    step_us: int
    frame_us: int
    seed: int
    camera: Camera
    background: Surface
    drift: Point
    objects: tuple[SceneObject, ...]
    tags: tuple[SceneTag, ...]


def load_scene(path: str | Path) -> Scene:
    """Read a scene file.

    Raises
    ------
    EvreelError
        If the file cannot be read, is not TOML, has an unknown key or lacks one, or a value has
        the wrong type or is out of range. The message names the key.
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvreelError(f"cannot be read: {error.strerror}", path=path) from error
    except ValueError as error:  # wrong UTF-8, wrong TOML
        raise EvreelError(f"is not a TOML file: {error}", path=path) from error
    return parse_scene(document, path)


def parse_scene(document: Mapping[str, Any], path: str | Path | None = None) -> Scene:
    """Return the scene that a document describes; `path` is for messages.

    Raises
    ------
    EvreelError
        As in `load_scene`.
    """
    top = _Table(document, path)
    name = top.text("name", r"[A-Za-z0-9][A-Za-z0-9_-]*", "a name of letters, digits, - and _")
    step_us = top.whole("step_us", 50, 1000, 500)
    duration_us = top.whole("duration_us", 1, _LONGEST_US)
    if duration_us % step_us:
        top.refuse("duration_us", duration_us, f"a multiple of step_us={step_us}")
    frame_us = top.whole("frame_us", 100, _LONGEST_US, 10_000)
    size = top.table("sensor")
    sensor = Sensor(size.whole("height", 1, 2048), size.whole("width", 1, 2048))
    size.end()
    background = top.table("background")
    drift = background.pair("drift_px_s", -_FARTHEST_PX, [0, 0])
    surface = _surface(background)
    background.end()
    scene = Scene(
        name=name,
        sensor=sensor,
        duration_us=duration_us,
        step_us=step_us,
        frame_us=frame_us,
        seed=top.whole("seed", 0, 2**63 - 1, 0),
        camera=_camera(top.table("camera", {}), sensor),
        background=surface,
        drift=drift,
        objects=tuple(_object(table, duration_us, frame_us) for table in top.tables("object")),
        tags=tuple(_tag(table, duration_us, frame_us) for table in top.tables("tag")),
    )
    top.end()
    return scene


_REQUIRED: Any = object()


class _Table:
    """A table of a scene file: keys are taken one by one, and none may be left at the end."""

    def __init__(self, table: Mapping[str, Any], path: str | Path | None, place: str = "") -> None:
        self._left = dict(table)
        self._known: list[str] = []
        self._path = path
        self._place = place

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        raise EvreelError(
            f"{key}={value!r} is not {expected}", path=self._path, place=self._place or None
        )

    def end(self) -> None:
        for key, value in self._left.items():
            raise EvreelError(
                f"{key}={value!r}: there is no such key",
                path=self._path,
                place=self._place or None,
                hint=f"The keys here are {', '.join(self._known)}.",
            )

    def take(self, key: str, default: Any = _REQUIRED) -> Any:
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            raise EvreelError(
                f"{key} is missing; it is required", path=self._path, place=self._place or None
            )
        return value

    def one_of(self, *keys: str) -> Any:
        """Return the one of these keys that the table has."""
        self._known.extend(keys)
        held = [key for key in keys if key in self._left]
        if len(held) != 1:
            raise EvreelError(
                f"{' and '.join(held) or 'none'} of {' and '.join(keys)} is given; "
                "exactly one is expected",
                path=self._path,
                place=self._place or None,
            )
        return held[0]

    def text(self, key: str, pattern: str = r"[^\n\r]*\S[^\n\r]*", what: str = "a text") -> str:
        value = self.take(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            self.refuse(key, value, what)
        return value

    def choice(self, key: str, choices: Sequence[object], default: object) -> Any:
        value = self.take(key, default)
        if isinstance(value, bool) or value not in choices:
            self.refuse(key, value, f"one of {', '.join(map(str, choices))}")
        return value

    def whole(self, key: str, low: int, high: int, default: Any = _REQUIRED) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(key, value, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: Any = _REQUIRED) -> float:
        value = self.take(key, default)
        if not _is_number(value) or not low <= value <= high:
            self.refuse(key, value, f"a number from {low} to {high}")
        return float(value)

    def pair(self, key: str, low: float, default: Any = _REQUIRED) -> Point:
        """Take two lengths in px, each `low` or more, and return them in 1/1024 px."""
        value = self.take(key, default)
        if not _is_row(value, 2) or min(value) < low or max(value) > _FARTHEST_PX:
            self.refuse(key, value, f"two numbers from {low} to {_FARTHEST_PX}")
        return _sub_pixels(value)

    def box(self, key: str) -> tuple[Point, ...]:
        width, height = self.pair(key, 1.0)
        return (0, 0), (width, 0), (width, height), (0, height)

    def polygon(self, key: str) -> tuple[Point, ...]:
        value = self.take(key)
        if not isinstance(value, list) or not 3 <= len(value) <= _MOST_VERTICES:
            self.refuse(key, value, f"a list of 3 to {_MOST_VERTICES} vertices [x, y]")
        for row in value:
            if not _is_row(row, 2) or max(map(abs, row)) > _FARTHEST_PX:
                self.refuse(key, row, f"a vertex [x, y] within ±{_FARTHEST_PX} px")
        outline = tuple(_sub_pixels(row) for row in value)
        if not _is_simple(outline):
            self.refuse(key, value, "an outline with an area and sides that do not touch or cross")
        return outline

    def motion(self, key: str, duration_us: int) -> tuple[Keyframe, ...]:
        value = self.take(key)
        if not isinstance(value, list) or not value:
            self.refuse(key, value, "a list of keyframes [t_us, x, y]")
        last = -1
        for row in value:
            if not _is_row(row, 3) or max(map(abs, row[1:])) > _FARTHEST_PX:
                self.refuse(key, row, f"a keyframe [t_us, x, y] within ±{_FARTHEST_PX} px")
            if type(row[0]) is not int or not last < row[0] <= duration_us:
                self.refuse(
                    key,
                    row,
                    f"a keyframe with t_us a whole number from {last + 1} to {duration_us}",
                )
            last = row[0]
        return tuple(Keyframe(row[0], *_sub_pixels(row[1:])) for row in value)

    def spans(self, key: str, stop_us: int, beyond_us: int) -> tuple[tuple[int, int], ...]:
        """Take half-open intervals; one that stops with the scene is extended by `beyond_us`."""
        value = self.take(key, [[0, stop_us]])
        expected = f"a list of [start_us, stop_us], in order, disjoint, within 0 to {stop_us}"
        if not isinstance(value, list) or not value:
            self.refuse(key, value, expected)
        end = 0
        for span in value:
            whole = isinstance(span, list) and len(span) == 2 and all(type(t) is int for t in span)
            if not whole or not end <= span[0] < span[1] <= stop_us:
                self.refuse(key, value, expected)
            end = span[1]
        return tuple((a, b + beyond_us if b == stop_us else b) for a, b in value)

    def table(self, key: str, default: Any = _REQUIRED) -> _Table:
        value = self.take(key, default)
        if not isinstance(value, dict):
            self.refuse(key, value, f"a table [{key}]")
        return _Table(value, self._path, key)

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self.refuse(key, value, f"tables [[{key}]]")
        return [
            _Table(
                entry,
                self._path,
                f"{key} {k} ({entry['label']!r})" if "label" in entry else f"{key} {k}",
            )
            for k, entry in enumerate(value, start=1)
        ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_row(value: object, columns: int) -> bool:
    return isinstance(value, list) and len(value) == columns and all(map(_is_number, value))


def _sub_pixels(row: Sequence[float]) -> Point:
    return round(row[0] * SUBPIXEL), round(row[1] * SUBPIXEL)


def _is_simple(outline: Sequence[Point]) -> bool:
    """Return whether an outline has an area, and sides that meet only at their common vertex.

    Examples
    --------
    >>> _is_simple([(0, 0), (4, 0), (4, 4), (0, 4)]), _is_simple([(0, 0), (4, 4), (4, 0), (0, 4)])
    (True, False)
    """
    sides = list(zip(outline, (*outline[1:], outline[0]), strict=True))
    if sum(ax * by - bx * ay for (ax, ay), (bx, by) in sides) == 0:
        return False
    for k, (a, b) in enumerate(sides):
        for j in range(k + 1, len(sides)):
            c, d = sides[j]
            if j == k + 1 or (k == 0 and j == len(sides) - 1):
                # Neighbours share a vertex: they must not also double back on one another.
                tip, ends = (b, (a, d)) if j == k + 1 else (a, (b, c))
                (px, py), (qx, qy) = ((x - tip[0], y - tip[1]) for x, y in ends)
                if px * qy == py * qx and px * qx + py * qy >= 0:
                    return False
            elif _meet(a, b, c, d):
                return False
    return True


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Return whether the segments ab and cd have a point in common."""
    turns = [_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)]
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    spans = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(
        turn == 0
        and min(p[0], q[0]) <= r[0] <= max(p[0], q[0])
        and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])
        for turn, (p, q, r) in zip(turns, spans, strict=True)
    )


def _turn(p: Point, q: Point, r: Point) -> int:
    """Return a number above 0 if p → q → r turns one way, below 0 if the other."""
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])


def _surface(table: _Table) -> Surface:
    intensity = table.number("intensity", 0.001, 1.0)
    texture: Texture = table.choice("texture", _TEXTURES, "plain")
    mean = round(intensity * FULL_SCALE)
    if texture == "plain":
        return Surface(mean, 0, texture, 10)
    contrast = table.number("contrast", 0.0, 0.9, 0.3)
    cell_px = table.choice("cell_px", _CELLS_PX, 8)
    amplitude = round(intensity * contrast * FULL_SCALE)
    if mean + amplitude > FULL_SCALE:
        table.refuse("contrast", contrast, f"such that {intensity}·(1 + contrast) is at most 1")
    return Surface(mean, amplitude, texture, (SUBPIXEL * cell_px).bit_length() - 1)


def _camera(table: _Table, sensor: Sensor) -> Camera:
    on, off = (
        round(table.number(key, 0.02, 2.0, 0.25) * LOG_UNIT)
        for key in ("threshold_on", "threshold_off")
    )
    share = table.number("threshold_spread", 0.0, 0.33, 0.02)
    spread = round(share * LOG_UNIT)
    if 6 * spread >= min(on, off):
        # A pixel's draw is within 6 standard deviations, so that no threshold reaches 0.
        table.refuse("threshold_spread", share, "below a sixth of either threshold")
    camera = Camera(
        threshold_on=on,
        threshold_off=off,
        threshold_spread=spread,
        refractory_us=table.whole("refractory_us", 0, 100_000, 200),
        noise_hz=table.number("noise_hz", 0.0, 100.0, 0.1),
        hot_pixels=table.whole("hot_pixels", 0, sensor.height * sensor.width, 0),
        hot_pixel_hz=table.number("hot_pixel_hz", 0.0, 10_000.0, 100.0),
    )
    table.end()
    return camera


def _object(table: _Table, duration_us: int, frame_us: int) -> SceneObject:
    label = table.text("label")
    name = table.one_of(*_DRAWN)
    outline = table.box(name) if _DRAWN[name] is Box else table.polygon(name)
    thing = SceneObject(
        label=label,
        outline=outline,
        annotate=_DRAWN[table.choice("annotate", tuple(_DRAWN), name)],
        surface=_surface(table),
        z_order=table.whole("z_order", -1000, 1000, 0),
        motion=table.motion("motion", duration_us),
        visible_us=table.spans("visible_us", duration_us, frame_us),
    )
    table.end()
    return thing


def _tag(table: _Table, duration_us: int, frame_us: int) -> SceneTag:
    label = table.text("label")
    start_us = table.whole("start_us", 0, duration_us - 1)
    stop_us = table.whole("stop_us", start_us + 1, duration_us)
    table.end()
    return SceneTag(label, start_us, stop_us + frame_us if stop_us == duration_us else stop_us)
