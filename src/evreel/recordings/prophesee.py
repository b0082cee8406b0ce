"""Prophesee's RAW files in EVT 2.0, 2.1 and 3.0, and DAT files: read.

A file is a header of text lines, then words or records up to its end; numbers are little-endian.
A line of the header is ``% keyword value``; the header ends after a line ``% end``, or before the
first bytes that are no such line. For RAW, ``format`` (``EVT3;height=720;width=1280``) or the older
``evt`` (``3.0``) names the encoding, ``format`` or ``geometry`` (``1280x720``) the sensor's size;
for DAT, ``Version`` the layout, ``Width`` and ``Height`` the size. The four highest bits of a word
of RAW are its type.

========  =========================================================================================
EVT 2.0   words of 32 bits
0, 1      OFF, ON event: bits 27 to 22 low time, 21 to 11 x, 10 to 0 y
8         time high: bits 27 to 0 are bits 33 to 6 of the time in µs; the rest is the low time
A         trigger: bits 27 to 22 low time, 12 to 8 channel, 0 edge (1 rising)
D, E, F   IMU, others, and what continues them: skipped
EVT 2.1   words of 64 bits, whose high half is a word of EVT 2.0; the low half of an event is a
          mask: bit k stands for an event at x + k. With ``endianness=legacy`` the high half is
          first in the file
EVT 3.0   words of 16 bits; what a word states holds until another states it anew
0         y: bits 10 to 0 (bit 11, the camera of a pair, is not kept)
1         y of events that are not of a pixel's change: they are skipped
2         event: bit 11 polarity, 10 to 0 x
3         base of vectors: bit 11 polarity, 10 to 0 x
4, 5      vector: bits 11 to 0 or 7 to 0 are a mask as above, from the base on, which then
          moves on by 12 or 8
6         low time: bits 11 to 0
8         time high: bits 11 to 0 are bits 23 to 12 of the time; where it is a new one, the low
          time is 0 until stated
A         trigger: bits 11 to 8 channel, 0 edge (1 rising)
7, D to F continued, IMU, others: skipped
DAT       a byte of the events' type (0 or 0C), a byte of their size (8), records of 64 bits
31 to 0   time, µs
63 to 32  version 2: from the lowest 14 bits x, 14 y, 4 polarity; version 1: 9 bits x, 8 y, 1
          polarity
========  =========================================================================================

Times wrap after 2³⁴ µs (EVT 2), 2²⁴ µs (EVT 3) or 2³² µs (DAT). A time high, or a stamp of DAT,
that falls by half of that or more has wrapped; one that then rises by more than half belongs
before the wrap. Words of a type that is in none of these rows are damage.

Sources: https://docs.prophesee.ai, pages EVT 2.0, 2.1 and 3.0 format, RAW and DAT file format;
Prophesee's OpenEB for types 1 and D, the time after a new time high and ``endianness=legacy``;
its MATLAB scripts for version 1 of DAT.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, RecordingError, UnknownFormatError
from evreel.events import Sensor, Triggers
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording, Piece, Side
from evreel.recordings.open import STRICT, Reading
from evreel.timebase import FARTHEST

HEAD_LIMIT = 1 << 16
"""Bytes that a header may have; cameras write some hundred."""
MARK_ROWS = 1 << 12
"""Triggers in a batch."""

_READ_BYTES = 1 << 19
_SPARE_ROWS = 64  # kernels leave less than that free
_ENCODINGS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}
_EVT_LIMIT = Sensor(1 << 11, 1 << 11)  # what the bits of a coordinate reach
_DAT_BITS = {"1": (9, 8, 1), "2": (14, 14, 4)}  # of x, y and polarity
_DAT_LIMIT = Sensor(1 << 14, 1 << 14)
_DAT_EVENTS = (0x00, 0x0C)
_DAT_OTHERS = {0x0E: " (external triggers)"}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class _Head:
    """A file's header: its text, its lines as (byte, keyword, value), the bytes that it has."""

    path: Path
    text: str
    lines: tuple[tuple[int, str, str], ...]
    size: int

    @classmethod
    def read(cls, path: Path, file: int) -> Self:
        """Return the header of an open file."""
        try:
            start = os.pread(file, HEAD_LIMIT, 0)
        except OSError as error:
            raise RecordingError(f"can't be read: {error.strerror}", path=path) from error
        lines: list[tuple[int, str, str]] = []
        at = 0
        while start.startswith(b"% ", at):
            stop = start.find(b"\n", at) + 1
            text = _text(start[at : stop or len(start)])
            if text is None:  # words that begin as a line does
                break
            if not stop:
                raise RecordingError(
                    "the header ends in the middle of a line, or goes on beyond "
                    f"{HEAD_LIMIT} bytes",
                    path=path,
                    offset=at,
                    hint="Copy or download the recording again.",
                )
            keyword, _, value = text[2:].partition(" ")
            lines.append((at, keyword, value.strip()))
            at = stop
            if keyword == "end":
                break
        return cls(path, start[:at].decode(), tuple(lines), at)

    def stated(self, keyword: str) -> tuple[int, str] | None:
        """Return where a keyword is stated, and its value; None where it is not."""
        found = [(at, value) for at, name, value in self.lines if name == keyword]
        for at, value in found[1:]:
            if value != found[0][1]:
                self.fail(f"{keyword} is {value!r}, and {found[0][1]!r} further up", at)
        return found[0] if found else None

    def fail(self, problem: str, at: int) -> NoReturn:
        """Raise for a line of the header."""
        raise RecordingError(
            f"the header is wrong: {problem}",
            path=self.path,
            offset=at,
            hint="Was it edited? Take the recording as it was written.",
        )

    def options(self) -> dict[str, str]:
        """Return what ``format`` says beside the encoding."""
        form = self.stated("format")
        pairs = form[1].split(";")[1:] if form else []
        return {name.strip(): value.strip() for name, _, value in (o.partition("=") for o in pairs)}

    def encoding(self) -> str:
        """Return the encoding's name as ``format`` has it, or DAT; raise where there is none."""
        evt, form = self.stated("evt"), self.stated("format")
        name = _ENCODINGS.get(evt[1], f"EVT {evt[1]}") if evt else ""
        if form:
            name = form[1].partition(";")[0].strip()
            if evt and name in _ENCODINGS.values() and _ENCODINGS.get(evt[1]) != name:
                self.fail(f"evt is {evt[1]!r}, and format {name!r}", max(evt[0], form[0]))
        data = self.stated("Data")
        if not name and (
            (data and data[1].startswith("file containing")) or self.stated("Version")
        ):
            return "DAT"
        if name not in _ENCODINGS.values():
            at = form or evt
            raise UnknownFormatError(
                f"has events in the encoding {name!r}" if name else "names no encoding of events",
                path=self.path,
                offset=at[0] if at else 0,
                hint="Of Prophesee's files, RAW in EVT 2.0, 2.1 and 3.0 (a line such as '% evt "
                "3.0' or '% format EVT3;…') and DAT ('% Data file containing CD events') can be "
                "read.",
            )
        return name

    def sensor(self, limit: Sensor) -> Sensor | None:
        """Return the sensor's size; None where it is not stated."""
        options, form, geometry = self.options(), self.stated("format"), self.stated("geometry")
        width, height = self.stated("Width"), self.stated("Height")
        said: list[tuple[int, str]] = []
        if form and ("width" in options or "height" in options):
            said.append((form[0], f"{options.get('width', '')}x{options.get('height', '')}"))
        if geometry:
            said.append(geometry)
        if width or height:
            first = width or height or (0, "")
            both = [stated[1] if stated else "" for stated in (width, height)]
            said.append((first[0], "x".join(both)))
        sizes: list[Sensor] = []
        for at, text in said:
            try:
                sizes.append(Sensor.parse(text))
            except EvreelError:
                self.fail(f"{text!r} is no size of a sensor, WIDTHxHEIGHT", at)
            if sizes[-1].width > limit.width or sizes[-1].height > limit.height:
                self.fail(f"a sensor of {text} px is larger than coordinates can tell", at)
            if sizes[-1] != sizes[0]:
                self.fail(f"the sensor has {text} px, and {said[0][1]} px elsewhere", at)
        return sizes[0] if sizes else None


