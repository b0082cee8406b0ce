"""Batches to look at, by the names of ``metavision_ml.data.sequential_dataset_common``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.boxes import load_labels_stub
from evreel.compat.metavision.torch_names import names_of_torch

if TYPE_CHECKING:
    from evreel.loaders.torch.metavision import FileMetadata, show_dataloader

__all__ = ["FileMetadata", "load_labels_stub", "show_dataloader"]

__getattr__ = names_of_torch(__name__, "FileMetadata", "show_dataloader")
