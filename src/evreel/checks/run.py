"""Checking what evreel made, and auditing data sets that it did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from evreel.checks.boxes import check_boxes, check_boxes_of_windows
from evreel.checks.dataset import check_cuts, made_from
from evreel.checks.features import check_features, check_features_of
from evreel.checks.finding import DAMAGE, Finding, Report
from evreel.checks.inventory import (
    BOXES,
    BOXES_OF_WINDOWS,
    DAMAGED,
    RECORDING,
    Done,
    Entry,
    File,
    Folder,
    Head,
    Known,
    LabelMaps,
    id_of,
    is_file,
    kind_of,
    of_one_recording,
    read_head,
    shown,
)
from evreel.checks.looked import Looked
from evreel.checks.recordings import check_recording
from evreel.checks.registry import as_findings, findings, unreadable
from evreel.checks.release import Release
from evreel.checks.samples import check_samples, check_samples_of, read_cuts
from evreel.checks.slices import check_slices, check_slices_of, drawn_labels
from evreel.checks.splits import checked_folders, checked_lists, split_list
from evreel.checks.stores import check_store
from evreel.errors import EvreelError, LayoutError, UsageError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.repack import needs_plugin
from evreel.layout import BOXES_SUFFIX, EVENTS, FEATURES, FIRST_SUFFIX, LABEL_MAP, SAMPLES, SLICES
from evreel.outputs import Progress, silent
from evreel.provenance import sha256
from evreel.release.origins import ANNOTATED, STORE, Made, said_by


def check(path: str | Path, *, progress: Progress = silent) -> Report:
    """Check what evreel made.

    Parameters
    ----------
    path
        An events store, slices, samples, a features file, boxes (``…_bbox.npy``), a release
        (recognized by its manifest), or any other folder: all such files and releases in it.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first.

    Raises
    ------
    UsageError
        If the path does not exist, or evreel did not make it.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=False)
    kind = kind_of(place)
    if kind is None:
        raise UsageError(
            "is not a file that evreel made",
            path=place,
            hint="For recordings and others' data sets, use `evreel audit`.",
        )
    return _checked_file(place, kind, progress)


def check_release(folder: Path, looked: Mapping[str, Looked]) -> Report:
    """Check a release, some of whose files were looked at before.

    Parameters
    ----------
    folder
        The release.
    looked
        Path in the release → what a look at that file has found.

    Returns
    -------
    What `check` returns for the folder, sooner.
    """
    release = Release(folder, "", looked)
    done = Done(release.files, silent)
    return _report(_checked_release(release, done), release.looked_at, release.not_looked_at)


def look(
    location: Path,
    source: str,
    stores: Sequence[tuple[Path, str]] = (),
    of_events: Iterable[Finding] | None = None,
) -> Looked:
    """Look at a file that is going to be in a release.

    Parameters
    ----------
    location
        The file, or another one with the same content.
    source
        Digest of the file that others are made from.
    stores
        The events store of its recording, and its digest; none if there is no other than the file.
    of_events
        What checks of events have found in that store, if the file has the same events.
    """
    kind = kind_of(location)
    file = File(location, "", kind or "", id_of(location.name))
    head = read_head(file)
    if kind is None or kind not in _CHECKS:
        return Looked(kind, source, head)
    heads = [read_head(File(path, path.name, EVENTS.name, file.id)) for path, _ in stores]
    digests = dict(stores)
    known = Known(file, [head, *heads])
    basis = known.basis(lambda store: digests.get(store.location))
    checks = _CHECKS[kind]
    told = {"of_events": of_events} if kind == SLICES.name and of_events is not None else {}
    alone = tuple(as_findings("", lambda: checks.alone(file, **told)))
    against = {}
    if basis is not None and heads:
        same = checks.against is check_slices_of and bool(told)
        against[basis] = () if same else tuple(as_findings("", lambda: checks.against(file, known)))
    drawn = drawn_labels(file) if kind == SLICES.name else None
    return Looked(kind, source, head, said_by(location), drawn, alone, against)


