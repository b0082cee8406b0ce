"""The tree of files that RVT's preprocessing makes, and `evreel export --layout rvt`, as sources.

``<split>/<sequence>/labels_v2/labels.npz`` has the boxes, frame by frame, and
``<split>/<sequence>/event_representations_v2/<frames>`` has a frame per window
(``event_representations.h5``, or ``event_representations_ds2_nearest.h5`` of half the size), the
windows' ends, and which window each labelled frame is. A chunk of a file is one frame; its bytes
are read and decompressed here, past HDF5's filters and its lock, so that threads do not wait for
each other.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.boxes import Boxes
from evreel.errors import AnnotationError, EvreelError, LayoutError, UsageError, foreign
from evreel.events import Sensor
from evreel.files import hdf5
from evreel.files.boxes import as_boxes
from evreel.loaders.sources import Frames, Metadata, Source, segments_of
from evreel.npy import whole_numbers
from evreel.recordings.hdf5.chunks import FILTERS, decompress_into
from evreel.representations import Frame
from evreel.samples.splits import SPLITS
from evreel.system import CLOSED_IN_OTHERS, read_at
from evreel.timebase import Int64Array
from evreel.windows import Windows

_FRAMES, _LABELS = "event_representations_v2", "labels_v2"
_FULL, _HALF = "event_representations.h5", "event_representations_ds2_nearest.h5"
_AGAIN = "Run the preprocessing of this sequence again."


def is_rvt_tree(path: Path) -> bool:
    """Tell whether a folder is such a tree, or the folder of one of its splits."""
    return next(_sequences(path, None), None) is not None


def rvt_sources(
    tree: str | Path,
    split: str | None = None,
    *,
    feature: str | None = None,
    delta_t_us: int | None = None,
) -> list[RvtSource]:
    """Return the sequences of a tree in the order of their names, split by split.

    Parameters
    ----------
    tree
        The folder that has ``train``, ``val`` and ``test``, or one of these.
    split
        Sequences of which split; None for all.
    feature
        Name of the folder of frames, such as ``stacked_histogram_dt=50_nbins=10``; None if each
        sequence has but one.
    delta_t_us
        Duration that windows must have, where the folder's name says it; None for any.

    Raises
    ------
    UsageError
        If there is no sequence, or no such folder, or windows are of another duration.
    """
    tree = Path(tree).absolute()
    found = [
        RvtSource(folder.name, folder, feature or _only_frames(folder))
        for folder in _sequences(tree, split)
    ]
    if not found:
        raise UsageError(
            "has no sequence of RVT's layout" + (f" in split {split!r}" if split else ""),
            path=tree,
            hint=f"Expected is <split>/<sequence>/{_FRAMES}.",
        )
    for source in found:
        duration_us = _duration_of(source.feature)
        if duration_us and delta_t_us not in (None, duration_us):
            raise UsageError(
                f"its windows are of {duration_us} µs; {delta_t_us} µs are asked for",
                path=source.path / _FRAMES / source.feature,
                hint=f"Ask for delta_t={duration_us}, or leave it out.",
            )
    return found


def _sequences(tree: Path, split: str | None) -> Iterator[Path]:
    """Yield the folders of sequences; files beside them, such as records, are none."""
    below = [tree / name for name in SPLITS if split in (None, name)]
    if split in (None, tree.name):
        below.append(tree)
    for folder in below:
        if folder.is_dir():
            for one in sorted(folder.iterdir()):
                if (one / _FRAMES).is_dir() or (one / _LABELS).is_dir():
                    yield one


def _only_frames(sequence: Path) -> str:
    folder = sequence / _FRAMES
    there = sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    if len(there) > 1:
        raise UsageError(
            f"which of its frames? There are {', '.join(there)}",
            path=folder,
            hint="Give feature=, the name of the folder.",
        )
    return there[0] if there else ""  # which is an error when it is opened


@dataclass(frozen=True)
class RvtSource(Source):
    """A sequence of RVT's tree.

    Parameters
    ----------
    name
        Of the sequence.
    path
        Its folder.
    feature
        Name of its folder of frames.
    """

    name: str
    path: Path
    feature: str

    @property
    def identity(self) -> str:
        """As `Source` has it."""
        return f"{self.name} {self.feature}"

    def open(self) -> RvtFrames:
        """Read labels and windows; the file of frames is opened when it is needed."""
        return RvtFrames(self)


class RvtFrames(Frames):
    """The frames of a sequence of RVT's tree.

    Frame k is labelled if RVT's preprocessing made a labelled frame of it, also if none of its
    boxes is left at half the size. Boxes are in pixels of the frames: those of the files are in
    pixels of the sensor. They are halved, and cut at the last pixel, as RVT does it.
    """

    def __init__(self, source: RvtSource) -> None:
        folder = source.path / _FRAMES / source.feature
        self._name, self._path = source.name, _file_of(folder)
        self._is_half = self._path.name == _HALF
        ends = _whole_numbers(folder / "timestamps_us.npy")
        labelled = _whole_numbers(folder / "objframe_idx_2_repr_idx.npy")
        n = len(ends)
        if (np.diff(ends) < 0).any():
            raise LayoutError(
                "its windows are not in the order of time",
                path=folder / "timestamps_us.npy",
                hint=_AGAIN,
            )
        if len(labelled) and not (np.diff(labelled, prepend=-1, append=n) > 0).all():
            raise LayoutError(
                f"its labelled frames are not different ones of {n} windows in order",
                path=folder / "objframe_idx_2_repr_idx.npy",
                hint=_AGAIN,
            )
        self._is_labelled = np.zeros(n, dtype=bool)
        self._is_labelled[labelled] = True
        boxes, first = _boxes_of(source.path / _LABELS / "labels.npz", len(labelled))
        of_window = np.zeros(n, dtype=np.int64)
        of_window[labelled] = np.diff(first)
        super().__init__((boxes, np.append(0, np.cumsum(of_window))), len(boxes), None)
        self._duration_us = _duration_of(source.feature)
        rows = np.zeros(n, dtype=np.int64)
        # Both ends of a window are in it. One of a number of events begins nobody knows where.
        begins = ends - self._duration_us if self._duration_us else np.append(ends[:1], ends[:-1])
        self.windows = Windows(begins, ends + 1, rows, rows)
        self.samples, self.extra = None, MappingProxyType({})
        self.segments = segments_of(None, n)
        self._lock = threading.Lock()
        self._file = -1

    @cached_property
    def metadata(self) -> Metadata:  # type: ignore[override]
        """Of the sequence; the file of frames is opened for it."""
        shape = self._chunks.shape
        scale = 2 if self._is_half else 1
        return Metadata(
            self._name,
            self._path,
            Sensor(shape[1] * scale, shape[2] * scale),
            shape,
            0,
            int(self.windows.stop_us.max(initial=0)),
            self._duration_us,
        )

    @property
    def dtype(self) -> str:
        """As `Look` has it."""
        return self._chunks.dtype.name

    def boxes(self, start: int, stop: int) -> list[Boxes]:
        """Return the boxes of each of frames ``[start, stop)``."""
        boxes, first = self._of_frames
        edge = first[start : stop + 1].tolist()
        return [boxes[low:high] for low, high in pairwise(edge)]

    def labelled(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return which of frames ``[start, stop)`` are labelled."""
        return self._is_labelled[start:stop]

    def read(self, start: int, stop: int, into: Frame) -> None:
        """Fill an array with frames of the file."""
        chunks, file = self._chunks, self._open_file()
        room = np.empty(chunks.shape, chunks.dtype)
        for row, k in enumerate(range(start, stop)):
            frame = into[row]
            if frame.dtype == chunks.dtype and frame.flags.c_contiguous:
                chunks.read(file, k, frame)
            else:
                chunks.read(file, k, room)
                frame[...] = room

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    @cached_property
    def _chunks(self) -> _Chunks:
        with self._lock:
            return _Chunks.of(self._path, len(self.windows))

    def _open_file(self) -> int:
        with self._lock:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDONLY | CLOSED_IN_OTHERS)
            return self._file

    @cached_property
    def _of_frames(self) -> tuple[Boxes, Int64Array]:
        """Boxes in pixels of the frames, in RVT's float32, and where those of each window begin."""
        if not self._is_half:
            return self._boxes, self._first
        boxes, half = self._boxes.copy(), np.float32(0.5)
        height, width = self._chunks.shape[1:]
        for corner, size, limit in (("x", "w", width), ("y", "h", height)):
            stop = (boxes[corner] + boxes[size]) * half
            boxes[corner] *= half
            boxes[size] = np.minimum(stop, np.float32(limit - 1)) - boxes[corner]
        stay = (boxes["w"] > 0) & (boxes["h"] > 0)
        return boxes[stay], np.append(0, np.cumsum(stay))[self._first]


