"""RAW and DAT, with everything that their readers know."""

from __future__ import annotations

import numpy as np

from support.fuzz.damage import Original
from support.writers import prophesee as made

SIZE = (48, 40)


def originals() -> list[Original]:
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
    return [Original(content, start, "damaged.raw") for content, start in files]
