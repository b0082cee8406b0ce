"""Coloured pictures → an animated GIF, with the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.video import ffmpeg
from evreel.video.palette import Palette

FASTEST = 50
"""Most pictures per second: browsers play a GIF with shorter delays than 20 ms at 10 per second."""


def write_gif(
    path: str | Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    shape: tuple[int, int],
    *,
    fps: int | Fraction,
) -> int:
    """Encode pictures in constant memory, to be repeated for ever.

    A picture of at most 256 colours is stored exactly; others keep the 256 that a median cut
    finds. ffmpeg packs them, whose bytes do not depend on the processor.

    Parameters
    ----------
    path
        File to write.
    frames
        (H, W, 3) uint8 each, of red, green, blue.
    shape
        (H, W).
    fps
        Pictures per second, at most `FASTEST`. A GIF counts in 10 ms: delays alternate where the
        time between pictures is no multiple of that.

    Returns
    -------
    How many pictures were written.

    Raises
    ------
    ParameterError
        If there are no pictures, one does not have `shape`, or `fps` is out of range.
    EvreelError
        If ffmpeg fails.
    """
    path = Path(path)
    if not 0 < fps <= FASTEST:
        raise ParameterError(
            f"fps={fps} is not within 0 to {FASTEST}, the most of a GIF", path=path
        )
    arguments = ["-an", "-c:v", "gif", "-threads", "1", "-bitexact", "-loop", "0", "-f", "gif"]
    arguments.append(f"file:{path}")
    packed = _packed(frames, shape, path)
    return ffmpeg.encode(path, packed, shape, arguments, fps=fps, pixels="pal8")


def _packed(
    frames: Iterable[npt.NDArray[np.uint8]], shape: tuple[int, int], path: Path
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield pictures as numbers of colours."""
    palette = Palette()
    for n, frame in enumerate(frames):
        ffmpeg.check_picture(frame, (*shape, 3), n, path)
        yield palette.packed(frame)
