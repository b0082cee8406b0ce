"""What writers of one file with the events of one recording share.

Such a writer takes an open recording, the file to make, and these:

========  =======================================================================================
crew      threads that compress; None: the calling one. Bytes do not depend on it
progress  told of events
note      function of what the layout cannot hold, which returns what the file says of its origin;
          None: it says nothing. Only writers of layouts with room for that take it
========  =======================================================================================

It reads the recording in bounded memory, and returns what the layout cannot hold: sentence → how
often. Times in the file are those of the recording's own clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import fields
from typing import Any, TypeVar

import h5py
import numpy as np

from evreel.errors import RecordingError
from evreel.events import Batch, Events, FrameTimes, Imu, Triggers, in_parts
from evreel.outputs import Progress
from evreel.recordings.open import Recording
from evreel.threads import Crew

Note = Callable[[Mapping[str, int]], str]
Made = TypeVar("Made")
Side = TypeVar("Side", Triggers, Imu)

NOTE = "evreel_export"
"""The root attribute of an HDF5 file that says what it was made from."""

NO_EDGES = "triggers that are neither a rising nor a falling edge"
_SIDES = {Triggers: "triggers", Imu: "IMU samples", FrameTimes: "frame times"}
_PARTS = "recordings or parts that lie end to end, of which names and own times are not kept"


def counted(lost: Counter[str]) -> dict[str, int]:
    """Return what occurred at least once, as plain numbers."""
    return {what: int(n) for what, n in lost.items() if n}


def events_of(
    recording: Recording,
    lost: Counter[str],
    keep: Mapping[type[Batch], Callable[[Any], None]] | None = None,
) -> Iterator[Events]:
    """Yield the events of a recording, and hand on or count the rest.

    Parameters
    ----------
    recording
        Read in one pass.
    lost
        Samples of side streams that nobody keeps are counted in it.
    keep
        Kind of side stream → function that takes a batch of it, on the times of the recording.
    """
    keep = keep or {}
    for batch in recording.batches():
        if isinstance(batch, Events):
            yield batch
        elif type(batch) in keep:
            keep[type(batch)](batch)
        else:
            lost[_SIDES[type(batch)]] += len(batch)
    lost[_PARTS] += len(getattr(recording, "members", ()))  # of a recording, known after the pass


def made_of_parts(
    events: Iterator[Events],
    rows: int,
    make: Callable[[Events], Made],
    crew: Crew | None,
    progress: Progress,
) -> Generator[tuple[Events, Made], None, None]:
    """Yield events, `rows` at a time and fewer at the end, each with what a crew makes of them.

    Close it when done.
    """
    crew = Crew() if crew is None else crew
    n = 0
    with closing(in_parts(events, rows)) as parts:
        for part, made in crew.ahead(lambda part: (part, make(part)), parts):
            yield part, made
            n += len(part)
            progress(n, None)


def check_size(recording: Recording, most: int, whose: str) -> None:
    """Raise if the sensor has more than `most` rows or columns, px.

    Parameters
    ----------
    whose
        Files of whom, as a message says it: ``"Metavision's files"``.

    Raises
    ------
    RecordingError
        If it has.
    """
    height, width = recording.sensor
    if max(height, width) > most:
        raise RecordingError(
            f"has a sensor of {width}x{height} px; {whose} hold up to {most}x{most}",
            path=recording.path,
            hint="Export it in another layout.",
        )


def check_times(events: Events, recording: Recording, whose: str) -> None:
    """Raise if events begin before 0 on a recording's own clock; `whose` as in `check_size`.

    Raises
    ------
    RecordingError
        If they do.
    """
    if len(events) and events.t[0] + recording.t_offset < 0:
        raise RecordingError(
            f"begins at t={events.t[0] + recording.t_offset} µs; {whose} hold no times before 0",
            path=recording.path,
            hint="Export it as dsec, csv or npz, which do; or only what is from 0 on, which evreel "
            f"events --start-us {-recording.t_offset} makes.",
        )


def since_0(batch: Side, recording: Recording, lost: Counter[str]) -> Side:
    """Return the samples of a side stream from 0 on, by a recording's own clock; count the rest."""
    kept = batch.t >= -recording.t_offset
    if kept.all():
        return batch
    lost[f"{_SIDES[type(batch)]} before time 0"] += int(np.count_nonzero(~kept))
    columns = {field.name: getattr(batch, field.name)[kept] for field in fields(batch)}
    return type(batch)(**columns)


def new_column(
    file: h5py.File,
    name: str,
    dtype: np.dtype[Any],
    rows: int,
    filter_: tuple[int, tuple[int, ...]] | None = None,
) -> h5py.Dataset:
    """Return a new growable data set of one dimension.

    Parameters
    ----------
    file
        The file.
    name
        Its path there.
    dtype
        Of a row.
    rows
        Of a chunk.
    filter_
        Number and parameters of its filter, with which whoever writes chunks compresses them.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((rows,))
    properties.set_fill_time(h5py.h5d.FILL_TIME_IFSET)
    properties.set_obj_track_times(False)
    if filter_ is not None:
        properties.set_filter(filter_[0], h5py.h5z.FLAG_OPTIONAL, filter_[1])
    folder, _, own = name.rpartition("/")
    group = file.require_group(folder or "/")
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple((0,), (h5py.h5s.UNLIMITED,))
    h5py.h5d.create(group.id, own.encode(), kind, space, properties)
    return file[name]


def write_note(file: h5py.File, note: Note | None, lost: Counter[str]) -> None:
    """Let an HDF5 file say what it was made from."""
    if note is not None:
        file.attrs[NOTE] = note(counted(lost))
