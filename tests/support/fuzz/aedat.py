"""AEDAT 2.0 and 3.1, with everything that their readers know."""

from __future__ import annotations

import numpy as np

from support.fuzz.damage import Original
from support.writers import aedat


def originals() -> list[Original]:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 4_000, 60)).tolist()
    x, y, p = (rng.integers(0, n, 60).tolist() for n in (120, 120, 2))
    davis, dvs128 = b"", b""
    for k in range(60):
        davis += aedat.davis(t[k], x[k], y[k], p[k])
        dvs128 += aedat.dvs128(t[k], x[k], y[k], p[k])
        if k % 20 == 7:
            davis += aedat.davis_imu(t[k], (1, -2, 3, -4, 5, -6, 7))
            davis += aedat.davis_sample(t[k], k & 1, 512)
            davis += aedat.word(1 << 10 | 3, t[k])
            dvs128 += aedat.word(1 << 15, t[k])
    files = [(aedat.header2(aedat.DAVIS240), davis), (aedat.header2(aedat.DVS128), dvs128)]
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
        files.append((aedat.header3("Source 1: DAVIS240C"), body))
    return [Original(head + body, len(head), "damaged.aedat") for head, body in files]
