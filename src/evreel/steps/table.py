"""A recordings table of a folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from evreel.errors import EvreelError, RecordingError
from evreel.outputs import Progress, atomic, silent
from evreel.steps.common import LOG


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
        Folder with recordings, also in its subfolders; hidden files are ignored.
    output
        The table, TSV, to be reviewed and completed.
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
    """
    from evreel.dataset.table import write_rows
    from evreel.errors import CodingError, UnknownFormatError
    from evreel.events import Sensor
    from evreel.layout import BOXES_SUFFIX, EVENTS, OF_BOXES
    from evreel.recordings import open_recording
    from evreel.samples.pattern import Pattern
    from evreel.samples.splits import SPLITS

    root, fits = Path(folder), None if group is None else Pattern(group)
    size = None if sensor is None else Sensor.parse(sensor)
    found: list[Path] = []
    sizeless: set[Path] = set()
    left_out: list[Path] = []
    for place in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in place.relative_to(root).parts)
        if hidden or not place.is_file() or place.name.endswith(OF_BOXES):
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
        LOG.warning(
            "%d files left out, which are not recordings or do not state their size (--sensor); "
            "the first: %s",
            n,
            first,
        )
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
            row = {
                "id": name,
                "source": str(place).replace("!", "!!"),
                "md5": _md5(place),
                "split": splits[k],
                "group": said.group if said else "",
                "sensor": sensor if sensor and place in sizeless else "",
                "boxes": str(boxes) if boxes.is_file() else "",
                "boxes_md5": _md5(boxes) if boxes.is_file() else "",
            }
            rows.append(row)
        write_rows(scratch, rows)
    LOG.info("%s: %d recordings", Path(output).name, len(rows))
    return len(rows)


def _id_of(name: str) -> str:
    """Return a name as a valid id: letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("_-") or "recording"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
