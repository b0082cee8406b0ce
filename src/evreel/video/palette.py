"""Coloured pictures as numbers of colours: what a GIF holds, and a PNG may."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST = 256
"""Most colours of a picture."""


class Palette:
    """Packs pictures as ffmpeg takes them; it is made once for all of a video."""

    def __init__(self) -> None:
        self._number = np.zeros(1 << 24, dtype=np.uint8)  # of each colour that there can be

    def packed(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return a picture, (H, W, 3), as ``pal8``: numbers of colours, then the colours.

        At most `MOST` colours stay exactly as they are; of more, those that a median cut finds.
        """
        red, green, blue = (picture[:, :, k].astype(np.uint32) for k in range(3))
        pixels = (red << 16 | green << 8 | blue).ravel()
        every = np.unique(pixels)
        colours = np.stack([every >> 16, every >> 8 & 255, every & 255], axis=1).astype(np.uint8)
        self._number[every], colours = _reduced(colours)
        palette = np.zeros((MOST, 4), dtype=np.uint8)
        palette[: len(colours), :3] = colours[:, ::-1]  # blue, green, red
        palette[:, 3] = 255
        return np.concatenate([self._number[pixels], palette.ravel()])


def _reduced(
    colours: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return which of the colours that are kept stands for each, and those that are kept."""
    if len(colours) <= MOST:
        return np.arange(len(colours)).astype(np.uint8), colours
    from PIL import Image

    # Of the colours, and not of the pixels: those of small bright spots stay.
    cut = Image.fromarray(colours[None]).quantize(
        MOST, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    kept = np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return np.asarray(cut)[0], kept
