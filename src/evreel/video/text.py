"""Text in pictures, in any script, by GNU Unifont: the same pixels on every machine.

Its glyphs are bitmaps of 16 rows and 8 or 16 columns for all of Unicode's first 65,536
characters; what lies beyond them shows a question mark in a diamond. Letters stand one by one:
scripts that join theirs, such as Arabic, can be read, but are not joined.
"""

from __future__ import annotations

import functools
import lzma
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.text import nfc

Mask = npt.NDArray[np.bool_]

HEIGHT_PX = 16
"""Height of a line of text."""

_FONT = Path(__file__).with_name("unifont.xz")
_UNKNOWN = 0xFFFD


class _Glyphs(NamedTuple):
    """Glyphs of one width: (n,) code points, ascending, and (n, 16, width / 8) rows of bits."""

    codes: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.uint8]


@functools.cache
def _font() -> tuple[_Glyphs, ...]:
    """Return the narrow glyphs and the wide ones."""
    content = lzma.decompress(_FONT.read_bytes())
    found, at = [], 0
    for columns in (1, 2):
        n = int(np.frombuffer(content, "<u4", 1, at)[0])
        codes = np.frombuffer(content, "<u2", n, at + 4)
        at += 4 + 2 * n
        rows = np.frombuffer(content, "u1", n * HEIGHT_PX * columns, at)
        at += rows.size
        found.append(_Glyphs(codes, rows.reshape(n, HEIGHT_PX, columns)))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _glyph(code: int) -> Mask:
    """Return the glyph of a code point: (16, 8) or (16, 16), True where it has ink."""
    for glyphs in _font() if code < 0x10000 else ():
        k = int(np.searchsorted(glyphs.codes, code))
        if k < len(glyphs.codes) and glyphs.codes[k] == code:
            return np.unpackbits(glyphs.rows[k], axis=1).astype(bool)
    return _glyph(_UNKNOWN)


def _cells(text: str) -> list[str]:
    """Return the letters of a line, each with the marks on it, in the order they are seen.

    Letters that run from right to left are turned round, with what stands between two of them.
    """
    cells: list[str] = []
    for character in nfc(text):
        kind = unicodedata.category(character)
        if kind in ("Mn", "Me") and cells:
            cells[-1] += character
        elif kind in ("Cc", "Zl", "Zp"):
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


@functools.lru_cache(maxsize=4096)
def text_mask(text: str) -> Mask:
    """Return a line of text as (16, width), True where it has ink; read-only.

    Examples
    --------
    >>> text_mask("van 3").shape, text_mask("車 3").shape, text_mask("").shape
    ((16, 40), (16, 32), (16, 0))
    """
    cells = [
        np.logical_or.reduce(_of_one_width([_glyph(ord(character)) for character in cell]))
        for cell in _cells(text)
    ]
    mask = np.concatenate([np.zeros((HEIGHT_PX, 0), dtype=bool), *cells], axis=1)
    mask.flags.writeable = False
    return mask


def _of_one_width(glyphs: Sequence[Mask]) -> list[Mask]:
    """Return glyphs that lie over each other, the narrow ones widened to the right."""
    width = max(glyph.shape[1] for glyph in glyphs)
    return [np.pad(glyph, ((0, 0), (0, width - glyph.shape[1]))) for glyph in glyphs]


def wrapped(text: str, width_px: int) -> list[str]:
    """Return text in lines of at most a width, broken at spaces where there are any.

    Examples
    --------
    >>> wrapped("rain, night", 64), wrapped("unbroken", 32)
    (['rain,', 'night'], ['unbr', 'oken'])
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if text_mask(longer).shape[1] <= width_px:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if text_mask(lines[-1] + character).shape[1] > width_px and lines[-1]:
                lines.append("")
            lines[-1] += character
    return lines


def shortened(text: str, width_px: int) -> str:
    """Return text of at most a width, its end replaced by "…" where it is longer.

    Examples
    --------
    >>> shortened("pedestrian", 48), shortened("van", 48)
    ('pedes…', 'van')
    """
    if len(text) <= width_px and text_mask(text).shape[1] <= width_px:
        return text
    for n in range(min(len(text) - 1, width_px), 0, -1):
        if text_mask(text[:n] + "…").shape[1] <= width_px:
            return text[:n] + "…"
    return "…"
