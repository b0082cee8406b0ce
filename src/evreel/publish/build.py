"""Building a release: a folder with the files that a plan names.

It holds the planned files, what people need to use them (label map, splits, licence,
configuration, versions, a README) and what proves that it is complete: ``manifest.json``,
``MD5SUMS`` and ``SHA256SUMS``, described in `evreel.release.manifest`.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from evreel import __version__
from evreel.cards import CARDS
from evreel.cards.told import Told
from evreel.checks.finding import Finding, Report
from evreel.checks.run import check_release
from evreel.dataset.memory import Memory
from evreel.errors import EvreelError, ReleaseError, UsageError
from evreel.layout import BOXES_SUFFIX, EVENTS, GZIP_LEVEL, LABEL_MAP
from evreel.outputs import Progress, if_full, silent
from evreel.provenance import canonical_json, sha256, state
from evreel.publish.prepare import Compression, Store, place, prepare
from evreel.publish.record import Record
from evreel.release.content import ANONYMOUS, RELEASE_NAME
from evreel.release.digests import digests_of, pieces, write_manifest
from evreel.release.example import EXAMPLE, load_example
from evreel.release.facts import RecordingFacts, box_facts
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
    kind_of,
)
from evreel.release.origins import RECORDING, Made, mixtures
from evreel.samples.splits import SPLITS
from evreel.samples.tables import Assigned, read_samples_table

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
    "pyarrow",
    "zstandard",
)


@dataclass
class _Source:
    """A planned file: where it is, its record if it has one, else its checksums.

    Parameters
    ----------
    entry, path
        The row of the plan, and the file with all links followed.
    size
        Bytes, for the progress.
    record
        What is known of an HDF5 file; None for any other.
    is_placed
        Whether it is in the release already.
    """

    entry: PlanEntry
    path: Path
    size: int
    record: Record | None = None
    is_placed: bool = False


@dataclass
class Links:
    """Files that a release shares with the results: a link sets times that tell of changes.

    Parameters
    ----------
    memory
        What is known of files.
    """

    memory: Memory
    _of: dict[Path, list[int]] = field(default_factory=dict)

    def add(self, path: Path, before: list[int]) -> None:
        """Take note of a file, and of its state before it was linked."""
        self._of[path] = before

    def settle(self) -> None:
        """Let the memory know the files by the times that they have now."""
        for path, before in self._of.items():
            self.memory.linked(path, before)


def build(
    plan: Sequence[PlanEntry],
    folder: str | Path,
    *,
    name: str,
    version: str,
    licence: str,
    licence_text: str | None = None,
    compression: Compression = "portable",
    gzip_level: int = GZIP_LEVEL,
    threads: int = 1,
    config: Mapping[str, Any] | None = None,
    labels: Mapping[int, str] | None = None,
    recordings: Mapping[str, Mapping[str, str]] | None = None,
    dataset: Mapping[str, Any] | None = None,
    acquired: Mapping[str, str] | None = None,
    missing: Mapping[str, Mapping[str, str]] | None = None,
    clean: Callable[[Path, str], bool] | None = None,
    judge: Callable[[Report], None] | None = None,
    withheld: Callable[[ListedFile], bool] | None = None,
    links: Links | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Fill an empty folder with a release.

    A planned file with a record beside it is linked, and not read. Any other HDF5 file is made
    ready first. A file whose bytes stay becomes a hard link, or a copy on another file system;
    symbolic links are followed first, so that nothing in the release points out of it.

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
    compression, gzip_level, threads
        As `evreel.publish.prepare.prepare` takes them; files of kind ``recording`` keep their
        bytes.
    config
        The configuration that made the files, plain JSON values.
    labels
        Class number → name. Needed if the plan has boxes (``…_bbox.npy``).
    recordings
        What is known of each recording, id → column → text, for the manifest. If given, it must
        have every recording of the plan, in the plan's split. A recording that was downloaded
        without a checksum also gets ``source_checksum``: ``none``, one of which only a CRC-32 is
        known, which is weak, ``crc32``; one with published boxes
        ``boxes_repairs``: what was changed in them, and how often.
    dataset
        What is said of the data, plain, as `evreel.cards.told.Told` has it.
    acquired
        Recording → ``sha256:…`` of the recording itself, which its events store must have been
        decoded from, where that is known.
    missing
        Recordings of the data set that are not in the plan, and why: for manifest and cards.
    clean
        Takes a file that is in place, and its kind in the plan; replaces it by a copy without what
        is to be left out, and returns whether it had any.
    judge
        Takes what the checks found, and raises if there is to be no release. Without it, nothing
        is checked.
    withheld
        Whether a planned file will be left out of the folder: what tells of the release does not
        link to such files.
    links
        Takes note of linked files.
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
    is_recipe = (config or {}).get("release", {}).get("data") == "none"
    example = load_example(
        *(f"{name} {version}", compression, plan),
        has_labels=bool(label_maps),
        is_recipe=is_recipe,
    )
    written = {
        "config.json": ("config", _json(config or {}, "config").encode()),
        "versions.json": ("versions", _json(versions(), "versions").encode()),
        "LICENSE.txt": ("licence", notice.encode()),
        EXAMPLE: ("example", example.encode()),
        **_splits(plan),
        **label_maps,
    }
    _check_recordings(plan, recordings)
    taken = PathsTaken((MANIFEST, *SUMS.values(), README, *written))
    check_entries(plan, taken)
    sources = [_source(entry) for entry in plan]

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ReleaseError("is not empty", path=folder, hint="Name a new or empty folder.")
    links = links or Links(Memory())
    done, total = 0, sum(source.size for source in sources)
    progress(done, total)
    for of in _made_ready(sources, folder, compression, gzip_level, threads):
        done += of.size
        progress(done, total)
    originals = _check_origins(sources, recordings, acquired or {}, links.memory)
    files = []
    paths = {entry.path for entry in plan}
    told = {id_: dict(row) for id_, row in (recordings or {}).items()}
    for row in told.values():
        if "crc32" in row and row.keys().isdisjoint(("md5", "sha256", "member_md5")):
            row["source_checksum"] = "crc32"
    for of in sources:
        entry = of.entry
        file, stays = _placed(of, folder / entry.path, links)
        if clean is not None and clean(folder / entry.path, entry.kind):
            size, digests = digests_of(pieces(folder / entry.path))
            file = replace(file, size=size, md5=digests["md5"], sha256=digests["sha256"])
            stays = False
        if entry.kind == "events" and entry.id and of.record and of.record.is_unverified:
            told.setdefault(entry.id, {})["source_checksum"] = "none"
        if entry.id in told and entry.path.endswith(BOXES_SUFFIX):
            repairs = read_origin(of.path)["repairs"]
            if repairs and str(first_path(entry.path)) not in paths:
                told[entry.id]["boxes_repairs"] = canonical_json(repairs)
        original = originals.get(of.path, file.sha256)
        if entry.kind in PEOPLES_KINDS and not _is_original(of.path, original, file, stays):
            raise ReleaseError(
                "was changed while it was in use",
                place=repr(entry.path),
                hint="Run the same command again.",
            )
        files.append(replace(file, source_sha256="" if original == file.sha256 else original))
        if of.record is None:
            done += of.size
            progress(done, total)

    planned = tuple(sorted(files, key=lambda file: file.path))
    own = [_written(folder, path, *what) for path, what in written.items()]
    missing = missing or {}
    manifest = Manifest(name, version, licence, (*planned, *own), told, missing=missing)
    manifest = _sealed(folder, manifest)
    findings: Sequence[Finding] = ()
    if judge is not None:
        report = check_release(
            folder, {of.entry.path: of.record.looked for of in sources if of.record}
        )
        judge(report)
        findings = report.findings
    telling = Told(
        name,
        version,
        licence,
        compression,
        [replace(file, withheld=withheld is not None and withheld(file)) for file in planned],
        _facts(sources, labels or {}),
        labels or {},
        told,
        {key: value for key, value in (dataset or {}).items() if value is not None},
        config or {},
        findings,
        _samples(sources),
        missing,
    )
    for kind, card in CARDS.items():
        for path, data in card(telling).items():
            if path != README:
                problem = taken.add(path)
                if problem:
                    raise ReleaseError(f"{path}: {problem}", hint="Rename that file of the plan.")
            own.append(_written(folder, path, kind, data))
    return _sealed(folder, replace(manifest, files=(*planned, *own)))


README = "README.md"


def _sealed(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest, its files in order, and the checksums."""
    manifest = replace(manifest, files=tuple(sorted(manifest.files, key=lambda file: file.path)))
    write_manifest(folder, manifest)
    return manifest


