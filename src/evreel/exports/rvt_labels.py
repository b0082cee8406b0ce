"""Which boxes RVT's preprocessing keeps, and which windows of events it makes for them.

The rules are those of ``scripts/genx/preprocess_dataset.py`` in RVT. Where that script stops with
an assertion, here the recording or the boxes are left out, and counted in a sentence that says what
to do. Everything is done in the types of the records' own fields: the sums of float32 corners that
it compares with its limits are rounded to float32.

Source: https://github.com/uzh-rpg/RVT (MIT licence); Gehrig and Scaramuzza, Recurrent Vision
Transformers for Object Detection with Event Cameras, CVPR 2023.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, UsageError
from evreel.events import Sensor
from evreel.settings import Place, Settings, optional, setting
from evreel.timebase import Int64Array
from evreel.windows import MOST_WINDOWS

Boxes = npt.NDArray[np.void]

FIRST_LABEL_US = 100_000
"""The first labelled frame is at or after this time."""
JITTER_US = 2_000
"""How far a label may be from its place on the grid of label times, included."""
LEAST_STEP_US = 98_000
"""RVT's script stops where two labelled frames are not farther apart than this."""
LEAST_SIDE_PX = 5
"""Of a box, if small ones are left out conservatively."""
MOST_BEFORE_US = 86_400_000_000
"""Windows are made from time 0 on; a clock that is at more than a day by then counts the date."""

