"""What the channels of a frame hold: a polarity, and the bin, stack or window that it is of.

Values do not say so: four channels may be OFF and ON of two bins, in one of two orders, or four
bins of both polarities. A representation says it by its property `legend`, and whoever shows a
frame, or lists what there is, reads it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Holds = Literal["OFF", "ON", "both"]


class Channel(NamedTuple):
    """What one channel holds.

    Parameters
    ----------
    holds : events of polarity ``OFF`` or ``ON``, or of ``both``.
    part : number of the bin, stack or window that it is of, from 0.
    signed : whether its values are positive for ON and negative for OFF; None if that is not known.
    """

    holds: Holds
    part: int = 0
    signed: bool | None = False


Legend = tuple[Channel, ...]
"""A `Channel` for each channel of a frame, in order."""


def pairs(parts: int = 1, *, polarity_major: bool = False) -> Legend:
    """Return OFF and ON of each part.

    Parameters
    ----------
    parts
        How many.
    polarity_major
        Whether all of OFF come before all of ON; else OFF and ON of a part follow each other.

    Examples
    --------
    >>> [(channel.holds, channel.part) for channel in pairs(2)]
    [('OFF', 0), ('ON', 0), ('OFF', 1), ('ON', 1)]
    >>> [(channel.holds, channel.part) for channel in pairs(2, polarity_major=True)]
    [('OFF', 0), ('OFF', 1), ('ON', 0), ('ON', 1)]
    """
    off, on = ([Channel(holds, part) for part in range(parts)] for holds in ("OFF", "ON"))
    if polarity_major:
        return (*off, *on)
    return tuple(channel for pair in zip(off, on, strict=True) for channel in pair)


def singles(parts: int = 1, *, signed: bool | None = False) -> Legend:
    """Return one channel of both polarities for each part.

    Examples
    --------
    >>> singles(2, signed=True)[1]
    Channel(holds='both', part=1, signed=True)
    """
    return tuple(Channel("both", part, signed) for part in range(parts))


def guessed(channels: int, dtype: str, parameters: Mapping[str, Any]) -> Legend:
    """Return what channels probably hold, of a representation that does not say so.

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
