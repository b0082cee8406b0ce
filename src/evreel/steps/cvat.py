"""Videos → tasks of a CVAT server; their annotations → the files that the table names."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evreel.cvat import open_server
from evreel.cvat.note import NOTE_SUFFIX, Note, read_note, times_of, write_note
from evreel.cvat.settings import CvatSettings, UnreachableError
from evreel.errors import AnnotationError, EvreelError, SourceError, UsageError
from evreel.files.clock import CLOCK_SUFFIX
from evreel.layout import BOXES_SUFFIX
from evreel.outputs import Progress, atomic, scratch_path, silent
from evreel.provenance import content_sha256, digest_of, sha256
from evreel.release.content import ANNOTATIONS, paths_in, role_of
from evreel.steps.annotate import read_annotations
from evreel.steps.common import LOG, with_progress

if TYPE_CHECKING:
    from evreel.annotations.shapes import Annotations
    from evreel.cvat.sdk import Server, Task
    from evreel.dataset.dataset import DataSet
    from evreel.timebase import FrameClock
    from evreel.video.picture import Picture

FORMS = {"rois": "CVAT for video 1.1", "tags": "CVAT for images 1.1"}
"""Column → the export that it names: only that of images has tags, only that of video tracks."""
_SUFFIXES = (".zip", ".xml")
_LOOKS = 3
"""So often a task is exported anew that people change at that moment."""


class Pushed(NamedTuple):
    """A recording's task: its number, its page, and whether it was made now."""

    id: str
    task: int
    url: str
    is_new: bool


class Pulled(NamedTuple):
    """A file with a recording's annotations, and whether it was written now."""

    id: str
    column: str
    path: str
    is_new: bool


class _Video(NamedTuple):
    """What the workflow has made of a recording; its task may lack frames if the config says so."""

    id: str
    path: Path
    clock_path: Path
    clock: FrameClock
    picture: Picture
    note_path: Path
    note: Note | None
    may_lack_frames: bool


def cvat_push(
    dataset: DataSet,
    ids: Sequence[str] = (),
    settings: CvatSettings = CvatSettings(),
    *,
    auth: str | None = None,
    project: int | None = None,
    segment_size: int = 0,
    pre_labels: bool = True,
    again: bool = False,
    progress: Progress = silent,
) -> list[Pushed]:
    """Make a task of each recording's video on a CVAT server.

    A task appears under the recording's name when it is whole; one that a killed run has left there
    is removed by the next. Its number is written to ``<id>.cvat.json`` beside the clock.

    Parameters
    ----------
    dataset
        Which recordings there are; their videos and clocks must have been made.
    ids
        Recordings; none stands for all that people annotate.
    settings
        The server.
    auth
        ``USER`` or ``USER:PASS``; None takes the credentials that cvat-sdk finds.
    project
        Number of the CVAT project that tasks are made in, with its labels; None for none.
    segment_size
        Frames of each job; 0 makes one job of each task, because CVAT does not join tracks of
        several jobs.
    pre_labels
        Give tasks what the table names as annotation, to be corrected.
    again
        Make a new task also where there is one; that one stays.
    progress
        Called with recordings.

    Returns
    -------
    The task of each recording.

    Raises
    ------
    EvreelError
        If a task could not be made; those of other recordings are made all the same.
    """
    videos = _videos(dataset, ids or dataset.annotated, to_push=True)
    elsewhere = again and (settings.server or settings.profile)
    known = set() if elsewhere else {video.note.server for video in videos if video.note}
    made: list[Pushed] = []

    def push(server: Server, video: _Video) -> None:
        note = video.note
        if note is None or again:
            if note is not None:
                LOG.warning("%s: task %d stays at %s", video.id, note.task, _page(note))
            made.append(_push(server, dataset, video, settings, project, segment_size, pre_labels))
            return
        task = _task_of(server, note, video)
        if task.name == _unfinished(video):  # killed just before it got its name
            server.rename(task.id, video.id)
        lacking = _lacking(server.labels(task.id), dataset.labels())
        if lacking:
            LOG.warning(
                "%s: task %d lacks the labels %s. Add them in CVAT, or make a new task: --again",
                *(video.id, task.id, ", ".join(lacking)),
            )
        LOG.info("%s: is there, task %d: %s", video.id, task.id, server.url(task.id))
        made.append(Pushed(video.id, task.id, server.url(task.id), False))

    with open_server(settings, auth=auth, known=_only(known, settings)) as server:
        _each(videos, lambda video: push(server, video), progress)
    return made