RVT_DTYPE = np.dtype(
    [
        ("t", "<u8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "u1"),
        ("class_confidence", "<f4"),
        ("track_id", "<u4"),
    ]
)
"""Boxes of GEN1 and 1 Mpx as they are published, 33 bytes each."""


@dataclass(frozen=True)
class Filter:
    """What RVT does to the labels of one data set.

    Parameters
    ----------
    sensor
        Taken where a recording does not state its size.
    classes
        Only boxes of classes below this are kept; None keeps all.
    least_side_px, least_diagonal_px
        Of a box, if small ones are left out as by Prophesee.
    small_boxes
        Which of the two rules for small boxes its filter file asks for.
    label_step_us
        From one label to the next; None: `labels_per_step` times the median step.
    labels_per_step
        Labels per second, rounded, → how many of their steps are one of `label_step_us`.
    halves
        Whether frames have half the height and width.
    """

    sensor: Sensor
    classes: int | None
    least_side_px: int
    least_diagonal_px: int
    small_boxes: Literal["psee", "conservative"]
    label_step_us: int | None
    labels_per_step: Mapping[int, int]
    halves: bool


FILTERS: Mapping[str, Filter] = {
    "gen1": Filter(Sensor(240, 304), None, 10, 30, "psee", 250_000, {}, halves=False),
    "gen4": Filter(Sensor(720, 1280), 3, 20, 60, "conservative", None, {30: 3, 60: 6}, halves=True),
}
"""By RVT's names of the data sets: GEN1 and 1 Mpx."""


@dataclass(frozen=True, kw_only=True)
class RvtSettings(Settings):
    """RVT's preprocessing: labels, windows and frames. Defaults are those of its script."""

    filter: Literal["gen1", "gen4"] | None = optional(
        "rvt: whose rules for labels are applied, those of GEN1 or of 1 Mpx (gen4). It must be "
        "given."
    )
    small_boxes: Literal["psee", "conservative"] | None = optional(
        "rvt: leave out boxes with a side under 10 or a diagonal under 30 px (gen4: 20 and 60), as "
        "Prophesee does; or, conservative, with a side under 5 px. Default: psee for gen1, "
        "conservative for gen4."
    )
    wide_boxes: Literal["drop", "keep"] = setting(
        "drop", "rvt: boxes wider than nine tenths of the sensor, in the split train."
    )
    label_step_us: int | None = optional(
        "rvt: step of the grid of label times. Default: 250,000 for gen1; for gen4, 3 or 6 times "
        "the median step of labels at 30 or 60 Hz.",
        unit="µs",
        minimum=1,
    )
    windows_per_step: int = setting(
        2, "rvt: windows per step of the grid of label times.", minimum=1
    )
    stride_us: int = setting(
        50_000,
        "rvt: step of the windows before the first labelled frame.",
        unit="µs",
        minimum=1,
    )
    window_us: int = setting(50_000, "rvt: duration of a window.", unit="µs", minimum=1)
    count: int | None = optional("rvt: events per window, instead of a duration.", minimum=1)
    representation: Literal["stacked_histogram", "mixeddensity_stack"] = setting(
        "stacked_histogram", "rvt: what frames are."
    )
    bins: int = setting(10, "rvt: time bins of a frame.", minimum=1)
    cutoff: int | None = optional(
        "rvt: largest value of a frame. Default: 10 for stacked_histogram, 32 for "
        "mixeddensity_stack.",
        minimum=0,
    )
    no_cutoff: bool = setting(False, "rvt: do not limit the values of a frame.")
    fastmode: bool = setting(
        True, "rvt: count in 8 bits, so that 256 events of a pixel and bin are none, as RVT does."
    )
    size: Literal["full", "half"] | None = optional(
        "rvt: height and width of frames; half keeps the odd rows and columns. Default: full for "
        "gen1, half for gen4."
    )
    times: Literal["camera", "recording"] = setting(
        "camera",
        "rvt: times are on the camera's own clock, as RVT reads them, or count from the "
        "recording's first event. Windows begin at time 0.",
    )
    boxes_clock: Literal["source", "recording"] | None = optional(
        "rvt: whether boxes beside recordings are on the clock of the recording's file, or count "
        "from its first event. Default: recording if evreel's .json is beside them, else source."
    )

    def contradictions(self) -> Iterator[tuple[Place, str]]:
        """Yield (place, problem) of values that do not go together."""
        if self.cutoff is not None and self.no_cutoff:
            yield (), "cutoff and no_cutoff exclude each other"
        if self.cutoff == 0 and self.representation == "stacked_histogram":
            yield ("cutoff",), "0 leaves nothing of a stacked_histogram; give 1 or more"

    @property
    def rules(self) -> Filter:
        """The rules of the data set that `filter` names."""
        return FILTERS[self.filter or "gen1"]

    @property
    def limit(self) -> int | None:
        """The largest value of a frame, None if there is no limit."""
        if self.no_cutoff:
            return None
        default = 10 if self.representation == "stacked_histogram" else 32
        return default if self.cutoff is None else self.cutoff

    @property
    def halves(self) -> bool:
        """Whether frames have half the height and width."""
        return self.rules.halves if self.size is None else self.size == "half"

    @property
    def by_psee(self) -> bool:
        """Whether small boxes are left out as by Prophesee."""
        return (self.small_boxes or self.rules.small_boxes) == "psee"

    @property
    def folder(self) -> str:
        """The name of the folder of frames; RVT's readers look for it."""
        window = f"ne={self.count}" if self.count else f"dt={self.window_us / 1000:g}"
        name = f"{self.representation}_{window}_nbins={self.bins}"
        is_cut = self.representation == "mixeddensity_stack" and self.limit is not None
        return f"{name}_cutoff={self.limit}" if is_cut else name

    @property
    def file(self) -> str:
        """The name of the file of frames."""
        return f"event_representations{'_ds2_nearest' if self.halves else ''}.h5"


class NoFramesError(AnnotationError):
    """A recording of which RVT's layout holds nothing; `problem` completes “recordings …”."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What RVT's layout holds of a recording.

    Parameters
    ----------
    labels
        (n,) boxes, frame by frame, in the type that they came in.
    first
        (f,) int64: labelled frame k has the boxes from ``first[k]`` on.
    frames_us
        (f,) int64, times of the labelled frames.
    ends_us
        (w,) int64, ends of the windows.
    window_of
        (f,) int64: labelled frame k is at the end of window ``window_of[k]``.
    lost
        What is left out: sentence → how often.
    """

    labels: Boxes
    first: Int64Array
    frames_us: Int64Array
    ends_us: Int64Array
    window_of: Int64Array
    lost: Mapping[str, int]


def plan(
    boxes: Boxes, sensor: Sensor, split: str, settings: RvtSettings, *, name: str | None = None
) -> Plan:
    """Return the labelled frames and windows of a recording.

    Parameters
    ----------
    boxes
        (n,) records with fields t, x, y, w, h and class_id, by time.
    sensor
        (height, width) in pixels.
    split
        ``train``, ``val`` or ``test``.
    settings
        The rules.
    name
        What messages call the recording.

    Raises
    ------
    NoFramesError
        If nothing is left; the message says of what, and what to do.
    UsageError
        If there would be too many windows.
    """
    if not len(boxes):
        raise NoFramesError("without boxes")
    kept, lost = filtered(boxes, sensor, split, settings)
    if not len(kept):
        raise NoFramesError(
            "of which no box is left after filtering; --small-boxes and --wide-boxes choose rules"
        )
    t = kept["t"].astype(np.int64)
    times = np.unique(t)
    step = label_step_us(times, settings)
    frames, steps, off_grid, too_close = frames_of(times, step)
    windows = steps * settings.windows_per_step
    _check_size(frames, windows, settings, name)
    for what, gone in (
        (f"boxes before {FIRST_LABEL_US:,} µs", t < FIRST_LABEL_US),
        (
            f"boxes up to {JITTER_US:,} µs after a labelled frame, which is not a frame more; "
            "RVT's script stops there",
            np.isin(t, too_close),
        ),
        (
            f"boxes that are more than {JITTER_US:,} µs off the grid of label times, which begins "
            "at the last labelled frame; --label-step-us sets its step",
            np.isin(t, off_grid),
        ),
    ):
        lost[what] += int(np.count_nonzero(gone))
    if len(frames) > 1 and np.diff(frames).min() <= LEAST_STEP_US:
        what = f"steps of labelled frames up to {LEAST_STEP_US:,} µs, where RVT's script stops"
        lost[what] += int(np.count_nonzero(np.diff(frames) <= LEAST_STEP_US))
    ends = window_ends(frames, windows, settings.stride_us)
    low, high = np.searchsorted(t, frames, "left"), np.searchsorted(t, frames, "right")
    rows = np.concatenate([np.arange(*pair) for pair in zip(low, high, strict=True)])
    n_before = np.cumsum(high - low)
    return Plan(
        _packed(kept, rows),
        (n_before - (high - low)).astype(np.int64),
        frames,
        ends,
        np.searchsorted(ends, frames).astype(np.int64),
        {what: n for what, n in lost.items() if n},
    )


def filtered(
    boxes: Boxes, sensor: Sensor, split: str, settings: RvtSettings
) -> tuple[Boxes, Counter[str]]:
    """Return the boxes that RVT keeps, cropped to the sensor, and what was left out, how often.

    A box is cropped to pixels 0 to width − 1 and 0 to height − 1, both corners: one that spans the
    sensor of 304 px becomes 303 px wide.

    Examples
    --------
    >>> boxes = np.zeros(2, RVT_DTYPE)
    >>> boxes["x"], boxes["w"], boxes["h"] = [290, 0], [60, 9], 40
    >>> kept, lost = filtered(boxes, Sensor(240, 304), "test", RvtSettings(filter="gen1"))
    >>> kept["w"].tolist(), dict(lost)
    ([13.0], {'boxes with a side under 10 px or a diagonal under 30 px': 1})
    """
    rules, lost = settings.rules, Counter[str]()

    def keep(boxes: Boxes, kept: npt.NDArray[np.bool_], otherwise: str) -> Boxes:
        if not kept.all():
            lost[otherwise] += int(np.count_nonzero(~kept))
        return boxes[kept]

    if rules.classes is not None:
        otherwise = f"boxes of classes from {rules.classes} on"
        boxes = keep(boxes, boxes["class_id"] < rules.classes, otherwise)
    boxes = boxes.copy()
    for corner, extent, size in (("x", "w", sensor.width), ("y", "h", sensor.height)):
        start = boxes[corner]
        stop = start + boxes[extent]
        start, stop = (np.clip(each, 0, size - 1) for each in (start, stop))
        boxes[corner], boxes[extent] = start, stop - start
    has_area = (boxes["w"] > 0) & (boxes["h"] > 0)
    boxes = keep(boxes, has_area, "boxes without area inside the sensor")
    w, h = boxes["w"], boxes["h"]
    if settings.by_psee:
        side, diagonal = rules.least_side_px, rules.least_diagonal_px
        fits = (w**2 + h**2 >= diagonal**2) & (w >= side) & (h >= side)
        otherwise = f"boxes with a side under {side} px or a diagonal under {diagonal} px"
    else:
        fits = (w >= LEAST_SIDE_PX) & (h >= LEAST_SIDE_PX)
        otherwise = f"boxes with a side under {LEAST_SIDE_PX} px"
    boxes = keep(boxes, fits, otherwise)
    if split == "train" and settings.wide_boxes == "drop":
        most = 9 * sensor.width // 10
        boxes = keep(boxes, boxes["w"] <= most, f"boxes wider than {most} px, in train")
    return boxes, lost


def label_step_us(times: Int64Array, settings: RvtSettings) -> int:
    """Return the step of the grid of label times.

    Parameters
    ----------
    times
        (n,) different times of boxes, ascending, n > 0.

    Raises
    ------
    NoFramesError
        If the data set's rules have none for this rate.

    Examples
    --------
    >>> label_step_us(np.arange(0, 900_000, 16_683), RvtSettings(filter="gen4"))
    100098
    """
    given = settings.label_step_us or settings.rules.label_step_us
    if given is not None:
        return given
    known = settings.rules.labels_per_step
    rates = " or ".join(map(str, known))
    if len(times) < 2:
        raise NoFramesError(
            "of which all boxes have one time, so that their rate is unknown; --label-step-us "
            "states the step"
        )
    median = np.median(np.diff(times))
    rate = round(1_000_000 / median)
    if rate not in known:
        raise NoFramesError(
            f"whose boxes come at {rate} Hz, where {settings.filter} has rules for {rates} Hz; "
            "--label-step-us states the step"
        )
    return int(known[rate] * median)


def frames_of(
    times: Int64Array, step_us: int
) -> tuple[Int64Array, Int64Array, list[int], list[int]]:
    """Return the labelled frames, the steps between them, and the times that are not frames.

    Parameters
    ----------
    times
        (n,) different times of boxes, ascending.
    step_us
        Step of the grid of label times.

    Returns
    -------
    (f,) times of frames and (f − 1,) whole steps between them; times off the grid; and times that
    are too close to the frame before.

    Raises
    ------
    NoFramesError
        If no time is late enough.

    Examples
    --------
    >>> frames_of(np.array([90_000, 250_000, 501_500, 600_000, 1_000_000]), 250_000)[:3]
    (array([ 250000,  501500, 1000000]), array([1, 2]), [600000])
    """
    late = times[np.searchsorted(times, FIRST_LABEL_US) :].tolist()
    if not late:
        raise NoFramesError(
            f"without a box at or after {FIRST_LABEL_US:,} µs; are times those of the camera's "
            "clock (--times)?"
        )
    frames, steps, off_grid, too_close = late[:1], [], [], []
    for t in late[1:]:
        apart = t - frames[-1]
        n = round(apart / step_us)
        if abs(apart - n * step_us) > JITTER_US:
            off_grid.append(t)
        elif n == 0:
            too_close.append(t)
        else:
            frames.append(t)
            steps.append(n)
    return np.array(frames, np.int64), np.array(steps, np.int64), off_grid, too_close


def window_ends(frames_us: Int64Array, windows: Int64Array, stride_us: int) -> Int64Array:
    """Return the ends of windows: regular ones before the first frame, equal steps after it.

    Parameters
    ----------
    frames_us
        (f,) times of the labelled frames.
    windows
        (f − 1,) number of windows from each frame to the next.
    stride_us
        Step of the windows before the first frame. The earliest that would end after time 0 is left
        out, as in RVT.

    Examples
    --------
    >>> window_ends(np.array([170, 270, 350]), np.array([2, 3]), 50).tolist()
    [70, 120, 170, 220, 270, 296, 323, 350]
    """
    first = int(frames_us[0])
    before = np.arange(first, 0, -stride_us, dtype=np.int64)[-2:0:-1]
    pieces = [
        # In floating point and cut off, as in RVT.
        np.linspace(start, stop, n + 1).astype(np.int64)[:-1]
        for start, stop, n in zip(frames_us[:-1], frames_us[1:], windows, strict=True)
    ]
    return np.concatenate([before, *pieces, frames_us[-1:]])


def _check_size(
    frames_us: Int64Array, windows: Int64Array, settings: RvtSettings, name: str | None
) -> None:
    """Raise `UsageError` if there would be windows for more than a day, or far too many."""
    if frames_us[0] > MOST_BEFORE_US:
        raise UsageError(
            f"the first labelled frame is at {frames_us[0]} µs, and windows begin at 0",
            place=name,
            hint="Count from the first event: --times recording.",
        )
    n = int(frames_us[0]) // settings.stride_us + int(windows.sum())
    if n > MOST_WINDOWS:
        raise UsageError(
            f"these settings ask for {n:,} windows; up to {MOST_WINDOWS:,} are made",
            place=name,
            hint="Choose longer steps, or fewer windows per step.",
        )


def _packed(boxes: Boxes, rows: Int64Array) -> Boxes:
    """Return some of the boxes, without padding between their fields, as RVT's script does."""
    names = boxes.dtype.names or ()
    made = np.zeros(len(rows), [(name, boxes.dtype[name]) for name in names])
    for name in names:
        made[name] = boxes[name][rows]
    return made


def in_rvt_type(boxes: Boxes, name: str) -> Boxes:
    """Return EventBbox records in RVT's type; `name` is what messages call the recording.

    Raises
    ------
    AnnotationError
        If a time or a class does not fit.
    """
    made = np.zeros(len(boxes), RVT_DTYPE)
    for field in RVT_DTYPE.names or ():
        made[field] = boxes[field]
    for field in ("t", "class_id"):
        wrong = made[field].astype(np.int64) != boxes[field]
        wrong |= boxes[field].astype(np.int64) < 0
        if wrong.any():
            row = int(np.argmax(wrong))
            raise AnnotationError(
                f"{field} is {boxes[field][row]}, which does not fit RVT's {RVT_DTYPE[field]}",
                place=f"{name}, record {row}",
            )
    return made


def numbers(settings: RvtSettings) -> dict[str, Any]:
    """Return the settings and the numbers of the rules that they name, as JSON values."""
    rules = settings.rules
    return {
        **settings.plain(),
        "cutoff": settings.limit,
        "small_boxes": "psee" if settings.by_psee else "conservative",
        "size": "half" if settings.halves else "full",
        "classes": rules.classes,
        "least_side_px": rules.least_side_px if settings.by_psee else LEAST_SIDE_PX,
        "least_diagonal_px": rules.least_diagonal_px if settings.by_psee else 0,
        "label_step_us": settings.label_step_us or rules.label_step_us,
        "labels_per_step": {str(rate): n for rate, n in rules.labels_per_step.items()},
        "first_label_us": FIRST_LABEL_US,
        "jitter_us": JITTER_US,
    }
