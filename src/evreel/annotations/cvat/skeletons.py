"""Points of skeletons, as CVAT nests them.

In an export of today each skeleton has an element for each of its points. Older video exports list
all points in one attribute, and nest a track for each point that says where it is visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evreel.annotations.cvat.elements import Coordinates, Element
from evreel.annotations.shapes import NO_ATTRIBUTES
from evreel.text import nfc


class Joint(NamedTuple):
    """A point of a skeleton in one frame."""

    x: float
    y: float
    outside: bool
    occluded: bool
    attributes: Mapping[str, str] = NO_ATTRIBUTES


class Body(NamedTuple):
    """What the points of a skeleton say together in one frame.

    Parameters
    ----------
    coordinates : x and y of each point.
    joints, visible, hidden : as `evreel.annotations.shapes.Skeleton` has them.
    attributes : of the points, ``point.attribute`` → value.
    """

    coordinates: Coordinates
    joints: tuple[str, ...]
    visible: tuple[bool, ...]
    hidden: tuple[bool, ...]
    attributes: Mapping[str, str]


class Bodies:
    """Puts points in the order of their label, and remembers where each was last.

    A point that is not listed in a frame is not visible there. It stays where it was last in its
    track, so that all skeletons of a track have the same points from its first one on.
    """

    def __init__(self, joints: Mapping[str, Sequence[str]]) -> None:
        self._order = {label: dict.fromkeys(names) for label, names in joints.items()}
        self._last: dict[str, Joint] = {}

    def start(self) -> None:
        """Forget where the points of the last track were."""
        self._last = {}

    def names(self, label: str, n: int) -> list[str]:
        """Return what the points of a label are called, if no one says it of `n` of them."""
        known = list(self._order.get(label, ()))
        return known if len(known) == n else [str(k + 1) for k in range(n)]

    def body(self, label: str, found: Mapping[str, Joint]) -> Body:
        """Return a skeleton of the points that are listed in a frame, and of those before."""
        order = self._order.setdefault(label, {})
        order.update(dict.fromkeys(found))
        joints = tuple(name for name in order if name in found or name in self._last)
        listed = [found.get(name) or self._last[name]._replace(outside=True) for name in joints]
        self._last.update(zip(joints, listed, strict=True))
        return Body(
            [value for joint in listed for value in (joint.x, joint.y)],
            joints,
            tuple(not joint.outside for joint in listed),
            tuple(joint.occluded for joint in listed),
            {
                f"{name}.{attribute}": value
                for name, joint in zip(joints, listed, strict=True)
                for attribute, value in joint.attributes.items()
            },
        )


def point_of(element: Element) -> tuple[float, float]:
    """Return the only point of an element.

    Raises
    ------
    AnnotationError
        If there are several.
    """
    points = element.text("points")
    xy = points.split(",")
    if len(xy) != 2:
        element.fail(f"a skeleton's point has the points {points!r}; x,y is expected")
    return element.as_number("points", xy[0]), element.as_number("points", xy[1])


def joint_name(element: Element) -> str:
    """Return what a point is called: its label."""
    name = nfc(element.text("label"))
    if not name:
        element.fail("a skeleton's point has no label")
    return name
