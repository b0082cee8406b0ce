"""The plot of a summary: events over time by label, what annotators saw, a row for each track."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from evreel.text import nfc
from evreel.video.canvas import Canvas, Colour
from evreel.video.labelled import Image, colour_of
from evreel.video.text import BUILT_IN, HEIGHT_PX, Font, shortened, text_mask, warn_lacking, wrapped
from evreel.viz.summary import Summary

MOST_ROWS = 60
"""Most tracks with a row of their own."""

_WHITE, _INK, _FAINT = (255, 255, 255), (24, 24, 24), (104, 104, 112)
_GRID, _GREY, _SEEN = (226, 226, 230), (188, 188, 194), (92, 132, 110)
_EMPTY, _DOUBT = (226, 178, 92), (190, 40, 30)
_LEFT, _WIDTH, _RIGHT = 220, 720, 260
_BARS = 200
_ROW = HEIGHT_PX + 4
_MARGIN = 12


class _Plot:
    """Draws from top to bottom; `top` is where the next part begins."""

    def __init__(self, summary: Summary, font: Font) -> None:
        self.summary = summary
        self.font = font
        self.span_us = max(len(summary.counts) * summary.bin_us, 1)
        suspicious = list(summary.suspects)
        others = [k for k in range(len(summary.track)) if k not in summary.suspects]
        self.rows = sorted((suspicious + others)[:MOST_ROWS])
        self.labels = np.unique(summary.tracks.label).tolist()
        wide = _LEFT + _WIDTH + _RIGHT - 2 * _MARGIN
        self.headline = wrapped(_headline(summary), wide, font)
        self.legend = list(self._legend())
        warn_lacking([summary.name, *(summary.labels[k] for k in self.labels)], font)
        lines = len(self.headline) + len(self.rows) + self.legend[-1][1] + 8
        height = lines * _ROW + _BARS + 5 * _MARGIN  # at least what is needed
        self.canvas = Canvas.filled((height, _LEFT + _WIDTH + _RIGHT), _WHITE, font)
        self.top = _MARGIN

    def x(self, time_us: float) -> int:
        """Return the column of a time; what is before the recording is at its start."""
        return _LEFT + round(max(time_us, 0) / self.span_us * _WIDTH)

    def head(self) -> None:
        """Write the recording's name and what holds for all of it."""
        wide = _LEFT + _WIDTH + _RIGHT - 2 * _MARGIN
        name = shortened(nfc(self.summary.name), wide, self.font, scale=2)
        self.canvas.text(_MARGIN, self.top, name, _INK, scale=2)
        self.top += 2 * HEIGHT_PX + 4
        for line in self.headline:
            self.canvas.text(_MARGIN, self.top, line, _FAINT)
            self.top += _ROW
        self.top += _MARGIN

    def _legend(self) -> Iterator[tuple[int, int, str, Colour]]:
        """Yield column, line, text and colour of each entry."""
        column, line = _LEFT, 0
        entries = [
            (nfc(self.summary.labels[label]), colour_of(label, -1, "light"))
            for label in self.labels
        ]
        for name, colour in [*entries, ("no region", _GREY)]:
            name = shortened(name, 200, self.font)
            width = text_mask(name, self.font).shape[1] + 18
            if column + width > _LEFT + _WIDTH + _RIGHT - _MARGIN and column > _LEFT:
                column, line = _LEFT, line + 1
            yield column, line, name, colour
            column += width + 14

    def bars(self) -> None:
        """Draw events per second over time, stacked by label."""
        for column, line, name, colour in self.legend:
            top = self.top + line * _ROW
            self.canvas.rectangle(column, top + 3, column + 10, top + 13, colour)
            self.canvas.text(column + 15, top, name, _INK)
        self.top += (self.legend[-1][1] + 1) * _ROW + _MARGIN // 2
        counts = np.concatenate(
            [self.summary.by_label[:, self.labels], self.summary.counts[:, :1]], axis=1
        )
        highest = max(int(counts.sum(axis=1).max(initial=0)), 1) * 1e6 / self.summary.bin_us
        tick = _round_step(highest / 4)
        n_ticks = math.ceil(highest / tick)
        most = n_ticks * tick * self.summary.bin_us / 1e6
        bottom = self.top + _BARS
        self.canvas.text(_MARGIN, self.top, "events per second", _INK)
        for step in range(n_ticks + 1):
            y = bottom - round(step * _BARS / n_ticks)
            self.canvas.rectangle(_LEFT, y, _LEFT + _WIDTH, y + 1, _GRID)
            if step:
                rate = _short(step * tick)
                width = text_mask(rate, self.font).shape[1]
                self.canvas.text(_LEFT - 6 - width, y - (0 if step == n_ticks else 8), rate, _FAINT)
        colours = [*(colour_of(label, -1, "light") for label in self.labels), _GREY]
        heights = np.rint(np.cumsum(counts, axis=1) / most * _BARS).astype(int)
        for k, ends in enumerate(heights.tolist()):
            left, right = (self.x((k + i) * self.summary.bin_us) for i in (0, 1))
            for start, stop, colour in zip([0, *ends], ends, colours, strict=False):
                self.canvas.rectangle(left, bottom - stop, right, bottom - start, colour)
        self.top = bottom + _MARGIN

    def coverage(self) -> None:
        """Draw when annotators looked, and which of it shows no region."""
        top, bottom = self.top + 2, self.top + HEIGHT_PX - 2
        self.canvas.text(_MARGIN, self.top, "annotated", _INK)
        self._frame(self.top)
        spans = self.summary.tracks.labelled
        for start, stop in zip(spans.start_us.tolist(), spans.stop_us.tolist(), strict=True):
            self.canvas.rectangle(self.x(start), top, self._right(start, stop), bottom, _SEEN)
        if self.summary.clock is not None:
            clock = self.summary.clock
            for first, last in self.summary.empty:
                start, stop = int(clock.start_us[first]), int(clock.stop_us[last])
                self.canvas.rectangle(self.x(start), top, self._right(start, stop), bottom, _EMPTY)
        if self.summary.empty:
            self.canvas.text(_LEFT + _WIDTH + 10, self.top, "yellow: no region", _FAINT)
        self.top += _ROW + _MARGIN // 2

    def _right(self, start: int, stop: int) -> int:
        """Return where a bar ends: it is within the plot, and can be seen."""
        return min(max(self.x(stop), self.x(start) + 1), _LEFT + _WIDTH)

    def _frame(self, top: int) -> None:
        self.canvas.rectangle(_LEFT, top, _LEFT + _WIDTH, top + HEIGHT_PX, (244, 244, 246))

    def tracks(self) -> None:
        """Draw a row for each track: where it is shown, the darker the more events it has."""
        tracks = self.summary.tracks
        order = np.argsort(tracks.roi, kind="stable")
        first = np.searchsorted(tracks.roi[order], np.arange(len(self.summary.track) + 1)).tolist()
        for roi in self.rows:
            found = self.summary.suspects.get(roi, [])
            colour = colour_of(int(tracks.label[roi]), int(self.summary.track[roi]), "light")
            name = shortened(tracks.names[roi], _LEFT - _MARGIN - 12, self.font)
            self.canvas.text(_MARGIN, self.top, name, _DOUBT if found else _INK)
            self._frame(self.top)
            rows = order[first[roi] : first[roi + 1]]
            counts = self.summary.counts[:, 1 + roi]
            most = max(int(counts.max(initial=0)), 1)
            for start, stop in _joined(tracks.start_us[rows], tracks.stop_us[rows]):
                begin, end = start // self.summary.bin_us, -(-stop // self.summary.bin_us)
                for k in range(max(begin, 0), min(end, len(counts))):
                    share = 0.15 + 0.85 * math.sqrt(int(counts[k]) / most)
                    left = self.x(max(start, k * self.summary.bin_us))
                    until = min(stop, (k + 1) * self.summary.bin_us)
                    box = left, self.top + 2, self._right(start, until), self.top + HEIGHT_PX - 2
                    self.canvas.rectangle(*box, _towards_white(colour, share))
            if found:
                checks = ", ".join(check for check, _ in found)
                text = shortened(checks, _RIGHT - 10 - _MARGIN, self.font)
                self.canvas.text(_LEFT + _WIDTH + 10, self.top, text, _DOUBT)
            self.top += _ROW
        more = len(self.summary.track) - len(self.rows)
        if more:
            text = f"and {more:,} more tracks, which the table has"
            self.canvas.text(_MARGIN, self.top, text, _FAINT)
            self.top += _ROW

    def axis(self) -> None:
        """Draw ticks of time."""
        step = math.ceil(_round_step(self.span_us / 10))
        decimals = max(0, 6 - (len(str(step)) - 1))
        self.canvas.rectangle(_LEFT, self.top, _LEFT + _WIDTH, self.top + 1, _FAINT)
        for time in range(0, self.span_us + 1, step):
            column = self.x(time)
            self.canvas.rectangle(column, self.top, column + 1, self.top + 5, _FAINT)
            text = f"{time / 1e6:.{decimals}f}"
            self.canvas.text(
                column - text_mask(text, self.font).shape[1] // 2, self.top + 6, text, _FAINT
            )
        self.canvas.text(_MARGIN, self.top + 6, "time in s", _INK)
        self.top += 6 + HEIGHT_PX + _MARGIN


