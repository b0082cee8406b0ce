"""Time decoding Prophesee's RAW (EVT 2.0, EVT 3.0) and DAT to columns: evreel, faery and evt3.

All sides end with four columns t, x, y, p in memory, one array each; ours also checks the events
(order, sensor, polarity). Also, one pass over the events that keeps none of them, as in the step
``events``: decoding alone, without the memory of all columns. Each side runs in its own process, in
turn, and the fastest of several rounds counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evreel.recordings import event_chunks, open_recording, read_events

WIDTH, HEIGHT = 1280, 720
HEADER = "% evt {0}.0\n% format EVT{0};height=720;width=1280\n% geometry 1280x720\n% end\n"
DAT_HEADER = "% Data file containing CD events\n% Version 2\n% Width 1280\n% Height 720\n"


def edges(n: int) -> tuple[np.ndarray, ...]:
    """Return eight moving edges at 10 million events per second, as sorted columns."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, n // 10, n))
    x = (t // 2_000 + rng.integers(0, 8, n) * 160 + rng.normal(0, 2, n).astype(int)) % WIDTH
    y, p = rng.integers(0, HEIGHT, n), rng.integers(0, 2, n)
    order = np.lexsort((x, p, y, t))
    return t[order], x[order], y[order], p[order]


def evt2(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    high = t >> 6
    at = np.flatnonzero(np.diff(high, prepend=-1))
    words = p << 28 | (t & 63) << 22 | x << 11 | y
    return np.insert(words, at, 0x8 << 28 | high[at]).astype("<u4").tobytes()


def evt3(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    """Return one word per event, and words for time and row when they change."""
    words = [0x8 << 12 | t >> 12 & 0xFFF, 0x6 << 12 | t & 0xFFF, y, 0x2 << 12 | p << 11 | x]
    later = np.diff(t, prepend=-1) != 0
    stated = [np.diff(t >> 12, prepend=-1) != 0, later, np.diff(y, prepend=-1) != 0]
    return np.stack(words, 1)[np.stack([*stated, x >= 0], 1)].astype("<u2").tobytes()


def evt3_vectors(n: int) -> bytes:
    """Return words of half vectors of 32 pixels, with 16 events each, and half single events."""
    rng = np.random.default_rng(0)
    k = n // 17 * 2
    t = np.sort(rng.integers(0, n // 10, k))
    x, p = rng.integers(0, WIDTH // 32, k) * 32, rng.integers(0, 2, k) << 11
    mask = rng.integers(0, 1 << 12, (2, k))
    words = [0x8 << 12 | t >> 12 & 0xFFF, 0x6 << 12 | t & 0xFFF, rng.integers(0, HEIGHT, k)]
    vector = rng.random(k) < 0.5
    words += [np.where(vector, 0x3 << 12, 0x2 << 12) | p | x, 0x4 << 12 | mask[0]]
    words += [0x4 << 12 | mask[1], 0x5 << 12 | rng.integers(0, 1 << 8, k)]
    stated = [np.diff(t >> 12, prepend=-1) != 0, np.diff(t, prepend=-1) != 0, *[t >= 0] * 2]
    return np.stack(words, 1)[np.stack([*stated, *[vector] * 3], 1)].astype("<u2").tobytes()


def dat(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> bytes:
    return np.stack([t, x | y << 14 | p << 28], 1).astype("<u4").tobytes()


def write_recordings(folder: Path, n: int) -> dict[str, Path]:
    """Write the same edges in each format, and vectors; return name → file."""
    columns = edges(n)
    contents: dict[str, Callable[[], bytes]] = {
        "EVT 2.0": lambda: HEADER.format(2).encode() + evt2(*columns),
        "EVT 3.0, single events": lambda: HEADER.format(3).encode() + evt3(*columns),
        "EVT 3.0, vectors": lambda: HEADER.format(3).encode() + evt3_vectors(n),
        "DAT": lambda: DAT_HEADER.encode() + bytes([0x0C, 8]) + dat(*columns),
    }
    paths = {}
    for k, (name, content) in enumerate(contents.items()):
        paths[name] = folder / f"{k}.{'dat' if name == 'DAT' else 'raw'}"
        paths[name].write_bytes(content())
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
    columns = [
        np.concatenate([packet[name] for packet in packets]) for name in ("t", "x", "y", "on")
    ]
    return len(columns[0])


def faery_in_one_pass(path: Path) -> int:
    """Decode with faery, and keep no event."""
    import faery

    return sum(len(packet) for packet in faery.events_stream_from_file(path))


def evt3_to_columns(path: Path) -> int:
    """Decode to four columns with evt3."""
    import evt3

    events = evt3.decode_file(str(path))
    return len([events.t, events.x, events.y, events.p][0])


def evt3_in_one_pass(path: Path) -> int:
    """Decode with evt3, batch by batch, and keep no event."""
    import evt3

    return sum(len(events.t) for events in evt3.decode_file_batches(str(path)))


SIDES = {
    "ours": (ours_to_columns, ours_in_one_pass),
    "faery": (faery_to_columns, faery_in_one_pass),
    "evt3": (evt3_to_columns, evt3_in_one_pass),
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
    for peer in ("faery", "evt3"):
        if importlib.util.find_spec(peer):
            sides.append(peer)
        else:
            print(f"{peer} is not installed: skipped")
    print(
        f"{options.events} events, 1280x720, fastest of {options.rounds} rounds in turn: "
        "ms to columns / ms of one pass\n"
    )
    print("| format | " + " | ".join([*sides, *(f"{peer} : ours" for peer in sides[1:])]) + " |")
    print("|---" * (2 * len(sides)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_recordings(Path(folder), options.events).items():
            here = [side for side in sides if side != "evt3" or name.startswith("EVT 3.0")]
            rounds = [{side: measured(side, path) for side in here} for _ in range(options.rounds)]
            best = {side: [min(r[side][way] for r in rounds) for way in (0, 1)] for side in here}
            cells = [
                " / ".join(f"{s * 1e3:.0f}" for s in best[side]) if side in here else "-"
                for side in sides
            ]
            cells += [
                " / ".join(f"{b / a:.1f}" for a, b in zip(best["ours"], best[peer], strict=True))
                if peer in here
                else "-"
                for peer in sides[1:]
            ]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
