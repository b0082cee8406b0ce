"""`config.yaml` and the recordings table: read, completed, checked.

All mistakes of a file are told in one message, each with file, line, value, and what was probably
meant.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evreel.acquire import in_archive, read_source
from evreel.dataset.documents import (
    DEEPEST,
    LOADER,
    MOST_VALUES,
    Lines,
    check_extent,
    extent,
    named,
    stop_at,
    values_in,
)
from evreel.dataset.settings import Config, SamplesSection
from evreel.dataset.table import Row, folder_in, read_rows, row_mistakes
from evreel.errors import EvreelError, UsageError, meant_label
from evreel.folders import bag_of
from evreel.release.content import ANNOTATIONS, LISTED, SIDECARS, has_boxes, listed_in, paths_in
from evreel.release.overlap import same_source
from evreel.settings import (
    Known,
    Place,
    Settings,
    all_contradictions,
    find,
    guess,
    missing,
    mistakes,
    read,
    settings_of,
    shown,
    trusted,
    typed,
    unset,
    wrong,
)
from evreel.text import is_reserved, nfc, on_disk

FILES = ("source", "rois", "tags", "clock", "labelled", "samples", "boxes", "times", *SIDECARS)
"""Columns with files; those that are local have to be there."""
SECTION_NAMES = ("events", "slices", "samples")
"""Folders of a split in a release; a feature cannot have their names."""
_WHOLE_NUMBERS = re.compile(r"\[(0|[1-9][0-9]{0,9})(, ?(0|[1-9][0-9]{0,9}))*\]")
_TAKEN_BY_SNAKEMAKE = re.compile(
    r"\{\s*[.\w]+\s*(,([^{}]|\{\d+(,\d+)?\})*)?\}"  # a wildcard
    r"|<[a-z][a-z0-9_]*>"  # a variable of paths
)
COLUMNS = "events/columns"
"""What column columns sets; the setting has the longer name, as all others have."""
_OF_ONE = ("start_us", "stop_us", "stream")
_AXES = ("crop", "swap_xy", "flip_x", "flip_y")


class Read(NamedTuple):
    """What config and table say.

    Parameters
    ----------
    config
        With all defaults.
    recordings
        Id → row of the table.
    own
        Id → config, of the recordings whose row changes some settings.
    lines
        Id → line of the table.
    """

    config: Config
    recordings: dict[str, Row]
    own: dict[str, Config]
    lines: dict[str, int]


def read_config(
    values: Mapping[str, Any],
    files: Sequence[str | Path] = (),
    given: Mapping[str, Any] | None = None,
    *,
    awaited: Collection[str] = (),
    within: Place = (),
    name: str = "config",
) -> Read:
    """Check a config and its table.

    Parameters
    ----------
    values
        The config.
    files
        The files that it was read from, of which a later one wins; for messages.
    given
        What of the values comes from the command line.
    awaited
        Columns of files that need not be there yet.
    within, name
        Where in the files the config is, and what it is called, as `Lines` takes them.

    Raises
    ------
    UsageError
        With a line for each mistake.
    """
    lines = Lines(files, given, within=within, name=name)
    config = _checked_config(values, lines)
    if not is_file(Path(config.recordings)):
        place = lines.at(("recordings",))
        missing = no_such_file(config.recordings)
        stop_at([f"{place}: recordings: {missing}{_beside(files, config.recordings)}"])
    try:
        rows = read_rows(config.recordings, ("id", "source", "split"), strict=True)
    except UsageError as error:
        place = f"{error.place}: " if error.place else ""
        stop_at([f"{config.recordings}: {place}{error.problem}"])
    return _checked_rows(rows, config, awaited)


def _checked_config(values: Mapping[str, Any], lines: Lines) -> Config:
    check_extent(lines.at(()), *extent(values, values_in))
    values, twice = _in_nfc(_dates_as_text(values))
    stop_at(lines.told([*twice, *mistakes(Config, values)]))
    config = read(Config, values)
    for place, file in (*files_of(config), (("recordings",), config.recordings)):
        if not is_file(Path(file)):
            config = _with(config, place, str(on_disk(file)))
    stop_at(lines.told(_contradictions_of(config)))
    stop_at(
        lines.told(
            (place, problem) for place, file in files_of(config) for problem in _file_problems(file)
        )
    )
    return config


def _dates_as_text(value: Any) -> Any:
    """Return a value with the days in it as people write them: YAML makes dates of 2026-01-31."""
    if isinstance(value, Mapping):
        return {key: _dates_as_text(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_dates_as_text(each) for each in value]
    return value.isoformat() if type(value) is date else value


def _in_nfc(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[tuple[Place, str]]]:
    """Return a config with its labels and classes as they are compared, and what is duplicated."""
    labels, samples = values.get("labels"), values.get("samples")
    if isinstance(labels, (list, tuple)):
        values = {**values, "labels": [nfc(x) if isinstance(x, str) else x for x in labels]}
    classes = samples.get("classes") if isinstance(samples, Mapping) else None
    if not isinstance(samples, Mapping) or not isinstance(classes, Mapping):
        return values, []
    twice: list[tuple[Place, str]] = []
    spelled: dict[Any, Any] = {}
    for name, label in classes.items():
        key = nfc(name) if isinstance(name, str) else name
        if key in spelled:
            place = ("samples", "classes", str(name))
            twice.append((place, f"{name!a} is duplicated, in another spelling of Unicode"))
        spelled[key] = nfc(label) if isinstance(label, str) else label
    return {**values, "samples": {**samples, "classes": spelled}}, twice


def _contradictions_of(config: Config) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) of what does not go together in a whole config."""
    yield from all_contradictions(config)
    if re.match("[A-Za-z][A-Za-z0-9+.-]*://", config.results):
        yield (
            ("results",),
            f"{config.results!r} is an address; results are built in a folder, and evreel upload "
            "copies a release into a store",
        )
    yield from _unlisted_classes(config)
    for name in config.features:
        yield from _unlisted_regions(config, name)
    first: dict[str, str] = {}
    for name in config.features:
        if name in SECTION_NAMES:
            yield ("features", name), "a release already has a folder with this name"
        if is_reserved(name):
            yield ("features", name), "Windows cannot have files of this name; choose another"
        other = first.setdefault(name.casefold(), name)
        if other != name:  # some file systems take them for one
            yield ("features", name), f"differs from {other} only in case"


