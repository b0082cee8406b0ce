"""Time Metavision's HDF5 in its own compression, ECF: decoding, ranges of time, and writing.

No Python package reads such files, so there is no peer to compare with; the same events in an
events store and in EVT 3.0 are beside them. Events are moving edges at 1280×720, 10 million per
second. *One pass* keeps none of the events, as in the step ``events``; *columns* reads all into
memory; both check them. *Windows* are ranges of 10 ms at random. Files are open; *opening* one is
apart, since a process of its own first looks at the structure of HDF5 that others made. Each round
goes through all sides in turn, and the fastest counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import prophesee

from evreel import steps
from evreel.exports.metavision import write_metavision
from evreel.recordings import event_chunks, open_recording, read_events
from evreel.threads import Crew

WINDOW_US = 10_000
WINDOWS = 200


def one_pass(path: Path, threads: int) -> Callable[[], None]:
    recording = open_recording(path, threads=threads)

    def run() -> None:
        for _ in event_chunks(recording):
            pass

    return run


def columns(path: Path, threads: int) -> Callable[[], None]:
    recording = open_recording(path, threads=threads)

    def run() -> None:
        read_events(recording, threads=threads)

    return run


def windows(path: Path) -> Callable[[], None]:
    recording = open_recording(path, threads=1)
    last_us = 0
    for chunk in event_chunks(recording):
        last_us = int(chunk.t[-1])
    starts = np.random.default_rng(0).integers(0, last_us - WINDOW_US, WINDOWS).tolist()

    def run() -> None:
        for start in starts:
            read_events(recording, start, start + WINDOW_US, threads=1)

    return run


def write(source: Path, target: Path, threads: int) -> None:
    target.unlink(missing_ok=True)
    with open_recording(source) as recording, Crew(threads) as crew:
        write_metavision(recording, target, crew=crew)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw, store, packed = (folder / f"edges.{end}" for end in ("raw", "h5", "hdf5"))
        made = prophesee.edges(options.events)
        raw.write_bytes(prophesee.HEADER.format(3).encode() + prophesee.evt3(*made))
        steps.events(raw, store)
        write(store, packed, 1)
        sides: dict[str, Callable[[], None]] = {}
        for threads in (1, 2):
            for what, run in (("one pass", one_pass), ("columns", columns)):
                for path in (packed, raw):
                    sides[f"{what}, {path.suffix}, {threads}"] = run(path, threads)
            sides[f"write, {threads}"] = lambda n=threads: write(store, folder / "new.hdf5", n)
        sides["opening"] = lambda: open_recording(packed).close()
        sides["windows, .hdf5"], sides["windows, .h5"] = windows(packed), windows(store)
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(options.rounds + 1):  # the first one compiles
            for side, run in sides.items():
                began = time.perf_counter()
                run()
                best[side] = min(best[side], time.perf_counter() - began)
        if (folder / "new.hdf5").read_bytes() != packed.read_bytes():
            sys.exit("what is written depends on the number of threads")
        sizes = (f"{path.stat().st_size / 1e6:.1f}" for path in (packed, store, raw))
        print("{:g} M events; {} MB, the store {}, EVT 3.0 {}".format(options.events / 1e6, *sizes))
        print(f"opening: {best['opening']:.2f} s\n")
        print("| side | 1 thread, M events/s | 2 threads | 2 / 1 |\n|---|---|---|---|")
        for what in (
            "one pass, .hdf5",
            "columns, .hdf5",
            "one pass, .raw",
            "columns, .raw",
            "write",
        ):
            one, two = best[f"{what}, 1"], best[f"{what}, 2"]
            rates = f"{options.events / one / 1e6:.0f} | {options.events / two / 1e6:.0f}"
            print(f"| {what} | {rates} | {one / two:.2f} |")
        ours, theirs = (best[f"windows, {end}"] / WINDOWS * 1e3 for end in (".hdf5", ".h5"))
        print(
            f"\na window of 10 ms: {ours:.2f} ms; of the store {theirs:.2f} ms: {ours / theirs:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
