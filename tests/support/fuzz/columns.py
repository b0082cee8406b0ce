"""Damage HDF5, npz, npy and mat files and read them: ``fuzz_columns.py [FILES [SEED]]``.

As ``fuzz_prophesee``, whose rules they are held to. One in a hundred HDF5 files is damaged
anywhere; of the others only chunks are, so that HDF5's structure, which is looked at in a process
of its own, need be looked at once for all.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import hdf5plugin
import numpy as np

from evreel.events import Sensor
from evreel.recordings.hdf5 import read as foreign_hdf5
from support.fuzz.aedat4 import damaged
from support.fuzz.prophesee import outcome
from support.writers import columns as made

SENSOR = Sensor(40, 48)
WHOLE_HDF5 = 100  # one in so many is damaged anywhere: a process each


def hdf5_files(folder: Path) -> list[tuple[bytes, foreign_hdf5.Look]]:
    """Return small HDF5 files in all compressions that are read, and what is seen of them."""
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
        files.append((path.read_bytes(), foreign_hdf5.look(path)))
    return files


def some_rows(n: int) -> list[tuple[int, int, int, int]]:
    """Return rows (t, x, y, p) in order."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 20_000, n))
    x, y, p = (rng.integers(0, size, n) for size in (SENSOR.width, SENSOR.height, 2))
    return [tuple(map(int, row)) for row in zip(t, x, y, p, strict=True)]


def other_files() -> list[bytes]:
    """Return small npz, npy and mat files."""
    rows = some_rows(300)
    columns = made.columns(rows)
    floats = {name: values.astype(float) for name, values in columns.items()}
    return [
        made.npz(**columns),
        made.npz(True, **columns),
        made.npz(True, **floats, label=np.array(3)),
        made.npy(made.records(rows)),
        made.npy(made.records(rows).astype([(name, ">f8") for name in "txyp"])),
        made.asl(rows),
        made.asl(rows, compressed=False),
        made.asl(rows, order=">"),
    ]


def main(files: int = 500, seed: int = 1) -> Counter[str]:
    """Read so many damaged files; return how often each outcome came."""
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    look = foreign_hdf5.look
    foreign_hdf5.LOOK_SECONDS = 3.0  # where HDF5 hangs
    with tempfile.TemporaryDirectory() as folder:
        hdf5, others = hdf5_files(Path(folder)), other_files()
        for k in range(files):
            limits = (None, None) if k % 3 else (500, 2_000)
            path = Path(folder) / "damaged"
            foreign_hdf5.look = look
            if k % 2:
                path.write_bytes(damaged(rng, others[k // 2 % len(others)]))
            else:
                content, seen = hdf5[k // 2 % len(hdf5)]
                if k // 2 % WHOLE_HDF5 == 0:
                    path.write_bytes(damaged(rng, content))
                else:
                    path.write_bytes(with_damaged_data(rng, content, seen))
                    foreign_hdf5.look = lambda _, seen=seen: seen
            counts[outcome(path, limits, None if k % 7 == 0 else SENSOR)] += 1
    foreign_hdf5.look = look
    return counts


def with_damaged_data(rng: np.random.Generator, content: bytes, seen: foreign_hdf5.Look) -> bytes:
    """Return a file with one of its chunks damaged, or a few of a data set's bytes."""
    changed = bytearray(content)
    names = list(seen.sets)
    name = names[int(rng.integers(len(names)))]
    table = seen.tables[name]
    if len(table):
        _, at, size, _ = table[int(rng.integers(len(table)))].tolist()
    else:
        at, size = seen.sets[name].get("offset") or len(content) - 8, 8
    part = damaged(rng, content[at : at + size])[:size]
    changed[at : at + len(part)] = part
    return bytes(changed[: at + len(part)] if rng.integers(10) == 0 else changed)


if __name__ == "__main__":
    counted = main(*map(int, sys.argv[1:]))
    sys.stdout.write(" ".join(f"{name}={n}" for name, n in counted.items()) + "\n")
