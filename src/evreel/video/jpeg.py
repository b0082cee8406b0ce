"""One picture as JPEG, with the same bytes on every machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.video import ffmpeg

_RED, _GREEN, _BLUE = 19_595, 38_470, 7_471
"""Shares of brightness, by 65,536, as JFIF has them."""


def jpeg_bytes(
    picture: npt.NDArray[np.uint8], path: str | Path = "picture", *, quality: int = 4
) -> bytes:
    """Return a picture, (H, W, 3) uint8 of red, green, blue, as JPEG.

    Colours are converted here, and ffmpeg transforms them by its portable code: its other code
    depends on the processor.

    Parameters
    ----------
    picture
        What to write.
    path
        Where it will be, for messages.
    quality
        2 (best, largest) to 31, as ffmpeg counts.
    """
    red, green, blue = np.moveaxis(picture.astype(np.int64), 2, 0)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    # Whole numbers: by 65,536, and half of that to round.
    chroma = (
        (((value << 16) - luma) * 65_536 // (2 * (65_536 - share)) + (1 << 23) + (1 << 15)) >> 16
        for value, share in ((blue, _BLUE), (red, _RED))
    )
    planes = [(luma + (1 << 15)) >> 16, *chroma]
    packed = np.stack([np.clip(plane, 0, 255) for plane in planes]).astype(np.uint8).ravel()
    arguments = ["-frames:v", "1", "-c:v", "mjpeg", "-q:v", str(quality), "-dct", "int"]
    arguments += ["-huffman", "optimal", "-color_range", "pc", "-threads", "1", "-bitexact"]
    shape = picture.shape[0], picture.shape[1]
    with tempfile.TemporaryFile() as stream:
        ffmpeg.encode(
            *(Path(path), [packed], shape, [*arguments, "-f", "image2pipe", "pipe:1"]),
            pixels="yuvj444p",
            stdout=stream,
        )
        stream.seek(0)
        return stream.read()