def audit(path: str | Path, *, sensor: Sensor | None = None, progress: Progress = silent) -> Report:
    """Check a recording or a data set that evreel did not make, with all checks that apply.

    Parameters
    ----------
    path
        A file, or a folder: every recording that `evreel.recordings.open_recording` reads, boxes in
        ``…_bbox.npy``, lists of splits (``train.txt``, ``test_files.csv``, …: one name per line, or
        in the first column), folders ``train``, ``my_val``, …; and what evreel made. Links to
        folders are not followed.
    sensor
        Sensor size, for recordings that do not state it.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    The findings, errors first, and how many files were not recognized.

    Raises
    ------
    UsageError
        If the path does not exist, or is a file that is not recognized.
    """
    place = _existing(path)
    if place.is_dir():
        return _checked_folder(place, progress, foreign=True, sensor=sensor)
    kind = kind_of(place)
    if kind is not None:
        return _checked_file(place, kind, progress)
    found: list[Finding] = []
    others = [Entry(place, shown(place.name))]
    looked_at = len(_checked_others(others, (), found, Done(others, progress), sensor)[1])
    if not looked_at:
        raise UsageError(
            "is not a recording that evreel can read, nor boxes, nor a list of a split", path=place
        )
    return _report(found, looked_at)


def _existing(path: str | Path) -> Path:
    place = Path(path)
    if not place.exists():
        raise UsageError("does not exist", path=place)
    return place


def _report(
    found: Iterable[Finding],
    looked_at: int,
    not_looked_at: int = 0,
    files: Iterable[Entry] = (),
) -> Report:
    once = _once(set(found), {file.path: file for file in files})
    return Report(tuple(sorted(once)), looked_at, not_looked_at)


def _once(found: Iterable[Finding], files: Mapping[str, Entry]) -> Iterator[Finding]:
    """Yield findings, those that are the same in copies of one file as one that names them all."""
    alike: dict[Finding, list[str]] = {}
    for finding in sorted(found):
        alike.setdefault(replace(finding, path=""), []).append(finding.path)
    for finding, paths in alike.items():
        of_content: dict[str, list[str]] = {}
        sizes = Counter(files[path].size for path in paths if path in files)
        for path in paths:
            # Only what may be a copy is read.
            may_be = path in files and sizes[files[path].size] > 1
            content = _content(files[path]) if may_be else None
            of_content.setdefault(content or path, []).append(path)
        for first, *copies in of_content.values():
            yield replace(finding, path=first, copies=tuple(copies))


def _content(file: Entry) -> str | None:
    """Return what stands for a file's bytes, None if it cannot be read."""
    try:
        return f"sha256:{sha256(file.location)}"
    except (EvreelError, OSError):
        return None


def _checked_file(place: Path, kind: str, progress: Progress) -> Report:
    """Check one file that evreel made; files beside it say what is known of its recording."""
    file = File(place, shown(place.name), kind, id_of(place.name))
    beside = place.with_name(f"{file.id}.h5")
    other = kind_of(beside) if beside != place and beside.exists() else None
    heads = [] if other is None else [read_head(File(beside, beside.name, other, file.id))]
    folders = place.absolute().parents if kind in (BOXES, BOXES_OF_WINDOWS) else ()
    named = [folder / LABEL_MAP for folder in folders if is_file(folder / LABEL_MAP)]
    maps = LabelMaps(Entry(nearest, LABEL_MAP) for nearest in named[:1])
    found = [*_checked_files([file], heads, maps.of, Done([file], progress))]
    found += check_cuts(read_cuts([file]), whole=False)
    # Findings of a neighbour belong to the neighbour.
    of_file = [finding for finding in found if finding.path == file.path]
    return _report([*maps.findings, *of_file], 1)


