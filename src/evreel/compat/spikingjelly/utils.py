"""Functions on frames and batches, by SpikingJelly's names.

What makes batches returns tensors where PyTorch is installed, and NumPy arrays where it is not.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError
from evreel.loaders import collate

__all__ = [
    "integrate_events_segment_to_frame",
    "pad_sequence_collate",
    "padded_sequence_mask",
    "play_frame",
    "split_to_train_test_set",
]


def _collate() -> ModuleType:
    """Return the module whose functions fit what is installed."""
    if importlib.util.find_spec("torch") is None:
        return collate
    from evreel.loaders.torch import collate as of_tensors

    return of_tensors


def pad_sequence_collate(batch: list[tuple[Any, Any]]) -> tuple[Any, Any, Any]:
    """Return items of different lengths as one batch, as `evreel.loaders.collate` does."""
    padded: tuple[Any, Any, Any] = _collate().pad_sequence_collate(batch)
    return padded


def padded_sequence_mask(sequence_len: Any, T: int | None = None) -> Any:  # noqa: N803
    """Return which frames of a padded batch are real, as `evreel.loaders.collate` does."""
    return _collate().padded_sequence_mask(sequence_len, T)


def split_to_train_test_set(
    train_ratio: float,
    origin_dataset: Any,
    num_classes: int,
    random_split: bool = False,
    *,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Return two parts of a data set, as `evreel.loaders.collate` does."""
    parts: tuple[Any, Any] = _collate().split_to_train_test_set(
        train_ratio, origin_dataset, num_classes, random_split, seed=seed
    )
    return parts


def play_frame(x: Any, save_gif_to: str | None = None) -> Any:
    """Show frames, or save them as a GIF, as `evreel.loaders.collate` does."""
    return _collate().play_frame(x, save_gif_to)


def integrate_events_segment_to_frame(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    H: int,  # noqa: N803
    W: int,  # noqa: N803
    j_l: int = 0,
    j_r: int | None = None,
) -> npt.NDArray[np.float64]:
    """Count events ``[j_l, j_r)`` in a frame (2, H, W): channel 0 OFF, channel 1 ON.

    Parameters
    ----------
    x, y, p
        (n,) columns and rows, px; polarities, of which 0 is OFF and all others are ON.
    H, W
        The sensor's height and width, px.
    j_l, j_r
        The first event, and the one after the last; None is the end.

    Raises
    ------
    EventsError
        If an event is outside the sensor.

    Examples
    --------
    >>> integrate_events_segment_to_frame([0, 1, 1], [0, 0, 0], [1, 0, 0], 1, 2).tolist()
    [[[0.0, 2.0]], [[1.0, 0.0]]]
    """
    columns, rows = (np.asarray(values)[j_l:j_r].astype(np.int64) for values in (x, y))
    channels = (np.asarray(p)[j_l:j_r] != 0).astype(np.int64)
    outside = (columns < 0) | (columns >= W) | (rows < 0) | (rows >= H)
    if outside.any():
        k = int(np.argmax(outside))
        raise EventsError(
            f"x={columns[k]}, y={rows[k]} is outside the sensor of {W}x{H} px",
            place=f"event {j_l + k}",
        )
    places = (channels * H + rows) * W + columns
    counts = np.bincount(places, minlength=2 * H * W).reshape(2, H, W)
    return counts.astype(np.float64)
