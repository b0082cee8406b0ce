"""Read text: an event a line, its numbers between blanks, commas or semicolons; gzip and zip too.

Empty lines, and those that begin with ``#``, ``%`` or ``//``, are left out. Numbers may have a
fraction and an exponent; they are read exactly, not as floating-point numbers: a time in seconds
becomes the nearest microsecond, one in nanoseconds the microsecond before. A polarity is 1 or True
for ON, 0, −1 or False for OFF.

Which column is which is declared (`declared`), or is recognised:

- by a header or a last comment with their names, such as ``timestamp_us,x,y,polarity``, which may
  give the unit of t
- else by four columns of numbers, of which only one of the usual orders makes sense: t x y p
  (RPG's events.txt), x y p t (metavision_file_to_csv), x y t p. Polarities are 0 and 1, or −1 and
  1; times never go back

Where nothing says the unit of t, times with at least four decimals are seconds; whole numbers are
microseconds, or nanoseconds if they are too far from 0 for that. If anything else would do as well,
reading is an error that says what to declare. A first line of two numbers is the sensor's width and
height, as for E2VID; a header may have them, as faery's ``t,x@240,y@180,on``.

In a zip file, it is the only text (.txt, .csv or .tsv), or the one that is called events.

Sources: https://rpg.ifi.uzh.ch/davis_data.html; https://github.com/uzh-rpg/rpg_e2vid;
https://docs.prophesee.ai, metavision_file_to_csv.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, RecordingError, words_of
from evreel.events import Sensor
from evreel.recordings.columns import ColumnsRecording, Fault, Rows, columns_by_name, whole_numbers
from evreel.recordings.declared import ROLES, SAID, Declaration, converted, in_words
from evreel.recordings.numpy_files import Bounded, NpzRecording
from evreel.recordings.open import TEXT_SUFFIXES
from evreel.timebase import FARTHEST

BLOCK_BYTES = 1 << 20
"""Text that is read at a time: some 50,000 events."""
LINE_BYTES = 1 << 16
"""Size limit of a line."""

_SAMPLE_BYTES = 1 << 16
_SAMPLE_LINES = 1_000
_LEAST_LINE = len("0 0 0 0\n")
_LEAST_DECIMALS = 4  # of seconds; fewer may be of milliseconds
_LEAST_TIMES = 50  # that are whole milliseconds, to take them for another unit
_ORDERS = tuple(tuple(order) for order in ("txyp", "xypt", "xytp"))
_SHOWN = 3
_POWERS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_COMMENT = re.compile(r"\s*(#|%|//)")
_FIELD = re.compile(r'[^\s,;"]+')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")
_UNIT = re.compile(
    r"(?P<name>.+?)[\s_\-]*[\[(_]?(?P<unit>us|µs|μs|usec|microseconds?|ns|nsec|nanoseconds?|ms|msec|"
    r"milliseconds?|s|sec|seconds?)[\])]?",
    re.IGNORECASE,
)
_SIZED = re.compile(r"([xy])@([0-9]{1,9})")  # as faery names columns
_TIMES = ("t", "ts", "time", "times", "timestamp", "timestamps")


class Layout(NamedTuple):
    """What is known of a text's lines.

    Parameters
    ----------
    order : what each column is: ``t``, ``x``, ``y``, ``p``, or ``-``.
    unit : of t.
    separator : of columns: a comma, which stands for a semicolon too, a tab, or any blanks.
    start : byte of the first line with an event.
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


