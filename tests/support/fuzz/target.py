"""What else is damaged and read, by rules of its own; recordings are in `damage`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np


class BrokenRuleError(Exception):
    """Something did what it must not."""


def hold(rule: bool, said: str) -> None:
    if not rule:
        raise BrokenRuleError(said)


class Target(Protocol):
    """Something whole, how it is damaged, and the rules by which it is then used.

    A module of targets gives a list of them by `targets()`, as one of recordings gives its
    `originals()`.
    """

    name: str

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        """Return it, damaged."""

    def outcome(self, content: bytes, folder: Path) -> str:
        """Use damaged content, and return in one word how that ends.

        Raises
        ------
        BrokenRuleError
            If a rule is broken; any error that is not one of evreel's breaks one too.
        """
