"""Messages of events → events: `EventArray` of dvs_msgs and its like, `EventPacket`.

An ``EventArray`` has events one by one, each with x, y, polarity, and its time in s and ns since
1970. Their fields are found by the message's definition, in any order. Times become whole µs: what
is less is cut off.

An ``EventPacket`` of event_camera_msgs has bytes in an encoding that it names:

===========  ======================================================================================
evt3         words of EVT 3.0, and evt21, evt2 of EVT 2.1 and 2.0, as the camera sends them; a word
             may depend on words of an earlier message
mono         words of 64 bits: 32 of ns since ``time_base``, 16 of x, 15 of y, the polarity
libcaer      an int32 of µs since ``time_base``, after 32 bits: from the second one polarity, 15 of
             y, 15 of x; times fall by 2³¹ where they wrap
libcaer_cmp  words of 16 bits, with times since ``time_base`` (`evreel.kernels.ros` says what they
             mean)
===========  ======================================================================================

evt… and mono count from when the camera was started. The stamp of a message's header is the time of
its first event by the clock that all others have, as well as the driver can tell. So all times are
moved by the same number of µs: in evt…, what the first packet's first event is before its stamp,
and in mono, what its ``time_base`` is. Later stamps jitter by milliseconds; they only tell apart
what differs by seconds: how long a pause was, and that the camera was started again.

Packets are numbered (``seq``). Where some are missing, what words depend on is unknown until it is
stated again.

Sources: the README of event_camera_msgs, and event_camera_codecs for libcaer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evreel.events import Sensor, Triggers
from evreel.recordings.decoded import PIECE_ROWS, first_rows, in_order_and_inside
from evreel.recordings.evt import EvtDecoder, WordError, columns_for
from evreel.recordings.pieces import Piece
from evreel.recordings.ros.definitions import (
    NUMBERS,
    FieldError,
    Many,
    Reader,
    Rows,
    Struct,
    Text,
    has_fixed_size,
)
from evreel.recordings.ros.fields import Found
from evreel.timebase import FARTHEST, Int64Array

EVENT_TYPES = ("EventArray", "EventPacket")
"""Names of message types that have events, without their package."""
_EVT = {"evt2": ("EVT2", 4), "evt21": ("EVT21", 8), "evt3": ("EVT3", 2)}
"""Encoding → its name elsewhere, and bytes of a word."""
_MOST_CAMERAS = 8
NEXT, GAP, RESTART = "next", "gap", "restart"
_MOST_LOST = 1 << 31
"""Numbers of packets that may be missing in a row; a larger step is not one of a count."""
_STARTS_US = 50_000
"""What a camera takes at least to be started again, µs; stamps jitter by less."""
_STEP_US = 500_000
"""How far a stamp may be from the time of the words before, µs; where it is farther, there was a
pause. Words of EVT 3.0 count on over pauses below 1 s."""
_FITS_US = 1_000_000
"""How far a time that is right may be from a stamp, µs, beside how late stamps were before."""
_UNKNOWN = -(1 << 62)
_LIBCAER_WRAP_US = 1 << 31
_HELD_BYTES = 1 << 18
"""Bytes of small messages that are gathered, and decoded at once."""
_SMALL_BYTES = 1 << 14
"""Most bytes of a small message: below that, most of the time would go into calls of kernels."""


class EncodingError(Exception):
    """Events that are whole, but coded in a way that cannot be read."""


_WRONG_TIME = (
    "If other copies have it, too, the driver wrote it so; set on_damage: salvage to read what is "
    "before it."
)


def stamp_us(sec: int, nanosec: int) -> int:
    """Return a time of ROS in whole µs; what is less is cut off."""
    if not 0 <= nanosec < 1_000_000_000:
        raise FieldError(f"has a time of {nanosec} ns in a second", _WRONG_TIME)
    return sec * 1_000_000 + nanosec // 1_000


class _Layout(NamedTuple):
    """Where x, y, s, ns and polarity are in the first event of a message, and in any other.

    In CDR, the first one may have other gaps than those after it.

    Parameters
    ----------
    size, step : bytes of the first event, and of any other.
    first, others : (5,), from the byte where the room of an event begins.
    """

    size: int
    step: int
    first: Int64Array
    others: Int64Array


class Sequence:
    """Follows the numbers that a driver gives to its packets, each one more than the one before.

    Attributes
    ----------
    lost
        How many packets are missing, of those with numbers between the first and the last.
    restarts
        How many times the camera was started again.
    """

    def __init__(self) -> None:
        self.lost = self.restarts = 0
        self._before: int | None = None
        self._highest = self._stamp = 0
        self._counts = False  # whether two numbers in a row have differed

    def follows(self, number: Any, stamp: int) -> str:
        """Return whether a packet is the `NEXT` one, comes after a `GAP` or a `RESTART`.

        Parameters
        ----------
        number
            Its number, None if packets have none. While it is always the same, the driver does not
            count.
        stamp
            Its stamp, µs. A lower number with a stamp that is later, by more than stamps jitter, is
            that of a camera started again.
        """
        if not isinstance(number, int):
            return NEXT
        (before, self._before), (earlier, self._stamp) = (
            (self._before, number),
            (self._stamp, stamp),
        )
        highest, self._highest = self._highest, max(self._highest, number)
        if before is None or number == before + 1 or (number == before and not self._counts):
            self._counts |= before is not None and number != before
            return NEXT
        self._counts = True
        if highest < number <= highest + _MOST_LOST:
            self.lost += number - highest - 1
            return GAP
        if number <= highest and stamp <= earlier + _STARTS_US:
            # It comes late, and was taken as lost.
            self.lost = max(0, self.lost - 1)
            return GAP
        self._highest = number
        self.restarts += 1
        return RESTART

    def may_go_on(self, number: Any) -> bool:
        """Return whether `follows` would say `NEXT`; of the first packet, it may also be False."""
        if not isinstance(number, int):
            return True
        before = self._before
        if before is None:
            return False
        return number == before + 1 or (number == before and not self._counts)


class Decoder(ABC):
    """Decodes the messages of one topic; yields events where there are enough for a piece.

    Attributes
    ----------
    clock_ns
        How many ns ``time_base`` of its last packet is before the clock of all others; None if that
        is not known, or packets do not use it so.
    """

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self.clock_ns: int | None = None
        self._sequence = Sequence()
        self._coding: tuple[bytes, bool] | None = None
        self._camera: tuple[int, bytes] | None = None
        self._turns: Counter[tuple[int, bytes]] = Counter()

    def check(self, found: Found, publisher: int) -> None:
        """Check that a message is coded as the first one, and of the same camera.

        Parameters
        ----------
        found
            Its fields.
        publisher
            Number of who sent it, 0 if a bag does not say that.

        Raises
        ------
        EncodingError
            If it is coded otherwise, or if messages of two cameras take turns. That one comes
            after the other is none: a driver may have been started again.
        FieldError
            If its encoding is none.
        """
        if found.encoding is not None:
            coding = found.encoding, bool(found.is_bigendian)
            first = self._coding = self._coding or coding
            if coding != first:
                if coding[0].decode(errors="replace") not in ENCODINGS:
                    raise FieldError(f"has events in {_said(coding)}, which cannot be read")
                raise EncodingError(
                    f"has events in {_said(coding)} after those in {_said(first)}; record each "
                    "as a topic of its own"
                )
        camera = publisher, found.frame
        if camera != self._camera:
            self._camera = camera
            self._turns[camera] += 1
            several = [one for one, turns in self._turns.items() if turns > 1]
            if len(several) > 1 or len(self._turns) > _MOST_CAMERAS:
                names = sorted({one[1].decode(errors="replace")[:40] for one in self._turns})
                listed = ", ".join(names[:_MOST_CAMERAS])
                raise EncodingError(
                    f"has messages of several cameras in turns, of {len(self._turns)} publishers "
                    f"and frames ({listed}); record each camera as a topic of its own"
                )

    @abstractmethod
    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, given its fields.

        Raises
        ------
        FieldError
            If it is damaged; what came before is kept.
        """

    def hold(self, found: Found, reader: Reader, place: int) -> bool:
        """Take a small message that `held` decodes with others; return whether it was taken.

        Only a message that cannot change how others are decoded is, so that all is as if each had
        been added. Those that are held have to be decoded before another is added.
        """
        return False

    def held(self) -> Iterator[Piece | Triggers]:
        """Decode the messages that are held.

        Raises
        ------
        FieldError
            If one is damaged, with its place; what came before is kept, and what came after it is
            dropped.
        """
        yield from ()

    @abstractmethod
    def rest(self) -> Piece:
        """Return the events that were not yielded, none of which is held."""

    def skipped(self) -> dict[str, int]:
        """Return what is missing or was left out, by the name of its count."""
        counts = {"lost_packets": self._sequence.lost, "clock_restarts": self._sequence.restarts}
        return {name: number for name, number in counts.items() if number}


