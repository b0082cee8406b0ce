"""Release folders: built from a plan, and verified file by file.

A release holds the planned files, what people need to use them (label map, splits, licence,
configuration, versions, a page to read) and what proves that it is whole: ``manifest.json``,
``MD5SUMS`` and ``SHA256SUMS``, described in `evreel.release.manifest`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from evreel import __version__
from evreel.errors import ReleaseError, UsageError
from evreel.layout import BOXES_SUFFIX, LABEL_MAP
from evreel.outputs import Progress, silent
from evreel.release.manifest import (
    MANIFEST,
    SUMS,
    Algorithm,
    ListedFile,
    Manifest,
    PathsTaken,
    PlanEntry,
    check_entries,
    is_release,
    manifest_bytes,
    parse_manifest,
    parse_sums,
    sums_bytes,
)
from evreel.samples.splits import SPLITS

Compression = Literal["portable", "fast"]

_PIECE_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
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
_LICENCES = {
    "CC0-1.0": ("CC0 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/",
    ),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
    "CC-BY-NC-4.0": (
        "Creative Commons Attribution-NonCommercial 4.0 International",
        "https://creativecommons.org/licenses/by-nc/4.0/",
    ),
    "CC-BY-NC-SA-4.0": (
        "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International",
        "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    ),
    "PDDL-1.0": (
        "Open Data Commons Public Domain Dedication and License 1.0",
        "https://opendatacommons.org/licenses/pddl/1-0/",
    ),
    "ODC-By-1.0": (
        "Open Data Commons Attribution License 1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
    ),
    "ODbL-1.0": (
        "Open Data Commons Open Database License 1.0",
        "https://opendatacommons.org/licenses/odbl/1-0/",
    ),
}
"""Licences that ask for their name and address, not for their text beside the data."""


@dataclass(frozen=True, order=True)
class Difference:
    """How a file of a release is not what it was; `path` starts at the release's folder."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


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
    progress: Progress = silent,
) -> Manifest:
    """Fill an empty folder with a release.

    A planned file becomes a hard link where its bytes stay, else a copy (on another file
    system); links are followed first, so that nothing in the release points out of it.

    Parameters
    ----------
    plan
        What goes in: `evreel.release.manifest.read_plan` reads it from a table.
    folder
        Where; it is made, or must be empty.
    name, version
        Of the data set: letters, digits and ``. _ + -``.
    licence
        SPDX identifier of the data's licence, such as ``CC-BY-4.0``.
    licence_text
        Its text. Only the Creative Commons and Open Data Commons licences that `evreel` knows
        go without one, with their name and address.
    description
        What the data set is; it opens the README.
    compression
        ``portable``: HDF5 files that need a plugin are written anew with gzip and shuffle, which
        every HDF5 reads; files of kind ``recording`` keep their bytes. ``fast``: all as they are.
    config
        The configuration that made the files, plain JSON values, as it was in force.
    labels
        Class number → name. Needed where the plan has boxes (``…_bbox.npy``).
    recordings
        What is known of each recording, id → column → text. It stands in the manifest; where it
        is given, it has every recording of the plan, in the plan's split.
    dataset
        Where the data come from, for the README: ``title``, ``page`` and ``citation``, as far as
        known.
    progress
        Called as ``progress(done_bytes, total_bytes)`` of the planned files.

    Returns
    -------
    The manifest. Equal arguments and equal files give equal bytes in every file, wherever the
    release is built; ``versions.json`` tells of the software, so it differs with that.

    Raises
    ------
    ReleaseError
        Where the plan is at fault: no files, a path that can't be, a source that is not there, a
        recording in two splits; or where an HDF5 file can't be read or is not whole by itself.
    UsageError
        Where another argument is.
    """
    _check_arguments(name, version, compression)
    if not plan:
        raise ReleaseError("the plan has no file", hint="Name what is to be released.")
    notice = licence_notice(licence, licence_text)
    written = {
        "config.json": ("config", _json(config or {}, "config")),
        "versions.json": ("versions", _json(versions(), "versions")),
        "LICENSE.txt": ("licence", notice),
        "README.md": ("readme", ""),
        **_splits(plan),
        **_label_map(plan, labels),
    }
    _check_recordings(plan, recordings)
    check_entries(plan, PathsTaken((MANIFEST, *SUMS.values(), *written)))
    sources = [_source(entry) for entry in plan]
    sizes = [source.stat().st_size for source in sources]

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ReleaseError("is not empty", path=folder, hint="A release is built from nothing.")
    done, total = 0, sum(sizes)
    progress(done, total)
    files = []
    for entry, source, size in zip(plan, sources, sizes, strict=True):
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _place(entry, source, target, compression)
        files.append(_listed(folder, entry.path, entry.kind, entry.id, entry.split))
        done += size
        progress(done, total)

    about = "\n\n".join(filter(None, [description.strip(), *_about(dataset)]))
    readme = _readme(name, version, licence, about, compression, files, written)
    written["README.md"] = ("readme", readme)
    for path, (kind, text) in written.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        files.append(_listed(folder, path, kind))
    listed = tuple(sorted(files, key=lambda file: file.path))
    manifest = Manifest(name, version, licence, listed, recordings or {})
    data = manifest_bytes(manifest)
    (folder / MANIFEST).write_bytes(data)
    for algorithm, digests in _sums_of(manifest, data).items():
        (folder / SUMS[algorithm]).write_bytes(sums_bytes(digests))
    return manifest


