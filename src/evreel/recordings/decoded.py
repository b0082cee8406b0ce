"""What readers of plain event formats share: from the columns in a file to checked events.

The reader of a format turns bytes into columns, piece by piece. `DecodedRecording` does what is the
same for all: sensor size, first timestamp, order, bounds, and handling what breaks a rule.
"""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import (
    CodingError,
    JumpError,
    RecordingError,
    UnknownFormatError,
    UsageError,
)
from evreel.events import Batch, Events, FrameTimes, Sensor
from evreel.filters import within
from evreel.recordings import jumps
from evreel.recordings.jumps import Divided, summed
from evreel.recordings.open import STRICT, Reading
from evreel.recordings.pieces import Piece, Side, rows_of
from evreel.samples.samples import Member
from evreel.system import fill_at, read_at
from evreel.timebase import FARTHEST, Int64Array, next_whole_ms

PIECE_ROWS = 1 << 17
"""Events that a reader gathers before it yields them."""
SORT_ROWS = 1 << 20
"""How many events late an event may come and still be sorted; this bounds memory."""
SIZE_SAID = "--sensor WIDTHxHEIGHT, or column sensor of the table"
"""Where the size of a sensor is given that a file does not state."""
MOST_PARTS = 1_000
"""Parts between clock resets; more are no clock's."""


