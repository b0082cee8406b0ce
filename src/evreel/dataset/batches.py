"""Many short recordings share the jobs of their steps: which ones, chosen from their sizes.

A job costs about a second before it works: its process starts, and imports what it needs. A short
recording is worked on in milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evreel.dataset.dataset import DataSet
from evreel.dataset.failures import AGAIN
from evreel.dataset.job_records import is_recorded
from evreel.dataset.ledger import LEDGERS, Ledger, Manifest, ledger_of
from evreel.dataset.members import Names, Rule, Step
from evreel.dataset.outdated import age
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
    sizes = dict(dataset.stated_sizes())
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


class Batches:
    """The recordings of a data set that share jobs, and what these jobs read and make.

    Parameters
    ----------
    dataset
        What config and table say.
    shared
        Whether any recordings share jobs.

    Attributes
    ----------
    ids : name of each batch → its recordings, sorted.
    of : recording → name of its batch.
    concerned : name of each step that is done recording by recording → the recordings.
    steps : these steps, once their rules are there (`add`).
    """

    def __init__(self, dataset: DataSet, *, shared: bool = True) -> None:
        self._dataset = dataset
        self.ids = batches_of(dataset) if shared else {}
        self.of = {id_: name for name, ids in self.ids.items() for id_ in ids}
        self.concerned = recordings_of_steps(dataset)
        self.steps: list[Step] = []
        self._known_inputs: dict[tuple[str, str], tuple[list[str], list[str]]] = {}

    def add(self, name: str, rule: Rule) -> None:
        """Take the rule of a step."""
        features, concerns = self.concerned[name]

        def wildcards(id_: str) -> list[Names]:
            names = Names(id=id_)
            if name == "acquire":
                names["suffix"] = self._dataset.recording_file(id_).rpartition(".")[2]
            each = [{"feature": one} for one in features] if features is not None else [{}]
            return [Names(names | more) for more in each] if concerns(id_) else []

        self.steps.append(Step(name, rule, wildcards))

    @functools.cached_property
    def _made(self) -> dict[str, str]:
        """The files that batches make, each with the manifest of its batch."""
        made: dict[str, str] = {}
        for step in self.steps if self.ids else ():
            for batch, ids in self.ids.items():
                manifest = str(manifest_of(self._dataset.results, step.name, batch))
                for id_ in ids:
                    made.update(dict.fromkeys(step.outputs(id_), manifest))
        return made

    def targets(self, paths: Iterable[str]) -> list[str]:
        """Return files as rules name them: for those that batches make, the manifests of these."""
        return list(dict.fromkeys(self._made.get(path, path) for path in paths))

    def manifests(self, paths: Iterable[str]) -> list[str]:
        """Return the manifests of batches that make some of these files."""
        return list(dict.fromkeys(self._made[path] for path in paths if path in self._made))

    def alone(self, paths: Iterable[str]) -> list[str]:
        """Return those of some files that no batch makes."""
        return [path for path in paths if path not in self._made]

    def before(self, step: Step, batch: str) -> list[str]:
        """Return the manifests of the steps that a step takes from, for a batch."""
        return self._inputs(step, batch)[0]

    def beside(self, step: Step, batch: str) -> list[str]:
        """Return what else the jobs of a batch read."""
        return self._inputs(step, batch)[1]

    def _inputs(self, step: Step, batch: str) -> tuple[list[str], list[str]]:
        """Return both, which are found together."""
        known = self._known_inputs.get((step.name, batch))
        if known is None:
            inputs = list(step.inputs(self.ids[batch]))
            known = self.manifests(inputs), list(dict.fromkeys(self.alone(inputs)))
            self._known_inputs[step.name, batch] = known
        return known


def manifest_of(results: str, step: str, batch: str) -> Path:
    """Return the manifest of a step and batch."""
    return Path(results, "batches", step, f"{batch}.json")


@functools.cache
def known_ledger(results: str, step: str, batch: str) -> Ledger:
    """Return the ledger of a step and batch, as it was when a run began."""
    return Ledger(ledger_of(results, step, batch))


def params_in_batches(results: str, step: str, batches: Iterable[str]) -> dict[str, list[str]]:
    """Return the parameters with which batches made files of a step, as text, by recording.

    Of a recording that shared jobs with others before, those are the ones of now.
    """
    batches = {*batches}
    older = Path(results, LEDGERS, step).glob("*.json")
    found = [
        *(Ledger(path).entries for path in sorted(older) if path.stem not in batches),
        *(known_ledger(results, step, batch).entries for batch in sorted(batches)),
    ]
    return {entry.id: entry.compared for entries in found for entry in entries.values()}


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
                told = Manifest.read(manifest)
                is_sound = not told.failed
            except EvreelError:
                told, is_sound = Manifest({}, {}), False
            ledger = known_ledger(results, step, batch)
            entries = ledger.entries.values()
            known = [dict(entry.outputs) for entry in entries]
            lost = [path for entry in entries if not entry.stands() for path in entry.outputs]
            if known != [entry.outputs for entry in entries]:
                ledger.save()
            # Without its ledger, it is not known of what they were made: only that they are there.
            unknown = {*told.files}.difference(*(entry.outputs for entry in entries))
            lost += sorted(path for path in unknown if not os.path.exists(path))  # noqa: PTH110
            if lost:
                others = f", and {len(lost) - 1:,} more" if len(lost) > 1 else ""
                yield (
                    f"{lost[0]}{others}: is missing, or was changed after it was made; it will be "
                    "made again"
                )
            if lost or not is_sound:
                try:
                    manifest.unlink()
                except OSError as error:
                    raise refused(manifest, error) from error


def is_seen(results: str, steps: Sequence[str], batches: Iterable[str]) -> Callable[[str], bool]:
    """Return whether a file is of a batch of which Snakemake sees what it is made from.

    It does if it has a record of the manifest, or makes that in any case.
    """
    seen = {
        path
        for batch in batches
        for step in steps
        if is_recorded(manifest := str(manifest_of(results, step, batch)))
        or not os.path.exists(manifest)  # noqa: PTH110 (thousands of them)
        for entry in known_ledger(results, step, batch).entries.values()
        for path in entry.outputs
    }
    return seen.__contains__


def forget_unlike(results: str, steps: Iterable[Step], alone: Collection[str]) -> Iterator[str]:
    """Let Snakemake make files again that batches made with other settings than there are now.

    It has no records of them, and their recordings have jobs of their own now.

    Parameters
    ----------
    results, steps
        The folder, and what is done recording by recording.
    alone
        The recordings that have jobs of their own. Of those that are no more, files may be there.

    Yields
    ------
    What to say of each recording and step.

    Raises
    ------
    EvreelError
        If the times of a file cannot be changed.
    """
    for step in steps if alone else ():
        by_hand = {
            key: entry
            for path in sorted(Path(results, LEDGERS, step.name).glob("*.json"))
            for key, entry in Ledger(path).entries.items()
            if entry.id in alone
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


def made_of_batches(results: str, steps: Sequence[str], batches: Iterable[str]) -> set[str]:
    """Return the files that manifests of batches name."""
    files: set[str] = set()
    for batch in batches:
        for step in steps:
            with contextlib.suppress(EvreelError):
                files.update(Manifest.read(manifest_of(results, step, batch)).files)
    return files


def told_of_failed(failed: Mapping[str, tuple[str, str]], logs: str) -> str:
    """Return a text that says what failed, recording by recording, and what to do."""
    they = "it shares" if len(failed) == 1 else "they share"
    n = counted(len(failed), "recording")
    lines = [f"{n} failed; {they} jobs with others, which were made:"]
    for id_, (step, what) in failed.items():
        lines += ["", f"{step}: {id_}", f"    {what}", f"    {logs}/{step}/{id_}.log"]
    return "\n".join([*lines, "", f"Fix these, then {AGAIN}"])