def _only(servers: set[str], settings: CvatSettings) -> str | None:
    """Return the server of all tasks, None if none has one yet."""
    if settings.server is not None:
        servers = servers | {settings.server}
    if len(servers) > 1:
        raise UsageError(
            f"tasks are on several servers: {', '.join(sorted(servers))}",
            hint="Name the recordings of one server; or, to make new tasks on another one, give "
            "--server and --again.",
        )
    return next(iter(servers), None)


def _page(note: Note) -> str:
    return f"{note.server}/tasks/{note.task}"


def _each(videos: Sequence[_Video], do: Callable[[_Video], None], progress: Progress) -> None:
    """Do what is to be done of each recording; the error of one does not stop the others."""
    failed: list[tuple[str, EvreelError]] = []
    for video in with_progress(videos, len(videos), progress):
        try:
            do(video)
        except EvreelError as error:
            if len(videos) == 1 or isinstance(error, UnreachableError):
                raise
            LOG.error("%s: %s", video.id, error)
            failed.append((video.id, error))
    if failed:
        raise EvreelError(
            f"{len(failed)} of {len(videos)} recordings failed: "
            + ", ".join(id_ for id_, _ in failed),
            hint="What is wrong with each is said above.",
        )


def _videos(dataset: DataSet, ids: Sequence[str], *, to_push: bool) -> list[_Video]:
    """Return what there is of each recording; to pull, only its clock is needed.

    Raises
    ------
    UsageError
        If a recording is unknown, or what is needed of it was not made; with the command that
        makes it.
    """
    if not ids:
        raise UsageError("no recording of the table is annotated in CVAT", hint="Name some.")
    missing: list[str] = []
    for id_ in ids:
        row = dataset.row(id_)
        needed = [_in_video(dataset, id_, CLOCK_SUFFIX)]
        if to_push:
            needed.append(_in_video(dataset, id_, f".{dataset.video_suffix}"))
        if to_push and row.get("boxes"):
            needed.append(_boxes(dataset, id_))
        missing += (str(path) for path in needed if not path.is_file())
    if missing:
        raise UsageError(
            f"{missing[0]} is not there yet"
            + (f", and neither are {len(missing) - 1} more files" if len(missing) > 1 else ""),
            hint=f"Make it, with the same --configfile: snakemake --cores 2 "
            f"{' '.join(missing) if len(missing) < 7 else 'all_videos'}",
        )
    return [_video(dataset, id_) for id_ in dict.fromkeys(ids)]


def _boxes(dataset: DataSet, id_: str) -> Path:
    return Path(dataset.results, "boxes", f"{id_}{BOXES_SUFFIX}")


def _in_video(dataset: DataSet, id_: str, suffix: str) -> Path:
    return Path(dataset.results, "video", f"{id_}{suffix}")


def _video(dataset: DataSet, id_: str) -> _Video:
    from evreel.files.clock import read_clock

    clock_path = _in_video(dataset, id_, CLOCK_SUFFIX)
    clock, picture, _ = read_clock(clock_path)
    if picture is None:
        raise UsageError("does not state the size of the pictures", path=clock_path)
    note_path = _in_video(dataset, id_, NOTE_SUFFIX)
    return _Video(
        id_,
        _in_video(dataset, id_, f".{dataset.video_suffix}"),
        clock_path,
        clock,
        picture,
        note_path,
        read_note(note_path),
        dataset.settings(id_).annotate.part_of_video,
    )


# -- push


def _unfinished(video: _Video) -> str:
    """Return what a task is called until it is whole: the same at each attempt."""
    digest = digest_of([video.id, times_of(video.clock)])
    return f"{video.id} (evreel, unfinished, {digest[-12:]})"


