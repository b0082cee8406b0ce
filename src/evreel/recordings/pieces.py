"""Events as a reader finds them in a file, piece by piece, before they are checked."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.events import FrameTimes, Imu, Triggers, UInt8Array
from evreel.timebase import Int64Array

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
    line : of a text, where each event has one, the line of the first; 0 if that is not known.
    starts : of events from several places: of each, the first event's index in the piece, the
        place, and that event's index among those there.
    """

    t: Int64Array
    x: npt.NDArray[np.integer[Any]]
    y: npt.NDArray[np.integer[Any]]
    p: UInt8Array
    offset: int
    sound: bool = False
    row: int = 0
    line: int = 0
    starts: tuple[tuple[int, int, int], ...] = ()

    def place(self, row: int) -> tuple[int, int]:
        """Return a byte from which on one of these is, and its index among the events there."""
        if not self.starts:
            return self.offset, self.row + row
        first, offset, number = self.starts[bisect_right(self.starts, row, key=itemgetter(0)) - 1]
        return offset, number + row - first

    def nth(self, row: int) -> str:
        """Return which event of the file, from its place on, one of these is, in words."""
        if self.line:
            return f"in line {self.line + row}"
        return f"number {self.place(row)[1]} from here"


def rows_of(piece: Piece, rows: slice | npt.NDArray[np.bool_]) -> Piece:
    """Return some rows of a piece."""
    begins_alike = isinstance(rows, slice) and not rows.start
    line = piece.line if begins_alike else 0
    starts: tuple[tuple[int, int, int], ...] = ()
    if isinstance(rows, slice):
        before = rows.start or 0
        starts = tuple((first - before, at, number) for first, at, number in piece.starts)
    columns = piece.t[rows], piece.x[rows], piece.y[rows], piece.p[rows]
    return Piece(*columns, piece.offset, piece.sound, piece.row, line, starts)
