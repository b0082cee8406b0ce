"""Shares of a recording: what one of several jobs takes of it."""

from __future__ import annotations

from typing import NamedTuple

from evreel.errors import UsageError


class Share(NamedTuple):
    """One of several parts that are about equally large.

    Parameters
    ----------
    number : which one, from 1 on.
    of : how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Return the share that a text such as ``2/4`` names.

        Raises
        ------
        UsageError
            If it names none.
        """
        number, _, of = text.partition("/")
        if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise UsageError(
            f"{text!r} is not a part of several", hint="Say 2/4 for the second of four."
        )

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def rows(self, n: int, step: int = 1) -> slice:
        """Return which of n rows are in this share, cut at multiples of `step`.

        Examples
        --------
        >>> [Share(k, 3).rows(10) for k in (1, 2, 3)]
        [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
        >>> [Share(k, 2).rows(10, step=4) for k in (1, 2)]
        [slice(0, 4, None), slice(4, 10, None)]
        """
        steps = -(-n // step)
        low, high = (steps * k // self.of * step for k in (self.number - 1, self.number))
        return slice(min(low, n), min(high, n))
