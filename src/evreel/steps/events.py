"""From a recording to its events store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evreel.dataset.settings import AcquireSettings, EventsSettings, MemberSettings
from evreel.errors import RecordingError, SourceError, UsageError
from evreel.folders import SUFFIX, bag_of, folder_of, hint_of_bag, listing_of
from evreel.outputs import Progress, atomic, scratch_path, silent
from evreel.provenance import STEP_REVISIONS, Provenance, decoding, sha256, state
from evreel.steps.common import LOG, changed, hashed, named, unverified_note
from evreel.threads import Crew, checked_threads

if TYPE_CHECKING:
    from evreel.events import Events, Sensor
    from evreel.files.divided import Divided, EventsInMemory
    from evreel.files.events_store import EventsStore

Source: TypeAlias = "str | Path | EventsStore"
"""The path of a recording or an events store, or an open events store."""


def events(
    recording: str | Path,
    output: str | Path,
    settings: EventsSettings = EventsSettings(),
    *,
    sensor: str | None = None,
    format: str | None = None,  # noqa: A002
    n_events: int | None = None,
    sums: Mapping[str, str | None] = MappingProxyType({}),
    archive: MemberSettings = MemberSettings(),
    limits: AcquireSettings = AcquireSettings(),
    threads: int | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Decode a recording once, into an events store.

    Parameters
    ----------
    recording
        A recording of any format that `evreel.recordings.open_recording` reads; or an archive or a
        folder of several, whose members `archive` names.
    output
        The events store, HDF5.
    settings
        What is kept, how axes are turned, and how events and files that break a rule are handled.
        Time ranges count from the recording's first event; the crop is of the turned sensor.
    sensor
        Its size as ``WIDTHxHEIGHT`` px, such as ``346x260``. If the recording states a size, it
        must be the same.
    format
        Its format, as `evreel.recordings.open_recording` takes it, if its content does not show
        it. If it shows another, that is an error.
    n_events
        Events that the recording is known to have, before any are left out; None checks nothing.
    sums
        Its ``md5`` and ``sha256``, hexadecimal digits, as far as they are known. A recording that
        is a link, as `acquire` makes, was verified when that was made: it is read again if it
        changed since then.
    archive
        Which members of an archive are placed end to end in the store, as
        `evreel.samples.pattern.Pattern` takes them; none: a single recording.
    limits
        Limits for the members of an archive.
    threads
        How many decode, compress and hash; None: one per core, up to
        `evreel.threads.MOST_THREADS`. The store's bytes do not depend on it.

    Returns
    -------
    What was changed or left out: name → count. The store has it as ``repairs``.

    Raises
    ------
    SourceError
        If the recording changes while it is read, or has changed since it was acquired.
    RecordingError
        If the recording is damaged, nothing is left of it, or it does not have `n_events`.
    """
    import numpy as np

    from evreel.events import Events
    from evreel.files import hdf5
    from evreel.files.events_store import EventsStoreWriter
    from evreel.filters import Crop, Orientation, hot_pixels, within
    from evreel.layout import EVENTS, LEFT_OUT
    from evreel.recordings import event_chunks, open_recording
    from evreel.recordings.open import Reading, Recording
    from evreel.timebase import FARTHEST

    crop, start_us, stop_us = settings.crop, settings.start_us, settings.stop_us
    max_pixel_hz, stream, members = settings.max_pixel_hz, settings.stream, archive.members
    begin, end = start_us or 0, FARTHEST if stop_us is None else stop_us
    if not 0 <= begin < end <= FARTHEST:
        raise UsageError(
            f"start_us={start_us}, stop_us={stop_us} is not a time range within 0 to {FARTHEST} µs"
        )
    rectangle = None if crop is None else Crop(*crop)
    repairs = {"outside_time": 0, "outside_crop": 0, "hot_pixels": 0, "hot_pixel_events": 0}

    turn, reading = settings.part(Orientation), settings.part(Reading)

    def kept(batch: Events) -> Events:
        inside = turn.apply(within(batch, start_us, stop_us))
        return rectangle.apply(inside) if rectangle else inside

    hot = None
    size = _size(sensor)
    threads = checked_threads(threads)
    decoding = decoding_threads(threads)
    is_one = members is not None or settings.columns is not None or bag_of(recording) is not None
    folder = folder_of(recording)
    if folder is not None and Path(output).resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            "is in the folder that is read", path=output, hint="Put it beside that folder."
        )
    if not is_one and folder is not None:
        raise UsageError(
            "is a folder, not a recording",
            path=recording,
            hint=f"{hint_of_bag(folder)}Name one file in it; or say which of its files are "
            "samples: --members, or samples.members. If its npz, npy or text files are one "
            "recording, say where its columns are: --columns, or events.columns.",
        )
    if members is not None and (start_us, stop_us, stream) != (None, None, None):
        raise UsageError("start_us, stop_us and stream do not apply to an archive")

    @contextlib.contextmanager
    def opened() -> Iterator[Recording]:
        if members is None:
            with open_recording(
                recording,
                stream=stream,
                sensor=size,
                format=format,
                reading=reading,
                threads=decoding,
            ) as source:
                yield source
            return
        from evreel.acquire import Limits
        from evreel.recordings.archive import ArchiveRecording

        with (
            scratch_path(Path(output).with_name("members")) as folder,
            ArchiveRecording(
                *(recording, members, folder),
                leave_out=archive.leave_out,
                sensor=size,
                format=format,
                reading=reading,
                limits=Limits.of_gib(limits.member_gib),
                threads=decoding,
            ) as opened_archive,
        ):
            yield opened_archive

    parameters = {**settings.plain(), "sensor": sensor}
    if format is not None:
        parameters["format"] = format
    if members is not None:
        parameters |= archive.plain()
    if _source_checksum(recording):
        parameters |= _source_checksum(recording)
        _note_unverified(recording)
    inputs: dict[str, str] = {}
    made = Provenance("events", parameters, inputs, repairs)
    then = state(recording) if Path(recording).exists() else []
    # A decoder's first thread is whichever of the crew takes the next batch.
    with opened() as source, Crew(threads - decoding + 1) as crew:
        if source.format == EVENTS.name:
            raise UsageError(
                "is already an events store",
                path=recording,
                hint="Decode the recording itself, with all options at once.",
            )
        if rectangle:
            rectangle.check(turn.sensor(source.sensor))
        kept_sensor = rectangle.sensor if rectangle else turn.sensor(source.sensor)
        if max_pixel_hz is not None:
            with contextlib.closing(crew.one_ahead(event_chunks(source))) as chunks:
                hot = hot_pixels(map(kept, chunks), kept_sensor, max_pixel_hz)
            repairs["hot_pixels"] = int(np.count_nonzero(hot))

        with (
            atomic(output, inputs=[recording]) as (scratch,),
            hdf5.create(scratch, EVENTS, made, crew) as file,
            contextlib.closing(crew.one_ahead(source.batches())) as batches,
        ):
            writer = EventsStoreWriter(
                file,
                kept_sensor,
                source.t_offset,
                source.format,
                source.header,
                origin=(rectangle.y0, rectangle.x0) if rectangle else (0, 0),
            )
            digest = hashed(crew, recording)
            for batch in batches:
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
                    f"has {found} events; {n_events} are expected",
                    path=recording,
                    hint="Is it the right recording? If so, correct n_events.",
                )
            if not writer.n:
                raise _empty(recording, repairs)
            inputs["recording"] = digest.result()
            # What it is hashed from may be newer than what was decoded.
            if state(recording) != then:
                raise changed(Path(recording))
            _check_still(Path(recording), sums)
            writer.finish(getattr(source, "members", ()))
    LOG.info("%s: %d events%s", Path(recording).name, writer.n, named(repairs))
    return repairs


