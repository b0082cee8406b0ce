"""N-MNIST: the digits of MNIST on a monitor, seen by an ATIS camera in three saccades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from evreel.compat.spikingjelly.folder import Divided

__all__ = ["NMNIST"]


class NMNIST(Divided):
    """N-MNIST: ``download/Train.zip`` and ``download/Test.zip``, which are MNIST's split.

    Parameters are those of `NeuromorphicDatasetFolder`.
    """

    _config = "n_mnist"
    _archives: ClassVar[Mapping[str, str]] = {"train": "Train.zip", "test": "Test.zip"}