_Columns = tuple[npt.NDArray[Any], ...]


class _Held:
    """Bytes of small messages, one after the other, with what decoding them takes.

    Attributes
    ----------
    places, rows
        Of each message: its place, and numbers that its decoder needs.
    """

    def __init__(self) -> None:
        self._data = np.empty(_HELD_BYTES, np.uint8)
        self._view = self._data.data
        self.clear()

    def clear(self) -> None:
        """Drop all."""
        self._size = 0
        self.places: list[int] = []
        self.rows: list[tuple[int, int]] = []
        self._ends = [0]

    def add(self, data: memoryview, place: int, row: tuple[int, int]) -> bool:
        """Take the events of a message; return whether they are few enough, and there is room."""
        end = self._size + len(data)
        if len(data) > _SMALL_BYTES or end > _HELD_BYTES:
            return False
        self._view[self._size : end] = data
        self._size = end
        self._ends.append(end)
        self.places.append(place)
        self.rows.append(row)
        return True

    def taken(self) -> tuple[npt.NDArray[np.uint8], Int64Array]:
        """Return (n,) bytes, and the bounds of messages in them, one more than there are."""
        return self._data[: self._size], np.array(self._ends)


class _Gathering(Decoder):
    """Gathers events into columns."""

    def __init__(self, sensor: Sensor) -> None:
        super().__init__(sensor)
        self._columns, self._rows = columns_for(PIECE_ROWS), 0
        self._place = self._before = 0
        self._starts: list[tuple[int, int, int]] = []
        self._last, self._sound = _UNKNOWN, True

    def _gather(
        self, n: int, place: int, fill: Callable[[int, int, _Columns], int]
    ) -> Iterator[Piece]:
        """Take n events of a message.

        Parameters
        ----------
        fill
            Function of a first event, a number of them, and their columns, which it fills, adding
            to `_sound`. It returns how many it could decode.

        Raises
        ------
        FieldError
            If these are fewer.
        """
        done = 0
        while done < n:
            if not self._rows:
                self._place, self._before = place, done
            if not (self._rows and done):
                self._starts.append((self._rows, place, done))
            take = min(n - done, PIECE_ROWS - self._rows)
            (t, x, y, p), part = self._columns, slice(self._rows, self._rows + take)
            rows = (t[part], x[part], y[part], p[part])
            got = fill(done, take, rows)
            if got:
                self._last = int(rows[0][got - 1])
                self._rows += got
            done += got
            if got < take:
                raise _wrong_event(done, place)
            if self._rows == PIECE_ROWS:
                yield self.rest()

    def rest(self) -> Piece:
        """Return the events that were not yielded."""
        t, x, y, p = first_rows(self._columns, self._rows)
        at = self._place, self._sound, self._before
        piece = Piece(t, x, y, p, *at, starts=tuple(self._starts))
        self._starts = []
        self._columns, self._rows = columns_for(PIECE_ROWS), 0
        self._last, self._sound = _UNKNOWN, True
        return piece


