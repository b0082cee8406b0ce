"""Data sets that are ready to run: what their configs say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evreel.acquire import read_source
from evreel.dataset.config import Read, read_config
from evreel.dataset.settings import Description, ReleaseSettings, SplitCounts
from evreel.dataset.table import read_rows
from evreel.errors import UsageError
from evreel.settings import Place, mistakes, settings_of, shown, wrong
from evreel.text import size_text


def datasets(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """List data sets that are ready to run: each a folder with a ``config.yaml``.

    Parameters
    ----------
    folder
        The folder with those folders. None takes ``configs`` of the working directory, or else
        what comes with this package: ``configs`` of the checkout that it is in, or its own.

    Returns
    -------
    One a data set, by name: ``name`` (its folder's), ``title``, ``page``, ``licence``,
    ``size_bytes`` (to download), ``automatic`` (whether every source is a url; false where the
    table is yet to be made), ``recordings`` (rows of the table), ``samples`` (as published),
    ``config`` (path). None stands for what the config does not say.

    Raises
    ------
    UsageError
        Where the folder does not exist or holds no data set, or a config or table cannot be read.
    """
    folder = _configs_folder() if folder is None else Path(folder)
    configs = sorted(folder.glob("*/config.yaml"))
    if not configs:
        raise UsageError(
            "has no data set in it" if folder.is_dir() else "is not a folder",
            path=folder,
            hint="Name a folder with folders that hold a config.yaml.",
        )
    return [_dataset(path) for path in configs]


def published(name: str) -> Read:
    """Return what config and table say of a data set that comes with this package.

    Parameters
    ----------
    name
        Its folder in ``configs``, such as ``n_mnist``.
    """
    path = _own_folder() / name / "config.yaml"
    values = _yaml(path)
    values["recordings"] = str(path.with_name(Path(values["recordings"]).name))
    return read_config(values, [path])


def _configs_folder() -> Path:
    here = Path("configs")
    return here if _is_beside_snakefile(here) else _own_folder()


def _own_folder() -> Path:
    """Return the folder of configs that comes with this package, in a checkout or installed."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1] / "configs"
    if _is_beside_snakefile(checkout):
        return checkout
    if (package / "configs").is_dir():
        return package / "configs"
    raise UsageError(
        "there is no folder configs beside a Snakefile here, and none came with this evreel",
        hint="Install evreel again, run this in a checkout, or name the folder.",
    )


def _is_beside_snakefile(folder: Path) -> bool:
    return folder.is_dir() and (folder.parent / "Snakefile").is_file()


def _dataset(path: Path) -> dict[str, Any]:
    """Return what one config says of its data set, as `datasets` does."""
    config = _yaml(path)
    about, release, samples = (config.get(key) or {} for key in ("dataset", "release", "samples"))
    for place, problem in _mistakes(about, release, samples):
        raise UsageError(f"{'/'.join(place)}: {problem}", path=path)
    counts = samples.get("counts")
    on_web = _on_web(path, str(config.get("recordings", "")))
    return {
        "name": path.parent.name,
        "title": about.get("title"),
        "page": about.get("page"),
        "licence": release.get("licence"),
        "size_bytes": about.get("size_bytes"),
        "automatic": on_web is not None and all(on_web),
        "recordings": None if on_web is None else len(on_web),
        "samples": sum(counts.values()) if isinstance(counts, dict) else None,
        "config": str(path),
    }


def _mistakes(about: Any, release: Any, samples: Any) -> Iterator[tuple[Place, str]]:
    """Yield (place, problem) of what is shown of a config."""
    yield from mistakes(Description, about, ("dataset",))
    for name, part in (("release", release), ("samples", samples)):
        if not isinstance(part, dict):
            yield (name,), f"{shown(part)} is not a mapping of keys to values"
            return
    if release.get("licence") is not None:
        known = settings_of(ReleaseSettings)["licence"]
        yield from wrong(known, release["licence"], ("release", "licence"))
    if samples.get("counts") is not None:
        yield from mistakes(SplitCounts, samples["counts"], ("samples", "counts"))


def _yaml(path: Path) -> dict[str, Any]:
    """Return a config as it is written."""
    try:
        config = yaml.safe_load(path.read_bytes())
    except Exception as error:  # PyYAML raises a dozen kinds
        problem = " ".join(str(error).split())
        raise UsageError(f"cannot be read: {problem}", path=path) from error
    if not isinstance(config, dict):
        raise UsageError("is not a config: it has no keys", path=path)
    return config


def _on_web(config: Path, table: str) -> list[bool] | None:
    """Tell for each row of a config's table whether its source is a url; None without a table."""
    # As Snakemake takes it, from the working directory; from elsewhere, what is beside the config.
    places = (Path(table), config.with_name(Path(table).name)) if table else ()
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    rows = read_rows(path, ("source",))
    return [bool(read_source(row.get("source", "")).urls) for _, row in rows]


def describe_datasets(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table in which `datasets`'s result is shown to a person."""
    rows = [
        ("name", "title", "licence", "size", "download", "recordings", "samples", "page"),
        *(
            (
                entry["name"],
                entry["title"] or "",
                entry["licence"] or "",
                "" if entry["size_bytes"] is None else size_text(entry["size_bytes"]),
                "automatic" if entry["automatic"] else "by hand",
                *(
                    "" if entry[key] is None else f"{entry[key]:,}"
                    for key in ("recordings", "samples")
                ),
                entry["page"] or "",
            )
            for entry in found
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
