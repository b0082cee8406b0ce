"""A recordings table of a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from evreel.errors import EvreelError, RecordingError, UsageError
from evreel.outputs import SCRATCH, Progress, atomic, silent
from evreel.steps.common import LOG

COLUMNS = ("id", "source", "md5", "split", "group", "sensor", "boxes", "boxes_md5")
"""Columns that are written where any row has something in them."""


def table(
    folder: str | Path,
    output: str | Path,
    *,
    split: str | None = None,
    group: str | None = None,
    sensor: str | None = None,
    progress: Progress = silent,
) -> int:
    """Write a recordings table of a folder, with the MD5 of each recording.

    Parameters
    ----------
    folder
        Folder with recordings, also in its subfolders; hidden files are ignored, and so are the
        results of a workflow.
    output
        The table, TSV, to be reviewed and completed. One that is there is replaced, unless it has
        columns that are not made here.
    split
        Split of recordings that are not in a folder named train, val or test.
    group
        Pattern with ``{group}``, as `evreel.samples.pattern.Pattern` takes it, for paths in the
        folder: ``*/{group}_*_td.dat``. Recordings that it does not fit have no group.
    sensor
        Size of all as ``WIDTHxHEIGHT`` px, for recordings that do not state it.

    Returns
    -------
    How many recordings there are. Boxes beside a recording (``…_bbox.npy``) go into its row.

    Raises
    ------
    RecordingError
        If there are none, or nothing says the split of one.
    UsageError
        If it is not a folder, or columns of an older table would be lost.
    """
    from evreel.dataset.table import write_rows
    from evreel.errors import CodingError, UnknownFormatError
    from evreel.events import Sensor
    from evreel.layout import BOXES_SUFFIX, EVENTS, OF_BOXES
    from evreel.recordings import open_recording
    from evreel.samples.pattern import Pattern
    from evreel.samples.splits import SPLITS
    from evreel.text import counted

    root, fits = Path(folder), None if group is None else Pattern(group)
    if not root.is_dir():
        there = "is a file, not a folder" if root.exists() else "does not exist"
        raise UsageError(there, path=root, hint="Name the folder that the recordings are in.")
    _check_replaceable(Path(output))
    size = None if sensor is None else Sensor.parse(sensor)
    found: list[Path] = []
    sizeless: set[Path] = set()
    left_out: list[Path] = []
    for place in _files_below(root):
        if place.name.endswith(OF_BOXES) or place.absolute() == Path(output).absolute():
            continue
        try:
            with open_recording(place) as recording:
                is_recording = recording.format != EVENTS.name
        except EvreelError:
            # It may be a recording that does not state its size.
            try:
                open_recording(place, sensor=size).close()
                is_recording = size is not None
                sizeless.add(place)
            except EvreelError as error:
                strange = isinstance(error, UnknownFormatError)
                if strange and not isinstance(error, CodingError):
                    left_out.append(place)
                    continue
                LOG.warning("%s is in the table, but: %s", place, error)
                is_recording = True
        (found if is_recording else left_out).append(place)
    if left_out:
        n, first = len(left_out), left_out[0]
        which = (
            "1 file left out, which is not a recording or does not state its size (--sensor): "
            if n == 1
            else f"{n} files left out, which are not recordings or do not state their size "
            "(--sensor); the first: "
        )
        LOG.warning("%s%s", which, first)
    if not found:
        raise RecordingError(
            "has no recordings",
            path=root,
            hint="Unpack archives first; give --sensor if recordings do not state their size.",
        )
    names = [_id_of(place.stem) for place in found]
    if len({name.casefold() for name in names}) < len(names):
        names = [_id_of(str(place.relative_to(root).with_suffix(""))) for place in found]
    if len({name.casefold() for name in names}) < len(names):
        names = [_id_of(str(place.relative_to(root))) for place in found]
    splits = []
    for place in found:
        folders = (*root.parts[-1:], *place.relative_to(root).parts[:-1])
        told = [part for part in folders if part in SPLITS]
        if not told and split is None:
            raise RecordingError(
                "is not in a folder named train, val or test",
                path=place,
                hint="Give its split with --split.",
            )
        splits.append(told[-1] if told else split or "")
    rows = []
    with atomic(output) as (scratch,):
        for k, (name, place) in enumerate(zip(names, found, strict=True)):
            progress(k, len(found))
            inside = place.relative_to(root)
            said = fits.of(inside.as_posix()) if fits else None
            base = place.stem.removesuffix("_td")
            boxes = place.with_name(base + BOXES_SUFFIX)
            cells = (
                *(name, str(place).replace("!", "!!"), _md5(place), splits[k]),
                said.group if said else "",
                sensor if sensor and place in sizeless else "",
                *((str(boxes), _md5(boxes)) if boxes.is_file() else ("", "")),
            )
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
        write_rows(scratch, rows)
    LOG.info("%s: %s", Path(output).name, counted(len(rows), "recording"))
    LOG.info(
        "Next: write recordings: %s in the config. Annotations go into columns rois and tags.",
        output,
    )
    return len(rows)


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files of a folder, in the order of their paths."""
    for place in sorted(root.rglob("*")):
        inside = place.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        made = any((root / above / SCRATCH).is_dir() for above in inside.parents)
        if not hidden and not made and place.is_file():
            yield place


def _check_replaceable(output: Path) -> None:
    """Raise if a table that is there has columns that a person has added."""
    if not output.is_file():
        return
    with output.open(encoding="utf-8", errors="replace") as file:
        columns = file.readline().rstrip("\r\n").split("\t")
    added = [column for column in columns if column and column not in COLUMNS]
    if added:
        raise UsageError(
            f"has columns that would be lost: {', '.join(added)}",
            path=output,
            hint="Write another file with -o, and copy the rows that are new.",
        )


def _id_of(name: str) -> str:
    """Return a name as a valid id: letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("_-") or "recording"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
