"""The list of all checks: name, what each looks at and finds, thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args

from evreel.checks.finding import DAMAGE, Finding, Located, Placed, Severity, problem_of
from evreel.checks.tally import Accumulator
from evreel.errors import EvreelError

LookedAt = Literal[
    "every file",
    "events",
    "events store",
    "events with labels",
    "slices",
    "tracks",
    "samples",
    "features",
    "boxes",
    "boxes, slices",
    "data set",
    "release",
]
"""What checks look at, in the order of the list. Checks that look at one thing share a file."""

T = TypeVar("T", bound=Callable[..., Any])
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Threshold(Generic[Number]):
    """A number that separates sound from faulty.

    Parameters
    ----------
    name, value
        Its name, with the unit, and its value.
    reason
        Why it has this value.
    """

    name: str
    value: Number
    reason: str


@dataclass(frozen=True)
class Check:
    """A kind of fault that is looked for.

    Parameters
    ----------
    name, severity
        As in its findings.
    of
        What is looked at.
    finds
        What it finds, in one sentence.
    thresholds
        Its limits: the only place of these numbers.
    """

    name: str
    severity: Severity
    of: LookedAt
    finds: str
    thresholds: tuple[Threshold[Any], ...] = ()

    def findings(self, found: Iterable[Located | Placed], path: str = "") -> Iterator[Finding]:
        """Yield findings in the file `path`, or in the files that they name."""
        for where in found:
            yield Finding(self.severity, self.name, *(path, *where)[-3:])


_CHECKS: dict[object, Check] = {}


class Register(Protocol):
    """Register a function, or a class of accumulators, as a check."""

    def __call__(self, name: str, finds: str, *thresholds: Threshold[Any]) -> Callable[[T], T]:
        """Return the decorator; the arguments are those of a `Check`."""
        ...


def checks_of(of: LookedAt) -> tuple[Register, Register]:
    """Return decorators that register checks of one thing: for errors and for warnings."""
    return partial(_register, "error", of), partial(_register, "warning", of)


def _register(
    severity: Severity, of: LookedAt, name: str, finds: str, *thresholds: Threshold[Any]
) -> Callable[[T], T]:
    def enter(check: T) -> T:
        if name in registered():
            raise ValueError(f"two checks are called {name!r}")
        _CHECKS[check] = Check(name, severity, of, finds, thresholds)
        return check

    return enter


def registered() -> dict[str, Check]:
    """Return every check by its name: by what it looks at, then in the order of definition."""
    order = get_args(LookedAt)
    checks = sorted(_CHECKS.values(), key=lambda check: order.index(check.of))
    return {check.name: check for check in checks}


def check_of(function: Callable[..., Any]) -> Check:
    """Return the check that a function, or a class of accumulators, is registered as."""
    return _CHECKS[function]


def findings(
    check: Callable[..., Iterable[Located | Placed]], *looked_at: Any, path: str = ""
) -> Iterator[Finding]:
    """Yield what a function finds in its arguments: in file `path`, or in the files it names."""
    yield from check_of(check).findings(check(*looked_at), path)


def finished(check: Accumulator, path: str) -> Iterator[Finding]:
    """Yield what an accumulator has found in a file."""
    yield from check_of(type(check)).findings(check.finish(), path)


@_register(
    "error",
    "every file",
    "readable",
    "A file that cannot be read: damaged, cut short, missing, or of another form.",
)
def unreadable(path: str, problem: str, place: str = "") -> Finding:
    """Return the finding of a file that cannot be read."""
    check = check_of(unreadable)
    return Finding(check.severity, check.name, path, place, problem)


def as_findings(path: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; an exception raised meanwhile becomes a finding too."""
    try:
        yield from check()
    except (EvreelError, *DAMAGE) as error:
        yield unreadable(path, *problem_of(error))