def _unlisted_classes(config: Config) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) where samples have classes that labels do not list."""
    for called, label in (config.samples.classes if config.samples else {}).items():
        if nfc(label) not in config.labels:
            more = meant_label(label, config.labels)
            yield (
                ("samples", "classes", called),
                f"{called!r} is {label!r}, which labels does not list{more}",
            )


def _problems_of_label(label: str, cutting: SamplesSection, config: Config) -> Iterator[str]:
    """Yield a problem where all samples of a recording cannot be of one class."""
    if cutting.by != "members":
        yield f"label: is not used with samples/by: {cutting.by}"
    elif "{label}" in (cutting.members or ""):
        yield "label: is not used: samples/members has {label}, so each name says its own"
    else:
        called = {nfc(name): of for name, of in cutting.classes.items()}.get(nfc(label), label)
        if nfc(called) not in config.labels:
            yield f"label: labels does not list {called!r}{meant_label(called, config.labels)}"


def _unlisted_regions(config: Config, feature: str) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) where a feature is of regions with a label that labels do not list."""
    for k, label in enumerate(config.features[feature].geometry.labels or ()):
        if nfc(label) not in config.labels:
            place = "features", feature, "geometry", "labels", str(k)
            yield place, f"labels does not list {label!r}{meant_label(label, config.labels)}"


def files_of(config: Config) -> Iterator[tuple[Place, str]]:
    """Yield place and path of the local files that the config names, but for the table."""
    if config.release.licence_file is not None:
        yield ("release", "licence_file"), config.release.licence_file
    if config.qa.font is not None:
        yield ("qa", "font"), config.qa.font
    if config.samples is None:
        return
    if config.samples.table is not None:
        yield ("samples", "table"), config.samples.table
    for split, file in split_lists(config).items():
        if not file.startswith("!"):
            yield ("samples", "split", "files", split), file


def split_lists(config: Config) -> dict[str, str]:
    """Return the lists that ship with the data as the config names them: split → file."""
    files = config.samples.split.files if config.samples else None
    return files.plain() if files else {}


