"""Event Stream and 40-bit events, with everything that their readers know."""

from __future__ import annotations

import numpy as np

from evreel.events import Sensor
from support.fuzz.damage import Original
from support.writers import event_stream as made
from support.writers.aer40 import aer40

SENSOR = Sensor(40, 48)
HEAD_BYTES = 20


def originals() -> list[Original]:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, 80)).tolist()
    size = (SENSOR.width, SENSOR.height)
    x, y, p, crossing = (rng.integers(0, n, 80).tolist() for n in (*size, 2, 2))
    rows = list(zip(t, x, y, p, strict=True))
    dvs = made.stream(made.DVS, rows, size)
    dvs += b"\xfe" * 5 + dvs[HEAD_BYTES:]
    atis_rows = [(*row, kind) for row, kind in zip(rows, crossing, strict=True)]
    atis = made.stream(made.ATIS, atis_rows, size)
    atis += b"\xfc" * 5 + atis[HEAD_BYTES:]
    return [
        Original(dvs, HEAD_BYTES, "damaged.es"),
        Original(atis, HEAD_BYTES, "damaged.es"),
        Original(aer40(rows, most=1 << 13), 0, "damaged.bin", SENSOR),
    ]
