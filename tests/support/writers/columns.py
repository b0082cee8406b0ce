"""Files of columns as others write them: HDF5 of DSEC, RVT and Metavision, npz, npy and mat.

HDF5 is written by h5py and hdf5plugin, npz and npy by NumPy; mat byte by byte, from The
MathWorks's description of the format.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

DSEC = {"t": np.uint32, "x": np.uint16, "y": np.uint16, "p": np.uint8}
RVT = {"t": np.int64, "x": np.uint16, "y": np.uint16, "p": np.uint8}
RECORD = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
TRIGGER = np.dtype([("p", "<i2"), ("t", "<i8"), ("id", "<i2")], align=True)


def columns(rows, types=RVT) -> dict[str, np.ndarray]:
    """Return rows (t, x, y, p) as columns."""
    return {name: np.array([row[k] for row in rows], types[name]) for k, name in enumerate("txyp")}


def records(rows, dtype=RECORD) -> np.ndarray:
    """Return rows (t, x, y, p) as records."""
    made = np.zeros(len(rows), dtype)
    for k, name in enumerate("txyp"):
        made[name] = [row[k] for row in rows]
    return made


def growing(options: dict) -> dict:
    """Return options of a data set with which chunks may have more rows than there are."""
    return options | ({"maxshape": (None,)} if options.get("chunks") else {})


def dsec(path: Path, rows, t_offset: int | None = 0, size=None, types=DSEC, libver=None, **options):
    """Write columns as DSEC has them; with a size (width, height) also as RVT has them."""
    options = options or dict(hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=1), chunks=(64,))
    with h5py.File(path, "w", libver=libver) as file:
        for name, values in columns(rows, types).items():
            file.create_dataset(f"events/{name}", data=values, **growing(options))
        if t_offset is not None:
            file["t_offset"] = np.int64(t_offset)
            file["ms_to_idx"] = np.searchsorted([row[0] for row in rows], [0])
        if size:
            file["events/width"], file["events/height"] = size
    return path


def in_memory(write, *arguments, **options) -> bytes:
    """Return the bytes of a file that one of these functions writes."""
    with tempfile.TemporaryDirectory() as folder:
        path: Path = write(Path(folder) / "written.h5", *arguments, **options)
        return path.read_bytes()


def save(path: Path, **arrays) -> Path:
    """Write arrays by name, without filters."""
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def metavision(path: Path, rows, triggers=(), geometry="8x6", libver=None, **options):
    """Write records as Metavision has them; triggers are rows (t, p, id)."""
    options = options or {"chunks": (64,), "compression": "gzip", "shuffle": True}
    with h5py.File(path, "w", libver=libver) as file:
        file.create_dataset("CD/events", data=records(rows), **growing(options))
        file.create_dataset("CD/indexes", data=np.zeros(3, [("id", "<u8"), ("ts", "<i8")]))
        marks = np.zeros(len(triggers), TRIGGER)
        for k, name in enumerate(("t", "p", "id")):
            marks[name] = [row[k] for row in triggers]
        file.create_dataset("EXT_TRIGGER/events", data=marks, chunks=(16,), maxshape=(None,))
        if geometry:
            file.attrs["geometry"] = geometry
    return path


def npy(array: np.ndarray) -> bytes:
    """Return an npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npz(compressed: bool = False, **arrays) -> bytes:
    """Return an npz file."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip file of any members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


# Types of data, and classes of matrices, by numpy's names.
MI = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
MX = {"f8": 6, "f4": 7, "i1": 8, "u1": 9, "i2": 10, "u2": 11, "i4": 12, "u4": 13, "i8": 14}
MX |= {"u8": 15}


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    """Return an element: of up to four bytes the small form."""
    if len(data) <= 4:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(name: str, values, stored="f8", kind="f8", shape=None, order="<", flags=0) -> bytes:
    """Return a variable of a class, whose numbers are stored in another type."""
    shape = (len(values), 1) if shape is None else shape
    body = element(6, struct.pack(order + "II", MX[kind] | flags, 0), order)
    body += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    body += element(1, name.encode(), order)
    body += element(MI[stored], np.asarray(values).astype(order + stored).tobytes(), order)
    return struct.pack(order + "II", 14, len(body)) + body


def mat(variables, compressed: bool = True, order: str = "<") -> bytes:
    """Return a file of variables."""
    text = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Mon Aug  5 10:00:00 2019"
    head = text.ljust(116) + bytes(8) + struct.pack(order + "H", 0x0100)
    head += b"IM" if order == "<" else b"MI"
    for variable in variables:
        if compressed:
            packed = zlib.compress(variable)
            variable = struct.pack(order + "II", 15, len(packed)) + packed
        head += variable
    return head


def asl(rows, compressed: bool = True, order: str = "<") -> bytes:
    """Return rows (t, x, y, p) as ASL-DVS has them."""
    stored = {"ts": "i4", "x": "u1", "y": "u1", "pol": "u1"}
    named = zip(stored, zip(*rows, strict=True), strict=True)
    return mat(
        [matrix(name, values, stored[name], "f8", order=order) for name, values in named],
        compressed,
        order,
    )
