"""One picture as PNG, with the same bytes on every machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.video import ffmpeg
from evreel.video.palette import Palette


def png_bytes(
    picture: npt.NDArray[np.uint8], path: str | Path = "picture", *, few_colours: bool = False
) -> bytes:
    """Return a picture, (H, W, 3) uint8 of red, green, blue, as PNG.

    ffmpeg compresses: its own zlib is the same on every machine, unlike Python's.

    Parameters
    ----------
    picture
        What to write.
    path
        Where it will be, for messages.
    few_colours
        Whether to store numbers of colours, which takes half as many bytes; beyond 256 colours,
        near ones stand for others.
    """
    arguments = ["-frames:v", "1", "-c:v", "png", "-pred", "none", "-compression_level", "9"]
    arguments += ["-threads", "1", "-bitexact", "-f", "image2pipe", "pipe:1"]
    shape = picture.shape[0], picture.shape[1]
    pixels: ffmpeg.Pixels = "pal8" if few_colours else "rgb24"
    packed = Palette().packed(picture) if few_colours else picture
    with tempfile.TemporaryFile() as stream:
        ffmpeg.encode(Path(path), [packed], shape, arguments, pixels=pixels, stdout=stream)
        stream.seek(0)
        return stream.read()
