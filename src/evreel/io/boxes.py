"""EventBbox records in ``.npy``, as Metavision's and RVT's tools read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from evreel.errors import AnnotationError
from evreel.layout import BOX_DTYPE


def write_boxes(path: str | Path, boxes: npt.NDArray[np.void]) -> None:
    """Write boxes to a new file; equal boxes give equal bytes.

    Parameters
    ----------
    path
        The file, under exactly this name.
    boxes
        (n,) of `evreel.layout.BOX_DTYPE`, by time.

    Raises
    ------
    AnnotationError
        Where the records are of another type or not in order of time.
    """
    path = Path(path)
    _check(path, boxes)
    # Bytes between fields are not ours to leave to chance: 40 bytes hold 36 of values.
    clean = np.zeros(len(boxes), dtype=BOX_DTYPE)
    for name in BOX_DTYPE.names or ():
        clean[name] = boxes[name]
    with path.open("xb") as file:
        np.save(file, clean, allow_pickle=False)


def read_boxes(path: str | Path) -> npt.NDArray[np.void]:
    """Return the boxes of a file, (n,) of `evreel.layout.BOX_DTYPE`, by time.

    Raises
    ------
    AnnotationError
        Where the file is no ``.npy``, is cut short, or holds other records.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            boxes = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise AnnotationError(f"can't be read: {error.strerror}", path=path) from error
    except ValueError as error:
        raise AnnotationError(
            f"is no whole .npy file of boxes: {error}",
            path=path,
            hint="If a step was interrupted, run it again.",
        ) from error
    _check(path, boxes)
    return boxes


def _check(path: Path, boxes: npt.NDArray[np.void]) -> None:
    if boxes.dtype != BOX_DTYPE or boxes.ndim != 1:
        raise AnnotationError(
            f"holds records of {boxes.dtype} in {boxes.ndim} dimensions; one of {BOX_DTYPE} "
            "is expected",
            path=path,
        )
    back = np.flatnonzero(boxes["t"][1:] < boxes["t"][:-1])
    if back.size:
        raise AnnotationError("goes back in time", path=path, place=f"record {back[0] + 1}")
