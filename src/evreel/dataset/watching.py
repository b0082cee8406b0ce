"""A run of the workflow, watched: which signals end it, and how far it is.

Whoever runs it may ask Snakemake to be quiet; then its own log says nothing either.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from evreel.dataset.failures import Ended

LEAST_S = 1.0
"""Time between two lines of progress, seconds; later in a run, a hundredth of its time."""
_SHARE = 0.01
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_KNOWN = signal.Signals.__members__
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def note_signals(noted: list[Ended]) -> None:
    """Enter each signal that ends a run into a list; what it did before, it still does.

    Of a terminal that is closed, Snakemake would die and leave its lock; it ends as of SIGTERM. And
    what it does of SIGTERM waits for a lock that its main thread may have: another thread does it.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    handlers = {name: signal.getsignal(signal.Signals[name]) for name in names if name in _KNOWN}
    if handlers.get("SIGHUP") == signal.SIG_DFL:
        handlers["SIGHUP"] = handlers["SIGTERM"]
    for name, before in handlers.items():

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            noted.append(Ended(signal.Signals(number).name, time.time()))
            if str(getattr(before, "__module__", None)).startswith("snakemake."):
                threading.Thread(target=before, args=(number, frame), daemon=True).start()
            elif callable(before):
                before(number, frame)
            else:  # as the system does it by itself
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

        # One that is ignored stays so; and only the main thread may ask for it.
        if before not in (signal.SIG_IGN, None):
            with contextlib.suppress(ValueError):
                signal.signal(signal.Signals[name], handle)


class Planned(NamedTuple):
    """A job that a run will do.

    Parameters
    ----------
    rule
        Its rule.
    about
        What it works on: a recording, an archive or a batch; empty for none.
    """

    rule: str
    about: str


@dataclass
class _Work:
    """Jobs of one rule that are done: how many, of how many bytes, in how much time."""

    n: int = 0
    n_bytes: float = 0.0
    seconds: float = 0.0

    def expects_s(self, n_bytes: float) -> float | None:
        """Return how long a job of so many bytes takes; None where nothing is known."""
        if self.n_bytes and n_bytes:
            return self.seconds * n_bytes / self.n_bytes
        return self.seconds / self.n if self.n else None


