"""Features files that Metavision's own tools have made: opened as far as their attributes say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import EvreelError, LayoutError
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.filters import check_filters
from evreel.geometry import to_size
from evreel.windows import Windows

_NAME = "events_to_tensor"
_KNOWN = (
    *(_NAME, "delta_t", "event_input_width", "event_input_height", "shape", "mode", "n_events"),
    "store_as_uint8",
)
"""Attributes of `data` that are not parameters of the representation."""
_HINT = "Make it again, with evreel.compat.metavision.generate_hdf5."


def is_metavision_file(path: Path) -> bool:
    """Tell whether a file is one of Metavision's features files, and not of evreel's."""
    try:
        with hdf5.open_hdf5(path) as file, hdf5.reading(path, "its head"):
            data = file.get("data")
            is_data = isinstance(data, h5py.Dataset) and _NAME in data.attrs
            return is_data and "layout" not in file.attrs
    except EvreelError:
        return False


def is_features_file(path: Path) -> bool:
    """Tell whether a file holds frames, (N, C, H, W), whoever has made it."""
    try:
        with hdf5.open_hdf5(path) as file, hdf5.reading(path, "its head"):
            data = file.get("data")
            return isinstance(data, h5py.Dataset) and data.ndim == 4
    except EvreelError:
        return False


class MetavisionFile(hdf5.Opened):
    """A features file of Metavision's, opened for reading.

    It has what loaders ask of `evreel.files.features.FeaturesFile`. Windows follow each other from
    0 on, of `delta_t` each, or, in mode ``n_events``, up to each of `last_timestamps`. Boxes beside
    it are in pixels of the sensor, whatever the size of frames.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    LayoutError
        If an attribute that is needed is missing or not valid.
    """

    samples = None
    t_offset = 0

    def __init__(self, path: str | Path) -> None:
        with self._opening(path, "its head"):
            self._data = self._file["data"]
            check_filters(self._data, self.path)
            if len(self._data.shape) != 4:
                raise LayoutError(
                    f"data has {len(self._data.shape)} dimensions; (N, C, H, W) are expected",
                    path=self.path,
                )
            self.shape: tuple[int, int, int, int] = self._data.shape
            attributes = self._data.attrs
            name = attributes[_NAME]
            self.representation = name.decode() if isinstance(name, bytes) else str(name)
            self.parameters: Mapping[str, Any] = {
                key: value.item() if isinstance(value, np.generic) else value
                for key, value in attributes.items()
                if key not in _KNOWN
            }
            self.sensor = Sensor.checked(
                *(self._number(f"event_input_{side}") for side in ("height", "width"))
            )
            self.delta_t_us = 0
            self.windows = self._read_windows()
            self.geometry = to_size(self.sensor, Sensor(*self.shape[2:]))
            self._scale = 255 if attributes.get("store_as_uint8", False) else None
        self.extra: Mapping[str, Any] = MappingProxyType({})

    def __len__(self) -> int:
        return self.shape[0]

    def read_into(self, k: int, values: npt.NDArray[np.float32]) -> None:
        """Fill an array, (C, H, W) float32, with the values of the frame of window k.

        Raises
        ------
        LayoutError
            If its bytes are damaged.
        """
        self.check_open()
        with hdf5.reading(self.path, f"window {k}"):
            frame = self._data[k]
        if self._scale is None:
            values[...] = frame
        else:
            np.divide(frame, self._scale, out=values, casting="same_kind")

    def _number(self, name: str) -> int:
        if name not in self._data.attrs:
            raise LayoutError(
                f"attribute {name} is missing", path=self.path, place="data", hint=_HINT
            )
        return int(self._data.attrs[name])

    def _read_windows(self) -> Windows:
        n, mode = len(self), self._data.attrs.get("mode", "delta_t")
        if (mode.decode() if isinstance(mode, bytes) else mode) != "n_events":
            self.delta_t_us = self._number("delta_t")
            if self.delta_t_us < 1:
                raise LayoutError(
                    f"its delta_t is {self.delta_t_us} µs", path=self.path, place="data", hint=_HINT
                )
            edges = np.arange(n + 1, dtype=np.int64) * self.delta_t_us
        else:
            last = self._file["last_timestamps"][:]
            if last.shape != (n,) or (np.diff(last, prepend=0) < 0).any():
                raise LayoutError(
                    f"are not {n} times in order", path=self.path, place="last_timestamps"
                )
            edges = np.append(0, last.astype(np.int64) + 1)
        rows = np.zeros(n, dtype=np.int64)
        return Windows(edges[:-1], edges[1:], rows, rows)
