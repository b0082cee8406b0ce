"""Building a release: a folder with the files that a plan names.

It holds the planned files, what people need to use them (label map, splits, licence,
configuration, versions, a README) and what proves that it is complete: ``manifest.json``,
``MD5SUMS`` and ``SHA256SUMS``, described in `evreel.release.manifest`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from evreel import __version__
from evreel.errors import EvreelError, ReleaseError, UsageError
from evreel.layout import BOXES_SUFFIX, LABEL_MAP
from evreel.outputs import Progress, silent
from evreel.provenance import canonical_json, sha256
from evreel.release.content import ANONYMOUS, RELEASE_NAME
from evreel.release.digests import digests_of, pieces, sums_of
from evreel.release.example import EXAMPLE, load_example
from evreel.release.licences import licence_notice
from evreel.release.manifest import (
    MANIFEST,
    SUMS,
    ListedFile,
    Manifest,
    PathsTaken,
    PlanEntry,
    check_entries,
    is_release,
    manifest_bytes,
    sums_bytes,
)
from evreel.release.origins import RECORDING, Made, mixtures
from evreel.release.readme import about, readme
from evreel.samples.splits import SPLITS

Compression = Literal["portable", "fast"]

PEOPLES_KINDS = ("annotations", ANONYMOUS, "recipe", "sidecars")
"""Kinds of files that people make and may edit."""

_LIBRARIES = (
    "deflate",
    "h5py",
    "hdf5plugin",
    "imageio-ffmpeg",
    "llvmlite",
    "lxml",
    "lz4",
    "numba",
    "numpy",
    "zstandard",
)


def build(
    plan: Sequence[PlanEntry],
    folder: str | Path,
    *,
    name: str,
    version: str,
    licence: str,
    licence_text: str | None = None,
    description: str = "",
    compression: Compression = "portable",
    config: Mapping[str, Any] | None = None,
    labels: Mapping[int, str] | None = None,
    recordings: Mapping[str, Mapping[str, str]] | None = None,
    dataset: Mapping[str, Any] | None = None,
    acquired: Mapping[str, str] | None = None,
    cleaned: Mapping[Path, Path] | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Fill an empty folder with a release.

    A planned file whose bytes stay becomes a hard link, or a copy on another file system; symbolic
    links are followed first, so that nothing in the release points out of it.

    Parameters
    ----------
    plan
        What goes in: `evreel.release.manifest.read_plan` reads it from a table.
    folder
        Where to build; it is made, or must be empty.
    name, version
        Of the data set: letters, digits and ``. _ + -``.
    licence
        SPDX identifier of the data's licence, such as ``CC-BY-4.0``.
    licence_text
        Its text. Only the Creative Commons and Open Data Commons licences that `evreel` knows
        need none: their name and address suffice.
    description
        What the data set is; it opens the README.
    compression
        ``portable``: HDF5 files that need a plugin are compressed again with gzip and shuffle,
        which every HDF5 reads; files of kind ``recording`` keep their bytes. ``fast``: all files
        stay as they are.
    config
        The configuration that made the files, plain JSON values.
    labels
        Class number → name. Needed if the plan has boxes (``…_bbox.npy``).
    recordings
        What is known of each recording, id → column → text, for the manifest. If given, it must
        have every recording of the plan, in the plan's split. A recording that was downloaded
        without a checksum also gets ``source_checksum``: ``none``; one with published boxes
        ``boxes_repairs``: what was changed in them, and how often.
    dataset
        Origin of the data, for the README: ``title``, ``page`` and ``citation``, if known.
    acquired
        Recording → ``sha256:…`` of the recording itself, which its events store must have been
        decoded from, where that is known.
    cleaned
        Source, without links → the copy of it that is released in its stead.
    progress
        Called as ``progress(done_bytes, total_bytes)`` of the planned files.

    Returns
    -------
    The manifest. Equal arguments and equal files give equal bytes in every file, wherever the
    release is built; ``versions.json`` lists the software, so it differs with that.

    Raises
    ------
    ReleaseError
        If the plan is faulty: no files, an invalid path, a missing source, a recording in two
        splits; if an HDF5 file cannot be read or needs other files; or if a file says that it was
        made from another file than the one that is released beside it.
    UsageError
        If another argument is faulty.
    """
    from evreel.files.boxes import first_path, read_origin

    _check_arguments(name, version, compression)
    if not plan:
        raise ReleaseError("the plan has no files", hint="Name what to release.")
    notice = licence_notice(licence, licence_text)
    label_maps = _label_map(plan, labels)
    title = f"{name} {version}"
    example = load_example(title, compression, plan, has_labels=bool(label_maps))
    written = {
        "config.json": ("config", _json(config or {}, "config")),
        "versions.json": ("versions", _json(versions(), "versions")),
        "LICENSE.txt": ("licence", notice),
        "README.md": ("readme", ""),
        EXAMPLE: ("example", example),
        **_splits(plan),
        **label_maps,
    }
    _check_recordings(plan, recordings)
    check_entries(plan, PathsTaken((MANIFEST, *SUMS.values(), *written)))
    sources = [_source(entry) for entry in plan]
    sizes = [source.stat().st_size for source in sources]

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ReleaseError("is not empty", path=folder, hint="Name a new or empty folder.")
    originals = _check_origins(plan, sources, recordings, acquired or {})
    done, total = 0, sum(sizes)
    progress(done, total)
    files = []
    paths = {entry.path for entry in plan}
    told = {id_: dict(row) for id_, row in (recordings or {}).items()}
    for entry, source, size in zip(plan, sources, sizes, strict=True):
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        released = (cleaned or {}).get(source, source)
        stays = _place(entry, released, target, compression) and released is source
        if entry.kind == "events" and entry.id and _is_unverified(target):
            told.setdefault(entry.id, {})["source_checksum"] = "none"
        if entry.id in told and entry.path.endswith(BOXES_SUFFIX):
            repairs = read_origin(source)["repairs"]
            if repairs and str(first_path(entry.path)) not in paths:
                told[entry.id]["boxes_repairs"] = canonical_json(repairs)
        kind = "annotations" if entry.kind == ANONYMOUS else entry.kind
        file = _listed(folder, entry.path, kind, entry.id, entry.split)
        original = originals.get(source, file.sha256)
        if entry.kind in PEOPLES_KINDS and not _is_original(source, original, file, stays):
            raise ReleaseError(
                "was changed while it was in use",
                place=repr(entry.path),
                hint="Run the same command again.",
            )
        files.append(replace(file, source_sha256="" if original == file.sha256 else original))
        done += size
        progress(done, total)

    story = about(description, dataset)
    page = readme(name, version, licence, story, compression, files, written)
    written["README.md"] = ("readme", page)
    for path, (kind, text) in written.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        files.append(_listed(folder, path, kind))
    listed = tuple(sorted(files, key=lambda file: file.path))
    manifest = Manifest(name, version, licence, listed, told)
    data = manifest_bytes(manifest)
    (folder / MANIFEST).write_bytes(data)
    for algorithm, digests in sums_of(manifest, data).items():
        (folder / SUMS[algorithm]).write_bytes(sums_bytes(digests))
    return manifest


