"""Time loaders beside other libraries: windows of portable releases, slices of long recordings.

Each part prints a table. All sides of a row run in turn in one process, on the same events and one
thread unless the row says so; the fastest of several rounds counts. Compare ratios, not times of
different runs. Peers (Tonic, SpikingJelly) take part if they are installed beside evreel; where one
is not, a line says so.

- *portable*: windows at random of what a ``portable`` release holds, gzip after a shuffle: voxel
  grids of 5 bins (float32) as a feature, and computed live from events. *HDF5's filters* is the
  same data set read by h5py.
- *first*: the first batch of a release of 10,000 samples, from the call that opens it.
- *slice*: slices of 10 ms at random of a long recording. Tonic's `SlicedDataset` reads the whole
  recording for each, from an npy file of its own records, which is memory-mapped, too.
- *rvt*: batches of 4 × 5 frames (20, 240, 304) of a tree, compressed as by RVT's script, streamed
  and at random: as many of each side. evlib delivers the files' uint8, as evreel does with
  ``dtype="stored"``; its workers are processes, evreel's are threads.
- *sequential*: batches of 4 sequences of 10 count images, in the order of time, from features files
  and live from events stores. SpikingJelly's loader reads the same frames from an npz per sequence,
  as it stores them, and Tonic's `DiskCachedDataset` from its cache, filled before, both in PyTorch
  with as many processes, which outlive an epoch on all sides. Ours are tensors, too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from features import Side, Table, fastest, has, plot, structured, traffic, windows_of

from evreel.annotations.tables import LabelTables, RoiTable, Spans, TagTable
from evreel.events import Events, Sensor
from evreel.exports.rvt_labels import RVT_DTYPE
from evreel.files import hdf5
from evreel.files.events_store import EventsStore, EventsStoreWriter
from evreel.files.features import FeaturesFile, FeaturesWriter
from evreel.files.repack import repack
from evreel.files.samples import write_samples
from evreel.files.slices import SlicesWriter
from evreel.layout import EVENTS, FEATURES, SAMPLES, SLICES
from evreel.loaders.frames import FramesDataset
from evreel.loaders.mixed import MixedLoader
from evreel.loaders.slices import SlicesDataset
from evreel.provenance import Provenance
from evreel.publish.build import build
from evreel.release.manifest import PlanEntry
from evreel.release.open import open_release
from evreel.representations import Feature, Histogram, Representation, VoxelGrid, frames
from evreel.samples.samples import Samples
from evreel.samples.tables import Assigned, write_samples_table
from evreel.windows import Duration, Windows

SENSOR, RATE = Sensor(260, 346), 1e6
WINDOW_US, SLICE_US = 50_000, 10_000
VOXELS = VoxelGrid(5)


def store_of(path: Path, events: Events) -> Path:
    """Write an events store."""
    with hdf5.create(path, EVENTS, Provenance("events", {})) as file:
        writer = EventsStoreWriter(file, events.sensor, 0, "benchmark", "")
        for row in range(0, len(events), 1_000_000):
            writer.write(events[row : row + 1_000_000])
        writer.finish()
    return path


def features_of(path: Path, events: Events, windows: Windows, of: Representation = VOXELS) -> Path:
    """Write a features file."""
    with hdf5.create(path, FEATURES, Provenance("features", {})) as file:
        writer = FeaturesWriter(
            *(file, windows, Duration(WINDOW_US), events.sensor, 0),
            shape=of.shape(events.sensor),
            **Feature(of).description,
        )
        for frame in frames(of, lambda a, b: events[a:b], windows, events.sensor):
            writer.write(frame)
        writer.finish()
    return path


def slices_of(path: Path, events: Events, windows: Windows) -> Path:
    """Write slices without annotations."""
    none = [np.zeros(0, kind) for kind in ("i8", "i4", "i8", "i8", "i1", "i8")]
    tables = LabelTables(
        (), RoiTable(*none), TagTable(none[0], none[1], none[0], none[0]), Spans(none[0], none[0])
    )
    with hdf5.create(path, SLICES, Provenance("annotate", {})) as file:
        writer = SlicesWriter(file, events.sensor, 0, windows, tables)
        for row in range(0, len(events), 1_000_000):
            part = events[row : row + 1_000_000]
            writer.write(part, np.full(len(part), -1, "i4"), none[0], none[1])
        writer.finish()
    return path


def released(path: Path) -> Path:
    """Return a copy of a file as a portable release has it."""
    copy = path.with_name(f"portable_{path.name}")
    repack(path, copy)
    return copy


def live(store: EventsStore, starts: list[int]) -> None:
    """Compute the voxel grids of windows that begin at these times."""
    for start_us in starts:
        stop_us = start_us + WINDOW_US
        rows = store.index_of([start_us, stop_us])
        window = Windows(*(np.array([edge]) for edge in (start_us, stop_us, *rows)))
        for _ in frames(VOXELS, store.read, window, store.sensor):
            pass


def each(data: Any, order: list[int]) -> None:
    """Read items of what can be indexed."""
    for k in order:
        data[k]


def show(title: str, took: Mapping[str, float], n: int, ours: str) -> dict[str, float]:
    """Print a table; return name → how many times as long as ours."""
    table = Table(title, "ms each", "per second", "/ ours")
    for name, seconds in took.items():
        table.row(name, seconds / n * 1e3, n / seconds, seconds / took[ours])
    return {name: seconds / took[ours] for name, seconds in took.items() if name != ours}


def portable(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the tables of windows of portable files."""
    few = events[: int(np.searchsorted(events.t, 50 * WINDOW_US))]
    feature = features_of(folder / "voxels.h5", few, windows_of(few, WINDOW_US))
    store = store_of(folder / "events.h5", events)
    rng = np.random.default_rng(0)
    times = {}
    with FeaturesFile(released(feature)) as ours, FeaturesFile(feature) as working:
        order = rng.permutation(len(ours)).tolist()
        # Without HDF5's cache of chunks, which would return the frames of the round before.
        with h5py.File(ours.path, locking=False, rdcc_nbytes=0) as file:
            sides: dict[str, Side] = {
                "evreel": partial(each, ours, order),
                "HDF5's filters": partial(each, file["data"], order),
                "evreel, working file (Zstandard)": partial(each, working, order),
            }
            sides["evreel"]()
            title = "voxel grids at random, portable"
            took = fastest(rounds, sides)
            times |= {
                f"{title}: {k}": v for k, v in show(title, took, len(order), "evreel").items()
            }
    with EventsStore(released(store)) as ours, EventsStore(store) as working:
        starts = rng.integers(0, events.t_stop_us - WINDOW_US, 50).tolist()
        sides = {
            "evreel": partial(live, ours, starts),
            "evreel, working file (LZ4)": partial(live, working, starts),
        }
        sides["evreel"]()
        show(
            "voxel grids at random, live from portable events", fastest(rounds, sides), 50, "evreel"
        )
    return times


