"""One function a pipeline step: plain arguments in, whole files out.

The workflow's scripts and the command line both call these, so that a step does the same by hand
and in a workflow. Outputs appear under their names only when they are whole. What a step needs
is imported inside it, so that a step that runs no kernel does not pay for numba's import.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from evreel import __version__
from evreel.errors import (
    AnnotationError,
    ClockError,
    EvreelError,
    RecordingError,
    ReleaseError,
    UsageError,
    did_you_mean,
)
from evreel.outputs import Progress, atomic, atomic_into, check_wanted, scratch_path, silent
from evreel.provenance import Provenance, sha256

if TYPE_CHECKING:
    from evreel.checks import Report
    from evreel.events import Events
    from evreel.io.cvat import Unsupported
    from evreel.io.events_store import EventsStore
    from evreel.release import Compression, Difference
    from evreel.timebase import FrameClock, Picture
    from evreel.viz import Style
    from evreel.windows import Tail

LOG = logging.getLogger("evreel")

T = TypeVar("T")

_FOLDERS = ("events", "slices", "samples", "boxes")
"""Folders of a split in a release that are no feature's."""

Source: TypeAlias = "str | Path | EventsStore"
"""A recording or an events store by its path, or an events store that is open."""


@contextlib.contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Put what a step says into a log file; an input that is at fault becomes one line there."""
    check_wanted(Path(path))
    handler = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    except EvreelError as error:
        LOG.error("%s: %s", type(error).__name__, error)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        LOG.error("OSError: %s", os_error(error))
        raise SystemExit(1) from None
    except Exception:
        LOG.exception("This is a fault of evreel; please report it with this log.")
        raise
    finally:
        LOG.removeHandler(handler)
        handler.close()


def os_error(error: OSError) -> str:
    """Return the one line that says what the system refused, and for which file."""
    what = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        what += ". Make room on the disk, and run again."
    return f"{error.filename}: {what}" if error.filename is not None else what


def table(
    folder: str | Path,
    output: str | Path,
    *,
    split: str | None = None,
    group: str | None = None,
    sensor: str | None = None,
    progress: Progress = silent,
) -> int:
    """Write a recordings table of what lies in a folder, with the MD5 of each.

    Parameters
    ----------
    folder
        Where recordings lie, also in folders of it; hidden files are left alone.
    output
        The table, TSV, to be looked through and completed.
    split
        Of recordings that no folder named train, val or test says of.
    group
        Pattern with ``{group}``, as `evreel.samples.members.Pattern` takes it, of paths in the
        folder: ``*/{group}_*_td.dat``. Those that it does not fit have no group.
    sensor
        Size of all as ``WIDTHxHEIGHT`` px, where recordings can't say.

    Returns
    -------
    How many recordings there are. Boxes beside one (``…_bbox.npy``) stand in its row.

    Raises
    ------
    RecordingError
        Where there is none, or nothing says which split one is of.
    """
    from evreel.errors import UnknownFormatError
    from evreel.events import Sensor
    from evreel.io import open_recording
    from evreel.io.manifest import write_table
    from evreel.layout import BOXES_SUFFIX, EVENTS
    from evreel.samples.members import Pattern
    from evreel.samples.splits import SPLITS

    root, fits = Path(folder), None if group is None else Pattern(group)
    size = None if sensor is None else Sensor.parse(sensor)
    found: list[Path] = []
    for place in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in place.relative_to(root).parts)
        if hidden or not place.is_file() or place.name.endswith(BOXES_SUFFIX):
            continue
        try:
            with open_recording(place, sensor=size) as recording:
                if recording.format == EVENTS.name:
                    continue
        except UnknownFormatError:
            continue
        except EvreelError as error:
            LOG.warning("%s", error)  # a recording all the same: its size may not be known, say
        found.append(place)
    if not found:
        raise RecordingError(
            "holds no recording",
            path=root,
            hint="Unpack archives first; give --sensor where recordings can't state their size.",
        )
    names = [_id_of(place.stem) for place in found]
    if len({name.casefold() for name in names}) < len(names):
        names = [_id_of(str(place.relative_to(root).with_suffix(""))) for place in found]
    rows = []
    with atomic(output) as (scratch,):
        for k, (name, place) in enumerate(zip(names, found, strict=True)):
            progress(k, len(found))
            inside = place.relative_to(root)
            told = [part for part in (*root.parts[-1:], *inside.parts[:-1]) if part in SPLITS]
            if not told and split is None:
                raise RecordingError(
                    "lies in no folder named train, val or test",
                    path=place,
                    hint="Say which split it is of: --split.",
                )
            said = fits.of(inside.as_posix()) if fits else None
            base = place.stem.removesuffix("_td")
            boxes = place.with_name(base + BOXES_SUFFIX)
            row = {
                "id": name,
                "source": str(place).replace("!", "!!"),
                "md5": _md5(place),
                "split": told[-1] if told else split or "",
                "group": said.group if said else "",
                "sensor": sensor or "",
                "boxes": str(boxes) if boxes.is_file() else "",
                "boxes_md5": _md5(boxes) if boxes.is_file() else "",
            }
            rows.append(row)
        write_table(scratch, rows)
    LOG.info("%s: %d recordings", Path(output).name, len(rows))
    return len(rows)


def _id_of(name: str) -> str:
    """Return a name as one that a recording may have: of letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("_-") or "recording"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def acquire(
    source: str,
    output: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size_bytes: int | None = None,
    member_md5: str | None = None,
    member_gib: float | None = None,
    page: str | None = None,
    plain: bool = False,
    progress: Progress = silent,
) -> str:
    """Get a recording, or an archive of some, and check its sums.

    Parameters
    ----------
    source
        Path; or ``manual:`` and the path where a person puts what needs a login; or http(s) urls
        of the same bytes, set apart by ``|``. A local file becomes a relative link, never a copy.
        Behind it may stand ``!`` and the name of a member, where the file is an archive: that is
        unpacked alone.
    output
        Where it goes.
    md5, sha256
        32 and 64 hexadecimal digits that the bytes at the source must have, so those of an
        archive where it is one; None checks nothing.
    size_bytes
        What the source must have.
    member_md5
        32 hexadecimal digits that a member of an archive must have.
    member_gib
        The most that a member of an archive may have, 2**30 bytes; None takes 64.
    page
        Web page where a manual source is to be had, for the message.
    plain
        Decompress a tar that is compressed as a whole, once it is verified: in a plain one, each
        of many members is found at once, in a compressed one only behind all before it.

    Returns
    -------
    The MD5 of the recording's bytes.

    Raises
    ------
    SourceError
        Where the source can't be had, or its bytes are others. What came of a download is kept in
        ``.evreel-downloads``, where the next run goes on; else nothing is left.
    """
    from evreel.acquire import Limits, decompress, fetch, read_source

    limits = Limits() if member_gib is None else Limits(member_bytes=int(member_gib * 2**30))
    began = time.perf_counter()
    with atomic(output) as (scratch,):
        got = fetch(
            source,
            scratch,
            md5=md5,
            sha256=sha256,
            size=size_bytes,
            member_md5=member_md5,
            page=page,
            final=Path(output),
            progress=progress,
            limits=limits,
        )
        unpacked = scratch.with_name("plain.tar")
        # A link is made for its final place; until then it leads nowhere.
        local = read_source(source).path or scratch
        if plain and decompress(local, unpacked, limits=limits, progress=progress):
            unpacked.replace(scratch)
    took_s = time.perf_counter() - began
    megabytes = got.size / 1e6
    LOG.info(
        "%s: md5 %s%s, %.1f MB in %.1f s, %.1f MB/s",
        Path(output).name,
        got.md5,
        f", sha256 {got.sha256}" if got.sha256 else "",
        megabytes,
        took_s,
        megabytes / max(took_s, 1e-3),
    )
    return got.md5


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
        A recording of any format that `evreel.io.open_recording` reads; or, with `members`, an
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
        As `evreel.io.recording.Reading` takes them.
    n_events
        Events that the recording is known to have, before any is left out; None checks nothing.
    members
        Pattern of the archive's files that are recordings, as `evreel.samples.members.Pattern`
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
    from evreel.filters import Crop, Orientation, hot_pixels, within
    from evreel.io import event_chunks, hdf5, open_recording
    from evreel.io.events_store import EventsStoreWriter
    from evreel.io.recording import Reading, Recording
    from evreel.layout import EVENTS, LEFT_OUT
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
        from evreel.samples.members import ArchiveRecording

        limits = Limits() if member_gib is None else Limits(member_bytes=int(member_gib * 2**30))
        with (
            scratch_path(Path(output).with_name("members")) as folder,
            ArchiveRecording(
                *(recording, members, folder),
                leave_out=leave_out,
                sensor=size,
                reading=reading,
                limits=limits,
            ) as archive,
        ):
            yield archive

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
    with (
        ThreadPoolExecutor(1) as beside,
        atomic(output, inputs=[recording]) as (scratch,),
        opened() as source,
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
    LOG.info("%s: %d events", Path(recording).name, writer.n)
    return repairs


def cut(
    store: Source,
    output: str | Path,
    *,
    intervals: str | None = None,
    intervals_md5: str | None = None,
    columns: Mapping[str, str] | None = None,
    recording: str | None = None,
    unit: Literal["us", "ms", "s"] = "us",
    clock: Literal["recording", "source"] = "recording",
    repeats: Literal["keep", "first"] = "keep",
    members: str | None = None,
    classes: Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    group: str | None = None,
) -> int:
    """Write where the samples of a recording lie, and of which class they are.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The table, TSV, as `evreel.io.samples_table` describes it.
    intervals
        Table of labelled intervals, CSV or TSV: a path; behind it may stand ``!`` and the name of
        a member, where the file is an archive.
    intervals_md5
        32 hexadecimal digits that the table must have.
    columns
        Names of its columns, as `evreel.io.intervals.Columns` takes them.
    recording
        Only the rows of this recording, where the table is of several.
    unit, clock, repeats
        As `evreel.io.intervals.read_intervals` and `evreel.samples.cut.by_intervals` take them.
    members
        Instead of a table: the pattern with which an archive was decoded; each of its members is
        a sample.
    classes
        What files call a class → its label.
    labels
        All labels; another one is an error. None takes any.
    group
        The group of samples that name none; None takes `recording`, for intervals.

    Returns
    -------
    How many samples there are.

    Raises
    ------
    AnnotationError
        Where a table is not of its form, a sample does not lie in the recording, samples overlap,
        or there are none.
    """
    from evreel.io.intervals import Columns, read_intervals
    from evreel.io.samples_table import write_cut
    from evreel.samples.cut import by_intervals, by_members

    if (intervals is None) == (members is None):
        raise UsageError("exactly one of intervals and members cuts a recording")
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        if intervals is not None:
            with _local(intervals, output, intervals_md5) as table:
                try:
                    named = Columns(**(columns or {}))
                    of_several = named.recording is not None
                    rows = read_intervals(
                        table, named, unit=unit, recording=recording if of_several else None
                    )
                    samples = by_intervals(
                        rows,
                        t_offset=opened.t_offset,
                        clock=clock,
                        repeats=repeats,
                        classes=classes,
                        group=group or recording or "",
                    )
                except AnnotationError as error:
                    raise AnnotationError(
                        error.problem, path=table, place=error.place, hint=error.hint
                    ) from error
        else:
            if not opened.members:
                raise UsageError(
                    "was decoded as one recording, not as an archive of many",
                    path=opened.path,
                    hint="Decode the archive with members.",
                )
            samples = by_members(opened.members, members or "", classes=classes)
        if not len(samples):
            raise AnnotationError(
                "has no sample" + (f" of recording {recording!r}" if recording else ""),
                path=intervals or opened.path,
            )
        opened.check_within(samples)
        if labels is not None:
            samples.numbers(labels)
        write_cut(scratch, samples)
    LOG.info("%s: %d samples", Path(output).name, len(samples))
    return len(samples)


@contextlib.contextmanager
def _local(source: str, output: str | Path, md5: str | None = None) -> Iterator[Path]:
    """Give a local file, or a member of a local archive, unpacked for the while."""
    from evreel.acquire import check_md5, fetch, read_source

    parsed = read_source(source)
    if parsed.path is None:
        raise UsageError("is to be downloaded; a local file is expected here", path=source)
    if not parsed.members:
        if md5 is not None:
            check_md5(parsed.path, md5)
        yield parsed.path
        return
    with scratch_path(Path(output).with_name(parsed.name)) as unpacked:
        fetch(source, unpacked, member_md5=md5)
        yield unpacked


def splits(
    cuts: Mapping[str, str | Path],
    output: str | Path,
    *,
    fixed: Mapping[str, str | None] | None = None,
    file_names: Mapping[str, str] | None = None,
    lists: Mapping[str, str] | None = None,
    seed: int | None = None,
    shares: Mapping[str, float] | None = None,
    counts: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Give each sample of a data set its split, and write them all out.

    Parameters
    ----------
    cuts
        Recording → table of its samples, as `cut` writes it.
    output
        The table of all samples, TSV, as `evreel.io.samples_table` describes it.
    fixed
        Recording → split of all its samples; None for one whose samples are of several.
    file_names
        Recording → name of its file at the source, by which lists may name it.
    lists
        Split → list that ships with the data, for recordings that are not fixed; each a path, or
        an archive's and the name of a member behind ``!``.
    seed, shares
        Instead of lists: as `evreel.samples.splits.by_seed` takes them.
    counts
        Split → samples it must have, as published.

    Returns
    -------
    Split → how many samples it has.

    Raises
    ------
    AnnotationError
        Where a list does not fit the samples, or a split has not as many as published.
    UsageError
        Where a sample is of a recording that is not fixed, and neither lists nor a seed are given.
    """
    from collections import Counter

    from evreel.io.samples_table import Assigned, read_cut, write_samples_table
    from evreel.samples.splits import Unassigned, by_lists, by_seed, check_counts

    known = fixed or {}
    found = [
        (recording, samples, k)
        for recording, samples in ((name, read_cut(path)) for name, path in sorted(cuts.items()))
        for k in range(len(samples))
    ]
    open_rows = [
        Unassigned(
            recording,
            (file_names or {}).get(recording, recording),
            samples.id[k],
            samples.label[k],
            samples.group[k],
        )
        for recording, samples, k in found
        if known.get(recording) is None
    ]
    drawn: list[str] = []
    with contextlib.ExitStack() as stack, atomic(output, inputs=cuts.values()) as (scratch,):
        if open_rows and lists:
            local = {
                split: stack.enter_context(_local(source, output))
                for split, source in lists.items()
            }
            drawn = by_lists(open_rows, local)
        elif open_rows and seed is not None and shares:
            drawn = by_seed(open_rows, seed, shares)
        elif open_rows:
            raise UsageError(
                f"recording {open_rows[0].recording!r} has samples of several splits, and nothing "
                "says which",
                hint="Give lists, or a seed and shares: samples.split.",
            )
        rest = iter(drawn)
        rows = [
            Assigned(
                recording,
                samples.id[k],
                samples.label[k],
                samples.group[k],
                known.get(recording) or next(rest),
                int(samples.start_us[k]),
                int(samples.stop_us[k]),
            )
            for recording, samples, k in found
        ]
        check_counts([row.split for row in rows], counts or {})
        write_samples_table(scratch, rows)
    numbers = Counter(row.split for row in rows)
    LOG.info("%s: %s", Path(output).name, ", ".join(f"{n} in {s}" for s, n in numbers.items()))
    return dict(numbers)


def samples(
    store: Source,
    cut: str | Path,
    splits: str | Path,
    output: str | Path,
    *,
    recording: str,
    labels: Sequence[str],
) -> int:
    """Write the samples of one recording: rows of its events store, class, split.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    cut
        Table of its samples, as `cut` writes it.
    splits
        Table of all samples, as `splits` writes it.
    output
        The samples file, HDF5.
    recording
        Its name in `splits`.
    labels
        Label names in the order of their numbers.

    Returns
    -------
    How many samples there are.

    Raises
    ------
    AnnotationError
        Where a sample does not lie in the recording, has no split, or a label that is not listed.
    """
    from evreel.io import hdf5
    from evreel.io.samples_file import write_samples
    from evreel.io.samples_table import read_cut, splits_of
    from evreel.layout import SAMPLES

    cut_samples = read_cut(cut)
    split_of = splits_of(splits, recording)
    for id_ in cut_samples.id:
        if id_ not in split_of:
            raise AnnotationError(
                f"sample {id_!r} of recording {recording!r} is not in it",
                path=splits,
                hint="Make the splits again.",
            )
    chosen = [split_of[id_] for id_ in cut_samples.id]
    with as_store(store, beside=output) as opened:
        opened.check_within(cut_samples)
        inputs = {"store": sha256(opened.path), "cut": sha256(cut)}
        made = Provenance("samples", {"recording": recording, "labels": list(labels)}, inputs)
        with (
            atomic(output, inputs=[opened.path, cut, splits]) as (scratch,),
            hdf5.create(scratch, SAMPLES, made) as file,
        ):
            write_samples(
                file,
                cut_samples,
                labels,
                chosen,
                opened.index_of(cut_samples.start_us),
                opened.index_of(cut_samples.stop_us),
                recording=recording,
                t_stop_us=opened.t_stop_us,
            )
    LOG.info("%s: %d samples", Path(output).name, len(cut_samples))
    return len(cut_samples)


@contextlib.contextmanager
def as_store(
    source: Source, *, beside: str | Path, stream: int | None = None
) -> Iterator[EventsStore]:
    """Give an open events store for a store, or for a recording, which is decoded for the while.

    What is decoded lies in the scratch folder of the output `beside` which it is made.
    """
    from evreel.io.events_store import EventsStore
    from evreel.io.recording import open_recording

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


def clock(
    store: Source, output: str | Path, *, window_us: int, scale: int = 1
) -> tuple[FrameClock, Picture]:
    """Write when each frame of a recording's video stands for, and how its pictures lie.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The clock's table, TSV.
    window_us
        Frame k stands for ``[k·window_us, (k+1)·window_us)``.
    scale
        Whole-number magnification of the pictures.
    """
    from evreel.io.clock import write_clock
    from evreel.timebase import FrameClock, Picture

    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path]) as (scratch,),
    ):
        frames = FrameClock.regular(opened.t_stop_us, window_us)
        picture = Picture.for_video(opened.sensor, scale)
        origin_y, origin_x = opened.origin
        extra = {
            "window_us": str(window_us),
            "t_offset": str(opened.t_offset),
            "origin_x_px": str(origin_x),
            "origin_y_px": str(origin_y),
            "evreel_version": __version__,
            "store": sha256(opened.path),
        }
        write_clock(scratch, frames, picture, extra)
    LOG.info("%s: %d frames of %d µs", Path(output).name, len(frames), window_us)
    return frames, picture


def video(
    store: Source,
    clock: str | Path,
    output: str | Path,
    *,
    style: Style = "polarity",
    accumulate_us: int | None = None,
    contrast: float | None = None,
    tau_us: int = 30_000,
    fps: int = 30,
    preset: str = "ultrafast",
    crf: int = 23,
    progress: Progress = silent,
) -> int:
    """Render pictures to annotate, one a row of the clock.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    clock
        Table written by `clock`, or by hand.
    output
        ``.mp4``, or ``.zip`` for PNG frames named by index and start.
    style, accumulate_us, contrast, tau_us
        As `evreel.viz.render` takes them.
    fps, preset, crf
        As `evreel.io.mp4.write_mp4` takes them; nothing to a zip.

    Returns
    -------
    How many frames were written.
    """
    from evreel.io.clock import read_clock
    from evreel.io.mp4 import write_mp4
    from evreel.io.png_zip import write_png_zip
    from evreel.timebase import Picture
    from evreel.viz import render

    output = checked_video_name(output)
    frames, picture, extra = read_clock(clock)
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, clock]) as (scratch,),
    ):
        _check_clock(clock, extra, opened)
        picture = picture or Picture.for_video(opened.sensor)
        images = _counted(
            render(
                opened.chunks(),
                frames,
                opened.sensor,
                style=style,
                accumulate_us=accumulate_us,
                contrast=contrast,
                tau_us=tau_us,
                picture=picture,
            ),
            len(frames),
            progress,
        )
        metadata = extra | {
            "style": style,
            "accumulate_us": str(accumulate_us),
            "contrast": str(contrast),
            "tau_us": str(tau_us),
            "frames": str(len(frames)),
            "sensor_height_px": str(picture.sensor[0]),
            "sensor_width_px": str(picture.sensor[1]),
            "scale": str(picture.scale),
            "pad_bottom_px": str(picture.pad_bottom),
            "pad_right_px": str(picture.pad_right),
            "evreel_version": __version__,
            "store": sha256(opened.path),
            "clock": sha256(clock),
        }
        if output.suffix == ".zip":
            n = write_png_zip(scratch, images, picture.shape, frames, metadata=metadata)
        else:
            metadata |= {"preset": preset, "crf": str(crf)}
            n = write_mp4(
                scratch, images, picture.shape, fps=fps, preset=preset, crf=crf, metadata=metadata
            )
    LOG.info("%s: %d frames of %dx%d", output.name, n, *reversed(picture.shape))
    return n


def annotate(
    store: Source,
    clock: str | Path,
    slices: str | Path,
    boxes: str | Path,
    *,
    rois: str | Path | None = None,
    tags: str | Path | None = None,
    rois_md5: str | None = None,
    tags_md5: str | None = None,
    labels: Sequence[str] | None = None,
    window_us: int | None = None,
    count: int | None = None,
    tail: Tail = "keep",
    clip: bool = False,
    unsupported: Unsupported = "error",
    part_of_video: bool = False,
    progress: Progress = silent,
) -> dict[str, int]:
    """Join events, frame clock and CVAT XML into annotated slices and boxes.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    clock
        The clock of the video that was annotated.
    slices, boxes
        What is written: HDF5, and EventBbox records in ``.npy``.
    rois
        CVAT XML, for video or for images, with boxes and polygons; None where there is none.
    tags
        CVAT XML for images, of which only the frame tags are taken; then those of `rois` are
        not. None takes the tags of `rois`.
    rois_md5, tags_md5
        32 hexadecimal digits that the XML's bytes must have; None checks nothing.
    labels
        Label names in the order of their numbers, the same for all recordings of a data set;
        None takes the order of the files.
    window_us, count, tail
        How slices are cut, as `evreel.windows.division` takes them.
    clip
        Cut off what of a shape reaches outside the picture, and count it, instead of an error.
    unsupported
        What becomes of shapes that are no boxes or polygons: ``error``, or ``skip`` and count.
    part_of_video
        Whether the XML may be of a task that has only a part of the video's frames.

    Returns
    -------
    What was changed on the way: name → count. The slices carry it as ``repairs``.

    Raises
    ------
    AnnotationError
        Where an annotation is not sound or does not fit the recording's video.
    """
    from evreel import annotations
    from evreel.acquire import check_md5
    from evreel.io import hdf5
    from evreel.io.boxes import write_boxes
    from evreel.io.clock import read_clock
    from evreel.io.cvat import read_cvat
    from evreel.io.slices_file import SlicesWriter
    from evreel.layout import SLICES
    from evreel.slices import Annotator, Regions, check_task
    from evreel.timebase import Picture
    from evreel.windows import division

    for xml, md5 in ((rois, rois_md5), (tags, tags_md5)):
        if xml is not None and md5 is not None:
            check_md5(xml, md5)
    parts = []
    if rois is not None:
        drawn = read_cvat(rois, unsupported=unsupported)
        parts.append(drawn if tags is None else replace(drawn, tags=()))
    if tags is not None:
        tagged = read_cvat(tags, tags_only=True)
        # Where regions were drawn, only there did annotators look for them.
        parts.append(tagged if rois is None else replace(tagged, frames=()))
    if labels is not None:
        parts = [annotations.relabel(part, labels) for part in parts]
    annotated = annotations.merge(parts)
    if labels is not None:
        annotated = replace(annotated, labels=tuple(labels))
    cut = division(window_us=window_us, count=count, tail=tail)
    frames, picture, extra = read_clock(clock)
    for part in () if part_of_video else parts:
        check_task(part, frames)
    with as_store(store, beside=slices) as opened:
        _check_clock(clock, extra, opened)
        regions = Regions(annotated, frames, picture or Picture(opened.sensor), clip=clip)
        inputs = {"store": opened.path, "clock": clock, "rois": rois, "tags": tags}
        made = Provenance(
            "annotate",
            {
                "labels": list(annotated.labels),
                **asdict(cut),
                "clip": clip,
                "unsupported": unsupported,
                "part_of_video": part_of_video,
            },
            {role: sha256(path) for role, path in inputs.items() if path is not None},
            regions.repairs,
        )
        with (
            atomic(slices, boxes, inputs=inputs.values()) as (slices_scratch, boxes_scratch),
            hdf5.create(slices_scratch, SLICES, made) as file,
        ):
            annotator = Annotator(regions)
            writer = SlicesWriter(
                file, opened.sensor, opened.t_offset, opened.windows(cut), regions.tables
            )
            for chunk in opened.chunks():
                writer.write(chunk, *annotator.label(chunk))
                progress(writer.n, opened.n)
            writer.finish()
            found = regions.boxes()
            write_boxes(boxes_scratch, found)
    LOG.info(
        "%s: %d events, %d of them in a region; %d boxes",
        *(Path(slices).name, writer.n, writer.n_labelled, len(found)),
    )
    return dict(regions.repairs)


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise where a data set's settings do not go together, before any step runs.

    Parameters
    ----------
    config
        The settings by step, each of its kind: any of ``events``, ``video``, ``features`` (by
        name) and ``release``, with the keywords of the steps.

    Raises
    ------
    UsageError
        Which names the setting.
    """
    from evreel.release import licence_notice
    from evreel.representations import create
    from evreel.windows import division

    leave_out = config.get("events", {})
    crop = leave_out.get("crop")
    if crop is not None and not (crop[0] < crop[2] and crop[1] < crop[3]):
        raise UsageError(f"events/crop: {crop} is empty; give [x0, y0, x1, y1]")
    start_us, stop_us = leave_out.get("start_us") or 0, leave_out.get("stop_us")
    if stop_us is not None and not start_us < stop_us:
        raise UsageError(f"events: start_us={start_us} is not before stop_us={stop_us}")
    video = config.get("video", {})
    if video.get("style") == "decay" and video.get("accumulate_us") is not None:
        raise UsageError("video: accumulate_us does not go with style decay; use tau_us")
    for name, feature in config.get("features", {}).items():
        if name in _FOLDERS:
            raise UsageError(f"features/{name}: a release has a folder of this name already")
        kinds = ("window_us", "count", "stride_us", "stride", "tail", "number", "by")
        try:
            create(feature["representation"], feature["parameters"])
            division(**{kind: feature[kind] for kind in kinds if kind in feature})
        except EvreelError as error:
            raise UsageError(f"features/{name}: {error}") from error
    cutting = config.get("samples")
    if cutting is not None:
        _check_cutting(cutting)
    released = config.get("release")
    if released is not None:
        try:
            if released["licence_file"] is None:
                licence_notice(released["licence"], None)
        except UsageError as error:
            raise UsageError(f"release/licence: {error}") from error
        try:
            check_tolerated(released["tolerate"])
        except UsageError as error:
            raise UsageError(f"release/tolerate: {error}") from error


def _check_cutting(cutting: Mapping[str, Any]) -> None:
    """Raise `UsageError` for what of the settings of samples does not go together."""
    from evreel.samples.members import Pattern
    from evreel.samples.splits import check_shares

    by, pattern = cutting["by"], cutting["members"]
    if (by == "members") != (pattern is not None):
        problem = "is needed with by: members" if pattern is None else f"does not go with by: {by}"
        raise UsageError(f"samples/members: {problem}")
    if by == "members" and cutting["table"] is not None:
        raise UsageError("samples/table: does not go with by: members")
    try:
        for text in [*([pattern] if pattern else []), *cutting["leave_out"]]:
            Pattern(text)
    except UsageError as error:
        raise UsageError(f"samples/members: {error}") from error
    split = cutting["split"]
    if "files" in split and "seed" in split:
        raise UsageError("samples/split: files and a seed exclude each other")
    try:
        if "shares" in split:
            check_shares(split["shares"])
    except UsageError as error:
        raise UsageError(f"samples/split/shares: {error}") from error


def checked_video_name(path: str | Path) -> Path:
    """Return the path of a video, or raise `UsageError` where its suffix names no container."""
    path = Path(path)
    if path.suffix not in (".mp4", ".zip"):
        raise UsageError(f"a video ends in .mp4 or .zip (PNG frames), not in {path.suffix!r}")
    return path


def features(
    store: Source,
    output: str | Path,
    *,
    representation: str,
    parameters: Mapping[str, Any] | None = None,
    window_us: int | None = None,
    count: int | None = None,
    stride_us: int | None = None,
    stride: int | None = None,
    tail: Tail = "keep",
    number: int | None = None,
    by: Literal["time", "count"] | None = None,
    cut: str | Path | None = None,
    labels: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, int]:
    """Precompute one representation of one recording.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    output
        The feature file, HDF5.
    representation, parameters
        As `evreel.representations.create` takes them.
    window_us, count, stride_us, stride, tail, number, by
        As `evreel.windows.division` takes them.
    cut
        Table of the recording's samples, as `cut` writes it: each is divided by itself. None
        divides the recording.
    labels
        Label names in the order of their numbers; None takes those of the samples, sorted.

    Returns
    -------
    What was changed on the way: name → count. The file carries it as ``repairs``.

    Raises
    ------
    ParameterError
        Where there is no such representation, or a parameter is out of its range.
    """
    from evreel.io import hdf5
    from evreel.io.features import FeaturesWriter, SampleWindows
    from evreel.io.samples_table import read_cut
    from evreel.layout import FEATURES
    from evreel.representations import create, frames
    from evreel.windows import division

    made_of = create(representation, parameters)
    divided = division(window_us, count, stride_us, stride, tail, number, by)
    repairs: dict[str, int] = {}
    with as_store(store, beside=output) as opened:
        inputs = {"store": sha256(opened.path)}
        of_samples = None
        if cut is None:
            windows = opened.windows(divided)
        else:
            inputs["cut"] = sha256(cut)
            samples = read_cut(cut)
            windows, bounds = opened.windows_of(samples, divided)
            names = tuple(labels) if labels else tuple(sorted({*samples.label} - {""}))
            of_samples = SampleWindows(samples, names, bounds)
        made = Provenance(
            "features",
            {"representation": {representation: made_of.parameters}, **asdict(divided)},
            inputs,
            repairs,
        )
        with (
            atomic(output, inputs=[opened.path, cut]) as (scratch,),
            hdf5.create(scratch, FEATURES, made) as file,
        ):
            writer = FeaturesWriter(
                file,
                windows,
                divided,
                opened.sensor,
                opened.t_offset,
                shape=made_of.shape(opened.sensor),
                samples=of_samples,
                **made_of.description,
            )
            made_frames = frames(made_of, opened.read, windows, opened.sensor, repairs=repairs)
            for frame in _counted(made_frames, len(windows), progress):
                writer.write(frame)
            writer.finish()
    LOG.info("%s: %d windows of %s", Path(output).name, len(windows), representation)
    return repairs


def boxes(
    store: Source,
    published: str | Path,
    output: str | Path,
    *,
    md5: str | None = None,
    labels: Sequence[str] | None = None,
) -> int:
    """Carry along the boxes that come with a recording, on the time line of its events store.

    Parameters
    ----------
    store
        Events store (or a recording, decoded for the while).
    published
        EventBbox records, ``.npy``, on the recording's own clock.
    output
        The same boxes, in µs since the recording's first event.
    md5
        32 hexadecimal digits that they must have.
    labels
        Label names in the order of their numbers; None takes any number.

    Returns
    -------
    How many boxes there are.

    Raises
    ------
    AnnotationError
        Where they can't be read, are of a class that is not listed, or the store is cropped.
    """
    import numpy as np

    from evreel.acquire import check_md5
    from evreel.io.boxes import read_published_boxes, write_boxes

    if md5 is not None:
        check_md5(published, md5)
    found = read_published_boxes(published)
    known = len(labels) if labels is not None else None
    if known is not None and (found["class_id"] >= known).any():
        row = int(np.argmax(found["class_id"] >= known))
        raise AnnotationError(
            f"class_id is {found['class_id'][row]}; there are {known} labels",
            path=published,
            place=f"record {row}",
            hint="List all classes in labels, in the order of their numbers.",
        )
    with (
        as_store(store, beside=output) as opened,
        atomic(output, inputs=[opened.path, published]) as (scratch,),
    ):
        if opened.origin != (0, 0):
            raise AnnotationError(
                "are of the whole sensor, and the events are cropped", path=published
            )
        found["t"] -= opened.t_offset
        write_boxes(scratch, found)
    LOG.info("%s: %d boxes", Path(output).name, len(found))
    return len(found)


def release_plan(rows: Iterable[Mapping[str, str]], output: str | Path) -> None:
    """Write the table of what goes where in a release.

    Parameters
    ----------
    rows
        One a file: ``path`` in the release, ``source``, and, where known, ``kind``, ``id`` and
        ``split``. Sources are relative to the working directory.
    output
        The table, TSV.
    """
    from evreel.io.manifest import PlanEntry, write_plan

    with atomic(output) as (scratch,):
        write_plan(
            scratch,
            [
                PlanEntry(
                    row["path"],
                    Path(row["source"]),
                    kind=row.get("kind", ""),
                    id=row.get("id", ""),
                    split=row.get("split", ""),
                )
                for row in rows
            ],
        )


def release(
    plan: str | Path,
    folder: str | Path,
    *,
    name: str,
    version: str,
    licence: str,
    compression: Compression = "portable",
    licence_file: str | Path | None = None,
    labels: Sequence[str] | None = None,
    recordings: Mapping[str, Mapping[str, str]] | None = None,
    dataset: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    tolerate: Sequence[str] = (),
    progress: Progress = silent,
) -> None:
    """Build a release folder from a plan, and check its content as `check` does.

    Parameters
    ----------
    plan
        Table of what goes where, as `release_plan` writes it.
    folder
        The release; one that stands there is replaced as a whole, any other folder is not.
    name, version, licence
        Of the data set; the licence as an SPDX identifier, ``NOASSERTION`` where none is stated.
    licence_file
        The licence's text. Creative Commons and Open Data Commons licences go without.
    compression
        ``portable``: HDF5 files repacked so that no plugin is needed; ``fast``: as they are.
    labels
        Label names in the order of their numbers.
    recordings
        What is known of each recording, id → column → text: group, meta.*, … It stands in the
        manifest.
    dataset
        Its ``title``, ``page`` and ``citation``, as far as known, for the release's README.
    config
        What made it; kept in the release.
    tolerate
        Names of checks (`evreel.checks.CHECKS`) whose errors do not stop the release.

    Raises
    ------
    ReleaseError
        Where the plan is not sound, a file of it is missing, or a check finds an error.
    """
    from evreel.io.manifest import read_plan
    from evreel.release import build, check_replaceable

    text = None if licence_file is None else _licence_text(licence_file)
    entries = read_plan(plan)
    check_replaceable(Path(folder))
    check_tolerated(tolerate)
    with atomic(folder) as (scratch,):
        made = build(
            entries,
            scratch,
            name=name,
            version=version,
            licence=licence,
            licence_text=text,
            compression=compression,
            labels=None if labels is None else dict(enumerate(labels)),
            recordings=recordings,
            dataset=dataset,
            config=config,
            progress=progress,
        )
        report = check(scratch)
        for finding in report.findings:
            LOG.warning("%s", finding)
        refused = [
            finding
            for finding in report.findings
            if finding.severity == "error" and finding.check not in tolerate
        ]
        if refused:
            raise ReleaseError(
                f"checks found {len(refused)} in it, the first: {refused[0]}",
                path=folder,
                hint="All are in the log. Mend the data, or name the check in release.tolerate.",
            )
    size = sum(file.size for file in made.files)
    LOG.info("%s: %d files, %.1f MB", Path(folder).name, len(made.files), size / 1e6)


def check_tolerated(names: Sequence[str]) -> None:
    """Raise `UsageError` where a name is that of no check."""
    from evreel.checks import CHECKS

    for name in names:
        if name not in CHECKS:
            guess = did_you_mean(name, CHECKS) or f"there are {', '.join(CHECKS)}"
            raise UsageError(f"no check is called {name!r}; {guess}")


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Return all in which a release differs from its manifest; nothing where it is whole."""
    from evreel.release import verify as verified

    return verified(Path(folder), progress=progress)


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check what evreel made, for what is wrong with its content.

    Parameters
    ----------
    path
        An events store, slices, samples, a features file, boxes, a release, or a folder with any
        of them.

    Returns
    -------
    The findings, errors first; it is for the caller to take errors for a failure.

    Raises
    ------
    UsageError
        Where the path is nothing that evreel made.
    """
    from evreel.checks.run import check as checked

    return checked(path, progress=progress)


def audit(path: str | Path, *, sensor: str | None = None, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, as far as checks apply.

    Parameters
    ----------
    path
        A recording, boxes, a list of a split, or a folder with any of them.
    sensor
        Size of all recordings as ``WIDTHxHEIGHT`` px, where they can't say; one that states
        another is a finding.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        Where the path is a file that can't be told.
    """
    from evreel.checks.run import audit as audited
    from evreel.events import Sensor

    size = None if sensor is None else Sensor.parse(sensor)
    return audited(path, sensor=size, progress=progress)


def simulate(scene: str | Path, folder: str | Path) -> list[Path]:
    """Make a recording and its ground truth from a scene file.

    Parameters
    ----------
    scene
        TOML, described in `evreel.io.scene`.
    folder
        Gets ``<name>.aedat4``, ``<name>.rois.xml``, ``<name>.truth.json``, and, where the scene
        has tags, ``<name>.tags.xml``.

    Returns
    -------
    The files that were written.
    """
    from evreel.io.scene import load_scene
    from evreel.simulate import write_recording

    described = load_scene(scene)
    with atomic_into(folder) as scratch:
        names = [path.name for path in write_recording(described, scratch)]
    LOG.info("%s: %d files", described.name, len(names))
    return [Path(folder) / name for name in names]


def info(
    path: str | Path,
    *,
    stream: int | None = None,
    sensor: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Say what a recording or an events store holds, reading all of it.

    Parameters
    ----------
    path
        The file.
    stream
        Number of the event stream, where the recording holds several.
    sensor
        Its size as ``WIDTHxHEIGHT`` px, where the recording can't say.

    Returns
    -------
    ``format``; ``sensor`` (``height``, ``width``, px); ``events``; ``t_offset`` (first stamp of
    the recording on the camera's clock, µs); ``t_start_us`` and ``t_stop_us`` (first stamp and
    last stamp + 1 on the camera's clock; None without events); ``on`` and ``off`` (events of
    each polarity); ``triggers``, ``imu`` and ``frames`` (rows of the side streams, of frames the
    exposure times); ``problems`` (what ails the file, one line each; what was read before the
    damage is counted).

    Raises
    ------
    RecordingError
        Where not even the head of the file can be read.
    """
    import numpy as np

    from evreel.events import Events, FrameTimes, Imu, Sensor, Triggers
    from evreel.io import open_recording

    size = None if sensor is None else Sensor.parse(sensor)
    problems: list[str] = []
    n = n_on = 0
    first = last = None
    side = {Triggers: 0, Imu: 0, FrameTimes: 0}
    with open_recording(path, stream=stream, sensor=size) as recording:
        try:
            for chunk in recording.batches():
                if not isinstance(chunk, Events):
                    side[type(chunk)] += len(chunk)
                elif len(chunk):
                    first = int(chunk.t[0]) if first is None else first
                    last = chunk.t_stop_us
                    n += len(chunk)
                    n_on += int(np.count_nonzero(chunk.p))
                    progress(n, None)
        except EvreelError as error:
            problems.append(str(error))
        if not n and not problems:
            problems.append(f"{Path(path).name}: holds no event")
        return {
            "format": recording.format,
            "sensor": recording.sensor._asdict(),
            "events": n,
            "t_offset": recording.t_offset,
            "t_start_us": None if first is None else recording.t_offset + first,
            "t_stop_us": None if last is None else recording.t_offset + last,
            "on": n_on,
            "off": n - n_on,
            "triggers": side[Triggers],
            "imu": side[Imu],
            "frames": side[FrameTimes],
            "problems": problems,
        }


def datasets(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """List data sets that are ready to run: each a folder with a ``config.yaml``.

    Parameters
    ----------
    folder
        The folder with those folders. None takes ``configs`` of the working directory, or else of
        the checkout that this package is in.

    Returns
    -------
    One a data set, by name: ``name`` (its folder's), ``title``, ``page``, ``licence``,
    ``size_bytes`` (to download), ``automatic`` (whether every source is a url; false where the
    table is yet to be made), ``recordings`` (rows of the table), ``samples`` (as published),
    ``config`` (path). None stands for what the config does not say.

    Raises
    ------
    UsageError
        Where there is no such folder, no data set in it, or a config or table can't be read.
    """
    folder = _configs_folder() if folder is None else Path(folder)
    configs = sorted(folder.glob("*/config.yaml"))
    if not configs:
        raise UsageError(
            "has no data set in it" if folder.is_dir() else "is no folder",
            path=folder,
            hint="Name a folder with folders that hold a config.yaml.",
        )
    return [_dataset(path) for path in configs]


def _configs_folder() -> Path:
    house = Path(__file__).resolve().parents[2]
    for folder in (Path("configs"), house / "configs"):
        if folder.is_dir() and (folder.parent / "Snakefile").is_file():
            return folder
    raise UsageError(
        "there is no folder configs beside a Snakefile here, and this evreel is in no checkout",
        hint="The data sets come with the checkout: run this there, or name the folder.",
    )


def _dataset(path: Path) -> dict[str, Any]:
    """Return what one config says of its data set, as `datasets` does."""
    config = _yaml(path)
    about, release, samples = (
        part if isinstance(part := config.get(key), dict) else {}
        for key in ("dataset", "release", "samples")
    )
    counts = samples.get("counts")
    on_web = _on_web(path, str(config.get("recordings", "")))
    return {
        "name": path.parent.name,
        "title": about.get("title"),
        "page": about.get("page"),
        "licence": release.get("licence"),
        "size_bytes": about.get("size_bytes"),
        "automatic": on_web is not None and all(on_web),
        "recordings": None if on_web is None else len(on_web),
        "samples": sum(counts.values()) if isinstance(counts, dict) else None,
        "config": str(path),
    }


def _yaml(path: Path) -> dict[str, Any]:
    """Return a config as it is written."""
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            "can't be read without PyYAML",
            path=path,
            hint="Snakemake brings it; without Snakemake: pip install pyyaml.",
        ) from error
    try:
        config = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        raise UsageError(f"can't be read: {problem}", path=path) from error
    if not isinstance(config, dict):
        raise UsageError("is no config: it has no keys", path=path)
    return config


def _on_web(config: Path, table: str) -> list[bool] | None:
    """Tell for each row of a config's table whether its source is a url; None without a table."""
    import csv

    from evreel.acquire import read_source

    # As Snakemake takes it, from the working directory; from elsewhere, what is beside the config.
    places = (Path(table), config.with_name(Path(table).name))
    path = next((place for place in places if table and place.is_file()), None)
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        return [bool(read_source(row["source"] or "").urls) for row in rows if any(row.values())]
    except KeyError as error:
        raise UsageError("has no column source", path=path) from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"can't be read: {error}", path=path) from error


def describe_datasets(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table in which `datasets`'s result is shown to a person."""
    rows = [
        ("name", "title", "licence", "download", "got", "recordings", "samples", "page"),
        *(
            (
                entry["name"],
                entry["title"] or "",
                entry["licence"] or "",
                _size(entry["size_bytes"]),
                "by itself" if entry["automatic"] else "by hand",
                *(
                    "" if entry[key] is None else f"{entry[key]:,}"
                    for key in ("recordings", "samples")
                ),
                entry["page"] or "",
            )
            for entry in found
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def describe(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines in which `info`'s result is shown to a person."""
    sensor, n = found["sensor"], found["events"]
    yield f"format    {found['format']}"
    yield f"sensor    {sensor['width']} × {sensor['height']} px (width × height)"
    yield f"events    {n:,} ({found['on']:,} ON, {found['off']:,} OFF)"
    if n:
        duration_us = found["t_stop_us"] - found["t_start_us"]
        yield f"time      {found['t_start_us']} to {found['t_stop_us']} µs on the camera's clock"
        yield f"duration  {duration_us / 1e6:.6f} s, {n / duration_us:.3f} M events/s on average"
    for what, of_what in (("triggers", ""), ("imu", " samples"), ("frames", " exposure times")):
        if found[what]:
            yield f"{what:<9} {found[what]:,}{of_what}"
    for problem in found["problems"]:
        yield f"problem   {problem}"


def _check_clock(path: str | Path, extra: Mapping[str, str], store: EventsStore) -> None:
    """Raise where a clock says that it is of another recording or crop; one by hand may not say."""
    origin_y, origin_x = store.origin
    for name, own in (
        ("t_offset", store.t_offset),
        ("origin_x_px", origin_x),
        ("origin_y_px", origin_y),
    ):
        if extra.get(name, str(own)) != str(own):
            raise ClockError(
                f"{name} is {extra[name]}; that of {store.path.name} is {own}",
                path=path,
                hint="The clock is of another recording, or of another crop of it.",
            )


def _licence_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the licence's text can't be read: {error}", path=path) from error


def _counted(items: Iterable[T], total: int, progress: Progress) -> Iterator[T]:
    """Yield items, telling how many have gone by."""
    for k, item in enumerate(items):
        progress(k, total)
        yield item
