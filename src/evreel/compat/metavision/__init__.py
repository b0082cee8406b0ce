"""Metavision ML's functions, by their names and with their arguments.

Made anew from its public documentation, not copied. Scripts that import from ``metavision_ml`` can
import from here: what its ``preprocessing`` holds, from this package itself or from
`evreel.compat.metavision.preprocessing`; its ``data.box_processing`` is
`evreel.compat.metavision.box_processing`.
"""

from evreel.compat.metavision.preprocessing import (
    EVENT_DTYPE,
    generate_hdf5,
    register_new_preprocessing,
)

__all__ = ["EVENT_DTYPE", "generate_hdf5", "register_new_preprocessing"]
