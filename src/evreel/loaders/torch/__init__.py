"""The loaders as PyTorch has them: tensors, and worker processes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "evreel.loaders.torch needs PyTorch, which is not installed: pip install 'evreel[torch]'. "
        "The loaders of evreel.loaders need only NumPy."
    ) from error

if TYPE_CHECKING:
    from evreel.loaders.torch.sequential import SequentialLoader
    from evreel.loaders.torch.streaming import StreamLoader

__all__ = ["SequentialLoader", "StreamLoader"]

_LAZY = {
    "SequentialLoader": "evreel.loaders.torch.sequential",
    "StreamLoader": "evreel.loaders.torch.streaming",
}
"""Name → the module that it is imported from when it is first used."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
