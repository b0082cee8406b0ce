"""Read text: an event a line, its numbers between blanks, commas or semicolons; also compressed.

What the columns are, `text_layout` says. Numbers may have a fraction and an exponent; they are read
exactly, not as floating-point numbers: a time in seconds becomes the nearest microsecond, one of
whole nanoseconds the microsecond before. A polarity is 1 or True for ON, 0, −1 or False for OFF.

It may be compressed by gzip or Zstandard. In a zip file, it is the only text (.txt, .csv or .tsv),
or the one that is called events.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zipfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from evreel.errors import EvreelError, RecordingError, words_of
from evreel.events import Sensor
from evreel.recordings.columns import ColumnsRecording, Fault, Rows, whole_numbers
from evreel.recordings.declared import MOST, ROLES, SAID, UNITS, in_words
from evreel.recordings.decoded import DecodedRecording
from evreel.recordings.numpy_files import Bounded, NpzRecording, zip_of
from evreel.recordings.open import TEXT_SUFFIXES, Reading, undeclared
from evreel.recordings.survey import WHOLE, Survey
from evreel.recordings.text_layout import UnclearError, fields, recognised
from evreel.timebase import FARTHEST

BLOCK_BYTES = 1 << 20
"""Text that is read at a time: some 50,000 events."""
LINE_BYTES = 1 << 16
"""Size limit of a line."""

PACKED_SUFFIXES = (".gz", ".zst", ".zstd")
"""What the name of a compressed text ends in, after its own suffix."""

_ZSTD_START = b"\x28\xb5\x2f\xfd"
_WINDOW_BYTES = 1 << 27  # what Zstandard may look back, as its own tool has it
_FED_BYTES = 1 << 9  # compressed; four of these become up to 128 KiB, so all of them 16 MiB
_SAMPLE_BYTES = 1 << 18
_LEAST_LINE = len("0 0 0 0\n")
_READ_BYTES = 1 << 16
_MOST_BAD = 10_000  # lines that are counted to tell damage from another coding


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
        self._packed = {b"\x1f\x8b": "gzip", b"PK": "zip", _ZSTD_START[:2]: "Zstandard"}.get(
            start[:2], ""
        )
        if self._packed == "zip":
            self._member = self._text_of_zip()
        sample, whole = self._sample()
        try:
            self._layout = recognised(sample, whole, self._declared, self._given)
        except UnclearError as error:
            self._refuse(error.problem, 0, error.hint)
        self._roles = np.array([ROLES.find(role) for role in self._layout.order], np.int8)
        said = self._declared
        if self._layout.sensor is not None or said is None or self._given is not None:
            return self._layout.sensor
        return said.sensor

    def _sample(self) -> tuple[bytes, bool]:
        """Return the first bytes, and whether they are all."""
        sample, whole = bytearray(), True
        try:
            with contextlib.closing(self._blocks()) as blocks:
                for block, _ in blocks:
                    sample += block
                    if len(sample) >= _SAMPLE_BYTES:
                        whole = False
                        break
        except RecordingError:
            if not sample or self.reading.on_damage == "fail":
                raise
            whole = False
        nul = sample.find(b"\0")
        if nul >= 0:
            self._refuse(
                "is not a text in UTF-8: it has a byte 0",
                0 if self._packed else nul,
                hint="If it is a text in UTF-16, save it in UTF-8."
                if not self._packed
                else "If it is another recording, unpack it first.",
            )
        if len(sample) > LINE_BYTES and b"\n" not in sample[:LINE_BYTES]:
            self._refuse(f"has a first line of over {LINE_BYTES:,} bytes, as no text of events", 0)
        return bytes(sample), whole

    def _vouched(self, name: str) -> bool:
        return False

    def _whole_numbers(
        self, name: str, values: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.integer[Any]], int, str | None]:
        return whole_numbers(name, values)  # scaled and shifted as they were read

    def _offset_of(self, rows: Rows, row: int) -> int:
        if self._packed or not rows.line or not row:
            return rows.offset
        data = np.frombuffer(self._bytes(BLOCK_BYTES + LINE_BYTES, rows.offset), np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        return rows.offset + int(ends[row - 1]) + 1 if row <= len(ends) else rows.offset

    # Bytes

    def _text_of_zip(self) -> str:
        found = texts_among(self._zip().namelist())
        if len(found) != 1:
            n = len(found) or "no"
            self._refuse(
                f"is a zip file with {n} texts{': ' * bool(found)}{', '.join(found[:20])}",
                0,
                hint=f"Name the one: {self.path.name}!NAME as source in the table; by hand, "
                f"`evreel acquire '{self.path.name}!NAME' -o FILE` extracts it.",
            )
        return found[0]

    def _zip(self) -> zipfile.ZipFile:
        try:
            return zip_of(self._file.fileno(), self._size)
        except ValueError as error:
            self._fail(str(error), self._size)

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
                elif self._packed == "Zstandard":
                    stream = _Zstandard(raw)
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
                place = at if self._packed else max(at, skipped)
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

    # Events

    def _rows(self) -> Iterator[Rows]:
        from evreel.kernels import text as lines

        hows, line, tally = self._hows(), self._layout.line, np.zeros(4, np.int64)
        for data, place in self._whole_lines(self._layout.start):
            most = len(data) // _LEAST_LINE + 1
            t, x, y = (np.empty(most, np.int64) for _ in range(3))
            p = np.empty(most, np.int8)
            content = np.frombuffer(data, np.uint8)
            how = self._roles, hows, ord(self._layout.separator)
            n = lines.parse(content, *how, t, x, y, p, tally)
            passed = int(tally[0])
            fault = self._fault(data, place, line + passed, tally) if tally[1] else None
            rows = t[:n], x[:n], y[:n], p[:n]
            yield Rows(rows, place, 0, fault, line + 1 if passed == n else 0)
            if fault is not None:
                return
            line += passed

    def _hows(self) -> npt.NDArray[np.int64]:
        """Return what makes whole numbers of each column, as the kernel takes it."""
        from evreel.kernels import text as lines

        said, hows = self._declared, np.zeros((len(ROLES), 6), np.int64)
        for k, role in enumerate(ROLES):
            column = None if said is None else said.columns[role]
            scale = UNITS[self._layout.unit] if role == "t" else UNITS["us"]
            if column is not None:
                scale = column.scale if role != "t" or column.unit else scale * column.scale
            up, down, power = scale.numerator, scale.denominator, 0
            while up % 10 == 0:
                up, power = up // 10, power + 1
            while down % 10 == 0:
                down, power = down // 10, power - 1
            rounding = lines.NONE
            if role == "t" and self._layout.rounds:
                rounding = lines.NEAREST
            elif role in "xy" and scale != 1:
                rounding = lines.BELOW
            most = {"t": FARTHEST, "p": 1}.get(role, MOST)
            hows[k] = power, up, down, column.shift if column else 0, rounding, most
        return hows

    def _fault(self, data: bytes, place: int, passed: int, tally: npt.NDArray[np.int64]) -> Fault:
        """Return what is wrong with the line after as many."""
        from evreel.kernels import text as lines

        problems = {
            lines.NO_NUMBER: "is not a number",
            lines.FRACTION: "has a fraction",
            lines.TOO_FAR: "is too far from 0",
            lines.NO_POLARITY: "is none of 1, 0 and −1",
            lines.TOO_LONG: "has too many digits to be scaled",
        }
        _, problem, at, role = tally.tolist()
        begin, stop = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
        offset = place if self._packed else min(place + begin, self._size)
        if problem in (lines.TOO_FEW, lines.TOO_MANY):
            n = len(fields(data[begin:stop].decode("utf-8", "replace"), self._layout.separator))
            what = f"has {n} column{'s' * (n != 1)}, but {len(self._layout.order)} are expected"
            return Fault(f"line {passed + 1}: {what}", offset)
        ends = r"[^,;\"]*" if self._layout.separator == "," else r"[^\s,;\"]*"
        words = data[at:stop].decode("utf-8", "replace").removeprefix('"')
        found = re.match(ends, words)
        field = found[0].strip()[:40] if found else ""
        said = f"line {passed + 1}: {ROLES[role]} is {field!r}, which {problems[problem]}"
        hint = None
        if problem == lines.FRACTION and ROLES[role] == "t":
            hint = f"Declare the unit of t ({SAID}), such as {in_words(self._layout.order, 's')}."
        survey = self._survey()
        if survey.is_damage():
            return Fault(said, offset, hint)
        more = f"; so have {survey.bad:,} of {survey.n:,} lines" if survey.bad > 1 else ""
        return Fault(f"{said}{more}", offset, WHOLE + (hint or _HINTS[ROLES[role]]), whole=True)

    def _survey(self) -> Survey:
        """Return where lines are that have no event, or some of them."""
        from evreel.kernels import text as lines

        survey, hows, tally = Survey(), self._hows(), np.zeros(4, np.int64)
        how = self._roles, hows, ord(self._layout.separator)
        with contextlib.suppress(RecordingError):
            for data, _ in self._whole_lines(self._layout.start):
                most = len(data) // _LEAST_LINE + 1
                t, x, y = (np.empty(most, np.int64) for _ in range(3))
                p = np.empty(most, np.int8)
                at = 0
                while at < len(data) and survey.bad < _MOST_BAD:
                    content = np.frombuffer(data, np.uint8, offset=at)
                    n = lines.parse(content, *how, t, x, y, p, tally)
                    survey.add(np.zeros(n, np.bool_), t[:n])
                    if not tally[1]:
                        break
                    survey.add(np.ones(1, np.bool_), tally[3:])
                    at = data.find(b"\n", at + int(tally[2])) + 1
        return survey


class _Zstandard:
    """The plain bytes of frames of Zstandard, one after the other, as of a file.

    zstandard's own reader ends without an error where a frame is cut off.
    """

    def __init__(self, raw: Bounded) -> None:
        self._raw = raw
        self._fed = self._plain = memoryview(b"")
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def read1(self, size: int) -> memoryview:
        """Return up to `size` bytes, none at the end.

        Raises
        ------
        EOFError
            If the last frame is cut off.
        zstandard.ZstdError
            If one is damaged.
        """
        while not self._plain:
            if not self._fed:
                self._fed = memoryview(self._raw.read(_READ_BYTES))
            if not self._fed:
                if self._frame is not None:
                    raise EOFError("it ends in the middle of a frame")
                break
            if self._frame is None:
                undo = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
                self._frame = undo.decompressobj()
            fed = self._fed[:_FED_BYTES]
            self._plain = memoryview(self._frame.decompress(fed))
            used = len(fed)
            if self._frame.eof:
                used -= len(self._frame.unused_data)  # which is of the next frame
                self._frame = None
            self._fed = self._fed[used:]
        part, self._plain = self._plain[:size], self._plain[size:]
        return part


_HINTS = {
    "t": "Its columns may be others than those of the first lines.",
    "x": "Coordinates must be whole pixels of the sensor, unless a scale is declared.",
    "p": "Decide which of them are ON, and write 1 for these and 0 for the others, or declare a "
    "scale or a shift.",
}
_HINTS["y"] = _HINTS["x"]


def texts_among(names: Iterable[str]) -> list[str]:
    """Return which files in a zip file or a folder are texts of events, by their names.

    Those called readme are not, and if there are any called events, no others are.
    """
    found = [
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in TEXT_SUFFIXES and not name.startswith("__MACOSX/")
    ]
    named = [name for name in found if PurePosixPath(name).stem.lower() == "events"]
    return named or [name for name in found if "readme" not in PurePosixPath(name).stem.lower()]


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
            archive = zip_of(file.fileno(), path.stat().st_size)
            is_npz = any(name.endswith(".npy") for name in archive.namelist())
            holds_text = not is_npz and bool(texts_among(archive.namelist()))
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error
    except ValueError:
        holds_text = False  # as an npz file, it is an error
    return (TextRecording if holds_text else NpzRecording)(path, **options)


def open_zstd(path: str | Path, *, reading: Reading, **options: Any) -> DecodedRecording:
    """Open a file that Zstandard has compressed: a ROS bag, or a text.

    Raises
    ------
    RecordingError
        If it is neither, or damaged.
    UsageError
        If columns are declared of a bag.
    """
    from evreel.recordings.ros.files import head_of
    from evreel.recordings.ros.read import is_bag, open_bag

    path = Path(path)
    inner = Path(path.stem) if path.suffix.lower() in PACKED_SUFFIXES else path
    head = head_of(path, plain=True)
    is_text = inner.suffix.lower() in TEXT_SUFFIXES or (
        b"\0" not in head and (bool(head) or reading.columns is not None)
    )
    if is_text and not is_bag(head):
        return TextRecording(path, reading=reading, **options)
    if reading.columns is not None:
        raise undeclared(path, "a ROS bag")
    return open_bag(path, reading=reading, **options)