def decoding_threads(threads: int) -> int:
    """Return how many of all threads decode, which takes up to a third of the time."""
    return max(1, threads // 3)


def _check_still(recording: Path, sums: Mapping[str, str | None]) -> None:
    """Raise `SourceError` if a linked recording is no longer the one that was acquired."""
    from evreel.acquire import check_sums

    if recording.suffix == SUFFIX and (folder := folder_of(recording)):
        if recording.read_bytes() != os.fsencode(listing_of(folder).text):
            raise SourceError(
                f"has other files than {recording} lists: it changed since it was acquired",
                place=str(folder),
                hint=f"Acquire it again: snakemake --forcerun {recording}.",
            )
        return
    if recording.is_symlink() and any(sums.values()):
        verified_ns = recording.lstat().st_mtime_ns
        if max(state(recording)[1:3]) >= verified_ns:
            check_sums(recording, **sums)


def _empty(recording: str | Path, repairs: Mapping[str, int]) -> RecordingError:
    """Return the error of a recording of which there is no event."""
    from evreel.layout import LEFT_OUT

    if repairs.get("damaged_bytes") and not any(repairs.get(name) for name in LEFT_OUT):
        return RecordingError(
            "nothing is whole before the damage",
            path=recording,
            hint="Copy or download it again.",
        )
    left_out = any(repairs.values())
    return RecordingError(
        "no events are left" if left_out else "has no events",
        path=recording,
        hint="Check crop, start_us, stop_us, max_pixel_hz and the on_… options."
        if left_out
        else "Is this the right recording, and the right stream?",
    )


def decoding_of(
    recording: str | Path,
    settings: EventsSettings,
    digest: str | None = None,
    *,
    sensor: str | None = None,
) -> str:
    """Return what `EventsStore.decoding` would be of a recording, without decoding it.

    Parameters
    ----------
    sensor
        Its size as ``WIDTHxHEIGHT``, if it is stated.
    digest
        ``sha256:…`` of the recording, if it is known.
    """
    parameters = {**settings.plain(), "sensor": sensor, **_source_checksum(recording)}
    return decoding(digest or sha256(recording), parameters, STEP_REVISIONS["events"])


def _note_unverified(recording: str | Path) -> None:
    name = Path(recording).name
    LOG.info("%s: was downloaded without a checksum; the store says so", name)


def _source_checksum(recording: str | Path) -> dict[str, str]:
    """Return what parameters say of a recording that was downloaded without a checksum."""
    return {"source_checksum": "none"} if unverified_note(recording).exists() else {}


@contextlib.contextmanager
def as_store(
    source: Source,
    *,
    beside: str | Path,
    stream: int | str | None = None,
    sensor: str | None = None,
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[EventsStore]:
    """Yield an open events store for a store, or for a recording, which is decoded temporarily.

    A decoded recording is put into the scratch folder of the output `beside`; `progress` is of
    decoding it. `sensor` is its size as ``WIDTHxHEIGHT``, if the file does not state it; `threads`
    is as `events` takes it.
    """
    from evreel.files.events_store import EventsStore
    from evreel.recordings.open import open_recording

    if isinstance(source, EventsStore):
        yield source
        return
    with open_recording(source, stream=stream, sensor=_size(sensor)) as opened:
        if isinstance(opened, EventsStore):
            yield opened
            return
    with scratch_path(Path(beside).with_name(f"{Path(source).stem}.h5")) as store:
        events(
            *(source, store, EventsSettings(stream=stream)),
            sensor=sensor,
            threads=threads,
            progress=progress,
        )
        with EventsStore(store) as opened:
            yield opened


def _size(sensor: str | None) -> Sensor | None:
    from evreel.events import Sensor

    return None if sensor is None else Sensor.parse(sensor)


MOST_IN_MEMORY = 1 << 25
"""Most events that are decoded into memory instead of a temporary store: 436 MB, 13 bytes each."""


class Opened(NamedTuple):
    """Events that something is made of.

    Parameters
    ----------
    events : those of a store, or of a decoded recording.
    inputs : function that returns what a file made of them says of its origin, role → digest: of
        the ``store``; or of the ``recording``, and of how it was decoded (``decoding``).
    """

    events: Divided
    inputs: Callable[[], dict[str, str]]


@contextlib.contextmanager
def as_events(
    source: Source,
    *,
    beside: str | Path,
    stream: int | str | None = None,
    sensor: str | None = None,
    most: int = MOST_IN_MEMORY,
    threads: int | None = None,
    progress: Progress = silent,
) -> Iterator[Opened]:
    """Yield the events of a store, or of a recording, which is decoded.

    Parameters
    ----------
    source, beside, stream, sensor, progress
        As `as_store` takes them.
    most
        A recording of more events is decoded into a temporary store, as by `as_store`; others into
        memory. What is read is the same.

    Raises
    ------
    SourceError
        If the recording changes while it is read.
    RecordingError
        If the recording is damaged, or has no events.
    """
    from evreel.files.events_store import EventsStore

    threads = checked_threads(threads)
    if isinstance(source, EventsStore) or is_store(source, stream, sensor):
        with as_store(source, beside=beside) as store:
            yield Opened(store, lambda: {"store": sha256(store.path)})
        return
    recording = Path(source)
    then = state(recording)
    with Crew(min(2, threads)) as crew:
        digest = hashed(crew, recording)

        def inputs() -> dict[str, str]:
            found = digest.result()
            if state(recording) != then:
                raise changed(recording)
            how = decoding_of(recording, EventsSettings(stream=stream), found, sensor=sensor)
            return {"recording": found, "decoding": how}

        events = _in_memory(recording, stream, sensor, most, threads, progress)
        if events is not None:
            yield Opened(events, inputs)
            return
        with as_store(
            recording,
            beside=beside,
            stream=stream,
            sensor=sensor,
            threads=threads,
            progress=progress,
        ) as store:
            yield Opened(store, inputs)


def is_store(path: str | Path, stream: int | str | None = None, sensor: str | None = None) -> bool:
    """Tell whether a file is an events store; any other recording must be one that can be read."""
    from evreel.files.events_store import EventsStore
    from evreel.recordings.open import open_recording

    with open_recording(path, stream=stream, sensor=_size(sensor)) as opened:
        return isinstance(opened, EventsStore)


def _in_memory(
    recording: Path,
    stream: int | str | None,
    sensor: str | None,
    most: int,
    threads: int,
    progress: Progress,
) -> EventsInMemory | None:
    """Return what `events` would put into a store, None if there are more events than `most`."""
    from evreel.files.divided import EventsInMemory
    from evreel.recordings.open import Reading, open_recording, read_at_most

    reading = EventsSettings(stream=stream).part(Reading)
    with open_recording(
        recording,
        stream=stream,
        sensor=_size(sensor),
        reading=reading,
        threads=decoding_threads(threads),
    ) as source:
        found = read_at_most(source, most, threads=threads, progress=progress)
        if found is None:
            return None
        if not len(found):
            raise _empty(recording, source.repairs)
        if _source_checksum(recording):
            _note_unverified(recording)
        LOG.info("%s: %d events%s", recording.name, len(found), named(source.repairs))
        return EventsInMemory(
            recording,
            found,
            t_offset=source.t_offset,
            source_format=source.format,
            members=getattr(source, "members", ()),
        )