class ArrayDecoder(_Gathering):
    """Decodes ``EventArray``.

    Parameters
    ----------
    sensor
        The sensor's size.
    of
        The fields of an event.

    Raises
    ------
    EncodingError
        If an event has other fields.
    """

    def __init__(self, sensor: Sensor, of: Struct) -> None:
        from evreel.kernels.ros import stamped

        super().__init__(sensor)
        self._of, self._stamped = of, stamped
        is_known = of.kind("x") == of.kind("y") == NUMBERS["uint16"] and of.is_time("ts")
        if not is_known or of.kind("polarity") != NUMBERS["bool"]:
            listed = ", ".join(name for name, _ in of.fields)
            raise EncodingError(
                f"has events with fields {listed}; x and y as uint16, ts as a time, and polarity "
                "as a bool are expected"
            )
        self._is_signed = of.kind("ts.sec") == NUMBERS["int32"]
        self._known: dict[int, _Layout] = {}
        self._held = _Held()
        self._held_layout: _Layout | None = None
        self._held_rows = 0

    def hold(self, found: Found, reader: Reader, place: int) -> bool:
        """Take a small message, as `Decoder.hold` says."""
        at, n = found.events
        if not n:
            return True
        layout = self._known.get(at % 8)
        if layout is None or self._rows + self._held_rows + n > PIECE_ROWS:
            return False
        if layout is not self._held_layout:
            if self._held_rows:
                return False
            self._held_layout = layout
        end = at + layout.size + (n - 1) * layout.step
        if not self._held.add(reader.data[at:end], place, (n, 0)):
            return False
        self._held_rows += n
        return True

    def held(self) -> Iterator[Piece | Triggers]:
        """Decode what is held, as `Decoder.held` says."""
        from evreel.kernels.ros import stamped_messages

        held, places = self._held, self._held.places
        if self._held_layout is None or not places:
            return
        height, width = self._sensor
        data, bounds = held.taken()
        counts = np.array(held.rows)[:, 0]
        held.clear()
        self._held_rows = 0
        if not self._rows:
            self._place, self._before = places[0], 0
        firsts = self._rows + np.cumsum(counts) - counts
        messages, rows, sound = stamped_messages(
            data,
            bounds,
            counts,
            *self._held_layout,
            self._is_signed,
            width,
            height,
            self._last,
            *(column[self._rows :] for column in self._columns),
        )
        self._sound &= sound
        taken = min(messages + 1, len(places))
        self._starts += zip(firsts[:taken].tolist(), places[:taken], [0] * taken, strict=True)
        self._rows += rows
        if rows:
            self._last = int(self._columns[0][self._rows - 1])
        if messages < len(places):
            raise _wrong_event(self._rows - int(firsts[messages]), places[messages])
        if self._rows == PIECE_ROWS:
            yield self.rest()

    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, as `Decoder.add` says."""
        height, width = self._sensor
        rows: Rows = found.events
        data = np.frombuffer(reader.data, np.uint8)
        size, step, first, others = self._layout(reader, rows.at)

        def fill(begin: int, n: int, columns: _Columns) -> int:
            at, layout = rows.at, (size, step, first, others)
            if begin:
                at, layout = at + size + (begin - 1) * step, (step, step, others, others)
            sensor = self._is_signed, width, height
            done, sound = self._stamped(data[at:], n, *layout, *sensor, self._last, *columns)
            self._sound &= sound
            return int(done)

        yield from self._gather(rows.n, place, fill)

    def _layout(self, reader: Reader, at: int) -> _Layout:
        """Return where the fields of events are that begin at a byte."""
        phase = at % 8
        if phase not in self._known:
            spaced = reader.spacing(self._of, phase)
            assert spaced is not None
            size, step = spaced
            places = (self._in_event(reader, place) for place in (phase, phase + size))
            self._known[phase] = _Layout(size, step, *places)
        return self._known[phase]

    def _in_event(self, reader: Reader, at: int) -> Int64Array:
        """Return where x, y, s, ns and polarity are in an event whose room begins at a byte."""
        places = {name: place - at for name, place in reader.places(self._of, at).items()}
        ts = places["ts"]
        return np.array([places["x"], places["y"], ts, ts + 4, places["polarity"]])


class MonoDecoder(_Gathering):
    """Decodes packets in ``mono``."""

    def __init__(self, sensor: Sensor) -> None:
        super().__init__(sensor)
        self._base_ns = self._stamp_ns = 0  # of the packet before

    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, as `Decoder.add` says."""
        from evreel.kernels import ros

        words = _words(found.events, reader, 8)
        base = found.time_base
        follows = self._sequence.follows(found.seq, stamp_us(found.sec, found.nanosec))
        if follows == RESTART:
            self.clock_ns = None  # also if it has no words: those to come count from elsewhere
        if not len(words):
            return
        stamp_ns = found.sec * 10**9 + found.nanosec
        if self.clock_ns is None:
            self.clock_ns = stamp_ns - base
        elif base < self._base_ns - _FITS_US * 1_000 and stamp_ns > self._stamp_ns:
            self.clock_ns = stamp_ns - base
            self._sequence.restarts += 1
        self._base_ns, self._stamp_ns = base, stamp_ns
        base_us, rest_ns = divmod(base + self.clock_ns, 1_000)
        _check_near(base_us)
        height, width = self._sensor

        def fill(begin: int, n: int, columns: _Columns) -> int:
            self._sound &= ros.mono(
                *(words[begin : begin + n], base_us, rest_ns, width, height, self._last, *columns)
            )
            return n

        yield from self._gather(len(words), place, fill)