def slices(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the table of slices of a long recording."""
    windows = windows_of(events, SLICE_US)
    path = slices_of(folder / "slices.h5", events, windows)
    order = np.random.default_rng(1).permutation(len(windows))[:20].tolist()
    sides: dict[str, Side] = {
        "evreel": partial(each, SlicesDataset(path), order),
        "evreel, portable": partial(each, SlicesDataset(released(path)), order),
    }
    if has("tonic"):
        sides["Tonic's SlicedDataset"] = partial(each, of_tonic(folder, events), order[:4])
    sides["evreel"]()
    took = fastest(rounds, sides)
    if "Tonic's SlicedDataset" in took:
        took["Tonic's SlicedDataset"] *= len(order) / 4  # it read fewer
    return show("slices of 10 ms at random", took, len(order), "evreel")


def of_tonic(folder: Path, events: Events) -> Any:
    """Return Tonic's slices of the same events, which are read from a file for each slice."""
    from tonic import SlicedDataset
    from tonic.slicers import SliceByTime

    np.save(folder / "records.npy", structured(events))

    class Recordings:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, k: int) -> tuple[Any, int]:
            if k:
                raise IndexError(k)
            return np.load(folder / "records.npy"), 0

    return SlicedDataset(Recordings(), slicer=SliceByTime(time_window=SLICE_US))


