"""Time histogram and voxel grid against plain numpy, on random events, window by window.

The baselines are one `np.bincount` per window and polarity, as SpikingJelly integrates frames, and
two weighted ones per window for the voxel grid. Each competitor makes the frames of all windows,
in turn, several times; the fastest counts. Compare ratios, not times of different runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from evreel.events import Events, Sensor
from evreel.representations import Histogram, Representation, VoxelGrid, frames, tensor
from evreel.windows import Duration, Windows

SENSORS = {"346x260": Sensor(260, 346), "1280x720": Sensor(720, 1280)}
WINDOW_US = 10_000
BINS = 5

Frame = npt.NDArray[np.generic]


def random_events(n: int, sensor: Sensor, rate: float) -> Events:
    """Return n uniform events at `rate` events per second."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, max(1, int(n / rate * 1e6)), n))
    x = rng.integers(0, sensor.width, n, dtype=np.uint16)
    y = rng.integers(0, sensor.height, n, dtype=np.uint16)
    return Events(t, x, y, rng.integers(0, 2, n, dtype=np.uint8), sensor)


def bincount_histogram(events: Events) -> Frame:
    """Count by polarity and pixel."""
    height, width = events.sensor
    address = events.y.astype(np.int64) * width + events.x
    on = events.p == 1
    counts = [np.bincount(address[mask], minlength=height * width) for mask in (~on, on)]
    return np.stack(counts).reshape(2, height, width)


def bincount_voxels(events: Events) -> Frame:
    """Add up polarities by bin and pixel, bilinear in time."""
    height, width = events.sensor
    span = max(int(events.t[-1] - events.t[0]), 1)
    position = (events.t - events.t[0]) * (BINS - 1) / span
    below = position.astype(np.int64)
    upper = position - below
    sign = events.p.astype(np.float64) * 2 - 1
    area = height * width
    address = below * area + events.y.astype(np.int64) * width + events.x
    size = (BINS + 1) * area
    voxels = np.bincount(address, sign * (1 - upper), size)
    voxels += np.bincount(address + area, sign * upper, size)
    return voxels[: BINS * area].astype(np.float32).reshape(BINS, height, width)


def ours(representation: Representation, events: Events, windows: Windows) -> float:
    """Make every frame with evreel's driver; return a sum, so that each is used."""
    made = frames(representation, lambda a, b: events[a:b], windows, events.sensor)
    return float(sum(frame[0, 0, 0] for frame in made))


def theirs(make: Callable[[Events], Frame], events: Events, windows: Windows) -> float:
    """Make every frame with a baseline."""
    spans = zip(windows.start.tolist(), windows.stop.tolist(), strict=True)
    return float(sum(make(events[a:b])[0, 0, 0] for a, b in spans))


def least_seconds(jobs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run the jobs in turn and return the least time of each."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(rounds):
        for name, job in jobs.items():
            begin = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000, help="events per sensor")
    parser.add_argument("--rate", type=float, default=2e7, help="events per second")
    parser.add_argument("--rounds", type=int, default=4, help="rounds; the fastest counts")
    options = parser.parse_args()
    print(
        f"{options.events} events, {WINDOW_US} µs windows, fastest of {options.rounds} rounds, ms"
    )
    print(f"{'sensor':10} {'representation':22} {'evreel':>8} {'numpy':>8} {'ratio':>6}")
    for size, sensor in SENSORS.items():
        events = random_events(options.events, sensor, options.rate)
        windows = Duration(WINDOW_US).plan(
            events.t_stop_us, lambda at, t=events.t: np.searchsorted(t, at)
        )
        for label, representation, baseline in (
            ("histogram uint8", Histogram("uint8", saturate=True), bincount_histogram),
            ("histogram uint16", Histogram("uint16"), bincount_histogram),
            (f"voxel grid, {BINS} bins", VoxelGrid(BINS), bincount_voxels),
        ):
            first = events[: int(windows.stop[0])]
            np.testing.assert_allclose(
                tensor(representation, first, windows[:1])[0], baseline(first), atol=1e-4
            )
            jobs = {
                "evreel": partial(ours, representation, events, windows),
                "numpy": partial(theirs, baseline, events, windows),
            }
            best = least_seconds(jobs, options.rounds)
            mine, peer = best["evreel"] * 1e3, best["numpy"] * 1e3
            print(f"{size:10} {label:22} {mine:8.1f} {peer:8.1f} {peer / mine:5.1f}x")


if __name__ == "__main__":
    main()