def _written(folder: Path, path: str, kind: str, data: bytes) -> ListedFile:
    """Write a file that evreel adds."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    size, digests = digests_of([data])
    return ListedFile(path, size, digests["md5"], digests["sha256"], kind)


def _made_ready(
    sources: Sequence[_Source], folder: Path, compression: Compression, level: int, threads: int
) -> Iterable[_Source]:
    """Give each HDF5 file its record; those that have none yet are made ready in the release.

    Events come first: what has the same events need not compress them again.
    """
    import h5py

    stores: dict[str, Store] = {}
    for of in sorted(sources, key=lambda of: kind_of(of.entry) != "events"):
        of.record = Record.beside(of.path)
        if of.record is not None and (compression, of.record.compression) != ("portable", "fast"):
            yield of
            continue
        of.record = None
        if not h5py.is_hdf5(of.path):
            continue
        target = folder / of.entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            of.record = prepare(
                of.path,
                target,
                compression=compression,
                gzip_level=level,
                keeps_bytes=of.entry.kind == "recording",
                is_peoples=of.entry.kind in PEOPLES_KINDS,
                threads=threads,
                store=stores.get(of.entry.id),
            )
        except OSError as error:
            raise _not_copied(of.entry, error) from error
        of.is_placed = True
        if of.entry.id and of.record.looked.kind == EVENTS.name:
            stores.setdefault(of.entry.id, Store(of.path, target, of.record))
        yield of


def _placed(of: _Source, target: Path, links: Links) -> tuple[ListedFile, bool]:
    """Put a file into the release; return how it is listed, and whether its bytes stay."""
    entry = of.entry
    kind = "annotations" if entry.kind == ANONYMOUS else entry.kind
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if of.record is not None:
            if not of.is_placed:
                place(of.path, target)
            size, md5, sha256 = of.record.size, of.record.md5, of.record.sha256
            listed = ListedFile(entry.path, size, md5, sha256, kind, entry.id, entry.split)
            return listed, of.record.source == f"sha256:{sha256}"
        # People's own files: an edit in place must not change a release. Files that evreel makes
        # are never edited, only replaced.
        if entry.kind == ANONYMOUS:
            from evreel.annotations.cvat.people import copy_without_people

            stays = not copy_without_people(of.path, target)
        elif entry.kind in PEOPLES_KINDS:
            shutil.copyfile(of.path, target)
            stays = True
        else:
            before = state(of.path)
            known = links.memory.digests(of.path)
            if place(of.path, target) and state(of.path)[:2] == before[:2]:
                links.add(of.path, before)
                listed = ListedFile(entry.path, before[0], *known, kind, entry.id, entry.split)
                return listed, True
            stays = True
    except OSError as error:
        raise _not_copied(entry, error) from error
    size, digests = digests_of(pieces(target))
    listed = ListedFile(
        entry.path, size, digests["md5"], digests["sha256"], kind, entry.id, entry.split
    )
    return listed, stays


def _facts(sources: Sequence[_Source], labels: Mapping[int, str]) -> list[RecordingFacts]:
    """Return what the release holds of each recording, in the order of their ids."""
    from evreel.files.boxes import first_path, read_boxes

    parts: dict[str, dict[str, Any]] = {}
    boxes: dict[str, Path] = {}
    paths = {of.entry.path for of in sources}
    for of in sources:
        entry = of.entry
        if not entry.id:
            continue
        part = parts.setdefault(entry.id, {"split": "", "features": {}})
        part["split"] = part["split"] or entry.split
        if of.record is not None:
            found = dict(of.record.facts)
            if "features" in found:
                part["features"][PurePosixPath(entry.path).parent.name] = found.pop("features")
            part |= found
        elif entry.path.endswith(BOXES_SUFFIX) and str(first_path(entry.path)) not in paths:
            boxes.setdefault(entry.id, of.path)
    facts = []
    for id_ in sorted(parts):
        empty = {"events": None, "labelled_us": None, "boxes": None, "samples": None}
        one = RecordingFacts.read({"id": id_} | empty | parts[id_])
        if id_ in boxes:
            duration_us = None if one.events is None else one.events.duration_us
            try:
                counted = box_facts(read_boxes(boxes[id_]), labels, duration_us)
                one = replace(one, boxes=counted)
            except EvreelError:
                pass  # the checks say what is wrong with them
        facts.append(one)
    return facts


def made_ready_otherwise(
    plan: Sequence[PlanEntry], compression: Compression, gzip_level: int
) -> int:
    """Return how many files of a plan stay as they were made ready, compressed otherwise.

    Raises
    ------
    ReleaseError
        If one was changed after it was made ready.
    """
    records = (Record.beside(entry.source.resolve()) for entry in plan)
    ready = [record for record in records if record is not None]
    if compression == "fast":
        return sum(record.compression != "fast" for record in ready)
    portable = [record for record in ready if record.compression == "portable"]
    return sum(record.gzip_level != gzip_level for record in portable)


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
) -> dict[str, tuple[str, bytes]]:
    """Return the label maps to write, path → (kind, bytes).

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
        str(folder / LABEL_MAP): ("label_map", f"{text}\n".encode())
        for folder in sorted(folders | {PurePosixPath()})
    }


