"""Time RVT's whole tree from events on disk, beside RVT's own method and evlib.

Traffic at 1280×720: the sides of vehicles that drive by, 6 % noise, and their boxes at 60 Hz.
Events are on disk as RVT's script takes them (HDF5, Blosc) and as evreel's store. *recording* and
*store* are evreel's export of each. *method* is what RVT's script does: all timestamps in memory,
h5py's slices of each window, counts added into a frame of full size in uint8, of which every second
row and column is kept, h5py's Blosc. With ``--peer-python``, a Python that has torch, h5py,
hdf5plugin and evlib, it adds counts as RVT does, with torch's ``put_`` on one thread, and evlib's
``process_sequence`` runs too, on the windows that evreel made; without one, numpy counts.

Each side runs in a process of its own, on one core unless ``--cores`` says otherwise, and tells the
most memory that it had. The fastest of several rounds counts; the peers' imports are not counted,
but those that an export makes are. All frames that the sides write are compared.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.exports.rvt_labels import RVT_DTYPE
from evreel.files import hdf5
from evreel.files.events_store import EventsStoreWriter
from evreel.layout import EVENTS
from evreel.provenance import Provenance

SENSOR = Sensor(720, 1280)
VEHICLES = 24
PIECE = 1 << 20
FRAMES = "event_representations_v2/stacked_histogram_dt=50_nbins=10"
FILE = "event_representations_ds2_nearest.h5"

PEER = r"""
import pathlib, re, sys, time
import h5py, hdf5plugin, numpy as np
side, source, ends, out = sys.argv[1:]
ends, height, width, bins = np.load(ends), 720, 1280, 10
if side == "evlib":
    from evlib.rvt import process_sequence
else:
    try:
        import torch
        torch.set_num_threads(1)
    except ImportError:
        torch = None
begin = time.perf_counter()
if side == "evlib":
    process_sequence(pathlib.Path(source), pathlib.Path(out), "gen4", height, width, ends, True,
                     backend="rust")
