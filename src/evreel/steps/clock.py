"""From an events store to the clock of its video's frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evreel import __version__
from evreel.dataset.settings import ClockSettings
from evreel.errors import ClockError
from evreel.outputs import atomic
from evreel.provenance import sha256
from evreel.steps.common import LOG
from evreel.steps.events import Source, as_store

if TYPE_CHECKING:
    from evreel.files.events_store import EventsStore
    from evreel.timebase import FrameClock
    from evreel.video.picture import Picture


def clock(
    store: Source, output: str | Path, settings: ClockSettings = ClockSettings()
) -> tuple[FrameClock, Picture]:
    """Write the time that each frame of a recording's video stands for, and its picture's layout.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    output
        The clock, TSV.
    settings
        Frame k stands for ``[k·window_us, (k+1)·window_us)``; frames of a part after a reset of the
        clock begin where it begins.
    """
    from evreel.files.clock import write_clock
    from evreel.timebase import FrameClock
    from evreel.video.picture import Picture
    from evreel.windows import Duration

    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        frames = FrameClock.regular(opened.t_stop_us, settings.window_us)
        if opened.clocks:
            windows = opened.windows(Duration(settings.window_us))
            frames = FrameClock(windows.start_us, windows.stop_us)
        picture = Picture.for_video(opened.sensor, settings.scale)
        origin_y, origin_x = opened.origin
        extra = {
            "window_us": str(settings.window_us),
            "t_offset": str(opened.t_offset),
            "origin_x_px": str(origin_x),
            "origin_y_px": str(origin_y),
            "evreel_version": __version__,
            "store": sha256(opened.path),
        }
        write_clock(scratch, frames, picture, extra)
    LOG.info("%s: %d frames of %d µs", Path(output).name, len(frames), settings.window_us)
    return frames, picture


def check_clock(path: str | Path, extra: Mapping[str, str], store: EventsStore) -> None:
    """Raise if a clock states another recording or crop; one made by hand may state none."""
    origin_y, origin_x = store.origin
    for name, own in (
        ("t_offset", store.t_offset),
        ("origin_x_px", origin_x),
        ("origin_y_px", origin_y),
    ):
        if extra.get(name, str(own)) != str(own):
            raise ClockError(
                f"{name} is {extra[name]}, but in {store.path.name} it is {own}",
                path=path,
                hint="The clock is for another recording, or for another crop of it.",
            )