@dataclass(frozen=True)
class _Chunks:
    """Where the frames of a file are, and how they are compressed.

    Parameters
    ----------
    path
        The file.
    shape, dtype
        (C, H, W) of a frame, and its type.
    filters
        (number, parameters) of HDF5's filters.
    table
        (N, 3) int64: offset and size of each frame's bytes, and which filters were left out.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    filters: list[tuple[int, tuple[int, ...]]]
    table: Int64Array

    @classmethod
    def of(cls, path: Path, n: int) -> _Chunks:
        """Read it of a file that must have n frames."""
        with hdf5.open_hdf5(path) as file, hdf5.reading(path, "its data"):
            data = file.get("data")
            if not isinstance(data, h5py.Dataset) or len(data.shape or ()) != 4:
                raise LayoutError("has no data set data, (N, C, H, W)", path=path, hint=_AGAIN)
            if data.chunks != (1, *data.shape[1:]) or data.dtype.str[1:] not in ("u1", "i1", "f4"):
                raise LayoutError(
                    f"data is of {data.dtype} in chunks of {data.chunks}; bytes or float32 are "
                    f"expected, one frame {(1, *data.shape[1:])} per chunk",
                    path=path,
                )
            plist = data.id.get_create_plist()
            each = [plist.get_filter(k) for k in range(plist.get_nfilters())]
            filters = [(number, values) for number, _, values, _ in each]
            for number, _ in filters:
                if number not in FILTERS:
                    raise LayoutError(f"data has HDF5's filter {number}, not read here", path=path)
            table = np.zeros((len(data), 3), dtype=np.int64)

            def add(chunk: Any) -> None:
                place = chunk.byte_offset, chunk.size, chunk.filter_mask
                table[chunk.chunk_offset[0]] = place

            data.id.chunk_iter(add)
            if len(data) != n or not table[:, 1].all():
                raise LayoutError(
                    f"has {np.count_nonzero(table[:, 1])} frames; {n} windows are expected",
                    path=path,
                    hint=_AGAIN,
                )
            return cls(path, data.shape[1:], data.dtype, filters, table)

    def read(self, file: int, k: int, into: Frame) -> None:
        """Fill a contiguous array, (C, H, W) of the file's type, with frame k."""
        offset, size, mask = self.table[k].tolist()
        try:
            stored = read_at(file, size, offset)
            plain = into.reshape(-1).view(np.uint8)
            decompress_into(stored, self.filters, mask, plain, self.dtype.itemsize)
        except (EvreelError, OSError) as error:
            raise LayoutError(
                f"cannot be decompressed: {getattr(error, 'problem', error)}",
                path=self.path,
                place=f"window {k}",
                hint=hdf5.REBUILD,
            ) from error