def check_replaceable(folder: Path) -> None:
    """Raise `ReleaseError` where a folder holds something that is not a release."""
    if folder.is_dir() and any(folder.iterdir()) and not is_release(folder):
        raise ReleaseError(
            "is a folder with other things in it",
            path=folder,
            hint="A release takes the place of a whole folder: name a new or empty one.",
        )


def _check_arguments(name: str, version: str, compression: str) -> None:
    for what, value in (("name", name), ("version", version)):
        if not _NAME.fullmatch(value):
            raise UsageError(
                f"{what} {value!r} of the release is not made of letters, digits and . _ + -, "
                "beginning with a letter or digit"
            )
    if compression not in ("portable", "fast"):
        raise UsageError(f"compression {compression!r} is neither 'portable' nor 'fast'")


def licence_notice(licence: str, text: str | None) -> str:
    """Return what ``LICENSE.txt`` says of the data.

    Raises
    ------
    UsageError
        Where the licence is none of those that go by name and address, and has no text.
    """
    if text is not None:
        return text if text.endswith("\n") else text + "\n"
    if licence == "NOASSERTION":
        return "No licence is stated for the data in this folder.\n"
    if licence not in _LICENCES:
        raise UsageError(
            f"the text of licence {licence!r} is not given",
            hint=f"Give it as licence_file. Without a text go: {', '.join(_LICENCES)}.",
        )
    title, address = _LICENCES[licence]
    notice = f"The data in this folder are under {title} ({licence}).\nIts text: {address}\n"
    carried = importlib.resources.files("evreel") / "release" / "texts" / f"{licence}.txt"
    return notice + "\n" + carried.read_text(encoding="utf-8") if carried.is_file() else notice


def _label_map(
    plan: Sequence[PlanEntry], labels: Mapping[int, str] | None
) -> dict[str, tuple[str, str]]:
    """Return the label maps to write, path → (kind, text).

    Metavision's training and viewing programs take the folder that holds train, val and test,
    and read the map at its root; whoever takes only one folder of boxes finds it beside them.
    """
    folders = {
        PurePosixPath(entry.path).parent for entry in plan if entry.path.endswith(BOXES_SUFFIX)
    }
    if not labels:
        if folders:
            raise ReleaseError(
                f"the plan has boxes in {min(map(str, folders))}, and no labels to name their "
                "classes are given"
            )
        return {}
    for number, label in labels.items():
        if type(number) is not int or number < 0 or not isinstance(label, str):
            raise UsageError(f"label {number!r}: {label!r} is not a number from 0 and a name")
    text = json.dumps({str(k): labels[k] for k in sorted(labels)}, indent=1, ensure_ascii=False)
    return {
        str(folder / LABEL_MAP): ("label_map", text + "\n")
        for folder in sorted(folders | {PurePosixPath()})
    }


