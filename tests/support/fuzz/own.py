"""The files that evreel makes: stores, slices, features, samples, boxes, clocks, tables, manifests.

- Reading ends by itself, in one of evreel's errors or in all that the file says.
- Of an HDF5 file, that is what the undamaged one says: all in it has a checksum. Text tables and
  boxes have none, so other values of the same form may be read (``read``); in a release, the sums
  find them.
- Checking the file ends by itself in a report; what cannot be read is an error in it.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evreel.checks.run import check
from evreel.errors import EvreelError
from support.fuzz.damage import damaged
from support.fuzz.target import hold
from support.own_files import SECTOR, OwnFile, own_files

FOOT_BYTES = 32
"""End of a sealed file: without it, a program of its own looks at the file, which takes time."""
FOOT = 40
"""In one of so many files, the end may be damaged too."""
CHECKED = 20
"""One of so many files is checked too."""


@dataclass(frozen=True)
class File:
    """One of evreel's files, damaged anywhere, or in whole sectors."""

    file: OwnFile
    whole: object

    @property
    def name(self) -> str:
        return self.file.kind

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        content = self.file.content
        kept = content[-FOOT_BYTES:] if self.file.checked and rng.integers(FOOT) else b""
        body = content[: len(content) - len(kept)]
        if rng.integers(2):
            return damaged(rng, body) + kept
        at = int(rng.integers(-(-len(body) // SECTOR))) * SECTOR
        fill = (bytes(SECTOR), b"\xff" * SECTOR, rng.bytes(SECTOR))[int(rng.integers(3))]
        return (body[:at] + fill + body[at + SECTOR :])[: len(body)] + kept

    def outcome(self, content: bytes, folder: Path) -> str:
        path = folder / self.file.name
        path.write_bytes(content)
        try:
            outcome = "whole" if self.file.read(path) == self.whole else "read"
        except EvreelError:
            outcome = "refused"
        hold(outcome != "read" or not self.file.checked, "other values are read")
        if path.suffix in (".h5", ".npy") and zlib.crc32(content) % CHECKED == 0:
            report = check(folder)
            hold(outcome != "refused" or bool(report.errors), "check finds no error")
        path.unlink()
        return outcome


def targets() -> list[File]:
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for file in own_files():
            path = Path(folder) / file.name
            path.write_bytes(file.content)
            made.append(File(file, file.read(path)))
    return made
