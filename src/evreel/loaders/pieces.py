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

import numpy as np
import numpy.typing as npt

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


def labelled_ranges(is_labelled: npt.NDArray[np.bool_], num_tbins: int) -> Int64Array:
    """Return (m, 2) ranges of frames in which none is farther than T from a labelled one.

    They are RVT's for training: a range is split where more than T frames lie between two labelled
    ones, and begins up to T − 1 frames before its first labelled one, and ends with its last.

    Examples
    --------
    >>> is_labelled = np.isin(np.arange(12), [3, 5, 9, 10])
    >>> labelled_ranges(is_labelled, 3).tolist()
    [[1, 6], [7, 11]]
    """
    at = np.flatnonzero(is_labelled)
    if not len(at):
        return np.zeros((0, 2), dtype=np.int64)
    last = np.flatnonzero(np.diff(at) > num_tbins)
    first = np.append(0, last + 1)
    starts = np.maximum(at[first] - num_tbins + 1, 0)
    return np.stack([starts, at[np.append(last, len(at) - 1)] + 1], axis=1).astype(np.int64)


def drawn_order(n: int, what: str) -> Int64Array:
    """Return 0 … n − 1 in an order that a text draws, the same on every machine.

    Examples
    --------
    >>> sorted(drawn_order(4, "seed 1").tolist())
    [0, 1, 2, 3]
    """
    digest = hashlib.sha256(what.encode("utf-8", "surrogatepass")).digest()
    numbers = np.random.PCG64(int.from_bytes(digest[:16], "big")).random_raw(n)
    return np.argsort(numbers, kind="stable").astype(np.int64)
