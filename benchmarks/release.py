"""Time a release: after one edited XML, from nothing on one core and on two, by compression.

    python benchmarks/release.py            20 M events, 20 minutes, 4 GB of disk
    python benchmarks/release.py --events 4000000 --only edit

Three tables:

- *edit*: one corner of one polygon is moved in the XML of a recording with two features, and the
  workflow runs again. Beyond `annotate` is all between its end and that of the last job; the start
  and end of Snakemake itself are apart, those of a run that has nothing to do.
- *build*: the whole workflow from nothing, of four recordings and of one, on one core and on two.
- *compression*: size, time to write, to read all and to read at random, of events, slices and
  features. Zstandard and bitshuffle-LZ4 need a plugin; the latter, with features as they are, is
  what `fast` releases.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import yaml
from memory import EVENTS_PER_SECOND, simulate

from evreel.files.repack import repack

ROOT = Path(__file__).parents[1]
CONFIG = {
    "recordings": "recordings.tsv",
    "labels": ["car", "person", "tree", "busy", "calm"],
    "video": {"window_us": 10_000},
    "slices": {"window_us": 50_000},
    "features": {
        "histogram": {"representation": "histogram", "window_us": 10_000},
        "voxels": {"representation": "voxel_grid", "count": 50_000, "parameters": {"bins": 5}},
    },
    "release": {"name": "timed", "version": "1.0", "licence": "CC0-1.0"},
}
N_RECORDINGS = 4
ROUNDS = 3
READS = 200


def data_set(folder: Path, events: int, recordings: int) -> Path:
    """Simulate recordings of that many events in all; write a table and a config."""
    rows = ["id\tsource\tmd5\tsplit\trois\ttags"]
    for k in range(recordings):
        made = folder / f"raw{k}"
        made.mkdir(parents=True)
        # Of different length each, so that no two are the same.
        simulate(made, events / recordings / EVENTS_PER_SECOND + k / 100)
        with (made / "scene.aedat4").open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        source, rois, tags = (made / f"scene.{end}" for end in ("aedat4", "rois.xml", "tags.xml"))
        for xml in (rois, tags):  # each is a task of its own
            text = xml.read_text(encoding="utf-8")
            own = text.replace("<id>1<", f"<id>{k}<", 1).replace(">scene<", f">scene{k}<", 1)
            xml.write_text(own, encoding="utf-8")
        rows.append(f"scene{k}\t{source}\t{md5}\ttrain\t{rois}\t{tags}")
    (folder / "recordings.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = CONFIG | {"recordings": str(folder / "recordings.tsv")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def run(folder: Path, cores: int) -> list[tuple[float, str]]:
    """Run the workflow on that many cores; return its lines, with the seconds since the start."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
            *("--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", str(cores)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # All that the jobs start, such as ffmpeg, too.
        preexec_fn=lambda: os.sched_setaffinity(0, range(cores)),
    ) as process:
        assert process.stdout is not None
        lines = [(time.perf_counter() - begin, line) for line in process.stdout]
    if process.returncode:
        sys.exit("".join(line for _, line in lines))
    return [*lines, (time.perf_counter() - begin, "")]


def end_of(lines: list[tuple[float, str]], rule: str) -> float:
    """Return when the last job of a rule ended."""
    return max(at for at, line in lines if re.match(rf"Finished jobid: .*Rule: {rule}\)", line))


def move_a_corner(xml: Path, by: float) -> None:
    """Move one corner of a polygon in the middle of the file."""
    text = xml.read_text(encoding="utf-8")
    middle = len(text) // 2
    corner = re.compile(r'(?<=points=")[0-9.]+').search(text, middle)
    assert corner is not None
    moved = f"{float(corner[0]) + by:.2f}"
    xml.write_text(text[: corner.start()] + moved + text[corner.end() :], encoding="utf-8")


def edit(folder: Path, events: int) -> None:
    """Print how long a run takes after one edit."""
    data_set(folder, events, 1)
    run(folder, 2)
    idle = min(run(folder, 2)[-1][0] for _ in range(ROUNDS))
    times = []
    for k in range(ROUNDS):
        move_a_corner(folder / "raw0" / "scene.rois.xml", 0.5 + k)
        lines = run(folder, 2)
        times.append((end_of(lines, "all") - end_of(lines, "annotate"), lines[-1][0]))
    beyond, whole = min(times)
    print(f"\n| after one moved corner, {events / 1e6:.0f} M events, two features | s |")
    print("|---|---|")
    print(f"| all but `annotate` and Snakemake's own start and end | {beyond:.1f} |")
    print(f"| the whole command | {whole:.1f} |")
    print(f"| the same command with nothing to do | {idle:.1f} |", flush=True)


