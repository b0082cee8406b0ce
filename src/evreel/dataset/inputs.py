"""The local files of a data set: found to be what the table says, before anything runs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evreel import __version__
from evreel.acquire import check_md5, fetch, is_archive, read_source
from evreel.annotations.alignment import Alignment
from evreel.dataset.config import FILES
from evreel.dataset.dataset import DataSet
from evreel.dataset.documents import stop_at
from evreel.dataset.memory import Memory
from evreel.dataset.notes import ACQUIRED, Notes
from evreel.dataset.owners import Origin, Xml, misplaced, origin_of
from evreel.dataset.placing import read_placed
from evreel.dataset.settings import ClockSettings
from evreel.dataset.videos import (
    is_made_so,
    is_of_other_extent,
    is_settled,
    made_clock,
    picture_of,
)
from evreel.errors import EvreelError, SourceError
from evreel.files.clock import read_clock
from evreel.folders import is_folder
from evreel.provenance import STEP_REVISIONS, canonical_json, state
from evreel.release.content import ANNOTATIONS, listed_in, paths_in
from evreel.samples.cut import check_labels
from evreel.samples.intervals import read_intervals, read_shared_intervals
from evreel.text import read_list

if TYPE_CHECKING:
    from evreel.annotations.belonging import Video
    from evreel.annotations.shapes import Annotations
    from evreel.video.picture import Picture


def check_inputs(dataset: DataSet, memory: Memory, left_out: Iterable[str] = ()) -> list[str]:
    """Check the local files that a data set names, and what they say of each other.

    Recordings are not read, but for whether one is an archive: the step that acquires them does.

    Parameters
    ----------
    dataset
        What config and table say.
    memory
        What is known of the files: what did not change is not read again.
    left_out
        Recordings that failed as they are, and that the release is made without: what is wrong
        with these holds up no others.

    Returns
    -------
    What cannot be decided, and what is wrong with recordings that are left out, as warnings.

    Raises
    ------
    UsageError
        With a line for each mistake: a file that does not have the MD5 that the table states, or
        is not what its column takes; a label that is not listed; an XML, or boxes, of another
        recording, or of two; an annotation that cannot fit its video, as far as that is known.
    """
    told: list[tuple[int, str]] = []
    xmls: list[Xml] = []
    boxes: dict[str, list[str]] = defaultdict(list)
    for row in dataset.recordings.values():
        path = read_source(row["source"]).path
        if path is not None:  # `changed_source` asks for those that a job needs
            memory.keep(path)
            memory.fact(_seen(path))
    tables = {id_: row["clock"] for id_, row in dataset.recordings.items() if "clock" in row}
    for id_ in dataset.recordings:
        folder = dataset.folder(id_)
        if folder is not None:
            try:
                memory.digests(folder)
            except EvreelError as error:
                told.append((dataset.lines[id_], f"source: {error}"))
        elif dataset.member_pattern(id_) is not None and _is_single(dataset.row(id_)["source"]):
            told.append(
                (
                    dataset.lines[id_],
                    f"source: {dataset.row(id_)['source']!r} is a single recording; samples/by: "
                    "members needs an archive or a folder as source, in one row: its files are the "
                    "samples",
                )
            )
    for id_, row in dataset.recordings.items():
        is_annotated = True  # as far as is known
        for column in FILES[1:]:
            if column not in row or row[column].startswith("!"):
                continue
            try:
                _check_md5(row, column, memory)
                if column in ANNOTATIONS:
                    xmls += _checked_xmls(dataset, memory, id_, column)
                elif column == "clock":
                    if is_annotated:  # else what is wrong is told already
                        _check_clock(dataset, memory, id_, tables)
                elif column == "labelled":
                    _check_finished(memory, row["labelled"])
                elif column == "boxes":
                    if _check_boxes(dataset, memory, id_):
                        boxes[memory.digests(row[column]).sha256].append(id_)
                elif column == "times":
                    _check_times(memory, row["times"])
                elif column == "samples":
                    _check_intervals(dataset, memory, id_)
            except EvreelError as error:
                is_annotated &= column not in ANNOTATIONS
                told.append((dataset.lines[id_], f"{column}: {error}"))
    others, doubts = misplaced(xmls, dataset)
    told += others
    for find in (_of_other_sizes, _of_other_frames):
        wrong = {line for line, _ in told}  # one mistake is told once
        told += [(line, said) for line, said in find(xmls, dataset, memory) if line not in wrong]
    misfits = list(_misfits(dataset, memory, {line for line, _ in told}))
    told += [(line, said) for line, said, is_certain in misfits if is_certain]
    doubts += _shared_boxes(dataset, boxes.values())
    table = dataset.config.recordings
    known = {dataset.lines[id_] for id_ in left_out}
    doubts += [f"line {line}: {problem}" for line, problem in sorted(told) if line in known]
    wrong_now = [(line, problem) for line, problem in sorted(told) if line not in known]
    stop_at(
        [
            *(f"{table}: line {line}: {problem}" for line, problem in wrong_now),
            *_shared_tables(dataset, memory),
            *_lists(dataset),
            *_font(dataset, memory),
        ]
    )
    doubts += [f"line {line}: {said}" for line, said, _ in misfits]
    doubts += dataset.contradictions_of_archives()
    return [f"{table}: {doubt}" for doubt in doubts]


def changed_source(acquired: str | Path, wanted: Mapping[str, Any], memory: Memory) -> str | None:
    """Return the sums of a local source that is no longer what was verified, None if it is.

    Sources may be large: one is read again only if it changed after it was verified, or is another
    file than the last time. One that was moved or copied since then looks changed; it is read once.
    The sum of a folder is returned always.

    Parameters
    ----------
    acquired
        What was made of the source when it was verified.
    wanted
        Its `source`, `md5`, `sha256` and `crc32`, as `evreel.steps.acquire` takes them.
    memory
        What is known of files.
    """
    source = read_source(wanted["source"])
    if source.path is not None and not source.members and is_folder(source.path):
        # Which need not have a sum: what it is now tells whether it has changed.
        return f"sha256 {memory.digests(source.path).sha256}"
    if source.path is None or source.members:  # a download, or made by another job
        return None
    key = _seen(source.path)
    try:
        now = state(source.path)
        verified_ns = Path(acquired).lstat().st_mtime_ns if os.path.lexists(acquired) else None
        # A folder or link on the way may lead to another file that has been there for long.
        is_as_seen = memory.fact(key) in (None, now)
        if verified_ns is not None and not (is_as_seen and max(now[1:3]) < verified_ns):
            found = memory.digests(source.path)
            stated = [(wanted[name], getattr(found, name)) for name in ("md5", "sha256")]
            if wanted.get("crc32") and not any(digest for digest, _ in stated):
                # Which others may have: what was acquired had this MD5, too.
                then = Notes(ACQUIRED).read(acquired)
                stated = [(wanted["crc32"], memory.crc32(source.path))]
                stated += [] if then is None else [(then.md5, found.md5)]
            if any(digest and digest.lower() != is_now for digest, is_now in stated):
                return f"md5 {found.md5}, sha256 {found.sha256}"
    except (OSError, SourceError):  # the job says what is wrong
        return None
    memory.learn(key, now)
    return None


def md5_of_member(source: str, memory: Memory) -> str:
    """Return the MD5 of a small member of a local archive; found once while that is as it is.

    Raises
    ------
    SourceError
        If it cannot be read.
    OSError
        If the archive is not there.
    """
    archive = read_source(source).path
    assert archive is not None

    def found() -> str:
        with tempfile.TemporaryDirectory() as folder:
            return fetch(source, Path(folder) / "member").md5

    md5: str = _known(memory, found, "md5 of a member", source, state(archive))
    return md5


def _is_single(cell: str) -> bool:
    """Tell whether a source is a local file that is there and is no archive."""
    source = read_source(cell)
    if source.path is None or source.members:
        return False
    try:
        return source.path.is_file() and not is_archive(source.path)
    except OSError:  # the job says what is wrong
        return False


def _seen(path: Path) -> str:
    """Return the key of the state that a source was last seen in, while it was the right one."""
    return f"state of {path}"


def _check_md5(row: Mapping[str, str], column: str, memory: Memory) -> None:
    files = paths_in(row[column]) if column in ANNOTATIONS else [row[column]]
    sums = listed_in(row.get(f"{column}_md5"))
    for k, path in enumerate(files):
        found = memory.digests(path)  # which also tells of a file that cannot be read
        if k < len(sums) and found.md5 != sums[k].lower():
            check_md5(path, sums[k])


def _known(memory: Memory, found: Callable[[], Any], *parts: Any) -> Any:
    """Return what follows from the parts alone: found once, then remembered."""
    made_by = [__version__, *STEP_REVISIONS.values()]
    key = hashlib.sha256(canonical_json([*made_by, *parts]).encode()).hexdigest()
    fact = memory.fact(key)
    if fact is None:
        fact = found()
        memory.learn(key, fact)
    return fact


def _checked_xmls(dataset: DataSet, memory: Memory, id_: str, column: str) -> list[Xml]:
    paths, labels = paths_in(dataset.recordings[id_][column]), dataset.labels()
    sums = [memory.digests(path).sha256 for path in paths]
    settings = dataset.settings(id_).annotate
    has_tags, names = "tags" in dataset.recordings[id_], dataset.names(id_)

    def found() -> list[tuple[Any, ...]]:
        from evreel.annotations.jobs import read_jobs
        from evreel.annotations.open import check_annotations
        from evreel.annotations.regions import check_within
        from evreel.annotations.shapes import relabel

        origins: list[tuple[Any, ...]] = []

        def checked(path: Path) -> Annotations:
            read = check_annotations(
                path,
                labels,
                unsupported=settings.unsupported,
                invalid=settings.invalid,
                tags_only=column == "tags",
                shapes=settings.shapes,
                task=settings.task,
                names=names,
            )
            # As the step reads it: where there are tags, those of the regions' file do not count.
            relabel(replace(read, tags=()) if column == "rois" and has_tags else read, labels)
            if not settings.clip:
                check_within(read)
            origins.append(origin_of(read))
            return read

        read_jobs([Path(path) for path in paths], checked, part_of_video=settings.part_of_video)
        return origins

    parts = (column, has_tags, sums, settings.plain(), labels, names)
    origins = _known(memory, found, *parts)
    return [
        Xml(id_, dataset.lines[id_], column, path, sha256, Origin(*origin))
        for path, sha256, origin in zip(paths, sums, origins, strict=True)
    ]


def _check_clock(dataset: DataSet, memory: Memory, id_: str, clocks: Mapping[str, str]) -> None:
    """Check a table of times, and that the annotation of its recording is of these frames.

    Parameters
    ----------
    clocks
        Id → clock, of this recording and of those that the annotation may belong to.
    """
    row, settings = dataset.recordings[id_], dataset.settings(id_).annotate
    rois, tags = paths_in(row.get("rois")), paths_in(row.get("tags"))

    def video_of(name: str) -> Video:
        from evreel.annotations.belonging import Video

        frames, stated, _ = read_clock(clocks[name])
        seen = stated or _picture(dataset, memory, name)
        is_seen = settings.homography is None
        return Video(name, frames, seen.shape if seen and is_seen else None)

    def other(name: str) -> Video | None:
        try:
            return video_of(name)
        except EvreelError:  # which is told of its own row
            return None

    picture = _picture(dataset, memory, id_)

    def found() -> int:
        from evreel.annotations.belonging import check_belongs
        from evreel.video.picture import Picture

        video = video_of(id_)
        settings.part(Alignment).clock(video.clock)
        # Of what size the pictures are does not matter here.
        placed = read_placed(
            *(rois, tags, video.clock, settings),
            picture=read_clock(clocks[id_])[1] or picture or Picture((1, 1)),
            labels=dataset.labels(),
            names=dataset.names(id_),
        )
        others = {name: partial(other, name) for name in clocks if name != id_}
        for part in (placed.rois, placed.tags):
            if part is not None:
                more = {"part_of_video": settings.part_of_video, "by_name": False}
                check_belongs(part, video, others, **more)  # names are compared by `misplaced`
        return len(video.clock)

    digests = [memory.digests(path).sha256 for path in (clocks[id_], *rois, *tags)]
    parts = ("clock", id_, digests, settings.plain(), dataset.labels())
    _known(memory, found, *parts, picture and picture.shape)


def _picture(dataset: DataSet, memory: Memory, id_: str) -> Picture | None:
    return picture_of(dataset, id_, partial(_known, memory))


def _of_other_sizes(
    xmls: Iterable[Xml], dataset: DataSet, memory: Memory
) -> Iterator[tuple[int, str]]:
    """Yield (line, problem) of each annotation whose pictures are not of its video's size."""
    from evreel.annotations.belonging import other_size

    for xml in xmls:
        is_other_camera = dataset.settings(xml.id).annotate.homography is not None
        if not xml.origin.size or is_other_camera or "clock" in dataset.recordings[xml.id]:
            continue
        picture = _picture(dataset, memory, xml.id)
        error = other_size(tuple(xml.origin.size), None if picture is None else picture.shape)
        if error is not None:
            yield xml.line, f"{xml.column}: {Path(xml.path).name}: {error}"


