"""The plan of a release: which file of the results goes where in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evreel.dataset.config import SIDECARS
from evreel.dataset.dataset import DataSet
from evreel.layout import BOXES_SUFFIX


def release_plan(dataset: DataSet) -> list[dict[str, str]]:
    """Return a row per file of a release: path in it, source, kind, id, split."""
    include = dataset.config.release.include
    rows = [
        {"path": path, "source": source, "kind": kind, "id": id_, "split": row["split"]}
        for id_, row in dataset.recordings.items()
        for kind, path, source in _files(dataset, id_)
        if kind in include
    ]
    if "samples" in include and dataset.cut:
        table = {"path": "samples.tsv", "source": f"{dataset.results}/samples.tsv"}
        rows.append(table | {"kind": "samples"})
    return rows


def _files(dataset: DataSet, id_: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, path in the release and source of each file of a recording."""
    row, results = dataset.recordings[id_], dataset.results
    split = row["split"]
    boxes = None
    if "rois" in row:
        boxes = f"{results}/slices/{id_}{BOXES_SUFFIX}"
    if "boxes" in row:
        boxes = f"{results}/boxes/{id_}{BOXES_SUFFIX}"
    yield "events", f"{split}/events/{id_}.h5", f"{results}/events/{id_}.h5"
    if dataset.cutting(id_):
        yield "samples", f"{split}/samples/{id_}.h5", f"{results}/samples/{id_}.h5"
    if dataset.is_annotated(id_):
        video, suffix = f"{results}/video/{id_}", dataset.video_suffix
        yield "slices", f"{split}/slices/{id_}.h5", f"{results}/slices/{id_}.h5"
        yield "video", f"video/{id_}.{suffix}", f"{video}.{suffix}"
        yield "video", f"video/{id_}.clock.tsv", f"{video}.clock.tsv"
    for name in ("rois", "tags"):
        if name in row:
            yield "annotations", f"annotations/{id_}.{name}.xml", row[name]
    for name in SIDECARS:
        if name in row:
            yield "sidecars", f"sidecars/{id_}.{name}{Path(row[name]).suffix}", row[name]
    for feature in dataset.config.features:
        yield "features", f"{split}/{feature}/{id_}.h5", f"{results}/features/{feature}/{id_}.h5"
        if boxes is not None:
            yield "features", f"{split}/{feature}/{id_}{BOXES_SUFFIX}", boxes
    if boxes is not None:
        yield "slices", f"{split}/slices/{id_}{BOXES_SUFFIX}", boxes