def _splits(plan: Sequence[PlanEntry]) -> dict[str, tuple[str, bytes]]:
    """Return the lists of the splits, path → (kind, bytes): one recording's id per line."""
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
            "".join(f"{id_}\n" for id_ in sorted(split_of) if split_of[id_].split == name).encode(),
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
    sources: Sequence[_Source],
    recordings: Mapping[str, Mapping[str, str]] | None,
    acquired: Mapping[str, str],
    memory: Memory,
) -> dict[Path, str]:
    """Raise if files of a recording do not fit together.

    Returns
    -------
    Source → SHA-256 of those that others are made from.
    """
    digests: dict[Path, str] = {}

    def digest_of(of: _Source) -> Callable[[], str]:
        def digest() -> str:
            if of.path not in digests:
                known = None if of.record is None else of.record.source
                digests[of.path] = known or f"sha256:{memory.digests(of.path).sha256}"
            return digests[of.path]

        return digest

    paths = {of.entry.path for of in sources}
    made = [
        Made.read(
            of.entry.path,
            of.entry.id,
            of.path,
            digest_of(of),
            paths,
            None if of.record is None else of.record.looked.said,
        )
        for of in sources
        if of.entry.id
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


def _source(entry: PlanEntry) -> _Source:
    """Return an entry's file with all links followed; raise if it cannot be read."""
    try:
        source = entry.source.resolve(strict=True)
        problem = None if source.is_file() else "is not a file"
        if problem is None:
            source.open("rb").close()
            return _Source(entry, source, source.stat().st_size)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        problem = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    raise ReleaseError(
        f"source {str(entry.source)!r} {problem}",
        place=entry.place,
        hint="A relative path starts at the working directory.",
    )


def _not_copied(entry: PlanEntry, error: OSError) -> ReleaseError:
    return ReleaseError(
        f"source {str(entry.source)!r} cannot be copied: {error.strerror}",
        place=entry.place,
        hint=if_full(error),
    )


def _samples(sources: Sequence[_Source]) -> Sequence[Assigned]:
    """Return the rows of the planned table of samples, if there is one."""
    tables = [of for of in sources if of.entry.kind == "samples" and not of.entry.id]
    return [row for of in tables for row in read_samples_table(of.path)]


def _is_original(source: Path, original: str, file: ListedFile, stays: bool) -> bool:
    """Return whether a file that people edit was released as it was when others were made of it."""
    now = file.sha256 if stays else sha256(source).removeprefix("sha256:")
    return original in (now, file.sha256)
