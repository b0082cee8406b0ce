"""The loaders as PyTorch has them: tensors, and worker processes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evreel.errors import UsageError

if TYPE_CHECKING:
    from evreel.loaders.torch.sequential import SequentialLoader
    from evreel.loaders.torch.streaming import StreamLoader

__all__ = ["SequentialLoader", "StreamLoader"]

_LAZY = {
    "SequentialLoader": "evreel.loaders.torch.sequential",
    "StreamLoader": "evreel.loaders.torch.streaming",
}
"""Name → the module that it is imported from when it is first used."""


class MissingTorchError(UsageError, ImportError):  # type: ignore[misc]  # path: of either
    """PyTorch is not installed."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingTorchError(
            f"{__name__} needs PyTorch, which cannot be imported: {error}",
            hint="Run: pip install 'evreel[torch]'. The loaders of evreel.loaders need only NumPy.",
        ) from error
    return getattr(importlib.import_module(_LAZY[name]), name)
