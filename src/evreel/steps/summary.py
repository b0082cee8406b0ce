"""What is labelled in a recording, as a table, a plot and a page."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from evreel.errors import UsageError
from evreel.outputs import atomic
from evreel.steps.common import LOG

if TYPE_CHECKING:
    from evreel.viz.summary import Summary


def summary(
    slices: str | Path,
    table: str | Path | None = None,
    plot: str | Path | None = None,
    page: str | Path | None = None,
    *,
    font: str | Path | None = None,
    clock: str | Path | None = None,
) -> Summary:
    """Summarize what is labelled in a recording.

    Parameters
    ----------
    slices
        Annotated slices, made by `annotate`.
    table
        TSV to write; None writes none.
    plot
        PNG to write; None writes none.
    page
        HTML with the table to write, for any browser; None writes none.
    font
        Of the plot: a TrueType or OpenType file for names that the built-in font lacks letters of.
    clock
        The clock that the slices were made with, without which frames without a region are not
        counted; None looks for it, as `evreel.viz.moments.given_clock` does.

    Raises
    ------
    ClockError
        If the slices were made with another clock.
    UsageError
        If the font is none, the plot's name does not end in ``.png``, or the page's not in
        ``.html``.
    """
    from evreel.files.slices import SlicesFile
    from evreel.video.png import png_bytes
    from evreel.video.text import Font
    from evreel.viz.moments import given_clock
    from evreel.viz.page import page as page_of
    from evreel.viz.plot import plot as draw
    from evreel.viz.summary import summarize

    if plot is not None and Path(plot).suffix != ".png":
        raise UsageError(f"a plot's name must end in .png, not in {Path(plot).suffix!r}")
    if page is not None and Path(page).suffix != ".html":
        raise UsageError(f"a page's name must end in .html, not in {Path(page).suffix!r}")
    path, letters = Path(slices), Font.read(font)
    with SlicesFile(path) as opened:
        frames = given_clock(opened, clock)
        found = summarize(opened, path.stem, frames)
    outputs = [Path(output) for output in (table, plot, page) if output is not None]
    with contextlib.ExitStack() as stack:
        scratch = iter(
            stack.enter_context(atomic(*outputs, inputs=[path, clock])) if outputs else ()
        )
        if table is not None:
            with next(scratch).open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in found.lines())
        if plot is not None:
            next(scratch).write_bytes(png_bytes(draw(found, letters), plot))
        if page is not None:
            next(scratch).write_bytes(page_of(found.lines()).encode())
    for suspects in found.suspects.values():
        for check, suspect in suspects:
            LOG.warning("%s: %s: %s: %s", check, path.name, suspect.place, suspect.problem)
    return found
