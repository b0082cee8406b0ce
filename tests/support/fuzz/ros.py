"""ROS bags of every kind, with events one by one and in packets, and side streams."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from support.fuzz.damage import Original
from support.writers import prophesee
from support.writers import ros as made

SIZE = (48, 40)
NAME = "damaged.bag"


def originals() -> list[Original]:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, 60)).tolist()
    x, y, p = (rng.integers(0, n, 60).tolist() for n in (*SIZE, 2))
    start = made.START_S * 10**9
    rows = [(start + 1_000 * t[k] + k, x[k], y[k], p[k]) for k in range(60)]
    topic = "/dvs/events"
    arrays = [made.array(rows[k : k + 20], SIZE) for k in range(0, 60, 20)]
    side = [made.image(start), made.imu(start), made.time(start)]
    words = prophesee.ENCODERS["3.0"].encode([(t[k], x[k], y[k], p[k]) for k in range(60)])
    half = len(words) // 2
    packets = [
        made.packet(prophesee.packed("3.0", part), start, SIZE, topic=topic)
        for part in (words[:half], words[half:])
    ]
    mono = [
        (k * 100 | x[k] << 32 | y[k] << 48 | p[k] << 63).to_bytes(8, "little") for k in range(60)
    ]
    packed = made.packet(b"".join(mono), start, SIZE, encoding="mono", topic=topic)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [
            made.bag1(folder / "none.bag", arrays + side, chunk=1_500),
            made.bag1(folder / "lz4.bag", arrays + side, "lz4"),
            made.bag1(folder / "bz2.bag", [packed], "bz2"),
            made.mcap(folder / "plain.mcap", packets + side, chunked=False),
            made.mcap(folder / "loose.mcap", arrays, summary=False, checksums=False),
            made.mcap(folder / "zstd.mcap", arrays + side, "zstd"),
            made.bag2(folder / "db3", arrays + side, "sqlite3"),
            made.bag2(folder / "packed", arrays, "sqlite3", "message"),
        ]
        return [
            Original(file.read_bytes(), 16, NAME, has_bytes=file.suffix != ".db3") for file in files
        ]
