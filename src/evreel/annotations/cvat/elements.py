"""What reading and writing share: the table of shapes, and elements with checked attributes.

To add a shape, write its class in `evreel.annotations.shapes` and a row of `GEOMETRIES` here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

from evreel.annotations.shapes import (
    Box,
    Cuboid,
    Ellipse,
    FloatArray,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
)
from evreel.errors import AnnotationError

VERSION = "1.1"
"""Of CVAT's format."""

LARGEST_MASK_PX = 1 << 26
"""Pixels of a mask's rectangle: a larger one is a mistake, or meant to fill the memory."""

LARGEST_FRAME = (1 << 24) - 1
"""Of a video: 46 hours of 10 ms. A larger number is a mistake, or meant to fill the memory."""

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
# Greedy, though possessive would do: Python 3.11.2 matches too much with that.
_PLAIN = r"-?[0-9]+(?:\.[0-9]+)?"
_PLAIN_POINTS = re.compile(rf"{_PLAIN},{_PLAIN}(?:;{_PLAIN},{_PLAIN})*", re.ASCII)
_FARTHEST_PX = 1e9  # far enough for any picture, near enough that products stay finite


class File(NamedTuple):
    """An XML file, for messages.

    Parameters
    ----------
    path : of the XML, or of the zip that it is in.
    member : its name in the zip; empty if it is not in one.
    """

    path: Any
    member: str = ""

    def place(self, line: int, *what: str) -> str:
        """Return where something is in the file."""
        return ", ".join(part for part in (self.member, f"line {line}", *what) if part)


class Element:
    """An XML element whose attributes are checked when they are read.

    Parameters
    ----------
    file
        Its file.
    xml
        The lxml element.
    what
        What it describes, such as ``track 7 ('car')``, for messages; may be empty.

    Attributes
    ----------
    frame : its frame, for messages; −1 if `what` says it, or it has none.
    """

    __slots__ = ("file", "frame", "values", "what", "xml")

    def __init__(self, file: File, xml: Any, what: str = "") -> None:
        self.file = file
        self.xml = xml
        self.values: dict[str, str] = dict(xml.items())
        self.what = what
        self.frame = -1

    def fail(self, problem: str, hint: str | None = None) -> NoReturn:
        """Raise an AnnotationError that names file, line, and what the element describes."""
        frame = f"frame {self.frame}" if self.frame >= 0 else ""
        place = self.file.place(self.xml.sourceline, self.what, frame)
        raise AnnotationError(problem, path=self.file.path, place=place, hint=hint)

    def text(self, name: str) -> str:
        """Return a required attribute."""
        text = self.values.get(name)
        if text is None:
            self.fail(f"<{self.xml.tag}> has no {name}")
        return text

    def whole(self, name: str, *, least: int | None = None, absent: int | None = None) -> int:
        """Return an attribute as a whole number; if it is left out, `absent`, or raise if None."""
        text = self.values.get(name)
        if text is None:
            if absent is not None:
                return absent
            text = self.text(name)
        if len(text) < 10 and text.isascii() and text.isdigit() and not least:
            return int(text)
        return self._as_whole(name, text, least)

    def content(self, least: int) -> int:
        """Return the element's own text as a whole number."""
        return self._as_whole(self.xml.tag, (self.xml.text or "").strip(), least)

    def _as_whole(self, name: str, text: str, least: int | None) -> int:
        if not _WHOLE.fullmatch(text):
            self.fail(f"{name}={text!r} is not a whole number")
        value = int(text)
        if least is not None and value < least:
            self.fail(f"{name}={value} is not at least {least}")
        return value

    def number(self, name: str) -> float:
        """Return an attribute as a number of pixels or degrees."""
        return self.as_number(name, self.text(name))

    def as_number(self, name: str, text: str) -> float:
        """Return a part of an attribute as a number of pixels or degrees."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # Python takes more for a number than XML does: 1_0, or digits of other scripts.
        if not -_FARTHEST_PX < value < _FARTHEST_PX or "_" in text or not text.isascii():
            self.fail(f"{name} has {text!r}, which is not a number of pixels")
        return value

    def bit(self, name: str, *, absent: bool = False) -> bool:
        """Return an attribute that is 0 or 1; `absent` if it is left out."""
        text = self.values.get(name)
        if text is None:
            return absent
        if text not in ("0", "1"):
            self.fail(f"{name}={text!r} is neither 0 nor 1")
        return text == "1"


Coordinates = list[float]
"""x and y of each point, one after the other."""

Read = tuple[Coordinates, tuple[Any, ...]]
"""The coordinates of a shape, and what its class adds to those of all."""


def _read_named(*names: str) -> Callable[[Element], Read]:
    def read(element: Element) -> Read:
        return [element.number(name) for name in names], ()

    return read


def _write_named(*names: str) -> Callable[[Any], dict[str, str]]:
    def write(shape: Shape) -> dict[str, str]:
        return dict(zip(names, map(_px, shape.points.ravel().tolist()), strict=True))

    return write


def _read_turned(*names: str) -> Callable[[Element], Read]:
    def read(element: Element) -> Read:
        coordinates = [element.number(name) for name in names]
        if "rotation" not in element.values:
            return coordinates, ()
        rotation = element.number("rotation")
        return coordinates, (rotation,) if rotation else ()

    return read


def _write_turned(*names: str) -> Callable[[Any], dict[str, str]]:
    unturned = _write_named(*names)

    def write(shape: Box | Ellipse) -> dict[str, str]:
        rotation = {"rotation": _px(shape.rotation)} if shape.rotation else {}
        return unturned(shape) | rotation

    return write


def _read_vertices(element: Element) -> Read:
    text = element.text("points")
    if _PLAIN_POINTS.fullmatch(text):
        # Asking `as_number` for each makes reading polygons of 20 vertices 1.4 times as slow.
        found = list(map(float, text.replace(";", ",").split(",")))
        if min(found) > -_FARTHEST_PX and max(found) < _FARTHEST_PX:
            return found, ()
    coordinates: Coordinates = []
    pairs = text.split(";")
    for pair in pairs:
        xy = pair.split(",")
        if len(xy) != 2:
            element.fail(f"{element.xml.tag} has {pair!r} among its points; x,y is expected")
        coordinates += (element.as_number("points", value) for value in xy)
    return coordinates, ()


def write_vertices(points: FloatArray) -> dict[str, str]:
    """Return the attribute with a list of points."""
    return {"points": ";".join(f"{_px(x)},{_px(y)}" for x, y in points.tolist())}


def _read_mask(element: Element) -> Read:
    left, top = (_whole_pixels(element, name) for name in ("left", "top"))
    width, height = (element.whole(name, least=1) for name in ("width", "height"))
    n = width * height
    if n > LARGEST_MASK_PX:
        element.fail(f"mask of {width}x{height} px is larger than any picture")
    runs = []
    for text in element.text("rle").split(","):
        length = text.strip()
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            element.fail(f"rle has {length!r}, which is not a number of pixels")
        runs.append(int(length))
    if sum(runs) != n:
        element.fail(f"rle has {sum(runs)} pixels; width={width} times height={height} are {n}")
    return [left, top, left + width, top + height], (tuple(runs),)


def _whole_pixels(element: Element, name: str) -> float:
    value = element.number(name)
    if value != math.floor(value):
        element.fail(f"{name}={value} is not a whole number of pixels")
    return value


def _write_mask(mask: Mask) -> dict[str, str]:
    height, width = mask.shape
    left, top = mask.points[0].astype(int).tolist()
    numbers = {"left": left, "top": top, "width": width, "height": height}
    rle = {"rle": ", ".join(map(str, mask.runs))}
    return rle | {name: str(number) for name, number in numbers.items()}


def _px(value: float) -> str:
    """Return a coordinate with two decimals, without a minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


