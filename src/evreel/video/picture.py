"""How a sensor's pixels map to the pictures of a video."""

from __future__ import annotations

from dataclasses import dataclass

from evreel.errors import ParameterError

LARGEST_PICTURE = 16_384
"""Longest side of a picture, px: the limit of H.264."""


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
