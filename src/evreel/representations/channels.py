"""What the channels of a frame hold: a polarity, and the bin, stack or window that it is of.

Values do not say so: four channels may be OFF and ON of two bins, in one of two orders, or four
bins of both polarities. A representation says it by its property `legend`, and whoever shows a
frame, or lists what there is, reads it there. Of one that does not say it, it is found out by a
trial (`probed`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from evreel.representations.base import Representation

Holds = Literal["OFF", "ON", "both"]

_POLARITIES: tuple[Holds, Holds] = ("OFF", "ON")

# A trial has so many events in each pixel, one after the other. An event is seen at all offsets of
# its pixel's surface within 1 ms.
_SIDE, _EACH, _STRIDE, _STEP_US = 8, 100, 37, 15


class Channel(NamedTuple):
    """What one channel holds.

    Parameters
    ----------
    holds : events of polarity ``OFF`` or ``ON``, or of ``both``.
    part : number of the bin, stack or window that it is of, from 0.
    signed : whether its values are positive for ON and negative for OFF; None if that is not known.
    empty : value of a pixel without events.
    """

    holds: Holds
    part: int = 0
    signed: bool | None = False
    empty: float = 0.0


Legend = tuple[Channel, ...]
"""A `Channel` for each channel of a frame, in order."""


def pairs(parts: int = 1, *, polarity_major: bool = False, empty: float = 0.0) -> Legend:
    """Return OFF and ON of each part.

    Parameters
    ----------
    parts
        How many.
    polarity_major
        Whether all of OFF come before all of ON; else OFF and ON of a part follow each other.
    empty
        Value of a pixel without events.

    Examples
    --------
    >>> [(channel.holds, channel.part) for channel in pairs(2)]
    [('OFF', 0), ('ON', 0), ('OFF', 1), ('ON', 1)]
    >>> [(channel.holds, channel.part) for channel in pairs(2, polarity_major=True)]
    [('OFF', 0), ('OFF', 1), ('ON', 0), ('ON', 1)]
    """
    off, on = (
        [Channel(holds, part, False, empty) for part in range(parts)] for holds in _POLARITIES
    )
    if polarity_major:
        return (*off, *on)
    return tuple(channel for pair in zip(off, on, strict=True) for channel in pair)


def singles(parts: int = 1, *, signed: bool | None = False) -> Legend:
    """Return one channel of both polarities for each part.

    Examples
    --------
    >>> singles(2, signed=True)[1]
    Channel(holds='both', part=1, signed=True, empty=0.0)
    """
    return tuple(Channel("both", part, signed) for part in range(parts))


def guessed(channels: int, dtype: str, parameters: Mapping[str, Any]) -> Legend:
    """Return what channels probably hold, of frames that nothing more is known of.

    Two channels are OFF and ON; so are twice as many as one of its parameters says, in the order
    of parts. Others are of both polarities each.

    Examples
    --------
    >>> guessed(2, "uint16", {}) == pairs()
    True
    >>> guessed(6, "float32", {"bins": 3}) == pairs(3)
    True
    >>> guessed(3, "float32", {"bins": 3}) == singles(3, signed=None)
    True
    """
    said = {value for value in parameters.values() if type(value) is int}
    if channels == 2 or (channels % 2 == 0 and channels not in said and channels // 2 in said):
        return pairs(channels // 2)
    return singles(channels, signed=False if dtype.startswith(("uint", "bool")) else None)


@functools.lru_cache(maxsize=64)
def probed(made_of: Representation) -> Legend:
    """Return what the channels of a representation hold, as a trial shows it.

    It is run on a window without events, one with OFF and one with ON events alone: which channels
    they change, and whether up or down, says it all. The n-th channels of OFF and of ON are one
    part.

    Examples
    --------
    >>> from evreel.representations import Histogram, VoxelGrid
    >>> probed(Histogram()) == pairs(), probed(VoxelGrid(3)) == singles(3, signed=True)
    (True, True)
    """
    from evreel.events import Events, Sensor
    from evreel.representations.running import tensor
    from evreel.windows import Windows

    sensor = Sensor(_SIDE, _SIDE)
    k = np.arange(_EACH * _SIDE * _SIDE)
    place = k * _STRIDE % (_SIDE * _SIDE)
    x, y = (place % _SIDE).astype(np.uint16), (place // _SIDE).astype(np.uint16)

    def changes(n: int, p: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the least and the largest value of each channel for n events of polarity p."""
        events = Events(k[:n] * _STEP_US, x[:n], y[:n], np.full(n, p, np.uint8), sensor)
        edges = ([0], [len(k) * _STEP_US], [0], [n])  # in time, and rows
        windows = Windows(*(np.array(edge, dtype=np.int64) for edge in edges))
        [frame] = tensor(made_of, events, windows)
        flat = frame.reshape(len(frame), -1).astype(np.float64)
        return flat.min(axis=1), flat.max(axis=1)

    try:
        (empty, _), off, on = changes(0, 0), changes(len(k), 0), changes(len(k), 1)
    except Exception:  # of a user's function that takes one sensor alone, or counts in few bits
        return guessed(made_of.channels, made_of.dtype, made_of.parameters)
    found = [
        _seen(float(at), *(sides[channel] for sides in (*off, *on)))
        for channel, at in enumerate(empty)
    ]
    every = [channel.holds for channel in found]
    of_pairs = every.count("OFF") == every.count("ON") and "both" not in every
    return tuple(
        channel._replace(part=every[:k].count(channel.holds) if of_pairs else k)
        for k, channel in enumerate(found)
    )


def _seen(empty: float, off_low: float, off_high: float, on_low: float, on_high: float) -> Channel:
    """Return what a channel holds whose values are between these with events of one polarity."""
    off, on = (
        low != empty or high != empty for low, high in ((off_low, off_high), (on_low, on_high))
    )
    if off != on:
        return Channel("OFF" if off else "ON", empty=empty)
    signed = off_low < empty < on_high and off_high <= empty <= on_low
    return Channel("both", signed=bool(signed), empty=empty)


def legend_text(legend: Sequence[Channel]) -> str:
    """Return a legend in words.

    Examples
    --------
    >>> legend_text(pairs()), legend_text(singles(signed=True))
    ('OFF, ON', 'ON − OFF')
    >>> legend_text(pairs(3, polarity_major=True)), legend_text(singles(5))
    ('OFF of parts 0 to 2, ON of parts 0 to 2', 'both polarities of parts 0 to 4')
    >>> legend_text(pairs(3))
    'OFF, ON of each of parts 0 to 2'
    """
    parts = 1 + max((channel.part for channel in legend), default=0)
    if parts > 1 and tuple(legend) == pairs(parts):
        return f"OFF, ON of each of parts 0 to {parts - 1}"
    return ", ".join(_runs(legend, parts))


def _runs(legend: Sequence[Channel], parts: int) -> Iterator[str]:
    """Yield the words for channels that follow each other and differ in their part alone."""
    first = 0
    for k in range(1, len(legend) + 1):
        going = k < len(legend) and legend[k] == legend[k - 1]._replace(part=legend[k - 1].part + 1)
        if going:
            continue
        words = {"both": "ON − OFF" if legend[first].signed else "both polarities"}
        text = words.get(legend[first].holds, legend[first].holds)
        low, high = legend[first].part, legend[k - 1].part
        if parts > 1:
            text += f" of part {low}" if low == high else f" of parts {low} to {high}"
        yield text
        first = k
