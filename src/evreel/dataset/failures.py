"""What a run of the workflow says at its end, from its log and those of its jobs."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evreel.errors import WARNING, one_line, without_commands
from evreel.text import counted

MOST_READ = 512 * 1024
"""Bytes of a job's log that are read, half of them from its start and half from its end."""
MOST_READ_OF_A_RUN = 128 * MOST_READ
"""Of Snakemake's own log, which has several lines for each job."""
FULL_BYTES = 1024 * 1024
"""Room on a disk that is too little to work with."""
MARKS = ".made"
"""The folder of files that only say of others that they are made."""
AGAIN = "run the same command again; finished jobs are kept."

_ERROR = re.compile(r"(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Interrupt)(?=:|$)")
"""How the line begins with which a step ends its log, or Python a traceback."""
_TRACEBACK = re.compile(r"\s*(?:\S+ )*Traceback \(most recent call last\):$")
_BESIDE = re.compile(
    r"Exception (?:ignored|in thread) |Error in (?:atexit|sys\.excepthook)|--- Logging error ---"
)
"""What Python says before an error that did not end the program."""
_ASIDE = re.compile(
    r"(?:.*:\d+: )?\w*[Ww]arning:|Call stack:|During handling of the|The above exception was"
)
"""What begins lines that do not belong to the error above them."""
_OF_THE_SYSTEM = re.compile(
    r"Fatal Python error: |.*(?:\boom[-_ ]kill|\b[Oo]ut of memory|std::bad_alloc"
    r"|\bDUE TO (?:TIME LIMIT|PREEMPTION|NODE FAILURE)|\b[Ee]xceeded (?:job |step )?memory limit"
    r"|\*\*\* (?:JOB|STEP) .* CANCELLED AT )"
)
"""What the system or a cluster says of a job that it ended."""
_MEMORY = re.compile(r"(?:\w+\.)*_?(?:Array)?MemoryError:?$|(?:\w+\.)*_(?:Array)?MemoryError\b")
_BUG = "This is a bug in evreel"
_ONLY_REPEATS = re.compile(r"WorkflowError: At least one job did not|RuleException: CalledProcess")
"""What Snakemake says, of a job that ended otherwise, in the log of a cluster."""
_MOST_LINES = 50
_MOST_NAMED = 3

_STARTS = re.compile(r"(?:local)?(?:rule|checkpoint) (\w+):$")
_FAILS = re.compile(r"Error in (rule|group) (\S+):$")
_FINISHED = re.compile(r"Finished jobid: (\d+) ")
_GROUP_FAILS = re.compile(r" +message: Error in group \S+$")
"""How a group's block tells it in newer versions of Snakemake, below the time alone."""
_MEMBER = re.compile(r" +rule (\w+):$")
_FACT = re.compile(r" +(\w+): (.*?)(?: \(check log .*\))?$")
_COMMAND = re.compile(
    r"Command '.*?(?:\.(?P<rule>\w+)\.py)?' (?:died with <Signals\.(?P<signal>\w+): \d+>"
    r"|returned non-zero exit status (?P<status>\d+))"
)
"""How Snakemake says that a job's script ended.

A script is called like its rule, whose name another workflow may have made longer.
"""
_REFUSED = re.compile(r"(\w+(?:Exception|Error)) in rule (\w+) in file ")
"""How Snakemake begins what it has to say of a job itself."""
_GOES_ON = re.compile(r"\[\w{3} \w{3} .*\d{4}\]$|(?:Select|Execute) .*jobs?\b|Finished |Exiting ")
_MISSING = re.compile(r"(.*) \(missing ")
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")

_LOCAL = re.compile(r"(?<![\w.:/<])/(?:[^\s:;,'\"/]+/)+")
"""The folders of an absolute path, which others need not know; not those of an address."""

_SIGNALS = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "the terminal was closed"}
"""Signals that end a run, as people know them."""
_CUT = ("SIGINT", "SIGTERM", "SIGHUP")
_ON_REQUEST = re.compile("on user request|Will exit after finishing currently running jobs")


class Ended(NamedTuple):
    """A signal that a run was ended by: its name, and when, seconds since 1970."""

    signal: str
    time_s: float


Block = tuple[str, list[str]]
"""A line of a log that begins at its left edge, and the indented ones below it."""