class LibcaerDecoder(_Gathering):
    """Decodes packets in ``libcaer``."""

    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, as `Decoder.add` says."""
        words = _words(found.events, reader, 8)
        self._sequence.follows(found.seq, stamp_us(found.sec, found.nanosec))
        base_us = found.time_base // 1_000
        _check_near(base_us)
        low = (words >> np.uint64(32)).astype(np.int64)
        low -= (low >= 1 << 31) * (1 << 32)
        step = np.diff(low)
        # A short way over the end is a wrap, and back over it undoes one; less is a late event.
        wraps = (step < -_LIBCAER_WRAP_US // 2).astype(np.int64) - (step > _LIBCAER_WRAP_US // 2)
        low[1:] += np.maximum(np.cumsum(wraps), 0) * _LIBCAER_WRAP_US

        def fill(begin: int, n: int, columns: _Columns) -> int:
            t, x, y, p = columns
            some = words[begin : begin + n]
            t[:] = low[begin : begin + n] + base_us
            x[:] = some >> np.uint64(17) & np.uint64(0x7FFF)
            y[:] = some >> np.uint64(2) & np.uint64(0x7FFF)
            p[:] = some >> np.uint64(1) & np.uint64(1)
            self._sound &= bool(t[0] >= self._last) and in_order_and_inside(t, x, y, self._sensor)
            return n

        yield from self._gather(len(words), place, fill)


class LibcaerCmpDecoder(_Gathering):
    """Decodes packets in ``libcaer_cmp``."""

    def __init__(self, sensor: Sensor) -> None:
        from evreel.kernels import ros

        super().__init__(sensor)
        self._state = np.zeros(ros.STATE_SIZE, np.int64)

    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, as `Decoder.add` says."""
        from evreel.kernels import ros

        words = _words(found.events, reader, 2)
        self._sequence.follows(found.seq, stamp_us(found.sec, found.nanosec))
        base_us = found.time_base // 1_000
        _check_near(base_us)
        state = self._state
        state[[ros.HIGH, ros.LOW, ros.ROW, ros.POLARITY, ros.FAULT]] = 0
        done = events = 0
        while done < len(words):
            if PIECE_ROWS - self._rows < ros.VECTOR_LANES:
                yield self.rest()
            if not self._rows:
                self._place, self._before = place, events
            columns = tuple(column[self._rows :] for column in self._columns)
            done += ros.libcaer(words[done:], base_us, state, *columns)
            n = int(state[ros.ROWS])
            if n:
                t, x, y, _ = (column[:n] for column in columns)
                is_later = bool(t[0] >= self._last)
                self._sound &= is_later and in_order_and_inside(t, x, y, self._sensor)
                self._last = int(t[-1])
                self._rows += n
                events += n
            if state[ros.FAULT]:
                raise _unknown_word(words, done)


