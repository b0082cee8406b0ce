"""Functions on frames and batches, by SpikingJelly's names.

What makes batches returns tensors where PyTorch is installed, and NumPy arrays where it is not.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from evreel.errors import EventsError, UsageError
from evreel.loaders import collate
from evreel.loaders.arguments import one_of
from evreel.loaders.frames import EventArrays, SplitBy
from evreel.timebase import Int64Array
from evreel.windows import Number, cut

__all__ = [
    "cal_fixed_frames_number_segment_index",
    "integrate_events_by_fixed_duration",
    "integrate_events_by_fixed_frames_number",
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


def cal_fixed_frames_number_segment_index(
    events_t: npt.ArrayLike, split_by: SplitBy, frames_num: int
) -> tuple[Int64Array, Int64Array]:
    """Return the first event of each of a fixed number of frames, and the one after the last.

    Parameters
    ----------
    events_t
        (n,) timestamps, in ascending order if frames are of time.
    split_by
        ``number``: frames of equal event count; ``time``: of equal duration. The last frame has
        the remainder.
    frames_num
        How many frames, 1 or more.

    Raises
    ------
    UsageError
        If a parameter is out of its range.
    EventsError
        If frames are of time, and events go back in it.

    Examples
    --------
    >>> first, last = cal_fixed_frames_number_segment_index([0, 1, 2, 9], "number", 3)
    >>> first.tolist(), last.tolist()
    ([0, 1, 2], [1, 2, 4])
    """
    one_of("split_by", split_by, get_args(SplitBy))
    # Shares of a number of events follow from their rows alone.
    since = _since_first(events_t) if split_by == "time" else np.arange(np.size(events_t))
    end = int(since[-1]) + 1 if len(since) else 1

    def index_of(at: Int64Array) -> Int64Array:
        return np.searchsorted(since, at)

    shares = Number(frames_num, "time" if split_by == "time" else "count")
    windows, _ = cut(shares, [0], [end], index_of, since.take)
    return windows.start, windows.stop


def integrate_events_by_fixed_frames_number(
    events: EventArrays,
    split_by: SplitBy,
    frames_num: int,
    H: int,  # noqa: N803
    W: int,  # noqa: N803
) -> npt.NDArray[np.float64]:
    """Count events in a fixed number of frames, (frames_num, 2, H, W).

    Parameters
    ----------
    events
        t, x, y, p of one sample.
    split_by, frames_num
        As `cal_fixed_frames_number_segment_index` takes them.
    H, W
        The sensor's height and width, px.

    Raises
    ------
    EventsError
        If an event is outside the sensor, or frames are of time and events go back in it.
    """
    bounds = cal_fixed_frames_number_segment_index(events["t"], split_by, frames_num)
    return _counted(events, *bounds, H, W)


def integrate_events_by_fixed_duration(
    events: EventArrays,
    duration: int,
    H: int,  # noqa: N803
    W: int,  # noqa: N803
) -> npt.NDArray[np.float64]:
    """Count events in frames of a fixed duration from the first event on, (T, 2, H, W).

    Parameters
    ----------
    events
        t, x, y, p of one sample.
    duration
        In the unit of t. The last frame may be incomplete; an event exactly at its end is in it.
    H, W
        The sensor's height and width, px.

    Raises
    ------
    UsageError
        If the duration is not positive.
    EventsError
        If an event is outside the sensor, or events go back in time.
    """
    if duration <= 0:
        raise UsageError(f"duration={duration} is not positive")
    since = _since_first(events["t"])
    lasts = int(since[-1]) if len(since) else 0
    edges = np.arange(max(-(-lasts // duration), 1)) * duration
    first = np.searchsorted(since, edges)
    return _counted(events, first, np.append(first[1:], len(since)), H, W)


def _since_first(events_t: npt.ArrayLike) -> Int64Array:
    """Return timestamps since the first; raise if they go back."""
    t = np.asarray(events_t).astype(np.int64)
    back = t[1:] < t[:-1]
    if back.any():
        k = int(np.argmax(back)) + 1
        raise EventsError(
            f"t={t[k]} comes after t={t[k - 1]}",
            place=f"event {k}",
            hint="Sort the events by time.",
        )
    return t - t[:1]


def _counted(
    events: EventArrays, first: Int64Array, last: Int64Array, height: int, width: int
) -> npt.NDArray[np.float64]:
    """Count each of some segments of the events in a frame of its own."""
    x, y, p = (events[name] for name in "xyp")
    segments = zip(first.tolist(), last.tolist(), strict=True)
    return np.stack(
        [
            integrate_events_segment_to_frame(x, y, p, height, width, j_l, j_r)
            for j_l, j_r in segments
        ]
    )
