"""The frames of a features file as pictures, and how fast they follow each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import UsageError
from evreel.settings import Place, optional
from evreel.timebase import Int64Array
from evreel.video.canvas import Canvas
from evreel.video.labelled import LOOKS, colour_of, magnification
from evreel.video.picture import Picture
from evreel.video.text import HEIGHT_PX
from evreel.viz.rgb import (
    Colouring,
    Image,
    arranged,
    meaning_of,
    places_of,
    scale_of,
    tiles_of,
    to_rgb,
)

if TYPE_CHECKING:
    from evreel.files.features import FeaturesFile

Boxes = tuple[npt.NDArray[np.void], Int64Array]
"""Boxes, window by window, and the first row of each window."""

MOST_ON_A_SHEET = 48
"""Most frames of a contact sheet; a longer range is shown at even distances."""

LEAST_ON_A_SHEET_PX = 160
"""Least longer side of a picture on a contact sheet."""

_MOST_PIXELS = 24_000_000  # of a sheet
_MOST_SCALED = 32  # frames that the scale of all is taken from
_LONGEST_US = 600_000_000
_FINEST = 1000  # largest denominator of a rate
_RANGE = re.compile(r"(-?\d+)?(?:(:)(-?\d+)?(?::(\d+))?)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Playing(Colouring):
    """How the frames of a features file are shown one after the other."""

    fps: float | None = optional(
        "Frames per second, of which none is left out. Without it, real time as the windows "
        "have it, or slower if that is more than a player can.",
        above=0,
    )
    speed: float | None = optional(
        "So many times real time, exactly: where a player cannot be so fast, frames are left out.",
        above=0,
    )
    magnify: int | None = optional(
        "Whole number of picture pixels per pixel of a frame; if left out, one that makes a "
        "picture of at least 640 px.",
        minimum=1,
        maximum=64,
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) for values that do not go together."""
        if self.fps is not None and self.speed is not None:
            yield ("fps",), "does not go with speed: one follows from the other"
        yield from super().contradictions()


def rows_of(text: str | None, n: int) -> range:
    """Return the frames that a text names: ``a:b``, ``a:``, ``:b``, ``a:b:step`` or ``a``.

    They count from 0 and without b, from the end where negative: as a slice of Python.

    Raises
    ------
    UsageError
        If it is not of this form, or there are no such frames.

    Examples
    --------
    >>> rows_of("2:4", 5), rows_of("-2:", 5), rows_of("::2", 5), rows_of("3", 5), rows_of(None, 5)
    (range(2, 4), range(3, 5), range(0, 5, 2), range(3, 4), range(0, 5))
    """
    if text is None:
        return range(n)
    match = _RANGE.fullmatch(text)
    if match is None or not text:
        raise UsageError(
            f"--frames: {text!r} does not name frames",
            hint="Write the first one and the one after the last, such as 10:20; or one number.",
        )
    first, colon, last, step = match.groups()
    low = int(first) if first else None
    high = int(last) if last else None
    if not colon and low is not None:
        high = low + 1 if low != -1 else None
    if step == "0":
        raise UsageError(f"--frames: {text!r} has a step of 0")
    for edge, most in ((low, n - 1), (high, n)):
        if edge is not None and not -n <= edge <= most:
            raise UsageError(f"--frames: {text!r} is not within the {n} frames, 0 to {n - 1}")
    rows = range(*slice(low, high, int(step) if step else None).indices(n))
    if not rows:
        raise UsageError(f"--frames: {text!r} names no frame of the {n}, 0 to {n - 1}")
    return rows


class Pace(NamedTuple):
    """How frames follow each other.

    Parameters
    ----------
    fps : frames per second.
    rows : the frames that are shown.
    speed : 1 for real time, 2 for twice as fast; None where the windows do not take any time.
    """

    fps: Fraction
    rows: range
    speed: Fraction | None


