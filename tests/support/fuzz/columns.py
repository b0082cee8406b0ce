"""HDF5 in all compressions that are read, npz, npy, mat, and text; also by declared columns.

One in a hundred HDF5 files is damaged anywhere; of the others only chunks are, so that HDF5's
structure, which is looked at in a process of its own, need be looked at once for all.
"""

from __future__ import annotations

import gzip
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import h5py
import hdf5plugin
import numpy as np
import zstandard

from evreel.events import Sensor
from evreel.files import inspection
from evreel.recordings.hdf5 import data_sets as foreign_hdf5
from evreel.recordings.hdf5.open import NAMES
from evreel.recordings.open import Reading, Recording
from support.fuzz.damage import Original, damaged
from support.writers import columns as made
from support.writers import ecf

SENSOR = Sensor(40, 48)
TRIO = "t[us] = t, x = xy[0], y = xy[1], p = on"
WHOLE_HDF5 = 100  # one in so many is damaged anywhere: a process each
LOOK_SECONDS = 2  # where HDF5 hangs


@dataclass(frozen=True)
class File(Original):
    """A file that is damaged anywhere."""

    name: str = "damaged"
    sensor: Sensor | None = SENSOR
    columns: str | None = None

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        return damaged(rng, self.content)

    def opened(self, path: Path, reading: Reading) -> Recording:
        with mock.patch.object(inspection, "CPU_SECONDS", LOOK_SECONDS):
            return super().opened(path, replace(reading, columns=self.columns))


@dataclass(frozen=True)
class Chunks(File):
    """An HDF5 file of which one chunk, or a few of a data set's bytes, are damaged."""

    seen: foreign_hdf5.Look | None = None

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        changed = bytearray(self.content)
        names = list(self.seen.sets)
        name = names[int(rng.integers(len(names)))]
        table = self.seen.tables[name]
        if len(table):
            _, at, size, _ = table[int(rng.integers(len(table)))].tolist()
        else:
            at, size = self.seen.sets[name].get("offset") or len(changed) - 8, 8
        part = damaged(rng, self.content[at : at + size])[:size]
        changed[at : at + len(part)] = part
        return bytes(changed[: at + len(part)] if rng.integers(10) == 0 else changed)

    def opened(self, path: Path, reading: Reading) -> Recording:
        with mock.patch.object(foreign_hdf5, "look", lambda *_: self.seen):
            return super().opened(path, reading)


def hdf5_files(folder: Path) -> list[Chunks]:
    rows = some_rows(500)
    triggers = [(t, k % 2, k % 8) for k, (t, *_) in enumerate(rows[::50])]
    kinds = [{"chunks": None}, {"chunks": (64,), "compression": "gzip", "shuffle": True}]
    kinds.append({"chunks": (100,), "compression": "gzip", "fletcher32": True})
    for name in ("zstd", "lz4", "zlib"):
        for shuffle in (1, 2):
            plugin = hdf5plugin.Blosc(cname=name, clevel=5, shuffle=shuffle)
            kinds.append(dict(plugin, chunks=(256,)))
    kinds += [dict(hdf5plugin.Zstd(), chunks=(64,)), dict(hdf5plugin.LZ4(), chunks=(64,))]
    files = []
    for k, options in enumerate(kinds):
        path = folder / f"{k}.h5"
        if k % 2:
            made.metavision(path, rows, triggers, "48x40", **options)
        else:
            made.dsec(path, rows, 10**9, (48, 40) if k % 4 else None, **options)
        files.append(Chunks(path.read_bytes(), seen=foreign_hdf5.look(path, *NAMES)))
    declared = "t[us] = e[0], x = e[1], y = e[2], p = e[3]"
    for k, wide in enumerate((4, 3, 1)):
        options = {"chunks": (64, wide), "compression": ("lzf", "gzip")[k % 2]}
        path = folder / f"declared{k}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("e", data=np.array(rows, np.int64), **options)
        seen = foreign_hdf5.look(path, "e")
        files.append(Chunks(path.read_bytes(), columns=declared, seen=seen))
    for k, skipped in enumerate(((), {1})):
        path = ecf.metavision(folder / f"ecf{k}.h5", rows, triggers, "48x40", skipped=skipped)
        files.append(Chunks(path.read_bytes(), seen=foreign_hdf5.look(path, *NAMES)))
    return files


def some_rows(n: int) -> list[tuple[int, int, int, int]]:
    """Return rows (t, x, y, p) in order."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, n))
    x, y, p = (rng.integers(0, size, n) for size in (SENSOR.width, SENSOR.height, 2))
    return [tuple(map(int, row)) for row in zip(t, x, y, p, strict=True)]


def other_files() -> list[File]:
    rows = some_rows(300)
    columns = made.columns(rows)
    floats = {name: values.astype(float) for name, values in columns.items()}
    contents = [
        made.npz(**columns),
        made.npz(True, **columns),
        made.npz(True, **floats, label=np.array(3)),
        made.npz(**columns, height=np.array(SENSOR.height), width=np.array(SENSOR.width)),
        made.npy(made.records(rows)),
        made.npy(made.records(rows, [(name, ">f8") for name in "txyp"])),
        made.asl(rows),
        made.asl(rows, compressed=False),
        made.asl(rows, order=">"),
    ]
    text = "".join(f"{t / 1e6:.9f} {x} {y} {p}\n" for t, x, y, p in rows).encode()
    csv = b"id,x,y,p,t_ns\n" + b"".join(
        b"a b,%d,%d,%d,%d\n" % (*row[1:], row[0] * 1000) for row in rows
    )
    array = np.array(rows, np.float64)
    return [
        *(File(content) for content in contents),
        File(made.npz(True, xy=array[:, 1:3], t=array[:, :1], on=array[:, 3] > 0), columns=TRIO),
        File(made.npy(array), columns="t[us], x, y, p"),
        File(text, name="damaged.txt"),
        File(csv, name="damaged.csv"),
        File(gzip.compress(text), name="damaged.gz"),
        File(zstandard.compress(text), name="damaged.zst"),
        File(made.zipped({"a/events.txt": text}, zipfile.ZIP_DEFLATED)),
    ]


def originals() -> list[File]:
    with tempfile.TemporaryDirectory() as folder:
        hdf5, others = hdf5_files(Path(folder)), other_files()
    files: list[File] = []
    for k in range(WHOLE_HDF5 * len(hdf5)):
        chunks = hdf5[k % len(hdf5)]
        files += [
            chunks if k % WHOLE_HDF5 else File(chunks.content, columns=chunks.columns),
            others[k % len(others)],
        ]
    return files
