"""How far annotations are from their events: a table, and a picture of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evreel.annotations.aligning import AlignSettings, Estimate
from evreel.annotations.alignment import Alignment
from evreel.dataset.settings import AnnotateSettings
from evreel.errors import AnnotationError
from evreel.outputs import Progress, atomic, silent
from evreel.steps.annotate import Files, files_in, read_annotations
from evreel.steps.clock import check_clock, check_frames
from evreel.steps.common import LOG
from evreel.steps.events import as_store

if TYPE_CHECKING:
    from evreel.events import Events
    from evreel.files.events_store import EventsStore
    from evreel.files.slices import SlicesFile

Estimates = list[Estimate]


class Found(NamedTuple):
    """What was found.

    Parameters
    ----------
    estimates : one for each track, then that of all.
    columns : header and row of the recordings table that would move the annotation to its events;
        None if nothing is farther away than its uncertainty, or nothing can be told.
    """

    estimates: Estimates
    columns: str | None


COLUMNS = (
    *("track", "label", "events", "on_outline", "on_outline_moved", "time_offset_us"),
    *("time_offset_pm_us", "x_px", "x_pm_px", "y_px", "y_pm_px", "note"),
)


def align(
    source: str | Path,
    clock: str | Path,
    rois: Files,
    settings: AnnotateSettings = AnnotateSettings(),
    search: AlignSettings = AlignSettings(),
    *,
    output: str | Path | None = None,
    plot: str | Path | None = None,
    progress: Progress = silent,
) -> Found:
    """Estimate how far each track is from its own events, in time and space; change nothing.

    Parameters
    ----------
    source
        Events store, or slices.
    clock
        The clock of the annotated video.
    rois
        The annotation, as `annotate` takes it.
    settings
        How it is read and aligned by now; what is found comes on top.
    search
        How far to search.
    output
        Table to write, TSV; None writes none.
    plot
        Picture to write, SVG; None draws none.

    Returns
    -------
    The estimates, and what would apply them.

    Raises
    ------
    AnnotationError
        If the annotation is not valid, does not fit the clock, or has no tracks.
    """
    from evreel.annotations.aligning import estimate
    from evreel.files import hdf5
    from evreel.files.clock import read_clock
    from evreel.files.slices import SlicesFile
    from evreel.layout import SLICES
    from evreel.video.picture import Picture

    frames, picture, extra = read_clock(clock)
    files = files_in(rois)
    joined = read_annotations(
        *(files, None, frames, settings),
        clock=clock,
        picture=picture,
        names=[Path(source).stem],
    )
    if all(track.id < 0 for track in joined.annotations.tracks):
        raise AnnotationError(
            "has no tracks, whose way could be held against the events",
            path=joined.annotations.source,
            hint="Export CVAT for video 1.1: shapes of images have no tracks.",
        )
    alignment = settings.part(Alignment)

    def estimated(events: EventsStore | SlicesFile, n: int, chunks: Iterator[Events]) -> Estimates:
        aligned = alignment.clock(frames)
        check_frames(aligned, events, clock)
        on_sensor = picture or Picture(events.sensor)
        return estimate(
            alignment.annotations(joined.annotations, events.sensor),
            aligned,
            aligned.instants(settings.instant),
            on_sensor.scale if alignment.homography is None else 1,
            _counted(chunks, n, progress),
            search,
        )

    if hdf5.layout_of(Path(source)) == SLICES.name:
        with SlicesFile(source) as slices:
            found = estimated(slices, slices.n_events, _of_slices(slices))
    else:
        beside = output or plot or Path(source).with_suffix(".align.tsv")
        with as_store(source, beside=beside) as store:
            check_clock(clock, extra, store)
            found = estimated(store, store.n, store.chunks())
    for one in found:
        if one.track is not None and one.every > 1:
            what = "track %d: one in %d of the %d events near it is taken"
            LOG.info(what, one.track, one.every, one.n_events)
    for path, text in ((output, as_table(found)), (plot, as_picture(found))):
        if path is not None:
            with atomic(path, inputs=[source, clock, *files]) as (scratch,):
                scratch.write_text(text, encoding="utf-8", newline="\n")
    return Found(found, _columns(found, settings, picture.scale if picture else 1))


def _of_slices(slices: SlicesFile) -> Iterator[Events]:
    rows = 1 << 20
    for start in range(0, slices.n_events, rows):
        yield slices.read(start, start + rows)[0]


def _counted(chunks: Iterator[Events], total: int, progress: Progress) -> Iterator[Events]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress(done, total)


def as_table(found: Sequence[Estimate]) -> str:
    """Return estimates as the text of a TSV; what cannot be told is empty."""
    rows: list[tuple[str, ...]] = [COLUMNS]
    for one in found:
        (x, y), (x_pm, y_pm) = one.shift_px, one.shift_pm_px
        rows.append(
            (
                *("all" if one.track is None else str(one.track), one.label, str(one.n_events)),
                *(f"{one.share:.3f}", f"{one.share_moved:.3f}"),
                *(_number(value, 0) for value in (one.offset_us, one.offset_pm_us)),
                *(_number(value, 2) for value in (x, x_pm, y, y_pm)),
                one.note,
            )
        )
    return "".join("\t".join(row) + "\n" for row in rows)


def _number(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _columns(found: Estimates, settings: AnnotateSettings, scale: int) -> str | None:
    best = found[-1] if found else None
    if best is None or best.note:
        return None
    names, cells = [], []
    if abs(best.offset_us) > best.offset_pm_us:
        names.append("annotate/time_offset_us")
        cells.append(str(settings.time_offset_us + round(best.offset_us)))
    if any(abs(d) > pm for d, pm in zip(best.shift_px, best.shift_pm_px, strict=True)):
        a, b, c, d, e, f, g, h, i = settings.homography or (1, 0, 0, 0, 1, 0, 0, 0, scale)
        x, y = (0.0 if math.isnan(shift) else round(shift, 2) for shift in best.shift_px)
        moved = (a + x * g, b + x * h, c + x * i, d + y * g, e + y * h, f + y * i, g, h, i)
        names.append("annotate/homography")
        cells.append("[" + ", ".join(map(_in_yaml, moved)) + "]")
    return "\t".join(names) + "\n" + "\t".join(cells) if names else None


def _in_yaml(value: float) -> str:
    """Return a number as YAML takes it: 1e-05 would be a text."""
    digits, e, exponent = f"{value:.10g}".partition("e")
    return f"{digits}{'' if '.' in digits else '.0'}e{exponent}" if e else digits


_ROW, _WIDE, _LEFT = 22, 260, 190


def as_picture(found: Sequence[Estimate]) -> str:
    """Return estimates as the text of an SVG: a row for each, time on the left, space right."""
    values: list[tuple[str, str, float, Callable[[Estimate], tuple[float, float]]]] = [
        ("time offset", "ms", 1e-3, lambda one: (one.offset_us, one.offset_pm_us)),
        ("x", "px", 1.0, lambda one: (one.shift_px[0], one.shift_pm_px[0])),
        ("y", "px", 1.0, lambda one: (one.shift_px[1], one.shift_pm_px[1])),
    ]
    height, width = (len(found) + 3) * _ROW, _LEFT + len(values) * (_WIDE + 30)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for k, one in enumerate(found):
        name = "all tracks" if one.track is None else f"track {one.track} ({one.label})"
        lines.append(f'<text x="8" y="{(k + 1.7) * _ROW:.0f}">{_escaped(name[:26])}</text>')
    for p, (title, unit, factor, value_of) in enumerate(values):
        middle = _LEFT + p * (_WIDE + 30) + _WIDE / 2
        told = [[number * factor for number in value_of(one)] for one in found]
        limit = max((abs(at) + pm for at, pm in told if not math.isnan(at)), default=0) or 1.0
        lines += [
            f'<text x="{middle:.0f}" y="15" text-anchor="middle">{title} ({unit})</text>',
            f'<line x1="{middle:.0f}" x2="{middle:.0f}" y1="{_ROW}" '
            f'y2="{height - 1.5 * _ROW:.0f}" stroke="silver"/>',
            f'<text x="{middle - _WIDE / 2:.0f}" y="{height - 8}">−{limit:.3g}</text>',
            f'<text x="{middle + _WIDE / 2:.0f}" y="{height - 8}" text-anchor="end">'
            f"{limit:.3g}</text>",
        ]
        for k, (value, pm) in enumerate(told):
            y = (k + 1.5) * _ROW
            if math.isnan(value):
                lines.append(f'<text x="{middle + 4:.0f}" y="{y + 4:.0f}" fill="gray">?</text>')
                continue
            at, reach = middle + value / limit * _WIDE / 2, pm / limit * _WIDE / 2
            lines += [
                f'<line x1="{at - reach:.1f}" x2="{at + reach:.1f}" y1="{y:.0f}" y2="{y:.0f}" '
                'stroke="steelblue" stroke-width="2"/>',
                f'<circle cx="{at:.1f}" cy="{y:.0f}" r="4" fill="steelblue"/>',
            ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
