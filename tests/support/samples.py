"""Recordings that are cut into samples, as plain files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evreel.events import Events, Sensor
from evreel.files import hdf5
from evreel.files.samples import write_samples
from evreel.layout import SAMPLES
from evreel.provenance import Provenance
from evreel.samples.samples import Samples
from support.stores import store_of

CLASSES = ("clap", "wave", "roll")


def sample_files(
    folder: Path,
    parts: Sequence[Events],
    labels: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    name: str = "park",
    gap_us: int = 1000,
    classes: Sequence[str] = CLASSES,
) -> tuple[Path, Path]:
    """Write the events of samples end to end in one store, and the samples file of it.

    Sample k is called ``s<k>``; it starts where the one before has ended, and `gap_us` later. Its
    events have the times of `parts`, from its start on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n = len(parts)
    length = [max(part.t_stop_us, 1) for part in parts]
    start_us = np.concatenate([[0], np.cumsum([each + gap_us for each in length])[:-1]])
    stop_us = start_us + length
    rows = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    columns = [np.concatenate([getattr(part, c) for part in parts]) for c in "xyp"]
    t = np.concatenate([part.t + at for part, at in zip(parts, start_us, strict=True)])
    events = Events(t, *columns, parts[0].sensor)
    store = store_of(folder / f"{name}.h5", events)
    samples = Samples(
        tuple(f"s{k}" for k in range(n)),
        tuple(labels or [classes[k % len(classes)] for k in range(n)]),
        ("",) * n,
        start_us,
        stop_us,
        np.zeros(n, np.int64),
    )
    path = folder / f"{name}_samples.h5"
    with hdf5.create(path, SAMPLES, Provenance("samples", {})) as file:
        write_samples(
            file,
            samples,
            classes,
            splits or ("train",) * n,
            rows[:-1],
            rows[1:],
            recording=name,
            t_stop_us=events.t_stop_us,
        )
    return store, path


def events_of(t: Sequence[int], sensor: tuple[int, int] = (10, 14), seed: int = 0) -> Events:
    """Return events at given times, at random pixels."""
    rng = np.random.default_rng(seed)
    n = len(t)
    height, width = sensor
    x, y, p = (rng.integers(0, high, n) for high in (width, height, 2))
    return Events(np.array(t, np.int64), x, y, p, Sensor(height, width))