def _file_problems(file: str | Path, *, is_awaited: bool = False) -> Iterator[str]:
    """Yield what is wrong with a local file that a job is to read; one that is awaited may miss."""
    if not is_awaited and not is_file(Path(file)):
        yield no_such_file(file)
    elif taken := _TAKEN_BY_SNAKEMAKE.search(str(file)):
        yield (
            f"{shown(str(file))}: Snakemake would replace {taken[0]} in this path; rename the file "
            "or folder, or make a link to it with another name (ln -s) and give that"
        )


def is_file(path: Path) -> bool:
    """Tell whether a path is that of a file; a path that no file can have is not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@functools.cache
def _names_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()


def no_such_file(file: str | Path) -> str:
    """Say that a file does not exist, and which one was probably meant."""
    path = Path(file)
    try:
        path.exists()
    except (OSError, ValueError) as error:
        return f"{str(path)[:80]!r} is not a valid file name: {error.args[-1]}"
    if not path.parent.is_dir():
        return f"{str(path)!r} does not exist: there is no folder {str(path.parent)!r}"
    kind = "is a folder" if path.is_dir() else "does not exist"
    near = difflib.get_close_matches(path.name, _names_in(path.parent), n=1)
    if not near or near[0] == path.name:
        return f"{str(path)!r} {kind}"
    return f"{str(path)!r} {kind}; did you mean {str(path.parent / near[0])!r}?"


def _beside(configs: Sequence[str | Path], file: str) -> str:
    """Say where a file is that is below a config's folder, or one above it, and not here."""
    for folder in (above for config in configs for above in [*Path(config).resolve().parents][:2]):
        if folder != Path.cwd() and (folder / file).is_file():
            return (
                f"; paths count from the working directory, {Path.cwd()}: it is in {folder}. Run "
                "there, or name that to Snakemake with --directory"
            )
    return ""


def _checked_rows(
    rows: Sequence[tuple[int, Row]], config: Config, awaited: Collection[str]
) -> Read:
    path = config.recordings
    recordings: dict[str, Row] = {}
    own: dict[str, Config] = {}
    problems: list[str] = []
    lines: dict[str, int] = {}
    groups: dict[str, tuple[str, int]] = {}
    overridden = _Overrides(config)
    for line, row in rows:
        found = list(row_mistakes(row))
        if not found:
            id_ = row["id"]
            found += _duplicates(row, line, recordings, lines, groups)
            row = _as_on_disk(_with_files_listed(row))
            found += _missing_files(row, awaited)
            found += _unlike_sums(row)
            cells = tuple((key, cell) for key, cell in row.items() if "/" in key)
            if "columns" in row:
                cells = ((COLUMNS, row["columns"]), *cells)
                if COLUMNS in row:
                    found.append(f"columns: {COLUMNS} says this too; give one of them")
            if cells:
                own[id_], wrong_cells = overridden(cells)
                found += wrong_cells
            found += _unfit(row, own.get(id_, config))
            recordings[id_] = row
        problems += [f"{path}: line {line}: {problem}" for problem in found]
    stop_at(problems)
    if not recordings:
        stop_at([f"{path}: does not list any recording"])
    stop_at(
        f"{path}: line {lines[id_.casefold()]}: {column}: is the same as in line "
        f"{lines[other.casefold()]}, which is in split {recordings[other]['split']!r}: one "
        "recording is in two splits, unless each row takes a time range of its own "
        "(events/start_us, events/stop_us)"
        for id_, other, column in same_source(recordings)
    )
    return Read(config, recordings, own, {id_: lines[id_.casefold()] for id_ in recordings})


def _duplicates(
    row: Row,
    line: int,
    recordings: Mapping[str, Row],
    lines: dict[str, int],
    groups: dict[str, tuple[str, int]],
) -> Iterator[str]:
    """Yield a problem where the id cannot be used, or the group is in another split."""
    id_ = row["id"]
    if is_reserved(id_):
        yield f"id: Windows cannot have files named {id_!r}; choose another id"
    first = lines.setdefault(id_.casefold(), line)
    if first != line:
        how = "is duplicated; it is also" if id_ in recordings else "differs only in case from that"
        yield f"id: {id_!r} {how} at line {first}"
    if "group" in row:
        split, first = groups.setdefault(row["group"], (row["split"], line))
        if split != row["split"]:
            yield (
                f"group: {row['group']!r} is in split {row['split']!r} here, in {split!r} at "
                f"line {first}; what was recorded together belongs to one split"
            )


