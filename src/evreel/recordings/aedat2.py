"""Read AEDAT 2.0, the format of jAER.

A file is the line ``#!AER-DAT2.0``, header lines that begin with ``#``, and then words of 8 bytes
up to its end: uint32 address, uint32 timestamp in µs, both big-endian. The address layout depends
on the camera, which the header may name
(``# AEChip: eu.seebetter.ini.chips.davis.DAVIS240C``).

======================  ===========================================================================
DVS128, bit 15          1: an external signal; else an event
bits 14 to 8, 7 to 1    y, x
bit 0                   polarity
DAVIS, bit 31           0: an event or an external signal; 1: a sample of APS or IMU
bits 30 to 22           y
bits 21 to 12           x
bits 11 and 10          events: 00 OFF, 10 ON; 01 and 11 an external signal.
                        samples: 00 reset read, 01 signal read, 11 IMU
bits 9 to 0             the value of an APS sample; else zero
======================  ===========================================================================

Source: https://docs.inivation.com, AEDAT file formats, 1.0 and 2.0. That page leaves the meaning
of an address to jAER's class of the camera, which counts a DAVIS's columns from the right: x here
is width − 1 minus bits 21 to 12, as jAER shows it. y counts from the bottom, as on the page and in
jAER for all cameras; ``events/flip_y`` turns a picture upright. Coordinates and polarity of a
DVS128 follow the page; jAER counts its x from the right and inverts its polarity.

The header's structure shows where it ends. An event is never taken for a header line: the fourth
byte of a DAVIS event and the first of a DVS128 event is zero, which no line contains.

Timestamps wrap after 2³² µs, also those written as signed numbers. One that falls has wrapped if
that makes a step of at most 5 s; otherwise the camera's clock was reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import RecordingError
from evreel.events import Sensor, Triggers
from evreel.recordings.aedat_header import camera_size, header_lines, header_text
from evreel.recordings.decoded import PIECE_ROWS, SIZE_SAID, DecodedRecording, first_rows
from evreel.recordings.pieces import Piece, Side
from evreel.recordings.survey import WHOLE, Survey
from evreel.timebase import FARTHEST

MAGIC = b"#!AER-DAT2.0"

_WORD_BYTES = 8
_DVS128 = Sensor(128, 128)
_LAYOUTS = (_DVS128, Sensor(180, 240), Sensor(260, 346), Sensor(480, 640))
_END = "end of ascii header"


class Aedat2Recording(DecodedRecording):
    """A recording in AEDAT 2.0, from a DVS128 or DAVIS camera.

    External signals are kept as triggers: `edge` is −1, `id` the bits of the address below the
    signal's own. `repairs` counts the words that were left out: ``skipped_aps_words``,
    ``skipped_imu_words`` (their scale is not in the words), ``skipped_unknown_words``.

    Parameters
    ----------
    path, stream, reading
        As of `DecodedRecording`.
    sensor
        The sensor's size, if the header names no known camera: 128x128 is read as a DVS128;
        240x180, 346x260 and 640x480 as a DAVIS.

    Raises
    ------
    RecordingError
        If the header is cut short, or names no known camera and no known size is given.
    """

    format = "aedat2"

    def _open(self) -> Sensor | None:
        file = self._file.fileno()
        names: dict[str, str] = {}
        self._start = 0
        try:
            for line, stop in header_lines(file):
                if self._start == 0 and line.rstrip() != MAGIC:
                    self._fail(f"the first line is {line[:40]!r}; {MAGIC!r} is expected", 0)
                self._start = stop
                key, _, value = header_text(line).lstrip("# ").partition(":")
                names.setdefault(key.strip().lower(), value.strip())
                if key.strip().lower() == _END:
                    break
        except EOFError as cut:
            self._fail("the header ends in the middle of a line", int(cut.args[0]))
        if self._start == 0:
            self._fail("the first line is not text", 0)
        self.header = header_text(self._bytes(self._start, 0))
        chip = names.get("aechip", "")
        stated = camera_size(chip.rpartition(".")[2])
        if stated is None:
            stated = camera_size(names.get("hardwareinterface", "").partition(" ")[0])
        size = stated or self._given
        if size not in _LAYOUTS:
            named = f"the camera {chip!r}" if chip else "no camera (AEChip)"
            given = "" if size is None else f", and sensor {size.width}x{size.height} is given"
            raise RecordingError(
                f"the header names {named}{given}; the layout of its addresses is not known",
                path=self.path,
                hint=f"Give the camera's size ({SIZE_SAID}): 128x128 for a DVS128; 240x180, "
                "346x260 or 640x480 for a DAVIS.",
            )
        self._layout = size
        return stated

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import aedat2 as kernels

        width, height = self._layout.width, self._layout.height
        decode = kernels.dvs128 if self._layout == _DVS128 else kernels.davis
        clock = np.array([1 << 31, 1 << 31], np.int64)
        mark_t, mark_id = np.empty(PIECE_ROWS, np.int64), np.empty(PIECE_ROWS, np.int16)
        tally = np.zeros(7, np.int64)
        at = self._start
        data, native = np.empty((2, PIECE_ROWS, 2), np.uint32)
        while at < self._size:
            size = self._fill(data.data, at)
            n = size // _WORD_BYTES
            if n == 0:
                self._fail(f"the file ends after {size} of a word's {_WORD_BYTES} bytes", at)
            words = native[:n]
            words[:] = data[:n].view(">u4")
            t, p = np.empty(n, np.int64), np.empty(n, np.uint8)
            x, y = np.empty(n, np.int16), np.empty(n, np.int16)
            done = decode(words, width, height, FARTHEST, clock, t, x, y, p, mark_t, mark_id, tally)
            rows, marks, aps, imu, unknown, first, sound = tally.tolist()
            for kind, number in (("aps", aps), ("imu", imu), ("unknown", unknown)):
                self._count(f"skipped_{kind}_words", number)
            if marks:
                no_edge = np.full(marks, -1, np.int8)
                yield Triggers(mark_t[:marks].copy(), no_edge, mark_id[:marks].copy())
            t, x, y, p = first_rows((t, x, y, p), rows)
            offset = at + _WORD_BYTES * first
            if sound:
                yield Piece(t, x.view(np.uint16), y.view(np.uint16), p, offset, sound=True)
            else:
                yield Piece(t, x, y, p, offset)
            if done < n:
                self._fail_at(words[done], at + _WORD_BYTES * done)
            at += _WORD_BYTES * n

    def _fail_at(self, word: npt.NDArray[np.uint32], at: int) -> NoReturn:
        problem = (
            f"the word with address {word[0]:#010x} and timestamp {word[1]} has bits set that must "
            "be zero, or is more than 285 years off"
        )
        survey = Survey()
        for start in range(self._start, self._size, _WORD_BYTES * PIECE_ROWS):
            data = self._bytes(_WORD_BYTES * PIECE_ROWS, start)
            address = np.frombuffer(data, ">u4", len(data) // _WORD_BYTES * 2)[::2]
            high = address >> 16
            is_signal = (address & 0x8000 != 0) & (high == 0xFFFF)
            survey.add((high != 0) & ~is_signal & (self._layout == _DVS128), high)
        may_shift = (self._size - self._start) % _WORD_BYTES > 0
        if not survey.bad or survey.is_damage(may_shift=may_shift):
            self._fail(problem, at)
        self._recode(
            f"{problem}, and so have {survey.bad:,} of {survey.n:,} words",
            at,
            f"{WHOLE}Is it of a DVS128? If not, give the size of its camera ({SIZE_SAID}).",
        )
