"""CIFAR10-DVS: 10 000 images of CIFAR-10, moving on a monitor in front of a DVS128."""

from __future__ import annotations

from evreel.compat.spikingjelly.folder import Undivided
from evreel.dataset.table import Row

__all__ = ["CIFAR10DVS"]


class CIFAR10DVS(Undivided):
    """CIFAR10-DVS: a zip for each class, such as ``download/airplane.zip``.

    Parameters are those of `NeuromorphicDatasetFolder`, without `train`.
    """

    _config = "cifar10_dvs"

    @classmethod
    def _archive_of(cls, id_: str, row: Row) -> str:
        return f"{id_}.zip"
