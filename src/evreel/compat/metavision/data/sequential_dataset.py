"""Sequences, by the names of ``metavision_ml.data.sequential_dataset``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.boxes import load_labels_stub
from evreel.compat.metavision.torch_names import names_of_torch

if TYPE_CHECKING:
    from evreel.loaders.torch.metavision import FileMetadata, SequentialDataLoader

__all__ = ["FileMetadata", "SequentialDataLoader", "load_labels_stub"]

__getattr__ = names_of_torch(__name__, "FileMetadata", "SequentialDataLoader")