def _unfit(row: Row, config: Config) -> Iterator[str]:
    """Yield a problem where a row does not fit how its recording is cut and labelled."""
    cutting = config.samples
    by = cutting.by if cutting else "none"
    table = cutting.table if cutting else None
    if by == "intervals" and table is None and "samples" not in row:
        yield "samples: is missing; it names the table of intervals (samples/by: intervals)"
    if "samples" in row and (by != "intervals" or table is not None):
        yield "samples: is not used: samples/by is not intervals, or there is a samples/table"
    if row["split"] == "mixed" and by == "none":
        yield "split: mixed is for recordings that are cut into samples (samples/by)"
    elif row["split"] == "mixed" and not (cutting and cutting.split.is_given):
        yield "split: mixed needs samples/split in the config: files, or a seed and shares"
    labelled = by != "none" or "boxes" in row or not config.labels
    if config.slices is None and (not labelled or "rois" in row or "tags" in row):
        yield "slices is missing in the config; it is needed for what is annotated in CVAT"
    for column in (*ANNOTATIONS, "boxes", "samples") if not config.labels else ():
        if column in row:
            yield f"{column}: needs labels, and the config's list is empty"
    if by == "members" and any(getattr(config.events, key) is not None for key in _OF_ONE):
        yield (
            f"samples/by: members does not go with events/{', events/'.join(_OF_ONE)}, which are "
            "for a single recording"
        )
    if cutting is not None and "label" in row:
        yield from _problems_of_label(row["label"], cutting, config)
    elif "label" in row:
        yield "label: is not used: the recording is not cut (samples/by)"
    if table is not None:
        yield from (f"samples/table: {problem}" for problem in _file_problems(table))
    if "boxes" in row and "rois" in row:
        yield "boxes: rois are boxes too; give one of them"
    elif "boxes" in row and any(getattr(config.events, axis) for axis in _AXES):
        yield (
            f"boxes: they fit only the whole recording; leave out events/{', events/'.join(_AXES)}"
        )
    if "rois" not in row:
        for name, feature in config.features.items():
            if feature.geometry.labels:
                yield f"rois: is missing; features/{name}/geometry/labels is about its regions"
    if config.video.clock == "external" and "clock" not in row:
        yield "clock: is missing; it names the table of the frames' times (video/clock: external)"
    elif "clock" in row and config.video.clock not in (None, "external"):
        yield f"clock: is not used, because video/clock is {config.video.clock}; give one of them"
    elif "clock" in row:
        for name, of in config.video.unused_by("external"):
            yield f"clock: video/{name} is for clock: {of}; give the table or that"
    if "labelled" in row and "rois" not in row and "tags" not in row:
        yield "labelled: says which frames of rois or tags are finished; neither is given"
    yield from _unfit_endings(row, config)
    is_one = by == "members" or config.events.columns is not None
    folder = None if is_one else folder_in(row)
    if folder is not None and bag_of(folder) is None:
        yield (
            f"source: {str(folder)!r} is a folder, which only samples/by: members takes: its files "
            "are samples then; or columns, where its npz, npy or text files are one recording. "
            "Else name one file in it"
        )
    if row.get("samples", "").startswith("!") and "!" not in row["source"]:
        yield f"samples: source {row['source']!r} is not in an archive that could hold it"


def _unfit_endings(row: Row, config: Config) -> Iterator[str]:
    """Yield a problem where windows are to end at times that a recording does not have."""
    names: dict[str | None, str] = {one.ending: name for name, one in config.features.items()}
    if "labels" in names and not has_boxes(row):
        yield (
            f"rois or boxes is missing: windows of features/{names['labels']} end at the times of "
            "boxes (ending: labels)"
        )
    if "times" in names and "times" not in row:
        yield (
            f"times: is missing; it names the file with the times at which windows of features/"
            f"{names['times']} end (ending: times)"
        )
    elif "times" in row and "times" not in names:
        yield "times: is not used: no feature has ending: times"


def _with_files_listed(row: Row) -> Row:
    """Return a row whose columns of annotations list each file: also those of a folder."""
    changed = {}
    for column in ANNOTATIONS:
        cell = row.get(column)
        if cell is None or is_file(Path(cell)) or is_file(on_disk(Path(cell))):
            continue
        files = [
            str(file) for part in listed_in(cell) for file in (_files_of(part) if part else [part])
        ]
        if files != [cell]:
            changed[column] = LISTED.join(files)
    return {**row, **changed} if changed else row


