"""The fields of messages of events, read at once where messages are laid out alike."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from evreel.recordings.ros.definitions import (
    NUMBERS,
    Kind,
    Many,
    Number,
    Reader,
    Rows,
    Struct,
    Text,
)

_LENGTH = NUMBERS["uint32"]
_LONGEST = 1 << 12
"""Bytes in front of events, at most, that are read at once."""
_NUMBERS = (
    *("height", "width", "header.stamp.sec", "header.stamp.nanosec"),
    *("seq", "time_base", "is_bigendian"),
)


class Found(NamedTuple):
    """The fields of a message of events; those that it does not have are None.

    Parameters
    ----------
    events : where its events are.
    frame : name of the camera's frame.
    encoding : of its events, if they are packed.
    height, width : of the sensor, px; 0 if not stated.
    sec, nanosec : its header's stamp.
    seq : its number.
    time_base : ns from which its events count.
    is_bigendian : whether they are.
    """

    events: Rows
    frame: bytes
    encoding: bytes | None
    height: int
    width: int
    sec: int
    nanosec: int
    seq: Any = None
    time_base: Any = None
    is_bigendian: Any = None


class _Shape(NamedTuple):
    """How the fields in front of the events are laid out in a message.

    Parameters
    ----------
    form : what reads them all, the number of events last.
    texts, said : function that takes lengths and bytes of texts from them, and what these were.
    frame, encoding : as `Found` has them.
    first, size, step : at which byte the first event is, bytes of it, and of any other.
    """

    form: struct.Struct
    texts: Callable[[tuple[Any, ...]], Any]
    said: Any
    frame: bytes
    encoding: bytes | None
    first: int
    size: int
    step: int


class EventFields:
    """Reads the fields of messages of events.

    A message whose texts are those of the one before is laid out as that. Its values are then read
    at once, in a tenth of the time that they take one by one. So it is only if the events are
    last, because what follows would not be checked, and if there are only numbers and texts before.

    Parameters
    ----------
    of : the fields of a message, which `check_fields` found to be right.
    """

    def __init__(self, of: Struct) -> None:
        self._of = of
        self._is_packed = isinstance(of.kind("encoding"), Text) and not _has_structs(of)
        self._shape: _Shape | None = None
        *before, (last, _) = of.fields
        leaves = list(_leaves(before, ""))
        kinds = dict(leaves)
        are_plain = all(isinstance(kind, Number) or kind == Text() for kind in kinds.values())
        are_numbers = all(isinstance(kinds.get(name, _LENGTH), Number) for name in _NUMBERS)
        self._leaves = leaves if last == "events" and are_plain and are_numbers else []
        places: dict[str, int] = {}
        n_values = 0
        for name, kind in self._leaves:
            places[name] = n_values
            n_values += 2 if isinstance(kind, Text) else 1
        # After the values come the number of events and None, which missing fields are.
        self._pick = itemgetter(*(places.get(name, n_values + 1) for name in _NUMBERS))
        self._texts = [places[name] for name, kind in self._leaves if isinstance(kind, Text)]

    def read(self, reader: Reader) -> Found:
        """Return the fields of a message.

        Raises
        ------
        FieldError
            If it is too short.
        """
        shape, data = self._shape, reader.data
        if shape is not None and len(data) >= shape.first:
            values = shape.form.unpack_from(data)
            n = values[-1]
            if (
                n
                and shape.texts(values) == shape.said
                and shape.first + shape.size + (n - 1) * shape.step <= len(data)
            ):
                return Found(
                    Rows(shape.first, n),
                    shape.frame,
                    shape.encoding,
                    *self._pick((*values, None)),
                )
        return self._by_fields(reader)

    def _by_fields(self, reader: Reader) -> Found:
        values = reader.fields(self._of)
        header = values["header"]
        frame = header.get("frame_id")
        found = Found(
            values["events"],
            frame if isinstance(frame, bytes) else b"",
            values["encoding"] if self._is_packed else None,
            values["height"],
            values["width"],
            header["stamp"]["sec"],
            header["stamp"]["nanosec"],
            *(values.get(name) for name in ("seq", "time_base", "is_bigendian")),
        )
        if self._leaves and found.events.n:
            self._shape = self._shape_of(reader, found)
        return found

    def _shape_of(self, reader: Reader, found: Found) -> _Shape | None:
        """Return how a message is laid out that was read."""
        *lengths, (n_at, _) = reader.lengths
        if n_at > _LONGEST:
            return None
        sizes = iter(lengths)
        at, codes = reader.start, [f"<{reader.start}x"]
        for _, kind in [*self._leaves, ("events", _LENGTH)]:
            begin = reader.first(kind, at)
            codes.append(f"{begin - at}x")
            if isinstance(kind, Number):
                codes.append(kind.code)
                at = begin + kind.size
            else:
                _, size = next(sizes)
                codes.append(f"{_LENGTH.code}{size}s")
                at = begin + _LENGTH.size + size
        form = struct.Struct("".join(codes))
        texts = _taker(self._texts)
        events = self._of.kind("events")
        spaced = reader.spacing(events.item, found.events.at) if isinstance(events, Many) else None
        if form.size != n_at + _LENGTH.size or spaced is None:
            return None
        said = texts(form.unpack_from(reader.data))
        return _Shape(form, texts, said, found.frame, found.encoding, found.events.at, *spaced)


def _leaves(fields: Sequence[tuple[str, Kind]], group: str) -> Iterator[tuple[str, Kind]]:
    """Yield the fields that have no others in them, by their paths."""
    for name, kind in fields:
        if isinstance(kind, Struct):
            yield from _leaves(kind.fields, f"{group}{name}.")
        else:
            yield f"{group}{name}", kind


def _has_structs(of: Struct) -> bool:
    events = of.kind("events")
    return isinstance(events, Many) and isinstance(events.item, Struct)


def _taker(places: list[int]) -> Callable[[tuple[Any, ...]], Any]:
    """Return a function that takes lengths and bytes of texts from values."""
    if not places:
        return lambda values: ()
    return itemgetter(*(place for first in places for place in (first, first + 1)))
