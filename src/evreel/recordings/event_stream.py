"""Read Event Stream, version 2, ``.es``: DVS and ATIS streams.

A file is a header, then events up to its end; numbers are little-endian.

========  =========================================================================================
bytes     of the header
0 to 11   ``Event Stream``
12 to 14  version: major, minor, patch
15        kind of events: 0 generic, 1 DVS, 2 ATIS, 3 display, 4 color
16 to 19  the sensor's width and height, uint16 each
byte      of a DVS event, whose time counts from the event before, the first one's from 0
0         bits 7 to 1: µs since then; bit 0: polarity (1 ON). A byte FE is a reset: it is left out.
          A byte FF is an overflow: 127 µs pass. Neither is an event
1 to 4    x, y, uint16 each
byte      of an ATIS event, which is otherwise like a DVS event
0         bits 7 to 2: µs since then; bit 1: polarity; bit 0: whether it is a threshold crossing,
          one of the two that measure an exposure. A byte FC is a reset; in a byte FD, FE or FF,
          bits 1 and 0 are a number of overflows of 63 µs
========  =========================================================================================

In the file, y counts from the bottom. Here it counts from the top, as everywhere in evreel: it is
height − 1 minus the file's y, so pictures are upright.

Sources: https://github.com/neuromorphic-paris/event_stream for the bytes. That page does not say
where y begins; the same authors' sepia does (0 is the bottom), and faery flips it likewise.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evreel.events import Sensor
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording, first_rows
from evreel.recordings.pieces import Piece, Side

MAGIC = b"Event Stream"

_HEAD_BYTES = 20
_EVENT_BYTES = 5
_MAJOR = 2
_KINDS = ("generic", "DVS", "ATIS", "display", "color")
_FLAGS = {"DVS": 1, "ATIS": 2}  # bits of an event's first byte below its time


class EventStreamRecording(DecodedRecording):
    """A recording in Event Stream, of DVS or ATIS events.

    `repairs` counts what was left out: ``skipped_threshold_crossings`` of ATIS, which measure
    exposure, and ``skipped_reset_bytes``.

    Parameters
    ----------
    path, stream, sensor, reading
        As in `DecodedRecording`.

    Raises
    ------
    RecordingError
        If the header is cut short, or states no sensor, another version or other events.
    """

    format = "event_stream"

    def _open(self) -> Sensor | None:
        head = self._bytes(_HEAD_BYTES, 0)
        if not head.startswith(MAGIC):
            self._fail(f"starts with {head[:12]!r}; {MAGIC!r} is expected", 0)
        if len(head) > 14 and head[12] != _MAJOR:
            self._recode(
                f"is in version {head[12]}.{head[13]}.{head[14]} of Event Stream",
                12,
                hint="Version 2 can be read. Convert it with a program that knows both.",
            )
        kind = ""
        if len(head) > 15:
            kind = _KINDS[head[15]] if head[15] < len(_KINDS) else f"unknown ({head[15]})"
            if kind not in _FLAGS:
                hint = "Of Event Stream, DVS and ATIS events can be read."
                self._recode(f"holds events of the kind {kind}", 15, hint)
        if len(head) < _HEAD_BYTES:
            self._fail(f"the file ends after {len(head)} of the header's {_HEAD_BYTES} bytes", 0)
        self._flags = _FLAGS[kind]
        width, height = (int(size) for size in np.frombuffer(head, "<u2", 2, 16))
        if not (width and height):
            self._fail(f"the header states a sensor of {width}x{height} px", 16)
        return Sensor(height, width)

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import event_stream as kernels

        height, width = self.sensor
        # Times stay below the 2⁵³ µs of `FARTHEST` up to files of 48 TB.
        clock, tally = np.zeros(1, np.int64), np.zeros(5, np.int64)
        room = min(PIECE_ROWS * _EVENT_BYTES, self._size)
        data = np.empty(room, np.uint8)
        at = _HEAD_BYTES
        while at < self._size:
            size = self._fill(data.data, at)
            n = size // _EVENT_BYTES
            t, p = np.empty(n, np.int64), np.empty(n, np.uint8)
            x, y = np.empty((2, n), np.uint16)
            done = kernels.decode(data[:size], self._flags, width, height, clock, t, x, y, p, tally)
            if done == 0:
                self._fail(f"the file ends after {size} of an event's {_EVENT_BYTES} bytes", at)
            rows, crossings, resets, first, sound = tally.tolist()
            self._count("skipped_threshold_crossings", crossings)
            self._count("skipped_reset_bytes", resets)
            t, x, y, p = first_rows((t, x, y, p), rows)
            if sound:
                yield Piece(t, x, y, p, at + first, sound=True)
            else:
                above = np.where(y < height, y, y.astype(np.int32) - (1 << 16))
                yield Piece(t, x, above, p, at + first)
            at += done
