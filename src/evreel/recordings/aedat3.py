"""Read AEDAT 3.1, the format of cAER.

A file is the line ``#!AER-DAT3.1``, header lines that begin with ``#`` up to the line
``#!END-HEADER``, and then packets up to its end. All numbers are little-endian and signed.

================  ================================================================================
packet, 28 bytes  int16 type, int16 source, int32 bytes per event, position of the timestamp in it,
                  overflow, capacity, number of events, number of valid ones; then the events
any event         bit 0 of its first byte: valid. Time in µs: timestamp + overflow · 2³¹
0 special         uint32: bits 1 to 7 type; int32 timestamp
1 polarity        uint32: bit 1 polarity, bits 2 to 16 y, bits 17 to 31 x; int32 timestamp
2 frame           uint32; int32 start and end of the frame, start and end of exposure; picture
3 and 4 IMU       uint32; int32 timestamp; float32: 3 of acceleration (g), 3 of rotation (°/s),
                  temperature (°C); type 4 also 3 of magnetic field (µT)
================  ================================================================================

Source: https://docs.inivation.com, AEDAT file formats, 3.1. Pixel (0, 0) is the upper left. A
packet's capacity should equal its number of events. Where they differ, some files hold as many
events as the one says, others as the other: the number that leads to the next header is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from evreel.events import FrameTimes, Imu, Sensor, Triggers
from evreel.recordings.aedat_header import camera_size, header_lines, header_text
from evreel.recordings.decoded import PIECE_ROWS, DecodedRecording
from evreel.recordings.pieces import Piece, Side
from evreel.timebase import Int64Array

MAGIC = b"#!AER-DAT3.1"

_END = b"#!END-HEADER"
_SOURCE = re.compile(r"#(-?)Source\s+([0-9]{1,9}):\s*(.*?)\s*")
_HEAD_BYTES = 28
_WINDOW_BYTES = 8 * PIECE_ROWS
_PACKETS_AT_ONCE = 1 << 13
_SPECIAL, _POLARITY, _FRAME, _IMU6, _IMU9 = range(5)
_RISING, _FALLING = (2, 6, 9, 12), (3, 7, 10, 13)
# Types of special events that do not come from a signal.
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
    """An event without a valid time; its arguments: its position in the data, and what it has."""


class Aedat3Recording(DecodedRecording):
    """A recording in AEDAT 3.1, from a DVS or DAVIS camera.

    Special events are kept as triggers: `id` is the format's type, `edge` 1 for its rising edges
    (2, 6, 9, 12), 0 for falling ones (3, 7, 10, 13), −1 for others. Frame times are the start
    and end of exposure. An IMU with 6 axes has a magnetic field of 0.

    `repairs` counts what was left out: ``skipped_invalid_events`` (marked invalid, of any type read
    here); ``skipped_timestamp_wraps``, ``skipped_timestamp_resets`` and
    ``skipped_row_only_events`` among the special events; ``skipped_config_events`` and so on for
    other types; ``skipped_events_of_source_2`` and so on if the header names several cameras, of
    which the one with the lowest number is read.

    Parameters
    ----------
    path, stream, sensor, reading
        As in `DecodedRecording`. The header states the sensor's size if it names a known camera,
        such as DVS128, DAVIS240C or DAVIS346B.

    Raises
    ------
    RecordingError
        If the header does not end, or announces packets of a form other than ``RAW``.
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
                    self._recode(
                        f"its packets have the format {form.strip()[:40]!r}; only RAW can be read",
                        self._start,
                        hint="Write it again with cAER or DV, uncompressed.",
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
        self.header = header_text(self._bytes(self._start, 0))
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
            data = room[: self._fill(room.data, at)]
            if len(data) < min(window, self._size - at):
                self._fail("the file became shorter while it was read", at + len(data))
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
            # A packet that did not fit is read again, into room for all of it.
            window = max(_WINDOW_BYTES, needed) if why == kernels.MORE else _WINDOW_BYTES
            if why == kernels.END:
                return
            problem = {
                kernels.CUT_HEADER: "the file ends in the middle of a packet's header",
                kernels.NO_HEADER: "no packet header begins here",
                kernels.CUT_PACKET: "the file ends in the middle of the packet that begins here",
                kernels.NO_SUCCESSOR: "the packet that begins here is not followed by another "
                "header, neither after its number of events nor after its capacity",
            }.get(why)
            if problem is not None:
                self._fail(problem, at)

    def _of_one_camera(self, heads: Int64Array) -> tuple[Int64Array, Int64Array | None]:
        """Return the packets of the camera that is read, and the first of another camera.

        If the header names several cameras, packets of the others are counted instead.
        """
        if self._source >= 0:
            others = heads[:, 2] != self._source
            for source in np.unique(heads[others, 2]).tolist():
                events = int(heads[heads[:, 2] == source, 4].sum())
                self._count(f"skipped_events_of_source_{source}", events)
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
        """Yield the content of packets; raise at the first event without a valid time."""
        from evreel.kernels import aedat3 as kernels

        room = int(heads[heads[:, 1] == _POLARITY, 4].sum())
        t, p = np.empty(room, np.int64), np.empty(room, np.uint8)
        x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
        height, width = self.sensor
        tally = np.zeros(4, np.int64)
        words = np.ndarray(max(len(data) - 3, 0), np.uint32, data.data, strides=(1,))
        n = kernels.polarity(words, heads, width, height, t, x, y, p, tally)
        bad = _BadEventError(int(tally[3]), "a negative timestamp") if n < len(heads) else None
        side: list[Side] = []
        for k in np.flatnonzero(np.isin(heads[:n, 1], (_SPECIAL, _FRAME, _IMU6, _IMU9))).tolist():
            try:
                side += self._side(data, heads[k])
            except _BadEventError as error:
                # Events after it are not yielded: decode those before it once more.
                bad, n = error, k
                kernels.polarity(words, heads[:n], width, height, t, x, y, p, tally)
                break
        rows, invalid, sound = tally[:3].tolist()
        self._count("skipped_invalid_events", invalid)
        kinds = heads[:n, 1]
        for kind in np.unique(kinds[kinds > _IMU9]).tolist():
            name = _NAMES.get(kind, f"type_{kind}")
            self._count(f"skipped_{name}_events", int(heads[:n][kinds == kind, 4].sum()))
        yield from _joined(side)
        if rows:
            first = base + int(heads[np.argmax(kinds == _POLARITY), 0])
            yield Piece(t[:rows], x[:rows], y[:rows], p[:rows], first, sound=bool(sound))
        if bad is not None:
            at, what = bad.args
            self._fail(f"the event that begins here has {what}", base + at)

    def _side(self, data: npt.NDArray[np.uint8], head: Int64Array) -> Iterator[Side]:
        """Yield the valid samples of a packet; raise at one without a valid time."""
        begin, kind, _, size, n, overflow = head.tolist()
        begin += _HEAD_BYTES
        if not n:
            return
        row = {_SPECIAL: _SPECIAL_ROW, _FRAME: _FRAME_ROW, _IMU6: _IMU6_ROW, _IMU9: _IMU9_ROW}[kind]
        # A frame's row leaves out its picture; any other row is the whole event.
        events = data[begin : begin + n * size].reshape(n, size)[:, : row.itemsize]
        rows = np.ascontiguousarray(events).view(row)[:, 0]
        valid = rows["data"] & 1 == 1
        stamps = rows["stamp"].astype(np.int64)
        bad = np.flatnonzero(valid & (stamps.reshape(n, -1) < 0).any(axis=1))
        if bad.size:
            raise _BadEventError(begin + int(bad[0]) * size, "a negative timestamp")
        self._count("skipped_invalid_events", n - int(np.count_nonzero(valid)))
        rows, t = rows[valid], stamps[valid] + (overflow << 31)
        if kind == _SPECIAL:
            mark = (rows["data"] >> 1 & 0x7F).astype(np.int16)
            for number, name in _MARKS.items():
                self._count(f"skipped_{name}", int(np.count_nonzero(mark == number)))
            kept = ~np.isin(mark, list(_MARKS))
            t, mark = t[kept], mark[kept]
            edge = np.full(len(mark), -1, np.int8)
            edge[np.isin(mark, _RISING)] = 1
            edge[np.isin(mark, _FALLING)] = 0
            yield Triggers(t, edge, mark)
        elif kind == _FRAME:
            # The overflow belongs to the frame's end: a later time is from before the overflow.
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
    """Yield samples as one batch per kind, leaving out empty ones."""
    for kind in (Triggers, Imu, FrameTimes):
        parts = [part for part in side if isinstance(part, kind) and len(part)]
        if parts:
            columns = (
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(kind)
            )
            yield kind(*columns)
