"""Recordings that a release leaves out: a job that it needs of them failed, all else is the same.

Snakemake decides which jobs run before the first of them does. So a run in which a job fails has no
release, and the next one leaves out what failed: it tries it again, but its release does not wait.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from evreel import __version__
from evreel.acquire import read_source
from evreel.dataset.config import FILES, files_of
from evreel.dataset.dataset import DataSet
from evreel.dataset.memory import Memory
from evreel.dataset.plan import records_of_files, release_plan, released_files
from evreel.errors import EvreelError
from evreel.outputs import atomic
from evreel.provenance import STEP_REVISIONS, digest_of
from evreel.release.content import paths_in
from evreel.release.manifest import lacking

_VERSION = 1
_OF_OTHERS = ("recordings", "results", "release", "dataset")
"""Groups of the config that no job of a single recording depends on."""


class Ran(NamedTuple):
    """A job of a run.

    Parameters
    ----------
    outputs
        What it makes.
    is_of_some
        Whether it is of some recordings alone, and not of all, as a release is.
    is_done
        Whether what it makes is made.
    followers
        Places, in the list of all jobs, of those that need what it makes.
    """

    outputs: tuple[str, ...]
    is_of_some: bool
    is_done: bool
    followers: tuple[int, ...]


@dataclass(frozen=True)
class Failure:
    """Why a recording could not be made.

    Parameters
    ----------
    reason
        The rule that failed, and its error.
    outputs
        What its job was to make.
    of
        Digest of what the recording was made from.
    """

    reason: str
    outputs: tuple[str, ...]
    of: str


def left_out(dataset: DataSet, path: Path, memory: Memory) -> dict[str, str]:
    """Return the recordings that a release leaves out: id → why.

    Nothing is left out if the config does not allow it, or nothing would remain: then the release
    waits for all.

    Parameters
    ----------
    dataset
        What config and table say.
    path
        Where `keep_failures` keeps what failed.
    memory
        What is known of files: one that did not change is not read again.
    """
    if dataset.config.release.incomplete != "allow":
        return {}
    found = {id_: failure.reason for id_, failure in _unchanged(dataset, path, memory).items()}
    return found if len(found) < len(dataset.recordings) else {}


def tried_again(dataset: DataSet, ids: Collection[str]) -> list[str]:
    """Return what a release would need of recordings that it leaves out.

    Of samples, only where they are: their splits depend on all recordings of the release.
    """
    needed = _needed(dataset) if ids else {}
    return [file for id_ in ids for file in needed[id_] if not _is_of_splits(dataset, file)]


def keep_failures(
    dataset: DataSet,
    path: Path,
    memory: Memory,
    jobs: Sequence[Ran],
    failed: Mapping[str, str],
    shared: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    of_batches: Collection[str] = (),
) -> dict[str, str]:
    """Keep what a run could not make of recordings, for the release of the next one.

    Parameters
    ----------
    dataset, path, memory
        As for `left_out`.
    jobs
        The jobs of the run, also those that had nothing to do.
    failed
        An output of each job that failed → why.
    shared
        Recordings that share jobs with others, and of which one failed → the step, and why.
    of_batches
        Files that their jobs made. Others of theirs may be there, from before something failed.

    Returns
    -------
    The recordings of which something that a release needs could not be made: id → why.
    """
    needed = _needed(dataset)
    id_of = {file: id_ for id_, files in needed.items() for file in files}
    made = {output for job in jobs if job.is_done for output in job.outputs} | {*of_batches}
    known = {
        id_: failure
        for id_, failure in _unchanged(dataset, path, memory).items()
        if not made.issuperset([*failure.outputs, *tried_again(dataset, [id_])])
    }
    now: dict[str, Failure] = {}
    for id_, (step, why) in shared.items():
        if not made.issuperset(needed[id_]):
            told = _without_folders(f"{step}: {why}", dataset, id_)
            now[id_] = Failure(told, (), _made_from(dataset, id_, memory))
    for k, job in sorted(enumerate(jobs), key=lambda one: one[1].outputs):
        reason = next((failed[output] for output in job.outputs if output in failed), None)
        if reason is None or not job.is_of_some or job.is_done:
            continue
        for output in _of_those_after(jobs, k):
            if output in id_of and id_of[output] not in now:
                id_ = id_of[output]
                told = _without_folders(reason, dataset, id_)
                now[id_] = Failure(told, job.outputs, _made_from(dataset, id_, memory))
    found = known | now
    _write(path, dataset.results, found)
    return {id_: found[id_].reason for id_ in dataset.recordings if id_ in found}


def what_is_missing(dataset: DataSet, out: Iterable[str], failed: Iterable[str], done: bool) -> str:
    """Return what a run says at its end of a release and the recordings that it lacks.

    Parameters
    ----------
    dataset
        What config and table say.
    out
        The recordings that it left out.
    failed
        Those that cannot be made, as `keep_failures` returns them.
    done
        Whether the release was built.

    Returns
    -------
    Nothing for a complete release, or where something else kept it from being built.
    """
    n, out, failed = len(dataset.recordings), sorted(out), sorted(failed)
    made = [id_ for id_ in out if id_ not in failed]
    if done:
        again = "Run the same command again, and the release has what is made now" if made else ""
        said = [
            f"The release lacks {lacking(out, n)}.",
            f"{again}: {lacking(made, n)}." * bool(made),
        ]
        return " ".join(filter(None, said)) * bool(out)
    if not failed or (out and {*failed} <= {*out}):
        return ""
    said = [f"There is no new release: it would lack {lacking(failed, n)}."]
    if len(failed) == n:
        said.append("Nothing would remain.")
    elif dataset.config.release.incomplete == "allow":
        said.append("Run the same command again to release the others.")
    else:
        said.append("To release the others, set release/incomplete: allow, and run it again.")
    return " ".join(said)


def what_is_left_out(dataset: DataSet, reasons: Mapping[str, str]) -> str:
    """Return what a run says at its start of the recordings that its release leaves out."""
    first = min(reasons)
    lacks = lacking(reasons, len(dataset.recordings))
    return f"the release leaves out {lacks}. In the last run, {first!r} failed: {reasons[first]}"


def _needed(dataset: DataSet) -> Mapping[str, list[str]]:
    """Return what jobs make of each recording for a release."""
    rows = {row["source"]: row.get("id", "") for row in release_plan(dataset)}
    records = {str(Path(file).with_suffix(".json")): id_ for file, id_ in rows.items()}
    needed = defaultdict(list)
    for file in (*records_of_files(dataset), *released_files(dataset)):
        id_ = rows.get(file) or records.get(file)
        if id_ and file.startswith(f"{dataset.results}/"):
            needed[id_].append(file)
    for id_ in dataset.cut:
        needed[id_].append(str(dataset.cut_table(id_)))
    return needed


def _is_of_splits(dataset: DataSet, file: str) -> bool:
    """Tell whether a file of a recording says in which splits its samples are."""
    return Path(file).parent == Path(dataset.results, "published", "samples")


def _of_those_after(jobs: Sequence[Ran], first: int) -> Iterator[str]:
    """Yield what a job and those that need it make, but not what is made of all recordings."""
    waiting, seen = [first], {first}
    while waiting:
        job = jobs[waiting.pop()]
        yield from job.outputs
        after = {k for k in job.followers if jobs[k].is_of_some} - seen
        seen |= after
        waiting += after


def _made_from(dataset: DataSet, id_: str, memory: Memory) -> str:
    """Return a digest of all that decides what is made of a recording."""
    row, settings = dataset.recordings[id_], dataset.settings(id_)

    def sha256(file: str) -> str | None:
        try:
            return memory.digests(file).sha256
        except EvreelError:  # it is not there, or in an archive
            return None

    def own(feature: str) -> Mapping[str, str]:
        try:
            return dataset.feature_sources(id_, feature)
        except EvreelError:
            return {}

    plain = {key: value for key, value in settings.plain().items() if key not in _OF_OTHERS}
    return digest_of(
        {
            "row": dict(row),
            "files": {place: sha256(file) for place, file in _files(dataset, id_).items()},
            "config": plain,
            "sources": {feature: dict(own(feature)) for feature in settings.features},
            "evreel": [__version__, dict(STEP_REVISIONS)],
        }
    )


def _files(dataset: DataSet, id_: str) -> dict[str, str]:
    """Return the local files that a recording is made from: where they are named → path."""
    row = dataset.recordings[id_]
    files = {str(place): file for place, file in files_of(dataset.config) if place[0] != "release"}
    for column in FILES[1:]:
        files |= {f"{column} {k}": file for k, file in enumerate(paths_in(row.get(column)))}
    source = read_source(row["source"]).path
    return files if source is None else files | {"source": str(source)}


def _without_folders(reason: str, dataset: DataSet, id_: str) -> str:
    """Return a reason with names instead of paths: where files were is not part of a data set."""
    for file in sorted(_files(dataset, id_).values(), key=len, reverse=True):
        reason = reason.replace(file, Path(file).name)
    return reason.replace(f"{dataset.results}/", "")


def _unchanged(dataset: DataSet, path: Path, memory: Memory) -> dict[str, Failure]:
    """Return the recordings that failed, and are made from the same as then."""
    return {
        id_: failure
        for id_, failure in _read(path, dataset.results).items()
        if id_ in dataset.recordings and failure.of == _made_from(dataset, id_, memory)
    }


def _all(path: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept: folder of results → id → failure, plain."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        kept = json.loads(path.read_bytes())
        if kept["version"] == _VERSION:
            return dict(kept["failed"])
    return {}


def _read(path: Path, results: str) -> dict[str, Failure]:
    with contextlib.suppress(TypeError, LookupError, AttributeError):
        return {
            id_: Failure(one["reason"], tuple(one["outputs"]), one["of"])
            for id_, one in _all(path).get(results, {}).items()
        }
    return {}


def _write(path: Path, results: str, failures: Mapping[str, Failure]) -> None:
    """Keep failures; where nothing can be written, the next run finds out again."""
    kept = _all(path)
    new = kept | {results: {id_: asdict(failure) for id_, failure in failures.items()}}
    if not failures:
        del new[results]
    if json.loads(json.dumps(new)) == kept:
        return
    with contextlib.suppress(OSError, EvreelError):
        if not new:
            path.unlink()
            return
        with atomic(path) as (scratch,):
            text = json.dumps({"version": _VERSION, "failed": new})
            scratch.write_text(text, encoding="utf-8", newline="\n")
