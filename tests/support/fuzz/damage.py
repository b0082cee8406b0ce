"""Whole files, and how they are damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evreel.events import Sensor
from evreel.recordings import open_recording
from evreel.recordings.open import Reading, Recording

TELLING = [
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 255, 256),
    *(2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1),
]
"""Numbers at which fields, signs and sizes end."""


@dataclass(frozen=True)
class Original:
    """A small whole file.

    Parameters
    ----------
    start : the byte where its data begin.
    name : its file's name, by which some formats are told.
    sensor : its size, where the format does not state it.
    has_bytes : whether errors say a byte of the file; or else another place in it.
    """

    content: bytes
    start: int = 0
    name: str = "damaged"
    sensor: Sensor | None = None
    has_bytes: bool = True

    def damaged(self, rng: np.random.Generator, turn: int) -> bytes:
        """Return it with other data, damaged anywhere, or most often with damaged data."""
        head, data = self.content[: self.start], self.content[self.start :]
        if turn % 7 == 0:
            return head + rng.bytes(int(rng.integers(0, 600)))
        return damaged(rng, self.content) if turn % 7 == 1 else head + damaged(rng, data)

    def opened(self, path: Path, reading: Reading) -> Recording:
        """Open a file that it was made to."""
        return open_recording(path, sensor=self.sensor, reading=reading)


def damaged(rng: np.random.Generator, data: bytes) -> bytes:
    """Return data with a few bits flipped, numbers replaced, or parts cut, doubled or mixed."""
    new = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(new) + 1))
        other = int(rng.integers(0, len(new) + 1))
        length = int(rng.integers(1, 40))
        kind = int(rng.integers(0, 8))
        if kind <= 1 and at < len(new):
            new[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            new[at : at + length] = rng.bytes(length)
        elif kind == 3:
            size = int(rng.choice([1, 2, 4, 8]))
            number = int(rng.choice(TELLING)) & (1 << 8 * size) - 1
            new[at - at % size : at - at % size + size] = number.to_bytes(size, "little")
        elif kind == 4:
            del new[at : at + length]
        elif kind == 5:
            new[at:at] = new[other : other + length]
        elif kind == 6:
            new[at : at + length] = new[other : other + length]
        else:
            del new[at:]
    return bytes(new)