def _push(
    server: Server,
    dataset: DataSet,
    video: _Video,
    settings: CvatSettings,
    project: int | None,
    segment_size: int,
    pre_labels: bool,
) -> Pushed:
    from evreel.cvat.labelled_data import label_specs, labelled_data

    digest = sha256(video.path)
    annotations, digests = _pre_labels(dataset, video, pre_labels)
    specs = label_specs(annotations)
    known = None if video.note is None else video.note.task
    for left in server.own_tasks(_unfinished(video)):
        if left == known:  # it is whole, though it did not get its name
            continue
        LOG.warning("%s: removes task %d, which an earlier run left unfinished", video.id, left)
        server.remove(left)
    number = server.create(_unfinished(video), specs, project=project, segment_size=segment_size)
    with _removed_on_error(server, video, number):
        server.upload(number, video.path)
        task = server.task(number)
        if wrong := _unlike(task, video, may_lack_frames=False):
            raise SourceError(
                f"CVAT takes {video.path.name} for another video: it {wrong}",
                place=server.url(number),
                hint="Pictures are numbered alike everywhere: video/container: png-zip.",
            )
        labels = server.labels(number)
        _check_labels(labels, dataset.labels())
        if annotations.tracks or annotations.tags:
            server.annotate(number, labelled_data(annotations, labels, len(video.clock)))
        if sha256(video.path) != digest:
            raise SourceError("was changed while it was in use", place=str(video.path))
    note = Note(
        task=number,
        server=server.address,
        created=task.created,
        organization=settings.org,
        project=project,
        video=video.path.name,
        frames=len(video.clock),
        times=times_of(video.clock),
        clock=sha256(video.clock_path),
        video_sha256=digest,
        pre_labels=digests,
    )
    with atomic(video.note_path) as (scratch,):
        write_note(scratch, note)
    server.rename(number, video.id)
    LOG.info(
        "%s: new, task %d with tracks and shapes %d, tags %d: %s",
        *(video.id, number, len(annotations.tracks), len(annotations.tags), server.url(number)),
    )
    return Pushed(video.id, number, server.url(number), True)


@contextlib.contextmanager
def _removed_on_error(server: Server, video: _Video, task: int) -> Iterator[None]:
    """Remove a task that did not become whole; if even that fails, name it."""
    try:
        yield
    except BaseException:
        try:
            server.remove(task)
        except EvreelError:
            LOG.warning(
                "%s: task %d stays unfinished at %s; the next push of it removes it",
                *(video.id, task, server.url(task)),
            )
        raise


def _lacking(there: Collection[str], labels: Sequence[str]) -> list[str]:
    return [label for label in labels if label not in there]


def _check_labels(there: Collection[str], labels: Sequence[str]) -> None:
    if lacking := _lacking(there, labels):
        raise UsageError(
            f"the CVAT project lacks the labels {', '.join(lacking)}; it has "
            f"{', '.join(there) or 'none'}",
            hint="Add them to it, or push without --project.",
        )


def _pre_labels(
    dataset: DataSet, video: _Video, wanted: bool
) -> tuple[Annotations, dict[str, str]]:
    """Return what is known of a recording's objects, and the digests of where it is from."""
    from evreel.annotations.shapes import Annotations

    row, settings = dataset.row(video.id), dataset.settings(video.id).annotate
    files = {}
    for column in ANNOTATIONS:
        named = [Path(path) for path in paths_in(row.get(column))]
        files[column] = [path for path in named if path.exists()]
        for path in named if wanted else ():
            if not path.exists():  # it is still to be pulled
                LOG.warning("%s: %s %s is not there, and is not pushed", video.id, column, path)
    if row.get("boxes"):
        files["rois"] = [_boxes(dataset, video.id)]
    if not wanted or not any(files.values()):
        return Annotations(tuple(dataset.labels())), {}
    if settings.homography is not None:
        raise UsageError(
            f"{video.id}: its annotation was drawn on another camera's pictures (annotate/"
            "homography), and cannot be corrected on this video",
            hint="Push it without: --no-pre-labels.",
        )
    found = read_annotations(
        files["rois"],
        files["tags"],
        video.clock,
        settings,
        dataset.labels(),
        clock=video.clock_path,
        picture=video.picture,
        names=dataset.names(video.id),
    )
    for doubt in found.doubts:
        LOG.warning("%s: %s", video.id, doubt)
    digests = {
        role_of(column, k): content_sha256(path)
        for column, paths in files.items()
        for k, path in enumerate(paths)
    }
    return _with_key_frames(found.annotations, files["rois"]), digests


