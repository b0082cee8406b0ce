"""Parts of a recording's results: made by several jobs, joined by one, then removed.

A part has a share of what takes time: the frames of some windows, compressed, or the regions of
some events. Everything else is cheap, and made by the job that joins. What is joined has the bytes
that it has when it is made in one piece. Parts are read by the evreel that wrote them, and by no
one else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from evreel.closing import Closing
from evreel.errors import LayoutError
from evreel.files import hdf5
from evreel.files.frame_chunks import FrameChunks, new_frames
from evreel.files.gzip_chunks import Column
from evreel.files.seal import is_sealed
from evreel.layout import PARTS, Compression
from evreel.provenance import canonical_json, counts_in
from evreel.shares import Share
from evreel.threads import Crew
from evreel.timebase import Int64Array

Int32Array = npt.NDArray[np.int32]

_REGIONS = ("roi", "overlaps/event", "overlaps/roi")
_AGAIN = (
    "Remove them, and make all parts again, with the same options as what they are joined to; in a "
    "workflow, remove results/parts and run it again."
)


def begin(file: h5py.File, share: Share, source: str) -> None:
    """Say in a new part, made with the layout `PARTS`, which one it is.

    Parameters
    ----------
    source
        What distinguishes the events that it is made of from others.
    """
    hdf5.set_attributes(file, {"part": share.number, "parts": share.of, "source": source})


class FramesWriter:
    """Write frames of neighbouring windows of a feature into a part.

    Parameters
    ----------
    file
        The part.
    number
        Of the feature in this part.
    identity
        What distinguishes the feature from others.
    shape, dtype, compression
        (N, C, H, W), type and compression of the frames, as in the features file.
    threads, crew
        Number of compressing threads, and whose these are, as `FrameChunks` takes them.
    """

    def __init__(
        self,
        file: h5py.File,
        number: int,
        identity: str,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        compression: Compression,
        threads: int,
        crew: Crew,
    ) -> None:
        self._data = new_frames(file, f"frames/{number}", shape, dtype, compression)
        self._data.attrs["identity"] = identity
        self._frames = FrameChunks(self._data, compression, threads, crew)
        self.write, self.compressed = self._frames.write, self._frames.compressed

    def finish(self, repairs: Mapping[str, int]) -> None:
        """Write what is pending, and what was changed. Call once, after the last frame."""
        self._frames.finish()
        self._data.attrs["repairs"] = canonical_json(repairs)


class RegionsWriter:
    """Write the regions of neighbouring events into a part.

    Parameters
    ----------
    file
        The part.
    identity
        What distinguishes the regions from those of another annotation.
    first_row
        Row of the recording that the first region is of.
    """

    def __init__(self, file: hdf5.NewFile, identity: str, first_row: int) -> None:
        self._file = file
        hdf5.set_attributes(file, {"identity": identity, "first_row": first_row})
        self._columns = [hdf5.add(file, PARTS[name]) for name in _REGIONS]

    def write(self, *columns: npt.NDArray[Any]) -> None:
        """Add the next regions, as `evreel.annotations.labelling.EventLabels` has them."""
        for column, rows in zip(self._columns, columns, strict=True):
            self._file.columns.append(column, [rows])


class Frames(NamedTuple):
    """Frames of neighbouring windows in a part, and what was changed when they were made."""

    data: h5py.Dataset
    repairs: Mapping[str, int]


class PartRegions(NamedTuple):
    """The regions of neighbouring events, as `evreel.annotations.labelling.EventLabels`."""

    roi: Int32Array
    overlap_event: Int64Array
    overlap_roi: Int32Array


class Parts(Closing):
    """All parts of a recording, opened for reading.

    Parameters
    ----------
    paths
        Their files, in any order.
    source
        What distinguishes the recording's events from others, as in `begin`.

    Raises
    ------
    LayoutError
        If one of them is missing or there twice, or is of another recording.
    """

    def __init__(self, paths: Sequence[str | Path], source: str) -> None:
        self._files: list[tuple[Path, h5py.File]] = []
        try:
            self._open([Path(path) for path in paths], source)
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether they can be read, because they are not closed yet."""
        return all(file for _, file in self._files)

    def close(self) -> None:
        """Release the files."""
        for _, file in self._files:
            file.close()

    def _open(self, paths: Sequence[Path], source: str) -> None:
        numbers: list[int] = []
        for path in paths:
            file = hdf5.open_hdf5(path)
            self._files.append((path, file))
            if not is_sealed(path):
                raise LayoutError("is cut short, or not a part", path=path, hint=_AGAIN)
            hdf5.check_layout(file, path, PARTS)
            number, of = int(file.attrs["part"]), int(file.attrs["parts"])
            if file.attrs["source"] != source:
                raise LayoutError("is a part of another recording", path=path, hint=_AGAIN)
            if number in numbers or of != len(paths):
                problem = "is given twice" if number in numbers else f"{len(paths)} are given"
                raise LayoutError(f"is part {number}/{of}; {problem}", path=path, hint=_AGAIN)
            numbers.append(number)
        self._files.sort(key=lambda each: int(each[1].attrs["part"]))

    def frames(self, identity: str) -> list[Frames] | None:
        """Return the frames of a feature, part by part; None if a part does not have it."""
        found = []
        for path, file in self._files:
            with hdf5.reading(path, "its frames"):
                datasets = file["frames"].values() if "frames" in file else ()
                found += [
                    Frames(data, counts_in(data.attrs["repairs"]))
                    for data in datasets
                    if data.attrs["identity"] == identity
                ]
        return found if len(found) == len(self._files) else None

    def regions(self, identity: str, n: int, rows: int) -> Iterator[PartRegions]:
        """Return the regions of all n events, in pieces of at most `rows`.

        Parameters
        ----------
        identity
            What distinguishes these regions from those of another annotation.

        Raises
        ------
        LayoutError
            If the parts have others; reading may also raise it, where they are damaged.
        """
        row = 0
        for path, file in self._files:
            has = file.attrs.get("identity"), file.attrs.get("first_row")
            if has != (identity, row):
                raise LayoutError("is a part of another annotation", path=path, hint=_AGAIN)
            row += len(file["roi"])
        if row != n:
            raise LayoutError(f"ends at event {row} of {n}", path=self._files[-1][0], hint=_AGAIN)
        return self._regions(rows)

    def _regions(self, rows: int) -> Iterator[PartRegions]:
        row = 0
        for path, file in self._files:
            with hdf5.reading(path, "its regions"):
                roi, event, of_event = (Column(file[name]) for name in _REGIONS)
                done = 0
                for low in range(0, len(roi), rows):
                    piece = roi[low : low + rows]
                    row += len(piece)
                    until = bisect_left(event, row, done)
                    yield PartRegions(piece, event[done:until], of_event[done:until])
                    done = until