def _files_of(path: str) -> list[Path] | list[str]:
    from evreel.annotations.jobs import files_of

    try:
        folder = on_disk(path)
        return files_of(folder) if folder.is_dir() else [path]
    except (OSError, ValueError, EvreelError):
        return [path]


def _unlike_sums(row: Row) -> Iterator[str]:
    """Yield a problem where there are not as many MD5 sums as files of a column."""
    for column in ANNOTATIONS:
        n, sums = len(paths_in(row.get(column))), listed_in(row.get(f"{column}_md5"))
        if n and sums and len(sums) != n:
            yield f"{column}_md5: has {len(sums)} sums; {column} has {n} files"


def _as_on_disk(row: Row) -> Row:
    """Return a row whose files are spelled as the disk spells them."""
    changed = {}
    for column in FILES:
        cell = row.get(column)
        if cell is None or cell.isascii():
            continue
        parts = paths_in(cell) if column in ANNOTATIONS else [cell]
        changed[column] = LISTED.join(_spelled(column, part) for part in parts)
    return {**row, **changed} if changed else row


def _spelled(column: str, cell: str) -> str:
    """Return a file of a row as the disk spells it."""
    try:
        source = read_source(cell if column == "source" else Path(cell))
    except EvreelError:
        return cell
    if source.path is None or is_file(source.path):
        return cell
    path = str(on_disk(source.path))
    if path == str(source.path):
        return cell
    return in_archive(path, source.members) if column == "source" else path


def _missing_files(row: Row, awaited: Collection[str]) -> Iterator[str]:
    """Yield a problem for each local file of a row that does not exist.

    Those of `awaited` columns may be missing, and so may a source that is to be downloaded by hand:
    its job says how to get it.
    """
    for column in FILES:
        cell = row.get(column)
        if cell is None or (column == "samples" and cell.startswith("!")):
            continue
        seen: set[str] = set()
        for file in paths_in(cell) if column in ANNOTATIONS else [cell]:
            if not file:
                yield f"{column}: names no file between two |"
            elif file in seen:
                yield f"{column}: {file!r} is named twice"
            else:
                yield from _missing_file(column, file, column in awaited)
            seen.add(file)
    if "member_md5" in row and "!" not in row["source"]:
        yield f"member_md5: source {row['source']!r} does not name a member of an archive"


def _missing_file(column: str, cell: str, is_awaited: bool) -> Iterator[str]:
    try:
        source = read_source(cell if column == "source" else Path(cell))
    except EvreelError as error:
        yield f"{column}: {error}"
        return
    if column != "source" and re.match("[a-z]+:", cell, re.IGNORECASE):
        yield f"{column}: {cell!r} is not a plain path; only a source may be anything else"
    elif source.path is not None and column == "source" and folder_in({"source": cell}):
        return  # of samples, or refused where that is known
    elif source.path is not None:
        is_awaited = is_awaited or source.manual
        found = list(_file_problems(source.path, is_awaited=is_awaited))
        parts = re.split(r"\s*[,;]\s*|\s+", cell) if found and column in ANNOTATIONS else []
        if len(parts) > 1 and all(part and is_file(Path(part)) for part in parts):
            found = [f"{cell!r} is not a file; write several as {' | '.join(parts)!r}"]
        yield from (f"{column}: {problem}" for problem in found)


