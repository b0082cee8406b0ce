"""From events to pictures that people annotate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evreel import __version__
from evreel.errors import ClockError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import sha256
from evreel.steps.common import LOG, counted
from evreel.steps.decode import Source, as_store

if TYPE_CHECKING:
    from evreel.io.events_store import EventsStore
    from evreel.timebase import FrameClock, Picture
    from evreel.viz import Style


def clock(
    store: Source, output: str | Path, *, window_us: int, scale: int = 1
) -> tuple[FrameClock, Picture]:
    """Write when each frame of a recording's video stands for, and how its pictures lie.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The clock's table, TSV.
    window_us
        Frame k stands for ``[k·window_us, (k+1)·window_us)``.
    scale
        Whole-number magnification of the pictures.
    """
    from evreel.io.clock import write_clock
    from evreel.timebase import FrameClock, Picture

    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        frames = FrameClock.regular(opened.t_stop_us, window_us)
        picture = Picture.for_video(opened.sensor, scale)
        origin_y, origin_x = opened.origin
        extra = {
            "window_us": str(window_us),
            "t_offset": str(opened.t_offset),
            "origin_x_px": str(origin_x),
            "origin_y_px": str(origin_y),
            "evreel_version": __version__,
            "store": sha256(opened.path),
        }
        write_clock(scratch, frames, picture, extra)
    LOG.info("%s: %d frames of %d µs", Path(output).name, len(frames), window_us)
    return frames, picture


def video(
    store: Source,
    clock: str | Path,
    output: str | Path,
    *,
    style: Style = "polarity",
    accumulate_us: int | None = None,
    contrast: float | None = None,
    tau_us: int = 30_000,
    fps: int = 30,
    preset: str = "ultrafast",
    crf: int = 23,
    progress: Progress = silent,
) -> int:
    """Render pictures to annotate, one a row of the clock.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    clock
        Table written by `clock`, or by hand.
    output
        ``.mp4``, or ``.zip`` for PNG frames named by index and start.
    style, accumulate_us, contrast, tau_us
        As `evreel.viz.render` takes them.
    fps, preset, crf
        As `evreel.io.mp4.write_mp4` takes them; nothing to a zip.

    Returns
    -------
    How many frames were written.
    """
    from evreel.io.clock import read_clock
    from evreel.io.mp4 import write_mp4
    from evreel.io.png_zip import write_png_zip
    from evreel.timebase import Picture
    from evreel.viz import render

    output = checked_video_name(output)
    frames, picture, extra = read_clock(clock)
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, clock]) as (scratch,),
    ):
        check_clock(clock, extra, opened)
        picture = picture or Picture.for_video(opened.sensor)
        images = counted(
            render(
                opened.chunks(),
                frames,
                opened.sensor,
                style=style,
                accumulate_us=accumulate_us,
                contrast=contrast,
                tau_us=tau_us,
                picture=picture,
            ),
            len(frames),
            progress,
        )
        metadata = extra | {
            "style": style,
            "accumulate_us": str(accumulate_us),
            "contrast": str(contrast),
            "tau_us": str(tau_us),
            "frames": str(len(frames)),
            "sensor_height_px": str(picture.sensor[0]),
            "sensor_width_px": str(picture.sensor[1]),
            "scale": str(picture.scale),
            "pad_bottom_px": str(picture.pad_bottom),
            "pad_right_px": str(picture.pad_right),
            "evreel_version": __version__,
            "store": sha256(opened.path),
            "clock": sha256(clock),
        }
        if output.suffix == ".zip":
            n = write_png_zip(scratch, images, picture.shape, frames, metadata=metadata)
        else:
            metadata |= {"preset": preset, "crf": str(crf)}
            n = write_mp4(
                scratch, images, picture.shape, fps=fps, preset=preset, crf=crf, metadata=metadata
            )
    LOG.info("%s: %d frames of %dx%d", output.name, n, *reversed(picture.shape))
    return n


def check_clock(path: str | Path, extra: Mapping[str, str], store: EventsStore) -> None:
    """Raise where a clock says that it is of another recording or crop; one by hand may not say."""
    origin_y, origin_x = store.origin
    for name, own in (
        ("t_offset", store.t_offset),
        ("origin_x_px", origin_x),
        ("origin_y_px", origin_y),
    ):
        if extra.get(name, str(own)) != str(own):
            raise ClockError(
                f"{name} is {extra[name]}; that of {store.path.name} is {own}",
                path=path,
                hint="The clock is of another recording, or of another crop of it.",
            )


def checked_video_name(path: str | Path) -> Path:
    """Return the path of a video, or raise `UsageError` where its suffix names no container."""
    path = Path(path)
    if path.suffix not in (".mp4", ".zip"):
        raise UsageError(f"a video ends in .mp4 or .zip (PNG frames), not in {path.suffix!r}")
    return path
