"""Damage RAW and DAT files and read them: ``fuzz_prophesee.py [FILES [SEED]]``.

Whatever the bytes, reading ends in one of evreel's errors, with a place in the file, or in events
that are inside the sensor and in order; salvage gives every event that the strict reading gave
before the damage. To be run in a process with a timeout, so that a hang is a failure. The last
line of its output counts the outcomes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from evreel.errors import RecordingError, UnknownFormatError
from evreel.events import Events, Sensor
from evreel.recordings import open_recording
from evreel.recordings.open import Reading
from support.fuzz.aedat4 import damaged
from support.writers import prophesee as made

SIZE = (48, 40)
READINGS = (
    Reading(),
    Reading(on_damage="salvage"),
    Reading(on_damage="salvage", on_disorder="sort", on_out_of_bounds="drop"),
)


def originals() -> list[tuple[bytes, int]]:
    """Return small files with everything that the readers know, and where their words begin."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, 80)).tolist()
    x, y, p = (rng.integers(0, n, 80).tolist() for n in (SIZE[0] - 4, SIZE[1], 2))
    rows = []
    for k in range(80):
        rows += [(t[k], x[k] + j, y[k], p[k]) for j in range(1 + 3 * (k % 5 == 0))]
        if k % 20 == 7:
            rows.append((t[k], k % 16, k % 2))
    files = []
    for version, encoder in made.ENCODERS.items():
        words = encoder.encode(rows)
        bits = 8 * made.BYTES[version]
        words[30:30] = [0xE << bits - 4 | 20, 0xF << bits - 4]
        for legacy in (False, True) if version == "2.1" else (False,):
            content = made.raw(version, words, SIZE, legacy)
            files.append((content, len(content) - len(words) * made.BYTES[version]))
    events = [row for row in rows if len(row) == 4]
    for version in (1, 2):
        content = made.dat(events, SIZE, version)
        files.append((content, len(content) - 8 * len(events)))
    return files


def read(
    path: Path,
    reading: Reading,
    limits: tuple[int | None, int | None],
    sensor: Sensor | None = None,
) -> tuple[int, bool]:
    """Return how many events came, and whether an error ended them; raise where a rule is broken.

    An error must tell a byte of the file.
    """
    last, n = None, 0
    try:
        with open_recording(path, sensor=sensor, reading=reading) as recording:
            for batch in recording.batches(*limits):
                if isinstance(batch, Events):
                    checked = Events(batch.t, batch.x, batch.y, batch.p, recording.sensor)
                    if last is not None and checked.t[0] < last:
                        raise ValueError(f"t={checked.t[0]} after t={last}")
                    last, n = int(checked.t[-1]), n + len(checked)
    except UnknownFormatError:
        raise
    except RecordingError as error:
        missing = "does not state the sensor's size" in str(error)
        if not missing and not (
            error.offset is not None and 0 <= error.offset <= path.stat().st_size
        ):
            raise ValueError(f"an error without a place in the file: {error}") from error
        return n, True
    return n, False


def outcome(path: Path, limits: tuple[int | None, int | None], sensor: Sensor | None = None) -> str:
    """Return how reading ends; raise where it ends in any other way than it may."""
    try:
        (strict, refused), (salvaged, disordered), (mended, _) = (
            read(path, reading, limits, sensor) for reading in READINGS
        )
    except UnknownFormatError:
        return "unknown"
    if salvaged < strict or (mended < salvaged and limits == (None, None)):
        raise ValueError(f"{strict} events strictly, {salvaged} salvaged, {mended} mended")
    if not refused:
        return "read"
    return "salvaged" if not disordered else "mended" if mended else "refused"


def main(files: int = 500, seed: int = 1) -> Counter[str]:
    """Read so many damaged files; return how often each outcome came."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    whole = originals()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.raw"
        for k in range(files):
            new, start = whole[k % len(whole)]
            if k % 7 == 0:
                new = new[:start] + rng.bytes(int(rng.integers(0, 600)))
            elif k % 7 == 1:
                new = damaged(rng, new)
            else:
                new = new[:start] + damaged(rng, new[start:])
            path.write_bytes(new)
            counts[outcome(path, (None, None) if k % 3 else (500, 2_000))] += 1
    return counts


if __name__ == "__main__":
    counted = main(*map(int, sys.argv[1:]))
    sys.stdout.write(" ".join(f"{name}={n}" for name, n in counted.items()) + "\n")
