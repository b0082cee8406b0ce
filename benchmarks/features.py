"""Time features beside other libraries: kernels in memory, whole files, reading, and jobs.

Each part prints a table. *limit* is `np.copyto` of the events' bytes into touched memory. All sides
of a row run in turn in one process, on the same events and one thread unless the row says so; the
fastest of several rounds counts. Compare ratios, not times of different runs. Peers (SpikingJelly,
Tonic, evlib, torch, dv-processing, aedat) take part if they are installed beside evreel; where one
is not, a line says so. RVT's stacked histogram is its method, written anew with torch's `put_`.

Events are of simulated traffic: vertical edges of boxes that drive by, and a fifth of noise; with
``--uniform``, at random pixels.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel import steps
from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.features import FeaturesFile, FeaturesWriter
from evreel.layout import FEATURES
from evreel.provenance import Provenance
from evreel.recordings import read_events
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.representations import (
    ExponentialSurface,
    Feature,
    Histogram,
    Representation,
    StackedHistogram,
    VoxelGrid,
    frames,
)
from evreel.windows import Duration, Windows

SENSORS = {"346x260": (Sensor(260, 346), 10e6), "1280x720": (Sensor(720, 1280), 30e6)}
"""Size → the sensor, and events per second of a busy scene."""
SHORT_US, LONG_US = 10_000, 50_000
BLOCK = 25  # windows that a peer without a reused frame makes at a time, to bound its memory
BINS, CUTOFF, TAU_US = 10, 10, 30_000.0

COUNTS = Histogram("uint8", saturate=True)
TEN: Mapping[str, Mapping[str, Any]] = {
    "histogram": {"dtype": "uint8", "saturate": True},
    "binary": {},
    "event_image": {},
    "voxel_grid": {},
    "stacked_histogram": {},
    "histo": {},
    "diff": {},
    "timesurface": {},
    "exponential_surface": {"tau_us": TAU_US},
    "last_timestamp": {},
}

Side = Callable[[], object]
Array = npt.NDArray[Any]


def traffic(n: int, sensor: Sensor, rate: float, *, uniform: bool) -> Events:
    """Return n events of boxes that drive by, at `rate` events per second."""
    rng = np.random.default_rng(0)
    stop_us = max(1, int(n / rate * 1e6))
    t = np.sort(rng.integers(0, stop_us, n))
    x = rng.integers(0, sensor.width, n)
    y = rng.integers(0, sensor.height, n)
    p = rng.integers(0, 2, n)
    if not uniform:
        boxes = 12
        tall, wide = sensor.height // 6, sensor.width // 8
        top = rng.integers(0, sensor.height - tall, boxes)
        left, speed = rng.uniform(0, sensor.width, boxes), rng.uniform(-0.5, 0.5, boxes)
        seen = np.flatnonzero(rng.random(n) < 0.8)
        box, side = rng.integers(0, boxes, len(seen)), p[seen]
        edge = left[box] + speed[box] * t[seen] / 1000 + side * wide
        x[seen] = (edge + rng.integers(0, 3, len(seen))).astype(np.int64) % sensor.width
        y[seen] = top[box] + rng.integers(0, tall, len(seen))
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8), sensor)


def windows_of(events: Events, window_us: int) -> Windows:
    """Return the windows of some events."""
    return Duration(window_us).plan(events.t_stop_us, lambda t: np.searchsorted(events.t, t))


def fastest(rounds: int, sides: Mapping[str, Side]) -> dict[str, float]:
    """Run the sides in turn; return the least seconds of each."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def has(*names: str) -> bool:
    """Import modules; return whether they are installed, and say which are not, once for each."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    for name in {*missing} - _said:
        print(f"\nleft out, not installed: {name}", flush=True)
    _said.update(missing)
    for name in {*names} - {*missing}:
        importlib.import_module(name)
    return not missing


_said: set[str] = set()


class Table:
    """Rows of Markdown, printed as they come, and kept for the plot."""

    def __init__(self, *columns: str) -> None:
        print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)

    def row(self, *cells: object) -> None:
        """Print a row."""
        said = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells)
        print(f"| {' | '.join(said)} |", flush=True)


# -- kernels


def ours(made_of: Representation, events: Events, windows: Windows, threads: int = 1) -> float:
    """Make every frame with evreel's driver, and look at each."""
    made = frames(
        made_of,
        lambda a, b: events[a:b],
        windows,
        events.sensor,
        index_of=lambda t: np.searchsorted(events.t, t),
        threads=threads,
    )
    return float(sum(frame[0, 0, 0] for frame in made))


