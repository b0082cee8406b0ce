"""Checking what evreel made, and auditing data sets that it did not make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evreel.checks import made
from evreel.checks.events import Columns
from evreel.checks.finding import Finding, Report, unreadable
from evreel.checks.labels import LabelSpan
from evreel.checks.made import cut
from evreel.checks.neighbours import (
    BOXES,
    DAMAGE,
    RECORDING,
    File,
    Head,
    id_of,
    kind_of,
    of_one_recording,
    read_head,
)
from evreel.checks.released import Release
from evreel.checks.splits import LISTS, PAPERS, checked_folders, checked_lists, split_list
from evreel.checks.walk import Done, Folder, LabelMaps, Place, is_file, shown, size_of
from evreel.errors import EvreelError, LayoutError, UnknownFormatError, UsageError
from evreel.events import Sensor
from evreel.layout import LABEL_MAP
from evreel.outputs import Progress, silent
from evreel.recordings import event_chunks, open_recording


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check what evreel made.

    Parameters
    ----------
    path
        An events store, slices, samples, a features file, boxes (``…_bbox.npy``), a release (told
        by its manifest), or any other folder, in which every such file and release is checked.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        Where the path is nothing that evreel made, or is not there.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=False)
    kind = kind_of(place)
    if kind is None:
        raise UsageError(
            "is no file that evreel made",
            path=place,
            hint="For recordings and data sets of others, use `evreel audit`.",
        )
    return _checked_file(place, kind, progress)


def audit(path: str | Path, *, sensor: Sensor | None = None, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, as far as checks apply.

    Parameters
    ----------
    path
        A file, or a folder: every recording that `evreel.recordings.open_recording` reads, boxes in
        ``…_bbox.npy``, lists of splits (``train.txt``, ``test_files.csv``, …: a name a line, or
        in the first column), folders ``train``, ``my_val``, …; and what evreel made. Links to
        folders are not followed.
    sensor
        Size of the recordings, where they can't say.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first, and how many files could not be told.

    Raises
    ------
    UsageError
        Where the path is not there, or is a file that can't be told.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=True, sensor=sensor)
    kind = kind_of(place)
    if kind is not None:
        return _checked_file(place, kind, progress)
    done = Done([place], progress)
    found: list[Finding] = []
    others = [Place(place, shown(place.name))]
    looked_at = len(_checked_others(others, (), found, done, sensor)[1])
    if not looked_at:
        raise UsageError(
            "is no recording that can be read, no boxes and no list of a split", path=place
        )
    return _report(found, looked_at)


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise UsageError("is not there", path=place)
    return place


def _report(found: Iterable[Finding], looked_at: int, not_looked_at: int = 0) -> Report:
    return Report(tuple(sorted(set(found))), looked_at, not_looked_at)


def _checked_file(place: Path, kind: str, progress: Progress) -> Report:
    """Check one file that evreel made; those beside it say what is known of its recording."""
    file = File(place, shown(place.name), kind, id_of(place.name))
    beside = place.with_name(f"{file.id}.h5")
    other = kind_of(beside) if beside != place and beside.exists() else None
    heads = [] if other is None else [read_head(File(beside, beside.name, other, file.id))]
    folders = place.absolute().parents if kind == BOXES else ()
    named = (folder / LABEL_MAP for folder in folders if is_file(folder / LABEL_MAP))
    maps = LabelMaps(Place(nearest, LABEL_MAP) for nearest in list(named)[:1])
    found = [*made.check_files([file], heads, maps.of, Done([place], progress))]
    found += made.check_cuts(made.read_cuts([file]), whole=False)
    # What is wrong with a neighbour is a finding of the neighbour.
    of_file = [finding for finding in found if finding.path == file.path]
    return _report([*maps.findings, *of_file], 1)


def _checked_folder(
    root: Path, progress: Progress, *, foreign: bool, sensor: Sensor | None = None
) -> Report:
    """Check what evreel made in a folder, or all of a data set, whoever made it."""
    folder = Folder(root)
    releases = [Release(*release) for release in folder.releases]
    places = [
        *(file.place for file in folder.files),
        *(file.place for release in releases for file in (*release.files, *release.unlisted)),
        *(other.place for other in folder.others if foreign),
    ]
    done = Done(places, progress)
    maps = LabelMaps(folder.maps)
    found = [*folder.findings, *maps.findings]
    heads: list[Head] = []
    told: list[Place] = []
    if foreign:
        heads, told = _checked_others(folder.others, folder.files, found, done, sensor)
        of_files = (Place(file.place, file.path) for file in folder.files)
        found += checked_folders([*folder.others, *of_files])
    found += made.check_files(folder.files, heads, maps.of, done)
    in_folder: dict[str, list[File]] = {}
    for file in folder.files:
        in_folder.setdefault(file.folder, []).append(file)
    for files in in_folder.values():
        found += made.check_cuts(made.read_cuts(files))
    for release in releases:
        found += release.check(done)
    looked_at = len(folder.files) + len(folder.maps) + len(told)
    return _report(
        found,
        looked_at + sum(release.looked_at for release in releases),
        len(folder.others) - len(told) + sum(release.not_looked_at for release in releases),
    )


def _checked_others(
    others: Sequence[Place],
    files: Sequence[File],
    found: list[Finding],
    done: Done,
    sensor: Sensor | None,
) -> tuple[list[Head], list[Place]]:
    """Add what is found in recordings and lists; return what they say, and which could be told."""
    lists = [other for other in others if split_list(other.path)]
    found += checked_lists(lists)
    recordings = [
        File(other.place, other.path, RECORDING, id_of(other.place.name))
        for other in others
        if not split_list(other.path)
    ]
    named: dict[str, list[Head]] = {}
    for file in (*recordings, *files):
        named.setdefault(file.id, []).append(Head(file))
    heads = []
    for file in recordings:
        head = _checked_recording(file, named[file.id], found, sensor)
        if head is not None:
            heads.append(head)
        done(file)
    told = [Place(head.file.place, head.file.path) for head in heads]
    return heads, [*lists, *told]


def _checked_recording(
    file: File, named: Sequence[Head], found: list[Finding], sensor: Sensor | None
) -> Head | None:
    """Add what is found in a recording; return what it says of itself, None where it is none."""
    place, path = file.place, file.path
    meant = place.suffix not in (*PAPERS, *LISTS)
    if not is_file(place):
        if meant and place.is_symlink() and not place.exists():
            found.append(unreadable(path, "is a link to what is not there"))
            return Head(file)
        return None
    if not size_of(place):
        if not meant:
            return None
        found.append(unreadable(path, "is empty; copy or download it again"))
        return Head(file)
    try:
        recording = open_recording(place, sensor=sensor)
    except (UnknownFormatError, LayoutError):
        return None  # LayoutError: HDF5, and none of evreel's
    except (EvreelError, *DAMAGE) as error:
        found.append(unreadable(path, *cut(error)))
        return Head(file)
    rows = 0
    t_stop_us = 0

    def columns() -> Iterator[Columns]:
        nonlocal rows, t_stop_us
        for events in event_chunks(recording):
            if len(events):
                t, x, y, p = (getattr(events, name).astype("int64") for name in "txyp")
                yield Columns(rows, t, x, y, p)
                rows += len(events)
                t_stop_us = events.t_stop_us

    with recording:
        checks = made.event_checks(recording.sensor)
        span = _label_span(file, named, recording.t_offset)
        if span is not None:
            checks["label_span"] = span
        of_events = list(made.as_findings(path, lambda: made.run(path, columns(), checks)))
        damaged = any(finding.check == "readable" for finding in of_events)
        if not rows and not damaged:
            of_events.append(unreadable(path, "holds no event"))
        found += of_events
        # Where the reader stopped at damage, the recording's end is not known.
        end = (None, None) if damaged else (t_stop_us, rows)
        return Head(file, recording.sensor, recording.t_offset, *end)


def _label_span(file: File, named: Sequence[Head], t_offset: int) -> LabelSpan | None:
    """Return the check of how much of a recording its boxes cover, where it has any.

    Whether other files of its name are recordings is not known yet: those with its suffix are
    taken for such.
    """
    heads = [
        head
        for head in named
        if head.file.kind == BOXES
        or (head.file.kind == RECORDING and head.file.place.suffix == file.place.suffix)
    ]
    [group] = [group for group in of_one_recording(heads) if Head(file) in group]
    boxes = [head.file for head in group if head.file.kind == BOXES]
    near = [other for other in boxes if other.folder == file.folder] or boxes
    if len(near) != 1:
        return None
    try:
        t = made.read_boxes(near[0], t_offset).t
    except (EvreelError, *DAMAGE):
        return None  # a finding of the boxes
    return LabelSpan(int(t.min()), int(t.max())) if len(t) else None
