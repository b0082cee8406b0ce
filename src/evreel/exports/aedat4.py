"""Events, triggers and IMU samples as AEDAT 4, which DV, dv-processing and others read.

Packets are compressed by LZ4. A trigger has no channel there, only a type: those of other formats
become an external signal's rising or falling edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evreel.errors import EventsError, RecordingError
from evreel.events import Batch, Imu, Triggers
from evreel.exports.one_file import (
    NO_EDGES,
    check_size,
    check_times,
    counted,
    events_of,
    since_0,
)
from evreel.files.events_store import EventsStore
from evreel.outputs import Progress, silent
from evreel.recordings.aedat4 import Aedat4Writer
from evreel.recordings.aedat4.packets import SENSOR_LIMIT
from evreel.recordings.aedat4.side import edges
from evreel.recordings.open import Recording
from evreel.threads import Crew

_FORMAT = "aedat4"
_WHOSE = "AEDAT 4 files"
_RISING, _FALLING = 1, 2
_MOST_TYPE = 127
_NO_TYPE = "triggers whose type is not one of AEDAT 4"
_NO_CHANNEL = "channels of triggers"


def write_aedat4(
    recording: Recording,
    path: Path,
    *,
    crew: Crew | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Write the events, triggers and IMU samples of a recording, as `one_file` says.

    Raises
    ------
    RecordingError
        If the sensor has more than 32,768 rows or columns, an event is before 0, or more than a
        day passes between two events, which readers take for a reset of the clock.
    """
    check_size(recording, SENSOR_LIMIT, _WHOSE)
    lost: Counter[str] = Counter()
    source = recording.source_format if isinstance(recording, EventsStore) else recording.format
    n = 0
    with Aedat4Writer(
        path,
        recording.sensor,
        t_offset=recording.t_offset,
        side=(Triggers, Imu),
        crew=crew,
    ) as writer:

        def write(batch: Batch) -> None:
            with _fitting(recording):
                writer.write(batch)

        def mark(batch: Triggers) -> None:
            write(_typed(since_0(batch, recording, lost), source == _FORMAT, lost))

        def sample(batch: Imu) -> None:
            write(since_0(batch, recording, lost))

        for events in events_of(recording, lost, {Triggers: mark, Imu: sample}):
            check_times(events, recording, _WHOSE)
            write(events)
            n += len(events)
            progress(n, None)
    return counted(lost)


@contextmanager
def _fitting(recording: Recording) -> Iterator[None]:
    """Turn what the format cannot hold into an error that names the recording."""
    try:
        yield
    except EventsError as error:
        raise RecordingError(
            f"cannot be written as AEDAT 4: {error.problem}",
            path=recording.path,
            hint="Export it in another layout, or a part of it, which evreel events --start-us … "
            "--stop-us … makes.",
        ) from error


def _typed(batch: Triggers, has_types: bool, lost: Counter[str]) -> Triggers:
    """Return the triggers that the format can hold, with its types as their numbers.

    Parameters
    ----------
    has_types
        Whether their numbers are such types already; else these are channels, or of another format.
    """
    if has_types:
        kept = (batch.id >= 0) & (batch.id <= _MOST_TYPE) & (edges(batch.id) == batch.edge)
        lost[_NO_TYPE] += int(np.count_nonzero(~kept))
        return Triggers(batch.t[kept], batch.edge[kept], batch.id[kept])
    kept = batch.edge >= 0
    lost[NO_EDGES] += int(np.count_nonzero(~kept))
    lost[_NO_CHANNEL] += int(np.count_nonzero(batch.id[kept]))
    edge = batch.edge[kept]
    return Triggers(batch.t[kept], edge, np.where(edge == 1, _RISING, _FALLING).astype(np.int16))
