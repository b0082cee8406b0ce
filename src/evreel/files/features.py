"""Features files: one representation of one recording, one array per window.

Data set `data` has the shape and the attributes of Metavision's precomputed files, so that their
users find everything; windows, units and every parameter are beside them.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import (
    EvreelError,
    LayoutError,
    ParameterError,
    UsageError,
    did_you_mean,
    foreign,
)
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.extra import extra_of
from evreel.files.filters import ZSTD, decompress_into
from evreel.files.frame_chunks import Chunk, FrameChunks, new_frames
from evreel.files.gzip_chunks import GzipChunks
from evreel.files.samples import add_samples, read_samples
from evreel.geometry import Geometry
from evreel.layout import (
    FEATURE_DATA_ATTRIBUTES,
    FEATURES,
    Compression,
    Filter,
    check_feature_parameters,
)
from evreel.provenance import Provenance, canonical_json, counts_in
from evreel.samples.samples import Samples
from evreel.text import nfc
from evreel.threads import Crew
from evreel.timebase import Int64Array
from evreel.windows import Count, Division, Duration, Ending, Mixed, Number, Windows

Frame = npt.NDArray[Any]

_IDENTITY = ("step", "step_revision", "parameters", "inputs")
_COLUMNS = ("start", "stop", "start_us", "stop_us")
_MODES: Mapping[type[Division], str] = {
    Duration: "delta_t",
    Count: "n_events",
    Mixed: "mixed",
    Number: "number",
    Ending: "ending",
}


class SampleWindows(NamedTuple):
    """Samples of a recording, all label names, and which windows belong to each.

    Parameters
    ----------
    samples : n samples.
    labels : label names in the order of their numbers.
    bounds : (n + 1,) int64: windows ``[bounds[k], bounds[k + 1])`` belong to sample k.
    """

    samples: Samples
    labels: tuple[str, ...]
    bounds: Int64Array


class FeaturesWriter:
    """Write a features file window by window, in memory bounded by a few frames.

    Parameters
    ----------
    file
        A new file, made by `evreel.files.hdf5.create` with the layout `FEATURES`.
    windows
        The windows that will come, one `write` each.
    division
        What cut the recording into them.
    sensor
        (height, width) of the events.
    t_offset
        First timestamp of the recording on the camera's own clock, µs.
    shape
        (C, H, W) of a frame.
    dtype, name, parameters, revision, reference, unit
        What the representation says of itself (`Representation.description`).
    geometry
        Which pixels of the sensor the frames are of; None for all of them as they are.
    stored
        Attributes of `data` on how values are stored, if not as they are computed
        (`FEATURE_STORED_ATTRIBUTES`).
    samples
        Which windows belong to which sample, if the recording is cut.
    compression
        ``zstd``, or for readers without HDF5's plugins ``gzip`` or ``none``; the columns beside the
        frames need no plugin then, either.
    threads, crew
        Number of compressing threads, and whose these are, as `FrameChunks` takes them.

    Raises
    ------
    ParameterError
        If the windows are longer than `delta_t` can hold, or a parameter has the name of
        another attribute.
    """

    def __init__(
        self,
        file: h5py.File,
        windows: Windows,
        division: Division,
        sensor: Sensor,
        t_offset: int,
        *,
        shape: tuple[int, int, int],
        dtype: npt.DTypeLike,
        name: str,
        parameters: Mapping[str, Any],
        revision: int,
        reference: str,
        unit: str,
        geometry: Geometry | None = None,
        stored: Mapping[str, Any] = MappingProxyType({}),
        samples: SampleWindows | None = None,
        compression: Compression = "zstd",
        threads: int = 2,
        crew: Crew | None = None,
    ) -> None:
        attributes = {
            "events_to_tensor": np.bytes_(name.encode()),
            "delta_t": _delta_t(division),
            "n_events": division.count if isinstance(division, (Count, Mixed)) else 0,
            "mode": _MODES[type(division)],
            "event_input_width": sensor.width,
            "event_input_height": sensor.height,
            "shape": np.array(shape, dtype=np.int64),
            **stored,
        }
        check_feature_parameters(name, parameters)
        own = {key: _attribute_of(value) for key, value in parameters.items()}
        data = new_frames(file, "data", (len(windows), *shape), dtype, compression)
        plain: Filter | None = None if compression == "zstd" else "fletcher32"
        hdf5.set_attributes(data, attributes | own)
        for column in _COLUMNS:
            hdf5.add(file, FEATURES[f"windows/{column}"], getattr(windows, column), filter_=plain)
        if isinstance(division, Count):
            hdf5.add(file, FEATURES["last_timestamps"], windows.stop_us - 1, filter_=plain)
        hdf5.add(file, FEATURES["t_offset"], t_offset)
        if samples is not None:
            add_samples(file, samples.samples, samples.labels, plain)
            for edge, rows in (("start", samples.bounds[:-1]), ("stop", samples.bounds[1:])):
                hdf5.add(file, FEATURES[f"samples/window_{edge}"], rows, filter_=plain)
        hdf5.set_attributes(
            file,
            {
                "representation": name,
                "representation_parameters": canonical_json(parameters),
                "representation_revision": revision,
                "reference": reference,
                "unit": unit,
                **({} if geometry is None else {"geometry": canonical_json(geometry.plain())}),
            },
        )
        self._frames = FrameChunks(data, compression, threads, crew)
        self.compressed = self._frames.compressed

    def write(self, frame: Frame | Chunk) -> None:
        """Add the next window's frame, (C, H, W), or what `compressed` has made of it.

        The array may be used again at once.

        Raises
        ------
        LayoutError
            If the frame has another shape or type, or there are no more windows.
        """
        self._frames.write(frame)

    def copy(self, frames: h5py.Dataset) -> None:
        """Add the frames of the next windows, as `FrameChunks.copy` does."""
        self._frames.copy(frames)

    def finish(self) -> None:
        """Write what is pending. Call once, after the last window.

        Raises
        ------
        LayoutError
            If windows are missing.
        """
        self._frames.finish()


class FeaturesFile(hdf5.Opened):
    """A features file, opened for reading: a sequence of frames.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    shape : (N, C, H, W).
    dtype : of a stored value.
    sources : digests of what defines the representation, if that is a user's own.
    scale : what one step of a stored value stands for; None where values are stored as they are.
    representation, parameters, revision, reference, unit : what the frames are; name and
        parameters are what `evreel.representations.create` takes.
    windows : row k belongs to frame k.
    mode, delta_t_us, n_events : how windows were cut, as in `FEATURE_DATA_ATTRIBUTES`.
    sensor : (height, width) of the events.
    t_offset : first timestamp of the recording on the camera's own clock, µs.
    repairs : what was changed when it was made: name → count.
    provenance : its root attributes by name: step, parameters and inputs as JSON, and the others.
    geometry : which pixels of the sensor the frames are of; boxes beside the file, in the order of
        its windows, are in the coordinates of the frames.
    samples : which frames belong to which sample, None if the recording is not cut.
    extra : name → values that were added per window (`evreel.steps.enrich`), read when asked for.

    Raises
    ------
    LayoutError
        If the file is not a features file, or is incomplete.
    """

    def __init__(self, path: str | Path) -> None:
        self._row_of_sample: dict[str, int] | None = None
        with self._opening(path, "its head"):
            hdf5.check_layout(self._file, self.path, FEATURES)
            self._data = self._file["data"]
            self._read_attributes()
            self._check_chunks()
            self._is_zstd = _is_zstd_by_window(self._data)
            by_window = self._data.chunks == (1, *self.shape[1:])
            self._gzip = GzipChunks.of(self._data) if by_window else None
            self.windows = self._read_windows()
            self.samples = self._read_samples()
            self.extra = extra_of(self._file, self.path)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, k: int) -> Frame:
        """Return the frame of window k, (C, H, W), an array of its own.

        Raises
        ------
        IndexError
            If there is no window k.
        LayoutError
            If its bytes are damaged.
        """
        k = self._checked(k)
        frame = np.empty(self.shape[1:], dtype=self.dtype)
        self._fill(k, frame)
        return frame

    def _checked(self, k: int) -> int:
        """Return the number of a window that there is."""
        self.check_open()
        k = operator.index(k)
        if not 0 <= k < len(self):
            raise IndexError(f"{self.path.name}: no window {k}; there are {len(self)}")
        return k

    def values(self, k: int) -> npt.NDArray[np.float32]:
        """Return the frame of window k as the values that it stands for, (C, H, W) float32.

        Raises
        ------
        IndexError, LayoutError
            As `read`.
        """
        values = np.empty(self.shape[1:], dtype=np.float32)
        self.read_into(k, values)
        return values

    def read_into(self, k: int, values: npt.NDArray[np.float32]) -> None:
        """Fill an array, (C, H, W) float32, with the values that the frame of window k stands for.

        Raises
        ------
        IndexError, LayoutError
            As `read`.
        """
        if self.dtype == values.dtype and values.flags.c_contiguous:
            self._fill(self._checked(k), values)
            return
        frame = self.read(k)
        if self.scale is None:
            values[...] = frame
        else:
            steps = (np.arange(256) * self.scale).astype(np.float32)
            np.take(steps, frame, out=values, mode="clip")  # "raise" would go through a copy

    def __getitem__(self, rows: int | slice) -> Frame:
        """Return the frame of one window, (C, H, W), or the frames of a slice, (n, C, H, W)."""
        if not isinstance(rows, slice):
            k = operator.index(rows)
            return self.read(k + len(self) if k < 0 else k)
        wanted = range(*rows.indices(len(self)))
        made = np.empty((len(wanted), *self.shape[1:]), dtype=self.dtype)
        for row, k in enumerate(wanted):
            self._fill(k, made[row])
        return made

    def rows_of(self, sample: str) -> slice:
        """Return the windows of a sample, by its id, as an index of the frames.

        Raises
        ------
        UsageError
            If the file has no such sample.
        """
        if self._row_of_sample is None:
            ids = () if self.samples is None else self.samples.samples.id
            self._row_of_sample = {nfc(id_): row for row, id_ in enumerate(ids)}
        row = self._row_of_sample.get(nfc(sample))
        if row is None or self.samples is None:
            guess = did_you_mean(sample, self._row_of_sample)
            there = f"there are {len(self._row_of_sample)} others"
            raise UsageError(f"has no sample {sample!r}; {guess or there}", path=self.path)
        start, stop = self.samples.bounds[row : row + 2].tolist()
        return slice(start, stop)

    def _fill(self, k: int, frame: Frame) -> None:
        """Fill a contiguous array with the frame of window k."""
        with foreign(
            lambda why: LayoutError(
                f"cannot be decompressed: {why}",
                path=self.path,
                place=f"window {k}",
                hint=hdf5.REBUILD,
            )
        ):
            if self._gzip is not None:
                self._gzip.read((k, 0, 0, 0)).fill(frame.reshape(-1))
                return
            if not self._is_zstd:
                frame[...] = self._data[k]
                return
            unfiltered, chunk = self._data.id.read_direct_chunk((k, 0, 0, 0))
            if unfiltered:
                frame[...] = np.frombuffer(chunk, dtype=self.dtype).reshape(frame.shape)
            else:
                decompress_into(chunk, frame.reshape(-1).view(np.uint8))

    def _read_attributes(self) -> None:
        root, data = self._file.attrs, self._data.attrs
        self.provenance: Mapping[str, Any] = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in root.items()
        }
        self.repairs: Mapping[str, int] = counts_in(root.get("repairs"))
        for name in FEATURE_DATA_ATTRIBUTES:
            if name not in data:
                raise LayoutError(f"attribute {name} is missing", path=self.path, place="data")
        self.shape: tuple[int, int, int, int] = self._data.shape
        self.dtype: np.dtype[Any] = self._data.dtype
        self.t_offset = int(self._file["t_offset"][()])
        self.representation = str(root["representation"])
        self.reference = str(root["reference"])
        self.unit = str(root["unit"])
        self.mode = str(data["mode"])
        try:
            self.parameters: dict[str, Any] = json.loads(root["representation_parameters"])
            self.revision = int(root["representation_revision"])
            parameters = json.loads(root.get("parameters", "{}"))
            self.sources: dict[str, str] = parameters.get("sources", {})
            self.delta_t_us = int(data["delta_t"])
            self.n_events = int(data["n_events"])
            self.geometry = Geometry(**json.loads(root.get("geometry", "{}")))
            self.scale = float(data["store_scale"]) if "store_scale" in data else None
            height, width = int(data["event_input_height"]), int(data["event_input_width"])
            said = tuple(int(size) for size in data["shape"])
        except (TypeError, ValueError, ParameterError) as error:
            raise LayoutError(f"its attributes cannot be read: {error}", path=self.path) from error
        self.sensor = Sensor.checked(height, width)
        if self.scale is not None and (self.dtype != np.uint8 or not 0 < self.scale < math.inf):
            raise LayoutError(
                f"its store_scale {self.scale} does not go with values of {self.dtype}",
                path=self.path,
            )
        if said != self.shape[1:]:
            raise LayoutError(
                f"data has frames of {self.shape[1:]}, but its attribute shape says {said}",
                path=self.path,
            )

    def _read_windows(self) -> Windows:
        columns = {name: self._file[f"windows/{name}"][:] for name in _COLUMNS}
        try:
            return Windows(**columns)
        except ParameterError as error:
            raise LayoutError(str(error), path=self.path, place="windows") from error

    def _read_samples(self) -> SampleWindows | None:
        if "samples" not in self._file:
            self.windows.check_order()
            return None
        samples, _, labels = read_samples(self._file)
        start, stop = (self._file[f"samples/window_{name}"][:] for name in ("start", "stop"))
        bounds = np.concatenate([[0], stop]).astype(np.int64)
        if (start != bounds[:-1]).any() or (start > stop).any() or bounds[-1] != len(self):
            raise LayoutError("its samples are not end to end", path=self.path, place="samples")
        return SampleWindows(samples, labels, bounds)

    def _check_chunks(self) -> None:
        """Raise if chunks are missing: HDF5 would read them as zeros."""
        if self._data.chunks is None:
            return
        expected = math.prod(
            -(-size // chunk) for size, chunk in zip(self.shape, self._data.chunks, strict=True)
        )
        stored = self._data.id.get_num_chunks()
        if stored != expected:
            raise LayoutError(
                f"data has {stored} of {expected} chunks",
                path=self.path,
                hint="The step that wrote it did not finish: run it again.",
            )


def repairs_if_made(path: Path, made: Provenance, revision: int) -> dict[str, int] | None:
    """Return what was changed when a file was made, None if it is not the one that would be made.

    Parameters
    ----------
    path
        The file, which need not be there, nor whole.
    made
        Step, parameters and inputs that it must have.
    revision
        That of its representation.
    """
    wanted = made.attributes()
    try:
        with FeaturesFile(path) as file:
            has = file.provenance
            same = all(has.get(name) == wanted[name] for name in _IDENTITY)
            return dict(file.repairs) if same and file.revision == revision else None
    except (EvreelError, OSError):
        return None


def _is_zstd_by_window(data: h5py.Dataset) -> bool:
    """Return whether chunks have the form of `FeaturesWriter`, to be decompressed here.

    If a chunk is damaged, HDF5's Zstd filter raises no error and returns leftover memory.
    """
    filters = data.id.get_create_plist()
    return bool(
        data.chunks == (1, *data.shape[1:])
        and filters.get_nfilters() == 1
        and filters.get_filter(0)[0] == ZSTD
    )


def _delta_t(division: Division) -> np.uint32:
    """Return Metavision's `delta_t`: the duration of windows, 0 if none is asked for."""
    if not isinstance(division, (Duration, Mixed, Ending)):
        return np.uint32(0)
    most = int(np.iinfo(np.uint32).max)
    if division.window_us > most:
        raise ParameterError(
            f"window_us={division.window_us} is more than {most}, the largest delta_t of a "
            "features file"
        )
    return np.uint32(division.window_us)


def _attribute_of(value: Any) -> Any:
    """Return a parameter in a form for HDF5: numbers and words as they are, others as JSON."""
    return value if isinstance(value, (bool, int, float, str)) else canonical_json(value)
