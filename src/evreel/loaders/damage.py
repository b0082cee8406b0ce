"""What is done about damaged and missing files: they are errors, or are left out and counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from evreel.errors import EvreelError, UsageError
from evreel.steps.common import os_error

OnDamage = Literal["fail", "skip"]
"""``fail``: a damaged or missing file is an error; ``skip``: it is left out and counted."""


def is_left_out(error: EvreelError, on_damage: OnDamage) -> bool:
    """Tell whether an error is left out and counted, because it is of files and not of the call.

    Examples
    --------
    >>> is_left_out(EvreelError("is cut short"), "skip"), is_left_out(UsageError("no T"), "skip")
    (True, False)
    """
    return on_damage == "skip" and not isinstance(error, UsageError)


@contextlib.contextmanager
def told_by_the_system() -> Iterator[None]:
    """Turn what the system refuses into an error of evreel's."""
    try:
        yield
    except OSError as error:
        raise EvreelError(os_error(error)) from error