def check_replaceable(folder: Path) -> None:
    """Raise `ReleaseError` if a folder contains something that is not a release."""
    if folder.is_dir() and any(folder.iterdir()) and not is_release(folder):
        raise ReleaseError(
            "is a folder that contains other files",
            path=folder,
            hint="A release replaces a whole folder: name a new or empty one.",
        )


def _check_arguments(name: str, version: str, compression: str) -> None:
    for what, value in (("name", name), ("version", version)):
        if not re.fullmatch(RELEASE_NAME, value):
            raise UsageError(
                f"{what} {value!r} of the release must be letters, digits and . _ + -, beginning "
                "with a letter or digit"
            )
    if compression not in ("portable", "fast"):
        raise UsageError(f"compression {compression!r} is neither 'portable' nor 'fast'")


def _label_map(
    plan: Sequence[PlanEntry], labels: Mapping[int, str] | None
) -> dict[str, tuple[str, str]]:
    """Return the label maps to write, path → (kind, text).

    Metavision's training and viewing programs take the folder of train, val and test, and read the
    map at its root; a program that takes only one folder of boxes finds the map in there.
    """
    folders = {
        PurePosixPath(entry.path).parent for entry in plan if entry.path.endswith(BOXES_SUFFIX)
    }
    if not labels:
        if folders:
            raise ReleaseError(
                f"the plan has boxes in {min(map(str, folders))}, but no labels that name their "
                "classes are given"
            )
        return {}
    for number, label in labels.items():
        if type(number) is not int or number < 0 or not isinstance(label, str):
            raise UsageError(f"label {number!r}: {label!r} is not a number (0 or more) and a name")
    text = json.dumps({str(k): labels[k] for k in sorted(labels)}, indent=1, ensure_ascii=False)
    return {
        str(folder / LABEL_MAP): ("label_map", text + "\n")
        for folder in sorted(folders | {PurePosixPath()})
    }


