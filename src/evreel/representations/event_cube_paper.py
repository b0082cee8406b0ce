"""Metavision's ``event_cube_paper``: its event cube with five bins and small steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evreel.representations.event_cube import EventCube
from evreel.settings import setting


@dataclass(frozen=True)
class EventCubePaper(EventCube):
    """Metavision's ``event_cube_paper``: `event_cube` with other defaults.

    Parameters
    ----------
    max_incr_per_pixel
        Events that fill a pixel's bin; None: one.
    num_utbins
        Number of temporal bins.
    split_polarity
        Whether each polarity has channels of its own.

    References
    ----------
    As of `event_cube`.

    Examples
    --------
    >>> EventCubePaper().channels
    10
    """

    name: ClassVar[str] = "event_cube_paper"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "Metavision SDK ML, preprocessing: event_cube_paper"

    max_incr_per_pixel: float | None = setting(
        63.75, "Events that fill a pixel's bin; null: one.", above=0
    )
    num_utbins: int = setting(5, "Number of temporal bins.", minimum=1, maximum=1000)
