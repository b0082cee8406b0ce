"""Measure and plot which events get an object's label, by mode and speed of the object.

    python examples/plot_labelled_share.py -o docs/labelled_share.png

A box crosses a noisy picture at several speeds. The simulator knows which events are its own; an
annotator draws around what each frame's picture shows, or around the box itself in the middle of
each frame. Needs Pillow (`make setup` brings it).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evreel.annotations.choices import At
from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.events import Events
from evreel.simulate.camera import simulate_objects, truth
from evreel.simulate.scene import Scene, parse_scene
from evreel.timebase import Instant
from evreel.video.picture import Picture

SPEEDS = (30, 100, 300, 1000, 2000)
"""Pixels per second; a frame is 10 ms."""

COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0))


class Mode(NamedTuple):
    """How events are compared with shapes, and what shapes are drawn around."""

    name: str
    drawn: Instant | None
    at: At
    instant: Instant = "middle"
    margin_px: float = 0.0


MODES = (
    Mode("around the picture, at: frame", None, "frame"),
    Mode("around the picture, at: event", None, "event"),
    Mode("around the object, at: frame", "middle", "frame"),
    Mode("around the object, at: frame, margin 2 px", "middle", "frame", margin_px=2.0),
    Mode("around the object, at: event, middle", "middle", "event"),
    Mode("around the object, at: event, middle, margin 1 px", "middle", "event", margin_px=1.0),
    Mode("around the object, at: event, start", "middle", "event", "start"),
)


def scene(speed: int) -> Scene:
    """Return a box that moves at a speed to the right and a little down, on a moving ground."""
    duration_us = min(300_000, 60_000_000 // speed // 1000 * 1000)
    way = speed * duration_us / 1e6
    return parse_scene(
        {
            "name": "share",
            "duration_us": duration_us,
            "seed": 3,
            "sensor": {"height": 72, "width": 160},
            "camera": {"noise_hz": 5.0},
            "background": {
                "intensity": 0.3,
                "texture": "noise",
                "contrast": 0.5,
                "drift_px_s": [40.0, 0.0],
            },
            "object": [
                {
                    "label": "box",
                    "box": [36.3, 22.6],
                    "intensity": 0.7,
                    "texture": "noise",
                    "contrast": 0.3,
                    "motion": [[0, 20.0, 20.0], [duration_us, 20.0 + way, 20.0 + way / 5]],
                }
            ],
        }
    )


def shares(speed: int) -> list[tuple[float, float]]:
    """Return, for each mode, the share of own events with the label, and of others without it."""
    of = scene(speed)
    parts = list(simulate_objects(of))
    events = Events.concatenate([part for part, _ in parts], of.sensor)
    own = np.concatenate([owner for _, owner in parts]) == 0
    exact = truth(of)
    found = []
    for mode in MODES:
        picture = Picture.for_video(of.sensor)
        drawn = exact.annotations(mode.drawn)
        regions = Regions(drawn, exact.clock, picture, clip=True, margin_px=mode.margin_px)
        labelled = Annotator(regions, at=mode.at, instant=mode.instant).label(events).roi == 0
        found.append((float(labelled[own].mean()), float((~labelled[~own]).mean())))
    return found


def plot(measured: list[list[tuple[float, float]]]) -> Image.Image:
    """Return two diagrams over the speed: own events with, and other events without the label."""
    image = Image.new("RGB", (1080, 560), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    titles = ("the object's own events that get its label", "other events that do not")
    for side, title in enumerate(titles):
        left, top, width, height = 60 + 530 * side, 40, 440, 300
        canvas.text((left, 12), title, fill="black", font=font)
        for percent in range(0, 101, 20):
            y = top + height * (1 - percent / 100)
            canvas.line((left, y, left + width, y), fill=(225, 225, 225))
            canvas.text((left - 42, y - 9), f"{percent} %", fill="black", font=font)
        at = [left + 20 + k * (width - 40) / (len(SPEEDS) - 1) for k in range(len(SPEEDS))]
        for x, speed in zip(at, SPEEDS, strict=True):
            canvas.text((x - 14, top + height + 6), str(speed), fill="black", font=font)
        canvas.text((left + 150, top + height + 26), "speed, px/s", fill="black", font=font)
        for k, mode in enumerate(MODES):
            colour = COLOURS[k % len(COLOURS)]
            line = [
                (x, top + height * (1 - of_speed[k][side]))
                for x, of_speed in zip(at, measured, strict=True)
            ]
            canvas.line(line, fill=colour, width=3 if mode.drawn is None else 2)
            for x, y in line:
                size = 5 if k < len(COLOURS) else 3
                canvas.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    for k, mode in enumerate(MODES):
        colour = COLOURS[k % len(COLOURS)]
        x, y = 60 + 530 * (k % 2), 412 + 32 * (k // 2)
        size = 5 if k < len(COLOURS) else 3
        canvas.line((x, y, x + 30, y), fill=colour, width=3 if mode.drawn is None else 2)
        canvas.ellipse((x + 15 - size, y - size, x + 15 + size, y + size), fill=colour)
        canvas.text((x + 40, y - 9), f"drawn {mode.name}", fill="black", font=font)
    return image


def main() -> None:
    """Measure, print the table, save the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("labelled_share.png"))
    options = parser.parse_args()
    measured = [shares(speed) for speed in SPEEDS]
    print("| drawn | " + " | ".join(f"{speed} px/s" for speed in SPEEDS) + " |")
    print("|---|" + "---|" * len(SPEEDS))
    for k, mode in enumerate(MODES):
        cells = (f"{100 * own:.1f} / {100 * other:.1f}" for own, other in (m[k] for m in measured))
        print(f"| {mode.name} | {' | '.join(cells)} |")
    plot(measured).save(options.output)


if __name__ == "__main__":
    main()
