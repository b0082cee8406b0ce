"""Many short recordings share the jobs of their steps: which ones, chosen from their sizes.

A job costs about a second before it works: its process starts, and imports what it needs. A short
recording is worked on in milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evreel.dataset.dataset import DataSet
from evreel.dataset.failures import AGAIN
from evreel.dataset.job_records import is_recorded
from evreel.dataset.ledger import LEDGERS, Entry, Ledger, Manifest, ledger_of
from evreel.dataset.members import Step
from evreel.dataset.outdated import age
from evreel.dataset.sizes import stated_sizes
from evreel.errors import EvreelError
from evreel.outputs import refused
from evreel.text import counted

LEAST = 100
"""Short recordings from which on they share jobs, unless it is set how many do."""
SHORT_BYTES = 4_000_000
"""Size up to which a recording is short: about a million events."""
RECORDINGS = 200
"""Recordings that share a job at most, unless it is set how many do."""
BYTES = 64_000_000
"""Size up to which recordings share a job."""


def batches_of(dataset: DataSet) -> dict[str, list[str]]:
    """Return the recordings that share jobs: name of the batch → ids, sorted.

    A batch has the name of its first recording. It depends on what config and table say and on the
    sizes of local sources, never on what is already built. Where one batch ends and the next
    begins is decided by the ids around that place, so that a row more or less, or rows in another
    order, concern the batches next to it alone.

    Returns
    -------
    Nothing where each recording has jobs of its own. Folders, archives whose members are samples,
    and recordings that several jobs share always have.
    """
    most = dataset.config.batches.recordings
    sizes = dict(stated_sizes(dataset))
    own = {id_ for id_ in dataset.recordings if dataset.is_archive(id_) or dataset.is_divided(id_)}
    if most is not None:
        weights = {id_: 1 / most for id_ in sizes if id_ not in own}
    else:
        weights = {
            id_: max(1 / RECORDINGS, size / BYTES)
            for id_, size in sizes.items()
            if id_ not in own and 0 < size <= SHORT_BYTES
        }
        if len(weights) < LEAST:
            return {}
    return {ids[0]: ids for ids in divided(weights) if len(ids) > 1}


def divided(weights: Mapping[str, float]) -> Iterator[list[str]]:
    """Yield ids that belong together, sorted; their weights add up to 1 at most.

    Once there are enough for half of that, those end at the next id that its digest chooses.

    Parameters
    ----------
    weights
        Id → weight, above 0.

    Examples
    --------
    >>> [len(ids) for ids in divided({f"{k:02}": 1 / 4 for k in range(10)})]
    [3, 4, 2, 1]
    >>> list(divided({"b": 1.0, "a": 1.0}))
    [['a'], ['b']]
    """
    ids: list[str] = []
    whole = 0.0
    for id_ in sorted(weights):
        weight = weights[id_]
        # Of the places in the second half where they could end, about two are chosen.
        is_end = whole >= 0.5 and _share(id_) < min(4 * weight, 0.25)
        if ids and (is_end or whole + weight > 1 + 1e-9):
            yield ids
            ids, whole = [], 0.0
        ids.append(id_)
        whole += weight
    if ids:
        yield ids


def _share(id_: str) -> float:
    """Return a number in [0, 1) that follows from an id."""
    return int.from_bytes(hashlib.sha256(id_.encode()).digest()[:4]) / 2**32


class Concerned(NamedTuple):
    """Which jobs of a step recordings have.

    Parameters
    ----------
    features
        The features for each of which a recording has a job; None where it has one job.
    recordings
        Function of a recording → whether it has any.
    """

    features: Sequence[str] | None
    recordings: Callable[[str], bool]


def recordings_of_steps(dataset: DataSet) -> dict[str, Concerned]:
    """Return the steps that are done recording by recording, each with those that it concerns."""
    config, annotated = dataset.config, set(dataset.annotated)
    cut, boxed = set(dataset.cut), set(dataset.boxed)

    def every(id_: str) -> bool:
        return True

    def has_clock(id_: str) -> bool:
        return id_ in annotated or dataset.ends_of_windows("frames")(id_) is not None

    def has_published_boxes(id_: str) -> bool:
        return "boxes" in dataset.row(id_)

    def has_features(id_: str) -> bool:
        return bool(config.features)

    return {
        "acquire": Concerned(None, every),
        "events": Concerned(None, every),
        "clock": Concerned(None, has_clock),
        "video": Concerned(None, annotated.__contains__),
        "annotate": Concerned(None, annotated.__contains__),
        "boxes": Concerned(None, has_published_boxes),
        "qa": Concerned(None, annotated.__contains__),
        "summary": Concerned(None, annotated.__contains__),
        "preview": Concerned(None, every),
        "cut": Concerned(None, cut.__contains__),
        "samples": Concerned(None, cut.__contains__),
        "features": Concerned(None, has_features),
        "feature_boxes": Concerned(dataset.features_with_boxes, boxed.__contains__),
        "publish_events": Concerned(None, every),
        "publish_slices": Concerned(None, annotated.__contains__),
        "publish_samples": Concerned(None, cut.__contains__),
        "publish_features": Concerned([*config.features], every),
    }


def batch_of_each(batches: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the batch of each recording that shares jobs."""
    return {id_: name for name, ids in batches.items() for id_ in ids}