@dataclass
class Job:
    """A job that failed, as Snakemake's log has it.

    Parameters
    ----------
    rule, output, log, message
        What stands there; empty where it is not said.
    end
        How its process ended: ``SIGKILL``, or an exit status.
    refused
        What Snakemake itself found wrong with it.
    number
        Snakemake's number of it in its run.
    """

    rule: str
    output: str = ""
    log: str = ""
    message: str = ""
    end: str = ""
    refused: str = ""
    number: str = ""

    @classmethod
    def of(cls, rule: str, lines: Iterable[str]) -> Job:
        """Return the job that some lines describe."""
        facts = {fact[1]: fact[2] for fact in map(_FACT.match, lines) if fact}
        known = {name: facts.get(name, "") for name in ("output", "log", "message")}
        known["message"] = known["message"].removesuffix("None")
        outputs = known["output"].replace(" (update)", "")  # a flag of the rule's outputs
        known["output"] = ", ".join(
            name for name in outputs.split(", ") if Path(name).parent.name != MARKS
        )
        return cls(rule, **known, number=facts.get("jobid", ""))

    @property
    def logs(self) -> list[str]:
        """Its log files; a name may have a comma in it."""
        if not self.log or Path(self.log).is_file():
            return [self.log] if self.log else []
        return [_found(log) for log in self.log.split(", ")]


def _found(log: str) -> str:
    """Return where a log is: those of array jobs of Slurm are a folder above the stated one."""
    above = Path(log).parent.parent / Path(log).name
    return str(above) if not Path(log).exists() and above.is_file() else log


def what_failed(
    snakemake_logs: Iterable[str | Path],
    signals: Sequence[Ended] = (),
    within: Iterable[str | Path] | None = None,
) -> str:
    """Return what went wrong, job by job, and what to do.

    Parameters
    ----------
    snakemake_logs
        Logs of the run.
    signals
        What ended it, the first one first. Jobs that end with it did not fail.
    within
        Folders: only jobs with outputs in them are told, and nothing where there is none; None
        tells all.
    """
    text = text_of_run(snakemake_logs)
    jobs = failed_jobs(text, within)
    if not jobs and not signals:
        if within is not None:
            return ""
        error = last_error(text)
        if not error or "on user request" in text:
            return f"The run was stopped early. To go on, {AGAIN}"
        return f"No job failed, but the run did:\n\n    {error}\n\nFix this, then {AGAIN}"
    cut = _cut_off(jobs, signals, text)
    failed = [job for job in jobs if job not in cut]
    lines = [_count(len(failed))] if failed else []
    for job in failed:
        lines += ["", f"{job.rule}: {job.output}", f"    {last_word(job)}"]
    if cut or signals:
        by = f" ({_SIGNALS.get(signals[0].signal, signals[0].signal)})" if signals else ""
        of = f"; {_jobs(len(cut))} cut off" if cut else ""
        lines += [*([""] if failed else []), f"The run was interrupted{by}{of}."]
    if not failed:
        return f"{lines[0]} To go on, {AGAIN}"
    return "\n".join([*lines, "", f"Fix these, then {AGAIN}"])


def reasons(snakemake_logs: Iterable[str | Path], signals: Sequence[Ended] = ()) -> dict[str, str]:
    """Return what failed in a run: a job's output → its rule, and its error without folders.

    Jobs that were cut off with the run did not fail. Parameters are those of `what_failed`.
    """
    text = text_of_run(snakemake_logs)
    jobs = failed_jobs(text)
    cut = _cut_off(jobs, signals, text)
    return {
        output: _LOCAL.sub("", f"{job.rule}: {last_word(job)}")
        for job in jobs
        if job not in cut
        for output in job.output.split(", ")
    }


def _cut_off(jobs: Iterable[Job], signals: Sequence[Ended], text: str) -> list[Job]:
    is_ended = bool(signals) or _on_request(text)
    return [job for job in jobs if is_ended and _is_cut(job, signals)]


def _on_request(text: str) -> bool:
    return _ON_REQUEST.search(text) is not None


def _count(n: int) -> str:
    if n == 1:
        return "1 job failed; jobs that need it did not run:"
    return f"{n} jobs failed; jobs that need them did not run:"


def _jobs(n: int) -> str:
    return "1 job was" if n == 1 else f"{n} jobs were"


def _is_cut(job: Job, signals: Sequence[Ended]) -> bool:
    """Tell whether a job was ended with the run, and did not fail by itself.

    What it says after the signal, as of an ffmpeg that has gone, follows from that.
    """
    if job.refused or job.end in ("SIGKILL", *_CRASHES):
        return False
    for log in job.logs:
        error = last_error(text_of(log))
        if error and not error.startswith("KeyboardInterrupt"):
            return bool(signals) and Path(log).stat().st_mtime >= signals[0].time_s
    status = int(job.end) if job.end.isdecimal() else 0
    by_signal = signal.Signals(status - 128).name if status - 128 in set(signal.Signals) else ""
    return not status or by_signal in _CUT


