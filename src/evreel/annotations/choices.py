"""The choices of how shapes label events, and what they are unless somebody chooses."""

from __future__ import annotations

from typing import Literal

At = Literal["frame", "event"]
"""Whether events are compared with the shapes of their frame, or of their own time."""

Priority = Literal["z_order", "area", "track"]

PRIMARY: tuple[Priority, ...] = ("z_order", "area", "track")
"""What makes one of several regions the primary one: higher on top, smaller, later in the list."""

RADIUS_PX = 2.0
"""Radius of points and lines, sensor pixels: what annotators can aim at."""
