"""Describers of folders: a release, and the results of a workflow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from evreel.files.boxes import label_map
from evreel.layout import LABEL_MAP
from evreel.release.manifest import MANIFEST, REASON, Manifest, is_release, read_manifest
from evreel.release.recipe import awaited

RESULTS = (
    *("recordings", "events", "cuts", "samples", "video", "slices", "boxes", "features"),
    "previews",
)
"""Folders of a workflow's results, in the order in which they are made."""


def is_results(folders: frozenset[str]) -> bool:
    """Tell whether a folder with these folders is a workflow's results."""
    return "events" in folders and len(folders & {*RESULTS}) > 1


def release(path: Path) -> dict[str, Any]:
    """Describe a release by its manifest; its files are looked for, and not read."""
    folder = path if path.is_dir() else path.parent
    manifest = read_manifest(folder)
    to_be_made = awaited(manifest, lambda name: (folder / name).exists())
    problems = []
    for file in manifest.files:
        if file.path in to_be_made:
            continue
        place = folder / file.path
        size = place.stat().st_size if place.is_file() else None
        if size != file.size:
            there = "is missing" if size is None else f"has {size:,} bytes"
            problems.append(f"{file.path}: {there}; the manifest says {file.size:,} bytes")
    names: dict[int, str] = {}
    if (folder / LABEL_MAP).is_file():
        try:
            names = label_map((folder / LABEL_MAP).read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{LABEL_MAP}: is not a label map: {error}")
    split_of = {file.id: file.split for file in manifest.files if file.id and file.split}
    features = {Path(file.path).parent.name for file in manifest.files if file.kind == "features"}
    if len(problems) > 1:
        problems[1:] = [f"and {len(problems) - 1:,} more; evreel verify lists all"]
    return {
        "name": manifest.name,
        "version": manifest.version,
        "licence": manifest.licence,
        "recordings": len(split_of),
        "by_split": dict(sorted(Counter(split_of.values()).items())),
        **(_missing(manifest) if manifest.missing else {}),
        "labels": [names[number] for number in sorted(names)],
        "features": sorted(features),
        "files": len(manifest.files),
        **({"to_be_made": len(to_be_made)} if to_be_made else {}),
        "by_kind": dict(sorted(Counter(file.kind or "other" for file in manifest.files).items())),
        "bytes": sum(file.size for file in manifest.files),
        "evreel": manifest.evreel_version,
        "problems": problems,
    }


def _missing(manifest: Manifest) -> dict[str, Any]:
    """Return which recordings of the data set a release lacks, and why."""
    why = {id_: row.get(REASON, "") for id_, row in sorted(manifest.missing.items())}
    return {"lacks": manifest.lacks, "missing": why}


def results(path: Path) -> dict[str, Any]:
    """Describe the results of a workflow by the names of its files."""
    files = {name: _names(path / name) for name in RESULTS if (path / name).is_dir()}
    made = {name: len(_ids(names)) for name, names in files.items() if name != "features"}
    features = {
        name: len(_ids(_names(path / "features" / name)))
        for name in files.get("features", ())
        if not name.startswith(".")
    }
    releases = [name for name in _names(path / "release") if is_release(path / "release" / name)]
    return {"made": made, "features": features, "releases": releases}


def _names(folder: Path) -> list[str]:
    try:
        return sorted(place.name for place in folder.iterdir())
    except OSError:
        return []


def _ids(names: list[str]) -> set[str]:
    """Return the recordings that have a file: its name, without what says of which kind it is."""
    return {name.split(".")[0].split("_bbox")[0] for name in names if not name.startswith(".")}


def has_manifest(path: Path) -> bool:
    """Tell whether a path is a release, or its manifest."""
    if path.is_dir():
        return is_release(path)
    return path.name == MANIFEST and is_release(path.parent)
