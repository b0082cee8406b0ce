"""The kinds of files and folders that can be described: how each is told, and by what.

The first kind that a path is of describes it. To add one, write its describer and a row here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evreel.checks.inventory import BOXES, BOXES_OF_WINDOWS
from evreel.contents import annotated, folders, made, published, tables, videos
from evreel.contents.look import Look
from evreel.errors import EvreelError, UsageError
from evreel.files.clock import CLOCK_SUFFIX, HEADER
from evreel.folders import hint_of_bag
from evreel.layout import FEATURES, LABEL_MAP, SAMPLES, SLICES
from evreel.release.manifest import PLAN_COLUMNS
from evreel.samples.tables import CUT_COLUMNS, TABLE_COLUMNS

_LARGEST_MAP = 1 << 20
_NPY = b"\x93NUMPY"
_OF_COCO = re.compile(rb'"(?:images|annotations|categories|videos|licenses|info)"\s*:')
_SAYS_WHAT = re.compile(rb'"(?:layout|@context)"\s*:')


@dataclass(frozen=True)
class Kind:
    """A kind of file or folder.

    Parameters
    ----------
    name
        What it is called.
    is_it
        Function of a first look: whether the path is of this kind.
    describe
        Function of the path: what it holds, by name, in the order in which it is shown; values are
        plain JSON. It raises an error of evreel where it cannot be read.
    """

    name: str
    is_it: Callable[[Look], bool]
    describe: Callable[[Path], dict[str, Any]]


def _is_made(kind: str) -> Callable[[Look], bool]:
    return lambda look: look.made == kind


def _has_columns(columns: tuple[str, ...]) -> Callable[[Look], bool]:
    return lambda look: look.header == columns


def _is_plan(look: Look) -> bool:
    return {"path", "source"} <= set(look.header) <= set(PLAN_COLUMNS)


def _is_label_map(look: Look) -> bool:
    if look.path.name == LABEL_MAP:
        return True
    if not look.start.startswith(b"{") or look.path.stat().st_size > _LARGEST_MAP:
        return False
    try:
        return bool(tables.labels(look.path)["labels"])
    except EvreelError:
        return False


def _is_png_zip(look: Look) -> bool:
    return bool(look.names) and all(name.endswith(".png") for name in look.names)


def _is_annotation(look: Look) -> bool:
    if look.form == "event-bbox":
        return _has_records(look)
    if look.form == "coco":  # which any JSON may be, by its start and name
        return any(map(_OF_COCO.search, look.json_starts))
    return look.form is not None


def _is_results(look: Look) -> bool:
    """Tell whether a folder is a workflow's results: not its logs, nor a split of a release."""
    within = look.path.absolute().parent
    return folders.is_results(look.folders) and not (
        folders.is_results(Look(within).folders) or folders.has_manifest(within)
    )


def _is_json(look: Look) -> bool:
    """Tell whether JSON says what it is, or is of a release."""
    if look.path.suffix != ".json" or look.start.lstrip()[:1] != b"{":
        return False
    return bool(_SAYS_WHAT.search(look.start)) or folders.has_manifest(look.path.parent)


def _is_table(look: Look) -> bool:
    # What is left of a damaged clock is not told as any table.
    name = look.path.name
    return len(look.header) > 1 and name.endswith(".tsv") and not name.endswith(CLOCK_SUFFIX)


def _is_text(look: Look) -> bool:
    return look.path.suffix in published.TEXTS and look.path.is_file() and b"\0" not in look.start


def _has_records(look: Look) -> bool:
    """Tell whether an npy file has records of boxes, by the names of its fields."""
    head = look.start[:4096]
    return head.startswith(_NPY) and b"'class_id'" in head and b"'w'" in head


KINDS: tuple[Kind, ...] = (
    Kind("release", lambda look: folders.has_manifest(look.path), folders.release),
    Kind("results of a workflow", _is_results, folders.results),
    Kind("annotated slices", _is_made(SLICES.name), made.slices),
    Kind("samples of a recording", _is_made(SAMPLES.name), made.samples),
    Kind("features", _is_made(FEATURES.name), made.features),
    Kind("boxes of windows", _is_made(BOXES_OF_WINDOWS), made.boxes_of_windows),
    Kind("boxes", lambda look: look.made == BOXES or _has_records(look), made.boxes),
    Kind("video", lambda look: look.start[4:8] == b"ftyp", videos.mp4),
    Kind("pictures of a video", _is_png_zip, videos.png_zip),
    Kind("clock of a video", _has_columns(tuple(HEADER.split("\t"))), tables.clock),
    Kind("table of a recording's samples", _has_columns(CUT_COLUMNS), tables.cut),
    Kind("table of a data set's samples", _has_columns(TABLE_COLUMNS), tables.samples_table),
    Kind("plan of a release", _is_plan, tables.plan),
    Kind(
        "table of recordings",
        lambda look: {"id", "source"} <= set(look.header),
        tables.recordings,
    ),
    Kind("label map", _is_label_map, tables.labels),
    Kind("annotation", _is_annotation, annotated.annotation),
    Kind("Parquet table", lambda look: look.start.startswith(published.PARQUET), published.parquet),
    Kind(
        "checksums",
        lambda look: bool(published.SUM_LINE.match(look.start.partition(b"\n")[0])),
        published.checksums,
    ),
    Kind(
        "picture",
        lambda look: look.start.startswith((published.PNG, published.JPEG)),
        published.picture,
    ),
    Kind("JSON", _is_json, published.json_file),
    Kind("table", _is_table, published.table),
    Kind("text", _is_text, published.text),
)
"""Everything but recordings and events stores, which `evreel.steps.info` reads to their ends."""


def described(path: str | Path) -> Mapping[str, Any] | None:
    """Return what a file or folder holds; None of what may be a recording.

    Returns
    -------
    ``kind``, the facts of that kind, and ``problems``.

    Raises
    ------
    EvreelError
        If it is of a kind that is known here, and cannot be read.
    UsageError
        If it is a folder of no kind that is known here.
    """
    look = Look(Path(path))
    for kind in KINDS:
        if kind.is_it(look):
            facts = kind.describe(look.path)
            problems = facts.pop("problems", [])
            return {"kind": kind.name, **facts, "problems": problems}
    if look.is_folder:
        raise UsageError(
            "is a folder of no kind that is known here",
            path=path,
            hint=f"{hint_of_bag(path)}Name a file in it. Known are {known_kinds()}.",
        )
    return None


def known_kinds() -> str:
    """Return the names of all kinds, for messages."""
    return ", ".join(kind.name for kind in KINDS)