def _splits(plan: Sequence[PlanEntry]) -> dict[str, tuple[str, str]]:
    """Return the lists of the splits, path → (kind, text): a recording's id a line."""
    split_of: dict[str, PlanEntry] = {}
    for entry in plan:
        top = entry.path.split("/")[0]
        if not entry.split:
            continue
        if not _NAME.fullmatch(entry.split):
            raise ReleaseError(
                f"split {entry.split!r} is not made of letters, digits and . _ + -",
                place=entry.place,
            )
        if not entry.id:
            raise ReleaseError(
                f"has split {entry.split!r} and no id of a recording", place=entry.place
            )
        other = split_of.setdefault(entry.id, entry)
        if other.split != entry.split:
            raise ReleaseError(
                f"recording {entry.id!r} is in split {entry.split!r} here and in "
                f"{other.split!r} at {other.place}",
                place=entry.place,
                hint="A recording belongs to one split.",
            )
        if top in SPLITS and top != entry.split:
            raise ReleaseError(
                f"path {entry.path!r} is in folder {top}, the recording in split {entry.split!r}",
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
    """Raise where the plan and what is known of the recordings do not go together."""
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
                f"recording {entry.id!r} is in split {entry.split!r} here, in {split!r} in the "
                "table of recordings",
                place=entry.place,
            )


def _json(value: Mapping[str, Any], what: str) -> str:
    try:
        return (
            json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is not made of plain JSON values: {error}") from error


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
    """Return an entry's file with all links followed, or raise where there is none to read."""
    try:
        source = entry.source.resolve(strict=True)
        problem = None if source.is_file() else "is no file"
        if problem is None:
            source.open("rb").close()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        problem = f"can't be read: {getattr(error, 'strerror', None) or error}"
    if problem:
        raise ReleaseError(
            f"source {str(entry.source)!r} {problem}",
            place=entry.place,
            hint="A relative path starts at the working directory.",
        )
    return source


def _place(entry: PlanEntry, source: Path, target: Path, compression: Compression) -> None:
    """Put a file into the release: a link, a copy, or written anew."""
    import h5py

    from evreel.files.repack import needs_plugin, repack

    if h5py.is_hdf5(source):
        # Also where it stays as it is: a file with content elsewhere is no file to publish.
        plugin = needs_plugin(source)
        # A recording's MD5 is known to others.
        if plugin and compression == "portable" and entry.kind != "recording":
            repack(source, target)
            return
    # People's own files: an edit in place must not reach into a release. What evreel makes is
    # never edited, only replaced.
    if entry.kind not in ("annotations", "sidecars"):
        with contextlib.suppress(OSError):  # another file system, or one without hard links
            os.link(source, target)
            return
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ReleaseError(
            f"source {str(entry.source)!r} can't be copied: {error.strerror}", place=entry.place
        ) from error


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces; never those of what a link at its place leads to."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _digests(
    pieces: Iterable[bytes], progress: Callable[[int], None] = lambda size: None
) -> tuple[int, dict[Algorithm, str]]:
    """Return size and digests of bytes that come in pieces."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in SUMS}
    size = 0
    for piece in pieces:
        for digest in hashes.values():
            digest.update(piece)
        size += len(piece)
        progress(len(piece))
    return size, {name: digest.hexdigest() for name, digest in hashes.items()}


def _listed(folder: Path, path: str, kind: str, id_: str = "", split: str = "") -> ListedFile:
    size, digests = _digests(_pieces(folder / path))
    return ListedFile(path, size, digests["md5"], digests["sha256"], kind, id_, split)


def _sums_of(manifest: Manifest, data: bytes) -> dict[Algorithm, dict[str, str]]:
    """Return what the files of sums say, path → digest, for a manifest and its bytes."""
    _, own = _digests([data])
    return {
        algorithm: {
            MANIFEST: own[algorithm],
            **{file.path: getattr(file, algorithm) for file in manifest.files},
        }
        for algorithm in SUMS
    }


_HOW_TO_READ = {
    "features": "A feature's `data` is (windows, channels, height, width); `windows/start_us` and "
    "`windows/stop_us` are its windows.",
    "boxes": "A box (`…_bbox.npy`) has `t` (µs, the end of its video frame), `x`, `y` (left "
    "upper corner, px), `w`, `h` (px), `class_id` (see the label map) and `track_id`. It belongs "
    "to the window with `start_us < t <= stop_us`.",
    "samples": "`samples.tsv` has a row a sample: recording, name, class, split. A recording whose "
    "samples are of several splits lies in `mixed/`, so look for it in all of these folders. "
    "In `samples/<recording>.h5`, `samples/start` and `samples/stop` are rows of the recording's "
    "events; in a feature's file, `samples/window_start` and `samples/window_stop` are the frames "
    "of a sample, and `samples/label` is the number of its class in `labels/name`.",
    "slices": "That annotators looked and found nothing differs from that they did not look: the "
    "slices' `labelled/start_us` and `labelled/stop_us` say where they looked.",
}


def _about(dataset: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what the README says of the data set that the release was made from."""
    known = dataset or {}
    title, page, citation = (known.get(key) for key in ("title", "page", "citation"))
    if title or page:
        yield f"Made from {' '.join(filter(None, [title, f'<{page}>' if page else None]))}."
    if citation:
        yield f"To cite: {' '.join(citation.split())}"


