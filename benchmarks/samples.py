"""Time cutting a recording like DVS128 Gesture's into samples: evreel and SpikingJelly.

SpikingJelly decodes AEDAT 3.1 with one turn of a Python loop per event; then, for each of 12
rows of the table, it makes a mask over all events and a compressed ``.npz``. Three comparisons:

- cut: from decoded events (an events store; columns in memory) to the samples (rows of the
  store; copies in ``.npz``);
- steps: the same with the steps ``cut``, ``splits`` and ``samples``, with digests, to synced files;
- whole: from the AEDAT file, with the step ``events`` and these.

Each side runs in its own process, in turn; the fastest of several rounds counts. SpikingJelly
must be installed for the interpreter that ``--peer-python`` names: give it its own environment.
What it imports from torch is not used here, so a stand-in is enough if torch is missing. Without
SpikingJelly, our own version of its code runs, in `loop`.

Also, an archive like N-MNIST's: members per second, from the zip to the samples.
"""

from __future__ import annotations

import argparse
import csv
import importlib.abc
import importlib.machinery
import subprocess
import sys
import tempfile
import time
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from aedat import loop_columns, write_aedat3

GESTURES = 12
COLUMNS = {"label": "class", "start": "startTime_usec", "stop": "endTime_usec"}


def write_labels(path: Path, stop_us: int) -> None:
    """Write a table of intervals with gaps between them."""
    share = stop_us // GESTURES
    rows = [f"{k % 11 + 1},{k * share + share // 10},{(k + 1) * share}\n" for k in range(GESTURES)]
    path.write_text("class,startTime_usec,endTime_usec\n" + "".join(rows))


LABELS = [str(k) for k in range(1, 12)]


def ours(recording: Path) -> list[float]:
    """Cut by index; return the seconds of cut, steps, whole."""
    from evreel import steps
    from evreel.files.events_store import EventsStore
    from evreel.samples.cut import by_intervals
    from evreel.samples.intervals import Columns, read_intervals

    folder, labels = recording.parent / "ours", recording.with_suffix(".csv")
    store, cut, table = folder / "store.h5", folder / "cut.tsv", folder / "samples.tsv"

    def index() -> None:
        with EventsStore(store) as opened:
            rows = read_intervals(labels, Columns(**COLUMNS))
            samples = by_intervals(rows, t_offset=opened.t_offset, clock="source")
            opened.index_of(samples.start_us)
            opened.index_of(samples.stop_us)

    def by_steps() -> None:
        steps.cut(
            store,
            cut,
            steps.CutSettings(columns=COLUMNS, clock="source"),
            intervals=str(labels),
            labels=LABELS,
        )
        steps.splits({"store": cut}, table, fixed={"store": "train"})
        steps.samples(store, cut, table, folder / "samples.h5", recording="store", labels=LABELS)

    def decode() -> None:
        steps.events(recording, store, sensor="128x128")

    decode()  # the first round pays for imports and compilation
    by_steps()
    decoding, cutting = seconds(decode), seconds(by_steps)
    return [seconds(index), cutting, decoding + cutting]


def loop(recording: Path) -> list[float]:
    """Decode event by event, mask, and write one file per sample; return the same seconds."""
    folder = recording.parent / "loop"
    folder.mkdir(exist_ok=True)
    columns = None

    def decode() -> None:
        nonlocal columns
        columns = loop_columns(recording)

    def mask() -> None:
        t, x, y, p = columns
        with recording.with_suffix(".csv").open() as file:
            for k, row in enumerate(csv.DictReader(file)):
                start, stop = int(row["startTime_usec"]), int(row["endTime_usec"])
                inside = np.logical_and(t >= start, t < stop)
                np.savez_compressed(
                    folder / f"{k}.npz", t=t[inside], x=x[inside], y=y[inside], p=p[inside]
                )

    decoding, cutting = seconds(decode), seconds(mask)
    return [cutting, cutting, decoding + cutting]


