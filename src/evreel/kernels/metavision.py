"""Metavision's representations: each event changes its pixel at once, and saturates there."""

# n events; c channels; h, w sensor rows, columns.

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]

# Sums are rounded to float32 event by event, and clipped there, so their order matters: these
# loops cannot be replaced by counting events first. A branch on the polarity, which is as good as
# random, would take four times as long as a table of two signed steps.


# x, y (n,) uint16; p (n,) uint8; step what an event adds; frame (2, h, w) float32
@kernel
def add_up_to_1(
    x: UInt16Array, y: UInt16Array, p: UInt8Array, step: np.float32, frame: Float32Array
) -> None:
    """Add `step` for each event, in the channel of its polarity; no value exceeds 1."""
    one = np.float32(1)
    for i in range(x.shape[0]):
        frame[p[i], y[i], x[i]] = min(frame[p[i], y[i], x[i]] + step, one)


# x, y (n,) uint16; p (n,) uint8; step what an event adds; frame (1, h, w) float32
@kernel
def add_signed_up_to_1(
    x: UInt16Array, y: UInt16Array, p: UInt8Array, step: np.float32, frame: Float32Array
) -> None:
    """Add `step` for each ON event and subtract it for each OFF event, within −1 and 1."""
    one = np.float32(1)
    signed = np.array([-step, step], dtype=np.float32)
    image = frame[0]
    for i in range(x.shape[0]):
        image[y[i], x[i]] = max(min(image[y[i], x[i]] + signed[p[i]], one), -one)


# x, y (n,) uint16; p (n,) uint8; step what an event adds; most (2,) by polarity, and of the type of
# frame, as step is; frame (2, h, w) uint8 or float32
@kernel
def add_up_to(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    step: Any,
    most: npt.NDArray[Any],
    frame: npt.NDArray[Any],
) -> None:
    """Add `step` for each event, in the channel of its polarity; none exceeds its `most`."""
    for i in range(x.shape[0]):
        frame[p[i], y[i], x[i]] = min(frame[p[i], y[i], x[i]] + step, most[p[i]])


# x, y (n,) uint16; p (n,) uint8; step what an event adds; least, most of a value; all of the type
# of frame; frame (1, h, w) int8 or float32
@kernel
def add_signed_up_to(
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    step: Any,
    least: Any,
    most: Any,
    frame: npt.NDArray[Any],
) -> None:
    """Add `step` for each ON event and subtract it for each OFF event, from `least` to `most`."""
    image = frame[0]
    signed = np.array([-step, step], dtype=frame.dtype)
    for i in range(x.shape[0]):
        image[y[i], x[i]] = max(min(image[y[i], x[i]] + signed[p[i]], most), least)


# t (n,) int64 within [t0, t0 + span); x, y (n,) uint16; p (n,) uint8; frame (2 b, h, w) float32
@kernel
def set_times(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    t0: int,
    span: int,
    divisor: int,
    frame: Float32Array,
) -> None:
    """Set each event's pixel to its time since the start of its bin, over `divisor`.

    There are b bins of span / b each. Times are counted in bths of a µs, so that those within a
    bin are whole numbers, whether or not b divides the span. Channel = 2 · bin + polarity.
    """
    bins = np.int64(frame.shape[0] // 2)
    for i in range(t.shape[0]):
        passed = (t[i] - t0) * bins
        # Truncates as whole numbers would: below 2**53, no quotient is rounded up to the next one.
        k = np.int64(np.float64(passed) / np.float64(span)) if bins > 1 else np.int64(0)
        within = np.float64(passed - k * span) / np.float64(divisor)
        frame[np.uint64(2 * k + np.int64(p[i])), y[i], x[i]] = np.float32(within)


# t (n,) int64 within [t0, t0 + span); x, y (n,) uint16; p (n,) uint8; frame (2 b or b, h, w)
# float32: two channels per bin if split, else one
@kernel
def add_to_cube(
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    t0: int,
    span: int,
    step: float,
    split: bool,
    frame: Float32Array,
) -> None:
    """Share `step` between the bins next to t* = b (t − t0) / span − 1/2, within −1 and 1.

    What would go to bin −1 or b is left out. Split: channel = 2 · bin + polarity; else the
    channel is the bin, and an OFF event subtracts.
    """
    one = np.float32(1)
    per_bin = 2 if split else 1
    bins = np.int64(frame.shape[0] // per_bin)
    for i in range(t.shape[0]):
        position = np.float64((t[i] - t0) * bins) / np.float64(span) - 0.5
        below = np.int64(np.floor(position))
        share = position - below
        on = np.int64(p[i])
        signed = step if split or on else -step
        channel = below * per_bin + (on if split else 0)
        if below >= 0:
            c = np.uint64(channel)
            value = frame[c, y[i], x[i]] + np.float32(signed * (1.0 - share))
            frame[c, y[i], x[i]] = max(min(value, one), -one)
        if below + 1 < bins:
            c = np.uint64(channel + per_bin)
            value = frame[c, y[i], x[i]] + np.float32(signed * share)
            frame[c, y[i], x[i]] = max(min(value, one), -one)
