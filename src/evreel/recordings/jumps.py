"""Jumps of a recording's clock, which are another fault than events that come a little late.

Timestamps of a sound recording go back by `JITTER_US` at most, and forward by `PAUSE_US` at most.
Anything farther is a jump: a *reset*, after which the clock goes on from another time, or *stray*
events, up to `STRAY_EVENTS` in a row, after which it goes on as before them. Where both fit, the
fewer events are the strays. A run that came back without a step has not strayed: its clock was
reset and has caught up. At the end of a file, one event alone is a stray.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from evreel.errors import RecordingError
from evreel.recordings.pieces import Piece, Side, rows_of
from evreel.timebase import Int64Array

JITTER_US = 20_000
"""How far an event may come late and only be out of order, µs: two packets of 10 ms, as libcaer and
DV gather them, that changed places. Within a packet, cameras are late by some µs to a few ms."""
PAUSE_US = 86_400_000_000
"""The longest pause of a recording, µs: a day. A clock that is set to the date jumps further."""
STRAY_EVENTS = 8
"""The most stray events in a row. A recording that goes on has more."""
JUMPS_TOLD = 3
"""Jumps that a message lists."""


class Jump(NamedTuple):
    """A jump of the clock.

    Parameters
    ----------
    kind : a reset, or stray events.
    before_us, after_us : the times between which it jumps; that of the first stray event is the
        second.
    strays : number of stray events.
    row : index of the event that has the second time, in the order of the file.
    """

    kind: Literal["reset", "stray"]
    before_us: int
    after_us: int
    strays: int
    row: int

    @property
    def size(self) -> str:
        """How far it goes, in words."""
        step = self.after_us - self.before_us
        return f"{abs(step) / 1e6:.6f} s {'before' if step < 0 else 'after'}"

    def said(self, place: str) -> str:
        """Return what a message says of it; `place` is where its event is."""
        what = "a reset of the clock" if self.kind == "reset" else summed(0, self.strays)
        return (
            f"event t={self.after_us} µs, {place}, is {self.size} t={self.before_us} of the one "
            f"before it ({what})"
        )


def summed(resets: int, strays: int) -> str:
    """Return numbers of jumps in words.

    Examples
    --------
    >>> summed(1, 2), summed(2, 0)
    ('1 reset and 2 stray events', '2 resets')
    """
    both = ((resets, "reset"), (strays, "stray event"))
    return " and ".join(f"{n:,} {what}{'s' if n > 1 else ''}" for n, what in both if n)


class Clock:
    """Divides events into parts of one clock each, and strays, as they come.

    Parameters
    ----------
    first
        Number of the first event to come.
    jitter_us
        How far an event may come late and only be out of order, µs; `JITTER_US` if not given.

    Attributes
    ----------
    resets, strays
        How many resets there are so far, and how many stray events.
    jumps
        The first `JUMPS_TOLD` of them.
    """

    def __init__(self, first: int = 0, jitter_us: int | None = None) -> None:
        from evreel.kernels import jumps

        self._jitter_us = JITTER_US if jitter_us is None else jitter_us
        self._kernel = jumps
        self._state = np.zeros(jumps.STATE_SIZE, np.int64)
        self._state[jumps.RUN] = -1
        self._found = np.zeros((JUMPS_TOLD, 5), np.int64)
        self._t = self._part = np.empty(0, np.int64)
        self._followed = 0
        self._row = first  # of the first event that is held
        self.jumps: list[Jump] = []

    @property
    def resets(self) -> int:
        """How many resets there are so far."""
        return int(self._state[self._kernel.RESETS])

    @property
    def strays(self) -> int:
        """How many stray events there are so far."""
        return int(self._state[self._kernel.STRAYS])

    def add(self, t: Int64Array, *, over: bool = False) -> Int64Array:
        """Take the next times; return the parts of the next events of which they are certain.

        Parameters
        ----------
        t
            (n,) times in the order of the file, µs.
        over
            Whether these are the last. Then the parts of all events are returned.

        Returns
        -------
        (m,) number of the part that an event belongs to, −1 for a stray.
        """
        held = len(self._t)
        times = np.concatenate([self._t, t])
        part = np.empty(len(times), np.int64)
        part[:held] = self._part
        stop = self._kernel.follow(
            times,
            self._followed,
            self._jitter_us,
            PAUSE_US,
            STRAY_EVENTS,
            over,
            self._state,
            part,
            self._found,
        )
        for kind, row, before, after, strays in self._found[
            len(self.jumps) : self._state[self._kernel.FOUND]
        ].tolist():
            name: Literal["reset", "stray"] = "reset" if kind == self._kernel.RESET else "stray"
            self.jumps.append(Jump(name, before, after, strays, self._row + row))
        self._t, self._part = times[stop:].copy(), part[stop:]
        self._followed = len(times) - stop
        if self._state[self._kernel.RUN] >= 0:
            self._state[self._kernel.RUN] -= stop
        self._row += stop
        return part[:stop]


class Divided:
    """Pieces of a recording with the number of the part that they are of, without strays.

    A side stream's number says nothing: it has no place among the events.

    Parameters
    ----------
    pieces, jitter_us
        The pieces, and what `Clock` takes.

    Attributes
    ----------
    clock
        The jumps so far.
    places
        Where the first of them are: a byte, and the number of the event from there.
    """

    def __init__(self, pieces: Iterator[Piece | Side], jitter_us: int | None = None) -> None:
        self._pieces = pieces
        self._held: deque[Piece] = deque()
        self._first = 0  # index of the first event that is held
        self.clock = Clock(jitter_us=jitter_us)
        self.places: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[tuple[int, Piece | Side]]:
        """Yield them. Call once."""
        for piece in self._pieces:
            if not isinstance(piece, Piece):
                yield -1, piece
            elif len(piece.t):
                yield from self._add(piece)
        yield from self._add(None)

    def look(self) -> None:
        """Find the jumps in the rest; whatever else is wrong with it ends that."""
        with contextlib.suppress(RecordingError):
            for piece in self._pieces:
                if isinstance(piece, Piece) and len(piece.t):
                    deque(self._add(piece), maxlen=0)
        deque(self._add(None), maxlen=0)

    def _add(self, piece: Piece | None) -> Iterator[tuple[int, Piece]]:
        """Take a piece, or None at the end; yield the events of whose part that is certain."""
        t = np.empty(0, np.int64) if piece is None else piece.t
        if piece is not None:
            self._held.append(piece)
        part = self.clock.add(t, over=piece is None)
        for jump in self.clock.jumps[len(self.places) :]:
            row = jump.row - self._first
            for held in self._held:
                if row < len(held.t):
                    self.places.append(held.place(row))
                    break
                row -= len(held.t)
        taken = list(_parted(self._held, part))
        self._first += len(part)
        yield from taken


def _parted(held: deque[Piece], part: Int64Array) -> Iterator[tuple[int, Piece]]:
    """Take the first events off the pieces that are held; yield those that are not strays."""
    at = 0
    while at < len(part):
        piece = held.popleft()
        numbers = part[at : at + len(piece.t)]
        at += len(numbers)
        if len(numbers) < len(piece.t):
            rest = rows_of(piece, slice(len(numbers), None))
            held.appendleft(rest._replace(row=piece.row + len(numbers)))
        edges = np.flatnonzero(np.diff(numbers)) + 1
        for start, stop in pairwise([0, *edges.tolist(), len(numbers)]):
            if numbers[start] >= 0:
                taken = rows_of(piece, slice(start, stop))
                yield int(numbers[start]), taken._replace(row=piece.row + start)
