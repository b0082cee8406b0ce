"""N-Caltech101: images of Caltech101 on a monitor, seen by an ATIS camera in three saccades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from evreel.compat.spikingjelly.folder import Undivided

__all__ = ["NCaltech101"]


class NCaltech101(Undivided):
    """N-Caltech101, with its background as a class: ``download/Caltech101.zip``.

    Parameters are those of `NeuromorphicDatasetFolder`, without `train`.
    """

    _config = "n_caltech101"
    _archives: ClassVar[Mapping[str, str]] = {"n_caltech101": "Caltech101.zip"}
    _beside: ClassVar[Mapping[str, str]] = {
        "Caltech101_annotations.zip": "25e64cea645291e368db1e70f214988e",
        "ReadMe(Caltech101)-SINAPSE-G.txt": "d464b81684e0af3b5773555eb1d5b95c",
        "ReadMe(Caltech101).txt": "33632a7a5c46074c70509f960d0dd5e5",
    }
