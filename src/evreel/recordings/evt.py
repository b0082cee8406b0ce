"""Words of Prophesee's EVT encodings, wherever they are stored: decoded as they come.

`evreel.recordings.prophesee` says what the words mean, `evreel.kernels.evt` decodes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.events import Sensor, Triggers
from evreel.recordings.decoded import PIECE_ROWS, first_rows
from evreel.recordings.pieces import Piece
from evreel.timebase import FARTHEST, Int64Array

MARK_ROWS = 1 << 12
"""Triggers in a batch."""

_SPARE_ROWS = 64  # kernels leave fewer rows than this free


class WordError(Exception):
    """A word that cannot be decoded: its index, and the kernel's number of what is wrong."""

    def __init__(self, word: int, fault: int) -> None:
        super().__init__(word, fault)
        self.word, self.fault = word, fault


class Packets(NamedTuple):
    """What came of packets that `EvtDecoder.decode_packets` decoded.

    Parameters
    ----------
    packets : how many were decoded.
    lag_us : how late the stamp of the last one is.
    triggers : those in them, if any.
    fault : index of a word in the packet after these that cannot be decoded.
    """

    packets: int
    lag_us: int
    triggers: Triggers | None
    fault: int | None


class EvtDecoder:
    """Decodes the words of a stream, whose state it keeps between parts.

    Parameters
    ----------
    encoding : ``EVT2``, ``EVT21`` or ``EVT3``.
    sensor : the sensor's size, by which events are checked.

    Attributes
    ----------
    span_us
        After how many µs a camera's clock begins at 0 again.
    takes_packets
        Whether there is a kernel for `decode_packets`.
    """

    def __init__(self, encoding: str, sensor: Sensor) -> None:
        from evreel.kernels import evt

        kernels: dict[str, Any] = {"EVT2": evt.evt2, "EVT21": evt.evt21, "EVT3": evt.evt3}
        self._decode = kernels[encoding]
        self._kind_at, time_bits = (12, 24) if encoding == "EVT3" else (28, 34)
        self.span_us = 1 << time_bits
        self._tables = () if encoding == "EVT2" else _set_bits()
        self._sensor = sensor
        self._state = new_state()
        self._mark_t = np.empty(MARK_ROWS, np.int64)
        self._mark_edge = np.empty(MARK_ROWS, np.int8)
        self._mark_id = np.empty(MARK_ROWS, np.int16)
        self._columns, self._rows = columns_for(PIECE_ROWS + _SPARE_ROWS), 0
        self._piece_at = 0
        self._starts: list[tuple[int, int, int]] = []
        self._number = 0  # events so far of a packet
        self.takes_packets = encoding == "EVT3"

    def decode(
        self,
        words: tuple[npt.NDArray[Any], ...],
        at: int,
        size: int,
        *,
        goes_on: bool = False,
    ) -> Iterator[Piece | Triggers]:
        """Decode words; yield triggers, and events where there are enough for a piece.

        Parameters
        ----------
        words
            The words, or their halves, of which the first has the type.
        at, size
            Byte where the first one is, and bytes from one to the next; 0 if they are those of a
            packet, where all are.
        goes_on
            Whether the words before were those of the same packet.

        Raises
        ------
        WordError
            At a word that cannot be decoded; what came before it is kept.
        """
        from evreel.kernels import evt

        state = self._state
        height, width = self._sensor
        if not self._rows:
            self._piece_at = at
        if not size:
            self._number = self._number if goes_on else 0
            self._start(at)
        done = 0
        while done < len(words[0]):
            done += self._decode(
                *(part[done:] for part in words),
                state,
                width,
                height,
                FARTHEST,
                *self._tables,
                *(column[self._rows :] for column in self._columns),
                self._mark_t,
                self._mark_edge,
                self._mark_id,
            )
            self._rows += int(state[evt.ROWS])
            self._number += int(state[evt.ROWS])
            marks = self._marks()
            if marks is not None:
                yield marks
            if done < len(words[0]):
                yield self.rest()
                self._piece_at = at + done * size
                if not size:
                    self._start(at)
            if state[evt.FAULT]:
                raise WordError(done, int(state[evt.FAULT]))

    def decode_packets(
        self,
        words: npt.NDArray[Any],
        bounds: Int64Array,
        stamps: Int64Array,
        places: Sequence[int],
        moved_us: int,
        lag_us: int,
        most_us: int,
    ) -> Packets:
        """Decode packets up to one that does not follow on, or for which there is no room.

        Parameters
        ----------
        words : those of all packets.
        bounds : (n + 1,), indices of the first word of each packet, and of one after all.
        stamps, places : (n,), of each packet, µs, and where it is.
        moved_us, lag_us : by how much times are moved, and how late the last stamp was.
        most_us : a packet whose stamp is farther from the time of the words before does not follow.
        """
        from evreel.kernels import evt

        height, width = self._sensor
        if not self._rows:
            self._piece_at = places[0]
        clock = np.array([moved_us, lag_us, 0])
        firsts = np.empty(len(places) + 1, np.int64)
        columns = (column[self._rows :] for column in self._columns)
        room: tuple[Any, ...] = (*columns, self._mark_t, self._mark_edge, self._mark_id)
        packets = evt.evt3_packets(
            words,
            bounds,
            stamps,
            clock,
            most_us,
            firsts,
            self._state,
            width,
            height,
            FARTHEST,
            *self._tables,
            *room,
        )
        fault = int(clock[2]) if self._state[evt.FAULT] else None
        tried = packets + (fault is not None)
        with_events = np.flatnonzero(firsts[1 : tried + 1] > firsts[:tried]).tolist()
        base = self._rows
        self._starts += [(base + int(firsts[k]), places[k], 0) for k in with_events]
        self._rows += int(self._state[evt.ROWS])
        return Packets(packets, int(clock[1]), self._marks(), fault)

    def _start(self, at: int) -> None:
        """Note that the next event is in a packet at a place."""
        if self._starts and self._starts[-1][0] == self._rows:
            self._starts.pop()  # it has no events
        self._starts.append((self._rows, at, self._number))

    def _marks(self) -> Triggers | None:
        """Return the triggers that a kernel decoded, if any."""
        from evreel.kernels import evt

        n = int(self._state[evt.MARKS])
        if not n:
            return None
        return Triggers(
            self._mark_t[:n].copy(), self._mark_edge[:n].copy(), self._mark_id[:n].copy()
        )

    def first_us(self) -> int | None:
        """Return the timestamp of the first event that was not yielded; None if there is none."""
        return int(self._columns[0][0]) if self._rows else None

    def now_us(self) -> int | None:
        """Return the last time that a word stated in full, to some ms; None before the first."""
        from evreel.kernels import evt

        base = int(self._state[evt.BASE])
        return base if base >= 0 else None

    def time_word(self, words: tuple[npt.NDArray[Any], ...]) -> int:
        """Return the index of the first word that states a time in full; their number if none."""
        states = words[0] >> words[0].dtype.type(self._kind_at) == 8
        return int(np.argmax(states)) if states.any() else len(states)

    def forget(self, *, row: bool) -> None:
        """Take time as unknown until a word states it in full, and if `row` is set, the row."""
        from evreel.kernels import evt

        self._state[[evt.BASE, evt.NOW]] = evt.UNKNOWN
        self._state[evt.HIGH] = -1
        if row:
            self._state[[evt.ROW, evt.VECTOR]] = evt.UNKNOWN

    def rest(self) -> Piece:
        """Return the events that were not yielded."""
        piece = piece_of(self._columns, self._rows, self._piece_at, self._state)
        piece = piece._replace(starts=tuple(self._starts))
        self._starts = []
        self._columns, self._rows = columns_for(PIECE_ROWS + _SPARE_ROWS), 0
        return piece

    def skipped(self) -> dict[str, int]:
        """Return how many words were left out, by the name of their count."""
        from evreel.kernels import evt

        counts = (("other", evt.OTHER), ("unplaced", evt.UNPLACED))
        return {
            f"skipped_{name}_words": int(self._state[place])
            for name, place in counts
            if self._state[place]
        }


