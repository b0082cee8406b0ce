"""Read Prophesee's RAW files in EVT 2.0, 2.1 and 3.0, and DAT files.

A file is a header of text lines, then words or records up to its end; numbers are little-endian.
A header line is ``% keyword value``; the header ends after a line ``% end``, or before the first
bytes that are not such a line. For RAW, ``format`` (``EVT3;height=720;width=1280``) or the older
``evt`` (``3.0``) names the encoding, ``format`` or ``geometry`` (``1280x720``) the sensor's size;
for DAT, ``Version`` the layout, ``Width`` and ``Height`` the size. The four highest bits of a word
of RAW are its type.

========  =========================================================================================
EVT 2.0   words of 32 bits
0, 1      OFF, ON event: bits 27 to 22 low time, 21 to 11 x, 10 to 0 y
8         time high: bits 27 to 0 are bits 33 to 6 of the time in µs; the low time is the rest
A         trigger: bits 27 to 22 low time, 12 to 8 channel, 0 edge (1 rising)
D, E, F   IMU, others, and their continuations: skipped
EVT 2.1   words of 64 bits, whose high half is a word of EVT 2.0; the low half of an event is a
          mask: bit k stands for an event at x + k. With ``endianness=legacy`` the high half is
          first in the file
EVT 3.0   words of 16 bits; a value holds until another word of its type changes it
0         y: bits 10 to 0 (bit 11, the camera of a pair, is not kept)
1         y of events other than pixel changes: they are skipped
2         event: bit 11 polarity, 10 to 0 x
3         base of vectors: bit 11 polarity, 10 to 0 x
4, 5      vector: bits 11 to 0 or 7 to 0 are a mask as above, starting at the base, which then
          moves on by 12 or 8
6         low time: bits 11 to 0
8         time high: bits 11 to 0 are bits 23 to 12 of the time; if it is a new one, the low
          time is 0 until stated
A         trigger: bits 11 to 8 channel, 0 edge (1 rising)
7, D to F continued, IMU, others: skipped
DAT       a byte for the events' type (0 or 0C), a byte for their size (8), records of 64 bits
31 to 0   time, µs
63 to 32  version 2: from the lowest 14 bits x, 14 y, 4 polarity; version 1: 9 bits x, 8 y, 1
          polarity
========  =========================================================================================

Times wrap after 2³⁴ µs (EVT 2), 2²⁴ µs (EVT 3) or 2³² µs (DAT). A time high, or a timestamp of DAT,
that falls has wrapped if that makes a step of at most 5 s (EVT 3: 1 s); otherwise the camera's
clock was reset. One that then rises by nearly the whole range belongs before the wrap. Words of a
type that is not in these tables are damage.

Sources: https://docs.prophesee.ai, pages EVT 2.0, 2.1 and 3.0 format, RAW and DAT file format;
Prophesee's OpenEB for types 1 and D, the time after a new time high and ``endianness=legacy``;
its MATLAB scripts for version 1 of DAT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt

from evreel.errors import CodingError, EvreelError, RecordingError, UnknownFormatError
from evreel.events import Sensor
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording
from evreel.recordings.evt import EvtDecoder, WordError, columns_for, new_state, piece_of
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.timebase import FARTHEST

HEAD_LIMIT = 1 << 16
"""Size limit of a header, bytes; cameras write some hundred."""
_READ_BYTES = 1 << 19
_ENCODINGS = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}
_EVT_LIMIT = Sensor(1 << 11, 1 << 11)  # the range of a coordinate's bits
_DAT_BITS = {"1": (9, 8, 1), "2": (14, 14, 4)}  # of x, y and polarity
_DAT_LIMIT = Sensor(1 << 14, 1 << 14)
_DAT_EVENTS = (0x00, 0x0C)
_DAT_OTHERS = {0x0E: " (external triggers)"}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class _Head:
    """A file's header: its text, its lines as (byte, keyword, value), its size in bytes."""

    path: Path
    text: str
    lines: tuple[tuple[int, str, str], ...]
    size: int

    @classmethod
    def read(cls, path: Path, start: bytes) -> Self:
        """Return the header in a file's first `HEAD_LIMIT` bytes."""
        lines: list[tuple[int, str, str]] = []
        at = 0
        while start.startswith(b"% ", at):
            stop = start.find(b"\n", at) + 1
            text = _text(start[at : stop or len(start)])
            if text is None:  # words that begin like a line
                break
            if not stop:
                raise RecordingError(
                    f"the header ends in the middle of a line, or exceeds {HEAD_LIMIT} bytes",
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
        """Return where a keyword is stated, and its value; None if it is not stated."""
        found = [(at, value) for at, name, value in self.lines if name == keyword]
        for at, value in found[1:]:
            if value != found[0][1]:
                self.fail(f"{keyword} is {value!r}, but {found[0][1]!r} in an earlier line", at)
        return found[0] if found else None

    def fail(self, problem: str, at: int) -> NoReturn:
        """Raise for a line of the header."""
        raise RecordingError(
            f"the header is wrong: {problem}",
            path=self.path,
            offset=at,
            hint="Was it edited? Use the original recording.",
        )

    def options(self) -> dict[str, str]:
        """Return what ``format`` says besides the encoding."""
        form = self.stated("format")
        pairs = form[1].split(";")[1:] if form else []
        return {name.strip(): value.strip() for name, _, value in (o.partition("=") for o in pairs)}

    def encoding(self) -> str:
        """Return the encoding's name as in ``format``, or DAT; raise if there is none."""
        evt, form = self.stated("evt"), self.stated("format")
        name = _ENCODINGS.get(evt[1], f"EVT {evt[1]}") if evt else ""
        if form:
            name = form[1].partition(";")[0].strip()
            if evt and name in _ENCODINGS.values() and _ENCODINGS.get(evt[1]) != name:
                self.fail(f"evt is {evt[1]!r}, but format is {name!r}", max(evt[0], form[0]))
        data = self.stated("Data")
        if not name and (
            (data and data[1].startswith("file containing")) or self.stated("Version")
        ):
            return "DAT"
        if name not in _ENCODINGS.values():
            at = form or evt
            kind = CodingError if name else UnknownFormatError
            raise kind(
                f"has events in encoding {name!r}" if name else "does not name its event encoding",
                path=self.path,
                offset=at[0] if at else 0,
                hint="Of Prophesee's files, RAW in EVT 2.0, 2.1 and 3.0 (a line such as '% evt "
                "3.0' or '% format EVT3;…') and DAT ('% Data file containing CD events') can be "
                "read.",
            )
        return name

    def sensor(self, limit: Sensor) -> Sensor | None:
        """Return the sensor's size; None if it is not stated."""
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
                self.fail(f"{text!r} is not a sensor size, WIDTHxHEIGHT", at)
            if sizes[-1].width > limit.width or sizes[-1].height > limit.height:
                self.fail(f"a sensor of {text} px is too large for the format's coordinates", at)
            if sizes[-1] != sizes[0]:
                self.fail(f"the sensor has {text} px, but {said[0][1]} px in another line", at)
        return sizes[0] if sizes else None


def _text(line: bytes) -> str | None:
    """Return a line without its ending, or None if it is not text."""
    try:
        text = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


class PropheseeRecording(DecodedRecording):
    """A recording that begins with Prophesee's header; `open_prophesee` chooses the class.

    Parameters
    ----------
    path, stream, reading
        As in `DecodedRecording`.
    sensor
        The sensor's size, if the header does not state it.

    Raises
    ------
    RecordingError
        If the header is cut short, contradicts itself, or names another encoding.
    """

    encoding: ClassVar[str]
    limit: ClassVar[Sensor]

    def _open(self) -> Sensor | None:
        head = _Head.read(self.path, self._bytes(HEAD_LIMIT, 0))
        found = head.encoding()
        if found != self.encoding:
            self._refuse(f"is in {found}; {self.encoding} is expected", 0)
        self.header = head.text
        self._start = head.size
        self._open_words(head)
        return head.sensor(self.limit)

    def _open_words(self, head: _Head) -> None:
        """Read whatever else determines how words are decoded."""

    def _read(self, buffer: npt.NDArray[np.uint8], at: int) -> int:
        """Fill a buffer from a byte of the file on, as far as the file goes; return how many."""
        view = buffer.data[: self._size - at]
        size = 0
        while size < len(view):
            got = self._fill(view[size:], at + size)
            if not got:
                self._fail("the file became shorter while it was read", at + size)
            size += got
        return size

    def _all_words(self, size: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the bytes of all whole words of so many bytes."""
        at = self._start
        while self._size - at >= size:
            buffer = np.empty(_READ_BYTES, np.uint8)
            got = self._read(buffer, at) // size * size
            yield buffer[:got]
            at += got


class EvtRecording(PropheseeRecording):
    """A RAW file, in one of the EVT encodings.

    External triggers are kept: `edge` is 1 where the signal rises and 0 where it falls, `id` its
    channel. `repairs` counts words that were left out: ``skipped_other_words`` are neither a pixel
    event, nor a trigger, nor a time; ``skipped_unplaced_words`` are events and triggers before the
    first time high, and in EVT 3.0 those whose y or base has not been stated, as when a recording
    begins in mid-stream.
    """

    limit = _EVT_LIMIT
    _bits: ClassVar[int]
    _kinds: ClassVar[tuple[int, ...]]  # types of words that exist

    def _open_words(self, head: _Head) -> None:
        self._endianness = head.options().get("endianness", "little")
        if self._endianness not in ("little", "legacy"):
            form = head.stated("format") or (0, "")
            problem = f"has words of endianness {self._endianness!r}; little and legacy can be read"
            self._recode(problem, form[0])

    def _words(self, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        """Return bytes as words, or as their halves, of which the first has the type."""
        return (data.view(f"<u{self._bits // 8}"),)

    def _pieces(self) -> Iterator[Piece | Side]:
        decoder = EvtDecoder(self.encoding, self.sensor)
        buffer = np.empty(_READ_BYTES, np.uint8)
        size, at = self._bits // 8, self._start
        while self._size - at >= size:
            got = self._read(buffer, at)
            words = self._words(buffer[: got - got % size])
            try:
                yield from decoder.decode(words, at, size)
            except WordError as error:
                yield decoder.rest()
                self._fail_at(int(words[0][error.word]), error.fault, at + error.word * size)
            finally:
                self.repairs.update(decoder.skipped())
            at += len(words[0]) * size
        yield decoder.rest()
        if at < self._size:
            self._fail(f"the file ends after {self._size - at} of a word's {size} bytes", at)

    def _fail_at(self, word: int, fault: int, at: int) -> NoReturn:
        from evreel.kernels import evt

        if fault == evt.FAR:
            self._fail("time high exceeds 285 years", at)
        bits = min(self._bits, 32)
        problem = (
            f"word {word:#0{bits // 4 + 2}x} is of type {word >> bits - 4:X}, which does not exist "
            f"in {self.encoding}"
        )
        survey = Survey()
        for words in self._all_words(self._bits // 8):
            kinds = self._words(words)[0] >> (bits - 4)
            survey.add(~np.isin(kinds, self._kinds), kinds)
        if survey.is_damage(may_shift=True):
            self._fail(problem, at)
        self._recode(
            f"{problem}, nor do {survey.bad:,} of {survey.n:,} words",
            at,
            f"{WHOLE}Is its header that of another file, or is it in a newer version? Write it "
            "again with Metavision.",
        )


class Evt2Recording(EvtRecording):
    """A RAW file in EVT 2.0; all else as in `EvtRecording`."""

    format = "evt2"
    encoding = "EVT2"
    _bits = 32
    _kinds = (0, 1, 8, 0xA, 0xD, 0xE, 0xF)


class Evt21Recording(EvtRecording):
    """A RAW file in EVT 2.1; all else as in `EvtRecording`."""

    format = "evt2.1"
    encoding = "EVT21"
    _bits = 64
    _kinds = (0, 1, 8, 0xA, 0xE, 0xF)

    def _words(self, data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        halves = data.view("<u4").reshape(-1, 2)
        head = 0 if self._endianness == "legacy" else 1
        return halves[:, head], halves[:, 1 - head]


class Evt3Recording(EvtRecording):
    """A RAW file in EVT 3.0; all else as in `EvtRecording`."""

    format = "evt3"
    encoding = "EVT3"
    _bits = 16
    _kinds = (*range(9), 0xA, 0xD, 0xE, 0xF)


class DatRecording(PropheseeRecording):
    """A DAT file of pixel events; all else as in `PropheseeRecording`."""

    format = "dat"
    encoding = "DAT"
    limit = _DAT_LIMIT

    def _open_words(self, head: _Head) -> None:
        version = head.stated("Version")
        if version is None or version[1] not in _DAT_BITS:
            said = f"states version {version[1]!r}" if version else "does not state the Version"
            self._recode(
                f"{said} of DAT, which is the layout of its events",
                version[0] if version else 0,
                hint="Versions 1 and 2 can be read. Write it again with Metavision.",
            )
        self._layout = _DAT_BITS[version[1]]
        kind = np.zeros(2, np.uint8)
        if self._read(kind, self._start) < 2:
            self._fail("the file ends before the type and size of its events", self._size)
        if kind[0] not in _DAT_EVENTS:
            self._recode(
                f"holds events of type {kind[0]:#04x}{_DAT_OTHERS.get(int(kind[0]), '')}",
                self._start,
                hint="Pixel events, type 0x00 or 0x0c, can be read.",
            )
        if kind[1] != 8:
            self._fail(f"states that an event has {kind[1]} bytes, not 8", self._start + 1)
        self._start += 2

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import evt

        height, width = self.sensor
        state = new_state()
        buffer = np.empty(8 * PIECE_ROWS, np.uint8)
        at = self._start
        while self._size - at >= 8:
            n = self._read(buffer, at) // 8
            records = buffer[: 8 * n].view("<u4")
            columns = columns_for(n)
            done = evt.dat(records, state, width, height, FARTHEST, *self._layout, *columns)
            yield piece_of(columns, done, at, state)
            at += 8 * done
            if state[evt.FAULT] == evt.FAR:
                self._fail("its times exceed 285 years", at)
            if state[evt.FAULT]:
                self._fail_at(int(records[2 * done + 1]), at)
        if at < self._size:
            self._fail(f"the file ends after {self._size - at} of an event's 8 bytes", at)

    def _fail_at(self, address: int, at: int) -> NoReturn:
        shift, bits = sum(self._layout[:2]), self._layout[2]
        problem = f"polarity {address >> shift} is neither 0 nor 1"
        survey = Survey()
        for records in self._all_words(8):
            p = (records.view("<u4")[1::2] >> shift) & ((1 << bits) - 1)
            survey.add(p > 1, p)
        if survey.is_damage(may_shift=(self._size - self._start) % 8 > 0):
            self._fail(problem, at)
        self._recode(
            f"{problem}: {survey.said('events')}",
            at,
            f"{WHOLE}Is its header that of another file? Write it again with Metavision.",
        )


_RECORDINGS = (Evt2Recording, Evt21Recording, Evt3Recording, DatRecording)


def open_prophesee(
    path: str | Path,
    *,
    stream: int | str | None = None,
    sensor: Sensor | None = None,
    reading: Reading = STRICT,
) -> PropheseeRecording:
    """Return a recording of the class for the encoding that a file's header names."""
    path = Path(path)
    try:
        with path.open("rb", buffering=0) as file:
            encoding = _Head.read(path, file.read(HEAD_LIMIT)).encoding()
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error
    kinds = {kind.encoding: kind for kind in _RECORDINGS}
    return kinds[encoding](path, stream=stream, sensor=sensor, reading=reading)
