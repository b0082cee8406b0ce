"""HDF5 in tests: a file of a small layout that has an array of each kind; all that a file has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from evreel.files import hdf5
from evreel.files.seal import seal_again
from evreel.layout import Array, Layout
from evreel.provenance import Provenance

LAYOUT = Layout(
    "test",
    3,
    "A layout for these tests.",
    (
        Array("a/t", "<i8", ("row",), "µs", "", (100,), "bitshuffle-lz4"),
        Array("a/xyz", "<f4", ("row", "axis"), "", "", (50, 3), "zstd"),
        Array("a/p", "|u1", ("row",), "", "", (100,), "gzip", optional=True),
        Array("size", "<i8", (), "", ""),
        Array("names", "str", ("name",), "", ""),
        Array("header", "str", (), "", ""),
        Array("data", "any", ("row",), "", "", (10,)),
    ),
    {"unit": "A unit."},
)
PROVENANCE = Provenance("events", {"b": 1, "a": [2, None]}, {"recording": "sha256:0"}, {"cut": 0})


@contextlib.contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Give a file to edit, and seal it again: unsealed ones take longer to open."""
    with h5py.File(path, "r+") as file:
        yield file
    seal_again(path)


def write(path: Path, rows: int = 250, batch: int = 250) -> Path:
    """Write a file of `LAYOUT`, its columns in batches; equal rows are equal bytes."""
    with hdf5.create(path, LAYOUT, PROVENANCE) as file:
        t, xyz, p = (hdf5.add(file, LAYOUT[f"a/{name}"]) for name in ("t", "xyz", "p"))
        for k in range(0, rows, batch):
            part = np.arange(k, min(k + batch, rows))
            hdf5.append(t, part)
            hdf5.append(xyz, np.stack([part, part / 2, -part], axis=1).astype("f4"))
            hdf5.append(p, (part % 2).astype("u1"))
        hdf5.add(file, LAYOUT["size"], 7)
        hdf5.add(file, LAYOUT["names"], ["car", "Straße"])
        hdf5.add(file, LAYOUT["header"], "line 1\nline 2")
        file.create_dataset("data", data=np.arange(rows, dtype="u2"), track_times=False)
        file.attrs["unit"] = "px"
    return path


def everything(path: Path) -> dict[str, object]:
    """Return all attributes and all data of a file."""
    said: dict[str, object] = {}
    with h5py.File(path) as file:

        def add(name: str, item: h5py.HLObject) -> None:
            said.update(
                {f"{name}@{key}": np.asarray(of).tolist() for key, of in item.attrs.items()}
            )
            if isinstance(item, h5py.Dataset):
                said[name] = (item.dtype.str, item[()].tolist())

        file.visititems(add)
        return {**said, **{key: np.asarray(of).tolist() for key, of in file.attrs.items()}}
