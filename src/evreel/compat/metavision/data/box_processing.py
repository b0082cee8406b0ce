"""`evreel.compat.metavision.box_processing`, where ``metavision_ml`` has it."""

from evreel.compat.metavision.box_processing import *  # noqa: F403
from evreel.compat.metavision.box_processing import __all__ as __all__
