"""The plan of a release: which file of the results goes where in it."""

from __future__ import annotations

import functools

from evreel.dataset.dataset import DataSet
from evreel.dataset.recipe import recipe_rows
from evreel.release.content import ANONYMOUS, files_of


@functools.cache
def release_plan(dataset: DataSet) -> list[dict[str, str]]:
    """Return a row per file of a release: path in it, source, kind, id, split."""
    include = dataset.config.release.include
    # What a kind of files is called in the plan.
    kinds: dict[str, str] = {name: name for name in include}
    if ANONYMOUS in include or (dataset.config.release.anonymous and "annotations" in include):
        kinds["annotations"] = ANONYMOUS
    rows = [
        {"path": path, "source": source, "kind": kinds[kind], "id": id_, "split": row["split"]}
        for id_, row in dataset.recordings.items()
        for kind, path, source in files_of(
            *(id_, row, list(dataset.config.features)),
            is_cut=dataset.cutting(id_) is not None,
            video_suffix=dataset.video_suffix,
            results=dataset.results,
            with_boxes=dataset.features_with_boxes,
            without_boxes=dataset.features_without_boxes,
        )
        if kind in kinds
    ]
    if "samples" in include and dataset.cut:
        table = {"path": "samples.tsv", "source": f"{dataset.results}/samples.tsv"}
        rows.append(table | {"kind": "samples"})
    if dataset.config.release.data == "none":
        rows += [row | {"kind": "recipe"} for row in recipe_rows(dataset)]
    return rows


def released_files(dataset: DataSet) -> list[str]:
    """Return the files that a release is made from."""
    return [row["source"] for row in release_plan(dataset)]