def _readme(
    name: str,
    version: str,
    licence: str,
    description: str,
    compression: Compression,
    files: Sequence[ListedFile],
    written: Mapping[str, tuple[str, str]],
) -> str:
    """Return the page that a person reads first."""
    folders: dict[str, list[ListedFile]] = {}
    for file in files:
        folders.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    table = [
        f"| `{folder}/` | {len(inside)} | {sum(file.size for file in inside) / 1e6:,.1f} "
        f"| {', '.join(sorted({file.kind for file in inside} - {''}))} |"
        for folder, inside in sorted(folders.items())
    ]
    kinds = {file.kind for file in files} | {kind for kind, _ in written.values()}
    if any(file.path.endswith(BOXES_SUFFIX) for file in files):
        kinds.add("boxes")
    lines = [f"# {name} {version}", ""]
    if description:
        lines += [description.strip(), ""]
    lines += [
        f"Licence of the data: {licence}, see `LICENSE.txt`.",
        "",
        "## What is in it",
        "",
        "| folder | files | MB | what |",
        "|---|---:|---:|---|",
        *table,
        "",
    ]
    if "splits/train.txt" in written:
        lines.append("- `splits/`: the recordings of each split, one a line")
    if LABEL_MAP in written:
        lines.append(f"- `{LABEL_MAP}`: class number → name")
    lines += [
        "- `config.json`: the configuration that made it; `versions.json`: the software",
        f"- `{MANIFEST}`: every file with its size, MD5, SHA-256 and what it is; what is known "
        "of each recording",
        "",
        "## How to read it",
        "",
        "Times are whole microseconds since the first event of a recording; intervals are "
        "`[start, stop)`.",
        *(text for kind, text in _HOW_TO_READ.items() if kind in kinds),
        "HDF5 files open with h5py alone."
        if compression == "portable"
        else "HDF5 files need a plugin: `pip install hdf5plugin`, and `import hdf5plugin` first.",
        "",
        "## Is it whole?",
        "",
        "With evreel, which also finds what does not belong:",
        "",
        "    evreel verify .",
        "",
        "Without it, in this folder:",
        "",
        f"    md5sum --check --quiet {SUMS['md5']}",
        f"    shasum -a 256 --check {SUMS['sha256']}",
        "",
    ]
    return "\n".join(lines)


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Check every file of a release against its manifest, and the manifest against the sums.

    Parameters
    ----------
    folder
        The release.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    All that differs, by path: files that are missing, that don't belong, or whose size or bytes
    are others; links that lead out (they are never followed) or nowhere; a manifest or sums that
    were changed. Empty where the release is whole. Where the manifest can't be trusted, files
    are checked against the sums.

    Raises
    ------
    ReleaseError
        Where `folder` is no folder.
    """
    root = Path(os.path.realpath(folder))
    if not root.is_dir():
        raise ReleaseError("is no folder", path=folder)
    findings: list[Difference] = []
    found = _walk(root, findings)
    expected = _expected(found, findings)
    if expected is not None:
        findings += _compare(expected, found, progress, {f.path for f in findings})
    return sorted(findings)


@dataclass(frozen=True)
class _Expected:
    """What a file must be; None where its list does not say."""

    size: int | None
    digests: Mapping[Algorithm, str]


def _shown(path: str) -> str:
    """Return a file's name as text that can be printed, also where it is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _walk(root: Path, findings: list[Difference]) -> dict[str, Path]:
    """Return the regular files of a release, path → place on the disk, without leaving it.

    Links are resolved where they stay inside; what is no file goes to `findings`.
    """
    found: dict[str, Path] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            path = folder.relative_to(root).as_posix()
            findings.append(Difference(_shown(path), f"can't be read: {error.strerror}"))
            continue
        for entry in entries:
            place = Path(entry.path)
            path = place.relative_to(root).as_posix()
            if entry.is_dir(follow_symlinks=False):
                waiting.append(place)
            elif entry.is_file(follow_symlinks=False):
                found[path] = place
            elif entry.is_symlink():
                target = Path(os.path.realpath(place))
                leads = f"is a link to {_shown(str(place.readlink()))}, which"
                if not target.is_relative_to(root):
                    findings.append(Difference(_shown(path), f"{leads} is out of the release"))
                elif target.is_file():
                    found[path] = target
                else:
                    findings.append(Difference(_shown(path), f"{leads} is no file"))
            else:
                findings.append(Difference(_shown(path), "is no regular file"))
    return found