def rows_of(windows: Windows) -> list[tuple[int, int]]:
    """Return the rows of each window."""
    return list(zip(windows.start.tolist(), windows.stop.tolist(), strict=True))


def blocks_of(windows: Windows) -> list[tuple[int, int, int]]:
    """Return (first row, last row + 1, windows) of some windows at a time."""
    blocks = [windows[k : k + BLOCK] for k in range(0, len(windows), BLOCK)]
    return [(int(of.start[0]), int(of.stop[-1]), len(of)) for of in blocks]


def structured(events: Events) -> Array:
    """Return events as Tonic takes them, polarities −1 and 1."""
    rows = np.empty(len(events), [("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])
    for name in "txy":
        rows[name] = getattr(events, name)
    rows["p"] = events.p.astype(np.int64) * 2 - 1
    return rows


def peers_of_counts(events: Events, windows: Windows) -> Iterator[tuple[str, Side]]:
    """Yield what makes event counts of each window."""
    height, width = events.sensor
    if has("spikingjelly"):
        from spikingjelly.datasets.utils import integrate_events_segment_to_frame as integrate

        columns = (events.x, events.y, events.p, height, width)
        yield (
            "SpikingJelly",
            lambda: [integrate(*columns, a, b)[0, 0, 0] for a, b in rows_of(windows)],
        )
    if has("tonic"):
        from tonic.functional import to_frame_numpy

        rows = structured(events)
        rows["p"] = events.p
        sizes = (width, height, 2)
        yield (
            "Tonic",
            lambda: [
                to_frame_numpy(rows[a:b], sizes, n_time_bins=n) for a, b, n in blocks_of(windows)
            ],
        )
    if has("evlib", "polars"):
        import evlib.representations as evlib

        tables = [(table_of(events[a:b]), n) for a, b, n in blocks_of(windows)]

        def frames_of_evlib() -> None:
            for table, n in tables:
                sparse = evlib.create_event_frame(table, height, width, n)
                evlib.densify_event_frame(sparse, n, 2, height, width)

        yield "evlib", frames_of_evlib


def table_of(events: Events) -> Any:
    """Return events as evlib takes them."""
    import polars

    columns = {"t": events.t, "x": events.x, "y": events.y}
    return polars.DataFrame({**columns, "polarity": events.p.astype(np.int8) * 2 - 1})


def peers_of_voxels(events: Events, windows: Windows) -> Iterator[tuple[str, Side]]:
    """Yield what makes a voxel grid of each window."""
    height, width = events.sensor
    if has("tonic"):
        from tonic.functional import to_voxel_grid_numpy

        rows = structured(events)
        yield (
            "Tonic",
            lambda: [
                to_voxel_grid_numpy(rows[a:b], (width, height, 2), 5) for a, b in rows_of(windows)
            ],
        )
    if has("evlib", "polars"):
        import evlib.representations as evlib

        tables = [table_of(events[a:b]) for a, b in rows_of(windows)]

        def voxels_of_evlib() -> None:
            for table in tables:
                sparse = evlib.create_voxel_grid(table, height, width, 5)
                evlib.densify_voxel_grid(sparse, 5, height, width)

        yield "evlib", voxels_of_evlib


def peers_of_stacks(events: Events, windows: Windows) -> Iterator[tuple[str, Side]]:
    """Yield what makes a stacked histogram of each window."""
    height, width = events.sensor
    if has("torch"):
        import torch

        torch.set_num_threads(1)
        columns = [torch.from_numpy(getattr(events, name).astype(np.int64)) for name in "txyp"]

        def stacked(a: int, b: int) -> object:
            t, x, y, p = (column[a:b] for column in columns)
            made = torch.zeros(2 * BINS * height * width, dtype=torch.uint8)
            if b > a:
                share = (t - t[0]) / max(int(t[-1] - t[0]), 1) * BINS
                bins = torch.clamp(share.floor(), max=BINS - 1).long()
                at = x + width * (y + height * (bins + BINS * p))
                made.put_(at, torch.ones_like(at, dtype=torch.uint8), accumulate=True)
            return torch.clamp(made, max=CUTOFF)

        yield "RVT's method", lambda: [stacked(a, b) for a, b in rows_of(windows)]
    if has("evlib", "polars"):
        import evlib.representations as evlib

        tables = [table_of(events[a:b]) for a, b in rows_of(windows)]
        bin_ms = LONG_US / BINS / 1000
        yield (
            "evlib, sparse",
            lambda: [
                evlib.create_stacked_histogram(table, height, width, BINS, bin_ms)
                for table in tables
            ],
        )


def peers_of_surfaces(events: Events, windows: Windows) -> Iterator[tuple[str, Side]]:
    """Yield what makes an exponential surface at the end of each window."""
    height, width = events.sensor
    if has("tonic"):
        from tonic.functional import to_timesurface_numpy

        rows = structured(events)
        rows["p"] = events.p
        sizes = (width, height, 2)
        yield (
            "Tonic",
            lambda: [
                to_timesurface_numpy(rows[a:b], sizes, SHORT_US, TAU_US)
                for a, b, _ in blocks_of(windows)
            ],
        )


def copy_limit(events: Events) -> Side:
    """Return what copies the bytes of events into memory that is in use."""
    columns = [getattr(events, name) for name in "txyp"]
    copies = [column.copy() for column in columns]

    def copy() -> None:
        for to, column in zip(copies, columns, strict=True):
            np.copyto(to, column)

    return copy


def kernels(scenes: Mapping[str, Events], rounds: int) -> dict[str, float]:
    """Print the table of kernels; return peer → how many times as long, for the plot."""
    table = Table("sensor", "events", "representation", "of", "ms", "/ limit", "/ ours")
    times: dict[str, float] = {}
    works = (
        ("counts, 10 ms", SHORT_US, COUNTS, peers_of_counts),
        ("voxel grid, 50 ms", LONG_US, VoxelGrid(5), peers_of_voxels),
        ("stacked histogram, 50 ms", LONG_US, StackedHistogram(BINS, CUTOFF), peers_of_stacks),
        ("exponential surface, 10 ms", SHORT_US, ExponentialSurface(TAU_US), peers_of_surfaces),
    )
    for size, events in scenes.items():
        for what, window_us, made_of, peers in works:
            windows = windows_of(events, window_us)
            run = partial(ours, made_of, events, windows)
            sides: dict[str, Side] = {"copy, the limit": copy_limit(events), "evreel": run}
            if not made_of.history and made_of.history is not None:
                sides["evreel, 2 threads"] = partial(run, 2)
            sides |= dict(peers(events, windows))
            run()
            took = fastest(rounds, sides)
            for name, seconds in took.items():
                limit, own = seconds / took["copy, the limit"], seconds / took["evreel"]
                table.row(size, len(events), what, name, seconds * 1e3, limit, own)
                if not name.startswith(("copy", "evreel")):
                    times[f"{what}, {size}: {name}"] = own
    return times


def accumulators(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the table of dv-processing's accumulators beside frames that are like theirs."""
    if not has("dv_processing"):
        return {}
    import dv_processing as dv

    reader = dv.io.MonoCameraRecording(str(write_recording(folder / "dv.aedat4", events)))
    store = dv.EventStore()
    while (batch := reader.getNextEventBatch()) is not None:
        store.add(batch)
    size = (events.sensor.width, events.sensor.height)
    windows = windows_of(events, SHORT_US)
    edges = zip(windows.start_us.tolist(), windows.stop_us.tolist(), strict=True)
    slices = [store.sliceTime(start, stop) for start, stop in edges]

    def made_by(accumulator: Any) -> Side:
        def run() -> None:
            for events_of_window in slices:
                accumulator.accept(events_of_window)
                accumulator.generateFrame()

        return run

    plain, fading = dv.Accumulator(size), dv.Accumulator(size)
    plain.setDecayFunction(dv.Accumulator.Decay.NONE)
    table = Table("frames of 10 ms, first sensor", "events", "ms", "/ ours")
    times = {}
    for own, name, accumulator in (
        (COUNTS, "Accumulator, no decay", plain),
        (COUNTS, "EdgeMapAccumulator", dv.EdgeMapAccumulator(size)),
        (ExponentialSurface(TAU_US), "Accumulator, exponential decay", fading),
    ):
        run = partial(ours, own, events, windows)
        run()
        took = fastest(rounds, {own.name: run, name: made_by(accumulator)})
        for side, seconds in took.items():
            table.row(side, len(events), seconds * 1e3, seconds / took[own.name])
        times[f"dv-processing: {name}"] = took[name] / took[own.name]
    return times


# -- files


def write_recording(path: Path, events: Events) -> Path:
    """Write an AEDAT 4 recording with LZ4."""
    with Aedat4Writer(path, events.sensor, compression="lz4", t_offset=0) as writer:
        for row in range(0, len(events), 10_000):
            writer.write(events[row : row + 10_000])
    return path


def feature(path: Path, output: Path) -> None:
    """Make a features file of a recording."""
    output.unlink(missing_ok=True)
    counts = {"dtype": "uint8", "saturate": True}
    wanted = steps.FeatureSettings(
        representation="histogram", parameters=counts, window_us=SHORT_US
    )
    steps.features(path, output, wanted)


def of_aedat(path: Path, output: Path) -> None:
    """Make an npz with aedat and SpikingJelly."""
    import aedat
    from spikingjelly.datasets.utils import integrate_events_segment_to_frame, np_savez

    decoder = aedat.Decoder(str(path))
    stream = next(of for of in decoder.id_to_stream().values() if of["type"] == "events")
    parts = [packet["events"] for packet in decoder if "events" in packet]
    t, x, y, p = (np.concatenate([part[name] for part in parts]) for name in ("t", "x", "y", "on"))
    edges = np.searchsorted(t, np.arange(0, int(t[-1]) + SHORT_US, SHORT_US))
    sizes = (stream["height"], stream["width"])
    made = [
        integrate_events_segment_to_frame(x, y, p, *sizes, a, b)
        for a, b in itertools.pairwise(edges)
    ]
    np_savez(output, frames=np.stack(made))


def of_dv(path: Path, output: Path) -> None:
    """Make an HDF5 with dv-processing, numpy and gzip-4."""
    import dv_processing as dv

    reader = dv.io.MonoCameraRecording(str(path))
    width, height = reader.getEventResolution()
    parts = []
    while (batch := reader.getNextEventBatch()) is not None:
        parts.append(batch.numpy())
    t, x, y, p = (
        np.concatenate([part[name] for part in parts])
        for name in ("timestamp", "x", "y", "polarity")
    )
    edges = np.searchsorted(t, np.arange(0, int(t[-1]) + SHORT_US, SHORT_US))
    address = (p.astype(np.int64) * height + y) * width + x
    shape = (len(edges) - 1, 2, height, width)
    with h5py.File(output, "w") as file:
        data = file.create_dataset(
            "data", shape, "u1", chunks=(1, *shape[1:]), compression="gzip", compression_opts=4
        )
        for k in range(shape[0]):
            counts = np.bincount(address[edges[k] : edges[k + 1]], minlength=2 * height * width)
            data[k] = np.minimum(counts, 255).reshape(shape[1:])


def whole_files(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the table of whole files: a recording on the disk → counts on the disk."""
    recording = write_recording(folder / "r.aedat4", events)
    held = read_events(recording)
    windows = windows_of(held, SHORT_US)
    made = np.stack([frame.copy() for frame in frames_of(held, windows)])
    sides: dict[str, Side] = {
        "evreel": partial(feature, recording, folder / "ours.h5"),
        "evreel: decode": partial(read_events, recording),
        "evreel: kernel": partial(ours, COUNTS, held, windows),
        "evreel: write": partial(write_ours, folder / "w.h5", held, windows, made),
    }
    if has("aedat", "spikingjelly"):
        sides["aedat, SpikingJelly, npz"] = partial(of_aedat, recording, folder / "a.npz")
    if has("dv_processing"):
        sides["dv-processing, numpy, gzip-4"] = partial(of_dv, recording, folder / "d.h5")
    sides["evreel"]()
    table = Table("AEDAT 4 with LZ4 → counts of 10 ms", "events", "ms", "/ ours")
    took = fastest(rounds, sides)
    for name, seconds in took.items():
        table.row(name, len(events), seconds * 1e3, seconds / took["evreel"])
    return {
        f"whole file: {name}": seconds / took["evreel"]
        for name, seconds in took.items()
        if not name.startswith("evreel")
    }


def frames_of(events: Events, windows: Windows) -> Iterator[Array]:
    """Yield frames of counts."""
    return frames(COUNTS, lambda a, b: events[a:b], windows, events.sensor)


def write_ours(path: Path, events: Events, windows: Windows, made: Array) -> None:
    """Write frames as a features file."""
    path.unlink(missing_ok=True)
    with hdf5.create(path, FEATURES, Provenance("features", {})) as file:
        writer = FeaturesWriter(
            file,
            windows,
            Duration(SHORT_US),
            events.sensor,
            0,
            shape=made.shape[1:],
            **Feature(COUNTS).description,
        )
        for frame in made:
            writer.write(frame)
        writer.finish()


def write_gzip(path: Path, made: Array) -> None:
    """Write frames as most do, compressed by gzip."""
    with h5py.File(path, "w") as file:
        chunks = (1, *made.shape[1:])
        data = file.create_dataset(
            "data", made.shape, made.dtype, chunks=chunks, compression="gzip", compression_opts=4
        )
        for k, frame in enumerate(made):
            data[k] = frame


def write_each(folder: Path, made: Array) -> None:
    """Write each frame into a file of its own."""
    folder.mkdir(exist_ok=True)
    for k, frame in enumerate(made):
        np.savez_compressed(folder / f"{k}.npz", frame)


def read_open(file: FeaturesFile | h5py.Dataset, order: Array) -> None:
    """Read frames of an open file."""
    for k in order:
        file[int(k)]


def read_each(folder: Path, order: Array) -> None:
    """Read frames that are files."""
    for k in order:
        with np.load(folder / f"{k}.npz") as file:
            file["arr_0"]


def reading(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the table of writing and reading frames."""
    windows = windows_of(events, SHORT_US)
    made = np.stack([frame.copy() for frame in frames_of(events, windows)])
    in_order = np.arange(len(made))
    at_random = np.random.default_rng(0).permutation(in_order)
    own, gzip, each = folder / "o.h5", folder / "g.h5", folder / "each"
    writing: dict[str, Side] = {
        "evreel": partial(write_ours, own, events, windows, made),
        "gzip-4": partial(write_gzip, gzip, made),
        "one npz per frame": partial(write_each, each, made),
    }
    for side in writing.values():
        side()
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(FeaturesFile(own))
        # Without HDF5's cache of chunks, which would return the frames of the round before.
        data = opened.enter_context(h5py.File(gzip, rdcc_nbytes=0))["data"]
        in_turn: dict[str, Side] = {
            "evreel": partial(read_open, file, in_order),
            "gzip-4": partial(read_open, data, in_order),
        }
        alone: dict[str, Side] = {
            "evreel": partial(read_open, file, at_random),
            "gzip-4": partial(read_open, data, at_random),
            "one npz per frame": partial(read_each, each, at_random),
        }
        took_reading = {
            "read, in order": fastest(rounds, in_turn),
            "read, at random": fastest(rounds, alone),
        }
    table = Table("counts of 10 ms", "of", "ms per frame", "/ ours", "MB")
    times = {}
    for what, took in {"write": fastest(rounds, writing), **took_reading}.items():
        paths = {"evreel": own, "gzip-4": gzip, "one npz per frame": each}
        for name, seconds in took.items():
            path = paths[name]
            files = path.iterdir() if path.is_dir() else [path]
            size = sum(file.stat().st_size for file in files) / 1e6
            table.row(what, name, seconds / len(made) * 1e3, seconds / took["evreel"], size)
            if name != "evreel":
                times[f"{what}: {name}"] = seconds / took["evreel"]
    return times


# -- jobs


def ten_features(events: Events, folder: Path, rounds: int) -> None:
    """Print how long ten features take in one job and in ten, without starting processes."""
    recording, store = write_recording(folder / "ten.aedat4", events), folder / "ten.h5"
    steps.events(recording, store)
    wanted = {
        folder / name / "ten.h5": steps.FeatureSettings(
            representation=name, parameters=parameters, window_us=LONG_US
        )
        for name, parameters in TEN.items()
    }

    def clean() -> None:
        for path in wanted:
            path.unlink(missing_ok=True)

    def together() -> None:
        clean()
        steps.all_features(store, wanted)

    def apart() -> None:
        clean()
        for path, settings in wanted.items():
            steps.all_features(store, {path: settings})

    together()
    took = fastest(rounds, {"one job": together, "ten jobs": apart})
    table = Table("ten features", "events", "s", "/ ten jobs")
    for name, seconds in took.items():
        table.row(name, len(events), seconds, seconds / took["ten jobs"])


def fixed_cost(folder: Path, rounds: int) -> None:
    """Print how long `evreel features` takes on a small store, compiled before."""
    events = traffic(50_000, Sensor(260, 346), 5e6, uniform=False)
    store = folder / "small.h5"
    steps.events(write_recording(folder / "small.aedat4", events), store)
    arguments = ["--representation", "histogram", "--window-us", str(SHORT_US), "-q"]
    command = [sys.executable, "-m", "evreel.cli", "features", store, "-o", folder / "small"]

    def job() -> None:
        (folder / "small" / "small.h5").unlink(missing_ok=True)
        subprocess.run([*command, *arguments], check=True)

    libraries = "import numpy, h5py, hdf5plugin, numba"
    sides = {
        "the whole command": job,
        "of it, Python with numpy, h5py and numba": lambda: subprocess.run(
            [sys.executable, "-c", libraries], check=True
        ),
    }
    job()
    table = Table("fixed cost of a job, compiled before", "s")
    for name, seconds in fastest(rounds, sides).items():
        table.row(name, seconds)


def plot(times: Mapping[str, float], path: Path) -> None:
    """Draw how many times as long as evreel each peer takes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.28 * len(times) + 1.2), layout="constrained")
    names = list(times)[::-1]
    bars = axes.barh(names, [times[name] for name in names], color="#3b6ea5")
    axes.bar_label(bars, fmt=" %.1f×")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times as long as evreel")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="events per sensor")
    parser.add_argument("--sensor", choices=SENSORS, nargs="+", default=list(SENSORS))
    parser.add_argument("--rate", type=float, help="events per second; default: a busy scene's")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the fastest counts")
    parser.add_argument("--uniform", action="store_true", help="events at random pixels")
    parser.add_argument("--only", choices=("kernels", "files", "reading", "jobs"), nargs="+")
    parser.add_argument("--plot", type=Path, help="draw the ratios, PNG")
    options = parser.parse_args()
    # Scripts beside this one have names of peers.
    sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]
    only = options.only or ("kernels", "files", "reading", "jobs")
    scenes = {
        size: traffic(options.events, sensor, options.rate or rate, uniform=options.uniform)
        for size, (sensor, rate) in SENSORS.items()
        if size in options.sensor
    }
    first = next(iter(scenes.values()))
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "kernels" in only:
            times |= kernels(scenes, options.rounds)
            times |= accumulators(first, folder, options.rounds)
        if "files" in only:
            times |= whole_files(first, folder, options.rounds)
        if "reading" in only:
            times |= reading(first, folder, options.rounds)
        if "jobs" in only:
            ten_features(first, folder, options.rounds)
            fixed_cost(folder, options.rounds)
    if options.plot:
        plot(times, options.plot)


if __name__ == "__main__":
    main()
