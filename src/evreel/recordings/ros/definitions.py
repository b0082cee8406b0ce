"""Where the fields of a message are: definitions of message types, and a reader by them.

ROS 1 packs fields without gaps. ROS 2 uses CDR: after four bytes, the last two of no meaning here,
each number is at a multiple of its size, counted from there. A text or sequence has its length in
front (uint32); in CDR, that of a text counts the zero byte at its end.

Sources: http://wiki.ros.org/msg for ROS 1; the Object Management Group's DDS-XTypes, section 7.4,
for CDR ("plain CDR", XCDR version 1), which is what ROS 2 writes.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from evreel.errors import UnknownFormatError, UsageError, foreign

INSTALL = "Run pip install 'evreel[ros]'."
DEFINITION_LIMIT = 1 << 18
"""Characters of a definition, with all that it refers to."""
_IDL_LIMIT = 1 << 15
_PLAIN_LIMIT = 1 << 13
"""Characters of it without comments and constants; those of ROS have up to some 10³."""
_CDR_FORMS = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11)
"""Second byte of messages in CDR: big-endian where even, with lists of parameters from 2 on, and in
the second version from 6 on."""
_MOST_TYPES = 64
_DEEPEST = 16
_MOST_FIELDS = 1_000

_TIME = "builtin_interfaces/msg/Time"
_DURATION = "builtin_interfaces/msg/Duration"
_HEADER_1 = (("seq", "uint32"), ("stamp", _TIME), ("frame_id", "string"))
_HEADER_2 = (("stamp", _TIME), ("frame_id", "string"))
_SIZED = (("header", "std_msgs/msg/Header"), ("height", "uint32"), ("width", "uint32"))
_EVENT = (("x", "uint16"), ("y", "uint16"), ("ts", _TIME), ("polarity", "bool"))
_PACKET = (
    *_SIZED,
    *(("seq", "uint64"), ("time_base", "uint64"), ("encoding", "string")),
    *(("is_bigendian", "bool"), ("events", "uint8[]")),
)
_KNOWN = {
    "dvs_msgs/msg/Event": _EVENT,
    "dvs_msgs/msg/EventArray": (*_SIZED, ("events", "dvs_msgs/msg/Event[]")),
    "prophesee_event_msgs/msg/Event": _EVENT,
    "prophesee_event_msgs/msg/EventArray": (*_SIZED, ("events", "dvs_msgs/msg/Event[]")),
    "event_camera_msgs/msg/EventPacket": _PACKET,
    "event_array_msgs/msg/EventArray": _PACKET,
}
"""Fields of messages that a bag need not define: ROS 2 has stored definitions only since Iron."""


class Number(NamedTuple):
    """A number, by its code in `struct`, and its bytes."""

    code: str
    size: int


class Text(NamedTuple):
    """A text; or one of wide characters, which cannot be read."""

    is_wide: bool = False


class Many(NamedTuple):
    """Several of a kind; `n` is None where the message says how many."""

    item: Kind
    n: int | None


@dataclass(frozen=True)
class Struct:
    """Fields, in their order; `leaves` is how many there are in all."""

    name: str
    fields: tuple[tuple[str, Kind], ...]
    leaves: int

    __hash__ = object.__hash__  # many are looked up, and equal ones are the same

    def kind(self, path: str) -> Kind | None:
        """Return the kind of a field, or of one in it: ``header.stamp``; None if there is none."""
        name, _, rest = path.partition(".")
        kind = dict(self.fields).get(name)
        if not rest:
            return kind
        return kind.kind(rest) if isinstance(kind, Struct) else None

    def is_time(self, path: str) -> bool:
        """Tell whether a field is a time."""
        kind = self.kind(path)
        return isinstance(kind, Struct) and kind.name == _TIME


_CODES = {
    **dict.fromkeys(("bool", "byte", "octet", "char", "uint8"), "B"),
    **{"int8": "b", "uint16": "H", "int16": "h", "uint32": "I", "int32": "i"},
    **{"uint64": "Q", "int64": "q", "float32": "f", "float64": "d"},
}
NUMBERS = {name: Number(code, struct.calcsize(f"<{code}")) for name, code in _CODES.items()}
"""Type of a field → what kind of number it is."""
_LENGTH = NUMBERS["uint32"]

Kind: TypeAlias = Number | Text | Many | Struct


class Rows(NamedTuple):
    """A sequence of a fixed size in a message: where it begins, and how many items there are."""

    at: int
    n: int


class FieldError(Exception):
    """A message does not have the bytes that its definition asks for, or values that make sense.

    If `is_whole`, nothing is wrong with it, but it is coded in a way that cannot be read. `place`
    is that of the message, if it is not the one that was read last.
    """

    def __init__(
        self,
        problem: str,
        hint: str | None = None,
        *,
        is_whole: bool = False,
        place: int | None = None,
    ) -> None:
        super().__init__(problem)
        self.hint, self.is_whole, self.place = hint, is_whole, place


class Reader:
    """Reads the fields of a message.

    Parameters
    ----------
    data : the message.
    is_cdr : whether it is in CDR, as in ROS 2, rather than packed, as in ROS 1.

    Attributes
    ----------
    data
        The message.
    start
        The byte from which on fields come.
    at
        The byte up to which it was read.
    lengths
        Of the texts and sequences so far: at which byte one is stated, and the length.
    """

    def __init__(self, data: memoryview, is_cdr: bool) -> None:
        self.data = data
        self.lengths: list[tuple[int, int]] = []
        self._is_cdr = is_cdr
        self.start = self.at = 4 if is_cdr else 0
        if is_cdr and (len(data) < 4 or data[0] or data[1] != 1):
            said = f"begins with {bytes(data[:4])!r}, not as little-endian CDR does"
            if len(data) < 4 or data[0] or data[1] not in _CDR_FORMS:
                raise FieldError(said)
            form = "in big-endian CDR" if data[1] == 0 else "in another form of CDR"
            raise FieldError(
                f"{said}: it is {form}",
                "Record it with a middleware that writes little-endian CDR, as those of ROS 2 do "
                "by default on common machines, or write the bag again in it.",
                is_whole=True,
            )

    def fields(self, of: Struct, last: str | None = None) -> dict[str, Any]:
        """Return the values of fields, up to the one named `last`, or of all.

        A number is an int or a float, a text bytes, a group of fields a dict; a sequence or array
        of items that are all as long is `Rows`, and any other is left out.
        """
        found = {}
        for name, kind in of.fields:
            found[name] = self.value(kind)
            if name == last:
                break
        return found

    def value(self, kind: Kind) -> Any:
        """Return the next value, as `fields` does."""
        if isinstance(kind, Number):
            at = self._aligned(self.at, kind)
            self._move(at + kind.size)
            return struct.unpack_from(f"<{kind.code}", self.data, at)[0]
        if isinstance(kind, Struct):
            return self.fields(kind)
        if isinstance(kind, Text):
            return self._text(kind)
        return self._items(kind.item, self._length() if kind.n is None else kind.n)

    def _length(self) -> int:
        n: int = self.value(_LENGTH)
        self.lengths.append((self.at - _LENGTH.size, n))
        return n

    def _text(self, kind: Text) -> bytes:
        if kind.is_wide:
            raise FieldError("has a text of wide characters before its data")
        n = self._length()
        at = self.at
        self._move(at + n)
        return bytes(self.data[at : at + n]).rstrip(b"\0")

    def _items(self, item: Kind, n: int) -> Rows | None:
        first = self.first(item, self.at) if n else self.at
        spaced = self.spacing(item, first)
        if spaced is None:
            if n > len(self.data):
                raise FieldError(f"has {n} items in {len(self.data)} bytes")
            for _ in range(n):
                self.value(item)
            return None
        size, step = spaced
        if n:
            self._move(first + size + (n - 1) * step)
        return Rows(first, n)

    def first(self, kind: Kind, at: int) -> int:
        """Return where a value begins whose room begins at a byte."""
        while not isinstance(kind, Number):
            if isinstance(kind, Text) or (isinstance(kind, Many) and kind.n is None):
                return self._aligned(at, _LENGTH)
            kind = kind.item if isinstance(kind, Many) else kind.fields[0][1]
        return self._aligned(at, kind)

    def spacing(self, kind: Kind, at: int) -> tuple[int, int] | None:
        """Return the bytes of the first of several values, and of each after it; None if they vary.

        The first one may begin at another place between multiples of 8 than the others, and so
        have other gaps. The second and all after it begin alike: after the largest number in a
        value, where it began makes no difference.
        """
        end = self.end(kind, at)
        if end is None:
            return None
        after = self.end(kind, end)
        assert after is not None
        return end - at, after - end

    def end(self, kind: Kind, at: int) -> int | None:
        """Return where a value ends whose room begins at a byte; None if it has no fixed size."""
        size = _size(kind, (at - self.start) % 8 if self._is_cdr else None)
        return None if size is None else at + size

    def places(self, of: Struct, at: int) -> dict[str, int]:
        """Return where each field of a group begins whose room begins at a byte."""
        found = {}
        for name, kind in of.fields:
            found[name] = self.first(kind, at)
            end = self.end(kind, at)
            assert end is not None
            at = end
        return found

    def _aligned(self, at: int, kind: Number) -> int:
        return at + -(at - self.start) % kind.size if self._is_cdr else at

    def _move(self, at: int) -> None:
        if at > len(self.data):
            raise FieldError(f"ends after {len(self.data)} bytes, within its fields")
        self.at = at


@functools.lru_cache(1 << 12)
def _size(kind: Kind, phase: int | None) -> int | None:
    """Return the bytes of a value, with the gaps in and before it; None if they vary.

    Parameters
    ----------
    phase
        Where its room begins, from a multiple of 8 on; None if values are packed.
    """
    if isinstance(kind, Number):
        return kind.size + (-phase % kind.size if phase is not None else 0)
    if isinstance(kind, Text) or (isinstance(kind, Many) and kind.n is None):
        return None
    total = 0
    if isinstance(kind, Struct):
        for _, part in kind.fields:
            size = _size(part, None if phase is None else (phase + total) % 8)
            if size is None:
                return None
            total += size
        return total
    if kind.n == 0:
        return 0
    first = _size(kind.item, phase)
    if first is None or kind.n is None:
        return None
    after = _size(kind.item, None if phase is None else (phase + first) % 8)
    return None if after is None else first + (kind.n - 1) * after


def has_fixed_size(kind: Kind) -> bool:
    """Tell whether all values of a kind have as many bytes, but for gaps."""
    return _size(kind, None) is not None


class Definitions:
    """Message types of one bag.

    Parameters
    ----------
    path : the bag, which errors name.
    is_ros1 : whether its messages are those of ROS 1: then types that it does not define are, too.
    """

    def __init__(self, path: Path, is_ros1: bool) -> None:
        self._path = path
        self._is_ros1 = is_ros1
        self._structs: dict[tuple[str, str, str], Struct] = {}

    def struct(self, name: str, coding: str, text: str) -> Struct:
        """Return the fields of a type; the same object for equal ones.

        Parameters
        ----------
        name
            Of the type, as in ROS 2: ``package/msg/Name``.
        coding
            How the definition is written: ``msg``, ``idl``, or an empty text.
        text
            The definition, followed by those of the types that it uses; empty if there is none.

        Raises
        ------
        UnknownFormatError
            If it cannot be understood, or the bag has none and it is not known.
        """
        key = name, coding, text
        if key not in self._structs:
            if len(self._structs) == _MOST_TYPES:
                raise self._unknown(name, f"is one of more than {_MOST_TYPES}")
            given = self._parsed(name, coding, text) if text else {}
            made = self._struct(name, {**_others(self._is_ros1), **given}, 0)
            self._structs[key] = next((one for one in self._structs.values() if one == made), made)
        return self._structs[key]

    def _parsed(self, name: str, coding: str, text: str) -> Mapping[str, Any]:
        limit = DEFINITION_LIMIT if coding == "msg" else _IDL_LIMIT
        if len(text) > limit:
            raise self._unknown(
                name, f"has {len(text):,} characters; at most {limit:,} can be read"
            )
        parsers = _rosbags()
        plain = _without_comments(text) if coding == "msg" else _plain_idl(text)
        # Time grows with the square of its length.
        if plain is None or len(plain) > _PLAIN_LIMIT:
            raise self._unknown(name, "is longer, or more involved, than those of ROS")
        with foreign(lambda why: self._unknown(name, f"cannot be understood: {why}")):
            if coding == "msg":
                return {key: value[1] for key, value in parsers.msg(plain, name).items()}
            return {key: value[1] for key, value in parsers.idl(plain).items()}

    def _struct(self, name: str, types: Mapping[str, Any], depth: int) -> Struct:
        if name in (_TIME, _DURATION):
            # Seconds of a time are unsigned in ROS 1, and ns of a duration are signed there.
            s = NUMBERS["uint32" if self._is_ros1 and name == _TIME else "int32"]
            ns = NUMBERS["int32" if self._is_ros1 and name == _DURATION else "uint32"]
            return Struct(name, (("sec", s), ("nanosec", ns)), 2)
        if name not in types:
            raise self._unknown(name, "is not in the bag, and it is not one of ROS's own")
        if depth > _DEEPEST:
            raise self._unknown(name, "is within itself, or too deep in others")
        fields = tuple(
            (field, self._kind(described, types, depth)) for field, described in types[name]
        )
        if not fields or len(dict(fields)) < len(fields):
            raise self._unknown(name, "has no fields" if not fields else "has a field twice")
        leaves = sum(_leaves(kind) for _, kind in fields)
        if leaves > _MOST_FIELDS:
            raise self._unknown(name, f"has more than {_MOST_FIELDS} fields")
        return Struct(name, fields, leaves)

    def _kind(self, described: Any, types: Mapping[str, Any], depth: int) -> Kind:
        """Return the kind of a field, as rosbags or `_KNOWN` describes it."""
        if isinstance(described, str):
            if described.endswith("[]"):
                return Many(self._kind(described[:-2], types, depth), None)
            if described in NUMBERS:
                return NUMBERS[described]
            return Text() if described == "string" else self._struct(described, types, depth + 1)
        node, of = int(described[0]), described[1]
        if node == _BASE:
            if of[0] in ("string", "wstring"):
                return Text(is_wide=of[0] == "wstring")
            if of[0] not in NUMBERS:
                raise self._unknown(of[0], "is not a type that can be read")
            return NUMBERS[of[0]]
        if node == _NAME:
            return self._struct(of, types, depth + 1)
        return Many(self._kind(of[0], types, depth), of[1] if node == _ARRAY else None)

    def _unknown(self, name: str, why: str) -> UnknownFormatError:
        return UnknownFormatError(
            f"its definition of message type {name} {why}",
            path=self._path,
            hint="Record it with the message package that its topic uses, or write the bag again "
            "with rosbags.",
        )


_BASE, _NAME, _ARRAY = 1, 2, 3  # kinds of fields in rosbags


def _leaves(kind: Kind) -> int:
    if isinstance(kind, Struct):
        return kind.leaves
    return _leaves(kind.item) if isinstance(kind, Many) else 1


class _Parsers(NamedTuple):
    msg: Any
    idl: Any
    store: Any


@functools.cache
def _rosbags() -> _Parsers:
    try:
        from rosbags.typesys import (
            Stores,
            get_types_from_idl,
            get_types_from_msg,
            get_typestore,
        )
    except ImportError as error:
        raise UsageError("ROS bags need rosbags, which is not installed", hint=INSTALL) from error

    def store(is_ros1: bool) -> Any:
        return get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.LATEST)

    return _Parsers(get_types_from_msg, get_types_from_idl, store)


def check_installed() -> None:
    """Raise `UsageError` if rosbags is not installed."""
    _rosbags()


@functools.cache
def _others(is_ros1: bool) -> Mapping[str, Any]:
    """Return the fields of types that a bag need not define."""
    standard = _rosbags().store(is_ros1).fielddefs
    own = {"std_msgs/msg/Header": _HEADER_1 if is_ros1 else _HEADER_2}
    return {**{name: fields for name, (_, fields) in standard.items()}, **_KNOWN, **own}


def _without_comments(text: str) -> str:
    """Return a definition in msg without comments and empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#"))