def new_state() -> npt.NDArray[np.int64]:
    """Return a kernel's state before the first word."""
    from evreel.kernels import evt

    state = np.zeros(evt.STATE_SIZE, np.int64)
    state[[evt.LAST, evt.BASE, evt.NOW, evt.ROW, evt.VECTOR]] = evt.UNKNOWN
    state[evt.HIGH] = -1
    state[evt.SOUND] = 1
    return state


def _set_bits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return for each number of 12 bits which bits are set, the lowest first, and how many."""
    bits = np.arange(1 << 12)[:, None] >> np.arange(12) & 1
    return np.argsort(1 - bits, axis=1, kind="stable").astype(np.uint8), bits.sum(1, np.uint8)


def columns_for(rows: int) -> tuple[npt.NDArray[Any], ...]:
    """Return room for t, x, y, p."""
    return tuple(np.empty(rows, dtype) for dtype in (np.int64, np.uint16, np.uint16, np.uint8))


def piece_of(
    columns: tuple[npt.NDArray[Any], ...], rows: int, offset: int, state: npt.NDArray[np.int64]
) -> Piece:
    """Return the first rows as a piece, and reset the order check for the next one."""
    from evreel.kernels import evt

    t, x, y, p = first_rows(columns, rows)
    sound = bool(state[evt.SOUND])
    state[evt.SOUND], state[evt.LAST] = 1, evt.UNKNOWN
    return Piece(t, x, y, p, offset, sound)
