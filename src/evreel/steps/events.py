"""From a recording to its events store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from evreel.errors import RecordingError, UsageError
from evreel.outputs import Progress, atomic, scratch_path, silent
from evreel.provenance import Provenance, sha256
from evreel.steps.common import LOG

if TYPE_CHECKING:
    from evreel.events import Events
    from evreel.files.events_store import EventsStore

Source: TypeAlias = "str | Path | EventsStore"
"""A recording or an events store by its path, or an events store that is open."""


def events(
    recording: str | Path,
    output: str | Path,
    *,
    crop: Sequence[int] | None = None,
    start_us: int | None = None,
    stop_us: int | None = None,
    max_pixel_hz: float | None = None,
    stream: int | None = None,
    sensor: str | None = None,
    swap_xy: bool = False,
    flip_x: bool = False,
    flip_y: bool = False,
    invert_polarity: bool = False,
    on_disorder: Literal["fail", "sort"] = "fail",
    on_out_of_bounds: Literal["fail", "drop"] = "fail",
    on_damage: Literal["fail", "salvage"] = "fail",
    n_events: int | None = None,
    members: str | None = None,
    leave_out: Sequence[str] = (),
    member_gib: float | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Decode a recording once, into an events store.

    Parameters
    ----------
    recording
        A recording of any format that `evreel.recordings.open_recording` reads; or, with
        `members`, an
        archive of many.
    output
        The events store, HDF5.
    crop
        (x0, y0, x1, y1) px: keep columns ``[x0, x1)`` and rows ``[y0, y1)`` of the turned sensor;
        the corner becomes pixel (0, 0).
    start_us, stop_us
        Keep events with a stamp in ``[start_us, stop_us)``, µs since the recording's first event.
    max_pixel_hz
        Remove the events of pixels that have more a second than this within what is kept.
    stream
        Number of the event stream, where the recording holds several.
    sensor
        Its size as ``WIDTHxHEIGHT`` px, such as ``346x260``; one that the recording states itself
        must be the same.
    swap_xy, flip_x, flip_y, invert_polarity
        As `evreel.filters.Orientation` takes them, before all else.
    on_disorder, on_out_of_bounds, on_damage
        As `evreel.recordings.open.Reading` takes them.
    n_events
        Events that the recording is known to have, before any is left out; None checks nothing.
    members
        Pattern of the archive's files that are recordings, as `evreel.samples.pattern.Pattern`
        takes it; they lie end to end in the store.
    leave_out
        Patterns of those among them that are left out all the same.
    member_gib
        The most that a member of an archive may have, 2**30 bytes; None takes 64.

    Returns
    -------
    What was changed or left out: name → count. The store carries it as ``repairs``.

    Raises
    ------
    RecordingError
        Where the recording is damaged, nothing is left of it, or it has not `n_events`.
    """
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from evreel.events import Events, Sensor
    from evreel.files import hdf5
    from evreel.files.events_store import EventsStoreWriter
    from evreel.filters import Crop, Orientation, hot_pixels, within
    from evreel.layout import EVENTS, LEFT_OUT
    from evreel.recordings import event_chunks, open_recording
    from evreel.recordings.open import Reading, Recording
    from evreel.timebase import FARTHEST

    begin, end = start_us or 0, FARTHEST if stop_us is None else stop_us
    if not 0 <= begin < end <= FARTHEST:
        raise UsageError(
            f"start_us={start_us}, stop_us={stop_us} is no time range within 0 to {FARTHEST} µs"
        )
    rectangle = None if crop is None else Crop(*crop)
    repairs = {"outside_time": 0, "outside_crop": 0, "hot_pixels": 0, "hot_pixel_events": 0}

    turn = Orientation(swap_xy, flip_x, flip_y, invert_polarity)

    def kept(batch: Events) -> Events:
        inside = turn.apply(within(batch, start_us, stop_us))
        return rectangle.apply(inside) if rectangle else inside

    hot = None
    size = None if sensor is None else Sensor.parse(sensor)
    reading = Reading(on_disorder, on_out_of_bounds, on_damage)
    if members is not None and (start_us, stop_us, stream) != (None, None, None):
        raise UsageError("start_us, stop_us and stream are for one recording, not for an archive")

    @contextlib.contextmanager
    def opened() -> Iterator[Recording]:
        if members is None:
            with open_recording(recording, stream=stream, sensor=size, reading=reading) as source:
                yield source
            return
        from evreel.acquire import Limits
        from evreel.recordings.archive import ArchiveRecording

        with (
            scratch_path(Path(output).with_name("members")) as folder,
            ArchiveRecording(
                *(recording, members, folder),
                leave_out=leave_out,
                sensor=size,
                reading=reading,
                limits=Limits.of_gib(member_gib),
            ) as archive,
        ):
            yield archive

    parameters = {
        "crop": None if crop is None else list(crop),
        "start_us": start_us,
        "stop_us": stop_us,
        "max_pixel_hz": max_pixel_hz,
        "stream": stream,
        "sensor": sensor,
        **asdict(turn),
        **asdict(reading),
        **({} if members is None else {"members": members, "leave_out": list(leave_out)}),
    }
    inputs: dict[str, str] = {}
    made = Provenance("events", parameters, inputs, repairs)
    with opened() as source:
        if source.format == EVENTS.name:
            raise UsageError(
                "is an events store already",
                path=recording,
                hint="Decode the recording itself, with all options at once.",
            )
        if rectangle:
            rectangle.check(turn.sensor(source.sensor))
        kept_sensor = rectangle.sensor if rectangle else turn.sensor(source.sensor)
        if max_pixel_hz is not None:
            hot = hot_pixels(map(kept, event_chunks(source)), kept_sensor, max_pixel_hz)
            repairs["hot_pixels"] = int(np.count_nonzero(hot))

        with (
            ThreadPoolExecutor(1) as beside,
            atomic(output, inputs=[recording]) as (scratch,),
            hdf5.create(scratch, EVENTS, made) as file,
        ):
            writer = EventsStoreWriter(
                file,
                kept_sensor,
                source.t_offset,
                source.format,
                source.header,
                origin=(rectangle.y0, rectangle.x0) if rectangle else (0, 0),
            )
            digest = beside.submit(sha256, recording)
            for batch in source.batches():
                if isinstance(batch, Events):
                    in_time = within(batch, start_us, stop_us)
                    inside = kept(batch)
                    repairs["outside_time"] += len(batch) - len(in_time)
                    repairs["outside_crop"] += len(in_time) - len(inside)
                    batch = inside if hot is None else inside[~hot[inside.y, inside.x]]
                    repairs["hot_pixel_events"] += len(inside) - len(batch)
                writer.write(batch)
                progress(writer.n, None)
            repairs |= source.repairs
            found = writer.n + sum(repairs.get(name, 0) for name in LEFT_OUT)
            if n_events is not None and found != n_events:
                raise RecordingError(
                    f"holds {found} events; {n_events} are expected",
                    path=recording,
                    hint="Is it the right recording? Correct n_events where it is.",
                )
            if not writer.n:
                left_out = any(repairs.values())
                raise RecordingError(
                    "no event is left" if left_out else "holds no event",
                    path=recording,
                    hint="Look at crop, start_us, stop_us, max_pixel_hz and the on_… options."
                    if left_out
                    else "Is this the right recording, and the right stream?",
                )
            inputs["recording"] = digest.result()
            writer.finish(getattr(source, "members", ()))
    changed = ", ".join(f"{what} {n}" for what, n in repairs.items() if n)
    LOG.info("%s: %d events%s", Path(recording).name, writer.n, changed and f" ({changed})")
    return repairs


@contextlib.contextmanager
def as_store(
    source: Source, *, beside: str | Path, stream: int | None = None
) -> Iterator[EventsStore]:
    """Give an open events store for a store, or for a recording, which is decoded for the while.

    What is decoded lies in the scratch folder of the output `beside` which it is made.
    """
    from evreel.files.events_store import EventsStore
    from evreel.recordings.open import open_recording

    if isinstance(source, EventsStore):
        yield source
        return
    with open_recording(source, stream=stream) as opened:
        if isinstance(opened, EventsStore):
            yield opened
            return
    with scratch_path(Path(beside).with_name(f"{Path(source).stem}.h5")) as store:
        events(source, store, stream=stream)
        with EventsStore(store) as opened:
            yield opened