def _splits(plan: Sequence[PlanEntry]) -> dict[str, tuple[str, str]]:
    """Return the lists of the splits, path → (kind, text): one recording's id per line."""
    split_of: dict[str, PlanEntry] = {}
    for entry in plan:
        top = entry.path.split("/")[0]
        if not entry.split:
            continue
        if not re.fullmatch(RELEASE_NAME, entry.split):
            raise ReleaseError(
                f"split {entry.split!r} must be letters, digits and . _ + -",
                place=entry.place,
            )
        if not entry.id:
            raise ReleaseError(
                f"has split {entry.split!r} but no id of a recording", place=entry.place
            )
        other = split_of.setdefault(entry.id, entry)
        if other.split != entry.split:
            raise ReleaseError(
                f"recording {entry.id!r} is in split {entry.split!r} here, but in "
                f"{other.split!r} at {other.place}",
                place=entry.place,
                hint="A recording belongs to one split.",
            )
        if top in SPLITS and top != entry.split:
            raise ReleaseError(
                f"path {entry.path!r} is in folder {top}, but the recording in split "
                f"{entry.split!r}",
                place=entry.place,
            )
    if not split_of:
        return {}
    names = sorted({*SPLITS, *(entry.split for entry in split_of.values())})
    return {
        f"splits/{name}.txt": (
            "split",
            "".join(f"{id_}\n" for id_ in sorted(split_of) if split_of[id_].split == name),
        )
        for name in names
    }


def _check_recordings(
    plan: Sequence[PlanEntry], recordings: Mapping[str, Mapping[str, str]] | None
) -> None:
    """Raise if the plan contradicts what is known of the recordings."""
    if recordings is None:
        return
    for entry in plan:
        if not entry.id:
            continue
        if entry.id not in recordings:
            raise ReleaseError(
                f"recording {entry.id!r} is not in the table of recordings", place=entry.place
            )
        split = recordings[entry.id].get("split", entry.split)
        if entry.split and split != entry.split:
            raise ReleaseError(
                f"recording {entry.id!r} is in split {entry.split!r} here, but in {split!r} in the "
                "table of recordings",
                place=entry.place,
            )


