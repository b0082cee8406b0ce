"""Damage files of Event Stream and 40-bit events: ``fuzz_event_stream.py [FILES [SEED]]``.

What has to hold is what `fuzz_prophesee` says. To be run in a process with a timeout, so that a
hang is a failure. The last line of its output counts the outcomes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from evreel.events import Sensor
from support.fuzz.aedat4 import damaged
from support.fuzz.prophesee import outcome
from support.writers import aer40 as writers_aer40
from support.writers import event_stream as made

SIZE = (48, 40)
HEAD_BYTES = 20


def originals() -> list[tuple[bytes, int, str]]:
    """Return small files with everything that the readers know, where their events begin, names."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, 80)).tolist()
    x, y, p, crossing = (rng.integers(0, n, 80).tolist() for n in (*SIZE, 2, 2))
    rows = list(zip(t, x, y, p, strict=True))
    dvs = made.stream(made.DVS, rows, SIZE)
    dvs += b"\xfe" * 5 + dvs[HEAD_BYTES:]
    atis_rows = [(*row, kind) for row, kind in zip(rows, crossing, strict=True)]
    atis = made.stream(made.ATIS, atis_rows, SIZE)
    atis += b"\xfc" * 5 + atis[HEAD_BYTES:]
    aer40 = writers_aer40.aer40(rows, most=1 << 13)
    return [(dvs, HEAD_BYTES, "r.es"), (atis, HEAD_BYTES, "r.es"), (aer40, 0, "r.bin")]


def main(files: int = 500, seed: int = 1) -> Counter[str]:
    """Read so many damaged files; return how often each outcome came."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    whole = originals()
    with tempfile.TemporaryDirectory() as folder:
        for k in range(files):
            new, start, name = whole[k % len(whole)]
            path = Path(folder) / name
            if k % 7 == 0:
                new = new[:start] + rng.bytes(int(rng.integers(1, 600)))
            elif k % 7 == 1:
                new = damaged(rng, new)
            else:
                new = new[:start] + damaged(rng, new[start:])
            path.write_bytes(new)
            sensor = None if start else Sensor(SIZE[1], SIZE[0])
            counts[outcome(path, (None, None) if k % 3 else (500, 2_000), sensor)] += 1
    return counts


if __name__ == "__main__":
    counted = main(*map(int, sys.argv[1:]))
    sys.stdout.write(" ".join(f"{name}={n}" for name, n in counted.items()) + "\n")
