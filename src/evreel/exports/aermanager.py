"""The folder of files that aermanager writes, one per slice, and that its ``load_…`` read.

An event is one row here, with its primary region; aermanager repeats it for each region and tag.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from evreel.annotations.tables import roi_numbers
from evreel.errors import LayoutError, foreign
from evreel.exports.exported import Exported
from evreel.files import hdf5
from evreel.files.slices import SlicesFile

NOTHING = "__Empty_Default__"
"""What aermanager calls label 0: no tag."""

_TEXT = h5py.string_dtype()
_TEXTS = ("label", "labels_lut/id", "rois/label")
_TIMES = ("start_us", "stop_us")
_MOST = np.iinfo(np.uint16).max


def write_folders(items: Sequence[Exported], folder: Path) -> dict[str, int]:
    """Write a folder of slices for each recording; return what they cannot hold."""
    lost: Counter[str] = Counter()
    for item in items:
        if item.slices is not None:
            with SlicesFile(item.slices) as file:
                lost.update(write_slices(file, folder / item.id, compression="gzip"))
    splits = {item.split for item in items}
    lost["splits, whose recordings lie side by side"] = len(splits) if len(splits) > 1 else 0
    return dict(lost)


def write_slices(
    file: SlicesFile, folder: Path, *, compression: str | None = None
) -> dict[str, int]:
    """Write each slice as ``<folder>/<number>.h5``.

    Parameters
    ----------
    file
        Annotated slices.
    folder
        A new folder.
    compression
        As h5py's, for all arrays; None stores them as they are.

    Returns
    -------
    What the form cannot hold: sentence → how often.
    """
    folder.mkdir(parents=True)
    height, width = file.sensor
    numbers = roi_numbers(file.rois.track)
    lut = [NOTHING, *file.labels]
    more: dict[str, object] = {} if compression is None else {"compression": compression}
    clipped = 0
    for k in range(file.n):
        events, roi = file.slice(k)
        names = labels_in(file, k, roi)
        pixels = (events.p.astype(np.int64) * height + events.y) * width + events.x
        counts = np.bincount(pixels, minlength=2 * height * width)
        clipped += int(np.count_nonzero(counts > _MOST))
        ids = np.full(len(events), np.nan)
        ids[roi >= 0] = numbers[roi[roi >= 0]]
        with hdf5.new_file(folder / f"{k}.h5") as out:

            def add(name: str, data: object, out: h5py.File = out, **kind: object) -> None:
                out.create_dataset(name, data=data, **kind, **more)

            frame = np.minimum(counts, _MOST).astype(np.uint16).reshape(2, height, width)
            add("frame", frame)
            add("frame_size", np.array(frame.shape, dtype=np.int64))
            if names:
                add("label", names, dtype=_TEXT)
            else:
                out.create_dataset("label", data=np.empty(0))
            add("spikes/x", events.x)
            add("spikes/y", events.y)
            add("spikes/t", (events.t + file.t_offset).astype(np.uint64))
            add("spikes/p", events.p.astype(bool))
            add("spikes/id", ids)
            add("bins/x", np.arange(width + 1))
            add("bins/y", np.arange(height + 1))
            add("labels_lut/id", lut, dtype=_TEXT)
            add("labels_lut/label", np.arange(len(lut)))
            if len(numbers):
                add("rois/id", numbers)
                add("rois/label", [file.labels[n] for n in file.rois.label], dtype=_TEXT)
            out.attrs["start_us"] = file.windows.start_us[k] + file.t_offset
            out.attrs["stop_us"] = file.windows.stop_us[k] + file.t_offset
    return {
        "further regions of events, beside the primary one": len(file.overlaps.event),
        "outlines of shapes": file.n_shapes,
        "attributes": len(file.attributes.name),
        "events outside every slice": file.events_outside_slices,
        "intervals that were labelled": len(file.labelled.start_us),
        f"pixels of pictures with more than {_MOST} events": clipped,
    }


def labels_in(file: SlicesFile, k: int, roi: npt.NDArray[np.int32]) -> list[str]:
    """Return the labels of what a slice has: of its events' regions, and of the tags in its time.

    `roi` are the primary regions of its events.
    """
    labels = file.rois.label[file.regions_in(k, roi)]
    return [file.labels[n] for n in np.union1d(labels, file.tags_in(k))]


def slice_files(folder: Path) -> list[Path]:
    """Return the files of a folder that aermanager's layout names ``<number>.h5``, in order."""
    found = [path for path in folder.rglob("*.h5") if re.fullmatch(r"[0-9]{1,9}", path.stem)]
    return sorted(found, key=lambda path: (str(path.parent), int(path.stem)))


def read_slice(path: Path, *names: str, absent: bool = False) -> list[npt.NDArray[Any]]:
    """Return arrays of a file of this layout.

    Parameters
    ----------
    path
        The file.
    names
        Of the arrays.
    absent
        Whether an array may be missing; it is empty then.

    Raises
    ------
    LayoutError
        If it is not such a file, lacks an array, or one has another form than those beside it.
    """

    def other(why: str) -> LayoutError:
        return LayoutError(
            f"is not a slice in aermanager's layout: {why}",
            path=path,
            hint="Was it written by aermanager, or by `evreel export --layout aermanager`?",
        )

    with foreign(other), hdf5.open_hdf5(path) as file:
        arrays = [np.empty(0) if absent and n not in file else _whole(file[n]) for n in names]
    lengths: dict[str, int] = {}
    for name, values in zip(names, arrays, strict=True):
        is_text = values.dtype.kind == "O"
        if values.ndim != 1 or (len(values) and is_text != (name in _TEXTS)):
            raise other(f"{name} is not a list of {'texts' if name in _TEXTS else 'numbers'}")
        known = lengths.setdefault(name.rpartition("/")[0] or name, len(values))
        if len(values) != known:
            raise other(f"{name} has {len(values)} rows, and what is beside it {known}")
    return arrays


def times_of(path: Path) -> tuple[int, int] | None:
    """Return start and stop of a slice, µs, if its file states them: aermanager's own do not."""
    with hdf5.open_hdf5(path) as file:
        said = [file.attrs.get(name) for name in _TIMES]
    whole = [int(value) for value in said if isinstance(value, np.integer)]
    return (whole[0], whole[1]) if len(whole) == len(_TIMES) else None


def _whole(dataset: h5py.Dataset) -> npt.NDArray[Any]:
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    values: npt.NDArray[Any] = dataset.asstr()[...] if is_text else dataset[...]
    return values
