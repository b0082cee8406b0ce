"""The plan of a release: which file of the results goes where in it."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath

from evreel.dataset.dataset import DataSet
from evreel.dataset.recipe import recipe_rows
from evreel.release.content import ANONYMOUS, files_of

PUBLISHED = "published"
"""The folder of the results with files as others get them, each with its record."""


@functools.cache
def release_plan(dataset: DataSet) -> list[dict[str, str]]:
    """Return a row per file of a release: path in it, source, kind, id, split."""
    include = dataset.config.release.include
    # What a kind of files is called in the plan.
    kinds: dict[str, str] = {name: name for name in include}
    if ANONYMOUS in include or (dataset.config.release.anonymous and "annotations" in include):
        kinds["annotations"] = ANONYMOUS
    rows = [
        {
            "path": path,
            "source": _published(source, dataset.results),
            "kind": kinds[kind],
            "id": id_,
            "split": row["split"],
        }
        for id_, row in dataset.recordings.items()
        for kind, path, source in files_of(
            *(id_, row, list(dataset.config.features)),
            is_cut=dataset.cutting(id_) is not None,
            video_suffix=dataset.video_suffix,
            results=dataset.results,
            with_boxes=dataset.features_with_boxes,
            without_boxes=dataset.features_without_boxes,
            has_labels=bool(dataset.config.labels),
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
    """Return the files that a release is made from, but those that have a record."""
    ready = set(published_files(dataset))
    return [row["source"] for row in release_plan(dataset) if row["source"] not in ready]


def published_files(dataset: DataSet) -> list[str]:
    """Return those of a release's files that are made ready for it, each with a record."""
    ready = f"{dataset.results}/{PUBLISHED}/"
    files = [row["source"] for row in release_plan(dataset)]
    return [file for file in files if file.startswith(ready)]


def records_of_files(dataset: DataSet) -> list[str]:
    """Return the records of the files that were made ready for a release."""
    return [str(PurePosixPath(file).with_suffix(".json")) for file in published_files(dataset)]


def files_of_release(dataset: DataSet) -> list[str]:
    """Return the files that a release is made from, and the records of those that have one."""
    return [*records_of_files(dataset), *released_files(dataset)]


def working_files(dataset: DataSet) -> list[str]:
    """Return the files of the results that others were made ready from."""
    results = dataset.results
    return [
        f"{results}/{file.removeprefix(f'{results}/{PUBLISHED}/')}"
        for file in published_files(dataset)
    ]


def _published(source: str, results: str) -> str:
    """Return what a release is given of a file of the results."""
    if source.startswith(f"{results}/") and source.endswith(".h5"):
        return f"{results}/{PUBLISHED}/{source.removeprefix(f'{results}/')}"
    return source
