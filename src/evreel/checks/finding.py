"""What a check says: findings with a severity and a place, and the list of all checks."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Severity = Literal["error", "warning"]

Located = tuple[str, str]
"""Place in a file (empty for the whole of it), and problem."""

Placed = tuple[str, str, str]
"""File, place in it, and problem."""

T = TypeVar("T", bound=Callable[..., Any])

WIDTH = 100
"""Columns of text in which findings are shown."""


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of one kind in one file.

    Parameters
    ----------
    severity
        ``error``: whoever uses the file gets wrong results or none; ``warning``: it may be meant.
    check
        Short name of the check, a key of `CHECKS`.
    path
        The file, relative to what was checked.
    place
        Where in the file the first fault of this kind is: ``event 1203, t=4711 µs``; empty for
        the whole.
    problem
        What was found and how often, what was expected, what to do about it.

    Examples
    --------
    >>> print(Finding("error", "order", "a.h5", "event 7, t=3 µs", "1 event goes back in time"))
    error: order: a.h5: event 7, t=3 µs: 1 event goes back in time
    """

    severity: Severity
    check: str
    path: str
    place: str
    problem: str

    def __str__(self) -> str:
        parts = (self.severity, self.check, self.path, self.place, self.problem)
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True)
class Report:
    """What came of checking a file or a folder.

    Parameters
    ----------
    findings
        Errors first, then by check, file and place.
    looked_at, not_looked_at
        How many files were checked, and how many could not be told for what they are.
    """

    findings: tuple[Finding, ...]
    looked_at: int
    not_looked_at: int = 0

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def summary(self) -> str:
        """One line: how much was found in how many files."""
        text = (
            f"{counted(self.errors, 'error')}, "
            f"{counted(len(self.findings) - self.errors, 'warning')} "
            f"in {counted(self.looked_at, 'file')}"
        )
        if self.not_looked_at:
            text += f"; {counted(self.not_looked_at, 'file')} not looked at"
        return text

    def lines(self) -> Iterator[str]:
        """Yield the lines that show it to a person: a table of findings, and the summary."""
        rows = [(f.severity, f.check, f.path, f.place) for f in self.findings]
        if rows:
            head = ("severity", "check", "file", "place")
            widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
            indent = " " * (widths[0] + 2)
            for row, finding in zip([head, *rows], [None, *self.findings], strict=True):
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                yield "  ".join(cells).rstrip()
                if finding:
                    yield from textwrap.wrap(
                        finding.problem, WIDTH, initial_indent=indent, subsequent_indent=indent
                    )
            yield ""
        yield self.summary


@dataclass(frozen=True)
class Check:
    """A kind of fault that is looked for.

    Parameters
    ----------
    name, severity
        As its findings carry them.
    of
        What is looked at: ``events``, ``boxes``, ….
    finds
        What it finds, from the first line of its docstring.
    thresholds
        Parameter → (default, what it means and why it is so much), from its docstring.
    """

    name: str
    severity: Severity
    of: str
    finds: str
    thresholds: dict[str, tuple[str, str]] = field(default_factory=dict)


CHECKS = {
    "readable": Check(
        "readable",
        "error",
        "every file",
        "A file that can't be read: damaged, cut short, missing, or of another form.",
    )
}
"""Every check by its name, in the order in which they are defined."""


def register(name: str, severity: Severity, of: str) -> Callable[[T], T]:
    """Enter a function, or a class of accumulators, as a check.

    Its docstring's first line says what it finds (a function's: ``Find …``); parameters with a
    number as default are thresholds, with their reason in the docstring.
    """

    def enter(made: T) -> T:
        text = inspect.getdoc(made) or ""
        thresholds = {
            parameter.name: (f"{parameter.default:,}", _meaning(text, parameter.name))
            for parameter in inspect.signature(made).parameters.values()
            if isinstance(parameter.default, (int, float))
        }
        finds = " ".join(text.split("\n\n")[0].split()).removeprefix("Find ")
        finds = finds[:1].upper() + finds[1:]
        CHECKS[name] = Check(name, severity, of, finds, thresholds)
        return made

    return enter


def _meaning(docstring: str, parameter: str) -> str:
    """Return what a NumPy docstring says of a parameter."""
    found = re.search(rf"^{parameter}\n((?: {{4}}.*\n?)+)", docstring, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def findings(check: str, found: Iterable[Located | Placed], path: str = "") -> Iterator[Finding]:
    """Yield what a check found in the file `path`, or in those that it names itself."""
    for where in found:
        yield Finding(CHECKS[check].severity, check, *(path, *where)[-3:])


def unreadable(path: str, problem: str, place: str = "") -> Finding:
    """Return the finding of a file that can't be read."""
    return Finding("error", "readable", path, place, problem)


def counted(n: int, what: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "event"), counted(1200, "box")
    ('1 event', '1,200 boxes')
    """
    if n == 1:
        return f"1 {what}"
    if what.endswith("ry"):
        return f"{n:,} {what[:-1]}ies"
    return f"{n:,} {what}{'es' if what.endswith(('x', 's')) else 's'}"
