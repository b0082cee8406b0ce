"""Event Stream files written byte by byte, from the tables of its published description."""

from __future__ import annotations

import struct

DVS, ATIS = 1, 2


def head(kind: int, size=(8, 6), version=(2, 0, 0)) -> bytes:
    """Return the header of a stream of events of a sensor of (width, height)."""
    return b"Event Stream" + bytes([*version, kind]) + struct.pack("<HH", *size)


def dvs_event(t: int, x: int, y: int, p: int) -> bytes:
    """Return an event `t` µs after the one before, with the overflows that it needs."""
    overflows, t = divmod(t, 0b1111111)
    return b"\xff" * overflows + struct.pack("<BHH", t << 1 | p, x, y)


def atis_event(t: int, x: int, y: int, polarity: int, is_tc: int = 0) -> bytes:
    """Return an event or threshold crossing `t` µs after the one before."""
    overflows, t = divmod(t, 0b111111)
    threes, rest = divmod(overflows, 0b11)
    after = bytes([0b11111100 | rest]) if rest else b""
    body = struct.pack("<BHH", t << 2 | polarity << 1 | is_tc, x, y)
    return b"\xff" * threes + after + body


def stream(kind: int, rows, size=(8, 6), version=(2, 0, 0)) -> bytes:
    """Return a file of rows (t, x, y, p) or, of ATIS, (t, x, y, polarity, is_tc); y is upwards."""
    event = {DVS: dvs_event, ATIS: atis_event}[kind]
    content, time = head(kind, size, version), 0
    for t, *row in rows:
        content += event(t - time, *row)
        time = t
    return content
