"""Time rendering an events store to an mp4, end to end, in multiples of real time.

Content ``edges``: eight edges cross the picture, ON in front and OFF behind, with a tenth of noise.
Content ``noise``: uniform random events, the costliest kind for the encoder, because no pixel
resembles its neighbour or its past. Reading, rendering and encoding are timed together,
compilation is not.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance
from evreel.timebase import FrameClock
from evreel.video.mp4 import write_mp4
from evreel.video.picture import Picture
from evreel.video.render import render

SENSORS = {"346x260": Sensor(260, 346), "1280x720": Sensor(720, 1280)}
EDGES = 8
EDGE_PX_PER_SECOND = 200
STYLES = ("polarity", "grey", "decay")


def random_events(n: int, second: int, content: str, sensor: Sensor) -> Events:
    """Return the n events of one second."""
    rng = np.random.default_rng(second)
    t = np.sort(rng.integers(0, 1_000_000, n)) + second * 1_000_000
    x, y = rng.integers(0, sensor.width, n), rng.integers(0, sensor.height, n)
    p = rng.integers(0, 2, n)
    if content == "edges":
        edge = rng.integers(0, EDGES, n) * sensor.width // EDGES
        moved = t * EDGE_PX_PER_SECOND // 1_000_000
        x = np.where(rng.random(n) < 0.1, x, (edge + moved + 2 * p) % sensor.width)
    return Events(t, x, y, p, sensor)


def write_store(path: Path, sensor: Sensor, rate: int, seconds: int, content: str) -> None:
    """Write a store of random events, second by second."""
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, sensor, 0, "random", "")
        for second in range(seconds):
            writer.write(random_events(rate, second, content, sensor))
        writer.finish()


def seconds_to_encode(
    store: Path, output: Path, style: str, accumulate_us: int | None, clock: FrameClock
) -> float:
    """Return how long reading a store, rendering and encoding took."""
    begin = time.perf_counter()
    with EventsStore(store) as opened:
        picture = Picture.for_video(opened.sensor)
        images = render(
            opened.chunks(),
            clock,
            opened.sensor,
            style=style,
            accumulate_us=accumulate_us,
            picture=picture,
        )
        write_mp4(output, images, picture.shape)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events-per-second", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=10, help="length of the recording")
    parser.add_argument("--window-us", type=int, default=10_000, help="what a frame stands for")
    parser.add_argument("--accumulate-us", type=int, help="what a picture shows; not for decay")
    parser.add_argument("--sensor", choices=SENSORS, default="346x260")
    parser.add_argument("--content", choices=("edges", "noise"), default="edges")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the fastest counts")
    options = parser.parse_args()
    clock = FrameClock.regular(options.seconds * 1_000_000, options.window_us)
    print(
        f"{options.seconds} s of {options.events_per_second} events/s ({options.content}), "
        f"{options.sensor}, {options.window_us} µs per frame, ultrafast, "
        f"fastest of {options.rounds} rounds\n"
    )
    print("| style | frames/s | Mevents/s | × real time | kB per frame |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store, output = Path(folder) / "store.h5", Path(folder) / "video.mp4"
        sensor, rate = SENSORS[options.sensor], options.events_per_second
        write_store(store, sensor, rate, options.seconds, options.content)
        for style in STYLES:
            accumulate_us = None if style == "decay" else options.accumulate_us
            seconds_to_encode(
                store, output, style, accumulate_us, FrameClock.regular(20_000, 10_000)
            )
            best = min(
                seconds_to_encode(store, output, style, accumulate_us, clock)
                for _ in range(options.rounds)
            )
            events = rate * options.seconds
            print(
                f"| {style} | {len(clock) / best:.0f} | {events / best / 1e6:.1f} "
                f"| {options.seconds / best:.1f} | {output.stat().st_size / len(clock) / 1e3:.1f} |"
            )


if __name__ == "__main__":
    main()
