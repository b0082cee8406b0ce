"""The ffmpeg that comes with imageio-ffmpeg: pictures in, an encoded stream out.

Another ffmpeg gives other bytes, so the one on PATH and ``IMAGEIO_FFMPEG_EXE`` are ignored.
``imageio_ffmpeg.write_frames`` is not used, because it does not read ffmpeg's exit status: a video
cut short by a full disk would count as complete.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Literal, cast

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, ParameterError
from evreel.outputs import FULL, MAKE_ROOM

Pixels = Literal["gray", "rgb24", "yuv420p", "yuvj444p", "pal8"]


def array_shape(shape: tuple[int, int], pixels: Pixels) -> tuple[int, ...]:
    """Return the shape of the array that holds a picture of (height, width).

    Examples
    --------
    >>> array_shape((4, 6), "rgb24"), array_shape((4, 6), "yuv420p")
    ((4, 6, 3), (36,))
    """
    height, width = shape
    return {
        "gray": (height, width),
        "rgb24": (height, width, 3),
        "yuv420p": (height * width * 3 // 2,),
        "yuvj444p": (height * width * 3,),
        "pal8": (height * width + 4 * 256,),  # then 256 colours: blue, green, red, opacity
    }[pixels]


def check_picture(
    picture: npt.NDArray[np.uint8], wanted: tuple[int, ...], n: int, path: Path
) -> None:
    """Raise `ParameterError` if picture n is not uint8 of the shape that is wanted."""
    if picture.shape != wanted or picture.dtype != np.uint8:
        raise ParameterError(
            f"is {picture.dtype} of {picture.shape}; uint8 of {wanted} is expected",
            path=path,
            place=f"picture {n}",
        )


def executable() -> Path:
    """Return the ffmpeg inside the imageio-ffmpeg package."""
    folder = Path(imageio_ffmpeg.__file__).parent / "binaries"
    found = sorted(folder.glob("ffmpeg-*"))
    if not found:
        raise EvreelError(
            "imageio-ffmpeg has no ffmpeg of its own",
            path=folder,
            hint="Install its wheel (pip install imageio-ffmpeg); conda's package has none.",
        )
    return found[-1]


@functools.cache
def _ending_with_us() -> tuple[str, ...]:
    """Return how a command begins whose process the system kills when ours is gone.

    An ffmpeg whose pipe is closed ends by itself, but not one that hangs. Only Linux can do it, by
    a program that most of its distributions have.
    """
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    if found is None:
        return ()
    before = (found, "--pdeathsig", "KILL")
    # That of BusyBox, or of an old system, does not know it.
    asked = subprocess.run([*before, "true"], check=False, capture_output=True)
    return () if asked.returncode else before


def encode(
    path: Path,
    frames: Iterable[npt.NDArray[np.uint8]],
    shape: tuple[int, int],
    arguments: Sequence[str],
    *,
    fps: int | Fraction = 30,
    pixels: Pixels = "gray",
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> int:
    """Feed pictures to ffmpeg and wait until it is done.

    Parameters
    ----------
    path
        The file being made, named in errors.
    frames
        uint8 each, of `array_shape`; taken one by one as ffmpeg asks for them.
    shape
        (H, W).
    arguments
        Output options and the output itself; ``pipe:1`` goes to `stdout`.
    fps
        Pictures per second.
    pixels
        How ffmpeg calls what a picture's array holds.
    stdout
        A file for ffmpeg's standard output.

    Returns
    -------
    How many pictures were encoded.

    Raises
    ------
    ParameterError
        If there are no pictures, or one is not of that shape.
    EvreelError
        If ffmpeg fails or is killed, with its last message. It has ended in any case.
    """
    pictures = iter(frames)
    picture = next(pictures, None)
    if picture is None:
        raise ParameterError("there are no pictures to write", path=path)
    height, width = shape
    wanted = array_shape(shape, pixels)
    command = [
        *_ending_with_us(),
        *(str(executable()), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"),
        *("-f", "rawvideo", "-pixel_format", pixels, "-video_size", f"{width}x{height}"),
        *("-framerate", str(fps), "-i", "pipe:0", *arguments),
    ]
    n = 0
    with tempfile.TemporaryFile() as log:
        # A process group of its own: Ctrl-C reaches only Python, which then ends ffmpeg.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=log, process_group=0
        )
        stdin = cast(IO[bytes], process.stdin)  # a pipe was asked for
        try:
            while picture is not None:
                check_picture(picture, wanted, n, path)
                try:
                    stdin.write(np.ascontiguousarray(picture).data)
                except BrokenPipeError:
                    break
                n += 1
                picture = next(pictures, None)
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
        if status or picture is not None:
            log.seek(0)
            said = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
            # ffmpeg prefixes a message with its part's name and memory address.
            # Of a full disk, what it says last may be only what follows from it.
            full = [line for line in said if any(os.strerror(code) in line for code in FULL)]
            last = re.sub(
                r"^\[\S+ @ 0x[0-9a-f]+\] ", "", next(filter(None, reversed([*said, *full])), "")
            )
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else "failed"
            hint = (
                MAKE_ROOM if full or how.endswith("SIGXFSZ") else None
            )  # no larger file is allowed
            raise EvreelError(
                f"ffmpeg {how} after {n} pictures: {last or 'it said nothing'}",
                path=path,
                hint=hint,
            )
    return n
