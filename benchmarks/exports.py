"""Time writing events in the layouts of other tools: evreel and what else writes such files.

Events are moving edges at 1280×720, 10 million per second, in memory for all sides: columns for
NumPy and h5py, an array of records for faery, stores of 10,000 events for dv-processing, batches of
100,000 for ours. Nobody waits for the disk. h5py compresses by the plugin Blosc, at the same level,
and makes the index by one search. NumPy's text is written of a part of the events, because it takes
minutes. Each round goes through all sides in turn, and the fastest counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import prophesee

from evreel.events import Events, Sensor
from evreel.exports.layouts import EVENT_LAYOUTS
from evreel.threads import Crew

SENSOR = Sensor(720, 1280)
BATCH_ROWS = 100_000
DV_ROWS = 10_000
TEXT_SHARE = 20
SUFFIX = {"dsec": "h5", "metavision": "hdf5", "aedat4": "aedat4", "csv": "csv", "npz": "npz"}


class InMemory:
    """Events at hand as an open recording."""

    format, t_offset, header, n_expected, path = "in memory", 0, "", 0, Path("in memory")
    sensor = SENSOR

    def __init__(self, events: Events) -> None:
        self._events = events

    def __iter__(self) -> Iterator[Events]:
        return self.batches()

    def batches(self) -> Iterator[Events]:
        """Yield the events."""
        for first in range(0, len(self._events), BATCH_ROWS):
            yield self._events[first : first + BATCH_ROWS]


def by_h5py(events: Events, path: Path) -> None:
    blosc = hdf5plugin.Blosc("zstd", 1, hdf5plugin.Blosc.SHUFFLE)
    kinds = {"t": "u4", "x": "u2", "y": "u2", "p": "u1"}
    ms = np.arange(0, events.t[-1] // 1000 + 1) * 1000
    columns = {f"events/{name}": getattr(events, name).astype(kinds[name]) for name in kinds}
    columns["ms_to_idx"] = np.searchsorted(events.t, ms).astype("u8")
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values, chunks=(min(65_536, len(values)),), **blosc)
        file["t_offset"] = 0


def by_numpy(events: Events, path: Path, *, compressed: bool = False) -> None:
    columns = {name: getattr(events, name) for name in "txyp"}
    (np.savez_compressed if compressed else np.savez)(path, **columns)


def as_text(events: Events, path: Path) -> None:
    rows = np.column_stack([getattr(events, name) for name in "txyp"])
    np.savetxt(path, rows, "%d", ",", header="t,x,y,p", comments="")


def by_faery(events: Events, path: Path) -> Callable[[], None]:
    import faery

    records = np.empty(len(events), faery.EVENTS_DTYPE)
    for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        records[field] = getattr(events, name)

    def run() -> None:
        stream = faery.events_stream_from_array(records, (SENSOR.width, SENSOR.height))
        stream.to_file(path, zero_t0=False)

    return run


def by_dv(written: Path, path: Path) -> Callable[[], None]:
    import dv_processing as dv

    recording = dv.io.MonoCameraRecording(str(written))
    stores = list(iter(recording.getNextEventBatch, None))

    def run() -> None:
        config = dv.io.MonoCameraWriter.EventOnlyConfig("made", (SENSOR.width, SENSOR.height))
        writer = dv.io.MonoCameraWriter(str(path), config)
        for store in stores:
            writer.writeEvents(store)

    return run


def ours(events: Events, path: Path, layout: str, threads: int) -> Callable[[], None]:
    write = EVENT_LAYOUTS[layout].write

    def run() -> None:
        with Crew(threads) as crew:
            write(InMemory(events), path, crew=crew)

    return run


def sides_of(events: Events, folder: Path) -> dict[str, tuple[Callable[[], None], Path, int]]:
    """Return side → what writes, the file, and how many of the events it has."""
    n = len(events)
    sides: dict[str, tuple[Callable[[], None], Path, int]] = {}
    for layout, suffix in (*SUFFIX.items(), ("csv", "csv.gz")):
        for threads in (1, 2):
            path = folder / f"ours{threads}.{suffix}"
            sides[f"{suffix}: ours, {threads}"] = ours(events, path, layout, threads), path, n

    def add(side: str, run: Callable[[], None], path: Path, rows: int = n) -> None:
        sides[side] = run, path, rows

    path = folder / "h5py.h5"
    add("h5: h5py", lambda path=path: by_h5py(events, path), path)
    path = folder / "savez.npz"
    add("npz: np.savez", lambda path=path: by_numpy(events, path), path)
    path, part = folder / "small.npz", events[: n // TEXT_SHARE]
    run = lambda path=path: by_numpy(part, path, compressed=True)  # noqa: E731
    add("npz: np.savez_compressed", run, path, len(part))
    for suffix in ("csv", "csv.gz"):
        path = folder / f"text.{suffix}"
        run = lambda path=path: as_text(part, path)  # noqa: E731
        add(f"{suffix}: np.savetxt", run, path, len(part))
    if importlib.util.find_spec("faery"):
        for suffix in ("aedat4", "csv"):
            path = folder / f"faery.{suffix}"
            add(f"{suffix}: faery", by_faery(events, path), path)
    if importlib.util.find_spec("dv_processing"):
        path = folder / "dv.aedat4"
        source = folder / "source.aedat4"
        ours(events, source, "aedat4", 1)()
        add("aedat4: dv-processing", by_dv(source, path), path)
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    t, x, y, p = prophesee.edges(options.events)
    events = Events(t - t[0], x, y, p, SENSOR)
    with tempfile.TemporaryDirectory() as name:
        sides = sides_of(events, Path(name))
        best = dict.fromkeys(sides, float("inf"))
        size = dict.fromkeys(sides, 0.0)
        for _ in range(options.rounds):
            for side, (run, path, rows) in sides.items():
                path.unlink(missing_ok=True)
                began = time.perf_counter()
                run()
                best[side] = min(best[side], (time.perf_counter() - began) / rows)
                size[side] = path.stat().st_size / rows
                path.unlink()
    print(f"{options.events / 1e6:g} M events at {SENSOR.text}\n")
    print("| side | M events/s | bytes per event | its time / ours, 1 thread |\n|---|---|---|---|")
    for side in sorted(sides):
        reference = best[f"{side.split(':')[0]}: ours, 1"]
        ratio = f"{best[side] / reference:.2f}"
        print(f"| {side} | {1e-6 / best[side]:.1f} | {size[side]:.2f} | {ratio} |")


if __name__ == "__main__":
    main()