_IDL_EXTRAS = re.compile(
    r"""//[^\n]* | /\*.{0,4096}?\*/ | ^(?:\#|=|IDL:)[^\n]*$
    | @\w+\s*\((?:[^"()]|"(?:[^"\\]|\\.)*"){0,1024}\) | @\w+
    | \bconst\b(?:[^";]|"(?:[^"\\]|\\.)*"){0,1024};""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_IDL_CONSTANTS = re.compile(r"\bmodule\s+\w+\s*\{\s*\}\s*;")


def _plain_idl(text: str) -> str | None:
    """Return a definition in IDL without comments, annotations, constants and separators of files.

    None where it has what takes a parser exponential time, and ROS does not have: parentheses
    elsewhere, and sequences of sequences.
    """
    plain = _IDL_CONSTANTS.sub("", _IDL_EXTRAS.sub("", text))
    is_involved = "(" in plain or re.search(r"<\s*sequence", plain)
    return None if is_involved else _without_comments(plain)


def type_name(name: str) -> str:
    """Return the name of a message type as ROS 2 has it.

    Examples
    --------
    >>> type_name("dvs_msgs/EventArray"), type_name("dvs_msgs/msg/EventArray")
    ('dvs_msgs/msg/EventArray', 'dvs_msgs/msg/EventArray')
    """
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name