def build(folder: Path, events: int) -> None:
    """Print how long the first build takes on one core and on two."""
    print("\n| first build | 1 core, s | 2 cores, s | ratio |")
    print("|---|---|---|---|")
    for n in (N_RECORDINGS, 1):
        data_set(folder / f"of{n}", events, n)
        seconds = []
        for cores in (1, 2):
            for name in ("results", ".snakemake"):
                shutil.rmtree(folder / f"of{n}" / name, ignore_errors=True)
            seconds.append(run(folder / f"of{n}", cores)[-1][0])
        what = f"{n} recording{'s' * (n > 1)}, {events / 1e6:.0f} M events in all"
        ratio = seconds[0] / seconds[1]
        print(f"| {what} | {seconds[0]:.1f} | {seconds[1]:.1f} | {ratio:.2f} |", flush=True)


def with_filters(source: Path, target: Path, options: Callable[[], dict[str, object]]) -> None:
    """Copy the columns, or the frames, of a file with other filters."""
    with h5py.File(source) as old, h5py.File(target, "w") as new:
        for name in columns_of(old):
            data = old[name]
            new.create_dataset(name, data=data[:], chunks=data.chunks, **options())


def columns_of(file: h5py.File) -> list[str]:
    """Return the data sets of a file that nearly all of its bytes are in."""
    names = [f"events/{name}" for name in ("t", "x", "y", "p", "roi")] + ["data"]
    return [name for name in names if name in file]


def size_of(path: Path) -> int:
    """Return the stored bytes of those data sets."""
    with h5py.File(path) as file:
        return sum(file[name].id.get_storage_size() for name in columns_of(file))


def read_all(path: Path) -> None:
    """Read those data sets, a chunk at a time."""
    with h5py.File(path) as file:
        for name in columns_of(file):
            for first in range(0, len(file[name]), file[name].chunks[0]):
                file[name][first : first + file[name].chunks[0]]


def read_some(path: Path) -> None:
    """Read rows at random: of events 1,000 in each place, of features one frame."""
    random = np.random.default_rng(0)
    with h5py.File(path) as file:
        for name in columns_of(file):
            rows = 1 if name == "data" else 1_000
            for first in random.integers(0, len(file[name]) - rows, READS).tolist():
                file[name][first : first + rows]


def least(function: Callable[[], None]) -> float:
    """Return the shortest time of several rounds."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


def compression(folder: Path, events: int) -> None:
    """Print size and times of each way to compress."""
    if not (folder / "results").exists():
        data_set(folder, events, 1)
        run(folder, 2)
    print("\n| file | compression | bytes | s to write | s to read all | ms at random |")
    print("|---|---|---|---|---|---|")
    for kind in ("events", "slices", "features/histogram", "features/voxels"):
        source, copy = folder / "results" / kind / "scene0.h5", folder / "copy.h5"

        def packed(level: int, source: Path = source, copy: Path = copy) -> None:
            copy.unlink(missing_ok=True)
            repack(source, copy, level=level)

        def plugged(
            options: Callable[[], dict[str, object]], source: Path = source, copy: Path = copy
        ) -> None:
            with_filters(source, copy, options)

        ways: dict[str, Callable[[], None]] = {
            f"gzip-{level}": lambda level=level, packed=packed: packed(level) for level in (1, 4, 6)
        }
        ways["shuffle, Zstandard-3"] = lambda plugged=plugged: plugged(
            lambda: {**hdf5plugin.Zstd(clevel=3), "shuffle": True}
        )
        ways["bitshuffle-LZ4"] = lambda plugged=plugged: plugged(
            lambda: {**hdf5plugin.Bitshuffle(cname="lz4"), "fletcher32": True}
        )
        found = {}
        for name, write in ways.items():
            seconds = least(write)
            some = least(lambda copy=copy: read_some(copy)) / READS * 1e3
            found[name] = size_of(copy), seconds, least(lambda copy=copy: read_all(copy)), some
        for name, (size, *times) in found.items():
            relative = size / found["gzip-4"][0]
            cells = " | ".join(f"{value:.2f}" for value in (relative, *times))
            print(f"| {kind} | {name} | {cells} |", flush=True)
        copy.unlink()


TABLES: dict[str, Callable[[Path, int], None]] = {
    "edit": edit,
    "compression": compression,
    "build": build,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--only", choices=TABLES, help="print one of the tables alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, table in TABLES.items():
            if options.only in (None, name):
                place = Path(folder) / ("build" if name == "build" else "one")
                table(place, options.events)


if __name__ == "__main__":
    main()
