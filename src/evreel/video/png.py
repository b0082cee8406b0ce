"""One picture as PNG, with the same bytes on every machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.video import ffmpeg


def png_bytes(picture: npt.NDArray[np.uint8], path: str | Path = "picture") -> bytes:
    """Return a picture, (H, W, 3) uint8 of red, green, blue, as PNG.

    ffmpeg compresses: its own zlib is the same on every machine, unlike Python's.

    Parameters
    ----------
    picture
        What to write.
    path
        Where it will be, for messages.
    """
    arguments = ["-frames:v", "1", "-c:v", "png", "-pred", "none", "-compression_level", "9"]
    arguments += ["-threads", "1", "-bitexact", "-f", "image2pipe", "pipe:1"]
    with tempfile.TemporaryFile() as stream:
        shape = picture.shape[0], picture.shape[1]
        ffmpeg.encode(Path(path), [picture], shape, arguments, pixels="rgb24", stdout=stream)
        stream.seek(0)
        return stream.read()
