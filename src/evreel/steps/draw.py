"""A picture of one moment of a recording, as it is labelled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evreel.dataset.settings import QaSettings
from evreel.errors import UsageError
from evreel.outputs import atomic

if TYPE_CHECKING:
    from evreel.video.labelled import Image


def draw(
    slices: str | Path,
    output: str | Path,
    settings: QaSettings = QaSettings(),
    *,
    at_us: int | None = None,
    frame: int | None = None,
    slice_: int | None = None,
    window_us: int | None = None,
    clock: str | Path | None = None,
) -> Image:
    """Draw a moment of annotated slices: events by region, outlines, names, tags.

    Parameters
    ----------
    slices
        Annotated slices, made by `annotate`; also of a release.
    output
        ``.png``.
    settings
        How it looks.
    at_us, frame, slice_
        Exactly one of: a time, of which the `window_us` before it are shown; a frame of the
        annotated video; a slice.
    window_us
        Only with `at_us`; None is 10 ms.
    clock
        The clock that the slices were made with: the time of frames that show no region. None
        looks for it, as `evreel.viz.moments.given_clock` does.

    Returns
    -------
    (H, W, 3) uint8.

    Raises
    ------
    UsageError
        If there is no such moment, or the font is none.
    """
    from evreel.files.slices import SlicesFile
    from evreel.video.labelled import Showing
    from evreel.video.png import png_bytes
    from evreel.viz.moments import WINDOW_US, Moments, given_clock

    output = Path(output)
    if output.suffix != ".png":
        raise UsageError(f"a picture's name must end in .png, not in {output.suffix!r}")
    if [at_us, frame, slice_].count(None) != 2:
        raise UsageError("exactly one of a time, a frame and a slice is drawn")
    if window_us is not None and at_us is None:
        raise UsageError("window_us goes only with at_us: frames and slices have their own times")
    with SlicesFile(slices) as opened, atomic(output, inputs=[opened.path, clock]) as (scratch,):
        frames = given_clock(opened, clock)
        moments = Moments(opened, settings.part(Showing), frames)
        if at_us is not None:
            picture = moments.at(at_us, WINDOW_US if window_us is None else window_us)
        elif frame is not None:
            picture = moments.frame(frame)
        else:
            assert slice_ is not None
            picture = moments.slice(slice_)
        scratch.write_bytes(png_bytes(picture, output))
    return picture
