"""Which vertex of an outline becomes which vertex of the next one, by CVAT's rules.

Each vertex is where it is along its outline: the share of the outline's length from the first
vertex to it. A vertex of the left outline belongs to the vertex of the right one that is nearest
by that share. A vertex of the right outline that none belongs to then goes to the nearest of the
left. The vertices of each pair move on a straight line.

Where several vertices meet in one, those between would come to lie closer and closer. So CVAT
leaves some of them out: see `moved`. All arithmetic is of sums, products and square roots, so that
it is the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Pairs(NamedTuple):
    """Vertices that become each other.

    Parameters
    ----------
    left, right : (n,) rows of the two outlines, in the order of the left one.
    """

    left: list[int]
    right: list[int]


def matched(left: FloatArray, right: FloatArray, *, closed: bool) -> tuple[FloatArray, FloatArray]:
    """Return the vertices of two outlines that become each other, pair by pair.

    Parameters
    ----------
    left, right
        (n, 2) and (m, 2), vertices in order, 1 or more.
    closed
        Whether the outlines return to their first vertices.

    Returns
    -------
    (k, 2) and (k, 2), with k at least the larger of n and m.

    Examples
    --------
    >>> left, right = np.array([[0.0, 0], [4, 0]]), np.array([[0.0, 2], [2, 3], [4, 2]])
    >>> [points.tolist() for points in matched(left, right, closed=False)]
    [[[0.0, 0.0], [0.0, 0.0], [4.0, 0.0]], [[0.0, 2.0], [2.0, 3.0], [4.0, 2.0]]]
    """
    pairs = pair(_whole(left, closed), _whole(right, closed))
    n = len(pairs.left) - closed
    rows = np.array(pairs.left[:n]) % len(left), np.array(pairs.right[:n]) % len(right)
    return left[rows[0]], right[rows[1]]


def moved(left: FloatArray, right: FloatArray, share: float, *, closed: bool) -> FloatArray:
    """Return what an outline is after a share of the way to the next one.

    It has the vertices of `matched` at that moment, without those that CVAT leaves out: in a run
    of pairs that have one vertex in common, those that are closer to the last vertex kept than
    L/(2N), where L is the length of the N drawn vertices of the run. The ends of a run stay, but
    if they are all that is left, and as close as that, their mean takes their place.

    Parameters
    ----------
    left, right, closed
        As `matched` takes them.
    share
        How much of the way is done, 0 to 1.
    """
    whole_left, whole_right = _whole(left, closed), _whole(right, closed)
    pairs = pair(whole_left, whole_right)
    start, stop = whole_left[pairs.left], whole_right[pairs.right]
    points = (start + share * (stop - start)).tolist()
    kept: list[list[float]] = []
    for first, last, drawn in _runs(pairs, whole_left, whole_right):
        kept += _thinned(points[first : last + 1], _length(drawn) / (2 * len(drawn)))
    kept = kept[: len(kept) - closed]
    least = 3 if closed else 2
    if len(kept) < least <= len(points) - closed:
        kept = points[: len(points) - closed]
    return np.array(kept)


def pair(left: FloatArray, right: FloatArray) -> Pairs:
    """Return which vertices of two open lines become each other."""
    at_left, at_right = _shares(left), _shares(right)
    partners = [[k] for k in np.abs(at_left[:, None] - at_right).argmin(axis=1).tolist()]
    taken = {k for of_one in partners for k in of_one}
    for k in range(len(right)):
        if k not in taken:
            partners[int(np.abs(at_left - at_right[k]).argmin())].append(k)
    return Pairs(
        [row for row, of_one in enumerate(partners) for _ in of_one],
        [k for of_one in partners for k in sorted(of_one)],
    )


def _runs(
    pairs: Pairs, left: FloatArray, right: FloatArray
) -> Iterator[tuple[int, int, FloatArray]]:
    """Yield runs of pairs with one vertex in common: first and last pair, vertices on the way."""
    first, n = 0, len(pairs.left)
    while first < n:
        last = first
        if first + 1 < n and pairs.left[first + 1] == pairs.left[first]:
            while last + 1 < n and pairs.left[last + 1] == pairs.left[first]:
                last += 1
            yield first, last, right[pairs.right[first] : pairs.right[last] + 1]
        else:
            while last + 1 < n and pairs.right[last + 1] == pairs.right[first]:
                if last + 2 < n and pairs.left[last + 2] == pairs.left[last + 1]:
                    break  # the next one has several partners: a run of its own
                last += 1
            yield first, last, left[pairs.left[first] : pairs.left[last] + 1]
        first = last + 1


def _thinned(points: list[list[float]], apart: float) -> list[list[float]]:
    """Return the points of a run, without those that are closer to the one before than `apart`."""
    if len(points) == 1:
        return points
    kept = points[:1]
    kept += (point for point in points[1:-1] if not _is_near(kept[-1], point, apart))
    kept.append(points[-1])
    if len(kept) == 2 and _is_near(kept[0], kept[1], apart):
        return [[(a + b) / 2 for a, b in zip(*kept, strict=True)]]
    return kept


def _is_near(one: list[float], other: list[float], apart: float) -> bool:
    return math.sqrt((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) < apart


def _whole(outline: FloatArray, closed: bool) -> FloatArray:
    return np.concatenate([outline, outline[:1]]) if closed else outline


def _steps(line: FloatArray) -> FloatArray:
    lengths: FloatArray = np.sqrt(((line[1:] - line[:-1]) ** 2).sum(axis=1))
    return lengths


def _length(line: FloatArray) -> float:
    return math.fsum(_steps(line).tolist())


def _shares(line: FloatArray) -> FloatArray:
    """Return where each vertex is along a line, 0 to 1; 0 for all if it has no length."""
    along: FloatArray = np.concatenate([[0.0], np.cumsum(_steps(line))])
    return along / along[-1] if along[-1] > 0 else along
