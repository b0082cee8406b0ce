"""Time decoding Event Stream to columns: evreel and faery; and small files of 40-bit events.

Both sides end with four columns t, x, y, p in memory, one array each; ours also checks the events
(sensor, order). Also, one pass over the events that keeps none of them, as in the step ``events``.
Each side runs in its own process, in turn, and the fastest of several rounds counts.

N-MNIST has 70,000 files of some 4,000 events: opening, reading and closing one is timed, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from evreel.events import Sensor
from evreel.recordings import event_chunks, open_recording, read_events

WIDTH, HEIGHT = 1280, 720
HEAD = b"Event Stream\x02\x00\x00"
LONGEST = {1: 127, 2: 63}  # µs of an overflow, by the kind of events
SMALL = Sensor(34, 34)
SMALL_EVENTS = 4_000


def columns(n: int, hz: float, sensor: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return events at random pixels and a given rate, as columns in time order."""
    rng = np.random.default_rng(0)
    height, width = sensor
    t = np.sort(rng.integers(0, int(n / hz * 1e6), n))
    return t, *(rng.integers(0, limit, n) for limit in (width, height, 2))


def event_stream(kind: int, n: int, hz: float) -> bytes:
    """Return a file of DVS (1) or ATIS events (2), of which half are threshold crossings."""
    t, x, y, p = columns(n, hz, (HEIGHT, WIDTH))
    overflows, first = np.divmod(np.diff(t, prepend=0), LONGEST[kind])
    rest = p if kind == 1 else p << 1 | np.arange(n) & 1
    body = np.stack([first << kind | rest, x & 0xFF, x >> 8, y & 0xFF, y >> 8], 1)
    # An ATIS byte may stand for up to three overflows; here, each has its own.
    overflow = 0xFF if kind == 1 else 0xFD
    at = np.repeat(5 * np.arange(n), overflows)
    content = np.insert(body.astype(np.uint8).ravel(), at, overflow)
    size = np.array([WIDTH, HEIGHT], "<u2").tobytes()
    return HEAD + bytes([kind]) + size + content.tobytes()


def aer40() -> bytes:
    """Return a file of 40-bit events of 0.3 s."""
    t, x, y, p = columns(SMALL_EVENTS, SMALL_EVENTS / 0.3, SMALL)
    return np.stack([x, y, p << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF], 1).astype(np.uint8).tobytes()


def write_recordings(folder: Path, n: int) -> dict[str, Path]:
    """Write streams of busy and of sparse scenes; return name → file."""
    contents = {
        "DVS, 10 M events/s": (1, 1e7),
        "DVS, 10,000 events/s": (1, 1e4),
        "ATIS, 10 M events/s, half crossings": (2, 1e7),
    }
    paths = {}
    for k, (name, (kind, hz)) in enumerate(contents.items()):
        paths[name] = folder / f"{k}.es"
        paths[name].write_bytes(event_stream(kind, n, hz))
    return paths


def ours_to_columns(path: Path) -> int:
    """Decode to four columns."""
    with open_recording(path) as recording:
        return len(read_events(recording))


def ours_in_one_pass(path: Path) -> int:
    """Decode, and keep no event."""
    with open_recording(path) as recording:
        return sum(len(chunk) for chunk in event_chunks(recording))


def faery_to_columns(path: Path) -> int:
    """Decode to four columns with faery."""
    import faery

    packets = list(faery.events_stream_from_file(path))
    whole = [np.concatenate([packet[name] for packet in packets]) for name in ("t", "x", "y", "on")]
    return len(whole[0])


def faery_in_one_pass(path: Path) -> int:
    """Decode with faery, and keep no event."""
    import faery

    return sum(len(packet) for packet in faery.events_stream_from_file(path))


SIDES = {
    "ours": (ours_to_columns, ours_in_one_pass),
    "faery": (faery_to_columns, faery_in_one_pass),
}


def measured(side: str, path: Path) -> list[float]:
    """Return the seconds of both ways of one side, in its own process, without imports."""
    run = subprocess.run(
        [sys.executable, __file__, "--side", side, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [float(part) for part in run.stdout.split()]


def small_files(folder: Path, times: int) -> list[float]:
    """Return the seconds that each opening and reading of a small file took."""
    path = folder / "small.bin"
    path.write_bytes(aer40())
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        with open_recording(path, sensor=SMALL) as recording:
            n = sum(len(chunk) for chunk in event_chunks(recording))
        seconds.append(time.perf_counter() - begin)
        if n != SMALL_EVENTS:
            raise RuntimeError(f"{n} events were read of {SMALL_EVENTS}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the fastest counts")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        for run in SIDES[options.side]:
            run(options.file)  # the first round pays for imports
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                run(options.file)
                seconds.append(time.perf_counter() - begin)
            print(min(seconds))
        return
    sides = ["ours"]
    if importlib.util.find_spec("faery"):
        sides.append("faery")
    else:
        print("faery is not installed: skipped")
    print(
        f"{options.events} events, 1280x720, fastest of {options.rounds} rounds in turn: "
        "ms to columns / ms of one pass\n"
    )
    print(
        "| Event Stream | " + " | ".join([*sides, *(f"{peer} : ours" for peer in sides[1:])]) + " |"
    )
    print("|---" * (2 * len(sides)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_recordings(Path(folder), options.events).items():
            rounds = [{side: measured(side, path) for side in sides} for _ in range(options.rounds)]
            best = {side: [min(r[side][way] for r in rounds) for way in (0, 1)] for side in sides}
            cells = [" / ".join(f"{s * 1e3:.0f}" for s in best[side]) for side in sides]
            cells += [
                " / ".join(f"{b / a:.1f}" for a, b in zip(best["ours"], best[peer], strict=True))
                for peer in sides[1:]
            ]
            print(f"| {name} | " + " | ".join(cells) + " |")
        first, *seconds = small_files(Path(folder), 2_000)
    print(
        f"\nA file of {SMALL_EVENTS} 40-bit events: {1e3 * min(seconds):.2f} ms at best, "
        f"{1e3 * statistics.median(seconds):.2f} ms median, {1e3 * first:.1f} ms the first"
    )


if __name__ == "__main__":
    main()
