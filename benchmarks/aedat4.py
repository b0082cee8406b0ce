"""AEDAT 4 to columns and to an events store, beside dv-processing.

Both sides end with four columns t, x, y, p in memory; ours are checked too (order, sensor,
polarity). The step ``events`` goes on to a compressed, digested store on disk. All of it runs in
one process each, in turn, and the least of several rounds counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.io import event_chunks, open_recording
from evreel.io.aedat4 import Aedat4Writer

SENSOR = Sensor(260, 346)


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


def ours_to_columns(path: Path) -> int:
    """Decode to four columns."""
    with open_recording(path) as recording:
        chunks = list(event_chunks(recording))
    return len(Events.concatenate(chunks, chunks[0].sensor))


def theirs_to_columns(path: Path) -> int:
    """Decode to four columns by dv-processing."""
    import dv_processing

    recording = dv_processing.io.MonoCameraRecording(str(path))
    batches = [batch.numpy() for batch in iter(recording.getNextEventBatch, None)]
    names = ("timestamp", "x", "y", "polarity")
    columns = [np.concatenate([batch[name] for batch in batches]) for name in names]
    return len(columns[0])


def ours_to_store(path: Path) -> int:
    """Run the step ``events``."""
    store = path.with_suffix(".h5")
    steps.events(path, store)
    return store.stat().st_size


SIDES = {"ours": ours_to_columns, "dv": theirs_to_columns, "store": ours_to_store}


def measured(side: str, path: Path) -> float:
    """Return the seconds that one side takes in a process of its own, imports left out."""
    run = subprocess.run(
        [sys.executable, __file__, "--side", side, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return float(run.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="the least of so many counts")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run = SIDES[options.side]
        run(options.file)  # the first round pays for imports
        begin = time.perf_counter()
        run(options.file)
        print(time.perf_counter() - begin)
        return
    print(f"{options.events} events, 346x260, least of {options.rounds} rounds in turn, ms\n")
    print("| compression | dv-processing | ours | ours / dv | step events | step / dv |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for compression, path in write_recordings(Path(folder), options.events).items():
            rounds = [{side: measured(side, path) for side in SIDES} for _ in range(options.rounds)]
            ours, dv, store = (min(r[side] for r in rounds) for side in ("ours", "dv", "store"))
            print(
                f"| {compression} | {dv * 1e3:.0f} | {ours * 1e3:.0f} | {ours / dv:.2f} "
                f"| {store * 1e3:.0f} | {store / dv:.2f} |"
            )


if __name__ == "__main__":
    main()