def _text(line: bytes) -> str | None:
    """Return a line without its end, or None where it is not text."""
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


class PropheseeRecording(DecodedRecording):
    """A recording that begins with Prophesee's header; `open_prophesee` chooses the kind.

    Parameters
    ----------
    path, stream, reading
        As of `DecodedRecording`.
    sensor
        Its size, where the header does not state it.

    Raises
    ------
    RecordingError
        Where the header is cut short, contradicts itself, or is of another kind.
    """

    encoding: ClassVar[str]
    limit: ClassVar[Sensor]

    def _open(self) -> Sensor | None:
        head = _Head.read(self.path, self._file.fileno())
        found = head.encoding()
        if found != self.encoding:
            raise UnknownFormatError(
                f"is in {found}; {self.encoding} is expected", path=self.path, offset=0
            )
        self.header = head.text
        self._start = head.size
        self._open_words(head)
        return head.sensor(self.limit)

    def _open_words(self, head: _Head) -> None:
        """Look at what else tells how the words are to be read."""

    def _read(self, buffer: npt.NDArray[np.uint8], at: int) -> int:
        """Fill a buffer with bytes of the file from one on; return how many there were."""
        view = buffer.data[: self._size - at]
        size = 0
        while size < len(view):
            try:
                got = os.preadv(self._file.fileno(), [view[size:]], at + size)
            except OSError as error:
                self._fail(f"can't be read: {error.strerror}", at + size)
            if not got:
                self._fail("has become shorter while it was read", at + size)
            size += got
        return size