def _checked_folder(
    root: Path, progress: Progress, *, foreign: bool, sensor: Sensor | None = None
) -> Report:
    """Check what evreel made in a folder, or a whole data set, whoever made it."""
    folder = Folder(root)
    releases = [Release(*release) for release in folder.releases]
    of_releases = [file for release in releases for file in (*release.files, *release.unlisted)]
    others = folder.others if foreign else []
    done = Done([*folder.files, *of_releases, *others], progress)
    maps = LabelMaps(folder.maps)
    found = [*folder.findings, *maps.findings]
    heads, known = _checked_others(others, folder.files, found, done, sensor)
    if foreign:
        found += checked_folders([*others, *folder.files])
    found += _checked_files(folder.files, heads, maps.of, done)
    in_folder: dict[str, list[File]] = {}
    for file in folder.files:
        in_folder.setdefault(file.folder, []).append(file)
    for files in in_folder.values():
        found += check_cuts(read_cuts(files))
    for release in releases:
        found += _checked_release(release, done)
    return _report(
        found,
        len(folder.files) + len(folder.maps) + len(known) + sum(r.looked_at for r in releases),
        len(folder.others) - len(known) + sum(r.not_looked_at for r in releases),
        [*folder.files, *of_releases, *others],
    )


def _checked_release(release: Release, done: Done) -> Iterator[Finding]:
    """Yield what is found in a release; its manifest says which files belong together."""
    maps = LabelMaps(release.maps)
    yield from maps.findings
    yield from _checked_files(
        *(release.files, (), maps.of, done),
        parted=lambda heads: [list(heads)],
        alone=False,
        looked=release.looked,
    )
    yield from _checked_files(release.unlisted, (), maps.of, done)
    yield from release.check()


def _checked_others(
    others: Sequence[Entry],
    files: Sequence[File],
    found: list[Finding],
    done: Done,
    sensor: Sensor | None,
) -> tuple[list[Head], list[Entry]]:
    """Add what is found in recordings and lists; return their heads, and the recognized files."""
    lists = [other for other in others if split_list(other.path)]
    found += checked_lists(lists)
    recordings = [
        File(other.location, other.path, RECORDING, id_of(other.location.name))
        for other in others
        if not split_list(other.path)
    ]
    named: dict[str, list[Head]] = {}
    for file in (*recordings, *files):
        named.setdefault(file.id, []).append(Head(file))
    heads = []
    for file in recordings:
        head = check_recording(file, named[file.id], sensor, found)
        if head is not None:
            heads.append(head)
        done(file)
    return heads, [*lists, *(head.file for head in heads)]