class EvtPacketDecoder(Decoder):
    """Decodes packets in an EVT encoding.

    Its words count time up to `EvtDecoder.span_us`, and then from 0 again. Where packets are
    missing, or a stamp is not the time that the words have come to, the number of times that they
    began again is the one that fits the stamp. If none does, the camera was started again.
    """

    def __init__(self, sensor: Sensor, encoding: str) -> None:
        super().__init__(sensor)
        name, self._size = _EVT[encoding]
        self._words = EvtDecoder(name, sensor)
        self._moved_us: int | None = None
        self._lag_us = 0  # how late the stamp of the last packet was
        self._is_placed = False  # whether the words to come are moved by `_moved_us`
        self._before_us: int | None = None  # the words' time before; None if some are missing
        self._held = _Held()

    def hold(self, found: Found, reader: Reader, place: int) -> bool:
        """Take a small message in ``evt3``, as `Decoder.hold` says."""
        at, n = found.events
        if n % self._size or not self._words.takes_packets or not self._is_placed:
            return False
        if found.nanosec >= 10**9 or found.nanosec < 0:
            return False
        stamp = stamp_us(found.sec, found.nanosec)
        # Room for it and the number that follows are both asked for, because either may be refused.
        if not self._sequence.may_go_on(found.seq):
            return False
        if not self._held.add(reader.data[at : at + n], place, (stamp, 0)):
            return False
        self._sequence.follows(found.seq, stamp)
        return True

    def held(self) -> Iterator[Piece | Triggers]:
        """Decode what is held, as `Decoder.held` says."""
        places = self._held.places
        if not places:
            return
        data, bounds = self._held.taken()
        words, stamps = data.view("<u2"), np.array(self._held.rows)[:, 0]
        bounds //= 2
        self._held.clear()
        begin = 0
        while begin < len(places):
            if self._is_placed and self._moved_us is not None:
                clock = self._moved_us, self._lag_us
                done = self._words.decode_packets(
                    *(words, bounds[begin:], stamps[begin:], places[begin:], *clock, _STEP_US)
                )
                self._lag_us = done.lag_us
                if done.triggers is not None:
                    yield self._moved(done.triggers)
                begin += done.packets
                if done.fault is not None:
                    packet = words[bounds[begin] : bounds[begin + 1]]
                    raise _unknown_word(packet, done.fault, places[begin])
                if begin < len(places) and self._words.first_us() is not None:
                    yield self.rest()
            if begin < len(places):
                part = words[bounds[begin] : bounds[begin + 1]]
                try:
                    yield from self._after((part,), NEXT, places[begin], int(stamps[begin]))
                except FieldError as error:
                    error.place = places[begin]
                    raise
                begin += 1

    def add(self, found: Found, reader: Reader, place: int) -> Iterator[Piece | Triggers]:
        """Decode a message, as `Decoder.add` says."""
        words: tuple[npt.NDArray[Any], ...] = (_words(found.events, reader, self._size),)
        if self._size == 8:
            halves = words[0].view("<u4").reshape(-1, 2)
            words = (halves[:, 1], halves[:, 0])
        stamp = stamp_us(found.sec, found.nanosec)
        follows = self._sequence.follows(found.seq, stamp)
        yield from self._after(words, follows, place, stamp)

    def _after(
        self, words: tuple[npt.NDArray[Any], ...], follows: str, place: int, stamp: int
    ) -> Iterator[Piece | Triggers]:
        """Decode the words of a packet that comes after others in some way."""
        now = self._words.now_us()
        begin = 0
        if follows != NEXT:
            yield from self._forget(None)
            if follows == RESTART:
                self._moved_us = None
        elif self._is_placed and self._moved_us is not None and now is not None:
            off = stamp - (now + self._moved_us) - self._lag_us
            if abs(off) <= _STEP_US:
                self._lag_us += off
            else:
                begin = self._words.time_word(words)
                yield from self._decoded(words, slice(begin), place, stamp)
                if begin < len(words[0]):
                    yield from self._forget(now)
        yield from self._decoded(words, slice(begin, None), place, stamp)

    def _forget(self, before: int | None) -> Iterator[Piece]:
        """Yield what is held; take time as unknown, and the row, too, if words are missing."""
        if self._words.first_us() is not None:
            yield self.rest()
        self._words.forget(row=before is None)
        self._is_placed, self._before_us = False, before

    def _decoded(
        self, words: tuple[npt.NDArray[Any], ...], part: slice, place: int, stamp: int
    ) -> Iterator[Piece | Triggers]:
        """Decode a part of the words of a packet."""
        try:
            some = tuple(half[part] for half in words)
            for one in self._words.decode(some, place, 0, goes_on=bool(part.start)):
                self._place(stamp, one)
                yield self._moved(one)
        except WordError as error:
            raise _unknown_word(words[0], (part.start or 0) + error.word) from error
        finally:
            self._place(stamp, None)

    def _place(self, stamp: int, one: Piece | Triggers | None) -> None:
        """Find by how much times are moved, if that is open and there is one."""
        if self._is_placed:
            return
        waiting = self._words.first_us()
        firsts = [] if waiting is None else [waiting]
        firsts += [int(one.t[0])] if one is not None and len(one.t) else []
        if not firsts:
            return
        self._is_placed = True
        t, before, span = min(firsts), self._before_us, self._words.span_us
        if self._moved_us is None:
            self._moved_us, self._lag_us = stamp - t, 0
            return
        turns, off = _nearest(stamp - (t + self._moved_us) - self._lag_us, span)
        if abs(off) <= _FITS_US:
            self._moved_us += turns * span
            self._lag_us += off
            return
        turns, step = _nearest(t - (t if before is None else before), span)
        if before is not None and abs(step) <= _FITS_US:  # the other clock was set
            self._moved_us -= turns * span
            self._lag_us = stamp - (t + self._moved_us)
            return
        self._moved_us, self._lag_us = stamp - t, 0
        self._sequence.restarts += 1

    def _moved(self, one: Piece | Triggers) -> Piece | Triggers:
        """Return events or triggers with times by the clock of all others."""
        t = one.t + (self._moved_us or 0)
        return replace(one, t=t) if isinstance(one, Triggers) else one._replace(t=t)

    def rest(self) -> Piece:
        """Return the events that were not yielded."""
        moved = self._moved(self._words.rest())
        assert isinstance(moved, Piece)
        return moved

    def skipped(self) -> dict[str, int]:
        """Return how many packets are missing and words were left out, by the name of a count."""
        return {**super().skipped(), **self._words.skipped()}