class TextRecording(ColumnsRecording):
    """A text of events; all else as in `ColumnsRecording`.

    Raises
    ------
    UnknownFormatError
        If it is not clear which column is which, or what the unit of t is; with its first lines,
        and what to declare.
    RecordingError
        If a line has no event, with its number; if the compression is damaged.
    """

    format = "text"

    def _open(self) -> Sensor | None:
        self._member = ""
        start = self._bytes(4, 0)
        self._packed = {b"\x1f\x8b": "gzip", b"PK": "zip"}.get(start[:2], "")
        if self._packed == "zip":
            self._member = self._text_of_zip()
        sample, whole = bytearray(), True
        with contextlib.closing(self._blocks()) as blocks:
            for block, _ in blocks:
                sample += block
                if len(sample) >= _SAMPLE_BYTES:
                    whole = False
                    break
        self._layout = self._recognised(bytes(sample), whole)
        self._roles = np.array([ROLES.find(role) for role in self._layout.order], np.int8)
        said = self._declared
        if self._layout.sensor is not None or said is None or self._given is not None:
            return self._layout.sensor
        return said.sensor

    def _vouched(self, name: str) -> bool:
        return False

    def _whole_numbers(
        self, name: str, values: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.integer[Any]], int, str | None]:
        said = self._declared
        if said is None or (said.columns[name].scale == 1 and not said.columns[name].shift):
            return whole_numbers(name, values)
        column = said.columns[name]
        scale = Fraction(1) if name == "t" else column.scale  # the unit of t is undone
        return converted(name, values, column._replace(scale=scale))

    # Bytes

    def _text_of_zip(self) -> str:
        found = texts_of(self._zip())
        if not found:
            self._refuse("is a zip file without a text", 0)
        named = [name for name in found if PurePosixPath(name).stem.lower() == "events"]
        chosen = found if len(found) == 1 else named
        if len(chosen) != 1:
            self._refuse(
                f"is a zip file with {len(found)} texts: {', '.join(found[:20])}",
                0,
                hint=f"Name the one: {self.path.name}!NAME as the source, or `evreel acquire "
                f"'{self.path.name}!NAME' -o FILE`.",
            )
        return chosen[0]

    def _zip(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(Bounded(self._file.fileno(), self._size))
        except MemoryError:
            raise
        except Exception as error:
            self._fail(f"is not a whole zip file: {words_of(error)}", self._size)

    def _blocks(self) -> Generator[tuple[bytes, int], None, None]:
        """Yield the text in blocks, each with the byte of the file where it is, maybe packed."""
        if not self._packed:
            for at in range(0, self._size, BLOCK_BYTES):
                yield self._bytes(BLOCK_BYTES, at), at
            return
        raw = Bounded(self._file.fileno(), self._size)
        at, size = 0, 0
        parts: list[bytes] = []
        try:
            with contextlib.ExitStack() as stack:
                stream: Any = None
                if self._packed == "gzip":
                    stream = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb"))
                else:
                    archive = stack.enter_context(zipfile.ZipFile(raw))
                    stream = stack.enter_context(archive.open(self._member))
                while part := stream.read1(BLOCK_BYTES):  # all that comes before damage
                    parts.append(part)
                    size += len(part)
                    if size >= BLOCK_BYTES:
                        yield b"".join(parts), at
                        at, size, parts = raw.tell(), 0, []
            yield b"".join(parts), at
        except (MemoryError, EvreelError):
            raise
        except Exception as error:
            yield b"".join(parts), at
            self._fail(f"its compression ({self._packed}): {words_of(error)}", at)

    def _whole_lines(self, skipped: int) -> Iterator[tuple[bytes, int]]:
        """Yield whole lines from a byte of the text on, each time up to a block and a line."""
        rest, passed, place = b"", 0, 0
        for block, at in self._blocks():
            size = len(block)
            block = block[max(skipped - passed, 0) :]
            passed += size
            if not rest:
                place = at if self._packed else self._place_of(at, skipped)
            block = rest + block
            stop = block.rfind(b"\n") + 1
            if stop:
                yield block[:stop], place
            rest = block[stop:]
            if stop:
                place = at if self._packed else place + stop
            if len(rest) > LINE_BYTES:
                self._fail(f"has a line of more than {LINE_BYTES:,} bytes", place)
        if rest:
            yield rest + b"\n", place

    @staticmethod
    def _place_of(at: int, skipped: int) -> int:
        return max(at, skipped)

    # Events

    def _rows(self) -> Iterator[Rows]:
        from evreel.kernels import text as lines

        layout = self._layout
        line = layout.line
        tally = np.zeros(5, np.int64)
        how = _POWERS[layout.unit], int(layout.rounds), ord(layout.separator), FARTHEST
        for data, place in self._whole_lines(layout.start):
            most = len(data) // _LEAST_LINE + 1
            t, x, y = (np.empty(most, np.int64) for _ in range(3))
            p = np.empty(most, np.int8)
            content = np.frombuffer(data, np.uint8)
            n = lines.parse(content, self._roles, *how, t, x, y, p, tally)
            line += int(tally[0])
            fault = self._fault(data, place, line + 1, tally) if tally[1] else None
            yield Rows((t[:n], x[:n], y[:n], p[:n]), place, 0, fault)
            if fault is not None:
                return

    def _fault(self, data: bytes, place: int, line: int, tally: npt.NDArray[np.int64]) -> Fault:
        """Return what is wrong with a line."""
        from evreel.kernels import text as lines

        problems = {
            lines.NO_NUMBER: "is not a number",
            lines.FRACTION: "has a fraction",
            lines.TOO_FAR: "is too far from 0",
            lines.NO_POLARITY: "is none of 1, 0 and −1",
        }
        _, problem, _, at, role = tally[:5].tolist()
        begin, stop = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
        offset = place if self._packed else min(place + begin, self._size)
        if problem in (lines.TOO_FEW, lines.TOO_MANY):
            n = len(_fields(data[begin:stop].decode("utf-8", "replace"), self._layout.separator))
            what = f"has {n} column{'s' * (n != 1)}, but {len(self._layout.order)} are expected"
        else:
            field = _FIELD.match(data[at:stop].decode("utf-8", "replace"))
            said = field[0][:40] if field else ""
            what = f"{ROLES[role]} is {said!r}, which {problems[problem]}"
        hint = None
        if problem == lines.FRACTION and ROLES[role] == "t":
            hint = f"Declare the unit of t ({SAID}), such as {in_words(self._layout.order, 's')}."
        return Fault(f"line {line}: {what}", offset, hint)

    # Recognition

    def _recognised(self, sample: bytes, whole: bool) -> Layout:
        """Return what the first lines, or all of them, tell of the text."""
        nul = sample.find(b"\0")
        if nul >= 0:
            self._refuse(
                "is not a text in UTF-8: it has a byte 0" + (", packed" if self._packed else ""),
                0 if self._packed else nul,
                hint="If it is a text in UTF-16, save it in UTF-8.",
            )
        if not whole and b"\n" not in sample[:LINE_BYTES]:
            self._refuse(f"is no text of events: its first line has over {LINE_BYTES:,} bytes", 0)
        cut = len(sample) if whole else sample.rfind(b"\n") + 1
        texts = sample[:cut].decode("utf-8", "replace").split("\n")[:_SAMPLE_LINES]
        at, k, comment = 0, 0, ""
        bom = sample.startswith(b"\xef\xbb\xbf")
        if bom:
            texts[0] = texts[0][1:]
            at = 3
        sizes = [len(text) + 1 for text in sample[:cut].split(b"\n")[:_SAMPLE_LINES]]
        if bom:
            sizes[0] -= 3

        def skip() -> None:
            nonlocal at, k, comment
            while k < len(texts) and (not texts[k].strip() or _COMMENT.match(texts[k])):
                comment = texts[k] if texts[k].strip() else comment
                at, k = at + sizes[k], k + 1

        skip()
        sensor = None
        size = _FIELD.findall(texts[k]) if k < len(texts) else []
        if len(size) == 2 and all(field.isdecimal() for field in size):
            sensor = self._sensor(size[0], size[1], f"line {k + 1}", at)
            at, k = at + sizes[k], k + 1
            skip()
        names: list[str] = []
        header = texts[k] if k < len(texts) else ""
        if header and not all(map(_is_value, _fields(header, _separator(header)))):
            names = _fields(header, _separator(header))
            at, k = at + sizes[k], k + 1
            skip()
        elif comment:
            header = _COMMENT.sub("", comment, count=1).lstrip("#%/ ")
            names = _fields(header, _separator(header))
        separator = _separator(texts[k] if k < len(texts) else header)
        rows = [
            _fields(text, separator)
            for text in texts[k:]
            if text.strip() and not _COMMENT.match(text)
        ]
        rows = rows if whole else rows[:-1] or rows
        if names and rows and len(names) != len(rows[0]):
            names = []
        sized = {
            match[1]: match[2] for name in names if (match := _SIZED.fullmatch(name)) is not None
        }
        if sized.keys() == {"x", "y"}:
            names = [_SIZED.sub(r"\1", name) for name in names]
            sensor = self._sensor(sized["x"], sized["y"], "its header", at)
        order, unit = self._order(names, rows)
        said = self._declared
        if not unit:
            unit = self._unit(order, rows)
        rounds = unit != "us" or (said is not None and bool(said.columns["t"].unit))
        return Layout(order, unit, separator, min(at, len(sample)), k, sensor, rounds)

    def _sensor(self, width: str, height: str, where: str, at: int) -> Sensor:
        try:
            return Sensor.checked(int(height[:9]), int(width[:9]))
        except EvreelError as error:
            self._refuse(f"{where}: its two numbers are no size of a sensor: {error.problem}", at)

    def _order(self, names: list[str], rows: list[list[str]]) -> tuple[tuple[str, ...], str]:
        """Return what each column is, and the unit of t if it is said."""
        said = self._declared
        if said is not None:
            return self._declared_order(said, names, rows)
        if names:
            found = _by_header(names)
            if not isinstance(found, str):
                return found
            self._unclear(f"{found} among {', '.join(names)}", rows, [])
        n = len(rows[0]) if rows else 0
        fitting = [order for order in _ORDERS if n == 4 and self._fits(order, rows)]
        if len(fitting) != 1:
            problem = "is a text without a line of numbers"
            if n:
                problem = f"has {n} columns, of which it is not clear what they are"
            self._unclear(problem, rows, fitting)
        return fitting[0], ""

    def _declared_order(
        self, said: Declaration, names: list[str], rows: list[list[str]]
    ) -> tuple[tuple[str, ...], str]:
        t = said.columns["t"]
        if t.shift_name or (
            t.scale != 1 and (t.scale.numerator, t.scale.denominator) not in _SCALES
        ):
            self._refuse(
                "is a text, of which t cannot be scaled, nor a data set be added to it",
                0,
                hint=f"Declare the unit alone ({SAID}), such as t[ns], x, y, p.",
            )
        if said.order:
            return said.order, t.unit
        n = len(names) or (len(rows[0]) if rows else 0)
        order = ["-"] * n
        for role, column in said.columns.items():
            place = column.name
            if place in names:
                order[names.index(place)] = role
            elif place.isdecimal() and int(place) < n:
                order[int(place)] = role
            else:
                known = ", ".join(names) or f"columns 0 to {n - 1}"
                self._unclear(f"has no column {place} among {known}", rows, [])
        return tuple(order), t.unit

    def _fits(self, order: tuple[str, ...], rows: list[list[str]]) -> bool:
        """Return whether an order makes sense of all lines."""
        last: Decimal | None = None
        off = set()
        for row in rows:
            if len(row) != 4:
                return True  # which is an error of that line, and tells nothing of the order
            values = dict(zip(order, map(_value, row), strict=True))
            for role in "xy":
                value = values[role]
                most = 1 << 16
                if self._given is not None:
                    most = self._given.width if role == "x" else self._given.height
                if value is None or value % 1 or not 0 <= value < most:
                    return False
            t, p = values["t"], values["p"]
            if t is None or (last is not None and t < last) or p not in (0, 1, -1):
                return False
            last = t
            if p != 1:
                off.add(p)
        return len(off) < 2

    def _unit(self, order: tuple[str, ...], rows: list[list[str]]) -> str:
        """Return the unit of t that its numbers tell."""
        column = order.index("t")
        times = [
            value for row in rows if column < len(row) if (value := _value(row[column])) is not None
        ]
        decimals = max((_decimals(value) for value in times), default=0)
        if decimals >= _LEAST_DECIMALS:
            return "s"
        if decimals:
            problem = f"has times with {decimals} decimal{'s' * (decimals > 1)}, of no stated unit"
            self._unclear(problem, rows, [order], ("s", "ms", "us"))
        if any(abs(value) > FARTHEST for value in times):
            return "ns"
        distinct = {value for value in times if value}
        if len(distinct) >= _LEAST_TIMES and all(value % 1000 == 0 for value in distinct):
            problem = "has times of no stated unit, which are all whole thousands"
            self._unclear(problem, rows, [order], ("us", "ns"))
        return "us"

    def _unclear(
        self,
        problem: str,
        rows: Sequence[Sequence[str]],
        orders: Sequence[tuple[str, ...]],
        units: Sequence[str] = (),
    ) -> NoReturn:
        """Raise for a text of which something must be declared."""
        shown = "; ".join(" ".join(row)[:80] for row in rows[:_SHOWN])
        n = len(rows[0]) if rows else 4
        if units:
            lines_said = [in_words(orders[0], unit) for unit in units]
        else:
            more = ("-",) * max(n - 4, 0)
            has_point = rows and any("." in field for field in rows[0])
            unit = "s" if has_point else "us"
            lines_said = [in_words(order + more, unit) for order in orders or _ORDERS[:2]]
        self._refuse(
            f"{problem}; it begins: {shown}" if shown else problem,
            0,
            hint=f"Declare its columns ({SAID}), such as {' or '.join(lines_said)}; the unit of t "
            "is s, ms, us or ns.",
        )


_SCALES = {(10**6, 1), (10**3, 1), (1, 1000)}
"""Of t, by its units."""


def _separator(text: str) -> str:
    """Return what separates the columns of a line: a comma (or semicolon), a tab, or any blanks."""
    if "," in text or ";" in text:
        return ","
    return "\t" if text.strip().count("\t") >= len(ROLES) - 1 else " "


def _fields(text: str, separator: str) -> list[str]:
    """Return the columns of a line; only where blanks separate them, they have none inside."""
    plain = text.strip()
    if separator == " ":
        return _FIELD.findall(plain)
    fields = re.split(r"[,;]" if separator == "," else r"[\t,;]", plain)
    if not fields[-1].strip():
        fields.pop()
    return [field.strip().strip('"') for field in fields]


def _is_value(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None or field.lower() in ("true", "false")


def _value(field: str) -> Decimal | None:
    """Return a field's number, None if it is none."""
    if field.lower() in ("true", "false"):
        return Decimal(field.lower() == "true")
    return Decimal(field) if _NUMBER.fullmatch(field) else None


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _by_header(names: list[str]) -> tuple[tuple[str, ...], str] | str:
    """Return what columns with these names are and the unit of t, or what is wrong.

    Examples
    --------
    >>> _by_header(["timestamp [us]", "x", "y", "polarity"])
    (('t', 'x', 'y', 'p'), 'us')
    >>> _by_header(["x", "y", "p", "t_ns", "id"])
    (('x', 'y', 'p', 't', '-'), 'ns')
    """
    plain, unit = [], ""
    for name in names:
        found = _UNIT.fullmatch(name.strip())
        known = name.strip().lower()
        if known not in _TIMES and found and found["name"].lower() in _TIMES:
            known, unit = "t", _unit_named(found["unit"])
        plain.append("t" if known in _TIMES else known)
    by_role = columns_by_name(plain)
    if isinstance(by_role, str):
        return by_role
    roles = {plain.index(name): role for role, name in by_role.items()}
    return tuple(roles.get(k, "-") for k in range(len(names))), unit


def _unit_named(unit: str) -> str:
    """Return a unit by one of its names."""
    start = unit.lower().replace("µ", "u").replace("μ", "u").replace("icro", "u")
    return {"u": "us", "n": "ns", "s": "s"}.get(start[0], "us" if start.startswith("mu") else "ms")


def texts_of(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the texts in a zip file."""
    return [
        name
        for name in archive.namelist()
        if PurePosixPath(name).suffix.lower() in TEXT_SUFFIXES and not name.startswith("__MACOSX/")
    ]


def open_zip(path: str | Path, **options: Any) -> ColumnsRecording:
    """Open a zip file: an npz file, or one with a text.

    Raises
    ------
    RecordingError
        If it is neither.
    """
    path = Path(path)
    try:
        with path.open("rb", buffering=0) as file:
            archive = zipfile.ZipFile(Bounded(file.fileno(), path.stat().st_size))
            holds_text = bool(texts_of(archive)) and not any(
                name.endswith(".npy") for name in archive.namelist()
            )
    except MemoryError:
        raise
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error
    except Exception:
        holds_text = False  # as an npz file, it is an error
    return (TextRecording if holds_text else NpzRecording)(path, **options)
