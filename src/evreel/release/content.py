"""What a release contains of each recording: one rule for planning and for checking a release.

A row is what is known of a recording, column → text, in the recordings table or a manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from evreel.layout import BOXES_SUFFIX, OF_BOXES

Row = Mapping[str, str]

RELEASE_NAME = "[A-Za-z0-9][A-Za-z0-9._+-]{0,99}"
"""Form of the name and of the version of a release."""

MADE_KINDS = ("events", "features", "previews", "recording", "slices", "video")
"""Kinds of files that are made from every recording; annotations and sidecars are not."""

ANNOTATED_KINDS = ("slices", "video")
"""Those of them that are made only from a recording that people annotate."""

ANNOTATIONS = ("rois", "tags")
"""Columns with annotations; each may name several files."""
SIDECARS = ("biases", "calibration", "hot_pixels")
"""Columns with files that are released too."""
ANONYMOUS = "anonymous_annotations"
"""Kind of annotations that are released without the people whom they name."""
BETWEEN = " | "
"""Between the files of one column, as people write it, and between their checksums."""
LISTED = "\n"
"""Between the files of one column once they are known; no path in a table has it."""


def paths_in(cell: str | None) -> list[str]:
    """Return the files that a column names, once they are known."""
    return cell.split(LISTED) if cell else []


def listed_in(cell: str | None) -> list[str]:
    """Return what people list in a cell: files, or their checksums, with | between them.

    Examples
    --------
    >>> listed_in("1.xml | 2.xml"), listed_in("1.xml"), listed_in(None)
    (['1.xml', '2.xml'], ['1.xml'], [])
    """
    return [part.strip() for part in cell.split(BETWEEN.strip())] if cell else []


def role_of(column: str, k: int) -> str:
    """Return what messages and files call the k-th file of a column.

    Examples
    --------
    >>> role_of("rois", 0), role_of("rois", 1)
    ('rois', 'rois.2')
    """
    return column if k == 0 else f"{column}.{k + 1}"


def column_of(role: str) -> str:
    """Return the column of a file that `role_of` has named."""
    return role.partition(".")[0]


class File(NamedTuple):
    """A file of a release: its kind, its path there, and its path in the results or elsewhere."""

    kind: str
    path: str
    source: str


def is_annotated(row: Row, is_cut: bool) -> bool:
    """Return whether people annotate a recording: not if samples or boxes already label it."""
    is_labelled = is_cut or bool(row.get("boxes"))
    return not is_labelled or any(row.get(name) for name in ANNOTATIONS)


def has_boxes(row: Row) -> bool:
    """Return whether a recording has boxes, drawn in CVAT or supplied with it."""
    return bool(row.get("rois") or row.get("boxes"))


def boxes_file(id_: str, row: Row, results: str) -> str:
    """Return the file with all boxes of a recording, in a folder of results."""
    return f"{results}/{'boxes' if row.get('boxes') else 'slices'}/{id_}{BOXES_SUFFIX}"


def files_of(
    id_: str,
    row: Row,
    features: list[str],
    *,
    is_cut: bool,
    video_suffix: str,
    results: str,
    with_boxes: Collection[str] = (),
    without_boxes: Collection[str] = (),
    has_labels: bool = True,
) -> Iterator[File]:
    """Yield the files of a recording.

    Parameters
    ----------
    id_, row
        The recording, and what is known of it.
    features
        Names of the features.
    is_cut
        Whether the recording is cut into samples.
    video_suffix
        ``mp4`` or ``zip``.
    results
        Folder of what the workflow makes.
    with_boxes
        Those of the features beside which are the boxes of their own windows. Beside any other is
        a copy of all boxes of the recording.
    without_boxes
        Those of the features beside which are no boxes.
    has_labels
        Whether the data set has labels; without, nobody annotates.
    """
    split = row["split"]

    def made(kind: str, folder: str, name: str, path: str = "") -> File:
        return File(kind, path or f"{split}/{folder}/{name}", f"{results}/{folder}/{name}")

    boxes = f"{id_}{BOXES_SUFFIX}"
    boxes_source = boxes_file(id_, row, results)
    yield made("events", "events", f"{id_}.h5")
    if is_cut:
        yield made("samples", "samples", f"{id_}.h5")
    if has_labels and is_annotated(row, is_cut):
        yield made("slices", "slices", f"{id_}.h5")
        for name in (f"{id_}.{video_suffix}", f"{id_}.clock.tsv"):
            yield made("video", "video", name, f"video/{name}")
    for name in (f"{id_}.mp4", f"{id_}.jpg"):
        yield made("previews", "previews", name, f"previews/{name}")
    for name in ANNOTATIONS:
        for k, path in enumerate(paths_in(row.get(name))):
            suffix = PurePath(path).suffix or ".xml"
            yield File("annotations", f"annotations/{id_}.{role_of(name, k)}{suffix}", path)
    for name in SIDECARS:
        if row.get(name):
            suffix = PurePath(row[name]).suffix
            yield File("sidecars", f"sidecars/{id_}.{name}{suffix}", row[name])
    for feature in features:
        path = f"{split}/{feature}/{id_}.h5"
        yield made("features", f"features/{feature}", f"{id_}.h5", path)
        if has_boxes(row) and feature in with_boxes:
            for name in (f"{id_}{suffix}" for suffix in OF_BOXES):
                path = f"{split}/{feature}/{name}"
                yield made("features", f"features/{feature}", name, path)
        elif has_boxes(row) and feature not in without_boxes:
            yield File("features", f"{split}/{feature}/{boxes}", boxes_source)
    if has_boxes(row):
        yield File("slices", f"{split}/slices/{boxes}", boxes_source)
