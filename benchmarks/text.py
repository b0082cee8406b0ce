"""Time reading texts of events, MVSEC's HDF5 and BS-ERGB's npz: evreel and what else reads them.

Events are moving edges at 1280×720, 10 million per second, in RPG's text (t in seconds with nine
decimals, x, y, p) and in a csv (t in µs, x, y, p). Ours makes checked columns of integers, and
reads every time exactly; NumPy and pyarrow read floating-point numbers and whole ones, and check
nothing else. NumPy's loadtxt reads a part of the events, because it takes minutes. One file
holds one array (n, 4) of x, y, t in seconds, p, as MVSEC has it, in h5py's own compression; h5py
reads it into one array; opening such a file takes ours 0.2 s more, since a process of its own looks
at its structure first. The last recording is a folder of npz files of 30,000 events each, as
BS-ERGB has it; NumPy loads the columns of one after the other. Each round goes through all sides in
turn, and the fastest counts.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import prophesee
import pyarrow.csv
import zstandard

from evreel.events import Events, Sensor
from evreel.exports.layouts import EVENT_LAYOUTS
from evreel.recordings import event_chunks, open_recording, read_events
from evreel.recordings.open import STRICT, Reading
from evreel.threads import Crew
from exports import InMemory

SENSOR = Sensor(720, 1280)
PART = 20
NPZ_ROWS = 30_000


def rpg(events: Events, path: Path) -> None:
    columns = (events.t.tolist(), events.x.tolist(), events.y.tolist(), events.p.tolist())
    with path.open("w", encoding="ascii", newline="\n") as file:
        for t, x, y, p in zip(*columns, strict=True):
            file.write(f"{t // 1_000_000}.{t % 1_000_000:06d}000 {x} {y} {p}\n")


def ours(path: Path, *, whole: bool = False, columns: str | None = None) -> Callable[[], None]:
    reading = STRICT if columns is None else Reading(columns=columns)

    def run() -> None:
        with open_recording(path, sensor=SENSOR, reading=reading) as recording:
            if whole:
                read_events(recording, threads=1)
            else:
                for _ in event_chunks(recording):
                    pass

    return run


def by_arrow(
    path: Path, separator: str, names: list[str] | None, threads: bool
) -> Callable[[], None]:
    read = pyarrow.csv.ReadOptions(use_threads=threads, column_names=names)
    parse = pyarrow.csv.ParseOptions(delimiter=separator)
    return lambda: pyarrow.csv.read_csv(path, read, parse)


def by_h5py(path: Path) -> Callable[[], None]:
    def run() -> None:
        with h5py.File(path) as file:
            file["davis/left/events"][:]

    return run


def sides_of(events: Events, folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Return side → what reads, and how many events."""
    n, part = len(events), events[: len(events) // PART]
    text, csv = folder / "events.txt", folder / "events.csv"
    rpg(events, text)
    with Crew(1) as crew:
        EVENT_LAYOUTS["csv"].write(InMemory(events), csv, crew=crew)
    packed = folder / "events.txt.gz"
    packed.write_bytes(gzip.compress(text.read_bytes(), 1))
    by_zstd = folder / "events.txt.zst"
    by_zstd.write_bytes(zstandard.compress(text.read_bytes()))
    with zipfile.ZipFile(folder / "events.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(text, "shapes/events.txt")
    small = folder / "small.txt"
    rpg(part, small)
    array = folder / "events.hdf5"
    with h5py.File(array, "w") as file:
        rows = np.column_stack([events.x, events.y, events.t / 1e6, np.where(events.p, 1, -1)])
        file.create_dataset("davis/left/events", data=rows, chunks=(16_384, 4), compression="lzf")
    many = folder / "many"
    npz_files(events, many)
    return {
        "text: ours, one pass": (ours(text), n),
        "text: ours, columns": (ours(text, whole=True), n),
        "text: pyarrow, 1 thread": (by_arrow(text, " ", list("txyp"), False), n),
        "text: pyarrow, 2 threads": (by_arrow(text, " ", list("txyp"), True), n),
        "text: np.loadtxt": (lambda: np.loadtxt(small), len(part)),
        "csv: ours, one pass": (ours(csv), n),
        "csv: pyarrow, 1 thread": (by_arrow(csv, ",", None, False), n),
        "gzip: ours, one pass": (ours(packed), n),
        "gzip: gzip alone": (lambda: drained(gzip.open(packed)), n),
        "zstd: ours, one pass": (ours(by_zstd), n),
        "zstd: zstandard alone": (lambda: drained(zstandard.open(by_zstd)), n),
        "zip: ours, one pass": (ours(folder / "events.zip"), n),
        "mvsec: ours, one pass": (ours(array, columns="mvsec"), n),
        "mvsec: h5py": (by_h5py(array), n),
        "many files: ours, one pass": (ours(many, columns="bs-ergb"), n),
        "many files: np.load": (lambda: loaded(many), n),
    }


def npz_files(events: Events, folder: Path) -> None:
    folder.mkdir()
    for k, start in enumerate(range(0, len(events), NPZ_ROWS)):
        part = events[start : start + NPZ_ROWS]
        columns = {"timestamp": part.t, "polarity": part.p}
        pixels = {"x": part.x % 970 * np.uint16(32), "y": part.y % 625 * np.uint16(32)}
        np.savez(folder / f"{k:06d}.npz", **columns, **pixels)


def loaded(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        with np.load(path) as arrays:
            for name in arrays:
                _ = arrays[name]


def drained(stream: io.BufferedIOBase) -> None:
    with stream:
        while stream.read(1 << 20):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    t, x, y, p = prophesee.edges(options.events)
    events = Events(t - t[0], x, y, p, SENSOR)
    with tempfile.TemporaryDirectory() as name:
        sides = sides_of(events, Path(name))
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(options.rounds):
            for side, (run, rows) in sides.items():
                began = time.perf_counter()
                run()
                best[side] = min(best[side], (time.perf_counter() - began) / rows)
    print(f"{options.events / 1e6:g} M events at {SENSOR.text}\n")
    print("| side | M events/s | its time / ours |\n|---|---|---|")
    for side in sides:
        reference = best[f"{side.split(':')[0]}: ours, one pass"]
        print(f"| {side} | {1e-6 / best[side]:.1f} | {best[side] / reference:.2f} |")


if __name__ == "__main__":
    main()