def _file_of(folder: Path) -> Path:
    there = [folder / name for name in (_FULL, _HALF) if (folder / name).exists()]
    if len(there) != 1:
        has = f"has both {_FULL} and {_HALF}" if there else f"has neither {_FULL} nor {_HALF}"
        raise LayoutError(has, path=folder, hint="Keep the one to read." if there else _AGAIN)
    return there[0]


def _whole_numbers(path: Path) -> Int64Array:
    with foreign(lambda why: LayoutError(f"cannot be read: {why}", path=path, hint=_AGAIN)):
        return whole_numbers(path.read_bytes()).astype(np.int64)


def _boxes_of(path: Path, n: int) -> tuple[Boxes, Int64Array]:
    """Return the boxes of n labelled frames, and (n + 1,) where those of each begin."""
    with foreign(lambda why: AnnotationError(f"cannot be read: {why}", path=path, hint=_AGAIN)):
        with path.open("rb") as file, np.load(file, allow_pickle=False) as read:
            records, first = read["labels"], read["objframe_idx_2_label_idx"]
        first = np.append(first, len(records)).astype(np.int64)
    boxes = as_boxes(records, path)
    if len(first) != n + 1:
        raise AnnotationError(
            f"its {len(boxes)} boxes are of {len(first) - 1} labelled frames; {n} are expected",
            path=path,
            hint=_AGAIN,
        )
    if first[0] != 0 or (np.diff(first) < 0).any():
        raise AnnotationError(
            f"its objframe_idx_2_label_idx does not go up from 0 to {len(boxes)} boxes at most",
            path=path,
            hint=_AGAIN,
        )
    return boxes, first


def _duration_of(feature: str) -> int:
    """Return the duration of a window that a folder's name says, µs; 0 if it is of a count.

    Examples
    --------
    >>> [_duration_of(f"stacked_histogram_{what}_nbins=10") for what in ("dt=50", "dt12.5", "ne=9")]
    [50000, 12500, 0]
    """
    found = re.search(r"_dt=?([0-9.]+?)(?:_|$)", feature)
    return round(float(found[1]) * 1000) if found else 0
