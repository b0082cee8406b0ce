"""Features files with boxes beside them, of frames whose values say where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.boxes import write_boxes
from evreel.files.features import FeaturesWriter, SampleWindows
from evreel.layout import BOX_DTYPE, FEATURES
from evreel.provenance import Provenance
from evreel.windows import Duration, Windows

SENSOR = Sensor(2, 3)
WINDOW_US = 10


def numbered(number: int, k: int) -> np.ndarray:
    """Return frame k of recording `number`: its first values are both numbers."""
    frame = np.zeros((2, *SENSOR), dtype=np.float32)
    frame[0, 0, :2] = number, k
    return frame


def boxes_at(times, track_id=0) -> np.ndarray:
    """Return boxes of one track at some times, µs."""
    boxes = np.zeros(len(times), dtype=BOX_DTYPE)
    boxes["t"], boxes["w"], boxes["h"], boxes["track_id"] = times, 1, 1, track_id
    return boxes


def numbered_file(
    folder: Path,
    number: int,
    n: int,
    times=None,
    samples: SampleWindows | None = None,
    stride_us: int = WINDOW_US,
) -> Path:
    """Write a features file of n numbered frames, and boxes at times beside it."""
    path = folder / f"r{number:02}.h5"
    start = np.arange(n, dtype=np.int64) * stride_us
    rows = np.zeros(n, dtype=np.int64)
    windows = Windows(start, start + WINDOW_US, rows, rows)
    with hdf5.create(path, FEATURES, Provenance("features", {"number": number})) as file:
        writer = FeaturesWriter(
            *(file, windows, Duration(WINDOW_US), SENSOR, 0),
            shape=(2, *SENSOR),
            dtype="float32",
            name="numbered",
            parameters={},
            revision=1,
            reference="",
            unit="1",
            samples=samples,
        )
        for k in range(n):
            writer.write(numbered(number, k))
        writer.finish()
    if times is not None:
        write_boxes(path.with_name(f"{path.stem}_bbox.npy"), boxes_at(times, number))
    return path


def same(one, other) -> None:
    """Hold that two batches are equal."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name == "labels":
            assert all(
                np.array_equal(a, b)
                for x, y in zip(value, other[name], strict=True)
                for a, b in zip(x, y, strict=True)
            )
        elif name == "video_infos":
            assert value == other[name]
        else:
            np.testing.assert_array_equal(value, other[name])
