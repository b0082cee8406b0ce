"""ASL-DVS: 24 letters of the American Sign Language by five people, with a DAVIS240C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from evreel.compat.spikingjelly.folder import Undivided

__all__ = ["ASLDVS"]


class ASLDVS(Undivided):
    """ASL-DVS, got by hand: ``download/ICCV2019_DVS_dataset.zip``.

    Rows and columns are mirrored, as SpikingJelly has them. Parameters are those of
    `NeuromorphicDatasetFolder`, without `train`.
    """

    events_settings: ClassVar[Mapping[str, Any]] = {"flip_x": True}
    _config = "asl_dvs"
