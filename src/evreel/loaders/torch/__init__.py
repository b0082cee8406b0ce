"""Loaders with tensors in place of arrays. Nothing else of evreel imports PyTorch."""

from evreel.errors import UsageError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise UsageError(
        "evreel.loaders.torch needs PyTorch, which is not installed",
        hint='Install it: pip install "evreel[torch]".',
    ) from error

from evreel.loaders.torch.collate import (
    RandomTemporalDelete,
    pad_sequence_collate,
    padded_sequence_mask,
    play_frame,
    split_to_train_test_set,
)

__all__ = [
    "RandomTemporalDelete",
    "pad_sequence_collate",
    "padded_sequence_mask",
    "play_frame",
    "split_to_train_test_set",
]
