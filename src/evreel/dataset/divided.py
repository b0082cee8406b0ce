"""Recordings that several jobs share: the number of jobs makes nothing again that is there."""

from __future__ import annotations

from evreel.dataset.dataset import DataSet
from evreel.dataset.job_records import record_inputs, recorded_inputs
from evreel.dataset.memory import Memory
from evreel.layout import BOXES_SUFFIX

_KNOWN = "recordings in parts"


def keep_made_of_parts(dataset: DataSet, memory: Memory) -> None:
    """Let Snakemake keep what was made of another number of parts than is asked for now.

    Parts are inputs of the job that joins them, and Snakemake runs a job again whose inputs are
    others. So the parts that are asked for now take the place of others in its records.

    Parameters
    ----------
    dataset
        What config and table say.
    memory
        What is known of recordings: which ones were divided.
    """
    for step, made_of in (("annotate", _slices), ("features", _features)):
        parts = dataset.parts(step)
        before = memory.fact(f"{_KNOWN}: {step}") or []
        now = [id_ for id_ in dataset.recordings if dataset.n_parts(step, id_) > 1]
        for id_ in dict.fromkeys([*before, *now]):
            if id_ in dataset.recordings:
                for path in made_of(dataset, id_):
                    _settle(path, f"{dataset.results}/parts/", parts(id_))
        if now != before:
            memory.learn(f"{_KNOWN}: {step}", now)


def _settle(path: str, folder: str, parts: list[str]) -> None:
    recorded = recorded_inputs(path)
    if recorded is None:
        return
    wanted = sorted([*(name for name in recorded if not name.startswith(folder)), *parts])
    if wanted != recorded:
        record_inputs(path, wanted)


def _slices(dataset: DataSet, id_: str) -> list[str]:
    return [f"{dataset.results}/slices/{id_}{suffix}" for suffix in (".h5", BOXES_SUFFIX)]


def _features(dataset: DataSet, id_: str) -> list[str]:
    return [*dataset.feature_files(id_).values(), f"{dataset.results}/features/.made/{id_}"]