def what_was_warned(snakemake_logs: Iterable[str | Path]) -> str:
    """Return how many warnings the jobs of a run gave, and where they are; nothing if none."""
    text = text_of_run(snakemake_logs)
    found: dict[str, int] = {}
    for first, below in _blocks(text):
        block = _STARTS.match(first)
        for log in Job.of(block[1], below).logs if block else ():
            n = sum(line.startswith(WARNING) for line in text_of(log).splitlines())
            if n:
                found[log] = n
    if not found:
        return ""
    n = sum(found.values())
    *named, last = list(found)[:_MOST_NAMED]
    rest = len(found) - len(named) - 1
    if rest:
        named, last = [*named, last], counted(rest, "other log")
    where = f"{', '.join(named)} and {last}" if named else last
    return f"{counted(n, 'warning')}: see {where}"


def failed_jobs(text: str, within: Iterable[str | Path] | None = None) -> list[Job]:
    """Return each job that a log of Snakemake says to have failed; those with outputs `within`.

    A block begins with "Error in rule" or, for jobs that run together, has "Error in group" and
    a "rule" for each. How a script ended stands above its block. What Snakemake itself finds wrong
    with a job, such as an output that it did not write, has no such block. A job that failed
    again after a new try is there once; one that then succeeded did not fail.
    """
    failed: dict[tuple[str, str], Job] = {}
    started: dict[str, Job] = {}
    ends: list[tuple[str, str]] = []
    blocks = list(_blocks(text))
    for k, (first, below) in enumerate(blocks):
        found = []
        if block := _STARTS.match(first):
            job = Job.of(block[1], below)
            started |= dict.fromkeys(job.output.split(", "), job)
        elif block := _FINISHED.match(first):
            failed = {key: job for key, job in failed.items() if job.number != block[1]}
        elif block := _COMMAND.match(first):
            ends.append((block["rule"] or "", block["signal"] or block["status"]))
        elif block := _REFUSED.match(first):
            said = list(_said(blocks[k + 1 :]))
            missing = [file[1] for file in map(_MISSING.match, said) if file]
            about = Job.of(block[2], said)
            job = started.get((missing or about.output.split(", "))[0], about)
            output = job.output or ", ".join(missing)
            found = [Job(block[2], output, job.log, number=job.number)]
            found[0].refused = one_line("\n".join([f"{block[1]}:", *said]))
        elif (block := _FAILS.match(first)) and block[1] == "rule":
            found = [Job.of(block[2], [*below, *_rest(blocks[k + 1 :], below)])]
        elif block or any(map(_GROUP_FAILS.match, below)):
            found = list(_members(line for line in below if not _GROUP_FAILS.match(line)))
        for job in found:
            mine = sorted(
                (end for end in ends if (end[0] and end[0] in job.rule) or len(ends) == 1),
                key=lambda end: -len(end[0]),
            )[:1]
            for end in mine if not job.refused else ():
                ends.remove(end)
                job.end = end[1]
            failed[job.rule, job.output] = job
    found = list(failed.values())
    if within is None:
        return found
    folders = [Path(folder) for folder in within]
    return [
        job
        for job in found
        if any(Path(job.output.split(", ")[0]).is_relative_to(folder) for folder in folders)
    ]


def _blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a log of Snakemake, without the logs of jobs that it repeats."""
    block: Block | None = None
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("Logfile ") and line.endswith(":"):
            fence = next(lines, "")
            if fence and set(fence) == {"="}:
                next((inside for inside in lines if inside == fence), None)
        elif line.startswith(" ") and block:
            block[1].append(line)
        elif line:
            if block:
                yield block
            block = line, []
    if block:
        yield block


def _members(lines: Iterable[str]) -> Iterator[Job]:
    """Yield the jobs of a group; what is said of all of them stands above them."""
    own: list[str] = []
    of_group, job = own, ""
    for line in lines:
        if member := _MEMBER.match(line):
            if job:
                yield _member(job, of_group, own)
            job, own = member[1], []
        else:
            own.append(line)
    if job:
        yield _member(job, of_group, own)


def _member(rule: str, of_group: Sequence[str], own: Sequence[str]) -> Job:
    job, group = Job.of(rule, [*of_group, *own]), Job.of("", of_group)
    if group.log and group.log != job.log:
        job.log += f", {group.log}"
    return job


def _rest(blocks: Sequence[Block], below: Sequence[str]) -> Iterator[str]:
    """Yield what follows a message of several lines in the block of a job that failed."""
    for first, more in blocks[:_MOST_LINES]:
        if any("jobid: " in line for line in below) or _GOES_ON.match(first):
            return
        yield from more
        below = more


def _said(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the lines of what Snakemake says of a job."""
    for first, below in blocks:
        if any(form.match(first) for form in (_GOES_ON, _STARTS, _FAILS, _REFUSED, _ERROR)):
            return
        yield from (first, *below)


