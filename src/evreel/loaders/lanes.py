"""Which frames of which recording are in which lane of which batch: whole numbers only.

A batch has N lanes of T frames. Lane i reads recordings i, i + N, i + 2N, … one after the other,
each from its start, T frames at a time; so what is delivered depends on nothing but the order of
the recordings, N and T. A piece never holds frames of two recordings, nor of two samples of one.
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evreel.timebase import Int64Array


class Piece(NamedTuple):
    """Frames ``[start, stop)`` of a recording, at most T, that a lane has in one batch.

    `is_first` tells that they do not follow the frames of the lane's last batch, so that a network
    forgets what it remembers.
    """

    start: int
    stop: int
    is_first: bool


def pieces(segments: Int64Array, num_tbins: int, *, drop: bool = False) -> Iterator[Piece]:
    """Yield the pieces of a recording in order.

    Parameters
    ----------
    segments
        (n, 2) ranges of frames that follow each other in time.
    num_tbins
        T, frames of a piece.
    drop
        Whether the incomplete last piece of a range is left out.

    Examples
    --------
    >>> import numpy as np
    >>> [tuple(piece) for piece in pieces(np.array([[0, 5], [5, 6]]), 3)]
    [(0, 3, True), (3, 5, False), (5, 6, True)]
    >>> [tuple(piece) for piece in pieces(np.array([[0, 5], [5, 6]]), 3, drop=True)]
    [(0, 3, True)]
    """
    for first, last in segments.tolist():
        for start in range(first, last, num_tbins):
            stop = min(start + num_tbins, last)
            if not (drop and stop - start < num_tbins):
                yield Piece(start, stop, start == first)


def n_pieces(segments: Int64Array, num_tbins: int, *, drop: bool = False) -> int:
    """Return how many pieces `pieces` yields."""
    n = segments[:, 1] - segments[:, 0]
    return int((n // num_tbins if drop else -(-n // num_tbins)).sum())


def order_of(names: Sequence[str], *, shuffle: bool, seed: int, epoch: int) -> list[int]:
    """Return in which order recordings are read in an epoch.

    A shuffled order is that of the digests of seed, epoch and name: the same on every machine, and
    in whatever order the recordings were listed.

    Examples
    --------
    >>> order_of(["a", "b", "c"], shuffle=False, seed=0, epoch=1)
    [0, 1, 2]
    >>> sorted(order_of(["a", "b", "c"], shuffle=True, seed=0, epoch=1))
    [0, 1, 2]
    """
    return list(_drawn(tuple(names), seed, epoch)) if shuffle else list(range(len(names)))


@functools.lru_cache(maxsize=4)
def _drawn(names: tuple[str, ...], seed: int, epoch: int) -> tuple[int, ...]:
    """Return a shuffled order, which every lane asks for."""
    seen: Counter[str] = Counter()

    def drawn(place: int) -> bytes:
        name = names[place]
        text = f"{seed} {epoch} {name}" + f" {seen[name]}" * (seen[name] > 0)
        seen[name] += 1  # the same name again has a place of its own
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    return tuple(sorted(range(len(names)), key=drawn))