def _check_origins(
    plan: Sequence[PlanEntry],
    sources: Sequence[Path],
    recordings: Mapping[str, Mapping[str, str]] | None,
    acquired: Mapping[str, str],
) -> dict[Path, str]:
    """Raise if files of a recording do not fit together.

    Returns
    -------
    Source → SHA-256 of those that others are made from.
    """
    digests: dict[Path, str] = {}

    def digest(source: Path) -> str:
        if source not in digests:
            digests[source] = sha256(source)
        return digests[source]

    paths = {entry.path for entry in plan}
    made = [
        Made.read(entry.path, entry.id, source, partial(digest, source), paths)
        for entry, source in zip(plan, sources, strict=True)
        if entry.id
    ]
    made += [
        Made(f"the file of {id_!r} now", id_, RECORDING, digest) for id_, digest in acquired.items()
    ]
    faults = list(mixtures(made, recordings))
    if faults:
        path, problem = faults[0]
        more = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
        raise ReleaseError(
            f"{problem}{more}",
            place=repr(path),
            hint="Files were changed or interchanged since they were made. Run the workflow, or "
            "that step, again.",
        )
    return {source: found.removeprefix("sha256:") for source, found in digests.items()}


def _json(value: Mapping[str, Any], what: str) -> str:
    try:
        return (
            json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} has values that are not plain JSON: {error}") from error


def versions() -> dict[str, str]:
    """Return the versions of evreel, Python and the libraries that decide a release's bytes."""
    import h5py

    return {
        "evreel": __version__,
        **{name: _installed_version(name) for name in _LIBRARIES},
        "hdf5": h5py.version.hdf5_version,
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


def _installed_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # installed without its metadata
        return "unknown"


def _source(entry: PlanEntry) -> Path:
    """Return an entry's file with all links followed; raise if it cannot be read."""
    try:
        source = entry.source.resolve(strict=True)
        problem = None if source.is_file() else "is not a file"
        if problem is None:
            source.open("rb").close()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if problem:
        raise ReleaseError(
            f"source {str(entry.source)!r} {problem}",
            place=entry.place,
            hint="A relative path starts at the working directory.",
        )
    return source


def _place(entry: PlanEntry, source: Path, target: Path, compression: Compression) -> bool:
    """Put a file into the release: linked, copied, or compressed again; tell if its bytes stay."""
    import h5py

    from evreel.files.repack import needs_plugin, repack

    if h5py.is_hdf5(source):
        # Even if it stays as it is: a file with content elsewhere must not be published.
        plugin = needs_plugin(source)
        # Others know a recording's MD5.
        if plugin and compression == "portable" and entry.kind != "recording":
            repack(source, target)
            return False
    # People's own files: an edit in place must not change a release. Files that evreel makes are
    # never edited, only replaced.
    if entry.kind == ANONYMOUS:
        from evreel.annotations.cvat.people import copy_without_people

        try:
            return not copy_without_people(source, target)
        except OSError as error:
            raise _not_copied(entry, error) from error
    if entry.kind not in PEOPLES_KINDS:
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            os.link(source, target)
            return True
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise _not_copied(entry, error) from error
    return True


def _not_copied(entry: PlanEntry, error: OSError) -> ReleaseError:
    return ReleaseError(
        f"source {str(entry.source)!r} cannot be copied: {error.strerror}", place=entry.place
    )


def _is_original(source: Path, original: str, file: ListedFile, stays: bool) -> bool:
    """Return whether a file that people edit was released as it was when others were made of it."""
    now = file.sha256 if stays else sha256(source).removeprefix("sha256:")
    return original in (now, file.sha256)


def _is_unverified(store: Path) -> bool:
    """Return whether an events store says that its recording came without a checksum."""
    from evreel.files import hdf5

    try:
        with hdf5.open_hdf5(store) as file, hdf5.reading(store, "its parameters"):
            parameters = json.loads(file.attrs.get("parameters", "{}"))
            return isinstance(parameters, dict) and "source_checksum" in parameters
    except EvreelError:
        return False  # no store of ours; the checks say what is wrong with it


def _listed(folder: Path, path: str, kind: str, id_: str = "", split: str = "") -> ListedFile:
    size, digests = digests_of(pieces(folder / path))
    return ListedFile(path, size, digests["md5"], digests["sha256"], kind, id_, split)
