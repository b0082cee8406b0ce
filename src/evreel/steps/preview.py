"""Short videos of recordings, each with a picture that stands for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from evreel import __version__
from evreel.dataset.settings import PreviewSettings
from evreel.errors import UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import canonical_json
from evreel.steps.common import LOG, with_progress
from evreel.steps.events import Source, as_store


def preview(
    store: Source,
    video: str | Path,
    poster: str | Path,
    settings: PreviewSettings = PreviewSettings(),
    *,
    slices: str | Path | None = None,
    clock: str | Path | None = None,
    boxes: str | Path | None = None,
    cut: str | Path | None = None,
    labels: Sequence[str] | None = None,
    font: str | Path | None = None,
    progress: Progress = silent,
) -> int:
    """Render a short video of a recording, and a picture that stands for it.

    They show what labels the recording: boxes, else slices, else samples; without any, its events
    alone. Only the stretch that they show is read.

    Parameters
    ----------
    store
        Its events store; a recording is decoded for this, into a temporary one.
    video, poster
        ``.mp4`` and ``.jpg`` to write.
    settings
        How long and large the video is, and how it is encoded.
    slices, clock
        Its annotated slices, and the clock that they were made with.
    boxes
        Boxes that came with it.
    cut
        Table of its samples, as `cut` writes it.
    labels
        Names of the classes of `boxes`, in the order of their numbers; without any, classes are
        named by number.
    font
        TrueType or OpenType file for names that the built-in font lacks letters of.

    Returns
    -------
    How many frames the video has.

    Raises
    ------
    ClockError
        If the slices were made with another clock.
    UsageError
        If an output's name has another suffix, slices have no clock, or the font is none.
    """
    from evreel.files.slices import SlicesFile
    from evreel.samples.tables import read_cut
    from evreel.video.jpeg import jpeg_bytes
    from evreel.video.mp4 import Encoding, write_mp4
    from evreel.viz.moments import clock_of
    from evreel.viz.previews import OfBoxes, OfEvents, OfSamples, OfSlices, Preview

    for path, suffix in ((Path(video), ".mp4"), (Path(poster), ".jpg")):
        if path.suffix != suffix:
            raise UsageError(f"the name of {path.name!r} must end in {suffix}")
    letters = None if font is None else str(font)
    made_from = {"slices": slices, "clock": clock, "boxes": boxes, "cut": cut, "font": font}
    given = {role: Path(path) for role, path in made_from.items() if path is not None}
    with ExitStack() as stack:
        opened = stack.enter_context(as_store(store, beside=video))
        shown: Preview
        if boxes is not None:
            shown = OfBoxes(opened, boxes, labels or (), settings, letters)
        elif slices is not None:
            if clock is None:
                raise UsageError("slices are shown by their clock; none is given")
            file = stack.enter_context(SlicesFile(slices))
            shown = OfSlices(file, clock_of(file, clock), opened, settings, letters)
        elif cut is not None:
            shown = OfSamples(opened, read_cut(cut), settings, letters)
        else:
            shown = OfEvents(opened, settings, letters)
        outputs = Path(video), Path(poster)
        scratch, picture = stack.enter_context(
            atomic(*outputs, inputs=[opened.path, *given.values()])
        )
        n = write_mp4(
            scratch,
            with_progress(shown.frames(), shown.n, progress),
            shown.shape,
            **settings.part(Encoding).__dict__,
            colour=True,
            metadata={
                **{name: str(value) for name, value in settings.plain().items()},
                "evreel_version": __version__,
                # Files with all events are not read for this: these name what they were made from.
                "events": canonical_json(opened.decoded_from),
            },
        )
        picture.write_bytes(jpeg_bytes(shown.poster(), poster))
    LOG.info("%s: %d frames of %dx%d", outputs[0].name, n, *reversed(shown.shape))
    return n
