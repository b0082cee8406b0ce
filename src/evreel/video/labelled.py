"""Pictures that show what is labelled: events in the colour of their region, outlines, names."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.events import Events
from evreel.settings import Settings, optional, setting
from evreel.text import nfc
from evreel.video.canvas import CHIP_MARGIN_PX, Canvas, Colour, Theme
from evreel.video.picture import LARGEST_PICTURE
from evreel.video.text import HEIGHT_PX, Font, shortened, text_mask, warn_lacking, wrapped

Image = npt.NDArray[np.uint8]

_HUES: tuple[Colour, ...] = (
    (86, 180, 233),
    (240, 160, 20),
    (20, 180, 130),
    (225, 125, 185),
    (235, 95, 30),
    (240, 228, 66),
    (130, 135, 255),
)
"""Colours of the first labels, after Okabe and Ito: also apart for most colour-blind people."""

_SHADES = (0.0, 0.25, 0.45)
"""How far the colours of tracks of one label are towards white, by track number modulo 3."""

_LEAST_LONG_SIDE_PX = 640
_LEAST_WIDTH_PX = 480
_SHARP_FROM_PX = 1000
_WIDE_LINES_FROM = 4
_NAME_PX = 240
_MOST_APART = 100  # of a crowd of names, only so many are kept apart
_MARGIN_PX = 6
_LINE_PX = HEIGHT_PX + 4


class Look(NamedTuple):
    """Colours of a theme."""

    background: Colour
    off: Colour
    on: Colour
    ink: Colour
    faint: Colour
    doubt: Colour
    footer: Colour


LOOKS: dict[Theme, Look] = {
    "dark": Look(
        *((24, 24, 28), (96, 96, 102), (178, 178, 184)),
        *((240, 240, 240), (165, 165, 172), (255, 190, 90), (44, 44, 50)),
    ),
    "light": Look(
        *((255, 255, 255), (186, 186, 192), (110, 110, 116)),
        *((20, 20, 20), (96, 96, 104), (176, 84, 0), (232, 232, 236)),
    ),
}


@dataclass(frozen=True)
class Showing(Settings):
    """What pictures of labelled events look like."""

    magnify: int | None = setting(
        None,
        "Whole number of picture pixels per sensor pixel; null chooses one that makes a picture of "
        "at least 640 px.",
        minimum=1,
        maximum=64,
        help="Whole number of picture pixels per sensor pixel; default: one that makes a picture "
        "of at least 640 px.",
    )
    theme: Theme = setting("dark", "Background: dark or light.")
    font: str | None = optional(
        "TrueType or OpenType file for names that the built-in font lacks letters of: it has "
        "those of English. What a font lacks is drawn as a box with its code point.",
        least=1,
        per_recording=False,
        metavar="FILE",
    )


class Outline(NamedTuple):
    """A region as a frame shows it.

    Parameters
    ----------
    roi : row of the regions.
    vertices : (n, 2) x and y in sensor pixels, continuous.
    kind : what the annotator drew: box, polygon, points, …
    occluded : it is marked as partly hidden.
    """

    roi: int
    vertices: npt.NDArray[np.float64]
    kind: str = "polygon"
    occluded: bool = False


class Moment(NamedTuple):
    """What a picture tells beside its events.

    Parameters
    ----------
    title : which frame or slice it is, such as ``frame 3 of 600``.
    start_us, stop_us : it shows ``[start_us, stop_us)``.
    outlines : regions that it shows.
    tags : names of its tags.
    labelled : annotators looked at all of it; None where there is nothing to annotate.
    """

    title: str
    start_us: int
    stop_us: int
    outlines: Sequence[Outline] = ()
    tags: Sequence[str] = ()
    labelled: bool | None = True


def colour_of(label: int, track: int, theme: Theme = "dark") -> Colour:
    """Return the colour of a region: its hue tells the label, its shade the track.

    The same numbers have the same colour in every recording and picture.

    Parameters
    ----------
    label
        Row of the labels, 0 or more.
    track
        Number of the track; −1 for a loose shape.
    """
    if label < len(_HUES):
        colour = np.array(_HUES[label], dtype=np.float64)
    else:
        turn = (label - len(_HUES)) * 0.381966 % 1  # the golden angle: neighbours are far apart
        colour = 255 * np.array(colorsys.hls_to_rgb(turn, 0.62, 0.75))
    shade = _SHADES[track % len(_SHADES)] if track >= 0 else 0.0
    if theme == "light":
        colour, shade = colour * 0.72, shade * 0.6
    colour = colour + shade * (255 - colour)
    red, green, blue = np.rint(colour).astype(int).tolist()
    return red, green, blue


def magnification(sensor: tuple[int, int]) -> int:
    """Return how much a sensor's picture is magnified to be legible.

    Examples
    --------
    >>> [magnification(sensor) for sensor in ((34, 34), (260, 346), (480, 640), (720, 1280))]
    [19, 2, 2, 1]
    """
    longest = max(sensor)
    return 1 if longest >= _SHARP_FROM_PX else max(2, -(-_LEAST_LONG_SIDE_PX // longest))


class LabelledPictures:
    """Draws pictures of one recording's labelled events, all of one size.

    Each shows the sensor, magnified, and below it lines of text: which frame, when, how many
    events are labelled, its tags.

    Parameters
    ----------
    sensor
        (height, width) in px.
    labels
        Names of the labels.
    roi_label, roi_track
        (n,) label and track number of each region.
    tags
        The tags of each picture that has any: they decide how many lines there are.
    look
        Magnification, theme and font.
    reduce
        So many pixels of the sensor on each axis become one, which is then magnified.
    warn
        Whether to log names that the font lacks letters of.

    Attributes
    ----------
    shape : (height, width) of each picture.
    area : (height, width) of the sensor in it, at its top left.

    Raises
    ------
    UsageError
        If the pictures would be too large for a video, or the font is none.
    """

    def __init__(
        self,
        sensor: tuple[int, int],
        labels: Sequence[str],
        roi_label: npt.NDArray[np.integer],
        roi_track: npt.NDArray[np.integer],
        tags: Iterable[Sequence[str]] = (),
        look: Showing = Showing(),
        *,
        reduce: int = 1,
        warn: bool = True,
    ) -> None:
        height, width = self.sensor = -(-sensor[0] // reduce), -(-sensor[1] // reduce)
        self.scale = look.magnify or magnification(self.sensor)
        self._reduce = reduce
        self._look = LOOKS[look.theme]
        self._font = Font.read(look.font)
        self._labels = labels
        self._label, self._track = roi_label.tolist(), roi_track.tolist()
        self._colours = [
            colour_of(label, track, look.theme)
            for label, track in zip(self._label, self._track, strict=True)
        ]
        on = np.array([self._look.on, *self._colours], dtype=np.float64)
        background = np.array(self._look.background, dtype=np.float64)
        # OFF events are nearer to the background.
        off = np.rint(background + 0.55 * (on - background))
        off[0] = self._look.off
        self._palette = np.stack([off, on], axis=1).astype(np.uint8)
        self.area = height * self.scale, width * self.scale
        wide = max(self.area[1], _LEAST_WIDTH_PX)
        self._text_px = wide - 2 * _MARGIN_PX
        tags = list(tags)
        lines = 2 + max((len(self._tag_lines(names)) for names in tags), default=0)
        drawn = [labels[label] for label in sorted(set(self._label))]
        if warn:
            warn_lacking([*drawn, *(name for names in tags for name in names)], self._font)
        tall = self.area[0] + lines * _LINE_PX + 2 * _MARGIN_PX
        self.shape = tall + tall % 2, wide + wide % 2
        if max(self.shape) > LARGEST_PICTURE:
            raise ParameterError(
                f"a {self.shape[1]}x{self.shape[0]} picture has a side of more than "
                f"{LARGEST_PICTURE} px",
                hint="Choose a smaller magnification.",
            )

    def _tag_lines(self, tags: Sequence[str]) -> list[str]:
        if not tags:
            return []
        return wrapped("tags: " + ", ".join(map(nfc, tags)), self._text_px, self._font)

    def draw(self, pieces: Iterable[tuple[Events, npt.NDArray[np.int32]]], moment: Moment) -> Image:
        """Return a picture.

        Parameters
        ----------
        pieces
            Its events, with the region of each, −1 none; in order of time, so that the last event
            of a pixel is the one that is seen.
        moment
            What else it tells.

        Returns
        -------
        (H, W, 3) uint8 of `shape`.
        """
        from evreel.kernels.pictures import colour_events

        small = Canvas.filled(self.sensor, self._look.background).pixels
        n = n_labelled = 0
        for events, roi in pieces:
            x, y = events.x, events.y
            if self._reduce > 1:
                x, y = x // self._reduce, y // self._reduce
            colour_events(x, y, events.p, roi, self._palette, small)
            n += len(events)
            n_labelled += int(np.count_nonzero(roi >= 0))
        canvas = Canvas.filled(self.shape, self._look.footer, self._font)
        height, width = self.area
        canvas.pixels[:height, :width] = small.repeat(self.scale, axis=1).repeat(self.scale, axis=0)
        canvas.rectangle(width, 0, self.shape[1], height, self._look.footer)
        # Outlines and names stay on the sensor.
        over = Canvas(canvas.pixels[:height, :width], self._font)
        for outline in moment.outlines:
            self._outline(over, outline)
        self._names(over, moment.outlines)
        self._footer(canvas, moment, n, n_labelled)
        return canvas.pixels

    def _outline(self, canvas: Canvas, outline: Outline) -> None:
        points = self._places(outline)
        lines, closed = [points], outline.kind not in ("polyline", "points", "skeleton", "mask")
        if outline.kind in ("points", "skeleton"):
            arms = 2.0 * self.scale * np.array([[[-1, 0], [1, 0]], [[0, -1], [0, 1]]])
            lines = [point + arm for point in points for arm in arms]
        elif outline.kind == "mask":  # its pixels may be of any form: only its corners are marked
            sides = np.roll(points, 1, axis=0), points, np.roll(points, -1, axis=0)
            lines = [
                np.array([corner + (before - corner) / 5, corner, corner + (after - corner) / 5])
                for before, corner, after in zip(*sides, strict=True)
            ]
        # Thin where pixels are small, as events at the edge are those to check.
        wide = self.scale >= _WIDE_LINES_FROM
        for line in lines if wide else ():
            canvas.line(line, self._look.background, width=4, closed=closed)
        colour, dashed = self._colours[outline.roi], outline.occluded
        for line in lines:
            canvas.line(line, colour, width=1 + wide, closed=closed, dashed=dashed)

    def _places(self, outline: Outline) -> npt.NDArray[np.float64]:
        """Return the vertices of a region in the picture's pixels."""
        return outline.vertices * (self.scale / self._reduce)

    def name_of(self, roi: int) -> str:
        """Return the name of a region: its label and, if it has one, its track's number."""
        track = self._track[roi]
        label = shortened(nfc(self._labels[self._label[roi]]), _NAME_PX, self._font)
        return label if track < 0 else f"{label} {track}"

    def _names(self, canvas: Canvas, outlines: Sequence[Outline]) -> None:
        """Write names beside outlines: above, else below; not over each other where there is room.

        They stay within the picture.
        """
        height, width, _ = canvas.pixels.shape
        taken: list[tuple[int, int, int, int]] = []
        for outline in outlines:
            if not len(outline.vertices):
                continue
            x, y = self._places(outline).T
            if x.max() < 0 or y.max() < 0 or x.min() > width or y.min() > height:
                continue  # all of it is outside the sensor
            name = self.name_of(outline.roi)
            size = text_mask(name, self._font).shape[1] + 2 * CHIP_MARGIN_PX
            left = int(np.clip(np.floor(x.min()), 0, max(width - size, 0)))
            above, below = int(np.floor(y.min())) - HEIGHT_PX, int(np.ceil(y.max())) + 2
            tops = [
                *(above, below),
                *(above - k * HEIGHT_PX for k in range(1, 4)),
                *(below + k * HEIGHT_PX for k in range(1, 4)),
            ]
            within = [top for top in tops if 0 <= top <= height - HEIGHT_PX]
            within.append(int(np.clip(above, 0, max(height - HEIGHT_PX, 0))))
            near = taken[-_MOST_APART:]
            top = next((t for t in within if not _overlaps(left, t, size, near)), within[0])
            right, bottom = left + size, top + HEIGHT_PX
            canvas.rectangle(left - 1, top - 1, right + 1, bottom + 1, self._look.background)
            canvas.chip(left, top, name, self._colours[outline.roi])
            taken.append((left, top, right, bottom))

    def _footer(self, canvas: Canvas, moment: Moment, n: int, n_labelled: int) -> None:
        look, top = self._look, self.area[0] + _MARGIN_PX
        times = f"{moment.start_us / 1e6:.6f} s to {moment.stop_us / 1e6:.6f} s"
        end = canvas.text(_MARGIN_PX, top, moment.title, look.ink)
        canvas.text(end + 2 * HEIGHT_PX, top, times, look.faint)
        top += _LINE_PX
        share = f" ({100 * n_labelled / n:.0f} %)" if n else ""
        labelled = "" if moment.labelled is None else f", {n_labelled:,} labelled{share}"
        end = canvas.text(_MARGIN_PX, top, f"{n:,} events{labelled}", look.faint)
        if moment.labelled is False:
            canvas.text(end + 2 * HEIGHT_PX, top, "not annotated", look.doubt)
        for line in self._tag_lines(moment.tags):
            top += _LINE_PX
            canvas.text(_MARGIN_PX, top, line, look.ink)


def _overlaps(left: int, top: int, width: int, taken: Sequence[tuple[int, int, int, int]]) -> bool:
    """Tell whether a name at a place would cover one of those that are there."""
    return any(
        left < right and other_left < left + width and top < bottom and other_top < top + HEIGHT_PX
        for other_left, other_top, right, bottom in taken
    )
