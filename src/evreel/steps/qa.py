"""Videos that show what is labelled, one picture per row of the frame clock."""

from __future__ import annotations

from pathlib import Path

from evreel import __version__
from evreel.dataset.settings import QaSettings
from evreel.errors import UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import sha256
from evreel.steps.common import LOG, with_progress


def qa(
    slices: str | Path,
    clock: str | Path,
    output: str | Path,
    settings: QaSettings = QaSettings(),
    *,
    progress: Progress = silent,
) -> int:
    """Render a video that shows what is labelled, so that people can check it.

    Parameters
    ----------
    slices
        Annotated slices, made by `annotate`.
    clock
        The clock that they were made with.
    output
        ``.mp4``.
    settings
        How the pictures look, and how they are encoded.

    Returns
    -------
    How many frames were written.

    Raises
    ------
    ClockError
        If the slices were made with another clock.
    UsageError
        If the font is none.
    """
    from evreel.files.slices import SlicesFile
    from evreel.video.labelled import Showing
    from evreel.video.mp4 import Encoding, write_mp4
    from evreel.viz.moments import Moments, clock_of

    output = Path(output)
    if output.suffix != ".mp4":
        raise UsageError(f"a QA video's name must end in .mp4, not in {output.suffix!r}")
    with (
        SlicesFile(slices) as opened,
        atomic(output, inputs=[opened.path, clock]) as (scratch,),
    ):
        frames = clock_of(opened, clock)
        moments = Moments(opened, settings.part(Showing), frames)
        n = write_mp4(
            scratch,
            with_progress(moments.frames(), len(frames), progress),
            moments.shape,
            **settings.part(Encoding).__dict__,
            colour=True,
            metadata={
                **{name: str(value) for name, value in settings.plain().items() if name != "font"},
                "frames": str(len(frames)),
                "evreel_version": __version__,
                "slices": sha256(opened.path),
                "clock": sha256(clock),
                **({} if settings.font is None else {"font": sha256(settings.font)}),
            },
        )
    LOG.info("%s: %d frames of %dx%d", output.name, n, *reversed(moments.shape))
    return n