class EvtRecording(PropheseeRecording):
    """A RAW file, in one of the EVT encodings.

    External triggers are kept: `edge` 1 where the signal rises and 0 where it falls, `id` its
    channel. `repairs` has the numbers of words that were left out: ``skipped_other_words`` for
    those that are neither an event of a pixel, nor a trigger, nor a time; and
    ``skipped_unplaced_words`` for events and triggers before the first time high, and for those
    of EVT 3.0 whose y or base has not been stated, as where a recording began in mid-stream.
    """

    limit = _EVT_LIMIT
    _bits: ClassVar[int]

    def _open_words(self, head: _Head) -> None:
        self._endianness = head.options().get("endianness", "little")
        if self._endianness not in ("little", "legacy"):
            form = head.stated("format") or (0, "")
            raise UnknownFormatError(
                f"has words of endianness {self._endianness!r}; little and legacy can be read",
                path=self.path,
                offset=form[0],
            )

    @abstractmethod
    def _decoder(self) -> tuple[Any, tuple[npt.NDArray[np.uint8], ...]]:
        """Return the kernel, and the tables that it asks for."""

    def _words(self, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        """Return bytes as words, or as their halves, of which the first has the type."""
        return (data.view(f"<u{self._bits // 8}"),)

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import evt

        decode, tables = self._decoder()
        height, width = self.sensor
        state = _new_state()
        buffer = np.empty(_READ_BYTES, np.uint8)
        mark_t = np.empty(MARK_ROWS, np.int64)
        mark_edge, mark_id = np.empty(MARK_ROWS, np.int8), np.empty(MARK_ROWS, np.int16)
        columns, rows = _columns(PIECE_ROWS + _SPARE_ROWS), 0
        size, at = self._bits // 8, self._start
        piece_at = at
        while self._size - at >= size:
            got = self._read(buffer, at)
            words = self._words(buffer[: got - got % size])
            done = 0
            while done < len(words[0]):
                done += decode(
                    *(part[done:] for part in words),
                    state,
                    width,
                    height,
                    FARTHEST,
                    *tables,
                    *(column[rows:] for column in columns),
                    mark_t,
                    mark_edge,
                    mark_id,
                )
                rows += int(state[evt.ROWS])
                for name, number in (
                    ("skipped_other_words", int(state[evt.OTHER])),
                    ("skipped_unplaced_words", int(state[evt.UNPLACED])),
                ):
                    if number:
                        self.repairs[name] = number
                marks = int(state[evt.MARKS])
                if marks:
                    edge, channel = mark_edge[:marks].copy(), mark_id[:marks].copy()
                    yield Triggers(mark_t[:marks].copy(), edge, channel)
                if done < len(words[0]):
                    yield _piece(columns, rows, piece_at, state)
                    columns, rows = _columns(PIECE_ROWS + _SPARE_ROWS), 0
                    piece_at = at + done * size
                if state[evt.FAULT]:
                    self._fail_at(int(words[0][done]), int(state[evt.FAULT]), at + done * size)
            at += done * size
        yield _piece(columns, rows, piece_at, state)
        if at < self._size:
            self._fail(f"the file ends after {self._size - at} of a word's {size} bytes", at)

    def _fail_at(self, word: int, fault: int, at: int) -> NoReturn:
        from evreel.kernels import evt

        if fault == evt.FAR:
            self._fail("time high goes beyond 285 years", at)
        bits = min(self._bits, 32)
        self._fail(
            f"word {word:#0{bits // 4 + 2}x} is of type {word >> bits - 4:X}, which "
            f"{self.encoding} does not have",
            at,
        )


class Evt2Recording(EvtRecording):
    """A RAW file in EVT 2.0; all else as of `EvtRecording`."""

    format = "evt2"
    encoding = "EVT2"
    _bits = 32

    def _decoder(self) -> tuple[Any, tuple[npt.NDArray[np.uint8], ...]]:
        from evreel.kernels import evt

        return evt.evt2, ()


class Evt21Recording(EvtRecording):
    """A RAW file in EVT 2.1; all else as of `EvtRecording`."""

    format = "evt2.1"
    encoding = "EVT21"
    _bits = 64

    def _decoder(self) -> tuple[Any, tuple[npt.NDArray[np.uint8], ...]]:
        from evreel.kernels import evt

        return evt.evt21, _set_bits()

    def _words(self, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        halves = data.view("<u4").reshape(-1, 2)
        head = 0 if self._endianness == "legacy" else 1
        return halves[:, head], halves[:, 1 - head]


class Evt3Recording(EvtRecording):
    """A RAW file in EVT 3.0; all else as of `EvtRecording`."""

    format = "evt3"
    encoding = "EVT3"
    _bits = 16

    def _decoder(self) -> tuple[Any, tuple[npt.NDArray[np.uint8], ...]]:
        from evreel.kernels import evt

        return evt.evt3, _set_bits()


class DatRecording(PropheseeRecording):
    """A DAT file of events of pixels; all else as of `PropheseeRecording`."""

    format = "dat"
    encoding = "DAT"
    limit = _DAT_LIMIT

    def _open_words(self, head: _Head) -> None:
        version = head.stated("Version")
        if version is None or version[1] not in _DAT_BITS:
            said = (
                f"states version {version[1]!r} of DAT" if version else "states no Version of DAT"
            )
            raise UnknownFormatError(
                f"{said}, which is the layout of its events",
                path=self.path,
                offset=version[0] if version else 0,
                hint="Versions 1 and 2 can be read. Write it again with Metavision.",
            )
        self._layout = _DAT_BITS[version[1]]
        kind = np.zeros(2, np.uint8)
        if self._read(kind, self._start) < 2:
            self._fail("the file ends before type and size of its events", self._size)
        if kind[0] not in _DAT_EVENTS:
            raise UnknownFormatError(
                f"holds events of type {kind[0]:#04x}{_DAT_OTHERS.get(int(kind[0]), '')}",
                path=self.path,
                offset=self._start,
                hint="Events of pixels, which are of type 0x00 or 0x0c, can be read.",
            )
        if kind[1] != 8:
            self._fail(f"an event is said to have {kind[1]} bytes, not 8", self._start + 1)
        self._start += 2

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import evt

        height, width = self.sensor
        state = _new_state()
        buffer = np.empty(8 * PIECE_ROWS, np.uint8)
        at = self._start
        while self._size - at >= 8:
            n = self._read(buffer, at) // 8
            records = buffer[: 8 * n].view("<u4")
            columns = _columns(n)
            done = evt.dat(records, state, width, height, FARTHEST, *self._layout, *columns)
            yield _piece(columns, done, at, state)
            at += 8 * done
            if state[evt.FAULT] == evt.FAR:
                self._fail("its times go beyond 285 years", at)
            if state[evt.FAULT]:
                address, shift = int(records[2 * done + 1]), sum(self._layout[:2])
                self._fail(f"polarity {address >> shift} is neither 0 nor 1", at)
        if at < self._size:
            self._fail(f"the file ends after {self._size - at} of an event's 8 bytes", at)


_RECORDINGS = (Evt2Recording, Evt21Recording, Evt3Recording, DatRecording)


def open_prophesee(
    path: str | Path,
    *,
    stream: int | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
) -> PropheseeRecording:
    """Return the recording of the kind that a file's header says; all else as of the classes."""
    path = Path(path)
    try:
        with path.open("rb", buffering=0) as file:
            encoding = _Head.read(path, file.fileno()).encoding()
    except OSError as error:
        raise RecordingError(f"can't be read: {error.strerror}", path=path) from error
    kinds = {kind.encoding: kind for kind in _RECORDINGS}
    return kinds[encoding](path, stream=stream, sensor=sensor, reading=reading)


def _new_state() -> npt.NDArray[np.int64]:
    """Return the state of a kernel before the first word."""
    from evreel.kernels import evt

    state = np.zeros(evt.STATE_SIZE, np.int64)
    state[[evt.LAST, evt.BASE, evt.NOW, evt.ROW, evt.VECTOR]] = evt.UNKNOWN
    state[evt.HIGH] = -1
    state[evt.SOUND] = 1
    return state


def _set_bits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return for each number of 12 bits which are set, the lowest first, and how many."""
    bits = np.arange(1 << 12)[:, None] >> np.arange(12) & 1
    return np.argsort(1 - bits, axis=1, kind="stable").astype(np.uint8), bits.sum(1, np.uint8)


def _columns(rows: int) -> tuple[npt.NDArray[Any], ...]:
    """Return room for t, x, y, p."""
    return tuple(np.empty(rows, dtype) for dtype in (np.int64, np.uint16, np.uint16, np.uint8))


def _piece(
    columns: tuple[npt.NDArray[Any], ...], rows: int, offset: int, state: npt.NDArray[np.int64]
) -> Piece:
    """Return the first rows as a piece, and let order begin anew for the next one."""
    from evreel.kernels import evt

    t, x, y, p = (column[:rows] for column in columns)
    if 2 * rows < len(columns[0]):  # don't keep much room for few events
        t, x, y, p = t.copy(), x.copy(), y.copy(), p.copy()
    sound = bool(state[evt.SOUND])
    state[evt.SOUND], state[evt.LAST] = 1, evt.UNKNOWN
    return Piece(t, x, y, p, offset, sound)