class Part(NamedTuple):
    """A part of a recording between resets of its clock.

    Parameters
    ----------
    first_us, least_us, latest_us : its first, its least and its latest timestamp.
    """

    first_us: int
    least_us: int
    latest_us: int


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
    members
        The parts that ``on_reset="split"`` laid end to end; none if the clock was not reset. The
        first begins at 0 µs, each other at the next whole millisecond after the one before.

    Raises
    ------
    UsageError
        If a stream is given.
    RecordingError
        If the header is damaged, or the sensor's size is neither in the file nor given.
    """

    format: ClassVar[str]
    _jitter_us: ClassVar[int | None] = None
    """How far an event may come late, if not `jumps.JITTER_US`."""
    _counted = False  # whether `n_expected` is known, rather than estimated from what has come

    def __init__(
        self,
        path: str | Path,
        *,
        stream: int | str | None = None,
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
        self.members: list[Member] = []
        self._parts: list[Part] = []
        self._has_head = False
        try:
            self._file = self._first_file().open("rb", buffering=0)
        except OSError as error:
            raise RecordingError(f"cannot be read: {error.strerror}", path=path) from error
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            stated = self._open()
            if stated is None and sensor is None:
                raise RecordingError(
                    f"{self.format} does not state the sensor's size",
                    path=path,
                    hint=f"Give it: {SIZE_SAID}.",
                )
            self._has_head = True
            self.sensor = stated or sensor or Sensor(1, 1)
            self.t_offset = 0
            if reading.on_reset != "fail":
                self._divide()
            kept = self._parts[-1:] if reading.on_reset == "last" else self._parts[:1]
            self.t_offset = self._start_of(kept[0]) if kept else self._first_stamp()
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

    def _first_file(self) -> Path:
        """Return the file that is opened, if the recording is a folder."""
        return self.path

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

    def _located(self, offset: int | None) -> dict[str, Any]:
        """Return how an error names a place of the recording: ``offset``, ``place`` or both."""
        return {"offset": offset}

    def _fail(self, problem: str, offset: int, hint: str | None = None) -> NoReturn:
        """Raise for damage at a byte of the file."""
        again = "Copy or download it again"
        # What prevents opening a file leaves nothing to salvage.
        more = ", or set on_damage: salvage to read what is whole." if self._has_head else "."
        raise RecordingError(
            problem, path=self.path, **self._located(offset), hint=hint or again + more
        )

    def _refuse(self, problem: str, offset: int | None = None, hint: str | None = None) -> NoReturn:
        """Raise for a whole file that is not in a format that can be read here."""
        raise UnknownFormatError(problem, path=self.path, **self._located(offset), hint=hint)

    def _recode(self, problem: str, offset: int | None = None, hint: str | None = None) -> NoReturn:
        """Raise for a whole recording that is coded in a way that cannot be read here."""
        raise CodingError(problem, path=self.path, **self._located(offset), hint=hint)

    def _bytes(self, size: int, at: int) -> bytes:
        """Return up to `size` bytes of the file that begin at one."""
        try:
            return read_at(self._file.fileno(), size, at)
        except OSError as error:
            self._fail(f"cannot be read: {error.strerror}", at)

    def _fill(self, buffer: memoryview, at: int) -> int:
        """Fill a buffer from a byte of the file on; return how many bytes there were."""
        try:
            return fill_at(self._file.fileno(), buffer, at)
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
        reading = self.reading
        if not reading.on_disorder == reading.on_reset == reading.on_stray == "fail":
            pieces = self._of_one_clock(pieces)
        order = {
            "fail": self._as_is,
            "sort": self._sorted,
            "drop": self._without_late,
            "clamp": self._clamped,
        }
        first = rows = 0
        for piece in order[reading.on_disorder](pieces):
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
        except UnknownFormatError:
            raise  # whole, but coded otherwise: its beginning is not what is left of it
        except RecordingError as damage:
            lost = self._bytes_from(damage)
            if self.reading.on_damage == "fail" or lost is None:
                raise
            self.repairs["damaged_bytes"] = lost
            if not lost:
                self.repairs["cut_off"] = 1

    def _bytes_from(self, damage: RecordingError) -> int | None:
        """Return how many bytes there are from damage on; None if what is before is not whole."""
        return None if damage.offset is None else self._size - damage.offset

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
                    if row:
                        yield rows_of(piece, slice(row))
                    self._fail_outside(piece, row, int(np.count_nonzero(outside)))
                self.repairs["out_of_bounds_events"] += int(np.count_nonzero(outside))
                piece = rows_of(piece, ~outside)
            yield piece

    def _fail_outside(self, piece: Piece, row: int, n: int) -> NoReturn:
        """Raise for n events of a piece that are outside the sensor, the first in `row`."""
        height, width = self.sensor
        most_x, most_y = int(piece.x.max()), int(piece.y.max())
        hint = "Is the sensor's size right? To drop such events, set on_out_of_bounds: drop."
        if most_x < height and most_y < width and min(piece.x.min(), piece.y.min()) >= 0:
            hint = "x and y seem to be swapped: save them the other way round."
            if self._given is not None:
                hint = (
                    f"If its size was given height first, give {height}x{width}. If x and y are "
                    "swapped in the file, give that too, and set swap_xy: true."
                )
        more = ""
        if n > 1:
            more = f", as are {n:,} of {len(piece.x):,} here, up to x={most_x}, y={most_y}"
        self._fail(
            f"event x={piece.x[row]}, y={piece.y[row]}, {piece.nth(row)}, is "
            f"outside the sensor of {width}x{height} px{more}",
            piece.place(row)[0],
            hint=hint,
        )

    def _as_is(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces; raise at the first timestamp that goes back, or a day ahead."""
        last: int | None = None
        for piece in pieces:
            if isinstance(piece, Piece) and len(piece.t):
                t = piece.t
                row = None
                if last is not None and not last <= t[0] <= last + jumps.PAUSE_US:
                    row = 0
                elif (not piece.sound and (t[1:] < t[:-1]).any()) or t[-1] - t[0] > jumps.PAUSE_US:
                    wrong = (t[1:] < t[:-1]) | (t[1:] - t[:-1] > jumps.PAUSE_US)
                    if wrong.any():
                        row = int(np.argmax(wrong)) + 1
                        last = int(t[row - 1])
                if row is not None and last is not None:
                    if row:
                        yield rows_of(piece, slice(row))
                    jitter_us = jumps.JITTER_US if self._jitter_us is None else self._jitter_us
                    if not last - jitter_us <= t[row] < last:
                        self._jumps(piece, row, last)
                    self._fail(
                        f"event t={t[row]} µs, {piece.nth(row)}, is before "
                        f"t={last} of the previous event",
                        piece.place(row)[0],
                        hint="To sort, drop or clamp late events, set on_disorder: sort, drop or "
                        "clamp.",
                    )
                last = int(t[-1])
            yield piece

    def _jumps(self, piece: Piece, row: int, last: int) -> NoReturn:
        """Raise for all jumps of a recording, of which a strict pass has met the first."""
        left_out = dict(self.repairs)
        pieces = self._inside(self._until_damage(self._pieces_for(None, None, False)))
        parts = Divided(pieces, self._jitter_us)
        parts.look()
        self.repairs.clear()
        self.repairs.update(left_out)
        if not parts.clock.jumps:  # damage comes before it, outside the part that was asked for
            raise JumpError(
                f"the clock jumps: event t={piece.t[row]} µs, {piece.nth(row)}, "
                f"is after t={last} of the one before it",
                path=self.path,
                **self._located(piece.place(row)[0]),
            )
        raise self._jumped(parts)

    def _jumped(self, parts: Divided) -> JumpError:
        """Return the error for jumps of the clock."""
        said = []
        for jump, (offset, number) in zip(parts.clock.jumps, parts.places, strict=True):
            place = "here"
            if offset != parts.places[0][0]:
                place = self._located(offset).get("place", f"byte {offset}")
            said.append(jump.said(f"number {number} from {place}"))
        resets, strays = parts.clock.resets, parts.clock.strays
        if len(said) > 1:
            said.append(f"in all {summed(resets, strays)}")
        hint = []
        if resets:
            hint.append(
                "To keep what is before the first reset, after the last, or all parts end to end, "
                "set on_reset: first, last or split."
            )
        if strays:
            hint.append("To drop stray events, set on_stray: drop.")
        return JumpError(
            f"the clock jumps: {'; '.join(said)}",
            path=self.path,
            **self._located(parts.places[0][0]),
            hint=" ".join(hint),
        )

    def _divide(self) -> None:
        """Find the parts between resets of the clock, in a pass over all events."""
        self.repairs.update(self.reading.counts())
        pieces = self._inside(self._until_damage(self._pieces_for(None, None, False)))
        # What is wrong is said by the pass that yields events.
        with contextlib.suppress(RecordingError):
            for number, piece in Divided(pieces, self._jitter_us):
                if not isinstance(piece, Piece):
                    continue
                if number == MOST_PARTS:
                    break
                first, least, latest = (int(t) for t in (piece.t[0], piece.t.min(), piece.t.max()))
                if number < len(self._parts):
                    first, least_before, latest_before = self._parts.pop()
                    least, latest = min(least, least_before), max(latest, latest_before)
                self._parts.append(Part(first, least, latest))
        if self.reading.on_reset == "split" and len(self._parts) > 1:
            begin = 0
            for number, part in enumerate(self._parts):
                start_us = self._start_of(part)
                stop_us = begin + part.latest_us - start_us + 1
                self.members.append(Member(f"part {number + 1}", begin, stop_us, start_us))
                begin = next_whole_ms(stop_us)

    def _start_of(self, part: Part) -> int:
        """Return the first timestamp of a part: as its late events are handled."""
        late_stay = self.reading.on_disorder in ("drop", "clamp")
        return part.first_us if late_stay else part.least_us

    def _of_one_clock(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces of one clock, without strays; raise if a jump is not to be mended."""
        several = len(self._parts) > 1
        kept = len(self._parts) - 1 if self.reading.on_reset == "last" else 0
        parts = Divided(pieces, self._jitter_us)
        for number, piece in parts:
            self._mend(parts)
            if not isinstance(piece, Piece):
                # Nothing says which part side streams are of.
                self._count("side_rows", len(piece) if several else 0)
                if not several:
                    yield piece
            elif number == MOST_PARTS:
                self._fail(
                    f"the clock is reset more than {MOST_PARTS:,} times",
                    piece.offset,
                    hint="Are its timestamps those of a clock?",
                )
            elif self.members:
                member = self.members[number]
                yield piece._replace(
                    t=piece.t + (self.t_offset + member.start_us - member.t_offset)
                )
            elif not several or number == kept:
                yield piece
            else:
                self.repairs["other_clock_events"] += len(piece.t)
        self._mend(parts)

    def _mend(self, parts: Divided) -> None:
        """Count the jumps so far; raise if one is not to be mended."""
        resets, strays = parts.clock.resets, parts.clock.strays
        reading = self.reading
        if (resets and reading.on_reset == "fail") or (strays and reading.on_stray == "fail"):
            parts.look()
            raise self._jumped(parts)
        for name, number in (("clock_resets", resets), ("stray_events", strays)):
            if name in self.repairs:
                self.repairs[name] = number

    def _without_late(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces without the events that come after a later one."""
        return self._mended(
            pieces, "dropped_late_events", lambda piece, late, highest: rows_of(piece, ~late)
        )

    def _clamped(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield pieces in which each timestamp is the latest one so far."""
        return self._mended(
            pieces, "clamped_events", lambda piece, late, highest: piece._replace(t=highest)
        )

    def _mended(
        self,
        pieces: Iterator[Piece | Side],
        name: str,
        mend: Callable[[Piece, npt.NDArray[np.bool_], Int64Array], Piece],
    ) -> Iterator[Piece | Side]:
        """Yield pieces; count late events under a name, and mend the pieces that have any.

        `mend` takes a piece, which of its events are late, and the latest time up to each.
        """
        latest = -FARTHEST
        for piece in pieces:
            if isinstance(piece, Piece) and len(piece.t):
                highest = np.maximum.accumulate(np.concatenate([[latest], piece.t]))[1:]
                late = piece.t < highest
                latest = int(highest[-1])
                self.repairs[name] += int(np.count_nonzero(late))
                piece = mend(piece, late, highest) if late.any() else piece
            yield piece

    def _sorted(self, pieces: Iterator[Piece | Side]) -> Iterator[Piece | Side]:
        """Yield events in time order; those with equal timestamps keep the order of the file."""
        held: list[Piece] = []
        rows, latest, given = 0, -FARTHEST, -FARTHEST

        def part(whole: Piece, stop: int) -> Piece:
            nonlocal given
            first = rows_of(whole, slice(stop))
            if first.t[0] < given:
                self._fail(
                    f"event t={first.t[0]} µs comes more than {SORT_ROWS:,} events too late to be "
                    "sorted",
                    first.offset,
                    hint="To leave out such events, set on_disorder: drop.",
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
                held, rows = [rows_of(whole, slice(rows - SORT_ROWS, None))], SORT_ROWS
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
