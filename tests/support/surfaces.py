"""What surfaces of one fixed input come to, for comparisons between processors."""

from __future__ import annotations

import hashlib

from evreel.representations import create, tensor
from evreel.windows import Duration
from support import random_events

_WITH_EXP_OR_LOG = ("exponential_surface", "tore", "averaged_timesurface")


def digests() -> list[str]:
    """Return the SHA-256 of the frames of each representation that takes an exp or a log."""
    events = random_events(1_000, (6, 8))
    windows = Duration(30_000).plan(events.t_stop_us, events.t.searchsorted)
    made = [tensor(create(name), events, windows) for name in _WITH_EXP_OR_LOG]
    return [hashlib.sha256(frame.tobytes()).hexdigest() for frame in made]
