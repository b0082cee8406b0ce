"""Events, frame clock and annotations joined into labelled slices and boxes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

import numpy as np

from evreel.annotations.alignment import Alignment
from evreel.dataset.placing import read_placed
from evreel.dataset.settings import AnnotateSettings
from evreel.errors import ClockError, ParameterError, UsageError
from evreel.outputs import Progress, atomic, silent
from evreel.provenance import STEP_REVISIONS, Provenance, digest_of, sha256
from evreel.release.content import listed_in, role_of
from evreel.shares import Share
from evreel.steps.clock import check_clock, check_frames
from evreel.steps.common import LOG, Steady, hashed, named
from evreel.steps.events import Source, as_store
from evreel.text import nfc
from evreel.threads import Crew, checked_threads
from evreel.windows import RegularWindows

if TYPE_CHECKING:
    from evreel.annotations.belonging import Video
    from evreel.annotations.labelling import EventLabels
    from evreel.annotations.regions import Regions
    from evreel.annotations.shapes import Annotations
    from evreel.events import Events
    from evreel.files.events_store import EventsStore
    from evreel.files.parts import PartRegions
    from evreel.timebase import FrameClock, Int64Array
    from evreel.video.picture import Picture
    from evreel.windows import Windows


_MOST_TIMES = 10_000_000
"""So many times of boxes are in memory at once: three hours at 1000 a second."""


_LATE_US = 100_000
"""Frames without shapes may begin so long after the last event: cameras stop a little apart. With
shapes, two frames may."""


class Joined(NamedTuple):
    """What the files of one recording say together.

    Parameters
    ----------
    annotations : their frame numbers are rows of the clock.
    doubts : what the files leave open, a sentence each.
    counts : what was left out, or is open: name → count.
    """

    annotations: Annotations
    doubts: tuple[str, ...]
    counts: dict[str, int]


Files = str | Path | Sequence[str | Path] | None
"""The annotation of a recording: a file, several exports of one task, or none."""
Wanted = str | Mapping[str, str | None] | None
"""Digest of that file, or of each of several, by what `evreel.release.content.role_of` calls it."""


class Given(TypedDict, total=False):
    """The annotation of a recording, and what is known of it.

    Parameters
    ----------
    rois
        CVAT XML, for video or for images, or the zip with it; or COCO, MOT, YOLO or EventBbox,
        told by content; None if there is none. Several are exports of one task's jobs, a folder of
        these, or a text with ``|`` between them, as in the recordings table;
        `evreel.annotations.jobs.of_jobs` joins them.
    tags
        CVAT XML for images; several as for `rois`. Only its frame tags are read, and those of
        `rois` are not. None takes the tags of `rois`.
    labelled
        Table of what annotators have finished, as `evreel.annotations.seen.read_finished` reads it;
        None: all that they looked at.
    rois_md5, tags_md5, labelled_md5
        32 hexadecimal digits that the file's bytes must have; None checks nothing. Those of several
        files are separated by ``|``.
    rois_sha256, tags_sha256, labelled_sha256
        64 hexadecimal digits of the file that the workflow saw: another one is not read. Those of
        several files by ``rois``, ``rois.2``, ….
    labels
        Label names in the order of their numbers, the same for all recordings of a data set;
        None takes the order of the files.
    names
        What the recording is called, beside its store: tells its task among several of a project.
    """

    rois: Files
    tags: Files
    rois_md5: str | None
    tags_md5: str | None
    rois_sha256: Wanted
    tags_sha256: Wanted
    labelled: str | Path | None
    labelled_md5: str | None
    labelled_sha256: str | None
    labels: Sequence[str] | None
    names: Sequence[str]


def files_in(given: Files) -> list[Path]:
    """Return the files of an annotation; of a folder, the exports in it."""
    from evreel.annotations.jobs import files_of

    paths = [given] if isinstance(given, (str, Path)) else given or []
    listed = (
        part for path in paths for part in ([path] if _is_there(path) else listed_in(str(path)))
    )
    return [file for part in listed for file in files_of(part)]


def _is_there(path: str | Path) -> bool:
    """Return whether there is such a file; a list of many is longer than any path."""
    try:
        return path != "" and Path(path).exists()
    except (OSError, ValueError):
        return False


def read_annotations(
    rois: Files,
    tags: Files,
    frames: FrameClock,
    settings: AnnotateSettings = AnnotateSettings(),
    labels: Sequence[str] | None = None,
    labelled: str | Path | None = None,
    *,
    clock: str | Path | None = None,
    picture: Picture | None = None,
    names: Sequence[str] = (),
    by_name: bool = True,
) -> Joined:
    """Read the annotation files of one recording, for the frames of its clock.

    Parameters
    ----------
    rois, tags, settings, labels, labelled
        As `annotate` takes them.
    frames
        The clock of the annotated video, before its times are aligned.
    clock
        The clock's file, where it is known: an annotation that does not fit may be of another
        clock beside it.
    picture
        How the sensor's pixels map to the video's; YOLO and EventBbox need it.
    names
        What the recording is called: tells its task among several of a project.
    by_name
        Whether an annotation is refused if its video has the name of another clock beside this.

    Raises
    ------
    AnnotationError
        If an annotation is not valid or does not fit the clock.
    """
    from evreel.annotations.belonging import Video, check_belongs
    from evreel.annotations.seen import between_seen, only_finished, read_finished
    from evreel.annotations.shapes import merge, relabel
    from evreel.files.clock import CLOCK_SUFFIX

    name = "" if clock is None else Path(clock).name.removesuffix(CLOCK_SUFFIX)
    names = [*names, name] if name else names
    of_rois, of_tags = files_in(rois), files_in(tags)
    placed = read_placed(
        of_rois, of_tags, frames, settings, picture=picture, labels=labels, names=names
    )
    doubts, parts = list(placed.doubts), []
    if placed.rois is not None:
        seen, doubt = between_seen(placed.rois, placed.step, settings.between)
        doubts += [doubt] if doubt else []
        parts.append(replace(seen, tags=()) if of_tags else seen)
    if placed.tags is not None:
        # Only the frames of the regions' file were searched for regions.
        parts.append(replace(placed.tags, frames=()) if of_rois else placed.tags)
    if labels is not None:
        parts = [relabel(part, labels) for part in parts]
    shape = None if picture is None or settings.homography is not None else picture.shape
    others = {} if clock is None else _videos_beside(clock)
    for part in parts:
        check_belongs(
            part,
            Video(name, frames, shape),
            others,
            part_of_video=settings.part_of_video,
            by_name=by_name,
        )
    annotated = merge(parts)
    if labels is not None:
        annotated = replace(annotated, labels=tuple(map(nfc, labels)))
    counts = {**annotated.repairs, **placed.counts}
    if labelled is not None:
        finished, times = read_finished(labelled), settings.part(Alignment).clock(frames)
        annotated, n = only_finished(annotated, finished, times)
        counts["unfinished_shapes"] = n
    return Joined(annotated, (*doubts, *annotated.doubts), counts)


def _videos_beside(clock: str | Path) -> dict[str, Callable[[], Video | None]]:
    from evreel.annotations.belonging import Video
    from evreel.files.clock import clocks_beside, read_clock

    def reader(name: str, path: Path) -> Callable[[], Video | None]:
        def video() -> Video | None:
            try:
                frames, picture, _ = read_clock(path)
            except ClockError:
                return None
            return Video(name, frames, None if picture is None else picture.shape)

        return video

    return {name: reader(name, path) for name, path in clocks_beside(clock).items()}


def _box_times(settings: AnnotateSettings, slices: Windows, t_stop_us: int) -> Int64Array | None:
    """Return when there are boxes; None for each frame of the video."""
    if settings.boxes_at == "slices":
        return np.unique(slices.stop_us)
    if settings.boxes_us is None:
        return None
    n = -(-t_stop_us // settings.boxes_us)
    if n > _MOST_TIMES:
        raise ParameterError(
            f"boxes_us: {settings.boxes_us} gives boxes at {n:,} times; "
            f"{_MOST_TIMES:,} is the limit",
            hint="Choose a larger boxes_us.",
        )
    return np.arange(1, n + 1) * settings.boxes_us


def _wanted(column: str, digests: Wanted) -> Mapping[str, str | None]:
    return digests if isinstance(digests, Mapping) else {column: digests}


def _roles(column: str, files: Sequence[Path]) -> dict[str, str | Path | None]:
    return {role_of(column, k): file for k, file in enumerate(files)}


def _check_md5s(column: str, files: Sequence[Path], md5s: str | None) -> None:
    from evreel.acquire import check_md5

    sums = listed_in(md5s)
    if files and sums and len(sums) != len(files):
        raise UsageError(f"{column}_md5 has {len(sums)} sums; {column} has {len(files)} files")
    for file, md5 in zip(files, sums, strict=False):
        check_md5(file, md5)


def _check_ends(
    shown: Int64Array, seen: Int64Array, frames: FrameClock, t_stop_us: int, clock: str | Path
) -> None:
    """Raise if labelled frames begin after the recording, and warn if it is by a little.

    Parameters
    ----------
    shown, seen
        The frames in which something is drawn, and those that were looked at or have tags.
    """
    every = np.union1d(shown, seen)
    beyond = every[frames.start_us[every] >= t_stop_us].tolist()
    if not beyond:
        return
    first, last = beyond[0], beyond[-1]
    which = f"frame {first} begins" if first == last else f"frames {first} to {last} begin"
    error = ClockError(
        f"{which} after the recording, which ends at {t_stop_us} µs, and "
        f"{'is' if first == last else 'are'} labelled",
        path=clock,
        hint="If these are times of another clock, set annotate/time_offset_us, which `evreel "
        "align` estimates. If only the other camera was on by then, remove what is drawn there, "
        "and name the frames that count in a table: column labelled.",
    )
    step_us = int(np.median(np.diff(frames.start_us))) if len(frames) > 1 else 0
    late_us = 2 * step_us
    for rows, most_us in ((shown, late_us), (seen, max(late_us, _LATE_US))):
        if (frames.start_us[rows] > t_stop_us + most_us).any():
            raise error
    LOG.warning("%s", error)


def _pieces(rows: slice, threads: int) -> Iterator[tuple[int, int]]:
    """Yield the rows that are labelled at a time: fewer for each of several threads."""
    from evreel.files.events_store import READ_ROWS

    step = READ_ROWS if threads == 1 else READ_ROWS // 2
    begins = range(rows.start, rows.stop, step)
    return ((start, min(start + step, rows.stop)) for start in begins)


class _Drawn(NamedTuple):
    """What is drawn on a recording's video, on the recording's events.

    Parameters
    ----------
    store : the events.
    crew : the threads that share the work.
    first_row, chunks : of the events that are to be labelled.
    digest : function that returns that of the store.
    regions : what is drawn.
    joined : what the files say together.
    parameters : what a file that is made of it says.
    settings : how the files were read.
    steady : the files that it was read from, which must not change.
    files : these files, and the clock.
    of_rois : whether there are files with regions.
    """

    store: EventsStore
    crew: Crew
    first_row: int
    chunks: Iterator[Events]
    digest: Callable[[], str]
    regions: Regions
    joined: Joined
    parameters: Mapping[str, Any]
    settings: AnnotateSettings
    steady: Steady
    files: Sequence[str | Path | None]
    of_rois: bool

    @property
    def source(self) -> str:
        """What distinguishes the events from others; if possible without reading all of them."""
        return self.store.decoding or self.digest()

    @property
    def identity(self) -> str:
        """What distinguishes the regions of events from those that another annotation gives."""
        revision = STEP_REVISIONS["annotate"]
        return digest_of([revision, self.parameters, self.steady.digests])

    def labelled(self) -> Iterator[tuple[Events, EventLabels]]:
        """Yield the events that are to be labelled, in order, with their regions."""
        from evreel.annotations.labelling import Annotator

        how = self.settings
        free: SimpleQueue[Annotator] = SimpleQueue()
        for _ in range(self.crew.threads):
            free.put(Annotator(self.regions, at=how.at, instant=how.instant))

        def label(chunk: tuple[int, Events]) -> tuple[Events, EventLabels]:
            annotator = free.get()
            try:
                return chunk[1], annotator.label_at(*chunk)
            finally:
                free.put(annotator)

        return self.crew.ahead(label, _from_row(self.first_row, self.chunks))


def _from_row(row: int, chunks: Iterable[Events]) -> Iterator[tuple[int, Events]]:
    """Yield the row of the first event of each chunk, and the chunk."""
    for chunk in chunks:
        yield row, chunk
        row += len(chunk)


@contextlib.contextmanager
def _drawn(
    store: Source,
    clock: str | Path,
    windows: RegularWindows,
    settings: AnnotateSettings,
    share: Share | None,
    *,
    beside: str | Path,
    is_labelled: bool = False,
    threads: int | None = None,
    rois: Files = None,
    tags: Files = None,
    rois_md5: str | None = None,
    tags_md5: str | None = None,
    rois_sha256: Wanted = None,
    tags_sha256: Wanted = None,
    labelled: str | Path | None = None,
    labelled_md5: str | None = None,
    labelled_sha256: str | None = None,
    labels: Sequence[str] | None = None,
    names: Sequence[str] = (),
) -> Iterator[_Drawn]:
    """Yield the annotation of a recording, read as `annotate` takes it, and its open store.

    Meanwhile, the crew begins to read the events of the share, None for all; or none, if their
    regions are known.
    """
    from evreel.acquire import check_md5
    from evreel.annotations.regions import Regions
    from evreel.files.clock import read_clock
    from evreel.layout import COLUMN_CHUNK
    from evreel.video.picture import Picture

    of_rois, of_tags = files_in(rois), files_in(tags)
    _check_md5s("rois", of_rois, rois_md5)
    _check_md5s("tags", of_tags, tags_md5)
    if labelled is not None and labelled_md5 is not None:
        check_md5(labelled, labelled_md5)
    steady = Steady(
        {"clock": clock, **_roles("rois", of_rois), **_roles("tags", of_tags)}
        | {"labelled": labelled},
        {**_wanted("rois", rois_sha256), **_wanted("tags", tags_sha256)}
        | {"labelled": labelled_sha256},
    )
    frames, picture, extra = read_clock(clock)
    alignment = settings.part(Alignment)
    cut = windows.division()
    divided = asdict(cut)
    del divided["origin_us"]  # slices always start at 0
    most = checked_threads(threads)
    with as_store(store, beside=beside, threads=most) as opened, Crew(most) as crew:
        rows = slice(0, opened.n) if share is None else share.rows(opened.n, COLUMN_CHUNK)
        pieces = () if is_labelled else _pieces(rows, crew.threads)
        digest: Callable[[], str] = functools.partial(sha256, opened.path)
        if share is None or opened.decoding is None:
            digest = functools.cache(hashed(crew, opened.path).result)
        chunks = crew.ahead(lambda piece: opened.read(*piece), pieces)
        check_clock(clock, extra, opened)
        picture = picture or Picture(opened.sensor)
        joined = read_annotations(
            *(of_rois, of_tags, frames, settings, labels, labelled),
            clock=clock,
            picture=picture,
            names=[opened.path.stem, *names],
            by_name=not names,  # a workflow knows better which recordings there are
        )
        if alignment.homography is not None:
            picture = Picture(opened.sensor)
        aligned = alignment.clock(frames)
        check_frames(aligned, opened, clock)
        regions = Regions(
            alignment.annotations(joined.annotations, opened.sensor),
            aligned,
            picture,
            clip=settings.clip,
            radius_px=settings.radius_px,
            margin_px=settings.margin_px,
            primary=settings.primary,
        )
        tagged = [tag.frame for tag in joined.annotations.tags]
        seen = np.array([*joined.annotations.frames, *tagged], dtype=np.int64)
        _check_ends(regions.frames, seen, aligned, opened.t_stop_us, clock)
        said = {"labels": list(joined.annotations.labels), **divided, **settings.plain()}
        files = [clock, *of_rois, *of_tags, labelled]
        events = opened, crew, rows.start, chunks, digest
        yield _Drawn(*events, regions, joined, said, settings, steady, files, bool(of_rois))


def annotate_part(
    store: Source,
    clock: str | Path,
    output: str | Path,
    share: Share,
    windows: RegularWindows,
    settings: AnnotateSettings = AnnotateSettings(),
    *,
    threads: int | None = None,
    progress: Progress = silent,
    **given: Unpack[Given],
) -> None:
    """Find the regions of a share of a recording's events, for `annotate` to join.

    Parameters
    ----------
    store, clock, windows, settings, threads, given
        As `annotate` takes them.
    output
        The part.
    share
        Which share.

    Raises
    ------
    AnnotationError
        As `annotate`.
    """
    from evreel.files import hdf5, parts
    from evreel.layout import COLUMN_CHUNK, PARTS

    of = store, clock, windows, settings, share
    with _drawn(*of, beside=output, threads=threads, **given) as drawn:
        rows = share.rows(drawn.store.n, COLUMN_CHUNK)
        made = Provenance("annotate", drawn.parameters, drawn.steady.digests)
        with (
            atomic(output, inputs=[drawn.store.path, *drawn.files]) as (scratch,),
            hdf5.create(scratch, PARTS, made, drawn.crew) as file,
        ):
            parts.begin(file, share, drawn.source)
            writer = parts.RegionsWriter(file, drawn.identity, rows.start)
            done = 0
            for chunk, labels_of in drawn.labelled():
                writer.write(*labels_of)
                done += len(chunk)
                progress(done, rows.stop - rows.start)
            drawn.steady.check()
    LOG.info("%s: part %s, %d events", Path(output).name, share, done)


def annotate(
    store: Source,
    clock: str | Path,
    slices: str | Path,
    boxes: str | Path,
    windows: RegularWindows,
    settings: AnnotateSettings = AnnotateSettings(),
    *,
    parts: Sequence[str | Path] = (),
    threads: int | None = None,
    progress: Progress = silent,
    **given: Unpack[Given],
) -> dict[str, int]:
    """Join events, frame clock and CVAT XML into annotated slices and boxes.

    Parameters
    ----------
    store
        Events store (or a recording, decoded temporarily).
    clock
        The clock of the annotated video.
    slices, boxes
        Files to write: HDF5, and EventBbox records in ``.npy``.
    windows
        How slices are cut.
    settings
        What is read from the XML, and how.
    parts
        The regions of events, if `annotate_part` has made them: all parts. Bytes are the same.
    threads
        How many read, label, compress and hash; None: one per core, up to
        `evreel.threads.MOST_THREADS`.
        The files' bytes do not depend on it.
    given
        The annotation, as in `Given`.

    Returns
    -------
    What was changed, or left open: name → count. The slices have it as ``repairs``, and as
    ``doubts`` what the files leave open.

    Raises
    ------
    AnnotationError
        If an annotation is not valid or does not fit the recording's video, or the name of a
        picture contradicts the clock.
    LayoutError
        If a part is missing, or was made from something else.
    """
    from evreel.files import hdf5
    from evreel.files.boxes import write_boxes
    from evreel.files.events_store import READ_ROWS
    from evreel.files.parts import Parts
    from evreel.files.slices import SlicesWriter
    from evreel.layout import SLICES

    with contextlib.ExitStack() as stack:
        drawn = stack.enter_context(
            _drawn(
                *(store, clock, windows, settings, None),
                beside=slices,
                is_labelled=bool(parts),
                threads=threads,
                **given,
            )
        )
        opened, regions = drawn.store, drawn.regions
        repairs = regions.repairs | drawn.joined.counts
        inputs = dict(drawn.steady.digests)
        beside: dict[str, str] = {}
        made = Provenance("annotate", drawn.parameters, inputs, repairs, beside)
        joined: Iterator[PartRegions] = iter(())
        if parts:
            of_parts = stack.enter_context(Parts(parts, drawn.source))
            joined = of_parts.regions(drawn.identity, opened.n, READ_ROWS)
        slices_scratch, boxes_scratch = stack.enter_context(
            atomic(slices, boxes, inputs=[opened.path, *drawn.files])
        )
        with hdf5.create(slices_scratch, SLICES, made, drawn.crew) as file:
            slices_of = opened.windows(windows.division())
            times = _box_times(settings, slices_of, opened.t_stop_us)
            labelled_chunks = drawn.labelled()  # which begins with the first of them
            writer = SlicesWriter(
                *(file, opened.sensor, opened.t_offset, slices_of, regions.tables),
                doubts=drawn.joined.doubts,
                shapes=regions.shape_rows(),
                store=opened,
            )
            for found in joined:
                writer.write_from(opened, *found)
                progress(writer.n, opened.n)
            for chunk, labels_of in labelled_chunks:
                writer.write(chunk, *labels_of)
                progress(writer.n, opened.n)
            writer.finish()
            inputs["store"] = drawn.digest()
            records = regions.boxes(times, at=settings.at, instant=settings.instant)
            write_boxes(boxes_scratch, records)
            if drawn.of_rois:  # else boxes may have come with the recording
                beside["boxes"] = sha256(boxes_scratch)
            drawn.steady.check()
    LOG.info(
        "%s: %d events, %d of them in a region; %d boxes%s",
        *(Path(slices).name, writer.n, writer.n_labelled, len(records), named(repairs)),
    )
    for doubt in drawn.joined.doubts:
        LOG.warning("%s", doubt)
    return repairs
