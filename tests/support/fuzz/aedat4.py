"""AEDAT 4 in each compression, with every kind of packet that the writer writes, and a table."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import numpy as np
import zstandard

from evreel.events import Imu, Triggers
from evreel.recordings.aedat4 import MAGIC, Aedat4Recording, Aedat4Writer
from evreel.recordings.open import Reading
from support import random_events
from support.fuzz.damage import Original, damaged

PACK = {
    "none": (0, bytes),
    "lz4": (1, lambda content: lz4.frame.compress(content, store_size=False)),
    "zstd": (3, zstandard.ZstdCompressor(level=1).compress),
}


def written(path: Path, compression: str) -> bytes:
    """Write a file; return what is in it."""
    events = random_events(260, sensor=(6, 8), stop_us=4_000, seed=1)
    form = {"events_per_packet": 60, "side": (Triggers, Imu), "t_offset": 10**15}
    with Aedat4Writer(path, events.sensor, compression=compression, **form) as writer:
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


@dataclass(frozen=True)
class File(Original):
    """A file that its reader is given whatever its magic; `parts` are those of `split`."""

    compression: str = "none"
    parts: tuple[bytes, list[tuple[int, bytes]], bytes] = (b"", [], b"")

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        if turn % 8 == 0:
            return MAGIC + rng.bytes(int(rng.integers(0, 4_000)))
        return damaged(rng, self.content) if turn % 8 < 4 else self.rebuilt(rng)

    def rebuilt(self, rng: np.random.Generator) -> bytes:
        """Return it, well framed and packed, with the content of a packet or the table damaged.

        Damage below the compression is seldom met otherwise: it stops the unpacking.
        """
        header, packets, table = self.parts
        number, pack = PACK[self.compression]
        victim = int(rng.integers(-1, len(packets)))
        body = b""
        for k, (stream, content) in enumerate(packets):
            packed = pack(damaged(rng, content) if k == victim else content)
            body += struct.pack("<ii", stream, len(packed)) + packed
        new = bytearray(header)
        struct.pack_into("<i", new, len(MAGIC) + 32, number)
        struct.pack_into("<q", new, len(MAGIC) + 40, len(header) + len(body) if victim < 0 else -1)
        return bytes(new) + body + (pack(damaged(rng, table)) if victim < 0 else b"")

    def opened(self, path: Path, reading: Reading) -> Aedat4Recording:
        return Aedat4Recording(path, reading=reading)


def originals() -> list[File]:
    with tempfile.TemporaryDirectory() as folder:
        wholes = {name: written(Path(folder) / "whole.aedat4", name) for name in PACK}
    parts = split(wholes["none"])
    return [
        File(whole, name="damaged.aedat4", compression=name, parts=parts)
        for name, whole in wholes.items()
    ]
