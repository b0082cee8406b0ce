"""Checks of arguments that several loaders take."""

from __future__ import annotations

from typing import get_args

import numpy as np

from evreel.errors import UsageError, did_you_mean
from evreel.loaders.damage import OnDamage
from evreel.timebase import FARTHEST


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
