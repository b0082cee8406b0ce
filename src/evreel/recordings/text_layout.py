"""What the columns of a text of events are, by what is declared, its header, or its first lines.

Empty lines, and those that begin with ``#``, ``%`` or ``//``, are comments. Which column is which
is declared (`declared`), or is recognised:

- by a header, or a last comment, with their names, such as ``timestamp_us,x,y,polarity``, which may
  give the unit of t. No field of a header is a number
- else by four columns of numbers, of which only one of the usual orders makes sense: t x y p
  (RPG's events.txt), x y p t (metavision_file_to_csv), x y t p. Polarities are 0 and 1, or −1 and
  1; times never go back

Where nothing says the unit of t, times with at least four decimals are seconds; whole numbers are
microseconds, or nanoseconds if they are too far from 0 for that. If anything else would do as well,
it is an error that says what to declare. A first line of two numbers is the sensor's width and
height, as for E2VID; a header may have them, as faery's ``t,x@240,y@180,on``; so may a comment
before all events, as `evreel.exports.csv` writes it: ``# sensor 240x180``.

Sources: https://rpg.ifi.uzh.ch/davis_data.html; https://github.com/uzh-rpg/rpg_e2vid;
https://docs.prophesee.ai, metavision_file_to_csv; https://github.com/aestream/faery.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from evreel.errors import EvreelError, UnknownFormatError
from evreel.events import Sensor
from evreel.recordings.columns import columns_by_name, time_unit
from evreel.recordings.declared import ROLES, SAID, Declaration, in_words
from evreel.timebase import FARTHEST

LINES = 1_000
"""Lines with events that are looked at, at most."""

_LEAST_DECIMALS = 4  # of seconds; fewer may be of milliseconds
_LEAST_TIMES = 50  # that are whole milliseconds, to take them for another unit
_ORDERS = tuple(tuple(order) for order in ("txyp", "xypt", "xytp"))
_SHOWN = 3
_LONGEST_NUMBER = 60
_COMMENT = re.compile(r"\s*(#|%|//)")
_FIELD = re.compile(r'[^\s,;"]+')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_SIZED = re.compile(r"([xy])@([0-9]{1,9})")
_SIZE_COMMENT = re.compile(r"# sensor ([0-9]{1,9})x([0-9]{1,9})\s*")
_SIZE = re.compile(r"\s*([0-9]{1,9})[\s,;]+([0-9]{1,9})\s*")


class Layout(NamedTuple):
    """What is known of a text's lines.

    Parameters
    ----------
    order : what each column is: ``t``, ``x``, ``y``, ``p``, or ``-``.
    unit : of t.
    separator : of columns: a comma, which stands for a semicolon too, a tab, or any blanks.
    start : byte of the first line that may have an event.
    line : number of lines before that.
    sensor : size that the text states.
    rounds : whether times with a fraction of a microsecond are rounded.
    """

    order: tuple[str, ...]
    unit: str
    separator: str
    start: int
    line: int
    sensor: Sensor | None
    rounds: bool


class UnclearError(UnknownFormatError):
    """A text of which it is not clear what its columns are."""


class _Line(NamedTuple):
    """A line: its text, its first byte, and how many lines are before it."""

    text: str
    start: int
    number: int


def recognised(
    sample: bytes, whole: bool, said: Declaration | None, given: Sensor | None
) -> Layout:
    r"""Return what the first bytes of a text tell of its lines.

    Parameters
    ----------
    sample
        The first bytes, in UTF-8; or all of them if `whole`.
    said
        What is declared of the columns.
    given
        The sensor's size, if it is known.

    Raises
    ------
    UnclearError
        If more must be declared; with the first lines, and what to declare.

    Examples
    --------
    >>> recognised(b"0.0001 7 2 1\n0.0002 0 1 0\n", True, None, None)[:2]
    (('t', 'x', 'y', 'p'), 's')
    """
    sensor = None
    comment, number = "", 0  # the last comment before the first of the other lines
    plain: list[_Line] = []
    for line in _lines(sample, whole):
        number += 1
        if _COMMENT.match(line.text):
            comment = comment if plain else line.text
            if not plain and (size := _SIZE_COMMENT.fullmatch(line.text)):
                sensor = _sensor(size[1], size[2], f"line {line.number + 1}")
        elif line.text.strip():
            plain.append(line)
        if len(plain) > LINES + 2:
            break
    if plain and (size := _SIZE.fullmatch(plain[0].text)):
        sensor = _sensor(size[1], size[2], f"line {plain[0].number + 1}")
        plain = plain[1:]
    first = plain[0] if plain else None
    names: list[str] = []
    if first is not None and _is_header(first.text):
        names = _fields_of(first.text)
        plain = plain[1:]
    else:
        last = _COMMENT.sub("", comment, count=1).lstrip("#%/ ")
        names = _fields_of(last) if _is_header(last) and isinstance(_by_header(last), tuple) else []
    separator = separator_of(plain[0].text if plain else first.text if first else "")
    rows = [fields(line.text, separator) for line in plain[:LINES]]
    if not whole and len(plain) <= LINES:
        rows = rows[:-1] or rows  # the last line may be cut off
    if first is not None and not _is_header(first.text) and names and len(names) != len(rows[0]):
        names = []
    sized = {match[1]: match[2] for name in names if (match := _SIZED.fullmatch(name)) is not None}
    if sized.keys() == {"x", "y"}:
        sensor = _sensor(sized["x"], sized["y"], "its header")
        names = [_SIZED.sub(r"\1", name) for name in names]
    order, unit = _order(names, rows, said, given)
    unit = unit or _unit(order, rows)
    plain_us = said is None or said.columns["t"].is_plain
    rounds = unit != "us" or not plain_us
    at = plain[0] if plain else _Line("", len(sample), number)
    return Layout(order, unit, separator, at.start, at.number, sensor, rounds)


def _lines(sample: bytes, whole: bool) -> Iterator[_Line]:
    """Yield lines, without a mark of the byte order, and not what follows the last whole one."""
    at = 3 if sample.startswith(b"\xef\xbb\xbf") else 0
    stop = len(sample) if whole else sample.rfind(b"\n") + 1
    number = 0
    while at < stop:
        end = sample.find(b"\n", at, stop)
        end = stop if end < 0 else end
        yield _Line(sample[at:end].decode("utf-8", "replace"), at, number)
        at, number = end + 1, number + 1


def separator_of(line: str) -> str:
    """Return what separates the columns of a line: a comma (or semicolon), a tab, or any blanks."""
    if "," in line or ";" in line:
        return ","
    return "\t" if line.strip().count("\t") >= len(ROLES) - 1 else " "


def fields(line: str, separator: str) -> list[str]:
    """Return the columns of a line; only where blanks separate them, they have none inside."""
    plain = line.strip()
    if separator == " ":
        return _FIELD.findall(plain)
    found = re.split(r"[,;]" if separator == "," else r"[\t,;]", plain)
    if not found[-1].strip():
        found.pop()
    return [field.strip().strip('"') for field in found]


def _fields_of(line: str) -> list[str]:
    return fields(line, separator_of(line))


def _is_header(line: str) -> bool:
    """Return whether a line has names, and no number."""
    found = _fields_of(line)
    return bool(found) and not any(map(_is_value, found))


def _sensor(width: str, height: str, where: str) -> Sensor:
    try:
        return Sensor.checked(int(height), int(width))
    except EvreelError as error:
        raise UnclearError(
            f"{where} states a sensor of {width}x{height} px: {error.problem}",
            hint="Correct it, or remove that line, and give the size: --sensor WIDTHxHEIGHT.",
        ) from None


def _order(
    names: list[str], rows: list[list[str]], said: Declaration | None, given: Sensor | None
) -> tuple[tuple[str, ...], str]:
    """Return what each column is, and the unit of t if it is said."""
    of_header = _by_header(*names) if names else ""
    if said is not None:
        order = said.order or _at_places(said, names, rows)
        unit = said.columns["t"].unit
        return order, unit or (of_header[1] if isinstance(of_header, tuple) else "")
    if isinstance(of_header, tuple):
        return of_header
    if of_header:
        raise _unclear(f"{of_header} among {', '.join(names)}", rows, [])
    n = len(rows[0]) if rows else 0
    fitting = [order for order in _ORDERS if n == len(order) and _fits(order, rows, given)]
    if not fitting:  # maybe it is the size that does not fit
        fitting = [order for order in _ORDERS if n == len(order) and _fits(order, rows, None)]
    if len(fitting) == 1:
        return fitting[0], ""
    problem = f"has {n} columns, of which it is not clear what they are"
    raise _unclear(problem if n else "is a text without a line of numbers", rows, fitting)


def _at_places(said: Declaration, names: list[str], rows: list[list[str]]) -> tuple[str, ...]:
    """Return what each column is, where each has a place: a header's name, or a number from 0."""
    n = len(names) or (len(rows[0]) if rows else 0)
    order = ["-"] * n
    for role, column in said.columns.items():
        place = column.name
        if column.part is not None or column.shift_name:
            more = column.shift_name or f"[{column.part}]"
            raise UnclearError(
                f"is a text, in which there is nothing like {more}",
                hint=f"Declare a header's name, or a column's number from 0 ({SAID}).",
            )
        if column.shift.denominator != 1:
            raise UnclearError(
                f"is a text, in which {role} can be shifted by whole microseconds or pixels alone",
                hint=f"Declare another shift ({SAID}).",
            )
        if place in names:
            k = names.index(place)
        elif place.isdecimal() and len(place) < 6 and int(place) < n:
            k = int(place)
        else:
            known = ", ".join(names) or f"columns 0 to {n - 1}"
            raise _unclear(f"has no column {place} among {known}", rows, [])
        if order[k] != "-":
            raise UnclearError(
                f"has one column {place} that is declared to be both {order[k]} and {role}",
                hint=f"Declare a column for each ({SAID}).",
            )
        order[k] = role
    return tuple(order)


