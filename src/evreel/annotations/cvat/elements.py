"""What reading and writing share: the table of shapes, and elements with checked attributes.

To add a shape, write its class in `evreel.annotations.shapes` and a row of `GEOMETRIES` here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from evreel.annotations.shapes import Box, FloatArray, Polygon, Shape
from evreel.errors import AnnotationError

VERSION = "1.1"
"""Of CVAT's format."""

_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
_FARTHEST_PX = 1e9  # far enough for any picture, near enough that products stay finite


class Element:
    """An XML element whose attributes are checked when they are read.

    Parameters
    ----------
    path
        Its file.
    xml
        The lxml element.
    what
        What it describes, such as ``track 7 ('car'), frame 412``, for messages; may be empty.
    """

    __slots__ = ("path", "what", "xml")

    def __init__(self, path: Path, xml: Any, what: str = "") -> None:
        self.path = path
        self.xml = xml
        self.what = what

    def fail(self, problem: str, hint: str | None = None) -> NoReturn:
        """Raise an AnnotationError that names file, line, and what the element describes."""
        line = f"line {self.xml.sourceline}"
        place = f"{line}, {self.what}" if self.what else line
        raise AnnotationError(problem, path=self.path, place=place, hint=hint)

    def text(self, name: str) -> str:
        """Return a required attribute."""
        text = self.xml.get(name)
        if text is None:
            self.fail(f"<{self.xml.tag}> has no {name}")
        return str(text)

    def whole(self, name: str, *, least: int | None = None, absent: int | None = None) -> int:
        """Return an attribute as a whole number; if it is left out, `absent`, or raise if None."""
        if absent is not None and self.xml.get(name) is None:
            return absent
        return self._as_whole(name, self.text(name), least)

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
        value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
        if not abs(value) < _FARTHEST_PX:
            self.fail(f"{name} has {text!r}, which is not a number of pixels")
        return value

    def bit(self, name: str, *, absent: bool = False) -> bool:
        """Return an attribute that is 0 or 1; `absent` if it is left out."""
        text = self.xml.get(name)
        if text is None:
            return absent
        if text not in ("0", "1"):
            self.fail(f"{name}={text!r} is neither 0 nor 1")
        return bool(text == "1")


def _read_corners(element: Element) -> FloatArray:
    left, top, right, bottom = map(element.number, ("xtl", "ytl", "xbr", "ybr"))
    return np.array([[left, top], [right, bottom]])


def _corners(points: FloatArray) -> dict[str, str]:
    names = ("xtl", "ytl", "xbr", "ybr")
    return {name: _px(value) for name, value in zip(names, points.ravel().tolist(), strict=True)}


def _read_vertices(element: Element) -> FloatArray:
    vertices = []
    for pair in element.text("points").split(";"):
        xy = pair.split(",")
        if len(xy) != 2:
            element.fail(f"{element.xml.tag} has {pair!r} among its points; x,y is expected")
        vertices.append([element.as_number("points", value) for value in xy])
    return np.array(vertices)


def _vertices(points: FloatArray) -> dict[str, str]:
    return {"points": ";".join(f"{_px(x)},{_px(y)}" for x, y in points.tolist())}


def _px(value: float) -> str:
    """Return a coordinate with two decimals, without a minus before zero."""
    return f"{round(value, 2) + 0.0:.2f}"


class Geometry(NamedTuple):
    """How CVAT writes a shape in XML.

    Parameters
    ----------
    element : the element's name.
    shape : the class.
    read : an element → the shape's points; raises AnnotationError if they are not numbers.
    attributes : points → their XML attributes, in CVAT's order.
    """

    element: str
    shape: type[Shape]
    read: Callable[[Element], FloatArray]
    attributes: Callable[[FloatArray], dict[str, str]]


GEOMETRIES = (
    Geometry("box", Box, _read_corners, _corners),
    Geometry("polygon", Polygon, _read_vertices, _vertices),
)
"""The shapes that are read and written."""

BY_KIND = {geometry.shape.name: geometry for geometry in GEOMETRIES}
BY_CLASS = {geometry.shape: geometry for geometry in GEOMETRIES}


def kind_of(element: Element) -> str:
    """Return the kind of a shape's element: its name, with two exceptions.

    A rotated box is a kind of its own. A skeleton of old files nests tracks.
    """
    tag = str(element.xml.tag)
    if (
        tag == "box"
        and element.xml.get("rotation") is not None
        and element.number("rotation") % 360
    ):
        return "rotated box"
    return "nested track" if tag == "track" else tag
