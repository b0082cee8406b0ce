"""EventBbox records in ``.npy``, as Metavision's and RVT's tools read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0

from evreel.errors import AnnotationError
from evreel.layout import BOX_DTYPE, COLUMN_CHUNK
from evreel.npy import HEAD_BYTES, ArrayHead, array_head
from evreel.timebase import Int64Array

_ALSO = {"t": "ts", "class_confidence": "confidence"}
"""Names of fields in older files."""


def write_boxes(path: str | Path, boxes: npt.NDArray[np.void], *, by_time: bool = True) -> None:
    """Write boxes to a new file; equal boxes give equal bytes.

    Parameters
    ----------
    path
        The file, under exactly this name.
    boxes
        (n,) of `evreel.layout.BOX_DTYPE`.
    by_time
        Whether they must be in order of time.

    Raises
    ------
    AnnotationError
        If the records have another type or are not in order of time.
    """
    path = Path(path)
    _check(path, boxes, by_time)
    with path.open("xb") as file:
        write_array_header_1_0(file, header_data_from_array_1_0(boxes))
        for start in range(0, len(boxes), COLUMN_CHUNK):
            # Do not leave the padding between fields to chance: 40 bytes hold 36 bytes of values.
            part = boxes[start : start + COLUMN_CHUNK]
            clean = np.zeros(len(part), dtype=BOX_DTYPE)
            for name in BOX_DTYPE.names or ():
                clean[name] = part[name]
            file.write(clean.tobytes())


def read_boxes(path: str | Path, *, by_time: bool = True) -> npt.NDArray[np.void]:
    """Return the boxes of a file, (n,) of `evreel.layout.BOX_DTYPE`, by time unless told otherwise.

    Raises
    ------
    AnnotationError
        If the file is not a ``.npy``, is cut short, or holds other records.
    """
    path = Path(path)
    boxes = read_records(path)
    _check(path, boxes, by_time)
    return boxes


def read_published_boxes(path: str | Path) -> npt.NDArray[np.void]:
    """Return boxes that come with a data set, as `evreel.layout.BOX_DTYPE`, on their own clock.

    Fields may have other widths and another order; as in older files, ``ts`` is read as `t` and
    ``confidence`` as `class_confidence`. A file without tracks gets `track_id` 0, one without
    confidences gets 1.

    Raises
    ------
    AnnotationError
        If a field is missing, a value does not fit, or boxes are not in order of time.
    """
    path = Path(path)
    boxes = as_boxes(read_records(path), path)
    _check(path, boxes)
    return boxes


def as_boxes(
    records: npt.NDArray[np.void], path: Path | None = None, first_row: int = 0
) -> npt.NDArray[np.void]:
    """Return records of a published file as new ones of `evreel.layout.BOX_DTYPE`.

    Parameters
    ----------
    records
        (n,) with fields as `read_published_boxes` takes them.
    path, first_row
        Their file, if they are of one, and the row in it of the first of them, for messages.

    Raises
    ------
    AnnotationError
        If a field is missing, or a value does not fit.
    """
    boxes = np.zeros(len(records), dtype=BOX_DTYPE)
    boxes["class_confidence"] = 1
    there = records.dtype.names or ()
    for name in BOX_DTYPE.names or ():
        found = spelled(records, name)
        if found is None and name not in ("track_id", "class_confidence"):
            raise AnnotationError(
                f"has no field {name}; its fields are {', '.join(there)}",
                path=path,
                hint="Are these boxes, as Prophesee's tools write them?",
            )
        if found is None:
            continue
        values = records[found]
        if values.ndim != 1 or values.dtype.kind not in "biuf":
            raise AnnotationError(
                f"{found} is of {values.dtype} in {values.ndim} dimensions; numbers in one "
                "are expected",
                path=path,
            )
        boxes[name] = values
        kept = boxes[name].astype(values.dtype) == values
        kept &= (boxes[name] < 0) == (values < 0)  # a wrapped value converts back unchanged
        if boxes[name].dtype.kind in "iu" and not kept.all():
            row = int(np.argmin(kept))
            raise AnnotationError(
                f"{found} is {values[row]}, which does not fit {BOX_DTYPE[name]}",
                path=path,
                place=f"record {first_row + row}",
            )
    return boxes


def spelled(records: npt.NDArray[np.void], name: str) -> str | None:
    """Return the field of records that is one of `evreel.layout.BOX_DTYPE`; None if none is."""
    there = records.dtype.names or ()
    return next((each for each in (name, _ALSO.get(name)) if each in there), None)


def read_records(path: Path) -> npt.NDArray[np.void]:
    """Return the records of a ``.npy`` file, (n,), with any fields in any order.

    Raises
    ------
    AnnotationError
        If the file is not a ``.npy``, is cut short, or holds no records.
    """
    with _records(path) as (file, head):
        file.seek(head.size)
        return np.fromfile(file, dtype=head.dtype, count=head.shape[0])


def mapped_records(path: Path) -> npt.NDArray[np.void]:
    """Return what `read_records` does, but read from the file where it is used; raises as that."""
    with _records(path) as (file, head):
        if not head.shape[0]:  # of which there is no memory map
            return np.zeros(0, dtype=head.dtype)
        return np.memmap(file, head.dtype, mode="r", offset=head.size, shape=head.shape)


@contextlib.contextmanager
def _records(path: Path) -> Iterator[tuple[BinaryIO, ArrayHead]]:
    """Open a file of records; the block ends with an error if it does not hold as many as it says.

    Raises
    ------
    AnnotationError
        If it cannot be read, or holds fewer or no records.
    """
    try:
        with path.open("rb") as file:
            start, size = file.read(HEAD_BYTES), path.stat().st_size
            if not start:
                raise ValueError("is empty")
            head = array_head(start)
            dtype, shape = head.dtype, head.shape
            if len(shape) != 1 or dtype.names is None or dtype.hasobject or not dtype.itemsize:
                raise ValueError(f"holds {dtype} in {len(shape)} dimensions; records are expected")
            # Checked first, because memory is allocated for the announced number.
            there = (size - head.size) // dtype.itemsize
            if not 0 <= shape[0] <= there:
                raise ValueError(f"holds {there:,} of {shape[0]:,} records")
            yield file, head
    except OSError as error:
        raise AnnotationError(
            f"cannot be read: {error.strerror}",
            path=path,
            hint="Give the path of a .npy file of boxes that you may read, such as park_bbox.npy.",
        ) from error
    except ValueError as error:
        raise AnnotationError(
            f"is not a complete .npy file of boxes: {error}",
            path=path,
            hint="If a step was interrupted, run it again; else export or download it again.",
        ) from error


def _check(path: Path, boxes: npt.NDArray[np.void], by_time: bool = True) -> None:
    if boxes.dtype != BOX_DTYPE or boxes.ndim != 1:
        raise AnnotationError(
            f"holds records of {boxes.dtype} in {boxes.ndim} dimensions; one of {BOX_DTYPE} "
            "is expected",
            path=path,
        )
    if by_time:
        check_order(boxes["t"], path)


def check_order(t: Int64Array, path: Path, first_row: int = 0) -> None:
    """Raise `AnnotationError` if times of records, from a row of their file on, go back."""
    back = np.flatnonzero(t[1:] < t[:-1])
    if back.size:
        raise AnnotationError(
            "goes back in time",
            path=path,
            place=f"record {first_row + back[0] + 1}",
            hint="Sort the records by time: numpy.sort(records, order=name of the time, "
            "kind='stable').",
        )
