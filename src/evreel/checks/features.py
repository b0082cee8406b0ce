"""Checks of features files: their windows and values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.checks.finding import Located, counted, register
from evreel.checks.tally import located
from evreel.windows import Windows


@register("feature_windows", "error", "features")
def feature_windows(windows: Windows, t_stop_us: int | None, n_events: int) -> Iterator[Located]:
    """Find windows that hold events which the recording has not, or start after its end."""
    bad = windows.stop > n_events
    if t_stop_us is not None:
        bad = bad | (windows.start_us >= max(t_stop_us, 1))
    return located(
        bad,
        lambda k: (
            f"window {k}",
            f"{windows.start[k]} to {windows.stop[k]}, t={windows.start_us[k]} µs on",
        ),
        "window",
        f"beyond the recording, the first of rows {{got}}; it has {n_events:,} events; compute "
        "again",
    )


@register("feature_values", "error", "features")
def feature_values(frames: Iterable[tuple[int, npt.NDArray[Any]]]) -> Iterator[Located]:
    """Find windows with a value that is NaN or infinite.

    Parameters
    ----------
    frames
        (window, its values), one at a time.
    """
    n, place = 0, ""
    for k, frame in frames:
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            place = place or f"window {k}"
            n += 1
    if n:
        yield place, f"{counted(n, 'window')} with NaN or infinite values; compute again"
