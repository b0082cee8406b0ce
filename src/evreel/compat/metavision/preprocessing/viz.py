"""Values to look at, by the names of ``metavision_ml.preprocessing.viz``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import ParameterError


def filter_outliers(input_val: npt.ArrayLike, num_std: float = 2) -> npt.NDArray[Any]:
    """Return values with those far from their mean set to the nearest value that is not far.

    Parameters
    ----------
    input_val
        Numbers, of any shape; they do not change.
    num_std
        How many standard deviations from the mean is far.

    Returns
    -------
    A new array of the same shape: float32 of float32 or narrower types, else float64.

    Examples
    --------
    >>> filter_outliers([0, 0, 0, 8], num_std=1).round(2).tolist()  # mean 2, deviation 3.46
    [0.0, 0.0, 0.0, 5.46]
    """
    values = np.asarray(input_val)
    if values.dtype.kind not in "biuf":
        raise ParameterError(f"values are {values.dtype}; numbers are expected")
    if not num_std >= 0:
        raise ParameterError(f"num_std={num_std!r} is not 0 or more")
    exact = values.astype(np.float64)
    if not exact.size:
        return exact
    mean, far = exact.mean(), num_std * exact.std()
    return np.clip(exact, mean - far, mean + far).astype(
        np.float32 if np.can_cast(values.dtype, np.float32) else np.float64
    )
