"""Damage AEDAT 2.0 and 3.1 files and read them: ``fuzz_aedat.py [FILES [SEED]]``.

Whatever the bytes, reading ends in one of evreel's errors, with a place in the file, or in events
that are inside the sensor and in order; with salvage in events that the strict reading gave too.
To be run in a process with a timeout, so that a hang is a failure. The last line of its output
counts the outcomes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from evreel.errors import RecordingError, UnknownFormatError, UsageError
from evreel.events import Events
from evreel.recordings import open_recording
from evreel.recordings.open import Reading
from support.fuzz.aedat4 import damaged
from support.writers import aedat

SALVAGE = Reading(on_damage="salvage", on_disorder="sort", on_out_of_bounds="drop")


def originals() -> list[bytes]:
    """Return small files with everything that the readers know."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 4_000, 60)).tolist()
    x, y, p = (rng.integers(0, n, 60).tolist() for n in (120, 120, 2))
    davis = aedat.header2(aedat.DAVIS240)
    dvs128 = aedat.header2(aedat.DVS128)
    for k in range(60):
        davis += aedat.davis(t[k], x[k], y[k], p[k])
        dvs128 += aedat.dvs128(t[k], x[k], y[k], p[k])
        if k % 20 == 7:
            davis += aedat.davis_imu(t[k], (1, -2, 3, -4, 5, -6, 7))
            davis += aedat.davis_sample(t[k], k & 1, 512)
            davis += aedat.word(1 << 10 | 3, t[k])
            dvs128 += aedat.word(1 << 15, t[k])
    files = [davis, dvs128]
    for capacity, padded in ((0, True), (3, True), (3, False)):
        body = aedat.packet(7, [bytes([1, *range(9)])], stamp_at=6)
        for k in range(0, 60, 12):
            rows = range(k, k + 12)
            events = [aedat.polarity(t[j], x[j], y[j], p[j], int(j % 9 > 0)) for j in rows]
            form = {"capacity": 12 + capacity, "padded": padded}
            body += aedat.packet(1, events, overflow=1, **form)
            body += aedat.packet(0, [aedat.special(t[k], kind) for kind in (2, 3, 4, 5)])
            body += aedat.packet(3, [aedat.imu(t[k], (1.0,) * 7)])
            body += aedat.packet(4, [aedat.imu(t[k], (1.0,) * 10)])
            body += aedat.packet(2, [aedat.aps_frame((t[k],) * 4, 3, 2)], stamp_at=8)
        files.append(aedat.header3("Source 1: DAVIS240C") + body)
    return files


def read(path: Path, reading: Reading, limits: tuple[int | None, int | None]) -> int:
    """Return the number of events; raise where one breaks a rule."""
    with open_recording(path, reading=reading) as recording:
        last, n = None, 0
        for batch in recording.batches(*limits):
            if isinstance(batch, Events):
                checked = Events(batch.t, batch.x, batch.y, batch.p, recording.sensor)
                if last is not None and checked.t[0] < last:
                    raise ValueError(f"t={checked.t[0]} after t={last}")
                last, n = int(checked.t[-1]), n + len(checked)
    return n


def outcome(path: Path, limits: tuple[int | None, int | None]) -> str:
    """Return how reading ends; raise where it ends in any other way than it may."""
    said = []
    for reading in (Reading(), SALVAGE):
        try:
            said.append(f"{read(path, reading, limits)}")
        except (UnknownFormatError, UsageError):
            return "unknown"
        except RecordingError as error:
            placed = error.offset is not None and 0 <= error.offset <= path.stat().st_size
            if not placed and "AEChip" not in str(error) and "sensor" not in str(error):
                raise ValueError(f"an error without a place in the file: {error}") from error
            said.append("refused")
    if said[0] == said[1]:
        return "refused" if said[0] == "refused" else "read"
    if said[0] != "refused":
        raise ValueError(f"strict reading gave {said[0]} events, salvage {said[1]}")
    return "salvaged"


def main(files: int = 500, seed: int = 1) -> Counter[str]:
    """Read so many damaged files; return how often each outcome came."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    whole = originals()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.aedat"
        for k in range(files):
            new = whole[k % len(whole)]
            head = new.index(b"#!END-HEADER\r\n") + 14 if b"END-HEADER" in new else None
            head = new.rindex(b"#\t<map/>\r\n") + 10 if head is None else head
            if k % 7 == 0:
                new = new[:head] + rng.bytes(int(rng.integers(0, 600)))
            elif k % 7 == 1:
                new = damaged(rng, new)
            else:
                new = new[:head] + damaged(rng, new[head:])
            path.write_bytes(new)
            counts[outcome(path, (None, None) if k % 3 else (500, 2_000))] += 1
    return counts


if __name__ == "__main__":
    counted = main(*map(int, sys.argv[1:]))
    sys.stdout.write(" ".join(f"{name}={n}" for name, n in counted.items()) + "\n")
