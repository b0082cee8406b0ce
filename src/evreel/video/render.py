"""Events → grey pictures for people to look at and annotate, one per row of a frame clock.

A frame stands for the interval of its clock row. Its picture may show more of the past:
`accumulate_us`, or the trail of style ``decay``. It always ends where the row stops.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, ParameterError
from evreel.events import Events, Sensor
from evreel.settings import Place, Settings, setting
from evreel.timebase import FARTHEST, FrameClock
from evreel.video.picture import Picture

Style = Literal["polarity", "grey", "decay"]
Image = npt.NDArray[np.uint8]

CONTRAST = 2.0
"""Events per pixel to full scale. One event, half of it, is plain to see: in 10 ms of a DAVIS346
recording, half of the active pixels had one event, and 90 % had three or fewer."""

_INVISIBLE = 1e-6
"""Share of full scale below which a trail is set to 0. No grey level shows it, and if it faded
further, it would become subnormal numbers, which a processor handles a hundred times slower."""


@dataclass(frozen=True)
class _Tone:
    """Grey level without events, and what an event of each polarity adds to its pixel's sum."""

    background: int
    off: int
    on: int

    @property
    def reach(self) -> int:
        """Grey levels from the background to full scale."""
        return 255 - self.background


_TONES: dict[str, _Tone] = {
    "polarity": _Tone(128, -1, 1),
    "grey": _Tone(0, 1, 1),
    "decay": _Tone(128, -1, 1),
}