def _checked_files(
    files: Sequence[File],
    others: Sequence[Head] = (),
    labels: Callable[[File], Collection[int] | None] = lambda file: None,
    done: Callable[[File], None] = lambda file: None,
    *,
    parted: Callable[[Sequence[Head]], list[list[Head]]] = of_one_recording,
    alone: bool = True,
    looked: Mapping[str, Looked] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Yield what is found in files that evreel made, each alone and against its neighbours.

    Parameters
    ----------
    files
        The files; those of one recording have the same `id`.
    others
        What other files, which evreel did not make, say of their recordings.
    labels
        Function of a file → the class numbers that are named for it; None if none are.
    done
        Called after each file.
    parted
        Function that divides the heads of one `id` into groups of one recording each.
    alone
        Whether what the files themselves say of their origin is all that is known of it.
    looked
        Path of a file → what a look at it has found before.
    """
    named: dict[str, list[Head]] = {}
    found = (looked[f.path].head_of(f) if f.path in looked else read_head(f) for f in files)
    for head in [*found, *others]:
        named.setdefault(head.file.id, []).append(head)
    groups = [group for heads in named.values() for group in parted(heads)]
    group_of = {head.file: group for group in groups for head in group}
    for file in files:
        yield from _checked_one(file, Known(file, group_of[file], labels(file)), looked)
        done(file)
    for group in groups if alone else ():
        yield from findings(made_from, _origins(group))


def _checked_one(file: File, known: Known, looked: Mapping[str, Looked]) -> Iterator[Finding]:
    """Yield what is found in a file, alone and beside others of its recording."""
    checks, before = _CHECKS[file.kind], looked.get(file.path)
    if before is None:
        yield from as_findings(file.path, lambda: checks.alone(file))
        yield from as_findings(file.path, lambda: checks.against(file, known))
        return
    yield from before.found(before.alone, file.path)
    basis = known.basis(lambda of: looked[of.path].source if of.path in looked else None)
    if basis is not None and basis in before.against:
        yield from before.found(before.against[basis], file.path)
    else:
        yield from as_findings(file.path, lambda: checks.against(file, known))


_ROLES = {EVENTS.name: STORE, SLICES.name: ANNOTATED, BOXES: BOXES, RECORDING: RECORDING}
"""Kind of a file → what files that were made from it call it."""


def _origins(heads: Sequence[Head]) -> Iterator[Made]:
    """Yield what the files of a recording say of their origin."""
    kinds = Counter(head.file.kind for head in heads)
    named = {role for head in heads for role in (*head.inputs, *head.beside)}
    of_windows = {head.file.path for head in heads if head.file.kind == BOXES_OF_WINDOWS}
    for head in heads:
        file, role, digest = head.file, _ROLES.get(head.file.kind, ""), None
        if file.path in of_windows or file.path.removesuffix(".h5") + BOXES_SUFFIX in of_windows:
            yield from _beside_windows(file)
            continue
        # Of two files of a kind, nothing says which one the others were made from.
        if role in named and kinds[file.kind] == 1:
            try:
                # Repacked files of a release have other bytes than those that files are made from.
                if role not in (STORE, ANNOTATED) or needs_plugin(file.location):
                    digest = sha256(file.location)
            except (EvreelError, *DAMAGE):
                pass  # its own findings say why
        yield Made(file.path, file.id, role, digest, head.inputs, head.beside)


def _beside_windows(file: File) -> Iterator[Made]:
    """Yield what boxes in the order of windows, or the feature file beside them, say."""
    of = file.path.removesuffix(".h5").removesuffix(BOXES_SUFFIX)
    try:
        digest = sha256(file.location)
        made = Made.read(file.path, file.id, file.location, lambda: digest, (of + FIRST_SUFFIX,))
        if file.kind == BOXES_OF_WINDOWS or needs_plugin(file.location):
            yield made
        else:  # a repacked one has other bytes
            yield replace(made, role="", digest=None)
    except (EvreelError, *DAMAGE):
        pass  # its own findings say why


def _check_damaged(file: File) -> Iterator[Finding]:
    """Yield why a file cannot be opened."""
    if not file.location.stat().st_size:
        raise LayoutError("is empty", hint=hdf5.REBUILD)
    hdf5.open_hdf5(file.location).close()
    yield unreadable(file.path, "could not be opened at first, but could the second time")


def _nothing(file: File, known: Known | None = None) -> Iterator[Finding]:
    """Yield no finding."""
    yield from ()


class _Checks(NamedTuple):
    """What checks a file by itself, and what checks how it fits its recording."""

    alone: Callable[..., Iterator[Finding]] = _nothing
    against: Callable[[File, Known], Iterator[Finding]] = _nothing


_CHECKS: Mapping[str, _Checks] = {
    EVENTS.name: _Checks(check_store),
    SLICES.name: _Checks(check_slices, check_slices_of),
    SAMPLES.name: _Checks(check_samples, check_samples_of),
    FEATURES.name: _Checks(check_features, check_features_of),
    BOXES: _Checks(against=check_boxes),
    BOXES_OF_WINDOWS: _Checks(against=check_boxes_of_windows),
    DAMAGED: _Checks(_check_damaged),
}
"""Kind of a file → what checks one of it."""
