"""What is open until it is closed."""

from __future__ import annotations

from typing import Self


class Closing:
    """A base for what is closed at the end of its ``with`` block; a subclass defines `close`.

    Examples
    --------
    >>> class Door(Closing):
    ...     def close(self):
    ...         print("closed")
    >>> with Door():
    ...     pass
    closed
    """

    def close(self) -> None:
        """Release what it holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
