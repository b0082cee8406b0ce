"""Damage AEDAT 4 files and read them: ``fuzz_aedat4.py FOLDER SEED ROUNDS``.

Whatever the bytes, reading ends in one of evreel's errors or in events that are inside the sensor
and in order. A process of its own, to be run with a timeout, so that a hang is a failure. The last
line of its output counts the outcomes.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from pathlib import Path

import lz4.frame
import numpy as np
import zstandard

from evreel.errors import RecordingError, UsageError
from evreel.events import Events, Imu, Triggers
from evreel.recordings.aedat4 import MAGIC, Aedat4Recording, Aedat4Writer
from evreel.recordings.open import STRICT, Reading
from support import random_events

TELLING = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    127,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
]
READINGS = (
    STRICT,
    Reading(on_damage="salvage"),
    STRICT,
    Reading("sort", "drop", "salvage"),
    Reading("sort", "drop"),
)
PACK = {
    "none": bytes,
    "lz4": lambda content: lz4.frame.compress(content, store_size=False),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
}


def original(folder: Path, compression: str) -> bytes:
    """Return a small file with every kind of packet that the writer writes, and a table."""
    events = random_events(260, sensor=(6, 8), stop_us=4_000, seed=1)
    path = folder / f"{compression}.aedat4"
    side = (Triggers, Imu)
    with Aedat4Writer(
        path,
        events.sensor,
        compression=compression,
        events_per_packet=60,
        side=side,
        t_offset=10**15,
    ) as writer:
        writer.write(events[:130])
        kinds = np.array([1, 2, 8])
        writer.write(Triggers(np.array([2, 5, 9]), np.array([1, 0, -1]), kinds.astype(np.int16)))
        axes = np.arange(6, dtype=np.float32).reshape(2, 3)
        writer.write(Imu(np.array([4, 8]), axes, axes, axes, np.zeros(2, np.float32)))
        writer.write(events[130:])
    return path.read_bytes()


def split(whole: bytes) -> tuple[bytes, list[tuple[int, bytes]], bytes]:
    """Return an uncompressed file's header, packets as (stream, content), and table."""
    at = len(MAGIC) + 4 + struct.unpack_from("<I", whole, len(MAGIC))[0]
    header, packets = whole[:at], []
    (table_at,) = struct.unpack_from("<q", whole, len(MAGIC) + 40)
    while at < table_at:
        stream, size = struct.unpack_from("<ii", whole, at)
        packets.append((stream, whole[at + 8 : at + 8 + size]))
        at += 8 + size
    return header, packets, whole[table_at:]


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Return data with a few bits flipped, numbers replaced, or parts cut, doubled or mixed."""
    new = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(new) + 1))
        other = int(rng.integers(0, len(new) + 1))
        length = int(rng.integers(1, 40))
        kind = int(rng.integers(0, 8))
        if kind <= 1 and at < len(new):
            new[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            new[at : at + length] = rng.bytes(length)
        elif kind == 3:
            size = int(rng.choice([1, 2, 4, 8]))
            number = int(rng.choice(TELLING)) & (1 << 8 * size) - 1
            new[at - at % size : at - at % size + size] = number.to_bytes(size, "little")
        elif kind == 4:
            del new[at : at + length]
        elif kind == 5:
            new[at:at] = new[other : other + length]
        elif kind == 6:
            new[at : at + length] = new[other : other + length]
        else:
            del new[at:]
    return bytes(new)


def rebuilt(
    rng: np.random.Generator, parts: tuple[bytes, list[tuple[int, bytes]], bytes], compression: str
) -> bytes:
    """Return a file, well framed and packed, in which the content of a packet or table is damaged.

    Damage below the compression is seldom met otherwise: it stops the unpacking.
    """
    header, packets, table = parts
    victim = int(rng.integers(-1, len(packets)))
    body = b""
    for k, (stream, content) in enumerate(packets):
        packed = PACK[compression](damaged(rng, content) if k == victim else content)
        body += struct.pack("<ii", stream, len(packed)) + packed
    new = bytearray(header)
    number = {"none": 0, "lz4": 1, "zstd": 3}[compression]
    struct.pack_into("<i", new, len(MAGIC) + 32, number)
    struct.pack_into("<q", new, len(MAGIC) + 40, len(header) + len(body) if victim < 0 else -1)
    return bytes(new) + body + (PACK[compression](damaged(rng, table)) if victim < 0 else b"")


def outcome(path: Path, limits: tuple[int | None, int | None], reading: Reading) -> str:
    """Return how reading ends; raise where it ends in any other way than it may."""
    try:
        with Aedat4Recording(path, reading=reading) as recording:
            last, n = 0, 0
            for batch in recording.batches(*limits):
                if isinstance(batch, Events):
                    checked = Events(batch.t, batch.x, batch.y, batch.p, recording.sensor)
                    if checked.t[0] < last:
                        raise ValueError(f"t={checked.t[0]} after t={last}")
                    last, n = int(checked.t[-1]), n + len(checked)
            if not 0 <= recording.repairs.get("damaged_bytes", 0) <= path.stat().st_size:
                raise ValueError(f"counts that can't be: {recording.repairs}")
    except RecordingError as error:
        if error.offset is None or not 0 <= error.offset <= path.stat().st_size:
            raise ValueError(f"an error without a place in the file: {error}") from error
        return "refused"
    except UsageError:
        return "refused"
    return "all read" if n == 260 else "part read"


def main(folder: str, seed: str, rounds: str) -> None:
    """Read `rounds` damaged files for each compression."""
    rng = np.random.default_rng(int(seed))
    path = Path(folder) / "damaged.aedat4"
    parts = split(original(Path(folder), "none"))
    counts: Counter[str] = Counter()
    for compression in PACK:
        whole = original(Path(folder), compression)
        for k in range(int(rounds)):
            if k % 8 == 0:
                new = MAGIC + rng.bytes(int(rng.integers(0, 4_000)))
            elif k % 8 < 4:
                new = damaged(rng, whole)
            else:
                new = rebuilt(rng, parts, compression)
            path.write_bytes(new)
            limits = (None, None) if k % 3 else (500, 2_000)
            counts[outcome(path, limits, READINGS[k % len(READINGS)])] += 1
    sys.stdout.write(" ".join(f"{name.replace(' ', '_')}={n}" for name, n in counts.items()) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