class Geometry(NamedTuple):
    """How CVAT writes a shape in XML.

    Parameters
    ----------
    element : the element's name.
    shape : the class.
    read : an element → the shape's coordinates, and what its class adds; raises AnnotationError if
        they are not numbers.
    attributes : a shape → its XML attributes, in CVAT's order.
    """

    element: str
    shape: type[Shape]
    read: Callable[[Element], Read]
    attributes: Callable[[Any], dict[str, str]]

    def fault(self, coordinates: Coordinates) -> str | None:
        """Return what keeps coordinates from being a shape; None if nothing."""
        if self.shape is Box:
            left, top, right, bottom = coordinates
            if left < right and top < bottom:
                return None
        if 0 < 2 * self.shape.least <= len(coordinates):
            return None
        return self.shape.fault(np.array(coordinates, dtype=float).reshape(-1, 2))


_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_RADII = ("cx", "cy", "rx", "ry")
_CUBOID = tuple(
    f"{axis}{corner}{side}"
    for side in (1, 2)
    for corner in ("tl", "bl", "tr", "br")
    for axis in "xy"
)

GEOMETRIES = (
    Geometry("box", Box, _read_turned(*_CORNERS), _write_turned(*_CORNERS)),
    Geometry("ellipse", Ellipse, _read_turned(*_RADII), _write_turned(*_RADII)),
    Geometry("polygon", Polygon, _read_vertices, lambda shape: write_vertices(shape.points)),
    Geometry("polyline", Polyline, _read_vertices, lambda shape: write_vertices(shape.points)),
    Geometry("points", Points, _read_vertices, lambda shape: write_vertices(shape.points)),
    Geometry("cuboid", Cuboid, _read_named(*_CUBOID), _write_named(*_CUBOID)),
    Geometry("mask", Mask, _read_mask, _write_mask),
    Geometry("skeleton", Skeleton, _read_vertices, lambda _: {}),
)
"""The shapes that are read and written. Of a skeleton, `skeletons` reads and writes the points."""

BY_ELEMENT = {geometry.element: geometry for geometry in GEOMETRIES}
BY_CLASS = {geometry.shape: geometry for geometry in GEOMETRIES}
