"""What readers of plain event formats share: from the columns in a file to checked events.

The reader of a format turns bytes into columns, piece by piece. `DecodedRecording` does what is the
same for all: sensor size, first timestamp, order, bounds, and handling what breaks a rule.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import RecordingError, UnknownFormatError, UsageError
from evreel.events import Batch, Events, FrameTimes, Imu, Sensor, Triggers, UInt8Array
from evreel.filters import within
from evreel.recordings.open import STRICT, Reading
from evreel.timebase import FARTHEST, Int64Array

PIECE_ROWS = 1 << 17
"""Events that a reader gathers before it yields them."""
SORT_ROWS = 1 << 20
"""How many events late an event may come and still be sorted; this bounds memory."""

Side = Triggers | Imu | FrameTimes


class Piece(NamedTuple):
    """Some events as they are in a file, up to a few `PIECE_ROWS`.

    Parameters
    ----------
    t : (n,) int64, µs on the file's own clock, in the file's order.
    x, y : (n,) whole numbers of any type, possibly outside the sensor.
    p : (n,) uint8, 0 or 1.
    offset : byte of the file where the first event is.
    sound : whether the reader has checked that they are in order and inside the sensor. Then
        nothing else may use the columns: timestamps are changed in place.
    row : index of the first event among those at `offset`.
    """

    t: Int64Array
    x: npt.NDArray[np.integer[Any]]
    y: npt.NDArray[np.integer[Any]]
    p: UInt8Array
    offset: int
    sound: bool = False
    row: int = 0


class DecodedRecording(Closing):
    """A recording whose format is a sequence of events, read in one pass; also a `Recording`.

    A subclass sets `format`, reads the header in `_open`, and yields columns in `_pieces`.

    Parameters
    ----------
    path
        The file.
    stream
        Must be None: these formats hold one stream of events.
    sensor
        The sensor's size, if the file does not state it.
    reading
        How events and files that break a rule are handled.

    Attributes
    ----------
    path, format, sensor, t_offset, header, repairs
        As of `evreel.recordings.open.Recording`.

    Raises
    ------
    UsageError
        If a stream is given.
    RecordingError
        If the header is damaged, or the sensor's size is neither in the file nor given.
    """

    format: ClassVar[str]
    _counted = False  # whether `n_expected` is known, rather than estimated from what has come

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | None = None,
        sensor: Sensor | None = None,
        reading: Reading = STRICT,
    ) -> None:
        self.path = Path(path)
        if stream is not None:
            raise UsageError("has only one stream of events; leave stream out", path=path)
        self.reading = reading
        self._given = sensor
        self.header = ""
        self.n_expected = 0
        self.repairs: dict[str, int] = {}
        try:
            self._file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            stated = self._open()
            if stated is None and sensor is None:
                raise RecordingError(
                    f"{self.format} does not state the sensor's size",
                    path=path,
                    hint="Give it as WIDTHxHEIGHT: column sensor of the table, or option --sensor.",
                )
            self.sensor = stated or sensor or Sensor(1, 1)
            self.t_offset = 0
            self.t_offset = self._first_stamp()
        except BaseException:
            self._file.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it can be read, because it is not closed yet."""
        return not self._file.closed

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    @abstractmethod
    def _open(self) -> Sensor | None:
        """Read the header, set `header`; return the sensor's size, None if it is not stated."""

    @abstractmethod
    def _pieces(self) -> Iterator[Piece | Side]:
        """Yield all events and side streams of the file, on the file's own clock.

        What is left out, such as words of other kinds, is counted in `repairs`. Damage is raised
        by `_fail`.
        """

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        """Yield at least the events of a range of time, and the side streams if `side` is set."""
        return self._pieces()

    def _fail(self, problem: str, offset: int, hint: str | None = None) -> NoReturn:
        """Raise for damage at a byte of the file."""
        hint = hint or "Copy or download it again, or set on_damage: salvage to read what is whole."
        raise RecordingError(problem, path=self.path, offset=offset, hint=hint)

    def _refuse(self, problem: str, offset: int | None = None, hint: str | None = None) -> NoReturn:
        """Raise for a whole file that cannot be read here."""
        raise UnknownFormatError(problem, path=self.path, offset=offset, hint=hint)

    def _bytes(self, size: int, at: int) -> bytes:
        """Return up to `size` bytes of the file that begin at one."""
        try:
            return os.pread(self._file.fileno(), size, at)
        except OSError as error:
            self._fail(f"cannot be read: {error.strerror}", at)

    def _fill(self, buffer: memoryview, at: int) -> int:
        """Fill a buffer from a byte of the file on; return how many bytes there were."""
        try:
            return os.preadv(self._file.fileno(), [buffer], at)
        except OSError as error:
            self._fail(f"cannot be read: {error.strerror}", at)

    def _count(self, name: str, number: int) -> None:
        """Add to a count of `repairs`, which is absent while it is zero."""
        if number:
            self.repairs[name] = self.repairs.get(name, 0) + number

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield events with a timestamp in ``[start_us, stop_us)``, and whole side streams.

        Raises
        ------
        RecordingError
            If the file is damaged, or an event is outside the sensor or goes back in time, unless
            `reading` says otherwise; with the byte.
        """
        for batch in self._checked(start_us, stop_us, side):
            if isinstance(batch, Events):
                kept = within(batch, start_us, stop_us)
                if len(kept):
                    yield kept
            elif side:
                yield batch

    def __iter__(self) -> Iterator[Events]:
        """Yield only the events, chunk by chunk, as `evreel.recordings.event_chunks` does."""
        self.check_open()
        return (batch for batch in self.batches(side=False) if isinstance(batch, Events))

    def _first_stamp(self) -> int:
        """Return the first event's timestamp, 0 if there is none; damage is reported by a pass."""
        try:
            for batch in self._checked():
                if isinstance(batch, Events) and len(batch):
                    return int(batch.t[0])
        except RecordingError:
            return 0
        return 0

    def _checked(
        self, start_us: int | None = None, stop_us: int | None = None, side: bool = True
    ) -> Iterator[Events | Side]:
        """Yield events in order and inside the sensor, and side streams, relative to `t_offset`.

        The range is only a hint to the reader, which may yield more.
        """
        self.repairs.clear()
        self.repairs.update(self.reading.counts())
        pieces = self._inside(self._until_damage(self._pieces_for(start_us, stop_us, side)))
        ordered = (
            self._sorted(pieces) if self.reading.on_disorder == "sort" else self._as_is(pieces)
        )
        first = rows = 0
        for piece in ordered:
            if isinstance(piece, FrameTimes):
                start, stop = piece.exposure_start_us, piece.exposure_stop_us
                yield FrameTimes(start - self.t_offset, stop - self.t_offset)
            elif not isinstance(piece, Piece):
                yield replace(piece, t=piece.t - self.t_offset)
            elif len(piece.t):
                first = first or piece.offset
                if piece.offset > first and not self._counted:
                    share = (self._size - first) / (piece.offset - first)
                    self.n_expected = int(rows * share)
                rows += len(piece.t)
                t = np.subtract(piece.t, self.t_offset, out=piece.t if piece.sound else None)
                yield Events.trusted(
                    t,
                    piece.x.astype(np.uint16, copy=False),
                    piece.y.astype(np.uint16, copy=False),
                    piece.p,
                    self.sensor,
                )

    def _until_damage(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield what is whole; when salvaging, damage ends the pass and its bytes are counted."""
        try:
            yield from pieces
        except RecordingError as damage:
            if self.reading.on_damage == "fail" or damage.offset is None:
                raise
            self.repairs["damaged_bytes"] = self._size - damage.offset

    def _inside(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield events inside the sensor; any other is an error, or dropped and counted."""
        height, width = self.sensor
        for piece in pieces:
            if not isinstance(piece, Piece) or piece.sound or not len(piece.t):
                yield piece
                continue
            outside = (piece.x < 0) | (piece.x >= width) | (piece.y < 0) | (piece.y >= height)
            if outside.any():
                row = int(np.argmax(outside))
                if self.reading.on_out_of_bounds == "fail":
                    self._fail(
                        f"event x={piece.x[row]}, y={piece.y[row]}, number {piece.row + row} from "
                        f"here, is outside the sensor of {width}x{height} px",
                        piece.offset,
                        hint="Is the sensor's size right? To drop such events, set "
                        "on_out_of_bounds: drop.",
                    )
                self.repairs["out_of_bounds_events"] += int(np.count_nonzero(outside))
                piece = _rows(piece, ~outside)
            yield piece

    def _as_is(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces; raise at the first timestamp that goes back."""
        last = -FARTHEST
        for piece in pieces:
            if isinstance(piece, Piece) and len(piece.t):
                back, before = None, last
                if piece.t[0] < last:
                    back = 0
                elif not piece.sound:
                    rows = np.flatnonzero(piece.t[1:] < piece.t[:-1])
                    if rows.size:
                        back = int(rows[0]) + 1
                        before = int(piece.t[back - 1])
                if back is not None:
                    self._fail(
                        f"event t={piece.t[back]} µs, number {piece.row + back} from here, is "
                        f"before t={before} of the previous event",
                        piece.offset,
                        hint="To sort events, set on_disorder: sort.",
                    )
                last = int(piece.t[-1])
            yield piece

    def _sorted(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield events in time order; those with equal timestamps keep the order of the file."""
        held: list[Piece] = []
        rows, latest, given = 0, -FARTHEST, -FARTHEST

        def part(whole: Piece, stop: int) -> Piece:
            nonlocal given
            first = _rows(whole, slice(stop))
            if first.t[0] < given:
                self._fail(
                    f"event t={first.t[0]} µs comes more than {SORT_ROWS:,} events too late to be "
                    "sorted",
                    first.offset,
                    hint="Does the file hold several recordings in a row? Cut it first.",
                )
            given = int(first.t[-1])
            return first

        for piece in pieces:
            if not isinstance(piece, Piece):
                yield piece
                continue
            if not len(piece.t):
                continue
            highest = np.maximum.accumulate(np.concatenate([[latest], piece.t]))
            self.repairs["disordered_events"] += int(np.count_nonzero(piece.t < highest[:-1]))
            latest = int(highest[-1])
            held.append(piece)
            rows += len(piece.t)
            if rows >= 2 * SORT_ROWS:
                whole = _in_order(held)
                yield part(whole, rows - SORT_ROWS)
                held, rows = [_rows(whole, slice(rows - SORT_ROWS, None))], SORT_ROWS
        if held:
            yield part(_in_order(held), rows)


def first_rows(columns: Sequence[npt.NDArray[Any]], rows: int) -> list[npt.NDArray[Any]]:
    """Return the first rows of columns; if they are few, as copies that hold no unused memory."""
    few = 2 * rows < len(columns[0])
    return [column[:rows].copy() if few else column[:rows] for column in columns]


def in_order_and_inside(
    t: Int64Array, x: npt.NDArray[np.uint16], y: npt.NDArray[np.uint16], sensor: Sensor
) -> bool:
    """Return whether (n,) events are in order and inside a sensor, n > 0."""
    return bool(x.max() < sensor.width and y.max() < sensor.height and not (t[1:] < t[:-1]).any())


def _in_order(pieces: list[Piece]) -> Piece:
    """Return pieces as one, in time order."""
    t = np.concatenate([piece.t for piece in pieces])
    order = np.argsort(t, kind="stable")
    return Piece(
        t[order],
        np.concatenate([piece.x for piece in pieces])[order],
        np.concatenate([piece.y for piece in pieces])[order],
        np.concatenate([piece.p for piece in pieces])[order],
        pieces[0].offset,
        sound=True,
    )


def _rows(piece: Piece, rows: slice | npt.NDArray[np.bool_]) -> Piece:
    """Return some rows of a piece."""
    return piece._replace(t=piece.t[rows], x=piece.x[rows], y=piece.y[rows], p=piece.p[rows])