class _Overrides:
    """Applies cells such as ``slices/window_us`` to a config.

    Rows that say the same share one config, and only what they change is checked: thousands of
    rows may change some.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[tuple[str, str], ...], tuple[Config, list[str]]] = {}

    def __call__(self, cells: tuple[tuple[str, str], ...]) -> tuple[Config, list[str]]:
        """Return the config that the cells make, and what is wrong with them."""
        if cells not in self._known:
            self._known[cells] = self._applied(cells)
        return self._known[cells]

    def _applied(self, cells: tuple[tuple[str, str], ...]) -> tuple[Config, list[str]]:
        made, problems = self._config, list[str]()
        roots: dict[Place, None] = {}
        for key, cell in cells:
            place = tuple(key.split("/"))
            value, wrong_cell = _new_value(made, place, cell)
            problems += wrong_cell
            if not wrong_cell:
                made = _with(made, place, value)
                roots[place[:2] if place[0] == "features" else place[:1]] = None
        if not problems:
            for root in roots:
                problems += [named(at, problem) for at, problem in _group_problems(made, root)]
        return made, problems


def _new_value(config: Config, place: Place, cell: str) -> tuple[Any, list[str]]:
    """Return the value that a cell gives a place (MISSING removes it), and what is wrong."""
    key = "/".join(place)
    parent, is_own = _parent(config, place)
    if not is_own:
        if place[0] == "features" and len(place) > 2 and place[1] not in config.features:
            return None, [f"there is no feature {place[1]!r}{guess(place[1], config.features)}"]
        return None, [f"{key!r} cannot be set per recording"]
    known = _known(place)
    if known is None:
        group = type(parent) if isinstance(parent, Settings) else Config
        more = guess(place[-1], settings_of(group))
        return None, [f"{'/'.join(place[:-1])}: unknown key {place[-1]!r}{more}"]
    try:
        value = _cell_value(known.type.base, cell)
    except Exception:  # PyYAML raises a dozen kinds for texts such as the 45th of a month
        return None, [f"{key}: {shown(cell)} is not a YAML value"]
    levels, number = extent(value, values_in)
    if levels > DEEPEST + 1:
        return None, [f"{key}: {shown(cell)} holds itself, or is nested too deeply"]
    if number > MOST_VALUES:
        return None, [f"{key}: {shown(cell)} has {number:,} values, with those of its aliases"]
    if value is None and isinstance(parent, Mapping):  # of which the names are free
        return MISSING, []
    if value is None and (known.optional or not known.type.nullable):
        return known.default, []
    found = [named(at, problem) for at, problem in wrong(known, value, place)]
    return None if found else typed(known.type, value), found


@functools.cache
def _known(place: Place) -> Known | None:
    return find(Config, place)


def _parent(config: Config, place: Place) -> tuple[Settings | Mapping[str, Any] | None, bool]:
    """Return the group that a place is in, and whether a recording may change that place."""
    value: Any = config
    for depth, key in enumerate(place[:-1], 1):
        known = _known(place[:depth])
        if known is None or not known.facts.per_recording:
            return None, False
        if isinstance(value, Mapping):
            if key not in value:
                return None, False
            value = value[key]
        else:
            value = getattr(value, key)
        if value is None and issubclass(known.type.base, Settings):  # a group that is left out
            value = unset(known.type.base)
    last = _known(place)
    is_own = len(place) > 1 and (last is None or last.facts.per_recording)
    # A feature is there for all recordings, or for none.
    return value, is_own and place[:-1] != ("features",)


def _cell_value(base: type, cell: str) -> Any:
    """Return what a cell says. A text is taken as it is: to YAML, ``*/{label}/*`` is an alias."""
    if base is str:
        return None if cell == "null" else cell
    if base is int and cell.isdecimal() and cell.isascii() and (cell[0] != "0" or cell == "0"):
        return int(cell)
    if _WHOLE_NUMBERS.fullmatch(cell):  # as YAML, and in a tenth of the time
        return json.loads(cell)
    return yaml.load(cell, LOADER)


def _group_problems(config: Config, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) of a group whose settings each are right."""
    group: Any = config
    for key in place:
        group = group[key] if isinstance(group, Mapping) else getattr(group, key)
    given = [name for name, value in group.__dict__.items() if value not in (None, MISSING)]
    found = [(place, problem) for problem in missing(type(group), given)]
    yield from found
    if not found:
        yield from all_contradictions(group, place)
        if place == ("samples",):
            yield from _unlisted_classes(config)
        if place[0] == "features":
            yield from _unlisted_regions(config, place[1])


def _with(config: Config, place: Place, new: Any) -> Config:
    """Return a config with another value at a place."""

    def replaced(value: Any, of: type, keys: Place) -> Any:
        if not keys:
            return new
        key, *below = keys
        if isinstance(value, Mapping):
            others = {name: one for name, one in value.items() if name != key}
            if not below and new is MISSING:
                return others
            return {**others, key: replaced(value.get(key), dict, tuple(below))}
        if value is None:
            value = unset(of)
        kind = settings_of(type(value))[key].type.base
        values = {**value.__dict__, key: replaced(getattr(value, key), kind, tuple(below))}
        return trusted(type(value), values)

    made: Config = replaced(config, Config, place)
    return made
