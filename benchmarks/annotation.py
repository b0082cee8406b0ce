"""Time labelling events beside aermanager, and the whole step.

*Arrays*: events in memory → each event's region. aermanager 0.3.0 lists every pixel of every region
and frame in a table, and joins the events with it; ``--peer-python`` is a Python that has it and
numpy 1.23. Without one, its method is re-expressed here in plain numpy, which is faster than the
joins of pandas that it makes. *Step*: events store and XML → slices and boxes on the disk. *Job*:
the job of aermanager's tutorial, for which it reports 26.7 s: a recording of 9.16 s, 916 frames of
10 ms, from the AEDAT 4 file to slices of 5,000 events.

All sides run in turn in one process, on one core; the fastest of several rounds counts. Compare
ratios, not times of different runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel import steps
from evreel.annotations.cvat import write_video_xml
from evreel.annotations.labelling import Annotator
from evreel.annotations.regions import Regions
from evreel.annotations.shapes import Annotations, Box, Polygon, Shape, Track, cos_sin
from evreel.events import Events, Sensor
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.timebase import FrameClock
from evreel.video.picture import Picture

SENSOR = Sensor(260, 346)
FRAMES, FRAME_US = 916, 10_000
DURATION_US = FRAMES * FRAME_US
CLOCK = FrameClock.regular(DURATION_US, FRAME_US)
SIZE_PX = 60
TUTORIAL_S, TUTORIAL_EVENTS = 26.7, 5_000_000
CHUNK = 1 << 20

PEER = """
import sys, time
import numpy as np
from aermanager.annotate_aedat import annotate_events
data = np.load(sys.argv[1])
events = np.zeros(len(data["t"]), dtype=[("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "?")])
for name in "xytp":
    events[name] = data[name]
begin = time.perf_counter()
annotate_events(events, sys.argv[2])
print(time.perf_counter() - begin)
"""


def scene(n_tracks: int, of: type[Box] | type[Polygon]) -> Annotations:
    """Return tracks that move slowly, each listed in every frame."""
    rng = np.random.default_rng(1)
    tracks = []
    limits = np.array([SENSOR.width, SENSOR.height]) - SIZE_PX
    for number in range(n_tracks):
        start, stop = rng.uniform(0, limits, (2, 2))
        corners = np.array([cos_sin(360 * share) for share in np.sort(rng.uniform(0, 1, 10))])
        shapes: list[Shape] = []
        for frame in range(FRAMES):
            at = np.round(start + (stop - start) * frame / FRAMES, 2)
            if of is Box:
                shapes.append(Box(frame, np.array([at, at + SIZE_PX])))
            else:
                shapes.append(Polygon(frame, np.round(at + (corners + 1) * SIZE_PX / 2, 2)))
        tracks.append(Track(number, "car", tuple(shapes)))
    return Annotations(("car",), tuple(tracks), frames=range(FRAMES), picture_shape=SENSOR)


def random_events(n: int) -> Events:
    """Return n uniform events of the whole duration."""
    rng = np.random.default_rng(0)
    return Events(
        np.sort(rng.integers(0, DURATION_US, n)),
        rng.integers(0, SENSOR.width, n, dtype=np.uint16),
        rng.integers(0, SENSOR.height, n, dtype=np.uint16),
        rng.integers(0, 2, n, dtype=np.uint8),
        SENSOR,
    )


def label(events: Events, annotations: Annotations, at: str) -> None:
    """Label events chunk by chunk, as the step does."""
    annotator = Annotator(Regions(annotations, CLOCK, Picture(SENSOR), clip=True), at=at)  # type: ignore[arg-type]
    for row in range(0, len(events), CHUNK):
        part = (getattr(events, name)[row : row + CHUNK] for name in "txyp")
        annotator.label(Events.trusted(*part, SENSOR))


def joined(events: Events, annotations: Annotations) -> npt.NDArray[np.int64]:
    """Label events as aermanager does: by a table of all pixels of all regions."""
    keys, rois = [], []
    for track in annotations.tracks:
        for shape in track.shapes:
            left, top, right, bottom = (int(side) for side in shape.bounds)
            y, x = np.mgrid[top : bottom + 1, left : right + 1]
            address = (shape.frame * SENSOR.height + y) * SENSOR.width + x
            keys.append(address.ravel())
            rois.append(np.full(address.size, track.id))
    key, roi = np.concatenate(keys), np.concatenate(rois)
    order = np.argsort(key, kind="stable")
    key, roi = key[order], roi[order]
    frame = np.interp(events.t, [events.t[0], events.t[-1]], [0, FRAMES - 1]).astype(np.int64)
    address = (frame * SENSOR.height + events.y) * SENSOR.width + events.x
    low, high = np.searchsorted(key, address), np.searchsorted(key, address, side="right")
    found = np.full(len(events), -1)
    held = high > low
    found[held] = roi[low[held]]
    return found


def aermanager(events: Events, xml: Path, python: str) -> float:
    """Return the seconds that aermanager's own function takes, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        columns = Path(folder) / "events.npz"
        np.savez(columns, **{name: getattr(events, name) for name in "txyp"})
        run = [python, "-c", PEER, str(columns), str(xml)]
        done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=600)
    return float(done.stdout.split()[-1])


def fastest(rounds: int, **sides: Callable[[], float | object]) -> dict[str, float]:
    """Return the least seconds of each side; one that returns a float has measured itself."""
    best = dict.fromkeys(sides, np.inf)
    for _ in range(rounds):
        for name, side in sides.items():
            begin = time.perf_counter()
            told = side()
            took = told if isinstance(told, float) else time.perf_counter() - begin
            best[name] = min(best[name], took)
    return best


def arrays(options: argparse.Namespace, folder: Path) -> None:
    """Print the table of labelling in memory."""
    print("| events | tracks | at | ms | M events/s | peer ms | peer / ours |")
    print("|---|---|---|---|---|---|---|")
    for n in (1_000_000, options.events):
        events = random_events(n)
        for tracks, of in ((4, Box), (50, Polygon)):
            drawn = scene(tracks, of)
            sides: dict[str, Callable[[], object]] = {
                at: partial(label, events, drawn, at) for at in ("frame", "event")
            }
            for side in sides.values():
                side()
            if n == 1_000_000 and tracks == 4:
                sides["peer"] = partial(joined, events, drawn)
                if options.peer_python:
                    xml = folder / "peer.xml"
                    write_video_xml(xml, drawn, name="peer", n_frames=FRAMES, picture_shape=SENSOR)
                    sides["peer"] = partial(aermanager, events, xml, options.peer_python)
            took = fastest(options.rounds, **sides)
            peer = took.pop("peer", None)
            for at, seconds in took.items():
                beside = "| |" if peer is None else f"{peer * 1e3:.0f} | {peer / seconds:.0f} |"
                rate = f"{seconds * 1e3:.0f} | {n / seconds / 1e6:.1f}"
                print(f"| {n} | {tracks} | {at} | {rate} | {beside}")


def whole_step(options: argparse.Namespace, folder: Path) -> None:
    """Print the table of the step, from store and XML to slices and boxes."""
    store, clock = folder / "store.h5", folder / "store.clock.tsv"
    write_recording(folder / "long.aedat4", random_events(options.events))
    steps.events(folder / "long.aedat4", store)
    steps.clock(store, clock, steps.ClockSettings(window_us=FRAME_US))
    print("\n| tracks | at | s | M events/s | of at: frame |\n|---|---|---|---|---|")
    for tracks, of in ((4, Box), (50, Polygon)):
        xml = folder / f"{tracks}.xml"
        about = {"name": "long", "n_frames": FRAMES, "picture_shape": SENSOR}
        write_video_xml(xml, scene(tracks, of), **about)  # type: ignore[arg-type]

        def annotate(at: str, xml: Path = xml) -> None:
            slices = folder / f"{at}.h5"
            slices.unlink(missing_ok=True)
            settings = steps.AnnotateSettings(at=at, clip=True)  # type: ignore[arg-type]
            cut = steps.RegularWindows(window_us=50_000)
            steps.annotate(store, clock, slices, folder / "b.npy", cut, settings, rois=xml)

        took = fastest(options.rounds, **{at: partial(annotate, at) for at in ("frame", "event")})
        for at, seconds in took.items():
            rate, share = options.events / seconds / 1e6, took["frame"] / seconds
            print(f"| {tracks} | {at} | {seconds:.2f} | {rate:.1f} | {share:.2f} |")


def tutorial(options: argparse.Namespace, folder: Path) -> None:
    """Print how long the tutorial's job takes, simulated: its own recording is not needed."""
    recording, xml = folder / "job.aedat4", folder / "job.xml"
    write_recording(recording, random_events(TUTORIAL_EVENTS))
    write_video_xml(xml, scene(4, Box), name="job", n_frames=FRAMES, picture_shape=SENSOR)

    def job() -> None:
        store, clock = folder / "job.h5", folder / "job.clock.tsv"
        steps.events(recording, store)
        steps.clock(store, clock, steps.ClockSettings(window_us=FRAME_US))
        cut = steps.RegularWindows(count=5_000)
        settings = steps.AnnotateSettings(clip=True)
        steps.annotate(store, clock, folder / "job_s.h5", folder / "j.npy", cut, settings, rois=xml)

    [took] = fastest(options.rounds, job=job).values()
    print(f"\nthe tutorial's job: {took:.2f} s, {TUTORIAL_S / took:.0f} × faster than it reports")


def write_recording(path: Path, events: Events) -> None:
    """Write an AEDAT 4 recording."""
    with Aedat4Writer(path, SENSOR, compression="lz4", t_offset=0, source="benchmark") as writer:
        for row in range(0, len(events), 10_000):
            part = (getattr(events, name)[row : row + 10_000] for name in "txyp")
            writer.write(Events.trusted(*part, SENSOR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the fastest counts")
    parser.add_argument("--peer-python", help="a Python that has aermanager")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        arrays(options, Path(name))
        whole_step(options, Path(name))
        tutorial(options, Path(name))


if __name__ == "__main__":
    main()
