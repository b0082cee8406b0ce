"""Streams, by the names of ``metavision_ml.data.cd_processor_dataset``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.compat.metavision.torch_names import names_of_torch

if TYPE_CHECKING:
    from evreel.loaders.torch.metavision import CDProcessorDataLoader

__all__ = ["CDProcessorDataLoader"]

__getattr__ = names_of_torch(__name__, "CDProcessorDataLoader")