def rvt(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the tables of batches of RVT's tree."""
    name = "stacked_histogram_dt=50_nbins=10"
    for number in range(4):
        write_sequence(folder / f"tree/train/s{number}", name, number)
    times = {}
    for workers in (0, 2):
        for what, lanes in (("streamed", (4, 0)), ("at random", (0, 4))):
            sides: dict[str, Side] = {
                told: partial(
                    exhaust,
                    MixedLoader(
                        folder / "tree",
                        array_dim=(5,),
                        n_stream=lanes[0],
                        n_random=lanes[1],
                        num_workers=workers,
                        dtype=dtype,
                    ),
                )
                for told, dtype in (("evreel", "stored"), ("evreel, as float32", "float32"))
            }
            if has("torch", "evlib"):
                paths = sorted(folder.glob("tree/train/*"))
                sides["evlib"] = partial(exhaust, of_evlib(paths, name, what, workers))
            n = sum(1 for _ in sides["evreel"].args[0])  # type: ignore[attr-defined]
            for side in sides.values():
                side()  # starts processes
            title = f"batches {what}, {workers} workers"
            took = fastest(rounds, sides)
            times |= {f"{title}: {k}": v for k, v in show(title, took, n, "evreel").items()}
    return times


def write_sequence(folder: Path, name: str, seed: int, n: int = 60) -> None:
    """Write a sequence of sparse counts as RVT's script does; every fifth window is labelled."""
    frames, labels = folder / "event_representations_v2" / name, folder / "labels_v2"
    frames.mkdir(parents=True)
    labels.mkdir()
    ends, labelled = (np.arange(n) + 1) * WINDOW_US, np.arange(4, n, 5)
    boxes = np.zeros(len(labelled), RVT_DTYPE)
    boxes["t"], boxes["w"], boxes["h"] = ends[labelled], 40, 40
    first = np.arange(len(labelled))
    np.savez(labels / "labels.npz", labels=boxes, objframe_idx_2_label_idx=first)
    np.save(labels / "timestamps_us.npy", ends[labelled])
    np.save(frames / "timestamps_us.npy", ends)
    np.save(frames / "objframe_idx_2_repr_idx.npy", labelled)
    rng, shape = np.random.default_rng(seed), (20, 240, 304)
    blosc = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE)
    with h5py.File(frames / "event_representations.h5", "w") as file:
        data = file.create_dataset("data", (n, *shape), np.uint8, chunks=(1, *shape), **blosc)
        for k in range(n):
            frame = np.zeros(shape, np.uint8)
            y, x = (rng.normal(side / 2, side / 6, 30_000).astype(int) for side in shape[1:])
            np.add.at(frame, (rng.integers(0, 20, 30_000), y % 240, x % 304), 1)
            data[k] = np.minimum(frame, 10)


def of_evlib(paths: list[Path], name: str, what: str, workers: int) -> Any:
    """Return evlib's loader of the same tree."""
    from evlib import data
    from torch.utils.data import DataLoader

    sources = [data.PreprocessedH5Source(path, name, False) for path in paths]
    common = {"num_workers": workers, "persistent_workers": workers > 0}
    if what == "streamed":
        streams = data.SequenceStreamDataset(sources, 5, 4)
        collate = data.custom_collate_stream
        return DataLoader(streams, batch_size=None, collate_fn=collate, **common)
    drawn = data.SequenceRandomDataset(sources, 5)
    collate = data.custom_collate_random
    return DataLoader(drawn, batch_size=4, shuffle=True, collate_fn=collate, **common)


def exhaust(loader: Any) -> None:
    """Take an epoch's frames."""
    seen = 0
    for batch in loader:
        padded = batch["frame_is_padded" if "inputs" in batch else "is_padded_mask"]
        seen += int((~padded).sum())
    assert seen


N_LANES, N_BINS, N_BATCHES, FRAME_US = 4, 10, 20, 10_000
COUNTS = Histogram()


