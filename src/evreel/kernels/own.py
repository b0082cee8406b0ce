"""What compiled functions of a user take."""

# n events

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]


# t, x, y, p (n,) int64
@kernel
def by_name(t: Int64Array, x: Int64Array, y: Int64Array, p: Int64Array) -> Any:
    """Return columns by name as compiled code takes them: it knows no dict of Python's."""
    return {"t": t, "x": x, "y": y, "p": p}
