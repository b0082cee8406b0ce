"""Loaders, by the names of ``metavision_ml.data``. They need PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.compat.metavision import box_processing
from evreel.compat.metavision.torch_names import names_of_torch

if TYPE_CHECKING:
    from evreel.loaders.torch.metavision import CDProcessorDataLoader, SequentialDataLoader

__all__ = ["CDProcessorDataLoader", "SequentialDataLoader", "box_processing"]

__getattr__ = names_of_torch(__name__, "CDProcessorDataLoader", "SequentialDataLoader")
