"""Text in pictures: letters of a font, or their code points where it has none.

Letters stand one by one: scripts that join theirs, such as Arabic, can be read, but are not
joined. What runs from right to left is turned round.
"""

from __future__ import annotations

import functools
import io
import logging
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.errors import UsageError, one_line
from evreel.text import listed, nfc

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

LOG = logging.getLogger("evreel")

Mask = npt.NDArray[np.uint8]

HEIGHT_PX = 16
"""Height of a line of text."""

_BASELINE_PX = 13
_SIZES_PX = (13, 12, 11, 10, 9, 8)
"""Sizes of letters: the largest at which none of a line is cut off is taken."""

_PROBE_PX = 32
_PROBE = "0Aaé…\uffff"
_NO_LETTER = "\uffff"  # which no font has, as Unicode never will
_WIDEST = 20
"""Sides of a letter, in sizes of its font, beyond which it is damaged."""
_MOST_NAMED = 5

# Hexadecimal digits, 3 pixels wide and 5 high: a row is an octal digit.
_DIGITS = (
    *("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71122"),
    *("75757", "75717", "75755", "65656", "74447", "65556", "74747", "74744"),
)
_BOX_PX = 15


@dataclass(frozen=True)
class Font:
    """A font; what it lacks is taken from the one that is built in.

    Parameters
    ----------
    content : of a TrueType or OpenType file; None is the font that is built in.
    """

    content: bytes | None = field(default=None, repr=False)

    @classmethod
    def read(cls, path: str | Path | None) -> Font:
        """Read a file; None is the font that is built in.

        Raises
        ------
        UsageError
            If it cannot be read, or no letters can be drawn from it.
        """
        if path is None:
            return BUILT_IN
        try:
            font = cls(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"the font cannot be read: {reason}",
                path=path,
                hint="Name a TrueType or OpenType file (qa/font, --font).",
            ) from error
        try:
            for letter in _PROBE:
                _bitmap(_face(font, _PROBE_PX), letter)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"is not a font that letters can be drawn from: {one_line(str(error))}",
                path=path,
                hint="Name a whole TrueType or OpenType file (qa/font, --font).",
            ) from error
        return font

    @property
    def _chain(self) -> tuple[Font, ...]:
        """The fonts that letters are looked for in."""
        return (self,) if self == BUILT_IN else (self, BUILT_IN)

    def having(self, letters: str) -> Font | None:
        """Return the font that has all of some letters: this, else the built-in one, else None."""
        return next((font for font in self._chain if all(_has(font, x) for x in letters)), None)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return the names of which some letters have only a code point.

        Examples
        --------
        >>> BUILT_IN.lacking(["van", "車", "van 車"])
        ['車', 'van 車']
        """
        return [name for name in names if any(part.font is None for part in _parts(name, self))]


BUILT_IN = Font()
"""The font that is built into Pillow: letters of English, digits, punctuation."""


@functools.lru_cache(maxsize=16)
def _face(font: Font, size_px: int) -> FreeTypeFont:
    from PIL import ImageFont

    if font.content is None:
        face = ImageFont.load_default(size=size_px)
        assert isinstance(face, ImageFont.FreeTypeFont), "Pillow comes with FreeType"
        return face
    layout = ImageFont.Layout.BASIC  # the same on every machine: another one is not always there
    return ImageFont.truetype(io.BytesIO(font.content), size_px, layout_engine=layout)


def _bitmap(face: FreeTypeFont, letters: str) -> tuple[Mask, int]:
    """Return what letters cover, 0 to 255, and the row of it that is just below the baseline.

    Raises
    ------
    OSError, ValueError
        If the file is damaged there.
    """
    from PIL import Image, ImageDraw

    left, top, right, bottom = face.getbbox(letters, anchor="ls")
    left, top = int(np.floor(min(left, 0))), int(np.floor(min(top, 0)))
    width = int(np.ceil(max(right, face.getlength(letters)))) - left
    height = max(int(np.ceil(bottom)), 0) - top
    if max(width, height) > _WIDEST * face.size * len(letters):
        raise ValueError(f"a letter of {width}x{height} pixels")
    image = Image.new("L", (width, height))
    if all(image.size):
        ImageDraw.Draw(image).text((-left, -top), letters, 255, font=face, anchor="ls")
    return np.asarray(image).reshape(image.height, width), -top


@functools.lru_cache(maxsize=4096)
def _has(font: Font, letter: str) -> bool:
    """Tell whether a font has a letter: it is drawn otherwise than what no font has."""
    if letter == " ":
        return True
    try:
        face = _face(font, _PROBE_PX)
        (drawn, at), (without, at_without) = _bitmap(face, letter), _bitmap(face, _NO_LETTER)
    except (OSError, ValueError):
        return False
    return at != at_without or not np.array_equal(drawn, without)


class _Part(NamedTuple):
    """Letters that are drawn at once; without a font, the code point of one."""

    letters: str
    font: Font | None


def _cells(text: str) -> list[str]:
    """Return the letters of a line, each with the marks on it, in the order they are seen.

    Letters that run from right to left are turned round, with what stands between two of them.
    """
    cells: list[str] = []
    for character in nfc(text):
        kind = unicodedata.category(character)
        if kind in ("Mn", "Me") and cells:
            cells[-1] += character
        elif kind in ("Cc", "Zl", "Zp", "Zs"):
            cells.append(" ")
        elif kind != "Cf":  # invisible: joiners, marks of direction
            cells.append(character)
    backward = [unicodedata.bidirectional(cell[0]) in ("R", "AL") for cell in cells]
    forward = [unicodedata.bidirectional(cell[0]) in ("L", "EN", "AN") for cell in cells]
    start = 0
    while True in backward[start:]:
        start = backward.index(True, start)
        stop = forward.index(True, start) if True in forward[start:] else len(cells)
        last = max(k for k in range(start, stop) if backward[k])
        cells[start : last + 1] = cells[start : last + 1][::-1]
        start = stop
    return cells


def _parts(text: str, font: Font) -> Iterator[_Part]:
    for cell in _cells(text):
        whole = font.having(cell)
        if whole is not None:
            yield _Part(cell, whole)
        else:  # a letter and marks, of which some are drawn
            yield from (_Part(letter, font.having(letter)) for letter in cell)


@functools.lru_cache(maxsize=4096)
def _drawn(part: _Part, size_px: int, scale: int) -> Mask | None:
    """Return a part as high as a line, None if it does not fit."""
    line = HEIGHT_PX * scale
    try:
        face = None if part.font is None else _face(part.font, size_px * scale)
        mask, baseline = (None, 0) if face is None else _bitmap(face, part.letters)
    except (OSError, ValueError):  # a damaged letter may be drawn in some sizes alone
        mask, baseline = None, 0
    if mask is None:
        boxes = np.concatenate([_code_point(ord(letter)) for letter in part.letters], axis=1)
        return boxes.repeat(scale, axis=0).repeat(scale, axis=1)
    above = _BASELINE_PX * scale - baseline
    below = line - above - len(mask)
    if size_px > _SIZES_PX[-1] and min(above, below) < 0:
        return None
    padded = np.pad(mask, ((max(above, 0), max(below, 0)), (0, 0)))
    return padded[max(-above, 0) :][:line]


def _code_point(code: int) -> Mask:
    """Return a box with the digits of a code point, in two rows."""
    digits = f"{code:04X}"
    digits = digits.zfill(len(digits) + len(digits) % 2)
    columns = len(digits) // 2
    box = np.zeros((HEIGHT_PX, 4 * columns + 4), dtype=np.uint8)
    box[:_BOX_PX, :-1] = 255
    box[1 : _BOX_PX - 1, 1:-2] = 0
    for k, digit in enumerate(digits):
        rows = [[int(bit) for bit in f"{int(row):03b}"] for row in _DIGITS[int(digit, 16)]]
        top, left = 2 + 6 * (k // columns), 2 + 4 * (k % columns)
        box[top : top + 5, left : left + 3] = 255 * np.array(rows)
    return box


@functools.lru_cache(maxsize=4096)
def text_mask(text: str, font: Font = BUILT_IN, scale: int = 1) -> Mask:
    """Return how much of each pixel a line of text covers, 0 to 255; read-only.

    Parameters
    ----------
    text
        The line.
    font
        What its letters are taken from.
    scale
        It is so many times `HEIGHT_PX` high.

    Returns
    -------
    (`scale` · 16, width) uint8.

    Examples
    --------
    >>> text_mask("van 3").shape[0], text_mask("van 3", scale=2).shape[0], text_mask("").shape
    (16, 32, (16, 0))
    """
    parts = list(_parts(text, font))
    for size_px in _SIZES_PX:
        masks = [_drawn(part, size_px, scale) for part in parts]
        whole = [mask for mask in masks if mask is not None]
        if len(whole) == len(masks):
            break
    line = np.concatenate([np.zeros((HEIGHT_PX * scale, 0), dtype=np.uint8), *whole], axis=1)
    line.flags.writeable = False
    return line


def wrapped(text: str, width_px: int, font: Font = BUILT_IN) -> list[str]:
    """Return text in lines of at most a width, broken at spaces where there are any.

    Examples
    --------
    >>> wrapped("rain, night", 64), wrapped("unbroken", 32)
    (['rain, night'], ['unbr', 'oken'])
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_mask(longer, font).shape[1] <= width_px:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if text_mask(lines[-1] + character, font).shape[1] > width_px and lines[-1]:
                lines.append("")
            lines[-1] += character
    return lines


def shortened(text: str, width_px: int, font: Font = BUILT_IN, scale: int = 1) -> str:
    """Return text of at most a width, its end replaced by "…" where it is longer.

    Examples
    --------
    >>> shortened("pedestrian", 48), shortened("van", 48)
    ('pedes…', 'van')
    """
    if len(text) <= width_px and text_mask(text, font, scale).shape[1] <= width_px:
        return text
    for n in range(min(len(text) - 1, width_px), 0, -1):
        if text_mask(text[:n] + "…", font, scale).shape[1] <= width_px:
            return text[:n] + "…"
    return "…"


def warn_lacking(names: Iterable[str], font: Font) -> None:
    """Log one line that names what has letters without a glyph, and what to do; none if all have.

    Examples
    --------
    >>> warn_lacking(["van"], BUILT_IN)
    """
    lacking = font.lacking(dict.fromkeys(map(nfc, names)))
    if lacking:
        LOG.warning(
            "the font lacks letters of %s; their code points are drawn. Name a font that has "
            "them: qa/font, --font",
            listed((repr(one_line(name)) for name in lacking), _MOST_NAMED),
        )