def _of_other_frames(
    xmls: Iterable[Xml], dataset: DataSet, memory: Memory
) -> Iterator[tuple[int, str]]:
    """Yield (line, problem) of each table of finished frames that its annotation does not have."""
    from evreel.annotations.seen import never_seen, read_finished

    of_row: dict[str, list[Xml]] = defaultdict(list)
    for xml in xmls:
        of_row[xml.id].append(xml)
    for id_, of in of_row.items():
        path, origins = dataset.recordings[id_].get("labelled"), [xml.origin for xml in of]
        if path is None or not all(origin.by_number for origin in origins):
            continue
        try:
            finished = read_finished(path)
        except EvreelError:  # which is told of its own
            continue
        first, last = min(each.first for each in origins), max(each.last for each in origins)
        ends = zip(finished.lines, finished.start.tolist(), finished.stop.tolist(), strict=True)
        out = [line for line, start, stop in ends if start > last or stop <= first]
        if finished.of_frames and last >= 0 and out:
            error = never_seen(finished, out[0], Path(of[0].path).name, (first, last + 1))
            yield of[0].line, f"labelled: {error}"


def _misfits(
    dataset: DataSet, memory: Memory, told: Collection[int]
) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, problem) of each annotation that does not fit the clock of an earlier run.

    The third is whether that is certain: the clock would be made again as it is. Lines of which
    something is told already are passed over.
    """
    rows = dataset.recordings
    made = {id_: made_clock(dataset, id_) for id_ in rows}
    there = {id_: str(path) for id_, path in made.items() if path.exists()}
    for id_, path in there.items():
        line, video = dataset.lines[id_], dataset.settings(id_).video.part(ClockSettings)
        if (
            line in told
            or "clock" in rows[id_]
            or not any(role in rows[id_] for role in ANNOTATIONS)
            or is_of_other_extent(dataset, id_)
        ):
            continue

        def found(path: str = path, video: ClockSettings = video) -> bool:
            return is_made_so(*read_clock(path), video)

        try:
            sha256 = memory.digests(path).sha256
            if _known(memory, found, "made clock", sha256, video.plain()):
                _check_clock(dataset, memory, id_, there)
        except EvreelError as error:
            yield (
                line,
                str(error),
                is_settled(dataset, id_) and _is_as_acquired(dataset, memory, id_),
            )


def _is_as_acquired(dataset: DataSet, memory: Memory, id_: str) -> bool:
    return changed_source(dataset.recording_file(id_), dataset.acquired(id_), memory) is None


def _check_finished(memory: Memory, path: str) -> None:
    def found() -> int:
        from evreel.annotations.seen import read_finished

        return len(read_finished(path).lines)

    _known(memory, found, "labelled", memory.digests(path).sha256)


def _check_times(memory: Memory, path: str) -> None:
    def found() -> int:
        from evreel.files.instants import read_times

        return len(read_times(path))

    _known(memory, found, "times", memory.digests(path).sha256)


def _check_boxes(dataset: DataSet, memory: Memory, id_: str) -> int:
    """Return how many boxes there are; raise if they are not valid."""
    row, labels = dataset.recordings[id_], dataset.labels()
    path, settings = row["boxes"], dataset.settings(id_).boxes

    def found() -> int:
        from evreel.events import Sensor
        from evreel.files.boxes import (
            boxes_within,
            check_classes,
            read_published_boxes,
            valid_boxes,
        )

        boxes = read_published_boxes(path)
        check_classes(boxes, path, len(labels))
        boxes, _ = valid_boxes(boxes, path, drop=settings.invalid == "drop")
        if settings.outside == "error":
            boxes_within(boxes, path, Sensor.parse(row["sensor"]) if "sensor" in row else None)
        return len(boxes)

    parts = (settings.plain(), row.get("sensor"), labels)
    n: int = _known(memory, found, "boxes", memory.digests(path).sha256, *parts)
    return n


def _check_intervals(dataset: DataSet, memory: Memory, id_: str) -> None:
    cutting, path = dataset.cutting(id_), dataset.recordings[id_]["samples"]
    if cutting is None:
        return
    recording = id_ if cutting.columns.recording is not None else None
    labels = dataset.labels()

    def found() -> int:
        rows = read_intervals(path, cutting.columns, unit=cutting.unit, recording=recording)
        check_labels(rows, cutting.classes, labels, path)
        return len(rows)

    _known(memory, found, memory.digests(path).sha256, cutting.plain(), recording, labels)


def _shared_tables(dataset: DataSet, memory: Memory) -> Iterator[str]:
    """Yield what is wrong with tables of intervals for several recordings, each read once."""
    ids: dict[str, list[str]] = defaultdict(list)
    for id_ in dataset.cut:
        cutting = dataset.cutting(id_)
        if cutting is not None and cutting.table is not None:
            ids[canonical_json(cutting.plain())].append(id_)
    labels = dataset.labels()
    for said, of_table in ids.items():
        cutting = dataset.cutting(of_table[0])
        assert cutting is not None and cutting.table is not None
        path = cutting.table

        def found(cutting: Any = cutting, of_table: list[str] = of_table) -> int:
            rows = read_shared_intervals(
                cutting.table, cutting.columns, of_table, unit=cutting.unit
            )
            for of_one in rows.values():
                check_labels(of_one, cutting.classes, labels, cutting.table)
            return len(rows)

        try:
            _known(memory, found, memory.digests(path).sha256, said, of_table, labels)
        except EvreelError as error:
            yield f"samples/table: {error}"


def _lists(dataset: DataSet) -> Iterator[str]:
    """Yield what is wrong with the lists of splits."""
    for split, file in dataset.split_lists.items():
        source = read_source(file)
        try:
            if source.path is not None and not source.members:
                read_list(source.path)
        except EvreelError as error:
            yield f"samples/split/files/{split}: {error}"


def _shared_boxes(dataset: DataSet, sharing: Iterable[list[str]]) -> list[str]:
    """Return a doubt if the boxes of different recordings are equal."""
    rows = dataset.recordings
    found = [
        (ids[0], other)
        for ids in sharing
        for other in ids[1:]
        if _recording(rows[other]) != _recording(rows[ids[0]])
    ]
    if not found:
        return []
    first, other = found[0]
    more = f"; {len(found) - 1} more" if len(found) > 1 else ""
    return [
        f"line {dataset.lines[other]}: boxes: {Path(rows[other]['boxes']).name} has the same bytes "
        f"as boxes of {first!r} in line {dataset.lines[first]}: is it of {other!r}?{more}"
    ]


def _font(dataset: DataSet, memory: Memory) -> Iterator[str]:
    """Yield what is wrong with the font of the pictures."""
    path = dataset.config.qa.font
    if path is None:
        return

    def found() -> bool:
        from evreel.video.text import Font

        return Font.read(path) is not None

    try:
        _known(memory, found, "font", memory.digests(path).sha256)
    except EvreelError as error:
        yield f"qa/font: {error}"


def _recording(row: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    members = read_source(row["source"]).members
    sums = tuple(row.get(name, "").lower() for name in ("md5", "sha256", "crc32"))
    return sums, members
