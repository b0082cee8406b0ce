"""What a check says: findings with a severity and a place, and their report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from tokenize import TokenError
from typing import Literal

from evreel.errors import EvreelError
from evreel.text import counted

Severity = Literal["error", "warning"]

Located = tuple[str, str]
"""Place in a file (empty for the whole of it), and problem."""

Placed = tuple[str, str, str]
"""File, place in it, and problem."""

WIDTH = 100
"""Columns of text in which findings are shown."""

DAMAGE = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError, OverflowError),
    *(SyntaxError, TokenError),  # numpy reads the head of an .npy file as Python
)
"""What libraries raise on damaged bytes."""


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of one kind in one file.

    Parameters
    ----------
    severity
        ``error``: users of the file get wrong results or none; ``warning``: it may be intended.
    check
        Short name of the check, a key of `evreel.checks.CHECKS`.
    path
        The file, relative to what was checked.
    place
        Where in the file the first fault of this kind is: ``event 1203, t=4711 µs``; empty for
        the whole.
    problem
        What was found and how often, what was expected, what to do.
    copies
        Other files with the same bytes, in which the same was found.

    Examples
    --------
    >>> print(Finding("error", "order", "a.h5", "event 7, t=3 µs", "1 event goes back in time"))
    error: order: a.h5: event 7, t=3 µs: 1 event goes back in time
    >>> print(Finding("error", "empty", "a.npy", "", "has no boxes", ("b.npy", "c.npy")))
    error: empty: a.npy: has no boxes (also in 2 copies of it: b.npy, c.npy)
    """

    severity: Severity
    check: str
    path: str
    place: str
    problem: str
    copies: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = (self.severity, self.check, self.path, self.place, self.told)
        return ": ".join(part for part in parts if part)

    @property
    def told(self) -> str:
        """The problem, and where else it is."""
        if not self.copies:
            return self.problem
        n = len(self.copies)
        of_it = "a copy" if n == 1 else f"{n:,} copies"
        return f"{self.problem} (also in {of_it} of it: {', '.join(self.copies)})"


@dataclass(frozen=True)
class Report:
    """The result of checking a file or a folder.

    Parameters
    ----------
    findings
        Errors first, then by check, file and place.
    looked_at, not_looked_at
        How many files were checked, and how many were not recognized.
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
                        finding.told, WIDTH, initial_indent=indent, subsequent_indent=indent
                    )
            yield ""
        yield self.summary


def problem_of(error: BaseException) -> tuple[str, str]:
    """Return problem and place of an exception, as a finding shows them."""
    if isinstance(error, EvreelError):
        hint = f"; {error.hint[0].lower()}{error.hint[1:].rstrip('.')}" if error.hint else ""
        return f"{error.problem}{hint}", error.place or ""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be read: {said}", ""


def first_of(n: int, what: str) -> str:
    """Return what follows one of several faults: of how many it is the first.

    Examples
    --------
    >>> first_of(1, "such pairs"), first_of(1200, "such pairs")
    ('', ', the first of 1,200 such pairs')
    """
    return f", the first of {n:,} {what}" if n > 1 else ""
