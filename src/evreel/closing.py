"""Objects that stay open until they are closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from evreel.errors import UsageError


class Closing(ABC):
    """Base of objects that close at the end of their ``with`` block; a subclass defines `close`.

    Examples
    --------
    >>> class Door(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Door():
    ...     pass
    closed
    """

    @abstractmethod
    def close(self) -> None:
        """Release the open resources."""

    @property
    def is_open(self) -> bool:
        """Whether it can be used, because it is not closed yet."""
        return True

    def check_open(self) -> None:
        """Raise `UsageError` if it is closed."""
        if not self.is_open:
            path = getattr(self, "path", None)
            raise UsageError("is closed", path=path, hint="Open it again to read it.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
