"""What a run of the workflow that failed says at its end, from its log and those of its jobs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

STEP_ERROR = re.compile(r"[A-Za-z_.]*(Error|Exception|Interrupt)\b")
"""How the line begins with which a step ends its log, or Python a traceback."""


def what_failed(snakemake_logs: Iterable[str | Path]) -> str:
    """Return what went wrong, job by job, and what to do."""
    jobs = failed_jobs("".join(map(text_of, snakemake_logs)))
    again = "run the same command again; finished jobs are kept."
    if not jobs:
        return f"The run was stopped early. To go on, {again}"
    count = "1 job failed; jobs that need it did not run:"
    if len(jobs) > 1:
        count = f"{len(jobs)} jobs failed; jobs that need them did not run:"
    lines = [count]
    for rule, output, logs, message in jobs:
        lines += ["", f"{rule}: {output}", f"    {last_word(logs, message)}"]
    return "\n".join([*lines, "", f"Fix these, then {again}"])


def failed_jobs(text: str) -> list[tuple[str, str, list[str], str]]:
    """Return (rule, output, logs, message) of each job that a log of Snakemake says to have failed.

    A block begins with "Error in rule" or, for jobs that run together, with "Error in group" and
    a "rule" for each; a job that failed again after a new try is there once.
    """
    jobs: dict[tuple[str, str | None], dict[str, str]] = {}
    job: dict[str, str] | None = None
    in_group = False
    for line in text.splitlines():
        if block := re.match(r"Error in (rule|group) (\S+):$", line):
            in_group = block[1] == "group"
            job = None if in_group else {"rule": block[2]}
        elif not line.startswith(" "):
            job, in_group = None, False
        elif in_group and (member := re.match(r" +rule\s(\w+):$", line)):
            job = {"rule": member[1]}
        elif job and (fact := re.match(r" +(output|log|message): (.*?)(?: \(check .*\))?$", line)):
            job[fact[1]] = fact[2]
        if job:
            jobs[job["rule"], job.get("output")] = job
    whole = {(job["rule"], job.get("output")): job for job in jobs.values()}
    return [
        (
            job["rule"],
            job.get("output", ""),
            job["log"].split(", ") if "log" in job else [],
            job.get("message", "None"),
        )
        for job in whole.values()
    ]


def last_word(logs: Sequence[str], message: str) -> str:
    """Return a failed job's own error; else what its executor says, such as that it was killed."""
    for log in logs:
        lines = text_of(log).splitlines()
        if lines and STEP_ERROR.match(lines[-1]):
            return lines[-1]
    told = "" if message in ("", "None") else f" The executor says: {message}"
    where = f" in its log, {', '.join(logs)}" if logs else ""
    return f"It ended without a message{where}: it was killed, or ran out of memory or time.{told}"


def text_of(path: str | Path) -> str:
    """Return a text file's content, nothing where there is no such file."""
    path = Path(path)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
