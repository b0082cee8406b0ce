"""`evreel.loaders.collate`, as tensors."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Subset

from evreel.loaders import collate


def pad_sequence_collate(
    batch: Sequence[tuple[Any, Any]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return items of different lengths as one batch; `evreel.loaders.collate` says more.

    Parameters
    ----------
    batch
        N items (x, y): x (T, …), an array or a tensor; y a label. Tensors alone are batched where
        they are, with their gradients; an array beside them has to be on the CPU, as they do.

    Returns
    -------
    x (N, longest T, …), labels (N, …) and lengths (N,) int64.
    """
    given = [x for x, _ in batch]
    padded: torch.Tensor
    if given and all(isinstance(x, torch.Tensor) and x.ndim for x in given):
        collate.check_alike([tuple(x.shape[1:]) for x in given])
        dtype = functools.reduce(torch.promote_types, (x.dtype for x in given))
        padded = pad_sequence([x.to(dtype) for x in given], batch_first=True)
        lengths = torch.tensor([len(x) for x in given])
    else:
        arrays, _, of = collate.pad_sequence_collate(batch)
        padded, lengths = torch.from_numpy(arrays), torch.from_numpy(of)
    labels = [y for _, y in batch]
    are_arrays = isinstance(labels[0], (np.ndarray, torch.Tensor))
    # PyTorch's own rule for Python's numbers: whole ones int64, others float32.
    y = torch.as_tensor(np.asarray(labels)) if are_arrays else torch.as_tensor(labels)
    return padded, y, lengths


def stack_collate(batch: Sequence[Any]) -> Any:
    """Return items as one batch of tensors; `evreel.loaders.collate` says more.

    Arrays of numbers that are not stacked, because their shapes differ, are tensors, too.
    """
    return collate.together(batch, _stacked, _as_tensor)


def _stacked(values: list[Any]) -> torch.Tensor | None:
    if not all(isinstance(value, torch.Tensor) for value in values):
        arrays = collate.stacked(values)
        return None if arrays is None else torch.from_numpy(arrays)
    is_alike = all(value.shape == values[0].shape for value in values)
    return torch.stack(values) if is_alike else None


def _as_tensor(value: Any) -> Any:
    is_array = isinstance(value, np.ndarray) and value.dtype.kind in "biufc"
    return torch.from_numpy(value.copy()) if is_array else value


def padded_sequence_mask(sequence_len: torch.Tensor, T: int | None = None) -> torch.Tensor:  # noqa: N803
    """Return which frames of a padded batch are real, (T, N) bool, on the device of the lengths."""
    given = torch.as_tensor(sequence_len)
    mask = collate.padded_sequence_mask(given.cpu().numpy(), T)
    return torch.from_numpy(mask).to(given.device)


def split_to_train_test_set(
    train_ratio: float,
    origin_dataset: Any,
    num_classes: int,
    random_split: bool = False,
    *,
    seed: int = 0,
) -> tuple[Subset[Any], Subset[Any]]:
    """Return two parts of a data set as PyTorch's; `evreel.loaders.collate` says more."""
    targets = collate.targets_of(origin_dataset)
    train, test = collate.split_indices(train_ratio, targets, num_classes, random_split, seed)
    return Subset(origin_dataset, train), Subset(origin_dataset, test)


class RandomTemporalDelete(torch.nn.Module):  # type: ignore[misc]
    """`evreel.loaders.collate.RandomTemporalDelete` as a module.

    Parameters
    ----------
    T_remain, batch_first, seed
        As there.
    """

    def __init__(self, T_remain: int, batch_first: bool, seed: int = 0) -> None:  # noqa: N803
        super().__init__()
        self._delete = collate.RandomTemporalDelete(T_remain, batch_first, seed)
        self.T_remain, self.batch_first = self._delete.T_remain, batch_first

    def forward(self, x_seq: torch.Tensor) -> torch.Tensor:
        """Return what is kept of a sequence."""
        kept: torch.Tensor = self._delete(x_seq)
        return kept


def play_frame(x: Any, save_gif_to: str | os.PathLike[str] | None = None) -> Any:
    """Show frames (T, 2, H, W), also those on a GPU, or save them as a GIF."""
    frames = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x
    return collate.play_frame(frames, save_gif_to)
