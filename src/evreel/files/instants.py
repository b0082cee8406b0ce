"""Instants at which windows end: times of boxes, of frames, or of a file with a column of times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evreel.errors import AnnotationError, UsageError
from evreel.files.boxes import read_boxes
from evreel.files.clock import read_clock
from evreel.npy import whole_numbers
from evreel.text import read_list
from evreel.timebase import FARTHEST, Int64Array
from evreel.windows import Instants

ROLES: Mapping[Instants, str] = {"labels": "boxes", "frames": "clock", "times": "times"}
"""Where instants are from → what a job, and what it makes, call the file that has them."""

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")  # 18 digits always fit an int64
_NPY = b"\x93NUMPY"
_FORM = "Give whole µs since the first event: text with one number per line, or an .npy file."


def read_instants(at: Instants, path: str | Path) -> Int64Array:
    """Return the instants that a file has, (n,) int64 µs since `t_offset`, in order.

    Parameters
    ----------
    at
        ``labels``: each time at which there are boxes, once; ``frames``: when each frame of a clock
        stops, which is the time of its boxes; ``times``: a column of times.
    path
        The boxes of a recording, its clock, or a file that `read_times` takes.

    Raises
    ------
    EvreelError
        If the file cannot be read.
    """
    if at == "labels":
        times: Int64Array = np.unique(read_boxes(path)["t"]).astype(np.int64)
        return times
    return read_clock(path)[0].stop_us if at == "frames" else read_times(path)


def file_with(at: Instants, files: Mapping[Instants, str | Path | None] | None) -> Path:
    """Return the file with the instants, of those that there are.

    Raises
    ------
    UsageError
        If it is not given.
    """
    file = (files or {}).get(at)
    if file is None:
        raise UsageError(
            f"windows are to end at {at}, but there is no file of {ROLES[at]}",
            hint=f"Give the recording's {ROLES[at]}, or windows that do not depend on them.",
        )
    return Path(file)


def read_times(path: str | Path) -> Int64Array:
    """Return a column of times, (n,) int64 µs since `t_offset`, in order; some may be equal.

    Parameters
    ----------
    path
        A text with a whole number in each line; lines that are empty or begin with ``#`` are left
        out. Or an ``.npy`` file of one dimension of whole numbers. The content tells which it is.

    Raises
    ------
    AnnotationError
        If it is neither, or times go back; the message says where.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"cannot be read: {error.strerror}", path=path) from error
    if data.startswith(_NPY):
        times = _of_npy(path, data)
        places = [f"row {k}" for k in range(len(times))]
    else:
        lines = read_list(path)
        places = [f"line {line}" for line, _ in lines]
        for (_, text), place in zip(lines, places, strict=True):
            if not _WHOLE_NUMBER.fullmatch(text):
                problem = f"{text[:80]!r} is not a whole number of at most 18 digits"
                raise AnnotationError(problem, path=path, place=place, hint=_FORM)
        times = np.array([int(text) for _, text in lines], dtype=np.int64)
    for wrong, problem, hint in (
        ((times > FARTHEST) | (times < -FARTHEST), f"is not within {FARTHEST} of 0", _FORM),
        (np.diff(times, prepend=times[:1]) < 0, "is before the time above it", "Sort them."),
    ):
        if wrong.any():
            k = int(np.argmax(wrong))
            raise AnnotationError(f"{times[k]} µs {problem}", path=path, place=places[k], hint=hint)
    return times


def _of_npy(path: Path, data: bytes) -> Int64Array:
    try:
        times = whole_numbers(data)
    except ValueError as error:
        problem = f"is not a column of times: {error}"
        raise AnnotationError(problem, path=path, hint=_FORM) from error
    if times.dtype == np.uint64:
        times = np.minimum(times, np.uint64(FARTHEST + 1))  # what is beyond must not wrap
    return times.astype(np.int64)