def sequential(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the tables of batches of sequences."""
    if not has("torch"):
        return {}
    from evreel.loaders.torch import SequentialLoader

    stores, files, sequences = [], [], []
    duration_us = N_BATCHES * N_BINS * FRAME_US
    for k in range(N_LANES):
        first, last = np.searchsorted(events.t, [k * duration_us, (k + 1) * duration_us])
        part = Events(
            events.t[first:last] - k * duration_us,
            *(getattr(events, column)[first:last] for column in "xyp"),
            events.sensor,
        )
        stores.append(store_of(folder / f"sequence_{k}_events.h5", part))
        windows = windows_of(part, FRAME_US)[: N_BATCHES * N_BINS]
        files.append(features_of(folder / f"sequence_{k}.h5", part, windows, COUNTS))
        with FeaturesFile(files[-1]) as file:
            sequences += [file[row : row + N_BINS] for row in range(0, len(file), N_BINS)]
    times = {}
    for workers in (0, 2):
        common = {"array_dim": (N_BINS,), "batch_size": N_LANES, "num_workers": workers}
        sides: dict[str, Side] = {
            "evreel": partial(drain, SequentialLoader(files, **common)),
            "evreel, live": partial(
                drain,
                SequentialLoader(
                    stores, FRAME_US, COUNTS.name, preprocess_kwargs=COUNTS.parameters, **common
                ),
            ),
        }
        for name, make in (("spikingjelly", npz_of_spikingjelly), ("tonic", cache_of_tonic)):
            if has(name):
                what, data = make(folder, sequences)
                sides[what] = partial(drain, batches_of(data, workers))
        for side in sides.values():
            side()  # workers start, caches are filled
        title = f"batches of sequences, {workers} workers"
        took = fastest(rounds, sides)
        shown = show(title, took, N_BATCHES, "evreel")
        times |= {f"{title}: {name}": ratio for name, ratio in shown.items()}
    return times


def drain(batches: Any) -> None:
    """Take all batches of an epoch."""
    for _ in batches:
        pass


def batches_of(data: Any, workers: int) -> Any:
    """Return PyTorch's loader of a data set."""
    from torch.utils.data import DataLoader

    return DataLoader(data, batch_size=N_LANES, num_workers=workers, persistent_workers=workers > 0)


class Npz:
    """Sequences in files of SpikingJelly's, read by its loader."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, k: int) -> tuple[Any, int]:
        from spikingjelly.datasets.utils import load_npz_frames

        return load_npz_frames(self._files[k]), 0


def npz_of_spikingjelly(folder: Path, sequences: Sequence[Any]) -> tuple[str, Any]:
    """Return sequences as SpikingJelly stores them."""
    from spikingjelly.datasets.utils import np_savez

    files = [folder / f"sequence_{k}.npz" for k in range(len(sequences))]
    for path, sequence in zip(files, sequences, strict=True):
        np_savez(path, frames=sequence.astype("f8"))
    return "SpikingJelly's npz frames", Npz(files)


class InMemory:
    """Sequences to be cached."""

    def __init__(self, sequences: Sequence[Any]) -> None:
        self._sequences = [sequence.astype("i2") for sequence in sequences]

    def __len__(self) -> int:
        return len(self._sequences)

    def __getitem__(self, k: int) -> tuple[Any, int]:
        return self._sequences[k], 0


def cache_of_tonic(folder: Path, sequences: Sequence[Any]) -> tuple[str, Any]:
    """Return sequences in Tonic's cache, as the frames of its `ToFrame` are."""
    from tonic import DiskCachedDataset

    cached = DiskCachedDataset(InMemory(sequences), cache_path=str(folder / "cache"))
    each(cached, list(range(len(sequences))))
    return "Tonic's DiskCachedDataset", cached


N_SAMPLES, SAMPLE_US = 10_000, 1_000


def first(events: Events, folder: Path, rounds: int) -> dict[str, float]:
    """Print the table of first batches of a release of many samples, from the constructor on."""
    start = np.arange(N_SAMPLES) * SAMPLE_US
    names = tuple(f"sample_{k}" for k in range(N_SAMPLES))
    labels = tuple(f"class_{k % 10}" for k in range(N_SAMPLES))
    known = sorted(set(labels))
    samples = Samples(names, labels, ("",) * N_SAMPLES, start, start + SAMPLE_US, start)
    store = store_of(folder / "all.h5", events[: int(np.searchsorted(events.t, start[-1] + 1000))])
    with (
        EventsStore(store) as of,
        hdf5.create(folder / "samples.h5", SAMPLES, Provenance("samples", {})) as file,
    ):
        rows = [of.index_of(times) for times in (samples.start_us, samples.stop_us)]
        splits = ["train"] * N_SAMPLES
        write_samples(file, samples, known, splits, *rows, recording="all", t_stop_us=of.t_stop_us)
    columns = (names, labels, samples.group, splits, start.tolist(), (start + SAMPLE_US).tolist())
    write_samples_table(
        folder / "samples.tsv", (Assigned("all", *row) for row in zip(*columns, strict=True))
    )
    plan = [
        PlanEntry("train/events/all.h5", store, "events", "all", "train"),
        PlanEntry("train/samples/all.h5", folder / "samples.h5", "samples", "all", "train"),
        PlanEntry("samples.tsv", folder / "samples.tsv", "samples", "", ""),
    ]
    about = {"name": "many", "version": "1", "licence": "CC0-1.0"}
    build(plan, folder / "many", compression="portable", labels=dict(enumerate(known)), **about)

    def batch(**arguments: Any) -> None:
        with open_release(folder / "many") as release:
            each(FramesDataset(release, **arguments), list(range(0, N_SAMPLES, N_SAMPLES // 32)))

    sides = {
        "events": partial(batch, data_type="event"),
        "10 frames each": partial(batch, data_type="frame", frames_number=10),
    }
    show(f"first batch of 32 of {N_SAMPLES:,} samples", fastest(rounds, sides), 1, "events")
    return {}


SECTIONS = {
    "portable": portable,
    "slice": slices,
    "rvt": rvt,
    "sequential": sequential,
    "first": first,
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000, help="events of the recording")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the fastest counts")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS))
    parser.add_argument("--plot", type=Path, help="draw the ratios, PNG")
    options = parser.parse_args()
    # Scripts beside this one have names of peers.
    sys.path = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent]
    events = traffic(options.events, SENSOR, RATE, uniform=False)
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for section in options.only:
            times |= SECTIONS[section](events, Path(name), options.rounds)
    if options.plot:
        plot(times, options.plot)


if __name__ == "__main__":
    main()