else:
    def counted(t, x, y, p):
        if not len(t):
            return np.zeros((2 * bins, height, width), np.uint8)
        span = max(int(t[-1] - t[0]), 1)
        if torch is None:
            share = (t - t[0]).astype(np.float32) / np.float32(span)
            k = np.minimum((share * np.float32(bins)).astype(np.int64), bins - 1)
            at = ((p * bins + k) * height + y) * width + x
            full = np.bincount(at, minlength=2 * bins * height * width).astype(np.uint8)
            return np.minimum(full, 10).reshape(2 * bins, height, width)
        t, x, y, p = map(torch.from_numpy, (t, x, y, p))
        share = (t - t[0]) / span
        k = torch.clamp(torch.floor(share * bins), max=bins - 1).long()
        at = x + width * y + height * width * (k + bins * p)
        full = torch.zeros((2, bins, height, width), dtype=torch.uint8)
        full.put_(at, torch.ones_like(at, dtype=torch.uint8), accumulate=True)
        return torch.clamp(full, max=10).reshape(2 * bins, height, width).numpy()

    def running_maximum(t):
        return np.maximum.accumulate(t)

    shape = (2 * bins, height // 2, width // 2)
    options = dict(compression=32001, compression_opts=(0, 0, 0, 0, 1, 1, 5))
    with h5py.File(source) as file, h5py.File(out, "w") as made:
        events = file["events"]
        t = running_maximum(events["t"][:])
        first = np.searchsorted(t, ends - 50_000, side="left")
        last = np.searchsorted(t, ends, side="right")
        data = made.create_dataset("data", (1, *shape), "u1", chunks=(1, *shape),
                                   maxshape=(None, *shape), **options)
        for n, (low, high) in enumerate(zip(first, last)):
            x, y, p = (events[name][low:high].astype(np.int64) for name in "xyp")
            frame = counted(t[low:high].astype(np.int64), x, y, p)
            data.resize(n + 1, axis=0)
            data[n] = frame[:, 1::2, 1::2]
took = time.perf_counter() - begin
status = open("/proc/self/status").read()
print(took, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
"""


def traffic(n: int, rate: float) -> Iterator[Events]:
    """Yield n events of vehicles whose left and right sides pass by, `rate` per µs."""
    rng = np.random.default_rng(0)
    tops = rng.integers(0, SENSOR.height - 200, VEHICLES)
    heights = rng.integers(40, 200, VEHICLES)
    at, speeds = rng.uniform(0, SENSOR.width, VEHICLES), rng.uniform(-4e-4, 4e-4, VEHICLES)
    for row in range(0, n, PIECE):
        m = min(PIECE, n - row)
        t = np.sort(rng.integers(int(row / rate), int((row + m) / rate), m))
        t[0] = int(row / rate)
        which, side = rng.integers(0, VEHICLES, m), rng.integers(0, 2, m)
        x = at[which] + speeds[which] * t + side * 2 * heights[which] + rng.integers(0, 3, m)
        y = tops[which] + rng.integers(0, 200, m) * heights[which] // 200
        p = side ^ (speeds[which] > 0)
        noise = rng.random(m) < 0.06
        x[noise] = rng.integers(0, SENSOR.width, np.count_nonzero(noise))
        y[noise] = rng.integers(0, SENSOR.height, np.count_nonzero(noise))
        x = x.astype(np.int64) % SENSOR.width
        columns = (t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))
        yield Events.trusted(*columns, SENSOR)


def write_inputs(folder: Path, n: int, rate: float) -> None:
    """Write the events twice, each with its boxes in a folder by split."""
    for name in ("recording", "store"):
        (folder / name / "train").mkdir(parents=True)
    made = Provenance("events", {})
    with (
        h5py.File(folder / "recording/train/traffic_td.h5", "w") as recording,
        hdf5.create(folder / "store/train/traffic.h5", EVENTS, made) as store,
    ):
        writer = EventsStoreWriter(store, SENSOR, 0, "benchmark", "")
        recording["events/height"], recording["events/width"] = SENSOR
        columns = {
            name: recording.create_dataset(
                f"events/{name}",
                (0,),
                dtype,
                maxshape=(None,),
                chunks=(1 << 16,),
                **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=1),
            )
            for name, dtype in (("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1"))
        }
        for events in traffic(n, rate):
            writer.write(events)
            for name, column in columns.items():
                column.resize(len(column) + len(events), axis=0)
                column[-len(events) :] = getattr(events, name)
        writer.finish()
    times = np.arange(int(n / rate * 60 / 1e6)) * 1_000_000 // 60
    boxes = np.zeros(2 * len(times), RVT_DTYPE)
    boxes["t"], boxes["x"], boxes["y"] = np.repeat(times, 2), 100, 200
    boxes["w"], boxes["h"] = 150, 100
    for name in ("recording", "store"):
        np.save(folder / name / "train/traffic_bbox.npy", boxes)


def ours(source: Path, out: Path) -> None:
    """Export, and print the seconds and the most memory, MB; run in a process of its own."""
    rules = steps.RvtSettings(filter="gen4")
    begin = time.perf_counter()
    steps.export(source, out, "rvt", rvt=rules)
    took = time.perf_counter() - begin
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    print(took, int(found[1]) / 1024 if found else 0)


def run(command: list[str], python: str = sys.executable) -> tuple[float, float]:
    """Return the seconds and MB that a process prints last."""
    done = subprocess.run([python, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    took, peak = done.stdout.split()[-2:]
    return float(took), float(peak)


def frames_in(path: Path) -> Path:
    """Return the file of frames that a side has written."""
    return path if path.is_file() else next(path.rglob(FILE))


def differing(one: Path, two: Path) -> int:
    """Return in how many values two files of frames differ."""
    with h5py.File(one) as first, h5py.File(two) as second:
        if first["data"].shape != second["data"].shape:
            sys.exit(f"{two} has other frames than {one}")
        pairs = zip(first["data"], second["data"], strict=True)
        return sum(int(np.count_nonzero(a != b)) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--rate", type=float, default=10, help="million events per second")
    parser.add_argument("--rounds", type=int, default=2, help="rounds; the fastest counts")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--peer-python", help="a Python that has torch, h5py, hdf5plugin, evlib")
    parser.add_argument("--side", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        ours(*options.side)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    peer = options.peer_python or sys.executable
    names = ["store", "recording", "method", *(["evlib"] if options.peer_python else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, options.events, options.rate)
        given = str(folder / "recording/train/traffic_td.h5")
        steps.export(
            folder / "store", folder / "first", "rvt", rvt=steps.RvtSettings(filter="gen4")
        )
        frames = folder / "first/train/traffic" / FRAMES
        best = dict.fromkeys(names, (np.inf, np.inf))
        differ = dict.fromkeys(names, 0)
        for _ in range(options.rounds):
            for side in names:
                out = folder / "out"
                if side in ("store", "recording"):
                    told = run([__file__, "--side", str(folder / side), str(out)])
                else:
                    ends = str(frames / "timestamps_us.npy")
                    told = run(["-c", PEER, side, given, ends, str(out)], peer)
                best[side] = min(best[side], told)
                differ[side] = differing(frames / FILE, frames_in(out))
                (shutil.rmtree if out.is_dir() else os.unlink)(out)
        n_windows = len(np.load(frames / "timestamps_us.npy"))
    print(f"{options.events:,} events, {n_windows} windows, {options.cores} cores\n")
    print("| side | s | M events/s | of store | peak MB | values that differ |")
    print("|---|---|---|---|---|---|")
    for side, (took, peak) in best.items():
        rate, ratio = options.events / took / 1e6, took / best["store"][0]
        print(f"| {side} | {took:.2f} | {rate:.1f} | {ratio:.1f} | {peak:.0f} | {differ[side]} |")


if __name__ == "__main__":
    main()
