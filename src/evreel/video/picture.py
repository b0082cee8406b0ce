"""How a sensor's pixels map to the pictures of a video."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evreel.errors import ParameterError

LARGEST_PICTURE = 16_384
"""Longest side of a picture, px: the limit of H.264."""

_NAME = re.compile(r"(?:.*[/\\])?([0-9]{6,9})_(-?[0-9]{1,18})(?:\.[A-Za-z0-9]+)?", re.ASCII)
_WITHIN = re.compile(r"(?:.*[^0-9])?([0-9]{6,9})_(0|-?[1-9][0-9]{0,17})(?![0-9]).*", re.ASCII)


def index_digits(n_frames: int) -> int:
    """Return how many digits the index has in a picture's name, so that names sort in order."""
    return max(6, len(str(n_frames - 1)))


def picture_name(index: int, start_us: int, n_frames: int) -> str:
    """Return what the picture of a frame is called, without a suffix.

    Examples
    --------
    >>> picture_name(12, 120_000, 20)
    '000012_120000'
    """
    return f"{index:0{index_digits(n_frames)}d}_{start_us}"


def frame_of_picture(name: str) -> tuple[str, int] | None:
    """Return the index, as it is written, and the start in µs that a picture's name states.

    Folders before the name and a suffix after it may be any. None if it is not such a name.

    Examples
    --------
    >>> frame_of_picture("frames/000012_120000.PNG"), frame_of_picture("frame_000012")
    (('000012', 120000), None)
    """
    match = _NAME.fullmatch(name)
    return None if match is None else (match[1], int(match[2]))


def frame_within_name(name: str) -> tuple[str, int] | None:
    """Return what `frame_of_picture` does, of a name that has more before or after that.

    Other names may look alike by chance: compare several.

    Examples
    --------
    >>> frame_within_name("park_000012_120000 (1).png"), frame_within_name("000012_0120.png")
    (('000012', 120000), None)
    """
    match = _WITHIN.fullmatch(re.split(r"[/\\]", name)[-1])
    return None if match is None else (match[1], int(match[2]))


@dataclass(frozen=True)
class Picture:
    """How a sensor's pixels map to a video's pictures.

    A sensor pixel becomes a square of `scale` × `scale` picture pixels. Padding is only at the
    right and bottom, so that picture coordinate divided by `scale` is sensor coordinate.

    Parameters
    ----------
    sensor
        (height, width) in pixels.
    scale
        Whole-number magnification, 1 or more.
    pad_bottom, pad_right
        Padding in picture pixels, 0 or more.

    Raises
    ------
    ParameterError
        If a size is out of range.
    """

    sensor: tuple[int, int]
    scale: int = 1
    pad_bottom: int = 0
    pad_right: int = 0

    def __post_init__(self) -> None:
        if min(self.sensor) < 1:
            raise ParameterError(f"a sensor of size {tuple(self.sensor)} (height, width) is empty")
        if self.scale < 1:
            raise ParameterError(f"scale={self.scale} is not at least 1")
        if max(self.shape) > LARGEST_PICTURE:
            raise ParameterError(
                f"a {self.shape[1]}x{self.shape[0]} picture has a side of more than "
                f"{LARGEST_PICTURE} px",
                hint="Choose a smaller scale.",
            )
        for name in ("pad_bottom", "pad_right"):
            if getattr(self, name) < 0:
                raise ParameterError(f"{name}={getattr(self, name)} is negative")

    @classmethod
    def for_video(cls, sensor: tuple[int, int], scale: int = 1, multiple: int = 2) -> Picture:
        """Pad to sizes that a video codec accepts: yuv420p stores colour for squares of 2 × 2.

        Parameters
        ----------
        sensor
            (height, width) in pixels.
        scale
            Whole-number magnification.
        multiple
            Height and width become the next multiple of this number of picture pixels.

        Examples
        --------
        >>> Picture.for_video((5, 4), scale=3).shape
        (16, 12)
        """
        if multiple < 1:
            raise ParameterError(f"multiple={multiple} is not at least 1")
        height, width = sensor
        return cls(sensor, scale, -height * scale % multiple, -width * scale % multiple)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of a picture, in picture pixels."""
        height, width = self.sensor
        return height * self.scale + self.pad_bottom, width * self.scale + self.pad_right
