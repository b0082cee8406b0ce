"""Time the steps of one recording with one thread and with several; their files must be the same.

Recordings: a simulated scene of four annotated objects at 346×260, as AEDAT 4 (LZ4), EVT 3.0 and
DAT; moving edges at 1280×720, as EVT 3.0 and DAT, over which four boxes go. Both are annotated in
each frame of 10 ms, at 1.1 and at 10 million events per second. Each side runs in a process of its
own, once to compile and to fill the disk's cache, then in several rounds, in turn; the fastest
counts.

*Two at once* is how much more two processes of one thread each do side by side than one alone: what
the machine's second core is worth for this job, since memory and caches are shared.

*Main* is the share of the processor's time, with the most threads, that the thread has which calls
the step: it reads annotations, hands out tasks, and writes; while it waits, it works on tasks, too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import memory
import numpy as np
import prophesee

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.shapes import Annotations, Box, Track
from evreel.provenance import sha256
from evreel.recordings import read_events
from evreel.threads import cores

FRAME_US = 10_000


def write_recordings(folder: Path, n: int) -> None:
    """Write all recordings, of about n events each, and what the steps need beside them."""
    memory.simulate(folder, n / memory.EVENTS_PER_SECOND)
    events = read_events(folder / "scene.aedat4")
    scene = tuple(getattr(events, name).astype(np.int64) for name in "txyp")
    for name, columns, size in (
        ("scene", scene, ("346", "260")),
        ("edges", prophesee.edges(n), ("1280", "720")),
    ):
        raw, dat = (
            head.replace("1280", size[0]).replace("720", size[1]).encode()
            for head in (prophesee.HEADER.format(3), prophesee.DAT_HEADER)
        )
        (folder / f"{name}.raw").write_bytes(raw + prophesee.evt3(*columns))
        (folder / f"{name}.dat").write_bytes(dat + bytes([0x0C, 8]) + prophesee.dat(*columns))
    for name, source in (("scene", "scene.aedat4"), ("edges", "edges.dat")):
        steps.events(folder / source, folder / f"{name}.h5")
        steps.clock(
            folder / f"{name}.h5",
            folder / f"{name}.clock.tsv",
            steps.ClockSettings(window_us=FRAME_US),
        )
    n_frames = -(-(int(columns[0][-1]) + 1) // FRAME_US)
    tracks = [
        Track(
            k,
            "edge",
            [box(frame, 30 * frame % 1000 + 60 * k, 150 * k) for frame in range(n_frames)],
        )
        for k in range(4)
    ]
    write_video_xml(
        folder / "edges.rois.xml",
        Annotations(labels=("edge",), tracks=tracks, tags=(), frames=range(n_frames)),
        name="edges",
        n_frames=n_frames,
        picture_shape=(720, 1280),
    )


def box(frame: int, left: float, top: float) -> Box:
    """Return a box of 100×80 px that an annotator drew in a frame."""
    return Box(frame, np.array([[left, top], [left + 100, top + 80]], dtype=float))


def events(name: str) -> Callable[[Path, int], None]:
    def run(folder: Path, threads: int) -> None:
        steps.events(folder / name, folder / "made" / "store.h5", threads=threads)

    return run


def annotate(name: str, tags: str | None = None) -> Callable[[Path, int], None]:
    def run(folder: Path, threads: int) -> None:
        steps.annotate(
            folder / f"{name}.h5",
            folder / f"{name}.clock.tsv",
            folder / "made" / "slices.h5",
            folder / "made" / "slices_bbox.npy",
            steps.RegularWindows(window_us=50_000),
            rois=folder / f"{name}.rois.xml",
            tags=None if tags is None else folder / tags,
            threads=threads,
        )

    return run


KINDS = {
    "histogram": steps.FeatureSettings(representation="histogram", window_us=FRAME_US),
    "voxel grid": steps.FeatureSettings(
        representation="voxel_grid", parameters={"bins": 5}, count=50_000
    ),
    "exponential surface": steps.FeatureSettings(
        representation="exponential_surface", window_us=FRAME_US
    ),
}


def features(store: str, *kinds: str) -> Callable[[Path, int], None]:
    def run(folder: Path, threads: int) -> None:
        wanted = {folder / "made" / f"{kind}.h5": KINDS[kind] for kind in kinds}
        steps.all_features(folder / store, wanted, threads=threads)

    return run


JOBS: dict[str, Callable[[Path, int], None]] = {
    **{
        f"events, {name}": events(name)
        for name in ("scene.aedat4", "scene.raw", "scene.dat", "edges.raw", "edges.dat")
    },
    "annotate, scene": annotate("scene", "scene.tags.xml"),
    "annotate, edges": annotate("edges"),
    **{
        f"features, {kind}, {name}": features(f"{name}.h5", kind)
        for name in ("scene", "edges")
        for kind in KINDS
    },
    "features, all three, scene": features("scene.h5", *KINDS),
}


def serve(job: str, folder: Path, threads: int) -> None:
    """Run a job, and once more for each line that is read; print what that takes, and its files."""
    made = folder / "made"
    made.mkdir()
    JOBS[job](folder, threads)  # compiles, and fills the disk's cache
    for _ in sys.stdin:
        for old in made.iterdir():
            old.unlink()
        clocks = time.perf_counter, time.process_time, time.thread_time
        began = [clock() for clock in clocks]
        JOBS[job](folder, threads)
        wall, cpu, main = (clock() - start for clock, start in zip(clocks, began, strict=True))
        took = {"s": wall, "cpu": cpu, "main": main, "mb": memory.peak_mb()}
        files = {path.name: sha256(path) for path in made.iterdir()}
        print(json.dumps({**took, "files": files}), flush=True)


class Server:
    """A process that runs a job with so many threads, in a folder of its own."""

    def __init__(self, job: str, folder: Path, threads: int) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        for path in [path for path in folder.iterdir() if path.is_file()]:
            (self._folder / path.name).symlink_to(path)
        command = [sys.executable, __file__, "--run", job, str(self._folder), str(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, **pipes)

    def ask(self) -> None:
        """Let it run the job once more."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, object]:
        """Wait until it has, and return what that took."""
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args} ends with {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """Wait until the process has ended."""
        self._process.communicate()
        shutil.rmtree(self._folder)


def best(
    job: str, folder: Path, threads: list[int], rounds: int
) -> tuple[dict[int, dict[str, float]], float]:
    """Return the fastest of several rounds for each number of threads, and of two at once.

    Raises
    ------
    SystemExit
        If files differ.
    """
    found: dict[int, list[dict[str, float]]] = {n: [] for n in threads}
    pairs = []
    files = set()
    servers = {n: Server(job, folder, n) for n in threads}
    pair = [servers[1], Server(job, folder, 1)]
    for server in (*servers.values(), pair[1]):  # until all are ready
        server.ask()
        server.answer()
    for _ in range(rounds):
        for n, server in servers.items():
            server.ask()
            measured = server.answer()
            files.add(json.dumps(measured.pop("files"), sort_keys=True))
            found[n].append(measured)
        for server in pair:
            server.ask()
        pairs.append(sum(server.answer()["s"] for server in pair) / 2)
    for server in (*servers.values(), pair[1]):
        server.close()
    if len(files) != 1:
        sys.exit(f"{job}: its files depend on the number of threads")
    return {n: min(measured, key=lambda one: one["s"]) for n, measured in found.items()}, min(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000, help="of each recording")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument(
        "--least", type=float, help="fail if 2 threads are less than so much faster"
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="jobs whose names have one of these in them"
    )
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        job, folder, threads = options.run
        serve(job, Path(folder), int(threads))
        return 0
    threads = [n for n in (1, 2, 4, 8, 16) if n <= max(2, cores())]
    slow = []
    with tempfile.TemporaryDirectory() as folder:
        write_recordings(Path(folder), options.events)
        print(f"{options.events / 1e6:g} M events; {cores()} cores; seconds\n")
        more = [head for n in threads[1:] for head in (f"{n} threads", f"1 / {n}")]
        heads = [
            "job",
            "1 thread",
            *more,
            "two at once",
            "CPU, 1",
            f"CPU, {threads[-1]}",
            "main",
            "MB",
        ]
        print(f"| {' | '.join(heads)} |")
        print("|---" * len(heads) + "|")
        for job in JOBS:
            if not any(part in job for part in options.only):
                continue
            found, beside = best(job, Path(folder), threads, options.rounds)
            one, most = found[1], found[threads[-1]]
            cells = [job, f"{one['s']:.2f}"]
            for n in threads[1:]:
                cells += [f"{found[n]['s']:.2f}", f"{one['s'] / found[n]['s']:.2f}"]
            cells += [
                f"{2 * one['s'] / beside:.2f}",
                f"{one['cpu']:.2f}",
                f"{most['cpu']:.2f}",
                f"{most['main'] / most['cpu']:.0%}",
            ]
            cells.append(f"{one['mb']:.0f} / {most['mb']:.0f}")
            print(f"| {' | '.join(cells)} |", flush=True)
            if options.least is not None and one["s"] / found[2]["s"] < options.least:
                slow.append(job)
    if slow:
        print(f"\nless than {options.least} times: {'; '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