def plot(summary: Summary, font: Font = BUILT_IN) -> Image:
    """Return the plot of a summary, (H, W, 3) uint8."""
    drawn = _Plot(summary, font)
    drawn.head()
    drawn.bars()
    drawn.coverage()
    drawn.tracks()
    drawn.axis()
    return drawn.canvas.pixels[: drawn.top]


def _headline(summary: Summary) -> str:
    facts = summary.facts()
    parts = [
        f"{int(facts['duration_us']) / 1e6:.3f} s",
        f"{int(facts['events']):,} events, {100 * float(facts['labelled_share']):.1f} % labelled",
        f"{100 * float(facts['annotated_share']):.1f} % of the time annotated",
    ]
    if "frames" in facts:
        empty = int(facts["frames_without_region"])
        parts.append(f"{empty:,} of {int(facts['annotated_frames']):,} frames without a region")
    n = len(summary.suspects)
    parts.append(f"{n:,} of {len(summary.track):,} tracks suspicious")
    return " · ".join(parts)


def _joined(start: np.ndarray, stop: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield intervals, those that follow each other as one."""
    if not len(start):
        return
    cut = np.flatnonzero(start[1:] != stop[:-1])
    firsts, lasts = np.append(0, cut + 1), np.append(cut, len(start) - 1)
    yield from zip(start[firsts].tolist(), stop[lasts].tolist(), strict=True)


def _towards_white(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(255 + share * (value - 255)) for value in colour)
    return red, green, blue


def _round_step(least: float) -> float:
    """Return the next of 1, 2, 5, 10, … times a power of ten.

    Examples
    --------
    >>> _round_step(0.3), _round_step(2.0), _round_step(26_000)
    (0.5, 2.0, 50000.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _short(value: float) -> str:
    """Return a rate in few characters.

    Examples
    --------
    >>> _short(950), _short(12_345), _short(2_500_000)
    ('950', '12.3 k', '2.5 M')
    """
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.3g}"
