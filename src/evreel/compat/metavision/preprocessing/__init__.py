"""Precomputing features as ``metavision_ml.preprocessing`` does; its loaders read the files.

What differs, on purpose:

- Any recording that evreel reads is taken, not only ``.raw`` and ``.dat``.
- The tail of a recording is never lost: the last file and the last frame reach its last event.
- Files of an earlier run are kept only if they are complete, and of the same recording with the
  same parameters; a file appears under its name only when it is whole.
- Recordings that would get files of the same name are an error, not one file.
- Every file of a recording has its ``_bbox.npy`` if box labels are given, also without any label.
- With `n_events`, the newest event of a frame counts too, and equal timestamps divide by no zero.
- Every parameter is in the file, also defaults, with digests of the recording and versions.
- Whether frames are computed one by one or several in a call makes no difference to them.
"""

from evreel.compat.metavision.preprocessing.hdf5 import generate_hdf5
from evreel.compat.metavision.preprocessing.registered import (
    EVENT_DTYPE,
    register_new_preprocessing,
)
from evreel.compat.metavision.preprocessing.viz import filter_outliers

__all__ = ["EVENT_DTYPE", "filter_outliers", "generate_hdf5", "register_new_preprocessing"]
