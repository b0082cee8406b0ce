"""The loaders as PyTorch has them: tensors, and worker processes."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evreel.errors import UsageError

if TYPE_CHECKING:
    from evreel.loaders.torch.collate import (
        RandomTemporalDelete,
        pad_sequence_collate,
        padded_sequence_mask,
        play_frame,
        split_to_train_test_set,
        stack_collate,
    )
    from evreel.loaders.torch.mixed import MixedLoader
    from evreel.loaders.torch.sequential import SequentialLoader
    from evreel.loaders.torch.streaming import StreamLoader

__all__ = [
    "MixedLoader",
    "RandomTemporalDelete",
    "SequentialLoader",
    "StreamLoader",
    "pad_sequence_collate",
    "padded_sequence_mask",
    "play_frame",
    "split_to_train_test_set",
    "stack_collate",
]

_LAZY = {
    "MixedLoader": "evreel.loaders.torch.mixed",
    "RandomTemporalDelete": "evreel.loaders.torch.collate",
    "SequentialLoader": "evreel.loaders.torch.sequential",
    "StreamLoader": "evreel.loaders.torch.streaming",
    "pad_sequence_collate": "evreel.loaders.torch.collate",
    "padded_sequence_mask": "evreel.loaders.torch.collate",
    "play_frame": "evreel.loaders.torch.collate",
    "split_to_train_test_set": "evreel.loaders.torch.collate",
    "stack_collate": "evreel.loaders.torch.collate",
}
"""Name → the module that it is imported from when it is first used."""


class MissingTorchError(UsageError, ImportError):  # type: ignore[misc]  # path: of either
    """PyTorch is not installed."""


def with_torch(module: str) -> ModuleType:
    """Import a module that needs PyTorch; raise `MissingTorchError` without that."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingTorchError(
            f"{__name__} needs PyTorch, which cannot be imported: {error}",
            hint="Run: pip install torch. The loaders of evreel.loaders need only NumPy.",
        ) from error
    return importlib.import_module(module)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(with_torch(_LAZY[name]), name)
