"""What Snakemake recorded of the jobs that made files, in ``.snakemake/metadata``.

There are no records where `.snakemake` was lost, or left behind when results were copied.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from evreel.dataset.failures import failed_jobs, text_of_run

RECORDS = Path(".snakemake", "metadata")
_FAILED = "'failed'"
"""A parameter that no job has: with it in its record, a file counts as made in another way."""


INCOMPLETE = Path(".snakemake", "incomplete")


def _record_of(path: str, folder: Path = RECORDS) -> Path:
    return folder / base64.urlsafe_b64encode(path.encode()).decode()


def is_incomplete(path: str) -> bool:
    """Tell whether the job that makes a file began and did not end, as far as Snakemake knows."""
    try:
        return _record_of(path, INCOMPLETE).exists()
    except OSError:  # the record's name is too long
        return True


def is_recorded(path: str) -> bool:
    """Tell whether Snakemake recorded how a file was made; `path` is spelled as in its rule."""
    try:
        return _record_of(path).exists()
    except OSError:  # the record's name is too long
        return False


def recorded_params(path: str) -> list[str] | None:
    """Return the parameters of the job that made a file, without their names; None if unknown."""
    try:
        params = json.loads(_record_of(path).read_bytes())["params"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return params if isinstance(params, list) else None


def recorded_inputs(path: str) -> list[str] | None:
    """Return the inputs of the job that made a file, sorted; None if they are unknown."""
    try:
        inputs = json.loads(_record_of(path).read_bytes())["input"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return inputs if isinstance(inputs, list) else None


def record_params(path: str, params: Iterable[str]) -> None:
    """Replace the parameters that Snakemake recorded of the job that made a file."""
    _replace(path, "params", params)


def record_inputs(path: str, inputs: Iterable[str]) -> None:
    """Replace the inputs that Snakemake recorded of the job that made a file."""
    _replace(path, "input", sorted(inputs))


def _replace(path: str, key: str, values: Iterable[str]) -> None:
    record = _record_of(path)
    known = json.loads(record.read_bytes()) | {key: [*values]}
    content = json.dumps(known).encode()
    # By one call, in place: that needs no room on a full disk, and a kill does not cut it.
    with record.open("r+b", buffering=0) as file:
        file.write(content)
        file.truncate(len(content))


def mark_failed(
    snakemake_logs: Iterable[str | Path],
    kept: Iterable[str | Path] = (),
    within: Iterable[str | Path] | None = None,
) -> None:
    """Let Snakemake run the failed jobs of a run again.

    It records a failed job as one that succeeded, and lets a file be missing as long as what was
    made from it is there: the same command would say that there is nothing to do.

    Parameters
    ----------
    snakemake_logs
        Logs of the run.
    kept
        Folders whose files' records stay as they are.
    within
        Folders: only jobs with outputs in them are marked; None marks all.
    """
    kept = {Path(folder) for folder in kept}
    for job in failed_jobs(text_of_run(snakemake_logs), within):
        for path in job.output.split(", "):
            params = recorded_params(path)
            if Path(path).parent not in kept and params is not None:
                with contextlib.suppress(OSError):  # the others all the same
                    record_params(path, [*params, _FAILED])