def _expected(found: Mapping[str, Path], findings: list[Difference]) -> dict[str, _Expected] | None:
    """Return what each file must be, or None where nothing that can be trusted says so."""
    noted = {finding.path for finding in findings}
    data: dict[str, bytes] = {}
    for name in (MANIFEST, *SUMS.values()):
        try:
            if name in found:
                data[name] = b"".join(_pieces(found[name]))
            elif name not in noted:
                findings.append(Difference(name, "is missing"))
        except OSError as error:
            findings.append(Difference(name, f"can't be read: {error.strerror}"))
    sums: dict[Algorithm, dict[str, str]] = {}
    for algorithm, name in SUMS.items():
        if name in data:
            sums[algorithm], problems = parse_sums(data[name], algorithm)
            findings += [Difference(name, problem) for problem in problems]

    manifest = _trusted_manifest(data.get(MANIFEST), sums, findings)
    if manifest is not None:
        for algorithm, digests in _sums_of(manifest, data[MANIFEST]).items():
            name = SUMS[algorithm]
            if name in data and data[name] != sums_bytes(digests):
                findings.append(Difference(name, _disagreement(digests, sums[algorithm])))
        return {
            file.path: _Expected(file.size, {"md5": file.md5, "sha256": file.sha256})
            for file in manifest.files
        }
    if not sums:
        return None
    paths = sorted({path for digests in sums.values() for path in digests} - {MANIFEST})
    return {
        path: _Expected(None, {name: sums[name][path] for name in sums if path in sums[name]})
        for path in paths
    }


def _trusted_manifest(
    data: bytes | None, sums: Mapping[Algorithm, Mapping[str, str]], findings: list[Difference]
) -> Manifest | None:
    """Return the manifest, unless it is none or was changed: neither sum of it holds."""
    if data is None:
        return None
    _, own = _digests([data])
    unchanged = not sums or any(sums[name].get(MANIFEST) == own[name] for name in sums)
    if not unchanged:
        listed = " and ".join(SUMS[name] for name in sums)
        findings.append(Difference(MANIFEST, f"was changed: {listed} have other sums for it"))
    try:
        manifest, problems = parse_manifest(data)
    except ReleaseError as error:
        findings.append(Difference(MANIFEST, str(error)))
        return None
    findings += [Difference(MANIFEST, problem) for problem in problems]
    return manifest if unchanged else None


def _disagreement(expected: Mapping[str, str], got: Mapping[str, str]) -> str:
    """Say how a file of sums differs from what the manifest says."""
    paths = sorted(path for path in {*expected, *got} if expected.get(path) != got.get(path))
    if not paths:
        return "is not written as evreel writes it"
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"does not agree with {MANIFEST} on {paths[0]}{more}"


def _compare(
    expected: Mapping[str, _Expected],
    found: Mapping[str, Path],
    progress: Progress,
    noted: Set[str],
) -> Iterator[Difference]:
    """Yield what differs between the files that are there and what they must be."""
    tables = {MANIFEST, *SUMS.values()}
    total = sum(found[path].lstat().st_size for path in expected if path in found)
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    progress(0, total)
    for path in sorted(expected.keys() | found.keys() - tables):
        if path not in expected:
            yield Difference(_shown(path), "does not belong: it is not listed")
        elif path in found:
            problem = _file_problem(found[path], expected[path], advance)
            if problem:
                yield Difference(path, problem)
        elif path not in noted:
            yield Difference(path, "is missing")


def _file_problem(place: Path, expected: _Expected, advance: Callable[[int], None]) -> str | None:
    """Return how a file differs from what it must be, or None."""
    try:
        size = place.lstat().st_size
        if expected.size not in (None, size):
            advance(size)
            return f"has {size:,} bytes, {expected.size:,} are expected"
        _, digests = _digests(_pieces(place), advance)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    wrong = [
        f"{name} is {digests[name]}, {digest} is expected"
        for name, digest in expected.digests.items()
        if digests[name] != digest
    ]
    return "; ".join(wrong) or None
