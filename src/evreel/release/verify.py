"""Verifying a release, file by file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evreel.errors import ReleaseError
from evreel.outputs import Progress, silent
from evreel.release.digests import digests_of, pieces, sums_of
from evreel.release.manifest import (
    MANIFEST,
    SUMS,
    Algorithm,
    Manifest,
    parse_manifest,
    parse_sums,
    sums_bytes,
)
from evreel.release.origins import Made, mixtures
from evreel.release.recipe import awaited


@dataclass(frozen=True, order=True)
class Difference:
    """How a file of a release has changed; `path` starts at the release's folder."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def verify(folder: str | Path, *, progress: Progress = silent) -> list[Difference]:
    """Check every file of a release against its manifest, and the manifest against the checksums.

    Parameters
    ----------
    folder
        The release.
    progress
        Called as ``progress(done_bytes, total_bytes)``.

    Returns
    -------
    All differences, by path: files that are missing, do not belong, or have another size or other
    bytes; links that lead out (they are never followed) or nowhere; a manifest or checksums that
    were changed; files that were made from others than those they are released with. Empty if the
    release is unchanged. A recipe has none of the files that it leaves to be made, or all. If the
    manifest cannot be trusted, files are checked against the
    checksums.

    Raises
    ------
    ReleaseError
        If `folder` is not a folder.
    """
    root = Path(os.path.realpath(folder))
    if not root.is_dir():
        raise ReleaseError(
            "is not a folder",
            path=folder,
            hint="Name the folder of a release; `evreel check` takes single files.",
        )
    findings: list[Difference] = []
    found = _walk(root, findings)
    expected, manifest = _expected(found, findings)
    if expected is not None:
        if manifest is not None:
            for path in awaited(manifest, found.__contains__):
                del expected[path]
        findings += _compare(expected, found, progress, {f.path for f in findings})
    if manifest is not None:
        findings += _misfits(manifest, found, {f.path for f in findings})
    return sorted(findings)


@dataclass(frozen=True)
class _Expected:
    """A file's expected size and digests; None if its list does not state it."""

    size: int | None
    digests: Mapping[Algorithm, str]


def _shown(path: str) -> str:
    """Return a file's name as printable text, even if it is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _walk(root: Path, findings: list[Difference]) -> dict[str, Path]:
    """Return the regular files of a release, path → place on the disk, without leaving it.

    Links that stay inside are resolved; anything that is not a file goes to `findings`.
    """
    found: dict[str, Path] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            path = folder.relative_to(root).as_posix()
            findings.append(Difference(_shown(path), f"cannot be read: {error.strerror}"))
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
                    findings.append(Difference(_shown(path), f"{leads} is outside the release"))
                elif target.is_file():
                    found[path] = target
                else:
                    findings.append(Difference(_shown(path), f"{leads} is not a file"))
            else:
                findings.append(Difference(_shown(path), "is not a regular file"))
    return found


def _expected(
    found: Mapping[str, Path], findings: list[Difference]
) -> tuple[dict[str, _Expected] | None, Manifest | None]:
    """Return what is expected of each file, and the manifest; None if they cannot be trusted."""
    noted = {finding.path for finding in findings}
    data: dict[str, bytes] = {}
    for name in (MANIFEST, *SUMS.values()):
        try:
            if name in found:
                data[name] = b"".join(pieces(found[name]))
            elif name not in noted:
                findings.append(Difference(name, "is missing"))
        except OSError as error:
            findings.append(Difference(name, f"cannot be read: {error.strerror}"))
    sums: dict[Algorithm, dict[str, str]] = {}
    for algorithm, name in SUMS.items():
        if name in data:
            sums[algorithm], problems = parse_sums(data[name], algorithm)
            findings += [Difference(name, problem) for problem in problems]

    manifest = _trusted_manifest(data.get(MANIFEST), sums, findings)
    if manifest is not None:
        for algorithm, digests in sums_of(manifest, data[MANIFEST]).items():
            name = SUMS[algorithm]
            if name in data and data[name] != sums_bytes(digests):
                findings.append(Difference(name, _disagreement(digests, sums[algorithm])))
        listed = {
            file.path: _Expected(file.size, {"md5": file.md5, "sha256": file.sha256})
            for file in manifest.files
        }
        return listed, manifest
    if not sums:
        return None, None
    paths = sorted({path for digests in sums.values() for path in digests} - {MANIFEST})
    summed = {
        path: _Expected(None, {name: sums[name][path] for name in sums if path in sums[name]})
        for path in paths
    }
    return summed, None


def _misfits(
    manifest: Manifest, found: Mapping[str, Path], noted: Set[str]
) -> Iterator[Difference]:
    """Yield files that were made from others than those that the release has.

    Only unchanged files are opened.
    """
    paths = {file.path for file in manifest.files}
    made = [
        Made.read(file.path, file.id, found[file.path], partial(getattr, file, "original"), paths)
        for file in manifest.files
        if file.id and file.path in found and file.path not in noted
    ]
    for path, problem in mixtures(made, manifest.recordings or None):
        yield Difference(path, problem)


def _trusted_manifest(
    data: bytes | None, sums: Mapping[Algorithm, Mapping[str, str]], findings: list[Difference]
) -> Manifest | None:
    """Return the manifest, unless it is not one or was changed: none of its checksums match."""
    if data is None:
        return None
    _, own = digests_of([data])
    unchanged = not sums or any(sums[name].get(MANIFEST) == own[name] for name in sums)
    if not unchanged:
        listed = " and ".join(SUMS[name] for name in sums)
        problem = f"was changed: {listed} have other checksums for it"
        findings.append(Difference(MANIFEST, problem))
    try:
        manifest, problems = parse_manifest(data)
    except ReleaseError as error:
        findings.append(Difference(MANIFEST, str(error)))
        return None
    findings += [Difference(MANIFEST, problem) for problem in problems]
    return manifest if unchanged else None


def _disagreement(expected: Mapping[str, str], got: Mapping[str, str]) -> str:
    """Say how a file of checksums differs from the manifest."""
    paths = sorted(path for path in {*expected, *got} if expected.get(path) != got.get(path))
    if not paths:
        return "is not in the form that evreel writes"
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"does not agree with {MANIFEST} on {paths[0]}{more}"


def _compare(
    expected: Mapping[str, _Expected],
    found: Mapping[str, Path],
    progress: Progress,
    noted: Set[str],
) -> Iterator[Difference]:
    """Yield how the files that are there differ from what is expected."""
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
    """Return how a file differs from what is expected, or None."""
    try:
        size = place.lstat().st_size
        if expected.size not in (None, size):
            advance(size)
            return f"has {size:,} bytes, expected {expected.size:,}"
        _, digests = digests_of(pieces(place), advance)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    wrong = [
        f"{name} is {digests[name]}, expected {digest}"
        for name, digest in expected.digests.items()
        if digests[name] != digest
    ]
    return "; ".join(wrong) or None
