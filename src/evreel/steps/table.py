"""A recordings table of a folder."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from evreel.errors import EvreelError, RecordingError, UsageError
from evreel.folders import bag_of, listing_of
from evreel.outputs import SCRATCH, Progress, atomic, remove_leftovers, silent
from evreel.steps.common import LOG
from evreel.text import counted, is_reserved, listed

COLUMNS = ("id", "source", "md5", "split", "group", "sensor", "columns", "boxes", "boxes_md5")
"""Columns that are written where any row has something in them."""
_MOST_NAMED = 5


def table(
    folder: str | Path,
    output: str | Path,
    *,
    split: str | None = None,
    group: str | None = None,
    sensor: str | None = None,
    files: str | None = None,
    boxes: str | None = None,
    columns: str | None = None,
    progress: Progress = silent,
) -> int:
    """Write a recordings table of a folder, with the MD5 of each recording, or add to one.

    Parameters
    ----------
    folder
        Folder with recordings, also in its subfolders; hidden files are ignored, and so are the
        results of a workflow.
    output
        The table, TSV, to be reviewed and completed. Rows that are there stay as they are, with all
        of their columns; recordings that none of them names are added.
    split
        Split of recordings that are not in a folder named train, val or test.
    group
        Pattern with ``{group}``, as `evreel.samples.pattern.Pattern` takes it, for paths in the
        folder: ``*/{group}_*_td.dat``. Recordings that it does not fit have no group.
    sensor
        Size of all as ``WIDTHxHEIGHT`` px, for recordings that do not state it.
    files
        Pattern, as `evreel.samples.pattern.Pattern` takes it, for paths in the folder; only files
        that it fits are recordings: ``*/*/events/left/events.h5``. Where columns are said, a folder
        that it fits is one recording: ``*/events``. None takes all files.
    boxes
        Where a recording's boxes are, as a path from the recording's folder; None takes
        ``…_bbox.npy`` beside it.
    columns
        Where the columns of all are, as `evreel.recordings.open.Reading.columns` says it.

    Returns
    -------
    How many rows the table has. Boxes of a recording go into its row.

    Raises
    ------
    RecordingError
        If there are none, or nothing says the split of one.
    UsageError
        If it is not a folder, or an older table cannot be read.
    """
    from evreel.dataset.table import add_rows, write_rows
    from evreel.errors import CodingError, UnknownFormatError
    from evreel.events import Sensor
    from evreel.layout import EVENTS, OF_BOXES
    from evreel.recordings import open_recording
    from evreel.recordings.open import Reading
    from evreel.samples.pattern import Pattern
    from evreel.samples.splits import SPLITS

    root, fits = Path(folder), None if group is None else Pattern(group)
    wanted = None if files is None else Pattern(files)
    if not root.is_dir():
        there = "is a file, not a folder" if root.exists() else "does not exist"
        raise UsageError(there, path=root, hint="Name the folder that the recordings are in.")
    kept = _Kept.of(Path(output))
    size, reading = None if sensor is None else Sensor.parse(sensor), Reading(columns=columns)
    found: list[Path] = []
    sizeless: set[Path] = set()
    left_out: list[Path] = []

    def is_wanted(place: Path) -> bool:
        return wanted is not None and wanted.of(place.relative_to(root).as_posix()) is not None

    for place in _files_below(root, lambda folder: columns is not None and is_wanted(folder)):
        if place.name.endswith(OF_BOXES) or place.absolute() == Path(output).absolute():
            continue
        if wanted is not None and not is_wanted(place):
            continue
        try:
            with open_recording(place, reading=reading) as recording:
                is_recording = recording.format != EVENTS.name
        except EvreelError:
            # It may be a recording that does not state its size.
            try:
                open_recording(place, sensor=size, reading=reading).close()
                is_recording = size is not None
                sizeless.add(place)
            except EvreelError as error:
                strange = isinstance(error, UnknownFormatError)
                if strange and not isinstance(error, CodingError):
                    if not kept.names(place):
                        left_out.append(place)
                    continue
                LOG.warning("%s is in the table, but: %s", place, error)
                is_recording = True
        (found if is_recording else left_out).append(place)
    if left_out:
        n, first = len(left_out), left_out[0]
        which = (
            "1 file left out, which is not a recording or does not state its size (--sensor) or "
            "columns (--columns): "
            if n == 1
            else f"{n} files left out, which are not recordings or do not state their size "
            "(--sensor) or columns (--columns); the first: "
        )
        LOG.warning("%s%s", which, first)
    if not found:
        raise RecordingError(
            "has no recordings",
            path=root,
            hint="Unpack archives first; give --sensor if recordings do not state their size."
            if wanted is None
            else f"No file in it fits --files {files!r}, or none that fits is a recording.",
        )
    new = [place for place in found if not kept.names(place)]
    ids = _ids(new, root, kept.ids)
    splits = []
    for place in new:
        folders = (*root.parts[-1:], *place.relative_to(root).parts[:-1])
        told = [part for part in folders if part in SPLITS]
        if not told and split is None:
            raise RecordingError(
                "is not in a folder named train, val or test",
                path=place,
                hint="Give its split with --split.",
            )
        splits.append(told[-1] if told else split or "")
    rows, same = list[dict[str, str]](), list[Path]()
    for k, (id_, place) in enumerate(zip(ids, new, strict=True)):
        progress(k, len(new))
        md5 = _md5(place)
        if md5 in kept.sums:
            same.append(place)
            continue
        said = fits.of(place.relative_to(root).as_posix()) if fits else None
        of_boxes = _boxes_of(place, boxes)
        if boxes is not None and not of_boxes.is_file():
            raise RecordingError(
                "has no boxes", path=of_boxes, hint="Put them there, or leave --boxes out."
            )
        cells = (
            *(id_, str(place).replace("!", "!!"), md5, splits[k]),
            said.group if said else "",
            str(sensor) if sensor and place in sizeless else "",
            columns or "",
            *((str(of_boxes), _md5(of_boxes)) if of_boxes.is_file() else ("", "")),
        )
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    if same:
        LOG.warning(
            "not added, of the same bytes as in a row: %s", listed(map(str, same), _MOST_NAMED)
        )
    if rows:
        with atomic(output) as (scratch,):
            if kept.is_there:
                add_rows(output, scratch, rows)
            else:
                write_rows(scratch, rows)
    else:
        remove_leftovers(Path(output))
    n = len(kept.ids) + len(rows)
    how = f"; {len(rows)} added, {len(kept.ids)} kept as they are" if kept.is_there else ""
    LOG.info("%s: %s%s", Path(output).name, counted(n, "recording"), how)
    if columns is not None:
        _tell_of_series(root, new)
    if boxes is None:
        _tell_of_classes(root, new)
    LOG.info(
        "Next: write recordings: %s in the config. Annotations go into columns rois and tags.",
        output,
    )
    return n


def _files_below(root: Path, is_one: Callable[[Path], object]) -> Iterator[Path]:
    """Yield the files of a folder, and folders in it that are bags, in the order of their paths.

    So are other folders that are one recording, as a function tells.
    """
    whole = set[Path]()
    for place in sorted(root.rglob("*")):
        inside = place.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        made = any((root / above / SCRATCH).is_dir() for above in inside.parents)
        if hidden or made or not whole.isdisjoint(place.parents):
            continue
        if place.is_dir() and (bag_of(place) is not None or is_one(place)):
            whole.add(place)
        if place.is_file() or place in whole:
            yield place


class _Kept(NamedTuple):
    """What the rows of a table that is there name.

    Parameters
    ----------
    ids
        Ids of the rows.
    sources
        Real paths of local sources, files or folders.
    sums
        MD5 sums of the sources.
    is_there
        Whether there is a table.
    """

    ids: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()
    is_there: bool = False

    @classmethod
    def of(cls, output: Path) -> _Kept:
        from evreel.acquire import read_source
        from evreel.dataset.table import read_rows

        if not output.is_file() or not output.stat().st_size:
            return cls()
        try:
            rows = [row for _, row in read_rows(output, ("id", "source"))]
        except UsageError as error:
            hint = "Its rows would be lost: correct it, or write another file with -o."
            raise UsageError(error.problem, path=output, place=error.place, hint=hint) from error
        sources = set[str]()
        for row in rows:
            try:
                source = read_source(row.get("source", ""))
            except EvreelError:  # the workflow says so
                continue
            if source.path is not None and not source.members:
                sources.add(os.path.realpath(source.path))
        sums = frozenset(row["md5"].lower() for row in rows if "md5" in row)
        return cls(tuple(row.get("id", "") for row in rows), frozenset(sources), sums, True)

    def names(self, place: Path) -> bool:
        """Tell whether a file, or a folder that it is in, is the source of a row."""
        real = Path(os.path.realpath(place))
        return any(str(each) in self.sources for each in (real, *real.parents))


def _ids(places: Sequence[Path], root: Path, taken: Iterable[str]) -> list[str]:
    """Return an id for each file, of its name, or its path where that is not enough.

    If several have all the same name, it is that of the nearest folder that distinguishes them.
    """
    depth = min((len(place.relative_to(root).parts) for place in places), default=1)
    are_alike = len(places) > 1 and len({place.name for place in places}) == 1
    levels = range(1, depth) if are_alike else ()
    forms: tuple[Callable[[Path], str], ...] = (
        lambda place: place.stem,
        *(functools.partial(_folder_above, level=level) for level in levels),
        lambda place: place.relative_to(root).with_suffix("").as_posix(),
        lambda place: place.relative_to(root).as_posix(),
    )
    used = {id_.casefold() for id_ in taken}
    ids: list[str] = []
    for form in forms:
        ids = [_id_of(form(place)) for place in places]
        folded = {id_.casefold() for id_ in ids}
        if len(folded) == len(ids) and not folded & used:
            return ids
    for k, id_ in enumerate(ids):
        number = 1
        while ids[k].casefold() in used:
            number += 1
            ids[k] = f"{id_}_{number}"
        used.add(ids[k].casefold())
    return ids


def _folder_above(place: Path, level: int) -> str:
    """Return the name of the folder that a file is in (1), of the one above it (2), and so on."""
    return place.parents[level - 1].name


def _boxes_of(place: Path, boxes: str | None = None) -> Path:
    """Return where boxes of a recording are, if there are any: beside it, or at that path."""
    from evreel.layout import BOXES_SUFFIX

    if boxes is not None:
        there, short = place.parent / boxes, Path(os.path.normpath(place.parent / boxes))
        # Where a link is on the way, ".." leads elsewhere.
        return short if short.exists() and there.exists() and short.samefile(there) else there
    return place.with_name(place.stem.removesuffix("_td") + BOXES_SUFFIX)


def _tell_of_series(root: Path, places: Sequence[Path]) -> None:
    """Say how the files of a folder are listed as one recording, if they may be one."""
    from evreel.recordings.series import are_numbered

    files = [place for place in places if place.is_file()]
    for folder, inside in itertools.groupby(files, lambda place: place.parent):
        names = [place.name for place in inside]
        if len(names) > 1 and folder != root and are_numbered(names):
            LOG.info(
                "%s has %d files whose names differ by their numbers. If they are parts of one "
                "recording, name the folder: --files %r",
                *(folder, len(names), folder.relative_to(root).as_posix()),
            )
            return


def _tell_of_classes(root: Path, places: Sequence[Path]) -> None:
    """Say how recordings in one folder per class become samples, if these may be such folders."""
    from evreel.samples.splits import SPLITS

    above = {place.parent for place in places} - {root}
    classes = sorted({folder.name for folder in above} - {*SPLITS})
    if len(classes) < 2 or any(_boxes_of(place).is_file() for place in places):
        return
    sources = sorted({str(folder.parent) for folder in above if folder.name not in SPLITS})
    suffixes = {place.suffix for place in places}
    ending = suffixes.pop() if len(suffixes) == 1 else ""
    LOG.info(
        "Recordings are in %d folders: %s. If these are classes, write one row instead, "
        'source: %s, with samples: {by: members, members: "{label}/*%s"} in the config '
        "(docs/steps/samples.md).",
        len(classes),
        listed(classes, _MOST_NAMED),
        listed(sources, _MOST_NAMED),
        ending,
    )


def _id_of(name: str) -> str:
    """Return a name as a valid id: letters, digits, - and _."""
    id_ = re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("_-") or "recording"
    return f"{id_}_1" if is_reserved(id_) else id_


def _md5(path: Path) -> str:
    if path.is_dir():
        return listing_of(path).md5
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
