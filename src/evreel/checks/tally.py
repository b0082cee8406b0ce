"""What the checks of arrays share: counting faults, with the place of the first; distances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evreel.checks.finding import Located
from evreel.text import counted
from evreel.timebase import Int64Array

MaskArray = npt.NDArray[np.bool_]

Faults = tuple[MaskArray, Callable[[int], Located]]
"""Which rows are at fault, and a function that gives the place and the value of one."""

Read = Callable[[int, int], list[npt.NDArray[Any]] | None]
"""Function that returns rows ``[first, stop)`` of some columns, None if they cannot be read."""


class Accumulator(Protocol):
    """A check that sees all rows of some columns in order."""

    @property
    def add(self) -> Callable[..., None]:
        """Take the next piece: events, or the number of its first row and its columns."""
        ...

    def finish(self) -> Iterator[Located]:
        """Yield what was found. Call once, at the end."""
        ...


class Tally:
    """How many faults of a kind there are, and where the first is.

    Parameters
    ----------
    what
        What is at fault: ``event``.
    problem
        What is wrong, what is expected, what to do. ``{got}`` in it is the first fault's value;
        other names in braces are attributes.

    Examples
    --------
    >>> tally = Tally("event", "with a polarity of {got}; write 0 for OFF")
    >>> tally.count(np.array([False, True, True]), lambda k: (f"event {k}", "7"))
    >>> list(tally.finish())
    [('event 1', '2 events with a polarity of 7; write 0 for OFF')]
    """

    what = problem = ""

    def __init__(self, what: str = "", problem: str = "") -> None:
        self.n = 0
        self.place = self.got = ""
        self.what = what or self.what
        self.problem = problem or self.problem

    def count(self, bad: MaskArray, say: Callable[[int], Located]) -> None:
        """Add the faults of a mask; `say` gives place and value of the first."""
        n = int(np.count_nonzero(bad))
        if n and not self.n:
            self.place, self.got = say(int(np.argmax(bad)))
        self.n += n

    def finish(self) -> Iterator[Located]:
        """Yield what was found. Call once, at the end."""
        if self.n:
            yield self.place, f"{counted(self.n, self.what)} {self.problem.format(**vars(self))}"


class PieceTally(Tally, ABC):
    """A tally of rows that come piece by piece; a subclass says in `_faults` which are at fault."""

    @abstractmethod
    def _faults(self, *args: Any, **kwargs: Any) -> Faults:
        """Return the faults of a piece."""

    def add(self, *piece: Any) -> None:
        """Take the next piece: events, or the number of its first row and its columns."""
        self.count(*self._faults(*piece))


def located(
    bad: MaskArray, say: Callable[[int], Located], what: str, problem: str
) -> Iterator[Located]:
    """Yield the faults of one mask, in the words of `Tally`."""
    tally = Tally(what, problem)
    tally.count(bad, say)
    yield from tally.finish()


def distance(a: Int64Array, b: Int64Array | int) -> npt.NDArray[np.uint64]:
    """Return the distance of a and b, (n,) uint64, even if it exceeds int64.

    Examples
    --------
    >>> distance(np.array([3, 2**63 - 1]), np.array([5, -2]))
    array([                  2, 9223372036854775809], dtype=uint64)
    """
    low, high = (np.asarray(ends, np.int64) for ends in (np.minimum(a, b), np.maximum(a, b)))
    apart: npt.NDArray[np.uint64] = high.view(np.uint64) - low.view(np.uint64)
    return apart
