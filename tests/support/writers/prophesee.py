"""RAW and DAT files written word by word, from Prophesee's description of the formats.

A word is a number; the functions are named by what stands in the tables of the description. Times
are in µs, of any length: the bits that a word has room for are taken.
"""

from __future__ import annotations

import struct

BYTES = {"2.0": 4, "2.1": 8, "3.0": 2}
NAMES = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}


def head(*lines: str, end: bool = True) -> bytes:
    """Return a header."""
    return "".join(f"% {line}\n" for line in [*lines, *(["end"] if end else [])]).encode()


def raw(version: str, words, size=(8, 6), legacy: bool = False) -> bytes:
    """Return a RAW file of a sensor of (width, height), with the header that cameras write."""
    order = ";endianness=legacy" if legacy else ""
    lines = [
        "camera_integrator_name Prophesee",
        f"evt {version}",
        f"format {NAMES[version]};height={size[1]};width={size[0]}{order}",
        f"geometry {size[0]}x{size[1]}",
        "system_ID 49",
    ]
    return head(*lines) + packed(version, words, legacy)


def packed(version: str, words, legacy: bool = False) -> bytes:
    """Return words as bytes; legacy: the high half of a word of EVT 2.1 first."""
    size = BYTES[version]
    parts = (word.to_bytes(size, "little") for word in words)
    return b"".join(part[4:] + part[:4] if legacy else part for part in parts)


class Evt2:
    """Words of EVT 2.0."""

    @staticmethod
    def time_high(t: int) -> int:
        return 0x8 << 28 | t >> 6 & 0xFFFFFFF

    @staticmethod
    def cd(t: int, x: int, y: int, p: int) -> int:
        return p << 28 | (t & 63) << 22 | x << 11 | y

    @staticmethod
    def ext_trigger(t: int, channel: int, value: int) -> int:
        return 0xA << 28 | (t & 63) << 22 | channel << 8 | value

    @classmethod
    def encode(cls, rows) -> list[int]:
        """Return the words of rows (t, x, y, p), and of triggers (t, channel, value)."""
        words, high = [], None
        for row in rows:
            if row[0] >> 6 != high:
                high = row[0] >> 6
                words.append(cls.time_high(row[0]))
            words.append(cls.cd(*row) if len(row) == 4 else cls.ext_trigger(*row))
        return words


class Evt21:
    """Words of EVT 2.1."""

    @staticmethod
    def time_high(t: int) -> int:
        return Evt2.time_high(t) << 32

    @staticmethod
    def vector(t: int, x: int, y: int, p: int, valid: int) -> int:
        return Evt2.cd(t, x, y, p) << 32 | valid

    @staticmethod
    def ext_trigger(t: int, channel: int, value: int) -> int:
        return Evt2.ext_trigger(t, channel, value) << 32

    @classmethod
    def encode(cls, rows) -> list[int]:
        """Return the words of rows; neighbours of one time, y, p and rising x share a vector."""
        words, high, last = [], None, None
        for row in rows:
            if row[0] >> 6 != high:
                high, last = row[0] >> 6, None
                words.append(cls.time_high(row[0]))
            if len(row) == 3:
                words.append(cls.ext_trigger(*row))
                last = None
                continue
            t, x, y, p = row
            key = (t, x // 32, y, p)
            if last is not None and last[0] == key and x > last[1]:
                words[-1] |= 1 << x % 32
            else:
                words.append(cls.vector(t, x // 32 * 32, y, p, 1 << x % 32))
            last = key, x
        return words


class Evt3:
    """Words of EVT 3.0."""

    @staticmethod
    def addr_y(y: int, slave: int = 0) -> int:
        return slave << 11 | y

    @staticmethod
    def addr_x(x: int, p: int) -> int:
        return 0x2 << 12 | p << 11 | x

    @staticmethod
    def vect_base_x(x: int, p: int) -> int:
        return 0x3 << 12 | p << 11 | x

    @staticmethod
    def vect_12(valid: int) -> int:
        return 0x4 << 12 | valid

    @staticmethod
    def vect_8(valid: int) -> int:
        return 0x5 << 12 | valid

    @staticmethod
    def time_low(t: int) -> int:
        return 0x6 << 12 | t & 0xFFF

    @staticmethod
    def time_high(t: int) -> int:
        return 0x8 << 12 | t >> 12 & 0xFFF

    @staticmethod
    def ext_trigger(channel: int, value: int) -> int:
        return 0xA << 12 | channel << 8 | value

    @classmethod
    def encode(cls, rows) -> list[int]:
        """Return the words of rows; runs of one time, y, p and rising x become a vector of 32."""
        words, time, last_y, k = [], None, None, 0
        while k < len(rows):
            row = rows[k]
            if time is None or row[0] >> 12 != time >> 12:
                words.append(cls.time_high(row[0]))
            if row[0] != time:
                words.append(cls.time_low(row[0]))
            time = row[0]
            if len(row) == 3:
                words.append(cls.ext_trigger(*row[1:]))
                k += 1
                continue
            t, x, y, p = row
            if y != last_y:
                words.append(cls.addr_y(y))
            last_y = y
            stop, mask = k, 0
            while (
                stop < len(rows)
                and len(rows[stop]) == 4
                and (rows[stop][0], *rows[stop][2:]) == (t, y, p)
                and x <= rows[stop][1] < x + 32
                and mask >> rows[stop][1] - x == 0
            ):
                mask |= 1 << rows[stop][1] - x
                stop += 1
            if stop - k < 3:
                words.append(cls.addr_x(x, p))
                k += 1
            else:
                words += [
                    cls.vect_base_x(x, p),
                    cls.vect_12(mask & 0xFFF),
                    cls.vect_12(mask >> 12 & 0xFFF),
                    cls.vect_8(mask >> 24),
                ]
                k = stop
        return words


ENCODERS = {"2.0": Evt2, "2.1": Evt21, "3.0": Evt3}


def dat(rows, size=(8, 6), version: int = 2, kind: int = 0x0C) -> bytes:
    """Return a DAT file of rows (t, x, y, p); with a size of None, its header states none."""
    lines = [
        "Data file containing CD events.",
        f"Version {version}",
        "Date 2020-09-14 14:18:29",
        *((f"Width {size[0]}", f"Height {size[1]}") if size else ()),
    ]
    at_y, at_p = (14, 28) if version == 2 else (9, 17)
    body = b"".join(
        struct.pack("<II", t & 0xFFFFFFFF, x | y << at_y | p << at_p) for t, x, y, p in rows
    )
    return head(*lines, end=False) + bytes([kind, 8]) + body
