"""AEDAT 3.1, the format of cAER: read.

A file is the line ``#!AER-DAT3.1``, header lines that begin with ``#`` up to the line
``#!END-HEADER``, and then packets up to its end. All numbers are little-endian and signed.

================  ================================================================================
packet, 28 bytes  int16 type, int16 source, int32 bytes of an event, where in it the stamp lies,
                  overflow, capacity, number of events, number of valid ones; then the events
any event         bit 0 of its first byte: valid. Time in µs: stamp + overflow · 2³¹
0 special         uint32: bits 1 to 7 type; int32 stamp
1 polarity        uint32: bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x; int32 stamp
2 frame           uint32; int32 start and end of the frame, start and end of exposure; picture
3 and 4 IMU       uint32; int32 stamp; float32: 3 of acceleration (g), 3 of rotation (°/s),
                  temperature (°C); type 4 also 3 of magnetic field (µT)
================  ================================================================================

Source: https://docs.inivation.com, AEDAT file formats, 3.1. Pixel (0, 0) is the upper left. A
packet's capacity equals its number of events in a file; files where it does not are known that hold
the one, and others that hold the other: the size is taken that leads to the next header.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from evreel.events import FrameTimes, Imu, Sensor, Triggers
from evreel.recordings.aedat_header import camera_size, header_lines, header_text
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording, Piece, Side
from evreel.timebase import Int64Array

MAGIC = b"#!AER-DAT3.1"

_END = b"#!END-HEADER"
_SOURCE = re.compile(r"#(-?)Source\s+(\d+):\s*(.*?)\s*")
_HEAD_BYTES = 28
_WINDOW_BYTES = 8 * PIECE_ROWS
_PACKETS_AT_ONCE = 1 << 13
_SPECIAL, _POLARITY, _FRAME, _IMU6, _IMU9 = range(5)
_RISING, _FALLING = (2, 6, 9, 12), (3, 7, 10, 13)
# Special events that are none of a signal's: by type.
_MARKS = {0: "timestamp_wraps", 1: "timestamp_resets", 5: "row_only_events"}
_NAMES = {5: "sample", 6: "ear", 7: "config", 8: "point1d", 9: "point2d", 10: "point3d"} | {
    11: "point4d",
    12: "spike",
    13: "matrix4x4",
}
_SPECIAL_ROW = np.dtype([("data", "<u4"), ("stamp", "<i4")])
_FRAME_ROW = np.dtype(
    [("data", "<u4"), ("stamp", "<i4", 4)]  # of start and end, and of the exposure's
)
_IMU6_ROW = np.dtype([("data", "<u4"), ("stamp", "<i4"), ("value", "<f4", 7)])
_IMU9_ROW = np.dtype([("data", "<u4"), ("stamp", "<i4"), ("value", "<f4", 10)])


class _BadEventError(Exception):
    """An event without a time; its arguments are where in the data it lies, and what it has."""


class Aedat3Recording(DecodedRecording):
    """A recording in AEDAT 3.1, of a DVS or DAVIS camera.

    Special events are kept as triggers: `id` is the format's type, `edge` 1 for its rising edges
    (2, 6, 9, 12), 0 for falling ones (3, 7, 10, 13), −1 for others. Frame times are the start
    and end of exposure. An IMU of 6 axes has a magnetic field of 0.

    `repairs` has the numbers of what was left out: ``skipped_invalid_events`` (marked so, of any
    type read here); ``skipped_timestamp_wraps``, ``skipped_timestamp_resets`` and
    ``skipped_row_only_events`` among the special events; ``skipped_config_events`` and so on for
    other types; ``skipped_events_of_source_2`` and so on where the header names several cameras,
    of which the one with the lowest number is read.

    Parameters
    ----------
    path, stream, sensor, reading
        As of `DecodedRecording`. The sensor's size is stated where the header's source is a known
        camera, such as DVS128, DAVIS240C or DAVIS346B.

    Raises
    ------
    RecordingError
        Where the header does not end, or has packets of another form than ``RAW``.
    """

    format = "aedat3"

    def _open(self) -> Sensor | None:
        file = self._file.fileno()
        sources: dict[str, dict[int, Sensor]] = {"": {}, "-": {}}
        self._start = 0
        whole = False
        try:
            for line, stop in header_lines(file):
                if self._start == 0 and line.rstrip() != MAGIC:
                    self._fail(f"the first line is {line[:40]!r}; {MAGIC!r} is expected", 0)
                text = header_text(line)
                kind, _, form = text.partition(":")
                if kind == "#Format" and form.strip() != "RAW":
                    self._fail(
                        f"its packets have the form {form.strip()[:40]!r}; only RAW can be read",
                        self._start,
                        hint="Write it anew with cAER or DV, uncompressed.",
                    )
                source = _SOURCE.fullmatch(text)
                size = None if source is None else camera_size(source[3])
                if source is not None and size is not None:
                    sources[source[1]].setdefault(int(source[2]), size)
                self._start = stop
                if line.rstrip() == _END:
                    whole = True
                    break
        except EOFError as cut:
            self._fail("the header ends in the middle of a line", int(cut.args[0]))
        if not whole:
            self._fail("the header ends without the line #!END-HEADER", self._start)
        self.header = header_text(os.pread(file, self._start, 0))
        cameras = sources[""] or sources["-"]
        self._source = min(sources[""]) if len(sources[""]) > 1 else -1
        return cameras[min(cameras)] if cameras else None

    def _pieces(self) -> Iterator[Piece | Side]:
        from evreel.kernels import aedat3 as kernels

        heads, end = np.empty((_PACKETS_AT_ONCE, 6), np.int64), np.zeros(3, np.int64)
        at, window = self._start, _WINDOW_BYTES
        room = np.empty(window, np.uint8)
        self._camera = self._source
        while True:
            if len(room) != window:
                room = np.empty(window, np.uint8)
            try:
                data = room[: os.preadv(self._file.fileno(), [room.data], at)]
            except OSError as error:
                self._fail(f"can't be read: {error.strerror}", at)
            if len(data) < min(window, self._size - at):
                self._fail("the file has become shorter while it was read", at + len(data))
            n = kernels.frame(data, self._size - at, heads, end)
            stop, needed, why = end.tolist()
            kept, stranger = self._of_one_camera(heads[:n])
            yield from self._decoded(data, at, kept)
            if stranger is not None:
                self._fail(
                    f"events of source {stranger[2]} are among those of source {self._camera}, "
                    "and the header does not name both",
                    at + int(stranger[0]),
                )
            at += stop
            # A packet that did not fit is read again, as large as it is.
            window = max(_WINDOW_BYTES, needed) if why == kernels.MORE else _WINDOW_BYTES
            if why == kernels.END:
                return
            if why == kernels.CUT_HEADER:
                self._fail("the file ends in the middle of a packet's header", at)
            if why == kernels.NO_HEADER:
                self._fail("no header of a packet begins here", at)
            if why == kernels.CUT_PACKET:
                self._fail("the file ends in the middle of the packet that begins here", at)
            if why == kernels.NO_SUCCESSOR:
                self._fail(
                    "the packet that begins here is followed by no header, neither after its "
                    "number of events nor after its capacity",
                    at,
                )

    def _count(self, what: str, number: int) -> None:
        if number:
            name = f"skipped_{what}"
            self.repairs[name] = self.repairs.get(name, 0) + number

    def _of_one_camera(self, heads: Int64Array) -> tuple[Int64Array, Int64Array | None]:
        """Return the packets of the camera that is read, and one of another that ends them.

        Where the header names several cameras, others are counted and not an end.
        """
        if self._source >= 0:
            others = heads[:, 2] != self._source
            for source in np.unique(heads[others, 2]).tolist():
                events = int(heads[heads[:, 2] == source, 4].sum())
                self._count(f"events_of_source_{source}", events)
            return np.compress(~others, heads, axis=0), None
        found = np.flatnonzero(heads[:, 1] == _POLARITY)
        if not found.size:
            return heads, None
        if self._camera < 0:
            self._camera = int(heads[found[0], 2])
        strangers = found[heads[found, 2] != self._camera]
        if not strangers.size:
            return heads, None
        return heads[: strangers[0]], heads[strangers[0]]

    def _decoded(
        self, data: npt.NDArray[np.uint8], base: int, heads: Int64Array
    ) -> Iterator[Piece | Side]:
        """Yield the content of packets; raise at the first that has an event without a time."""
        from evreel.kernels import aedat3 as kernels

        room = int(heads[heads[:, 1] == _POLARITY, 4].sum())
        t, p = np.empty(room, np.int64), np.empty(room, np.uint8)
        x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
        height, width = self.sensor
        tally = np.zeros(4, np.int64)
        words = np.ndarray(max(len(data) - 3, 0), np.uint32, data.data, strides=(1,))
        n = kernels.polarity(words, heads, width, height, t, x, y, p, tally)
        bad = _BadEventError(int(tally[3]), "a negative stamp") if n < len(heads) else None
        side: list[Side] = []
        for k in np.flatnonzero(np.isin(heads[:n, 1], (_SPECIAL, _FRAME, _IMU6, _IMU9))).tolist():
            try:
                side += self._side(data, heads[k])
            except _BadEventError as error:
                # Events behind it are not yielded: decode those before it once more.
                bad, n = error, k
                kernels.polarity(words, heads[:n], width, height, t, x, y, p, tally)
                break
        rows, invalid, sound = tally[:3].tolist()
        self._count("invalid_events", invalid)
        kinds = heads[:n, 1]
        for kind in np.unique(kinds[kinds > _IMU9]).tolist():
            name = _NAMES.get(kind, f"type_{kind}")
            self._count(f"{name}_events", int(heads[:n][kinds == kind, 4].sum()))
        yield from _joined(side)
        if rows:
            first = base + int(heads[np.argmax(kinds == _POLARITY), 0])
            yield Piece(t[:rows], x[:rows], y[:rows], p[:rows], first, sound=bool(sound))
        if bad is not None:
            at, what = bad.args
            self._fail(f"the event that begins here has {what}", base + at)

    def _side(self, data: npt.NDArray[np.uint8], head: Int64Array) -> Iterator[Side]:
        """Yield the samples of a packet that are valid; raise at one without a time."""
        begin, kind, _, size, n, overflow = head.tolist()
        begin += _HEAD_BYTES
        if not n:
            return
        row = {_SPECIAL: _SPECIAL_ROW, _FRAME: _FRAME_ROW, _IMU6: _IMU6_ROW, _IMU9: _IMU9_ROW}[kind]
        # A frame's picture is left out; of the others, a row is the whole event.
        events = data[begin : begin + n * size].reshape(n, size)[:, : row.itemsize]
        rows = np.ascontiguousarray(events).view(row)[:, 0]
        valid = rows["data"] & 1 == 1
        stamps = rows["stamp"].astype(np.int64)
        bad = np.flatnonzero(valid & (stamps.reshape(n, -1) < 0).any(axis=1))
        if bad.size:
            raise _BadEventError(begin + int(bad[0]) * size, "a negative stamp")
        self._count("invalid_events", n - int(np.count_nonzero(valid)))
        rows, t = rows[valid], stamps[valid] + (overflow << 31)
        if kind == _SPECIAL:
            mark = (rows["data"] >> 1 & 0x7F).astype(np.int16)
            for number, name in _MARKS.items():
                self._count(name, int(np.count_nonzero(mark == number)))
            kept = ~np.isin(mark, list(_MARKS))
            t, mark = t[kept], mark[kept]
            edge = np.full(len(mark), -1, np.int8)
            edge[np.isin(mark, _RISING)] = 1
            edge[np.isin(mark, _FALLING)] = 0
            yield Triggers(t, edge, mark)
        elif kind == _FRAME:
            # The overflow is that of the frame's end: what is after it was before the overflow.
            t[t > t[:, 1:2]] -= 1 << 31
            start, stop = t[:, 2], t[:, 3]
            back = np.flatnonzero(valid)[stop < start]
            if back.size:
                at = begin + int(back[0]) * size
                raise _BadEventError(at, "an exposure that ends before it starts")
            yield FrameTimes(start, stop)
        else:
            value = rows["value"]
            field = value[:, 7:10] if kind == _IMU9 else np.zeros((len(rows), 3), np.float32)
            acceleration, rotation = value[:, 0:3].copy(), value[:, 3:6].copy()
            yield Imu(t, acceleration, rotation, field.copy(), value[:, 6].copy())


def _joined(side: list[Side]) -> Iterator[Side]:
    """Yield samples as one batch a kind, leaving out those that are empty."""
    for kind in (Triggers, Imu, FrameTimes):
        parts = [part for part in side if isinstance(part, kind) and len(part)]
        if parts:
            columns = (
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(kind)
            )
            yield kind(*columns)