def _with_key_frames(annotations: Annotations, rois: Sequence[Path]) -> Annotations:
    """Return annotations whose key frames are few: CVAT's are people's own, and stay."""
    from evreel.annotations.keyframes import sparse
    from evreel.annotations.open import form_of

    if not rois or all(form_of(path) == "cvat" for path in rois):
        return annotations
    loose = tuple(track for track in annotations.tracks if track.id < 0)
    tracks = replace(
        annotations, tracks=tuple(track for track in annotations.tracks if track.id >= 0)
    )
    return replace(annotations, tracks=(*sparse(tracks).tracks, *loose))


# -- pull


def cvat_pull(
    dataset: DataSet,
    ids: Sequence[str] = (),
    settings: CvatSettings = CvatSettings(),
    *,
    auth: str | None = None,
    task: int | None = None,
    deleted_frames: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[Pulled]:
    """Bring the annotations of each recording's task, where the table names them.

    Both exports are held against the clock before a file is written. A file that says the same
    already is left as it is.

    Parameters
    ----------
    dataset
        Which recordings there are, and which files their columns `rois` and `tags` name; these need
        not exist. Where a column names no file, one in ``annotations/`` beside the table is
        written, and the log says what to write into the table.
    ids
        Recordings; none stands for all that have a task.
    settings, auth
        As in `cvat_push`.
    task
        Number of the task of the only recording, if it was not made by `cvat_push`.
    deleted_frames
        Take a task of which frames were deleted in CVAT: they are not labelled then.
    overwrite
        Replace files also if what is in them is neither from this task nor given to it.
    progress
        As in `cvat_push`.

    Returns
    -------
    The files of each recording.

    Raises
    ------
    EvreelError
        If the annotations of a recording could not be brought, or are not of its video; those of
        other recordings are brought all the same.
    """
    chosen = ids or [
        id_ for id_ in dataset.recordings if _in_video(dataset, id_, NOTE_SUFFIX).exists()
    ]
    if not chosen:
        raise UsageError(
            "no recording has a task yet",
            hint="Make them: evreel cvat push. Or name the recording, and its task with --task.",
        )
    videos = _videos(dataset, chosen, to_push=False)
    if task is not None and len(videos) != 1:
        raise UsageError("--task is of one recording; name that")
    elsewhere = task is not None and (settings.server or settings.profile)
    known = set() if elsewhere else {video.note.server for video in videos if video.note}
    named = Counter(
        path.absolute()
        for row in dataset.recordings.values()
        for column in ANNOTATIONS
        for path in map(Path, paths_in(row.get(column)))
    )
    found: list[Pulled] = []

    def pull(server: Server, video: _Video) -> None:
        note = video.note
        if task is not None and (note is None or note.task != task):
            note = _note_of(server, server.task(task), video, settings)
        if note is None:
            raise UsageError(
                f"{video.id} has no task: there is no {video.note_path}",
                hint="Make one: evreel cvat push. Or name one that is there with --task.",
            )
        targets = {column: _target(dataset, video.id, column, named) for column in FORMS}
        found.extend(_pull(server, dataset, video, note, targets, deleted_frames, overwrite))

    with open_server(settings, auth=auth, known=_only(known, settings)) as server:
        _each(videos, lambda video: pull(server, video), progress)
    return found


def _note_of(server: Server, task: Task, video: _Video, settings: CvatSettings) -> Note:
    """Return the note of a task that was made by hand."""
    return Note(
        task=task.id,
        server=server.address,
        created=task.created,
        organization=settings.org,
        project=None,
        video=Path(task.pictures[0]).name if task.pictures and not task.of_images else "",
        frames=len(video.clock),
        times=times_of(video.clock),
        clock=sha256(video.clock_path),
        video_sha256=sha256(video.path) if video.path.exists() else "",
    )


def _task_of(server: Server, note: Note, video: _Video) -> Task:
    """Return the task of a note.

    Raises
    ------
    AnnotationError
        If it, or the clock, is not the one that the note is of.
    """
    if note.times != times_of(video.clock):
        raise AnnotationError(
            f"the times of its frames are not those that task {note.task} was made with, which has "
            f"{note.frames} frames",
            path=video.clock_path,
            hint="Make the video as it was: video/window_us, video/n_frames, events. Or begin a "
            "new task: evreel cvat push --again.",
        )
    task = server.task(note.task)
    if task.created != note.created:
        raise AnnotationError(
            f"is not the task that was pushed: it was made at {task.created}, that one at "
            f"{note.created}",
            place=server.url(note.task),
            hint="Was the server set up anew? Then push again, with --again.",
        )
    if wrong := _unlike(task, video, may_lack_frames=video.may_lack_frames):
        raise AnnotationError(
            f"is of another video than {video.path.name}: it {wrong}",
            place=server.url(note.task),
            hint="Name the right task with --task, or push again, with --again.",
        )
    shown = [] if task.of_images else [Path(name).name for name in task.pictures]
    if shown and shown[0] != note.video:
        raise AnnotationError(
            f"shows {shown[0]}, not {note.video}",
            place=server.url(note.task),
            hint="Name the right task with --task, or push again, with --again.",
        )
    return task


def _unlike(task: Task, video: _Video, *, may_lack_frames: bool) -> str | None:
    """Return what a task has that the video has not; None if they go together."""
    if task.size != len(video.clock) and not (may_lack_frames and task.size < len(video.clock)):
        return f"has {task.size} frames; the clock has {len(video.clock)}"
    if task.picture_shape is not None and task.picture_shape != video.picture.shape:
        (height, width), (own_height, own_width) = task.picture_shape, video.picture.shape
        return f"has pictures of {width}x{height} px; the video's are {own_width}x{own_height}"
    return None


class _Target(NamedTuple):
    """Where an export goes, and why the table has to be changed for it; None if it need not."""

    path: Path
    reason: str | None


def _target(dataset: DataSet, id_: str, column: str, named: Mapping[Path, int]) -> _Target:
    """Return the file of a column, or the one that we would name.

    Parameters
    ----------
    named
        How often the table names each file.
    """
    row = dataset.row(id_)
    files = [Path(path) for path in paths_in(row.get(column))]
    folder = Path(dataset.config.recordings).parent / "annotations"
    own = folder / f"{id_}{'' if column == 'rois' else '.tags'}.zip"
    if not files:
        return _Target(own, f"{column} names no file")
    if len(files) > 1:
        return _Target(own, f"{column} names {len(files)} files; a task has one export")
    if files[0].is_dir() or files[0].suffix.lower() not in _SUFFIXES:
        return _Target(own, f"{column} names {files[0]}, which is not a zip or an XML")
    if named[files[0].absolute()] > 1:
        return _Target(own, f"{column} names {files[0]}, as another column or recording does")
    return _Target(files[0], None)


def _pull(
    server: Server,
    dataset: DataSet,
    video: _Video,
    note: Note,
    targets: Mapping[str, _Target],
    deleted_frames: bool,
    overwrite: bool,
) -> list[Pulled]:
    with scratch_path(video.note_path) as scratch:
        exports = {}
        for column, target in targets.items():
            exports[column] = scratch.parent / column / target.path.with_suffix(".zip").name
            exports[column].parent.mkdir()
        task = _export(server, note, video, exports, deleted_frames)
        joined = _checked(dataset, video, exports)
        wanted = _wanted(targets, joined, task)
        written = {
            column: path
            for column, path in exports.items()
            if column in wanted and _differs(path, targets[column].path)
        }
        _guard(written, targets, note, overwrite)
        _write(video, note, written, targets)
    for column in FORMS:
        if column in written and (md5 := dataset.row(video.id).get(f"{column}_md5")):
            _say_md5(dataset, video.id, column, md5, targets[column].path)
    _say_names(dataset, video.id, {column: targets[column] for column in wanted})
    LOG.info(
        "%s: task %d has tracks and shapes %d, tags %d; %s",
        *(video.id, task.id, len(joined.tracks), len(joined.tags)),
        f"wrote {', '.join(str(targets[column].path) for column in written)}"
        if written
        else "nothing has changed",
    )
    return [
        Pulled(video.id, column, str(targets[column].path), column in written) for column in wanted
    ]


def _export(
    server: Server,
    note: Note,
    video: _Video,
    exports: Mapping[str, Path],
    deleted_frames: bool,
) -> Task:
    """Write both exports of a task at one state of it, which is returned."""
    for _ in range(_LOOKS):
        task = _task_of(server, note, video)
        if task.deleted and not deleted_frames:
            named = ", ".join(map(str, task.deleted[:5])) + (" …" if len(task.deleted) > 5 else "")
            one = len(task.deleted) == 1
            raise AnnotationError(
                f"{'frame' if one else 'frames'} {named} {'was' if one else 'were'} deleted in "
                "CVAT",
                place=server.url(note.task),
                hint="Restore them there; or, if they are not to be labelled, give "
                "--deleted-frames.",
            )
        for column, path in exports.items():
            path.unlink(missing_ok=True)
            server.export(note.task, FORMS[column], path)
        if server.task(note.task).updated == task.updated:
            return task
    raise SourceError(
        "was changed each time while it was exported",
        place=server.url(note.task),
        hint="Pull when nobody works on it.",
    )


def _checked(dataset: DataSet, video: _Video, exports: Mapping[str, Path]) -> Annotations:
    """Return what both exports say together, held against the clock as `annotate` does it."""
    found = read_annotations(
        exports["rois"],
        exports["tags"],
        video.clock,
        dataset.settings(video.id).annotate,
        dataset.labels(),
        clock=video.clock_path,
        picture=video.picture,
        names=dataset.names(video.id),
    )
    for doubt in found.doubts:
        LOG.warning("%s: %s", video.id, doubt)
    return found.annotations


def _wanted(targets: Mapping[str, _Target], found: Annotations, task: Task) -> list[str]:
    """Return the columns whose exports say something that no other does, or that have a file."""
    only_in = {
        "rois": bool(found.tracks) or targets["tags"].reason is not None,
        "tags": bool(found.tags or task.of_images or task.deleted),
    }
    return [column for column in FORMS if targets[column].reason is None or only_in[column]]


def _differs(export: Path, target: Path) -> bool:
    from evreel.cvat.exports import says_the_same

    return not (target.is_file() and says_the_same(target, export))


def _guard(
    written: Mapping[str, Path], targets: Mapping[str, _Target], note: Note, overwrite: bool
) -> None:
    """Raise if a file would be lost that is neither from the task nor was given to it."""
    ours = {*note.pre_labels.values(), *(one["sha256"] for one in note.pulled.values())}
    for column in written:
        path = targets[column].path
        if path.exists() and not overwrite and (path.is_dir() or sha256(path) not in ours):
            raise UsageError(
                f"{path} was not pulled from task {note.task}, or was edited since; it would be "
                "replaced",
                hint="Move it away, or give --overwrite.",
            )


def _write(
    video: _Video, note: Note, written: Mapping[str, Path], targets: Mapping[str, _Target]
) -> None:
    """Write files, and the note that knows them, all or none."""
    from evreel.cvat.exports import copy_export

    finals = [targets[column].path for column in written]
    if written or note != video.note:
        finals.append(video.note_path)  # last: a file that it does not know yet is the task's own
    with atomic(*finals) as scratch:
        pulled = dict(note.pulled)
        for (column, export), path in zip(written.items(), scratch, strict=False):
            copy_export(export, path)
            pulled[column] = {"file": str(targets[column].path), "sha256": sha256(path)}
        if finals:
            write_note(scratch[-1], replace(note, pulled=pulled))


def _say_names(dataset: DataSet, id_: str, targets: Mapping[str, _Target]) -> None:
    """Say what to write into the table, where it does not name what was pulled."""
    cells = {column: target for column, target in targets.items() if target.reason is not None}
    if not cells:
        return
    said = ", ".join(f"{column} {target.path}" for column, target in cells.items())
    more = ", and take boxes out of it" if dataset.row(id_).get("boxes") else ""
    reasons = "; ".join(str(target.reason) for target in cells.values())
    LOG.warning(
        "%s: %s. Write into its row of %s: %s%s",
        *(id_, reasons, dataset.config.recordings, said, more),
    )


def _say_md5(dataset: DataSet, id_: str, column: str, md5: str, path: Path) -> None:
    """Say that the table pins other bytes."""
    import hashlib

    with path.open("rb") as file:
        now = hashlib.file_digest(file, "md5").hexdigest()
    if now != md5:
        LOG.warning(
            "%s: %s_md5 in %s is of the file before; it is %s now",
            *(id_, column, dataset.config.recordings, now),
        )
