"""AEDAT 2.0 and 3.1 written word by word, from iniVation's description of the formats."""

from __future__ import annotations

import struct

DAVIS240 = "eu.seebetter.ini.chips.davis.DAVIS240C"
DVS128 = "ch.unizh.ini.jaer.chip.retina.DVS128"


def header2(chip: str | None, end: str = "\r\n") -> bytes:
    """Return an AEDAT 2.0 header as jAER writes it."""
    lines = [
        "#!AER-DAT2.0",
        "# This is a raw AE data file - do not edit",
        "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
        "# Timestamps tick is 1 us",
        "# created Wed Sep 16 12:09:08 CEST 2015",
    ]
    if chip is not None:
        lines += [f"# AEChip: {chip}", "#Start of Preferences for this AEChip", "#\t<map/>"]
    return "".join(line + end for line in lines).encode()


def word(address: int, stamp: int) -> bytes:
    """Return a word of AEDAT 2.0; a stamp may be signed or not."""
    return struct.pack(">II", address, stamp & 0xFFFFFFFF)


def davis(t: int, x: int, y: int, p: int) -> bytes:
    """Return an event of a DAVIS, x and y as they are in the address."""
    return word(y << 22 | x << 12 | p << 11, t)


def dvs128(t: int, x: int, y: int, p: int) -> bytes:
    """Return an event of a DVS128."""
    return word(y << 8 | x << 1 | p, t)


def davis_sample(t: int, kind: int, value: int = 0, x: int = 0, y: int = 0) -> bytes:
    """Return an APS sample of kind 0 (reset) or 1 (signal)."""
    return word(1 << 31 | y << 22 | x << 12 | kind << 10 | value, t)


def davis_imu(t: int, values: tuple[int, ...]) -> bytes:
    """Return the 7 words of an IMU sample."""
    words = (
        word(1 << 31 | kind << 28 | (value & 0xFFFF) << 12 | 3 << 10, t)
        for kind, value in enumerate(values)
    )
    return b"".join(words)


def header3(*sources: str, end: str = "\r\n") -> bytes:
    """Return an AEDAT 3.1 header as cAER writes it; sources such as ``Source 1: DVS128``."""
    lines = ["#!AER-DAT3.1", "#Format: RAW"]
    lines += [f"#{source}" for source in sources]
    lines += ["#Start-Time: 2016-09-08 09:01:15 (TZ+0200)", "#!END-HEADER"]
    return "".join(line + end for line in lines).encode()


def packet(
    kind: int,
    events: list[bytes],
    *,
    source: int = 1,
    overflow: int = 0,
    stamp_at: int = 4,
    capacity: int | None = None,
    padded: bool = True,
    size: int | None = None,
    valid: int | None = None,
) -> bytes:
    """Return a packet; one of more capacity than events is filled up with zeros if `padded`."""
    size = size if size is not None else len(events[0]) if events else 8
    n = len(events)
    capacity = n if capacity is None else capacity
    good = sum(event[0] & 1 for event in events) if valid is None else valid
    head = struct.pack("<hhiiiiii", kind, source, size, stamp_at, overflow, capacity, n, good)
    return head + b"".join(events) + (bytes(max(capacity - n, 0) * size) if padded else b"")


def polarity(t: int, x: int, y: int, p: int, valid: int = 1) -> bytes:
    """Return a polarity event."""
    return struct.pack("<Ii", x << 17 | y << 2 | p << 1 | valid, t)


def special(t: int, kind: int, valid: int = 1, data: int = 0) -> bytes:
    """Return a special event."""
    return struct.pack("<Ii", data << 8 | kind << 1 | valid, t)


def imu(t: int, values: tuple[float, ...], valid: int = 1) -> bytes:
    """Return an IMU event: of 6 axes with 7 values, of 9 with 10."""
    return struct.pack(f"<Ii{len(values)}f", valid, t, *values)


def aps_frame(times: tuple[int, int, int, int], width: int, height: int, valid: int = 1) -> bytes:
    """Return a gray frame; its times are of start, end, start and end of exposure."""
    return struct.pack("<I8i", 1 << 1 | valid, *times, width, height, 0, 0) + bytes(
        2 * width * height
    )
