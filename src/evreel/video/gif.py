"""Coloured pictures → an animated GIF, with the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.video import ffmpeg

FASTEST = 50
"""Most pictures per second: browsers play a GIF with shorter delays than 20 ms at 10 per second."""

_COLOURS = 256


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
    """Yield pictures as ffmpeg takes them: numbers of colours, then the colours."""
    number = np.zeros(1 << 24, dtype=np.uint8)  # of each colour there can be
    for n, frame in enumerate(frames):
        ffmpeg.check_picture(frame, (*shape, 3), n, path)
        red, green, blue = (frame[:, :, k].astype(np.uint32) for k in range(3))
        pixels = (red << 16 | green << 8 | blue).ravel()
        every = np.unique(pixels)
        colours = np.stack([every >> 16, every >> 8 & 255, every & 255], axis=1).astype(np.uint8)
        number[every], colours = _reduced(colours)
        palette = np.zeros((_COLOURS, 4), dtype=np.uint8)
        palette[: len(colours), :3] = colours[:, ::-1]  # blue, green, red
        palette[:, 3] = 255
        yield np.concatenate([number[pixels], palette.ravel()])


def _reduced(
    colours: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return which of the colours that are kept stands for each, and those that are kept."""
    if len(colours) <= _COLOURS:
        return np.arange(len(colours)).astype(np.uint8), colours
    from PIL import Image

    # Of the colours, and not of the pixels: those of small bright spots stay.
    cut = Image.fromarray(colours[None]).quantize(
        _COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    kept = np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return np.asarray(cut)[0], kept
