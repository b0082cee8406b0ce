"""Pictures of others, in any format that Pillow reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, foreign


def read_still(path: Path, size: tuple[int, int] | None = None) -> npt.NDArray[Any]:
    """Return a picture's pixels as they are stored, (H, W) or (H, W, channels), mostly uint8.

    Parameters
    ----------
    path
        The file.
    size
        Width and height to resample it to, px.

    Raises
    ------
    EvreelError
        If it is not a picture, is damaged, or has so many pixels that it may be an attack.
    """
    from PIL import Image

    def unreadable(why: str) -> EvreelError:
        return EvreelError(f"is not a picture that can be read: {why}", path=path)

    with foreign(unreadable), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            return np.array(picture if size is None else picture.resize(size))