@dataclass
class Estimate:
    """How much of a run is done, and how long the rest takes.

    A job takes as long, for its bytes, as those of its rule that are done; the work that is left is
    done by as many jobs at a time as the work until now.

    Parameters
    ----------
    jobs
        What the run will do.
    sizes
        Bytes of what jobs work on, as far as they are known.
    clock
        Seconds since any instant.

    Examples
    --------
    >>> now = [0.0]
    >>> jobs = [Planned("events", name) for name in "abc"]
    >>> run = Estimate(jobs, {"a": 1e9, "b": 3e9, "c": 6e9}, clock=lambda: now[0])
    >>> run.begin(1, jobs[0]); now[0] = 60.0; run.finish(1)
    >>> run.line(1, 3)
    '1 of 3 jobs, 1.0 of 10 GB, about 9 min left'
    """

    jobs: Iterable[Planned]
    sizes: Mapping[str, int | float]
    clock: Callable[[], float] = time.monotonic
    _left: Counter[Planned] = field(init=False)
    _of: Counter[str] = field(init=False)
    _done: Counter[str] = field(default_factory=Counter, init=False)
    _work: dict[str, _Work] = field(default_factory=lambda: defaultdict(_Work), init=False)
    _running: dict[int, tuple[Planned, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._left = Counter(self.jobs)
        self._of = Counter(job.about for job in self._left.elements())
        self._start = self.clock()

    def begin(self, number: int, job: Planned) -> None:
        """Take note of a job that begins."""
        self._running[number] = job, self.clock()

    def finish(self, number: int) -> None:
        """Take note of a job that is done."""
        if number not in self._running:
            return
        job, start = self._running.pop(number)
        self._left[job] -= 1
        self._done[job.about] += 1
        for name in (job.rule, ""):  # the jobs of its rule, and all
            work = self._work[name]
            work.n += 1
            work.n_bytes += self.sizes.get(job.about, 0)
            work.seconds += self.clock() - start

    @property
    def elapsed_s(self) -> float:
        """Time since the run began, seconds."""
        return self.clock() - self._start

    def line(self, done: int, total: int) -> str:
        """Return how far the run is, as one line."""
        parts = [f"{done:,} of {total:,} jobs"]
        shares = [
            (min(self._done[about] / n, 1), self.sizes.get(about, 0))
            for about, n in self._of.items()
        ]
        if n_bytes := sum(size for _, size in shares):
            parts.append(bytes_of(sum(share * size for share, size in shares), n_bytes))
        if done == total:
            parts.append(f"in {duration(self.elapsed_s)}")
        elif (left_s := self._left_s(done, total)) is not None:
            parts.append(f"about {duration(left_s)} left")
        return ", ".join(parts)

    def _left_s(self, done: int, total: int) -> float | None:
        now = self.clock()
        every = self._work.get("")
        if every is None or not done:
            return None
        ages = {number: now - start for number, (_, start) in self._running.items()}
        at_a_time = (every.seconds + sum(ages.values())) / max(self.elapsed_s, 1e-9)
        if not self._of or not at_a_time:  # of which nothing is known but how many there are
            return self.elapsed_s * (total - done) / done
        work = 0.0
        for job, n in self._left.items():
            size = self.sizes.get(job.about, 0)
            own = self._work[job.rule].expects_s(size) if job.rule in self._work else None
            work += max(n, 0) * (every.expects_s(size) or 0.0 if own is None else own)
        return max(work - sum(ages.values()), 0.0) / at_a_time


def bytes_of(done: float, total: float) -> str:
    """Return a share of bytes, in the unit of the whole.

    Examples
    --------
    >>> bytes_of(3.4e9, 41e9), bytes_of(0, 20e3)
    ('3.4 of 41 GB', '0.0 of 20 kB')
    """
    factor, unit = next(((f, u) for f, u in _UNITS if total >= f), (1, "B"))
    numbers = [value / factor for value in (done, total)]
    texts = [f"{value:.1f}" if value < 9.95 and factor > 1 else f"{value:.0f}" for value in numbers]
    return f"{texts[0]} of {texts[1]} {unit}"


def duration(seconds: float) -> str:
    """Return a time as a person tells it.

    Examples
    --------
    >>> [duration(s) for s in (0.2, 42, 1500, 9000, 260_000)]
    ['1 s', '42 s', '25 min', '2.5 h', '3.0 days']
    """
    for least, unit, name, digits in (
        (2 * _DAY_S, _DAY_S, "days", 1),
        (1.5 * _HOUR_S, _HOUR_S, "h", 1),
        (1.5 * _MINUTE_S, _MINUTE_S, "min", 0),
    ):
        if seconds >= least:
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{max(round(seconds), 1)} s"


class Watch(logging.Handler):
    """Says how far a run is, from what Snakemake tells its log handlers.

    Parameters
    ----------
    estimate
        How far it is.
    say
        Takes a line.
    """

    def __init__(
        self, estimate: Estimate, say: Callable[[str], None] = lambda line: say(line)
    ) -> None:
        super().__init__()
        self._estimate = estimate
        self._say = say
        self._said_s = -LEAST_S
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Take what Snakemake tells; that this fails must not concern the run."""
        try:
            with self._guard:
                self._take(str(getattr(record, "event", "")), record.__dict__)
        except Exception:
            self.handleError(record)

    def _take(self, event: str, said: Mapping[str, Any]) -> None:
        if event == "job_info":
            job = planned(said["rule_name"], dict(said["wildcards"] or {}))
            self._estimate.begin(said["jobid"], job)
        elif event == "job_finished":
            self._estimate.finish(said["job_id"])
        elif event == "progress":
            done, total, now = said["done"], said["total"], self._estimate.elapsed_s
            if done == total or now >= self._said_s + max(LEAST_S, _SHARE * now):
                self._said_s = now
                self._say(self._estimate.line(done, total))


class AtStart(logging.Handler):
    """Calls a function when a run starts, just before its first job.

    Snakemake runs `onstart` of a workflow, and of none of its modules. It tells its log handlers
    then how many jobs there are, also where it is quiet.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._waiting = [call]

    def emit(self, record: logging.LogRecord) -> None:
        """Take what Snakemake tells."""
        if str(getattr(record, "event", "")) == "run_info" and self._waiting:
            self._waiting.pop()()


def errors_only() -> logging.Handler:
    """Return a handler that prints the errors that Snakemake logs, and nothing else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.ERROR)
    handler.addFilter(lambda record: getattr(record, "event", "") == "error")
    return handler


def planned(rule: str, wildcards: Mapping[str, Any]) -> Planned:
    """Return the job of a rule with these wildcards."""
    about = next(filter(None, map(wildcards.get, ("id", "archive", "batch"))), "")
    return Planned(rule, str(about))


def say(text: str) -> None:
    """Print on the standard error; whose reader may have gone, as of a closed terminal."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
