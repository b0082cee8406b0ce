"""Time decoding AEDAT 3.1 and 2.0: evreel, evutils, and a loop over events like SpikingJelly's.

Reads chunk by chunk, as a step does, and to four columns t, x, y, p in memory, ours with two
threads. Ours also checks the events (order, sensor). Each side runs in its own process, in turn,
and the fastest of several rounds counts. evutils (GPL) must be installed for the interpreter that
``--peer-python`` names: give it its own environment.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PACKET_EVENTS = 1_000
DAVIS_HEAD = b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C\r\n"
V3_HEAD = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def write_aedat2(path: Path, n: int) -> None:
    """Write a DAVIS240 file in which every tenth word is an IMU word."""
    rng = np.random.default_rng(0)
    words = np.empty((n, 2), ">u4")
    x, y, p = rng.integers(0, 240, n), rng.integers(0, 180, n), rng.integers(0, 2, n)
    words[:, 0] = np.where(np.arange(n) % 10 == 9, 1 << 31 | 3 << 10, y << 22 | x << 12 | p << 11)
    words[:, 1] = np.sort(rng.integers(0, n, n))
    path.write_bytes(DAVIS_HEAD + words.tobytes())


def write_aedat3(path: Path, n: int) -> None:
    """Write a DVS128 file of packets of a thousand events."""
    rng = np.random.default_rng(0)
    events = np.empty((n, 2), "<u4")
    x, y, p = rng.integers(0, 128, n), rng.integers(0, 128, n), rng.integers(0, 2, n)
    events[:, 0] = x << 17 | y << 2 | p << 1 | 1
    events[:, 1] = np.sort(rng.integers(0, n, n))
    with path.open("wb") as file:
        file.write(V3_HEAD)
        for at in range(0, n, PACKET_EVENTS):
            part = events[at : at + PACKET_EVENTS]
            file.write(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, len(part), len(part), len(part)))
            file.write(part.tobytes())


def ours(path: Path) -> int:
    """Decode chunk by chunk."""
    from evreel.recordings import event_chunks, open_recording

    with open_recording(path) as recording:
        return sum(map(len, event_chunks(recording)))


def ours_kept(path: Path) -> int:
    """Decode to four columns."""
    from evreel.recordings import open_recording, read_events

    with open_recording(path) as recording:
        return len(read_events(recording))


def evutils(path: Path) -> int:
    """Decode chunk by chunk with evutils."""
    from evutils.io import EventReader

    return sum(map(len, EventReader(str(path), n_events=1 << 17)))


def evutils_kept(path: Path) -> int:
    """Decode all at once with evutils."""
    from evutils.io import EventReader

    events = EventReader(str(path), mode="all", max_events=1 << 62, max_time=1 << 62).read_all()
    return len(events)


def loop_columns(path: Path) -> list[np.ndarray]:
    """Decode AEDAT 3.1 as SpikingJelly does: one turn of a Python loop per event."""
    t, x, y, p = [], [], [], []
    with path.open("rb") as file:
        while file.readline() != b"#!END-HEADER\r\n":
            pass
        while head := file.read(28):
            _, _, size, _, overflow, capacity, _, _ = struct.unpack("<hhiiiiii", head)
            body = file.read(capacity * size)
            for at in range(0, len(body), size):
                data = struct.unpack("I", body[at : at + 4])[0]
                stamp = struct.unpack("I", body[at + 4 : at + 8])[0]
                t.append(stamp | overflow << 31)
                x.append(data >> 17 & 0x7FFF)
                y.append(data >> 2 & 0x7FFF)
                p.append(data >> 1 & 1)
    return [np.array(column) for column in (t, x, y, p)]


def loop(path: Path) -> int:
    """Decode to four columns event by event."""
    return len(loop_columns(path)[0])


SIDES = {
    "ours": ours,
    "evutils": evutils,
    "ours, kept": ours_kept,
    "evutils, kept": evutils_kept,
    "loop": loop,
}


def measured(side: str, path: Path, python: str) -> tuple[float, int]:
    """Return the seconds that one side takes in its own process, and how many events."""
    run = subprocess.run(
        [python, __file__, "--side", side, "--file", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    seconds, n = run.stdout.split()
    return float(seconds), int(n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the fastest counts")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python that has evutils")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run = SIDES[options.side]
        if options.side != "loop":
            run(options.file)  # the first round pays for imports and compilation
        begin = time.perf_counter()
        n = run(options.file)
        print(time.perf_counter() - begin, n)
        return
    has_peer = subprocess.run([options.peer_python, "-c", "import evutils"], capture_output=True)
    if has_peer.returncode:
        print(f"evutils is skipped: {options.peer_python} does not have it (--peer-python)")
    print(f"{options.events} words, fastest of {options.rounds} rounds in turn, ms\n")
    print("| format | side | ms | of ours | events |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("AEDAT 3.1", write_aedat3), ("AEDAT 2.0", write_aedat2)):
            path = Path(folder) / f"{name[-3]}.aedat"
            write(path, options.events)
            sides = [
                side
                for side in SIDES
                if side != "loop" and not (has_peer.returncode and side.startswith("evutils"))
            ]
            least: dict[str, tuple[float, int]] = {}
            for _ in range(options.rounds):
                for side in sides:
                    python = options.peer_python if side.startswith("evutils") else sys.executable
                    got = measured(side, path, python)
                    least[side] = min(got, least.get(side, got))
            if name == "AEDAT 3.1":  # a tenth of the events, once: the loop takes seconds
                write(path, options.events // 10)
                seconds, n = measured("loop", path, sys.executable)
                least["loop, 10 × a tenth, kept"] = 10 * seconds, 10 * n
            for side, (seconds, n) in least.items():
                ratio = seconds / least["ours, kept" if side.endswith("kept") else "ours"][0]
                print(f"| {name} | {side} | {seconds * 1e3:.0f} | {ratio:.1f} | {n} |")


if __name__ == "__main__":
    main()
