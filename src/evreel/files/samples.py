"""Samples files: which rows of an events store make a sample, its class and its split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError, LayoutError
from evreel.files import hdf5
from evreel.layout import SAMPLES, Filter
from evreel.samples.samples import Samples
from evreel.timebase import Int64Array


def add_samples(
    file: h5py.File, samples: Samples, labels: Sequence[str], filter_: Filter | None = None
) -> None:
    """Write what every layout with samples has: names, labels and times.

    `filter_` is as in `hdf5.add`.

    Raises
    ------
    AnnotationError
        If a label is not listed in `labels`.
    """
    columns: dict[str, npt.ArrayLike] = {
        "id": list(samples.id),
        "label": samples.numbers(labels),
        "start_us": samples.start_us,
        "stop_us": samples.stop_us,
        "t_offset": samples.t_offset,
    }
    for name, column in columns.items():
        hdf5.add(file, SAMPLES[f"samples/{name}"], column, filter_=filter_)
    hdf5.add(file, SAMPLES["labels/name"], list(labels))


def read_samples(file: h5py.File) -> tuple[Samples, npt.NDArray[np.int32], tuple[str, ...]]:
    """Return what `add_samples` wrote: samples, the numbers of their labels, all labels."""
    labels = tuple(file["labels/name"].asstr()[:])
    number = file["samples/label"][:]
    if ((number < -1) | (number >= len(labels))).any():
        raise LayoutError(f"samples/label is outside the {len(labels)} labels")
    ids = tuple(file["samples/id"].asstr()[:])
    groups = (
        tuple(file["samples/group"].asstr()[:]) if "samples/group" in file else ("",) * len(ids)
    )
    names = tuple("" if k < 0 else labels[k] for k in number.tolist())
    times = (file[f"samples/{name}"][:] for name in ("start_us", "stop_us", "t_offset"))
    return Samples(ids, names, groups, *times), number, labels


def write_samples(
    file: h5py.File,
    samples: Samples,
    labels: Sequence[str],
    splits: Sequence[str],
    start: Int64Array,
    stop: Int64Array,
    *,
    recording: str,
    t_stop_us: int,
) -> None:
    """Write a samples file.

    Parameters
    ----------
    file
        A new file, made by `evreel.files.hdf5.create` with the layout `SAMPLES`.
    samples
        The samples.
    labels
        Label names in the order of their numbers.
    splits
        (n,) ``train``, ``val`` or ``test``.
    start, stop
        (n,) rows of the events store: sample k is ``[start[k], stop[k])``.
    recording
        Name of the recording.
    t_stop_us
        Last timestamp of the recording + 1, µs since `t_offset`.
    """
    add_samples(file, samples, labels)
    hdf5.add(file, SAMPLES["samples/group"], list(samples.group))
    hdf5.add(file, SAMPLES["samples/split"], list(splits))
    hdf5.add(file, SAMPLES["samples/start"], start)
    hdf5.add(file, SAMPLES["samples/stop"], stop)
    hdf5.set_attributes(file, {"recording": recording, "t_stop_us": t_stop_us})


class SamplesFile(hdf5.Opened):
    """The samples of one recording, opened for reading.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    samples : names, classes, groups and times, as `evreel.samples.samples.Samples`.
    label : (n,) int32, a position in `labels`; −1 none.
    labels : label names; a name's position is its number.
    split : (n,) ``train``, ``val`` or ``test``.
    start, stop : (n,) int64: sample k is rows ``[start[k], stop[k])`` of the events store.
    recording : its name.
    t_stop_us : last timestamp of the recording + 1, µs since `t_offset`.

    Raises
    ------
    LayoutError
        If the file is not a samples file, contradicts itself, or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        with self._opening(path, "its samples"):
            self._read()

    def _read(self) -> None:
        hdf5.check_layout(self._file, self.path, SAMPLES)
        self.samples, self.label, self.labels = read_samples(self._file)
        self.split: tuple[str, ...] = tuple(self._file["samples/split"].asstr()[:])
        self.start: Int64Array = self._file["samples/start"][:]
        self.stop: Int64Array = self._file["samples/stop"][:]
        self.recording = str(self._file.attrs["recording"])
        self.t_stop_us = int(self._file.attrs["t_stop_us"])
        if ((self.start < 0) | (self.stop < self.start)).any():
            raise AnnotationError("the rows of a sample are not a valid range")

    def __len__(self) -> int:
        return len(self.samples)
