"""Damage, or a whole file in another coding: where the values are that cannot be read.

Damage is in one place; another coding is all over a file. A checksum decides it: values whose bytes
are those that were written are not damaged, however few there are. Without one, values are damaged
if they are within `DAMAGED_ROWS` rows and half of the file, or one in `RARE` at most. Where bytes
may be lost, and all that follows be shifted, values are also damaged if they begin only after
`SOUND_TIMES` as many rows as they are apart: another coding shows from the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

DAMAGED_ROWS = 4_096
"""Rows of one byte in a lost page of memory, or in eight lost sectors of a disk."""
RARE = 50
"""Flipped bits all over a short file are rarer; a third polarity, or class, seldom is."""
SOUND_TIMES = 20
"""By chance, so long a beginning without them comes once in e²⁰, 500 million, files."""

WHOLE = "Nothing is damaged, so there is nothing to salvage. "
"""Begins the hint of an error for another coding."""

_SAID = 4  # values that a message lists
_KEPT = 1 << 8  # values that are counted


class Survey:
    """Counts the values of a recording that cannot be read, as they come.

    Attributes
    ----------
    n, bad
        How many values there are, and how many cannot be read.
    """

    def __init__(self) -> None:
        self.n = self.bad = 0
        self._first = self._last = 0
        self._values: dict[Any, int] = {}

    def add(self, bad: npt.NDArray[np.bool_], values: npt.NDArray[Any]) -> None:
        """Take the next values, (n,), and which of them cannot be read."""
        rows = np.flatnonzero(bad)
        if rows.size:
            if not self.bad:
                self._first = self.n + int(rows[0])
            self._last = self.n + int(rows[-1])
            self.bad += rows.size
            for value, count in zip(*np.unique(values[rows], return_counts=True), strict=True):
                if value in self._values or len(self._values) < _KEPT:
                    self._values[value] = self._values.get(value, 0) + int(count)
        self.n += len(bad)

    def is_damage(self, *, may_shift: bool = False) -> bool:
        """Return whether values that no checksum vouches for are damaged.

        Parameters
        ----------
        may_shift
            Whether bytes may be lost, and all that follows be shifted.
        """
        span = self._last - self._first + 1
        if span <= DAMAGED_ROWS and (2 * span <= self.n or RARE * self.bad <= self.n):
            return True
        apart = (self.n - self._first) / max(self.bad, 1)
        return may_shift and self._first > SOUND_TIMES * apart

    def said(self, what: str) -> str:
        """Return how many there are, and which, in words.

        Examples
        --------
        >>> survey, p = Survey(), np.array([0, 2, 2, 3])
        >>> survey.add(p > 1, p)
        >>> survey.said("events")
        'of 4 events, 2 have 2, 1 has 3'
        """
        most = sorted(self._values.items(), key=lambda item: -item[1])
        listed = [f"{n:,} {'has' if n == 1 else 'have'} {value}" for value, n in most[:_SAID]]
        if len(most) > _SAID:
            listed.append(f"{self.bad:,} cannot be read in all")
        return f"of {self.n:,} {what}, {', '.join(listed)}"