def _nearest(distance: int, span: int) -> tuple[int, int]:
    """Return how many spans come nearest to a distance, and what is left of it."""
    turns = (distance + span // 2) // span
    return turns, distance - turns * span


_OTHERS: dict[str, type[_Gathering]] = {
    "mono": MonoDecoder,
    "libcaer": LibcaerDecoder,
    "libcaer_cmp": LibcaerCmpDecoder,
}
ENCODINGS = (*_EVT, *_OTHERS)
"""Encodings of packets that can be read."""
_BYTES = Many(NUMBERS["bool"], None)


def check_fields(of: Struct) -> None:
    """Raise `EncodingError` if messages with such fields cannot be read."""
    if not (
        of.kind("height") == of.kind("width") == NUMBERS["uint32"]
        and (is_array(of) or _is_packet(of))
        and of.is_time("header.stamp")
    ):
        listed = ", ".join(name for name, _ in of.fields)
        raise EncodingError(f"has fields {listed}, which are not those of events")


def is_array(of: Struct) -> bool:
    """Tell whether messages have events one by one."""
    events = of.kind("events")
    if not isinstance(events, Many) or events.n is not None:
        return False
    return isinstance(events.item, Struct) and has_fixed_size(events.item)


def _is_packet(of: Struct) -> bool:
    return (
        of.kind("events") == _BYTES
        and of.kind("encoding") == Text()
        and of.kind("time_base") == NUMBERS["uint64"]
    )


def decoder_for(of: Struct, first: Found, sensor: Sensor) -> Decoder:
    """Return a decoder for the messages of a topic.

    Parameters
    ----------
    of : their fields, which `check_fields` found to be right.
    first : the fields of the first message.

    Raises
    ------
    EncodingError
        If they cannot be read.
    """
    events = of.kind("events")
    if isinstance(events, Many) and isinstance(events.item, Struct):
        return ArrayDecoder(sensor, events.item)
    encoding = (first.encoding or b"").decode(errors="replace")
    if encoding not in ENCODINGS:
        raise EncodingError(
            f"has events in encoding {encoding[:40]!r}; {', '.join(ENCODINGS)} can be read"
        )
    if first.is_bigendian:
        raise EncodingError("has big-endian events; little-endian ones can be read")
    if encoding in _EVT:
        return EvtPacketDecoder(sensor, encoding)
    return _OTHERS[encoding](sensor)


def _said(coding: tuple[bytes, bool]) -> str:
    encoding, is_big = coding
    return f"encoding {encoding.decode(errors='replace')[:40]!r}" + ", big-endian" * is_big


def triggers_of(of: Struct, reader: Reader, clock_ns: int | None = None) -> Triggers:
    """Return the triggers of a packet in encoding ``trigger``.

    A word has 32 bits of ns since ``time_base``, 16 of no meaning, 15 of the channel, and the edge.

    Parameters
    ----------
    of, reader
        Fields of the packet, and what reads them.
    clock_ns
        `Decoder.clock_ns` of the camera's events. If it is None, or brings ``time_base`` to another
        time than the packet's stamp, times count from the stamp.

    Raises
    ------
    FieldError
        If it is in another encoding.
    """
    found = reader.fields(of)
    if found["encoding"] != b"trigger":
        raise FieldError(f"is in encoding {found['encoding'][:20]!r}, not in that of triggers")
    words = _words(found["events"], reader, 8)
    stamp = found["header"]["stamp"]
    base_ns = stamp_us(**stamp) * 1_000 + stamp["nanosec"] % 1_000
    if clock_ns is not None:
        by_clock_ns = found["time_base"] + clock_ns
        base_ns = by_clock_ns if abs(by_clock_ns - base_ns) <= _FITS_US * 1_000 else base_ns
    base_us, rest_ns = divmod(base_ns, 1_000)
    t = base_us + (rest_ns + (words & np.uint64(0xFFFFFFFF)).astype("i8")) // 1_000
    edge = (words >> np.uint64(63)).astype(np.int8)
    return Triggers(t, edge, (words >> np.uint64(48) & np.uint64(0x7FFF)).astype(np.int16))


def _words(rows: Rows, reader: Reader, size: int) -> npt.NDArray[Any]:
    """Return the bytes of a packet as words of so many bytes."""
    if rows.n % size:
        raise FieldError(f"has {rows.n} bytes of events, which are words of {size} bytes")
    # Copied: kernels are compiled for aligned words.
    return np.array(np.frombuffer(reader.data, f"<u{size}", rows.n // size, rows.at))


def _wrong_event(number: int, place: int) -> FieldError:
    return FieldError(
        f"has an event, number {number} of it, whose polarity is not 0 or 1, or whose time has "
        "10⁹ ns or more",
        _WRONG_TIME,
        place=place,
    )


def _unknown_word(words: npt.NDArray[Any], word: int, place: int | None = None) -> FieldError:
    return FieldError(
        f"has word {int(words[word]):#x}, number {word} of it, which does not exist in its "
        "encoding",
        place=place,
    )


def _check_near(t: int) -> None:
    if abs(t) > FARTHEST:
        raise FieldError(f"has a time of {t} µs, which is not within 285 years of 0")
