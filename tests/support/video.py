"""Pictures of fixed content, in files and as digests: equal wherever they are made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from evreel.kernels.pictures import decay
from evreel.timebase import FrameClock
from evreel.video.gif import write_gif
from evreel.video.jpeg import jpeg_bytes
from evreel.video.mp4 import write_mp4
from evreel.video.png import png_bytes
from evreel.video.png_zip import write_png_zip
from evreel.video.render import render
from evreel.viz.rgb import to_rgb
from support import random_events


def write_both(folder: Path) -> None:
    """Write the same pictures in every way: what is compared between machines' settings."""
    shape = (180, 240)
    noise = np.random.default_rng(0).integers(100, 156, (250, 240), dtype=np.uint8)
    blobs = noise.repeat(5, axis=0).repeat(5, axis=1)
    pictures = [blobs[7 * k : 7 * k + 180, 3 * k : 3 * k + 240] for k in range(40)]
    for preset in ("ultrafast", "veryfast"):
        write_mp4(folder / f"{preset}.mp4", pictures, shape, preset=preset, metadata={"a": "b"})
    coloured = np.stack([*pictures[:3]], axis=2)
    write_mp4(folder / "colour.mp4", [coloured] * 3, shape, colour=True)
    (folder / "colour.png").write_bytes(png_bytes(coloured))
    (folder / "colour.jpg").write_bytes(jpeg_bytes(coloured))
    write_gif(folder / "colour.gif", [coloured, coloured // 64 * 64] * 2, shape, fps=30)
    write_png_zip(folder / "png.zip", pictures, shape, FrameClock.regular(400, 10))


def digests() -> str:
    """Digest many weights, and the pictures of each style."""
    elapsed = np.random.default_rng(0).integers(0, 2**24, 20_000)
    weights = np.array([decay(k, 30_000) for k in elapsed.tolist()])
    made = [hashlib.sha256(weights.tobytes())]
    events = random_events(20_000, (24, 32), stop_us=300_000, seed=7)
    clock = FrameClock.regular(events.t_stop_us, 5_000)
    for style in ("polarity", "grey", "decay"):
        made.append(hashlib.sha256())
        for image in render([events], clock, events.sensor, style=style):
            made[-1].update(image.tobytes())
    values = np.random.default_rng(1).normal(0, 3, (4, 200, 100)).astype(np.float32)
    for frame in (values, values[:1], np.abs(values[:1])):
        made.append(hashlib.sha256(to_rgb(frame).tobytes()))
    return " ".join(digest.hexdigest() for digest in made)
