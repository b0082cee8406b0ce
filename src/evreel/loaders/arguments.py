"""Checks of arguments that several loaders take."""

from __future__ import annotations

import operator
from typing import Any, get_args

import numpy as np

from evreel.errors import UsageError, did_you_mean
from evreel.loaders.damage import OnDamage
from evreel.settings import shown
from evreel.timebase import FARTHEST


class NoSuchExampleError(UsageError, IndexError):
    """An example that a data set does not have.

    It is also an `IndexError`, as of any other sequence.
    """


class IndexTypeError(UsageError, TypeError):
    """An index that is not a whole number; also a `TypeError`, as of any other sequence."""


def checked_index(index: Any, n: int, what: str = "example", *, from_end: bool = False) -> int:
    """Return the number of an example, from 0 to n − 1.

    Parameters
    ----------
    index
        As the caller gives it.
    n
        How many examples there are.
    what
        What one is called.
    from_end
        Whether negative numbers count from the end.

    Raises
    ------
    NoSuchExampleError
        If there is no such example.
    IndexTypeError
        If it is not a whole number.

    Examples
    --------
    >>> checked_index(2, 3), checked_index(-1, 3, from_end=True)
    (2, 2)
    """
    if isinstance(index, (bool, np.bool_)) or not hasattr(index, "__index__"):
        raise IndexTypeError(f"index {shown(index)} is not a whole number")
    given = operator.index(index)
    k = given + n if from_end and given < 0 else given
    if not 0 <= k < n:
        allowed = f"there are 0 to {n - 1}" if n else "there are none"
        raise NoSuchExampleError(f"there is no {what} {given}; {allowed}")
    return k


def check_on_damage(on_damage: object) -> None:
    """Raise `UsageError` if `on_damage` is not one of those that there are."""
    one_of("on_damage", on_damage, get_args(OnDamage))


def one_of(name: str, value: object, known: tuple[str | None, ...]) -> None:
    """Raise `UsageError` if a value is not one of those that are known.

    Examples
    --------
    >>> one_of("dtype", "stord", ("float32", "stored"))
    Traceback (most recent call last):
        ...
    evreel.errors.UsageError: dtype='stord' is not one of float32, stored; did you mean 'stored'?
    """
    if value not in known:
        names = [text for text in known if text is not None]
        guess = did_you_mean(value, names)
        raise UsageError(
            f"{name}={value!r} is not one of {', '.join(names)}" + (f"; {guess}" if guess else "")
        )


def whole(name: str, value: object) -> int:
    """Return a whole number, or raise `UsageError` if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise UsageError(f"{name}={value!r} is not a whole number")
    return int(value)


def at_least(name: str, value: object, least: int) -> int:
    """Return a whole number; raise `UsageError` if it is none, too small, or beyond all times.

    Examples
    --------
    >>> at_least("batch_size", np.int64(8), 1)
    8
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name}={value!r} is not a whole number of {least} or more")
    if value > FARTHEST:
        raise UsageError(f"{name}={value} is more than {FARTHEST}")
    return int(value)
