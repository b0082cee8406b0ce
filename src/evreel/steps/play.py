"""A features file to look at: a video, an animation, or a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evreel import __version__
from evreel.errors import AnnotationError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import canonical_json
from evreel.steps.common import LOG, with_progress
from evreel.viz.playing import Playing

if TYPE_CHECKING:
    from evreel.files.features import FeaturesFile
    from evreel.viz.playing import Boxes, FeaturePictures, Pace
    from evreel.viz.rgb import Image


def play(
    features: str | Path,
    output: str | Path,
    settings: Playing = Playing(),
    *,
    frames: str | None = None,
    boxes: str | Path | None = None,
    without_boxes: bool = False,
    progress: Progress = silent,
) -> int:
    """Show the frames of a features file, in memory bounded by a few of them.

    Parameters
    ----------
    features
        The features file.
    output
        ``.mp4``; ``.gif``, repeated for ever; or ``.png``: one frame, or a sheet of several, each
        with its number and time.
    settings
        Colours, size and speed.
    frames
        Which, as `evreel.viz.playing.rows_of` reads it; None is all.
    boxes
        Boxes of the recording, or in the order of the windows; of each track, the last in a window
        is drawn. None takes ``<name>_bbox.npy`` beside the features file, if there is one.
    without_boxes
        Whether no boxes are drawn.

    Returns
    -------
    How many frames are shown.

    Raises
    ------
    UsageError
        If the output's name has another ending, the file has no such frames, or a rate is given
        that such an output cannot have.
    LayoutError
        If the features file cannot be read.
    AnnotationError
        If the boxes cannot be read, or are of other windows.
    """
    from evreel.files.boxes import boxes_path
    from evreel.files.features import FeaturesFile
    from evreel.video import gif, mp4
    from evreel.video.png import png_bytes
    from evreel.viz import playing

    features, output = Path(features), Path(output)
    kind = output.suffix.lower()
    if kind not in (".mp4", ".gif", ".png"):
        raise UsageError(
            f"its name must end in .mp4, .gif or .png, not in {output.suffix!r}", path=output
        )
    if kind == ".png" and (settings.fps is not None or settings.speed is not None):
        raise UsageError("fps and speed do not go with a picture", path=output)
    if boxes is not None and without_boxes:
        raise UsageError("boxes and without_boxes exclude each other")
    beside = boxes_path(features)
    if boxes is None and not without_boxes and beside.exists():
        boxes = beside
    with (
        FeaturesFile(features) as file,
        atomic(output, inputs=[features, boxes]) as (scratch,),
    ):
        if not len(file):
            raise UsageError("has no frames", path=features)
        rows = playing.rows_of(frames, len(file))
        drawn = None if boxes is None else _boxes(boxes, file)
        if kind == ".png":
            least = None if len(rows) == 1 else playing.LEAST_ON_A_SHEET_PX
            pictures = playing.FeaturePictures(file, rows, settings, drawn, least_px=least)
            shown = playing.on_a_sheet(rows, pictures.shape)
            image = pictures.draw(rows[0]) if len(rows) == 1 else pictures.sheet(shown)
            scratch.write_bytes(png_bytes(image, output))
            many = f" of {len(rows)}" if len(shown) < len(rows) else ""
            LOG.info("%s: %s, %s", output.name, _frames(len(shown), many), _colours(pictures))
            return len(shown)
        fastest = gif.FASTEST if kind == ".gif" else mp4.FASTEST
        at = playing.pace(file, rows, settings, fastest)
        multiple = 1 if kind == ".gif" else 2
        pictures = playing.FeaturePictures(file, rows, settings, drawn, multiple=multiple)
        images = with_progress(_drawn(pictures, at.rows), len(at.rows), progress)
        if kind == ".gif":
            n = gif.write_gif(scratch, images, pictures.shape, fps=at.fps)
        else:
            said = {
                **{name: str(value) for name, value in settings.plain().items()},
                "representation": file.representation,
                "representation_parameters": canonical_json(file.parameters),
                "frames": f"{at.rows.start}:{at.rows.stop}:{at.rows.step}",
                "limit": repr(pictures.limit),
                "evreel_version": __version__,
            }
            n = mp4.write_mp4(
                scratch, images, pictures.shape, fps=at.fps, metadata=said, colour=True
            )
    LOG.info("%s: %s%s, %s", output.name, _frames(n), _speed(at), _colours(pictures))
    return n


def _drawn(pictures: FeaturePictures, rows: range) -> Iterator[Image]:
    return (pictures.draw(k) for k in rows)


def _boxes(path: str | Path, file: FeaturesFile) -> Boxes:
    """Return the last box of each track in each window of a features file."""
    from evreel.files.boxes import (
        boxes_of_windows,
        first_path,
        last_of_tracks,
        moved,
        read_boxes,
        read_boxes_of_windows,
    )

    if not first_path(path).exists():  # by time
        every, _ = moved(read_boxes(path), path, file.geometry, file.sensor)
        return boxes_of_windows(every, file.windows, "last", samples=file.samples)
    boxes, first = read_boxes_of_windows(path)
    if len(first) != len(file) + 1:
        raise AnnotationError(
            f"has boxes of {len(first) - 1} windows, but {file.path.name} has {len(file)}",
            path=path,
            hint="Make them again: evreel feature-boxes.",
        )
    return last_of_tracks(boxes, first)


def _frames(n: int, of: str = "") -> str:
    return f"{n}{of} frame{'s' * (n != 1)}"


def _speed(at: Pace) -> str:
    """Return how fast frames are shown, for the log."""
    rate = f" at {float(at.fps):.4g} per second"
    if at.speed is None:
        return rate
    of_real = float(at.speed)
    return rate + (", real time" if abs(of_real - 1) < 1e-3 else f", {of_real:.3g} × real time")


def _colours(pictures: FeaturePictures) -> str:
    return f"full colour from {pictures.limit:.4g}"
