"""Events as text: a line ``t,x,y,p`` for each, after a line with these names.

t is in whole µs on the recording's own clock, p is 1 for ON and 0 for OFF, and a line ends with a
line feed. If asked for, a comment before all others states the sensor's size, as
`evreel.recordings.text_layout` reads it: ``# sensor 346x260``. Most readers of csv skip comments
only if they are told to. A file whose name ends in ``.gz`` is compressed: it is a gzip file of
several members, which read as one.

Source: RFC 4180, but for its line ends; RFC 1952.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import deflate
import numpy as np

from evreel.events import Events
from evreel.exports.one_file import counted, events_of, made_of_parts
from evreel.outputs import Progress, silent
from evreel.recordings.open import Recording
from evreel.threads import Crew

HEADER = b"t,x,y,p\n"
_TASK_ROWS = 1 << 15
_GZIP_LEVEL = 1
"""From 1, fast: at 4, events take three times as long and 0.87 of the room."""


def write_csv(
    recording: Recording,
    path: Path,
    *,
    sized: bool = False,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write the events of a recording, as `one_file` says; gzip compresses ``….gz``.

    With `sized`, the sensor's size is in the first line.
    """
    is_packed = path.suffix.lower() == ".gz"
    size = recording.sensor.text
    lost: Counter[str] = Counter({} if sized else {f"size of the sensor, {size} px": 1})
    header = (f"# sensor {size}\n".encode() if sized else b"") + HEADER

    def make(part: Events) -> memoryview:
        text = _lines(part, recording.t_offset)
        return memoryview(deflate.gzip_compress(text, _GZIP_LEVEL)) if is_packed else text

    with path.open("wb") as file:
        file.write(deflate.gzip_compress(header, _GZIP_LEVEL) if is_packed else header)
        events = events_of(recording, lost)
        with closing(made_of_parts(events, _TASK_ROWS, make, crew, progress)) as parts:
            for _, text in parts:
                file.write(text)
    return counted(lost)


def _lines(events: Events, t_offset: int) -> memoryview:
    """Return the lines of events."""
    from evreel.kernels import digits

    out = np.empty(len(events) * digits.LINE_BYTES, np.uint8)
    size = digits.lines(events.t + t_offset, events.x, events.y, events.p, out)
    return out[:size].data
