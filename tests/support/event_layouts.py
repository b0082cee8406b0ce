"""Events of a recording, written in the layouts of one file and read again, also by others."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np

from evreel import steps
from evreel.events import Events, Sensor
from evreel.recordings import open_recording
from recordings.rows import rows
from support import random_events, run_oracle

SUFFIX = {"dsec": ".h5", "metavision": ".hdf5", "aedat4": ".aedat4", "csv": ".csv", "npz": ".npz"}
T_OFFSET = 1_700_000_000_000_000


def exported(source: Path, folder: Path, layout: str, **options) -> Path:
    path = folder / f"out{SUFFIX[layout]}"
    steps.export(source, path, layout, **options)
    return path


def lines(path: Path) -> list[tuple[int, int, int, int]]:
    """Return the rows of a text, read by Python's csv."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as file:
        read = csv.reader(file)
        assert next(read) == ["t", "x", "y", "p"]
        return [tuple(map(int, line)) for line in read]


def read_back(path: Path) -> list[tuple[int, int, int, int]]:
    if path.suffix in (".csv", ".gz"):
        return lines(path)
    with open_recording(path) as recording:
        return rows(recording)


def by(oracle: str, path: Path, out: Path) -> dict[str, np.ndarray]:
    run_oracle(f"{oracle}_read.py", path, out, timeout=60)
    with np.load(out) as columns:
        return dict(columns)


def assert_as(found, events: Events, t_offset: int) -> None:
    np.testing.assert_array_equal(found["t"], events.t + t_offset)
    for name in "xyp":
        np.testing.assert_array_equal(found[name], getattr(events, name))


class Endless:
    """A recording of as many events as wanted, in small batches that are made as they are read."""

    format, t_offset, header, n_expected = "made up", 5, "", 0
    sensor = Sensor(48, 64)
    path = Path("endless")

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self._one = random_events(5_000, self.sensor, 5_000)

    def __iter__(self):
        return self.batches()

    def batches(self, start_us=None, stop_us=None, *, side=True):
        one = self._one
        for k in range(self._batches):
            yield Events.trusted(one.t + 5_000 * k, one.x, one.y, one.p, self.sensor)
