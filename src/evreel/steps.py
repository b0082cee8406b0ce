"""One function a pipeline step: plain arguments in, whole files out.

The workflow's scripts and the command line both call these, so that a step does the same by hand
and in a workflow. Outputs appear under their names only when they are whole. What a step needs
is imported inside it, so that a step that runs no kernel does not pay for numba's import.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from evreel import __version__
from evreel.errors import (
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

_FOLDERS = ("events", "slices")
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
    progress: Progress = silent,
) -> str:
    """Get a recording and check its sums.

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

    Returns
    -------
    The MD5 of the recording's bytes.

    Raises
    ------
    SourceError
        Where the source can't be had, or its bytes are others. What came of a download is kept in
        ``.evreel-downloads``, where the next run goes on; else nothing is left.
    """
    from evreel.acquire import Limits, fetch

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
    progress: Progress = silent,
) -> dict[str, int]:
    """Decode a recording once, into an events store.

    Parameters
    ----------
    recording
        A recording of any format that `evreel.io.open_recording` reads.
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
    from evreel.io.recording import Reading
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
    with open_recording(recording, stream=stream, sensor=size, reading=reading) as source:
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
    }
    inputs: dict[str, str] = {}
    made = Provenance("events", parameters, inputs, repairs)
    with (
        ThreadPoolExecutor(1) as beside,
        atomic(output, inputs=[recording]) as (scratch,),
        open_recording(recording, stream=stream, sensor=size, reading=reading) as source,
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
        writer.finish()
    LOG.info("%s: %d events", Path(recording).name, writer.n)
    return repairs


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
        kinds = ("window_us", "count", "stride_us", "stride", "tail")
        try:
            create(feature["representation"], feature["parameters"])
            division(**{kind: feature[kind] for kind in kinds if kind in feature})
        except EvreelError as error:
            raise UsageError(f"features/{name}: {error}") from error
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
    window_us, count, stride_us, stride, tail
        As `evreel.windows.division` takes them.

    Returns
    -------
    What was changed on the way: name → count. The file carries it as ``repairs``.

    Raises
    ------
    ParameterError
        Where there is no such representation, or a parameter is out of its range.
    """
    from evreel.io import hdf5
    from evreel.io.features import FeaturesWriter
    from evreel.layout import FEATURES
    from evreel.representations import create, frames
    from evreel.windows import division

    made_of = create(representation, parameters)
    cut = division(window_us, count, stride_us, stride, tail)
    repairs: dict[str, int] = {}
    with as_store(store, beside=output) as opened:
        windows = opened.windows(cut)
        made = Provenance(
            "features",
            {"representation": {representation: made_of.parameters}, **asdict(cut)},
            {"store": sha256(opened.path)},
            repairs,
        )
        with (
            atomic(output, inputs=[opened.path]) as (scratch,),
            hdf5.create(scratch, FEATURES, made) as file,
        ):
            writer = FeaturesWriter(
                file,
                windows,
                cut,
                opened.sensor,
                opened.t_offset,
                shape=made_of.shape(opened.sensor),
                **made_of.description,
            )
            made_frames = frames(made_of, opened.read, windows, opened.sensor, repairs=repairs)
            for frame in _counted(made_frames, len(windows), progress):
                writer.write(frame)
            writer.finish()
    LOG.info("%s: %d windows of %s", Path(output).name, len(windows), representation)
    return repairs


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
        An events store, slices, a features file, boxes, a release, or a folder with any of them.

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


def audit(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, as far as checks apply.

    Parameters
    ----------
    path
        A recording, boxes, a list of a split, or a folder with any of them.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        Where the path is a file that can't be told.
    """
    from evreel.checks.run import audit as audited

    return audited(path, progress=progress)


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
    path: str | Path, *, stream: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Say what a recording or an events store holds, reading all of it.

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

    from evreel.events import Events, FrameTimes, Imu, Triggers
    from evreel.io import open_recording

    problems: list[str] = []
    n = n_on = 0
    first = last = None
    side = {Triggers: 0, Imu: 0, FrameTimes: 0}
    with open_recording(path, stream=stream) as recording:
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