def _fits(order: tuple[str, ...], rows: list[list[str]], given: Sensor | None) -> bool:
    """Return whether an order makes sense of all lines that have as many columns."""
    last: Decimal | None = None
    off = set()
    for row in rows:
        if len(row) != len(order):
            continue  # which is an error of that line, and tells nothing of the order
        values = dict(zip(order, map(_value, row), strict=True))
        is_mixed = len({"." in field for field in row}) == 2
        for role in "xy":
            if is_mixed and "." in row[order.index(role)]:
                return False
            value, most = values[role], 1 << 16
            if given is not None:
                most = given.width if role == "x" else given.height
            if value is None or not 0 <= value < most or value != int(value):
                return False
        t, p = values["t"], values["p"]
        if t is None or (last is not None and t < last) or p not in (0, 1, -1):
            return False
        last = t
        if p != 1:
            off.add(p)
    return len(off) < 2


def _unit(order: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return the unit of t that its numbers tell."""
    column = order.index("t")
    written = [row[column] for row in rows if column < len(row)]
    times = {field: value for field in written if (value := _value(field)) is not None}
    decimals = max((_decimals(field, value) for field, value in times.items()), default=0)
    if decimals >= _LEAST_DECIMALS:
        return "s"
    if decimals:
        problem = f"has times with {decimals} decimal{'s' * (decimals > 1)}, of no stated unit"
        raise _unclear(problem, rows, [order], ("s", "ms", "us"))
    if any(abs(value) > FARTHEST for value in times.values()):
        return "ns"
    distinct = {value for value in times.values() if value}
    if len(distinct) >= _LEAST_TIMES and all(value % 1000 == 0 for value in distinct):
        problem = "has times of no stated unit, which are all whole thousands"
        raise _unclear(problem, rows, [order], ("us", "ns"))
    return "us"


def _unclear(
    problem: str,
    rows: Sequence[Sequence[str]],
    orders: Sequence[tuple[str, ...]],
    units: Sequence[str] = (),
) -> UnclearError:
    """Return the error for a text of which something must be declared."""
    shown = "; ".join(" ".join(row)[:80] for row in rows[:_SHOWN])
    if not units:
        units = ["s" if rows and any("." in field for field in rows[0]) else "us"]
    more = ("-",) * max((len(rows[0]) if rows else 0) - len(ROLES), 0)
    first = [order if len(order) > len(ROLES) else order + more for order in orders or _ORDERS[:2]]
    said = [in_words(order, unit) for order in first for unit in units]
    return UnclearError(
        f"{problem}; it begins: {shown}" if shown else problem,
        offset=0,
        hint=f"Declare its columns ({SAID}), such as {' or '.join(said)}; the unit of t is s, ms, "
        "us or ns.",
    )


def _is_value(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None or field.lower() in ("true", "false")


def _value(field: str) -> Decimal | None:
    """Return a field's number, None if it has none that an event may have."""
    if field.lower() in ("true", "false"):
        return Decimal(field.lower() == "true")
    if len(field) > _LONGEST_NUMBER or not _NUMBER.fullmatch(field):
        return None
    value = Decimal(field)
    return value if value == 0 or -40 < value.adjusted() < 20 else None


def _decimals(field: str, value: Decimal) -> int:
    """Return how many decimals a number has: as written, or with an exponent, those that count."""
    if "e" not in field.lower():
        return len(field.partition(".")[2])
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _by_header(*names: str) -> tuple[tuple[str, ...], str] | str:
    """Return what columns with these names are and the unit of t, or what is wrong.

    One name is a line of them.

    Examples
    --------
    >>> _by_header("timestamp [us]", "x", "y", "polarity")
    (('t', 'x', 'y', 'p'), 'us')
    >>> _by_header("x,y,p,t_ns,id")
    (('x', 'y', 'p', 't', '-'), 'ns')
    """
    listed = list(names) if len(names) > 1 else _fields_of(*names)
    plain, unit = [], ""
    for name in listed:
        known = _SIZED.sub(r"\1", name.strip()).lower()
        of_time = time_unit(known)
        if of_time is not None:
            known, unit = "t", of_time or unit
        plain.append(known)
    by_role = columns_by_name(plain)
    if isinstance(by_role, str):
        return by_role
    roles = {plain.index(name): role for role, name in by_role.items()}
    return tuple(roles.get(k, "-") for k in range(len(listed))), unit
