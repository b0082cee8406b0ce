"""What feeds a network, from a release or from plain files; NumPy only.

- `SequentialLoader`, `StreamLoader`: batches of sequences in the order of time, from features files
  or computed live, and straight from recordings; `MixedLoader`: streams and random sequences in
  one batch; `Augment`: flips, zooms and shifts of them;
- `FramesDataset`, `SlicesDataset`, `WindowsDataset`: samples, annotated slices and frames by
  number, as `torch.utils.data.DataLoader` takes them;
- `View`: examples put together by arrays of indices, such as `sequences` of one recording;
- `stack_collate`, `pad_sequence_collate`, `padded_sequence_mask`, `split_to_train_test_set`,
  `RandomTemporalDelete`, `play_frame`: what is done to them.

`evreel.loaders.torch` has the loaders and functions with tensors. Nothing is imported before it is
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evreel.loaders.augment import Augment
    from evreel.loaders.collate import (
        RandomTemporalDelete,
        pad_sequence_collate,
        padded_sequence_mask,
        play_frame,
        split_to_train_test_set,
        stack_collate,
    )
    from evreel.loaders.frames import FramesDataset
    from evreel.loaders.mixed import MixedLoader
    from evreel.loaders.sequential import SequentialLoader
    from evreel.loaders.slices import SlicesDataset
    from evreel.loaders.streaming import StreamLoader
    from evreel.loaders.views import View, sequences
    from evreel.loaders.windows import WindowsDataset

__all__ = [
    "Augment",
    "FramesDataset",
    "MixedLoader",
    "RandomTemporalDelete",
    "SequentialLoader",
    "SlicesDataset",
    "StreamLoader",
    "View",
    "WindowsDataset",
    "pad_sequence_collate",
    "padded_sequence_mask",
    "play_frame",
    "sequences",
    "split_to_train_test_set",
    "stack_collate",
]

_LAZY = {
    "Augment": "evreel.loaders.augment",
    "FramesDataset": "evreel.loaders.frames",
    "MixedLoader": "evreel.loaders.mixed",
    "RandomTemporalDelete": "evreel.loaders.collate",
    "SequentialLoader": "evreel.loaders.sequential",
    "SlicesDataset": "evreel.loaders.slices",
    "StreamLoader": "evreel.loaders.streaming",
    "View": "evreel.loaders.views",
    "WindowsDataset": "evreel.loaders.windows",
    "pad_sequence_collate": "evreel.loaders.collate",
    "padded_sequence_mask": "evreel.loaders.collate",
    "play_frame": "evreel.loaders.collate",
    "sequences": "evreel.loaders.views",
    "split_to_train_test_set": "evreel.loaders.collate",
    "stack_collate": "evreel.loaders.collate",
}
"""Name → the module that it is imported from when it is first used."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