@dataclass(frozen=True)
class Rendering(Settings):
    """What pictures of events look like."""

    accumulate_us: int | None = setting(
        None,
        "Time that a picture shows, up to the end of its frame; null takes the frame's own "
        "interval. Not for style decay.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
        help="Time that a picture shows, up to the end of its frame; default: what the frame "
        "stands for. Not for style decay.",
    )
    style: Style = setting(
        "polarity",
        "polarity (ON white, OFF black on mid-grey), grey (activity), decay (exponential trail).",
    )
    contrast: float | None = setting(
        None,
        "Events per pixel that make full contrast, the same for the whole recording; null takes 2.",
        above=0,
        maximum=65_535,
    )
    tau_us: int = setting(  # about one frame of a usual camera
        30_000,
        "Time constant of the trails of style decay.",
        unit="µs",
        minimum=1,
        maximum=FARTHEST,
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) for values that do not go together."""
        if self.style == "decay" and self.accumulate_us is not None:
            yield ("accumulate_us",), "does not go with style decay; use tau_us"
        yield from super().contradictions()


def render(
    chunks: Iterable[Events],
    clock: FrameClock,
    sensor: tuple[int, int],
    *,
    style: Style = Rendering.style,
    accumulate_us: int | None = Rendering.accumulate_us,
    contrast: float | None = Rendering.contrast,
    tau_us: int = Rendering.tau_us,
    picture: Picture | None = None,
) -> Iterator[Image]:
    """Draw one picture per clock row, while events are read.

    Each pixel has one sum of its events, which one rule for the whole recording turns into a grey
    level: background ± min(|sum| / contrast, 1) · reach, rounded half up. No picture is
    stretched to its own brightest pixel, so equal activity looks equal in every frame.

    Parameters
    ----------
    chunks
        A recording's events in time order, from its start or from before the first picture.
    clock
        Row k gives picture k, which shows events before ``stop_us[k]``.
    sensor
        (height, width) in pixels, the same as the events'.
    style
        ``polarity``: sum of ON (+1) and OFF (−1) on mid-grey 128, so 255 is ON and 1 is OFF;
        equal numbers of both leave no trace. ``grey``: number of events of either polarity,
        from black 0 to white 255. ``decay``: as polarity, each event weighted by
        exp(−(stop − t) / tau), back to the recording's start.
    accumulate_us
        Events in ``[stop - accumulate_us, stop)`` are shown; None shows the clock row's own
        interval. Not for ``decay``.
    contrast
        Sum at full scale, above 0 and at most 65535; None takes `CONTRAST`.
    tau_us
        Time constant, only for ``decay``.
    picture
        Magnification and padding; None for neither. Padding shows the background.

    Yields
    ------
    (H, W) uint8 of ``picture.shape``, a new array each.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    EventsError
        If a chunk is from another sensor or goes back in time.

    Notes
    -----
    Memory holds one sum per pixel, one chunk of events, and, where pictures overlap, the events
    of the last `accumulate_us`: 13 bytes each.

    Examples
    --------
    Two ON events on the left pixel and one OFF on the right, at the contrast of 2:

    >>> from evreel.events import Sensor
    >>> events = Events([0, 3, 4], [0, 0, 1], [0, 0, 0], [1, 1, 0], Sensor(1, 2))
    >>> [image.tolist() for image in render([events], FrameClock([0], [10]), (1, 2))]
    [[[255, 64]]]
    """
    sensor = Sensor.checked(*sensor)
    picture = picture or Picture(sensor)
    Rendering(accumulate_us, style, contrast, tau_us)  # checks them
    contrast = CONTRAST if contrast is None else float(contrast)
    if tuple(picture.sensor) != sensor:
        raise ParameterError(
            f"picture is for a sensor of {tuple(picture.sensor)}, not of {tuple(sensor)}"
        )
    cursor = _Cursor(chunks, sensor)
    if style == "decay":
        return _trails(cursor, clock, picture, _TONES[style], contrast, tau_us)
    first_us = clock.start_us if accumulate_us is None else clock.stop_us - accumulate_us
    intervals = list(zip(first_us.tolist(), clock.stop_us.tolist(), strict=True))
    return _counts(cursor, intervals, picture, _TONES[style], contrast)


class _Cursor:
    """Chunks of events, taken piece by piece as time advances."""

    def __init__(self, chunks: Iterable[Events], sensor: Sensor) -> None:
        self._chunks = iter(chunks)
        self._sensor = sensor
        self._rest = Events.empty(sensor)
        self._reached_us: int | None = None

    def take_until(self, stop_us: int) -> Iterator[Events]:
        """Yield the events before `stop_us` that were not taken yet."""
        while True:
            cut = int(np.searchsorted(self._rest.t, stop_us))
            if cut:
                taken, self._rest = self._rest[:cut], self._rest[cut:]
                yield taken
            if len(self._rest):
                return
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self._rest = self._checked(chunk)

    def _checked(self, chunk: Events) -> Events:
        if tuple(chunk.sensor) != self._sensor:
            raise EventsError(
                f"a chunk's sensor is {tuple(chunk.sensor)}, not {tuple(self._sensor)}"
            )
        if len(chunk):
            if self._reached_us is not None and chunk.t[0] < self._reached_us:
                raise EventsError(
                    f"a chunk starts at t={chunk.t[0]}, before the last one's t={self._reached_us}"
                )
            self._reached_us = int(chunk.t[-1])
        return chunk


def _counts(
    cursor: _Cursor,
    intervals: list[tuple[int, int]],
    picture: Picture,
    tone: _Tone,
    contrast: float,
) -> Iterator[Image]:
    """Draw sums over intervals neither of whose ends ever goes back."""
    from evreel.kernels.pictures import add_counts, tone_counts

    limit = math.ceil(contrast)
    sums = np.arange(-limit, limit + 1)
    steps = np.floor(np.minimum(np.abs(sums) / contrast, 1) * tone.reach + 0.5)
    levels = np.clip(tone.background + np.sign(sums) * steps, 0, 255).astype(np.uint8)

    counts = np.zeros(picture.sensor, dtype=np.int32)
    held: deque[Events] = deque()  # counted, and still to be subtracted again
    reached_us = intervals[0][0] if intervals else 0
    for k, (first_us, stop_us) in enumerate(intervals):
        if first_us >= reached_us:
            counts.fill(0)
            held.clear()
        while held and held[0].t[0] < first_us:
            part = held.popleft()
            cut = int(np.searchsorted(part.t, first_us))
            add_counts(part.x[:cut], part.y[:cut], part.p[:cut], -tone.off, -tone.on, counts)
            if cut < len(part):
                held.appendleft(part[cut:])
        overlapped = k + 1 < len(intervals) and intervals[k + 1][0] < stop_us
        for taken in cursor.take_until(stop_us):
            part = taken[int(np.searchsorted(taken.t, first_us)) :]
            add_counts(part.x, part.y, part.p, tone.off, tone.on, counts)
            if overlapped and len(part):
                held.append(part)
        reached_us = stop_us
        yield _drawn(picture, tone, lambda image: tone_counts(counts, levels, image))


def _trails(
    cursor: _Cursor,
    clock: FrameClock,
    picture: Picture,
    tone: _Tone,
    contrast: float,
    tau_us: int,
) -> Iterator[Image]:
    """Draw sums that fade; events in a gap between two rows leave a trail too."""
    from evreel.kernels.pictures import add_trail, fade_trail, tone_trail

    trail = np.zeros(picture.sensor, dtype=np.float32)
    drawn_us: int | None = None
    for stop_us in clock.stop_us.tolist():
        if drawn_us is not None:
            fade_trail(stop_us - drawn_us, tau_us, contrast * _INVISIBLE, trail)
        for part in cursor.take_until(stop_us):
            add_trail(part.t, part.x, part.y, part.p, stop_us, tau_us, trail)
        drawn_us = stop_us
        yield _drawn(
            picture,
            tone,
            lambda image: tone_trail(trail, contrast, tone.background, tone.reach, image),
        )


def _drawn(picture: Picture, tone: _Tone, draw: Callable[[Image], None]) -> Image:
    """Return a picture of background with the sensor's pixels drawn at its top left."""
    from evreel.kernels.pictures import magnify

    image = np.full(picture.shape, tone.background, dtype=np.uint8)
    if picture.scale == 1:
        draw(image)
    else:
        small = np.empty(picture.sensor, dtype=np.uint8)
        draw(small)
        magnify(small, picture.scale, image)
    return image
