"""What readers of plain event formats share: from columns as a file has them to checked events.

A reader of a format says how bytes become columns, piece by piece; `DecodedRecording` holds what
is the same for all: the sensor's size, the first stamp, order, bounds, and what becomes of events
and files that break a rule.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import RecordingError, UsageError
from evreel.events import Batch, Events, FrameTimes, Imu, Sensor, Triggers, UInt8Array
from evreel.filters import within
from evreel.recordings.open import STRICT, Reading
from evreel.timebase import FARTHEST, Int64Array

PIECE_ROWS = 1 << 17
"""Events that a reader gathers before it yields them."""
SORT_ROWS = 1 << 20
"""How many events back a stamp may reach that is put in order: memory is bounded by that."""

Side = Triggers | Imu | FrameTimes


class Piece(NamedTuple):
    """Some events as a file has them, up to a few `PIECE_ROWS`.

    Parameters
    ----------
    t : (n,) int64, µs on the file's own clock, in the file's order.
    x, y : (n,) whole numbers of any kind, maybe outside the sensor.
    p : (n,) uint8, 0 or 1.
    offset : byte of the file where the first of them lies.
    sound : whether the reader has seen to it that they are in order and inside the sensor. Its
        columns are then nobody else's: stamps are changed in place.
    row : which of the events at `offset` the first of them is.
    """

    t: Int64Array
    x: npt.NDArray[np.integer[Any]]
    y: npt.NDArray[np.integer[Any]]
    p: UInt8Array
    offset: int
    sound: bool = False
    row: int = 0


class DecodedRecording(Closing):
    """A recording whose format is a run of events, read in one pass; also a `Recording`.

    A subclass sets `format`, opens in `_open`, and yields columns in `_pieces`.

    Parameters
    ----------
    path
        The file.
    stream
        Not for these formats, which hold one stream of events.
    sensor
        Its size, where the format does not state it.
    reading
        What becomes of events and files that break a rule.

    Attributes
    ----------
    path, format, sensor, t_offset, header, repairs
        As of `evreel.recordings.open.Recording`.

    Raises
    ------
    UsageError
        Where a stream is asked for.
    RecordingError
        Where the head is damaged, or the format does not state the sensor's size and none is
        given.
    """

    format: ClassVar[str]
    _counted = False  # whether `n_expected` is known, and not to be guessed from what has come

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
            raise UsageError("holds one stream of events; leave stream out", path=path)
        self.reading = reading
        self._given = sensor
        self.header = ""
        self.n_expected = 0
        self.repairs: dict[str, int] = {}
        try:
            self._file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise RecordingError(f"can't be read: {error.strerror}", path=path) from error
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            stated = self._open()
            if stated is None and sensor is None:
                raise RecordingError(
                    f"{self.format} does not state the sensor's size",
                    path=path,
                    hint="Give it: column sensor of the table, --sensor by hand, as WIDTHxHEIGHT.",
                )
            self.sensor = stated or sensor or Sensor(1, 1)
            self.t_offset = 0
            self.t_offset = self._first_stamp()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    @abstractmethod
    def _open(self) -> Sensor | None:
        """Read the head, set `header`; return the sensor's size where the file states it."""

    @abstractmethod
    def _pieces(self) -> Iterator[Piece | Side]:
        """Yield the file's events and side streams from its first on, on the file's own clock.

        What is left out on the way, such as words of other kinds, is counted in `repairs`.
        Damage is raised by `_fail`.
        """

    def _pieces_for(
        self, start_us: int | None, stop_us: int | None, side: bool
    ) -> Iterator[Piece | Side]:
        """Yield at least the events of a range of time, and side streams if asked for; or all."""
        return self._pieces()

    def _fail(self, problem: str, offset: int, hint: str | None = None) -> NoReturn:
        """Raise for damage at a byte of the file."""
        raise RecordingError(
            problem,
            path=self.path,
            offset=offset,
            hint=hint or "Copy or download it again, or read what is whole: on_damage: salvage.",
        )

    def batches(
        self, start_us: int | None = None, stop_us: int | None = None, *, side: bool = True
    ) -> Iterator[Batch]:
        """Yield events with a stamp in ``[start_us, stop_us)``, and the side streams whole.

        Raises
        ------
        RecordingError
            With the byte, where the file is damaged, or an event is outside the sensor or goes
            back in time, unless `reading` says otherwise.
        """
        for batch in self._checked(start_us, stop_us, side):
            if isinstance(batch, Events):
                kept = within(batch, start_us, stop_us)
                if len(kept):
                    yield kept
            elif side:
                yield batch

    def __iter__(self) -> Iterator[Events]:
        """Yield the events only, chunk by chunk, as `evreel.recordings.event_chunks` does."""
        return (batch for batch in self.batches(side=False) if isinstance(batch, Events))

    def _first_stamp(self) -> int:
        """Return the first event's stamp, 0 where there is none; damage shows when it is read."""
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

        What is asked for is a hint to the reader, which may yield more.
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
        """Yield what is whole; where that may be all, damage ends it and is counted in bytes."""
        try:
            yield from pieces
        except RecordingError as damage:
            if self.reading.on_damage == "fail" or damage.offset is None:
                raise
            self.repairs["damaged_bytes"] = self._size - damage.offset

    def _inside(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield events inside the sensor; others are an error, or dropped and counted."""
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
                        f"event x={piece.x[row]}, y={piece.y[row]}, {piece.row + row} events on, "
                        f"is outside the sensor of {width}x{height}",
                        piece.offset,
                        hint="Is the sensor's size right? To leave such events out: "
                        "on_out_of_bounds: drop.",
                    )
                self.repairs["out_of_bounds_events"] += int(np.count_nonzero(outside))
                piece = _rows(piece, ~outside)
            yield piece

    def _as_is(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces whose stamps never go back; raise at the first that does."""
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
                        f"event t={piece.t[back]} µs, {piece.row + back} events on, is before "
                        f"t={before} of the one above",
                        piece.offset,
                        hint="To put events in order: on_disorder: sort.",
                    )
                last = int(piece.t[-1])
            yield piece

    def _sorted(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield events in order of time, those of equal stamps as they come."""
        held: list[Piece] = []
        rows, latest, given = 0, -FARTHEST, -FARTHEST

        def part(whole: Piece, stop: int) -> Piece:
            nonlocal given
            first = _rows(whole, slice(stop))
            if first.t[0] < given:
                self._fail(
                    f"event t={first.t[0]} µs comes more than {SORT_ROWS:,} events too late to be "
                    "put in order",
                    first.offset,
                    hint="Is the file several recordings one after the other? Cut it first.",
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


def in_order_and_inside(
    t: Int64Array, x: npt.NDArray[np.uint16], y: npt.NDArray[np.uint16], sensor: Sensor
) -> bool:
    """Return whether (n,) events are in order and inside a sensor, n > 0."""
    return bool(x.max() < sensor.width and y.max() < sensor.height and not (t[1:] < t[:-1]).any())


def _in_order(pieces: list[Piece]) -> Piece:
    """Return pieces as one in order of time."""
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