def pace(file: FeaturesFile, rows: range, look: Playing, fastest: int) -> Pace:
    """Return how fast frames follow each other.

    Real time is the mean time from one window's start to the next one's. Windows of different
    samples do not count, as there may be any time between them.

    Parameters
    ----------
    file
        The frames' file.
    rows
        The frames that are asked for.
    look
        Whether a rate or a speed is given.
    fastest
        Most frames per second of what is written.

    Raises
    ------
    UsageError
        If the rate is more than `fastest`, or a frame would be shown for more than ten minutes.
    """
    real = _real_time(file, rows)
    if look.fps is not None:
        wanted = Fraction(str(look.fps))
        if wanted > fastest:
            raise UsageError(f"--fps: {look.fps:g} is more than {fastest}, the most of such a file")
    elif look.speed is not None and real is None:
        raise UsageError(
            "the windows do not tell the time between them, to which --speed would refer",
            path=file.path,
            hint="Give --fps.",
        )
    elif look.speed is not None and real is not None:
        wanted = real * Fraction(str(look.speed))
        every = max(-(-wanted // fastest), 1)
        if every > 1:
            rows, wanted, real = rows[::every], wanted / every, real / every
    else:
        wanted = min(real or Fraction(30), Fraction(fastest))
    if wanted * _LONGEST_US < 1_000_000:
        raise UsageError(
            f"each frame would be shown for more than {_LONGEST_US // 1_000_000} s",
            path=file.path,
            hint="Give --fps, or a higher --speed.",
        )
    # ffmpeg takes numerators and denominators of up to a million.
    near = (wanted if wanted >= 1 else 1 / wanted).limit_denominator(_FINEST)
    fps = near if wanted >= 1 else 1 / near
    return Pace(fps, rows, None if real is None else fps / real)


def _real_time(file: FeaturesFile, rows: range) -> Fraction | None:
    """Return how many frames there are in a second of the recording."""
    k = np.asarray(rows)
    start_us = file.windows.start_us[k]
    steps = np.diff(start_us) if len(k) > 1 else file.windows.stop_us[k] - start_us
    if len(k) > 1 and file.samples is not None:
        sample = np.searchsorted(file.samples.bounds, k, side="right")
        steps = steps[np.diff(sample) == 0]
    total_us = int(steps.sum())
    return Fraction(1_000_000 * len(steps), total_us) if total_us > 0 else None


class FeaturePictures:
    """Draws the frames of a features file, all with one scale of values.

    Parameters
    ----------
    file
        The open file.
    rows
        The frames that the scale is taken from: some of them, at even distances.
    look
        Colours and magnification.
    boxes
        Drawn on the frame of their window.
    multiple
        Heights and widths are padded to a multiple of it.
    least_px
        Longer side that pictures have at least, unless a magnification is given; None is that of
        other videos.

    Attributes
    ----------
    shape : (height, width) of each picture.
    scale : what the values mean as colours, as they are stored.
    """

    def __init__(
        self,
        file: FeaturesFile,
        rows: range,
        look: Playing,
        boxes: Boxes | None = None,
        *,
        multiple: int = 1,
        least_px: int | None = None,
    ) -> None:
        self._file, self._look, self._boxes = file, look, boxes
        _, channels, height, width = file.shape
        self._frame = height, width
        self._meaning = meaning_of(file, channels, file.dtype.name)
        tiles = tiles_of(self._meaning.legend, look.channels)
        self._n_tiles = len(tiles) if self._meaning.viz is None else 1
        whole = to_rgb(file.read(rows[0]), self._meaning, channels=look.channels).shape[:2]
        chosen = magnification(whole) if least_px is None else max(-(-least_px // max(whole)), 1)
        picture = Picture.for_video(whole, look.magnify or chosen, multiple)
        self._magnify = picture.scale
        self.shape = picture.shape
        scaled = (file.read(k) for k in evenly(rows, _MOST_SCALED))
        self.scale = scale_of(scaled, self._meaning, look.channels)
        # Values of some files are numbers of steps; a limit is a value.
        self._step = 1.0 if file.scale is None else file.scale
        if look.limit is not None:
            self.scale = self.scale._replace(limit=look.limit / self._step)

    @property
    def limit(self) -> float:
        """Value at full colour."""
        return self.scale.limit * self._step

    def draw(self, k: int) -> Image:
        """Draw frame k, with its boxes."""
        look = self._look
        small = to_rgb(
            self._file.read(k),
            self._meaning,
            channels=look.channels,
            theme=look.theme,
            scale=self.scale,
        )
        canvas = Canvas.filled(self.shape, LOOKS[look.theme].background)
        large = small.repeat(self._magnify, axis=0).repeat(self._magnify, axis=1)
        canvas.pixels[: large.shape[0], : large.shape[1]] = large
        if self._boxes is not None:
            self._draw_boxes(canvas, k, *self._boxes)
        return canvas.pixels

    def sheet(self, rows: Sequence[int]) -> Image:
        """Draw frames side by side, each with its number and time below it."""
        look = LOOKS[self._look.theme]
        tiles = []
        for k in rows:
            picture = self.draw(k)
            canvas = Canvas.filled((HEIGHT_PX, picture.shape[1]), look.footer)
            start_us = int(self._file.windows.start_us[k])
            canvas.text(2, 0, f"{k}: {start_us / 1e6:.3f} s", look.ink)
            tiles.append(np.concatenate([picture, canvas.pixels]))
        return arranged(tiles, self._look.theme)

    def _draw_boxes(
        self, canvas: Canvas, k: int, boxes: npt.NDArray[np.void], first: Int64Array
    ) -> None:
        height, width = self._frame
        # Frames of some representations have a pixel for each of many.
        sensor = self._file.geometry.sensor(self._file.sensor)
        to_frame = width / sensor.width, height / sensor.height
        places = places_of(self._n_tiles, self._frame) if self._n_tiles > 1 else [(0, 0)]
        for box in boxes[first[k] : first[k + 1]]:
            x, y, w, h = (float(box[name]) for name in ("x", "y", "w", "h"))
            corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]) * to_frame
            if not np.isfinite(corners).all():
                continue
            colour = colour_of(int(box["class_id"]), int(box["track_id"]), self._look.theme)
            for top, left in places:
                points = (corners + np.array([left, top])) * self._magnify
                canvas.line(points, colour, closed=True, width=1 + (self._magnify >= 4))


def evenly(rows: range, most: int) -> Sequence[int]:
    """Return all of some frames, or `most` of them at even distances, with the first and the last.

    Examples
    --------
    >>> evenly(range(4), 5), evenly(range(10, 20), 4)
    (range(0, 4), [10, 13, 16, 19])
    """
    n = len(rows)
    return rows if n <= most else [rows[k * (n - 1) // max(most - 1, 1)] for k in range(most)]


def on_a_sheet(rows: range, shape: tuple[int, int]) -> Sequence[int]:
    """Return the frames of a contact sheet: all, or as many as it holds of pictures of a size."""
    most = _MOST_PIXELS // (shape[0] * shape[1])
    return evenly(rows, max(min(MOST_ON_A_SHEET, most), 1))