def last_word(job: Job) -> str:
    """Return a failed job's own error; else how it ended, and what is known of that."""
    for log in job.logs:
        text = text_of(log)
        error = last_error(text)
        if error and _BUG in text:
            error = f"{error}. {_BUG}; please report it with its log, {log}"
        if error:
            return f"{error}. It ran out of memory." if _MEMORY.match(error) else error
        if not job.end and (ended := _COMMAND.search(text)):  # of a cluster, whose log it is
            job.end = ended["signal"] or ended["status"]
    where = f" in its log, {', '.join(job.logs)}" if job.logs else ""
    told = f" The executor says: {one_line(job.message)}" if job.message else ""
    if job.refused:
        told += f" Snakemake says: {job.refused}"
        return f"It wrote no error{where}.{told}"
    if any(map(_is_full, [*job.logs, *job.output.split(", ")])):
        told = f" The disk is full: make room on it.{told}"
    return f"{_end(job.end, where)}{told}"


def _end(end: str, where: str) -> str:
    """Return what the end of a process means."""
    status = int(end) if end.isdecimal() else 0
    with_signal = status - 128  # as a shell tells it
    if with_signal in set(signal.Signals):
        end, status = signal.Signals(with_signal).name, 0
    if status:
        return (
            f"It ended with exit status {status} and without a message{where}; see what it "
            "printed above."
        )
    if end == "SIGBUS":
        return (
            f"It ended without a message{where} (SIGBUS): a file was cut short while it was read, "
            "or a disk failed."
        )
    if end in _CRASHES:
        return (
            f"It crashed ({end}) without a message{where}. That is a bug in a library: please "
            "report it with the input."
        )
    if end in ("", "SIGKILL"):
        by = f" ({end})" if end else ""
        return (
            f"It ended without a message{where}: it was killed{by}, or ran out of memory or time."
        )
    return f"It ended without a message{where}: it was ended from outside ({end})."


def _is_full(path: str) -> bool:
    """Tell whether the disk of a file has no room, so that its log may have got no message."""
    folder = next((folder for folder in Path(path).absolute().parents if folder.is_dir()), None)
    return folder is not None and shutil.disk_usage(folder).free < FULL_BYTES


def last_error(text: str) -> str:
    """Return the last error that a log tells as one line; empty where there is none.

    It may have several lines, and others may follow: warnings, and what Python says of failures
    while it ends. An error that Python says to have ignored counts only if there is no other.
    """
    lines = without_commands(text).splitlines()
    own, beside, of_system = "", "", ""
    is_beside = False
    k = 0
    while k < len(lines):
        line, start = lines[k], k
        if _TRACEBACK.match(line):
            is_beside |= any("resource_tracker.py" in line for line in lines[k + 1 : k + 3])
            start = next((n for n in range(k + 1, len(lines)) if lines[n][:1].strip()), len(lines))
        elif not _ERROR.match(line):
            is_beside |= bool(_BESIDE.match(line))
            of_system = line if _OF_THE_SYSTEM.match(line) else of_system
            k += 1
            continue
        k = next((n for n in range(start + 1, len(lines)) if _ends(lines[n])), len(lines))
        error = one_line("\n".join(lines[start : min(k, start + _MOST_LINES)]))
        if _ONLY_REPEATS.match(error):
            continue
        own, beside = (own, error or beside) if is_beside else (error or own, beside)
        is_beside = False
    return own or one_line(of_system) or beside


def _ends(line: str) -> bool:
    """Tell whether a line does not go on with the error above it."""
    return any(form.match(line) for form in (_TRACEBACK, _ERROR, _BESIDE, _ASIDE, _OF_THE_SYSTEM))


def text_of_run(snakemake_logs: Iterable[str | Path]) -> str:
    """Return what Snakemake wrote into the logs of a run."""
    return "\n".join(text_of(log, MOST_READ_OF_A_RUN) for log in snakemake_logs)


def text_of(path: str | Path, most: int = MOST_READ) -> str:
    """Return a text file's start and end, nothing where there is no file that can be read."""
    path = Path(path)
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            content = file.read(most // 2)
            size = os.fstat(file.fileno()).st_size
            if size > most:
                file.seek(size - most // 2)
                content += b"\n"
            content += file.read(most // 2)
    except (OSError, ValueError):
        return ""
    return content.decode("utf-8", errors="replace")
