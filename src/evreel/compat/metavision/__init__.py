"""Metavision ML's functions and loaders, by their names and with their arguments.

Made anew from its public documentation, not copied. What a script imports from ``metavision_ml``,
it can import from ``evreel.compat.metavision``: from modules of the same names, or from this
package itself. Loaders need PyTorch, which is imported when they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evreel.compat.metavision.preprocessing import (
    EVENT_DTYPE,
    filter_outliers,
    generate_hdf5,
    register_new_preprocessing,
)
from evreel.compat.metavision.torch_names import names_of_torch

if TYPE_CHECKING:
    from evreel.loaders.torch.metavision import (
        CDProcessorDataLoader,
        SequentialDataLoader,
        show_dataloader,
    )

__all__ = [
    "EVENT_DTYPE",
    "CDProcessorDataLoader",
    "SequentialDataLoader",
    "filter_outliers",
    "generate_hdf5",
    "register_new_preprocessing",
    "show_dataloader",
]

__getattr__ = names_of_torch(
    __name__, "CDProcessorDataLoader", "SequentialDataLoader", "show_dataloader"
)
