"""Two representations of one's own.

Use one as ``representation: path/to/own_representation.py:on_share`` in a config, or with
``--representation`` on the command line.
"""

from __future__ import annotations

import numpy as np

from evreel.representations import from_function


def on_share(events, height, width, *, least: int = 1):
    """Share of ON events in each pixel; 0 where it has fewer than `least` events."""
    counts = np.zeros((2, height, width), dtype=np.float32)
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    n = counts.sum(axis=0)
    return np.where(n >= least, counts[1] / np.maximum(n, 1), np.float32(0))


@from_function(channels=1, dtype="float32", unit="µs", reference="examples")
def latest(frame, events, window, *, gain: float = 1.0):
    """Time of each pixel's last event since the window's start."""
    frame[0, events.y, events.x] = gain * (events.t - window.start_us)
