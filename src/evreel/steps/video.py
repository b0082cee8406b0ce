"""Pictures to annotate, one per row of the frame clock."""

from __future__ import annotations

from pathlib import Path

from evreel import __version__
from evreel.dataset.settings import VideoSettings
from evreel.errors import UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import sha256
from evreel.steps.clock import check_clock
from evreel.steps.common import LOG, with_progress
from evreel.steps.events import Source, as_store


def video(
    store: Source,
    clock: str | Path,
    output: str | Path,
    settings: VideoSettings = VideoSettings(),
    *,
    progress: Progress = silent,
) -> int:
    """Render pictures to annotate, one per row of the clock.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    clock
        Table written by `clock`, or by hand.
    output
        ``.mp4``, or ``.zip`` for PNG frames named by index and start.
    settings
        How the pictures look, and how an mp4 is encoded (ignored for a zip).

    Returns
    -------
    How many frames were written.
    """
    from evreel.files.clock import read_clock
    from evreel.video.mp4 import Encoding, write_mp4
    from evreel.video.picture import Picture
    from evreel.video.png_zip import write_png_zip
    from evreel.video.render import Rendering, render

    output = checked_video_name(output)
    frames, picture, extra = read_clock(clock)
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, clock]) as (scratch,),
    ):
        check_clock(clock, extra, opened)
        picture = picture or Picture.for_video(opened.sensor)
        images = with_progress(
            render(
                opened.chunks(),
                frames,
                opened.sensor,
                picture=picture,
                **settings.part(Rendering).__dict__,
            ),
            len(frames),
            progress,
        )
        metadata = extra | {
            **{name: str(value) for name, value in settings.part(Rendering).plain().items()},
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
            encoding = settings.part(Encoding)
            metadata |= {"preset": encoding.preset, "crf": str(encoding.crf)}
            n = write_mp4(scratch, images, picture.shape, metadata=metadata, **encoding.__dict__)
    LOG.info("%s: %d frames of %dx%d", output.name, n, *reversed(picture.shape))
    return n


def checked_video_name(path: str | Path) -> Path:
    """Return the path of a video, or raise `UsageError` if its suffix is not a container's."""
    path = Path(path)
    if path.suffix not in (".mp4", ".zip"):
        raise UsageError(
            f"a video's name must end in .mp4 or .zip (PNG frames), not in {path.suffix!r}"
        )
    return path
