"""A data set as a recipe: its config, table and local files, with paths that start at the recipe.

Whoever has the recordings builds the same bytes from it, wherever it lies.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evreel.acquire import in_archive, read_source
from evreel.dataset.config import FILES, files_of
from evreel.dataset.dataset import DataSet
from evreel.dataset.table import read_rows
from evreel.errors import UsageError
from evreel.provenance import sha256
from evreel.release.content import ANNOTATIONS, BETWEEN, paths_in
from evreel.release.recipe import CONFIG, INPUTS, PLACE, RECORDINGS, TABLE, WRITTEN
from evreel.representations.own import is_own
from evreel.representations.sources import read_file


class Recipe(NamedTuple):
    """What a recipe says.

    Parameters
    ----------
    config : the config, plain.
    rows : the rows of its table of recordings: column → text.
    inputs : path in the recipe → the local file that is copied there.
    """

    config: dict[str, Any]
    rows: list[dict[str, str]]
    inputs: dict[str, str]


@functools.cache
def recipe_of(dataset: DataSet) -> Recipe:
    """Return a data set as a recipe."""
    inputs: dict[str, str] = {}

    def moved(file: str) -> str:
        # Of one name there may be several; labels know their recording by its file's name.
        path = f"{INPUTS}/{_folder(file)}/{Path(file).name}"
        inputs[path] = file
        return path

    def code(name: str) -> str:
        """Move a representation of a user's own, with the modules beside it that it imports."""
        place, _, function = name.rpartition(":")
        if not is_own(name) or not place.endswith(".py"):
            return name
        main = Path(place)
        folder = f"{INPUTS}/{_folder(place)}"
        for path in read_file(main, "", has_neighbours=True).files:
            inputs[f"{folder}/{path.relative_to(main.resolve().parent).as_posix()}"] = str(path)
        return f"{folder}/{main.name}:{function}"

    config = dataset.config.plain()
    # How it is built here, not what.
    del config["results"], config["batches"], config["parts"], config["release"]["incomplete"]
    config["recordings"] = TABLE
    config["release"]["data"] = "all"
    if dataset.missing and config.get("samples"):
        config["samples"]["counts"] = {}  # are those of all recordings
    for place, file in files_of(dataset.config):
        *parents, last = place
        node = config
        for key in parents:
            node = node[key]
        node[last] = moved(file)
    for feature in config["features"].values():
        feature["representation"] = code(feature["representation"])
    places = _places_of_recordings(dataset)
    rows = []
    for id_, row in dataset.recordings.items():
        cells = {name: cell for name, cell in row.items() if not name.startswith("parts/")}
        for column, cell in tuple(cells.items()):
            if column == "source":
                cells |= _source(cell, places, "size_bytes" in row)
            elif column.startswith("features/") and column.endswith("/representation"):
                cells[column] = code(cell)
            elif column in (*FILES, "samples/table") and not cell.startswith("!"):
                files = paths_in(cell) if column in ANNOTATIONS else [cell]
                cells[column] = BETWEEN.join(map(moved, files))
        rows.append({"id": id_, **cells})
    return Recipe(config, rows, dict(sorted(inputs.items())))


def _folder(file: str) -> str:
    return sha256(file).removeprefix("sha256:")[:16]


def _places_of_recordings(dataset: DataSet) -> dict[str, str]:
    """Return local source → where the recipe looks for it; its name stays."""
    files: dict[str, str] = {}
    digests: dict[str, set[str]] = {}
    for row in dataset.recordings.values():
        path = read_source(row["source"]).path
        if path is not None:
            known = row.get("sha256") or row.get("md5") or row["crc32"]
            files[str(path)] = known.lower()
            digests.setdefault(path.name, set()).add(files[str(path)])
    return {
        file: f"{RECORDINGS}/{digest[:16]}/{Path(file).name}"
        if len(digests[Path(file).name]) > 1
        else f"{RECORDINGS}/{Path(file).name}"
        for file, digest in files.items()
    }


def _source(cell: str, places: Mapping[str, str], has_size: bool) -> dict[str, str]:
    """Return the source of a row, and its size if that is known."""
    source = read_source(cell)
    if source.path is None:
        return {}
    named = {"source": f"manual:{in_archive(places[str(source.path)], source.members)}"}
    if has_size or not source.path.is_file():
        return named
    return named | {"size_bytes": str(source.path.stat().st_size)}


def recipe_rows(dataset: DataSet) -> Iterator[dict[str, str]]:
    """Yield rows of the release's plan: what is written for a recipe, and what is copied."""
    for path in WRITTEN:
        yield {"path": f"{PLACE}/{path}", "source": f"{dataset.results}/{PLACE}/{path}"}
    for path, source in recipe_of(dataset).inputs.items():
        yield {"path": f"{PLACE}/{path}", "source": source}


def recipe_texts(dataset: DataSet) -> dict[str, Any]:
    """Return what `evreel.steps.recipe` takes."""
    config, rows, _ = recipe_of(dataset)
    return {"config": config, "rows": rows, "release": dataset.release_name}


def config_text(config: Mapping[str, Any]) -> str:
    """Return a plain config as ``config.yaml`` has it."""
    return str(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=100))


def table_text(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a table of recordings, every column that any of them has."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


class Needed(NamedTuple):
    """A file that a recipe needs: a recording, or an archive with several.

    Parameters
    ----------
    source, name, place
        What the table says of it, its name, and its path below the folder in which the recipe is
        run; empty for a download.
    md5, sha256, crc32, size_bytes
        What is known of its bytes.
    ids
        The recordings that it has.
    """

    source: str
    name: str
    place: str
    md5: str | None
    sha256: str | None
    crc32: str | None
    size_bytes: int | None
    ids: tuple[str, ...]

    @property
    def strongest_sum(self) -> tuple[str, str | None]:
        """Name and digits of the strongest sum that is known of it."""
        if self.sha256:
            return "SHA-256", self.sha256
        return ("MD5", self.md5) if self.md5 or not self.crc32 else ("CRC-32", self.crc32)


def needed_by(rows: Sequence[Mapping[str, str]]) -> list[Needed]:
    """Return the files that the rows of a recipe's table need, each once."""
    found: dict[str, Needed] = {}
    for row in rows:
        source = read_source(row["source"])
        size = row.get("size_bytes")
        one = Needed(
            source.file,
            source.file_name,
            "" if source.path is None else str(source.path),
            row.get("md5", "").lower() or None,
            row.get("sha256", "").lower() or None,
            row.get("crc32", "").lower() or None,
            int(size) if size else None,
            (row["id"],),
        )
        known = found.setdefault(source.file, one)
        if known is not one:
            found[source.file] = known._replace(ids=(*known.ids, row["id"]))
    return list(found.values())


def read_recipe(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return config and rows of a recipe.

    Raises
    ------
    UsageError
        If one of the files cannot be read.
    """
    path = folder / CONFIG
    try:
        config = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"cannot be read: {error}", path=path) from error
    if not isinstance(config, dict):
        raise UsageError("is not a config", path=path)
    rows = read_rows(folder / TABLE, ("id", "source", "split"))
    return config, [dict(row) for _, row in rows]


def with_local(
    rows: Sequence[Mapping[str, str]], places: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return rows whose sources are local where they have been found: file of a source → place."""
    made = []
    for row in rows:
        source = read_source(row["source"])
        place = places.get(source.file)
        moved = {} if place is None else {"source": in_archive(place, source.members)}
        made.append(dict(row) | moved)
    return made
