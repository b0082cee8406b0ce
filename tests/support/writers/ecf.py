"""Chunks of Metavision's codec ECF in plain Python, packed in any way, and files of them."""

from __future__ import annotations

import struct
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np

from support.writers.columns import TRIGGER, records

ECF = 0x8ECF
RECORD = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")], align=True)
WAYS = ("columns", "x and p packed", "all packed")


def runs(values, most: int = 65_535) -> list[tuple[int, int]]:
    """Return (value, how often) of equal values in a row."""
    found = []
    for value, group in groupby(values):
        n = len(list(group))
        while n:
            found.append((value, min(n, most)))
            n -= min(n, most)
    return found


def counted(value: int, n: int, bits: int, word: str) -> bytes:
    """Return a word with a value above and a count below; a large count follows."""
    full = (1 << bits) - 1
    if n < full:
        return struct.pack(word, value << bits | n)
    return struct.pack(word, value << bits | full) + struct.pack("<H", n)


def times(ts) -> bytes:
    out, now = struct.pack("<Q", ts[0]), ts[0]
    for t, n in runs(ts):
        step = (t - now) % (1 << 64)
        if step >= 15:
            while step:
                out += bytes([0xF0 | step & 15])
                step >>= 4
        out += counted(step, n, 4, "<B")
        now = t
    return out


def in_fours(values: list[int], bits: int) -> bytes:
    """Pack four values of so many bits into three words of a third more."""
    out = b""
    word = {24: "<I", 12: "<H"}[bits]
    for k in range(0, len(values), 4):
        one, two, three, four = (values[k : k + 4] + [0] * 3)[:4]
        low = bits // 3  # bits of the second in the first word
        for part in (
            one << low | two & (1 << low) - 1,
            two >> low << 2 * low | three & (1 << 2 * low) - 1,
            three >> 2 * low << bits | four,
        ):
            out += struct.pack(word, part)
    return out


def chunk(rows, way: str) -> bytes:
    """Return rows (t, x, y, p) as a chunk."""
    n, (ts, xs, ys, ps) = len(rows), zip(*rows, strict=True)
    bits = WAYS.index(way)
    out = struct.pack("<I", n << 2 | bits) + times(ts)
    if way == "all packed":
        return out + in_fours([y << 12 | x << 1 | p for _, x, y, p in rows], 24)
    for y, count in runs(ys):
        out += counted(y, count, 5, "<H")
    if way == "x and p packed":
        return out + in_fours([x << 1 | p for _, x, _, p in rows], 12)
    k = 0
    while k < n:
        first, bits, k = xs[k], 0, k + 1
        while k < n and xs[k - 1] < xs[k] <= first + 5:
            bits |= 1 << first + 5 - xs[k]
            k += 1
        out += struct.pack("<H", first << 5 | bits)
    for p, count in runs(ps):
        out += counted(p, count, 7, "<B")
    return out


def decoded(data: bytes) -> list[tuple[int, int, int, int]]:
    """Return the rows of a chunk that is whole."""
    head, time = struct.unpack_from("<IQ", data)
    n, at = head >> 2, 12

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    def count(value: int, full: int) -> int:
        return take("<H") if value & full == full else value & full

    def fours(form: str, bits: int) -> list[int]:
        found, low = [], bits // 3
        while len(found) < n:
            a, b, c = (take(form) for _ in range(3))
            found += [
                a >> low,
                a & (1 << low) - 1 | b >> 2 * low << low,
                b & (1 << 2 * low) - 1 | c >> bits << 2 * low,
                c & (1 << bits) - 1,
            ]
        return found[:n]

    ts, xs, ys, ps = [], [], [], []
    while len(ts) < n:
        byte = take("<B")
        if byte < 0xF0:
            time += byte >> 4
            ts += [time] * count(byte, 15)
            continue
        step = byte & 15
        shift = 4
        while data[at] >= 0xF0:
            step |= (take("<B") & 15) << shift
            shift += 4
        time = (time + step) % (1 << 64)
    if head & 2:
        values = fours("<I", 24)
        return [(t, v >> 1 & 2047, v >> 12 & 2047, v & 1) for t, v in zip(ts, values, strict=True)]
    while len(ys) < n:
        word = take("<H")
        ys += [word >> 5] * count(word, 31)
    if head & 1:
        values = fours("<H", 12)
        xs, ps = [v >> 1 for v in values], [v & 1 for v in values]
    while len(xs) < n:
        word = take("<H")
        xs += [word >> 5, *((word >> 5) + j + 1 for j in range(5) if word >> 4 - j & 1)]
    while len(ps) < n:
        byte = take("<B")
        ps += [byte >> 7] * count(byte, 127)
    return list(zip(ts, xs[:n], ys, ps, strict=True))


def metavision(
    path: Path, rows, triggers=(), geometry="8x6", *, chunk_rows: int = 64, skipped=(), edit=None
):
    """Write a file with the ways of packing in turn.

    Parameters
    ----------
    skipped
        Chunks for which the filter was left out.
    edit
        Function of (number, bytes) of a chunk → what is written in its place.
    """
    with h5py.File(path, "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((chunk_rows,))
        plist.set_filter(ECF, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((len(rows),), (h5py.h5s.UNLIMITED,))
        kind = h5py.h5t.py_create(RECORD)
        h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, plist)
        for k, first in enumerate(range(0, len(rows), chunk_rows)):
            part = rows[first : first + chunk_rows]
            data = records(part, RECORD).tobytes() if k in skipped else chunk(part, WAYS[k % 3])
            data = data if edit is None else edit(k, data)
            file["CD/events"].id.write_direct_chunk((first,), data, int(k in skipped))
        marks = np.zeros(len(triggers), TRIGGER)
        for k, name in enumerate(("t", "p", "id")):
            marks[name] = [row[k] for row in triggers]
        file.create_dataset("EXT_TRIGGER/events", data=marks, chunks=(16,), maxshape=(None,))
        if geometry:
            file.attrs["geometry"] = geometry
    return path
