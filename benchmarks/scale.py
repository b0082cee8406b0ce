"""Measure each step on recordings of 10 M, 100 M and 1 G events: time per event, and peak memory.

The recordings are of 1280×720 pixels with 20 M events/s, written piece by piece: 1 M random events,
denser in three places, over and over again, with a box and a polygon annotated in each 10 ms. Each
step runs in a process of its own, after all have run once on a short recording, so that none
compiles kernels. A peak is Linux's VmHWM. What is measured is kept in the folder, so that an
interrupted run goes on where it ended; a size that the disk has no room for is left out, and said.

An hour of such a recording has 72 G events: its row is extrapolated from the two longest ones.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.shapes import Annotations, Box, Polygon, Track
from evreel.events import Events, Sensor
from evreel.recordings.aedat4 import Aedat4Writer

SENSOR = Sensor(720, 1280)
EVENTS_PER_US = 20
FRAME_US = 10_000
PIECE = 1 << 20
SIZES = (10_000_000, 100_000_000, 1_000_000_000)
HOUR = 3_600_000_000 * EVENTS_PER_US
WARM_UP = 2 * PIECE
BYTES_PER_EVENT = 40
"""Room for all files of a recording, at most."""

Times = dict[str, dict[str, tuple[float, float]]]
"""Number of events → step → seconds and MB."""


def simulate(folder: Path, n: int) -> None:
    """Write a recording and its annotations."""
    rng = np.random.default_rng(0)
    height, width = SENSOR
    places = rng.integers(0, 3, PIECE)
    noise = rng.random(PIECE) < 0.3
    at = np.stack([rng.normal(c, height / 12, PIECE) for c in (0, 0)])
    x = np.where(noise, rng.integers(0, width, PIECE), at[0] + np.array([200, 640, 1000])[places])
    y = np.where(noise, rng.integers(0, height, PIECE), at[1] + np.array([200, 500, 350])[places])
    x, y = np.clip(x, 0, width - 1).astype("u2"), np.clip(y, 0, height - 1).astype("u2")
    p = rng.integers(0, 2, PIECE).astype("u1")
    with Aedat4Writer(folder / "r.aedat4", SENSOR, compression="lz4") as writer:
        for first in range(0, n, PIECE):
            rows = min(PIECE, n - first)
            t = np.arange(first, first + rows) // EVENTS_PER_US
            writer.write(Events(t, x[:rows], y[:rows], p[:rows], SENSOR))
    n_frames = -(-n // (EVENTS_PER_US * FRAME_US))
    box = np.array([[100.0, 100], [400, 300]])
    tent = np.array([[640.0, 300], [900, 600], [350, 650]])
    tracks = (
        Track(0, "box", tuple(Box(k, box + k % 200) for k in range(n_frames))),
        Track(1, "tent", tuple(Polygon(k, tent) for k in range(n_frames))),
    )
    write_video_xml(
        folder / "r.xml",
        Annotations(("box", "tent"), tracks),
        name="r",
        n_frames=n_frames,
        picture_shape=SENSOR,
    )


def acquire(folder: Path) -> None:
    steps.acquire(str(folder / "r.aedat4"), folder / "acquired.aedat4")


def events(folder: Path) -> None:
    steps.events(folder / "r.aedat4", folder / "r.h5")
    (folder / "acquired.aedat4").unlink(missing_ok=True)
    (folder / "r.aedat4").unlink()  # no step needs it any more


def clock(folder: Path) -> None:
    steps.clock(folder / "r.h5", folder / "r.tsv", steps.ClockSettings(window_us=FRAME_US))


def video(folder: Path) -> None:
    wide = folder / "wide.tsv"
    steps.clock(folder / "r.h5", wide, steps.ClockSettings(window_us=10 * FRAME_US))
    steps.video(folder / "r.h5", wide, folder / "r.mp4")


def annotate(folder: Path) -> None:
    steps.annotate(
        *(folder / "r.h5", folder / "r.tsv", folder / "slices.h5", folder / "r_bbox.npy"),
        steps.RegularWindows(window_us=50_000),
        rois=folder / "r.xml",
    )


def histogram(folder: Path) -> None:
    asked = steps.FeatureSettings(representation="histogram", window_us=FRAME_US)
    steps.features(folder / "r.h5", folder / "histogram.h5", asked)


def voxel_grid(folder: Path) -> None:
    asked = steps.FeatureSettings(
        representation="voxel_grid", parameters={"bins": 5}, count=2_000_000
    )
    steps.features(folder / "r.h5", folder / "voxel_grid.h5", asked)


def publish(folder: Path) -> None:
    steps.publish(
        *(folder / "r.h5", folder / "published.h5", folder / "published.json"),
        steps.PublishSettings(compression="portable"),
        threads=2,
    )
    (folder / "published.h5").unlink()


def preview(folder: Path) -> None:
    steps.preview(
        *(folder / "r.h5", folder / "preview.mp4", folder / "preview.jpg"),
        slices=folder / "slices.h5",
        clock=folder / "r.tsv",
    )


def summary(folder: Path) -> None:
    steps.summary(folder / "slices.h5", folder / "summary.tsv", clock=folder / "r.tsv")


def release(folder: Path) -> None:
    sources = {
        "train/events/r.h5": "r.h5",
        "train/slices/r.h5": "slices.h5",
        "train/slices/r_bbox.npy": "r_bbox.npy",
        "train/histogram/r.h5": "histogram.h5",
        "annotations/r.xml": "r.xml",
    }
    rows = [
        {"path": path, "source": str(folder / name), "id": "r", "split": "train"}
        for path, name in sources.items()
    ]
    steps.release_plan(rows, folder / "plan.tsv")
    about = steps.ReleaseSettings(name="r", version="1.0", licence="CC0-1.0", compression="fast")
    steps.release(folder / "plan.tsv", folder / "release", about, labels=["box", "tent"])


def verify(folder: Path) -> None:
    assert not steps.verify(folder / "release")


class Step(NamedTuple):
    """A step, what is to be said of how it was run, and the longest recording that it is run on."""

    run: Callable[[Path], None]
    how: str = ""
    most: int = SIZES[-1]


STEPS: dict[str, Step] = {
    "acquire": Step(acquire, "its hash"),
    "events": Step(events, "from AEDAT4, LZ4"),
    "clock": Step(clock),
    "video": Step(video, "all of it, a frame per 100 ms"),
    "annotate": Step(annotate),
    "histogram": Step(histogram, "features by time, 10 ms"),
    "voxel_grid": Step(voxel_grid, "features by count, 2 M events in 5 bins"),
    "publish": Step(publish, "events, portable", SIZES[-2]),
    "preview": Step(preview),
    "summary": Step(summary),
    "release": Step(release, "events, slices, histogram; fast"),
    "verify": Step(verify),
}


def run(name: str, folder: Path, n: int) -> tuple[float, float]:
    """Run a step in a new process; return its seconds, and its peak in MB."""
    command = [sys.executable, __file__, "--run", name, str(folder), str(n)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak_mb = json.loads(said.splitlines()[-1])
    return seconds, peak_mb


def measure(name: str, folder: Path, n: int) -> None:
    """Run a step in this process, and print its seconds and its peak in MB."""
    begin = time.perf_counter()
    simulate(folder, n) if name == "simulate" else STEPS[name].run(folder)
    seconds = time.perf_counter() - begin
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024 / 1e6
    print(json.dumps([seconds, peak]))


def measured(folder: Path, n: int, only: Sequence[str], found: Times, kept: Path | None) -> None:
    """Run the steps on a recording of n events that are not measured yet; remove it then."""
    times = found.setdefault(str(n), {})
    wanted = [name for name in only if STEPS[name].most >= n]
    if all(name in times for name in wanted):
        return
    here = folder / str(n)
    if not (here / "simulated").exists():
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir(parents=True)
        seconds, peak = run("simulate", here, n)
        (here / "simulated").touch()
        print(
            f"{n / 1e6:,.0f} M events were simulated in {seconds:.0f} s, {peak:.0f} MB", flush=True
        )
    for name in wanted:
        if name in times:
            continue
        seconds, peak = times[name] = run(name, here, n)
        print(f"{n / 1e6:8,.0f} M  {name:<11} {seconds:7.1f} s  {peak:6.0f} MB", flush=True)
        if kept is not None:
            kept.write_text(json.dumps(found), encoding="ascii")
    shutil.rmtree(here)


def extrapolated(times: Mapping[int, tuple[float, float]], n: int) -> float:
    """Return the seconds for n events, on the line through the two longest recordings."""
    (low, (before, _)), (high, (after, _)) = sorted(times.items())[-2:]
    return after + (n - high) * (after - before) / (high - low)


def table(found: Times) -> str:
    """Return what was measured as a table."""
    sizes = sorted(map(int, found))
    names = [name for name in STEPS if any(name in found[str(n)] for n in sizes)]
    label = [f"{n / 1e6:,.0f} M" for n in sizes]
    heads = ["step", *(f"ns per event, {n}" for n in label), *(f"MB, {n}" for n in label)]
    heads.append("h for 72 G, extrapolated")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in names:
        times = {n: found[str(n)][name] for n in sizes if name in found[str(n)]}
        cells = [f"{times[n][0] / n * 1e9:.1f}" if n in times else "" for n in sizes]
        cells += [f"{times[n][1]:.0f}" if n in times else "" for n in sizes]
        cells.append(f"{extrapolated(times, HOUR) / 3600:.1f}" if len(times) > 1 else "")
        how = f" ({STEPS[name].how})" if STEPS[name].how else ""
        lines.append(f"| {name}{how} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Times, path: Path) -> None:
    """Draw seconds and peaks over the number of events, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(11, 5), layout="constrained")
    sizes = sorted(map(int, found))
    for k, name in enumerate(STEPS):
        times = {n: found[str(n)][name] for n in sizes if name in found[str(n)]}
        for column, axes in enumerate(panels):
            look = {"color": f"C{k % 10}", "marker": "os^"[k // 10], "markersize": 4}
            axes.plot([*times], [each[column] for each in times.values()], label=name, **look)
        if len(times) > 1:
            ends = [max(times), HOUR]
            line = [extrapolated(times, n) for n in ends]
            panels[0].plot(ends, line, color=f"C{k % 10}", linestyle=":", linewidth=1)
    for axes, what in zip(
        panels, ("seconds (dotted: extrapolated)", "peak memory, MB"), strict=True
    ):
        axes.set(xscale="log", yscale="log", xlabel="events", ylabel=what)
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set_ylim(10, 10_000)
    panels[1].legend(ncols=2, fontsize="small", frameon=False)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=SIZES, help="numbers of events")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="in order")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir(), "evreel-scale"),
        help="for recordings, and what is measured; default: in TMPDIR",
    )
    parser.add_argument("--plot", type=Path, help="draw it, PNG")
    parser.add_argument("--again", action="store_true", help="forget what is measured")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        name, folder, n = options.run
        measure(name, Path(folder), int(n))
        return 0
    if options.again:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "measured.json"
    found: Times = json.loads(kept.read_text()) if kept.exists() else {}
    found = {n: {name: (s, mb) for name, (s, mb) in of.items()} for n, of in found.items()}
    measured(options.folder, WARM_UP, options.steps, {}, None)
    for n in sorted(options.events):
        free = shutil.disk_usage(options.folder).free
        if free < n * BYTES_PER_EVENT:
            need = n * BYTES_PER_EVENT / 1e9
            print(
                f"{n / 1e6:,.0f} M events are left out: {free / 1e9:.0f} of {need:.0f} GB are free"
            )
            continue
        measured(options.folder, n, options.steps, found, kept)
    print(f"\n{table(found)}")
    if options.plot is not None:
        plot(found, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
