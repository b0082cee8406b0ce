"""Grey pictures → an mp4 (H.264) that CVAT and browsers play and seek in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
"""Frames from one key frame to the next at most: what a seek has to decode."""


@dataclass(frozen=True)
class Encoding(Settings):
    """How an mp4 is encoded."""

    fps: int = setting(
        30,
        "Frames per second at which the mp4 plays; the clock holds the true time.",
        minimum=1,
        maximum=240,
    )
    preset: Preset = setting("ultrafast", "x264 preset; slower ones make smaller files.")
    # 0 would need a profile that browsers can't play.
    crf: int = setting(
        23, "x264 constant rate factor, 1 (best, largest) to 51.", minimum=1, maximum=51
    )


def write_mp4(
    path: str | Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    shape: tuple[int, int],
    *,
    fps: int = Encoding.fps,
    preset: Preset = Encoding.preset,
    crf: int = Encoding.crf,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Encode pictures in constant memory; equal pictures give equal bytes on any x86-64.

    The bytes hang on the version of imageio-ffmpeg (which a lock file fixes), and not on the
    processor, its number of cores, or the time of day.

    Parameters
    ----------
    path
        File to write.
    frames
        (H, W) uint8 each, 0 black to 255 white.
    shape
        (H, W), both even: `evreel.video.picture.Picture.for_video` pads to it.
    fps, preset, crf
        As `Encoding` takes them.
    metadata
        Name → text, kept in the file: where the clock's origin is, its sha256, …

    Returns
    -------
    How many frames were written.

    Raises
    ------
    ParameterError
        Where a parameter is out of its range, a picture is not of `shape`, or there is none.
    EvreelError
        Where ffmpeg fails.
    """
    path = Path(path)
    height, width = shape
    if height % 2 or width % 2 or min(shape) < 2:
        raise ParameterError(
            f"pictures of {width}x{height} can't be stored with colour for every 2x2 pixels",
            path=path,
            hint="Pad them to even sizes.",
        )
    Encoding(fps, preset, crf)  # checks them
    tags: list[str] = []
    for name, value in sorted((metadata or {}).items()):
        if not name.isprintable() or not name or "=" in name or not value or "\0" in value:
            raise ParameterError(
                f"metadata {name!r}={value!r} can't be stored",
                path=path,
                hint="Names are printable and without '='; neither is empty.",
            )
        tags += ["-metadata", f"{name}={value}"]
    arguments = [
        *("-an", "-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
        *("-pix_fmt", "yuv420p", "-profile:v", "high", "-color_range", "tv"),
        *("-g", str(KEY_FRAME_EVERY), "-bf", "0", "-flags", "+cgop", "-bitexact"),
        # What would follow the machine otherwise: one thread a core, SSE2 unlike newer.
        *("-threads", "2", "-filter_threads", "1", "-x264-params", "cpu-independent=1"),
        *("-movflags", "+faststart+use_metadata_tags", *tags, "-f", "mp4", f"file:{path}"),
    ]
    return ffmpeg.encode(path, frames, (height, width), arguments, fps=fps)
