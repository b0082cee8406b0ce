"""Grey or coloured pictures → an mp4 (H.264) that CVAT and browsers play and seek in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError
from evreel.settings import Settings, setting
from evreel.video import ffmpeg

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]
KEY_FRAME_EVERY = 30
"""Most frames from one key frame to the next: what a seek has to decode."""

FASTEST = 240
"""Most frames per second."""


@dataclass(frozen=True)
class Encoding(Settings):
    """How an mp4 is encoded."""

    fps: int = setting(
        30,
        "Frames per second at which the mp4 plays; the clock holds the true time.",
        minimum=1,
        maximum=FASTEST,
    )
    preset: Preset = setting("ultrafast", "x264 preset; slower ones make smaller files.")
    # 0 would need a profile that browsers cannot play.
    crf: int = setting(
        23, "x264 constant rate factor, 1 (best, largest) to 51.", minimum=1, maximum=51
    )


def write_mp4(
    path: str | Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    shape: tuple[int, int],
    *,
    fps: int | Fraction = Encoding.fps,
    preset: Preset = Encoding.preset,
    crf: int = Encoding.crf,
    metadata: Mapping[str, str] | None = None,
    colour: bool = False,
) -> int:
    """Encode pictures in constant memory; equal pictures give equal bytes on any x86-64.

    The bytes depend on the version of imageio-ffmpeg (which a lock file pins), but not on the
    processor, its number of cores, or the time of day.

    Parameters
    ----------
    path
        File to write.
    frames
        (H, W) uint8 each, 0 black to 255 white; (H, W, 3) of red, green, blue if `colour`.
    shape
        (H, W), both even: `evreel.video.picture.Picture.for_video` pads to it.
    fps, preset, crf
        As in `Encoding`; `fps` may be a fraction, and less than 1.
    metadata
        Name → text, kept in the file: the clock's origin, its sha256, …
    colour
        Whether the pictures have colours.

    Returns
    -------
    How many frames were written.

    Raises
    ------
    ParameterError
        If a parameter is out of range, a picture does not have `shape`, or there are none.
    EvreelError
        If ffmpeg fails.
    """
    path = Path(path)
    height, width = shape
    if height % 2 or width % 2 or min(shape) < 2:
        raise ParameterError(
            f"pictures of {width}x{height} cannot be stored with colour for every 2x2 pixels",
            path=path,
            hint="Pad them to even sizes.",
        )
    Encoding(math.ceil(fps) if isinstance(fps, Fraction) else fps, preset, crf)  # checks them
    tags: list[str] = []
    for name, value in sorted((metadata or {}).items()):
        if not name.isprintable() or not name or "=" in name or not value or "\0" in value:
            raise ParameterError(
                f"metadata {name!r}={value!r} cannot be stored",
                path=path,
                hint="Names must be printable and without '='; names and values must not be empty.",
            )
        tags += ["-metadata", f"{name}={value}"]
    x264 = ["cpu-independent=1", *(_COLOURS if colour else ())]
    arguments = [
        *("-an", "-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *("-pix_fmt", "yuv420p", "-profile:v", "high", "-color_range", "tv"),
        *("-g", str(KEY_FRAME_EVERY), "-bf", "0", "-flags", "+cgop", "-bitexact"),
        # Defaults depend on the machine: one thread per core, other results on SSE2 than on newer.
        *("-threads", "2", "-filter_threads", "1", "-x264-params", ":".join(x264)),
        *("-movflags", "+faststart+use_metadata_tags", *tags, "-f", "mp4", f"file:{path}"),
    ]
    if not colour:
        return ffmpeg.encode(path, frames, shape, arguments, fps=fps)
    # Converted here: ffmpeg's own conversion depends on the processor.
    planes = _planes(frames, shape, path)
    return ffmpeg.encode(path, planes, shape, arguments, fps=fps, pixels="yuv420p")


# A note in the stream; as options of ffmpeg's own, they would make it convert.
_COLOURS = ("colormatrix=bt709", "colorprim=bt709", "transfer=bt709")


def _planes(
    frames: Iterable[npt.NDArray[np.uint8]], shape: tuple[int, int], path: Path
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the planes of pictures of red, green and blue."""
    from evreel.kernels.pictures import to_yuv420

    wanted = ffmpeg.array_shape(shape, "rgb24")
    for n, frame in enumerate(frames):
        ffmpeg.check_picture(frame, wanted, n, path)
        planes = np.empty(ffmpeg.array_shape(shape, "yuv420p"), dtype=np.uint8)
        to_yuv420(frame, planes)
        yield planes
