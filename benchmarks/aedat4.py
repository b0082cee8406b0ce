"""Time decoding AEDAT 4 to columns and to an events store: evreel and dv-processing.

Both sides end with four columns t, x, y, p in memory; ours also checks the events (order, sensor,
polarity). The step ``events`` also writes a compressed store with a digest to disk. Each side runs
in its own process, in turn, and the fastest of several rounds counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.files.events_store import EventsStore
from evreel.recordings import event_chunks, read_events
from evreel.recordings.aedat4 import Aedat4Recording, Aedat4Writer

SENSOR = Sensor(260, 346)
WINDOW_US = 10_000
WINDOWS = 20


def write_recordings(folder: Path, n: int) -> dict[str, Path]:
    """Write the same moving edges in each compression; return compression → file."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, n, n))  # 1 M events/s
    x = (t // 5_000 + rng.integers(0, 8, n) * 43 + rng.normal(0, 2, n).astype(int)) % SENSOR.width
    y = rng.integers(0, SENSOR.height, n)
    events = Events(t, x, y, rng.integers(0, 2, n), SENSOR)
    paths = {}
    for compression in ("none", "lz4", "zstd"):
        paths[compression] = folder / f"{compression}.aedat4"
        with Aedat4Writer(paths[compression], SENSOR, compression=compression) as writer:
            writer.write(events)
    return paths


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ours(path: Path, threads: int) -> float:
    """Decode to four columns."""

    def work() -> None:
        with Aedat4Recording(path, threads=threads) as recording:
            read_events(recording, threads=1)  # beside those that decode

    return seconds(work)


def ours_passing(path: Path, threads: int) -> float:
    """Decode to columns chunk by chunk, each freed before the next, as the steps do."""

    def work() -> None:
        with Aedat4Recording(path, threads=threads) as recording:
            for _ in event_chunks(recording):
                pass

    return seconds(work)


def theirs(path: Path) -> float:
    """Decode to four columns with dv-processing."""
    import dv_processing

    def work() -> None:
        recording = dv_processing.io.MonoCameraRecording(str(path))
        batches = [batch.numpy() for batch in iter(recording.getNextEventBatch, None)]
        for name in ("timestamp", "x", "y", "polarity"):
            np.concatenate([batch[name] for batch in batches])

    return seconds(work)


def theirs_passing(path: Path) -> float:
    """Decode to columns batch by batch with dv-processing, each freed before the next."""
    import dv_processing

    def work() -> None:
        recording = dv_processing.io.MonoCameraRecording(str(path))
        for batch in iter(recording.getNextEventBatch, None):
            rows = batch.numpy()
            for name in ("timestamp", "x", "y", "polarity"):
                np.ascontiguousarray(rows[name])

    return seconds(work)


def step(path: Path) -> float:
    """Run the step ``events``."""
    return seconds(lambda: steps.events(path, path.with_suffix(".h5")))


def starts(stop_us: int) -> list[int]:
    """Return starts of windows, spread over a recording."""
    return np.random.default_rng(1).integers(0, stop_us - WINDOW_US, WINDOWS).tolist()


def seek(path: Path) -> float:
    """Read a window of an open recording, the median of several."""
    with Aedat4Recording(path) as recording:
        stop_us = 0
        for chunk in event_chunks(recording):
            stop_us = chunk.t_stop_us
        spans = [(start, start + WINDOW_US) for start in starts(stop_us)]
        return float(
            np.median([seconds(lambda s=span: list(event_chunks(recording, *s))) for span in spans])
        )


def their_seek(path: Path) -> float:
    """Read a window of an open recording with dv-processing, the median of several."""
    import dv_processing

    recording = dv_processing.io.MonoCameraRecording(str(path))
    first, last = recording.getTimeRange()

    def work(start: int) -> None:
        rows = recording.getEventsTimeRange(start, start + WINDOW_US).numpy()
        for name in ("timestamp", "x", "y", "polarity"):
            np.ascontiguousarray(rows[name])

    return float(
        np.median([seconds(lambda s=s: work(first + s)) for s in starts(last + 1 - first)])
    )


def store_window(path: Path) -> float:
    """Read a window of the store, the worst of several."""
    with EventsStore(path.with_suffix(".h5")) as store:
        spans = [(start, start + WINDOW_US) for start in starts(store.t_stop_us)]
        return max(seconds(lambda s=span: store.read_us(*s)) for span in spans)


def store_whole(path: Path) -> float:
    """Read the store to columns chunk by chunk, each freed before the next."""

    def work() -> None:
        with EventsStore(path.with_suffix(".h5")) as store:
            for _ in event_chunks(store):
                pass

    return seconds(work)


SIDES: dict[str, Callable[[Path], float]] = {
    "dv": theirs,
    "ours, 1 thread": lambda path: ours(path, 1),
    "ours, 2 threads": lambda path: ours(path, 2),
    "dv, passing": theirs_passing,
    "ours, passing, 1": lambda path: ours_passing(path, 1),
    "ours, passing, 2": lambda path: ours_passing(path, 2),
    "step events": step,
    "dv, seek": their_seek,
    "ours, seek": seek,
    "store, window": store_window,
    "store, whole": store_whole,
}


def measured(side: str, path: Path) -> float:
    """Return the seconds that one side takes in its own process, without imports."""
    run = subprocess.run(
        [sys.executable, __file__, "--side", side, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return float(run.stdout)


def peer(side: str) -> str | None:
    """Return the side that another is compared with."""
    if side == "store, whole":
        return "ours, passing, 1"
    if side.startswith("ours, passing"):
        return "dv, passing"
    if side == "ours, seek":
        return "dv, seek"
    return "dv" if side.startswith(("ours", "step")) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the fastest counts")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run = SIDES[options.side]
        run(options.file)  # the first round pays for imports
        print(min(run(options.file) for _ in range(3)))
        return
    print(f"{options.events} events, 346x260, fastest of {options.rounds} rounds in turn, ms")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_recordings(Path(folder), options.events)
        for compression, path in paths.items():
            step(path)
            rounds = [{side: measured(side, path) for side in SIDES} for _ in range(options.rounds)]
            least = {side: min(found[side] for found in rounds) for side in SIDES}
            print(f"\n{compression}:\n\n| side | ms | beside | ratio |\n|---|---|---|---|")
            for side, s in least.items():
                other = peer(side)
                ratio = "" if other is None else f"{s / least[other]:.2f}"
                print(f"| {side} | {s * 1e3:.2f} | {other or ''} | {ratio} |")
        sizes = {name: path.stat().st_size for name, path in paths.items()}
        store = paths["zstd"].with_suffix(".h5").stat().st_size
    print(f"\nbytes: {sizes}, store {store}: {store / sizes['zstd']:.2f} of zstd")


if __name__ == "__main__":
    main()
