"""A small file of each kind that evreel makes, and all that its reader says of it."""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from evreel.errors import EvreelError
from evreel.files.boxes import read_boxes
from evreel.files.clock import read_clock, write_clock
from evreel.files.events_store import EventsStore
from evreel.files.features import FeaturesFile
from evreel.files.samples import SamplesFile
from evreel.files.slices import SlicesFile
from evreel.release.manifest import MANIFEST, parse_manifest, parse_sums
from evreel.samples.tables import read_cut, read_samples_table, write_cut
from evreel.timebase import FrameClock
from evreel.video.picture import Picture
from support.releases import SAMPLES_OF_TOWN, SENSOR, labelled_release

SECTOR = 512
ALL_BELOW = 8 * SECTOR
"""Every sector up to here is tried, and one in four beyond."""


def plain(value: object) -> object:
    """Return a value that compares by content, arrays and data classes included."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        return [(key, plain(item)) for key, item in value.items()]
    if isinstance(value, (tuple, list, Iterator)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, type(None))) else vars(value)


def said_by(file: EventsStore | FeaturesFile | SamplesFile | SlicesFile) -> object:
    """Return everything that an open file says."""
    with file:
        public = {
            name: value
            for name, value in vars(file).items()
            if not name.startswith("_") and name not in ("path", "repairs", "dtype")
        }
        more: list[object] = []
        if isinstance(file, EventsStore):
            more = [*file.batches(), file.members]
        elif isinstance(file, FeaturesFile):
            more = [file[:], file.dtype.str]
        elif isinstance(file, SlicesFile):
            more = [*file.read(), file.overlaps, file.shapes()]
        return plain([public, more])


def hdf5_reader(kind: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: said_by(kind(path))


@dataclasses.dataclass(frozen=True)
class OwnFile:
    """A file, as bytes, and what reads all of it.

    `checked` says whether any damage is seen; else other values of the same form may be read.
    """

    kind: str
    name: str
    content: bytes
    read: Callable[[Path], object]
    checked: bool = False


@functools.cache
def own_files() -> list[OwnFile]:
    """Return a file of each kind; the HDF5 files come first."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        release = labelled_release(folder)
        readers = {
            "store": ("events/park.h5", EventsStore),
            "slices": ("slices/park.h5", SlicesFile),
            "features": ("counts/park.h5", FeaturesFile),
            "samples": ("samples/town.h5", SamplesFile),
            "features of samples": ("counts/town.h5", FeaturesFile),
        }
        built = ["park", "park_slices", "park_counts", "town_samples", "town_counts"]
        files = []
        for (kind, (path, reader)), name in zip(readers.items(), built, strict=True):
            places = folder / "built" / f"{name}.h5", next(release.glob(f"*/{path}"))
            for place, where in zip(places, ("", "released "), strict=True):
                content = place.read_bytes()
                files.append(OwnFile(where + kind, "own.h5", content, hdf5_reader(reader), True))
        clock = FrameClock(np.arange(0, 50, 10), np.arange(10, 60, 10), "events")
        write_clock(folder / "clock.tsv", clock, Picture(SENSOR, 2, 1, 1), {"window_us": "10"})
        write_cut(folder / "cut.tsv", SAMPLES_OF_TOWN)
        others = {
            "boxes": (folder / "built/park_bbox.npy", "own_bbox.npy", read_boxes),
            "clock": (folder / "clock.tsv", "own.clock.tsv", read_clock),
            "cut": (folder / "cut.tsv", "own.cut.tsv", read_cut),
            "samples table": (folder / "built/samples.tsv", "own.samples.tsv", read_samples_table),
            "manifest": (
                release / MANIFEST,
                MANIFEST,
                lambda path: parse_manifest(path.read_bytes()),
            ),
            "sums": (
                release / "SHA256SUMS",
                "SHA256SUMS",
                lambda path: parse_sums(path.read_bytes(), "sha256"),
            ),
        }
        for kind, (place, name, read) in others.items():
            files.append(
                OwnFile(kind, name, place.read_bytes(), lambda path, read=read: plain(read(path)))
            )
        return files


def chunks_of(path: Path) -> list[tuple[int, int]]:
    """Return the (first, one past the last) bytes of every chunk of every data set."""
    spans = []

    def visit(_, node):
        if isinstance(node, h5py.Dataset) and node.chunks:
            for k in range(node.id.get_num_chunks()):
                chunk = node.id.get_chunk_info(k)
                spans.append((chunk.byte_offset, chunk.byte_offset + chunk.size))

    with h5py.File(path) as file:
        file.visititems(visit)
    return spans


def lost_sectors(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where a sector is, and a file without it: as zeros, and as ones."""
    for at in range(0, len(content), SECTOR):
        for fill in (b"\0", b"\xff"):
            lost = content[:at] + fill * SECTOR + content[at + SECTOR :]
            yield at, lost[: len(content)]


def read_all_with_lost_sectors(folder: str) -> None:
    """Print how reading each HDF5 file ends, for each sector that has some of its structure."""
    for file in own_files():
        if not file.name.endswith(".h5"):
            continue
        path = Path(folder) / file.name
        path.write_bytes(file.content)
        whole, chunks = file.read(path), chunks_of(path)
        for at, content in lost_sectors(file.content):
            of_values = any(first <= at and at + SECTOR <= stop for first, stop in chunks)
            if of_values or (at >= ALL_BELOW and at // SECTOR % 4):
                continue
            path.write_bytes(content)
            try:
                ending = "whole" if file.read(path) == whole else "OTHER VALUES"
            except EvreelError as error:
                ending = str(error)
            sys.stdout.write(f"{file.kind}: {at}: {ending}\n")
