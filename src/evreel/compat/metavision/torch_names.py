"""Names that need PyTorch, which is imported when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evreel.loaders.torch import with_torch


def names_of_torch(module: str, *names: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that has some names of Metavision's loaders.

    Parameters
    ----------
    module
        Its name, for the error of a name that it does not have.
    names
        Of `evreel.loaders.torch.metavision`.
    """

    def found(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(with_torch("evreel.loaders.torch.metavision"), name)

    return found
