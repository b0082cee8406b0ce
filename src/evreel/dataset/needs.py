"""What a job asks a cluster for: memory and time, by the size of its recording and its attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evreel.errors import UsageError

START_MIN = 10.0
"""Of each job, whatever its size, minutes: to start, to read the workflow, to compile a kernel."""
UNKNOWN_BYTES = 10_000_000_000
"""Of a source whose size is not known, as of a download that states none."""
_GB = 1e9


@dataclass(frozen=True)
class Need:
    """What a rule's jobs need, with a margin.

    Memory is bounded by the size of a chunk and of a frame, so what it grows by is small; time is
    linear. Measured at 346×260 and 100 M events (``docs/benchmarks.md``), steps had 70 to 340 MB,
    and took 4 to 9 s for 0.8 GB; here is room for frames of 1280×720, for the two Snakemakes that
    a job of a cluster starts, and for disks and processors that are ten times slower.

    Parameters
    ----------
    mem_mb
        Memory, MB of 10^6 bytes.
    mem_mb_per_gb
        More of it for each GB of the source.
    min_per_gb
        Time for each GB of the source, minutes.
    """

    mem_mb: int
    mem_mb_per_gb: float
    min_per_gb: float


NEEDS: Mapping[str, Need] = {
    "archive": Need(1000, 0, 4),
    "plain_archive": Need(1000, 0, 3),
    "acquire": Need(1000, 0, 4),
    "events": Need(2000, 5, 1),
    "clock": Need(1000, 5, 0.5),
    "video": Need(3000, 5, 3),
    "annotate": Need(3000, 50, 2),
    "annotate_part": Need(3000, 50, 2),
    "boxes": Need(2000, 50, 0.5),
    "qa": Need(3000, 10, 3),
    "summary": Need(2000, 50, 1),
    "preview": Need(3000, 10, 1),
    "cut": Need(2000, 20, 0.5),
    "splits": Need(2000, 20, 0.2),
    "samples": Need(2000, 20, 0.5),
    "features": Need(4000, 10, 3),
    "features_part": Need(4000, 10, 3),
    "feature_boxes": Need(2000, 50, 0.5),
    "publish_events": Need(2000, 5, 4),
    "publish_slices": Need(2000, 20, 4),
    "publish_samples": Need(2000, 20, 1),
    "publish_features": Need(3000, 10, 6),
    "release": Need(2000, 5, 1),
}
"""Of each rule whose jobs go to a cluster."""


def mem_mb(rule: str, n_bytes: float, attempt: int = 1) -> int:
    """Return the memory that a job asks for, MB; each attempt asks for twice that of the last.

    Parameters
    ----------
    rule
        Its rule, a key of `NEEDS`.
    n_bytes
        Size of its sources, bytes; 0 if it is not known.
    attempt
        1 at first.

    Examples
    --------
    >>> [mem_mb("events", n_bytes=40e9, attempt=attempt) for attempt in (1, 2, 3)]
    [2200, 4400, 8800]
    """
    need = NEEDS[rule]
    return round((need.mem_mb + need.mem_mb_per_gb * _gb(n_bytes)) * 2.0 ** (attempt - 1))


def runtime_min(rule: str, n_bytes: float, attempt: int = 1, times: int = 1) -> int:
    """Return the time that a job asks for, minutes; each attempt asks for twice that of the last.

    Parameters
    ----------
    rule, n_bytes, attempt
        As of `mem_mb`.
    times
        How often it does the same work: the number of features.

    Examples
    --------
    >>> [runtime_min("events", n_bytes=40e9, attempt=attempt) for attempt in (1, 2, 3)]
    [50, 100, 200]
    """
    minutes = START_MIN + NEEDS[rule].min_per_gb * _gb(n_bytes) * times
    return round(minutes * 2.0 ** (attempt - 1))


def check_arrays(n_jobs: int, at_a_time: int) -> None:
    """Raise if array jobs could make a run wait for ever.

    The executor puts off jobs of an array until all that are ready were handed to it, and forgets
    them where Snakemake hands over no more at a time.

    Parameters
    ----------
    n_jobs
        How many jobs the run has.
    at_a_time
        How many Snakemake hands over at most.

    Raises
    ------
    UsageError
        If not all of them could be handed over at once.
    """
    if at_a_time < n_jobs:
        raise UsageError(
            f"slurm-array-jobs: this run has {n_jobs:,} jobs and may submit {at_a_time:,} at a "
            "time; the executor would forget some, and wait for ever",
            hint=f"Add --jobs {n_jobs} --max-jobs-per-timespan {n_jobs}/1s, or leave arrays out.",
        )


def _gb(n_bytes: float) -> float:
    return (n_bytes or UNKNOWN_BYTES) / _GB