class Name(type):
    """A class whose attributes are all such classes."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return Name(name, (), {})


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Provides modules of torch in which every name is an empty class."""

    def find_spec(  # noqa: D102
        self, name: str, *_: object
    ) -> importlib.machinery.ModuleSpec | None:
        if name.split(".")[0] not in ("torch", "torchvision", "torchaudio"):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:  # noqa: D102
        module.__getattr__ = lambda name: Name(name, (), {})  # type: ignore[method-assign]


def spikingjelly(recording: Path) -> list[float]:
    """Cut with SpikingJelly; return the same seconds."""
    try:
        import torch  # noqa: F401
        import torchaudio  # noqa: F401
    except ImportError:
        for name in [name for name in sys.modules if name.startswith("torch")]:
            del sys.modules[name]
        sys.meta_path.insert(0, StandIn())
    from spikingjelly.datasets import dvs128_gesture, utils

    folder = recording.parent / "spikingjelly"
    for label in range(11):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
    decoding = seconds(lambda: utils.load_aedat_v3(recording))
    whole = seconds(
        lambda: dvs128_gesture._split_aedat_files_to_np(
            "user01_led", recording, recording.with_suffix(".csv"), folder
        )
    )
    return [whole - decoding, whole - decoding, whole]


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def write_archive(path: Path, members: int) -> None:
    """Write a zip of recordings of 4,000 events in 40-bit words, like N-MNIST's."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(members):
            words = np.empty((4000, 5), np.uint8)
            words[:, :2] = rng.integers(0, 34, (4000, 2))
            stamps = np.sort(rng.integers(0, 300_000, 4000)) | rng.integers(0, 2, 4000) << 23
            words[:, 2:] = stamps.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
            archive.writestr(f"Train/{k % 10}/{k:05d}.bin", words.tobytes())


def archive(path: Path) -> list[float]:
    """Decode an archive, cut, and index; return the seconds."""
    from evreel import steps

    folder = path.parent / "archive"
    store, cut, table = folder / "store.h5", folder / "cut.tsv", folder / "samples.tsv"
    pattern, labels = "Train/{label}/*.bin", [str(k) for k in range(10)]

    def work() -> None:
        steps.events(path, store, archive=steps.MemberSettings(members=pattern), sensor="34x34")
        steps.cut(store, cut, members=pattern, labels=labels)
        steps.splits(
            {"store": cut},
            table,
            steps.SplitsSettings(split={"seed": 0, "shares": {"train": 0.9, "test": 0.1}}),
        )
        steps.samples(store, cut, table, folder / "samples.h5", recording="store", labels=labels)

    return [seconds(work)]


SIDES = {"ours": ours, "loop": loop, "spikingjelly": spikingjelly, "archive": archive}


def measured(side: str, path: Path, python: str = sys.executable) -> list[float]:
    """Return the seconds of one side in its own process, without its imports."""
    run = subprocess.run(
        [python, __file__, "--side", side, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return [float(part) for part in run.stdout.splitlines()[-1].split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=4, help="rounds; the fastest counts")
    parser.add_argument("--peer-python", help="a Python that has spikingjelly")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(*SIDES[options.side](options.file))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recording = folder / "user01_led.aedat"
        write_aedat3(recording, options.events)
        write_labels(recording.with_suffix(".csv"), options.events)
        peer = "spikingjelly" if options.peer_python else "loop"
        best: dict[str, list[float]] = {}
        for side in ("ours", peer) * options.rounds:
            python = options.peer_python if side == "spikingjelly" else sys.executable
            times = measured(side, recording, python)
            best[side] = [min(two) for two in zip(times, best.get(side, times), strict=True)]
        print(
            f"{options.events} events, {GESTURES} samples, fastest of {options.rounds} rounds, ms\n"
        )
        print(f"| | ours | {peer} | {peer} / ours |\n|---|---|---|---|")
        for what, own, other in zip(("cut", "steps", "whole"), *best.values(), strict=True):
            print(f"| {what} | {own * 1e3:.1f} | {other * 1e3:.0f} | {other / own:.0f} |")
        many = folder / "many.zip"
        write_archive(many, options.members)
        [took] = measured("archive", many)
        print(
            f"\narchive of {options.members} members of 4,000 events: {took:.1f} s, "
            f"{options.members / took:.0f} per second"
        )


if __name__ == "__main__":
    main()