def manifest_of(results: str, step: str, batch: str) -> Path:
    """Return the manifest of a step and batch."""
    return Path(results, "batches", step, f"{batch}.json")


@functools.cache
def entries_of(results: str, step: str, batch: str) -> Mapping[str, Entry]:
    """Return what the jobs of a step and batch made, as it was when a run began."""
    return Ledger(ledger_of(results, step, batch)).entries


def forget_changed_batches(
    results: str, steps: Sequence[str], batches: Iterable[str]
) -> Iterator[str]:
    """Let Snakemake do batches again of which a file is gone or was changed, or a recording failed.

    Their manifests are removed; of their recordings, only those are then made again.

    Yields
    ------
    What to say of each.

    Raises
    ------
    EvreelError
        If a manifest cannot be removed.
    """
    for batch in batches:
        for step in steps:
            manifest = manifest_of(results, step, batch)
            if not manifest.exists():
                continue
            try:
                failed = Manifest.read(manifest).failed
            except EvreelError:
                failed = {"": ("", "")}
            lost = [
                path
                for entry in entries_of(results, step, batch).values()
                if not entry.stands()
                for path in entry.outputs
            ]
            if lost:
                others = f", and {len(lost) - 1:,} more" if len(lost) > 1 else ""
                yield (
                    f"{lost[0]}{others}: is missing, or was changed after it was made; it will be "
                    "made again"
                )
            if lost or failed:
                try:
                    manifest.unlink()
                except OSError as error:
                    raise refused(manifest, error) from error


def forget_unlike(
    results: str, steps: Iterable[Step], batch_of: Mapping[str, str]
) -> Iterator[str]:
    """Let Snakemake make files again that batches made with other settings than there are now.

    It has no records of them, and their recordings have jobs of their own now.

    Yields
    ------
    What to say of each recording and step.

    Raises
    ------
    EvreelError
        If the times of a file cannot be changed.
    """
    for step in steps:
        by_hand = {
            key: entry
            for path in sorted(Path(results, LEDGERS, step.name).glob("*.json"))
            for key, entry in Ledger(path).entries.items()
            if entry.id not in batch_of
        }
        for member in step.members({entry.id: None for entry in by_hand.values()}):
            entry = by_hand.get(member.key)
            if entry is None or all(map(is_recorded, member.output)):
                continue
            if entry.compared != member.compared:
                yield f"{member.output[0]}: was made with settings that have changed since"
                for path in filter(os.path.exists, member.output):
                    age(path)


def failed_in_batches(
    results: str, steps: Sequence[str], batches: Iterable[str]
) -> dict[str, tuple[str, str]]:
    """Return each recording of which a job failed in a batch → the step, and what it said."""
    failed: dict[str, tuple[str, str]] = {}
    for batch in batches:
        for step in steps:
            with contextlib.suppress(EvreelError):
                failed |= Manifest.read(manifest_of(results, step, batch)).failed
    return failed


def told_of_failed(failed: Mapping[str, tuple[str, str]], logs: str) -> str:
    """Return a text that says what failed, recording by recording, and what to do."""
    they = "it shares" if len(failed) == 1 else "they share"
    n = counted(len(failed), "recording")
    lines = [f"{n} failed; {they} jobs with others, which were made:"]
    for id_, (step, what) in failed.items():
        lines += ["", f"{step}: {id_}", f"    {what}", f"    {logs}/{step}/{id_}.log"]
    return "\n".join([*lines, "", f"Fix these, then {AGAIN}"])
