"""A release without its data: what makes them, and the manifest of what comes out.

A licence may forbid copies of recordings, and of what has their events. The release is then built
whole and checked, and such files are left out of its folder. The manifest lists them as before,
with their digests, and marks them ``withheld``. Whoever has the recordings makes them again, and
fills the folder: it then is the release, byte for byte, under the same manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evreel.layout import OF_BOXES
from evreel.release.digests import write_manifest
from evreel.release.manifest import (
    ListedFile,
    Manifest,
    read_manifest,
)

PLACE, INPUTS, RECORDINGS = "recipe", "inputs", "recordings"
"""Folder of a release with what makes it; in it, the data set's local files; and, where it is made
again, the recordings."""
CONFIG, TABLE, REQUIREMENTS, PAGE = "config.yaml", "recordings.tsv", "requirements.txt", "README.md"
WRITTEN = (CONFIG, TABLE, REQUIREMENTS, PAGE)
"""Files that are written for a recipe."""
MAKING = f"{PLACE}/{PAGE}"
"""Page of a release that says how to make what is left out of it."""

_DATA = ("events", "features", "previews", "recording", "shards", "slices", "video")
"""Kinds of files that have events, or are pictures of them."""
_LABELS = (*OF_BOXES, ".clock.tsv")
"""Ends of the names of files of these kinds that have labels and times alone."""


def is_data(file: ListedFile) -> bool:
    """Return whether a file has events, or shows them."""
    return file.kind in _DATA and not file.path.endswith(_LABELS)


def withhold(folder: Path) -> Manifest:
    """Leave a finished release's data out of its folder; its manifest then marks them."""
    manifest = read_manifest(folder)
    files = tuple(replace(file, withheld=is_data(file)) for file in manifest.files)
    manifest = replace(manifest, files=files)
    for file in files:
        if file.withheld:
            (folder / file.path).unlink()
            for parent in (folder / file.path).parents:
                if parent == folder or any(parent.iterdir()):
                    break
                parent.rmdir()
    write_manifest(folder, manifest)
    return manifest


def awaited(manifest: Manifest, is_there: Callable[[str], bool]) -> set[str]:
    """Return the files that a recipe leaves to be made: all that are withheld, or none.

    Where some of them are there, somebody has made them, and the others are missing.

    Parameters
    ----------
    manifest
        The release's.
    is_there
        Whether a file of the release is in its folder.
    """
    withheld = {file.path for file in manifest.files if file.withheld}
    return set() if any(map(is_there, withheld)) else withheld


def to_be_made(folder: str | Path) -> int:
    """Return how many files a folder leaves to be made: 0 for a release with its data."""
    root = Path(folder)
    return len(awaited(read_manifest(root), lambda path: (root / path).exists()))


def told_as_recipe(dataset: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Return what is told of a data set, with that its release is a recipe.

    Parameters
    ----------
    dataset
        The config's group `dataset`, plain.
    name
        Of the release's folder.
    """
    told = {key: value for key, value in (dataset or {}).items() if value is not None}
    what = told.get("description")
    return told | {"description": f"{what}\n\n{_story(name)}" if what else _story(name)}


def _story(name: str) -> str:
    return (
        "This release is a recipe: the licence of the recordings forbids copies, so it has labels, "
        "splits, configuration and digests of all files, but neither recordings nor events, "
        "features or videos made from them. Whoever has the recordings can make these files, "
        f"byte for byte, with one command: `evreel rebuild {name} --recordings FOLDER -o OUT`. "
        f"`{MAKING}` says what to install first."
    )


def page(name: str, evreel_version: str, sources: Iterator[str]) -> str:
    """Return the page of the recipe itself.

    Parameters
    ----------
    name
        Of the release's folder.
    evreel_version
        That made the release.
    sources
        What is needed: a line for each recording.
    """
    return "\n".join(
        [
            f"# How to make {name} again",
            "",
            f"1. Install evreel {evreel_version} with its workflow: get its source at that "
            "version, and run `make setup` in it. The libraries that decide the bytes are in "
            f"`{REQUIREMENTS}`; with other versions some files may differ, and the command says "
            "so beforehand.",
            "2. Put the recordings into a folder, in any subfolders. Those with a web address are "
            "downloaded unless they are there.",
            f"3. Beside the release's folder `{name}`, run:",
            "",
            f"        evreel rebuild {name} --recordings FOLDER -o OUT",
            "",
            "Recordings are identified by their checksums, so another file is refused before any "
            "work. In the end every file of OUT is compared with the manifest, and each difference "
            "is named.",
            "",
            "## Recordings",
            "",
            "| recording | source | bytes | checksum |",
            "|---|---|---:|---|",
            *sources,
            "",
        ]
    )
